// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the recording bins share: the elements they are made of, and what is said when one of them
//! is not installed.

use gst::glib;
use gst::prelude::*;

pub mod entry;

use avi_mjpeg::pcm::file::FileError;
use avi_mjpeg::pcm::{ByteOrder, Encoding, Layout};

/// An element that a pipeline needs and this machine does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the element {factory} is not installed{}",
    package.map(|package| format!(": apt install {package}")).unwrap_or_default()
)]
pub struct MissingElement {
    /// The factory's name.
    pub factory: String,
    /// The Debian package that has it, where known.
    pub package: Option<&'static str>,
}

/// Which Debian package has which of the elements that recordings are made with.
const PACKAGES: &[(&str, &[&str])] = &[
    (
        "gstreamer1.0-plugins-base",
        &[
            "videoconvert",
            "videorate",
            "videoscale",
            "audioconvert",
            "audioresample",
            "opusenc",
            "vorbisenc",
            "oggmux",
        ],
    ),
    (
        "gstreamer1.0-plugins-good",
        &[
            "matroskamux",
            "webmmux",
            "mp4mux",
            "qtmux",
            "flvmux",
            "avimux",
            "wavenc",
            "jpegenc",
            "splitmuxsink",
            "multifilesink",
            "autovideosink",
            "vp8enc",
            "vp9enc",
            "v4l2h264enc",
            "flacenc",
            "lamemp3enc",
        ],
    ),
    (
        "gstreamer1.0-plugins-bad",
        &[
            "h264parse",
            "h265parse",
            "jpegparse",
            "aacparse",
            "mpegtsmux",
            "x265enc",
            "openh264enc",
            "voaacenc",
            "fdkaacenc",
            "av1parse",
        ],
    ),
    ("gstreamer1.0-plugins-ugly", &["x264enc"]),
    ("gstreamer1.0-libav", &["avenc_aac", "avenc_mjpeg"]),
];

/// Makes the element `factory`.
pub fn make(factory: &str) -> Result<gst::Element, MissingElement> {
    gst::ElementFactory::make(factory)
        .build()
        .map_err(|_| MissingElement {
            factory: factory.to_owned(),
            package: PACKAGES
                .iter()
                .find(|(_, factories)| factories.contains(&factory))
                .map(|(package, _)| *package)
                .or_else(|| factory.starts_with("av").then_some("gstreamer1.0-libav")),
        })
}

/// Sets a property if the element has it, from text; for our own defaults.
pub fn set_if_there(element: &gst::Element, property: &str, value: &str) {
    if element
        .find_property(property)
        .is_some_and(|p| p.flags().contains(glib::ParamFlags::WRITABLE))
    {
        element.set_property_from_str(property, value);
    }
}

/// Has an MP4 muxer write a file that is whole up to its last fragment, which is a second or a GOP,
/// at any moment. Where its `sink` can go back in the file, closing it makes it a plain one with one
/// index.
pub fn write_in_fragments(muxer: &gst::Element, sink: &str) {
    let factory = muxer.factory().map(|factory| factory.name());
    if matches!(factory.as_deref(), Some("mp4mux" | "qtmux")) {
        set_if_there(muxer, "fragment-duration", "1000");
        if sink == "filesink" {
            set_if_there(muxer, "fragment-mode", "first-moov-then-finalise");
        }
    }
}

/// What an element says when one of those that it is made of is not installed.
pub fn missing(err: &MissingElement) -> gst::ErrorMessage {
    gst::error_msg!(gst::CoreError::MissingPlugin, ["{err}"])
}

/// What an element says when a file of samples or frames cannot be made or written.
pub fn file_error(err: &FileError) -> gst::ErrorMessage {
    use gst::ResourceError::{NoSpaceLeft, OpenWrite, Settings, Write};
    match err {
        FileError::Extension(_) => gst::error_msg!(
            Settings,
            ["{err}: set location to a name with one of these extensions"]
        ),
        FileError::Create { .. } => gst::error_msg!(OpenWrite, ["{err}"]),
        FileError::Write { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
            gst::error_msg!(
                NoSpaceLeft,
                ["{err}: the disk is full; what was recorded until now is in the file"]
            )
        }
        FileError::Write { .. } => gst::error_msg!(Write, ["{err}"]),
    }
}

/// The parser that brings an encoded stream into the form its muxer wants: whole access units, the
/// size known. `None` for streams that need none, raw ones among them.
pub fn parser(caps: &gst::CapsRef) -> Option<&'static str> {
    let structure = caps.structure(0)?;
    match structure.name().as_str() {
        "video/x-h264" => Some("h264parse"),
        "video/x-h265" => Some("h265parse"),
        "video/x-av1" => Some("av1parse"),
        // A camera's caps have what a muxer wants; only bytes from a file need to be cut up.
        "image/jpeg" if !(structure.has_field("width") && structure.has_field("height")) => {
            Some("jpegparse")
        }
        "audio/mpeg"
            if structure
                .get("mpegversion")
                .is_ok_and(|version: i32| version == 4) =>
        {
            Some("aacparse")
        }
        _ => None,
    }
}

/// True for `video/x-raw` and `audio/x-raw`.
pub fn is_raw(caps: &gst::CapsRef) -> bool {
    caps.structure(0)
        .is_some_and(|structure| matches!(structure.name().as_str(), "video/x-raw" | "audio/x-raw"))
}

/// Links `elements`, which are in `bin`, one behind the other.
pub fn link(elements: &[gst::Element]) -> Result<(), gst::glib::BoolError> {
    elements
        .windows(2)
        .try_for_each(|pair| pair[0].link(&pair[1]))
}

/// What a WAV file can hold: little endian, and 8 bits unsigned.
pub const WAV_FORMATS: [gst_audio::AudioFormat; 6] = [
    gst_audio::AudioFormat::S16le,
    gst_audio::AudioFormat::S32le,
    gst_audio::AudioFormat::S24le,
    gst_audio::AudioFormat::U8,
    gst_audio::AudioFormat::F32le,
    gst_audio::AudioFormat::F64le,
];

/// A stream's format in the terms of [`avi_mjpeg::pcm`]; `None` when it is out of range.
pub fn layout_of(info: &gst_audio::AudioInfo) -> Option<Layout> {
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
        sample_bytes: u8::try_from(format.width() / 8).ok()?,
        rate: info.rate(),
        channels: u16::try_from(info.channels()).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
