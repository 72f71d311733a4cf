// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sound in whole samples: what reads it from a pipe or a socket cuts it anywhere, and a part of a sample would shift
//! the channels of all that follows.

use super::Payload;

/// The begin of a sample whose rest is still to come.
#[derive(Debug, Clone, Default)]
pub struct Whole<P> {
    rest: P,
}

impl<P: Payload> Whole<P> {
    /// What comes does not follow what came.
    pub fn reset(&mut self) {
        self.rest = P::default();
    }

    /// Whether so many bytes that come now are whole samples of `block` bytes as they are.
    pub fn is_whole(&self, bytes: usize, block: usize) -> bool {
        self.rest.is_empty() && bytes.checked_rem(block).unwrap_or(0) == 0
    }

    /// Puts the rest of a sample that came before in front, and keeps the begin of one whose rest is still to come.
    /// There may be nothing whole yet. `None` if the bytes cannot be had.
    pub fn complete(&mut self, mut payload: P, block: usize) -> Option<P> {
        if !self.rest.is_empty() {
            let mut whole = std::mem::take(&mut self.rest);
            whole.append(payload);
            payload = whole;
        }
        let over = payload.len().checked_rem(block).unwrap_or(0);
        if over > 0 {
            let whole = payload.take_first(payload.len() - over)?;
            self.rest = std::mem::replace(&mut payload, whole);
        }
        Some(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_that_is_cut_waits_for_its_rest() {
        let mut whole = Whole::default();
        let mut given = |bytes: &[u8]| whole.complete(bytes.to_vec(), 4).unwrap();
        assert!(given(&[1, 2, 3]).is_empty());
        assert_eq!(given(&[4, 5]), [1, 2, 3, 4]);
        assert_eq!(given(&[6, 7, 8, 9]), [5, 6, 7, 8]);
        assert!(!whole.is_whole(4, 4));
        whole.reset();
        assert!(whole.is_whole(4, 4) && !whole.is_whole(5, 4) && whole.is_whole(5, 0));
        assert_eq!(whole.complete(vec![1, 2], 0), Some(vec![1, 2]));
    }
}
