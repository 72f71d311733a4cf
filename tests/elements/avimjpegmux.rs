// SPDX-License-Identifier: MIT OR Apache-2.0
//! avimjpegmux: what other people's programs read in its files, and how it behaves as an element.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::common::{Pipeline, ffprobe, output, python, to_the_beginning};
use crate::feed::jpeg_head::{HALVED, jpeg_head};
use crate::feed::{Feed, JPEG, PCM, begin, link, numbers, picture};
use avi_mjpeg::jpeg;
use gst::prelude::*;

fn file(dir: &tempfile::TempDir, name: &str) -> std::path::PathBuf {
    dir.path().join(name)
}

/// A pipeline that makes `frames` frames at `rate`, and plays them into the muxer `mux`.
fn video(frames: u32, rate: &str) -> String {
    format!(
        "videotestsrc num-buffers={frames} pattern=ball ! \
         video/x-raw,width=160,height=120,framerate={rate} ! jpegenc ! mux."
    )
}

/// Frames that avidemux and jpegdec give.
fn avidemux_frames(path: &Path) -> Vec<gst::Buffer> {
    let pipeline = Pipeline::launch(&format!(
        "filesrc location={} ! avidemux name=demux demux.video_0 ! queue ! jpegdec ! \
         appsink name=sink sync=false",
        path.display()
    ));
    let sink = pipeline
        .element("sink")
        .downcast::<gst_app::AppSink>()
        .unwrap();
    pipeline.play();
    let mut frames = Vec::new();
    for sample in crate::common::samples(&sink) {
        frames.push(sample.buffer_owned().unwrap());
    }
    assert_eq!(pipeline.error(), None);
    frames
}

/// Their times in nanoseconds.
fn avidemux_times(path: &Path) -> Vec<u64> {
    let frames = avidemux_frames(path);
    let times = frames.iter().map(|frame| frame.pts().unwrap().nseconds());
    times.collect()
}

/// Frames that OpenCV reads.
fn opencv_frames(path: &Path) -> usize {
    let script = "import cv2, sys\n\
                  capture, n = cv2.VideoCapture(sys.argv[1]), 0\n\
                  while capture.read()[0]: n += 1\n\
                  print(n)";
    let text = output(python().args(["-c", script]).arg(path));
    text.trim().parse().unwrap()
}

#[test]
fn others_read_every_frame_at_its_time() {
    let dir = tempfile::tempdir().unwrap();
    for (rate, interval_num, interval_den) in [
        ("10/1", 1u64, 10u64),
        ("10/3", 3, 10),
        ("30000/1001", 1001, 30_000),
        ("1/2", 2, 1),
    ] {
        let path = file(&dir, "a.avi");
        Pipeline::launch(&format!(
            "avimjpegmux name=mux ! filesink location={} {}",
            path.display(),
            video(50, rate)
        ))
        .run()
        .unwrap();
        let probed = ffprobe(
            &path,
            &["-count_frames"],
            "stream=r_frame_rate,nb_read_frames",
        );
        assert_eq!(probed, [rate, "50"]);
        let times = avidemux_times(&path);
        assert_eq!(times.len(), 50, "{rate}");
        for (n, time) in times.iter().enumerate() {
            let expected = n as u64 * interval_num * 1_000_000_000 / interval_den;
            assert!(
                time.abs_diff(expected) < 1_000_000,
                "{rate}: frame {n} at {time}"
            );
        }
        assert_eq!(opencv_frames(&path), 50, "{rate}");
    }
}

#[test]
fn every_kind_of_pcm_comes_back_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    for (format, codec) in [
        ("U8", "pcm_u8"),
        ("S16LE", "pcm_s16le"),
        ("S24LE", "pcm_s24le"),
        ("S32LE", "pcm_s32le"),
    ] {
        for (rate, channels) in [
            (8000, 1),
            (44_100, 2),
            (48_000, 3),
            (96_000, 6),
            (192_000, 8),
        ] {
            let path = file(&dir, "a.avi");
            let raw = file(&dir, "a.pcm");
            Pipeline::launch(&format!(
                "avimjpegmux name=mux ! filesink location={} \
                 audiotestsrc num-buffers=7 wave=white-noise samplesperbuffer=777 ! \
                 audio/x-raw,format={format},rate={rate},channels={channels} ! tee name=tee \
                 tee. ! queue ! filesink location={} tee. ! queue ! mux. {}",
                path.display(),
                raw.display(),
                video(5, "10/1")
            ))
            .run()
            .unwrap();
            let probed = ffprobe(
                &path,
                &["-select_streams", "a"],
                "stream=codec_name,sample_rate,channels",
            );
            assert_eq!(probed, [codec, &rate.to_string(), &channels.to_string()]);
            let decoded = file(&dir, "b.pcm");
            let status = Command::new("ffmpeg")
                .args(["-v", "error", "-y", "-i"])
                .arg(&path)
                .args(["-map", "0:a", "-c", "copy", "-f", "data"])
                .arg(&decoded)
                .status()
                .unwrap();
            assert!(status.success());
            assert!(
                std::fs::read(raw).unwrap() == std::fs::read(decoded).unwrap(),
                "{format} {rate} {channels}"
            );
        }
    }
}

#[test]
fn a_pipe_gets_a_file_that_plays() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.avi");
    // A sink that cannot seek.
    let pipeline = Pipeline::launch(&format!(
        "avimjpegmux name=mux ! appsink name=sink sync=false {} \
         audiotestsrc num-buffers=20 ! audio/x-raw,format=S16LE,rate=8000 ! mux.",
        video(20, "10/1")
    ));
    let sink = pipeline
        .element("sink")
        .downcast::<gst_app::AppSink>()
        .unwrap();
    pipeline.play();
    let mut bytes = Vec::new();
    for sample in crate::common::samples(&sink) {
        bytes.extend_from_slice(&sample.buffer().unwrap().map_readable().unwrap());
    }
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(
        ffprobe(
            &path,
            &["-count_frames", "-select_streams", "v"],
            "stream=nb_read_frames"
        ),
        ["20"]
    );
    assert_eq!(avidemux_times(&path).len(), 20);
    assert_eq!(opencv_frames(&path), 20);
}

#[test]
fn chunks_reach_a_file_in_large_pieces_and_a_pipe_at_once() {
    const PIECE: usize = 64 * 1024;
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.avi");
    let caps = [format!("{JPEG},framerate=25/1")];
    let into_file = format!("filesink location={}", path.display());
    for (sink, is_file) in [(into_file.as_str(), true), ("fakesink", false)] {
        for (frames, size) in [(1000, 1000), (200, 100_000), (30, 700_001)] {
            let start = Instant::now();
            let feed = Feed::into_sink("checkpoint-interval=0", sink, &caps);
            let ends = Arc::new(Mutex::new(Vec::new()));
            let seen = ends.clone();
            let source = feed.mux.static_pad("src").unwrap();
            source.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
                let mut seen = seen.lock().unwrap();
                let end = seen.last().copied().unwrap_or(0);
                seen.push(end + info.buffer().unwrap().size());
                gst::PadProbeReturn::Ok
            });
            for n in 0..frames {
                feed.push(0, picture(n, size), f64::from(n) * 40.0).unwrap();
            }
            let ends = std::mem::take(&mut *ends.lock().unwrap());
            if is_file {
                // One each 2 ms for what is recorded, and some ahead; the rest in whole pieces.
                let recorded = start.elapsed().as_millis() as usize / 2 + 32 + 1;
                let whole = ends.iter().filter(|end| **end % PIECE == 0).count();
                let other = ends.len() - whole;
                assert!(other <= 2 * recorded, "{other} others");
                let inside_others = recorded * (1 + size / PIECE);
                let all = frames as usize * size / PIECE;
                assert!(whole + inside_others >= all, "{whole} pieces");
            } else {
                assert_eq!(ends.len(), frames as usize + 1);
            }
            feed.end().unwrap();
            if is_file {
                let in_file = numbers(&std::fs::read(&path).unwrap());
                assert_eq!(in_file, (0..frames).map(Some).collect::<Vec<_>>());
            }
        }
    }
    // A checkpoint waits for no piece to be full.
    let feed = Feed::new("checkpoint-interval=1000000000", &path, &caps);
    for n in 0..30 {
        feed.push(0, picture(n, 1000), f64::from(n) * 40.0).unwrap();
    }
    assert_eq!(feed.stat("checkpoints"), 1);
    let in_file = numbers(&std::fs::read(&path).unwrap());
    assert_eq!(in_file, (0..25).map(Some).collect::<Vec<_>>());
}

#[test]
fn what_is_stopped_without_an_end_has_all_that_came() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.avi");
    let feed = Feed::new("", &path, &[format!("{JPEG},framerate=25/1")]);
    for n in 0..20 {
        feed.push(0, picture(n, 1000), f64::from(n) * 40.0).unwrap();
    }
    feed.pipeline.0.set_state(gst::State::Null).unwrap();
    let packets = ffprobe(&path, &["-count_packets"], "stream=nb_read_packets");
    assert_eq!(packets, ["20"]);
}

#[test]
fn a_copy_keeps_no_more_of_the_disk_than_it_needs() {
    const FRAMES: u32 = 90;
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.avi");
    // Bytes of the disk that the file has and does not need, but for what the file system itself does.
    let too_much = || {
        let metadata = path.metadata().unwrap();
        (metadata.blocks() * 512).saturating_sub(metadata.len() + 256 * 1024)
    };
    for (way, is_ended) in [("", true), ("", false), ("queue !", true)] {
        let sink = format!("{way} filesink location={}", path.display());
        let feed = Feed::into_sink("", &sink, &[format!("{JPEG},framerate=25/1")]);
        for n in 0..FRAMES {
            feed.push(0, picture(n, 700_000), f64::from(n) * 40.0)
                .unwrap();
            // Another thread writes: what is behind the end for us may not be for it.
            assert!(way.is_empty() || too_much() < 1 << 20);
        }
        if is_ended {
            feed.end().unwrap();
        }
        feed.pipeline.0.set_state(gst::State::Null).unwrap();
        assert_eq!(too_much(), 0, "{way} {is_ended}");
        let packets = ffprobe(&path, &["-count_packets"], "stream=nb_read_packets");
        let packets: u32 = packets[0].parse().unwrap();
        // Of what is copied the last piece is only there at the end.
        assert!(packets == FRAMES || !is_ended && packets == FRAMES - 1);
        if is_ended {
            let in_file = numbers(&std::fs::read(&path).unwrap());
            assert_eq!(in_file, (0..FRAMES).map(Some).collect::<Vec<_>>());
        }
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn the_k210_plays_every_file_of_its_profile() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.avi");
    for (rate, interval, sound, sound_from, block) in [
        ("10/1", 100.0, None, 0, 0),
        ("10/3", 300.0, Some((44_100, 2)), 0, 441),
        ("10/1", 100.0, Some((44_100, 2)), 0, 44_100),
        ("10/1", 100.0, Some((44_100, 1)), 1500, 1024),
        ("30/1", 1000.0 / 30.0, Some((8000, 1)), 0, 80),
        ("25/1", 40.0, Some((48_000, 2)), 700, 5000),
        ("1/2", 2000.0, Some((22_050, 1)), 0, 2205),
    ] {
        let mut caps = vec![format!("{JPEG},framerate={rate}")];
        if let Some((rate, channels)) = sound {
            caps.push(format!("{PCM},rate={rate},channels={channels}"));
        }
        let feed = Feed::new("profile=k210", &path, &caps);
        let frames = 40;
        let mut samples = 0;
        for n in 0..frames {
            let time = f64::from(n) * interval;
            if let Some((rate, channels)) = sound {
                while (samples as f64) * 1000.0 / f64::from(rate) + f64::from(sound_from) < time {
                    let at = f64::from(sound_from) + samples as f64 * 1000.0 / f64::from(rate);
                    feed.push(1, vec![7; block * 2 * channels], at).unwrap();
                    samples += block;
                }
            }
            feed.push(0, picture(n, 3000 + n as usize), time).unwrap();
        }
        feed.end().unwrap();
        drop(feed);
        let bytes = std::fs::read(&path).unwrap();
        let played =
            crate::k210_player::play(&bytes).unwrap_or_else(|error| panic!("{rate}: {error}"));
        assert_eq!(played.frames.len(), frames as usize);
        assert_eq!(numbers(&bytes), (0..frames).map(Some).collect::<Vec<_>>());
        let micro_sec = (interval * 1000.0).round() as u32;
        assert_eq!(
            (played.micro_sec_per_frame, played.size),
            (micro_sec, (320, 240))
        );
        let Some((sound_rate, channels)) = sound else {
            continue;
        };
        assert_eq!(
            (played.sample_rate, usize::from(played.channels)),
            (sound_rate, channels)
        );
        // One size, but for the last.
        let first = played.sound[0].len();
        let (last, others) = played.sound.split_last().unwrap();
        assert!(others.iter().all(|chunk| chunk.len() == first));
        assert!(last.len() <= first);
        assert!(played.order.starts_with("VA"), "{}", played.order);
        // The samples are all there, at their time, and silence before them.
        let all = played.sound.concat();
        let silence = sound_from as usize * sound_rate as usize / 1000 * 2 * channels;
        assert!(all[..silence].iter().all(|byte| *byte == 0));
        assert!(
            all[silence..silence + samples * 2 * channels]
                .iter()
                .all(|byte| *byte == 7)
        );
        // Sound is never more than two intervals from the frame that it is beside.
        let (mut shown, mut heard) = (0.0, 0.0);
        for kind in played.order.chars() {
            if kind == 'V' {
                shown += interval;
            } else {
                heard += (first / 2 / channels) as f64 * 1000.0 / f64::from(sound_rate);
            }
            let ends = f64::from(sound_from) + samples as f64 * 1000.0 / f64::from(sound_rate);
            let slack = 2.0 * interval + block as f64 * 1000.0 / f64::from(sound_rate);
            if shown < ends - slack {
                assert!(
                    heard - shown <= slack && shown - heard <= slack,
                    "{rate}: {}",
                    played.order
                );
            }
        }
    }
}

#[test]
fn pictures_from_files_become_a_video() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = file(&dir, "%02d.jpg");
    let pictures = pictures.display();
    Pipeline::launch(&format!(
        "videotestsrc num-buffers=12 ! video/x-raw,width=160,height=120 ! jpegenc ! \
         multifilesink location={pictures}"
    ))
    .run()
    .unwrap();
    let path = file(&dir, "a.avi");
    Pipeline::launch(&format!(
        "multifilesrc location={pictures} caps=image/jpeg,framerate=5/1,width=160,height=120 ! \
         avimjpegmux ! filesink location={}",
        path.display()
    ))
    .run()
    .unwrap();
    let times: Vec<u64> = (0..12).map(|n| n * 200_000_000).collect();
    assert_eq!(avidemux_times(&path), times);
}

#[test]
fn the_k210_gets_the_tables_that_webcams_leave_out() {
    let dir = tempfile::tempdir().unwrap();
    let record = |name: &str, leave_out: bool| {
        let path = file(&dir, name);
        let pipeline = Pipeline::launch(&format!(
            "videotestsrc num-buffers=5 pattern=ball ! \
             video/x-raw,format=I420,width=320,height=240,framerate=10/1 ! jpegenc name=webcam ! \
             avimjpegmux profile=k210 ! filesink location={}",
            path.display()
        ));
        let pad = pipeline.element("webcam").static_pad("src").unwrap();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(buffer) = info.buffer_mut().filter(|_| leave_out) {
                let bytes = without_tables(&buffer.map_readable().unwrap());
                let mut bare = gst::Buffer::from_slice(bytes);
                let times = gst::BufferCopyFlags::TIMESTAMPS;
                let _ = buffer.copy_into(bare.get_mut().unwrap(), times, ..);
                *buffer = bare;
            }
            gst::PadProbeReturn::Ok
        });
        assert_eq!(pipeline.run(), Ok(()));
        path
    };
    let whole = record("whole.avi", false);
    let bare = record("bare.avi", true);
    let played = crate::k210_player::play(&std::fs::read(&bare).unwrap()).unwrap();
    assert_eq!(played.frames.len(), 5);
    let pixels = |path: &Path| {
        let frames = avidemux_frames(path);
        let pixels = frames.iter().map(|f| f.map_readable().unwrap().to_vec());
        pixels.collect::<Vec<_>>()
    };
    let shown = pixels(&bare);
    assert_eq!(shown.len(), 5);
    assert!(shown == pixels(&whole));
}

/// A picture without its Huffman tables, as many webcams make it.
fn without_tables(picture: &[u8]) -> Vec<u8> {
    let mut bare = picture[..2].to_vec();
    let mut at = 2;
    for segment in jpeg::Segments::of(picture).unwrap() {
        let segment = segment.unwrap();
        if segment.marker != 0xc4 {
            bare.extend(&picture[at..segment.end]);
        }
        at = segment.end;
    }
    bare.extend(&picture[at..]);
    bare
}

#[test]
fn frames_that_the_k210_cannot_play_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.avi");
    let caps = [format!("{JPEG},framerate=10/1")];
    let with = |from: [u8; 2], to: [u8; 2]| {
        let mut bytes = picture(2, 1000);
        let at = bytes.windows(2).position(|two| two == from).unwrap();
        bytes[at..at + 2].copy_from_slice(&to);
        bytes
    };
    for (bad, words) in [
        (
            picture(2, 35_833),
            &["Frame 2", "35833 bytes", "35832", "quality"][..],
        ),
        (
            with([0xff, 0xc0], [0xff, 0xc2]),
            &["Frame 2", "baseline", "SOF2"],
        ),
        (
            jpeg_head(320, 496, &HALVED),
            &["Frame 2", "320x496", "320x240"],
        ),
        // As ffmpeg encodes 4:2:2.
        (
            jpeg_head(320, 240, &[(2, 2), (1, 2), (1, 2)]),
            &["Frame 2", "2x2, 1x2, 1x2", "jpegenc", "I420"],
        ),
        // An application segment where the tables should be.
        (
            with([0xff, 0xdb], [0xff, 0xeb]),
            &["Frame 2", "without quantization table 0", "jpegenc"],
        ),
        (Vec::new(), &["Frame 2", "empty"]),
    ] {
        let feed = Feed::new("profile=k210", &path, &caps);
        feed.push(0, picture(0, 35_832), 0.0).unwrap();
        feed.push(0, picture(1, 200), 100.0).unwrap();
        let (playing, ..) = feed.pipeline.0.state(crate::common::HANG);
        playing.unwrap();
        assert_eq!(feed.push(0, bad, 200.0), Err(gst::FlowError::Eos));
        // The file's end must not be heard of first.
        let error = feed.pipeline.wait().unwrap_err();
        for word in words {
            assert!(error.contains(word), "{word:?} is not in {error:?}");
        }
        drop(feed);
        // What was good before is a sound file.
        let played = crate::k210_player::play(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(played.frames.len(), 2);
    }
    // With sound, the first frame has to leave room for the sound's beginning.
    let caps = [caps[0].clone(), format!("{PCM},rate=8000,channels=1")];
    let feed = Feed::new("profile=k210", &path, &caps);
    feed.push(1, vec![0; 1600], 0.0).unwrap();
    let _ = feed.push(0, picture(0, 35_800), 0.0);
    let error = feed.pipeline.error().unwrap();
    assert!(
        error.contains("Frame 0") && error.contains("35800"),
        "{error}"
    );
}

#[test]
fn splitmuxsink_loses_no_frame() {
    let dir = tempfile::tempdir().unwrap();
    for split in ["max-size-time=1000000000", "max-size-bytes=60000"] {
        Pipeline::launch(&format!(
            "splitmuxsink name=split muxer=avimjpegmux {split} location={}/%03d.avi \
             videotestsrc num-buffers=100 ! \
             video/x-raw,width=160,height=120,framerate=25/1 ! jpegenc ! split.video \
             audiotestsrc num-buffers=100 samplesperbuffer=320 ! \
             audio/x-raw,rate=8000,format=S16LE,channels=1 ! queue ! split.audio_0",
            dir.path().display()
        ))
        .run()
        .unwrap();
        let (mut frames, mut files) = (0, 0);
        loop {
            let path = file(&dir, &format!("{files:03}.avi"));
            if !path.exists() {
                break;
            }
            frames += avidemux_times(&path).len();
            std::fs::remove_file(path).unwrap();
            files += 1;
        }
        assert_eq!(frames, 100, "{split}");
        assert!(files >= 3, "{split}: {files} files");
    }
}

/// What ffprobe reads of a file's tags, as `name=text`.
fn tags(path: &Path) -> Vec<String> {
    let text = output(
        Command::new("ffprobe")
            .args(["-v", "error", "-show_entries", "format_tags", "-of"])
            .arg("default=noprint_wrappers=1")
            .arg(path),
    );
    let lines = text.lines().map(|line| line.trim_start_matches("TAG:"));
    lines.map(str::to_owned).collect()
}

#[test]
fn tags_are_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.avi");
    for properties in ["", "big-file=false", "profile=k210"] {
        let feed = Feed::new(properties, &path, &[format!("{JPEG},framerate=10/1")]);
        let setter = feed.mux.dynamic_cast_ref::<gst::TagSetter>().unwrap();
        setter.add_tag::<gst::tags::Title>(&"Garden", gst::TagMergeMode::Replace);
        let mut tag_list = gst::TagList::new();
        let new = tag_list.get_mut().unwrap();
        new.add::<gst::tags::Title>(&"not this one", gst::TagMergeMode::Append);
        new.add::<gst::tags::Artist>(&"Zoë", gst::TagMergeMode::Append);
        new.add::<gst::tags::Comment>(&"by hand", gst::TagMergeMode::Append);
        new.add::<gst::tags::ApplicationName>(&"camera 7", gst::TagMergeMode::Append);
        let date = gst::DateTime::from_iso8601_string("2024-05-06").unwrap();
        new.add::<gst::tags::DateTime>(&date, gst::TagMergeMode::Append);
        feed.pads[0].push_event(gst::event::Tag::new(tag_list));
        feed.push(0, picture(0, 100), 0.0).unwrap();
        feed.end().unwrap();
        let found = tags(&path);
        for tag in [
            "title=Garden",
            "artist=Zoë",
            "comment=by hand",
            "software=camera 7",
            "date=2024-05-06",
        ] {
            assert!(found.iter().any(|line| line == tag), "{tag}: {found:?}");
        }
    }
}

#[test]
fn tags_that_come_while_it_records_are_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.avi");
    for properties in ["", "big-file=false"] {
        let feed = Feed::new(properties, &path, &[format!("{JPEG},framerate=10/1")]);
        feed.push(0, picture(0, 100), 0.0).unwrap();
        assert_eq!(feed.stat("frames"), 1, "the head is written");
        let mut tag_list = gst::TagList::new();
        let new = tag_list.get_mut().unwrap();
        new.set_scope(gst::TagScope::Global);
        new.add::<gst::tags::Title>(&"Named later", gst::TagMergeMode::Append);
        feed.pads[0].push_event(gst::event::Tag::new(tag_list));
        feed.push(0, picture(1, 100), 100.0).unwrap();
        let setter = feed.mux.dynamic_cast_ref::<gst::TagSetter>().unwrap();
        setter.add_tag::<gst::tags::Comment>(&"at the end", gst::TagMergeMode::Replace);
        feed.end().unwrap();
        let found = tags(&path);
        for tag in ["title=Named later", "comment=at the end"] {
            assert!(found.iter().any(|line| line == tag), "{tag}: {found:?}");
        }
        drop(feed);
        assert_eq!(numbers(&std::fs::read(&path).unwrap()), [Some(0), Some(1)]);
    }
}

#[test]
fn several_streams_of_sound_stay_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.avi");
    let formats = [(8000u32, 1usize), (48_000, 2), (44_100, 1)];
    let mut caps = vec![format!("{JPEG},framerate=10/1")];
    for (rate, channels) in formats {
        let channels = match channels {
            1 => "channels=1",
            _ => "channels=2,channel-mask=(bitmask)3",
        };
        caps.push(format!("{PCM},rate={rate},{channels}"));
    }
    let feed = Feed::new("", &path, &caps);
    let mut sent = vec![Vec::new(); 3];
    for n in 0..50 {
        let time = f64::from(n) * 100.0;
        for (k, (rate, channels)) in formats.iter().enumerate() {
            let block = vec![(n * 3) as u8 + k as u8; *rate as usize / 10 * 2 * channels];
            sent[k].extend_from_slice(&block);
            feed.push(k + 1, block, time).unwrap();
        }
        feed.push(0, picture(n, 500), time).unwrap();
    }
    feed.end().unwrap();
    drop(feed);
    for (k, sent) in sent.iter().enumerate() {
        let sound = file(&dir, "sound");
        output(
            Command::new("ffmpeg")
                .args(["-v", "error", "-y", "-i"])
                .arg(&path)
                .args(["-map", &format!("0:a:{k}"), "-c", "copy", "-f", "data"])
                .arg(&sound),
        );
        assert!(std::fs::read(sound).unwrap() == *sent, "stream {k}");
        let pipeline = Pipeline::launch(&format!(
            "filesrc location={} ! avidemux name=demux demux.audio_{k} ! queue ! \
             appsink name=sink sync=false",
            path.display()
        ));
        let sink: gst_app::AppSink = pipeline.element("sink").downcast().unwrap();
        pipeline.play();
        let mut heard = Vec::new();
        for sample in crate::common::samples(&sink) {
            heard.extend_from_slice(&sample.buffer().unwrap().map_readable().unwrap());
        }
        assert!(heard == *sent, "stream {k} by avidemux");
    }
}

#[test]
fn negotiation_refuses_what_cannot_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.avi");
    // Not in the template: never linked.
    crate::common::init();
    let mux = gst::ElementFactory::make("avimjpegmux").build().unwrap();
    let pad = mux.request_pad_simple("audio_%u").unwrap();
    for (caps, accepted) in [
        (
            "audio/x-raw,format=S16LE,layout=interleaved,rate=44100,channels=2",
            true,
        ),
        (
            "audio/x-raw,format=F32LE,layout=interleaved,rate=44100,channels=2",
            false,
        ),
        (
            "audio/x-raw,format=S16LE,layout=interleaved,rate=200000,channels=2",
            false,
        ),
        (
            "audio/x-raw,format=S16LE,layout=interleaved,rate=44100,channels=9",
            false,
        ),
        ("audio/mpeg,mpegversion=1", false),
    ] {
        assert_eq!(
            pad.query_accept_caps(&caps.parse().unwrap()),
            accepted,
            "{caps}"
        );
    }
    mux.set_property_from_str("profile", "k210");
    assert!(
        !pad.query_accept_caps(
            &"audio/x-raw,format=U8,layout=interleaved,rate=44100,channels=2"
                .parse()
                .unwrap()
        )
    );
    assert!(
        mux.request_pad_simple("audio_%u").is_none(),
        "the K210 plays one sound"
    );

    // Other caps in the middle of a stream: an error that says so; the rate may change.
    let caps = [format!("{JPEG},framerate=10/1")];
    let feed = Feed::new("", &path, &caps);
    feed.push(0, picture(0, 100), 0.0).unwrap();
    let rate: gst::Caps = format!("{JPEG},framerate=5/1").parse().unwrap();
    assert!(feed.pads[0].push_event(gst::event::Caps::new(&rate)));
    feed.push(0, picture(1, 100), 100.0).unwrap();
    let size: gst::Caps = "image/jpeg,width=640,height=480,framerate=10/1"
        .parse()
        .unwrap();
    // Sticky, so what it comes to is told with the next buffer.
    feed.pads[0].push_event(gst::event::Caps::new(&size));
    assert_eq!(
        feed.push(0, picture(2, 100), 200.0),
        Err(gst::FlowError::Eos)
    );
    let error = feed.pipeline.error().unwrap();
    assert!(
        error.contains("640") && error.contains("changed"),
        "{error}"
    );
}

#[test]
fn events_pass_in_their_turn_and_seeks_are_refused() {
    crate::common::init();
    let feed = Feed::into_sink(
        "",
        "fakesink name=sink sync=false",
        &[format!("{JPEG},framerate=25/1")],
    );
    let sink = feed.pipeline.element("sink").static_pad("sink").unwrap();
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = seen.clone();
    sink.add_probe(
        gst::PadProbeType::EVENT_DOWNSTREAM | gst::PadProbeType::BUFFER,
        move |_, info| {
            log.lock().unwrap().push(match &info.data {
                Some(gst::PadProbeData::Event(event)) => event.type_().name().to_string(),
                _ => "buffer".into(),
            });
            gst::PadProbeReturn::Ok
        },
    );
    feed.push(0, picture(0, 100), 0.0).unwrap();
    let unit = gst_video::DownstreamForceKeyUnitEvent::builder()
        .all_headers(true)
        .build();
    feed.pads[0].push_event(unit);
    feed.push(0, picture(1, 100), 40.0).unwrap();
    feed.end().unwrap();
    let seen = seen.lock().unwrap().join(" ");
    assert!(
        seen.starts_with("stream-start caps segment buffer buffer custom-downstream buffer"),
        "{seen}"
    );
    assert!(seen.ends_with("eos"), "{seen}");
    let src = feed.mux.static_pad("src").unwrap();
    assert!(!src.send_event(to_the_beginning()));
}

#[test]
fn a_flush_begins_the_file_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.avi");
    let caps = [format!("{JPEG},framerate=25/1")];
    let feed = Feed::new("", &path, &caps);
    for n in 0..10 {
        feed.push(0, picture(n, 100), f64::from(n) * 40.0).unwrap();
    }
    feed.pads[0].push_event(gst::event::FlushStart::new());
    feed.pads[0].push_event(gst::event::FlushStop::new(true));
    begin(&feed.pads[0], &caps[0]);
    for n in 100..105 {
        feed.push(0, picture(n, 100), f64::from(n) * 40.0).unwrap();
    }
    feed.end().unwrap();
    drop(feed);
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(numbers(&bytes), (100..105).map(Some).collect::<Vec<_>>());
    assert_eq!(
        ffprobe(&path, &["-count_packets"], "stream=nb_read_packets"),
        ["5"]
    );
}

#[test]
fn states_can_be_cycled() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.avi");
    let pipeline = Pipeline::launch(&format!(
        "avimjpegmux name=mux ! filesink location={} {} \
         audiotestsrc ! audio/x-raw,format=S16LE,rate=8000 ! mux.",
        path.display(),
        video(100_000, "30/1")
    ));
    for n in 0..100 {
        let state = [gst::State::Playing, gst::State::Paused][n % 2];
        pipeline.0.set_state(state).unwrap();
        pipeline.0.state(crate::common::HANG).0.unwrap();
        pipeline
            .0
            .set_state([gst::State::Ready, gst::State::Null][n / 2 % 2])
            .unwrap();
    }
    // It still works.
    pipeline.play();
    pipeline.0.state(crate::common::HANG).0.unwrap();
    pipeline.0.send_event(gst::event::Eos::new());
    pipeline.wait().unwrap();
    assert!(!avidemux_times(&path).is_empty());
}

#[test]
fn a_stream_without_data_ends() {
    let feed = Feed::into_sink("", "fakesink", &[format!("{JPEG},framerate=25/1")]);
    feed.end().unwrap();
    let feed = Feed::into_sink("", "fakesink", &[]);
    let pad = link(&feed.mux, JPEG);
    pad.push_event(gst::event::StreamStart::new("a"));
    assert!(pad.push(gst::Buffer::new()).is_err(), "data before caps");
    assert!(feed.pipeline.error().unwrap().contains("before caps"));
}

#[test]
fn latency_is_upstreams() {
    let feed = Feed::into_sink("", "fakesink", &[format!("{JPEG},framerate=25/1")]);
    let upstream = &feed.pads[0];
    // A pad's query function is set before it is used; this one is made for the test.
    let live = gst::Pad::builder(gst::PadDirection::Src)
        .query_function(|pad, parent, query| {
            if let gst::QueryViewMut::Latency(latency) = query.view_mut() {
                latency.set(
                    true,
                    gst::ClockTime::from_mseconds(70),
                    gst::ClockTime::NONE,
                );
                return true;
            }
            gst::Pad::query_default(pad, parent, query)
        })
        .build();
    live.set_active(true).unwrap();
    let sink = upstream.peer().unwrap();
    upstream.unlink(&sink).unwrap();
    live.link(&sink).unwrap();
    let mut query = gst::query::Latency::new();
    assert!(feed.mux.static_pad("src").unwrap().query(&mut query));
    let (is_live, min, max) = query.result();
    assert_eq!(
        (is_live, min, max),
        (true, gst::ClockTime::from_mseconds(70), None)
    );
}

#[test]
fn the_contract_is_kept() {
    crate::common::init();
    let mux = gst::ElementFactory::make("avimjpegmux").build().unwrap();
    assert_eq!(mux.property::<u64>("checkpoint-interval"), 1_000_000_000);
    assert!(mux.property::<bool>("big-file"));
    let factory = mux.factory().unwrap();
    assert_eq!(factory.metadata("klass"), Some("Codec/Muxer"));
    let templates: Vec<_> = factory
        .static_pad_templates()
        .into_iter()
        .map(|template| template.name_template().to_string())
        .collect();
    for name in ["video_%u", "audio_%u", "src"] {
        assert!(
            templates.iter().any(|template| template == name),
            "{templates:?}"
        );
    }
    assert_eq!(mux.request_pad_simple("video_3").unwrap().name(), "video_3");
    assert_eq!(
        mux.request_pad_simple("video_%u").unwrap().name(),
        "video_0"
    );
}

/// A recording beyond 4 GiB, which takes minutes and as much disk: `make soak-avi` runs it.
#[test]
#[ignore = "writes 5 GiB"]
fn a_large_file_plays_and_seeks_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.avi");
    let feed = Feed::new("", &path, &[format!("{JPEG},framerate=25/1")]);
    for n in 0..5200 {
        feed.push(0, picture(n, 1 << 20), f64::from(n) * 40.0)
            .unwrap();
    }
    feed.end().unwrap();
    drop(feed);
    assert!(std::fs::metadata(&path).unwrap().len() > 5 << 30);
    let last = output(
        Command::new("ffprobe")
            .args([
                "-v",
                "error",
                "-read_intervals",
                "207.9%",
                "-select_streams",
                "v",
            ])
            .args(["-show_entries", "packet=pts_time,size", "-of", "csv=p=0"])
            .arg(&path),
    );
    assert_eq!(
        last.lines().last().unwrap().trim_end_matches(','),
        "207.960000,1048576"
    );
    for demux in ["avidemux", "avimjpegdemux"] {
        let pipeline = Pipeline::launch(&format!(
            "filesrc location={} ! {demux} ! fakesink name=sink sync=false",
            path.display()
        ));
        pipeline.0.set_state(gst::State::Paused).unwrap();
        pipeline.0.state(crate::common::HANG).0.unwrap();
        let end = gst::ClockTime::from_mseconds(207_960);
        pipeline
            .0
            .seek_simple(gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE, end)
            .unwrap();
        pipeline.0.state(crate::common::HANG).0.unwrap();
        let sink = pipeline.element("sink");
        let sample = sink.property::<Option<gst::Sample>>("last-sample").unwrap();
        let buffer = sample.buffer().unwrap();
        assert_eq!(buffer.pts(), Some(end), "{demux}");
        let frame = buffer.map_readable().unwrap();
        assert!(*frame == picture(5199, 1 << 20), "{demux}: another frame");
        pipeline.run().unwrap();
    }
}

/// `gst-launch-1.0` ends with 0 then, and leaves an empty file.
#[test]
fn a_stream_that_brings_nothing_is_told_of() {
    let pipeline = Pipeline::launch(
        "videotestsrc num-buffers=0 ! jpegenc ! avimjpegmux name=m ! fakesink \
         audiotestsrc num-buffers=0 ! m.",
    );
    pipeline.play();
    let warned = pipeline.warned();
    assert!(
        matches!(&warned[..], [one] if one.starts_with("Nothing came: there is no file")),
        "{warned:?}"
    );
}
