// SPDX-License-Identifier: MIT OR Apache-2.0
//! A recording: the thread that puts its sub-pipeline together, waits for its end and takes it
//! apart, however that comes about.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use gst::prelude::*;

use super::CAT;
use super::headers;
use super::settings::Order;
use super::shared::{Shared, Stream};
use super::silence::warn_of_silence;
use super::source::{Counters, Feed, RecordingSource};
use super::target::{Target, TargetError, shared_name};
use super::writer::{self, BuildError};
use crate::ring::RecordingId;
use crate::streams;
use crate::streams::files::Claimed;
use crate::streams::times::Times;
use crate::streams::wallclock;

/// How long the first buffers of a recording wait for the format of streams that are linked but
/// have brought nothing, in ns of video. Sound cards and encoders take part of a second to start.
const WAIT_FOR_FORMAT: i64 = 3_000_000_000;

/// How long an end that was asked for may wait for the next frame and for sound up to there.
const SETTLE: Duration = Duration::from_secs(1);

/// How long a recording that was cut off may take without anything being written before the news
/// goes out that it failed.
const CUT_OFF_PATIENCE: Duration = Duration::from_secs(2);

/// How long a recording that was given up may go on trying to make its file whole, unwatched.
const LAST_CHANCE: Duration = Duration::from_secs(60);
/// How often it is looked at meanwhile: its last message may have gone while it changed hands.
const LOOK: gst::ClockTime = gst::ClockTime::from_mseconds(100);

/// What others tell a recording's thread.
#[derive(Debug)]
pub(crate) enum Notice {
    /// Something in the streams changed that a recording may be waiting for.
    Progress,
    /// The sub-pipeline has written everything.
    Eos,
    /// An element of the sub-pipeline failed.
    Error(String),
    /// The ring could not wait any longer.
    CutOff,
    /// The end was asked for.
    Finishing,
    /// The streams have ended.
    Ended,
    /// The element is being shut down: be done by then.
    Deadline(Instant),
}

/// Why a recording failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("it ended before a key unit arrived")]
    Nothing,
    #[error("the stream ended before a key unit arrived")]
    NothingCame,
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error("its elements can't be started: {0}")]
    Start(String),
    #[error("{0}")]
    Element(String),
    #[error(
        "it fell behind by more than the ring may hold (max-bytes): the storage is too slow, or max-bytes too small"
    )]
    TooSlow,
    #[error("the storage took nothing for {0:?}")]
    Stalled(Duration),
    #[error("the storage did not take all of it within {0:?} (finish-timeout)")]
    Late(Duration),
    #[error("{0} recordings are open already (max-recordings)")]
    TooMany(u32),
    #[error("a fault in this element, please report it")]
    Fault,
    #[error("'{0}' is gone: it or its directory was moved, removed or replaced")]
    Vanished(PathBuf),
}

impl Failure {
    /// Nothing went wrong: it was ended before there was anything to record.
    pub(crate) fn was_called_off(&self) -> bool {
        matches!(self, Self::Nothing)
    }
}

/// What became of a recording.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub location: Option<String>,
    pub start: Option<i64>,
    /// The time of day at `start`, in ns since 1970.
    pub utc: Option<i64>,
    pub failure: Option<Failure>,
}

impl Outcome {
    /// Of a recording of which nothing else is known.
    pub(crate) fn of(failure: Failure) -> Self {
        Self {
            failure: Some(failure),
            ..Self::default()
        }
    }
}

/// Waits for something that should move.
struct Patience {
    since: Instant,
    seen: u64,
    timeout: Duration,
    has_moved: bool,
}

impl Patience {
    fn new(timeout: Duration, progress: u64) -> Self {
        Self {
            since: Instant::now(),
            seen: progress,
            timeout,
            has_moved: false,
        }
    }

    /// When it ends, given how far things have moved by now.
    fn until(&mut self, progress: u64) -> Instant {
        if progress != self.seen {
            self.since = Instant::now();
            self.seen = progress;
            self.has_moved = true;
        }
        self.since + self.timeout
    }
}

/// What the thread of a recording waits for besides notices.
struct Wait {
    timeout: Duration,
    counters: Arc<Counters>,
    /// The element is being shut down.
    deadline: Option<Instant>,
    /// Set when the end is a matter of writing what is there.
    patience: Option<Patience>,
    /// When to end with what is there, once the end was asked for.
    settle: Option<Instant>,
    sealed: bool,
    cut_off: bool,
}

impl Wait {
    fn new(timeout: Duration, counters: Arc<Counters>) -> Self {
        Self {
            timeout,
            counters,
            deadline: None,
            patience: None,
            settle: None,
            sealed: false,
            cut_off: false,
        }
    }

    fn progress(&self) -> u64 {
        self.counters.progress.load(Ordering::Relaxed)
    }

    /// When to look again, whatever comes.
    fn wake(&mut self) -> Option<Instant> {
        let progress = self.progress();
        let patience = self.patience.as_mut().map(|p| p.until(progress));
        let settle = self.settle.filter(|_| !self.sealed);
        [self.deadline, settle, patience]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether nothing more is to be waited for but what is written.
    fn is_ending(&self) -> bool {
        self.deadline.is_some() || self.patience.is_some() || self.settle.is_some()
    }

    fn end_by(&mut self, deadline: Instant) {
        self.deadline = Some(deadline);
        self.be_patient();
    }

    fn be_patient(&mut self) {
        let progress = self.progress();
        self.patience
            .get_or_insert_with(|| Patience::new(self.timeout, progress));
    }

    /// Something else was waited for meanwhile, and that is no time in which nothing was written.
    fn begin_anew(&mut self) {
        let now = Instant::now();
        if let Some(patience) = &mut self.patience {
            patience.since = now;
        }
        if self.settle.is_some() {
            self.settle = Some(now + SETTLE);
        }
    }

    fn settle(&mut self) {
        self.settle.get_or_insert_with(|| Instant::now() + SETTLE);
    }

    /// Whether the end is to be made now; true once.
    fn has_settled(&mut self, now: Instant) -> bool {
        let due = !self.sealed && self.settle.is_some_and(|by| by <= now);
        self.sealed |= due;
        due
    }

    fn cut_off(&mut self) {
        self.cut_off = true;
        let timeout = self.timeout.min(CUT_OFF_PATIENCE);
        self.patience = Some(Patience::new(timeout, self.progress()));
    }

    /// Whether nothing was written for as long as that may be.
    fn is_stalled(&mut self, now: Instant) -> bool {
        let progress = self.progress();
        let patience = self.patience.as_mut();
        patience.is_some_and(|p| p.until(progress) <= now)
    }

    /// Whether there is no more waiting for it.
    fn is_over(&mut self, now: Instant) -> bool {
        self.is_stalled(now) || self.deadline.is_some_and(|by| by <= now)
    }

    fn failure(&mut self, now: Instant) -> Failure {
        let stalled = self.is_stalled(now);
        let moved = self.patience.as_ref().is_some_and(|p| p.has_moved);
        match moved && !stalled {
            _ if self.cut_off => Failure::TooSlow,
            true => Failure::Late(self.timeout),
            false => Failure::Stalled(self.timeout),
        }
    }
}

/// Whom a recording belongs to.
pub(crate) trait Host: Send + Sync {
    /// The application's choice of a name, by the recording's first buffer.
    fn choose_name(&self, id: RecordingId, first: &gst::Sample) -> Option<String>;
    /// The recording is to have this name: whether one before it is about to close the file of that name.
    fn is_name_in_use(&self, id: RecordingId, name: &str) -> bool;
    /// The sub-pipeline is there, and its messages are to find their way.
    fn built(&self, id: RecordingId, bin: &gst::Bin);
    /// A file has been made for it.
    fn began(&self, id: RecordingId, file: &Path);
    /// The file is open.
    fn started(&self, id: RecordingId, outcome: &Outcome);
    /// So many bytes are about to be written to a file.
    fn make_room(&self, bytes: u64);
    /// Over, one way or the other; what follows is cleaning up.
    fn done(&self, id: RecordingId, outcome: Outcome);
}

/// Everything the thread of a recording works with.
pub(crate) struct Recorder {
    /// The element, which is not disposed of meanwhile.
    pub element: gst::Bin,
    pub host: Arc<dyn Host>,
    pub shared: Arc<Shared>,
    pub order: Order,
    pub notices: Receiver<Notice>,
    pub counters: Arc<Counters>,
}

/// What the wait for the streams gave.
struct Ready {
    start: i64,
    utc: Option<i64>,
    /// Those whose format is known, with their numbers.
    streams: Vec<(usize, Stream)>,
    /// The names of those that are linked and of which nothing has come.
    silent: Vec<String>,
    reference: usize,
    sample: gst::Sample,
}

impl Recorder {
    /// Runs the recording to its end.
    pub(crate) fn run(self) {
        let mut wait = Wait::new(self.order.finish_timeout, self.counters.clone());
        let mut outcome = Outcome::default();
        let ready = match self.wait_for_streams(&mut wait) {
            Ok(ready) => ready,
            Err(failure) => {
                forget(&self.shared, self.order.id);
                outcome.failure = Some(failure);
                self.done(outcome);
                return;
            }
        };
        outcome.start = Some(ready.start);
        outcome.utc = ready.utc;
        let mut target = Target::default();
        let started = self.start(&ready, &mut target, &mut wait);
        outcome.location.clone_from(&target.location);
        match started {
            Ok(bin) => {
                self.host.started(self.order.id, &outcome);
                let result = self.watch(wait);
                self.end(bin, target, result, outcome);
            }
            Err((bin, failure)) => {
                self.discard(bin.as_ref());
                target.give_back();
                target.close();
                outcome.failure = Some(failure);
                self.done(outcome);
            }
        }
    }

    fn done(&self, outcome: Outcome) {
        self.host.done(self.order.id, outcome);
    }

    /// Waits for the first key unit and for what is to be known of all streams.
    fn wait_for_streams(&self, wait: &mut Wait) -> Result<Ready, Failure> {
        loop {
            if let Some(ready) = self.ready(wait.is_ending()) {
                return Ok(ready);
            }
            if wait.is_ending() && !self.has_begun() && !self.go_on_without_reference() {
                return Err(match self.shared.lock().all_ended() {
                    true => Failure::NothingCame,
                    false => Failure::Nothing,
                });
            }
            self.heed(wait)?;
        }
    }

    /// Waits for news while nothing is written yet.
    fn heed(&self, wait: &mut Wait) -> Result<(), Failure> {
        let most = Duration::from_millis(500);
        let left = |by: Instant| by.saturating_duration_since(Instant::now());
        let least = Duration::from_millis(10);
        let most = wait.deadline.map_or(most, |by| left(by).clamp(least, most));
        match self.notices.recv_timeout(most) {
            Ok(Notice::Finishing) => wait.settle(),
            Ok(Notice::Ended) => wait.be_patient(),
            Ok(Notice::CutOff) => wait.cut_off(),
            Ok(Notice::Deadline(by)) => wait.end_by(by),
            Err(RecvTimeoutError::Disconnected) => return Err(Failure::Nothing),
            Ok(_) | Err(RecvTimeoutError::Timeout) => (),
        }
        Ok(())
    }

    /// Waits until recordings that had this one's name before have closed their file. How long that may take is theirs.
    fn wait_for_name(&self, chosen: Option<&str>, wait: &mut Wait) -> Result<(), Failure> {
        let Some(name) = shared_name(&self.order, chosen) else {
            return Ok(());
        };
        let mut waited = false;
        while self.host.is_name_in_use(self.order.id, &name) {
            let now = Instant::now();
            if wait.cut_off || wait.deadline.is_some_and(|by| by <= now) {
                return Err(wait.failure(now));
            }
            waited = true;
            self.heed(wait)?;
        }
        if waited {
            wait.begin_anew();
        }
        Ok(())
    }

    /// Where the picture never came, the sound is recorded.
    fn go_on_without_reference(&self) -> bool {
        let goes_on = self.shared.lock().ring.give_up_reference();
        if goes_on {
            self.shared.notify();
        }
        goes_on
    }

    fn has_begun(&self) -> bool {
        let inner = self.shared.lock();
        let span = inner.ring.span(self.order.id);
        inner.ring.reference().is_some() && span.is_some_and(|span| span.start.is_some())
    }

    /// The streams, once the recording has begun and all of them are known, or are not waited for
    /// any longer.
    fn ready(&self, last_chance: bool) -> Option<Ready> {
        let id = self.order.id;
        let inner = self.shared.lock();
        let start = inner.ring.span(id)?.start?;
        let reference = inner.ring.reference()?;
        let newest = inner.ring.newest().unwrap_or(start);
        let former = inner.former_of(id);
        let streams = former.unwrap_or(&inner.streams);
        let decided = former.is_some() || !streams.iter().any(Stream::undecided);
        let waited = newest.saturating_sub(start) > WAIT_FOR_FORMAT || inner.ring.pressed();
        if !(decided || last_chance || waited) {
            return None;
        }
        let caps = streams.get(reference).and_then(|s| s.caps.as_ref());
        let present = streams.iter().enumerate().filter(|(_, s)| !s.removed);
        // A picture's stream that decides nothing has been given up: nothing came of it but its format.
        let has_come =
            |(n, s): &(usize, &Stream)| s.caps.is_some() && (*n == reference || !s.is_video());
        let (known, silent): (Vec<_>, Vec<_>) = present.partition(has_come);
        let known = known.into_iter().map(|(n, s)| (n, s.clone())).collect();
        let silent = silent.into_iter().filter(|(_, s)| s.linked);
        let silent = silent.map(|(_, s)| s.name.clone()).collect();
        let mut sample = gst::Sample::builder();
        let mut utc = inner.clock.utc(start);
        if let Some(first) = inner.ring.first_of(id) {
            sample = sample.buffer(&first.payload.buffer);
            // What the picture itself says is nearest.
            utc = wallclock::reference_of(&first.payload.buffer).or(utc);
        }
        if let Some(caps) = caps {
            sample = sample.caps(caps);
        }
        Some(Ready {
            start,
            utc,
            streams: known,
            silent,
            reference,
            sample: sample.build(),
        })
    }

    /// Names the file, builds the sub-pipeline and sets it going.
    fn start(
        &self,
        ready: &Ready,
        target: &mut Target,
        wait: &mut Wait,
    ) -> Result<gst::Bin, (Option<gst::Bin>, Failure)> {
        let id = self.order.id;
        let chosen = self.host.choose_name(id, &ready.sample);
        let chosen = chosen.or_else(|| self.order.location.clone());
        self.wait_for_name(chosen.as_deref(), wait)
            .map_err(|failure| (None, failure))?;
        target
            .reserve(&self.order, chosen, ready.utc)
            .map_err(|error| (None, error.into()))?;
        if let Some(file) = target.file() {
            self.host.began(id, file);
        }
        let bin = gst::Bin::with_name(&format!("recording{id}"));
        // Its state is this thread's business: it goes on writing while the pipeline pauses, and
        // neither its preroll nor its end are the element's.
        bin.set_locked_state(true);
        bin.set_property("async-handling", true);
        self.build(&bin, ready, target)
            .map_err(|error| (None, error.into()))?;
        if let Err(error) = self.element.add(&bin) {
            return Err((None, Failure::Start(error.to_string())));
        }
        self.host.built(id, &bin);
        if bin.set_state(gst::State::Playing).is_err() {
            let why = self.why_refused();
            return Err((Some(bin), why));
        }
        Ok(bin)
    }

    /// The element that refused to start has posted why.
    fn why_refused(&self) -> Failure {
        let mut notices = self.notices.try_iter();
        let why = notices.find_map(|notice| match notice {
            Notice::Error(error) => Some(Failure::Element(error)),
            _ => None,
        });
        why.unwrap_or_else(|| Failure::Start("an element refused to start".to_owned()))
    }

    /// Opens the file of frame times. A recording does not fail for want of it.
    fn times(&self, target: &Target) -> Option<Times<Claimed>> {
        let pattern = self.order.pts_pattern.as_deref()?;
        match target.create_times(pattern, &self.order) {
            Ok(file) => Some(Times::new(file)),
            Err(error) => {
                gst::element_warning!(
                    self.element,
                    gst::ResourceError::OpenWrite,
                    ("The file of frame times '{pattern}' can't be written: {error}")
                );
                None
            }
        }
    }

    /// Puts source, parsers, muxer and sink together.
    fn build(&self, bin: &gst::Bin, ready: &Ready, target: &Target) -> Result<(), BuildError> {
        let (shared, counters) = (self.shared.clone(), self.counters.clone());
        let feed = Feed::new(
            shared,
            self.order.id,
            ready.start,
            counters,
            self.times(target),
        );
        let source = RecordingSource::new(Arc::new(feed));
        let mut streams = ready.streams.clone();
        for (number, stream) in &mut streams {
            if *number == ready.reference
                && let (Some(caps), Some(first)) = (&stream.caps, ready.sample.buffer())
                && let Some(caps) = headers::with_size(caps, first)
            {
                stream.caps = Some(caps);
            }
        }
        let tags = self.element.dynamic_cast_ref::<gst::TagSetter>();
        let parts = writer::Parts {
            order: &self.order,
            target,
            streams: &streams,
            reference: ready.reference,
            tags: tags.and_then(|setter| setter.tag_list()),
            counters: &self.counters,
            utc: ready.utc,
            make_room: Arc::new({
                let host = self.host.clone();
                move |bytes| host.make_room(bytes)
            }),
        };
        let built = writer::build(bin, &source, &parts)?;
        {
            let mut inner = self.shared.lock();
            for stream in 0..inner.streams.len() {
                if !built.streams.contains(&stream) {
                    inner.ring.leave(self.order.id, stream);
                }
            }
        }
        if built.takes_all && !ready.silent.is_empty() {
            warn_of_silence(&self.element, &ready.silent, false);
        }
        Ok(())
    }

    /// Waits until the recording is over.
    fn watch(&self, mut wait: Wait) -> Result<(), Failure> {
        loop {
            let notice = match wait.wake() {
                None => self
                    .notices
                    .recv()
                    .map_err(|_| RecvTimeoutError::Disconnected),
                Some(wake) => self
                    .notices
                    .recv_timeout(wake.saturating_duration_since(Instant::now())),
            };
            match notice {
                Ok(Notice::Eos) if wait.cut_off => return Err(Failure::TooSlow),
                Ok(Notice::Eos) => return Ok(()),
                Ok(Notice::Error(error)) => return Err(Failure::Element(error)),
                Ok(Notice::CutOff) => {
                    wait.cut_off();
                    self.shared.notify();
                }
                Ok(Notice::Ended) => wait.be_patient(),
                Ok(Notice::Finishing) => wait.settle(),
                Ok(Notice::Deadline(by)) => wait.end_by(by),
                Ok(Notice::Progress) => {
                    let span = self.shared.lock().ring.span(self.order.id);
                    if span.is_some_and(|span| span.end.is_some()) {
                        wait.settle();
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Failure::Stalled(self.order.finish_timeout));
                }
                Err(RecvTimeoutError::Timeout) => {
                    let now = Instant::now();
                    if wait.has_settled(now) {
                        self.seal();
                    }
                    if wait.is_over(now) {
                        return Err(wait.failure(now));
                    }
                }
            }
        }
    }

    /// Ends the recording with what is there.
    fn seal(&self) {
        self.shared.lock().ring.seal(self.order.id);
        self.shared.notify();
    }

    /// Says what became of the recording and takes the sub-pipeline apart.
    fn end(
        self,
        bin: gst::Bin,
        mut target: Target,
        result: Result<(), Failure>,
        mut outcome: Outcome,
    ) {
        // A sink that hangs would hang whoever stops it: then the news goes first.
        if matches!(
            result,
            Err(Failure::Stalled(_) | Failure::Late(_) | Failure::TooSlow)
        ) {
            self.seal();
            outcome.failure = result.err();
            self.abandon(bin, &target, outcome);
            return;
        }
        self.count_what_is_in(&bin);
        self.discard(Some(&bin));
        let gone = || Some(Failure::Vanished(target.vanished()?.to_owned()));
        outcome.failure = result.err().or_else(gone);
        if outcome.failure.is_some() {
            target.cut_back();
            target.give_back();
        }
        target.close();
        self.done(outcome);
    }

    /// Frames were counted when they were handed on. What is told is what the file has, where its muxer
    /// counts it.
    fn count_what_is_in(&self, bin: &gst::Bin) {
        let Some(in_file) = bin.children().iter().find_map(streams::frames_in) else {
            return;
        };
        let handed_on = self.counters.frames.fetch_min(in_file, Ordering::Relaxed);
        let dropped = handed_on.saturating_sub(in_file);
        self.counters.dropped.store(dropped, Ordering::Relaxed);
    }

    /// Gives a recording up whose sink takes nothing. It is put out of the pipeline, which may be
    /// shut down any time; should the sink come back soon, the file becomes whole all the same.
    fn abandon(self, bin: gst::Bin, target: &Target, outcome: Outcome) {
        if let Err(error) = self.element.remove(&bin) {
            gst::warning!(
                CAT,
                obj = self.element,
                "Can't remove {}: {error}",
                bin.name()
            );
        }
        let bus = gst::Bus::new();
        bin.set_bus(Some(&bus));
        let mut over = false;
        while let Ok(notice) = self.notices.try_recv() {
            over |= matches!(notice, Notice::Eos | Notice::Error(_));
        }
        self.done(outcome);
        let (shared, id) = (self.shared.clone(), self.order.id);
        // The element may be disposed of from here on.
        drop(self);
        let deadline = Instant::now() + LAST_CHANCE;
        let last = [gst::MessageType::Eos, gst::MessageType::Error];
        while !over && !is_at_its_end(&bin) && Instant::now() < deadline {
            over = bus.timed_pop_filtered(LOOK, &last).is_some();
        }
        if let Err(error) = bin.set_state(gst::State::Null) {
            gst::warning!(CAT, obj = bin, "Can't stop: {error}");
        }
        bus.set_flushing(true);
        target.cut_back();
        forget(&shared, id);
    }

    /// Takes the sub-pipeline out and forgets the recording.
    fn discard(&self, bin: Option<&gst::Bin>) {
        if let Some(bin) = bin {
            // Locked or not, this is the one who set it going.
            if let Err(error) = bin.set_state(gst::State::Null) {
                gst::warning!(
                    CAT,
                    obj = self.element,
                    "Can't stop {}: {error}",
                    bin.name()
                );
            }
            if bin.parent().is_some()
                && let Err(error) = self.element.remove(bin)
            {
                gst::warning!(
                    CAT,
                    obj = self.element,
                    "Can't remove {}: {error}",
                    bin.name()
                );
            }
        }
        forget(&self.shared, self.order.id);
    }
}

/// Whether each sink of `bin` has taken the end of its stream.
fn is_at_its_end(bin: &gst::Bin) -> bool {
    let has_ended = |pad: &gst::Pad| pad.sticky_event::<gst::event::Eos>(0).is_some();
    let sinks = bin.iterate_sinks();
    sinks
        .into_iter()
        .flatten()
        .all(|sink| sink.sink_pads().iter().all(has_ended))
}

/// Takes a recording out of the ring; what only it needed is freed without the lock.
fn forget(shared: &Shared, id: RecordingId) {
    let dropped = {
        let mut inner = shared.lock();
        inner.ring.remove(id);
        inner.forget_streams(id);
        inner.ring.take_dropped(Vec::new())
    };
    drop(dropped);
}
