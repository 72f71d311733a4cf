// SPDX-License-Identifier: MIT OR Apache-2.0
//! What GStreamer calls the streams and texts of an AVI file.

use avi_mjpeg::header::FourCc;
use avi_mjpeg::pcm::{Encoding, Layout};
use avi_mjpeg::reader::date::iso_date;
use avi_mjpeg::reader::headers::{Codec, Coded, Format, Header, Stream};

use crate::streams::speakers;

/// Caps of a stream; `None` if it is of a kind that is not taken apart.
/// `sampling` is what the first picture of a file without header says.
pub(crate) fn of_stream(stream: &Stream, sampling: Option<&str>) -> Option<gst::Caps> {
    match &stream.format {
        Format::Jpeg { width, height } => {
            let mut caps = gst::Caps::builder("image/jpeg").field("parsed", true);
            if let (Ok(width @ 1..), Ok(height @ 1..)) =
                (i32::try_from(*width), i32::try_from(*height))
            {
                caps = caps.field("width", width).field("height", height);
            }
            if let Some(framerate) = framerate(stream) {
                caps = caps.field("framerate", framerate);
            }
            if let Some(sampling) = sampling {
                caps = caps.field("sampling", sampling);
            }
            Some(caps.build())
        }
        Format::Pcm(pcm) => Some(of_pcm(pcm)),
        Format::Coded(coded) => Some(of_coded(coded)),
        Format::Other { .. } => None,
    }
}

fn framerate(stream: &Stream) -> Option<gst::Fraction> {
    let rate = stream.rate.reduced();
    let den = rate.denominator().try_into().ok()?;
    Some(gst::Fraction::new(rate.numerator().try_into().ok()?, den))
}

fn of_pcm(pcm: &Layout) -> gst::Caps {
    let format = match (pcm.encoding, pcm.bits, pcm.sample_bytes) {
        (Encoding::Float, 64, _) => "F64LE",
        (Encoding::Float, ..) => "F32LE",
        (_, 8, _) => "U8",
        (_, 16, _) => "S16LE",
        (_, 24, 4) => "S24_32LE",
        (_, 24, _) => "S24LE",
        _ => "S32LE",
    };
    let mut caps = gst::Caps::builder("audio/x-raw")
        .field("format", format)
        .field("layout", "interleaved")
        .field("rate", pcm.rate as i32)
        .field("channels", i32::from(pcm.channels));
    if pcm.channels > 2 {
        // A mask that does not fit the channels says nothing.
        let mask = pcm
            .speakers
            .filter(|mask| mask.count_ones() == u32::from(pcm.channels))
            .unwrap_or(0);
        caps = caps.field(
            "channel-mask",
            gst::Bitmask::new(speakers::channel_mask(mask)),
        );
    }
    caps.build()
}

/// The name of a codec's caps, their `layout`, and what a person calls it.
fn codec(codec: Codec) -> (&'static str, Option<&'static str>, &'static str) {
    match codec {
        Codec::MuLaw => ("audio/x-mulaw", None, "G.711 mu-law"),
        Codec::ALaw => ("audio/x-alaw", None, "G.711 A-law"),
        Codec::ImaAdpcm => ("audio/x-adpcm", Some("dvi"), "IMA ADPCM"),
        Codec::MsAdpcm => ("audio/x-adpcm", Some("microsoft"), "Microsoft ADPCM"),
        Codec::Mp3 => ("audio/mpeg", None, "MPEG-1 Layer 3"),
    }
}

fn of_coded(coded: &Coded) -> gst::Caps {
    let (name, layout, _) = codec(coded.codec);
    let caps = gst::Caps::builder(name)
        .field("rate", coded.rate as i32)
        .field("channels", i32::from(coded.channels));
    match (layout, coded.codec) {
        (Some(layout), _) => caps
            .field("layout", layout)
            .field("block_align", coded.block as i32)
            .build(),
        (None, Codec::Mp3) => caps.field("mpegversion", 1).field("layer", 3).build(),
        _ => caps.build(),
    }
}

/// All caps that a stream of sound can have.
pub(crate) fn sound() -> gst::Caps {
    let of = |name: &str| {
        gst::Structure::builder(name)
            .field("rate", gst::IntRange::new(1, 768_000))
            .field("channels", gst::IntRange::new(1, 64))
    };
    let formats = [
        "U8", "S16LE", "S24LE", "S24_32LE", "S32LE", "F32LE", "F64LE",
    ];
    [
        of("audio/x-raw")
            .field("format", gst::List::new(formats))
            .field("layout", "interleaved"),
        of("audio/x-mulaw"),
        of("audio/x-alaw"),
        of("audio/x-adpcm").field("layout", gst::List::new(["dvi", "microsoft"])),
        of("audio/mpeg").field("mpegversion", 1).field("layer", 3),
    ]
    .into_iter()
    .map(gst::structure::Builder::build)
    .collect()
}

/// Tags for the whole file.
pub(crate) fn tags_of_file(header: &Header) -> gst::TagList {
    let mut tags = gst::TagList::new();
    {
        let tags = tags.make_mut();
        tags.set_scope(gst::TagScope::Global);
        tags.add::<gst::tags::ContainerFormat>(&"AVI", gst::TagMergeMode::Replace);
        for (code, text) in &header.info {
            let text = text.as_str();
            let append = gst::TagMergeMode::Append;
            match *code {
                FourCc::INAM => tags.add::<gst::tags::Title>(&text, append),
                FourCc::IART => tags.add::<gst::tags::Artist>(&text, append),
                FourCc::ICMT => tags.add::<gst::tags::Comment>(&text, append),
                FourCc::ISFT => tags.add::<gst::tags::Encoder>(&text, append),
                FourCc(code) => match &code {
                    b"ICRD" | b"IDIT" => {
                        let date = iso_date(text).map(|it| gst::DateTime::from_iso8601_string(&it));
                        if let Some(Ok(date)) = date {
                            tags.add::<gst::tags::DateTime>(&date, gst::TagMergeMode::Keep);
                        }
                    }
                    b"IGNR" => tags.add::<gst::tags::Genre>(&text, append),
                    b"ICOP" => tags.add::<gst::tags::Copyright>(&text, append),
                    b"IKEY" => tags.add::<gst::tags::Keywords>(&text, append),
                    b"IPRD" => tags.add::<gst::tags::Album>(&text, append),
                    b"ISBJ" => tags.add::<gst::tags::Description>(&text, append),
                    _ => {}
                },
            }
        }
    }
    tags
}

/// Tags for one stream.
pub(crate) fn tags_of_stream(stream: &Stream) -> gst::TagList {
    let mut tags = gst::TagList::new();
    {
        let tags = tags.make_mut();
        tags.set_scope(gst::TagScope::Stream);
        let replace = gst::TagMergeMode::Replace;
        match &stream.format {
            Format::Pcm(_) => tags.add::<gst::tags::AudioCodec>(&"Uncompressed PCM", replace),
            Format::Coded(coded) => {
                tags.add::<gst::tags::AudioCodec>(&codec(coded.codec).2, replace);
            }
            _ => tags.add::<gst::tags::VideoCodec>(&"Motion JPEG", replace),
        }
        if let Some(name) = &stream.name {
            tags.add::<gst::tags::Title>(&name.as_str(), gst::TagMergeMode::Replace);
        }
    }
    tags
}
