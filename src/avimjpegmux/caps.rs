// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the pads accept, and what that means in an AVI file.

use gst::prelude::*;

use crate::streams::{Profile, layout_of, speakers};
use avi_mjpeg::pcm::Layout;
use avi_mjpeg::recorder::inputs::InputFormat;
use avi_mjpeg::timeline::Rate;

/// Why caps were refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum CapsError {
    #[error("{0} is not image/jpeg; encode it with jpegenc")]
    NotJpeg(String),
    #[error("pictures of {0}x{1} do not fit into an AVI file; scale them down to 32767x32767")]
    TooLarge(i32, i32),
    #[error(
        "{0} is not PCM that an AVI file can have; convert it with audioconvert to \
         U8, S16LE, S24LE or S32LE"
    )]
    NotPcm(String),
    #[error(
        "the K210 plays sound of one or two channels in S16LE only; convert {0} with audioconvert"
    )]
    NotK210(String),
}

/// The formats of PCM.
const PCM: [gst_audio::AudioFormat; 4] = [
    gst_audio::AudioFormat::U8,
    gst_audio::AudioFormat::S16le,
    gst_audio::AudioFormat::S24le,
    gst_audio::AudioFormat::S32le,
];

/// Whether a pad is one for pictures.
pub(super) fn is_video(pad: &gst::Pad) -> bool {
    pad.pad_template()
        .is_some_and(|template| template.name_template() == "video_%u")
}

pub(super) fn video_template() -> gst::Caps {
    gst::Caps::builder("image/jpeg").build()
}

pub(super) fn audio_template(profile: Profile) -> gst::Caps {
    let (formats, channels) = match profile {
        Profile::Standard => (&PCM[..], 8),
        // The player knows no other; its I2S output has two channels.
        Profile::K210 => (&PCM[1..2], 2),
    };
    gst_audio::AudioCapsBuilder::new_interleaved()
        .format_list(formats.iter().copied())
        .rate_range(1..=192_000)
        .channels_range(1..=channels)
        .build()
}

/// What video caps mean.
pub(super) fn video_format(caps: &gst::Caps) -> Result<InputFormat, CapsError> {
    let not_jpeg = || CapsError::NotJpeg(caps.to_string());
    let structure = caps.structure(0).ok_or_else(not_jpeg)?;
    if structure.name() != "image/jpeg" {
        return Err(not_jpeg());
    }
    let size = match (structure.get("width"), structure.get("height")) {
        (Ok(width), Ok(height)) => match (i16::try_from(width), i16::try_from(height)) {
            (Ok(w @ 1..), Ok(h @ 1..)) => Some((w as u32, h as u32)),
            _ => return Err(CapsError::TooLarge(width, height)),
        },
        _ => None,
    };
    let rate = |field| {
        let rate = structure.get::<gst::Fraction>(field).ok()?;
        Rate::new(rate.numer().try_into().ok()?, rate.denom().try_into().ok()?)
    };
    let rate_of_all = rate("framerate");
    Ok(InputFormat::Video {
        size,
        rate: rate_of_all.or_else(|| rate("max-framerate")),
        is_most: rate_of_all.is_none(),
    })
}

/// What audio caps mean in a file of a profile.
pub(super) fn audio_format(caps: &gst::Caps, profile: Profile) -> Result<InputFormat, CapsError> {
    let not_pcm = || CapsError::NotPcm(caps.to_string());
    let info = gst_audio::AudioInfo::from_caps(caps).map_err(|_| not_pcm())?;
    let layout = layout_of(&info)
        .filter(|_| PCM.contains(&info.format()))
        .filter(|_| info.layout() == gst_audio::AudioLayout::Interleaved)
        .ok_or_else(not_pcm)?;
    if !caps.is_subset(&audio_template(profile)) {
        return Err(CapsError::NotK210(caps.to_string()));
    }
    let speakers = info.positions().map(speakers::wave_mask);
    let layout = Layout { speakers, ..layout };
    Ok(InputFormat::Audio(layout.wave()))
}
