// SPDX-License-Identifier: MIT OR Apache-2.0
//! The element `k230venc`: its streams, its limits, its manners in a pipeline, with a hosted
//! encoder and through the MPP's ABI into the software double.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::common::{Pipeline, ffprobe, footage, init, mpp_double};
use gst::prelude::*;
use gst_video::prelude::*;
use gstkendryte::k230venc::pack_meta;
use k230_venc::PackKind;

/// Starts GStreamer, and keeps the other tests of this process waiting: it has four channels.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    init();
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The ways to an encoder, as properties of the element.
fn backends() -> [String; 2] {
    [
        "backend=element".into(),
        format!("backend=mpp library={}", mpp_double().display()),
    ]
}

pub(crate) const RAW: &str = "video/x-raw,format=NV12,width=320,height=240,framerate=30/1";

/// What came out of an appsink.
pub(crate) struct Out {
    pub(crate) caps: gst::Caps,
    pub(crate) buffers: Vec<gst::Buffer>,
}

/// Plays to the end and takes everything out of the appsink `name`.
pub(crate) fn collect(pipeline: &Pipeline, name: &str) -> Result<Out, String> {
    let out = tap(pipeline, name);
    pipeline.run()?;
    let mut out = out.lock().unwrap();
    let caps = out.caps.take().ok_or("no buffer came")?;
    Ok(Out {
        caps,
        buffers: std::mem::take(&mut out.buffers),
    })
}

#[derive(Default)]
pub(crate) struct Tapped {
    pub(crate) caps: Option<gst::Caps>,
    pub(crate) buffers: Vec<gst::Buffer>,
}

/// Collects what comes out of the appsink `name` while the pipeline plays.
pub(crate) fn tap(pipeline: &Pipeline, name: &str) -> Arc<Mutex<Tapped>> {
    let sink: gst_app::AppSink = pipeline.element(name).downcast().expect("an appsink");
    sink.set_property("sync", false);
    let tapped = Arc::new(Mutex::new(Tapped::default()));
    let into = tapped.clone();
    sink.set_callbacks(
        gst_app::AppSinkCallbacks::builder()
            .new_sample(move |sink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                let mut into = into.lock().unwrap();
                into.caps = sample.caps_owned();
                // A copy lets the encoder have its buffer back.
                let buffer = sample
                    .buffer()
                    .expect("a buffer")
                    .copy_deep()
                    .expect("memory");
                into.buffers.push(buffer);
                Ok(gst::FlowSuccess::Ok)
            })
            .build(),
    );
    tapped
}

/// `I` and `P` of each buffer, with `h` before those that carry a header pack, and the meta's
/// promises checked.
pub(crate) fn structure(buffers: &[gst::Buffer]) -> String {
    let mut structure = String::new();
    for buffer in buffers {
        let packs = pack_meta::packs(buffer).expect("the meta that lists the packs");
        let sum: usize = packs.iter().map(|pack| pack.len).sum();
        assert_eq!(sum, buffer.size(), "the packs are the whole buffer");
        let header = packs.iter().any(|pack| pack.kind == PackKind::Header);
        assert_eq!(header, buffer.flags().contains(gst::BufferFlags::HEADER));
        let key = packs.iter().any(|pack| pack.kind == PackKind::I);
        assert_eq!(key, !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT));
        for pack in packs {
            structure.push(match pack.kind {
                PackKind::Header => 'h',
                PackKind::I => 'I',
                PackKind::P => 'P',
            });
        }
    }
    structure
}

/// What GOPs of `gop` frames look like.
pub(crate) fn gops(frames: usize, gop: usize, header: &str) -> String {
    (0..frames)
        .map(|n| {
            if n % gop == 0 {
                format!("{header}I")
            } else {
                "P".into()
            }
        })
        .collect()
}

pub(crate) const CODECS: [(&str, &str, &str); 7] = [
    (
        "video/x-h264,profile=baseline",
        "h264parse ! avdec_h264",
        "h",
    ),
    ("video/x-h264,profile=main", "h264parse ! avdec_h264", "h"),
    ("video/x-h264,profile=high", "h264parse ! avdec_h264", "h"),
    (
        "video/x-h264,profile=high-10",
        "h264parse ! avdec_h264",
        "h",
    ),
    ("video/x-h265,profile=main", "h265parse ! avdec_h265", "h"),
    (
        "video/x-h265,profile=main-10",
        "h265parse ! avdec_h265",
        "h",
    ),
    ("image/jpeg", "jpegparse ! jpegdec", ""),
];

#[test]
fn each_codec_decodes_frame_by_frame_with_the_same_structure_either_way() {
    let _alone = alone();
    for backend in backends() {
        for (caps, decoder, header) in CODECS {
            let pipeline = Pipeline::launch(&format!(
                "videotestsrc num-buffers=25 ! {RAW} ! k230venc gop-length=10 {backend} ! {caps} \
                 ! tee name=t t. ! queue ! appsink name=encoded \
                 t. ! queue ! {decoder} ! appsink name=decoded"
            ));
            let decoded = tap(&pipeline, "decoded");
            let out =
                collect(&pipeline, "encoded").unwrap_or_else(|e| panic!("{backend} {caps}: {e}"));
            assert_eq!(out.buffers.len(), 25, "{backend} {caps}");
            assert_eq!(
                decoded.lock().unwrap().buffers.len(),
                25,
                "{backend} {caps}"
            );
            let gop = if header.is_empty() { 1 } else { 10 };
            assert_eq!(
                structure(&out.buffers),
                gops(25, gop, header),
                "{backend} {caps}"
            );
            let expected = gst::Caps::from_str(caps).expect("caps");
            assert!(out.caps.can_intersect(&expected), "{} is {caps}", out.caps);
            for (n, buffer) in out.buffers.iter().enumerate() {
                let pts = gst::ClockTime::SECOND.mul_div_floor(n as u64, 30);
                assert_eq!(buffer.pts(), pts, "{backend} {caps}");
                assert_eq!(buffer.dts(), pts);
            }
        }
    }
}

/// Mean luma PSNR of what `decoder` makes of the encoder's stream against the footage, scaled to
/// 1280x720, and the number of frames compared.
fn psnr(venc: &str, decoder: &str, frames: u32) -> (f64, usize) {
    let pipeline = Pipeline::launch(&format!(
        "filesrc location={} ! matroskademux ! vp8dec ! identity eos-after={} ! videoconvert \
         ! videoscale ! video/x-raw,format=NV12,width=1280,height=720,pixel-aspect-ratio=1/1 \
         ! tee name=t t. ! queue max-size-bytes=0 max-size-time=0 max-size-buffers=100 \
         ! appsink name=source sync=false \
         t. ! queue ! {venc} ! {decoder} ! videoconvert ! video/x-raw,format=NV12 \
         ! appsink name=decoded sync=false",
        footage().display(),
        frames + 1,
    ));
    type Lumas = HashMap<gst::ClockTime, Vec<u8>>;
    let sources: Arc<Mutex<Lumas>> = Arc::default();
    let results: Arc<Mutex<Lumas>> = Arc::default();
    // Held from the look for a picture's other half to the errors of both, so that no two halves pass
    // each other.
    let errors: Arc<Mutex<Vec<f64>>> = Arc::default();
    for (name, own, other) in [
        ("source", &sources, &results),
        ("decoded", &results, &sources),
    ] {
        let sink: gst_app::AppSink = pipeline.element(name).downcast().expect("an appsink");
        let (own, other, errors) = (own.clone(), other.clone(), errors.clone());
        sink.set_callbacks(
            gst_app::AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    let info = gst_video::VideoInfo::from_caps(sample.caps().expect("caps"))
                        .expect("raw video");
                    let buffer = sample.buffer().expect("a buffer");
                    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &info)
                        .expect("a frame");
                    let stride = frame.plane_stride()[0] as usize;
                    let luma: Vec<u8> = frame
                        .plane_data(0)
                        .expect("luma")
                        .chunks(stride)
                        .take(720)
                        .flat_map(|row| &row[..1280])
                        .copied()
                        .collect();
                    let pts = buffer.pts().expect("a time");
                    let mut errors = errors.lock().unwrap();
                    let pair = other.lock().unwrap().remove(&pts);
                    match pair {
                        Some(other) => {
                            let sum: u64 = luma
                                .iter()
                                .zip(&other)
                                .map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2))
                                .sum();
                            errors.push(sum as f64 / luma.len() as f64);
                        }
                        None => {
                            own.lock().unwrap().insert(pts, luma);
                        }
                    }
                    Ok(gst::FlowSuccess::Ok)
                })
                .build(),
        );
    }
    pipeline.run().unwrap_or_else(|e| panic!("{venc}: {e}"));
    let errors = errors.lock().unwrap();
    let mean: f64 = errors
        .iter()
        .map(|mse| 10.0 * (65025.0 / mse.max(1e-9)).log10())
        .sum();
    (mean / errors.len() as f64, errors.len())
}

#[test]
fn real_footage_survives_4000_kbit_at_720p() {
    let _alone = alone();
    let mut venc: Vec<(String, &str)> = Vec::new();
    for backend in backends() {
        venc.push((
            format!("k230venc {backend} ! video/x-h264,profile=high"),
            CODECS[2].1,
        ));
        venc.push((
            format!("k230venc {backend} ! video/x-h265,profile=main"),
            CODECS[4].1,
        ));
        venc.push((
            format!("k230venc {backend} jpeg-quality=85 ! image/jpeg"),
            CODECS[6].1,
        ));
    }
    venc.push((
        "k230venc backend=element ! video/x-h264,profile=baseline".into(),
        CODECS[0].1,
    ));
    venc.push((
        "k230venc backend=element ! video/x-h264,profile=main".into(),
        CODECS[1].1,
    ));
    for (venc, decoder) in venc {
        let (psnr, frames) = psnr(&venc, decoder, 10);
        assert_eq!(frames, 10, "{venc}");
        assert!(psnr > 35.0, "{venc}: {psnr:.1} dB");
    }
}

#[test]
fn every_input_format_is_encoded_and_padded_strides_are_read() {
    let _alone = alone();
    let formats = ["NV12", "BGRA", "ARGB", "UYVY"];
    for backend in backends() {
        for format in formats {
            let codec = if format == "UYVY" {
                "image/jpeg"
            } else {
                "video/x-h264"
            };
            let pipeline = Pipeline::launch(&format!(
                "videotestsrc num-buffers=3 pattern=solid-color foreground-color=0xff2060c0 \
                 ! video/x-raw,format={format},width=330,height=242,framerate=30/1 \
                 ! k230venc {backend} jpeg-quality=95 ! {codec} ! decodebin ! videoconvert \
                 ! video/x-raw,format=RGB ! appsink name=decoded"
            ));
            let out =
                collect(&pipeline, "decoded").unwrap_or_else(|e| panic!("{backend} {format}: {e}"));
            let info = gst_video::VideoInfo::from_caps(&out.caps).expect("raw video");
            assert_eq!(
                (info.width(), info.height()),
                (330, 242),
                "{backend} {format}"
            );
            let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(&out.buffers[2], &info)
                .expect("a frame");
            let stride = frame.plane_stride()[0] as usize;
            let data = frame.plane_data(0).expect("pixels");
            for (x, y) in [(2, 2), (319, 2), (165, 121), (2, 235), (319, 235)] {
                let pixel = &data[y * stride + 3 * x..][..3];
                for (is, should) in pixel.iter().zip([0x20u8, 0x60, 0xc0]) {
                    assert!(
                        is.abs_diff(should) < 12,
                        "{backend} {format}: {pixel:x?} at {x},{y}"
                    );
                }
            }
        }
    }
}

/// What is fed to an encoder in another shape than it came is the same picture, byte for byte.
#[test]
fn a_jpeg_is_the_one_that_jpegenc_makes() {
    let _alone = alone();
    for backend in backends() {
        // In width whole blocks of 16 pixels: of others jpegenc encodes what happens to lie behind.
        for size in ["width=320,height=240", "width=640,height=362"] {
            let pipeline = Pipeline::launch(&format!(
                "videotestsrc num-buffers=3 ! video/x-raw,format=NV12,{size} ! tee name=t \
                 t. ! queue ! jpegenc quality=70 ! appsink name=theirs \
                 t. ! queue ! k230venc jpeg-quality=70 {backend} ! image/jpeg ! appsink name=ours"
            ));
            let theirs = tap(&pipeline, "theirs");
            let ours =
                collect(&pipeline, "ours").unwrap_or_else(|e| panic!("{backend} {size}: {e}"));
            let bytes = |buffers: &[gst::Buffer]| -> Vec<Vec<u8>> {
                buffers
                    .iter()
                    .map(|buffer| buffer.map_readable().expect("memory").to_vec())
                    .collect()
            };
            assert_eq!(ours.buffers.len(), 3);
            assert!(
                bytes(&ours.buffers) == bytes(&theirs.lock().unwrap().buffers),
                "{backend} {size}"
            );
        }
    }
}

/// The mean luma of the four quarters of the first decoded picture of a scene that is white in
/// its top left quarter.
fn quarters(venc: &str) -> (u32, u32, [bool; 4]) {
    let pipeline = Pipeline::launch(&format!(
        "appsrc name=in format=time caps={RAW} ! {venc} ! h264parse ! avdec_h264 \
         ! videoconvert ! video/x-raw,format=GRAY8 ! appsink name=decoded"
    ));
    let source: gst_app::AppSrc = pipeline.element("in").downcast().expect("an appsrc");
    let mut picture = vec![16u8; 320 * 240];
    for row in picture.chunks_mut(320).take(120) {
        row[..160].fill(235);
    }
    picture.extend([128u8; 320 * 120]);
    for n in 0..2u64 {
        let mut buffer = gst::Buffer::from_slice(picture.clone());
        buffer
            .get_mut()
            .unwrap()
            .set_pts(gst::ClockTime::from_mseconds(n * 40));
        source.push_buffer(buffer).expect("a buffer goes in");
    }
    source.end_of_stream().expect("EOS goes in");
    let out = collect(&pipeline, "decoded").unwrap_or_else(|e| panic!("{venc}: {e}"));
    let info = gst_video::VideoInfo::from_caps(&out.caps).expect("raw video");
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(&out.buffers[0], &info)
        .expect("a frame");
    let (w, h) = (info.width() as usize, info.height() as usize);
    let data = frame.plane_data(0).expect("luma");
    let stride = frame.plane_stride()[0] as usize;
    let bright = |x: usize, y: usize| data[y * stride + x] > 128;
    let (l, r, t, b) = (w / 4, w * 3 / 4, h / 4, h * 3 / 4);
    (
        info.width(),
        info.height(),
        [bright(l, t), bright(r, t), bright(l, b), bright(r, b)],
    )
}

#[test]
fn mirror_and_rotation_turn_the_picture_and_the_caps() {
    let _alone = alone();
    const TOP_LEFT: [bool; 4] = [true, false, false, false];
    const TOP_RIGHT: [bool; 4] = [false, true, false, false];
    const BOTTOM_LEFT: [bool; 4] = [false, false, true, false];
    const BOTTOM_RIGHT: [bool; 4] = [false, false, false, true];
    for backend in backends() {
        for (settings, expected) in [
            ("", (320, 240, TOP_LEFT)),
            ("rotation=90", (240, 320, TOP_RIGHT)),
            ("rotation=180", (320, 240, BOTTOM_RIGHT)),
            ("rotation=270", (240, 320, BOTTOM_LEFT)),
            ("mirror=horizontal", (320, 240, TOP_RIGHT)),
            ("mirror=vertical", (320, 240, BOTTOM_LEFT)),
            // Mirrored first: top right, and a quarter turn takes that to the bottom right.
            ("mirror=horizontal rotation=90", (240, 320, BOTTOM_RIGHT)),
        ] {
            let venc = format!("k230venc {backend} {settings}");
            assert_eq!(quarters(&venc), expected, "{venc}");
        }
    }
}

/// A pipeline that is fed frame by frame, and what comes out of it.
pub(crate) struct Fed {
    pub(crate) pipeline: Pipeline,
    pub(crate) source: gst_app::AppSrc,
    pub(crate) sink: gst_app::AppSink,
    pub(crate) sent: u64,
}

impl Fed {
    pub(crate) fn new(venc: &str) -> Self {
        let pipeline = Pipeline::launch(&format!(
            "appsrc name=in format=time caps={RAW} ! {venc} ! appsink name=out sync=false \
             enable-last-sample=false"
        ));
        let source = pipeline.element("in").downcast().expect("an appsrc");
        let sink = pipeline.element("out").downcast().expect("an appsink");
        pipeline.play();
        Self {
            pipeline,
            source,
            sink,
            sent: 0,
        }
    }

    pub(crate) fn venc(&self) -> gst::Element {
        self.pipeline
            .0
            .iterate_elements()
            .into_iter()
            .flatten()
            .find(|e| e.factory().is_some_and(|f| f.name() == "k230venc"))
            .expect("k230venc")
    }

    pub(crate) fn push(&mut self) {
        // Noise at the frame's number's seed: pictures that differ.
        let mut seed = self.sent.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut picture = vec![0u8; 320 * 240];
        for pixel in &mut picture {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            *pixel = 64 + (seed as u8 & 63);
        }
        picture.extend([128u8; 320 * 120]);
        let mut buffer = gst::Buffer::from_slice(picture);
        let time = gst::ClockTime::SECOND
            .mul_div_floor(self.sent, 30)
            .expect("a time");
        buffer.get_mut().unwrap().set_pts(time);
        self.sent += 1;
        self.source.push_buffer(buffer).expect("a buffer goes in");
    }

    pub(crate) fn pull(&self) -> gst::Buffer {
        match self.sink.try_pull_sample(crate::common::HANG) {
            Some(sample) => sample.buffer_owned().expect("a buffer"),
            None => panic!("{:?}", self.pipeline.error()),
        }
    }

    /// Throws away what is under way. A sink that loses its state while the pipeline is still on its way to
    /// PLAYING may stay behind, whatever is in front of it.
    pub(crate) fn flush(&self) {
        let (reached, ..) = self.pipeline.0.state(gst::ClockTime::from_seconds(60));
        reached.expect("the pipeline plays");
        assert!(self.source.send_event(gst::event::FlushStart::new()));
        assert!(self.source.send_event(gst::event::FlushStop::new(true)));
    }

    /// One frame in, one out.
    pub(crate) fn step(&mut self) -> gst::Buffer {
        self.push();
        self.pull()
    }
}

#[test]
fn key_units_and_settings_change_while_playing() {
    let _alone = alone();
    for backend in backends() {
        let mut fed = Fed::new(&format!("k230venc name=venc gop-length=10 {backend}"));
        let venc = fed.venc();
        let mut out: Vec<gst::Buffer> = (0..15).map(|_| fed.step()).collect();
        assert_eq!(structure(&out), gops(15, 10, "h"), "{backend}");

        // A key unit starts a GOP of its own.
        let event = gst_video::UpstreamForceKeyUnitEvent::builder()
            .all_headers(true)
            .build();
        assert!(venc.static_pad("src").expect("a pad").send_event(event));
        out = (0..15).map(|_| fed.step()).collect();
        assert_eq!(structure(&out), gops(15, 10, "h"), "{backend}, forced");

        // So does a new GOP length, at the latest when it is due.
        venc.set_property("gop-length", 5u32);
        out = (0..20).map(|_| fed.step()).collect();
        let changed = structure(&out);
        assert!(changed.ends_with("hIPPPPhIPPPP"), "{backend}: {changed}");

        // A tenth of the rate makes smaller frames, once the second that the rate is held over is
        // past.
        let size = |out: &[gst::Buffer]| out.iter().map(|b| b.size()).sum::<usize>();
        let large = size(&(0..30).map(|_| fed.step()).collect::<Vec<_>>());
        venc.set_property("bitrate", 400u32);
        for _ in 0..30 {
            fed.step();
        }
        let small = size(&(0..30).map(|_| fed.step()).collect::<Vec<_>>());
        assert!(small * 3 < large, "{backend}: {large} then {small} bytes");

        let stats = venc.property::<gst::Structure>("stats");
        assert_eq!(stats.get::<u64>("frames-out"), Ok(fed.sent), "{backend}");
        assert_eq!(stats.get::<u64>("frames-in"), Ok(fed.sent), "{backend}");
    }
}

#[test]
fn quantizers_change_while_playing() {
    let _alone = alone();
    for backend in backends() {
        let mut fed = Fed::new(&format!(
            "k230venc rate-control=fixqp qp-i=15 qp-p=15 {backend}"
        ));
        let fine: usize = (0..5).map(|_| fed.step().size()).sum();
        fed.venc().set_property("qp-i", 45u32);
        fed.venc().set_property("qp-p", 45u32);
        let coarse: usize = (0..5).map(|_| fed.step().size()).sum();
        assert!(coarse * 4 < fine, "{backend}: {fine} then {coarse} bytes");
    }
}

#[test]
fn the_encoder_waits_while_downstream_holds_all_its_buffers() {
    let _alone = alone();
    for backend in backends() {
        let mut fed = Fed::new(&format!("k230venc output-buffers=3 {backend}"));
        let mut held: Vec<gst::Buffer> = (0..3).map(|_| fed.step()).collect();
        fed.push();
        let venc = fed.venc();
        let stat = |name: &str| venc.property::<gst::Structure>("stats").get::<u64>(name);
        let deadline = Instant::now() + Duration::from_secs(120);
        while stat("stalls") == Ok(0) {
            assert!(Instant::now() < deadline, "{backend}: it does not wait");
            std::thread::yield_now();
        }
        assert_eq!(stat("frames-out"), Ok(3), "{backend}");
        assert_eq!(
            venc.property::<gst::Structure>("stats").get::<u32>("held"),
            Ok(3),
            "{backend}"
        );
        held.remove(0);
        held.push(fed.pull());
        // On the way down the wait ends, whoever holds what.
        fed.push();
        while stat("stalls") == Ok(1) {
            assert!(Instant::now() < deadline, "{backend}: it does not wait");
            std::thread::yield_now();
        }
        fed.pipeline
            .0
            .set_state(gst::State::Null)
            .expect("it stops");
        assert!(
            held.iter()
                .all(|buffer| buffer.map_readable().is_ok_and(|map| map.len() > 4))
        );
    }
}

#[test]
fn a_flush_ends_a_wait_and_the_stream_goes_on_with_an_idr() {
    let _alone = alone();
    for backend in backends() {
        let mut fed = Fed::new(&format!("k230venc output-buffers=2 {backend}"));
        let held: Vec<gst::Buffer> = (0..2).map(|_| fed.step()).collect();
        fed.push();
        fed.flush();
        drop(held);
        let next = fed.step();
        assert_eq!(structure(&[next]), "hI", "{backend}");
    }
}

#[test]
fn new_caps_make_a_new_channel_and_lose_nothing() {
    let _alone = alone();
    for backend in backends() {
        let mut fed = Fed::new(&format!("k230venc {backend}"));
        let first: Vec<gst::Buffer> = (0..3).map(|_| fed.step()).collect();
        assert_eq!(structure(&first), "hIPP");
        let caps =
            gst::Caps::from_str("video/x-raw,format=NV12,width=640,height=360,framerate=30/1")
                .expect("caps");
        fed.source.set_caps(Some(&caps));
        for n in 3..6 {
            let mut buffer = gst::Buffer::from_slice(vec![90u8; 640 * 360 * 3 / 2]);
            let time = gst::ClockTime::SECOND.mul_div_floor(n, 30);
            buffer.get_mut().unwrap().set_pts(time);
            fed.source.push_buffer(buffer).expect("a buffer goes in");
        }
        let sample = fed
            .sink
            .try_pull_sample(crate::common::HANG)
            .expect("a sample");
        let caps = sample
            .caps()
            .expect("caps")
            .structure(0)
            .expect("one structure");
        assert_eq!(caps.get::<i32>("width"), Ok(640), "{backend}");
        let next = [
            sample.buffer_owned().expect("a buffer"),
            fed.pull(),
            fed.pull(),
        ];
        assert_eq!(structure(&next), "hIPP", "{backend}");
    }
}

#[test]
fn a_discontinuity_is_marked_and_starts_a_gop() {
    let _alone = alone();
    for backend in backends() {
        let mut fed = Fed::new(&format!("k230venc {backend}"));
        fed.step();
        fed.step();
        let mut buffer = gst::Buffer::from_slice(vec![90u8; 320 * 240 * 3 / 2]);
        let b = buffer.get_mut().unwrap();
        b.set_pts(gst::ClockTime::from_seconds(2));
        b.set_flags(gst::BufferFlags::DISCONT);
        fed.source.push_buffer(buffer).expect("a buffer goes in");
        let out = fed.pull();
        assert!(out.flags().contains(gst::BufferFlags::DISCONT), "{backend}");
        assert_eq!(structure(&[out]), "hI", "{backend}");
    }
}

#[test]
fn a_hundred_changes_of_state_leave_nothing_behind() {
    let _alone = alone();
    for backend in backends() {
        let pipeline = Pipeline::launch(&format!(
            "videotestsrc num-buffers=2 ! {RAW} ! k230venc {backend} ! fakesink"
        ));
        for round in 0..100 {
            pipeline
                .run()
                .unwrap_or_else(|e| panic!("{backend}, round {round}: {e}"));
            let state = if round % 2 == 0 {
                gst::State::Ready
            } else {
                gst::State::Null
            };
            pipeline.0.set_state(state).expect("down");
        }
    }
}

#[test]
fn limits_are_refused_with_vencs_code_and_what_to_do() {
    let _alone = alone();
    let bitten = |source: &str, settings: &str, target: &str, expected: &[&str]| {
        let pipeline = Pipeline::launch(&format!(
            "appsrc name=in format=time ! k230venc name=venc backend=element {settings} ! {target} \
             ! fakesink"
        ));
        let source_element: gst_app::AppSrc = pipeline.element("in").downcast().expect("appsrc");
        let caps = gst::Caps::from_str(source).expect("caps");
        source_element.set_caps(Some(&caps));
        let info = gst_video::VideoInfo::from_caps(&caps).expect("raw video");
        let mut buffer = gst::Buffer::from_slice(vec![0u8; info.size()]);
        buffer.get_mut().unwrap().set_pts(gst::ClockTime::ZERO);
        let _ = source_element.push_buffer(buffer);
        let _ = source_element.end_of_stream();
        let error = pipeline.run().expect_err(settings);
        for word in expected {
            assert!(error.contains(word), "{source} {settings}: {error}");
        }
    };
    let raw = |size: &str| format!("video/x-raw,format=NV12,{size},framerate=30/1");
    const ILLEGAL: &str = "K_ERR_VENC_ILLEGAL_PARAM (0xa0098003)";
    for (size, words) in [
        (
            "width=126,height=240",
            "width of 126 is not within 128 to 4096",
        ),
        (
            "width=4098,height=64",
            "width of 4098 is not within 128 to 4096",
        ),
        (
            "width=128,height=62",
            "height of 62 is not within 64 to 4096",
        ),
        ("width=321,height=240", "must be even"),
    ] {
        bitten(&raw(size), "", "video/x-h264", &[ILLEGAL, words]);
    }
    bitten(
        &raw("width=8194,height=64"),
        "",
        "image/jpeg",
        &[ILLEGAL, "128 to 8192"],
    );
    for (settings, words) in [
        ("bitrate=0", "bitrate of 0 is not within 1 to 240000"),
        ("bitrate=300000", "bitrate of 300000"),
        (
            "rate-control=vbr bitrate=4000 max-bitrate=3000",
            "max-bitrate of 3000 is not within 4000",
        ),
        (
            "rate-control=fixqp qp-i=52",
            "qp-i 52 is not within 0 to 51",
        ),
        ("gop-length=0", "gop-length 0 is not within 1 to 65535"),
        (
            "output-buffers=0",
            "output-buffers 0 is not within 1 to 256",
        ),
    ] {
        bitten(
            RAW,
            settings,
            "video/x-h264",
            &[ILLEGAL, words, "into its range"],
        );
    }
    bitten(RAW, "jpeg-quality=100", "image/jpeg", &[ILLEGAL, "1 to 99"]);
    bitten(
        RAW,
        "channel=4",
        "video/x-h264",
        &["K_ERR_VENC_INVALID_CHNID", "channels are 0 to 3"],
    );
    bitten(
        &RAW.replace("NV12", "UYVY"),
        "",
        "video/x-h264",
        &["K_ERR_VENC_NOT_SUPPORT", "JPEG only"],
    );
    bitten(
        RAW,
        "engine=nothing-of-the-kind",
        "video/x-h264",
        &["no encoder element", "install"],
    );
}

#[test]
fn a_profile_of_another_codec_is_not_offered() {
    let _alone = alone();
    let element = gst::ElementFactory::make("k230venc")
        .build()
        .expect("k230venc");
    let caps = element
        .static_pad("src")
        .expect("a pad")
        .pad_template_caps();
    for (caps_text, offered) in [
        ("video/x-h264,profile=main", true),
        ("video/x-h264,profile=main-10", false),
        ("video/x-h264,stream-format=avc", false),
        ("video/x-h265,profile=high", false),
    ] {
        let wanted = gst::Caps::from_str(caps_text).expect("caps");
        assert_eq!(caps.can_intersect(&wanted), offered, "{caps_text}");
    }
}

#[test]
fn libraries_that_are_not_the_mpp_are_named() {
    let _alone = alone();
    let run = |library: &str| {
        Pipeline::launch(&format!(
            "videotestsrc num-buffers=1 ! {RAW} ! k230venc backend=mpp library={library} ! fakesink"
        ))
        .run()
        .expect_err("not the MPP")
    };
    let missing = run("/nonexistent/libmpp.so");
    assert!(missing.contains("/nonexistent/libmpp.so") && missing.contains("cannot be loaded"));
    let another = run("libc.so.6");
    assert!(
        another.contains("libc.so.6: has no function kd_mpi_venc_create_chn"),
        "{another}"
    );
    let directory = tempfile::tempdir().expect("a directory");
    let old = run(&device(directory.path(), "lacks").display().to_string());
    assert!(
        old.contains("liblacks.so: has no function kd_mpi_venc_set_h265_sao"),
        "{old}"
    );

    // With backend=auto the next way is taken, and stats say which.
    let pipeline = Pipeline::launch(&format!(
        "videotestsrc num-buffers=1 ! {RAW} ! k230venc name=venc library=libc.so.6 ! fakesink"
    ));
    pipeline.run().expect("an element encodes");
    let stats = pipeline.element("venc").property::<gst::Structure>("stats");
    assert_eq!(stats.get::<&str>("backend"), Ok("element"));
    assert!(!stats.get::<&str>("encoder").expect("a name").is_empty());
    let pipeline = Pipeline::launch(&format!(
        "videotestsrc num-buffers=1 ! {RAW} ! k230venc name=venc library={} ! fakesink",
        mpp_double().display()
    ));
    pipeline.run().expect("the double encodes");
    let stats = pipeline.element("venc").property::<gst::Structure>("stats");
    assert_eq!(stats.get::<&str>("backend"), Ok("mpp"));

    // Without `library` the environment names it.
    let launch = |library: &Path| {
        Command::new("gst-launch-1.0")
            .envs(crate::common::plugin_path(directory.path()))
            .env("K230_MPP_LIBRARY", library)
            .args(
                format!("videotestsrc num-buffers=1 ! {RAW} ! k230venc backend=mpp ! fakesink")
                    .split_whitespace(),
            )
            .output()
            .expect("gst-launch-1.0 starts")
    };
    assert!(launch(&mpp_double()).status.success());
    let missing = launch(Path::new("/nonexistent/libmpp.so"));
    assert!(!missing.status.success());
    crate::common::assert_mentions(
        &String::from_utf8_lossy(&missing.stderr),
        &["/nonexistent/libmpp.so", "cannot be loaded"],
    );
}

/// Builds a device that misbehaves, from C.
fn device(directory: &Path, name: &str) -> PathBuf {
    let library = directory.join(format!("lib{name}.so"));
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(format!("-D{}", name.to_uppercase()))
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/venc_broken.c"))
        .status()
        .expect("cc starts");
    assert!(status.success());
    library
}

#[test]
fn a_device_that_fails_or_hangs_ends_the_stream_with_its_code() {
    let _alone = alone();
    let directory = tempfile::tempdir().expect("a directory");
    for (name, words) in [
        (
            "refuses",
            &["K_ERR_VENC_NOBUF", "kd_mpi_venc_create_chn"][..],
        ),
        ("fails", &["K_ERR_VENC_BADADDR", "kd_mpi_venc_get_stream"]),
        (
            "silent",
            &[
                "K_ERR_VENC_BUF_EMPTY",
                "kd_mpi_venc_get_stream",
                "5 s",
                "hangs",
            ],
        ),
        (
            "oldformats",
            &[
                "K_ERR_VENC_NOT_SUPPORT",
                "Nv12",
                "31",
                "v0.8",
                "v1.0 or newer",
            ],
        ),
        (
            "manypacks",
            &["K_ERR_VENC_BADADDR", "1000000 packs where 12 have room"],
        ),
        (
            "hangs",
            &[
                "K_ERR_VENC_BUF_EMPTY",
                "kd_mpi_venc_get_stream",
                "5 s",
                "hangs",
            ],
        ),
    ] {
        let library = device(directory.path(), name);
        let error = Pipeline::launch(&format!(
            "videotestsrc num-buffers=3 ! {RAW} ! k230venc backend=mpp library={} ! fakesink",
            library.display()
        ))
        .run()
        .expect_err(name);
        for word in words {
            assert!(error.contains(word), "{name}: {error}");
        }
    }
}

#[test]
fn four_channels_at_once_and_the_fifth_knows_who_holds_them() {
    let _alone = alone();
    for backend in backends() {
        let branch = |n: u32, channel: i32| {
            format!(
                "videotestsrc num-buffers=20 ! {RAW} ! k230venc name=venc{n} channel={channel} \
                 {backend} ! video/x-h264 ! appsink name=out{n} sync=false "
            )
        };
        let pipeline =
            Pipeline::launch(&[branch(0, -1), branch(1, -1), branch(2, -1), branch(3, 3)].concat());
        let outs: Vec<_> = (0..4).map(|n| tap(&pipeline, &format!("out{n}"))).collect();
        pipeline.run().unwrap_or_else(|e| panic!("{backend}: {e}"));
        let mut channels = Vec::new();
        for (n, out) in outs.iter().enumerate() {
            assert_eq!(
                structure(&out.lock().unwrap().buffers),
                gops(20, 30, "h"),
                "{backend}"
            );
            let venc = pipeline.element(&format!("venc{n}"));
            let stats = venc.property::<gst::Structure>("stats");
            channels.push(stats.get::<i32>("channel").expect("a number"));
        }
        // Which of the first three has which depends on the order they are started in.
        assert_eq!(channels.pop(), Some(3), "{backend}");
        channels.sort_unstable();
        assert_eq!(channels, [0, 1, 2], "{backend}");
        let fifth = Pipeline::launch(&format!(
            "videotestsrc ! {RAW} ! k230venc name=fifth {backend} ! fakesink"
        ));
        let error = fifth.run().expect_err("there is no fifth");
        for word in ["K_ERR_VENC_BUSY", "venc0", "venc1", "venc2", "venc3"] {
            assert!(error.contains(word), "{error}");
        }
        drop(fifth);
        drop(pipeline);
        Pipeline::launch(&format!(
            "videotestsrc num-buffers=1 ! {RAW} ! k230venc {backend} ! fakesink"
        ))
        .run()
        .expect("the channels are free again");
    }
}

#[test]
fn canmvs_example_as_a_pipeline() {
    let _alone = alone();
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("venc_00.265");
    for backend in backends() {
        Pipeline::launch(&format!(
            "videotestsrc pattern=ball num-buffers=100 ! video/x-raw,format=NV12,width=1280,height=720,framerate=30/1 \
             ! k230venc {backend} ! video/x-h265,profile=main ! filesink location={}",
            file.display()
        ))
        .run()
        .unwrap_or_else(|e| panic!("{backend}: {e}"));
        let facts = ffprobe(
            &file,
            &["-count_frames"],
            "stream=codec_name,profile,width,height,nb_read_frames",
        );
        assert_eq!(facts, ["hevc", "Main", "1280", "720", "100"], "{backend}");
    }
}

#[test]
fn channel_3_is_left_alone_unless_asked_for() {
    let _alone = alone();
    for backend in backends() {
        let venc =
            |n: u32| format!("videotestsrc ! {RAW} ! k230venc name=venc{n} {backend} ! fakesink ");
        let three = Pipeline::launch(&[venc(0), venc(1), venc(2)].concat());
        three.play();
        let (state, _, _) = three.0.state(crate::common::HANG);
        assert!(state.is_ok(), "{backend}");
        let error = Pipeline::launch(&venc(3))
            .run()
            .expect_err("0 to 2 are held");
        for word in ["K_ERR_VENC_BUSY", "venc0", "venc1", "venc2", "channel=3"] {
            assert!(error.contains(word), "{backend}: {error}");
        }
        Pipeline::launch(&format!(
            "videotestsrc num-buffers=1 ! {RAW} ! k230venc channel=3 {backend} ! fakesink"
        ))
        .run()
        .unwrap_or_else(|e| panic!("{backend}: {e}"));
    }
}

/// The syntax elements called `name` in a stream's headers, in order, as ffmpeg reads them.
fn syntax(trace: &str, name: &str) -> Vec<i64> {
    trace
        .lines()
        .filter_map(|line| {
            let mut words = line.split_once("] ")?.1.split_whitespace();
            (words.nth(1)? == name)
                .then(|| words.last()?.parse().ok())
                .flatten()
        })
        .collect()
}

/// The quantizer of each slice.
fn quantizers(trace: &str) -> Vec<i64> {
    let initial = ["pic_init_qp_minus26", "init_qp_minus26"]
        .iter()
        .find_map(|name| syntax(trace, name).first().copied())
        .expect("picture parameters");
    syntax(trace, "slice_qp_delta")
        .iter()
        .map(|delta| 26 + initial + delta)
        .collect()
}

/// Whether there is openh264enc, which not every distribution has.
fn has_openh264enc() -> bool {
    let found = gst::ElementFactory::find("openh264enc").is_some();
    if !found {
        eprintln!("skipped: openh264enc is not installed (Debian: gstreamer1.0-plugins-bad)");
    }
    found
}

#[test]
fn settings_reach_the_stream_or_a_warning_says_that_they_do_not() {
    let _alone = alone();
    type Case = (
        &'static str,
        &'static str,
        &'static [(&'static str, &'static [i64])],
        &'static [i64],
        &'static [&'static str],
    );
    // Settings, caps, values that syntax elements may have, quantizers as they change, and words
    // of the warnings.
    const BOTH_WAYS: &[Case] = &[
        (
            "",
            "video/x-h264,profile=high",
            &[
                ("profile_idc", &[100]),
                ("entropy_coding_mode_flag", &[1]),
                ("transform_8x8_mode_flag", &[1]),
                ("disable_deblocking_filter_idc", &[0, 2]),
            ],
            &[],
            &[],
        ),
        (
            "entropy-mode=cavlc deblock=false",
            "video/x-h264,profile=main",
            &[
                ("profile_idc", &[77]),
                ("entropy_coding_mode_flag", &[0]),
                ("disable_deblocking_filter_idc", &[1]),
            ],
            &[],
            &[],
        ),
        (
            "rate-control=fixqp qp-i=24 qp-p=30",
            "video/x-h264,profile=baseline",
            &[("profile_idc", &[66]), ("entropy_coding_mode_flag", &[0])],
            &[24, 30, 24, 30],
            &[],
        ),
        (
            "",
            "video/x-h265,profile=main",
            &[
                ("general_profile_idc", &[1]),
                ("sample_adaptive_offset_enabled_flag", &[1]),
                ("deblocking_filter_control_present_flag", &[0]),
            ],
            &[],
            &[],
        ),
        (
            "sao=false deblock=false rate-control=fixqp qp-i=24 qp-p=30",
            "video/x-h265,profile=main-10",
            &[
                ("general_profile_idc", &[2]),
                ("sample_adaptive_offset_enabled_flag", &[0]),
                ("pps_deblocking_filter_disabled_flag", &[1]),
            ],
            &[24, 30, 24, 30],
            &[],
        ),
    ];
    const OPENH264: &[Case] = &[
        (
            "",
            "video/x-h264,profile=high",
            &[
                ("profile_idc", &[100]),
                ("entropy_coding_mode_flag", &[0]),
                ("disable_deblocking_filter_idc", &[0, 2]),
            ],
            &[],
            &["openh264enc codes with CAVLC"],
        ),
        (
            "entropy-mode=cavlc deblock=false rate-control=fixqp qp-i=30 qp-p=30",
            "video/x-h264,profile=main",
            &[
                ("profile_idc", &[77]),
                ("disable_deblocking_filter_idc", &[1]),
            ],
            &[30],
            &[],
        ),
        (
            "rate-control=fixqp qp-i=5 qp-p=9",
            "video/x-h264,profile=baseline",
            &[("profile_idc", &[66])],
            &[12],
            &["12 is used for qp-i=5 and qp-p=9"],
        ),
    ];
    let mut ways: Vec<(String, &[Case])> = backends().map(|backend| (backend, BOTH_WAYS)).into();
    if has_openh264enc() {
        ways.push(("backend=element engine=openh264enc".into(), OPENH264));
    }
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("stream");
    for (way, cases) in ways {
        for (settings, caps, elements, qp, words) in cases {
            let venc = format!("k230venc {way} {settings} gop-length=4");
            let pipeline = Pipeline::launch(&format!(
                "videotestsrc num-buffers=8 ! {RAW} ! {venc} ! {caps} ! filesink location={}",
                file.display()
            ));
            let heard = pipeline.warnings();
            pipeline.run().unwrap_or_else(|e| panic!("{venc}: {e}"));
            let heard = heard.lock().unwrap();
            assert_eq!(heard.len(), words.len(), "{venc}: {heard:?}");
            for (heard, word) in heard.iter().zip(*words) {
                assert!(heard.contains(word), "{venc}: {heard}");
            }
            let output = Command::new("ffmpeg")
                .args(["-hide_banner", "-v", "info", "-i"])
                .arg(&file)
                .args(["-c", "copy", "-bsf:v", "trace_headers", "-f", "null", "-"])
                .output()
                .expect("ffmpeg starts");
            let trace = String::from_utf8_lossy(&output.stderr);
            for (name, values) in *elements {
                let found = syntax(&trace, name);
                assert!(
                    !found.is_empty() && found.iter().all(|is| values.contains(is)),
                    "{venc} ! {caps}: {name} is {found:?}"
                );
            }
            if !qp.is_empty() {
                // A picture may be in several slices.
                let mut found = quantizers(&trace);
                found.dedup();
                assert_eq!(found, *qp, "{venc}");
            }
        }
    }
}

/// Takes features out of the registry while it lives.
struct Without(Vec<gst::PluginFeature>);

impl Without {
    fn new(names: &[&str]) -> Self {
        let registry = gst::Registry::get();
        let features: Vec<_> = names
            .iter()
            .filter_map(|name| registry.lookup_feature(name))
            .collect();
        for feature in &features {
            registry.remove_feature(feature);
        }
        Self(features)
    }
}

impl Drop for Without {
    fn drop(&mut self) {
        for feature in &self.0 {
            gst::Registry::get()
                .add_feature(feature)
                .expect("it was there before");
        }
    }
}

#[test]
fn with_openh264enc_alone_a_recording_is_what_was_asked_for() {
    let _alone = alone();
    if !has_openh264enc() {
        return;
    }
    let without = Without::new(&["v4l2h264enc", "x264enc"]);
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("a.mp4");
    let pipeline = Pipeline::launch(&format!(
        "filesrc location={} ! matroskademux ! vp8dec ! videoconvert ! video/x-raw,format=NV12 \
         ! k230venc name=venc backend=element bitrate=1000 gop-length=20 \
         ! video/x-h264,profile=main ! h264parse ! mp4mux ! filesink location={}",
        footage().display(),
        file.display()
    ));
    pipeline.run().expect("openh264enc encodes");
    let stats = pipeline.element("venc").property::<gst::Structure>("stats");
    assert_eq!(stats.get::<&str>("encoder"), Ok("openh264enc"));
    let kbit = stats.get::<u64>("bytes-out").expect("a size") as f64 * 8.0 / 1000.0;
    assert!(
        (kbit / 5.28 - 1000.0).abs() < 100.0,
        "{kbit} kbit in 5.28 s"
    );
    let facts = ffprobe(
        &file,
        &["-count_frames"],
        "stream=codec_name,profile,nb_read_frames",
    );
    assert_eq!(facts, ["h264", "Main", "132"]);

    // What it cannot do is said once, whatever becomes of the caps.
    let mut fed = Fed::new("k230venc backend=element");
    fed.step();
    let caps = gst::Caps::from_str(&RAW.replace("framerate=30", "framerate=25")).expect("caps");
    fed.source.set_caps(Some(&caps));
    fed.step();
    let heard: Vec<String> = fed
        .pipeline
        .0
        .bus()
        .expect("a bus")
        .iter_filtered(&[gst::MessageType::Warning])
        .map(|message| format!("{:?}", message.view()))
        .collect();
    assert!(heard.len() == 1 && heard[0].contains("CAVLC"), "{heard:?}");
    drop(fed);

    // What makes it useless is an error that says why.
    let error = Pipeline::launch(&format!(
        "videotestsrc num-buffers=1 ! {RAW} ! k230venc backend=element \
         ! video/x-h264,profile=high-10 ! fakesink"
    ))
    .run()
    .expect_err("eight bits a sample");
    crate::common::assert_mentions(
        &error,
        &[
            "openh264enc does not encode H.264, profile high-10",
            "K_ERR_VENC_NOT_SUPPORT",
        ],
    );

    // Without that one too, the error names all that would do.
    let none = Without::new(&["openh264enc"]);
    let error = Pipeline::launch(&format!(
        "videotestsrc num-buffers=1 ! {RAW} ! k230venc backend=element ! video/x-h264 ! fakesink"
    ))
    .run()
    .expect_err("nothing is left");
    crate::common::assert_mentions(
        &error,
        &[
            "no encoder element for H.264",
            "v4l2h264enc, x264enc, openh264enc",
        ],
    );
    drop((none, without));
}

/// OpenH264 writes to the console by itself when it is asked for what it cannot give.
#[test]
fn openh264_has_nothing_to_say_on_the_console() {
    let _alone = alone();
    if !has_openh264enc() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let output = Command::new("gst-launch-1.0")
        .envs(crate::common::plugin_path(directory.path()))
        .args(
            format!(
                "-q videotestsrc num-buffers=20 ! {RAW} ! k230venc backend=element \
                 engine=openh264enc entropy-mode=cavlc ! video/x-h264 ! fakesink"
            )
            .split_whitespace(),
        )
        .output()
        .expect("gst-launch-1.0 starts");
    assert!(output.status.success());
    let said = [output.stdout, output.stderr].concat();
    assert_eq!(String::from_utf8_lossy(&said), "");
}

/// What stands for the codec of a Linux SDK: an encoder that has `v4l2h264enc`'s name and controls,
/// keeps a frame inside, and remembers what it was given.
mod v4l2 {
    use super::*;
    use gst::glib;
    use gst_video::subclass::prelude::*;

    /// For each frame where its planes were and how far apart their rows.
    pub(crate) static SEEN: Mutex<Vec<[(usize, i32); 2]>> = Mutex::new(Vec::new());
    pub(crate) static CONTROLS: Mutex<Option<gst::Structure>> = Mutex::new(None);

    #[derive(Default)]
    pub struct Encoder(Mutex<Option<gst_video::VideoInfo>>);

    #[glib::object_subclass]
    impl ObjectSubclass for Encoder {
        const NAME: &'static str = "TestV4l2H264Enc";
        type Type = super::V4l2H264Enc;
        type ParentType = gst_video::VideoEncoder;
    }

    impl ObjectImpl for Encoder {
        fn properties() -> &'static [glib::ParamSpec] {
            static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
                vec![glib::ParamSpecBoxed::builder::<gst::Structure>("extra-controls").build()]
            });
            &PROPERTIES
        }

        fn set_property(&self, _: usize, value: &glib::Value, _: &glib::ParamSpec) {
            *CONTROLS.lock().unwrap() = value.get().expect("a structure");
        }

        fn property(&self, _: usize, _: &glib::ParamSpec) -> glib::Value {
            CONTROLS.lock().unwrap().to_value()
        }
    }

    impl GstObjectImpl for Encoder {}

    impl ElementImpl for Encoder {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new("Test", "Codec/Encoder/Video", "Test", "Test")
            });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                let template = |name, direction, caps| {
                    let caps = gst::Caps::from_str(caps).expect("caps");
                    gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps)
                        .expect("a template")
                };
                vec![
                    template(
                        "sink",
                        gst::PadDirection::Sink,
                        "video/x-raw,format=NV12,width=[1,4096],height=[1,4096]",
                    ),
                    template(
                        "src",
                        gst::PadDirection::Src,
                        "video/x-h264,stream-format=byte-stream,alignment=au",
                    ),
                ]
            });
            &TEMPLATES
        }
    }

    impl Encoder {
        fn give(&self) -> Result<gst::FlowSuccess, gst::FlowError> {
            let obj = self.obj();
            let mut frame = obj.oldest_frame().ok_or(gst::FlowError::Error)?;
            let key = frame.system_frame_number() == 0
                || frame
                    .flags()
                    .contains(gst_video::VideoCodecFrameFlags::FORCE_KEYFRAME);
            let bytes: &[u8] = if key {
                frame.set_flags(gst_video::VideoCodecFrameFlags::SYNC_POINT);
                &[
                    0, 0, 0, 1, 0x67, 100, 0, 31, 0, 0, 0, 1, 0x68, 1, 0, 0, 1, 0x65, 9,
                ]
            } else {
                &[0, 0, 0, 1, 0x41, 9]
            };
            frame.set_output_buffer(gst::Buffer::from_slice(bytes));
            obj.finish_frame(frame)
        }
    }

    impl VideoEncoderImpl for Encoder {
        fn set_format(
            &self,
            input: &gst_video::VideoCodecState<'static, gst_video::video_codec_state::Readable>,
        ) -> Result<(), gst::LoggableError> {
            *self.0.lock().unwrap() = Some(input.info().clone());
            let caps = gst::Caps::from_str(
                "video/x-h264,stream-format=byte-stream,alignment=au,profile=high",
            )
            .expect("caps");
            let obj = self.obj();
            let output = obj.set_output_state(caps, Some(input)).expect("caps");
            obj.negotiate(output).expect("caps");
            Ok(())
        }

        fn handle_frame(
            &self,
            frame: gst_video::VideoCodecFrame<'_>,
        ) -> Result<gst::FlowSuccess, gst::FlowError> {
            let info = self.0.lock().unwrap().clone().expect("a format");
            let input = frame.input_buffer_owned().expect("a picture");
            let mapped = gst_video::VideoFrame::from_buffer_readable(input, &info)
                .expect("a mapped picture");
            let plane = |n: u32| {
                let bytes = mapped.plane_data(n).expect("a plane");
                (bytes.as_ptr().addr(), mapped.plane_stride()[n as usize])
            };
            let planes = [plane(0), plane(1)];
            let mut seen = SEEN.lock().unwrap();
            seen.push(planes);
            let keeps = seen.len() == 1;
            drop((seen, frame));
            if keeps {
                return Ok(gst::FlowSuccess::Ok);
            }
            self.give()
        }

        fn finish(&self) -> Result<gst::FlowSuccess, gst::FlowError> {
            self.give()
        }
    }
}

gst::glib::wrapper! {
    pub struct V4l2H264Enc(ObjectSubclass<v4l2::Encoder>)
        @extends gst_video::VideoEncoder, gst::Element, gst::Object;
}

/// Says that a buffer is a picture of 320x240 NV12 with rows so far apart, and where its chroma begins.
pub(super) fn lay_out(buffer: &mut gst::BufferRef, stride: usize, chroma: usize) {
    gst_video::VideoMeta::add_full(
        buffer,
        gst_video::VideoFrameFlags::empty(),
        gst_video::VideoFormat::Nv12,
        320,
        240,
        &[0, chroma],
        &[stride as i32; 2],
    )
    .expect("a layout");
}

#[test]
fn a_v4l2_encoder_is_taken_first_and_reads_the_buffers_that_came() {
    let _alone = alone();
    gst::Element::register(
        None,
        "v4l2h264enc",
        gst::Rank::NONE,
        V4l2H264Enc::static_type(),
    )
    .expect("it registers");
    let pipeline = Pipeline::launch(&format!(
        "appsrc name=in format=time caps={RAW} ! k230venc name=venc backend=element bitrate=3000 \
         gop-length=4 ! video/x-h264,profile=high ! appsink name=out"
    ));
    let out = tap(&pipeline, "out");
    let source: gst_app::AppSrc = pipeline.element("in").downcast().expect("an appsrc");
    let mut given = Vec::new();
    for n in 0..6u64 {
        // Rows 384 bytes apart, and the planes as well.
        const STRIDE: usize = 384;
        const CHROMA: usize = STRIDE * 256;
        let mut buffer = gst::Buffer::from_slice(vec![90u8; CHROMA + STRIDE * 120]);
        let at = buffer.map_readable().expect("memory").as_ptr().addr();
        given.push([(at, STRIDE as i32), (at + CHROMA, STRIDE as i32)]);
        let b = buffer.get_mut().unwrap();
        b.set_pts(gst::ClockTime::SECOND.mul_div_floor(n, 30));
        lay_out(b, STRIDE, CHROMA);
        source.push_buffer(buffer).expect("a buffer goes in");
    }
    source.end_of_stream().expect("EOS goes in");
    pipeline.run().expect("it encodes");

    let venc = pipeline.element("venc");
    let stats = venc.property::<gst::Structure>("stats");
    assert_eq!(stats.get::<&str>("encoder"), Ok("v4l2h264enc"));
    assert_eq!(
        structure(&out.lock().unwrap().buffers),
        gops(6, 4, "h"),
        "the frame inside comes out at the end"
    );
    assert_eq!(*v4l2::SEEN.lock().unwrap(), given, "no copy");
    let controls = v4l2::CONTROLS.lock().unwrap().clone().expect("controls");
    for (name, value) in [
        ("video_bitrate_mode", 1),
        ("video_bitrate", 3_000_000),
        ("video_gop_size", 4),
        ("h264_entropy_mode", 1),
        ("h264_loop_filter_mode", 0),
    ] {
        assert_eq!(controls.get::<i32>(name), Ok(value), "{name}");
    }
    let mut query = gst::query::Latency::new();
    assert!(venc.static_pad("src").expect("a pad").query(&mut query));
    let two_frames = gst::ClockTime::SECOND.mul_div_ceil(1, 30).expect("a time") * 2;
    assert_eq!(query.result().1, two_frames);
    let registry = gst::Registry::get();
    let feature = registry.lookup_feature("v4l2h264enc");
    registry.remove_feature(&feature.expect("it was registered"));
}

#[test]
fn a_gap_stays_where_it_was() {
    let _alone = alone();
    for backend in backends() {
        let mut fed = Fed::new(&format!("k230venc name=venc {backend}"));
        let passed: Arc<Mutex<String>> = Arc::default();
        let note = passed.clone();
        let pad = fed.venc().static_pad("src").expect("a pad");
        pad.add_probe(
            gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM,
            move |_, info| {
                match &info.data {
                    Some(gst::PadProbeData::Buffer(_)) => note.lock().unwrap().push('b'),
                    Some(gst::PadProbeData::Event(event))
                        if event.type_() == gst::EventType::Gap =>
                    {
                        note.lock().unwrap().push('g');
                    }
                    _ => {}
                }
                gst::PadProbeReturn::Ok
            },
        );
        fed.push();
        let gap = gst::event::Gap::builder(gst::ClockTime::from_mseconds(33))
            .duration(gst::ClockTime::from_mseconds(33))
            .build();
        assert!(fed.source.send_event(gap));
        fed.push();
        fed.pull();
        fed.pull();
        assert_eq!(*passed.lock().unwrap(), "bgb", "{backend}");
    }
}

/// Another encoder gives streams of the same structure.
#[test]
fn openh264_is_an_engine_too() {
    let _alone = alone();
    if !has_openh264enc() {
        return;
    }
    for profile in ["baseline", "main", "high"] {
        let pipeline = Pipeline::launch(&format!(
            "videotestsrc num-buffers=45 ! {RAW} ! k230venc backend=element engine=openh264enc \
             gop-length=20 ! video/x-h264,profile={profile} ! tee name=t \
             t. ! queue ! appsink name=encoded \
             t. ! queue ! h264parse ! avdec_h264 ! appsink name=decoded"
        ));
        let decoded = tap(&pipeline, "decoded");
        let out = collect(&pipeline, "encoded").unwrap_or_else(|e| panic!("{profile}: {e}"));
        assert_eq!(structure(&out.buffers), gops(45, 20, "h"), "{profile}");
        assert_eq!(decoded.lock().unwrap().buffers.len(), 45, "{profile}");
    }
}

#[test]
fn muxers_payloaders_and_segmenters_take_the_streams() {
    let _alone = alone();
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    for backend in backends() {
        let run = |rest: &str| {
            Pipeline::launch(&format!(
                "videotestsrc num-buffers=70 ! {RAW} ! k230venc {backend} ! {rest}"
            ))
            .run()
            .unwrap_or_else(|e| panic!("{backend} {rest}: {e}"));
        };
        let frames = |name: &str| {
            ffprobe(
                Path::new(&path(name)),
                &["-count_frames"],
                "stream=nb_read_frames",
            )
        };
        run(&format!(
            "video/x-h264 ! h264parse ! mp4mux ! filesink location={}",
            path("a.mp4")
        ));
        assert_eq!(frames("a.mp4"), ["70"], "{backend}");
        run(&format!(
            "video/x-h265 ! h265parse ! matroskamux ! filesink location={}",
            path("a.mkv")
        ));
        assert_eq!(frames("a.mkv"), ["70"], "{backend}");
        for muxer in ["avimux", "avimjpegmux", "avimjpegmux profile=k210"] {
            run(&format!(
                "image/jpeg ! {muxer} ! filesink location={}",
                path("a.avi")
            ));
            assert_eq!(frames("a.avi"), ["70"], "{backend} {muxer}");
        }
        run("video/x-h264 ! rtph264pay ! rtph264depay ! h264parse ! avdec_h264 ! fakesink");
        // Three segments, cut at key frames that splitmuxsink asks for or waits for, which holds
        // a GOP more than output-buffers.
        run(&format!(
            "video/x-h264 ! h264parse ! hlssink2 target-duration=1 location={} playlist-location={}",
            path("s%05d.ts"),
            path("list.m3u8")
        ));
        let list = std::fs::read_to_string(path("list.m3u8")).expect("a playlist");
        assert_eq!(list.matches(".ts").count(), 3, "{backend}: {list}");
    }
}

#[test]
fn latency_and_allocation_are_answered() {
    let _alone = alone();
    let fed = {
        let mut fed = Fed::new("k230venc backend=element");
        fed.step();
        fed
    };
    let venc = fed.venc();
    let mut query = gst::query::Latency::new();
    assert!(venc.static_pad("src").expect("a pad").query(&mut query));
    // x264enc as it is set up here gives each frame's stream before it takes the next frame.
    assert_eq!(query.result().1, gst::ClockTime::ZERO);
    let caps = gst::Caps::from_str(RAW).expect("caps");
    let mut query = gst::query::Allocation::new(Some(&caps), true);
    assert!(venc.static_pad("sink").expect("a pad").query(&mut query));
    assert!(
        query
            .find_allocation_meta::<gst_video::VideoMeta>()
            .is_some()
    );
}

#[test]
fn a_settings_conflict_is_said_once_in_a_warning() {
    let _alone = alone();
    let pipeline = Pipeline::launch(&format!(
        "videotestsrc num-buffers=2 ! {RAW} ! k230venc backend=element entropy-mode=cavlc \
         ! video/x-h265 ! fakesink"
    ));
    let heard = pipeline.warnings();
    pipeline.run().expect("it encodes all the same");
    let heard = heard.lock().unwrap();
    assert!(heard.len() == 1 && heard[0].contains("CAVLC"), "{heard:?}");
}

/// A channel's whole life through the ABI, short enough for `make valgrind`: two starts with other
/// settings, H.264 and JPEG. With x265 a first frame can take more than the five seconds that a
/// device has; tests/venc_abi.c, which has more patience, is where it runs.
#[test]
#[ignore = "what the other tests do, for valgrind"]
fn a_life_through_the_abi_under_valgrind() {
    let _alone = alone();
    for caps in ["video/x-h264", "image/jpeg"] {
        let pipeline = Pipeline::launch(&format!(
            "videotestsrc num-buffers=6 ! video/x-raw,format=NV12,width=128,height=64,framerate=30/1 \
             ! k230venc name=venc gop-length=3 backend=mpp library={} ! {caps} ! fakesink",
            mpp_double().display()
        ));
        for _ in 0..2 {
            pipeline.run().unwrap_or_else(|e| panic!("{caps}: {e}"));
            pipeline
                .0
                .set_state(gst::State::Ready)
                .expect("the pipeline stops");
            pipeline.element("venc").set_property("bitrate", 1000u32);
        }
    }
}

/// What is left of a faster stream is even, has its times, and is counted.
#[test]
fn a_lower_frame_rate_is_kept_by_leaving_frames_out_evenly() {
    let _alone = alone();
    for backend in backends() {
        let pipeline = Pipeline::launch(&format!(
            "videotestsrc num-buffers=30 ! {RAW} ! k230venc name=venc frame-rate=20/1 gop-length=7 \
             {backend} ! video/x-h264,framerate=20/1 ! appsink name=out"
        ));
        let out = collect(&pipeline, "out").unwrap_or_else(|e| panic!("{backend}: {e}"));
        let times: Vec<_> = out.buffers.iter().map(|buffer| buffer.pts()).collect();
        let expected: Vec<_> = (0..30u64)
            .filter(|n| n % 3 != 1)
            .map(|n| gst::ClockTime::SECOND.mul_div_floor(n, 30))
            .collect();
        assert_eq!(times, expected, "{backend}");
        assert_eq!(structure(&out.buffers), gops(20, 7, "h"), "{backend}");
        let stats: gst::Structure = pipeline.element("venc").property("stats");
        for (name, count) in [
            ("frames-in", 30),
            ("frames-out", 20),
            ("dropped", 10),
            ("lost", 0),
        ] {
            assert_eq!(stats.get::<u64>(name), Ok(count), "{backend} {name}");
        }
    }
    // A rate that the stream does not reach changes nothing.
    let pipeline = Pipeline::launch(&format!(
        "videotestsrc num-buffers=9 ! {RAW} ! k230venc frame-rate=60/1 backend=element \
         ! video/x-h264,framerate=30/1 ! appsink name=out"
    ));
    assert_eq!(
        collect(&pipeline, "out").expect("it encodes").buffers.len(),
        9
    );
}

/// A key unit that is asked for at a frame that is left out is the next one.
#[test]
fn a_key_unit_asked_for_at_a_frame_that_is_left_out_is_the_next() {
    let _alone = alone();
    for backend in backends() {
        let mut fed = Fed::new(&format!("k230venc name=venc frame-rate=15/1 {backend}"));
        let mut out = vec![fed.step()];
        let event = gst_video::UpstreamForceKeyUnitEvent::builder()
            .all_headers(true)
            .build();
        let pad = fed.venc().static_pad("src").expect("a pad");
        assert!(pad.send_event(event));
        // The second one is left out.
        fed.push();
        out.push(fed.step());
        fed.push();
        out.push(fed.step());
        assert_eq!(structure(&out), "hIhIP", "{backend}");
    }
}

/// Regions of interest are said to have no effect where that is so, once.
#[test]
fn regions_of_interest_that_have_no_effect_are_one_warning() {
    let _alone = alone();
    for backend in backends() {
        let pipeline = Pipeline::launch(&format!(
            "videotestsrc num-buffers=4 ! {RAW} ! identity name=mark ! k230venc \
             default-roi-delta-qp=-6 {backend} ! video/x-h264 ! fakesink"
        ));
        mark_regions(&pipeline, 1);
        let heard = pipeline.warnings();
        pipeline.run().unwrap_or_else(|e| panic!("{backend}: {e}"));
        let heard = heard.lock().unwrap();
        assert!(
            heard.len() == 1 && heard[0].contains("takes no regions of interest"),
            "{backend}: {heard:?}"
        );
    }
}

/// Gives each picture that leaves the element `mark` so many regions, of which the first has its
/// own delta.
pub(crate) fn mark_regions(pipeline: &Pipeline, count: u32) {
    let pad = pipeline.element("mark").static_pad("src").expect("a pad");
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(buffer) = info.buffer_mut() {
            for n in 0..count {
                let rect = (32 + 16 * n, 48, 16, 32);
                let buffer = buffer.make_mut();
                let mut meta = gst_video::VideoRegionOfInterestMeta::add(buffer, "face", rect);
                if n == 0 {
                    let params = gst::Structure::builder("roi/k230venc");
                    meta.add_param(params.field("delta-qp", -9i32).build());
                }
            }
        }
        gst::PadProbeReturn::Ok
    });
}

/// A library of `k230_sdk` and one of CanMV's since 2026 are told apart by their functions.
#[test]
fn the_mpps_two_kinds_of_library_give_the_same_streams() {
    let _alone = alone();
    crate::k230venc_v4l2::on_one_core();
    let directory = tempfile::tempdir().expect("a directory");
    let older = directory.path().join("libolder.so");
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&older)
        .arg(format!("-DDOUBLE=\"{}\"", mpp_double().display()))
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mpp_older_abi.c"))
        .arg("-ldl")
        .status()
        .expect("cc starts");
    assert!(status.success());
    let kind = |library: &Path| {
        let library = k230_venc::library::open(Some(library)).expect("it loads");
        library.attaches_pools()
    };
    assert!(kind(&mpp_double()) && !kind(&older));
    for (caps, settings) in [
        ("video/x-h264,profile=high", ""),
        ("video/x-h265", "rate-control=fixqp"),
        ("image/jpeg", "jpeg-quality=80"),
    ] {
        let by = |library: &Path| {
            let pipeline = Pipeline::launch(&format!(
                "videotestsrc num-buffers=12 ! {RAW} ! k230venc name=venc backend=mpp gop-length=5 \
                 {settings} library={} ! {caps} ! appsink name=out",
                library.display()
            ));
            let mut streams = Vec::new();
            // Twice, as what a channel leaves behind is the next one's trouble.
            for _ in 0..2 {
                let out = collect(&pipeline, "out");
                let out = out.unwrap_or_else(|e| panic!("{} {caps}: {e}", library.display()));
                pipeline.0.set_state(gst::State::Null).expect("it stops");
                let bytes = |b: &gst::Buffer| b.map_readable().expect("memory").to_vec();
                streams.push(out.buffers.iter().map(bytes).collect::<Vec<_>>());
            }
            assert_eq!([streams[0].len(), streams[1].len()], [12, 12], "{caps}");
            streams.swap_remove(0)
        };
        assert!(by(&mpp_double()) == by(&older), "{caps}");
    }
}

/// Upstream's "Internal data stream error" and the base class' "Could not initialize supporting library" help nobody.
#[test]
fn a_refusal_is_one_error() {
    let _alone = alone();
    for (options, words) in [
        ("channel=9", ["channel 9", "0 to 3"]),
        ("backend=element engine=nosuch", ["nosuch", "install"]),
        ("backend=v4l2 device=/dev/nosuch", ["/dev/nosuch", "driver"]),
        ("backend=mpp library=/nosuch.so", ["/nosuch.so", "loaded"]),
        ("backend=element bitrate=0", ["bitrate", "bring"]),
    ] {
        let pipeline = Pipeline::launch(&format!(
            "videotestsrc ! {RAW} ! k230venc {options} ! video/x-h264 ! fakesink"
        ));
        let _ = pipeline.0.set_state(gst::State::Playing);
        let bus = pipeline.0.bus().unwrap();
        let first = bus.timed_pop_filtered(crate::common::HANG, &[gst::MessageType::Error]);
        let mut texts = vec![first.expect("it is refused")];
        // The source's thread is over with that; only on the way to NULL does the bus forget.
        let _ = pipeline.0.set_state(gst::State::Ready);
        texts.extend(std::iter::from_fn(|| {
            bus.pop_filtered(&[gst::MessageType::Error])
        }));
        let texts: Vec<String> = texts
            .iter()
            .map(|message| match message.view() {
                gst::MessageView::Error(error) => error.error().to_string(),
                _ => unreachable!("only errors were asked for"),
            })
            .collect();
        assert_eq!(texts.len(), 1, "{options}: {texts:?}");
        crate::common::assert_mentions(&texts[0], &words);
    }
}

/// Caps come again and again, as behind a seek or with tags; what they are refused for stays.
#[test]
fn a_setting_is_refused_once_until_something_changes() {
    let _alone = alone();
    let pipeline = Pipeline::launch(
        "k230venc name=venc backend=element bitrate=0 ! video/x-h264 ! fakesink async=false",
    );
    let venc = pipeline.element("venc");
    let pad = crate::random_cameras::pad_to(&venc, "sink");
    pipeline.play();
    let bus = pipeline.0.bus().unwrap();
    let said = || -> Vec<String> {
        let errors = std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Error]));
        let texts = errors.map(|message| match message.view() {
            gst::MessageView::Error(error) => error.error().to_string(),
            _ => unreachable!("only errors were asked for"),
        });
        texts.collect()
    };
    let refused = |rate: u32| {
        let caps = RAW.replace("framerate=30/1", &format!("framerate={rate}/1"));
        assert!(rate == 30 || caps != RAW, "{RAW}");
        let caps = gst::Caps::from_str(&caps).unwrap();
        pad.push_event(gst::event::Caps::new(&caps));
        said()
    };
    let [first] = refused(30).try_into().unwrap();
    pad.push_event(crate::random_streams::segment(0, 0));
    assert!(first.contains("bitrate of 0"), "{first}");
    assert_eq!(refused(25), [""; 0]);
    assert_eq!(refused(30), [""; 0]);
    venc.set_property("bitrate", 300_000_u32);
    let [other] = refused(25).try_into().unwrap();
    assert!(other.contains("bitrate of 300000"), "{other}");
    // What was well in between is news when it is bad again.
    venc.set_property("bitrate", 1000_u32);
    assert_eq!(refused(30), [""; 0]);
    venc.set_property("bitrate", 300_000_u32);
    assert_eq!(refused(25), [other]);
    // Or in the middle of the stream.
    venc.set_property("bitrate", 1000_u32);
    assert_eq!(refused(30), [""; 0]);
    let push = || pad.push(gst::Buffer::from_slice(vec![0_u8; 320 * 240 * 3 / 2]));
    push().unwrap();
    venc.set_property("bitrate", 0_u32);
    let _ = push().unwrap_err();
    let [again] = said().try_into().unwrap();
    assert_eq!(again, first);
    assert_eq!(refused(25), [""; 0]);
}

/// As of a camera that was pulled out while it gave a picture.
#[test]
fn buffers_of_less_than_a_picture_are_left_out_and_counted() {
    let _alone = alone();
    for backend in backends() {
        let pipeline = Pipeline::launch(&format!(
            "appsrc name=s format=time caps={RAW} ! k230venc name=v {backend} ! video/x-h264 ! fakesink"
        ));
        let warnings = pipeline.warnings();
        pipeline.play();
        let source: gst_app::AppSrc = pipeline.element("s").downcast().unwrap();
        for n in 0..12 {
            let bytes = match n {
                4 => 0,
                7 => 1000,
                _ => 320 * 240 * 3 / 2,
            };
            let mut buffer = gst::Buffer::from_slice(vec![n * 9; bytes]);
            let pts = gst::ClockTime::from_mseconds(33 * u64::from(n));
            buffer.get_mut().unwrap().set_pts(pts);
            source.push_buffer(buffer).unwrap();
        }
        source.end_of_stream().unwrap();
        pipeline.ends(&backend);
        let stats = pipeline.element("v").property::<gst::Structure>("stats");
        let counts = ["frames-in", "frames-out", "dropped-short", "lost"];
        let counts = counts.map(|name| stats.get::<u64>(name).unwrap());
        assert_eq!(counts, [12, 10, 2, 0], "{backend}");
        let warnings = warnings.lock().unwrap();
        let said = |it: &&String| it.contains("less than the 115200 bytes");
        assert_eq!(warnings.iter().filter(said).count(), 1, "{warnings:?}");
    }
}
