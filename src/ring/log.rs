// SPDX-License-Identifier: MIT OR Apache-2.0
//! A queue whose entries keep their number for life, stored in blocks of equal size.
//!
//! A plain `VecDeque` copies every entry when it grows, which for an hour of audio is a pause of
//! milliseconds in the one thread that must never pause, and it may keep twice the room it needs.
//! Blocks cost neither: a push touches one block, and room for at most two blocks is unused.

use std::collections::VecDeque;

/// Entries a block holds: few enough that the unused room of a short ring is small beside it.
const BLOCK: usize = 32;

/// A first-in first-out queue of `T`, addressed by the entry's number since the beginning.
#[derive(Debug)]
pub struct Log<T> {
    /// All but the first and the last block are full.
    blocks: VecDeque<VecDeque<T>>,
    /// A block that was emptied last, kept so that a steady stream allocates nothing.
    spare: Option<VecDeque<T>>,
    first: u64,
    end: u64,
}

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self {
            blocks: VecDeque::new(),
            spare: None,
            first: 0,
            end: 0,
        }
    }
}

impl<T> Log<T> {
    /// The number of the oldest entry held; equal to [`Log::end`] when nothing is held.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The number that the next entry gets.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Appends an entry. O(1), without moving any other.
    pub fn push(&mut self, entry: T) {
        // The first block may have lost entries at its front, so its length does not tell whether
        // it has room: the numbers do.
        let full = match self.blocks.back() {
            None => true,
            Some(_) => self.offset(self.end) == self.blocks.len() * BLOCK,
        };
        if full {
            let block = self
                .spare
                .take()
                .unwrap_or_else(|| VecDeque::with_capacity(BLOCK));
            self.blocks.push_back(block);
        }
        if let Some(block) = self.blocks.back_mut() {
            block.push_back(entry);
            self.end += 1;
        }
    }

    /// The distance of entry `number` from the beginning of the first block's room.
    fn offset(&self, number: u64) -> usize {
        (number - self.first / BLOCK as u64 * BLOCK as u64) as usize
    }

    /// The entry with that number, if it is held.
    pub fn get(&self, number: u64) -> Option<&T> {
        if number < self.first || number >= self.end {
            return None;
        }
        let offset = self.offset(number);
        let block = self.blocks.get(offset / BLOCK)?;
        // The first block has lost the entries in front of `first`, or never had them.
        let missing = if offset < BLOCK {
            self.offset(self.first)
        } else {
            0
        };
        block.get(offset % BLOCK - missing)
    }

    /// Takes the oldest entry out.
    pub fn pop(&mut self) -> Option<T> {
        let entry = self.blocks.front_mut()?.pop_front()?;
        self.first += 1;
        if self.first.is_multiple_of(BLOCK as u64) {
            self.spare = self.blocks.pop_front();
        }
        Some(entry)
    }

    /// The bytes that the log takes for `self` and its blocks, the room not in use included.
    pub fn allocated(&self) -> usize {
        let blocks = self.blocks.len() + usize::from(self.spare.is_some());
        size_of::<Self>()
            + self.blocks.capacity() * size_of::<VecDeque<T>>()
            + blocks * BLOCK * size_of::<T>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The log does what a `VecDeque` with a counter does, and takes little more room.
    fn check(steps: &[(usize, usize)]) {
        let mut log = Log::default();
        let mut model = VecDeque::new();
        let (mut first, mut next, mut most) = (0u64, 0u64, 0);
        for &(pushes, pops) in steps {
            for _ in 0..pushes {
                log.push(next);
                model.push_back(next);
                next += 1;
                most = most.max(log.blocks.len());
            }
            for _ in 0..pops {
                let popped = model.pop_front();
                assert_eq!(log.pop(), popped);
                first += u64::from(popped.is_some());
            }
            assert_eq!((log.first(), log.end()), (first, next));
            for number in first.saturating_sub(2)..next + 2 {
                let expected = (number >= first && number < next).then_some(&number);
                assert_eq!(log.get(number), expected);
            }
            // Unused room: at most a block at each end and the spare. The table of blocks, which has
            // grown to what was needed once, is beside it.
            let used = model.len() * size_of::<u64>();
            let table = log.blocks.capacity() * size_of::<VecDeque<u64>>();
            let own = size_of::<Log<u64>>() + table;
            assert!(log.allocated() - own <= used + 3 * BLOCK * size_of::<u64>());
            assert!(log.blocks.capacity() <= 4.max(2 * most));
        }
    }

    proptest! {
        #[test]
        fn behaves_as_a_queue(steps in prop::collection::vec((0usize..400, 0usize..400), 1..20)) {
            check(&steps);
        }
    }

    #[test]
    fn a_long_queue_takes_no_more() {
        check(&[
            (129 * BLOCK, 0),
            (1, 0),
            (300 * BLOCK, 200 * BLOCK),
            (0, 300 * BLOCK),
        ]);
    }
}
