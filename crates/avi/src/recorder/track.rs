// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a stream has besides its chunks.

use std::collections::VecDeque;

use super::fit::Fit;
use super::sample_rate::SampleRate;
use super::whole::Whole;
use super::{Payload, Stream};
use crate::header::WaveFormat;
use crate::k210;
use crate::timeline::{FrameGrid, Rate, SampleClock};
use crate::writer::{Profile, StreamFormat};

#[derive(Debug)]
pub(super) enum Track<P> {
    Video(Video<P>),
    Audio(Audio<P>),
}

#[derive(Debug)]
pub(super) struct Video<P> {
    pub grid: FrameGrid,
    pub width: u32,
    pub height: u32,
    /// To repeat, in the K210's profile.
    pub last: Option<P>,
    /// What rate would do for the frames so far.
    pub fit: Fit,
    /// Whether that is the file's.
    pub is_fitted: bool,
    /// Frames that are shown later than their place allows, unless another rate is found.
    pub displaced: u64,
    /// When the last frame came that had a time of its own, in nanoseconds; and how many came with it that are shown as
    /// late. They are not if there is room for them until the next one.
    pub last_time: Option<i64>,
    pub together: u64,
}

#[derive(Debug)]
pub(super) struct Audio<P> {
    pub clock: SampleClock,
    pub format: WaveFormat,
    /// In the K210's profile, bytes of each chunk and what waits for one to be full.
    pub chunk: Option<usize>,
    pub pending: VecDeque<P>,
    pub pending_bytes: usize,
    pub whole: Whole<P>,
    /// Samples that were left out.
    pub left_out: u64,
    /// What rate the times of samples tell, if the file can have another one than it was begun with.
    pub rate: Option<SampleRate>,
    /// Samples and their times that wait for that to be known.
    pub held: Vec<(P, Option<i64>)>,
}

impl<P: Payload> Track<P> {
    /// `video` is the rate of the file's first video stream; `is_fixed`: no rate can be changed.
    pub(crate) fn new(
        stream: &Stream,
        profile: Profile,
        video: Option<Rate>,
        is_fixed: bool,
    ) -> Self {
        let is_fine = stream.is_guessed && profile == Profile::Standard;
        match stream.format {
            StreamFormat::Video {
                width,
                height,
                rate,
            } => Self::Video(Video {
                grid: match is_fine {
                    true => FrameGrid::fine(rate),
                    false => FrameGrid::new(rate),
                },
                width,
                height,
                last: None,
                fit: Fit::new(rate, is_fine),
                is_fitted: false,
                displaced: 0,
                last_time: None,
                together: 0,
            }),
            StreamFormat::Audio(format) => Self::Audio(Audio {
                clock: SampleClock::new(
                    Rate::new(format.samples_per_sec.max(1), 1).unwrap_or(Rate::ONE),
                    sound_tolerance(video),
                ),
                format,
                chunk: match (profile, video) {
                    (Profile::K210, Some(rate)) => Some(k210::sound_chunk(rate, &format) as usize),
                    _ => None,
                },
                pending: VecDeque::new(),
                pending_bytes: 0,
                whole: Whole::default(),
                left_out: 0,
                rate: match is_fixed || profile == Profile::K210 {
                    true => None,
                    false => Some(SampleRate::new(format.samples_per_sec)),
                },
                held: Vec::new(),
            }),
        }
    }

    /// Bytes of sound that wait for a chunk to be full, or for the rate to be known.
    pub(crate) fn pending_bytes(&self) -> usize {
        match self {
            Self::Audio(audio) => {
                let held = audio.held.iter().map(|(payload, _)| payload.len());
                audio.pending_bytes + held.sum::<usize>()
            }
            Self::Video(_) => 0,
        }
    }
}

impl<P: Payload> Audio<P> {
    /// Bytes of a sample of each channel.
    pub(crate) fn block(&self) -> usize {
        usize::from(self.format.block_align.max(1))
    }

    /// Whole samples in so many bytes.
    pub(crate) fn blocks(&self, bytes: usize) -> u64 {
        (bytes / self.block()) as u64
    }

    /// Keeps sound until a chunk is full.
    pub(crate) fn hold(&mut self, payload: P) {
        self.pending_bytes += payload.len();
        self.pending.push_back(payload);
    }

    /// The first `size` bytes of what is held; `None` if they cannot be had.
    pub(crate) fn take(&mut self, size: usize) -> Option<P> {
        let mut taken = P::default();
        while taken.len() < size {
            let mut payload = self.pending.pop_front()?;
            let wanted = size - taken.len();
            if payload.len() > wanted {
                let first = payload.take_first(wanted)?;
                self.pending.push_front(payload);
                taken.append(first);
            } else {
                taken.append(payload);
            }
        }
        self.pending_bytes -= size;
        Some(taken)
    }
}

/// Sound is left alone up to 35 % of a frame, but for 20 ms at most: with the 65 % that frames may be
/// off for long, both are within a frame of each other.
fn sound_tolerance(video: Option<Rate>) -> u64 {
    video.map_or(20_000_000, |rate| {
        (rate.time_of(1) / 20 * 7).min(20_000_000)
    })
}
