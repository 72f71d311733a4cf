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
//! no pad. Streams that are neither Motion JPEG nor PCM are named in a warning.
//!
//! # Players
//! `playbin`, `decodebin3`, `gst-play-1.0`, `gst-discoverer-1.0` and all that find their elements by type take
//! this one for an AVI of Motion JPEG whose other streams it knows, damaged or not, and `avidemux` for
//! any other, as without this plugin. For that the type of the former is `video/x-msvideo,variant=mjpeg`,
//! by the headers of its streams or, where these are lost, by its pictures; the pad takes plain
//! `video/x-msvideo` too. A file that does not begin as an AVI, but has Motion JPEG in an AVI's chunks
//! in its first 128 KiB, is found if nothing else takes it for its own. Of a stream (HTTP) the first 2 to 4 KiB
//! are all that is looked at: headers that are lost there make it `avidemux`'s.
//!
//! # Seeks
//! Seeks may be in time or frames (`default`), and on the sound's pads in bytes of
//! sound; every picture is a key unit. Playing backward, trick modes and
//! seeks need a source that can be read at any place; in streams that
//! can seek in bytes one can seek and play forward. A seek beyond what has come of a
//! stream fetches the file's own index first, if it has one.
#![doc = include_str!("reference.md")]

use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;

mod caps;
mod errors;
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
