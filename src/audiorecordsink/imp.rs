// SPDX-License-Identifier: MIT OR Apache-2.0

use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;

use super::CAT;
use super::calls::Amount;
use super::recorder::{Offered, Overrun, Recorder};
use super::settings::{PROPERTIES, caps_for};
use crate::failure;
use crate::streams::sentences::{Takes, nothing_came, without_caps};
use crate::streams::{file_error, files, layout_of};
use crate::sync::lock;
use avi_mjpeg::pcm::Layout;
use avi_mjpeg::pcm::file::{FileError, Kind};

#[derive(Debug, Default)]
pub struct AudioRecordSink {
    recorder: Recorder,
    /// What comes is turned away, as what went wrong was posted.
    failed: AtomicBool,
    /// Samples have come.
    came: AtomicBool,
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
        // All that comes is the recording.
        self.obj().set_drop_out_of_segment(false);
    }

    fn properties() -> &'static [glib::ParamSpec] {
        PROPERTIES.specs()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut output = lock(&self.recorder.output);
        if pspec.name() == "location" {
            if output.recording.is_some() {
                gst::warning!(CAT, imp = self, "A file is open: finish() it first");
                return;
            }
            output.finished = false;
        }
        PROPERTIES.set(&self.recorder.settings, pspec, value);
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let state = lock(&self.recorder.state);
        match (pspec.name(), state.layout) {
            ("remaining-frames", layout) => layout
                .map_or(0, |layout| (state.ring.len() / layout.frame_bytes()) as u64)
                .to_value(),
            ("frame-size", layout) => layout.map_or(0, |l| l.frame_bytes() as u32).to_value(),
            ("overruns", _) => state.overruns.to_value(),
            ("lost-frames", _) => state.lost_frames.to_value(),
            ("sample-rate", Some(layout)) => layout.rate.to_value(),
            ("channels", Some(layout)) => u32::from(layout.channels).to_value(),
            _ => {
                drop(state);
                PROPERTIES.get(&self.recorder.settings, pspec)
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
                        element.imp().recorder.reset(args[1].get().ok()?);
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
            gst::StateChange::NullToReady => self.check().map_err(|message| {
                self.obj().post_error_message(message);
                gst::StateChangeError
            })?,
            gst::StateChange::ReadyToPaused => {
                self.failed.store(false, Ordering::SeqCst);
                self.came.store(false, Ordering::SeqCst);
                self.recorder.start();
            }
            // Before the pad is shut.
            gst::StateChange::PausedToReady => self.recorder.stop(),
            _ => (),
        }
        let success = self.parent_change_state(transition)?;
        if transition == gst::StateChange::PausedToReady {
            self.told(self.recorder.close_file());
            let mut state = lock(&self.recorder.state);
            state.layout = None;
            state.ring.clear();
        }
        Ok(success)
    }
}

impl BaseSinkImpl for AudioRecordSink {
    fn caps(&self, filter: Option<&gst::Caps>) -> Option<gst::Caps> {
        let (location, rate, channels) = {
            let settings = lock(&self.recorder.settings);
            (
                settings.location.clone(),
                settings.sample_rate,
                settings.channels,
            )
        };
        let kind = location.and_then(|location| Kind::of(Path::new(&location)).ok());
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
        self.failed.store(false, Ordering::SeqCst);
        // Caps that are refused would have upstream post an error of its own: what comes with them is
        // turned away instead.
        let refused = match self.recorder.set_layout(layout) {
            Ok(true) => return Ok(()),
            Ok(false) => gst::error_msg!(
                gst::StreamError::Format,
                ("The audio format changed while recording, and a file holds one format: \
                     put audioconvert ! audioresample and a caps filter before the recorder")
            ),
            Err(err) => file_error(&err),
        };
        let _ = self.fail(refused);
        Ok(())
    }

    fn render(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        if self.failed.load(Ordering::SeqCst) {
            return Err(failure::POSTED);
        }
        let Some(layout) = lock(&self.recorder.state).layout else {
            return Err(self.fail(without_caps("audio", Takes::Raw, buffer)));
        };
        let frames = {
            let map = buffer.map_readable().map_err(|_| {
                self.fail(gst::error_msg!(
                    gst::ResourceError::Read,
                    ("Cannot map a buffer")
                ))
            })?;
            self.recorder.frames(&map, &layout)
        };
        self.came.store(true, Ordering::SeqCst);
        let written = self.recorder.write(layout, &frames);
        written.map_err(|err| self.fail(file_error(&err)))?;
        self.offer(&frames, &layout, self.running_time_ns(buffer))
    }

    fn event(&self, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::Eos(_) => {
                let ended = self.recorder.end();
                if !self.failed.load(Ordering::SeqCst) {
                    self.told(ended);
                    self.tell_of_nothing();
                }
            }
            gst::EventView::FlushStop(_) => self.recorder.flush(),
            _ => (),
        }
        self.parent_event(event)
    }

    fn unlock(&self) -> Result<(), gst::ErrorMessage> {
        lock(&self.recorder.state).unlocked = true;
        self.recorder.changed.notify_all();
        Ok(())
    }

    fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
        lock(&self.recorder.state).unlocked = false;
        Ok(())
    }
}

impl AudioRecordSink {
    /// What can be known to be wrong before anything starts.
    fn check(&self) -> Result<(), gst::ErrorMessage> {
        let location = lock(&self.recorder.settings).location.clone();
        let Some(location) = location else {
            return Ok(());
        };
        let path = Path::new(&location);
        Kind::of(path).map_err(|err| file_error(&err))?;
        files::check_directory(path)
            .and_then(|()| files::check_unclaimed(path))
            .map_err(|err| gst::error_msg!(gst::ResourceError::OpenWrite, ("{err}")))
    }

    /// Records no more, and says why.
    fn fail(&self, message: gst::ErrorMessage) -> gst::FlowError {
        self.failed.store(true, Ordering::SeqCst);
        self.obj().post_error_message(message);
        failure::POSTED
    }

    /// Posts what went wrong with the file.
    fn told(&self, result: Result<(), FileError>) {
        match result {
            // Nothing failed: the recording was deleted or moved away.
            Err(err @ FileError::Gone(_)) => {
                gst::element_imp_warning!(self, gst::ResourceError::NotFound, ("{err}"));
            }
            Err(err) => self.obj().post_error_message(file_error(&err)),
            Ok(()) => (),
        }
    }

    /// A file without samples is no surprise to whoever calls for them.
    fn tell_of_nothing(&self) {
        let is_streams = self.recorder.file_takes_stream(&lock(&self.recorder.state));
        let location = lock(&self.recorder.settings).location.clone();
        if let Some(location) = location.filter(|_| is_streams && !self.came.load(Ordering::SeqCst))
        {
            let text = nothing_came(&[], &format!("there is nothing in '{location}'"));
            gst::element_imp_warning!(self, gst::StreamError::Failed, ("{text}"));
        }
    }

    fn record(&self, amount: Amount) -> gst::Buffer {
        let (buffer, result) = self.recorder.record(amount);
        self.told(result);
        buffer
    }

    fn finish(&self) {
        self.told(self.recorder.finish());
    }

    /// Puts samples where `record()` finds them.
    fn offer(
        &self,
        data: &[u8],
        layout: &Layout,
        start_ns: Option<u64>,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let live = self.upstream_is_live();
        let frame = layout.frame_bytes();
        let mut done = 0;
        while let Some(rest) = data.get(done..).filter(|rest| !rest.is_empty()) {
            let start = start_ns.map(|start| start + layout.duration_ns((done / frame) as u64));
            let (offered, overrun) = self.recorder.offer(rest, layout, start, live);
            if let Some(overrun) = overrun {
                self.post_overrun(overrun);
            }
            match offered {
                Offered::Bytes(n) => done += n,
                Offered::Unheard => break,
                Offered::Unlocked => drop(self.obj().wait_preroll()?),
            }
        }
        Ok(gst::FlowSuccess::Ok)
    }

    fn upstream_is_live(&self) -> bool {
        if let Some(live) = lock(&self.recorder.state).live {
            return live;
        }
        let mut query = gst::query::Latency::new();
        let live = self.obj().sink_pad().peer_query(&mut query) && query.result().0;
        lock(&self.recorder.state).live = Some(live);
        gst::debug!(CAT, imp = self, "Upstream is live: {live}");
        live
    }

    fn running_time_ns(&self, buffer: &gst::Buffer) -> Option<u64> {
        let pts = buffer.pts()?;
        let segment = self.obj().segment();
        if segment.format() == gst::Format::Undefined {
            // None has come, and GStreamer's sinks take timestamps for running times then.
            return Some(pts.nseconds());
        }
        let segment = segment.downcast_ref::<gst::ClockTime>()?;
        Some(segment.to_running_time(pts)?.nseconds())
    }

    fn post_overrun(&self, overrun: Overrun) {
        let Overrun {
            overruns,
            lost_frames,
        } = overrun;
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
