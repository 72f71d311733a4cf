// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the element's threads share.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use avi_mjpeg::reader::headers::Stream;

use crate::sync::lock;

pub(crate) type Segment = gst::FormattedSegment<gst::ClockTime>;

/// What any thread may ask for.
#[derive(Default)]
struct Known {
    /// Written by the streaming thread.
    duration: Option<gst::ClockTime>,
    /// Written when the sink pad is activated.
    pulling: bool,
    /// The running segment, for queries; written by who begins one.
    segment: Option<Segment>,
}

/// What all threads of the element see.
#[derive(Default)]
pub(crate) struct Shared {
    known: Mutex<Known>,
    /// Set by who waits for the streaming thread, which then reads no more.
    stopping: AtomicBool,
    /// The element itself sends the source elsewhere. Downstream has nothing to flush then,
    /// and to flush it would refuse an application's seeks meanwhile.
    fetching: AtomicBool,
}

impl Shared {
    /// Forgets the file.
    pub(crate) fn reset(&self) {
        *lock(&self.known) = Known::default();
        self.set_stopping(false);
    }

    pub(crate) fn duration(&self) -> Option<gst::ClockTime> {
        lock(&self.known).duration
    }

    pub(crate) fn set_duration(&self, nanoseconds: u64) {
        lock(&self.known).duration = Some(gst::ClockTime::from_nseconds(nanoseconds));
    }

    pub(crate) fn is_pulling(&self) -> bool {
        lock(&self.known).pulling
    }

    pub(crate) fn set_pulling(&self, pulling: bool) {
        lock(&self.known).pulling = pulling;
    }

    pub(crate) fn segment(&self) -> Option<Segment> {
        lock(&self.known).segment.clone()
    }

    pub(crate) fn set_segment(&self, segment: Segment) {
        lock(&self.known).segment = Some(segment);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(crate) fn set_stopping(&self, stopping: bool) {
        self.stopping.store(stopping, Ordering::Release);
    }

    pub(crate) fn is_fetching(&self) -> bool {
        self.fetching.load(Ordering::Acquire)
    }

    pub(crate) fn set_fetching(&self, fetching: bool) {
        self.fetching.store(fetching, Ordering::Release);
    }
}

/// What a pad answers queries with.
#[derive(Debug)]
pub(crate) struct PadInfo {
    pub stream: Stream,
    /// When the last thing that was pushed ended, in nanoseconds; the streaming thread writes it,
    /// any thread reads it.
    position: AtomicU64,
}

impl PadInfo {
    pub(crate) fn new(stream: Stream) -> Self {
        let position = AtomicU64::new(0);
        Self { stream, position }
    }

    pub(crate) fn position(&self) -> gst::ClockTime {
        gst::ClockTime::from_nseconds(self.position.load(Ordering::Relaxed))
    }

    pub(crate) fn set_position(&self, position: gst::ClockTime) {
        self.position.store(position.nseconds(), Ordering::Relaxed);
    }
}
