// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sound that comes at another rate than its caps say, into an AVI of each element that writes one.

use std::path::Path;

use crate::common::{Pipeline, assert_mentions, ffprobe};
use crate::feed::{JPEG, chunks, numbers, picture};
use gst::prelude::*;

/// Sound by its caps and its timestamps.
struct Sound {
    says: u32,
    /// Samples of a piece, and the milliseconds from one to the next.
    samples: u32,
    interval: u64,
    comes: u32,
    /// How much later than the pictures it begins, in milliseconds.
    late: u64,
}

const SOUNDS: [Sound; 4] = [
    sound(4000, 160, 20, 8000, 0),
    sound(16_000, 160, 20, 8000, 0),
    sound(44_100, 480, 10, 48_000, 0),
    sound(8000, 1600, 100, 16_000, 700),
];

const fn sound(says: u32, samples: u32, interval: u64, comes: u32, late: u64) -> Sound {
    Sound {
        says,
        samples,
        interval,
        comes,
        late,
    }
}

/// Milliseconds that are recorded, ten pictures a second.
const LENGTH: u64 = 3000;

fn push(pipeline: &Pipeline, name: &str, pieces: Vec<(u64, Vec<u8>)>) {
    let source: gst_app::AppSrc = pipeline.element(name).downcast().unwrap();
    for (time, bytes) in pieces {
        let mut buffer = gst::Buffer::from_slice(bytes);
        let time = gst::ClockTime::from_mseconds(time);
        buffer.get_mut().unwrap().set_pts(time);
        source.push_buffer(buffer).unwrap();
    }
    source.end_of_stream().unwrap();
}

impl Sound {
    /// Records it through `sink`, which has pads for both.
    fn check(&self, sink: &str, pads: [&str; 2], file: &Path) {
        let [video, audio] = pads;
        let says = self.says;
        let pipeline = Pipeline::launch(&format!(
            "appsrc name=video format=time max-bytes=0 caps={JPEG},framerate=10/1 ! sink.{video} \
             appsrc name=audio format=time max-bytes=0 \
             caps=audio/x-raw,format=S16LE,layout=interleaved,channels=1,rate={says} ! sink.{audio} \
             {sink}"
        ));
        pipeline.play();
        let pieces = (0..(LENGTH - self.late) / self.interval).map(|n| {
            let samples = (0..self.samples).flat_map(|_| (n as i16 + 1).to_le_bytes());
            (self.late + n * self.interval, samples.collect())
        });
        let pieces: Vec<(u64, Vec<u8>)> = pieces.collect();
        let all: Vec<u8> = pieces.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
        let pictures = (0..LENGTH / 100).map(|n| (n * 100, picture(n as u32, 500)));
        push(&pipeline, "video", pictures.collect());
        push(&pipeline, "audio", pieces);
        let warned = pipeline.warned();
        drop(pipeline);
        assert_eq!(warned.len(), 1, "{sink}, {says}: {warned:?}");
        let rates = [self.says, self.comes].map(|rate| rate.to_string());
        assert!(warned[0].contains("comes at"), "{sink}, {says}: {warned:?}");
        assert_mentions(&warned[0], &[&rates[0], &rates[1]]);

        let bytes = std::fs::read(file).unwrap();
        let shown: Vec<_> = (0..LENGTH as u32 / 100).map(Some).collect();
        assert_eq!(numbers(&bytes), shown, "{sink}, {says}");
        let heard = chunks(&bytes)
            .into_iter()
            .filter(|(stream, _)| *stream == 1);
        let heard: Vec<u8> = heard.flat_map(|(_, bytes)| bytes).collect();
        let silence = vec![0; (self.late * u64::from(self.comes) / 1000 * 2) as usize];
        assert!(heard == [silence, all].concat(), "{sink}, {says}");
        let rate = ffprobe(file, &["-select_streams", "a"], "stream=sample_rate");
        assert_eq!(rate, [rates[1].clone()], "{sink}, {says}");
    }
}

#[test]
fn all_of_it_is_in_the_file_which_has_that_rate() {
    let dir = tempfile::tempdir().unwrap();
    for (n, sound) in SOUNDS.iter().enumerate() {
        for (kind, sink, pads) in [
            (
                "m",
                "avimjpegmux name=sink ! filesink location=",
                ["video_0", "audio_0"],
            ),
            ("r", "recordsink name=sink location=", ["video", "audio"]),
            (
                "c",
                "circularsink name=sink recording=true location=",
                ["video", "audio_0"],
            ),
        ] {
            let file = dir.path().join(format!("{kind}{n}.avi"));
            sound.check(&format!("{sink}{}", file.display()), pads, &file);
        }
    }
}
