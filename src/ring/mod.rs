// SPDX-License-Identifier: MIT OR Apache-2.0
//! The last seconds of a stream, kept so that a recording can begin before its trigger.
//! Knows no GStreamer.
//!
//! A [`Ring`] holds the media of one *reference* stream (the picture; without one, the first
//! sound) and of any number of others, each in a numbered [`Log`]. It begins at a key unit of the
//! reference stream, an IDR if one is near, and forgets whole groups of pictures (GOPs), and of the other streams what ends
//! before the key unit it begins at.
//!
//! ```text
//!             forgotten     kept for recordings        the ring           arrives
//! video   ................ K d d d K d d d d d d | K d d d d K d d d d d d | <- push
//! audio   ................  a a a a a a a a a a a | a a a a a a a a a a a a a |
//!                           ^ cursor of a recording  ^ start                   ^ end
//! ```
//!
//! A recording is a cursor for each stream into the same logs: nothing is copied, an entry leaves
//! memory when neither the ring nor a cursor needs it. What the cursors hold beyond the ring is the
//! *backlog*; it is limited too, and the recording that holds the most is cut off when it grows
//! past its limit.
//!
//! Times are running times in nanoseconds; payloads are opaque and cheap to clone (a reference).
//! Every operation costs O(1) amortised a buffer, times the number of open recordings.
//!
//! # Where a recording may end
//! With B-frames the buffers arrive in decoding order, so an end anywhere would leave holes in the
//! picture. A *clean cut* is in front of a buffer that is shown later than all before it; ends are
//! moved to the next clean cut, so that a recording holds every frame from its first to its last.
//!
//! # Open GOPs
//! Behind a key unit may come *leading pictures*, which are shown before it and may need what was
//! decoded before it (RASL pictures in H.265). A recording that begins with the ring leaves them
//! out: its file begins with the key unit and each of its pictures can be decoded. Where one
//! recording succeeds another no picture may be missing: the split is made at a key unit without
//! leading pictures, which takes the next picture to see. One key unit with leading pictures is
//! passed over for that; a stream that has no others is split at the second, and the leading
//! pictures go behind it into the new recording, which begins when the first of them is shown.
//! Every picture is then in one of the files, and those can be decoded when the files are joined.

mod horizon;
mod log;
mod recording;
mod recordings;
#[cfg(test)]
mod tests;
mod types;

pub use log::Log;
pub use types::*;

use horizon::{Horizon, KeyUnit};
use recording::Recording;

#[derive(Debug)]
struct Stream<P> {
    log: Log<Item<P>>,
    /// Number of the first item that belongs to the ring; those before are kept for recordings.
    start: u64,
    /// Bytes from `start` on, and of all items.
    bytes: u64,
    stored: u64,
    /// Latest presentation time and end among all items since the last reset.
    newest: i64,
    newest_end: i64,
    /// Running time up to which nothing but those items comes, as the stream itself said.
    gap_end: i64,
    ended: bool,
}

impl<P> Stream<P> {
    fn new() -> Self {
        Self {
            log: Log::default(),
            start: 0,
            bytes: 0,
            stored: 0,
            newest: i64::MIN,
            newest_end: i64::MIN,
            gap_end: i64::MIN,
            ended: false,
        }
    }

    /// Takes the first item out of the ring (not out of the log).
    fn advance(&mut self) {
        if let Some(item) = self.log.get(self.start) {
            self.bytes -= u64::from(item.bytes);
            self.start += 1;
        }
    }
}

/// The ring. See the [module's description](self).
#[derive(Debug)]
pub struct Ring<P> {
    limits: Limits,
    /// Slots stay when a stream is removed, so that numbers stay valid.
    streams: Vec<Option<Stream<P>>>,
    reference: Option<usize>,
    /// The ring begins at a key unit of the reference stream.
    synced: bool,
    /// Where in the reference stream to look on for the second key unit.
    scan: u64,
    horizon: Horizon,
    /// The newest GOP's excess was told already.
    oversize: bool,
    /// Running times (ns) between which the reference stream was away: they are no time of it.
    absences: Vec<(i64, i64)>,
    recordings: Vec<Recording>,
    /// Payloads that left memory, for the caller to drop where it holds no lock.
    dropped: Vec<P>,
}

impl<P: Clone> Ring<P> {
    /// An empty ring without streams.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            streams: Vec::new(),
            reference: None,
            synced: false,
            scan: 0,
            horizon: Horizon::default(),
            oversize: false,
            absences: Vec::new(),
            recordings: Vec::new(),
            dropped: Vec::new(),
        }
    }

    /// Sets new limits; they apply from the next buffer on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        self.horizon = Horizon::default();
    }

    /// Adds a stream and returns its number. The first one added as `reference`, else the first
    /// one at all, decides where the ring and the recordings begin and end.
    pub fn add_stream(&mut self, reference: bool) -> usize {
        let index = self.streams.len();
        self.streams.push(Some(Stream::new()));
        if reference || self.reference.is_none() {
            self.reset();
            self.reference = Some(index);
        }
        index
    }

    /// Forgets a stream and what it holds. Recordings go on without it.
    pub fn remove_stream(&mut self, stream: usize) {
        if self.reference == Some(stream) {
            self.reset();
            self.reference = (0..self.streams.len())
                .find(|&other| other != stream && self.streams[other].is_some());
        }
        for recording in &mut self.recordings {
            if let Some(cursor) = recording.cursors.get_mut(stream) {
                *cursor = None;
            }
        }
        if let Some(Some(gone)) = self.streams.get_mut(stream).map(Option::take) {
            let mut log = gone.log;
            while let Some(item) = log.pop() {
                self.dropped.push(item.payload);
            }
        }
    }

    /// Goes on without the reference stream, if nothing has come on it and something on another:
    /// that one decides from here on, and recordings that wait begin with what there is of it.
    /// Returns whether it is so.
    pub fn give_up_reference(&mut self) -> bool {
        let has_items =
            |stream: &Option<Stream<P>>| stream.as_ref().is_some_and(|stream| stream.log.end() > 0);
        let Some(silent) = self.reference.filter(|&it| !has_items(&self.streams[it])) else {
            return false;
        };
        let Some(other) = self.streams.iter().position(has_items) else {
            return false;
        };
        debug_assert_ne!(silent, other);
        self.reference = Some(other);
        let Some(start) = self.reference_stream().map(|stream| stream.start) else {
            return false;
        };
        self.scan = start + 1;
        self.horizon = Horizon::default();
        self.synced = self.oldest_of(other).is_some();
        for index in 0..self.recordings.len() {
            self.begin_with_oldest(index);
        }
        true
    }

    /// Makes a stream the one that decides where the ring and the recordings begin and end, and
    /// begins anew with it.
    pub fn set_reference(&mut self, stream: usize) {
        if self.streams.get(stream).is_some_and(Option::is_some) {
            self.reset();
            self.reference = Some(stream);
        }
    }

    fn oldest_of(&self, stream: usize) -> Option<&Item<P>> {
        let stream = self.streams.get(stream)?.as_ref()?;
        stream.log.get(stream.start)
    }

    /// The stream that decides where the ring and the recordings begin and end.
    pub fn reference(&self) -> Option<usize> {
        self.reference
    }

    fn reference_stream(&self) -> Option<&Stream<P>> {
        self.streams.get(self.reference?)?.as_ref()
    }

    /// What the ring holds now.
    pub fn level(&self) -> Level {
        let bytes = self.bytes();
        let mut level = Level {
            bytes,
            backlog: self.stored() - bytes,
            ..Level::default()
        };
        if let Some(reference) = self.reference_stream().filter(|_| self.synced)
            && let Some(first) = reference.log.get(reference.start)
        {
            let time = reference.newest_end - first.time - self.absent_since(first.time);
            level.time = time.max(0).unsigned_abs();
            level.buffers = reference.log.end() - reference.start;
        }
        level
    }

    /// The oldest buffer a recording that began now would begin with.
    pub fn oldest(&self) -> Option<&Item<P>> {
        self.oldest_of(self.reference.filter(|_| self.synced)?)
    }

    /// The latest presentation time in the reference stream, ns.
    pub fn newest(&self) -> Option<i64> {
        let reference = self.reference_stream()?;
        (reference.newest != i64::MIN).then_some(reference.newest)
    }

    /// The running time up to which the reference stream has arrived, ns: where its newest
    /// buffer's presentation ends.
    pub fn reached(&self) -> Option<i64> {
        let reference = self.reference_stream()?;
        (reference.newest_end != i64::MIN).then_some(reference.newest_end)
    }

    /// The bytes that bookkeeping takes: everything but the payloads themselves.
    pub fn overhead(&self) -> usize {
        let logs = self.streams.iter().flatten().map(|s| s.log.allocated());
        size_of::<Self>() + logs.sum::<usize>() + self.recordings.len() * size_of::<Recording>()
    }

    /// The payloads that left memory since the last call, to be dropped without holding a lock.
    /// `spare` is an empty vector that the ring goes on with, so that none is allocated.
    pub fn take_dropped(&mut self, spare: Vec<P>) -> Vec<P> {
        std::mem::replace(&mut self.dropped, spare)
    }

    fn bytes(&self) -> u64 {
        self.streams.iter().flatten().map(|s| s.bytes).sum()
    }

    fn stored(&self) -> u64 {
        self.streams.iter().flatten().map(|s| s.stored).sum()
    }

    /// Appends a buffer to a stream.
    pub fn push(&mut self, stream: usize, item: Item<P>) -> Pushed {
        let mut pushed = Pushed::default();
        let is_reference = self.reference == Some(stream);
        let Some(Some(into)) = self.streams.get_mut(stream) else {
            pushed.skipped = true;
            self.dropped.push(item.payload);
            return pushed;
        };
        let (number, before, before_end) = (into.log.end(), into.newest, into.newest_end);
        let (time, end, key, bytes) = (item.time, item.end.max(item.time), item.key, item.bytes);

        if is_reference {
            pushed.settled = self.settle(number, time, key, before, before_end);
            if key {
                self.oversize = false;
            }
            let awaited = self.recordings.iter().any(|r| {
                r.cursor(stream)
                    .is_some_and(|c| c.end.is_none_or(|end| number < end))
            });
            if !self.synced && !key && !awaited {
                pushed.skipped = true;
                self.dropped.push(item.payload);
                return pushed;
            }
        }
        let Some(Some(into)) = self.streams.get_mut(stream) else {
            return pushed;
        };
        into.newest = before.max(time);
        into.newest_end = before_end.max(end);
        into.ended = false;
        into.stored += u64::from(bytes);
        into.bytes += u64::from(bytes);
        into.log.push(item);

        if is_reference {
            if !self.synced && key {
                self.synced = true;
                self.scan = number + 1;
                self.horizon = Horizon::default();
                self.follow(time);
            } else if !self.synced {
                into.advance();
            }
        }
        self.evict(stream, &mut pushed);
        self.limit_backlog(&mut pushed);
        pushed
    }

    /// Notes that a stream has nothing up to a running time (ns) but what was pushed.
    pub fn gap(&mut self, stream: usize, until: i64) {
        let is_reference = self.reference == Some(stream);
        if let Some(Some(stream)) = self.streams.get_mut(stream) {
            stream.gap_end = stream.gap_end.max(until);
            if is_reference && stream.newest_end != i64::MIN {
                // The last picture stays that long.
                stream.newest_end = stream.newest_end.max(until);
            }
        }
    }

    /// Notes that the reference stream was away from one running time (ns) to another and comes back
    /// now: what was kept stays, as if it had not been away.
    pub fn was_away(&mut self, from: i64, to: i64) {
        if from < to {
            self.absences.push((from, to));
        }
    }

    /// How long (ns) the reference stream has been away since a running time.
    fn absent_since(&self, time: i64) -> i64 {
        absent(&self.absences, time)
    }

    /// The key unit that the ring is to begin at because of its length.
    fn second_by_length(&mut self) -> Option<KeyUnit> {
        let max_time = self.limits.max_time.min(i64::MAX as u64) as i64;
        let reference = self.streams.get(self.reference?)?.as_ref()?;
        let (newest, absences) = (reference.newest, &self.absences);
        // Measured between presentation times, the newest buffer's duration not counted: what
        // is left is as long as asked without having to trust durations.
        self.horizon.look(&reference.log, reference.start, |time| {
            max_time != 0 && newest.saturating_sub(time) - absent(absences, time) >= max_time
        });
        if !self.horizon.is_reached() {
            return None;
        }
        self.horizon.begin(reference.log.get(reference.start)?)
    }

    /// Number of the second key unit in the ring. The search goes on where it stopped.
    fn second_key(&mut self) -> Option<(u64, i64)> {
        let reference = self.streams.get(self.reference?)?.as_ref()?;
        self.scan = self.scan.max(reference.start + 1);
        while let Some(item) = reference.log.get(self.scan) {
            if item.key {
                return Some((self.scan, item.time));
            }
            self.scan += 1;
        }
        None
    }

    /// Forgets GOPs until the ring is within its limits.
    fn evict(&mut self, stream: usize, pushed: &mut Pushed) {
        let limits = self.limits;
        let Some(reference) = self.reference else {
            return;
        };
        while self.synced {
            let bytes = match limits.max_bytes {
                0 => 0,
                _ => self.bytes(),
            };
            let Some(Some(from)) = self.streams.get(reference) else {
                return;
            };
            let too_large = limits.max_bytes != 0 && bytes > limits.max_bytes;
            let (count, own) = (from.log.end() - from.start, from.bytes);
            let too_many = limits.max_buffers != 0 && count > limits.max_buffers;
            let next = match too_large || too_many {
                true => self.second_key(),
                false => self.second_by_length(),
            };
            let Some((key, time)) = next else {
                if too_large && !self.oversize {
                    self.oversize = true;
                    pushed.oversize = true;
                }
                // A single one is all that there is to record, and takes no more than it did upstream.
                let alone = if count == 1 { own } else { 0 };
                if too_large && bytes - alone > limits.given_up() {
                    pushed.given_up = true;
                    self.empty();
                }
                break;
            };
            let Some(Some(from)) = self.streams.get_mut(reference) else {
                return;
            };
            while from.start < key {
                from.advance();
            }
            self.absences.retain(|(from, _)| *from >= time);
            self.follow(time);
        }
        if !self.synced && stream != reference {
            self.bound_unreferenced(stream);
        }
        for stream in 0..self.streams.len() {
            self.trim(stream);
        }
    }

    /// Lets the other streams forget what ends before the ring's new beginning.
    fn follow(&mut self, time: i64) {
        for (number, stream) in self.streams.iter_mut().enumerate() {
            let Some(stream) = stream.as_mut().filter(|_| self.reference != Some(number)) else {
                continue;
            };
            while let Some(item) = stream.log.get(stream.start)
                && item.time < time
                && item.end <= time
            {
                stream.advance();
            }
        }
    }

    /// Before the reference stream begins, its time is not known: the others then keep as much as
    /// the ring would.
    fn bound_unreferenced(&mut self, stream: usize) {
        let limits = self.limits;
        let mut bytes = self.bytes();
        let Some(Some(stream)) = self.streams.get_mut(stream) else {
            return;
        };
        while let Some(item) = stream.log.get(stream.start)
            && ((limits.max_bytes != 0 && bytes > limits.max_bytes)
                || (limits.max_time != 0
                    && stream.newest.saturating_sub(item.end)
                        >= limits.max_time.min(i64::MAX as u64) as i64))
        {
            bytes -= u64::from(item.bytes);
            stream.advance();
        }
    }

    /// Empties the ring; recordings keep what they need.
    fn empty(&mut self) {
        self.synced = false;
        self.oversize = false;
        self.absences.clear();
        for number in 0..self.streams.len() {
            if let Some(stream) = &mut self.streams[number] {
                stream.start = stream.log.end();
                stream.bytes = 0;
            }
        }
    }

    /// Drops what neither the ring nor a recording needs.
    fn trim(&mut self, number: usize) {
        let Some(Some(stream)) = self.streams.get_mut(number) else {
            return;
        };
        let needed = self
            .recordings
            .iter()
            .filter_map(|r| r.cursor(number)?.needs())
            .fold(stream.start, u64::min);
        while stream.log.first() < needed
            && let Some(item) = stream.log.pop()
        {
            stream.stored -= u64::from(item.bytes);
            self.dropped.push(item.payload);
        }
    }

    /// Marks a stream's end. When the reference stream ends, so do all recordings, the other
    /// streams with what they bring until they end themselves.
    pub fn end_stream(&mut self, stream: usize) {
        let Some(Some(ended)) = self.streams.get_mut(stream) else {
            return;
        };
        ended.ended = true;
        let number = ended.log.end();
        if self.reference != Some(stream) {
            return;
        }
        for index in 0..self.recordings.len() {
            if let Some(held) = self.recordings[index].held {
                self.split(index, held.number, held.time);
            }
            let recording = &self.recordings[index];
            if recording.first.is_some() && recording.span.end.is_none() {
                self.close(index, number, i64::MAX);
            }
        }
    }

    /// Empties the ring because what follows does not continue it (a seek, another format). Open
    /// recordings end with what has arrived; those that have not begun wait for the next key unit.
    pub fn reset(&mut self) {
        self.empty();
        for index in 0..self.recordings.len() {
            let recording = &self.recordings[index];
            if recording.first.is_some() {
                self.seal(recording.id);
            }
        }
        for stream in self.streams.iter_mut().flatten() {
            stream.newest = i64::MIN;
            stream.newest_end = i64::MIN;
            stream.gap_end = i64::MIN;
            stream.ended = false;
        }
        for stream in 0..self.streams.len() {
            self.trim(stream);
        }
    }
}

/// How long (ns) of what came since a running time is in absences.
fn absent(absences: &[(i64, i64)], time: i64) -> i64 {
    let since = absences.iter().filter(|(from, _)| *from >= time);
    since.map(|(from, to)| to - from).sum()
}
