// SPDX-License-Identifier: MIT OR Apache-2.0
//! `recordsink`: records video and sound, raw or encoded, to the file that `location` names.
//!
//! ```text
//! gst-launch-1.0 -e videotestsrc num-buffers=150 ! video/x-raw,width=640,height=480 ! \
//!     recordsink location=clip.mp4 quality=high
//! gst-launch-1.0 -e videotestsrc is-live=true ! r.video audiotestsrc is-live=true ! r.audio \
//!     recordsink name=r location=clip.avi duration=10000000000
//! ```
//!
//! The extension chooses container and encoders:
//!
//! | file | raw video becomes | raw sound becomes |
//! |---|---|---|
//! | `.avi` | Motion JPEG | PCM |
//! | `.mp4` `.mov` `.mkv` `.ts` `.flv` | H.264 | AAC, or Opus where no AAC encoder is installed |
//! | `.webm` `.ogg` | VP8 | Opus |
//! | `.h264` `.h265` `.mjpeg` | that, without a container | |
//! | `.jpg` | one picture; `%05d` in the name: one picture a frame | |
//! | `.wav` `.pcm` | | samples |
//!
//! H.264 and H.265 are encoded by `k230venc`, or by a software encoder where pictures are smaller
//! than VENC's 128x64. `video-encoder`, `audio-encoder` and `muxer-factory` name other elements;
//! `video-encoder=h265` (or `h264`, `mjpeg`) names a codec only. Encoded input is not decoded.
//! Inside, everything is ordinary elements: they show in the dot graph and in `deep-element-added`.
//!
//! A new file begins when `split-time` or `split-bytes` is reached, when `split(location)` is emitted
//! and when a stream goes on in another size or format, each time at a key unit, with no frame lost.
//! Every file begins at 0, whatever the running time is (in an MPEG transport stream the clock does,
//! which runs ahead of the pictures by an eighth of a second). With two streams the first file begins when both have come. If one has
//! brought 20 s, or 64 MiB encoded, and the other nothing, the file does without it, with a warning;
//! when it comes after all, it begins another file.
//!
//! Buffers without timestamps are counted by the caps' frame or sample rate; where there is none that
//! is an error. Timestamps that go back or begin anew, or that jump ahead by more than an hour (or ten
//! frames of a slow camera), go on behind what came, with one warning. Motion JPEG goes into the file as it comes, damaged pictures too, from the first one
//! whose head is readable on. For each complete file the bin posts an
//! element message `recordsink-file` with `location`, `frames`, `bytes` and `duration`, of the file
//! that is on the disk, and the frames that came for it and are not in it: `dropped`, of which
//! `dropped-interval` came before `interval` had passed, `dropped-unreadable` before the first picture
//! whose head is readable, and `lost` were not put into it by the muxer. With
//! `frame-messages=true` each frame posts `recordsink-frame` with its `bytes` and `pts`.
//!
//! What a killed program, a full disk or a power cut leaves of a file plays: an AVI up to its last
//! checkpoint (a second), MP4 and MOV, which are written in fragments and made plain files at their
//! end, up to the last second or group of pictures, the others as far as they go. Nothing waits in
//! buffers of this process; what the kernel has not yet written to the disk is lost with the power.
//!
//! `duration`, `finish()` and a single `.jpg` end the recording by itself: the bin posts EOS as if
//! the stream had ended, and what still arrives is dropped.
#![doc = include_str!("reference.md")]

use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;

mod chain;
mod cut;
mod elementary;
mod encoder;
mod gate;
mod imp;
mod lane;
mod muxed;
mod names;
mod preroll;
pub mod quality;
mod recorder;
mod settings;
mod stream;
mod tally;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "recordsink",
        gst::DebugColorFlags::empty(),
        Some("Recorder by file name"),
    )
});

pub use quality::Quality;

glib::wrapper! {
    /// Records to a file by its extension; see the module's documentation.
    pub struct RecordSink(ObjectSubclass<imp::RecordSink>)
        @extends gst::Bin, gst::Element, gst::Object,
        @implements gst::ChildProxy;
}

/// Makes the element known to `plugin`.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    Quality::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    gst::Element::register(
        Some(plugin),
        "recordsink",
        gst::Rank::NONE,
        RecordSink::static_type(),
    )
}
