// SPDX-License-Identifier: MIT OR Apache-2.0
//! The way of a frame.

use super::track::{Track, Video};
use super::{LONGEST_GAP, Notice, RecordError, Recorder, Storage};
use crate::timeline::{Placement, Rate};
use crate::writer::Profile;

impl<S: Storage> Recorder<S> {
    /// `time` is in nanoseconds since the start of the file.
    pub(super) fn frame(
        &mut self,
        stream: usize,
        mut payload: S::Payload,
        time: Option<i64>,
    ) -> Result<(), RecordError<S::Error>> {
        if self.profile == Profile::K210 {
            payload = super::k210::with_tables(payload);
            if self.is_damaged(stream, &payload)? {
                self.stats.dropped += 1;
                self.damaged += 1;
                return Ok(());
            }
        }
        let damaged = std::mem::take(&mut self.damaged);
        let Track::Video(Video { grid, last, .. }) = &mut self.tracks[stream] else {
            return Ok(());
        };
        let was_empty = grid.is_empty();
        let expected = grid.next_time();
        let time = time.unwrap_or(expected as i64);
        let ahead = time.saturating_sub_unsigned(expected);
        if ahead > LONGEST_GAP {
            let seconds = ahead.unsigned_abs() / 1_000_000_000;
            return Err(RecordError::Jump { stream, seconds });
        }
        let Placement::Next { missing } = grid.place(time) else {
            self.stats.dropped += 1;
            self.tell(Notice::Dropped { stream, time });
            return Ok(());
        };
        let filler = (self.profile == Profile::K210).then(|| {
            // What comes before the first frame can only be the first frame.
            let filler = last.replace(payload.clone());
            filler.unwrap_or_else(|| payload.clone())
        });
        self.fill(stream, missing, damaged, filler, was_empty)?;
        self.sound_before_frame(stream, self.writer.stream_length(stream))?;
        self.stats.frames += 1;
        self.stalled = false;
        self.write(stream, payload)?;
        self.full_sound_chunks(false)
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
