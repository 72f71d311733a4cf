// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the user set.

use std::time::Duration;

use super::enums::{K210FrameSize, K210GainCeiling, K210PixelFormat};
use k210_link::script::{Regulation, SensorSetup, Window};

/// What the user set. Written by `set_property`, read when streaming starts and by `property`.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub device: Option<String>,
    pub baud_rate: u32,
    pub frame_size: K210FrameSize,
    pub pixel_format: K210PixelFormat,
    pub hmirror: bool,
    pub vflip: bool,
    pub skip_frames: u32,
    pub quality: u32,
    /// Microseconds.
    pub interval: u32,
    pub contrast: i32,
    pub brightness: i32,
    pub saturation: i32,
    pub gain_ceiling: K210GainCeiling,
    pub window_x: i32,
    pub window_y: i32,
    pub window_width: u32,
    pub window_height: u32,
    pub auto_gain: bool,
    pub gain: f64,
    pub auto_exposure: bool,
    pub exposure: u32,
    pub auto_white_balance: bool,
    pub red_gain: f64,
    pub green_gain: f64,
    pub blue_gain: f64,
    pub colorbar: bool,
    pub script: Option<String>,
    pub reconnect: bool,
    /// Nanoseconds, 0 for ever.
    pub reconnect_timeout: u64,
    /// Nanoseconds, 0 for ever.
    pub frame_timeout: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            device: None,
            baud_rate: Settings::BAUD_RATE,
            frame_size: K210FrameSize::default(),
            pixel_format: K210PixelFormat::default(),
            hmirror: false,
            vflip: false,
            skip_frames: 0,
            quality: Settings::QUALITY,
            interval: Settings::INTERVAL,
            contrast: 0,
            brightness: 0,
            saturation: 0,
            gain_ceiling: K210GainCeiling::default(),
            window_x: -1,
            window_y: -1,
            window_width: 0,
            window_height: 0,
            auto_gain: true,
            gain: 0.0,
            auto_exposure: true,
            exposure: 0,
            auto_white_balance: true,
            red_gain: 0.0,
            green_gain: 0.0,
            blue_gain: 0.0,
            colorbar: false,
            script: None,
            reconnect: true,
            reconnect_timeout: 0,
            frame_timeout: Settings::FRAME_TIMEOUT,
        }
    }
}

impl Settings {
    /// Speed of the line, in baud.
    pub(crate) const BAUD_RATE: u32 = k210_link::IDE_BAUD_RATE;

    /// The firmware's own limit, in baud (`machine_uart_init_helper`, `machine_uart.c`).
    pub(crate) const MAX_BAUD_RATE: u32 = 0x50_0000;

    /// JPEG quality.
    pub(crate) const QUALITY: u32 = 50;

    /// Time between frames, in microseconds.
    pub(crate) const INTERVAL: u32 = 100_000;

    /// In nanoseconds.
    pub(crate) const FRAME_TIMEOUT: u64 = 4_000_000_000;

    /// In dB; gains are factors of 1 to 32 on the sensors that have them (`set_auto_gain`,
    /// `ov2640.c`).
    pub(crate) const MAX_GAIN: f64 = 30.0;

    /// What the generated script sets the sensor to.
    pub(crate) fn sensor_setup(&self) -> SensorSetup {
        let frame_size = self.frame_size.size();
        let or_full = |length: u32, full: u16| match length {
            0 => full,
            length => u16::try_from(length).unwrap_or(u16::MAX),
        };
        let windowed = self.window_width > 0 || self.window_height > 0;
        let window = windowed.then(|| {
            let width = or_full(self.window_width, frame_size.width);
            let height = or_full(self.window_height, frame_size.height);
            // One edge given, the other one centred as the firmware does it.
            let centre = |edge: i32, length: u16, full: u16| {
                u16::try_from(edge).unwrap_or((full / 2).saturating_sub(length / 2))
            };
            let at = (self.window_x >= 0 || self.window_y >= 0).then(|| {
                (
                    centre(self.window_x, width, frame_size.width),
                    centre(self.window_y, height, frame_size.height),
                )
            });
            Window { at, width, height }
        });
        let gains = [self.red_gain, self.green_gain, self.blue_gain];
        SensorSetup {
            frame_size,
            pixel_format: self.pixel_format.into(),
            window,
            hmirror: self.hmirror,
            vflip: self.vflip,
            skip_frames: self.skip_frames,
            quality: self.quality,
            contrast: self.contrast,
            brightness: self.brightness,
            saturation: self.saturation,
            gain_ceiling: self.gain_ceiling.factor(),
            gain: regulation(self.auto_gain, (self.gain > 0.0).then_some(self.gain)),
            exposure: regulation(
                self.auto_exposure,
                (self.exposure > 0).then_some(self.exposure),
            ),
            white_balance: regulation(
                self.auto_white_balance,
                gains.iter().any(|gain| *gain > 0.0).then_some(gains),
            ),
            colorbar: self.colorbar,
        }
    }

    /// `interval` as a duration.
    pub(crate) fn interval(&self) -> Duration {
        Duration::from_micros(self.interval.into())
    }

    /// `interval` as a framerate, 0/1 if there is none.
    pub(crate) fn framerate(&self) -> gst::Fraction {
        match i32::try_from(self.interval) {
            Ok(interval @ 1..) => gst::Fraction::new(1_000_000, interval),
            _ => gst::Fraction::new(0, 1),
        }
    }
}

fn regulation<T>(automatic: bool, value: Option<T>) -> Regulation<T> {
    match (automatic, value) {
        (true, _) => Regulation::Automatic,
        (false, None) => Regulation::Held,
        (false, Some(value)) => Regulation::Fixed(value),
    }
}
