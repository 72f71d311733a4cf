// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sound that goes on in another format amid a recording.

use std::path::Path;

use gst::prelude::*;

use crate::common::{Pipeline, ffprobe, until};
use crate::recordsink_cameras::{RAW, buffer, end, give_video, recorder, source, until_eos};

/// Samples of 16 bits: so many a second, of so many channels.
type Format = (u64, u64);

fn caps((rate, channels): Format) -> String {
    format!("audio/x-raw,format=S16LE,layout=interleaved,rate={rate},channels={channels}")
}

/// Sound of a second, from this one on, in pieces of 20 ms.
fn give_second(source: &gst_app::AppSrc, format: Format, second: u64) {
    source.set_caps(Some(&caps(format).parse().unwrap()));
    let (rate, channels) = format;
    let piece = gst::ClockTime::from_mseconds(20);
    for n in second * 50..(second + 1) * 50 {
        let mut samples = buffer(
            vec![7; (rate / 50 * channels * 2) as usize],
            Some(n * piece),
        );
        samples.get_mut().unwrap().set_duration(piece);
        source.push_buffer(samples).unwrap();
    }
}

/// The format of a file's sound.
fn format_of(file: &Path) -> Format {
    let options = ["-select_streams", "a"];
    let numbers = ffprobe(file, &options, "stream=sample_rate,channels");
    let number = |n: usize| -> u64 { numbers[n].parse().unwrap() };
    (number(0), number(1))
}

/// Waits until a recording has taken what came from a source.
fn is_taken(source: &gst_app::AppSrc) {
    until("all is taken", || {
        source.property::<u64>("current-level-bytes") == 0
    });
}

const FORMATS: [(Format, Format); 3] = [
    ((48_000, 1), (44_100, 1)),
    ((48_000, 1), (48_000, 2)),
    ((16_000, 2), (8000, 1)),
];

/// Files, and the format of their sound where it is as it came.
const NAMES: [(&str, bool); 10] = [
    ("a%d.avi", true),
    ("a%d.wav", true),
    ("a%d.pcm", true),
    ("a%d.mp4", true),
    ("a%d.mov", true),
    ("a%d.mkv", true),
    ("a%d.ts", true),
    ("a%d.flv", true),
    // Opus has these rates and no others, and players decode it at the greatest.
    ("a%d.webm", false),
    ("a%d.ogg", false),
];

#[test]
fn another_format_of_sound_is_another_file() {
    let dir = tempfile::tempdir().unwrap();
    for (name, as_it_came) in NAMES {
        for (before, after) in FORMATS {
            let what = format!("{name}, {before:?} and {after:?}");
            let pipeline = recorder(&[("audio", &caps(before))], "", &dir.path().join(name));
            pipeline.play();
            let audio = source(&pipeline, "audio");
            for (second, format) in (0..).zip([before, before, after, after]) {
                give_second(&audio, format, second);
            }
            end(&pipeline, &["audio"]);
            let said = until_eos(&pipeline);
            let length: f64 = said.durations.iter().sum();
            // AAC begins with a packet of nothing, and ends with a whole one.
            assert!((length - 4.0).abs() < 0.6, "{what}: {said:?}");
            assert_eq!(said.warnings, [""; 0], "{what}");
            let changes = as_it_came || before.1 != after.1;
            assert_eq!(
                said.files.len(),
                1 + usize::from(changes),
                "{what}: {said:?}"
            );
            if !changes || name.ends_with("pcm") {
                continue;
            }
            for ((file, _), format) in said.files.iter().zip([before, after]) {
                let (rate, channels) = format_of(file);
                assert_eq!(channels, format.1, "{what}");
                assert!(!as_it_came || rate == format.0, "{what}: {rate}");
            }
        }
    }
}

#[test]
fn another_format_of_sound_beside_pictures_is_another_file_from_the_next_key_unit_on() {
    let dir = tempfile::tempdir().unwrap();
    let names = NAMES
        .iter()
        .filter(|(name, _)| !["a%d.wav", "a%d.pcm"].contains(name));
    for (name, as_it_came) in names {
        let (before, after) = FORMATS[1];
        let file = dir.path().join(name);
        let pipeline = recorder(&[("audio", &caps(before)), ("video", RAW)], "", &file);
        pipeline.play();
        let audio = source(&pipeline, "audio");
        let video = source(&pipeline, "video");
        let seconds = gst::ClockTime::from_seconds;
        // As from a camera with a microphone: the change is known before the pictures of that time come.
        for (second, format) in (0..).zip([before, before, after, after]) {
            give_second(&audio, format, second);
            is_taken(&audio);
            give_video(&pipeline, seconds(second), 25);
            is_taken(&video);
        }
        end(&pipeline, &["audio", "video"]);
        let said = until_eos(&pipeline);
        assert_eq!(said.files.len(), 2, "{name}: {said:?}");
        let frames: u64 = said.files.iter().map(|(_, frames)| frames).sum();
        assert_eq!(frames, 100, "{name}: {said:?}");
        for ((file, told), format) in said.files.iter().zip([before, after]) {
            assert_eq!(*told, crate::common::frames(file) as u64, "{name}");
            let (rate, channels) = format_of(file);
            assert_eq!(channels, format.1, "{name}");
            assert!(!as_it_came || rate == format.0, "{name}: {rate}");
        }
        assert_eq!(said.warnings, [""; 0], "{name}");
    }
}

/// Files, options, the sound that comes, and what it has to come through.
const LOSSES: [(&str, &str, Format, &str); 4] = [
    (
        "mp3.mkv",
        "audio-encoder=lamemp3enc",
        (48_000, 4),
        "lamemp3enc",
    ),
    ("opus.webm", "", (96_000, 1), "opusenc"),
    ("k210.avi", "profile=k210", (96_000, 4), "a K210's player"),
    ("all.wav", "", (96_000, 4), ""),
];

#[test]
fn what_an_encoder_does_not_take_of_sound_is_told() {
    gst::init().unwrap();
    let dir = tempfile::tempdir().unwrap();
    for (name, options, format, by) in LOSSES {
        let file = dir.path().join(name);
        let mask = gst_audio::AudioChannelPosition::fallback_mask(format.1 as u32);
        let caps = format!("{},channel-mask=(bitmask){mask:#x}", caps(format));
        // A film for a K210 has pictures.
        let streams = [("audio", caps.as_str()), ("video", RAW)];
        let streams = match options {
            "profile=k210" => &streams[..],
            _ => &streams[..1],
        };
        let pipeline = recorder(streams, options, &file);
        pipeline.play();
        if let [_, (video, _)] = streams {
            give_video(&pipeline, gst::ClockTime::ZERO, 25);
            end(&pipeline, &[video]);
        }
        let audio = source(&pipeline, "audio");
        let piece = vec![7; (format.0 / 50 * format.1 * 2) as usize];
        for n in 0..50 {
            let time = n * gst::ClockTime::from_mseconds(20);
            audio
                .push_buffer(buffer(piece.clone(), Some(time)))
                .unwrap();
        }
        end(&pipeline, &["audio"]);
        let said = until_eos(&pipeline);
        let (rate, channels) = format_of(&said.files[0].0);
        if by.is_empty() {
            assert_eq!((rate, channels), format, "{name}");
            assert_eq!(said.warnings, [""; 0], "{name}");
            continue;
        }
        let mut lost = Vec::new();
        if channels < format.1 {
            lost.push(format!("{} channels are mixed into {channels}", format.1));
        }
        if rate < format.0 {
            lost.push(format!("of {} samples a second {rate} are left", format.0));
        }
        assert!(!lost.is_empty(), "{name}: {rate} and {channels}");
        let told = format!("{} on the way to {by};", lost.join(" and "));
        assert!(
            matches!(&said.warnings[..], [warning] if warning.contains(&told)),
            "{name}: {told}: {said:?}"
        );
    }
}

/// Muxers with no place for MP3 that no parser has seen.
#[test]
fn an_encoder_of_mp3_needs_no_parser_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.ts", "a.flv"] {
        for (encoder, option) in [("lamemp3enc !", ""), ("", "audio-encoder=lamemp3enc")] {
            let file = dir.path().join(name);
            let pipeline = Pipeline::launch(&format!(
                "audiotestsrc num-buffers=50 ! audio/x-raw,rate=44100,channels=1 ! {encoder} r.audio \
                 videotestsrc num-buffers=20 ! video/x-raw,width=160,height=128 ! r.video \
                 recordsink name=r overwrite=true {option} location={}",
                file.display()
            ));
            pipeline.run().unwrap();
            let codecs = ffprobe(&file, &["-select_streams", "a"], "stream=codec_name");
            assert_eq!(codecs.first().map(String::as_str), Some("mp3"), "{name}");
        }
    }
}
