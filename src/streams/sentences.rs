// SPDX-License-Identifier: MIT OR Apache-2.0
//! What several of the recording elements say, each in one place.

use super::any_parser;

/// What is said of pictures without a frame rate for a muxer whose files have no other times; `None` where it can have
/// them.
pub(crate) fn lacks_rate(muxer: &str, caps: &gst::CapsRef) -> Option<String> {
    let file = match muxer {
        "oggmux" => "An Ogg file",
        "avimux" => "An AVI file",
        _ => return None,
    };
    let structure = caps.structure(0)?;
    let is_picture = !structure.name().starts_with("audio/");
    (is_picture && !has_rate(structure)).then(|| {
        format!(
            "{file} has no times, it counts frames, and the video's caps have no frame rate: put videorate and caps \
             with one in front of the encoder, or choose another extension"
        )
    })
}

/// Whether caps say how many pictures a second has.
pub(crate) fn has_rate(structure: &gst::StructureRef) -> bool {
    let rate = structure.get::<gst::Fraction>("framerate");
    rate.is_ok_and(|rate| rate.numer() > 0)
}

/// What an element takes of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    Encoded,
    Raw,
}

/// What is said of a stream that comes without caps, as what `filesrc` reads: which element knows what it is.
pub(crate) fn without_caps(name: &str, takes: Takes, buffer: &gst::BufferRef) -> gst::ErrorMessage {
    let found = gst_base::type_find_helper_for_buffer(gst::Object::NONE, buffer);
    let found = found
        .ok()
        .filter(|(_, how)| *how >= gst::TypeFindProbability::Possible);
    let known = found.as_ref().and_then(|(caps, _)| {
        let format = caps.structure(0)?.name();
        let is_media = ["video/", "audio/", "image/"]
            .iter()
            .any(|kind| format.starts_with(kind));
        let parser = any_parser(caps).map(|parser| parser.factory);
        let is_known = parser.is_some() || is_media || format == "application/ogg";
        let front = match takes {
            Takes::Encoded => parser.unwrap_or("parsebin"),
            Takes::Raw => "decodebin",
        };
        is_known.then_some((format, front))
    });
    if let Some((format, front)) = known {
        return gst::error_msg!(
            gst::StreamError::Format,
            ("What comes on {name} looks like {format} and has no caps: put {front} in front")
        );
    }
    let made = match name {
        "video" => "pictures",
        _ => "sound",
    };
    gst::error_msg!(
        gst::StreamError::Format,
        ("What comes on {name} has no caps, which say what it is: put what makes {made} of it in front (decodebin, or \
         raw{name}parse for a file of raw {made})")
    )
}

/// What is said of a stream whose buffers have no timestamps: where they would be counted, its caps do not say how long
/// one lasts.
pub(crate) fn untimed(name: &str, are_counted: bool) -> gst::ErrorMessage {
    let (why, front) = match are_counted {
        true => (
            "its caps do not say how long one lasts",
            "a parser or a framerate",
        ),
        false => ("nothing counts those of its format", "a parser"),
    };
    gst::error_msg!(
        gst::StreamError::Format,
        ("Buffers on {name} have no timestamps, and {why}: set do-timestamp=true at the source, or put {front} in front")
    )
}

/// What is said of streams of which nothing came, or of all where none is named, and what becomes of the file for it.
pub(crate) fn nothing_came(on: &[&str], so: &str) -> String {
    match on {
        [] => format!("Nothing came: {so}"),
        _ => format!("Nothing came on {}: {so}", on.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nothing_came_of_is_named() {
        assert_eq!(
            nothing_came(&[], "there is no file"),
            "Nothing came: there is no file"
        );
        assert_eq!(
            nothing_came(&["video", "audio"], "the file is without them"),
            "Nothing came on video, audio: the file is without them"
        );
    }

    #[test]
    fn what_comes_without_caps_is_looked_at() {
        gst::init().unwrap();
        let said = |name, takes, begin: &[u8]| {
            let message = without_caps(name, takes, &gst::Buffer::from_slice(begin.to_vec()));
            format!("{message:?}")
        };
        let mut jpeg =
            b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xdb\0\x43\0".to_vec();
        jpeg.resize(200, 16);
        use Takes::{Encoded, Raw};
        let cases: [(&str, Takes, &[u8], &str); 6] = [
            ("video", Encoded, &jpeg, "put jpegparse in front"),
            (
                "video",
                Encoded,
                b"RIFF\x24\0\0\0AVI LIST",
                "put parsebin in front",
            ),
            (
                "audio",
                Encoded,
                b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0",
                "put parsebin in front",
            ),
            (
                "audio",
                Raw,
                b"nothing",
                "rawaudioparse for a file of raw sound",
            ),
            (
                "video",
                Encoded,
                b"",
                "rawvideoparse for a file of raw pictures",
            ),
            (
                "audio",
                Raw,
                b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0",
                "put decodebin in front",
            ),
        ];
        for (name, takes, begin, words) in cases {
            let said = said(name, takes, begin);
            assert!(said.contains(words), "{said}");
        }
    }
}
