// SPDX-License-Identifier: MIT OR Apache-2.0
//! The `hdrl` list, read without trust: the sizes of lists are ignored (a
//! recorder that was cut off leaves zeros or old memory in them), chunks are
//! taken one by one wherever they are, and what is no chunk is stepped over.

use std::collections::BTreeSet;
use std::mem::discriminant;

use super::firsts::Firsts;
use super::index::MAX_STREAMS;
use crate::header::{
    BitmapInfo, ChunkHeader, ExtendedHeader, FourCc, ListHeader, MainHeader, StreamHeader,
    WaveFormat, padded,
};
use crate::jpeg;
use crate::pcm::Layout;
use crate::timeline::{LATEST, Rate};

/// More than any header; a file whose `movi` is later has none we know of.
pub const MAX_HEADER: usize = 16 << 20;

/// Texts of a file that are kept: there are names for some thirty.
pub const MAX_TEXTS: usize = 256;

/// What is not [`Format::Other`], as a person would look it up.
pub const TAKEN_APART: &str =
    "Motion JPEG, PCM, A-law, \u{b5}-law, IMA's and Microsoft's ADPCM and MP3";

/// What a stream carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// Motion JPEG, each chunk a picture.
    Jpeg {
        /// In pixels; 0 if the header does not say.
        width: u32,
        /// In lines; 0 if the header does not say.
        height: u32,
    },
    /// Samples.
    Pcm(Layout),
    /// Sound that has to be decoded.
    Coded(Coded),
    /// Something this reader does not take apart.
    Other {
        /// `vids`, `auds`, `txts`, `mids` or what the file says.
        kind: FourCc,
        /// The codec, as a person would look it up.
        codec: String,
    },
}

/// How sound is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// G.711, a byte a sample.
    MuLaw,
    /// G.711, a byte a sample.
    ALaw,
    /// IMA's ADPCM in Microsoft's blocks, which is also called DVI.
    ImaAdpcm,
    /// Microsoft's ADPCM.
    MsAdpcm,
    /// MPEG audio, layer 3.
    Mp3,
}

/// Sound that has to be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coded {
    /// How.
    pub codec: Codec,
    /// Samples a second.
    pub rate: u32,
    /// Channels.
    pub channels: u16,
    /// Bytes of what can be decoded by itself: of a block, of a sample of all channels; 1 in MP3.
    pub block: u32,
    /// Samples of each channel in a block; bytes a second in MP3 of a constant rate.
    pub per_block: u32,
    /// Each chunk is a block, whatever its size (MP3 of a variable rate).
    pub by_chunk: bool,
}

impl Coded {
    /// How often there is a unit of the stream.
    fn unit_rate(&self) -> Option<Rate> {
        match (self.codec, self.by_chunk) {
            (Codec::Mp3, false) => Rate::new(self.per_block, 1),
            _ => Rate::new(self.rate, self.per_block),
        }
    }
}

/// What a `strl` list says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// What it carries.
    pub format: Format,
    /// Frames of video, or for sound samples of all channels, to time.
    pub rate: Rate,
    /// Nothing in the file says the rate.
    pub rate_is_guess: bool,
    /// The unit the stream begins with; what is before it is silence.
    pub start: u64,
    /// Units by the header; 0 if the recorder did not say.
    pub length: u64,
    /// `strn`, the stream's name.
    pub name: Option<String>,
    /// `indx`, the OpenDML super index or index: its body.
    pub super_index: Vec<u8>,
    /// Where other files were joined on, in order.
    pub joined: Vec<Joined>,
}

/// What a stream is from where another file was joined on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The counts before, as [`super::index::Entry`] has them.
    pub from: u64,
    /// When it begins, in nanoseconds.
    pub time: u64,
    /// What it is; nothing is joined to this in turn.
    pub stream: Stream,
}

/// A part of a stream: all of it, unless files were joined.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// Parts before it.
    pub number: usize,
    /// What it is.
    pub stream: &'a Stream,
    /// Counts before it.
    pub from: u64,
    time: u64,
}

impl Part<'_> {
    /// When a count within it is played, in nanoseconds.
    pub fn time(&self, count: u64) -> u64 {
        let units = count.saturating_sub(self.from) / self.stream.unit_bytes();
        let time = self
            .stream
            .rate
            .time_of(units.saturating_add(self.stream.start));
        self.time.saturating_add(time).min(LATEST)
    }
}

impl Stream {
    /// The part that a count is in.
    pub fn part(&self, count: u64) -> Part<'_> {
        let number = self.joined.partition_point(|joined| joined.from <= count);
        match number.checked_sub(1).and_then(|last| self.joined.get(last)) {
            Some(joined) => Part {
                number,
                stream: &joined.stream,
                from: joined.from,
                time: joined.time,
            },
            None => Part {
                number: 0,
                stream: self,
                from: 0,
                time: 0,
            },
        }
    }

    /// The stream as the part of this number describes it; 0 is the first.
    pub fn numbered_part(&self, number: usize) -> &Self {
        let joined = number.checked_sub(1).and_then(|n| self.joined.get(n));
        joined.map_or(self, |joined| &joined.stream)
    }

    /// The last part.
    pub fn last_part(&self) -> Part<'_> {
        self.part(u64::MAX)
    }

    /// When the last of so many units ends, in nanoseconds.
    pub fn end(&self, units: u64) -> u64 {
        self.part(units.saturating_sub(1)).time(units)
    }

    /// Whether it is sound.
    pub fn is_sound(&self) -> bool {
        matches!(self.format, Format::Pcm(_) | Format::Coded(_))
    }

    /// The rate of video, where it is a guess.
    fn set_guessed_rate(&mut self, rate: Rate) {
        if self.rate_is_guess && !self.is_sound() {
            (self.rate, self.rate_is_guess) = (rate, false);
        }
    }

    /// Whether nothing is left of what the header said of it.
    pub(super) fn is_unknown(&self) -> bool {
        matches!(&self.format, Format::Other { kind, .. } if *kind == FourCc([0; 4]))
    }

    /// Whether it is of a kind that is taken apart.
    pub fn is_played(&self) -> bool {
        !matches!(self.format, Format::Other { .. })
    }

    /// Whether it is of the same kind as another one, whose place it can take.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        discriminant(&self.format) == discriminant(&other.format)
    }

    /// Whether what it has is counted in bytes, not in chunks.
    pub fn counts_bytes(&self) -> bool {
        match &self.format {
            Format::Pcm(_) => true,
            Format::Coded(coded) => !coded.by_chunk,
            _ => false,
        }
    }

    /// What a chunk of so many bytes counts.
    pub fn count_of(&self, size: u32) -> u64 {
        match self.counts_bytes() {
            true => size.into(),
            false => 1,
        }
    }

    /// What `Entry::first` and sizes are divided by to get units of the
    /// timeline.
    pub fn unit_bytes(&self) -> u64 {
        match &self.format {
            Format::Pcm(pcm) => pcm.frame_bytes() as u64,
            Format::Coded(coded) if !coded.by_chunk => u64::from(coded.block),
            _ => 1,
        }
    }

    /// When a place in the stream, counted as [`super::index::Entry`] does,
    /// is played, in nanoseconds.
    pub fn time(&self, count: u64) -> u64 {
        self.part(count).time(count)
    }

    /// The count of what is played at a time in nanoseconds; 0 before the
    /// stream's start.
    pub fn count_at(&self, ns: u64) -> u64 {
        let count = |stream: &Self, ns| {
            let unit = stream.rate.unit_at(ns).saturating_sub(stream.start);
            unit.saturating_mul(stream.unit_bytes())
        };
        let later = self.joined.partition_point(|joined| joined.time <= ns);
        let next = self.joined.get(later).map_or(u64::MAX, |next| next.from);
        let at = match later.checked_sub(1).and_then(|last| self.joined.get(last)) {
            Some(part) => part
                .from
                .saturating_add(count(&part.stream, ns - part.time)),
            None => count(self, ns),
        };
        at.min(next)
    }
}

/// What the file says of itself before the first chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// In the order of the stream numbers in chunk names.
    pub streams: Vec<Stream>,
    /// `avih`'s microseconds a frame.
    pub interval: u32,
    /// `avih`'s number of streams; 0 unknown.
    pub announced: u32,
    /// `avih`'s number of frames, or `dmlh`'s if there is one; 0 unknown.
    pub total_frames: u64,
    /// Written by MaixPy's recorder on a K210.
    pub maixpy: bool,
    /// `INFO`: code and text.
    pub info: Vec<(FourCc, String)>,
    /// Where the four bytes `movi` are; `None` when the header is lost.
    pub movi: Option<u64>,
    /// Where `movi` ends if its size is right.
    pub movi_end: u64,
    /// Where it was found, from the file's start: behind what is nothing known, if that is first.
    pub begin: u64,
    /// Where the RIFF that it begins with ends by its size; `None` if it does not say.
    pub riff_end: Option<u64>,
}

impl Header {
    /// Whether a stream is of a kind that is taken apart.
    pub(super) fn is_played(&self, stream: usize) -> bool {
        self.streams.get(stream).is_some_and(Stream::is_played)
    }

    /// Whether it has any stream that is taken apart.
    pub fn is_playable(&self) -> bool {
        self.streams.iter().any(Stream::is_played)
    }

    /// Whether too little of it is left to go by.
    pub fn is_lost(&self) -> bool {
        !self.is_playable() && (self.streams.is_empty() || self.movi.is_none())
    }

    /// Whether nothing has to be searched for.
    pub fn is_enough(&self) -> bool {
        !self.is_lost() && self.movi.is_some() && !self.lacks_video()
    }

    /// Whether the part of it is lost that the pictures are described in.
    pub fn lacks_video(&self) -> bool {
        let is_video = |stream: &Stream| match &stream.format {
            Format::Jpeg { .. } => true,
            Format::Other { kind, .. } => *kind == FourCc::VIDS,
            _ => false,
        };
        // A stream of which only the list's head is left counts, but says nothing.
        let known = self.streams.iter().filter(|stream| !stream.is_unknown());
        let all = self.announced > 0 && self.announced as usize <= known.count();
        !all && !self.streams.iter().any(is_video)
    }

    /// Puts the video in that a picture was found of.
    pub fn add_video(&mut self, number: usize, frame: &jpeg::FrameHeader) {
        let found = without_header(Some(frame), self.interval);
        match self.streams.get_mut(number) {
            Some(stream) if stream.is_unknown() => *stream = found,
            Some(_) => self.streams.insert(number, found),
            None => {
                while self.streams.len() < number {
                    self.streams.push(unknown_stream(self.interval));
                }
                self.streams.push(found);
            }
        }
    }

    /// The units of a stream by the header; 0 if it does not say.
    pub fn length_of(&self, stream: &Stream) -> u64 {
        match stream.format {
            Format::Jpeg { .. } => stream.length.max(self.total_frames),
            _ => stream.length,
        }
    }
}

/// There is not enough yet: the number of bytes from the file's start that
/// are needed at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Short(pub usize);

/// The raw chunks of one `strl`.
#[derive(Default)]
struct RawStream {
    strh: Option<StreamHeader>,
    strf: Vec<u8>,
    name: Option<String>,
    super_index: Vec<u8>,
}

#[derive(Default)]
struct Raw {
    avih: Option<MainHeader>,
    streams: Vec<RawStream>,
    dmlh_frames: u32,
    info: Vec<(FourCc, String)>,
}

impl Raw {
    /// Whether nothing has been found yet that says what is in the file.
    fn is_empty(&self) -> bool {
        self.avih.is_none() && self.streams.is_empty()
    }

    /// Begins another stream. All beyond those that are kept share one place behind them.
    fn begin_stream(&mut self) {
        match self.streams.get_mut(MAX_STREAMS) {
            Some(beyond) => *beyond = RawStream::default(),
            None => self.streams.push(RawStream::default()),
        }
    }
}

/// The codes the header's own chunks have; one that stands where no chunk
/// should is taken as a sign that the chunk before it has a wrong size.
const KNOWN: [FourCc; 11] = [
    FourCc::AVIH,
    FourCc::STRH,
    FourCc::STRF,
    FourCc::STRD,
    FourCc::STRN,
    FourCc::INDX,
    FourCc(*b"vprp"),
    FourCc::DMLH,
    FourCc::JUNK,
    FourCc::LIST,
    FourCc::IDIT,
];

/// What those, a RIFF and the head of a picture begin with.
const FIRSTS: Firsts = Firsts::of(b"asivdJLIR0123456789");

/// So far behind the beginning of a file does its head's first chunk not stand.
const FAR: usize = 256;

/// No header chunk of these sizes or less has room for another in it.
const SMALL: usize = 64;

/// Reads the header in `data`, which begins where the file does. `complete`
/// says that there is no more of the file.
pub fn parse(data: &[u8], base: u64, complete: bool) -> Result<Header, Short> {
    let mut raw = Raw::default();
    let mut at = 0;
    let mut movi = None;
    let mut movi_size = 0;
    let (mut begin, mut nested) = (0, None);
    let riff_end = ChunkHeader::parse(data)
        .ok()
        .filter(|riff| riff.id == FourCc::RIFF && riff.size > 4)
        .map(|riff| base + ChunkHeader::SIZE as u64 + u64::from(riff.size));
    while at < data.len().min(MAX_HEADER) {
        let rest = data.get(at..).unwrap_or_default();
        let (Ok(ChunkHeader { id, size }), Some(kind)) = (
            ChunkHeader::parse(rest),
            rest.get(8..).and_then(FourCc::parse),
        ) else {
            if complete {
                break;
            }
            return Err(Short(at + 12));
        };
        let size = size as usize;
        let descend = match id {
            // What is before it is lost as a header, but its frames are there.
            FourCc::RIFF if kind == FourCc::AVIX => break,
            // A file that was joined on, where what is before the first one's chunks is lost.
            FourCc::RIFF if !raw.is_empty() && is_file(rest) => break,
            FourCc::RIFF => {
                if raw.is_empty() {
                    begin = at;
                }
                true
            }
            FourCc::LIST if kind == FourCc::MOVI => {
                movi = Some(at + 8);
                movi_size = size;
                break;
            }
            FourCc::LIST => matches!(
                kind,
                FourCc::HDRL | FourCc::STRL | FourCc::ODML | FourCc::INFO
            ),
            _ if is_data_chunk(id) => break,
            _ => false,
        };
        // Of what is before the first chunk of a head only the names of lists are a part of it.
        if raw.is_empty() && at - begin > FAR {
            begin = at;
        }
        if descend {
            // One that has nothing in it, by its size too, is no stream.
            if kind == FourCc::STRL && size != 4 && nested != Some(at) {
                raw.begin_stream();
            }
            at += 12;
            // Nor is one in which another one begins at once: a head that stands there twice.
            nested = (kind == FourCc::STRL).then_some(at);
            continue;
        }
        let sane = id.0.iter().all(|b| (0x20..0x7F).contains(b)) && size < MAX_HEADER;
        // A size of 32 bits leads beyond what 32 bits address.
        let next = (at + 8).saturating_add(size).saturating_add(size & 1);
        if !sane || (complete && next > data.len()) {
            let found = rest.get(1..).and_then(find_known);
            let found = found.map_or(rest.len(), |found| found + 1);
            // Where its size is overwritten, what it says is still there.
            if matches!(id, FourCc::STRH | FourCc::STRF)
                && let Some(body) = rest.get(8..found)
            {
                take_chunk(&mut raw, id, body);
            }
            at += found;
            continue;
        }
        let Some(body) = rest.get(8..8 + size).filter(|_| next <= data.len()) else {
            return Err(Short(next + 12));
        };
        // A size that was overwritten swallows what follows it.
        let followed = data
            .get(next..)
            .and_then(FourCc::parse)
            .is_some_and(is_name);
        let swallowed = (!is_filler(id) && id != FourCc::INDX && size > SMALL && !followed)
            .then(|| find_known(body))
            .flatten();
        match swallowed {
            Some(found) => {
                take_chunk(&mut raw, id, body.get(..found).unwrap_or(body));
                at += 8 + found;
            }
            None => {
                take_chunk(&mut raw, id, body);
                at = next;
            }
        }
    }
    if movi.is_none() && !complete && at >= data.len() && at < MAX_HEADER {
        return Err(Short(at + 12));
    }
    Ok(Header {
        riff_end,
        begin: base + begin as u64,
        ..finish(raw, movi.map(|at| base + at as u64), movi_size)
    })
}

/// Whether a whole file begins with its head's lists.
fn is_file(data: &[u8]) -> bool {
    let lists = [0, ListHeader::SIZE].map(|at| data.get(at..).map(ListHeader::parse));
    matches!(
        lists,
        [Some(Ok(riff)), Some(Ok(hdrl))]
            if riff.kind == FourCc::AVI && (hdrl.id, hdrl.kind) == (FourCc::LIST, FourCc::HDRL)
    )
}

/// Whether a chunk of this name may stand in a header, or behind it.
fn is_name(id: FourCc) -> bool {
    let info = id.0.starts_with(b"I") && id.0.iter().all(u8::is_ascii_uppercase);
    info || KNOWN.contains(&id) || is_filler(id) || is_data_chunk(id) || id == FourCc::IDX1
}

fn is_filler(id: FourCc) -> bool {
    matches!(&id.0, b"JUNK" | b"JUNQ" | b"LIST" | b"PAD ")
}

/// `NNdc`, `NNdb`, `NNwb`.
fn is_data_chunk(id: FourCc) -> bool {
    id.stream_and_kind()
        .is_some_and(|(_, kind)| matches!(&kind, b"dc" | b"db" | b"wb"))
}

fn find_known(data: &[u8]) -> Option<usize> {
    let is_known = |rest: &[u8]| match FourCc::parse(rest) {
        Some(FourCc::RIFF) => ListHeader::parse(rest)
            .is_ok_and(|head| matches!(head.kind, FourCc::AVI | FourCc::AVIX)),
        // Pictures behind which the header goes on are none of it.
        Some(id) if matches!(id.stream_and_kind(), Some((_, [b'd', b'c' | b'b']))) => {
            rest.get(ChunkHeader::SIZE..).is_some_and(jpeg::begins)
        }
        Some(id) => KNOWN.contains(&id),
        None => false,
    };
    let mut at = 0;
    loop {
        let rest = data.get(at..)?;
        let found = FIRSTS.find(rest)?;
        if rest.get(found..).is_some_and(is_known) {
            return Some(at + found);
        }
        at += found + 1;
    }
}

fn text(body: &[u8]) -> String {
    let body = body.split(|&b| b == 0).next().unwrap_or_default();
    match std::str::from_utf8(body) {
        Ok(text) => text.trim().to_owned(),
        // What is not UTF-8 in an AVI is most often Latin-1.
        Err(_) => body
            .iter()
            .map(|&b| char::from(b))
            .collect::<String>()
            .trim()
            .to_owned(),
    }
}

fn take_chunk(raw: &mut Raw, id: FourCc, body: &[u8]) {
    match id {
        FourCc::AVIH if raw.avih.is_none() => {
            raw.avih = MainHeader::parse(&filled(body, MainHeader::SIZE)).ok();
        }
        FourCc::STRH => {
            // A list's head that was overwritten still leaves its strh.
            if raw.streams.last().is_none_or(|s| s.strh.is_some()) {
                raw.begin_stream();
            }
            if let Some(stream) = raw.streams.last_mut() {
                stream.strh = StreamHeader::parse(&filled(body, StreamHeader::SIZE)).ok();
            }
        }
        FourCc::DMLH => {
            raw.dmlh_frames = ExtendedHeader::parse(body).map_or(0, |dmlh| dmlh.total_frames);
        }
        FourCc::STRF | FourCc::STRN | FourCc::INDX => {
            // A list's head and strh that were overwritten still leave the format.
            let begun = raw.streams.last();
            if id == FourCc::STRF && begun.is_none_or(|stream| !stream.strf.is_empty()) {
                raw.begin_stream();
            }
            let Some(stream) = raw.streams.last_mut() else {
                return;
            };
            match id {
                FourCc::STRF => stream.strf = body.to_vec(),
                FourCc::STRN => stream.name = Some(text(body)).filter(|t| !t.is_empty()),
                _ => stream.super_index = body.to_vec(),
            }
        }
        FourCc([b'I', ..]) => {
            let text = text(body);
            if !text.is_empty() && raw.info.len() < MAX_TEXTS {
                raw.info.push((id, text));
            }
        }
        _ => {}
    }
}

/// What is missing of a short structure counts as zero.
fn filled(body: &[u8], size: usize) -> Vec<u8> {
    let mut body = body.get(..size).unwrap_or(body).to_vec();
    body.resize(size, 0);
    body
}

/// What MaixPy's `avi_record_header_init` writes in every file and nobody
/// else does all at once. The fields it leaves as it finds them in memory are
/// not looked at.
fn is_maixpy(avih: &MainHeader, strh: &StreamHeader) -> bool {
    avih.flags == 0
        && avih.streams == 2
        && avih.suggested_buffer_size == 0x0010_0000
        && strh.kind == FourCc::VIDS
        && strh.scale == 1
        && strh.length == 0
        && strh.suggested_buffer_size == 5128
        && strh.quality == u32::MAX
}

fn finish(raw: Raw, movi: Option<u64>, movi_size: usize) -> Header {
    let avih = raw.avih.unwrap_or_default();
    let maixpy = raw
        .streams
        .first()
        .and_then(|s| s.strh.as_ref())
        .is_some_and(|strh| is_maixpy(&avih, strh));
    let streams = raw
        .streams
        .into_iter()
        .take(MAX_STREAMS)
        .map(|stream| stream_of(stream, &avih, maixpy))
        .collect();
    let total = match raw.dmlh_frames {
        0 => avih.total_frames,
        frames => frames,
    };
    Header {
        streams,
        interval: avih.micro_sec_per_frame,
        announced: avih.streams,
        total_frames: u64::from(total),
        maixpy,
        info: raw.info,
        movi,
        movi_end: movi.map_or(0, |at| at + padded(movi_size as u64)),
        begin: 0,
        riff_end: None,
    }
}

fn stream_of(raw: RawStream, avih: &MainHeader, maixpy: bool) -> Stream {
    let (kind, handler) = raw
        .strh
        .map_or((FourCc([0; 4]), FourCc([0; 4])), |s| (s.kind, s.handler));
    let (scale, rate) = raw.strh.map_or((0, 0), |s| (s.scale, s.rate));
    let (mut start, mut length) = raw
        .strh
        .map_or((0, 0), |s| (u64::from(s.start), u64::from(s.length)));
    if maixpy && kind == FourCc::AUDS {
        // Not a value: the recorder left old memory there.
        (start, length) = (0, 0);
    }
    let format = match kind {
        FourCc::VIDS => video_format(&raw.strf, handler, avih),
        FourCc::AUDS => sound_format(&raw.strf, maixpy, raw.strh.as_ref()),
        // The strh was overwritten: a BITMAPINFOHEADER tells its own size.
        _ if raw.strf.starts_with(&40u32.to_le_bytes()) => video_format(&raw.strf, handler, avih),
        _ if is_wave(&raw.strf) => sound_format(&raw.strf, maixpy, None),
        _ => Format::Other {
            kind,
            codec: printable(kind),
        },
    };
    let own_rate = match &format {
        Format::Pcm(pcm) => Rate::new(pcm.rate, 1),
        Format::Coded(coded) => coded.unit_rate(),
        Format::Jpeg { .. } => video_rate(scale, rate, length, avih.micro_sec_per_frame, maixpy),
        Format::Other { .. } => Rate::new(rate, scale),
    };
    let rate_is_guess = own_rate.is_none() && avih.micro_sec_per_frame == 0;
    let own_rate = own_rate.unwrap_or_else(|| fallback(avih.micro_sec_per_frame));
    let block = match &format {
        Format::Pcm(pcm) => pcm.frame_bytes() as u32,
        Format::Coded(coded) if !coded.by_chunk => coded.block,
        _ => 0,
    };
    if let (1.., Some(strh)) = (block, &raw.strh) {
        // The header counts in its own blocks, which are not always samples.
        if strh.sample_size != 0 {
            let own = |n: u64| n * u64::from(strh.sample_size) / u64::from(block);
            (start, length) = (own(start), own(length));
        }
    }
    // ffmpeg gives up on starts of more than an hour too: they are garbage.
    if own_rate.time_of(start) > 3_600_000_000_000 {
        start = 0;
    }
    Stream {
        format,
        rate: own_rate,
        rate_is_guess,
        start,
        length,
        name: raw.name,
        super_index: raw.super_index,
        joined: Vec::new(),
    }
}

fn fallback(interval: u32) -> Rate {
    Rate::from_micro_sec(interval).unwrap_or(Rate::TEN_A_SECOND)
}

/// `strh`'s rate, unless it is none or `avih`'s interval cut down to whole
/// frames a second, as MaixPy writes it: then the interval is the truth.
fn video_rate(scale: u32, rate: u32, length: u64, interval: u32, maixpy: bool) -> Option<Rate> {
    let by_interval = Rate::from_micro_sec(interval);
    // More than 100 000 frames a second, or less than one in a day, is no
    // rate but old memory.
    let sane = scale > 0
        && rate > 0
        && u64::from(rate) <= u64::from(scale) * 100_000
        && u64::from(scale) <= u64::from(rate) * 86_400;
    if !sane {
        return by_interval;
    }
    let cut_down = interval > 0
        && scale == 1
        && length == 0
        && rate == 1_000_000 / interval
        && 1_000_000 - u64::from(rate) * u64::from(interval) > 5_000;
    if (maixpy || cut_down) && by_interval.is_some() {
        return by_interval;
    }
    Rate::new(rate, scale)
}

fn printable(id: FourCc) -> String {
    id.to_string()
}

/// The codes Motion JPEG goes by, as FFmpeg's `libavformat/riff.c` lists them, and Avid's `AVDJ`, which
/// FFmpeg takes from its `isom.c`.
const JPEG_CODES: [&[u8; 4]; 23] = [
    b"MJPG", b"JPEG", b"AVRN", b"IJPG", b"JPGL", b"DMB1", b"MJPA", b"ACDV", b"QIVG", b"SLMJ",
    b"CJPG", b"IJLV", b"MVJP", b"AVI1", b"AVI2", b"MTSJ", b"ZJPG", b"MMJP", b"JR24", b"MSC2",
    b"LJPG", b"MJLS", b"AVDJ",
];

fn is_jpeg(codec: FourCc) -> bool {
    let codec = codec.0.map(|letter| letter.to_ascii_uppercase());
    JPEG_CODES.contains(&&codec)
}

fn video_format(strf: &[u8], handler: FourCc, avih: &MainHeader) -> Format {
    let bitmap = BitmapInfo::parse(&filled(strf, BitmapInfo::SIZE)).ok();
    // The format decides; the handler is only a wish for a codec. It counts where the format says that
    // the pictures are not compressed, in a number or in letters.
    let codec = bitmap.map_or(FourCc([0; 4]), |b| b.compression);
    let codec = match &codec.0 {
        [0, 0, 0, 0] => handler,
        b"DIB " | b"RGB " | b"RAW " if is_jpeg(handler) => handler,
        _ => codec,
    };
    if !is_jpeg(codec) {
        return Format::Other {
            kind: FourCc::VIDS,
            codec: printable(codec),
        };
    }
    let size = |own: Option<i32>, main: u32| {
        own.map(i32::unsigned_abs)
            .into_iter()
            .chain([main])
            .find(|size| (1..=65535).contains(size))
            .unwrap_or(0)
    };
    Format::Jpeg {
        width: size(bitmap.map(|b| b.width), avih.width),
        height: size(bitmap.map(|b| b.height), avih.height),
    }
}

/// Whether a format is one of sound, where the `strh` that says so is lost.
fn is_wave(strf: &[u8]) -> bool {
    WaveFormat::parse(strf).is_ok_and(|wave| {
        matches!(wave.format_tag, 1 | 2 | 3 | 6 | 7 | 0x11 | 0x55)
            && (1..=8).contains(&wave.channels)
            && (4_000..=192_000).contains(&wave.samples_per_sec)
    })
}

fn sound_format(strf: &[u8], maixpy: bool, strh: Option<&StreamHeader>) -> Format {
    let other = |codec: String| Format::Other {
        kind: FourCc::AUDS,
        codec,
    };
    let Ok(wave) = WaveFormat::parse(strf) else {
        return other("unknown, its format is missing".to_owned());
    };
    let mut wave = wave;
    if wave.format_tag == WaveFormat::PCM && wave.bits_per_sample == 0 {
        // The bytes of a sample of all channels say it too.
        wave.bits_per_sample = (wave.block_align / wave.channels.max(1)).saturating_mul(8);
    }
    let bits = wave.bits_per_sample;
    if wave.format_tag == WaveFormat::PCM && bits < 32 && !bits.is_multiple_of(8) {
        // Samples are in whole bytes, of which these are the highest bits.
        let room = wave.block_align.checked_div(wave.channels).unwrap_or(0);
        let bytes = bits.div_ceil(8);
        wave.bits_per_sample = 8 * room.clamp(bytes, bytes.max(4));
    }
    let (bits, channels, rate) = (wave.bits_per_sample, wave.channels, wave.samples_per_sec);
    let possible = (1..=64).contains(&channels) && (1..=768_000).contains(&rate);
    if !matches!(wave.format_tag, WaveFormat::PCM | WaveFormat::IEEE_FLOAT) {
        let coded = coded_format(&wave, strf, strh).filter(|_| possible);
        let other = || other(format!("WAVE format 0x{:04x}", wave.format_tag));
        return coded.map_or_else(other, Format::Coded);
    }
    let Some(mut pcm) = Layout::of_wave(&wave).filter(|_| possible) else {
        return other(format!(
            "PCM of {bits} bits, {channels} channels, {rate} samples a second"
        ));
    };
    if maixpy {
        // It says an alignment of 4 whatever the channels.
        pcm.sample_bytes = pcm.bits / 8;
    }
    Format::Pcm(pcm)
}

/// The formats of `mmreg.h` that are common in files of Motion JPEG.
fn coded_format(wave: &WaveFormat, strf: &[u8], strh: Option<&StreamHeader>) -> Option<Coded> {
    let (align, channels) = (u32::from(wave.block_align), u32::from(wave.channels));
    let codec = match wave.format_tag {
        2 => Codec::MsAdpcm,
        6 => Codec::ALaw,
        7 => Codec::MuLaw,
        0x11 => Codec::ImaAdpcm,
        0x55 => Codec::Mp3,
        _ => return None,
    };
    let by_chunk = codec == Codec::Mp3 && strh.is_some_and(|strh| strh.sample_size == 0);
    // The bytes of a block that are not one sample in four bits, and the samples in them.
    let (head, first) = match codec {
        Codec::ImaAdpcm => (4 * channels, 1),
        _ => (7 * channels, 2),
    };
    // The number also stands behind cbSize.
    let told = strf
        .get(18..)
        .and_then(<[u8]>::first_chunk)
        .map_or(0, |n| u32::from(u16::from_le_bytes(*n)));
    let (block, per_block) = match codec {
        Codec::MuLaw | Codec::ALaw => (channels, 1),
        Codec::ImaAdpcm | Codec::MsAdpcm if align > head => {
            let counted = (align - head) * 2 / channels.max(1) + first;
            (align, if told > 0 { told } else { counted })
        }
        Codec::ImaAdpcm | Codec::MsAdpcm => return None,
        // ISO/IEC 11172-3 and 13818-3: samples of a frame.
        Codec::Mp3 if by_chunk => (
            1,
            if wave.samples_per_sec < 32_000 {
                576
            } else {
                1152
            },
        ),
        Codec::Mp3 => (1, wave.avg_bytes_per_sec.max(1)),
    };
    Some(Coded {
        codec,
        rate: wave.samples_per_sec,
        channels: wave.channels,
        block,
        per_block,
        by_chunk,
    })
}

/// What is known of a file otherwise than by its header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hints {
    /// Frames a second, where the header says none.
    pub rate: Option<Rate>,
    /// The sound, where the header has none that can be played.
    pub sound: Option<Layout>,
}

impl Header {
    /// Puts in what is known otherwise.
    pub fn complete(&mut self, hints: &Hints) {
        if let Some(rate) = hints.rate {
            self.set_guessed_rate(rate);
        }
        let Some(pcm) = hints.sound.filter(|pcm| pcm.frame_bytes() > 0) else {
            return;
        };
        if self.streams.iter().any(Stream::is_sound) {
            return;
        }
        let sound = Stream {
            format: Format::Pcm(pcm),
            rate: Rate::new(pcm.rate, 1).unwrap_or(Rate::TEN_A_SECOND),
            rate_is_guess: false,
            ..unknown_stream(self.interval)
        };
        let free = self.streams.iter().position(|stream| !stream.is_played());
        match free.and_then(|n| self.streams.get_mut(n)) {
            Some(stream) => *stream = sound,
            None => self.streams.push(sound),
        }
    }

    /// The rate of the video, where it is a guess.
    pub fn set_guessed_rate(&mut self, rate: Rate) {
        for stream in &mut self.streams {
            stream.set_guessed_rate(rate);
            for joined in &mut stream.joined {
                joined.stream.set_guessed_rate(rate);
            }
        }
        self.begin_joined_again();
    }

    /// Has files that were joined on begin where all that is before them ends by the rates that are known now.
    fn begin_joined_again(&mut self) {
        let begins = |stream: &Stream| -> Vec<(u64, u64)> {
            let joined = stream.joined.iter();
            joined.map(|joined| (joined.time, joined.from)).collect()
        };
        let known: Vec<_> = self.streams.iter().map(begins).collect();
        let files: BTreeSet<u64> = known.iter().flatten().map(|(time, _)| *time).collect();
        for file in files {
            let ends = self
                .streams
                .iter()
                .zip(&known)
                .filter_map(|(stream, known)| {
                    // A stream that has nothing in a file has what it had before where the next one begins.
                    let (_, from) = known.iter().find(|(time, _)| *time >= file)?;
                    (*from > 0).then(|| stream.end(*from))
                });
            let Some(begin) = ends.max() else {
                continue;
            };
            for (stream, known) in self.streams.iter_mut().zip(&known) {
                let joined = stream.joined.iter_mut().zip(known);
                for (joined, _) in joined.filter(|(_, (time, _))| *time == file) {
                    joined.time = begin;
                }
            }
        }
    }
}

/// A stream of which nothing is known.
pub fn unknown_stream(interval: u32) -> Stream {
    Stream {
        format: Format::Other {
            kind: FourCc([0; 4]),
            codec: "unknown, the header is lost".to_owned(),
        },
        ..without_header(None, interval)
    }
}

/// The streams of a file whose header is lost, from the first picture found.
pub fn without_header(frame: Option<&jpeg::FrameHeader>, interval: u32) -> Stream {
    Stream {
        format: Format::Jpeg {
            width: frame.map_or(0, |f| u32::from(f.width)),
            height: frame.map_or(0, |f| u32::from(f.height)),
        },
        rate: fallback(interval),
        rate_is_guess: interval == 0,
        start: 0,
        length: 0,
        name: None,
        super_index: Vec::new(),
        joined: Vec::new(),
    }
}
