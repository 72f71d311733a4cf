// SPDX-License-Identifier: MIT OR Apache-2.0
//! Cameras that do not keep to what their caps say: each frame that comes is in the file, at its
//! time, or is told of.

use std::path::Path;
use std::process::Command;

use gst::prelude::*;

use super::Random;
use super::rig::*;
use crate::common::{HANG, Pipeline, ffprobe, frames};
use crate::recordsink_cameras::jpegs;

const SECOND: u64 = 1_000_000_000;

/// A copy of a stream whose buffers have other timestamps: presentation, decoding, duration.
fn stamped(stream: &Encoded, stamp: impl Fn(&mut gst::BufferRef)) -> Encoded {
    let mut stream = stream.clone();
    for buffer in &mut stream.buffers {
        // Others have the buffer too.
        let mut copy = buffer.copy();
        stamp(copy.get_mut().expect("nobody else has it"));
        *buffer = copy;
    }
    stream
}

fn without_timestamps(stream: &Encoded) -> Encoded {
    stamped(stream, |buffer| {
        buffer.set_pts(gst::ClockTime::NONE);
        buffer.set_dts(gst::ClockTime::NONE);
        buffer.set_duration(gst::ClockTime::NONE);
    })
}

/// When the first frame of a file is shown, in seconds, as ffprobe has it.
fn start_time(path: &Path) -> f64 {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "format=start_time"])
        .args(["-of", "default=nokey=1:noprint_wrappers=1"])
        .arg(path)
        .output()
        .expect("ffprobe is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    let text = text.trim();
    text.parse()
        .unwrap_or_else(|_| panic!("{}: '{text}' is no time", path.display()))
}

#[test]
fn buffers_without_timestamps_are_counted() {
    for (encoder, name) in [
        ("jpegenc", "n.avi"),
        ("jpegenc", "n.mkv"),
        (&*x264(30, 0), "n.mp4"),
    ] {
        let mut rig = Rig::new(without_timestamps(&encoded(encoder, 100)), false);
        rig.locate(name);
        rig.sink.set_property("recording", true);
        rig.start();
        rig.push_all();
        rig.eos();
        let done = rig.finished();
        assert_eq!((done.frames, done.end), (100, Some(100 * FRAME)), "{name}");
        assert_frames(&decode(done.path(), false), 0, 99);
    }
}

#[test]
fn buffers_without_timestamps_and_rate_are_refused_at_once() {
    let mut stream = without_timestamps(&encoded("jpegenc", 100));
    let caps = stream.caps.make_mut();
    caps.set("framerate", gst::Fraction::new(0, 1));
    let rig = Rig::new(stream, false);
    rig.start();
    let refused = rig.video.push(rig.stream.buffers[0].clone());
    assert_eq!(refused, Err(gst::FlowError::Eos));
    let message = rig
        .bus()
        .timed_pop_filtered(FAILSAFE, &[gst::MessageType::Error]);
    let message = message.expect("it is an error");
    let gst::MessageView::Error(error) = message.view() else {
        panic!("{message:?}");
    };
    let text = error.error().message().to_owned();
    assert!(
        text.contains("Buffers on video have no timestamps"),
        "{text}"
    );
    // A source that does not heed it hears it, and the user does not once more.
    let refused = rig.video.push(rig.stream.buffers[1].clone());
    assert_eq!(refused, Err(gst::FlowError::Eos));
    let more = rig.bus().pop_filtered(&[gst::MessageType::Error]);
    assert!(more.is_none(), "{more:?}");
}

#[test]
fn timestamps_that_begin_anew_go_on_in_the_same_file() {
    for (stream, name) in [
        (encoded("jpegenc", 100), "r.avi"),
        (encoded("jpegenc", 100), "r.mkv"),
        (encoded(&x264(30, 2), 100), "r.mov"),
    ] {
        let mut rig = Rig::new(stream, true);
        rig.locate(name);
        rig.sink.set_property("recording", true);
        rig.start();
        rig.push(100);
        // As a camera that was plugged in again.
        rig.next = 0;
        rig.next_sample = 0;
        rig.push(100);
        rig.eos();
        let done = rig.finished();
        rig.wait_eos();
        assert_eq!(done.frames, 200, "{name}");
        let warnings = rig.warnings.lock().expect("nobody panics").clone();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("back to"), "{warnings:?}");
        let decoded = decode_picture(done.path());
        let numbers: Vec<_> = (0..100).chain(0..100).collect();
        assert_eq!(decoded.numbers(), numbers, "{name}");
        for (at, (time, _)) in decoded.frames.iter().enumerate() {
            let expected = at as u64 * FRAME;
            assert!(
                time.abs_diff(expected) <= 2_000_000,
                "{name}: {at} at {time}"
            );
        }
    }
}

#[test]
fn timestamps_that_go_back_a_little_lose_nothing() {
    let stream = encoded("jpegenc", 120);
    let mut rig = Rig::new(stream, false);
    rig.locate("b.mkv");
    rig.sink.set_property("recording", true);
    rig.start();
    rig.push(60);
    rig.next = 50;
    rig.push(20);
    rig.eos();
    let done = rig.finished();
    let decoded = decode_picture(done.path());
    let numbers: Vec<_> = (0..60).chain(50..70).collect();
    assert_eq!((done.frames, decoded.numbers()), (80, numbers));
    let times: Vec<_> = decoded
        .frames
        .iter()
        .map(|frame| frame.0 / 1_000_000)
        .collect();
    assert_eq!(times, (0..80).map(|n| n * 40).collect::<Vec<_>>());
}

#[test]
fn files_begin_at_zero_after_hours() {
    let later = gst::ClockTime::from_nseconds(5 * 3600 * SECOND);
    let x264 = encoded(&x264(30, 2), 100);
    let jpeg = encoded("jpegenc", 100);
    for (stream, name) in [
        (&x264, "h.mp4"),
        (&x264, "h.mkv"),
        (&x264, "h.mov"),
        (&x264, "h.ts"),
        (&x264, "h.flv"),
        (&jpeg, "j.avi"),
        (&jpeg, "j.mkv"),
    ] {
        let stream = stamped(stream, |buffer| {
            buffer.set_pts(buffer.pts().map(|pts| pts + later));
            buffer.set_dts(buffer.dts().map(|dts| dts + later));
        });
        let mut rig = Rig::new(stream, false);
        rig.locate(name);
        rig.start();
        rig.push(60);
        rig.trigger(None);
        rig.push(20);
        rig.finish();
        rig.push(10);
        let done = rig.finished();
        assert!(done.start >= Some(later.nseconds()), "{:?}", done.start);
        // The clock of MPEG-TS runs ahead of what is in it.
        let most = if name.ends_with("ts") { 0.25 } else { 0.2 };
        let start = start_time(done.path());
        assert!((-0.2..most).contains(&start), "{name} begins at {start} s");
    }
}

#[test]
fn another_size_begins_another_file() {
    for (name, encoder) in [
        ("s%d.avi", "jpegenc"),
        ("s%d.mkv", "jpegenc"),
        ("s%d.mp4", "x264enc"),
        ("s.mkv", "jpegenc"),
        ("s.jpg", "jpegenc"),
    ] {
        let encoder = match encoder {
            "jpegenc" => encoder.to_owned(),
            _ => x264(30, 0),
        };
        let small = encoded(&encoder, 100);
        let large = encoded(
            &format!("videoscale ! video/x-raw,width=128 ! {encoder}"),
            100,
        );
        let mut rig = Rig::new(small, false);
        rig.locate(name);
        // Nobody has asked for the first file to be overwritten by the second.
        rig.sink.set_property("overwrite", true);
        rig.sink.set_property("recording", true);
        rig.start();
        rig.push(30);
        rig.stream = large;
        rig.next = 30;
        rig.video
            .push_event(gst::event::Caps::new(&rig.stream.caps));
        // The first one may have to be a key unit.
        rig.push(31);
        rig.eos();
        let done = rig.all_finished(2);
        if name == "s.jpg" {
            let pictures = std::fs::read_dir(rig.dir.path()).expect("it is there");
            assert_eq!(pictures.count(), 61);
        } else {
            for done in &done {
                assert_sound(done.path());
            }
        }
        if name == "s.mkv" {
            assert_eq!(done[0].path(), rig.dir.path().join("s.mkv"));
            assert_eq!(done[1].path(), rig.dir.path().join("s-1.mkv"));
        }
        assert_eq!(done[0].frames, 30, "{name}");
        let skipped = stats_of(&rig, "buffers-skipped");
        assert_eq!(done[1].frames + skipped, 31, "{name}");
    }
}

#[test]
fn a_camera_that_does_not_say_its_size_is_recorded() {
    let mut stream = encoded("jpegenc", 100);
    stream.caps = gst::Caps::new_empty_simple("image/jpeg");
    for name in ["z.avi", "z.mkv", "z.mov"] {
        let mut rig = Rig::new(stream.clone(), false);
        rig.locate(name);
        rig.sink.set_property("recording", true);
        rig.start();
        rig.push_all();
        rig.eos();
        let done = rig.finished();
        assert_eq!(done.frames, 100, "{name}");
        assert_eq!(decode_picture(done.path()).frames.len(), 100, "{name}");
    }
}

/// A camera of chance: jitter, frames that are dropped, timestamps that are missing, clocks that
/// begin anew or jump. Each frame that went in is in the file, once, in order, and counted.
#[test]
fn random_cameras_lose_no_frame() {
    let (mut jpeg, mut x264) = (encoded("jpegenc", 200), encoded(&x264(12, 0), 200));
    for stream in [&mut jpeg, &mut x264] {
        // That of x264enc begins at a thousand hours.
        stream.segment = gst::FormattedSegment::<gst::ClockTime>::new().upcast();
    }
    let mut random = Random(0xca3e_ca3e_ca3e_ca3e);
    for round in 0..16 {
        let (stream, name) = match round % 8 {
            0 | 1 => (&jpeg, "c.mkv"),
            2 => (&jpeg, "c.mov"),
            3 => (&x264, "c.mov"),
            4 | 5 => (&x264, "c.mp4"),
            6 => (&x264, "c.mkv"),
            _ => (&x264, "c.ts"),
        };
        let rig = Rig::new(stream.clone(), false);
        rig.locate(name);
        rig.sink.set_property("recording", true);
        rig.start();
        let all_keys = name == "c.mkv" && round % 8 < 2 || name == "c.mov" && round % 8 == 2;
        let mut clock = random.below(3) * 3600 * SECOND;
        let mut sent = Vec::new();
        let mut breaks = 0;
        for (number, buffer) in stream.buffers.iter().enumerate() {
            if all_keys && random.below(20) == 0 {
                continue;
            }
            clock += FRAME - FRAME / 10 + random.below(FRAME / 5);
            match random.below(60) {
                0 if clock > 30 * SECOND => {
                    clock = random.below(SECOND);
                    breaks += 1;
                }
                1 => clock += random.below(8) * SECOND,
                _ => (),
            }
            let missing = random.below(20) == 0;
            let mut copy = buffer.copy();
            let it = copy.get_mut().expect("nobody else has it");
            let time = (!missing).then_some(gst::ClockTime::from_nseconds(clock));
            it.set_pts(time);
            it.set_dts(time.filter(|_| !all_keys));
            rig.video.push(copy).expect("the frame is taken");
            sent.push(number as u64);
        }
        rig.eos();
        let done = rig.finished();
        rig.wait_eos();
        assert_eq!(done.frames, sent.len() as u64, "round {round}, {name}");
        let decoded = decode_picture(done.path());
        assert_eq!(decoded.numbers(), sent, "round {round}, {name}");
        let mut times = decoded.frames.iter().map(|frame| frame.0);
        assert!(
            times.next() < Some(FRAME),
            "round {round}, {name}: it begins late"
        );
        assert!(decoded.frames.is_sorted(), "round {round}, {name}");
        let warnings = rig.warnings.lock().expect("nobody panics").clone();
        assert!(
            warnings.len() <= breaks,
            "round {round}, {name}: {breaks} breaks, {warnings:?}"
        );
    }
}

/// Sound that begins, and `frames` of it; the picture's pad is linked and silent.
fn push_sound_alone(rig: &mut Rig, frames: u64) {
    let audio = rig.audio.as_ref().expect("there is sound");
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(gst::ClockTime::ZERO);
    audio.push_event(gst::event::StreamStart::new("audio"));
    audio.push_event(gst::event::Caps::new(&raw_sound()));
    audio.push_event(gst::event::Segment::new(&segment));
    let until = frames * SAMPLES / RATE;
    while rig.next_sample < until {
        let range = rig.next_sample..rig.next_sample + 1000;
        rig.next_sample = range.end;
        audio.push(samples(range)).expect("the sound is taken");
    }
}

#[test]
fn a_picture_that_never_comes_leaves_the_sound() {
    for (name, end) in [("p.mkv", "finish"), ("p.mov", "eos"), ("p.avi", "stop")] {
        let mut rig = Rig::new(encoded("jpegenc", 200), true);
        rig.locate(name);
        rig.sink.set_property("recording", true);
        let started = rig.pipeline.set_state(gst::State::Playing);
        started.expect("the pipeline plays");
        push_sound_alone(&mut rig, 100);
        match end {
            "finish" => rig.finish(),
            "eos" => rig.eos(),
            _ => rig
                .pipeline
                .set_state(gst::State::Ready)
                .map(drop)
                .expect("it stops"),
        }
        let path = rig.path(name);
        if end != "stop" {
            assert_eq!(rig.finished().path(), Path::new(&path));
        }
        assert_sound(Path::new(&path));
        let output = Command::new("ffprobe")
            .args(["-v", "error", "-show_entries", "format=duration"])
            .args(["-of", "default=nokey=1:noprint_wrappers=1", &path])
            .output()
            .expect("ffprobe is installed");
        let text = String::from_utf8_lossy(&output.stdout);
        let seconds: f64 = text.trim().parse().expect("it has a length");
        assert!((3.9..4.1).contains(&seconds), "{name}: {seconds} s");
        let warnings = rig.warnings.lock().expect("nobody panics").clone();
        let expected = ["Nothing came on video: the recording has the sound alone"];
        assert_eq!(warnings, expected, "{name}");
    }
}

#[test]
fn a_picture_that_comes_late_is_recorded() {
    let mut rig = Rig::new(encoded("jpegenc", 200), true);
    rig.locate("l%d.mkv");
    let started = rig.pipeline.set_state(gst::State::Playing);
    started.expect("the pipeline plays");
    push_sound_alone(&mut rig, 50);
    rig.trigger(None);
    rig.finish();
    rig.finished();
    rig.trigger(None);
    rig.next = 50;
    rig.announce();
    rig.push(30);
    // The sound until then is in a file of its own.
    let done = rig.end(2);
    let numbers = decode_picture(done[1].path()).numbers();
    assert_eq!(numbers, (50..80).collect::<Vec<_>>());
}

#[test]
fn a_format_that_changes_before_the_file_is_open_is_written_as_it_was() {
    let mut rig = Rig::new(encoded(&x264(30, 0), 600), true);
    rig.sink.set_property("recording", true);
    let started = rig.pipeline.set_state(gst::State::Playing);
    started.expect("the pipeline plays");
    // The sound is linked and silent: its format is waited for.
    let push = |rig: &Rig, range: std::ops::Range<usize>| {
        rig.video
            .push_event(gst::event::Caps::new(&rig.stream.caps));
        rig.video
            .push_event(gst::event::Segment::new(&rig.stream.segment));
        for number in range {
            let buffer = rig.stream.buffers[number].clone();
            rig.video.push(buffer).expect("the frame is taken");
        }
    };
    rig.video.push_event(gst::event::StreamStart::new("video"));
    push(&rig, 0..20);
    rig.stream = encoded("jpegenc", 200);
    push(&rig, 20..40);
    let done = rig.end(2);
    assert_frames(&decode_picture(done[0].path()), 0, 19);
    assert_frames(&decode_picture(done[1].path()), 20, 39);
}

#[test]
fn pictures_begin_at_their_start_marker_and_empty_buffers_are_none() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("b.mkv");
    let caps = "image/jpeg,width=160,height=128,framerate=25/1";
    let pipeline = Pipeline::launch(&format!(
        "appsrc name=s format=time max-bytes=0 caps={caps} ! circularsink recording=true location={}",
        file.display()
    ));
    pipeline.play();
    let source: gst_app::AppSrc = pipeline.element("s").downcast().unwrap();
    let pictures = jpegs(160, 128, 30);
    let is_empty = |n: usize| n % 10 == 7;
    for (n, picture) in pictures.iter().enumerate() {
        let bytes = match is_empty(n) {
            true => Vec::new(),
            false => [b"\r\n", &picture[..]].concat(),
        };
        let mut buffer = gst::Buffer::from_slice(bytes);
        let time = gst::ClockTime::from_mseconds(40 * n as u64);
        buffer.get_mut().unwrap().set_pts(time);
        source.push_buffer(buffer).unwrap();
    }
    source.end_of_stream().unwrap();
    let bus = pipeline.0.bus().unwrap();
    let (mut told, mut counted) = (0, 0);
    loop {
        let message = bus.timed_pop(HANG).expect("it hangs");
        match message.view() {
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Error(error) => panic!("{error:?}"),
            gst::MessageView::Warning(_) => told += 1,
            _ if message.has_name("circularsink-recording-finished") => {
                counted = message.structure().unwrap().get("frames").unwrap();
            }
            _ => (),
        }
    }
    assert_eq!((told, counted), (1, 27_u64));
    let whole = (0..).zip(&pictures).filter(|(n, _)| !is_empty(*n));
    let sizes: Vec<_> = whole
        .map(|(_, picture)| picture.len().to_string())
        .collect();
    assert_eq!(ffprobe(&file, &[], "packet=size"), sizes);
}

/// `pngenc` flags its pictures as if they needed others.
#[test]
fn pngs_are_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.mov");
    let pipeline = Pipeline::launch(&format!(
        "videotestsrc num-buffers=10 ! video/x-raw,width=160,height=120 ! pngenc ! \
         circularsink recording=true location={}",
        file.display()
    ));
    pipeline.run().unwrap();
    assert_eq!(frames(&file), 10);
}
