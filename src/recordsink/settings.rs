// SPDX-License-Identifier: MIT OR Apache-2.0
//! `recordsink`'s properties.

use std::path::PathBuf;

use gst::glib;
use gst::prelude::*;

use super::quality::Quality;

/// What the user set.
#[derive(Debug, Clone)]
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

impl Default for Settings {
    fn default() -> Self {
        Self {
            location: None,
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
            muxer: None,
            audio_sync: 0,
            preview: false,
            frame_messages: false,
        }
    }
}

/// What the properties are called and may be.
pub fn specifications() -> Vec<glib::ParamSpec> {
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
}

impl Settings {
    /// Sets the property `name`; false where there is none that can be set.
    pub fn set(&mut self, name: &str, value: &glib::Value) -> bool {
        // The types are those of the specifications above, which GObject has checked.
        let value_error = "value of the property's type";
        let text = || value.get::<Option<String>>().expect(value_error);
        match name {
            "location" => self.location = text(),
            "quality" => self.quality = value.get().expect(value_error),
            "bitrate" => self.bitrate = value.get().expect(value_error),
            "interval" => self.interval = value.get().expect(value_error),
            "duration" => self.duration = value.get().expect(value_error),
            "pts-location" => self.pts_location = text().map(PathBuf::from),
            "split-time" => self.split_time = value.get().expect(value_error),
            "split-bytes" => self.split_bytes = value.get().expect(value_error),
            "overwrite" => self.overwrite = value.get().expect(value_error),
            "video-encoder" => self.video_encoder = text(),
            "audio-encoder" => self.audio_encoder = text(),
            "muxer" => self.muxer = text(),
            "audio-sync" => self.audio_sync = value.get().expect(value_error),
            "preview" => self.preview = value.get().expect(value_error),
            "frame-messages" => self.frame_messages = value.get().expect(value_error),
            _ => return false,
        }
        true
    }

    /// The property `name`, where it is one of those that can be set.
    pub fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            "location" => self.location.to_value(),
            "quality" => self.quality.to_value(),
            "bitrate" => self.bitrate.to_value(),
            "interval" => self.interval.to_value(),
            "duration" => self.duration.to_value(),
            "pts-location" => self.pts_location.to_value(),
            "split-time" => self.split_time.to_value(),
            "split-bytes" => self.split_bytes.to_value(),
            "overwrite" => self.overwrite.to_value(),
            "video-encoder" => self.video_encoder.to_value(),
            "audio-encoder" => self.audio_encoder.to_value(),
            "muxer" => self.muxer.to_value(),
            "audio-sync" => self.audio_sync.to_value(),
            "preview" => self.preview.to_value(),
            "frame-messages" => self.frame_messages.to_value(),
            _ => return None,
        })
    }
}
