// SPDX-License-Identifier: MIT OR Apache-2.0
//! avimjpegmux: what other people's programs read in its files, and how it behaves as an element.

mod common;

use std::path::Path;
use std::process::Command;

use common::{Pipeline, ffprobe, output, python};
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

/// Frames that avidemux and jpegdec give, by the times in nanoseconds.
fn avidemux_times(path: &Path) -> Vec<u64> {
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
    let mut times = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        times.push(sample.buffer().unwrap().pts().unwrap().nseconds());
    }
    assert_eq!(pipeline.error(), None);
    times
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
    while let Ok(sample) = sink.pull_sample() {
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
