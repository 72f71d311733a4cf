// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which files are taken for Motion JPEG in AVI, whole and damaged.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failure ends the test"
)]

#[path = "common/avi_bytes.rs"]
mod avi_bytes;

use avi_bytes::{File, IndexKind, MaixPy, Piece, chunk, list, picture, pieces};
use avi_mjpeg::reader::recognize::{ENOUGH, Verdict, recognize};
use proptest::prelude::*;

/// As much of a file as is looked at.
fn verdict(bytes: &[u8]) -> Verdict {
    recognize(&bytes[..bytes.len().min(ENOUGH)], true)
}

fn ours() -> Vec<u8> {
    let file = File {
        audio: Some((16000, 1)),
        index: IndexKind::OpenDml,
        ..File::default()
    };
    file.build(&pieces(100, Some(1068))).bytes
}

/// The same with pictures of another codec.
fn foreign() -> Vec<u8> {
    let mut pieces = pieces(100, Some(1068));
    for piece in &mut pieces {
        if let Piece::Video(bytes) = piece {
            bytes[..5].copy_from_slice(&[0, 0, 0, 1, 0x67]);
        }
    }
    let file = File {
        handler: *b"H264",
        audio: Some((16000, 1)),
        ..File::default()
    };
    file.build(&pieces).bytes
}

/// Overwrites the first chunk of that name and size that comes behind `from`.
fn destroy(bytes: &mut [u8], name: &[u8; 4], from: usize) -> usize {
    let found = bytes[from..].windows(4).position(|id| id == name);
    let at = from + found.expect("it is there");
    let size = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap());
    bytes[at..at + 8 + size as usize].fill(0xAA);
    at
}

#[test]
fn whole_files_are_known_by_their_headers() {
    assert_eq!(verdict(&ours()), Verdict::Ours);
    assert_eq!(verdict(&foreign()), Verdict::Other);
    let frames = [picture(0, 900), picture(1, 900)];
    for finished in [true, false] {
        let recording = MaixPy {
            finished,
            ..MaixPy::default()
        };
        assert_eq!(verdict(&recording.build(&frames)), Verdict::Ours);
    }
}

#[test]
fn the_first_kilobytes_of_a_stream_are_enough() {
    assert_eq!(recognize(&ours()[..2048], true), Verdict::Ours);
    assert_eq!(recognize(&foreign()[..2048], true), Verdict::Other);
    // There is no saying by what has not come.
    assert_eq!(recognize(&ours()[..12], false), Verdict::More);
    assert_eq!(recognize(&ours()[..12], true), Verdict::Other);
}

#[test]
fn a_file_with_something_that_would_be_left_out_is_not_ours() {
    let mut bytes = ours();
    // AC-3 in place of PCM.
    let strf = |from: usize, bytes: &[u8]| {
        from + bytes[from..]
            .windows(4)
            .position(|id| id == b"strf")
            .unwrap()
    };
    let video = strf(0, &bytes);
    let audio = strf(video + 4, &bytes);
    bytes[audio + 8..audio + 10].copy_from_slice(&0x2000u16.to_le_bytes());
    assert_eq!(verdict(&bytes), Verdict::Other);
}

#[test]
fn sound_alone_is_not_ours() {
    let wave = b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data\0\0\0\0";
    assert_eq!(verdict(wave), Verdict::Other);
}

#[test]
fn files_that_begin_damaged_are_known_by_what_is_left() {
    for lost in [1, 4, 12, 64, 200, 1000, 8192] {
        for gone in [false, true] {
            let damage = |mut bytes: Vec<u8>| match gone {
                true => bytes.split_off(lost),
                false => {
                    bytes[..lost].fill(0);
                    bytes
                }
            };
            let context = format!("{lost} bytes {}", if gone { "cut off" } else { "zeroed" });
            assert_eq!(verdict(&damage(ours())), Verdict::Damaged, "{context}");
            assert_eq!(verdict(&damage(foreign())), Verdict::Other, "{context}");
        }
    }
}

#[test]
fn files_whose_stream_headers_are_lost_are_known_by_their_pictures() {
    let damage = |mut bytes: Vec<u8>| {
        let at = destroy(&mut bytes, b"strh", 0);
        destroy(&mut bytes, b"strf", at);
        bytes
    };
    assert_eq!(verdict(&damage(ours())), Verdict::Ours);
    assert_eq!(verdict(&damage(foreign())), Verdict::Other);
}

#[test]
fn a_thumbnail_does_not_make_a_file_ours() {
    // The video's headers are lost, and the camera left a picture in the head and one in the end.
    let mut bytes = foreign();
    let at = destroy(&mut bytes, b"strh", 0);
    destroy(&mut bytes, b"strf", at);
    let thumbnail = chunk(b"JUNK", &picture(0, 900));
    bytes.extend(&thumbnail);
    let mut with = bytes[..12].to_vec();
    with.extend(list(b"INFO", &thumbnail));
    with.extend(&bytes[12..]);
    assert_eq!(verdict(&with), Verdict::Other);
}

#[test]
fn other_kinds_of_files_are_left_alone() {
    assert_eq!(verdict(b""), Verdict::Other);
    assert_eq!(verdict(&[0; 70_000]), Verdict::Other);
    assert_eq!(verdict(&picture(0, 20_000)), Verdict::Other);
    assert_eq!(
        verdict("A text about 00dc.\n".repeat(500).as_bytes()),
        Verdict::Other
    );
}

proptest! {
    #[test]
    fn nothing_is_too_odd_to_be_looked_at(
        at in 0usize..2000, garbage in proptest::collection::vec(any::<u8>(), 1..200), len in 0usize..6000
    ) {
        let mut bytes = ours();
        bytes[at..at + garbage.len()].copy_from_slice(&garbage);
        bytes.truncate(len);
        recognize(&bytes, true);
        recognize(&bytes, false);
    }
}
