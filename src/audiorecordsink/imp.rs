// SPDX-License-Identifier: MIT OR Apache-2.0

use std::path::PathBuf;
use std::sync::{Condvar, LazyLock, Mutex};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;

use super::calls::Amount;
use super::settings::{self, FileContent, Settings, caps_for};
use crate::streams::{file_error, layout_of};
use crate::sync::lock;
use avi_mjpeg::pcm::file::{FileError, Kind, Recording};
use avi_mjpeg::pcm::ring::Ring;
use avi_mjpeg::pcm::{Layout, gain};

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "audiorecordsink",
        gst::DebugColorFlags::empty(),
        Some("Audio recorder"),
    )
});

/// Written by the streaming thread and by the threads that call the action signals.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Between READY to PAUSED and PAUSED to READY.
    pub(super) running: bool,
    /// The streaming thread must not wait (flush, or out of PLAYING).
    pub(super) unlocked: bool,
    pub(super) eos: bool,
    pub(super) layout: Option<Layout>,
    /// Whether upstream is live; known from the first buffer on.
    pub(super) live: Option<bool>,
    /// `record()` or `reset()` has been called.
    pub(super) called: bool,
    /// Samples go into the ring.
    pub(super) listening: bool,
    pub(super) ring: Ring,
    /// Bytes that blocked `record()` calls still wait for, on top of the ring's capacity.
    pub(super) wanted: usize,
    /// `finish()` calls: a `record()` that began before one returns early.
    pub(super) finishes: u64,
    pub(super) overruns: u64,
    pub(super) lost_frames: u64,
    /// Samples have been lost since the last `record()`.
    pub(super) overrunning: bool,
}

/// The file, under a mutex of its own: writing may take long. Taken before the state's.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub(super) recording: Option<Recording>,
    /// No more of the stream goes to a file until `location` is set anew.
    pub(super) finished: bool,
}

#[derive(Debug, Default)]
pub struct AudioRecordSink {
    pub(super) settings: Mutex<Settings>,
    pub(super) output: Mutex<Output>,
    pub(super) state: Mutex<State>,
    /// Something in the state changed that a waiting thread may be interested in.
    pub(super) changed: Condvar,
}

#[glib::object_subclass]
impl ObjectSubclass for AudioRecordSink {
    const NAME: &'static str = "GstAudioRecordSink";
    type Type = super::AudioRecordSink;
    type ParentType = gst_base::BaseSink;
}

impl ObjectImpl for AudioRecordSink {
    fn constructed(&self) {
        self.parent_constructed();
        // A file is written as fast as samples come; a live source sets the pace by itself.
        self.obj().set_sync(false);
    }

    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(settings::specifications);
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        // The types are those of the specifications above, which GObject has checked.
        let value_error = "value of the property's type";
        match pspec.name() {
            "location" => {
                let mut output = lock(&self.output);
                if output.recording.is_some() {
                    gst::warning!(CAT, imp = self, "A file is open: finish() it first");
                    return;
                }
                output.finished = false;
                lock(&self.settings).location = value.get::<Option<PathBuf>>().expect(value_error);
            }
            "volume" => lock(&self.settings).volume = value.get().expect(value_error),
            "mute" => lock(&self.settings).mute = value.get().expect(value_error),
            "block" => lock(&self.settings).block = value.get().expect(value_error),
            "sample-rate" => lock(&self.settings).sample_rate = value.get().expect(value_error),
            "channels" => lock(&self.settings).channels = value.get().expect(value_error),
            "period-size" => lock(&self.settings).period_size = value.get().expect(value_error),
            "period-count" => lock(&self.settings).period_count = value.get().expect(value_error),
            "file-content" => lock(&self.settings).file_content = value.get().expect(value_error),
            name => gst::error!(CAT, imp = self, "Property {name} cannot be set"),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let settings = lock(&self.settings).clone();
        let state = lock(&self.state);
        let layout = state.layout;
        match pspec.name() {
            "location" => settings.location.to_value(),
            "volume" => settings.volume.to_value(),
            "mute" => settings.mute.to_value(),
            "block" => settings.block.to_value(),
            "remaining-frames" => layout
                .map_or(0, |layout| (state.ring.len() / layout.frame_bytes()) as u64)
                .to_value(),
            "sample-rate" => layout.map_or(settings.sample_rate, |l| l.rate).to_value(),
            "channels" => layout
                .map_or(settings.channels, |l| u32::from(l.channels))
                .to_value(),
            "frame-size" => layout.map_or(0, |l| l.frame_bytes() as u32).to_value(),
            "period-size" => settings.period_size.to_value(),
            "period-count" => settings.period_count.to_value(),
            "overruns" => state.overruns.to_value(),
            "lost-frames" => state.lost_frames.to_value(),
            "file-content" => settings.file_content.to_value(),
            name => {
                gst::error!(CAT, imp = self, "Property {name} cannot be read");
                pspec.default_value().clone()
            }
        }
    }

    fn signals() -> &'static [glib::subclass::Signal] {
        static SIGNALS: LazyLock<Vec<glib::subclass::Signal>> = LazyLock::new(|| {
            vec![
                // record(ms) -> GstBuffer: the next `ms` milliseconds, all that is ready when
                // negative. Never NULL; empty when there is nothing.
                glib::subclass::Signal::builder("record")
                    .param_types([i32::static_type()])
                    .return_type::<gst::Buffer>()
                    .action()
                    .class_handler(|args| {
                        let element = args[0].get::<super::AudioRecordSink>().ok()?;
                        let ms = args[1].get::<i32>().ok()?;
                        Some(element.imp().record(Amount::Ms(ms)).to_value())
                    })
                    .build(),
                // record-bytes(bytes) -> GstBuffer: MaixCDK's record_bytes().
                glib::subclass::Signal::builder("record-bytes")
                    .param_types([i32::static_type()])
                    .return_type::<gst::Buffer>()
                    .action()
                    .class_handler(|args| {
                        let element = args[0].get::<super::AudioRecordSink>().ok()?;
                        let bytes = args[1].get::<i32>().ok()?;
                        Some(element.imp().record(Amount::Bytes(bytes)).to_value())
                    })
                    .build(),
                // reset(start): forgets what is unread, then listens (true) or does not (false).
                glib::subclass::Signal::builder("reset")
                    .param_types([bool::static_type()])
                    .action()
                    .class_handler(|args| {
                        let element = args[0].get::<super::AudioRecordSink>().ok()?;
                        element.imp().reset(args[1].get().ok()?);
                        None
                    })
                    .build(),
                // finish(): completes and closes the file.
                glib::subclass::Signal::builder("finish")
                    .action()
                    .class_handler(|args| {
                        let element = args[0].get::<super::AudioRecordSink>().ok()?;
                        element.imp().finish();
                        None
                    })
                    .build(),
            ]
        });
        &SIGNALS
    }
}

impl GstObjectImpl for AudioRecordSink {}

impl ElementImpl for AudioRecordSink {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Audio recorder",
                "Sink/Audio",
                "Records raw audio to WAV, to PCM or to the application, as MaixCAM's Recorder does",
                "The gst-plugin-kendryte developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            gst::PadTemplate::new(
                "sink",
                gst::PadDirection::Sink,
                gst::PadPresence::Always,
                &caps_for(None, 0, 0),
            )
            .into_iter()
            .collect()
        });
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            gst::StateChange::NullToReady => {
                let location = lock(&self.settings).location.clone();
                if let Some(Err(err)) = location.as_deref().map(Kind::of) {
                    self.obj().post_error_message(file_error(&err));
                    return Err(gst::StateChangeError);
                }
            }
            gst::StateChange::ReadyToPaused => {
                lock(&self.output).finished = false;
                let mut state = lock(&self.state);
                *state = State {
                    running: true,
                    ..State::default()
                };
            }
            gst::StateChange::PausedToReady => {
                // Before the pad is shut: a blocked record() returns.
                lock(&self.state).running = false;
                self.changed.notify_all();
            }
            _ => (),
        }
        let success = self.parent_change_state(transition)?;
        if transition == gst::StateChange::PausedToReady {
            self.close_file();
            let mut state = lock(&self.state);
            state.layout = None;
            state.ring.clear();
        }
        Ok(success)
    }
}

impl BaseSinkImpl for AudioRecordSink {
    fn caps(&self, filter: Option<&gst::Caps>) -> Option<gst::Caps> {
        let (location, rate, channels) = {
            let settings = lock(&self.settings);
            (
                settings.location.clone(),
                settings.sample_rate,
                settings.channels,
            )
        };
        let kind = location.and_then(|location| Kind::of(&location).ok());
        let caps = caps_for(kind, rate, channels);
        Some(match filter {
            Some(filter) => filter.intersect_with_mode(&caps, gst::CapsIntersectMode::First),
            None => caps,
        })
    }

    fn set_caps(&self, caps: &gst::Caps) -> Result<(), gst::LoggableError> {
        let info = gst_audio::AudioInfo::from_caps(caps)
            .map_err(|err| gst::loggable_error!(CAT, "{caps}: {err}"))?;
        let layout = layout_of(&info)
            .ok_or_else(|| gst::loggable_error!(CAT, "{info:?} is out of range"))?;
        let mut output = lock(&self.output);
        if let Some(recording) = &output.recording
            && recording.layout() != layout
        {
            drop(output);
            gst::element_imp_error!(
                self,
                gst::StreamError::Format,
                [
                    "The audio format changed while recording, and a file holds one format: put \
                     audioconvert ! audioresample and a caps filter before the recorder"
                ]
            );
            return Err(gst::loggable_error!(CAT, "caps changed to {caps}"));
        }
        let mut state = lock(&self.state);
        if state.layout.is_some_and(|old| old != layout) {
            state.ring.clear();
        }
        state.layout = Some(layout);
        let stream = self.file_takes_stream(&state);
        drop(state);
        self.changed.notify_all();
        // Now rather than with the first sample: a directory that is not there shows before the
        // pipeline plays.
        if stream && let Err(err) = self.open_file(&mut output, layout) {
            drop(output);
            self.obj().post_error_message(file_error(&err));
            return Err(gst::loggable_error!(CAT, "{err}"));
        }
        Ok(())
    }

    fn render(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let Some(layout) = lock(&self.state).layout else {
            return Err(gst::FlowError::NotNegotiated);
        };
        let (volume, muted) = {
            let settings = lock(&self.settings);
            (settings.volume, settings.mute)
        };
        let volume = if muted { 0 } else { volume };
        let map = buffer.map_readable().map_err(|_| {
            gst::element_imp_error!(self, gst::ResourceError::Read, ["Cannot map a buffer"]);
            gst::FlowError::Error
        })?;
        let mut scaled = Vec::new();
        let data: &[u8] = if volume == 100 {
            &map
        } else {
            scaled.extend_from_slice(&map);
            gain::scale(&mut scaled, &layout, volume);
            &scaled
        };
        // Half a frame at the end would shift the channels of all that follows.
        let data = &data[..data.len() - data.len() % layout.frame_bytes()];

        let result = {
            let mut output = lock(&self.output);
            if self.file_takes_stream(&lock(&self.state)) {
                self.append(&mut output, layout, data)
            } else {
                Ok(())
            }
        };
        if let Err(err) = result {
            self.obj().post_error_message(file_error(&err));
            return Err(gst::FlowError::Error);
        }
        self.offer(data, &layout, self.running_time_ns(buffer))
    }

    fn event(&self, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::Eos(_) => {
                let stream = {
                    let mut state = lock(&self.state);
                    state.eos = true;
                    self.file_takes_stream(&state)
                };
                self.changed.notify_all();
                // What record() returns may still grow after the last sample has arrived.
                if stream {
                    self.close_file();
                    lock(&self.output).finished = true;
                }
            }
            gst::EventView::FlushStop(_) => {
                let mut state = lock(&self.state);
                state.ring.clear();
                state.eos = false;
            }
            _ => (),
        }
        self.parent_event(event)
    }

    fn unlock(&self) -> Result<(), gst::ErrorMessage> {
        lock(&self.state).unlocked = true;
        self.changed.notify_all();
        Ok(())
    }

    fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
        lock(&self.state).unlocked = false;
        Ok(())
    }
}

impl AudioRecordSink {
    pub(super) fn file_is_streams(&self) -> bool {
        lock(&self.settings).file_content == FileContent::Stream
    }

    /// Whether what arrives goes straight to the file.
    pub(super) fn file_takes_stream(&self, state: &State) -> bool {
        match lock(&self.settings).file_content {
            FileContent::Auto => !state.called,
            FileContent::Stream => true,
            FileContent::Calls => false,
        }
    }

    fn open_file(&self, output: &mut Output, layout: Layout) -> Result<(), FileError> {
        let location = lock(&self.settings).location.clone();
        let Some(location) = location else {
            return Ok(());
        };
        if output.recording.is_none() {
            gst::info!(CAT, imp = self, "Recording {layout:?} to {location:?}");
            output.recording = Some(Recording::create(&location, layout)?);
        }
        Ok(())
    }

    pub(super) fn append(
        &self,
        output: &mut Output,
        layout: Layout,
        data: &[u8],
    ) -> Result<(), FileError> {
        if output.finished && self.file_takes_stream(&lock(&self.state)) {
            return Ok(());
        }
        self.open_file(output, layout)?;
        match &mut output.recording {
            Some(recording) => recording.write(data),
            None => Ok(()),
        }
    }

    pub(super) fn close_file(&self) {
        let recording = lock(&self.output).recording.take();
        match recording.map(Recording::finish) {
            Some(Ok(bytes)) => gst::info!(CAT, imp = self, "Recorded {bytes} bytes"),
            Some(Err(err)) => self.obj().post_error_message(file_error(&err)),
            None => (),
        }
    }

    /// Puts samples where `record()` finds them.
    fn offer(
        &self,
        data: &[u8],
        layout: &Layout,
        start_ns: Option<u64>,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let frame = layout.frame_bytes();
        let live = self.upstream_is_live();
        let mut done = 0;
        while done < data.len() {
            let (capacity, block) = {
                let settings = lock(&self.settings);
                let frames = settings.period_size as usize * settings.period_count as usize;
                (frames * frame, settings.block)
            };
            let mut state = lock(&self.state);
            // A source that is not live has no "now" that a recording could begin at: what it
            // says first is what record() returns first.
            let listening = state.listening || (block && !state.called && !live);
            if !listening {
                return Ok(gst::FlowSuccess::Ok);
            }
            if state.running && state.unlocked {
                drop(state);
                self.obj().wait_preroll()?;
                continue;
            }
            let waits = !live && state.called;
            let room = (capacity + state.wanted).saturating_sub(state.ring.len());
            let n = if waits {
                room.min(data.len() - done)
            } else {
                data.len() - done
            };
            if n > 0 {
                let end_ns =
                    start_ns.map(|start| start + layout.duration_ns(((done + n) / frame) as u64));
                state.ring.push(&data[done..done + n], end_ns);
                done += n;
                let limit = capacity + state.wanted;
                let lost = (state.ring.shrink_to(limit, frame) / frame) as u64;
                // Before the first call nobody has asked for these samples.
                let overrun = (lost > 0 && state.called).then(|| {
                    state.lost_frames += lost;
                    let first = !std::mem::replace(&mut state.overrunning, true);
                    state.overruns += u64::from(first);
                    (first, state.overruns, state.lost_frames)
                });
                drop(state);
                self.changed.notify_all();
                if let Some((true, overruns, lost_frames)) = overrun {
                    self.post_overrun(overruns, lost_frames);
                }
            } else {
                drop(
                    self.changed
                        .wait(state)
                        .unwrap_or_else(|poisoned| poisoned.into_inner()),
                );
            }
        }
        Ok(gst::FlowSuccess::Ok)
    }

    fn upstream_is_live(&self) -> bool {
        if let Some(live) = lock(&self.state).live {
            return live;
        }
        let mut query = gst::query::Latency::new();
        let live = self.obj().sink_pad().peer_query(&mut query) && query.result().0;
        lock(&self.state).live = Some(live);
        gst::debug!(CAT, imp = self, "Upstream is live: {live}");
        live
    }

    pub(super) fn running_time_ns(&self, buffer: &gst::Buffer) -> Option<u64> {
        let segment = self.obj().segment();
        let segment = segment.downcast_ref::<gst::ClockTime>()?;
        Some(segment.to_running_time(buffer.pts()?)?.nseconds())
    }

    fn post_overrun(&self, overruns: u64, lost_frames: u64) {
        gst::warning!(
            CAT,
            imp = self,
            "Overrun {overruns}: record() is not called often enough, {lost_frames} frames lost"
        );
        let details = gst::Structure::builder("audiorecordsink-overrun")
            .field("overruns", overruns)
            .field("lost-frames", lost_frames)
            .build();
        let obj = self.obj();
        let message = gst::message::Element::builder(details).src(&*obj).build();
        let _ = obj.post_message(message);
    }
}
