// SPDX-License-Identifier: MIT OR Apache-2.0
//! The MicroPython script that turns a board into a camera.

use std::fmt::Write;

/// Line that the generated script prints as its first act, for the host to know that it runs.
pub const GREETING: &str = "k210camerasrc: camera script";

/// A frame size of the firmware, by its name in MicroPython's `sensor` module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameSize {
    /// The constant's name in `sensor` (`py_sensor.c`).
    pub name: &'static str,
    /// Pixels (`resolution`, `sensor.c`).
    pub width: u16,
    /// Pixels.
    pub height: u16,
}

/// The frame sizes that MicroPython's `sensor` module names, smallest first.
///
/// Which of them a board does depends on its sensor and on the memory that is free.
pub const FRAME_SIZES: [FrameSize; 26] = {
    const fn size(name: &'static str, width: u16, height: u16) -> FrameSize {
        FrameSize {
            name,
            width,
            height,
        }
    }
    [
        size("QQQQVGA", 40, 30),
        size("B64X32", 64, 32),
        size("HQQQVGA", 60, 40),
        size("B64X64", 64, 64),
        size("QQQVGA", 80, 60),
        size("QQSIF", 88, 60),
        size("QQCIF", 88, 72),
        size("B128X64", 128, 64),
        size("HQQVGA", 120, 80),
        size("B128X128", 128, 128),
        size("QQVGA", 160, 120),
        size("LCD", 128, 160),
        size("QQVGA2", 128, 160),
        size("QSIF", 176, 120),
        size("QCIF", 176, 144),
        size("HQVGA", 240, 160),
        size("B240X240", 240, 240),
        size("QVGA", 320, 240),
        size("SIF", 352, 240),
        size("CIF", 352, 288),
        size("VGA", 640, 480),
        size("WVGA", 720, 480),
        size("WVGA2", 752, 480),
        size("SVGA", 800, 600),
        size("SXGA", 1280, 1024),
        size("UXGA", 1600, 1200),
    ]
};

impl FrameSize {
    /// 320x240, which every sensor and every board does.
    pub const QVGA: FrameSize = FrameSize {
        name: "QVGA",
        width: 320,
        height: 240,
    };

    /// The size of that name, as `QVGA`.
    pub fn by_name(name: &str) -> Option<FrameSize> {
        FRAME_SIZES.into_iter().find(|size| size.name == name)
    }
}

/// How the sensor delivers pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PixelFormat {
    /// Colour, 16 bits a pixel.
    #[default]
    Rgb565,
    /// Colour, 16 bits a pixel, two pixels sharing their chroma.
    Yuv422,
    /// Grey, 8 bits a pixel; the JPEG has one component.
    Grayscale,
}

impl PixelFormat {
    /// The constant's name in `sensor`.
    pub fn name(self) -> &'static str {
        match self {
            PixelFormat::Rgb565 => "RGB565",
            PixelFormat::Yuv422 => "YUV422",
            PixelFormat::Grayscale => "GRAYSCALE",
        }
    }
}

/// A part of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Pixels from the left and the top; `None` centres it.
    pub at: Option<(u16, u16)>,
    /// Pixels, a multiple of 8.
    pub width: u16,
    /// Pixels, a multiple of 8.
    pub height: u16,
}

/// Something that the sensor regulates by itself or is told.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Regulation<T> {
    /// As the sensor's driver leaves it after a reset, which is by itself.
    #[default]
    Automatic,
    /// Held where it was when regulation was turned off.
    Held,
    /// Held at this value.
    Fixed(T),
}

/// What the generated script sets the sensor to.
#[derive(Clone, Debug, PartialEq)]
pub struct SensorSetup {
    /// Frame size.
    pub frame_size: FrameSize,
    /// Pixel format.
    pub pixel_format: PixelFormat,
    /// The part of the frame to take; `None` for all of it.
    pub window: Option<Window>,
    /// Mirror left and right.
    pub hmirror: bool,
    /// Swap top and bottom.
    pub vflip: bool,
    /// Frames to let pass while the sensor settles.
    pub skip_frames: u32,
    /// JPEG quality, 1 to 100.
    pub quality: u32,
    /// -2 to 2.
    pub contrast: i32,
    /// -2 to 2.
    pub brightness: i32,
    /// -2 to 2.
    pub saturation: i32,
    /// 2, 4, 8 ... 128; `None` leaves what the driver sets.
    pub gain_ceiling: Option<u32>,
    /// Gain in dB.
    pub gain: Regulation<f64>,
    /// Exposure in microseconds.
    pub exposure: Regulation<u32>,
    /// Gains of red, green and blue in dB.
    pub white_balance: Regulation<[f64; 3]>,
    /// Show the sensor's test pattern.
    pub colorbar: bool,
}

impl Default for SensorSetup {
    /// QVGA in colour at quality 50, everything else as the sensor's driver leaves it.
    fn default() -> Self {
        SensorSetup {
            frame_size: FrameSize::QVGA,
            pixel_format: PixelFormat::Rgb565,
            window: None,
            hmirror: false,
            vflip: false,
            skip_frames: 0,
            quality: 50,
            contrast: 0,
            brightness: 0,
            saturation: 0,
            gain_ceiling: None,
            gain: Regulation::Automatic,
            exposure: Regulation::Automatic,
            white_balance: Regulation::Automatic,
            colorbar: false,
        }
    }
}

impl SensorSetup {
    /// The size of the pictures it makes.
    pub fn picture_size(&self) -> (u16, u16) {
        match self.window {
            Some(window) => (window.width, window.height),
            None => (self.frame_size.width, self.frame_size.height),
        }
    }

    /// Why the firmware would refuse the window, in its own order (`py_sensor_set_windowing`).
    pub fn window_problem(&self) -> Option<String> {
        let window = self.window?;
        let (full_width, full_height) = (self.frame_size.width, self.frame_size.height);
        let (x, y) = window.at.unwrap_or((0, 0));
        if window.width < 8 || window.height < 8 {
            return Some("the window must be at least 8x8 pixels".into());
        }
        if u32::from(x) + u32::from(window.width) > u32::from(full_width)
            || u32::from(y) + u32::from(window.height) > u32::from(full_height)
        {
            return Some(format!(
                "the window {}x{} at {x},{y} reaches beyond the frame of {full_width}x{full_height}",
                window.width, window.height
            ));
        }
        if window.width % 8 != 0 || window.height % 8 != 0 {
            return Some("the window's width and height must be multiples of 8".into());
        }
        None
    }

    /// The script's source.
    ///
    /// Only what differs from the sensor's state after `sensor.reset()` is called for: not every
    /// sensor's driver has every function, and those of gain, exposure, white balance, mirror and
    /// flip raise an exception where it is missing.
    pub fn script(&self) -> String {
        let mut s = String::with_capacity(512);
        let python = |on: bool| if on { "True" } else { "False" };
        // Writing to a String cannot fail.
        let _ = write!(
            s,
            "print({GREETING:?})\n\
             import sensor\n\
             sensor.reset()\n\
             sensor.set_pixformat(sensor.{})\n\
             sensor.set_framesize(sensor.{})\n",
            self.pixel_format.name(),
            self.frame_size.name
        );
        if let Some(window) = self.window {
            let (width, height) = (window.width, window.height);
            let _ = match window.at {
                Some((x, y)) => writeln!(s, "sensor.set_windowing(({x}, {y}, {width}, {height}))"),
                None => writeln!(s, "sensor.set_windowing(({width}, {height}))"),
            };
        }
        for (call, on) in [
            ("set_hmirror", self.hmirror),
            ("set_vflip", self.vflip),
            ("set_colorbar", self.colorbar),
        ] {
            if on {
                let _ = writeln!(s, "sensor.{call}({})", python(true));
            }
        }
        for (call, level) in [
            ("set_contrast", self.contrast),
            ("set_brightness", self.brightness),
            ("set_saturation", self.saturation),
        ] {
            if level != 0 {
                let _ = writeln!(s, "sensor.{call}({level})");
            }
        }
        if let Some(ceiling) = self.gain_ceiling {
            let _ = writeln!(s, "sensor.set_gainceiling({ceiling})");
        }
        let _ = match self.gain {
            Regulation::Automatic => Ok(()),
            Regulation::Held => writeln!(s, "sensor.set_auto_gain(False)"),
            Regulation::Fixed(db) => writeln!(s, "sensor.set_auto_gain(False, gain_db={db:?})"),
        };
        let _ = match self.exposure {
            Regulation::Automatic => Ok(()),
            Regulation::Held => writeln!(s, "sensor.set_auto_exposure(False)"),
            Regulation::Fixed(us) => {
                writeln!(s, "sensor.set_auto_exposure(False, exposure_us={us})")
            }
        };
        let _ = match self.white_balance {
            Regulation::Automatic => Ok(()),
            Regulation::Held => writeln!(s, "sensor.set_auto_whitebal(False)"),
            Regulation::Fixed([r, g, b]) => writeln!(
                s,
                "sensor.set_auto_whitebal(False, rgb_gain_db=({r:?}, {g:?}, {b:?}))"
            ),
        };
        let _ = writeln!(s, "sensor.set_jb_quality({})", self.quality);
        if self.skip_frames > 0 {
            let _ = writeln!(s, "sensor.skip_frames({})", self.skip_frames);
        }
        s.push_str("sensor.run(1)\nwhile True:\n    sensor.snapshot()\n");
        s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup() -> SensorSetup {
        SensorSetup::default()
    }

    #[test]
    fn the_plain_script_calls_nothing_that_a_sensor_may_lack() {
        assert_eq!(
            setup().script(),
            "print(\"k210camerasrc: camera script\")\n\
             import sensor\n\
             sensor.reset()\n\
             sensor.set_pixformat(sensor.RGB565)\n\
             sensor.set_framesize(sensor.QVGA)\n\
             sensor.set_jb_quality(50)\n\
             sensor.run(1)\n\
             while True:\n    sensor.snapshot()\n"
        );
    }

    #[test]
    fn every_setting_becomes_its_call() {
        let script = SensorSetup {
            window: Some(Window {
                at: Some((8, 16)),
                width: 160,
                height: 120,
            }),
            hmirror: true,
            vflip: true,
            skip_frames: 30,
            contrast: -2,
            brightness: 1,
            saturation: 2,
            gain_ceiling: Some(16),
            gain: Regulation::Fixed(6.0),
            exposure: Regulation::Fixed(5000),
            white_balance: Regulation::Fixed([1.0, 0.5, -2.25]),
            colorbar: true,
            ..setup()
        }
        .script();
        for call in [
            "set_windowing((8, 16, 160, 120))",
            "set_hmirror(True)",
            "set_vflip(True)",
            "skip_frames(30)",
            "set_contrast(-2)",
            "set_brightness(1)",
            "set_saturation(2)",
            "set_gainceiling(16)",
            "set_auto_gain(False, gain_db=6.0)",
            "set_auto_exposure(False, exposure_us=5000)",
            "set_auto_whitebal(False, rgb_gain_db=(1.0, 0.5, -2.25))",
            "set_colorbar(True)",
        ] {
            assert!(script.contains(&format!("sensor.{call}\n")), "{call}");
        }
    }

    #[test]
    fn windows_the_firmware_refuses_are_told_apart() {
        let problem = |at, width, height| {
            SensorSetup {
                window: Some(Window { at, width, height }),
                ..setup()
            }
            .window_problem()
        };
        assert_eq!(problem(None, 320, 240), None);
        assert_eq!(problem(Some((0, 0)), 8, 8), None);
        assert!(problem(None, 0, 8).unwrap().contains("at least"));
        assert!(problem(Some((8, 0)), 320, 240).unwrap().contains("beyond"));
        assert!(problem(None, 12, 16).unwrap().contains("multiples"));
    }
}
