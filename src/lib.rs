// SPDX-License-Identifier: MIT OR Apache-2.0
#![doc = include_str!("../README.md")]

mod audiorecordsink;
pub mod avi;
mod avimjpegdemux;
mod avimjpegmux;
mod circularsink;
mod ffmpegsink;
pub mod footage;
pub mod k210;
mod k210camerasrc;
pub mod k230venc;
mod parallelenc;
pub mod pcm;
mod recordsink;
pub mod ring;
mod streams;
mod sync;
pub mod venc;

fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    audiorecordsink::register(plugin)?;
    k210camerasrc::register(plugin)?;
    ffmpegsink::register(plugin)?;
    k230venc::register(plugin)?;
    circularsink::register(plugin)?;
    avimjpegdemux::register(plugin)?;
    avimjpegmux::register(plugin)?;
    parallelenc::register(plugin)?;
    recordsink::register(plugin)?;
    Ok(())
}

gst::plugin_define!(
    kendryte,
    env!("CARGO_PKG_DESCRIPTION"),
    plugin_init,
    concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
    "MIT/X11",
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME"),
    "Unknown package origin",
    env!("BUILD_REL_DATE")
);
