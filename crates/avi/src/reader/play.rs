// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which chunk is played next: of all streams the earliest, or going backward
//! the latest, even in files that are not interleaved.

use super::Reader;
use super::index::{Cursor, Entry};
use super::window::ReadAt;

/// While chunks are still being searched for, a stream that has none known is
/// waited for so many bytes behind the one that would be next.
const LOOK_AHEAD: u64 = 512 << 10;

/// Chunks searched for with every one played, so that the search is soon over.
const AHEAD: usize = 32;

/// A chunk and when it is played, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// The chunk.
    pub entry: Entry,
    /// When it begins.
    pub time: u64,
    /// Bytes behind it that other streams' chunks take which are small and are
    /// to be played too.
    pub behind: usize,
}

#[derive(Debug, Clone, Copy)]
enum Head {
    /// Not looked at yet.
    Unknown,
    Known(Next),
    /// There is none (so far).
    None,
    /// Not to be played any more.
    Off,
}

/// A place in each stream of a file.
#[derive(Debug)]
pub struct Playback {
    cursors: Vec<Cursor>,
    heads: Vec<Head>,
    backward: bool,
}

impl Playback {
    /// At the beginning of a file with so many streams.
    pub fn new(streams: usize) -> Self {
        Self {
            cursors: (0..streams).map(Cursor::new).collect(),
            heads: vec![Head::Unknown; streams],
            backward: false,
        }
    }

    /// Goes to a time in nanoseconds, as far as the file is known: the next
    /// chunks are those that are being played then, or going `backward` the
    /// ones that begin before.
    pub fn seek<S: ReadAt>(&mut self, reader: &Reader<S>, ns: u64, backward: bool) {
        self.backward = backward;
        let places = self.cursors.iter_mut().zip(&mut self.heads);
        for ((cursor, head), stream) in places.zip(&reader.header().streams) {
            cursor.seek(reader.index(), stream.count_at(ns));
            if backward
                && cursor
                    .peek(reader.index())
                    .is_some_and(|entry| stream.time(entry.first) < ns)
            {
                cursor.advance();
            }
            *head = Head::Unknown;
        }
    }

    /// Goes on in a stream from another place.
    pub fn set(&mut self, stream: usize, cursor: Cursor) {
        if let Some(slot) = self.cursors.get_mut(stream) {
            *slot = cursor;
            self.look_again(stream);
        }
    }

    fn look_again(&mut self, stream: usize) {
        if let Some(head) = self.heads.get_mut(stream) {
            *head = Head::Unknown;
        }
    }

    /// Plays no more of a stream until the next seek.
    pub fn turn_off(&mut self, stream: usize) {
        if let Some(head) = self.heads.get_mut(stream) {
            *head = Head::Off;
        }
    }

    fn look<S: ReadAt>(&mut self, reader: &Reader<S>) -> Option<Next> {
        let mut best: Option<Next> = None;
        let places = self.cursors.iter_mut().zip(&mut self.heads);
        for ((cursor, head), stream) in places.zip(&reader.header().streams) {
            if let Head::Unknown = head {
                let entry = if self.backward {
                    cursor.back(reader.index())
                } else {
                    cursor.peek(reader.index())
                };
                let behind = cursor.behind();
                if entry.is_some() && !self.backward {
                    cursor.advance();
                }
                *head = match entry {
                    Some(entry) => Head::Known(Next {
                        entry,
                        time: stream.time(entry.first),
                        behind,
                    }),
                    None => Head::None,
                };
            }
            if let Head::Known(next) = head
                && best.is_none_or(|best| {
                    if self.backward {
                        next.time > best.time
                    } else {
                        next.time < best.time
                    }
                })
            {
                best = Some(*next);
            }
        }
        best
    }

    /// The next chunk; `None` at the end.
    pub fn next<S: ReadAt>(&mut self, reader: &mut Reader<S>) -> Result<Option<Next>, S::Error> {
        loop {
            let best = self.look(reader);
            if !reader.is_complete() && !self.backward {
                reader.scan(AHEAD)?;
                let missing = self.heads.iter().any(|head| matches!(head, Head::None));
                let far = best.is_some_and(|next| {
                    reader.scanned() > next.entry.pos.saturating_add(LOOK_AHEAD)
                });
                // Streams for which a chunk was found meanwhile take part, now or from the next chunk on.
                let ended = |head: &&mut Head| matches!(head, Head::None);
                for head in self.heads.iter_mut().filter(ended) {
                    *head = Head::Unknown;
                }
                if missing && !far {
                    continue;
                }
            }
            return Ok(best.map(|next| {
                self.look_again(next.entry.stream);
                let behind = self.behind(&next);
                Next { behind, ..next }
            }));
        }
    }

    /// The bytes to read along with a chunk: none if what they hold was played
    /// before.
    fn behind(&self, next: &Next) -> usize {
        let end = next.entry.pos + u64::from(next.entry.size);
        let wanted = self.heads.iter().any(|head| match head {
            Head::Known(other) if self.backward => other.entry.pos >= end,
            Head::Known(other) => other.entry.pos < end + next.behind as u64,
            _ => false,
        });
        if wanted { next.behind } else { 0 }
    }
}
