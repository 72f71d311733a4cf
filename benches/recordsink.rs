// SPDX-License-Identifier: MIT OR Apache-2.0
//! Raw BGR frames to a Motion JPEG AVI: our pipeline against ffmpeg's command for the same, and
//! `recordsink` against the pipeline that it stands for.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failure ends the measurement"
)]

mod paired;

use std::path::Path;
use std::process::Command;

use gst::prelude::*;
use paired::{Bench, Side};

const WIDTH: usize = 640;
const HEIGHT: usize = 480;
/// What the footage has.
const FRAMES: usize = 150;
/// How often it is run through: what a start costs is not what is compared.
const ROUNDS: usize = 4;

fn run(description: &str) {
    gst::init().expect("GStreamer starts");
    gstkendryte::plugin_register_static().expect("the plugin registers");
    let pipeline = gst::parse::launch(description).expect("the pipeline is one");
    pipeline
        .set_state(gst::State::Playing)
        .expect("the pipeline plays");
    let bus = pipeline.bus().expect("a pipeline has a bus");
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = bus
        .timed_pop_filtered(None, &kinds)
        .expect("the pipeline ends");
    assert_eq!(message.type_(), gst::MessageType::Eos, "{message:?}");
    pipeline
        .set_state(gst::State::Null)
        .expect("the pipeline stops");
}

/// Raw frames from `source`.
fn frames_of(source: &str) -> String {
    format!(
        "{source} blocksize={} ! rawvideoparse format=bgr width={WIDTH} height={HEIGHT} framerate=30/1",
        WIDTH * HEIGHT * 3,
    )
}

/// Raw frames from standard input.
fn frames() -> String {
    frames_of("fdsrc")
}

/// ffmpeg's command for raw frames from `input` to an AVI.
fn ffmpeg(input: &Path, output: &Path) -> Command {
    let mut command = Command::new("ffmpeg");
    let size = format!("{WIDTH}x{HEIGHT}");
    command
        .args([
            "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "bgr24", "-s", &size,
        ])
        .args(["-r", "30", "-i"])
        .arg(input)
        .args(["-an", "-c:v", "mjpeg", "-q:v", "4"])
        .args(["-pix_fmt", "yuvj420p", "-f", "avi", "-r", "30"])
        .arg(output);
    command
}

/// Makes both files once more, as those of the measured runs are gone, and measures them.
fn note_of_quality(scratch: &Path) -> String {
    let raw = scratch.join("frames");
    let (ours, peer) = (scratch.join("note-ours.avi"), scratch.join("note-peer.avi"));
    run(&format!(
        "{} ! recordsink quality=very-high location={}",
        frames_of(&format!("filesrc location={}", raw.display())),
        ours.display()
    ));
    let status = ffmpeg(&raw, &peer).status().expect("ffmpeg starts");
    assert!(status.success(), "ffmpeg: {status}");
    let note = format!(
        "PSNR of the two files: {:.2} and {:.2} dB",
        psnr(&raw, &ours),
        psnr(&raw, &peer)
    );
    for file in [ours, peer] {
        std::fs::remove_file(file).expect("the file is there");
    }
    note
}

/// The PSNR of a file against the frames it was made from, in dB, as ffmpeg measures it.
fn psnr(raw: &Path, file: &Path) -> f64 {
    let size = format!("{WIDTH}x{HEIGHT}");
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-i"])
        .arg(file)
        .args([
            "-f", "rawvideo", "-pix_fmt", "bgr24", "-s", &size, "-r", "30", "-i",
        ])
        .arg(raw)
        .args([
            "-lavfi",
            "[0:v]format=yuv420p[a];[1:v]format=yuv420p[b];[a][b]psnr",
        ])
        .args(["-f", "null", "-"])
        .output()
        .expect("ffmpeg starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ffmpeg: {text}");
    let average = text.rsplit_once("average:");
    let average = average.and_then(|(_, text)| text.split_whitespace().next()?.parse().ok());
    average.unwrap_or_else(|| panic!("ffmpeg measures nothing: {text}"))
}

fn main() {
    let mut bench = Bench::new("recordsink");
    bench.prepare(|scratch| {
        let footage = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/bigbuckbunny.webm");
        run(&format!(
            "filesrc location={} ! matroskademux ! vp8dec ! videorate ! videoconvert ! videoscale ! \
             video/x-raw,format=BGR,width={WIDTH},height={HEIGHT},framerate=30/1,\
             pixel-aspect-ratio=1/1 ! identity eos-after={} ! filesink location={}",
            footage.display(),
            FRAMES + 1,
            scratch.join("round").display()
        ));
        let round = std::fs::read(scratch.join("round")).expect("the frames are there");
        std::fs::write(scratch.join("frames"), round.repeat(ROUNDS)).expect("the disk has room");
    });
    bench.pair(
        "600 raw BGR frames of 640x480 to AVI",
        Side::here("recordsink", |scratch| {
            // JPEG 80; 4 is what comes nearest to its PSNR: see the note.
            run(&format!(
                "{} ! recordsink quality=very-high location={}",
                frames(),
                scratch.join("ours.avi").display()
            ));
        })
        .input("frames")
        .output("ours.avi"),
        Side::command("ffmpeg -q:v 4", |scratch| {
            ffmpeg(Path::new("-"), &scratch.join("peer.avi"))
        })
        .input("frames")
        .output("peer.avi"),
    );
    if bench.is_reporting() {
        let note = note_of_quality(bench.scratch());
        bench.note(note);
    }
    bench.pair(
        "recordsink and the pipeline it stands for",
        Side::here("recordsink", |scratch| {
            run(&format!(
                "{} ! recordsink location={}",
                frames(),
                scratch.join("bin.avi").display()
            ));
        })
        .input("frames")
        .output("bin.avi"),
        // The bin gives each picture to the system at once, so that a kill costs none of them.
        Side::here(
            "videoconvert ! jpegenc ! avimjpegmux ! filesink buffer-mode=unbuffered",
            |scratch| {
                run(&format!(
                    "{} ! videoconvert ! video/x-raw,format=I420,colorimetry=1:4:0:0 ! \
                     jpegenc quality=50 ! avimjpegmux ! \
                     filesink buffer-mode=unbuffered location={}",
                    frames(),
                    scratch.join("hand.avi").display()
                ));
            },
        )
        .input("frames")
        .output("hand.avi"),
    );
    bench.finish();
}
