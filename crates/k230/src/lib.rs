// SPDX-License-Identifier: MIT OR Apache-2.0
#![doc = include_str!("../README.md")]
//!
//! # Terms
//!
//! One device, four channels. A channel is created with [`ChannelAttr`], started, given
//! [`Frame`]s, and asked for [`Stream`]s; a stream is the packs of one encoded frame: a header
//! pack with the parameter sets where the frame starts a GOP, and the I or P pack. I and P frames
//! are all there is, so streams come in the order of the frames.
//!
//! [`Device`] and [`Channel`] are what the element `k230venc` and the software doubles are written
//! against. [`v4l2`] reaches the encoder through Linux' driver; [`mpp`] reaches it through the C
//! library of Kendryte's SDK, in three layers: the raw [`abi`], the loaded [`library`], the trait.
//! Another implementation hosts a GStreamer encoder of the machine; it is in the plugin, as nothing
//! here knows GStreamer.
//!
//! Names, limits and codes are those of `k_venc_comm.h` in `kendryte/k230_sdk` and of
//! `K230_视频编解码_API参考.md` in `kendryte/k230_docs`.

#![warn(missing_docs)]

pub mod abi;
mod attr;
mod decimation;
mod device;
mod error;
mod level;
pub mod library;
pub mod mpp;
pub mod packs;
mod region;
pub mod reordering;
pub mod v4l2;

pub use attr::{
    ChannelAttr, Codec, Entropy, MAX_BITRATE, MAX_CHANNELS, MAX_GOP, MAX_QP, Mirror, PixelFormat,
    Profile, RateControl, Rotation, SizeLimits,
};
pub use decimation::Decimator;
pub use device::{
    Channel, Device, DmaPlane, Frame, FrameData, LentPlane, Pack, PackData, PackKind, PlaneMemory,
    Status, Stream,
};
pub use error::{Code, Error};
pub use level::Level;
pub use region::{Blocks, MAX_REGIONS, Region};

/// How long a device may take for one call or one frame before it counts as stuck.
pub const STUCK_AFTER: std::time::Duration = std::time::Duration::from_secs(5);
