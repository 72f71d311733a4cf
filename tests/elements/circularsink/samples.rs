// SPDX-License-Identifier: MIT OR Apache-2.0
//! Raw sound in a MOV, which plays when it is cut off.

use std::path::Path;
use std::process::Command;

use gst::prelude::*;

use super::rig::*;

/// The samples that a file has from its beginning on, as ffmpeg decodes them; what it complains of does not matter.
fn decoded(path: &Path) -> Vec<i16> {
    let output = Command::new("ffmpeg")
        .args(["-v", "quiet", "-i"])
        .arg(path)
        .args(["-map", "0:a", "-f", "s16le", "-"])
        .output()
        .expect("ffmpeg is installed");
    let words = output.stdout.chunks_exact(2);
    words.map(|b| i16::from_le_bytes([b[0], b[1]])).collect()
}

/// Whether samples tell their numbers, from the first on.
fn are_numbered(samples: &[i16]) -> bool {
    (0..)
        .zip(samples)
        .all(|(n, sample)| n % 30_000 == i64::from(*sample))
}

#[test]
fn raw_sound_in_a_mov_takes_no_more_than_its_bytes_and_is_the_same() {
    let stream = encoded(&x264(30, 2), 600);
    let pictures: u64 = stream.buffers.iter().map(|b| b.size() as u64).sum();
    let mut rig = Rig::new(stream, true);
    rig.locate("r.mov");
    rig.sink.set_property("recording", true);
    rig.start();
    rig.push_all();
    rig.eos();
    let done = rig.finished();
    let sound = rig.next_sample * 2;
    let bytes = done.path().metadata().expect("it is there").len();
    assert!(
        bytes < pictures + sound + 60_000,
        "{bytes} of {pictures} and {sound}"
    );
    let samples = decoded(done.path());
    assert!(are_numbered(&samples));
    // To the end of the last picture.
    assert_eq!(samples.len() as u64, 600 * SAMPLES / RATE);
}

#[test]
fn a_mov_with_raw_sound_plays_where_it_is_cut_off() {
    let mut rig = Rig::new(encoded("jpegenc", 600), true);
    rig.locate("r.mov");
    rig.sink.set_property("recording", true);
    rig.start();
    rig.push(500);
    let path = rig.path("r.mov");
    let copy = rig.path("copy.mov");
    // Of 20 s a second may not have come to the disk.
    let wanted = 19 * SAMPLES as usize;
    until("a copy of the file plays", || {
        std::fs::copy(&path, &copy).is_ok() && decoded(Path::new(&copy)).len() >= wanted
    });
    assert!(are_numbered(&decoded(Path::new(&copy))));
    rig.eos();
    assert_sound(rig.finished().path());
}

#[test]
fn nearly_an_hour_without_anything_is_recorded_at_once() {
    const FEW: i32 = 8000;
    let mut rig = Rig::new(encoded("jpegenc", 200), true);
    rig.locate("r.mov");
    rig.sink.set_property("recording", true);
    let audio = rig.audio.take().expect("there is sound");
    rig.start();
    audio.push_event(gst::event::StreamStart::new("audio"));
    let mut caps = raw_sound();
    caps.make_mut().set("rate", FEW);
    audio.push_event(gst::event::Caps::new(&caps));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    audio.push_event(gst::event::Segment::new(&segment));
    for number in 0..100 {
        let away = if number < 50 { 0 } else { AWAY };
        let time = gst::ClockTime::from_nseconds(number * FRAME + away);
        let samples = vec![1_u8; FEW as usize / RATE as usize * 2];
        for (pad, mut buffer) in [
            (&audio, gst::Buffer::from_slice(samples)),
            (&rig.video, rig.stream.buffers[number as usize].clone()),
        ] {
            let it = buffer.make_mut();
            it.set_pts(time);
            it.set_dts(gst::ClockTime::NONE);
            pad.push(buffer).expect("it is taken");
        }
    }
    audio.push_event(gst::event::Eos::new());
    rig.video.push_event(gst::event::Eos::new());
    let done = rig.finished();
    assert_eq!(done.frames, 100);
    let entries =
        |options: &[&str], entries: &str| crate::common::ffprobe(done.path(), options, entries);
    let lengths = entries(&[], "stream=duration");
    let hour = (AWAY + 100 * FRAME) as f64 / 1e9;
    for length in &lengths {
        let length: f64 = length.parse().expect("a number");
        assert!((length - hour).abs() < 0.1, "{lengths:?}");
    }
    assert_eq!(lengths.len(), 2);
    let bytes = done.path().metadata().expect("it is there").len();
    assert!(bytes < 5_000_000, "{bytes}");
}

#[test]
fn raw_sound_that_has_no_packets_is_refused_for_a_mov() {
    let mut rig = Rig::new(encoded("jpegenc", 200), true);
    rig.locate("r%d.mov");
    let audio = rig.audio.take().expect("there is sound");
    let mut caps = raw_sound();
    // Four microphones that are nowhere.
    let fields = caps.make_mut();
    fields.set("channels", 4);
    fields.set("channel-mask", gst::Bitmask::new(0));
    let start = |rig: &Rig| {
        rig.start();
        audio.push_event(gst::event::StreamStart::new("audio"));
        audio.push_event(gst::event::Caps::new(&caps));
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        audio.push_event(gst::event::Segment::new(&segment));
    };
    let samples = |frame: usize| {
        let mut samples = gst::Buffer::from_slice(vec![1_u8; (SAMPLES / RATE) as usize * 8]);
        let time = gst::ClockTime::from_nseconds(frame as u64 * FRAME);
        samples.make_mut().set_pts(time);
        samples
    };
    let push = |rig: &mut Rig| {
        for _ in 0..50 {
            audio.push(samples(rig.next)).expect("the sound is taken");
            rig.push(1);
        }
    };
    start(&rig);
    assert_eq!(audio.push(samples(0)), Err(gst::FlowError::Eos));
    let error = rig.error();
    crate::common::assert_mentions(&error, &["audio_0", ".mkv", "cut off"]);
    rig.stop();
    // Who does without that has it as it is.
    let plain: gst::Structure = "properties,fragment-duration=(uint)0"
        .parse()
        .expect("it parses");
    rig.sink.set_property("muxer-properties", plain);
    start(&rig);
    push(&mut rig);
    rig.trigger(None);
    push(&mut rig);
    rig.finish();
    rig.push(5);
    let done = rig.finished();
    assert_sound(done.path());
    let entries = "stream=codec_name,channels";
    let audio = crate::common::ffprobe(done.path(), &["-select_streams", "a"], entries);
    assert_eq!(audio, ["pcm_s16le", "4"]);
}
