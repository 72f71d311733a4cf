// SPDX-License-Identifier: MIT OR Apache-2.0
//! What GStreamer's own tests ask of `splitmuxsink` and `splitmuxsrc` with a muxer and a demuxer, of
//! ours (`tests/check/elements/splitmuxsink.c` and `splitmuxsrc.c` of gst-plugins-good).

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use gst::prelude::*;

use crate::common::{HANG, Pipeline, init};

const SECOND: u64 = 1_000_000_000;

/// The files in a directory, by name.
fn parts(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let mut parts: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    parts.sort();
    parts
}

/// Records with `splitmuxsink`, whose pads are `s.video` and so on; the parts.
fn record(directory: &Path, split: &str, streams: &str) -> Vec<PathBuf> {
    let pipeline = Pipeline::launch(&format!(
        "splitmuxsink name=s {split} location={}/%05d.avi {streams}",
        directory.display()
    ));
    pipeline.run().expect("a recording");
    parts(directory)
}

/// Pictures of 80x64 at 5 a second, as Motion JPEG.
fn pictures(count: u32, pattern: &str) -> String {
    format!(
        "videotestsrc num-buffers={count} pattern={pattern} ! \
         video/x-raw,width=80,height=64,framerate=5/1 ! jpegenc ! queue"
    )
}

/// Plays the parts with `playbin`, forward and backward: from `0` to `end`, in order.
pub(crate) fn plays(directory: &Path, end: u64) {
    plays_at(&[1.0, -1.0], directory, end);
}

fn plays_at(rates: &[f64], directory: &Path, end: u64) {
    init();
    let seen: Arc<Mutex<Vec<(u64, u64)>>> = Arc::default();
    let callbacks = gst_app::AppSinkCallbacks::builder().new_sample({
        let seen = seen.clone();
        move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let segment = sample
                .segment()
                .and_then(|s| s.downcast_ref::<gst::ClockTime>());
            let buffer = sample.buffer().expect("a buffer");
            let time = |at: Option<gst::ClockTime>| {
                let at = segment.and_then(|segment| segment.to_stream_time(at?));
                at.expect("a time").nseconds()
            };
            let lasts = buffer.duration().expect("a duration");
            let ends = buffer.pts().map(|at| at + lasts);
            seen.lock().unwrap().push((time(buffer.pts()), time(ends)));
            Ok(gst::FlowSuccess::Ok)
        }
    });
    let sink = gst_app::AppSink::builder()
        .sync(false)
        .callbacks(callbacks.build())
        .build();
    let silent = gst::ElementFactory::make("fakesink").build().expect("it");
    let player = gst::ElementFactory::make("playbin")
        .property("uri", format!("splitmux://{}/*.avi", directory.display()))
        .property("video-sink", &sink)
        .property("audio-sink", &silent)
        .build()
        .expect("playbin");
    let pipeline = Pipeline(player.downcast().expect("a pipeline"));
    for &rate in rates {
        pipeline.0.set_state(gst::State::Paused).expect("it opens");
        pipeline.0.state(HANG).0.expect("it prerolls");
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
        let (set, none) = (gst::SeekType::Set, gst::ClockTime::NONE);
        pipeline
            .0
            .seek(rate, flags, set, gst::ClockTime::ZERO, set, none)
            .expect("it seeks");
        pipeline.0.state(HANG).0.expect("it prerolls");
        // What was shown while it was paused comes again.
        let preroll = std::mem::take(&mut *seen.lock().unwrap());
        assert_eq!(preroll, [], "only new samples are looked at");
        pipeline.play();
        pipeline.wait().expect("the end");
        let mut seen = std::mem::take(&mut *seen.lock().unwrap());
        if rate < 0.0 {
            seen.reverse();
        }
        assert!(seen.is_sorted(), "rate {rate}: {seen:?}");
        let first = seen.first().map(|(start, _)| *start);
        let last = seen.last().map(|(_, end)| *end);
        assert_eq!((first, last), (Some(0), Some(end)), "rate {rate}: {seen:?}");
    }
}

#[test]
fn three_pictures_at_once_are_split_by_the_first() {
    let directory = tempfile::tempdir().expect("a directory");
    let streams = format!(
        "{} ! s.video  {} ! s.video_aux_0  {} ! s.video_aux_1",
        pictures(15, "smpte"),
        pictures(15, "snow"),
        pictures(15, "ball")
    );
    let split = "muxer=avimjpegmux max-size-time=1000000000";
    assert_eq!(record(directory.path(), split, &streams).len(), 3);
    // Not backward: with three streams `splitmuxsrc` (1.22) waits for ever at one of a hundred ends then,
    // and so it does with `avidemux`.
    plays_at(&[1.0], directory.path(), 3 * SECOND);
}

#[test]
fn files_are_finished_behind_the_next_with_sound() {
    let directory = tempfile::tempdir().expect("a directory");
    let streams = format!(
        "{} ! s.video  audiotestsrc num-buffers=15 samplesperbuffer=9600 ! \
         audio/x-raw,format=S16LE,rate=48000 ! s.audio_0",
        pictures(15, "smpte")
    );
    let split = "muxer-factory=avimjpegmux async-finalize=true max-size-time=1000000000";
    assert_eq!(record(directory.path(), split, &streams).len(), 3);
    plays(directory.path(), 3 * SECOND);
}

/// Has `filter` take other caps from the buffer with this number on.
fn change_at(pipeline: &Pipeline, number: u32, caps: &str) {
    let filter = pipeline.element("filter");
    let caps: gst::Caps = caps.parse().expect("caps");
    let pad = filter.static_pad("sink").expect("a pad");
    let weak = filter.downgrade();
    let count = Mutex::new(0);
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        let mut count = count.lock().unwrap();
        if *count == number
            && let Some(filter) = weak.upgrade()
        {
            filter.set_property("caps", &caps);
        }
        *count += 1;
        gst::PadProbeReturn::Ok
    });
}

/// Records five pictures of 80x64 and five of 160x128, 10 a second, as a part each.
fn record_two_sizes(directory: &Path) {
    let pipeline = Pipeline::launch(&format!(
        "videotestsrc num-buffers=10 ! capsfilter name=filter \
         caps=video/x-raw,width=80,height=64,framerate=10/1 ! jpegenc ! \
         splitmuxsink muxer=avimjpegmux location={}/%05d.avi",
        directory.display()
    ));
    let caps = "video/x-raw,width=160,height=128,framerate=10/1";
    change_at(&pipeline, 4, caps);
    pipeline.run().expect("a recording");
    assert_eq!(parts(directory).len(), 2);
}

#[test]
fn a_change_of_size_begins_another_file() {
    let directory = tempfile::tempdir().expect("a directory");
    record_two_sizes(directory.path());
    plays(directory.path(), SECOND);
}

#[test]
fn each_part_has_its_own_size_after_a_seek() {
    let directory = tempfile::tempdir().expect("a directory");
    record_two_sizes(directory.path());
    let pipeline = Pipeline::launch(&format!(
        "splitmuxsrc location={}/*.avi ! queue ! appsink name=sink sync=false",
        directory.path().display()
    ));
    let sink = pipeline.element("sink");
    let sink: gst_app::AppSink = sink.downcast().expect("an appsink");
    pipeline.0.set_state(gst::State::Paused).expect("it opens");
    pipeline.0.state(HANG).0.expect("it prerolls");
    for rate in [-1.0, 1.0, -1.0] {
        let (set, none) = (gst::SeekType::Set, gst::ClockTime::NONE);
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
        pipeline
            .0
            .seek(rate, flags, set, gst::ClockTime::ZERO, set, none)
            .expect("it seeks");
        pipeline.play();
        let mut widths = Vec::new();
        while let Some(sample) = sink.try_pull_sample(HANG) {
            let caps = sample.caps().and_then(|caps| caps.structure(0));
            widths.push(caps.and_then(|caps| caps.get::<i32>("width").ok()));
        }
        assert!(sink.is_eos(), "rate {rate}: {widths:?}");
        let (small, large) = ([Some(80); 5], [Some(160); 5]);
        let expected = match rate < 0.0 {
            true => [large, small],
            false => [small, large],
        };
        assert_eq!(widths, expected.concat(), "rate {rate}");
    }
}

#[test]
fn a_change_of_rate_of_sound_begins_another_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let sound = |rate: u32| format!("audio/x-raw,format=S16LE,channels=1,rate={rate}");
    let pipeline = Pipeline::launch(&format!(
        "audiotestsrc num-buffers=10 samplesperbuffer=4800 ! capsfilter name=filter caps={} ! \
         s.audio_0 splitmuxsink name=s muxer=avimjpegmux location={}/%05d.avi",
        sound(48_000),
        directory.path().display()
    ));
    change_at(&pipeline, 4, &sound(44_100));
    pipeline.run().expect("a recording");
    let rates: Vec<Vec<String>> = parts(directory.path())
        .iter()
        .map(|part| crate::common::ffprobe(part, &[], "stream=sample_rate"))
        .collect();
    assert_eq!(rates, [["48000"], ["44100"]]);
}

#[test]
fn streams_that_end_without_a_buffer_end_the_recording() {
    for (pictures, sound) in [(0, None), (0, Some(0)), (1, Some(0)), (0, Some(1))] {
        let directory = tempfile::tempdir().expect("a directory");
        let sound = sound.map_or(String::new(), |count| {
            format!("audiotestsrc num-buffers={count} ! s.audio_0")
        });
        let streams = format!("videotestsrc num-buffers={pictures} ! jpegenc ! s.video {sound}");
        let split = "muxer-factory=avimjpegmux";
        record(directory.path(), split, &streams);
    }
}

#[test]
fn pads_are_mapped_and_the_sink_starts_again() {
    init();
    let make = |name| gst::ElementFactory::make(name).build().expect(name);
    let (muxer, sink) = (make("avimjpegmux"), make("splitmuxsink"));
    let map = gst::Structure::builder("x-pad-map")
        .field("video", "video_100")
        .field("audio_0", "audio_101");
    sink.set_property("muxer", &muxer);
    sink.set_property("muxer-pad-map", map.build());
    sink.set_property("location", "/dev/null");
    let pads = [("video", "video_100"), ("audio_0", "audio_101")].map(|(name, mapped)| {
        let pad = sink.request_pad_simple(name).expect("a pad");
        assert!(muxer.static_pad(mapped).is_some(), "{mapped}");
        pad
    });
    for _ in 0..2 {
        let playing = sink.set_state(gst::State::Playing);
        assert_eq!(playing, Ok(gst::StateChangeSuccess::Async));
        sink.set_state(gst::State::Null).expect("it stops");
    }
    pads.iter().for_each(|pad| sink.release_request_pad(pad));
}

#[test]
fn a_sink_that_cannot_start_is_an_error() {
    let pipeline = Pipeline::launch(
        "videotestsrc is-live=true ! video/x-raw,width=80,height=64,framerate=5/1 ! jpegenc ! queue ! \
         splitmuxsink name=s muxer=avimjpegmux max-size-time=1000000 max-size-bytes=1000000",
    );
    let sink = gst::ElementFactory::make("fakesink")
        .property_from_str("state-error", "ready-to-paused")
        .build()
        .expect("fakesink");
    pipeline.element("s").set_property("sink", &sink);
    pipeline.run().expect_err("it cannot start");
    pipeline.0.set_state(gst::State::Null).expect("it stops");
}
