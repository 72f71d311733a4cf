// SPDX-License-Identifier: MIT OR Apache-2.0
//! When a file is begun, and with what.

use std::time::Instant;

use super::{InputFormat, Inputs, Item, Next};
use crate::recorder::{AHEAD, Cadence, Idle, Payload, SILENT, Stream, picture_size};
use crate::timeline::Rate;
use crate::writer::Profile;

/// How far an input may be ahead of one that is silent before the file is begun, in nanoseconds: a camera
/// takes its time.
pub const AHEAD_AT_START: i64 = 10_000_000_000;

/// The grid of a camera that came so late that its rate could not be waited for.
const UNKNOWN_RATE: Rate = Rate::THIRTY_A_SECOND;

/// What a file is begun with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    /// Its streams: video first, those that are awaited last.
    pub streams: Vec<Stream>,
    /// The inputs that the file is without, as they did not say what they have.
    pub left_out: Vec<usize>,
    /// The inputs of which nothing came yet.
    pub awaited: Vec<usize>,
}

impl<P: Payload, E> Inputs<P, E> {
    /// Begins the file when it is known what it will have.
    pub(super) fn begin(
        &mut self,
        may_come: impl Fn(usize) -> bool,
        now: Instant,
    ) -> Result<Next<P, E>, Idle> {
        let all = 0..self.inputs.len();
        all.clone().for_each(|n| self.skip_unreadable(n));
        let is_over = |n| self.queue.has_ended(n) && self.queue.head(n).is_none();
        if all.clone().all(is_over) {
            if all.is_empty() {
                return Err(Idle::Waiting);
            }
            self.is_over = true;
            return Ok(Next::End);
        }
        for n in all {
            if self.is_ready(n) || !may_come(n) {
                continue;
            }
            if !self.is_behind(n) {
                return Err(Idle::Waiting);
            }
            // The K210's file begins with a frame, however long that takes; and what cannot be put into
            // the head later is waited for.
            let Some(seekable) = self.seekable else {
                return Ok(Next::AskSeekable);
            };
            if !seekable || self.profile == Profile::K210 && self.inputs[n].is_video {
                return match std::mem::replace(&mut self.told_of_waiting, true) {
                    false => Ok(Next::Waits(n)),
                    true => Err(Idle::Waiting),
                };
            }
            let patience = self.queue.heard(n) + SILENT;
            if now < patience {
                return Err(Idle::Until(patience));
            }
        }
        Ok(Next::Begin(self.prepare(may_come)))
    }

    /// Whether others are so far ahead of an input that it cannot be waited for much longer.
    fn is_behind(&self, n: usize) -> bool {
        let mut others = (0..self.inputs.len()).filter(|other| *other != n);
        others.any(|other| self.queue.span(other) >= AHEAD_AT_START)
    }

    /// Whether an input need not be waited for.
    fn is_ready(&self, n: usize) -> bool {
        let input = &self.inputs[n];
        let has_head = self.queue.head(n).is_some() && (!input.is_video || self.rate(n).is_some());
        let says_nothing = input.format.is_some() && self.queue.has_gap(n);
        self.queue.has_ended(n) || has_head || says_nothing
    }

    /// Whether the file is not begun as it takes more frames of an input to tell their rate. However far apart the few are
    /// that wait, what sends them must not be held back then.
    pub(super) fn needs_frames(&self, n: usize) -> bool {
        let input = &self.inputs[n];
        !self.is_begun && input.is_video && input.format.is_some() && self.rate(n).is_none()
    }

    /// Numbers the streams, and collects what the head of the file says.
    fn prepare(&mut self, may_come: impl Fn(usize) -> bool) -> Beginning {
        let known: Vec<_> = (0..self.inputs.len()).map(|n| self.stream(n)).collect();
        let mut order: Vec<usize> = (0..self.inputs.len()).collect();
        order.sort_by_key(|n| (known[*n].is_none(), !self.inputs[*n].is_video));
        let can_wait = self.profile == Profile::Standard;
        let mut beginning = Beginning {
            streams: Vec::new(),
            left_out: Vec::new(),
            awaited: Vec::new(),
        };
        for n in order {
            let has_ended = self.queue.has_ended(n);
            let input = &mut self.inputs[n];
            let stream = match (known[n], input.is_video) {
                (Some(stream), _) => stream,
                (None, _) if !may_come(n) => continue,
                (None, _) if has_ended || !can_wait => {
                    beginning.left_out.push(n);
                    continue;
                }
                (None, true) => Stream::awaited_video(),
                (None, false) => Stream::awaited_audio(),
            };
            input.is_awaited = stream.is_awaited;
            if input.is_awaited {
                beginning.awaited.push(n);
            }
            input.stream = Some(beginning.streams.len());
            beginning.streams.push(stream);
        }
        self.ahead = ahead(&beginning.streams);
        self.is_begun = true;
        beginning
    }

    /// The first payload that waits, and its time.
    fn first(&self, n: usize) -> Option<(&P, Option<i64>)> {
        self.queue.items(n).find_map(|item| match item {
            Item::Payload { payload, time, .. } => Some((payload, *time)),
            Item::Event(_) => None,
        })
    }

    /// The rate of an input's frames, and whether it is a guess; `None` if frames have to come first.
    fn rate(&self, n: usize) -> Option<(Rate, bool)> {
        if let Some(InputFormat::Video {
            rate: Some(rate),
            is_most,
            ..
        }) = self.inputs[n].format
        {
            return Some((rate, is_most));
        }
        let frames: Vec<_> = self
            .queue
            .items(n)
            .filter_map(|item| match item {
                Item::Payload { time, told, .. } => Some((*time, *told)),
                Item::Event(_) => None,
            })
            .collect();
        // The K210's file has no finer grid to begin with, so two frames have to do.
        let is_k210 = self.profile == Profile::K210;
        let is_late = is_k210 && frames.len() > 1 && self.is_behind(n);
        let cadence = Cadence::of(&frames, self.queue.has_ended(n) || is_late)?;
        Some(match self.profile {
            Profile::Standard => (cadence.grid, true),
            Profile::K210 => (cadence.usual, false),
        })
    }

    /// The size of an input's pictures, as far as it or the first of them tells.
    fn size(&self, n: usize) -> Option<(u32, u32)> {
        match self.inputs[n].format? {
            InputFormat::Video { size: None, .. } => self.first(n)?.0.look(picture_size)?,
            InputFormat::Video { size, .. } => size,
            InputFormat::Audio(_) => None,
        }
    }

    /// What an input has, if it is known.
    pub(super) fn stream(&self, n: usize) -> Option<Stream> {
        // Without a time, a stream begins together with the others.
        let first = self.first(n).and_then(|(_, time)| time);
        match self.inputs[n].format? {
            InputFormat::Audio(format) => Some(Stream {
                first,
                ..Stream::audio(format)
            }),
            InputFormat::Video { .. } => {
                let (width, height) = self.size(n)?;
                let (rate, is_guessed) = self.rate(n).unwrap_or((UNKNOWN_RATE, true));
                Some(Stream {
                    first,
                    is_guessed,
                    ..Stream::video(width, height, rate)
                })
            }
        }
    }

    /// Leaves out what comes before the first picture that tells its size, if nothing else does.
    pub(super) fn skip_unreadable(&mut self, n: usize) {
        while self.inputs[n].is_video
            && self.inputs[n].format.is_some()
            && matches!(self.queue.items(n).next(), Some(Item::Payload { .. }))
            && self.size(n).is_none()
        {
            self.queue.pop(n);
            self.unreadable += 1;
        }
    }
}

/// How far an input may be ahead of a silent one in a file of some streams: three frames of the slowest camera
/// are to have their turn.
fn ahead(streams: &[Stream]) -> i64 {
    let rates = streams.iter().filter_map(|stream| stream.format.rate());
    let frames = rates.filter_map(|rate| i64::try_from(rate.time_of(3)).ok());
    frames.fold(AHEAD, i64::max)
}
