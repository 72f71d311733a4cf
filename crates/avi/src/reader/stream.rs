// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading a file that comes in pieces, as from a pipe: every byte is looked at once, in order, and
//! what has been seen is remembered for seeks.
//!
//! ```
//! use avi_mjpeg::reader::stream::{Item, StreamReader};
//!
//! # let pieces: [&[u8]; 1] = [&[0xff, 0xd8, 0xff, 0xc0, 0, 8, 8, 0, 1, 0, 1, 0, 0xff, 0xd9]];
//! let mut reader = StreamReader::new();
//! let mut pictures = 0;
//! for piece in pieces {
//!     reader.push(piece);
//!     while let Some(item) = reader.step()? {
//!         pictures += usize::from(matches!(item, Item::Unit(_)));
//!     }
//! }
//! reader.finish();
//! while let Some(item) = reader.step()? {
//!     pictures += usize::from(matches!(item, Item::Unit(_)));
//!     if item == Item::End {
//!         break;
//!     }
//! }
//! assert_eq!(pictures, 1);
//! # Ok::<(), avi_mjpeg::reader::OpenError<std::convert::Infallible>>(())
//! ```

use std::convert::Infallible;

use super::arrived::{Arrived, Parts};
use super::headers::{self, Header, Stream};
use super::index::{Cursor, Index};
use super::stored::{self, Unusable};
use super::tracks::{Content, Fate, Gap, Range, Tracks, Unit};
use super::walk::{self, Stop, Walker};
use super::{Finding, Found, Notices, OpenError, Probe, Snap, Useful};
use crate::jpeg;

/// What is asked for at least when a part of the file's index is wanted.
const INDEX_READ: usize = 64 << 10;

/// An index of more than this is left alone.
const MAX_INDEX: usize = 64 << 20;

/// A stream whose chunks are so late has a gap, in nanoseconds: files are interleaved by up to a second.
const PATIENCE: u64 = 2_000_000_000;

/// What comes of the bytes that have come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// The streams are known: [`StreamReader::header`] has them.
    Header,
    /// A chunk.
    Unit(Unit<Vec<u8>>),
    /// A stream has nothing while others are played.
    Gap(Gap),
    /// A seek needs bytes from this place on: [`StreamReader::begin`] has to be told of them.
    GoTo(u64),
    /// A long search goes on: there is time to look at something else.
    Searching,
    /// Nothing that comes is within the range that is played.
    Over,
    /// The end of the file.
    End,
}

/// Where a seek goes, once the bytes from there come.
#[derive(Debug)]
struct Landing {
    /// The place that was asked for.
    pos: u64,
    /// Units of each stream before it.
    counts: Vec<u64>,
    range: Range,
}

/// A seek beyond what has been seen, for which the file's index is fetched.
#[derive(Debug)]
struct Lookup {
    parts: Parts,
    /// Up to where the last part has to come.
    need: u64,
    range: Range,
}

/// What is known once the header has come.
struct Body {
    header: Header,
    walker: Walker,
    index: Index,
    /// Units of each stream before where it is now.
    counts: Vec<u64>,
    tracks: Tracks<Vec<u8>>,
    /// Streams of which nothing more is played.
    over: Vec<bool>,
    /// A file was joined on whose header has not all come.
    joining: bool,
    /// Files that were joined on.
    joins: usize,
    /// The end was met, and what was missing has been told.
    ended: bool,
}

/// A file that comes in pieces.
#[derive(Default)]
pub struct StreamReader {
    arrived: Arrived,
    body: Option<Body>,
    /// The search for a header, or what there is instead.
    probe: Option<(Header, Probe)>,
    /// Nothing can be done before this much of the file has come.
    need: u64,
    landing: Option<Landing>,
    lookup: Option<Lookup>,
    /// The file's index was looked for.
    looked: bool,
    first_picture: Option<jpeg::FrameHeader>,
    notices: Notices,
}

impl StreamReader {
    /// Nothing has come yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the file says of itself, once it is known.
    pub fn header(&self) -> Option<&Header> {
        self.body.as_ref().map(|body| &body.header)
    }

    /// What the streams of a file without header were made up from.
    pub fn first_picture(&self) -> Option<&jpeg::FrameHeader> {
        self.first_picture.as_ref()
    }

    /// What is played now.
    pub fn range(&self) -> Range {
        self.body
            .as_ref()
            .map_or(Range::ALL, |body| body.tracks.range())
    }

    /// What a user should know, once.
    pub fn take_findings(&mut self) -> Vec<Finding> {
        self.notices.take()
    }

    /// The file's duration in nanoseconds by its header, or as much as has been seen: at the end, that.
    pub fn duration(&self) -> Option<u64> {
        let body = self.body.as_ref()?;
        let streams = body.header.streams.iter().enumerate();
        let ends = streams.map(|(n, stream)| {
            let told = match body.ended {
                true => 0,
                false => body.header.length_of(stream),
            };
            let told = if told > 0 { told + stream.start } else { 0 };
            let seen = match body.index.chunks(n) {
                0 => 0,
                _ => stream.end(body.index.units(n)),
            };
            stream.rate.time_of(told).max(seen)
        });
        ends.max().filter(|&end| end > 0)
    }

    /// Takes in the bytes that come next.
    pub fn push(&mut self, piece: &[u8]) {
        match &mut self.lookup {
            Some(lookup) => lookup.parts.push(piece),
            None => self.arrived.push(piece),
        }
    }

    /// What has come and was not used is dropped; more of the file may come from where it stopped.
    pub fn flush(&mut self) {
        self.arrived.begin(self.arrived.reached());
        self.need = 0;
    }

    /// The bytes that follow are those at `pos`. Whether a seek has arrived with that.
    pub fn begin(&mut self, pos: u64) -> bool {
        if let Some(lookup) = &mut self.lookup {
            lookup.parts.begin(pos);
            return false;
        }
        self.arrived.begin(pos);
        self.need = 0;
        let landing = self.landing.take();
        let Some(body) = &mut self.body else {
            return false;
        };
        if landing.is_none() && pos == body.walker.pos() {
            return false;
        }
        // The walker gets back in step by itself if this is no chunk.
        body.walker.set_pos(pos);
        body.joining = false;
        body.ended = false;
        let landed = landing.is_some();
        body.counts = match landing {
            Some(landing) => {
                body.tracks.begin(landing.range);
                body.over.fill(false);
                match pos == landing.pos {
                    true => landing.counts,
                    false => body.index.counts_at(pos),
                }
            }
            None => body.index.counts_at(pos),
        };
        landed
    }

    /// No more bytes come.
    pub fn finish(&mut self) {
        match &mut self.lookup {
            Some(lookup) => {
                lookup.parts.finish();
                lookup.need = 0;
            }
            None => self.arrived.finish(),
        }
    }

    /// What comes of the bytes that have come; `None` if it takes more of them.
    pub fn step(&mut self) -> Result<Option<Item>, OpenError<Infallible>> {
        if let Some(lookup) = &self.lookup {
            let have = lookup.parts.last().1;
            if have < lookup.need.min(lookup.parts.file_size()) {
                return Ok(None);
            }
            return Ok(self.look_up().map(Item::GoTo));
        }
        if self.arrived.reached() < self.need && !self.arrived.is_finished() {
            return Ok(None);
        }
        let Some(body) = &mut self.body else {
            return self.open();
        };
        match body.next(&mut self.arrived, &mut self.notices) {
            Ok(item) => Ok(Some(item)),
            Err(need) => {
                self.need = need;
                Ok(None)
            }
        }
    }

    /// Reads the header once it is there, or searches for what there is instead.
    fn open(&mut self) -> Result<Option<Item>, OpenError<Infallible>> {
        let (header, mut probe) = match self.probe.take() {
            Some(begun) => begun,
            None => {
                let base = self.arrived.base();
                let Some(header) = self.parse(base) else {
                    return Ok(None);
                };
                if header.is_enough() {
                    return Ok(Some(self.start(header, None)));
                }
                let from = header.movi.map_or(base, |movi| movi + 4);
                (header, Probe::new(from))
            }
        };
        loop {
            let item = match probe.next(&mut self.arrived) {
                Ok(Found::Picture(first)) => {
                    let mut header = header;
                    if super::complete(&mut header, &first, &mut self.notices) {
                        self.first_picture = Some(first.frame);
                    }
                    let start = header.movi.is_none().then_some(first.pos);
                    self.start(header, start)
                }
                Ok(Found::File(pos)) => {
                    self.arrived.skip_to(pos);
                    match self.parse(pos) {
                        Some(file) if file.is_enough() => self.start(file, None),
                        Some(_) => continue,
                        None => {
                            probe.again(pos);
                            self.probe = Some((header, probe));
                            return Ok(None);
                        }
                    }
                }
                Ok(Found::Nothing) => {
                    let searched = self.arrived.reached();
                    if header.is_lost() {
                        return Err(OpenError::NotAvi { searched });
                    }
                    let start = header.movi.is_none().then_some(searched);
                    self.start(header, start)
                }
                Err(_) => {
                    self.arrived.skip_to(probe.pos());
                    self.need = self.arrived.reached() + 1;
                    self.probe = Some((header, probe));
                    return Ok(None);
                }
            };
            return Ok(Some(item));
        }
    }

    /// The header that begins at a place; `None` if it has not all come.
    fn parse(&mut self, pos: u64) -> Option<Header> {
        let data = self.arrived.at(pos, usize::MAX);
        match headers::parse(data, pos, self.arrived.is_finished()) {
            Ok(header) => Some(header),
            Err(headers::Short(need)) => {
                self.need = pos + (need as u64).max(data.len() as u64 * 2);
                None
            }
        }
    }

    fn start(&mut self, header: Header, start: Option<u64>) -> Item {
        let movi = header.movi.map_or(self.arrived.base(), |movi| movi + 4);
        let start = start.unwrap_or(movi);
        let streams = header.streams.len();
        let mut walker = Walker::new(super::kinds(&header), start, super::picture_size(&header));
        walker.set_riff_end(header.riff_end);
        self.body = Some(Body {
            walker,
            index: Index::new(header.streams.iter().map(Stream::counts_bytes)),
            counts: vec![0; streams],
            tracks: Tracks::new(streams, PATIENCE),
            over: vec![false; streams],
            header,
            joining: false,
            joins: 0,
            ended: false,
        });
        Item::Header
    }

    /// When the picture begins that is on screen at a time in nanoseconds, as
    /// [`Player::picture_at`](super::player::Player::picture_at) says it; beyond what has been seen, by
    /// the rate alone.
    pub fn picture_at(&self, ns: u64, after: bool) -> Option<u64> {
        let body = self.body.as_ref()?;
        super::picture_at(&body.header, &body.index, self.knows(ns), ns, after)
    }

    /// The time that a seek to a time goes to instead, which is a picture's; as [`picture_at`](Self::picture_at).
    pub fn snap(&self, ns: u64, snap: Snap) -> Option<u64> {
        snap.of(ns, |after| self.picture_at(ns, after))
    }

    /// Where the source has to go for a seek; `None` if nothing has been seen of the file yet.
    ///
    /// If that is beyond what has been seen of a file of `size` bytes, it first goes to the file's
    /// index.
    pub fn seek(&mut self, range: Range, size: Option<u64>) -> Option<u64> {
        let parts = match (self.lookup.take(), size) {
            // The part that was being fetched is given up.
            (Some(mut lookup), _) => {
                lookup.parts.begin(u64::MAX);
                lookup.parts
            }
            (None, Some(size)) if !self.looked && !self.knows(range.start) => {
                self.looked = true;
                Parts::new(size)
            }
            _ => return self.land(range),
        };
        let need = 0;
        self.lookup = Some(Lookup { parts, need, range });
        self.look_up()
    }

    /// Whether a time lies in what has been seen of every stream.
    fn knows(&self, time: u64) -> bool {
        let Some(body) = &self.body else {
            return true;
        };
        let streams = body.header.streams.iter().enumerate();
        streams
            .filter(|(_, stream)| stream.is_played())
            .all(|(n, stream)| stream.end(body.index.units(n)) > time)
    }

    /// Reads the file's index as far as it has come. Answers where the source has to go next.
    fn look_up(&mut self) -> Option<u64> {
        let mut lookup = self.lookup.take()?;
        let body = self.body.as_mut()?;
        let mut index = Index::new(body.header.streams.iter().map(Stream::counts_bytes));
        match stored::load(&mut lookup.parts, &body.header, &mut index) {
            Err(Unusable::Read(Stop::Short { pos, len })) if lookup.parts.total() < MAX_INDEX => {
                let (start, end) = lookup.parts.last();
                let goes_on = (start..=end).contains(&pos) && start != end;
                lookup.need = pos + len.max(INDEX_READ) as u64;
                self.lookup = Some(lookup);
                return (!goes_on).then_some(pos);
            }
            Ok(true) if index.end() > body.index.end() => body.index = index,
            _ => {}
        }
        self.land(lookup.range)
    }

    /// Where the source has to go for a seek, by what is known of the file.
    fn land(&mut self, range: Range) -> Option<u64> {
        let body = self.body.as_mut()?;
        let mut pos = body.index.end().max(body.header.movi.map_or(0, |m| m + 4));
        if body.index.end() == 0 {
            pos = body.walker.pos();
        }
        for (n, stream) in body.header.streams.iter().enumerate() {
            let mut cursor = Cursor::new(n);
            cursor.seek(&body.index, stream.count_at(range.start));
            let mut entry = cursor.peek(&body.index);
            // The picture that is on screen may be before empty chunks, or the last of all.
            while !stream.is_sound() && entry.is_none_or(|entry| entry.size == 0) {
                match cursor.back(&body.index) {
                    Some(before) => entry = Some(before),
                    None => break,
                }
            }
            if let Some(entry) = entry {
                let head = if entry.bare { 0 } else { walk::CHUNK_HEAD };
                pos = pos.min(entry.pos.saturating_sub(head));
            }
        }
        let counts = body.index.counts_at(pos);
        self.landing = Some(Landing { pos, counts, range });
        Some(pos)
    }
}

impl Body {
    /// What comes next, or up to where the file has to come first.
    fn next(&mut self, arrived: &mut Arrived, notices: &mut Notices) -> Result<Item, u64> {
        let is_there = |n: usize| self.header.streams[n].is_played() && self.index.chunks(n) > 0;
        if let Some(gap) = self.tracks.gap(is_there) {
            return Ok(Item::Gap(gap));
        }
        loop {
            if self.joining {
                self.join(arrived)?;
            }
            let item = self.walker.next(arrived).map_err(|stop| {
                arrived.skip_to(self.walker.pos());
                match stop {
                    Stop::Short { pos, len } => pos + len as u64,
                    Stop::Source(never) => match never {},
                }
            })?;
            match item {
                walk::Item::Chunk {
                    stream,
                    pos,
                    size,
                    bare,
                } => {
                    let unit = self.chunk(arrived, notices, (stream, pos, size, bare));
                    if let Some(unit) = unit {
                        return Ok(Item::Unit(unit));
                    }
                    if self.is_over() {
                        return Ok(Item::Over);
                    }
                }
                walk::Item::Lost { stream } => {
                    let first = self.counts[stream];
                    self.counts[stream] += 1;
                    if arrived.base() >= self.index.end() {
                        self.index.skip(stream, 1);
                    }
                    let header = &self.header.streams[stream];
                    if let Some(unit) = self.tracks.unit(stream, header, (first, 1), None) {
                        return Ok(Item::Unit(unit));
                    }
                }
                walk::Item::Riff { pos, first: true } if pos > 0 => {
                    notices.say(Finding::Joined { pos });
                    // A join that was met before is in the index already.
                    self.joining = pos >= self.index.end() && self.joins < super::MAX_JOINED;
                    self.joins += usize::from(self.joining);
                    self.counts = self.index.counts_at(pos + 1);
                }
                walk::Item::Searching => return Ok(Item::Searching),
                walk::Item::End => return Ok(self.end(arrived.reached(), notices)),
                item => notices.say_item(item),
            }
        }
    }

    fn end(&mut self, size: u64, notices: &mut Notices) -> Item {
        if let Some(unit) = self.tracks.last(&self.header.streams) {
            return Item::Unit(unit);
        }
        if !std::mem::replace(&mut self.ended, true) {
            notices.flush();
            if let Some(lost) = super::lost_sound(&self.header, &self.walker) {
                notices.say(lost);
            }
            for finding in super::missing(&self.header, size, |n| self.counts[n]) {
                notices.say(finding);
            }
        }
        Item::End
    }

    /// A chunk, as it is played.
    fn chunk(
        &mut self,
        arrived: &mut Arrived,
        notices: &mut Notices,
        (n, pos, size, bare): (usize, u64, u32, bool),
    ) -> Option<Unit<Vec<u8>>> {
        let stream = self.header.streams.get(n)?;
        let first = self.counts[n];
        let mut count = (first, stream.count_of(size));
        self.counts[n] += count.1;
        if pos > self.index.end() {
            self.index.push(n, pos, size, bare);
        }
        if self.over[n] {
            return None;
        }
        match self.tracks.fate(n, stream, first, size) {
            Fate::Play => {}
            Fate::Skip => return None,
            Fate::Over => {
                self.over[n] = true;
                return None;
            }
        }
        let data = arrived.at(pos, size as usize);
        if stream.counts_bytes() {
            let samples = self.tracks.samples(n, stream.part(first), first, data);
            let (head, range, first) = samples?;
            count = (first, (head.len() + range.len()) as u64);
            let content = Content {
                head,
                piece: data[range].to_vec(),
                incomplete: false,
            };
            return self.tracks.unit(n, stream, count, Some(content));
        }
        let content = match stream.is_sound() {
            true => Some((0..data.len(), false)),
            false => match super::examine(data, !bare) {
                Useful::All { range, incomplete } => Some((range, incomplete)),
                Useful::Nothing if size > 0 => {
                    let head = if bare { 0 } else { walk::CHUNK_HEAD };
                    notices.lost(pos - head, pos + u64::from(size));
                    None
                }
                Useful::Nothing => None,
            },
        };
        let content = content.map(|(range, incomplete)| Content {
            head: Vec::new(),
            piece: data[range].to_vec(),
            incomplete,
        });
        self.tracks.unit(n, stream, count, content)
    }

    /// Whether every stream that was met is behind the range's stop.
    fn is_over(&self) -> bool {
        let Some(stop) = self.tracks.range().stop else {
            return false;
        };
        let streams = self.header.streams.iter().enumerate();
        let mut met = streams.filter(|(n, stream)| stream.is_played() && self.counts[*n] > 0);
        // Interleaving is by up to a second.
        met.all(|(n, stream)| stream.time(self.counts[n]) >= stop)
    }

    /// Reads the header of a file that was joined on, once it is there; else, up to where the file
    /// has to come first.
    fn join(&mut self, arrived: &mut Arrived) -> Result<(), u64> {
        let pos = self.walker.pos();
        arrived.skip_to(pos);
        let data = arrived.at(pos, super::MAX_JOINED_HEADER);
        let have = data.len();
        let complete = arrived.is_finished() || have >= super::MAX_JOINED_HEADER;
        match headers::parse(data, pos, complete) {
            Ok(other) => {
                super::join(&mut self.header, &self.index, &other);
                let kinds = super::kinds(&self.header);
                self.walker
                    .set_streams(kinds, super::picture_size(&self.header));
                self.joining = false;
                Ok(())
            }
            Err(headers::Short(need)) => Err(pos + need.max(2 * have).max(1) as u64),
        }
    }
}
