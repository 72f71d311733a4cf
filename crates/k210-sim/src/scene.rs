// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the simulated camera looks at.

use std::ops::Range;
use std::time::Duration;

use super::{counter, font};

/// A picture in RGB, 3 bytes a pixel, rows without padding.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `3 * width * height` bytes.
    pub rgb: Vec<u8>,
}

impl Frame {
    /// Gives the picture a size; what it shows is then undefined.
    pub fn resize(&mut self, width: usize, height: usize) {
        self.width = width;
        self.height = height;
        self.rgb.resize(3 * width * height, 0);
    }

    /// Scales the largest part of the middle of `from` that has this picture's shape into it, each
    /// pixel the mean of those it covers.
    pub fn show_middle_of(&mut self, from: &Frame) {
        if from.width == 0 || from.height == 0 || self.width == 0 || self.height == 0 {
            return;
        }
        let (width, height) = if from.width * self.height > from.height * self.width {
            ((from.height * self.width / self.height).max(1), from.height)
        } else {
            (from.width, (from.width * self.height / self.width).max(1))
        };
        let left = (from.width - width) / 2;
        let top = (from.height - height) / 2;
        let spans = |count: usize, length: usize, start: usize| -> Vec<(usize, usize)> {
            (0..count)
                .map(|index| {
                    let first = index * length / count;
                    let last = ((index + 1) * length / count).max(first + 1);
                    (start + first, start + last)
                })
                .collect()
        };
        let columns = spans(self.width, width, left);
        for (row, (top, bottom)) in
            self.rgb
                .chunks_exact_mut(3 * self.width)
                .zip(spans(self.height, height, top))
        {
            for (pixel, &(left, right)) in row.chunks_exact_mut(3).zip(&columns) {
                pixel.copy_from_slice(&from.mean(left..right, top..bottom));
            }
        }
    }

    /// The mean of the pixels of some columns and rows.
    fn mean(&self, columns: Range<usize>, rows: Range<usize>) -> [u8; 3] {
        let count = (columns.len() * rows.len()) as u32;
        let mut sums = [0u32; 3];
        for y in rows {
            let start = 3 * (y * self.width + columns.start);
            let samples = &self.rgb[start..start + 3 * columns.len()];
            for sample in samples.chunks_exact(3) {
                for (sum, &value) in sums.iter_mut().zip(sample) {
                    *sum += u32::from(value);
                }
            }
        }
        sums.map(|sum| (sum / count) as u8)
    }

    fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, color: [u8; 3]) {
        let right = (x + width).min(self.width);
        if x >= right {
            return;
        }
        for row in y..(y + height).min(self.height) {
            let start = 3 * (row * self.width + x);
            for pixel in self.rgb[start..start + 3 * (right - x)].chunks_exact_mut(3) {
                pixel.copy_from_slice(&color);
            }
        }
    }

    fn text(&mut self, x: usize, y: usize, scale: usize, text: &str, color: [u8; 3]) {
        for (index, character) in text.chars().enumerate() {
            let left = x + index * (font::WIDTH + 1) * scale;
            for (row, bits) in font::glyph(character).into_iter().enumerate() {
                for column in 0..font::WIDTH {
                    if bits >> (font::WIDTH - 1 - column) & 1 == 1 {
                        self.fill(left + column * scale, y + row * scale, scale, scale, color);
                    }
                }
            }
        }
    }
}

/// Something a camera can look at.
pub trait Scene: Send {
    /// Draws what the sensor sees into `frame`, whose size is set; `number` counts the frames that
    /// were asked for, `time` is the board's time since it was first powered.
    fn draw(&mut self, frame: &mut Frame, number: u32, time: Duration);
}

/// The built-in scene: a coloured ground, a ball that moves a full round in four seconds, the frame
/// number and the time in figures, and the number for programs ([`counter`]).
#[derive(Clone, Copy, Debug, Default)]
pub struct TestScene;

impl Scene for TestScene {
    fn draw(&mut self, frame: &mut Frame, number: u32, time: Duration) {
        let (width, height) = (frame.width, frame.height);
        if width == 0 || height == 0 {
            return;
        }
        for (y, row) in frame.rgb.chunks_exact_mut(3 * width).enumerate() {
            let green = 60 + 120 * y / height;
            for (x, pixel) in row.chunks_exact_mut(3).enumerate() {
                let red = 40 + 120 * x / width;
                pixel.copy_from_slice(&[red as u8, green as u8, (200 - red / 2) as u8]);
            }
        }

        let angle = time.as_secs_f32() / 4.0 * std::f32::consts::TAU;
        let radius = width.min(height) as f32 / 12.0;
        let centre_x = width as f32 * (0.5 + 0.35 * angle.sin());
        let centre_y = height as f32 * (0.55 - 0.2 * angle.cos());
        let top = (centre_y - radius).max(0.0) as usize;
        let bottom = ((centre_y + radius) as usize + 1).min(height);
        for y in top..bottom {
            let half = (radius * radius - (y as f32 - centre_y).powi(2))
                .max(0.0)
                .sqrt();
            let left = (centre_x - half).max(0.0) as usize;
            let right = ((centre_x + half).max(0.0) as usize).min(width);
            if left < right {
                frame.fill(left, y, right - left, 1, [240, 200, 40]);
            }
        }

        let scale = (width / 160).max(1);
        let line = (font::HEIGHT + 2) * scale;
        let white = [255; 3];
        frame.text(
            2 * scale,
            2 * scale,
            scale,
            &format!("FRAME {number}"),
            white,
        );
        let (seconds, millis) = (time.as_secs(), time.subsec_millis());
        let clock = format!(
            "{:02}:{:02}:{:02}.{millis:03}",
            seconds / 3600 % 100,
            seconds / 60 % 60,
            seconds % 60
        );
        frame.text(2 * scale, 2 * scale + line, scale, &clock, white);

        counter::draw(&mut frame.rgb, width, height, 3 * width, number as u16);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_scaled() {
        let mut from = Frame::default();
        from.resize(8, 2);
        for (x, pixel) in from.rgb.chunks_exact_mut(3).enumerate() {
            pixel.fill(if (2..6).contains(&(x % 8)) { 200 } else { 10 });
        }
        let mut to = Frame::default();
        to.resize(2, 1);
        to.show_middle_of(&from);
        assert_eq!(to.rgb, [200; 6]);
        to.resize(3, 5);
        to.show_middle_of(&from);
        assert_eq!(to.rgb.len(), 45);
    }

    #[test]
    fn every_size_can_be_drawn_and_read() {
        for (width, height) in [(40, 30), (88, 60), (64, 32), (320, 240), (640, 480), (8, 8)] {
            let mut frame = Frame::default();
            frame.resize(width, height);
            TestScene.draw(&mut frame, 0x1234, Duration::from_millis(3_723_004));
            let green: Vec<u8> = frame.rgb.iter().skip(1).step_by(3).copied().collect();
            let number = counter::read(&green, width, height, width);
            assert_eq!(number, (width >= counter::CELLS).then_some(0x1234));
        }
    }

    #[test]
    fn the_scene_moves() {
        let mut frames = [0, 500, 1000].map(|millis| {
            let mut frame = Frame::default();
            frame.resize(160, 120);
            TestScene.draw(&mut frame, 7, Duration::from_millis(millis));
            // Below the clock, above the counter.
            frame.rgb[160 * 3 * 30..160 * 3 * 100].to_vec()
        });
        frames.sort();
        assert!(frames[0] != frames[1] && frames[1] != frames[2]);
    }
}
