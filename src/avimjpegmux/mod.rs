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
//! - **Time.** The file begins with the earliest buffer. Frames are put on the grid of the
//!   frame rate and sound is moved to its time: missing frames are empty chunks (in the K210's profile the last
//!   frame again), missing sound is silence. No frame is lost for want of a place: a camera that is faster than its
//!   caps has its own rate in the file. Without a rate in the caps the first 17 frames tell it, or two seconds
//!   without the longest interval (of a camera that takes one each ten seconds, or an hour, the first three; until then they
//!   are in memory), and the grid has two or three places for each frame of a camera that is irregular
//!   or slower than 24 a second, so that every frame is at its time if the camera becomes faster. Where that is not
//!   enough, as with a camera that doubles its rate while it is recorded, frames are shown late, which the stats
//!   property counts and a warning tells. (The K210's profile keeps its rate and drops them.)
//! - **Jumps.** Timestamps that go back by more than 0.2 s, or jump ahead by more than an hour, begin anew:
//!   they follow what was recorded before, with a warning that says what was seen and where.
//! - **Checkpoints.** Every `checkpoint-interval` of stream time the file is brought up to date in
//!   place. (A file that is copied so fast that they would follow one another in less than 40 ms of
//!   real time has one every 40 ms, after the first 32.) Once a second of real time at most, the file system is also
//!   asked to write everything to the disk first (the buffers' `sync-after` flag, which
//!   `filesink` follows), so that a power cut cannot leave headers that tell of data that were
//!   never written. (Not when
//!   more than 16 MiB come in that second: that is a copy, not a recording.)
//! - **Errors.** Before the disk is full (or the file at the limit of its process or file system)
//!   the file is finished with its indexes, and the error is posted after that. For this the muxer
//!   asks downstream for its URI and the file's disk for what is free. If the sink fails
//!   all the same, what it has is made a file that ends there; the sink has then posted why,
//!   the moment that it failed. Upstream is told the end of the stream then: sources post no second error, and what
//!   else they feed is completed.
//!
//! The `stats` property counts what was written, repeated, missed and dropped. Rates of sound that are not those of its
//! caps, tags, and what the K210 asks of frames and sound are below.
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
