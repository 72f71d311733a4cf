// SPDX-License-Identifier: MIT OR Apache-2.0
//! A recording: the thread that puts its sub-pipeline together, waits for its end and takes it
//! apart, however that comes about.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::container::{self, BuildError, Writer};
use super::shared::{Shared, Stream};
use super::source::{Counters, Feed, RecordingSource};
use super::{CAT, CircularSink};
use crate::ring::RecordingId;
use crate::streams::files::{self, CreateError};
use crate::streams::names::{self, Pattern, PatternError};
use crate::streams::times::Times;
use crate::streams::{self, set};

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

/// What the user set, as it was when the recording was asked for.
#[derive(Debug, Clone)]
pub struct Order {
    pub id: RecordingId,
    /// What the trigger named; wins over `pattern`.
    pub location: Option<String>,
    pub pattern: Option<String>,
    pub pts_pattern: Option<String>,
    pub overwrite: bool,
    pub muxer: Option<String>,
    pub sink: Option<String>,
    pub muxer_properties: Option<gst::Structure>,
    pub sink_properties: Option<gst::Structure>,
    /// How long the end may take without anything being written.
    pub finish_timeout: Duration,
}

/// What others tell a recording's thread.
#[derive(Debug)]
pub enum Notice {
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
pub enum Failure {
    #[error("it ended before a key unit arrived")]
    Nothing,
    #[error(transparent)]
    Pattern(#[from] PatternError),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Create(#[from] CreateError),
    #[error("its elements can't be started: {0}")]
    Start(String),
    #[error("{0}")]
    Element(String),
    #[error("it fell behind by more than the ring may hold (max-bytes): the storage is too slow")]
    TooSlow,
    #[error("the storage took nothing for {0:?}")]
    Stalled(Duration),
    #[error("'{0}' is gone: the directory was moved or removed")]
    Vanished(PathBuf),
}

/// What became of a recording.
#[derive(Debug)]
pub struct Outcome {
    pub location: Option<String>,
    pub start: Option<i64>,
    pub failure: Option<Failure>,
}

/// The names a recording writes to.
struct Target {
    location: Option<String>,
    /// The file that was created to reserve the name.
    reserved: Option<PathBuf>,
}

/// Waits for something that should move.
struct Patience {
    since: Instant,
    seen: u64,
    timeout: Duration,
}

impl Patience {
    fn new(timeout: Duration) -> Self {
        Self {
            since: Instant::now(),
            seen: 0,
            timeout,
        }
    }

    /// When it ends, given how far things have moved by now.
    fn until(&mut self, progress: u64) -> Instant {
        if progress != self.seen {
            self.since = Instant::now();
            self.seen = progress;
        }
        self.since + self.timeout
    }
}

/// Everything the thread of a recording works with.
pub struct Recorder {
    pub element: CircularSink,
    pub shared: Arc<Shared>,
    pub order: Order,
    pub notices: Receiver<Notice>,
    pub counters: Arc<Counters>,
}

/// What the wait for the streams gave.
struct Ready {
    start: i64,
    streams: Vec<(usize, Stream)>,
    reference: usize,
    sample: gst::Sample,
}

impl Recorder {
    /// Runs the recording to its end.
    pub fn run(self) {
        let mut deadline = None;
        let mut outcome = Outcome {
            location: None,
            start: None,
            failure: None,
        };
        let ready = match self.wait_for_streams(&mut deadline) {
            Ok(ready) => ready,
            Err(failure) => {
                forget(&self.shared, self.order.id);
                outcome.failure = Some(failure);
                self.done(outcome);
                return;
            }
        };
        outcome.start = Some(ready.start);
        let mut target = Target {
            location: None,
            reserved: None,
        };
        match self.start(&ready, &mut target) {
            Ok(bin) => {
                outcome.location.clone_from(&target.location);
                self.element.imp().recording_started(
                    self.order.id,
                    target.location.as_deref(),
                    ready.start,
                );
                let result = self.watch(deadline);
                self.end(bin, &target, result, outcome);
            }
            Err((bin, failure)) => {
                outcome.location.clone_from(&target.location);
                self.discard(bin.as_ref());
                if let Some(path) = target.reserved.filter(|path| is_empty(path)) {
                    // It was made by us a moment ago and holds nothing.
                    let _ = std::fs::remove_file(path);
                }
                outcome.failure = Some(failure);
                self.done(outcome);
            }
        }
    }

    /// Over, one way or the other; what follows is cleaning up.
    fn done(&self, outcome: Outcome) {
        self.element.imp().recording_done(self.order.id, outcome);
    }

    /// The application's choice of a name.
    fn ask_for_name(&self, first: &gst::Sample) -> Option<String> {
        self.element
            .emit_by_name::<Option<String>>("format-location", &[&self.order.id, first])
            .filter(|name| !name.is_empty())
    }

    /// Waits for the first key unit and for what is to be known of all streams.
    fn wait_for_streams(&self, deadline: &mut Option<Instant>) -> Result<Ready, Failure> {
        let id = self.order.id;
        let mut last_chance = false;
        loop {
            {
                let inner = self.shared.lock();
                let start = inner.ring.span(id).and_then(|span| span.start);
                let reference = inner.ring.reference();
                if let (Some(start), Some(reference)) = (start, reference) {
                    let newest = inner.ring.newest().unwrap_or(start);
                    let decided = !inner.streams.iter().any(Stream::undecided);
                    let waited = newest - start > WAIT_FOR_FORMAT || inner.ring.pressed();
                    if decided || last_chance || waited {
                        let streams: Vec<_> = inner
                            .streams
                            .iter()
                            .enumerate()
                            .filter(|(_, s)| s.caps.is_some() && !s.removed)
                            .map(|(n, s)| (n, s.clone()))
                            .collect();
                        let mut sample = gst::Sample::builder();
                        if let Some(first) = inner.ring.first_of(id) {
                            sample = sample.buffer(&first.payload.buffer);
                        }
                        if let Some(caps) = inner.streams[reference].caps.as_ref() {
                            sample = sample.caps(caps);
                        }
                        let sample = sample.build();
                        return Ok(Ready {
                            start,
                            streams,
                            reference,
                            sample,
                        });
                    }
                } else if last_chance {
                    return Err(Failure::Nothing);
                }
            }
            match self.notices.recv_timeout(Duration::from_millis(500)) {
                Ok(Notice::Finishing | Notice::Ended | Notice::CutOff) => last_chance = true,
                Ok(Notice::Deadline(by)) => {
                    *deadline = Some(by);
                    last_chance = true;
                }
                Err(RecvTimeoutError::Disconnected) => return Err(Failure::Nothing),
                Ok(_) | Err(RecvTimeoutError::Timeout) => (),
            }
        }
    }

    /// Names the file, builds the sub-pipeline and sets it going.
    fn start(
        &self,
        ready: &Ready,
        target: &mut Target,
    ) -> Result<gst::Bin, (Option<gst::Bin>, Failure)> {
        self.name(ready, target).map_err(|f| (None, f))?;
        let times = self.times();
        let feed = Arc::new(Feed::new(
            self.shared.clone(),
            self.order.id,
            ready.start,
            self.counters.clone(),
            times,
        ));
        let bin = gst::Bin::with_name(&format!("recording{}", self.order.id));
        // Its state is this thread's business: it goes on writing while the pipeline pauses, and
        // neither its preroll nor its end are the element's.
        bin.set_locked_state(true);
        bin.set_property("async-handling", true);
        self.build(&bin, feed, ready, target)
            .map_err(|error| (None, error.into()))?;
        if let Err(error) = self.element.add(&bin) {
            return Err((None, Failure::Start(error.to_string())));
        }
        self.element.imp().recording_built(self.order.id, &bin);
        if bin.set_state(gst::State::Playing).is_err() {
            // The element that refused has posted why.
            let mut why = None;
            while let Ok(notice) = self.notices.try_recv() {
                if let Notice::Error(error) = notice {
                    why.get_or_insert(error);
                }
            }
            let why = why.map_or_else(
                || Failure::Start("an element refused to start".to_owned()),
                Failure::Element,
            );
            return Err((Some(bin), why));
        }
        Ok(bin)
    }

    /// Finds the recording's name and reserves it.
    fn name(&self, ready: &Ready, target: &mut Target) -> Result<(), Failure> {
        let order = &self.order;
        let id = u64::from(order.id);
        let chosen = self
            .ask_for_name(&ready.sample)
            .or_else(|| order.location.clone());
        let to_file = order.sink.as_deref().is_none_or(|sink| sink == "filesink");
        let pattern = match (&chosen, &order.pattern) {
            (Some(name), _) => {
                // A name given for this recording is meant as it is.
                target.location = Some(name.clone());
                None
            }
            (None, Some(pattern)) => Some(pattern),
            (None, None) => None,
        };
        if let Some(pattern) = pattern {
            if is_sequence(order, pattern) {
                target.location = Some(names::sequence(pattern, id)?);
                return Ok(());
            }
            let pattern = Pattern::new(pattern, 1)?;
            target.location = Some(pattern.fill(&[id]));
            if to_file {
                // Numbers whose files are left from before are passed over.
                let (_, path, _) = files::create_numbered(&pattern, id, order.overwrite)?;
                target.location = path.to_str().map(str::to_owned);
                target.reserved = Some(path);
            }
            return Ok(());
        }
        match target.location.clone() {
            Some(name) if is_sequence(order, &name) => {
                target.location = Some(names::sequence(&name, id)?);
                Ok(())
            }
            Some(name) if to_file => self.reserve(Path::new(&name), target),
            Some(_) => Ok(()),
            None if to_file => Err(BuildError::NoLocation.into()),
            None => Ok(()),
        }
    }

    /// Creates the file, so that no other recording takes the name, and one that exists is kept.
    fn reserve(&self, path: &Path, target: &mut Target) -> Result<(), Failure> {
        files::create(path, self.order.overwrite)?;
        target.reserved = Some(path.to_owned());
        Ok(())
    }

    /// Opens the file of frame times. A recording does not fail for want of it.
    fn times(&self) -> Option<Times<File>> {
        let text = self.order.pts_pattern.as_deref()?;
        let created = Pattern::new(text, 1)
            .map_err(Failure::from)
            .and_then(|pattern| {
                let id = u64::from(self.order.id);
                Ok(files::create_numbered(&pattern, id, self.order.overwrite)?)
            });
        match created {
            Ok((file, _, _)) => Some(Times::new(file)),
            Err(error) => {
                gst::element_warning!(
                    self.element,
                    gst::ResourceError::OpenWrite,
                    ("The file of frame times '{text}' can't be written: {error}")
                );
                None
            }
        }
    }

    /// Puts source, parsers, muxer and sink together.
    fn build(
        &self,
        bin: &gst::Bin,
        feed: Arc<Feed>,
        ready: &Ready,
        target: &Target,
    ) -> Result<(), BuildError> {
        let order = &self.order;
        let place = target.location.as_deref();
        let container = Writer::of(place, order.muxer.as_deref(), &ready.streams)?;
        let sequence = container == Writer::Pictures && order.sink.is_none();
        let sink_factory = match &order.sink {
            Some(factory) => factory,
            None if sequence => "multifilesink",
            None => "filesink",
        };
        let sink = streams::make(sink_factory)?;
        // Written as fast as the storage takes it, and to disk at once: 64 KiB in memory are
        // seconds of picture that a power cut would take.
        streams::set_if_there(&sink, "sync", "false");
        streams::set_if_there(&sink, "async", "false");
        if sink_factory == "filesink" {
            streams::set_if_there(&sink, "buffer-mode", "unbuffered");
        }
        if let Some(place) = place
            && sink
                .find_property("location")
                .is_some_and(|p| p.value_type() == String::static_type())
        {
            sink.set_property("location", place);
        }
        set::set_all(&sink, order.sink_properties.as_ref())?;
        let counters = self.counters.clone();
        for pad in sink.sink_pads() {
            let counters = counters.clone();
            pad.add_probe(
                gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST,
                move |_, _| {
                    counters.progress.fetch_add(1, Ordering::Relaxed);
                    gst::PadProbeReturn::Ok
                },
            );
        }

        let source = RecordingSource::new(feed);
        bin.add_many([source.upcast_ref::<gst::Element>(), &sink])?;
        let video = |stream: &Stream| stream.name == "video";
        let chosen: Vec<_> = match &container {
            Writer::Muxer(_) => ready.streams.iter().collect(),
            Writer::Frames(_) | Writer::Pictures => ready
                .streams
                .iter()
                .filter(|(_, s)| video(s))
                .take(1)
                .collect(),
            Writer::Sound(_) => ready
                .streams
                .iter()
                .filter(|(_, s)| !video(s))
                .take(1)
                .collect(),
        };
        let form = match &container {
            Writer::Frames(caps) => Some(caps.parse::<gst::Caps>()?),
            _ => None,
        };
        let last = match &container {
            Writer::Muxer(factory) => Some(streams::make(factory)?),
            Writer::Sound(Some(factory)) => Some(streams::make(factory)?),
            Writer::Frames(caps) => {
                let filter = streams::make("capsfilter")?;
                filter.set_property_from_str("caps", caps);
                Some(filter)
            }
            Writer::Pictures | Writer::Sound(None) => None,
        };
        let last = match last {
            None => sink,
            Some(muxer) => {
                streams::write_in_fragments(&muxer, sink_factory);
                if matches!(container, Writer::Muxer(_)) {
                    set::set_all(&muxer, order.muxer_properties.as_ref())?;
                }
                if let (Some(from), Some(to)) = (
                    self.element.dynamic_cast_ref::<gst::TagSetter>(),
                    muxer.dynamic_cast_ref::<gst::TagSetter>(),
                ) && let Some(tags) = from.tag_list()
                {
                    to.merge_tags(&tags, gst::TagMergeMode::Replace);
                }
                bin.add(&muxer)?;
                muxer.link(&sink)?;
                muxer
            }
        };
        if chosen.is_empty() {
            let what = match container {
                Writer::Sound(_) => "sound",
                _ => "video",
            };
            let name = last
                .factory()
                .map_or_else(String::new, |f| f.name().to_string());
            return Err(BuildError::NothingToWrite(name, what));
        }
        {
            let mut inner = self.shared.lock();
            for other in 0..inner.streams.len() {
                if !chosen.iter().any(|(number, _)| *number == other) {
                    inner.ring.leave(order.id, other);
                }
            }
        }
        for (number, stream) in chosen {
            let is_reference = *number == ready.reference;
            let pad = source
                .add_stream(*number, stream, is_reference)
                .ok_or_else(|| glib::bool_error!("no pad for {}", stream.name))?;
            container::join(bin, &pad, stream, &last, form.as_ref())?;
        }
        Ok(())
    }

    /// Waits until the recording is over.
    fn watch(&self, mut deadline: Option<Instant>) -> Result<(), Failure> {
        let timeout = self.order.finish_timeout;
        // Set when the end is a matter of writing what is there.
        let mut patience = deadline.map(|_| Patience::new(timeout));
        let mut settle: Option<Instant> = None;
        let mut cut_off = false;
        loop {
            let progress = self.counters.progress.load(Ordering::Relaxed);
            let patience_until = patience.as_mut().map(|p| p.until(progress));
            let wake = [deadline, settle, patience_until]
                .into_iter()
                .flatten()
                .min();
            let notice = match wake {
                None => self
                    .notices
                    .recv()
                    .map_err(|_| RecvTimeoutError::Disconnected),
                Some(wake) => self
                    .notices
                    .recv_timeout(wake.saturating_duration_since(Instant::now())),
            };
            match notice {
                Ok(Notice::Eos) if cut_off => return Err(Failure::TooSlow),
                Ok(Notice::Eos) => return Ok(()),
                Ok(Notice::Error(error)) => return Err(Failure::Element(error)),
                Ok(Notice::CutOff) => {
                    cut_off = true;
                    patience = Some(Patience::new(timeout.min(CUT_OFF_PATIENCE)));
                    self.shared.notify();
                }
                Ok(Notice::Ended) => {
                    patience.get_or_insert_with(|| Patience::new(timeout));
                }
                Ok(Notice::Finishing) => {
                    settle.get_or_insert_with(|| Instant::now() + SETTLE);
                }
                Ok(Notice::Deadline(by)) => deadline = Some(by),
                Ok(Notice::Progress) => {
                    let span = self.shared.lock().ring.span(self.order.id);
                    if span.is_some_and(|span| span.end.is_some()) {
                        settle.get_or_insert_with(|| Instant::now() + SETTLE);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Err(Failure::Stalled(timeout)),
                Err(RecvTimeoutError::Timeout) => {
                    let now = Instant::now();
                    if settle.is_some_and(|by| by <= now) {
                        // Once is enough; the time lies too far ahead to matter again.
                        settle = Some(now + LAST_CHANCE * 60);
                        self.seal();
                    }
                    let progress = self.counters.progress.load(Ordering::Relaxed);
                    let stalled = patience.as_mut().is_some_and(|p| p.until(progress) <= now);
                    if stalled || deadline.is_some_and(|by| by <= now) {
                        return Err(if cut_off {
                            Failure::TooSlow
                        } else {
                            Failure::Stalled(timeout)
                        });
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
        target: &Target,
        result: Result<(), Failure>,
        mut outcome: Outcome,
    ) {
        // A sink that hangs would hang whoever stops it: then the news goes first.
        if matches!(result, Err(Failure::Stalled(_) | Failure::TooSlow)) {
            self.seal();
            outcome.failure = result.err();
            self.abandon(bin, outcome);
            return;
        }
        self.discard(Some(&bin));
        outcome.failure = result.err().or_else(|| {
            let gone = target.reserved.as_ref().filter(|path| !path.exists())?;
            Some(Failure::Vanished(gone.clone()))
        });
        self.done(outcome);
    }

    /// Gives a recording up whose sink takes nothing. It is put out of the pipeline, which may be
    /// shut down any time; should the sink come back soon, the file becomes whole all the same.
    fn abandon(self, bin: gst::Bin, outcome: Outcome) {
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
        if !over {
            let timeout = gst::ClockTime::from_nseconds(LAST_CHANCE.as_nanos() as u64);
            bus.timed_pop_filtered(timeout, &[gst::MessageType::Eos, gst::MessageType::Error]);
        }
        if let Err(error) = bin.set_state(gst::State::Null) {
            gst::warning!(CAT, obj = bin, "Can't stop: {error}");
        }
        bus.set_flushing(true);
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

/// Takes a recording out of the ring; what only it needed is freed without the lock.
fn forget(shared: &Shared, id: RecordingId) {
    let dropped = {
        let mut inner = shared.lock();
        inner.ring.remove(id);
        inner.ring.take_dropped(Vec::new())
    };
    drop(dropped);
}

fn is_sequence(order: &Order, location: &str) -> bool {
    order.muxer.is_none()
        && order.sink.is_none()
        && matches!(names::extension(location).as_deref(), Some("jpg" | "jpeg"))
}

fn is_empty(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.len() == 0)
}
