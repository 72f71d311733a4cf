// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kit of the recording sinks: what two of them have in common.
//!
//! Files:
//! - what is in them: their formats ([`containers`]), the packages that have what writes them ([`packages`]), the
//!   elements of each ([`Parser`]), whom a file is for ([`Profile`])
//! - their names, with numbers and times in them ([`names`]), for sinks of all kinds ([`place`])
//! - making them, so that nothing is overwritten ([`files`]) and one recorder writes each ([`claims`])
//! - which stay ([`pins`], [`held`]) and which make room for others ([`retention`])
//! - on their disk, whoever writes them ([`ondisk`])
//! - the time of day in them ([`wallclock`], [`creation`]), and the times of their frames beside them ([`times`])
//!
//! Streams:
//! - the skeleton of a bin with request pads ([`bin`], [`entry`])
//! - when each buffer is shown ([`timeline`]) and decoded ([`decoding`], by what it begins with: [`begin`]), and how that is
//!   brought to buffers and events ([`stamps`], `shift`)
//! - buffers that muxers take ([`whole`]), in no more memory than they need ([`compact`]), and sound that comes in
//!   samples ([`samples`])
//! - single formats: numbered pictures ([`pictures`]), JPEGs ([`jpegs`]), WAVE's speakers ([`speakers`]), fragments of MP4
//!   ([`fragments`]) and how exactly it has times ([`ticks`]), transport streams that begin at 0 and tell of all channels
//!   ([`transport`]), the end of what goes by SRT ([`srt`])
//! - what a muxer's pads know of upstream ([`upstream`]), and tags as an AVI has them ([`tags`])
//!
//! What several elements say in the same words ([`sentences`]).
//!
//! Properties: those of the sinks ([`property`]), and values for those of other elements ([`set`]).

use gst::prelude::*;

pub(crate) mod begin;
pub(crate) mod bin;
pub(crate) mod claims;
pub(crate) mod compact;
pub(crate) mod containers;
pub(crate) mod creation;
pub(crate) mod decoding;
pub(crate) mod entry;
pub(crate) mod files;
pub(crate) mod fragments;
pub(crate) mod held;
pub(crate) mod jpegs;
pub(crate) mod names;
pub(crate) mod ogg;
pub(crate) mod ondisk;
pub(crate) mod packages;
pub(crate) mod pictures;
pub(crate) mod pins;
pub(crate) mod place;
mod profile;
pub(crate) mod property;
pub(crate) mod retention;
pub(crate) mod samples;
pub(crate) mod sentences;
pub(crate) mod set;
mod shift;
pub(crate) mod speakers;
pub(crate) mod srt;
pub(crate) mod stamps;
pub(crate) mod tags;
pub(crate) mod ticks;
pub(crate) mod timeline;
pub(crate) mod times;
pub(crate) mod transport;
pub(crate) mod upstream;
pub(crate) mod wallclock;
pub(crate) mod whole;

pub(crate) use containers::{Parser, parser_of};
pub use profile::Profile;
pub(crate) use set::set_if_there;

use avi_mjpeg::pcm::file::FileError;
use avi_mjpeg::pcm::{ByteOrder, Encoding, Layout};

/// An element that a pipeline needs and this machine does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the element {factory} is not installed{}",
    package.map(|package| format!(": apt install {package}")).unwrap_or_default()
)]
pub(crate) struct MissingElement {
    /// The factory's name.
    pub factory: String,
    /// The Debian package that has it, where known.
    pub package: Option<&'static str>,
}

/// Makes the element `factory`.
pub(crate) fn make(factory: &str) -> Result<gst::Element, MissingElement> {
    let made = gst::ElementFactory::make(factory).build();
    made.map_err(|_| not_installed(factory))
}

/// The factory of that name.
pub(crate) fn find(factory: &str) -> Result<gst::ElementFactory, MissingElement> {
    gst::ElementFactory::find(factory).ok_or_else(|| not_installed(factory))
}

fn not_installed(factory: &str) -> MissingElement {
    MissingElement {
        factory: factory.to_owned(),
        package: packages::package_of(factory),
    }
}

/// Longest time from one fragment of an MP4 to the next, in milliseconds. A program that is killed loses what
/// the muxer has of a fragment, and besides that what encoders and the wait for the other streams hold back, which
/// is half a second on a busy machine: the two are less than 1.1 s together.
const FRAGMENT_MS: &str = "500";

/// Has an MP4 muxer write a file that is whole up to its last fragment, which is half a second or a GOP,
/// at any moment. Where its `sink` can go back in the file, closing it makes it a plain one with one
/// index.
pub(crate) fn write_in_fragments(muxer: &gst::Element, sink: &str) {
    let factory = muxer.factory().map(|factory| factory.name());
    if matches!(factory.as_deref(), Some("mp4mux" | "qtmux")) {
        set_if_there(muxer, "fragment-duration", FRAGMENT_MS);
        fragments::leave_open(muxer);
        if sink == "filesink" {
            set_if_there(muxer, "fragment-mode", "first-moov-then-finalise");
        }
    }
}

/// Whether a muxer is set to write in fragments.
pub(crate) fn writes_fragments(muxer: &gst::Element) -> bool {
    let factory = muxer.factory().map(|factory| factory.name());
    let has_them = matches!(factory.as_deref(), Some("mp4mux" | "qtmux"));
    has_them && muxer.property::<u32>("fragment-duration") > 0
}

/// Whether a muxer has its file sent to the disk itself, in an order that matters to it.
pub(crate) fn syncs_itself(muxer: &str) -> bool {
    muxer == "avimjpegmux"
}

/// Whether what a muxer writes has times that players go by: where nothing comes for long, nothing has to be in the file.
/// A transport stream has times too, but ffmpeg takes more than ten seconds between two of them for another clock.
pub(crate) fn keeps_times(muxer: &str) -> bool {
    matches!(
        muxer,
        "matroskamux" | "webmmux" | "mp4mux" | "qtmux" | "flvmux"
    )
}

/// Frames of video in a muxer's file, where there is video and the muxer counts its frames.
pub(crate) fn frames_in(muxer: &gst::Element) -> Option<u64> {
    let is_video = |pad: &gst::Pad| pad.name().starts_with("video");
    let stats = muxer.find_property("stats")?;
    if stats.value_type() != gst::Structure::static_type()
        || !muxer.sink_pads().iter().any(is_video)
    {
        return None;
    }
    let stats = muxer.property::<Option<gst::Structure>>("stats")?;
    stats.get("frames").ok()
}

/// What an element says when one of those that it is made of is not installed.
pub(crate) fn missing(err: &MissingElement) -> gst::ErrorMessage {
    gst::error_msg!(gst::CoreError::MissingPlugin, ("{err}"))
}

/// What an element says when a file of samples or frames cannot be made or written.
pub(crate) fn file_error(err: &FileError) -> gst::ErrorMessage {
    use gst::ResourceError::{NoSpaceLeft, OpenWrite, Settings, Write};
    match err {
        FileError::Extension(_) => gst::error_msg!(
            Settings,
            ("{err}: set location to a name with one of these extensions")
        ),
        FileError::Create { .. } => gst::error_msg!(OpenWrite, ("{err}")),
        FileError::Gone(_) => gst::error_msg!(gst::ResourceError::NotFound, ("{err}")),
        FileError::Write { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
            gst::error_msg!(
                NoSpaceLeft,
                ("{err}: the disk is full; what was recorded until now is in the file")
            )
        }
        FileError::Write { .. } => gst::error_msg!(Write, ("{err}")),
    }
}

/// The parser that brings an encoded stream into the form its muxer wants: whole access units, the
/// size known. `None` for streams that need none, raw ones among them.
pub(crate) fn parser(caps: &gst::CapsRef) -> Option<&'static str> {
    let structure = caps.structure(0)?;
    // A camera's caps have what a muxer wants; only bytes from a file need to be cut up.
    let sized = structure.has_field("width") && structure.has_field("height");
    if structure.name() == "image/jpeg" && !sized {
        return Some("jpegparse");
    }
    // `mpegtsmux` and `flvmux` have no place for MP3 that nobody has looked at, as encoders make it.
    let is_parsed = structure.get("parsed") == Ok(true);
    any_parser(caps)
        .filter(|parser| parser.needed || (!is_parsed && parser.factory == "mpegaudioparse"))
        .map(|parser| parser.factory)
}

/// The parser that can bring an encoded stream into another form of its format.
pub(crate) fn any_parser(caps: &gst::CapsRef) -> Option<&'static Parser> {
    let structure = caps.structure(0)?;
    parser_of(structure.name(), structure.get("mpegversion").ok())
}

/// True for `video/x-raw` and `audio/x-raw`.
pub(crate) fn is_raw(caps: &gst::CapsRef) -> bool {
    caps.structure(0)
        .is_some_and(|structure| matches!(structure.name().as_str(), "video/x-raw" | "audio/x-raw"))
}

/// Whether a file can go on with these caps. Other fields tell the same in more detail.
pub(crate) fn same_format(before: &gst::CapsRef, after: &gst::CapsRef) -> bool {
    const FIELDS: [&str; 8] = [
        "width",
        "height",
        "codec_data",
        "stream-format",
        "format",
        "rate",
        "channels",
        "layout",
    ];
    let (Some(before), Some(after)) = (before.structure(0), after.structure(0)) else {
        return false;
    };
    let same = |field: &str| match (before.value(field), after.value(field)) {
        (Ok(before), Ok(after)) => before.compare(after) == Some(std::cmp::Ordering::Equal),
        (Err(_), Err(_)) => true,
        _ => false,
    };
    let changed = FIELDS.into_iter().find(|field| !same(field));
    if let Some(field) = changed {
        gst::debug!(gst::CAT_DEFAULT, "{field} changes from {before} to {after}");
    }
    before.name() == after.name() && changed.is_none()
}

/// Links `elements`, which are in `bin`, one behind the other.
pub(crate) fn link(elements: &[gst::Element]) -> Result<(), glib::BoolError> {
    elements
        .windows(2)
        .try_for_each(|pair| pair[0].link(&pair[1]))
}

/// The bytes of what passes a pad.
pub(crate) fn bytes_in(info: &gst::PadProbeInfo<'_>) -> u64 {
    match &info.data {
        Some(gst::PadProbeData::Buffer(buffer)) => buffer.size() as u64,
        Some(gst::PadProbeData::BufferList(list)) => list.iter().map(|it| it.size() as u64).sum(),
        _ => 0,
    }
}

/// What a WAV file can hold: little endian, and 8 bits unsigned.
pub(crate) const WAV_FORMATS: [gst_audio::AudioFormat; 6] = [
    gst_audio::AudioFormat::S16le,
    gst_audio::AudioFormat::S32le,
    gst_audio::AudioFormat::S24le,
    gst_audio::AudioFormat::U8,
    gst_audio::AudioFormat::F32le,
    gst_audio::AudioFormat::F64le,
];

/// A stream's format in the terms of [`avi_mjpeg::pcm`], but for its speakers; `None` when it is out of range.
pub(crate) fn layout_of(info: &gst_audio::AudioInfo) -> Option<Layout> {
    let format = info.format_info();
    let encoding = if format.is_float() {
        Encoding::Float
    } else if format.is_signed() {
        Encoding::Signed
    } else {
        Encoding::Unsigned
    };
    let order = match format.endianness() {
        gst_audio::AudioEndianness::BigEndian => ByteOrder::Big,
        _ => ByteOrder::Little,
    };
    Some(Layout {
        encoding,
        order,
        bits: u8::try_from(format.depth()).ok()?,
        sample_bytes: u8::try_from(format.width() / 8).ok()?,
        rate: info.rate(),
        channels: u16::try_from(info.channels()).ok()?,
        speakers: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the table says of the muxers is what those that are installed say of themselves.
    #[test]
    fn muxers_hold_what_the_table_says() {
        gst::init().unwrap();
        let muxers = containers::CONTAINERS.iter().flat_map(|container| {
            let containers::Kind::Muxed(muxers) = container.kind else {
                return [].iter();
            };
            muxers.iter()
        });
        for muxer in muxers {
            let Some(factory) = gst::ElementFactory::find(muxer.factory) else {
                assert_eq!(muxer.factory, "avimjpegmux", "scripts/setup.sh installs it");
                continue;
            };
            for name in muxer.video.iter().chain(muxer.audio) {
                let caps = gst::Caps::new_empty_simple(*name);
                assert!(factory.can_sink_any_caps(&caps), "{} {name}", muxer.factory);
            }
        }
    }

    #[test]
    fn a_missing_element_names_its_package() {
        gst::init().unwrap();
        let err = make("no-such-element").unwrap_err();
        assert_eq!(
            err.to_string(),
            "the element no-such-element is not installed"
        );
        let err = MissingElement {
            factory: "x264enc".into(),
            package: Some("gstreamer1.0-plugins-ugly"),
        };
        assert_eq!(
            err.to_string(),
            "the element x264enc is not installed: apt install gstreamer1.0-plugins-ugly"
        );
    }
}
