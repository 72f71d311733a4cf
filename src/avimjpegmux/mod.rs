// SPDX-License-Identifier: MIT OR Apache-2.0
//! `avimjpegmux`: Motion JPEG and PCM into an AVI file that survives a power cut and, if asked,
//! plays on a K210.
//!
//! ```text
//! gst-launch-1.0 -e k210camerasrc device=sim: num-buffers=50 ! avimjpegmux ! filesink location=capture.avi
//! ```
//!
//! The file is made by [`avi_mjpeg::recorder`], which says how frames and sound are put to their
//! time and when there is a checkpoint; the order of a checkpoint's steps is explained in
//! [`avi_mjpeg::writer`]. What this element adds:
//!
//! - **Interleaving.** Buffers wait in a queue for each pad until it is known which pad's is next
//!   by running time. There is no thread: whichever of the upstream threads finds something
//!   to write writes it, the others leave theirs in the queue. A pad that is silent for a
//!   second, although others are a second ahead, is not waited for; a thread is blocked
//!   no longer than that. Positions in an AVI are counted for each stream alone, so what
//!   comes late is still played at its time. The file is begun when each pad has something; if one has nothing for 10 s
//!   of the others, which is all that is kept in memory, it is begun without, and has it from when it comes (its
//!   head is written again then). Where that cannot be, in a pipe, the others are held back for as long as it takes.
//! - **Writing.** A file that is copied at full speed is given its bytes in pieces that end at multiples
//!   of 64 KiB, or with the next checkpoint. What comes no faster than it is recorded, and what goes
//!   into a pipe, is passed on at once and as it is. Where downstream is a file on ext4 that we are linked
//!   to without a queue, and its disk has more than 1 GiB free, such a copy also takes up to 16 MiB of the
//!   disk ahead, which saves a third of the time to write, and gives back what is left over at its end
//!   (a process that is killed does not: truncating the file to its own size will).
//!
//! The `stats` property counts what was written, repeated, missed and dropped. Time, jumps, checkpoints, a full disk, rates of
//! sound that are not those of its caps, tags, and what the K210 asks of frames and sound are below.
#![doc = include_str!("reference.md")]

use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;

mod caps;
mod downstream;
mod imp;
mod messages;
mod output;
mod payload;
mod settings;
mod sinks;

pub use crate::streams::Profile;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "avimjpegmux",
        gst::DebugColorFlags::empty(),
        Some("Motion JPEG AVI muxer"),
    )
});

glib::wrapper! {
    /// The element.
    pub struct AviMjpegMux(ObjectSubclass<imp::AviMjpegMux>)
        @extends gst::Element, gst::Object,
        @implements gst::TagSetter;
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
