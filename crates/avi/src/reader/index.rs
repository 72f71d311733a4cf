// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where every chunk of every stream is, in two to four bytes a chunk.
//!
//! Chunks mostly follow one another, so a position is kept only where one does
//! not begin right behind the last; the rest is a byte for the stream and a
//! variable-length size. Every `GROUP` chunks a full position and the
//! streams' counts so far are kept, which is where a search lands. An hour of
//! video at 30 frames a second and its sound take about 700 KiB.

use super::walk::CHUNK_HEAD;
use super::window::ALONG;

/// Chunks between two places a search can land on.
const GROUP: u32 = 64;

/// Streams an index can tell apart; files have two or three.
pub const MAX_STREAMS: usize = 64;

/// What is between two chunks that follow one another: padding and a header.
const BETWEEN: u64 = 9;

/// Bytes of sound that are read at once at most.
const MOST_SOUND: u32 = 4 << 20;

/// The byte for the stream, which takes six bits, also says: the chunk does not follow on the last one;
/// these are units that the stream lacks.
const GAP: u8 = 0x40;
const MARK: u8 = 0x80;
/// A chunk that does not follow on the last one, and has no header.
const BARE: u8 = GAP | MARK;

/// One chunk's payload, and which units of its stream it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Which stream, from 0.
    pub stream: usize,
    /// Where in the file the payload begins, in bytes.
    pub pos: u64,
    /// The payload's size in bytes, padding inside the chunk included.
    pub size: u32,
    /// What was in the stream before it: frames of video, bytes of sound.
    pub first: u64,
    /// Whether the payload has no sound chunk header before it.
    pub bare: bool,
}

impl Entry {
    /// Bytes of its head, which is before the payload.
    pub(super) fn head(&self) -> u64 {
        if self.bare { 0 } else { CHUNK_HEAD }
    }
}

#[derive(Debug, Clone)]
struct Group {
    /// Into `Index::data`.
    at: usize,
    /// Where the chunk after the previous group's last would begin.
    pos: u64,
}

/// The chunks of a file, in the order they are to be played within a stream.
#[derive(Debug, Clone)]
pub struct Index {
    data: Vec<u8>,
    groups: Vec<Group>,
    /// `streams` numbers for every group: the units before it.
    group_counts: Vec<u64>,
    in_last: u32,
    /// For each stream: whether a unit is a byte, not a chunk.
    by_bytes: Vec<bool>,
    counts: Vec<u64>,
    chunks: Vec<u64>,
    /// Where the next chunk's header is expected.
    next: u64,
    /// The largest that ever was.
    reach: u64,
}

impl Index {
    /// An empty index of a file whose streams count in bytes (sound) or in
    /// chunks (video).
    pub fn new(by_bytes: impl IntoIterator<Item = bool>) -> Self {
        let by_bytes: Vec<bool> = by_bytes.into_iter().take(MAX_STREAMS).collect();
        let streams = by_bytes.len();
        Self {
            data: Vec::new(),
            groups: Vec::new(),
            group_counts: Vec::new(),
            in_last: 0,
            by_bytes,
            counts: vec![0; streams],
            chunks: vec![0; streams],
            next: 0,
            reach: 0,
        }
    }

    /// Forgets all chunks.
    pub fn clear(&mut self) {
        *self = Self::new(std::mem::take(&mut self.by_bytes));
    }

    /// How many streams the index was made for.
    pub fn streams(&self) -> usize {
        self.by_bytes.len()
    }

    /// The units known of a stream: frames, or bytes of sound.
    pub fn units(&self, stream: usize) -> u64 {
        self.counts.get(stream).copied().unwrap_or(0)
    }

    /// The chunks known of a stream, empty ones too.
    pub fn chunks(&self, stream: usize) -> u64 {
        self.chunks.get(stream).copied().unwrap_or(0)
    }

    /// Where the chunk behind the farthest known one would begin.
    pub fn end(&self) -> u64 {
        self.reach
    }

    /// The memory the index holds on to, in bytes.
    pub fn memory(&self) -> usize {
        self.data.capacity()
            + self.groups.capacity() * size_of::<Group>()
            + self.group_counts.capacity() * size_of::<u64>()
    }

    fn start_item(&mut self) {
        if self.groups.is_empty() || self.in_last == GROUP {
            self.groups.push(Group {
                at: self.data.len(),
                pos: self.next,
            });
            self.group_counts.extend_from_slice(&self.counts);
            self.in_last = 0;
        }
        self.in_last += 1;
    }

    /// Adds a chunk whose payload is at `pos`. Chunks of a stream beyond
    /// those the index was made for are not kept. One of much sound is kept in
    /// pieces, as if it had no header.
    pub fn push(&mut self, stream: usize, pos: u64, size: u32, bare: bool) {
        let Some(by_bytes) = self.by_bytes.get(stream) else {
            return;
        };
        if *by_bytes && size > MOST_SOUND {
            let mut left = size;
            while left > 0 {
                let piece = left.min(MOST_SOUND);
                self.push_one(stream, pos + u64::from(size - left), piece, true);
                left -= piece;
            }
            self.next = pos + u64::from(size) + u64::from(size & 1);
            self.reach = self.reach.max(self.next);
            return;
        }
        self.push_one(stream, pos, size, bare);
    }

    fn push_one(&mut self, stream: usize, pos: u64, size: u32, bare: bool) {
        self.start_item();
        let gap = pos.wrapping_sub(self.next.wrapping_add(8)) as i64;
        let flags = match (bare, gap) {
            (true, _) => BARE,
            (false, 0) => 0,
            (false, _) => GAP,
        };
        self.data.push(stream as u8 | flags);
        put(&mut self.data, u64::from(size));
        if flags != 0 {
            // The sign is the lowest bit: a file may be of holes and as large as its positions go.
            put(&mut self.data, (gap << 1 ^ gap >> 63).cast_unsigned());
        }
        self.next = pos + u64::from(size) + u64::from(size & 1);
        self.reach = self.reach.max(self.next);
        let units = self.units_of(stream, size);
        for (of, more) in [(&mut self.chunks, 1), (&mut self.counts, units)] {
            if let Some(number) = of.get_mut(stream) {
                *number += more;
            }
        }
    }

    /// Says that a stream lacks this many units here: its later ones keep
    /// their times.
    pub fn skip(&mut self, stream: usize, units: u64) {
        if stream >= self.streams() || units == 0 {
            return;
        }
        self.start_item();
        self.data.push(stream as u8 | MARK);
        put(&mut self.data, units);
        if let Some(count) = self.counts.get_mut(stream) {
            *count = count.saturating_add(units);
        }
    }

    fn units_of(&self, stream: usize, size: u32) -> u64 {
        match self.by_bytes.get(stream) {
            Some(true) => u64::from(size),
            _ => 1,
        }
    }

    /// Runs through a group: each chunk, with the counts given.
    fn each(&self, group: usize, counts: &mut [u64], mut f: impl FnMut(Entry) -> bool) {
        let Some(head) = self.groups.get(group) else {
            return;
        };
        let end = self
            .groups
            .get(group + 1)
            .map_or(self.data.len(), |next| next.at);
        let mut data = self.data.get(head.at..end).unwrap_or_default();
        let mut next = head.pos;
        while let Some((&tag, rest)) = data.split_first() {
            data = rest;
            let stream = usize::from(tag & 0x3F);
            let value = take(&mut data);
            let Some(count) = counts.get_mut(stream) else {
                return;
            };
            let flags = tag & BARE;
            if flags == MARK {
                *count = count.saturating_add(value);
                continue;
            }
            let size = value as u32;
            let mut pos = next.wrapping_add(8);
            let bare = flags == BARE;
            if flags != 0 {
                let zigzag = take(&mut data);
                pos = pos.wrapping_add(zigzag >> 1 ^ (zigzag & 1).wrapping_neg());
            }
            next = pos + u64::from(size) + u64::from(size & 1);
            let more = f(Entry {
                stream,
                pos,
                size,
                first: *count,
                bare,
            });
            if !more {
                return;
            }
            *count += self.units_of(stream, size);
        }
    }

    fn counts_before(&self, group: usize) -> Vec<u64> {
        let streams = self.streams();
        self.group_counts
            .get(group * streams..(group + 1) * streams)
            .map_or_else(|| vec![0; streams], <[u64]>::to_vec)
    }

    /// Puts the chunks of a group that are a stream's into `out`, each with the
    /// number of bytes behind it that small chunks of other streams take.
    fn decode(&self, group: usize, stream: usize, out: &mut Vec<(Entry, usize)>) {
        out.clear();
        self.each(group, &mut self.counts_before(group), |entry| {
            if entry.stream == stream {
                out.push((entry, 0));
            } else if let Some((before, behind)) = out.last_mut() {
                let end = before.pos + u64::from(before.size);
                let reached = end + *behind as u64;
                let to = entry.pos + u64::from(entry.size);
                if entry.pos >= reached
                    && entry.pos <= reached + BETWEEN
                    && to - end <= ALONG as u64
                {
                    *behind = (to - end) as usize;
                }
            }
            true
        });
    }

    /// The units of each stream in the chunks that lie before a place in the
    /// file, in an index of a file that is in order.
    pub fn counts_at(&self, pos: u64) -> Vec<u64> {
        let after = self.groups.partition_point(|group| group.pos <= pos);
        let mut counts = self.counts_before(after.saturating_sub(1));
        self.each(after.saturating_sub(1), &mut counts, |entry| {
            entry.pos.saturating_sub(entry.head()) < pos
        });
        counts
    }

    /// The group that the unit of a stream is in, or the last one before it.
    fn group_of(&self, stream: usize, unit: u64) -> usize {
        let streams = self.streams();
        let (mut low, mut high) = (0, self.groups.len());
        while high - low > 1 {
            let middle = (low + high) / 2;
            let count = self.group_counts.get(middle * streams + stream);
            if count.is_some_and(|count| *count <= unit) {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }
}

fn put(data: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        data.push(value as u8 | 0x80);
        value >>= 7;
    }
    data.push(value as u8);
}

fn take(data: &mut &[u8]) -> u64 {
    let mut value = 0;
    let mut shift = 0;
    while let Some((&byte, rest)) = data.split_first() {
        *data = rest;
        value |= u64::from(byte & 0x7F) << shift;
        shift += 7;
        if byte & 0x80 == 0 || shift > 63 {
            break;
        }
    }
    value
}

/// A place in the chunks of one stream. It stays good while the index grows.
#[derive(Debug, Clone)]
pub struct Cursor {
    stream: usize,
    group: usize,
    entries: Vec<(Entry, usize)>,
    /// How many items the group had when it was decoded; the last group grows.
    at: usize,
    decoded_bytes: usize,
}

impl Cursor {
    /// Before the first chunk of a stream.
    pub fn new(stream: usize) -> Self {
        Self {
            stream,
            group: 0,
            entries: Vec::new(),
            at: 0,
            decoded_bytes: usize::MAX,
        }
    }

    /// The stream it runs through.
    pub fn stream(&self) -> usize {
        self.stream
    }

    fn load(&mut self, index: &Index) {
        let end = index
            .groups
            .get(self.group + 1)
            .map_or(index.data.len(), |next| next.at);
        if self.decoded_bytes != end {
            index.decode(self.group, self.stream, &mut self.entries);
            self.decoded_bytes = end;
        }
    }

    /// The chunk it stands before, if one is known.
    pub fn peek(&mut self, index: &Index) -> Option<Entry> {
        if self.stream >= index.streams() {
            return None;
        }
        loop {
            if let Some((entry, _)) = self.entries.get(self.at) {
                return Some(*entry);
            }
            self.load(index);
            if let Some((entry, _)) = self.entries.get(self.at) {
                return Some(*entry);
            }
            if self.group + 1 >= index.groups.len() {
                return None;
            }
            self.group += 1;
            self.at = 0;
            self.entries.clear();
            self.decoded_bytes = usize::MAX;
        }
    }

    /// The bytes behind the chunk it stands before that small chunks of other
    /// streams take, together no more than [`ALONG`].
    pub fn behind(&self) -> usize {
        self.entries.get(self.at).map_or(0, |(_, behind)| *behind)
    }

    /// Steps past the chunk it stands before.
    pub fn advance(&mut self) {
        self.at += 1;
    }

    /// The chunk before it, and steps back over that.
    pub fn back(&mut self, index: &Index) -> Option<Entry> {
        if self.stream >= index.streams() {
            return None;
        }
        self.load(index);
        while self.at == 0 {
            if self.group == 0 {
                return None;
            }
            self.group -= 1;
            self.decoded_bytes = usize::MAX;
            self.load(index);
            self.at = self.entries.len();
        }
        self.at -= 1;
        self.entries.get(self.at).map(|(entry, _)| *entry)
    }

    /// Goes to the chunk that holds a unit, or if none does to the first
    /// later one; behind the last known if there is none.
    pub fn seek(&mut self, index: &Index, unit: u64) {
        if self.stream >= index.streams() {
            return;
        }
        self.group = index.group_of(self.stream, unit);
        self.at = 0;
        self.entries.clear();
        self.decoded_bytes = usize::MAX;
        while let Some(entry) = self.peek(index) {
            if entry.first + index.units_of(self.stream, entry.size).max(1) > unit {
                break;
            }
            self.advance();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Index, Vec<Entry>) {
        let mut index = Index::new([false, true]);
        let mut all = Vec::new();
        let mut pos = 2000;
        let (mut frames, mut bytes) = (0, 0);
        for n in 0..1000u32 {
            if n % 7 == 3 {
                pos += 24;
            }
            let size = (n * 37) % 5000;
            index.push(0, pos + 8, size, n % 11 == 5);
            all.push(Entry {
                stream: 0,
                pos: pos + 8,
                size,
                first: frames,
                bare: n % 11 == 5,
            });
            frames += 1;
            pos += 8 + u64::from(size) + u64::from(size & 1);
            if n % 3 == 0 {
                index.push(1, pos + 8, 1600, false);
                all.push(Entry {
                    stream: 1,
                    pos: pos + 8,
                    size: 1600,
                    first: bytes,
                    bare: false,
                });
                bytes += 1600;
                pos += 1608;
            }
            if n == 500 {
                index.skip(0, 20);
                frames += 20;
                // A chunk that lies earlier in the file.
                pos -= 100_000;
            }
        }
        (index, all)
    }

    fn of(all: &[Entry], stream: usize) -> Vec<Entry> {
        all.iter().filter(|e| e.stream == stream).copied().collect()
    }

    #[test]
    fn forward_and_backward() {
        let (index, all) = sample();
        for stream in 0..2 {
            let expected = of(&all, stream);
            let mut cursor = Cursor::new(stream);
            let mut seen = Vec::new();
            while let Some(entry) = cursor.peek(&index) {
                seen.push(entry);
                cursor.advance();
            }
            assert_eq!(seen, expected);
            seen.clear();
            while let Some(entry) = cursor.back(&index) {
                seen.push(entry);
            }
            seen.reverse();
            assert_eq!(seen, expected);
        }
        assert_eq!(index.units(0), 1020);
        assert_eq!(index.chunks(0), 1000);
    }

    #[test]
    fn seeks_to_the_chunk_that_holds_a_unit() {
        let (index, all) = sample();
        for (stream, last) in [(0, 1019), (1, 334 * 1600 - 1)] {
            for unit in (0..=last).step_by(if stream == 0 { 1 } else { 333 }) {
                let expected = of(&all, stream)
                    .into_iter()
                    .find(|e| e.first + if stream == 0 { 1 } else { 1600 } > unit);
                let mut cursor = Cursor::new(stream);
                cursor.seek(&index, unit);
                assert_eq!(cursor.peek(&index), expected, "unit {unit} of {stream}");
            }
        }
        let mut cursor = Cursor::new(0);
        cursor.seek(&index, 5000);
        assert_eq!(cursor.peek(&index), None);
        assert_eq!(cursor.back(&index).map(|e| e.first), Some(1019));
    }

    #[test]
    fn a_cursor_at_the_end_sees_what_is_added() {
        let mut index = Index::new([false, true]);
        let mut cursor = Cursor::new(0);
        assert_eq!(cursor.peek(&index), None);
        for n in 0..300u64 {
            index.push(0, n * 18 + 8, 10, false);
            index.push(1, 100_000 + n * 18 + 8, 10, false);
            assert_eq!(cursor.peek(&index).map(|e| e.first), Some(n));
            cursor.advance();
            assert_eq!(cursor.peek(&index), None);
        }
    }

    #[test]
    fn small_chunks_behind_a_chunk() {
        let mut index = Index::new([false, true, true]);
        index.push(0, 108, 50_001, false);
        index.push(1, 50_118, 2000, false);
        index.push(2, 52_126, 1000, false);
        // What would be too much.
        index.push(1, 53_134, ALONG as u32, false);
        let end = index.end();
        index.push(0, end + 8, 50_000, false);
        // What does not follow.
        index.push(1, index.end() + 100, 2000, false);
        index.push(0, index.end() + 8, 50_000, false);
        let mut cursor = Cursor::new(0);
        for behind in [9 + 2000 + 8 + 1000, 0, 0] {
            assert!(cursor.peek(&index).is_some());
            assert_eq!(cursor.behind(), behind);
            cursor.advance();
        }
        cursor.back(&index);
        cursor.back(&index);
        assert_eq!(cursor.back(&index).map(|e| e.size), Some(50_001));
        assert_eq!(cursor.behind(), 9 + 2000 + 8 + 1000);
    }

    #[test]
    fn chunks_may_be_as_far_apart_as_positions_go() {
        let far = i64::MAX as u64 - 1000;
        let places = [
            (8, false),
            (far, false),
            (20, true),
            (1 << 62, true),
            (300, false),
        ];
        let mut index = Index::new([false]);
        for (pos, bare) in places {
            index.push(0, pos, 10, bare);
        }
        let mut cursor = Cursor::new(0);
        for place in places {
            let found = cursor.peek(&index).map(|entry| (entry.pos, entry.bare));
            assert_eq!(found, Some(place));
            cursor.advance();
        }
        assert_eq!(cursor.peek(&index), None);
    }

    #[test]
    fn counts_before_a_place() {
        let mut index = Index::new([false, true]);
        for n in 0..500u64 {
            index.push(0, n * 1000 + 8, 100, false);
            index.push(1, n * 1000 + 500, 40, false);
        }
        for n in [0, 1, 31, 32, 33, 400] {
            assert_eq!(index.counts_at(n * 1000), [n, n * 40]);
            assert_eq!(index.counts_at(n * 1000 + 490), [n + 1, n * 40]);
        }
        // One without a head begins where its payload does.
        let mut index = Index::new([false]);
        index.push(0, 1000, 100, true);
        assert_eq!(index.counts_at(1000), [0]);
        assert_eq!(index.counts_at(1001), [1]);
    }

    #[test]
    fn stays_small() {
        let mut index = Index::new([false, true]);
        let mut pos = 0;
        for n in 0..30 * 3600u32 {
            index.push(0, pos + 8, 3000 + n % 50, false);
            pos = index.end();
            index.push(1, pos + 8, 2940, false);
            pos = index.end();
        }
        assert!(index.memory() < 1536 * 1024, "{}", index.memory());
    }
}
