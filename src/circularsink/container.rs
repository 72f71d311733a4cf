// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which elements write a recording: chosen by the location's extension and the streams' formats,
//! or named by the user.

use gst::prelude::*;

use super::location;
use super::shared::Stream;
use crate::streams::{self, MissingElement};

/// Why a recording's elements can't be put together. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error(
        "no format is known for '{0}': use .mp4, .mkv, .mov, .ts, .avi, .h264, .h265, .mjpeg, .jpg or .wav, or set muxer-factory"
    )]
    Extension(String),
    #[error("set location, or muxer-factory and sink-factory")]
    NoLocation,
    #[error(transparent)]
    Missing(#[from] MissingElement),
    #[error("'{0}' has no property '{1}'")]
    NoProperty(String, String),
    #[error("'{1}' of '{0}' can't be set to {2}")]
    BadValue(String, String, String),
    #[error("{0} can't store {1} ({2}): encode it differently or choose another format")]
    Unsupported(String, String, String),
    #[error("{0} writes {1}, and there is no such stream")]
    NothingToWrite(String, &'static str),
    #[error("the elements of the recording can't be joined: {0}")]
    Join(#[from] glib::BoolError),
}

/// What an extension stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Container {
    /// A muxer takes all streams.
    Muxer(String),
    /// The video alone as it is, in these caps.
    Elementary(&'static str),
    /// Each picture in a file of its own.
    Sequence,
    /// The first sound alone, in a muxer of one stream.
    Sound(&'static str),
}

/// The container for a location, unless `muxer` is named.
pub fn choose(
    location: Option<&str>,
    muxer: Option<&str>,
    streams: &[(usize, Stream)],
) -> Result<Container, BuildError> {
    if let Some(muxer) = muxer {
        return Ok(Container::Muxer(muxer.to_owned()));
    }
    let location = location.ok_or(BuildError::NoLocation)?;
    let extension = location::extension(location).unwrap_or_default();
    let named = |muxer: &str| Ok(Container::Muxer(muxer.to_owned()));
    match extension.as_str() {
        "mp4" | "m4v" | "m4a" => named("mp4mux"),
        "mov" | "qt" => named("qtmux"),
        "mkv" | "mka" => named("matroskamux"),
        "webm" => named("webmmux"),
        "ts" | "mts" | "m2ts" => named("mpegtsmux"),
        "flv" => named("flvmux"),
        "ogg" | "ogv" | "oga" | "opus" => named("oggmux"),
        "avi" => {
            // Motion JPEG gets the writer that knows the K210; it stores nothing else.
            let jpeg = streams.iter().all(|(_, stream)| {
                let name = stream
                    .caps
                    .as_ref()
                    .and_then(|c| c.structure(0))
                    .map(|s| s.name());
                name.is_none_or(|name| name == "image/jpeg" || name == "audio/x-raw")
            });
            if jpeg && gst::ElementFactory::find("avimjpegmux").is_some() {
                named("avimjpegmux")
            } else {
                named("avimux")
            }
        }
        "h264" | "264" => Ok(Container::Elementary(
            "video/x-h264,stream-format=byte-stream,alignment=au",
        )),
        "h265" | "265" | "hevc" => Ok(Container::Elementary(
            "video/x-h265,stream-format=byte-stream,alignment=au",
        )),
        "mjpeg" | "mjpg" => Ok(Container::Elementary("image/jpeg")),
        "jpg" | "jpeg" => Ok(Container::Sequence),
        "wav" => Ok(Container::Sound("wavenc")),
        _ => Err(BuildError::Extension(location.to_owned())),
    }
}

/// Sets an element's properties from the fields of a structure.
pub fn set_properties(
    element: &gst::Element,
    properties: Option<&gst::Structure>,
) -> Result<(), BuildError> {
    let factory = || {
        element
            .factory()
            .map_or_else(String::new, |f| f.name().to_string())
    };
    for (name, value) in properties.into_iter().flat_map(|p| p.iter()) {
        let pspec = element
            .find_property(name.as_str())
            .filter(|p| {
                p.flags().contains(glib::ParamFlags::WRITABLE)
                    && !p.flags().contains(glib::ParamFlags::CONSTRUCT_ONLY)
            })
            .ok_or_else(|| BuildError::NoProperty(factory(), name.to_string()))?;
        let bad = || {
            let text = value
                .serialize()
                .map_or_else(|_| format!("{value:?}"), Into::into);
            BuildError::BadValue(factory(), name.to_string(), text)
        };
        let mut converted = None;
        if value.type_().is_a(pspec.value_type()) {
            converted = Some(value.to_value());
        } else if let Ok(text) = value.get::<&str>() {
            // Enumerations by nick, flags, caps, structures.
            converted = Some(glib::Value::deserialize_with_pspec(text, &pspec).map_err(|_| bad())?);
        } else if let Ok(same) = value.transform_with_type(pspec.value_type()) {
            converted = Some(same);
        }
        let converted = converted.ok_or_else(bad)?;
        // A value out of range would be a warning on the console only.
        if !in_range(&pspec, &converted) {
            return Err(bad());
        }
        element.set_property_from_value(name.as_str(), &converted);
    }
    Ok(())
}

/// Whether a property takes a value of its type as it is.
fn in_range(pspec: &glib::ParamSpec, value: &glib::Value) -> bool {
    use glib::translate::{ToGlibPtr, ToGlibPtrMut};
    let mut value = value.clone();
    // SAFETY: both are valid for the call, the value is of the specification's type, and what
    // is changed is a copy.
    unsafe {
        let changed = glib::gobject_ffi::g_param_value_validate(
            pspec.to_glib_none().0,
            value.to_glib_none_mut().0,
        );
        changed == glib::ffi::GFALSE
    }
}

/// The parser that can bring a format into another form of itself.
fn parser_for(caps: &gst::CapsRef) -> Option<&'static str> {
    let structure = caps.structure(0)?;
    Some(match structure.name().as_str() {
        "video/x-h264" => "h264parse",
        "video/x-h265" => "h265parse",
        "video/x-av1" => "av1parse",
        "video/x-vp9" => "vp9parse",
        "audio/mpeg" if structure.get::<i32>("mpegversion") == Ok(1) => "mpegaudioparse",
        "audio/mpeg" => "aacparse",
        "audio/x-opus" => "opusparse",
        "audio/x-flac" => "flacparse",
        _ => return None,
    })
}

/// Joins a stream's pad with an element, a parser between them if that is what it takes.
///
/// `to` is a muxer, of which a pad is requested, or an element with one sink pad that has to get
/// the given form.
pub fn join(
    bin: &gst::Bin,
    pad: &gst::Pad,
    stream: &Stream,
    to: &gst::Element,
    form: Option<&gst::Caps>,
) -> Result<(), BuildError> {
    let name = || {
        to.factory()
            .map_or_else(String::new, |f| f.name().to_string())
    };
    let Some(caps) = &stream.caps else {
        return Err(BuildError::NothingToWrite(name(), "a stream with a format"));
    };
    let unsupported = || BuildError::Unsupported(name(), stream.name.clone(), caps.to_string());
    let parser = parser_for(caps);
    let as_it_is = match form {
        Some(form) => form.can_intersect(caps),
        // Pads take what is in their caps; a parser can add a field that is missing.
        None => takes(to, |form| {
            caps.is_subset(form) || (parser.is_none() && caps.can_intersect(form))
        }),
    };
    if as_it_is && let Some(sink) = to.compatible_pad(pad, Some(caps)) {
        pad.link(&sink).map_err(|_| unsupported())?;
        return Ok(());
    }
    let parser = streams::make(parser.ok_or_else(unsupported)?)?;
    // Without it parameter sets are sent once, which is enough for no format that needs a parser
    // because it has none outside the stream.
    streams::set_if_there(&parser, "config-interval", "-1");
    bin.add(&parser)?;
    let (Some(parser_sink), Some(parser_src)) =
        (parser.static_pad("sink"), parser.static_pad("src"))
    else {
        return Err(unsupported());
    };
    pad.link(&parser_sink).map_err(|_| unsupported())?;
    let forms = gst::Caps::builder(caps.structure(0).map_or("", |s| s.name())).build();
    let sink = to
        .compatible_pad(&parser_src, Some(&forms))
        .ok_or_else(unsupported)?;
    parser_src.link(&sink).map_err(|_| unsupported())?;
    Ok(())
}

/// Whether one of the element's sink pad templates has caps that suit.
fn takes(element: &gst::Element, suits: impl Fn(&gst::Caps) -> bool) -> bool {
    element
        .pad_template_list()
        .iter()
        .filter(|t| t.direction() == gst::PadDirection::Sink)
        .any(|t| suits(t.caps()))
}
