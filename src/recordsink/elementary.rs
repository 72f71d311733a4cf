// SPDX-License-Identifier: MIT OR Apache-2.0
//! The end of a recording without a container: encoded frames one behind the other, one picture a
//! file, or samples.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};

use gst::glib;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;

use super::CAT;
use super::begun::unsigned;
use super::first::First;
use super::tally::Tally;
use crate::streams::containers::Kind;
use crate::streams::stamps::{clock_time, running_time};
use crate::streams::{file_error, layout_of, ondisk};
use crate::sync::lock;
use avi_mjpeg::output::SyncThread;
use avi_mjpeg::pcm::file::{FileError, Recording, give_back};

/// What the recording is asked and told of.
pub trait Owner: Send + Sync + 'static {
    /// The next file, empty, and its name; what is wrong with it has been posted.
    fn next_file(&self, first: &First) -> Option<(PathBuf, File)>;
    /// So many bytes are about to be written.
    fn writes(&self, bytes: u64);
    /// A file is complete.
    fn file_done(&self, tally: &Tally);
}

/// When to begin the next file.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// In nanoseconds; 0: never.
    pub time: u64,
    /// 0: never.
    pub bytes: u64,
}

enum Body {
    /// Sent to the disk each second, unless it is one picture.
    Frames(File, Option<SyncThread>),
    Samples(Recording),
}

struct Open {
    body: Body,
    tally: Tally,
    /// Running times in nanoseconds, before 0 too.
    first: Option<i64>,
    end: Option<i64>,
    /// Bytes since the last key unit, with it.
    group: u64,
    /// Something could not be written.
    failed: bool,
}

#[derive(Default)]
struct State {
    kind: Option<Kind>,
    limits: Limits,
    owner: Option<Arc<dyn Owner>>,
    layout: Option<avi_mjpeg::pcm::Layout>,
    open: Option<Open>,
    /// Of the pictures.
    size: Option<(i32, i32)>,
    /// The next file begins with the next key unit.
    due: bool,
    /// The most bytes from one key unit to the next.
    largest_group: u64,
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
    pub fn new(kind: Kind, limits: Limits, owner: Arc<dyn Owner>) -> Self {
        let sink: Self = glib::Object::builder().property("name", "file").build();
        *lock(&sink.imp().state) = State {
            kind: Some(kind),
            limits,
            owner: Some(owner),
            ..State::default()
        };
        sink
    }

    /// The next key unit begins the next file.
    pub fn split(&self) {
        lock(&self.imp().state).due = true;
    }
}

impl ObjectImpl for ElementarySink {
    fn constructed(&self) {
        self.parent_constructed();
        self.obj().set_sync(false);
        // All that comes is the recording.
        self.obj().set_drop_out_of_segment(false);
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
        if matches!(state.kind, Some(Kind::Samples(_))) {
            let info = gst_audio::AudioInfo::from_caps(caps)
                .map_err(|err| gst::loggable_error!(CAT, "{caps}: {err}"))?;
            let layout = layout_of(&info)
                .ok_or_else(|| gst::loggable_error!(CAT, "{caps} is out of range"))?;
            // A file holds one format.
            state.due |= state.layout.is_some_and(|before| before != layout);
            state.layout = Some(layout);
            return Ok(());
        }
        let size = |caps: &gst::CapsRef| {
            let structure = caps.structure(0)?;
            let field = |name| structure.get::<i32>(name).ok();
            Some((field("width")?, field("height")?))
        };
        let size = size(caps);
        // Players look at the size once, too.
        state.due |= state.size.is_some() && size.is_some() && state.size != size;
        state.size = size.or(state.size);
        Ok(())
    }

    fn render(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let map = buffer.map_readable().map_err(|_| {
            gst::element_imp_error!(self, gst::ResourceError::Read, ("Cannot map a buffer"));
            gst::FlowError::Error
        })?;
        let start = self.running_time(buffer);
        let key_unit = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        if key_unit && self.next_is_due(start, map.len() as u64) {
            self.close();
        }
        if lock(&self.state).open.is_none() {
            self.open(start, buffer)?;
        }
        let owner = lock(&self.state).owner.clone();
        if let Some(owner) = owner {
            owner.writes(map.len() as u64);
        }
        let mut state = lock(&self.state);
        let group = state.open.as_ref().map_or(0, |open| open.group);
        if key_unit {
            state.largest_group = state.largest_group.max(group);
        }
        let frame_bytes = state.layout.map_or(0, |layout| layout.frame_bytes());
        let Some(open) = &mut state.open else {
            return Err(gst::FlowError::Error);
        };
        let result = match &mut open.body {
            Body::Frames(file, sync) => {
                if let Some(sync) = sync {
                    sync.written();
                }
                file.write_all(&map).map_err(|source| FileError::Write {
                    path: open.tally.location.clone(),
                    source,
                })
            }
            Body::Samples(recording) => recording.write(&map),
        };
        if result.is_err() {
            open.failed = true;
            if let Some(made) = &open.tally.file {
                give_back(&open.tally.location, made);
            }
        }
        let len = map.len() as u64;
        open.tally.bytes += len;
        open.group = if key_unit { len } else { group + len };
        open.tally.frames += match frame_bytes {
            0 => 1,
            n => (map.len() / n) as u64,
        };
        open.first = open.first.or(start);
        let lasts = buffer.duration().unwrap_or_default();
        let end = start.map(|start| start.saturating_add_unsigned(lasts.nseconds()));
        open.end = end.or(open.end);
        let half = (result.is_err() && state.kind == Some(Kind::Pictures))
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
    fn next_is_due(&self, start: Option<i64>, len: u64) -> bool {
        let mut state = lock(&self.state);
        let Some(open) = &state.open else {
            return false;
        };
        let picture = state.kind == Some(Kind::Pictures);
        let limit = state.limits.time;
        let time = matches!((start, open.first), (Some(start), Some(first))
            if limit > 0 && unsigned(start.saturating_sub(first)) >= limit);
        // How large the group is that begins here is known when it is over: it may take what the largest
        // one took.
        let group = state.largest_group.max(open.group).max(len);
        let bytes = state.limits.bytes > 0 && open.tally.bytes + group > state.limits.bytes;
        picture || time || bytes || std::mem::take(&mut state.due)
    }

    fn open(&self, start: Option<i64>, buffer: &gst::Buffer) -> Result<(), gst::FlowError> {
        let owner = lock(&self.state).owner.clone();
        let first = First {
            start,
            sample: self
                .obj()
                .static_pad("sink")
                .map(|pad| First::of(&pad, buffer)),
        };
        let next = owner.and_then(|owner| owner.next_file(&first));
        let (location, file) = next.ok_or(gst::FlowError::Error)?;
        let (kind, layout) = {
            let mut state = lock(&self.state);
            state.due = false;
            (state.kind, state.layout)
        };
        let made = file.try_clone().ok().map(Arc::new);
        let body = match (kind, layout) {
            (Some(Kind::Samples(_)), Some(layout)) => {
                let recording = Recording::create(&location, layout).map_err(|err| {
                    give_back(&location, &file);
                    self.obj().post_error_message(file_error(&err));
                    gst::FlowError::Error
                });
                Body::Samples(recording?)
            }
            (Some(Kind::Pictures), _) => Body::Frames(file, None),
            _ => {
                let sync = ondisk::sync(&location, &file, &*self.obj());
                Body::Frames(file, sync)
            }
        };
        lock(&self.state).open = Some(Open {
            body,
            tally: Tally {
                location,
                file: made,
                ..Tally::default()
            },
            first: None,
            end: None,
            group: 0,
            failed: false,
        });
        Ok(())
    }

    /// Completes the file. The owner is told of one that is on the disk as it should be.
    fn close(&self) {
        let (open, owner) = {
            let mut state = lock(&self.state);
            (state.open.take(), state.owner.clone())
        };
        let (Some(open), Some(owner)) = (open, owner) else {
            return;
        };
        let mut tally = open.tally;
        if let (Some(first), Some(end)) = (open.first, open.end) {
            tally.duration = clock_time(end.saturating_sub(first));
        }
        if let Body::Samples(recording) = open.body
            && let Err(err) = recording.finish()
        {
            self.obj().post_error_message(file_error(&err));
            return;
        }
        if !open.failed {
            owner.file_done(&tally);
        }
    }

    fn running_time(&self, buffer: &gst::Buffer) -> Option<i64> {
        let segment = self.obj().segment();
        let segment = segment.downcast_ref::<gst::ClockTime>()?;
        running_time(segment, buffer.pts()?)
    }
}
