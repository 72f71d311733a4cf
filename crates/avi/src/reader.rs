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
//! A file that comes as a stream is read by the same [`walk::Walker`] alone.
//!
//! Nothing here allocates by a size that a file claims and does not have.

pub mod headers;
pub mod index;
pub mod play;
pub mod stored;
pub mod walk;
pub mod window;

use headers::{Format, Header};
use index::{Entry, Index};
use play::Next;
use walk::{Item, Kind, Stop, View, Walker};
use window::{ReadAt, Window};

use super::header::{ChunkHeader, FourCc};
use super::jpeg;

/// Bytes that most files' headers are within.
const HEAD: usize = 4 << 10;

/// How far into a file without a header its first picture is searched for.
const PROBE: u64 = 64 << 20;

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

/// Something a user should know about the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The header is lost; streams were found by their contents.
    NoHeader,
    /// The file's index is not right, and was not used.
    BadIndex {
        /// What was wrong with it.
        why: &'static str,
    },
    /// Bytes that belong to no sound chunk.
    Damage {
        /// The first one's offset in the file.
        from: u64,
        /// The offset behind the last.
        to: u64,
        /// Pictures that were found in it all the same.
        pictures: u32,
    },
    /// The file ends inside a chunk.
    Cut {
        /// The chunk's stream.
        stream: usize,
        /// Where its payload begins.
        pos: u64,
        /// Bytes of it that are there.
        have: u64,
    },
    /// There are fewer frames than the header tells.
    Missing {
        /// The stream.
        stream: usize,
        /// How many are not there.
        frames: u64,
    },
    /// Another file begins here.
    Joined {
        /// Its offset.
        pos: u64,
    },
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoHeader => write!(
                f,
                "the file's header is lost; the video was found by its JPEG markers, its frame rate is a guess"
            ),
            Self::BadIndex { why } => write!(
                f,
                "the file's index is not used, because {why}; the file is read through instead"
            ),
            Self::Damage { from, to, pictures } => {
                write!(f, "damaged: bytes {from} to {to} hold no sound chunk")?;
                match pictures {
                    0 => Ok(()),
                    1 => write!(f, ", but 1 whole picture"),
                    n => write!(f, ", but {n} whole pictures"),
                }
            }
            Self::Cut { stream, pos, have } => write!(
                f,
                "the file ends inside a chunk of stream {stream}: {have} bytes are left of it at {pos}"
            ),
            Self::Missing { stream, frames } => write!(
                f,
                "stream {stream} has {frames} frames fewer than the file's header tells; without an index it is not known when they were, and what follows comes as much earlier"
            ),
            Self::Joined { pos } => write!(f, "another file was joined to this one at {pos}"),
        }
    }
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
    findings: Vec<Finding>,
    /// The region that indexed chunks were found lost in, not yet told of.
    lost: Option<(u64, u64)>,
    first_picture: Option<jpeg::FrameHeader>,
}

/// What the walker has to know of the streams, as they are in the end.
pub fn kinds(header: &Header) -> Vec<Kind> {
    header
        .streams
        .iter()
        .map(|stream| match &stream.last_part().stream.format {
            Format::Jpeg { .. } => Kind::Jpeg,
            Format::Pcm(pcm) => Kind::Sound(pcm.frame_bytes()),
            Format::Other { .. } => Kind::Other,
        })
        .collect()
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

/// Finds the video of a file whose header is lost.
///
/// `Ok(None)` if there is none in the first bytes.
pub fn probe<V: View>(view: &mut V, from: u64) -> Result<Option<FirstPicture>, Stop<V::Error>> {
    let mut at = from;
    while at < from + PROBE {
        let data = view.some(at, 32, 64 << 10)?;
        if data.len() < 12 {
            return Ok(None);
        }
        let found = data.windows(3).position(jpeg::begins);
        let Some(found) = found else {
            at += data.len() as u64 - 2;
            continue;
        };
        let pos = at + found as u64;
        let mut least = 4 << 10;
        let frame = loop {
            let data = view.some(pos, least, least.max(64 << 10))?;
            match jpeg::FrameHeader::parse(data).ok() {
                Some(frame) => break Some(frame),
                // Frame headers are among the first segments.
                None if data.len() < least || least >= 256 << 10 => break None,
                None => least *= 2,
            }
        };
        if let Some(frame) = frame {
            let header = if pos >= from + 8 {
                ChunkHeader::parse(view.get(pos - 8, 8)?).ok()
            } else {
                None
            };
            let (stream, pos) = match header.and_then(|h| h.id.stream_and_kind()) {
                Some((stream, [b'd', b'c' | b'b'])) if usize::from(stream) < index::MAX_STREAMS => {
                    (stream.into(), pos - 8)
                }
                _ => (0, pos),
            };
            return Ok(Some(FirstPicture { stream, pos, frame }));
        }
        at = pos + 3;
    }
    Ok(None)
}

/// The header of a file that has none, for the video that [`probe`] found.
pub fn header_of_lost(mut header: Header, stream: usize, frame: &jpeg::FrameHeader) -> Header {
    header.streams.clear();
    for _ in 0..stream {
        header.streams.push(headers::Stream {
            format: Format::Other {
                kind: FourCc([0; 4]),
                codec: "unknown, the header is lost".to_owned(),
            },
            ..headers::without_header(None, header.interval)
        });
    }
    header
        .streams
        .push(headers::without_header(Some(frame), header.interval));
    header
}

fn read_error<E>(stop: Stop<E>) -> OpenError<E> {
    match stop {
        Stop::Source(error) => OpenError::Read(error),
        // A window never answers so.
        Stop::Short { pos, .. } => OpenError::NotAvi { searched: pos },
    }
}

impl<S: ReadAt> Reader<S> {
    /// Reads the header and the index, if there is one.
    pub fn open(source: S) -> Result<Self, OpenError<S::Error>> {
        let mut window = Window::new(source);
        let size = window.file_size();
        let mut need = HEAD;
        let mut header = loop {
            let data = window.get(0, need).map_err(read_error)?;
            match headers::parse(data, 0, data.len() as u64 >= size) {
                Ok(header) => break header,
                Err(headers::Short(more)) => need = more.max(need * 2),
            }
        };
        let mut findings = Vec::new();
        let mut first_picture = None;
        let mut start = header.movi.map_or(0, |movi| movi + 4);
        if !header
            .streams
            .iter()
            .any(|s| !matches!(s.format, Format::Other { .. }))
            && (header.streams.is_empty() || header.movi.is_none())
        {
            let found = probe(&mut window, start).map_err(read_error)?;
            let Some(FirstPicture { stream, pos, frame }) = found else {
                return Err(OpenError::NotAvi {
                    searched: size.min(PROBE),
                });
            };
            header = header_of_lost(header, stream, &frame);
            start = pos;
            first_picture = Some(frame);
            findings.push(Finding::NoHeader);
        } else if header.movi.is_none() {
            // The streams are known but movi's own head is not there.
            match probe(&mut window, 0).map_err(read_error)? {
                Some(first) => start = first.pos,
                None => start = size,
            }
        }
        let mut index = Index::new(header.streams.iter().map(headers::Stream::is_sound));
        match stored::load(&mut window, &header, &mut index) {
            Ok(true) => start = index.end().max(start),
            Ok(false) => {}
            Err(stored::Unusable::Read(stop)) => return Err(read_error(stop)),
            Err(stored::Unusable::Wrong(why)) => {
                index.clear();
                findings.push(Finding::BadIndex { why });
            }
        }
        let walker = Walker::new(kinds(&header), start, picture_size(&header));
        Ok(Self {
            window,
            header,
            index,
            walker,
            complete: false,
            findings,
            lost: None,
            first_picture,
        })
    }

    /// What the file says of itself.
    pub fn header(&self) -> &Header {
        &self.header
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
        std::mem::take(&mut self.findings)
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
                Item::Cut { stream, pos, have } => {
                    self.findings.push(Finding::Cut { stream, pos, have });
                }
                Item::Damage { from, to, pictures } => {
                    self.findings.push(Finding::Damage { from, to, pictures });
                }
                Item::Riff { pos, first: true } if pos > 0 => {
                    self.findings.push(Finding::Joined { pos });
                    let other = self.header_at(pos)?;
                    join(&mut self.header, &self.index, &other);
                    self.walker
                        .set_streams(kinds(&self.header), picture_size(&self.header));
                }
                Item::Searching => break,
                Item::Riff { .. } | Item::Index { .. } => {}
                Item::End => {
                    self.complete = true;
                    let missing = missing(&self.header, |n| self.index.units(n));
                    self.findings.extend(missing);
                    break;
                }
            }
        }
        Ok(self.complete)
    }

    /// The header of a file that was joined on.
    fn header_at(&mut self, pos: u64) -> Result<Header, S::Error> {
        let mut need = 16 << 10;
        loop {
            let data = match self.window.get(pos, need) {
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
            let units = match stream.format {
                Format::Jpeg { .. } => stream.length.max(self.header.total_frames),
                _ => stream.length,
            };
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
        let size = entry.size as usize;
        let header = if entry.bare { 0 } else { 8 };
        let sound = self.header.streams[entry.stream].is_sound();
        let (pos, len) = (entry.pos - header, header as usize + size);
        let data = self.window.slot(entry.stream, pos, len, behind)?;
        let (head, data) = data.split_at(data.len().min(header as usize));
        let intact = entry.bare
            || ChunkHeader::parse(head).is_ok_and(|chunk| {
                chunk.size == entry.size
                    && chunk
                        .id
                        .stream_and_kind()
                        .is_some_and(|(stream, _)| usize::from(stream) == entry.stream)
            });
        let payload = if sound {
            // Sound cannot be told from noise, but from a hole.
            if data.is_empty() || (!intact && data.iter().all(|&b| b == 0)) {
                Payload::Lost
            } else {
                Payload::Bytes {
                    pos: entry.pos,
                    len: data.len(),
                    incomplete: false,
                }
            }
        } else if !jpeg::begins(data) {
            Payload::Lost
        } else {
            match jpeg::trimmed(data) {
                Some(len) => Payload::Bytes {
                    pos: entry.pos,
                    len,
                    incomplete: false,
                },
                None if intact && data.len() == size => Payload::Bytes {
                    pos: entry.pos,
                    len: size,
                    incomplete: true,
                },
                None => Payload::Lost,
            }
        };
        if !intact || payload == Payload::Lost {
            let from = entry.pos - header;
            let to = match payload {
                Payload::Lost => entry.pos + u64::from(entry.size),
                _ => entry.pos,
            };
            self.note_lost(from, to);
        } else if let Some((from, to)) = self.lost
            && entry.pos.saturating_sub(JOIN) > to
        {
            self.lost = None;
            self.tell_lost(from, to);
        }
        Ok(payload)
    }

    /// Chunks lost one after another are one region.
    fn note_lost(&mut self, from: u64, to: u64) {
        self.lost = match self.lost {
            Some((start, end)) if from <= end + JOIN && start <= to + JOIN => {
                Some((start.min(from), end.max(to)))
            }
            Some((start, end)) => {
                self.tell_lost(start, end);
                Some((from, to))
            }
            None => Some((from, to)),
        };
    }

    fn tell_lost(&mut self, from: u64, to: u64) {
        self.findings.push(Finding::Damage {
            from,
            to,
            pictures: 0,
        });
    }

    /// Tells of a region at the end of what was played.
    pub fn flush_findings(&mut self) {
        if let Some((from, to)) = self.lost.take() {
            self.tell_lost(from, to);
        }
    }
}

/// Lost chunks this near to one another are told of as one region; the streams
/// do not come in the order of the file.
const JOIN: u64 = 16 << 10;

/// The frames that the header knows of and the file, of whose streams `units` were found, does not
/// have.
pub fn missing(header: &Header, units: impl Fn(usize) -> u64) -> Vec<Finding> {
    let streams = header.streams.iter().enumerate();
    streams
        .filter(|(_, stream)| {
            matches!(stream.format, Format::Jpeg { .. })
                && stream.joined.is_empty()
                && !header.maixpy
        })
        .filter_map(|(n, stream)| {
            let frames = stream.length.checked_sub(units(n))?;
            (frames > 0).then_some(Finding::Missing { stream: n, frames })
        })
        .collect()
}

/// Files that were joined beyond this number have the last one's rates and formats.
const MAX_JOINED: usize = 100;

/// The header of a file that was joined on is no longer than this.
pub const MAX_JOINED_HEADER: usize = 256 << 10;

/// Where a file was joined to another the second one's streams begin at the same time, when all
/// before has ended. They have their own rates and formats, if `other`, the second one's header,
/// has streams of the same kinds in the same order.
pub fn join(header: &mut Header, index: &Index, other: &Header) {
    let ends = header.streams.iter().enumerate();
    let time = ends
        .filter(|(n, _)| index.chunks(*n) > 0)
        .map(|(n, stream)| stream.end(index.units(n)))
        .max()
        .unwrap_or(0);
    for (n, stream) in header.streams.iter_mut().enumerate() {
        let from = index.units(n);
        let same = other.streams.get(n).filter(|other| {
            std::mem::discriminant(&other.format) == std::mem::discriminant(&stream.format)
        });
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
        // What has no chunk is no part.
        stream.joined.pop_if(|last| last.from == from);
        if stream.joined.len() < MAX_JOINED {
            stream.joined.push(headers::Joined {
                from,
                time,
                stream: part,
            });
        }
    }
}
