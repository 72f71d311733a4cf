// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as what ffmpeg says on its standard error, in pieces of any size: lines of bounded length,
//! the same ones however the bytes come.
#![no_main]
#![allow(dead_code)]

#[path = "../../src/ffmpegsink/messages.rs"]
mod messages;

use avi_fuzz::stretched;
use libfuzzer_sys::fuzz_target;
use messages::Lines;

fn lines<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = Lines::default();
    let mut take = |line: &str| {
        assert!(!line.is_empty() && line.trim_end() == line);
        // Each byte that is no text has become a mark of three.
        assert!(line.len() <= 3 * 4096, "a line of {} bytes", line.len());
        found.push(line.to_owned());
    };
    for piece in pieces {
        lines.push(piece, &mut take);
    }
    lines.finish(&mut take);
    found
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&step, bytes)) = bytes.split_first() else {
        return;
    };
    let bytes = stretched(bytes);
    let whole = lines(std::iter::once(&*bytes));
    let pieces = lines(bytes.chunks(1 + usize::from(step)));
    assert!(whole == pieces, "{whole:?} and {pieces:?}");
});
