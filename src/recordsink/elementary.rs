// SPDX-License-Identifier: MIT OR Apache-2.0
//! The end of a recording without a container: encoded frames one behind the other, one picture a
//! file, or samples.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex};

use gst::glib;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;

use super::container::Elementary;
use super::imp::CAT;
use crate::streams::{file_error, layout_of};
use crate::sync::lock;
use avi_mjpeg::pcm::file::{FileError, Recording};

/// Where a file's name comes from: `None` refuses it, with the error posted already.
pub type NextFile = Box<dyn Fn() -> Option<PathBuf> + Send>;
/// Who is told when a file is complete: its name, frames, bytes and duration.
pub type FileDone = Box<dyn Fn(&Tally) + Send>;

/// What went into a file.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    pub location: PathBuf,
    /// Frames of video, or of sound in a file without any.
    pub frames: u64,
    pub bytes: u64,
    /// From the first to the end of the last, in running time.
    pub duration: gst::ClockTime,
}

/// When to begin the next file.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    pub time: Option<gst::ClockTime>,
    pub bytes: u64,
}

enum Body {
    Frames(File),
    Samples(Recording),
}

struct Open {
    body: Body,
    tally: Tally,
    first: Option<gst::ClockTime>,
    end: Option<gst::ClockTime>,
}

#[derive(Default)]
struct State {
    kind: Option<Elementary>,
    limits: Limits,
    next_file: Option<NextFile>,
    file_done: Option<FileDone>,
    layout: Option<avi_mjpeg::pcm::Layout>,
    open: Option<Open>,
    /// The application wants the next file to begin with the next key unit.
    split: bool,
}

#[derive(Default)]
pub struct ElementarySink {
    state: Mutex<State>,
}

#[glib::object_subclass]
impl ObjectSubclass for ElementarySink {
    const NAME: &'static str = "GstRecordSinkElementary";
    type Type = Elements;
    type ParentType = gst_base::BaseSink;
}

glib::wrapper! {
    pub struct Elements(ObjectSubclass<ElementarySink>)
        @extends gst_base::BaseSink, gst::Element, gst::Object;
}

impl Elements {
    pub fn new(kind: Elementary, limits: Limits, next_file: NextFile, file_done: FileDone) -> Self {
        let sink: Self = glib::Object::builder().property("name", "file").build();
        *lock(&sink.imp().state) = State {
            kind: Some(kind),
            limits,
            next_file: Some(next_file),
            file_done: Some(file_done),
            ..State::default()
        };
        sink
    }

    /// The next key unit begins the next file.
    pub fn split(&self) {
        lock(&self.imp().state).split = true;
    }
}

impl ObjectImpl for ElementarySink {
    fn constructed(&self) {
        self.parent_constructed();
        self.obj().set_sync(false);
    }
}

impl GstObjectImpl for ElementarySink {}

impl ElementImpl for ElementarySink {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "File without a container",
                "Sink/File",
                "Writes frames, pictures or samples to files",
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
                &gst::Caps::new_any(),
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
        let success = self.parent_change_state(transition)?;
        if transition == gst::StateChange::PausedToReady {
            self.close();
        }
        Ok(success)
    }
}

impl BaseSinkImpl for ElementarySink {
    fn set_caps(&self, caps: &gst::Caps) -> Result<(), gst::LoggableError> {
        let mut state = lock(&self.state);
        if state.kind == Some(Elementary::Audio) {
            let info = gst_audio::AudioInfo::from_caps(caps)
                .map_err(|err| gst::loggable_error!(CAT, "{caps}: {err}"))?;
            let layout = layout_of(&info)
                .ok_or_else(|| gst::loggable_error!(CAT, "{caps} is out of range"))?;
            if state.open.is_some() && state.layout != Some(layout) {
                return Err(gst::loggable_error!(CAT, "a file holds one audio format"));
            }
            state.layout = Some(layout);
        }
        Ok(())
    }

    fn render(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let map = buffer.map_readable().map_err(|_| {
            gst::element_imp_error!(self, gst::ResourceError::Read, ["Cannot map a buffer"]);
            gst::FlowError::Error
        })?;
        let start = self.running_time(buffer);
        let key_unit = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        if key_unit && self.next_is_due(start, map.len() as u64) {
            self.close();
        }
        if lock(&self.state).open.is_none() {
            self.open()?;
        }
        let mut state = lock(&self.state);
        let frame_bytes = state.layout.map_or(0, |layout| layout.frame_bytes());
        let Some(open) = &mut state.open else {
            return Err(gst::FlowError::Error);
        };
        let result = match &mut open.body {
            Body::Frames(file) => file.write_all(&map).map_err(|source| FileError::Write {
                path: open.tally.location.clone(),
                source,
            }),
            Body::Samples(recording) => recording.write(&map),
        };
        open.tally.bytes += map.len() as u64;
        open.tally.frames += match frame_bytes {
            0 => 1,
            n => (map.len() / n) as u64,
        };
        open.first = open.first.or(start);
        open.end = start
            .map(|start| start + buffer.duration().unwrap_or_default())
            .or(open.end);
        let half = (result.is_err() && state.kind == Some(Elementary::Picture))
            .then(|| state.open.take())
            .flatten();
        drop(state);
        if let Some(half) = half {
            // Half a picture is none. That it cannot be removed is no news beside the error.
            let _ = std::fs::remove_file(half.tally.location);
        }
        if let Err(err) = result {
            self.obj().post_error_message(file_error(&err));
            return Err(gst::FlowError::Error);
        }
        Ok(gst::FlowSuccess::Ok)
    }

    fn event(&self, event: gst::Event) -> bool {
        if let gst::EventView::Eos(_) = event.view() {
            self.close();
        }
        self.parent_event(event)
    }
}

impl ElementarySink {
    /// Whether the key unit that starts at `start` and has `len` bytes begins the next file.
    fn next_is_due(&self, start: Option<gst::ClockTime>, len: u64) -> bool {
        let mut state = lock(&self.state);
        let Some(open) = &state.open else {
            return false;
        };
        let picture = state.kind == Some(Elementary::Picture);
        let time = matches!(
            (state.limits.time, start, open.first),
            (Some(limit), Some(start), Some(first)) if start.saturating_sub(first) >= limit
        );
        let bytes = state.limits.bytes > 0 && open.tally.bytes + len > state.limits.bytes;
        picture || time || bytes || std::mem::take(&mut state.split)
    }

    fn open(&self) -> Result<(), gst::FlowError> {
        // Taken out while it runs: it posts messages.
        let next_file = lock(&self.state).next_file.take();
        let location = next_file.as_ref().and_then(|next_file| next_file());
        let (kind, layout) = {
            let mut state = lock(&self.state);
            state.next_file = next_file;
            state.split = false;
            (state.kind, state.layout)
        };
        let location = location.ok_or(gst::FlowError::Error)?;
        let body = match (kind, layout) {
            (Some(Elementary::Audio), Some(layout)) => {
                Recording::create(&location, layout).map(Body::Samples)
            }
            _ => File::create(&location)
                .map(Body::Frames)
                .map_err(|source| FileError::Create {
                    path: location.clone(),
                    source,
                }),
        };
        let body = body.map_err(|err| {
            self.obj().post_error_message(file_error(&err));
            gst::FlowError::Error
        })?;
        lock(&self.state).open = Some(Open {
            body,
            tally: Tally {
                location,
                ..Tally::default()
            },
            first: None,
            end: None,
        });
        Ok(())
    }

    fn close(&self) {
        let (open, file_done) = {
            let mut state = lock(&self.state);
            (state.open.take(), state.file_done.take())
        };
        if let Some(open) = open {
            let mut tally = open.tally;
            if let (Some(first), Some(end)) = (open.first, open.end) {
                tally.duration = end.saturating_sub(first);
            }
            if let Body::Samples(recording) = open.body
                && let Err(err) = recording.finish()
            {
                self.obj().post_error_message(file_error(&err));
            }
            if let Some(file_done) = &file_done {
                file_done(&tally);
            }
        }
        lock(&self.state).file_done = file_done;
    }

    fn running_time(&self, buffer: &gst::Buffer) -> Option<gst::ClockTime> {
        let segment = self.obj().segment();
        let segment = segment.downcast_ref::<gst::ClockTime>()?;
        segment.to_running_time(buffer.pts()?)
    }
}
