// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the beginning of a picture says of the stream: the parameter sets of H.264 and H.265 byte
//! streams, and the size of JPEGs.
//!
//! An encoder may send parameter sets once, at the beginning. A recording that begins later needs
//! them in front of its first access unit, so they are remembered.

use avi_mjpeg::jpeg::FrameHeader;
use gst::glib;
use k230_venc::Codec;
use k230_venc::packs::{delimiter, parameter_sets};

/// Access units are looked into this far: parameter sets come before the first slice.
const REACH: usize = 1024;

/// The codec, if the caps say a byte stream of one whose parameter sets are in the stream.
pub fn codec_of_byte_stream(caps: &gst::CapsRef) -> Option<Codec> {
    let structure = caps.structure(0)?;
    if structure.get::<&str>("stream-format") != Ok("byte-stream") {
        return None;
    }
    match structure.name().as_str() {
        "video/x-h264" => Some(Codec::H264),
        "video/x-h265" => Some(Codec::H265),
        _ => None,
    }
}

/// The parameter sets that an access unit begins with, as a buffer of their own.
pub fn headers_of(codec: Codec, buffer: &gst::BufferRef) -> Option<gst::Buffer> {
    let range = parameter_sets(codec, begin_of(buffer, &mut [0; REACH])?, REACH)?;
    buffer.copy_region(gst::BufferCopyFlags::MEMORY, range).ok()
}

/// The access unit with parameter sets in it: in front, or behind the delimiter that has to be the
/// first of an access unit (H.264 7.4.1.2.3, H.265 7.4.2.4.4).
pub fn with_headers(
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

/// The first bytes of a buffer, in `into`. It may consist of several memories: parsers put a
/// delimiter of their own in front of a picture, h265parse from GStreamer 1.28 on. Mapping the buffer
/// would join them all.
fn begin_of<'a>(buffer: &gst::BufferRef, into: &'a mut [u8; REACH]) -> Option<&'a [u8]> {
    let into = into.get_mut(..buffer.size().min(REACH))?;
    buffer.copy_to_slice(0, into).ok()?;
    Some(into)
}

/// The caps of JPEGs with the size that the first one has, where they do not say it: muxers want to
/// know it, and a parser that finds it out refuses pictures that are damaged.
pub fn with_size(caps: &gst::CapsRef, first: &gst::BufferRef) -> Option<gst::Caps> {
    let structure = caps.structure(0)?;
    if structure.name() != "image/jpeg" || structure.has_field("width") {
        return None;
    }
    let header = FrameHeader::parse(&first.map_readable().ok()?).ok()?;
    let mut caps = caps.to_owned();
    let sized = caps.make_mut();
    sized.set("width", i32::from(header.width));
    sized.set("height", i32::from(header.height));
    Some(caps)
}
