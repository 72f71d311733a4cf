// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the camera sees: eight colour bars, a bright square that crosses them once in four
//! seconds, and a row of sixteen fields along the lower edge that count the frames in binary.

/// The bars' colours in BT.601, limited range: white, yellow, cyan, green, magenta, red, blue,
/// black at 75 %.
const BARS: [[u8; 3]; 8] = [
    [180, 128, 128],
    [162, 44, 142],
    [131, 156, 44],
    [112, 72, 58],
    [84, 184, 198],
    [65, 100, 212],
    [35, 212, 114],
    [16, 128, 128],
];

/// Draws frame `count` of a camera of `fps` frames a second as NV12.
pub(crate) fn draw(y: &mut [u8], uv: &mut [u8], width: usize, height: usize, count: u64, fps: u32) {
    let mut row = vec![0u8; width];
    let mut chroma = vec![0u8; width];
    for x in 0..width {
        row[x] = BARS[x * 8 / width][0];
    }
    for x in 0..width / 2 {
        let bar = BARS[x * 16 / width];
        chroma[2 * x] = bar[1];
        chroma[2 * x + 1] = bar[2];
    }
    for line in y.chunks_exact_mut(width).take(height) {
        line.copy_from_slice(&row);
    }
    for line in uv.chunks_exact_mut(width).take(height / 2) {
        line.copy_from_slice(&chroma);
    }

    let side = (height / 5).max(2);
    let period = u64::from(fps.max(1)) * 4;
    let left = ((count % period) as usize * (width - side)) / period as usize;
    let top = (height - side) / 2;
    for line in y.chunks_exact_mut(width).skip(top).take(side) {
        line[left..left + side].fill(235);
    }

    let field = width / 16;
    let edge = (height / 20).max(2);
    for line in y.chunks_exact_mut(width).take(height).skip(height - edge) {
        for bit in 0..16 {
            let value = if count >> (15 - bit) & 1 == 1 {
                235
            } else {
                16
            };
            line[bit * field..(bit + 1) * field].fill(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_counted_and_move() {
        let (width, height) = (320, 240);
        let picture = |count| {
            let mut y = vec![0; width * height];
            let mut uv = vec![0; width * height / 2];
            draw(&mut y, &mut uv, width, height, count, 30);
            (y, uv)
        };
        let (first, _) = picture(0);
        let (later, uv) = picture(5);
        assert_ne!(first, later);
        let last_row = &later[width * (height - 1)..];
        let number = (0..16).fold(0, |n, bit| {
            n << 1 | u32::from(last_row[bit * 20 + 10] > 128)
        });
        assert_eq!(number, 5);
        assert_eq!(&uv[..2], &[128, 128]);
    }
}
