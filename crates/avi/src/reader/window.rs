// SPDX-License-Identifier: MIT OR Apache-2.0
//! Blocks of a file that can be read at any place, read once for many small
//! chunks.

use std::collections::VecDeque;
use std::ops::Range;

use super::walk::{Stop, View};

/// What is read at once when chunks are small. Larger blocks leave the
/// processor's second-level cache.
const BLOCK: usize = 128 << 10;

/// A chunk of more than this is read by itself.
const LARGE: usize = 32 << 10;

/// With chunks of this size on average, blocks would end in the middle of one
/// too often.
const ALONE: usize = 16 << 10;

/// Small chunks of up to this together are read along with a large one before
/// them.
pub const ALONG: usize = 8 << 10;

/// So often what was read along is kept: the sound of a recording may be half a
/// second before its pictures in the file.
const KEPT: usize = 16;

/// What is read when only a chunk's header is wanted.
const PEEK: usize = 32;

/// Bytes that were read; cheap to hand on. Made from some of another block's, they are a copy.
pub trait Block: AsRef<[u8]> + for<'a> From<&'a [u8]> {
    /// Some of them, to keep.
    type Piece;

    /// Some of them, which others may want too.
    fn piece(&self, range: Range<usize>) -> Option<Self::Piece>;

    /// The same when nobody else wants any.
    fn into_piece(self, range: Range<usize>) -> Option<Self::Piece>;
}

impl Block for Vec<u8> {
    type Piece = Self;

    fn piece(&self, range: Range<usize>) -> Option<Self> {
        self.get(range).map(<[u8]>::to_vec)
    }

    fn into_piece(mut self, range: Range<usize>) -> Option<Self> {
        if range.end > self.len() {
            return None;
        }
        self.truncate(range.end);
        self.drain(..range.start);
        Some(self)
    }
}

/// Something that can be read at any place.
pub trait ReadAt {
    /// What it reads.
    type Block: Block;
    /// Why reading failed.
    type Error;

    /// Bytes there are.
    fn size(&self) -> u64;

    /// `len` bytes at `pos`; both are within the size. Fewer if the file has
    /// become shorter.
    fn read_at(&mut self, pos: u64, len: usize) -> Result<Self::Block, Self::Error>;
}

struct Held<B> {
    pos: u64,
    block: B,
    /// Bytes that end here or further on are the last that are wanted of it.
    last: usize,
}

impl<B: AsRef<[u8]>> Held<B> {
    fn range(&self, pos: u64, len: usize) -> Option<Range<usize>> {
        let from = usize::try_from(pos.checked_sub(self.pos)?).ok()?;
        let to = from.checked_add(len)?;
        (to <= self.block.as_ref().len()).then_some(from..to)
    }
}

/// The last blocks read: one for looking about, one for each stream, and what
/// was read along with one of these.
pub struct Window<S: ReadAt> {
    source: S,
    size: u64,
    look: Option<Held<S::Block>>,
    slots: Vec<Option<Held<S::Block>>>,
    along: VecDeque<Held<S::Block>>,
    /// The size of chunks, averaged over the last few.
    typical: usize,
}

impl<S: ReadAt> Window<S> {
    /// Nothing is read yet.
    pub fn new(source: S) -> Self {
        let size = source.size();
        Self {
            source,
            size,
            look: None,
            slots: Vec::new(),
            along: VecDeque::new(),
            typical: 0,
        }
    }

    /// Bytes of the file: what the source says, until less than that can be read.
    pub fn file_size(&self) -> u64 {
        self.size
    }

    /// Reads, and learns from what is not there that the file is shorter.
    fn read(&mut self, pos: u64, len: usize) -> Result<S::Block, S::Error> {
        let block = self.source.read_at(pos, len)?;
        let have = block.as_ref().len();
        if have < len {
            self.size = self.size.min(pos + have as u64);
        }
        Ok(block)
    }

    /// The source itself.
    pub fn source(&mut self) -> &mut S {
        &mut self.source
    }

    fn clip(&self, pos: u64, len: usize) -> usize {
        let left = self.size.saturating_sub(pos);
        usize::try_from(left).map_or(len, |left| left.min(len))
    }

    /// The block that has `len` bytes at `pos`, and where in it they are.
    fn find(&self, pos: u64, len: usize) -> Option<(&S::Block, Range<usize>)> {
        let mut held = self.slots.iter().flatten().chain(&self.along);
        held.find_map(|held| Some((&held.block, held.range(pos, len)?)))
    }

    /// `len` bytes at `pos` (fewer at the end of the file). What is read for
    /// them is kept in a stream's slot until something else is read for it;
    /// streams that lie next to one another use each other's.
    ///
    /// Where that is read alone, so many bytes `behind` it, no more than
    /// [`ALONG`], are read along with it and kept for a while.
    pub fn slot(
        &mut self,
        slot: usize,
        pos: u64,
        len: usize,
        behind: usize,
    ) -> Result<&[u8], S::Error> {
        let len = self.clip(pos, len);
        if len == 0 {
            return Ok(&[]);
        }
        self.typical = (self.typical * 7 + len) / 8;
        if self.find(pos, len).is_none() {
            let alone = len > LARGE || self.typical > ALONE;
            let behind = if alone { behind.min(ALONG) } else { 0 };
            let want = self.clip(pos, if alone { len + behind } else { BLOCK });
            if self.slots.len() <= slot {
                self.slots.resize_with(slot + 1, || None);
            }
            let block = self.read(pos, want)?;
            if alone && let Some(along @ [_, ..]) = block.as_ref().get(len..) {
                self.along.truncate(KEPT - 1);
                self.along.push_front(Held {
                    pos: pos + len as u64,
                    block: along.into(),
                    last: along.len(),
                });
            }
            let last = if alone { 0 } else { usize::MAX };
            if let Some(slot) = self.slots.get_mut(slot) {
                *slot = Some(Held { pos, block, last });
            }
        }
        if let Some((block, range)) = self.find(pos, len) {
            return Ok(block.as_ref().get(range).unwrap_or_default());
        }
        // A read that came back short: the file has shrunk.
        let held = self.slots.get(slot).and_then(Option::as_ref);
        Ok(held.map_or(&[], |held| held.block.as_ref()))
    }

    /// The block and where in it `len` bytes at `pos` are, as long as it is
    /// kept: until the next call of [`slot`](Self::slot).
    pub fn block(&self, pos: u64, len: usize) -> Option<(&S::Block, Range<usize>)> {
        self.find(pos, len)
    }

    /// `len` bytes at `pos`, as long as they are kept; none if they are not.
    pub fn bytes(&self, pos: u64, len: usize) -> &[u8] {
        let found = self.find(pos, len);
        let bytes = found.and_then(|(block, range)| block.as_ref().get(range));
        bytes.unwrap_or_default()
    }

    /// The same, to keep. They may no longer be in the window then.
    pub fn piece(&mut self, pos: u64, len: usize) -> Option<<S::Block as Block>::Piece> {
        match self.take(pos, len) {
            Some((block, range)) => block.into_piece(range),
            None => {
                let (block, range) = self.find(pos, len)?;
                block.piece(range)
            }
        }
    }

    /// The same, to keep, if no more of the block is wanted: it was read for
    /// these bytes, or they are its last. It is no longer in the window then.
    pub fn take(&mut self, pos: u64, len: usize) -> Option<(S::Block, Range<usize>)> {
        let wanted = |held: &Held<S::Block>| {
            let range = held.range(pos, len)?;
            (range.end >= held.last).then_some(range)
        };
        for slot in &mut self.slots {
            if let Some(range) = slot.as_ref().and_then(wanted) {
                return slot.take().map(|held| (held.block, range));
            }
        }
        let mut along = self.along.iter().enumerate();
        let (n, range) = along.find_map(|(n, held)| Some((n, wanted(held)?)))?;
        self.along.remove(n).map(|held| (held.block, range))
    }
}

impl<S: ReadAt> View for Window<S> {
    type Error = S::Error;

    fn some(&mut self, pos: u64, least: usize, most: usize) -> Result<&[u8], Stop<S::Error>> {
        let least = self.clip(pos, least);
        let most = self.clip(pos, most);
        if least == 0 {
            return Ok(&[]);
        }
        let held = self.look.as_ref();
        let there = held.is_some_and(|h| h.range(pos, least).is_some());
        if !there {
            // Going from header to header, a block is worth reading if the
            // next header may be in it, and a larger one if that goes on.
            let near = held.filter(|h| {
                let end = h.pos + h.block.as_ref().len() as u64;
                pos >= h.pos && pos < end + LARGE as u64
            });
            let want = near.map_or(PEEK, |h| (16 * h.block.as_ref().len()).min(BLOCK));
            let want = self.clip(pos, want.max(most));
            let block = self.read(pos, want).map_err(Stop::Source)?;
            self.look = Some(Held {
                pos,
                block,
                last: usize::MAX,
            });
        }
        let Some(held) = &self.look else {
            return Ok(&[]);
        };
        let data = held.block.as_ref();
        let from = usize::try_from(pos - held.pos).unwrap_or(usize::MAX);
        let data = data.get(from..).unwrap_or(&[]);
        Ok(data.get(..most).unwrap_or(data))
    }

    fn size(&self) -> Option<u64> {
        Some(self.size)
    }

    fn streamed(&self) -> bool {
        false
    }
}

/// Bytes in memory.
impl ReadAt for &[u8] {
    type Block = Vec<u8>;
    type Error = std::convert::Infallible;

    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&mut self, pos: u64, len: usize) -> Result<Vec<u8>, Self::Error> {
        let from = usize::try_from(pos).unwrap_or(usize::MAX).min(self.len());
        let to = from.saturating_add(len).min(self.len());
        Ok(self.get(from..to).unwrap_or_default().to_vec())
    }
}

/// A file on disk.
#[derive(Debug)]
pub struct FileSource {
    file: std::fs::File,
    size: u64,
}

impl FileSource {
    /// Opens a file for reading.
    pub fn open(path: impl AsRef<std::path::Path>) -> std::io::Result<Self> {
        let file = std::fs::File::open(path)?;
        let size = file.metadata()?.len();
        Ok(Self { file, size })
    }
}

impl ReadAt for FileSource {
    type Block = Vec<u8>;
    type Error = std::io::Error;

    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&mut self, pos: u64, len: usize) -> std::io::Result<Vec<u8>> {
        use std::io::{Read, Seek, SeekFrom};
        self.file.seek(SeekFrom::Start(pos))?;
        let mut block = Vec::with_capacity(len);
        (&mut self.file).take(len as u64).read_to_end(&mut block)?;
        Ok(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_for_one_chunk_alone_can_be_had_and_nothing_else() {
        let file: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
        let mut window = Window::new(&file[..]);
        let bytes = |pos: u64, len: usize| file[pos as usize..pos as usize + len].to_vec();
        // Small chunks share a block.
        let shared = window.slot(0, 1000, 300, 0).unwrap().to_vec();
        assert_eq!(shared, bytes(1000, 300));
        assert!(window.take(1000, 300).is_none());
        assert!(window.block(1300, 300).is_some());
        let len = LARGE + 8;
        assert_eq!(
            window.slot(1, 500_000, len, 0).unwrap(),
            bytes(500_000, len)
        );
        assert!(window.take(499_999, 10).is_none());
        let (block, range) = window.take(500_008, LARGE).unwrap();
        assert_eq!(block[range], bytes(500_008, LARGE));
        assert!(window.block(500_008, LARGE).is_none());
        assert!(window.block(1300, 300).is_some());
        // A block that was dropped can be read again.
        assert_eq!(
            window.slot(1, 500_000, len, 0).unwrap(),
            bytes(500_000, len)
        );
    }

    #[test]
    fn a_few_bytes_are_read_along_with_many() {
        let file: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
        let mut window = Window::new(&file[..]);
        let bytes = |pos: usize, len: usize| file[pos..pos + len].to_vec();
        let len = LARGE + 1;
        window.slot(0, 1000, len, 300).unwrap();
        let (block, range) = window.take(1000, len).unwrap();
        assert_eq!(block[range], bytes(1000, len));
        let (block, range) = window.take(1000 + len as u64 + 8, 292).unwrap();
        assert_eq!(block[range], bytes(1000 + len + 8, 292));
        assert_eq!(block.len(), 300);
        // Not more than is worth copying, and not beyond the file's end.
        window.slot(0, 1000, len, usize::MAX / 2).unwrap();
        window.take(1000, len).unwrap();
        assert!(window.block(1000 + len as u64, ALONG).is_some());
        assert!(window.block(1000 + len as u64, ALONG + 1).is_none());
        let end = file.len() - len - 100;
        window.slot(0, end as u64, len, 300).unwrap();
        window.take(end as u64, len).unwrap();
        let (block, _) = window.take((end + len) as u64, 100).unwrap();
        assert_eq!(block, bytes(end + len, 100));
        // With small chunks a whole block is read anyway.
        window.typical = 0;
        window.slot(1, 10_000, 300, 300).unwrap();
        assert!(window.take(10_000, 300).is_none());
        assert!(window.block(10_300, 300).is_some());
    }
}
