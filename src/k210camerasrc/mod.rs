// SPDX-License-Identifier: MIT OR Apache-2.0
//! A live source of the frames that a K210 board's camera takes.
//!
//! The board runs stock MaixPy firmware and hangs on a serial port, or on a serial server across
//! the network; nothing has to be flashed. The element brings it from whatever state it is in to
//! run a MicroPython script that takes pictures, and asks it for one frame after the other at the
//! rate that downstream wants, or at `interval`.
//!
//! ```text
//! gst-launch-1.0 -e k210camerasrc device=/dev/ttyUSB0 ! avimjpegmux ! filesink location=a.avi
//! gst-launch-1.0 k210camerasrc device=sim: ! jpegdec ! videoconvert ! autovideosink
//! ```
//!
//! # Timestamps
//! The board has no clock that the host could read, so a frame's timestamp is the running time of
//! its arrival less the time its transfer took: the moment at which it was asked for. Frames that
//! come late are late, none is repeated to fill a gap. The picture itself is older by what the
//! sensor and the board's JPEG encoder take, which the host cannot measure.
//!
//! # Interruptions
//! A frame that arrives damaged is dropped, and the next one is marked `DISCONT`. The protocol has no
//! checksum, so damage is what shows in a JPEG: a picture that is cut short or lacks a part never
//! passes, a changed bit that spoils no more than a few blocks of it does. When the board
//! goes away the element stays as it is, posts `k210-disconnected`, looks for the board again (by
//! its USB serial number, if the port has changed its name) and posts `k210-reconnected`; time goes
//! on meanwhile. That holds from the moment its port was opened, or with `tcp://` the board has
//! answered, the first frame or not. With `reconnect=false` it stops with an error instead, as it
//! always does when it finds no board at its start, when a port may not be opened or is in use, and
//! when what is there does not answer as a board does, never starts the script or never takes a
//! picture.
//!
//! # URIs
//! Players that know no properties take a board by its URI: `k210:///dev/ttyUSB0` is a serial port,
//! `k210:` the first board found, `k210+tcp://host:port` a serial server, `k210+sim:` the built-in
//! simulated board and `k210+sim:///film.mp4` one that looks at a video file. Properties stand behind
//! a question mark.
//!
//! ```text
//! gst-play-1.0 'k210+sim:?framesize=vga&quality=80'
//! ```
//!
//! # Messages
//! - `k210-board`: `firmware` (string), `arch` (string), `device` (string), once it is connected;
//! - `k210-console`: `line` (string), for each line that the script prints;
//! - `k210-disconnected`: `reason` (string), `device` (string);
//! - `k210-reconnected`: `outage` (guint64, ns), `attempts` (guint), `device` (string).
#![doc = include_str!("reference.md")]

use std::sync::LazyLock;
use std::time::Duration;

use gst::glib;
use gst::prelude::*;

mod board;
mod device;
mod enums;
#[cfg(feature = "sim")]
pub mod footage;
mod imp;
mod notice;
mod provider;
mod settings;
mod shared;
mod streaming;
mod trouble;
mod uri;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "k210camerasrc",
        gst::DebugColorFlags::empty(),
        Some("Camera of a K210 board"),
    )
});

static PROVIDER_CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "k210deviceprovider",
        gst::DebugColorFlags::empty(),
        Some("K210 boards on USB"),
    )
});

/// A duration in nanoseconds; more than a `u64` holds is as much as it holds.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A duration as GStreamer has it.
fn clock_time(duration: Duration) -> gst::ClockTime {
    // The largest number means that there is no time.
    gst::ClockTime::from_nseconds(nanoseconds(duration).min(u64::MAX - 1))
}

glib::wrapper! {
    /// The element `k210camerasrc`.
    pub struct K210CameraSrc(ObjectSubclass<imp::K210CameraSrc>)
        @extends gst_base::PushSrc, gst_base::BaseSrc, gst::Element, gst::Object,
        @implements gst::URIHandler;
}

glib::wrapper! {
    /// The device provider `k210deviceprovider`, which lists boards by their USB ids. A board that
    /// this program has talked to before has its firmware's version in `device.firmware`.
    pub struct K210DeviceProvider(ObjectSubclass<provider::K210DeviceProvider>)
        @extends gst::DeviceProvider, gst::Object;
}

glib::wrapper! {
    /// A board that the device provider found.
    pub struct K210Device(ObjectSubclass<device::K210Device>)
        @extends gst::Device, gst::Object;
}

/// Registers the element and its device provider.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    enums::register();
    gst::Element::register(
        Some(plugin),
        "k210camerasrc",
        gst::Rank::NONE,
        K210CameraSrc::static_type(),
    )?;
    gst::DeviceProvider::register(
        Some(plugin),
        "k210deviceprovider",
        gst::Rank::SECONDARY,
        K210DeviceProvider::static_type(),
    )
}
