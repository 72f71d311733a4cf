// SPDX-License-Identifier: MIT OR Apache-2.0
//! avimjpegdemux against avidemux on the same files, into fakesink, and its
//! memory for an hour against that for a minute.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failure ends the measurement"
)]

#[path = "../crates/avi/tests/common/avi_bytes.rs"]
mod avi_bytes;
mod paired;

use std::path::Path;

use avi_bytes::{File, Piece, picture, sound};
use gst::prelude::*;
use paired::{Bench, Side};

/// Frames are the same few over and over: making them is not what is measured.
fn write(path: &Path, frames: u32, size: usize, audio: bool) {
    let pictures: Vec<_> = (0..16).map(|n| picture(n, size)).collect();
    let mut content = Vec::new();
    for n in 0..frames {
        content.push(Piece::Video(pictures[n as usize % 16].clone()));
        if audio {
            content.push(Piece::Sound(sound(n, 2940)));
        }
    }
    let file = File {
        scale: 1,
        rate: 30,
        interval: 33333,
        audio: audio.then_some((44100, 1)),
        ..File::default()
    };
    std::fs::write(path, file.build(&content).bytes).expect("written");
}

/// Plays a file some times in one process, so that starting up counts for little.
fn play(demux: &str, path: &Path, audio: bool, times: u32) {
    gst::init().expect("GStreamer starts");
    gstkendryte::plugin_register_static().expect("the plugin registers");
    let sink = "fakesink async=false sync=false";
    let mut description = format!(
        "filesrc location={} ! {demux} name=d d.video_0 ! {sink}",
        path.display()
    );
    if audio {
        description += &format!(" d.audio_0 ! {sink}");
    }
    for _ in 0..times {
        let pipeline = gst::parse::launch(&description).expect("a pipeline");
        pipeline.set_state(gst::State::Playing).expect("plays");
        let bus = pipeline.bus().expect("a bus");
        let end = bus.timed_pop_filtered(
            gst::ClockTime::from_seconds(600),
            &[gst::MessageType::Eos, gst::MessageType::Error],
        );
        assert_eq!(end.map(|m| m.type_()), Some(gst::MessageType::Eos));
        pipeline.set_state(gst::State::Null).expect("stops");
    }
}

fn main() {
    let mut bench = Bench::new("avimjpegdemux");
    bench.prepare(|scratch| {
        write(&scratch.join("3k.avi"), 20_000, 3_000, false);
        write(&scratch.join("3k-sound.avi"), 20_000, 3_000, true);
        write(&scratch.join("100k.avi"), 1_000, 100_000, false);
        write(&scratch.join("100k-sound.avi"), 1_000, 100_000, true);
        write(&scratch.join("minute.avi"), 30 * 60, 1_000, true);
        write(&scratch.join("hour.avi"), 30 * 3600, 1_000, true);
    });
    for (title, name, audio, times) in [
        ("3 KB frames", "3k.avi", false, 10),
        ("3 KB frames and sound", "3k-sound.avi", true, 10),
        ("100 KB frames", "100k.avi", false, 20),
        ("100 KB frames and sound", "100k-sound.avi", true, 20),
    ] {
        let side = |demux: &'static str| {
            Side::here(demux, move |scratch| {
                play(demux, &scratch.join(name), audio, times);
            })
        };
        // What reading a good file may cost: see the documentation of the crate's reader.
        bench.pair_within(title, 3.0, side("avimjpegdemux"), side("avidemux"));
    }
    let length = |title: &'static str, name: &'static str| {
        Side::here(title, move |scratch| {
            play("avimjpegdemux", &scratch.join(name), true, 1);
        })
    };
    bench.pair(
        "memory: an hour and a minute of 30 frames a second with sound",
        length("an hour", "hour.avi"),
        length("a minute", "minute.avi"),
    );
    bench.finish();
}
