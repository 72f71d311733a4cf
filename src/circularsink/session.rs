// SPDX-License-Identifier: MIT OR Apache-2.0
//! The recordings of the element: how triggers begin, extend, split and end them, and what is said
//! of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::CAT;
use super::imp::{CircularSink, REFUSED, Settings};
use super::recording::{Notice, Outcome, Recorder};
use super::shared::Shared;
use super::source::Counters;
use super::standby::{self, Standby};
use crate::ring::{Begin, End, RecordingId};
use crate::sync::lock;

/// The event by which elements and applications trigger.
pub const TRIGGER_EVENT: &str = "circularsink-trigger";

/// A recording that has not ended.
#[derive(Debug)]
pub struct Open {
    pub id: RecordingId,
    /// Begun by the property `recording`, not by a trigger.
    pub by_switch: bool,
    /// What the trigger named.
    pub location: Option<String>,
    /// The end as it was asked for last.
    pub end: End,
    /// The one that begins where this one ends.
    pub successor: Option<RecordingId>,
    pub bin: Option<gst::Bin>,
    pub notices: Sender<Notice>,
    pub counters: Arc<Counters>,
}

impl Open {
    /// Whether its end is still a matter of what happens.
    fn goes_on(&self) -> bool {
        matches!(self.end, End::Open | End::At(_)) && self.successor.is_none()
    }
}

/// From READY to PAUSED and back.
#[derive(Debug, Default)]
pub struct Session {
    pub shared: Option<Arc<Shared>>,
    standby: Option<Standby>,
    pub open: Vec<Open>,
    /// Numbers go on from one session to the next: the files are still there.
    next: RecordingId,
    pub finished: u32,
    pub failed: u32,
    pub skipped: Arc<AtomicU64>,
    pub stopping: bool,
    /// All streams have ended, with this sequence number.
    pub ended: Option<gst::Seqnum>,
    pub last_eos: Option<gst::Seqnum>,
    pub eos_posted: bool,
}

impl Session {
    pub fn start(&mut self, shared: Arc<Shared>) {
        self.shared = Some(shared);
        self.standby = Some(Standby::new());
        self.stopping = false;
        self.ended = None;
        self.eos_posted = false;
        self.skipped.store(0, Ordering::Relaxed);
    }

    /// Recordings that are open still are on their own.
    pub fn end(&mut self) {
        self.open.clear();
        self.standby = None;
    }

    pub fn tell_all(&self, notice: impl Fn() -> Notice) {
        for open in &self.open {
            // One that ends at this moment does not listen any more.
            let _ = open.notices.send(notice());
        }
    }

    fn find(&mut self, id: RecordingId) -> Option<&mut Open> {
        self.open.iter_mut().find(|open| open.id == id)
    }
}

impl CircularSink {
    /// Starts, extends or splits a recording. `at_position` says that the trigger came in the
    /// stream, and not from outside, which is ahead of it by the latency.
    pub fn trigger(
        &self,
        location: Option<String>,
        post_time: Option<u64>,
        at_position: bool,
    ) -> RecordingId {
        let location = location.filter(|location| !location.is_empty());
        let settings = lock(&self.settings).clone();
        let post_time = post_time.unwrap_or(settings.post_time);
        let lag = if at_position || post_time == 0 {
            0
        } else {
            self.lag()
        };
        let mut session = lock(&self.session);
        let Some(shared) = session.shared.clone().filter(|_| !session.stopping) else {
            drop(session);
            gst::warning!(
                CAT,
                imp = self,
                "Triggered before PAUSED: nothing is recorded"
            );
            return REFUSED;
        };
        let reached = shared.lock().ring.reached().unwrap_or(0);
        let end = match post_time {
            0 => End::Open,
            time => End::At(reached.saturating_add(lag).saturating_add_unsigned(time)),
        };

        if settings.split_on_trigger
            && let Some(running) = session.open.iter().rev().find(|open| open.goes_on())
        {
            let (id, by_switch) = (running.id, running.by_switch);
            let followed = shared.lock().ring.set_end(id, End::NextKey);
            if followed {
                let next = self.open(
                    &mut session,
                    &settings,
                    (location, by_switch),
                    Begin::After(id),
                    if by_switch { End::Open } else { end },
                );
                if let Some(running) = session.find(id) {
                    running.end = End::NextKey;
                    running.successor = Some(next);
                }
                drop(session);
                // Encoders answer with one that has no leading pictures; others go on as they do.
                if let Some(pad) = self.obj().static_pad("video") {
                    super::input::request_key_unit(&pad);
                }
                return next;
            }
        }
        if let Some(running) = session.open.iter_mut().rev().find(|open| {
            open.goes_on() && !open.by_switch && (location.is_none() || location == open.location)
        }) {
            let later = match (running.end, end) {
                (End::At(old), End::At(new)) => End::At(old.max(new)),
                _ => End::Open,
            };
            if shared.lock().ring.set_end(running.id, later) {
                running.end = later;
                gst::debug!(
                    CAT,
                    imp = self,
                    "Recording {} goes on to {later:?}",
                    running.id
                );
                return running.id;
            }
        }
        self.open(
            &mut session,
            &settings,
            (location, false),
            Begin::Oldest,
            end,
        )
    }

    /// Opens a recording in the ring and starts its thread.
    fn open(
        &self,
        session: &mut Session,
        settings: &Settings,
        (location, by_switch): (Option<String>, bool),
        begin: Begin,
        end: End,
    ) -> RecordingId {
        let Some(shared) = session.shared.clone() else {
            return REFUSED;
        };
        let id = session.next;
        session.next += 1;
        shared.lock().ring.open(id, begin, end);
        let (notices, receiver) = mpsc::channel();
        let counters = Arc::new(Counters::default());
        if session.ended.is_some() {
            // It gets what the ring holds; nothing else is to come.
            let _ = notices.send(Notice::Ended);
        }
        session.open.push(Open {
            id,
            by_switch,
            location: location.clone(),
            end,
            successor: None,
            bin: None,
            notices,
            counters: counters.clone(),
        });
        gst::debug!(
            CAT,
            imp = self,
            "Recording {id}: {begin:?} to {end:?}, {location:?}"
        );
        let recorder = Recorder {
            element: self.obj().clone(),
            shared,
            order: settings.order(id, location),
            notices: receiver,
            counters,
        };
        if let Err(error) = standby::run(move || recorder.run()) {
            session.open.retain(|open| open.id != id);
            session.failed += 1;
            gst::error!(CAT, imp = self, "No thread for recording {id}: {error}");
            return REFUSED;
        }
        id
    }

    /// Follows the property `recording`.
    pub fn switch(&self, on: bool) {
        let settings = lock(&self.settings).clone();
        let mut session = lock(&self.session);
        let Some(shared) = session.shared.clone().filter(|_| !session.stopping) else {
            // The property is looked at again when the element starts.
            return;
        };
        let running = session.open.iter().any(|o| o.by_switch && o.goes_on());
        if on && !running {
            self.open(
                &mut session,
                &settings,
                (None, true),
                Begin::Oldest,
                End::Open,
            );
        } else if !on {
            finish_those(&mut session, &shared, |open| open.by_switch);
            drop(session);
            shared.notify();
        }
    }

    /// Ends all recordings with what has arrived.
    pub fn finish(&self) {
        let mut session = lock(&self.session);
        let Some(shared) = session.shared.clone() else {
            return;
        };
        finish_those(&mut session, &shared, |_| true);
        drop(session);
        shared.notify();
        self.switched_off();
    }

    /// The property goes back to false when what it started has ended otherwise.
    fn switched_off(&self) {
        let was = std::mem::replace(&mut lock(&self.settings).recording, false);
        if was {
            self.obj().notify("recording");
        }
    }

    /// Takes an event for a trigger, if it is one.
    pub fn trigger_by_event(
        &self,
        structure: Option<&gst::StructureRef>,
        at_position: bool,
    ) -> bool {
        let Some(structure) = structure.filter(|s| s.name() == TRIGGER_EVENT) else {
            return false;
        };
        let location = structure.get::<Option<String>>("location").ok().flatten();
        let post_time = structure.get::<u64>("post-time").ok();
        self.trigger(location, post_time, at_position) != REFUSED
    }

    /// What follows in the streams does not continue what came before: the ring starts anew, and
    /// recordings that would have gone on do so in another file.
    pub fn restart(&self) {
        let settings = lock(&self.settings).clone();
        let mut session = lock(&self.session);
        let Some(shared) = session.shared.clone().filter(|_| !session.stopping) else {
            return;
        };
        let begun: Vec<_> = {
            let mut inner = shared.lock();
            let begun = session
                .open
                .iter()
                .filter(|o| inner.ring.span(o.id).is_some_and(|s| s.start.is_some()))
                .map(|o| o.id)
                .collect();
            inner.ring.reset();
            begun
        };
        let mut next = Vec::new();
        for open in &mut session.open {
            if begun.contains(&open.id) {
                if open.goes_on() {
                    next.push((open.id, open.location.clone(), open.by_switch));
                }
                open.end = End::Now;
                let _ = open.notices.send(Notice::Finishing);
            }
        }
        session.ended = None;
        session.eos_posted = false;
        for (id, location, by_switch) in next {
            let number = session.next;
            let location = location.map(|location| {
                let path = std::path::Path::new(&location);
                let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                let extension = path.extension().unwrap_or_default().to_string_lossy();
                let name = format!("{stem}-{number}.{extension}");
                path.with_file_name(name).to_string_lossy().into_owned()
            });
            // A post-time can't be carried over: running time may start anew.
            self.open(
                &mut session,
                &settings,
                (location, by_switch),
                Begin::Oldest,
                End::Open,
            );
            gst::info!(
                CAT,
                imp = self,
                "Recording {number} continues recording {id}"
            );
        }
        drop(session);
        shared.notify();
    }

    /// Posts the end of the stream once all streams have ended and all files are closed.
    pub fn check_end(&self) {
        let seqnum = {
            let mut session = lock(&self.session);
            let Some(shared) = session.shared.clone().filter(|_| !session.stopping) else {
                return;
            };
            let all = {
                let inner = shared.lock();
                let mut awaited = inner
                    .streams
                    .iter()
                    .filter(|s| !s.removed && (s.linked || s.caps.is_some()))
                    .peekable();
                awaited.peek().is_some() && awaited.all(|s| s.eos)
            };
            if !all {
                return;
            }
            let last = session.last_eos;
            let seqnum = *session
                .ended
                .get_or_insert_with(|| last.unwrap_or_else(gst::Seqnum::next));
            session.tell_all(|| Notice::Ended);
            if !session.open.is_empty() || session.eos_posted {
                return;
            }
            session.eos_posted = true;
            seqnum
        };
        gst::debug!(
            CAT,
            imp = self,
            "All streams have ended and all files are closed"
        );
        let eos = gst::message::Eos::builder()
            .src(&*self.obj())
            .seqnum(seqnum);
        self.post(eos.build());
    }

    /// Makes a recording's sub-pipeline known, so that its messages find their way.
    pub fn recording_built(&self, id: RecordingId, bin: &gst::Bin) {
        if let Some(open) = lock(&self.session).find(id) {
            open.bin = Some(bin.clone());
        }
    }

    /// Says that a recording's file is open.
    pub fn recording_started(&self, id: RecordingId, location: Option<&str>, start: i64) {
        standby::replenish();
        let structure = gst::Structure::builder("circularsink-recording-started")
            .field("id", id)
            .field("location", location)
            .field("start-running-time", running_time(start))
            .build();
        gst::info!(CAT, imp = self, "{structure}");
        self.post_structure(structure);
    }

    /// Says what became of a recording.
    pub fn recording_done(&self, id: RecordingId, outcome: Outcome) {
        let Some((open, stopping)) = ({
            let mut session = lock(&self.session);
            let at = session.open.iter().position(|open| open.id == id);
            match outcome.failure {
                None => session.finished += 1,
                Some(_) => session.failed += 1,
            }
            at.map(|at| (session.open.remove(at), session.stopping))
        }) else {
            // The element has given up waiting for it.
            return;
        };
        let end = open.counters.end.load(Ordering::Relaxed);
        let name = match outcome.failure {
            None => "circularsink-recording-finished",
            Some(_) => "circularsink-recording-failed",
        };
        let mut structure = gst::Structure::builder(name)
            .field("id", id)
            .field("location", &outcome.location)
            .field_if_some("start-running-time", outcome.start.map(running_time))
            .field_if_some(
                "end-running-time",
                outcome.start.map(|start| running_time(end.max(start))),
            )
            .field("frames", open.counters.frames.load(Ordering::Relaxed))
            .field("bytes", open.counters.bytes.load(Ordering::Relaxed));
        if let Some(failure) = &outcome.failure {
            structure = structure.field("error", format!("Recording {id} failed: {failure}"));
        }
        let structure = structure.build();
        if outcome.failure.is_some() {
            gst::warning!(CAT, imp = self, "{structure}");
        } else {
            gst::info!(CAT, imp = self, "{structure}");
        }
        self.post_structure(structure);
        if open.by_switch && open.goes_on() && outcome.failure.is_some() && !stopping {
            self.switched_off();
        }
        {
            // Under the lock, or a thread that is about to wait would miss it.
            let _session = lock(&self.session);
            self.drained.notify_all();
        }
        self.check_end();
    }

    fn post_structure(&self, structure: gst::Structure) {
        self.post(
            gst::message::Element::builder(structure)
                .src(&*self.obj())
                .build(),
        );
    }

    fn post(&self, message: gst::Message) {
        if self.obj().post_message(message).is_err() {
            gst::debug!(CAT, imp = self, "Nobody wants messages");
        }
    }
}

/// Running times in messages are unsigned; none begins before zero but by a few samples.
fn running_time(time: i64) -> u64 {
    time.max(0).unsigned_abs()
}

/// Asks for the end of some recordings. One that was to begin where another ends at the next key
/// unit is called off, and the other ends now.
fn finish_those(session: &mut Session, shared: &Shared, chosen: impl Fn(&Open) -> bool) {
    let mut inner = shared.lock();
    for open in session.open.iter_mut().filter(|open| chosen(open)) {
        if !matches!(open.end, End::Now) {
            inner.ring.set_end(open.id, End::Now);
            open.end = End::Now;
            open.successor = None;
        }
        let _ = open.notices.send(Notice::Finishing);
    }
}
