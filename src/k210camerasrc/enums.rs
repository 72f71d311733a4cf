// SPDX-License-Identifier: MIT OR Apache-2.0
//! The enumerations of the element's properties.

use gst::glib;
use gst::prelude::*;

use k210_link::script::{FRAME_SIZES, FrameSize, PixelFormat};

/// A frame size of the firmware; the values are `framesize_t`'s (`sensor.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstK210FrameSize")]
pub enum K210FrameSize {
    /// 88x72.
    #[enum_value(name = "88x72", nick = "qqcif")]
    Qqcif = 1,
    /// 176x144.
    #[enum_value(name = "176x144", nick = "qcif")]
    Qcif = 2,
    /// 352x288.
    #[enum_value(name = "352x288", nick = "cif")]
    Cif = 3,
    /// 88x60.
    #[enum_value(name = "88x60", nick = "qqsif")]
    Qqsif = 4,
    /// 176x120.
    #[enum_value(name = "176x120", nick = "qsif")]
    Qsif = 5,
    /// 352x240.
    #[enum_value(name = "352x240", nick = "sif")]
    Sif = 6,
    /// 40x30.
    #[enum_value(name = "40x30", nick = "qqqqvga")]
    Qqqqvga = 7,
    /// 80x60.
    #[enum_value(name = "80x60", nick = "qqqvga")]
    Qqqvga = 8,
    /// 160x120.
    #[enum_value(name = "160x120", nick = "qqvga")]
    Qqvga = 9,
    /// 320x240.
    #[default]
    #[enum_value(name = "320x240", nick = "qvga")]
    Qvga = 10,
    /// 640x480.
    #[enum_value(name = "640x480", nick = "vga")]
    Vga = 11,
    /// 60x40.
    #[enum_value(name = "60x40", nick = "hqqqvga")]
    Hqqqvga = 12,
    /// 120x80.
    #[enum_value(name = "120x80", nick = "hqqvga")]
    Hqqvga = 13,
    /// 240x160.
    #[enum_value(name = "240x160", nick = "hqvga")]
    Hqvga = 14,
    /// 64x32.
    #[enum_value(name = "64x32", nick = "b64x32")]
    B64X32 = 15,
    /// 64x64.
    #[enum_value(name = "64x64", nick = "b64x64")]
    B64X64 = 16,
    /// 128x64.
    #[enum_value(name = "128x64", nick = "b128x64")]
    B128X64 = 17,
    /// 128x128.
    #[enum_value(name = "128x128", nick = "b128x128")]
    B128X128 = 18,
    /// 240x240.
    #[enum_value(name = "240x240", nick = "b240x240")]
    B240X240 = 19,
    /// 128x160.
    #[enum_value(name = "128x160", nick = "lcd")]
    Lcd = 20,
    /// 128x160.
    #[enum_value(name = "128x160", nick = "qqvga2")]
    Qqvga2 = 21,
    /// 720x480.
    #[enum_value(name = "720x480", nick = "wvga")]
    Wvga = 22,
    /// 752x480.
    #[enum_value(name = "752x480", nick = "wvga2")]
    Wvga2 = 23,
    /// 800x600.
    #[enum_value(name = "800x600", nick = "svga")]
    Svga = 24,
    /// 1280x1024.
    #[enum_value(name = "1280x1024", nick = "sxga")]
    Sxga = 25,
    /// 1600x1200.
    #[enum_value(name = "1600x1200", nick = "uxga")]
    Uxga = 26,
}

impl K210FrameSize {
    fn name(self) -> &'static str {
        match self {
            K210FrameSize::Qqcif => "QQCIF",
            K210FrameSize::Qcif => "QCIF",
            K210FrameSize::Cif => "CIF",
            K210FrameSize::Qqsif => "QQSIF",
            K210FrameSize::Qsif => "QSIF",
            K210FrameSize::Sif => "SIF",
            K210FrameSize::Qqqqvga => "QQQQVGA",
            K210FrameSize::Qqqvga => "QQQVGA",
            K210FrameSize::Qqvga => "QQVGA",
            K210FrameSize::Qvga => "QVGA",
            K210FrameSize::Vga => "VGA",
            K210FrameSize::Hqqqvga => "HQQQVGA",
            K210FrameSize::Hqqvga => "HQQVGA",
            K210FrameSize::Hqvga => "HQVGA",
            K210FrameSize::B64X32 => "B64X32",
            K210FrameSize::B64X64 => "B64X64",
            K210FrameSize::B128X64 => "B128X64",
            K210FrameSize::B128X128 => "B128X128",
            K210FrameSize::B240X240 => "B240X240",
            K210FrameSize::Lcd => "LCD",
            K210FrameSize::Qqvga2 => "QQVGA2",
            K210FrameSize::Wvga => "WVGA",
            K210FrameSize::Wvga2 => "WVGA2",
            K210FrameSize::Svga => "SVGA",
            K210FrameSize::Sxga => "SXGA",
            K210FrameSize::Uxga => "UXGA",
        }
    }

    /// The size in pixels, and what MicroPython calls it.
    pub fn size(self) -> FrameSize {
        // Every variant is in the table, as a test makes sure.
        FrameSize::by_name(self.name()).unwrap_or(FRAME_SIZES[0])
    }
}

/// How the sensor delivers pixels; the values are `pixformat_t`'s (`sensor.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstK210PixelFormat")]
pub enum K210PixelFormat {
    /// Colour.
    #[default]
    #[enum_value(name = "Colour, RGB565", nick = "rgb565")]
    Rgb565 = 2,
    /// Colour.
    #[enum_value(name = "Colour, YUV 4:2:2", nick = "yuv422")]
    Yuv422 = 3,
    /// Grey; the pictures have one component.
    #[enum_value(name = "Grey", nick = "grayscale")]
    Grayscale = 4,
}

impl From<K210PixelFormat> for PixelFormat {
    fn from(format: K210PixelFormat) -> Self {
        match format {
            K210PixelFormat::Rgb565 => PixelFormat::Rgb565,
            K210PixelFormat::Yuv422 => PixelFormat::Yuv422,
            K210PixelFormat::Grayscale => PixelFormat::Grayscale,
        }
    }
}

/// The highest gain of the automatic gain control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstK210GainCeiling")]
pub enum K210GainCeiling {
    /// What the sensor's driver sets.
    #[default]
    #[enum_value(name = "As the sensor's driver sets it", nick = "default")]
    Default = 0,
    /// 2 times.
    #[enum_value(name = "2 times", nick = "2")]
    X2 = 2,
    /// 4 times.
    #[enum_value(name = "4 times", nick = "4")]
    X4 = 4,
    /// 8 times.
    #[enum_value(name = "8 times", nick = "8")]
    X8 = 8,
    /// 16 times.
    #[enum_value(name = "16 times", nick = "16")]
    X16 = 16,
    /// 32 times.
    #[enum_value(name = "32 times", nick = "32")]
    X32 = 32,
    /// 64 times.
    #[enum_value(name = "64 times", nick = "64")]
    X64 = 64,
    /// 128 times.
    #[enum_value(name = "128 times", nick = "128")]
    X128 = 128,
}

impl K210GainCeiling {
    /// The factor; `None` for what the driver sets.
    pub fn factor(self) -> Option<u32> {
        match self {
            K210GainCeiling::Default => None,
            other => Some(other as u32),
        }
    }

    /// The position in `gainceiling_t`, which is what the debug protocol wants.
    pub fn position(self) -> Option<i16> {
        self.factor().map(|factor| factor.ilog2() as i16 - 1)
    }
}

/// Makes the types known to documentation tools.
pub(crate) fn register() {
    for type_ in [
        K210FrameSize::static_type(),
        K210PixelFormat::static_type(),
        K210GainCeiling::static_type(),
    ] {
        type_.mark_as_plugin_api(gst::PluginAPIFlags::empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_size_is_as_its_name_says() {
        let class = glib::EnumClass::new::<K210FrameSize>();
        assert_eq!(class.values().len(), FRAME_SIZES.len());
        for value in class.values() {
            let size = FRAME_SIZES
                .iter()
                .find(|size| size.name.eq_ignore_ascii_case(value.nick()))
                .unwrap();
            assert_eq!(value.name(), format!("{}x{}", size.width, size.height));
        }
        assert_eq!(K210FrameSize::default().size().name, "QVGA");
        assert_eq!(K210FrameSize::B240X240.size().width, 240);
    }

    #[test]
    fn gain_ceilings_count_from_two() {
        assert_eq!(K210GainCeiling::Default.position(), None);
        assert_eq!(K210GainCeiling::X2.position(), Some(0));
        assert_eq!(K210GainCeiling::X128.position(), Some(6));
    }
}
