// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a file begins with.

use gst::prelude::*;

use crate::streams::wallclock;

/// The first unit of a file.
#[derive(Debug, Clone, Default)]
pub struct First {
    /// Its running time, in nanoseconds.
    pub start: Option<i64>,
    /// It, and its caps; the video's where there is one.
    pub sample: Option<gst::Sample>,
}

impl First {
    /// A unit that leaves or reaches a pad.
    pub fn of(pad: &gst::Pad, buffer: &gst::Buffer) -> gst::Sample {
        let sample = gst::Sample::builder().buffer(buffer);
        match pad.current_caps() {
            Some(caps) => sample.caps(&caps).build(),
            None => sample.build(),
        }
    }

    /// The time of day that it carries, in ns since 1970.
    pub fn utc(&self) -> Option<i64> {
        wallclock::reference_of(self.sample.as_ref()?.buffer()?)
    }
}
