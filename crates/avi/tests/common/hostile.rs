// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes that are made to cost much, by what they look like.
#![allow(dead_code)]

use super::avi_bytes::{File, IndexKind, chunk, picture, picture_of, pieces};

/// The head of a file whose chunks have not come yet.
pub(crate) fn head(audio: bool) -> Vec<u8> {
    let file = File {
        index: IndexKind::None,
        audio: audio.then_some((8000, 2)),
        ..File::default()
    };
    let built = file.build(&pieces(1, None));
    built.bytes[..built.at[0]].to_vec()
}

/// A file of pictures, `len` bytes or a few more.
pub(crate) fn good(len: usize) -> Vec<u8> {
    let one = chunk(b"00dc", &picture(1, 20_000));
    let mut bytes = head(false);
    while bytes.len() < len {
        bytes.extend(&one);
    }
    bytes
}

/// A kind of bytes, so many of them.
pub(crate) type Kind = (&'static str, fn(usize) -> Vec<u8>);

fn repeated(pattern: &[u8], len: usize) -> Vec<u8> {
    pattern.iter().copied().cycle().take(len).collect()
}

/// Bytes of chance, the same each time.
fn random(len: usize) -> Vec<u8> {
    let mut x = 0x9e37_79b9_u32;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        x as u8
    };
    (0..len).map(|_| next()).collect()
}

/// All kinds. Each is read behind a head and alone.
pub(crate) const KINDS: &[Kind] = &[
    ("zeros", |len| vec![0; len]),
    ("bytes of 0xff", |len| vec![0xff; len]),
    ("random bytes", random),
    ("digits", |len| repeated(b"0123456789", len)),
    ("SOI markers", |len| {
        repeated(&[0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2], len)
    }),
    ("segments that reach far", |len| {
        repeated(&[0xff, 0xd8, 0xff, 0xe1, 0xff, 0xff, 0xff, 0xfe], len)
    }),
    ("pictures in pictures", |len| {
        // Each reaches to the same end, and is whole, but of another size than the stream's.
        let end = picture_of(1, 300, 8, 8);
        let mut bytes = repeated(&[0xff, 0xd8, 0xff, 0xe1, 0, 6, 0xff, 0xd8], len);
        let from = len.saturating_sub(end.len());
        bytes.truncate(from / 8 * 8);
        bytes.extend(&end[2..]);
        bytes
    }),
    ("pictures without an end", |len| {
        let head = picture(1, 0);
        repeated(&head[..head.len() - 2], len)
    }),
    ("tiny pictures", |len| {
        repeated(&chunk(b"00dc", &picture(1, 0)), len)
    }),
    ("empty chunks", |len| repeated(b"00dc\0\0\0\0", len)),
    ("tiny chunks of sound", |len| {
        repeated(b"01wb\x02\0\0\0\x01\x01", len)
    }),
    ("heads of sound without sound", |len| {
        repeated(b"01wb\xff\xff\x0f\0", len)
    }),
    ("heads of pictures without pictures", |len| {
        repeated(b"00dc\xff\xff\x0f\0", len)
    }),
    ("heads that boast", |len| {
        repeated(b"01wb\xff\xff\xff\x7f00dc\xff\xff\xff\x7f", len)
    }),
    ("chunks of other names", |len| {
        repeated(b"abcd\x04\0\0\0\x01\x02\x03\x04", len)
    }),
    ("thumbnails among them", |len| {
        let thumbnail = chunk(b"00xx", &picture_of(1, 0, 8, 8));
        let others = b"abcd\x04\0\0\0\x01\x02\x03\x04efgh\0\0\0\0";
        repeated(&[&thumbnail[..], others].concat(), len)
    }),
    ("files", |len| repeated(b"RIFF\xff\xff\x0f\0AVI ", len)),
    ("lists in lists", |len| {
        repeated(b"LIST\xff\xff\x0f\0rec ", len)
    }),
    ("lists of no name", |len| {
        repeated(b"LIST\xff\xff\x0f\0abcd", len)
    }),
    ("an index without an end", |len| {
        let entries = repeated(b"00dc\x10\0\0\0\x04\0\0\0\x08\0\0\0", len);
        [&b"idx1\xff\xff\xff\0"[..], &entries].concat()
    }),
    ("indexes", |len| {
        repeated(b"idx1\x10\0\0\x0000dc\x10\0\0\0\x04\0\0\0\x08\0\0\0", len)
    }),
    ("holes between pictures", |len| {
        let hole = [chunk(b"00dc", &picture(1, 700)), vec![0xee; 64]].concat();
        repeated(&hole, len)
    }),
    ("names of a head's chunks", |len| {
        repeated(b"strf\xff\xff\x0f\0strd", len)
    }),
];
