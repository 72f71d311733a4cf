// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is counted while it is recorded.

use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Counted over the whole recording.
#[derive(Debug, Default)]
pub struct Totals {
    pub frames: u64,
    pub bytes: u64,
    pub last_frame_bytes: u64,
    pub files: u64,
}

/// Frames of the file that is open, counted where they enter the muxer.
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

/// The PTS file: picamera2's format, one line a frame, milliseconds with three decimals after the
/// first frame (`picamera2/outputs/output.py`).
#[derive(Debug)]
pub struct PtsFile {
    file: File,
    first: Option<gst::ClockTime>,
}

impl PtsFile {
    /// Makes the file, or empties it.
    pub fn create(path: &Path) -> std::io::Result<Self> {
        let file = File::create(path)?;
        Ok(Self { file, first: None })
    }

    /// The next frame's line.
    pub fn write(&mut self, pts: gst::ClockTime) -> std::io::Result<()> {
        let first = *self.first.get_or_insert(pts);
        let us = pts.saturating_sub(first).useconds();
        writeln!(self.file, "{}.{:03}", us / 1000, us % 1000)
    }
}
