// SPDX-License-Identifier: MIT OR Apache-2.0
//! `libk230mpp_sim.so`: the double of the K230's MPP library ([`k230_sim`]) with an encoder of this
//! machine in it, the one that `k230venc` hosts on a PC.

use std::sync::LazyLock;

use gstkendryte::k230venc::hosted::HostedDevice;
use k230_venc::Device;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "k230mpp-sim",
        gst::DebugColorFlags::empty(),
        Some("K230 MPP library's double"),
    )
});

fn device() -> Option<Box<dyn Device>> {
    if let Err(error) = gst::init() {
        log::error!("GStreamer does not start: {error}");
        return None;
    }
    Some(Box::new(HostedDevice::default()))
}

/// What the double reports goes into GStreamer's debug log.
struct Log;

impl log::Log for Log {
    fn enabled(&self, metadata: &log::Metadata) -> bool {
        metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record) {
        match record.level() {
            log::Level::Error => gst::error!(CAT, "{}", record.args()),
            _ => gst::warning!(CAT, "{}", record.args()),
        }
    }

    fn flush(&self) {}
}

extern "C" fn install() {
    k230_sim::set_encoder(device);
    if log::set_logger(&Log).is_ok() {
        log::set_max_level(log::LevelFilter::Warn);
    }
}

// SAFETY: the loader calls the functions of this section, which take nothing that they need, once
// and before any function of the library can be called; `install` stores two values.
#[used]
#[unsafe(link_section = ".init_array")]
static INSTALL: extern "C" fn() = install;
