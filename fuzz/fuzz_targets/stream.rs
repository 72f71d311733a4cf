// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as an AVI file that comes in pieces of any size, none among them, with a seek amid it, or
//! an end before its end. It may find nothing, but never panics, runs in circles or keeps more than has
//! come.
#![no_main]

use avi_fuzz::stretched;
use avi_mjpeg::reader::Snap;
use avi_mjpeg::reader::stream::{Item, StreamReader};
use avi_mjpeg::reader::tracks::Range;
use libfuzzer_sys::fuzz_target;

/// What the reader does with what has come; whether it is at its end.
fn drain(reader: &mut StreamReader, bytes: &[u8], at: &mut usize, turns: &mut usize) -> bool {
    loop {
        *turns += 1;
        assert!(*turns < 8 * bytes.len() + 1000, "runs in circles");
        reader.take_findings();
        reader.duration();
        match reader.step() {
            Ok(None) => return false,
            Ok(Some(Item::GoTo(pos))) => {
                *at = (pos as usize).min(bytes.len());
                reader.flush();
                reader.begin(*at as u64);
            }
            Ok(Some(Item::End | Item::Over)) | Err(_) => return true,
            Ok(Some(Item::Unit(unit))) => {
                let held = unit.content.map_or(0, |c| c.head.len() + c.piece.len());
                assert!(held <= bytes.len());
            }
            Ok(Some(_)) => {}
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let [first, second, bytes @ ..] = bytes else {
        return;
    };
    let bytes = &*stretched(bytes);
    // A source that breaks off, or has shrunk to where nothing can be sought.
    let bytes = if second & 2 > 0 {
        &bytes[..bytes.len() / 2]
    } else {
        bytes
    };
    let (mut state, mut at, mut turns) = (u32::from(*first) << 8 | 1, 0, 0);
    let mut seek = (second & 1 > 0).then_some(usize::from(*second) * bytes.len() / 256);
    let mut reader = StreamReader::new();
    while at < bytes.len() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // A pipe's pieces, those of a fast disk, and now and then one in which nothing comes.
        let most = if second & 4 > 0 { 5000 } else { 300_000 };
        let len = (state >> 8) as usize % most;
        let end = (at + len).min(bytes.len());
        reader.push(&bytes[at..end]);
        at = end;
        if drain(&mut reader, bytes, &mut at, &mut turns) {
            return;
        }
        if seek.is_some_and(|seek| at >= seek) {
            seek = None;
            let snaps = [Snap::Before, Snap::After, Snap::Nearest];
            let range = Range {
                start: u64::from(state) * 10,
                snap: snaps.get((state >> 4) as usize % 4).copied(),
                ..Range::ALL
            };
            if let Some(pos) = reader.seek(range, Some(bytes.len() as u64)) {
                at = (pos as usize).min(bytes.len());
                reader.flush();
                reader.begin(at as u64);
            }
        }
    }
    loop {
        reader.finish();
        if drain(&mut reader, bytes, &mut at, &mut turns) || at >= bytes.len() {
            break;
        }
        reader.push(&bytes[at..]);
        at = bytes.len();
    }
});
