// SPDX-License-Identifier: MIT OR Apache-2.0
//! `k230venc` encodes video as the K230's VENC does: four channels a process, I and P frames,
//! H.264, H.265 and JPEG, parameter sets with every IDR.
//!
//! On the chip's Linux the encoder is reached through its V4L2 driver, `mvx`, or through the SDK's
//! MPP library where there is one; on a PC a software encoder stands in, so a pipeline written here
//! runs there. Which one it is does not
//! show in the stream: GOPs begin where `gop-length` says, packs are cut alike, and each output
//! buffer carries a [custom meta](gst::meta::CustomMeta) named `GstK230VencPacks` that lists them.
//!
//! ```console
//! gst-launch-1.0 videotestsrc num-buffers=100 ! video/x-raw,width=1280,height=720,framerate=30/1 \
//!     ! k230venc bitrate=4000 ! video/x-h265,profile=main ! h265parse ! matroskamux \
//!     ! filesink location=out.mkv
//! ```
//!
//! How it works: the element claims one of the four channels when it starts and creates it when
//! it knows the caps. Each input frame goes through [`k230_venc::Channel::send_frame`], and its
//! stream is fetched before the next frame is taken, unless the encoder needs more of them inside,
//! which is then reported as latency. A buffer handed downstream counts as one of the channel's
//! stream buffers until it is freed; where `output-buffers` is set, the element waits while so many
//! are out.
#![doc = include_str!("reference.md")]

use std::sync::LazyLock;

use glib::prelude::*;

mod caps;
mod channels;
mod counts;
pub(crate) mod engines;
mod held;
pub mod hosted;
mod imp;
mod messages;
pub mod pack_meta;
mod pool;
mod regions;
mod session;
mod settings;

pub use settings::{Backend, EntropyMode, MirrorMode, RateControlMode, RotationMode};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "k230venc",
        gst::DebugColorFlags::empty(),
        Some("K230 video encoder"),
    )
});

glib::wrapper! {
    /// The element.
    pub struct K230Venc(ObjectSubclass<imp::K230Venc>)
        @extends gst_video::VideoEncoder, gst::Element, gst::Object;
}

/// Registers the element.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "k230venc",
        gst::Rank::NONE,
        K230Venc::static_type(),
    )
}
