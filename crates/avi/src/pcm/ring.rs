// SPDX-License-Identifier: MIT OR Apache-2.0
//! The samples a recorder has heard and nobody has read yet.
//!
//! What is inside is always contiguous in time: when there is no room the oldest samples go, so a
//! reader never gets a gap in the middle of what it reads.

use std::collections::VecDeque;

/// Unread bytes and the time of their end.
#[derive(Debug, Default)]
pub struct Ring {
    bytes: VecDeque<u8>,
    /// Time just after the last byte, in nanoseconds, where the stream has times.
    end_ns: Option<u64>,
    /// Samples are missing between what was read last and what is inside now.
    gap: bool,
}

impl Ring {
    /// Unread bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// True when nothing is unread.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Adds `data`, which ends at `end_ns`.
    pub fn push(&mut self, data: &[u8], end_ns: Option<u64>) {
        self.bytes.extend(data);
        self.end_ns = end_ns;
    }

    /// Takes up to `n` bytes from the front.
    pub fn take(&mut self, n: usize, out: &mut Vec<u8>) -> usize {
        let n = n.min(self.bytes.len());
        let (front, back) = self.bytes.as_slices();
        let in_front = n.min(front.len());
        out.extend_from_slice(&front[..in_front]);
        out.extend_from_slice(&back[..n - in_front]);
        self.bytes.drain(..n);
        n
    }

    /// Throws the oldest bytes away until `capacity` remain, in whole frames of `frame` bytes.
    /// Returns how many bytes went.
    pub fn shrink_to(&mut self, capacity: usize, frame: usize) -> usize {
        let excess = self.bytes.len().saturating_sub(capacity);
        let lost = excess.div_ceil(frame.max(1)) * frame.max(1);
        let lost = lost.min(self.bytes.len());
        if lost > 0 {
            self.bytes.drain(..lost);
            self.gap = true;
        }
        lost
    }

    /// Forgets everything: what is pushed next does not follow what was read last.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.end_ns = None;
        self.gap = true;
    }

    /// Time of the first unread byte, in nanoseconds, given the time that a number of bytes takes.
    pub fn start_ns(&self, duration_ns: impl Fn(usize) -> u64) -> Option<u64> {
        Some(self.end_ns?.saturating_sub(duration_ns(self.bytes.len())))
    }

    /// Whether samples went missing before the first unread byte; asking resets it.
    pub fn take_gap(&mut self) -> bool {
        std::mem::take(&mut self.gap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_remains_is_the_newest_and_contiguous() {
        let mut ring = Ring::default();
        ring.push(&[1, 2, 3, 4, 5, 6], Some(600));
        assert_eq!(ring.shrink_to(3, 2), 4, "whole frames only");
        assert_eq!(ring.start_ns(|n| n as u64 * 100), Some(400));
        ring.push(&[7, 8], Some(800));
        assert!(ring.take_gap());
        assert!(!ring.take_gap());
        let mut out = Vec::new();
        assert_eq!(ring.take(3, &mut out), 3);
        assert_eq!(ring.start_ns(|n| n as u64 * 100), Some(700));
        assert_eq!(ring.take(9, &mut out), 1);
        assert_eq!(out, [5, 6, 7, 8]);
        assert!(ring.is_empty());
    }

    #[test]
    fn reading_across_the_wrap_keeps_the_order() {
        let mut ring = Ring::default();
        let mut out = Vec::new();
        let mut next = 0_u8;
        for _ in 0..100 {
            let chunk: Vec<u8> = (0..7).map(|i| next.wrapping_add(i)).collect();
            next = next.wrapping_add(7);
            ring.push(&chunk, None);
            ring.take(5, &mut out);
        }
        ring.take(usize::MAX, &mut out);
        assert_eq!(out.len(), 700);
        assert!(out.iter().enumerate().all(|(i, &b)| b == i as u8));
    }
}
