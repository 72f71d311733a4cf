// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files with something wrong in them, where it hurts: sizes, counts, offsets and names at their extremes, chunks
//! that are missing, doubled, swapped, lists in lists. The same seed makes the same file.
#![allow(dead_code)]

use avi_mjpeg::header::WaveFormat;
use avi_mjpeg::timeline::Rate;
use avi_mjpeg::writer::{Options, Output, Profile, StreamFormat, Tags, Writer};

use super::avi_bytes::{File, IndexKind, MaixPy, Piece, of_fields, picture, sound};
use super::avi_memory::{bytes_of, memory};

/// Numbers of chance (xorshift).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Less than a number.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        ((self.next() >> 16) % end.max(1) as u64) as usize
    }

    pub(crate) fn one<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// A good file of some kind, and the pictures in it.
pub(crate) struct Base {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    pub pictures: Vec<Vec<u8>>,
}

const FRAMES: u32 = 16;

fn content(from: u32, audio: bool) -> (Vec<Piece>, Vec<Vec<u8>>) {
    let frames = from..from + FRAMES;
    let pictures: Vec<_> = frames
        .map(|n| picture(n, 500 + (n as usize * 37) % 300))
        .collect();
    let mut pieces = Vec::new();
    for (n, picture) in (from..).zip(&pictures) {
        pieces.push(Piece::Video(picture.clone()));
        if audio {
            pieces.push(Piece::Sound(sound(n, 1066)));
        }
    }
    (pieces, pictures)
}

fn built(from: u32, index: IndexKind, audio: bool) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (pieces, pictures) = content(from, audio);
    let file = File {
        index,
        audio: audio.then_some((8000, 2)),
        ..File::default()
    };
    (file.build(&pieces).bytes, pictures)
}

fn position(bytes: &[u8], name: &[u8; 4], from: usize) -> usize {
    let found = bytes[from..].windows(4).position(|four| four == name);
    from + found.expect("it is there")
}

/// An index of fields.
fn with_fields() -> (Vec<u8>, Vec<Vec<u8>>) {
    let (bytes, pictures) = built(0, IndexKind::OpenDml, false);
    (of_fields(&bytes, pictures.len()), pictures)
}

/// Sound of another kind, by its tag, bits of a sample and bytes of a block.
fn with_sound(tag: u16, bits: u16, block: u16) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (mut bytes, pictures) = built(0, IndexKind::Old, true);
    let video = position(&bytes, b"strf", 0);
    let strf = position(&bytes, b"strf", video + 4) + 8;
    bytes[strf..strf + 2].copy_from_slice(&tag.to_le_bytes());
    bytes[strf + 12..strf + 14].copy_from_slice(&block.to_le_bytes());
    bytes[strf + 14..strf + 16].copy_from_slice(&bits.to_le_bytes());
    (bytes, pictures)
}

/// As this crate writes them, with a checkpoint amid them; a large one in several RIFFs.
fn ours(profile: Profile, riff_limit: u64, audio: bool) -> (Vec<u8>, Vec<Vec<u8>>) {
    let options = Options {
        riff_limit,
        ..Options::new(profile)
    };
    let video = StreamFormat::Video {
        width: 320,
        height: 240,
        rate: Rate::TEN_A_SECOND,
    };
    let mut formats = vec![video];
    if audio {
        formats.push(StreamFormat::Audio(WaveFormat::pcm(8000, 2, 16, 0)));
    }
    let (pieces, pictures) = content(0, audio);
    let (mut writer, mut out) = (Writer::new(options, &formats, &Tags::default()), memory());
    writer.start(&mut out).expect("no I/O");
    for (n, piece) in pieces.into_iter().enumerate() {
        let (stream, payload) = match piece {
            Piece::Video(payload) => (0, payload),
            Piece::Sound(payload) | Piece::Raw(payload) => {
                (1, payload[..payload.len() / 4 * 4].to_vec())
            }
        };
        let size = payload.len();
        writer
            .chunk(stream, size, payload, false, &mut out)
            .expect("no I/O");
        if n == 7 {
            writer.checkpoint(false, &mut out).expect("no I/O");
        }
    }
    writer.finish(&mut out).expect("no I/O");
    out.end(true).expect("no I/O");
    (bytes_of(out), pictures)
}

/// Good files of each kind.
pub(crate) fn bases() -> Vec<Base> {
    let kinds = [
        ("without an index", built(0, IndexKind::None, true)),
        ("idx1", built(0, IndexKind::Old, false)),
        ("idx1 and sound", built(0, IndexKind::Old, true)),
        (
            "idx1 from the start",
            built(0, IndexKind::OldAbsolute, true),
        ),
        ("OpenDML", built(0, IndexKind::OpenDml, false)),
        ("OpenDML and sound", built(0, IndexKind::OpenDml, true)),
        ("an index of fields", with_fields()),
        ("bytes", with_sound(1, 8, 2)),
        ("\u{b5}-law", with_sound(7, 8, 2)),
        ("MS ADPCM", with_sound(2, 4, 256)),
        ("IMA ADPCM", with_sound(0x11, 4, 256)),
        ("MP3", with_sound(0x55, 0, 1)),
        ("ours", ours(Profile::Standard, 1 << 30, true)),
        (
            "ours in several RIFFs",
            ours(Profile::Standard, 40_000, true),
        ),
        ("ours for the K210", ours(Profile::K210, 1 << 30, true)),
        ("MP3 of a variable rate", with_sound(0x55, 0, 1152)),
    ];
    let mut bases: Vec<_> = kinds
        .into_iter()
        .map(|(name, (bytes, pictures))| Base {
            name,
            bytes,
            pictures,
        })
        .collect();
    for (name, finished) in [("MaixPy", true), ("MaixPy, unfinished", false)] {
        let pictures = content(0, false).1;
        let bytes = MaixPy {
            finished,
            ..MaixPy::default()
        }
        .build(&pictures);
        bases.push(Base {
            name,
            bytes,
            pictures,
        });
    }
    for (name, kinds) in [
        ("joined", [IndexKind::Old, IndexKind::Old]),
        (
            "joined without an index",
            [IndexKind::None, IndexKind::None],
        ),
        ("OpenDML joined", [IndexKind::OpenDml, IndexKind::OpenDml]),
    ] {
        let (mut bytes, mut pictures) = built(0, kinds[0], true);
        let (other, more) = built(100, kinds[1], true);
        bytes.extend(other);
        pictures.extend(more);
        bases.push(Base {
            name,
            bytes,
            pictures,
        });
    }
    bases
}

fn word(bytes: &[u8], at: usize) -> usize {
    let four = bytes.get(at..at + 4);
    four.map_or(0, |four| {
        u32::from_le_bytes(four.try_into().expect("four")) as usize
    })
}

fn is_list(bytes: &[u8], at: usize) -> bool {
    matches!(bytes.get(at..at + 4), Some(b"RIFF" | b"LIST"))
}

/// Where heads of chunks and lists are.
fn heads(bytes: &[u8]) -> Vec<usize> {
    let (mut at, mut heads) = (0, Vec::new());
    while bytes.len().saturating_sub(at) >= 8 {
        heads.push(at);
        at = at.saturating_add(length(bytes, at));
    }
    heads
}

/// How long a chunk says it is, of a list its head.
fn length(bytes: &[u8], at: usize) -> usize {
    let size = word(bytes, at + 4);
    match is_list(bytes, at) {
        true => 12,
        // Where a place has 32 bits it may not fit.
        false => size.saturating_add(8 + size % 2),
    }
}

/// Where a chunk ends, of a list its head.
fn end(bytes: &[u8], at: usize) -> usize {
    at.saturating_add(length(bytes, at)).min(bytes.len())
}

const NAMES: [&[u8; 4]; 19] = [
    b"00dc",
    b"01dc",
    b"00wb",
    b"01wb",
    b"02dc",
    b"99wb",
    b"00xx",
    b"00ix",
    b"ix00",
    b"idx1",
    b"indx",
    b"LIST",
    b"RIFF",
    b"strl",
    b"strf",
    b"strh",
    b"movi",
    b"rec ",
    b"\0\0\0\0",
];

/// A number at an extreme, of what is a number now.
fn extreme(dice: &mut Dice, now: u32, len: usize) -> u32 {
    let len = len as u32;
    let some = [
        0,
        1,
        2,
        3,
        7,
        8,
        now.wrapping_add(1),
        now.wrapping_sub(1),
        now / 2,
        now.wrapping_mul(2),
        len,
        len.wrapping_sub(8),
        len * 2,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_fff0,
        0xffff_fff8,
        0xffff_fffe,
        0xffff_ffff,
    ];
    *dice.one(&some)
}

fn put(bytes: &mut [u8], at: usize, number: u32) {
    if let Some(four) = bytes.get_mut(at..at + 4) {
        four.copy_from_slice(&number.to_le_bytes());
    }
}

/// Does one thing to a file.
fn harm(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let heads = heads(bytes);
    if heads.is_empty() {
        return;
    }
    let at = *dice.one(&heads);
    let end = end(bytes, at);
    let len = bytes.len();
    match dice.below(13) {
        // A size.
        0 | 1 => {
            let size = extreme(dice, word(bytes, at + 4) as u32, len);
            put(bytes, at + 4, size);
        }
        // A field of a head or an index: most of what is no picture and no sound.
        2..=4 => {
            let headers: Vec<_> = heads
                .iter()
                .filter(|at| !matches!(bytes.get(*at + 2..*at + 4), Some(b"dc" | b"wb")))
                .collect();
            let at = match headers.is_empty() {
                true => at,
                false => **dice.one(&headers),
            };
            let fields = (word(bytes, at + 4).min(len) / 4).clamp(1, 64);
            let field = at + 8 + 4 * dice.below(fields);
            let number = extreme(dice, word(bytes, field) as u32, len);
            put(bytes, field, number);
        }
        5 => {
            let place = at
                + if is_list(bytes, at) {
                    8 * dice.below(2)
                } else {
                    0
                };
            let name = *dice.one(&NAMES);
            if let Some(four) = bytes.get_mut(place..place + 4) {
                four.copy_from_slice(name);
            }
        }
        6 => {
            bytes.drain(at..end);
        }
        7 => {
            let twice = bytes[at..end].to_vec();
            bytes.splice(at..at, twice);
        }
        8 => {
            let next = self::end(bytes, end);
            bytes[at..next].rotate_left(end - at);
        }
        9 => {
            let to = if dice.below(2) == 0 {
                at + dice.below(16)
            } else {
                dice.below(len)
            };
            bytes.truncate(to);
        }
        10 => {
            let depth = 1 << dice.below(12);
            let lists = [
                &b"LIST\xff\xff\0\0rec "[..],
                b"RIFF\xff\xff\0\0AVI ",
                b"LIST\x04\0\0\0hdrl",
            ];
            let lists = dice.one(&lists).repeat(depth);
            bytes.splice(at..at, lists);
        }
        11 => {
            let to = (dice.below(len) + dice.below(3000)).min(len);
            let from = dice.below(to);
            let byte = *dice.one(&[0, 0xff, b'0', 0x55]);
            let from = from.max(to.saturating_sub(5000));
            bytes[from..to].fill(byte);
        }
        _ => {
            let what: [&[u8]; 5] = [
                &[0; 700],
                b"\0",
                &[0xff, 0xd8, 0xff],
                b"00dc\xff\xff\xff\xff",
                b"01wb\x08\0\0\0",
            ];
            let more = dice.one(&what).repeat(1 + dice.below(20));
            bytes.splice(at..at, more);
        }
    }
}

/// A file of a kind with one to four things wrong in it.
pub(crate) fn mutant(bases: &[Base], seed: u64) -> (&Base, Vec<u8>) {
    let mut dice = Dice::new(seed);
    for _ in 0..8 {
        dice.next();
    }
    let base = &bases[seed as usize % bases.len()];
    let mut bytes = base.bytes.clone();
    for _ in 0..1 + dice.below(4) {
        harm(&mut bytes, &mut dice);
    }
    (base, bytes)
}

/// Which are tried: those that usually are, or what MUTANT or MUTANTS in the environment says.
pub(crate) fn seeds(usual: impl Iterator<Item = u64>) -> Vec<u64> {
    let number = |text: &str| -> u64 { text.parse().expect("a number") };
    let said = |name: &str| std::env::var(name).ok();
    let seeds: Vec<_> = match (said("MUTANT"), said("MUTANTS")) {
        (Some(seed), _) => vec![number(&seed)],
        (None, None) => usual.collect(),
        (None, Some(some)) => match some.split_once("..") {
            Some((from, to)) => (number(from)..number(to)).collect(),
            None => (0..number(&some)).collect(),
        },
    };
    assert!(!seeds.is_empty(), "no mutant is tried");
    seeds
}
