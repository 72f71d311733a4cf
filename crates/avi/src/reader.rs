// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading AVI files, whatever was wrong with them.
//!
//! [`Reader`] opens a file that can be read at any place: it parses the header
//! ([`headers`]), takes the index the file has (OpenDML's or `idx1`) or makes
//! one by walking from chunk to chunk ([`walk`]), and hands out payloads by
//! [`index::Entry`], checked against the chunk's own header. An index that the
//! file has is believed if the last chunks it names are there; what lies behind
//! them is walked too, so that a file whose index ends early is read to its
//! end. The walk goes on in small steps while the file is being played.
//!
//! A file that comes as a stream is read by the same [`walk::Walker`] alone, in
//! [`stream::StreamReader`]. [`player::Player`] and that one say what is played when.
//!
//! Nothing here allocates by a size that a file claims and does not have.

#![warn(clippy::indexing_slicing)]

pub mod arrived;
pub mod date;
pub mod findings;
mod firsts;
pub mod headers;
pub mod index;
pub mod play;
pub mod player;
pub mod probe;
pub mod recognize;
pub mod stored;
pub mod stream;
pub mod tracks;
pub mod walk;
pub mod window;

use std::collections::HashSet;

pub use findings::Finding;
use findings::Notices;
pub use probe::{FirstPicture, probe};
use probe::{Found, Probe};

use headers::{Format, Header};
use index::{Cursor, Entry, Index};
use play::Next;
use walk::{Item, Kind, Stop, View, Walker};
use window::{ReadAt, Window};

use super::header::{ChunkHeader, FourCc, ListHeader, padded};
use super::jpeg;
use super::timeline::Rate;

/// Bytes that most files' headers are within.
const HEAD: usize = 4 << 10;

/// Why a file cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError<E> {
    /// Reading failed.
    #[error(transparent)]
    Read(E),
    /// There is neither an AVI header nor a JPEG picture in it.
    #[error(
        "there is neither an AVI header nor a JPEG picture in the file's first {searched} bytes"
    )]
    NotAvi {
        /// Bytes that were looked at.
        searched: u64,
    },
}

/// A chunk's contents, or why there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// The bytes to use: this range of the block in the window's slot.
    Bytes {
        /// Where they begin in the file.
        pos: u64,
        /// How many.
        len: usize,
        /// A picture that has no end marker.
        incomplete: bool,
    },
    /// An empty chunk: the frame before it lasts on.
    Empty,
    /// There is nothing usable where it should be.
    Lost,
}

/// An AVI file that can be read at any place.
pub struct Reader<S: ReadAt> {
    window: Window<S>,
    header: Header,
    index: Index,
    walker: Walker,
    complete: bool,
    notices: Notices,
    /// Files that were joined on.
    joins: usize,
    /// Bytes in which the walk found no intact chunk.
    damaged: u64,
    /// Chunks that the file's own index names.
    indexed: bool,
    /// What was to be played and is not intact.
    gone: Gone,
    first_picture: Option<jpeg::FrameHeader>,
}

/// So many chunks are remembered that were found not to be intact.
const MOST_GONE: usize = 1 << 16;

/// Chunks of an index that were found not to be intact.
#[derive(Debug, Default)]
struct Gone {
    /// By stream and what is before them in it.
    chunks: HashSet<(usize, u64)>,
    /// Pictures of each stream of which there is not even a head: nobody would know of them without the index.
    pictures: Vec<u64>,
    /// Bytes that these had.
    bytes: u64,
    /// What was told to be missing of each stream.
    told: Vec<u64>,
}

impl Gone {
    fn new(streams: usize) -> Self {
        Self {
            pictures: vec![0; streams],
            told: vec![0; streams],
            ..Self::default()
        }
    }

    /// Whether a chunk is met for the first time.
    fn is_new(&mut self, entry: &Entry) -> bool {
        self.chunks.len() >= MOST_GONE || self.chunks.insert((entry.stream, entry.first))
    }

    fn picture(&mut self, entry: &Entry) {
        if let Some(pictures) = self.pictures.get_mut(entry.stream) {
            *pictures += 1;
            self.bytes = self
                .bytes
                .saturating_add(entry.head() + u64::from(entry.size));
        }
    }

    /// Pictures of a stream that are not there.
    fn of(&self, stream: usize) -> u64 {
        self.pictures.get(stream).copied().unwrap_or(0)
    }
}

/// What the walker has to know of the streams, as they are in the end.
pub fn kinds(header: &Header) -> Vec<Kind> {
    header.streams.iter().map(kind).collect()
}

fn kind(stream: &headers::Stream) -> Kind {
    match &stream.last_part().stream.format {
        Format::Jpeg { .. } => Kind::Jpeg,
        Format::Pcm(pcm) => Kind::Sound(pcm.frame_bytes() as u32),
        Format::Coded(coded) => Kind::Sound(coded.block),
        Format::Other { .. } => Kind::Other,
    }
}

/// The same of the streams of a file that was [joined](join) on, by its head.
pub fn streams_of_joined(header: &Header, other: &Header) -> walk::Streams {
    let places = places(header, other);
    let all = || 0..header.streams.len();
    let (kinds, numbers) = match places.iter().any(Option::is_some) && !other.lacks_video() {
        // No stream of the two is alike, or this header has lost its video: assume the streams of the first.
        false => (kinds(header), all().collect()),
        true => places
            .iter()
            .map(|place| {
                let own = place.and_then(|place| header.streams.get(place));
                (own.map_or(Kind::Other, kind), place.unwrap_or(usize::MAX))
            })
            .unzip(),
    };
    walk::Streams {
        kinds,
        numbers,
        size: picture_size(header),
    }
}

/// The size of the file's pictures in the end, if the header has it.
pub fn picture_size(header: &Header) -> Option<(u32, u32)> {
    header
        .streams
        .iter()
        .find_map(|stream| match stream.last_part().stream.format {
            Format::Jpeg { width, height } if width > 0 && height > 0 => Some((width, height)),
            _ => None,
        })
}

/// Completes a header by a picture that was found: the video's own, or if that is known only where it
/// begins.
fn complete(header: &mut Header, first: &FirstPicture, notices: &mut Notices) -> bool {
    if !header.is_lost() && !header.lacks_video() {
        return false;
    }
    if header.is_lost() {
        header.streams.clear();
    }
    header.add_video(first.stream, &first.frame);
    notices.say(Finding::NoHeader);
    true
}

fn read_error<E>(stop: Stop<E>) -> OpenError<E> {
    match stop {
        Stop::Source(error) => OpenError::Read(error),
        // Does not happen: a window reads what is missing.
        Stop::Short { pos, .. } => OpenError::NotAvi { searched: pos },
    }
}

/// What there is in a file without a header: a file further on, whose header is enough, or a picture.
fn search<S: ReadAt>(
    window: &mut Window<S>,
    from: u64,
) -> Result<(Found, Option<Header>), OpenError<S::Error>> {
    let mut probe = Probe::new(from);
    loop {
        let found = probe.next(window).map_err(read_error)?;
        let Found::File(pos) = found else {
            return Ok((found, None));
        };
        let header = header_at(window, pos).map_err(OpenError::Read)?;
        if header.is_enough() {
            return Ok((found, Some(header)));
        }
    }
}

/// Where the first picture is between two places, the second of which is that of a header: what is left of a file whose
/// own header is gone.
fn picture_before<V: View>(
    view: &mut V,
    from: u64,
    end: u64,
) -> Result<Option<u64>, Stop<V::Error>> {
    let mut probe = Probe::new(from);
    while probe.pos() < end {
        match probe.next(view)? {
            Found::Picture(first) => return Ok(Some(first.pos).filter(|pos| *pos < end)),
            Found::File(_) => {}
            Found::Nothing => break,
        }
    }
    Ok(None)
}

/// Where the chunks end that an index names. Empty ones that are named at the end and are not there
/// leave that within the head of the index itself.
fn behind_chunks<V: View>(view: &mut V, end: u64) -> Result<u64, Stop<V::Error>> {
    // Its sizes count the heads, or the padding of the last chunk is left out.
    for over in [walk::CHUNK_HEAD, 1] {
        let Some(before) = end.checked_sub(over) else {
            continue;
        };
        let head = ChunkHeader::parse(view.get(before, ChunkHeader::SIZE)?);
        if head.is_ok_and(|head| head.id == FourCc::IDX1) {
            return Ok(before);
        }
    }
    Ok(end)
}

/// The header of a file that begins within another.
fn header_at<S: ReadAt>(window: &mut Window<S>, pos: u64) -> Result<Header, S::Error> {
    let mut need = 16 << 10;
    loop {
        let data = match window.get(pos, need) {
            Ok(data) => data,
            Err(Stop::Source(error)) => return Err(error),
            Err(Stop::Short { .. }) => &[],
        };
        let complete = data.len() < need || need >= MAX_JOINED_HEADER;
        match headers::parse(data, pos, complete) {
            Ok(header) => return Ok(header),
            Err(headers::Short(more)) => need = more.max(need * 2).min(MAX_JOINED_HEADER),
        }
    }
}

impl<S: ReadAt> Reader<S> {
    /// Reads the header and the index, if there is one.
    pub fn open(source: S) -> Result<Self, OpenError<S::Error>> {
        Self::open_with(source, &headers::Hints::default())
    }

    /// The same of a file of which something is known that its header may not say.
    pub fn open_with(source: S, hints: &headers::Hints) -> Result<Self, OpenError<S::Error>> {
        let mut window = Window::new(source);
        let mut need = HEAD;
        let mut header = loop {
            let data = window.get(0, need).map_err(read_error)?;
            // The window gives less than was asked for only at the end of the file, which may be earlier than the source says.
            let complete = data.len() < need;
            match headers::parse(data, 0, complete) {
                Ok(header) => break header,
                Err(headers::Short(more)) => need = more.max(need * 2),
            }
        };
        let mut notices = Notices::default();
        let mut first_picture = None;
        let mut start = header.movi.map_or(0, |movi| movi + 4);
        if !header.is_enough() {
            let (found, file) = search(&mut window, start)?;
            match (found, file) {
                (_, Some(file)) => {
                    start = file.movi.map_or(start, |movi| movi + 4);
                    header = file;
                }
                (Found::Picture(first), None) => {
                    if complete(&mut header, &first, &mut notices) {
                        first_picture = Some(first.frame);
                    }
                    if header.movi.is_none() {
                        start = first.pos;
                    }
                }
                _ if header.is_lost() => {
                    let searched = window.file_size().min(probe::MOST);
                    return Err(OpenError::NotAvi { searched });
                }
                _ if header.movi.is_none() => start = window.file_size(),
                _ => {}
            }
        }
        header.complete(hints);
        let mut index = Index::new(header.streams.iter().map(headers::Stream::counts_bytes));
        let mut indexed = false;
        let before = picture_before(&mut window, 0, header.begin).map_err(read_error)?;
        let loaded = match before {
            // An index says nothing of those.
            Some(before) => {
                start = before;
                Ok(false)
            }
            None => stored::load(&mut window, &header, &mut index),
        };
        match loaded {
            Ok(true) => {
                indexed = true;
                let end = behind_chunks(&mut window, index.end()).map_err(read_error)?;
                start = end.max(start);
            }
            Ok(false) => {}
            Err(stored::Unusable::Read(stop)) => return Err(read_error(stop)),
            Err(stored::Unusable::Wrong(why)) => {
                index.clear();
                notices.say(Finding::BadIndex { why });
            }
        }
        let mut walker = Walker::new(kinds(&header), start, picture_size(&header));
        walker.set_riff_end(header.riff_end);
        let gone = Gone::new(header.streams.len());
        Ok(Self {
            window,
            indexed,
            gone,
            header,
            index,
            walker,
            complete: false,
            notices,
            joins: 0,
            damaged: 0,
            first_picture,
        })
    }

    /// What the file says of itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Gives video whose rate is a guess the one that the rest of the file tells: by the sound that is as long as the
    /// frames are, if the file is complete, a usual rate if that is near; else that of the same stream in a file that
    /// was joined on. To be called before anything is played.
    pub fn find_rate(&mut self) {
        let mut streams = self.header.streams.iter().enumerate();
        let guessed = streams.find(|(_, stream)| stream.rate_is_guess && !stream.is_sound());
        let Some((video, stream)) = guessed else {
            return;
        };
        let of_joined = || {
            let mut joined = stream.joined.iter().map(|joined| &joined.stream);
            let known = joined.find(|of| !of.rate_is_guess && of.format == stream.format);
            known.map(|of| of.rate)
        };
        if let Some(rate) = self.rate_by_sound(video).or_else(of_joined) {
            self.header.set_guessed_rate(rate);
        }
    }

    fn rate_by_sound(&self, video: usize) -> Option<Rate> {
        const USUAL: [(u32, u32); 3] = [(24_000, 1001), (30_000, 1001), (60_000, 1001)];
        let streams = || self.header.streams.iter().enumerate();
        let own = |(n, stream): (usize, &headers::Stream)| {
            let first = stream.joined.first();
            first.map_or_else(|| self.index.units(n), |joined| joined.from)
        };
        let frames = streams().nth(video).map(own)?;
        let ends = streams().filter(|(_, stream)| stream.is_sound());
        let end = ends.map(|(n, stream)| stream.end(own((n, stream)))).max();
        let seconds = end.filter(|end| *end > 0 && self.complete)? as f64 / 1e9;
        let found = frames as f64 / seconds;
        let usual = (1..=240).map(|n| (n, 1)).chain(USUAL);
        let off = |(n, d): (u32, u32)| (f64::from(n) / f64::from(d) / found - 1.0).abs();
        let nearest = usual.min_by(|a, b| off(*a).total_cmp(&off(*b)))?;
        match off(nearest) < 0.02 {
            true => Rate::new(nearest.0, nearest.1),
            false => Rate::new((found * 1000.0).round() as u32, 1000),
        }
    }

    /// What the streams of a file without header were made up from.
    pub fn first_picture(&self) -> Option<&jpeg::FrameHeader> {
        self.first_picture.as_ref()
    }

    /// The chunks found so far.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Whether the index has all there is.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Bytes of the file.
    pub fn file_size(&self) -> u64 {
        self.window.file_size()
    }

    /// How far the file has been looked through for chunks, in bytes.
    pub fn scanned(&self) -> u64 {
        if self.complete {
            self.file_size()
        } else {
            self.walker.pos().min(self.file_size())
        }
    }

    /// What a user should know, once.
    pub fn take_findings(&mut self) -> Vec<Finding> {
        self.notices.take()
    }

    /// What the file says of itself, and where blocks of it are.
    pub(super) fn header_and_window(&mut self) -> (&Header, &mut Window<S>) {
        (&self.header, &mut self.window)
    }

    /// Where blocks of the file are.
    pub fn window(&mut self) -> &mut Window<S> {
        &mut self.window
    }

    /// Looks for up to `chunks` more chunks. Returns whether all are known.
    pub fn scan(&mut self, chunks: usize) -> Result<bool, S::Error> {
        if self.complete {
            return Ok(true);
        }
        for _ in 0..chunks {
            let item = match self.walker.next(&mut self.window) {
                Ok(item) => item,
                Err(Stop::Source(error)) => return Err(error),
                // A window knows its file's size and always answers.
                Err(Stop::Short { .. }) => Item::End,
            };
            match item {
                Item::Chunk {
                    stream,
                    pos,
                    size,
                    bare,
                } => self.index.push(stream, pos, size, bare),
                Item::Lost { stream } => self.index.skip(stream, 1),
                Item::Riff { pos, first: true } if pos > 0 => {
                    self.notices.say(Finding::Joined { pos });
                    self.joins += 1;
                    if self.joins > MAX_JOINED {
                        continue;
                    }
                    // Behind "RIFF", its size and its form, of which one may be lost.
                    let other = header_at(&mut self.window, pos + ListHeader::SIZE as u64)?;
                    let left_out = join(&mut self.header, &self.index, &other);
                    self.notices.left_out(pos, left_out);
                    let streams = streams_of_joined(&self.header, &other);
                    self.walker.set_streams(pos, streams);
                }
                Item::Searching => break,
                Item::End => {
                    self.complete = true;
                    if let Some(pos) = self.walker.left_out() {
                        self.notices.left_out(pos, 1);
                    }
                    if let Some(lost) = lost_sound(&self.header, &self.walker)
                        && !self.notices.leaves_out()
                    {
                        self.notices.say(lost);
                    }
                    // What an index names may not be there: that shows when it is played.
                    if !self.indexed {
                        self.say_missing();
                    }
                    break;
                }
                item => {
                    self.damaged += item.damaged();
                    self.notices.say_item(item);
                }
            }
        }
        Ok(self.complete)
    }

    /// Tells of frames that are not there, and were not told of.
    fn say_missing(&mut self) {
        if !self.complete {
            return;
        }
        let (size, damaged) = (self.window.file_size(), self.damaged + self.gone.bytes);
        let found = |n: usize| self.index.units(n).saturating_sub(self.gone.of(n));
        for finding in missing(&self.header, size, damaged, found) {
            if let Finding::Missing { stream, frames } = finding
                && let Some(told) = self.gone.told.get_mut(stream)
                && frames > *told
            {
                *told = frames;
                self.notices.say(finding);
            }
        }
    }

    /// How often another file was joined on, as far as is known.
    pub fn joined(&self) -> usize {
        let joined = self.header.streams.iter().map(|s| s.joined.len());
        joined.max().unwrap_or(0)
    }

    /// Until when every stream that has been met is known, in nanoseconds.
    pub fn known_until(&self) -> u64 {
        let ends = self.header.streams.iter().enumerate();
        ends.filter(|(n, _)| self.index.chunks(*n) > 0)
            .map(|(n, stream)| stream.time(self.index.units(n)))
            .min()
            .unwrap_or(0)
    }

    /// When the last known unit of any stream ends, in nanoseconds.
    pub fn known_duration(&self) -> u64 {
        let ends = self.header.streams.iter().enumerate();
        ends.filter(|(n, _)| self.index.chunks(*n) > 0)
            .map(|(n, stream)| stream.time(self.index.units(n)))
            .max()
            .unwrap_or(0)
    }

    /// The file's duration in nanoseconds: exact when the index is complete,
    /// else by the header's counts, or guessed by what is known so far.
    pub fn duration(&self) -> u64 {
        let known = self.known_duration();
        if self.complete {
            return known;
        }
        let told = self.header.streams.iter().map(|stream| {
            let units = self.header.length_of(stream);
            stream.rate.time_of(units.saturating_add(stream.start))
        });
        let told = told.max().unwrap_or(0);
        if told > 0 && told >= known {
            return told;
        }
        let first = self.header.movi.unwrap_or(0);
        let seen = self.scanned().saturating_sub(first).max(1);
        let all = self.file_size().saturating_sub(first);
        let guess = u128::from(known) * u128::from(all) / u128::from(seen);
        u64::try_from(guess).unwrap_or(known).max(known)
    }

    /// The contents of a chunk, checked: a picture is cut off at its end
    /// marker. The bytes are then in the window, in the stream's slot.
    pub fn payload(&mut self, entry: &Entry) -> Result<Payload, S::Error> {
        self.payload_and(entry, 0)
    }

    /// The same of what is played next. If it has to be read by itself, small
    /// chunks behind it that will be played too are read along with it.
    pub fn payload_of(&mut self, next: &Next) -> Result<Payload, S::Error> {
        self.payload_and(&next.entry, next.behind)
    }

    fn payload_and(&mut self, entry: &Entry, behind: usize) -> Result<Payload, S::Error> {
        if entry.size == 0 {
            return Ok(Payload::Empty);
        }
        let (payload, intact) = self.examined(entry, behind)?;
        if !intact || payload == Payload::Lost {
            if self.gone.is_new(entry) {
                self.say_gone(entry, &payload, intact);
            }
        } else {
            self.notices.sound_at(entry.pos);
        }
        Ok(payload)
    }

    fn say_gone(&mut self, entry: &Entry, payload: &Payload, intact: bool) {
        let from = entry.pos - entry.head();
        let end = (entry.pos + padded(entry.size.into())).min(self.window.file_size().max(from));
        let streams = &self.header.streams;
        let is_sound = streams
            .get(entry.stream)
            .is_some_and(headers::Stream::is_sound);
        match payload {
            Payload::Lost => {
                self.notices.lost(from, end, 0);
                if !is_sound && !intact {
                    self.gone.picture(entry);
                }
            }
            _ if is_sound => self.notices.lost(from, entry.pos, 0),
            _ => self.notices.lost(from, end, 1),
        }
    }

    /// Whether there is something to show where a chunk should be. Nobody is told if there is not.
    fn is_shown(&mut self, entry: &Entry) -> Result<bool, S::Error> {
        Ok(entry.size > 0 && self.examined(entry, 0)?.0 != Payload::Lost)
    }

    /// The contents of a chunk that is not empty, and whether it has the head that it should have.
    fn examined(&mut self, entry: &Entry, behind: usize) -> Result<(Payload, bool), S::Error> {
        // A chunk's head may claim any size; no picture is larger than this.
        let size = (entry.size as usize).min(walk::MAX_PICTURE);
        let header = entry.head();
        let stream = self.header.streams.get(entry.stream);
        let sound = stream.is_some_and(headers::Stream::is_sound);
        let walker = &self.walker;
        let number = |named: u8| walker.number_at(entry.pos, named.into());
        let (pos, len) = (entry.pos - header, header as usize + size);
        // Of a chunk that the file's end cuts its head tells more than there is, or as MaixPy writes it nothing yet.
        let is_cut = pos + len as u64 >= self.window.file_size();
        let data = self.window.slot(entry.stream, pos, len, behind)?;
        let (head, data) = data.split_at(data.len().min(header as usize));
        let is_sized =
            |size: u32| size == entry.size || (is_cut && (size == 0 || size > entry.size));
        let intact = entry.bare
            || ChunkHeader::parse(head).is_ok_and(|chunk| {
                is_sized(chunk.size)
                    && chunk
                        .id
                        .stream_and_kind()
                        .is_some_and(|(named, _)| number(named) == entry.stream)
            });
        let payload = if sound {
            // Damaged sound cannot be recognised, but a run of zeros where a file was not written can.
            if data.is_empty() || (!intact && data.iter().all(|&b| b == 0)) {
                Payload::Lost
            } else {
                Payload::Bytes {
                    pos: entry.pos,
                    len: data.len(),
                    incomplete: false,
                }
            }
        } else {
            match examine(data, intact && data.len() == entry.size as usize) {
                Useful::All { range, incomplete } => Payload::Bytes {
                    pos: entry.pos + range.start as u64,
                    len: range.len(),
                    incomplete,
                },
                Useful::Nothing => Payload::Lost,
            }
        };
        Ok((payload, intact))
    }

    /// When the picture begins that is on screen at a time in nanoseconds, or with `after` the next one
    /// if it is not that very time: of those that are known and not lost.
    fn picture_at(&mut self, ns: u64, after: bool) -> Result<Option<u64>, S::Error> {
        let Some(n) = first_video(&self.header, &self.index) else {
            return Ok(None);
        };
        let mut pictures = Pictures::at(n, &self.header, &self.index, ns, after);
        for _ in 0..LOOKS {
            let Some(entry) = pictures.next(&self.header, &self.index) else {
                break;
            };
            if self.is_shown(&entry)? {
                let stream = self.header.streams.get(n);
                return Ok(stream.map(|stream| stream.time(entry.first)));
            }
        }
        Ok(None)
    }

    /// Tells of a region at the end of what was played, and of frames that turned out to be missing.
    pub fn flush_findings(&mut self) {
        self.notices.flush();
        self.say_missing();
    }
}

/// Pictures looked at for one that is not lost.
const LOOKS: usize = 64;

/// The stream whose pictures a seek may have to begin with.
fn first_video(header: &Header, index: &Index) -> Option<usize> {
    let mut streams = header.streams.iter().enumerate();
    let is_it = |n, stream: &headers::Stream| {
        matches!(stream.format, Format::Jpeg { .. }) && index.chunks(n) > 0
    };
    streams.find_map(|(n, stream)| is_it(n, stream).then_some(n))
}

/// The chunks of a stream that hold pictures, by the index: from that on screen at a time backward, or from the
/// next one on.
struct Pictures {
    cursor: Cursor,
    ns: u64,
    after: bool,
}

impl Pictures {
    fn at(n: usize, header: &Header, index: &Index, ns: u64, after: bool) -> Self {
        let mut cursor = Cursor::new(n);
        if let Some(stream) = header.streams.get(n) {
            cursor.seek(index, stream.count_at(ns));
            let there = cursor.peek(index);
            if !after && there.is_some_and(|entry| stream.time(entry.first) <= ns) {
                cursor.advance();
            }
        }
        Self { cursor, ns, after }
    }

    /// The next of them. Backward, the cursor then stands before it.
    fn next(&mut self, header: &Header, index: &Index) -> Option<Entry> {
        let stream = header.streams.get(self.cursor.stream())?;
        loop {
            let entry = match self.after {
                true => {
                    let entry = self.cursor.peek(index)?;
                    self.cursor.advance();
                    entry
                }
                false => self.cursor.back(index)?,
            };
            if entry.size > 0 && (!self.after || stream.time(entry.first) >= self.ns) {
                return Some(entry);
            }
        }
    }
}

/// Which picture a seek goes to that has to begin with one, in the direction that is played in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snap {
    /// The one that is on screen.
    Before,
    /// The next one, unless one begins just then.
    After,
    /// Whichever of the two begins nearer.
    Nearest,
}

impl Snap {
    /// When it begins, of a seek to `ns`; backward, when it ends. `picture_at` says when the picture begins that is
    /// on screen then, or with `true` the next one.
    fn of<E>(
        self,
        ns: u64,
        backward: bool,
        mut picture_at: impl FnMut(bool) -> Result<Option<u64>, E>,
    ) -> Result<Option<u64>, E> {
        let near = picture_at(backward)?;
        // The last picture lasts on.
        let or_end = near.or(backward.then_some(ns));
        if near == Some(ns) || self == Self::Before {
            return Ok(or_end);
        }
        Ok(match (or_end, picture_at(!backward)?) {
            (Some(near), Some(far))
                if self == Self::Nearest && far.abs_diff(ns) >= ns.abs_diff(near) =>
            {
                Some(near)
            }
            (near, far) => far.or(near),
        })
    }
}

/// The part of a picture's chunk that can be used.
enum Useful {
    /// These bytes, which hold a picture, or two fields of one.
    All {
        range: std::ops::Range<usize>,
        /// It has no end marker.
        incomplete: bool,
    },
    Nothing,
}

/// Finds the picture in a chunk. One without end is of use if the chunk is `whole`: all of it is
/// there, and a head that says so.
fn examine(data: &[u8], whole: bool) -> Useful {
    let Some(start) = jpeg::start(data) else {
        return Useful::Nothing;
    };
    match jpeg::trimmed(data.get(start..).unwrap_or_default()) {
        Some(len) => Useful::All {
            range: start..start + len,
            incomplete: false,
        },
        None if whole => Useful::All {
            range: start..data.len(),
            incomplete: true,
        },
        None => Useful::Nothing,
    }
}

/// The sound that there is by the names of its chunks, where the header's part of it is lost.
fn lost_sound(header: &Header, walker: &Walker) -> Option<Finding> {
    let stream = walker.unknown_sound()?;
    let of = header.streams.get(stream);
    of.is_none_or(headers::Stream::is_unknown)
        .then_some(Finding::NoFormat { stream })
}

/// A header that counts so many times the frames of a whole file does not count frames: ArduCAM's
/// recorders write bytes a second there.
const TOO_MANY: u128 = 4;

/// The frames that the header knows of and the file of `size` bytes, of whose streams `units` were
/// found, does not have. In so many of its bytes as are `damaged` nothing was found.
pub fn missing(
    header: &Header,
    size: u64,
    damaged: u64,
    units: impl Fn(usize) -> u64,
) -> Vec<Finding> {
    let is_whole = header.riff_end.is_some_and(|end| end <= size);
    // Each has a chunk at least. Writers to a pipe leave numbers there that nothing can be as many as.
    let most = header.riff_end.unwrap_or(size).max(size) / walk::CHUNK_HEAD;
    // What the whole file would have, if there were as many frames in what is damaged as in the rest.
    let intact = size.saturating_sub(damaged).max(1);
    let of_all = |found: u64| u128::from(found.max(1)) * u128::from(size) / u128::from(intact);
    // OpenMV's recorders write a length in other units than frames: both counts have to say it.
    let told = |stream: &headers::Stream| match stream.super_index.is_empty() {
        true if header.total_frames > 0 => stream.length.min(header.total_frames),
        _ => stream.length,
    };
    let streams = header.streams.iter().enumerate();
    streams
        .filter(|(_, stream)| {
            matches!(stream.format, Format::Jpeg { .. })
                && stream.joined.is_empty()
                && !header.maixpy
        })
        .filter_map(|(n, stream)| {
            let (told, found) = (told(stream), units(n));
            let frames = told.checked_sub(found)?;
            let can_be = told <= most || !stream.super_index.is_empty();
            let is_count = can_be && (!is_whole || u128::from(told) <= TOO_MANY * of_all(found));
            (frames > 0 && is_count).then_some(Finding::Missing { stream: n, frames })
        })
        .collect()
}

/// Files that were joined beyond this number have the last one's rates and formats.
const MAX_JOINED: usize = 100;

/// The header of a file that was joined on is no longer than this.
pub const MAX_JOINED_HEADER: usize = 256 << 10;

/// Where a file was joined to another the second one's streams begin at the same time, when all
/// before has ended. They have their own rates and formats by `other`, the second one's header: its first video is
/// the first one's, and so is its first sound, whatever order they are in. Answers how many of its streams are not
/// played.
pub fn join(header: &mut Header, index: &Index, other: &Header) -> u64 {
    let places = places(header, other);
    let left_out = left_out(&places, other);
    let ends = header.streams.iter().enumerate();
    let time = ends
        .filter(|(n, _)| index.chunks(*n) > 0)
        .map(|(n, stream)| stream.end(index.units(n)))
        .max()
        .unwrap_or(0);
    for (n, stream) in header.streams.iter_mut().enumerate() {
        let from = index.units(n);
        let same = places.iter().position(|place| *place == Some(n));
        let same = same.and_then(|same| other.streams.get(same));
        let mut part = match same {
            Some(same) => same.clone(),
            None => headers::Stream {
                start: 0,
                ..stream.last_part().stream.clone()
            },
        };
        part.name = None;
        part.super_index = Vec::new();
        part.joined = Vec::new();
        // A part in which no chunk came is replaced by this one.
        stream.joined.pop_if(|last| last.from == from);
        if stream.joined.len() < MAX_JOINED {
            stream.joined.push(headers::Joined {
                from,
                time,
                stream: part,
            });
        }
    }
    left_out
}

/// Where each stream of a file that is joined on has its place among those of the first: the first video is the first
/// one's, the second the second one's, and so are those with sound of a kind.
fn places(header: &Header, other: &Header) -> Vec<Option<usize>> {
    let mut taken = vec![false; header.streams.len()];
    let mut place = |stream: &headers::Stream| {
        let mut own = header.streams.iter().zip(&mut taken).enumerate();
        let (place, (_, taken)) =
            own.find(|(_, (own, taken))| !**taken && stream.is_played() && own.is_like(stream))?;
        *taken = true;
        Some(place)
    };
    other.streams.iter().map(&mut place).collect()
}

/// The streams of a file that is joined on which are of kinds that are played, and have no place among those of the first.
fn left_out(places: &[Option<usize>], other: &Header) -> u64 {
    let streams = other.streams.iter().zip(places);
    streams
        .filter(|(stream, place)| stream.is_played() && place.is_none())
        .count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seek_goes_to_the_picture_that_is_asked_for() {
        let picture_at = |after: bool| Ok::<_, ()>(Some(if after { 200 } else { 100 }));
        for (ns, snap, forward, backward) in [
            (140, Snap::Before, 100, 200),
            (140, Snap::After, 200, 100),
            (140, Snap::Nearest, 100, 100),
            (150, Snap::Nearest, 100, 200),
            (160, Snap::Nearest, 200, 200),
            (100, Snap::After, 100, 100),
            (200, Snap::After, 200, 200),
        ] {
            assert_eq!(
                snap.of(ns, false, picture_at),
                Ok(Some(forward)),
                "{ns} {snap:?}"
            );
            assert_eq!(
                snap.of(ns, true, picture_at),
                Ok(Some(backward)),
                "{ns} {snap:?}"
            );
        }
        let is_last = |after: bool| Ok::<_, ()>((!after).then_some(100));
        assert_eq!(Snap::After.of(140, false, is_last), Ok(Some(100)));
        assert_eq!(Snap::Before.of(140, true, is_last), Ok(Some(140)));
        assert_eq!(
            Snap::Nearest.of(140, false, |_| Ok::<_, ()>(None)),
            Ok(None)
        );
    }
}
