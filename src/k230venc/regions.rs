// SPDX-License-Identifier: MIT OR Apache-2.0
//! Regions of interest as buffers carry them.

use k230_venc::Region;

/// The field of a region's parameters that other hardware encoders of GStreamer read, in a structure
/// whose name begins with `roi/`.
const DELTA: &str = "delta-qp";

/// The parts of a picture that are to be finer or coarser. Regions that say nothing of it get
/// `default`.
pub(super) fn of_buffer(buffer: &gst::BufferRef, default: i32) -> Vec<Region> {
    buffer
        .iter_meta::<gst_video::VideoRegionOfInterestMeta>()
        .filter_map(|meta| {
            let own = meta
                .params()
                .filter(|params| params.name().starts_with("roi/"))
                .find_map(|params| params.get::<i32>(DELTA).ok());
            let (x, y, width, height) = meta.rect();
            Some(Region {
                x,
                y,
                width,
                height,
                qp_delta: Some(own.unwrap_or(default)).filter(|delta| *delta != 0)?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_has_its_own_delta_or_the_default() {
        gst::init().expect("GStreamer starts");
        let mut buffer = gst::Buffer::new();
        let b = buffer.make_mut();
        for (name, delta) in [("roi/vaapi", Some(-5)), ("face", Some(9)), ("roi/x", None)] {
            let rect = (1, 2, 3, 4);
            let mut meta = gst_video::VideoRegionOfInterestMeta::add(b, "face", rect);
            let mut params = gst::Structure::new_empty(name);
            if let Some(delta) = delta {
                params.set(DELTA, delta);
            }
            meta.add_param(params);
        }
        let deltas = |default| -> Vec<i32> {
            let regions = of_buffer(&buffer, default);
            assert!(
                regions
                    .iter()
                    .all(|r| (r.x, r.y, r.width, r.height) == (1, 2, 3, 4))
            );
            let mut deltas: Vec<i32> = regions.iter().map(|region| region.qp_delta).collect();
            deltas.sort_unstable();
            deltas
        };
        assert_eq!(deltas(0), [-5], "the others say nothing");
        assert_eq!(deltas(-2), [-5, -2, -2]);
    }
}
