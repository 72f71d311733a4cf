// SPDX-License-Identifier: MIT OR Apache-2.0
//! The head of a file, from `RIFF` to `movi`, as bytes with known places in them.

use super::date::asctime;
use super::{Options, Profile, Stream, StreamFormat, Tags};
use crate::header::{
    BitmapInfo, ChunkHeader, ExtendedHeader, FourCc, ListHeader, MainHeader, SuperIndex,
    SuperIndexEntry, padded,
};

/// Entries that a super index has room for.
///
/// With it the chunk is a page of 4 KiB, and it is put on a page's border: systems and disks write
/// pages whole, so a power cut leaves the index and its number of entries either both old or both
/// new.
pub(super) const SUPER_ENTRIES: usize =
    (PAGE - ChunkHeader::SIZE - SuperIndex::SIZE) / SuperIndexEntry::SIZE;
const PAGE: usize = 4096;

/// Bytes kept for the indexes of what was written since the last checkpoint, for when the disk is
/// full and nothing can be appended: more than 500 chunks.
const RESERVE: usize = 4096;

/// Bytes kept for tags that come late, where there is no such reserve. The K210's profile has neither:
/// what the head takes is missing for the first frame.
const TAG_ROOM: usize = 512;

/// Where things are in the head.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    /// Payload of `avih`.
    pub main: usize,
    pub streams: Vec<StreamPlaces>,
    /// Payload of `dmlh`, when the file has indexes.
    pub extended: Option<usize>,
    /// Where the `INFO` list begins, and where the room for it and the reserve behind it ends.
    pub tags: (usize, usize),
    /// A whole `JUNK` chunk (where it is and its size) that indexes may be put into.
    pub reserve: Option<(usize, usize)>,
    /// The kind of the `movi` list.
    pub movi: usize,
}

#[derive(Debug, Clone, Default)]
pub(super) struct StreamPlaces {
    /// The whole `strl` list.
    pub list: usize,
    /// Payload of `strf`, and how many bytes it has room for.
    pub format: (usize, usize),
    /// Payload of `strh`.
    pub header: usize,
    /// The whole super index chunk, when the file has indexes.
    pub super_index: Option<usize>,
}

/// Writes nested chunks, with their sizes put in when they end.
struct Nest {
    bytes: Vec<u8>,
    open: Vec<usize>,
}

impl Nest {
    fn open_list(&mut self, id: FourCc, kind: FourCc) {
        self.open.push(self.bytes.len());
        self.bytes
            .extend(ListHeader { id, size: 0, kind }.to_bytes());
    }

    fn close(&mut self) {
        if let Some(start) = self.open.pop() {
            let size = (self.bytes.len() - start - ChunkHeader::SIZE) as u32;
            self.bytes[start + 4..start + 8].copy_from_slice(&size.to_le_bytes());
        }
    }

    /// Appends a chunk; answers where its payload is.
    fn chunk(&mut self, id: FourCc, payload: &[u8]) -> usize {
        self.bytes
            .extend(ChunkHeader::new(id, payload.len() as u32).to_bytes());
        let at = self.bytes.len();
        self.bytes.extend(payload);
        let end = at + padded(payload.len() as u64) as usize;
        self.bytes.resize(end, 0);
        at
    }

    /// Appends junk such that what follows is on a page's border.
    fn align(&mut self) {
        let used = (self.bytes.len() + ChunkHeader::SIZE) % PAGE;
        self.chunk(FourCc::JUNK, &vec![0; (PAGE - used) % PAGE]);
    }
}

/// The payload of a stream's `strf`.
pub(super) fn format_bytes(format: &StreamFormat) -> Vec<u8> {
    match format {
        StreamFormat::Video { width, height, .. } => {
            BitmapInfo::mjpeg(*width, *height).to_bytes().to_vec()
        }
        StreamFormat::Audio(format) => format.to_bytes(),
    }
}

/// Lays the head out, all totals being 0. `movi` has no size yet.
pub(super) fn lay_out(options: &Options, streams: &[Stream], tags: &Tags) -> (Vec<u8>, Places) {
    let mut places = Places::default();
    let mut nest = Nest {
        bytes: Vec::new(),
        open: Vec::new(),
    };
    nest.open_list(FourCc::RIFF, FourCc::AVI);
    nest.open_list(FourCc::LIST, FourCc::HDRL);
    places.main = nest.chunk(FourCc::AVIH, &MainHeader::default().to_bytes());
    for stream in streams {
        let mut place = StreamPlaces {
            list: nest.bytes.len(),
            ..StreamPlaces::default()
        };
        nest.open_list(FourCc::LIST, FourCc::STRL);
        place.header = nest.chunk(FourCc::STRH, &stream.header().to_bytes());
        let format = format_bytes(&stream.format);
        place.format = (nest.chunk(FourCc::STRF, &format), format.len());
        if options.indexed() {
            nest.align();
            place.super_index = Some(nest.bytes.len());
            // It is junk until it has an entry: not every reader takes an empty index.
            nest.chunk(FourCc::JUNK, &[0; PAGE - ChunkHeader::SIZE]);
        }
        nest.close();
        places.streams.push(place);
    }
    if options.indexed() {
        nest.open_list(FourCc::LIST, FourCc::ODML);
        places.extended = Some(nest.chunk(FourCc::DMLH, &[0; ExtendedHeader::SIZE]));
        nest.close();
    }
    // The K210 has no use for it.
    if let Some(date) = asctime(&tags.date).filter(|_| options.profile == Profile::Standard) {
        nest.chunk(FourCc::IDIT, format!("{date}\0").as_bytes());
    }
    nest.close();
    places.tags.0 = nest.bytes.len();
    nest.bytes.extend(tags.to_list());
    if options.indexed() {
        places.reserve = Some((nest.bytes.len(), RESERVE));
        nest.chunk(FourCc::JUNK, &[0; RESERVE - ChunkHeader::SIZE]);
    } else if options.profile == Profile::Standard {
        nest.chunk(FourCc::JUNK, &[0; TAG_ROOM - ChunkHeader::SIZE]);
    }
    places.tags.1 = nest.bytes.len();
    nest.open_list(FourCc::LIST, FourCc::MOVI);
    places.movi = nest.bytes.len() - 4;
    (nest.bytes, places)
}
