// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is counted while it is recorded.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

/// Counted over the whole recording.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub frames: u64,
    pub bytes: u64,
    pub last_frame_bytes: u64,
    pub files: u64,
}

/// Frames that came and are in no file, by reason; counted over the whole recording.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Dropped {
    /// They came before `interval` had passed.
    pub interval: u64,
    /// They were empty, came before the first picture whose head is readable, or a parser left them out.
    pub unreadable: u64,
    /// They were in an encoder, a parser or a queue when the stream was flushed, or came behind its end.
    pub flushed: u64,
    /// The muxer did not put them into the file.
    pub lost: u64,
}

impl Dropped {
    /// What was dropped since an earlier count.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            interval: self.interval.saturating_sub(before.interval),
            unreadable: self.unreadable.saturating_sub(before.unreadable),
            flushed: self.flushed.saturating_sub(before.flushed),
            lost: self.lost.saturating_sub(before.lost),
        }
    }

    /// Adds the counts to a message or to statistics.
    pub(crate) fn tell(self, details: gst::structure::Builder) -> gst::structure::Builder {
        let all = self.interval + self.unreadable + self.flushed + self.lost;
        details
            .field("dropped", all)
            .field("dropped-interval", self.interval)
            .field("dropped-unreadable", self.unreadable)
            .field("dropped-flushed", self.flushed)
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
    /// From the first picture or sound to the end of the last, in running time.
    pub duration: gst::ClockTime,
    /// The file as it was made, where that is known.
    pub file: Option<Arc<File>>,
}

/// What is in the file that is open. Times are running times in nanoseconds.
#[derive(Debug, Default)]
pub(crate) struct Current {
    /// Frames of video, or of sound in a file without any.
    pub frames: u64,
    first: Option<u64>,
    end: Option<u64>,
}

impl Current {
    /// One more frame or buffer of samples, which is counted if its stream is the one whose frames are.
    pub(crate) fn add(&mut self, start: Option<u64>, duration: Option<u64>, counted: bool) {
        self.frames += u64::from(counted);
        let Some(start) = start else { return };
        self.first = Some(self.first.map_or(start, |first| first.min(start)));
        self.end = self
            .end
            .max(start.checked_add(duration.unwrap_or_default()));
    }

    /// From the first picture or sound to the end of the last.
    pub(crate) fn duration(&self) -> gst::ClockTime {
        let times = self.end.zip(self.first);
        let duration = times.map_or(0, |(end, first)| end.saturating_sub(first));
        gst::ClockTime::from_nseconds(duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_lasts_until_the_end_of_what_lasts_longest() {
        let mut file = Current::default();
        assert_eq!(file.duration(), gst::ClockTime::ZERO);
        // Pictures in the order in which they are decoded, and sound that begins later and ends later.
        for start in [100, 140, 120] {
            file.add(Some(start), Some(20), true);
        }
        assert_eq!(file.duration().nseconds(), 60);
        file.add(Some(130), Some(170), false);
        file.add(None, Some(1000), false);
        assert_eq!((file.frames, file.duration().nseconds()), (3, 200));
        file.add(Some(90), None, false);
        assert_eq!(file.duration().nseconds(), 210);
    }
}
