// SPDX-License-Identifier: MIT OR Apache-2.0
//! Buffers as the recorder's payloads and as pieces of the file, without a copy where that costs more.

use avi_mjpeg::header::ChunkHeader;
use avi_mjpeg::output::Piece;
use avi_mjpeg::recorder::Payload;

/// A buffer's bytes; its metadata mean nothing here.
#[derive(Debug, Clone, Default)]
pub(super) struct Bytes(pub gst::Buffer);

impl Payload for Bytes {
    fn len(&self) -> usize {
        self.0.size()
    }

    fn look<R>(&self, look: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let map = self.0.map_readable().ok()?;
        Some(look(&map))
    }

    fn take_first(&mut self, n: usize) -> Option<Self> {
        let n = n.min(self.0.size());
        if n == self.0.size() {
            return Some(std::mem::take(self));
        }
        let flags = gst::BufferCopyFlags::MEMORY;
        let first = self.0.copy_region(flags, ..n).ok()?;
        self.0 = self.0.copy_region(flags, n..).ok()?;
        Some(Self(first))
    }

    fn append(&mut self, more: Self) {
        // If the buffer is shared, this makes one of our own of it first.
        self.0.append(more.0);
    }

    fn from_vec(bytes: Vec<u8>) -> Self {
        Self(gst::Buffer::from_slice(bytes))
    }
}

/// Memory of its own for some bytes. A chunk's header takes no second allocation.
pub(super) fn memory_of(bytes: &[u8]) -> gst::Memory {
    match <[u8; ChunkHeader::SIZE]>::try_from(bytes) {
        Ok(header) => gst::Memory::from_slice(header),
        Err(_) => gst::Memory::from_slice(bytes.to_vec()),
    }
}

/// Memory of so many bytes is put into a piece as it is, less is copied.
const SHARED: usize = 42 * 1024;

/// Memory that there is no lack of. Of other kinds a device may have little, and wait for it.
const PLENTY: [&gst::glib::GStr; 2] = [
    gst::glib::gstr!("SystemMemory"),
    gst::glib::gstr!("RustGlobalAllocatorMemory"),
];

/// Whether memory is put into a piece as it is.
pub(super) fn is_shared(memory: &gst::MemoryRef) -> bool {
    memory.size() >= SHARED
        && !memory.flags().contains(gst::MemoryFlags::NO_SHARE)
        && PLENTY.iter().any(|kind| memory.is_type(*kind))
}

/// All that there is of a piece.
pub(super) fn buffer_of(piece: &mut Piece<gst::Memory>) -> gst::Buffer {
    let (copied, shared) = piece.take();
    let end = copied.as_ref().len();
    let copied = gst::Memory::from_slice(copied);
    let mut buffer = gst::Buffer::new();
    let parts = buffer.make_mut();
    let mut from = 0;
    for (at, memory) in shared {
        if at > from {
            parts.append_memory(copied.share(from..at));
            from = at;
        }
        parts.append_memory(memory);
    }
    if end > from {
        parts.append_memory(copied.share(from..end));
    }
    buffer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_a_buffer_of_few_parts() {
        gst::init().unwrap();
        let mut piece = Piece::default();
        let large = gst::Memory::from_slice(vec![2; SHARED]);
        assert!(is_shared(&large) && !is_shared(&large.share(0..100)));
        piece.copy(&[1; 8], 0);
        piece.share(SHARED, 0, |n| large.share(0..n));
        piece.copy(&[3; 2], 0);
        let buffer = buffer_of(&mut piece);
        assert_eq!(buffer.n_memory(), 3);
        let expected = [vec![1; 8], vec![2; SHARED], vec![3; 2]].concat();
        assert!(buffer.map_readable().unwrap().as_slice() == expected);
    }
}
