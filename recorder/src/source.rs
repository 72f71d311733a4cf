// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a camera's `source` says, and the pipeline that follows from it. The elements do the work;
//! here is only which ones.

use gst::prelude::*;

use crate::config::{Camera, Encode};

/// Frames a second of the live picture at most, where it is made and not the camera's own.
const LIVE_RATE: u32 = 10;

/// What makes JPEGs of pictures.
const TO_JPEG: &str = "! videoconvert ! jpegenc quality=80";

/// Pictures a second in which motion is looked for.
const MOTION_RATE: u32 = 5;

/// The element from which the pictures of a camera that encodes itself come to the one who looks at them.
const LOOK: &str = "look";

/// What takes the sound as it comes, and what encodes it.
const MICROPHONE: &str = "microphone";
const VOICE: &str = "voice";

/// Where pictures come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// What `k210camerasrc` takes as its device; the first board that is found if empty.
    K210(String),
    /// A V4L2 node.
    V4l2(String),
    /// A camera in the network, by its address.
    Rtsp(String),
    /// Anything else, as `gst-launch-1.0` takes it; one stream of pictures comes out.
    Pipeline(String),
}

impl Source {
    /// Reads a description.
    pub(crate) fn parse(text: &str) -> Self {
        let text = text.trim();
        if let Some(device) = text.strip_prefix("k210:") {
            Self::K210(device.to_owned())
        } else if let Some(device) = text.strip_prefix("v4l2:") {
            Self::V4l2(device.to_owned())
        } else if text.starts_with("rtsp://") || text.starts_with("rtsps://") {
            Self::Rtsp(text.to_owned())
        } else {
            Self::Pipeline(text.to_owned())
        }
    }

    /// Whether its element comes back by itself when the camera was gone, with what was kept.
    pub(crate) fn reconnects(&self) -> bool {
        matches!(self, Self::K210(_))
    }

    /// The elements of the source; what a user's text could break out of is set later.
    fn elements(&self) -> &str {
        match self {
            Self::K210(_) => "k210camerasrc name=source",
            Self::V4l2(_) => "v4l2src name=source",
            Self::Rtsp(_) => {
                "rtspsrc name=source latency=200 ! application/x-rtp,media=video ! parsebin"
            }
            Self::Pipeline(text) => text,
        }
    }

    /// The property of the element `source` that has the address, and the address.
    fn address(&self) -> Option<(&'static str, &str)> {
        let (property, address) = match self {
            Self::K210(device) | Self::V4l2(device) => ("device", device),
            Self::Rtsp(address) => ("location", address),
            Self::Pipeline(_) => return None,
        };
        (!address.is_empty()).then_some((property, address.as_str()))
    }

    /// Whether the picture is encoded here.
    fn encoded(&self, encode: Encode) -> bool {
        match encode {
            Encode::Auto => !matches!(self, Self::Rtsp(_)),
            Encode::H264 => true,
            Encode::None => false,
        }
    }
}

/// The pipeline of a camera, as `gst-launch-1.0` would take it.
///
/// The picture goes to `ring`, a `circularsink`, to `continuous`, a `recordsink`, if that is wanted,
/// and as JPEG to `live`. A camera's own JPEGs are the live picture as they are; of what comes
/// encoded otherwise, only key units are decoded for it.
pub(crate) fn description(camera: &Camera) -> String {
    let source = Source::parse(&camera.source);
    let elements = source.elements();
    let live = "appsink name=live sync=false async=false max-buffers=1 drop=true caps=image/jpeg";
    let to_jpeg = format!("{TO_JPEG} ! {live}");
    let latest = "queue leaky=downstream max-size-buffers=2 max-size-bytes=0 max-size-time=0";
    let h264 = h264(camera.bitrate);
    let sinks = sinks(camera);
    let pictures = match (&source, source.encoded(camera.encode)) {
        // The board sends JPEG.
        (Source::K210(_), true) => format!(
            "{elements} ! tee name=t t. ! {latest} ! {live} \
             t. ! queue ! jpegdec ! {h264} ! {}",
            sinks.picture
        ),
        (Source::K210(_), false) => format!(
            "{elements} ! tee name=t t. ! {latest} ! {live} t. ! {}",
            sinks.picture
        ),
        (_, true) => format!(
            "{elements} ! decodebin ! tee name=t \
             t. ! {latest} ! videorate drop-only=true max-rate={LIVE_RATE} {to_jpeg} \
             t. ! queue ! {h264} ! {}",
            sinks.picture
        ),
        // The ring holds nobody up: it needs no queue. What follows LOOK is known when pictures come.
        (_, false) => format!(
            "{elements} ! tee name=t \
             t. ! queue leaky=downstream ! identity drop-buffer-flags=delta-unit ! \
             decodebin name={LOOK} caps=image/jpeg;video/x-raw(ANY) {live} \
             t. ! {}",
            sinks.picture
        ),
    };
    let sound = sinks.sound.unwrap_or_default();
    let motion = motion(camera, &source);
    format!(
        "{pictures} {motion} circularsink name=ring {} {sound}",
        sinks.more
    )
}

/// Small grey pictures for the one who looks for motion; key units only of what comes encoded.
fn motion(camera: &Camera, source: &Source) -> String {
    if camera.motion.is_none() {
        return String::new();
    }
    let encoded = !source.encoded(camera.encode) && !matches!(source, Source::K210(_));
    let key_units = match encoded {
        true => "identity drop-buffer-flags=delta-unit !",
        false => "",
    };
    format!(
        "t. ! queue leaky=downstream max-size-buffers=2 max-size-bytes=0 max-size-time=0 ! {key_units} \
         decodebin ! videorate drop-only=true max-rate={MOTION_RATE} ! videoconvert ! videoscale ! \
         video/x-raw,format=GRAY8,width=64,height=48 ! \
         appsink name=motion sync=false async=false max-buffers=1 drop=true"
    )
}

/// A key unit every 30 frames: a clip begins at most that much earlier than asked.
fn h264(bitrate: u32) -> String {
    format!(
        "videoconvert ! video/x-raw,format=I420 ! x264enc tune=zerolatency \
         speed-preset=veryfast bitrate={bitrate} key-int-max=30 ! \
         video/x-h264,profile=high ! h264parse"
    )
}

/// Where streams go.
struct Sinks {
    /// What follows the picture.
    picture: String,
    /// The sound, from its source on.
    sound: Option<String>,
    /// Sinks that stand beside the ring.
    more: &'static str,
}

fn sinks(camera: &Camera) -> Sinks {
    let both = camera.continuous.is_some();
    // A disk that stands still costs the continuous recording frames, never the ring.
    let patient = "queue leaky=downstream max-size-buffers=0 max-size-bytes=67108864 \
                   max-size-time=10000000000";
    let end = |pad: &str, audio: &str, tee: &str| match both {
        false => format!("ring.{pad}"),
        true => {
            format!("tee name={tee} {tee}. ! ring.{pad} {tee}. ! {patient} ! continuous.{audio}")
        }
    };
    let sound = camera.sound.as_ref().map(|sound| {
        format!(
            "{sound} ! queue ! audioconvert name={MICROPHONE} ! audioresample ! audio/x-raw,rate=48000 ! \
             avenc_aac name={VOICE} bitrate=128000 ! aacparse ! {}",
            end("audio_0", "audio", "s")
        )
    });
    Sinks {
        picture: end("video", "video", "p"),
        sound,
        more: if both {
            "recordsink name=continuous"
        } else {
            ""
        },
    }
}

/// Builds a camera's pipeline in NULL, without what the recordings are called.
pub(crate) fn build(camera: &Camera) -> Result<gst::Pipeline, gst::glib::Error> {
    let flags = gst::ParseFlags::FATAL_ERRORS;
    let element = gst::parse::launch_full(&description(camera), None, flags)?;
    let pipeline = element
        .downcast::<gst::Pipeline>()
        .map_err(|_| gst::glib::Error::new(gst::CoreError::Failed, "the source is no pipeline"))?;
    let source = Source::parse(&camera.source);
    if let (Some((property, address)), Some(element)) =
        (source.address(), pipeline.by_name("source"))
    {
        element.set_property(property, address);
    }
    tell_what_is_left_out(&pipeline);
    Ok(pipeline)
}

/// Tells of channels and samples that do not get into the files: conversion leaves them out without a word.
fn tell_what_is_left_out(pipeline: &gst::Pipeline) {
    let pad = |name| pipeline.by_name(name)?.static_pad("sink");
    let (Some(comes), Some(goes)) = (pad(MICROPHONE), pad(VOICE)) else {
        return;
    };
    let comes = comes.downgrade();
    goes.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |goes, info| {
        if let Some(gst::EventView::Caps(caps)) = info.event().map(|event| event.view())
            // The pad itself has them once they have been taken here.
            && let Some(came) = comes.upgrade().and_then(|pad| pad.peer()?.current_caps())
            && let Some(what) = left_out(&came, caps.caps())
            && let Some(encoder) = goes.parent_element()
        {
            gst::element_warning!(
                encoder,
                gst::StreamError::Encode,
                ("Not all of the sound is recorded: {what}")
            );
        }
        gst::PadProbeReturn::Ok
    });
}

/// What is left out of sound that came so and goes on so.
fn left_out(came: &gst::CapsRef, goes: &gst::CapsRef) -> Option<String> {
    let fewer = |field: &str| {
        let number = |caps: &gst::CapsRef| caps.structure(0)?.get::<i32>(field).ok();
        let (came, goes) = (number(came)?, number(goes)?);
        (goes < came).then(|| format!("{field}={came} comes, and {field}={goes} is encoded"))
    };
    let what: Vec<String> = ["channels", "rate"].into_iter().filter_map(fewer).collect();
    (!what.is_empty()).then(|| what.join("; "))
}

/// Makes the live picture of what a camera encodes itself: its JPEGs as they are, at [`LIVE_RATE`] at most, JPEGs of
/// anything else.
pub(crate) fn show_what_is_encoded(pipeline: &gst::Pipeline) {
    let (Some(look), Some(live)) = (pipeline.by_name(LOOK), pipeline.by_name("live")) else {
        return;
    };
    let pipeline = pipeline.downgrade();
    look.connect_pad_added(move |look, pad| {
        let Some(pipeline) = pipeline.upgrade() else {
            return;
        };
        if let Err(error) = show(&pipeline, pad, &live) {
            gst::element_error!(
                look,
                gst::CoreError::Negotiation,
                ("The camera's picture cannot be shown: {error}")
            );
        }
    });
}

/// Puts what makes the live picture between what comes from a pad and its sink.
fn show(
    pipeline: &gst::Pipeline,
    from: &gst::Pad,
    live: &gst::Element,
) -> Result<(), Box<dyn std::error::Error>> {
    let caps = from.current_caps().unwrap_or_else(|| from.query_caps(None));
    let kind = caps.structure(0).map(gst::StructureRef::name);
    let encoder = match kind.map(|it| it.as_str()) {
        Some("image/jpeg") => "",
        _ => TO_JPEG,
    };
    let text = format!("videorate drop-only=true max-rate={LIVE_RATE} {encoder}");
    let shower = gst::parse::bin_from_description(&text, true)?.upcast::<gst::Element>();
    pipeline.add(&shower)?;
    shower.link(live)?;
    shower.sync_state_with_parent()?;
    let entry = shower.static_pad("sink").ok_or("it has no pad")?;
    from.link(&entry)?;
    Ok(())
}

/// Has the parameter sets of H.264 and H.265 come with each key unit, for those who begin to watch with one: many
/// cameras send them once. What is inside of the recording sinks is theirs.
pub(crate) fn repeat_parameter_sets(pipeline: &gst::Pipeline) {
    fn set(element: &gst::Element) {
        let made_by = |object: &gst::Object, names: &[&str]| {
            let factory = object.downcast_ref::<gst::Element>()?.factory()?;
            Some(names.contains(&factory.name().as_str()))
        };
        let is = |object: &gst::Object, names: &[&str]| made_by(object, names) == Some(true);
        let mut parents = std::iter::successors(element.parent(), |parent| parent.parent());
        if is(element.upcast_ref(), &["h264parse", "h265parse"])
            && !parents.any(|parent| is(&parent, &["circularsink", "recordsink"]))
        {
            element.set_property("config-interval", -1_i32);
        }
    }
    for element in pipeline.iterate_recurse().into_iter().flatten() {
        set(&element);
    }
    pipeline.connect_deep_element_added(|_, _, element| set(element));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_told_apart() {
        assert_eq!(Source::parse("k210:"), Source::K210(String::new()));
        assert_eq!(
            Source::parse("k210:tcp://host:1"),
            Source::K210("tcp://host:1".into())
        );
        assert_eq!(
            Source::parse("v4l2:/dev/video0"),
            Source::V4l2("/dev/video0".into())
        );
        assert_eq!(
            Source::parse("rtsp://a/b"),
            Source::Rtsp("rtsp://a/b".into())
        );
        let pipeline = "videotestsrc ! identity";
        assert_eq!(Source::parse(pipeline), Source::Pipeline(pipeline.into()));
    }
}
