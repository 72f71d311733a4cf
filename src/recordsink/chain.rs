// SPDX-License-Identifier: MIT OR Apache-2.0
//! The elements between a pad and the file, by what arrives and what the file holds.

use gst::glib;
use gst::prelude::*;

use super::container::{Container, Elementary, VideoCodec};
use super::encoder::{self, Wish};
use super::imp::CAT;
use super::quality::Pace;
use super::settings::Settings;
use crate::streams::{self, WAV_FORMATS, missing};

/// Pictures with colour at half the resolution: every player decodes what becomes of them, which
/// cannot be said of 4:4:4 and of more than eight bits.
pub const PLAYABLE: [gst_video::VideoFormat; 3] = [
    gst_video::VideoFormat::I420,
    gst_video::VideoFormat::Nv12,
    gst_video::VideoFormat::Yv12,
];

/// Pictures as a JPEG has them: JFIF's colours are BT.601's in the full range, and `jpegenc` stores
/// what it gets. Colour is at half the resolution both ways, as picamera2's `JpegEncoder` has it by
/// default; a camera that gives 4:2:2 keeps it, for players take it and there is less to convert,
/// and one without colour gets no colour.
fn jpeg_caps(input: &gst::CapsRef) -> gst::Caps {
    use gst_video::VideoFormat::{Gray8, Uyvy, Y42b, Yuy2};
    let info = gst_video::VideoInfo::from_caps(input).ok();
    let format = info.as_ref().map(gst_video::VideoInfo::format_info);
    if format
        .as_ref()
        .is_some_and(gst_video::VideoFormatInfo::is_gray)
    {
        return gst_video::VideoCapsBuilder::new().format(Gray8).build();
    }
    let halved = |component: usize| {
        let format = format.as_ref();
        format.is_some_and(|f| f.w_sub().get(component) == Some(&1) && f.h_sub()[component] == 0)
    };
    let formats: &[gst_video::VideoFormat] = if halved(1) {
        &[Yuy2, Uyvy, Y42b]
    } else {
        &PLAYABLE
    };
    gst_video::VideoCapsBuilder::new()
        .format_list(formats.iter().copied())
        .field("colorimetry", "1:4:0:0")
        .build()
}

/// From the video pad: an encoder for raw pictures, a parser where one is needed.
pub fn video_chain(
    settings: &Settings,
    container: Container,
    caps: &gst::Caps,
) -> Result<Vec<gst::Element>, gst::ErrorMessage> {
    let make = |factory| streams::make(factory).map_err(|err| missing(&err));
    let elementary = matches!(container, Container::Elementary(_));
    let mut chain = Vec::new();
    let mut codec = None;
    let mut parser = streams::parser(caps);
    if streams::is_raw(caps) {
        let (name, wanted) = match settings.video_encoder.as_deref() {
            Some("h264") => (None, Some(VideoCodec::H264)),
            Some("h265") => (None, Some(VideoCodec::H265)),
            Some("mjpeg") => (None, Some(VideoCodec::Jpeg)),
            name => (name, container.video()),
        };
        let wanted = wanted
            .ok_or_else(|| gst::error_msg!(gst::StreamError::Mux, ["The file holds no video"]))?;
        let structure = caps.structure(0);
        let dimension = |name| {
            structure
                .and_then(|structure| structure.get::<i32>(name).ok())
                .and_then(|value| u32::try_from(value).ok())
                .unwrap_or_default()
        };
        let framerate = structure
            .and_then(|structure| structure.get::<gst::Fraction>("framerate").ok())
            .filter(|framerate| framerate.numer() > 0)
            .map_or(30.0, |rate| {
                f64::from(rate.numer()) / f64::from(rate.denom())
            });
        let wish = Wish {
            codec: wanted,
            quality: settings.quality,
            bitrate: settings.bitrate,
            pace: Pace {
                width: dimension("width"),
                height: dimension("height"),
                framerate,
            },
        };
        let encoder = encoder::video(name, &wish).map_err(|err| missing(&err))?;
        if settings.bitrate > 0 && encoder::has_no_rate(&encoder) {
            gst::warning!(
                CAT,
                "{} keeps no bit rate: quality says how good it is",
                encoder.name()
            );
        }
        let made = encoder
            .static_pad("src")
            .map_or_else(gst::Caps::new_empty, |pad| pad.pad_template_caps());
        let jpeg = |structure: &gst::StructureRef| structure.name() == "image/jpeg";
        chain.push(make("videoconvert")?);
        let playable = if wanted == VideoCodec::Jpeg || (made.size() > 0 && made.iter().all(jpeg)) {
            jpeg_caps(caps)
        } else {
            gst_video::VideoCapsBuilder::new()
                .format_list(PLAYABLE)
                .build()
        };
        if encoder
            .static_pad("sink")
            .is_some_and(|pad| pad.pad_template_caps().can_intersect(&playable))
        {
            let filter = make("capsfilter")?;
            filter.set_property("caps", playable);
            chain.push(filter);
        }
        chain.push(encoder);
        // One encoder may make several codecs.
        if made
            .iter()
            .any(|structure| structure.name() == wanted.caps_name())
        {
            let filter = make("capsfilter")?;
            filter.set_property("caps", gst::Caps::new_empty_simple(wanted.caps_name()));
            chain.push(filter);
            codec = Some(wanted);
            parser = match wanted {
                VideoCodec::H264 => Some("h264parse"),
                VideoCodec::H265 => Some("h265parse"),
                VideoCodec::Jpeg => None,
            };
        } else {
            parser = streams::parser(&made);
        }
    } else if let Some(structure) = caps.structure(0) {
        codec = [VideoCodec::H264, VideoCodec::H265, VideoCodec::Jpeg]
            .into_iter()
            .find(|codec| codec.caps_name() == structure.name());
    }
    if elementary && codec != container.video() {
        return Err(gst::error_msg!(
            gst::StreamError::Mux,
            [
                "The file's extension asks for {}, and what arrives is {}",
                container.video().map_or("no video", VideoCodec::caps_name),
                codec.map_or("something else", VideoCodec::caps_name)
            ]
        ));
    }
    if let Some(parser) = parser {
        let parser = make(parser)?;
        if elementary && parser.has_property("config-interval") {
            // Each file has to begin with what a decoder needs, and picamera2 repeats it too.
            parser.set_property("config-interval", -1_i32);
        }
        chain.push(parser);
    }
    if let (true, Some(codec @ (VideoCodec::H264 | VideoCodec::H265))) = (elementary, codec) {
        let filter = make("capsfilter")?;
        let caps = gst::Caps::builder(codec.caps_name())
            .field("stream-format", "byte-stream")
            .field("alignment", "au")
            .build();
        filter.set_property("caps", caps);
        chain.push(filter);
    }
    Ok(chain)
}

/// From the audio pad, likewise.
pub fn audio_chain(
    settings: &Settings,
    container: Container,
    caps: &gst::Caps,
) -> Result<Vec<gst::Element>, gst::ErrorMessage> {
    let make = |factory| streams::make(factory).map_err(|err| missing(&err));
    let mut chain = Vec::new();
    if !streams::is_raw(caps) {
        if container == Container::Elementary(Elementary::Audio) {
            return Err(gst::error_msg!(
                gst::StreamError::Mux,
                [".wav and .pcm hold raw sound only, and what arrives is encoded: decode it first"]
            ));
        }
        if let Some(parser) = streams::parser(caps) {
            chain.push(make(parser)?);
        }
        return Ok(chain);
    }
    let codec = container
        .audio()
        .ok_or_else(|| gst::error_msg!(gst::StreamError::Mux, ["The file holds no sound"]))?;
    chain.push(make("audioconvert")?);
    let encoder =
        encoder::audio(settings.audio_encoder.as_deref(), codec).map_err(|err| missing(&err))?;
    match encoder {
        Some(encoder) => {
            chain.push(make("audioresample")?);
            let made = encoder
                .static_pad("src")
                .map_or_else(gst::Caps::new_empty, |pad| pad.pad_template_caps());
            chain.push(encoder);
            if let Some(parser) = streams::parser(&made) {
                chain.push(make(parser)?);
            }
        }
        None => {
            let filter = make("capsfilter")?;
            let formats = match container {
                // Sixteen bits are what every player of an AVI, the K210 included, takes.
                Container::Muxed { .. } => vec![gst_audio::AudioFormat::S16le],
                Container::Elementary(_) => WAV_FORMATS.to_vec(),
            };
            let caps = gst_audio::AudioCapsBuilder::new_interleaved()
                .format_list(formats)
                .build();
            filter.set_property("caps", caps);
            chain.push(filter);
        }
    }
    Ok(chain)
}

/// What shows the video, behind a queue that forgets rather than hold the recording up.
pub fn preview_chain(raw: bool) -> Result<Vec<gst::Element>, gst::ErrorMessage> {
    let make = |factory| streams::make(factory).map_err(|err| missing(&err));
    let queue = make("queue")?;
    queue.set_property_from_str("leaky", "downstream");
    queue.set_property("max-size-buffers", 3_u32);
    let mut chain = vec![queue];
    if !raw {
        chain.push(make("decodebin")?);
    }
    chain.push(make("videoconvert")?);
    chain.push(match display() {
        Some(sink) => make(sink)?,
        None => {
            gst::warning!(CAT, "There is no display: the preview shows nothing");
            let sink = make("fakesink")?;
            sink.set_property("sync", true);
            sink
        }
    });
    Ok(chain)
}

/// The sink for the display that there is. `autovideosink` looks for one by trying all drivers,
/// and some of those do not survive a machine without a display.
fn display() -> Option<&'static str> {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if is_set("DISPLAY") || is_set("WAYLAND_DISPLAY") {
        Some("autovideosink")
    } else if std::path::Path::new("/dev/dri/card0").exists() {
        Some("kmssink")
    } else {
        None
    }
}

/// Links a preview behind `tee`; a decoder's pad comes when it knows what it decodes.
pub fn link_preview(tee: &gst::Element, preview: &[gst::Element]) -> Result<(), glib::BoolError> {
    for element in preview.iter().rev() {
        element.sync_state_with_parent()?;
    }
    let decoder = preview.iter().position(|element| {
        element
            .factory()
            .is_some_and(|factory| factory.name() == "decodebin")
    });
    let (before, after) = preview.split_at(decoder.map_or(0, |decoder| decoder + 1));
    streams::link(before)?;
    streams::link(after)?;
    if let (Some(decoder), Some(next)) = (before.last(), after.first()) {
        let next = next.downgrade();
        decoder.connect_pad_added(move |_, pad| {
            if let Some(sink) = next.upgrade().and_then(|next| next.static_pad("sink"))
                && !sink.is_linked()
            {
                let _ = pad.link(&sink);
            }
        });
    }
    preview.first().map_or(Ok(()), |first| tee.link(first))
}
