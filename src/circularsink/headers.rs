// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the beginning of a picture says of the stream: the parameter sets of H.264 and H.265 byte
//! streams, and the size of JPEGs.
//!
//! An encoder may send parameter sets once, at the beginning. A recording that begins later needs
//! them in front of its first access unit, so they are remembered.

use avi_mjpeg::jpeg::FrameHeader;
use k230_venc::Codec;
use k230_venc::packs::parameter_sets;

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
    // Only the first memory is looked at: mapping the buffer would join them.
    let range = {
        let map = buffer.iter_memories().next()?.map_readable().ok()?;
        parameter_sets(codec, &map, REACH)?
    };
    buffer.copy_region(gst::BufferCopyFlags::MEMORY, range).ok()
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
