// SPDX-License-Identifier: MIT OR Apache-2.0
//! A recording of a ring: cursors into its streams, and the ends that are known.

use super::types::{Begin, End, RecordingId, Span};

/// How far a recording has come in a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor {
    /// The next item to take.
    pub next: u64,
    /// The first item that is not to be taken, once it is known.
    pub end: Option<u64>,
    /// Nothing is taken any more: what is ahead is not kept for it.
    pub left: bool,
}

impl Cursor {
    /// The first item that is to be kept for it.
    pub(crate) fn needs(&self) -> Option<u64> {
        let needs = !self.left && self.end.is_none_or(|end| self.next < end);
        needs.then_some(self.next)
    }
}

#[derive(Debug)]
pub(crate) struct Recording {
    pub id: RecordingId,
    pub begin: Begin,
    /// Key unit that it begins at.
    pub first: Option<u64>,
    pub end: End,
    /// The reference stream's length when `end` was set: it lies behind that.
    pub asked_at: u64,
    pub span: Span,
    /// The running time up to which its pictures are shown, once its end is known.
    pub shown: Option<i64>,
    /// One a stream; `None` for a stream that came later, and for all until `first` is known.
    pub cursors: Vec<Option<Cursor>>,
    pub cut_off: bool,
    /// A key unit that it ends at, unless leading pictures follow.
    pub held: Option<Held>,
    /// A key unit with leading pictures was passed over already.
    pub passed: bool,
}

/// A key unit of the reference stream at which a split may be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub number: u64,
    /// When it is shown, and when the presentation of all before it ends.
    pub time: i64,
    pub before_end: i64,
}

impl Recording {
    pub(crate) fn cursor(&self, stream: usize) -> Option<&Cursor> {
        self.cursors.get(stream)?.as_ref()
    }

    /// The running time that its end is not before, given how far the reference stream has come.
    pub(crate) fn reached(&self, newest_end: i64) -> i64 {
        match (self.shown, self.held) {
            (Some(shown), _) => shown,
            (None, Some(held)) => newest_end.min(held.before_end).min(held.time),
            (None, None) => newest_end,
        }
    }
}
