// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the beginning of a picture says of the stream: the parameter sets of H.264 and H.265 byte
//! streams, whether a key unit is an IDR, and the size of JPEGs.
//!
//! An encoder may send parameter sets once, at the beginning. A recording that begins later needs
//! them in front of its first access unit, so they are remembered.

use avi_mjpeg::jpeg::FrameHeader;
use gst::glib;
use k230_venc::Codec;
use k230_venc::packs::{delimiter, parameter_sets, picture_refreshes, refreshes};

use crate::streams::begin::{REACH, begin_of};

/// NAL units are looked for in a unit of NAL units with lengths up to here: delimiter, parameter sets
/// and SEI come before the first slice.
const MOST_UNITS: usize = 32;

/// How the NAL units of a stream lie in its buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Units {
    codec: Codec,
    /// The bytes of the length in front of each; start codes are if there is none.
    length: Option<usize>,
}

impl Units {
    /// For caps of H.264 or H.265.
    pub(crate) fn of(caps: &gst::CapsRef) -> Option<Self> {
        let structure = caps.structure(0)?;
        // Where lengthSizeMinusOne is (ISO/IEC 14496-15, 5.3.3.1 and 8.3.3.1).
        let (codec, at) = match structure.name().as_str() {
            "video/x-h264" => (Codec::H264, 4),
            "video/x-h265" => (Codec::H265, 21),
            _ => return None,
        };
        if structure.get::<&str>("stream-format") == Ok("byte-stream") {
            let length = None;
            return Some(Self { codec, length });
        }
        let config = structure.get::<gst::Buffer>("codec_data").ok()?;
        let length = usize::from(config.map_readable().ok()?.get(at)? & 3) + 1;
        let length = Some(length);
        Some(Self { codec, length })
    }

    /// The codec, if its parameter sets are in the stream: it is a byte stream.
    pub(crate) fn byte_stream(self) -> Option<Codec> {
        self.length.is_none().then_some(self.codec)
    }

    /// Whether nothing behind a key unit needs what came before it. Where that can't be told, it is
    /// taken at its flag's word.
    pub(crate) fn refresh(self, buffer: &gst::BufferRef) -> bool {
        self.picture(buffer).unwrap_or(true)
    }

    /// Whether there is no picture in a buffer, for certain: one may begin behind what is looked at.
    pub(crate) fn has_no_picture(self, buffer: &gst::BufferRef) -> bool {
        buffer.size() <= REACH && self.picture(buffer).is_none()
    }

    /// Whether nothing behind the first picture of a buffer needs what came before it; `None` if none is found.
    fn picture(self, buffer: &gst::BufferRef) -> Option<bool> {
        match self.length {
            None => begin_of(buffer, &mut [0; REACH])
                .and_then(|unit| refreshes(self.codec, unit, REACH)),
            Some(length) => self.first_picture(buffer, length),
        }
    }

    /// The same by the lengths in front of NAL units.
    fn first_picture(self, buffer: &gst::BufferRef, length: usize) -> Option<bool> {
        let mut room = [0; REACH];
        let near = begin_of(buffer, &mut room)?;
        let mut at = 0usize;
        for _ in 0..MOST_UNITS {
            let end = at.checked_add(length)?.checked_add(1)?;
            let mut apart = [0; 5];
            let begin = match near.get(at..end) {
                Some(begin) => begin,
                // Behind SEI that is longer than what was read at once.
                None => {
                    let begin = apart.get_mut(..=length)?;
                    if end > buffer.size() {
                        return None;
                    }
                    buffer.copy_to_slice(at, begin).ok()?;
                    begin
                }
            };
            let (first, size) = begin.split_last()?;
            if let Some(refreshes) = picture_refreshes(self.codec, *first) {
                return Some(refreshes);
            }
            let size = size
                .iter()
                .fold(0, |size, byte| size << 8 | usize::from(*byte));
            at = at.checked_add(length)?.checked_add(size)?;
        }
        None
    }
}

/// The parameter sets that an access unit begins with, as a buffer of their own.
pub(crate) fn headers_of(codec: Codec, buffer: &gst::BufferRef) -> Option<gst::Buffer> {
    let range = parameter_sets(codec, begin_of(buffer, &mut [0; REACH])?, REACH)?;
    buffer.copy_region(gst::BufferCopyFlags::MEMORY, range).ok()
}

/// The access unit with parameter sets in it: in front, or behind the delimiter that has to be the
/// first of an access unit (H.264 7.4.1.2.3, H.265 7.4.2.4.4).
pub(crate) fn with_headers(
    codec: Codec,
    buffer: &gst::BufferRef,
    headers: &gst::BufferRef,
) -> Result<gst::Buffer, glib::BoolError> {
    let mut begin = [0; REACH];
    let at = begin_of(buffer, &mut begin).map_or(0, |unit| delimiter(codec, unit));
    let mut whole = gst::Buffer::new();
    let target = whole.make_mut();
    buffer.copy_into(target, gst::BUFFER_COPY_METADATA, ..)?;
    buffer.copy_into(target, gst::BufferCopyFlags::MEMORY, ..at)?;
    headers.copy_into(target, gst::BufferCopyFlags::MEMORY, ..)?;
    buffer.copy_into(target, gst::BufferCopyFlags::MEMORY, at..)?;
    Ok(whole)
}

/// The caps of JPEGs with the size that the first one has, where they do not say it: muxers want to
/// know it, and a parser that finds it out refuses pictures that are damaged.
pub(crate) fn with_size(caps: &gst::CapsRef, first: &gst::BufferRef) -> Option<gst::Caps> {
    if !is_sizeless(caps) {
        return None;
    }
    let header = FrameHeader::parse(&first.map_readable().ok()?).ok()?;
    let mut caps = caps.to_owned();
    let sized = caps.make_mut();
    sized.set("width", i32::from(header.width));
    sized.set("height", i32::from(header.height));
    Some(caps)
}

/// The caps as [`with_size`] gives them once there is a picture, whatever its size.
pub(super) fn with_any_size(mut caps: gst::Caps) -> gst::Caps {
    if is_sizeless(&caps) {
        let sized = caps.make_mut();
        sized.set("width", 640);
        sized.set("height", 480);
    }
    caps
}

fn is_sizeless(caps: &gst::CapsRef) -> bool {
    let structure = caps.structure(0);
    structure.is_some_and(|it| it.name() == "image/jpeg" && !it.has_field("width"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idr_is_found_behind_lengths_and_start_codes() {
        gst::init().expect("GStreamer starts");
        let units = |caps: gst::Caps| Units::of(&caps).expect("they are known");
        let mut config = [0; 23];
        (config[4], config[21]) = (0xff, 0xfd);
        let config = gst::Buffer::from_slice(config);
        let caps = |name, format| {
            gst::Caps::builder(name)
                .field("stream-format", format)
                .field("codec_data", &config)
                .build()
        };
        let refresh =
            |units: Units, bytes: &[u8]| units.refresh(&gst::Buffer::from_slice(bytes.to_vec()));
        let avc = units(caps("video/x-h264", "avc"));
        assert_eq!(avc.byte_stream(), None);
        assert!(refresh(avc, &[0, 0, 0, 2, 6, 9, 0, 0, 0, 3, 0x65, 1, 2]));
        assert!(!refresh(avc, &[0, 0, 0, 2, 6, 9, 0, 0, 0, 3, 0x61, 1, 2]));
        // Behind SEI that ends before, across and behind what is read at once.
        for sei in 1015..1030usize {
            let behind = |picture: u8| {
                let mut unit = (sei as u32).to_be_bytes().to_vec();
                unit.push(6);
                unit.resize(4 + sei, 0xff);
                unit.extend([0, 0, 0, 3, picture, 1, 2]);
                refresh(avc, &unit)
            };
            assert!(behind(0x65) && !behind(0x61), "{sei}");
        }
        // Lengths that are not true.
        for bytes in [
            &[][..],
            &[0, 0],
            &[0xff; 9],
            &[0, 0, 0, 0, 6],
            &[0, 0, 0, 2, 6, 9],
        ] {
            assert!(refresh(avc, bytes), "{bytes:?}");
        }
        // Two bytes of length: IDR_W_RADL, and CRA.
        let hvc1 = units(caps("video/x-h265", "hvc1"));
        assert!(refresh(hvc1, &[0, 3, 0x46, 1, 0x50, 0, 3, 0x26, 1, 9]));
        assert!(!refresh(hvc1, &[0, 3, 0x46, 1, 0x50, 0, 3, 0x2a, 1, 9]));
        let byte_stream = units(caps("video/x-h265", "byte-stream"));
        assert_eq!(byte_stream.byte_stream(), Some(Codec::H265));
        assert!(!refresh(byte_stream, &[0, 0, 0, 1, 0x2a, 1, 9]));
        let none = gst::Caps::builder("video/x-h264").field("stream-format", "avc");
        assert_eq!(Units::of(&none.build()), None);
    }
}
