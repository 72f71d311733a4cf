// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a ring is given and what it tells.

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
    /// Nanoseconds of the reference stream that the ring keeps at least, and at most one GOP more,
    /// and two seconds more to begin at an IDR.
    pub max_time: u64,
    /// Bytes that the ring holds at most, over all streams. A newest GOP that is larger is kept.
    pub max_bytes: u64,
    /// Buffers of the reference stream that the ring holds at most, the newest GOP excepted.
    pub max_buffers: u64,
    /// Bytes that the newest GOP may have and a recording may fall behind by, however small `max_bytes` is.
    pub least_bytes: u64,
}

impl Limits {
    pub(super) fn backlog(&self) -> u64 {
        match self.max_bytes {
            0 => DEFAULT_BACKLOG,
            bytes => bytes.max(self.least_bytes),
        }
    }

    /// Beyond what a newest GOP is given up.
    pub(super) fn given_up(&self) -> u64 {
        let bytes = self.max_bytes.saturating_mul(OVERSIZE);
        bytes.max(self.least_bytes)
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
    /// Whether nothing that follows needs what came before either, as behind an IDR. Of no meaning
    /// where `key` is not set.
    pub refresh: bool,
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
    /// The newest GOP grew so far past the limit that it was given up. One that is a single buffer is not.
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
    /// In front of the next key unit; see [Open GOPs](crate::ring#open-gops).
    NextKey,
}

/// What [`Ring::take`](crate::ring::Ring::take) found.
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
