// SPDX-License-Identifier: MIT OR Apache-2.0
//! `recordsink`'s properties.

use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;

use super::quality::Quality;
use crate::streams::Profile;
use crate::streams::property::{Properties, property};

/// Columns and rows that pictures may be scaled to.
const LARGEST: u32 = 32_767;

/// What the user set.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub location: Option<String>,
    pub profile: Profile,
    pub width: u32,
    pub height: u32,
    pub quality: Quality,
    pub bitrate: u32,
    pub interval: u64,
    pub duration: u64,
    pub pts_location: Option<String>,
    pub split_time: u64,
    pub split_bytes: u64,
    pub overwrite: bool,
    pub video_encoder: Option<String>,
    pub audio_encoder: Option<String>,
    pub muxer_factory: Option<String>,
    pub muxer_properties: Option<gst::Structure>,
    pub sink_factory: Option<String>,
    pub sink_properties: Option<gst::Structure>,
    pub max_files: u32,
    pub max_total_bytes: u64,
    pub min_free_bytes: u64,
    pub utc_names: bool,
    pub audio_sync: i64,
    pub preview: bool,
    pub frame_messages: bool,
}

impl Settings {
    /// The sink that was named, if it is not that of files.
    pub(crate) fn other_sink(&self) -> Option<&str> {
        let named = self.sink_factory.as_deref();
        named.filter(|sink| !sink.is_empty() && *sink != "filesink")
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            location: None,
            profile: Profile::default(),
            width: 0,
            height: 0,
            quality: Quality::default(),
            bitrate: 0,
            interval: 0,
            duration: 0,
            pts_location: None,
            split_time: 0,
            split_bytes: 0,
            overwrite: true,
            video_encoder: None,
            audio_encoder: None,
            muxer_factory: None,
            muxer_properties: None,
            sink_factory: None,
            sink_properties: None,
            max_files: 0,
            max_total_bytes: 0,
            min_free_bytes: 0,
            utc_names: false,
            audio_sync: 0,
            preview: false,
            frame_messages: false,
        }
    }
}

/// What the properties are called and may be.
pub(crate) static PROPERTIES: LazyLock<Properties<Settings>> = LazyLock::new(|| {
    let mut properties = files();
    properties.extend(what_stays());
    properties.extend(elsewhere());
    properties.extend(pictures());
    properties.extend(streams());
    Properties::new(properties).with_read_only(vec![
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb(
                "frames, bytes (encoded video), last-frame-bytes (what MaixPy's record() \
                 returns), dropped (frames that came and are in no file) and of these \
                 dropped-interval (before the interval had passed), dropped-unreadable (empty, before \
                 the first readable picture, or left out by a parser), dropped-flushed (in an encoder, a parser or a queue \
                 when the stream was flushed) and lost (by the muxer), files (complete ones), jumps (how often timestamps began anew or jumped ahead)",
            )
            .read_only()
            .build(),
    ])
});

type Declared = Vec<crate::streams::property::Property<Settings>>;

/// What files there are.
fn files() -> Declared {
    vec![
        property!(Settings: location => |name| glib::ParamSpecString::builder(name)
            .nick("Location")
            .blurb(
                "File to record to; its extension chooses the format. %d or %05d stands \
                 for the file's number, %Y-%m-%d_%H-%M-%S for the time of day of its first \
                 picture (default: none)",
            )
            .mutable_ready()),
        property!(Settings: duration => |name| glib::ParamSpecUInt64::builder(name)
            .nick("Duration")
            .blurb(
                "Length of the recording in nanoseconds, after which it ends with EOS; 0: \
                 until it is ended (default 0)",
            )
            .mutable_ready()),
        property!(Settings: pts_location => |name| glib::ParamSpecString::builder(name)
            .nick("PTS location")
            .blurb(
                "File for the frames' times: one line a frame, milliseconds with three \
                 decimals, the first 0.000 (default: none)",
            )
            .mutable_ready()),
        property!(Settings: split_time => |name| glib::ParamSpecUInt64::builder(name)
            .nick("Split time")
            .blurb(
                "Length of a file in nanoseconds, after which the next key unit begins \
                 another; 0: no limit (default 0)",
            )
            .mutable_ready()),
        property!(Settings: split_bytes => |name| glib::ParamSpecUInt64::builder(name)
            .nick("Split bytes")
            .blurb(
                "Size of a file in bytes that is not passed as long as key units come \
                 often enough; 0: no limit (default 0)",
            )
            .mutable_ready()),
        property!(Settings: overwrite => |name| glib::ParamSpecBoolean::builder(name)
            .nick("Overwrite")
            .blurb(
                "Whether files that exist are overwritten; if not, numbers in use are passed over, and a \
                 name without a number that exists is an error (default: true)"
            )
            .default_value(true)
            .mutable_ready()),
        property!(Settings: muxer_factory => |name| glib::ParamSpecString::builder(name)
            .nick("Muxer factory")
            .blurb("Element that makes the container (default: by extension)")
            .mutable_ready()),
        property!(Settings: muxer_factory as "muxer" => |name| glib::ParamSpecString::builder(name).nick("Muxer").blurb("Use muxer-factory").deprecated().mutable_ready()),
        property!(Settings: muxer_properties => |name| glib::ParamSpecBoxed::builder::<gst::Structure>(name).nick("Muxer properties").blurb("Properties of the element that makes the container, as `properties,fragment-duration=500` (default: none)").mutable_ready()),
    ]
}

/// Which files stay.
fn what_stays() -> Declared {
    vec![
        property!(Settings: max_files => |name| glib::ParamSpecUInt::builder(name)
            .nick("Maximum files")
            .blurb(
                "Files of location's pattern that are kept at most; the oldest are deleted, \
                 none that is pinned; 0: no limit (default 0)",
            )
            .mutable_playing()),
        property!(Settings: max_total_bytes => |name| glib::ParamSpecUInt64::builder(name)
            .nick("Maximum total bytes")
            .blurb(
                "Bytes that the files of location's pattern have at most together, beyond \
                 which the oldest are deleted; 0: no limit (default 0)",
            )
            .mutable_playing()),
        property!(Settings: min_free_bytes => |name| glib::ParamSpecUInt64::builder(name)
            .nick("Minimum free bytes")
            .blurb(
                "Bytes that stay free on the file system of location, for which the oldest \
                 files of its pattern are deleted; a MiB is the least that is of use; 0: no \
                 limit (default 0)",
            )
            .mutable_playing()),
        property!(Settings: utc_names => |name| glib::ParamSpecBoolean::builder(name)
            .nick("UTC names")
            .blurb("Whether times in names are UTC instead of the local time (default false)")
            .mutable_playing()),
    ]
}

/// What takes a recording that is to be no file.
fn elsewhere() -> Declared {
    vec![
        property!(Settings: sink_factory => |name| glib::ParamSpecString::builder(name)
            .nick("Sink factory")
            .blurb(
                "Element that stores what the muxer makes; it gets the name as its location, \
                 key or uri (default: filesink)",
            )
            .mutable_ready()),
        property!(Settings: sink_properties => |name| glib::ParamSpecBoxed::builder::<gst::Structure>(name)
            .nick("Sink properties")
            .blurb("Properties of that element, as `properties,bucket=clips` (default: none)")
            .mutable_ready()),
    ]
}

/// For whom they are, and how large their pictures.
fn pictures() -> Declared {
    vec![
        property!(Settings: profile => |name| glib::ParamSpecEnum::builder_with_default(name, Profile::Standard)
            .nick("Profile")
            .blurb(
                "Whom an AVI is for: standard is any player, k210 also MaixPy's on the K210, \
                 whose screen has 320x240 pixels (default standard)",
            )
            .mutable_ready()),
        property!(Settings: width => |name| glib::ParamSpecUInt::builder(name)
            .nick("Width")
            .blurb(
                "Columns that raw pictures are scaled to, undistorted, in square pixels; what \
                 has another shape than width by height gets black borders; 0: in proportion \
                 to height, or as they come (default 0)",
            )
            .maximum(LARGEST)
            .mutable_ready()),
        property!(Settings: height => |name| glib::ParamSpecUInt::builder(name)
            .nick("Height")
            .blurb(
                "Rows that raw pictures are scaled to, as width says of columns; 0: in \
                 proportion to width, or as they come (default 0)",
            )
            .maximum(LARGEST)
            .mutable_ready()),
    ]
}

/// What is in them.
fn streams() -> Declared {
    vec![
        property!(Settings: quality => |name| glib::ParamSpecEnum::builder_with_default(name, Quality::Medium)
            .nick("Quality")
            .blurb("Quality where bitrate is 0, in picamera2's levels (default medium)")
            .mutable_ready()),
        property!(Settings: bitrate => |name| glib::ParamSpecUInt::builder(name)
            .nick("Bit rate")
            .blurb("Bit rate of encoded video in kbit/s; 0: as quality says (default 0)")
            .maximum(1_000_000)
            .mutable_ready()),
        property!(Settings: interval => |name| glib::ParamSpecUInt64::builder(name)
            .nick("Interval")
            .blurb(
                "Least time from one frame to the next in microseconds, as MaixPy's \
                 video.open(interval); frames that come sooner are not recorded; 0: all \
                 frames (default 0)",
            )
            .maximum(u64::MAX / 1000)
            .mutable_ready()),
        property!(Settings: video_encoder => |name| glib::ParamSpecString::builder(name)
            .nick("Video encoder")
            .blurb(
                "Element that encodes raw video, or the name of a codec: h264, h265, \
                 mjpeg (default: by extension)",
            )
            .mutable_ready()),
        property!(Settings: audio_encoder => |name| glib::ParamSpecString::builder(name)
            .nick("Audio encoder")
            .blurb("Element that encodes raw sound (default: by extension)")
            .mutable_ready()),
        property!(Settings: audio_sync => |name| glib::ParamSpecInt64::builder(name)
            .nick("Audio sync")
            .blurb(
                "Nanoseconds to add to the time of sound; negative: sound comes earlier, \
                 as with picamera2's FfmpegOutput (default 0)",
            )
            .mutable_ready()),
        property!(Settings: preview => |name| glib::ParamSpecBoolean::builder(name)
            .nick("Preview")
            .blurb("Show the video while it is recorded (default false)")
            .mutable_ready()),
        property!(Settings: frame_messages => |name| glib::ParamSpecBoolean::builder(name)
            .nick("Frame messages")
            .blurb("Post an element message for each recorded frame (default false)")
            .mutable_ready()),
    ]
}
