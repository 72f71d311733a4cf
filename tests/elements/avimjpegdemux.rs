// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a user of `avimjpegdemux` notices: frames, times, pads, messages, seeks.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::avi_bytes::{Built, File, IndexKind, MaixPy, Piece, picture, pieces};
use crate::common::{HANG, Pipeline};
use gst::prelude::*;

/// Timestamp, duration and contents.
type Frame = (u64, u64, Vec<u8>);

struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("written");
        path
    }
}

fn file_of(frames: u32, index: IndexKind) -> (Built, Vec<Piece>) {
    let pieces = pieces(frames, Some(1068));
    let file = File {
        index,
        audio: Some((16000, 1)),
        ..File::default()
    };
    (file.build(&pieces), pieces)
}

fn frame_time(n: u64) -> u64 {
    n * 1_001_000_000_000 / 30000
}

fn pull(path: &Path) -> String {
    format!("filesrc location={} ! avimjpegdemux name=d", path.display())
}

/// Reads the file in order in odd pieces, as from a pipe.
fn push(path: &Path) -> String {
    format!(
        "filesrc blocksize=1777 location={} ! queue ! avimjpegdemux name=d",
        path.display()
    )
}

const SINK: &str = "queue max-size-buffers=0 max-size-bytes=0 max-size-time=0 ! appsink sync=false";

fn appsink(pipeline: &Pipeline, name: &str) -> gst_app::AppSink {
    pipeline.element(name).downcast().expect("an appsink")
}

fn frames(sink: &gst_app::AppSink) -> Vec<Frame> {
    let mut frames = Vec::new();
    for sample in crate::common::samples(sink) {
        let buffer = sample.buffer().expect("a buffer");
        frames.push((
            buffer.pts().expect("a timestamp").nseconds(),
            buffer.duration().expect("a duration").nseconds(),
            buffer.map_readable().expect("readable").to_vec(),
        ));
    }
    frames
}

/// The frames of a pad, and what was on the bus meanwhile.
fn play(source: &str, pad: &str) -> (Vec<Frame>, Vec<gst::Message>) {
    let pipeline = Pipeline::launch(&format!("{source} d.{pad} ! {SINK} name=v"));
    pipeline.play();
    let frames = frames(&appsink(&pipeline, "v"));
    let bus = pipeline.0.bus().expect("a bus");
    let messages = std::iter::from_fn(|| bus.pop()).collect();
    (frames, messages)
}

fn warnings(messages: &[gst::Message]) -> Vec<gst::Structure> {
    messages
        .iter()
        .filter_map(|m| match m.view() {
            gst::MessageView::Warning(w) => w.details().map(|d| d.to_owned()),
            _ => None,
        })
        .collect()
}

fn pictures(pieces: &[Piece]) -> Vec<Vec<u8>> {
    pieces
        .iter()
        .filter_map(|p| match p {
            Piece::Video(p) => Some(p.clone()),
            _ => None,
        })
        .collect()
}

#[track_caller]
fn check_video(got: &[Frame], pictures: &[Vec<u8>]) {
    assert_eq!(got.len(), pictures.len());
    for (n, (frame, picture)) in (0..).zip(got.iter().zip(pictures)) {
        assert_eq!(frame.0, frame_time(n));
        assert_eq!(frame.1, frame_time(n + 1) - frame_time(n));
        assert!(frame.2 == *picture, "frame {n}");
    }
}

#[test]
fn plays_in_both_modes() {
    let scratch = Scratch::new();
    for index in [IndexKind::None, IndexKind::Old, IndexKind::OpenDml] {
        let (built, pieces) = file_of(150, index);
        let path = scratch.write("a.avi", &built.bytes);
        for source in [pull(&path), push(&path)] {
            let pipeline = Pipeline::launch(&format!(
                "{source} d.video_0 ! {SINK} name=v d.audio_0 ! {SINK} name=a"
            ));
            pipeline.play();
            check_video(&frames(&appsink(&pipeline, "v")), &pictures(&pieces));
            let sound = frames(&appsink(&pipeline, "a"));
            let mut bytes = 0;
            for frame in &sound {
                assert_eq!(frame.0, bytes * 1_000_000_000 / 32000);
                bytes += frame.2.len() as u64;
            }
            assert_eq!(bytes, 150 * 1068);
            let caps = appsink(&pipeline, "v")
                .static_pad("sink")
                .and_then(|p| p.current_caps());
            let caps = caps.expect("caps");
            let expected = "image/jpeg,parsed=true,width=320,height=240,framerate=30000/1001";
            assert!(
                caps == expected.parse::<gst::Caps>().expect("caps"),
                "{caps}"
            );
            let caps = appsink(&pipeline, "a")
                .static_pad("sink")
                .and_then(|p| p.current_caps());
            let expected = "audio/x-raw,format=S16LE,layout=interleaved,rate=16000,channels=1";
            let caps = caps.expect("caps");
            assert!(
                caps == expected.parse::<gst::Caps>().expect("caps"),
                "{caps}"
            );
        }
    }
}

#[test]
fn agrees_with_avidemux_on_other_peoples_files() {
    let scratch = Scratch::new();
    let ffmpeg = scratch.path("ffmpeg.avi");
    crate::common::output(
        Command::new("ffmpeg")
            .args(["-v", "error", "-t", "2", "-i"])
            .arg(crate::common::footage())
            .args(["-c:v", "mjpeg", "-q:v", "9", "-c:a", "pcm_s16le"])
            .arg(&ffmpeg),
    );
    let gst = scratch.path("gst.avi");
    Pipeline::launch(&format!(
        "videotestsrc num-buffers=60 ! video/x-raw,framerate=30000/1001 ! jpegenc ! \
         avimux name=m ! filesink location={} \
         audiotestsrc num-buffers=80 ! audio/x-raw,rate=44100,channels=2,format=S16LE ! m.",
        gst.display()
    ))
    .run()
    .expect("written");
    for path in [ffmpeg, gst] {
        for pad in ["video_0", "audio_0"] {
            let theirs = format!("filesrc location={} ! avidemux name=d", path.display());
            let (theirs, _) = play(&theirs, pad);
            let (ours, messages) = play(&pull(&path), pad);
            assert!(warnings(&messages).is_empty());
            if pad == "video_0" {
                assert_eq!(ours.len(), theirs.len());
                for (ours, theirs) in ours.iter().zip(&theirs) {
                    assert_eq!(ours.0, theirs.0);
                    assert!(ours.2 == theirs.2);
                }
            } else {
                let all = |f: &[Frame]| f.iter().flat_map(|f| f.2.clone()).collect::<Vec<_>>();
                assert!(all(&ours) == all(&theirs));
            }
            assert_eq!(play(&push(&path), pad).0, ours);
        }
    }
}

#[test]
fn plays_from_a_pipe() {
    let scratch = Scratch::new();
    let (built, pieces) = file_of(100, IndexKind::Old);
    let path = scratch.write("a.avi", &built.bytes);
    let out = scratch.path("out");
    let file = std::fs::File::open(&path).expect("opens");
    let mut cat = Command::new("cat")
        .stdin(file)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("cat");
    let pipe = cat.stdout.take().expect("a pipe");
    let pipeline = Pipeline::launch(&format!(
        "fdsrc fd={} ! avimjpegdemux name=d d.video_0 ! queue ! filesink location={}",
        std::os::fd::AsRawFd::as_raw_fd(&pipe),
        out.display()
    ));
    pipeline.run().expect("plays");
    cat.wait().expect("cat ends");
    assert!(std::fs::read(out).expect("written") == pictures(&pieces).concat());
}

#[test]
fn maixpy_recordings() {
    let scratch = Scratch::new();
    for (interval, audio, finished) in [
        (300_000, false, true),
        (2_000_000, true, true),
        (33_333, true, false),
    ] {
        let pictures: Vec<_> = (0..20).map(|n| picture(n, 500 + n as usize)).collect();
        let maixpy = MaixPy {
            interval,
            audio,
            finished,
            ..MaixPy::default()
        };
        let path = scratch.write("m.avi", &maixpy.build(&pictures));
        for source in [pull(&path), push(&path)] {
            let pipeline = Pipeline::launch(&format!("{source} d.video_0 ! {SINK} name=v"));
            pipeline.play();
            let got = frames(&appsink(&pipeline, "v"));
            for (n, (frame, picture)) in (0..).zip(got.iter().zip(&pictures)) {
                assert_eq!(frame.0, n * u64::from(interval) * 1000);
                assert_eq!(frame.1, u64::from(interval) * 1000);
                assert!(frame.2 == *picture, "frame {n} ends at its end marker");
            }
            assert_eq!(got.len(), 20);
            // The sound that was announced is not there.
            assert_eq!(pipeline.element("d").src_pads().len(), 1);
            let duration = pipeline.element("v").query_duration::<gst::ClockTime>();
            if source == pull(&path) {
                assert_eq!(
                    duration.map(|d| d.nseconds()),
                    Some(20_000 * u64::from(interval))
                );
            }
        }
    }
}

#[test]
fn damage_is_told_once_a_region_and_nothing_intact_is_lost() {
    let scratch = Scratch::new();
    for index in [IndexKind::None, IndexKind::Old, IndexKind::OpenDml] {
        let (built, pieces) = file_of(100, index);
        let mut bytes = built.bytes.clone();
        let (from, to) = (built.at[40], built.at[60]);
        bytes[from..to].fill(0);
        bytes[built.at[120] + 4..built.at[120] + 8].fill(0xFF);
        let path = scratch.write("d.avi", &bytes);
        let mut expected = pictures(&pieces);
        expected.drain(20..30);
        for source in [pull(&path), push(&path)] {
            let (got, messages) = play(&source, "video_0");
            let got_pictures: Vec<_> = got.iter().map(|f| f.2.clone()).collect();
            assert!(got_pictures == expected, "{index:?}");
            if index != IndexKind::None && source == pull(&path) {
                assert_eq!(got[20].0, frame_time(30), "times by the index");
            }
            let damage = warnings(&messages);
            assert_eq!(damage.len(), 3, "{index:?}: {damage:?}");
            // By the header it is known how many frames are missing, by an index when they were.
            assert_eq!(damage[2].name(), "avi-missing");
            assert_eq!(damage[2].get::<u64>("frames"), Ok(10));
            assert_eq!(damage[0].name(), "avi-damage");
            assert_eq!(damage[0].get::<u64>("from"), Ok(from as u64));
            assert_eq!(damage[0].get::<u64>("to"), Ok(to as u64));
        }
    }
}

#[test]
fn a_joined_file_has_its_own_caps_and_times() {
    let scratch = Scratch::new();
    let (built, _) = file_of(40, IndexKind::Old);
    let content: Vec<_> = (0..20)
        .flat_map(|n| {
            let sound = Piece::Sound(crate::avi_bytes::sound(n, 9600));
            [
                Piece::Video(crate::avi_bytes::picture_of(n, 900, 640, 480)),
                sound,
            ]
        })
        .collect();
    let other = File {
        scale: 3,
        rate: 10,
        interval: 300_000,
        audio: Some((8000, 2)),
        size: (640, 480),
        ..File::default()
    };
    let bytes = [&built.bytes[..], &other.build(&content).bytes].concat();
    let path = scratch.write("j.avi", &bytes);
    // The sound of the first lasts longer than its frames.
    let begins = 40 * 1068 * 1_000_000_000 / 32_000;
    for source in [pull(&path), push(&path)] {
        let pipeline = Pipeline::launch(&format!(
            "{source} d.video_0 ! {SINK} name=v d.audio_0 ! {SINK} name=a"
        ));
        pipeline.play();
        let (sink, mut n) = (appsink(&pipeline, "v"), 0);
        for sample in crate::common::samples(&sink) {
            let caps = sample
                .caps()
                .expect("caps")
                .structure(0)
                .expect("one")
                .to_owned();
            let size = (caps.get::<i32>("width"), caps.get::<i32>("height"));
            let rate = caps.get::<gst::Fraction>("framerate");
            let time = sample.buffer().and_then(|b| b.pts()).map(|t| t.nseconds());
            if n < 40 {
                assert_eq!((size, time), ((Ok(320), Ok(240)), Some(frame_time(n))));
            } else {
                assert_eq!(size, (Ok(640), Ok(480)));
                assert_eq!(rate, Ok(gst::Fraction::new(10, 3)));
                assert_eq!(time, Some(begins + (n - 40) * 300_000_000));
            }
            n += 1;
        }
        assert_eq!(n, 60);
        let (sink, mut bytes) = (appsink(&pipeline, "a"), 0);
        for sample in crate::common::samples(&sink) {
            let caps = sample
                .caps()
                .expect("caps")
                .structure(0)
                .expect("one")
                .to_owned();
            let rate = if bytes < 40 * 1068 { 16_000 } else { 8000 };
            assert_eq!(caps.get::<i32>("rate"), Ok(rate));
            bytes += sample.buffer().map_or(0, |b| b.size());
        }
        assert_eq!(bytes, 40 * 1068 + 20 * 9600);
        assert_eq!(pipeline.error(), None);
    }
}

#[test]
fn a_lost_header() {
    let scratch = Scratch::new();
    let pictures: Vec<_> = (0..10).map(|n| picture(n, 800)).collect();
    let content: Vec<_> = pictures.iter().cloned().map(Piece::Video).collect();
    let built = File::default().build(&content);
    let mut bytes = built.bytes.clone();
    bytes[..built.at[0]].fill(0);
    let path = scratch.write("h.avi", &bytes);
    for source in [pull(&path), push(&path)] {
        let pipeline = Pipeline::launch(&format!("{source} d.video_0 ! {SINK} name=v"));
        pipeline.play();
        let sink = appsink(&pipeline, "v");
        let got: Vec<_> = frames(&sink).into_iter().map(|f| f.2).collect();
        assert!(got == pictures);
        let caps = sink
            .static_pad("sink")
            .and_then(|p| p.current_caps())
            .expect("caps");
        let s = caps.structure(0).expect("a structure");
        assert_eq!(s.get::<i32>("width"), Ok(320));
        assert_eq!(s.get::<i32>("height"), Ok(240));
        assert_eq!(s.get::<String>("sampling").as_deref(), Ok("YCbCr-4:2:2"));
    }
}

#[test]
fn other_codecs_are_named_and_the_sound_plays() {
    let scratch = Scratch::new();
    let content = pieces(30, Some(1068));
    let file = File {
        handler: *b"H264",
        audio: Some((16000, 1)),
        ..File::default()
    };
    let path = scratch.write("x.avi", &file.build(&content).bytes);
    for source in [pull(&path), push(&path)] {
        let (sound, messages) = play(&source, "audio_0");
        assert_eq!(sound.iter().map(|f| f.2.len()).sum::<usize>(), 30 * 1068);
        let warned = messages.iter().any(|m| match m.view() {
            gst::MessageView::Warning(w) => {
                let text = w.error().to_string();
                ["H264", "A-law", "ADPCM", "MP3"]
                    .iter()
                    .all(|word| text.contains(word))
            }
            _ => false,
        });
        assert!(warned);
    }
    let file = File {
        handler: *b"XVID",
        ..File::default()
    };
    let path = scratch.write("y.avi", &file.build(&pieces(10, None)).bytes);
    for source in [pull(&path), push(&path)] {
        let error = Pipeline::launch(&format!("{source} ! fakesink"))
            .run()
            .expect_err("nothing to play");
        assert!(error.contains("no Motion JPEG"), "{error}");
        assert!(
            error.contains("MP3") && error.contains("avidemux"),
            "{error}"
        );
    }
}

#[test]
fn what_is_no_avi_is_one_clear_error() {
    let scratch = Scratch::new();
    for bytes in [vec![], vec![0; 10_000], b"RIFF\x04\0\0\0AVI ".to_vec()] {
        let path = scratch.write("z.avi", &bytes);
        let error = Pipeline::launch(&format!("{} ! fakesink", pull(&path)))
            .run()
            .expect_err("no AVI");
        assert!(!error.contains("panic"), "{error}");
    }
    let path = scratch.write("z.avi", &[7; 10_000]);
    let error = Pipeline::launch(&format!("{} ! fakesink", push(&path)))
        .run()
        .expect_err("no AVI");
    assert!(error.contains("neither an AVI header"), "{error}");
}

#[test]
fn announces_its_streams() {
    let scratch = Scratch::new();
    let file = File {
        audio: Some((16000, 1)),
        info: vec![
            (b"INAM", "The title"),
            (b"IART", "The artist"),
            (b"ICMT", "A comment"),
            (b"ISFT", "The software"),
            (b"ICRD", "2024-05-06"),
        ],
        ..File::default()
    };
    let path = scratch.write("t.avi", &file.build(&pieces(20, Some(1068))).bytes);
    for source in [pull(&path), push(&path)] {
        let pipeline = Pipeline::launch(&format!(
            "{source} d.video_0 ! {SINK} name=v d.audio_0 ! {SINK} name=a"
        ));
        let no_more = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
        let count = no_more.clone();
        pipeline.element("d").connect_no_more_pads(move |_| {
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        });
        pipeline.play();
        for sink in ["v", "a"] {
            frames(&appsink(&pipeline, sink));
        }
        assert_eq!(no_more.load(std::sync::atomic::Ordering::SeqCst), 1);
        let start = |name: &str| {
            let pad = pipeline.element(name).static_pad("sink").expect("a pad");
            pad.sticky_event::<gst::event::StreamStart>(0)
                .expect("a stream start")
        };
        let (video, audio) = (start("v"), start("a"));
        assert!(video.group_id().is_some());
        assert_eq!(video.group_id(), audio.group_id());
        assert_ne!(video.stream_id(), audio.stream_id());
        let bus = pipeline.0.bus().expect("a bus");
        let messages: Vec<_> = std::iter::from_fn(|| bus.pop()).collect();
        let collection = messages.iter().rev().find_map(|m| match m.view() {
            gst::MessageView::StreamCollection(c) => Some(c.stream_collection()),
            _ => None,
        });
        let collection = collection.expect("a stream collection");
        let ids: Vec<_> = collection.iter().filter_map(|s| s.stream_id()).collect();
        assert!(ids.contains(&video.stream_id().into()));
        assert!(ids.contains(&audio.stream_id().into()));
        let tags = messages.iter().filter_map(|m| match m.view() {
            gst::MessageView::Tag(t) => Some(t.tags()),
            _ => None,
        });
        let tags = tags.fold(gst::TagList::new(), |all, t| {
            all.merge(&t, gst::TagMergeMode::Keep)
        });
        let text = tags.to_string().replace("\\ ", " ");
        for part in [
            "The title",
            "The artist",
            "A comment",
            "The software",
            "2024-05-06",
            "Motion",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}

/// A pipeline with video (and sound) that stands at its first frame.
fn paused(source: &str, sound: bool) -> Pipeline {
    let mut description = format!("{source} d.video_0 ! {SINK} name=v");
    if sound {
        description += &format!(" d.audio_0 ! {SINK} name=a");
    }
    standing(&description)
}

fn standing(description: &str) -> Pipeline {
    let pipeline = Pipeline::launch(description);
    pipeline.0.set_state(gst::State::Paused).expect("pauses");
    pipeline.0.state(HANG).0.expect("prerolls");
    pipeline
}

fn seek(
    pipeline: &Pipeline,
    rate: f64,
    flags: gst::SeekFlags,
    start: u64,
    stop: Option<u64>,
) -> Vec<Frame> {
    pipeline
        .0
        .seek(
            rate,
            flags | gst::SeekFlags::FLUSH,
            gst::SeekType::Set,
            gst::ClockTime::from_nseconds(start),
            gst::SeekType::Set,
            stop.map(gst::ClockTime::from_nseconds),
        )
        .expect("seeks");
    settle(pipeline);
    frames(&appsink(pipeline, "v"))
}

/// Plays, and waits until all sinks do: a pipeline that is asked to seek before may stay paused,
/// whatever the demuxer.
fn settle(pipeline: &Pipeline) {
    pipeline.play();
    pipeline.0.state(HANG).0.expect("plays");
}

fn numbers(frames: &[Frame], pictures: &[Vec<u8>]) -> Vec<usize> {
    frames
        .iter()
        .map(|f| {
            pictures
                .iter()
                .position(|p| *p == f.2)
                .expect("a frame of the file")
        })
        .collect()
}

#[test]
fn seeks_forward_to_the_frame() {
    let scratch = Scratch::new();
    for index in [IndexKind::None, IndexKind::Old, IndexKind::OpenDml] {
        let (built, pieces) = file_of(150, index);
        let all = pictures(&pieces);
        let path = scratch.write("s.avi", &built.bytes);
        let pipeline = paused(&pull(&path), true);
        let flags = gst::SeekFlags::ACCURATE;
        for n in [75, 149, 0, 100] {
            let got = seek(&pipeline, 1.0, flags, frame_time(n) + 5, None);
            assert_eq!(numbers(&got, &all), (n as usize..150).collect::<Vec<_>>());
            assert_eq!(got[0].0, frame_time(n));
        }
        let got = seek(&pipeline, 1.0, flags, frame_time(10), Some(frame_time(20)));
        assert_eq!(numbers(&got, &all), (10..20).collect::<Vec<_>>());
        // Beyond the end the last picture is on screen.
        let got = seek(&pipeline, 1.0, flags, 3_600_000_000_000, None);
        assert_eq!(numbers(&got, &all), [149]);
        assert_eq!(got[0].0, frame_time(149));
        assert_eq!(pipeline.error(), None);
    }
}

#[test]
fn key_unit_seeks_begin_with_a_frame() {
    let scratch = Scratch::new();
    let (built, _) = file_of(150, IndexKind::Old);
    let path = scratch.write("k.avi", &built.bytes);
    let pipeline = paused(&pull(&path), false);
    let between = frame_time(50) + 1_000_000;
    for (flags, first) in [
        (gst::SeekFlags::empty(), 50),
        (gst::SeekFlags::SNAP_BEFORE, 50),
        (gst::SeekFlags::SNAP_AFTER, 51),
        (gst::SeekFlags::SNAP_NEAREST, 50),
    ] {
        let got = seek(
            &pipeline,
            1.0,
            flags | gst::SeekFlags::KEY_UNIT,
            between,
            None,
        );
        assert_eq!(got[0].0, frame_time(first), "{flags:?}");
        let pad = pipeline.element("v").static_pad("sink").expect("a pad");
        let segment = pad
            .sticky_event::<gst::event::Segment>(0)
            .expect("a segment");
        let segment = segment
            .segment()
            .downcast_ref::<gst::ClockTime>()
            .expect("in time");
        assert_eq!(
            segment.start().map(|s| s.nseconds()),
            Some(frame_time(first))
        );
    }
}

#[test]
fn plays_backward_and_in_trick_modes() {
    let scratch = Scratch::new();
    for index in [IndexKind::None, IndexKind::Old] {
        let (built, pieces) = file_of(150, index);
        let all = pictures(&pieces);
        let path = scratch.write("r.avi", &built.bytes);
        let pipeline = paused(&pull(&path), true);
        let flags = gst::SeekFlags::ACCURATE;
        let got = seek(&pipeline, -1.0, flags, 0, Some(frame_time(100)));
        assert_eq!(numbers(&got, &all), (0..100).rev().collect::<Vec<_>>());
        let got = seek(&pipeline, -2.0, flags, frame_time(20), Some(frame_time(50)));
        assert_eq!(numbers(&got, &all), (20..50).rev().collect::<Vec<_>>());
        let trick = gst::SeekFlags::TRICKMODE
            | gst::SeekFlags::TRICKMODE_KEY_UNITS
            | gst::SeekFlags::TRICKMODE_NO_AUDIO;
        let got = seek(&pipeline, 5.0, trick, 0, None);
        assert_eq!(numbers(&got, &all), (0..150).step_by(5).collect::<Vec<_>>());
        assert_eq!(frames(&appsink(&pipeline, "a")), []);
        let got = seek(&pipeline, -5.0, trick, 0, Some(frame_time(150)));
        assert_eq!(
            numbers(&got, &all),
            (0..150).rev().step_by(5).collect::<Vec<_>>()
        );
    }
}

/// A bound that a seek does not give is the one from before, or the file's: what is played is due from when it begins.
#[test]
fn what_is_played_behind_a_seek_of_one_bound_is_due_at_once() {
    let scratch = Scratch::new();
    let (built, _) = file_of(150, IndexKind::Old);
    let path = scratch.write("d.avi", &built.bytes);
    let pipeline = paused(&pull(&path), true);
    let (set, none) = (gst::SeekType::Set, gst::SeekType::None);
    let (at, no) = (
        gst::ClockTime::from_nseconds(frame_time(40) + 1_000_000),
        gst::ClockTime::NONE,
    );
    for flags in [gst::SeekFlags::ACCURATE, gst::SeekFlags::KEY_UNIT] {
        for (rate, start_type, start, stop_type, stop) in [
            (-1.0, set, Some(at), none, no),
            (-1.0, none, no, set, Some(at)),
            (1.0, set, Some(at), none, no),
            (1.0, none, no, set, Some(at * 2)),
        ] {
            let flags = flags | gst::SeekFlags::FLUSH;
            let done = pipeline
                .0
                .seek(rate, flags, start_type, start, stop_type, stop);
            let what =
                format!("{rate}, {flags:?}, {start_type:?} {start:?}, {stop_type:?} {stop:?}");
            done.unwrap_or_else(|err| panic!("{what}: {err}"));
            settle(&pipeline);
            for name in ["v", "a"] {
                let sink = appsink(&pipeline, name);
                let due = crate::common::samples(&sink).map(|sample| {
                    let segment = sample.segment().expect("a segment");
                    let segment = segment.downcast_ref::<gst::ClockTime>().expect("in time");
                    let buffer = sample.buffer().expect("a buffer");
                    let (from, until) = (buffer.pts(), buffer.pts().zip(buffer.duration()));
                    let until = until.map(|(from, lasts)| from + lasts);
                    let (from, until) = segment.clip(from, until).expect("it is in the segment");
                    segment
                        .to_running_time(if rate > 0.0 { from } else { until })
                        .unwrap_or_else(|| panic!("{what}: {name} has a buffer that is never due"))
                });
                let due: Vec<_> = due.collect();
                assert!(due.is_sorted(), "{what}, {name}: {due:?}");
                let first = due
                    .first()
                    .unwrap_or_else(|| panic!("{what}: nothing in {name}"));
                assert!(first.mseconds() < 50, "{what}, {name}: {first}");
            }
        }
    }
}

#[test]
fn seeks_by_frames_and_by_bytes_of_sound() {
    let scratch = Scratch::new();
    let (built, pieces) = file_of(150, IndexKind::Old);
    let all = pictures(&pieces);
    let path = scratch.write("f.avi", &built.bytes);
    let pipeline = paused(&pull(&path), true);
    let demux = pipeline.element("d");
    let event = |start: gst::GenericFormattedValue| {
        gst::event::Seek::new(
            1.0,
            gst::SeekFlags::FLUSH,
            gst::SeekType::Set,
            start,
            gst::SeekType::None,
            gst::GenericFormattedValue::new(start.format(), -1),
        )
    };
    let video = demux.static_pad("video_0").expect("a pad");
    assert!(video.send_event(event(gst::format::Default::from_u64(120).into())));
    settle(&pipeline);
    let got = frames(&appsink(&pipeline, "v"));
    assert_eq!(numbers(&got, &all), (120..150).collect::<Vec<_>>());
    let audio = demux.static_pad("audio_0").expect("a pad");
    assert!(audio.send_event(event(gst::format::Bytes::from_u64(106_800).into())));
    settle(&pipeline);
    let got = frames(&appsink(&pipeline, "v"));
    // 100 chunks of sound are 3.3375 s.
    assert_eq!(numbers(&got, &all), (100..150).collect::<Vec<_>>());
    let sound = frames(&appsink(&pipeline, "a"));
    assert_eq!(sound[0].0, 106_800 * 1_000_000_000 / 32000);
    assert!(!video.send_event(event(gst::format::Bytes::from_u64(5).into())));
}

#[test]
fn segment_seeks_end_with_segment_done() {
    let scratch = Scratch::new();
    let (built, pieces) = file_of(60, IndexKind::Old);
    let all = pictures(&pieces);
    let path = scratch.write("g.avi", &built.bytes);
    let pipeline = paused(&pull(&path), false);
    let at = |n| gst::ClockTime::from_nseconds(frame_time(n));
    let set = gst::SeekType::Set;
    let flags = gst::SeekFlags::SEGMENT;
    let sink = appsink(&pipeline, "v");
    pipeline
        .0
        .seek(1.0, flags | gst::SeekFlags::FLUSH, set, at(10), set, at(20))
        .expect("seeks");
    pipeline.play();
    let bus = pipeline.0.bus().expect("a bus");
    let wait = || {
        let message = bus
            .timed_pop_filtered(
                HANG,
                &[gst::MessageType::SegmentDone, gst::MessageType::Error],
            )
            .expect("no hang");
        assert_eq!(message.type_(), gst::MessageType::SegmentDone);
    };
    wait();
    // Without a flush the next one follows.
    pipeline
        .0
        .seek(1.0, flags, set, at(40), set, at(50))
        .expect("seeks");
    wait();
    pipeline
        .0
        .seek(1.0, gst::SeekFlags::empty(), set, at(0), set, at(3))
        .expect("seeks");
    let got = frames(&sink);
    let expected: Vec<_> = (10..20).chain(40..50).chain(0..3).collect();
    assert_eq!(numbers(&got, &all), expected);
}

#[test]
fn seeks_in_a_stream_whose_source_can_seek() {
    let scratch = Scratch::new();
    let (built, pieces) = file_of(150, IndexKind::Old);
    let all = pictures(&pieces);
    let path = scratch.write("p.avi", &built.bytes);
    let pipeline = paused(&push(&path), true);
    for n in [100, 20, 149, 0] {
        let got = seek(
            &pipeline,
            1.0,
            gst::SeekFlags::ACCURATE,
            frame_time(n) + 5,
            None,
        );
        assert_eq!(numbers(&got, &all), (n as usize..150).collect::<Vec<_>>());
        assert_eq!(got[0].0, frame_time(n));
    }
    let flags = gst::SeekFlags::FLUSH;
    let set = gst::SeekType::Set;
    let zero = gst::ClockTime::ZERO;
    assert!(pipeline.0.seek(-1.0, flags, set, zero, set, zero).is_err());
}

#[test]
fn a_seek_ahead_in_a_stream_reads_the_index_and_not_what_is_between() {
    let scratch = Scratch::new();
    let content = pieces(2000, None);
    let all = pictures(&content);
    for index in [
        IndexKind::Old,
        IndexKind::OldAbsolute,
        IndexKind::OpenDml,
        IndexKind::None,
    ] {
        let file = File {
            index,
            ..File::default()
        };
        let bytes = file.build(&content).bytes;
        let path = scratch.write("p.avi", &bytes);
        // Nothing is read ahead, or all would be known before the seek.
        let pipeline = Pipeline::launch(&format!(
            "filesrc blocksize=1777 location={} ! identity name=i ! avimjpegdemux name=d d.video_0 \
             ! appsink name=v sync=false max-buffers=1",
            path.display()
        ));
        let read = Arc::new(AtomicUsize::new(0));
        let count = read.clone();
        let pad = pipeline.element("i").static_pad("src").expect("it has one");
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let size = info.buffer().map_or(0, |buffer| buffer.size());
            count.fetch_add(size, Ordering::Relaxed);
            gst::PadProbeReturn::Ok
        });
        pipeline.0.set_state(gst::State::Paused).expect("pauses");
        pipeline.0.state(HANG).0.expect("prerolls");
        for n in [1900, 1000, 1950] {
            read.store(0, Ordering::Relaxed);
            let flags = gst::SeekFlags::ACCURATE;
            let got = seek(&pipeline, 1.0, flags, frame_time(n) + 5, None);
            assert_eq!(numbers(&got, &all), (n as usize..2000).collect::<Vec<_>>());
            assert_eq!(got[0].0, frame_time(n));
            let read = read.load(Ordering::Relaxed);
            let rest = bytes.len() * (2000 - n as usize) / 2000;
            assert!(
                read < rest + bytes.len() / 4 || (index == IndexKind::None && n == 1900),
                "{read} of {} bytes for frame {n}",
                bytes.len()
            );
        }
        assert_eq!(pipeline.error(), None);
    }
}

#[test]
fn a_seek_ahead_in_a_stream_does_not_believe_a_wrong_index() {
    let scratch = Scratch::new();
    let content = pieces(600, None);
    let all = pictures(&content);
    let mut bytes = File::default().build(&content).bytes;
    let index = bytes.windows(4).rposition(|four| four == b"idx1");
    let index = index.expect("the file has one") + 8;
    for entry in bytes[index..].chunks_exact_mut(16) {
        entry[8] ^= 0x55;
    }
    let path = scratch.write("w.avi", &bytes);
    let pipeline = Pipeline::launch(&format!(
        "{} d.video_0 ! appsink name=v sync=false max-buffers=1",
        push(&path)
    ));
    pipeline.0.set_state(gst::State::Paused).expect("pauses");
    pipeline.0.state(HANG).0.expect("prerolls");
    let flags = gst::SeekFlags::ACCURATE;
    let got = seek(&pipeline, 1.0, flags, frame_time(500) + 5, None);
    assert_eq!(numbers(&got, &all), (500..600).collect::<Vec<_>>());
    assert_eq!(got[0].0, frame_time(500));
}

/// The index is gone to first; the pictures that it promises are not where it says, and the source goes nowhere any more.
#[test]
fn a_source_that_no_longer_goes_where_it_could_is_one_error() {
    let content = pieces(600, None);
    let mut bytes = File::default().build(&content).bytes;
    let index = bytes.windows(4).rposition(|four| four == b"idx1");
    let index = index.expect("the file has one") + 8;
    for entry in bytes[index..].chunks_exact_mut(16) {
        entry[8] ^= 0x55;
    }
    let pipeline = Pipeline::launch(
        "appsrc name=s stream-type=seekable ! queue ! avimjpegdemux name=d \
         d.video_0 ! appsink name=v sync=false max-buffers=1",
    );
    let source: gst_app::AppSrc = pipeline.element("s").downcast().expect("an appsrc");
    source.set_size(bytes.len() as i64);
    let place = Arc::new(AtomicUsize::new(0));
    let went = Arc::new(AtomicUsize::new(0));
    let (to, times) = (place.clone(), went.clone());
    source.set_callbacks(
        gst_app::AppSrcCallbacks::builder()
            .need_data(move |source, _| {
                let from = place.load(Ordering::SeqCst);
                let piece = bytes[from..].chunks(1777).next();
                let _ = match piece {
                    Some(piece) => {
                        place.store(from + piece.len(), Ordering::SeqCst);
                        source.push_buffer(gst::Buffer::from_slice(piece.to_vec()))
                    }
                    None => source.end_of_stream(),
                };
            })
            .seek_data(move |_, position| {
                let goes = position == 0 || times.fetch_add(1, Ordering::SeqCst) == 0;
                if goes {
                    to.store(position as usize, Ordering::SeqCst);
                }
                goes
            })
            .build(),
    );
    pipeline.0.set_state(gst::State::Paused).expect("pauses");
    pipeline.0.state(HANG).0.expect("prerolls");
    let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
    let target = gst::ClockTime::from_nseconds(frame_time(500) + 5);
    pipeline
        .0
        .seek_simple(flags, target)
        .expect("it goes to the index");
    let bus = pipeline.0.bus().expect("a bus");
    let error = bus.timed_pop_filtered(HANG, &[gst::MessageType::Error]);
    let error = error.expect("it says so");
    let gst::MessageView::Error(error) = error.view() else {
        unreachable!("nothing else was asked for");
    };
    let text = error.error().to_string();
    assert!(text.contains("does not go to byte"), "{text}");
    assert!(went.load(Ordering::SeqCst) > 1);
    pipeline
        .0
        .set_state(gst::State::Ready)
        .expect("it goes down");
    let others: Vec<_> =
        std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Error])).collect();
    assert!(others.is_empty(), "{others:?}");
}

#[test]
fn a_stream_that_cannot_seek_plays_on_when_asked_to() {
    let (built, pieces) = file_of(150, IndexKind::Old);
    let pipeline = Pipeline::launch(&format!(
        "appsrc name=s ! avimjpegdemux name=d d.video_0 ! {SINK} name=v"
    ));
    let source: gst_app::AppSrc = pipeline.element("s").downcast().expect("an appsrc");
    pipeline.0.set_state(gst::State::Paused).expect("pauses");
    let buffer = gst::Buffer::from_slice(built.bytes);
    source.push_buffer(buffer).expect("it flows");
    source.end_of_stream().expect("it ends");
    pipeline.0.state(HANG).0.expect("prerolls");
    let to = gst::ClockTime::SECOND;
    assert!(pipeline.0.seek_simple(gst::SeekFlags::FLUSH, to).is_err());
    pipeline.play();
    let got = frames(&appsink(&pipeline, "v"));
    check_video(&got, &pictures(&pieces));
}

#[test]
fn answers_queries() {
    let scratch = Scratch::new();
    let (built, _) = file_of(150, IndexKind::Old);
    let path = scratch.write("q.avi", &built.bytes);
    for source in [pull(&path), push(&path)] {
        let pipeline = paused(&source, true);
        let pad = pipeline.element("d").static_pad("video_0").expect("a pad");
        assert_eq!(
            pad.query_duration::<gst::format::Default>().map(|d| *d),
            Some(150)
        );
        let audio = pipeline.element("d").static_pad("audio_0").expect("a pad");
        assert_eq!(
            audio.query_duration::<gst::format::Bytes>().map(|d| *d),
            Some(150 * 1068)
        );
        assert_eq!(
            pad.query_duration::<gst::ClockTime>().map(|d| d.nseconds()),
            Some(frame_time(150).max(150 * 1068 * 1_000_000_000 / 32000))
        );
        let time = pad.query_convert::<Option<gst::ClockTime>>(gst::format::Default::from_u64(30));
        assert_eq!(time.flatten().map(|t| t.nseconds()), Some(frame_time(30)));
        let mut query = gst::query::Seeking::new(gst::Format::Time);
        assert!(pad.query(&mut query));
        assert!(query.result().0);
        pipeline.play();
        frames(&appsink(&pipeline, "v"));
        assert_eq!(
            pad.query_position::<gst::ClockTime>().map(|d| d.nseconds()),
            Some(frame_time(150))
        );
        assert_eq!(
            pad.query_position::<gst::format::Default>().map(|d| *d),
            Some(150)
        );
    }
}

#[test]
fn a_long_search_tells_how_far_it_is() {
    let scratch = Scratch::new();
    // More than 32 MiB, no index, and so many frames that the first look does
    // not reach the end.
    let mut content = Vec::new();
    let frame = picture(1, 1600);
    for _ in 0..26_000 {
        content.push(Piece::Video(frame.clone()));
    }
    // The rest lies behind what is looked at first.
    for n in 0..200 {
        content.push(Piece::Video(picture(n, 200_000)));
    }
    let file = File {
        index: IndexKind::None,
        ..File::default()
    };
    let path = scratch.write("l.avi", &file.build(&content).bytes);
    let pipeline = paused(&pull(&path), false);
    let got = seek(
        &pipeline,
        1.0,
        gst::SeekFlags::ACCURATE,
        frame_time(26_100),
        None,
    );
    assert_eq!(got.len(), 100);
    let bus = pipeline.0.bus().expect("a bus");
    let kinds: Vec<_> = std::iter::from_fn(|| bus.pop())
        .filter_map(|m| match m.view() {
            gst::MessageView::Progress(p) => Some(p.get().0),
            _ => None,
        })
        .collect();
    assert_eq!(kinds.first(), Some(&gst::ProgressType::Start), "{kinds:?}");
    assert_eq!(
        kinds.last(),
        Some(&gst::ProgressType::Complete),
        "{kinds:?}"
    );
    let duration = pipeline.0.query_duration::<gst::ClockTime>();
    assert_eq!(duration.map(|d| d.nseconds()), Some(frame_time(26_200)));
}

#[test]
fn pads_that_are_not_linked_do_not_matter() {
    let scratch = Scratch::new();
    let (built, pieces) = file_of(60, IndexKind::Old);
    let path = scratch.write("u.avi", &built.bytes);
    for source in [pull(&path), push(&path)] {
        check_video(&play(&source, "video_0").0, &pictures(&pieces));
        let sound: usize = play(&source, "audio_0").0.iter().map(|f| f.2.len()).sum();
        assert_eq!(sound, 60 * 1068);
    }
}

#[test]
fn a_file_of_which_nothing_is_linked_says_so() {
    let scratch = Scratch::new();
    let (built, _) = file_of(60, IndexKind::Old);
    let path = scratch.write("n.avi", &built.bytes);
    let error = Pipeline::launch(&pull(&path))
        .run()
        .expect_err("nothing is linked");
    assert!(
        error.contains("None of the file's streams is linked"),
        "{error}"
    );
}

/// The errors until the task has ended.
fn errors(pipeline: &Pipeline) -> Vec<String> {
    pipeline.play();
    let bus = pipeline.0.bus().expect("a bus");
    let demuxer = pipeline.element("d");
    let sink = demuxer.static_pad("sink").expect("a pad");
    crate::common::until("the task to stop", || {
        sink.task_state() != gst::TaskState::Started
    });
    // It pauses first and tells why behind that. In READY it is over, and messages are still there.
    pipeline
        .0
        .set_state(gst::State::Ready)
        .expect("it goes down");
    let messages = std::iter::from_fn(|| bus.pop());
    messages
        .filter_map(|message| match message.view() {
            gst::MessageView::Error(error) => Some(error.error().to_string()),
            _ => None,
        })
        .collect()
}

#[test]
fn an_element_that_fails_without_a_word_is_told_of() {
    let scratch = Scratch::new();
    let (built, _) = file_of(60, IndexKind::Old);
    let path = scratch.write("f.avi", &built.bytes);
    let silent = Pipeline::launch(&format!("{} d.video_0 ! appsink name=s", pull(&path)));
    let fails = |_: &gst_app::AppSink| Err(gst::FlowError::Error);
    appsink(&silent, "s").set_callbacks(
        gst_app::AppSinkCallbacks::builder()
            .new_sample(fails)
            .build(),
    );
    let told = errors(&silent);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("does not say why"), "{told:?}");
    // Who says why says it alone.
    let speaks = Pipeline::launch(&format!(
        "{} d.video_0 ! identity error-after=3 ! fakesink sync=false",
        pull(&path)
    ));
    let told = errors(&speaks);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(!told[0].contains("does not say why"), "{told:?}");
}

#[test]
fn sound_that_ends_early_holds_nobody_up() {
    let scratch = Scratch::new();
    // A second of sound, then ten of pictures alone; small queues.
    let mut content = pieces(30, Some(1068));
    content.extend(pieces(300, None));
    let file = File {
        audio: Some((16000, 1)),
        ..File::default()
    };
    let path = scratch.write("e.avi", &file.build(&content).bytes);
    for source in [pull(&path), push(&path)] {
        Pipeline::launch(&format!(
            "{source} d.video_0 ! queue max-size-buffers=5 ! fakesink sync=false \
             d.audio_0 ! queue max-size-buffers=5 ! fakesink sync=false"
        ))
        .run()
        .expect("plays");
    }
}

/// Two flashes with a bang each, at 0.4 and 1.4 s, recorded, and played by sinks that wait for the
/// time of what they show.
#[test]
fn sound_and_pictures_play_in_step() {
    const FLASHES: [u64; 2] = [10, 35];
    let scratch = Scratch::new();
    for profile in ["standard", "k210"] {
        let path = scratch.path("flash.avi");
        let pipeline = Pipeline::launch(&format!(
            "appsrc name=v format=time \
             caps=video/x-raw,format=GRAY8,width=320,height=240,framerate=25/1 ! \
             videoconvert ! jpegenc ! m. \
             appsrc name=a format=time \
             caps=audio/x-raw,format=S16LE,rate=8000,channels=1,layout=interleaved ! m.audio_0 \
             avimjpegmux name=m profile={profile} ! filesink location={}",
            path.display()
        ));
        let source = |name: &str| -> gst_app::AppSrc {
            pipeline.element(name).downcast().expect("an appsrc")
        };
        let (video, audio) = (source("v"), source("a"));
        let piece = |bytes: Vec<u8>, n: u64| {
            let mut buffer = gst::Buffer::from_slice(bytes);
            let inside = buffer.get_mut().expect("a buffer of ours");
            inside.set_pts(n * gst::ClockTime::from_mseconds(40));
            inside.set_duration(gst::ClockTime::from_mseconds(40));
            buffer
        };
        for n in 0..50 {
            let flash = FLASHES.contains(&n);
            let picture = vec![if flash { 235 } else { 16 }; 320 * 240];
            let mut sound = vec![0; 320 * 2];
            if flash {
                sound[..2].copy_from_slice(&30_000_i16.to_le_bytes());
            }
            video.push_buffer(piece(picture, n)).expect("pushed");
            audio.push_buffer(piece(sound, n)).expect("pushed");
        }
        video.end_of_stream().expect("ends");
        audio.end_of_stream().expect("ends");
        pipeline.run().expect("records");

        let pipeline = Pipeline::launch(&format!(
            "{} d.video_0 ! queue ! jpegdec ! videoconvert ! video/x-raw,format=GRAY8 ! \
             appsink name=v d.audio_0 ! queue ! audioconvert ! appsink name=a",
            pull(&path)
        ));
        pipeline.play();
        // When a sink shows what: by the clock and by the file.
        let seen = |name: &'static str, loud: fn(&[u8]) -> Option<usize>| {
            let (sink, pipeline) = (appsink(&pipeline, name), pipeline.0.clone());
            std::thread::spawn(move || {
                let mut seen = Vec::new();
                for sample in crate::common::samples(&sink) {
                    let now = pipeline.current_running_time().expect("it plays");
                    let buffer = sample.buffer().expect("a buffer");
                    let start = buffer.pts().expect("a timestamp");
                    assert!(now >= start, "{name}: {start} is shown at {now}");
                    let bytes = buffer.map_readable().expect("readable");
                    if let Some(place) = loud(&bytes) {
                        seen.push(
                            (start + place as u64 * gst::ClockTime::from_useconds(125)).mseconds(),
                        );
                    }
                }
                seen
            })
        };
        let flashes = seen("v", |picture| (picture[0] > 128).then_some(0));
        let bangs = seen("a", |sound| {
            let mut samples = sound.chunks_exact(2);
            samples.position(|sample| i16::from_le_bytes([sample[0], sample[1]]) > 15_000)
        });
        assert_eq!(flashes.join().expect("plays"), [400, 1400], "{profile}");
        assert_eq!(bangs.join().expect("plays"), [400, 1400], "{profile}");
    }
}

#[test]
fn a_hundred_times_up_and_down() {
    let scratch = Scratch::new();
    let (built, _) = file_of(40, IndexKind::Old);
    let path = scratch.write("c.avi", &built.bytes);
    for source in [pull(&path), push(&path)] {
        let pipeline = Pipeline::launch(&format!(
            "{source} queue name=v ! fakesink sync=false queue name=a ! fakesink sync=false"
        ));
        let (seen, times) = std::sync::mpsc::channel();
        let input = |name: &str| pipeline.element(name).static_pad("sink").expect("a pad");
        input("v").add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let _ = seen.send(info.buffer().and_then(|buffer| buffer.pts()));
            gst::PadProbeReturn::Ok
        });
        // Links that gst-launch makes are made but once.
        let (video, audio) = (input("v"), input("a"));
        pipeline.element("d").connect_pad_added(move |_, pad| {
            let to = if pad.name().starts_with("video") {
                &video
            } else {
                &audio
            };
            pad.link(to).expect("links");
        });
        let stop = [gst::State::Ready, gst::State::Null];
        let hang = std::time::Duration::from_nanos(HANG.nseconds());
        for n in 0..100 {
            while times.try_recv().is_ok() {}
            pipeline.play();
            let first = times.recv_timeout(hang).expect("a frame");
            assert_eq!(first, Some(gst::ClockTime::ZERO), "the {n}th time");
            pipeline.0.set_state(stop[n % 2]).expect("stops");
            assert_eq!(pipeline.element("d").src_pads().len(), 0);
        }
        pipeline.run().expect("plays to the end");
    }
}

/// A file of 25 frames a second of whose frames every third has a picture; the rest are empty.
fn slow_camera() -> (Vec<u8>, Vec<Vec<u8>>) {
    let all: Vec<_> = (0..90).map(|n| picture(n, 700)).collect();
    let content: Vec<_> = (0..90)
        .map(|n| match n % 3 {
            0 => Piece::Video(all[n].clone()),
            _ => Piece::Video(Vec::new()),
        })
        .collect();
    let file = File {
        scale: 1,
        rate: 25,
        interval: 40_000,
        ..File::default()
    };
    (file.build(&content).bytes, all)
}

/// The pictures of a source that stands still at the first one, one at a time.
fn on_screen(source: &str) -> (Pipeline, gst_app::AppSink) {
    let pipeline = standing(&format!(
        "{source} d.video_0 ! appsink name=v sync=true max-buffers=1"
    ));
    let sink = appsink(&pipeline, "v");
    (pipeline, sink)
}

#[test]
fn a_paused_seek_shows_what_is_on_screen() {
    const FRAME: u64 = 40_000_000;
    let scratch = Scratch::new();
    let (bytes, all) = slow_camera();
    let path = scratch.write("slow.avi", &bytes);
    for (source, pulls) in [(pull(&path), true), (push(&path), false)] {
        let (pipeline, sink) = on_screen(&source);
        for n in [40_u64, 5, 77, 88, 1, 120] {
            let on_screen = (n / 3 * 3).min(87);
            for flags in [
                gst::SeekFlags::ACCURATE,
                gst::SeekFlags::KEY_UNIT,
                gst::SeekFlags::KEY_UNIT | gst::SeekFlags::SNAP_BEFORE,
            ] {
                let at = gst::ClockTime::from_nseconds(n * FRAME + 3);
                pipeline
                    .0
                    .seek_simple(flags | gst::SeekFlags::FLUSH, at)
                    .expect("seeks");
                pipeline.0.state(HANG).0.expect("prerolls");
                let sample = sink.try_pull_preroll(HANG);
                let sample = sample.unwrap_or_else(|| panic!("no picture at {n}, {flags:?}"));
                let buffer = sample.buffer().expect("a buffer");
                let picture = buffer.map_readable().expect("readable").to_vec();
                assert!(picture == all[on_screen as usize], "{n} {flags:?} {pulls}");
                assert_eq!(
                    buffer.pts().map(|pts| pts.nseconds()),
                    Some(on_screen * FRAME)
                );
                let segment = sample.segment().expect("a segment");
                let segment = segment.downcast_ref::<gst::ClockTime>().expect("in time");
                let (start, end) = (buffer.pts(), buffer.pts().zip(buffer.duration()));
                let end = end.map(|(pts, duration)| pts + duration);
                assert!(segment.clip(start, end).is_some(), "{n} {flags:?} {pulls}");
                if flags.contains(gst::SeekFlags::KEY_UNIT) && n < 90 {
                    assert_eq!(segment.start(), start, "{n} {pulls}");
                }
            }
            if pulls {
                // Backward, what is on screen at the end of the segment.
                let stop = gst::ClockTime::from_nseconds((n * FRAME + 3).min(90 * FRAME));
                let (set, zero) = (gst::SeekType::Set, gst::ClockTime::ZERO);
                let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
                pipeline
                    .0
                    .seek(-1.0, flags, set, zero, set, stop)
                    .expect("seeks");
                pipeline.0.state(HANG).0.expect("prerolls");
                let sample = sink.try_pull_preroll(HANG).expect("a picture");
                let pts = sample.buffer().and_then(|buffer| buffer.pts());
                assert_eq!(pts.map(|pts| pts.nseconds()), Some(on_screen * FRAME));
            }
        }
    }
}

#[test]
fn a_key_unit_seek_to_a_picture_that_is_destroyed_begins_with_one_that_is_not() {
    const FRAME: u64 = 40_000_000;
    let scratch = Scratch::new();
    let all: Vec<_> = (0..90).map(|n| picture(n, 700)).collect();
    let content: Vec<_> = all.iter().cloned().map(Piece::Video).collect();
    let file = File {
        scale: 1,
        rate: 25,
        interval: 40_000,
        ..File::default()
    };
    let mut built = file.build(&content);
    let lost = [20, 30, 31, 32, 33];
    for n in lost {
        built.bytes[built.at[n as usize] + 8..built.at[n as usize + 1]].fill(5);
    }
    let is_there = |n: &u64| !lost.contains(n);
    let path = scratch.write("lost.avi", &built.bytes);
    for (source, pulls) in [(pull(&path), true), (push(&path), false)] {
        let (pipeline, sink) = on_screen(&source);
        let shown = || {
            pipeline.0.state(HANG).0.expect("prerolls");
            let sample = sink.try_pull_preroll(HANG).expect("a picture");
            let buffer = sample.buffer().expect("a buffer");
            let pts = buffer.pts().expect("a timestamp");
            let n = (pts.nseconds() / FRAME) as usize;
            assert!(*buffer.map_readable().expect("readable") == all[n][..]);
            let segment = sample.segment().expect("a segment").clone();
            let segment = segment.downcast::<gst::ClockTime>().expect("in time");
            (pts, segment)
        };
        for n in [33_u64, 20, 31] {
            let before = (0..=n).rev().find(is_there).expect("there is one") * FRAME;
            let after = (n..90).find(is_there).expect("there is one") * FRAME;
            let at = n * FRAME + 3;
            let nearest = match after - at < at - before {
                true => after,
                false => before,
            };
            for (snap, first) in [
                (gst::SeekFlags::empty(), before),
                (gst::SeekFlags::SNAP_BEFORE, before),
                (gst::SeekFlags::SNAP_AFTER, after),
                (gst::SeekFlags::SNAP_NEAREST, nearest),
            ] {
                let flags = gst::SeekFlags::KEY_UNIT | gst::SeekFlags::FLUSH | snap;
                let to = gst::ClockTime::from_nseconds(at);
                pipeline.0.seek_simple(flags, to).expect("seeks");
                let (pts, segment) = shown();
                assert_eq!(pts.nseconds(), first, "{n} {snap:?} {pulls}");
                assert_eq!(segment.start(), Some(pts), "{n} {snap:?} {pulls}");
                assert_eq!(segment.time(), Some(pts), "{n} {snap:?} {pulls}");
                if pulls {
                    // Backward, what is on screen then is played whole, or begins behind it.
                    let stop = match snap {
                        gst::SeekFlags::SNAP_AFTER => before,
                        gst::SeekFlags::SNAP_NEAREST => nearest,
                        _ => after,
                    };
                    let (set, zero) = (gst::SeekType::Set, gst::ClockTime::ZERO);
                    let seek = pipeline.0.seek(-1.0, flags, set, zero, set, to);
                    seek.expect("seeks");
                    let (pts, segment) = shown();
                    assert_eq!(segment.stop().map(|it| it.nseconds()), Some(stop));
                    let last = (0..stop / FRAME).rev().find(is_there);
                    assert_eq!(Some(pts.nseconds() / FRAME), last, "{n} {snap:?}");
                }
            }
        }
        assert_eq!(pipeline.error(), None);
    }
}

/// As a player that keeps the end of a loop and seeks behind it.
#[test]
fn a_seek_that_cannot_be_changes_nothing() {
    let scratch = Scratch::new();
    let (built, _) = file_of(150, IndexKind::Old);
    let path = scratch.write("r.avi", &built.bytes);
    for source in [pull(&path), push(&path)] {
        let pipeline = paused(&source, false);
        let flags = gst::SeekFlags::ACCURATE;
        let got = seek(&pipeline, 1.0, flags, frame_time(10), Some(frame_time(20)));
        assert_eq!(got.len(), 10);
        let position = || pipeline.0.query_position::<gst::ClockTime>();
        assert!(position().is_some());
        let (set, none) = (gst::SeekType::Set, gst::SeekType::None);
        let behind = gst::ClockTime::from_nseconds(frame_time(100));
        let flags = flags | gst::SeekFlags::FLUSH;
        let refused = pipeline
            .0
            .seek(1.0, flags, set, behind, none, gst::ClockTime::NONE);
        assert!(refused.is_err(), "{source}");
        assert!(position().is_some(), "{source}");
        let got = seek(
            &pipeline,
            1.0,
            gst::SeekFlags::ACCURATE,
            frame_time(100),
            None,
        );
        assert_eq!(got.len(), 50, "{source}");
    }
}

#[test]
fn at_the_end_of_a_stream_its_duration_is_what_came() {
    let scratch = Scratch::new();
    let (built, _) = file_of(30, IndexKind::None);
    let mut bytes = built.bytes;
    for (name, field) in [(b"avih", 16), (b"strh", 32)] {
        let at = bytes
            .windows(4)
            .position(|w| w == name)
            .expect("it is there")
            + 8
            + field;
        bytes[at..at + 4].copy_from_slice(&12_760_u32.to_le_bytes());
    }
    let path = scratch.write("e.avi", &bytes);
    let pipeline = Pipeline::launch(&format!("{} d.video_0 ! {SINK} name=v", push(&path)));
    pipeline.play();
    assert_eq!(frames(&appsink(&pipeline, "v")).len(), 30);
    let bus = pipeline.0.bus().expect("a bus");
    let changed = bus.pop_filtered(&[gst::MessageType::DurationChanged]);
    assert!(changed.is_some());
    let duration = pipeline.0.query_duration::<gst::ClockTime>();
    let expected = frame_time(30).max(30 * 1068 * 1_000_000_000 / 32_000);
    assert_eq!(duration.map(gst::ClockTime::nseconds), Some(expected));
}

/// As GStreamer's own tests of `splitmuxsrc` have it: played to the end, from amid a part and backward.
#[test]
fn splitmuxsrc_plays_the_parts_of_a_recording() {
    const FRAME: u64 = 50_000_000;
    let scratch = Scratch::new();
    let parts = scratch.path("part%02d.avi");
    Pipeline::launch(&format!(
        "splitmuxsink name=split muxer=avimjpegmux max-size-time=1000000000 location={} \
         videotestsrc num-buffers=60 ! video/x-raw,width=80,height=64,framerate=20/1 ! \
         jpegenc ! split.video audiotestsrc num-buffers=60 samplesperbuffer=400 ! \
         audio/x-raw,format=S16LE,rate=8000,channels=1 ! queue ! split.audio_0",
        parts.display()
    ))
    .run()
    .expect("it is recorded");
    let source = format!(
        "splitmuxsrc name=d location={}",
        scratch.path("part*.avi").display()
    );
    let pipeline = paused(&source, true);
    let duration = pipeline.0.query_duration::<gst::ClockTime>();
    assert_eq!(duration, Some(gst::ClockTime::from_seconds(3)));
    let play = |rate, start: u64, stop: Option<u64>| -> (Vec<u64>, usize) {
        let shown = seek(&pipeline, rate, gst::SeekFlags::ACCURATE, start, stop);
        // Its timestamps begin at 1000 s, and its segments with them.
        let earliest = 1000 * 1_000_000_000;
        let times = shown.iter().map(|f| (f.0 - earliest) / FRAME).collect();
        let sound = frames(&appsink(&pipeline, "a"));
        (times, sound.iter().map(|f| f.2.len()).sum())
    };
    assert_eq!(play(1.0, 0, None), ((0..60).collect(), 60 * 800));
    assert_eq!(play(1.0, 30 * FRAME, None), ((30..60).collect(), 30 * 800));
    let (times, sound) = play(-1.0, 0, Some(60 * FRAME));
    assert_eq!((times, sound), ((0..60).rev().collect(), 60 * 800));
}

#[test]
fn the_duration_is_known_before_the_pads_are() {
    let scratch = Scratch::new();
    let (built, _) = file_of(60, IndexKind::Old);
    let path = scratch.write("d.avi", &built.bytes);
    for source in [pull(&path), push(&path)] {
        let pipeline = Pipeline::launch(&format!("{source} ! fakesink"));
        let (tell, told) = std::sync::mpsc::channel();
        pipeline.element("d").connect_pad_added(move |_, pad| {
            let duration = pad.query_duration::<gst::ClockTime>();
            let _ = tell.send(duration.map(|duration| duration.nseconds()));
        });
        pipeline.run().expect("plays");
        let durations: Vec<_> = told.try_iter().collect();
        let expected = frame_time(60).max(60 * 1068 * 1_000_000_000 / 32_000);
        assert_eq!(durations, [Some(expected); 2]);
    }
}

#[test]
fn files_that_are_mostly_nothing_are_left_at_once_when_asked() {
    let scratch = Scratch::new();
    let (built, _) = file_of(2, IndexKind::None);
    let head = &built.bytes[..built.at[0]];
    let zeros = [head, &vec![0; 40 << 20]].concat();
    let flood = [head, &[0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2].repeat(1 << 19)].concat();
    for bytes in [zeros, flood] {
        let path = scratch.write("n.avi", &bytes);
        for source in [pull(&path), push(&path)] {
            let pipeline = Pipeline::launch(&format!("{source} ! fakesink"));
            pipeline.0.set_state(gst::State::Playing).expect("starts");
            // Amid the search.
            let begun = std::time::Instant::now();
            pipeline.0.set_state(gst::State::Null).expect("stops");
            assert!(begun.elapsed().as_nanos() < u128::from(HANG.nseconds()));
            // And to the end.
            let _ = pipeline.run();
        }
    }
}

#[test]
fn coded_sound_has_its_own_caps() {
    let scratch = Scratch::new();
    let content = pieces(20, Some(256));
    let file = File {
        audio: Some((8000, 1)),
        info: vec![(b"IDIT", "Sat Nov 28 17:30:03 2026")],
        ..File::default()
    };
    let bytes = file.build(&content).bytes;
    let format = bytes
        .windows(4)
        .enumerate()
        .filter(|(_, four)| four == b"strf")
        .nth(1)
        .expect("it is there")
        .0
        + 8;
    for (tag, align, caps) in [
        (7_u16, 1_u16, "audio/x-mulaw,rate=8000,channels=1"),
        (6, 1, "audio/x-alaw,rate=8000,channels=1"),
        (
            0x11,
            256,
            "audio/x-adpcm,rate=8000,channels=1,layout=dvi,block_align=256",
        ),
        (
            2,
            256,
            "audio/x-adpcm,rate=8000,channels=1,layout=microsoft,block_align=256",
        ),
    ] {
        let mut bytes = bytes.clone();
        bytes[format..format + 2].copy_from_slice(&tag.to_le_bytes());
        bytes[format + 12..format + 14].copy_from_slice(&align.to_le_bytes());
        let path = scratch.write("c.avi", &bytes);
        for source in [pull(&path), push(&path)] {
            let pipeline = Pipeline::launch(&format!("{source} d.audio_0 ! {SINK} name=a"));
            pipeline.play();
            let sink = appsink(&pipeline, "a");
            let got: usize = frames(&sink).iter().map(|frame| frame.2.len()).sum();
            assert_eq!(got, 20 * 256);
            let got = sink.static_pad("sink").and_then(|pad| pad.current_caps());
            let expected = caps.parse::<gst::Caps>().expect("caps");
            assert!(got.is_some_and(|got| got == expected), "{caps}");
            let pad = sink.static_pad("sink").expect("a pad");
            let tags = (0..)
                .map_while(|n| pad.sticky_event::<gst::event::Tag>(n))
                .find_map(|event| Some(event.tag().get::<gst::tags::DateTime>()?.get()));
            let date = tags.and_then(|date| date.to_iso8601_string().ok());
            assert!(
                date.as_ref()
                    .is_some_and(|date| date.starts_with("2026-11-28T17:30")),
                "{date:?}"
            );
        }
    }
}

/// What ffmpeg writes beside Motion JPEG is decoded, each codec by its element, as ffmpeg decodes it or
/// as it is out of a file of ffmpeg's that has it alone.
#[test]
fn coded_sound_of_ffmpegs_files_is_heard() {
    let scratch = Scratch::new();
    for (encoder, rate, decoder) in [
        ("libmp3lame", "44100", "mpegaudioparse ! avdec_mp3"),
        ("pcm_mulaw", "8000", "mulawdec"),
        ("pcm_alaw", "8000", "alawdec"),
        ("adpcm_ima_wav", "22050", "adpcmdec"),
        ("adpcm_ms", "22050", "adpcmdec"),
    ] {
        let path = scratch.path(&format!("{encoder}.avi"));
        crate::common::output(
            Command::new("ffmpeg")
                .args(["-v", "error", "-t", "2", "-i"])
                .arg(crate::common::footage())
                .args(["-c:v", "mjpeg", "-q:v", "9", "-ac", "1", "-ar", rate])
                .args(["-c:a", encoder])
                .arg(&path),
        );
        let raw = scratch.path("raw");
        let copied = scratch.path("copied.wav");
        let by_ffmpeg = |options: &[&str], to: &Path| {
            crate::common::output(
                Command::new("ffmpeg")
                    .args(["-v", "error", "-y", "-i"])
                    .arg(&path)
                    .args(["-map", "0:a"])
                    .args(options)
                    .arg(to),
            );
        };
        if decoder == "adpcmdec" {
            // ffmpeg 9 rounds its steps otherwise than GStreamer: decoded by this one, out of a WAV.
            by_ffmpeg(&["-c", "copy"], &copied);
            let decode = Pipeline::launch(&format!(
                "filesrc location={} ! wavparse ! {decoder} ! audioconvert ! audio/x-raw,format=S16LE \
                 ! filesink location={}",
                copied.display(),
                raw.display()
            ));
            decode.run().expect("it decodes");
        } else {
            by_ffmpeg(&["-f", "s16le"], &raw);
        }
        let samples = |bytes: Vec<u8>| -> Vec<i16> {
            let pairs = bytes.as_chunks::<2>().0;
            pairs.iter().map(|pair| i16::from_le_bytes(*pair)).collect()
        };
        let expected = samples(std::fs::read(&raw).expect("ffmpeg's samples"));
        for source in [pull(&path), push(&path)] {
            let pipeline = Pipeline::launch(&format!(
                "{source} d.audio_0 ! {decoder} ! audioconvert ! audio/x-raw,format=S16LE \
                 ! {SINK} name=a"
            ));
            pipeline.play();
            let got = frames(&appsink(&pipeline, "a"));
            let got = samples(got.into_iter().flat_map(|frame| frame.2).collect());
            assert!(got.len() * 100 >= expected.len() * 97, "{encoder}");
            // An encoder's delay may be cut off by one of the two only.
            let off = |got: &[i16]| {
                let pairs = got.iter().zip(&expected);
                pairs.map(|(got, expected)| got.abs_diff(*expected)).max()
            };
            let is_it = |shift: &usize| off(&got[*shift..]).is_some_and(|off| off <= 8);
            assert!((0..3000).any(|shift| is_it(&shift)), "{encoder}");
        }
    }
}
