// SPDX-License-Identifier: MIT OR Apache-2.0
//! `recordsink` and muxers that have ideas of their own: those that wait for a live stream no longer than its latency,
//! and those that end a file because its times get too long.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gst::prelude::*;

use super::recordsink_cameras::{RAW, buffer, end, recorder, source, until_eos};
use crate::common::{Pipeline, assert_mentions, frames};

/// Has the first sound come to each muxer later than any live stream's latency, as on a busy machine.
fn delay_first_sound(pipeline: &Pipeline) {
    let bin: &gst::Bin = pipeline.0.upcast_ref();
    bin.connect_deep_element_added(|_, _, element| {
        let factory = element.factory().unwrap();
        if !factory.has_type(gst::ElementFactoryType::MUXER) {
            return;
        }
        element.connect_pad_added(|_, pad| {
            let delayed = AtomicBool::new(false);
            pad.add_probe(gst::PadProbeType::BUFFER, move |pad, _| {
                let caps = pad.current_caps().unwrap();
                let is_sound = caps.structure(0).unwrap().name().starts_with("audio/");
                if is_sound && !delayed.swap(true, Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(400));
                }
                gst::PadProbeReturn::Ok
            });
        });
    });
}

#[test]
fn sound_that_is_late_is_waited_for() {
    crate::common::init();
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.flv", "a.mp4", "a.mov", "a.ts", "a.mkv", "a.avi"] {
        let file = dir.path().join(name);
        let pipeline = Pipeline::launch(&format!(
            "videotestsrc is-live=true num-buffers=25 ! {RAW} ! r.video \
             audiotestsrc is-live=true num-buffers=50 samplesperbuffer=960 \
             ! audio/x-raw,format=S16LE,layout=interleaved,rate=48000,channels=1 ! r.audio \
             recordsink name=r location={}",
            file.display()
        ));
        delay_first_sound(&pipeline);
        pipeline.play();
        let said = until_eos(&pipeline);
        assert_eq!(said.warnings, [""; 0], "{name}");
        assert_eq!(said.files, [(file.clone(), 25)], "{name}");
        assert_eq!(frames(&file), 25, "{name}");
    }
}

/// `flvmux` has 2^31 milliseconds, and calls what is later an end of the stream.
#[test]
fn a_muxer_that_ends_the_file_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.flv");
    let pipeline = recorder(&[("video", RAW)], "", &file);
    pipeline.play();
    for n in 0..720 {
        let time = n * gst::ClockTime::from_seconds(3000);
        let pushed = source(&pipeline, "video")
            .push_buffer(buffer(vec![n as u8; 160 * 128 * 3 / 2], Some(time)));
        if pushed.is_err() {
            break;
        }
    }
    end(&pipeline, &["video"]);
    let error = pipeline.wait().expect_err("25 days do not fit");
    assert_mentions(&error, &["flvmux", "a.flv", "before"]);
    // What fits is there.
    assert!(frames(&file) > 700, "{}", frames(&file));
}
