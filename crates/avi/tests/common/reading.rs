// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading a file to its end, and what that costs.
#![allow(dead_code)]
#![allow(clippy::expect_used, clippy::panic, reason = "a failure ends the test")]

use std::time::{Duration, Instant};

use avi_mjpeg::reader::Finding;
use avi_mjpeg::reader::OpenError;
use avi_mjpeg::reader::player::{Player, Step};
use avi_mjpeg::reader::stream::{Item, StreamReader};
use avi_mjpeg::reader::window::ReadAt;
use rustix::time::{ClockId, clock_gettime};

/// Whoever is not at the end by then never is: what takes a second or two on an idle machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// What came of a file, and what it cost.
#[derive(Debug, Default)]
pub(crate) struct Cost {
    pub cpu: Duration,
    /// Bytes that were read.
    pub read: u64,
    pub pictures: usize,
    pub findings: Vec<Finding>,
    /// It was taken for a file.
    pub opened: bool,
}

/// CPU time of this thread.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// A source, with what is read of it.
struct Counted<'a, S> {
    source: S,
    read: &'a mut u64,
}

impl<S: ReadAt> ReadAt for Counted<'_, S> {
    type Block = S::Block;
    type Error = S::Error;

    fn size(&self) -> u64 {
        self.source.size()
    }

    fn read_at(&mut self, pos: u64, len: usize) -> Result<Self::Block, Self::Error> {
        *self.read += len as u64;
        self.source.read_at(pos, len)
    }
}

/// Reads it at any place, as a player does.
pub(crate) fn pull<S: ReadAt<Error: std::fmt::Debug>>(source: S) -> Cost {
    let (mut cost, begun, start) = (Cost::default(), Instant::now(), cpu());
    let read = &mut cost.read;
    match Player::open(Counted { source, read }) {
        Ok(mut player) => {
            cost.opened = true;
            loop {
                assert!(begun.elapsed() < DEADLINE, "it takes too long");
                let step = player.step().expect("it can be read");
                cost.findings.extend(player.take_findings());
                match step {
                    Step::Unit(unit) => {
                        cost.pictures += usize::from(unit.stream == 0 && unit.content.is_some());
                    }
                    Step::End => break,
                    _ => {}
                }
            }
        }
        Err(OpenError::NotAvi { .. }) => {}
        Err(error) => panic!("{error:?}"),
    }
    cost.cpu = cpu() - start;
    cost
}

/// Reads it in pieces of `step` bytes, as they come.
pub(crate) fn push(bytes: &[u8], step: usize) -> Cost {
    let (mut cost, begun, start) = (Cost::default(), Instant::now(), cpu());
    cost.read = bytes.len() as u64;
    let mut reader = StreamReader::new();
    let mut pieces = bytes.chunks(step);
    loop {
        assert!(begun.elapsed() < DEADLINE, "it takes too long");
        let item = reader.step();
        cost.findings.extend(reader.take_findings());
        match item {
            Ok(Some(Item::Header)) => cost.opened = true,
            Ok(Some(Item::Unit(unit))) => {
                cost.pictures += usize::from(unit.stream == 0 && unit.content.is_some());
            }
            Ok(Some(Item::End)) | Err(_) => break,
            Ok(Some(_)) => {}
            Ok(None) => match pieces.next() {
                Some(piece) => reader.push(piece),
                None => reader.finish(),
            },
        }
    }
    cost.cpu = cpu() - start;
    cost
}
