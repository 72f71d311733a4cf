// SPDX-License-Identifier: MIT OR Apache-2.0
//! The camera: an OV2640 and the frame buffer behind it (`sensor.c`, `ov2640.c`, `framebuffer.c`).
//!
//! A snapshot first compresses the frame of the snapshot before for the debug protocol, then waits
//! for the sensor's next frame, as the firmware does; so a frame reaches the host one snapshot late,
//! and never twice.
//!
//! What is not taken from the firmware: the sensor's frames come at an even rate whatever the frame
//! size, and compressing takes no time of the board's clock. The effect of registers on the picture
//! is one that can be seen, not the sensor's own. The memory that `malloc` gives frame buffers is
//! that of a stock build: a frame size beyond 800x600 is refused.

use std::time::Duration;

use super::board::Shared;
use super::font;
use super::jpeg::{self, Picture};
use super::scene::{Frame, Scene};

/// `OV2640_ID`.
pub(crate) const CHIP_ID: u16 = 0x2642;

/// `resolution`, by `framesize_t`.
pub(crate) const RESOLUTIONS: [(u16, u16); 27] = [
    (0, 0),
    (88, 72),
    (176, 144),
    (352, 288),
    (88, 60),
    (176, 120),
    (352, 240),
    (40, 30),
    (80, 60),
    (160, 120),
    (320, 240),
    (640, 480),
    (60, 40),
    (120, 80),
    (240, 160),
    (64, 32),
    (64, 64),
    (128, 64),
    (128, 128),
    (240, 240),
    (128, 160),
    (128, 160),
    (720, 480),
    (752, 480),
    (800, 600),
    (1280, 1024),
    (1600, 1200),
];

/// `pixformat_t`.
pub(crate) mod pixformat {
    pub(crate) const RGB565: i64 = 2;
    pub(crate) const YUV422: i64 = 3;
    pub(crate) const GRAYSCALE: i64 = 4;
}

/// Five bytes a pixel (RGB565 and the three planes for the neural network) are what a frame takes.
const FRAME_MEMORY: usize = 3 << 20;

/// The exposure that shows the scene as it is, in microseconds.
const EXPOSURE_US: i64 = 16_000;

/// The sensor's registers. Scripts write them, and so does ATTR_WRITE.
#[derive(Clone, Debug)]
pub(crate) struct Registers {
    /// A sensor was found: the driver's functions are there.
    pub present: bool,
    pub contrast: i32,
    pub brightness: i32,
    pub saturation: i32,
    /// `gainceiling_t`; 0 is 2x, each step doubles it.
    pub gain_ceiling: i32,
    pub colorbar: bool,
    pub hmirror: bool,
    pub vflip: bool,
    /// `None` while automatic.
    pub gain_db: Option<f64>,
    /// `None` while automatic.
    pub exposure_us: Option<i64>,
    pub auto_whitebal: bool,
}

impl Default for Registers {
    fn default() -> Self {
        Registers {
            present: false,
            contrast: 0,
            brightness: 0,
            saturation: 0,
            gain_ceiling: 0,
            colorbar: false,
            hmirror: false,
            vflip: false,
            gain_db: None,
            exposure_us: None,
            auto_whitebal: true,
        }
    }
}

/// A level that the OV2640's driver takes: its check lets -3 through, and then writes the table's
/// first row of register addresses as if they were values. Here that is the lowest level.
fn level(value: i64) -> Option<i32> {
    (-3..=2).contains(&value).then(|| value.max(-2) as i32)
}

impl Registers {
    /// `sensor_set_contrast`; false where the firmware returns -1.
    pub(crate) fn set_contrast(&mut self, value: i64) -> bool {
        self.set(value, |registers| &mut registers.contrast)
    }

    /// `sensor_set_brightness`.
    pub(crate) fn set_brightness(&mut self, value: i64) -> bool {
        self.set(value, |registers| &mut registers.brightness)
    }

    /// `sensor_set_saturation`.
    pub(crate) fn set_saturation(&mut self, value: i64) -> bool {
        self.set(value, |registers| &mut registers.saturation)
    }

    fn set(&mut self, value: i64, register: fn(&mut Self) -> &mut i32) -> bool {
        match level(value) {
            Some(level) if self.present => {
                *register(self) = level;
                true
            }
            _ => false,
        }
    }

    /// ATTR_WRITE. The gain ceiling's value is the enumeration's, as the driver takes it.
    pub(crate) fn set_attribute(&mut self, attribute: i16, value: i16) {
        let value = i64::from(value);
        match attribute {
            0 => drop(self.set_contrast(value)),
            1 => drop(self.set_brightness(value)),
            2 => drop(self.set_saturation(value)),
            3 if self.present => self.gain_ceiling = (value & 7) as i32,
            _ => {}
        }
    }

    /// What the sensor makes of the scene.
    fn apply(&self, frame: &mut Frame) {
        if self.colorbar {
            colorbar(frame);
        } else if self.contrast != 0
            || self.brightness != 0
            || self.saturation != 0
            || self.gain_db.is_some()
            || self.exposure_us.is_some()
        {
            self.grade(frame);
        }
        let row = 3 * frame.width;
        if self.vflip {
            let height = frame.height;
            for y in 0..height / 2 {
                let (upper, lower) = frame.rgb.split_at_mut((height - 1 - y) * row);
                upper[y * row..][..row].swap_with_slice(&mut lower[..row]);
            }
        }
        if self.hmirror {
            for row in frame.rgb.chunks_exact_mut(row) {
                row.reverse();
                for pixel in row.chunks_exact_mut(3) {
                    pixel.reverse();
                }
            }
        }
    }

    fn grade(&self, frame: &mut Frame) {
        let mut light = 1.0;
        if let Some(gain) = self.gain_db {
            light *= 10f64.powf((gain - 6.0) / 20.0);
        }
        if let Some(exposure) = self.exposure_us {
            light *= exposure as f64 / EXPOSURE_US as f64;
        }
        let contrast = 1.0 + 0.2 * f64::from(self.contrast);
        let brightness = 24.0 * f64::from(self.brightness);
        let tone: Vec<u8> = (0..256)
            .map(|value| {
                let lit = (f64::from(value) * light).min(255.0);
                ((lit - 128.0) * contrast + 128.0 + brightness) as u8
            })
            .collect();
        let saturation = 256 + 80 * self.saturation;
        for pixel in frame.rgb.chunks_exact_mut(3) {
            for sample in pixel.iter_mut() {
                *sample = tone[usize::from(*sample)];
            }
            if self.saturation != 0 {
                let gray = i32::from(luma(pixel));
                for sample in pixel {
                    let color = gray + (i32::from(*sample) - gray) * saturation / 256;
                    *sample = color.clamp(0, 255) as u8;
                }
            }
        }
    }
}

fn colorbar(frame: &mut Frame) {
    const BARS: [[u8; 3]; 8] = [
        [255, 255, 255],
        [255, 255, 0],
        [0, 255, 255],
        [0, 255, 0],
        [255, 0, 255],
        [255, 0, 0],
        [0, 0, 255],
        [0, 0, 0],
    ];
    let width = frame.width;
    for row in frame.rgb.chunks_exact_mut(3 * width) {
        for (x, pixel) in row.chunks_exact_mut(3).enumerate() {
            pixel.copy_from_slice(&BARS[x * BARS.len() / width]);
        }
    }
}

/// BT.601.
fn luma(rgb: &[u8]) -> u8 {
    ((u32::from(rgb[0]) * 299 + u32::from(rgb[1]) * 587 + u32::from(rgb[2]) * 114) / 1000) as u8
}

/// `framebuffer_t`.
#[derive(Debug, Default)]
pub(crate) struct MainBuffer {
    pub width: usize,
    pub height: usize,
    x: usize,
    y: usize,
    u: usize,
    v: usize,
    /// -1 until a frame came after the geometry changed, 1 for gray, 2 for colour.
    pub bpp: i32,
    /// RGB with RGB565's precision, or luma when `bpp` is 1.
    pub pixels: Vec<u8>,
    /// The script has drawn on the picture.
    pub drawn: bool,
}

/// A picture compressed ahead of the snapshot that hands it out.
struct Ahead {
    width: usize,
    height: usize,
    quality: i32,
    stream: Vec<u8>,
}

/// What the drawing methods of `image` do, as far as it shows.
impl MainBuffer {
    /// The samples of a pixel: one of gray, three of colour.
    pub(crate) fn pixel(&self, x: i64, y: i64) -> Option<&[u8]> {
        let samples = if self.bpp == 1 { 1 } else { 3 };
        let (x, y) = (usize::try_from(x).ok()?, usize::try_from(y).ok()?);
        if x >= self.width || y >= self.height {
            return None;
        }
        let start = samples * (y * self.width + x);
        self.pixels.get(start..start + samples)
    }

    /// Sets a pixel; outside of the picture nothing happens.
    pub(crate) fn plot(&mut self, x: i64, y: i64, color: [u8; 3]) {
        self.fill(x, y, 1, 1, color);
    }

    /// Fills what of a rectangle is inside of the picture.
    pub(crate) fn fill(&mut self, x: i64, y: i64, width: i64, height: i64, color: [u8; 3]) {
        self.drawn = true;
        let clip = |value: i64, end: usize| value.clamp(0, end as i64) as usize;
        let (left, right) = (clip(x, self.width), clip(x + width, self.width));
        for row in clip(y, self.height)..clip(y + height, self.height) {
            for column in left..right {
                let at = row * self.width + column;
                if self.bpp == 1 {
                    if let Some(sample) = self.pixels.get_mut(at) {
                        *sample = luma(&color);
                    }
                } else if let Some(pixel) = self.pixels.get_mut(3 * at..3 * at + 3) {
                    pixel.copy_from_slice(&color);
                }
            }
        }
    }

    /// Makes the picture black.
    pub(crate) fn clear(&mut self) {
        self.drawn = true;
        self.pixels.fill(0);
    }

    /// A straight line.
    pub(crate) fn line(
        &mut self,
        x0: i64,
        y0: i64,
        x1: i64,
        y1: i64,
        thickness: i64,
        color: [u8; 3],
    ) {
        let reach = |value: i64| value.clamp(-10_000, 10_000);
        let (x0, y0, x1, y1) = (reach(x0), reach(y0), reach(x1), reach(y1));
        let steps = (x1 - x0).abs().max((y1 - y0).abs()).max(1);
        for step in 0..=steps {
            let x = x0 + (x1 - x0) * step / steps;
            let y = y0 + (y1 - y0) * step / steps;
            let half = thickness / 2;
            self.fill(x - half, y - half, thickness, thickness, color);
        }
    }

    /// A circle's outline, or its area.
    pub(crate) fn circle(&mut self, x: i64, y: i64, radius: i64, fill: bool, color: [u8; 3]) {
        let radius = radius.clamp(0, 10_000);
        let half = |dy: i64| ((radius * radius - dy * dy) as f64).sqrt() as i64;
        for dy in -radius..=radius {
            let dx = half(dy);
            if fill {
                self.fill(x - dx, y + dy, 2 * dx + 1, 1, color);
            } else {
                for (x, y) in [
                    (x - dx, y + dy),
                    (x + dx, y + dy),
                    (x + dy, y - dx),
                    (x + dy, y + dx),
                ] {
                    self.plot(x, y, color);
                }
            }
        }
    }

    /// A line of text.
    pub(crate) fn text(&mut self, x: i64, y: i64, scale: i64, text: &str, color: [u8; 3]) {
        for (index, character) in text.chars().enumerate() {
            let left = x + index as i64 * (font::WIDTH as i64 + 1) * scale;
            for (row, bits) in font::glyph(character).into_iter().enumerate() {
                for column in (0..font::WIDTH).filter(|c| bits >> (font::WIDTH - 1 - c) & 1 == 1) {
                    let at = left + column as i64 * scale;
                    self.fill(at, y + row as i64 * scale, scale, scale, color);
                }
            }
        }
    }
}

/// Why there is no snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SnapshotError {
    /// -1: no frame within 300 ms.
    Timeout,
    /// -2: `reset` and `set_framesize` come first.
    NotInitialized,
    /// The processor stopped.
    Halt,
}

/// The processor's part of the camera.
pub(crate) struct Camera {
    scene: Box<dyn Scene>,
    /// Nanoseconds a frame.
    period: u64,
    /// Frames taken from the sensor since the board was made.
    number: u32,
    frame: Frame,
    pub buffer: MainBuffer,
    ahead: Option<Ahead>,
    reset_set: bool,
    size_set: bool,
    running: bool,
    pub pixformat: i64,
    pub framesize: usize,
}

impl Camera {
    pub(crate) fn new(scene: Box<dyn Scene>, frame_rate: f64) -> Self {
        Camera {
            scene,
            period: (1e9 / frame_rate.clamp(0.1, 1000.0)) as u64,
            number: 0,
            frame: Frame::default(),
            buffer: MainBuffer::default(),
            ahead: None,
            reset_set: false,
            size_set: false,
            running: false,
            pixformat: 0,
            framesize: 0,
        }
    }

    /// A reset of the chip.
    pub(crate) fn power_cycle(&mut self) {
        self.buffer = MainBuffer::default();
        self.reset_set = false;
        self.size_set = false;
        self.running = false;
        self.pixformat = 0;
        self.framesize = 0;
    }

    /// `sensor_reset`. A frame size set before survives as far as the firmware lets it.
    pub(crate) fn reset(&mut self, shared: &Shared) {
        let mut state = shared.lock();
        state.core.jpeg.init();
        state.core.registers = Registers {
            present: true,
            ..Registers::default()
        };
        self.buffer = MainBuffer::default();
        self.pixformat = 0;
        self.framesize = 0;
        self.reset_set = true;
        if self.size_set {
            self.running = true;
        }
    }

    /// True once `reset` found the sensor.
    pub(crate) fn is_reset(&self) -> bool {
        self.reset_set
    }

    /// `sensor_run`.
    pub(crate) fn run(&mut self, enable: bool) {
        self.running = enable;
    }

    /// `sensor_set_pixformat`; false where it is not supported.
    pub(crate) fn set_pixformat(&mut self, format: i64) -> bool {
        let known = matches!(
            format,
            pixformat::RGB565 | pixformat::YUV422 | pixformat::GRAYSCALE
        );
        if !known || !self.reset_set {
            return false;
        }
        self.pixformat = format;
        self.buffer.bpp = -1;
        true
    }

    /// `sensor_set_framesize`; the error is an errno.
    pub(crate) fn set_framesize(&mut self, framesize: i64) -> Result<(), i64> {
        const EIO: i64 = 5;
        const ENOMEM: i64 = 12;
        self.size_set = false;
        let size = usize::try_from(framesize).ok();
        let Some(&(width, height)) = size.and_then(|size| RESOLUTIONS.get(size)) else {
            // The firmware indexes its table with it unchecked.
            return Err(EIO);
        };
        if !self.reset_set {
            return Err(EIO);
        }
        self.framesize = framesize as usize;
        let (width, height) = (usize::from(width), usize::from(height));
        self.buffer = MainBuffer {
            width,
            height,
            bpp: -1,
            ..MainBuffer::default()
        };
        if width * height * 5 > FRAME_MEMORY {
            return Err(ENOMEM);
        }
        self.buffer.u = width;
        self.buffer.v = height;
        self.running = true;
        self.size_set = true;
        Ok(())
    }

    /// `sensor_set_windowing`, whose arguments the script's module has checked. The picture that is
    /// in the buffer keeps its bytes and is read with the new width until the next one comes.
    pub(crate) fn set_windowing(&mut self, x: usize, y: usize, width: usize, height: usize) {
        self.buffer.x = x;
        self.buffer.y = y;
        self.buffer.width = width;
        self.buffer.u = width;
        self.buffer.height = height;
        self.buffer.v = height;
    }

    /// The picture in the buffer, if there is one.
    fn picture(&self) -> Option<Picture<'_>> {
        let buffer = &self.buffer;
        let grayscale = buffer.bpp == 1;
        let length = buffer.width * buffer.height * if grayscale { 1 } else { 3 };
        if buffer.bpp <= 0 || length == 0 {
            return None;
        }
        Some(Picture {
            width: buffer.width as u16,
            height: buffer.height as u16,
            grayscale,
            data: buffer.pixels.get(..length)?,
        })
    }

    /// `fb_update_jpeg_buffer`.
    pub(crate) fn update_jpeg(&mut self, shared: &Shared) {
        let ahead = self.ahead.take();
        let Some(picture) = self.picture() else {
            return;
        };
        let Some(quality) = shared.lock().core.jpeg.begin() else {
            return;
        };
        let fits = |ahead: &Ahead| {
            let size = (ahead.width, ahead.height);
            size == (self.buffer.width, self.buffer.height) && ahead.quality == quality
        };
        let stream = match ahead.filter(|ahead| fits(ahead) && !self.buffer.drawn) {
            Some(ahead) => ahead.stream,
            None => jpeg::encode(picture, quality),
        };
        shared.lock().core.jpeg.finish(picture, &stream);
    }

    /// Compresses the picture that has just come, which the next snapshot will want: the time it
    /// takes here is not the board's.
    fn compress_ahead(&mut self, shared: &Shared) {
        let (enabled, quality) = {
            let jpeg = &shared.lock().core.jpeg;
            (jpeg.enabled != 0, jpeg.quality)
        };
        self.ahead = self.picture().filter(|_| enabled).map(|picture| Ahead {
            width: self.buffer.width,
            height: self.buffer.height,
            quality,
            stream: jpeg::encode(picture, quality),
        });
    }

    /// `sensor_snapshot`. `wait` lets time pass until then, and until no interrupt handler keeps the
    /// processor; it is false when the processor stopped.
    pub(crate) fn snapshot(
        &mut self,
        shared: &Shared,
        update_jpeg: bool,
        wait: impl FnOnce(u64) -> bool,
    ) -> Result<(), SnapshotError> {
        if !self.reset_set || !self.size_set {
            return Err(SnapshotError::NotInitialized);
        }
        if update_jpeg {
            self.update_jpeg(shared);
        }
        self.buffer.width = self.buffer.u;
        self.buffer.height = self.buffer.v;
        match self.pixformat {
            pixformat::GRAYSCALE => self.buffer.bpp = 1,
            pixformat::RGB565 | pixformat::YUV422 => self.buffer.bpp = 2,
            _ => {}
        }
        let start = shared.now();
        let end = (start / self.period + 1) * self.period;
        if !self.running {
            return Err(match wait(start + 300_000_000) {
                true => SnapshotError::Timeout,
                false => SnapshotError::Halt,
            });
        }
        // Drawn and compressed while the board waits for it, so that it is there in time although
        // that takes time here. A sensor has its settings before it exposes a frame, too.
        self.capture(shared, end);
        self.compress_ahead(shared);
        match wait(end) {
            true => Ok(()),
            false => Err(SnapshotError::Halt),
        }
    }

    fn capture(&mut self, shared: &Shared, time: u64) {
        let (width, height) = RESOLUTIONS[self.framesize];
        self.frame.resize(width.into(), height.into());
        self.number = self.number.wrapping_add(1);
        let time = Duration::from_nanos(time);
        self.scene.draw(&mut self.frame, self.number, time);
        let registers = shared.lock().core.registers.clone();
        registers.apply(&mut self.frame);

        let buffer = &mut self.buffer;
        buffer.drawn = false;
        buffer.pixels.clear();
        for y in buffer.y..buffer.y + buffer.height {
            let start = 3 * (y * self.frame.width + buffer.x);
            let Some(row) = self.frame.rgb.get(start..start + 3 * buffer.width) else {
                return;
            };
            if buffer.bpp == 1 {
                buffer.pixels.extend(row.chunks_exact(3).map(luma));
            } else {
                buffer.pixels.extend(row.chunks_exact(3).flat_map(rgb565));
            }
        }
    }
}

/// A colour as five, six and five bits keep it, full range.
fn rgb565(pixel: &[u8]) -> [u8; 3] {
    let (red, green, blue) = (pixel[0] >> 3, pixel[1] >> 2, pixel[2] >> 3);
    [
        red << 3 | red >> 2,
        green << 2 | green >> 4,
        blue << 3 | blue >> 2,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        let mut frame = Frame::default();
        frame.resize(4, 2);
        for (index, sample) in frame.rgb.iter_mut().enumerate() {
            *sample = 60 + 5 * index as u8;
        }
        frame
    }

    #[test]
    fn mirror_and_flip_move_pixels() {
        let original = frame();
        let mut mirrored = frame();
        let mut registers = Registers {
            hmirror: true,
            ..Registers::default()
        };
        registers.apply(&mut mirrored);
        assert_eq!(mirrored.rgb[..3], original.rgb[9..12]);
        registers.vflip = true;
        let mut turned = frame();
        registers.apply(&mut turned);
        assert_eq!(turned.rgb[..3], original.rgb[21..24]);
    }

    #[test]
    fn levels_have_the_drivers_range() {
        let mut registers = Registers::default();
        assert!(!registers.set_contrast(0), "no sensor yet");
        registers.present = true;
        assert!(registers.set_contrast(2));
        assert!(!registers.set_contrast(3));
        assert_eq!(registers.contrast, 2);
        assert!(
            registers.set_contrast(-3),
            "the driver's check is off by one"
        );
        registers.set_attribute(1, -1);
        registers.set_attribute(2, 9);
        registers.set_attribute(3, 6);
        assert_eq!(
            (
                registers.brightness,
                registers.saturation,
                registers.gain_ceiling
            ),
            (-1, 0, 6)
        );
    }

    #[test]
    fn registers_change_the_picture() {
        let plain = frame();
        let graded = |change: fn(&mut Registers)| {
            let mut registers = Registers::default();
            change(&mut registers);
            let mut frame = frame();
            registers.apply(&mut frame);
            frame.rgb
        };
        let mean = |rgb: &[u8]| rgb.iter().map(|&v| u32::from(v)).sum::<u32>() / rgb.len() as u32;
        assert!(mean(&graded(|r| r.brightness = 1)) > mean(&plain.rgb));
        assert!(mean(&graded(|r| r.exposure_us = Some(4000))) < mean(&plain.rgb));
        assert!(mean(&graded(|r| r.gain_db = Some(12.0))) > mean(&plain.rgb));
        assert_ne!(graded(|r| r.contrast = 2), plain.rgb);
        assert_ne!(graded(|r| r.saturation = -2), plain.rgb);
        assert_eq!(
            graded(|r| r.colorbar = true)[..6],
            [255, 255, 255, 0, 255, 255]
        );
    }
}
