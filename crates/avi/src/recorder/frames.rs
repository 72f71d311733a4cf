// SPDX-License-Identifier: MIT OR Apache-2.0
//! The way of a frame.

use super::track::{Track, Video};
use super::{Notice, Payload, RecordError, Recorder, Storage};
use crate::jpeg::{self, FrameHeader};
use crate::timeline::{Placement, Rate};
use crate::writer::Profile;

/// A frame that is shown so much after its time, and more than an interval, is counted; in nanoseconds.
const LATE: i64 = 100_000_000;

/// Where a picture begins. What has no start marker is left as it is.
fn start_marker(bytes: &[u8]) -> usize {
    jpeg::start(bytes).unwrap_or(0)
}

/// A picture without what is before its start marker.
fn from_start_marker<P: Payload>(mut payload: P) -> P {
    if let Some(start @ 1..) = payload.look(start_marker) {
        // If this fails, the payload is unchanged.
        let _ = payload.take_first(start);
    }
    payload
}

/// The size in pixels of the picture that some bytes are, if they are one that can be read.
pub fn picture_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let header = FrameHeader::parse(&bytes[start_marker(bytes)..]).ok()?;
    (header.width > 0 && header.height > 0).then_some((header.width.into(), header.height.into()))
}

impl<P> Video<P> {
    /// Whether a frame of a time in nanoseconds is late at the next place.
    fn is_late(&self, time: i64) -> bool {
        let shown = i64::try_from(self.grid.next_time()).unwrap_or(i64::MAX);
        let interval = i64::try_from(self.grid.rate().time_of(1)).unwrap_or(i64::MAX);
        shown.saturating_sub(time) > interval.max(LATE)
    }
}

impl<S: Storage> Recorder<S> {
    /// `time` is in nanoseconds since the start of the file.
    pub(super) fn frame(
        &mut self,
        stream: usize,
        payload: S::Payload,
        time: Option<i64>,
    ) -> Result<(), RecordError<S::Error>> {
        let mut payload = from_start_marker(payload);
        if payload.is_empty() && self.profile == Profile::Standard {
            self.stats.dropped += 1;
            self.tell(Notice::Empty { stream });
            return Ok(());
        }
        if self.profile == Profile::K210 {
            payload = super::k210::with_tables(payload);
            if self.is_damaged(stream, &payload)? {
                self.stats.dropped += 1;
                self.damaged += 1;
                return Ok(());
            }
        }
        let damaged = std::mem::take(&mut self.damaged);
        let Some(video) = self.video_track(stream) else {
            return Ok(());
        };
        let was_empty = video.grid.is_empty();
        let missing = match time {
            Some(time) => self.place(stream, time),
            None => {
                let is_late = video.last_time.is_some_and(|last| video.is_late(last));
                video.together += u64::from(is_late);
                video.grid.fill();
                Some(0)
            }
        };
        let Some(missing) = missing else {
            self.stats.dropped += 1;
            self.tell(Notice::Dropped {
                stream,
                time: time.unwrap_or_default(),
            });
            return Ok(());
        };
        let is_k210 = self.profile == Profile::K210;
        let filler = self.video_track(stream).filter(|_| is_k210).map(|video| {
            // Before the first frame there is no other to repeat but that one itself.
            let filler = video.last.replace(payload.clone());
            filler.unwrap_or_else(|| payload.clone())
        });
        self.fill(stream, missing, damaged, filler, was_empty)?;
        self.sound_before_frame(stream, self.writer.stream_length(stream))?;
        self.stats.frames += 1;
        self.stalled = false;
        self.write(stream, payload)?;
        self.full_sound_chunks(false)
    }

    fn video_track(&mut self, stream: usize) -> Option<&mut Video<S::Payload>> {
        match &mut self.tracks[stream] {
            Track::Video(video) => Some(video),
            Track::Audio(_) => None,
        }
    }

    /// Takes a place for the frame of a time: how many are missing before it, or `None` if there is none.
    fn place(&mut self, stream: usize, time: i64) -> Option<u64> {
        let keeps_rate = self.profile == Profile::K210;
        let video = self.video_track(stream)?;
        if video.is_fitted && video.fit.is_early() {
            self.refine_rate(stream);
        }
        let video = self.video_track(stream)?;
        let mut placement = video.grid.place(time);
        if placement == Placement::Drop && !keeps_rate && self.refine_rate(stream) {
            placement = self.video_track(stream)?.grid.place(time);
        }
        let video = self.video_track(stream)?;
        let missing = match placement {
            Placement::Next { missing } => missing,
            Placement::Drop if keeps_rate => return None,
            Placement::Drop => {
                video.displaced += u64::from(video.is_late(time)) + video.together;
                video.grid.fill();
                0
            }
        };
        (video.last_time, video.together) = (Some(time), 0);
        video.fit.add(video.grid.len() - 1, time);
        Some(missing)
    }

    /// Gives a stream the rate at which all its frames are shown in time; whether there is one.
    fn refine_rate(&mut self, stream: usize) -> bool {
        let Some(video) = self.video_track(stream) else {
            return false;
        };
        let Some(to) = video.fit.rate() else {
            return false;
        };
        let from = video.grid.rate();
        if to != from {
            if !self.writer.set_rate(stream, to) {
                return false;
            }
            self.tell(Notice::Rate { stream, from, to });
        }
        let Some(video) = self.video_track(stream) else {
            return false;
        };
        video.grid.set_rate(to);
        video.is_fitted = true;
        video.displaced = 0;
        true
    }

    /// The same for all streams that no longer have the rate that they were said to have.
    pub(super) fn refine_rates(&mut self) {
        for stream in 0..self.tracks.len() {
            if self
                .video_track(stream)
                .is_some_and(|video| video.is_fitted)
            {
                self.refine_rate(stream);
            }
        }
        let displaced = self.tracks.iter().map(|track| match track {
            Track::Video(video) => video.displaced,
            Track::Audio(_) => 0,
        });
        self.stats.displaced = displaced.sum();
    }

    /// Tells which streams have frames that are not at their time.
    pub(super) fn tell_of_displaced(&mut self) {
        for stream in 0..self.tracks.len() {
            let frames = self.video_track(stream).map_or(0, |video| video.displaced);
            if frames > 0 {
                self.tell(Notice::Displaced { stream, frames });
            }
        }
    }

    /// Fills places for which no frame came: with `filler`, or as empty chunks.
    fn fill(
        &mut self,
        stream: usize,
        places: u64,
        damaged: u64,
        filler: Option<S::Payload>,
        was_empty: bool,
    ) -> Result<(), RecordError<S::Error>> {
        if places == 0 {
            return Ok(());
        }
        let is_repeated = filler.is_some();
        let filler = filler.unwrap_or_default();
        for n in 0..places {
            // Before the first frame, sound begins as if that were written already.
            let place = if was_empty {
                n
            } else {
                self.writer.stream_length(stream)
            };
            self.sound_before_frame(stream, place)?;
            self.write(stream, filler.clone())?;
            let count = match is_repeated {
                true => &mut self.stats.repeated,
                false => &mut self.stats.missing,
            };
            *count += 1;
        }
        self.tell(match is_repeated {
            true => Notice::Repeated {
                stream,
                frames: places,
                damaged,
            },
            false => Notice::Missing {
                stream,
                frames: places,
            },
        });
        Ok(())
    }

    pub(super) fn rate_of(&self, stream: usize) -> Rate {
        match &self.tracks[stream] {
            Track::Video(video) => video.grid.rate(),
            Track::Audio(_) => Rate::ONE,
        }
    }

    /// The stream that sound waits for.
    pub(super) fn video(&self) -> Option<usize> {
        let is_video = |track: &Track<_>| matches!(track, Track::Video(_));
        self.tracks.iter().position(is_video)
    }
}
