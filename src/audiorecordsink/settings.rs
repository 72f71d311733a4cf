// SPDX-License-Identifier: MIT OR Apache-2.0
//! `audiorecordsink`'s properties, and the formats that they leave open.

use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;

use crate::streams::WAV_FORMATS;
use crate::streams::property::{Properties, Property, property};
use avi_mjpeg::pcm::file::Kind;

/// MaixCAM's sound card is opened with these (MaixCDK, `maix_audio_mmf.cpp`).
const DEFAULT_PERIOD_SIZE: u32 = 1024;
const DEFAULT_PERIOD_COUNT: u32 = 40;

/// What only a `.pcm` file or the application can take besides.
const OTHER_FORMATS: [gst_audio::AudioFormat; 8] = [
    gst_audio::AudioFormat::S8,
    gst_audio::AudioFormat::S16be,
    gst_audio::AudioFormat::S24be,
    gst_audio::AudioFormat::S32be,
    gst_audio::AudioFormat::U16le,
    gst_audio::AudioFormat::U16be,
    gst_audio::AudioFormat::U32le,
    gst_audio::AudioFormat::U32be,
];

/// What the file holds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstAudioRecordSinkFileContent")]
pub enum FileContent {
    /// Everything, until the application first calls `record()` or `reset()`; from then on what
    /// `record()` returns.
    #[default]
    #[enum_value(
        name = "Everything, or what record() returns once it is called",
        nick = "auto"
    )]
    Auto,
    /// Everything that reaches the element.
    #[enum_value(name = "Everything that reaches the element", nick = "stream")]
    Stream,
    /// What `record()` returns.
    #[enum_value(name = "Only what record() returns", nick = "calls")]
    Calls,
}

#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub location: Option<String>,
    pub volume: u32,
    pub mute: bool,
    pub block: bool,
    pub sample_rate: u32,
    pub channels: u32,
    pub period_size: u32,
    pub period_count: u32,
    pub file_content: FileContent,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            location: None,
            volume: 100,
            mute: false,
            block: true,
            sample_rate: 0,
            channels: 0,
            period_size: DEFAULT_PERIOD_SIZE,
            period_count: DEFAULT_PERIOD_COUNT,
            file_content: FileContent::Auto,
        }
    }
}

/// What the properties are called and may be. `sample-rate` and `channels` read as the stream's once
/// there is one.
pub(crate) static PROPERTIES: LazyLock<Properties<Settings>> =
    LazyLock::new(|| Properties::new(declared()).with_read_only(read_only()));

fn declared() -> Vec<Property<Settings>> {
    vec![
        property!(Settings: location => |name| glib::ParamSpecString::builder(name)
            .nick("Location")
            .blurb(
                "File to record to, .wav or .pcm; overwritten if it exists; unset: no file. \
                 Can be set while no file is open: before PAUSED and after finish() \
                 (default: unset)",
            )
            .mutable_playing()),
        property!(Settings: volume => |name| glib::ParamSpecUInt::builder(name)
            .nick("Volume")
            .blurb("Volume in percent of the input, 0 to 100 (default 100)")
            .maximum(100)
            .default_value(100)
            .mutable_playing()),
        property!(Settings: mute => |name| glib::ParamSpecBoolean::builder(name)
            .nick("Mute")
            .blurb("Record silence instead of the input (default false)")
            .mutable_playing()),
        property!(Settings: block => |name| glib::ParamSpecBoolean::builder(name)
            .nick("Block")
            .blurb(
                "record(ms) waits for all that it was asked for; otherwise it returns what \
                 is ready, and only between reset(true) and reset(false) (default true)",
            )
            .default_value(true)
            .mutable_playing()),
        property!(Settings: sample_rate => |name| glib::ParamSpecUInt::builder(name)
            .nick("Sample rate")
            .blurb(
                "Frames a second, in Hz, to accept; 0: any, 48000 preferred. Reads as the \
                 stream's rate once it is known (default 0)",
            )
            .maximum(i32::MAX as u32)
            .mutable_ready()),
        property!(Settings: channels => |name| glib::ParamSpecUInt::builder(name)
            .nick("Channels")
            .blurb(
                "Number of channels to accept; 0: any, 1 preferred. Reads as the stream's \
                 number once it is known (default 0)",
            )
            .maximum(u32::from(u16::MAX))
            .mutable_ready()),
        property!(Settings: period_size => |name| glib::ParamSpecUInt::builder(name)
            .nick("Period size")
            .blurb(
                "Frames of a period; the store of unread samples has period-count of them \
                 (default 1024)",
            )
            .minimum(1)
            .maximum(1 << 20)
            .default_value(DEFAULT_PERIOD_SIZE)
            .mutable_playing()),
        property!(Settings: period_count => |name| glib::ParamSpecUInt::builder(name)
            .nick("Period count")
            .blurb("Periods that the store of unread samples has (default 40)")
            .minimum(1)
            .maximum(1 << 10)
            .default_value(DEFAULT_PERIOD_COUNT)
            .mutable_playing()),
        property!(Settings: file_content => |name| glib::ParamSpecEnum::builder_with_default(name, FileContent::Auto)
            .nick("File content")
            .blurb(
                "What the file holds: everything until record() or reset() is called and \
                 then what record() returns, always everything, or only what record() \
                 returns (default auto)",
            )
            .mutable_ready()),
    ]
}

/// What the element itself answers for.
fn read_only() -> Vec<glib::ParamSpec> {
    vec![
        glib::ParamSpecUInt64::builder("remaining-frames")
            .nick("Remaining frames")
            .blurb("Frames, not bytes, that are ready for record()")
            .read_only()
            .build(),
        glib::ParamSpecUInt::builder("frame-size")
            .nick("Frame size")
            .blurb("Bytes of one frame, a sample of each channel; 0 until it is known")
            .read_only()
            .build(),
        glib::ParamSpecUInt64::builder("overruns")
            .nick("Overruns")
            .blurb("How often the store of unread samples of a live source was full")
            .read_only()
            .build(),
        glib::ParamSpecUInt64::builder("lost-frames")
            .nick("Lost frames")
            .blurb("Frames lost in overruns")
            .read_only()
            .build(),
    ]
}

/// What can be recorded to a file of `kind`, with MaixCAM's 48 kHz, 16 bits and one channel first.
pub(crate) fn caps_for(kind: Option<Kind>, rate: u32, channels: u32) -> gst::Caps {
    let formats = WAV_FORMATS.into_iter().chain(
        OTHER_FORMATS
            .into_iter()
            .filter(|_| kind != Some(Kind::Wav)),
    );
    let mut any = gst_audio::AudioCapsBuilder::new_interleaved().format_list(formats);
    let mut preferred =
        gst_audio::AudioCapsBuilder::new_interleaved().format(gst_audio::AudioFormat::S16le);
    any = match i32::try_from(rate) {
        Ok(rate) if rate > 0 => any.rate(rate),
        _ => any.rate_range(1..=i32::MAX),
    };
    any = match i32::try_from(channels) {
        Ok(channels) if channels > 0 => any.channels(channels),
        _ => any.channels_range(1..=i32::from(u16::MAX)),
    };
    preferred = preferred.rate(if rate > 0 { rate as i32 } else { 48_000 });
    preferred = preferred.channels(if channels > 0 { channels as i32 } else { 1 });
    let mut caps = preferred.build();
    caps.merge(any.build());
    caps
}
