// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a recorder tells of, in sentences for its user, and why it ends.

use std::fmt::{self, Display, Formatter};

use super::Jump;
use super::inputs::AHEAD_AT_START;
use crate::k210::FrameError;
use crate::picojpeg::Refusal;
use crate::timeline::Rate;
use crate::writer::{Profile, WriteError};

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

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
    /// Frames before the first readable one of their input are left out.
    Unreadable {
        /// How many.
        frames: u64,
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

/// A sentence for the user, without its full stop.
impl Display for Notice {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { stream, frames } => {
                write!(
                    f,
                    "{frames} frames of stream {stream} did not come; their places are empty"
                )
            }
            Self::Repeated { stream, .. } => write!(
                f,
                "Frames of stream {stream} do not come at the interval of their rate; to keep the time, missing ones \
                 are repeated and those too many dropped"
            ),
            Self::Dropped { stream, time } => write!(
                f,
                "A frame of stream {stream} is left out: there is no place for its time, {:.3} s",
                *time as f64 / SECOND as f64
            ),
            Self::Displaced { stream, frames } => write!(
                f,
                "{frames} frames of stream {stream} are shown later than their time: more came than the frame rate has \
                 places for, which changed while it was recorded. All of them are in the file"
            ),
            Self::Rate { stream, from, to } => write!(
                f,
                "Frames of stream {stream} come at {} a second, not at {}; the file says so",
                per_second(*to),
                per_second(*from)
            ),
            Self::SampleRate { stream, from, to } => write!(
                f,
                "Sound on stream {stream} comes at {to} samples a second by its timestamps, and not at {from}, as it \
                 says. All of it is in the file, which says {to}"
            ),
            Self::Jump { stream, jump } => {
                write!(f, "The timestamps of stream {stream} jump {jump}")
            }
            Self::Nothing { stream } => {
                write!(
                    f,
                    "Nothing came on stream {stream}; it is in the file, and empty"
                )
            }
            Self::Unreadable { frames } => write!(
                f,
                "{frames} pictures before the first readable one are left out: they are empty or cut, or no JPEGs"
            ),
            Self::Empty { stream } => write!(
                f,
                "An empty buffer came on stream {stream}, which is no picture; it is left out"
            ),
            Self::Damaged { number, damage } => write!(
                f,
                "Frame {number} is left out, as it would end playback on a K210: {damage}. The last one is repeated"
            ),
            Self::Stalled { sound } => write!(
                f,
                "No frame came in {} s of sound; the last one is repeated until another comes",
                sound / SECOND
            ),
            Self::Silence { stream, samples } => write!(
                f,
                "{samples} samples of stream {stream} did not come; there is silence in their place"
            ),
            Self::Skipped { stream, samples } => write!(
                f,
                "{samples} samples of stream {stream} came too late, or twice; they are left out"
            ),
            Self::TooMuchSound { stream } => write!(
                f,
                "More sound comes on stream {stream} than its timestamps have room for at the rate that it says; what \
                 is too much is left out"
            ),
            Self::Checkpoint { bytes } => write!(f, "The file is up to date at {bytes} bytes"),
            Self::Salvaged { bytes } => write!(f, "The file ends at {bytes} bytes"),
            Self::Unfinished => write!(
                f,
                "The file cannot be finished; it is as at the last checkpoint"
            ),
        }
    }
}

fn per_second(rate: Rate) -> f64 {
    let rate = rate.reduced();
    f64::from(rate.numerator()) / f64::from(rate.denominator())
}

/// Which notices of a recording its user is to be warned of: what may come with each frame once for a file.
///
/// ```
/// use avi_mjpeg::recorder::{Notice, Warnings};
/// use avi_mjpeg::writer::Profile;
///
/// let mut warnings = Warnings::new(Profile::Standard);
/// let empty = Notice::Empty { stream: 0 };
/// assert!(warnings.take(&empty) && !warnings.take(&empty));
/// assert_eq!(
///     empty.to_string(),
///     "An empty buffer came on stream 0, which is no picture; it is left out"
/// );
/// ```
#[derive(Debug)]
pub struct Warnings {
    profile: Profile,
    of_rate: bool,
    of_damage: bool,
    of_empty: bool,
}

impl Warnings {
    /// Of a file for `profile`. One for the K210 has another frame in the place of a missing one, which is
    /// worth a warning.
    pub fn new(profile: Profile) -> Self {
        Self {
            profile,
            of_rate: false,
            of_damage: false,
            of_empty: false,
        }
    }

    /// Whether a notice is to be told now.
    pub fn take(&mut self, notice: &Notice) -> bool {
        let is_first = |told: &mut bool| !std::mem::replace(told, true);
        match notice {
            Notice::Repeated {
                frames, damaged, ..
            } => frames > damaged && is_first(&mut self.of_rate),
            Notice::Dropped { .. } => self.profile == Profile::K210 && is_first(&mut self.of_rate),
            Notice::Damaged { .. } => is_first(&mut self.of_damage),
            Notice::Empty { .. } => is_first(&mut self.of_empty),
            Notice::Displaced { .. }
            | Notice::SampleRate { .. }
            | Notice::Nothing { .. }
            | Notice::Stalled { .. }
            | Notice::TooMuchSound { .. }
            | Notice::Unreadable { .. } => true,
            _ => false,
        }
    }
}

/// What a user should know of an input of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InputNotice {
    /// Its times began anew.
    Jumped(Jump),
    /// The file, which is for a profile, is not begun before something comes of it, however much there is of the
    /// others.
    Waits(Profile),
    /// The file is without it, as it did not say what it has.
    LeftOut,
    /// Nothing came of it before the file was begun, which has it from when something comes.
    Awaited,
}

impl InputNotice {
    /// Whether its user is to be warned of it.
    pub fn is_warning(&self) -> bool {
        !matches!(self, Self::Jumped(Jump { is_known: true, .. }))
    }

    /// A sentence for the user of an input by this name, without its full stop.
    pub fn sentence(&self, name: &str) -> String {
        let seconds = AHEAD_AT_START / SECOND as i64;
        match self {
            Self::Jumped(jump) => format!("The timestamps of {name} jump {jump}"),
            Self::Waits(Profile::K210) => format!(
                "There are {seconds} s of sound and no frame yet; a file for the K210 begins with a frame, so the \
                 sound is held back until one comes"
            ),
            Self::Waits(Profile::Standard) => format!(
                "There are {seconds} s of data and nothing on {name} yet; where the file goes nothing can be \
                 overwritten, so it is not begun before something comes there, or its end"
            ),
            Self::LeftOut => {
                format!("The file is without {name}, which had nothing to say what it has")
            }
            Self::Awaited => format!(
                "Nothing came on {name} so far; the file is begun without it, and has it from when something comes"
            ),
        }
    }
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
    #[error("there is no space left for the file: it was finished at {len} bytes")]
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
    #[error(
        "there are {seconds} s of sound and no frame yet, but a file for the K210 begins with one"
    )]
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

impl<E> RecordError<E> {
    /// The reason as the beginning of a text, with a capital letter and without a full stop.
    pub fn sentence(&self) -> String
    where
        Self: std::fmt::Display,
    {
        let text = self.to_string();
        let mut letters = text.chars();
        let first = letters.next().map(char::to_uppercase);
        first.into_iter().flatten().chain(letters).collect()
    }
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
