// SPDX-License-Identifier: MIT OR Apache-2.0
//! avimjpegmux and cameras that do not keep what their caps say, or say nothing.

use crate::common::ffprobe;
use crate::feed::{Feed, JPEG, PCM, chunks, numbers, picture};
use gst::prelude::*;

/// A camera, and when each of its frames is to be shown.
struct Camera {
    what: &'static str,
    /// Behind `image/jpeg,width=320,height=240`.
    caps: &'static str,
    /// In milliseconds.
    times: Vec<f64>,
    /// The same without jumps.
    shown: Vec<f64>,
    duration: Option<u64>,
}

fn camera(what: &'static str, caps: &'static str, times: impl IntoIterator<Item = f64>) -> Camera {
    let times: Vec<f64> = times.into_iter().collect();
    Camera {
        what,
        caps,
        shown: times.clone(),
        times,
        duration: None,
    }
}

fn every(interval: f64, frames: u32) -> impl Iterator<Item = f64> + Clone {
    (0..frames).map(move |n| f64::from(n) * interval)
}

/// Ends the file; what was warned of until then.
fn end(feed: &Feed) -> Vec<String> {
    for pad in &feed.pads {
        pad.push_event(gst::event::Eos::new());
    }
    let bus = feed.pipeline.0.bus().unwrap();
    let kinds = [
        gst::MessageType::Warning,
        gst::MessageType::Error,
        gst::MessageType::Eos,
    ];
    let mut warned = Vec::new();
    loop {
        let message = bus.timed_pop_filtered(crate::common::HANG, &kinds);
        match message.expect("an end").view() {
            gst::MessageView::Warning(warning) => warned.push(warning.error().to_string()),
            gst::MessageView::Error(error) => panic!("{error:?}"),
            _ => return warned,
        }
    }
}

/// Frames a second by the file's head.
fn rate(path: &std::path::Path) -> f64 {
    let rate = ffprobe(path, &["-select_streams", "v"], "stream=r_frame_rate");
    let (n, d) = rate[0].split_once('/').unwrap();
    n.parse::<f64>().unwrap() / d.parse::<f64>().unwrap()
}

impl Camera {
    /// Records it; every frame is to be in the file, in order, and shown within `places` places of the file
    /// from its time. Answers what was warned of.
    fn check(&self, places: f64) -> Vec<String> {
        let what = self.what;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.avi");
        let caps = format!("image/jpeg,width=320,height=240{}", self.caps);
        let feed = Feed::new("", &path, &[caps]);
        for (n, time) in self.times.iter().enumerate() {
            let mut buffer = gst::Buffer::from_slice(picture(n as u32, 500));
            let buffer_mut = buffer.get_mut().unwrap();
            buffer_mut.set_pts(gst::ClockTime::from_nseconds((time * 1e6) as u64));
            buffer_mut.set_duration(self.duration.map(gst::ClockTime::from_mseconds));
            feed.pads[0].push(buffer).unwrap();
        }
        let warned = end(&feed);
        assert_eq!(feed.stat("frames"), self.times.len() as u64, "{what}");
        assert_eq!(feed.stat("dropped"), 0, "{what}");
        drop(feed);
        let interval = 1000.0 / rate(&path);
        let in_file = numbers(&std::fs::read(&path).unwrap());
        let mut first = None;
        let mut all = 0..;
        for (place, number) in in_file.iter().enumerate() {
            let Some(number) = number else { continue };
            assert_eq!(Some(*number), all.next(), "{what}");
            let at = place as f64 * interval;
            let wanted = self.shown[*number as usize] - self.shown[0];
            let off = at - *first.get_or_insert(at) - wanted;
            assert!(
                off.abs() <= places * interval + 0.01,
                "{what}: frame {number} is {off} ms off, of {interval}"
            );
        }
        assert_eq!(all.next(), Some(self.times.len() as u32), "{what}");
        warned
    }
}

#[test]
fn a_camera_that_does_not_say_its_rate_has_every_frame_at_its_time() {
    let rest = |from: f64| every(40.0, 100).map(move |at| at + from);
    for camera in [
        camera("regular", "", every(66.0, 90)),
        camera("few", "", every(100.0, 5)),
        camera("slow", "", every(60_000.0, 5)),
        camera("a long first gap", "", [0.0].into_iter().chain(rest(400.0))),
        camera("a longer one", "", [0.0].into_iter().chain(rest(2520.0))),
        camera("10 s", "", [0.0].into_iter().chain(rest(9960.0))),
        camera("12 s", "", [0.0].into_iter().chain(rest(12_000.0))),
        camera("a minute", "", [0.0].into_iter().chain(rest(60_000.0))),
        camera("one each 10 s", "", every(10_000.0, 4)),
        camera("one each 12 s", "", every(12_000.0, 4)),
        camera("two", "", every(12_000.0, 2)),
        camera("one an hour", "", every(3_600_000.0, 3)),
        camera("none said", ",framerate=0/1", every(100.0, 60)),
        camera(
            "the most said",
            ",framerate=0/1,max-framerate=30/1",
            every(100.0, 60),
        ),
        Camera {
            duration: Some(33),
            ..camera("wrong durations", "", every(100.0, 60))
        },
        camera(
            "slow, then fast",
            "",
            every(83.0, 60).chain(every(100.0 / 3.0, 100).map(|at| at + 60.0 * 83.0)),
        ),
    ] {
        assert_eq!(camera.check(0.5), [""; 0], "{}", camera.what);
    }
    // Two at once, and one before the other: the file has them one after the other.
    for camera in [
        camera("a short gap", "", [0.0, 3.0].into_iter().chain(rest(80.0))),
        camera("twice", "", [0.0, 0.0].into_iter().chain(rest(80.0))),
        camera("back", "", [100.0, 60.0].into_iter().chain(rest(140.0))),
    ] {
        assert_eq!(camera.check(3.5), [""; 0], "{}", camera.what);
    }
}

#[test]
fn a_camera_that_is_faster_than_its_caps_loses_nothing() {
    for camera in [
        camera("25 is 30", ",framerate=25/1", every(1001.0 / 30.0, 300)),
        camera("30 is 60", ",framerate=30/1", every(1000.0 / 60.0, 120)),
    ] {
        assert_eq!(camera.check(0.1), [""; 0], "{}", camera.what);
    }
    let slow_first = every(1000.0 / 7.5, 30).chain(every(1000.0 / 30.0, 90).map(|at| at + 4000.0));
    camera("7.5, then 30", ",framerate=30/1", slow_first).check(1.1);
    let fast_later = every(40.0, 100).chain(every(20.0, 50).map(|at| at + 4000.0));
    let warned = camera("25, then 50", ",framerate=25/1", fast_later).check(30.0);
    let [warning] = warned.try_into().unwrap();
    assert!(warning.contains("shown later than their time"), "{warning}");
}

#[test]
fn timestamps_that_begin_anew_are_warned_of_and_lose_nothing() {
    let regular = |frames| every(40.0, frames).collect::<Vec<_>>();
    for (what, times, jump) in [
        (
            "back",
            every(40.0, 30)
                .map(|at| at + 10_000.0)
                .chain(every(40.0, 30))
                .collect::<Vec<_>>(),
            "from 11.160 s to 0.000 s",
        ),
        (
            "a little back",
            every(40.0, 30)
                .chain(every(40.0, 40).map(|at| at + 800.0))
                .collect(),
            "from 1.160 s to 0.800 s",
        ),
        (
            "50 years ahead",
            every(40.0, 30)
                .chain(every(40.0, 30).map(|at| at + 1.6e12))
                .collect(),
            "from 1.160 s to 1600000000.000 s",
        ),
    ] {
        let camera = Camera {
            shown: regular(times.len() as u32),
            ..camera(what, ",framerate=25/1", times)
        };
        let [warning] = camera.check(0.1).try_into().unwrap();
        assert!(warning.contains(jump), "{what}: {warning}");
    }
}

#[test]
fn frames_without_times_follow_one_another() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.avi");
    for (caps, expected) in [("", 25.0), (",framerate=15/1", 15.0)] {
        let caps = format!("image/jpeg,width=320,height=240{caps}");
        let feed = Feed::new("", &path, &[caps]);
        for n in 0..60 {
            let buffer = gst::Buffer::from_slice(picture(n, 500));
            feed.pads[0].push(buffer).unwrap();
        }
        assert_eq!(end(&feed), [""; 0]);
        drop(feed);
        let in_file = numbers(&std::fs::read(&path).unwrap());
        assert_eq!(in_file, (0..60).map(Some).collect::<Vec<_>>());
        assert_eq!(rate(&path), expected);
    }
}

#[test]
fn frames_of_one_time_follow_one_another() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.avi");
    type Times = fn(u32) -> u32;
    let cases: [(&str, Times, &str, f64); 5] = [
        ("a clock that stands", |_| 500, ",framerate=10/1", 10.0),
        ("the same without a rate", |_| 0, "", 25.0),
        ("five at a time", |n| n / 5 * 200, "", 25.0),
        (
            "and the caps say less",
            |n| n / 4 * 200,
            ",framerate=5/1",
            20.0,
        ),
        ("two at a time", |n| n / 2 * 100, ",framerate=20/1", 20.0),
    ];
    for (what, time, caps, expected) in cases {
        let caps = format!("image/jpeg,width=320,height=240{caps}");
        let feed = Feed::new("", &path, &[caps]);
        for n in 0..60 {
            feed.push(0, picture(n, 500), f64::from(time(n))).unwrap();
        }
        assert_eq!(end(&feed), [""; 0], "{what}");
        drop(feed);
        let in_file = numbers(&std::fs::read(&path).unwrap());
        assert_eq!(in_file, (0..60).map(Some).collect::<Vec<_>>(), "{what}");
        assert_eq!(rate(&path), expected, "{what}");
    }
}

#[test]
fn what_is_left_out_and_what_never_came_is_told_of_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.avi");
    let caps = format!("{JPEG},framerate=25/1");
    let feed = Feed::new("", &path, &[caps, format!("{PCM},rate=8000,channels=1")]);
    for n in 0..50 {
        let data = if n % 5 == 4 {
            Vec::new()
        } else {
            picture(n, 500)
        };
        feed.push(0, data, f64::from(n) * 40.0).unwrap();
        if n == 0 {
            feed.pads[1].push_event(gst::event::Eos::new());
        }
    }
    let mut warned = end(&feed);
    warned.sort();
    let [empty, nothing] = warned.try_into().unwrap();
    assert!(
        empty.starts_with("An empty buffer came on stream 0"),
        "{empty}"
    );
    assert!(nothing.starts_with("Nothing came on stream 1"), "{nothing}");
    assert_eq!((feed.stat("frames"), feed.stat("dropped")), (40, 10));
}

#[test]
fn without_a_size_the_file_begins_with_the_first_picture_that_has_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.avi");
    let cut = picture(0, 500)[..50].to_vec();
    let after = |line: &[u8]| [line, &picture(0, 500)].concat();
    for (first, is_lost) in [
        (Vec::new(), true),
        (cut, true),
        (vec![0; 400], true),
        (after(b"\r\n"), false),
        (after(&[0xff; 7]), false),
        (after(&[0; 64]), false),
        (after(b"--frame\r\nContent-Type: image/jpeg\r\n\r\n"), false),
    ] {
        let feed = Feed::new("", &path, &["image/jpeg,framerate=25/1".to_owned()]);
        feed.push(0, first, 0.0).unwrap();
        for n in 1..50 {
            feed.push(0, picture(n, 500), f64::from(n) * 40.0).unwrap();
        }
        let warned = end(&feed);
        let lost = u64::from(is_lost);
        assert_eq!(warned.len() as u64, lost, "{warned:?}");
        assert!(
            warned
                .iter()
                .all(|text| text.starts_with("1 pictures before the first readable")),
            "{warned:?}"
        );
        assert_eq!(
            (feed.stat("frames"), feed.stat("dropped")),
            (50 - lost, lost)
        );
        drop(feed);
        let in_file = numbers(&std::fs::read(&path).unwrap());
        assert_eq!(in_file, (lost as u32..50).map(Some).collect::<Vec<_>>());
        let size = ffprobe(&path, &[], "stream=width,height");
        assert_eq!(size, ["320", "240"]);
    }
}

#[test]
fn sound_of_odd_sizes_and_low_rates_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.avi");
    for rate in [1000, 4000, 8000] {
        let caps = [
            format!("{JPEG},framerate=10/1"),
            format!("{PCM},rate={rate},channels=1"),
        ];
        let feed = Feed::new("", &path, &caps);
        let samples: Vec<u8> = (0..2 * rate).map(|n| (n / 7) as u8).collect();
        for n in 0..10 {
            feed.push(0, picture(n, 500), f64::from(n) * 100.0).unwrap();
        }
        let mut at = 0;
        for piece in samples.chunks(333) {
            let time = f64::from(at / 2) * 1000.0 / f64::from(rate);
            feed.push(1, piece.to_vec(), time).unwrap();
            at += piece.len() as u32;
        }
        assert_eq!(end(&feed), [""; 0]);
        drop(feed);
        let sound: Vec<u8> = chunks(&std::fs::read(&path).unwrap())
            .into_iter()
            .filter(|(stream, _)| *stream == 1)
            .flat_map(|(_, bytes)| bytes)
            .collect();
        assert!(sound == samples, "{rate}");
    }
}

/// Pads, the second of which gets its caps when all of the first is written.
fn begin_late(path: &std::path::Path, first: &str, second: &str) -> Feed {
    let sink = format!("filesink location={}", path.display());
    let feed = Feed::into_sink("", &sink, &[first.to_owned()]);
    let Feed {
        pipeline,
        mux,
        mut pads,
    } = feed;
    pads.push(crate::feed::link(&mux, second));
    Feed {
        pipeline,
        mux,
        pads,
    }
}

#[test]
fn a_camera_that_comes_late_is_put_in_at_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.avi");
    let sound = format!("{PCM},rate=8000,channels=1");
    for comes in [true, false] {
        let jpeg = "image/jpeg,framerate=10/1";
        let feed = begin_late(&path, &sound, jpeg);
        for n in 0..140 {
            feed.push(0, vec![7; 1600], f64::from(n) * 100.0).unwrap();
        }
        // All but the last second is in the file, and not in memory.
        assert!(std::fs::metadata(&path).unwrap().len() > 13 * 16_000);
        if comes {
            assert!(crate::feed::begin(&feed.pads[1], jpeg));
            for n in 0..40 {
                let time = 14_000.0 + f64::from(n) * 100.0;
                feed.push(0, vec![7; 1600], time).unwrap();
                feed.push(1, picture(n, 500), time).unwrap();
            }
        }
        let [warning] = end(&feed).try_into().unwrap();
        assert!(warning.contains("Nothing came on pad video_0"), "{warning}");
        drop(feed);
        let bytes = std::fs::read(&path).unwrap();
        let of = |stream| {
            let chunks = chunks(&bytes).into_iter();
            let chunks = chunks.filter(move |(n, _)| *n == stream);
            chunks.map(|(_, bytes)| bytes.len()).collect::<Vec<_>>()
        };
        let frames = of(1);
        let kinds = ffprobe(&path, &[], "stream=codec_type");
        if !comes {
            assert_eq!((frames.len(), kinds), (0, vec!["audio".to_owned()]));
            assert_eq!(of(0).iter().sum::<usize>(), 140 * 1600);
            continue;
        }
        assert_eq!(of(0).iter().sum::<usize>(), 180 * 1600);
        assert!(frames.len() == 180 && frames[..140].iter().all(|size| *size == 0));
        assert!(frames[140..].iter().all(|size| *size == 500));
        assert_eq!(kinds, ["audio", "video"]);
        let count = ffprobe(
            &path,
            &["-count_frames", "-select_streams", "v"],
            "stream=width,height,r_frame_rate,nb_read_packets",
        );
        assert_eq!(count[..3], ["320", "240", "10/1"]);
    }
}

#[test]
fn sound_that_comes_late_is_put_in_at_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.avi");
    let sound = format!("{PCM},rate=8000,channels=1");
    let jpeg = format!("{JPEG},framerate=10/1");
    let feed = begin_late(&path, &jpeg, &sound);
    for n in 0..140 {
        feed.push(0, picture(n, 500), f64::from(n) * 100.0).unwrap();
    }
    assert!(crate::feed::begin(&feed.pads[1], &sound));
    for n in 140..160 {
        feed.push(0, picture(n, 500), f64::from(n) * 100.0).unwrap();
        feed.push(1, vec![7; 1600], f64::from(n) * 100.0).unwrap();
    }
    let [warning] = end(&feed).try_into().unwrap();
    assert!(warning.contains("Nothing came on pad audio_0"), "{warning}");
    drop(feed);
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(numbers(&bytes), (0..160).map(Some).collect::<Vec<_>>());
    let heard: Vec<u8> = chunks(&bytes)
        .into_iter()
        .filter(|(n, _)| *n == 1)
        .flat_map(|(_, bytes)| bytes)
        .collect();
    assert!(heard == [vec![0; 140 * 1600], vec![7; 20 * 1600]].concat());
    let probed = ffprobe(
        &path,
        &["-select_streams", "a"],
        "stream=codec_name,sample_rate,channels",
    );
    assert_eq!(probed, ["pcm_s16le", "8000", "1"]);
}

/// The K210's file has the rate of the caps: what is left out for that is told of, once, and counted.
#[test]
fn sound_of_twice_the_rate_of_its_caps_is_warned_of_in_the_k210s_profile() {
    let dir = tempfile::tempdir().unwrap();
    let formats = [
        format!("{JPEG},framerate=10/1"),
        format!("{PCM},rate=8000,channels=1"),
    ];
    let feed = Feed::new("profile=k210", &dir.path().join("a.avi"), &formats);
    let interval = gst::ClockTime::from_mseconds(100);
    // Each piece is 200 ms of sound by the caps.
    let bytes = 2 * 2 * 800;
    for n in 0..20_u32 {
        for (pad, buffer) in [(0, picture(n, 500)), (1, vec![7; bytes])] {
            let mut buffer = gst::Buffer::from_slice(buffer);
            buffer.get_mut().unwrap().set_pts(u64::from(n) * interval);
            feed.pads[pad].push(buffer).unwrap();
        }
    }
    let warned = end(&feed);
    let of_sound = warned.iter().filter(|text| text.contains("More sound"));
    assert_eq!(of_sound.count(), 1, "{warned:?}");
    assert!(feed.stat("skipped") > 14_000, "{}", feed.stat("skipped"));
}
