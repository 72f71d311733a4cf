// SPDX-License-Identifier: MIT OR Apache-2.0
//! Interleaved PCM: what a sample looks like, its gain, a bounded store of it and the files that
//! hold it. Nothing here knows of GStreamer.

pub mod file;
pub mod gain;
pub mod ring;
pub mod wav;

/// How a sample's bits are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Two's complement.
    Signed,
    /// Offset binary, silence in the middle of the range.
    Unsigned,
    /// IEEE 754.
    Float,
}

/// Order of a sample's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteOrder {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

/// One kind of interleaved PCM stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// How the bits are read.
    pub encoding: Encoding,
    /// Order of the bytes; without meaning for one-byte samples.
    pub order: ByteOrder,
    /// Bytes of one sample of one channel: 1, 2, 3 or 4, and 4 or 8 for [`Encoding::Float`].
    pub sample_bytes: u8,
    /// Frames a second, in Hz.
    pub rate: u32,
    /// Channels, interleaved.
    pub channels: u16,
}

impl Layout {
    /// Bytes of one frame: a sample of each channel.
    pub fn frame_bytes(&self) -> usize {
        usize::from(self.sample_bytes) * usize::from(self.channels)
    }

    /// Whole frames in `ms` milliseconds, rounded down as MaixCDK's `Recorder::record` does.
    pub fn frames_in_ms(&self, ms: u32) -> u64 {
        u64::from(ms) * u64::from(self.rate) / 1000
    }

    /// How long `frames` last, in nanoseconds.
    pub fn duration_ns(&self, frames: u64) -> u64 {
        (u128::from(frames) * 1_000_000_000 / u128::from(self.rate.max(1))) as u64
    }
}

#[cfg(test)]
pub(crate) const S16_MONO_48K: Layout = Layout {
    encoding: Encoding::Signed,
    order: ByteOrder::Little,
    sample_bytes: 2,
    rate: 48_000,
    channels: 1,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_whole_frames() {
        assert_eq!(S16_MONO_48K.frames_in_ms(50), 2400);
        let cd = Layout {
            rate: 44_100,
            channels: 2,
            ..S16_MONO_48K
        };
        // 7 ms of 44.1 kHz are 308.7 frames: MaixCDK's integer arithmetic gives 308.
        assert_eq!(cd.frames_in_ms(7), 308);
        assert_eq!(cd.frame_bytes(), 4);
        assert_eq!(cd.duration_ns(44_100), 1_000_000_000);
        // An hour at 192 kHz passes 32 bits of nanoseconds times frames.
        let studio = Layout {
            rate: 192_000,
            ..cd
        };
        assert_eq!(studio.duration_ns(192_000 * 3600), 3_600_000_000_000);
    }
}
