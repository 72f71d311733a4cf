// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether a file is one for this reader, by its first bytes: what a player asks before it chooses who
//! takes the file apart.
//!
//! ```
//! use avi_mjpeg::reader::recognize::{Verdict, recognize};
//!
//! assert_eq!(recognize(b"RIFF\0\0\0\0AVI LIST", true), Verdict::Other);
//! ```

use super::headers::{Format, Header, Stream};
use super::stream::{Item, StreamReader};
use super::walk::CHUNK_HEAD;
use crate::header::{FourCc, ListHeader};
use crate::jpeg;

/// Bytes in which it is decided: a head with OpenDML's indexes is within, and a gap of some sectors
/// before the first picture of a file whose head is lost.
pub const ENOUGH: usize = 128 << 10;

/// What the first bytes of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// An AVI file of Motion JPEG, by its first bytes and its headers or pictures.
    Ours,
    /// The first bytes are damaged, but what follows is the same.
    Damaged,
    /// It takes more of the file to say.
    More,
    /// Something else, or a file with streams that this reader leaves out: another may know them.
    Other,
}

/// Says what begins with `head`. `complete` if there is no more of the file, or no more will be looked at.
pub fn recognize(head: &[u8], complete: bool) -> Verdict {
    let mut reader = StreamReader::new();
    reader.push(head);
    if complete {
        reader.finish();
    }
    let header = match reader.step() {
        Ok(Some(Item::Header)) => reader.header(),
        Ok(None) => return Verdict::More,
        _ => None,
    };
    let Some(header) = header.filter(|header| is_all_played(header)) else {
        return Verdict::Other;
    };
    // A picture that was found without a header may be in any file, so it has to be in a chunk.
    if reader.first_picture().is_some() && !has_picture_chunk(head, header) {
        return Verdict::Other;
    }
    match begins(head) {
        true => Verdict::Ours,
        false => Verdict::Damaged,
    }
}

/// Whether an AVI file begins with these bytes, of whatever codec; the first twelve say it.
pub fn begins(head: &[u8]) -> bool {
    ListHeader::parse(head).is_ok_and(|list| (list.id, list.kind) == (FourCc::RIFF, FourCc::AVI))
}

/// Motion JPEG, and nothing that would be left out.
fn is_all_played(header: &Header) -> bool {
    let mut streams = header.streams.iter();
    let pictures = |stream: &Stream| matches!(stream.format, Format::Jpeg { .. });
    streams.clone().any(pictures) && streams.all(Stream::is_played)
}

/// Whether a chunk of video begins as a picture does, behind the header.
fn has_picture_chunk(head: &[u8], header: &Header) -> bool {
    let from = header.movi.and_then(|movi| usize::try_from(movi).ok());
    let data = head.get(from.unwrap_or(0)..).unwrap_or_default();
    let size = CHUNK_HEAD as usize;
    data.windows(size + 3).any(|bytes| {
        let (chunk, picture) = bytes.split_at(size);
        let name = FourCc::parse(chunk).and_then(|id| id.stream_and_kind());
        matches!(name, Some((_, [b'd', b'c' | b'b']))) && jpeg::begins(picture)
    })
}
