// SPDX-License-Identifier: MIT OR Apache-2.0
//! The AVI reader on files that are sound, unfinished and damaged: what is
//! intact is read, with its right time, whether the file can be read at any
//! place or comes as a stream.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failure ends the test"
)]

#[path = "common/avi_bytes.rs"]
mod avi_bytes;

use std::convert::Infallible;

use avi_bytes::{Built, File, IndexKind, MaixPy, Piece, picture, picture_of, pieces, sound};
use avi_mjpeg::jpeg;
use avi_mjpeg::reader::headers::Format;
use avi_mjpeg::reader::play::Playback;
use avi_mjpeg::reader::stream::{Item, StreamReader};
use avi_mjpeg::reader::window::ReadAt;
use avi_mjpeg::reader::{Finding, Payload, Reader};
use proptest::prelude::*;

/// A payload and when it is played, in nanoseconds.
type Played = (usize, u64, Vec<u8>);

/// Everything a player would get from a file it can read at any place.
fn read(bytes: &[u8]) -> (Vec<Played>, Vec<Finding>) {
    let mut reader = Reader::open(bytes).expect("opens");
    let mut playback = Playback::new(reader.header().streams.len());
    let mut played = Vec::new();
    while let Some(next) = playback.next(&mut reader).expect("no I/O") {
        let payload = reader.payload_of(&next).expect("no I/O");
        if let Payload::Bytes {
            pos,
            len,
            incomplete: false,
        } = payload
        {
            let (block, range) = reader.window().block(pos, len).expect("it was read");
            let payload = block[range].to_vec();
            played.push((next.entry.stream, next.time, payload));
        }
    }
    reader.flush_findings();
    (played, reader.take_findings())
}

/// The same from a file that comes in pieces.
fn stream(bytes: &[u8], step: usize) -> (Vec<Played>, Vec<Finding>) {
    let mut reader = StreamReader::new();
    let (mut played, mut findings) = (Vec::new(), Vec::new());
    let mut pieces = bytes.chunks(step);
    loop {
        let item = reader.step();
        findings.extend(reader.take_findings());
        match item {
            Ok(Some(Item::Unit(unit))) => {
                if let Some(content) = unit.content
                    && !content.incomplete
                {
                    let payload = [content.head, content.piece].concat();
                    played.push((unit.stream, unit.time, payload));
                }
            }
            Ok(Some(Item::End)) | Err(_) => return (played, findings),
            Ok(Some(_)) => {}
            Ok(None) => match pieces.next() {
                Some(piece) => reader.push(piece),
                None => reader.finish(),
            },
        }
    }
}

/// What the pieces of a file should give: payloads at their times.
fn expected(pieces: &[Piece], scale: u64, rate: u64, byte_rate: u64) -> Vec<Played> {
    let (mut frames, mut bytes) = (0, 0);
    let mut all = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Video(p) => {
                let time = u128::from(frames) * u128::from(scale) * 1_000_000_000;
                all.push((0, (time / u128::from(rate)) as u64, p.clone()));
                frames += 1u64;
            }
            Piece::Sound(p) => {
                all.push((1, bytes * 1_000_000_000 / byte_rate, p.clone()));
                bytes += p.len() as u64;
            }
            Piece::Raw(_) => {}
        }
    }
    all
}

fn of(played: &[Played], stream: usize) -> Vec<Played> {
    played.iter().filter(|p| p.0 == stream).cloned().collect()
}

/// The same frames at the same times, stream by stream.
#[track_caller]
fn same(played: &[Played], expected: &[Played]) {
    for stream in 0..2 {
        let (a, b) = (of(played, stream), of(expected, stream));
        let brief = |p: &[Played]| p.iter().map(|p| (p.1, p.2.len())).collect::<Vec<_>>();
        assert_eq!(brief(&a), brief(&b), "stream {stream}");
        assert!(a == b, "stream {stream}: other contents");
    }
}

fn video(played: &[Played]) -> Vec<Vec<u8>> {
    of(played, 0).into_iter().map(|p| p.2).collect()
}

const AUDIO: Option<(u32, u16)> = Some((16000, 1));

fn with(index: IndexKind) -> File {
    File {
        index,
        audio: AUDIO,
        ..File::default()
    }
}

fn build(index: IndexKind, frames: u32) -> (Built, Vec<Piece>, Vec<Played>) {
    let pieces = pieces(frames, Some(1066));
    let built = with(index).build(&pieces);
    let expected = expected(&pieces, 1001, 30000, 32000);
    (built, pieces, expected)
}

const ALL: [IndexKind; 4] = [
    IndexKind::None,
    IndexKind::Old,
    IndexKind::OldAbsolute,
    IndexKind::OpenDml,
];

#[test]
fn sound_files_are_read_whole() {
    for index in ALL {
        let (built, _, expected) = build(index, 200);
        let (played, findings) = read(&built.bytes);
        same(&played, &expected);
        assert_eq!(findings, [], "{index:?}");
        // In the order of time.
        assert!(played.windows(2).all(|w| w[0].1 <= w[1].1));
        for step in [1000, 7, 1 << 20] {
            let (played, findings) = stream(&built.bytes, step);
            same(&played, &expected);
            assert_eq!(findings, [], "{index:?}");
        }
    }
}

#[test]
fn an_index_is_used_where_there_is_one() {
    for (index, used) in [
        (IndexKind::None, false),
        (IndexKind::Old, true),
        (IndexKind::OldAbsolute, true),
        (IndexKind::OpenDml, true),
    ] {
        let (built, ..) = build(index, 50);
        let reader = Reader::open(built.bytes.as_slice()).expect("opens");
        assert_eq!(
            reader.index().chunks(0),
            if used { 50 } else { 0 },
            "{index:?}"
        );
    }
}

#[test]
fn rec_lists_unpadded_chunks_and_empty_ones() {
    let mut content = Vec::new();
    let mut expected = Vec::new();
    for n in 0..20u32 {
        let frame = picture(n, 701);
        expected.push((0, u64::from(n * 2) * 1_001_000_000 / 30, frame.clone()));
        let mut unpadded = avi_bytes::chunk(b"00dc", &frame);
        if frame.len() % 2 == 1 {
            unpadded.pop();
        }
        let mut rec = b"rec ".to_vec();
        rec.extend(avi_bytes::chunk(b"00dc", &[]));
        // The empty chunk comes second in time.
        let rec = if n % 2 == 0 {
            let mut v = unpadded;
            v.extend(avi_bytes::chunk(b"00dc", &[]));
            v
        } else {
            let mut v = b"LIST".to_vec();
            v.extend((8u32 + 4 + 8 + frame.len() as u32).to_le_bytes());
            v.extend(b"rec ");
            v.extend(unpadded);
            v.extend(&rec[4..]);
            v
        };
        content.push(Piece::Raw(rec));
    }
    for e in &mut expected {
        e.1 = u64::try_from(u128::from(e.1)).expect("fits");
    }
    let expected: Vec<Played> = expected
        .into_iter()
        .enumerate()
        .map(|(n, e)| (0, 2 * n as u64 * 1_001_000_000_000 / 30000, e.2))
        .collect();
    let file = File {
        index: IndexKind::None,
        ..File::default()
    };
    let bytes = file.build(&content).bytes;
    same(&read(&bytes).0, &expected);
    same(&stream(&bytes, 333).0, &expected);
}

#[test]
fn proper_files_keep_the_rate_of_strh() {
    for (scale, rate, interval) in [
        (1001, 30000, 33366),
        (1001, 30000, 33367),
        (1, 25, 40000),
        (1, 30, 33333),
        (1, 15, 66666),
        (100, 2997, 33367),
        (1, 25, 0),
        (1, 30, 40000),
    ] {
        let pieces = pieces(10, None);
        let file = File {
            scale,
            rate,
            interval,
            ..File::default()
        };
        let bytes = file.build(&pieces).bytes;
        same(
            &read(&bytes).0,
            &expected(&pieces, scale.into(), rate.into(), 1),
        );
    }
}

/// A recording of MaixPy's is read from a file and as a stream, without a finding.
fn check_maixpys(maixpy: MaixPy) {
    let frames: Vec<_> = (0..12).map(|n| picture(n, 600 + n as usize)).collect();
    let MaixPy {
        interval,
        audio,
        finished,
        memory,
    } = maixpy;
    let bytes = maixpy.build(&frames);
    let expected: Vec<Played> = frames
        .into_iter()
        .zip(0..)
        .map(|(f, n)| (0, n * u64::from(interval) * 1000, f))
        .collect();
    let (played, findings) = read(&bytes);
    same(&played, &expected);
    assert_eq!(findings, [], "{interval} {audio} {memory:x} {finished}");
    let (played, findings) = stream(&bytes, 100);
    same(&played, &expected);
    assert_eq!(findings, []);
    let mut reader = Reader::open(bytes.as_slice()).expect("opens");
    while !reader.scan(100).expect("no I/O") {}
    assert_eq!(reader.duration(), 12 * u64::from(interval) * 1000);
    assert_eq!(reader.index().chunks(1), 0);
    if audio {
        let Format::Pcm(pcm) = &reader.header().streams[1].format else {
            panic!("sound is announced");
        };
        assert_eq!((pcm.rate, pcm.channels, pcm.frame_bytes()), (44100, 1, 2));
    }
}

#[test]
fn maixpy_recordings_have_the_interval_of_avih() {
    for interval in [
        100_000, 300_000, 2_000_000, 33_333, 40_000, 66_666, 1_000_001,
    ] {
        for audio in [false, true] {
            for memory in [0, 0xA5C3_9B17, u32::MAX, 0x5453_494C] {
                for finished in [true, false] {
                    check_maixpys(MaixPy {
                        interval,
                        audio,
                        finished,
                        memory,
                    });
                }
            }
        }
    }
}

#[test]
fn a_power_cut_at_every_byte_of_a_maixpy_recording() {
    let frames: Vec<_> = (0..4).map(|n| picture(n, 300 + n as usize * 3)).collect();
    let maixpy = MaixPy {
        finished: false,
        ..MaixPy::default()
    };
    let whole = maixpy.build(&frames);
    let before = maixpy.build(&frames[..3]).len();
    for cut in before..whole.len() {
        let (played, _) = read(&whole[..cut]);
        let there = cut >= before + 8 + frames[3].len();
        assert_eq!(video(&played), frames[..if there { 4 } else { 3 }], "{cut}");
        assert_eq!(played, stream(&whole[..cut], 64).0, "{cut}");
    }
    // The size of the last one is not written yet.
    for len in [0, 1, 100, frames[3].len() - 1, frames[3].len()] {
        let mut bytes = whole[..before].to_vec();
        bytes.extend(MaixPy::begun(&frames[3][..len]));
        let (played, _) = read(&bytes);
        let there = len == frames[3].len();
        assert_eq!(video(&played), frames[..if there { 4 } else { 3 }], "{len}");
        assert_eq!(played, stream(&bytes, 64).0, "{len}");
    }
}

#[test]
fn a_chunk_size_that_was_overwritten_loses_nothing() {
    for index in ALL {
        for size in [
            0u32,
            1,
            20,
            500,
            5000,
            100_000,
            10_000_000,
            0x7FFF_FFFF,
            u32::MAX,
        ] {
            for piece in [10, 11, 0, 1, 58, 59] {
                let (mut built, _, expected) = build(index, 30);
                let at = built.at[piece];
                built.bytes[at + 4..at + 8].copy_from_slice(&size.to_le_bytes());
                let (played, findings) = read(&built.bytes);
                // Sound whose size is lost cannot be told from what is
                // behind it to the last byte: the frames and the times count.
                let what = format!("{index:?}, size {size} at piece {piece}");
                assert_eq!(video(&played), video(&expected), "{what}");
                if index != IndexKind::None || piece % 2 == 0 {
                    same(&played, &expected);
                }
                let told = findings
                    .iter()
                    .filter(|f| matches!(f, Finding::Damage { .. } | Finding::Cut { .. }))
                    .count();
                if size != 500 || piece % 2 == 0 {
                    assert!(told <= 1, "{what}: {findings:?}");
                }
                assert_eq!(
                    video(&stream(&built.bytes, 1000).0),
                    video(&expected),
                    "{what}"
                );
            }
        }
    }
}

#[test]
fn a_hole_of_zeros_loses_what_was_in_it() {
    for index in ALL {
        let (built, _, expected) = build(index, 100);
        for (from, to) in [(40, 41), (40, 60), (41, 43), (0, 9), (90, 198)] {
            for shift in [0, 3, 300] {
                let mut bytes = built.bytes.clone();
                let (start, end) = (built.at[from] + shift, built.at[to] + shift);
                bytes[start..end].fill(0);
                let hit = |n: usize| {
                    let next = built.at.get(n + 1).copied().unwrap_or(built.bytes.len());
                    built.at[n] + 8 < end && next > start
                };
                let intact: Vec<_> = (0..200)
                    .step_by(2)
                    .filter(|&n| !hit(n))
                    .map(|n| expected[n].clone())
                    .collect();
                let (played, findings) = read(&bytes);
                let what = format!("{index:?}: {from}..{to}+{shift}");
                assert!(
                    findings
                        .iter()
                        .any(|f| matches!(f, Finding::Damage { .. } | Finding::Lost { .. })),
                    "{what}"
                );
                let mut got = of(&played, 0);
                // A picture with a hole in its middle is still one.
                got.retain(|p| intact.iter().any(|i| i.2 == p.2));
                assert_eq!(got.len(), intact.len(), "{what}");
                if index != IndexKind::None {
                    // The index knows how much is missing.
                    assert!(got == intact, "{what}: times");
                }
                let streamed = video(&stream(&bytes, 500).0);
                assert!(
                    intact.iter().all(|i| streamed.contains(&i.2)),
                    "{what}: streamed"
                );
            }
        }
    }
}

#[test]
fn one_region_is_told_of_once() {
    let (built, ..) = build(IndexKind::None, 100);
    let mut bytes = built.bytes.clone();
    let (from, to) = (built.at[40], built.at[80]);
    bytes[from..to].fill(0);
    let damage = |findings: &[Finding]| {
        findings
            .iter()
            .filter(|f| matches!(f, Finding::Damage { .. } | Finding::Lost { .. }))
            .cloned()
            .collect::<Vec<_>>()
    };
    let told = [Finding::Damage {
        from: from as u64,
        to: to as u64,
        pictures: 0,
    }];
    assert_eq!(damage(&read(&bytes).1), told);
    assert_eq!(damage(&stream(&bytes, 999).1), told);
    let (built, ..) = build(IndexKind::Old, 100);
    let mut bytes = built.bytes.clone();
    bytes[built.at[40]..built.at[80]].fill(0);
    let damage = damage(&read(&bytes).1);
    assert_eq!(damage.len(), 1, "{damage:?}");
}

#[test]
fn two_files_joined_play_one_after_the_other() {
    for index in ALL {
        let (a, _, first) = build(index, 40);
        let (b, _, second) = build(index, 25);
        let mut bytes = a.bytes.clone();
        bytes.extend(&b.bytes);
        for (played, findings) in [read(&bytes), stream(&bytes, 4000)] {
            let frames: Vec<_> = video(&first).into_iter().chain(video(&second)).collect();
            assert_eq!(video(&played), frames, "{index:?}");
            assert!(findings.contains(&Finding::Joined {
                pos: a.bytes.len() as u64
            }));
            // The second one's picture and sound begin together.
            let start = of(&played, 0)[40].1;
            let sound = of(&played, 1)[40].1;
            assert!(start.abs_diff(sound) < 33_400_000, "{start} {sound}");
        }
    }
}

#[test]
fn joined_files_keep_their_own_rates_and_formats() {
    let ends = |played: &[Played], byte_rate: u64, frame: u64| {
        let video = of(played, 0).last().map_or(0, |p| p.1 + frame);
        let sound = of(played, 1)
            .last()
            .map_or(0, |p| p.1 + p.2.len() as u64 * 1_000_000_000 / byte_rate);
        video.max(sound)
    };
    for index in ALL {
        let (a, _, first) = build(index, 40);
        let content: Vec<_> = (0..30)
            .flat_map(|n| {
                let picture = picture_of(n, 900, 640, 480);
                [
                    Piece::Video(picture),
                    Piece::Sound(avi_bytes::sound(n, 3000)),
                ]
            })
            .collect();
        let other = File {
            scale: 3,
            rate: 10,
            interval: 300_000,
            audio: Some((8000, 2)),
            size: (640, 480),
            index,
            ..File::default()
        };
        let b = other.build(&content);
        let second = expected(&content, 3, 10, 32_000);
        let bytes = [&a.bytes[..], &b.bytes, &a.bytes].concat();
        let begins = ends(&first, 32_000, 33_366_667);
        let third = begins + ends(&second, 32_000, 300_000_000);
        let later = |played: &[Played], by: u64| {
            let moved = |p: &Played| (p.0, p.1 + by, p.2.clone());
            played.iter().map(moved).collect::<Vec<_>>()
        };
        let all = [first.clone(), later(&second, begins), later(&first, third)].concat();
        for (played, _) in [read(&bytes), stream(&bytes, 4000)] {
            for n in 0..2 {
                let (played, all) = (of(&played, n), of(&all, n));
                assert_eq!(played.len(), all.len(), "{index:?}");
                for (played, expected) in played.iter().zip(&all) {
                    assert!(
                        played.1.abs_diff(expected.1) <= 2,
                        "{index:?}: {} {}",
                        played.1,
                        expected.1
                    );
                    assert!(played.2 == expected.2, "{index:?}");
                }
            }
        }
        // Seeks go by those times too.
        let mut reader = Reader::open(bytes.as_slice()).expect("opens");
        while !reader.scan(100).expect("no I/O") {}
        for (number, at) in [
            (39, 39 * 33_366_667),
            (45, begins + 1_700_000_000),
            (75, third + 200_000_000),
        ] {
            let mut playback = Playback::new(2);
            playback.seek(&reader, at, false);
            let next = std::iter::from_fn(|| playback.next(&mut reader).expect("no I/O"));
            let next = next
                .take(4)
                .find(|next| next.entry.stream == 0)
                .expect("a frame");
            assert_eq!(next.entry.first, number, "{index:?} at {at}");
        }
    }
}

#[test]
fn frames_that_are_missing_are_counted_by_the_header() {
    let (built, ..) = build(IndexKind::None, 100);
    let mut hole = built.bytes.clone();
    hole[built.at[40]..built.at[60]].fill(0);
    let cut = built.bytes[..built.at[150]].to_vec();
    for (bytes, frames) in [(&built.bytes, 0), (&hole, 10), (&cut, 25)] {
        let missing: Vec<_> = read(bytes)
            .1
            .into_iter()
            .filter_map(|finding| match finding {
                Finding::Missing { stream, frames } => Some((stream, frames)),
                _ => None,
            })
            .collect();
        let expected = (frames > 0).then_some((0, frames));
        assert_eq!(missing, Vec::from_iter(expected));
    }
}

#[test]
fn a_lost_header_is_made_up_from_the_pictures() {
    let frames: Vec<_> = (0..30).map(|n| picture_of(n, 900, 176, 144)).collect();
    let pieces: Vec<_> = frames.iter().cloned().map(Piece::Video).collect();
    let built = File::default().build(&pieces);
    let start = built.at[0];
    let mut zeroed = built.bytes.clone();
    zeroed[..start].fill(0);
    let cut = built.bytes[start..].to_vec();
    let bare: Vec<u8> = frames.concat();
    for bytes in [zeroed, cut, bare] {
        let (played, findings) = read(&bytes);
        assert_eq!(video(&played), frames);
        assert!(findings.contains(&Finding::NoHeader));
        let reader = Reader::open(bytes.as_slice()).expect("opens");
        assert_eq!(
            reader.header().streams[0].format,
            Format::Jpeg {
                width: 176,
                height: 144
            }
        );
        let frame = reader.first_picture().expect("a picture was found");
        assert_eq!(frame.sampling_name(), Some("YCbCr-4:2:2"));
        assert_eq!(video(&stream(&bytes, 5000).0), frames);
    }
}

#[test]
fn headers_with_holes() {
    // Whatever four bytes of the header are lost, the frames are there.
    let (built, ..) = build(IndexKind::Old, 5);
    let frames = video(&read(&built.bytes).0);
    for at in (0..built.at[0] - 4).step_by(4) {
        for fill in [0, 0xFF] {
            let mut bytes = built.bytes.clone();
            bytes[at..at + 4].fill(fill);
            let reader = Reader::open(bytes.as_slice());
            if let Ok(reader) = reader
                && matches!(
                    reader.header().streams.first().map(|s| &s.format),
                    Some(Format::Other { .. })
                )
            {
                // The codec's name itself.
                continue;
            }
            let (played, _) = read(&bytes);
            let pictures: Vec<_> = played.iter().filter(|p| jpeg::begins(&p.2)).collect();
            assert_eq!(
                pictures.len(),
                frames.len(),
                "bytes {at}..{} = {fill}",
                at + 4
            );
        }
    }
}

#[test]
fn indexes_that_are_wrong_do_no_harm() {
    let frames = |bytes: &[u8]| video(&read(bytes).0);
    // Cut off.
    let (built, _, all) = build(IndexKind::Old, 60);
    let expected = video(&all);
    for keep in [0, 1, 16, 17, 160, 900] {
        let bytes = &built.bytes[..built.idx1 + 8 + keep];
        assert_eq!(frames(bytes), expected, "{keep} bytes of idx1");
        same(&read(bytes).0, &all);
    }
    // Full of garbage, too long, or for another file.
    for garbage in [
        [0u8; 16],
        [0xFF; 16],
        *b"00dc\x10\0\0\0\xF0\0\0\0\x80\0\0\0",
    ] {
        let mut bytes = built.bytes.clone();
        for entry in bytes[built.idx1 + 8..].chunks_exact_mut(16) {
            entry.copy_from_slice(&garbage);
        }
        same(&read(&bytes).0, &all);
    }
    let mut bytes = built.bytes.clone();
    bytes[built.idx1 + 4..built.idx1 + 8].fill(0xFF);
    same(&read(&bytes).0, &all);
    // Bytes lost in the middle of the file: the index is off from there.
    let mut bytes = built.bytes.clone();
    bytes.drain(built.at[50]..built.at[56]);
    let got = frames(&bytes);
    assert_eq!(got.len(), 57);
    assert!(got.iter().all(|f| expected.contains(f)));
    // OpenDML: a super index that leads to itself, twice to the same, or out
    // of the file.
    let (built, _, all) = build(IndexKind::OpenDml, 60);
    let entry = built.indx + 24;
    let own = (built.indx - 8) as u64;
    for target in [
        own,
        0,
        u64::MAX,
        u64::MAX - 7,
        built.bytes.len() as u64 - 3,
        12,
    ] {
        let mut bytes = built.bytes.clone();
        bytes[entry..entry + 8].copy_from_slice(&target.to_le_bytes());
        same(&read(&bytes).0, &all);
    }
    // A standard index whose first chunk lies in the file's first bytes, or behind all numbers.
    let part = u64::from_le_bytes(built.bytes[entry..entry + 8].try_into().unwrap()) as usize;
    for (base, offset) in [(0, 0), (0, 4), (0, 7), (u64::MAX, 0), (u64::MAX - 9, 4)] {
        let mut bytes = built.bytes.clone();
        bytes[part + 20..part + 28].copy_from_slice(&u64::to_le_bytes(base));
        bytes[part + 32..part + 36].copy_from_slice(&u32::to_le_bytes(offset));
        same(&read(&bytes).0, &all);
        let (played, _) = stream(&bytes, 1000);
        same(&played, &all);
    }
    for entries in [0u32, 2, 1000, u32::MAX] {
        let mut bytes = built.bytes.clone();
        bytes[built.indx + 4..built.indx + 8].copy_from_slice(&entries.to_le_bytes());
        same(&read(&bytes).0, &all);
    }
}

#[test]
fn seeks_find_the_frame_of_a_time() {
    for index in ALL {
        let (built, _, all) = build(index, 300);
        let mut reader = Reader::open(built.bytes.as_slice()).expect("opens");
        let frames = of(&all, 0);
        for n in [0, 1, 63, 64, 65, 150, 299] {
            let (_, time, frame) = &frames[n];
            while !reader.is_complete() && reader.known_until() <= *time {
                reader.scan(10).expect("no I/O");
            }
            for (at, backward) in [(*time, false), (time + 5_000_000, false), (time + 1, true)] {
                let mut playback = Playback::new(2);
                playback.seek(&reader, at, backward);
                let entry = loop {
                    let next = playback
                        .next(&mut reader)
                        .expect("no I/O")
                        .expect("a chunk");
                    if next.entry.stream == 0 {
                        break next.entry;
                    }
                };
                let pos = entry.pos as usize;
                assert_eq!(&built.bytes[pos..pos + frame.len()], frame, "{index:?} {n}");
            }
        }
    }
}

#[test]
fn backward_is_forward_reversed() {
    let (built, _, mut all) = build(IndexKind::Old, 100);
    let mut reader = Reader::open(built.bytes.as_slice()).expect("opens");
    while !reader.scan(100).expect("no I/O") {}
    let mut playback = Playback::new(2);
    playback.seek(&reader, u64::MAX - 1, true);
    let mut played = Vec::new();
    while let Some(next) = playback.next(&mut reader).expect("no I/O") {
        played.push((next.entry.stream, next.time));
    }
    all.reverse();
    for stream in 0..2 {
        let times = |p: &[(usize, u64)]| {
            p.iter()
                .filter(|p| p.0 == stream)
                .map(|p| p.1)
                .collect::<Vec<_>>()
        };
        let expected: Vec<_> = all.iter().map(|p| (p.0, p.1)).collect();
        assert_eq!(times(&played), times(&expected));
    }
}

#[test]
fn files_that_are_not_interleaved_play_in_time_order() {
    let mut content = pieces(60, None);
    content.extend((0..60).map(|n| Piece::Sound(sound(n, 1066))));
    let bytes = with(IndexKind::Old).build(&content).bytes;
    let (played, _) = read(&bytes);
    assert_eq!(played.len(), 120);
    assert!(played.windows(2).all(|w| w[0].1 <= w[1].1));
}

#[test]
fn what_is_no_avi_is_refused() {
    for bytes in [
        &b""[..],
        b"RIFF",
        &[0; 100_000],
        &[0x55; 5000],
        b"\xFF\xD8\xFF",
    ] {
        assert!(Reader::open(bytes).is_err());
    }
    // A header and no frame is an empty recording.
    let bytes = MaixPy::default().build(&[]);
    assert_eq!(read(&bytes).0, []);
}

/// A source that knows how often and for how much it was asked.
struct Watched<'a> {
    bytes: &'a [u8],
    reads: usize,
    read: usize,
}

impl<'a> Watched<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            reads: 0,
            read: 0,
        }
    }
}

impl ReadAt for Watched<'_> {
    type Block = Vec<u8>;
    type Error = Infallible;

    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&mut self, pos: u64, len: usize) -> Result<Vec<u8>, Infallible> {
        let pos = pos as usize;
        assert!(
            pos + len <= self.bytes.len(),
            "asked for more than there is"
        );
        self.reads += 1;
        self.read += len;
        // Damage may be looked at a few times, not without end.
        assert!(
            self.read < 400 * self.bytes.len() + (64 << 20),
            "reads in circles"
        );
        Ok(self.bytes[pos..pos + len].to_vec())
    }
}

fn read_watched(bytes: &[u8]) {
    let Ok(mut reader) = Reader::open(Watched::new(bytes)) else {
        return;
    };
    let mut playback = Playback::new(reader.header().streams.len());
    let mut chunks = 0;
    while let Some(next) = playback.next(&mut reader).expect("no I/O") {
        reader.payload_of(&next).expect("no I/O");
        chunks += 1;
        assert!(chunks <= bytes.len(), "plays in circles");
    }
    assert!(reader.index().memory() <= 4 * bytes.len() + 4096);
}

#[test]
fn large_frames_and_the_sound_beside_them_are_read_at_once() {
    let frames = 100;
    let video = |n: u32| Piece::Video(picture(n, 40_001 + n as usize));
    // Beside each other; the sound ten frames ahead; two of them for a frame.
    type Sounds = fn(u32) -> std::ops::Range<u32>;
    let cases: [(Sounds, usize); 3] = [
        (|n| n..n + 1, 2002),
        (|n| if n == 0 { 0..11 } else { n + 10..n + 11 }, 2002),
        (|n| 2 * n..2 * n + 2, 1001),
    ];
    for (sounds, len) in cases {
        let pieces: Vec<Piece> = (0..frames)
            .flat_map(|n| {
                let sounds = sounds(n).map(|n| Piece::Sound(sound(n, len)));
                std::iter::once(video(n)).chain(sounds)
            })
            .collect();
        let file = File {
            scale: 1,
            rate: 30,
            audio: Some((30_030, 1)),
            ..File::default()
        };
        let bytes = file.build(&pieces).bytes;
        let (played, findings) = read(&bytes);
        assert_eq!(findings, []);
        for stream in 0..2 {
            let of_stream = played.iter().filter(|p| p.0 == stream);
            let expected = pieces.iter().filter_map(|piece| match (stream, piece) {
                (0, Piece::Video(data)) | (1, Piece::Sound(data)) => Some(data),
                _ => None,
            });
            assert!(of_stream.map(|p| &p.2).eq(expected));
        }
        let mut reader = Reader::open(Watched::new(&bytes)).expect("opens");
        while !reader.scan(100).expect("no I/O") {}
        let before = reader.window().source().reads;
        let mut playback = Playback::new(2);
        while let Some(next) = playback.next(&mut reader).expect("no I/O") {
            reader.payload_of(&next).expect("no I/O");
        }
        let reads = reader.window().source().reads - before;
        assert!(reads <= frames as usize + 5, "{reads} reads");
    }
}

#[derive(Clone, Debug)]
enum Harm {
    Fill(usize, usize, u8),
    Put(usize, u32),
    Remove(usize, usize),
    Cut(usize),
    Repeat(usize, usize),
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        (any::<usize>(), 1..5000usize, any::<u8>()).prop_map(|(a, n, b)| Harm::Fill(a, n, b)),
        (
            any::<usize>(),
            prop_oneof![Just(u32::MAX), Just(0), any::<u32>(), 0..70_000u32]
        )
            .prop_map(|(a, v)| Harm::Put(a, v)),
        (any::<usize>(), 1..3000usize).prop_map(|(a, n)| Harm::Remove(a, n)),
        any::<usize>().prop_map(Harm::Cut),
        (any::<usize>(), 1..3000usize).prop_map(|(a, n)| Harm::Repeat(a, n)),
    ]
}

fn apply(bytes: &mut Vec<u8>, harm: &Harm) {
    let len = bytes.len();
    if len < 16 {
        return;
    }
    match *harm {
        Harm::Fill(at, n, byte) => {
            let at = at % len;
            bytes[at..(at + n).min(len)].fill(byte);
        }
        Harm::Put(at, value) => {
            let at = at % (len - 4);
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        Harm::Remove(at, n) => {
            let at = at % len;
            bytes.drain(at..(at + n).min(len));
        }
        Harm::Cut(at) => bytes.truncate(at % len),
        Harm::Repeat(at, n) => {
            let at = at % len;
            let part = bytes[at..(at + n).min(len)].to_vec();
            bytes.splice(at..at, part);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_damage_is_survived(
        kind in 0..4usize,
        frames in 0..30u32,
        audio in any::<bool>(),
        harms in prop::collection::vec(harm(), 0..6),
        step in 1..5000usize,
    ) {
        let pieces = pieces(frames, audio.then_some(500));
        let file = File { index: ALL[kind], audio: AUDIO.filter(|_| audio), ..File::default() };
        let mut bytes = file.build(&pieces).bytes;
        for harm in &harms {
            apply(&mut bytes, harm);
        }
        read_watched(&bytes);
        stream(&bytes, step);
    }

    #[test]
    fn what_was_written_is_read(
        kind in 0..4usize,
        scale in 1..5000u32,
        rate in 1000..60000u32,
        sizes in prop::collection::vec((0..3000usize, 0..600usize), 1..60),
        step in 1..5000usize,
    ) {
        let mut content = Vec::new();
        for (n, (picture_len, sound_len)) in sizes.iter().enumerate() {
            content.push(Piece::Video(picture(n as u32, *picture_len)));
            content.push(Piece::Sound(sound(n as u32, sound_len * 2)));
        }
        let file = File { index: ALL[kind], scale, rate, audio: AUDIO, ..File::default() };
        let bytes = file.build(&content).bytes;
        let mut expected = expected(&content, scale.into(), rate.into(), 32000);
        expected.retain(|p| !p.2.is_empty());
        let (played, findings) = read(&bytes);
        prop_assert_eq!(findings, []);
        same(&played, &expected);
        let (mut played, findings) = stream(&bytes, step);
        played.retain(|p| !p.2.is_empty());
        prop_assert_eq!(findings, []);
        same(&played, &expected);
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..4000), step in 1..500usize) {
        read_watched(&bytes);
        stream(&bytes, step);
    }
}
