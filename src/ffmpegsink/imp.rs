// SPDX-License-Identifier: MIT OR Apache-2.0

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::atomic::Ordering;
use std::sync::{LazyLock, Mutex};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_video::prelude::*;

use super::CAT;
use super::pipe::{Command, Pipe};
use crate::streams::entry::{self, Entry};
use crate::streams::{self, missing};
use crate::sync::lock;

/// Raw pictures that both GStreamer's Matroska muxer and ffmpeg's demuxer know, the ones that cost
/// least first. Anything else is converted to one of these.
const RAW_FORMATS: [gst_video::VideoFormat; 7] = [
    gst_video::VideoFormat::I420,
    gst_video::VideoFormat::Bgr,
    gst_video::VideoFormat::Rgb,
    gst_video::VideoFormat::Yuy2,
    gst_video::VideoFormat::Uyvy,
    gst_video::VideoFormat::Yv12,
    gst_video::VideoFormat::Gray8,
];

/// Encoded pictures that Matroska holds and ffmpeg reads.
const ENCODED_VIDEO: &[&str] = &[
    "video/x-h264",
    "video/x-h265",
    "image/jpeg",
    "video/x-vp8",
    "video/x-vp9",
    "video/x-av1",
    "video/x-theora",
    "video/x-ffv",
    "video/x-prores",
];

/// Encoded sound, likewise.
const ENCODED_AUDIO: &[&str] = &[
    "audio/mpeg",
    "audio/x-opus",
    "audio/x-vorbis",
    "audio/x-flac",
    "audio/x-ac3",
    "audio/x-eac3",
    "audio/x-alaw",
    "audio/x-mulaw",
];

/// Matroska's unit of time, in nanoseconds. Its usual millisecond is a thirtieth of a frame; a
/// finer one than this would need a cluster of its own every few frames (block times have 16 bits).
const TIMECODE_SCALE: i64 = 100_000;

#[derive(Debug, Clone)]
struct Settings {
    args: String,
    ffmpeg: String,
    overwrite: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            args: String::new(),
            ffmpeg: "ffmpeg".into(),
            overwrite: true,
        }
    }
}

/// One stream's way from its pad to the muxer.
#[derive(Debug)]
struct Stream {
    entry: Entry,
    muxer_pad: Option<gst::Pad>,
}

/// Written by the application's threads when pads come and go, and by a stream's thread when its
/// first caps arrive.
#[derive(Debug, Default)]
struct State {
    streams: BTreeMap<String, Stream>,
    muxer: Option<gst::Element>,
    pipe: Option<Pipe>,
    /// Between READY to PAUSED and PAUSED to READY.
    running: bool,
}

#[derive(Debug, Default)]
pub struct FfmpegSink {
    settings: Mutex<Settings>,
    state: Mutex<State>,
}

fn video_caps() -> gst::Caps {
    let mut caps = gst_video::VideoCapsBuilder::new()
        .format_list(RAW_FORMATS)
        .build();
    caps.merge(gst::Caps::new_empty_simple("video/x-raw"));
    for name in ENCODED_VIDEO {
        caps.merge(gst::Caps::new_empty_simple(*name));
    }
    caps
}

fn audio_caps() -> gst::Caps {
    let mut caps = gst::Caps::new_empty_simple("audio/x-raw");
    for name in ENCODED_AUDIO {
        caps.merge(gst::Caps::new_empty_simple(*name));
    }
    caps
}

#[glib::object_subclass]
impl ObjectSubclass for FfmpegSink {
    const NAME: &'static str = "GstFfmpegSink";
    type Type = super::FfmpegSink;
    type ParentType = gst::Bin;
}

impl ObjectImpl for FfmpegSink {
    fn constructed(&self) {
        self.parent_constructed();
        self.obj().set_suppressed_flags(gst::ElementFlags::SOURCE);
        self.obj().set_element_flags(gst::ElementFlags::SINK);
    }

    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            vec![
                glib::ParamSpecString::builder("args")
                    .nick("Arguments")
                    .blurb(
                        "What follows the inputs on ffmpeg's command line, quoted as for a shell; \
                         the streams are its input 0 (default: none)",
                    )
                    .default_value(Some(""))
                    .mutable_ready()
                    .build(),
                glib::ParamSpecString::builder("ffmpeg")
                    .nick("ffmpeg")
                    .blurb("The program, by name or path (default ffmpeg)")
                    .default_value(Some("ffmpeg"))
                    .mutable_ready()
                    .build(),
                glib::ParamSpecBoolean::builder("overwrite")
                    .nick("Overwrite")
                    .blurb("Overwrite a file that exists; otherwise it is an error (default true)")
                    .default_value(true)
                    .mutable_ready()
                    .build(),
            ]
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = lock(&self.settings);
        // The types are those of the specifications above, which GObject has checked.
        let value_error = "value of the property's type";
        match pspec.name() {
            "args" => {
                settings.args = value
                    .get::<Option<String>>()
                    .expect(value_error)
                    .unwrap_or_default();
            }
            "ffmpeg" => {
                settings.ffmpeg = value
                    .get::<Option<String>>()
                    .expect(value_error)
                    .unwrap_or_else(|| Settings::default().ffmpeg);
            }
            "overwrite" => settings.overwrite = value.get().expect(value_error),
            name => gst::error!(CAT, imp = self, "Property {name} cannot be set"),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let settings = lock(&self.settings);
        match pspec.name() {
            "args" => settings.args.to_value(),
            "ffmpeg" => settings.ffmpeg.to_value(),
            "overwrite" => settings.overwrite.to_value(),
            name => {
                gst::error!(CAT, imp = self, "Property {name} cannot be read");
                pspec.default_value().clone()
            }
        }
    }
}

impl GstObjectImpl for FfmpegSink {}

impl ElementImpl for FfmpegSink {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "ffmpeg sink",
                "Generic/Bin/Sink",
                "Pipes streams with their timestamps to the program ffmpeg",
                "The gst-plugin-kendryte developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> =
            LazyLock::new(|| entry::pad_templates(&video_caps(), &audio_caps()));
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
        if let Some(mut stream) = stream {
            self.dismantle(&mut stream);
            stream.entry.remove(self.obj().upcast_ref());
        }
        let _ = pad.set_active(false);
        let _ = self.obj().remove_pad(pad);
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            gst::StateChange::NullToReady => self.prepare()?,
            gst::StateChange::ReadyToPaused => {
                self.set_stopping(false);
                self.reserve_muxer_pads()?;
            }
            gst::StateChange::PausedToReady => self.set_stopping(true),
            _ => (),
        }
        let success = self.parent_change_state(transition)?;
        if transition == gst::StateChange::PausedToReady {
            let mut streams = {
                let mut state = lock(&self.state);
                state.running = false;
                std::mem::take(&mut state.streams)
            };
            for stream in streams.values_mut() {
                self.dismantle(stream);
            }
            lock(&self.state).streams = streams;
        }
        Ok(success)
    }
}

impl BinImpl for FfmpegSink {}

impl FfmpegSink {
    fn set_stopping(&self, stopping: bool) {
        for stream in lock(&self.state).streams.values() {
            stream.entry.stopping().store(stopping, Ordering::Release);
        }
    }

    fn add_stream(&self, template: &gst::PadTemplate) -> Result<gst::Pad, glib::BoolError> {
        let name = template.name_template().to_owned();
        if lock(&self.state).streams.contains_key(&name) {
            return Err(glib::bool_error!("There is a pad {name} already"));
        }
        let bin = self.obj();
        let entry = Entry::new(bin.upcast_ref(), template, || false)?;
        let ghost = entry.pad().clone();
        ghost.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, {
            let this = self.downgrade();
            let name = name.clone();
            let stopping = entry.stopping().clone();
            move |_, info| {
                let (Some(this), Some(event)) = (this.upgrade(), info.event()) else {
                    return gst::PadProbeReturn::Ok;
                };
                if let gst::EventView::Caps(caps) = event.view()
                    && let Err(message) = this.caps_arrived(&name, caps.caps())
                {
                    if !stopping.swap(true, Ordering::AcqRel) {
                        this.obj().post_error_message(message);
                    }
                    return gst::PadProbeReturn::Handled;
                }
                gst::PadProbeReturn::Ok
            }
        });
        {
            let mut state = lock(&self.state);
            let muxer = state.muxer.as_ref().filter(|_| state.running);
            let muxer_pad = muxer.and_then(|muxer| muxer.request_pad_simple(&format!("{name}_%u")));
            state.streams.insert(name, Stream { entry, muxer_pad });
        }
        ghost.set_active(true)?;
        bin.add_pad(&ghost)?;
        Ok(ghost.upcast())
    }

    /// The muxer, the pipe and the command line.
    fn prepare(&self) -> Result<(), gst::StateChangeError> {
        let settings = lock(&self.settings).clone();
        let Some(user_args) = shlex::split(&settings.args) else {
            return Err(self.refuse(gst::error_msg!(
                gst::ResourceError::Settings,
                ["A quote is not closed in args: {}", settings.args]
            )));
        };
        if user_args.is_empty() {
            return Err(self.refuse(gst::error_msg!(
                gst::ResourceError::Settings,
                ["args is empty: give ffmpeg at least the name of a file to write"]
            )));
        }
        // -nostdin and a group of its own: ffmpeg must not look for keys on our terminal.
        let mut args: Vec<String> = ["-hide_banner", "-nostdin", "-nostats", "-loglevel"]
            .map(str::to_owned)
            .to_vec();
        args.push("level+info".into());
        args.push(if settings.overwrite { "-y" } else { "-n" }.into());
        args.extend(["-f", "matroska", "-i", "pipe:0"].map(str::to_owned));
        args.extend(user_args);
        let command = Command {
            program: OsString::from(&settings.ffmpeg),
            args,
        };

        let existing = lock(&self.state).pipe.clone();
        let pipe = match existing {
            Some(pipe) => pipe,
            None => {
                let muxer =
                    streams::make("matroskamux").map_err(|err| self.refuse(missing(&err)))?;
                muxer.set_property("streamable", true);
                muxer.set_property("timecodescale", TIMECODE_SCALE);
                muxer.set_property("writing-app", "ffmpegsink");
                let pipe = Pipe::new();
                let both = [muxer.clone(), pipe.clone().upcast()];
                let linked = self
                    .obj()
                    .add_many(&both)
                    .and_then(|()| streams::link(&both));
                if let Err(err) = linked {
                    return Err(self.refuse(gst::error_msg!(
                        gst::CoreError::Failed,
                        ["The muxer and the pipe do not fit: {err}"]
                    )));
                }
                let mut state = lock(&self.state);
                state.muxer = Some(muxer);
                state.pipe = Some(pipe.clone());
                pipe
            }
        };
        pipe.set_command(command);
        Ok(())
    }

    /// The muxer waits for every stream that it knows of before it writes its header: it has to
    /// know of all of them before the first one's data comes.
    fn reserve_muxer_pads(&self) -> Result<(), gst::StateChangeError> {
        let (muxer, names) = {
            let mut state = lock(&self.state);
            state.running = true;
            let names: Vec<String> = state.streams.keys().cloned().collect();
            (state.muxer.clone(), names)
        };
        let muxer = muxer.ok_or(gst::StateChangeError)?;
        for name in names {
            let pad = muxer.request_pad_simple(&format!("{name}_%u"));
            if let Some(stream) = lock(&self.state).streams.get_mut(&name) {
                stream.muxer_pad = pad;
            }
        }
        Ok(())
    }

    /// In the stream's thread, before anything behind the pad sees the caps.
    fn caps_arrived(&self, name: &str, caps: &gst::CapsRef) -> Result<(), gst::ErrorMessage> {
        let (head, muxer_pad, alone) = {
            let state = lock(&self.state);
            let Some(stream) = state.streams.get(name) else {
                return Ok(());
            };
            if stream.entry.is_built() {
                // What was built for the first caps says whether it can take these.
                return Ok(());
            }
            (
                stream.entry.head(),
                stream.muxer_pad.clone(),
                state.streams.len() == 1,
            )
        };
        let muxer_pad = muxer_pad
            .ok_or_else(|| gst::error_msg!(gst::CoreError::Pad, ["No room for {name}"]))?;
        let mut chain = Vec::new();
        if streams::is_raw(caps) {
            if name == "video" {
                chain.push(streams::make("videoconvert").map_err(|err| missing(&err))?);
                let formats = gst_video::VideoCapsBuilder::new()
                    .format_list(RAW_FORMATS)
                    .build();
                let filter = streams::make("capsfilter").map_err(|err| missing(&err))?;
                filter.set_property("caps", formats);
                if let Some(pad) = filter.static_pad("src") {
                    pack_tightly(&pad);
                }
                chain.push(filter);
            } else {
                chain.push(streams::make("audioconvert").map_err(|err| missing(&err))?);
            }
        } else if let Some(parser) = streams::parser(caps) {
            chain.push(streams::make(parser).map_err(|err| missing(&err))?);
        }
        // With two streams the muxer holds one back until the other has caught up.
        if !alone {
            chain.push(streams::make("queue").map_err(|err| missing(&err))?);
        }
        gst::debug!(CAT, imp = self, "{name} is {caps}: {chain:?}");
        let failed = |err: glib::BoolError| {
            gst::error_msg!(
                gst::CoreError::Negotiation,
                ["{name} cannot be brought to ffmpeg: {err}"]
            )
        };
        entry::extend(self.obj().upcast_ref(), &head, &chain, &muxer_pad).map_err(failed)?;
        if let Some(stream) = lock(&self.state).streams.get_mut(name) {
            stream.entry.built(chain);
        }
        Ok(())
    }

    /// Takes away what was built for a stream's caps.
    fn dismantle(&self, stream: &mut Stream) {
        stream.entry.dismantle(self.obj().upcast_ref());
        let muxer = lock(&self.state).muxer.clone();
        if let (Some(pad), Some(muxer)) = (stream.muxer_pad.take(), muxer) {
            muxer.release_request_pad(&pad);
        }
    }

    fn refuse(&self, message: gst::ErrorMessage) -> gst::StateChangeError {
        self.obj().post_error_message(message);
        gst::StateChangeError
    }
}

/// Removes the bytes that GStreamer leaves at the end of a planar picture's rows when the width is
/// not a multiple of eight: ffmpeg expects none.
fn pack_tightly(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::BUFFER, |pad, info| {
        let Some(video) = pad
            .current_caps()
            .and_then(|caps| gst_video::VideoInfo::from_caps(&caps).ok())
        else {
            return gst::PadProbeReturn::Ok;
        };
        let planar = matches!(
            video.format(),
            gst_video::VideoFormat::I420 | gst_video::VideoFormat::Yv12
        );
        let ragged = planar && !video.width().is_multiple_of(8);
        let meta = info
            .buffer()
            .is_some_and(|buffer| buffer.meta::<gst_video::VideoMeta>().is_some());
        if (ragged || meta)
            && let Some(buffer) = info.buffer_mut()
            && let Some(packed) = pack(buffer, &video, planar, ragged)
        {
            *buffer = packed;
        }
        gst::PadProbeReturn::Ok
    });
}

/// `None` when the picture is as ffmpeg expects it, or is no picture.
fn pack(
    buffer: &gst::Buffer,
    video: &gst_video::VideoInfo,
    planar: bool,
    ragged: bool,
) -> Option<gst::Buffer> {
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, video).ok()?;
    let default = frame.plane_stride() == video.stride() && frame.plane_offset() == video.offset();
    if default && !ragged {
        return None;
    }
    let mut packed = Vec::with_capacity(buffer.size());
    for plane in 0..frame.n_planes() {
        // One component a plane in the planar formats, one plane in the others.
        let component = plane;
        let stride = usize::try_from(*frame.plane_stride().get(plane as usize)?).ok()?;
        let wanted = if planar {
            frame.comp_width(component) as usize
        } else {
            usize::try_from(*video.stride().get(plane as usize)?).ok()?
        };
        let rows = frame.comp_height(component) as usize;
        for row in frame.plane_data(plane).ok()?.chunks(stride).take(rows) {
            let end = packed.len() + wanted;
            packed.extend_from_slice(&row[..wanted.min(row.len())]);
            packed.resize(end, 0);
        }
    }
    let mut copy = gst::Buffer::from_mut_slice(packed);
    let flags = gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS;
    buffer.copy_into(copy.get_mut()?, flags, ..).ok()?;
    Some(copy)
}
