// SPDX-License-Identifier: MIT OR Apache-2.0
//! `libk230mpp_sim.so`: the double of the K230's MPP library ([`k230_sim`]) with an encoder of this
//! machine in it, the one that `k230venc` hosts on a PC.

use std::sync::LazyLock;

use gstkendryte::k230venc::hosted;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "k230mpp-sim",
        gst::DebugColorFlags::empty(),
        Some("K230 MPP library's double"),
    )
});

/// What the double reports goes into GStreamer's debug log.
fn report(record: &log::Record<'_>) {
    match record.level() {
        log::Level::Error => gst::error!(CAT, "{}", record.args()),
        _ => gst::warning!(CAT, "{}", record.args()),
    }
}

extern "C" fn install() {
    k230_sim::set_encoder(hosted::for_double);
    k230_sim::report_to(report);
}

// SAFETY: the loader calls the functions of this section, which take nothing that they need, once
// and before any function of the library can be called; `install` stores two values.
#[used]
#[unsafe(link_section = ".init_array")]
static INSTALL: extern "C" fn() = install;
