// SPDX-License-Identifier: MIT OR Apache-2.0
//! The elements between a pad and the file, by what arrives and what the file holds.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use avi_mjpeg::timeline::Rate;
use gst::glib;
use gst::prelude::*;

use super::CAT;
use super::encoder::{self, Wish};
use super::fit;
use super::mixdown::Fitted;
use super::quality::Pace;
use super::recorder::settings_error;
use super::settings::Settings;
use super::size::{self, Shape};
use crate::streams::containers::{Container, Kind, VideoCodec};
use crate::streams::ticks::{NOTHING, has_duration};
use crate::streams::{self, Profile, WAV_FORMATS, entry, missing, set_if_there};
use crate::sync::lock;

fn make(factory: &str) -> Result<gst::Element, gst::ErrorMessage> {
    streams::make(factory).map_err(|err| missing(&err))
}

/// A filter that lets `caps` through.
fn filter(caps: gst::Caps) -> Result<gst::Element, gst::ErrorMessage> {
    let filter = make("capsfilter")?;
    filter.set_property("caps", caps);
    Ok(filter)
}

/// Pictures with colour at half the resolution: every player decodes what becomes of them, which
/// cannot be said of 4:4:4 and of more than eight bits.
pub(crate) const PLAYABLE: [gst_video::VideoFormat; 3] = [
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
    jpeg_caps_of(formats)
}

fn jpeg_caps_of(formats: &[gst_video::VideoFormat]) -> gst::Caps {
    gst_video::VideoCapsBuilder::new()
        .format_list(formats.iter().copied())
        .field("colorimetry", "1:4:0:0")
        .build()
}

/// Samples a second of sound for the K210 at most: what its card reads beside the pictures.
const K210_RATE: i32 = 48_000;

/// Frames a second; picamera2 takes 30 where it does not know.
const USUAL_RATE: f64 = 30.0;

/// Size and rate that caps tell.
fn pace_of(caps: &gst::CapsRef) -> Pace {
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
        .map_or(USUAL_RATE, |rate| {
            f64::from(rate.numer()) / f64::from(rate.denom())
        });
    Pace {
        width: dimension("width"),
        height: dimension("height"),
        framerate,
    }
}

/// Encoders that take even sizes only; others may pad.
const EVEN: [&str; 4] = ["x264enc", "x265enc", "openh264enc", "k230venc"];

/// Refuses a size that an encoder of H.264 or H.265 would: colour at half the resolution wants an even one.
fn check_size(codec: VideoCodec, pace: Pace) -> Result<(), gst::ErrorMessage> {
    let Pace { width, height, .. } = pace;
    let halves = matches!(codec, VideoCodec::H264 | VideoCodec::H265);
    if !halves || (width % 2 == 0 && height % 2 == 0) {
        return Ok(());
    }
    Err(settings_error(format_args!(
        "Pictures of {width}x{height} cannot be encoded as {}, whose width and height are even: set width \
         and height, or put videocrop in front",
        match codec {
            VideoCodec::H265 => "H.265",
            _ => "H.264",
        }
    )))
}

/// The codec that is wanted of raw video, and the encoder that was named.
fn wanted_codec<'a>(
    settings: &'a Settings,
    container: &Container,
) -> Result<(VideoCodec, Option<&'a str>), gst::ErrorMessage> {
    let named = settings.video_encoder.as_deref();
    let (name, codec) = match named.and_then(encoder::codec_named) {
        Some(codec) => (None, Some(codec)),
        None => (named, container.video),
    };
    let codec =
        codec.ok_or_else(|| gst::error_msg!(gst::StreamError::Mux, ("The file holds no video")))?;
    Ok((codec, name))
}

fn source_caps(element: &gst::Element) -> gst::Caps {
    element
        .static_pad("src")
        .map_or_else(gst::Caps::new_empty, |pad| pad.pad_template_caps())
}

/// Refuses pictures that there is no memory for: GStreamer's elements write into what they asked for whether they got it
/// or not.
fn check_memory(caps: &gst::Caps, width: i32, height: i32) -> Result<(), gst::ErrorMessage> {
    let bytes = gst_video::VideoInfo::from_caps(caps).map_or(usize::MAX, |info| info.size());
    // What is scaled, what is converted from it, and the encoder's own.
    let mut pictures: [Vec<u8>; 3] = Default::default();
    let mut all = pictures.iter_mut();
    let is_there = all.all(|picture| picture.try_reserve_exact(bytes).is_ok());
    std::hint::black_box(&pictures);
    match is_there {
        true => Ok(()),
        false => Err(settings_error(format_args!(
            "There is no memory for pictures of {width}x{height}: smaller width and height need less"
        ))),
    }
}

/// What scales raw pictures, and what comes out of it.
fn scaling(
    settings: &Settings,
    caps: &gst::Caps,
) -> Result<(Vec<gst::Element>, gst::Caps), gst::ErrorMessage> {
    let shape = gst_video::VideoInfo::from_caps(caps).ok().map(|info| {
        let side = |number: i32| u32::try_from(number).unwrap_or(1);
        Shape {
            width: info.width(),
            height: info.height(),
            pixel: (side(info.par().numer()), side(info.par().denom())),
        }
    });
    let (width, height) = (settings.width, settings.height);
    let Some((width, height)) = shape.and_then(|shape| size::scaled(shape, width, height)) else {
        return Ok((Vec::new(), caps.clone()));
    };
    let (width, height) = (width as i32, height as i32);
    let square = gst::Fraction::new(1, 1);
    let wanted = gst::Caps::builder("video/x-raw")
        .field("width", width)
        .field("height", height)
        .field("pixel-aspect-ratio", square);
    let scale = make("videoscale")?;
    set_if_there(&scale, "add-borders", "true");
    let mut scaled = caps.clone();
    let fields = scaled.make_mut();
    fields.set("width", width);
    fields.set("height", height);
    fields.set("pixel-aspect-ratio", square);
    check_memory(&scaled, width, height)?;
    Ok((vec![scale, filter(wanted.build())?], scaled))
}

/// What encodes raw video, and what comes out of it.
fn encoding(
    settings: &Settings,
    container: &Container,
    caps: &gst::Caps,
) -> Result<(Vec<gst::Element>, gst::Caps), gst::ErrorMessage> {
    let (mut chain, caps) = scaling(settings, caps)?;
    let caps = &caps;
    let (codec, name) = wanted_codec(settings, container)?;
    let wish = Wish {
        codec,
        quality: settings.quality,
        bitrate: settings.bitrate,
        pace: pace_of(caps),
    };
    let encoder = encoder::video(name, &wish).map_err(|err| missing(&err))?;
    if name.is_none_or(|name| EVEN.contains(&name)) {
        check_size(codec, wish.pace)?;
    }
    if settings.bitrate > 0 && encoder::has_no_rate(&encoder) {
        gst::warning!(
            CAT,
            "{} keeps no bit rate: quality says how good it is",
            encoder.name()
        );
    }
    let made = source_caps(&encoder);
    chain.push(make("videoconvert")?);
    let jpeg = |structure: &gst::StructureRef| structure.name() == "image/jpeg";
    let jpegs = codec == VideoCodec::Jpeg || (made.size() > 0 && made.iter().all(jpeg));
    let for_k210 = settings.profile == Profile::K210;
    let playable = match jpegs {
        // Its decoder does not know other colours, nor none.
        true if for_k210 => jpeg_caps_of(&PLAYABLE),
        true => jpeg_caps(caps),
        false => gst_video::VideoCapsBuilder::new()
            .format_list(PLAYABLE)
            .build(),
    };
    if encoder
        .static_pad("sink")
        .is_some_and(|pad| pad.pad_template_caps().can_intersect(&playable))
    {
        chain.push(filter(playable)?);
    }
    let is_jpegenc = encoder.factory().is_some_and(|it| it.name() == "jpegenc");
    let source = chain.last().and_then(|last| last.static_pad("src"));
    if let (true, true, Some(source)) = (for_k210, is_jpegenc, source) {
        fit::encode_until_they_fit(&source, &encoder);
    }
    chain.push(encoder);
    // One encoder may make several codecs.
    let wanted = gst::Caps::new_empty_simple(codec.caps_name());
    if !made.can_intersect(&wanted) {
        return Ok((chain, made));
    }
    chain.push(filter(wanted.clone())?);
    Ok((chain, wanted))
}

/// From the video pad: an encoder for raw pictures, a parser where one is needed.
pub(crate) fn video_chain(
    settings: &Settings,
    container: &Container,
    caps: &gst::Caps,
) -> Result<Vec<gst::Element>, gst::ErrorMessage> {
    let is_raw = streams::is_raw(caps);
    if !is_raw && (settings.width > 0 || settings.height > 0) {
        return Err(settings_error(format_args!(
            "width and height scale raw pictures, and what arrives is {}: decode it first, with \
             decodebin or jpegdec, or leave them out",
            caps.structure(0)
                .map_or("something else", |it| it.name().as_str())
        )));
    }
    let (mut chain, encoded) = match is_raw {
        true => encoding(settings, container, caps)?,
        false => (Vec::new(), caps.clone()),
    };
    let codec = encoded
        .structure(0)
        .map_or("something else", |s| s.name().as_str());
    let alone = match container.kind {
        Kind::Frames(_) | Kind::Pictures => container.video,
        _ => None,
    };
    if let Some(wanted) = alone
        && wanted.caps_name() != codec
    {
        return Err(gst::error_msg!(
            gst::StreamError::Mux,
            (
                "The file's extension asks for {}, and what arrives is {codec}",
                wanted.caps_name()
            )
        ));
    }
    // An encoder's pictures are whole, whatever its template leaves open.
    let raw = !chain.is_empty();
    let parser = match raw && codec == "image/jpeg" {
        true => None,
        false => streams::parser(&encoded),
    };
    if let Some(parser) = parser {
        let parser = make(parser)?;
        if codec == "image/jpeg" {
            time_pictures(&parser, caps);
        }
        if alone.is_some() || !has_parameters_apart(settings, container, codec) {
            // Each file has to begin with what a decoder needs, and picamera2 repeats it too.
            set_if_there(&parser, "config-interval", "-1");
        }
        if codec != "image/jpeg" {
            lengthen_pictures(&parser);
        }
        chain.push(parser);
    }
    if let Some(codec @ (VideoCodec::H264 | VideoCodec::H265)) = alone {
        let caps = codec.elementary_caps().parse::<gst::Caps>();
        let broken = |err| gst::error_msg!(gst::CoreError::Caps, ("{err}"));
        chain.push(filter(caps.map_err(broken)?)?);
    }
    Ok(chain)
}

/// Whether a file of a codec has what a decoder needs somewhere else than in front of its pictures.
fn has_parameters_apart(settings: &Settings, container: &Container, codec: &str) -> bool {
    let muxer = settings.muxer_factory.as_deref();
    let muxer = muxer.or_else(|| Some(container.muxer([codec])?.factory));
    !matches!(muxer, Some("mpegtsmux" | "avimux"))
}

/// Has pictures without a duration last as long as those before them. The last one of an MP4 file that lasts no time
/// is shown by nobody.
fn lengthen_pictures(parser: &gst::Element) {
    let Some(source) = parser.static_pad("src") else {
        return;
    };
    // The last time of decoding, and the last step; written by the stream's thread.
    let steps = Mutex::new((None::<gst::ClockTime>, None::<gst::ClockTime>));
    source.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let Some(buffer) = info.buffer_mut() else {
            return gst::PadProbeReturn::Ok;
        };
        let usual = {
            let mut steps = lock(&steps);
            let time = buffer.dts_or_pts();
            let step = time.and_then(|time| time.checked_sub(steps.0?));
            steps.0 = time.or(steps.0);
            steps.1 = step.filter(|step| *step > NOTHING).or(steps.1);
            steps.1
        };
        if let (Some(usual), false) = (usual, has_duration(buffer)) {
            buffer.make_mut().set_duration(usual);
        }
        gst::PadProbeReturn::Ok
    });
}

/// Gives pictures their times that are cut out of the bytes of a file: `jpegparse` gives the first one a time
/// and the others none, which muxers leave out.
fn time_pictures(parser: &gst::Element, caps: &gst::CapsRef) {
    let rate = caps
        .structure(0)
        .and_then(|structure| structure.get::<gst::Fraction>("framerate").ok())
        .and_then(|rate| Some((rate.numer().try_into().ok()?, rate.denom().try_into().ok()?)))
        .and_then(|(frames, seconds)| Rate::new(frames, seconds));
    let (Some(rate), Some(source)) = (rate, parser.static_pad("src")) else {
        return;
    };
    let pictures = AtomicU64::new(0);
    source.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let number = pictures.fetch_add(1, Ordering::Relaxed);
        if let Some(buffer) = info.buffer_mut().filter(|buffer| buffer.pts().is_none()) {
            let (time, end) = (rate.time_of(number), rate.time_of(number + 1));
            let buffer = buffer.make_mut();
            buffer.set_pts(gst::ClockTime::from_nseconds(time));
            buffer.set_duration(gst::ClockTime::from_nseconds(end - time));
        }
        gst::PadProbeReturn::Ok
    });
}

/// From the audio pad, likewise; and where raw sound is fitted to what takes it.
pub(crate) fn audio_chain(
    settings: &Settings,
    container: &Container,
    caps: &gst::Caps,
) -> Result<(Vec<gst::Element>, Option<Fitted>), gst::ErrorMessage> {
    let mut chain = Vec::new();
    if !streams::is_raw(caps) {
        if matches!(container.kind, Kind::Samples(_)) {
            return Err(gst::error_msg!(
                gst::StreamError::Mux,
                (".wav and .pcm hold raw sound only, and what arrives is encoded: decode it first")
            ));
        }
        if let Some(parser) = streams::parser(caps) {
            chain.push(make(parser)?);
        }
        return Ok((chain, None));
    }
    let codec = container
        .audio
        .ok_or_else(|| gst::error_msg!(gst::StreamError::Mux, ("The file holds no sound")))?;
    let convert = make("audioconvert")?;
    if matches!(container.kind, Kind::Samples(_)) {
        keep_early_samples(&convert);
    }
    chain.push(convert);
    let encoder =
        encoder::audio(settings.audio_encoder.as_deref(), codec).map_err(|err| missing(&err))?;
    let Some(encoder) = encoder else {
        let formats = match container.kind {
            Kind::Samples(_) => WAV_FORMATS.to_vec(),
            // Sixteen bits are what every player of an AVI, the K210 included, takes.
            _ => vec![gst_audio::AudioFormat::S16le],
        };
        let mut samples = gst_audio::AudioCapsBuilder::new_interleaved().format_list(formats);
        if settings.profile == Profile::K210 {
            chain.push(make("audioresample")?);
            samples = samples.rate_range(1..=K210_RATE).channels_range(1..=2);
        }
        let filter = filter(samples.build())?;
        chain.push(filter.clone());
        let fitted = (settings.profile == Profile::K210).then(|| Fitted::to_k210(&filter));
        return Ok((chain, fitted.flatten()));
    };
    let fitted = Fitted::to_encoder(&encoder);
    let resampler = make("audioresample")?;
    if let Some(source) = resampler.static_pad("src") {
        begin_anew_with_each_format(&source, &encoder);
    }
    chain.push(resampler);
    let made = source_caps(&encoder);
    chain.push(encoder);
    if let Some(parser) = streams::parser(&made) {
        chain.push(make(parser)?);
    }
    Ok((chain, fitted))
}

/// Has samples from before their segment go on, with the running times that they have: `audioconvert` cuts them off.
fn keep_early_samples(convert: &gst::Element) {
    let Some(sink) = convert.static_pad("sink") else {
        return;
    };
    sink.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |_, info| {
        if let Some(gst::PadProbeData::Event(event)) = &mut info.data
            && let gst::EventView::Segment(it) = event.view()
            && let Some(segment) = it.segment().downcast_ref::<gst::ClockTime>()
            && let Some(start) = segment.start()
        {
            // What is cut off is before the start, and running time begins so much behind that.
            let mut open = segment.clone();
            open.set_start(gst::ClockTime::ZERO);
            open.set_offset(segment.offset().map(|offset| offset + start));
            *event = gst::event::Segment::builder(&open)
                .seqnum(it.seqnum())
                .build();
        }
        gst::PadProbeReturn::Ok
    });
}

/// Has libav's encoders of sound begin anew when the format of the samples that come from `source` changes. They would
/// fail, or encode what nobody expects: they choose among what their own source pad offers, which is the format
/// that it has.
fn begin_anew_with_each_format(source: &gst::Pad, encoder: &gst::Element) {
    let is_libavs = |factory: gst::ElementFactory| factory.name().starts_with("avenc_");
    if !encoder.factory().is_some_and(is_libavs) {
        return;
    }
    let encoder = encoder.downgrade();
    source.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |source, info| {
        let caps = info.event().and_then(|event| match event.view() {
            gst::EventView::Caps(caps) => Some(caps.caps_owned()),
            _ => None,
        });
        let (Some(caps), Some(sink)) = (caps, source.peer()) else {
            return gst::PadProbeReturn::Ok;
        };
        let before = sink.current_caps();
        if before.is_some_and(|before| !streams::same_format(&before, &caps))
            && let Some(encoder) = encoder.upgrade()
            && let Err(err) = begin_anew(source, &sink, &encoder)
        {
            // It has what it had, and says itself that it can't go on.
            gst::warning!(CAT, obj = encoder, "It can't begin anew: {err}");
        }
        gst::PadProbeReturn::Ok
    });
}

/// Has an encoder give out what it has, and stops and starts it, in its stream's thread.
fn begin_anew(
    source: &gst::Pad,
    sink: &gst::Pad,
    encoder: &gst::Element,
) -> Result<(), glib::BoolError> {
    // Before another segment encoders give out what they have, and nobody behind them takes this one for an end.
    if let Some(segment) = sink.sticky_event::<gst::event::Segment>(0) {
        sink.send_event(segment);
    }
    // What is linked is told of the stream again.
    source.unlink(sink)?;
    let stopped = encoder.set_state(gst::State::Ready);
    let linked = source.link(sink);
    let started = encoder.sync_state_with_parent();
    stopped.map_err(|err| glib::bool_error!("{err}"))?;
    linked.map_err(|err| glib::bool_error!("{err}"))?;
    started
}

/// What shows the video, behind a queue that forgets rather than hold the recording up.
pub(crate) fn preview_chain(raw: bool) -> Result<Vec<gst::Element>, gst::ErrorMessage> {
    let queue = make("queue")?;
    set_if_there(&queue, "leaky", "downstream");
    set_if_there(&queue, "max-size-buffers", "3");
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
pub(crate) fn link_preview(
    tee: &gst::Element,
    preview: &[gst::Element],
) -> Result<(), glib::BoolError> {
    preview.iter().rev().try_for_each(entry::start)?;
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
