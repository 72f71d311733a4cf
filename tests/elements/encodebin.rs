// SPDX-License-Identifier: MIT OR Apache-2.0
//! `encodebin` with our muxer, as applications ask for it in text: by the names of factories, with
//! properties. By its format alone an AVI stays `avimux`'s.

use gst::prelude::*;

use crate::common::Pipeline;

/// The muxer that came of a profile, and the file.
fn record(profile: &str) -> (String, Vec<u8>) {
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
    pipeline.run().unwrap();
    let inside = encoder.downcast::<gst::Bin>().unwrap().iterate_recurse();
    let muxers: Vec<_> = inside
        .into_iter()
        .flatten()
        .filter_map(|element| Some(element.factory()?.name().to_string()))
        .filter(|name| name.contains("mux"))
        .collect();
    assert_eq!(muxers.len(), 1, "{muxers:?}");
    (muxers[0].clone(), std::fs::read(&file).unwrap())
}

#[test]
fn by_the_names_of_factories() {
    let (muxer, file) = record("avimjpegmux:jpegenc");
    assert_eq!(muxer, "avimjpegmux");
    assert!(file.windows(4).any(|id| id == b"00dc"));
}

#[test]
fn for_the_board() {
    // 1 is k210: GStreamer 1.22 sets no enumeration by its nick there.
    let profile = "avimjpegmux|element-properties,profile=1:jpegenc";
    let (muxer, file) = record(profile);
    assert_eq!(muxer, "avimjpegmux");
    assert_eq!(crate::k210_player::play(&file).unwrap().frames.len(), 20);
}

/// Whoever asks for an AVI of anything gets what they got before the plugin was there.
#[test]
fn others_keep_their_muxer() {
    for profile in [
        "video/x-msvideo:image/jpeg",
        "video/x-msvideo:video/mpeg,mpegversion=4",
    ] {
        assert_eq!(record(profile).0, "avimux", "{profile}");
    }
}
