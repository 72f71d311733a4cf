// SPDX-License-Identifier: MIT OR Apache-2.0
//! `recordsink` and encoded streams whose clock goes back to before the begin of a file: each picture is in a file, and as
//! many are told of as `ffprobe` finds.

use std::path::Path;

use gst::prelude::*;

use crate::circularsink::rig;
use crate::common::{Pipeline, assert_mentions};
use crate::random_cameras::packet_times;
use crate::recordsink_cameras::{Said, end, recorder, source, until_eos};

const MS: u64 = 1_000_000;
const FRAME: u64 = rig::FRAME;

/// Encoders, and the files that hold what they make.
const ENCODED: [(&str, &[&str]); 6] = [
    (
        "vp8enc deadline=1 keyframe-max-dist=12",
        &["webm", "mkv", "mov"],
    ),
    (
        "vp9enc deadline=1 keyframe-max-dist=12 lag-in-frames=0 ! vp9parse ! video/x-vp9,alignment=frame",
        &["webm", "mp4"],
    ),
    (
        "av1enc cpu-used=8 usage-profile=realtime keyframe-max-dist=12 lag-in-frames=0 ! av1parse",
        &["webm", "mp4"],
    ),
    (
        "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=12",
        &["mp4", "mkv", "ts", "flv"],
    ),
    (
        "x264enc speed-preset=ultrafast key-int-max=12 bframes=2 b-adapt=false rc-lookahead=0",
        &["mp4", "mkv", "ts"],
    ),
    (
        "x265enc tune=zerolatency speed-preset=ultrafast key-int-max=12 log-level=none",
        &["mp4", "mkv", "ts"],
    ),
];

/// The pictures of a file, by `ffprobe`.
fn found(file: &Path) -> Vec<u64> {
    packet_times(file)
}

/// Records these, and tells what was said, of all files what was found, and the statistics.
fn record(
    caps: &gst::Caps,
    buffers: impl IntoIterator<Item = gst::Buffer>,
    options: &str,
    extension: &str,
) -> (Said, Vec<Vec<u64>>, gst::Structure) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("%03d").with_extension(extension);
    let pipeline = recorder(&[("video", "ANY")], options, &file);
    source(&pipeline, "video").set_caps(Some(caps));
    pipeline.play();
    give(&pipeline, buffers);
    end(&pipeline, &["video"]);
    let said = until_eos(&pipeline);
    let stats = pipeline.element("r").property::<gst::Structure>("stats");
    pipeline.0.set_state(gst::State::Null).unwrap();
    let found = said.files.iter().map(|(file, _)| found(file)).collect();
    (said, found, stats)
}

fn give(pipeline: &Pipeline, buffers: impl IntoIterator<Item = gst::Buffer>) {
    let source = source(pipeline, "video");
    for buffer in buffers {
        source.push_buffer(buffer).unwrap();
    }
}

/// A picture that is shown then, ns.
fn shown_at(buffer: &gst::Buffer, time: u64) -> gst::Buffer {
    let mut buffer = buffer.copy();
    let it = buffer.get_mut().unwrap();
    it.set_pts(gst::ClockTime::from_nseconds(time));
    it.set_dts(gst::ClockTime::NONE);
    it.set_duration(gst::ClockTime::NONE);
    buffer
}

/// When a picture of a stream is shown, ns from the first one on.
fn time_in(stream: &rig::Encoded, number: usize) -> u64 {
    let [first, this] = [0, number].map(|number| stream.buffers[number].pts().unwrap());
    this.saturating_sub(first).nseconds()
}

#[test]
fn what_comes_before_the_begin_of_its_file_is_in_it() {
    const ALL: u64 = 30;
    for (encoder, extensions) in ENCODED {
        let stream = rig::encoded(encoder, ALL);
        for extension in extensions {
            // Behind some pictures the clock goes back: less and more than what clocks jitter. The second of two files has
            // begun a little before.
            for (behind, back, options) in [
                (1, 60, ""),
                (1, 300, ""),
                (4, 520, ""),
                (4, 300, "interval=1"),
                (26, 90, "split-time=900000000"),
                (26, 480, "split-time=900000000"),
            ] {
                let what = format!("{encoder} {extension} {options} {back} ms behind {behind}");
                let buffers = stream.buffers.iter().enumerate().map(|(number, buffer)| {
                    let back = if number < behind { 0 } else { back * MS };
                    shown_at(buffer, 5000 * MS + time_in(&stream, number) - back)
                });
                let (said, found, stats) = record(&stream.caps, buffers, options, extension);
                let told: Vec<_> = said.files.iter().map(|(_, frames)| *frames).collect();
                let in_files: Vec<_> = found.iter().map(|times| times.len() as u64).collect();
                assert_eq!(told, in_files, "{what}: {said:?}");
                let dropped = stats.get::<u64>("dropped").unwrap();
                let frames = in_files.iter().sum::<u64>();
                assert_eq!(stats.get("frames"), Ok(frames), "{what}: {stats}");
                assert_eq!(frames + dropped, ALL, "{what}: {stats}");
                if options != "interval=1" {
                    assert_eq!(dropped, 0, "{what}: {stats}");
                }
            }
        }
    }
}

/// Nothing reorders these.
#[test]
fn pictures_that_are_shown_as_they_come_go_on_behind_what_came() {
    for (encoder, extensions) in ENCODED
        .iter()
        .filter(|(encoder, _)| !encoder.contains("bframes"))
    {
        let stream = rig::encoded(encoder, 30);
        for extension in *extensions {
            let what = format!("{encoder} {extension}");
            let buffers = stream.buffers.iter().enumerate().map(|(number, buffer)| {
                let back = if number < 12 { 0 } else { 500 * MS };
                shown_at(buffer, 5000 * MS + number as u64 * FRAME - back)
            });
            let (said, mut found, stats) = record(&stream.caps, buffers, "", extension);
            assert_eq!(said.warnings.len(), 1, "{what}: {said:?}");
            assert_mentions(&said.warnings[0], &["Timestamps on video", "back"]);
            assert_eq!(stats.get("jumps"), Ok(1_u64), "{what}");
            let times = found.remove(0);
            assert_eq!(times.len(), 30, "{what}");
            for (number, time) in (0..).zip(&times) {
                let off = time.abs_diff(times[0] + number * FRAME);
                assert!(off <= 2 * MS, "{what}: {number} is {off} ns off: {times:?}");
            }
        }
    }
}
