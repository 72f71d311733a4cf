// SPDX-License-Identifier: MIT OR Apache-2.0
//! The way of a buffer: into its pad's queue, and out of it in its turn, in whichever thread
//! finds that there is something to write.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

use gst::prelude::*;

use super::caps;
use super::messages::{self, Warnings};
use super::output::{self, PadOutput};
use super::payload::Bytes;
use super::settings::{Profile, Settings};
use super::state::{AHEAD_AT_START, Item, SinkPad, Start, State, Work};
use super::{CAT, tags};
use crate::sync::lock;
use avi_mjpeg::recorder::{
    self, Continuity, Idle, Jump, RecordError, Recorder, SILENT, Stats, Stream,
};
use avi_mjpeg::writer::{MAX_STREAMS, Tags};

type File = Recorder<PadOutput>;

/// The pads, and the file that they make.
#[derive(Debug)]
pub(super) struct Flow {
    src: gst::Pad,
    settings: Arc<Mutex<Settings>>,
    state: Mutex<State>,
    changed: Condvar,
}

/// Lets go of the writing thread's part when that panics, so that no other waits for it.
struct Panicking<'a>(&'a Flow);

impl Drop for Panicking<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.busy = false;
        state.failed = Some(gst::FlowError::Error);
        drop(state);
        self.0.changed.notify_all();
    }
}

impl Flow {
    pub fn new(src: gst::Pad, settings: Arc<Mutex<Settings>>) -> Self {
        Self {
            src,
            settings,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn element(&self) -> Option<gst::Element> {
        self.src.parent_element()
    }

    pub fn stats(&self) -> Stats {
        lock(&self.state).stats
    }

    /// What to do next.
    fn next_work(&self, state: &mut State) -> Result<Work, Idle> {
        if state.failed.is_some() || state.finished {
            return Err(Idle::Waiting);
        }
        if !state.started {
            return self.try_start(state);
        }
        if let Some(Item::Event(event)) = state.queue.pop_untimed() {
            return Ok(Work::Event(event));
        }
        if std::mem::take(&mut state.tags_are_new) {
            return Ok(Work::Tags(self.tags(state)));
        }
        let Some(next) = state.turn()? else {
            return Ok(Work::Finish(self.tags(state)));
        };
        if state.pads[next].is_awaited {
            state.skip_unreadable(next);
            let Some(stream) = state.stream(next) else {
                return self.next_work(state);
            };
            state.pads[next].is_awaited = false;
            let number = state.pads[next].stream.unwrap_or_default();
            return Ok(Work::Awaited(number, stream));
        }
        match (state.pads[next].stream, state.queue.pop(next)) {
            (Some(stream), Some(Item::Buffer(buffer, time))) => {
                Ok(Work::Buffer(stream, buffer, time))
            }
            (_, Some(Item::Event(event))) => Ok(Work::Event(event)),
            _ => Err(Idle::Waiting),
        }
    }

    fn tags(&self, state: &State) -> Tags {
        let element = self.element();
        element.map_or_else(Tags::default, |element| tags::of(&element, &state.tags))
    }

    /// Begins the file when it is known what it will have.
    fn try_start(&self, state: &mut State) -> Result<Work, Idle> {
        let pads = 0..state.pads.len();
        pads.clone().for_each(|n| state.skip_unreadable(n));
        let has_ended = |n| state.queue.has_ended(n) && state.queue.head(n).is_none();
        if pads.clone().all(has_ended) {
            return if state.pads.is_empty() {
                Err(Idle::Waiting)
            } else {
                Ok(Work::Finish(Tags::default()))
            };
        }
        let span = pads.clone().map(|n| state.queue.span(n)).max();
        let far_ahead = span >= Some(AHEAD_AT_START);
        let now = Instant::now();
        for n in pads {
            let pad = &state.pads[n];
            let has_head =
                state.queue.head(n).is_some() && (!pad.is_video || state.rate(n).is_some());
            let says_nothing = pad.format.is_some() && state.queue.has_gap(n);
            if state.queue.has_ended(n) || has_head || says_nothing || !pad.pad.is_linked() {
                continue;
            }
            if !far_ahead {
                return Err(Idle::Waiting);
            }
            // The K210's file begins with a frame, however long that takes; and what cannot be put into
            // the head later is waited for.
            let Some(seekable) = state.seekable else {
                return Ok(Work::AskSeekable);
            };
            if !seekable || state.settings.profile == Profile::K210 && pad.is_video {
                if !std::mem::replace(&mut state.told_of_waiting, true) {
                    return Ok(Work::TellOfWaiting(state.pads[n].pad.clone()));
                }
                return Err(Idle::Waiting);
            }
            let patience = state.queue.heard(n) + SILENT;
            if now < patience {
                return Err(Idle::Until(patience));
            }
        }
        Ok(Work::Start(Box::new(self.prepare(state))))
    }

    /// Numbers the streams, video first and those that are awaited last, and collects what the head of the
    /// file says.
    fn prepare(&self, state: &mut State) -> Start {
        let known: Vec<_> = (0..state.pads.len()).map(|n| state.stream(n)).collect();
        let mut order: Vec<usize> = (0..state.pads.len()).collect();
        order.sort_by_key(|n| (known[*n].is_none(), !state.pads[*n].is_video));
        let can_wait = state.settings.profile == Profile::Standard;
        let mut start = Start {
            tags: self.tags(state),
            streams: Vec::new(),
            left_out: Vec::new(),
            awaited: Vec::new(),
        };
        for n in order {
            let has_ended = state.queue.has_ended(n);
            let pad = &mut state.pads[n];
            let stream = match (known[n], pad.is_video) {
                (Some(stream), _) => stream,
                (None, _) if !pad.pad.is_linked() => continue,
                (None, _) if has_ended || !can_wait => {
                    start.left_out.push(pad.pad.clone());
                    continue;
                }
                (None, true) => Stream::awaited_video(),
                (None, false) => Stream::awaited_audio(),
            };
            pad.is_awaited = stream.is_awaited;
            if pad.is_awaited {
                start.awaited.push(pad.pad.clone());
            }
            pad.stream = Some(start.streams.len());
            start.streams.push(stream);
        }
        state.set_ahead(&start.streams);
        state.started = true;
        start
    }

    /// Writes what can be written, unless another thread does.
    fn drain<'a>(&'a self, mut state: MutexGuard<'a, State>) -> (MutexGuard<'a, State>, Idle) {
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

    /// Does some work, without the lock meanwhile. The caller has set `busy`.
    fn perform<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        work: Work,
    ) -> MutexGuard<'a, State> {
        let recorder = state.recorder.take();
        let finished = matches!(work, Work::Finish(_));
        drop(state);
        let panicking = Panicking(self);
        let (recorder, result) = self.work(recorder, work);
        std::mem::forget(panicking);
        state = lock(&self.state);
        if let Some(recorder) = &recorder {
            state.stats = recorder.stats();
            state.stats.dropped += state.unreadable;
        }
        state.recorder = recorder;
        state.finished |= finished;
        let failed = result.is_err();
        if let Err(flow) = result {
            state.failed = Some(flow);
        }
        let ahead = state.ahead();
        if state.queue.release(ahead) || finished || failed {
            self.changed.notify_all();
        }
        state
    }

    /// Has another thread write.
    fn let_go(&self, state: &mut State) {
        state.busy = false;
        if state.waiting > 0 {
            self.changed.notify_all();
        }
    }

    /// Waits until no thread writes.
    fn wait_until_idle<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.waiting += 1;
        let mut state = self
            .changed
            .wait_while(state, |state| state.busy)
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        state.waiting -= 1;
        state
    }

    /// Does some work, without a lock.
    fn work(
        &self,
        mut recorder: Option<Box<File>>,
        work: Work,
    ) -> (Option<Box<File>>, Result<(), gst::FlowError>) {
        let result = match (work, &mut recorder) {
            (Work::AskSeekable, _) => {
                let seekable = output::is_seekable(&self.src);
                lock(&self.state).seekable = Some(seekable);
                Ok(())
            }
            (Work::TellOfWaiting(pad), _) => {
                let is_k210 = lock(&self.settings).profile == Profile::K210;
                if let Some(element) = self.element() {
                    let seconds = AHEAD_AT_START / 1_000_000_000;
                    match is_k210 {
                        true => messages::waiting_for_a_frame(&element, seconds),
                        false => messages::waiting_for_a_pad(&element, &pad, seconds),
                    }
                }
                Ok(())
            }
            (Work::Awaited(number, stream), Some(recorder)) => recorder.set_stream(number, &stream),
            (Work::Start(start), _) => self.start(*start).map(|started| {
                recorder = Some(Box::new(started));
            }),
            (Work::Buffer(stream, buffer, time), Some(recorder)) => {
                recorder.push(stream, Bytes(buffer), time)
            }
            (Work::Event(event), Some(recorder)) => {
                recorder.storage().event(event).map_err(RecordError::from)
            }
            (Work::Tags(tags), Some(recorder)) => {
                recorder.set_tags(&tags);
                Ok(())
            }
            (Work::Finish(tags), recorder) => {
                let result = recorder.as_mut().map_or(Ok(()), |recorder| {
                    recorder.set_tags(&tags);
                    recorder.finish()
                });
                if result.is_ok() {
                    self.src.push_event(gst::event::Eos::new());
                }
                result
            }
            (_, None) => Ok(()),
        };
        let result = result.map_err(|error| self.fail(recorder.as_deref_mut(), &error));
        (recorder, result)
    }

    /// Tells downstream what comes, and writes the head of the file.
    fn start(&self, start: Start) -> Result<File, RecordError<gst::FlowError>> {
        let settings = lock(&self.settings).clone();
        let element = self.element();
        if let Some(element) = &element {
            messages::left_out(element, &start.left_out);
            messages::awaited(element, &start.awaited);
        }
        let output = PadOutput::begin(self.src.clone());
        let file = recorder::Settings {
            profile: settings.profile.into(),
            big_file: settings.big_file,
            checkpoint_interval: settings.checkpoint_interval,
            tags: start.tags,
        };
        let mut recorder = Recorder::start(output, file, &start.streams)?;
        if let Some(element) = &element {
            let mut warnings = Warnings::new(element, settings.profile == Profile::K210);
            recorder.on_notice(move |notice| warnings.tell(&notice));
        }
        Ok(recorder)
    }

    /// Makes a file of what is there, then tells why it ends.
    fn fail(
        &self,
        recorder: Option<&mut File>,
        error: &RecordError<gst::FlowError>,
    ) -> gst::FlowError {
        gst::debug!(CAT, obj = self.src, "{error}");
        if let RecordError::Storage(flow) = *error {
            if let (gst::FlowError::Error, Some(recorder)) = (flow, recorder) {
                self.salvage(recorder);
            }
            return flow;
        }
        let finished = recorder.is_some_and(|recorder| {
            let finished = recorder.finish().is_ok();
            if !finished {
                self.salvage(recorder);
            }
            finished
        });
        if let Some(element) = self.element() {
            messages::failed(&element, error);
        }
        if finished {
            // Behind the error: an application that sees the end first takes it for the good one.
            self.src.push_event(gst::event::Eos::new());
        }
        gst::FlowError::Error
    }

    fn salvage(&self, recorder: &mut File) {
        match recorder.salvage() {
            Ok(false) => {}
            Ok(true) => {
                let bytes = recorder.stats().bytes;
                gst::info!(CAT, obj = self.src, "the file ends at {bytes}");
            }
            Err(error) => {
                gst::warning!(CAT, obj = self.src, "the file cannot be finished: {error}");
            }
        }
    }

    pub fn chain(
        &self,
        pad: &gst::Pad,
        buffer: gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let mut state = lock(&self.state);
        if let Some(failed) = state.failed {
            return Err(failed);
        }
        let (started, alone) = (state.started, state.pads.len() == 1);
        let Some(n) = state.find(pad) else {
            return Err(gst::FlowError::Error);
        };
        let sink = &state.pads[n];
        if sink.flushing {
            return Err(gst::FlowError::Flushing);
        }
        if state.finished || state.queue.has_ended(n) {
            return Err(gst::FlowError::Eos);
        }
        if sink.format.is_none() {
            drop(state);
            return Err(self.refuse_without_caps(pad));
        }
        if started && sink.stream.is_none() {
            drop(state);
            return Err(self.refuse_late(pad));
        }
        let time = running_time(sink, &buffer);
        let duration = sink.duration(&buffer);
        let (time, jump) = match time {
            Some(time) => {
                let (time, jump) = state.continuity.follow(n, time, duration);
                (Some(time), jump)
            }
            None => (None, None),
        };
        if let Some(jump) = jump {
            state = self.tell_of_jump(state, pad, jump)?;
        }
        if let Some(stream) = state.only_stream(pad) {
            state.queue.pass(n, time, duration);
            state.busy = true;
            state = self.perform(state, Work::Buffer(stream, buffer, time));
            self.let_go(&mut state);
            if state.only_stream(pad).is_some() {
                return Ok(gst::FlowSuccess::Ok);
            }
        } else {
            // Of an only pad nobody waits to hear.
            let now = if alone {
                state.queue.heard(n)
            } else {
                Instant::now()
            };
            let item = Item::Buffer(buffer, time);
            state.queue.push(n, item, time, duration, now);
        }
        self.settle(state, pad)
    }

    /// Warns of times that jumped, without the lock.
    fn tell_of_jump<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        pad: &gst::Pad,
        jump: Jump,
    ) -> Result<MutexGuard<'a, State>, gst::FlowError> {
        drop(state);
        if let Some(element) = self.element() {
            messages::jump(&element, pad, jump);
        }
        let state = lock(&self.state);
        match state.find(pad) {
            Some(_) => Ok(state),
            None => Err(gst::FlowError::Flushing),
        }
    }

    fn refuse_without_caps(&self, pad: &gst::Pad) -> gst::FlowError {
        if let Some(element) = self.element() {
            gst::element_error!(
                element,
                gst::CoreError::Negotiation,
                ("Data came on pad {} before caps.", pad.name())
            );
        }
        gst::FlowError::NotNegotiated
    }

    fn refuse_late(&self, pad: &gst::Pad) -> gst::FlowError {
        if let Some(element) = self.element() {
            gst::element_error!(
                element,
                gst::StreamError::Mux,
                (
                    "Pad {} came when the file was already begun; all streams of an AVI file \
                     are named in its head. Link it before the pipeline starts.",
                    pad.name()
                )
            );
        }
        gst::FlowError::Error
    }

    /// Writes what can be written, and holds a thread back that is far ahead of the others.
    fn settle<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        pad: &gst::Pad,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        loop {
            let idle;
            (state, idle) = self.drain(state);
            if let Some(failed) = state.failed {
                return Err(failed);
            }
            let Some(n) = state.find(pad).filter(|n| !state.pads[*n].flushing) else {
                return Err(gst::FlowError::Flushing);
            };
            let ahead = state.ahead();
            if state.finished || !state.queue.hold(n, ahead) {
                return Ok(gst::FlowSuccess::Ok);
            }
            let limit = match idle {
                Idle::Until(time) => time.saturating_duration_since(Instant::now()),
                // Another thread writes, which may have to wait for a silent pad.
                Idle::Waiting => SILENT,
            };
            let timeout;
            (state, timeout) = self
                .changed
                .wait_timeout(state, limit)
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            if timeout.timed_out()
                && let Some(n) = state.find(pad)
            {
                // The others are silent, and are not waited for any longer than need be.
                state.queue.let_go(n);
            }
        }
    }
}

/// When a buffer of a pad is shown or heard, in nanoseconds.
fn running_time(sink: &SinkPad, buffer: &gst::BufferRef) -> Option<i64> {
    let time = buffer.pts().or(buffer.dts())?;
    Some(match sink.segment.as_ref()?.to_running_time_full(time)? {
        gst::Signed::Positive(time) => time.nseconds() as i64,
        gst::Signed::Negative(time) => -(time.nseconds() as i64),
    })
}

/// What comes from upstream besides buffers.
impl Flow {
    pub fn event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        use gst::EventView;

        gst::log!(CAT, obj = pad, "{event:?}");
        match event.view() {
            EventView::Caps(caps) => self.set_caps(pad, &caps.caps_owned()),
            EventView::Segment(segment) => {
                self.set_segment(pad, segment.segment());
                true
            }
            EventView::Tag(tag) => {
                let mut state = lock(&self.state);
                // What is said of the whole may be said anew; a stream only adds to it.
                let mode = match tag.tag().scope() {
                    gst::TagScope::Global => gst::TagMergeMode::Replace,
                    _ => gst::TagMergeMode::Keep,
                };
                state.tags = state.tags.merge(tag.tag(), mode);
                state.tags_are_new = state.started;
                true
            }
            EventView::Gap(gap) => {
                let (start, duration) = gap.get();
                self.gap(pad, start + duration.unwrap_or_default());
                true
            }
            EventView::Eos(_) => {
                let mut state = lock(&self.state);
                if let Some(n) = state.find(pad) {
                    state.queue.end(n);
                }
                let (state, _) = self.drain(state);
                self.changed.notify_all();
                state.failed.is_none()
            }
            EventView::FlushStart(_) => {
                let mut state = lock(&self.state);
                if let Some(n) = state.find(pad) {
                    state.pads[n].flushing = true;
                }
                drop(state);
                self.changed.notify_all();
                self.src.push_event(event)
            }
            EventView::FlushStop(_) => {
                self.flush(pad);
                self.src.push_event(event)
            }
            EventView::CustomDownstream(_)
            | EventView::CustomDownstreamSticky(_)
            | EventView::CustomBoth(_) => {
                let mut state = lock(&self.state);
                if let Some(n) = state.find(pad) {
                    state.queue.push_untimed(n, Item::Event(event));
                }
                let _ = self.drain(state);
                true
            }
            EventView::CustomDownstreamOob(_) | EventView::CustomBothOob(_) => {
                self.src.push_event(event)
            }
            // What else there is tells of one stream, not of a file of them.
            _ => true,
        }
    }

    fn set_segment(&self, pad: &gst::Pad, segment: &gst::Segment) {
        // Pictures from files (multifilesrc) have timestamps, but a segment in bytes.
        let segment = segment.downcast_ref::<gst::ClockTime>().cloned();
        let segment = segment.unwrap_or_else(|| {
            gst::info!(
                CAT,
                obj = pad,
                "the segment is not in time: taken for a whole one"
            );
            gst::FormattedSegment::new()
        });
        let mut state = lock(&self.state);
        if let Some(n) = state.find(pad) {
            state.pads[n].segment = Some(segment);
        }
    }

    /// Nothing comes on a pad before the time `end` of its segment.
    fn gap(&self, pad: &gst::Pad, end: gst::ClockTime) {
        let mut state = lock(&self.state);
        if let Some(n) = state.find(pad) {
            let segment = state.pads[n].segment.as_ref();
            let time = segment.and_then(|segment| segment.to_running_time(end));
            let time = time.map_or(0, |time| time.nseconds() as i64);
            state.queue.gap(n, time, Instant::now());
        }
        let _ = self.drain(state);
    }

    /// Downstream forgets what it has of the file, so the next one begins anew.
    fn flush(&self, pad: &gst::Pad) {
        let mut state = self.wait_until_idle(lock(&self.state));
        if let Some(n) = state.find(pad) {
            state.reset_pad(n);
        }
        for sink in &mut state.pads {
            sink.stream = None;
            sink.is_awaited = false;
        }
        state.recorder = None;
        state.continuity = Continuity::default();
        state.started = false;
        state.finished = false;
        state.failed = None;
    }

    fn set_caps(&self, pad: &gst::Pad, caps: &gst::Caps) -> bool {
        gst::debug!(CAT, obj = pad, "caps {caps}");
        let is_video = caps::is_video(pad);
        let format = if is_video {
            caps::video_format(caps)
        } else {
            caps::audio_format(caps, lock(&self.settings).profile)
        };
        let format = match format {
            Ok(format) => format,
            Err(error) => {
                self.refuse_caps(format_args!("Pad {}: {error}.", pad.name()));
                return false;
            }
        };
        let mut state = lock(&self.state);
        let Some(n) = state.find(pad) else {
            return false;
        };
        let in_use = state.pads[n].stream.is_some() || !state.queue.is_empty(n);
        if let (Some(old), true) = (state.pads[n].format, in_use) {
            if old.continues(&format) {
                return true;
            }
            drop(state);
            self.refuse_caps(format_args!(
                "The format of pad {} changed to {caps}; a stream of an AVI file has one \
                 format. Convert it to the first, or begin another file.",
                pad.name()
            ));
            return false;
        }
        state.pads[n].format = Some(format);
        state.queue.hear(n, Instant::now());
        true
    }

    fn refuse_caps(&self, text: std::fmt::Arguments<'_>) {
        if let Some(element) = self.element() {
            gst::element_error!(element, gst::StreamError::Format, ("{text}"));
        }
    }
}

/// Pads that come and go, and the start and stop of all.
impl Flow {
    /// The name that a new pad is to have, `wanted` if that is one; `None` if there can be none.
    pub fn pad_name(&self, is_video: bool, wanted: Option<&str>) -> Option<String> {
        let profile = lock(&self.settings).profile;
        let state = lock(&self.state);
        let same = |sink: &&SinkPad| sink.is_video == is_video;
        let has_one = state.pads.iter().any(|sink| same(&sink));
        if state.pads.len() >= MAX_STREAMS || (profile == Profile::K210 && has_one) {
            gst::warning!(
                CAT,
                obj = self.src,
                "no further pad: the file has all it can have"
            );
            return None;
        }
        if state.started {
            gst::warning!(CAT, obj = self.src, "no further pad: the file is begun");
            return None;
        }
        let kind = if is_video { "video" } else { "audio" };
        let is_taken = |name: &str| state.pads.iter().any(|sink| sink.pad.name() == name);
        match wanted.filter(|name| !name.contains('%')) {
            Some(name) => {
                let digits = name.strip_prefix(kind)?.strip_prefix('_')?;
                let is_free = digits.parse::<u32>().is_ok() && !is_taken(name);
                is_free.then(|| name.to_owned())
            }
            None => (0..)
                .map(|n: u32| format!("{kind}_{n}"))
                .find(|name| !is_taken(name)),
        }
    }

    pub fn add_pad(&self, pad: gst::Pad, is_video: bool) {
        let mut state = lock(&self.state);
        state.pads.push(SinkPad::new(pad, is_video));
        state.queue.add(Instant::now());
    }

    pub fn remove_pad(&self, pad: &gst::Pad) {
        let mut state = lock(&self.state);
        if let Some(n) = state.find(pad) {
            state.pads.remove(n);
            state.queue.remove(n);
            state.continuity.remove(n);
        }
    }

    /// What waited for a pad that was removed need not any more.
    pub fn go_on(&self) {
        self.changed.notify_all();
        let _ = self.drain(lock(&self.state));
    }

    /// Forgets the file and all that waits.
    pub fn reset(&self) {
        let settings = lock(&self.settings).clone();
        let mut state = lock(&self.state);
        for n in 0..state.pads.len() {
            state.reset_pad(n);
            state.pads[n].format = None;
        }
        *state = State {
            pads: std::mem::take(&mut state.pads),
            queue: std::mem::take(&mut state.queue),
            stats: state.stats,
            waiting: state.waiting,
            settings,
            ..State::default()
        };
    }

    pub fn reset_stats(&self) {
        lock(&self.state).stats = Stats::default();
    }

    /// Threads that wait must not any more, or the pads could not be deactivated.
    pub fn stop_waiting(&self) {
        let mut state = lock(&self.state);
        for sink in &mut state.pads {
            sink.flushing = true;
        }
        drop(state);
        self.changed.notify_all();
    }
}
