// SPDX-License-Identifier: MIT OR Apache-2.0
//! Some hundred files with something wrong in them, read at any place and as they come, from their beginning and
//! after seeks, and repaired: each reader comes to its end, takes no more memory than is documented, and every picture
//! that stands whole in a file is shown or told of.
//!
//! `MUTANTS=4000 cargo test -p avi-mjpeg --test mutants` tries more of them, `MUTANTS=4000..8000` others, `MUTANT=SEED`
//! one. What is wrong is said as it is found.
#![allow(clippy::expect_used, clippy::panic, reason = "a failure ends the test")]

#[path = "common/avi_bytes.rs"]
mod avi_bytes;
#[path = "common/avi_memory.rs"]
mod avi_memory;
#[path = "common/length.rs"]
mod length;
#[path = "common/mutants.rs"]
mod mutants;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, Instant};

use avi_mjpeg::reader::headers::{Format, Header};
use avi_mjpeg::reader::player::{Player, Step};
use avi_mjpeg::reader::recognize::recognize;
use avi_mjpeg::reader::stream::{Item, StreamReader};
use avi_mjpeg::reader::tracks::Range;
use avi_mjpeg::reader::{Finding, Snap};
use avi_mjpeg::repair::repair;
use avi_mjpeg::writer::Profile;
use length::Length;
use mutants::{Base, Dice, bases, mutant, seeds};

/// Each file has some ten thousand bytes and is read in less than a millisecond.
const DEADLINE: Duration = Duration::from_secs(20);

/// What may be taken of a file of some ten thousand bytes; docs/reliability.md has more for larger ones.
const MEMORY: usize = 16 << 20;

/// So many steps does nobody need for so small a file.
const STEPS: usize = 100_000;

/// Counts the memory that a thread has.
struct Counting;

thread_local! {
    static NOW: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

fn count(more: usize, less: usize) {
    let _ = NOW.try_with(|now| {
        now.set((now.get() + more).saturating_sub(less));
        let _ = MOST.try_with(|most| most.set(most.get().max(now.get())));
    });
}

// SAFETY: the system's allocator, with its numbers noted.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: as it was asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: as it was asked for.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// What was shown and told.
#[derive(Debug, Default)]
struct Seen {
    pictures: Vec<Vec<u8>>,
    findings: Vec<Finding>,
    /// All streams are of kinds that are played.
    is_all_played: bool,
    opened: bool,
}

fn is_all_played(header: &Header) -> bool {
    let mut streams = header.streams.iter();
    !streams.any(|stream| matches!(stream.format, Format::Other { .. }))
}

/// Where a seek goes, and how.
fn range(dice: &mut Dice) -> Range {
    let at = |dice: &mut Dice| {
        *dice.one(&[
            0,
            1,
            400_000_000,
            1_000_000_000,
            3_600_000_000_000,
            u64::MAX / 2,
            u64::MAX,
        ])
    };
    let backward = dice.below(2) == 0;
    Range {
        start: if backward { 0 } else { at(dice) },
        stop: match dice.below(3) {
            0 => None,
            _ => Some(at(dice)),
        },
        backward,
        silent: dice.below(8) == 0,
        thinned: (dice.below(8) == 0).then_some(4.0),
        snap: *dice.one(&[
            None,
            Some(Snap::Before),
            Some(Snap::After),
            Some(Snap::Nearest),
        ]),
    }
}

fn pull(bytes: &[u8], dice: &mut Dice, begun: Instant) -> Seen {
    let mut seen = Seen::default();
    let Ok(mut player) = Player::open(bytes) else {
        return seen;
    };
    seen.opened = true;
    let mut steps = 0;
    let mut step = |player: &mut Player<_>| {
        steps += 1;
        assert!(
            steps < STEPS && begun.elapsed() < DEADLINE,
            "it plays for ever"
        );
        player.step().expect("no I/O")
    };
    loop {
        let next = step(&mut player);
        seen.findings.extend(player.take_findings());
        match next {
            Step::Unit(unit) => seen
                .pictures
                .extend(unit.content.map(|content| content.piece)),
            Step::End => break,
            _ => {}
        }
    }
    seen.is_all_played = is_all_played(player.header());
    for _ in 0..4 {
        player.seek(range(dice));
        for _ in 0..dice.below(200) {
            if step(&mut player) == Step::End {
                break;
            }
        }
    }
    seen
}

fn push(bytes: &[u8], dice: &mut Dice, begun: Instant) -> Seen {
    let mut seen = Seen::default();
    let mut reader = StreamReader::new();
    let (mut at, mut steps, mut seeks) = (0, 0, 0);
    let most = *dice.one(&[1, 7, 100, 4096, 100_000]);
    loop {
        steps += 1;
        let patience = STEPS + 4 * bytes.len();
        assert!(
            steps < patience && begun.elapsed() < DEADLINE,
            "it plays for ever"
        );
        let item = reader.step();
        reader.duration();
        // Only what came before a seek is all of it.
        if seeks == 0 {
            seen.findings.extend(reader.take_findings());
        }
        let is_over = match item {
            Ok(Some(Item::Header)) => {
                seen.opened = true;
                false
            }
            Ok(Some(Item::Unit(unit))) => {
                if seeks == 0 {
                    seen.pictures
                        .extend(unit.content.map(|content| content.piece));
                }
                false
            }
            Ok(Some(Item::GoTo(pos))) => {
                at = usize::try_from(pos).map_or(bytes.len(), |pos| pos.min(bytes.len()));
                reader.flush();
                reader.begin(at as u64);
                false
            }
            Ok(Some(Item::End | Item::Over)) | Err(_) => true,
            Ok(Some(_)) => false,
            Ok(None) if at < bytes.len() => {
                let len = (1 + dice.below(most)).min(bytes.len() - at);
                reader.push(&bytes[at..at + len]);
                at += len;
                seeks > 0 && dice.below(20) == 0
            }
            Ok(None) => {
                reader.finish();
                false
            }
        };
        if is_over {
            if seeks == 0 {
                seen.is_all_played = reader.header().is_some_and(is_all_played);
            }
            if seeks == 4 || !seen.opened {
                return seen;
            }
            seeks += 1;
            let range = Range {
                backward: false,
                ..range(dice)
            };
            let size = (dice.below(4) > 0).then_some(bytes.len() as u64);
            if let Some(pos) = reader.seek(range, size) {
                at = usize::try_from(pos).map_or(bytes.len(), |pos| pos.min(bytes.len()));
                reader.flush();
                reader.begin(at as u64);
            }
        }
    }
}

/// So near to a picture that its index has elsewhere something is told to be lost.
const NEAR: u64 = 3000;

/// Whether what stands between these bytes was told of, or what is near to them.
fn is_told(findings: &[Finding], from: u64, to: u64) -> bool {
    let (from, to) = (from.saturating_sub(NEAR), to + NEAR);
    findings.iter().any(|finding| match *finding {
        Finding::Damage { from: a, to: b, .. }
        | Finding::Lost { from: a, to: b, .. }
        | Finding::More { from: a, to: b, .. } => a < to && from < b,
        Finding::Cut { pos, have, .. } => pos < to && from < pos + have,
        _ => false,
    })
}

/// Pictures that stand whole in a file, in chunks of their own, and were neither shown nor told of.
fn silent(base: &Base, bytes: &[u8], seen: &Seen) -> Vec<usize> {
    let mut silent = Vec::new();
    for picture in &base.pictures {
        let places = memchr::memmem::find_iter(bytes, picture);
        // What is in a chunk that has another name is what that says.
        let is_named = |at: &usize| {
            at.checked_sub(8).is_some_and(|head| {
                bytes[head..head + 4] == *b"00dc"
                    && (bytes[head + 4..head + 8] == (picture.len() as u32).to_le_bytes()
                        || base.name.starts_with("MaixPy"))
            })
        };
        let places: Vec<_> = places.filter(is_named).collect();
        let shown = seen
            .pictures
            .iter()
            .filter(|shown| *shown == picture)
            .count();
        let untold = places.iter().filter(|at| {
            let from = (**at - 8) as u64;
            !is_told(&seen.findings, from, (**at + picture.len()) as u64)
        });
        let untold: Vec<_> = untold.copied().collect();
        silent.extend(untold.into_iter().skip(shown));
    }
    silent
}

/// What is told without a place.
fn is_told_of_as_a_whole(seen: &Seen) -> bool {
    let whole =
        |finding: &Finding| matches!(finding, Finding::Missing { .. } | Finding::LeftOut { .. });
    !seen.is_all_played || seen.findings.iter().any(whole)
}

fn try_one(bases: &[Base], seed: u64) -> Vec<String> {
    let (base, bytes) = mutant(bases, seed);
    let mut dice = Dice::new(seed ^ 0xabcd);
    let mut wrong = Vec::new();
    let before = NOW.get();
    type Way = fn(&[u8], &mut Dice, Instant) -> Seen;
    for (way, read) in [("at any place", pull as Way), ("in pieces", push)] {
        MOST.set(NOW.get());
        let seen = read(&bytes, &mut dice, Instant::now());
        if std::env::var("MUTANT").is_ok() {
            let places = seen
                .pictures
                .iter()
                .map(|it| memchr::memmem::find(&bytes, it));
            eprintln!(
                "{way}: {:?}, {:?}",
                places.collect::<Vec<_>>(),
                seen.findings
            );
        }
        let taken = MOST.get() - before;
        if taken > MEMORY {
            wrong.push(format!(
                "{seed}: {}, {way}: {taken} bytes of memory",
                base.name
            ));
        }
        let silent = silent(base, &bytes, &seen);
        if !silent.is_empty() && seen.opened && !is_told_of_as_a_whole(&seen) {
            wrong.push(format!(
                "{seed}: {}, {way}: of pictures at {silent:?} in {} bytes nothing is said: {:?}",
                base.name,
                bytes.len(),
                seen.findings
            ));
        }
    }
    recognize(&bytes, true);
    for profile in [Profile::Standard, Profile::K210] {
        let mut out = Length(0);
        MOST.set(NOW.get());
        let begun = Instant::now();
        let _ = repair(&bytes[..], profile, &mut out, |_, _| {});
        let took = begun.elapsed();
        if took > DEADLINE {
            wrong.push(format!("{seed}: {}, repaired: {took:?}", base.name));
        }
        let taken = MOST.get() - before;
        if taken > 10 * MEMORY {
            wrong.push(format!(
                "{seed}: {}, repaired: {taken} bytes of memory",
                base.name
            ));
        }
    }
    let _ = avi_mjpeg::k210_check::check(&bytes[..], |_| {});
    wrong
}

/// Of these, pictures were lost without a word: a size too small by a padding byte, entries of an index that say of
/// chunks that they are empty, the name of a joined file's RIFF, chunks of other kinds that were believed and had
/// pictures in them, a stream whose head is gone from a header that counts one less, the name of the first file's RIFF.
const ONCE_SILENT: [u64; 10] = [
    4112, 7418, 8581, 10448, 14415, 15950, 20348, 27355, 34879, 36491,
];

#[test]
fn whatever_is_wrong_with_a_file_it_is_read_to_its_end() {
    let seeds = seeds((0..600).chain(ONCE_SILENT));
    let bases = bases();
    if std::env::var("MUTANT").is_ok() {
        let (base, bytes) = mutant(&bases, seeds[0]);
        let path = std::env::temp_dir().join("mutant.avi");
        std::fs::write(&path, bytes).expect("it can be written");
        eprintln!("{} is in {}", base.name, path.display());
    }
    let mut wrong = Vec::new();
    let count = seeds.len();
    for seed in seeds {
        let tried = std::panic::catch_unwind(|| try_one(&bases, seed));
        let found = tried.unwrap_or_else(|_| vec![format!("{seed}: it panics, or hangs")]);
        found.iter().for_each(|it| eprintln!("{it}"));
        wrong.extend(found);
    }
    assert!(
        wrong.is_empty(),
        "{} of {count}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// The good files are as good as they should be: all that is in them is shown, and nothing is told.
#[test]
fn what_nothing_is_wrong_with_is_shown() {
    for base in bases() {
        for read in [pull, push] {
            let seen = read(&base.bytes, &mut Dice::new(1), Instant::now());
            let pictures: Vec<_> = seen
                .pictures
                .iter()
                .filter(|it| base.pictures.contains(it))
                .collect();
            assert_eq!(pictures.len(), base.pictures.len(), "{}", base.name);
        }
    }
}
