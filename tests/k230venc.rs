// SPDX-License-Identifier: MIT OR Apache-2.0
//! The element `k230venc`: its streams, its limits, its manners in a pipeline.

mod common;

use std::str::FromStr;

use common::{Pipeline, init};
use gst::prelude::*;
use gstkendryte::k230venc::pack_meta;
use gstkendryte::venc::PackKind;

/// A way to the encoder, as properties of the element.
fn backends() -> Vec<String> {
    vec!["backend=element".into()]
}

/// What came out of an appsink.
struct Out {
    caps: gst::Caps,
    buffers: Vec<gst::Buffer>,
}

/// Plays `description` to its end and takes everything out of the appsink `name`.
fn collect(pipeline: &Pipeline, name: &str) -> Result<Out, String> {
    let sink: gst_app::AppSink = pipeline.element(name).downcast().expect("an appsink");
    sink.set_property("sync", false);
    let caps = std::sync::Arc::new(std::sync::Mutex::new(None));
    let buffers = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let (caps_in, buffers_in) = (caps.clone(), buffers.clone());
    sink.set_callbacks(
        gst_app::AppSinkCallbacks::builder()
            .new_sample(move |sink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                *caps_in.lock().unwrap() = sample.caps_owned();
                // A copy lets the encoder have its buffer back.
                let buffer = sample
                    .buffer()
                    .expect("a buffer")
                    .copy_deep()
                    .expect("memory");
                buffers_in.lock().unwrap().push(buffer);
                Ok(gst::FlowSuccess::Ok)
            })
            .build(),
    );
    pipeline.run()?;
    let caps = caps.lock().unwrap().take().ok_or("no buffer came")?;
    let buffers = std::mem::take(&mut *buffers.lock().unwrap());
    Ok(Out { caps, buffers })
}

/// `I` and `P` of each buffer, with `h` before those that carry a header pack, and the meta's
/// promises checked.
fn structure(out: &Out) -> String {
    let mut structure = String::new();
    for buffer in &out.buffers {
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
fn gops(frames: usize, gop: usize, header: &str) -> String {
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

const CODECS: [(&str, &str, &str); 6] = [
    (
        "video/x-h264,profile=baseline",
        "h264parse ! avdec_h264",
        "h",
    ),
    ("video/x-h264,profile=main", "h264parse ! avdec_h264", "h"),
    ("video/x-h264,profile=high", "h264parse ! avdec_h264", "h"),
    ("video/x-h265,profile=main", "h265parse ! avdec_h265", "h"),
    (
        "video/x-h265,profile=main-10",
        "h265parse ! avdec_h265",
        "h",
    ),
    ("image/jpeg", "jpegparse ! jpegdec", ""),
];

#[test]
fn each_codec_decodes_frame_by_frame_in_gops() {
    init();
    for backend in backends() {
        for (caps, decoder, header) in CODECS {
            let pipeline = Pipeline::launch(&format!(
                "videotestsrc num-buffers=25 ! video/x-raw,format=NV12,width=320,height=240,framerate=30/1 \
                 ! k230venc gop-length=10 {backend} ! {caps} ! tee name=t \
                 t. ! queue ! appsink name=encoded t. ! queue ! {decoder} ! fakesink name=decoded sync=false"
            ));
            let decoded = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
            let counter = decoded.clone();
            pipeline
                .element("decoded")
                .static_pad("sink")
                .expect("a pad")
                .add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                    counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    gst::PadProbeReturn::Ok
                });
            let out =
                collect(&pipeline, "encoded").unwrap_or_else(|e| panic!("{backend} {caps}: {e}"));
            assert_eq!(out.buffers.len(), 25, "{backend} {caps}");
            assert_eq!(
                decoded.load(std::sync::atomic::Ordering::SeqCst),
                25,
                "{backend} {caps}"
            );
            let gop = if header.is_empty() { 1 } else { 10 };
            assert_eq!(structure(&out), gops(25, gop, header), "{backend} {caps}");
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
