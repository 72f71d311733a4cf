// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sound that stops: with GAP events, and like that of a microphone whose cable was pulled.

use std::path::{Path, PathBuf};
use std::process::Command;

use gst::prelude::*;

use super::rig::*;

/// Frames between which there is no sound.
const STOPS: u64 = 150;
const COMES_BACK: u64 = 400;

/// The first sample of a frame.
fn sample_at(frame: u64) -> u64 {
    frame * SAMPLES / RATE
}

/// The samples in a file, as they are stored.
fn stored_samples(path: &Path) -> Vec<i64> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(["-map", "0:a", "-c:a", "pcm_s16le", "-f", "s16le", "-"])
        .output()
        .expect("ffmpeg is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    output
        .stdout
        .chunks_exact(2)
        .map(|b| i64::from(i16::from_le_bytes([b[0], b[1]])))
        .collect()
}

/// Sound where there was some, silence where not, to within 1 ms, in a file that begins with
/// frame `first`.
fn assert_silence(path: &Path, first: u64) {
    let samples = stored_samples(path);
    let near = |sample: u64, edge: u64| sample.abs_diff(sample_at(edge)) < SAMPLES / 500;
    for (index, &value) in samples.iter().enumerate() {
        let sample = sample_at(first) + index as u64;
        let silent = (sample_at(STOPS)..sample_at(COMES_BACK)).contains(&sample);
        if near(sample, STOPS) || near(sample, COMES_BACK) || sample % 30_000 < 100 {
            continue;
        }
        if silent {
            assert_eq!(value, 0, "sample {sample} of {}", path.display());
        } else {
            let off = value.abs_diff((sample % 30_000) as i64);
            assert!(off <= SAMPLES / 1000, "sample {sample} is {value}");
        }
    }
    let end = sample_at(first) + samples.len() as u64;
    assert!(
        end > sample_at(COMES_BACK + 50),
        "the sound ends at sample {end}"
    );
}

fn caught_up(rig: &Rig) {
    until("the recording catches up", || {
        stats_of(rig, "backlog-bytes") == 0
    });
}

fn warnings(rig: &Rig) -> Vec<String> {
    rig.warnings.lock().expect("nobody panics").clone()
}

/// A recording whose sound stops at one frame and comes back at another.
fn record_silence(name: &str, gaps: bool) -> (Rig, Done) {
    let encoder = match name {
        "r.avi" => "jpegenc".to_owned(),
        _ => x264(30, 2),
    };
    let mut rig = Rig::new(encoded(&encoder, 600), true);
    rig.locate(name);
    rig.sink.set_property("max-time", 100 * FRAME);
    rig.start();
    rig.push(120);
    rig.trigger(None);
    rig.push(STOPS as usize - 120);
    let audio = rig.audio.take().expect("there is sound");
    for _ in (STOPS..COMES_BACK).step_by(10) {
        if gaps {
            let start = gst::ClockTime::from_nseconds(rig.next as u64 * FRAME);
            let gap = gst::event::Gap::builder(start);
            let length = gst::ClockTime::from_nseconds(10 * FRAME);
            audio.push_event(gap.duration(length).build());
        }
        rig.push(10);
    }
    // It goes on while it is open, not only once its end is known.
    caught_up(&rig);
    rig.next_sample = COMES_BACK * SAMPLES / RATE;
    rig.audio = Some(audio);
    rig.push(100);
    rig.finish();
    rig.push(20);
    let done = rig.finished();
    (rig, done)
}

#[test]
fn a_microphone_that_is_unplugged_leaves_silence() {
    for name in ["r.mkv", "r.mov", "r.avi"] {
        let (rig, done) = record_silence(name, false);
        assert_sound(done.path());
        let first = done.start.expect("it began") / FRAME;
        let decoded = decode_picture(done.path());
        assert_frames(&decoded, first, first + done.frames - 1);
        assert!(first + done.frames >= 499, "{}", done.frames);
        assert_silence(done.path(), first);
        let said = warnings(&rig);
        // avimjpegmux goes on by itself, so that here the sound may be back before it is missed.
        let told = said.iter().any(|text| text.contains("audio_0"));
        assert!(told || name == "r.avi", "{said:?}");
    }
}

#[test]
fn announced_gaps_are_silence_and_no_news() {
    for name in ["r.mkv", "r.mov", "r.avi"] {
        let (rig, done) = record_silence(name, true);
        assert_sound(done.path());
        let first = done.start.expect("it began") / FRAME;
        assert_frames(&decode_picture(done.path()), first, first + done.frames - 1);
        assert_silence(done.path(), first);
        assert_eq!(warnings(&rig), [""; 0]);
    }
}

/// The root mean square of a file's sound between two times (s); the decoder may not complain.
fn loudness(path: &Path, from: f64, to: f64) -> f64 {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(["-map", "0:a", "-ac", "1", "-ar", "48000", "-f", "f32le"])
        .args(["-af", &format!("atrim={from}:{to}"), "-"])
        .output()
        .expect("ffmpeg is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    let squares: Vec<_> = output
        .stdout
        .chunks_exact(4)
        .map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]])).powi(2))
        .collect();
    let expected = (to - from) * 48_000.;
    assert!(
        (squares.len() as f64 - expected).abs() < 9600.,
        "{}",
        squares.len()
    );
    (squares.iter().sum::<f64>() / squares.len() as f64).sqrt()
}

/// Presentation times (s) of the packets of sound.
fn sound_packets(path: &Path) -> Vec<f64> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "a", "-of", "csv=p=0"])
        .args(["-show_entries", "packet=pts_time"])
        .arg(path)
        .output()
        .expect("ffprobe is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .filter_map(|line| line.trim_matches(',').parse().ok())
        .collect()
}

#[test]
fn encoded_sound_that_stops_does_not_stop_the_picture() {
    let mp3 = "lamemp3enc target=bitrate bitrate=128 cbr=true";
    for (name, encoder, comes_back) in [
        ("r.mp4", "avenc_aac", true),
        ("r.ts", "avenc_aac", true),
        ("r.mkv", "avenc_aac", true),
        ("r.mkv", "opusenc", true),
        ("r.mkv", mp3, false),
    ] {
        let (caps, sound) = sound(encoder);
        let mut rig = Rig::new(encoded(&x264(30, 2), 600), true);
        rig.locate(name);
        rig.sink.set_property("max-time", 100 * FRAME);
        rig.start();
        let audio = rig.audio.take().expect("there is sound");
        audio.push_event(gst::event::Caps::new(&caps));
        let (push, mut sent) = (audio.clone(), sound.iter().peekable());
        let mut play = |rig: &mut Rig, frames: u64, heard: bool| {
            for _ in 0..frames {
                let until = gst::ClockTime::from_nseconds((rig.next as u64 + 1) * FRAME);
                while let Some(frame) = sent.next_if(|frame| frame.pts() < Some(until)) {
                    if heard {
                        push.push(frame.clone()).expect("the sound is taken");
                    }
                }
                rig.push(1);
            }
        };
        play(&mut rig, 120, true);
        rig.trigger(None);
        play(&mut rig, STOPS - 120, true);
        play(&mut rig, COMES_BACK - STOPS, false);
        caught_up(&rig);
        play(&mut rig, 100, true);
        if !comes_back {
            caught_up(&rig);
        }
        rig.finish();
        play(&mut rig, 20, true);
        let done = rig.finished();
        assert_sound(done.path());
        let first = done.start.expect("it began") / FRAME;
        assert_frames(&decode_picture(done.path()), first, first + done.frames - 1);
        let second = |frame: u64| (frame - first) as f64 / RATE as f64;
        let loud = |from: f64, to: f64| loudness(done.path(), from, to);
        assert!(loud(0., second(STOPS) - 0.2) > 0.1, "{name} {encoder}");
        if comes_back {
            // Decoders fade from the noise to silence within two packets.
            let silence = loud(second(STOPS) + 0.2, second(COMES_BACK) - 0.2);
            assert!(silence < 0.0001, "{name} {encoder}: {silence}");
            let back = loud(second(COMES_BACK) + 0.2, second(COMES_BACK + 90));
            assert!(back > 0.1, "{name} {encoder}: {back}");
        } else {
            let end = sound_packets(done.path()).last().copied().unwrap_or(0.);
            assert!((end - second(STOPS)).abs() < 0.1, "{end}");
            let said = warnings(&rig);
            assert!(
                said.iter().any(|text| text.contains("next recording")),
                "{said:?}"
            );
        }
    }
}

#[test]
fn sound_that_never_comes_is_not_waited_for() {
    for name in ["r.mkv", "r.mp4"] {
        let mut rig = Rig::new(encoded(&x264(30, 2), 600), true);
        rig.locate(name);
        rig.sink.set_property("max-time", 100 * FRAME);
        rig.start();
        let audio = rig.audio.take().expect("there is sound");
        if name == "r.mp4" {
            audio.push_event(gst::event::Caps::new(&sound("avenc_aac").0));
        }
        rig.trigger(None);
        rig.push(400);
        caught_up(&rig);
        rig.finish();
        rig.push(20);
        let done = rig.finished();
        assert_sound(done.path());
        assert_frames(&decode_picture(done.path()), 0, done.frames - 1);
        assert!(done.frames >= 400, "{}", done.frames);
    }
}

/// So many pictures come without sound before a flush, and then more; the first recording, which ffmpeg plays.
fn before_a_flush(stream: Encoded, count: usize) -> (Rig, Done) {
    let mut rig = Rig::new(stream, true);
    rig.locate("f%d.mov");
    rig.sink.set_property("recording", true);
    rig.start();
    let audio = rig.audio.take().expect("there is sound");
    rig.push(count);
    for pad in [&rig.video, &audio] {
        pad.push_event(gst::event::FlushStart::new());
    }
    for pad in [&rig.video, &audio] {
        pad.push_event(gst::event::FlushStop::new(true));
    }
    let segment = gst::event::Segment::new(&rig.stream.segment);
    rig.video.push_event(segment);
    rig.push(30);
    let done = rig.finished();
    assert_sound(done.path());
    (rig, done)
}

#[test]
fn silence_before_a_flush_is_as_long_as_the_picture() {
    for count in [1, 10] {
        let (_rig, done) = before_a_flush(encoded("jpegenc", 100), count);
        let (found, _) = crate::random_cameras::read(done.path());
        assert_eq!(found.len(), count);
        let silence = stored_samples(done.path()).len() as u64;
        let picture = count as u64 * FRAME * SAMPLES / 1_000_000_000;
        assert_eq!(silence, picture, "{count}");
    }
}

/// Its track has a format nevertheless.
#[test]
fn a_picture_that_lasts_no_time_has_some_silence() {
    let mut stream = encoded("jpegenc", 100);
    let caps = stream.caps.make_mut().structure_mut(0);
    caps.expect("they say something").remove_field("framerate");
    for buffer in &mut stream.buffers {
        buffer.make_mut().set_duration(gst::ClockTime::NONE);
    }
    let (_rig, done) = before_a_flush(stream, 1);
    assert!(!stored_samples(done.path()).is_empty());
}

/// How nothing comes of the sound.
#[derive(Debug, Clone, Copy)]
enum Nothing {
    /// It is linked.
    Linked,
    /// It tells its format.
    Announced,
    /// It ends.
    Ended,
}

#[test]
fn sound_of_which_nothing_came_is_told_of_with_each_recording() {
    for (name, encoder) in [
        ("r%d.mkv", x264(30, 2)),
        ("r%d.mp4", x264(30, 2)),
        ("r%d.mov", x264(30, 2)),
        ("r%d.avi", "jpegenc".to_owned()),
    ] {
        for nothing in [Nothing::Linked, Nothing::Announced, Nothing::Ended] {
            let what = format!("{name}, {nothing:?}");
            let mut rig = Rig::new(encoded(&encoder, 200), true);
            rig.locate(name);
            rig.sink.set_property("max-time", 100 * FRAME);
            let audio = rig.audio.take().expect("there is sound");
            rig.start();
            match nothing {
                Nothing::Linked => (),
                Nothing::Announced => {
                    audio.push_event(gst::event::StreamStart::new("audio"));
                    let caps = match name {
                        "r%d.mp4" => sound("avenc_aac").0,
                        _ => raw_sound(),
                    };
                    audio.push_event(gst::event::Caps::new(&caps));
                }
                Nothing::Ended => {
                    audio.push_event(gst::event::StreamStart::new("audio"));
                    audio.push_event(gst::event::Eos::new());
                }
            }
            rig.push(90);
            let count = if name == "r%d.mkv" { 2 } else { 1 };
            for number in 0..count {
                rig.trigger(None);
                rig.wait("circularsink-recording-started");
                rig.finish();
                rig.push(10);
                let done = rig.finished();
                assert_sound(done.path());
                let first = done.start.expect("it began") / FRAME;
                assert_frames(&decode_picture(done.path()), first, first + done.frames - 1);
                let said = std::mem::take(&mut *rig.warnings.lock().expect("nobody panics"));
                let without = match nothing {
                    Nothing::Announced => "has silence in its place",
                    _ => "is without it",
                };
                let expected = [format!("Nothing came on audio_0: the recording {without}")];
                assert_eq!(said, expected, "{what}, {number}");
            }
            // It is no news that there is no sound where none could be.
            let alone = if name == "r%d.avi" {
                "a.mjpeg"
            } else {
                "a.h264"
            };
            rig.trigger(Some(&rig.path(alone)));
            rig.finish();
            rig.push(10);
            rig.finished();
            assert_eq!(warnings(&rig), [""; 0], "{what}");
        }
    }
}

/// A buffer that comes later than it would.
fn later(mut buffer: gst::Buffer, by: u64) -> gst::Buffer {
    let by = gst::ClockTime::from_nseconds(by);
    let it = buffer.make_mut();
    let (pts, dts) = (it.pts(), it.dts());
    it.set_pts(pts.map(|time| time + by));
    it.set_dts(dts.map(|time| time + by));
    buffer
}

/// Pictures that are away so long (ns) before every 50th, so many times.
fn with_jumps(mut stream: Encoded, away: u64, jumps: u64) -> Encoded {
    for (number, buffer) in (0..).zip(&mut stream.buffers) {
        let by = (number / 50u64).min(jumps) * away;
        *buffer = later(buffer.clone(), by);
    }
    stream
}

#[test]
fn a_change_of_state_does_not_wait_for_silence() {
    for name in ["r.ts", "r.avi"] {
        let mut rig = Rig::new(with_jumps(encoded(&x264(30, 0), 600), AWAY, 3), true);
        rig.locate(name);
        rig.sink.set_property("recording", true);
        rig.start();
        let audio = rig.audio.take().expect("there is sound");
        let (caps, sound) = sound("avenc_aac");
        audio.push_event(gst::event::Caps::new(&caps));
        let send = |from: usize, by: u64| {
            for buffer in &sound[from..from + 94] {
                audio.push(later(buffer.clone(), by)).expect("it is taken");
            }
        };
        send(0, 0);
        rig.push(200);
        let path = PathBuf::from(rig.path(name));
        let bytes = || path.metadata().map_or(0, |file| file.len());
        until("it is silent", || bytes() > 1_000_000);
        // What comes back now is behind hours of silence.
        send(281, 3 * AWAY);
        rig.stop_to_ready();
        assert_eq!(rig.finished().frames, 200, "{name}");
        assert_sound(&path);
        let packets = sound_packets(&path).len() as u64;
        let all = 3 * AWAY / 1_000_000_000 * SAMPLES / 1024;
        assert!(packets < all / 2, "{name}: {packets} of {all}");
    }
}

/// A hundred pictures to an AVI, and what pushes the sound of one: both are away for so long (ns) after the first 50.
fn both_away(
    encoder: &str,
    away: u64,
) -> (
    Rig,
    impl Fn(u64) -> Result<gst::FlowSuccess, gst::FlowError>,
) {
    let mut rig = Rig::new(with_jumps(encoded(encoder, 100), away, 1), true);
    rig.locate("r.avi");
    rig.sink.set_property("recording", true);
    rig.start();
    let audio = rig.audio.take().expect("there is sound");
    let sound = move |frame: u64| {
        let sound = samples(sample_at(frame)..sample_at(frame + 1));
        audio.push(later(sound, (frame / 50).min(1) * away))
    };
    (rig, sound)
}

/// In an AVI samples are counted: what is behind a hole that is not filled would be at another time.
#[test]
fn sound_behind_a_silence_that_is_broken_off_is_left_out() {
    for encoder in [&x264(30, 0), "jpegenc"] {
        let (mut rig, sound) = both_away(encoder, AWAY);
        let stall = Stall::on(&rig);
        for frame in 0..100 {
            sound(frame).expect("it is taken");
            rig.push(1);
        }
        stall.wait();
        std::thread::scope(|scope| {
            scope.spawn(|| rig.stop_to_ready());
            let mut more = 100..;
            until("it is being stopped", || {
                more.next().is_some_and(|frame| sound(frame).is_err())
            });
            stall.release();
        });
        let done = rig.finished();
        assert_eq!(done.frames, 100, "{encoder}");
        let stored = stored_samples(done.path());
        // To within 1 ms.
        let silence = &stored[sample_at(50) as usize + 48..];
        let all = (AWAY / 1_000_000_000 * SAMPLES) as usize;
        assert!(silence.len() < all / 2, "{encoder}: {}", silence.len());
        assert!(silence.iter().all(|sample| *sample == 0), "{encoder}");
    }
}

#[test]
fn sound_behind_a_silence_is_at_its_time() {
    const MINUTE: u64 = 60_000_000_000;
    for encoder in [&x264(30, 0), "jpegenc"] {
        let (mut rig, sound) = both_away(encoder, MINUTE);
        for frame in 0..100 {
            sound(frame).expect("it is taken");
            rig.push(1);
        }
        rig.eos();
        let done = rig.finished();
        let stored = stored_samples(done.path());
        let (before, rest) = stored.split_at(sample_at(50) as usize);
        let (silence, behind) = rest.split_at((MINUTE / 1_000_000_000 * SAMPLES) as usize);
        let numbered = |samples: &[i64], first: u64| {
            let numbers = first as i64..;
            samples
                .iter()
                .zip(numbers)
                .all(|(sample, n)| *sample == n % 30_000)
        };
        assert!(numbered(before, 0), "{encoder}");
        assert!(silence.iter().all(|sample| *sample == 0), "{encoder}");
        assert!(numbered(behind, sample_at(50)), "{encoder}");
        assert_eq!(behind.len() as u64, sample_at(50), "{encoder}");
    }
}

/// When (s) sound that is heard begins and ends in a file, as GStreamer plays it: each time that there is none for a second
/// between.
fn heard(path: &Path) -> Vec<[f64; 2]> {
    let pipeline = crate::common::Pipeline::launch(&format!(
        "filesrc location={} ! decodebin name=d d. ! queue ! audioconvert ! \
         audio/x-raw,format=F32LE,channels=1 ! appsink name=out sync=false",
        path.display()
    ));
    let out: gst_app::AppSink = pipeline.element("out").downcast().expect("it is one");
    pipeline.play();
    let mut heard: Vec<[f64; 2]> = Vec::new();
    for sample in crate::common::samples(&out) {
        let buffer = sample.buffer().expect("samples have buffers");
        let data = buffer.map_readable().expect("it can be read");
        let values = data.chunks_exact(4);
        let loudest = values.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]).abs());
        let is_loud: Vec<_> = loudest.map(|value| value > 0.01).collect();
        let edge = [
            is_loud.iter().position(|it| *it),
            is_loud.iter().rposition(|it| *it),
        ];
        let [Some(first), Some(last)] = edge else {
            continue;
        };
        let start = buffer.pts().expect("it has a time").nseconds() as f64 / 1e9;
        let [time, end] = [first, last].map(|at| start + at as f64 / SAMPLES as f64);
        match heard.last_mut() {
            Some(last) if time - last[1] < 1. => last[1] = end,
            _ => heard.push([time, end]),
        }
    }
    heard
}

const HOUR: f64 = AWAY as f64 / 1e9;

/// Pictures and sound that are away after the first 50, to a file; the sound comes back so many pictures later.
fn away_with_sound(name: &str, encoder: Option<&str>, quiet: u64) -> (Rig, Done) {
    let mut rig = Rig::new(with_jumps(encoded(&x264(30, 0), 200), AWAY, 1), true);
    rig.locate(name);
    rig.sink.set_property("recording", true);
    rig.start();
    let audio = rig.audio.take().expect("there is sound");
    let (caps, sound) = match encoder {
        None => {
            let frame = |n| samples(sample_at(n)..sample_at(n + 1));
            (raw_sound(), (0..150).map(frame).collect())
        }
        Some(encoder) => sound(encoder),
    };
    audio.push_event(gst::event::Caps::new(&caps));
    let mut sound = sound.into_iter().peekable();
    let mut play = |rig: &mut Rig, frames: std::ops::Range<u64>, away: Option<u64>| {
        for frame in frames {
            let end = gst::ClockTime::from_nseconds((frame + 1) * FRAME);
            while let Some(buffer) = sound.next_if(|it| it.pts() < Some(end)) {
                let pushed = away.map(|away| audio.push(later(buffer, away)));
                assert!(pushed.is_none_or(|flow| flow.is_ok()));
            }
            rig.push(1);
        }
    };
    play(&mut rig, 0..50, Some(0));
    if quiet > 0 {
        play(&mut rig, 50..50 + quiet, None);
        until("the sound is missed", || !warnings(&rig).is_empty());
        caught_up(&rig);
    }
    play(&mut rig, 50 + quiet..150, Some(AWAY));
    audio.push_event(gst::event::Eos::new());
    rig.video.push_event(gst::event::Eos::new());
    let done = rig.finished();
    (rig, done)
}

#[test]
fn a_long_gap_in_sound_stays_one_where_the_file_has_times() {
    for (name, encoder) in [
        ("r.mkv", None),
        ("r.mov", None),
        ("r.mkv", Some("opusenc")),
        ("r.mp4", Some("avenc_aac")),
        ("r.flv", Some("avenc_aac")),
    ] {
        for quiet in [0, 50] {
            let what = format!("{name} {encoder:?} {quiet}");
            let (_rig, done) = away_with_sound(name, encoder, quiet);
            assert_sound(done.path());
            assert_eq!(done.frames, 150, "{what}");
            let bytes = done.path().metadata().expect("it is there").len();
            assert!(bytes < 3_000_000, "{what}: {bytes}");
            let packets = sound_packets(done.path());
            assert!(packets.len() < 1000, "{what}: {}", packets.len());
            let ends = packets.last().expect("there is sound");
            let back = HOUR + 2. + quiet as f64 / RATE as f64;
            let near = |a: f64, b: f64| (a - b).abs() < 0.1;
            assert!(near(*ends, HOUR + 6.), "{what}: {ends}");
            let loud = loudness(done.path(), back + 0.2, back + 1.2);
            assert!(loud > 0.1, "{what}: {loud}");
            let heard = heard(done.path());
            let is_right = match &heard[..] {
                [[a, b], [c, d]] => {
                    near(*a, 0.) && near(*b, 2.) && near(*c, back) && near(*d, HOUR + 6.)
                }
                _ => false,
            };
            assert!(is_right, "{what}: {heard:?}");
        }
    }
}

#[test]
fn silence_in_the_place_of_a_sound_is_no_longer_than_it_has_to_be() {
    let mut rig = Rig::new(with_jumps(encoded(&x264(30, 0), 100), AWAY, 1), true);
    rig.locate("r.mkv");
    rig.sink.set_property("recording", true);
    rig.start();
    let audio = rig.audio.take().expect("there is sound");
    rig.push(100);
    audio.push_event(gst::event::Eos::new());
    rig.video.push_event(gst::event::Eos::new());
    let done = rig.finished();
    assert_sound(done.path());
    let samples = stored_samples(done.path()).len() as u64;
    assert!(samples <= 60 * SAMPLES, "{samples}");
}

/// Pushes frames no faster than they are written.
fn push_paced(rig: &mut Rig, frames: usize, limit: u64) {
    for _ in 0..frames {
        rig.push(1);
        until("the recording keeps up", || {
            stats_of(rig, "backlog-bytes") <= limit * 3 / 4
        });
    }
}

#[test]
fn sound_that_stops_where_memory_is_short_cuts_nothing_off() {
    let stream = encoded(&x264(30, 0), 600);
    let gop: u64 = stream.buffers[..30].iter().map(|b| b.size() as u64).sum();
    let limit = 4 * gop;
    let mut rig = Rig::new(stream, true);
    rig.sink.set_property("max-time", 30 * FRAME);
    rig.start();
    let audio = rig.audio.take().expect("there is sound");
    rig.trigger(None);
    rig.push(30);
    rig.sink.set_property("max-bytes", limit);
    push_paced(&mut rig, 400, limit);
    audio.push_event(gst::event::Eos::new());
    rig.video.push_event(gst::event::Eos::new());
    let done = rig.finished();
    assert_sound(done.path());
    assert_frames(&decode_picture(done.path()), 0, 429);
}

#[test]
fn what_a_recording_does_not_take_is_not_kept_for_it() {
    // Sound beside a recording of the picture alone, and the picture beside one of sound.
    let mut rig = Rig::new(encoded(&x264(30, 0), 600), true);
    rig.sink.set_property("max-time", 30 * FRAME);
    rig.start();
    rig.push(30);
    for name in ["a.h264", "a.wav"] {
        rig.trigger(Some(&rig.path(name)));
        rig.wait("circularsink-recording-started");
    }
    rig.push(500);
    caught_up(&rig);
    rig.finish();
    rig.push(10);
    let done = rig.all_finished(2);
    assert_eq!(done[0].frames, 530);
    let samples = stored_samples(done[1].path()).len() as u64;
    assert!(samples.abs_diff(530 * SAMPLES / RATE) < 100, "{samples}");
}
