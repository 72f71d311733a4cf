// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the user sets, and what a recording is made by.

use std::sync::LazyLock;
use std::time::Duration;

use gst::glib;
use gst::prelude::*;

use crate::ring::{Limits, RecordingId};
use crate::streams::property::{Properties, property};
use crate::streams::retention;

/// What the user set.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub location: Option<String>,
    pub max_time: u64,
    pub max_bytes: u64,
    pub max_buffers: u64,
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
    pub max_recordings: u32,
    pub max_files: u32,
    pub max_total_bytes: u64,
    pub min_free_bytes: u64,
    pub utc_names: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            location: None,
            max_time: 30_000_000_000,
            max_bytes: 256 << 20,
            max_buffers: 0,
            recording: false,
            post_time: 0,
            split_on_trigger: false,
            overwrite: false,
            muxer_factory: None,
            sink_factory: None,
            muxer_properties: None,
            sink_properties: None,
            pts_location: None,
            finish_timeout: 15_000_000_000,
            max_recordings: 32,
            max_files: 0,
            max_total_bytes: 0,
            min_free_bytes: 0,
            utc_names: false,
        }
    }
}

/// However small `max-bytes` is, a few pictures have to wait until they are written.
const LEAST_BYTES: u64 = 1 << 20;

/// The settings as they were when a recording was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub id: RecordingId,
    /// What the trigger named; wins over `pattern`.
    pub location: Option<String>,
    pub pattern: Option<String>,
    pub pts_pattern: Option<String>,
    pub overwrite: bool,
    pub muxer: Option<String>,
    pub sink: Option<String>,
    pub muxer_properties: Option<gst::Structure>,
    pub sink_properties: Option<gst::Structure>,
    /// How long the end may take without anything being written.
    pub finish_timeout: Duration,
    /// What the files of the pattern may take.
    pub retention: retention::Limits,
    /// Times in names are UTC.
    pub utc_names: bool,
}

impl Order {
    /// Whether a file of its own is what it is written to.
    pub(crate) fn to_file(&self) -> bool {
        self.sink.as_deref().is_none_or(|sink| sink == "filesink")
    }
}

impl Settings {
    /// How much the ring keeps.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            max_time: self.max_time,
            max_bytes: self.max_bytes,
            max_buffers: self.max_buffers,
            least_bytes: LEAST_BYTES,
        }
    }

    /// The settings as a recording with this number follows them. Texts that are empty are as
    /// those that are not set.
    pub(crate) fn order(&self, id: RecordingId, location: Option<String>) -> Order {
        let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        Order {
            id,
            location,
            pattern: text(&self.location),
            pts_pattern: text(&self.pts_location),
            overwrite: self.overwrite,
            muxer: text(&self.muxer_factory),
            sink: text(&self.sink_factory),
            muxer_properties: self.muxer_properties.clone(),
            sink_properties: self.sink_properties.clone(),
            finish_timeout: Duration::from_nanos(self.finish_timeout),
            retention: retention::Limits {
                files: self.max_files.into(),
                total_bytes: self.max_total_bytes,
                free_bytes: self.min_free_bytes,
            },
            utc_names: self.utc_names,
        }
    }
}

/// The element's properties.
pub(crate) static PROPERTIES: LazyLock<Properties<Settings>> = LazyLock::new(|| {
    let settings = [kept(), triggers(), files(), what_stays()]
        .into_iter()
        .flatten();
    Properties::new(settings.collect()).with_read_only(vec![
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
            .blurb(
                "level-time (ns), level-bytes, level-buffers, backlog-bytes, recordings-open, \
                 recordings-finished, recordings-failed, buffers-skipped",
            )
            .read_only()
            .build(),
    ])
});

type List = Vec<crate::streams::property::Property<Settings>>;

/// How much is kept.
fn kept() -> List {
    let defaults = Settings::default();
    vec![
        property!(Settings: max_time => |name| glib::ParamSpecUInt64::builder(name)
            .nick("Maximum time")
            .blurb(
                "Nanoseconds before a trigger that are kept at least, and one GOP more at most, or \
                 two seconds more to begin at an IDR (0: no such limit, default: 30 s)"
            )
            .default_value(defaults.max_time)
            .mutable_playing()),
        property!(Settings: max_bytes => |name| glib::ParamSpecUInt64::builder(name)
            .nick("Maximum bytes")
            .blurb(
                "Bytes that are kept at most over all streams, and by which a recording may fall \
                 behind, 1 MiB at least (0: no limit for what is kept, 256 MiB for falling behind; \
                 default: 256 MiB)"
            )
            .default_value(defaults.max_bytes)
            .mutable_playing()),
        property!(Settings: max_buffers => |name| glib::ParamSpecUInt64::builder(name)
            .nick("Maximum buffers")
            .blurb("Buffers of video that are kept at most (0: no such limit, default: 0)")
            .mutable_playing()),
    ]
}

/// When recordings begin and end.
fn triggers() -> List {
    let defaults = Settings::default();
    vec![
        property!(Settings: recording => |name| glib::ParamSpecBoolean::builder(name)
            .nick("Recording")
            .blurb("Record, beginning with what is kept, until set to false (default: false)")
            .mutable_playing()),
        property!(Settings: post_time => |name| glib::ParamSpecUInt64::builder(name)
            .nick("Post time")
            .blurb(
                "Nanoseconds after its last trigger at which a recording ends by itself \
                 (0: it does not, default: 0)"
            )
            .mutable_playing()),
        property!(Settings: split_on_trigger => |name| glib::ParamSpecBoolean::builder(name)
            .nick("Split on trigger")
            .blurb(
                "Whether a trigger during a recording ends it at the next key unit, where the new \
                 one begins, with no frame lost (default: false)"
            )
            .mutable_playing()),
        property!(Settings: finish_timeout => |name| glib::ParamSpecUInt64::builder(name)
            .nick("Finish timeout")
            .blurb(
                "Nanoseconds that open recordings get at a change of state to READY, and at the \
                 end of the stream without anything being written (default: 15 s)"
            )
            .default_value(defaults.finish_timeout)
            .mutable_playing()),
        property!(Settings: max_recordings => |name| glib::ParamSpecUInt::builder(name)
            .nick("Maximum recordings")
            .blurb(
                "Recordings that are open at the same time at most, each with threads of its own; \
                 a trigger beyond is refused with a message (default: 32)"
            )
            .minimum(1)
            .default_value(defaults.max_recordings)
            .mutable_playing()),
    ]
}

/// What recordings are written to, and by what.
fn files() -> List {
    vec![
        property!(Settings: location => |name| glib::ParamSpecString::builder(name)
            .nick("Location")
            .blurb(
                "File of a recording, its format by the extension; %05d stands for the \
                 recording's number, %Y-%m-%d_%H-%M-%S for the time of day of its first picture \
                 (default: none)"
            )
            .mutable_playing()),
        property!(Settings: overwrite => |name| glib::ParamSpecBoolean::builder(name)
            .nick("Overwrite")
            .blurb(
                "Whether files that exist are overwritten; if not, numbers in use are passed over, \
                 and a recording without a number in its name fails (default: false)"
            )
            .mutable_playing()),
        property!(Settings: muxer_factory => |name| glib::ParamSpecString::builder(name)
            .nick("Muxer factory")
            .blurb(
                "Name of the element that writes the format (default: none, by the location's \
                 extension)"
            )
            .mutable_playing()),
        property!(Settings: sink_factory => |name| glib::ParamSpecString::builder(name)
            .nick("Sink factory")
            .blurb("Name of the element that stores the recording (default: none, filesink)")
            .mutable_playing()),
        property!(Settings: muxer_properties => |name|
            glib::ParamSpecBoxed::builder::<gst::Structure>(name)
                .nick("Muxer properties")
                .blurb("Properties of the muxer: properties,name=value,... (default: none)")
                .mutable_playing()),
        property!(Settings: sink_properties => |name|
            glib::ParamSpecBoxed::builder::<gst::Structure>(name)
                .nick("Sink properties")
                .blurb("Properties of the sink: properties,name=value,... (default: none)")
                .mutable_playing()),
        property!(Settings: pts_location => |name| glib::ParamSpecString::builder(name)
            .nick("PTS location")
            .blurb(
                "File for the frames' times, a line each, milliseconds from the recording's start \
                 with three decimals; %05d stands for the recording's number, %Y-%m-%d and the like \
                 for its time (default: none)"
            )
            .mutable_playing()),
        property!(Settings: utc_names => |name| glib::ParamSpecBoolean::builder(name)
            .nick("UTC names")
            .blurb("Whether times in names are UTC instead of the local time (default: false)")
            .mutable_playing()),
    ]
}

/// Which recordings stay.
fn what_stays() -> List {
    vec![
        property!(Settings: max_files => |name| glib::ParamSpecUInt::builder(name)
            .nick("Maximum files")
            .blurb(
                "Files of location's pattern that are kept at most; the oldest are deleted, none that \
                 is open or pinned (0: no limit, default: 0)"
            )
            .mutable_playing()),
        property!(Settings: max_total_bytes => |name| glib::ParamSpecUInt64::builder(name)
            .nick("Maximum total bytes")
            .blurb(
                "Bytes that the files of location's pattern have at most together, beyond which the \
                 oldest are deleted (0: no limit, default: 0)"
            )
            .mutable_playing()),
        property!(Settings: min_free_bytes => |name| glib::ParamSpecUInt64::builder(name)
            .nick("Minimum free bytes")
            .blurb(
                "Bytes that stay free on the file system of location, for which the oldest files of its \
                 pattern are deleted; a MiB is the least that is of use (0: no limit, default: 0)"
            )
            .mutable_playing()),
    ]
}
