// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a file's extension stands for.

use std::path::Path;

/// How pictures are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VideoCodec {
    /// H.264.
    H264,
    /// H.265.
    H265,
    /// One JPEG a frame.
    Jpeg,
}

impl VideoCodec {
    /// The codec's name in caps.
    pub fn caps_name(self) -> &'static str {
        match self {
            Self::H264 => "video/x-h264",
            Self::H265 => "video/x-h265",
            Self::Jpeg => "image/jpeg",
        }
    }
}

/// How sound is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AudioCodec {
    /// 16 bits, little endian.
    Pcm,
    /// AAC, or Opus where no AAC encoder is installed.
    Aac,
}

/// What is in a file without a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Elementary {
    /// The frames of an encoded stream, one behind the other.
    Video(VideoCodec),
    /// One picture a file.
    Picture,
    /// Samples, with a WAV header or without; the file's name says which.
    Audio,
}

/// What holds the streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// A muxer's format: the muxers that can write it, best first, and what goes into it unless
    /// something else is asked for.
    Muxed {
        /// Factory names.
        muxers: &'static [&'static str],
        /// For raw pictures.
        video: VideoCodec,
        /// For raw sound.
        audio: AudioCodec,
    },
    /// No container.
    Elementary(Elementary),
}

/// An extension that stands for nothing known here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?}: its extension is none of {KNOWN}; set muxer to the name of a muxer to use another")]
pub struct UnknownExtension(pub String);

const KNOWN: &str = ".avi .mp4 .m4v .mov .mkv .ts .h264 .h265 .mjpeg .jpg .wav .pcm";

impl Container {
    /// The container of the file `location`.
    pub fn of(location: &str) -> Result<Self, UnknownExtension> {
        let extension = Path::new(location)
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .to_ascii_lowercase();
        let modern = |muxers| Self::Muxed {
            muxers,
            video: VideoCodec::H264,
            audio: AudioCodec::Aac,
        };
        Ok(match extension.as_str() {
            "avi" => Self::Muxed {
                muxers: &["avimjpegmux"],
                video: VideoCodec::Jpeg,
                audio: AudioCodec::Pcm,
            },
            "mp4" | "m4v" => modern(&["mp4mux"]),
            "mov" => modern(&["qtmux"]),
            "mkv" => modern(&["matroskamux"]),
            "ts" | "mts" | "m2ts" => modern(&["mpegtsmux"]),
            "h264" | "264" => Self::Elementary(Elementary::Video(VideoCodec::H264)),
            "h265" | "265" | "hevc" => Self::Elementary(Elementary::Video(VideoCodec::H265)),
            "mjpeg" | "mjpg" => Self::Elementary(Elementary::Video(VideoCodec::Jpeg)),
            "jpg" | "jpeg" => Self::Elementary(Elementary::Picture),
            "wav" | "pcm" => Self::Elementary(Elementary::Audio),
            _ => return Err(UnknownExtension(location.to_owned())),
        })
    }

    /// The codec for raw pictures, where the container has any.
    pub fn video(&self) -> Option<VideoCodec> {
        match self {
            Self::Muxed { video, .. } => Some(*video),
            Self::Elementary(Elementary::Video(codec)) => Some(*codec),
            Self::Elementary(Elementary::Picture) => Some(VideoCodec::Jpeg),
            Self::Elementary(Elementary::Audio) => None,
        }
    }

    /// The codec for raw sound, where the container has any.
    pub fn audio(&self) -> Option<AudioCodec> {
        match self {
            Self::Muxed { audio, .. } => Some(*audio),
            Self::Elementary(Elementary::Audio) => Some(AudioCodec::Pcm),
            Self::Elementary(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_stand_for_what_people_expect() {
        assert_eq!(
            Container::of("a.AVI").unwrap().video(),
            Some(VideoCodec::Jpeg)
        );
        assert_eq!(
            Container::of("a.avi").unwrap().audio(),
            Some(AudioCodec::Pcm)
        );
        assert_eq!(
            Container::of("/x.y/a.mp4").unwrap().video(),
            Some(VideoCodec::H264)
        );
        assert_eq!(
            Container::of("a.h265").unwrap().video(),
            Some(VideoCodec::H265)
        );
        assert_eq!(Container::of("a.h265").unwrap().audio(), None);
        assert_eq!(Container::of("a.wav").unwrap().video(), None);
        for bad in ["a.xyz", "a", "", ".mp4"] {
            let err = Container::of(bad).unwrap_err();
            assert!(err.to_string().contains(".mp4"), "{err}");
        }
    }
}
