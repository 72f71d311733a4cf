// SPDX-License-Identifier: MIT OR Apache-2.0
//! Repaired files: what was intact is in them, at its time, and they are sound
//! by the rules of those who play them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failure ends the test"
)]

#[path = "common/avi_bytes.rs"]
mod avi_bytes;
#[path = "common/avi_memory.rs"]
mod avi_memory;
#[path = "common/length.rs"]
mod length;

use avi_bytes::jpeg_head::{HALVED, jpeg_head};
use avi_bytes::{File, IndexKind, MaixPy, Piece, picture, picture_of, pieces};
use avi_memory::{bytes_of, memory};
use avi_mjpeg::k210_check::{self, Report, Rule, Verdict};
use avi_mjpeg::pcm::Layout;
use avi_mjpeg::reader::headers::Hints;
use avi_mjpeg::reader::play::Playback;
use avi_mjpeg::reader::{Payload, Reader};
use avi_mjpeg::repair::{RepairError, Summary, repair, repair_with};
use avi_mjpeg::timeline::Rate;
use avi_mjpeg::writer::Profile;
use length::Length;
use proptest::prelude::*;

fn mend(bytes: &[u8], profile: Profile) -> (Vec<u8>, Summary) {
    let mut out = memory();
    let summary = repair(bytes, profile, &mut out, |done, all| assert!(done <= all))
        .unwrap_or_else(|error| panic!("{error}"));
    (bytes_of(out), summary)
}

/// Stream, time and contents of everything in a file, which must be sound.
fn read_sound(bytes: &[u8]) -> Vec<(usize, u64, Vec<u8>)> {
    let mut reader = Reader::open(bytes).expect("opens");
    let mut playback = Playback::new(reader.header().streams.len());
    let mut played = Vec::new();
    while let Some(next) = playback.next(&mut reader).expect("no I/O") {
        if let Payload::Bytes { pos, len, .. } = reader.payload_of(&next).expect("no I/O") {
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
        let cut = picture(99, 900)[..500].to_vec();
        bytes.extend(MaixPy::begun(&cut));
        for profile in [Profile::Standard, Profile::K210] {
            let (mended, summary) = mend(&bytes, profile);
            // The K210's player shows no part of a picture, others do.
            let last = (profile == Profile::Standard).then_some(&cut);
            let expected: Vec<_> = pictures
                .iter()
                .chain(last)
                .zip(0..)
                .map(|(p, n)| (0, n * u64::from(interval) * 1000, p.clone()))
                .collect();
            assert!(read_sound(&mended) == expected, "{profile:?}");
            assert_eq!(summary.frames, expected.len() as u64);
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
fn a_joined_file_of_another_rate_keeps_its_time() {
    let file = |(rate, scale)| File {
        scale,
        rate,
        interval: (1_000_000 * u64::from(scale) / u64::from(rate)) as u32,
        ..File::default()
    };
    let rates = [(10, 1), (15, 1), (24, 1), (25, 1), (30_000, 1001), (50, 1)];
    for (first, second) in rates
        .iter()
        .flat_map(|first| rates.iter().map(move |second| (*first, *second)))
    {
        let bytes = [
            file(first).build(&pieces(30, None)).bytes,
            file(second).build(&pieces(90, None)).bytes,
            file(first).build(&pieces(10, None)).bytes,
        ]
        .concat();
        let before: Vec<_> = {
            let mut reader = Reader::open(bytes.as_slice()).expect("opens");
            let mut playback = Playback::new(1);
            std::iter::from_fn(|| {
                playback
                    .next(&mut reader)
                    .expect("no I/O")
                    .map(|next| next.time)
            })
            .collect()
        };
        let (mended, summary) = mend(&bytes, Profile::Standard);
        assert_eq!(
            (summary.frames, summary.refused),
            (130, 0),
            "{first:?} {second:?}"
        );
        let reader = Reader::open(mended.as_slice()).expect("opens");
        let interval = reader.header().streams[0].rate.time_of(1);
        let after: Vec<_> = read_sound(&mended)
            .into_iter()
            .map(|played| played.1)
            .collect();
        assert_eq!(after.len(), 130);
        for (before, after) in before.iter().zip(&after) {
            let off = before.abs_diff(*after);
            assert!(
                off <= interval / 2 + 1_000_000,
                "{first:?} {second:?}: {before} {after}"
            );
        }
        // A file that has places enough gets no others.
        if u64::from(first.0) * u64::from(second.1) >= u64::from(second.0) * u64::from(first.1) {
            let own = 1_000_000_000 * u64::from(first.1) / u64::from(first.0);
            assert!(interval.abs_diff(own) < 2, "{first:?} {second:?}");
        }
    }
}

/// Two files of these rates that were joined, once they are mended: the times of their pictures in ms, the new rate, and
/// how many were refused.
fn mended_parts(parts: [(u32, u32, u32); 2]) -> (Vec<u64>, Rate, u64) {
    let build = |(rate, scale, frames)| {
        let file = File {
            scale,
            rate,
            interval: 1_000_000 / (rate / scale),
            ..File::default()
        };
        file.build(&pieces(frames, None)).bytes
    };
    let (mended, summary) = mend(&parts.map(build).concat(), Profile::Standard);
    let reader = Reader::open(mended.as_slice()).expect("opens");
    let rate = reader.header().streams[0].rate;
    let times = read_sound(&mended).into_iter();
    let times = times.map(|played| played.1 / 1_000_000).collect();
    (times, rate, summary.refused)
}

#[test]
fn a_joined_file_that_is_hardly_faster_gets_no_other_places() {
    let (times, rate, refused) = mended_parts([(25, 1, 30), (25_025, 1000, 900)]);
    assert_eq!((times.len(), rate, refused), (930, Rate::PAL, 0));
    assert!(times.iter().zip(0..).all(|(time, n)| *time == 40 * n));
}

/// Places for each of a million frames a second would be more than are filled, and what comes behind those early.
#[test]
fn a_joined_file_of_a_wrong_rate_leaves_the_first_at_its_time() {
    let (times, _, refused) = mended_parts([(25, 1, 1500), (1_000_000, 1, 20)]);
    assert_eq!(times.len() as u64 + refused, 1520);
    for (time, n) in times[..1500].iter().zip(0..) {
        assert!(time.abs_diff(40 * n) <= 1, "{time} {n}");
    }
}

/// The rest of the file tells the rate: the file that was joined on, or the sound, which goes first.
#[test]
fn a_file_without_head_has_its_rate_from_the_rest() {
    let file = |rate, audio| File {
        scale: 1,
        rate,
        interval: 1_000_000 / rate,
        audio,
        ..File::default()
    };
    let times = |sound: Option<u32>, second: u32| {
        let audio = sound.map(|samples| (samples, 1));
        // A frame's sound of a first file that has 25 a second.
        let piece = sound.map(|samples| 2 * samples as usize / 25);
        let first = file(25, audio).build(&pieces(30, piece));
        let piece = sound.map(|samples| (2 * samples / second) as usize);
        let joined = file(second, audio).build(&pieces(20, piece));
        let bytes = [&first.bytes[first.at[0]..], &joined.bytes].concat();
        let hints = Hints {
            sound: sound.map(|rate| Layout::of_bits(rate, 1, 16)),
            ..Hints::default()
        };
        let mut out = memory();
        let summary = repair_with(
            bytes.as_slice(),
            &hints,
            Profile::Standard,
            &mut out,
            |_, _| {},
        )
        .expect("is mended");
        assert_eq!((summary.frames, summary.refused), (50, 0));
        let times = read_sound(&bytes_of(out)).into_iter();
        times
            .filter_map(|(stream, time, _)| (stream == 0).then_some(time / 1_000_000))
            .collect::<Vec<_>>()
    };
    let expected = |first: u64, second: u64| {
        let later = (0..20).map(|n| 30 * 1000 / first + n * 1000 / second);
        (0..30)
            .map(|n| n * 1000 / first)
            .chain(later)
            .collect::<Vec<_>>()
    };
    assert_eq!(times(None, 25), expected(25, 25));
    assert_eq!(times(None, 5), expected(5, 5), "there is nothing else");
    assert_eq!(times(Some(8000), 25), expected(25, 25));
    assert_eq!(times(Some(8000), 5), expected(25, 5));
    assert_eq!(times(Some(8000), 50), expected(25, 50));
}

#[test]
fn gaps_are_filled_within_a_bound_for_the_whole_file() {
    // At the first file's rate, each frame of the second has more than 100 000 places.
    let slow = File {
        scale: 4000,
        rate: 1,
        interval: 4_000_000_000,
        ..File::default()
    };
    let bytes = [
        File::default().build(&pieces(30, None)).bytes,
        slow.build(&pieces(20, None)).bytes,
    ]
    .concat();
    let (mended, summary) = mend(&bytes, Profile::Standard);
    assert_eq!((summary.frames, summary.missing), (50, 1_000_000));
    assert!(summary.unfilled > 1_000_000, "{}", summary.unfilled);
    assert_eq!(read_sound(&mended).len(), 50);
}

/// Eight bytes for a frame of 28 kB: 3 GB of the same picture for the K210, which has no other way to wait.
#[test]
fn frames_are_repeated_for_the_k210_within_a_bound_for_the_whole_file() {
    let picture_bytes = 28_000;
    let mend = |empty: usize, profile| {
        let mut content = vec![Piece::Video(picture(0, picture_bytes))];
        content.extend(vec![Piece::Video(Vec::new()); empty]);
        content.push(Piece::Video(picture(1, picture_bytes)));
        let bytes = File::default().build(&content).bytes;
        let mut out = Length(0);
        let summary = repair(&bytes[..], profile, &mut out, |_, _| {});
        (summary.expect("it is mended"), out.0)
    };
    let (summary, written) = mend(120_000, Profile::K210);
    assert_eq!(summary.frames, 2);
    assert_eq!(summary.missing + summary.unfilled, 120_000);
    let most = (256 << 20) + 64 * picture_bytes;
    assert!(summary.missing > (256 << 20) / picture_bytes as u64);
    assert!(written < most + (1 << 20), "{written}");
    // A frame a second, each of which is shown for as long.
    let (summary, _) = mend(60, Profile::K210);
    assert_eq!((summary.missing, summary.unfilled), (60, 0));
    // Nothing is repeated where chunks may be empty.
    let (summary, written) = mend(120_000, Profile::Standard);
    assert_eq!((summary.missing, summary.unfilled), (120_000, 0));
    assert!(written < 5 << 20, "{written}");
}

#[test]
fn silence_is_filled_in_within_a_bound_for_the_whole_file() {
    // Between the sound of the two files is the video of the first: a day of it, 2.8 GB of silence.
    let slow = File {
        scale: 4000,
        rate: 1,
        interval: 4_000_000_000,
        audio: Some((16000, 1)),
        ..File::default()
    };
    let mut first = pieces(22, Some(1066));
    first.truncate(4);
    first.extend(pieces(22, None));
    let bytes = [
        slow.build(&first).bytes,
        slow.build(&pieces(2, Some(1066))).bytes,
    ]
    .concat();
    let (mended, summary) = mend(&bytes, Profile::Standard);
    let sound = |played: Vec<(usize, u64, Vec<u8>)>| {
        let of_stream = played.into_iter().filter(|piece| piece.0 == 1);
        of_stream.map(|piece| piece.2.len() as u64).sum::<u64>()
    };
    assert_eq!(summary.silence, 100_000_000);
    assert_eq!(sound(read_sound(&mended)), 4 * 1066 + summary.silence);
    // In chunks as the K210 has them: each was cut off the front of all that is left, which took minutes.
    let begun = std::time::Instant::now();
    let (_, summary) = mend(&bytes, Profile::K210);
    let took = begun.elapsed();
    assert!(summary.silence > 50_000_000, "{}", summary.silence);
    assert!(took < std::time::Duration::from_secs(60), "{took:?}");
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
fn frames_without_huffman_tables_get_them_for_the_k210() {
    // Only a head: the player takes what is missing for grey.
    let mut bare = jpeg_head(320, 240, &HALVED);
    let tables = position(&bare, b"\xff\xc4\x00\x26", 0);
    bare.drain(tables..tables + 2 + 0x26);
    bare.extend([0xff, 0xd9]);
    let bytes = File::default().build(&vec![Piece::Video(bare); 5]).bytes;
    assert!(!check(&bytes).plays());
    let (mended, summary) = mend(&bytes, Profile::K210);
    plays(&mended, 5);
    assert_eq!((summary.frames, summary.refused), (5, 0));
}

#[test]
fn nothing_to_repair_is_an_error() {
    for bytes in [&b""[..], &[0; 5000], &MaixPy::default().build(&[])] {
        let mut out = memory();
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
    // A picture without its Huffman tables.
    let tables = built.bytes.windows(2).position(|two| two == [0xff, 0xc4]);
    assert_eq!(
        broken(&with(tables.unwrap(), &[0xff, 0xe4])),
        [Rule::FrameFormat]
    );
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

/// Where a sound file says what its second stream is.
fn position(bytes: &[u8], of: &[u8; 4], nth: usize) -> usize {
    let places = bytes.windows(4).enumerate().filter(|(_, four)| *four == of);
    places.map(|(at, _)| at).nth(nth).expect("it is there")
}

/// A file as it is, and then nothing for gigabytes.
struct Padded<'a>(&'a [u8]);

impl avi_mjpeg::reader::window::ReadAt for Padded<'_> {
    type Block = Vec<u8>;
    type Error = std::convert::Infallible;

    fn size(&self) -> u64 {
        (2 << 30) + 1
    }

    fn read_at(&mut self, pos: u64, len: usize) -> Result<Vec<u8>, Self::Error> {
        let there = self.0.get(pos as usize..).unwrap_or_default();
        let mut block = there[..there.len().min(len)].to_vec();
        block.resize(len, 0);
        Ok(block)
    }
}

#[test]
fn the_check_knows_the_rules_of_streams_and_sizes() {
    let broken = |report: Report| {
        assert!(!report.plays());
        let rules = report.verdicts.into_iter();
        rules
            .filter(|(_, v)| matches!(v, Verdict::Broken(_)))
            .map(|(rule, _)| rule)
            .collect::<Vec<_>>()
    };
    let sound = File {
        audio: Some((16000, 1)),
        ..File::default()
    };
    let bytes = sound.build(&pieces(8, Some(1000))).bytes;
    plays(&bytes, 8);
    let with = |at: usize, with: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[at..at + with.len()].copy_from_slice(with);
        broken(check(&bytes))
    };
    assert_eq!(
        with(position(&bytes, b"strl", 0) - 8, b"JUNK"),
        [Rule::FirstStream]
    );
    assert_eq!(
        with(position(&bytes, b"strf", 0), b"JUNK"),
        [Rule::FirstStream]
    );
    assert_eq!(
        with(position(&bytes, b"auds", 0), b"mids"),
        [Rule::SecondStream]
    );
    let bits = position(&bytes, b"strf", 1) + 8 + 14;
    assert_eq!(with(bits, &[8, 0]), [Rule::Sound]);
    let large = k210_check::check(Padded(&bytes), |_| {}).expect("no I/O");
    assert_eq!(broken(large), [Rule::FileSize]);
}

fn program() -> std::process::Command {
    std::process::Command::new(env!("CARGO_BIN_EXE_avi-repair"))
}

/// What it prints, and its exit status.
fn run(arguments: &[&std::ffi::OsStr]) -> (String, Option<i32>) {
    let output = program().args(arguments).output().expect("it starts");
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8(text).expect("text"), output.status.code())
}

/// What a program does whose output is closed already.
fn unheard(command: &mut std::process::Command) -> std::process::Output {
    let (heard, said) = std::io::pipe().expect("a pipe");
    drop(heard);
    command.stdout(said).output().expect("it starts")
}

#[test]
fn the_program_minds_no_output_that_is_closed() {
    let dir = tempfile::tempdir().expect("a directory");
    let (old, new) = (dir.path().join("old.avi"), dir.path().join("new.avi"));
    let bytes = File::default().build(&pieces(20, None)).bytes;
    std::fs::write(&old, bytes).expect("writes");
    for arguments in [
        &["--help".as_ref()][..],
        &[old.as_os_str(), new.as_os_str()],
        &["--check-k210".as_ref(), old.as_os_str()],
    ] {
        let output = unheard(program().args(arguments));
        assert_eq!(output.stderr, b"", "{arguments:?}");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    }
    assert!(new.exists());
    let (heard, said) = std::io::pipe().expect("a pipe");
    drop(heard);
    let status = program().stderr(said).status().expect("it starts");
    assert_eq!(status.code(), Some(2));
    // A full disk is something else.
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .expect("opens");
    let output = program()
        .arg("--help")
        .stdout(full)
        .output()
        .expect("it starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("standard output"));
}

#[test]
fn the_program_says_which_option_says_what_is_lost() {
    let dir = tempfile::tempdir().expect("a directory");
    let (old, new) = (dir.path().join("old.avi"), dir.path().join("new.avi"));
    let built = File {
        audio: Some((16000, 1)),
        ..File::default()
    }
    .build(&pieces(20, Some(1068)));
    std::fs::write(&old, &built.bytes[built.at[0]..]).expect("writes");
    let (said, code) = run(&[old.as_os_str(), new.as_os_str()]);
    assert_eq!(code, Some(0), "{said}");
    for part in ["20 frames", "--rate", "stream 1 has sound", "--sound"] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn the_program_mends_tells_what_was_lost_and_checks() {
    let dir = tempfile::tempdir().expect("a directory");
    let (old, new) = (dir.path().join("old.avi"), dir.path().join("new.avi"));
    let built = File {
        audio: Some((16000, 1)),
        ..File::default()
    }
    .build(&pieces(60, Some(1066)));
    let mut bytes = built.bytes.clone();
    bytes[built.at[40]..built.at[60]].fill(0);
    std::fs::write(&old, bytes).expect("written");
    let (old, new) = (old.as_os_str(), new.as_os_str());
    for profile in ["standard", "k210"] {
        let (said, code) = run(&[
            "--force".as_ref(),
            "--profile".as_ref(),
            profile.as_ref(),
            old,
            new,
        ]);
        assert_eq!(code, Some(0), "{said}");
        let region = format!("bytes {} to {}", built.at[40], built.at[60]);
        for part in [
            region.as_str(),
            "50 frames were copied",
            "10 places have no frame of their own",
            "10660 are silence",
        ] {
            assert!(said.contains(part), "{part} in {said}");
        }
        assert!(!said.contains("nothing was lost"), "{said}");
        let (said, code) = run(&["--check-k210".as_ref(), new]);
        let plays = profile == "k210";
        assert_eq!(code, Some(if plays { 0 } else { 1 }), "{said}");
        assert_eq!(
            said.contains("it plays on a K210: 60 frames"),
            plays,
            "{said}"
        );
        for rule in Rule::ALL {
            assert!(said.contains(rule.text()), "{rule:?} in {said}");
        }
    }
    // It does not overwrite unless told to, nor what it reads, and leaves nothing half done.
    let (said, code) = run(&[old, new]);
    assert!(code == Some(2) && said.contains("--force"), "{said}");
    let (said, code) = run(&["--force".as_ref(), old, old]);
    assert!(
        code == Some(2) && said.contains("cannot be the old one"),
        "{said}"
    );
    std::fs::write(old, [7; 5000]).expect("written");
    std::fs::remove_file(new).expect("removed");
    let (said, code) = run(&[old, new]);
    assert!(
        code == Some(2) && said.contains("neither an AVI header"),
        "{said}"
    );
    assert!(!std::path::Path::new(new).exists());
}

#[test]
fn the_program_loses_nothing_that_is_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let [old, new, link] = ["old.avi", "new.avi", "link.avi"].map(|name| dir.path().join(name));
    let bytes = File::default().build(&pieces(20, None)).bytes;
    std::fs::write(&old, &bytes).expect("written");
    // The input by another name.
    std::fs::hard_link(&old, &link).expect("linked");
    let force = std::ffi::OsStr::new("--force");
    let (said, code) = run(&[force, old.as_os_str(), link.as_os_str()]);
    assert!(
        code == Some(2) && said.contains("cannot be the old one"),
        "{said}"
    );
    assert!(std::fs::read(&old).expect("there") == bytes);
    // A device, and a link that leads nowhere.
    let (said, code) = run(&[force, old.as_os_str(), "/dev/null".as_ref()]);
    assert!(code == Some(2) && said.contains("is no file"), "{said}");
    let nowhere = dir.path().join("nowhere.avi");
    std::os::unix::fs::symlink(dir.path().join("missing"), &nowhere).expect("linked");
    let (said, code) = run(&[old.as_os_str(), nowhere.as_os_str()]);
    assert!(code == Some(2) && said.contains("leads nowhere"), "{said}");
    // What cannot be mended costs nothing.
    let broken = dir.path().join("broken.avi");
    std::fs::write(&broken, [7; 5000]).expect("written");
    std::fs::write(&new, "precious").expect("written");
    let (said, code) = run(&[force, broken.as_os_str(), new.as_os_str()]);
    assert_eq!(code, Some(2), "{said}");
    assert_eq!(std::fs::read(&new).expect("there"), b"precious");
    let (said, code) = run(&[force, old.as_os_str(), new.as_os_str()]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(read_sound(&std::fs::read(&new).expect("there")).len(), 20);
    // Nothing is left beside them.
    let left = std::fs::read_dir(dir.path()).expect("a directory").count();
    assert_eq!(left, 5);
}

/// Too large for what it may write is a signal; others end it in the same moment.
#[test]
fn a_program_that_is_killed_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let old = dir.path().join("old.avi");
    std::fs::write(&old, File::default().build(&pieces(60, None)).bytes).expect("written");
    let flags = rustix::fs::OFlags::TMPFILE | rustix::fs::OFlags::WRONLY;
    if rustix::fs::open(dir.path(), flags, rustix::fs::Mode::RUSR).is_err() {
        eprintln!("this file system has no files without a name");
        return;
    }
    for options in ["", "--force"] {
        let status = std::process::Command::new("sh")
            .args(["-c", "ulimit -f 8; ulimit -c 0; \"$0\" $1 old.avi new.avi"])
            .arg(program().get_program())
            .arg(options)
            .current_dir(dir.path())
            .stderr(std::process::Stdio::null())
            .status()
            .expect("a shell");
        assert!(!status.success());
        let left: Vec<_> = std::fs::read_dir(dir.path())
            .expect("a directory")
            .map(|entry| entry.expect("a name").file_name())
            .collect();
        assert_eq!(left, ["old.avi"]);
    }
}

#[test]
fn the_program_shows_a_bar_on_a_terminal() {
    let dir = tempfile::tempdir().expect("a directory");
    let (old, new) = (dir.path().join("old.avi"), dir.path().join("new.avi"));
    let built = File::default().build(&pieces(60, None));
    std::fs::write(&old, &built.bytes).expect("written");
    // It runs its command on a terminal.
    let command = format!(
        "{} {} {}",
        program().get_program().display(),
        old.display(),
        new.display()
    );
    let output = std::process::Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .stdin(std::process::Stdio::null())
        .output()
        .expect("script starts");
    let said = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{said}");
    let full = format!("[{}] 100 %", "#".repeat(40));
    assert!(said.contains(&full), "{said}");
    assert!(said.contains("nothing was lost"), "{said}");
    // None elsewhere.
    let (said, _) = run(&["--force".as_ref(), old.as_os_str(), new.as_os_str()]);
    assert!(!said.contains('#'), "{said}");
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
        let mut out = memory();
        let profile = if k210 { Profile::K210 } else { Profile::Standard };
        if let Ok(summary) = repair(bytes.as_slice(), profile, &mut out, |_, _| {}) {
            let mended = bytes_of(out);
            let played = read_sound(&mended);
            let frames = played.iter().filter(|p| p.0 == 0).count() as u64;
            prop_assert!(frames >= summary.frames);
            if k210 && frames > 0 {
                let report = check(&mended);
                prop_assert!(report.plays(), "{:#?}", report);
            }
        }
    }
}
