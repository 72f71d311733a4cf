// SPDX-License-Identifier: MIT OR Apache-2.0
//! The time of day of recordings: in messages, in names and in files.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use gst::prelude::*;

use crate::circularsink::rig::{Encoded, FRAME, Rig, encoded, x264};
use crate::common::ffprobe;

/// 28 November 2026, 20:00:00 UTC, in ns since 1970.
const EVENING: u64 = 1_795_896_000_000_000_000;

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap().as_nanos()).unwrap()
}

/// The stream with a time of day in each buffer.
fn stamped(stream: &Encoded, utc: impl Fn(u64) -> u64) -> Encoded {
    let reference = gst::Caps::new_empty_simple("timestamp/x-unix");
    let mut stream = stream.clone();
    for (number, buffer) in (0..).zip(&mut stream.buffers) {
        let time = gst::ClockTime::from_nseconds(utc(number));
        let it = buffer.make_mut();
        gst::ReferenceTimestampMeta::add(it, &reference, time, gst::ClockTime::NONE);
    }
    stream
}

fn time(message: &gst::StructureRef, field: &str) -> u64 {
    message
        .get::<u64>(field)
        .unwrap_or_else(|error| panic!("{message}: {error}"))
}

/// Begins with the third GOP of 30 frames and ends 40 frames later.
fn record(rig: &mut Rig) -> [gst::Structure; 2] {
    rig.sink.set_property("max-time", 10 * FRAME);
    rig.start();
    rig.push(80);
    rig.trigger(None);
    let started = rig.wait("circularsink-recording-started");
    rig.push(20);
    rig.finish();
    rig.push(5);
    [started, rig.wait("circularsink-recording-finished")]
}

#[test]
fn the_streams_time_is_in_messages_names_and_files() {
    let h264 = stamped(&encoded(&x264(30, 0), 600), |n| EVENING + n * FRAME);
    let jpeg = stamped(&encoded("jpegenc", 200), |n| EVENING + n * FRAME);
    for (extension, stream) in [
        ("mp4", &h264),
        ("mov", &h264),
        ("mkv", &h264),
        ("avi", &jpeg),
    ] {
        let mut rig = Rig::new(stream.clone(), false);
        rig.locate(&format!("%Y-%m-%d/%H-%M-%S_%05d.{extension}"));
        rig.sink.set_property("utc-names", true);
        let [started, finished] = record(&mut rig);
        let start = time(&started, "start-running-time");
        assert_eq!(time(&started, "start-utc"), EVENING + start, "{extension}");
        assert_eq!(time(&finished, "start-utc"), EVENING + start);
        let end = time(&finished, "end-running-time");
        assert_eq!(time(&finished, "end-utc"), EVENING + end);
        // 2.4 s, the beginning of its GOP, or 2.8 s.
        let name = rig.path(&format!("2026-11-28/20-00-02_00000.{extension}"));
        assert_eq!(finished.get::<String>("location").unwrap(), name);
        let entries = ffprobe(Path::new(&name), &[], "format_tags=creation_time,date");
        let has = |text: &str| entries.iter().any(|entry| entry.starts_with(text));
        assert!(has("2026-11-28T20:00:02"), "{extension}: {entries:?}");
        if extension == "mp4" {
            let each = ffprobe(Path::new(&name), &[], "stream_tags=creation_time");
            assert_eq!(each, ["2026-11-28T20:00:02.000000Z"]);
        }
    }
}

#[test]
fn the_systems_time_is_that_of_the_oldest_picture_kept() {
    let mut rig = Rig::new(encoded(&x264(30, 0), 600), false);
    let before = now();
    let [started, _] = record(&mut rig);
    let after = now();
    // Pushed at once: the first picture came now, and what is recorded begins so much later.
    let start = time(&started, "start-running-time");
    let utc = time(&started, "start-utc");
    assert!(
        (before..after).contains(&(utc - start)),
        "{before} {utc} {after}"
    );
}

#[test]
fn a_live_picture_is_as_old_as_its_running_time_says() {
    let pipeline = crate::common::Pipeline::launch(
        "videotestsrc is-live=true ! video/x-raw,width=64,height=64,framerate=30/1 ! jpegenc ! \
         circularsink name=sink recording=true muxer-factory=matroskamux sink-factory=fakesink",
    );
    let bus = pipeline.0.bus().unwrap();
    let before = now();
    pipeline.play();
    let started = loop {
        let message = bus.timed_pop_filtered(crate::common::HANG, &[gst::MessageType::Element]);
        let message = message.expect("it starts");
        let structure = message.structure().unwrap();
        if structure.name() == "circularsink-recording-started" {
            break structure.to_owned();
        }
    };
    let after = now();
    // When running time was zero.
    let zero = time(&started, "start-utc") - time(&started, "start-running-time");
    assert!((before..after).contains(&zero), "{before} {zero} {after}");
}

#[test]
fn a_clock_that_is_set_is_told_of_and_changes_no_length() {
    let hour = 3_600_000_000_000;
    let set = |n: u64| EVENING + n * FRAME + if n >= 90 { hour } else { 0 };
    let mut rig = Rig::new(stamped(&encoded("jpegenc", 200), set), false);
    rig.sink.set_property("recording", true);
    rig.start();
    rig.push(100);
    let told = rig.wait("circularsink-clock-set");
    assert_eq!(told.get::<i64>("difference").unwrap(), hour.cast_signed());
    assert_eq!(told.get::<&str>("source").unwrap(), "stream");
    let at = time(&told, "running-time");
    assert!((90 * FRAME..96 * FRAME).contains(&at), "{at}");
    rig.finish();
    rig.push(5);
    let finished = rig.wait("circularsink-recording-finished");
    assert_eq!(time(&finished, "start-utc"), EVENING);
    let length = time(&finished, "end-running-time") - time(&finished, "start-running-time");
    assert_eq!(time(&finished, "end-utc"), EVENING + length);
    // The next one has the new time.
    rig.trigger(None);
    let next = rig.wait("circularsink-recording-started");
    let start = time(&next, "start-running-time");
    let utc = time(&next, "start-utc");
    assert!(
        utc == EVENING + start || utc == EVENING + start + hour,
        "{next}"
    );
}

#[test]
fn a_moment_that_has_a_name_already_gets_another() {
    let stream = stamped(&encoded("jpegenc", 200), |_| EVENING);
    let mut rig = Rig::new(stream, false);
    rig.locate("%F_%H%M%S.mkv");
    rig.sink.set_property("utc-names", true);
    rig.sink.set_property("overwrite", true);
    rig.sink.set_property("max-files", 2_u32);
    rig.start();
    for name in [
        "2026-11-28_200000.mkv",
        "2026-11-28_200000-1.mkv",
        "2026-11-28_200000-2.mkv",
    ] {
        rig.trigger(None);
        rig.push(5);
        rig.finish();
        rig.push(5);
        assert_eq!(rig.finished().path(), Path::new(&rig.path(name)));
    }
    let there = |name: &str| Path::new(&rig.path(name)).exists();
    assert!(!there("2026-11-28_200000.mkv") && there("2026-11-28_200000-1.mkv"));
}
