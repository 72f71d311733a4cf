// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sound in samples, for `qtmux`, which counts each of them.
//!
//! In a fragment it writes 8 or 12 bytes of table for a sample, of which it has 2 to 4 bytes of sound, and counts a buffer
//! of any length as one sample of the half a second that a fragment lasts. So a fragment goes on while no picture ends
//! it: an hour of silence, in the place of sound that was away, took 12 minutes and 5 GB of memory (GStreamer 1.22),
//! and what was in it was lost to a kill. Here it gets packets: Apple Lossless has each sample as it was, in less
//! room than samples take, and is played by whatever plays a MOV.

use gst::prelude::*;

use super::{MissingElement, is_raw, make};

/// What samples become.
pub(crate) const PACKETS: &str = "audio/x-alac";

/// Whether `qtmux` counts the samples of a stream; it takes packets of ADPCM for samples too.
pub(crate) fn are_counted(caps: &gst::CapsRef) -> bool {
    caps.structure(0)
        .is_some_and(|it| ["audio/x-raw", "audio/x-adpcm"].contains(&it.name().as_str()))
}

/// What makes packets of samples in this format: of 16 bits or less as they are, else of the upper 24. `None` where there
/// are no packets for it.
pub(crate) fn in_packets(caps: &gst::CapsRef) -> Result<Option<Vec<gst::Element>>, MissingElement> {
    let Some(info) = gst_audio::AudioInfo::from_caps(caps)
        .ok()
        .filter(|_| is_raw(caps))
    else {
        return Ok(None);
    };
    let encoder = make("avenc_alac")?;
    let format = match info.depth() {
        ..=16 => "S16LE",
        _ => "S32LE",
    };
    let mut form = caps.to_owned();
    for it in form.make_mut().iter_mut() {
        it.set("format", format);
        it.set("layout", "interleaved");
    }
    let takes = |pad: gst::Pad| pad.pad_template_caps().can_intersect(&form);
    if !encoder.static_pad("sink").is_some_and(takes) {
        return Ok(None);
    }
    let filter = make("capsfilter")?;
    let only = gst::Caps::builder("audio/x-raw").field("format", format);
    filter.set_property("caps", only.build());
    Ok(Some(vec![make("audioconvert")?, filter, encoder]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_become_packets_where_nothing_is_lost() {
        gst::init().unwrap();
        let made = |caps: &str| {
            let caps: gst::Caps = caps.parse().unwrap();
            assert!(are_counted(&caps));
            in_packets(&caps).unwrap().is_some()
        };
        let raw = "audio/x-raw,layout=interleaved,rate=48000,channels=2,format=";
        for format in ["S16LE", "S16BE", "U8", "S24LE", "S32LE", "F32LE"] {
            assert!(
                made(&format!("{raw}{format},channel-mask=(bitmask)3")),
                "{format}"
            );
        }
        let mono = "audio/x-raw,layout=interleaved,format=S16LE,channels=1,rate=";
        assert!(made(&format!("{mono}8000")) && !made(&format!("{mono}192000")));
        // Four microphones are not front and rear.
        let four = "audio/x-raw,layout=interleaved,format=S16LE,rate=48000,channels=4";
        assert!(!made(&format!("{four},channel-mask=(bitmask)0")));
        assert!(!made(
            "audio/x-adpcm,layout=dvi,block_align=1024,rate=8000,channels=1"
        ));
        let aac: gst::Caps = "audio/mpeg,mpegversion=4".parse().unwrap();
        assert!(!are_counted(&aac));
    }
}
