// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a recording for the K210 rules out before it begins. Knows no GStreamer.

/// The muxer that knows the K210's rules.
pub(crate) const MUXER: &str = "avimjpegmux";

/// Columns and rows of the K210's screen: the player shows the middle of what is larger
/// (`video_hal_display` in MaixPy's `video_hal.c`).
pub(crate) const SCREEN: (u32, u32) = (320, 240);

/// Why a recording cannot be one for the K210.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProfileError {
    /// Its file is no AVI.
    #[error("profile=k210 is a form of AVI: {0:?} has to end in .avi")]
    NotAvi(String),
    /// Another muxer was named.
    #[error("profile=k210 is what avimjpegmux writes: leave muxer-factory={0} out")]
    Muxer(String),
    /// Another codec was named.
    #[error("the K210 plays Motion JPEG and PCM only: leave {property}={codec} out")]
    Codec {
        /// `video-encoder` or `audio-encoder`.
        property: &'static str,
        /// What it was set to.
        codec: String,
    },
    /// There are no pictures.
    #[error(
        "the K210 plays no file without pictures: link the pad video, or record sound to a .wav"
    )]
    NoVideo,
}

/// What a recording for the K210 was set to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choices<'a> {
    /// The file.
    pub location: &'a str,
    /// Its container writes Motion JPEG by itself.
    pub is_avi: bool,
    pub muxer: Option<&'a str>,
    pub video_encoder: Option<&'a str>,
    pub audio_encoder: Option<&'a str>,
}

impl Choices<'_> {
    /// Whether the K210 can play what comes of them.
    pub(crate) fn check(&self) -> Result<(), ProfileError> {
        if let Some(muxer) = self.muxer.filter(|muxer| *muxer != MUXER) {
            return Err(ProfileError::Muxer(muxer.to_owned()));
        }
        if !self.is_avi {
            return Err(ProfileError::NotAvi(self.location.to_owned()));
        }
        // Elements are asked what they make when they are there.
        let other = |codec: &&str| ["h264", "h265"].contains(codec);
        let video = self.video_encoder.filter(other);
        let named = [
            ("video-encoder", video),
            ("audio-encoder", self.audio_encoder),
        ];
        match named
            .into_iter()
            .find_map(|(property, codec)| Some((property, codec?)))
        {
            Some((property, codec)) => Err(ProfileError::Codec {
                property,
                codec: codec.to_owned(),
            }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_k210_does_not_play_is_refused() {
        let avi = Choices {
            location: "a.avi",
            is_avi: true,
            muxer: None,
            video_encoder: None,
            audio_encoder: None,
        };
        assert_eq!(avi.check(), Ok(()));
        let muxer = Some(MUXER);
        let video_encoder = Some("parallelenc");
        assert_eq!(
            Choices {
                muxer,
                video_encoder,
                ..avi
            }
            .check(),
            Ok(())
        );
        let muxer = Some("avimux");
        assert_eq!(
            Choices { muxer, ..avi }.check(),
            Err(ProfileError::Muxer("avimux".into()))
        );
        let video_encoder = Some("h264");
        let refused = Choices {
            video_encoder,
            ..avi
        }
        .check()
        .unwrap_err();
        assert!(refused.to_string().contains("video-encoder=h264"));
        let audio_encoder = Some("opusenc");
        let refused = Choices {
            audio_encoder,
            ..avi
        }
        .check()
        .unwrap_err();
        assert!(refused.to_string().contains("audio-encoder=opusenc"));
        let (location, is_avi) = ("a.mp4", false);
        assert_eq!(
            Choices {
                location,
                is_avi,
                ..avi
            }
            .check(),
            Err(ProfileError::NotAvi("a.mp4".into()))
        );
    }
}
