// SPDX-License-Identifier: MIT OR Apache-2.0
//! Searching for one of many things by the byte that each begins with.

/// Compared with zeros at once.
const RUN: usize = 256;

const ZEROS: [u8; RUN] = [0; RUN];

/// Bytes that something searched for begins with. Zero is none of them.
pub(super) struct Firsts([bool; 256]);

impl Firsts {
    /// These.
    pub(super) const fn of(bytes: &[u8]) -> Self {
        let mut firsts = [false; 256];
        let mut rest = bytes;
        while let [first, after @ ..] = rest {
            assert!(*first != 0, "zeros are stepped over");
            #[allow(clippy::indexing_slicing, reason = "a byte is less than 256")]
            {
                firsts[*first as usize] = true;
            }
            rest = after;
        }
        Self(firsts)
    }

    /// Where the first of them is. What was never written is zeros, of which a run takes as long as some bytes.
    pub(super) fn find(&self, data: &[u8]) -> Option<usize> {
        let mut before = 0;
        for run in data.chunks(RUN) {
            if ZEROS.get(..run.len()) != Some(run) {
                let is_one = |byte: &u8| self.0.get(usize::from(*byte)) == Some(&true);
                if let Some(found) = run.iter().position(is_one) {
                    return Some(before + found);
                }
            }
            before += run.len();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_found_wherever_it_is() {
        const ODD: Firsts = Firsts::of(b"ab\xff");
        for len in [0, 1, RUN - 1, RUN, RUN + 1, 3 * RUN + 7] {
            for filler in [0, b'x'] {
                let mut data = vec![filler; len];
                assert_eq!(ODD.find(&data), None);
                for at in (0..len).rev() {
                    data[at] = b"ab\xff"[at % 3];
                    assert_eq!(ODD.find(&data), Some(at), "{at} of {len}");
                }
            }
        }
    }
}
