// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the user set, and the properties it is set by.

use std::sync::LazyLock;
use std::time::Duration;

use gst::glib;
use gst::prelude::*;

use super::enums::{K210FrameSize, K210GainCeiling, K210PixelFormat};
use k210_link::command::Attribute;
use k210_link::script::{Regulation, SensorSetup, Window};

const DEFAULT_BAUD_RATE: u32 = k210_link::IDE_BAUD_RATE;
const DEFAULT_QUALITY: u32 = 50;
const DEFAULT_INTERVAL: u32 = 100_000;
const DEFAULT_FRAME_TIMEOUT: gst::ClockTime = gst::ClockTime::from_seconds(4);

/// What the user set. Written by `set_property`, read when streaming starts and by `property`.
#[derive(Clone, Debug)]
pub struct Settings {
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
    /// Red, green, blue in dB.
    pub white_balance_gains: [f64; 3],
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
            baud_rate: DEFAULT_BAUD_RATE,
            frame_size: K210FrameSize::default(),
            pixel_format: K210PixelFormat::default(),
            hmirror: false,
            vflip: false,
            skip_frames: 0,
            quality: DEFAULT_QUALITY,
            interval: DEFAULT_INTERVAL,
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
            white_balance_gains: [0.0; 3],
            colorbar: false,
            script: None,
            reconnect: true,
            reconnect_timeout: 0,
            frame_timeout: DEFAULT_FRAME_TIMEOUT.nseconds(),
        }
    }
}

/// Gains are factors of 1 to 32 on the sensors that have them (`set_auto_gain`, `ov2640.c`).
const MAX_GAIN_DB: f64 = 30.0;

/// The firmware's own limit (`machine_uart_init_helper`, `machine_uart.c`).
const MAX_BAUD_RATE: u32 = 0x50_0000;

pub static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
    let playing = |name, nick, blurb| {
        glib::ParamSpecInt::builder(name)
            .nick(nick)
            .blurb(blurb)
            .minimum(-2)
            .maximum(2)
            .default_value(0)
            .mutable_playing()
            .build()
    };
    let ready_bool = |name, nick, blurb, default| {
        glib::ParamSpecBoolean::builder(name)
            .nick(nick)
            .blurb(blurb)
            .default_value(default)
            .mutable_ready()
            .build()
    };
    let decibel = |name, nick, blurb| {
        glib::ParamSpecDouble::builder(name)
            .nick(nick)
            .blurb(blurb)
            .minimum(0.0)
            .maximum(MAX_GAIN_DB)
            .default_value(0.0)
            .mutable_ready()
            .build()
    };
    vec![
        glib::ParamSpecString::builder("device")
            .nick("Device")
            .blurb(
                "The board: a serial port (/dev/ttyUSB0), tcp://host:port for a serial server, \
                 sim: for the built-in simulated board, sim:FILE for one that looks at a video \
                 file; unset: the environment variable K210_DEVICE, else the first board found by \
                 its USB id",
            )
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("baudrate")
            .nick("Baud rate")
            .blurb(
                "Speed of the serial line while streaming, in baud (9600 to 5242880, default \
                 1500000); over tcp:// the speed that the serial server is set to",
            )
            .minimum(9600)
            .maximum(MAX_BAUD_RATE)
            .default_value(DEFAULT_BAUD_RATE)
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default("framesize", K210FrameSize::default())
            .nick("Frame size")
            .blurb(
                "Size of the frames, by the firmware's names (default qvga, 320x240); which of \
                 them work depends on the board's sensor and memory",
            )
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default("pixformat", K210PixelFormat::default())
            .nick("Pixel format")
            .blurb("How the sensor delivers pixels: colour or grey (default rgb565)")
            .mutable_ready()
            .build(),
        ready_bool(
            "hmirror",
            "Horizontal mirror",
            "Mirror the picture left to right (default false)",
            false,
        ),
        ready_bool(
            "vflip",
            "Vertical flip",
            "Turn the picture upside down (default false)",
            false,
        ),
        glib::ParamSpecUInt::builder("skip-frames")
            .nick("Skip frames")
            .blurb(
                "Frames to let pass at the start while the sensor settles (0 to 1000, default 0)",
            )
            .maximum(1000)
            .default_value(0)
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("quality")
            .nick("Quality")
            .blurb(
                "JPEG quality (1 to 100, default 50); the firmware halves it for good when a frame \
                 does not fit into 23488 bytes",
            )
            .minimum(1)
            .maximum(100)
            .default_value(DEFAULT_QUALITY)
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("interval")
            .nick("Interval")
            .blurb(
                "Time between frames in microseconds (default 100000, 0: as fast as the board \
                 can); a framerate in the downstream caps wins",
            )
            .default_value(DEFAULT_INTERVAL)
            .mutable_playing()
            .build(),
        playing("contrast", "Contrast", "Contrast (-2 to 2, default 0)"),
        playing(
            "brightness",
            "Brightness",
            "Brightness (-2 to 2, default 0)",
        ),
        playing(
            "saturation",
            "Saturation",
            "Saturation (-2 to 2, default 0)",
        ),
        glib::ParamSpecEnum::builder_with_default("gain-ceiling", K210GainCeiling::default())
            .nick("Gain ceiling")
            .blurb(
                "Highest gain of the automatic gain control, as a factor (2 to 128, default: what \
                 the sensor's driver sets)",
            )
            .mutable_playing()
            .build(),
        glib::ParamSpecInt::builder("window-x")
            .nick("Window x")
            .blurb("Left edge of the window in pixels (0 to 1592, default -1: centred)")
            .minimum(-1)
            .maximum(1592)
            .default_value(-1)
            .mutable_ready()
            .build(),
        glib::ParamSpecInt::builder("window-y")
            .nick("Window y")
            .blurb("Top edge of the window in pixels (0 to 1192, default -1: centred)")
            .minimum(-1)
            .maximum(1192)
            .default_value(-1)
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("window-width")
            .nick("Window width")
            .blurb(
                "Width of the part of the frame to take, in pixels, a multiple of 8 (8 to 1600, \
                 default 0: all of it)",
            )
            .maximum(1600)
            .default_value(0)
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("window-height")
            .nick("Window height")
            .blurb(
                "Height of the part of the frame to take, in pixels, a multiple of 8 (8 to 1200, \
                 default 0: all of it)",
            )
            .maximum(1200)
            .default_value(0)
            .mutable_ready()
            .build(),
        ready_bool(
            "auto-gain",
            "Automatic gain",
            "Let the sensor regulate its gain (default true); if not, gain says how much",
            true,
        ),
        decibel(
            "gain",
            "Gain",
            "Gain in dB when auto-gain is off (0 to 30, default 0: as it was when the regulation \
             was turned off)",
        ),
        ready_bool(
            "auto-exposure",
            "Automatic exposure",
            "Let the sensor regulate its exposure (default true); if not, exposure says how long",
            true,
        ),
        glib::ParamSpecUInt::builder("exposure")
            .nick("Exposure")
            .blurb(
                "Exposure in microseconds when auto-exposure is off (1 to 1000000, default 0: as \
                 it was when the regulation was turned off)",
            )
            .maximum(1_000_000)
            .default_value(0)
            .mutable_ready()
            .build(),
        ready_bool(
            "auto-white-balance",
            "Automatic white balance",
            "Let the sensor regulate its white balance (default true); if not, red-gain, \
             green-gain and blue-gain say how",
            true,
        ),
        decibel(
            "red-gain",
            "Red gain",
            "Gain of red in dB when auto-white-balance is off (0 to 30, default 0; all three 0: as \
             they were when the regulation was turned off)",
        ),
        decibel(
            "green-gain",
            "Green gain",
            "Gain of green in dB when auto-white-balance is off (0 to 30, default 0)",
        ),
        decibel(
            "blue-gain",
            "Blue gain",
            "Gain of blue in dB when auto-white-balance is off (0 to 30, default 0)",
        ),
        ready_bool(
            "colorbar",
            "Colour bar",
            "Show the sensor's test pattern instead of the picture (default false)",
            false,
        ),
        glib::ParamSpecString::builder("script")
            .nick("Script")
            .blurb(
                "A MicroPython file to run instead of the generated script; what it takes with \
                 sensor.snapshot() is streamed, its end is the end of the stream (default unset)",
            )
            .mutable_ready()
            .build(),
        glib::ParamSpecBoolean::builder("reconnect")
            .nick("Reconnect")
            .blurb(
                "Wait for a board that went away, before its first frame or later, and go on when \
                 it is back, rather than stop with an error (default true)",
            )
            .default_value(true)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt64::builder("reconnect-timeout")
            .nick("Reconnect timeout")
            .blurb(
                "How long to wait for a board that went away, in nanoseconds (default 0: for ever)",
            )
            .default_value(0)
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt64::builder("frame-timeout")
            .nick("Frame timeout")
            .blurb(
                "How long a running script may take no picture before the board counts as stuck, \
                 in nanoseconds (default 4000000000, 0: for ever)",
            )
            .default_value(DEFAULT_FRAME_TIMEOUT.nseconds())
            .mutable_playing()
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb(
                "frames, bytes, frames-dropped (asked for and not arrived whole), \
                 frames-discarded (left behind by another script), resynchronisations, \
                 reconnections (counts since the start), fps and link-utilisation (0 to 1, over the last second or so), \
                 received and sent (bytes on the line), bytes-by-command",
            )
            .read_only()
            .build(),
    ]
});

impl Settings {
    /// Sets one property. Gives the sensor setting that a running board has to be told of.
    pub fn set(&mut self, name: &str, value: &glib::Value) -> Option<(Attribute, i16)> {
        // GObject has checked type and range.
        fn get<'a, T: glib::value::FromValue<'a>>(value: &'a glib::Value) -> T
        where
            T::Checker: glib::value::ValueTypeChecker,
        {
            value
                .get::<T>()
                .unwrap_or_else(|_| unreachable!("GObject checks a property's type"))
        }
        match name {
            "device" => self.device = get(value),
            "baudrate" => self.baud_rate = get(value),
            "framesize" => self.frame_size = get(value),
            "pixformat" => self.pixel_format = get(value),
            "hmirror" => self.hmirror = get(value),
            "vflip" => self.vflip = get(value),
            "skip-frames" => self.skip_frames = get(value),
            "quality" => self.quality = get(value),
            "interval" => self.interval = get(value),
            "contrast" => {
                self.contrast = get(value);
                return Some((Attribute::Contrast, self.contrast as i16));
            }
            "brightness" => {
                self.brightness = get(value);
                return Some((Attribute::Brightness, self.brightness as i16));
            }
            "saturation" => {
                self.saturation = get(value);
                return Some((Attribute::Saturation, self.saturation as i16));
            }
            "gain-ceiling" => {
                self.gain_ceiling = get(value);
                let position = self.gain_ceiling.position()?;
                return Some((Attribute::GainCeiling, position));
            }
            "window-x" => self.window_x = get(value),
            "window-y" => self.window_y = get(value),
            "window-width" => self.window_width = get(value),
            "window-height" => self.window_height = get(value),
            "auto-gain" => self.auto_gain = get(value),
            "gain" => self.gain = get(value),
            "auto-exposure" => self.auto_exposure = get(value),
            "exposure" => self.exposure = get(value),
            "auto-white-balance" => self.auto_white_balance = get(value),
            "red-gain" => self.white_balance_gains[0] = get(value),
            "green-gain" => self.white_balance_gains[1] = get(value),
            "blue-gain" => self.white_balance_gains[2] = get(value),
            "colorbar" => self.colorbar = get(value),
            "script" => self.script = get(value),
            "reconnect" => self.reconnect = get(value),
            "reconnect-timeout" => self.reconnect_timeout = get(value),
            "frame-timeout" => self.frame_timeout = get(value),
            _ => {}
        }
        None
    }

    /// One property's value; `None` for those that are not settings.
    pub fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            "device" => self.device.to_value(),
            "baudrate" => self.baud_rate.to_value(),
            "framesize" => self.frame_size.to_value(),
            "pixformat" => self.pixel_format.to_value(),
            "hmirror" => self.hmirror.to_value(),
            "vflip" => self.vflip.to_value(),
            "skip-frames" => self.skip_frames.to_value(),
            "quality" => self.quality.to_value(),
            "interval" => self.interval.to_value(),
            "contrast" => self.contrast.to_value(),
            "brightness" => self.brightness.to_value(),
            "saturation" => self.saturation.to_value(),
            "gain-ceiling" => self.gain_ceiling.to_value(),
            "window-x" => self.window_x.to_value(),
            "window-y" => self.window_y.to_value(),
            "window-width" => self.window_width.to_value(),
            "window-height" => self.window_height.to_value(),
            "auto-gain" => self.auto_gain.to_value(),
            "gain" => self.gain.to_value(),
            "auto-exposure" => self.auto_exposure.to_value(),
            "exposure" => self.exposure.to_value(),
            "auto-white-balance" => self.auto_white_balance.to_value(),
            "red-gain" => self.white_balance_gains[0].to_value(),
            "green-gain" => self.white_balance_gains[1].to_value(),
            "blue-gain" => self.white_balance_gains[2].to_value(),
            "colorbar" => self.colorbar.to_value(),
            "script" => self.script.to_value(),
            "reconnect" => self.reconnect.to_value(),
            "reconnect-timeout" => self.reconnect_timeout.to_value(),
            "frame-timeout" => self.frame_timeout.to_value(),
            _ => return None,
        })
    }

    /// What the generated script sets the sensor to.
    pub fn sensor_setup(&self) -> SensorSetup {
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
        let gains = self.white_balance_gains;
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
    pub fn interval(&self) -> Duration {
        Duration::from_micros(self.interval.into())
    }

    /// `interval` as a framerate, 0/1 if there is none.
    pub fn framerate(&self) -> gst::Fraction {
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
