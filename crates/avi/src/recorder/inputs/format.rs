// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an input has, as far as it says so.

use crate::header::WaveFormat;
use crate::timeline::Rate;

/// What an input has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputFormat {
    /// Motion JPEG. Size and rate may be left to the pictures and their times.
    Video {
        /// In pixels.
        size: Option<(u32, u32)>,
        /// Frames a second.
        rate: Option<Rate>,
        /// The rate is but the most that comes.
        is_most: bool,
    },
    /// Interleaved PCM.
    Audio(WaveFormat),
}

impl InputFormat {
    /// Whether a stream can go on in this format: of a picture only the rate may change, which
    /// times make up for.
    pub fn continues(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Video { size: a, .. }, Self::Video { size: b, .. }) => {
                a.is_none() || b.is_none() || a == b
            }
            _ => self == other,
        }
    }

    /// Nanoseconds that so many bytes last, of which their source says that they last `told`; 0 if it is not
    /// known.
    pub fn lasts(&self, bytes: usize, told: Option<u64>) -> i64 {
        let lasts = match self {
            Self::Audio(format) => {
                let a_second = u128::from(format.avg_bytes_per_sec.max(1));
                u64::try_from(bytes as u128 * 1_000_000_000 / a_second).ok()
            }
            Self::Video { rate, .. } => told.or(rate.map(|rate| rate.time_of(1))),
        };
        lasts.and_then(|lasts| lasts.try_into().ok()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn video(size: Option<(u32, u32)>, rate: Option<Rate>) -> InputFormat {
        InputFormat::Video {
            size,
            rate,
            is_most: false,
        }
    }

    #[test]
    fn pictures_keep_their_size_and_samples_all() {
        let small = video(Some((64, 48)), None);
        assert!(small.continues(&video(Some((64, 48)), Some(Rate::PAL))));
        assert!(small.continues(&video(None, None)));
        assert!(!small.continues(&video(Some((48, 64)), None)));
        let sound = InputFormat::Audio(WaveFormat::pcm(16_000, 1, 16, 0));
        assert!(sound.continues(&sound) && !sound.continues(&small));
        let faster = InputFormat::Audio(WaveFormat::pcm(48_000, 1, 16, 0));
        assert!(!sound.continues(&faster));
    }

    #[test]
    fn samples_last_as_long_as_they_are_many() {
        let sound = InputFormat::Audio(WaveFormat::pcm(16_000, 1, 16, 0));
        assert_eq!(sound.lasts(3200, Some(1)), 100_000_000);
        assert_eq!(video(None, Some(Rate::PAL)).lasts(9, None), 40_000_000);
        assert_eq!(video(None, Some(Rate::PAL)).lasts(9, Some(5)), 5);
        assert_eq!(video(None, None).lasts(9, None), 0);
        assert_eq!(video(None, None).lasts(9, Some(u64::MAX)), 0);
    }
}
