// SPDX-License-Identifier: MIT OR Apache-2.0
//! The end of a recording in a container: a muxer and a file, and the same two again for the next
//! file. Which file a unit goes into says [`Plan`]; each file begins at 0.
//!
//! `splitmuxsink` does much of this. It waits without end for a stream that does not come, has no
//! answer to a change of format, and holds a group of pictures back, which a killed program loses.
//!
//! With several streams each has a queue on either side of the point where it waits for the others:
//! before it, so that upstream goes on; behind it, because a muxer takes a unit only when it has one
//! of every stream.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use gst::glib;
use gst::prelude::*;

use super::CAT;
use super::cut::{Ending, GRACE, Limits, Plan, Unit, Verdict};
use super::first::First;
use super::lane::{Lane, held_queue, running_time};
use super::tally::Current;
use crate::failure;
use crate::streams::bin::{guarded, have_it_waited_for, write_no_gaps};
use crate::streams::sentences::untimed;
use crate::streams::stamps::reordered;
use crate::streams::{self, MissingElement, entry, ogg, same_format, set_if_there};
use crate::sync::lock;

/// How far the file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum File {
    /// There is none, or the last one is complete.
    Closed,
    /// The states of muxer and sink are changing.
    Opening,
    Open,
    /// EOS is on its way through the muxer.
    Finishing,
    /// It could not be finished, or the recording is stopped.
    Over,
}

#[derive(Debug)]
struct State {
    plan: Plan,
    file: File,
}

/// Whether what waits to leave `source` is to be dropped.
fn flushes(source: &gst::Pad) -> bool {
    source.pad_flags().contains(gst::PadFlags::FLUSHING)
}

/// Whether a buffer has no more than headers, which are in the caps too, as of Theora or Vorbis. Those of H.264, H.265
/// and MPEG are in front of a picture.
fn is_header(source: &gst::Pad, buffer: &gst::BufferRef) -> bool {
    let is_flagged = buffer.flags().contains(gst::BufferFlags::HEADER);
    let are_there = |caps: gst::Caps| {
        let structure = caps.structure(0);
        structure.is_some_and(|it| it.has_field("streamheader")) && reordered(&caps).is_none()
    };
    is_flagged && source.current_caps().is_some_and(are_there)
}

/// What the recording is asked and told of.
pub(crate) trait Owner: Send + Sync + 'static {
    /// The name of the file that is about to be opened; what is wrong with it has been posted.
    fn next_file(&self, first: &First) -> Option<PathBuf>;
    /// The muxer and the sink that are to write it are about to start.
    fn prepare_file(
        &self,
        muxer: &gst::Element,
        sink: &gst::Element,
        name: &Path,
    ) -> Result<(), gst::ErrorMessage>;
    /// The sink has opened the file that the muxer writes.
    fn opened(&self, muxer: &gst::Element, sink: &gst::Element);
    /// The first file is open, and the element that the bin waited for in its place can go.
    fn began(&self, placeholder: &gst::Element);
    /// A file begins without this stream, which may have ended.
    fn is_without(&self, stream: &str, ended: bool);
    /// Pictures in a file need one that is in the file before.
    fn has_leading(&self);
    /// No stream has brought anything.
    fn is_empty(&self);
    /// A flush has taken so many frames of the stream that were on their way.
    fn flushed(&self, stream: &str, frames: u64);
    /// Another muxer like the first.
    fn make_muxer(&self) -> Result<gst::Element, gst::ErrorMessage>;
    /// Something went wrong.
    fn failed(&self, message: gst::ErrorMessage);
}

pub(crate) struct Muxed {
    bin: glib::WeakRef<gst::Bin>,
    /// Another one when other streams are in the file: muxers do not forget all of a pad that was
    /// taken away.
    muxer: Mutex<gst::Element>,
    sink: gst::Element,
    /// Of the file that is open.
    name: Mutex<PathBuf>,
    /// A sink that does not preroll, for the bin to wait for until the first file is open.
    placeholder: gst::Element,
    lanes: Vec<Lane>,
    /// How often the next key unit is asked for; 0: not at all.
    split_time: u64,
    /// Written by the streams' threads, by whoever brings the file's EOS or an error, and by whoever
    /// stops the recording.
    state: Mutex<State>,
    changed: Condvar,
    told_leading: AtomicBool,
    current: Arc<Mutex<Current>>,
    owner: Box<dyn Owner>,
}

impl std::fmt::Debug for Muxed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Muxed")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// What a recording in a container is made of.
pub(crate) struct Parts {
    pub bin: glib::WeakRef<gst::Bin>,
    pub muxer: gst::Element,
    pub sink: gst::Element,
    /// The streams' names, the video first.
    pub streams: Vec<String>,
    /// Whether streams have threads of their own: there are several, or a preview.
    pub threads: bool,
    pub limits: Limits,
    pub current: Arc<Mutex<Current>>,
    pub owner: Box<dyn Owner>,
}

impl Muxed {
    /// A muxer without a file as yet.
    ///
    /// # Errors
    /// When an element that it takes is not installed.
    pub(crate) fn new(parts: Parts) -> Result<Arc<Self>, MissingElement> {
        let Parts {
            bin,
            muxer,
            sink,
            limits,
            ..
        } = parts;
        // The pipeline waits for the file to be opened, and not for what is written to it.
        set_if_there(&sink, "async", "false");
        // A killed program loses what it has in memory.
        set_if_there(&sink, "buffer-mode", "unbuffered");
        let placeholder = streams::make("fakesink")?;
        let lanes = parts.streams.iter();
        let lanes = lanes.map(|name| Lane::new(name, parts.threads));
        let lanes = lanes.collect::<Result<Vec<_>, _>>()?;
        let plan = Plan::new(lanes.len(), limits).with_grace(GRACE);
        let muxed = Self {
            bin,
            muxer: Mutex::new(muxer),
            sink,
            name: Mutex::default(),
            placeholder,
            lanes,
            split_time: if limits.bytes == 0 { limits.time } else { 0 },
            state: Mutex::new(State {
                plan,
                file: File::Closed,
            }),
            changed: Condvar::new(),
            told_leading: AtomicBool::default(),
            current: parts.current,
            owner: parts.owner,
        };
        // Files are opened, and what was there destroyed, only when there is something to write.
        for element in muxed.file_elements() {
            element.set_locked_state(true);
        }
        Ok(Arc::new(muxed))
    }

    pub(crate) fn muxer(&self) -> gst::Element {
        lock(&self.muxer).clone()
    }

    /// What starts and stops with each file, from its end on.
    fn file_elements(&self) -> Vec<gst::Element> {
        let mut elements = vec![self.sink.clone(), self.muxer()];
        let queues = self.lanes.iter().filter_map(|lane| lane.queue.clone());
        elements.extend(queues);
        elements
    }

    /// What has to be in the bin when the recording begins.
    pub(crate) fn elements(&self) -> Vec<gst::Element> {
        let mut elements = self.file_elements();
        elements.push(self.placeholder.clone());
        elements
    }

    /// Links what is in the bin now, so that streams learn what the muxer takes.
    ///
    /// # Errors
    /// When the muxer's pad and the file's do not fit.
    pub(crate) fn link(&self) -> Result<(), glib::BoolError> {
        self.muxer().link(&self.sink)?;
        for lane in &self.lanes {
            self.join(lane);
        }
        Ok(())
    }

    /// Gives a stream a pad of the muxer, found as `splitmuxsink` finds it. A stream without one is
    /// refused when its caps come.
    fn join(&self, lane: &Lane) {
        let muxer = self.muxer();
        let templates = [&format!("{}_%u", lane.name), &lane.name, "sink_%d", "sink"];
        let pad = templates.into_iter().find_map(|template| {
            let pad = muxer.request_pad_simple(template);
            pad.or_else(|| muxer.static_pad(template))
        });
        if let Some(pad) = &pad {
            have_it_waited_for(pad);
            write_no_gaps(pad);
        }
        let source = lane.queue.as_ref().and_then(|q| q.static_pad("src"));
        if let (Some(source), Some(pad)) = (source, &pad)
            && let Err(err) = source.link(pad)
        {
            gst::warning!(CAT, "{} and the muxer do not fit: {err}", lane.name);
        }
        *lock(&lane.pad) = pad;
    }

    /// Has a muxer with the streams that the next file has, between files.
    fn choose_streams(&self) -> Result<(), gst::ErrorMessage> {
        let wanted = |number| lock(&self.state).plan.in_file(number);
        let as_before = |(number, lane): (usize, &Lane)| wanted(number) == lane.has_place();
        let is_new = self.lanes.len() < 2 || lock(&self.state).plan.file() < 2;
        let goes_on = is_new || ogg::can_go_on(&self.muxer());
        if goes_on && self.lanes.iter().enumerate().all(as_before) {
            return Ok(());
        }
        let bin = self.bin.upgrade();
        let bin =
            bin.ok_or_else(|| gst::error_msg!(gst::CoreError::StateChange, ("The bin is gone")))?;
        let muxer = self.owner.make_muxer()?;
        let old = std::mem::replace(&mut *lock(&self.muxer), muxer.clone());
        for lane in &self.lanes {
            *lock(&lane.pad) = None;
        }
        // Its links go with it.
        entry::discard(&bin, &old);
        muxer.set_locked_state(true);
        bin.add(&muxer)
            .and_then(|()| muxer.link(&self.sink))
            .map_err(|err| gst::error_msg!(gst::CoreError::Failed, ("No muxer fits: {err}")))?;
        for (number, lane) in self.lanes.iter().enumerate() {
            if wanted(number) {
                self.join(lane);
            }
        }
        Ok(())
    }

    fn number(&self, name: &str) -> Option<usize> {
        self.lanes.iter().position(|lane| lane.name == name)
    }

    /// The pad that a stream leads to; `None` if the muxer has no place for it.
    pub(crate) fn pad(&self, name: &str) -> Option<gst::Pad> {
        let lane = self.lanes.get(self.number(name)?)?;
        lock(&lane.pad).as_ref()?;
        lane.entry()
    }

    /// The queue in which a stream waits for the others, where it has a thread of its own.
    ///
    /// # Errors
    /// When it is not installed.
    pub(crate) fn waiting_queue(
        self: &Arc<Self>,
        name: &str,
    ) -> Result<Option<gst::Element>, MissingElement> {
        let number = self.number(name);
        let Some(number) = number.filter(|number| self.lanes[*number].queue.is_some()) else {
            return Ok(None);
        };
        let queue = held_queue()?;
        if let Some(sink) = queue.static_pad("sink") {
            // They would wait in it behind what waits for other streams, and a microphone with them.
            sink.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, |_, info| {
                match info.query().is_some_and(gst::QueryRef::is_serialized) {
                    true => gst::PadProbeReturn::Drop,
                    false => gst::PadProbeReturn::Ok,
                }
            });
            let weak = Arc::downgrade(self);
            sink.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
                if let (Some(muxed), Some(buffer)) = (weak.upgrade(), info.buffer())
                    && let Some(time) = running_time(pad, buffer)
                    && lock(&muxed.state).plan.reaches(number, time)
                {
                    muxed.changed.notify_all();
                }
                gst::PadProbeReturn::Ok
            });
        }
        let weak = Arc::downgrade(self);
        queue.connect("overrun", false, move |_| {
            if let Some(muxed) = weak.upgrade() {
                muxed.tell(|plan| plan.fill(number));
            }
            None
        });
        Ok(Some(queue))
    }

    /// Has what comes to `pad`, in front of encoders and queues, told of if it does not come out of them.
    pub(crate) fn count_under_way(self: &Arc<Self>, name: &str, pad: &gst::Pad) {
        let Some(number) = self.number(name) else {
            return;
        };
        let weak = Arc::downgrade(self);
        let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
        pad.add_probe(kinds, move |_, info| {
            let list = info.buffer_list();
            let frames = list.map_or(1, |list| list.len());
            let first = list
                .and_then(|list| list.get(0))
                .or(info.buffer().map(|it| it.as_ref()));
            if let Some(muxed) = weak.upgrade() {
                muxed.lanes[number].enters(frames, first.and_then(|first| first.pts()));
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// The file that is open.
    pub(crate) fn location(&self) -> PathBuf {
        lock(&self.name).clone()
    }

    /// The next key unit begins the next file.
    pub(crate) fn split(&self) {
        lock(&self.state).plan.split();
    }

    fn tell<T>(&self, change: impl FnOnce(&mut Plan) -> T) -> T {
        let answer = change(&mut lock(&self.state).plan);
        self.changed.notify_all();
        answer
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        match state.plan.ask_again_in() {
            None => self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner),
            Some(time) => {
                let waited = self.changed.wait_timeout(state, time);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }

    /// Has what leaves `source` for the file wait for its turn, and cut into files.
    pub(crate) fn cut(self: &Arc<Self>, name: &str, source: &gst::Pad) {
        let Some(number) = self.number(name) else {
            return;
        };
        self.lanes[number].leaves(source);
        // The pad may be one that stays for the next recording, which has another muxer.
        let muxed = Arc::downgrade(self);
        let kinds = gst::PadProbeType::EVENT_DOWNSTREAM
            | gst::PadProbeType::EVENT_FLUSH
            | gst::PadProbeType::BUFFER
            | gst::PadProbeType::BUFFER_LIST
            | gst::PadProbeType::QUERY_DOWNSTREAM;
        source.add_probe(kinds, move |source, info| {
            let Some(muxed) = muxed.upgrade() else {
                return gst::PadProbeReturn::Remove;
            };
            let Some(bin) = muxed.bin.upgrade() else {
                return gst::PadProbeReturn::Remove;
            };
            guarded(&bin, gst::PadProbeReturn::Handled, || {
                muxed.arrived(number, source, info)
            })
        });
    }

    fn arrived(
        &self,
        number: usize,
        source: &gst::Pad,
        info: &mut gst::PadProbeInfo<'_>,
    ) -> gst::PadProbeReturn {
        if let Some(mut buffer) = info.take_buffer() {
            if is_header(source, &buffer) {
                // The file has them from the caps. They are no frames, and have no time that it could begin at.
                return gst::PadProbeReturn::Handled;
            }
            self.lanes[number].complete(&mut buffer);
            if buffer.pts().is_none() {
                self.untimed(number);
                info.flow_res = Err(failure::POSTED);
                return gst::PadProbeReturn::Handled;
            }
            info.flow_res = self.write(number, source, buffer);
            return gst::PadProbeReturn::Handled;
        }
        match &info.data {
            Some(gst::PadProbeData::Event(event)) => self.event(number, source, event),
            Some(gst::PadProbeData::BufferList(list)) => {
                info.flow_res = list
                    .iter_owned()
                    .try_fold(gst::FlowSuccess::Ok, |_, buffer| {
                        self.write(number, source, buffer)
                    });
                gst::PadProbeReturn::Handled
            }
            Some(gst::PadProbeData::Query(_)) => self.query(number, info),
            _ => gst::PadProbeReturn::Ok,
        }
    }

    /// The muxer does not take the caps that a stream has.
    fn refused(&self, number: usize, source: &gst::Pad) {
        let caps = source.current_caps();
        let caps = caps.map_or_else(|| "a stream without caps".into(), |caps| caps.to_string());
        let muxer = self.muxer().factory();
        let muxer = muxer.map_or_else(|| "The muxer".into(), |factory| factory.name());
        self.owner.failed(gst::error_msg!(
            gst::StreamError::Mux,
            (
                "{muxer} does not take the {} as it is, {caps}: choose another extension, or give raw {0} to have it \
                 encoded",
                self.lanes[number].name
            )
        ));
    }

    /// A muxer leaves out what has no time, without a word.
    fn untimed(&self, number: usize) {
        self.owner.failed(untimed(&self.lanes[number].name, false));
    }

    /// Hands a unit to the file, once it is its turn. The pad would not push what it has if it is flushed meanwhile.
    fn write(
        &self,
        number: usize,
        source: &gst::Pad,
        mut buffer: gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let lane = &self.lanes[number];
        self.admit(number, source, &mut buffer)?;
        let entry = lane.entry().ok_or(gst::FlowError::NotLinked)?;
        lane.arrives();
        entry.chain(buffer)
    }

    fn query(&self, number: usize, info: &mut gst::PadProbeInfo<'_>) -> gst::PadProbeReturn {
        let Some(query) = info.query_mut() else {
            return gst::PadProbeReturn::Ok;
        };
        let is_serialized = query.is_serialized();
        match query.view_mut() {
            // The muxer of this file takes the format that it has. Another one begins another file.
            gst::QueryViewMut::Caps(query) => match self.lanes[number].takes() {
                Some(takes) => {
                    let filter = query.filter_owned();
                    let mode = gst::CapsIntersectMode::First;
                    let takes = filter.map_or(takes.clone(), |filter| {
                        filter.intersect_with_mode(&takes, mode)
                    });
                    query.set_result(&takes);
                    gst::PadProbeReturn::Handled
                }
                None => gst::PadProbeReturn::Ok,
            },
            // A muxer answers these in its turn, and may have none while no file is open.
            _ if is_serialized => gst::PadProbeReturn::Drop,
            _ => gst::PadProbeReturn::Ok,
        }
    }

    fn event(
        &self,
        number: usize,
        source: &gst::Pad,
        event: &gst::EventRef,
    ) -> gst::PadProbeReturn {
        let lane = &self.lanes[number];
        match event.view() {
            // What the file has stays: a muxer would forget its streams, and filesink empty its file. Those that
            // wait here see that the pad flushes.
            gst::EventView::FlushStart(_) => {
                self.tell(|_| ());
                gst::PadProbeReturn::Handled
            }
            gst::EventView::FlushStop(_) => {
                let frames = lane.flushed();
                if frames > 0 {
                    self.owner.flushed(&lane.name, frames);
                }
                gst::PadProbeReturn::Handled
            }
            gst::EventView::Eos(_) => self.ended(number, source),
            view if event.type_().is_sticky() => {
                if let gst::EventView::Caps(caps) = view
                    && let Some(before) = &lock(&lane.told).caps
                    && !same_format(before, caps.caps())
                {
                    lock(&self.state).plan.change(number);
                }
                // The file is told of it with the next unit.
                lane.news.store(true, Ordering::Release);
                gst::PadProbeReturn::Handled
            }
            _ => {
                let plan = &lock(&self.state).plan;
                match plan.in_file(number) && lock(&lane.told).file == plan.file() {
                    true => gst::PadProbeReturn::Ok,
                    false => gst::PadProbeReturn::Handled,
                }
            }
        }
    }

    /// Waits until a unit may go into the file.
    fn admit(
        &self,
        number: usize,
        source: &gst::Pad,
        buffer: &mut gst::Buffer,
    ) -> Result<(), gst::FlowError> {
        let unit = Unit {
            start: running_time(source, buffer),
            key: !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT),
            bytes: buffer.size() as u64,
        };
        let mut waited = false;
        let mut state = lock(&self.state);
        loop {
            if flushes(source) {
                return Err(gst::FlowError::Flushing);
            }
            let version = state.plan.version();
            let verdict = state.plan.offer(number, unit);
            if state.plan.version() != version {
                self.changed.notify_all();
            }
            match verdict {
                Verdict::Pass => break,
                Verdict::Refuse => return Err(gst::FlowError::Flushing),
                // Asking has changed what is answered.
                Verdict::Wait if state.plan.version() != version => (),
                Verdict::Wait => {
                    waited = true;
                    self.lanes[number].waits_with(source, buffer);
                    state = self.wait(state);
                }
                Verdict::Open => {
                    drop(state);
                    waited = true;
                    self.lanes[number].waits_with(source, buffer);
                    self.next_file()?;
                    if number == 0 && self.split_time > 0 {
                        self.ask_for_key_unit(source, unit.start);
                    }
                    state = lock(&self.state);
                }
            }
        }
        let (file, origin) = (state.plan.file(), state.plan.origin());
        let counted = state.plan.is_counted(number);
        let leads = state.plan.leads(number, unit);
        drop(state);
        if leads && !self.told_leading.swap(true, Ordering::AcqRel) {
            self.owner.has_leading();
        }
        if waited {
            // A camera has only so many buffers.
            self.lanes[number].waiting();
        }
        let told = self.lanes[number].tell_file(source, file, origin);
        if told == Err(gst::FlowError::NotNegotiated) {
            self.refused(number, source);
            return Err(failure::POSTED);
        }
        told?;
        self.lanes[number].bring_into(source, buffer, file, origin);
        let duration = buffer.duration().map(gst::ClockTime::nseconds);
        lock(&self.current).add(running_time(source, buffer), duration, counted);
        Ok(())
    }

    /// Has an encoder make a key unit where the next file is to begin.
    fn ask_for_key_unit(&self, source: &gst::Pad, start: Option<u64>) {
        let at = start.and_then(|start| start.checked_add(self.split_time));
        let Some(at) = at.filter(|at| *at < u64::MAX) else {
            return;
        };
        let at = gst::ClockTime::from_nseconds(at);
        let event = gst_video::UpstreamForceKeyUnitEvent::builder()
            .running_time(at)
            .all_headers(true)
            .build();
        source.send_event(event);
    }

    /// A stream has ended.
    fn ended(&self, number: usize, source: &gst::Pad) -> gst::PadProbeReturn {
        self.end(number);
        let mut state = lock(&self.state);
        while state.plan.is_changing() && !flushes(source) {
            state = self.wait(state);
        }
        let (file, origin) = (state.plan.file(), state.plan.origin());
        let in_file = state.plan.in_file(number) && !state.plan.is_over();
        let ending = state.plan.ending(number);
        drop(state);
        if in_file && self.lanes[number].tell_file(source, file, origin).is_err() {
            return gst::PadProbeReturn::Handled;
        }
        match ending {
            Ending::Stream => gst::PadProbeReturn::Ok,
            Ending::Held => gst::PadProbeReturn::Handled,
            Ending::File => {
                self.end_file();
                gst::PadProbeReturn::Handled
            }
        }
    }

    /// Has the muxer complete the file.
    fn end_file(&self) {
        for lane in &self.lanes {
            if lock(&lane.pad).is_some()
                && let Some(entry) = lane.entry()
            {
                entry.send_event(gst::event::Eos::new());
            }
        }
    }

    /// A stream has ended before anything of it could be built.
    pub(crate) fn end_of(&self, name: &str) {
        if let Some(number) = self.number(name) {
            self.end(number);
            let over = {
                let plan = &lock(&self.state).plan;
                plan.is_over() || plan.file() == 0
            };
            if !over && lock(&self.state).plan.ending(number) == Ending::File {
                self.end_file();
            }
        }
    }

    fn end(&self, number: usize) {
        if self.tell(|plan| plan.end(number)) {
            self.owner.is_empty();
            // The file's sink will not say that this is the end: a bin asks all of its sinks.
            self.sink.unset_element_flags(gst::ElementFlags::SINK);
            if let Some(sink) = self.placeholder.static_pad("sink") {
                sink.send_event(gst::event::StreamStart::new("recordsink"));
                let segment = gst::FormattedSegment::<gst::ClockTime>::new();
                sink.send_event(gst::event::Segment::new(&segment));
                sink.send_event(gst::event::Eos::new());
            }
        }
    }

    /// Closes the file that is open and opens the next one, in a stream's thread.
    fn next_file(&self) -> Result<(), gst::FlowError> {
        let opened = self.close() && self.open();
        if !opened {
            // Whoever could not has posted why.
            self.tell(Plan::stop);
            return Err(gst::FlowError::Flushing);
        }
        let (file, origin, in_file) = {
            let plan = &lock(&self.state).plan;
            let in_file = (0..self.lanes.len()).map(|number| plan.in_file(number));
            (plan.file(), plan.origin(), in_file.collect::<Vec<_>>())
        };
        for (lane, _) in self
            .lanes
            .iter()
            .zip(in_file)
            .filter(|(_, in_file)| *in_file)
        {
            lane.introduce(file, origin);
        }
        self.tell(Plan::opened);
        Ok(())
    }

    /// What the file that is to be opened begins with.
    fn first(&self) -> First {
        let (start, came) = {
            let plan = &lock(&self.state).plan;
            let came = (0..self.lanes.len()).filter(|number| plan.in_file(*number));
            (plan.origin(), came.collect::<Vec<_>>())
        };
        let mut waiting = came.into_iter().map(|number| self.lanes[number].waiting());
        First {
            start: i64::try_from(start).ok(),
            sample: waiting.find_map(|sample| sample),
        }
    }

    fn open(&self) -> bool {
        let Some(location) = self.owner.next_file(&self.first()) else {
            return false;
        };
        let first = {
            let mut state = lock(&self.state);
            if state.file != File::Closed || state.plan.is_over() {
                return false;
            }
            state.file = File::Opening;
            state.plan.file() == 1
        };
        for (number, lane) in self.lanes.iter().enumerate() {
            let (came, ended) = {
                let plan = &lock(&self.state).plan;
                (plan.came(number), plan.stream_has_ended(number))
            };
            if !came && !lane.told_missing.swap(true, Ordering::AcqRel) {
                self.owner.is_without(&lane.name, ended);
            }
        }
        let prepared = self.choose_streams().and_then(|()| {
            let (muxer, sink) = (self.muxer(), &self.sink);
            self.owner.prepare_file(&muxer, sink, &location)
        });
        if let Err(message) = prepared {
            self.owner.failed(message);
            lock(&self.state).file = File::Over;
            self.changed.notify_all();
            return false;
        }
        *lock(&self.name) = location;
        let opened = self.file_elements().iter().try_for_each(entry::start);
        match opened {
            Ok(()) => self.owner.opened(&self.muxer(), &self.sink),
            Err(_) => self.shut_down(),
        }
        lock(&self.state).file = match opened {
            Ok(()) => File::Open,
            Err(_) => File::Over,
        };
        self.changed.notify_all();
        if opened.is_ok() && first {
            self.owner.began(&self.placeholder);
        }
        opened.is_ok()
    }

    /// Completes the file, if one is open; false when the recording is over with that.
    fn close(&self) -> bool {
        {
            let mut state = lock(&self.state);
            match state.file {
                File::Closed => return true,
                File::Open => state.file = File::Finishing,
                _ => return false,
            }
        }
        self.end_file();
        let mut state = lock(&self.state);
        while state.file == File::Finishing {
            state = self.wait(state);
        }
        if state.file != File::Closed {
            return false;
        }
        drop(state);
        self.shut_down();
        true
    }

    /// Stops what writes a file.
    fn shut_down(&self) {
        for element in self.file_elements() {
            element.set_locked_state(true);
            let _ = element.set_state(gst::State::Null);
        }
    }

    /// Whether `object` is what says that a file is complete.
    pub(crate) fn is_sink(&self, object: Option<&gst::Object>) -> bool {
        object == Some(self.sink.upcast_ref())
    }

    /// Whether all streams have ended, or no more files are made.
    pub(crate) fn has_ended(&self) -> bool {
        lock(&self.state).plan.has_ended()
    }

    /// Whether a stream has ended, or no more files are made.
    pub(crate) fn has_ended_of(&self, name: &str) -> bool {
        let plan = &lock(&self.state).plan;
        let number = self.number(name);
        plan.has_ended() || number.is_some_and(|number| plan.stream_has_ended(number))
    }

    /// It has said so; true when another file follows.
    pub(crate) fn goes_on(&self) -> bool {
        let mut state = lock(&self.state);
        match state.file {
            File::Finishing => {
                state.file = File::Closed;
                self.changed.notify_all();
            }
            File::Open if !state.plan.has_ended() => {
                drop(state);
                self.ended_by_the_muxer();
                return false;
            }
            _ => (),
        }
        state.file == File::Closed
    }

    /// The muxer has ended a file that there is more for, as `flvmux` does after 24 days.
    fn ended_by_the_muxer(&self) {
        let muxer = self.muxer().factory();
        let muxer = muxer.map_or_else(|| "The muxer".into(), |factory| factory.name());
        self.owner.failed(gst::error_msg!(
            gst::StreamError::Mux,
            (
                "{muxer} ended {} before its streams did: the format has no place for what comes now",
                self.location().display()
            )
        ));
    }

    /// An element has posted an error.
    pub(crate) fn failed(&self) {
        let mut state = lock(&self.state);
        if state.file == File::Finishing {
            state.file = File::Over;
        }
        state.plan.stop();
        self.changed.notify_all();
    }

    /// Lets go of the streams' threads, and opens no more files. Sinks that are started behind the
    /// back of a bin that stops would hold such a thread for ever.
    pub(crate) fn stop(&self) {
        let mut state = lock(&self.state);
        state.plan.stop();
        while state.file == File::Opening {
            state = self.wait(state);
        }
        state.file = File::Over;
        self.changed.notify_all();
    }
}
