// SPDX-License-Identifier: MIT OR Apache-2.0
//! The file that is being written: its name, its time of day, and what has to go for it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use avi_mjpeg::pcm::file::give_back;
use gst::prelude::*;

use super::CAT;
use super::begun::{Begun, Maker};
use super::first::First;
use super::names::{CalledBy, Names, families};
use super::recorder::{Recorder, settings_error};
use super::settings::Settings;
use crate::streams::files::{self, Claimed, CreateError, Hold};
use crate::streams::retention::{Limits, Policy, Swept};
use crate::streams::wallclock::{self, Moment, Reading};
use crate::streams::{self, claims, held, missing, ondisk, pins, place, set, srt};
use crate::sync::lock;

/// How much of a stream (ns) passes between two looks at the clocks.
const LOOK_AT_CLOCKS: u64 = 200_000_000;

/// How far (ns) running time may go back and still go on: encoders reorder pictures.
const BACK: i64 = 1_000_000_000;

fn limits(settings: &Settings) -> Limits {
    Limits {
        files: settings.max_files.into(),
        total_bytes: settings.max_total_bytes,
        free_bytes: settings.min_free_bytes,
    }
}

impl Recorder {
    /// Looks at the clocks for the stream that files begin with.
    pub(crate) fn observe(
        &self,
        name: &str,
        pad: &gst::GhostPad,
        buffer: &gst::BufferRef,
        time: i64,
    ) {
        let keeping = &self.keeping;
        let looked = lock(&keeping.clock).looked;
        let due = looked.is_none_or(|looked| time.abs_diff(looked) >= LOOK_AT_CLOCKS);
        if !due || (name != "video" && self.streams.pad("video").is_some()) {
            return;
        }
        let Some(bin) = self.bin.upgrade() else {
            return;
        };
        let live = match looked {
            Some(_) => lock(&keeping.clock).live,
            None => wallclock::is_live(pad.upcast_ref()),
        };
        let reading = Reading::now(&bin, live);
        let change = {
            let mut clock = lock(&keeping.clock);
            if looked.is_some_and(|looked| time.saturating_add(BACK) < looked) {
                clock.wall.begin_anew();
            }
            clock.looked = Some(time);
            clock.live = live;
            let reference = wallclock::reference_of(buffer);
            clock.wall.observe(time, reference, reading)
        };
        if let Some(change) = change {
            let details = gst::Structure::builder("recordsink-clock-set")
                .field("running-time", time)
                .field("source", change.source.name())
                .field("difference", change.by)
                .build();
            self.post_element(details);
        }
    }

    /// Names the next file, and takes it: of a sink's the name, of one's own the file too. What is wrong with it is posted.
    pub(crate) fn begin_file(
        &self,
        first: &First,
        maker: Maker,
    ) -> Option<(PathBuf, Option<File>)> {
        let settings = lock(&self.settings).clone();
        let clock = || lock(&self.keeping.clock).wall.utc(first.start?);
        let mut begun = Begun {
            utc: first.utc().or_else(clock),
            ..Begun::default()
        };
        let moment = match begun.utc {
            Some(utc) => Moment::new(utc, settings.utc_names),
            None => Moment::now(settings.utc_names),
        };
        let chosen = self.chosen_name(first);
        let mut taken = 0;
        let (name, reserved) = loop {
            let (name, by) = match &chosen {
                Some(name) => (name.clone(), CalledBy::Choice),
                None => self.next_name(moment.as_ref(), taken),
            };
            let reserved = match settings.other_sink() {
                Some(_) => by.look(&name, settings.overwrite).map(|()| None),
                None => self.reserve(&settings, &name, by, maker).map(Some),
            };
            match &reserved {
                Err(error) if by.passes(error, settings.overwrite) => taken += 1,
                _ => break (name, reserved),
            }
        };
        let mut made = None;
        match reserved {
            Ok(Some((hold, file))) => {
                begun.hold = Some(hold);
                match maker {
                    Maker::Recorder => made = file,
                    Maker::Sink => begun.file = file,
                }
            }
            Ok(None) => (),
            Err(err) => {
                let times = settings.pts_location.as_deref().map(Path::new);
                let error = match (&err, times) {
                    (CreateError::InUse(_), Some(times)) if claims::is_same(&name, times) => {
                        settings_error(format_args!(
                            "{name:?} is where pts-location has the times: choose another name"
                        ))
                    }
                    _ => gst::error_msg!(gst::ResourceError::OpenWrite, ("{err}")),
                };
                self.post_error(error);
                return None;
            }
        }
        begun.path.clone_from(&name);
        *lock(&self.keeping.begun) = Some(begun);
        Some((name, made))
    }

    /// What the next file is called where that was asked for, or the application chooses it.
    fn chosen_name(&self, first: &First) -> Option<PathBuf> {
        let (asked_for, number) = {
            let mut names = lock(&self.names);
            let names = names.as_mut();
            names.map_or((None, 0), |names| (names.asked_for(), names.number()))
        };
        if asked_for.is_some() {
            return asked_for;
        }
        let chosen = self.bin.upgrade().and_then(|bin| {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            let full: Option<String> =
                bin.emit_by_name("format-location-full", &[&number, &first.sample]);
            full.or_else(|| bin.emit_by_name("format-location", &[&number]))
        });
        let mut names = lock(&self.names);
        let Some(names) = names.as_mut() else {
            return Some(chosen.unwrap_or_default().into());
        };
        let chosen = chosen.filter(|name| !name.is_empty())?;
        names.pass();
        Some(chosen.into())
    }

    /// What it is called by the location, where so many of its names are taken.
    fn next_name(&self, moment: Option<&Moment>, taken: u64) -> (PathBuf, CalledBy) {
        let text = |letter| moment?.text(letter);
        match lock(&self.names).as_mut() {
            Some(names) => names.next_name(text, taken),
            None => (PathBuf::new(), CalledBy::Choice),
        }
    }

    /// Has nobody else write or delete the file, which is made unless its sink does that.
    fn reserve(
        &self,
        settings: &Settings,
        name: &Path,
        by: CalledBy,
        maker: Maker,
    ) -> Result<(Hold, Option<File>), CreateError> {
        if pins::is_pinned(name) {
            return Err(CreateError::Pinned(name.to_owned()));
        }
        if let Some(pattern) = lock(&self.names).as_ref().map(Names::pattern) {
            files::create_directories(pattern, name)?;
        }
        if by == CalledBy::Choice {
            // An application may call each file the same.
            lock(&self.keeping.names).give_up(name);
        }
        let reserved = match (maker, by.overwrites(settings.overwrite)) {
            (Maker::Sink, true) => (Hold::for_sink(name)?, None),
            (_, overwrite) => {
                let made = Claimed::create(name.to_owned(), overwrite)?;
                (made.hold, Some(made.file))
            }
        };
        self.keeping.retention.began(name, limits(settings));
        self.keeping.retention.look_soon();
        Ok(reserved)
    }

    /// The sink that was named, or that of files.
    pub(crate) fn make_sink(
        self: &Arc<Self>,
        settings: &Settings,
    ) -> Result<gst::Element, gst::ErrorMessage> {
        let factory = settings.other_sink().unwrap_or("filesink");
        let sink = streams::make(factory).map_err(|err| missing(&err))?;
        // As fast as the storage takes it.
        set::set_if_there(&sink, "sync", "false");
        set::set_all(&sink, settings.sink_properties.as_ref()).map_err(settings_error)?;
        srt::hear_out(&sink);
        for pad in sink.sink_pads() {
            let weak = Arc::downgrade(self);
            let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
            pad.add_probe(kinds, move |_, info| {
                let Some(recorder) = weak.upgrade() else {
                    return gst::PadProbeReturn::Ok;
                };
                if recorder.keeping.sink_failed.load(Ordering::Acquire) {
                    // A muxer that ends its file all the same would spoil what is in it.
                    info.flow_res = Err(gst::FlowError::Error);
                    return gst::PadProbeReturn::Handled;
                }
                recorder.writes(streams::bytes_in(info));
                gst::PadProbeReturn::Ok
            });
        }
        Ok(sink)
    }

    /// Tells muxer and sink what they are about to write.
    pub(crate) fn prepare_file(
        &self,
        muxer: &gst::Element,
        sink: &gst::Element,
        name: &Path,
    ) -> Result<(), gst::ErrorMessage> {
        let utc = lock(&self.keeping.begun)
            .as_ref()
            .and_then(|begun| begun.utc);
        self.keeping.creation.set(muxer, utc);
        if name.as_os_str().is_empty() {
            return Ok(());
        }
        place::set_name(sink, &name.to_string_lossy()).map_err(settings_error)
    }

    /// The sink has opened the file that `muxer` writes.
    pub(crate) fn file_opened(&self, muxer: &gst::Element, sink: &gst::Element) {
        if lock(&self.settings).other_sink().is_some() {
            return;
        }
        let muxer = muxer.factory().map(|factory| factory.name());
        let mut begun = lock(&self.keeping.begun);
        let Some(begun) = begun.as_mut() else { return };
        if begun.file.is_none() {
            begun.file = ondisk::open(&begun.path);
        }
        begun.sync = begun
            .file
            .as_ref()
            .filter(|_| !muxer.is_some_and(|muxer| streams::syncs_itself(&muxer)))
            .and_then(|file| ondisk::sync(&begun.path, file, sink));
    }

    /// So many bytes are about to be written.
    pub(crate) fn writes(&self, bytes: u64) {
        let to_pin = {
            let mut begun = lock(&self.keeping.begun);
            begun.as_mut().and_then(|begun| {
                begun.written += bytes;
                if let Some(sync) = &begun.sync {
                    sync.written();
                }
                std::mem::take(&mut begun.to_be_pinned).then(|| begun.path.clone())
            })
        };
        if let Some(path) = to_pin {
            self.pin_file(&path);
        }
        let swept = self.keeping.retention.make_room(bytes, || self.policy());
        self.tell_swept(swept);
    }

    /// The recording is over, and the sink has closed the file. What it could not finish ends where it plays.
    pub(crate) fn leave_file(&self) {
        let begun = self.end_file();
        if let Some(file) = &begun.file {
            if self.keeping.sink_failed.load(Ordering::Acquire) {
                ondisk::cut_back(&begun.path, file);
            }
            // What its sink could not open, or had nothing for.
            give_back(&begun.path, file);
        }
        self.leave_names();
    }

    /// No other file follows.
    pub(crate) fn leave_names(&self) {
        lock(&self.keeping.names).clear();
    }

    /// The file is complete, or will never be.
    pub(crate) fn end_file(&self) -> Begun {
        let mut begun = lock(&self.keeping.begun).take().unwrap_or_default();
        if let Some(hold) = begun.hold.take() {
            lock(&self.keeping.names).keep([hold.into_claim()]);
        }
        if begun.to_be_pinned {
            self.pin_file(&begun.path);
        }
        begun
    }

    fn policy(&self) -> Policy {
        let settings = lock(&self.settings);
        let location = settings.location.as_deref();
        let location = location.filter(|_| settings.other_sink().is_none());
        Policy {
            limits: limits(&settings),
            families: location.map_or_else(Vec::new, families),
            times: None,
        }
    }

    /// Deletes what is beyond the limits.
    pub(crate) fn sweep(&self) {
        let swept = self.keeping.retention.sweep(|| self.policy());
        self.tell_swept(swept);
    }

    fn tell_swept(&self, swept: Swept) {
        for deleted in swept.deleted {
            let details = gst::Structure::builder("recordsink-file-deleted")
                .field("location", deleted.path.to_string_lossy().as_ref())
                .field("bytes", deleted.bytes)
                .field("reason", deleted.reason.property())
                .build();
            self.post_element(details);
        }
        let Some(bin) = self.bin.upgrade() else {
            return;
        };
        for trouble in swept.troubles {
            gst::element_warning!(bin, gst::ResourceError::Failed, ("{trouble}"));
        }
    }

    /// Has a file stay, or the one that is being written. Returns whether there is one.
    pub(crate) fn pin(&self, location: Option<&str>) -> bool {
        if let Some(location) = location {
            return self.pin_file(Path::new(location));
        }
        // It may be that its sink is still about to make it.
        let mut begun = lock(&self.keeping.begun);
        begun.as_mut().is_some_and(|begun| {
            begun.to_be_pinned = true;
            true
        })
    }

    fn pin_file(&self, file: &Path) -> bool {
        marked(file, held::pin(file))
    }

    /// Has a file stay no longer. Returns whether there is one.
    pub(crate) fn unpin(&self, file: &str) -> bool {
        let file = Path::new(file);
        marked(file, pins::unpin(file))
    }
}

fn marked(file: &Path, result: std::io::Result<()>) -> bool {
    if let Err(error) = &result {
        let file = file.display();
        gst::warning!(CAT, "The mark of '{file}' can't be changed: {error}");
    }
    result.is_ok()
}
