// SPDX-License-Identifier: MIT OR Apache-2.0
//! How large pictures become that are scaled. Knows no GStreamer.

/// Pictures as they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// How wide a pixel is, as a fraction of how high.
    pub pixel: (u32, u32),
}

/// Columns and rows of the scaled pictures, whose pixels are square; `None` if they stay as they are.
/// 0 is in proportion to the other, and to be even, as encoders want it.
pub(crate) fn scaled(from: Shape, width: u32, height: u32) -> Option<(u32, u32)> {
    let rows = u64::from(from.height.max(1)) * u64::from(from.pixel.1.max(1));
    let columns = u64::from(from.width.max(1)) * u64::from(from.pixel.0.max(1));
    let proportional = |given: u32, part: u64, whole: u64| {
        let pairs = (u64::from(given) * part + whole) / (2 * whole);
        u32::try_from(2 * pairs.max(1)).unwrap_or(u32::MAX)
    };
    match (width, height) {
        (0, 0) => None,
        (width, 0) => Some((width, proportional(width, rows, columns))),
        (0, height) => Some((proportional(height, columns, rows), height)),
        both => Some(both),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_follows_from_the_shape() {
        let square = |width, height| Shape {
            width,
            height,
            pixel: (1, 1),
        };
        assert_eq!(scaled(square(1920, 1080), 0, 0), None);
        assert_eq!(scaled(square(1920, 1080), 320, 240), Some((320, 240)));
        assert_eq!(scaled(square(1920, 1080), 320, 0), Some((320, 180)));
        assert_eq!(scaled(square(1080, 1920), 0, 240), Some((136, 240)));
        // Half a picture's pixels, of a DV tape in 16:9.
        let pixel = (64, 45);
        let tape = Shape {
            width: 720,
            height: 576,
            pixel,
        };
        assert_eq!(scaled(tape, 320, 0), Some((320, 180)));
        assert_eq!(scaled(square(10_000, 1), 320, 0), Some((320, 2)));
        assert_eq!(scaled(square(0, 0), 320, 0), Some((320, 320)));
    }
}
