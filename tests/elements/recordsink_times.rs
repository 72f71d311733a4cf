// SPDX-License-Identifier: MIT OR Apache-2.0
//! `recordsink` and `ffmpegsink`, and timestamps that go back, begin anew or jump ahead: nothing is
//! lost, what follows goes on behind what came, and one warning says what was seen.

use std::path::Path;

use crate::common::{Pipeline, assert_mentions, frames, until};
use crate::recordsink_cameras::*;
use gst::prelude::*;

const SECOND: gst::ClockTime = gst::ClockTime::SECOND;

/// The times of a file's pictures, in seconds.
fn times(file: &Path) -> Vec<f64> {
    let times = crate::common::ffprobe(file, &["-select_streams", "v"], "packet=pts_time");
    let half = file.extension().is_some_and(|extension| extension == "ts");
    let mut times: Vec<f64> = times.iter().map(|time| time.parse().unwrap()).collect();
    if half && times.len().is_multiple_of(2) && times[..times.len() / 2] == times[times.len() / 2..]
    {
        times.truncate(times.len() / 2);
    }
    times.sort_by(f64::total_cmp);
    times
}

fn assert_regular(file: &Path, count: usize) {
    let times = times(file);
    assert_eq!(times.len(), count, "{}", file.display());
    for (n, time) in times.iter().enumerate() {
        let wanted = times[0] + n as f64 * 0.04;
        let name = file.display();
        assert!(
            (time - wanted).abs() < 0.002,
            "{name}: {n} at {time}, not {wanted}"
        );
    }
}

/// Runs of pictures, each from a time on, with as much sound, into one file.
fn record_runs(name: &str, runs: &[(gst::ClockTime, u64)], sound: bool) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(name);
    let streams = [("video", RAW), ("audio", PCM)];
    let streams = &streams[..if sound { 2 } else { 1 }];
    let pipeline = recorder(streams, "", &file);
    pipeline.play();
    for &(start, count) in runs {
        give_video(&pipeline, start, count);
        if sound {
            give_audio(&pipeline, start, count * FRAME);
        }
    }
    let names: Vec<_> = streams.iter().map(|(name, _)| *name).collect();
    end(&pipeline, &names);
    let said = until_eos(&pipeline);
    let count: u64 = runs.iter().map(|(_, count)| count).sum();
    assert_eq!(said.files, [(file.clone(), count)], "{said:?}");
    assert_eq!(said.warnings.len(), runs.len() - 1, "{name}: {said:?}");
    let seconds = |at: gst::ClockTime| format!("{at:.3}");
    for (warning, pair) in said.warnings.iter().zip(runs.windows(2)) {
        let [(start, count), (to, _)] = pair else {
            unreachable!()
        };
        let from = *start + (count - 1) * FRAME;
        let direction = if *to < from { "back" } else { "ahead" };
        if !sound {
            let words = ["video", direction, &seconds(from), &seconds(*to)];
            assert_mentions(warning, &words);
        }
    }
    let stats = pipeline.element("r").property::<gst::Structure>("stats");
    assert_eq!(stats.get("jumps"), Ok(runs.len() as u64 - 1));
    assert_eq!(frames(&file), count as usize, "{name}");
    assert_regular(&file, count as usize);
}

#[test]
fn timestamps_that_begin_anew_go_on_in_the_same_file() {
    for name in MUXED {
        record_runs(
            name,
            &[(gst::ClockTime::ZERO, 50), (gst::ClockTime::ZERO, 50)],
            false,
        );
    }
    // Not at 0, and not the same twice.
    let runs = [(10 * SECOND, 30), (gst::ClockTime::ZERO, 60), (SECOND, 20)];
    record_runs("a.mkv", &runs, false);
    record_runs("a.avi", &runs, false);
}

#[test]
fn a_jump_ahead_is_a_new_beginning() {
    let runs = [(gst::ClockTime::ZERO, 50), (20 * 3600 * SECOND, 50)];
    for name in MUXED {
        record_runs(name, &runs, false);
    }
}

#[test]
fn sound_and_picture_begin_anew_together() {
    let runs = [(5 * SECOND, 50), (SECOND, 50), (3 * 3600 * SECOND, 50)];
    for name in ["s.avi", "s.mkv", "s.mp4"] {
        record_runs(name, &runs, true);
    }
}

#[test]
fn ffmpegsink_goes_on_behind_what_came() {
    let dir = tempfile::tempdir().unwrap();
    for (name, codec) in [("f.mkv", "mpeg4"), ("f.avi", "mjpeg")] {
        let file = dir.path().join(name);
        let pipeline = Pipeline::launch(&format!(
            "appsrc name=video format=time max-bytes=0 caps={RAW} ! ffmpegsink name=r \
             args=\"-c:v {codec} {}\"",
            file.display()
        ));
        pipeline.play();
        for start in [10 * SECOND, gst::ClockTime::ZERO, 30 * 3600 * SECOND] {
            give_video(&pipeline, start, 40);
        }
        end(&pipeline, &["video"]);
        let said = until_eos(&pipeline);
        assert_eq!(said.warnings.len(), 2, "{name}: {said:?}");
        assert_mentions(&said.warnings[0], &["video", "back to 0:00:00.000: what"]);
        assert_mentions(&said.warnings[1], &["video", "ahead to 30:00:00.000: what"]);
        assert_regular(&file, 120);
    }
}

#[test]
fn a_stream_without_a_container_goes_on_too() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["e.h264", "e.mjpeg"] {
        let file = dir.path().join(name);
        let pipeline = recorder(&[("video", RAW)], "", &file);
        pipeline.play();
        give_video(&pipeline, 10 * SECOND, 40);
        give_video(&pipeline, gst::ClockTime::ZERO, 40);
        end(&pipeline, &["video"]);
        let said = until_eos(&pipeline);
        assert_eq!(said.warnings.len(), 1, "{name}: {said:?}");
        assert_eq!(said.files, [(file.clone(), 80)]);
        until("it is all there", || frames(&file) == 80);
    }
}
