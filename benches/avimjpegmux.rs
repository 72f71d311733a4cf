// SPDX-License-Identifier: MIT OR Apache-2.0
//! avimjpegmux against avimux and against ffmpeg's stream copy, on the same demuxed input.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failure ends the measurement"
)]

#[path = "../crates/avi/tests/common/avi_bytes.rs"]
mod avi_bytes;
mod paired;

use std::io::Write;
use std::path::Path;
use std::process::Command;

use avi_bytes::picture;
use avi_mjpeg::header::WaveFormat;
use avi_mjpeg::output::Unseekable;
use avi_mjpeg::timeline::Rate;
use avi_mjpeg::writer::{Options, Profile, StreamFormat, Tags, Writer};
use gst::prelude::*;
use paired::{Bench, Side};

/// Sizes vary as a camera's do, and every other one is odd.
fn picture_of_about(size: usize) -> impl Fn(usize) -> Vec<u8> {
    move |n| picture(n as u32, size - size / 10 + n * 7919 % (size / 5))
}

/// Makes a file of so many frames, 30 a second; with sound, 1470 samples a frame.
fn make(path: &Path, frames: usize, frame: impl Fn(usize) -> Vec<u8>, sound: bool) {
    let mut formats = vec![StreamFormat::Video {
        width: 320,
        height: 240,
        rate: Rate::new(30, 1).expect("not 0"),
    }];
    if sound {
        formats.push(StreamFormat::Audio(WaveFormat::pcm(44_100, 2, 16, 3)));
    }
    let mut out: Unseekable<_> = Unseekable::new(std::io::BufWriter::new(
        std::fs::File::create(path).expect("a scratch file"),
    ));
    let mut options = Options::new(Profile::Standard);
    options.seekable = false;
    let mut writer = Writer::new(options, &formats, &Tags::default());
    let mut ok = writer.start(&mut out).is_ok();
    for n in 0..frames {
        let frame = frame(n);
        ok &= writer.chunk(0, frame.len(), frame, false, &mut out).is_ok();
        if sound {
            let samples = vec![0; 1470 * 4];
            ok &= writer
                .chunk(1, samples.len(), samples, false, &mut out)
                .is_ok();
        }
    }
    assert!(ok && writer.finish(&mut out).is_ok());
    out.into_inner().flush().expect("room on the disk");
}

/// Frames of the tests' film as the K210 has them.
fn film() -> Vec<Vec<u8>> {
    let pipeline = gst::parse::launch(&format!(
        "filesrc location={}/tests/data/bigbuckbunny.webm ! matroskademux ! vp8dec ! videoscale ! \
         videoconvert ! video/x-raw,format=I420,width=320,height=240 ! jpegenc ! \
         appsink name=sink sync=false",
        env!("CARGO_MANIFEST_DIR")
    ));
    let pipeline = pipeline.expect("a pipeline").downcast::<gst::Pipeline>();
    let pipeline = pipeline.expect("a pipeline");
    let sink = pipeline.by_name("sink").expect("a sink");
    let sink = sink.downcast::<gst_app::AppSink>().expect("an appsink");
    pipeline.set_state(gst::State::Playing).expect("it starts");
    let samples = std::iter::from_fn(|| sink.try_pull_sample(gst::ClockTime::from_seconds(60)));
    let frames: Vec<_> = samples
        .map(|sample| {
            let buffer = sample.buffer().expect("a frame");
            buffer.map_readable().expect("its bytes").to_vec()
        })
        .collect();
    assert!(sink.is_eos() && !frames.is_empty(), "the film is not read");
    pipeline.set_state(gst::State::Null).expect("it stops");
    frames
}

/// The file that is written, in the scratch directory.
const OUT: &str = "out.avi";

/// Where a pipeline ends.
#[derive(Clone, Copy)]
enum Sink {
    Nothing,
    File,
}

impl Sink {
    /// As `gst-launch-1.0` has it.
    fn description(self, scratch: &Path) -> String {
        match self {
            Self::Nothing => "fakesink".into(),
            Self::File => format!("filesink location={}", scratch.join(OUT).display()),
        }
    }

    /// The side with what it writes.
    fn written_by(self, side: Side<'_>) -> Side<'_> {
        match self {
            Self::Nothing => side,
            Self::File => side.output(OUT),
        }
    }
}

fn run(pipeline: &str) {
    gst::init().expect("GStreamer starts");
    gstkendryte::plugin_register_static().expect("the plugin registers");
    let pipeline = gst::parse::launch(pipeline).expect("a pipeline");
    pipeline.set_state(gst::State::Playing).expect("it starts");
    let message = pipeline.bus().expect("a bus").timed_pop_filtered(
        gst::ClockTime::NONE,
        &[gst::MessageType::Eos, gst::MessageType::Error],
    );
    assert!(
        matches!(message, Some(message) if message.type_() == gst::MessageType::Eos),
        "the pipeline fails"
    );
    pipeline.set_state(gst::State::Null).expect("it stops");
}

fn mux(scratch: &Path, input: &str, sound: bool, muxer: &str, sink: Sink) {
    let input = scratch.join(input);
    let sink = sink.description(scratch);
    let sound = if sound {
        "demux.audio_0 ! queue ! mux.audio_0"
    } else {
        ""
    };
    // Sound needs a queue in front of avimux; frames alone need none.
    let queue = if sound.is_empty() { "" } else { "queue !" };
    run(&format!(
        "filesrc location={} ! avidemux name=demux {muxer} name=mux ! {sink} \
         demux.video_0 ! {queue} mux.video_0 {sound}",
        input.display()
    ));
}

/// The whole way from a file to a file by this crate. Its muxer needs no queues.
fn remux(scratch: &Path, input: &str, sound: bool, profile: &str, sink: Sink) {
    let sink = sink.description(scratch);
    let sound = if sound {
        "demux.audio_0 ! mux.audio_0"
    } else {
        ""
    };
    run(&format!(
        "filesrc location={} ! avimjpegdemux name=demux avimjpegmux name=mux profile={profile} ! \
         {sink} demux.video_0 ! mux.video_0 {sound}",
        scratch.join(input).display()
    ));
}

/// Writes as many bytes as a file has, 1 MiB at a time: what the system takes for that alone.
fn write_alone(scratch: &Path, input: &str) {
    let mut left = std::fs::metadata(scratch.join(input))
        .expect("the input")
        .len() as usize;
    let bytes = vec![1; 1 << 20];
    let mut file = std::fs::File::create(scratch.join(OUT)).expect("a scratch file");
    while left > 0 {
        let size = left.min(bytes.len());
        file.write_all(&bytes[..size]).expect("room on the disk");
        left -= size;
    }
}

/// Frames of about `size` bytes, 30 a second, and their sound if there is any, that are pushed straight
/// into a muxer. What that costs without one is a pair of its own.
#[derive(Clone, Copy)]
struct Pushed {
    frames: u64,
    size: usize,
    sound: bool,
    /// Whether each stream has a thread, as sources do and `avimux` needs, or one thread pushes both in
    /// turns, as a demuxer does.
    threads: bool,
}

/// Pushes into the muxer called `mux` of a pipeline, or if it has none, into its sinks called as
/// the muxer's pads would be.
fn push(pipeline: &str, pushed: Pushed) {
    let Pushed {
        frames,
        size,
        sound,
        threads,
    } = pushed;
    gst::init().expect("GStreamer starts");
    gstkendryte::plugin_register_static().expect("the plugin registers");
    let pipeline = gst::parse::launch(pipeline)
        .expect("a pipeline")
        .downcast::<gst::Pipeline>()
        .expect("a pipeline");
    let mux = pipeline.by_name("mux");
    let mut streams = vec![("video_0", "image/jpeg,width=320,height=240,framerate=30/1")];
    if sound {
        streams.push((
            "audio_0",
            "audio/x-raw,format=S16LE,layout=interleaved,rate=44100,channels=2,\
             channel-mask=(bitmask)3",
        ));
    }
    let pads: Vec<_> = streams
        .into_iter()
        .map(|(name, caps)| {
            let sink = match &mux {
                Some(mux) => mux.request_pad_simple(name),
                None => pipeline
                    .by_name(name)
                    .and_then(|sink| sink.static_pad("sink")),
            };
            let sink = sink.expect("a pad");
            let pad = gst::Pad::builder(gst::PadDirection::Src).name(name).build();
            pad.set_active(true).expect("it activates");
            pad.link(&sink).expect("it links");
            (pad, caps.parse::<gst::Caps>().expect("caps"))
        })
        .collect();
    pipeline.set_state(gst::State::Playing).expect("it starts");
    for (pad, caps) in &pads {
        pad.push_event(gst::event::StreamStart::new(&pad.name()));
        pad.push_event(gst::event::Caps::new(caps));
        pad.push_event(gst::event::Segment::new(&gst::FormattedSegment::<
            gst::ClockTime,
        >::new()));
    }
    // As a camera's: no two frames in a row have the same size, and every other one is odd.
    let frame = picture_of_about(size);
    let memory: [Vec<gst::Memory>; 2] = [
        (0..100)
            .map(|n| gst::Memory::from_slice(frame(n)))
            .collect(),
        vec![gst::Memory::from_slice(vec![1u8; 1470 * 4])],
    ];
    let give = |n: usize, k: u64| {
        if k == frames {
            assert!(pads[n].0.push_event(gst::event::Eos::new()));
            return;
        }
        let mut buffer = gst::Buffer::new();
        let new = buffer.get_mut().expect("a new buffer");
        let memory = &memory[n];
        new.append_memory(memory[k as usize % memory.len()].clone());
        new.set_pts(gst::ClockTime::from_nseconds(k * 1_000_000_000 / 30));
        new.set_duration(gst::ClockTime::from_nseconds(1_000_000_000 / 30));
        pads[n].0.push(buffer).expect("it flows");
    };
    if threads {
        std::thread::scope(|scope| {
            for n in 0..pads.len() {
                let give = &give;
                scope.spawn(move || (0..=frames).for_each(|k| give(n, k)));
            }
        });
    } else {
        for k in 0..=frames {
            (0..pads.len()).for_each(|n| give(n, k));
        }
    }
    pipeline.set_state(gst::State::Null).expect("it stops");
}

/// Pushes into a muxer, and what it makes of it into a sink.
fn push_and_mux(scratch: &Path, muxer: &str, sink: Sink, pushed: Pushed) {
    let sink = sink.description(scratch);
    push(&format!("{muxer} name=mux ! {sink}"), pushed);
}

fn copy(scratch: &Path, input: &str, output: &str) -> Command {
    let mut command = Command::new("ffmpeg");
    command
        // What it says of frames that hold no picture is not of interest.
        .args(["-v", "quiet", "-nostdin", "-y", "-i"])
        .arg(scratch.join(input))
        .args(["-c", "copy", "-f", "avi"])
        // A path that is absolute stays what it is.
        .arg(scratch.join(output));
    command
}

fn make_inputs(scratch: &Path) {
    let (small, large) = (picture_of_about(3000), picture_of_about(100_000));
    make(&scratch.join("small.avi"), 108_000, &small, false);
    make(&scratch.join("sound.avi"), 54_000, &small, true);
    make(&scratch.join("large.avi"), 3600, large, false);
    gst::init().expect("GStreamer starts");
    let film = film();
    make(
        &scratch.join("film.avi"),
        6000,
        |n| film[n % film.len()].clone(),
        false,
    );
}

/// The peer: ffmpeg's copy of an input to a file.
fn ffmpeg(input: &'static str) -> Side<'static> {
    Side::command("ffmpeg -c copy", move |scratch: &Path| {
        copy(scratch, input, OUT)
    })
    .output(OUT)
}

fn ffmpeg_into_nothing(input: &'static str) -> Side<'static> {
    Side::command("ffmpeg -c copy", move |scratch: &Path| {
        copy(scratch, input, "/dev/null")
    })
}

/// A demuxer brings what is in a file.
fn demuxed(bench: &mut Bench, input: &'static str, what: &str, sound: bool) {
    let muxed = |muxer: &'static str, sink: Sink| {
        sink.written_by(Side::here(muxer, move |scratch: &Path| {
            mux(scratch, input, sound, muxer, sink)
        }))
    };
    let remuxed = |sink: Sink| {
        let name = "avimjpegdemux ! avimjpegmux";
        sink.written_by(Side::here(name, move |scratch: &Path| {
            remux(scratch, input, sound, "standard", sink)
        }))
    };
    for (sink, name) in [(Sink::Nothing, "fakesink"), (Sink::File, "filesink")] {
        bench.pair(
            &format!("{what} into {name}"),
            muxed("avimjpegmux", sink),
            muxed("avimux", sink),
        );
    }
    bench.pair(
        &format!("{what} into a file"),
        muxed("avimjpegmux", Sink::File),
        ffmpeg(input),
    );
    bench.pair(
        &format!("copying, {what} into a file"),
        remuxed(Sink::File),
        ffmpeg(input),
    );
    bench.pair(
        &format!("copying, {what} into nothing"),
        remuxed(Sink::Nothing),
        ffmpeg_into_nothing(input),
    );
    bench.pair(
        &format!("writing alone, {what} into a file"),
        Side::here("write(2)", move |scratch: &Path| {
            write_alone(scratch, input)
        })
        .output(OUT),
        ffmpeg(input),
    );
}

/// Without a demuxer in the way, as a camera would.
fn already_demuxed(bench: &mut Bench, input: &'static str, what: &str, threads: Pushed) {
    let in_turns = Pushed {
        threads: false,
        ..threads
    };
    let pushed = |name: &str, muxer: &'static str, sink: Sink, pushed: Pushed| {
        sink.written_by(Side::here(name, move |scratch: &Path| {
            push_and_mux(scratch, muxer, sink, pushed)
        }))
    };
    let ours = |sink, how| pushed("avimjpegmux", "avimjpegmux", sink, how);
    for (sink, name) in [(Sink::Nothing, "fakesink"), (Sink::File, "filesink")] {
        bench.pair(
            &format!("already demuxed, {what} into {name}"),
            ours(sink, threads),
            pushed("avimux", "avimux", sink, threads),
        );
    }
    bench.pair(
        &format!("already demuxed, {what} into a file, and ffmpeg that demuxes them too"),
        ours(Sink::File, in_turns),
        ffmpeg(input),
    );
    bench.pair(
        &format!("already demuxed, {what} into nothing, and ffmpeg that demuxes them too"),
        ours(Sink::Nothing, in_turns),
        ffmpeg_into_nothing(input),
    );
    bench.pair(
        &format!("pushing alone, {what}"),
        Side::here("no muxer", move |_: &Path| {
            push(
                "fakesink name=video_0 async=false fakesink name=audio_0 async=false",
                in_turns,
            )
        }),
        ffmpeg(input),
    );
    let none = "avimjpegmux checkpoint-interval=0";
    bench.pair(
        &format!("checkpoints, {what} into filesink"),
        pushed("each second", "avimjpegmux", Sink::File, in_turns),
        pushed("none", none, Sink::File, in_turns),
    );
}

/// A recording as long as it takes.
fn record(scratch: &Path, muxer: &str) {
    run(&format!(
        "videotestsrc is-live=true num-buffers=300 ! video/x-raw,format=I420,width=640,height=480,\
         framerate=30/1 ! jpegenc ! {muxer} ! filesink location={}",
        scratch.join(OUT).display()
    ))
}

fn main() {
    let mut bench = Bench::new("avimjpegmux");
    bench.prepare(make_inputs);
    let inputs = [
        ("small.avi", "108 000 frames of 3 KB", 108_000, 3000, false),
        (
            "sound.avi",
            "54 000 frames of 3 KB and sound",
            54_000,
            3000,
            true,
        ),
        ("large.avi", "3600 frames of 100 KB", 3600, 100_000, false),
    ];
    for (input, what, _, _, sound) in inputs {
        demuxed(&mut bench, input, what, sound);
    }
    for (input, what, frames, size, sound) in inputs {
        let pushed = Pushed {
            frames,
            size,
            sound,
            threads: true,
        };
        already_demuxed(&mut bench, input, what, pushed);
    }
    let recorded = |name: &str, muxer: &'static str| {
        Side::here(name, move |scratch: &Path| record(scratch, muxer)).output(OUT)
    };
    bench.pair(
        "checkpoints, a recording of 10 s",
        recorded("each second", "avimjpegmux"),
        recorded("none", "avimjpegmux checkpoint-interval=0"),
    );
    let profile =
        |profile| move |scratch: &Path| remux(scratch, "film.avi", false, profile, Sink::Nothing);
    bench.pair(
        "checks for the K210, 6000 frames of a film",
        Side::here("profile=k210", profile("k210")),
        Side::here("profile=standard", profile("standard")),
    );
    let null = "avimjpegmux name=mux ! filesink location=/dev/null";
    let of = |seconds: u64| Pushed {
        frames: seconds * 30,
        size: 4000,
        sound: true,
        threads: true,
    };
    bench.pair(
        "memory, 4 KB frames and sound",
        Side::here("an hour", move |_: &Path| push(null, of(3600))),
        Side::here("a minute", move |_: &Path| push(null, of(60))),
    );
    bench.finish();
}
