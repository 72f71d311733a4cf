// SPDX-License-Identifier: MIT OR Apache-2.0
//! The recordings of a ring: where they begin and end, and what they take.

use super::recording::{Cursor, Held, Recording};
use super::{Begin, End, Item, Pushed, RecordingId, Ring, Silence, Span, Taken};

impl<P: Clone> Ring<P> {
    /// Finds the beginnings and ends that become known by the arrival of buffer `number` of the
    /// reference stream, whose predecessors are shown up to `before` and end at `before_end`.
    pub(super) fn settle(
        &mut self,
        number: u64,
        time: i64,
        key: bool,
        before: i64,
        before_end: i64,
    ) -> bool {
        let Some(reference) = self.reference else {
            return false;
        };
        let clean = time > before;
        let mut settled = false;
        for index in 0..self.recordings.len() {
            let recording = &self.recordings[index];
            if recording.cut_off {
                continue;
            }
            match recording.first {
                None => {
                    // One that succeeds another was begun by the split, if there was one.
                    let begins = key
                        && match recording.begin {
                            Begin::Oldest | Begin::NextKey => true,
                            Begin::After(other) => self.position(other).is_none_or(|other| {
                                let other = &self.recordings[other];
                                let end = other.cursor(reference).and_then(|c| c.end);
                                other.cut_off || end.is_some_and(|end| end <= number)
                            }),
                        };
                    if begins {
                        self.begin(index, number, time);
                        settled = true;
                    }
                }
                Some(first) => {
                    let known = recording.cursor(reference).is_none_or(|c| c.end.is_some());
                    if known || number <= first || number < recording.asked_at {
                        continue;
                    }
                    let end = match recording.end {
                        End::Open => None,
                        End::At(at) => (clean && before_end >= at).then_some(before_end),
                        End::Now => clean.then_some(before_end),
                        End::NextKey => {
                            settled |= self.look_for_split(index, number, time, key, before_end);
                            None
                        }
                    };
                    if let Some(end) = end {
                        self.close(index, number, end);
                        settled = true;
                    }
                }
            }
        }
        settled
    }

    /// Looks whether a recording can be split now that buffer `number` of the reference stream
    /// is there: before the key unit in front of it, if it is not one of its leading pictures.
    fn look_for_split(
        &mut self,
        index: usize,
        number: u64,
        time: i64,
        key: bool,
        before_end: i64,
    ) -> bool {
        let recording = &mut self.recordings[index];
        let Some(held) = recording.held else {
            recording.held = key.then_some(Held {
                number,
                time,
                before_end,
            });
            return false;
        };
        let leads = time < held.time;
        if leads && !recording.passed {
            recording.passed = true;
            recording.held = None;
            return false;
        }
        let at = if leads {
            held.before_end.min(time)
        } else {
            held.time
        };
        self.split(index, held.number, at);
        true
    }

    /// Ends a recording in front of a key unit, at time `at`, and begins those that succeed it.
    pub(super) fn split(&mut self, index: usize, number: u64, at: i64) {
        self.close(index, number, at);
        let id = self.recordings[index].id;
        for next in 0..self.recordings.len() {
            let recording = &self.recordings[next];
            let succeeds = recording.begin == Begin::After(id);
            if succeeds && recording.first.is_none() && !recording.cut_off {
                self.begin(next, number, at);
                self.reach_back(next, at);
            }
        }
    }

    /// Lets a recording begin with what the other streams have from a time on that may be before
    /// the ring's beginning, which is a key unit's.
    fn reach_back(&mut self, index: usize, from: i64) {
        let reference = self.reference;
        let cursors = self.recordings[index].cursors.iter_mut().enumerate();
        for (number, cursor) in cursors.filter(|(number, _)| Some(*number) != reference) {
            if let (Some(cursor), Some(Some(stream))) = (cursor, self.streams.get(number)) {
                while let Some(before) = cursor.next.checked_sub(1)
                    && stream.log.get(before).is_some_and(|item| item.end > from)
                {
                    cursor.next = before;
                }
            }
        }
    }

    fn position(&self, id: RecordingId) -> Option<usize> {
        self.recordings.iter().position(|r| r.id == id)
    }

    /// Lets a recording begin at item `first` of the reference stream, shown at `time`.
    fn begin(&mut self, index: usize, first: u64, time: i64) {
        let reference = self.reference;
        let cursors = self.streams.iter().enumerate().map(|(number, stream)| {
            let stream = stream.as_ref()?;
            let next = if Some(number) == reference {
                first
            } else {
                stream.start
            };
            Some(Cursor {
                next,
                end: None,
                left: false,
            })
        });
        let recording = &mut self.recordings[index];
        recording.cursors = cursors.collect();
        recording.first = Some(first);
        recording.span.start = Some(time);
    }

    /// Lets a recording end in front of item `number` of the reference stream, at time `end`.
    pub(super) fn close(&mut self, index: usize, number: u64, end: i64) {
        let reference = self.reference;
        let newest_end = self.newest_end();
        let recording = &mut self.recordings[index];
        recording.held = None;
        recording.span.end = Some(end);
        recording.shown = Some(newest_end.min(end));
        if let Some(Some(cursor)) = reference.and_then(|r| recording.cursors.get_mut(r)) {
            cursor.end = Some(number.max(cursor.next));
        }
    }

    /// Cuts off recordings until the backlog is within its limit.
    pub(super) fn limit_backlog(&mut self, pushed: &mut Pushed) {
        let limit = self.limits.backlog();
        while self.stored() - self.bytes() > limit {
            // The recording with the most bytes behind it is the one that has taken the least
            // of the stream with the largest backlog.
            let Some(stream) = (0..self.streams.len())
                .filter_map(|n| Some((n, self.streams[n].as_ref()?)))
                .max_by_key(|(_, s)| s.stored - s.bytes)
                .map(|(n, _)| n)
            else {
                return;
            };
            let slowest = self
                .recordings
                .iter_mut()
                .filter(|r| !r.cut_off)
                .filter_map(|r| Some((r.cursor(stream)?.needs()?, r)))
                .min_by_key(|(next, _)| *next);
            let Some((_, recording)) = slowest else {
                return;
            };
            recording.cut_off = true;
            recording.cursors.clear();
            pushed.cut_off.push(recording.id);
            for stream in 0..self.streams.len() {
                self.trim(stream);
            }
        }
    }

    /// Opens a recording under an id that is not in use.
    pub fn open(&mut self, id: RecordingId, begin: Begin, end: End) {
        let asked_at = self.reference_stream().map_or(0, |r| r.log.end());
        self.recordings.push(Recording {
            id,
            begin,
            first: None,
            end,
            asked_at,
            span: Span::default(),
            shown: None,
            cursors: Vec::new(),
            cut_off: false,
            held: None,
            passed: false,
        });
        self.begin_with_oldest(self.recordings.len() - 1);
    }

    /// Lets a recording begin with what the ring holds, if that is what it waits for.
    pub(super) fn begin_with_oldest(&mut self, index: usize) {
        let waits = self.recordings.get(index).is_some_and(|recording| {
            recording.begin == Begin::Oldest && recording.first.is_none() && !recording.cut_off
        });
        if waits
            && let Some(time) = self.oldest().map(|item| item.time)
            && let Some((first, end, ended)) = self
                .reference_stream()
                .map(|stream| (stream.start, stream.log.end(), stream.ended))
        {
            self.begin(index, first, time);
            if ended {
                self.close(index, end, i64::MAX);
            }
        }
    }

    /// Sets a new end for a recording whose end has not been reached. An end that was asked for
    /// and not found yet is forgotten. Returns whether the recording can still follow.
    pub fn set_end(&mut self, id: RecordingId, end: End) -> bool {
        let (Some(index), Some(reference)) = (self.position(id), self.reference) else {
            return false;
        };
        let asked_at = self.reference_stream().map_or(0, |r| r.log.end());
        let recording = &mut self.recordings[index];
        if recording.cut_off || recording.cursor(reference).is_some_and(|c| c.end.is_some()) {
            return false;
        }
        recording.end = end;
        recording.asked_at = asked_at;
        recording.held = None;
        recording.passed = false;
        true
    }

    /// Ends a recording with what has arrived, clean cut or not, in every stream: nothing more is
    /// going to come, or may be waited for.
    pub fn seal(&mut self, id: RecordingId) {
        let Some(index) = self.position(id) else {
            return;
        };
        if let Some(held) = self.recordings[index].held {
            self.split(index, held.number, held.time);
        }
        let ends: Vec<_> = self
            .streams
            .iter()
            .map(|s| s.as_ref().map(|s| s.log.end()))
            .collect();
        let newest_end = self.newest_end();
        let recording = &mut self.recordings[index];
        recording.span.end.get_or_insert(i64::MAX);
        recording.shown.get_or_insert(newest_end);
        for (cursor, end) in recording.cursors.iter_mut().zip(ends) {
            if let (Some(cursor), Some(end)) = (cursor, end) {
                cursor.end.get_or_insert(end);
            }
        }
        if recording.first.is_none() {
            recording.cut_off = true;
        }
    }

    /// The recording's span, as far as it is known.
    pub fn span(&self, id: RecordingId) -> Option<Span> {
        Some(self.recordings[self.position(id)?].span)
    }

    /// The running time (ns) up to which a recording's pictures are shown, as far as they have come.
    pub fn reached_by(&self, id: RecordingId) -> Option<i64> {
        let recording = &self.recordings[self.position(id)?];
        recording.span.start?;
        Some(recording.reached(self.newest_end()))
    }

    /// The running time (ns) up to which the reference stream has come; the greatest where there is none.
    fn newest_end(&self) -> i64 {
        self.reference_stream().map_or(i64::MAX, |r| r.newest_end)
    }

    /// The next buffer of the reference stream that a recording takes, if it has begun.
    pub fn first_of(&self, id: RecordingId) -> Option<&Item<P>> {
        let reference = self.reference?;
        let cursor = self.recordings[self.position(id)?].cursor(reference)?;
        self.reference_stream()?.log.get(cursor.next)
    }

    /// Takes the next items of a stream for a recording: at most `items`, and no more once they
    /// have `bytes` together. Of streams other than the reference, items that only overlap with
    /// the recording's span are taken too, for the caller to clip.
    pub fn take(
        &mut self,
        id: RecordingId,
        stream: usize,
        items: usize,
        bytes: u64,
        out: &mut Vec<Item<P>>,
    ) -> Taken {
        let Some(index) = self.position(id) else {
            return Taken::CutOff;
        };
        let is_reference = self.reference == Some(stream);
        let newest_end = self.newest_end();
        let recording = &mut self.recordings[index];
        if recording.cut_off {
            return Taken::CutOff;
        }
        let reached = recording.reached(newest_end);
        let held = recording.held.filter(|_| is_reference).map(|h| h.number);
        let Some(start) = recording.span.start else {
            return Taken::Wait;
        };
        let (Some(Some(cursor)), Some(Some(from))) =
            (recording.cursors.get_mut(stream), self.streams.get(stream))
        else {
            return Taken::End;
        };
        let (already, mut taken) = (out.len(), 0);
        while out.len() - already < items
            && taken < bytes
            && cursor.end.or(held).is_none_or(|end| cursor.next < end)
            && let Some(item) = from.log.get(cursor.next)
        {
            // Leading pictures may refer to pictures before the key unit, which are not there.
            let early = if is_reference {
                item.time < start
            } else {
                item.time < start && item.end <= start
            };
            if !is_reference {
                match recording.span.end {
                    Some(end) if item.time >= end => {
                        cursor.end = Some(cursor.next);
                        break;
                    }
                    // Until the end is known it may turn out to be as early as the reference
                    // stream is now: sound that reaches beyond has to wait for the picture.
                    None if item.end > reached => break,
                    _ => (),
                }
            }
            cursor.next += 1;
            if !early {
                taken += u64::from(item.bytes);
                out.push(item.clone());
            }
        }
        let result = if out.len() > already {
            Taken::Items
        } else if cursor.end.is_some_and(|end| cursor.next >= end)
            || (from.ended && cursor.next >= from.log.end())
        {
            Taken::End
        } else {
            Taken::Wait
        };
        self.trim(stream);
        result
    }

    /// What a recording that got [`Taken::Wait`] of a stream waits for: `None` if it is the
    /// reference stream, or has items that wait for the reference stream.
    pub fn silence(&self, id: RecordingId, stream: usize) -> Option<Silence> {
        let recording = &self.recordings[self.position(id)?];
        let start = recording.span.start?;
        let reference = self.reference.filter(|&reference| reference != stream)?;
        let (cursor, waiting) = (recording.cursor(stream)?, recording.cursor(reference)?);
        let silent = self.streams.get(stream)?.as_ref()?;
        if cursor.next < silent.log.end() {
            return None;
        }
        let reference = self.reference_stream()?;
        let heard = silent.newest_end.max(start);
        Some(Silence {
            heard,
            told: silent.gap_end.max(heard),
            reached: recording.reached(reference.newest_end),
            pressed: !waiting.left && waiting.next == reference.log.first() && self.pressed(),
        })
    }

    /// Whether recordings are behind by more than half of what they may be.
    pub fn pressed(&self) -> bool {
        self.stored() - self.bytes() > self.limits.backlog() / 2
    }

    /// A recording takes no more of a stream; its end is found all the same.
    pub fn leave(&mut self, id: RecordingId, stream: usize) {
        let Some(index) = self.position(id) else {
            return;
        };
        if let Some(Some(cursor)) = self.recordings[index].cursors.get_mut(stream) {
            cursor.left = true;
            self.trim(stream);
        }
    }

    /// Forgets a recording.
    pub fn remove(&mut self, id: RecordingId) {
        self.recordings.retain(|r| r.id != id);
        for stream in 0..self.streams.len() {
            self.trim(stream);
        }
    }
}
