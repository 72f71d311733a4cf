// SPDX-License-Identifier: MIT OR Apache-2.0
//! `parallelenc`: one stream's pictures encoded on several cores, in order.
//!
//! ```text
//! gst-launch-1.0 -e videotestsrc num-buffers=150 ! video/x-raw,width=1920,height=1080 ! \
//!     parallelenc encoder="jpegenc quality=80" ! avimjpegmux ! filesink location=big.avi
//! ```
//!
//! `threads` encoders, one for each core unless it is set, take the next picture whenever they are
//! free. What they make leaves in the order in which the pictures came, with the pictures' own
//! times. It is for encoders whose pictures stand alone and that give each one back before they
//! take another: `jpegenc`, `pngenc`, `openjpegenc`. One that keeps pictures back, or whose
//! pictures refer to each other, is refused with an error.
//!
//! The encoders are elements inside this one, written in `encoder` as for `gst-launch-1.0`; they
//! show in the dot graph and in `deep-element-added`. Caps may change at any time: each encoder
//! learns of them with its next picture, and none waits for the others.
//!
//! What there is besides: `avenc_mjpeg pass=quant quantizer=5 threads=auto`, of GStreamer's libav
//! plugin, encodes on all cores too, in order. It has quantizers in place of a JPEG's quality, all
//! cores or one, no 4:2:2 of the kind that cameras give, and without `pass=quant` it silently uses
//! one core. This element is for the rest. Its design is that of picamera2's `MultiEncoder`, a pool
//! of threads and a queue of what they were given.
#![doc = include_str!("reference.md")]

use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;

mod imp;
mod lane;
mod line;
mod settings;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "parallelenc",
        gst::DebugColorFlags::empty(),
        Some("Encoders side by side"),
    )
});

glib::wrapper! {
    /// Several encoders side by side; see the module's documentation.
    pub struct ParallelEnc(ObjectSubclass<imp::ParallelEnc>)
        @extends gst::Bin, gst::Element, gst::Object,
        @implements gst::ChildProxy;
}

/// Makes the element known to `plugin`.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "parallelenc",
        gst::Rank::NONE,
        ParallelEnc::static_type(),
    )
}
