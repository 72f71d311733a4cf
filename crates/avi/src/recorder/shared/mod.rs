// SPDX-License-Identifier: MIT OR Apache-2.0
//! A recorder whose inputs come in threads of their own.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::inputs::{InputFormat, Inputs, Next, NoInput, Refused};
use super::{Idle, InputNotice, Notice, RecordError, Recorder, SILENT, Stats, Storage, Stream};
use crate::writer::{Profile, Tags};

#[cfg(test)]
mod tests;

/// What a recorder of several threads does not know by itself. No method is called with a lock held, unless it
/// says so.
pub trait Host {
    /// What an input is known by.
    type Input: Clone + PartialEq;
    /// Something that passes when all before it is recorded.
    type Event;
    /// Where the file goes.
    type Storage: Storage<Error: Clone>;

    /// Whether anything may come of an input. Called with the lock held.
    fn may_come(&self, input: &Self::Input) -> bool;

    /// Whether the head of the file could be written again.
    fn is_seekable(&self) -> bool;

    /// Something that the user should know of an input.
    fn tell(&self, input: &Self::Input, notice: InputNotice);

    /// Begins a file of some streams.
    fn begin(&self, streams: &[Stream]) -> Result<Recorder<Self::Storage>, Ended<Self>>;

    /// Passes an event on behind what was recorded.
    fn event(&self, storage: &mut Self::Storage, event: Self::Event) -> Result<(), Failure<Self>>;

    /// What the file's `INFO` list is to say by now.
    fn tags(&self) -> Tags;

    /// The file is complete; without `any`, nothing has come and there is none.
    fn finished(&self, any: bool);

    /// The recording ends before its inputs do. What of the file was begun is to be made one; what is returned is
    /// answered to whatever comes.
    fn failed(
        &self,
        recorder: Option<&mut Recorder<Self::Storage>>,
        error: &Ended<Self>,
    ) -> Failure<Self>;
}

/// Why a host's storage fails.
pub type Failure<H> = <<H as Host>::Storage as crate::writer::Output>::Error;

/// Why a host's recording ends.
pub type Ended<H> = RecordError<Failure<H>>;

type PayloadOf<H> = <<H as Host>::Storage as crate::writer::Output>::Payload;
type NextOf<H> = Next<PayloadOf<H>, <H as Host>::Event>;
type Recording<H> = Option<Box<Recorder<<H as Host>::Storage>>>;

/// Why something was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken<E> {
    /// There is no such input.
    #[error("there is no such input")]
    NoInput,
    /// The input was told to let its thread go.
    #[error("the input is being flushed")]
    Flushing,
    /// The input takes nothing.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The recording has failed.
    #[error("the recording has failed")]
    Failed(E),
    /// A thread panicked while it wrote.
    #[error("a thread panicked while it wrote")]
    Lost,
}

struct State<H: Host> {
    /// The inputs, and whether each lets no thread wait.
    known: Vec<(H::Input, bool)>,
    /// What waits of each of them, by the same numbers.
    inputs: Inputs<PayloadOf<H>, H::Event>,
    /// The file being written, unless a thread has it (see `busy`).
    recorder: Recording<H>,
    /// A thread is writing. It looks for more to write before it stops.
    busy: bool,
    /// Once writing failed: what is answered.
    failed: Option<Failure<H>>,
    /// A thread panicked while it wrote.
    is_lost: bool,
    /// The tags changed since the file was begun.
    tags_are_new: bool,
    stats: Stats,
    /// Frames left out before the first readable ones that were told of.
    told_unreadable: u64,
    /// What was told of inputs that had brought nothing when the file was begun.
    missing: Vec<(H::Input, InputNotice)>,
    /// Threads that wait for `busy` to end. Waking none costs a system call too.
    waiting: usize,
}

impl<H: Host> Default for State<H> {
    fn default() -> Self {
        Self {
            known: Vec::new(),
            inputs: Inputs::default(),
            recorder: None,
            busy: false,
            failed: None,
            is_lost: false,
            tags_are_new: false,
            stats: Stats::default(),
            told_unreadable: 0,
            missing: Vec::new(),
            waiting: 0,
        }
    }
}

impl<H: Host> State<H> {
    fn find(&self, input: &H::Input) -> Option<usize> {
        self.known.iter().position(|(known, _)| known == input)
    }

    /// Takes over what was written so far.
    fn count(&mut self, recorder: &Recorder<H::Storage>) {
        self.stats = recorder.stats();
        self.stats.dropped += self.inputs.unreadable();
    }

    /// Whether a thread may write at once.
    fn is_free(&self) -> bool {
        !self.busy && !self.is_lost && self.failed.is_none() && !self.tags_are_new
    }
}

/// What a file is begun with: a [`Beginning`](super::inputs::Beginning) in the host's terms.
struct Begin<I> {
    streams: Vec<Stream>,
    left_out: Vec<I>,
    awaited: Vec<I>,
}

impl<I: Clone> Begin<I> {
    /// What there is to tell of inputs that have brought nothing.
    fn missing(&self) -> Vec<(I, InputNotice)> {
        let left_out = self.left_out.iter().map(|it| (it, InputNotice::LeftOut));
        let awaited = self.awaited.iter().map(|it| (it, InputNotice::Awaited));
        let all = left_out.chain(awaited);
        all.map(|(input, notice)| (input.clone(), notice)).collect()
    }
}

/// What there is to do next.
enum Work<H: Host> {
    Next(NextOf<H>),
    Waits(H::Input),
    Begin(Box<Begin<H::Input>>),
    Tags,
}

/// Inputs that come in threads of their own, and the file that they make. There is no other thread: whichever of
/// them finds something to write writes it, the others leave theirs in their [queue](Inputs). One that is far ahead
/// of the others is held back.
pub struct SharedRecorder<H: Host> {
    host: H,
    /// Everything that threads share. Whoever changes what another may wait for notifies `changed`.
    state: Mutex<State<H>>,
    changed: Condvar,
}

impl<H: Host> std::fmt::Debug for SharedRecorder<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedRecorder").finish_non_exhaustive()
    }
}

/// Lets go of the writing thread's part when that panics, so that no other waits for it.
struct Panicking<'a, H: Host>(&'a SharedRecorder<H>);

impl<H: Host> Drop for Panicking<'_, H> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut state = self.0.lock();
            state.busy = false;
            state.is_lost = true;
            drop(state);
            self.0.changed.notify_all();
        }
    }
}

type Guard<'a, H> = MutexGuard<'a, State<H>>;

impl<H: Host> SharedRecorder<H> {
    /// Without inputs.
    pub fn new(host: H) -> Self {
        Self {
            host,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// What it asks and tells.
    pub fn host(&self) -> &H {
        &self.host
    }

    fn lock(&self) -> Guard<'_, H> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with an input that there is.
    fn with<R>(&self, input: &H::Input, act: impl FnOnce(&mut State<H>, usize) -> R) -> Option<R> {
        let mut state = self.lock();
        let n = state.find(input)?;
        Some(act(&mut state, n))
    }

    /// What was written so far.
    pub fn stats(&self) -> Stats {
        self.lock().stats
    }
}

/// Inputs that come and go, and the begin and end of all.
impl<H: Host> SharedRecorder<H> {
    /// Whether there can be another input.
    pub fn can_add(&self, is_video: bool, profile: Profile) -> Result<(), NoInput> {
        self.lock().inputs.can_add(is_video, profile)
    }

    /// Adds an input of frames or of samples.
    pub fn add(&self, input: H::Input, is_video: bool) {
        let mut state = self.lock();
        state.known.push((input, false));
        state.inputs.add(is_video, Instant::now());
    }

    /// Removes an input, and what waits of it. [`go_on`](Self::go_on) is to be called when that may be written which
    /// waited for it.
    pub fn remove(&self, input: &H::Input) {
        self.with(input, |state, n| {
            state.known.remove(n);
            state.inputs.remove(n);
        });
    }

    /// Writes what can be written.
    pub fn go_on(&self) {
        self.changed.notify_all();
        let _ = self.drain(self.lock());
    }

    /// Forgets the file and all that waits. The inputs are still there, and the [stats](Self::stats).
    pub fn reset(&self, profile: Profile) {
        let mut state = self.lock();
        let mut inputs = std::mem::take(&mut state.inputs);
        inputs.reset(profile, Instant::now());
        let known = std::mem::take(&mut state.known).into_iter();
        *state = State {
            known: known.map(|(input, _)| (input, false)).collect(),
            inputs,
            stats: state.stats,
            waiting: state.waiting,
            ..State::default()
        };
    }

    /// Counts anew.
    pub fn reset_stats(&self) {
        self.lock().stats = Stats::default();
    }

    /// Lets all threads go that wait, and lets none wait any more until a [`reset`](Self::reset).
    pub fn stop_waiting(&self) {
        for (_, is_flushing) in &mut self.lock().known {
            *is_flushing = true;
        }
        self.changed.notify_all();
    }

    /// Lets an input's thread go, and takes nothing of it until it is [flushed](Self::flush).
    pub fn begin_flush(&self, input: &H::Input) {
        self.with(input, |state, n| state.known[n].1 = true);
        self.changed.notify_all();
    }

    /// Forgets the file, and what waits of an input: another file is begun.
    pub fn flush(&self, input: &H::Input) {
        let mut state = self.lock();
        state.waiting += 1;
        state = self
            .changed
            .wait_while(state, |state| state.busy)
            .unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        if let Some(n) = state.find(input) {
            state.known[n].1 = false;
            state.inputs.flush(n, Instant::now());
        }
        state.recorder = None;
        state.failed = None;
    }
}

/// What comes.
impl<H: Host> SharedRecorder<H> {
    /// Says what an input has. Whether it can: a stream keeps its format once something of it came.
    pub fn set_format(&self, input: &H::Input, format: InputFormat) -> Option<bool> {
        self.with(input, |state, n| {
            state.inputs.set_format(n, format, Instant::now())
        })
    }

    /// The tags are others.
    pub fn tags_changed(&self) {
        let mut state = self.lock();
        state.tags_are_new = state.inputs.is_open();
    }

    /// Nothing comes of an input before `end`, in nanoseconds.
    pub fn gap(&self, input: &H::Input, end: i64) {
        self.with(input, |state, n| state.inputs.gap(n, end, Instant::now()));
        let _ = self.drain(self.lock());
    }

    /// An event of an input.
    pub fn event(&self, input: &H::Input, event: H::Event) {
        self.with(input, |state, n| state.inputs.event(n, event));
        let _ = self.drain(self.lock());
    }

    /// Nothing more comes of an input. Whether all went well so far.
    pub fn end(&self, input: &H::Input) -> bool {
        self.with(input, |state, n| state.inputs.end(n));
        let is_well = self.drain(self.lock()).0.failed.is_none();
        self.changed.notify_all();
        is_well
    }

    /// A frame, or samples, of an input, at a time in nanoseconds; their source may have `told` how many nanoseconds
    /// they last. Waits as long as this input is too far ahead of the others.
    pub fn push(
        &self,
        input: &H::Input,
        payload: PayloadOf<H>,
        time: Option<i64>,
        told: Option<u64>,
    ) -> Result<(), NotTaken<Failure<H>>> {
        let mut state = self.lock();
        if let Some(failed) = &state.failed {
            return Err(NotTaken::Failed(failed.clone()));
        }
        if state.is_lost {
            return Err(NotTaken::Lost);
        }
        let n = state.find(input).ok_or(NotTaken::NoInput)?;
        if state.known[n].1 {
            return Err(NotTaken::Flushing);
        }
        state.inputs.takes(n)?;
        let is_free = state.is_free();
        let inputs = &mut state.inputs;
        let (next, jump) = inputs.push(n, payload, time, told, is_free, Instant::now);
        if let Some(next) = next {
            state.busy = true;
            state = self.perform(state, Work::Next(next));
            self.let_go(&mut state);
        }
        if let Some(jump) = jump {
            drop(state);
            self.host.tell(input, InputNotice::Jumped(jump));
            state = self.lock();
        }
        let goes_on = |n| state.is_free() && state.inputs.is_next(n);
        if state.find(input).is_some_and(goes_on) {
            return Ok(());
        }
        self.settle(state, input)
    }

    /// Writes what can be written, and holds a thread back that is far ahead of the others.
    fn settle<'a>(
        &'a self,
        mut state: Guard<'a, H>,
        input: &H::Input,
    ) -> Result<(), NotTaken<Failure<H>>> {
        loop {
            let idle;
            (state, idle) = self.drain(state);
            if let Some(failed) = &state.failed {
                return Err(NotTaken::Failed(failed.clone()));
            }
            if state.is_lost {
                return Err(NotTaken::Lost);
            }
            let Some(n) = state.find(input).filter(|n| !state.known[*n].1) else {
                return Err(NotTaken::Flushing);
            };
            if !state.inputs.hold(n) {
                return Ok(());
            }
            let limit = match idle {
                Idle::Until(time) => time.saturating_duration_since(Instant::now()),
                // Another thread writes, which may have to wait for a silent input.
                Idle::Waiting => SILENT,
            };
            let timeout;
            (state, timeout) = self
                .changed
                .wait_timeout(state, limit)
                .unwrap_or_else(PoisonError::into_inner);
            if timeout.timed_out()
                && let Some(n) = state.find(input)
            {
                // The others are silent, and are not waited for any longer than need be.
                state.inputs.let_go(n);
            }
        }
    }
}

/// What is written.
impl<H: Host> SharedRecorder<H> {
    fn next_work(&self, state: &mut State<H>) -> Result<Work<H>, Idle> {
        if state.failed.is_some() || state.is_lost {
            return Err(Idle::Waiting);
        }
        if state.inputs.is_open() && std::mem::take(&mut state.tags_are_new) {
            return Ok(Work::Tags);
        }
        let State { known, inputs, .. } = state;
        let next = inputs.next(|n| self.host.may_come(&known[n].0), Instant::now())?;
        let input = |n: &usize| known[*n].0.clone();
        Ok(match next {
            Next::Waits(n) => Work::Waits(input(&n)),
            Next::Begin(beginning) => Work::Begin(Box::new(Begin {
                streams: beginning.streams,
                left_out: beginning.left_out.iter().map(input).collect(),
                awaited: beginning.awaited.iter().map(input).collect(),
            })),
            next => Work::Next(next),
        })
    }

    /// Writes what can be written, unless another thread does.
    fn drain<'a>(&'a self, mut state: Guard<'a, H>) -> (Guard<'a, H>, Idle) {
        if state.busy {
            return (state, Idle::Waiting);
        }
        state.busy = true;
        let idle = loop {
            match self.next_work(&mut state) {
                Ok(work) => state = self.perform(state, work),
                Err(idle) => break idle,
            }
        };
        self.let_go(&mut state);
        (state, idle)
    }

    /// Has another thread write.
    fn let_go(&self, state: &mut State<H>) {
        state.busy = false;
        if state.waiting > 0 {
            self.changed.notify_all();
        }
    }

    /// Does some work, without the lock meanwhile. The caller has set `busy`.
    fn perform<'a>(&'a self, mut state: Guard<'a, H>, work: Work<H>) -> Guard<'a, H> {
        let mut recorder = state.recorder.take();
        let is_end = matches!(work, Work::Next(Next::End));
        drop(state);
        let panicking = Panicking(self);
        let result = self
            .work(&mut recorder, work)
            .map_err(|error| self.host.failed(recorder.as_deref_mut(), &error));
        drop(panicking);
        state = self.lock();
        if let Some(recorder) = &recorder {
            state.count(recorder);
        }
        state.recorder = recorder;
        state.failed = result.err();
        if state.inputs.release() || is_end || state.failed.is_some() {
            self.changed.notify_all();
        }
        state
    }

    fn tell_of_unreadable(&self, recorder: &mut Recorder<H::Storage>) {
        let mut state = self.lock();
        let all = state.inputs.unreadable();
        let told = std::mem::replace(&mut state.told_unreadable, all);
        drop(state);
        if let frames @ 1.. = all.saturating_sub(told) {
            recorder.tell(Notice::Unreadable { frames });
        }
    }

    fn work(&self, recorder: &mut Recording<H>, work: Work<H>) -> Result<(), Ended<H>> {
        match (work, recorder) {
            (Work::Next(Next::AskSeekable), _) => {
                let seekable = self.host.is_seekable();
                self.lock().inputs.set_seekable(seekable);
            }
            (Work::Waits(input), _) => {
                let profile = self.lock().inputs.profile();
                self.host.tell(&input, InputNotice::Waits(profile));
            }
            (Work::Begin(begin), recorder) => {
                let missing = begin.missing();
                // Behind a flush the file is begun anew without what it was without before.
                let before = std::mem::replace(&mut self.lock().missing, missing.clone());
                let is_news = |it: &&(H::Input, InputNotice)| !before.contains(it);
                for (input, notice) in missing.iter().filter(is_news) {
                    self.host.tell(input, *notice);
                }
                let begun = recorder.insert(Box::new(self.host.begin(&begin.streams)?));
                self.tell_of_unreadable(begun);
            }
            (Work::Tags, Some(recorder)) => recorder.set_tags(&self.host.tags()),
            (Work::Next(Next::Known(number, stream)), Some(recorder)) => {
                recorder.set_stream(number, &stream)?;
                self.tell_of_unreadable(recorder);
            }
            (
                Work::Next(Next::Payload {
                    stream,
                    payload,
                    time,
                }),
                Some(recorder),
            ) => recorder.push(stream, payload, time)?,
            (Work::Next(Next::Event(event)), Some(recorder)) => {
                self.host.event(recorder.storage(), event)?;
            }
            (Work::Next(Next::End), recorder) => {
                let any = recorder.is_some();
                if let Some(recorder) = recorder {
                    recorder.set_tags(&self.host.tags());
                    recorder.finish()?;
                    // Whoever hears of the end finds what the file has.
                    self.lock().count(recorder);
                }
                self.host.finished(any);
            }
            _ => {}
        }
        Ok(())
    }
}
