// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a muxer's pad knows of what is upstream of it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use gst::prelude::*;

use crate::sync::lock;

/// What came on a pad before its data. Written and read by its streaming thread.
#[derive(Debug, Default)]
pub(crate) struct Upstream {
    segment: Mutex<Option<gst::FormattedSegment<gst::ClockTime>>>,
    /// The caps cannot be in the file, which was posted. What comes with them is turned away; caps
    /// that are refused themselves would have the source post an error of its own.
    refused: AtomicBool,
}

impl Upstream {
    /// Takes a segment. Buffers of multifilesrc have timestamps, but its segment is in bytes: that is
    /// one in time from 0 on.
    pub(crate) fn set_segment(&self, segment: &gst::Segment) {
        let segment = segment.downcast_ref::<gst::ClockTime>().cloned();
        *lock(&self.segment) = Some(segment.unwrap_or_default());
    }

    /// What comes has no segment yet.
    pub(crate) fn forget_segment(&self) {
        *lock(&self.segment) = None;
    }

    /// The running time of a timestamp, in nanoseconds.
    pub(crate) fn running_time(&self, time: gst::ClockTime) -> Option<i64> {
        let segment = lock(&self.segment);
        Some(match segment.as_ref()?.to_running_time_full(time)? {
            gst::Signed::Positive(time) => time.nseconds() as i64,
            gst::Signed::Negative(time) => -(time.nseconds() as i64),
        })
    }

    /// Says whether what comes is turned away.
    pub(crate) fn refuse(&self, refused: bool) {
        self.refused.store(refused, Ordering::Relaxed);
    }

    /// Whether what comes is turned away.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }
}

/// Whether `splitmuxsink` begins another file if other caps are refused: it asks so of the stream by which it
/// splits, the first video, or the first sound if there is none.
pub(crate) fn begins_a_file(pad: &gst::Pad, is_video: impl Fn(&gst::Pad) -> bool) -> bool {
    let Some(element) = pad.parent_element() else {
        return false;
    };
    let is_split = element
        .parent()
        .is_some_and(|parent| parent.type_().name() == "GstSplitMuxSink");
    let pads = element.sink_pads();
    let first = pads.iter().find(|pad| is_video(pad)).or(pads.first());
    is_split && first == Some(pad)
}
