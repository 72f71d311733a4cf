// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `k230venc` costs beside the encoder element it hosts, and what the MPP's ABI costs on top;
//! how well rates are kept.

mod paired;

use std::path::{Path, PathBuf};

use gst::prelude::*;
use paired::{Bench, Side};

const FPS: usize = 25;

fn run(description: &str) {
    gst::init().expect("GStreamer starts");
    gstkendryte::plugin_register_static().expect("the plugin registers");
    let pipeline = gst::parse::launch(description).expect(description);
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

fn source(scratch: &Path, file: &str, width: u32, height: u32) -> String {
    format!(
        "filesrc location={} ! rawvideoparse format=nv12 width={width} height={height} \
         framerate={FPS}/1",
        scratch.join(file).display()
    )
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

/// The bare element with what `k230venc` sets.
const BARE: [(&str, &str, &str); 3] = [
    (
        "H.264",
        "video/x-h264,profile=high",
        "x264enc tune=zerolatency speed-preset=veryfast key-int-max=30 bframes=0 byte-stream=true \
         aud=false qp-min=0 cabac=true dct8x8=true pass=cbr bitrate=4000 vbv-buf-capacity=500 \
         option-string=scenecut=0:open-gop=0",
    ),
    (
        "H.265",
        "video/x-h265,profile=main",
        "videoconvert ! x265enc tune=zerolatency speed-preset=ultrafast key-int-max=30 bitrate=4000 \
         option-string=bframes=0:scenecut=0:open-gop=0:aud=0:info=0:sao=1:vbv-maxrate=4000:vbv-bufsize=2000",
    ),
    ("JPEG", "image/jpeg", "jpegenc quality=50"),
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
    while let Ok(sample) = sink.pull_sample() {
        sizes.push(sample.buffer().expect("a buffer").size());
    }
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
    let mut bench = Bench::new("k230venc");
    bench.prepare(|scratch| {
        footage(scratch, 1280, 720, 60, "720");
        footage(scratch, 1920, 1080, 30, "1080");
        // A JPEG takes milliseconds: of the frames above alone the start of the process would be
        // as long. What x264's threads take differs from run to run by more than is looked for.
        for file in ["720", "1080"] {
            let frames = std::fs::read(scratch.join(file)).expect("the footage");
            std::fs::write(scratch.join(format!("{file}-long")), frames.repeat(5))
                .expect("room for the footage");
        }
    });
    for (file, width, height) in [("720", 1280, 720), ("1080", 1920, 1080)] {
        for (name, caps, bare) in BARE {
            let bare = bare.to_string();
            let long = if name == "H.265" { "" } else { "-long" };
            let line = move |scratch: &Path, venc: &str| {
                format!(
                    "{} ! {venc} ! {caps} ! fakesink",
                    source(scratch, &format!("{file}{long}"), width, height)
                )
            };
            let hosted = "k230venc backend=element jpeg-quality=50".to_string();
            let mpp = move || {
                format!(
                    "k230venc backend=mpp library={} jpeg-quality=50",
                    double().display()
                )
            };
            let peer = bare.clone();
            bench.pair(
                &format!("{name} at {height}p, hosted"),
                Side::here("k230venc", move |s| run(&line(s, &hosted))),
                Side::here("bare element", move |s| run(&line(s, &peer))),
            );
            bench.pair(
                &format!("{name} at {height}p, through the ABI"),
                Side::here("k230venc and double", move |s| run(&line(s, &mpp()))),
                Side::here("bare element", move |s| run(&line(s, &bare))),
            );
        }
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
