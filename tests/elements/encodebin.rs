// SPDX-License-Identifier: MIT OR Apache-2.0
//! `encodebin` with our muxer, as applications ask for it in text: by the names of factories, with
//! properties. By its format alone an AVI stays `avimux`'s.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gst::prelude::*;

use crate::common::Pipeline;

/// What came of a profile.
struct Recorded {
    muxer: String,
    /// How many buffers the muxer got. `encodebin` has a `videorate` in front of the encoder, which
    /// from GStreamer 1.28 on gives one more at the end than it got.
    frames: usize,
    file: Vec<u8>,
}

fn record(profile: &str) -> Recorded {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.avi");
    crate::common::init();
    let encoder = gst::ElementFactory::make("encodebin").build().unwrap();
    encoder.set_property_from_str("profile", profile);
    let pipeline = Pipeline::launch(&format!(
        "videotestsrc num-buffers=20 ! video/x-raw,width=320,height=240,framerate=10/1 ! \
         identity name=in filesink name=out location={}",
        file.display()
    ));
    pipeline.0.add(&encoder).unwrap();
    pipeline.element("in").link(&encoder).unwrap();
    encoder.link(&pipeline.element("out")).unwrap();
    let name = |it: &gst::Element| it.factory().map_or_else(String::new, |it| it.name().into());
    let inside = encoder.downcast::<gst::Bin>().unwrap().iterate_recurse();
    let muxers = inside.into_iter().flatten();
    let muxers: Vec<_> = muxers.filter(|it| name(it).contains("mux")).collect();
    assert_eq!(muxers.len(), 1, "{muxers:?}");
    let frames = Arc::new(AtomicUsize::new(0));
    let counted = frames.clone();
    let pads = muxers[0].sink_pads();
    pads[0].add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        gst::PadProbeReturn::Ok
    });
    pipeline.run().unwrap();
    Recorded {
        muxer: name(&muxers[0]),
        frames: frames.load(Ordering::SeqCst),
        file: std::fs::read(&file).unwrap(),
    }
}

#[test]
fn by_the_names_of_factories() {
    let recorded = record("avimjpegmux:jpegenc");
    assert_eq!(recorded.muxer, "avimjpegmux");
    assert!(recorded.file.windows(4).any(|id| id == b"00dc"));
}

#[test]
fn for_the_board() {
    // 1 is k210: GStreamer 1.22 sets no enumeration by its nick there.
    let profile = "avimjpegmux|element-properties,profile=1:jpegenc";
    let recorded = record(profile);
    assert_eq!(recorded.muxer, "avimjpegmux");
    assert!((20..=21).contains(&recorded.frames), "{}", recorded.frames);
    let played = crate::k210_player::play(&recorded.file).unwrap();
    assert_eq!(played.frames.len(), recorded.frames);
}

/// Whoever asks for an AVI of anything gets what they got before the plugin was there.
#[test]
fn others_keep_their_muxer() {
    for profile in [
        "video/x-msvideo:image/jpeg",
        "video/x-msvideo:video/mpeg,mpegversion=4",
    ] {
        assert_eq!(record(profile).muxer, "avimux", "{profile}");
    }
}
