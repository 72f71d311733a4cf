// SPDX-License-Identifier: MIT OR Apache-2.0
//! Regions of interest.

use super::{MAX_QP, Mirror, Rotation};

/// Regions of one picture that the driver takes (`V4L2_MVX_MAX_FRAME_REGIONS`).
pub const MAX_REGIONS: usize = 16;

/// The side of a block that a region is made of, for H.264 and H.265 alike (`MVE_FRAME_REGION` of
/// the firmware's protocol: "in 16x16 units").
const BLOCK: u32 = 16;

/// A part of a picture that is to be encoded finer or coarser than the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Region {
    /// Its left edge, in pixels of the picture given in.
    pub x: u32,
    /// Its top edge, in pixels.
    pub y: u32,
    /// Its width in pixels.
    pub width: u32,
    /// Its height in pixels.
    pub height: u32,
    /// What is added to the quantizer: -51 to 51, below 0 is finer.
    pub qp_delta: i32,
}

/// The blocks of a region: `left <= x < right` and `top <= y < bottom`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocks {
    /// The first column.
    pub left: u16,
    /// The column behind the last.
    pub right: u16,
    /// The first row.
    pub top: u16,
    /// The row behind the last.
    pub bottom: u16,
}

impl Region {
    /// The delta within the range of quantizers.
    pub fn clamped_delta(self) -> i16 {
        let most = MAX_QP as i32;
        self.qp_delta.clamp(-most, most) as i16
    }

    /// The part of it that is inside a picture of such a size, if any.
    fn inside(self, (width, height): (u32, u32)) -> Option<Self> {
        let right = self.x.saturating_add(self.width).min(width);
        let bottom = self.y.saturating_add(self.height).min(height);
        Some(Self {
            width: right.checked_sub(self.x).filter(|width| *width > 0)?,
            height: bottom.checked_sub(self.y).filter(|height| *height > 0)?,
            ..self
        })
    }

    /// The blocks of the encoded picture that it touches, where a picture of `size` is mirrored and
    /// then rotated on its way in. `None` if it is outside the picture.
    pub fn blocks(self, size: (u32, u32), mirror: Mirror, rotation: Rotation) -> Option<Blocks> {
        let (width, height) = size;
        let mut region = self.inside(size)?;
        match mirror {
            Mirror::None => {}
            Mirror::Horizontal => region.x = width - region.x - region.width,
            Mirror::Vertical => region.y = height - region.y - region.height,
        }
        let (x, y) = (region.x, region.y);
        let to_right = width - x - region.width;
        let to_bottom = height - y - region.height;
        (region.x, region.y) = match rotation {
            Rotation::None => (x, y),
            Rotation::Quarter => (to_bottom, x),
            Rotation::Half => (to_right, to_bottom),
            Rotation::ThreeQuarters => (y, to_right),
        };
        if rotation.swaps_sides() {
            (region.width, region.height) = (region.height, region.width);
        }
        Some(Blocks {
            left: (region.x / BLOCK) as u16,
            right: (region.x + region.width).div_ceil(BLOCK) as u16,
            top: (region.y / BLOCK) as u16,
            bottom: (region.y + region.height).div_ceil(BLOCK) as u16,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGION: Region = Region {
        x: 32,
        y: 16,
        width: 48,
        height: 32,
        qp_delta: -4,
    };

    fn blocks(region: Region, mirror: Mirror, rotation: Rotation) -> Option<[u16; 4]> {
        region
            .blocks((320, 240), mirror, rotation)
            .map(|b| [b.left, b.right, b.top, b.bottom])
    }

    #[test]
    fn a_region_is_the_blocks_that_it_touches() {
        let straight = |region| blocks(region, Mirror::None, Rotation::None);
        assert_eq!(straight(REGION), Some([2, 5, 1, 3]));
        let larger = Region {
            x: 31,
            width: 50,
            ..REGION
        };
        assert_eq!(straight(larger), Some([1, 6, 1, 3]));
        let beyond = Region {
            width: u32::MAX,
            height: u32::MAX,
            ..REGION
        };
        assert_eq!(straight(beyond), Some([2, 20, 1, 15]));
        for outside in [
            Region { x: 320, ..REGION },
            Region { y: 999, ..REGION },
            Region { width: 0, ..REGION },
        ] {
            assert_eq!(straight(outside), None);
        }
    }

    #[test]
    fn it_turns_with_the_picture() {
        use {Mirror as M, Rotation as R};
        for (mirror, rotation, expected) in [
            (M::Horizontal, R::None, [15, 18, 1, 3]),
            (M::Vertical, R::None, [2, 5, 12, 14]),
            // 240x320 from here on.
            (M::None, R::Quarter, [12, 14, 2, 5]),
            (M::None, R::ThreeQuarters, [1, 3, 15, 18]),
            (M::None, R::Half, [15, 18, 12, 14]),
            (M::Horizontal, R::Half, [2, 5, 12, 14]),
        ] {
            assert_eq!(
                blocks(REGION, mirror, rotation),
                Some(expected),
                "{mirror:?} {rotation:?}"
            );
        }
    }

    #[test]
    fn deltas_stay_within_the_quantizers() {
        let delta = |qp_delta| Region { qp_delta, ..REGION }.clamped_delta();
        assert_eq!((delta(-99), delta(7), delta(i32::MAX)), (-51, 7, 51));
    }
}
