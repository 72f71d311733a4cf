// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a device has, as a report that one can send.

use std::{fmt, path::Path};

use super::{
    node::{Node, text},
    raw::*,
};
use crate::Error;

/// A format of one of the queues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// Four characters.
    pub fourcc: String,
    /// Whether it is encoded.
    pub compressed: bool,
    /// The driver's words.
    pub description: String,
}

/// A control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// The control's number.
    pub id: u32,
    /// The driver's name for it.
    pub name: String,
    /// Its least value.
    pub minimum: i64,
    /// Its greatest value.
    pub maximum: i64,
    /// What it is unless set.
    pub default: i64,
}

/// What a device says of itself. `Display` is the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The node.
    pub path: String,
    /// The driver's name.
    pub driver: String,
    /// The device's name.
    pub card: String,
    /// Where the device is.
    pub bus: String,
    /// The kernel's version, as the driver gives it.
    pub version: (u32, u32, u32),
    /// What the device can do, as bits of `device_caps`.
    pub capabilities: u32,
    /// Formats of raw pictures' queue.
    pub raw: Vec<Format>,
    /// Formats of the stream's queue.
    pub encoded: Vec<Format>,
    /// Controls, in the order of their numbers.
    pub controls: Vec<Control>,
}

fn formats(node: &Node, queue: u32) -> Vec<Format> {
    node.formats(queue)
        .iter()
        .map(|format| Format {
            fourcc: String::from_utf8_lossy(&format.pixelformat.to_le_bytes()).into_owned(),
            compressed: format.flags & V4L2_FMT_FLAG_COMPRESSED != 0,
            description: text(&format.description),
        })
        .collect()
}

/// Asks the device node at `path` for all that it has. Any V4L2 device answers.
///
/// # Errors
/// [`Error::Device`] if it cannot be opened or is no V4L2 device.
pub fn probe(path: &Path) -> Result<Report, Error> {
    let node = Node::open(path)?;
    let capability = node.capability()?;
    let controls = node.controls();
    Ok(Report {
        path: path.display().to_string(),
        driver: text(&capability.driver),
        card: text(&capability.card),
        bus: text(&capability.bus_info),
        version: (
            capability.version >> 16,
            capability.version >> 8 & 0xff,
            capability.version & 0xff,
        ),
        capabilities: capability.device_caps,
        raw: formats(&node, V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE),
        encoded: formats(&node, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE),
        controls: controls
            .iter()
            .filter(|control| control.type_ != V4L2_CTRL_TYPE_CTRL_CLASS)
            .map(|control| Control {
                id: control.id,
                name: text(&control.name),
                minimum: control.minimum,
                maximum: control.maximum,
                default: control.default_value,
            })
            .collect(),
    })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor, patch) = self.version;
        writeln!(f, "device       {}", self.path)?;
        writeln!(
            f,
            "driver       {} (kernel {major}.{minor}.{patch})",
            self.driver
        )?;
        writeln!(f, "card         {}", self.card)?;
        writeln!(f, "bus          {}", self.bus)?;
        writeln!(f, "capabilities 0x{:08x}", self.capabilities)?;
        for (name, formats) in [("raw", &self.raw), ("stream", &self.encoded)] {
            writeln!(f, "\nformats of the {name} queue:")?;
            for format in formats {
                let kind = if format.compressed { "encoded" } else { "raw" };
                writeln!(f, "  {}  {kind:7}  {}", format.fourcc, format.description)?;
            }
        }
        writeln!(f, "\ncontrols:")?;
        for control in &self.controls {
            writeln!(
                f,
                "  0x{:08x}  {}: {} to {}, default {}",
                control.id, control.name, control.minimum, control.maximum, control.default
            )?;
        }
        Ok(())
    }
}
