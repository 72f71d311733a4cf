// SPDX-License-Identifier: MIT OR Apache-2.0
//! The parameter sets of H.264 and H.265 byte streams.
//!
//! An encoder may send them once, at the beginning. A recording that begins later needs them in
//! front of its first access unit, so they are remembered.

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
