// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that other recorders write, and what is left of files of which a part is lost: all frames are
//! found, at their times, and nothing is called damage that is none.
#![allow(clippy::expect_used, clippy::panic, reason = "a failure ends the test")]

#[path = "common/avi_bytes.rs"]
mod avi_bytes;
#[path = "common/avi_memory.rs"]
mod avi_memory;

use avi_bytes::{
    Built, File, IndexKind, Piece, chunk, list, of_fields, picture, picture_of, pieces, sound,
};
use avi_memory::{bytes_of, memory};
use avi_mjpeg::pcm::Layout;
use avi_mjpeg::reader::headers::{self, Codec, Format, Header, Hints, Joined, MAX_TEXTS};
use avi_mjpeg::reader::index::MAX_STREAMS;
use avi_mjpeg::reader::player::{Player, Step};
use avi_mjpeg::reader::stream::{Item, StreamReader};
use avi_mjpeg::reader::tracks::{Range, Unit};
use avi_mjpeg::reader::{Finding, Reader, Snap};
use avi_mjpeg::repair::{repair, repair_with};
use avi_mjpeg::timeline::Rate;
use avi_mjpeg::writer::Profile;

type Units = Vec<Unit<Vec<u8>>>;

/// What is played of a file.
struct Played {
    header: Header,
    units: Units,
    findings: Vec<Finding>,
    /// The range that a seek came to.
    landed: Option<Range>,
}

/// All of a file, or a range of it.
fn pull_played(bytes: &[u8], range: Range) -> Played {
    let mut player = Player::open(bytes).expect("it opens");
    if range != Range::ALL {
        player.seek(range);
    }
    let (mut units, mut findings, mut landed) = (Vec::new(), Vec::new(), None);
    loop {
        let step = player.step().expect("no I/O");
        findings.extend(player.take_findings());
        match step {
            Step::Unit(unit) => units.push(unit),
            Step::Landed(range) => landed = Some(range),
            Step::Searching | Step::Gap(_) => {}
            Step::End => {
                return Played {
                    header: player.header().clone(),
                    units,
                    findings,
                    landed,
                };
            }
        }
    }
}

/// The same in pieces; a range is played when `known` bytes have come.
fn push_played(bytes: &[u8], range: Range, known: usize) -> Played {
    let mut reader = StreamReader::new();
    let (mut units, mut findings, mut landed) = (Vec::new(), Vec::new(), None);
    let (mut at, mut due) = (0, range != Range::ALL);
    loop {
        let item = reader.step();
        findings.extend(reader.take_findings());
        match item.expect("it opens") {
            Some(Item::Unit(unit)) => units.push(unit),
            Some(Item::GoTo(pos)) => {
                assert_eq!(landed, None, "something was played");
                at = pos as usize;
                reader.flush();
                reader.begin(pos);
            }
            Some(Item::Landed(range)) => landed = Some(range),
            Some(Item::End | Item::Over) => {
                return Played {
                    header: reader.header().expect("it is known").clone(),
                    units,
                    findings,
                    landed,
                };
            }
            Some(_) => {}
            None if due && at >= known => {
                due = false;
                let pos = reader.seek(range, Some(bytes.len() as u64));
                units.clear();
                if let Some(pos) = pos {
                    at = pos as usize;
                    reader.flush();
                    reader.begin(pos);
                }
            }
            None if at < bytes.len() => {
                let end = (at + 1777).min(bytes.len());
                reader.push(&bytes[at..end]);
                at = end;
            }
            None => reader.finish(),
        }
    }
}

fn pull(bytes: &[u8], range: Range) -> (Header, Units, Vec<Finding>) {
    let played = pull_played(bytes, range);
    (played.header, played.units, played.findings)
}

fn push(bytes: &[u8], range: Range, known: usize) -> (Header, Units, Vec<Finding>) {
    let played = push_played(bytes, range, known);
    (played.header, played.units, played.findings)
}

fn both(bytes: &[u8]) -> [(Header, Units, Vec<Finding>); 2] {
    [pull(bytes, Range::ALL), push(bytes, Range::ALL, 0)]
}

/// The pictures that are there, with their times.
fn shown(units: &Units) -> Vec<(u64, Vec<u8>)> {
    let held = units.iter().filter(|unit| unit.stream == 0);
    held.filter_map(|unit| Some((unit.time, unit.content.as_ref()?.piece.clone())))
        .collect()
}

fn time(n: u64) -> u64 {
    n * 1_001_000_000_000 / 30_000
}

fn pictures(count: u32) -> Vec<Vec<u8>> {
    (0..count).map(|n| picture(n, 700 + n as usize)).collect()
}

fn pictures_of(pieces: &[Piece]) -> Vec<Vec<u8>> {
    let picture = |piece: &Piece| match piece {
        Piece::Video(picture) => Some(picture.clone()),
        _ => None,
    };
    pieces.iter().filter_map(picture).collect()
}

fn expect(units: &Units, pictures: &[Vec<u8>]) {
    let expected: Vec<_> = (0..).map(time).zip(pictures.iter().cloned()).collect();
    let shown = shown(units);
    assert_eq!(shown.len(), expected.len());
    assert!(shown == expected);
}

/// Read in either way, a file shows all of these pictures, and nothing is wrong with it.
fn assert_whole(bytes: &[u8], pictures: &[Vec<u8>], what: impl std::fmt::Debug) {
    for (_, units, findings) in both(bytes) {
        expect(&units, pictures);
        assert_eq!(findings, [], "{what:?}");
    }
}

#[test]
fn a_picture_begins_at_its_start_marker() {
    let all = pictures(30);
    let line = b"\r\n--boundary\r\nContent-Type: image/jpeg\r\nContent-Length: 712\r\n\r\n";
    for lead in [&[0xff][..], &[0], &[0; 16], b"\r\n", line] {
        for index in [IndexKind::None, IndexKind::Old] {
            let led = all.iter().map(|p| Piece::Video([lead, p].concat()));
            let file = File {
                index,
                ..File::default()
            };
            assert_whole(&file.build(&led.collect::<Vec<_>>()).bytes, &all, ());
        }
    }
}

#[test]
fn chunks_of_other_names_are_neither_frames_nor_damage() {
    let all = pictures(30);
    for name in [b"GPS ", b"gps0", b"snap", b"00ix", b"01tx"] {
        for index in [IndexKind::None, IndexKind::Old] {
            let content: Vec<_> = (0..)
                .zip(&all)
                .flat_map(|(n, p)| {
                    // A thumbnail of the stream's own size.
                    let other = chunk(name, &picture_of(n, 600 + n as usize, 320, 240));
                    [
                        Piece::Raw(other.clone()),
                        Piece::Raw(other),
                        Piece::Video(p.clone()),
                    ]
                })
                .collect();
            let file = File {
                index,
                ..File::default()
            };
            assert_whole(&file.build(&content).bytes, &all, (name, index));
        }
    }
}

#[test]
fn an_index_may_name_chunks_of_other_names() {
    let all = pictures(10);
    let content: Vec<_> = all.iter().cloned().map(Piece::Video).collect();
    let built = File::default().build(&content);
    let mut bytes = built.bytes;
    bytes.extend(b"GPS \0\0\0\0\x04\0\0\0\x10\0\0\0");
    let size = (bytes.len() - built.idx1 - 8) as u32;
    bytes[built.idx1 + 4..built.idx1 + 8].copy_from_slice(&size.to_le_bytes());
    let (_, units, findings) = pull(&bytes, Range::ALL);
    expect(&units, &all);
    assert_eq!(findings, []);
}

#[test]
fn what_an_index_names_backward_is_shown_as_it_lies_in_the_file() {
    let all = pictures(10);
    let content: Vec<_> = all.iter().cloned().map(Piece::Video).collect();
    let built = File::default().build(&content);
    let entries = built.idx1 + 8..built.idx1 + 8 + 16 * all.len();
    let stored: Vec<_> = built.bytes[entries.clone()].chunks(16).collect();
    for (name, order) in [
        ("backward", (0..10).rev().collect::<Vec<_>>()),
        ("from amid", (0..10).map(|n| (n + 4) % 10).collect()),
        ("in another order", vec![0, 4, 2, 3, 1, 5, 6, 7, 8, 9]),
    ] {
        let mut bytes = built.bytes.clone();
        let moved: Vec<u8> = order.iter().flat_map(|n| stored[*n].to_vec()).collect();
        bytes[entries.clone()].copy_from_slice(&moved);
        let (_, units, findings) = pull(&bytes, Range::ALL);
        expect(&units, &all);
        let [Finding::BadIndex { .. }] = findings[..] else {
            panic!("{name}: {findings:?}");
        };
        let (_, units, _) = push(&bytes, Range::ALL, 0);
        expect(&units, &all);
    }
}

/// Pictures and sound of each part, as they come.
fn parts(units: &Units) -> Vec<(usize, usize, Vec<u8>)> {
    let mut parts: Vec<(usize, usize, Vec<u8>)> = Vec::new();
    for unit in units {
        let Some(content) = &unit.content else {
            continue;
        };
        let key = (unit.part, unit.stream);
        match parts.iter_mut().find(|it| (it.0, it.1) == key) {
            Some(part) => part.2.extend_from_slice(&content.piece),
            None => parts.push((unit.part, unit.stream, content.piece.clone())),
        }
    }
    parts.sort();
    parts
}

#[test]
fn files_that_are_joined_may_have_their_streams_in_another_order() {
    for index in [IndexKind::None, IndexKind::Old] {
        let file = File {
            index,
            audio: Some((8000, 2)),
            ..File::default()
        };
        let content: Vec<_> = (0..30)
            .flat_map(|n| {
                let sound = (0..1066_u32).map(|at| (at * 7 + n) as u8);
                [
                    Piece::Video(picture(n, 700)),
                    Piece::Sound(sound.collect::<Vec<_>>()),
                ]
            })
            .collect();
        let built = file.build(&content);
        let same = [&built.bytes[..], &built.bytes, &built.bytes].concat();
        let other = [&built.bytes[..], &built.swapped(), &built.bytes].concat();
        for (same, other) in both(&same).into_iter().zip(both(&other)) {
            let (expected, found) = (parts(&same.1), parts(&other.1));
            assert_eq!(expected.len(), 6, "{index:?}");
            assert!(found == expected, "{index:?}: others");
            assert_eq!(other.2.len(), same.2.len(), "{:?}", other.2);
        }
        // Back into the first file, from the second.
        let mut player = Player::open(&other[..]).expect("it opens");
        while !matches!(player.step(), Ok(Step::End)) {}
        player.seek(Range::ALL);
        let mut shown = 0;
        loop {
            match player.step().expect("no I/O") {
                Step::Unit(unit) => shown += usize::from(unit.stream == 0),
                Step::End => break,
                _ => {}
            }
        }
        assert_eq!(shown, 90, "{index:?}");
    }
}

#[test]
fn an_index_of_fields_is_read() {
    let all = pictures(10);
    let content: Vec<_> = all.iter().cloned().map(Piece::Video).collect();
    let file = File {
        index: IndexKind::OpenDml,
        ..File::default()
    };
    let built = file.build(&content);
    let mut bytes = of_fields(&built.bytes, 10);
    // What follows the index is not in it.
    bytes.extend(chunk(b"JUNK", &[0; 20]));
    let mut reader = Reader::open(&bytes[..]).expect("it opens");
    assert_eq!(reader.index().chunks(0), 10);
    assert_eq!(reader.take_findings(), []);
}

#[test]
fn texts_are_texts_whatever_is_in_them() {
    let file = File {
        info: vec![
            (
                b"ICMT",
                "The LIST of songs: strh, JUNK and more of what names chunks have here, avih too",
            ),
            (b"INAM", "A title"),
        ],
        ..File::default()
    };
    for (header, units, findings) in both(&file.build(&pieces(3, None)).bytes) {
        assert_eq!(units.len(), 3);
        assert_eq!(findings, []);
        let texts: Vec<_> = header.info.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, [file.info[0].1, "A title"]);
    }
}

#[test]
fn motion_jpeg_goes_by_many_names() {
    for name in [
        "ACDV", "QIVG", "SLMJ", "CJPG", "mjpg", "dmb1", "AVI1", "MMJP", "JR24", "AVDJ",
    ] {
        let file = File {
            handler: name.as_bytes().try_into().expect("four letters"),
            ..File::default()
        };
        for (_, units, _) in both(&file.build(&pieces(5, None)).bytes) {
            assert_eq!(units.len(), 5, "{name}");
        }
    }
    // Where the format only says that it is not compressed, the handler counts.
    let built = File::default().build(&pieces(5, None));
    for plain in [b"DIB ", b"RGB ", &[0; 4]] {
        let mut bytes = built.bytes.clone();
        let format = bytes
            .windows(4)
            .position(|w| w == b"strf")
            .expect("it is there")
            + 8;
        bytes[format + 16..format + 20].copy_from_slice(plain);
        for (_, units, _) in both(&bytes) {
            assert_eq!(units.len(), 5, "{}", plain.escape_ascii());
        }
    }
}

#[test]
fn sound_that_is_coded_is_told_as_what_it_is() {
    // Tag, bytes of a block, codec; then samples of a block.
    for (tag, align, codec, per_block) in [
        (7_u16, 1_u16, Codec::MuLaw, 1),
        (6, 1, Codec::ALaw, 1),
        (0x11, 256, Codec::ImaAdpcm, 505),
        (2, 256, Codec::MsAdpcm, 500),
    ] {
        let content: Vec<_> = (0..20)
            .flat_map(|n| [Piece::Video(picture(n, 700)), Piece::Sound(sound(n, 256))])
            .collect();
        let file = File {
            audio: Some((8000, 1)),
            ..File::default()
        };
        let mut bytes = file.build(&content).bytes;
        let strf = |n| {
            let mut all = bytes
                .windows(4)
                .enumerate()
                .filter(|(_, four)| four == b"strf");
            all.nth(n).expect("it is there").0 + 8
        };
        let (audio, strh) = (strf(1), bytes.windows(4).position(|four| four == b"auds"));
        bytes[audio..audio + 2].copy_from_slice(&tag.to_le_bytes());
        bytes[audio + 12..audio + 14].copy_from_slice(&align.to_le_bytes());
        let sample_size = strh.expect("it is there") + 44;
        bytes[sample_size..sample_size + 4].copy_from_slice(&u32::from(align).to_le_bytes());
        for (header, units, findings) in both(&bytes) {
            assert_eq!(findings, []);
            let Format::Coded(coded) = &header.streams[1].format else {
                panic!("{:?}", header.streams[1]);
            };
            assert_eq!((coded.codec, coded.rate, coded.channels), (codec, 8000, 1));
            let sounds: Vec<_> = units.iter().filter(|unit| unit.stream == 1).collect();
            assert_eq!(sounds.len(), 20);
            let last = 20 * 256 / u64::from(align) * per_block;
            assert_eq!(sounds[19].until, last * 1_000_000_000 / 8000);
        }
    }
}

/// A file of these chunks, with whatever else a recorder may write into it.
fn of_chunks(chunks: &[Vec<u8>], index: &[u8], behind: &[u8]) -> Vec<u8> {
    let built = File {
        index: IndexKind::None,
        ..File::default()
    }
    .build(&pieces(1, None));
    let movi = built.at[0] - 12;
    let mut bytes = built.bytes[..built.at[0]].to_vec();
    bytes.extend(chunks.concat());
    let size = (bytes.len() - movi - 8) as u32;
    bytes[movi + 4..movi + 8].copy_from_slice(&size.to_le_bytes());
    bytes.extend(index);
    let riff = (bytes.len() - 8) as u32;
    bytes[4..8].copy_from_slice(&riff.to_le_bytes());
    bytes.extend(behind);
    bytes
}

/// An entry of `idx1`.
fn entry(name: &[u8; 4], offset: usize, size: usize) -> Vec<u8> {
    let numbers = [16, offset as u32, size as u32].map(u32::to_le_bytes);
    [&name[..], &numbers.concat()].concat()
}

/// Those of pictures one after another.
fn entries(pictures: &[Vec<u8>]) -> Vec<u8> {
    let places = pictures.iter().scan(4, |at, picture| {
        let entry = entry(b"00dc", *at, picture.len());
        *at += chunk(b"00dc", picture).len();
        Some(entry)
    });
    places.flatten().collect()
}

/// A chunk for each picture.
fn chunks(pictures: &[Vec<u8>]) -> Vec<Vec<u8>> {
    pictures.iter().map(|p| chunk(b"00dc", p)).collect()
}

/// The end of what is played.
fn end(units: &Units) -> u64 {
    units.iter().map(|unit| unit.until).max().unwrap_or(0)
}

#[test]
fn a_recorder_may_name_the_chunks_of_its_pictures_otherwise() {
    let all = pictures(30);
    for name in [
        b"00db", b"00DC", b"00iv", b"00jp", b"00AM", b"00__", b"00x1",
    ] {
        let chunks: Vec<_> = all.iter().map(|p| chunk(name, p)).collect();
        assert_whole(
            &of_chunks(&chunks, &[], &[]),
            &all,
            name.escape_ascii().to_string(),
        );
    }
    // What is no picture of the stream's is none by such a name either.
    let chunks = all.iter().flat_map(|p| {
        let thumbnail = picture_of(1, 300, 80, 60);
        [
            chunk(b"00dc", p),
            chunk(b"00th", &thumbnail),
            chunk(b"00gp", b"N 51.0"),
        ]
    });
    assert_whole(&of_chunks(&chunks.collect::<Vec<_>>(), &[], &[]), &all, ());
}

#[test]
fn lists_of_other_names_are_looked_into() {
    let all = pictures(30);
    let chunks: Vec<_> = all
        .iter()
        .map(|p| list(b"clip", &chunk(b"00dc", p)))
        .collect();
    let texts = list(b"INFO", &chunk(b"ISFT", b"a recorder\0"));
    assert_whole(
        &of_chunks(&[&[texts], &chunks[..]].concat(), &[], &[]),
        &all,
        (),
    );
}

#[test]
fn zeros_before_a_chunk_that_is_aligned_are_no_damage() {
    let all = pictures(30);
    for alignment in [512, 2048, 4096] {
        let head = of_chunks(&[], &[], &[]).len();
        let mut bytes = Vec::new();
        for picture in &all {
            bytes.extend(chunk(b"00dc", picture));
            let end = (head + bytes.len()).next_multiple_of(alignment);
            bytes.resize(end - head, 0);
        }
        assert_whole(&of_chunks(&[bytes], &[], &[]), &all, alignment);
    }
}

#[test]
fn what_is_put_behind_a_file_is_no_damage() {
    let all = pictures(30);
    let chunks = chunks(&all);
    let entries = entries(&all);
    let index = chunk(b"idx1", &entries);
    let tag = [&b"TAG"[..], &[0; 125]].concat();
    let noise: Vec<u8> = (0..5000_u32).map(|n| (n * n % 251) as u8).collect();
    for behind in [tag, noise, vec![0; 4096], all[3].clone()] {
        for index in [&index[..], &[]] {
            for (_, units, findings) in both(&of_chunks(&chunks, index, &behind)) {
                expect(&units, &all);
                assert_eq!(end(&units), time(30));
                assert_eq!(findings, []);
            }
        }
        // A RIFF that ends before its index, as some recorders write it.
        let mut bytes = of_chunks(&chunks, &index, &behind);
        let riff = (bytes.len() - index.len() - behind.len() - 8) as u32;
        bytes[4..8].copy_from_slice(&riff.to_le_bytes());
        assert_whole(&bytes, &all, ());
    }
    // Frames behind the end are the file's all the same.
    let bytes = of_chunks(&chunks[..20], &[], &chunks[20..].concat());
    for (_, units, _) in both(&bytes) {
        expect(&units, &all);
    }
}

#[test]
fn the_entries_of_an_index_are_no_frames() {
    let all = pictures(30);
    let chunks = chunks(&all);
    let entries = entries(&all);
    // An index that has no size, or one beyond the file.
    for size in [0, 0x7fff_ffff_u32] {
        let mut index = chunk(b"idx1", &entries);
        index[4..8].copy_from_slice(&size.to_le_bytes());
        for (_, units, _) in both(&of_chunks(&chunks, &index, &[])) {
            expect(&units, &all);
            assert_eq!(end(&units), time(30), "{size:#x}");
        }
    }
}

#[test]
fn frames_that_only_the_index_has_keep_their_time_and_are_no_damage() {
    let all = pictures(30);
    let (mut chunks, mut entries, mut at) = (Vec::new(), Vec::new(), 4);
    for (n, picture) in all.iter().enumerate() {
        let is_dropped = n % 3 == 2;
        let size = if is_dropped { 0 } else { picture.len() };
        entries.extend(entry(b"00dc", at, size));
        if !is_dropped {
            chunks.push(chunk(b"00dc", picture));
            at += chunks.last().map_or(0, Vec::len);
        }
    }
    let bytes = of_chunks(&chunks, &chunk(b"idx1", &entries), &[]);
    let (_, units, findings) = pull(&bytes, Range::ALL);
    assert_eq!(findings, []);
    let expected = (0..).map(time).zip(all).enumerate();
    let expected = expected.filter(|(n, _)| n % 3 != 2).map(|(_, shown)| shown);
    assert!(shown(&units) == expected.collect::<Vec<_>>());
    assert_eq!(end(&units), time(30));
}

#[test]
fn counts_of_something_else_are_no_lost_frames() {
    let all = pictures(30);
    let chunks = chunks(&all);
    let whole = of_chunks(&chunks, &[], &[]);
    let counted = |avih: u32, strh: u32| {
        let mut bytes = whole.clone();
        for (name, field, count) in [(b"avih", 16, avih), (b"strh", 32, strh)] {
            let at = bytes
                .windows(4)
                .position(|w| w == name)
                .expect("it is there")
                + 8
                + field;
            bytes[at..at + 4].copy_from_slice(&count.to_le_bytes());
        }
        bytes
    };
    // ArduCAM: bytes a second. OpenMV: another unit.
    for (avih, strh) in [(12_760, 12_760), (30, 75), (30, 3), (0, 0)] {
        assert_whole(&counted(avih, strh), &all, (avih, strh));
    }
    // Where both say so frames are missing, and in a file that is cut off any number is.
    let missing = |frames| Finding::Missing { stream: 0, frames };
    for (_, _, findings) in both(&counted(40, 40)) {
        assert_eq!(findings, [missing(10)]);
    }
    let cut: usize = chunks[2..].iter().map(Vec::len).sum();
    for (_, _, findings) in both(&counted(30, 30)[..whole.len() - cut]) {
        assert_eq!(findings, [missing(28)]);
    }
}

#[test]
fn pcm_without_a_number_of_bits_has_that_of_its_blocks() {
    let content = pieces(20, Some(320));
    let file = File {
        audio: Some((8_000, 1)),
        ..File::default()
    };
    let mut bytes = file.build(&content).bytes;
    let wave = bytes
        .windows(4)
        .rposition(|w| w == b"strf")
        .expect("it is there")
        + 8;
    bytes[wave + 14..wave + 16].fill(0);
    for (header, units, findings) in both(&bytes) {
        assert_eq!(
            header.streams[1].format,
            Format::Pcm(Layout::of_bits(8_000, 1, 16))
        );
        assert_eq!(units.iter().filter(|unit| unit.stream == 1).count(), 20);
        assert_eq!(findings, []);
    }
}

/// Where the body of the last chunk of a name is, of a file with sound.
fn last(bytes: &[u8], name: &[u8; 4]) -> usize {
    let at = bytes.windows(4).rposition(|w| w == name);
    at.expect("it is there") + 8
}

fn with_sound() -> Vec<u8> {
    let file = File {
        audio: Some((8_000, 1)),
        ..File::default()
    };
    file.build(&pieces(20, Some(320))).bytes
}

#[test]
fn a_start_beyond_all_time_is_none() {
    let mut bytes = with_sound();
    let strh = last(&bytes, b"strh");
    // An hour is believed, but it is counted in blocks of four gigabytes.
    for (field, value) in [(28, 28_800_000_u32), (32, u32::MAX), (44, u32::MAX)] {
        bytes[strh + field..][..4].copy_from_slice(&value.to_le_bytes());
    }
    for (header, units, _) in both(&bytes) {
        assert_eq!(header.streams[1].start, 0);
        assert!(units.iter().all(|unit| unit.until < 60_000_000_000));
    }
    let mut reader = StreamReader::new();
    reader.push(&bytes);
    while !matches!(reader.step(), Ok(Some(Item::Header))) {}
    assert_eq!(reader.duration(), Some(u64::MAX - 1));
}

#[test]
fn no_time_is_that_which_stands_for_none() {
    let [(header, ..), _] = both(&with_sound());
    let mut stream = header.streams[0].clone();
    stream.joined.push(Joined {
        from: 1,
        time: u64::MAX - 10,
        stream: stream.clone(),
    });
    assert_eq!(stream.time(1), u64::MAX - 10);
    assert_eq!(stream.time(1000), u64::MAX - 1);
}

#[test]
fn of_streams_and_texts_without_number_some_are_kept() {
    let stream = |n: usize| list(b"strl", &chunk(b"strn", n.to_string().as_bytes()));
    let streams: Vec<u8> = (0..1000).flat_map(stream).collect();
    let texts = chunk(b"INAM", b"name").repeat(1000);
    let head = [list(b"hdrl", &streams), list(b"INFO", &texts)].concat();
    let bytes = chunk(b"RIFF", &[b"AVI ", &head[..]].concat());
    let header = headers::parse(&bytes, 0, true).expect("it is complete");
    let names = header.streams.iter().map(|stream| stream.name.clone());
    let kept = (0..MAX_STREAMS).map(|n| Some(n.to_string()));
    assert!(names.eq(kept));
    assert_eq!(header.info.len(), MAX_TEXTS);
}

#[test]
fn samples_of_some_bits_are_in_whole_bytes() {
    for (bits, block, whole) in [
        (12, 2, 16),
        (20, 3, 24),
        (20, 4, 32),
        (4, 1, 8),
        (12, 0, 16),
    ] {
        let mut bytes = with_sound();
        let wave = last(&bytes, b"strf");
        bytes[wave + 12] = block;
        bytes[wave + 14] = bits;
        for (header, units, findings) in both(&bytes) {
            let expected = Format::Pcm(Layout::of_bits(8_000, 1, whole));
            assert_eq!(header.streams[1].format, expected, "{bits} in {block}");
            assert!(units.iter().any(|unit| unit.stream == 1));
            assert_eq!(findings, []);
        }
    }
}

#[test]
fn a_format_whose_size_is_overwritten_is_read() {
    for size in [0xffff_fff0_u32, u32::MAX, 1 << 25] {
        let mut bytes = with_sound();
        let expected = both(&bytes);
        for name in [b"strf", b"strh"] {
            let at = last(&bytes, name);
            bytes[at - 4..at].copy_from_slice(&size.to_le_bytes());
        }
        for (played, expected) in both(&bytes).iter().zip(&expected) {
            assert_eq!(played.0.streams, expected.0.streams, "{size:x}");
            assert!(played.1 == expected.1);
        }
    }
}

#[test]
fn a_list_of_nothing_is_no_stream() {
    let sound = with_sound();
    let expected = both(&sound);
    let at = last(&sound, b"hdrl") - 4;
    let size = u32::from_le_bytes(sound[at - 8..at - 4].try_into().expect("four"));
    let end = at - 4 + size as usize;
    let bytes = [&sound[..end], b"LIST\x04\0\0\0strl", &sound[end..]].concat();
    for (played, expected) in both(&bytes).iter().zip(&expected) {
        assert_eq!(played.0.streams, expected.0.streams);
        assert!(played.1 == expected.1);
    }
}

#[test]
fn an_index_that_is_cut_off_or_has_another_size_is_no_damage() {
    let content = pieces(30, None);
    let built = File::default().build(&content);
    let all = pictures_of(&content);
    for (size, cut) in [(480, 77), (480, 64), (0, 0), (u32::MAX, 0), (u32::MAX, 5)] {
        let mut bytes = built.bytes.clone();
        bytes[built.idx1 + 4..built.idx1 + 8].copy_from_slice(&size.to_le_bytes());
        bytes.truncate(bytes.len() - cut);
        assert_whole(&bytes, &all, (size, cut));
        if cut % 16 > 0 {
            continue;
        }
        // What was joined on is still found. (A stream does not look into what is as long as it says.)
        let twice = [&bytes[..], &built.bytes].concat();
        let [pulled, pushed] = both(&twice);
        assert_eq!(shown(&pulled.1).len(), 60, "{size} {cut}");
        assert!(size == 480 || pushed.1 == pulled.1, "{size} {cut}");
        let pos = bytes.len() as u64;
        assert!(pulled.2.contains(&Finding::Joined { pos }), "{size} {cut}");
    }
}

#[test]
fn frames_without_a_rate_last_as_long_as_the_sound() {
    let content = pieces(50, Some(640));
    let file = File {
        scale: 0,
        rate: 0,
        interval: 0,
        audio: Some((8_000, 1)),
        ..File::default()
    };
    let (header, units, _) = pull(&file.build(&content).bytes, Range::ALL);
    assert_eq!(header.streams[0].rate, Rate::new(25, 1).expect("a rate"));
    assert_eq!(shown(&units).last().map(|last| last.0), Some(1_960_000_000));
}

#[test]
fn a_stream_that_begins_later_does_so_in_what_is_mended() {
    let frames = 30;
    for (name, start, begins) in [(b"vids", 5, [200, 0]), (b"auds", 1600, [0, 200])] {
        let file = File {
            scale: 1,
            rate: 25,
            interval: 40_000,
            audio: Some((8_000, 1)),
            ..File::default()
        };
        let mut bytes = file.build(&pieces(frames, Some(640))).bytes;
        let at = last(&bytes, name) - 8;
        bytes[at + 28..at + 32].copy_from_slice(&u32::to_le_bytes(start));
        // When there is something to see, or to hear: samples of silence are before it, 8 in a millisecond.
        let begin = |units: &Units, n: usize| {
            let pieces = units.iter().filter(|unit| unit.stream == n);
            let mut pieces = pieces.filter_map(|unit| Some((unit, &unit.content.as_ref()?.piece)));
            let first = pieces.find_map(|(unit, piece)| {
                let quiet = piece.iter().position(|byte| *byte != 0)?;
                Some(unit.time / 1_000_000 + quiet as u64 / 16)
            });
            first.expect("there is something")
        };
        let (_, units, _) = pull(&bytes, Range::ALL);
        assert_eq!([0, 1].map(|n| begin(&units, n)), begins);
        let mut out = memory();
        repair(&bytes[..], Profile::Standard, &mut out, |_, _| {}).expect("it is mended");
        let (_, units, _) = pull(&bytes_of(out), Range::ALL);
        assert_eq!([0, 1].map(|n| begin(&units, n)), begins);
        assert_eq!(shown(&units).len(), frames as usize);
    }
}

#[test]
fn sound_whose_format_is_lost_is_told_of() {
    let content = pieces(60, Some(1068));
    let file = File {
        audio: Some((16_000, 1)),
        ..File::default()
    };
    let built = file.build(&content);
    let lost = Finding::NoFormat { stream: 1 };
    for (_, _, findings) in both(&built.bytes[built.at[0]..]) {
        assert!(findings.contains(&Finding::NoHeader) && findings.contains(&lost));
    }
    for (_, _, findings) in both(&built.bytes) {
        assert_eq!(findings, []);
    }
}

/// A file of 25 frames a second with sound whose every third chunk holds a picture; the rest is empty.
fn sparse(index: IndexKind) -> Built {
    let content: Vec<_> = (0..90)
        .flat_map(|n| {
            let picture = match n % 3 {
                0 if n < 81 => picture(n, 700),
                _ => Vec::new(),
            };
            [Piece::Video(picture), Piece::Sound(sound(n, 640))]
        })
        .collect();
    File {
        scale: 1,
        rate: 25,
        interval: 40_000,
        audio: Some((8000, 1)),
        index,
        ..File::default()
    }
    .build(&content)
}

#[test]
fn a_seek_shows_the_picture_that_is_on_screen() {
    for index in [IndexKind::None, IndexKind::Old, IndexKind::OpenDml] {
        let bytes = sparse(index).bytes;
        for frame in [0, 1, 2, 3, 40, 77, 80, 85, 89, 100] {
            let start = frame * 40_000_000 + 7;
            let range = Range {
                start,
                ..Range::ALL
            };
            let on_screen = (frame / 3 * 3).min(78);
            let known = bytes.len();
            for (_, units, _) in [
                pull(&bytes, range),
                push(&bytes, range, 8000),
                push(&bytes, range, known),
            ] {
                let first = units
                    .iter()
                    .find(|unit| unit.stream == 0 && unit.content.is_some());
                let first = first.unwrap_or_else(|| panic!("no picture at {frame}, {index:?}"));
                assert_eq!(first.time, on_screen * 40_000_000, "{frame} {index:?}");
                assert!(first.until > start, "{frame} {index:?}: {first:?}");
            }
            // Backward it is shown until then.
            let stop = Some(start);
            let range = Range {
                start: 0,
                stop,
                backward: true,
                ..Range::ALL
            };
            let (_, units, _) = pull(&bytes, range);
            let first = units.iter().find(|unit| unit.stream == 0).expect("one");
            assert_eq!(first.time, on_screen * 40_000_000, "{frame} {index:?}");
            assert!(first.until >= (start - 7).min(90 * 40_000_000));
        }
    }
}

/// Of 25 frames a second with sound; of so many no more is left than their chunks' heads.
fn with_holes(index: IndexKind, lost: &[u64]) -> Vec<u8> {
    let file = File {
        scale: 1,
        rate: 25,
        interval: 40_000,
        audio: Some((8000, 1)),
        index,
        ..File::default()
    };
    let mut built = file.build(&pieces(90, Some(640)));
    for n in lost {
        let at = built.at[2 * *n as usize];
        let next = built.at[2 * *n as usize + 1];
        built.bytes[at + 8..next].fill(0x05);
    }
    built.bytes
}

#[test]
fn a_key_unit_seek_begins_with_a_picture_that_is_there() {
    const FRAME: u64 = 40_000_000;
    let lost = [0, 20, 30, 31, 32, 33, 34, 35, 36, 60, 62, 89];
    let is_there = |n: &u64| !lost.contains(n);
    for index in [IndexKind::None, IndexKind::Old, IndexKind::OpenDml] {
        let bytes = with_holes(index, &lost);
        for n in [5, 20, 30, 33, 36, 60, 61, 62, 88, 89] {
            for ns in [n * FRAME, n * FRAME + FRAME / 3, n * FRAME + FRAME * 2 / 3] {
                let on_screen = (0..=n).rev().find(is_there).map(|n| n * FRAME);
                let next = (0..90)
                    .filter(is_there)
                    .map(|n| n * FRAME)
                    .find(|&at| at >= ns);
                let nearest = [on_screen, next].into_iter().flatten();
                let nearest = nearest.min_by_key(|at| at.abs_diff(ns));
                for (snap, first) in [
                    (Snap::Before, on_screen),
                    (Snap::After, next.or(on_screen)),
                    (Snap::Nearest, nearest),
                ] {
                    let snap = Some(snap);
                    let range = Range {
                        start: ns,
                        snap,
                        ..Range::ALL
                    };
                    for (played, how) in [
                        (pull_played(&bytes, range), "pulled"),
                        (push_played(&bytes, range, 8000), "ahead"),
                        (push_played(&bytes, range, bytes.len()), "pushed"),
                    ] {
                        let what = format!("{how} {index:?} {n} {ns} {snap:?}");
                        let landed = played.landed.expect("it landed");
                        assert_eq!(Some(landed.start), first, "{what}");
                        let shown = shown(&played.units);
                        assert_eq!(shown.first().map(|shown| shown.0), first, "{what}");
                        // So is the sound, and all of it.
                        let mut sound = played.units.iter().filter(|unit| unit.stream == 1);
                        let heard = sound.next().map(|unit| unit.time);
                        assert_eq!(heard, first, "{what}");
                        assert_eq!(sound.count() as u64, 89 - landed.start / FRAME, "{what}");
                    }
                }
                // Backward, it ends with a picture whose end is where the next begins.
                for (snap, until) in [
                    (Snap::Before, next.unwrap_or(ns)),
                    (Snap::After, on_screen.unwrap_or(ns)),
                ] {
                    let range = Range {
                        stop: Some(ns),
                        backward: true,
                        snap: Some(snap),
                        ..Range::ALL
                    };
                    let until = if next == Some(ns) { ns } else { until };
                    let played = pull_played(&bytes, range);
                    let landed = played.landed.expect("it landed");
                    assert_eq!(landed.stop, Some(until), "{index:?} {n} {ns} {snap:?}");
                    let first = (0..90).filter(is_there).map(|n| n * FRAME);
                    let first = first.filter(|&at| at < until).max();
                    let shown = shown(&played.units);
                    assert_eq!(shown.first().map(|shown| shown.0), first);
                }
            }
        }
    }
}

#[test]
fn an_accurate_seek_to_a_picture_that_is_destroyed_shows_the_one_before() {
    let lost: Vec<u64> = (40..60).collect();
    for index in [IndexKind::None, IndexKind::Old] {
        let bytes = with_holes(index, &lost);
        for n in [40, 41, 50, 59] {
            let start = n * 40_000_000 + 7;
            let range = Range {
                start,
                ..Range::ALL
            };
            for played in [
                pull_played(&bytes, range),
                push_played(&bytes, range, 8000),
                push_played(&bytes, range, bytes.len()),
            ] {
                assert_eq!(played.landed, Some(range));
                let mut shown = played.units.iter().filter(|unit| unit.stream == 0);
                let first = shown.find(|unit| unit.content.is_some()).expect("one");
                assert_eq!(first.time, 39 * 40_000_000, "{n} {index:?}");
                assert!(first.until > start, "{n} {index:?}: {first:?}");
                // No sound is heard twice.
                let sound = played.units.iter().filter(|unit| unit.stream == 1);
                assert_eq!(sound.count() as u64, 90 - n, "{n} {index:?}");
            }
        }
    }
}

#[test]
fn a_stream_whose_index_is_known_keeps_its_time_behind_damage() {
    let all = pictures(90);
    let content: Vec<_> = all.iter().cloned().map(Piece::Video).collect();
    let built = File::default().build(&content);
    let mut bytes = built.bytes.clone();
    // Their heads as well.
    bytes[built.at[50]..built.at[53]].fill(0x05);
    let range = Range {
        start: time(40),
        ..Range::ALL
    };
    let (_, units, findings) = push(&bytes, range, 8000);
    let expected: Vec<_> = (40..50).chain(53..90).map(time).collect();
    let shown: Vec<_> = shown(&units).iter().map(|shown| shown.0).collect();
    assert_eq!(shown, expected);
    assert!(
        findings
            .iter()
            .all(|it| matches!(it, Finding::Damage { .. })),
        "{findings:?}"
    );
}

#[test]
fn frames_are_counted_where_most_of_a_file_is_gone() {
    for (index, gone) in [
        (IndexKind::None, 85),
        (IndexKind::None, 99),
        (IndexKind::Old, 85),
    ] {
        let built = File {
            index,
            ..File::default()
        }
        .build(&pieces(100, None));
        let mut bytes = built.bytes.clone();
        let end = built.at.get(gone).copied().unwrap_or(built.idx1);
        bytes[built.at[0]..end].fill(0);
        let [pulled, pushed] = both(&bytes).map(|(_, _, findings)| findings);
        let damage = Finding::Damage {
            from: built.at[0] as u64,
            to: end as u64,
            pictures: 0,
        };
        let frames = gone as u64;
        let missing = Finding::Missing { stream: 0, frames };
        assert_eq!(pushed, [damage.clone(), missing.clone()], "{index:?}");
        assert_eq!(pulled, pushed, "{index:?}");
    }
}

#[test]
fn a_picture_that_is_destroyed_keeps_its_place() {
    for index in [IndexKind::None, IndexKind::Old] {
        let all = pictures(30);
        let content: Vec<_> = all.iter().cloned().map(Piece::Video).collect();
        let file = File {
            index,
            ..File::default()
        };
        let built = file.build(&content);
        let mut bytes = built.bytes.clone();
        // All of one picture but its chunk's head, and of the next picture's head.
        bytes[built.at[10] + 8..built.at[11]].fill(0x05);
        bytes[built.at[20] + 8..built.at[21] + 4].fill(0x05);
        for (_, units, findings) in both(&bytes) {
            let shown = shown(&units);
            let last = shown.last().expect("there are some");
            assert_eq!(last.0, time(29), "{index:?}");
            assert!(shown.iter().all(|(time, picture)| {
                all.iter()
                    .position(|p| p == picture)
                    .is_some_and(|n| self::time(n as u64) == *time)
            }));
            assert!(!findings.is_empty());
        }
        let mut out = memory();
        repair(&bytes[..], Profile::Standard, &mut out, |_, _| {}).expect("it is mended");
        let (_, units, _) = pull(&bytes_of(out), Range::ALL);
        assert_eq!(shown(&units).last().map(|last| last.0), Some(time(29)));
    }
}

#[test]
fn whatever_is_lost_of_a_head_the_frames_are_found() {
    let content = pieces(60, Some(1068));
    let file = File {
        audio: Some((16_000, 1)),
        ..File::default()
    };
    let built = file.build(&content);
    let head = built.at[0];
    for lost in (0..head).step_by(12).chain([head]) {
        let zeroed = [vec![0; lost], built.bytes[lost..].to_vec()].concat();
        let cut = built.bytes[lost..].to_vec();
        for (how, bytes) in [("zeroed", zeroed), ("cut off", cut)] {
            let mut out = memory();
            let summary = repair(&bytes[..], Profile::Standard, &mut out, |_, _| {})
                .unwrap_or_else(|error| panic!("{lost} bytes {how}: {error}"));
            assert_eq!(summary.frames, 60, "{lost} bytes {how}");
            // As long as the sound's format is there, the rate is had from it.
            if summary.sound > 0 {
                let (header, ..) = pull(&bytes_of(out), Range::ALL);
                let rate = header.streams[0].rate;
                let rate = f64::from(rate.numerator()) / f64::from(rate.denominator());
                assert!((29.9..30.1).contains(&rate), "{lost} bytes {how}: {rate}");
            }
        }
    }
}

/// The lists of a file beyond a gigabyte begin anew, and are no header of what is before them.
#[test]
fn frames_before_the_second_list_of_a_large_file_are_found_without_a_head() {
    let file = File::default().build(&pieces(30, None));
    let head = file.at[0];
    let index = memchr::memmem::find(&file.bytes, b"idx1").expect("an index");
    let movi = [b"movi", &file.bytes[head..index]].concat();
    let list = [b"LIST", &(movi.len() as u32).to_le_bytes()[..], &movi].concat();
    let size = (list.len() as u32 + 4).to_le_bytes();
    let built = [&file.bytes[..], b"RIFF", &size, b"AVIX", &list].concat();
    for lost in (0..=head + 100).step_by(12) {
        let zeroed = [vec![0; lost], built[lost..].to_vec()].concat();
        for (how, bytes) in [("zeroed", zeroed), ("cut off", built[lost..].to_vec())] {
            let summary = repair(&bytes[..], Profile::Standard, &mut memory(), |_, _| {});
            let frames = summary.map(|summary| summary.frames);
            // Those that the first hundred bytes of pictures are of are lost with them.
            let there = file.at.iter().filter(|at| **at >= lost).count() as u64 + 30;
            assert!(
                frames.as_ref().is_ok_and(|n| (there..=60).contains(n)),
                "{lost} bytes {how}: {frames:?}"
            );
        }
    }
}

#[test]
fn what_a_lost_head_said_can_be_told() {
    let content = pieces(60, Some(1068));
    let file = File {
        audio: Some((16_000, 1)),
        ..File::default()
    };
    let built = file.build(&content);
    let bytes = &built.bytes[built.at[0]..];
    let hints = Hints {
        rate: Rate::new(30_000, 1001),
        sound: Some(Layout::of_bits(16_000, 1, 16)),
    };
    let mut out = memory();
    let summary = repair_with(bytes, &hints, Profile::Standard, &mut out, |_, _| {});
    let summary = summary.expect("it is mended");
    assert_eq!((summary.frames, summary.sound), (60, 60 * 1068));
    let (_, units, findings) = pull(&bytes_of(out), Range::ALL);
    assert_eq!(findings, []);
    assert_eq!(shown(&units).last().map(|last| last.0), Some(time(59)));
}

#[test]
fn an_index_right_behind_a_chunk_without_padding_is_found() {
    let all = pictures(30);
    // 700 + 0, 1, 2 ...: the last of an odd number of these has an even size, so 30 end on an odd one.
    let chunks: Vec<_> = all
        .iter()
        .map(|p| {
            let mut bytes = chunk(b"00dc", p);
            bytes.truncate(8 + p.len());
            bytes
        })
        .collect();
    let places = all.iter().scan(4, |at, picture| {
        let entry = entry(b"00dc", *at, picture.len());
        *at += 8 + picture.len();
        Some(entry)
    });
    let index = chunk(b"idx1", &places.flatten().collect::<Vec<_>>());
    let bytes = of_chunks(&chunks, &index, &[]);
    assert_eq!(all[29].len() % 2, 1);
    assert_whole(&bytes, &all, ());
}

#[test]
fn an_index_whose_sizes_count_the_heads_is_not_used() {
    let all = pictures(30);
    let chunks = chunks(&all);
    let mut entries = entries(&all);
    for entry in entries.chunks_mut(16) {
        let size = entry.last_chunk_mut::<4>().expect("sixteen bytes");
        *size = (u32::from_le_bytes(*size) + 8).to_le_bytes();
    }
    let index = chunk(b"idx1", &entries);
    let bytes = of_chunks(&chunks, &index, &[]);
    let [(_, units, findings), (_, pushed, none)] = both(&bytes);
    expect(&units, &all);
    expect(&pushed, &all);
    assert!(
        matches!(findings[..], [Finding::BadIndex { .. }]),
        "{findings:?}"
    );
    assert_eq!(none, []);
}

#[test]
fn a_count_that_nothing_can_be_as_many_as_is_none() {
    let all = pictures(30);
    let chunks = chunks(&all);
    // As ffmpeg writes it to a pipe: it does not know the end.
    let mut bytes = of_chunks(&chunks, &[], &[]);
    bytes[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    for (name, field, count) in [(b"avih", 16, 0), (b"strh", 32, 1_u32 << 30)] {
        let place = bytes.windows(4).position(|w| w == name);
        let at = place.expect("it is there") + 8 + field;
        bytes[at..at + 4].copy_from_slice(&count.to_le_bytes());
    }
    assert_whole(&bytes, &all, ());
}

#[test]
fn destroyed_pictures_between_others_are_counted() {
    let all = pictures(30);
    let chunks = (0..).zip(&all).map(|(n, p)| match n % 4 {
        2 => chunk(b"00dc", &vec![0; p.len()]),
        _ => chunk(b"00dc", p),
    });
    let bytes = of_chunks(&chunks.collect::<Vec<_>>(), &[], &[]);
    for (_, units, findings) in both(&bytes) {
        assert_eq!(shown(&units).len(), 23);
        let lost: Vec<_> = findings
            .iter()
            .map(|finding| match finding {
                Finding::Lost { chunks, .. } => *chunks,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(lost.iter().sum::<u64>(), 7, "{findings:?}");
    }
}
