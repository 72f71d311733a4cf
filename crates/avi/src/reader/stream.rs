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

use std::collections::{HashSet, VecDeque};
use std::convert::Infallible;

use super::arrived::Arrived;
use super::headers::{self, Header, Stream};
use super::index::Index;
use super::tracks::{Content, Fate, Gap, Range, Tracks, Unit};
use super::walk::{self, Stop, Walker};
use super::{Finding, Found, Notices, OpenError, Probe, Useful, first_video};
use crate::header::padded;
use crate::jpeg;

mod seek;
use seek::{Landing, Lookup, Settling};

/// A stream whose chunks are so late has a gap, in nanoseconds: files are interleaved by up to a second.
const PATIENCE: u64 = 2_000_000_000;

/// So many pictures are remembered that were found to be lost.
const MOST_LOST: usize = 1 << 16;

/// What comes of the bytes that have come.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// The streams are known: [`StreamReader::header`] has them.
    Header,
    /// A chunk.
    Unit(Unit<Vec<u8>>),
    /// A stream has nothing while others are played.
    Gap(Gap),
    /// A seek needs bytes from this place on: [`StreamReader::begin`] has to be told of them.
    GoTo(u64),
    /// A seek has landed: what follows is of this range, whose first picture is found if it has to begin
    /// with one.
    Landed(Range),
    /// A long search goes on: there is time to look at something else.
    Searching,
    /// Nothing that comes is within the range that is played.
    Over,
    /// The end of the file.
    End,
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
    /// Pictures of the first video, by how many are before each, that were found to be lost.
    lost: HashSet<u64>,
    /// A file was joined on whose header has not all come.
    joining: bool,
    /// Files that were joined on.
    joins: usize,
    /// Bytes in which no intact chunk was found since the beginning, or the last seek.
    damaged: u64,
    /// The end was met, and what was missing has been told.
    ended: bool,
    /// The index has all there is.
    complete: bool,
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
    /// A seek that has landed, until the picture is there that it begins with.
    settling: Option<Settling>,
    /// What was held back until then.
    ready: VecDeque<Item>,
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
            let told = match told {
                0 => 0,
                told => told.saturating_add(stream.start),
            };
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
        self.ready.retain(|item| matches!(item, Item::Landed(_)));
        if let Some(settling) = &mut self.settling {
            settling.held.clear();
        }
    }

    /// The bytes that follow are those at `pos`.
    pub fn begin(&mut self, pos: u64) {
        if let Some(lookup) = &mut self.lookup {
            lookup.parts.begin(pos);
            return;
        }
        self.arrived.begin(pos);
        self.need = 0;
        let landing = self.landing.take();
        let Some(body) = &mut self.body else {
            return;
        };
        if landing.is_none() && pos == body.walker.pos() {
            return;
        }
        // The walker gets back in step by itself if this is no chunk.
        body.walker.set_pos(pos);
        body.joining = false;
        body.damaged = 0;
        body.ended = false;
        body.counts = body.index.counts_at(pos);
        if let Some(landing) = landing {
            body.tracks.begin(landing.range);
            body.over.fill(false);
            self.settling = Some(Settling::new(landing));
        }
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
        if let Some(item) = self.ready.pop_front() {
            return Ok(Some(item));
        }
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
        loop {
            let Some(body) = &mut self.body else {
                return self.open();
            };
            match body.next(&mut self.arrived, &mut self.notices) {
                Ok(item) => {
                    if let Some(item) = self.settle(item) {
                        return Ok(Some(item));
                    }
                }
                Err(need) => {
                    self.need = need;
                    return Ok(None);
                }
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
                    let before = super::picture_before(&mut self.arrived, base, header.begin);
                    // Of a file that has come in part, walk through what there is.
                    let before = before.unwrap_or(Some(base));
                    return Ok(Some(self.start(header, before)));
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
            lost: HashSet::new(),
            header,
            joining: false,
            joins: 0,
            damaged: 0,
            ended: false,
            complete: false,
        });
        Item::Header
    }
}

/// Remembers a picture that is lost, for seeks.
fn remember(lost: &mut HashSet<u64>, first: Option<u64>) {
    if lost.len() < MOST_LOST {
        lost.extend(first);
    }
}

impl Body {
    /// What comes next, or up to where the file has to come first.
    fn next(&mut self, arrived: &mut Arrived, notices: &mut Notices) -> Result<Item, u64> {
        let is_there = |n: usize| self.header.is_played(n) && self.index.chunks(n) > 0;
        if let Some(gap) = self.tracks.gap(is_there) {
            return Ok(Item::Gap(gap));
        }
        loop {
            if self.joining {
                self.join(arrived, notices)?;
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
                    let first = self.count(stream, 1);
                    let is_first = first_video(&self.header, &self.index) == Some(stream);
                    remember(&mut self.lost, is_first.then_some(first));
                    if arrived.base() >= self.index.end() {
                        self.index.skip(stream, 1);
                    }
                    let header = self.header.streams.get(stream);
                    let unit = header
                        .and_then(|header| self.tracks.unit(stream, header, (first, 1), None));
                    if let Some(unit) = unit {
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
                walk::Item::Damage { to, .. } => {
                    self.damaged += item.damaged();
                    // What is known of the file by its index keeps its time.
                    if to < self.index.end() {
                        self.counts = self.index.counts_at(to);
                    }
                    notices.say_item(item);
                }
                walk::Item::Searching => return Ok(Item::Searching),
                walk::Item::End => return Ok(self.end(arrived.reached(), notices)),
                item => notices.say_item(item),
            }
        }
    }

    /// Units of a stream before where it is now.
    fn counted(&self, stream: usize) -> u64 {
        self.counts.get(stream).copied().unwrap_or(0)
    }

    /// Goes on by some units of a stream. Answers what was before them.
    fn count(&mut self, stream: usize, units: u64) -> u64 {
        let counted = self.counted(stream);
        if let Some(count) = self.counts.get_mut(stream) {
            *count = counted.saturating_add(units);
        }
        counted
    }

    fn end(&mut self, size: u64, notices: &mut Notices) -> Item {
        self.complete = true;
        if let Some(unit) = self.tracks.last(&self.header.streams) {
            return Item::Unit(unit);
        }
        if !std::mem::replace(&mut self.ended, true) {
            notices.flush();
            if let Some(pos) = self.walker.left_out() {
                notices.left_out(pos, 1);
            }
            if let Some(lost) = super::lost_sound(&self.header, &self.walker)
                && !notices.leaves_out()
            {
                notices.say(lost);
            }
            let missing = super::missing(&self.header, size, self.damaged, |n| self.counted(n));
            for finding in missing {
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
        let units = self.header.streams.get(n)?.count_of(size);
        let first = self.count(n, units);
        let mut count = (first, units);
        let stream = self.header.streams.get(n)?;
        if pos > self.index.end() {
            self.index.push(n, pos, size, bare);
        }
        if self.over.get(n) == Some(&true) {
            return None;
        }
        match self.tracks.fate(n, stream, first, size) {
            Fate::Play => {}
            Fate::Skip => return None,
            Fate::Over => {
                if let Some(over) = self.over.get_mut(n) {
                    *over = true;
                }
                return None;
            }
        }
        let is_first = first_video(&self.header, &self.index) == Some(n);
        let data = arrived.at(pos, size as usize);
        if stream.counts_bytes() {
            let samples = self.tracks.samples(n, stream.part(first), first, data);
            let (head, range, first) = samples?;
            count = (first, (head.len() + range.len()) as u64);
            let content = Content {
                head,
                piece: data.get(range)?.to_vec(),
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
                    notices.lost(pos - head, pos + padded(size.into()), 0);
                    remember(&mut self.lost, is_first.then_some(first));
                    None
                }
                Useful::Nothing => None,
            },
        };
        let content = content.and_then(|(range, incomplete)| {
            Some(Content {
                head: Vec::new(),
                piece: data.get(range)?.to_vec(),
                incomplete,
            })
        });
        self.tracks.unit(n, stream, count, content)
    }

    /// Whether every stream that was met is behind the range's stop.
    fn is_over(&self) -> bool {
        let Some(stop) = self.tracks.range().stop else {
            return false;
        };
        let streams = self.header.streams.iter().enumerate();
        let mut met = streams.filter(|(n, stream)| stream.is_played() && self.counted(*n) > 0);
        // Interleaving is by up to a second.
        met.all(|(n, stream)| stream.time(self.counted(n)) >= stop)
    }

    /// Reads the header of a file that was joined on, once it is there; else, up to where the file
    /// has to come first.
    fn join(&mut self, arrived: &mut Arrived, notices: &mut Notices) -> Result<(), u64> {
        let pos = self.walker.pos();
        arrived.skip_to(pos);
        let data = arrived.at(pos, super::MAX_JOINED_HEADER);
        let have = data.len();
        let complete = arrived.is_finished() || have >= super::MAX_JOINED_HEADER;
        match headers::parse(data, pos, complete) {
            Ok(other) => {
                let left_out = super::join(&mut self.header, &self.index, &other);
                // Behind "RIFF", its size and its form.
                let begin = pos.saturating_sub(12);
                notices.left_out(begin, left_out);
                let streams = super::streams_of_joined(&self.header, &other);
                self.walker.set_streams(begin, streams);
                self.joining = false;
                Ok(())
            }
            Err(headers::Short(need)) => Err(pos + need.max(2 * have).max(1) as u64),
        }
    }
}
