// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the K210's player asks of a recording: frames that it can show, and sound cut and placed such
//! that it never runs out of either.

use super::track::{Track, Video};
use super::{Notice, Payload, RecordError, Recorder, Storage};
use crate::huffman;
use crate::k210::{self, FrameError};
use crate::picojpeg::Refusal;
use crate::writer::Profile;

/// How far sound may be ahead of the frames, for which it waits, in nanoseconds (three frames at
/// least).
const SOUND_AHEAD: u64 = 10_000_000_000;

/// A picture with the Huffman tables it may lack.
pub(super) fn with_tables<P: Payload>(payload: P) -> P {
    let whole = payload.look(huffman::with_tables).flatten();
    whole.map_or(payload, P::from_vec)
}

impl<S: Storage> Recorder<S> {
    /// Whether a frame is one that the K210 would play, were it whole. One that it would not play is an
    /// error.
    pub(super) fn is_damaged(
        &mut self,
        stream: usize,
        payload: &S::Payload,
    ) -> Result<bool, RecordError<S::Error>> {
        let Track::Video(Video { width, height, .. }) = self.tracks[stream] else {
            return Ok(false);
        };
        let number = self.stats.frames + self.stats.dropped;
        let refuse = |error| RecordError::Frame { number, error };
        let size = payload.len().try_into().unwrap_or(u32::MAX);
        let is_sound = |track: &Track<_>| matches!(track, Track::Audio(_));
        let has_sound = self.tracks.iter().any(is_sound);
        if size > k210::MAX_FRAME {
            let limit = k210::MAX_FRAME;
            return Err(refuse(FrameError::TooLarge { size, limit }));
        }
        let limit = k210::max_first_frame(self.writer.head_len());
        if self.writer.is_empty() && has_sound && size > limit {
            return Err(refuse(FrameError::FirstTooLarge { size, limit }));
        }
        let checked = payload.look(|bytes| k210::check_frame(bytes, width, height));
        match checked.ok_or(RecordError::Unreadable(stream))? {
            Ok(()) => Ok(false),
            Err(FrameError::NotDecodable(damage @ Refusal::Damaged { .. })) => {
                self.tell(Notice::Damaged { number, damage });
                Ok(true)
            }
            Err(error) => Err(refuse(error)),
        }
    }

    /// Sees to it that the sound of the time before the frame of a `place` is in the file or made up for:
    /// the player has little of it in stock.
    pub(super) fn sound_before_frame(
        &mut self,
        video: usize,
        place: u64,
    ) -> Result<(), RecordError<S::Error>> {
        if self.profile != Profile::K210 || self.writer.stream_length(video) == 0 {
            return Ok(());
        }
        let rate = self.rate_of(video);
        let (shown_at, interval) = (rate.time_of(place), rate.time_of(1));
        for stream in 0..self.tracks.len() {
            let Track::Audio(audio) = &mut self.tracks[stream] else {
                continue;
            };
            let Some(chunk) = audio.chunk else {
                continue;
            };
            // Sound may be an interval late, but its first chunk follows the first frame.
            let mut least = audio
                .clock
                .rate()
                .nearest(shown_at.saturating_sub(interval));
            if self.writer.stream_length(stream) == 0 {
                least = least.max(audio.blocks(chunk));
            }
            let silence = least.saturating_sub(audio.clock.len());
            audio.clock.fill(silence);
            self.silence(stream, silence)?;
        }
        self.full_sound_chunks(false)
    }

    /// Sound waits for the frames that it is heard with. If none comes for long the last one is
    /// repeated, or what waits would grow without end.
    pub(super) fn frames_for_sound(&mut self, sound: usize) -> Result<(), RecordError<S::Error>> {
        let (Some(video), Track::Audio(audio)) = (self.video(), &self.tracks[sound]) else {
            return Ok(());
        };
        let (heard_until, rate) = (audio.clock.next_time(), self.rate_of(video));
        let ahead = SOUND_AHEAD.max(rate.time_of(3));
        while rate.time_of(self.writer.stream_length(video)) + ahead < heard_until {
            let Track::Video(Video { grid, last, .. }) = &mut self.tracks[video] else {
                return Ok(());
            };
            let Some(frame) = last.clone() else {
                let seconds = ahead / 1_000_000_000;
                return Err(RecordError::NoFrame { seconds });
            };
            grid.fill();
            self.stats.repeated += 1;
            if !std::mem::replace(&mut self.stalled, true) {
                self.tell(Notice::Stalled { sound: ahead });
            }
            self.write(video, frame)?;
            self.full_sound_chunks(false)?;
        }
        Ok(())
    }

    /// Writes what fills chunks of sound, and at the end what is left.
    ///
    /// A chunk goes before the frame that is shown when it ends. None goes before the first frame.
    pub(super) fn full_sound_chunks(&mut self, at_end: bool) -> Result<(), RecordError<S::Error>> {
        if self.profile != Profile::K210 {
            return Ok(());
        }
        let Some(video) = self.video() else {
            return Ok(());
        };
        if self.writer.stream_length(video) == 0 {
            return Ok(());
        }
        let shown_until = self
            .rate_of(video)
            .time_of(self.writer.stream_length(video));
        for stream in 0..self.tracks.len() {
            while let Track::Audio(audio) = &mut self.tracks[stream]
                && let Some(chunk) = audio.chunk
            {
                let starts = audio
                    .clock
                    .rate()
                    .time_of(self.writer.stream_length(stream));
                let full = audio.pending_bytes >= chunk && (at_end || starts < shown_until);
                if !(full || at_end && audio.pending_bytes > 0) {
                    break;
                }
                let size = chunk.min(audio.pending_bytes);
                let payload = audio.take(size).ok_or(RecordError::Unreadable(stream))?;
                self.write(stream, payload)?;
            }
        }
        Ok(())
    }
}
