// SPDX-License-Identifier: MIT OR Apache-2.0
//! avimjpegmux and time: streams that jitter, drift, stop, start late or stall.

use crate::common::ffprobe;
use crate::feed::jpeg_head::segment;
use crate::feed::{Feed, JPEG, PCM, chunks, numbers, picture};
use gst::prelude::*;

/// Milliseconds of a frame at 10 a second.
const FRAME: f64 = 100.0;

/// Samples of a buffer of sound.
const BLOCK: u32 = 640;

/// Samples a millisecond in the file.
const SAMPLES: f64 = 8.0;

/// A recording of an hour, in milliseconds.
struct Recording {
    /// When the two begin.
    video_from: f64,
    sound_from: f64,
    /// Of one frame, as the camera makes them.
    step: f64,
    /// Each frame's time is off by up to this.
    jitter: f64,
    /// One of so many frames is lost.
    loses: u32,
    /// Samples a millisecond, as the microphone makes them.
    samples: f64,
    /// A time in which there are no frames, and one in which there is no sound.
    no_video: std::ops::Range<f64>,
    no_sound: std::ops::Range<f64>,
}

const HOUR: f64 = 3_600_000.0;

impl Recording {
    /// Records it; then looks at what is seen and heard at every moment of the file.
    fn check(&self, what: &str) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.avi");
        let caps = [
            format!("{JPEG},framerate=10/1"),
            format!("{PCM},rate=8000,channels=1"),
        ];
        let feed = Feed::new("", &path, &caps);
        // Each sample is its number, so that it can be told what is heard.
        let numbered: Vec<u8> = (0..30_000 + BLOCK)
            .flat_map(|n| ((n % 30_000) as u16 + 1).to_le_bytes())
            .collect();
        let block = |first: u32| {
            let from = 2 * (first % 30_000) as usize;
            numbered[from..from + 2 * BLOCK as usize].to_vec()
        };
        let (mut sent, mut seed) = (0u32, 1u32);
        let mut true_times = Vec::new();
        let mut n = 0u32;
        loop {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let jitter = f64::from(seed >> 16) / 65_536.0 * self.jitter;
            let time = self.video_from + f64::from(n) * self.step + jitter;
            if time > HOUR {
                break;
            }
            loop {
                let at = self.sound_from + f64::from(sent) / self.samples;
                if at > time {
                    break;
                }
                if !self.no_sound.contains(&at) {
                    feed.push(1, block(sent), at).unwrap();
                }
                sent += BLOCK;
            }
            let lost = self.loses > 0 && n % self.loses == self.loses - 1;
            if !lost && !self.no_video.contains(&time) {
                feed.push(0, picture(n, 30), time).unwrap();
                true_times.push((n, time));
            }
            n += 1;
        }
        feed.end().unwrap();
        assert_eq!(feed.stat("dropped"), 0, "{what}");
        drop(feed);
        let bytes = std::fs::read(&path).unwrap();
        let places = numbers(&bytes);
        let sound: Vec<u8> = chunks(&bytes)
            .into_iter()
            .filter(|(stream, _)| *stream == 1)
            .map(|(_, bytes)| bytes)
            .collect::<Vec<_>>()
            .concat();
        let begins = {
            let first = places.iter().position(Option::is_some).unwrap();
            true_times[0].1 - first as f64 * FRAME
        };
        // What is shown: every frame, at its time but for an interval and its rounding.
        let mut shown = (0..).zip(&places).filter_map(|(p, n)| Some((p, (*n)?)));
        // For each second, how far on the mean picture and sound are ahead of their time.
        let seconds = (HOUR / 1000.0) as usize + 2;
        let mut seen = vec![(0.0, 0u32); seconds];
        for (n, time) in true_times {
            let (place, number) = shown.next().unwrap();
            assert_eq!(number, n, "{what}: no frame is lost");
            let at = f64::from(place) * FRAME;
            let error = at + begins - time;
            assert!(
                error.abs() <= FRAME + 2.0,
                "{what}: frame {n} is {error} ms off"
            );
            let second = &mut seen[(at / 1000.0) as usize];
            second.0 += error;
            second.1 += 1;
        }
        let mut heard = vec![(0.0, 0u32); seconds];
        for n in (0..sound.len() / 2).step_by(80) {
            let sample = u16::from_le_bytes([sound[2 * n], sound[2 * n + 1]]);
            if sample == 0 {
                continue;
            }
            let at = n as f64 / SAMPLES;
            // Which of the samples of that number: the one nearest to its time.
            let about = (at + begins - self.sound_from) * self.samples;
            let low = f64::from(sample - 1);
            let number = low + ((about - low) / 30_000.0).round() * 30_000.0;
            let error = at + begins - (self.sound_from + number / self.samples);
            assert!(
                error.abs() <= 21.0,
                "{what}: sound is {error} ms off at {at}"
            );
            let second = &mut heard[(at / 1000.0) as usize];
            second.0 += error;
            second.1 += 1;
        }
        let mut both = 0;
        for (second, (seen, heard)) in seen.iter().zip(&heard).enumerate() {
            if seen.1 > 0 && heard.1 > 0 {
                let apart = seen.0 / f64::from(seen.1) - heard.0 / f64::from(heard.1);
                assert!(
                    apart.abs() <= FRAME,
                    "{what}: {apart} ms apart in second {second}"
                );
                both += 1;
            }
        }
        assert!(both > 3500, "{what}: {both} seconds have both");
        // Others see as many.
        let read = ffprobe(
            &path,
            &["-count_packets", "-select_streams", "v"],
            "stream=nb_read_packets",
        );
        let frames = places.iter().flatten().count();
        assert_eq!(read, [frames.to_string()], "{what}");
    }
}

/// Nothing happens for the whole hour.
fn steady() -> Recording {
    Recording {
        video_from: 0.0,
        sound_from: 0.0,
        step: FRAME,
        jitter: 0.0,
        loses: 0,
        samples: SAMPLES,
        no_video: 0.0..0.0,
        no_sound: 0.0..0.0,
    }
}

#[test]
fn an_hour_of_jitter_and_drift_stays_within_a_frame() {
    Recording {
        video_from: 300.0,
        step: 100.05,
        jitter: 50.0,
        loses: 100,
        samples: 8.008,
        ..steady()
    }
    .check("a slow camera and a fast microphone");
}

#[test]
fn an_hour_with_a_late_start_and_gaps_stays_within_a_frame() {
    Recording {
        sound_from: 4321.0,
        jitter: 12.0,
        samples: 7.992,
        no_video: 1_200_000.0..1_210_000.0,
        no_sound: 2_400_000.0..2_403_000.0,
        ..steady()
    }
    .check("sound that starts late, and gaps");
}

#[test]
fn the_k210_keeps_the_time_of_a_stream_with_gaps_and_frames_too_many() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.avi");
    let caps = [format!("{JPEG},framerate=10/1")];
    let feed = Feed::new("profile=k210", &path, &caps);
    let times: Vec<f64> = (0..200)
        .filter(|n| !(20..25).contains(n) && *n != 40)
        .map(|n| f64::from(n) * 100.0)
        .chain((400..600).map(|n| f64::from(n) * 50.0))
        .collect();
    for (n, time) in times.iter().enumerate() {
        feed.push(0, picture(n as u32, 500), *time).unwrap();
    }
    let bus = feed.pipeline.0.bus().unwrap();
    feed.end().unwrap();
    let mut warnings = 0;
    while bus.pop_filtered(&[gst::MessageType::Warning]).is_some() {
        warnings += 1;
    }
    // wait() took what came before EOS off the bus, warnings too.
    assert!(warnings <= 1);
    assert_eq!(feed.stat("repeated"), 6);
    assert!(feed.stat("dropped") >= 95, "{}", feed.stat("dropped"));
    drop(feed);
    let played = crate::k210_player::play(&std::fs::read(&path).unwrap()).unwrap();
    let lasts = played.frames.len() as f64 * f64::from(played.micro_sec_per_frame) / 1000.0;
    assert!((lasts - 30_000.0).abs() <= 150.0, "{lasts}");
}

#[test]
fn the_k210_is_spared_damaged_frames() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.avi");
    let caps = [format!("{JPEG},framerate=10/1")];
    let feed = Feed::new("profile=k210", &path, &caps);
    for n in 0..10 {
        let mut frame = picture(n, 500);
        if [0, 4, 5].contains(&n) {
            // It is to have restart markers, and has none.
            frame.splice(2..2, segment(0xdd, &[0, 20]));
        }
        feed.push(0, frame, f64::from(n) * 100.0).unwrap();
    }
    let [warning] = warnings(&feed).try_into().unwrap();
    for words in ["Frame 0", "damaged", "20 of 300 units"] {
        assert!(warning.contains(words), "{warning}");
    }
    feed.end().unwrap();
    assert_eq!((feed.stat("dropped"), feed.stat("repeated")), (3, 3));
    drop(feed);
    let file = std::fs::read(&path).unwrap();
    assert_eq!(crate::k210_player::play(&file).unwrap().frames.len(), 10);
    let shown = [1, 1, 2, 3, 3, 3, 6, 7, 8, 9].map(Some);
    assert_eq!(numbers(&file), shown);
}

/// What the pipeline warned of.
fn warnings(feed: &Feed) -> Vec<String> {
    let bus = feed.pipeline.0.bus().unwrap();
    let of = |message: gst::Message| match message.view() {
        gst::MessageView::Warning(warning) => warning.error().to_string(),
        _ => unreachable!("it was asked for"),
    };
    std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Warning]))
        .map(of)
        .collect()
}

#[test]
fn sound_does_not_pile_up_while_the_k210_s_camera_stalls() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.avi");
    let caps = [
        format!("{JPEG},framerate=10/1"),
        format!("{PCM},rate=8000,channels=1"),
    ];
    let feed = Feed::new("profile=k210", &path, &caps);
    for n in 0..5 {
        feed.push(0, picture(n, 500), f64::from(n) * 100.0).unwrap();
    }
    let size = || std::fs::metadata(&path).unwrap().len();
    let mut sizes = Vec::new();
    // A minute of sound, in which no frame comes.
    for n in 0..600 {
        feed.push(1, vec![7; 1600], f64::from(n) * 100.0).unwrap();
        sizes.push(size());
    }
    // All but the last seconds of it is in the file, and said.
    assert!(feed.stat("repeated") >= 480, "{}", feed.stat("repeated"));
    assert!(sizes[599] > 700_000, "{}", sizes[599]);
    assert_eq!(
        warnings(&feed)
            .iter()
            .filter(|text| text.contains("No frame came in 10 s of sound"))
            .count(),
        1
    );
    for n in 600..610 {
        feed.push(0, picture(n, 500), f64::from(n) * 100.0).unwrap();
        feed.push(1, vec![7; 1600], f64::from(n) * 100.0).unwrap();
    }
    feed.end().unwrap();
    assert_eq!(feed.stat("dropped"), 0);
    drop(feed);
    let bytes = std::fs::read(&path).unwrap();
    let played = crate::k210_player::play(&bytes).unwrap();
    assert_eq!(played.frames.len(), 610);
    assert!(played.sound.concat() == vec![7; 610 * 1600]);
    let shown = numbers(&bytes);
    assert_eq!(shown[300], Some(4), "the last one before");
    assert_eq!(shown[605], Some(605), "frames are at their time again");
}

#[test]
fn a_pad_that_is_silent_unlinked_or_late_does_not_block() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.avi");
    let caps = [
        format!("{JPEG},framerate=25/1"),
        format!("{PCM},rate=8000,channels=1"),
    ];
    let feed = Feed::new("", &path, &caps);
    let unlinked = feed.mux.request_pad_simple("audio_%u").unwrap();
    // One thread for all pads: the sound stops after the first buffer.
    feed.push(1, vec![1; 320], 0.0).unwrap();
    for n in 0..100 {
        feed.push(0, picture(n, 100), f64::from(n) * 40.0).unwrap();
    }
    assert!(
        feed.mux.request_pad_simple("video_%u").is_none(),
        "the file is begun"
    );
    // It is heard again, and goes to its time.
    feed.push(1, vec![1; 320], 3000.0).unwrap();
    feed.end().unwrap();
    feed.mux.release_request_pad(&unlinked);
    drop(feed);
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(numbers(&bytes).len(), 100);
    let sound: Vec<_> = chunks(&bytes)
        .into_iter()
        .filter(|(n, _)| *n == 1)
        .collect();
    let samples: usize = sound.iter().map(|(_, bytes)| bytes.len() / 2).sum();
    assert_eq!(samples, 3000 * 8 + 160);
}

#[test]
fn gap_events_stand_for_data() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.avi");
    let caps = [
        format!("{JPEG},framerate=25/1"),
        format!("{PCM},rate=8000,channels=1"),
    ];
    let feed = Feed::new("", &path, &caps);
    for n in 0..10 {
        let time = gst::ClockTime::from_mseconds(n * 40);
        feed.pads[1].push_event(
            gst::event::Gap::builder(time)
                .duration(gst::ClockTime::from_mseconds(40))
                .build(),
        );
        feed.push(0, picture(n as u32, 100), n as f64 * 40.0)
            .unwrap();
        // Written at once, for nothing else is to come before.
        assert_eq!(feed.stat("frames"), n + 1);
    }
    feed.end().unwrap();
}
