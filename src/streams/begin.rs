// SPDX-License-Identifier: MIT OR Apache-2.0
//! The begin of a picture, which says what it is.

/// Access units are looked into this far: parameter sets come before the first slice.
pub(crate) const REACH: usize = 1024;

/// The first bytes of a buffer, in `into`. It may consist of several memories: parsers put a
/// delimiter of their own in front of a picture, h265parse from GStreamer 1.28 on. Mapping the buffer
/// would join them all.
pub(crate) fn begin_of<'a>(buffer: &gst::BufferRef, into: &'a mut [u8; REACH]) -> Option<&'a [u8]> {
    let into = into.get_mut(..buffer.size().min(REACH))?;
    buffer.copy_to_slice(0, into).ok()?;
    Some(into)
}
