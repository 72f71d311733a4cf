// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a program that is killed leaves, as GStreamer's own demuxers play it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gst::prelude::*;

use crate::common::{Pipeline, until};

/// How many buffers of pictures and of sound come out of a file.
fn played(path: &Path) -> (u64, u64) {
    let pipeline = Pipeline::launch(&format!(
        "filesrc location={} ! qtdemux name=d d.video_0 ! queue ! fakesink name=video sync=false \
         d.audio_0 ! queue ! fakesink name=audio sync=false",
        path.display()
    ));
    let counted = ["video", "audio"].map(|name| {
        let count = Arc::new(AtomicU64::new(0));
        let counts = count.clone();
        let pad = pipeline.element(name).static_pad("sink").unwrap();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            counts.fetch_add(1, Ordering::Relaxed);
            gst::PadProbeReturn::Ok
        });
        count
    });
    // Before the first fragment there is nothing that plays.
    if pipeline.run().is_err() {
        return (0, 0);
    }
    let [video, audio] = counted.map(|count| count.load(Ordering::Relaxed));
    (video, audio)
}

/// A camera that starts after the microphone gets an edit list from the muxer, at whose end the track
/// used to end. A copy of the file is what is left of it after a kill.
#[test]
fn an_mp4_without_an_end_plays_to_where_it_goes() {
    let dir = tempfile::tempdir().unwrap();
    for (name, sink, video, audio) in [
        ("a.mp4", "recordsink", "s.video", "s.audio"),
        ("b.mov", "recordsink", "s.video", "s.audio"),
        (
            "c.mp4",
            "circularsink recording=true max-time=20000000000",
            "x264enc tune=zerolatency key-int-max=30 ! h264parse ! s.video",
            "audioconvert ! avenc_aac ! aacparse ! s.audio_0",
        ),
    ] {
        let path = dir.path().join(name);
        let pipeline = Pipeline::launch(&format!(
            "appsrc name=camera format=time \
             caps=video/x-raw,format=I420,width=320,height=240,framerate=30/1 ! {video} \
             appsrc name=microphone format=time \
             caps=audio/x-raw,format=S16LE,layout=interleaved,rate=48000,channels=1 ! {audio} \
             {sink} name=s location={}",
            path.display()
        ));
        let source = |name| -> gst_app::AppSrc { pipeline.element(name).downcast().unwrap() };
        let (camera, microphone) = (source("camera"), source("microphone"));
        pipeline.play();
        let frame = gst::ClockTime::SECOND.mul_div_floor(1, 30).unwrap();
        let begin = gst::ClockTime::from_mseconds(400);
        for n in 0..210_u64 {
            let mut sound = gst::Buffer::from_slice(vec![0_u8; 1600 * 2]);
            sound.get_mut().unwrap().set_pts(n * frame);
            sound.get_mut().unwrap().set_duration(frame);
            microphone.push_buffer(sound).unwrap();
            let mut picture = gst::Buffer::from_slice(vec![n as u8; 320 * 240 * 3 / 2]);
            picture.get_mut().unwrap().set_pts(begin + n * frame);
            picture.get_mut().unwrap().set_duration(frame);
            camera.push_buffer(picture).unwrap();
        }
        let copy = dir.path().join(format!("cut-{name}"));
        until(&format!("{name} plays for four seconds"), || {
            if !path.exists() {
                return false;
            }
            std::fs::copy(&path, &copy).unwrap();
            let (pictures, sound) = played(&copy);
            pictures >= 120 && sound >= 4 * 48_000 / 1024
        });
        for source in [camera, microphone] {
            source.end_of_stream().unwrap();
        }
        pipeline.wait().unwrap();
        let (pictures, _) = played(&path);
        assert_eq!(pictures, 210, "{name}");
    }
}
