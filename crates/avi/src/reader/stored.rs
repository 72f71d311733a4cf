// SPDX-License-Identifier: MIT OR Apache-2.0
//! The index a file has of itself: OpenDML's (`indx`, `ix00`) or the old
//! `idx1`, read in pieces and believed only if it leads to chunks.

use std::collections::{BTreeMap, HashSet, VecDeque};

use super::headers::{Format, Header, Stream};
use super::index::Index;
use super::walk::{Stop, View};
use crate::header::{
    ChunkHeader, FourCc, IndexPreamble, OldIndexEntry, StandardIndex, StandardIndexEntry,
    SuperIndex, SuperIndexEntry, padded,
};

/// Entries read at once.
const PIECE: usize = 4096;

/// Of the first and the last chunks that an index names so many are looked at.
const SAMPLE: usize = 4;

/// Gaps between the chunks an index names so many are looked into.
const GAPS: u32 = 256;

/// Why the stored index is of no use.
#[derive(Debug)]
pub enum Unusable<E> {
    /// Reading failed, or a part of the file has to come first; nothing can
    /// be said of the index.
    Read(Stop<E>),
    /// It does not fit the file.
    Wrong(&'static str),
}

impl<E> From<Stop<E>> for Unusable<E> {
    fn from(stop: Stop<E>) -> Self {
        Self::Read(stop)
    }
}

/// A chunk as an index names it.
#[derive(Debug, Clone, Copy)]
struct Named {
    stream: usize,
    /// Of the payload.
    pos: u64,
    size: u32,
}

impl Named {
    /// Whether there is room for it and its header in a file of `len` bytes.
    fn fits(&self, len: u64) -> bool {
        let end = self.pos.checked_add(padded(self.size.into()));
        self.pos >= ChunkHeader::SIZE as u64
            && end.is_some_and(|_| self.pos + u64::from(self.size) <= len)
    }
}

/// Fills `index` with what the file's own index says. `Ok(false)` if it has
/// none.
pub fn load<V: View>(
    view: &mut V,
    header: &Header,
    index: &mut Index,
) -> Result<bool, Unusable<V::Error>> {
    let wrong = match load_open_dml(view, header, index) {
        Ok(true) => return Ok(true),
        Ok(false) => None,
        Err(Unusable::Wrong(why)) => Some(why),
        Err(error) => return Err(error),
    };
    index.clear();
    match (find_old(view, header, index), wrong) {
        // The old index of the first RIFF is better than none.
        (Ok(true), _) => Ok(true),
        (Ok(false), None) => {
            index.clear();
            Ok(false)
        }
        (_, Some(why)) => Err(Unusable::Wrong(why)),
        (result, None) => result,
    }
}

fn find_old<V: View>(
    view: &mut V,
    header: &Header,
    index: &mut Index,
) -> Result<bool, Unusable<V::Error>> {
    let Some(movi) = header.movi else {
        return Ok(false);
    };
    // Where movi ends, by its size; JUNK may stand before the index.
    let mut at = header.movi_end;
    // The padding of a last chunk of odd size may be left out, and movi be odd itself.
    let is_index = |chunk: ChunkHeader| chunk.id == FourCc::IDX1;
    for place in [at, at.saturating_sub(1)] {
        if ChunkHeader::parse(view.get(place, 8)?).is_ok_and(is_index) {
            at = place;
            break;
        }
    }
    for _ in 0..8 {
        let Ok(chunk) = ChunkHeader::parse(view.get(at, 8)?) else {
            return Ok(false);
        };
        match chunk.id {
            FourCc::IDX1 => {
                let pos = at + 8;
                let end = (pos + u64::from(chunk.size)).min(view.size().unwrap_or(u64::MAX));
                return load_old(view, header, &OldEntries { pos, end, movi }, index);
            }
            FourCc::JUNK | FourCc::LIST => at += 8 + chunk.padded_size(),
            _ => return Ok(false),
        }
    }
    Ok(false)
}

/// Whether a named chunk is where it should be; `None` if there is a hole.
fn is_there<V: View>(view: &mut V, named: Named) -> Result<Option<bool>, Stop<V::Error>> {
    let Some(at) = named.pos.checked_sub(8) else {
        return Ok(Some(false));
    };
    let Ok(chunk) = ChunkHeader::parse(view.get(at, 8)?) else {
        return Ok(Some(false));
    };
    let stream = chunk.id.stream_and_kind().map(|(stream, _)| stream.into());
    Ok(
        match (stream == Some(named.stream), chunk.size == named.size) {
            (true, true) => Some(true),
            // One of the two was overwritten.
            (true, false) | (false, true) => None,
            (false, false) if chunk.size == 0 && chunk.id == FourCc([0; 4]) => None,
            (false, false) => Some(false),
        },
    )
}

/// What speaks for and against an index, gathered while it is read.
struct Evidence {
    last: VecDeque<Named>,
    /// Where the chunk behind the last one begins.
    end: u64,
    looks: u32,
    /// Empty chunks before gaps that were looked at.
    empties: u32,
    /// Bytes of all chunks that are named.
    bytes: u64,
    /// Where the first chunk of each stream is that was named.
    first: BTreeMap<usize, u64>,
}

impl Evidence {
    fn new() -> Self {
        Self {
            last: VecDeque::new(),
            end: 0,
            looks: 0,
            empties: 0,
            bytes: 0,
            first: BTreeMap::new(),
        }
    }

    /// Takes an entry in. A gap before it that has a chunk in it says that the
    /// index leaves chunks out.
    fn take<V: View>(
        &mut self,
        view: &mut V,
        header: &Header,
        named: Named,
    ) -> Result<(), Unusable<V::Error>> {
        // A frame that is shown again may be named again, but that is not all there is.
        self.bytes = self.bytes.saturating_add(named.size.into());
        if self.bytes / 2 > view.size().unwrap_or(u64::MAX) {
            return Err(Unusable::Wrong("it names the same chunks again and again"));
        }
        // Streams may be ahead of each other, but within one the first chunk is before all others.
        if named.pos < *self.first.entry(named.stream).or_insert(named.pos) {
            return Err(Unusable::Wrong(
                "it names chunks in another order than they come in",
            ));
        }
        // The head of a `rec ` list may stand between chunks.
        let gap = named.pos.saturating_sub(8 + 12) > self.end && self.end > 0;
        // In a stream each look would cost a seek upstream.
        if gap && self.looks < GAPS && !view.streamed() {
            self.looks += 1;
            let chunk = ChunkHeader::parse(view.get(self.end, 8)?);
            let left_out = chunk.is_ok_and(|chunk| {
                chunk.id.stream_and_kind().is_some_and(|(stream, kind)| {
                    let known = header.streams.get(usize::from(stream));
                    matches!(&kind, b"dc" | b"db" | b"wb")
                        && known.is_some_and(|s| !matches!(s.format, Format::Other { .. }))
                })
            });
            if left_out {
                return Err(Unusable::Wrong("it leaves chunks out"));
            }
        }
        if gap && self.is_made_empty(view)? {
            return Err(Unusable::Wrong("it says of chunks that they are empty"));
        }
        self.end = named.pos + padded(named.size.into());
        if self.last.len() == SAMPLE {
            self.last.pop_front();
        }
        self.last.push_back(named);
        Ok(())
    }

    /// Whether the chunk before a gap is an empty one by the index alone. A frame that is shown again may have an entry
    /// and no chunk, but nothing is between that and the next.
    fn is_made_empty<V: View>(&mut self, view: &mut V) -> Result<bool, Stop<V::Error>> {
        let Some(empty) = self.last.back().filter(|named| named.size == 0) else {
            return Ok(false);
        };
        if self.empties == GAPS || view.streamed() {
            return Ok(false);
        }
        self.empties += 1;
        let chunk = ChunkHeader::parse(view.get(empty.pos.saturating_sub(8), 8)?);
        Ok(chunk.is_ok_and(|chunk| {
            let stream = chunk.id.stream_and_kind().map(|(stream, _)| stream.into());
            chunk.size > 0 && stream == Some(empty.stream)
        }))
    }

    /// Whether the last chunks are where it says, each of another size.
    fn are_other_sizes<V: View>(&self, view: &mut V) -> Result<bool, Stop<V::Error>> {
        for named in &self.last {
            let head = view.get(named.pos.saturating_sub(8), 8)?;
            let chunk = ChunkHeader::parse(head).ok();
            let stream = chunk.as_ref().and_then(|chunk| chunk.id.stream_and_kind());
            if stream.is_none_or(|(stream, _)| usize::from(stream) != named.stream) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the last chunks are where it says.
    fn verdict<V: View>(&self, view: &mut V) -> Result<(), Unusable<V::Error>> {
        let (mut there, mut not, mut unclear) = (0, 0, 0);
        for named in &self.last {
            match is_there(view, *named)? {
                Some(true) => there += 1,
                Some(false) => not += 1,
                None => unclear += 1,
            }
        }
        if unclear == SAMPLE && self.are_other_sizes(view)? {
            return Err(Unusable::Wrong("the chunks it names have other sizes"));
        }
        if not > there {
            return Err(Unusable::Wrong("the last chunks it names are not there"));
        }
        Ok(())
    }
}

/// Whether the index has chunks of every stream that can be played; one that
/// has none may be left out of it only.
fn has_all(header: &Header, index: &Index) -> bool {
    let streams = header.streams.iter().enumerate();
    streams
        .filter(|(_, s)| !matches!(s.format, Format::Other { .. }))
        .all(|(n, _)| index.chunks(n) > 0)
}

/// The entries of an `idx1`.
struct OldEntries {
    /// Where the first one is, and behind the last.
    pos: u64,
    end: u64,
    /// Where `movi` is.
    movi: u64,
}

/// The stream of an entry that names a chunk of pictures or sound.
fn stream_of(entry: &OldIndexEntry) -> Option<usize> {
    match entry.id.stream_and_kind() {
        Some((stream, [b'd', b'c' | b'b'] | [b'w', b'b'])) => Some(usize::from(stream)),
        _ => None,
    }
}

/// What an entry names, if its offset counts from `base`.
fn named(entry: &OldIndexEntry, stream: usize, base: u64) -> Named {
    Named {
        stream,
        pos: base + u64::from(entry.offset) + 8,
        size: entry.size,
    }
}

impl OldEntries {
    /// The first and the last entries that name chunks.
    fn samples<V: View>(&self, view: &mut V) -> Result<Vec<OldIndexEntry>, Stop<V::Error>> {
        let entry_size = OldIndexEntry::SIZE as u64;
        let all = (self.end - self.pos) / entry_size * entry_size;
        let some = all.min(64 * entry_size);
        let mut samples = Vec::new();
        for at in [self.pos, self.pos + all - some] {
            let entries = view.get(at, some as usize)?;
            let entries: Vec<_> = entries
                .chunks_exact(OldIndexEntry::SIZE)
                .filter_map(|e| OldIndexEntry::parse(e).ok())
                .filter(|e| stream_of(e).is_some())
                .collect();
            let less = entries.len().saturating_sub(SAMPLE);
            let skipped = if at == self.pos { 0 } else { less };
            samples.extend(entries.into_iter().skip(skipped).take(SAMPLE));
        }
        Ok(samples)
    }

    /// What the offsets count from: `movi`, by the book; some writers count from the file's start.
    fn base<V: View>(
        &self,
        view: &mut V,
        samples: &[OldIndexEntry],
    ) -> Result<u64, Stop<V::Error>> {
        for base in [self.movi, 0, self.movi + 4, self.movi.saturating_sub(8)] {
            for entry in samples {
                let named = named(entry, stream_of(entry).unwrap_or(0), base);
                if is_there(view, named)? == Some(true) {
                    return Ok(base);
                }
            }
        }
        // Perhaps none of them is there: that is checked at the end.
        Ok(self.movi)
    }

    /// The chunks that the entries from `at` on name, and where the next ones are.
    fn piece<V: View>(
        &self,
        view: &mut V,
        at: u64,
        base: u64,
        header: &Header,
    ) -> Result<(Vec<Named>, u64), Unusable<V::Error>> {
        let file = view.size().unwrap_or(u64::MAX);
        let len = (self.end - at).min((PIECE * OldIndexEntry::SIZE) as u64) as usize;
        let piece = view.get(at, len)?;
        let mut names = Vec::with_capacity(PIECE);
        for bytes in piece.chunks_exact(OldIndexEntry::SIZE) {
            let Ok(entry) = OldIndexEntry::parse(bytes) else {
                break;
            };
            let Some(stream) = stream_of(&entry) else {
                let mut name = entry.id.0.iter();
                if name.all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
                    // A list, a palette, an index chunk, a chunk of another name.
                    continue;
                }
                return Err(Unusable::Wrong("it has entries that name no chunk"));
            };
            let is_picture = matches!(entry.id.0, [_, _, b'd', b'c' | b'b']);
            if is_picture && header.streams.get(stream).is_some_and(Stream::is_sound) {
                return Err(Unusable::Wrong("it names pictures in a stream of sound"));
            }
            let named = named(&entry, stream, base);
            if !named.fits(file) {
                return Err(Unusable::Wrong("it has entries that lie outside the file"));
            }
            if stream < header.streams.len() {
                names.push(named);
            }
        }
        let read = piece.len() / OldIndexEntry::SIZE * OldIndexEntry::SIZE;
        Ok((names, at + read as u64))
    }
}

fn load_old<V: View>(
    view: &mut V,
    header: &Header,
    entries: &OldEntries,
    index: &mut Index,
) -> Result<bool, Unusable<V::Error>> {
    let samples = entries.samples(view)?;
    if samples.is_empty() {
        return Ok(false);
    }
    let base = entries.base(view, &samples)?;
    let mut evidence = Evidence::new();
    let mut at = entries.pos;
    while at < entries.end {
        let (names, next) = entries.piece(view, at, base, header)?;
        if next == at {
            break;
        }
        at = next;
        for named in names {
            evidence.take(view, header, named)?;
            index.push(named.stream, named.pos, named.size, false);
        }
    }
    evidence.verdict(view)?;
    Ok(has_all(header, index))
}

/// The entries of one stream's standard indexes, read in pieces.
struct StandardEntries {
    stream: usize,
    /// Where each standard index's payload is and how many bytes it has.
    chunks: std::vec::IntoIter<(u64, u64)>,
    /// The entries still to read of the current one.
    at: u64,
    left: u64,
    base: u64,
    /// Bytes of one.
    size: usize,
    piece: std::vec::IntoIter<StandardIndexEntry>,
}

impl StandardEntries {
    fn next<V: View>(&mut self, view: &mut V) -> Result<Option<Named>, Unusable<V::Error>> {
        loop {
            if let Some(entry) = self.piece.next() {
                return Ok(Some(Named {
                    stream: self.stream,
                    pos: self.base.saturating_add(entry.offset.into()),
                    size: entry.size,
                }));
            }
            if self.left == 0 {
                let Some((pos, len)) = self.chunks.next() else {
                    return Ok(None);
                };
                let head = view.get(pos, StandardIndex::SIZE)?;
                let preamble = IndexPreamble::parse(head);
                let (Ok(preamble), Ok(standard)) = (preamble, StandardIndex::parse(head)) else {
                    return Err(Unusable::Wrong("a part of it is cut off"));
                };
                // One of two fields has a word more, which is where the second begins.
                self.size = match (preamble.longs_per_entry, preamble.sub_type) {
                    (2, _) => StandardIndexEntry::SIZE,
                    (3, IndexPreamble::TWO_FIELDS) => StandardIndexEntry::SIZE + 4,
                    _ => 0,
                };
                if preamble.kind != IndexPreamble::OF_CHUNKS || self.size == 0 {
                    // An index of indexes down here could lead in a circle.
                    return Err(Unusable::Wrong(
                        "a part of it is of a kind that has no place there",
                    ));
                }
                self.base = standard.base_offset;
                self.at = pos + StandardIndex::SIZE as u64;
                let room = len.saturating_sub(StandardIndex::SIZE as u64);
                self.left = u64::from(standard.entries).min(room / self.size as u64);
                continue;
            }
            let count = self.left.min(PIECE as u64);
            let bytes = view.get(self.at, count as usize * self.size)?;
            let piece: Vec<StandardIndexEntry> = bytes
                .chunks_exact(self.size)
                .filter_map(|b| StandardIndexEntry::parse(b).ok())
                .collect();
            if piece.len() as u64 != count {
                return Err(Unusable::Wrong("a part of it is cut off"));
            }
            self.at += count * self.size as u64;
            self.left -= count;
            self.piece = piece.into_iter();
        }
    }
}

/// Where the standard indexes are that a stream's super index names, and how many bytes each has.
fn standard_indexes<V: View>(
    view: &mut V,
    super_index: &[u8],
) -> Result<Vec<(u64, u64)>, Unusable<V::Error>> {
    let file = view.size().unwrap_or(u64::MAX);
    let Ok(preamble) = IndexPreamble::parse(super_index) else {
        return Ok(Vec::new());
    };
    if preamble.kind != IndexPreamble::OF_INDEXES || preamble.longs_per_entry != 4 {
        return Ok(Vec::new());
    }
    let entries = super_index.get(SuperIndex::SIZE..).unwrap_or(&[]);
    let entries = entries
        .chunks_exact(SuperIndexEntry::SIZE)
        .take(preamble.entries as usize);
    let (mut chunks, mut met) = (Vec::new(), HashSet::new());
    for bytes in entries {
        let Ok(entry) = SuperIndexEntry::parse(bytes) else {
            break;
        };
        if entry.offset == 0 && entry.size == 0 {
            // Unused entries, kept for later indexes.
            break;
        }
        if !met.insert(entry.offset) {
            return Err(Unusable::Wrong("it leads in a circle"));
        }
        if entry.offset >= file {
            return Err(Unusable::Wrong("it leads outside the file"));
        }
        let chunk = ChunkHeader::parse(view.get(entry.offset, 8)?);
        let Ok(chunk) = chunk else {
            return Err(Unusable::Wrong("it leads outside the file"));
        };
        // `ix00` by the book, `00ix` in others.
        let named = chunk.id.standard_index_stream().is_some()
            || chunk.id == FourCc::INDX
            || matches!(chunk.id.stream_and_kind(), Some((_, [b'i', b'x'])));
        if !named {
            return Err(Unusable::Wrong("a part of it is not where it should be"));
        }
        let len = u64::from(chunk.size).min(file.saturating_sub(entry.offset + 8));
        chunks.push((entry.offset + 8, len));
    }
    Ok(chunks)
}

fn load_open_dml<V: View>(
    view: &mut V,
    header: &Header,
    index: &mut Index,
) -> Result<bool, Unusable<V::Error>> {
    let mut streams = Vec::new();
    for (stream, of) in header.streams.iter().enumerate() {
        let chunks = standard_indexes(view, &of.super_index)?;
        if !chunks.is_empty() {
            streams.push(StandardEntries {
                stream,
                chunks: chunks.into_iter(),
                at: 0,
                left: 0,
                base: 0,
                size: StandardIndexEntry::SIZE,
                piece: Vec::new().into_iter(),
            });
        }
    }
    if streams.is_empty() {
        return Ok(false);
    }
    let file = view.size().unwrap_or(u64::MAX);
    // In the order of the file; that is how an index is smallest.
    let mut heads = Vec::with_capacity(streams.len());
    for stream in &mut streams {
        heads.push(stream.next(view)?);
    }
    let mut evidence = Evidence::new();
    let mut pushed = 0;
    while let Some((n, named)) = heads
        .iter()
        .enumerate()
        .filter_map(|(n, head)| head.map(|named| (n, named)))
        .min_by_key(|(_, named)| named.pos)
    {
        if !named.fits(file) {
            return Err(Unusable::Wrong("it has entries that lie outside the file"));
        }
        pushed += 1;
        // Even empty chunks take 8 bytes.
        if pushed > file / 8 {
            return Err(Unusable::Wrong(
                "it names more chunks than the file can hold",
            ));
        }
        evidence.take(view, header, named)?;
        index.push(named.stream, named.pos, named.size, false);
        if let (Some(head), Some(stream)) = (heads.get_mut(n), streams.get_mut(n)) {
            *head = stream.next(view)?;
        }
    }
    evidence.verdict(view)?;
    Ok(has_all(header, index))
}
