// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a recorder tells of, and why it ends.

use super::Jump;
use crate::k210::FrameError;
use crate::picojpeg::Refusal;
use crate::timeline::Rate;
use crate::writer::WriteError;

/// Something that a recorder did beyond writing what came.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// Places of the grid for which no frame came: empty chunks.
    Missing {
        /// The number of the stream.
        stream: usize,
        /// How many.
        frames: u64,
    },
    /// The same in the K210's profile, where a frame is there again.
    Repeated {
        /// The number of the stream.
        stream: usize,
        /// How many.
        frames: u64,
        /// Damaged frames that came in their place, as [`Notice::Damaged`] told.
        damaged: u64,
    },
    /// A frame came, for whose time there is no place any more; it is not in the file.
    Dropped {
        /// The number of the stream.
        stream: usize,
        /// Its time in nanoseconds since the start of the file.
        time: i64,
    },
    /// Frames are shown more than an interval and 0.1 s after their time: more came than there are places, and there is no one rate for
    /// all of them.
    Displaced {
        /// The number of the stream.
        stream: usize,
        /// How many so far.
        frames: u64,
    },
    /// The camera does not keep the rate that it was said to have; the file has its own.
    Rate {
        /// The number of the stream.
        stream: usize,
        /// What it was said to have.
        from: Rate,
        /// What the file has now.
        to: Rate,
    },
    /// Samples do not come at the rate that they were said to have; the file has their own.
    SampleRate {
        /// The number of the stream.
        stream: usize,
        /// Samples a second that it was said to have.
        from: u32,
        /// What the file has now.
        to: u32,
    },
    /// Times went back or far ahead. What follows is put behind what came before.
    Jump {
        /// The number of the stream.
        stream: usize,
        /// Where from and where to.
        jump: Jump,
    },
    /// The file is complete, and nothing came of a stream that is in it.
    Nothing {
        /// The number of the stream.
        stream: usize,
    },
    /// What came is empty, and no frame.
    Empty {
        /// The number of the stream.
        stream: usize,
    },
    /// A frame is left out, as the K210's playback would end with it.
    Damaged {
        /// Its number, of all that came.
        number: u64,
        /// What the player's decoder says.
        damage: Refusal,
    },
    /// No frame came in `sound` nanoseconds of sound: the K210's profile repeats the last one until another
    /// comes. Told once each time.
    Stalled {
        /// Nanoseconds.
        sound: u64,
    },
    /// Silence in the place of samples that did not come.
    Silence {
        /// The number of the stream.
        stream: usize,
        /// Samples of each channel.
        samples: u64,
    },
    /// Samples that came too late, or twice, are left out.
    Skipped {
        /// The number of the stream.
        stream: usize,
        /// Samples of each channel.
        samples: u64,
    },
    /// A tenth of a second of samples was left out so far: more come than their times have room for. Told once.
    TooMuchSound {
        /// The number of the stream.
        stream: usize,
    },
    /// The file was brought up to date.
    Checkpoint {
        /// Bytes of the file.
        bytes: u64,
    },
    /// After the storage failed: the file ends with what is certainly there.
    Salvaged {
        /// Bytes of the file.
        bytes: u64,
    },
    /// After the storage failed: the file is as it was at the last checkpoint, as the storage takes nothing
    /// any more.
    Unfinished,
}

/// Why a recording ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError<E> {
    /// The storage failed.
    #[error("the storage failed")]
    Storage(E),
    /// The format has no room for more.
    #[error(transparent)]
    Full(WriteError<E>),
    /// The disk has no room for more than what finishes the file.
    #[error("there is no space left for a file of {len} bytes and more")]
    NoRoom {
        /// Bytes that the file had when that was known.
        len: u64,
    },
    /// A frame that cannot be in a file for the K210.
    #[error("frame {number} cannot be in a file for the K210: {error}")]
    Frame {
        /// Its number, of all that came.
        number: u64,
        /// What is wrong with it.
        error: FrameError,
    },
    /// A file for the K210 begins with a frame.
    #[error("there are {seconds} s of sound and no frame yet")]
    NoFrame {
        /// Seconds of sound.
        seconds: u64,
    },
    /// The bytes of a payload cannot be had.
    #[error("a payload of stream {0} cannot be read")]
    Unreadable(usize),
    /// There is no stream of that number.
    #[error("there is no stream {0}")]
    NoStream(usize),
}

impl<E> From<WriteError<E>> for RecordError<E> {
    fn from(error: WriteError<E>) -> Self {
        match error {
            WriteError::Output(error) => Self::Storage(error),
            error => Self::Full(error),
        }
    }
}

impl<E> From<E> for RecordError<E> {
    fn from(error: E) -> Self {
        Self::Storage(error)
    }
}
