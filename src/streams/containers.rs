// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the extension of a file's name stands for: the one table of the recording sinks.
//! Knows no GStreamer.

use super::names;

/// How pictures are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VideoCodec {
    /// H.264.
    H264,
    /// H.265.
    H265,
    /// One JPEG a frame.
    Jpeg,
    /// VP8.
    Vp8,
}

impl VideoCodec {
    /// The codec's name in caps.
    pub fn caps_name(self) -> &'static str {
        match self {
            Self::H264 => "video/x-h264",
            Self::H265 => "video/x-h265",
            Self::Jpeg => "image/jpeg",
            Self::Vp8 => "video/x-vp8",
        }
    }

    /// The form, in caps, in which the frames of a file without a container follow each other.
    pub fn elementary_caps(self) -> &'static str {
        match self {
            Self::H264 => "video/x-h264,stream-format=byte-stream,alignment=au",
            Self::H265 => "video/x-h265,stream-format=byte-stream,alignment=au",
            Self::Jpeg => "image/jpeg",
            Self::Vp8 => "video/x-vp8",
        }
    }
}

/// How sound is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AudioCodec {
    /// 16 bits, little endian.
    Pcm,
    /// AAC, or Opus where no AAC encoder is installed.
    Aac,
    /// Opus.
    Opus,
}

/// An element that makes a container, and what it puts there, by the names that caps have.
#[derive(Debug, PartialEq, Eq)]
pub struct Muxer {
    /// The factory's name.
    pub factory: &'static str,
    /// Formats of pictures.
    pub video: &'static [&'static str],
    /// Formats of sound.
    pub audio: &'static [&'static str],
}

impl Muxer {
    /// Whether it stores a stream whose caps have this name.
    pub fn holds(&self, caps_name: &str) -> bool {
        self.video.contains(&caps_name) || self.audio.contains(&caps_name)
    }
}

/// What writes a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A muxer: the first one of these that holds all streams.
    Muxed(&'static [Muxer]),
    /// Nothing: the frames of the video, one behind the other.
    Frames(VideoCodec),
    /// Nothing: each picture is a file of its own.
    Pictures,
    /// The samples of one sound, behind the header that this element writes, or behind none.
    Samples(Option<&'static str>),
}

/// A file's format.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Container {
    /// Its extensions in lower case without the dot, the usual one first.
    pub extensions: &'static [&'static str],
    /// What writes it.
    pub kind: Kind,
    /// What raw pictures are encoded as for it, where it holds pictures.
    pub video: Option<VideoCodec>,
    /// What raw sound is encoded as for it, where it holds sound.
    pub audio: Option<AudioCodec>,
}

/// An extension that stands for nothing known here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no format is known for '{0}': use {known}, or set muxer-factory", known = known())]
pub(crate) struct UnknownExtension(pub String);

/// All of them.
pub(crate) const CONTAINERS: &[Container] = &[
    Container {
        extensions: &["mp4", "m4v", "m4a"],
        kind: Kind::Muxed(&[MP4]),
        video: Some(VideoCodec::H264),
        audio: Some(AudioCodec::Aac),
    },
    Container {
        extensions: &["mov", "qt"],
        kind: Kind::Muxed(&[QUICKTIME]),
        video: Some(VideoCodec::H264),
        audio: Some(AudioCodec::Aac),
    },
    Container {
        extensions: &["mkv", "mka"],
        kind: Kind::Muxed(&[MATROSKA]),
        video: Some(VideoCodec::H264),
        audio: Some(AudioCodec::Aac),
    },
    Container {
        extensions: &["webm"],
        kind: Kind::Muxed(&[WEBM]),
        video: Some(VideoCodec::Vp8),
        audio: Some(AudioCodec::Opus),
    },
    Container {
        extensions: &["ts", "mts", "m2ts"],
        kind: Kind::Muxed(&[MPEG_TS]),
        video: Some(VideoCodec::H264),
        audio: Some(AudioCodec::Aac),
    },
    Container {
        extensions: &["flv"],
        kind: Kind::Muxed(&[FLV]),
        video: Some(VideoCodec::H264),
        audio: Some(AudioCodec::Aac),
    },
    Container {
        extensions: &["ogg", "ogv", "oga", "opus"],
        kind: Kind::Muxed(&[OGG]),
        video: Some(VideoCodec::Vp8),
        audio: Some(AudioCodec::Opus),
    },
    Container {
        extensions: &["avi"],
        // Motion JPEG gets the muxer that knows the K210's rules; it stores nothing else.
        kind: Kind::Muxed(&[MOTION_JPEG, AVI]),
        video: Some(VideoCodec::Jpeg),
        audio: Some(AudioCodec::Pcm),
    },
    Container {
        extensions: &["h264", "264"],
        kind: Kind::Frames(VideoCodec::H264),
        video: Some(VideoCodec::H264),
        audio: None,
    },
    Container {
        extensions: &["h265", "265", "hevc"],
        kind: Kind::Frames(VideoCodec::H265),
        video: Some(VideoCodec::H265),
        audio: None,
    },
    Container {
        extensions: &["mjpeg", "mjpg"],
        kind: Kind::Frames(VideoCodec::Jpeg),
        video: Some(VideoCodec::Jpeg),
        audio: None,
    },
    Container {
        extensions: &["jpg", "jpeg"],
        kind: Kind::Pictures,
        video: Some(VideoCodec::Jpeg),
        audio: None,
    },
    Container {
        extensions: &["wav"],
        kind: Kind::Samples(Some("wavenc")),
        video: None,
        audio: Some(AudioCodec::Pcm),
    },
    Container {
        extensions: &["pcm"],
        kind: Kind::Samples(None),
        video: None,
        audio: Some(AudioCodec::Pcm),
    },
];

// What the pad templates of GStreamer 1.22 have in common with what the sinks' pads take; a test
// compares them with the elements that are installed.
const MP4: Muxer = Muxer {
    factory: "mp4mux",
    video: &[
        "video/x-h264",
        "video/x-h265",
        "video/x-av1",
        "video/x-vp9",
        "video/mpeg",
        "video/x-divx",
    ],
    audio: &["audio/mpeg", "audio/x-opus", "audio/x-ac3", "audio/x-alac"],
};
const QUICKTIME: Muxer = Muxer {
    factory: "qtmux",
    video: &[
        "video/x-h264",
        "video/x-h265",
        "image/jpeg",
        "image/png",
        "video/x-raw",
        "video/x-av1",
        "video/x-vp8",
        "video/x-vp9",
        "video/x-prores",
        "video/mpeg",
        "video/x-divx",
        "video/x-dv",
        "video/x-h263",
    ],
    audio: &[
        "audio/mpeg",
        "audio/x-raw",
        "audio/x-opus",
        "audio/x-ac3",
        "audio/x-alac",
        "audio/x-alaw",
        "audio/x-mulaw",
        "audio/x-adpcm",
        "audio/AMR",
        "audio/AMR-WB",
    ],
};
const MATROSKA: Muxer = Muxer {
    factory: "matroskamux",
    video: &[
        "video/x-h264",
        "video/x-h265",
        "image/jpeg",
        "video/x-raw",
        "video/x-av1",
        "video/x-vp8",
        "video/x-vp9",
        "video/x-theora",
        "video/x-prores",
        "video/x-ffv",
        "video/mpeg",
        "video/x-divx",
        "video/x-dv",
        "video/x-h263",
    ],
    audio: &[
        "audio/mpeg",
        "audio/x-raw",
        "audio/x-opus",
        "audio/x-vorbis",
        "audio/x-flac",
        "audio/x-ac3",
        "audio/x-eac3",
        "audio/x-alaw",
        "audio/x-mulaw",
        "audio/x-adpcm",
        "audio/x-speex",
    ],
};
const WEBM: Muxer = Muxer {
    factory: "webmmux",
    video: &["video/x-vp8", "video/x-vp9", "video/x-av1"],
    audio: &["audio/x-opus", "audio/x-vorbis"],
};
const MPEG_TS: Muxer = Muxer {
    factory: "mpegtsmux",
    video: &["video/x-h264", "video/x-h265", "video/mpeg", "image/x-jpc"],
    audio: &["audio/mpeg", "audio/x-opus", "audio/x-ac3"],
};
const FLV: Muxer = Muxer {
    factory: "flvmux",
    video: &["video/x-h264"],
    audio: &[
        "audio/mpeg",
        "audio/x-raw",
        "audio/x-alaw",
        "audio/x-mulaw",
        "audio/x-adpcm",
        "audio/x-speex",
    ],
};
const OGG: Muxer = Muxer {
    factory: "oggmux",
    video: &["video/x-vp8", "video/x-theora"],
    audio: &[
        "audio/x-opus",
        "audio/x-vorbis",
        "audio/x-flac",
        "audio/x-speex",
    ],
};
const MOTION_JPEG: Muxer = Muxer {
    factory: "avimjpegmux",
    video: &["image/jpeg"],
    audio: &["audio/x-raw"],
};
const AVI: Muxer = Muxer {
    factory: "avimux",
    video: &[
        "video/x-h264",
        "image/jpeg",
        "image/png",
        "image/x-jpc",
        "video/x-raw",
        "video/x-vp8",
        "video/mpeg",
        "video/x-divx",
        "video/x-dv",
        "video/x-h263",
    ],
    audio: &[
        "audio/x-raw",
        "audio/mpeg",
        "audio/x-ac3",
        "audio/x-alaw",
        "audio/x-mulaw",
    ],
};

impl Container {
    /// The container of the file `location`, by its extension.
    pub(crate) fn of(location: &str) -> Result<&'static Self, UnknownExtension> {
        let extension = names::extension(location).unwrap_or_default();
        CONTAINERS
            .iter()
            .find(|container| container.extensions.contains(&extension.as_str()))
            .ok_or_else(|| UnknownExtension(location.to_owned()))
    }

    /// The muxer for streams whose caps have these names: the first that holds them all, else the
    /// last, which is the one that holds most. `None` where there is no muxer.
    pub(crate) fn muxer<'a>(
        &self,
        streams: impl IntoIterator<Item = &'a str> + Clone,
    ) -> Option<&'static Muxer> {
        let Kind::Muxed(muxers) = self.kind else {
            return None;
        };
        muxers
            .iter()
            .find(|muxer| streams.clone().into_iter().all(|name| muxer.holds(name)))
            .or(muxers.last())
    }

    /// Whether a file of it has a place for streams of pictures.
    pub(crate) fn has_video(&self) -> bool {
        self.video.is_some()
    }

    /// Whether a file of it has a place for sound.
    pub(crate) fn has_audio(&self) -> bool {
        self.audio.is_some()
    }
}

/// The usual extensions, for a sentence.
fn known() -> String {
    let names: Vec<_> = CONTAINERS
        .iter()
        .filter_map(|container| container.extensions.first())
        .map(|name| format!(".{name}"))
        .collect();
    match names.split_last() {
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// A parser for an encoded stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parser {
    /// The name of the caps.
    pub caps: &'static str,
    /// `mpegversion` of the caps, where that tells formats apart.
    pub mpegversion: Option<i32>,
    /// The factory's name.
    pub factory: &'static str,
    /// Muxers want what it makes of the stream: whole access units, the size known. The others
    /// only change one form of the format into another.
    pub needed: bool,
}

const PARSERS: &[Parser] = &[
    parser("video/x-h264", None, "h264parse", true),
    parser("video/x-h265", None, "h265parse", true),
    parser("video/x-av1", None, "av1parse", true),
    parser("video/x-vp9", None, "vp9parse", false),
    parser("image/jpeg", None, "jpegparse", false),
    parser("audio/mpeg", Some(1), "mpegaudioparse", false),
    parser("audio/mpeg", Some(2), "aacparse", false),
    parser("audio/mpeg", Some(4), "aacparse", true),
    parser("audio/x-opus", None, "opusparse", false),
    parser("audio/x-flac", None, "flacparse", false),
];

const fn parser(
    caps: &'static str,
    mpegversion: Option<i32>,
    factory: &'static str,
    needed: bool,
) -> Parser {
    Parser {
        caps,
        mpegversion,
        factory,
        needed,
    }
}

/// The parser for a stream whose caps have this name and, if so, this `mpegversion`.
pub(crate) fn parser_of(caps_name: &str, mpegversion: Option<i32>) -> Option<&'static Parser> {
    PARSERS.iter().find(|parser| {
        parser.caps == caps_name
            && parser
                .mpegversion
                .is_none_or(|version| Some(version) == mpegversion)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_stand_for_what_people_expect() {
        let of = |location| Container::of(location).unwrap();
        assert_eq!(of("a.AVI").video, Some(VideoCodec::Jpeg));
        assert_eq!(of("a.avi").audio, Some(AudioCodec::Pcm));
        assert_eq!(of("/x.y/a.mp4").video, Some(VideoCodec::H264));
        assert_eq!(of("a.webm").video, Some(VideoCodec::Vp8));
        assert_eq!(of("a.h265").kind, Kind::Frames(VideoCodec::H265));
        assert!(!of("a.h265").has_audio());
        assert!(!of("a.wav").has_video());
        for bad in ["a.xyz", "a", "", ".mp4"] {
            let err = Container::of(bad).unwrap_err().to_string();
            assert!(
                err.contains(".mp4, ") && err.ends_with("muxer-factory"),
                "{err}"
            );
        }
    }

    #[test]
    fn no_extension_stands_twice() {
        let mut all: Vec<_> = CONTAINERS.iter().flat_map(|c| c.extensions).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn the_muxer_is_the_first_that_holds_all_streams() {
        let avi = Container::of("a.avi").unwrap();
        let muxer = |streams: &[&str]| avi.muxer(streams.iter().copied()).unwrap().factory;
        assert_eq!(muxer(&[]), "avimjpegmux");
        assert_eq!(muxer(&["image/jpeg", "audio/x-raw"]), "avimjpegmux");
        assert_eq!(muxer(&["image/jpeg", "audio/mpeg"]), "avimux");
        assert_eq!(muxer(&["video/x-h264"]), "avimux");
        // What none of them holds is for the last one to refuse.
        assert_eq!(muxer(&["video/x-av1"]), "avimux");
        assert_eq!(Container::of("a.h264").unwrap().muxer([]), None);
    }

    #[test]
    fn parsers_are_told_apart_by_the_version_of_mpeg() {
        let factory = |name, version| parser_of(name, version).map(|parser| parser.factory);
        assert_eq!(factory("audio/mpeg", Some(1)), Some("mpegaudioparse"));
        assert_eq!(factory("audio/mpeg", Some(4)), Some("aacparse"));
        assert_eq!(factory("video/x-h264", None), Some("h264parse"));
        assert_eq!(factory("video/x-raw", None), None);
    }
}
