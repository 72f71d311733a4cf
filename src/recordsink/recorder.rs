// SPDX-License-Identifier: MIT OR Apache-2.0
//! A recording: what the application asks for, the streams that come in and the files that go out.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};

use avi_mjpeg::pcm::file::{FileError, is_at};
use gst::glib;
use gst::prelude::*;

use super::CAT;
use super::begun::{Begun, Keeping, Maker, unsigned};
use super::cut;
use super::elementary::{self, Elements};
use super::encoder;
use super::first::First;
use super::gate::{Gate, Gates};
use super::muxed::{self, Muxed, Parts};
use super::names::{self, Names};
use super::preroll::Preroll;
use super::profile::{self, Choices, ProfileError};
use super::settings::Settings;
use super::tally::{Current, Dropped, Tally, Totals};
use crate::streams::bin::Streams;
use crate::streams::containers::{AudioCodec, Container, Kind, Muxer, VideoCodec};
use crate::streams::files::Claimed;
use crate::streams::sentences::nothing_came;
use crate::streams::stamps::{Breaks, Stamps};
use crate::streams::times::Times;
use crate::streams::{self, Profile, claims, entry, files, missing, ogg, set, ticks, transport};
use crate::sync::lock;

/// What a muxer that was named makes, where the extension does not say.
static OTHER: Container = Container {
    extensions: &[],
    kind: Kind::Muxed(&[]),
    video: Some(VideoCodec::H264),
    audio: Some(AudioCodec::Aac),
};

/// What the streams end in.
#[derive(Debug, Clone)]
pub(crate) enum End {
    Muxed(Arc<Muxed>),
    Elements(Elements),
}

impl End {
    /// What the bin has for it.
    fn elements(&self) -> Vec<gst::Element> {
        match self {
            Self::Muxed(muxed) => muxed.elements(),
            Self::Elements(sink) => vec![sink.clone().upcast()],
        }
    }
}

/// Written by whoever changes the state.
#[derive(Debug, Default)]
pub(crate) struct Making {
    pub container: Option<&'static Container>,
    pub end: Option<End>,
    /// Between READY to PAUSED and PAUSED to READY.
    running: bool,
    late: Late,
}

/// Streams that are chosen when there are data, as behind a demuxer.
#[derive(Debug, Default, Clone)]
enum Late {
    /// They have been chosen.
    #[default]
    No,
    /// None has come yet. The bin waits for this sink, which gets nothing.
    Waiting(gst::Element),
    /// The first one's thread makes what they end in.
    Making,
}

/// What frames change. A mutex of its own: it is taken for every one of them.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    pub gates: Gates,
    pub totals: Totals,
    current: Arc<Mutex<Current>>,
    pub times: Option<Times<Claimed>>,
    /// `interval` of it is the gates' to count.
    pub dropped: Dropped,
    /// What messages have told of.
    told: Dropped,
}

impl Flow {
    fn dropped(&self) -> Dropped {
        Dropped {
            interval: self.gates.dropped(),
            ..self.dropped
        }
    }
}

/// What is known of one stream before anything is built for it.
#[derive(Debug, Default)]
pub(crate) struct Arrival {
    pub stamps: Stamps,
    /// Each buffer is a JPEG.
    pub jpegs: bool,
    /// That one was empty has been told.
    pub told_empty: bool,
    /// That a parser has left some out has been told.
    pub told_left_out: bool,
    /// Caps of pictures that do not say how large these are.
    pub sizeless: Option<gst::Caps>,
    pub size: Option<(i32, i32)>,
    /// The caps that came last.
    pub caps: Option<gst::Caps>,
    /// What was told to be lost on the way to an encoder.
    pub told_loss: Option<String>,
    /// EOS has come, and once more.
    pub ended: bool,
    pub ended_again: bool,
    /// It goes on though its recording has ended, as behind a seek.
    pub goes_on: bool,
    /// That more came behind it has been told.
    pub told_late: bool,
}

impl Arrival {
    /// EOS has come; true if it is not the first that ends what has come.
    pub(crate) fn end(&mut self) -> bool {
        std::mem::replace(&mut self.ended, true) || self.goes_on
    }
}

#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub bin: glib::WeakRef<gst::Bin>,
    pub settings: Mutex<Settings>,
    pub streams: Streams,
    pub making: Mutex<Making>,
    /// Streams that came late have what they end in.
    made: Condvar,
    pub flow: Mutex<Flow>,
    /// Each written by its stream's thread.
    pub video: Mutex<Arrival>,
    pub audio: Mutex<Arrival>,
    pub breaks: Breaks,
    pub names: Mutex<Option<Names>>,
    pub keeping: Keeping,
    pub preroll: Preroll,
    /// An error has been posted, and what follows from it is not.
    failed: AtomicBool,
}

/// What the ends of a recording hold of it.
struct Hand(Weak<Recorder>);

impl muxed::Owner for Hand {
    fn next_file(&self, first: &First) -> Option<PathBuf> {
        // The muxer's sink opens it again: the name is ours from here on.
        let (name, _) = self.0.upgrade()?.begin_file(first, Maker::Sink)?;
        Some(name)
    }

    fn prepare_file(
        &self,
        muxer: &gst::Element,
        sink: &gst::Element,
        name: &Path,
    ) -> Result<(), gst::ErrorMessage> {
        self.recorder()?.prepare_file(muxer, sink, name)
    }

    fn opened(&self, muxer: &gst::Element, sink: &gst::Element) {
        if let Some(recorder) = self.0.upgrade() {
            recorder.file_opened(muxer, sink);
        }
    }

    fn began(&self, placeholder: &gst::Element) {
        if let Some(recorder) = self.0.upgrade()
            && let Some(bin) = recorder.bin.upgrade()
        {
            recorder.preroll.tell(|| entry::discard(&bin, placeholder));
        }
    }

    fn is_without(&self, stream: &str, ended: bool) {
        if let Some(bin) = self.0.upgrade().and_then(|recorder| recorder.bin.upgrade()) {
            let so = match ended {
                true => "the file is without it",
                false => "the file is without it until something does",
            };
            let text = nothing_came(&[stream], so);
            gst::element_warning!(bin, gst::StreamError::Mux, ("{text}"));
        }
    }

    fn has_leading(&self) {
        if let Some(bin) = self.0.upgrade().and_then(|recorder| recorder.bin.upgrade()) {
            gst::element_warning!(
                bin,
                gst::StreamError::Mux,
                ("Pictures at the beginning of a file need the file before it, and players leave them out: have the \
                     encoder close its groups of pictures (x265enc option-string=open-gop=0)")
            );
        }
    }

    fn make_muxer(&self) -> Result<gst::Element, gst::ErrorMessage> {
        self.recorder()?.make_muxer()
    }

    fn failed(&self, message: gst::ErrorMessage) {
        if let Some(recorder) = self.0.upgrade() {
            recorder.post_error(message);
        }
    }

    fn flushed(&self, stream: &str, frames: u64) {
        if let Some(recorder) = self.0.upgrade().filter(|_| stream == "video") {
            lock(&recorder.flow).dropped.flushed += frames;
        }
    }

    fn is_empty(&self) {
        if let Some(bin) = self.0.upgrade().and_then(|recorder| recorder.bin.upgrade()) {
            let text = nothing_came(&[], "there is no file");
            gst::element_warning!(bin, gst::StreamError::Mux, ("{text}"));
        }
    }
}

impl Hand {
    fn recorder(&self) -> Result<Arc<Recorder>, gst::ErrorMessage> {
        let gone = || gst::error_msg!(gst::CoreError::StateChange, ("The element is gone"));
        self.0.upgrade().ok_or_else(gone)
    }
}

impl elementary::Owner for Hand {
    fn next_file(&self, first: &First) -> Option<(PathBuf, File)> {
        let (name, file) = self.0.upgrade()?.begin_file(first, Maker::Recorder)?;
        Some((name, file?))
    }

    fn writes(&self, bytes: u64) {
        if let Some(recorder) = self.0.upgrade() {
            recorder.writes(bytes);
        }
    }

    fn file_done(&self, tally: &Tally) {
        if let Some(recorder) = self.0.upgrade() {
            recorder.file_done(tally);
        }
    }
}

pub(crate) fn settings_error(text: impl std::fmt::Display) -> gst::ErrorMessage {
    gst::error_msg!(gst::ResourceError::Settings, ("{text}"))
}

impl Recorder {
    /// Posts an error, unless it follows from one.
    pub(crate) fn post_error(&self, message: gst::ErrorMessage) {
        if self.fails()
            && let Some(bin) = self.bin.upgrade()
        {
            bin.post_error_message(message);
        }
    }

    pub(crate) fn post_element(&self, details: gst::Structure) {
        if let Some(bin) = self.bin.upgrade() {
            let message = gst::message::Element::builder(details).src(&bin).build();
            let _ = bin.post_message(message);
        }
    }

    /// What is known of a stream that arrives.
    pub(crate) fn arrival(&self, name: &str) -> &Mutex<Arrival> {
        match name {
            "video" => &self.video,
            _ => &self.audio,
        }
    }

    pub(crate) fn muxed(&self) -> Option<Arc<Muxed>> {
        match &lock(&self.making).end {
            Some(End::Muxed(muxed)) => Some(muxed.clone()),
            _ => None,
        }
    }

    /// An error is about to be posted; true if it is the first.
    pub(crate) fn fails(&self) -> bool {
        if let Some(muxed) = self.muxed() {
            muxed.failed();
        }
        // What fails from here on fails because of it.
        self.streams.fail();
        !self.failed.swap(true, Ordering::AcqRel)
    }

    /// An element of the recording has posted an error.
    pub(crate) fn failed_in(&self, element: Option<&gst::Object>) {
        if self.muxed().is_some_and(|muxed| muxed.is_sink(element)) {
            self.keeping.sink_failed.store(true, Ordering::Release);
        }
    }

    /// An element of the recording has nothing more to come: if it is the end of all, the names are others'.
    pub(crate) fn ended(&self, element: Option<&gst::Object>) {
        let is_end = match &lock(&self.making).end {
            Some(End::Muxed(muxed)) => muxed.is_sink(element),
            Some(End::Elements(sink)) => element == Some(sink.upcast_ref()),
            None => false,
        };
        if is_end {
            self.leave_names();
        }
    }

    /// Lets go of the threads that bring the streams.
    pub(crate) fn release_streams(&self) {
        self.streams.stop();
        if let Some(muxed) = self.muxed() {
            muxed.stop();
        }
    }

    pub(crate) fn stats(&self) -> gst::Structure {
        let jumps = [&self.video, &self.audio].map(|arrival| lock(arrival).stamps.jumps());
        let flow = lock(&self.flow);
        let stats = gst::Structure::builder("recordsink-stats")
            .field("frames", flow.totals.frames)
            .field("bytes", flow.totals.bytes)
            .field("last-frame-bytes", flow.totals.last_frame_bytes)
            .field("files", flow.totals.files)
            .field("jumps", jumps.iter().sum::<u64>());
        flow.dropped().tell(stats).build()
    }

    pub(crate) fn split(&self, location: Option<String>) {
        let end = lock(&self.making).end.clone();
        let Some(end) = end else {
            gst::warning!(CAT, "Nothing is being recorded that could be split");
            return;
        };
        if let (Some(location), Some(names)) = (location, &mut *lock(&self.names)) {
            names.ask_for(location);
        }
        match end {
            End::Muxed(muxed) => muxed.split(),
            End::Elements(sink) => sink.split(),
        }
    }

    pub(crate) fn finish(&self) {
        let names = lock(&self.flow).gates.end_all();
        for name in names {
            self.streams.end(&name);
        }
    }

    /// Whether a stream has been recorded to its end.
    pub(crate) fn has_ended(&self, name: &str) -> bool {
        lock(&self.flow).gates.has_ended(name)
    }

    /// Whether streams can no longer be chosen.
    pub(crate) fn is_chosen(&self) -> bool {
        let making = lock(&self.making);
        making.running && !matches!(making.late, Late::Waiting(_))
    }

    /// What can be known to be wrong before anything starts.
    pub(crate) fn check(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        let location = settings.location.as_deref().unwrap_or_default();
        let elsewhere = settings.other_sink().is_some();
        if elsewhere && settings.muxer_factory.is_some() && location.is_empty() {
            lock(&self.making).container = Some(&OTHER);
            return Ok(());
        }
        if location.is_empty() {
            return Err(settings_error(
                "location is not set: it names the file to record to",
            ));
        }
        let container = match (&settings.muxer_factory, Container::of(location)) {
            (None, container) => container.map_err(settings_error)?,
            (Some(_), Ok(container)) if matches!(container.kind, Kind::Muxed(_)) => container,
            (Some(_), _) => &OTHER,
        };
        check_profile(&settings, location)?;
        self.check_encoders(&settings)?;
        let mut names = Names::new(location).map_err(settings_error)?;
        lock(&self.making).container = Some(container);
        if elsewhere {
            return match container.kind {
                Kind::Muxed(_) => Ok(()),
                _ => Err(settings_error(format_args!(
                    "sink-factory stores what a muxer makes, and {location:?} has none: use .mkv, .ts or \
                     another container, or set muxer-factory"
                ))),
            };
        }
        let cannot = |err| gst::error_msg!(gst::ResourceError::OpenWrite, ("{err}"));
        let (fixed, _) = names.pattern().steps();
        if names.pattern().is_timed() {
            // What a time names is made when it comes.
            return files::check_directory(&fixed.join("a")).map_err(cannot);
        }
        let (first, by) = names.next_name(|_| None, 0);
        if by.look(&first, settings.overwrite).is_err() {
            // The next one will do.
            return files::check_directory(&first).map_err(cannot);
        }
        files::check_place(&first).map_err(cannot)?;
        files::check_unclaimed(&first).map_err(cannot)?;
        // A link that leads nowhere is there too.
        if !settings.overwrite && first.symlink_metadata().is_ok() {
            let error = files::CreateError::Exists(first);
            return Err(gst::error_msg!(
                gst::ResourceError::OpenWrite,
                ("{error}; {}", files::PASSED_OVER)
            ));
        }
        Ok(())
    }

    /// Whether the encoders that were named are installed, of streams that there are.
    fn check_encoders(&self, settings: &Settings) -> Result<(), gst::ErrorMessage> {
        let streams = self.streams.names();
        for (stream, encoder) in [
            ("video", &settings.video_encoder),
            ("audio", &settings.audio_encoder),
        ] {
            let there = streams.iter().any(|name| name == stream);
            if let Some(name) = encoder
                .as_deref()
                .filter(|name| there && !encoder::is_codec(name))
            {
                streams::find(name).map_err(|err| missing(&err))?;
            }
        }
        Ok(())
    }

    /// The end of the recording, for the streams that there are. Where there are none, there will be when
    /// there are data.
    pub(crate) fn prepare(self: &Arc<Self>) -> Result<(), gst::ErrorMessage> {
        self.failed.store(false, Ordering::Release);
        self.streams.open();
        if !self.streams.names().is_empty() {
            return self.make_end(false).map(drop);
        }
        let settings = lock(&self.settings).clone();
        let container = self.container()?;
        self.begin(&settings, container, &[])?;
        let placeholder = streams::make("fakesink").map_err(|err| missing(&err))?;
        let added = self.bin()?.add(&placeholder);
        added.map_err(|err| gst::error_msg!(gst::CoreError::Failed, ("No sink fits: {err}")))?;
        let mut making = lock(&self.making);
        making.late = Late::Waiting(placeholder);
        making.running = true;
        Ok(())
    }

    /// Data come of a stream: there will be no others.
    pub(crate) fn close_choice(self: &Arc<Self>) {
        let placeholder = {
            let mut making = lock(&self.making);
            while matches!(making.late, Late::Making) {
                let made = self.made.wait(making);
                making = made.unwrap_or_else(PoisonError::into_inner);
            }
            match std::mem::replace(&mut making.late, Late::Making) {
                Late::Waiting(placeholder) => placeholder,
                late => {
                    making.late = late;
                    return;
                }
            }
        };
        let made = self.make_late_end(&placeholder);
        lock(&self.making).late = Late::No;
        self.made.notify_all();
        if let Err(message) = made {
            self.post_error(message);
        }
    }

    fn make_late_end(
        self: &Arc<Self>,
        placeholder: &gst::Element,
    ) -> Result<(), gst::ErrorMessage> {
        self.check_encoders(&lock(&self.settings).clone())?;
        for element in self.make_end(true)? {
            entry::start(&element).map_err(|err| {
                gst::error_msg!(gst::CoreError::StateChange, ("The file can't begin: {err}"))
            })?;
        }
        // The bin waits for what has come in its place by now.
        let bin = self.bin()?;
        self.preroll.tell(|| entry::discard(&bin, placeholder));
        Ok(())
    }

    fn container(&self) -> Result<&'static Container, gst::ErrorMessage> {
        lock(&self.making)
            .container
            .ok_or_else(|| gst::error_msg!(gst::CoreError::StateChange, ("No container is known")))
    }

    fn bin(&self) -> Result<gst::Bin, gst::ErrorMessage> {
        let bin = self.bin.upgrade();
        bin.ok_or_else(|| gst::error_msg!(gst::CoreError::StateChange, ("The bin is gone")))
    }

    /// The end of the recording: a muxer and a file, or a file. Answers with those of its elements that begin before
    /// there is a file; made `late`, the bin does not start them.
    fn make_end(self: &Arc<Self>, late: bool) -> Result<Vec<gst::Element>, gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        let container = self.container()?;
        let mut names = self.streams.names();
        // The reference first: see cut.rs.
        names.sort_by_key(|name| name != "video");
        if settings.profile == Profile::K210 && names.iter().all(|name| name != "video") {
            return Err(settings_error(ProfileError::NoVideo));
        }
        self.begin(&settings, container, &names)?;
        let end = match container.kind {
            Kind::Muxed(_) => End::Muxed(self.muxed_end(&settings, &names)?),
            _ => End::Elements(self.elementary_end(&settings, container, &names)?),
        };
        let bin = self.bin()?;
        let failed = |err| gst::error_msg!(gst::CoreError::Failed, ("No sink fits: {err}"));
        let elements = end.elements();
        let is_first = |element: &&gst::Element| !element.is_locked_state();
        let first: Vec<_> = elements.iter().filter(is_first).cloned().collect();
        let added = match late {
            true => entry::add(&bin, &elements),
            false => bin.add_many(&elements),
        };
        added.map_err(failed)?;
        if let End::Muxed(muxed) = &end {
            muxed.link().map_err(failed)?;
        }
        for name in &names {
            if let ("audio", Some(pad)) = (name.as_str(), self.streams.pad(name)) {
                pad.set_offset(settings.audio_sync);
            }
            let target = match &end {
                End::Muxed(muxed) => muxed.pad(name),
                End::Elements(sink) => sink.static_pad("sink"),
            };
            self.streams.set_target(name, target);
        }
        let mut making = lock(&self.making);
        making.end = Some(end);
        making.running = true;
        Ok(first)
    }

    /// A recording's names, times and counts.
    fn begin(
        &self,
        settings: &Settings,
        container: &Container,
        streams: &[String],
    ) -> Result<(), gst::ErrorMessage> {
        let location = settings.location.as_deref().filter(|name| !name.is_empty());
        let names = location
            .map(Names::new)
            .transpose()
            .map_err(settings_error)?;
        self.keeping.begin_anew();
        let cannot = |err| gst::error_msg!(gst::ResourceError::OpenWrite, ("{err}"));
        let path = settings.pts_location.as_deref().map(PathBuf::from);
        if let (Some(path), Some(location)) = (&path, location)
            && (claims::is_same(path, Path::new(location)) || names::are_of(location, path))
        {
            return Err(settings_error(format_args!(
                "pts-location and a file of location, {location:?}, are one file: choose another name for the times"
            )));
        }
        let overwrite = settings.overwrite;
        let file = path
            .map(|path| Claimed::create(path, overwrite))
            .transpose();
        let times = file.map_err(cannot)?.map(Times::new);
        let many = names.as_ref().is_some_and(Names::makes_many);
        let photograph = container.kind == Kind::Pictures && !many;
        let gates = Gates::new(streams, || {
            let interval = settings.interval.saturating_mul(1000);
            Gate::new(interval, settings.duration, u64::from(photograph))
        });
        *lock(&self.names) = names;
        *lock(&self.flow) = Flow {
            gates,
            times,
            ..Flow::default()
        };
        *lock(&self.video) = Arrival::default();
        *lock(&self.audio) = Arrival::default();
        self.breaks.clear();
        Ok(())
    }

    fn elementary_end(
        self: &Arc<Self>,
        settings: &Settings,
        container: &Container,
        names: &[String],
    ) -> Result<Elements, gst::ErrorMessage> {
        for name in names {
            let fits = match name.as_str() {
                "video" => container.has_video(),
                _ => container.has_audio(),
            };
            if !fits {
                let location = settings.location.as_deref().unwrap_or_default();
                return Err(settings_error(format_args!(
                    "{location:?} holds no {name}: use .avi, .mp4, .mov, .mkv or .ts"
                )));
            }
        }
        let limits = elementary::Limits {
            time: settings.split_time,
            bytes: settings.split_bytes,
        };
        let owner = Arc::new(Hand(Arc::downgrade(self)));
        Ok(Elements::new(container.kind, limits, owner))
    }

    /// The muxer that was named, or the one for the extension.
    fn make_muxer(&self) -> Result<gst::Element, gst::ErrorMessage> {
        let container = lock(&self.making).container;
        let settings = lock(&self.settings).clone();
        let sink = settings.other_sink();
        let muxers: &[Muxer] = match container.map(|container| container.kind) {
            Some(Kind::Muxed(muxers)) => muxers,
            _ => &[],
        };
        let named = settings.muxer_factory.as_deref();
        let factory = named.or(muxers.first().map(|muxer| muxer.factory));
        let muxer = streams::make(factory.unwrap_or("matroskamux")).map_err(|err| missing(&err))?;
        streams::write_in_fragments(&muxer, sink.unwrap_or("filesink"));
        ticks::refine(&muxer);
        transport::put_right(&muxer);
        ogg::put_right(&muxer);
        self.keeping.creation.attach(&muxer);
        if settings.profile == Profile::K210 {
            set::set(&muxer, "profile", &"k210".to_value()).map_err(settings_error)?;
        }
        let properties = settings.muxer_properties.as_ref();
        set::set_all(&muxer, properties).map_err(settings_error)?;
        Ok(muxer)
    }

    fn muxed_end(
        self: &Arc<Self>,
        settings: &Settings,
        names: &[String],
    ) -> Result<Arc<Muxed>, gst::ErrorMessage> {
        let muxer = self.make_muxer()?;
        let factory = muxer.factory().map(|factory| factory.name());
        let limits = cut::Limits {
            time: settings.split_time,
            bytes: settings.split_bytes,
            ..cost(factory.as_deref().unwrap_or_default(), names.len() as u64)
        };
        Muxed::new(Parts {
            bin: self.bin.clone(),
            muxer,
            sink: self.make_sink(settings)?,
            streams: names.to_vec(),
            // A preview behind a tee needs a thread that goes on while this one waits for PLAYING.
            threads: names.len() > 1 || settings.preview,
            limits,
            current: lock(&self.flow).current.clone(),
            owner: Box::new(Hand(Arc::downgrade(self))),
        })
        .map_err(|err| missing(&err))
    }

    /// Takes everything away that was made for one recording, if that has not been done.
    pub(crate) fn take_apart(&self) {
        let (end, late) = {
            let mut making = lock(&self.making);
            making.running = false;
            (making.end.take(), std::mem::take(&mut making.late))
        };
        let Some(bin) = self.bin.upgrade() else {
            return;
        };
        self.streams.dismantle(&bin);
        if let Late::Waiting(placeholder) = late {
            entry::discard(&bin, &placeholder);
        }
        for element in end.iter().flat_map(End::elements) {
            if element.parent().is_some() {
                entry::discard(&bin, &element);
            }
        }
        self.leave_file();
        let times = lock(&self.flow).times.take();
        if let Some(mut times) = times
            && let Err(err) = times.finish()
        {
            gst::warning!(CAT, "The last times were not written: {err}");
        }
    }

    /// A file that a muxer made is complete.
    pub(crate) fn muxed_file_done(&self, muxed: &Muxed) {
        let current = {
            let flow = lock(&self.flow);
            let current = std::mem::take(&mut *lock(&flow.current));
            if current.frames == 0 && flow.totals.files > 0 {
                // A sink that goes to PLAYING while EOS passes says twice that it is complete.
                return;
            }
            current
        };
        let frames = streams::frames_in(&muxed.muxer()).unwrap_or(current.frames);
        self.file_done(&Tally {
            location: muxed.location(),
            frames,
            lost: current.frames.saturating_sub(frames),
            bytes: 0,
            duration: current.duration(),
            file: None,
        });
    }

    /// Whether a file is not at its place any more, which is told.
    fn has_left(&self, tally: &Tally, begun: &Begun) -> bool {
        let made = tally.file.as_deref().or(begun.file.as_ref());
        if made.is_none_or(|made| is_at(made, &tally.location)) {
            return false;
        }
        if let Some(bin) = self.bin.upgrade() {
            let gone = FileError::Gone(tally.location.clone());
            gst::element_warning!(bin, gst::ResourceError::NotFound, ("{gone}"));
        }
        true
    }

    fn file_done(&self, tally: &Tally) {
        let mut begun = self.end_file();
        // What is said is of the file that is there.
        let bytes = match lock(&self.settings).other_sink() {
            Some(_) => Ok(begun.written),
            None if self.has_left(tally, &begun) => {
                begun.file = None;
                *lock(&self.keeping.begun) = Some(begun);
                return;
            }
            None => std::fs::metadata(&tally.location).map(|metadata| metadata.len()),
        };
        let bytes = match bytes {
            Ok(bytes) if bytes > 0 && !self.failed.load(Ordering::Acquire) => bytes,
            found => {
                gst::warning!(CAT, "No file came of {tally:?}: {found:?}");
                *lock(&self.keeping.begun) = Some(begun);
                return;
            }
        };
        let dropped = {
            let mut flow = lock(&self.flow);
            flow.totals.files += 1;
            flow.totals.frames = flow.totals.frames.saturating_sub(tally.lost);
            flow.dropped.lost += tally.lost;
            let dropped = flow.dropped();
            dropped.since(std::mem::replace(&mut flow.told, dropped))
        };
        gst::info!(CAT, "Complete: {tally:?}, {bytes} bytes");
        let details = gst::Structure::builder("recordsink-file")
            .field("location", tally.location.to_string_lossy().as_ref())
            .field("frames", tally.frames)
            .field("bytes", bytes)
            .field("duration", tally.duration)
            .field_if_some("start-utc", begun.utc.map(unsigned))
            .field_if_some(
                "end-utc",
                begun
                    .utc
                    .map(|utc| unsigned(utc) + tally.duration.nseconds()),
            );
        self.post_element(dropped.tell(details).build());
        self.sweep();
    }
}

/// Whether the file can be one for the profile that was chosen.
fn check_profile(settings: &Settings, location: &str) -> Result<(), gst::ErrorMessage> {
    if settings.profile == Profile::Standard {
        return Ok(());
    }
    let muxers = match Container::of(location).map(|container| container.kind) {
        Ok(Kind::Muxed(muxers)) => muxers,
        _ => &[],
    };
    let choices = Choices {
        location,
        is_avi: muxers
            .first()
            .is_some_and(|it| it.factory == profile::MUXER),
        muxer: settings.muxer_factory.as_deref(),
        video_encoder: settings.video_encoder.as_deref(),
        audio_encoder: settings.audio_encoder.as_deref(),
    };
    choices.check().map_err(settings_error)
}

/// What a muxer writes for a file, and for each frame besides the frame's own bytes. Measured on
/// files of 1 to 100 small frames with and without sound, and a little more than that: a file that
/// is full ends early rather than late.
fn cost(muxer: &str, streams: u64) -> cut::Limits {
    let (file, stream, overhead, per_kib) = match muxer {
        // Each stream has room for an index of indexes; a frame a chunk head, a pad byte and two
        // entries in indexes.
        "avimjpegmux" => (4352, 8448, 44, 0),
        "mp4mux" | "qtmux" => (1024, 1536, 140, 0),
        // Packets of 188 bytes, the last one of a frame padded, and PES heads.
        "mpegtsmux" => (1024, 0, 300, 32),
        _ => (1024, 256, 48, 0),
    };
    cut::Limits {
        head: file + stream * streams,
        overhead,
        per_kib,
        ..cut::Limits::default()
    }
}
