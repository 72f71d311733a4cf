// SPDX-License-Identifier: MIT OR Apache-2.0
//! What recordings have in them, without a pipeline.

use std::io::{self, Cursor};
use std::sync::{Arc, Mutex};

use super::*;
use crate::k210_check;
use crate::output::{Seekable, Unseekable};
use crate::picojpeg::jpeg_head::{HALVED, jpeg_head};
use crate::reader::headers::Format;
use crate::reader::index::Cursor as Place;
use crate::reader::{Payload as Read, Reader};

const MS: i64 = 1_000_000;

type Memory = Seekable<Cursor<Vec<u8>>>;

fn memory() -> Memory {
    Seekable::new(Cursor::new(Vec::new())).unwrap()
}

fn picture(n: u8) -> Vec<u8> {
    let mut bytes = jpeg_head(320, 240, &HALVED);
    bytes.push(n);
    bytes.resize(500, 0xa5);
    bytes
}

fn video(fps: u32) -> Stream {
    Stream::video(320, 240, Rate::new(fps, 1).unwrap())
}

fn sound() -> Stream {
    Stream::audio(WaveFormat::pcm(8000, 1, 16, 0))
}

/// A recorder in memory, and what it tells.
fn recorder(profile: Profile, streams: &[Stream]) -> (Recorder<Memory>, Arc<Mutex<Vec<Notice>>>) {
    let mut recorder = Recorder::start(memory(), Settings::new(profile), streams).unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = told.clone();
    recorder.on_notice(move |notice| heard.lock().unwrap().push(notice));
    (recorder, told)
}

fn bytes_of(mut recorder: Recorder<Memory>) -> Vec<u8> {
    recorder.finish().unwrap();
    recorder.storage.into_inner().unwrap().into_inner()
}

/// The payloads of a stream.
fn contents(bytes: &[u8], stream: usize) -> Vec<Vec<u8>> {
    let mut reader = Reader::open(bytes).unwrap();
    while !matches!(reader.scan(1000), Ok(true)) {}
    let mut place = Place::new(stream);
    let mut all = Vec::new();
    while let Some(entry) = place.peek(reader.index()) {
        place.advance();
        match reader.payload(&entry) {
            Ok(Read::Bytes { pos, len, .. }) => {
                all.push(bytes[pos as usize..pos as usize + len].to_vec());
            }
            Ok(Read::Empty) => all.push(Vec::new()),
            other => panic!("{other:?}"),
        }
    }
    all
}

/// The numbers of the pictures of stream 0; `None` for empty chunks.
fn numbers(bytes: &[u8]) -> Vec<Option<u8>> {
    let at = jpeg_head(320, 240, &HALVED).len();
    let frames = contents(bytes, 0);
    frames.iter().map(|frame| frame.get(at).copied()).collect()
}

#[test]
fn a_gap_is_empty_chunks_or_the_last_frame_again() {
    let times = [0, 100, 400].map(|ms| 5000 * MS + ms * MS);
    for (profile, shown, notice) in [
        (
            Profile::Standard,
            [Some(0), Some(1), None, None, Some(2)],
            Notice::Missing {
                stream: 0,
                frames: 2,
            },
        ),
        (
            Profile::K210,
            [0, 1, 1, 1, 2].map(Some),
            Notice::Repeated {
                stream: 0,
                frames: 2,
                damaged: 0,
            },
        ),
    ] {
        let (mut recorder, told) = recorder(profile, &[video(10)]);
        for (n, time) in (0..).zip(times) {
            recorder.push(0, picture(n), Some(time)).unwrap();
        }
        assert_eq!(*told.lock().unwrap(), [notice]);
        assert_eq!(numbers(&bytes_of(recorder)), shown);
    }
}

#[test]
fn sound_that_is_missing_is_silence_and_what_is_late_left_out() {
    let (mut recorder, told) = recorder(Profile::Standard, &[video(10), sound()]);
    recorder.push(0, picture(0), Some(0)).unwrap();
    recorder.push(1, vec![7; 1600], Some(100 * MS)).unwrap();
    recorder.push(1, vec![8; 1600], Some(150 * MS)).unwrap();
    recorder.push(1, vec![9; 1600], None).unwrap();
    assert_eq!(
        *told.lock().unwrap(),
        [
            Notice::Silence {
                stream: 1,
                samples: 800
            },
            Notice::Skipped {
                stream: 1,
                samples: 400
            }
        ]
    );
    let stats = recorder.stats();
    assert_eq!((stats.silence, stats.skipped), (800, 400));
    let heard = contents(&bytes_of(recorder), 1).concat();
    let expected = [vec![0; 1600], vec![7; 1600], vec![8; 800], vec![9; 1600]];
    assert!(heard == expected.concat());
}

#[test]
fn a_file_for_the_k210_plays_there_and_says_why_a_frame_does_not() {
    let (mut recorder, told) = recorder(Profile::K210, &[video(10), sound()]);
    for n in 0..10 {
        recorder
            .push(0, picture(n), Some(i64::from(n) * 100 * MS))
            .unwrap();
        recorder.push(1, vec![n; 1600], None).unwrap();
    }
    let only_checkpoints = |told: &[Notice]| {
        told.iter()
            .all(|notice| matches!(notice, Notice::Checkpoint { .. }))
    };
    assert!(only_checkpoints(&told.lock().unwrap()));
    let wrong = recorder.push(0, jpeg_head(640, 480, &HALVED), None);
    assert!(matches!(wrong, Err(RecordError::Frame { number: 10, .. })));
    let bytes = bytes_of(recorder);
    let report = k210_check::check(&bytes[..], |_| {}).unwrap();
    assert!(report.plays() && report.frames == 10);
}

#[test]
fn a_file_is_brought_up_to_date_at_each_checkpoint() {
    let (mut recorder, told) = recorder(Profile::Standard, &[video(10)]);
    for n in 0..25 {
        recorder
            .push(0, picture(n), Some(i64::from(n) * 100 * MS))
            .unwrap();
    }
    let lengths: Vec<_> = (told.lock().unwrap().iter())
        .map(|notice| match notice {
            Notice::Checkpoint { bytes } => *bytes as usize,
            other => panic!("{other:?}"),
        })
        .collect();
    let file = recorder.storage.into_inner().unwrap().into_inner();
    assert_eq!(lengths.len(), 2);
    assert_eq!(numbers(&file[..lengths[1]]).len(), 20);
}

/// A disk that counts how often it is asked for all there is, at a time that is set.
struct Counting {
    memory: Memory,
    now: Instant,
    syncs: usize,
}

impl writer::Output for Counting {
    type Payload = Vec<u8>;
    type Error = io::Error;

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.memory.put(bytes)
    }

    fn put_payload(&mut self, payload: Vec<u8>) -> io::Result<()> {
        self.memory.put_payload(payload)
    }

    fn end(&mut self, durable: bool) -> io::Result<()> {
        self.syncs += usize::from(durable);
        self.memory.end(durable)
    }

    fn overwrite(&mut self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.memory.overwrite(position, bytes)
    }
}

impl Storage for Counting {
    fn now(&mut self) -> Instant {
        self.now
    }

    fn write_through(&mut self) -> io::Result<()> {
        self.memory.write_through()
    }
}

/// How often the disk is asked in so many seconds of a file, each of which lasts as many by the clock as given in turn.
fn syncs(seconds: u64, lasts: [u64; 2]) -> usize {
    let start = Instant::now();
    let counting = Counting {
        memory: memory(),
        now: start,
        syncs: 0,
    };
    let settings = Settings::new(Profile::Standard);
    let mut recorder = Recorder::start(counting, settings, &[video(10)]).unwrap();
    for n in 0..seconds * 10 + 1 {
        let step = |at: u64| lasts[(at / 10 % 2) as usize] / 10;
        let passed: u64 = (0..n).map(step).sum();
        recorder.storage.now = start + std::time::Duration::from_millis(passed);
        recorder
            .push(0, picture(0), Some(n as i64 * 100 * MS))
            .unwrap();
    }
    recorder.storage.syncs
}

#[test]
fn each_checkpoint_of_a_camera_is_on_the_disk() {
    assert_eq!(syncs(8, [1000, 1000]), 8);
    // Its clock is not the system's, and its frames do not come in step.
    assert_eq!(syncs(8, [970, 1030]), 8);
    // A copy that is four times as fast.
    assert_eq!(syncs(8, [250, 250]), 2);
}

/// A disk that takes so many bytes.
struct Small(Memory, u64);

impl writer::Output for Small {
    type Payload = Vec<u8>;
    type Error = io::Error;

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.put(bytes)
    }

    fn put_payload(&mut self, payload: Vec<u8>) -> io::Result<()> {
        self.0.put_payload(payload)
    }

    fn end(&mut self, durable: bool) -> io::Result<()> {
        self.0.end(durable)
    }

    fn overwrite(&mut self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.overwrite(position, bytes)
    }
}

impl Storage for Small {
    fn has_room(&mut self, _now: Instant, _len: u64, wanted: u64) -> bool {
        wanted <= self.1
    }

    fn write_through(&mut self) -> io::Result<()> {
        self.0.write_through()
    }
}

#[test]
fn before_the_disk_is_full_the_file_can_be_finished() {
    let small = Small(memory(), 50_000);
    let mut recorder =
        Recorder::start(small, Settings::new(Profile::Standard), &[video(10)]).unwrap();
    let mut frames = 0;
    let error = loop {
        match recorder.push(0, picture(0), None) {
            Ok(()) => frames += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, RecordError::NoRoom { .. }));
    recorder.finish().unwrap();
    let bytes = recorder.storage.0.into_inner().unwrap().into_inner();
    assert!(bytes.len() <= 50_000 && bytes.len() > 40_000);
    assert_eq!(numbers(&bytes).len(), frames);
}

#[test]
fn a_pipe_gets_a_file_too() {
    let pipe: Unseekable<_> = Unseekable::new(Vec::new());
    let streams = [video(10), sound()];
    let mut recorder = Recorder::start(pipe, Settings::new(Profile::Standard), &streams).unwrap();
    for n in 0..3 {
        recorder.push(0, picture(n), None).unwrap();
    }
    recorder.finish().unwrap();
    let bytes = recorder.storage.into_inner();
    assert_eq!(numbers(&bytes), [0, 1, 2].map(Some));
}

#[test]
fn the_earliest_stream_begins_the_file() {
    let first = |stream: Stream, ms: i64| Stream {
        first: Some(ms * MS),
        ..stream
    };
    assert_eq!(begin(&[first(video(10), 1000)]), Some(1000 * MS));
    let both = [first(video(10), 1000), first(sound(), 850)];
    assert_eq!(begin(&both), Some(800 * MS), "whole intervals before it");
    let unknown = [video(10), first(sound(), 850)];
    assert_eq!(begin(&unknown), Some(850 * MS));
    assert_eq!(begin(&[video(10)]), None);
}

#[test]
fn a_stream_that_is_late_is_put_in_and_one_that_never_comes_left_out() {
    let streams = [
        sound(),
        Stream::awaited_audio(),
        Stream::awaited_video(),
        Stream::awaited_video(),
    ];
    let (mut recorder, _) = recorder(Profile::Standard, &streams);
    let early = recorder.set_stream(0, &sound());
    assert!(matches!(early, Err(RecordError::NoStream(0))));
    for n in 0..30 {
        let time = i64::from(n) * 100 * MS;
        recorder.push(0, vec![n; 1600], Some(time)).unwrap();
    }
    recorder.set_stream(2, &video(10)).unwrap();
    for n in 0..5 {
        let time = (3000 + 100 * i64::from(n)) * MS;
        recorder.push(2, picture(n), Some(time)).unwrap();
    }
    let bytes = bytes_of(recorder);
    let reader = Reader::open(&bytes[..]).unwrap();
    let formats: Vec<_> = (reader.header().streams.iter())
        .map(|stream| stream.format.clone())
        .collect();
    let (width, height) = (320, 240);
    assert_eq!(formats.len(), 3, "none that never came is behind");
    assert_eq!(formats[2], Format::Jpeg { width, height });
    assert_eq!(contents(&bytes, 0).len(), 30);
    let late = contents(&bytes, 2);
    assert_eq!(late.len(), 35);
    assert!(late[30] == picture(0) && late[..30].iter().all(Vec::is_empty));
}

/// Of each frame in a file, its number and when it is shown after the first, in milliseconds.
fn shown(bytes: &[u8]) -> Vec<(u8, f64)> {
    let reader = Reader::open(bytes).unwrap();
    let rate = reader.header().streams[0].rate;
    let places = (0..).zip(numbers(bytes));
    let frames: Vec<_> = places
        .filter_map(|(place, n)| Some((n?, rate.time_of(place) as f64 / 1e6)))
        .collect();
    let first = frames[0].1;
    frames.iter().map(|(n, at)| (*n, at - first)).collect()
}

/// Records frames of these times (in milliseconds), each of which is to be in the file, in order, and shown
/// `within` so many milliseconds of its time.
fn all_shown(stream: Stream, times: &[f64], wanted: &[f64], within: f64) -> Stats {
    let (mut recorder, _) = recorder(Profile::Standard, &[stream]);
    for (n, time) in times.iter().enumerate() {
        recorder
            .push(0, picture(n as u8), Some((time * 1e6) as i64))
            .unwrap();
    }
    recorder.finish().unwrap();
    let stats = recorder.stats();
    let bytes = recorder.storage.into_inner().unwrap().into_inner();
    let shown = shown(&bytes);
    assert_eq!(shown.len(), times.len());
    for (n, ((number, at), wanted)) in shown.into_iter().zip(wanted).enumerate() {
        assert_eq!(number, n as u8);
        let off = at - wanted;
        assert!(off.abs() <= within, "frame {n} is {off} ms off");
    }
    assert_eq!((stats.frames, stats.dropped), (times.len() as u64, 0));
    stats
}

fn every(interval: f64, frames: usize) -> Vec<f64> {
    (0..frames).map(|n| n as f64 * interval).collect()
}

#[test]
fn a_camera_that_is_faster_than_it_says_has_all_its_frames_in_time() {
    for (says, is, within) in [
        (25, 29.97, 1.0),
        (30, 60.0, 1.0),
        (10, 200.0, 1.0),
        // Not yet a whole interval.
        (25, 25.05, 20.0),
    ] {
        let times = every(1000.0 / is, 250);
        let stats = all_shown(video(says), &times, &times, within);
        assert_eq!((stats.missing, stats.displaced), (0, 0), "{is}");
    }
}

#[test]
fn a_camera_that_becomes_faster_loses_nothing_and_what_is_late_is_counted() {
    let mut times = every(40.0, 100);
    times.extend((0..100).map(|n| 4000.0 + f64::from(n) * 20.0));
    let stats = all_shown(video(25), &times, &times, 2100.0);
    assert!((90..=100).contains(&stats.displaced), "{}", stats.displaced);
}

#[test]
fn frames_that_come_together_are_late_where_there_is_no_room_for_them() {
    let late = |next: i64| {
        let guessed = Stream {
            is_guessed: true,
            ..video(25)
        };
        let (mut recorder, _) = recorder(Profile::Standard, &[guessed]);
        for n in 0..=20 {
            let time = Some(i64::from(n) * 40 * MS);
            recorder.push(0, picture(n), time).unwrap();
        }
        // Ten come with the last one, and are shown from 0.84 s to 1.2 s.
        for n in 21..=30 {
            recorder.push(0, picture(n), None).unwrap();
        }
        recorder.push(0, picture(31), Some(next * MS)).unwrap();
        recorder.finish().unwrap();
        let stats = recorder.stats();
        assert_eq!((stats.frames, stats.dropped), (32, 0));
        stats.displaced
    };
    // What is up to 0.1 s late is not counted.
    assert_eq!(late(840), 8 + 1);
    assert_eq!(late(1240), 0);
}

#[test]
fn a_pipe_cannot_have_another_rate_but_all_frames() {
    let pipe: Unseekable<_> = Unseekable::new(Vec::new());
    let settings = Settings::new(Profile::Standard);
    let mut recorder = Recorder::start(pipe, settings, &[video(30)]).unwrap();
    for n in 0..120 {
        let time = i64::from(n) * 1_000_000_000 / 60;
        recorder.push(0, picture(n), Some(time)).unwrap();
    }
    recorder.finish().unwrap();
    let stats = recorder.stats();
    assert_eq!((stats.frames, stats.dropped), (120, 0));
    assert!(stats.displaced > 100);
    assert_eq!(numbers(&recorder.storage.into_inner()).len(), 120);
}

#[test]
fn what_begins_anew_goes_on_behind_and_is_told_once() {
    let first = every(40.0, 30);
    let mut times: Vec<f64> = first.iter().map(|at| at + 10_000.0).collect();
    times.extend(&first);
    let wanted = every(40.0, 60);
    all_shown(video(25), &times, &wanted, 1.0);
    let (mut recorder, told) = recorder(Profile::Standard, &[video(25)]);
    for time in times {
        let time = Some((time * 1e6) as i64);
        recorder.push(0, picture(0), time).unwrap();
    }
    let jump = Jump {
        from: 11_160 * MS,
        to: 0,
        is_known: false,
    };
    let notices = told.lock().unwrap();
    let jumps = notices
        .iter()
        .filter(|notice| matches!(notice, Notice::Jump { .. }));
    assert_eq!(
        jumps.collect::<Vec<_>>(),
        [&Notice::Jump { stream: 0, jump }]
    );
}

#[test]
fn what_is_before_a_picture_is_cut_off_and_nothing_is_no_frame() {
    let (mut recorder, _) = recorder(Profile::Standard, &[video(10)]);
    let before: [&[u8]; 5] = [b"", b"\r\n", &[0; 400], &[0xff; 7], b"--frame\r\n\r\n"];
    for (n, before) in (0..).zip(before) {
        let bytes = [before, &picture(n)].concat();
        assert_eq!(picture_size(&bytes), Some((320, 240)));
        recorder.push(0, bytes, None).unwrap();
    }
    recorder.push(0, Vec::new(), None).unwrap();
    let damaged = picture(5)[..300].to_vec();
    recorder.push(0, damaged.clone(), None).unwrap();
    let stats = recorder.stats();
    assert_eq!((stats.frames, stats.dropped), (6, 1));
    let frames = contents(&bytes_of(recorder), 0);
    for (n, frame) in (0..).zip(&frames[..5]) {
        assert!(*frame == picture(n));
    }
    assert!(frames[5] == damaged, "as it is");
}

#[test]
fn a_sample_that_is_split_is_whole_again() {
    let samples: Vec<u8> = (0..16_000u32).map(|n| (n / 3) as u8).collect();
    let (mut recorder, _) = recorder(Profile::Standard, &[video(10), sound()]);
    let mut at = 0;
    for piece in samples.chunks(333) {
        let time = at / 2 * 1_000_000_000 / 8000;
        recorder.push(1, piece.to_vec(), Some(time)).unwrap();
        at += piece.len() as i64;
    }
    assert!(contents(&bytes_of(recorder), 1).concat() == samples);
}

proptest::proptest! {
    /// Cameras that say nothing of their rate: what they do for two seconds is no promise.
    #[test]
    fn each_frame_of_a_camera_without_a_rate_is_within_half_a_place(
        first in proptest::collection::vec(28.0f64..90.0, 16),
        rest in proptest::collection::vec(33.4f64..90.0, 1..200),
    ) {
        let mut times = vec![0.0];
        for interval in first.iter().chain(&rest) {
            times.push(times[times.len() - 1] + interval);
        }
        let known: Vec<_> = (times[..17].iter())
            .map(|time| (Some((time * 1e6) as i64), None))
            .collect();
        let grid = Cadence::of(&known, false).unwrap().grid;
        let stream = Stream { is_guessed: true, ..Stream::video(320, 240, grid) };
        let (mut recorder, _) = recorder(Profile::Standard, &[stream]);
        for (n, time) in times.iter().enumerate() {
            recorder.push(0, picture(n as u8), Some((time * 1e6) as i64)).unwrap();
        }
        let bytes = bytes_of(recorder);
        let shown = shown(&bytes);
        proptest::prop_assert_eq!(shown.len(), times.len());
        // Two that come in the time of one place push one another a place on.
        let place = grid.time_of(1) as f64 / 1e6;
        let tight = times.windows(2).any(|pair| pair[1] - pair[0] < place);
        let within = if tight { 1.5 } else { 0.5 } * place + 0.001;
        for ((_, at), time) in shown.iter().zip(&times) {
            proptest::prop_assert!((at - time).abs() <= within, "{} {}", at, time);
        }
    }
}

/// Sound of a thousand samples a buffer that begins at `first`, comes at `interval`, and is said to be of 8000 Hz.
fn sound_of(profile: Profile, first: i64, interval: i64) -> (Recorder<Memory>, Vec<Notice>) {
    let (mut recorder, told) = recorder(profile, &[video(10), sound()]);
    for n in 0..40 {
        recorder.push(0, picture(0), Some(n * 100 * MS)).unwrap();
    }
    for n in 0..40 {
        let samples = vec![n as u8 + 1; 2000];
        let time = first + n * interval;
        recorder.push(1, samples, Some(time)).unwrap();
    }
    recorder.finish().unwrap();
    let told = std::mem::take(&mut *told.lock().unwrap());
    (recorder, told)
}

#[test]
fn sound_at_another_rate_than_it_says_is_all_in_the_file_which_has_that() {
    // Twice and half as fast as it says, from the beginning and late.
    for (first, interval, rate) in [
        (0, 125 * MS / 2, 16_000),
        (0, 250 * MS, 4000),
        (3000 * MS, 125 * MS / 2, 16_000),
        (3000 * MS, 250 * MS, 4000),
        (3000 * MS, 2_083_333 * 10, 48_000),
    ] {
        let is_too_much = interval < 25 * MS;
        let (recorder, told) = sound_of(Profile::Standard, first, interval);
        let stats = recorder.stats();
        let rates = told.iter().filter_map(|notice| match notice {
            Notice::SampleRate { from, to, .. } => Some((*from, *to)),
            _ => None,
        });
        // Six times as much is too much to be true.
        let expected = if is_too_much {
            vec![]
        } else {
            vec![(8000, rate)]
        };
        assert_eq!(rates.collect::<Vec<_>>(), expected);
        if is_too_much {
            assert!(stats.skipped > 30_000 && told.contains(&Notice::TooMuchSound { stream: 1 }));
            continue;
        }
        assert_eq!(stats.skipped, 0);
        let late = Rate::new(rate, 1).unwrap().nearest(first as u64);
        assert_eq!(stats.silence, late);
        let bytes = bytes_of(recorder);
        let reader = Reader::open(&bytes[..]).unwrap();
        let Format::Pcm(layout) = &reader.header().streams[1].format else {
            panic!("{:?}", reader.header());
        };
        assert_eq!(layout.rate, rate);
        let a_second = [rate.to_le_bytes(), (2 * rate).to_le_bytes()].concat();
        assert!(bytes.windows(8).any(|head| head == a_second));
        let heard = contents(&bytes, 1).concat();
        let all: Vec<u8> = (0..40).flat_map(|n| vec![n + 1; 2000]).collect();
        assert!(heard[late as usize * 2..] == all);
    }
}

#[test]
fn a_drift_or_a_piece_that_overlaps_changes_no_rate() {
    for interval in [20_020_000, 19_980_000] {
        let (mut recorder, told) = recorder(Profile::Standard, &[sound()]);
        for n in 0..5000 {
            let overlap = if n == 3000 { 15 * MS } else { 0 };
            let time = n * interval - overlap;
            recorder.push(0, vec![7; 320], Some(time)).unwrap();
        }
        let told = told.lock().unwrap();
        assert!(told.iter().all(|notice| matches!(
            notice,
            Notice::Silence { .. } | Notice::Skipped { .. } | Notice::Checkpoint { .. }
        )));
        let stats = recorder.stats();
        assert!(stats.skipped + stats.silence >= 640, "{stats:?}");
    }
}

#[test]
fn a_file_whose_rate_is_fixed_tells_once_of_sound_that_is_too_much() {
    let (recorder, told) = sound_of(Profile::K210, 0, 125 * MS / 2);
    let much = Notice::TooMuchSound { stream: 1 };
    assert_eq!(told.iter().filter(|notice| **notice == much).count(), 1);
    assert!(recorder.stats().skipped >= 14_400);
    let file = Unseekable::new(Vec::new());
    let mut pipe = Recorder::start(file, Settings::new(Profile::Standard), &[sound()]).unwrap();
    for n in 0..100 {
        pipe.push(0, vec![7; 640], Some(n * 20 * MS)).unwrap();
    }
    assert!(pipe.stats().skipped >= 14_400);
}
