// SPDX-License-Identifier: MIT OR Apache-2.0
//! VENC's formats, codecs, profiles and sizes as caps.

use gst_video::prelude::*;

use super::engines::video_format;
use k230_venc::{ChannelAttr, Code, Codec, Error, Level, PixelFormat, Profile, SizeLimits};

/// Raw caps of `formats` in the sizes of `codec`.
pub(super) fn raw_caps(codec: Codec, formats: &[PixelFormat]) -> gst::Caps {
    let limits = SizeLimits::of(codec);
    let names = |format: &PixelFormat| video_format(*format).to_str().as_str();
    let formats: Vec<&str> = formats.iter().map(names).collect();
    let mut caps = raw_in_memory(&formats, limits);
    // What a device of the kernel's imports as it is, and everything else maps.
    let mut dma = raw_in_memory(&formats, limits);
    dma.make_mut()
        .set_features_simple(Some(gst::CapsFeatures::new([
            gst_allocators::CAPS_FEATURE_MEMORY_DMABUF,
        ])));
    caps.merge(dma);
    caps
}

/// Raw caps of `formats`, in memory that need not be named.
fn raw_in_memory(formats: &[&str], limits: SizeLimits) -> gst::Caps {
    gst::Caps::builder("video/x-raw")
        .field("format", gst::List::new(formats))
        .field(
            "width",
            gst::IntRange::with_step(limits.min_width as i32, limits.max_width as i32, 2),
        )
        .field(
            "height",
            gst::IntRange::with_step(limits.min_height as i32, limits.max_height as i32, 2),
        )
        .field("framerate", rates())
        .build()
}

/// The caps with whatever frame rate.
pub(super) fn any_rate(mut caps: gst::Caps) -> gst::Caps {
    for structure in caps.make_mut().iter_mut() {
        structure.set("framerate", rates());
    }
    caps
}

/// The caps with whatever size.
pub(super) fn any_size(mut caps: gst::Caps) -> gst::Caps {
    for structure in caps.make_mut().iter_mut() {
        structure.set("width", gst::IntRange::new(1, i32::MAX));
        structure.set("height", gst::IntRange::new(1, i32::MAX));
    }
    caps
}

fn rates() -> gst::FractionRange {
    gst::FractionRange::new(gst::Fraction::new(0, 1), gst::Fraction::new(i32::MAX, 1))
}

const H264_PROFILES: [&str; 5] = [
    "high",
    "main",
    "baseline",
    "constrained-baseline",
    "high-10",
];
const H265_PROFILES: [&str; 2] = ["main", "main-10"];

pub(super) fn encoded_caps(codec: Codec) -> gst::Caps {
    let limits = SizeLimits::of(codec);
    // Either side can be the other after a rotation.
    let range = gst::IntRange::new(
        limits.min_width.min(limits.min_height) as i32,
        limits.max_width as i32,
    );
    let builder = match codec {
        Codec::H264 => gst::Caps::builder("video/x-h264")
            .field("stream-format", "byte-stream")
            .field("alignment", "au")
            .field("profile", gst::List::new(H264_PROFILES)),
        Codec::H265 => gst::Caps::builder("video/x-h265")
            .field("stream-format", "byte-stream")
            .field("alignment", "au")
            .field("profile", gst::List::new(H265_PROFILES)),
        Codec::Jpeg => gst::Caps::builder("image/jpeg").field("parsed", true),
    };
    builder
        .field("width", range)
        .field("height", range)
        .field("framerate", rates())
        .build()
}

pub(super) const CODECS: [Codec; 3] = [Codec::H264, Codec::H265, Codec::Jpeg];

pub(super) fn codec_of(structure: &gst::StructureRef) -> Option<Codec> {
    match structure.name().as_str() {
        "video/x-h264" => Some(Codec::H264),
        "video/x-h265" => Some(Codec::H265),
        "image/jpeg" => Some(Codec::Jpeg),
        _ => None,
    }
}

pub(super) fn pad_templates() -> Result<Vec<gst::PadTemplate>, glib::BoolError> {
    // JPEG's limits contain the others'; which codec it is decides in the caps query.
    let sink = raw_caps(Codec::Jpeg, &PixelFormat::ALL);
    let mut src = gst::Caps::new_empty();
    for codec in CODECS {
        src.merge(encoded_caps(codec));
    }
    Ok(vec![
        gst::PadTemplate::new(
            "sink",
            gst::PadDirection::Sink,
            gst::PadPresence::Always,
            &sink,
        )?,
        gst::PadTemplate::new(
            "src",
            gst::PadDirection::Src,
            gst::PadPresence::Always,
            &src,
        )?,
    ])
}

/// The codec and profile that downstream takes for pictures of `format`, in its order of preference: of ten
/// bits if the pictures have them.
pub(super) fn choose(
    allowed: &gst::CapsRef,
    format: PixelFormat,
) -> Option<(Codec, Profile, Option<&'static str>)> {
    let structure = allowed.structure(0)?;
    let codec = codec_of(structure)?;
    let names: &[&'static str] = match codec {
        Codec::Jpeg => return Some((codec, Profile::None, None)),
        Codec::H264 => &H264_PROFILES,
        Codec::H265 => &H265_PROFILES,
    };
    let accepted = |name: &str| match structure.value("profile") {
        Ok(value) => value.intersect(&name.to_value()).is_some(),
        Err(_) => true,
    };
    let has_ten_bits = |name: &str| name.ends_with("-10");
    let own_bits = names
        .iter()
        .filter(|name| has_ten_bits(name) == (format == PixelFormat::P010));
    let name = *own_bits.chain(names).find(|name| accepted(name))?;
    let profile = match (codec, name) {
        (Codec::H265, "main-10") => Profile::H265Main10,
        (Codec::H265, _) => Profile::H265Main,
        (_, "main") => Profile::H264Main,
        (_, "baseline" | "constrained-baseline") => Profile::H264Baseline,
        (_, "high-10") => Profile::H264High10,
        _ => Profile::H264High,
    };
    Some((codec, profile, Some(name)))
}

/// The level that the streams of a channel are to have by what downstream takes: the lowest that is
/// enough, or the last there is if none is; nothing if downstream does not say.
///
/// # Errors
/// `K_ERR_VENC_NOT_SUPPORT` if downstream takes none that the codec has.
pub(super) fn choose_level(
    allowed: &gst::CapsRef,
    attr: &ChannelAttr,
) -> Result<Option<Level>, Error> {
    let Some(structure) = allowed.structure(0) else {
        return Ok(None);
    };
    let says = ["level", "tier"].map(|name| structure.value(name).ok());
    if says.iter().all(Option::is_none) || attr.codec == Codec::Jpeg {
        return Ok(None);
    }
    let accepts = |level: &Level| {
        let own = [level.name(), tier(*level)];
        says.iter().zip(own).all(|(value, own)| {
            value.is_none_or(|value| value.intersect(&own.to_value()).is_some())
        })
    };
    let mut accepted = Level::all(attr.codec).filter(accepts).peekable();
    if accepted.peek().is_none() {
        let what = format!(
            "downstream takes no level and tier of {}'s",
            attr.codec.name()
        );
        return Err(Error::refused(Code::NotSupport, what));
    }
    let mut last = None;
    Ok(accepted
        .find(|level| {
            last = Some(*level);
            level.suffices(attr)
        })
        .or(last))
}

/// H.265's tier as caps have it.
pub(super) fn tier(level: Level) -> &'static str {
    if level.is_high_tier() { "high" } else { "main" }
}

pub(super) fn pixel_format(format: gst_video::VideoFormat) -> Option<PixelFormat> {
    let mut all = PixelFormat::ALL.into_iter();
    all.find(|known| video_format(*known) == format)
}
