// SPDX-License-Identifier: MIT OR Apache-2.0
//! What MaixPy's player on the K210 accepts, in numbers.
//!
//! From the firmware (`components/micropython/port/src/video` in `sipeed/MaixPy-v1`): it reads
//! the first 35 KiB of the file into a buffer, parses the headers there, searches that
//! buffer for `movi` and, when there is sound, for the first `01wb`; from then on it reads chunk
//! after chunk into the same buffer, or into one of four buffers for sound. From that follows
//! what a file has to keep to:
//!
//! - Nothing before the `movi` list may contain the bytes `movi`.
//! - The first chunk is video. The search for the first chunk of sound begins at the first chunk,
//!   and answers 0 both for "found at once" and "not found" (`avi_srarch_id`): a file that
//!   begins with sound is refused. So the first frame and all before it have to leave room in the
//!   35 KiB for the head of the chunk of sound that follows it.
//! - A frame's chunk and the 8 bytes after it have to fit into the buffer.
//! - The buffers for sound are as large as the number that stands where the first
//!   `01wb` was found. That is its size in the documentation, but its name in the code (`avi_init`
//!   goes 4 bytes on from the search's start, not from what it found): `01`, or 12 592 bytes,
//!   whatever the chunk's size. Chunks that are no larger than that, nor than the first, suit both.
//! - Frames are decoded by picojpeg, which does not know all that baseline JPEG has: see
//!   [`super::picojpeg`].
//! - Frames are paced by `avih` alone, and `avih` has to have the number of frames.

use super::header::{ChunkHeader, FourCc, WaveFormat};
use super::jpeg::{FrameHeader, JpegError};
use super::picojpeg::{self, Refusal};
use super::timeline::Rate;

/// Bytes that the player reads at once, its `VIDEO_AVI_BUFF_SIZE`.
pub const READ_BUFFER: u32 = 35 * 1024;

/// Bytes of payload that a frame's chunk may have: the next chunk's head is read with it.
pub const MAX_FRAME: u32 = READ_BUFFER - ChunkHeader::SIZE as u32;

/// Bytes of payload that a chunk of sound may have: the first two bytes of `01wb` as a number.
pub const MAX_SOUND: u32 = u16::from_le_bytes(*b"01") as u32;

/// Bytes that a file may have: the firmware's file positions are signed and of 32 bits.
pub const MAX_FILE: u64 = i32::MAX as u64;

/// The bytes that must not occur before the list they name.
pub const FORBIDDEN_IN_HEADER: [u8; 4] = FourCc::MOVI.0;

/// Why a frame cannot be in a file for the K210's player.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// It is larger than the buffer of the player.
    #[error(
        "it has {size} bytes and the player's buffer takes {limit}; \
         lower the JPEG quality or the frame size"
    )]
    TooLarge {
        /// Bytes that it has.
        size: u32,
        /// Bytes that it may have: [`MAX_FRAME`].
        limit: u32,
    },
    /// The sound behind it would begin beyond what the player searches.
    #[error(
        "it has {size} bytes, and the first frame of a recording with sound may have {limit}, for \
         the sound has to begin within the player's first 35 KiB; lower the JPEG quality or the \
         frame size"
    )]
    FirstTooLarge {
        /// Bytes that it has.
        size: u32,
        /// Bytes that it may have: [`max_first_frame`].
        limit: u32,
    },
    /// It is progressive, lossless, or has other than 8 bits a sample.
    #[error(
        "it is not a baseline JPEG (SOF{process}, {precision} bits), which is all that the \
             player decodes; encode it with jpegenc"
    )]
    NotBaseline {
        /// The number of its SOF marker, 0 to 15.
        process: u8,
        /// Bits of a sample.
        precision: u8,
    },
    /// It is not as large as the recording says.
    #[error(
        "it is {width}x{height} and the recording is {expected_width}x{expected_height}; \
             scale all frames to one size"
    )]
    WrongSize {
        /// Its width in pixels.
        width: u16,
        /// Its height in pixels.
        height: u16,
        /// The recording's width in pixels.
        expected_width: u32,
        /// The recording's height in pixels.
        expected_height: u32,
    },
    /// It has no head that can be read.
    #[error("it is empty or no JPEG: {0}")]
    NotJpeg(#[from] JpegError),
    /// picojpeg does not decode it.
    #[error("the player's decoder does not take it: {0}; encode it with jpegenc, from I420")]
    NotDecodable(#[from] Refusal),
}

/// Bytes that the first frame may have when a header of `header` bytes (`movi` included) is
/// before it and sound comes after it.
pub fn max_first_frame(header: u64) -> u32 {
    // The search stops 4 bytes before the end of the buffer less the name's own 4.
    let before = header + 2 * ChunkHeader::SIZE as u64 + 1;
    let room = u64::from(READ_BUFFER).saturating_sub(before) & !1;
    room.min(MAX_FRAME.into()) as u32
}

/// Checks that the player can show `data` in a file of frames of `width` by `height` pixels; whether
/// it has room for it is another matter ([`MAX_FRAME`], [`max_first_frame`]).
pub fn check_frame(data: &[u8], width: u32, height: u32) -> Result<(), FrameError> {
    let header = FrameHeader::parse(data)?;
    if !header.is_baseline() {
        return Err(FrameError::NotBaseline {
            process: header.process,
            precision: header.precision,
        });
    }
    if (u32::from(header.width), u32::from(header.height)) != (width, height) {
        return Err(FrameError::WrongSize {
            width: header.width,
            height: header.height,
            expected_width: width,
            expected_height: height,
        });
    }
    Ok(picojpeg::check(data)?)
}

/// Bytes of each chunk of sound of a recording: those of an interval between two frames, or the
/// largest part of them that the player's buffers take.
pub fn sound_chunk(frames: Rate, format: &WaveFormat) -> u32 {
    let block = u32::from(format.block_align).max(1);
    let rate = u64::from(format.samples_per_sec) * u64::from(frames.denominator());
    let samples = rate.div_ceil(u64::from(frames.numerator())).max(1);
    let most = u64::from(MAX_SOUND / block).max(1);
    let samples = samples.div_ceil(samples.div_ceil(most));
    // Chunks have even sizes, so that none has to be padded.
    let samples = if block % 2 == 1 {
        samples & !1
    } else {
        samples
    };
    samples as u32 * block
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picojpeg::jpeg_head::{HALVED, jpeg_head};

    #[test]
    fn limits_are_the_firmwares() {
        assert_eq!(MAX_FRAME, 35_832);
        assert_eq!(MAX_SOUND, 12_592);
        assert_eq!(max_first_frame(320), 35_502);
    }

    #[test]
    fn sound_fits_the_players_buffers() {
        for (rate, channels, fps, bytes) in [
            (44_100, 1, (10, 1), 8820),
            (44_100, 2, (10, 1), 8820),
            (44_100, 2, (10, 3), 10_584),
            (8000, 1, (30, 1), 534),
        ] {
            let format = WaveFormat::pcm(rate, channels, 16, 0);
            let chunk = sound_chunk(Rate::new(fps.0, fps.1).unwrap(), &format);
            assert_eq!(chunk, bytes);
            assert!(chunk <= MAX_SOUND && chunk.is_multiple_of(format.block_align.into()));
        }
    }

    #[test]
    fn frames_are_checked() {
        let baseline = jpeg_head(320, 240, &HALVED);
        assert_eq!(check_frame(&baseline, 320, 240), Ok(()));
        assert!(matches!(
            check_frame(&baseline, 640, 480),
            Err(FrameError::WrongSize { width: 320, .. })
        ));
        let mut progressive = baseline;
        let at = progressive.windows(2).position(|two| two == [0xff, 0xc0]);
        progressive[at.unwrap() + 1] = 0xc2;
        assert!(matches!(
            check_frame(&progressive, 320, 240),
            Err(FrameError::NotBaseline { process: 2, .. })
        ));
        assert!(matches!(
            check_frame(b"", 320, 240),
            Err(FrameError::NotJpeg(_))
        ));
        assert!(matches!(
            check_frame(&jpeg_head(320, 240, &[(2, 2)]), 320, 240),
            Err(FrameError::NotDecodable(Refusal::Sampling(_)))
        ));
    }
}
