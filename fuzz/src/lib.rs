// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the fuzz targets share: inputs of megabytes from seeds of some bytes, and a source with moods.

use std::borrow::Cow;

use avi_mjpeg::reader::window::ReadAt;

/// What makes a part of an input large: these four bytes, then `n`, `len` and `len` bytes, which are
/// repeated until there are 2 to the power of `n` of them, and then as they are.
pub const STRETCH: &[u8; 4] = b"\xf0<*>";

/// The largest input.
pub const LARGEST: usize = 16 << 20;

/// An input with its stretches carried out.
pub fn stretched(input: &[u8]) -> Cow<'_, [u8]> {
    let Some(mut at) = find(input) else {
        return input.into();
    };
    let (mut rest, mut made) = (input, Vec::new());
    loop {
        made.extend_from_slice(&rest[..at]);
        rest = &rest[at + STRETCH.len()..];
        if let [power, len, after @ ..] = rest
            && let Some((pattern, after)) = after.split_at_checked(usize::from(*len))
            && !pattern.is_empty()
        {
            let wanted = 1 << (power % 25);
            let wanted = LARGEST.saturating_sub(made.len()).min(wanted);
            made.extend(pattern.iter().cycle().take(wanted));
            rest = after;
        }
        match find(rest) {
            Some(next) => at = next,
            None => break,
        }
    }
    made.extend_from_slice(rest);
    made.truncate(LARGEST);
    made.into()
}

fn find(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(STRETCH.len())
        .position(|four| four == STRETCH)
}

/// A source that may become shorter, fail for once, give less than it is asked for, or say that it is
/// larger than it is.
pub struct Moody<'a> {
    bytes: &'a [u8],
    told: u64,
    mood: u8,
    /// Reads until its mood shows.
    patience: usize,
    reads: usize,
    read: usize,
}

impl<'a> Moody<'a> {
    /// The two lowest bits of `mood` say what happens at a read, 4 that the size is overstated, by how
    /// much the rest.
    pub fn new(bytes: &'a [u8], mood: u8, patience: u8) -> Self {
        let boast = if mood & 4 > 0 { 1 << (mood >> 3) } else { 0 };
        Self {
            bytes,
            told: bytes.len() as u64 + boast,
            mood: mood & 3,
            patience: usize::from(patience),
            reads: 0,
            read: 0,
        }
    }
}

impl ReadAt for Moody<'_> {
    type Block = Vec<u8>;
    type Error = ();

    fn size(&self) -> u64 {
        self.told
    }

    fn read_at(&mut self, pos: u64, len: usize) -> Result<Vec<u8>, ()> {
        assert!(
            pos + len as u64 <= self.told,
            "asked for more than was told of"
        );
        self.reads += 1;
        self.read += len;
        assert!(
            self.read < 1000 * self.told.min(1 << 25) as usize + (1 << 28),
            "reads in circles"
        );
        let mut len = len;
        match self.mood {
            1 if self.reads == self.patience => self.bytes = &self.bytes[..self.bytes.len() / 2],
            2 if self.reads == self.patience => return Err(()),
            3 if self.reads % (self.patience + 2) == 0 => len /= 2,
            _ => {}
        }
        let from = usize::try_from(pos).map_or(self.bytes.len(), |pos| pos.min(self.bytes.len()));
        let to = from.saturating_add(len).min(self.bytes.len());
        Ok(self.bytes[from..to].to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_stretched() {
        assert_eq!(*stretched(b"plain"), *b"plain");
        assert_eq!(*stretched(b"a\xf0<*>\x03\x02xyb"), *b"axyxyxyxyb");
        assert_eq!(*stretched(b"a\xf0<*>\x03\x09xyb"), *b"a\x03\x09xyb");
        assert_eq!(
            stretched(b"a\xf0<*>\x18\x01x\xf0<*>\x18\x01yb").len(),
            LARGEST
        );
    }
}
