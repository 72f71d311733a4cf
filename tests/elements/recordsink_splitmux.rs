// SPDX-License-Identifier: MIT OR Apache-2.0
//! What GStreamer's own tests ask of `splitmuxsink` (`tests/check/elements/splitmuxsink.c` of gst-plugins-good), asked of
//! `recordsink`, as far as it does the same. It has no limit by timecode, one stream of pictures, and no muxer
//! or sink that the application has made; a buffer without a timestamp is an error there, and counted here.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use gst::prelude::*;

use crate::common::{Pipeline, frames};
use crate::recordsink_cameras::{Said, until_eos};

/// Pictures of 80x64 at 5 a second.
fn pictures(count: u32) -> String {
    format!("videotestsrc num-buffers={count} ! video/x-raw,width=80,height=64,framerate=5/1")
}

/// What becomes of a recording that ends by itself.
fn record(description: &str) -> Said {
    let pipeline = Pipeline::launch(description);
    pipeline.play();
    until_eos(&pipeline)
}

/// Counts the key units that are asked of the element `enc`.
fn count_requests(pipeline: &Pipeline) -> Arc<AtomicU64> {
    let pad = pipeline.element("enc").static_pad("src").unwrap();
    let count = Arc::<AtomicU64>::default();
    let counts = count.clone();
    pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
        let is_one = info
            .event()
            .is_some_and(|it| gst_video::ForceKeyUnitEvent::is(it));
        counts.fetch_add(u64::from(is_one), Ordering::Relaxed);
        gst::PadProbeReturn::Ok
    });
    count
}

#[test]
fn files_are_as_long_as_asked_whatever_the_encoder_does_by_itself() {
    for (encoder, names) in [
        ("vp8enc name=enc keyframe-max-dist=", ["%d.mkv", "%d.webm"]),
        (
            "x264enc name=enc tune=zerolatency key-int-max=",
            ["%d.mp4", "%d.ts"],
        ),
    ] {
        for name in names {
            // Seconds of a file, and from one key unit to the next where none is asked for.
            for (seconds, interval) in [(2, 2), (1, 2), (2, 1)] {
                let what = format!("{name}, {seconds} s, a key unit each {interval} s");
                let dir = tempfile::tempdir().unwrap();
                let pipeline = Pipeline::launch(&format!(
                    "{} ! {encoder}{} ! recordsink split-time={seconds}000000000 location={}",
                    pictures(30),
                    interval * 5,
                    dir.path().join(name).display()
                ));
                let requests = count_requests(&pipeline);
                pipeline.play();
                let said = until_eos(&pipeline);
                let count = 6 / seconds;
                assert_eq!(said.files.len(), count, "{what}: {said:?}");
                for ((file, told), length) in said.files.iter().zip(&said.durations) {
                    assert_eq!(
                        (*told, frames(file)),
                        (5 * seconds as u64, 5 * seconds),
                        "{what}"
                    );
                    assert!((length - seconds as f64).abs() < 0.001, "{what}: {said:?}");
                }
                assert_eq!(requests.load(Ordering::Relaxed), count as u64, "{what}");
            }
        }
    }
}

#[test]
fn a_files_name_is_asked_for_once_with_its_first_picture() {
    let dir = tempfile::tempdir().unwrap();
    for (name, encoder) in [
        ("%05d.mkv", "vp8enc keyframe-max-dist=5"),
        ("%05d.avi", "jpegenc"),
    ] {
        let pipeline = Pipeline::launch(&format!(
            "{} ! {encoder} ! recordsink name=r split-time=1000000000 location={}",
            pictures(15),
            dir.path().join(name).display()
        ));
        let asked = Arc::<Mutex<Vec<(u32, Option<u64>)>>>::default();
        let asks = asked.clone();
        pipeline
            .element("r")
            .connect("format-location-full", false, move |args| {
                let number = args[1].get::<u32>().unwrap();
                let sample = args[2].get::<gst::Sample>().unwrap();
                assert!(sample.caps().is_some());
                let time = sample.buffer().unwrap().pts().map(gst::ClockTime::mseconds);
                asks.lock().unwrap().push((number, time));
                Some(None::<String>.to_value())
            });
        pipeline.play();
        let said = until_eos(&pipeline);
        let expected = [(0, Some(0)), (1, Some(1000)), (2, Some(2000))];
        assert_eq!(*asked.lock().unwrap(), expected, "{name}");
        let names: Vec<_> = said.files.iter().map(|(file, _)| file.clone()).collect();
        let expected: Vec<PathBuf> = (0..3)
            .map(|n| dir.path().join(name.replace("%05d", &format!("{n:05}"))))
            .collect();
        assert_eq!(names, expected);
        assert_eq!(said.durations, [1.0, 1.0, 1.0], "{name}");
    }
    crate::splitmux::plays(dir.path(), 3_000_000_000);
}

#[test]
fn streams_that_end_without_a_buffer_end_the_recording() {
    for name in ["a.mp4", "a.mov", "a.mkv", "a.avi", "a.ts"] {
        for (video, sound) in [(0, None), (0, Some(0)), (1, Some(0)), (0, Some(1))] {
            let what = format!("{name}, {video} {sound:?}");
            let dir = tempfile::tempdir().unwrap();
            let sound = sound.map_or(String::new(), |count| {
                format!("audiotestsrc num-buffers={count} ! r.audio")
            });
            let said = record(&format!(
                "{} ! r.video recordsink name=r location={} {sound}",
                pictures(video),
                dir.path().join(name).display()
            ));
            let came = usize::from(video == 1 || sound.contains("=1"));
            assert_eq!(said.files.len(), came, "{what}: {said:?}");
            assert_eq!(said.warnings.len(), 1, "{what}: {said:?}");
        }
    }
}

#[test]
fn it_starts_again_and_lets_its_pads_go() {
    crate::common::init();
    let sink = gst::ElementFactory::make("recordsink").build().unwrap();
    let pad = sink.request_pad_simple("video").unwrap();
    sink.set_property("muxer-factory", "matroskamux");
    sink.set_property("location", "/dev/null");
    for _ in 0..2 {
        let playing = sink.set_state(gst::State::Playing);
        assert_eq!(playing, Ok(gst::StateChangeSuccess::Async));
        let stopped = sink.set_state(gst::State::Null);
        assert_eq!(stopped, Ok(gst::StateChangeSuccess::Success));
    }
    sink.release_request_pad(&pad);
    assert!(sink.static_pad("video").is_none());

    // As it is done when a recording is over.
    let dir = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::launch(&format!(
        "{} ! jpegenc name=enc ! recordsink name=r location={}",
        pictures(5),
        dir.path().join("a.avi").display()
    ));
    for _ in 0..3 {
        pipeline.play();
        let said = until_eos(&pipeline);
        assert_eq!(said.files, [(dir.path().join("a.avi"), 5)]);
        pipeline.0.set_state(gst::State::Null).unwrap();
    }
    let sink = pipeline.element("r");
    let pad = sink.static_pad("video").unwrap();
    pad.peer().unwrap().unlink(&pad).unwrap();
    sink.release_request_pad(&pad);
    assert!(sink.static_pad("video").is_none());
}

#[test]
fn a_sink_that_cannot_start_is_one_error() {
    let dir = tempfile::tempdir().unwrap();
    for streams in ["", "audiotestsrc is-live=true ! r.audio"] {
        for (options, state) in [
            ("", "ready-to-paused"),
            ("", "null-to-ready"),
            ("preview=true", "ready-to-paused"),
        ] {
            let pipeline = Pipeline::launch(&format!(
                "videotestsrc is-live=true ! video/x-raw,width=80,height=64,framerate=5/1 ! jpegenc ! r.video \
                 {streams} recordsink name=r {options} split-time=1000000 split-bytes=1000000 location={} \
                 sink-factory=fakesink sink-properties=properties,state-error={state}",
                dir.path().join("a%d.avi").display()
            ));
            for round in 0..2 {
                let what = format!("{streams} {options} {state}, {round}");
                let texts = crate::one_error::errors(&pipeline.0);
                assert_eq!(texts.len(), 1, "{what}: {texts:?}");
            }
        }
    }
}

#[test]
fn a_picture_without_a_timestamp_is_recorded_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.mkv", "a.mp4", "a.ts"] {
        let file = dir.path().join(name);
        let pipeline = Pipeline::launch(&format!(
            "videotestsrc num-buffers=8 ! video/x-raw,width=80,height=64,framerate=10/1 ! \
             x264enc tune=zerolatency key-int-max=5 ! recordsink name=r location={}",
            file.display()
        ));
        let pad = pipeline.element("r").static_pad("video").unwrap();
        let count = AtomicU64::new(0);
        pad.peer()
            .unwrap()
            .add_probe(gst::PadProbeType::BUFFER, move |_, info| {
                if count.fetch_add(1, Ordering::Relaxed) == 5
                    && let Some(buffer) = info.buffer_mut()
                {
                    let it = buffer.make_mut();
                    it.set_pts(None);
                    it.set_dts(None);
                }
                gst::PadProbeReturn::Ok
            });
        pipeline.play();
        let said = until_eos(&pipeline);
        assert_eq!(said.files, [(file.clone(), 8)], "{name}");
        let times = times(&file);
        let steps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(
            steps.iter().all(|step| (step - 0.1).abs() < 0.002),
            "{name}: {times:?}"
        );
    }
}

/// When a file's pictures are shown, in order, in seconds.
fn times(file: &Path) -> Vec<f64> {
    let times = crate::recordsink_cameras::entries(file, "packet=pts_time");
    let mut times: Vec<f64> = times.iter().map(|time| time.parse().unwrap()).collect();
    times.sort_by(f64::total_cmp);
    times
}
