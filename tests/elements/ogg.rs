// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recordings in Ogg files: what `oggmux` would lose of them is there.

use gst::prelude::*;

use crate::common::{Pipeline, ffprobe, frames};

/// `oggmux` forgets the last picture of most of these.
#[test]
fn the_last_picture_is_there_though_the_sound_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    for (name, video, audio) in [
        ("recordsink", "r.video", "r.audio"),
        (
            "circularsink recording=true",
            "vp8enc deadline=1 ! r.video",
            "opusenc ! r.audio_0",
        ),
    ] {
        let lost = [(13, 40, 0), (37, 53, 10), (25, 50, 500), (19, 61, 700)].map(
            |(pictures, packets, later_ms)| {
                let file = dir
                    .path()
                    .join(format!("{pictures}-{}.ogg", &name[..6]));
                let pipeline = Pipeline::launch(&format!(
                    "videotestsrc pattern=black num-buffers={pictures} ! \
                     video/x-raw,width=160,height=128,framerate=25/1 ! {video} \
                     audiotestsrc num-buffers={packets} samplesperbuffer=960 timestamp-offset={later_ms}000000 ! \
                     audio/x-raw,format=S16LE,rate=48000,channels=1 ! {audio} \
                     {name} name=r location={}",
                    file.display()
                ));
                pipeline.run().unwrap();
                let heard = ffprobe(&file, &["-count_packets", "-select_streams", "a"], "stream=nb_read_packets");
                let heard: usize = heard.concat().parse().unwrap();
                assert!(heard >= packets, "{name}: {heard} of {packets}");
                pictures - frames(&file)
            },
        );
        assert_eq!(lost, [0; 4], "{name}");
    }
}

/// Headers come out of the encoder as buffers, and are none of the frames.
#[test]
fn headers_are_no_pictures_and_move_none() {
    const SOUND: &str = "audiotestsrc num-buffers=60 samplesperbuffer=960 timestamp-offset=100000000 ! \
                         audio/x-raw,format=S16LE,rate=48000,channels=1 ! r.audio";
    let dir = tempfile::tempdir().unwrap();
    for (sound, encoders) in [("", "vp8enc"), (SOUND, "theoraenc audio-encoder=vorbisenc")] {
        let file = dir.path().join("a.ogg");
        let pipeline = Pipeline::launch(&format!(
            "videotestsrc num-buffers=26 ! video/x-raw,width=160,height=128,framerate=25/1 ! r.video {sound} \
             recordsink name=r overwrite=true video-encoder={encoders} location={}",
            file.display()
        ));
        pipeline.run().unwrap();
        let stats = pipeline.element("r").property::<gst::Structure>("stats");
        assert_eq!(stats.get::<u64>("frames"), Ok(26), "{encoders}");
        assert_eq!(frames(&file), 26, "{encoders}");
    }
}

/// `oggmux` takes the first two packets for headers, which come once and are none of the samples.
#[test]
fn all_of_speex_is_in_each_file() {
    const SAMPLES: usize = 640;
    let dir = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::launch(&format!(
        "audiotestsrc num-buffers=200 samplesperbuffer={SAMPLES} ! \
         audio/x-raw,format=S16LE,rate=32000,channels=1 ! \
         recordsink audio-encoder=speexenc split-time=1000000000 location={}",
        dir.path().join("%05d.ogg").display()
    ));
    pipeline.run().unwrap();
    let files = std::fs::read_dir(dir.path()).unwrap();
    let packets: Vec<usize> = files
        .map(|file| {
            let options = ["-count_packets"];
            let packets = ffprobe(&file.unwrap().path(), &options, "stream=nb_read_packets");
            packets.concat().parse().unwrap()
        })
        .collect();
    assert!(packets.len() >= 4, "{packets:?}");
    assert!(packets.iter().sum::<usize>() >= 200, "{packets:?}");
}

/// Without its headers `oggmux` does not know how long a packet of Vorbis is heard.
#[test]
fn vorbis_is_as_long_as_it_was() {
    const SOUND: &str = "audiotestsrc num-buffers=100 samplesperbuffer=960 ! \
                         audio/x-raw,rate=48000,channels=1 ! audioconvert";
    let dir = tempfile::tempdir().unwrap();
    for sink in [
        "vorbisenc ! r.audio recordsink",
        "r.audio recordsink audio-encoder=vorbisenc",
        "vorbisenc ! r.audio_0 circularsink recording=true",
    ] {
        let [file, heard] = ["a.ogg", "a.raw"].map(|name| dir.path().join(name));
        Pipeline::launch(&format!(
            "{SOUND} ! {sink} name=r overwrite=true location={}",
            file.display()
        ))
        .run()
        .unwrap();
        Pipeline::launch(&format!(
            "filesrc location={} ! oggdemux ! vorbisdec ! audioconvert ! audio/x-raw,format=S16LE ! \
             filesink location={}",
            file.display(),
            heard.display()
        ))
        .run()
        .unwrap();
        // To a sample: the decoder rounds.
        let samples = heard.metadata().unwrap().len() / 2;
        assert!(samples.abs_diff(96_000) <= 1, "{sink}: {samples}");
    }
}

#[test]
fn a_file_that_counts_pictures_needs_their_rate() {
    let dir = tempfile::tempdir().unwrap();
    for (encoder, name) in [("vp8enc", "a.ogg"), ("x264enc", "a.avi")] {
        for sink in [
            "recordsink muxer-factory=avimux",
            "circularsink recording=true",
        ] {
            let sink = if name == "a.ogg" {
                sink.replace("avimux", "oggmux")
            } else {
                sink.to_owned()
            };
            let pipeline = Pipeline::launch(&format!(
                "appsrc name=s format=time caps=video/x-raw,format=I420,width=64,height=48,framerate=0/1 ! \
                 {encoder} ! {sink} location={}",
                dir.path().join(name).display()
            ));
            pipeline.play();
            let source: gst_app::AppSrc = pipeline.element("s").downcast().unwrap();
            for n in 0..5 {
                let mut buffer = gst::Buffer::from_slice([0; 64 * 48 * 3 / 2]);
                let pts = gst::ClockTime::from_mseconds(40 * n);
                buffer.get_mut().unwrap().set_pts(pts);
                // It may have failed by then.
                let _ = source.push_buffer(buffer);
            }
            let _ = source.end_of_stream();
            let error = pipeline.wait().unwrap_err();
            assert!(
                error.contains("have no frame rate"),
                "{name} {sink}: {error}"
            );
        }
    }
}

/// As it is of three streams, of which the muxer may be at either of two others.
#[test]
fn the_last_picture_is_there_beside_two_sounds() {
    let dir = tempfile::tempdir().unwrap();
    let lost = [(26, 38, 75), (6, 71, 186), (30, 133, 102)].map(|(pictures, one, other)| {
        let file = dir.path().join(format!("{pictures}.ogg"));
        let sound = |number: usize, packets: usize| {
            format!(
                "audiotestsrc num-buffers={packets} samplesperbuffer=960 timestamp-offset={}000000 ! \
                 audio/x-raw,format=S16LE,rate=48000,channels=1 ! opusenc ! r.audio_{number} ",
                700 - 200 * number
            )
        };
        let pipeline = Pipeline::launch(&format!(
            "circularsink recording=true name=r location={} {} {} \
             videotestsrc num-buffers={pictures} ! video/x-raw,width=160,height=128,framerate=25/1 ! \
             vp8enc deadline=1 keyframe-max-dist=5 ! r.video",
            file.display(),
            sound(0, one),
            sound(1, other)
        ));
        pipeline.run().unwrap();
        pictures - frames(&file)
    });
    assert_eq!(lost, [0; 3]);
}

/// A key unit of 65 kB fills the first page, which `oggmux` gives the time of the last file's last one.
#[test]
fn large_key_units_are_in_each_file() {
    const SOUND: &str = "audiotestsrc num-buffers=170 samplesperbuffer=960 ! \
                         audio/x-raw,rate=48000 ! r.audio";
    for sound in ["", SOUND] {
        let dir = tempfile::tempdir().unwrap();
        let pipeline = Pipeline::launch(&format!(
            "videotestsrc num-buffers=35 pattern=snow ! \
             video/x-raw,width=640,height=480,framerate=10/1 ! r.video {sound} \
             recordsink name=r split-time=1000000000 location={}",
            dir.path().join("%05d.ogg").display()
        ));
        pipeline.run().unwrap();
        let files = std::fs::read_dir(dir.path()).unwrap();
        let shown: Vec<usize> = files.map(|it| frames(&it.unwrap().path())).collect();
        assert!(shown.len() >= 3, "{shown:?}");
        assert_eq!(shown.iter().sum::<usize>(), 35, "{shown:?}");
    }
}
