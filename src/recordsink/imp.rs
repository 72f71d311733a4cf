// SPDX-License-Identifier: MIT OR Apache-2.0

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock, Mutex};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::chain::PLAYABLE;
use super::container::{Container, Elementary, VideoCodec};
use super::elementary::{Elements, Limits, Tally};
use super::encoder;
use super::gate::Gate;
use super::names::Names;
use super::plain::Plain;
use super::preroll::Preroll;
use super::settings::{self, Settings};
use super::tally::{Current, PtsFile, Totals};
use crate::streams::entry::{self, Entry};
use crate::streams::{self, missing};
use crate::sync::lock;

pub static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "recordsink",
        gst::DebugColorFlags::empty(),
        Some("Recorder by file name"),
    )
});

const ENCODED_VIDEO: &[&str] = &[
    "image/jpeg",
    "video/x-h264",
    "video/x-h265",
    "video/x-vp8",
    "video/x-vp9",
    "video/x-av1",
    "video/mpeg",
    "video/x-prores",
];

const ENCODED_AUDIO: &[&str] = &[
    "audio/mpeg",
    "audio/x-opus",
    "audio/x-vorbis",
    "audio/x-flac",
    "audio/x-ac3",
    "audio/x-alaw",
    "audio/x-mulaw",
];

/// One stream's way from its pad to the end.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) entry: Entry,
    pub(super) target: Option<gst::Pad>,
}

/// What the streams end in.
#[derive(Debug, Clone)]
pub(super) enum End {
    Split {
        splitter: gst::Element,
        muxer: gst::Element,
    },
    Plain(Arc<Plain>),
    Elements(Elements),
}

impl End {
    /// What the bin has for it.
    fn elements(&self) -> Vec<gst::Element> {
        match self {
            Self::Split { splitter, .. } => vec![splitter.clone()],
            Self::Plain(plain) => plain.elements().map(Clone::clone).into(),
            Self::Elements(sink) => vec![sink.clone().upcast()],
        }
    }
}

/// Written by the application's threads when pads come and go, by a stream's thread when its first
/// caps arrive, and by whoever changes the state.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) streams: BTreeMap<String, Stream>,
    pub(super) container: Option<Container>,
    pub(super) end: Option<End>,
    /// Between READY to PAUSED and PAUSED to READY.
    running: bool,
}

/// What frames change. A mutex of its own: it is taken for every one of them.
#[derive(Debug, Default)]
pub(super) struct Flow {
    pub(super) start: Option<u64>,
    pub(super) gates: BTreeMap<String, Gate>,
    pub(super) totals: Totals,
    pub(super) current: Arc<Mutex<Current>>,
    pub(super) pts_file: Option<PtsFile>,
}

#[derive(Debug, Default)]
pub struct RecordSink {
    pub(super) settings: Mutex<Settings>,
    pub(super) state: Mutex<State>,
    pub(super) flow: Mutex<Flow>,
    names: Mutex<Option<Names>>,
    pub(super) preroll: Preroll,
}

/// Raw pictures as encoders take them first: a source that can choose gives those.
fn video_caps() -> gst::Caps {
    let mut caps = gst_video::VideoCapsBuilder::new()
        .format_list(PLAYABLE)
        .build();
    caps.merge(caps_of("video/x-raw", ENCODED_VIDEO));
    caps
}

fn caps_of(raw: &str, encoded: &[&str]) -> gst::Caps {
    let mut caps = gst::Caps::new_empty_simple(raw);
    for name in encoded {
        caps.merge(gst::Caps::new_empty_simple(*name));
    }
    caps
}

#[glib::object_subclass]
impl ObjectSubclass for RecordSink {
    const NAME: &'static str = "GstRecordSink";
    type Type = super::RecordSink;
    type ParentType = gst::Bin;
}

impl ObjectImpl for RecordSink {
    fn constructed(&self) {
        self.parent_constructed();
        self.obj().set_suppressed_flags(gst::ElementFlags::SOURCE);
        self.obj().set_element_flags(gst::ElementFlags::SINK);
    }

    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(settings::specifications);
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let name = pspec.name();
        if !lock(&self.settings).set(name, value) {
            gst::error!(CAT, imp = self, "Property {name} cannot be set");
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let name = pspec.name();
        if name == "stats" {
            return self.stats().to_value();
        }
        let value = lock(&self.settings).get(name);
        value.unwrap_or_else(|| {
            gst::error!(CAT, imp = self, "Property {name} cannot be read");
            pspec.default_value().clone()
        })
    }

    fn signals() -> &'static [glib::subclass::Signal] {
        static SIGNALS: LazyLock<Vec<glib::subclass::Signal>> = LazyLock::new(|| {
            vec![
                // split(location or NULL): the next key unit begins another file.
                glib::subclass::Signal::builder("split")
                    .param_types([Option::<String>::static_type()])
                    .action()
                    .class_handler(|args| {
                        let element = args[0].get::<super::RecordSink>().ok()?;
                        element.imp().split(args[1].get().ok()?);
                        None
                    })
                    .build(),
                // finish(): the recording ends here, with EOS.
                glib::subclass::Signal::builder("finish")
                    .action()
                    .class_handler(|args| {
                        let element = args[0].get::<super::RecordSink>().ok()?;
                        element.imp().finish();
                        None
                    })
                    .build(),
            ]
        });
        &SIGNALS
    }
}

impl GstObjectImpl for RecordSink {}

impl ElementImpl for RecordSink {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Recorder",
                "Generic/Bin/Sink",
                "Records video and sound to the file that its location names",
                "The gst-plugin-kendryte developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            entry::pad_templates(&video_caps(), &caps_of("audio/x-raw", ENCODED_AUDIO))
        });
        &TEMPLATES
    }

    fn request_new_pad(
        &self,
        template: &gst::PadTemplate,
        _name: Option<&str>,
        _caps: Option<&gst::Caps>,
    ) -> Option<gst::Pad> {
        self.add_stream(template)
            .inspect_err(|err| gst::warning!(CAT, imp = self, "{err}"))
            .ok()
    }

    fn release_pad(&self, pad: &gst::Pad) {
        let stream = lock(&self.state).streams.remove(pad.name().as_str());
        if let Some(stream) = stream {
            stream.entry.remove(self.obj().upcast_ref());
        }
        let _ = pad.set_active(false);
        let _ = self.obj().remove_pad(pad);
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        let refuse = |message| {
            self.obj().post_error_message(message);
            gst::StateChangeError
        };
        match transition {
            gst::StateChange::NullToReady => self.check().map_err(refuse)?,
            gst::StateChange::ReadyToPaused => {
                self.set_stopping(false);
                self.prepare().map_err(refuse)?;
            }
            gst::StateChange::PausedToPlaying => self.preroll.wait(),
            gst::StateChange::PausedToReady => {
                self.set_stopping(true);
                self.release_streams();
            }
            _ => (),
        }
        let success = self.parent_change_state(transition)?;
        if transition == gst::StateChange::PausedToReady {
            self.take_apart();
        }
        Ok(success)
    }
}

impl BinImpl for RecordSink {
    fn handle_message(&self, message: gst::Message) {
        match message.view() {
            gst::MessageView::Element(element) => {
                if let Some(structure) = element.structure()
                    && structure.name() == "splitmuxsink-fragment-closed"
                    && let Ok(location) = structure.get::<String>("location")
                {
                    self.muxed(location.into());
                }
            }
            gst::MessageView::Eos(eos) => {
                if let Some(plain) = self.plain().filter(|plain| plain.is_sink(eos.src())) {
                    self.muxed(plain.location());
                    if plain.goes_on() {
                        return;
                    }
                }
            }
            gst::MessageView::Error(_) => {
                if let Some(plain) = self.plain() {
                    plain.failed();
                }
            }
            gst::MessageView::AsyncDone(_) => {
                return self.preroll.tell(|| self.parent_handle_message(message));
            }
            _ => (),
        }
        self.parent_handle_message(message);
    }
}

impl RecordSink {
    fn set_stopping(&self, stopping: bool) {
        for stream in lock(&self.state).streams.values() {
            stream.entry.stopping().store(stopping, Ordering::Release);
        }
    }

    fn plain(&self) -> Option<Arc<Plain>> {
        match &lock(&self.state).end {
            Some(End::Plain(plain)) => Some(plain.clone()),
            _ => None,
        }
    }

    /// Lets go of the threads that bring the streams. splitmuxsink wakes those that wait in it when
    /// it is stopped, but one that is about to open a file then goes to sleep for ever.
    fn release_streams(&self) {
        if let Some(plain) = self.plain() {
            plain.stop();
        }
        let targets: Vec<_> = {
            let state = lock(&self.state);
            match state.end {
                Some(End::Split { .. }) => {
                    let streams = state.streams.values();
                    streams.filter_map(|stream| stream.target.clone()).collect()
                }
                _ => Vec::new(),
            }
        };
        for target in targets {
            target.send_event(gst::event::FlushStart::new());
        }
    }

    fn stats(&self) -> gst::Structure {
        let flow = lock(&self.flow);
        let dropped = flow.gates.get("video").map_or(0, |gate| gate.dropped);
        gst::Structure::builder("recordsink-stats")
            .field("frames", flow.totals.frames)
            .field("bytes", flow.totals.bytes)
            .field("last-frame-bytes", flow.totals.last_frame_bytes)
            .field("dropped", dropped)
            .field("files", flow.totals.files)
            .build()
    }

    fn split(&self, location: Option<String>) {
        let end = lock(&self.state).end.clone();
        let Some(end) = end else {
            gst::warning!(
                CAT,
                imp = self,
                "Nothing is being recorded that could be split"
            );
            return;
        };
        if let (Some(location), Some(names)) = (location, &mut *lock(&self.names)) {
            names.ask_for(location);
        }
        match end {
            End::Split { splitter, .. } => splitter.emit_by_name::<()>("split-after", &[]),
            End::Plain(plain) => plain.split(),
            End::Elements(sink) => sink.split(),
        }
    }

    fn finish(&self) {
        let heads: Vec<_> = {
            let state = lock(&self.state);
            let mut flow = lock(&self.flow);
            state
                .streams
                .iter()
                .filter_map(|(name, stream)| {
                    let gate = flow.gates.get_mut(name)?;
                    (!std::mem::replace(&mut gate.ended, true)).then(|| stream.entry.head())
                })
                .collect()
        };
        for head in &heads {
            entry::end(head);
        }
    }

    fn add_stream(&self, template: &gst::PadTemplate) -> Result<gst::Pad, glib::BoolError> {
        let name = template.name_template().to_owned();
        {
            let state = lock(&self.state);
            if state.streams.contains_key(&name) {
                return Err(glib::bool_error!("There is a pad {name} already"));
            }
            if state.running {
                return Err(glib::bool_error!(
                    "No pad {name}: a recording's streams are chosen before it begins"
                ));
            }
        }
        let bin = self.obj();
        let ended = {
            let this = self.downgrade();
            let name = name.clone();
            move || {
                this.upgrade().is_some_and(|this| {
                    let flow = lock(&this.flow);
                    flow.gates.get(&name).is_some_and(|gate| gate.ended)
                })
            }
        };
        let entry = Entry::new(bin.upcast_ref(), template, ended)?;
        let ghost = entry.pad().clone();
        let kinds = gst::PadProbeType::EVENT_DOWNSTREAM | gst::PadProbeType::BUFFER;
        ghost.add_probe(kinds, {
            let this = self.downgrade();
            let name = name.to_owned();
            let stopping = entry.stopping().clone();
            move |pad, info| match this.upgrade() {
                Some(this) => this.arrived(&name, pad, info, &stopping),
                None => gst::PadProbeReturn::Ok,
            }
        });
        // What is built for the first caps converts them. If upstream were asked to choose again,
        // an encoder would begin a second stream, and the file with it, after the first frame.
        ghost.add_probe(gst::PadProbeType::EVENT_UPSTREAM, |_, info| {
            match info.event().map(|event| event.type_()) {
                Some(gst::EventType::Reconfigure) => gst::PadProbeReturn::Handled,
                _ => gst::PadProbeReturn::Ok,
            }
        });
        let stream = Stream {
            entry,
            target: None,
        };
        lock(&self.state).streams.insert(name, stream);
        ghost.set_active(true)?;
        bin.add_pad(&ghost)?;
        Ok(ghost.upcast())
    }

    /// What can be known to be wrong before anything starts.
    fn check(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        let settings_error =
            |text: String| gst::error_msg!(gst::ResourceError::Settings, ["{text}"]);
        let location = settings
            .location
            .as_deref()
            .filter(|location| !location.is_empty());
        let location = location.ok_or_else(|| {
            settings_error("location is not set: it names the file to record to".into())
        })?;
        let container = match (&settings.muxer, Container::of(location)) {
            (Some(_), Ok(container @ Container::Muxed { .. })) => container,
            // The named muxer makes what the extension does not say.
            (Some(_), _) => Container::Muxed {
                muxers: &[],
                video: VideoCodec::H264,
                audio: super::container::AudioCodec::Aac,
            },
            (None, container) => container.map_err(|err| settings_error(err.to_string()))?,
        };
        let mut names = Names::new(location).map_err(|err| settings_error(err.to_string()))?;
        let first = names.next_name();
        if !settings.overwrite && first.exists() {
            return Err(exists(&first));
        }
        lock(&self.state).container = Some(container);
        Ok(())
    }

    /// The end of the recording: a muxer and a file, a splitter around them, or a file.
    fn prepare(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        let (container, names) = {
            let state = lock(&self.state);
            let container = state.container.ok_or_else(|| {
                gst::error_msg!(gst::CoreError::StateChange, ["No container is known"])
            })?;
            (container, state.streams.keys().cloned().collect::<Vec<_>>())
        };
        let location = settings.location.as_deref().unwrap_or_default();
        *lock(&self.names) = Names::new(location).ok();
        let pts_file = match &settings.pts_location {
            Some(path) => Some(PtsFile::create(path).map_err(|err| {
                gst::error_msg!(
                    gst::ResourceError::OpenWrite,
                    ["The PTS file {path:?} cannot be created: {err}"]
                )
            })?),
            None => None,
        };
        let photograph = container == Container::Elementary(Elementary::Picture)
            && !lock(&self.names).as_ref().is_some_and(Names::is_numbered);
        let gates = names.iter().map(|name| {
            let interval = settings.interval.saturating_mul(1000);
            let gate = Gate::new(interval, settings.duration, u64::from(photograph));
            (name.clone(), gate)
        });
        *lock(&self.flow) = Flow {
            gates: gates.collect(),
            pts_file,
            ..Flow::default()
        };

        let end = match container {
            Container::Muxed { muxers, .. } => self.muxed_end(&settings, muxers, names.len())?,
            Container::Elementary(kind) => {
                for name in &names {
                    let fits = match kind {
                        Elementary::Audio => name == "audio",
                        _ => name == "video",
                    };
                    if !fits {
                        return Err(gst::error_msg!(
                            gst::ResourceError::Settings,
                            ["{location:?} holds no {name}: use .avi, .mp4, .mov, .mkv or .ts"]
                        ));
                    }
                }
                let limits = Limits {
                    time: (settings.split_time > 0)
                        .then(|| gst::ClockTime::from_nseconds(settings.split_time)),
                    bytes: settings.split_bytes,
                };
                let next_file = Box::new(self.next_file_of());
                let this = self.downgrade();
                let file_done = Box::new(move |tally: &Tally| {
                    if let Some(this) = this.upgrade() {
                        this.file_done(tally);
                    }
                });
                End::Elements(Elements::new(kind, limits, next_file, file_done))
            }
        };
        self.obj().add_many(end.elements()).map_err(|err| {
            gst::error_msg!(gst::CoreError::Failed, ["The bin takes no sink: {err}"])
        })?;
        let mut state = lock(&self.state);
        for (name, stream) in &mut state.streams {
            if name == "audio" {
                stream.entry.pad().set_offset(settings.audio_sync);
            }
            stream.target = match &end {
                End::Split { splitter, .. } => {
                    let pad = if name == "video" { "video" } else { "audio_%u" };
                    splitter.request_pad_simple(pad)
                }
                End::Plain(plain) => plain.pad(name),
                End::Elements(sink) => sink.static_pad("sink"),
            };
        }
        state.end = Some(end);
        state.running = true;
        Ok(())
    }

    pub(super) fn next_file_of(&self) -> impl Fn() -> Option<PathBuf> + Send + Sync + 'static {
        let this = self.downgrade();
        move || {
            let this = this.upgrade()?;
            let name = this.next_file();
            name.map_err(|err| this.obj().post_error_message(err)).ok()
        }
    }

    /// The name of the file that is about to be opened.
    pub(super) fn next_file(&self) -> Result<PathBuf, gst::ErrorMessage> {
        let name = lock(&self.names).as_mut().map(Names::next_name);
        let name = name.unwrap_or_default();
        if !lock(&self.settings).overwrite && name.exists() {
            return Err(exists(&name));
        }
        Ok(name)
    }

    /// What `streams` streams are muxed in.
    fn muxed_end(
        &self,
        settings: &Settings,
        muxers: &'static [&'static str],
        streams: usize,
    ) -> Result<End, gst::ErrorMessage> {
        let muxer = match &settings.muxer {
            Some(muxer) => streams::make(muxer),
            None => encoder::first(muxers),
        }
        .map_err(|err| missing(&err))?;
        streams::write_in_fragments(&muxer, "filesink");
        self.count_muxed(&muxer);
        // A preview behind a tee needs a thread that goes on while this one waits for PLAYING.
        let alone = streams == 1 && !settings.preview;
        if alone && settings.split_time == 0 && settings.split_bytes == 0 {
            let plain = Plain::new(muxer).map_err(|err| missing(&err))?;
            return Ok(End::Plain(Arc::new(plain)));
        }
        let splitter = streams::make("splitmuxsink").map_err(|err| missing(&err))?;
        splitter.set_property("muxer", &muxer);
        splitter.set_property("max-size-time", settings.split_time);
        splitter.set_property("max-size-bytes", settings.split_bytes);
        if settings.split_time > 0 && settings.split_bytes == 0 {
            splitter.set_property("send-keyframe-requests", true);
        }
        let next_file = self.next_file_of();
        splitter.connect("format-location-full", false, move |_| {
            let name = next_file()?;
            Some(name.to_str()?.to_value())
        });
        Ok(End::Split { splitter, muxer })
    }

    /// Counts the frames of the file that is open where they enter its muxer.
    fn count_muxed(&self, muxer: &gst::Element) {
        let current = lock(&self.flow).current.clone();
        muxer.connect_pad_added(move |_, pad| {
            let current = current.clone();
            if pad.direction() != gst::PadDirection::Sink {
                return;
            }
            pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
                // One stream is counted: the video, or the sound where there is nothing else.
                // Names do not tell which is which in every muxer.
                let video = pad.current_caps().is_some_and(|caps| {
                    caps.structure(0).is_some_and(|structure| {
                        structure.name().starts_with("video/")
                            || structure.name().starts_with("image/")
                    })
                });
                let alone = || {
                    pad.parent_element()
                        .is_none_or(|muxer| muxer.num_sink_pads() == 1)
                };
                if let Some(buffer) = info.buffer()
                    && (video || alone())
                {
                    lock(&current).add(buffer);
                }
                gst::PadProbeReturn::Ok
            });
        });
    }

    /// Everything that was made for one recording.
    fn take_apart(&self) {
        let (mut streams, end) = {
            let mut state = lock(&self.state);
            state.running = false;
            (std::mem::take(&mut state.streams), state.end.take())
        };
        let bin = self.obj();
        for stream in streams.values_mut() {
            stream.target = None;
            stream.entry.dismantle(bin.upcast_ref());
        }
        lock(&self.state).streams = streams;
        for element in end.iter().flat_map(End::elements) {
            if element.parent().is_some() {
                entry::discard(bin.upcast_ref(), &element);
            }
        }
        lock(&self.flow).pts_file = None;
    }

    /// A file that a muxer made is complete.
    fn muxed(&self, location: PathBuf) {
        let current = {
            let flow = lock(&self.flow);
            let current = std::mem::take(&mut *lock(&flow.current));
            if current.frames == 0 && flow.totals.files > 0 {
                // A sink that goes to PLAYING while EOS passes says twice that it is complete.
                return;
            }
            current
        };
        self.file_done(&Tally {
            bytes: std::fs::metadata(&location).map_or(0, |metadata| metadata.len()),
            location,
            frames: current.frames,
            duration: current.duration(),
        });
    }

    fn file_done(&self, tally: &Tally) {
        lock(&self.flow).totals.files += 1;
        gst::info!(CAT, imp = self, "Complete: {tally:?}");
        let details = gst::Structure::builder("recordsink-file")
            .field("location", tally.location.to_string_lossy().as_ref())
            .field("frames", tally.frames)
            .field("bytes", tally.bytes)
            .field("duration", tally.duration)
            .build();
        self.post_element(details);
    }

    pub(super) fn post_element(&self, details: gst::Structure) {
        let obj = self.obj();
        let message = gst::message::Element::builder(details).src(&*obj).build();
        let _ = obj.post_message(message);
    }
}

fn exists(file: &std::path::Path) -> gst::ErrorMessage {
    gst::error_msg!(
        gst::ResourceError::OpenWrite,
        ["{file:?} exists: remove it, choose another location, or set overwrite=true"]
    )
}
