// SPDX-License-Identifier: MIT OR Apache-2.0
#![doc = include_str!("../README.md")]
//!
//! # What is in it
//!
//! It exports what a recording program of the SDK links against, `kd_mpi_venc_*`, `kd_mpi_vb_*`,
//! `kd_mpi_sys_*`, `kd_mpi_log_*` and `kd_mpi_vicap_*`, with the layouts and codes of the SDK's
//! headers, so that such a program runs on a PC as it is:
//!
//! ```console
//! cc -I "$SDK/include" -I "$SDK/include/comm" -I "$SDK/userapps/api" recorder.c -lk230mpp_sim
//! ```
//!
//! Behind it are a piece of memory that stands for the chip's ([`memory`]), video buffer pools in
//! it ([`vb`]), an encoder of this machine a channel ([`venc`]), and a camera that looks at a test
//! picture ([`vicap`]).
//!
//! Where the manual, `K230_视频编解码_API参考.md`, says what happens, that is what happens; where it
//! says nothing against a call, as starting a stopped channel again, the call succeeds.
//!
//! Pointers that a program passes in are trusted to point to what the headers say, null aside;
//! physical addresses are checked.

#![warn(missing_docs)]

use std::sync::OnceLock;

use k230_venc::{Code, Device, Error};

mod ffi;
pub mod memory;
mod scene;
mod sensors;
pub mod sys;
pub mod v4l2;
pub mod vb;
pub mod venc;
pub mod vicap;

/// Makes the way to an encoder of this machine.
pub type Encoder = fn() -> Option<Box<dyn Device>>;

static ENCODER: OnceLock<Encoder> = OnceLock::new();

/// Says what the channels encode with. Without, or if `encoder` has none to give, starting a channel
/// fails with `K_ERR_VENC_NOTREADY`. Only the first call counts.
pub fn set_encoder(encoder: Encoder) {
    // The second one is a library that is loaded twice; both hold the same.
    let _ = ENCODER.set(encoder);
}

/// What the double reports, warnings and errors, goes to `report`, unless the program has a logger of
/// its own. Only the first call counts.
pub fn report_to(report: fn(&log::Record<'_>)) {
    struct Reporter(fn(&log::Record<'_>));

    impl log::Log for Reporter {
        fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
            metadata.level() <= log::Level::Warn
        }

        fn log(&self, record: &log::Record<'_>) {
            (self.0)(record);
        }

        fn flush(&self) {}
    }

    static REPORTER: OnceLock<Reporter> = OnceLock::new();
    if log::set_logger(REPORTER.get_or_init(|| Reporter(report))).is_ok() {
        log::set_max_level(log::LevelFilter::Warn);
    }
}

fn encoder() -> Result<Box<dyn Device>, Error> {
    ENCODER
        .get()
        .and_then(|encoder| encoder())
        .ok_or_else(|| Error::refused(Code::NotReady, "no encoder of this machine"))
}
