// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which encoder, and how it is set.

use gst::prelude::*;

use super::container::{AudioCodec, VideoCodec};
use super::quality::{Pace, Quality, mjpeg_quantizer_for};
use crate::streams::{self, MissingElement};

/// Frames from one key unit to the next: picamera2's and CanMV's.
const GOP: i32 = 30;

/// VENC's smallest picture (K230 MPP documentation, "VENC": 128x64).
const VENC_MIN: (u32, u32) = (128, 64);

/// What the user wants of an encoder.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    pub codec: VideoCodec,
    pub quality: Quality,
    /// kbit/s; 0: as the quality says.
    pub bitrate: u32,
    pub pace: Pace,
}

/// The encoder called `name`, or the first that is installed and can do it.
pub fn video(name: Option<&str>, wish: &Wish) -> Result<gst::Element, MissingElement> {
    let small = wish.pace.width < VENC_MIN.0 || wish.pace.height < VENC_MIN.1;
    let candidates: &[&str] = match (name, wish.codec) {
        (Some(name), _) => &[name],
        (None, VideoCodec::H264) if small => &["x264enc", "openh264enc"],
        (None, VideoCodec::H264) => &["k230venc", "x264enc", "openh264enc"],
        (None, VideoCodec::H265) if small => &["x265enc"],
        (None, VideoCodec::H265) => &["k230venc", "x265enc"],
        (None, VideoCodec::Jpeg) => &["jpegenc"],
    };
    let encoder = first(candidates)?;
    configure(&encoder, wish);
    Ok(encoder)
}

/// The encoder called `name`, or the first that is installed.
pub fn audio(
    name: Option<&str>,
    codec: AudioCodec,
) -> Result<Option<gst::Element>, MissingElement> {
    Ok(match (name, codec) {
        (Some(name), _) => Some(streams::make(name)?),
        (None, AudioCodec::Pcm) => None,
        (None, AudioCodec::Aac) => Some(first(&["fdkaacenc", "avenc_aac", "voaacenc", "opusenc"])?),
    })
}

/// The first of several that is installed; the error is about the one that is easiest to install,
/// the last.
pub fn first(candidates: &[&str]) -> Result<gst::Element, MissingElement> {
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

fn configure(encoder: &gst::Element, wish: &Wish) {
    let factory = encoder.factory().map(|factory| factory.name());
    let Wish {
        quality,
        bitrate,
        pace,
        codec,
    } = *wish;
    let hardware = if bitrate > 0 {
        bitrate
    } else {
        quality.h264_hardware_kbps(pace)
    };
    let software = if bitrate > 0 {
        bitrate
    } else {
        quality.h264_software_kbps(pace)
    };
    match factory.as_deref() {
        Some("k230venc") if codec == VideoCodec::Jpeg => {
            encoder.set_property("jpeg-quality", quality.jpeg());
        }
        Some("k230venc") => {
            encoder.set_property("bitrate", hardware);
            encoder.set_property("gop-length", GOP as u32);
        }
        Some("x264enc") => {
            // picamera2's LibavH264Encoder: ultrafast, zerolatency, with the deblocking filter.
            encoder.set_property_from_str("speed-preset", "ultrafast");
            encoder.set_property_from_str("tune", "zerolatency");
            encoder.set_property("bitrate", software);
            encoder.set_property("key-int-max", GOP as u32);
            encoder.set_property_from_str("option-string", "deblock=1");
        }
        Some("x265enc") => {
            encoder.set_property_from_str("speed-preset", "ultrafast");
            encoder.set_property_from_str("tune", "zerolatency");
            encoder.set_property("bitrate", software);
            encoder.set_property("key-int-max", GOP);
        }
        Some("openh264enc") => {
            encoder.set_property("bitrate", software.saturating_mul(1000));
            encoder.set_property("gop-size", GOP as u32);
        }
        Some("v4l2h264enc" | "v4l2h265enc") => {
            let controls = gst::Structure::builder("controls")
                .field(
                    "video_bitrate",
                    hardware.saturating_mul(1000).min(i32::MAX as u32) as i32,
                )
                .field("video_gop_size", GOP)
                .build();
            encoder.set_property("extra-controls", controls);
        }
        Some("v4l2jpegenc") => {
            let controls = gst::Structure::builder("controls")
                .field("compression_quality", quality.jpeg() as i32)
                .build();
            encoder.set_property("extra-controls", controls);
        }
        Some("parallelenc") => {
            encoder.set_property("encoder", format!("jpegenc quality={}", quality.jpeg()));
        }
        Some("jpegenc") => encoder.set_property("quality", quality.jpeg() as i32),
        Some("avenc_mjpeg") => {
            let quantizer = if bitrate > 0 {
                mjpeg_quantizer_for(bitrate, pace)
            } else {
                quality.mjpeg_quantizer()
            };
            encoder.set_property_from_str("pass", "quant");
            // picamera2's LibavMjpegEncoder has eight threads.
            encoder.set_property_from_str("threads", "auto");
            encoder.set_property("quantizer", quantizer as f32);
            encoder.set_property("qmin", quantizer as i32);
            encoder.set_property("qmax", quantizer as i32);
        }
        // Others keep their own defaults: their units are not known here.
        _ => (),
    }
}

/// True when a rate in bits a second means nothing to the encoder.
pub fn has_no_rate(encoder: &gst::Element) -> bool {
    encoder.factory().is_some_and(|factory| {
        matches!(
            factory.name().as_str(),
            "jpegenc" | "parallelenc" | "v4l2jpegenc"
        )
    })
}
