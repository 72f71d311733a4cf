// SPDX-License-Identifier: MIT OR Apache-2.0

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::chain::{PLAYABLE, audio_chain, link_preview, preview_chain, video_chain};
use super::container::{Container, Elementary, VideoCodec};
use super::elementary::{Elements, Limits, Tally};
use super::encoder;
use super::gate::{Gate, Verdict};
use super::names::Names;
use super::quality::Quality;
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

/// What the user set.
#[derive(Debug, Default, Clone)]
pub struct Settings {
    pub location: Option<String>,
    pub quality: Quality,
    pub bitrate: u32,
    pub interval: u64,
    pub duration: u64,
    pub pts_location: Option<PathBuf>,
    pub split_time: u64,
    pub split_bytes: u64,
    pub overwrite: bool,
    pub video_encoder: Option<String>,
    pub audio_encoder: Option<String>,
    pub muxer: Option<String>,
    pub audio_sync: i64,
    pub preview: bool,
    pub frame_messages: bool,
}

/// One stream's way from its pad to the end.
#[derive(Debug)]
struct Stream {
    entry: Entry,
    target: Option<gst::Pad>,
}

/// What the streams end in.
#[derive(Debug, Clone)]
enum End {
    Split {
        splitter: gst::Element,
        muxer: gst::Element,
    },
    Elements(Elements),
}

impl End {
    fn element(&self) -> &gst::Element {
        match self {
            Self::Split { splitter, .. } => splitter,
            Self::Elements(sink) => sink.upcast_ref(),
        }
    }
}

/// Counted over the whole recording.
#[derive(Debug, Default)]
struct Totals {
    frames: u64,
    bytes: u64,
    last_frame_bytes: u64,
    files: u64,
}

/// Frames of the file that is open, counted where they enter the muxer.
#[derive(Debug, Default)]
struct Current {
    frames: u64,
    first: Option<gst::ClockTime>,
    end: Option<gst::ClockTime>,
    step: Option<gst::ClockTime>,
}

impl Current {
    fn add(&mut self, buffer: &gst::BufferRef) {
        self.frames += 1;
        let Some(pts) = buffer.pts() else { return };
        if let Some(last) = self.end {
            self.step = pts.checked_sub(last).or(self.step);
        }
        let first = self.first.unwrap_or(pts);
        self.first = Some(first.min(pts));
        self.end = Some(self.end.unwrap_or(pts).max(pts));
        if buffer.duration().is_some() {
            self.step = buffer.duration();
        }
    }

    fn duration(&self) -> gst::ClockTime {
        match (self.first, self.end) {
            (Some(first), Some(end)) => end - first + self.step.unwrap_or_default(),
            _ => gst::ClockTime::ZERO,
        }
    }
}

/// The PTS file: picamera2's format, one line a frame, milliseconds with three decimals after the
/// first frame (`picamera2/outputs/output.py`).
#[derive(Debug)]
struct PtsFile {
    file: File,
    first: Option<gst::ClockTime>,
}

/// Written by the application's threads when pads come and go, by a stream's thread when its first
/// caps arrive, and by whoever changes the state.
#[derive(Debug, Default)]
struct State {
    streams: BTreeMap<String, Stream>,
    container: Option<Container>,
    end: Option<End>,
    /// Between READY to PAUSED and PAUSED to READY.
    running: bool,
}

/// What frames change. A mutex of its own: it is taken for every one of them.
#[derive(Debug, Default)]
struct Flow {
    start: Option<u64>,
    gates: BTreeMap<String, Gate>,
    totals: Totals,
    current: Arc<Mutex<Current>>,
    pts_file: Option<PtsFile>,
}

#[derive(Debug)]
pub struct RecordSink {
    settings: Mutex<Settings>,
    state: Mutex<State>,
    flow: Mutex<Flow>,
    names: Mutex<Option<Names>>,
}

impl Default for RecordSink {
    fn default() -> Self {
        Self {
            settings: Mutex::new(Settings {
                overwrite: true,
                ..Settings::default()
            }),
            state: Mutex::default(),
            flow: Mutex::default(),
            names: Mutex::default(),
        }
    }
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
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            vec![
                glib::ParamSpecString::builder("location")
                    .nick("Location")
                    .blurb(
                        "File to record to; its extension chooses the format. %d or %05d stands \
                         for the file's number (default: none)",
                    )
                    .mutable_ready()
                    .build(),
                glib::ParamSpecEnum::builder_with_default("quality", Quality::Medium)
                    .nick("Quality")
                    .blurb("Quality where bitrate is 0, in picamera2's levels (default medium)")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt::builder("bitrate")
                    .nick("Bit rate")
                    .blurb("Bit rate of encoded video in kbit/s; 0: as quality says (default 0)")
                    .maximum(1_000_000)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt64::builder("interval")
                    .nick("Interval")
                    .blurb(
                        "Least time from one frame to the next in microseconds, as MaixPy's \
                         video.open(interval); frames that come sooner are not recorded; 0: all \
                         frames (default 0)",
                    )
                    .maximum(u64::MAX / 1000)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt64::builder("duration")
                    .nick("Duration")
                    .blurb(
                        "Length of the recording in nanoseconds, after which it ends with EOS; 0: \
                         until it is ended (default 0)",
                    )
                    .mutable_ready()
                    .build(),
                glib::ParamSpecString::builder("pts-location")
                    .nick("PTS location")
                    .blurb(
                        "File for the frames' times: one line a frame, milliseconds with three \
                         decimals, the first 0.000 (default: none)",
                    )
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt64::builder("split-time")
                    .nick("Split time")
                    .blurb(
                        "Length of a file in nanoseconds, after which the next key unit begins \
                         another; 0: no limit (default 0)",
                    )
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt64::builder("split-bytes")
                    .nick("Split bytes")
                    .blurb(
                        "Size of a file in bytes that is not passed as long as key units come \
                         often enough; 0: no limit (default 0)",
                    )
                    .mutable_ready()
                    .build(),
                glib::ParamSpecBoolean::builder("overwrite")
                    .nick("Overwrite")
                    .blurb("Overwrite files that exist; otherwise that is an error (default true)")
                    .default_value(true)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecString::builder("video-encoder")
                    .nick("Video encoder")
                    .blurb(
                        "Element that encodes raw video, or the name of a codec: h264, h265, \
                         mjpeg (default: by extension)",
                    )
                    .mutable_ready()
                    .build(),
                glib::ParamSpecString::builder("audio-encoder")
                    .nick("Audio encoder")
                    .blurb("Element that encodes raw sound (default: by extension)")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecString::builder("muxer")
                    .nick("Muxer")
                    .blurb("Element that makes the container (default: by extension)")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecInt64::builder("audio-sync")
                    .nick("Audio sync")
                    .blurb(
                        "Nanoseconds to add to the time of sound; negative: sound comes earlier, \
                         as with picamera2's FfmpegOutput (default 0)",
                    )
                    .mutable_ready()
                    .build(),
                glib::ParamSpecBoolean::builder("preview")
                    .nick("Preview")
                    .blurb("Show the video while it is recorded (default false)")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecBoolean::builder("frame-messages")
                    .nick("Frame messages")
                    .blurb("Post an element message for each recorded frame (default false)")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                    .nick("Statistics")
                    .blurb(
                        "frames, bytes (encoded video), last-frame-bytes (what MaixPy's record() \
                         returns), dropped (frames that came before the interval had passed), \
                         files (complete ones)",
                    )
                    .read_only()
                    .build(),
            ]
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = lock(&self.settings);
        // The types are those of the specifications above, which GObject has checked.
        let value_error = "value of the property's type";
        let text = || value.get::<Option<String>>().expect(value_error);
        match pspec.name() {
            "location" => settings.location = text(),
            "quality" => settings.quality = value.get().expect(value_error),
            "bitrate" => settings.bitrate = value.get().expect(value_error),
            "interval" => settings.interval = value.get().expect(value_error),
            "duration" => settings.duration = value.get().expect(value_error),
            "pts-location" => settings.pts_location = text().map(PathBuf::from),
            "split-time" => settings.split_time = value.get().expect(value_error),
            "split-bytes" => settings.split_bytes = value.get().expect(value_error),
            "overwrite" => settings.overwrite = value.get().expect(value_error),
            "video-encoder" => settings.video_encoder = text(),
            "audio-encoder" => settings.audio_encoder = text(),
            "muxer" => settings.muxer = text(),
            "audio-sync" => settings.audio_sync = value.get().expect(value_error),
            "preview" => settings.preview = value.get().expect(value_error),
            "frame-messages" => settings.frame_messages = value.get().expect(value_error),
            name => gst::error!(CAT, imp = self, "Property {name} cannot be set"),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let settings = lock(&self.settings).clone();
        match pspec.name() {
            "location" => settings.location.to_value(),
            "quality" => settings.quality.to_value(),
            "bitrate" => settings.bitrate.to_value(),
            "interval" => settings.interval.to_value(),
            "duration" => settings.duration.to_value(),
            "pts-location" => settings.pts_location.to_value(),
            "split-time" => settings.split_time.to_value(),
            "split-bytes" => settings.split_bytes.to_value(),
            "overwrite" => settings.overwrite.to_value(),
            "video-encoder" => settings.video_encoder.to_value(),
            "audio-encoder" => settings.audio_encoder.to_value(),
            "muxer" => settings.muxer.to_value(),
            "audio-sync" => settings.audio_sync.to_value(),
            "preview" => settings.preview.to_value(),
            "frame-messages" => settings.frame_messages.to_value(),
            "stats" => self.stats().to_value(),
            name => {
                gst::error!(CAT, imp = self, "Property {name} cannot be read");
                pspec.default_value().clone()
            }
        }
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
            gst::StateChange::ReadyToPaused => self.prepare().map_err(refuse)?,
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
        if let gst::MessageView::Element(element) = message.view()
            && let Some(structure) = element.structure()
            && structure.name() == "splitmuxsink-fragment-closed"
            && let Ok(location) = structure.get::<String>("location")
        {
            let current = std::mem::take(&mut *lock(&lock(&self.flow).current));
            self.file_done(&Tally {
                bytes: std::fs::metadata(&location).map_or(0, |metadata| metadata.len()),
                location: location.into(),
                frames: current.frames,
                duration: current.duration(),
            });
        }
        self.parent_handle_message(message);
    }
}

impl RecordSink {
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
        let entry = Entry::new(bin.upcast_ref(), template, |ghost| {
            ghost.chain_function({
                let this = self.downgrade();
                let name = name.to_owned();
                move |pad, parent, buffer| {
                    let flow = gst::ProxyPad::chain_default(pad, parent, buffer);
                    // A tee upstream would stop its other branches at the EOS that finish() puts
                    // ahead of a buffer on its way.
                    let ended = || {
                        this.upgrade().is_some_and(|this| {
                            lock(&this.flow)
                                .gates
                                .get(&name)
                                .is_some_and(|gate| gate.ended)
                        })
                    };
                    match flow {
                        Err(gst::FlowError::Eos) if ended() => Ok(gst::FlowSuccess::Ok),
                        flow => flow,
                    }
                }
            })
        })?;
        let ghost = entry.pad().clone();
        let kinds = gst::PadProbeType::EVENT_DOWNSTREAM | gst::PadProbeType::BUFFER;
        ghost.add_probe(kinds, {
            let this = self.downgrade();
            let name = name.to_owned();
            move |pad, info| match this.upgrade() {
                Some(this) => this.arrived(&name, pad, info),
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

    /// The end of the recording: a splitter around a muxer, or a file.
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
            Some(path) => Some(PtsFile {
                file: File::create(path).map_err(|err| {
                    gst::error_msg!(
                        gst::ResourceError::OpenWrite,
                        ["The PTS file {path:?} cannot be created: {err}"]
                    )
                })?,
                first: None,
            }),
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
            Container::Muxed { muxers, .. } => self.splitter(&settings, muxers)?,
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
                let next_file = self.next_file_of();
                let this = self.downgrade();
                let file_done = Box::new(move |tally: &Tally| {
                    if let Some(this) = this.upgrade() {
                        this.file_done(tally);
                    }
                });
                End::Elements(Elements::new(kind, limits, next_file, file_done))
            }
        };
        self.obj().add(end.element()).map_err(|err| {
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
                End::Elements(sink) => sink.static_pad("sink"),
            };
        }
        state.end = Some(end);
        state.running = true;
        Ok(())
    }

    fn next_file_of(&self) -> Box<dyn Fn() -> Option<PathBuf> + Send> {
        let this = self.downgrade();
        Box::new(move || this.upgrade()?.next_file())
    }

    /// The name of the file that is about to be opened; `None`, and an error, when it is taken.
    fn next_file(&self) -> Option<PathBuf> {
        let name = lock(&self.names).as_mut()?.next_name();
        if !lock(&self.settings).overwrite && name.exists() {
            self.obj().post_error_message(exists(&name));
            return None;
        }
        Some(name)
    }

    fn splitter(
        &self,
        settings: &Settings,
        muxers: &'static [&'static str],
    ) -> Result<End, gst::ErrorMessage> {
        let muxer = match &settings.muxer {
            Some(muxer) => streams::make(muxer),
            None => encoder::first(muxers),
        }
        .map_err(|err| missing(&err))?;
        let splitter = streams::make("splitmuxsink").map_err(|err| missing(&err))?;
        splitter.set_property("muxer", &muxer);
        splitter.set_property("max-size-time", settings.split_time);
        splitter.set_property("max-size-bytes", settings.split_bytes);
        if settings.split_time > 0 && settings.split_bytes == 0 {
            splitter.set_property("send-keyframe-requests", true);
        }
        let next_file = Mutex::new(self.next_file_of());
        splitter.connect("format-location-full", false, move |_| {
            let name = lock(&next_file)()?;
            Some(name.to_str()?.to_value())
        });
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
        Ok(End::Split { splitter, muxer })
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
        if let Some(end) = end {
            entry::discard(bin.upcast_ref(), end.element());
        }
        lock(&self.flow).pts_file = None;
    }

    /// Everything that reaches one of the pads, in the stream's thread.
    fn arrived(
        &self,
        name: &str,
        pad: &gst::GhostPad,
        info: &mut gst::PadProbeInfo,
    ) -> gst::PadProbeReturn {
        match &info.data {
            Some(gst::PadProbeData::Event(event)) => {
                let gst::EventView::Caps(caps) = event.view() else {
                    return gst::PadProbeReturn::Ok;
                };
                let caps = self.paced(name, caps.caps_owned());
                if let Err(message) = self.build(name, &caps) {
                    self.obj().post_error_message(message);
                    return gst::PadProbeReturn::Handled;
                }
                info.data = Some(gst::PadProbeData::Event(gst::event::Caps::new(&caps)));
                gst::PadProbeReturn::Ok
            }
            Some(gst::PadProbeData::Buffer(buffer)) => {
                let segment = pad.sticky_event::<gst::event::Segment>(0);
                let time = segment.as_ref().and_then(|segment| {
                    let segment = segment.segment().downcast_ref::<gst::ClockTime>()?;
                    Some(segment.to_running_time(buffer.pts()?)?.nseconds())
                });
                if name == "audio" && time.is_none() && buffer.pts().is_some() {
                    // audio-sync has moved it before the beginning.
                    info.flow_res = Ok(gst::FlowSuccess::Ok);
                    return gst::PadProbeReturn::Handled;
                }
                let verdict = {
                    let mut flow = lock(&self.flow);
                    let start = flow.start;
                    let Some(gate) = flow.gates.get_mut(name) else {
                        return gst::PadProbeReturn::Ok;
                    };
                    gate.start = start;
                    let verdict = match name {
                        "video" => gate.video(time),
                        _ => gate.audio(time),
                    };
                    flow.start = gate.start;
                    verdict
                };
                match verdict {
                    Verdict::Pass => gst::PadProbeReturn::Ok,
                    Verdict::Drop => {
                        info.flow_res = Ok(gst::FlowSuccess::Ok);
                        gst::PadProbeReturn::Handled
                    }
                    Verdict::End => {
                        gst::info!(CAT, imp = self, "{name} has been recorded");
                        let head = lock(&self.state).streams.get(name).map(|s| s.entry.head());
                        if let Some(head) = head {
                            entry::end(&head);
                        }
                        info.flow_res = Ok(gst::FlowSuccess::Ok);
                        gst::PadProbeReturn::Handled
                    }
                }
            }
            _ => gst::PadProbeReturn::Ok,
        }
    }

    /// With `interval` set, fewer frames a second than upstream says are recorded.
    fn paced(&self, name: &str, mut caps: gst::Caps) -> gst::Caps {
        let interval = lock(&self.settings).interval;
        if name != "video" || interval == 0 {
            return caps;
        }
        let Ok(interval) = i32::try_from(interval) else {
            return caps;
        };
        let rate = gst::Fraction::new(1_000_000, interval);
        let slower = caps
            .structure(0)
            .and_then(|structure| structure.get::<gst::Fraction>("framerate").ok())
            .is_some_and(|framerate| framerate.numer() > 0 && framerate <= rate);
        if !slower {
            caps.make_mut().set("framerate", rate);
        }
        caps
    }

    /// Builds what follows a pad, for the first caps that arrive.
    fn build(&self, name: &str, caps: &gst::Caps) -> Result<(), gst::ErrorMessage> {
        let (head, target, container, end, alone) = {
            let state = lock(&self.state);
            let Some(stream) = state.streams.get(name) else {
                return Ok(());
            };
            if stream.entry.is_built() {
                // What was built for the first caps says whether it can take these.
                return Ok(());
            }
            let (Some(container), Some(end)) = (state.container, state.end.clone()) else {
                return Ok(());
            };
            (
                stream.entry.head(),
                stream.target.clone(),
                container,
                end,
                state.streams.len() == 1,
            )
        };
        let target = target.ok_or_else(|| {
            gst::error_msg!(
                gst::StreamError::Mux,
                ["The file's container holds no {name}: choose another extension"]
            )
        })?;
        let settings = lock(&self.settings).clone();
        let mut chain = match name {
            "video" => video_chain(&settings, container, caps)?,
            _ => audio_chain(&settings, container, caps)?,
        };
        if !alone && matches!(end, End::Elements(_)) {
            chain.push(streams::make("queue").map_err(|err| missing(&err))?);
        }
        let last_caps = match chain.last().and_then(|last| last.static_pad("src")) {
            Some(pad) => pad.query_caps(None),
            None => caps.clone(),
        };
        let raw = streams::is_raw(caps);
        if let End::Split { muxer, .. } = &end
            && !holds(muxer, &last_caps)
        {
            let muxer = muxer.factory().map(|factory| factory.name().to_string());
            return Err(gst::error_msg!(
                gst::StreamError::Mux,
                [
                    "{} cannot hold {}: choose another extension, or give raw {name} to have it \
                     encoded",
                    muxer.as_deref().unwrap_or("The muxer"),
                    last_caps
                        .structure(0)
                        .map_or("it", |structure| structure.name().as_str())
                ]
            ));
        }
        gst::debug!(
            CAT,
            imp = self,
            "{name} is {caps}, {chain:?} makes {last_caps}"
        );

        let failed = |err: glib::BoolError| {
            gst::error_msg!(
                gst::CoreError::Negotiation,
                ["{name} cannot be brought to the file: {err}"]
            )
        };
        if name == "video" {
            // The end is new for each recording, and the probe goes with it.
            self.count(&target);
        }
        let bin = self.obj();
        let preview = if settings.preview && name == "video" {
            let tee = streams::make("tee").map_err(|err| missing(&err))?;
            tee.set_property("allow-not-linked", true);
            chain.insert(0, tee.clone());
            let preview = preview_chain(raw)?;
            bin.add_many(&preview).map_err(failed)?;
            Some((tee, preview))
        } else {
            None
        };
        match &end {
            End::Split { splitter, .. } => splitter.sync_state_with_parent(),
            End::Elements(sink) => sink.sync_state_with_parent(),
        }
        .map_err(failed)?;
        entry::extend(bin.upcast_ref(), &head, &chain, &target).map_err(failed)?;
        if let Some((tee, preview)) = preview {
            link_preview(&tee, &preview).map_err(failed)?;
            chain.extend(preview);
        }
        if let Some(stream) = lock(&self.state).streams.get_mut(name) {
            stream.entry.built(chain);
        }
        Ok(())
    }

    /// Counts the encoded frames that reach `pad`, and writes down their times.
    fn count(&self, pad: &gst::Pad) {
        let this = self.downgrade();
        let messages = lock(&self.settings).frame_messages;
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let (Some(this), Some(buffer)) = (this.upgrade(), info.buffer()) else {
                return gst::PadProbeReturn::Ok;
            };
            let bytes = buffer.size() as u64;
            let pts = buffer.pts();
            let failed = {
                let mut flow = lock(&this.flow);
                flow.totals.frames += 1;
                flow.totals.bytes += bytes;
                flow.totals.last_frame_bytes = bytes;
                flow.pts_file
                    .as_mut()
                    .and_then(|file| file.write(pts?).err())
            };
            if let Some(err) = failed {
                // Once: without the file there is nothing more to write to.
                lock(&this.flow).pts_file = None;
                gst::element_imp_error!(
                    this,
                    gst::ResourceError::Write,
                    ["The PTS file cannot be written: {err}"]
                );
            }
            if messages {
                let details = gst::Structure::builder("recordsink-frame")
                    .field("bytes", bytes)
                    .field("pts", pts)
                    .build();
                this.post_element(details);
            }
            gst::PadProbeReturn::Ok
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

    fn post_element(&self, details: gst::Structure) {
        let obj = self.obj();
        let message = gst::message::Element::builder(details).src(&*obj).build();
        let _ = obj.post_message(message);
    }
}

impl PtsFile {
    fn write(&mut self, pts: gst::ClockTime) -> std::io::Result<()> {
        let first = *self.first.get_or_insert(pts);
        let us = pts.saturating_sub(first).useconds();
        writeln!(self.file, "{}.{:03}", us / 1000, us % 1000)
    }
}

fn exists(file: &std::path::Path) -> gst::ErrorMessage {
    gst::error_msg!(
        gst::ResourceError::OpenWrite,
        ["{file:?} exists: remove it, choose another location, or set overwrite=true"]
    )
}

/// Which form of H.264 it is does not matter here: a parser makes the one that is wanted.
fn holds(muxer: &gst::Element, caps: &gst::Caps) -> bool {
    let held = |name: &str| {
        muxer
            .pad_template_list()
            .iter()
            .filter(|template| template.direction() == gst::PadDirection::Sink)
            .any(|template| template.caps().iter().any(|held| held.name() == name))
    };
    caps.iter().any(|structure| held(structure.name().as_str()))
}
