// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a muxer's pad knows of what is upstream of it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use gst::prelude::*;

use crate::sync::lock;

/// What came on a pad before its data. Written and read by its streaming thread.
#[derive(Debug, Default)]
pub(crate) struct Upstream {
    segment: Mutex<gst::FormattedSegment<gst::ClockTime>>,
    /// The caps cannot be in the file, which was posted. What comes with them is turned away; caps
    /// that are refused themselves would have the source post an error of its own.
    refused: AtomicBool,
    /// Nor can what is played backward.
    is_backward: AtomicBool,
}

impl Upstream {
    /// Takes a segment; false if it is played backward, what `stands_alone` only can be, and that from somewhere. Buffers of
    /// multifilesrc have timestamps, but its segment is in bytes: that is one in time from 0 on.
    pub(crate) fn set_segment(&self, segment: &gst::Segment, stands_alone: bool) -> bool {
        let segment = segment.downcast_ref::<gst::ClockTime>().cloned();
        let segment = segment.unwrap_or_default();
        let is_backward = segment.rate() < 0.0;
        let is_refused = is_backward && !(stands_alone && segment.stop().is_some());
        self.is_backward.store(is_refused, Ordering::Relaxed);
        if !is_refused {
            *lock(&self.segment) = segment;
        }
        !is_refused
    }

    /// What comes has no segment yet: until one comes timestamps are running times, as GStreamer's sinks take them.
    pub(crate) fn forget_segment(&self) {
        *lock(&self.segment) = gst::FormattedSegment::new();
        self.is_backward.store(false, Ordering::Relaxed);
    }

    /// The running time (ns) at which a buffer is shown or heard.
    pub(crate) fn shown(&self, buffer: &gst::BufferRef) -> Option<i64> {
        let time = buffer.pts().or(buffer.dts())?;
        let is_backward = lock(&self.segment).rate() < 0.0;
        // From its end on.
        let lasts = buffer.duration().filter(|_| is_backward);
        self.running_time(time + lasts.unwrap_or_default())
    }

    /// The running time of a timestamp, in nanoseconds.
    pub(crate) fn running_time(&self, time: gst::ClockTime) -> Option<i64> {
        Some(match lock(&self.segment).to_running_time_full(time)? {
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
        [&self.refused, &self.is_backward]
            .iter()
            .any(|it| it.load(Ordering::Relaxed))
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
