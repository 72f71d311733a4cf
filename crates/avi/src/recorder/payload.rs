// SPDX-License-Identifier: MIT OR Apache-2.0
//! What frames and samples are passed in.

use std::borrow::Cow;

/// Bytes of a frame or of samples: what a program has them in, and passes on to the
/// [`Storage`](super::Storage) with as few copies as that allows.
///
/// A clone is made for each frame that is written again.
pub trait Payload: Clone + Default {
    /// Number of bytes.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Shows the bytes to `look`; `None` if they cannot be had.
    fn look<R>(&self, look: impl FnOnce(&[u8]) -> R) -> Option<R>;

    /// Takes the first `n` bytes out, all if there are fewer; `None` if that cannot be done.
    fn take_first(&mut self, n: usize) -> Option<Self>;

    /// Puts `more` behind what is there.
    fn append(&mut self, more: Self);

    /// Bytes of our own: silence, or a frame that was completed.
    fn from_vec(bytes: Vec<u8>) -> Self;
}

impl Payload for Vec<u8> {
    fn len(&self) -> usize {
        self.len()
    }

    fn look<R>(&self, look: impl FnOnce(&[u8]) -> R) -> Option<R> {
        Some(look(self))
    }

    fn take_first(&mut self, n: usize) -> Option<Self> {
        let rest = self.split_off(n.min(self.len()));
        Some(std::mem::replace(self, rest))
    }

    fn append(&mut self, mut more: Self) {
        Self::append(self, &mut more);
    }

    fn from_vec(bytes: Vec<u8>) -> Self {
        bytes
    }
}

impl Payload for Cow<'_, [u8]> {
    fn len(&self) -> usize {
        self.as_ref().len()
    }

    fn look<R>(&self, look: impl FnOnce(&[u8]) -> R) -> Option<R> {
        Some(look(self))
    }

    fn take_first(&mut self, n: usize) -> Option<Self> {
        match self {
            Cow::Borrowed(bytes) => {
                let (first, rest) = bytes.split_at(n.min(bytes.len()));
                *bytes = rest;
                Some(Cow::Borrowed(first))
            }
            Cow::Owned(bytes) => bytes.take_first(n).map(Cow::Owned),
        }
    }

    fn append(&mut self, more: Self) {
        if self.is_empty() {
            *self = more;
        } else {
            self.to_mut().extend_from_slice(&more);
        }
    }

    fn from_vec(bytes: Vec<u8>) -> Self {
        Cow::Owned(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_and_append<P: Payload>(whole: P) -> (Vec<u8>, Vec<u8>) {
        let copy = |payload: &P| payload.look(<[u8]>::to_vec).unwrap_or_default();
        let mut rest = whole;
        let mut first = rest.take_first(2).unwrap();
        first.append(P::from_vec(vec![9]));
        assert!(rest.clone().take_first(100).unwrap().len() == rest.len());
        (copy(&first), copy(&rest))
    }

    #[test]
    fn payloads_are_cut_and_joined() {
        let expected = (vec![1, 2, 9], vec![3, 4, 5]);
        let bytes = vec![1, 2, 3, 4, 5];
        assert_eq!(take_and_append(Cow::Borrowed(&bytes[..])), expected);
        assert_eq!(take_and_append(Cow::Owned(bytes.clone())), expected);
        assert_eq!(take_and_append(bytes), expected);
    }
}
