// SPDX-License-Identifier: MIT OR Apache-2.0
//! The way of samples.

use super::sample_rate::Verdict;
use super::track::Track;
use super::{Notice, Payload, RecordError, Recorder, Storage};
use crate::timeline::Rate;

/// Bytes of silence in one chunk.
const SILENCE_CHUNK: usize = 64 * 1024;

impl<S: Storage> Recorder<S> {
    /// `time` is in nanoseconds since the start of the file.
    pub(super) fn samples(
        &mut self,
        stream: usize,
        payload: S::Payload,
        time: Option<i64>,
    ) -> Result<(), RecordError<S::Error>> {
        let payload = self.whole_samples(stream, payload)?;
        let Track::Audio(audio) = &mut self.tracks[stream] else {
            return Ok(());
        };
        let samples = audio.blocks(payload.len());
        let Some(rate) = &mut audio.rate else {
            return self.place_samples(stream, payload, time);
        };
        rate.add(samples, time, audio.clock.len());
        if audio.held.is_empty() && time.is_none_or(|time| !audio.clock.is_off(time)) {
            return self.place_samples(stream, payload, time);
        }
        // What has no time is right behind what is held.
        let verdict = rate.verdict(time.is_none());
        audio.held.push((payload, time));
        self.let_sound_go(stream, verdict)
    }

    /// Writes what is held of a stream, unless its rate is not clear yet.
    fn let_sound_go(
        &mut self,
        stream: usize,
        verdict: Verdict,
    ) -> Result<(), RecordError<S::Error>> {
        match verdict {
            Verdict::Unclear => return Ok(()),
            Verdict::Keeps => {}
            Verdict::Comes(rate) => self.set_sample_rate(stream, rate),
        }
        let Track::Audio(audio) = &mut self.tracks[stream] else {
            return Ok(());
        };
        for (payload, time) in std::mem::take(&mut audio.held) {
            self.place_samples(stream, payload, time)?;
        }
        Ok(())
    }

    /// At the end: writes what is held of all streams.
    pub(super) fn held_sound(&mut self) -> Result<(), RecordError<S::Error>> {
        for stream in 0..self.tracks.len() {
            if let Track::Audio(audio) = &self.tracks[stream]
                && let (Some(rate), false) = (&audio.rate, audio.held.is_empty())
            {
                let verdict = rate.verdict(true);
                self.let_sound_go(stream, verdict)?;
            }
        }
        Ok(())
    }

    fn set_sample_rate(&mut self, stream: usize, to: u32) {
        if let Track::Audio(audio) = &mut self.tracks[stream]
            && let (Some(known), Some(rate)) = (&mut audio.rate, Rate::new(to, 1))
            && self.writer.set_sample_rate(stream, to)
        {
            let from = known.now();
            known.set(to);
            audio.clock.set_rate(rate);
            audio.format.samples_per_sec = to;
            self.tell(Notice::SampleRate { stream, from, to });
        }
    }

    /// Puts the rest of a sample that came before in front, and keeps the begin of one whose rest is still to come.
    fn whole_samples(
        &mut self,
        stream: usize,
        payload: S::Payload,
    ) -> Result<S::Payload, RecordError<S::Error>> {
        let Track::Audio(audio) = &mut self.tracks[stream] else {
            return Ok(payload);
        };
        let block = audio.block();
        let whole = audio.whole.complete(payload, block);
        whole.ok_or(RecordError::Unreadable(stream))
    }

    /// Writes samples at their time.
    fn place_samples(
        &mut self,
        stream: usize,
        mut payload: S::Payload,
        time: Option<i64>,
    ) -> Result<(), RecordError<S::Error>> {
        let Track::Audio(audio) = &mut self.tracks[stream] else {
            return Ok(());
        };
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
        if skip > 0 {
            let skipped = payload.take_first(skip);
            skipped.ok_or(RecordError::Unreadable(stream))?;
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
