// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as an AVI file: read at any place, from a source with moods too, walked through as it
//! comes, checked for the K210 and repaired. It may find nothing, but never panics, runs in circles or
//! takes more memory than the file has.
#![no_main]

#[path = "../../crates/avi/tests/common/length.rs"]
mod length;

use std::convert::Infallible;

use avi_fuzz::{Moody, stretched};
use avi_mjpeg::reader::play::Playback;
use avi_mjpeg::reader::player::{Player, Step};
use avi_mjpeg::reader::walk::{Item, Stop, View, Walker};
use avi_mjpeg::reader::{self, Reader, headers};
use avi_mjpeg::writer::Profile;
use length::Length;
use libfuzzer_sys::fuzz_target;

struct Pipe<'a> {
    bytes: &'a [u8],
    come: usize,
}

impl View for Pipe<'_> {
    type Error = Infallible;

    fn some(&mut self, pos: u64, least: usize, most: usize) -> Result<&[u8], Stop<Infallible>> {
        let there = self.bytes[..self.come].get(pos as usize..).unwrap_or(&[]);
        if there.len() < least && self.come < self.bytes.len() {
            return Err(Stop::Short { pos, len: least });
        }
        Ok(&there[..there.len().min(most)])
    }

    fn size(&self) -> Option<u64> {
        (self.come == self.bytes.len()).then_some(self.come as u64)
    }

    fn streamed(&self) -> bool {
        true
    }
}

fn at_any_place(bytes: &[u8]) {
    let Ok(mut reader) = Reader::open(Moody::new(bytes, 0, 0)) else {
        return;
    };
    let streams = reader.header().streams.len();
    let mut playback = Playback::new(streams);
    let mut chunks = 0;
    while let Ok(Some(next)) = playback.next(&mut reader) {
        assert!(reader.payload_of(&next).is_ok());
        chunks += 1;
        assert!(chunks <= bytes.len(), "plays in circles");
    }
    assert!(reader.is_complete());
    playback.seek(&reader, reader.duration() / 2, true);
    for _ in 0..50 {
        let Ok(Some(_)) = playback.next(&mut reader) else {
            break;
        };
    }
    assert!(reader.index().memory() <= 8 * bytes.len() + 8192);
}

/// A player goes on where a read has failed, as an element that was flushed does, and ends.
fn from_a_source_with_moods(bytes: &[u8], mood: u8, patience: u8) {
    let Ok(mut player) = Player::open(Moody::new(bytes, mood, patience)) else {
        return;
    };
    let (mut steps, mut failures) = (0, 0);
    loop {
        steps += 1;
        assert!(steps <= 2 * bytes.len() + 1000, "plays in circles");
        player.take_findings();
        match player.step() {
            Ok(Step::End) => break,
            Ok(_) => {}
            Err(_) => {
                failures += 1;
                assert!(failures < 10, "one failure is told again and again");
            }
        }
    }
}

fn as_a_stream(bytes: &[u8]) {
    // Each piece of a head is looked at again with all before it: a few of them, as the stream's reader asks for.
    let step = 1 + usize::from(bytes.last().copied().unwrap_or(0)) * 16;
    let step = step.max(bytes.len() / 64);
    let mut pipe = Pipe { bytes, come: 0 };
    let header = loop {
        match headers::parse(&bytes[..pipe.come], 0, pipe.come == bytes.len()) {
            Ok(header) => break header,
            Err(headers::Short(_)) => {
                pipe.come = (pipe.come + step.max(pipe.come)).min(bytes.len());
            }
        }
    };
    let start = header.movi.map_or(0, |movi| movi + 4);
    let mut walker = Walker::new(reader::kinds(&header), start, reader::picture_size(&header));
    for _ in 0..4 * bytes.len() + 100 {
        let before = walker.pos();
        match walker.next(&mut pipe) {
            Ok(Item::End) => return,
            Ok(_) => assert!(walker.pos() >= before),
            Err(_) => pipe.come = (pipe.come + step).min(bytes.len()),
        }
    }
    panic!("walks in circles");
}

fuzz_target!(|bytes: &[u8]| {
    let bytes = &*stretched(bytes);
    if let [mood, patience, ..] = *bytes {
        // The end says what RIFF at the beginning can not.
        let last = bytes.last().copied();
        from_a_source_with_moods(bytes, last.unwrap_or(mood), patience);
    }
    at_any_place(bytes);
    as_a_stream(bytes);
    let Ok(report) = avi_mjpeg::k210_check::check(bytes, |_| {});
    let profile = if report.plays() {
        Profile::K210
    } else {
        Profile::Standard
    };
    let _ = avi_mjpeg::repair::repair(bytes, profile, &mut Length(0), |_, _| {});
});
