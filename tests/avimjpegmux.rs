// SPDX-License-Identifier: MIT OR Apache-2.0
//! avimjpegmux: what other people's programs read in its files, and how it behaves as an element.

mod common;
#[path = "common/k210_player.rs"]
mod k210_player;

use std::path::Path;
use std::process::Command;

use common::{Pipeline, ffprobe, output, python};
use gst::prelude::*;

fn file(dir: &tempfile::TempDir, name: &str) -> std::path::PathBuf {
    dir.path().join(name)
}

/// A pipeline that makes `frames` frames at `rate`, and plays them into the muxer `mux`.
fn video(frames: u32, rate: &str) -> String {
    format!(
        "videotestsrc num-buffers={frames} pattern=ball ! \
         video/x-raw,width=160,height=120,framerate={rate} ! jpegenc ! mux."
    )
}

/// Frames that avidemux and jpegdec give, by the times in nanoseconds.
fn avidemux_times(path: &Path) -> Vec<u64> {
    let pipeline = Pipeline::launch(&format!(
        "filesrc location={} ! avidemux name=demux demux.video_0 ! queue ! jpegdec ! \
         appsink name=sink sync=false",
        path.display()
    ));
    let sink = pipeline
        .element("sink")
        .downcast::<gst_app::AppSink>()
        .unwrap();
    pipeline.play();
    let mut times = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        times.push(sample.buffer().unwrap().pts().unwrap().nseconds());
    }
    assert_eq!(pipeline.error(), None);
    times
}

/// Frames that OpenCV reads.
fn opencv_frames(path: &Path) -> usize {
    let script = "import cv2, sys\n\
                  capture, n = cv2.VideoCapture(sys.argv[1]), 0\n\
                  while capture.read()[0]: n += 1\n\
                  print(n)";
    let text = output(python().args(["-c", script]).arg(path));
    text.trim().parse().unwrap()
}

#[test]
fn others_read_every_frame_at_its_time() {
    let dir = tempfile::tempdir().unwrap();
    for (rate, interval_num, interval_den) in [
        ("10/1", 1u64, 10u64),
        ("10/3", 3, 10),
        ("30000/1001", 1001, 30_000),
        ("1/2", 2, 1),
    ] {
        let path = file(&dir, "a.avi");
        Pipeline::launch(&format!(
            "avimjpegmux name=mux ! filesink location={} {}",
            path.display(),
            video(50, rate)
        ))
        .run()
        .unwrap();
        let probed = ffprobe(
            &path,
            &["-count_frames"],
            "stream=r_frame_rate,nb_read_frames",
        );
        assert_eq!(probed, [rate, "50"]);
        let times = avidemux_times(&path);
        assert_eq!(times.len(), 50, "{rate}");
        for (n, time) in times.iter().enumerate() {
            let expected = n as u64 * interval_num * 1_000_000_000 / interval_den;
            assert!(
                time.abs_diff(expected) < 1_000_000,
                "{rate}: frame {n} at {time}"
            );
        }
        assert_eq!(opencv_frames(&path), 50, "{rate}");
    }
}

#[test]
fn every_kind_of_pcm_comes_back_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    for (format, codec) in [
        ("U8", "pcm_u8"),
        ("S16LE", "pcm_s16le"),
        ("S24LE", "pcm_s24le"),
        ("S32LE", "pcm_s32le"),
    ] {
        for (rate, channels) in [
            (8000, 1),
            (44_100, 2),
            (48_000, 3),
            (96_000, 6),
            (192_000, 8),
        ] {
            let path = file(&dir, "a.avi");
            let raw = file(&dir, "a.pcm");
            Pipeline::launch(&format!(
                "avimjpegmux name=mux ! filesink location={} \
                 audiotestsrc num-buffers=7 wave=white-noise samplesperbuffer=777 ! \
                 audio/x-raw,format={format},rate={rate},channels={channels} ! tee name=tee \
                 tee. ! queue ! filesink location={} tee. ! queue ! mux. {}",
                path.display(),
                raw.display(),
                video(5, "10/1")
            ))
            .run()
            .unwrap();
            let probed = ffprobe(
                &path,
                &["-select_streams", "a"],
                "stream=codec_name,sample_rate,channels",
            );
            assert_eq!(probed, [codec, &rate.to_string(), &channels.to_string()]);
            let decoded = file(&dir, "b.pcm");
            let status = Command::new("ffmpeg")
                .args(["-v", "error", "-y", "-i"])
                .arg(&path)
                .args(["-map", "0:a", "-c", "copy", "-f", "data"])
                .arg(&decoded)
                .status()
                .unwrap();
            assert!(status.success());
            assert!(
                std::fs::read(raw).unwrap() == std::fs::read(decoded).unwrap(),
                "{format} {rate} {channels}"
            );
        }
    }
}

#[test]
fn a_pipe_gets_a_file_that_plays() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.avi");
    // A sink that cannot seek.
    let pipeline = Pipeline::launch(&format!(
        "avimjpegmux name=mux ! appsink name=sink sync=false {} \
         audiotestsrc num-buffers=20 ! audio/x-raw,format=S16LE,rate=8000 ! mux.",
        video(20, "10/1")
    ));
    let sink = pipeline
        .element("sink")
        .downcast::<gst_app::AppSink>()
        .unwrap();
    pipeline.play();
    let mut bytes = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        bytes.extend_from_slice(&sample.buffer().unwrap().map_readable().unwrap());
    }
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(
        ffprobe(
            &path,
            &["-count_frames", "-select_streams", "v"],
            "stream=nb_read_frames"
        ),
        ["20"]
    );
    assert_eq!(avidemux_times(&path).len(), 20);
    assert_eq!(opencv_frames(&path), 20);
}

/// A picture's start, as far as a muxer looks at it, and then bytes that tell its number.
fn picture(number: u32, size: usize) -> Vec<u8> {
    let mut bytes = vec![
        0xff, 0xd8, 0xff, 0xc0, 0, 17, 8, 0, 240, 1, 64, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1,
    ];
    bytes.extend(number.to_be_bytes());
    bytes.resize(size.max(bytes.len()), 0xa5);
    bytes
}

const JPEG: &str = "image/jpeg,parsed=true,width=320,height=240";
const PCM: &str = "audio/x-raw,layout=interleaved,format=S16LE";

/// A muxer whose pads a test pushes into, one buffer at a time and in its own thread.
struct Feed {
    pipeline: Pipeline,
    mux: gst::Element,
    pads: Vec<gst::Pad>,
}

impl Feed {
    /// `mux ! filesink`, with a pad for each of the caps.
    fn new(properties: &str, path: &Path, caps: &[String]) -> Self {
        Self::into_sink(
            properties,
            &format!("filesink location={}", path.display()),
            caps,
        )
    }

    fn into_sink(properties: &str, sink: &str, caps: &[String]) -> Self {
        let pipeline = Pipeline::launch(&format!("avimjpegmux name=mux {properties} ! {sink}"));
        let mux = pipeline.element("mux");
        let pads: Vec<_> = caps.iter().map(|caps| link(&mux, caps)).collect();
        // Without a frame it does not preroll, so this is asynchronous.
        pipeline.play();
        let feed = Self {
            pipeline,
            mux,
            pads,
        };
        for (pad, caps) in feed.pads.iter().zip(caps) {
            begin(pad, caps);
        }
        feed
    }

    fn push(
        &self,
        pad: usize,
        bytes: Vec<u8>,
        milliseconds: f64,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let mut buffer = gst::Buffer::from_slice(bytes);
        let time = gst::ClockTime::from_nseconds((milliseconds * 1e6) as u64);
        buffer.get_mut().unwrap().set_pts(time);
        self.pads[pad].push(buffer)
    }

    fn end(&self) -> Result<(), String> {
        for pad in &self.pads {
            pad.push_event(gst::event::Eos::new());
        }
        self.pipeline.wait()
    }

    fn stat(&self, name: &str) -> u64 {
        self.mux
            .property::<gst::Structure>("stats")
            .get(name)
            .unwrap()
    }
}

/// A pad of the test's own, linked to a new one of the muxer.
fn link(mux: &gst::Element, caps: &str) -> gst::Pad {
    let template = if caps.starts_with("image") {
        "video_%u"
    } else {
        "audio_%u"
    };
    let sink = mux.request_pad_simple(template).unwrap();
    let pad = gst::Pad::builder(gst::PadDirection::Src).build();
    pad.set_active(true).unwrap();
    pad.link(&sink).unwrap();
    pad
}

/// What comes before a stream's data.
fn begin(pad: &gst::Pad, caps: &str) -> bool {
    pad.push_event(gst::event::StreamStart::new(&pad.name()));
    let caps: gst::Caps = caps.parse().unwrap();
    let accepted = pad.push_event(gst::event::Caps::new(&caps));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    accepted && pad.push_event(gst::event::Segment::new(&segment))
}

/// Chunks of `movi` of the first RIFF, as `(stream, payload)`.
fn chunks(file: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let movi = file.windows(4).position(|bytes| bytes == b"movi").unwrap();
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    let end = movi + word(movi - 4);
    let (mut found, mut at) = (Vec::new(), movi + 4);
    while at < end {
        let size = word(at + 4);
        if file[at].is_ascii_digit() {
            found.push((file[at + 1] - b'0', file[at + 8..at + 8 + size].to_vec()));
        }
        at += 8 + size + size % 2;
    }
    found
}

/// The sizes of the chunks of stream 0.
fn frame_sizes(file: &[u8]) -> Vec<usize> {
    let chunks = chunks(file).into_iter();
    chunks
        .filter(|(stream, _)| *stream == 0)
        .map(|(_, bytes)| bytes.len())
        .collect()
}

/// The numbers of the pictures of stream 0, `None` for empty chunks.
fn numbers(file: &[u8]) -> Vec<Option<u32>> {
    chunks(file)
        .into_iter()
        .filter(|(stream, _)| *stream == 0)
        .map(|(_, bytes)| Some(u32::from_be_bytes(bytes.get(21..25)?.try_into().unwrap())))
        .collect()
}

#[test]
fn the_k210_plays_every_file_of_its_profile() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.avi");
    for (rate, interval, sound, sound_from, block) in [
        ("10/1", 100.0, None, 0, 0),
        ("10/3", 300.0, Some((44_100, 2)), 0, 441),
        ("10/1", 100.0, Some((44_100, 2)), 0, 44_100),
        ("10/1", 100.0, Some((44_100, 1)), 1500, 1024),
        ("30/1", 1000.0 / 30.0, Some((8000, 1)), 0, 80),
        ("25/1", 40.0, Some((48_000, 2)), 700, 5000),
        ("1/2", 2000.0, Some((22_050, 1)), 0, 2205),
    ] {
        let mut caps = vec![format!("{JPEG},framerate={rate}")];
        if let Some((rate, channels)) = sound {
            caps.push(format!("{PCM},rate={rate},channels={channels}"));
        }
        let feed = Feed::new("profile=k210", &path, &caps);
        let frames = 40;
        let mut samples = 0;
        for n in 0..frames {
            let time = f64::from(n) * interval;
            if let Some((rate, channels)) = sound {
                while (samples as f64) * 1000.0 / f64::from(rate) + f64::from(sound_from) < time {
                    let at = f64::from(sound_from) + samples as f64 * 1000.0 / f64::from(rate);
                    feed.push(1, vec![7; block * 2 * channels], at).unwrap();
                    samples += block;
                }
            }
            feed.push(0, picture(n, 3000 + n as usize), time).unwrap();
        }
        feed.end().unwrap();
        drop(feed);
        let bytes = std::fs::read(&path).unwrap();
        let played = k210_player::play(&bytes).unwrap_or_else(|error| panic!("{rate}: {error}"));
        assert_eq!(played.frames.len(), frames as usize);
        assert_eq!(numbers(&bytes), (0..frames).map(Some).collect::<Vec<_>>());
        let micro_sec = (interval * 1000.0).round() as u32;
        assert_eq!(
            (played.micro_sec_per_frame, played.size),
            (micro_sec, (320, 240))
        );
        let Some((sound_rate, channels)) = sound else {
            continue;
        };
        assert_eq!(
            (played.sample_rate, usize::from(played.channels)),
            (sound_rate, channels)
        );
        // One size, but for the last.
        let first = played.sound[0].len();
        let (last, others) = played.sound.split_last().unwrap();
        assert!(others.iter().all(|chunk| chunk.len() == first));
        assert!(last.len() <= first);
        assert!(played.order.starts_with("VA"), "{}", played.order);
        // The samples are all there, at their time, and silence before them.
        let all = played.sound.concat();
        let silence = sound_from as usize * sound_rate as usize / 1000 * 2 * channels;
        assert!(all[..silence].iter().all(|byte| *byte == 0));
        assert!(
            all[silence..silence + samples * 2 * channels]
                .iter()
                .all(|byte| *byte == 7)
        );
        // Sound is never more than two intervals from the frame that it is beside.
        let (mut shown, mut heard) = (0.0, 0.0);
        for kind in played.order.chars() {
            if kind == 'V' {
                shown += interval;
            } else {
                heard += (first / 2 / channels) as f64 * 1000.0 / f64::from(sound_rate);
            }
            let ends = f64::from(sound_from) + samples as f64 * 1000.0 / f64::from(sound_rate);
            let slack = 2.0 * interval + block as f64 * 1000.0 / f64::from(sound_rate);
            if shown < ends - slack {
                assert!(
                    heard - shown <= slack && shown - heard <= slack,
                    "{rate}: {}",
                    played.order
                );
            }
        }
    }
}

#[test]
fn frames_that_the_k210_cannot_play_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.avi");
    let caps = [format!("{JPEG},framerate=10/1")];
    let mut progressive = picture(2, 1000);
    progressive[3] = 0xc2;
    let mut larger = picture(2, 1000);
    larger[7] = 1;
    for (bad, words) in [
        (
            picture(2, 35_833),
            &["Frame 2", "35833 bytes", "35832", "quality"][..],
        ),
        (progressive, &["Frame 2", "baseline", "SOF2"]),
        (larger, &["Frame 2", "320x496", "320x240"]),
        (Vec::new(), &["Frame 2", "empty"]),
    ] {
        let feed = Feed::new("profile=k210", &path, &caps);
        feed.push(0, picture(0, 35_832), 0.0).unwrap();
        feed.push(0, picture(1, 100), 100.0).unwrap();
        assert_eq!(feed.push(0, bad, 200.0), Err(gst::FlowError::Error));
        let error = feed.pipeline.error().unwrap();
        for word in words {
            assert!(error.contains(word), "{word:?} is not in {error:?}");
        }
        drop(feed);
        // What was good before is a sound file.
        let played = k210_player::play(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(played.frames.len(), 2);
    }
    // With sound, the first frame has to leave room for the sound's beginning.
    let caps = [caps[0].clone(), format!("{PCM},rate=8000,channels=1")];
    let feed = Feed::new("profile=k210", &path, &caps);
    feed.push(1, vec![0; 1600], 0.0).unwrap();
    let _ = feed.push(0, picture(0, 35_800), 0.0);
    let error = feed.pipeline.error().unwrap();
    assert!(
        error.contains("Frame 0") && error.contains("35800"),
        "{error}"
    );
}

#[test]
fn the_k210_keeps_the_time_of_a_stream_with_gaps_and_frames_too_many() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.avi");
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
    let played = k210_player::play(&std::fs::read(&path).unwrap()).unwrap();
    let lasts = played.frames.len() as f64 * f64::from(played.micro_sec_per_frame) / 1000.0;
    assert!((lasts - 30_000.0).abs() <= 150.0, "{lasts}");
}

#[test]
fn gaps_are_empty_and_sound_stays_with_the_picture() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.avi");
    let caps = [
        format!("{JPEG},framerate=25/1"),
        format!("{PCM},rate=8000,channels=1"),
    ];
    let feed = Feed::new("", &path, &caps);
    // Ten minutes of jitter, a lost frame in every hundred, a camera that is slower than it
    // says and starts 300 ms after the sound, whose clock runs 0.1 % fast.
    let mut true_times = Vec::new();
    let (mut sent, mut seed) = (0u64, 1u32);
    for n in 0..15_000u32 {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let jitter = f64::from(seed >> 16) / 65_536.0 * 30.0;
        let time = 300.0 + f64::from(n) * 40.02 + jitter;
        while sent as f64 / 8.008 <= time {
            feed.push(1, vec![1; 320], sent as f64 / 8.008).unwrap();
            sent += 160;
        }
        if n % 100 != 77 {
            feed.push(0, picture(n, 50), time).unwrap();
            true_times.push((n, time));
        }
    }
    feed.end().unwrap();
    assert_eq!(feed.stat("dropped"), 0);
    drop(feed);
    let numbers = numbers(&std::fs::read(&path).unwrap());
    let mut shown = numbers
        .iter()
        .enumerate()
        .filter_map(|(n, number)| Some((n, (*number)?)));
    // The file begins a whole number of intervals before its first frame.
    let first = numbers.iter().position(Option::is_some).unwrap();
    let begins = true_times[0].1 - first as f64 * 40.0;
    for (n, time) in true_times {
        let (place, number) = shown.next().unwrap();
        assert_eq!(number, n, "no frame is lost");
        let error = place as f64 * 40.0 + begins - time;
        assert!(error.abs() <= 42.0, "frame {n} is {error} ms off");
    }
    let samples: usize = chunks(&std::fs::read(&path).unwrap())
        .iter()
        .filter(|(stream, _)| *stream == 1)
        .map(|(_, bytes)| bytes.len() / 2)
        .sum();
    let heard = samples as f64 / 8.0;
    let true_end = sent as f64 / 8.008 - begins;
    assert!((heard - true_end).abs() <= 40.0, "{heard} of {true_end} ms");
    // Others see the same.
    assert_eq!(
        ffprobe(
            &path,
            &["-count_packets", "-select_streams", "v"],
            "stream=nb_read_packets"
        ),
        ["14850"]
    );
}

#[test]
fn a_killed_recording_has_all_up_to_its_last_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    for moment in [30_000u64, 150_000, 400_000] {
        let path = file(&dir, "a.avi");
        let _ = std::fs::remove_file(&path);
        let mut child = Command::new("gst-launch-1.0")
            .envs(common::plugin_path(dir.path()))
            .args(["-q", "videotestsrc", "is-live=true", "!"])
            .args([
                "video/x-raw,width=160,height=120,framerate=100/1",
                "!",
                "jpegenc",
                "!",
            ])
            .args([
                "avimjpegmux",
                "checkpoint-interval=50000000",
                "name=mux",
                "!",
                "filesink",
            ])
            .arg(format!("location={}", path.display()))
            .args(["audiotestsrc", "is-live=true", "!"])
            .args(["audio/x-raw,rate=8000,format=S16LE,channels=1", "!", "mux."])
            .spawn()
            .unwrap();
        let started = std::time::Instant::now();
        while std::fs::metadata(&path).map_or(0, |file| file.len()) < moment {
            assert!(started.elapsed().as_secs() < 120, "nothing is written");
            assert!(child.try_wait().unwrap().is_none(), "gst-launch ended");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        // What the head tells of; a busy machine's source leaves frames out.
        let places = frame_sizes(&bytes);
        let checkpointed = places.iter().filter(|size| **size > 0).count();
        assert!(moment < 100_000 || checkpointed > 0);
        let times = avidemux_times(&path);
        assert!(
            times.len() >= checkpointed,
            "{} of {checkpointed}",
            times.len()
        );
        let shown = places.iter().enumerate().filter(|(_, size)| **size > 0);
        for (time, (place, _)) in times.iter().zip(shown) {
            assert!(time.abs_diff(place as u64 * 10_000_000) < 1_000_000);
        }
        let count = ffprobe(
            &path,
            &["-count_packets", "-select_streams", "v"],
            "stream=nb_read_packets",
        );
        assert!(count[0].parse::<usize>().unwrap() >= checkpointed);
    }
}

#[test]
fn a_full_disk_leaves_a_file_of_all_that_fitted() {
    let dir = tempfile::tempdir().unwrap();
    for profile in ["standard", "k210"] {
        let path = file(&dir, "a.avi");
        // The shell's limit on a file's size stands for a full disk. What the sink had is
        // tidied up when the sources stop, after the sink's own error.
        let script = "import gi, sys\n\
                      gi.require_version('Gst', '1.0')\n\
                      from gi.repository import Gst\n\
                      Gst.init(None)\n\
                      pipeline = Gst.parse_launch(sys.argv[1])\n\
                      pipeline.set_state(Gst.State.PLAYING)\n\
                      bus, errors = pipeline.get_bus(), []\n\
                      while not any(name.endswith('src') for name in errors):\n    \
                          kinds = Gst.MessageType.ERROR | Gst.MessageType.EOS\n    \
                          message = bus.timed_pop_filtered(Gst.CLOCK_TIME_NONE, kinds)\n    \
                          assert message.type == Gst.MessageType.ERROR\n    \
                          errors.append(message.src.get_name())\n\
                      pipeline.set_state(Gst.State.NULL)\n\
                      print(errors[0])";
        let pipeline = format!(
            "videotestsrc name=videosrc ! video/x-raw,width=160,height=120,framerate=25/1 ! \
             jpegenc ! avimjpegmux profile={profile} name=mux ! \
             filesink name=sink location={} \
             audiotestsrc name=audiosrc ! audio/x-raw,rate=8000,format=S16LE,channels=1 ! mux.",
            path.display()
        );
        let told = output(
            Command::new("sh")
                .envs(common::plugin_path(dir.path()))
                .args([
                    "-c",
                    "trap '' XFSZ; ulimit -f 500; exec /usr/bin/python3 -c \"$@\"",
                    "sh",
                ])
                .args([script, &pipeline]),
        );
        assert_eq!(told.trim(), "sink");
        let bytes = std::fs::read(&path).unwrap();
        assert!(bytes.len() <= 512_000);
        let total = u32::from_le_bytes(bytes[48..52].try_into().unwrap()) as usize;
        let size = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize + 8;
        assert!(size <= bytes.len());
        // Less than a chunk is lost.
        assert!(bytes.len() - size < 10_000, "{size} of {}", bytes.len());
        assert_eq!(avidemux_times(&path).len(), total);
        if profile == "k210" {
            assert_eq!(k210_player::play(&bytes).unwrap().frames.len(), total);
        }
    }
}

#[test]
fn splitmuxsink_loses_no_frame() {
    let dir = tempfile::tempdir().unwrap();
    for split in ["max-size-time=1000000000", "max-size-bytes=60000"] {
        Pipeline::launch(&format!(
            "splitmuxsink name=split muxer=avimjpegmux {split} location={}/%03d.avi \
             videotestsrc num-buffers=100 ! \
             video/x-raw,width=160,height=120,framerate=25/1 ! jpegenc ! split.video \
             audiotestsrc num-buffers=100 samplesperbuffer=320 ! \
             audio/x-raw,rate=8000,format=S16LE,channels=1 ! queue ! split.audio_0",
            dir.path().display()
        ))
        .run()
        .unwrap();
        let (mut frames, mut files) = (0, 0);
        loop {
            let path = file(&dir, &format!("{files:03}.avi"));
            if !path.exists() {
                break;
            }
            frames += avidemux_times(&path).len();
            std::fs::remove_file(path).unwrap();
            files += 1;
        }
        assert_eq!(frames, 100, "{split}");
        assert!(files >= 3, "{split}: {files} files");
    }
}

#[test]
fn tags_are_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.avi");
    let feed = Feed::new("", &path, &[format!("{JPEG},framerate=10/1")]);
    let setter = feed.mux.dynamic_cast_ref::<gst::TagSetter>().unwrap();
    setter.add_tag::<gst::tags::Title>(&"Garden", gst::TagMergeMode::Replace);
    let mut tags = gst::TagList::new();
    let new = tags.get_mut().unwrap();
    new.add::<gst::tags::Artist>(&"Zoe", gst::TagMergeMode::Append);
    new.add::<gst::tags::Comment>(&"by hand", gst::TagMergeMode::Append);
    feed.pads[0].push_event(gst::event::Tag::new(tags));
    feed.push(0, picture(0, 100), 0.0).unwrap();
    feed.end().unwrap();
    let found = ffprobe(&path, &[], "format_tags=title,artist,comment,software");
    for text in ["Garden", "Zoe", "by hand"] {
        assert!(found.iter().any(|line| line == text), "{text} in {found:?}");
    }
}

#[test]
fn negotiation_refuses_what_cannot_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.avi");
    // Not in the template: never linked.
    common::init();
    let mux = gst::ElementFactory::make("avimjpegmux").build().unwrap();
    let pad = mux.request_pad_simple("audio_%u").unwrap();
    for (caps, accepted) in [
        (
            "audio/x-raw,format=S16LE,layout=interleaved,rate=44100,channels=2",
            true,
        ),
        (
            "audio/x-raw,format=F32LE,layout=interleaved,rate=44100,channels=2",
            false,
        ),
        (
            "audio/x-raw,format=S16LE,layout=interleaved,rate=4000,channels=2",
            false,
        ),
        (
            "audio/x-raw,format=S16LE,layout=interleaved,rate=44100,channels=9",
            false,
        ),
        ("audio/mpeg,mpegversion=1", false),
    ] {
        assert_eq!(
            pad.query_accept_caps(&caps.parse().unwrap()),
            accepted,
            "{caps}"
        );
    }
    mux.set_property_from_str("profile", "k210");
    assert!(
        !pad.query_accept_caps(
            &"audio/x-raw,format=U8,layout=interleaved,rate=44100,channels=2"
                .parse()
                .unwrap()
        )
    );
    assert!(
        mux.request_pad_simple("audio_%u").is_none(),
        "the K210 plays one sound"
    );

    // Other caps in the middle of a stream: an error that says so; the rate may change.
    let caps = [format!("{JPEG},framerate=10/1")];
    let feed = Feed::new("", &path, &caps);
    feed.push(0, picture(0, 100), 0.0).unwrap();
    let rate: gst::Caps = format!("{JPEG},framerate=5/1").parse().unwrap();
    assert!(feed.pads[0].push_event(gst::event::Caps::new(&rate)));
    feed.push(0, picture(1, 100), 100.0).unwrap();
    let size: gst::Caps = "image/jpeg,width=640,height=480,framerate=10/1"
        .parse()
        .unwrap();
    // Sticky, so what it comes to is told with the next buffer.
    feed.pads[0].push_event(gst::event::Caps::new(&size));
    assert_eq!(
        feed.push(0, picture(2, 100), 200.0),
        Err(gst::FlowError::NotNegotiated)
    );
    let error = feed.pipeline.error().unwrap();
    assert!(
        error.contains("640") && error.contains("changed"),
        "{error}"
    );
}

#[test]
fn a_pad_that_is_silent_unlinked_or_late_does_not_block() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.avi");
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
    let path = file(&dir, "a.avi");
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

#[test]
fn events_pass_in_their_turn_and_seeks_are_refused() {
    common::init();
    let feed = Feed::into_sink(
        "",
        "fakesink name=sink sync=false",
        &[format!("{JPEG},framerate=25/1")],
    );
    let sink = feed.pipeline.element("sink").static_pad("sink").unwrap();
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = seen.clone();
    sink.add_probe(
        gst::PadProbeType::EVENT_DOWNSTREAM | gst::PadProbeType::BUFFER,
        move |_, info| {
            log.lock().unwrap().push(match &info.data {
                Some(gst::PadProbeData::Event(event)) => event.type_().name().to_string(),
                _ => "buffer".into(),
            });
            gst::PadProbeReturn::Ok
        },
    );
    feed.push(0, picture(0, 100), 0.0).unwrap();
    let unit = gst_video::DownstreamForceKeyUnitEvent::builder()
        .all_headers(true)
        .build();
    feed.pads[0].push_event(unit);
    feed.push(0, picture(1, 100), 40.0).unwrap();
    feed.end().unwrap();
    let seen = seen.lock().unwrap().join(" ");
    assert!(
        seen.starts_with("stream-start caps segment buffer buffer custom-downstream buffer"),
        "{seen}"
    );
    assert!(seen.ends_with("eos"), "{seen}");
    let src = feed.mux.static_pad("src").unwrap();
    assert!(!src.send_event(gst::event::Seek::new(
        1.0,
        gst::SeekFlags::FLUSH,
        gst::SeekType::Set,
        gst::ClockTime::ZERO,
        gst::SeekType::None,
        gst::ClockTime::NONE,
    )));
}

#[test]
fn a_flush_begins_the_file_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.avi");
    let caps = [format!("{JPEG},framerate=25/1")];
    let feed = Feed::new("", &path, &caps);
    for n in 0..10 {
        feed.push(0, picture(n, 100), f64::from(n) * 40.0).unwrap();
    }
    feed.pads[0].push_event(gst::event::FlushStart::new());
    feed.pads[0].push_event(gst::event::FlushStop::new(true));
    begin(&feed.pads[0], &caps[0]);
    for n in 100..105 {
        feed.push(0, picture(n, 100), f64::from(n) * 40.0).unwrap();
    }
    feed.end().unwrap();
    drop(feed);
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(numbers(&bytes), (100..105).map(Some).collect::<Vec<_>>());
    assert_eq!(
        ffprobe(&path, &["-count_packets"], "stream=nb_read_packets"),
        ["5"]
    );
}

#[test]
fn states_can_be_cycled() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.avi");
    let pipeline = Pipeline::launch(&format!(
        "avimjpegmux name=mux ! filesink location={} {} \
         audiotestsrc ! audio/x-raw,format=S16LE,rate=8000 ! mux.",
        path.display(),
        video(100_000, "30/1")
    ));
    for n in 0..100 {
        let state = [gst::State::Playing, gst::State::Paused][n % 2];
        pipeline.0.set_state(state).unwrap();
        pipeline.0.state(common::HANG).0.unwrap();
        pipeline
            .0
            .set_state([gst::State::Ready, gst::State::Null][n / 2 % 2])
            .unwrap();
    }
    // It still works.
    pipeline.play();
    pipeline.0.state(common::HANG).0.unwrap();
    pipeline.0.send_event(gst::event::Eos::new());
    pipeline.wait().unwrap();
    assert!(!avidemux_times(&path).is_empty());
}

#[test]
fn a_stream_without_data_ends() {
    let feed = Feed::into_sink("", "fakesink", &[format!("{JPEG},framerate=25/1")]);
    feed.end().unwrap();
    let feed = Feed::into_sink("", "fakesink", &[]);
    let pad = link(&feed.mux, JPEG);
    pad.push_event(gst::event::StreamStart::new("a"));
    assert!(pad.push(gst::Buffer::new()).is_err(), "data before caps");
    assert!(feed.pipeline.error().unwrap().contains("before caps"));
}

#[test]
fn latency_is_upstreams() {
    let feed = Feed::into_sink("", "fakesink", &[format!("{JPEG},framerate=25/1")]);
    let upstream = &feed.pads[0];
    // A pad's query function is set before it is used; this one is made for the test.
    let live = gst::Pad::builder(gst::PadDirection::Src)
        .query_function(|pad, parent, query| {
            if let gst::QueryViewMut::Latency(latency) = query.view_mut() {
                latency.set(
                    true,
                    gst::ClockTime::from_mseconds(70),
                    gst::ClockTime::NONE,
                );
                return true;
            }
            gst::Pad::query_default(pad, parent, query)
        })
        .build();
    live.set_active(true).unwrap();
    let sink = upstream.peer().unwrap();
    upstream.unlink(&sink).unwrap();
    live.link(&sink).unwrap();
    let mut query = gst::query::Latency::new();
    assert!(feed.mux.static_pad("src").unwrap().query(&mut query));
    let (is_live, min, max) = query.result();
    assert_eq!(
        (is_live, min, max),
        (true, gst::ClockTime::from_mseconds(70), None)
    );
}

#[test]
fn the_contract_is_kept() {
    common::init();
    let mux = gst::ElementFactory::make("avimjpegmux").build().unwrap();
    assert_eq!(mux.property::<u64>("checkpoint-interval"), 1_000_000_000);
    assert!(mux.property::<bool>("big-file"));
    let factory = mux.factory().unwrap();
    assert_eq!(factory.metadata("klass"), Some("Codec/Muxer"));
    let templates: Vec<_> = factory
        .static_pad_templates()
        .into_iter()
        .map(|template| template.name_template().to_string())
        .collect();
    for name in ["video_%u", "audio_%u", "src"] {
        assert!(
            templates.iter().any(|template| template == name),
            "{templates:?}"
        );
    }
    assert_eq!(mux.request_pad_simple("video_3").unwrap().name(), "video_3");
    assert_eq!(
        mux.request_pad_simple("video_%u").unwrap().name(),
        "video_0"
    );
}

/// A recording beyond 4 GiB, which takes minutes and as much disk: `make soak` runs it.
#[test]
#[ignore = "writes 5 GiB"]
fn a_large_file_plays_and_seeks_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "a.avi");
    let feed = Feed::new("", &path, &[format!("{JPEG},framerate=25/1")]);
    for n in 0..5200 {
        feed.push(0, picture(n, 1 << 20), f64::from(n) * 40.0)
            .unwrap();
    }
    feed.end().unwrap();
    drop(feed);
    assert!(std::fs::metadata(&path).unwrap().len() > 5 << 30);
    let last = output(
        Command::new("ffprobe")
            .args([
                "-v",
                "error",
                "-read_intervals",
                "207.9%",
                "-select_streams",
                "v",
            ])
            .args(["-show_entries", "packet=pts_time,size", "-of", "csv=p=0"])
            .arg(&path),
    );
    assert_eq!(
        last.lines().last().unwrap().trim_end_matches(','),
        "207.960000,1048576"
    );
    let pipeline = Pipeline::launch(&format!(
        "filesrc location={} ! avidemux ! fakesink name=sink sync=false",
        path.display()
    ));
    pipeline.0.set_state(gst::State::Paused).unwrap();
    pipeline.0.state(common::HANG).0.unwrap();
    let end = gst::ClockTime::from_mseconds(207_920);
    pipeline
        .0
        .seek_simple(gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE, end)
        .unwrap();
    pipeline.0.state(common::HANG).0.unwrap();
    assert_eq!(pipeline.0.query_position::<gst::ClockTime>(), Some(end));
    pipeline.run().unwrap();
}
