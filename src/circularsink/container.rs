// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which elements write a recording: chosen by the location's extension and the streams' formats,
//! or named by the user.

use gst::prelude::*;

use super::shared::Stream;
use crate::streams::containers::{Container, Kind, UnknownExtension};
use crate::streams::set::SetError;
use crate::streams::{self, MissingElement};

/// Why a recording's elements can't be put together. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error(transparent)]
    Extension(#[from] UnknownExtension),
    #[error("set location, or muxer-factory and sink-factory")]
    NoLocation,
    #[error(transparent)]
    Missing(#[from] MissingElement),
    #[error(transparent)]
    Property(#[from] SetError),
    #[error("{0} can't store {1} ({2}): encode it differently or choose another format")]
    Unsupported(String, String, String),
    #[error("{0} writes {1}, and there is no such stream")]
    NothingToWrite(String, &'static str),
    #[error("the elements of the recording can't be joined: {0}")]
    Join(#[from] glib::BoolError),
}

/// What writes a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Writer {
    /// A muxer takes all streams.
    Muxer(String),
    /// The video alone as it is, in these caps.
    Frames(&'static str),
    /// Each picture in a file of its own.
    Pictures,
    /// The first sound alone, in a muxer of one stream or as it is.
    Sound(Option<&'static str>),
}

impl Writer {
    /// The writer for a location, unless `muxer` is named.
    pub fn of(
        location: Option<&str>,
        muxer: Option<&str>,
        streams: &[(usize, Stream)],
    ) -> Result<Self, BuildError> {
        if let Some(muxer) = muxer {
            return Ok(Self::Muxer(muxer.to_owned()));
        }
        let container = Container::of(location.ok_or(BuildError::NoLocation)?)?;
        Ok(match container.kind {
            Kind::Muxed(_) => {
                let names = streams.iter().filter_map(|(_, stream)| {
                    let structure = stream.caps.as_ref()?.structure(0)?;
                    Some(structure.name().as_str())
                });
                let muxer = container.muxer(names);
                Self::Muxer(muxer.map_or_else(String::new, |muxer| muxer.factory.to_owned()))
            }
            Kind::Frames(codec) => Self::Frames(codec.elementary_caps()),
            Kind::Pictures => Self::Pictures,
            Kind::Samples(muxer) => Self::Sound(muxer),
        })
    }
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
    let parser = streams::any_parser(caps);
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
    let parser = streams::make(parser.ok_or_else(unsupported)?.factory)?;
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
