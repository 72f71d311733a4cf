// SPDX-License-Identifier: MIT OR Apache-2.0
//! The frame number that the test scene draws for programs to read.
//!
//! The bottom eighth of the picture holds [`CELLS`] equally wide cells over the full width: white,
//! black, the 16 bits of the number (most significant first, white is one), a bit that makes the
//! number of ones even, white. The outer cells give a reader the levels of white and black whatever
//! the picture went through, and the parity bit and the last cell tell it when it is not looking at
//! a counter, or at a damaged one.

/// Cells across the picture.
pub const CELLS: usize = 20;

/// Least contrast, in luma steps, between the white and the black cell of a readable counter.
const CONTRAST: u32 = 48;

/// The cells of `number` from left to right; true is white.
fn cells(number: u16) -> [bool; CELLS] {
    let mut cells = [false; CELLS];
    cells[0] = true;
    for (bit, cell) in cells[2..18].iter_mut().enumerate() {
        *cell = number >> (15 - bit) & 1 == 1;
    }
    cells[18] = number.count_ones() % 2 == 1;
    cells[19] = true;
    cells
}

/// First row of the band in a picture of `height` rows.
fn band(height: usize) -> usize {
    height - height / 8
}

/// Draws `number` into the bottom eighth of an RGB picture, 3 bytes a pixel, rows `stride` bytes
/// apart. Pictures of less than 8 rows have no band and stay as they are.
///
/// # Panics
///
/// When `rgb` is smaller than `height` rows of `stride` bytes.
pub fn draw(rgb: &mut [u8], width: usize, height: usize, stride: usize, number: u16) {
    let cells = cells(number);
    for y in band(height)..height {
        let row = &mut rgb[y * stride..][..3 * width];
        for (x, pixel) in row.chunks_exact_mut(3).enumerate() {
            pixel.fill(if cells[x * CELLS / width] { 255 } else { 0 });
        }
    }
}

/// Reads the number from a picture's luma, rows `stride` bytes apart. `None` if the picture is too
/// small, too flat, or its cells are not a counter.
pub fn read(luma: &[u8], width: usize, height: usize, stride: usize) -> Option<u16> {
    let rows = height / 8;
    if width < CELLS || rows == 0 || stride < width || luma.len() < (height - 1) * stride + width {
        return None;
    }
    // The middle half of a cell, away from the edges that compression blurs.
    let top = band(height) + rows / 4;
    let bottom = (band(height) + rows - rows / 4).max(top + 1);
    let mut levels = [0u32; CELLS];
    for (cell, level) in levels.iter_mut().enumerate() {
        let edge = |cell: usize| (cell * width).div_ceil(CELLS);
        let (start, end) = (edge(cell), edge(cell + 1));
        let margin = (end - start) / 4;
        let (start, end) = (start + margin, end - margin);
        let sum: u32 = (top..bottom)
            .flat_map(|y| &luma[y * stride + start..y * stride + end])
            .map(|&sample| u32::from(sample))
            .sum();
        *level = sum / ((bottom - top) * (end - start)) as u32;
    }
    let (white, black) = (levels[0].min(levels[CELLS - 1]), levels[1]);
    if white < black + CONTRAST {
        return None;
    }
    let threshold = (white + black) / 2;
    let bits = levels[2..18].iter().fold(0u16, |bits, &level| {
        bits << 1 | u16::from(level > threshold)
    });
    let parity = levels[18] > threshold;
    (parity == (bits.count_ones() % 2 == 1)).then_some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: usize, height: usize, number: u16) -> Vec<u8> {
        let stride = 3 * width + 5;
        let mut rgb = vec![90; stride * height];
        draw(&mut rgb, width, height, stride, number);
        (0..height)
            .flat_map(|y| (0..width).map(move |x| y * stride + 3 * x))
            .map(|at| rgb[at])
            .collect()
    }

    #[test]
    fn numbers_survive_the_picture() {
        for (width, height) in [
            (320, 240),
            (160, 120),
            (40, 30),
            (88, 72),
            (641, 479),
            (20, 8),
        ] {
            for number in [0, 1, 2, 0x5555, 0xaaaa, 0x8000, 0xffff, 12345] {
                let luma = picture(width, height, number);
                assert_eq!(
                    read(&luma, width, height, width),
                    Some(number),
                    "{number} at {width}x{height}"
                );
            }
        }
    }

    #[test]
    fn a_flipped_cell_is_noticed() {
        let mut luma = picture(320, 240, 77);
        for y in band(240)..240 {
            for sample in &mut luma[y * 320 + 5 * 16..][..16] {
                *sample = 255 - *sample;
            }
        }
        assert_eq!(read(&luma, 320, 240, 320), None);
    }

    #[test]
    fn what_is_no_counter_is_refused() {
        assert_eq!(read(&[128; 320 * 240], 320, 240, 320), None);
        assert_eq!(read(&[255; 16 * 16], 16, 16, 16), None);
        assert_eq!(read(&[0; 10], 320, 240, 320), None);
    }
}
