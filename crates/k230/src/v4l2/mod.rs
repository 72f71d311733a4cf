// SPDX-License-Identifier: MIT OR Apache-2.0
//! The encoder behind Linux' driver `mvx`, a V4L2 memory-to-memory device.
//!
//! Each open of the node is a session of its own, so each channel has one. Facts about the driver
//! are those of `drivers/media/platform/canaan/vpu/` in `ruyisdk/linux-xuantie-kernel`:
//!
//! - Both its queues enumerate raw and encoded formats, so it is told by its name.
//! - Formats and controls are set before buffers are asked for, and are refused afterwards.
//! - Parameter sets come in a buffer of their own before their picture, which they are joined with.
//! - `V4L2_BUF_FLAG_KEYFRAME` on an encoded buffer is the end of a picture, and on every picture:
//!   key pictures are told by their NAL units. On a raw buffer it asks for an IDR.
//! - Timestamps are copied; a stream's frame is told by them.
//! - A session that was stopped cannot be started again.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::{Channel, ChannelAttr, Codec, Device, Error, PixelFormat};

mod assembly;
mod channel;
mod controls;
mod node;
mod places;
mod probe;
pub mod raw;

use channel::{V4l2Channel, raw_format};
use node::{Node, text};
pub use probe::{Control, Format, Report, probe};

/// The driver's name in `VIDIOC_QUERYCAP`.
pub const DRIVER: &str = "mvx";

/// The environment's name for the node, where nobody gives one.
pub const DEVICE_VARIABLE: &str = "K230_V4L2_DEVICE";

/// The encoder behind a device node.
#[derive(Debug, Clone)]
pub struct V4l2Device {
    path: PathBuf,
    /// What the raw queue lists of the formats that we have.
    formats: Vec<PixelFormat>,
}

impl fmt::Display for V4l2Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

impl V4l2Device {
    /// The device `named`, else the one that `K230_V4L2_DEVICE` names, else the first node of
    /// `/dev/video*` whose driver is [`DRIVER`].
    ///
    /// # Errors
    /// [`Error::Device`] if the one that was named cannot be opened or asked,
    /// [`Error::OtherDriver`] if its driver is another, [`Error::NoDevice`] if none was named and
    /// there is none.
    pub fn find(named: Option<&Path>) -> Result<Self, Error> {
        let from_environment = std::env::var_os(DEVICE_VARIABLE).filter(|name| !name.is_empty());
        if let Some(path) = named
            .map(PathBuf::from)
            .or(from_environment.map(PathBuf::from))
        {
            return Self::open(&path);
        }
        nodes()
            .iter()
            .find_map(|path| Self::open(path).ok())
            .ok_or(Error::NoDevice)
    }

    fn open(path: &Path) -> Result<Self, Error> {
        let node = Node::open(path)?;
        let driver = text(&node.capability()?.driver);
        if driver != DRIVER {
            return Err(Error::OtherDriver {
                path: path.into(),
                driver,
            });
        }
        let listed = node.formats(raw::V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE);
        let is_listed = |format: &PixelFormat| {
            let code = raw_format(*format);
            listed.iter().any(|listed| listed.pixelformat == code)
        };
        Ok(Self {
            path: path.into(),
            formats: PixelFormat::ALL.into_iter().filter(is_listed).collect(),
        })
    }

    /// The device node.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The machine's video nodes, in the order of their numbers; those with other names last.
fn nodes() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir("/dev") else {
        return Vec::new();
    };
    let mut nodes: Vec<(u32, String)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let number = name.strip_prefix("video")?.parse().unwrap_or(u32::MAX);
            Some((number, name))
        })
        .collect();
    nodes.sort_unstable();
    nodes
        .iter()
        .map(|(_, name)| Path::new("/dev").join(name))
        .collect()
}

impl Device for V4l2Device {
    fn describe(&self) -> String {
        self.to_string()
    }

    fn formats(&self, _: Codec) -> Vec<PixelFormat> {
        self.formats.clone()
    }

    fn create_channel(&self, _: u32, attr: &ChannelAttr) -> Result<Box<dyn Channel>, Error> {
        Ok(Box::new(V4l2Channel::create(&self.path, attr)?))
    }
}

/// Whether this machine is a K230, by its device tree.
pub fn is_k230() -> bool {
    // Strings that each end with a zero, as "canaan,kendryte-k230".
    std::fs::read("/proc/device-tree/compatible").is_ok_and(|names| {
        names
            .windows(4)
            .any(|name| name.eq_ignore_ascii_case(b"k230"))
    })
}
