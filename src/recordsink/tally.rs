// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is counted while it is recorded.

use std::path::PathBuf;

/// Counted over the whole recording.
#[derive(Debug, Default)]
pub struct Totals {
    pub frames: u64,
    pub bytes: u64,
    pub last_frame_bytes: u64,
    pub files: u64,
}

/// Frames that came and are in no file, by reason; counted over the whole recording.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// They came before `interval` had passed.
    pub interval: u64,
    /// They were empty, or came before the first picture whose head is readable.
    pub unreadable: u64,
    /// The muxer did not put them into the file.
    pub lost: u64,
}

impl Dropped {
    /// What was dropped since an earlier count.
    pub fn since(self, before: Self) -> Self {
        Self {
            interval: self.interval.saturating_sub(before.interval),
            unreadable: self.unreadable.saturating_sub(before.unreadable),
            lost: self.lost.saturating_sub(before.lost),
        }
    }

    /// Adds the counts to a message or to statistics.
    pub fn tell(self, details: gst::structure::Builder) -> gst::structure::Builder {
        details
            .field("dropped", self.interval + self.unreadable + self.lost)
            .field("dropped-interval", self.interval)
            .field("dropped-unreadable", self.unreadable)
            .field("lost", self.lost)
    }
}

/// What went into a file.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    pub location: PathBuf,
    /// Frames of video, or of sound in a file without any.
    pub frames: u64,
    /// Frames that came and that the muxer did not put into the file.
    pub lost: u64,
    pub bytes: u64,
    /// From the first to the end of the last, in running time.
    pub duration: gst::ClockTime,
}

/// Frames of the file that is open.
#[derive(Debug, Default)]
pub struct Current {
    pub frames: u64,
    first: Option<gst::ClockTime>,
    end: Option<gst::ClockTime>,
    step: Option<gst::ClockTime>,
}

impl Current {
    /// One more.
    pub fn add(&mut self, buffer: &gst::BufferRef) {
        self.frames += 1;
        let Some(pts) = buffer.pts() else { return };
        if let Some(last) = self.end {
            self.step = pts.checked_sub(last).or(self.step);
        }
        let first = self.first.unwrap_or(pts);
        self.first = Some(first.min(pts));
        self.end = Some(self.end.unwrap_or(pts).max(pts));
        if buffer.duration().is_some() {
            self.step = buffer.duration();
        }
    }

    /// From the first frame to the end of the last.
    pub fn duration(&self) -> gst::ClockTime {
        match (self.first, self.end) {
            (Some(first), Some(end)) => end - first + self.step.unwrap_or_default(),
            _ => gst::ClockTime::ZERO,
        }
    }
}
