// SPDX-License-Identifier: MIT OR Apache-2.0
//! What it costs to keep the last seconds of a stream, and what a recording costs the stream.
//!
//! The pair with gopbuffer is run if GStreamer finds that element (the plugin of the crate
//! `gst-plugin-gopbuffer`, in `GST_PLUGIN_PATH`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failure ends the measurement"
)]

mod paired;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use gst::prelude::*;
use gstkendryte::ring::{Item, Limits, Ring};
use paired::{Bench, Side};

/// Nanoseconds a frame at 30 frames a second, frames a GOP, and bytes a frame of 2 Mbit/s.
const FRAME: u64 = 33_333_333;
const GOP: u64 = 30;
const BYTES: usize = 8_333;

/// Buffers pushed through each side of a pair.
const BUFFERS: u64 = 1_000_000;

fn init() {
    gst::init().expect("GStreamer starts");
    gstkendryte::plugin_register_static().expect("the plugin registers");
}

/// A stream of H.264 by its looks: caps, key units, sizes and times are right, the bytes are not.
struct Stream {
    pad: gst::Pad,
    pipeline: gst::Pipeline,
    frame: gst::Buffer,
    next: u64,
}

impl Stream {
    /// Into the elements of a description, the first of which is named `first`.
    fn into(description: &str) -> Self {
        let bin = gst::parse::bin_from_description(description, false);
        let pipeline = gst::Pipeline::new();
        pipeline
            .add(&bin.expect("the elements are there"))
            .expect("they are added");
        let first = pipeline.by_name("first").expect("it is named so");
        let to = first
            .static_pad("video")
            .or_else(|| first.static_pad("sink"))
            .or_else(|| first.static_pad("video_sink"))
            .or_else(|| first.request_pad_simple("video"))
            .expect("it has a pad");
        let pad = gst::Pad::builder(gst::PadDirection::Src).build();
        pad.link(&to).expect("the pads link");
        pad.set_active(true).expect("the pad starts");
        pipeline
            .set_state(gst::State::Playing)
            .expect("the pipeline plays");
        let caps = gst::Caps::builder("video/x-h264")
            .field("stream-format", "avc")
            .field("alignment", "au")
            .field("width", 1280)
            .field("height", 720)
            .field("framerate", gst::Fraction::new(30, 1))
            .field("codec_data", gst::Buffer::from_slice(CODEC_DATA))
            .build();
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        segment.set_start(gst::ClockTime::ZERO);
        pad.push_event(gst::event::StreamStart::new("bench"));
        pad.push_event(gst::event::Caps::new(&caps));
        pad.push_event(gst::event::Segment::new(&segment));
        Self {
            pad,
            pipeline,
            frame: gst::Buffer::from_mut_slice(vec![0u8; BYTES]),
            next: 0,
        }
    }

    fn push(&mut self) {
        let mut buffer = self.frame.copy();
        let it = buffer.make_mut();
        let time = gst::ClockTime::from_nseconds(self.next * FRAME);
        it.set_pts(time);
        it.set_dts(time);
        it.set_duration(gst::ClockTime::from_nseconds(FRAME));
        if !self.next.is_multiple_of(GOP) {
            it.set_flags(gst::BufferFlags::DELTA_UNIT);
        }
        self.next += 1;
        self.pad.push(buffer).expect("the buffer is taken");
    }

    fn stop(&self) {
        self.pipeline
            .set_state(gst::State::Null)
            .expect("the pipeline stops");
    }
}

/// An avcC box's contents (ISO/IEC 14496-15, 5.3.3.1) with the parameter sets of a 1280x720 stream
/// of the baseline profile.
const CODEC_DATA: [u8; 31] = [
    1, 0x42, 0xc0, 0x1f, 0xff, 0xe1, 0, 0x10, 0x67, 0x42, 0xc0, 0x1f, 0xd9, 0, 0x50, 0x05, 0xbb,
    0x01, 0x10, 0, 0, 0x03, 0, 0x10, 1, 0, 0x04, 0x68, 0xcb, 0x83, 0xcb,
];

fn through(description: &str) {
    init();
    let mut stream = Stream::into(description);
    for _ in 0..BUFFERS {
        stream.push();
    }
    stream.stop();
}

/// Longer than anything takes.
const HANG: Duration = Duration::from_secs(60);

const ARMED: &str = "circularsink name=first max-time=10000000000";
const QUEUE: &str = "queue name=first max-size-time=10000000000 max-size-bytes=0 \
                     max-size-buffers=0 ! fakesink";
const GOPBUFFER: &str = "gopbuffer name=first minimum-duration=10000000000 ! fakesink";

fn percentile(sorted: &[Duration], part: f64) -> Duration {
    sorted[((sorted.len() - 1) as f64 * part) as usize]
}

/// How long it takes from when something is begun until a file has its first byte, 100 times:
/// `begin` is given the file's name, and `end` follows when it is there.
fn first_bytes(
    what: &str,
    name: impl Fn(u32) -> PathBuf,
    mut begin: impl FnMut(&Path),
    mut end: impl FnMut(),
) -> String {
    let mut times = Vec::new();
    for number in 0..100 {
        let path = name(number);
        let start = Instant::now();
        begin(&path);
        while std::fs::metadata(&path).map_or(0, |m| m.len()) == 0 {
            assert!(start.elapsed() < HANG, "{what}: never");
            // Nobody who triggers keeps a core busy meanwhile, of two.
            std::thread::sleep(Duration::from_micros(20));
        }
        times.push(start.elapsed());
        end();
        std::fs::remove_file(path).expect("the file is there");
    }
    times.sort_unstable();
    format!(
        "{what}, 100 times: median {:.2?}, 90th percentile {:.2?}, longest {:.2?}.",
        percentile(&times, 0.5),
        percentile(&times, 0.9),
        percentile(&times, 1.0),
    )
}

/// From a trigger to the first byte in the file, for each container.
fn time_to_first_byte(scratch: &Path, extension: &str) -> String {
    let pattern = scratch.join(format!("first%d.{extension}"));
    let mut stream = Stream::into("circularsink name=first max-time=10000000000");
    let sink = stream.pipeline.by_name("first").expect("it is there");
    sink.set_property("location", pattern.to_str());
    for _ in 0..600 {
        stream.push();
    }
    let line = first_bytes(
        &format!("From trigger to the first byte in .{extension}"),
        |number| scratch.join(format!("first{number}.{extension}")),
        |_| {
            sink.emit_by_name::<u32>("trigger", &[&None::<String>]);
        },
        || {
            sink.emit_by_name::<()>("finish", &[]);
            stream.push();
            let start = Instant::now();
            while open_recordings(&sink) > 0 {
                assert!(start.elapsed() < HANG, "a recording does not end");
                std::thread::sleep(Duration::from_millis(1));
            }
            // The next one is to find the machine as this one did, and not at work on its remains.
            std::thread::sleep(Duration::from_millis(20));
        },
    );
    stream.stop();
    line
}

/// What the machine itself takes: a new thread that makes a file with one byte in it.
fn time_of_a_bare_thread(scratch: &Path) -> String {
    first_bytes(
        "From the start of a bare thread to the one byte that it writes",
        |number| scratch.join(format!("bare{number}")),
        |path| {
            let path = path.to_owned();
            std::thread::spawn(move || std::fs::write(path, [0]));
        },
        || std::thread::sleep(Duration::from_millis(20)),
    )
}

fn open_recordings(sink: &gst::Element) -> u32 {
    let stats: gst::Structure = sink.property("stats");
    stats.get("recordings-open").expect("it is counted")
}

/// How long the chain function takes while a sink sleeps 100 ms over each buffer.
fn chain_beside_a_sleeping_sink(scratch: &Path) -> String {
    let mut stream = Stream::into("circularsink name=first max-time=10000000000");
    let sink = stream.pipeline.by_name("first").expect("it is there");
    sink.set_property("finish-timeout", 100_000_000u64);
    sink.set_property("location", scratch.join("slow%d.mkv").to_str());
    let bin = sink.downcast_ref::<gst::Bin>().expect("it is a bin");
    let awake = Arc::new(AtomicBool::new(false));
    bin.connect_deep_element_added({
        let awake = awake.clone();
        move |_, _, element| {
            if let Some(pad) = element.static_pad("sink")
                && element.factory().is_some_and(|f| f.name() == "filesink")
            {
                let awake = awake.clone();
                pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                    if !awake.load(Ordering::Relaxed) {
                        std::thread::sleep(Duration::from_millis(100));
                    }
                    gst::PadProbeReturn::Ok
                });
            }
        }
    });
    for _ in 0..600 {
        stream.push();
    }
    sink.emit_by_name::<u32>("trigger", &[&None::<String>]);
    let mut times = Vec::new();
    for _ in 0..20_000 {
        let start = Instant::now();
        stream.push();
        times.push(start.elapsed());
        std::thread::sleep(Duration::from_micros(200));
    }
    awake.store(true, Ordering::Relaxed);
    stream.stop();
    times.sort_unstable();
    format!(
        "The chain function beside a sink that sleeps 100 ms over each buffer, 20 000 calls: median {:.2?}, 99th percentile {:.2?}, 99.9th {:.2?}, longest {:.2?}.",
        percentile(&times, 0.5),
        percentile(&times, 0.99),
        percentile(&times, 0.999),
        percentile(&times, 1.0),
    )
}

/// User and system time of this process so far.
fn cpu() -> Duration {
    // SAFETY: rusage is plain numbers, for which all zeros is a value.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let time = |t: libc::timeval| {
        Duration::from_secs(t.tv_sec as u64) + Duration::from_micros(t.tv_usec as u64)
    };
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// A hundred cameras at 30 frames a second, a thread each, armed for ten seconds.
fn hundred_cameras() -> String {
    let (cameras, seconds) = (100, 10);
    let ready = Arc::new(Barrier::new(cameras + 1));
    let threads: Vec<_> = (0..cameras)
        .map(|_| {
            let ready = ready.clone();
            std::thread::spawn(move || {
                let mut stream = Stream::into(ARMED);
                ready.wait();
                let start = Instant::now();
                let mut late = Duration::ZERO;
                for number in 0..30 * seconds {
                    let due = start + Duration::from_nanos(number * FRAME);
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    // A camera's buffers are its own, not copies of one.
                    stream.frame = gst::Buffer::from_mut_slice(vec![0u8; BYTES]);
                    stream.push();
                    late = late.max(due.elapsed());
                }
                stream.stop();
                late
            })
        })
        .collect();
    ready.wait();
    let (start, before) = (Instant::now(), cpu());
    let late = threads
        .into_iter()
        .map(|thread| thread.join().expect("the thread ends"))
        .max()
        .expect("there are cameras");
    let used = (cpu() - before).as_secs_f64() / start.elapsed().as_secs_f64();
    format!(
        "{cameras} cameras at 30 frames a second, armed in one process for {seconds} s: {:.1} % of one core, every frame handed over within {late:.1?} of its time.",
        used * 100.0,
    )
}

/// Bytes of bookkeeping beside GStreamer's own objects, for 30 s of video at 30 frames a second.
fn bookkeeping() -> String {
    // What circularsink keeps of a buffer: a reference and a difference of times.
    let mut ring: Ring<(usize, i64)> = Ring::new(Limits {
        max_time: 30_000_000_000,
        max_bytes: 0,
        max_buffers: 0,
        least_bytes: 0,
    });
    let video = ring.add_stream(true);
    let mut most = 0.0f64;
    for number in 0..10_000i64 {
        let time = number * FRAME as i64;
        ring.push(
            video,
            Item {
                payload: (0, 0),
                time,
                end: time + FRAME as i64,
                bytes: BYTES as u32,
                key: number % GOP as i64 == 0,
                refresh: true,
            },
        );
        ring.take_dropped(Vec::new());
        if number >= 1_000 {
            most = most.max(ring.overhead() as f64 / ring.level().buffers as f64);
        }
    }
    format!("Bookkeeping for 30 s at 30 frames a second: at most {most:.1} bytes a buffer.")
}

fn main() {
    let mut bench = Bench::new("circularsink");
    bench.pair(
        "1 000 000 buffers, armed, against a queue",
        Side::here("circularsink", |_| through(ARMED)),
        Side::here("queue ! fakesink", |_| through(QUEUE)),
    );
    // The copies that work must not be kept by a look into the registry before their work.
    let gopbuffer = !bench.is_reporting() || {
        init();
        gst::ElementFactory::find("gopbuffer").is_some()
    };
    if gopbuffer {
        bench.pair(
            "1 000 000 buffers, armed, against gopbuffer",
            Side::here("circularsink", |_| through(ARMED)),
            Side::here("gopbuffer ! fakesink", |_| through(GOPBUFFER)),
        );
    } else {
        bench.note("No element gopbuffer is installed: the pair with it is left out.");
    }
    if bench.is_reporting() {
        let scratch = tempfile::tempdir().expect("a directory for the files");
        bench.note(bookkeeping());
        for extension in ["mp4", "mkv"] {
            bench.note(time_to_first_byte(scratch.path(), extension));
        }
        bench.note(time_of_a_bare_thread(scratch.path()));
        bench.note(chain_beside_a_sleeping_sink(scratch.path()));
        bench.note(hundred_cameras());
    }
    bench.finish();
}
