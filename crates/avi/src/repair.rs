// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a damaged or unfinished file to a sound one: everything the
//! [`Reader`] finds, at its time, through the [`Writer`].

#![warn(clippy::indexing_slicing)]

use std::collections::VecDeque;

use super::header::WaveFormat;
use super::huffman;
use super::jpeg;
use super::k210;
use super::pcm::Encoding;
use super::reader::headers::{Codec, Coded, Format, Hints, Stream};
use super::reader::play::{Next, Playback};
use super::reader::window::ReadAt;
use super::reader::{Finding, OpenError, Payload, Reader};
use super::writer::{Options, Output, Profile, StreamFormat, Tags, WriteError, Writer};
use crate::header::FourCc;
use crate::timeline::Rate;

/// So many places of a file that no frame was found for are filled; more are
/// errors in its headers.
const MAX_FILL: u64 = 1_000_000;

/// For the K210 a frame is repeated there: bytes of such copies, and more of them for each byte of the file's own
/// frames. A frame a second among 60 places is within that; a megabyte of empty chunks was 2 GiB.
const MAX_REPEATED: u64 = 256 << 20;
const REPEATED_FOR_EACH: u64 = 64;

/// The same in bytes of silence.
const MAX_SILENCE: u64 = 100_000_000;

/// Places for each frame of the first of joined files; a rate that needs more is an error in a header.
const MAX_PLACES: u64 = 1000;

/// Silence that is written at once: whole samples of up to eight channels of one to four bytes.
const SILENCE: usize = 960_960;

/// Why there is no sound file now.
#[derive(Debug, thiserror::Error)]
pub enum RepairError<R, W> {
    /// Reading failed.
    #[error("reading failed")]
    Read(R),
    /// There is nothing in the file.
    #[error("{0}")]
    NotAvi(String),
    /// None of its streams can be written.
    #[error("there is no Motion JPEG stream with frames in the file")]
    NoVideo,
    /// The video's pictures have no size.
    #[error("the size of the pictures is in neither the header nor the first of them")]
    NoSize,
    /// Writing failed.
    #[error("writing failed")]
    Write(#[from] WriteError<W>),
}

/// What was found, kept and lost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Frames that were copied.
    pub frames: u64,
    /// Places where a frame is missing, that were filled: with empty chunks, or
    /// for the K210 with the frame before.
    pub missing: u64,
    /// More such places, that were left out: a million are filled, and for the
    /// K210 with 256 MiB and 64 times the bytes of the frames that were copied.
    /// What follows is earlier by as many.
    pub unfilled: u64,
    /// Frames that the profile cannot have, with the reason of the first.
    pub refused: u64,
    /// That reason.
    pub refused_why: Option<String>,
    /// Bytes of padding that were cut off.
    pub padding: u64,
    /// Bytes of sound that were copied.
    pub sound: u64,
    /// Bytes of silence in the place of sound that is missing.
    pub silence: u64,
    /// Streams that were left out, and why.
    pub left_out: Vec<(usize, String)>,
    /// What is wrong with the file.
    pub findings: Vec<Finding>,
}

/// A stream being copied.
struct Copied {
    /// Its number in the new file.
    to: usize,
    sound: bool,
    /// Units of the new file before the first of the old one: the stream begins later than another.
    lead: u64,
    /// Places that each frame of the first of joined files has, and their rate.
    places: u64,
    rate: Rate,
    /// Units that have been written.
    done: u64,
    /// Silence is this byte.
    quiet: u8,
}

/// Sound for the K210: chunks of one size.
#[derive(Default)]
struct Pieces {
    /// 0 if there is no sound.
    size: usize,
    waiting: VecDeque<u8>,
    /// Frames that come behind the first chunk of sound.
    held: Vec<Vec<u8>>,
}

/// So many frames wait for the first sound; then it begins with silence.
const MAX_HELD: usize = 64;

/// Copies what is in a file into a new one. `progress` is told, for each chunk,
/// how many bytes of the old file are done and how many there are.
pub fn repair<S: ReadAt, O: Output<Payload = Vec<u8>>>(
    source: S,
    profile: Profile,
    out: &mut O,
    progress: impl FnMut(u64, u64),
) -> Result<Summary, RepairError<S::Error, O::Error>> {
    repair_with(source, &Hints::default(), profile, out, progress)
}

/// The same of a file of which something is known that its header may not say.
pub fn repair_with<S: ReadAt, O: Output<Payload = Vec<u8>>>(
    source: S,
    hints: &Hints,
    profile: Profile,
    out: &mut O,
    mut progress: impl FnMut(u64, u64),
) -> Result<Summary, RepairError<S::Error, O::Error>> {
    let mut reader = match Reader::open_with(source, hints) {
        Ok(reader) => reader,
        Err(OpenError::Read(error)) => return Err(RepairError::Read(error)),
        Err(error @ OpenError::NotAvi { .. }) => {
            let OpenError::NotAvi { searched } = error else {
                return Err(RepairError::NoVideo);
            };
            let text = format!(
                "there is neither an AVI header nor a JPEG picture in the file's first {searched} bytes"
            );
            return Err(RepairError::NotAvi(text));
        }
    };
    let size = reader.file_size();
    let mut summary = Summary::default();
    // What is there has to be known before the header is written.
    while !reader.scan(1000).map_err(RepairError::Read)? {
        progress(reader.scanned() / 2, size);
    }
    reader.find_rate();
    let (formats, copied) = choose(&mut reader, profile, &mut summary)?;
    let Some(video) = copied.iter().flatten().find(|c| !c.sound) else {
        return Err(RepairError::NoVideo);
    };
    let video_to = video.to;
    let mut copy = Copy {
        writer: Writer::new(Options::new(profile), &formats, &tags(&reader)),
        k210: profile == Profile::K210,
        formats,
        copied,
        video_to,
        last: None,
        own: 0,
        repeated: 0,
        pieces: Pieces::default(),
        summary,
    };
    copy.prepare();
    copy.writer.start(out).map_err(WriteError::Output)?;
    let streams = reader.header().streams.clone();
    let mut playback = Playback::new(streams.len());
    while let Some(next) = playback.next(&mut reader).map_err(RepairError::Read)? {
        let entry = next.entry;
        progress(size / 2 + entry.pos.min(size) / 2, size);
        let stream = streams.get(entry.stream);
        let Some(first) = stream.and_then(|stream| copy.place(stream, &next)) else {
            continue;
        };
        let payload = reader.payload_of(&next).map_err(RepairError::Read)?;
        let is_last = entry.pos + u64::from(entry.size) >= size;
        if is_last && copy.k210 && is_incomplete(&payload) {
            // Any player but the K210's shows the upper part of the picture that the file's end cuts.
            continue;
        }
        let data = match payload {
            Payload::Bytes { pos, len, .. } => reader
                .window()
                .block(pos, len)
                .and_then(|(block, range)| Some(block.as_ref().get(range)?.to_vec())),
            Payload::Empty | Payload::Lost => None,
        };
        copy.entry(entry.stream, first, entry.size, data, out)?;
    }
    copy.drain(out)?;
    copy.writer.finish(out).map_err(WriteError::Output)?;
    progress(size, size);
    reader.flush_findings();
    copy.summary.findings = reader.take_findings();
    Ok(copy.summary)
}

fn is_incomplete(payload: &Payload) -> bool {
    matches!(
        payload,
        Payload::Bytes {
            incomplete: true,
            ..
        }
    )
}

fn tags<S: ReadAt>(reader: &Reader<S>) -> Tags {
    let text = |code: FourCc| {
        let mut all = reader.header().info.iter();
        all.find(|(id, _)| *id == code)
            .map(|(_, text)| text.clone())
            .unwrap_or_default()
    };
    Tags {
        title: text(FourCc::INAM),
        artist: text(FourCc::IART),
        date: text(FourCc::ICRD),
        software: text(FourCc::ISFT),
        comment: text(FourCc::ICMT),
    }
}

/// For each stream of the old file, what becomes of it.
type Chosen = (Vec<StreamFormat>, Vec<Option<Copied>>);

/// Which streams go into the new file, as what.
fn choose<S: ReadAt, W>(
    reader: &mut Reader<S>,
    profile: Profile,
    summary: &mut Summary,
) -> Result<Chosen, RepairError<S::Error, W>> {
    let streams = reader.header().streams.clone();
    let mut chosen: Vec<(bool, usize, StreamFormat)> = Vec::new();
    let mut places = vec![1; streams.len()];
    for (n, stream) in streams.iter().enumerate() {
        let mut leave = |why: &str| summary.left_out.push((n, why.to_owned()));
        if reader.index().chunks(n) == 0 {
            leave("it was announced, but there is nothing of it");
            continue;
        }
        match &stream.format {
            Format::Other { codec, .. } => leave(&format!("it is {codec}")),
            Format::Coded(coded) => match law_of(coded) {
                Some(wave) if profile == Profile::Standard => {
                    chosen.push((true, n, StreamFormat::Audio(wave)));
                }
                _ => leave(&format!("it is {:?}, which has to be decoded", coded.codec)),
            },
            Format::Jpeg { width, height } => {
                if profile == Profile::K210 && chosen.iter().any(|c| !c.0) {
                    leave("the K210 plays one video stream");
                    continue;
                }
                let size = match (*width, *height) {
                    (0, _) | (_, 0) => first_size(reader, n).map_err(RepairError::Read)?,
                    size => Some(size),
                };
                let Some((width, height)) = size else {
                    return Err(RepairError::NoSize);
                };
                let mut rate = stream.rate.reduced();
                if profile == Profile::Standard
                    && let Some((for_each, finer)) = finer(stream, reader.index().units(n))
                    && let Some(places) = places.get_mut(n)
                {
                    (*places, rate) = (for_each, finer);
                }
                let format = StreamFormat::Video {
                    width,
                    height,
                    rate,
                };
                chosen.push((false, n, format));
            }
            Format::Pcm(pcm) => {
                let second = chosen.iter().any(|c| c.0);
                if profile == Profile::K210
                    && ((pcm.encoding, pcm.bits) != (Encoding::Signed, 16) || second)
                {
                    leave("the K210 plays one stream of sound, PCM of 16 bits");
                    continue;
                }
                chosen.push((true, n, StreamFormat::Audio(pcm.wave())));
            }
        }
    }
    // Video first: the K210 wants it so.
    chosen.sort_by_key(|(sound, ..)| *sound);
    let begin = |stream: &Stream| stream.rate.time_of(stream.start);
    let first = chosen
        .iter()
        .filter_map(|(_, n, _)| streams.get(*n).map(begin))
        .min();
    let mut copied: Vec<Option<Copied>> = streams.iter().map(|_| None).collect();
    for (to, (sound, n, format)) in chosen.iter().enumerate() {
        let (Some(stream), Some(copied)) = (streams.get(*n), copied.get_mut(*n)) else {
            continue;
        };
        let later = begin(stream) - first.unwrap_or(0);
        let rate = match format {
            StreamFormat::Video { rate, .. } => *rate,
            StreamFormat::Audio(_) => stream.rate,
        };
        *copied = Some(Copied {
            to,
            sound: *sound,
            lead: rate.unit_at(later) * stream.unit_bytes(),
            places: places.get(*n).copied().unwrap_or(1),
            rate,
            done: 0,
            quiet: quiet(&stream.format),
        });
    }
    Ok((chosen.into_iter().map(|c| c.2).collect(), copied))
}

/// How many places each frame of a stream needs, and their rate, for the frames of files that were joined on to
/// have places of their own; `None` if they have at the stream's own rate. It has so many frames.
fn finer(stream: &Stream, frames: u64) -> Option<(u64, Rate)> {
    let own = stream.rate.reduced();
    let ends = stream.joined.iter().skip(1).map(|joined| joined.from);
    let lengths = stream.joined.iter().zip(ends.chain([frames]));
    let shortest = lengths
        .filter(|(joined, end)| {
            // One place is within what a frame may be off.
            let count = end.saturating_sub(joined.from);
            let lasts = joined.stream.rate.time_of(count);
            own.time_of(count) > lasts.saturating_add(own.time_of(1))
        })
        .map(|(joined, _)| joined.stream.rate.time_of(1).max(1))
        .min()?;
    let places = own.time_of(1).div_ceil(shortest).min(MAX_PLACES);
    // What is filled has a bound.
    let places = places.min(MAX_FILL / frames.max(1));
    let numerator = u64::from(own.numerator()) * places;
    let rate = Rate::new(u32::try_from(numerator).ok()?, own.denominator())?;
    (places > 1).then_some((places, rate))
}

/// The byte that silence is of.
fn quiet(format: &Format) -> u8 {
    match format {
        Format::Pcm(pcm) => pcm.silence(),
        Format::Coded(coded) if coded.codec == Codec::MuLaw => 0xff,
        Format::Coded(coded) if coded.codec == Codec::ALaw => 0xd5,
        _ => 0,
    }
}

/// The format of sound that is coded byte by byte.
fn law_of(coded: &Coded) -> Option<WaveFormat> {
    let format_tag = match coded.codec {
        Codec::ALaw => 6,
        Codec::MuLaw => 7,
        _ => return None,
    };
    let wave = WaveFormat::pcm(coded.rate, coded.channels.min(2), 8, 0);
    (coded.channels <= 2).then_some(WaveFormat { format_tag, ..wave })
}

/// The size of the first whole picture of a stream.
fn first_size<S: ReadAt>(
    reader: &mut Reader<S>,
    stream: usize,
) -> Result<Option<(u32, u32)>, S::Error> {
    let mut cursor = super::reader::index::Cursor::new(stream);
    while let Some(entry) = cursor.peek(reader.index()) {
        cursor.advance();
        if let Payload::Bytes { pos, len, .. } = reader.payload(&entry)? {
            let block = reader.window().block(pos, len);
            let data = block.and_then(|(block, range)| block.as_ref().get(range));
            let frame = data.and_then(|data| jpeg::FrameHeader::parse(data).ok());
            if let Some(frame) = frame {
                return Ok(Some((frame.width.into(), frame.height.into())));
            }
        }
    }
    Ok(None)
}

/// The copying itself.
struct Copy {
    writer: Writer,
    k210: bool,
    formats: Vec<StreamFormat>,
    copied: Vec<Option<Copied>>,
    video_to: usize,
    /// The last frame, which fills gaps for the K210.
    last: Option<Vec<u8>>,
    /// Bytes of frames that were copied for it, and of such fillings.
    own: u64,
    repeated: u64,
    pieces: Pieces,
    summary: Summary,
}

impl Copy {
    fn prepare(&mut self) {
        let rate = match self.formats.get(self.video_to) {
            Some(StreamFormat::Video { rate, .. }) => *rate,
            _ => return,
        };
        for format in &self.formats {
            if let StreamFormat::Audio(wave) = format {
                self.pieces.size = k210::sound_chunk(rate, wave) as usize;
            }
        }
    }

    /// Where a chunk goes, counted as the new file's stream is: it has the rate of the first of
    /// joined files, or a multiple of it. `None` if it cannot be in it.
    fn place(&mut self, stream: &Stream, next: &Next) -> Option<u64> {
        let entry = next.entry;
        let of = self.copied.get(entry.stream)?.as_ref()?;
        let part = stream.part(entry.first);
        if part.number == 0 {
            let place = entry.first.saturating_mul(of.places);
            return Some(of.lead.saturating_add(place));
        }
        if stream.is_sound() {
            if part.stream.format == stream.format {
                let unit = stream.rate.unit_at(next.time);
                let place = unit.saturating_sub(stream.start) * stream.unit_bytes();
                return Some(of.lead.saturating_add(place));
            }
            let why = "the sound of a file that was joined on is of another kind";
            if self.summary.left_out.iter().all(|(_, told)| told != why) {
                self.summary.left_out.push((entry.stream, why.to_owned()));
            }
            return None;
        }
        let start = stream.start.saturating_mul(of.places);
        let place = of.rate.nearest(next.time).saturating_sub(start);
        let place = place.saturating_add(of.lead);
        if place < of.done && place.saturating_add(1) >= of.done {
            return Some(of.done);
        }
        if place < of.done {
            self.summary.refused += 1;
            let why = "a file that was joined on has more frames a second than the first";
            self.summary.refused_why.get_or_insert(why.to_owned());
            return None;
        }
        Some(place)
    }

    fn write<O: Output<Payload = Vec<u8>>>(
        &mut self,
        to: usize,
        data: Vec<u8>,
        out: &mut O,
    ) -> Result<(), WriteError<O::Error>> {
        self.writer.chunk(to, data.len(), data, false, out)
    }

    /// Copies one chunk; `None` is one that is empty or lost.
    fn entry<O: Output<Payload = Vec<u8>>>(
        &mut self,
        stream: usize,
        first: u64,
        size: u32,
        data: Option<Vec<u8>>,
        out: &mut O,
    ) -> Result<(), WriteError<O::Error>> {
        let Some(of) = self.copied.get_mut(stream).and_then(Option::as_mut) else {
            return Ok(());
        };
        let (to, quiet) = (of.to, of.quiet);
        let done = of.done;
        let missing = first.saturating_sub(done);
        if of.sound {
            of.done = done.max(first + u64::from(size));
            let most = match self.k210 {
                // No more chunks of it than of frames.
                true => MAX_SILENCE.min(MAX_FILL * self.pieces.size as u64),
                false => MAX_SILENCE,
            };
            let left = most.saturating_sub(self.summary.silence);
            let mut gap = missing.min(left);
            self.summary.silence += gap;
            while gap > SILENCE as u64 {
                self.sound(to, vec![quiet; SILENCE], out)?;
                gap -= SILENCE as u64;
            }
            let mut sound = vec![quiet; gap as usize];
            // Silence that was put before it has taken the place of its start.
            let over = (done.saturating_sub(first)).min(size.into()) as usize;
            match data {
                Some(mut data) => {
                    data.drain(..over.min(data.len()));
                    let size = size as usize - over;
                    self.summary.sound += data.len() as u64;
                    sound.extend(&data);
                    // A chunk that was cut short keeps its time.
                    let short = size - data.len().min(size);
                    self.summary.silence += short as u64;
                    sound.resize(sound.len() + short, quiet);
                }
                None => {
                    self.summary.silence += u64::from(size) - over as u64;
                    sound.resize(sound.len() + size as usize - over, quiet);
                }
            }
            return self.sound(to, sound, out);
        }
        of.done = first + 1;
        let left = MAX_FILL.saturating_sub(self.summary.missing);
        let filled = missing.min(left);
        self.summary.unfilled = self.summary.unfilled.saturating_add(missing - filled);
        for _ in 0..filled {
            self.fill(to, out)?;
        }
        match data {
            Some(data) => {
                self.summary.padding += u64::from(size).saturating_sub(data.len() as u64);
                self.frame(to, data, out)
            }
            None => self.fill(to, out),
        }
    }

    /// Sound, as the profile has it.
    fn sound<O: Output<Payload = Vec<u8>>>(
        &mut self,
        to: usize,
        sound: Vec<u8>,
        out: &mut O,
    ) -> Result<(), WriteError<O::Error>> {
        if self.k210 {
            self.pieces.waiting.extend(sound);
            return self.sound_due(to, out);
        }
        match sound.is_empty() {
            true => Ok(()),
            false => self.write(to, sound, out),
        }
    }

    /// A frame, if the profile can have it.
    fn frame<O: Output<Payload = Vec<u8>>>(
        &mut self,
        to: usize,
        mut data: Vec<u8>,
        out: &mut O,
    ) -> Result<(), WriteError<O::Error>> {
        if self.k210 {
            data = huffman::with_tables(&data).unwrap_or(data);
            if let Some(why) = self.refusal(to, &data) {
                self.summary.refused += 1;
                self.summary.refused_why.get_or_insert(why);
                return self.fill(to, out);
            }
            self.own += data.len() as u64;
            self.last = Some(data.clone());
        }
        self.summary.frames += 1;
        self.put(to, data, out)
    }

    /// Writes a frame, unless the first sound has to come before it.
    fn put<O: Output<Payload = Vec<u8>>>(
        &mut self,
        to: usize,
        data: Vec<u8>,
        out: &mut O,
    ) -> Result<(), WriteError<O::Error>> {
        if !self.k210 || self.pieces.size == 0 {
            return self.write(to, data, out);
        }
        let sound = self.formats.len() - 1;
        if self.writer.stream_length(to) == 0 || self.writer.stream_length(sound) > 0 {
            self.write(to, data, out)?;
            return self.sound_due(sound, out);
        }
        self.pieces.held.push(data);
        if self.pieces.held.len() > MAX_HELD {
            let missing = self.pieces.size - self.pieces.waiting.len();
            self.pieces.waiting.resize(self.pieces.size, 0);
            self.summary.silence += missing as u64;
            for of in self.copied.iter_mut().flatten().filter(|of| of.sound) {
                of.done += missing as u64;
            }
            self.sound_due(sound, out)?;
        }
        Ok(())
    }

    fn refusal(&self, to: usize, data: &[u8]) -> Option<String> {
        let Some(&StreamFormat::Video { width, height, .. }) = self.formats.get(to) else {
            return None;
        };
        if let Err(error) = k210::check_frame(data, width, height) {
            return Some(error.to_string());
        }
        if jpeg::trimmed(data).is_none() {
            return Some("it has no end".to_owned());
        }
        let with_sound = self.formats.len() > 1;
        let first = self.writer.stream_length(to) == 0;
        let limit = if with_sound && first {
            k210::max_first_frame(self.writer.head_len())
        } else {
            k210::MAX_FRAME
        };
        (data.len() as u64 > u64::from(limit))
            .then(|| format!("it has {} bytes and the limit is {limit}", data.len()))
    }

    /// The place of a frame that is not there.
    fn fill<O: Output<Payload = Vec<u8>>>(
        &mut self,
        to: usize,
        out: &mut O,
    ) -> Result<(), WriteError<O::Error>> {
        if self.k210
            && let Some(last) = &self.last
        {
            let repeated = self.repeated + last.len() as u64;
            if repeated > MAX_REPEATED + REPEATED_FOR_EACH * self.own {
                self.summary.unfilled = self.summary.unfilled.saturating_add(1);
                return Ok(());
            }
            self.repeated = repeated;
        }
        self.summary.missing += 1;
        if !self.k210 {
            return self.write(to, Vec::new(), out);
        }
        // Before the first frame there is nothing to repeat: it is left out.
        match self.last.clone() {
            Some(last) => self.put(to, last, out),
            None => Ok(()),
        }
    }

    /// For the K210 sound follows the first frame, in chunks of one size.
    fn sound_due<O: Output<Payload = Vec<u8>>>(
        &mut self,
        to: usize,
        out: &mut O,
    ) -> Result<(), WriteError<O::Error>> {
        while self.pieces.size > 0
            && self.pieces.waiting.len() >= self.pieces.size
            && self.writer.stream_length(self.video_to) > 0
        {
            let piece = self.pieces.waiting.drain(..self.pieces.size).collect();
            self.write(to, piece, out)?;
            for frame in std::mem::take(&mut self.pieces.held) {
                self.write(self.video_to, frame, out)?;
            }
        }
        Ok(())
    }

    fn drain<O: Output<Payload = Vec<u8>>>(
        &mut self,
        out: &mut O,
    ) -> Result<(), WriteError<O::Error>> {
        let rest = Vec::from(std::mem::take(&mut self.pieces.waiting));
        if !rest.is_empty() && self.writer.stream_length(self.video_to) > 0 {
            self.write(self.formats.len() - 1, rest, out)?;
        }
        for frame in std::mem::take(&mut self.pieces.held) {
            self.write(self.video_to, frame, out)?;
        }
        Ok(())
    }
}
