// SPDX-License-Identifier: MIT OR Apache-2.0
//! `recordsink` and cameras that do not keep what their caps say: streams that come late or never,
//! buffers without times, damaged pictures, other sizes amid a recording, pipelines that run for long.

use std::path::{Path, PathBuf};

use crate::common::{HANG, Pipeline, assert_mentions, ffprobe, frames, until};
use crate::feed::picture;
use gst::prelude::*;

pub(crate) const RAW: &str = "video/x-raw,format=I420,width=160,height=128,framerate=25/1";
pub(crate) const PCM: &str = "audio/x-raw,format=S16LE,layout=interleaved,rate=8000,channels=1";
pub(crate) const FRAME: gst::ClockTime = gst::ClockTime::from_mseconds(40);
const HOURS: gst::ClockTime = gst::ClockTime::from_seconds(5 * 3600);

/// A pipeline whose streams a test brings through `appsrc name=video` and `appsrc name=audio`.
pub(crate) fn recorder(streams: &[(&str, &str)], options: &str, location: &Path) -> Pipeline {
    let sources = streams.iter().map(|(name, caps)| {
        format!("appsrc name={name} format=time max-bytes=0 caps={caps} ! r.{name} ")
    });
    let sources: String = sources.collect();
    let location = location.display();
    Pipeline::launch(&format!(
        "{sources} recordsink name=r {options} location={location}"
    ))
}

pub(crate) fn source(pipeline: &Pipeline, name: &str) -> gst_app::AppSrc {
    pipeline.element(name).downcast().unwrap()
}

pub(crate) fn buffer(bytes: Vec<u8>, pts: Option<gst::ClockTime>) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_slice(bytes);
    buffer.get_mut().unwrap().set_pts(pts);
    buffer
}

/// Raw pictures of the size in `RAW`, no two of which take the same bytes as H.264: qtmux 1.22 leaves
/// the size of some samples out of a fragment whose first one has the same.
pub(crate) fn give_video(pipeline: &Pipeline, start: gst::ClockTime, count: u64) {
    let source = source(pipeline, "video");
    let mut noise = 1_u32;
    for n in 0..count {
        let mut picture = vec![(n * 5) as u8; 160 * 128 * 3 / 2];
        for byte in &mut picture[..1000 + n as usize % 7 * 50] {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (noise >> 24) as u8;
        }
        source
            .push_buffer(buffer(picture, Some(start + n * FRAME)))
            .unwrap();
    }
}

/// Sound in pieces of 20 ms.
pub(crate) fn give_audio(pipeline: &Pipeline, start: gst::ClockTime, length: gst::ClockTime) {
    let source = source(pipeline, "audio");
    let piece = gst::ClockTime::from_mseconds(20);
    for n in 0..length.nseconds() / piece.nseconds() {
        let mut buffer = buffer(vec![7; 320], Some(start + n * piece));
        buffer.get_mut().unwrap().set_duration(piece);
        source.push_buffer(buffer).unwrap();
    }
}

pub(crate) fn end(pipeline: &Pipeline, names: &[&str]) {
    for name in names {
        source(pipeline, name).end_of_stream().unwrap();
    }
}

/// What was said until the end: the `recordsink-file` messages' locations and frames, the warnings.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub files: Vec<(PathBuf, u64)>,
    /// How long the files are, in seconds.
    pub durations: Vec<f64>,
    pub warnings: Vec<String>,
    /// Frames of these that are in no file, by reason; reasons without any are left out.
    pub dropped: Vec<(String, u64)>,
}

pub(crate) fn until_eos(pipeline: &Pipeline) -> Said {
    let bus = pipeline.0.bus().unwrap();
    let mut said = Said::default();
    loop {
        let message = bus.timed_pop(HANG).expect("it hangs");
        match message.view() {
            gst::MessageView::Eos(_) => return said,
            gst::MessageView::Error(error) => {
                panic!("{} ({:?}), {said:?}", error.error(), error.debug())
            }
            gst::MessageView::Warning(warning) => said.warnings.push(warning.error().to_string()),
            gst::MessageView::Element(element) => {
                let details = element.structure().unwrap();
                if details.name() == "recordsink-file" {
                    let location = details.get::<String>("location").unwrap().into();
                    said.files.push((location, details.get("frames").unwrap()));
                    let duration = details.get::<u64>("duration").unwrap();
                    said.durations.push(duration as f64 / 1e9);
                    let reasons = [
                        "dropped-interval",
                        "dropped-unreadable",
                        "dropped-flushed",
                        "lost",
                    ];
                    let counts = reasons.map(|name| details.get::<u64>(name).unwrap());
                    assert_eq!(details.get("dropped"), Ok(counts.iter().sum::<u64>()));
                    let some = reasons
                        .into_iter()
                        .zip(counts)
                        .filter(|(_, count)| *count > 0);
                    let some = some.map(|(name, count)| (name.to_owned(), count));
                    said.dropped.extend(some);
                }
            }
            _ => (),
        }
    }
}

pub(crate) fn entries(file: &Path, entries: &str) -> Vec<String> {
    let mut found = ffprobe(file, &[], entries);
    // A transport stream's streams are told by program too.
    let by_program = entries.starts_with("stream");
    if by_program && file.extension().is_some_and(|extension| extension == "ts") {
        found.truncate(found.len() / 2);
    }
    found
}

pub(crate) const MUXED: [&str; 5] = ["a.avi", "a.mp4", "a.mov", "a.mkv", "a.ts"];

/// Gives 40 pictures that all have one timestamp; all are to be there, one after the other for `least` seconds.
fn give_standing(file: &Path, caps: &str, picture: impl Fn(u32) -> Vec<u8>, least: f64) {
    let what = format!("{} of {caps}", file.display());
    let pipeline = recorder(&[("video", caps)], "", file);
    pipeline.play();
    let source = source(&pipeline, "video");
    for n in 0..40 {
        let time = Some(gst::ClockTime::SECOND);
        source.push_buffer(buffer(picture(n), time)).unwrap();
    }
    end(&pipeline, &["video"]);
    let said = until_eos(&pipeline);
    assert_eq!(said.files, [(file.to_owned(), 40)], "{what}");
    let times = entries(file, "packet=pts_time");
    let mut times: Vec<f64> = times.iter().map(|time| time.parse().unwrap()).collect();
    times.sort_by(f64::total_cmp);
    assert_eq!(times.len(), 40, "{what}");
    assert!(times[39] - times[0] >= least, "{what}: {times:?}");
}

#[test]
fn a_clock_that_stands_is_none() {
    let dir = tempfile::tempdir().unwrap();
    for name in MUXED {
        let file = dir.path().join(name);
        if !["a.mp4", "a.ts"].contains(&name) {
            for (rate, least) in [("", 0.02), (",framerate=10/1", 2.3)] {
                let caps = format!("image/jpeg,width=320,height=240{rate}");
                give_standing(&file, &caps, |n| picture(n, 500 + n as usize), least);
            }
        }
        let raw = |n| vec![n as u8 * 5; 160 * 128 * 3 / 2];
        give_standing(&file, RAW, raw, 1.5);
    }
}

#[test]
fn a_stream_that_never_comes_is_done_without() {
    let dir = tempfile::tempdir().unwrap();
    for name in MUXED {
        for (comes, is_missing) in [("video", "audio"), ("audio", "video")] {
            let file = dir.path().join(name);
            let pipeline = recorder(&[("video", RAW), ("audio", PCM)], "", &file);
            pipeline.play();
            match comes {
                "video" => give_video(&pipeline, gst::ClockTime::ZERO, 100),
                _ => give_audio(&pipeline, gst::ClockTime::ZERO, 100 * FRAME),
            }
            end(&pipeline, &["video", "audio"]);
            let said = until_eos(&pipeline);
            assert_eq!(said.files.len(), 1, "{name}: {said:?}");
            assert_eq!(said.warnings.len(), 1, "{name}: {said:?}");
            assert_mentions(&said.warnings[0], &[is_missing]);
            assert_eq!(entries(&file, "stream=codec_type"), [comes], "{name}");
            if comes == "video" {
                assert_eq!(frames(&file), 100, "{name}");
            }
            // The last one's; ffprobe takes the length of sound alone from the size of the file.
            let times = entries(&file, "packet=pts_time");
            let times: Vec<f64> = times.iter().map(|time| time.parse().unwrap()).collect();
            let length = times[times.len() - 1] - times[0];
            assert!((length - 4.0).abs() < 0.2, "{name}: {length}");
        }
    }
}

#[test]
fn a_file_is_as_long_as_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let seconds = gst::ClockTime::from_seconds;
    for name in ["a.avi", "a.mp4", "a.mov", "a.mkv", "a.ts", "a.webm"] {
        for (pictures, sound) in [(1, 3), (3, 1)] {
            let what = format!("{name}, {pictures} s of pictures");
            let file = dir.path().join(name);
            let pipeline = recorder(&[("video", RAW), ("audio", PCM)], "", &file);
            pipeline.play();
            give_video(&pipeline, gst::ClockTime::ZERO, pictures * 25);
            give_audio(&pipeline, gst::ClockTime::ZERO, seconds(sound));
            end(&pipeline, &["video", "audio"]);
            let said = until_eos(&pipeline);
            assert_eq!(said.files, [(file.clone(), pictures * 25)], "{what}");
            // AAC begins with two packets of nothing, and ends with a whole one.
            assert!((said.durations[0] - 3.0).abs() < 0.4, "{what}: {said:?}");
            // ffprobe takes the head of an AVI for the length of the file, and that is of its pictures.
            let length = match name {
                "a.avi" => entries(&file, "packet=pts_time"),
                _ => entries(&file, "format=duration"),
            };
            let lengths = length.iter().filter_map(|length| length.parse().ok());
            let length = lengths.fold(0.0, f64::max);
            assert!(
                (said.durations[0] - length).abs() < 0.1,
                "{what}: {length}, {said:?}"
            );
        }
    }
}

#[test]
fn nothing_at_all_ends_too() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.mp4");
    let pipeline = recorder(&[("video", RAW), ("audio", PCM)], "", &file);
    pipeline.play();
    end(&pipeline, &["video", "audio"]);
    let said = until_eos(&pipeline);
    assert!(said.files.is_empty(), "{said:?}");
    assert_eq!(said.warnings.len(), 1, "{said:?}");
    assert!(!file.exists());
}

#[test]
fn a_stream_that_comes_after_all_begins_another_file() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["l%d.avi", "l%d.mkv", "l%d.mp4"] {
        let pipeline = recorder(
            &[("video", RAW), ("audio", PCM)],
            "",
            &dir.path().join(name),
        );
        pipeline.play();
        // More than what is waited for.
        give_audio(
            &pipeline,
            gst::ClockTime::ZERO,
            gst::ClockTime::from_seconds(24),
        );
        let bus = pipeline.0.bus().unwrap();
        bus.timed_pop_filtered(HANG, &[gst::MessageType::Warning])
            .expect("a warning");
        give_video(&pipeline, gst::ClockTime::from_seconds(25), 50);
        // The picture is encoded when that thread has run, and only then the sound belongs to another file.
        let mut sound = gst::ClockTime::from_seconds(24);
        let another = dir.path().join(name.replace("%d", "1"));
        until("the picture has a file", || {
            let piece = 5 * FRAME;
            give_audio(&pipeline, sound, piece);
            sound += piece;
            another.exists()
        });
        give_audio(&pipeline, sound, gst::ClockTime::from_seconds(3));
        end(&pipeline, &["video", "audio"]);
        let said = until_eos(&pipeline);
        assert_eq!(said.files.len(), 2, "{name}: {said:?}");
        let [first, second] = [0, 1].map(|n| &said.files[n].0);
        assert_eq!(entries(first, "stream=codec_type"), ["audio"], "{name}");
        let mut both = entries(second, "stream=codec_type");
        both.sort();
        assert_eq!(both, ["audio", "video"], "{name}");
        assert_eq!(frames(second), 50, "{name}");
    }
}

/// The sound's clock is the one that the picture has since its own began anew.
#[test]
fn a_stream_that_begins_after_anothers_break_is_where_that_is() {
    let dir = tempfile::tempdir().unwrap();
    for name in MUXED {
        let file = dir.path().join(name);
        let pipeline = recorder(&[("video", RAW), ("audio", PCM)], "", &file);
        pipeline.play();
        give_video(&pipeline, gst::ClockTime::from_seconds(100), 50);
        give_video(&pipeline, gst::ClockTime::ZERO, 50);
        let bus = pipeline.0.bus().unwrap();
        let message = bus.timed_pop_filtered(HANG, &[gst::MessageType::Warning]);
        let message = message.expect("a warning of the break");
        let gst::MessageView::Warning(warning) = message.view() else {
            unreachable!()
        };
        assert_mentions(&warning.error().to_string(), &["Timestamps on video"]);
        give_audio(&pipeline, gst::ClockTime::SECOND, 25 * FRAME);
        end(&pipeline, &["video", "audio"]);
        let said = until_eos(&pipeline);
        assert_eq!(said.files, [(file.clone(), 100)], "{name}: {said:?}");
        assert!(said.warnings.is_empty(), "{name}: {said:?}");
        let times = |kind: &str| -> Vec<f64> {
            let options = ["-select_streams", kind];
            let times = ffprobe(&file, &options, "packet=pts_time");
            let times = times.iter().filter_map(|time| time.parse().ok());
            times.collect()
        };
        let (video, audio) = (times("v"), times("a"));
        // 2 s before the break, and then one, and one of sound.
        let ends = audio[audio.len() - 1] - video[0];
        assert!((ends - 4.0).abs() < 0.3, "{name}: {ends}");
        if !name.ends_with("avi") {
            let begins = audio[0] - video[0];
            assert!((begins - 3.0).abs() < 0.3, "{name}: {begins}");
        }
    }
}

#[test]
fn the_last_picture_of_a_camera_without_a_rate_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let caps = RAW.replace(",framerate=25/1", "");
    for name in MUXED {
        for count in [2, 30] {
            let file = dir.path().join(name);
            let pipeline = recorder(&[("video", &caps)], "", &file);
            pipeline.play();
            give_video(&pipeline, gst::ClockTime::ZERO, count);
            end(&pipeline, &["video"]);
            until_eos(&pipeline);
            assert_eq!(frames(&file), count as usize, "{name}");
        }
    }
}

#[test]
fn buffers_without_times_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    for name in MUXED {
        let file = dir.path().join(name);
        let pipeline = recorder(&[("video", RAW)], "", &file);
        pipeline.play();
        let source = source(&pipeline, "video");
        for n in 0..50_u8 {
            let picture = vec![n; 160 * 128 * 3 / 2];
            source.push_buffer(buffer(picture, None)).unwrap();
        }
        end(&pipeline, &["video"]);
        until_eos(&pipeline);
        assert_eq!(frames(&file), 50, "{name}");
        let duration = ffprobe(&file, &[], "format=duration");
        let duration: f64 = duration[0].parse().unwrap();
        assert!((duration - 2.0).abs() < 0.05, "{name}: {duration}");
    }
    let caps = RAW.replace(",framerate=25/1", "");
    let pipeline = recorder(&[("video", &caps)], "", &dir.path().join("b.mkv"));
    pipeline.play();
    let picture = vec![0; 160 * 128 * 3 / 2];
    let _ = source(&pipeline, "video").push_buffer(buffer(picture, None));
    let err = pipeline.wait().unwrap_err();
    assert_mentions(&err, &["video", "no timestamps", "how long", "framerate"]);
}

/// As an application hands them on: a muxer would leave all of them out, and say nothing.
#[test]
fn encoded_buffers_without_times_are_counted_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let record = |source: &str, name: &str| {
        let file = dir.path().join(name);
        let pipeline = Pipeline::launch(&format!(
            "{source} ! identity name=i ! recordsink location={}",
            file.display()
        ));
        let pad = pipeline.element("i").static_pad("src").unwrap();
        pad.add_probe(gst::PadProbeType::BUFFER, |_, info| {
            let times = info.buffer_mut().unwrap().make_mut();
            times.set_pts(None);
            times.set_dts(None);
            gst::PadProbeReturn::Ok
        });
        (pipeline.run(), file)
    };
    let pictures = "videotestsrc num-buffers=20 ! video/x-raw,width=64,height=48,framerate=10/1";
    for name in ["a.mkv", "a.webm", "a.ogg"] {
        let (ended, file) = record(&format!("{pictures} ! vp8enc"), name);
        ended.unwrap();
        assert_eq!(frames(&file), 20, "{name}");
        let duration = ffprobe(&file, &[], "format=duration");
        let duration: f64 = duration[0].parse().unwrap();
        assert!((duration - 2.0).abs() < 0.11, "{name}: {duration}");
    }
    let sound = "audiotestsrc num-buffers=48 samplesperbuffer=1000 ! audio/x-raw,rate=48000";
    for (encoder, name) in [
        ("opusenc", "b.mkv"),
        ("avenc_aac", "b.mkv"),
        ("avenc_aac ! aacparse", "b.m4a"),
    ] {
        let (ended, file) = record(&format!("{sound} ! {encoder}"), name);
        ended.unwrap();
        let duration = ffprobe(&file, &[], "format=duration");
        let duration: f64 = duration[0].parse().unwrap();
        assert!(
            (duration - 1.0).abs() < 0.1,
            "{encoder}, {name}: {duration}"
        );
    }
    for name in ["c.mkv", "c.mp4", "c.ts"] {
        let (ended, file) = record(&format!("{pictures} ! x264enc"), name);
        let error = ended.expect_err("they are not decoded in the order in which they are shown");
        assert_mentions(
            &error,
            &[
                "Buffers on video have no timestamps",
                "put a parser in front",
            ],
        );
        assert!(!file.exists(), "{name}");
    }
}

/// A stream that was flushed behind its end while the other goes on.
#[test]
fn a_stream_that_comes_again_behind_its_end_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.mp4", "a.mkv", "a.avi"] {
        let file = dir.path().join(name);
        let pipeline = recorder(&[("video", RAW), ("audio", PCM)], "", &file);
        let warnings = pipeline.warnings();
        pipeline.play();
        give_video(&pipeline, gst::ClockTime::ZERO, 20);
        let samples = || buffer(vec![0; 2 * 800], Some(gst::ClockTime::ZERO));
        source(&pipeline, "audio").push_buffer(samples()).unwrap();
        end(&pipeline, &["audio"]);
        let pad = pipeline.element("r").static_pad("audio").unwrap();
        let has_ended = || pad.sticky_event::<gst::event::Eos>(0).is_some();
        until("its end has come", has_ended);
        until("the pictures are recorded", || {
            let stats = pipeline.element("r").property::<gst::Structure>("stats");
            stats.get::<u64>("frames").unwrap() >= 10
        });
        assert!(pad.send_event(gst::event::FlushStart::new()));
        assert!(pad.send_event(gst::event::FlushStop::new(true)));
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        pad.send_event(gst::event::Segment::new(&segment));
        // Not before the end that was given has come to the file, through a thread of its own.
        until("it is refused", || {
            pad.chain(samples()) == Err(gst::FlowError::Eos)
        });
        end(&pipeline, &["video"]);
        pipeline.ends(name);
        let warnings = warnings.lock().unwrap();
        let said = |it: &&String| it.contains("More audio comes behind its end");
        assert_eq!(warnings.iter().filter(said).count(), 1, "{warnings:?}");
        assert_eq!(frames(&file), 20, "{name}");
    }
}

/// The same where nobody knows beforehand how long a file is, and it has a place in it.
#[test]
fn files_in_which_a_stream_brings_nothing_can_be_read() {
    for name in ["a.ogg", "a.mov", "a.mkv"] {
        let dir = tempfile::tempdir().unwrap();
        let options = match name {
            "a.ogg" => "split-bytes=3000",
            _ => "split-bytes=30000 video-encoder=jpegenc",
        };
        let file = dir.path().join(name);
        let pipeline = recorder(&[("video", RAW), ("audio", PCM)], options, &file);
        pipeline.play();
        give_video(&pipeline, gst::ClockTime::ZERO, 75);
        for at in [0, 2000] {
            let at = gst::ClockTime::from_mseconds(at);
            let samples = buffer(vec![0; 2 * 800], Some(at));
            source(&pipeline, "audio").push_buffer(samples).unwrap();
        }
        end(&pipeline, &["video", "audio"]);
        until_eos(&pipeline);
        pipeline.0.set_state(gst::State::Null).unwrap();
        let files = std::fs::read_dir(dir.path()).unwrap();
        let shown: Vec<usize> = files.map(|it| frames(&it.unwrap().path())).collect();
        assert!(shown.len() >= 3, "{name}: {shown:?}");
        assert_eq!(shown.iter().sum::<usize>(), 75, "{name}: {shown:?}");
    }
}

#[test]
fn that_nothing_comes_of_a_stream_is_said_once() {
    let dir = tempfile::tempdir().unwrap();
    let options = "split-time=200000000 video-encoder=jpegenc";
    let file = dir.path().join("a.mkv");
    let pipeline = recorder(&[("video", RAW), ("audio", PCM)], options, &file);
    let warnings = pipeline.warnings();
    pipeline.play();
    end(&pipeline, &["audio"]);
    give_video(&pipeline, gst::ClockTime::ZERO, 50);
    end(&pipeline, &["video"]);
    until_eos(&pipeline);
    assert!(std::fs::read_dir(dir.path()).unwrap().count() >= 5);
    let warnings = warnings.lock().unwrap();
    assert!(
        matches!(&warnings[..], [one] if one.ends_with("the file is without it")),
        "{warnings:?}"
    );
}

/// As behind an exact seek; a sink and muxers leave out what is not in its segment.
#[test]
fn pictures_from_before_their_segment_are_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let jpeg = jpegs(64, 48, 1).remove(0);
    for (name, caps) in [
        ("a.mjpeg", "image/jpeg,width=64,height=48,framerate=25/1"),
        ("a.mkv", "image/jpeg,width=64,height=48,framerate=25/1"),
        ("a.avi", "image/jpeg,width=64,height=48,framerate=25/1"),
        ("b.mkv", RAW),
        ("b.mp4", RAW),
    ] {
        let file = dir.path().join(name);
        let pipeline = recorder(&[("video", caps)], "", &file);
        let pad = source(&pipeline, "video").static_pad("src").unwrap();
        let start = gst::ClockTime::from_seconds(5);
        let from = pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
            if let Some(gst::PadProbeData::Event(event)) = &mut info.data
                && event.type_() == gst::EventType::Segment
            {
                let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
                segment.set_start(start);
                *event = gst::event::Segment::new(&segment);
            }
            gst::PadProbeReturn::Ok
        });
        assert!(from.is_some());
        pipeline.play();
        for n in 0..20_u8 {
            let picture = match caps == RAW {
                true => vec![n * 10; 160 * 128 * 3 / 2],
                false => jpeg.clone(),
            };
            let at = start + FRAME * u64::from(n) - FRAME * 10;
            let pushed = source(&pipeline, "video").push_buffer(buffer(picture, Some(at)));
            pushed.unwrap();
        }
        end(&pipeline, &["video"]);
        let said = until_eos(&pipeline);
        assert_eq!(frames(&file), 20, "{name}: {said:?}");
    }
}

/// A microphone that is away for longer than files take.
#[test]
fn files_during_which_a_stream_is_away_are_whole_without_it() {
    for name in [
        "a.ogg", "a.mp4", "a.mov", "a.ts", "a.mkv", "a.webm", "a.avi", "a.flv",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let sound = "audio/x-raw,format=S16LE,layout=interleaved,rate=48000,channels=1";
        let pipeline = recorder(
            &[("video", RAW), ("audio", sound)],
            "split-time=400000000",
            &dir.path().join(name),
        );
        let warnings = pipeline.warnings();
        pipeline.play();
        give_video(&pipeline, gst::ClockTime::ZERO, 75);
        for n in (0..10).chain(100..150) {
            let at = gst::ClockTime::from_mseconds(20 * n);
            let samples = vec![0; 2 * 960];
            let pushed = source(&pipeline, "audio").push_buffer(buffer(samples, Some(at)));
            pushed.unwrap();
        }
        end(&pipeline, &["video", "audio"]);
        until_eos(&pipeline);
        pipeline.0.set_state(gst::State::Null).unwrap();
        assert_eq!(*warnings.lock().unwrap(), [""; 0], "{name}");
        let mut files: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|it| it.unwrap().path())
            .collect();
        files.sort();
        assert!(files.len() >= 3, "{name}: {files:?}");
        let shown: Vec<usize> = files.iter().map(|file| frames(file)).collect();
        assert_eq!(shown.iter().sum::<usize>(), 75, "{files:?}: {shown:?}");
    }
}

/// Pictures that decoders show, of a size.
pub(crate) fn jpegs(width: u32, height: u32, count: u32) -> Vec<Vec<u8>> {
    let pipeline = Pipeline::launch(&format!(
        "videotestsrc num-buffers={count} ! video/x-raw,width={width},height={height} ! jpegenc ! \
         appsink name=s sync=false"
    ));
    pipeline.play();
    let sink: gst_app::AppSink = pipeline.element("s").downcast().unwrap();
    crate::common::samples(&sink)
        .map(|sample| sample.buffer().unwrap().map_readable().unwrap().to_vec())
        .collect()
}

#[test]
fn damaged_pictures_go_into_the_file_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = jpegs(160, 128, 30);
    for name in ["d.avi", "d.mkv", "d.mov", "d.mjpeg"] {
        let file = dir.path().join(name);
        let pipeline = recorder(&[("video", "image/jpeg,framerate=25/1")], "", &file);
        pipeline.play();
        let source = source(&pipeline, "video");
        let mut given = Vec::new();
        for (n, picture) in pictures.iter().enumerate() {
            let mut picture = picture.clone();
            match n {
                // Nothing tells the size yet.
                0 => picture.truncate(4),
                12 => picture.truncate(picture.len() / 3),
                13 => picture.truncate(30),
                _ => (),
            }
            if n > 0 {
                given.push(picture.len().to_string());
            }
            source
                .push_buffer(buffer(picture, Some(n as u64 * FRAME)))
                .unwrap();
        }
        end(&pipeline, &["video"]);
        let said = until_eos(&pipeline);
        assert_eq!(said.files, [(file.clone(), 29)]);
        assert_eq!(said.dropped, [("dropped-unreadable".to_owned(), 1)]);
        if name == "d.mjpeg" {
            let bytes: usize = given.iter().map(|len| len.parse::<usize>().unwrap()).sum();
            assert_eq!(file.metadata().unwrap().len(), bytes as u64);
            continue;
        }
        assert_eq!(entries(&file, "packet=size"), given, "{name}");
        assert_eq!(entries(&file, "stream=width,height"), ["160", "128"]);
    }
}

#[test]
fn pictures_begin_at_their_start_marker() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = jpegs(160, 128, 25);
    for name in ["b.avi", "b.mkv", "b.mov", "b.mjpeg"] {
        for lead in [&b"\r\n"[..], &[0xff]] {
            for caps in [
                "image/jpeg",
                "image/jpeg,width=160,height=128,framerate=25/1",
            ] {
                let file = dir.path().join(name);
                let pipeline = recorder(&[("video", caps)], "overwrite=true", &file);
                pipeline.play();
                let source = source(&pipeline, "video");
                for (n, picture) in pictures.iter().enumerate() {
                    let led = buffer([lead, picture].concat(), Some(n as u64 * FRAME));
                    source.push_buffer(led).unwrap();
                }
                end(&pipeline, &["video"]);
                let said = until_eos(&pipeline);
                assert_eq!(
                    (said.files, said.warnings),
                    (vec![(file.clone(), 25)], vec![])
                );
                if name == "b.mjpeg" {
                    assert!(std::fs::read(&file).unwrap() == pictures.concat());
                    continue;
                }
                let sizes: Vec<_> = pictures.iter().map(|p| p.len().to_string()).collect();
                assert_eq!(entries(&file, "packet=size"), sizes, "{name} {caps}");
            }
        }
    }
}

#[test]
fn empty_buffers_are_no_pictures() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = jpegs(160, 128, 30);
    for name in ["e.avi", "e.mkv", "e.mov"] {
        let file = dir.path().join(name);
        let caps = "image/jpeg,width=160,height=128,framerate=25/1";
        let pipeline = recorder(&[("video", caps)], "", &file);
        pipeline.play();
        let source = source(&pipeline, "video");
        for (n, picture) in pictures.iter().enumerate() {
            let is_empty = n < 2 || n == 12;
            let bytes = if is_empty {
                Vec::new()
            } else {
                picture.clone()
            };
            let time = Some(n as u64 * FRAME);
            source.push_buffer(buffer(bytes, time)).unwrap();
        }
        end(&pipeline, &["video"]);
        let said = until_eos(&pipeline);
        assert_eq!(said.files, [(file.clone(), 27)], "{name}");
        assert_eq!(said.dropped, [("dropped-unreadable".to_owned(), 3)]);
        assert_eq!(said.warnings.len(), 1, "{:?}", said.warnings);
        assert_mentions(&said.warnings[0], &["video", "empty"]);
        assert_eq!(frames(&file), 27, "{name}");
    }
}

#[test]
fn sound_is_waited_for_though_pictures_jump_ahead() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("j.mkv");
    let pipeline = recorder(&[("video", RAW), ("audio", PCM)], "", &file);
    pipeline.play();
    let later = gst::ClockTime::from_seconds(30);
    give_video(&pipeline, gst::ClockTime::ZERO, 25);
    give_video(&pipeline, later, 25);
    let video = source(&pipeline, "video");
    until("the pictures to be taken", || {
        video.current_level_buffers() == 0
    });
    give_audio(&pipeline, gst::ClockTime::ZERO, gst::ClockTime::SECOND);
    give_audio(&pipeline, later, gst::ClockTime::SECOND);
    end(&pipeline, &["video", "audio"]);
    let said = until_eos(&pipeline);
    assert_eq!((said.files, said.warnings), (vec![(file, 50)], vec![]));
}

#[test]
fn pictures_out_of_a_file_are_25_a_second_where_nothing_says_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("from.mjpeg");
    std::fs::write(&from, jpegs(160, 128, 50).concat()).unwrap();
    for (said, seconds) in [("", "1.96"), (",framerate=10/1", "4.9")] {
        for name in ["p.avi", "p.mkv", "p.mov"] {
            let file = dir.path().join(name);
            Pipeline::launch(&format!(
                "filesrc location={} blocksize=1000 ! image/jpeg{said} ! recordsink location={}",
                from.display(),
                file.display()
            ))
            .run()
            .unwrap();
            let times = entries(&file, "packet=pts_time");
            let last: f64 = times.last().unwrap().parse().unwrap();
            assert_eq!(
                (times.len(), format!("{last}").as_str()),
                (50, seconds),
                "{name}{said}"
            );
        }
    }
}

#[test]
fn pictures_that_tell_their_size_wait_for_no_sound() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("s.avi");
    let streams = [("video", "image/jpeg"), ("audio", PCM)];
    let pipeline = recorder(&streams, "", &file);
    // The sound tells its format between the caps of the pictures and the first of them.
    let video = source(&pipeline, "video");
    let audio = pipeline.element("audio").static_pad("src").unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    audio.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        let _ = tell.send(());
        gst::PadProbeReturn::Remove
    });
    let told = std::sync::Mutex::new(told);
    let video_pad = video.static_pad("src").unwrap();
    video_pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        let limit = std::time::Duration::from_nanos(HANG.nseconds());
        told.lock().unwrap().recv_timeout(limit).unwrap();
        gst::PadProbeReturn::Remove
    });
    pipeline.play();
    for (n, picture) in jpegs(160, 128, 25).into_iter().enumerate() {
        let time = Some(n as u64 * FRAME);
        video.push_buffer(buffer(picture, time)).unwrap();
    }
    until("the pictures' caps to come", || {
        video_pad.current_caps().is_some()
    });
    give_audio(&pipeline, gst::ClockTime::ZERO, gst::ClockTime::SECOND);
    end(&pipeline, &["video", "audio"]);
    let said = until_eos(&pipeline);
    assert_eq!((said.files, said.warnings), (vec![(file, 25)], vec![]));
}

#[test]
fn another_size_is_another_file() {
    let dir = tempfile::tempdir().unwrap();
    let (small, large) = (jpegs(160, 128, 20), jpegs(320, 256, 20));
    for (name, encoded) in [
        ("j%d.avi", true),
        ("j%d.mkv", true),
        ("j%d.mov", true),
        ("j%d.mjpeg", true),
        ("r%d.avi", false),
        ("r%d.mp4", false),
        ("r%d.mov", false),
        ("r%d.mkv", false),
        ("r%d.ts", false),
        ("r%d.h264", false),
    ] {
        let caps = if encoded { "image/jpeg" } else { RAW };
        let pipeline = recorder(&[("video", caps)], "", &dir.path().join(name));
        pipeline.play();
        let source = source(&pipeline, "video");
        for n in 0..40_u64 {
            let picture = match (encoded, n) {
                (true, ..20) => small[n as usize].clone(),
                (true, _) => large[n as usize - 20].clone(),
                (false, ..20) => vec![n as u8; 160 * 128 * 3 / 2],
                (false, _) => vec![n as u8; 320 * 256 * 3 / 2],
            };
            if !encoded && n == 20 {
                let large = RAW.replace("160", "320").replace("128", "256");
                source.set_caps(Some(&large.parse::<gst::Caps>().unwrap()));
            }
            source
                .push_buffer(buffer(picture, Some(n * FRAME)))
                .unwrap();
        }
        end(&pipeline, &["video"]);
        let said = until_eos(&pipeline);
        assert_eq!(said.files.len(), 2, "{name}: {said:?}");
        for ((file, count), size) in said.files.iter().zip([["160", "128"], ["320", "256"]]) {
            assert_eq!(entries(file, "stream=width,height"), size, "{name}");
            assert_eq!((frames(file), *count), (20, 20), "{name}");
        }
    }
}

#[test]
fn files_begin_at_0_after_five_hours() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["h%d.avi", "h%d.mp4", "h%d.mov", "h%d.mkv", "h%d.ts"] {
        let begins = |start: gst::ClockTime| -> Vec<f64> {
            let pipeline = recorder(
                &[("video", RAW), ("audio", PCM)],
                "split-time=1000000000",
                &dir.path().join(name),
            );
            pipeline.play();
            // The sound comes a little earlier.
            give_audio(&pipeline, start, 80 * FRAME);
            give_video(&pipeline, start + FRAME / 2, 75);
            end(&pipeline, &["video", "audio"]);
            let said = until_eos(&pipeline);
            assert_eq!(said.files.len(), 3, "{name}: {said:?}");
            let files = said.files.iter();
            files
                .map(|(file, _)| ffprobe(file, &[], "format=start_time")[0].parse().unwrap())
                .collect()
        };
        let at_once = begins(gst::ClockTime::ZERO);
        let late = begins(HOURS);
        for begin in at_once.iter().chain(&late) {
            // A transport stream's clock runs ahead of what is in it.
            assert!(begin.abs() < 0.2, "{name}: {at_once:?}, {late:?}");
        }
    }
}

#[test]
fn what_cannot_be_is_said_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    for (location, words) in [
        ("no/a.mp4", ["no/a.mp4", "can't be created"]),
        ("a%s.mp4", ["%s", "%05d"]),
        ("%d-%d.mp4", ["%d-%d.mp4", "may have 1"]),
        ("a.xyz", ["a.xyz", ".mp4"]),
    ] {
        let pipeline = recorder(&[("video", RAW)], "", &dir.path().join(location));
        let _ = pipeline.0.set_state(gst::State::Ready).unwrap_err();
        let bus = pipeline.0.bus().unwrap();
        let errors: Vec<_> = std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Error]))
            .map(|message| match message.view() {
                gst::MessageView::Error(error) => error.error().to_string(),
                _ => unreachable!(),
            })
            .collect();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_mentions(&errors[0], &words);
    }
}

/// The errors that a pipeline ends with.
fn errors(pipeline: &Pipeline) -> Vec<String> {
    let started = pipeline.0.set_state(gst::State::Playing);
    let bus = pipeline.0.bus().unwrap();
    let first = bus.timed_pop_filtered(HANG, &[gst::MessageType::Error]);
    if started.is_ok() {
        // All that the streams' threads have to say comes before they have stopped.
        pipeline.0.set_state(gst::State::Ready).unwrap();
    }
    let rest = std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Error]));
    let all = first.into_iter().chain(rest);
    all.map(|message| match message.view() {
        gst::MessageView::Error(error) => error.error().to_string(),
        _ => unreachable!(),
    })
    .collect()
}

#[test]
fn sizes_and_encoders_that_cannot_be_are_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let odd = RAW.replace("160", "161");
    let unpaced = RAW.replace(",framerate=25/1", "");
    for (name, options, caps, words) in [
        ("a.mp4", "", &*odd, ["161x128", "H.264"]),
        ("a.ts", "", &*odd, ["161x128", "even"]),
        ("a.h264", "", &*odd, ["161x128", "videocrop"]),
        ("a.ogg", "", &*unpaced, ["Ogg", "frame rate"]),
        ("a.mp4", "video-encoder=h265", &*odd, ["161x128", "H.265"]),
        (
            "a.mp4",
            "video-encoder=x264enc",
            &*odd,
            ["161x128", "H.264"],
        ),
        (
            "a.mp4",
            "video-encoder=nosuchenc",
            RAW,
            ["nosuchenc", "not installed"],
        ),
        (
            "a.mkv",
            "muxer-factory=nosuchmux",
            RAW,
            ["nosuchmux", "not installed"],
        ),
    ] {
        let pipeline = recorder(&[("video", caps)], options, &dir.path().join(name));
        give_odd(&pipeline, caps);
        let errors = errors(&pipeline);
        assert_eq!(errors.len(), 1, "{name} {options}: {errors:?}");
        assert_mentions(&errors[0], &words);
    }
    // JPEG has no such rule.
    let file = dir.path().join("odd.avi");
    let pipeline = recorder(&[("video", &odd)], "", &file);
    pipeline.play();
    give_odd(&pipeline, &odd);
    end(&pipeline, &["video"]);
    assert_eq!(until_eos(&pipeline).files, [(file, 3)]);
}

/// Three pictures of the size in the caps.
fn give_odd(pipeline: &Pipeline, caps: &str) {
    let caps: gst::Caps = caps.parse().unwrap();
    let size = gst_video::VideoInfo::from_caps(&caps).unwrap().size();
    let source = source(pipeline, "video");
    for n in 0..3 {
        let _ = source.push_buffer(buffer(vec![n as u8 * 50; size], Some(n * FRAME)));
    }
}

#[test]
fn an_encoder_of_sound_that_is_not_there_is_said_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let streams = [("audio", PCM)];
    let pipeline = recorder(
        &streams,
        "audio-encoder=nosuchenc",
        &dir.path().join("a.mp4"),
    );
    let _ = pipeline.0.set_state(gst::State::Ready).unwrap_err();
    assert_mentions(&pipeline.error().unwrap(), &["nosuchenc", "not installed"]);
    // Nobody asks for it where there is no sound.
    let streams = [("video", RAW)];
    let pipeline = recorder(
        &streams,
        "audio-encoder=nosuchenc",
        &dir.path().join("b.mp4"),
    );
    pipeline.0.set_state(gst::State::Ready).unwrap();
}

#[test]
fn a_link_that_leads_nowhere_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.mp4", "a.avi", "a.h264"] {
        let (link, target) = (dir.path().join(name), dir.path().join("target"));
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let pipeline = recorder(&[("video", RAW)], "overwrite=false", &link);
        let err = pipeline.run().unwrap_err();
        assert_mentions(&err, &["exists", name]);
        assert!(!target.exists());
    }
}

#[test]
fn parts_hold_what_split_bytes_says() {
    let dir = tempfile::tempdir().unwrap();
    for (limit, name, sound) in [
        (30_000, "s%d.avi", false),
        (65_536, "s%d.avi", true),
        (150_000, "s%d.avi", true),
        (65_536, "s%d.mkv", true),
        (65_536, "s%d.mov", true),
        (65_536, "s%d.mp4", true),
        (65_536, "s%d.ts", true),
        (65_536, "s%d.mjpeg", false),
        (20_000, "s%d.h264", false),
        (20_000, "s%d.h265", false),
    ] {
        let streams = [("video", RAW), ("audio", PCM)];
        let streams = &streams[..if sound { 2 } else { 1 }];
        let options = format!("split-bytes={limit}");
        let pipeline = recorder(streams, &options, &dir.path().join(name));
        pipeline.play();
        let source = source(&pipeline, "video");
        let mut noise = 1_u32;
        for n in 0..200_u64 {
            let mut picture = vec![128; 160 * 128 * 3 / 2];
            // More to tell from second to second.
            for byte in &mut picture[..(n / 25 * 100 + 300) as usize] {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = (noise >> 24) as u8;
            }
            source
                .push_buffer(buffer(picture, Some(n * FRAME)))
                .unwrap();
        }
        if sound {
            give_audio(&pipeline, gst::ClockTime::ZERO, 200 * FRAME);
        }
        let names: Vec<_> = streams.iter().map(|(name, _)| *name).collect();
        end(&pipeline, &names);
        let said = until_eos(&pipeline);
        // The last sound may be in a file of its own.
        let has_video = |file: &Path| entries(file, "stream=codec_type").contains(&"video".into());
        let with_video = said.files.iter().filter(|(file, _)| has_video(file));
        let total: u64 = with_video.map(|(_, frames)| frames).sum();
        assert_eq!(total, 200, "{name} of {limit}: {said:?}");
        assert!(said.files.len() >= 2, "{name} of {limit}: {said:?}");
        let sizes = said
            .files
            .iter()
            .map(|(file, _)| file.metadata().unwrap().len());
        let sizes: Vec<_> = sizes.collect();
        assert!(
            sizes.iter().all(|size| *size <= limit),
            "{name} of {limit}: {sizes:?}"
        );
    }
}

/// Frames that a copy of the file shows: nothing waits in buffers of the process, so that a copy is
/// what a program that is killed leaves.
fn frames_of_copy(file: &Path) -> usize {
    let copy = file.with_file_name(format!(
        "copy-{}",
        file.file_name().unwrap().to_string_lossy()
    ));
    std::fs::copy(file, &copy).unwrap();
    // Silent: before the first second there may be nothing that plays.
    let probe = std::process::Command::new("ffprobe")
        .args(["-v", "quiet", "-count_frames", "-select_streams", "v"])
        .args(["-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"])
        .arg(&copy)
        .output()
        .unwrap();
    let count = String::from_utf8_lossy(&probe.stdout).into_owned();
    let count = count.lines().next().unwrap_or_default();
    count.trim_end_matches(',').parse().unwrap_or(0)
}

#[test]
fn a_kill_loses_a_second_at_most() {
    let dir = tempfile::tempdir().unwrap();
    // In frames of 40 ms: a fragment of a second and a frame; a checkpoint; what passes just now, and
    // waits for the encoder of the sound, which holds two of its frames of 128 ms back.
    for (name, sound, lost) in [
        ("k.mp4", false, 26),
        ("ka.mp4", true, 27),
        ("k.mov", false, 26),
        ("ka.mov", true, 27),
        ("k.avi", false, 26),
        ("ka.avi", true, 27),
        ("k.mkv", false, 2),
        ("ka.mkv", true, 9),
        ("k.ts", false, 2),
        ("ka.ts", true, 9),
        ("k.h264", false, 2),
        ("k.mjpeg", false, 2),
    ] {
        let file = dir.path().join(name);
        let streams = [("video", RAW), ("audio", PCM)];
        let streams = &streams[..if sound { 2 } else { 1 }];
        let pipeline = recorder(streams, "", &file);
        pipeline.play();
        // The last frame before a fragment is over.
        const GIVEN: u64 = 149;
        give_video(&pipeline, gst::ClockTime::ZERO, GIVEN);
        if sound {
            give_audio(&pipeline, gst::ClockTime::ZERO, GIVEN * FRAME);
        }
        let sink = pipeline.element("r");
        until("all frames are in the muxer", || {
            let stats = sink.property::<gst::Structure>("stats");
            stats.get::<u64>("frames") == Ok(GIVEN)
        });
        until(&format!("{name} has lost {lost} frames at most"), || {
            frames_of_copy(&file) + lost >= GIVEN as usize
        });
        let names: Vec<_> = streams.iter().map(|(name, _)| *name).collect();
        end(&pipeline, &names);
        until_eos(&pipeline);
        assert_eq!(frames(&file), GIVEN as usize, "{name}");
    }
}

#[test]
fn what_is_said_of_a_file_is_so() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["full.mp4", "full.avi", "full.mkv", "full.h264"] {
        let file = dir.path().join(name);
        std::os::unix::fs::symlink("/dev/full", &file).unwrap();
        let pipeline = recorder(&[("video", RAW)], "", &file);
        pipeline.play();
        give_video(&pipeline, gst::ClockTime::ZERO, 50);
        let bus = pipeline.0.bus().unwrap();
        let mut errors = 0;
        // Whatever comes until the pipeline has stopped.
        let mut stopped = false;
        loop {
            let Some(message) = bus.timed_pop(if stopped { gst::ClockTime::ZERO } else { HANG })
            else {
                break;
            };
            assert!(!message.has_name("recordsink-file"), "{name}: {message:?}");
            if message.type_() == gst::MessageType::Error {
                errors += 1;
                // The bus drops everything on the way to NULL.
                pipeline.0.set_state(gst::State::Ready).unwrap();
                stopped = true;
            }
        }
        assert_eq!(errors, 1, "{name}");
    }
}

/// `aspectratiocrop` holds a lock while it pushes caps, which it takes to say what caps are possible.
#[test]
fn it_asks_nothing_upstream_while_caps_come() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["a.avi", "a.mp4", "a.mkv"] {
        let file = directory.path().join(name);
        Pipeline::launch(&format!(
            "videotestsrc num-buffers=10 ! video/x-raw,width=320,height=240,framerate=25/1 \
             ! aspectratiocrop aspect-ratio=1/1 ! recordsink location={}",
            file.display()
        ))
        .run()
        .unwrap();
        assert_eq!(
            ffprobe(&file, &[], "stream=width,height"),
            ["240", "240"],
            "{name}"
        );
        assert_eq!(frames(&file), 10, "{name}");
    }
}
