// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which encoder, and how it is set.

use gst::prelude::*;

use super::CAT;
use super::quality::{Pace, Quality, mjpeg_quantizer_for};
use crate::streams::containers::{AudioCodec, VideoCodec};
use crate::streams::set::{set, set_nearest};
use crate::streams::{self, MissingElement, set_if_there};

/// Frames from one key unit to the next: picamera2's and CanMV's.
const GOP: u32 = 30;

/// The same where there are fewer frames a second than that: a killed program loses a fragment of an
/// MP4, which begins with a key unit.
fn group_of_pictures(pace: Pace) -> u32 {
    (pace.framerate.round() as u32).clamp(1, GOP)
}

/// VENC's smallest picture (K230 MPP documentation, "VENC": 128x64).
const VENC_MIN: (u32, u32) = (128, 64);

/// What the user wants of an encoder.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    pub codec: VideoCodec,
    pub quality: Quality,
    /// kbit/s; 0: as the quality says.
    pub bitrate: u32,
    pub pace: Pace,
}

/// The codec that may be named in an encoder's place.
pub(crate) fn codec_named(name: &str) -> Option<VideoCodec> {
    match name {
        "h264" => Some(VideoCodec::H264),
        "h265" => Some(VideoCodec::H265),
        "mjpeg" => Some(VideoCodec::Jpeg),
        _ => None,
    }
}

/// Whether it is a codec that is named, and no encoder.
pub(crate) fn is_codec(name: &str) -> bool {
    codec_named(name).is_some()
}

/// The encoder called `name`, or the first that is installed and can do it.
pub(crate) fn video(name: Option<&str>, wish: &Wish) -> Result<gst::Element, MissingElement> {
    let small = wish.pace.width < VENC_MIN.0 || wish.pace.height < VENC_MIN.1;
    let candidates: &[&str] = match (name, wish.codec) {
        (Some(name), _) => &[name],
        (None, VideoCodec::H264) if small => &["x264enc", "openh264enc"],
        (None, VideoCodec::H264) => &["k230venc", "x264enc", "openh264enc"],
        (None, VideoCodec::H265) if small => &["x265enc"],
        (None, VideoCodec::H265) => &["k230venc", "x265enc"],
        (None, VideoCodec::Jpeg) => &["jpegenc"],
        (None, VideoCodec::Vp8) => &["vp8enc"],
    };
    let encoder = first(candidates)?;
    configure(&encoder, wish);
    Ok(encoder)
}

/// The encoder called `name`, or the first that is installed.
pub(crate) fn audio(
    name: Option<&str>,
    codec: AudioCodec,
) -> Result<Option<gst::Element>, MissingElement> {
    Ok(match (name, codec) {
        (Some(name), _) => Some(streams::make(name)?),
        (None, AudioCodec::Pcm) => None,
        (None, AudioCodec::Opus) => Some(first(&["opusenc"])?),
        (None, AudioCodec::Aac) => Some(first(&["fdkaacenc", "avenc_aac", "voaacenc", "opusenc"])?),
    })
}

/// The first of several that is installed; the error is about the one that is easiest to install,
/// the last.
pub(crate) fn first(candidates: &[&str]) -> Result<gst::Element, MissingElement> {
    let mut missing = MissingElement {
        factory: String::new(),
        package: None,
    };
    for name in candidates {
        match streams::make(name) {
            Ok(element) => return Ok(element),
            Err(err) if missing.package.is_none() => missing = err,
            Err(_) => (),
        }
    }
    Err(missing)
}

/// Sets a number as near as the encoder takes it, and says so when that is another one.
fn number(encoder: &gst::Element, property: &str, value: impl Into<f64>) {
    let value = value.into();
    match set_nearest(encoder, property, value) {
        Ok(None) => (),
        Ok(Some(nearest)) => gst::warning!(
            CAT,
            obj = encoder,
            "{property} is {nearest} instead of {value}, which the encoder does not take"
        ),
        Err(err) => gst::warning!(CAT, obj = encoder, "{err}"),
    }
}

fn controls(encoder: &gst::Element, fields: &[(&str, u32)]) {
    let mut controls = gst::Structure::new_empty("controls");
    for (name, value) in fields {
        controls.set(*name, i32::try_from(*value).unwrap_or(i32::MAX));
    }
    if let Err(err) = set(encoder, "extra-controls", &controls.to_value()) {
        gst::warning!(CAT, obj = encoder, "{err}");
    }
}

fn configure(encoder: &gst::Element, wish: &Wish) {
    let factory = encoder.factory().map(|factory| factory.name());
    let Wish {
        quality,
        bitrate,
        pace,
        codec,
    } = *wish;
    let rate = |by_quality: u32| if bitrate > 0 { bitrate } else { by_quality };
    let hardware = rate(quality.h264_hardware_kbps(pace));
    let software = rate(quality.h264_software_kbps(pace));
    let gop = group_of_pictures(pace);
    match factory.as_deref() {
        Some("k230venc") if codec == VideoCodec::Jpeg => {
            number(encoder, "jpeg-quality", quality.jpeg());
        }
        Some("k230venc") => {
            number(encoder, "bitrate", hardware);
            number(encoder, "gop-length", gop);
        }
        Some(x26x @ ("x264enc" | "x265enc")) => {
            // picamera2's LibavH264Encoder: ultrafast, zerolatency, with the deblocking filter.
            set_if_there(encoder, "speed-preset", "ultrafast");
            set_if_there(encoder, "tune", "zerolatency");
            number(encoder, "bitrate", software);
            number(encoder, "key-int-max", gop);
            if x26x == "x264enc" {
                set_if_there(encoder, "option-string", "deblock=1");
            }
        }
        Some("openh264enc") => {
            number(encoder, "bitrate", software.saturating_mul(1000));
            number(encoder, "gop-size", gop);
        }
        Some("vp8enc") => {
            number(encoder, "target-bitrate", software.saturating_mul(1000));
            number(encoder, "keyframe-max-dist", gop);
            // As fast as frames come.
            number(encoder, "deadline", 1);
        }
        Some("v4l2h264enc" | "v4l2h265enc") => controls(
            encoder,
            &[
                ("video_bitrate", hardware.saturating_mul(1000)),
                ("video_gop_size", gop),
            ],
        ),
        Some("v4l2jpegenc") => controls(encoder, &[("compression_quality", quality.jpeg())]),
        Some("parallelenc") => {
            let jpegenc = format!("jpegenc quality={}", quality.jpeg());
            set_if_there(encoder, "encoder", &jpegenc);
        }
        Some("jpegenc") => number(encoder, "quality", quality.jpeg()),
        Some("avenc_mjpeg") => {
            let quantizer = if bitrate > 0 {
                mjpeg_quantizer_for(bitrate, pace)
            } else {
                quality.mjpeg_quantizer()
            };
            set_if_there(encoder, "pass", "quant");
            // picamera2's LibavMjpegEncoder has eight threads.
            set_if_there(encoder, "threads", "auto");
            for property in ["quantizer", "qmin", "qmax"] {
                number(encoder, property, quantizer);
            }
        }
        // Others keep their own defaults: their units are not known here.
        _ => (),
    }
}

/// True when a rate in bits a second means nothing to the encoder.
pub(crate) fn has_no_rate(encoder: &gst::Element) -> bool {
    encoder.factory().is_some_and(|factory| {
        matches!(
            factory.name().as_str(),
            "jpegenc" | "parallelenc" | "v4l2jpegenc"
        )
    })
}
