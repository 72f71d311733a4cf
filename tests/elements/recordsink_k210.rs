// SPDX-License-Identifier: MIT OR Apache-2.0
//! `recordsink profile=k210`: what it records is played as MaixPy's firmware does; and `width` and
//! `height`, for any file.

use std::path::Path;

use crate::common::Pipeline;
use crate::k210_player::{self, Played};
use gst::prelude::*;

fn played(file: &Path) -> Played {
    let bytes = std::fs::read(file).unwrap();
    k210_player::play(&bytes).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The brightness of a recording's first picture, row by row, and how long its rows are.
fn first_picture(file: &Path) -> (Vec<u8>, usize, usize) {
    let pipeline = Pipeline::launch(&format!(
        "uridecodebin uri=file://{} ! videoconvert ! video/x-raw,format=GRAY8 ! \
         appsink name=sink sync=false max-buffers=1",
        file.display()
    ));
    pipeline.play();
    let sink = pipeline.element("sink").downcast::<gst_app::AppSink>();
    let sample = crate::common::samples(&sink.unwrap()).next().unwrap();
    let info = gst_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
    assert_eq!(info.par(), gst::Fraction::new(1, 1));
    let (width, height) = (info.width() as usize, info.height() as usize);
    let map = sample.buffer().unwrap().map_readable().unwrap();
    let rows = map.chunks(info.stride()[0] as usize).take(height);
    let picture = rows.flat_map(|row| row[..width].iter().copied()).collect();
    (picture, width, height)
}

#[test]
fn what_any_camera_and_microphone_give_plays_on_the_board() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("board.avi");
    Pipeline::launch(&format!(
        "videotestsrc num-buffers=30 ! video/x-raw,format=YUY2,width=640,height=480,framerate=15/1 ! r.video \
         audiotestsrc num-buffers=96 samplesperbuffer=2000 ! \
         audio/x-raw,format=F32LE,rate=96000,channels=6 ! r.audio \
         recordsink name=r location={} profile=k210 width=320 height=240",
        file.display()
    ))
    .run()
    .unwrap();
    let played = played(&file);
    assert_eq!(played.size, (320, 240));
    assert_eq!(played.frames.len(), 30);
    assert_eq!(played.micro_sec_per_frame, 66_667);
    assert_eq!((played.sample_rate, played.channels), (48_000, 2));
    let bytes: usize = played.sound.iter().map(Vec::len).sum();
    assert!(bytes.abs_diff(2 * 48_000 * 4) < 4 * 1024, "{bytes}");
}

#[test]
fn a_grey_or_silent_picture_and_parts_of_a_recording_play_too() {
    let dir = tempfile::tempdir().unwrap();
    Pipeline::launch(&format!(
        "videotestsrc num-buffers=30 ! video/x-raw,format=GRAY8,width=160,height=120,framerate=10/1 ! \
         recordsink location={}/%d.avi profile=k210 split-time=1000000000",
        dir.path().display()
    ))
    .run()
    .unwrap();
    for part in 0..3 {
        let played = played(&dir.path().join(format!("{part}.avi")));
        assert_eq!((played.frames.len(), played.size), (10, (160, 120)));
        assert_eq!(played.sample_rate, 0);
    }
}

#[test]
fn pictures_that_are_too_large_get_less_quality() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("snow.avi");
    // Noise, which JPEG cannot compress, amid pictures that it can.
    let pipeline = Pipeline::launch(&format!(
        "videotestsrc num-buffers=8 pattern=snow ! video/x-raw,width=320,height=240,framerate=10/1 ! \
         c. videotestsrc num-buffers=8 ! video/x-raw,width=320,height=240,framerate=10/1 ! c. \
         concat name=c ! r.video audiotestsrc num-buffers=16 samplesperbuffer=4410 ! \
         audio/x-raw,rate=44100,channels=1 ! r.audio \
         recordsink name=r location={} profile=k210 quality=very-high",
        file.display()
    ));
    pipeline.play();
    let warnings = pipeline.warned();
    let played = played(&file);
    assert_eq!(played.frames.len(), 16);
    let sizes: Vec<usize> = played.frames.iter().map(Vec::len).collect();
    // None is small for nothing.
    assert!(
        sizes[..8]
            .iter()
            .all(|size| (16_384..=32_768).contains(size)),
        "{sizes:?}"
    );
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    crate::common::assert_mentions(&warnings[0], &["less quality", "width=320 height=240"]);
}

#[test]
fn pictures_are_scaled_undistorted() {
    let dir = tempfile::tempdir().unwrap();
    let record = |name: &str, camera: &str, options: &str| {
        let file = dir.path().join(name);
        Pipeline::launch(&format!(
            "videotestsrc num-buffers=1 pattern=white ! video/x-raw,framerate=10/1,{camera} ! \
             recordsink location={} {options}",
            file.display()
        ))
        .run()
        .unwrap();
        first_picture(&file)
    };
    let film = "width=640,height=360";
    let options = "profile=k210 width=320 height=240";
    let (picture, width, height) = record("a.avi", film, options);
    assert_eq!((width, height), (320, 240));
    let is_white = |x: usize, y: usize| picture[y * width + x] > 128;
    // 320x180 in the middle, black above and below.
    for x in [4, 160, 315] {
        assert!(!is_white(x, 4) && !is_white(x, 26), "{x}");
        assert!(
            is_white(x, 34) && is_white(x, 120) && is_white(x, 205),
            "{x}"
        );
        assert!(!is_white(x, 213) && !is_white(x, 235), "{x}");
    }
    let (_, width, height) = record("b.mp4", film, "width=320");
    assert_eq!((width, height), (320, 180));
    // A tape's pixels are wider than high.
    let tape = "width=360,height=288,pixel-aspect-ratio=64/45";
    let (picture, width, height) = record("c.mkv", tape, "height=180");
    assert_eq!((width, height), (320, 180));
    assert!(picture.iter().all(|&value| value > 128));
}

#[test]
fn what_the_board_cannot_play_is_said_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut left = 0;
    for (stream, options, words) in [
        ("video", "location=a.mp4", ["k210", ".avi"]),
        ("video", "location=a.xyz", ["no format is known", "a.xyz"]),
        (
            "video",
            "location=a.avi muxer-factory=avimux",
            ["avimjpegmux", "muxer-factory=avimux"],
        ),
        (
            "video",
            "location=a.avi video-encoder=h264",
            ["Motion JPEG", "video-encoder=h264"],
        ),
        (
            "video",
            "location=a.avi audio-encoder=opusenc",
            ["PCM", "audio-encoder=opusenc"],
        ),
        ("audio", "location=a.avi", ["without pictures", ".wav"]),
    ] {
        let location = format!("location={}/", dir.path().display());
        let options = options.replace("location=", &location);
        let pipeline = Pipeline::launch(&format!(
            "{stream}testsrc num-buffers=1 ! r.{stream} recordsink name=r profile=k210 {options}"
        ));
        assert!(
            pipeline.0.set_state(gst::State::Paused).is_err(),
            "{options}"
        );
        crate::common::assert_mentions(&pipeline.error().expect("an error"), &words);
        left += std::fs::read_dir(dir.path()).unwrap().count();
    }
    assert_eq!(left, 0, "a file is left");
    let encoded = Pipeline::launch(&format!(
        "videotestsrc num-buffers=1 ! jpegenc ! recordsink width=320 location={}/a.avi",
        dir.path().display()
    ));
    crate::common::assert_mentions(&encoded.run().unwrap_err(), &["image/jpeg", "decode"]);
}
