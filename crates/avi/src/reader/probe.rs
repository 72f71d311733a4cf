// SPDX-License-Identifier: MIT OR Apache-2.0
//! The search for what there is in a file that does not begin with a header.

use super::index;
use super::walk::{CHUNK_HEAD, Stop, View};
use crate::header::{ChunkHeader, FourCc, ListHeader};
use crate::jpeg;

/// How far it is searched for.
pub(super) const MOST: u64 = 64 << 20;

/// Bytes looked at in one go.
const PIECE: usize = 64 << 10;

/// A picture's frame header is searched for so far: it is among the first segments.
const FRAME_HEADER: usize = 256 << 10;

/// Files further on whose headers are looked at.
const FILES: u32 = 8;

/// Of pictures that turn out to be none so many bytes are looked at, and as many as were searched.
const WASTE: u64 = 1 << 20;

/// The first picture of a file, found without its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstPicture {
    /// The stream number in its chunk's name; 0 for a picture without chunk.
    pub stream: usize,
    /// Where its chunk, or itself if it has none, begins.
    pub pos: u64,
    /// Its size and layout.
    pub frame: jpeg::FrameHeader,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// A picture.
    Picture(FirstPicture),
    /// The `RIFF` of a file.
    File(u64),
    /// Neither.
    Nothing,
}

/// A search that goes on when more of the file is there.
#[derive(Debug)]
pub(super) struct Probe {
    from: u64,
    at: u64,
    /// Bytes of pictures looked at that were none.
    wasted: u64,
    /// Files that were found.
    files: u32,
}

impl Probe {
    /// Begins at a place.
    pub(crate) fn new(from: u64) -> Self {
        Self {
            from,
            at: from,
            wasted: 0,
            files: 0,
        }
    }

    /// Finds the file at a place again.
    pub(crate) fn again(&mut self, pos: u64) {
        self.at = pos;
        self.files = self.files.saturating_sub(1);
    }

    /// No byte before this will be looked at again.
    pub(crate) fn pos(&self) -> u64 {
        self.at.saturating_sub(CHUNK_HEAD).max(self.from)
    }

    /// Searches on, behind what was found before.
    pub(crate) fn next<V: View>(&mut self, view: &mut V) -> Result<Found, Stop<V::Error>> {
        while self.at < self.from + MOST {
            let data = view.some(self.at, 32, PIECE)?;
            if data.len() < ListHeader::SIZE {
                return Ok(Found::Nothing);
            }
            let Some(found) = find_sign(data) else {
                self.at += (data.len() - ListHeader::SIZE + 1) as u64;
                continue;
            };
            let pos = self.at + found as u64;
            self.at = pos + 3;
            if data.get(found) == Some(&b'R') {
                // The picture at the beginning was looked at already.
                if pos > self.from && self.files < FILES {
                    self.files += 1;
                    return Ok(Found::File(pos));
                }
                continue;
            }
            // The next call looks at the same place again.
            self.at = pos;
            if let Some(frame) = self.frame(view, pos)? {
                return Ok(Found::Picture(self.picture(view, pos, frame)?));
            }
            self.at = pos + 3;
        }
        Ok(Found::Nothing)
    }

    /// The frame header of the picture that may begin at a place.
    fn frame<V: View>(
        &mut self,
        view: &mut V,
        pos: u64,
    ) -> Result<Option<jpeg::FrameHeader>, Stop<V::Error>> {
        if self.wasted > WASTE + 2 * (pos - self.from) {
            return Ok(None);
        }
        let mut least = 4 << 10;
        loop {
            let data = view.some(pos, least, least.max(PIECE))?;
            match jpeg::FrameHeader::parse(data) {
                Ok(frame) => return Ok(Some(frame)),
                Err(jpeg::JpegError::Truncated) if data.len() >= least && least < FRAME_HEADER => {
                    least *= 2;
                }
                Err(_) => {
                    self.wasted += least as u64;
                    return Ok(None);
                }
            }
        }
    }

    /// The picture with the chunk that it is in.
    fn picture<V: View>(
        &self,
        view: &mut V,
        pos: u64,
        frame: jpeg::FrameHeader,
    ) -> Result<FirstPicture, Stop<V::Error>> {
        let head = pos.checked_sub(CHUNK_HEAD).filter(|at| *at >= self.from);
        let header = match head {
            Some(at) => ChunkHeader::parse(view.get(at, ChunkHeader::SIZE)?).ok(),
            None => None,
        };
        let (stream, pos) = match header.and_then(|h| h.id.stream_and_kind()) {
            Some((stream, [b'd', b'c' | b'b'])) if usize::from(stream) < index::MAX_STREAMS => {
                (stream.into(), pos - CHUNK_HEAD)
            }
            _ => (0, pos),
        };
        Ok(FirstPicture { stream, pos, frame })
    }
}

/// Where a picture begins, or a file.
fn find_sign(data: &[u8]) -> Option<usize> {
    let mut places = memchr::memchr2_iter(0xff, b'R', data);
    places.find(|at| data.get(*at..*at + ListHeader::SIZE).is_some_and(is_sign))
}

/// Whether a picture begins there, or a file.
fn is_sign(bytes: &[u8]) -> bool {
    match bytes {
        [0xff, ..] => jpeg::begins(bytes),
        [b'R', ..] => ListHeader::parse(bytes)
            .is_ok_and(|head| (head.id, head.kind) == (FourCc::RIFF, FourCc::AVI)),
        _ => false,
    }
}

/// Finds the video of a file whose header is lost.
///
/// `Ok(None)` if there is none in the first bytes, or the header of another file is before it.
pub fn probe<V: View>(view: &mut V, from: u64) -> Result<Option<FirstPicture>, Stop<V::Error>> {
    Ok(match Probe::new(from).next(view)? {
        Found::Picture(picture) => Some(picture),
        _ => None,
    })
}
