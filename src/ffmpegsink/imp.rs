// SPDX-License-Identifier: MIT OR Apache-2.0

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::BaseSinkExt;

use super::CAT;
use super::pack::pack_tightly;
use super::pipe::{self, Pipe};
use super::settings::{PROPERTIES, Settings};
use super::turn::{Out, Turn};
use crate::streams::bin::{self, Place, Streams, refuse};
use crate::streams::claims::{Claim, KeptNames};
use crate::streams::sentences::{Takes, nothing_came, untimed, without_caps};
use crate::streams::stamps::{Breaks, Stamps, Unplaced, backward_text, jump_text};
use crate::streams::{self, entry, missing, same_format, set};
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

/// Made when the element is first READY, and kept.
#[derive(Debug, Default)]
struct Made {
    muxer: Option<gst::Element>,
    pipe: Option<Pipe>,
    /// Between READY to PAUSED and PAUSED to READY.
    running: bool,
}

#[derive(Debug, Default)]
pub struct FfmpegSink {
    settings: Mutex<Settings>,
    streams: Streams,
    made: Mutex<Made>,
    /// Each written by its stream's thread.
    video: Mutex<Stamps>,
    audio: Mutex<Stamps>,
    breaks: Breaks,
    /// Each stream's written by its thread.
    formats: Mutex<BTreeMap<String, Format>>,
    /// Held by the stream's thread that builds, ends what nothing is built for, or brings other caps.
    building: Mutex<()>,
    turn: Turn,
    claims: Mutex<Claims>,
    /// Frames of video that came, and files that were begun.
    frames: AtomicU64,
    files: AtomicU64,
    /// Frames that no file can have.
    dropped_empty: AtomicU64,
    dropped_ended: AtomicU64,
}

/// The program's files, which nobody else in this process writes.
#[derive(Debug, Default)]
struct Claims {
    writing: Vec<Claim>,
    complete: KeptNames,
}

impl Claims {
    /// The program goes on with other files.
    fn go_on(&mut self, with: Vec<Claim>) {
        let complete = std::mem::replace(&mut self.writing, with);
        self.complete.keep(complete);
    }

    /// No other file follows.
    fn clear(&mut self) {
        self.writing.clear();
        self.complete.clear();
    }
}

/// What a stream is in.
#[derive(Debug, Default)]
struct Format {
    /// What was built for it was built for these.
    caps: Option<gst::Caps>,
    /// What comes next is in these.
    next: Option<gst::Caps>,
    /// A buffer had its place in time.
    placed: bool,
    /// Nothing more comes.
    ended: bool,
    /// Holds what comes until the muxer takes it.
    queue: Option<gst::Element>,
    /// Whoever brings the stream is to be let go at once.
    flushes: bool,
}

impl Format {
    /// Lets go who brings the stream, or has them wait for the muxer again.
    fn set_flushes(&mut self, flushes: bool) {
        self.flushes = flushes;
        if let Some(queue) = &self.queue {
            open_wide(queue, flushes);
        }
    }
}

/// What holds a stream back for those that go on, as long as it lives.
#[derive(Debug)]
struct Held(gst::Pad, Option<gst::PadProbeId>);

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(id) = self.1.take() {
            self.0.remove_probe(id);
        }
    }
}

fn raw_formats() -> gst::Caps {
    gst_video::VideoCapsBuilder::new()
        .format_list(RAW_FORMATS)
        .build()
}

fn video_caps() -> gst::Caps {
    let mut caps = raw_formats();
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
        bin::be_a_sink(&*self.obj());
    }

    fn properties() -> &'static [glib::ParamSpec] {
        PROPERTIES.specs()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        PROPERTIES.set(&self.settings, pspec, value);
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "stats" => self.stats().to_value(),
            _ => PROPERTIES.get(&self.settings, pspec),
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
        let target = self.streams.release(&*self.obj(), pad);
        self.release_muxer_pads(target.into_iter().collect());
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        // An error before the pipeline has prerolled leaves the bin in READY: it does not hear of PAUSED to READY.
        let ends = matches!(
            transition,
            gst::StateChange::PausedToReady | gst::StateChange::ReadyToNull
        );
        match transition {
            gst::StateChange::NullToReady => self.prepare().map_err(|message| {
                self.obj().post_error_message(message);
                gst::StateChangeError
            })?,
            gst::StateChange::ReadyToPaused => {
                self.clear();
                self.claim_files(0).map_err(|message| {
                    self.obj().post_error_message(message);
                    gst::StateChangeError
                })?;
                self.streams.open();
                self.turn.flow();
                self.reserve_muxer_pads()?;
            }
            _ if ends => {
                self.streams.stop();
                self.turn.stop();
            }
            _ => (),
        }
        let success = self.parent_change_state(transition)?;
        if ends {
            self.clear();
        }
        Ok(success)
    }
}

impl BinImpl for FfmpegSink {
    fn handle_message(&self, message: gst::Message) {
        match message.view() {
            gst::MessageView::Error(_) => {
                // What fails from here on fails because of it, and is not told of too.
                self.streams.fail();
                self.turn.stop();
            }
            // Another file follows.
            gst::MessageView::Eos(_) if self.turn.completed() => return,
            gst::MessageView::Eos(_) => {
                if self.begun() == 0 {
                    let text = nothing_came(&[], "ffmpeg was not started");
                    gst::element_imp_warning!(self, gst::StreamError::Mux, ("{text}"));
                }
                lock(&self.claims).clear();
            }
            _ => (),
        }
        self.parent_handle_message(message);
    }
}

impl FfmpegSink {
    fn add_stream(&self, template: &gst::PadTemplate) -> Result<gst::Pad, glib::BoolError> {
        let name = template.name_template().to_owned();
        let pad = self.streams.add(
            &*self.obj(),
            template,
            || false,
            move |obj, pad, info, admission| {
                let this = obj.imp();
                match this.arrived(&name, pad, info) {
                    Ok(probe) => probe,
                    Err(message) => {
                        let probe = refuse(obj, admission, message);
                        if matches!(info.data, Some(gst::PadProbeData::Buffer(_))) {
                            info.flow_res = Err(admission.answer(gst::FlowError::Error));
                        }
                        probe
                    }
                }
            },
        )?;
        pad.add_probe(gst::PadProbeType::EVENT_FLUSH, {
            let name = template.name_template().to_owned();
            let bin = self.obj().downgrade();
            move |_, info| match (bin.upgrade(), &info.data) {
                (Some(bin), Some(gst::PadProbeData::Event(event))) => {
                    let starts = event.type_() == gst::EventType::FlushStart;
                    bin.imp().flush(&name, starts)
                }
                _ => gst::PadProbeReturn::Ok,
            }
        });
        if lock(&self.made).running {
            self.reserve_muxer_pad(template.name_template());
        }
        Ok(pad)
    }

    /// Has nobody else in this process write the files of that number.
    fn claim_files(&self, number: u64) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        let new = settings
            .claim_files(number)
            .map_err(|err| gst::error_msg!(gst::ResourceError::OpenWrite, ("{err}")))?;
        lock(&self.claims).go_on(new);
        Ok(())
    }

    fn made(&self) -> (Option<gst::Element>, Option<Pipe>) {
        let made = lock(&self.made);
        (made.muxer.clone(), made.pipe.clone())
    }

    /// Takes away what was built for one recording, if that has not been done.
    fn clear(&self) {
        lock(&self.claims).clear();
        lock(&self.made).running = false;
        let (muxer, pipe) = self.made();
        if let Some(muxer) = muxer {
            muxer.set_locked_state(false);
        }
        if let Some(pipe) = pipe {
            pipe.set_async(true);
            pipe.set_locked_state(false);
        }
        let targets = self.streams.dismantle(&*self.obj());
        self.release_muxer_pads(targets);
    }

    fn stamps(&self, name: &str) -> &Mutex<Stamps> {
        match name {
            "video" => &self.video,
            _ => &self.audio,
        }
    }

    /// The muxer and the pipe, and the command line.
    fn prepare(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        let command = settings
            .command(0)
            .map_err(|err| gst::error_msg!(gst::ResourceError::Settings, ("{err}")))?;
        command
            .find()
            .map_err(|err| pipe::no_start(&command, &err))?;
        settings
            .check_places()
            .map_err(|err| gst::error_msg!(gst::ResourceError::OpenWrite, ("{err}")))?;
        let pipe = lock(&self.made).pipe.clone();
        let pipe = match pipe {
            Some(pipe) => pipe,
            None => self.make_pipe()?,
        };
        pipe.set_command(command);
        Ok(())
    }

    fn make_pipe(&self) -> Result<Pipe, gst::ErrorMessage> {
        let muxer = streams::make("matroskamux").map_err(|err| missing(&err))?;
        let scale = TIMECODE_SCALE.to_value();
        for (property, value) in [
            ("streamable", &true.to_value()),
            ("timecodescale", &scale),
            ("writing-app", &"ffmpegsink".to_value()),
        ] {
            set::set(&muxer, property, value)
                .map_err(|err| gst::error_msg!(gst::LibraryError::Settings, ("{err}")))?;
        }
        let pipe = Pipe::new();
        let both = [muxer.clone(), pipe.clone().upcast()];
        self.obj()
            .add_many(&both)
            .and_then(|()| streams::link(&both))
            .map_err(|err| {
                gst::error_msg!(
                    gst::CoreError::Failed,
                    ("The muxer and the pipe do not fit: {err}")
                )
            })?;
        let mut made = lock(&self.made);
        made.muxer = Some(muxer);
        made.pipe = Some(pipe.clone());
        Ok(pipe)
    }

    /// The muxer waits for every stream that it knows of before it writes its header: it has to
    /// know of all of them before the first one's data comes.
    fn reserve_muxer_pads(&self) -> Result<(), gst::StateChangeError> {
        {
            let mut made = lock(&self.made);
            made.running = true;
            made.muxer.as_ref().ok_or(gst::StateChangeError)?;
        }
        self.breaks.clear();
        self.frames.store(0, Ordering::Relaxed);
        self.files.store(1, Ordering::Relaxed);
        self.dropped_empty.store(0, Ordering::Relaxed);
        self.dropped_ended.store(0, Ordering::Relaxed);
        lock(&self.formats).clear();
        for name in self.streams.names() {
            *lock(self.stamps(&name)) = Stamps::default();
            self.reserve_muxer_pad(&name);
        }
        Ok(())
    }

    fn reserve_muxer_pad(&self, name: &str) {
        let (muxer, pipe) = self.made();
        let pad = muxer.and_then(|muxer| muxer.request_pad_simple(&format!("{name}_%u")));
        if let Some(pad) = &pad {
            bin::have_it_waited_for(pad);
            if let Some(pipe) = pipe {
                pipe.start_with(pad);
            }
        }
        self.streams.set_target(name, pad);
    }

    fn release_muxer_pads(&self, pads: Vec<gst::Pad>) {
        let muxer = lock(&self.made).muxer.clone();
        for pad in pads {
            if let Some(muxer) = &muxer {
                muxer.release_request_pad(&pad);
            }
        }
    }

    /// Everything that reaches one of the pads, in the stream's thread.
    fn arrived(
        &self,
        name: &str,
        pad: &gst::GhostPad,
        info: &mut gst::PadProbeInfo<'_>,
    ) -> Result<gst::PadProbeReturn, gst::ErrorMessage> {
        match &mut info.data {
            Some(gst::PadProbeData::Event(event)) => {
                if event.is_serialized() {
                    // One that is flushed goes on: a format that is lost would not come again.
                    self.turn.wait(|| is_flushing(pad));
                    if self.has_ended(name) {
                        // Data behind it are refused here, and have to have what belongs in front of them.
                        let _ = event.is_sticky().then(|| pad.store_sticky_event(event));
                        return Ok(gst::PadProbeReturn::Handled);
                    }
                }
                if let Some(moved) = lock(self.stamps(name)).follow(event) {
                    *event = moved;
                }
                match event.view() {
                    gst::EventView::Caps(caps) => {
                        return Ok(self.caps_arrived(name, caps.caps_owned()));
                    }
                    gst::EventView::Gap(_) if self.streams.place(name).is_some() => {
                        let next = lock(&self.formats).get(name).and_then(|it| it.next.clone());
                        if let Some(caps) = next {
                            self.begin(name, pad, caps)?;
                        }
                    }
                    gst::EventView::Eos(_) => return Ok(self.end(name)),
                    _ => (),
                }
            }
            Some(gst::PadProbeData::Buffer(buffer)) => {
                let taken = match self.turn.wait(|| is_flushing(pad)) {
                    true => self.take(name, pad, buffer)?,
                    false => Err(gst::FlowError::Flushing),
                };
                if taken != Ok(true) {
                    info.flow_res = taken.map(|_| gst::FlowSuccess::Ok);
                    return Ok(gst::PadProbeReturn::Handled);
                }
                self.count(name, &self.frames);
            }
            _ => (),
        }
        Ok(gst::PadProbeReturn::Ok)
    }

    /// Makes a buffer ready for the file. False where there is nothing of it to be in one, or not yet.
    fn take(
        &self,
        name: &str,
        pad: &gst::GhostPad,
        buffer: &mut gst::Buffer,
    ) -> Result<Result<bool, gst::FlowError>, gst::ErrorMessage> {
        if buffer.size() == 0 {
            self.count(name, &self.dropped_empty);
            return Ok(Ok(false));
        }
        let next = match lock(&self.formats).get(name) {
            Some(format) if format.ended => {
                self.count(name, &self.dropped_ended);
                return Ok(Err(gst::FlowError::Eos));
            }
            format => format.and_then(|it| it.next.clone()),
        };
        if let Some(caps) = next {
            self.begin(name, pad, caps)?;
        }
        self.place(name, pad, buffer).map(Ok)
    }

    fn has_ended(&self, name: &str) -> bool {
        lock(&self.formats).get(name).is_some_and(|it| it.ended)
    }

    /// Counts a buffer, if it is a picture.
    fn count(&self, name: &str, counter: &AtomicU64) {
        if name == "video" {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What has come stays: only whoever brings the stream is let go, and what is behind here knows of no flush.
    fn flush(&self, name: &str, starts: bool) -> gst::PadProbeReturn {
        let mut formats = lock(&self.formats);
        let format = formats.entry(name.to_owned()).or_default();
        format.set_flushes(starts);
        drop(formats);
        self.turn.wake();
        // What is dropped would be given back twice.
        gst::PadProbeReturn::Handled
    }

    /// Nothing is built, and no other file begun, before something comes in these caps.
    fn caps_arrived(&self, name: &str, caps: gst::Caps) -> gst::PadProbeReturn {
        // Another stream may be about to take away what is built.
        let _building = lock(&self.building);
        let is_built = self.streams.place(name).is_none();
        let mut formats = lock(&self.formats);
        let format = formats.entry(name.to_owned()).or_default();
        let built = format.caps.as_ref().filter(|_| is_built);
        // Matroska takes no other caps, though they say the same in more detail.
        let goes_on = built.is_some_and(|built| same_format(built, &caps));
        format.next = (!goes_on).then_some(caps);
        match is_built {
            true => gst::PadProbeReturn::Handled,
            false => gst::PadProbeReturn::Ok,
        }
    }

    /// Builds what a format takes: with the first one, and in another file with another one.
    fn begin(
        &self,
        name: &str,
        pad: &gst::GhostPad,
        caps: gst::Caps,
    ) -> Result<(), gst::ErrorMessage> {
        let _building = lock(&self.building);
        if self.streams.place(name).is_none() {
            self.change_file(name)?;
        }
        if let Some(place) = self.streams.place(name) {
            self.build(name, &place, &caps)?;
        }
        if pad.current_caps().as_ref() != Some(&caps) {
            let event = gst::event::Caps::new(&caps);
            // Refused by a pad that flushes, which lets nothing in.
            let _ = pad.store_sticky_event(&event);
            // Where it is not taken, the buffer is not either.
            gst::Pad::event_default(pad, Some(&*self.obj()), event);
        }
        let mut formats = lock(&self.formats);
        let format = formats.entry(name.to_owned()).or_default();
        (format.caps, format.next) = (Some(caps), None);
        Ok(())
    }

    /// A stream has ended. The muxer is told of it here where nothing is built, and leaves it out.
    fn end(&self, name: &str) -> gst::PadProbeReturn {
        let _building = lock(&self.building);
        lock(&self.formats)
            .entry(name.to_owned())
            .or_default()
            .ended = true;
        if self.streams.place(name).is_none() {
            return gst::PadProbeReturn::Ok;
        }
        self.streams.drain(name);
        gst::PadProbeReturn::Handled
    }

    /// Has the program complete its file, and makes everything ready for another one, since the stream
    /// `name` goes on in another format. Other streams wait meanwhile.
    fn change_file(&self, name: &str) -> Result<(), gst::ErrorMessage> {
        let stopped = || {
            gst::error_msg!(
                gst::CoreError::StateChange,
                ("The recording was stopped while another file was to be begun")
            )
        };
        self.turn.complete();
        // This one first: the muxer may hold the others back for it. It waits for none of them: their next data come
        // behind the change.
        if let Some(queue) = lock(&self.formats)
            .get(name)
            .and_then(|it| it.queue.clone())
        {
            open_wide(&queue, true);
        }
        self.streams.drain(name);
        let others = self.streams.names().into_iter();
        let others: Vec<_> = others.filter(|other| other != name).collect();
        let mut held = Vec::new();
        for other in &others {
            // What is on its way belongs in front of the end, and what comes from here on into the next file.
            let (hold, out) = self.hold(other);
            held.push(hold);
            if !self.turn.wait_for(&out) {
                return Err(stopped());
            }
            self.streams.drain(other);
        }
        if !self.turn.wait_for_end() {
            return Err(stopped());
        }
        let targets = self.streams.dismantle(&*self.obj());
        self.release_muxer_pads(targets);
        self.restart(name)?;
        for other in &others {
            let caps = lock(&self.formats)
                .get(other)
                .filter(|it| it.next.is_none())
                .and_then(|it| it.caps.clone());
            if let (Some(place), Some(caps)) = (self.streams.place(other), caps)
                && place.target.is_some()
            {
                self.build(other, &place, &caps)?;
            }
        }
        self.turn.flow();
        Ok(())
    }

    /// Holds a stream back behind its pad's first element, once nothing more is on its way from there.
    fn hold(&self, name: &str) -> (Option<Held>, Out) {
        let out = Out::default();
        let Some(pad) = self.streams.way_out(name) else {
            self.turn.is_out(&out);
            return (None, out);
        };
        let kinds = gst::PadProbeType::IDLE | gst::PadProbeType::BLOCK_DOWNSTREAM;
        let id = pad.add_probe(kinds, {
            let (bin, out) = (self.obj().downgrade(), out.clone());
            move |_, _| {
                if let Some(bin) = bin.upgrade() {
                    bin.imp().turn.is_out(&out);
                }
                gst::PadProbeReturn::Ok
            }
        });
        (Some(Held(pad, id)), out)
    }

    /// Starts muxer and program anew for the streams that go on.
    fn restart(&self, name: &str) -> Result<(), gst::ErrorMessage> {
        let failed = |err: glib::BoolError| {
            gst::error_msg!(
                gst::CoreError::StateChange,
                ("ffmpeg cannot be started for another file: {err}")
            )
        };
        let (Some(muxer), Some(pipe)) = self.made() else {
            return Ok(());
        };
        // One in which nothing is was not begun.
        if pipe.is_fed() {
            let number = self.files.fetch_add(1, Ordering::Relaxed);
            let command = lock(&self.settings).command(number);
            let command =
                command.map_err(|err| gst::error_msg!(gst::ResourceError::Settings, ("{err}")))?;
            self.claim_files(number)?;
            gst::element_imp_info!(
                self,
                gst::StreamError::Format,
                (
                    "The {name} goes on in another format, and ffmpeg writes another file: {}",
                    command.args.join(" ")
                )
            );
            pipe.set_command(command);
        }
        let elements = [pipe.clone().upcast::<gst::Element>(), muxer];
        for element in elements.iter().rev() {
            // Until they start again, the bin leaves them alone.
            element.set_locked_state(true);
            // Both stop without an error.
            let _ = element.set_state(gst::State::Null);
        }
        // The pipeline has prerolled long ago.
        pipe.set_async(false);
        for stream in self.streams.names() {
            if !self.has_ended(&stream) {
                self.reserve_muxer_pad(&stream);
            }
        }
        elements.iter().try_for_each(entry::start).map_err(failed)
    }

    /// How many files ffmpeg has begun.
    fn begun(&self) -> u64 {
        let fed = lock(&self.made).pipe.as_ref().is_some_and(Pipe::is_fed);
        let files = self.files.load(Ordering::Relaxed);
        files.saturating_sub(u64::from(!fed))
    }

    fn stats(&self) -> gst::Structure {
        let jumps = [&self.video, &self.audio].map(|stamps| lock(stamps).jumps());
        gst::Structure::builder("ffmpegsink-stats")
            .field("frames", self.frames.load(Ordering::Relaxed))
            .field("dropped-empty", self.dropped_empty.load(Ordering::Relaxed))
            .field("dropped-ended", self.dropped_ended.load(Ordering::Relaxed))
            .field("files", self.begun())
            .field("jumps", jumps.iter().sum::<u64>())
            .build()
    }

    /// Gives a buffer its place in time. False where there is no whole sample yet.
    fn place(
        &self,
        name: &str,
        pad: &gst::GhostPad,
        buffer: &mut gst::Buffer,
    ) -> Result<bool, gst::ErrorMessage> {
        if pad.current_caps().is_none() {
            return Err(without_caps(name, Takes::Encoded, buffer));
        }
        check_times(name, pad)?;
        if let Some(segment) = entry::assumed_segment(pad) {
            let other = lock(self.stamps(name)).follow(&segment);
            if let Some(target) = pad.target() {
                target.send_event(other.unwrap_or(segment));
            }
        }
        let stamped = {
            let mut stamps = lock(self.stamps(name));
            if !stamps.complete(buffer, *CAT) {
                return Ok(false);
            }
            stamps.stamp(buffer, &self.breaks)
        };
        let stamped = stamped.map_err(|unplaced| match unplaced {
            Unplaced::Untimed => untimed(name, true),
            Unplaced::Backward => {
                gst::error_msg!(gst::StreamError::Format, ("{}", backward_text(name)))
            }
        })?;
        self.check_untimed(name, pad, buffer, stamped.placed.is_some())?;
        let jump = stamped.placed.and_then(|placed| placed.jump);
        if let Some(jump) = jump.filter(|jump| jump.is_news()) {
            let text = jump_text(name, jump);
            gst::element_imp_warning!(self, gst::StreamError::Format, ("{text}"));
        }
        if let (Some(segment), Some(target)) = (stamped.segment, pad.target()) {
            target.send_event(segment);
        }
        Ok(true)
    }

    /// The muxer drops what has no timestamp: no parser gives it one unless it comes in bytes, or behind one that has.
    fn check_untimed(
        &self,
        name: &str,
        pad: &gst::GhostPad,
        buffer: &gst::BufferRef,
        is_placed: bool,
    ) -> Result<(), gst::ErrorMessage> {
        let is_placed = lock(&self.formats)
            .get_mut(name)
            .map_or(is_placed, |format| {
                format.placed |= is_placed;
                format.placed
            });
        // The heads of Vorbis and others have no times.
        let is_head = buffer.flags().contains(gst::BufferFlags::HEADER);
        if is_placed || is_head || !is_timed(pad) {
            return Ok(());
        }
        Err(untimed(name, false))
    }

    /// Brings a stream with these caps to the muxer.
    fn build(&self, name: &str, place: &Place, caps: &gst::Caps) -> Result<(), gst::ErrorMessage> {
        let target = place
            .target
            .as_ref()
            .ok_or_else(|| gst::error_msg!(gst::CoreError::Pad, ("No room for the {name}")))?;
        let mut chain = chain(name, caps)?;
        // The muxer holds a stream back until the other has caught up, and ffmpeg until it reads. What waits is kept
        // where whoever brings it can be let go.
        let queue = make("queue")?;
        {
            let mut formats = lock(&self.formats);
            let format = formats.entry(name.to_owned()).or_default();
            open_wide(&queue, format.flushes);
            format.queue = Some(queue.clone());
        }
        chain.push(queue);
        gst::debug!(CAT, imp = self, "{name} is {caps}: {chain:?}");
        entry::extend(self.obj().upcast_ref(), &place.head, &chain, target).map_err(|err| {
            gst::error_msg!(
                gst::CoreError::Negotiation,
                ("The {name} cannot be brought to ffmpeg: {err}")
            )
        })?;
        self.streams.built(name, chain);
        if entry::refuses(&place.head, caps).is_some() {
            return Err(gst::error_msg!(
                gst::StreamError::Format,
                ("Matroska, in which ffmpeg gets the streams, does not hold {caps}: decode the {name} before it \
                  gets here")
            ));
        }
        Ok(())
    }
}

fn is_flushing(pad: &gst::GhostPad) -> bool {
    pad.pad_flags().contains(gst::PadFlags::FLUSHING)
}

/// Has a queue take all that comes, or as much as it does by default.
fn open_wide(queue: &gst::Element, wide: bool) {
    for limit in ["max-size-buffers", "max-size-bytes", "max-size-time"] {
        let default = queue
            .find_property(limit)
            .map(|it| it.default_value().clone());
        match (default, wide) {
            (Some(default), false) => queue.set_property_from_value(limit, &default),
            _ => queue.set_property_from_str(limit, "0"),
        }
    }
}

fn make(factory: &str) -> Result<gst::Element, gst::ErrorMessage> {
    streams::make(factory).map_err(|err| missing(&err))
}

/// What makes a stream one that Matroska holds and ffmpeg reads.
fn chain(name: &str, caps: &gst::CapsRef) -> Result<Vec<gst::Element>, gst::ErrorMessage> {
    if !streams::is_raw(caps) {
        return streams::parser(caps).map(make).into_iter().collect();
    }
    if name != "video" {
        return Ok(vec![make("audioconvert")?]);
    }
    let filter = make("capsfilter")?;
    filter.set_property("caps", raw_formats());
    if let Some(pad) = filter.static_pad("src") {
        pack_tightly(&pad);
    }
    Ok(vec![make("videoconvert")?, filter])
}

/// What comes is not pieces of a file.
fn is_timed(pad: &gst::GhostPad) -> bool {
    let segment = pad.sticky_event::<gst::event::Segment>(0);
    segment.is_none_or(|it| it.segment().format() == gst::Format::Time)
}

/// Raw pictures and samples in a segment of bytes are pieces of a file: nothing says where one begins, and when.
fn check_times(name: &str, pad: &gst::GhostPad) -> Result<(), gst::ErrorMessage> {
    if is_timed(pad)
        || !pad
            .current_caps()
            .is_some_and(|caps| streams::is_raw(&caps))
    {
        return Ok(());
    }
    let parser = match name {
        "video" => "rawvideoparse",
        _ => "rawaudioparse",
    };
    Err(gst::error_msg!(
        gst::StreamError::Format,
        ("The {name} is pieces of a file without times: put {parser} in front")
    ))
}
