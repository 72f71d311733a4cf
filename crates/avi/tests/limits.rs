// SPDX-License-Identifier: MIT OR Apache-2.0
//! What files cost that are made to cost much: time and memory in proportion to their size, and a few
//! findings, whether they can be read at any place or come in pieces.
#![allow(clippy::expect_used, clippy::panic, reason = "a failure ends the test")]

#[path = "common/avi_bytes.rs"]
mod avi_bytes;
#[path = "common/avi_memory.rs"]
mod avi_memory;
#[path = "common/hostile.rs"]
mod hostile;
#[path = "common/reading.rs"]
mod reading;

use std::time::Duration;

use avi_bytes::{File, IndexKind, chunk, picture, pieces};
use avi_memory::{bytes_of, memory};
use avi_mjpeg::reader::Finding;
use avi_mjpeg::reader::player::{Player, Step};
use avi_mjpeg::reader::window::ReadAt;
use avi_mjpeg::repair::repair;
use avi_mjpeg::writer::Profile;
use reading::{pull, push};

/// A source that says that it has `told` bytes, whatever it has, and counts what is read.
struct Source {
    bytes: Vec<u8>,
    told: u64,
    read: u64,
    largest: usize,
    /// It has shrunk to this after so many reads.
    shrinks: Option<(usize, usize)>,
    reads: usize,
}

impl Source {
    fn new(bytes: Vec<u8>) -> Self {
        Self {
            told: bytes.len() as u64,
            bytes,
            read: 0,
            largest: 0,
            shrinks: None,
            reads: 0,
        }
    }
}

impl ReadAt for &mut Source {
    type Block = Vec<u8>;
    type Error = ();

    fn size(&self) -> u64 {
        self.told
    }

    fn read_at(&mut self, pos: u64, len: usize) -> Result<Vec<u8>, ()> {
        self.reads += 1;
        if let Some((reads, size)) = self.shrinks
            && self.reads == reads
        {
            self.bytes.truncate(size);
        }
        self.largest = self.largest.max(len);
        let from = usize::try_from(pos)
            .unwrap_or(usize::MAX)
            .min(self.bytes.len());
        let to = from.saturating_add(len).min(self.bytes.len());
        self.read += (to - from) as u64;
        Ok(self.bytes[from..to].to_vec())
    }
}

fn head() -> Vec<u8> {
    let built = File {
        index: IndexKind::None,
        ..File::default()
    }
    .build(&pieces(1, None));
    built.bytes[..built.at[0]].to_vec()
}

#[test]
fn zeros_behind_a_head_are_read_through_once() {
    let mut bytes = head();
    bytes.resize(bytes.len() + (40 << 20), 0);
    let pushed = push(&bytes, 4096);
    let size = bytes.len() as u64;
    let mut source = Source::new(bytes);
    let pulled = pull(&mut source);
    assert!(source.read < 3 * size, "{} bytes were read", source.read);
    for outcome in [pushed, pulled] {
        assert!(outcome.opened);
        assert_eq!(outcome.pictures, 0);
        assert!(outcome.findings.len() <= 2, "{:?}", outcome.findings);
    }
}

#[test]
fn zeros_alone_are_given_up() {
    let bytes = vec![0; 63 << 20];
    assert!(!push(&bytes, 4096).opened);
    let mut source = Source::new(bytes);
    assert!(!pull(&mut source).opened);
    assert!(source.read < 4 * source.told, "{}", source.read);
}

#[test]
fn a_file_behind_zeros_is_found_with_its_head() {
    let built = File::default().build(&pieces(20, None));
    let bytes = [vec![0; 20 << 20], built.bytes].concat();
    for outcome in [push(&bytes, 4096), pull(&mut Source::new(bytes.clone()))] {
        assert_eq!(outcome.pictures, 20);
        assert!(
            !outcome.findings.contains(&Finding::NoHeader),
            "{:?}",
            outcome.findings
        );
    }
}

/// CPU time for a byte, in a build that is hardly optimized, beside others that have the processor's caches; and what
/// may be looked at in vain in any file. What is meant is proportion: 16 MiB took seconds once.
const EACH: Duration = Duration::from_nanos(400);
const ANY: Duration = Duration::from_millis(500);

#[test]
fn no_byte_costs_much_whatever_it_is() {
    const LEN: usize = 2 << 20;
    let mut wrong = Vec::new();
    for (name, make) in hostile::KINDS {
        let bytes = make(LEN);
        for head in [hostile::head(true), Vec::new()] {
            let way = if head.is_empty() {
                "alone"
            } else {
                "behind a head"
            };
            let bytes = [head, bytes.clone()].concat();
            let pulled = pull(&bytes[..]);
            let pushed = [1 << 12, 1 << 16].map(|step| push(&bytes, step));
            if pulled.read > 40 * bytes.len() as u64 {
                wrong.push(format!("{name}, {way}: {} bytes are read", pulled.read));
            }
            for cost in [pulled].into_iter().chain(pushed) {
                if cost.cpu > ANY + EACH * LEN as u32 {
                    wrong.push(format!("{name}, {way}: {:?}", cost.cpu));
                }
                let told = cost.findings.len();
                if told > 50 {
                    wrong.push(format!("{name}, {way}: {told} findings"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn floods_of_what_looks_like_the_start_of_something() {
    let picture: Vec<u8> = [0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2].repeat(1 << 17);
    let sound: Vec<u8> = b"00dc\xff\xff\x0f\0".repeat(1 << 17);
    let riff: Vec<u8> = b"RIFF\xff\xff\x0f\0AVI ".repeat(1 << 16);
    // A segment that reaches over all, then another, and so on.
    let long: Vec<u8> = [0xff, 0xd8, 0xff, 0xe1, 0xff, 0xff, 0xff, 0xfe].repeat(1 << 17);
    for flood in [picture, sound, riff, long] {
        for head in [head(), Vec::new()] {
            let bytes = [head, flood.clone()].concat();
            let pushed = push(&bytes, 4096);
            let size = bytes.len() as u64;
            let mut source = Source::new(bytes);
            let pulled = pull(&mut source);
            assert!(
                source.read < 300 * size,
                "{} bytes of {size} were read",
                source.read
            );
            for outcome in [pushed, pulled] {
                assert!(outcome.findings.len() < 50, "{}", outcome.findings.len());
            }
        }
    }
}

#[test]
fn a_source_that_overstates_its_size_ends_where_its_bytes_do() {
    for index in [IndexKind::None, IndexKind::Old, IndexKind::OpenDml] {
        let built = File {
            index,
            ..File::default()
        }
        .build(&pieces(30, None));
        for boast in [1, 4096, 1 << 20, 1 << 40] {
            let mut source = Source::new(built.bytes.clone());
            source.told += boast;
            let outcome = pull(&mut source);
            assert_eq!(outcome.pictures, 30, "{index:?} {boast}");
        }
        // Of a head alone, too.
        let mut source = Source::new(built.bytes[..built.at[0] / 2].to_vec());
        source.told = 1 << 30;
        assert_eq!(pull(&mut source).pictures, 0);
    }
}

#[test]
fn a_file_that_shrinks_while_it_is_read_ends() {
    for index in [IndexKind::None, IndexKind::Old] {
        let content: Vec<_> = (0..100)
            .map(|n| avi_bytes::Piece::Video(picture(n, 40_000)))
            .collect();
        let built = File {
            index,
            ..File::default()
        }
        .build(&content);
        for reads in [1, 2, 5, 20, 60] {
            let mut source = Source::new(built.bytes.clone());
            source.shrinks = Some((reads, built.at[50] + 1000));
            let outcome = pull(&mut source);
            assert!(outcome.pictures <= 100, "{reads}");
        }
    }
}

#[test]
fn thousands_of_like_findings_are_told_as_one() {
    let hole = [chunk(b"00dc", &picture(1, 700)), vec![0xee; 64]].concat();
    let mut bytes = head();
    bytes.extend(hole.repeat(5000));
    for outcome in [push(&bytes, 4096), pull(&mut Source::new(bytes.clone()))] {
        assert_eq!(outcome.pictures, 5000);
        assert!(outcome.findings.len() < 30, "{}", outcome.findings.len());
        let more = outcome.findings.iter().find_map(|finding| match finding {
            Finding::More { count, .. } => Some(*count),
            _ => None,
        });
        assert!(more.is_some_and(|more| more > 4900), "{more:?}");
    }
}

/// A file that is mostly a hole.
struct Sparse {
    head: Vec<u8>,
    size: u64,
    largest: usize,
}

impl ReadAt for &mut Sparse {
    type Block = Vec<u8>;
    type Error = std::convert::Infallible;

    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&mut self, pos: u64, len: usize) -> Result<Vec<u8>, Self::Error> {
        self.largest = self.largest.max(len);
        let mut block = vec![0; len];
        let from = usize::try_from(pos).unwrap_or(usize::MAX);
        if let Some(head) = self.head.get(from..) {
            let len = head.len().min(len);
            block[..len].copy_from_slice(&head[..len]);
        }
        Ok(block)
    }
}

#[test]
fn a_chunk_of_four_gigabytes_is_not_read_whole() {
    let mut head = head();
    head.extend(b"00dc\0\0\0\xf0");
    head.extend(&picture(1, 700)[..600]);
    let size = head.len() as u64 + 0xf000_0000 - 600;
    let mut sparse = Sparse {
        head,
        size,
        largest: 0,
    };
    let mut player = Player::open(&mut sparse).expect("it opens");
    while player.step() != Ok(Step::End) {}
    drop(player);
    assert!(
        sparse.largest <= 65 << 20,
        "{} bytes at once",
        sparse.largest
    );
}

#[test]
fn an_index_that_names_one_chunk_again_and_again_is_not_believed() {
    let mut built = File::default().build(&pieces(200, None));
    // Each entry names the largest chunk, as often as there are entries.
    let entries = built.idx1 + 8;
    let largest = (0..200)
        .max_by_key(|n| {
            let at = entries + 16 * n + 12;
            u32::from_le_bytes(built.bytes[at..at + 4].try_into().expect("four"))
        })
        .expect("there are some");
    let entry = built.bytes[entries + 16 * largest..][..16].to_vec();
    let more = entry.repeat(20_000);
    built.bytes.truncate(entries);
    built.bytes.extend(more);
    let size = (built.bytes.len() - entries) as u32;
    built.bytes[entries - 4..entries].copy_from_slice(&size.to_le_bytes());
    let mut out = memory();
    let summary = repair(&built.bytes[..], Profile::Standard, &mut out, |_, _| {});
    assert_eq!(summary.map(|summary| summary.frames).ok(), Some(200));
    let len = bytes_of(out).len();
    assert!(len < 2 * built.bytes.len(), "{len}");
}
