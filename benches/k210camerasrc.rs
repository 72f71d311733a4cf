// SPDX-License-Identifier: MIT OR Apache-2.0
//! k210camerasrc against a plain loop of FRAME_SIZE and FRAME_DUMP on the same simulated board.
//!
//! The board's UART sends 150 000 bytes a second and not one more. How much of that is used is
//! measured on the simulated UART itself (`sim:`), and on a pseudo-terminal, whose bytes the kernel
//! carries from one side to the other when it finds the time. The comparison is made on a
//! pseudo-terminal, where the board is a process of its own (`k210-sim`) whose work counts for
//! neither side.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failure ends the measurement"
)]

mod paired;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gst::prelude::*;
use k210_link::connect::{self, Goal};
use k210_link::interrupt::Interrupt;
use k210_link::session::{self, Counters};
use k210_link::transport::Transport;
use k210_link::transport::serial::Serial;
use paired::{Bench, Side};

const PORT: &str = "K210_BENCH_PORT";
const BAUD: u32 = 1_500_000;

/// Bytes of the protocol for each frame: two requests and the answer to FRAME_SIZE.
const PROTOCOL: usize = 6 + 12 + 6;

/// The program `k210-sim`, as its source is now.
fn program() -> PathBuf {
    let status = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--release",
            "--locked",
            "--package",
            "k210-sim",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo starts");
    assert!(status.success(), "k210-sim does not build");
    // target/release/deps/BENCH
    let bench = std::env::current_exe().expect("a bench has a path");
    bench
        .ancestors()
        .nth(2)
        .expect("a profile's directory")
        .join("k210-sim")
}

/// The simulated board, until the bench ends.
struct Sim(Child);

impl Sim {
    fn start(link: &Path) -> Self {
        let child = Command::new(program())
            .arg("--link")
            .arg(link)
            // Twice as many as the wire carries, so that the sensor is not what limits the rate.
            // Many more would only keep the simulated processor busy, at the price of its UART.
            .args(["--boot-mode", "ide", "--frame-rate", "60"])
            .stdout(Stdio::null())
            .spawn()
            .expect("k210-sim starts");
        let deadline = Instant::now() + Duration::from_secs(30);
        while !link.exists() {
            assert!(Instant::now() < deadline, "k210-sim makes no link");
            std::thread::sleep(Duration::from_millis(10));
        }
        Sim(child)
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn port() -> PathBuf {
    std::env::var_os(PORT).expect("the bench sets it").into()
}

fn port_name() -> String {
    port().to_string_lossy().into_owned()
}

fn camera(device: &str, properties: &str, rest: &str, frames: u32) -> gst::Pipeline {
    gst::init().unwrap();
    gstkendryte::plugin_register_static().unwrap();
    gst::parse::launch(&format!(
        "k210camerasrc name=camera device={device} num-buffers={frames} {properties} ! {rest} \
         fakesink name=sink sync=false"
    ))
    .unwrap()
    .downcast()
    .unwrap()
}

fn run(pipeline: &gst::Pipeline) {
    pipeline.set_state(gst::State::Playing).unwrap();
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = pipeline.bus().unwrap().timed_pop_filtered(None, &kinds);
    if let Some(gst::MessageView::Error(error)) = message.as_ref().map(|m| m.view()) {
        panic!("{error:?}");
    }
    pipeline.set_state(gst::State::Null).unwrap();
}

fn read_exact(port: &mut Serial, buf: &mut [u8]) {
    let mut got = 0;
    while got < buf.len() {
        got += port.read(&mut buf[got..], Duration::from_secs(1)).unwrap();
    }
}

/// What a host script does: ask, wait a little if there is none, else take it.
fn plain_loop(frames: u32, quality: u32, interval: Duration) {
    let interrupt = Interrupt::default();
    let goal = Goal {
        baud: BAUD,
        script: format!(
            "import sensor\nsensor.reset()\nsensor.set_pixformat(sensor.RGB565)\n\
             sensor.set_framesize(sensor.QVGA)\nsensor.set_jb_quality({quality})\n\
             while True:\n    sensor.snapshot()\n"
        )
        .into_bytes(),
        greets: false,
        patience: connect::PATIENCE,
    };
    let serial = Box::new(Serial::open(&port(), BAUD).unwrap());
    let connected =
        connect::connect(serial, &goal, &interrupt, &Arc::new(Counters::default())).unwrap();
    drop(connected);
    let mut port = Serial::open(&port(), BAUD).unwrap();
    let mut next = Instant::now();
    let mut done = 0;
    while done < frames {
        port.write_all(&[0x30, 0x81, 12, 0, 0, 0], Duration::from_secs(1))
            .unwrap();
        let mut reply = [0; 12];
        read_exact(&mut port, &mut reply);
        let word = |at: usize| u32::from_le_bytes(reply[at..at + 4].try_into().unwrap());
        if word(0) == 0 {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        }
        let size = word(8);
        let mut request = vec![0x30, 0x82];
        request.extend(size.to_le_bytes());
        port.write_all(&request, Duration::from_secs(1)).unwrap();
        let mut frame = vec![0; size as usize];
        read_exact(&mut port, &mut frame);
        done += 1;
        next += interval;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

/// Median, 99th percentile and longest of some delays, in milliseconds.
fn spread(mut late: Vec<f64>) -> String {
    late.sort_by(f64::total_cmp);
    format!(
        "{:.2} ms (median), {:.2} ms (99th percentile), {:.2} ms (longest)",
        late[late.len() / 2],
        late[late.len() * 99 / 100],
        late[late.len() - 1],
    )
}

/// How late a thread wakes that does nothing but sleep, 20 ms at a time, until it is told to end: what
/// the machine adds to any wait.
fn sleeper(end: Arc<AtomicBool>) -> std::thread::JoinHandle<Vec<f64>> {
    const PAUSE: Duration = Duration::from_millis(20);
    std::thread::spawn(move || {
        let mut late = Vec::new();
        while !end.load(Ordering::Relaxed) {
            let start = Instant::now();
            std::thread::sleep(PAUSE);
            late.push((start.elapsed() - PAUSE).as_secs_f64() * 1000.0);
        }
        late
    })
}

/// How full the wire is, and how long a frame takes from its last byte to the pad.
fn wire(bench: &mut Bench, title: &str, device: &str, properties: &str, frames: u32) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let pipeline = camera(device, properties, "", frames);
    let clock = pipeline.clone();
    let record = seen.clone();
    let pad = pipeline
        .by_name("camera")
        .unwrap()
        .static_pad("src")
        .unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(buffer) = info.buffer() {
            let now = clock.current_running_time().unwrap();
            let entry = (buffer.pts().unwrap(), now, buffer.size());
            record.lock().unwrap().push(entry);
        }
        gst::PadProbeReturn::Ok
    });
    let end = Arc::new(AtomicBool::new(false));
    let sleeper = sleeper(end.clone());
    run(&pipeline);
    end.store(true, Ordering::Relaxed);
    let asleep = sleeper.join().expect("it only sleeps");
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), frames as usize, "{title}: frames are missing");
    let (first, last) = (seen.first().unwrap(), seen.last().unwrap());
    let elapsed: Duration = (last.1 - first.1).into();
    let bytes: usize = seen[1..].iter().map(|(_, _, size)| size + PROTOCOL).sum();
    let share = session::wire_time(bytes, BAUD).as_secs_f64() / elapsed.as_secs_f64();
    let late = seen
        .iter()
        .map(|(pts, now, size)| {
            let wire = session::wire_time(size + 6, BAUD);
            (Duration::from(*now - *pts).as_secs_f64() - wire.as_secs_f64()) * 1000.0
        })
        .collect();
    let size = bytes / (seen.len() - 1) - PROTOCOL;
    bench.note(format!(
        "{title}: {} frames of {size} bytes, {:.1} a second, {:.1} % of what the wire carries; \
         from the last byte to the buffer {}; a thread beside it that only sleeps wakes late by {}",
        seen.len(),
        (seen.len() - 1) as f64 / elapsed.as_secs_f64(),
        share * 100.0,
        spread(late),
        spread(asleep),
    ));
}

fn main() {
    let mut bench = Bench::new("k210camerasrc");
    let mut sim = None;
    let directory = tempfile::tempdir().unwrap();
    if bench.is_reporting() {
        let link = directory.path().join("board");
        sim = Some(Sim::start(&link));
        // SAFETY: no other thread runs yet.
        unsafe { std::env::set_var(PORT, &link) };
        for quality in [50, 90] {
            let properties = format!("interval=0 quality={quality}");
            let title = format!("320x240 at quality {quality}, simulated UART");
            wire(&mut bench, &title, "sim:", &properties, 200);
            let title = format!("320x240 at quality {quality}, pseudo-terminal");
            wire(&mut bench, &title, &port_name(), &properties, 200);
        }
    }
    for quality in [50, 90] {
        bench.pair(
            &format!("100 frames of 320x240 at quality {quality}, as fast as they come"),
            Side::here("k210camerasrc", move |_| {
                let properties = format!("interval=0 quality={quality}");
                run(&camera(&port_name(), &properties, "", 100));
            }),
            Side::here("plain loop", move |_| {
                plain_loop(100, quality, Duration::ZERO);
            }),
        );
    }
    bench.pair(
        "10 s of 320x240 at 15 frames a second",
        Side::here("k210camerasrc", |_| {
            run(&camera(
                &port_name(),
                "",
                "image/jpeg,framerate=15/1 !",
                150,
            ));
        }),
        Side::here("plain loop", |_| {
            plain_loop(150, 50, Duration::from_micros(66_667));
        }),
    );
    drop(sim);
    bench.finish();
}
