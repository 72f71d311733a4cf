// SPDX-License-Identifier: MIT OR Apache-2.0
//! The way of a buffer: into its pad's queue, and out of it in its turn, in whichever thread
//! finds that there is something to write.

use std::sync::MutexGuard;
use std::time::Instant;

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::Profile;
use super::caps::PadFormat;
use super::imp::{AviMjpegMux, CAT};
use super::queue::{AHEAD, AHEAD_AT_START, Idle, Item, SILENT, SinkPad, State, Work};
use super::session::{Session, SessionError, Start, picture_size};
use crate::sync::lock;
use avi_mjpeg::timeline::Rate;
use avi_mjpeg::writer::{StreamFormat, Tags};

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

impl AviMjpegMux {
    /// What to do next.
    fn next_work(&self, state: &mut State) -> Result<Work, Idle> {
        if state.failed.is_some() || state.finished {
            return Err(Idle::Waiting);
        }
        if !state.started {
            return self.try_start(state);
        }
        for pad in &mut state.pads {
            if let Some(Item::Event(_)) = pad.queue.front()
                && let Some(Item::Event(event)) = pad.queue.pop_front()
            {
                return Ok(Work::Event(event));
            }
        }
        if std::mem::take(&mut state.tags_are_new) {
            return Ok(Work::Tags(self.tags(&state.tags)));
        }
        let Some(next) = state.turn()? else {
            return Ok(Work::Finish(self.tags(&state.tags)));
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
    fn try_start(&self, state: &mut State) -> Result<Work, Idle> {
        if state.pads.iter().all(|pad| pad.eos && pad.head().is_none()) {
            return if state.pads.is_empty() {
                Err(Idle::Waiting)
            } else {
                Ok(Work::Finish(Tags::default()))
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
            let patient = state.settings.profile == Profile::K210 && pad.is_video;
            if far_ahead && patient && !state.told_of_waiting {
                state.told_of_waiting = true;
                return Ok(Work::TellOfWaiting);
            }
            if !far_ahead || patient {
                return Err(Idle::Waiting);
            }
            if now < pad.heard + SILENT {
                return Err(Idle::Until(pad.heard + SILENT));
            }
        }
        Ok(Work::Start(Box::new(self.prepare(state))))
    }

    /// Numbers the streams, video first, and collects what the head of the file says.
    fn prepare(&self, state: &mut State) -> Start {
        let mut order: Vec<usize> = (0..state.pads.len()).collect();
        order.sort_by_key(|n| !state.pads[*n].is_video);
        let (mut formats, mut first, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
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
                    left_out.push(pad.pad.clone());
                }
                continue;
            };
            pad.stream = Some(formats.len());
            formats.push(format);
            first.push(pad.head());
        }
        let frames = formats.iter().filter_map(|format| match format {
            StreamFormat::Video { rate, .. } => i64::try_from(rate.time_of(3)).ok(),
            StreamFormat::Audio(_) => None,
        });
        state.ahead = frames.fold(AHEAD, i64::max);
        state.started = true;
        let settings = &state.settings;
        Start {
            element: self.obj().clone(),
            pad: self.src.clone(),
            profile: settings.profile,
            big_file: settings.big_file,
            checkpoint_interval: settings.checkpoint_interval.nseconds(),
            tags: self.tags(&state.tags),
            formats,
            first,
            left_out,
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
    pub(super) fn drain<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
    ) -> (MutexGuard<'a, State>, Idle) {
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
        let session = state.session.take();
        let finished = matches!(work, Work::Finish(_));
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
        let failed = result.is_err();
        if let Err(flow) = result {
            state.failed = Some(flow);
        }
        if state.release() || finished || failed {
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
    pub(super) fn wait_until_idle<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
    ) -> MutexGuard<'a, State> {
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
        session: Option<Box<Session>>,
        work: Work,
    ) -> (Option<Box<Session>>, Result<(), gst::FlowError>) {
        let mut session = session;
        let result = match (work, &mut session) {
            (Work::TellOfWaiting, _) => {
                gst::element_imp_warning!(
                    self,
                    gst::StreamError::Mux,
                    (
                        "There are {} s of sound and no frame yet; a file for the K210 begins \
                         with a frame, so the sound is held back until one comes.",
                        AHEAD_AT_START / 1_000_000_000
                    )
                );
                Ok(())
            }
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
            (Work::Event(event), Some(session)) => session.event(event),
            (Work::Tags(tags), Some(session)) => {
                session.set_tags(&tags);
                Ok(())
            }
            (Work::Finish(tags), session) => {
                let result = session.as_mut().map_or(Ok(()), |session| {
                    session.set_tags(&tags);
                    session.finish()
                });
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
        let finished = session.is_some_and(|session| {
            let finished = session.finish().is_ok();
            if !finished {
                session.salvage();
            }
            finished
        });
        match error {
            SessionError::Full(_) | SessionError::NoSpace(_) => {
                gst::element_imp_error!(self, gst::ResourceError::NoSpaceLeft, ("{error}"));
            }
            SessionError::Frame { .. } => {
                gst::element_imp_error!(self, gst::StreamError::Format, ("{error}"));
            }
            _ => gst::element_imp_error!(self, gst::StreamError::Mux, ("{error}")),
        }
        if finished {
            // Behind the error: an application that sees the end first takes it for the good one.
            self.src.push_event(gst::event::Eos::new());
        }
        gst::FlowError::Error
    }

    pub(super) fn chain(
        &self,
        pad: &gst::Pad,
        buffer: gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let mut state = lock(&self.state);
        if let Some(failed) = state.failed {
            return Err(failed);
        }
        let (started, alone) = (state.started, state.pads.len() == 1);
        let Some(n) = state.pads.iter().position(|sink| sink.pad == *pad) else {
            return Err(gst::FlowError::Error);
        };
        let finished = state.finished;
        let sink = &mut state.pads[n];
        if sink.flushing {
            return Err(gst::FlowError::Flushing);
        }
        if sink.eos || finished {
            return Err(gst::FlowError::Eos);
        }
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
        if !alone {
            // Nobody else would wait for it.
            sink.heard = Instant::now();
        }
        if let Some(stream) = state.only_stream(pad) {
            state.busy = true;
            state = self.perform(state, Work::Buffer(stream, buffer, running_time));
            self.let_go(&mut state);
            if state.only_stream(pad).is_some() {
                return Ok(gst::FlowSuccess::Ok);
            }
        } else {
            state.pads[n].queue.push_back(Item::Buffer {
                buffer,
                running_time,
                order,
            });
        }
        self.settle(state, pad)
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
            let (most, again) = (state.ahead(), state.ahead_again());
            let finished = state.finished;
            let Some(sink) = state.pads.iter_mut().find(|sink| sink.pad == *pad) else {
                return Err(gst::FlowError::Flushing);
            };
            if sink.flushing {
                return Err(gst::FlowError::Flushing);
            }
            if finished || sink.span() <= if sink.held { again } else { most } {
                sink.held = false;
                return Ok(gst::FlowSuccess::Ok);
            }
            sink.held = true;
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
                && let Some(sink) = state.pads.iter_mut().find(|sink| sink.pad == *pad)
            {
                // The others are silent, and are not waited for any longer than need be.
                sink.held = false;
            }
        }
    }
}

/// The first text of a tag.
fn text<'a, T: gst::Tag<'a, TagType = &'a str>>(tags: &'a gst::TagList) -> String {
    tags.get::<T>()
        .map(|tag| tag.get().to_owned())
        .unwrap_or_default()
}
