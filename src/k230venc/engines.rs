// SPDX-License-Identifier: MIT OR Apache-2.0
//! VENC's settings in the words of each GStreamer encoder.
//!
//! GOPs are not left to the encoders: they are set to never start one, and the channel asks for
//! an IDR where a GOP begins. So the structure of the stream is the same whichever encodes, and
//! the GOP's length can change between two frames.

use gst::prelude::*;
use gst_video::VideoFormat;

use k230_venc::{
    ChannelAttr, Code, Codec, Entropy, Error, Level, PixelFormat, Profile, RateControl,
};

/// An encoder element with the settings applied.
pub(super) struct Engine {
    pub element: gst::Element,
    /// How the channel's pictures enter: as they are, or NV12 with its chroma apart, which is I420.
    pub fed: VideoFormat,
    /// What a converter makes of them, if anything.
    pub convert_to: Option<VideoFormat>,
    /// Whether streams come from another thread, some time after their frame.
    pub asynchronous: bool,
    /// The level that the encoder was told, if it can be.
    pub level: Option<Level>,
    /// What could not be set, a sentence each.
    pub unmapped: Vec<String>,
}

/// Factories for `codec`, the best first: the chip's own codec through V4L2, then software.
pub(super) fn candidates(codec: Codec) -> &'static [&'static str] {
    match codec {
        Codec::H264 => &["v4l2h264enc", "x264enc", "openh264enc"],
        Codec::H265 => &["v4l2h265enc", "x265enc"],
        Codec::Jpeg => &["v4l2jpegenc", "jpegenc"],
    }
}

/// The largest distance of key frames an encoder takes.
const NEVER: i32 = i32::MAX;

pub(super) fn video_format(format: PixelFormat) -> VideoFormat {
    match format {
        PixelFormat::Nv12 => VideoFormat::Nv12,
        PixelFormat::Argb => VideoFormat::Argb,
        PixelFormat::Bgra => VideoFormat::Bgra,
        PixelFormat::Uyvy => VideoFormat::Uyvy,
        PixelFormat::Nv21 => VideoFormat::Nv21,
        PixelFormat::I420 => VideoFormat::I420,
        PixelFormat::Yuy2 => VideoFormat::Yuy2,
        PixelFormat::Rgb => VideoFormat::Rgb,
        PixelFormat::Bgr => VideoFormat::Bgr,
        PixelFormat::P010 => VideoFormat::P01010le,
    }
}

/// The caps that the encoder is asked for.
pub(super) fn wanted_caps(attr: &ChannelAttr) -> gst::Caps {
    let builder = match attr.codec {
        Codec::Jpeg => return gst::Caps::new_empty_simple("image/jpeg"),
        Codec::H264 => gst::Caps::builder("video/x-h264"),
        Codec::H265 => gst::Caps::builder("video/x-h265"),
    };
    let builder = builder
        .field("stream-format", "byte-stream")
        .field("alignment", "au");
    match attr.profile {
        // x264's baseline is the constrained one, as every encoder's without slice groups is.
        Profile::H264Baseline => builder.field(
            "profile",
            gst::List::new(["constrained-baseline", "baseline"]),
        ),
        profile => builder.field("profile", profile.name()),
    }
    .build()
}

/// Makes `factory` and applies `attr`. `None` if the factory is not installed.
///
/// # Errors
/// `K_ERR_VENC_NOT_SUPPORT` if it does not encode the codec with the profile.
pub(super) fn make(factory: &str, attr: &ChannelAttr) -> Option<Result<Engine, Error>> {
    let element = gst::ElementFactory::make(factory).build().ok()?;
    let encodes = element
        .static_pad("src")
        .is_some_and(|pad| pad.pad_template_caps().can_intersect(&wanted_caps(attr)));
    Some(if encodes {
        Ok(set_up(factory, element, attr))
    } else {
        Err(Error::refused(
            Code::NotSupport,
            format!(
                "{factory} does not encode {}, profile {}",
                attr.codec.name(),
                attr.profile.name()
            ),
        ))
    })
}

fn set_up(factory: &str, element: gst::Element, attr: &ChannelAttr) -> Engine {
    let own = video_format(attr.format);
    let mut engine = Engine {
        element,
        fed: own,
        convert_to: None,
        asynchronous: false,
        level: None,
        unmapped: Vec::new(),
    };
    let takes = |engine: &mut Engine, formats: &[VideoFormat]| {
        let best = if attr.profile.is_ten_bit() {
            VideoFormat::I42010le
        } else if formats.contains(&own) {
            own
        } else {
            formats[0]
        };
        match (own, best) {
            (VideoFormat::Nv12, VideoFormat::I420) => engine.fed = best,
            _ => engine.convert_to = (best != own).then_some(best),
        }
    };
    match (factory, attr.codec) {
        ("x264enc", Codec::H264) => {
            takes(&mut engine, &[VideoFormat::Nv12, VideoFormat::I420]);
            x264(&mut engine, attr);
        }
        ("x265enc", Codec::H265) => {
            takes(&mut engine, &[VideoFormat::I420]);
            x265(&mut engine, attr);
        }
        ("openh264enc", Codec::H264) => {
            takes(&mut engine, &[VideoFormat::I420]);
            openh264(&mut engine, attr);
        }
        ("jpegenc", Codec::Jpeg) => {
            // It reads NV12 too, byte by byte, which is a third of its work. I420 it reads in whole
            // blocks of 16 pixels, past the end of a plane that has no such width.
            let planar = if attr.encoded_size().0.is_multiple_of(16) {
                VideoFormat::I420
            } else {
                VideoFormat::Nv12
            };
            takes(&mut engine, &[planar, VideoFormat::Uyvy]);
            if let RateControl::JpegQuality { factor } = attr.rate {
                engine.element.set_property("quality", factor as i32);
            }
        }
        (v4l2, _) if v4l2.starts_with("v4l2") => {
            takes(&mut engine, &[VideoFormat::Nv12, VideoFormat::Uyvy]);
            engine.asynchronous = true;
            v4l2_controls(&mut engine, attr);
        }
        _ => {
            takes(&mut engine, &[VideoFormat::I420]);
            engine.asynchronous = true;
            engine.unmapped.push(format!(
                "{factory} is not one of the encoders whose settings are known: it runs with its \
                 defaults"
            ));
        }
    }
    if let Some(level) = attr.level.filter(|level| engine.level != Some(*level)) {
        engine
            .unmapped
            .push(format!("{factory} cannot be told to say {level}"));
    }
    engine
}

/// What x264 and x265 call the factor between the quantizers of I and P frames: a step of six
/// doubles the quantizer's size.
fn ip_ratio(i: u32, p: u32) -> f64 {
    2f64.powf((f64::from(p) - f64::from(i)) / 6.0)
}

/// A ceiling that no window of one second exceeds: a leaky bucket of rate r and depth b lets
/// through at most r + b in a second, so four parts of the ceiling are the rate and one the depth.
fn ceiling(max_bitrate: u32) -> (u32, u32) {
    let depth = (max_bitrate / 5).max(1);
    (max_bitrate.saturating_sub(depth).max(1), depth)
}

fn x264(engine: &mut Engine, attr: &ChannelAttr) {
    let e = &engine.element;
    e.set_property_from_str("tune", "zerolatency");
    e.set_property_from_str("speed-preset", "veryfast");
    e.set_property("key-int-max", NEVER as u32);
    e.set_property("bframes", 0u32);
    e.set_property("byte-stream", true);
    e.set_property("aud", false);
    e.set_property("qp-min", 0u32);
    let cabac = attr.entropy == Entropy::Cabac && attr.profile != Profile::H264Baseline;
    e.set_property("cabac", cabac);
    e.set_property(
        "dct8x8",
        matches!(attr.profile, Profile::H264High | Profile::H264High10),
    );
    let mut options = vec!["scenecut=0".to_string(), "open-gop=0".into()];
    if let Some(level) = attr.wanted_level() {
        options.push(format!("level={}", level.name()));
        engine.level = Some(level);
    }
    if !attr.deblock {
        options.push("no-deblock=1".into());
    }
    match attr.rate {
        RateControl::Cbr { bitrate } => {
            e.set_property_from_str("pass", "cbr");
            e.set_property("bitrate", bitrate);
            // Half a second deep: what the encoder may be ahead by at the start is below 5 % of
            // ten seconds.
            e.set_property("vbv-buf-capacity", 500u32);
        }
        RateControl::Vbr {
            bitrate,
            max_bitrate,
        } => {
            let (rate, depth) = ceiling(max_bitrate);
            e.set_property_from_str("pass", "cbr");
            e.set_property("bitrate", bitrate.min(rate));
            options.push(format!("vbv-maxrate={rate}:vbv-bufsize={depth}"));
        }
        RateControl::FixQp { i, p } => {
            e.set_property_from_str("pass", "quant");
            // Quantizer 0 is x264's lossless mode, which no VENC profile has; 51 is not settable.
            let nearest = p.clamp(1, 50);
            if nearest != p {
                engine
                    .unmapped
                    .push(format!("x264enc has no qp-p of {p}; {nearest} is used"));
            }
            e.set_property("quantizer", nearest);
            options.push(format!("ipratio={:.4}", ip_ratio(i.max(1), nearest)));
        }
        RateControl::JpegQuality { .. } => {}
    }
    e.set_property("option-string", options.join(":"));
}

fn x265(engine: &mut Engine, attr: &ChannelAttr) {
    let e = &engine.element;
    e.set_property_from_str("tune", "zerolatency");
    e.set_property_from_str("speed-preset", "ultrafast");
    e.set_property("key-int-max", NEVER);
    // Not repeat-headers: x265enc writes the headers before the first picture itself, and with
    // that option it does so into a buffer of the wrong size. The channel repeats them.
    let mut options = vec![
        "bframes=0:scenecut=0:open-gop=0:aud=0:info=0".to_string(),
        format!("sao={}", u8::from(attr.sao)),
    ];
    // It does not open for a level that is not enough, nor for any with fixed quantizers, and says
    // main tier wherever that is enough.
    let has_rate = !matches!(attr.rate, RateControl::FixQp { .. });
    let can_say = |level: &Level| has_rate && !level.is_high_tier() && level.suffices(attr);
    if let Some(level) = attr.wanted_level().filter(can_say) {
        options.push(format!("level-idc={}:high-tier=0", level.name()));
        engine.level = Some(level);
    }
    if !attr.deblock {
        options.push("no-deblock=1".into());
    }
    match attr.rate {
        RateControl::Cbr { bitrate } => {
            e.set_property("bitrate", bitrate.min(102_400));
            options.push(format!(
                "vbv-maxrate={bitrate}:vbv-bufsize={}",
                (bitrate / 2).max(1)
            ));
        }
        RateControl::Vbr {
            bitrate,
            max_bitrate,
        } => {
            let (rate, depth) = ceiling(max_bitrate);
            e.set_property("bitrate", bitrate.min(rate).min(102_400));
            options.push(format!("vbv-maxrate={rate}:vbv-bufsize={depth}"));
        }
        RateControl::FixQp { i, p } => {
            e.set_property("qp", p as i32);
            options.push(format!("ipratio={:.4}", ip_ratio(i, p)));
        }
        RateControl::JpegQuality { .. } => {}
    }
    if attr.entropy == Entropy::Cavlc {
        engine
            .unmapped
            .push("H.265 has no CAVLC; CABAC is used".into());
    }
    engine
        .element
        .set_property("option-string", options.join(":"));
}

/// What OpenH264 2.3 raises lower quantizers to.
const OPENH264_MIN_QP: u32 = 12;

fn openh264(engine: &mut Engine, attr: &ChannelAttr) {
    let e = &engine.element;
    e.set_property("gop-size", 0u32);
    e.set_property("scene-change-detection", false);
    e.set_property("multi-thread", 1u32);
    e.set_property_from_str("deblocking", if attr.deblock { "on" } else { "off" });
    match attr.rate {
        RateControl::Cbr { bitrate } => {
            e.set_property_from_str("rate-control", "bitrate");
            e.set_property("bitrate", bitrate.saturating_mul(1000));
            e.set_property("max-bitrate", bitrate.saturating_mul(1000));
        }
        RateControl::Vbr {
            bitrate,
            max_bitrate,
        } => {
            e.set_property_from_str("rate-control", "bitrate");
            e.set_property("bitrate", bitrate.saturating_mul(1000));
            e.set_property("max-bitrate", max_bitrate.saturating_mul(1000));
        }
        RateControl::FixQp { i, p } => {
            // A range of one; of a wider one it would choose by a bitrate.
            let nearest = p.max(OPENH264_MIN_QP);
            e.set_property_from_str("rate-control", "quality");
            e.set_property("adaptive-quantization", false);
            e.set_property("qp-min", nearest);
            e.set_property("qp-max", nearest);
            if (i, p) != (nearest, nearest) {
                engine.unmapped.push(format!(
                    "openh264enc has one quantizer for I and P frames, {OPENH264_MIN_QP} or more: \
                     {nearest} is used for qp-i={i} and qp-p={p}"
                ));
            }
        }
        RateControl::JpegQuality { .. } => {}
    }
    if attr.entropy == Entropy::Cabac && attr.profile != Profile::H264Baseline {
        engine
            .unmapped
            .push("openh264enc codes with CAVLC whatever entropy-mode is".into());
    }
}

/// The controls of V4L2's stateful encoder interface, by the names GStreamer gives them: the
/// kernel's, in lower case with underscores.
fn v4l2_controls(engine: &mut Engine, attr: &ChannelAttr) {
    let mut controls = gst::Structure::new_empty("controls");
    let mut set = |name: &str, value: i32| controls.set(name, value);
    let codec = if attr.codec == Codec::H265 {
        "hevc"
    } else {
        "h264"
    };
    match attr.rate {
        RateControl::Cbr { bitrate } => {
            set("video_bitrate_mode", 1);
            set("video_bitrate", bitrate.saturating_mul(1000) as i32);
        }
        RateControl::Vbr {
            bitrate,
            max_bitrate,
        } => {
            set("video_bitrate_mode", 0);
            set("video_bitrate", bitrate.saturating_mul(1000) as i32);
            set(
                "video_peak_bitrate",
                max_bitrate.saturating_mul(1000) as i32,
            );
        }
        RateControl::FixQp { i, p } => {
            set("frame_level_rate_control_enable", 0);
            set(&format!("{codec}_i_frame_qp_value"), i as i32);
            set(&format!("{codec}_p_frame_qp_value"), p as i32);
        }
        RateControl::JpegQuality { factor } => set("compression_quality", factor as i32),
    }
    if attr.codec != Codec::Jpeg {
        set("video_gop_size", attr.gop as i32);
        set("repeat_sequence_header", 1);
    }
    if attr.codec == Codec::H264 {
        set(
            "h264_entropy_mode",
            i32::from(attr.entropy == Entropy::Cabac),
        );
        set("h264_loop_filter_mode", i32::from(!attr.deblock));
    }
    engine.element.set_property("extra-controls", controls);
}

/// Changes the rate of a running encoder where it can. False: a new encoder is needed.
pub(super) fn set_rate(element: &gst::Element, old: RateControl, new: RateControl) -> bool {
    if old == new {
        return true;
    }
    let factory = element.factory().map(|f| f.name());
    match (factory.as_deref(), old, new) {
        (Some("x264enc"), RateControl::Cbr { .. }, RateControl::Cbr { bitrate }) => {
            element.set_property("bitrate", bitrate);
            true
        }
        (Some("jpegenc"), _, RateControl::JpegQuality { factor }) => {
            element.set_property("quality", factor as i32);
            true
        }
        _ => false,
    }
}
