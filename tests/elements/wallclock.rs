// SPDX-License-Identifier: MIT OR Apache-2.0
//! The time of day of recordings: in messages, in names and in files.

use std::path::Path;
use std::sync::{Arc, Mutex};
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
        if extension == "avi" {
            // `IDIT`, where cameras have it, besides the tag.
            let taken = ffprobe(Path::new(&name), &[], "format_tags=creation_time");
            assert_eq!(taken, ["2026-11-28 20:00:02"]);
        }
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

/// What `recordsink-file` said of each file of a pipeline that stamps its pictures with a time of day
/// from [`EVENING`] on, ten a second.
fn recordsink(sink: &str, set_up: impl FnOnce(&gst::Element)) -> Vec<gst::Structure> {
    let pipeline = crate::common::Pipeline::launch(&format!(
        "videotestsrc num-buffers=30 ! video/x-raw,width=32,height=32,framerate=10/1 ! \
         identity name=stamp ! recordsink name=r {sink}"
    ));
    let pad = pipeline.element("stamp").static_pad("src").unwrap();
    let reference = gst::Caps::new_empty_simple("timestamp/x-unix");
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(buffer) = info.buffer_mut() {
            let time = buffer.pts().unwrap() + gst::ClockTime::from_nseconds(EVENING);
            let it = buffer.make_mut();
            gst::ReferenceTimestampMeta::add(it, &reference, time, gst::ClockTime::NONE);
        }
        gst::PadProbeReturn::Ok
    });
    set_up(&pipeline.element("r"));
    let files = Arc::<Mutex<Vec<gst::Structure>>>::default();
    let told = files.clone();
    pipeline
        .0
        .bus()
        .unwrap()
        .set_sync_handler(move |_, message| {
            if message.has_name("recordsink-file") {
                let structure = message.structure().unwrap().to_owned();
                told.lock().unwrap().push(structure);
            }
            gst::BusSyncReply::Pass
        });
    pipeline.run().unwrap();
    std::mem::take(&mut *files.lock().unwrap())
}

fn location(file: &gst::StructureRef) -> String {
    file.get("location").unwrap()
}

#[test]
fn recordsink_has_the_time_in_messages_names_and_files() {
    for name in [
        "%H-%M-%S.mp4",
        "%F/%H-%M-%S.mkv",
        "%H%M%S-%03d.avi",
        "%T.mjpeg",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let pattern = directory.path().join(name);
        let files = recordsink(
            &format!(
                "location={} split-time=1000000000 utc-names=true",
                pattern.display()
            ),
            |_| (),
        );
        assert_eq!(files.len(), 3, "{name}: {files:?}");
        for (second, file) in (0..).zip(&files) {
            let utc = EVENING + second * 1_000_000_000;
            assert_eq!(time(file, "start-utc"), utc, "{file}");
            let duration = file.get::<gst::ClockTime>("duration").unwrap();
            assert_eq!(time(file, "end-utc"), utc + duration.nseconds());
            let path = location(file);
            let expected = name
                .replace("%F", "2026-11-28")
                .replace("%T", &format!("20:00:0{second}"))
                .replace("%H", "20")
                .replace("%M", "00")
                .replace("%S", &format!("0{second}"))
                .replace("%03d", &format!("00{second}"));
            assert!(path.ends_with(&expected), "{path} {expected}");
            if path.ends_with(".mjpeg") {
                continue;
            }
            let entries = ffprobe(Path::new(&path), &[], "format_tags=creation_time,date");
            let text = format!("2026-11-28T20:00:0{second}");
            assert!(
                entries.iter().any(|it| it.starts_with(&text)),
                "{path}: {entries:?}"
            );
        }
    }
}

#[test]
fn the_application_names_files_as_with_splitmuxsink() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let [full, plain] = [at("full.mkv"), at("plain.mkv")];
    let files = recordsink(
        &format!("location={} split-time=1000000000", at("r%d.mkv")),
        |sink| {
            sink.connect("format-location-full", false, move |args| {
                let sample = args[2].get::<gst::Sample>().unwrap();
                let key = sample.buffer().map(|it| it.flags());
                assert!(!key.unwrap().contains(gst::BufferFlags::DELTA_UNIT));
                assert!(sample.caps().is_some());
                let number = args[1].get::<u32>().unwrap();
                Some((number == 0).then_some(&full).to_value())
            });
            sink.connect("format-location", false, move |args| {
                let number = args[1].get::<u32>().unwrap();
                Some((number == 1).then_some(&plain).to_value())
            });
        },
    );
    let names: Vec<_> = files.iter().map(|file| location(file)).collect();
    assert_eq!(names, [at("full.mkv"), at("plain.mkv"), at("r2.mkv")]);
}
