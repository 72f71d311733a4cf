// SPDX-License-Identifier: MIT OR Apache-2.0

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::CAT;
use super::input::Input;
use super::recording::{Notice, Order};
use super::session::Session;
use super::shared::Shared;
use crate::ring::{Level, Limits};
use crate::sync::lock;

const DEFAULT_MAX_TIME: u64 = 30_000_000_000;
const DEFAULT_MAX_BYTES: u64 = 256 << 20;
const DEFAULT_FINISH_TIMEOUT: u64 = 15_000_000_000;

/// What [`trigger`](CircularSink::trigger) returns when no recording can begin.
pub const REFUSED: u32 = u32::MAX;

/// What the user set.
#[derive(Debug, Clone)]
pub struct Settings {
    pub location: Option<String>,
    pub limits: Limits,
    pub recording: bool,
    pub post_time: u64,
    pub split_on_trigger: bool,
    pub overwrite: bool,
    pub muxer_factory: Option<String>,
    pub sink_factory: Option<String>,
    pub muxer_properties: Option<gst::Structure>,
    pub sink_properties: Option<gst::Structure>,
    pub pts_location: Option<String>,
    pub finish_timeout: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            location: None,
            limits: Limits {
                max_time: DEFAULT_MAX_TIME,
                max_bytes: DEFAULT_MAX_BYTES,
                max_buffers: 0,
            },
            recording: false,
            post_time: 0,
            split_on_trigger: false,
            overwrite: false,
            muxer_factory: None,
            sink_factory: None,
            muxer_properties: None,
            sink_properties: None,
            pts_location: None,
            finish_timeout: DEFAULT_FINISH_TIMEOUT,
        }
    }
}

impl Settings {
    /// The settings as a recording with this number follows them.
    pub fn order(&self, id: u32, location: Option<String>) -> Order {
        Order {
            id,
            location,
            pattern: self.location.clone(),
            pts_pattern: self.pts_location.clone(),
            overwrite: self.overwrite,
            muxer: self.muxer_factory.clone(),
            sink: self.sink_factory.clone(),
            muxer_properties: self.muxer_properties.clone(),
            sink_properties: self.sink_properties.clone(),
            finish_timeout: Duration::from_nanos(self.finish_timeout),
        }
    }
}

/// Holds buffers back while the element is paused, as every sink does.
#[derive(Debug, Default)]
pub struct Gate {
    /// Written under `closed`'s lock, read by streaming threads without it.
    pub open: AtomicBool,
    /// Streaming threads are to return.
    pub closed: Mutex<bool>,
    pub changed: Condvar,
}

impl Gate {
    fn set(&self, open: bool, closed: bool) {
        let mut guard = lock(&self.closed);
        *guard = closed;
        self.open.store(open, Ordering::SeqCst);
        drop(guard);
        self.changed.notify_all();
    }
}

/// The element. Locks are taken in the order session, input, ring; settings alone.
#[derive(Debug, Default)]
pub struct CircularSink {
    pub settings: Mutex<Settings>,
    /// The recordings; written by triggers and by the recordings' threads.
    pub session: Mutex<Session>,
    /// A recording has ended; used with `session`.
    pub drained: Condvar,
    pub gate: Gate,
    /// The pads and their streams' state; written when pads come and go.
    pub inputs: Mutex<Vec<(gst::Pad, Arc<Input>)>>,
}

impl CircularSink {
    /// The ring and streams of the running session.
    pub fn shared(&self) -> Option<Arc<Shared>> {
        lock(&self.session).shared.clone()
    }

    fn level(&self) -> Level {
        self.shared()
            .map_or_else(Level::default, |shared| shared.lock().ring.level())
    }

    fn stats(&self) -> gst::Structure {
        let level = self.level();
        let session = lock(&self.session);
        gst::Structure::builder("circularsink-stats")
            .field("level-time", level.time)
            .field("level-bytes", level.bytes)
            .field("level-buffers", level.buffers)
            .field("backlog-bytes", level.backlog)
            .field("recordings-open", session.open.len() as u32)
            .field("recordings-finished", session.finished)
            .field("recordings-failed", session.failed)
            .field("buffers-skipped", session.skipped.load(Ordering::Relaxed))
            .build()
    }

    fn add_input(&self, template: &gst::PadTemplate, name: &str) -> Option<gst::Pad> {
        let input = Arc::new(Input::new(name));
        let pad = self.new_pad(template, &input);
        lock(&self.inputs).push((pad.clone(), input));
        if self.obj().current_state() >= gst::State::Paused
            && let Err(error) = pad.set_active(true)
        {
            gst::warning!(CAT, imp = self, "Can't activate {name}: {error}");
        }
        self.obj().add_pad(&pad).ok()?;
        Some(pad)
    }

    /// Checks what would keep the element from working, and begins with an empty ring.
    fn start(&self) -> Result<(), gst::StateChangeError> {
        let settings = lock(&self.settings).clone();
        let Limits {
            max_time,
            max_bytes,
            max_buffers,
        } = settings.limits;
        if max_time == 0 && max_bytes == 0 && max_buffers == 0 {
            gst::element_imp_error!(
                self,
                gst::ResourceError::Settings,
                ("Set one of max-time, max-bytes and max-buffers: without a limit the memory would fill up")
            );
            return Err(gst::StateChangeError);
        }
        self.preload(&settings);
        let shared = Arc::new(Shared::new(settings.limits));
        lock(&self.session).start(shared.clone());
        for (pad, input) in lock(&self.inputs).iter() {
            input.reset();
            if pad.is_linked() {
                input.join(&shared, true);
            }
        }
        self.gate.set(false, false);
        if settings.recording {
            self.switch(true);
        }
        Ok(())
    }

    /// Loads the plugins of the usual elements, so that the first recording starts as fast as any.
    fn preload(&self, settings: &Settings) {
        let muxer = settings.muxer_factory.clone().or_else(|| {
            let container =
                super::container::Writer::of(settings.location.as_deref(), None, &[]).ok()?;
            match container {
                super::container::Writer::Muxer(name) => Some(name),
                _ => None,
            }
        });
        let sink = settings.sink_factory.as_deref().unwrap_or("filesink");
        for name in muxer.as_deref().into_iter().chain([sink]) {
            if let Some(factory) = gst::ElementFactory::find(name)
                && factory.load().is_err()
            {
                gst::warning!(CAT, imp = self, "Can't load the plugin of {name}");
            }
        }
    }

    /// Ends what is open, within the time that was set, and forgets the ring.
    fn stop(&self) {
        self.gate.set(false, true);
        let timeout = Duration::from_nanos(lock(&self.settings).finish_timeout);
        let deadline = Instant::now() + timeout;
        if let Some(shared) = self.shared() {
            let session = lock(&self.session);
            let mut inner = shared.lock();
            for open in &session.open {
                inner.ring.seal(open.id);
            }
            drop(inner);
            drop(session);
            shared.notify();
        }
        let mut session = lock(&self.session);
        session.stopping = true;
        session.tell_all(|| Notice::Deadline(deadline));
        // The threads keep to the deadline themselves; a little more is for what they do then.
        let limit = deadline + Duration::from_secs(2);
        while !session.open.is_empty() {
            let left = limit.saturating_duration_since(Instant::now());
            if left.is_zero() {
                gst::warning!(CAT, imp = self, "Gave up waiting for recordings to end");
                break;
            }
            session = self
                .drained
                .wait_timeout(session, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        session.end();
    }

    /// What upstream's elements need until a frame arrives, and whether they are live.
    fn upstream_latency(&self) -> Option<(bool, gst::ClockTime, Option<gst::ClockTime>)> {
        let pads: Vec<_> = lock(&self.inputs).iter().map(|(p, _)| p.clone()).collect();
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
            whole = Some((
                was_live || live,
                was_min.max(if live { min } else { was_min }),
                max,
            ));
        }
        whole
    }

    /// How far what arrives is behind what happens, ns.
    pub fn lag(&self) -> i64 {
        match self.upstream_latency() {
            Some((true, min, _)) => min.nseconds().min(i64::MAX as u64) as i64,
            _ => 0,
        }
    }
}

#[glib::object_subclass]
impl ObjectSubclass for CircularSink {
    const NAME: &'static str = "GstCircularSink";
    type Type = super::CircularSink;
    type ParentType = gst::Bin;
    type Interfaces = (gst::TagSetter,);
}

impl ObjectImpl for CircularSink {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let defaults = Settings::default();
            vec![
                glib::ParamSpecString::builder("location")
                    .nick("Location")
                    .blurb("File of a recording, its format by the extension; %05d stands for the recording's number (default: none)")
                    .mutable_playing()
                    .build(),
                glib::ParamSpecUInt64::builder("max-time")
                    .nick("Maximum time")
                    .blurb("Nanoseconds before a trigger that are kept at least, and one GOP more at most (0: no such limit, default: 30 s)")
                    .default_value(defaults.limits.max_time)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecUInt64::builder("max-bytes")
                    .nick("Maximum bytes")
                    .blurb("Bytes that are kept at most over all streams, and by which a recording may fall behind (0: no limit for what is kept, 256 MiB for falling behind; default: 256 MiB)")
                    .default_value(defaults.limits.max_bytes)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecUInt64::builder("max-buffers")
                    .nick("Maximum buffers")
                    .blurb("Buffers of video that are kept at most (0: no such limit, default: 0)")
                    .mutable_playing()
                    .build(),
                glib::ParamSpecBoolean::builder("recording")
                    .nick("Recording")
                    .blurb("Record, beginning with what is kept, until set to false (default: false)")
                    .mutable_playing()
                    .build(),
                glib::ParamSpecUInt64::builder("post-time")
                    .nick("Post time")
                    .blurb("Nanoseconds after its last trigger at which a recording ends by itself (0: it does not, default: 0)")
                    .mutable_playing()
                    .build(),
                glib::ParamSpecBoolean::builder("split-on-trigger")
                    .nick("Split on trigger")
                    .blurb("Whether a trigger during a recording ends it at the next key unit, where the new one begins, with no frame lost (default: false)")
                    .mutable_playing()
                    .build(),
                glib::ParamSpecBoolean::builder("overwrite")
                    .nick("Overwrite")
                    .blurb("Whether files that exist are overwritten; if not, numbers in use are passed over, and a recording without a number in its name fails (default: false)")
                    .mutable_playing()
                    .build(),
                glib::ParamSpecString::builder("muxer-factory")
                    .nick("Muxer factory")
                    .blurb("Name of the element that writes the format (default: none, by the location's extension)")
                    .mutable_playing()
                    .build(),
                glib::ParamSpecString::builder("sink-factory")
                    .nick("Sink factory")
                    .blurb("Name of the element that stores the recording (default: none, filesink)")
                    .mutable_playing()
                    .build(),
                glib::ParamSpecBoxed::builder::<gst::Structure>("muxer-properties")
                    .nick("Muxer properties")
                    .blurb("Properties of the muxer: properties,name=value,... (default: none)")
                    .mutable_playing()
                    .build(),
                glib::ParamSpecBoxed::builder::<gst::Structure>("sink-properties")
                    .nick("Sink properties")
                    .blurb("Properties of the sink: properties,name=value,... (default: none)")
                    .mutable_playing()
                    .build(),
                glib::ParamSpecString::builder("pts-location")
                    .nick("PTS location")
                    .blurb("File for the frames' times, a line each, milliseconds from the recording's start with three decimals; %05d stands for the recording's number (default: none)")
                    .mutable_playing()
                    .build(),
                glib::ParamSpecUInt64::builder("finish-timeout")
                    .nick("Finish timeout")
                    .blurb("Nanoseconds that open recordings get at a change of state to READY, and at the end of the stream without anything being written (default: 15 s)")
                    .default_value(defaults.finish_timeout)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecUInt64::builder("level-time")
                    .nick("Level in time")
                    .blurb("Nanoseconds of video that are kept now")
                    .read_only()
                    .build(),
                glib::ParamSpecUInt64::builder("level-bytes")
                    .nick("Level in bytes")
                    .blurb("Bytes that are kept now, over all streams")
                    .read_only()
                    .build(),
                glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                    .nick("Statistics")
                    .blurb("level-time (ns), level-bytes, level-buffers, backlog-bytes, recordings-open, recordings-finished, recordings-failed, buffers-skipped")
                    .read_only()
                    .build(),
            ]
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = lock(&self.settings);
        // The types are those of the specifications above, which GObject has checked.
        let uint64 = || value.get::<u64>().unwrap_or_default();
        let boolean = || value.get::<bool>().unwrap_or_default();
        let string = || {
            let text = value.get::<Option<String>>().ok().flatten();
            text.filter(|text| !text.is_empty())
        };
        let structure = || value.get::<Option<gst::Structure>>().ok().flatten();
        match pspec.name() {
            "location" => settings.location = string(),
            "max-time" => settings.limits.max_time = uint64(),
            "max-bytes" => settings.limits.max_bytes = uint64(),
            "max-buffers" => settings.limits.max_buffers = uint64(),
            "recording" => settings.recording = boolean(),
            "post-time" => settings.post_time = uint64(),
            "split-on-trigger" => settings.split_on_trigger = boolean(),
            "overwrite" => settings.overwrite = boolean(),
            "muxer-factory" => settings.muxer_factory = string(),
            "sink-factory" => settings.sink_factory = string(),
            "muxer-properties" => settings.muxer_properties = structure(),
            "sink-properties" => settings.sink_properties = structure(),
            "pts-location" => settings.pts_location = string(),
            "finish-timeout" => settings.finish_timeout = uint64(),
            other => gst::error!(CAT, imp = self, "No property '{other}' to set"),
        }
        let limits = settings.limits;
        drop(settings);
        match pspec.name() {
            "recording" => self.switch(boolean()),
            "max-time" | "max-bytes" | "max-buffers" => {
                if let Some(shared) = self.shared() {
                    shared.lock().ring.set_limits(limits);
                }
            }
            _ => (),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "level-time" => return self.level().time.to_value(),
            "level-bytes" => return self.level().bytes.to_value(),
            "stats" => return self.stats().to_value(),
            _ => (),
        }
        let settings = lock(&self.settings);
        match pspec.name() {
            "location" => settings.location.to_value(),
            "max-time" => settings.limits.max_time.to_value(),
            "max-bytes" => settings.limits.max_bytes.to_value(),
            "max-buffers" => settings.limits.max_buffers.to_value(),
            "recording" => settings.recording.to_value(),
            "post-time" => settings.post_time.to_value(),
            "split-on-trigger" => settings.split_on_trigger.to_value(),
            "overwrite" => settings.overwrite.to_value(),
            "muxer-factory" => settings.muxer_factory.to_value(),
            "sink-factory" => settings.sink_factory.to_value(),
            "muxer-properties" => settings.muxer_properties.to_value(),
            "sink-properties" => settings.sink_properties.to_value(),
            "pts-location" => settings.pts_location.to_value(),
            "finish-timeout" => settings.finish_timeout.to_value(),
            other => {
                gst::error!(CAT, imp = self, "No property '{other}' to get");
                pspec.default_value().clone()
            }
        }
    }

    fn signals() -> &'static [glib::subclass::Signal] {
        static SIGNALS: LazyLock<Vec<glib::subclass::Signal>> = LazyLock::new(|| {
            vec![
                // Starts a recording of the location, or of the property's if it is NULL, and
                // returns its number. A running recording that a trigger without a location
                // started is extended instead; with split-on-trigger it is succeeded.
                // Returns G_MAXUINT when the element is not at least PAUSED.
                glib::subclass::Signal::builder("trigger")
                    .action()
                    .param_types([String::static_type()])
                    .return_type::<u32>()
                    .class_handler(|args| {
                        let element = args[0].get::<super::CircularSink>().ok()?;
                        let location = args[1].get::<Option<String>>().ok().flatten();
                        Some(element.imp().trigger(location, None, false).to_value())
                    })
                    .build(),
                // Ends all recordings with what has arrived.
                glib::subclass::Signal::builder("finish")
                    .action()
                    .class_handler(|args| {
                        if let Ok(element) = args[0].get::<super::CircularSink>() {
                            element.imp().finish();
                        }
                        None
                    })
                    .build(),
                // Asks for the name of a recording: its number, its first buffer with its caps.
                // Emitted from the recording's thread; NULL leaves the choice to the properties.
                glib::subclass::Signal::builder("format-location")
                    .param_types([u32::static_type(), gst::Sample::static_type()])
                    .return_type::<Option<String>>()
                    .build(),
            ]
        });
        &SIGNALS
    }

    fn constructed(&self) {
        self.parent_constructed();
        let obj = self.obj();
        // Recordings come and go inside; whether this is a sink does not depend on them.
        obj.set_suppressed_flags(gst::ElementFlags::SOURCE | gst::ElementFlags::SINK);
        obj.set_element_flags(gst::ElementFlags::SINK);
        if let Some(template) = obj.pad_template("video") {
            self.add_input(&template, "video");
        }
    }
}

impl GstObjectImpl for CircularSink {}

impl ElementImpl for CircularSink {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Circular recorder",
                "Generic/Bin/Sink",
                "Records video and sound from before a trigger",
                env!("CARGO_PKG_AUTHORS"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            // The pad "video" exists from the beginning; that it can be requested too serves
            // applications written for splitmuxsink.
            [
                ("video", super::input::video_caps()),
                ("audio_%u", super::input::audio_caps()),
            ]
            .into_iter()
            .filter_map(|(name, caps)| {
                let (sink, request) = (gst::PadDirection::Sink, gst::PadPresence::Request);
                gst::PadTemplate::new(name, sink, request, &caps).ok()
            })
            .collect()
        });
        &TEMPLATES
    }

    fn request_new_pad(
        &self,
        template: &gst::PadTemplate,
        name: Option<&str>,
        _caps: Option<&gst::Caps>,
    ) -> Option<gst::Pad> {
        if template.name_template() == "video" {
            let pad = self.obj().static_pad("video")?;
            return (!pad.is_linked()).then_some(pad);
        }
        let taken = |name: &str| self.obj().static_pad(name).is_some();
        let name = match name {
            Some(name) if !taken(name) => name.to_owned(),
            Some(name) => {
                gst::warning!(CAT, imp = self, "There is a pad '{name}' already");
                return None;
            }
            None => (0..)
                .map(|number| format!("audio_{number}"))
                .find(|name| !taken(name))?,
        };
        self.add_input(template, &name)
    }

    fn release_pad(&self, pad: &gst::Pad) {
        if pad.name() == "video" {
            return;
        }
        let input = {
            let mut inputs = lock(&self.inputs);
            let at = inputs.iter().position(|(p, _)| p == pad);
            at.map(|at| inputs.remove(at).1)
        };
        if let Err(error) = pad.set_active(false) {
            gst::warning!(CAT, imp = self, "Can't deactivate {}: {error}", pad.name());
        }
        if let Some(input) = input {
            input.leave();
        }
        if let Err(error) = self.obj().remove_pad(pad) {
            gst::warning!(CAT, imp = self, "Can't remove {}: {error}", pad.name());
        }
        self.check_end();
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            gst::StateChange::ReadyToPaused => self.start()?,
            gst::StateChange::PausedToPlaying => self.gate.set(true, false),
            gst::StateChange::PlayingToPaused => self.gate.set(false, false),
            gst::StateChange::PausedToReady => self.stop(),
            _ => (),
        }
        let result = self.parent_change_state(transition);
        if transition == gst::StateChange::PausedToReady {
            let shared = lock(&self.session).shared.take();
            for (_, input) in lock(&self.inputs).iter() {
                input.reset();
            }
            drop(shared);
        }
        result
    }

    fn send_event(&self, event: gst::Event) -> bool {
        use gst::EventView;
        match event.view() {
            EventView::CustomDownstream(custom) => self.trigger_by_event(custom.structure(), false),
            EventView::CustomDownstreamOob(custom) => {
                self.trigger_by_event(custom.structure(), false)
            }
            EventView::CustomBoth(custom) => self.trigger_by_event(custom.structure(), false),
            EventView::CustomBothOob(custom) => self.trigger_by_event(custom.structure(), false),
            EventView::CustomUpstream(custom)
                if self.trigger_by_event(custom.structure(), false) =>
            {
                true
            }
            // The recordings inside are none of the application's: what goes upstream goes
            // through the pads.
            _ if event.is_upstream() => {
                let pads: Vec<_> = lock(&self.inputs).iter().map(|(p, _)| p.clone()).collect();
                let mut sent = false;
                for pad in pads.iter().filter(|pad| pad.is_linked()) {
                    sent |= pad.push_event(event.clone());
                }
                sent
            }
            _ => false,
        }
    }

    fn query(&self, query: &mut gst::QueryRef) -> bool {
        use gst::QueryViewMut;
        match query.view_mut() {
            QueryViewMut::Latency(latency) => {
                // The streams are not synchronised to the clock: their latency is upstream's.
                let (live, min, max) =
                    self.upstream_latency()
                        .unwrap_or((false, gst::ClockTime::ZERO, None));
                latency.set(live, min, max);
                true
            }
            QueryViewMut::Position(position) if position.format() == gst::Format::Time => {
                let newest = self.shared().and_then(|s| s.lock().ring.newest());
                let Some(newest) = newest.and_then(|time| u64::try_from(time).ok()) else {
                    return false;
                };
                position.set(gst::ClockTime::from_nseconds(newest));
                true
            }
            _ => {
                let pads: Vec<_> = lock(&self.inputs).iter().map(|(p, _)| p.clone()).collect();
                pads.iter()
                    .filter(|pad| pad.is_linked())
                    .any(|pad| pad.peer_query(query))
            }
        }
    }
}

impl BinImpl for CircularSink {
    fn handle_message(&self, message: gst::Message) {
        use gst::MessageView;
        let Some(notices) = message.src().and_then(|source| {
            let session = lock(&self.session);
            let open = session.open.iter().find(|open| {
                open.bin.as_ref().is_some_and(|bin| {
                    source == bin.upcast_ref::<gst::Object>() || source.has_as_ancestor(bin)
                })
            })?;
            Some(open.notices.clone())
        }) else {
            self.parent_handle_message(message);
            return;
        };
        let notice = match message.view() {
            MessageView::Eos(_) => Notice::Eos,
            MessageView::Error(error) => {
                gst::warning!(CAT, imp = self, "A recording failed: {message:?}");
                let source = message.src().map(|s| s.name()).unwrap_or_default();
                Notice::Error(format!("{source}: {}", error.error()))
            }
            // What concerns the pipeline's state, clock and length: a recording's is its own.
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
            | MessageView::RequestState(_) => return,
            _ => {
                self.parent_handle_message(message);
                return;
            }
        };
        // Nobody listens any more when the recording is being taken apart.
        let _ = notices.send(notice);
    }
}

impl gst::subclass::prelude::TagSetterImpl for CircularSink {}
