// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pictures out of the encoded buffers that the driver gives.

use std::path::Path;

use super::raw::*;
use crate::{Codec, Error, Stream, packs::ParameterSets};

/// An encoded buffer whose bytes were appended from `begin` on.
pub(super) struct Piece {
    pub begin: usize,
    pub flags: u32,
    pub pts: u64,
}

/// Pictures out of encoded buffers.
pub(super) struct Assembly {
    codec: Codec,
    /// Bytes of the buffers of the picture that is not complete.
    pub data: Vec<u8>,
    pub parameter_sets: ParameterSets,
}

impl Assembly {
    pub(crate) fn new(codec: Codec) -> Self {
        Self {
            codec,
            data: Vec::new(),
            parameter_sets: ParameterSets::default(),
        }
    }

    /// Takes the buffer whose bytes were appended to `data`. The picture, if one is complete.
    pub(crate) fn add(&mut self, piece: Piece, path: &Path) -> Option<Result<Stream, Error>> {
        if piece.flags & V4L2_BUF_FLAG_ERROR != 0 {
            self.data.clear();
            return Some(Err(Error::Damaged { path: path.into() }));
        }
        let config = V4L2_BUF_FLAG_MVX_CODEC_CONFIG;
        if piece.flags & config == config {
            self.parameter_sets.announce(self.data.drain(piece.begin..));
            return None;
        }
        // On an encoded buffer this is the end of a picture.
        let complete = piece.flags & (V4L2_BUF_FLAG_KEYFRAME | V4L2_BUF_FLAG_LAST) != 0;
        if !complete || self.data.is_empty() {
            return None;
        }
        let picture = std::mem::take(&mut self.data);
        Some(Ok(self.stream(picture, piece.pts)))
    }

    /// A picture's stream, with the parameter sets in front where a GOP begins.
    fn stream(&mut self, picture: Vec<u8>, pts: u64) -> Stream {
        let (packs, sets) = self.parameter_sets.complete(self.codec, &picture);
        let data = if sets.is_empty() {
            picture
        } else {
            [sets, &picture].concat()
        };
        Stream {
            packs,
            pts,
            data: Box::new(data),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PackKind;

    const SETS: &[u8] = &[0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 2];
    const IDR: &[u8] = &[0, 0, 1, 0x65, 9];
    const P: &[u8] = &[0, 0, 1, 0x41, 9];

    /// What the assembly makes of a buffer.
    fn add(
        assembly: &mut Assembly,
        bytes: &[u8],
        flags: u32,
        pts: u64,
    ) -> Option<Result<Stream, Error>> {
        let begin = assembly.data.len();
        assembly.data.extend_from_slice(bytes);
        assembly.add(Piece { begin, flags, pts }, Path::new("/dev/video0"))
    }

    fn kinds(stream: &Stream) -> Vec<PackKind> {
        stream.packs.iter().map(|pack| pack.kind).collect()
    }

    #[test]
    fn parameter_sets_of_their_own_are_joined_and_their_timestamp_is_nobodys() {
        let mut assembly = Assembly::new(Codec::H264);
        let config = V4L2_BUF_FLAG_MVX_CODEC_CONFIG | V4L2_BUF_FLAG_KEYFRAME;
        assert!(add(&mut assembly, SETS, config, 77).is_none());
        let stream = add(&mut assembly, IDR, V4L2_BUF_FLAG_KEYFRAME, 5);
        let stream = stream.expect("complete").expect("no error");
        assert_eq!(stream.pts, 5);
        assert_eq!(kinds(&stream), [PackKind::Header, PackKind::I]);
        assert_eq!(stream.data.bytes(), [SETS, IDR].concat());
        // The same flag on a picture that is no key picture.
        let stream = add(&mut assembly, P, V4L2_BUF_FLAG_KEYFRAME, 6);
        let stream = stream.expect("complete").expect("no error");
        assert_eq!(kinds(&stream), [PackKind::P]);
        assert!(!stream.is_key());
        // A second IDR without parameter sets has the last ones.
        let stream = add(&mut assembly, IDR, V4L2_BUF_FLAG_KEYFRAME, 7);
        let stream = stream.expect("complete").expect("no error");
        assert_eq!(stream.data.bytes(), [SETS, IDR].concat());
        // One that has its own in front keeps them.
        let own = [SETS, &[0, 0, 0, 1, 0x68, 3], IDR].concat();
        let stream = add(&mut assembly, &own, V4L2_BUF_FLAG_KEYFRAME, 8);
        let stream = stream.expect("complete").expect("no error");
        assert_eq!(stream.data.bytes(), own);
        assert_eq!(kinds(&stream), [PackKind::Header, PackKind::I]);
    }

    #[test]
    fn a_picture_in_pieces_ends_where_the_flag_says() {
        let mut assembly = Assembly::new(Codec::H264);
        assert!(add(&mut assembly, &P[..2], 0, 3).is_none());
        let stream = add(&mut assembly, &P[2..], V4L2_BUF_FLAG_KEYFRAME, 3);
        assert_eq!(stream.expect("complete").expect("no error").data.bytes(), P);
        // The empty last buffer is no picture.
        assert!(add(&mut assembly, &[], V4L2_BUF_FLAG_LAST, 0).is_none());
    }

    #[test]
    fn a_buffer_in_error_is_a_frame_that_was_lost() {
        let mut assembly = Assembly::new(Codec::H265);
        let lost = add(&mut assembly, &[1, 2], V4L2_BUF_FLAG_ERROR, 3);
        assert!(matches!(lost, Some(Err(Error::Damaged { .. }))));
        assert!(assembly.data.is_empty());
    }
}
