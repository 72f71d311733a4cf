// SPDX-License-Identifier: MIT OR Apache-2.0
//! The last seconds of a stream, kept so that a recording can begin before its trigger.
//!
//! A [`Ring`] holds the media of one *reference* stream (the picture; without one, the first
//! sound) and of any number of others, each in a numbered [`Log`]. It begins at a key unit of the
//! reference stream and forgets whole groups of pictures (GOPs), and of the other streams what ends
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

mod log;
#[cfg(test)]
mod tests;

pub use log::Log;

/// What one recording is called: unique in its ring.
pub type RecordingId = u32;

/// The backlog's limit, in bytes, where [`Limits::max_bytes`] sets none.
pub const DEFAULT_BACKLOG: u64 = 256 << 20;

/// How many times [`Limits::max_bytes`] the newest GOP may take before even that is given up: a
/// stream that never brings another key unit must not take all memory.
const OVERSIZE: u64 = 4;

/// How much the ring keeps. A limit of 0 does not apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Nanoseconds of the reference stream that the ring keeps at least, and at most one GOP more.
    pub max_time: u64,
    /// Bytes that the ring holds at most, over all streams. A newest GOP that is larger is kept.
    pub max_bytes: u64,
    /// Buffers of the reference stream that the ring holds at most, the newest GOP excepted.
    pub max_buffers: u64,
}

impl Limits {
    fn backlog(&self) -> u64 {
        match self.max_bytes {
            0 => DEFAULT_BACKLOG,
            bytes => bytes,
        }
    }
}

/// One buffer of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item<P> {
    /// What the caller wants back.
    pub payload: P,
    /// The running time at which it is presented, ns.
    pub time: i64,
    /// The running time at which its presentation ends, ns; `time` where that is not known.
    pub end: i64,
    /// Its size.
    pub bytes: u32,
    /// Whether decoding can begin here. Of no meaning outside the reference stream.
    pub key: bool,
}

/// What the ring holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Level {
    /// Nanoseconds from the first key unit to the end of the newest buffer of the reference stream.
    pub time: u64,
    /// Bytes of all streams.
    pub bytes: u64,
    /// Buffers of the reference stream.
    pub buffers: u64,
    /// Bytes beyond those, held for recordings that have not caught up.
    pub backlog: u64,
}

/// What happened when a buffer was pushed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// The buffer was not kept: decoding can't begin at it and nothing before it is kept.
    pub skipped: bool,
    /// The newest GOP just grew past the ring's limit of bytes and is kept all the same.
    pub oversize: bool,
    /// The newest GOP grew so far past the limit that it was given up.
    pub given_up: bool,
    /// Recordings that were cut off because of their backlog.
    pub cut_off: Vec<RecordingId>,
    /// Recordings whose beginning or end was found.
    pub settled: bool,
}

/// Where a recording begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// With everything the ring holds; at the next key unit if it holds nothing.
    Oldest,
    /// At the next key unit that arrives.
    NextKey,
    /// Where the other recording ends; that one is to end at a key unit.
    After(RecordingId),
}

/// Where a recording ends. All but `NextKey` are moved to the next clean cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// When it is told to.
    Open,
    /// When everything up to this running time (ns) is in.
    At(i64),
    /// With what has arrived.
    Now,
    /// In front of the next key unit; see [Open GOPs](self#open-gops).
    NextKey,
}

/// What [`Ring::take`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// At least one item was appended to the output.
    Items,
    /// Nothing yet.
    Wait,
    /// Nothing will come any more.
    End,
    /// The recording was cut off or does not exist (any more).
    CutOff,
}

/// A stream that a recording waits for while the reference stream goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// Running time (ns) up to which there are items, not before the recording's start.
    pub heard: i64,
    /// Running time (ns) up to which the stream said that there is nothing; not before `heard`.
    pub told: i64,
    /// Running time (ns) up to which the reference stream has come, or at which the recording ends.
    pub reached: i64,
    /// The recording is the one that is furthest behind, by more than half of what it may be.
    pub pressed: bool,
}

/// The span of a recording, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Running time (ns) of the key unit it begins at.
    pub start: Option<i64>,
    /// Running time (ns) at which it ends; `i64::MAX` when it ends with the streams.
    pub end: Option<i64>,
}

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

#[derive(Debug, Clone, Copy)]
struct Cursor {
    /// The next item to take.
    next: u64,
    /// The first item that is not to be taken, once it is known.
    end: Option<u64>,
    /// Nothing is taken any more: what is ahead is not kept for it.
    left: bool,
}

impl Cursor {
    /// The first item that is to be kept for it.
    fn needs(&self) -> Option<u64> {
        let needs = !self.left && self.end.is_none_or(|end| self.next < end);
        needs.then_some(self.next)
    }
}

#[derive(Debug)]
struct Recording {
    id: RecordingId,
    begin: Begin,
    /// Key unit that it begins at.
    first: Option<u64>,
    end: End,
    /// The reference stream's length when `end` was set: it lies behind that.
    asked_at: u64,
    span: Span,
    /// One a stream; `None` for a stream that came later, and for all until `first` is known.
    cursors: Vec<Option<Cursor>>,
    cut_off: bool,
    /// A key unit that it ends at, unless leading pictures follow.
    held: Option<Held>,
    /// A key unit with leading pictures was passed over already.
    passed: bool,
}

/// A key unit of the reference stream at which a split may be made.
#[derive(Debug, Clone, Copy)]
struct Held {
    number: u64,
    /// When it is shown, and when the presentation of all before it ends.
    time: i64,
    before_end: i64,
}

impl Recording {
    fn cursor(&self, stream: usize) -> Option<&Cursor> {
        self.cursors.get(stream)?.as_ref()
    }

    /// The running time that its end is not before, given how far the reference stream has come.
    fn reached(&self, newest_end: i64) -> i64 {
        match (self.span.end, self.held) {
            (Some(end), _) => newest_end.min(end),
            (None, Some(held)) => newest_end.min(held.before_end).min(held.time),
            (None, None) => newest_end,
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
    /// The newest GOP's excess was told already.
    oversize: bool,
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
            oversize: false,
            recordings: Vec::new(),
            dropped: Vec::new(),
        }
    }

    /// Sets new limits; they apply from the next buffer on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
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
            level.time = (reference.newest_end - first.time).max(0).unsigned_abs();
            level.buffers = reference.log.end() - reference.start;
        }
        level
    }

    /// The oldest buffer a recording that began now would begin with.
    pub fn oldest(&self) -> Option<&Item<P>> {
        let reference = self.reference_stream().filter(|_| self.synced)?;
        reference.log.get(reference.start)
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

    /// Finds the beginnings and ends that become known by the arrival of buffer `number` of the
    /// reference stream, whose predecessors are shown up to `before` and end at `before_end`.
    fn settle(&mut self, number: u64, time: i64, key: bool, before: i64, before_end: i64) -> bool {
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
    fn split(&mut self, index: usize, number: u64, at: i64) {
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
    fn close(&mut self, index: usize, number: u64, end: i64) {
        let reference = self.reference;
        let recording = &mut self.recordings[index];
        recording.held = None;
        recording.span.end = Some(end);
        if let Some(Some(cursor)) = reference.and_then(|r| recording.cursors.get_mut(r)) {
            cursor.end = Some(number.max(cursor.next));
        }
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
            let bytes = self.bytes();
            let second = self.second_key();
            let Some(Some(from)) = self.streams.get_mut(reference) else {
                return;
            };
            let too_large = limits.max_bytes != 0 && bytes > limits.max_bytes;
            let Some((key, time)) = second else {
                if too_large && !self.oversize {
                    self.oversize = true;
                    pushed.oversize = true;
                }
                if limits.max_bytes != 0 && bytes > limits.max_bytes.saturating_mul(OVERSIZE) {
                    pushed.given_up = true;
                    self.empty();
                }
                break;
            };
            let too_many =
                limits.max_buffers != 0 && from.log.end() - from.start > limits.max_buffers;
            // Measured between presentation times, the newest buffer's duration not counted: what
            // is left is as long as asked without having to trust durations.
            let too_long = limits.max_time != 0
                && from.newest.saturating_sub(time) >= limits.max_time.min(i64::MAX as u64) as i64;
            if !(too_large || too_many || too_long) {
                break;
            }
            while from.start < key {
                from.advance();
            }
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

    /// Cuts off recordings until the backlog is within its limit.
    fn limit_backlog(&mut self, pushed: &mut Pushed) {
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
            cursors: Vec::new(),
            cut_off: false,
            held: None,
            passed: false,
        });
        if begin == Begin::Oldest
            && let Some(time) = self.oldest().map(|item| item.time)
            && let Some(first) = self.reference_stream().map(|r| r.start)
        {
            let index = self.recordings.len() - 1;
            self.begin(index, first, time);
            if self.reference_stream().is_some_and(|r| r.ended) {
                self.close(index, asked_at, i64::MAX);
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
        let recording = &mut self.recordings[index];
        recording.span.end.get_or_insert(i64::MAX);
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
        let newest_end = self.reference_stream().map_or(i64::MAX, |r| r.newest_end);
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
