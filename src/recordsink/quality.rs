// SPDX-License-Identifier: MIT OR Apache-2.0
//! picamera2's five levels of quality, in the terms of each encoder.
//!
//! The numbers are those of `picamera2/encoders/` (`h264_encoder.py`, `libav_h264_encoder.py`,
//! `jpeg_encoder.py`, `libav_mjpeg_encoder.py`, `mjpeg_encoder.py`).

use gst::glib;

/// How good a picture should be where no bit rate says so.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, glib::Enum)]
#[enum_type(name = "GstRecordSinkQuality")]
pub enum Quality {
    /// H.264 2 Mbit/s (1080p30, hardware), JPEG 25.
    #[enum_value(
        name = "Very low: H.264 2 Mbit/s at 1080p30, JPEG 25",
        nick = "very-low"
    )]
    VeryLow,
    /// H.264 4 Mbit/s, JPEG 35.
    #[enum_value(name = "Low: H.264 4 Mbit/s at 1080p30, JPEG 35", nick = "low")]
    Low,
    /// H.264 6 Mbit/s, JPEG 50.
    #[default]
    #[enum_value(name = "Medium: H.264 6 Mbit/s at 1080p30, JPEG 50", nick = "medium")]
    Medium,
    /// H.264 9 Mbit/s, JPEG 65.
    #[enum_value(name = "High: H.264 9 Mbit/s at 1080p30, JPEG 65", nick = "high")]
    High,
    /// H.264 15 Mbit/s, JPEG 80.
    #[enum_value(
        name = "Very high: H.264 15 Mbit/s at 1080p30, JPEG 80",
        nick = "very-high"
    )]
    VeryHigh,
}

/// Pixels a second that the tables are for.
const REFERENCE: f64 = 1920.0 * 1080.0 * 30.0;

/// Size and rate of a stream of pictures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Frames a second; picamera2 takes 30 where it does not know.
    pub framerate: f64,
}

impl Pace {
    fn relative(self) -> f64 {
        f64::from(self.width) * f64::from(self.height) * self.framerate / REFERENCE
    }
}

impl Quality {
    fn of<T: Copy>(self, table: [T; 5]) -> T {
        table[self as usize]
    }

    /// H.264 by a hardware encoder, in kbit/s: in proportion to the pixels a second.
    pub fn h264_hardware_kbps(self, pace: Pace) -> u32 {
        let mbps: f64 = self.of([2.0, 4.0, 6.0, 9.0, 15.0]);
        kbps(mbps * pace.relative())
    }

    /// H.264 by x264, in kbit/s: in proportion to the square root of the pixels a second.
    pub fn h264_software_kbps(self, pace: Pace) -> u32 {
        let mbps: f64 = self.of([3.0, 4.0, 7.0, 10.0, 14.0]);
        kbps(mbps * pace.relative().sqrt())
    }

    /// Motion JPEG by a hardware encoder that keeps a bit rate, in kbit/s.
    pub fn mjpeg_hardware_kbps(self, pace: Pace) -> u32 {
        let mbps: f64 = self.of([16.0, 20.0, 30.0, 40.0, 50.0]);
        kbps(mbps * pace.relative())
    }

    /// The quality factor of a JPEG, 1 to 100.
    pub fn jpeg(self) -> u32 {
        self.of([25, 35, 50, 65, 80])
    }

    /// The quantizer of libav's Motion JPEG encoder, 1 (best) to 31.
    pub fn mjpeg_quantizer(self) -> u32 {
        self.of([31, 15, 10, 5, 3])
    }
}

fn kbps(mbps: f64) -> u32 {
    // picamera2 cuts off what is less than a bit a second; encoders here count in thousands.
    ((mbps * 1000.0) as u32).max(1)
}

/// The quantizer that gives libav's Motion JPEG encoder about `kbps`
/// (`libav_mjpeg_encoder.py`, which calls it "all rather arbitrary").
pub fn mjpeg_quantizer_for(kbps: u32, pace: Pace) -> u32 {
    let reference_bitrate = f64::from(kbps) * 1000.0 / pace.relative();
    let root = (64_000_000.0 / reference_bitrate).round_ties_even();
    (root * root).clamp(1.0, 31.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use Quality::*;

    const ALL: [Quality; 5] = [VeryLow, Low, Medium, High, VeryHigh];
    const FULL_HD: Pace = Pace {
        width: 1920,
        height: 1080,
        framerate: 30.0,
    };
    const VGA: Pace = Pace {
        width: 640,
        height: 480,
        framerate: 30.0,
    };

    #[test]
    fn the_tables_are_picamera2s() {
        assert_eq!(
            ALL.map(|q| q.h264_hardware_kbps(FULL_HD)),
            [2000, 4000, 6000, 9000, 15_000]
        );
        assert_eq!(
            ALL.map(|q| q.h264_software_kbps(FULL_HD)),
            [3000, 4000, 7000, 10_000, 14_000]
        );
        assert_eq!(
            ALL.map(|q| q.mjpeg_hardware_kbps(FULL_HD)),
            [16_000, 20_000, 30_000, 40_000, 50_000]
        );
        assert_eq!(ALL.map(Quality::jpeg), [25, 35, 50, 65, 80]);
        assert_eq!(ALL.map(Quality::mjpeg_quantizer), [31, 15, 10, 5, 3]);
    }

    #[test]
    fn rates_scale_as_picamera2s_do() {
        // int(6000000 * 640 * 480 * 30 / (1920 * 1080 * 30)) is 888888 bit/s.
        assert_eq!(Medium.h264_hardware_kbps(VGA), 888);
        // int(7000000 * sqrt(...)) is 2694301 bit/s.
        assert_eq!(Medium.h264_software_kbps(VGA), 2694);
    }

    #[test]
    fn libavs_quantizer_follows_the_rate() {
        assert_eq!(mjpeg_quantizer_for(30_000, FULL_HD), 4);
        assert_eq!(mjpeg_quantizer_for(64_000, FULL_HD), 1);
        assert_eq!(mjpeg_quantizer_for(1, FULL_HD), 31);
    }
}
