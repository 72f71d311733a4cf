// SPDX-License-Identifier: MIT OR Apache-2.0
//! `recordsink` and encoded streams whose clock goes back to before the begin of a file, or that are joined amid a group of
//! pictures: each picture is in a file or counted, and as many are told of as `ffprobe` finds.

use std::path::Path;

use gst::prelude::*;

use crate::circularsink::rig;
use crate::common::{Pipeline, assert_mentions};
use crate::random_cameras::{packet_times, pad_to};
use crate::random_streams::segment;
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

/// An MP4 lasts as long as its pictures: what is before the one before, and at the end, was behind its end.
#[test]
fn pictures_that_jitter_at_the_end_of_a_file_are_shown() {
    for (encoder, extensions) in ENCODED {
        let in_order = !encoder.contains("bframes");
        let stream = rig::encoded(encoder, 12);
        let extensions = extensions
            .iter()
            .filter(|it| ["mp4", "mov", "mkv"].contains(it));
        for extension in extensions.filter(|_| in_order) {
            let what = format!("{encoder} {extension}");
            let buffers = stream.buffers.iter().enumerate().map(|(number, buffer)| {
                let back = 90 * u64::from(number > 7) + 60 * u64::from(number > 10);
                shown_at(buffer, 5000 * MS + number as u64 * FRAME - back * MS)
            });
            let (said, found, _) = record(&stream.caps, buffers, "", extension);
            assert_eq!(found[0].len(), 12, "{what}: {said:?}");
            assert!(found[0].is_sorted(), "{what}: {found:?}");
            assert!(said.warnings.is_empty(), "{what}: {said:?}");
        }
    }
}

/// Encoders, their files and how many pictures from before a key unit are left out, behind the begin and behind a flush.
/// The others are recorded from the first one on.
const PARSED: [(&str, &[&str], bool, bool); 8] = [
    (
        "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=12 ! h264parse config-interval=-1 ! \
         video/x-h264,stream-format=byte-stream,alignment=au",
        &["mp4", "mkv", "ts", "flv", "h264"],
        true,
        false,
    ),
    (
        "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=12 ! h264parse config-interval=-1 ! \
         video/x-h264,stream-format=byte-stream,alignment=nal",
        &["mp4", "mkv"],
        true,
        false,
    ),
    (
        "x264enc speed-preset=ultrafast key-int-max=12 bframes=2 b-adapt=false rc-lookahead=0 ! \
         h264parse config-interval=-1 ! video/x-h264,stream-format=byte-stream,alignment=au",
        &["mp4", "mkv"],
        true,
        false,
    ),
    (
        "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=12 ! h264parse ! \
         video/x-h264,stream-format=avc,alignment=au",
        &["mp4", "mkv"],
        false,
        false,
    ),
    (
        "x265enc tune=zerolatency speed-preset=ultrafast key-int-max=12 log-level=none ! \
         h265parse config-interval=-1 ! video/x-h265,stream-format=byte-stream,alignment=au",
        &["mp4", "mkv", "ts", "h265"],
        true,
        false,
    ),
    (
        "x265enc tune=zerolatency speed-preset=ultrafast key-int-max=12 log-level=none ! \
         h265parse config-interval=-1 ! video/x-h265,stream-format=byte-stream,alignment=nal",
        &["mp4"],
        true,
        false,
    ),
    (
        "av1enc cpu-used=8 usage-profile=realtime keyframe-max-dist=12 lag-in-frames=0 ! av1parse ! \
         video/x-av1,alignment=tu",
        &["mp4", "webm"],
        true,
        true,
    ),
    (
        "vp8enc deadline=1 keyframe-max-dist=12",
        &["webm"],
        false,
        false,
    ),
];

/// An encoder's stream in access units, or cut into the NAL units of these.
fn encoded(encoder: &str, frames: u64) -> rig::Encoded {
    let stream = rig::encoded(&encoder.replace("alignment=nal", "alignment=au"), frames);
    if !encoder.contains("alignment=nal") {
        return stream;
    }
    let mut caps = stream.caps.clone();
    caps.make_mut().set("alignment", "nal");
    let cut = |buffer: &gst::Buffer| {
        let bytes = buffer.map_readable().unwrap();
        let codes = bytes.windows(4).enumerate();
        let codes = codes.filter(|(_, bytes)| *bytes == [0, 0, 0, 1] || bytes[..3] == [0, 0, 1]);
        let mut begins: Vec<_> = codes.map(|(at, _)| at).collect();
        begins.dedup_by(|after, before| *after == *before + 1);
        let ends = begins[1..].iter().copied().chain([bytes.len()]);
        let units = begins
            .iter()
            .zip(ends)
            .map(|(begin, end)| bytes[*begin..end].to_vec());
        let mut units: Vec<_> = units.map(gst::Buffer::from_slice).collect();
        for unit in &mut units {
            unit.get_mut().unwrap().set_pts(buffer.pts());
            unit.get_mut().unwrap().set_dts(buffer.dts());
        }
        units
    };
    let buffers = stream.buffers.iter().flat_map(cut).collect();
    rig::Encoded {
        caps,
        buffers,
        ..stream
    }
}

/// The buffers from the picture of this number on.
fn from(stream: &rig::Encoded, number: u64) -> impl Iterator<Item = gst::Buffer> + '_ {
    let first = stream.buffers[0].pts().unwrap().nseconds();
    let pictures = stream.buffers.iter();
    let come =
        move |buffer: &&gst::Buffer| buffer.pts().unwrap().nseconds() - first >= number * FRAME;
    pictures.filter(come).cloned()
}

#[test]
fn what_comes_before_the_first_key_unit_is_counted_and_told_of() {
    const ALL: u64 = 40;
    for (encoder, extensions, begin, _) in PARSED {
        let stream = encoded(encoder, ALL);
        for extension in extensions {
            for (number, is_left_out) in [(0, 0), (5, 7), (23, 1)] {
                let what = format!("{encoder} {extension} from {number} on");
                let left_out = if begin { is_left_out } else { 0 };
                let (said, found, stats) =
                    record(&stream.caps, from(&stream, number), "", extension);
                assert_eq!(
                    stats.get("dropped-unreadable"),
                    Ok(left_out),
                    "{what}: {said:?}"
                );
                assert_eq!(stats.get("dropped"), Ok(left_out), "{what}: {said:?}");
                let frames = ALL - number - left_out;
                assert_eq!(stats.get("frames"), Ok(frames), "{what}: {said:?}");
                let in_files = found.iter().map(|times| times.len() as u64).sum::<u64>();
                if !["h264", "h265"].contains(extension) {
                    assert_eq!(in_files, frames, "{what}: {said:?}");
                }
                let told: u64 = said.files.iter().map(|(_, frames)| *frames).sum();
                assert_eq!(told, frames, "{what}: {said:?}");
                let warnings = usize::from(left_out > 0);
                assert_eq!(said.warnings.len(), warnings, "{what}: {said:?}");
                if left_out > 0 {
                    assert_mentions(&said.warnings[0], &["video", "parse", "dropped-unreadable"]);
                    let dropped = [("dropped-unreadable".to_owned(), left_out)];
                    assert_eq!(said.dropped, dropped, "{what}: {said:?}");
                }
            }
        }
    }
}

#[test]
fn what_comes_behind_a_flush_is_in_the_file_or_counted() {
    for (encoder, extensions, begin, flush) in PARSED {
        let stream = encoded(encoder, 40);
        let extension = extensions[0];
        let what = format!("{encoder} {extension}");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a").with_extension(extension);
        crate::common::init();
        let pipeline = Pipeline(gst::Pipeline::new());
        let described = format!("recordsink name=r location={}", file.display());
        let bin = gst::parse::bin_from_description(&described, false).unwrap();
        pipeline.0.add(&bin).unwrap();
        let sink = pipeline.element("r");
        let pad = pad_to(&sink, "video");
        pipeline.play();
        pad.push_event(gst::event::Caps::new(&stream.caps));
        pad.push_event(segment(0, 0));
        let first = stream.buffers[0].pts().unwrap();
        let give = |from_on: u64, until: u64| {
            for buffer in from(&stream, from_on) {
                let time = buffer.pts().unwrap().saturating_sub(first);
                if time.nseconds() < until * FRAME {
                    let mut buffer = buffer.copy();
                    let it = buffer.get_mut().unwrap();
                    it.set_pts(time);
                    it.set_dts(gst::ClockTime::NONE);
                    pad.push(buffer).unwrap();
                }
            }
        };
        // Amid a group of pictures, and once more.
        give(5, 20);
        pad.push_event(gst::event::FlushStart::new());
        pad.push_event(gst::event::FlushStop::new(true));
        pad.push_event(segment(0, 0));
        give(21, 40);
        pad.push_event(gst::event::Eos::new());
        let said = until_eos(&pipeline);
        let stats = sink.property::<gst::Structure>("stats");
        pipeline.0.set_state(gst::State::Null).unwrap();
        let left_out = if begin { 7 } else { 0 } + if flush { 3 } else { 0 };
        assert_eq!(
            stats.get("dropped-unreadable"),
            Ok(left_out as u64),
            "{what}: {said:?}"
        );
        let frames = stats.get::<u64>("frames").unwrap();
        let dropped = stats.get::<u64>("dropped").unwrap();
        assert_eq!(frames + dropped, 15 + 19, "{what}: {stats} {said:?}");
        assert_eq!(found(&file).len() as u64, frames, "{what}: {said:?}");
        assert_eq!(
            said.warnings.len(),
            usize::from(left_out > 0),
            "{what}: {said:?}"
        );
    }
}
