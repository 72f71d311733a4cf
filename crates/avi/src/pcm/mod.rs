// SPDX-License-Identifier: MIT OR Apache-2.0
//! Interleaved PCM: what a sample looks like, its gain, a bounded store of it and the files that
//! hold it. Nothing here knows of GStreamer.

pub mod file;
pub mod gain;
pub mod ring;
pub mod wav;

use crate::header::WaveFormat;

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
    /// Bits of a sample that count: all, or 24 of 32.
    pub bits: u8,
    /// Bytes of one sample of one channel: 1, 2, 3 or 4, and 4 or 8 for [`Encoding::Float`].
    pub sample_bytes: u8,
    /// Frames a second, in Hz.
    pub rate: u32,
    /// Channels, interleaved.
    pub channels: u16,
    /// Which speakers, by the bits of WAVE's `dwChannelMask`, if that is said.
    pub speakers: Option<u32>,
}

impl Layout {
    /// Whole numbers of 8, 16, 24 or 32 bits as WAV and AVI have them: little endian, signed but for 8 bits.
    pub fn of_bits(rate: u32, channels: u16, bits: u8) -> Self {
        Self {
            encoding: match bits {
                8 => Encoding::Unsigned,
                _ => Encoding::Signed,
            },
            order: ByteOrder::Little,
            bits,
            sample_bytes: bits.div_ceil(8),
            rate,
            channels,
            speakers: None,
        }
    }

    /// What the header of a WAV or AVI file says; `None` if that is no PCM, or of so many bits as none has.
    pub fn of_wave(wave: &WaveFormat) -> Option<Self> {
        let (rate, channels) = (wave.samples_per_sec, wave.channels);
        let bits = u8::try_from(wave.bits_per_sample).ok()?;
        let whole = Self {
            speakers: wave.channel_mask,
            ..Self::of_bits(rate, channels, bits)
        };
        match (wave.format_tag, bits) {
            // 24 bits in 32.
            (WaveFormat::PCM, 24) if Some(wave.block_align) == channels.checked_mul(4) => {
                Some(Self {
                    sample_bytes: 4,
                    ..whole
                })
            }
            (WaveFormat::PCM, 8 | 16 | 24 | 32) => Some(whole),
            (WaveFormat::IEEE_FLOAT, 32 | 64) => Some(Self {
                encoding: Encoding::Float,
                ..whole
            }),
            _ => None,
        }
    }

    /// What the header of a WAV or AVI file says of it. (It cannot say that the order is another.)
    pub fn wave(&self) -> WaveFormat {
        let frame = self.frame_bytes();
        WaveFormat {
            format_tag: match self.encoding {
                Encoding::Float => WaveFormat::IEEE_FLOAT,
                Encoding::Signed | Encoding::Unsigned => WaveFormat::PCM,
            },
            block_align: frame as u16,
            avg_bytes_per_sec: self.rate.wrapping_mul(frame as u32),
            ..WaveFormat::pcm(
                self.rate,
                self.channels,
                self.bits.into(),
                self.speakers.unwrap_or(0),
            )
        }
    }

    /// The byte that silence is of.
    pub fn silence(&self) -> u8 {
        match (self.encoding, self.sample_bytes) {
            (Encoding::Unsigned, 1) => 0x80,
            _ => 0,
        }
    }

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
    bits: 16,
    sample_bytes: 2,
    rate: 48_000,
    channels: 1,
    speakers: None,
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

    #[test]
    fn a_header_says_what_it_is_made_of() {
        let float = Layout {
            encoding: Encoding::Float,
            speakers: Some(3),
            ..Layout::of_bits(48_000, 2, 64)
        };
        let wide = Layout {
            sample_bytes: 4,
            speakers: Some(0x3f),
            ..Layout::of_bits(96_000, 6, 24)
        };
        for layout in [
            Layout::of_bits(8000, 1, 8),
            S16_MONO_48K,
            Layout {
                speakers: Some(0),
                ..Layout::of_bits(44_100, 2, 24)
            },
            wide,
            float,
        ] {
            let wave = layout.wave();
            assert_eq!(Layout::of_wave(&wave), Some(layout), "{layout:?}");
            assert_eq!(usize::from(wave.block_align), layout.frame_bytes());
        }
        let mp3 = WaveFormat {
            format_tag: 0x55,
            ..S16_MONO_48K.wave()
        };
        assert_eq!(Layout::of_wave(&mp3), None);
        assert_eq!(Layout::of_wave(&WaveFormat::pcm(8000, 1, 12, 0)), None);
    }
}
