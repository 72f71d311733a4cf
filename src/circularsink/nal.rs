// SPDX-License-Identifier: MIT OR Apache-2.0
//! The parameter sets of H.264 and H.265 byte streams.
//!
//! An encoder may send them once, at the beginning. A recording that begins later needs them in
//! front of its first access unit, so they are remembered.

/// Access units are looked into this far: parameter sets come before the first slice.
const LOOK: usize = 1024;

/// How NAL units of a stream are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    H264,
    H265,
}

impl Codec {
    /// The codec, if the caps say a byte stream of one of them.
    pub fn of_byte_stream(caps: &gst::CapsRef) -> Option<Self> {
        let structure = caps.structure(0)?;
        if structure.get::<&str>("stream-format") != Ok("byte-stream") {
            return None;
        }
        match structure.name().as_str() {
            "video/x-h264" => Some(Self::H264),
            "video/x-h265" => Some(Self::H265),
            _ => None,
        }
    }

    fn is_header(self, first: u8) -> bool {
        match self {
            // Table 7-1 of H.264: sequence and picture parameter sets.
            Self::H264 => matches!(first & 0x1f, 7 | 8),
            // Table 7-1 of H.265: video, sequence and picture parameter sets.
            Self::H265 => matches!((first >> 1) & 0x3f, 32..=34),
        }
    }

    fn is_slice(self, first: u8) -> bool {
        match self {
            Self::H264 => matches!(first & 0x1f, 1..=5),
            Self::H265 => (first >> 1) & 0x3f < 32,
        }
    }

    /// The part of an access unit that its parameter sets span, if it has any.
    pub fn headers(self, unit: &[u8]) -> Option<std::ops::Range<usize>> {
        let (mut from, mut to) = (None, None);
        for (at, first) in nal_units(unit) {
            if self.is_header(first) {
                from.get_or_insert(at);
                to = None;
            } else {
                if from.is_some() {
                    to.get_or_insert(at);
                }
                if self.is_slice(first) {
                    break;
                }
            }
        }
        // Without a unit after them it is not certain that they are whole.
        Some(from?..to?)
    }
}

/// Position of each start code within reach, and the byte after it.
fn nal_units(unit: &[u8]) -> impl Iterator<Item = (usize, u8)> + '_ {
    let reach = &unit[..unit.len().min(LOOK)];
    reach
        .windows(4)
        .enumerate()
        .filter_map(|(at, bytes)| match *bytes {
            [0, 0, 1, first] => {
                let long = at > 0 && unit[at - 1] == 0;
                Some((at - usize::from(long), first))
            }
            _ => None,
        })
}

/// The parameter sets that an access unit begins with, as a buffer of their own.
pub fn headers_of(codec: Codec, buffer: &gst::BufferRef) -> Option<gst::Buffer> {
    // Only the first memory is looked at: mapping the buffer would join them.
    let range = {
        let map = buffer.iter_memories().next()?.map_readable().ok()?;
        codec.headers(&map)?
    };
    buffer.copy_region(gst::BufferCopyFlags::MEMORY, range).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_parameter_sets() {
        let unit = [
            0, 0, 0, 1, 9, 0xf0, // access unit delimiter
            0, 0, 0, 1, 0x67, 1, 2, 3, // SPS
            0, 0, 1, 0x68, 4, // PPS
            0, 0, 1, 0x65, 5, 6, 7, // IDR slice
        ];
        assert_eq!(Codec::H264.headers(&unit), Some(6..19));
        assert_eq!(Codec::H264.headers(&unit[19..]), None);
        assert_eq!(Codec::H264.headers(&unit[..17]), None);
        assert_eq!(Codec::H264.headers(&[]), None);
        let unit = [
            0, 0, 0, 1, 0x40, 1, 9, 0, 0, 1, 0x42, 1, 0, 0, 0, 1, 0x26, 1, 2,
        ];
        assert_eq!(Codec::H265.headers(&unit), Some(0..12));
    }
}
