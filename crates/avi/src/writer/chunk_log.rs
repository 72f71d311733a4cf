// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a writer has to remember of the chunks it wrote, to index them later.
//!
//! An `idx1` needs an entry for every chunk of a RIFF, but only once the last is written, so the
//! chunks have to be remembered meanwhile. The order and the sizes are enough, since chunks follow
//! one another, and sizes within a stream resemble each other: [`ChunkLog`] keeps the difference
//! to the stream's last size as a variable-length number, 1 byte for a chunk of sound and 2 or 3
//! for a picture where an index entry takes 16. An hour at 30 frames a second with sound
//! is some 400 KiB.

use crate::header::{
    ChunkHeader, FourCc, OldIndexEntry, StandardIndex, StandardIndexEntry, padded,
};

/// Bytes of a block of the log: blocks, unlike one growing vector, never hold twice what is used.
const BLOCK: usize = 16 * 1024;

/// Bytes of an index that are made at once.
const PART: usize = 4096;

/// The longest variable-length number of 64 bits.
const LONGEST: usize = 10;

/// The chunks of one RIFF, in the order of the file.
#[derive(Debug)]
pub(super) struct ChunkLog {
    blocks: Vec<Vec<u8>>,
    /// Past the last chunk.
    end: Mark,
    /// Chunks remembered, of all streams.
    len: u64,
}

/// A place between two chunks of a [`ChunkLog`], and what is needed to read on from there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    block: usize,
    byte: usize,
    /// Where the next chunk's header is in the file.
    pub position: u64,
    streams: Vec<Passed>,
}

/// What a [`Mark`] knows of a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Passed {
    /// The size of its last chunk.
    size: u32,
    /// Its chunks from the beginning of the log.
    indexed: Indexed,
}

impl Passed {
    /// Goes past a chunk.
    fn pass(&mut self, size: u32) {
        self.size = size;
        self.indexed.chunks += 1;
        self.indexed.payload += u64::from(size);
    }
}

/// A chunk that a log remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LoggedChunk {
    pub stream: usize,
    /// Where its header is in the file.
    pub position: u64,
    /// Bytes of payload.
    pub size: u32,
}

impl LoggedChunk {
    /// Where the chunk after this one starts.
    pub(crate) fn end(&self) -> u64 {
        self.position + ChunkHeader::SIZE as u64 + padded(self.size.into())
    }
}

impl ChunkLog {
    /// An empty log of `streams` streams whose first chunk will be at `position`.
    pub(crate) fn new(streams: usize, position: u64) -> Self {
        Self {
            blocks: Vec::new(),
            end: Mark {
                block: 0,
                byte: 0,
                position,
                streams: vec![Passed::default(); streams],
            },
            len: 0,
        }
    }

    /// Chunks remembered.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Past the last chunk.
    pub(crate) fn end(&self) -> &Mark {
        &self.end
    }

    /// Remembers the chunk at the end.
    pub(crate) fn push(&mut self, stream: usize, size: u32) {
        let passed = &mut self.end.streams[stream];
        let difference = i64::from(size) - i64::from(passed.size);
        passed.pass(size);
        // Zigzag: small differences of either sign become small numbers.
        let zigzag = ((difference << 1) ^ (difference >> 63)) as u64;
        let codes = self.end.streams.len() as u64 + 1;
        self.put(zigzag * codes + stream as u64);
        self.end.position += ChunkHeader::SIZE as u64 + padded(size.into());
        self.len += 1;
    }

    /// Remembers `bytes` at the end that are not a chunk of a stream.
    pub(crate) fn skip(&mut self, bytes: u64) {
        if bytes > 0 {
            let streams = self.end.streams.len() as u64;
            self.put(bytes * (streams + 1) + streams);
            self.end.position += bytes;
        }
    }

    fn put(&mut self, mut code: u64) {
        let full = |block: &Vec<u8>| block.len() + LONGEST > BLOCK;
        if self.blocks.last().is_none_or(full) {
            self.blocks.push(Vec::with_capacity(BLOCK));
        }
        self.end.block = self.blocks.len() - 1;
        let block = &mut self.blocks[self.end.block];
        while code >= 0x80 {
            block.push(code as u8 | 0x80);
            code >>= 7;
        }
        block.push(code as u8);
        self.end.byte = block.len();
    }

    /// The chunks from `mark` to the end.
    pub(crate) fn since(&self, mark: &Mark) -> Chunks<'_> {
        Chunks {
            log: self,
            at: mark.clone(),
        }
    }

    /// Forgets what comes after `mark`, of whose chunks `count` are forgotten.
    pub(crate) fn truncate(&mut self, mark: Mark, count: u64) {
        self.blocks.truncate(mark.block + 1);
        if let Some(block) = self.blocks.get_mut(mark.block) {
            block.truncate(mark.byte);
        }
        self.end = mark;
        self.len -= count;
    }
}

/// Reads a [`ChunkLog`].
#[derive(Debug)]
pub(super) struct Chunks<'a> {
    log: &'a ChunkLog,
    at: Mark,
}

impl Chunks<'_> {
    /// Where the reading is.
    pub(crate) fn mark(&self) -> &Mark {
        &self.at
    }

    fn code(&mut self) -> Option<u64> {
        if self.at.byte >= self.log.blocks.get(self.at.block)?.len() {
            self.at.block += 1;
            self.at.byte = 0;
        }
        let block = self.log.blocks.get(self.at.block)?;
        let (mut code, mut shift) = (0, 0);
        loop {
            let byte = *block.get(self.at.byte)?;
            self.at.byte += 1;
            code |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(code);
            }
            shift += 7;
        }
    }
}

/// Quotient and remainder, without the slow division of 64 bits where 32 are enough, as they are for a
/// chunk's.
fn divide(code: u64, divisor: u64) -> (u64, u64) {
    match (u32::try_from(code), u32::try_from(divisor)) {
        (Ok(code), Ok(divisor)) => ((code / divisor).into(), (code % divisor).into()),
        _ => (code / divisor, code % divisor),
    }
}

impl Iterator for Chunks<'_> {
    type Item = LoggedChunk;

    fn next(&mut self) -> Option<LoggedChunk> {
        let streams = self.at.streams.len() as u64;
        loop {
            let before = (self.at.block, self.at.byte);
            let Some(code) = self.code() else {
                (self.at.block, self.at.byte) = before;
                return None;
            };
            let (value, stream) = divide(code, streams + 1);
            if stream == streams {
                self.at.position += value;
                continue;
            }
            let stream = stream as usize;
            let difference = (value >> 1) as i64 ^ -((value & 1) as i64);
            let passed = &mut self.at.streams[stream];
            let size = (i64::from(passed.size) + difference) as u32;
            passed.pass(size);
            let chunk = LoggedChunk {
                stream,
                position: self.at.position,
                size,
            };
            self.at.position = chunk.end();
            return Some(chunk);
        }
    }
}

/// What the standard index of a stream is of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Indexed {
    pub chunks: u32,
    /// Bytes of payload of those chunks.
    pub payload: u64,
}

impl Indexed {
    /// Bytes of the index, its header included; 0 for a stream that has no chunk.
    pub(crate) fn index_size(&self) -> usize {
        match self.chunks as usize {
            0 => 0,
            n => ChunkHeader::SIZE + StandardIndex::SIZE + n * StandardIndexEntry::SIZE,
        }
    }
}

/// The standard indexes (`ix00`, ...) of all streams for the chunks of a log from a mark on.
///
/// They are made entry by entry, once more for each stream, since those of a whole RIFF take megabytes.
#[derive(Debug)]
pub(super) struct StandardIndexes<'a> {
    log: &'a ChunkLog,
    mark: &'a Mark,
    /// The streams' chunk names.
    ids: &'a [FourCc],
    pub streams: Vec<Indexed>,
}

impl<'a> StandardIndexes<'a> {
    pub(crate) fn new(log: &'a ChunkLog, mark: &'a Mark, ids: &'a [FourCc]) -> Self {
        let streams = log.end.streams.iter().zip(&mark.streams);
        let streams = streams
            .map(|(end, start)| Indexed {
                chunks: end.indexed.chunks - start.indexed.chunks,
                payload: end.indexed.payload - start.indexed.payload,
            })
            .collect();
        Self {
            log,
            mark,
            ids,
            streams,
        }
    }

    /// Bytes of all of them.
    pub(crate) fn size(&self) -> usize {
        self.streams.iter().map(Indexed::index_size).sum()
    }

    /// Hands them over in parts of some [`PART`], one index after the other.
    pub(crate) fn write<E>(&self, mut put: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        // The offsets' base: one header less than the first chunk, as no offset should be 0.
        let base = self.mark.position;
        for (stream, indexed) in self.streams.iter().enumerate() {
            if indexed.chunks == 0 {
                continue;
            }
            let size = indexed.index_size() - ChunkHeader::SIZE;
            put(&ChunkHeader::new(FourCc::standard_index(stream as u8), size as u32).to_bytes())?;
            let fixed = StandardIndex {
                entries: indexed.chunks,
                chunk_id: self.ids[stream],
                base_offset: base,
            };
            put(&fixed.to_bytes())?;
            let mut part = Vec::with_capacity(PART);
            let chunks = self.log.since(self.mark);
            for chunk in chunks.filter(|chunk| chunk.stream == stream) {
                let entry = StandardIndexEntry {
                    offset: (chunk.position + ChunkHeader::SIZE as u64 - base) as u32,
                    size: chunk.size,
                    delta: false,
                };
                part.extend(entry.to_bytes());
                if part.len() + StandardIndexEntry::SIZE > PART {
                    put(&part)?;
                    part.clear();
                }
            }
            put(&part)?;
        }
        Ok(())
    }
}

/// The entry of `idx1` for a chunk; `movi` is where the list's kind stands in the file.
pub(super) fn old_index_entry(chunk: LoggedChunk, movi: u64, ids: &[FourCc]) -> OldIndexEntry {
    OldIndexEntry {
        id: ids[chunk.stream],
        flags: OldIndexEntry::KEY_FRAME,
        offset: (chunk.position - movi) as u32,
        size: chunk.size,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_log_gives_back_what_it_was_told(
            chunks in prop::collection::vec((0usize..4, 0u32..=u32::MAX), 0..200),
        ) {
            // The fourth stream stands for bytes that are no chunk.
            let mut log = ChunkLog::new(3, 12);
            let mut expected = Vec::new();
            let mut marks = vec![log.end().clone()];
            let mut position = 12;
            for &(stream, size) in &chunks {
                if stream == 3 {
                    log.skip(size.into());
                    position += u64::from(size);
                } else {
                    let chunk = LoggedChunk { stream, position, size };
                    log.push(stream, size);
                    position = chunk.end();
                    expected.push(chunk);
                    marks.push(log.end().clone());
                }
            }
            prop_assert_eq!(log.end().position, position);
            prop_assert_eq!(log.len(), expected.len() as u64);
            let counted = |chunks: &[LoggedChunk]| {
                let mut streams = vec![Indexed::default(); 3];
                for chunk in chunks {
                    streams[chunk.stream].chunks += 1;
                    streams[chunk.stream].payload += u64::from(chunk.size);
                }
                streams
            };
            let indexed = |log: &ChunkLog, mark| StandardIndexes::new(log, mark, &[]).streams;
            for (n, mark) in marks.iter().enumerate() {
                let read: Vec<_> = log.since(mark).collect();
                prop_assert_eq!(&read[..], &expected[n..]);
                prop_assert_eq!(indexed(&log, mark), counted(&read));
            }
            let half = expected.len() / 2;
            // Reading up to a mark gives the same mark that writing returned.
            let mut chunks = log.since(&marks[0]);
            chunks.by_ref().take(half).for_each(drop);
            let reached = chunks.mark().clone();
            log.truncate(reached, (expected.len() - half) as u64);
            prop_assert_eq!(indexed(&log, &marks[0]), counted(&expected[..half]));
            let read: Vec<_> = log.since(&marks[0]).collect();
            prop_assert_eq!(&read[..], &expected[..half]);
        }
    }

    #[test]
    fn a_log_is_small() {
        let mut log = ChunkLog::new(2, 0);
        for frame in 0..108_000u32 {
            log.push(0, 3000 + frame % 61);
            log.push(1, 5880);
        }
        let bytes: usize = log.blocks.iter().map(Vec::capacity).sum();
        assert!(bytes < 400 << 10, "{bytes}");
    }
}
