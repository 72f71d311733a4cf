// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a file that is copied at full speed is written in.

use std::sync::{Arc, Mutex};

use crate::sync::lock;

/// Chunks that are copied at full speed are collected into pieces that end where a multiple of so many
/// bytes ends in the file: systems keep files in pages and in runs of pages, and whole ones cost
/// them half as much. Larger pieces cost a tenth less, but for runs as long Linux takes free memory that
/// a virtual machine's host may have to give back first, which then costs more than all the rest.
pub(super) const PIECE: usize = 64 * 1024;

/// Memory of so many bytes is put into a piece as it is, less is copied.
const SHARED: usize = 42 * 1024;

/// Memory that there is no lack of. Of other kinds a device may have little, and wait for it.
const PLENTY: [&gst::glib::GStr; 2] = [
    gst::glib::gstr!("SystemMemory"),
    gst::glib::gstr!("RustGlobalAllocatorMemory"),
];

/// Bytes on their way. Their memory comes back when downstream is done with it: the system clears what
/// it gives anew.
struct Lent {
    bytes: Vec<u8>,
    back: Arc<Mutex<Vec<u8>>>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if self.bytes.capacity() > 0 {
            *lock(&self.back) = std::mem::take(&mut self.bytes);
        }
    }
}

/// What is collected.
#[derive(Debug, Default)]
pub(super) struct Piece {
    /// What is copied.
    copied: Vec<u8>,
    /// What is not, and how much of `copied` is before it.
    shared: Vec<(usize, gst::Memory)>,
    len: usize,
    /// Memory for `copied` that downstream is done with, if any.
    back: Arc<Mutex<Vec<u8>>>,
}

impl Piece {
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether a piece that begins at `start` in the file is complete.
    pub fn is_full(&self, start: u64) -> bool {
        self.len > 0 && self.room(start) == PIECE
    }

    /// Bytes up to where a piece ends that begins at `start` in the file.
    fn room(&self, start: u64) -> usize {
        PIECE - (start as usize % PIECE + self.len) % PIECE
    }

    /// Adds the first of some bytes, as many as there is room for; how many.
    pub fn copy(&mut self, bytes: &[u8], start: u64) -> usize {
        if self.copied.capacity() == 0 {
            self.copied = std::mem::take(&mut lock(&self.back));
            self.copied.clear();
            self.copied.reserve_exact(PIECE);
        }
        let size = bytes.len().min(self.room(start));
        self.copied.extend_from_slice(&bytes[..size]);
        self.len += size;
        size
    }

    /// Whether memory can be put in as it is.
    pub fn can_share(memory: &gst::MemoryRef) -> bool {
        memory.size() >= SHARED
            && !memory.flags().contains(gst::MemoryFlags::NO_SHARE)
            && PLENTY.iter().any(|kind| memory.is_type(*kind))
    }

    /// Adds memory as it is, from byte `from` on and as much as there is room for; how many bytes.
    pub fn share(&mut self, memory: &gst::MemoryRef, from: usize, start: u64) -> usize {
        let size = (memory.size() - from).min(self.room(start));
        let part = memory.share(from..from + size);
        self.shared.push((self.copied.len(), part));
        self.len += size;
        size
    }

    /// Takes all there is.
    pub fn take(&mut self) -> gst::Buffer {
        self.len = 0;
        let end = self.copied.len();
        let copied = gst::Memory::from_slice(Lent {
            bytes: std::mem::take(&mut self.copied),
            back: self.back.clone(),
        });
        let mut buffer = gst::Buffer::new();
        let parts = buffer.get_mut().expect("nobody else has it yet");
        let mut from = 0;
        for (at, memory) in self.shared.drain(..) {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(piece: &mut Piece, memory: &gst::MemoryRef, start: &mut u64) -> Vec<gst::Buffer> {
        let (mut from, mut full) = (0, Vec::new());
        while from < memory.size() {
            from += match Piece::can_share(memory) {
                true => piece.share(memory, from, *start),
                false => piece.copy(&memory.map_readable().unwrap()[from..], *start),
            };
            if piece.is_full(*start) {
                let buffer = piece.take();
                *start += buffer.size() as u64;
                full.push(buffer);
            }
        }
        full
    }

    #[test]
    fn pieces_have_all_bytes_in_order_and_few_parts() {
        gst::init().unwrap();
        for sizes in [
            vec![8],
            vec![8, 3000, 1],
            vec![8, SHARED, 1],
            vec![8, SHARED],
            vec![SHARED],
            vec![8, 100_001, 1],
            vec![8, 3 * PIECE + 5, 1, 8, 100],
        ] {
            let (mut piece, mut start) = (Piece::default(), 5000);
            let (mut sent, mut came, mut next) = (Vec::new(), Vec::new(), 0_u8);
            for size in sizes.iter().cycle().take(3000) {
                next = next.wrapping_add(1);
                let bytes = vec![next; *size];
                sent.extend(&bytes);
                came.extend(collect(
                    &mut piece,
                    &gst::Memory::from_slice(bytes),
                    &mut start,
                ));
                if sent.len() > 20 * PIECE {
                    break;
                }
            }
            let mut end = 5000;
            for buffer in &came {
                end += buffer.size();
                assert_eq!(end % PIECE, 0, "{sizes:?}");
                assert!(buffer.n_memory() < 16, "{sizes:?}: {}", buffer.n_memory());
            }
            came.push(piece.take());
            let came: Vec<u8> = came
                .iter()
                .flat_map(|buffer| buffer.map_readable().unwrap().to_vec())
                .collect();
            assert!(came == sent, "{sizes:?}");
        }
    }

    #[test]
    fn memory_is_used_again() {
        gst::init().unwrap();
        let mut piece = Piece::default();
        piece.copy(&[1; 100], 0);
        let address = piece.copied.as_ptr();
        drop(piece.take());
        piece.copy(&[2; 50], 0);
        assert_eq!(piece.copied.as_ptr(), address);
        let first = piece.take();
        piece.copy(&[3; 10], 0);
        assert_ne!(piece.copied.as_ptr(), address);
        assert_eq!(first.map_readable().unwrap().as_slice(), [2; 50]);
    }
}
