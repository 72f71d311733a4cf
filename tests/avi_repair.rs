// SPDX-License-Identifier: MIT OR Apache-2.0
//! Repaired files: what was intact is in them, at its time, and they are sound
//! by the rules of those who play them.

#[path = "common/avi_bytes.rs"]
mod avi_bytes;

use std::convert::Infallible;

use avi_bytes::{File, IndexKind, MaixPy, Piece, picture, picture_of, pieces};
use gstkendryte::avi::k210_check::{self, Report, Rule, Verdict};
use gstkendryte::avi::reader::play::Playback;
use gstkendryte::avi::reader::{Payload, Reader};
use gstkendryte::avi::repair::{RepairError, Summary, repair};
use gstkendryte::avi::writer::{Output, Profile};
use proptest::prelude::*;

#[derive(Default)]
struct Memory(Vec<u8>);

impl Output for Memory {
    type Payload = Vec<u8>;
    type Error = Infallible;

    fn chunk(
        &mut self,
        header: [u8; 8],
        payload: Vec<u8>,
        padding: bool,
        _durable: bool,
    ) -> Result<(), Infallible> {
        self.0.extend(header);
        self.0.extend(payload);
        self.0.extend(padding.then_some(0));
        Ok(())
    }

    fn append(&mut self, bytes: Vec<u8>, _durable: bool) -> Result<(), Infallible> {
        self.0.extend(bytes);
        Ok(())
    }

    fn overwrite(&mut self, position: u64, bytes: &[u8]) -> Result<(), Infallible> {
        let at = position as usize;
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

fn mend(bytes: &[u8], profile: Profile) -> (Vec<u8>, Summary) {
    let mut out = Memory::default();
    let summary = repair(bytes, profile, &mut out, |done, all| assert!(done <= all))
        .unwrap_or_else(|error| panic!("{error}"));
    (out.0, summary)
}

/// Stream, time and contents of everything in a file, which must be sound.
fn read_sound(bytes: &[u8]) -> Vec<(usize, u64, Vec<u8>)> {
    let mut reader = Reader::open(bytes).expect("opens");
    let mut playback = Playback::new(reader.header().streams.len());
    let mut played = Vec::new();
    while let Some(next) = playback.next(&mut reader).expect("no I/O") {
        if let Payload::Bytes { pos, len, .. } = reader.payload(&next.entry).expect("no I/O") {
            let payload = bytes[pos as usize..pos as usize + len].to_vec();
            played.push((next.entry.stream, next.time, payload));
        }
    }
    reader.flush_findings();
    assert_eq!(reader.take_findings(), []);
    played
}

fn check(bytes: &[u8]) -> Report {
    k210_check::check(bytes, |_| {}).expect("no I/O")
}

#[track_caller]
fn plays(bytes: &[u8], frames: u64) {
    let report = check(bytes);
    assert!(report.plays(), "{report:#?}");
    assert_eq!(report.frames, frames);
}

#[test]
fn an_unfinished_maixpy_recording_becomes_a_sound_file() {
    let pictures: Vec<_> = (0..30).map(|n| picture(n, 600 + n as usize)).collect();
    for interval in [100_000, 300_000] {
        let maixpy = MaixPy {
            interval,
            audio: true,
            finished: false,
            ..MaixPy::default()
        };
        let mut bytes = maixpy.build(&pictures);
        assert!(!check(&bytes).plays());
        bytes.extend(MaixPy::begun(&picture(99, 900)[..500]));
        for profile in [Profile::Standard, Profile::K210] {
            let (mended, summary) = mend(&bytes, profile);
            let expected: Vec<_> = pictures
                .iter()
                .zip(0..)
                .map(|(p, n)| (0, n * u64::from(interval) * 1000, p.clone()))
                .collect();
            assert_eq!(read_sound(&mended), expected);
            assert_eq!(summary.frames, 30);
            assert_eq!(summary.left_out.len(), 1, "the sound that is not there");
            assert!(!summary.findings.is_empty(), "the last frame was cut");
            if profile == Profile::K210 {
                plays(&mended, 30);
            }
        }
    }
}

#[test]
fn what_was_lost_leaves_a_gap_of_its_length() {
    let content = pieces(60, Some(1066));
    let built = File {
        audio: Some((16000, 1)),
        ..File::default()
    }
    .build(&content);
    let mut bytes = built.bytes.clone();
    bytes[built.at[40]..built.at[60]].fill(0);
    let before = read_sound(&built.bytes);
    let (mended, summary) = mend(&bytes, Profile::Standard);
    assert_eq!((summary.frames, summary.missing), (50, 10));
    assert_eq!(summary.silence, 10 * 1066);
    let video = |played: &[(usize, u64, Vec<u8>)]| {
        played
            .iter()
            .filter(|p| p.0 == 0)
            .cloned()
            .collect::<Vec<_>>()
    };
    let mut expected = video(&before);
    expected.drain(20..30);
    assert_eq!(video(&read_sound(&mended)), expected);
    // The K210 cannot have gaps: the frame before is repeated.
    let (mended, summary) = mend(&bytes, Profile::K210);
    assert_eq!((summary.frames, summary.missing), (50, 10));
    plays(&mended, 60);
    let played = video(&read_sound(&mended));
    assert_eq!(
        played[20..30]
            .iter()
            .filter(|p| p.2 == played[19].2)
            .count(),
        10
    );
    assert_eq!(played[30].2, expected[20].2);
    let sound: Vec<u8> = read_sound(&mended)
        .into_iter()
        .filter(|p| p.0 == 1)
        .flat_map(|p| p.2)
        .collect();
    assert_eq!(
        sound.len(),
        60 * 1066,
        "sound is neither longer nor shorter"
    );
}

#[test]
fn frames_the_k210_cannot_show_are_named() {
    let mut content = pieces(10, None);
    content[4] = Piece::Video(picture(4, 40_000));
    content[7] = Piece::Video(picture_of(7, 900, 640, 480));
    let bytes = File::default().build(&content).bytes;
    let (mended, summary) = mend(&bytes, Profile::K210);
    plays(&mended, 10);
    assert_eq!((summary.frames, summary.refused), (8, 2));
    assert!(summary.refused_why.is_some_and(|why| why.contains("40000")));
}

#[test]
fn nothing_to_repair_is_an_error() {
    for bytes in [&b""[..], &[0; 5000], &MaixPy::default().build(&[])] {
        let mut out = Memory::default();
        let error = repair(bytes, Profile::Standard, &mut out, |_, _| {});
        assert!(matches!(
            error,
            Err(RepairError::NotAvi(_) | RepairError::NoVideo)
        ));
    }
}

#[test]
fn the_check_names_the_rule_that_is_broken() {
    let finished = MaixPy::default().build(&(0..8).map(|n| picture(n, 700)).collect::<Vec<_>>());
    // MaixPy's own recordings end where the file does: without an index the
    // player takes old memory for the next chunk.
    let broken = |bytes: &[u8]| {
        let report = check(bytes);
        assert!(!report.plays());
        report
            .verdicts
            .into_iter()
            .filter(|(_, v)| matches!(v, Verdict::Broken(_)))
            .map(|(rule, _)| rule)
            .collect::<Vec<_>>()
    };
    assert_eq!(broken(&finished), [Rule::Ending]);
    let built = File::default().build(&pieces(8, None));
    plays(&built.bytes, 8);
    let with = |at: usize, with: &[u8]| {
        let mut bytes = built.bytes.clone();
        bytes[at..at + with.len()].copy_from_slice(with);
        bytes
    };
    assert_eq!(broken(&with(8, b"WAVE")), [Rule::Header]);
    assert_eq!(broken(&with(24, b"JUNK")), [Rule::Header]);
    assert_eq!(broken(&with(32, &[0; 4])), [Rule::Interval]);
    assert_eq!(broken(&with(48, &[9, 0, 0, 0])), [Rule::TotalFrames]);
    assert_eq!(broken(&with(88 + 24, b"H264")), [Rule::MotionJpeg]);
    assert_eq!(
        broken(&with(built.at[3] + 2, b"db")),
        [Rule::OnlyChunks, Rule::TotalFrames]
    );
    assert_eq!(broken(&with(built.at[3] + 8, b"none")), [Rule::FrameFormat]);
    assert_eq!(broken(&built.bytes[..built.idx1 - 100]), [Rule::Ending]);
    let text = File {
        info: vec![(b"INAM", "my movie")],
        ..File::default()
    };
    // The player finds "movi" in the title and starts there.
    assert_eq!(broken(&text.build(&pieces(8, None)).bytes), [Rule::Movi]);
    let mut large = pieces(8, None);
    large[5] = Piece::Video(picture(5, 36_000));
    assert_eq!(
        broken(&File::default().build(&large).bytes),
        [Rule::FrameSize]
    );
    let sound = File {
        audio: Some((16000, 1)),
        index: IndexKind::Old,
        ..File::default()
    };
    plays(&sound.build(&pieces(8, Some(1000))).bytes, 8);
    let mut first = pieces(8, Some(1000));
    first.swap(0, 1);
    assert_eq!(broken(&sound.build(&first).bytes), [Rule::SoundEarly]);
    assert_eq!(
        broken(&sound.build(&pieces(8, None)).bytes),
        [Rule::SoundEarly]
    );
    assert_eq!(
        broken(&sound.build(&pieces(8, Some(20_000))).bytes),
        [Rule::SoundSize]
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is done to a file, its repair is sound or refused.
    #[test]
    fn a_repaired_file_is_sound(
        frames in 1..20u32,
        audio in prop::option::of(1..40usize),
        holes in prop::collection::vec((any::<usize>(), 1..900usize, any::<u8>()), 0..5),
        cut in prop::option::of(any::<usize>()),
        k210 in any::<bool>(),
    ) {
        let content = pieces(frames, audio.map(|n| n * 50));
        let file = File { audio: audio.map(|_| (16000, 1)), ..File::default() };
        let mut bytes = file.build(&content).bytes;
        for (at, len, byte) in holes {
            let at = at % bytes.len();
            let end = (at + len).min(bytes.len());
            bytes[at..end].fill(byte);
        }
        if let Some(cut) = cut {
            bytes.truncate(cut % bytes.len());
        }
        let mut out = Memory::default();
        let profile = if k210 { Profile::K210 } else { Profile::Standard };
        if let Ok(summary) = repair(bytes.as_slice(), profile, &mut out, |_, _| {}) {
            let played = read_sound(&out.0);
            let frames = played.iter().filter(|p| p.0 == 0).count() as u64;
            prop_assert!(frames >= summary.frames);
            if k210 && frames > 0 {
                let report = check(&out.0);
                prop_assert!(report.plays(), "{:#?}", report);
            }
        }
    }
}
