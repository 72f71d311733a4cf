// SPDX-License-Identifier: MIT OR Apache-2.0
//! The element: its pads, which mode it runs in, queries and seeks.

use std::sync::{Arc, LazyLock, Mutex};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::CAT;
use super::caps;
use super::pull::Pull;
use super::push::{GoTo, Push};
use super::seek::{Seek, convert};
use super::shared::{PadInfo, Shared};
use crate::failure::{self, Errors};
use crate::fixed_caps;
use crate::sync::lock;
use crate::typefind;

pub struct AviMjpegDemux {
    sinkpad: gst::Pad,
    shared: Arc<Shared>,
    /// Taken by the streaming thread while it runs, and by a seek that has
    /// stopped that.
    pull: Mutex<Option<Box<Pull>>>,
    push: Mutex<Option<Box<Push>>>,
    /// Held by who sends upstream elsewhere, but for the streaming thread.
    going: Mutex<()>,
    /// From READY to READY.
    errors: Mutex<Option<Errors>>,
}

#[glib::object_subclass]
impl ObjectSubclass for AviMjpegDemux {
    const NAME: &'static str = "GstAviMjpegDemux";
    type Type = super::AviMjpegDemux;
    type ParentType = gst::Element;

    #[expect(clippy::expect_used, reason = "the class has the template")]
    fn with_class(klass: &Self::Class) -> Self {
        let template = klass
            .pad_template("sink")
            .expect("registered in class_init");
        let panicked = || Err(gst::loggable_error!(CAT, "Panic activating the sink pad"));
        let sinkpad = gst::Pad::builder_from_template(&template)
            .activate_function(move |pad, parent| {
                Self::catch_panic_pad_function(parent, panicked, |this| this.sink_activate(pad))
            })
            .activatemode_function(move |pad, parent, mode, active| {
                let activate = |this: &Self| this.sink_activate_mode(pad, mode, active);
                Self::catch_panic_pad_function(parent, panicked, activate)
            })
            .chain_function(|_pad, parent, buffer| {
                let fallback = || Err(gst::FlowError::Error);
                Self::catch_panic_pad_function(parent, fallback, |this| this.sink_chain(buffer))
            })
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |this| this.sink_event(pad, event))
            })
            // The template's caps are those that players find; any AVI may be given.
            .flags(gst::PadFlags::ACCEPT_INTERSECT)
            .build();
        Self {
            sinkpad,
            shared: Arc::default(),
            pull: Mutex::default(),
            push: Mutex::default(),
            going: Mutex::default(),
            errors: Mutex::default(),
        }
    }
}

impl ObjectImpl for AviMjpegDemux {
    fn constructed(&self) {
        self.parent_constructed();
        if let Err(err) = self.obj().add_pad(&self.sinkpad) {
            gst::error!(CAT, imp = self, "{err}");
        }
    }
}

impl GstObjectImpl for AviMjpegDemux {}

impl ElementImpl for AviMjpegDemux {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "AVI Motion JPEG demuxer",
                "Codec/Demuxer",
                "Takes AVI files of Motion JPEG and PCM apart, damaged and unfinished ones too",
                "The gst-plugin-kendryte developers",
            )
        });
        Some(&*METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            use gst::{PadDirection as Direction, PadPresence as Presence};
            let file = typefind::caps();
            let pictures = gst::Caps::new_empty_simple("image/jpeg");
            let sound = caps::sound();
            [
                ("sink", Direction::Sink, Presence::Always, file),
                ("video_%u", Direction::Src, Presence::Sometimes, pictures),
                ("audio_%u", Direction::Src, Presence::Sometimes, sound),
            ]
            .into_iter()
            .filter_map(|(name, direction, presence, caps)| {
                gst::PadTemplate::new(name, direction, presence, &caps).ok()
            })
            .collect()
        });
        TEMPLATES.as_ref()
    }

    fn post_message(&self, message: gst::Message) -> bool {
        if message.type_() == gst::MessageType::Error {
            lock(&self.errors).iter().for_each(Errors::hear);
        }
        self.parent_post_message(message)
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if transition == gst::StateChange::ReadyToPaused {
            self.shared.reset();
            *lock(&self.errors) = Errors::of(self.obj().upcast_ref());
        } else if transition == gst::StateChange::PausedToReady {
            self.shared.set_stopping(true);
        }
        let success = self.parent_change_state(transition)?;
        if transition == gst::StateChange::PausedToReady {
            // The pads are inactive now: no thread has these any more.
            if let Some(mut pull) = lock(&self.pull).take() {
                pull.cancel();
            }
            lock(&self.push).take();
            lock(&self.errors).take();
            for pad in self.obj().src_pads() {
                if let Err(err) = self.obj().remove_pad(&pad) {
                    gst::warning!(CAT, imp = self, "{err}");
                }
            }
        }
        Ok(success)
    }
}

impl AviMjpegDemux {
    /// A new source pad for a stream.
    fn source_pad(template: &gst::PadTemplate, name: &str, info: &Arc<PadInfo>) -> gst::Pad {
        let (for_query, for_event) = (info.clone(), info.clone());
        gst::Pad::builder_from_template(template)
            .name(name)
            .query_function(move |pad, parent, query| {
                let answer = |this: &Self| this.source_query(pad, query, &for_query);
                Self::catch_panic_pad_function(parent, || false, answer)
            })
            .event_function(move |pad, parent, event| {
                let act = |this: &Self| this.source_event(pad, event, &for_event);
                Self::catch_panic_pad_function(parent, || false, act)
            })
            .build()
    }

    fn sink_activate(&self, pad: &gst::Pad) -> Result<(), gst::LoggableError> {
        let mut query = gst::query::Scheduling::new();
        let pull = pad.peer_query(&mut query)
            && query
                .has_scheduling_mode_with_flags(gst::PadMode::Pull, gst::SchedulingFlags::SEEKABLE);
        let mode = if pull {
            gst::PadMode::Pull
        } else {
            gst::PadMode::Push
        };
        gst::debug!(CAT, imp = self, "Running in {mode:?} mode");
        pad.activate_mode(mode, true)?;
        Ok(())
    }

    fn sink_activate_mode(
        &self,
        pad: &gst::Pad,
        mode: gst::PadMode,
        active: bool,
    ) -> Result<(), gst::LoggableError> {
        match (mode, active) {
            (gst::PadMode::Pull, true) => {
                self.shared.set_pulling(true);
                self.start_task()
                    .map_err(|_| gst::loggable_error!(CAT, "The task cannot be started"))?;
            }
            (gst::PadMode::Pull, false) => {
                self.shared.set_stopping(true);
                pad.stop_task()
                    .map_err(|_| gst::loggable_error!(CAT, "The task cannot be stopped"))?;
            }
            (_, true) => {
                self.shared.set_pulling(false);
                let element = self.obj();
                let push = Push::new(element.upcast_ref(), Self::source_pad, &self.shared);
                *lock(&self.push) = Some(Box::new(push));
            }
            (_, false) => {}
        }
        Ok(())
    }

    fn start_task(&self) -> Result<(), glib::BoolError> {
        let weak = self.obj().downgrade();
        self.sinkpad.start_task(move || {
            if let Some(element) = weak.upgrade() {
                element.imp().task();
            }
        })
    }

    /// One turn of the task that plays a file that can be read anywhere.
    fn task(&self) {
        let taken = lock(&self.pull).take();
        let result = match taken {
            Some(pull) => Ok(pull),
            None => Pull::open(
                self.obj().upcast_ref(),
                Self::source_pad,
                &self.sinkpad,
                &self.shared,
            ),
        };
        let (mut pull, result) = match result {
            Ok(mut pull) => {
                let result = pull.step();
                (Some(pull), result)
            }
            Err(err) => (None, Err(err)),
        };
        if let Err(flow) = result {
            gst::debug!(CAT, imp = self, "Pausing: {flow:?}");
            let _ = self.sinkpad.pause_task();
            match (flow, &mut pull) {
                (gst::FlowError::Flushing, _) => {}
                (gst::FlowError::Eos, Some(pull)) => pull.output.finish(),
                (flow, pull) => {
                    failure::explain(self.obj().upcast_ref(), flow, self.is_told());
                    if let Some(pull) = pull {
                        pull.output.end();
                    }
                }
            }
        }
        *lock(&self.pull) = pull;
    }

    /// Whether whoever returned an error has posted the reason, as far as that can be known.
    fn is_told(&self) -> bool {
        lock(&self.errors).as_ref().is_none_or(Errors::came)
    }

    fn sink_chain(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let Some(mut push) = lock(&self.push).take() else {
            return Err(gst::FlowError::Flushing);
        };
        let result = push.feed(&buffer);
        drop(buffer);
        push.failed |= result
            .as_ref()
            .is_err_and(|flow| !matches!(flow, gst::FlowError::Flushing | gst::FlowError::Eos));
        let began = push.output.has_pads();
        *lock(&self.push) = Some(push);
        result.map_err(|flow| {
            failure::explain(self.obj().upcast_ref(), flow, self.is_told());
            match flow {
                gst::FlowError::Flushing | gst::FlowError::Eos => flow,
                _ => failure::posted(began),
            }
        })?;
        self.go()?;
        Ok(gst::FlowSuccess::Ok)
    }

    /// Has upstream go where the reader needs it, if it does.
    fn go(&self) -> Result<(), gst::FlowError> {
        let to = lock(&self.push).as_mut().and_then(|push| push.to.take());
        let Some(GoTo { pos, seqnum }) = to else {
            return Ok(());
        };
        // Nothing was pushed since the last flush.
        self.shared.set_fetching(true);
        let done = self.seek_upstream(pos, seqnum);
        self.shared.set_fetching(false);
        if done {
            return Ok(());
        }
        if self.shared.is_stopping() {
            return Err(gst::FlowError::Flushing);
        }
        gst::element_imp_error!(
            self,
            gst::ResourceError::Seek,
            ("The source said that it can seek, but does not go to byte {pos}")
        );
        lock(&self.push).iter_mut().for_each(|it| it.failed = true);
        Err(failure::POSTED)
    }

    fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        use gst::EventView;
        match event.view() {
            EventView::StreamStart(start) => {
                if let Some(push) = &mut *lock(&self.push) {
                    push.output.group = start.group_id();
                }
                true
            }
            // These describe the file; each stream gets its own.
            EventView::Caps(_) | EventView::Tag(_) | EventView::StreamCollection(_) => true,
            EventView::Segment(segment) => {
                let pos = segment
                    .segment()
                    .downcast_ref::<gst::format::Bytes>()
                    .and_then(|segment| segment.start())
                    .map_or(0, |start| *start);
                if let Some(push) = &mut *lock(&self.push) {
                    push.begin(pos);
                }
                true
            }
            EventView::FlushStart(_) if self.shared.is_fetching() => true,
            EventView::FlushStop(_) => {
                if let Some(push) = &mut *lock(&self.push) {
                    push.flush();
                }
                if self.shared.is_fetching() {
                    return true;
                }
                gst::Pad::event_default(pad, Some(&*self.obj()), event)
            }
            EventView::Eos(_) => self.sink_eos(),
            _ => gst::Pad::event_default(pad, Some(&*self.obj()), event),
        }
    }

    fn sink_eos(&self) -> bool {
        let Some(mut push) = lock(&self.push).take() else {
            return true;
        };
        let result = push.drain();
        let is_elsewhere = push.to.is_some();
        *lock(&self.push) = Some(push);
        if let Err(flow) = result {
            gst::debug!(CAT, imp = self, "Draining: {flow:?}");
        } else if is_elsewhere {
            self.obj().call_async(|element| {
                element.imp().catch_panic(|| (), Self::go_on);
            });
        }
        true
    }

    /// The same at the end of a stream, not from the streaming thread: a queue pauses that one once it has passed the
    /// EOS on, and would not go on after a flush in it.
    fn go_on(&self) {
        let _going = lock(&self.going);
        if self.go() == Err(failure::POSTED) {
            let _stream_lock = self.sinkpad.stream_lock();
            self.sink_eos();
        }
    }

    fn source_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef, info: &PadInfo) -> bool {
        use gst::QueryViewMut;
        let stream = &info.stream;
        let in_format = |time: Option<gst::ClockTime>, format| {
            convert(stream, gst::GenericFormattedValue::Time(time), format)
        };
        let none = |format| gst::GenericFormattedValue::new(format, -1);
        let answered = match query.view_mut() {
            QueryViewMut::Position(query) => {
                let position = in_format(Some(info.position()), query.format());
                position.map(|position| query.set(position))
            }
            QueryViewMut::Duration(query) => {
                let duration = in_format(self.shared.duration(), query.format());
                duration.map(|duration| query.set(duration))
            }
            QueryViewMut::Convert(query) => {
                let (value, to) = query.get();
                convert(stream, value, to).map(|result| query.set(value, result))
            }
            QueryViewMut::Seeking(query) => {
                let format = query.format();
                let zero = in_format(Some(gst::ClockTime::ZERO), format);
                let can_seek = || self.shared.is_pulling() || self.upstream_seeks();
                match zero.filter(|_| can_seek()) {
                    Some(zero) => {
                        let end = in_format(self.shared.duration(), format);
                        query.set(true, zero, end.unwrap_or_else(|| none(format)));
                    }
                    None => query.set(false, none(format), none(format)),
                }
                Some(())
            }
            QueryViewMut::Segment(query) => self.shared.segment().map(|segment| {
                let start = segment.to_stream_time(segment.start());
                let stop = segment.to_stream_time(segment.stop().or(segment.duration()));
                query.set(segment.rate(), start, stop);
            }),
            _ => return fixed_caps::query(pad, Some(&*self.obj()), query),
        };
        answered.is_some()
    }

    /// Whether a stream that comes in can be asked for other bytes.
    fn upstream_seeks(&self) -> bool {
        let mut query = gst::query::Seeking::new(gst::Format::Bytes);
        self.sinkpad.peer_query(&mut query) && query.result().0
    }

    fn source_event(&self, pad: &gst::Pad, event: gst::Event, info: &PadInfo) -> bool {
        match event.view() {
            gst::EventView::Seek(seek) => {
                let Some(seek) = Seek::parse(seek, &info.stream) else {
                    gst::debug!(CAT, imp = self, "Cannot seek in this format: {seek:?}");
                    return false;
                };
                if seek.flags.contains(gst::SeekFlags::INSTANT_RATE_CHANGE)
                    || !self.is_possible(&seek)
                {
                    return false;
                }
                if self.shared.is_pulling() {
                    self.seek_pull(seek)
                } else {
                    self.seek_push(seek)
                }
            }
            // There is nothing to adapt: a frame costs next to nothing here.
            gst::EventView::Qos(_) => true,
            _ => gst::Pad::event_default(pad, Some(&*self.obj()), event),
        }
    }

    /// Tells downstream of a flush.
    fn flush(&self, event: &gst::Event) {
        for pad in self.obj().src_pads() {
            pad.push_event(event.clone());
        }
    }

    /// Whether there is a segment that a seek asks for. One that is refused must not flush: nobody
    /// would have a segment then.
    fn is_possible(&self, seek: &Seek) -> bool {
        let Some(segment) = self.shared.segment() else {
            return true;
        };
        let duration = self.shared.duration();
        seek.apply(&segment, duration).is_some()
    }

    fn seek_pull(&self, seek: Seek) -> bool {
        let flush = seek.flushes();
        if flush {
            let event = seek.flush_start();
            // The streaming thread may be waiting in a read upstream.
            self.sinkpad.push_event(event.clone());
            self.flush(&event);
        }
        self.shared.set_stopping(true);
        if !flush {
            let _ = self.sinkpad.pause_task();
        }
        let stream_lock = self.sinkpad.stream_lock();
        self.shared.set_stopping(false);
        let taken = lock(&self.pull).take();
        if flush {
            let event = seek.flush_stop();
            self.sinkpad.push_event(event.clone());
            self.flush(&event);
        }
        let Some(mut pull) = taken else {
            return false;
        };
        let result = pull.seek(seek);
        *lock(&self.pull) = Some(pull);
        let started = self.start_task();
        drop(stream_lock);
        result && started.is_ok()
    }

    fn seek_push(&self, seek: Seek) -> bool {
        if !seek.is_forward() || !seek.flushes() || !self.upstream_seeks() {
            gst::debug!(
                CAT,
                imp = self,
                "In a stream only flushing seeks forward are possible, if the source can seek"
            );
            return false;
        }
        self.flush(&seek.flush_start());
        let _going = lock(&self.going);
        let target = {
            let _stream_lock = self.sinkpad.stream_lock();
            let size = self.sinkpad.peer_query_duration::<gst::format::Bytes>();
            let mut push = lock(&self.push);
            push.as_mut()
                .and_then(|push| push.seek(seek, size.map(u64::from)))
        };
        let done = target.is_some_and(|pos| self.seek_upstream(pos, seek.seqnum));
        if !done {
            if let Some(push) = &mut *lock(&self.push) {
                push.awaits_flush = false;
            }
            self.flush(&seek.flush_stop());
        }
        done
    }

    /// Has a stream go on from another byte.
    fn seek_upstream(&self, pos: u64, seqnum: gst::Seqnum) -> bool {
        let event = gst::event::Seek::builder(
            1.0,
            gst::SeekFlags::FLUSH,
            gst::SeekType::Set,
            gst::format::Bytes::from_u64(pos),
            gst::SeekType::None,
            gst::format::Bytes::NONE,
        )
        .seqnum(seqnum)
        .build();
        self.sinkpad.push_event(event)
    }
}
