// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every property of the sinks and of `parallelenc` at its extremes: whatever an application sets,
//! a recording works or is refused with a sentence. A panic in an element would end the process.

use std::process::Command;

use crate::common::{Pipeline, output, plugin_path, python};
use gst::glib;
use gst::prelude::*;

/// The least and the most that a property takes, or all of its values where they are few.
fn extremes(spec: &glib::ParamSpec) -> Vec<glib::Value> {
    macro_rules! ends {
        ($($kind:ty),*) => {
            $(if let Some(spec) = spec.downcast_ref::<$kind>() {
                return vec![spec.minimum().to_value(), spec.maximum().to_value()];
            })*
        };
    }
    ends!(
        glib::ParamSpecInt,
        glib::ParamSpecUInt,
        glib::ParamSpecInt64,
        glib::ParamSpecUInt64,
        glib::ParamSpecFloat,
        glib::ParamSpecDouble
    );
    if spec.value_type() == bool::static_type() {
        return vec![false.to_value(), true.to_value()];
    }
    if let Some(class) = glib::EnumClass::with_type(spec.value_type()) {
        let values = class.values().iter();
        return values.filter_map(|v| class.to_value(v.value())).collect();
    }
    if spec.value_type() == String::static_type() {
        return vec![
            None::<String>.to_value(),
            "".to_value(),
            "\u{7f}%n \"'{".to_value(),
            "x".repeat(5000).to_value(),
        ];
    }
    if spec.value_type() == gst::Structure::static_type() {
        let unknown = gst::Structure::builder("properties").field("no-such", "value");
        return vec![
            None::<gst::Structure>.to_value(),
            unknown.build().to_value(),
        ];
    }
    Vec::new()
}

/// Runs a pipeline with each property of its element `e` at each extreme.
fn at_extremes(description: &str) {
    let pipeline = Pipeline::launch(description);
    let specs = pipeline.element("e").list_properties();
    drop(pipeline);
    for spec in specs {
        let writable = spec.flags().contains(glib::ParamFlags::WRITABLE);
        if !writable || ["name", "parent", "location", "pts-location"].contains(&spec.name()) {
            continue;
        }
        for value in extremes(&spec) {
            let pipeline = Pipeline::launch(description);
            let element = pipeline.element("e");
            element.set_property_from_value(spec.name(), &value);
            if let Err(err) = pipeline.run() {
                for bad in ["panicked", "please report it"] {
                    assert!(
                        !err.contains(bad),
                        "{description}, {spec:?}={value:?}: {err}"
                    );
                }
            }
        }
    }
}

/// Each quality and the ends of the bit rates.
fn encoder_at_extremes(encoder: &str, extension: &str, dir: &std::path::Path) {
    let file = dir.join(format!("{encoder}.{extension}"));
    let record = |options: &str| {
        Pipeline::launch(&format!(
            "videotestsrc num-buffers=3 ! video/x-raw,width=160,height=128,framerate=25/1 ! \
             recordsink video-encoder={encoder} {options} location={}",
            file.display()
        ))
        .run()
    };
    for options in [
        "quality=very-low",
        "quality=low",
        "quality=high",
        "quality=very-high",
        "bitrate=1",
        "bitrate=64",
        "bitrate=102401",
        "bitrate=1000000",
    ] {
        if let Err(err) = record(options) {
            // What an encoder itself refuses it may.
            assert!(
                !err.contains("please report it"),
                "{encoder} {options}: {err}"
            );
        }
    }
    // What the table offers works.
    record("quality=very-low").unwrap();
}

#[test]
fn every_encoder_takes_every_quality_and_rate() {
    crate::common::init();
    let dir = tempfile::tempdir().unwrap();
    for (encoder, extension) in [
        ("avenc_mjpeg", "avi"),
        ("jpegenc", "avi"),
        ("parallelenc", "avi"),
        ("x264enc", "mp4"),
        ("x265enc", "mp4"),
        ("openh264enc", "mp4"),
        ("k230venc", "mp4"),
        ("vp8enc", "webm"),
        ("vp9enc", "mkv"),
        ("avenc_mpeg4", "mp4"),
        ("theoraenc", "mkv"),
    ] {
        if gst::ElementFactory::find(encoder).is_some() {
            encoder_at_extremes(encoder, extension, dir.path());
        }
    }
}

#[test]
fn recordsinks_properties() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.mp4", "a.jpg"] {
        at_extremes(&format!(
            "videotestsrc num-buffers=3 ! video/x-raw,width=160,height=128 ! \
             recordsink name=e location={}",
            dir.path().join(name).display()
        ));
    }
    at_extremes(&format!(
        "audiotestsrc num-buffers=3 ! recordsink name=e location={}",
        dir.path().join("a.wav").display()
    ));
}

/// Runs a pipeline to its end, and answers with what its error says. `gst-launch-1.0` would not always end: an error that
/// is posted before its main loop runs does not end that (GStreamer 1.22 to main).
const RUN: &str = "
import sys, gi
gi.require_version('Gst', '1.0')
from gi.repository import Gst
Gst.init(None)
pipeline = Gst.parse_launch(sys.argv[1])
pipeline.set_state(Gst.State.PLAYING)
last = Gst.MessageType.EOS | Gst.MessageType.ERROR
message = pipeline.get_bus().timed_pop_filtered(60 * Gst.SECOND, last)
error = message.parse_error()[0].message if message.type == Gst.MessageType.ERROR else 'none'
pipeline.set_state(Gst.State.NULL)
print('error:', error)
";

/// As on 32 bits, and on boards with little memory: elements of GStreamer write into pictures that they did not get.
#[test]
fn pictures_that_there_is_no_memory_for_are_refused() {
    let scratch = tempfile::tempdir().expect("a directory");
    let record = |side: u32| {
        let line = format!(
            "videotestsrc is-live=true num-buffers=3 ! video/x-raw,width=160,height=128 ! recordsink width={side} \
             height={side} video-encoder=jpegenc location={}",
            scratch.path().join(format!("{side}.avi")).display()
        );
        output(
            Command::new("prlimit")
                .arg("--as=2000000000")
                .arg(python().get_program())
                .args(["-c", RUN, &line])
                .envs(plugin_path(scratch.path())),
        )
    };
    let said = record(32_767);
    let sentence = "error: There is no memory for pictures of 32767x32767";
    assert!(said.contains(sentence), "{said}");
    assert_eq!(record(64).trim(), "error: none");
}

#[test]
fn ffmpegsinks_properties() {
    at_extremes("videotestsrc num-buffers=3 ! ffmpegsink name=e args=\"-f null -\"");
}

#[test]
fn audiorecordsinks_properties() {
    let dir = tempfile::tempdir().unwrap();
    at_extremes(&format!(
        "audiotestsrc num-buffers=3 ! audiorecordsink name=e location={}",
        dir.path().join("a.wav").display()
    ));
}

#[test]
fn parallelencs_properties() {
    at_extremes("videotestsrc num-buffers=3 ! parallelenc name=e ! fakesink");
}
