// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as a file to repair, from a source that may shrink, fail or say that it is larger than it
//! is. What comes of it is no larger than a small multiple of what there was, and can be read.
#![no_main]

use std::io::Cursor;

use avi_mjpeg::output::Seekable;
use avi_mjpeg::reader::Reader;
use avi_mjpeg::reader::window::ReadAt;
use avi_mjpeg::repair::repair;
use avi_mjpeg::writer::Profile;
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
    let mut made = Seekable::new(Cursor::new(Vec::new())).expect("memory");
    if repair(source, Profile::Standard, &mut made, |_, _| {}).is_ok() {
        let made = made.into_inner().expect("memory").into_inner();
        let Ok(_) = Reader::open(&made[..]) else {
            panic!("what was made is no file");
        };
    }
});
