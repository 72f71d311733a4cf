// SPDX-License-Identifier: MIT OR Apache-2.0
//! `avimjpegdemux` takes AVI files of Motion JPEG and PCM sound apart, whatever
//! was wrong with them.
//!
//! ```text
//! gst-launch-1.0 filesrc location=capture.avi ! avimjpegdemux ! jpegdec ! autovideosink
//! gst-launch-1.0 fdsrc ! avimjpegdemux name=d d.video_0 ! queue ! jpegdec ! autovideosink \
//!     d.audio_0 ! queue ! audioconvert ! autoaudiosink < capture.avi
//! ```
//!
//! From a source that can be read at any place it plays by an index: the file's
//! own if that leads to chunks, else one it makes by walking from chunk to chunk,
//! a step ahead of what is played; a seek beyond that walks on to its target
//! (progress messages of the code `index` tell how far it is). Chunks are pushed
//! in the order of their times, as parts of larger blocks that are read once and
//! never copied. What comes as a stream is walked through and pushed in the
//! file's order.
//!
//! Frame `n` has the timestamp `n * scale / rate`, exactly. MaixPy's recorder cuts
//! its rate down to whole frames a second; its files, and those whose `strh` has no
//! rate, take the interval of `avih`. Padding behind a JPEG's end marker is cut
//! off.
//!
//! Every damaged region is posted once as a warning with its offsets; what is
//! intact behind it is played. A stream that was announced and has no chunks gets
//! no pad. Streams of other kinds than its pads take are named in a warning.
#![doc = include_str!("reference.md")]

use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;

mod caps;
mod imp;
mod output;
mod pull;
mod push;
mod seek;
mod shared;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "avimjpegdemux",
        gst::DebugColorFlags::empty(),
        Some("AVI demuxer for Motion JPEG"),
    )
});

glib::wrapper! {
    /// The element `avimjpegdemux`; see the module's documentation.
    pub struct AviMjpegDemux(ObjectSubclass<imp::AviMjpegDemux>) @extends gst::Element, gst::Object;
}

/// Registers the element with a plugin.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "avimjpegdemux",
        // Above avidemux, for the caps of Motion JPEG alone.
        gst::Rank::PRIMARY + 1,
        AviMjpegDemux::static_type(),
    )
}
