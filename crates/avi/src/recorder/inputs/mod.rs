// SPDX-License-Identifier: MIT OR Apache-2.0
//! Several inputs that come each in its own time: when a file of them can be begun, what it then has, and
//! whose turn it is.

mod begin;
mod format;
#[cfg(test)]
mod tests;

use std::time::Instant;

pub use begin::{AHEAD_AT_START, Beginning};
pub use format::InputFormat;

use super::{Continuity, Idle, Interleaver, Jump, Payload, Stream};
use crate::writer::{MAX_STREAMS, Profile};

/// What waits at an input.
#[derive(Debug)]
enum Item<P, E> {
    Payload {
        payload: P,
        /// In nanoseconds, if it has one.
        time: Option<i64>,
        /// Nanoseconds that its source says that it lasts.
        told: Option<u64>,
    },
    Event(E),
}

/// One input.
#[derive(Debug)]
struct Input {
    is_video: bool,
    format: Option<InputFormat>,
    /// Its number in the file.
    stream: Option<usize>,
    /// The file was begun before anything came that tells what it has.
    is_awaited: bool,
    /// The time of what came last, as it came.
    last: Option<i64>,
}

impl Input {
    fn new(is_video: bool) -> Self {
        Self {
            is_video,
            format: None,
            stream: None,
            is_awaited: false,
            last: None,
        }
    }
}

/// What is to be done next.
#[derive(Debug)]
pub enum Next<P, E> {
    /// It has to be known whether the head of the file can be written again: [`Inputs::set_seekable`] is to be
    /// told.
    AskSeekable,
    /// The user is to be told that the file is not begun before something comes of this input, however much
    /// there is of the others. Said once.
    Waits(usize),
    /// A file is to be begun.
    Begin(Beginning),
    /// [`Recorder::set_stream`](super::Recorder::set_stream) is to be told what a stream has.
    Known(usize, Stream),
    /// Something of a stream is to be recorded.
    Payload {
        /// The number of the stream.
        stream: usize,
        /// A frame, or samples.
        payload: P,
        /// In nanoseconds, if it has one.
        time: Option<i64>,
    },
    /// What was before an event is recorded.
    Event(E),
    /// All inputs have ended, and all that came of them is recorded. Said once.
    End,
}

/// Why an input takes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It has ended, or all have.
    #[error("it has ended")]
    Ended,
    /// It did not say what it has.
    #[error("what it has was not said")]
    NoFormat,
    /// The file was begun without it.
    #[error("the file was begun without it")]
    NotInFile,
}

/// Why there can be no further input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoInput {
    /// There are [`MAX_STREAMS`], or for the K210 one of that kind.
    #[error("the file has all it can have")]
    Full,
    /// The streams of a file are named in its head.
    #[error("the file is begun")]
    Begun,
}

/// Inputs and what waits of them: payloads `P`, and events `E` that pass when all before them is recorded.
///
/// Inputs are numbered from 0 in the order they were added. A method panics if there is none of the number that it
/// is given. All times are in nanoseconds since one origin, which is any; "now" is the caller's, so that a
/// test needs no clock.
///
/// - The file is begun when each input has something; if one has nothing for
///   [`AHEAD_AT_START`] of the others, and what is written can be written again, it is begun without, and has
///   it from when it comes.
/// - Of what waits the earliest goes first. An input that is silent for [`SILENT`](super::SILENT), although others are
///   [`AHEAD`](super::AHEAD) of what could be taken (or three frames of a slow camera), is not waited for.
/// - Times that begin anew are put right behind what came before ([`Continuity`]).
/// - What has the time of what came before has none of its own: it is put right behind that. Pictures that come in one
///   packet are such, and those of a camera whose clock stands. In the K210's profile, which keeps its rate, there are too
///   many of them.
#[derive(Debug)]
pub struct Inputs<P, E> {
    profile: Profile,
    inputs: Vec<Input>,
    /// What waits at each of them, by the same numbers.
    queue: Interleaver<Item<P, E>>,
    continuity: Continuity,
    /// Frames that came before the first that could be read.
    unreadable: u64,
    is_begun: bool,
    is_over: bool,
    /// Whether the head of the file can be written again, once it was asked.
    seekable: Option<bool>,
    /// The user knows that the file waits for an input.
    told_of_waiting: bool,
    /// How far an input may be ahead of a silent one.
    ahead: i64,
}

impl<P, E> Default for Inputs<P, E> {
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            inputs: Vec::new(),
            queue: Interleaver::default(),
            continuity: Continuity::default(),
            unreadable: 0,
            is_begun: false,
            is_over: false,
            seekable: None,
            told_of_waiting: false,
            ahead: AHEAD_AT_START,
        }
    }
}

/// Inputs that come and go, and what they have.
impl<P: Payload, E> Inputs<P, E> {
    /// Whether there can be another one.
    pub fn can_add(&self, is_video: bool, profile: Profile) -> Result<(), NoInput> {
        let has_one = self.inputs.iter().any(|input| input.is_video == is_video);
        if self.inputs.len() >= MAX_STREAMS || (profile == Profile::K210 && has_one) {
            return Err(NoInput::Full);
        }
        if self.is_begun {
            return Err(NoInput::Begun);
        }
        Ok(())
    }

    /// Adds an input of frames or of samples, the last by number.
    pub fn add(&mut self, is_video: bool, now: Instant) {
        self.inputs.push(Input::new(is_video));
        self.queue.add(now);
    }

    /// Removes an input and what waits of it; those after it move up.
    pub fn remove(&mut self, n: usize) {
        self.inputs.remove(n);
        self.queue.remove(n);
        self.continuity.remove(n);
    }

    /// Forgets all but which inputs there are, for another file.
    pub fn reset(&mut self, profile: Profile, now: Instant) {
        let kinds = self.inputs.iter().map(|input| input.is_video);
        let kinds: Vec<_> = kinds.collect();
        *self = Self {
            profile,
            ..Self::default()
        };
        kinds.into_iter().for_each(|kind| self.add(kind, now));
    }

    /// Forgets the file, and what waits of an input; another file is begun with what comes. What the inputs
    /// have is known still.
    pub fn flush(&mut self, n: usize, now: Instant) {
        self.queue.reset(n, now);
        for input in &mut self.inputs {
            input.stream = None;
            input.is_awaited = false;
            input.last = None;
        }
        self.continuity = Continuity::default();
        self.ahead = AHEAD_AT_START;
        self.is_begun = false;
        self.is_over = false;
    }

    /// Says what an input has. Whether it can: a stream keeps its format once something of it came.
    pub fn set_format(&mut self, n: usize, format: InputFormat, now: Instant) -> bool {
        let input = &mut self.inputs[n];
        let is_used = input.stream.is_some() || !self.queue.is_empty(n);
        if let (Some(old), true) = (input.format, is_used) {
            return old.continues(&format);
        }
        input.format = Some(format);
        self.queue.hear(n, now);
        true
    }

    /// Says whether the head of the file can be written again.
    pub fn set_seekable(&mut self, seekable: bool) {
        self.seekable = Some(seekable);
    }

    /// Whom the file is for.
    pub(super) fn profile(&self) -> Profile {
        self.profile
    }

    /// Frames that came before the first that could be read, and are not in the file.
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }
}

/// What comes.
impl<P: Payload, E> Inputs<P, E> {
    /// Whether an input takes anything.
    pub fn takes(&self, n: usize) -> Result<(), Refused> {
        let input = &self.inputs[n];
        if self.is_over || self.queue.has_ended(n) {
            Err(Refused::Ended)
        } else if input.format.is_none() {
            Err(Refused::NoFormat)
        } else if self.is_begun && input.stream.is_none() {
            Err(Refused::NotInFile)
        } else {
            Ok(())
        }
    }

    /// Whether what comes of an input is next without waiting: it is the only one, and nothing waits.
    pub fn is_next(&self, n: usize) -> bool {
        self.inputs.len() == 1
            && self.is_open()
            && self.inputs[n].stream.is_some()
            && !self.inputs[n].is_awaited
            && self.queue.is_empty(n)
            && !self.queue.has_ended(n)
    }

    /// Something of an input came that it [takes](Self::takes), whose source says that it lasts `told` nanoseconds.
    ///
    /// If the caller `is_free` to record it, and it [is next](Self::is_next), it does not wait: it is returned. So
    /// is a jump of its time.
    pub fn push(
        &mut self,
        n: usize,
        payload: P,
        time: Option<i64>,
        told: Option<u64>,
        is_free: bool,
        now: impl FnOnce() -> Instant,
    ) -> (Option<Next<P, E>>, Option<Jump>) {
        let last = std::mem::replace(&mut self.inputs[n].last, time);
        let time = time.filter(|_| time != last || self.profile == Profile::K210);
        let format = self.inputs[n].format;
        let lasts = format.map_or(0, |format| format.lasts(payload.len(), told));
        let followed = time.map(|time| self.continuity.follow(n, time, lasts));
        let (time, jump) = followed.map_or((None, None), |(time, jump)| (Some(time), jump));
        if let (true, true, Some(stream)) = (is_free, self.is_next(n), self.inputs[n].stream) {
            self.queue.pass(n, time, lasts);
            let next = Next::Payload {
                stream,
                payload,
                time,
            };
            return (Some(next), jump);
        }
        let item = Item::Payload {
            payload,
            time,
            told,
        };
        // When an only input was heard last is never asked.
        let now = match self.inputs.len() {
            1 => self.queue.heard(n),
            _ => now(),
        };
        self.queue.push(n, item, time, lasts, now);
        (None, jump)
    }

    /// An event that passes when all is recorded that came of its input before.
    pub fn event(&mut self, n: usize, event: E) {
        self.queue.push_untimed(n, Item::Event(event));
    }

    /// Nothing comes of an input before `end`.
    pub fn gap(&mut self, n: usize, end: i64, now: Instant) {
        self.queue.gap(n, end, now);
    }

    /// Nothing more comes of an input.
    pub fn end(&mut self, n: usize) {
        self.queue.end(n);
    }

    /// Whether whoever fills an input is to wait, since it is too far ahead of what can be recorded.
    pub fn hold(&mut self, n: usize) -> bool {
        !self.is_over && !self.needs_frames(n) && self.queue.hold(n, self.ahead)
    }

    /// Whether whoever fills an input was told to wait.
    pub fn is_held(&self, n: usize) -> bool {
        self.queue.is_held(n)
    }

    /// Lets an input go on.
    pub fn let_go(&mut self, n: usize) {
        self.queue.let_go(n);
    }

    /// Lets those go on that were held back for long enough. Whether there are any.
    pub fn release(&mut self) -> bool {
        self.queue.release(self.ahead)
    }
}

/// What goes.
impl<P: Payload, E> Inputs<P, E> {
    /// Whether a file was begun and is not at its end.
    pub fn is_open(&self) -> bool {
        self.is_begun && !self.is_over
    }

    /// What is to be done next. `may_come` says of which inputs anything may come at all; the file is begun without
    /// the others.
    pub fn next(
        &mut self,
        may_come: impl Fn(usize) -> bool,
        now: Instant,
    ) -> Result<Next<P, E>, Idle> {
        if self.is_over {
            return Err(Idle::Waiting);
        }
        if !self.is_begun {
            return self.begin(may_come, now);
        }
        loop {
            if let Some(Item::Event(event)) = self.queue.pop_untimed() {
                return Ok(Next::Event(event));
            }
            let rank = |n: usize| self.inputs[n].stream;
            let Some(n) = self.queue.turn(rank, self.ahead, now)? else {
                self.is_over = true;
                return Ok(Next::End);
            };
            let number = self.inputs[n].stream.unwrap_or_default();
            if self.inputs[n].is_awaited {
                self.skip_unreadable(n);
                let Some(stream) = self.stream(n) else {
                    continue;
                };
                self.inputs[n].is_awaited = false;
                return Ok(Next::Known(number, stream));
            }
            return match self.queue.pop(n) {
                Some(Item::Payload { payload, time, .. }) => Ok(Next::Payload {
                    stream: number,
                    payload,
                    time,
                }),
                Some(Item::Event(event)) => Ok(Next::Event(event)),
                None => Err(Idle::Waiting),
            };
        }
    }
}
