// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is lost of sound that an encoder does not take as it is: `audioconvert` mixes its channels into fewer and
//! `audioresample` leaves samples out, neither with a word.

use gst::prelude::*;

/// Where raw sound has become what is encoded, or written.
#[derive(Debug, Clone)]
pub(crate) struct Fitted {
    /// What takes it there.
    pub pad: gst::Pad,
    /// Whose that is, as a user knows it.
    pub by: String,
    /// What keeps all.
    pub advice: &'static str,
}

impl Fitted {
    /// To an encoder.
    pub(crate) fn to_encoder(encoder: &gst::Element) -> Option<Self> {
        Some(Self {
            pad: encoder.static_pad("sink")?,
            by: encoder.factory()?.name().into(),
            advice: "audio-encoder names another encoder, and .wav keeps all",
        })
    }

    /// To the boards that a file is for, by a filter.
    pub(crate) fn to_k210(filter: &gst::Element) -> Option<Self> {
        Some(Self {
            pad: filter.static_pad("sink")?,
            by: "a K210's player".to_owned(),
            advice: "profile=standard keeps all",
        })
    }
}

/// What is lost of sound that came so and goes on so, as a part of a sentence; `None` where nothing is.
pub(crate) fn loss(came: &gst::CapsRef, goes_on: &gst::CapsRef) -> Option<String> {
    let lost = |field: &str| {
        let number = |caps: &gst::CapsRef| caps.structure(0)?.get::<i32>(field).ok();
        let (before, after) = (number(came)?, number(goes_on)?);
        (after < before).then_some((before, after))
    };
    let channels =
        lost("channels").map(|(before, after)| format!("{before} channels are mixed into {after}"));
    let samples = lost("rate")
        .map(|(before, after)| format!("of {before} samples a second {after} are left"));
    let losses: Vec<String> = channels.into_iter().chain(samples).collect();
    (!losses.is_empty()).then(|| losses.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_lost_is_told() {
        gst::init().unwrap();
        let told = |came: &str, goes_on: &str| {
            let caps = |text: &str| -> gst::Caps { format!("audio/x-raw,{text}").parse().unwrap() };
            loss(&caps(came), &caps(goes_on))
        };
        assert_eq!(
            told("channels=8,rate=48000", "channels=6,rate=48000").as_deref(),
            Some("8 channels are mixed into 6")
        );
        assert_eq!(
            told("channels=3,rate=96000", "channels=2,rate=48000").as_deref(),
            Some("3 channels are mixed into 2 and of 96000 samples a second 48000 are left")
        );
        assert_eq!(told("channels=2,rate=44100", "channels=2,rate=48000"), None);
        assert_eq!(told("channels=1,rate=8000", "channels=2,rate=8000"), None);
        assert_eq!(told("channels=2", "rate=8000"), None);
    }
}
