// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is collected before it is written.

use std::sync::{Arc, Mutex, PoisonError};

/// What a file is appended to in, of bytes that are copied and of memory that is shared.
///
/// A piece ends where a multiple of 64 KiB ends in the file: systems keep files in pages and in runs of pages, and
/// whole ones cost them half as much. Larger pieces cost a tenth less, but for runs as long Linux takes free memory
/// that a virtual machine's host may have to give back first, which then costs more than all the rest.
#[derive(Debug)]
pub struct Piece<M> {
    /// What is copied.
    copied: Vec<u8>,
    /// What is not, and how much of `copied` is before it.
    shared: Vec<(usize, M)>,
    len: usize,
    /// Memory for `copied` that is in use no more, if any: the system clears what it gives anew.
    back: Back,
}

type Back = Arc<Mutex<Vec<u8>>>;

/// What was copied of a piece. When it is dropped, the next piece is copied into its memory.
#[derive(Debug)]
pub struct Copied {
    bytes: Vec<u8>,
    back: Back,
}

impl AsRef<[u8]> for Copied {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        if self.bytes.capacity() >= Piece::<()>::SIZE {
            let mut back = self.back.lock().unwrap_or_else(PoisonError::into_inner);
            *back = std::mem::take(&mut self.bytes);
        }
    }
}

impl<M> Default for Piece<M> {
    fn default() -> Self {
        Self {
            copied: Vec::new(),
            shared: Vec::new(),
            len: 0,
            back: Back::default(),
        }
    }
}

impl<M> Piece<M> {
    /// Bytes of a whole one.
    pub const SIZE: usize = 64 * 1024;

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether it is complete. `start` is where it begins in the file.
    pub fn is_full(&self, start: u64) -> bool {
        self.len > 0 && self.room(start) == Self::SIZE
    }

    /// Bytes up to where it ends.
    fn room(&self, start: u64) -> usize {
        let size = Self::SIZE;
        size - ((start % size as u64) as usize + self.len) % size
    }

    /// Adds the first of some bytes, as many as there is room for in a piece that begins at `start`; how many.
    pub fn copy(&mut self, bytes: &[u8], start: u64) -> usize {
        if self.copied.capacity() == 0 {
            let mut back = self.back.lock().unwrap_or_else(PoisonError::into_inner);
            self.copied = std::mem::take(&mut back);
            self.copied.clear();
            self.copied.reserve_exact(Self::SIZE);
        }
        let size = bytes.len().min(self.room(start));
        self.copied.extend_from_slice(&bytes[..size]);
        self.len += size;
        size
    }

    /// Adds the first of `size` bytes of memory as they are, as many as there is room for; how many. `part` makes the
    /// memory of so many.
    pub fn share(&mut self, size: usize, start: u64, part: impl FnOnce(usize) -> M) -> usize {
        let size = size.min(self.room(start));
        self.shared.push((self.copied.len(), part(size)));
        self.len += size;
        size
    }

    /// Takes all there is: what was copied, and what was shared, each with the number of copied bytes that are before
    /// it.
    pub fn take(&mut self) -> (Copied, Vec<(usize, M)>) {
        self.len = 0;
        let copied = Copied {
            bytes: std::mem::take(&mut self.copied),
            back: self.back.clone(),
        };
        (copied, std::mem::take(&mut self.shared))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = Piece::<()>::SIZE;

    /// The bytes of a piece in their order, and its number of parts.
    fn put_together(piece: &mut Piece<Vec<u8>>) -> (Vec<u8>, usize) {
        let (copied, shared) = piece.take();
        let copied = copied.as_ref();
        let (mut bytes, mut from) = (Vec::new(), 0);
        let parts = 2 * shared.len() + 1;
        for (at, memory) in shared {
            bytes.extend(&copied[from..at]);
            bytes.extend(memory);
            from = at;
        }
        bytes.extend(&copied[from..]);
        (bytes, parts)
    }

    #[test]
    fn pieces_have_all_bytes_in_order_and_end_where_they_should() {
        for sizes in [
            vec![8],
            vec![8, 3000, 1],
            vec![8, SIZE, 1],
            vec![SIZE],
            vec![8, 100_001, 1],
            vec![8, 3 * SIZE + 5, 1, 8, 100],
        ] {
            let (mut piece, mut end) = (Piece::default(), 5000);
            let (mut sent, mut came, mut next) = (Vec::new(), Vec::new(), 0_u8);
            for size in sizes.iter().cycle().take(3000) {
                next = next.wrapping_add(1);
                let bytes = vec![next; *size];
                let mut from = 0;
                while from < *size {
                    let left = &bytes[from..];
                    from += match *size >= 42 * 1024 {
                        true => piece.share(left.len(), end, |n| left[..n].to_vec()),
                        false => piece.copy(left, end),
                    };
                    if piece.is_full(end) {
                        let (bytes, parts) = put_together(&mut piece);
                        end += bytes.len() as u64;
                        assert_eq!(end % SIZE as u64, 0, "{sizes:?}");
                        assert!(parts < 16, "{sizes:?}: {parts}");
                        came.extend(bytes);
                    }
                }
                sent.extend(bytes);
                if sent.len() > 20 * SIZE {
                    break;
                }
            }
            came.extend(put_together(&mut piece).0);
            assert!(came == sent, "{sizes:?}");
        }
    }

    #[test]
    fn memory_is_used_again() {
        let mut piece = Piece::<()>::default();
        piece.copy(&[1; 100], 0);
        let (first, _) = piece.take();
        let address = first.as_ref().as_ptr();
        piece.copy(&[2; 50], 0);
        let (second, _) = piece.take();
        assert_ne!(second.as_ref().as_ptr(), address, "the first is in use");
        drop(first);
        piece.copy(&[3; 50], 0);
        assert_eq!(piece.take().0.as_ref().as_ptr(), address);
        assert_eq!(second.as_ref(), [2; 50]);
    }
}
