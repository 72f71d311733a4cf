// SPDX-License-Identifier: MIT OR Apache-2.0
//! Playing a file that can be read at any place, chunk after chunk in the order of their times.

use super::headers::{Format, Header};
use super::play::Playback;
use super::tracks::{Content, Fate, Gap, Range, Tracks, Unit};
use super::window::{Block, ReadAt};
use super::{Finding, LOOKS, OpenError, Payload, Pictures, Reader};

/// Chunks that are looked for before anything is played: the whole of most
/// recordings without an index, some 20 ms of work.
const FIRST_SCAN: usize = 20_000;

/// Chunks looked for at once on the way to where a seek goes.
const SCAN_STEP: usize = 2_000;

/// A stream without chunks for so long has a gap, in nanoseconds.
const PATIENCE: u64 = 500_000_000;

/// A search of more bytes than this is long.
const LONG_SEARCH: u64 = 32 << 20;

/// How far a long search for chunks is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It began.
    Began,
    /// So many percent of the file were looked through.
    Percent(u8),
    /// All chunks are known.
    Complete,
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Began => write!(f, "Looking for the chunks of a file without a whole index"),
            Self::Percent(percent) => write!(f, "Looked through {percent} % of the file"),
            Self::Complete => write!(f, "All chunks are known"),
        }
    }
}

/// What is played next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step<P> {
    /// A chunk.
    Unit(Unit<P>),
    /// A stream has nothing while others are played.
    Gap(Gap),
    /// The place that was asked for is still being searched; it goes on with the next call.
    Searching,
    /// It is there: what follows is of this range, whose first picture is found if it has to begin with one.
    Landed(Range),
    /// All that was asked for has been played.
    End,
}

/// A piece of what a source reads.
type Piece<S> = <<S as ReadAt>::Block as Block>::Piece;

/// A file being played.
pub struct Player<S: ReadAt> {
    reader: Reader<S>,
    playback: Playback,
    tracks: Tracks<Piece<S>>,
    /// Where to go first.
    target: Option<Range>,
    /// How far a long search was when that was last told, in bytes.
    told: Option<u64>,
}

impl<S: ReadAt> Player<S> {
    /// Opens a file, to play all of it.
    pub fn open(source: S) -> Result<Self, OpenError<S::Error>> {
        let mut reader = Reader::open(source)?;
        reader.scan(FIRST_SCAN).map_err(OpenError::Read)?;
        reader.find_rate();
        let streams = reader.header().streams.len();
        Ok(Self {
            reader,
            playback: Playback::new(streams),
            tracks: Tracks::new(streams, PATIENCE),
            target: None,
            told: None,
        })
    }

    /// What the file says of itself.
    pub fn header(&self) -> &Header {
        self.reader.header()
    }

    /// The file as such.
    pub fn reader(&self) -> &Reader<S> {
        &self.reader
    }

    /// What a user should know, once.
    pub fn take_findings(&mut self) -> Vec<Finding> {
        self.reader.take_findings()
    }

    /// The streams that have chunks as far as is known, or all if a whole file has none: a header
    /// and nothing else is an empty recording.
    pub fn streams(&self) -> Vec<usize> {
        let all = 0..self.header().streams.len();
        let with = |n: &usize| self.reader.index().chunks(*n) > 0;
        let some: Vec<usize> = all.clone().filter(with).collect();
        match some.is_empty() && self.reader.is_complete() {
            true => all.collect(),
            false => some,
        }
    }

    /// Plays something else from the next step on.
    pub fn seek(&mut self, range: Range) {
        self.target = Some(range);
    }

    /// How far a long search for chunks is, if there is something new: in steps of a twentieth.
    pub fn progress(&mut self) -> Option<Progress> {
        let (size, scanned) = (self.reader.file_size(), self.reader.scanned());
        match self.told {
            None if !self.reader.is_complete() && size.saturating_sub(scanned) > LONG_SEARCH => {
                self.told = Some(scanned);
                Some(Progress::Began)
            }
            Some(_) if self.reader.is_complete() => {
                self.told = None;
                Some(Progress::Complete)
            }
            Some(told) if scanned.saturating_sub(told) >= size / 20 => {
                self.told = Some(scanned);
                let percent = u128::from(scanned) * 100 / u128::from(size.max(1));
                Some(Progress::Percent(percent.min(100) as u8))
            }
            _ => None,
        }
    }

    /// Whether a long search was [told of](Self::progress) and is not complete.
    pub fn is_searching(&self) -> bool {
        self.told.is_some()
    }

    /// What comes next.
    pub fn step(&mut self) -> Result<Step<Piece<S>>, S::Error> {
        if let Some(range) = self.target {
            let Some(range) = self.go_to(range)? else {
                return Ok(Step::Searching);
            };
            self.target = None;
            return Ok(Step::Landed(range));
        }
        let (header, index) = (self.reader.header(), self.reader.index());
        let is_there = |n: usize| header.is_played(n) && index.chunks(n) > 0;
        if let Some(gap) = self.tracks.gap(is_there) {
            return Ok(Step::Gap(gap));
        }
        loop {
            let Some(next) = self.playback.next(&mut self.reader)? else {
                let last = self.tracks.last(&self.reader.header().streams);
                if last.is_none() {
                    self.reader.flush_findings();
                }
                return Ok(last.map_or(Step::End, Step::Unit));
            };
            let entry = next.entry;
            let n = entry.stream;
            let Some(stream) = self.reader.header().streams.get(n) else {
                continue;
            };
            let mut count = (entry.first, stream.count_of(entry.size));
            match self.tracks.fate(n, stream, entry.first, entry.size) {
                Fate::Play => {}
                Fate::Skip => continue,
                Fate::Over => {
                    self.playback.turn_off(n);
                    continue;
                }
            }
            let payload = self.reader.payload_of(&next)?;
            let (header, window) = self.reader.header_and_window();
            let Some(stream) = header.streams.get(n) else {
                continue;
            };
            let content = match payload {
                Payload::Empty if count.1 == 0 => continue,
                Payload::Empty | Payload::Lost => None,
                Payload::Bytes {
                    mut pos,
                    mut len,
                    incomplete,
                } => {
                    let mut head = Vec::new();
                    if stream.counts_bytes() {
                        let part = stream.part(entry.first);
                        let data = window.bytes(pos, len);
                        let samples = self.tracks.samples(n, part, entry.first, data);
                        let Some((start, range, first)) = samples else {
                            continue;
                        };
                        count = (first, (start.len() + range.len()) as u64);
                        (head, pos, len) = (start, pos + range.start as u64, range.len());
                    }
                    let piece = window.piece(pos, len);
                    piece.map(|piece| Content {
                        head,
                        piece,
                        incomplete,
                    })
                }
            };
            if let Some(unit) = self.tracks.unit(n, stream, count, content) {
                return Ok(Step::Unit(unit));
            }
        }
    }

    /// Looks for chunks until those of a range's beginning are known, and goes there. `None` if
    /// there are more to look for.
    fn go_to(&mut self, range: Range) -> Result<Option<Range>, S::Error> {
        let ns = range.first().unwrap_or_else(|| self.reader.duration());
        if !self.reader.is_complete() && self.reader.known_until() <= ns {
            self.reader.scan(SCAN_STEP)?;
            if !self.reader.is_complete() && self.reader.known_until() <= ns {
                return Ok(None);
            }
        }
        let mut range = range;
        if let Some(snap) = range.snap {
            let reader = &mut self.reader;
            if !reader.is_complete() && reader.picture_at(ns, true)?.is_none() {
                reader.scan(SCAN_STEP)?;
                return Ok(None);
            }
            range =
                range.snapped(snap.of(ns, range.backward, |after| reader.picture_at(ns, after))?);
        }
        let ns = range.first().unwrap_or(ns);
        self.playback.seek(&self.reader, ns, range.backward);
        if !range.backward {
            self.look_back(ns)?;
        }
        self.tracks.begin(range);
        Ok(Some(range))
    }

    /// Steps back to the picture that is on screen, in every stream that has none to show at a time.
    fn look_back(&mut self, ns: u64) -> Result<(), S::Error> {
        for n in 0..self.reader.header().streams.len() {
            let stream = self.reader.header().streams.get(n);
            if !stream.is_some_and(|it| matches!(it.format, Format::Jpeg { .. })) {
                continue;
            }
            let mut pictures = Pictures::at(n, &self.reader.header, &self.reader.index, ns, false);
            for _ in 0..LOOKS {
                let reader = &mut self.reader;
                let Some(entry) = pictures.next(&reader.header, &reader.index) else {
                    break;
                };
                if reader.is_shown(&entry)? {
                    self.playback.set(n, pictures.cursor);
                    break;
                }
            }
        }
        Ok(())
    }
}
