// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `k230venc` costs beside the encoder element it hosts, and what the MPP's ABI costs on top;
//! how well rates are kept.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failure ends the measurement"
)]

mod ioctl_loop;
mod paired;

use std::fs::File;
use std::ops::Range;
use std::os::fd::FromRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst_allocators::prelude::*;
use paired::{Bench, Side};

const FPS: usize = 25;

fn run(description: &str) {
    play(description, |_| {});
}

fn play(description: &str, prepare: impl FnOnce(&gst::Bin)) {
    gst::init().expect("GStreamer starts");
    gstkendryte::plugin_register_static().expect("the plugin registers");
    let pipeline = gst::parse::launch(description).expect(description);
    prepare(pipeline.downcast_ref().expect("a pipeline"));
    pipeline
        .set_state(gst::State::Playing)
        .expect("the pipeline starts");
    let message = pipeline
        .bus()
        .expect("a bus")
        .timed_pop_filtered(
            gst::ClockTime::NONE,
            &[gst::MessageType::Eos, gst::MessageType::Error],
        )
        .expect("a message");
    if let gst::MessageView::Error(error) = message.view() {
        panic!("{description}: {} {:?}", error.error(), error.debug());
    }
    pipeline
        .set_state(gst::State::Null)
        .expect("the pipeline stops");
}

/// Raw NV12 pictures from the footage, scaled; the tests' excerpt twice for more than ten seconds.
fn footage(scratch: &Path, width: u32, height: u32, buffers: u32, file: &str) {
    let webm = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/bigbuckbunny.webm");
    run(&format!(
        "filesrc location={} ! matroskademux ! vp8dec ! identity eos-after={} ! videoconvert \
         ! videoscale ! video/x-raw,format=NV12,width={width},height={height},pixel-aspect-ratio=1/1 \
         ! filesink location={}",
        webm.display(),
        buffers + 1,
        scratch.join(file).display()
    ));
}

/// The pictures of a file.
struct Pictures(Arc<Vec<u8>>, Range<usize>);

impl AsRef<[u8]> for Pictures {
    fn as_ref(&self) -> &[u8] {
        &self.0[self.1.clone()]
    }
}

/// Encodes `count` pictures from memory, those of a file over and over, as a camera's few buffers
/// come: no side pays for reading or for memory that the other would find where it left it.
fn encode(file: &Path, (width, height): (u32, u32), count: u64, rest: &str) {
    gst::init().expect("GStreamer starts");
    let raw = Arc::new(std::fs::read(file).expect("the footage"));
    let size = (width * height * 3 / 2) as usize;
    let memories: Vec<gst::Memory> = (0..raw.len() / size)
        .map(|n| gst::Memory::from_slice(Pictures(raw.clone(), n * size..(n + 1) * size)))
        .collect();
    let mut sent = 0;
    play(
        &format!(
            "appsrc name=in format=time \
             caps=video/x-raw,format=NV12,width={width},height={height},framerate={FPS}/1 ! {rest}"
        ),
        |pipeline| {
            let source = pipeline.by_name("in").expect("the source");
            let source: gst_app::AppSrc = source.downcast().expect("an appsrc");
            let feed = gst_app::AppSrcCallbacks::builder().need_data(move |source, _| {
                if sent == count {
                    let _ = source.end_of_stream();
                    return;
                }
                let mut buffer = gst::Buffer::new();
                let b = buffer.make_mut();
                b.append_memory(memories[sent as usize % memories.len()].clone());
                b.set_pts(gst::ClockTime::SECOND.mul_div_floor(sent, FPS as u64));
                sent += 1;
                let _ = source.push_buffer(buffer);
            });
            source.set_callbacks(feed.build());
        },
    );
}

/// `libk230mpp_sim.so`, which cargo builds as a dependency of this bench.
fn double() -> PathBuf {
    let exe = std::env::current_exe().expect("a path");
    let deps = exe.parent().expect("a directory");
    let name = "libk230mpp_sim.so";
    [deps.join(name), deps.join("..").join(name)]
        .into_iter()
        .find(|path| path.exists())
        .expect("the double is built with the benches")
}

/// `libk230v4l2_sim.so`, likewise.
fn device_double() -> PathBuf {
    double().with_file_name("libk230v4l2_sim.so")
}

/// What this program is called with to be one of the two sides on the double of the device.
const ON_THE_DEVICE: &str = "--on-the-device=";

/// This program as one side, in a process that has the double with its encoder off.
fn on_the_device(side: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a path"));
    command
        .arg(format!("{ON_THE_DEVICE}{side}"))
        .env("LD_PRELOAD", device_double())
        .env("K230_V4L2_SIM_FAULTS", "canned,offsets");
    command
}

/// Frames of 720p that each side on the device imports, from a few buffers that come again and again: so many that
/// GStreamer's start, 60 ms, is little of it.
const IMPORTED: u64 = 50_000;
const LENT: usize = 8;

/// Another number of them, by which two runs under callgrind tell a frame's instructions from the start's.
const FRAMES: &str = "IMPORTED_FRAMES";

fn imported() -> u64 {
    let said = std::env::var(FRAMES).ok();
    said.map_or(IMPORTED, |said| said.parse().expect("a number of frames"))
}

fn memfd() -> File {
    // SAFETY: a name, and the descriptor that was just made.
    let file =
        unsafe { File::from_raw_fd(libc::memfd_create(c"frame".as_ptr(), libc::MFD_CLOEXEC)) };
    file.set_len(FRAME as u64).expect("memory");
    file
}

/// Plays imported frames into `rest`, whose pipeline `prepare` gets.
fn play_imported(rest: &str, prepare: impl FnOnce(&gst::Bin)) {
    gst::init().expect("GStreamer starts");
    let allocator = gst_allocators::DmaBufAllocator::new();
    let memories: Vec<gst::Memory> = (0..LENT)
        // SAFETY: the memory takes the descriptor over.
        .map(|_| unsafe { allocator.alloc_dmabuf(memfd(), FRAME) }.expect("a memory"))
        .collect();
    let description = format!(
        "appsrc name=in format=time \
         caps=video/x-raw,format=NV12,width=1280,height=720,framerate={FPS}/1 ! {rest}"
    );
    play(&description, |pipeline| {
        let source = pipeline.by_name("in").expect("a source");
        let source: gst_app::AppSrc = source.downcast().expect("an appsrc");
        let (mut sent, count) = (0, imported());
        let feed = gst_app::AppSrcCallbacks::builder().need_data(move |source, _| {
            if sent == count {
                let _ = source.end_of_stream();
                return;
            }
            let mut buffer = gst::Buffer::new();
            let b = buffer.make_mut();
            b.append_memory(memories[sent as usize % LENT].clone());
            b.set_pts(gst::ClockTime::SECOND.mul_div_floor(sent, FPS as u64));
            sent += 1;
            let _ = source.push_buffer(buffer);
        });
        source.set_callbacks(feed.build());
        prepare(pipeline);
    });
}

fn print_median(mut times: Vec<Duration>) {
    times.sort_unstable();
    println!("median {}", times[times.len() / 2].as_micros());
}

/// H.264, as nothing downstream says otherwise: a filter for that would be an element more than the loop has.
const ELEMENT: &str = "k230venc name=venc backend=v4l2 ! fakesink";

/// Imported frames through the element, and the median time from a frame's arrival at it to its
/// stream's departure. Looking at both pads takes more than a microsecond of a frame, so the run whose CPU
/// time counts is one without.
fn element_on_the_device_timed() {
    let times: Arc<Mutex<(Option<Instant>, Vec<Duration>)>> = Arc::default();
    play_imported(ELEMENT, |pipeline| {
        let venc = pipeline.by_name("venc").expect("the encoder");
        for (name, arrives) in [("sink", true), ("src", false)] {
            let times = times.clone();
            let pad = venc.static_pad(name).expect("a pad");
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                let mut times = times.lock().unwrap();
                if arrives {
                    times.0 = Some(Instant::now());
                } else if let Some(since) = times.0.take() {
                    times.1.push(since.elapsed());
                }
                gst::PadProbeReturn::Ok
            });
        }
    });
    print_median(std::mem::take(&mut times.lock().unwrap().1));
}

/// The same frames from the same source into the same sink, and in between nothing but the requests that
/// the device takes; the median time of a frame.
fn loop_on_the_device() {
    let device = ioctl_loop::Session::open("/dev/video-k230", 1280, 720, LENT as u32);
    let state = Arc::new(Mutex::new((device, Vec::new(), Vec::new())));
    let shared = state.clone();
    play_imported("fakesink name=out", move |pipeline| {
        let pad = pipeline
            .by_name("out")
            .and_then(|out| out.static_pad("sink"));
        let encode = move |_: &gst::Pad, info: &mut gst::PadProbeInfo<'_>| {
            let since = Instant::now();
            let buffer = info.buffer().expect("a frame");
            let memory = buffer.peek_memory(0);
            let memory = memory.downcast_memory_ref::<gst_allocators::DmaBufMemory>();
            let fd = memory.expect("a DMA buffer").fd();
            let time = buffer.pts().expect("a time").useconds();
            let (device, stream, times) = &mut *shared.lock().unwrap();
            stream.clear();
            device.encode((times.len() % LENT) as u32, fd, time, stream);
            times.push(since.elapsed());
            gst::PadProbeReturn::Ok
        };
        pad.expect("a pad")
            .add_probe(gst::PadProbeType::BUFFER, encode);
    });
    print_median(std::mem::take(&mut state.lock().unwrap().2));
}

/// The bare element with what `k230venc` sets, and the seconds of 720p that it is given, for runs of
/// some seconds: the pictures of 1080p are as much fewer as they are larger.
const BARE: [(&str, &str, &str, u64); 3] = [
    (
        "H.264",
        "video/x-h264,profile=high",
        "x264enc tune=zerolatency speed-preset=veryfast key-int-max=30 bframes=0 byte-stream=true \
         aud=false qp-min=0 cabac=true dct8x8=true pass=cbr bitrate=4000 vbv-buf-capacity=500 \
         option-string=scenecut=0:open-gop=0",
        12,
    ),
    (
        "H.265",
        "video/x-h265,profile=main",
        "videoconvert ! x265enc tune=zerolatency speed-preset=ultrafast key-int-max=30 bitrate=4000 \
         option-string=bframes=0:scenecut=0:open-gop=0:aud=0:info=0:sao=1:vbv-maxrate=4000:vbv-bufsize=2000",
        3,
    ),
    ("JPEG", "image/jpeg", "jpegenc quality=50", 24),
];

/// kbit/s of each frame's place in time: sizes in order, `FPS` a second.
fn sizes(scratch: &Path, venc: &str) -> Vec<usize> {
    let pipeline = gst::parse::launch(&format!(
        "appsrc name=in format=time block=true max-buffers=4 \
         caps=video/x-raw,format=NV12,width=1280,height=720,framerate={FPS}/1 \
         ! {venc} ! appsink name=out sync=false"
    ))
    .expect("a pipeline")
    .downcast::<gst::Pipeline>()
    .expect("a pipeline");
    let source: gst_app::AppSrc = pipeline.by_name("in").unwrap().downcast().unwrap();
    let sink: gst_app::AppSink = pipeline.by_name("out").unwrap().downcast().unwrap();
    pipeline
        .set_state(gst::State::Playing)
        .expect("the pipeline starts");
    let raw = std::fs::read(scratch.join("all720")).expect("the footage");
    let feeder = std::thread::spawn(move || {
        for n in 0..10 * FPS + FPS {
            let frames = raw.len() / FRAME;
            let at = (n % frames) * FRAME;
            let mut buffer = gst::Buffer::from_slice(raw[at..at + FRAME].to_vec());
            let pts = gst::ClockTime::SECOND.mul_div_floor(n as u64, FPS as u64);
            buffer.get_mut().unwrap().set_pts(pts);
            if source.push_buffer(buffer).is_err() {
                return;
            }
        }
        let _ = source.end_of_stream();
    });
    let mut sizes = Vec::new();
    while let Some(sample) = sink.try_pull_sample(gst::ClockTime::from_seconds(60)) {
        sizes.push(sample.buffer().expect("a buffer").size());
    }
    assert!(sink.is_eos(), "{venc}: the pipeline hangs or fails");
    feeder.join().expect("the feeder");
    pipeline
        .set_state(gst::State::Null)
        .expect("the pipeline stops");
    sizes
}

const FRAME: usize = 1280 * 720 * 3 / 2;

fn kbit(sizes: &[usize]) -> f64 {
    sizes.iter().sum::<usize>() as f64 * 8.0 / 1000.0
}

fn main() {
    let side = |word: String| word.strip_prefix(ON_THE_DEVICE).map(str::to_owned);
    match std::env::args().find_map(side).as_deref() {
        Some("element") => return play_imported(ELEMENT, |_| {}),
        Some("element, timed") => return element_on_the_device_timed(),
        Some(_) => return loop_on_the_device(),
        None => {}
    }
    let mut bench = Bench::new("k230venc");
    bench.pair(
        "720p imported, canned streams",
        Side::command("k230venc backend=v4l2", |_| on_the_device("element")),
        Side::command("the requests alone", |_| on_the_device("loop")),
    );
    bench.prepare(|scratch| {
        footage(scratch, 1280, 720, 25, "720");
        footage(scratch, 1920, 1080, 25, "1080");
    });
    for (width, height) in [(1280, 720), (1920, 1080)] {
        for (name, caps, bare, seconds) in BARE {
            let count = seconds * 1280 * 720 / u64::from(width * height) * FPS as u64;
            let work = move |scratch: &Path, venc: &str| {
                encode(
                    &scratch.join(height.to_string()),
                    (width, height),
                    count,
                    &format!("{venc} ! {caps} ! fakesink"),
                );
            };
            let mpp = || {
                format!(
                    "k230venc backend=mpp library={} jpeg-quality=50",
                    double().display()
                )
            };
            bench.pair(
                &format!("{name} at {height}p, hosted"),
                Side::here("k230venc", move |s| {
                    work(s, "k230venc backend=element jpeg-quality=50")
                }),
                Side::here("bare element", move |s| work(s, bare)),
            );
            bench.pair(
                &format!("{name} at {height}p, through the ABI"),
                Side::here("k230venc and double", move |s| work(s, &mpp())),
                Side::here("bare element", move |s| work(s, bare)),
            );
        }
    }
    if bench.is_reporting() {
        let median = |side: &str| {
            let output = on_the_device(side).output().expect("it starts");
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            said.trim().trim_start_matches("median ").to_owned()
        };
        bench.note(format!(
            "720p imported, canned streams, median from queued to pushed: {} us; the requests alone: \
             {} us",
            median("element, timed"),
            median("loop")
        ));
    }
    if bench.is_reporting() && std::env::args().all(|word| !word.contains("at ")) {
        gst::init().expect("GStreamer starts");
        gstkendryte::plugin_register_static().expect("the plugin registers");
        let scratch = tempfile::tempdir().expect("a directory");
        footage(scratch.path(), 1280, 720, 200, "all720");
        for (codec, caps) in [
            ("H.264", "video/x-h264,profile=high"),
            ("H.265", "video/x-h265,profile=main"),
        ] {
            let cbr = sizes(
                scratch.path(),
                &format!("k230venc backend=element bitrate=4000 ! {caps}"),
            );
            bench.note(format!(
                "{codec}, cbr, 4000 kbit/s: {:.0} kbit/s over the first 10 s",
                kbit(&cbr[..10 * FPS]) / 10.0
            ));
            let vbr = sizes(
                scratch.path(),
                &format!(
                    "k230venc backend=element rate-control=vbr bitrate=3000 max-bitrate=4500 ! {caps}"
                ),
            );
            let highest = vbr.windows(FPS).map(kbit).fold(0.0, f64::max);
            bench.note(format!(
                "{codec}, vbr, 3000 kbit/s up to 4500: {:.0} kbit/s over the first 10 s, {highest:.0} \
                 in the fullest second",
                kbit(&vbr[..10 * FPS]) / 10.0
            ));
        }
    }
    bench.finish();
}
