// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pads, queues and whose turn it is. See the [module](super).

use std::collections::VecDeque;
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::Profile;
use super::caps::{self, PadFormat};
use super::session::{Session, SessionError, Start, Stats, picture_size};
use crate::avi::timeline::Rate;
use crate::avi::writer::{MAX_STREAMS, StreamFormat, Tags};

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "avimjpegmux",
        gst::DebugColorFlags::empty(),
        Some("Motion JPEG AVI muxer"),
    )
});

const DEFAULT_CHECKPOINT_INTERVAL: gst::ClockTime = gst::ClockTime::SECOND;

/// How far a pad may be ahead of one that is silent before that is not waited for any more.
const AHEAD: i64 = 1_000_000_000;

/// The same before the file is begun: a camera takes its time.
const AHEAD_AT_START: i64 = 10_000_000_000;

/// How long a pad has to be silent for that. Threads that are merely slow are not silent.
const SILENT: Duration = Duration::from_secs(1);

/// What the user set.
#[derive(Debug, Clone)]
struct Settings {
    profile: Profile,
    checkpoint_interval: gst::ClockTime,
    big_file: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            checkpoint_interval: DEFAULT_CHECKPOINT_INTERVAL,
            big_file: true,
        }
    }
}

/// What waits in a pad's queue.
#[derive(Debug)]
enum Item {
    Buffer {
        buffer: gst::Buffer,
        /// `None` if the buffer has no timestamp.
        running_time: Option<i64>,
        /// What it is sorted by: the running time, or that of the buffer before.
        order: i64,
    },
    Event(gst::Event),
}

/// A sink pad. Written by its streaming thread and by the writing one.
#[derive(Debug)]
struct SinkPad {
    pad: gst::Pad,
    is_video: bool,
    format: Option<PadFormat>,
    segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    queue: VecDeque<Item>,
    /// The running time up to which buffers came.
    newest: i64,
    /// The running time up to which there is nothing more to come.
    gap: i64,
    eos: bool,
    flushing: bool,
    /// When something came last.
    heard: Instant,
    /// Its number in the file.
    stream: Option<usize>,
}

impl SinkPad {
    fn new(pad: gst::Pad, is_video: bool) -> Self {
        Self {
            pad,
            is_video,
            format: None,
            segment: None,
            queue: VecDeque::new(),
            newest: i64::MIN,
            gap: i64::MIN,
            eos: false,
            flushing: false,
            heard: Instant::now(),
            stream: None,
        }
    }

    /// Forgets the stream, not its format.
    fn reset(&mut self) {
        *self = Self {
            format: self.format,
            ..Self::new(self.pad.clone(), self.is_video)
        };
    }

    /// The running time of the first buffer that waits.
    fn head(&self) -> Option<i64> {
        self.queue.iter().find_map(|item| match item {
            Item::Buffer { order, .. } => Some(*order),
            Item::Event(_) => None,
        })
    }

    /// How far the queue reaches ahead of its first buffer.
    fn span(&self) -> i64 {
        self.head()
            .map_or(0, |head| self.newest.saturating_sub(head))
    }

    /// The rate of frames, as far as caps or frames tell.
    fn rate(&self) -> Option<Rate> {
        if let Some(PadFormat::Video {
            rate: Some(rate), ..
        }) = self.format
        {
            return Some(rate);
        }
        let mut buffers = self.queue.iter().filter_map(|item| match item {
            Item::Buffer {
                buffer,
                running_time,
                ..
            } => Some((buffer, *running_time)),
            Item::Event(_) => None,
        });
        let (first, time) = buffers.next()?;
        let step = first.duration().filter(|d| !d.is_zero()).or_else(|| {
            let (_, next) = buffers.next()?;
            let step = u64::try_from(next?.checked_sub(time?)?).ok()?;
            (step > 0).then_some(gst::ClockTime::from_nseconds(step))
        })?;
        gst_video::guess_framerate(step)
            .and_then(|rate| {
                Rate::new(rate.numer().try_into().ok()?, rate.denom().try_into().ok()?)
            })
            .or_else(|| {
                let micro = step.useconds().clamp(1, u32::MAX.into()) as u32;
                Rate::new(1_000_000, micro)
            })
    }
}

/// What the streams made. Everything here is behind one mutex; whoever changes what another
/// thread may wait for notifies the condition.
#[derive(Debug, Default)]
struct State {
    pads: Vec<SinkPad>,
    /// The file being written, unless a thread has it (see `busy`).
    session: Option<Box<Session>>,
    /// A thread is writing. It looks for more to write before it stops.
    busy: bool,
    started: bool,
    finished: bool,
    /// Once writing failed: what every pad answers.
    failed: Option<gst::FlowError>,
    /// Tags from upstream.
    tags: gst::TagList,
    stats: Stats,
    /// Threads that wait for `changed`. Waking none costs a system call too.
    waiting: usize,
    /// What the user set, as it was when the file was begun.
    settings: Settings,
}

/// What there is to do next.
enum Work {
    Start(Box<Start>),
    Buffer(usize, gst::Buffer, Option<i64>),
    Event(gst::Event),
    Finish,
}

/// Why there is nothing to do.
enum Idle {
    /// Something has to come first.
    Waiting,
    /// A pad is silent, and is waited for until then at most.
    Until(Instant),
}

#[derive(Debug)]
pub struct AviMjpegMux {
    src: gst::Pad,
    settings: Mutex<Settings>,
    state: Mutex<State>,
    changed: Condvar,
}

/// Lets go of the writing thread's part when that panics, so that no other waits for it.
struct Panicking<'a>(&'a AviMjpegMux);

impl Drop for Panicking<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.busy = false;
        state.failed = Some(gst::FlowError::Error);
        drop(state);
        self.0.changed.notify_all();
    }
}

/// A lock that a panic elsewhere does not spoil: the state is consistent between statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl State {
    /// How far a pad may be ahead of a silent one, in nanoseconds: a second, or three frames.
    fn ahead(&self) -> i64 {
        if !self.started {
            return AHEAD_AT_START;
        }
        let frames = self.pads.iter().filter_map(|pad| match pad.format {
            Some(PadFormat::Video { rate, .. }) => Some(rate?.time_of(3) as i64),
            _ => None,
        });
        frames.fold(AHEAD, i64::max)
    }

    /// The pad whose buffer is next, if that is certain.
    fn turn(&self, now: Instant) -> Result<Option<usize>, Idle> {
        let ahead = self.ahead();
        let waiting = self
            .pads
            .iter()
            .enumerate()
            .filter(|(_, pad)| pad.stream.is_some());
        let key = |(n, pad): &(usize, &SinkPad)| pad.head().map(|head| (head, pad.stream, *n));
        let Some((head, _, next)) = waiting.clone().filter_map(|pad| key(&pad)).min() else {
            return if waiting.clone().all(|(_, pad)| pad.eos) {
                Ok(None)
            } else {
                Err(Idle::Waiting)
            };
        };
        let newest = waiting
            .clone()
            .map(|(_, pad)| pad.newest)
            .max()
            .unwrap_or(head);
        for (_, pad) in waiting {
            if pad.eos || pad.gap >= head || pad.head().is_some() {
                continue;
            }
            if newest.saturating_sub(head) <= ahead {
                return Err(Idle::Waiting);
            }
            if now < pad.heard + SILENT {
                return Err(Idle::Until(pad.heard + SILENT));
            }
        }
        Ok(Some(next))
    }
}

impl AviMjpegMux {
    /// What to do next.
    fn next_work(&self, state: &mut State) -> Result<Work, Idle> {
        if state.failed.is_some() || state.finished {
            return Err(Idle::Waiting);
        }
        if !state.started {
            let settings = state.settings.clone();
            return self.try_start(state, &settings);
        }
        for pad in &mut state.pads {
            if let Some(Item::Event(_)) = pad.queue.front()
                && let Some(Item::Event(event)) = pad.queue.pop_front()
            {
                return Ok(Work::Event(event));
            }
        }
        let Some(next) = state.turn(Instant::now())? else {
            return Ok(Work::Finish);
        };
        let pad = &mut state.pads[next];
        match (pad.stream, pad.queue.pop_front()) {
            (
                Some(stream),
                Some(Item::Buffer {
                    buffer,
                    running_time,
                    ..
                }),
            ) => Ok(Work::Buffer(stream, buffer, running_time)),
            (_, Some(Item::Event(event))) => Ok(Work::Event(event)),
            _ => Err(Idle::Waiting),
        }
    }

    /// Begins the file when it is known what it will have.
    fn try_start(&self, state: &mut State, settings: &Settings) -> Result<Work, Idle> {
        if state.pads.iter().all(|pad| pad.eos && pad.head().is_none()) {
            return if state.pads.is_empty() {
                Err(Idle::Waiting)
            } else {
                Ok(Work::Finish)
            };
        }
        let span = |pad: &SinkPad| pad.span();
        let far_ahead = state.pads.iter().map(span).max() >= Some(AHEAD_AT_START);
        let now = Instant::now();
        for pad in &state.pads {
            let has_head = pad.head().is_some() && (!pad.is_video || pad.rate().is_some());
            let is_ready = pad.eos || has_head || (pad.format.is_some() && pad.gap > i64::MIN);
            if is_ready || !pad.pad.is_linked() {
                continue;
            }
            // The K210's file begins with a frame, however long that takes.
            let patient = settings.profile == Profile::K210 && pad.is_video;
            if !far_ahead || patient {
                return Err(Idle::Waiting);
            }
            if now < pad.heard + SILENT {
                return Err(Idle::Until(pad.heard + SILENT));
            }
        }
        Ok(Work::Start(Box::new(self.prepare(state, settings))))
    }

    /// Numbers the streams, video first, and collects what the head of the file says.
    fn prepare(&self, state: &mut State, settings: &Settings) -> Start {
        let mut order: Vec<usize> = (0..state.pads.len()).collect();
        order.sort_by_key(|n| !state.pads[*n].is_video);
        let (mut formats, mut first) = (Vec::new(), Vec::new());
        for n in order {
            let pad = &mut state.pads[n];
            let rate = pad.rate();
            let head = pad.queue.iter().find_map(|item| match item {
                Item::Buffer { buffer, .. } => Some(buffer),
                Item::Event(_) => None,
            });
            let format = match pad.format {
                Some(PadFormat::Video { size, .. }) => size
                    .or_else(|| head.and_then(|buffer| picture_size(buffer)))
                    .map(|(width, height)| StreamFormat::Video {
                        width,
                        height,
                        rate: rate.unwrap_or(Rate::PAL),
                    }),
                Some(PadFormat::Audio(format)) => Some(StreamFormat::Audio(format)),
                None => None,
            };
            let Some(format) = format else {
                if pad.pad.is_linked() {
                    gst::element_imp_warning!(
                        self,
                        gst::StreamError::Mux,
                        (
                            "Pad {} had nothing to say what it has; the file is without it.",
                            pad.pad.name()
                        )
                    );
                }
                continue;
            };
            pad.stream = Some(formats.len());
            formats.push(format);
            first.push(pad.head());
        }
        state.started = true;
        Start {
            element: self.obj().clone(),
            pad: self.src.clone(),
            profile: settings.profile,
            big_file: settings.big_file,
            checkpoint_interval: settings.checkpoint_interval.nseconds(),
            tags: self.tags(&state.tags),
            formats,
            first,
        }
    }

    /// What the file's `INFO` says: the application's tags and the streams', as the tag setter's
    /// merge mode has it.
    fn tags(&self, streams: &gst::TagList) -> Tags {
        let element = self.obj();
        let setter = element.upcast_ref::<gst::Element>();
        let setter = setter.dynamic_cast_ref::<gst::TagSetter>();
        let tags = match setter.map(|setter| (setter.tag_list(), setter.tag_merge_mode())) {
            Some((Some(own), mode)) => own.merge(streams, mode),
            _ => streams.clone(),
        };
        let date = tags
            .get::<gst::tags::DateTime>()
            .and_then(|date| date.get().to_iso8601_string().ok())
            .map(|date| date.to_string());
        let software = concat!("gst-plugin-kendryte ", env!("CARGO_PKG_VERSION"));
        Tags {
            title: text::<gst::tags::Title>(&tags),
            artist: text::<gst::tags::Artist>(&tags),
            date: date.unwrap_or_default(),
            software: Some(text::<gst::tags::ApplicationName>(&tags))
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| software.into()),
            comment: text::<gst::tags::Comment>(&tags),
        }
    }

    /// Writes what can be written, unless another thread does.
    fn drain<'a>(&'a self, mut state: MutexGuard<'a, State>) -> (MutexGuard<'a, State>, Idle) {
        if state.busy {
            return (state, Idle::Waiting);
        }
        state.busy = true;
        let idle = loop {
            let work = match self.next_work(&mut state) {
                Ok(work) => work,
                Err(idle) => break idle,
            };
            let session = state.session.take();
            let finished = matches!(work, Work::Finish);
            drop(state);
            let panicking = Panicking(self);
            let (session, result) = self.work(session, work);
            std::mem::forget(panicking);
            state = lock(&self.state);
            if let Some(session) = &session {
                state.stats = session.stats;
            }
            state.session = session;
            state.finished |= finished;
            if let Err(flow) = result {
                state.failed = Some(flow);
            }
            self.wake(&state);
        };
        state.busy = false;
        self.wake(&state);
        (state, idle)
    }

    /// Wakes the threads that wait for a change.
    fn wake(&self, state: &State) {
        if state.waiting > 0 {
            self.changed.notify_all();
        }
    }

    /// Waits for a change, for no longer than `limit` if there is one.
    fn wait<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        limit: Option<Duration>,
    ) -> MutexGuard<'a, State> {
        state.waiting += 1;
        let mut state = match limit {
            Some(limit) => {
                self.changed
                    .wait_timeout(state, limit)
                    .unwrap_or_else(|poisoned| poisoned.into_inner())
                    .0
            }
            None => self
                .changed
                .wait(state)
                .unwrap_or_else(|poisoned| poisoned.into_inner()),
        };
        state.waiting -= 1;
        state
    }

    /// Does some work, without a lock.
    fn work(
        &self,
        session: Option<Box<Session>>,
        work: Work,
    ) -> (Option<Box<Session>>, Result<(), gst::FlowError>) {
        let mut session = session;
        let result = match (work, &mut session) {
            (Work::Start(start), _) => match Session::start(*start) {
                Ok(started) => {
                    session = Some(Box::new(started));
                    Ok(())
                }
                Err(error) => Err(error),
            },
            (Work::Buffer(stream, buffer, time), Some(session)) => {
                session.buffer(stream, buffer, time)
            }
            (Work::Event(event), Some(session)) => {
                session.event(event);
                Ok(())
            }
            (Work::Finish, session) => {
                let result = session.as_mut().map_or(Ok(()), |session| session.finish());
                if result.is_ok() {
                    self.src.push_event(gst::event::Eos::new());
                }
                result
            }
            (_, None) => Ok(()),
        };
        let result = result.map_err(|error| self.fail(session.as_deref_mut(), error));
        (session, result)
    }

    /// Makes a file of what is there, then tells why it ends.
    fn fail(&self, session: Option<&mut Session>, error: SessionError) -> gst::FlowError {
        gst::debug!(CAT, imp = self, "{error}");
        if let SessionError::Flow(flow) = error {
            if flow == gst::FlowError::Error
                && let Some(session) = session
            {
                session.salvage();
            }
            return flow;
        }
        if let Some(session) = session
            && session.finish().is_ok()
        {
            self.src.push_event(gst::event::Eos::new());
        }
        match error {
            SessionError::Full(_) => {
                gst::element_imp_error!(self, gst::ResourceError::NoSpaceLeft, ("{error}"));
            }
            SessionError::Frame { .. } => {
                gst::element_imp_error!(self, gst::StreamError::Format, ("{error}"));
            }
            _ => gst::element_imp_error!(self, gst::StreamError::Mux, ("{error}")),
        }
        gst::FlowError::Error
    }

    fn chain(
        &self,
        pad: &gst::Pad,
        buffer: gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let mut state = lock(&self.state);
        if let Some(failed) = state.failed {
            return Err(failed);
        }
        let started = state.started;
        let Some(n) = state.pads.iter().position(|sink| sink.pad == *pad) else {
            return Err(gst::FlowError::Error);
        };
        let sink = &mut state.pads[n];
        if sink.flushing {
            return Err(gst::FlowError::Flushing);
        }
        if sink.eos || state.finished {
            return Err(gst::FlowError::Eos);
        }
        let sink = &mut state.pads[n];
        if sink.format.is_none() {
            drop(state);
            gst::element_imp_error!(
                self,
                gst::CoreError::Negotiation,
                ("Data came on pad {} before caps.", pad.name())
            );
            return Err(gst::FlowError::NotNegotiated);
        }
        if started && sink.stream.is_none() {
            drop(state);
            gst::element_imp_error!(
                self,
                gst::StreamError::Mux,
                (
                    "Pad {} came when the file was already begun; all streams of an AVI file \
                     are named in its head. Link it before the pipeline starts.",
                    pad.name()
                )
            );
            return Err(gst::FlowError::Error);
        }
        let time = buffer.pts().or(buffer.dts());
        let running_time = sink.segment.as_ref().zip(time).and_then(|(segment, time)| {
            Some(match segment.to_running_time_full(time)? {
                gst::Signed::Positive(time) => time.nseconds() as i64,
                gst::Signed::Negative(time) => -(time.nseconds() as i64),
            })
        });
        let order = running_time.unwrap_or(sink.newest.max(0));
        let duration = buffer
            .duration()
            .map_or(0, |duration| duration.nseconds() as i64);
        sink.newest = sink.newest.max(order.saturating_add(duration));
        sink.heard = Instant::now();
        sink.queue.push_back(Item::Buffer {
            buffer,
            running_time,
            order,
        });
        self.settle(state, n)
    }

    /// Writes what can be written, and holds a thread back that is far ahead of the others.
    fn settle<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        n: usize,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let pad = state.pads[n].pad.clone();
        loop {
            let idle;
            (state, idle) = self.drain(state);
            if let Some(failed) = state.failed {
                return Err(failed);
            }
            let Some(sink) = state.pads.iter().find(|sink| sink.pad == pad) else {
                return Err(gst::FlowError::Flushing);
            };
            if sink.flushing {
                return Err(gst::FlowError::Flushing);
            }
            if sink.span() <= state.ahead() || state.finished {
                return Ok(gst::FlowSuccess::Ok);
            }
            let limit = match idle {
                Idle::Until(time) => Some(time.saturating_duration_since(Instant::now())),
                Idle::Waiting => None,
            };
            state = self.wait(state, limit);
        }
    }

    fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        use gst::EventView;

        gst::log!(CAT, obj = pad, "{event:?}");
        match event.view() {
            EventView::Caps(caps) => self.set_caps(pad, &caps.caps_owned()),
            EventView::Segment(segment) => {
                let Some(segment) = segment.segment().downcast_ref::<gst::ClockTime>() else {
                    gst::element_imp_error!(
                        self,
                        gst::StreamError::Mux,
                        (
                            "Pad {} has no timestamps: its segment is in {:?}.",
                            pad.name(),
                            segment.segment().format()
                        )
                    );
                    return false;
                };
                self.with_pad(pad, |sink| sink.segment = Some(segment.clone()));
                true
            }
            EventView::Tag(tag) => {
                let mut state = lock(&self.state);
                state.tags = state.tags.merge(tag.tag(), gst::TagMergeMode::Keep);
                true
            }
            EventView::Gap(gap) => {
                let (start, duration) = gap.get();
                let end = start + duration.unwrap_or_default();
                self.with_pad(pad, |sink| {
                    let time = sink.segment.as_ref().and_then(|s| s.to_running_time(end));
                    let time = time.map_or(0, |time| time.nseconds() as i64);
                    sink.gap = sink.gap.max(time);
                    sink.heard = Instant::now();
                });
                let _ = self.drain(lock(&self.state));
                true
            }
            EventView::Eos(_) => {
                self.with_pad(pad, |sink| sink.eos = true);
                let (state, _) = self.drain(lock(&self.state));
                self.changed.notify_all();
                state.failed.is_none()
            }
            EventView::FlushStart(_) => {
                self.with_pad(pad, |sink| sink.flushing = true);
                self.changed.notify_all();
                self.src.push_event(event)
            }
            EventView::FlushStop(_) => {
                // Downstream forgets what it has of the file, so the next one begins anew.
                let mut state = lock(&self.state);
                while state.busy {
                    state = self.wait(state, None);
                }
                if let Some(sink) = state.pads.iter_mut().find(|sink| sink.pad == *pad) {
                    sink.reset();
                }
                for sink in &mut state.pads {
                    sink.stream = None;
                }
                state.session = None;
                state.started = false;
                state.finished = false;
                state.failed = None;
                drop(state);
                self.src.push_event(event)
            }
            EventView::CustomDownstream(_) | EventView::CustomDownstreamSticky(_) => {
                self.with_pad(pad, |sink| sink.queue.push_back(Item::Event(event.clone())));
                let _ = self.drain(lock(&self.state));
                true
            }
            EventView::CustomDownstreamOob(_) | EventView::CustomBothOob(_) => {
                self.src.push_event(event)
            }
            EventView::CustomBoth(_) => {
                self.with_pad(pad, |sink| sink.queue.push_back(Item::Event(event.clone())));
                let _ = self.drain(lock(&self.state));
                true
            }
            // What else there is tells of one stream, not of a file of them.
            _ => true,
        }
    }

    fn with_pad(&self, pad: &gst::Pad, change: impl FnOnce(&mut SinkPad)) {
        let mut state = lock(&self.state);
        if let Some(sink) = state.pads.iter_mut().find(|sink| sink.pad == *pad) {
            change(sink);
        }
    }

    fn set_caps(&self, pad: &gst::Pad, caps: &gst::Caps) -> bool {
        gst::debug!(CAT, obj = pad, "caps {caps}");
        let is_video = is_video(pad);
        let format = if is_video {
            caps::video_format(caps)
        } else {
            caps::audio_format(caps)
        };
        let format = match format {
            Ok(format) => format,
            Err(error) => {
                gst::element_imp_error!(
                    self,
                    gst::StreamError::Format,
                    ("Pad {}: {error}.", pad.name())
                );
                return false;
            }
        };
        let profile = lock(&self.settings).profile;
        if !is_video && !caps.is_subset(&caps::audio_template(profile)) {
            gst::element_imp_error!(
                self,
                gst::StreamError::Format,
                ("The K210 plays sound of one or two channels in S16LE only; convert {caps} with \
                  audioconvert.")
            );
            return false;
        }
        let mut state = lock(&self.state);
        let Some(sink) = state.pads.iter_mut().find(|sink| sink.pad == *pad) else {
            return false;
        };
        let in_use = sink.stream.is_some() || !sink.queue.is_empty();
        if let (Some(old), true) = (sink.format, in_use) {
            if old.continues(&format) {
                return true;
            }
            drop(state);
            gst::element_imp_error!(
                self,
                gst::StreamError::Format,
                (
                    "The format of pad {} changed to {caps}; a stream of an AVI file has one \
                     format. Convert it to the first, or begin another file.",
                    pad.name()
                )
            );
            return false;
        }
        sink.format = Some(format);
        sink.heard = Instant::now();
        true
    }

    fn sink_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        if let gst::QueryViewMut::Caps(caps) = query.view_mut() {
            let profile = lock(&self.settings).profile;
            let accepted = if is_video(pad) {
                caps::video_template()
            } else {
                caps::audio_template(profile)
            };
            let accepted = match caps.filter() {
                Some(filter) => {
                    filter.intersect_with_mode(&accepted, gst::CapsIntersectMode::First)
                }
                None => accepted,
            };
            caps.set_result(&accepted);
            return true;
        }
        gst::Pad::query_default(pad, Some(&*self.obj()), query)
    }

    fn src_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        if let gst::EventView::Seek(_) = event.view() {
            // What is written is written.
            return false;
        }
        gst::Pad::event_default(pad, Some(&*self.obj()), event)
    }

    /// Forgets the file and all that waits.
    fn reset(&self) {
        let mut state = lock(&self.state);
        for sink in &mut state.pads {
            sink.reset();
            sink.format = None;
        }
        *state = State {
            pads: std::mem::take(&mut state.pads),
            stats: state.stats,
            waiting: state.waiting,
            settings: lock(&self.settings).clone(),
            ..State::default()
        };
    }
}

fn is_video(pad: &gst::Pad) -> bool {
    pad.pad_template()
        .is_some_and(|template| template.name_template() == "video_%u")
}

/// The first text of a tag.
fn text<'a, T: gst::Tag<'a, TagType = &'a str>>(tags: &'a gst::TagList) -> String {
    tags.get::<T>()
        .map(|tag| tag.get().to_owned())
        .unwrap_or_default()
}

#[glib::object_subclass]
impl ObjectSubclass for AviMjpegMux {
    const NAME: &'static str = "GstAviMjpegMux";
    type Type = super::AviMjpegMux;
    type ParentType = gst::Element;
    type Interfaces = (gst::TagSetter,);

    fn with_class(class: &Self::Class) -> Self {
        let template = class
            .pad_template("src")
            .expect("the template is in the class");
        let src = gst::Pad::builder_from_template(&template)
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |mux| mux.src_event(pad, event))
            })
            .flags(gst::PadFlags::FIXED_CAPS)
            .build();
        Self {
            src,
            settings: Mutex::default(),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }
}

impl ObjectImpl for AviMjpegMux {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            vec![
                glib::ParamSpecEnum::builder_with_default("profile", Profile::default())
                    .nick("Profile")
                    .blurb(
                        "Whom the file is for: any player, or MaixPy's player on the K210 as well, \
                         whose limits are then kept (default: standard)",
                    )
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt64::builder("checkpoint-interval")
                    .nick("Checkpoint interval")
                    .blurb(
                        "Time between two checkpoints, in nanoseconds of stream time; at each \
                         the file is brought up to date in place, if the sink can seek (0: never; \
                         default: 1 s)",
                    )
                    .default_value(DEFAULT_CHECKPOINT_INTERVAL.nseconds())
                    .mutable_ready()
                    .build(),
                glib::ParamSpecBoolean::builder("big-file")
                    .nick("Big file")
                    .blurb(
                        "Whether to write OpenDML indexes and files beyond 2 GiB; without them, \
                         and in the k210 profile, the file ends there (default: true)",
                    )
                    .default_value(true)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                    .nick("Statistics")
                    .blurb(
                        "What was written: frames, repeated, missing and dropped ones, samples of \
                         silence and skipped ones, bytes of the file, checkpoints (all guint64)",
                    )
                    .read_only()
                    .build(),
            ]
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = lock(&self.settings);
        match pspec.name() {
            "profile" => settings.profile = value.get().expect("checked by GObject"),
            "checkpoint-interval" => {
                settings.checkpoint_interval = gst::ClockTime::from_nseconds(
                    value
                        .get::<u64>()
                        .expect("checked by GObject")
                        .min(u64::MAX - 1),
                );
            }
            "big-file" => settings.big_file = value.get().expect("checked by GObject"),
            _ => {}
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let settings = lock(&self.settings);
        match pspec.name() {
            "profile" => settings.profile.to_value(),
            "checkpoint-interval" => settings.checkpoint_interval.nseconds().to_value(),
            "big-file" => settings.big_file.to_value(),
            "stats" => {
                drop(settings);
                let stats = lock(&self.state).stats;
                gst::Structure::builder("avimjpegmux-stats")
                    .field("frames", stats.frames)
                    .field("repeated", stats.repeated)
                    .field("missing", stats.missing)
                    .field("dropped", stats.dropped)
                    .field("silence", stats.silence)
                    .field("skipped", stats.skipped)
                    .field("bytes", stats.bytes)
                    .field("checkpoints", stats.checkpoints)
                    .build()
                    .to_value()
            }
            _ => pspec.default_value().clone(),
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        self.obj()
            .add_pad(&self.src)
            .expect("a new element has no pad of that name");
    }
}

impl GstObjectImpl for AviMjpegMux {}

impl TagSetterImpl for AviMjpegMux {}

impl ElementImpl for AviMjpegMux {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Motion JPEG AVI muxer",
                "Codec/Muxer",
                "Puts Motion JPEG and PCM into an AVI file that survives a power cut, and plays on \
                 a K210 with profile=k210",
                env!("CARGO_PKG_AUTHORS"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let template = |name, direction, presence, caps: &gst::Caps| {
                gst::PadTemplate::new(name, direction, presence, caps).expect("valid caps")
            };
            vec![
                template(
                    "video_%u",
                    gst::PadDirection::Sink,
                    gst::PadPresence::Request,
                    &caps::video_template(),
                ),
                template(
                    "audio_%u",
                    gst::PadDirection::Sink,
                    gst::PadPresence::Request,
                    &caps::audio_template(Profile::Standard),
                ),
                template(
                    "src",
                    gst::PadDirection::Src,
                    gst::PadPresence::Always,
                    &gst::Caps::builder("video/x-msvideo").build(),
                ),
            ]
        });
        &TEMPLATES
    }

    fn request_new_pad(
        &self,
        template: &gst::PadTemplate,
        name: Option<&str>,
        _caps: Option<&gst::Caps>,
    ) -> Option<gst::Pad> {
        let is_video = template.name_template() == "video_%u";
        let profile = lock(&self.settings).profile;
        let mut state = lock(&self.state);
        let same = state
            .pads
            .iter()
            .filter(|sink| sink.is_video == is_video)
            .count();
        if state.pads.len() >= MAX_STREAMS || (profile == Profile::K210 && same > 0) {
            gst::warning!(
                CAT,
                imp = self,
                "no further pad: the file has all it can have"
            );
            return None;
        }
        if state.started {
            gst::warning!(CAT, imp = self, "no further pad: the file is begun");
            return None;
        }
        let kind = if is_video { "video" } else { "audio" };
        let taken =
            |state: &State, name: &str| state.pads.iter().any(|sink| sink.pad.name() == name);
        let name = match name.filter(|name| !name.contains('%')) {
            Some(name) => {
                let digits = name.strip_prefix(kind)?.strip_prefix('_')?;
                if digits.parse::<u32>().is_err() || taken(&state, name) {
                    return None;
                }
                name.to_owned()
            }
            None => (0..)
                .map(|n: u32| format!("{kind}_{n}"))
                .find(|name| !taken(&state, name))?,
        };
        let pad = gst::Pad::builder_from_template(template)
            .name(name)
            .chain_function(|pad, parent, buffer| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::FlowError::Error),
                    |mux| mux.chain(pad, buffer),
                )
            })
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |mux| mux.sink_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |mux| mux.sink_query(pad, query))
            })
            .build();
        state.pads.push(SinkPad::new(pad.clone(), is_video));
        drop(state);
        // Pads of an element that runs have to be active before they are seen.
        let _ = pad.set_active(true);
        self.obj().add_pad(&pad).ok()?;
        Some(pad)
    }

    fn release_pad(&self, pad: &gst::Pad) {
        let _ = pad.set_active(false);
        lock(&self.state).pads.retain(|sink| sink.pad != *pad);
        let _ = self.obj().remove_pad(pad);
        self.changed.notify_all();
        // What waited for this pad need not any more.
        let _ = self.drain(lock(&self.state));
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            gst::StateChange::ReadyToPaused => {
                self.reset();
                lock(&self.state).stats = Stats::default();
            }
            gst::StateChange::PausedToReady => {
                // Threads that wait must not, or the pads could not be deactivated.
                let mut state = lock(&self.state);
                for sink in &mut state.pads {
                    sink.flushing = true;
                }
                drop(state);
                self.changed.notify_all();
            }
            _ => {}
        }
        let result = self.parent_change_state(transition)?;
        if transition == gst::StateChange::PausedToReady {
            self.reset();
        }
        Ok(result)
    }
}
