// SPDX-License-Identifier: MIT OR Apache-2.0
//! `avimjpegmux`: Motion JPEG and PCM into an AVI file that survives a power cut and, if asked,
//! plays on a K210.
//!
//! ```text
//! gst-launch-1.0 -e k210camerasrc device=sim: num-buffers=50 ! avimjpegmux ! filesink location=capture.avi
//! ```
//!
//! The bytes are made by [`crate::avi::writer`], where the order of a checkpoint's steps
//! is explained. What this element adds:
//!
//! - **Interleaving.** Buffers wait in a queue for each pad until it is known which pad's is next
//!   by running time. There is no thread: whichever of the upstream threads finds something
//!   to write writes it, the others leave theirs in the queue. A pad that is silent for a
//!   second, although others are a second ahead, is not waited for; a thread is blocked
//!   no longer than that. Positions in an AVI are counted for each stream alone, so what
//!   comes late is still played at its time.
//! - **Time.** The file begins with the earliest buffer. Frames are put on the grid of the
//!   frame rate and sound is moved to its time by [`crate::avi::timeline`]: missing frames
//!   are empty chunks (in the K210's profile the last frame again), missing sound is silence.
//! - **Checkpoints.** Every `checkpoint-interval` of stream time the file is brought up to date in
//!   place. Once a second of real time at most, the file system is also asked to write everything
//!   to the disk first (the buffers' `sync-after` flag, which `filesink` follows), so that
//!   a power cut cannot leave headers that tell of data that were never written. (Not when
//!   more than 16 MiB come in that second: that is a copy, not a recording.)
//! - **Errors.** If the sink fails (the disk is full), what it has is made a file that ends there.
//!   `filesink` posts its error before, the moment that it fails.
//!
//! The `stats` property counts what was written, repeated, missed and dropped.

use gst::glib;
use gst::prelude::*;

mod caps;
mod flow;
mod imp;
mod output;
mod queue;
mod session;

glib::wrapper! {
    /// The element.
    pub struct AviMjpegMux(ObjectSubclass<imp::AviMjpegMux>)
        @extends gst::Element, gst::Object,
        @implements gst::TagSetter;
}

/// Whom a file is for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstAviMjpegMuxProfile")]
pub enum Profile {
    /// Any player of AVI files.
    #[default]
    #[enum_value(name = "Any player", nick = "standard")]
    Standard = 0,
    /// MaixPy's player, and any other.
    #[enum_value(name = "MaixPy's player on the K210, and any other", nick = "k210")]
    K210 = 1,
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    Profile::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    gst::Element::register(
        Some(plugin),
        "avimjpegmux",
        gst::Rank::MARGINAL,
        AviMjpegMux::static_type(),
    )
}
