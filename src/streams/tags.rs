// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the file's `INFO` list says.

use gst::prelude::*;

use avi_mjpeg::writer::Tags;

/// The application's tags and the streams', as the tag setter's merge mode has it.
pub(crate) fn of(element: &gst::Element, streams: &gst::TagList) -> Tags {
    let setter = element.dynamic_cast_ref::<gst::TagSetter>();
    let tags = match setter.map(|setter| (setter.tag_list(), setter.tag_merge_mode())) {
        Some((Some(own), mode)) => own.merge(streams, mode),
        _ => streams.clone(),
    };
    let date = tags
        .get::<gst::tags::DateTime>()
        .and_then(|date| date.get().to_iso8601_string().ok())
        .map(|date| date.to_string());
    let software = concat!("gst-plugin-kendryte ", env!("CARGO_PKG_VERSION"));
    Tags {
        title: text::<gst::tags::Title>(&tags),
        artist: text::<gst::tags::Artist>(&tags),
        date: date.unwrap_or_default(),
        software: Some(text::<gst::tags::ApplicationName>(&tags))
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| software.into()),
        comment: text::<gst::tags::Comment>(&tags),
    }
}

/// The first text of a tag.
fn text<'a, T: gst::Tag<'a, TagType = &'a str>>(tags: &'a gst::TagList) -> String {
    tags.get::<T>()
        .map(|tag| tag.get().to_owned())
        .unwrap_or_default()
}
