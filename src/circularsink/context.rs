// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the element's pads, triggers and recordings have in common: they find each other here.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gst::glib;
use gst::prelude::*;

use super::CAT;
use super::recording::{Failure, Host, Notice, Outcome, Recorder};
use super::session::{Answer, Open, Session, Trigger};
use super::settings::Settings;
use super::shared::{Shared, Stream};
use super::source::Counters;
use super::standby::{self, Standby};
use super::target;
use super::writer;
use crate::ring::{Level, RecordingId};
use crate::streams::retention::Retention;
use crate::sync::lock;

/// What a trigger returns when no recording can begin.
pub(crate) const REFUSED: u32 = u32::MAX;

/// The event by which elements and applications trigger.
pub(crate) const TRIGGER_EVENT: &str = "circularsink-trigger";

/// Holds buffers back while the element is paused, as every sink does.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// Written under `closed`'s lock, read by streaming threads without it.
    open: AtomicBool,
    /// Streaming threads are to return.
    closed: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    /// Lets buffers pass, holds them back, or has their threads return.
    pub(crate) fn set(&self, open: bool, closed: bool) {
        let mut guard = lock(&self.closed);
        *guard = closed;
        self.open.store(open, Ordering::SeqCst);
        drop(guard);
        self.changed.notify_all();
    }

    /// Holds the thread that streams into `pad` while the element is paused. It waits for the
    /// pipeline's state here, as at any sink, never for a recording.
    pub(crate) fn pass(&self, pad: &gst::Pad) -> Result<(), gst::FlowError> {
        if self.open.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut closed = lock(&self.closed);
        loop {
            if *closed || pad.pad_flags().contains(gst::PadFlags::FLUSHING) {
                return Err(gst::FlowError::Flushing);
            }
            if self.open.load(Ordering::Acquire) {
                return Ok(());
            }
            let waited = self.changed.wait(closed);
            closed = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Has those that wait look again: a pad flushes.
    pub(crate) fn flush(&self) {
        drop(lock(&self.closed));
        self.changed.notify_all();
    }
}

/// How to reach the thread of a recording.
#[derive(Debug)]
struct Handle {
    id: RecordingId,
    bin: Option<gst::Bin>,
    notices: Sender<Notice>,
    counters: Arc<Counters>,
    /// It is to stay when it has a file.
    pinned: bool,
    file: Option<PathBuf>,
    /// The name of its file, where others have it before and after.
    name: Option<String>,
    /// An element in it has posted an error: what they warn of while they are stopped follows from that.
    failed: bool,
}

impl Handle {
    fn tell(&self, notice: Notice) {
        // One that ends at this moment does not listen any more.
        let _ = self.notices.send(notice);
    }
}

/// From READY to PAUSED and back; the recordings' numbers stay.
#[derive(Debug, Default)]
pub(crate) struct State {
    session: Session,
    handles: Vec<Handle>,
    shared: Option<Arc<Shared>>,
    standby: Option<Standby>,
    stopping: bool,
    /// All streams have ended, with this sequence number.
    ended: Option<gst::Seqnum>,
    last_eos: Option<gst::Seqnum>,
    eos_posted: bool,
}

impl State {
    /// The ring, while there may be recordings.
    fn running(&self) -> Option<Arc<Shared>> {
        self.shared.clone().filter(|_| !self.stopping)
    }

    fn tell(&self, ids: &[RecordingId], notice: impl Fn() -> Notice) {
        let chosen = self.handles.iter().filter(|it| ids.contains(&it.id));
        chosen.for_each(|handle| handle.tell(notice()));
    }

    fn tell_all(&self, notice: impl Fn() -> Notice) {
        self.handles.iter().for_each(|handle| handle.tell(notice()));
    }
}

/// The element's state. Locks are taken in the order state, a pad's, ring; settings alone.
#[derive(Debug, Default)]
pub(crate) struct Context {
    /// Set when the element is made.
    pub element: glib::WeakRef<gst::Bin>,
    pub settings: Mutex<Settings>,
    /// Written by triggers, by the recordings' threads and at changes of state.
    state: Mutex<State>,
    /// A recording has ended; used with `state`.
    drained: Condvar,
    pub gate: Gate,
    /// Buffers that nothing can begin with.
    pub skipped: AtomicU64,
    /// The `max-bytes` of which it was told that a GOP is larger, and that one was given up.
    pub told_large: Mutex<[Option<u64>; 2]>,
    pub retention: Retention,
    /// No recording can be written, as was posted.
    refused: AtomicBool,
    /// Held while it is found out.
    rehearsal: Mutex<()>,
}

impl Context {
    /// The ring and streams of the running session.
    pub(crate) fn shared(&self) -> Option<Arc<Shared>> {
        lock(&self.state).shared.clone()
    }

    pub(crate) fn level(&self) -> Level {
        self.shared()
            .map_or_else(Level::default, |shared| shared.lock().ring.level())
    }

    pub(crate) fn stats(&self) -> gst::Structure {
        let level = self.level();
        let state = lock(&self.state);
        let session = &state.session;
        gst::Structure::builder("circularsink-stats")
            .field("level-time", level.time)
            .field("level-bytes", level.bytes)
            .field("level-buffers", level.buffers)
            .field("backlog-bytes", level.backlog)
            .field("recordings-open", session.open().len() as u32)
            .field("recordings-finished", session.finished)
            .field("recordings-failed", session.failed)
            .field("buffers-skipped", self.skipped.load(Ordering::Relaxed))
            .build()
    }

    /// Begins with an empty ring, which it returns.
    pub(crate) fn start(&self) -> Arc<Shared> {
        let shared = Arc::new(Shared::new(lock(&self.settings).limits()));
        let mut state = lock(&self.state);
        state.shared = Some(shared.clone());
        state.standby = Some(Standby::new());
        state.stopping = false;
        state.ended = None;
        state.eos_posted = false;
        self.skipped.store(0, Ordering::Relaxed);
        *lock(&self.told_large) = [None; 2];
        self.refused.store(false, Ordering::Relaxed);
        shared
    }

    /// Whether it was posted that no recording can be written.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// Whether recordings of the streams as they are can be written; if not, an error says why, once.
    pub(super) fn can_record(&self) -> bool {
        let (Some(element), Some(shared)) = (self.element.upgrade(), self.shared()) else {
            return true;
        };
        if is_named_by_application(&element) {
            return true;
        }
        // Of two streams that look at the same time the one that knows of both has the last word.
        let rehearsal = lock(&self.rehearsal);
        let (streams, undecided) = {
            let inner = shared.lock();
            let known = inner.streams.iter().enumerate();
            let known = known.filter(|(_, stream)| stream.caps.is_some() && !stream.removed);
            let known: Vec<_> = known.map(|(number, it)| (number, it.clone())).collect();
            (known, inner.streams.iter().any(Stream::undecided))
        };
        let order = lock(&self.settings).order(0, None);
        let result = writer::rehearse(&order, &shared, &streams, !undecided);
        let was_refused = self.refused.swap(result.is_err(), Ordering::Relaxed);
        drop(rehearsal);
        if let (Err(error), false) = (&result, was_refused) {
            element.post_error_message(error.message());
        }
        result.is_ok()
    }

    /// Ends what is open, within the time that was set.
    pub(crate) fn stop(&self) {
        self.gate.set(false, true);
        let timeout = Duration::from_nanos(lock(&self.settings).finish_timeout);
        let now = Instant::now();
        let deadline = now
            .checked_add(timeout)
            .unwrap_or(now + Duration::from_secs(1 << 30));
        let mut state = lock(&self.state);
        if let Some(shared) = state.shared.clone() {
            shared.stop();
            let mut inner = shared.lock();
            // Nothing more comes: recordings that wait for a picture have the sound alone.
            if !state.session.open().is_empty() {
                inner.ring.give_up_reference();
            }
            for open in state.session.open() {
                inner.ring.seal(open.id);
            }
            drop(inner);
            shared.notify();
        }
        state.stopping = true;
        state.tell_all(|| Notice::Deadline(deadline));
        // The threads keep to the deadline themselves; a little more is for what they do then.
        let limit = deadline + Duration::from_secs(2);
        while !state.handles.is_empty() {
            let left = limit.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.drained.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let abandoned = state.session.abandon();
        let handles = std::mem::take(&mut state.handles);
        state.standby = None;
        drop(state);
        for open in abandoned {
            // Its thread hangs in the sink or in the disk.
            let counters = handles.iter().find(|handle| handle.id == open.id);
            let counters = counters.map(|handle| handle.counters.clone());
            let outcome = Outcome::of(Failure::Late(timeout));
            self.tell(open.id, &outcome, &counters.unwrap_or_default());
        }
    }

    /// Forgets the ring.
    pub(crate) fn forget(&self) {
        let shared = lock(&self.state).shared.take();
        // What it held is freed without the lock.
        drop(shared);
    }

    /// Follows new limits of the ring.
    pub(crate) fn set_limits(&self) {
        let limits = lock(&self.settings).limits();
        if let Some(shared) = self.shared() {
            shared.lock().ring.set_limits(limits);
        }
    }

    /// How far what arrives is behind what happens, ns.
    fn lag(&self) -> i64 {
        let pads = self.element.upgrade().map(|element| element.sink_pads());
        match pads.and_then(|pads| upstream_latency(&pads)) {
            Some((true, min, _)) => i64::try_from(min.nseconds()).unwrap_or(i64::MAX),
            _ => 0,
        }
    }

    /// Starts, extends or splits a recording. `at_position` says that the trigger came in the
    /// stream, and not from outside, which is ahead of it by the latency.
    pub(crate) fn trigger(
        self: &Arc<Self>,
        location: Option<String>,
        post_time: Option<u64>,
        at_position: bool,
    ) -> RecordingId {
        let settings = lock(&self.settings).clone();
        let post_time = post_time.unwrap_or(settings.post_time);
        let lag = match at_position || post_time == 0 {
            true => 0,
            false => self.lag(),
        };
        let trigger = Trigger {
            location: location.filter(|location| !location.is_empty()),
            post_time,
            lag,
            split: settings.split_on_trigger,
            most: settings.max_recordings as usize,
        };
        let mut state = lock(&self.state);
        let Some(shared) = state.running() else {
            drop(state);
            gst::warning!(CAT, "Triggered before PAUSED: nothing is recorded");
            return REFUSED;
        };
        let answer = state.session.trigger(&mut shared.lock().ring, trigger);
        gst::debug!(CAT, "A trigger: {answer:?}");
        match answer {
            Answer::GoesOn(id) => id,
            Answer::TooMany(id) => {
                drop(state);
                self.refused(id, Failure::TooMany(settings.max_recordings));
                REFUSED
            }
            Answer::Opened(id) => self.launch(&mut state, &shared, &settings, id),
            Answer::Split(id) => {
                let id = self.launch(&mut state, &shared, &settings, id);
                drop(state);
                // Encoders answer with one that has no leading pictures; others go on as they do.
                let element = self.element.upgrade();
                if let Some(pad) = element.and_then(|element| element.static_pad("video")) {
                    request_key_unit(&pad);
                }
                id
            }
        }
    }

    /// Starts the thread of a recording that the session has opened.
    fn launch(
        self: &Arc<Self>,
        state: &mut State,
        shared: &Arc<Shared>,
        settings: &Settings,
        id: RecordingId,
    ) -> RecordingId {
        let Some(element) = self.element.upgrade() else {
            return REFUSED;
        };
        let open = state.session.open().iter().find(|open| open.id == id);
        let location = open.and_then(|open| open.location.clone());
        let mut order = settings.order(id, location);
        if open.is_some_and(|open| open.continues) {
            target::put_beside(&mut order);
        }
        let (notices, receiver) = mpsc::channel();
        let handle = Handle {
            id,
            bin: None,
            notices,
            counters: Arc::default(),
            pinned: false,
            file: None,
            name: target::shared_name(&order, order.location.as_deref()),
            failed: false,
        };
        if state.ended.is_some() {
            // It gets what the ring holds; nothing else is to come.
            handle.tell(Notice::Ended);
        }
        let recorder = Recorder {
            element,
            host: self.clone(),
            shared: shared.clone(),
            order,
            notices: receiver,
            counters: handle.counters.clone(),
        };
        state.handles.push(handle);
        let host = self.clone();
        let run = move || {
            if catch_unwind(AssertUnwindSafe(|| recorder.run())).is_err() {
                host.done(id, Outcome::of(Failure::Fault));
            }
        };
        if let Err(error) = standby::run(run) {
            shared.lock().ring.remove(id);
            state.handles.retain(|handle| handle.id != id);
            state.session.close(id, false);
            gst::error!(CAT, "No thread for recording {id}: {error}");
            return REFUSED;
        }
        id
    }

    /// Follows the property `recording`.
    pub(crate) fn switch(self: &Arc<Self>) {
        let settings = lock(&self.settings).clone();
        let mut state = lock(&self.state);
        let Some(shared) = state.running() else {
            // The property is looked at again when the element starts.
            return;
        };
        if settings.recording {
            let id = state.session.switch_on(&mut shared.lock().ring);
            if let Some(id) = id {
                self.launch(&mut state, &shared, &settings, id);
            }
        } else {
            finish_those(&mut state, &shared, |open| open.by_switch);
            drop(state);
            shared.notify();
        }
    }

    /// Ends all recordings with what has arrived.
    pub(crate) fn finish(&self) {
        let mut state = lock(&self.state);
        let Some(shared) = state.shared.clone() else {
            return;
        };
        finish_those(&mut state, &shared, |_| true);
        drop(state);
        shared.notify();
        self.switched_off();
    }

    /// The property goes back to false when what it started has ended otherwise.
    fn switched_off(&self) {
        let was = std::mem::replace(&mut lock(&self.settings).recording, false);
        if was && let Some(element) = self.element.upgrade() {
            element.notify("recording");
        }
    }

    /// Takes an event for a trigger, if it is one.
    pub(crate) fn trigger_by_event(
        self: &Arc<Self>,
        structure: Option<&gst::StructureRef>,
        at_position: bool,
    ) -> bool {
        let Some(structure) = structure.filter(|s| s.name() == TRIGGER_EVENT) else {
            return false;
        };
        let location = structure.get::<Option<String>>("location").ok().flatten();
        let post_time = structure.get::<u64>("post-time").ok();
        let id = self.trigger(location, post_time, at_position);
        if id != REFUSED && structure.get("pinned").unwrap_or(false) {
            self.pin_recordings(|it| it == id);
        }
        id != REFUSED
    }

    /// What follows in the streams does not continue what came before.
    pub(crate) fn restart(self: &Arc<Self>) {
        let settings = lock(&self.settings).clone();
        let mut state = lock(&self.state);
        let Some(shared) = state.running() else {
            return;
        };
        let (restarted, dropped) = {
            let mut inner = shared.lock();
            let restarted = state.session.restart(&mut inner.ring);
            for id in &restarted.ended {
                inner.keep_streams(*id);
            }
            (restarted, inner.ring.take_dropped(Vec::new()))
        };
        state.tell(&restarted.ended, || Notice::Finishing);
        state.ended = None;
        state.eos_posted = false;
        for id in &restarted.opened {
            self.launch(&mut state, &shared, &settings, *id);
        }
        drop(state);
        drop(dropped);
        gst::info!(CAT, "The streams begin anew: {restarted:?}");
        shared.notify();
    }

    /// Something in the streams changed that recordings may be waiting for.
    pub(crate) fn tell_progress(&self) {
        lock(&self.state).tell_all(|| Notice::Progress);
    }

    /// The ring has found a recording's beginning or end, or could not wait for some.
    pub(crate) fn tell_settled(&self, cut_off: &[RecordingId]) {
        let state = lock(&self.state);
        for handle in &state.handles {
            handle.tell(match cut_off.contains(&handle.id) {
                true => Notice::CutOff,
                false => Notice::Progress,
            });
        }
    }

    /// A stream has ended.
    pub(crate) fn stream_ended(&self, seqnum: gst::Seqnum) {
        lock(&self.state).last_eos = Some(seqnum);
        self.tell_progress();
        self.check_end();
    }

    /// A stream that had ended begins again.
    pub(crate) fn go_on(self: &Arc<Self>) {
        {
            let mut state = lock(&self.state);
            state.ended = None;
            state.eos_posted = false;
        }
        gst::info!(CAT, "A stream that had ended begins again");
        self.switch();
    }

    /// Posts the end of the stream once all streams have ended and all files are closed.
    pub(crate) fn check_end(&self) {
        let seqnum = {
            let mut state = lock(&self.state);
            let Some(shared) = state.running() else {
                return;
            };
            if !shared.lock().all_ended() {
                return;
            }
            let last = state.last_eos;
            let seqnum = *state
                .ended
                .get_or_insert_with(|| last.unwrap_or_else(gst::Seqnum::next));
            state.tell_all(|| Notice::Ended);
            if !state.handles.is_empty() || state.eos_posted {
                return;
            }
            state.eos_posted = true;
            seqnum
        };
        gst::debug!(CAT, "All streams have ended and all files are closed");
        if let Some(element) = self.element.upgrade() {
            let eos = gst::message::Eos::builder().src(&element).seqnum(seqnum);
            post(&element, eos.build());
        }
    }

    /// Takes a message from inside a recording; gives back one that is none of a recording's.
    pub(crate) fn take_message(&self, message: gst::Message) -> Option<gst::Message> {
        use gst::MessageView;
        let taken = message.src().and_then(|source| {
            let mut state = lock(&self.state);
            let from = |handle: &Handle| {
                handle.bin.as_ref().is_some_and(|bin| {
                    source == bin.upcast_ref::<gst::Object>() || source.has_as_ancestor(bin)
                })
            };
            let handle = state.handles.iter_mut().find(|handle| from(handle))?;
            handle.failed |= message.type_() == gst::MessageType::Error;
            Some((handle.notices.clone(), handle.failed))
        });
        let Some((notices, failed)) = taken else {
            return Some(message);
        };
        let notice = match message.view() {
            MessageView::Eos(_) => Notice::Eos,
            MessageView::Error(error) => {
                gst::warning!(CAT, "A recording failed: {message:?}");
                let source = message.src().map(|s| s.name()).unwrap_or_default();
                Notice::Error(format!("{source}: {}", error.error()))
            }
            MessageView::Warning(_) if failed => return None,
            _ if is_of_a_pipeline(&message) => return None,
            _ => return Some(message),
        };
        // Nobody listens any more when the recording is being taken apart.
        let _ = notices.send(notice);
        None
    }
}

impl Context {
    /// Has recordings that are open stay, those that have no file yet once they have. Returns the
    /// files of the others, and how many there are of both.
    pub(crate) fn keep_open(&self, chosen: impl Fn(RecordingId) -> bool) -> (Vec<PathBuf>, usize) {
        let mut state = lock(&self.state);
        let State {
            session, handles, ..
        } = &mut *state;
        let open = |id| session.open().iter().any(|open| open.id == id);
        let mut handles: Vec<_> = handles.iter_mut().collect();
        handles.retain(|handle| open(handle.id) && chosen(handle.id));
        handles.iter_mut().for_each(|handle| handle.pinned = true);
        let files = handles.iter().filter_map(|handle| handle.file.clone());
        (files.collect(), handles.len())
    }
}

impl Host for Context {
    fn choose_name(&self, id: RecordingId, first: &gst::Sample) -> Option<String> {
        let element = self.element.upgrade()?;
        element
            .emit_by_name::<Option<String>>("format-location", &[&id, first])
            .filter(|name| !name.is_empty())
    }

    fn is_name_in_use(&self, id: RecordingId, name: &str) -> bool {
        let mut state = lock(&self.state);
        let Some(shared) = state.shared.clone() else {
            return false;
        };
        let State {
            session, handles, ..
        } = &mut *state;
        if let Some(own) = handles.iter_mut().find(|handle| handle.id == id) {
            own.name = Some(name.to_owned());
        }
        let inner = shared.lock();
        let is_ending = |id| {
            let open = session.open().iter().find(|open| open.id == id);
            let has_end = || inner.ring.span(id).is_none_or(|span| span.end.is_some());
            open.is_none_or(|open| !open.goes_on() || has_end())
        };
        let is_before = |it: &&Handle| it.id < id && it.name.as_deref() == Some(name);
        handles
            .iter()
            .filter(is_before)
            .any(|before| is_ending(before.id))
    }

    fn built(&self, id: RecordingId, bin: &gst::Bin) {
        let mut state = lock(&self.state);
        if let Some(handle) = state.handles.iter_mut().find(|handle| handle.id == id) {
            handle.bin = Some(bin.clone());
        }
    }

    fn began(&self, id: RecordingId, file: &Path) {
        let limits = lock(&self.settings).order(id, None).retention;
        self.retention.began(file, limits);
        let pinned = {
            let mut state = lock(&self.state);
            let handle = state.handles.iter_mut().find(|handle| handle.id == id);
            handle.is_some_and(|handle| {
                handle.file = Some(file.to_owned());
                handle.pinned
            })
        };
        if pinned {
            self.pin(file);
        }
    }

    fn started(&self, id: RecordingId, outcome: &Outcome) {
        standby::replenish();
        let structure = gst::Structure::builder("circularsink-recording-started")
            .field("id", id)
            .field("location", &outcome.location)
            .field_if_some("start-running-time", outcome.start.map(unsigned))
            .field_if_some("start-utc", outcome.utc.map(unsigned))
            .build();
        gst::info!(CAT, "{structure}");
        self.post_structure(structure);
        self.sweep();
    }

    fn make_room(&self, bytes: u64) {
        self.make_room_for(bytes);
    }

    fn done(&self, id: RecordingId, outcome: Outcome) {
        let (open, counters, stopping) = {
            let mut state = lock(&self.state);
            let open = state.session.close(id, outcome.failure.is_none());
            let handle = state.handles.iter().find(|handle| handle.id == id);
            let (Some(open), Some(handle)) = (open, handle) else {
                // The element has given up waiting for it.
                return;
            };
            (open, handle.counters.clone(), state.stopping)
        };
        self.tell(id, &outcome, &counters);
        // Where the storage hangs, looking at it would.
        let stalled = matches!(
            outcome.failure,
            Some(Failure::Stalled(_) | Failure::Late(_) | Failure::TooSlow)
        );
        if !stalled {
            self.sweep();
        }
        if open.by_switch && open.goes_on() && outcome.failure.is_some() && !stopping {
            self.switched_off();
        }
        {
            // Only now that it was told of: the end of the stream comes behind the last message.
            let mut state = lock(&self.state);
            state.handles.retain(|handle| handle.id != id);
            // One may wait for its name.
            state.tell_all(|| Notice::Progress);
            // Under the lock, or a thread that is about to wait would miss it.
            self.drained.notify_all();
        }
        self.check_end();
    }
}

impl Context {
    /// A recording did not even begin.
    fn refused(&self, id: RecordingId, failure: Failure) {
        self.tell(id, &Outcome::of(failure), &Counters::default());
    }

    /// Posts what became of a recording, and a warning where it failed: not every application looks
    /// for messages of this element.
    fn tell(&self, id: RecordingId, outcome: &Outcome, counters: &Counters) {
        let structure = message_of(id, outcome, counters);
        let Some(failure) = &outcome.failure else {
            gst::info!(CAT, "{structure}");
            return self.post_structure(structure);
        };
        gst::warning!(CAT, "{structure}");
        self.post_structure(structure);
        if let (Some(element), false) = (self.element.upgrade(), failure.was_called_off()) {
            gst::element_warning!(
                element,
                gst::ResourceError::Write,
                ("Recording {id} failed: {failure}")
            );
        }
    }

    /// Posts an element message.
    pub(crate) fn post_structure(&self, structure: gst::Structure) {
        if let Some(element) = self.element.upgrade() {
            let message = gst::message::Element::builder(structure).src(&element);
            post(&element, message.build());
        }
    }
}

fn post(element: &gst::Bin, message: gst::Message) {
    if element.post_message(message).is_err() {
        gst::debug!(CAT, obj = element, "Nobody wants messages");
    }
}

/// The message of a recording that is over.
fn message_of(id: RecordingId, outcome: &Outcome, counters: &Counters) -> gst::Structure {
    let end = counters.end.load(Ordering::Relaxed);
    let name = match outcome.failure {
        None => "circularsink-recording-finished",
        Some(_) => "circularsink-recording-failed",
    };
    let error = outcome.failure.as_ref();
    let error = error.map(|failure| format!("Recording {id} failed: {failure}"));
    gst::Structure::builder(name)
        .field("id", id)
        .field("location", &outcome.location)
        .field_if_some("start-running-time", outcome.start.map(unsigned))
        .field_if_some(
            "end-running-time",
            outcome.start.map(|start| unsigned(end.max(start))),
        )
        .field_if_some("start-utc", outcome.utc.map(unsigned))
        .field_if_some(
            "end-utc",
            outcome.utc.zip(outcome.start).map(|(utc, start)| {
                unsigned(utc.saturating_add(end.max(start).saturating_sub(start)))
            }),
        )
        .field("frames", counters.frames.load(Ordering::Relaxed))
        .field("dropped", counters.dropped.load(Ordering::Relaxed))
        .field("bytes", counters.bytes.load(Ordering::Relaxed))
        .field_if_some("error", error)
        .build()
}

/// Times in messages are unsigned; running times begin before zero by a few samples at most, and
/// nothing was recorded before 1970.
pub(crate) fn unsigned(time: i64) -> u64 {
    time.max(0).unsigned_abs()
}

/// Whether the application is asked for the names of recordings, and thus for their formats.
fn is_named_by_application(element: &gst::Bin) -> bool {
    let signal = glib::subclass::SignalId::lookup("format-location", element.type_());
    signal
        .is_some_and(|signal| glib::signal::signal_has_handler_pending(element, signal, None, true))
}

/// Asks for the end of some recordings.
fn finish_those(state: &mut State, shared: &Shared, chosen: impl Fn(&Open) -> bool) {
    let finished = state.session.finish(&mut shared.lock().ring, chosen);
    state.tell(&finished, || Notice::Finishing);
}

/// Whether a message concerns a pipeline's state, clock and length: a recording's is its own.
fn is_of_a_pipeline(message: &gst::MessageRef) -> bool {
    use gst::MessageView;
    matches!(
        message.view(),
        MessageView::AsyncStart(_)
            | MessageView::AsyncDone(_)
            | MessageView::StateDirty(_)
            | MessageView::StreamStart(_)
            | MessageView::SegmentStart(_)
            | MessageView::SegmentDone(_)
            | MessageView::DurationChanged(_)
            | MessageView::Latency(_)
            | MessageView::ClockProvide(_)
            | MessageView::ClockLost(_)
            | MessageView::NewClock(_)
            | MessageView::ResetTime(_)
            | MessageView::Progress(_)
            | MessageView::Buffering(_)
            | MessageView::Tag(_)
            | MessageView::RequestState(_)
    )
}

/// What the elements upstream of `pads` need until a frame arrives, and whether they are live.
pub(crate) fn upstream_latency(
    pads: &[gst::Pad],
) -> Option<(bool, gst::ClockTime, Option<gst::ClockTime>)> {
    let mut whole: Option<(bool, gst::ClockTime, Option<gst::ClockTime>)> = None;
    for pad in pads.iter().filter(|pad| pad.is_linked()) {
        let mut query = gst::query::Latency::new();
        if !pad.peer_query(&mut query) {
            continue;
        }
        let (live, min, max) = query.result();
        let (was_live, was_min, was_max) = whole.unwrap_or((false, gst::ClockTime::ZERO, None));
        let max = match (was_max, max) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let min = was_min.max(if live { min } else { was_min });
        whole = Some((was_live || live, min, max));
    }
    whole
}

/// Asks upstream for a key unit.
pub(crate) fn request_key_unit(pad: &gst::Pad) {
    let event = gst_video::UpstreamForceKeyUnitEvent::builder()
        .all_headers(true)
        .build();
    if !pad.push_event(event) {
        gst::debug!(CAT, obj = pad, "Upstream makes no key units on request");
    }
}
