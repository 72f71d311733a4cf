// SPDX-License-Identifier: MIT OR Apache-2.0
//! The way of samples.

use super::track::Track;
use super::{Notice, Payload, RecordError, Recorder, Storage};

/// Bytes of silence in one chunk.
const SILENCE_CHUNK: usize = 64 * 1024;

impl<S: Storage> Recorder<S> {
    /// `time` is in nanoseconds since the start of the file.
    pub(super) fn samples(
        &mut self,
        stream: usize,
        mut payload: S::Payload,
        time: Option<i64>,
    ) -> Result<(), RecordError<S::Error>> {
        let Track::Audio(audio) = &mut self.tracks[stream] else {
            return Ok(());
        };
        if !audio.rest.is_empty() {
            let mut whole = std::mem::take(&mut audio.rest);
            whole.append(payload);
            payload = whole;
        }
        let block = audio.block();
        let samples = audio.blocks(payload.len());
        let alignment = audio.clock.place(time, samples);
        if alignment.skip > 0 {
            let much = u64::from(audio.format.samples_per_sec / 10);
            let was_little = audio.left_out < much;
            audio.left_out += alignment.skip;
            let is_news = was_little && audio.left_out >= much;
            self.stats.skipped += alignment.skip;
            self.tell(Notice::Skipped {
                stream,
                samples: alignment.skip,
            });
            if is_news {
                self.tell(Notice::TooMuchSound { stream });
            }
        }
        self.silence(stream, alignment.silence)?;
        let skip = alignment.skip as usize * block;
        let whole = samples as usize * block - skip;
        let unreadable = || RecordError::Unreadable(stream);
        if skip > 0 {
            payload.take_first(skip).ok_or_else(unreadable)?;
        }
        if whole < payload.len() {
            let first = payload.take_first(whole).ok_or_else(unreadable)?;
            // The rest of a sample is in what comes next.
            if let Track::Audio(audio) = &mut self.tracks[stream] {
                audio.rest = std::mem::replace(&mut payload, first);
            }
        }
        if payload.is_empty() {
            return Ok(());
        }
        self.sound(stream, payload)
    }

    /// Writes so many samples of silence.
    pub(super) fn silence(
        &mut self,
        stream: usize,
        samples: u64,
    ) -> Result<(), RecordError<S::Error>> {
        let Track::Audio(audio) = &self.tracks[stream] else {
            return Ok(());
        };
        if samples == 0 {
            return Ok(());
        }
        // 8 bits are unsigned.
        let zero = if audio.format.bits_per_sample == 8 {
            0x80
        } else {
            0
        };
        let block = audio.block();
        let piece = SILENCE_CHUNK / block * block;
        let mut left = samples * block as u64;
        self.stats.silence += samples;
        self.tell(Notice::Silence { stream, samples });
        while left > 0 {
            let size = left.min(piece as u64) as usize;
            self.sound(stream, S::Payload::from_vec(vec![zero; size]))?;
            left -= size as u64;
        }
        Ok(())
    }

    /// Writes sound, or keeps it until a chunk is full.
    fn sound(&mut self, stream: usize, payload: S::Payload) -> Result<(), RecordError<S::Error>> {
        let Track::Audio(audio) = &mut self.tracks[stream] else {
            return Ok(());
        };
        if audio.chunk.is_none() {
            return self.write(stream, payload);
        }
        audio.hold(payload);
        self.full_sound_chunks(false)?;
        self.frames_for_sound(stream)
    }
}
