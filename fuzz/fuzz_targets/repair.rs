// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as a file to repair, from a source that may shrink, fail or say that it is larger than it
//! is. What comes of it has a bound, for either profile, and can be read.
#![no_main]

#[path = "../../crates/avi/tests/common/length.rs"]
mod length;

use std::io::Cursor;

use avi_fuzz::{Moody, stretched};
use avi_mjpeg::output::Seekable;
use avi_mjpeg::reader::Reader;
use avi_mjpeg::repair::repair;
use avi_mjpeg::writer::Profile;
use length::Length;
use libfuzzer_sys::fuzz_target;

/// Frames that are repeated, silence, and a million places with their entries in the index: `repair` has these bounds.
const FILLED: usize = (256 << 20) + 100_000_000 + 40_000_000;

fuzz_target!(|bytes: &[u8]| {
    let bytes = &*stretched(bytes);
    let [mood, patience, bytes @ ..] = bytes else {
        return;
    };
    let source = || Moody::new(bytes, *mood, *patience);
    let mut length = Length(0);
    let _ = repair(source(), Profile::K210, &mut length, |_, _| {});
    assert!(
        length.0 <= FILLED + 100 * bytes.len() + 65536,
        "{} bytes",
        length.0
    );
    let mut made = Seekable::new(Cursor::new(Vec::new())).expect("memory");
    if repair(source(), Profile::Standard, &mut made, |_, _| {}).is_ok() {
        let made = made.into_inner().expect("memory").into_inner();
        assert!(
            made.len() <= FILLED - (256 << 20) + 10 * bytes.len() + 65536,
            "{} bytes",
            made.len()
        );
        let Ok(_) = Reader::open(&made[..]) else {
            panic!("what was made is no file");
        };
    }
});
