// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recordings in Ogg files: what `oggmux` would lose of them is there.

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
