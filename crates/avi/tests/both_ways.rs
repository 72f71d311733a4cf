// SPDX-License-Identifier: MIT OR Apache-2.0
//! A damaged file that can be read at any place and the same file as it comes in pieces: what is told of it is
//! the same.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failure ends the test"
)]

#[path = "common/avi_bytes.rs"]
mod avi_bytes;

use avi_bytes::{Built, File, IndexKind, Piece, pieces};
use avi_mjpeg::reader::Finding;
use avi_mjpeg::reader::player::{Player, Step};
use avi_mjpeg::reader::stream::{Item, StreamReader};

/// What is shown of a stream, and what is told.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    pictures: usize,
    incomplete: usize,
    told: Vec<(&'static str, Vec<(&'static str, u64)>)>,
}

impl Seen {
    fn tell(&mut self, findings: Vec<Finding>) {
        self.told.extend(findings.iter().map(Finding::facts));
    }

    fn show(&mut self, incomplete: bool) {
        self.pictures += 1;
        self.incomplete += usize::from(incomplete);
    }

    /// In one order, without what only who can read at any place knows: what is wrong with an index at the end.
    fn sorted(mut self) -> Self {
        self.told.retain(|(name, _)| *name != "avi-bad-index");
        self.told.sort();
        self
    }
}

fn anywhere(bytes: &[u8]) -> Seen {
    let mut seen = Seen::default();
    let Ok(mut player) = Player::open(bytes) else {
        return seen;
    };
    loop {
        match player.step().expect("no I/O") {
            Step::Unit(unit) if unit.stream == 0 => {
                if let Some(content) = unit.content {
                    seen.show(content.incomplete);
                }
            }
            Step::End => {
                seen.tell(player.take_findings());
                return seen.sorted();
            }
            _ => {}
        }
    }
}

fn in_pieces(bytes: &[u8]) -> Seen {
    let (mut reader, mut seen) = (StreamReader::new(), Seen::default());
    let mut pieces = bytes.chunks(4096);
    loop {
        match reader.step() {
            Ok(Some(Item::Unit(unit))) if unit.stream == 0 => {
                if let Some(content) = unit.content {
                    seen.show(content.incomplete);
                }
            }
            Ok(Some(Item::End)) | Err(_) => {
                seen.tell(reader.take_findings());
                return seen.sorted();
            }
            Ok(Some(_)) => {}
            Ok(None) => match pieces.next() {
                Some(piece) => reader.push(piece),
                None => reader.finish(),
            },
        }
    }
}

fn file(index: IndexKind, audio: bool) -> (Built, Vec<Piece>) {
    let pieces = pieces(60, audio.then_some(1066));
    let file = File {
        index,
        audio: audio.then_some((8000, 2)),
        ..File::default()
    };
    (file.build(&pieces), pieces)
}

/// Damage of one kind.
type Damage = (&'static str, fn(&Built) -> Vec<u8>);

const KINDS: &[Damage] = &[
    ("nothing", |built| built.bytes.clone()),
    ("cut in a picture", |built| {
        built.bytes[..built.at[40] + 300].to_vec()
    }),
    ("cut in a head", |built| {
        built.bytes[..built.at[40] + 5].to_vec()
    }),
    ("cut between", |built| built.bytes[..built.at[40]].to_vec()),
    ("cut in the last", |built| {
        let last = built.at[built.at.len() - 1];
        built.bytes[..last + 200].to_vec()
    }),
    ("zeroed", |built| {
        let mut bytes = built.bytes.clone();
        bytes[built.at[20]..built.at[30]].fill(0);
        bytes
    }),
    ("zeroed from amid to amid", |built| {
        let mut bytes = built.bytes.clone();
        bytes[built.at[20] + 100..built.at[30] + 77].fill(0);
        bytes
    }),
    ("zeroed at the end", |built| {
        let mut bytes = built.bytes.clone();
        let last = built.at[built.at.len() - 6];
        bytes[last..].fill(0);
        bytes
    }),
    ("a slot destroyed", |built| {
        let mut bytes = built.bytes.clone();
        bytes[built.at[20] + 8..built.at[21]].fill(0x55);
        bytes
    }),
    ("three slots destroyed", |built| {
        let mut bytes = built.bytes.clone();
        for n in [10, 20, 30] {
            bytes[built.at[n] + 8..built.at[n + 1]].fill(0);
        }
        bytes
    }),
    ("a size overwritten", |built| {
        let mut bytes = built.bytes.clone();
        bytes[built.at[20] + 4..built.at[20] + 8].fill(0xff);
        bytes
    }),
    ("a name overwritten", |built| {
        let mut bytes = built.bytes.clone();
        bytes[built.at[20]..built.at[20] + 4].fill(0xee);
        bytes
    }),
    ("a head lost", |built| {
        let mut bytes = built.bytes.clone();
        bytes[built.at[20]..built.at[20] + 8].fill(0);
        bytes
    }),
    ("bytes taken out", |built| {
        let mut bytes = built.bytes.clone();
        bytes.drain(built.at[20] + 50..built.at[22] + 51);
        bytes
    }),
    ("bytes put in", |built| {
        let mut bytes = built.bytes.clone();
        bytes.splice(built.at[20]..built.at[20], [0x77; 999]);
        bytes
    }),
    ("the header zeroed", |built| {
        let mut bytes = built.bytes.clone();
        bytes[..200].fill(0);
        bytes
    }),
    ("two files", |built| {
        [built.bytes.clone(), built.bytes.clone()].concat()
    }),
    ("rubbish behind", |built| {
        [built.bytes.clone(), vec![0x5a; 5000]].concat()
    }),
];

#[test]
fn what_is_told_of_a_damaged_file_is_the_same_both_ways() {
    let mut wrong = Vec::new();
    for index in [IndexKind::None, IndexKind::Old, IndexKind::OpenDml] {
        for audio in [false, true] {
            let (built, _) = file(index, audio);
            for (name, damage) in KINDS {
                let bytes = damage(&built);
                let (mut anywhere, mut in_pieces) = (anywhere(&bytes), in_pieces(&bytes));
                if index != IndexKind::None && *name == "zeroed from amid to amid" {
                    // The index alone says that the first chunk's size is right, and its upper part is shown.
                    let count = |seen: &Seen| (seen.told.len(), seen.pictures - seen.incomplete);
                    assert_eq!(count(&anywhere), count(&in_pieces), "{name}, {index:?}");
                    (anywhere, in_pieces) = Default::default();
                }
                if anywhere != in_pieces {
                    wrong.push(format!("{name}, {index:?}, audio {audio}:\n  anywhere  {anywhere:?}\n  in pieces {in_pieces:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_a_joined_file_has_that_the_first_has_not_is_told_once() {
    let (video, _) = file(IndexKind::None, false);
    let (both, _) = file(IndexKind::None, true);
    let other = both.swapped();
    for (name, first, second, streams) in [
        ("the same", &both.bytes, &both.bytes, 0),
        ("no sound", &both.bytes, &video.bytes, 0),
        ("sound", &video.bytes, &both.bytes, 1),
        ("another order", &both.bytes, &other, 0),
    ] {
        let bytes = [&first[..], second, second].concat();
        let [anywhere, in_pieces] = [anywhere(&bytes), in_pieces(&bytes)];
        let left_out = (
            "avi-left-out",
            vec![("from", first.len() as u64), ("streams", streams)],
        );
        let told = |seen: &Seen| {
            let told = seen.told.iter().filter(|(name, _)| *name != "avi-joined");
            told.cloned().collect::<Vec<_>>()
        };
        let expected = Vec::from_iter((streams > 0).then_some(left_out));
        assert_eq!(told(&anywhere), expected, "{name}");
        assert_eq!(told(&in_pieces), expected, "{name}");
    }
}

/// The picture that the file's end cuts is shown as far as it is there, and told of.
#[test]
fn the_upper_part_of_a_picture_that_the_end_cuts_is_shown() {
    for index in [IndexKind::None, IndexKind::Old, IndexKind::OpenDml] {
        let (built, _) = file(index, false);
        for (have, shown) in [(60, 0), (400, 1)] {
            let bytes = &built.bytes[..built.at[40] + 8 + have];
            for seen in [anywhere(bytes), in_pieces(bytes)] {
                assert_eq!(
                    (seen.pictures, seen.incomplete),
                    (40 + shown, shown),
                    "{index:?} {have}"
                );
                let fact = |name: &str, field: &str| {
                    let (_, facts) = seen.told.iter().find(|(told, _)| *told == name)?;
                    facts
                        .iter()
                        .find(|(told, _)| *told == field)
                        .map(|(_, n)| *n)
                };
                assert_eq!(fact("avi-missing", "frames"), Some(20 - shown as u64));
                assert_eq!(fact("avi-cut", "pictures"), Some(shown as u64));
                assert_eq!(fact("avi-cut", "have"), Some(have as u64));
            }
        }
    }
}
