// SPDX-License-Identifier: MIT OR Apache-2.0
#![doc = include_str!("../README.md")]

pub mod audiorecordsink;
pub mod avimjpegdemux;
pub mod avimjpegmux;
pub mod circularsink;
mod failure;
pub mod ffmpegsink;
mod fixed_caps;
pub mod k210camerasrc;
pub mod k230venc;
pub mod parallelenc;
pub mod recordsink;
pub mod ring;
mod streams;
mod sync;
mod typefind;

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
    typefind::register(plugin)?;
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
