// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as an AVI file: read at any place, as a stream, checked for the
//! K210 and repaired. It may find nothing, but never panics, runs in circles
//! or takes more memory than the file has.
#![no_main]

use std::convert::Infallible;

use avi_mjpeg::reader::play::Playback;
use avi_mjpeg::reader::walk::{Item, Stop, View, Walker};
use avi_mjpeg::reader::window::ReadAt;
use avi_mjpeg::reader::{self, Reader, headers};
use avi_mjpeg::writer::{Output, Profile};
use libfuzzer_sys::fuzz_target;

struct Watched<'a> {
    bytes: &'a [u8],
    read: usize,
}

impl ReadAt for Watched<'_> {
    type Block = Vec<u8>;
    type Error = Infallible;

    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&mut self, pos: u64, len: usize) -> Result<Vec<u8>, Infallible> {
        let pos = pos as usize;
        assert!(pos + len <= self.bytes.len(), "asked for more than there is");
        self.read += len;
        assert!(self.read < 1000 * self.bytes.len() + (1 << 28), "reads in circles");
        Ok(self.bytes[pos..pos + len].to_vec())
    }
}

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

struct Count(usize);

impl Output for Count {
    type Payload = Vec<u8>;
    type Error = Infallible;

    fn put(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.0 += bytes.len();
        Ok(())
    }

    fn put_payload(&mut self, payload: Vec<u8>) -> Result<(), Infallible> {
        self.put(&payload)
    }

    fn overwrite(&mut self, position: u64, bytes: &[u8]) -> Result<(), Infallible> {
        assert!(position as usize + bytes.len() <= self.0);
        Ok(())
    }
}

fn at_any_place(bytes: &[u8]) {
    let Ok(mut reader) = Reader::open(Watched { bytes, read: 0 }) else {
        return;
    };
    let streams = reader.header().streams.len();
    let mut playback = Playback::new(streams);
    let mut chunks = 0;
    while let Ok(Some(next)) = playback.next(&mut reader) {
        let Ok(_) = reader.payload_of(&next);
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

fn as_a_stream(bytes: &[u8]) {
    let step = 1 + usize::from(bytes.last().copied().unwrap_or(0)) * 16;
    let mut pipe = Pipe { bytes, come: 0 };
    let header = loop {
        match headers::parse(&bytes[..pipe.come], 0, pipe.come == bytes.len()) {
            Ok(header) => break header,
            Err(headers::Short(_)) => pipe.come = (pipe.come + step).min(bytes.len()),
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
    at_any_place(bytes);
    as_a_stream(bytes);
    let Ok(report) = avi_mjpeg::k210_check::check(bytes, |_| {});
    let profile = if report.plays() { Profile::K210 } else { Profile::Standard };
    let _ = avi_mjpeg::repair::repair(bytes, profile, &mut Count(0), |_, _| {});
});
