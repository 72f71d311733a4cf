// SPDX-License-Identifier: MIT OR Apache-2.0
//! Taking apart a file that comes as a stream: every byte is looked at once, in
//! order, and what has been seen is remembered for seeks.

use gst::subclass::prelude::*;

use avi_mjpeg::jpeg;
use avi_mjpeg::reader::headers::{self, Format, Header};
use avi_mjpeg::reader::index::{Cursor, Index};
use avi_mjpeg::reader::stored::{self, Unusable};
use avi_mjpeg::reader::walk::{Item, Stop, View, Walker};
use avi_mjpeg::reader::{self, Finding};

use super::imp::{AviMjpegDemux, CAT};
use super::output::{self, Chunk, Output};

/// A stream whose data is this late gets a gap event: files are interleaved by
/// up to a second.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(2);

/// After so many chunks a stream that was announced is not waited for.
const ALL_PADS: u32 = 64;

/// What is asked of upstream at least when a part of the file's index is wanted.
const INDEX_READ: usize = 64 << 10;

/// An index of more than this is left alone.
const MAX_INDEX: usize = 64 << 20;

/// The bytes that have come and are still of use.
pub struct Feed {
    adapter: gst_base::UniqueAdapter,
    /// Where in the file the first of them is.
    base: u64,
    /// The file's size once it is known.
    end: Option<u64>,
    scratch: Vec<u8>,
}

impl Feed {
    fn new() -> Self {
        Self {
            adapter: gst_base::UniqueAdapter::new(),
            base: 0,
            end: None,
            scratch: Vec::new(),
        }
    }

    fn have(&self) -> u64 {
        self.base + self.adapter.available() as u64
    }

    /// Forgets what is before `pos`.
    fn skip_to(&mut self, pos: u64) {
        let len = pos.saturating_sub(self.base);
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let len = len.min(self.adapter.available());
        self.adapter.flush(len);
        self.base += len as u64;
    }

    fn take(&mut self, pos: u64, len: usize) -> Option<gst::Buffer> {
        self.skip_to(pos);
        let len = len.min(self.adapter.available());
        if self.base != pos || len == 0 {
            return None;
        }
        self.base += len as u64;
        self.adapter.take_buffer(len).ok()
    }
}

impl View for Feed {
    type Error = std::convert::Infallible;

    fn some(&mut self, pos: u64, least: usize, most: usize) -> Result<&[u8], Stop<Self::Error>> {
        let offset = usize::try_from(pos.saturating_sub(self.base)).unwrap_or(usize::MAX);
        let left = self.adapter.available().saturating_sub(offset);
        if left < least && self.end.is_none() {
            return Err(Stop::Short { pos, len: least });
        }
        let len = left.min(most);
        self.scratch.resize(len, 0);
        if len > 0 && self.adapter.copy(offset, &mut self.scratch).is_err() {
            return Ok(&[]);
        }
        Ok(&self.scratch)
    }

    fn size(&self) -> Option<u64> {
        self.end
    }

    fn streamed(&self) -> bool {
        true
    }
}

/// Where a seek goes, once the bytes from there come.
pub struct Landing {
    /// The offset that was asked of upstream.
    pub pos: u64,
    counts: Vec<u64>,
    segment: gst::FormattedSegment<gst::ClockTime>,
    seqnum: gst::Seqnum,
}

/// The parts of a file that its index is in.
struct Parts {
    /// Where each begins; the last one grows.
    parts: Vec<(u64, Vec<u8>)>,
    size: u64,
}

impl Parts {
    /// Where the part that grows begins and ends.
    fn last(&self) -> (u64, u64) {
        let last = self.parts.last();
        last.map_or((0, 0), |(pos, bytes)| (*pos, pos + bytes.len() as u64))
    }

    fn len(&self) -> usize {
        self.parts.iter().map(|(_, bytes)| bytes.len()).sum()
    }
}

impl View for Parts {
    type Error = std::convert::Infallible;

    fn some(&mut self, pos: u64, least: usize, most: usize) -> Result<&[u8], Stop<Self::Error>> {
        let left = self.size.saturating_sub(pos);
        let least = usize::try_from(left).map_or(least, |left| left.min(least));
        for (start, bytes) in &self.parts {
            let from = pos.checked_sub(*start).map(usize::try_from);
            let Some(Ok(from)) = from else { continue };
            let found = bytes.get(from..).unwrap_or(&[]);
            if found.len() >= least {
                return Ok(&found[..found.len().min(most)]);
            }
        }
        if least == 0 {
            return Ok(&[]);
        }
        Err(Stop::Short { pos, len: least })
    }

    fn size(&self) -> Option<u64> {
        Some(self.size)
    }

    fn streamed(&self) -> bool {
        true
    }
}

/// A seek beyond what has been seen, for which the file's index is fetched.
struct Lookup {
    parts: Parts,
    /// Up to where the last part has to come.
    need: u64,
    segment: gst::FormattedSegment<gst::ClockTime>,
    seqnum: gst::Seqnum,
}

/// What is taken apart once the header has come.
struct Body {
    header: Header,
    walker: Walker,
    index: Index,
    /// Units of each stream before where it is now.
    counts: Vec<u64>,
    output: Output,
    chunks: u32,
    /// A file was joined on whose header has not all come.
    joining: bool,
    /// The end was met, and what was missing has been told.
    ended: bool,
}

/// The stream being taken apart. Only the streaming thread has it, or who
/// stopped that thread to seek.
pub struct Push {
    feed: Feed,
    body: Option<Body>,
    /// Nothing can be done before this much of the file has come.
    need: u64,
    pub landing: Option<Landing>,
    lookup: Option<Lookup>,
    /// A seek was asked for; until upstream flushes for it what comes is of no use, and must not
    /// have upstream go elsewhere again.
    pub awaits_flush: bool,
    /// The file's index was looked for.
    looked: bool,
    pub group: Option<gst::GroupId>,
}

impl Push {
    pub fn new() -> Box<Self> {
        Box::new(Self {
            feed: Feed::new(),
            body: None,
            need: 0,
            landing: None,
            lookup: None,
            awaits_flush: false,
            looked: false,
            group: None,
        })
    }

    /// A flush drops what has come.
    pub fn flush(&mut self) {
        self.awaits_flush = false;
        self.feed.base = self.feed.have();
        self.feed.adapter.clear();
        self.feed.end = None;
        self.need = 0;
    }

    /// The bytes that follow begin at `pos`.
    pub fn begin(&mut self, pos: u64) {
        if self.awaits_flush {
            return;
        }
        if let Some(lookup) = &mut self.lookup {
            lookup.parts.parts.push((pos, Vec::new()));
            return;
        }
        self.feed.adapter.clear();
        self.feed.base = pos;
        self.feed.end = None;
        self.need = 0;
        let Some(body) = &mut self.body else {
            return;
        };
        match self.landing.take() {
            Some(landing) => {
                body.walker.set_pos(pos);
                body.counts = if pos == landing.pos {
                    landing.counts
                } else {
                    body.index.counts_at(pos)
                };
                body.output.begin_segment(landing.segment, landing.seqnum);
                // The walker gets back in step by itself if this is no chunk.
            }
            None if pos != body.walker.pos() => {
                body.walker.set_pos(pos);
                body.counts = body.index.counts_at(pos);
            }
            None => {}
        }
    }

    pub fn output(&self) -> Option<&Output> {
        self.body.as_ref().map(|body| &body.output)
    }

    /// The file's duration by its header, or as much as has been seen.
    fn duration(&self) -> Option<gst::ClockTime> {
        let body = self.body.as_ref()?;
        let streams = body.header.streams.iter().enumerate();
        let ends = streams.map(|(n, stream)| {
            let told = match stream.format {
                Format::Jpeg { .. } => stream.length.max(body.header.total_frames),
                _ => stream.length,
            };
            let told = if told > 0 { told + stream.start } else { 0 };
            stream
                .rate
                .time_of(told)
                .max(stream.end(body.index.units(n)))
        });
        ends.max()
            .filter(|&end| end > 0)
            .map(gst::ClockTime::from_nseconds)
    }

    /// Takes a piece of the file in. Answers where upstream has to go next, if it has to.
    pub fn feed(
        &mut self,
        imp: &AviMjpegDemux,
        buffer: gst::Buffer,
    ) -> Result<Option<(u64, gst::Seqnum)>, gst::FlowError> {
        if self.awaits_flush {
            return Ok(None);
        }
        if let Some(lookup) = &mut self.lookup {
            let map = buffer.map_readable().map_err(|_| gst::FlowError::Error)?;
            if let Some((_, bytes)) = lookup.parts.parts.last_mut() {
                bytes.extend_from_slice(&map);
            }
            let have = lookup.parts.last().1;
            if have < lookup.need.min(lookup.parts.size) {
                return Ok(None);
            }
            return Ok(self.look_up());
        }
        self.feed.adapter.push(buffer);
        if self.feed.have() < self.need {
            return Ok(None);
        }
        self.advance(imp).map(|()| None)
    }

    /// The file ends earlier than was said. Answers as [`feed`](Self::feed) does, if that is of
    /// importance for an index that is being fetched.
    pub fn end_early(&mut self) -> Option<(u64, gst::Seqnum)> {
        let parts = &mut self.lookup.as_mut()?.parts;
        parts.size = parts.last().1;
        self.look_up()
    }

    /// Reads the file's index as far as it has come. Answers where upstream has to go next.
    fn look_up(&mut self) -> Option<(u64, gst::Seqnum)> {
        let mut lookup = self.lookup.take()?;
        let body = self.body.as_mut()?;
        let mut index = Index::new(body.header.streams.iter().map(headers::Stream::is_sound));
        match stored::load(&mut lookup.parts, &body.header, &mut index) {
            Err(Unusable::Read(Stop::Short { pos, len })) if lookup.parts.len() < MAX_INDEX => {
                let (start, end) = lookup.parts.last();
                let (goes_on, seqnum) = ((start..=end).contains(&pos), lookup.seqnum);
                lookup.need = pos + len.max(INDEX_READ) as u64;
                self.lookup = Some(lookup);
                return (!goes_on || start == end).then_some((pos, seqnum));
            }
            Ok(true) if index.end() > body.index.end() => body.index = index,
            _ => {}
        }
        let pos = self.land(lookup.segment, lookup.seqnum)?;
        Some((pos, lookup.seqnum))
    }

    /// There is no more of the file.
    pub fn drain(&mut self, imp: &AviMjpegDemux) -> Result<(), gst::FlowError> {
        self.feed.end = Some(self.feed.have());
        let result = match self.advance(imp) {
            Err(gst::FlowError::Eos) => Ok(()),
            other => other,
        };
        if let Some(body) = &mut self.body {
            if !body.output.has_pads() {
                // A header and nothing else is an empty recording.
                let all: Vec<usize> = (0..body.header.streams.len()).collect();
                body.output.expose(imp, &all);
            }
            body.output.no_more_pads(imp);
            body.output.finish(imp);
        }
        if let Some(duration) = self.duration() {
            imp.set_duration(duration);
        }
        result
    }

    fn advance(&mut self, imp: &AviMjpegDemux) -> Result<(), gst::FlowError> {
        if self.body.is_none() && !self.open(imp)? {
            return Ok(());
        }
        let Some(body) = &mut self.body else {
            return Ok(());
        };
        match body.run(imp, &mut self.feed) {
            Ok(()) => Ok(()),
            Err(Pause::Short(need)) => {
                self.need = need;
                Ok(())
            }
            Err(Pause::Flow(flow)) => Err(flow),
        }
    }

    /// Reads the header once it is there. `Ok(false)` if it is not.
    fn open(&mut self, imp: &AviMjpegDemux) -> Result<bool, gst::FlowError> {
        let complete = self.feed.end.is_some();
        let base = self.feed.base;
        let have = self.feed.adapter.available();
        let Ok(data) = self.feed.get(base, have) else {
            return Ok(false);
        };
        let mut header = match headers::parse(data, base, complete) {
            Ok(header) => header,
            Err(headers::Short(need)) => {
                self.need = base + (need as u64).max(have as u64 * 2);
                return Ok(false);
            }
        };
        let mut start = header.movi.map_or(base, |movi| movi + 4);
        let mut sampling = None;
        let known = !header.streams.is_empty();
        if !known || header.movi.is_none() {
            match reader::probe(&mut self.feed, start) {
                Ok(Some(first)) => {
                    start = first.pos;
                    if !known {
                        sampling = first.frame.sampling_name();
                        header = reader::header_of_lost(header, first.stream, &first.frame);
                        output::tell(imp, &Finding::NoHeader);
                    }
                }
                Ok(None) if known => {}
                Ok(None) => {
                    gst::element_imp_error!(
                        imp,
                        gst::StreamError::WrongType,
                        ("There is neither an AVI header nor a JPEG picture in the stream's first {have} bytes")
                    );
                    return Err(gst::FlowError::Error);
                }
                Err(_) => {
                    self.need = self.feed.have() + 1;
                    return Ok(false);
                }
            }
        }
        gst::debug!(CAT, imp = imp, "header: {header:?}");
        let mut output = Output::new(&header, sampling, self.group, PATIENCE);
        output.warn_of_others(imp);
        if !output.has_streams() {
            gst::element_imp_error!(
                imp,
                gst::StreamError::CodecNotFound,
                ("There is no Motion JPEG and no PCM stream in this file")
            );
            return Err(gst::FlowError::Error);
        }
        let seqnum = output.seqnum;
        output.begin_segment(gst::FormattedSegment::new(), seqnum);
        self.body = Some(Body {
            walker: Walker::new(reader::kinds(&header), start, reader::picture_size(&header)),
            index: Index::new(header.streams.iter().map(headers::Stream::is_sound)),
            counts: vec![0; header.streams.len()],
            output,
            header,
            chunks: 0,
            joining: false,
            ended: false,
        });
        if let Some(body) = &mut self.body
            && let Some(duration) = {
                let body = &*body;
                let told = body.header.streams.iter().map(|s| match s.format {
                    Format::Jpeg { .. } => s.rate.time_of(s.length.max(body.header.total_frames)),
                    _ => s.rate.time_of(s.length),
                });
                told.max().filter(|&end| end > 0)
            }
        {
            let duration = gst::ClockTime::from_nseconds(duration);
            body.output.segment.set_duration(duration);
            imp.set_duration(duration);
        }
        Ok(true)
    }

    /// Where upstream has to go for a seek; the caller has stopped the
    /// streaming thread. `None` if nothing has been seen of the file yet.
    ///
    /// If that is beyond what has been seen of a file of `size` bytes, it first
    /// goes to the file's index.
    pub fn prepare_seek(
        &mut self,
        segment: gst::FormattedSegment<gst::ClockTime>,
        seqnum: gst::Seqnum,
        size: Option<u64>,
    ) -> Option<u64> {
        let parts = match (self.lookup.take(), size) {
            // What had come of the last part ends here.
            (Some(mut lookup), _) => {
                lookup.parts.parts.push((u64::MAX, Vec::new()));
                lookup.parts
            }
            (None, Some(size)) if !self.looked && !self.knows(segment.position()?.nseconds()) => {
                self.looked = true;
                Parts {
                    parts: Vec::new(),
                    size,
                }
            }
            _ => return self.land(segment, seqnum),
        };
        self.lookup = Some(Lookup {
            parts,
            need: 0,
            segment,
            seqnum,
        });
        self.look_up().map(|(pos, _)| pos)
    }

    /// Whether a time lies in what has been seen of every stream.
    fn knows(&self, time: u64) -> bool {
        let Some(body) = &self.body else {
            return true;
        };
        let streams = body.header.streams.iter().enumerate();
        streams
            .filter(|(_, stream)| !matches!(stream.format, Format::Other { .. }))
            .all(|(n, stream)| stream.end(body.index.units(n)) > time)
    }

    /// Where upstream has to go for a seek, by what is known of the file.
    fn land(
        &mut self,
        segment: gst::FormattedSegment<gst::ClockTime>,
        seqnum: gst::Seqnum,
    ) -> Option<u64> {
        let body = self.body.as_mut()?;
        let target = segment.position()?.nseconds();
        let mut pos = body.index.end().max(body.header.movi.map_or(0, |m| m + 4));
        if body.index.end() == 0 {
            pos = body.walker.pos();
        }
        for (n, stream) in body.header.streams.iter().enumerate() {
            let mut cursor = Cursor::new(n);
            cursor.seek(&body.index, stream.count_at(target));
            if let Some(entry) = cursor.peek(&body.index) {
                pos = pos.min(entry.pos.saturating_sub(if entry.bare { 0 } else { 8 }));
            }
        }
        let counts = body.index.counts_at(pos);
        self.landing = Some(Landing {
            pos,
            counts,
            segment,
            seqnum,
        });
        Some(pos)
    }
}

enum Pause {
    /// More of the file, up to there, has to come first.
    Short(u64),
    Flow(gst::FlowError),
}

impl Body {
    fn run(&mut self, imp: &AviMjpegDemux, feed: &mut Feed) -> Result<(), Pause> {
        loop {
            if self.joining {
                self.join(feed)?;
            }
            let item = match self.walker.next(feed) {
                Ok(item) => item,
                Err(Stop::Short { pos, len }) => {
                    feed.skip_to(self.walker.pos());
                    return Err(Pause::Short(pos + len as u64));
                }
            };
            match item {
                Item::Chunk {
                    stream,
                    pos,
                    size,
                    bare,
                } => {
                    let first = self.counts[stream];
                    let units = if self.header.streams[stream].is_sound() {
                        u64::from(size)
                    } else {
                        1
                    };
                    self.counts[stream] += units;
                    if pos > self.index.end() {
                        self.index.push(stream, pos, size, bare);
                    }
                    let buffer = feed.take(pos, size as usize);
                    self.chunk(imp, stream, first, units, buffer)
                        .map_err(Pause::Flow)?;
                }
                Item::Damage { from, to, pictures } => {
                    output::tell(imp, &Finding::Damage { from, to, pictures });
                }
                Item::Cut { stream, pos, have } => {
                    output::tell(imp, &Finding::Cut { stream, pos, have });
                }
                Item::Riff { pos, first: true } if pos > 0 => {
                    output::tell(imp, &Finding::Joined { pos });
                    // One that was met before is known.
                    self.joining = pos >= self.index.end();
                    self.counts = self.index.counts_at(pos + 1);
                }
                Item::Riff { .. } | Item::Index { .. } | Item::Searching => {}
                Item::End => {
                    if !std::mem::replace(&mut self.ended, true) {
                        for finding in reader::missing(&self.header, |n| self.counts[n]) {
                            output::tell(imp, &finding);
                        }
                    }
                    return Err(Pause::Flow(gst::FlowError::Eos));
                }
            }
        }
    }

    /// Reads the header of a file that was joined on, once it is there.
    fn join(&mut self, feed: &mut Feed) -> Result<(), Pause> {
        let pos = self.walker.pos();
        let complete = feed.end.is_some();
        let Ok(data) = feed.some(pos, 0, reader::MAX_JOINED_HEADER) else {
            return Err(Pause::Short(pos + 1));
        };
        let have = data.len();
        match headers::parse(data, pos, complete || have >= reader::MAX_JOINED_HEADER) {
            Ok(other) => {
                reader::join(&mut self.header, &self.index, &other);
                self.walker.set_streams(
                    reader::kinds(&self.header),
                    reader::picture_size(&self.header),
                );
                self.output.join(&self.header);
                self.joining = false;
                Ok(())
            }
            Err(headers::Short(need)) => {
                feed.skip_to(pos);
                Err(Pause::Short(pos + need.max(have + 1) as u64))
            }
        }
    }

    fn chunk(
        &mut self,
        imp: &AviMjpegDemux,
        n: usize,
        first: u64,
        units: u64,
        buffer: Option<gst::Buffer>,
    ) -> Result<(), gst::FlowError> {
        let stream = &self.header.streams[n];
        let time = stream.time(first);
        let until = stream.part(first).time(first + units);
        self.output.start_segment(false);
        if !self.output.is_exposed(n) {
            if matches!(stream.format, Format::Other { .. }) {
                return Ok(());
            }
            self.output.expose(imp, &[n]);
        }
        self.chunks += 1;
        if self.chunks == ALL_PADS || self.output.has_all_pads() {
            self.output.no_more_pads(imp);
        }
        let segment = &self.output.segment;
        if segment
            .start()
            .is_some_and(|start| until <= start.nseconds() && until > time)
        {
            return Ok(());
        }
        if segment.stop().is_some_and(|stop| time >= stop.nseconds()) {
            return if self.past_stop() {
                Err(gst::FlowError::Eos)
            } else {
                Ok(())
            };
        }
        if self
            .output
            .leaves_out(n, gst::ClockTime::from_nseconds(time))
        {
            return Ok(());
        }
        let Some(buffer) = buffer else {
            return self.output.gap(imp, n, time, until);
        };
        let (mut len, mut incomplete) = (buffer.size(), false);
        if !self.header.streams[n].is_sound() {
            let Ok(map) = buffer.map_readable() else {
                return self.output.gap(imp, n, time, until);
            };
            if !jpeg::begins(&map) {
                return self.output.gap(imp, n, time, until);
            }
            match jpeg::trimmed(&map) {
                Some(end) => len = end,
                None => incomplete = true,
            }
        }
        let buffer = buffer
            .copy_region(gst::BufferCopyFlags::MEMORY, ..len)
            .map_err(|_| gst::FlowError::Error)?;
        self.output.push(
            imp,
            Chunk {
                stream: n,
                first,
                buffer,
                incomplete,
            },
        )
    }

    /// Whether every stream that has a pad is behind the segment's stop.
    fn past_stop(&self) -> bool {
        let Some(stop) = self.output.segment.stop() else {
            return false;
        };
        let streams = self.header.streams.iter().enumerate();
        streams
            .filter(|(n, _)| self.output.is_exposed(*n))
            .all(|(n, stream)| {
                // Interleaving is by up to a second.
                stream.time(self.counts[n]) >= stop.nseconds()
            })
    }
}
