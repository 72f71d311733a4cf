// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as a file to repair, from a source that may shrink, fail or say that it is larger than it
//! is. What comes of it is no larger than a small multiple of what there was, and can be read.
#![no_main]

use avi_mjpeg::reader::Reader;
use avi_mjpeg::reader::window::ReadAt;
use avi_mjpeg::repair::repair;
use avi_mjpeg::writer::{Output, Profile};
use libfuzzer_sys::fuzz_target;

/// A source with a temper.
struct Moody<'a> {
    bytes: &'a [u8],
    /// Reads until it shrinks, or fails.
    patience: usize,
    fails: bool,
    /// What it says more than it has.
    boast: u64,
    reads: usize,
}

impl ReadAt for Moody<'_> {
    type Block = Vec<u8>;
    type Error = ();

    fn size(&self) -> u64 {
        self.bytes.len() as u64 + self.boast
    }

    fn read_at(&mut self, pos: u64, len: usize) -> Result<Vec<u8>, ()> {
        self.reads += 1;
        assert!(self.reads < 40 * self.bytes.len() + 10_000, "reads in circles");
        if self.reads == self.patience {
            if self.fails {
                return Err(());
            }
            self.bytes = &self.bytes[..self.bytes.len() / 2];
        }
        let from = usize::try_from(pos).unwrap_or(usize::MAX).min(self.bytes.len());
        let to = from.saturating_add(len).min(self.bytes.len());
        Ok(self.bytes[from..to].to_vec())
    }
}

#[derive(Default)]
struct Memory(Vec<u8>);

impl Output for Memory {
    type Payload = Vec<u8>;
    type Error = std::convert::Infallible;

    fn chunk(
        &mut self,
        header: [u8; 8],
        payload: Vec<u8>,
        padding: bool,
        _: bool,
    ) -> Result<(), Self::Error> {
        self.0.extend(header);
        self.0.extend(payload);
        self.0.extend(padding.then_some(0));
        Ok(())
    }

    fn append(&mut self, bytes: Vec<u8>, _: bool) -> Result<(), Self::Error> {
        self.0.extend(bytes);
        Ok(())
    }

    fn overwrite(&mut self, position: u64, bytes: &[u8]) -> Result<(), Self::Error> {
        let at = position as usize;
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

fuzz_target!(|bytes: &[u8]| {
    let [mood, patience, bytes @ ..] = bytes else {
        return;
    };
    let source = Moody {
        bytes,
        patience: usize::from(*patience),
        fails: mood & 1 > 0,
        boast: if mood & 2 > 0 { 1 << (mood >> 3) } else { 0 },
        reads: 0,
    };
    let mut made = Memory::default();
    if repair(source, Profile::Standard, &mut made, |_, _| {}).is_ok() {
        let Ok(_) = Reader::open(&made.0[..]) else {
            panic!("what was made is no file");
        };
    }
});
