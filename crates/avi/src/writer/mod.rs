// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes AVI files that are valid at every checkpoint.
//!
//! [`Writer`] is told of chunks and gives operations on a file to an [`Output`]: append a chunk
//! (whose payload it never looks at), append bytes, overwrite bytes. Nothing is ever read
//! back, and with an output that cannot overwrite the file is still one that players play.
//!
//! # The file
//!
//! RIFFs of at most 1 GiB ([`Options::big_file`]), the first one with an `idx1`, all with OpenDML's
//! standard indexes, which a super index for each stream in the header points to. Without
//! `big_file`, and for the K210's player, it is one RIFF below 2 GiB with an `idx1`.
//!
//! # Checkpoints
//!
//! [`Writer::checkpoint`] brings the file up to date in this order:
//!
//! 1. The indexes of the chunks since the last checkpoint are appended. Nothing refers to them yet,
//!    and readers that scan skip them.
//! 2. The head of the file is written as one piece: sizes, totals, and the super indexes with what
//!    points to the new indexes. Each super index is one page of 4 KiB, its number of entries
//!    included, which systems and disks write whole.
//!
//! Before step 2 the file is what it was at the last checkpoint, after it is what it is at this
//! one, and where only some of its pages are written, each of them is true of what is there.
//! What was appended since the last is past the end that the headers tell. (To write the entries
//! first and their number after them would be no safer: both are in one page, which the system
//! writes to the disk when it likes, and once.)
//!
//! A super index has room for 254 entries, an hour of checkpoints every second would need 3600. So
//! the index of every eighth checkpoint covers the last eight and its entry takes the place of
//! theirs; the index of every 64th covers 64, and so on; and one index covers all of a RIFF
//! in the end. Each chunk is indexed once for each of these levels.

mod chunk_log;
mod date;
mod layout;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use layout::{Places, SUPER_ENTRIES, format_bytes, lay_out};

use super::header::{
    ChunkHeader, ExtendedHeader, FourCc, ListHeader, MainHeader, OldIndexEntry, StreamHeader,
    SuperIndex, SuperIndexEntry, WaveFormat, padded,
};
use super::k210;
use super::timeline::Rate;
use chunk_log::{ChunkLog, Indexed, Mark, StandardIndexes, old_index_entry};

/// Checkpoints that one of the next level replaces.
const FAN_OUT: usize = 8;

/// The most bytes of an index that are handed over at once.
const INDEX_PIECE: usize = 64 * 1024;

/// Streams that a file can have, as chunk names have two digits.
pub const MAX_STREAMS: usize = 100;

/// What takes the bytes of a file.
pub trait Output {
    /// A chunk's payload, which the writer hands through.
    type Payload;
    /// Why it takes no more.
    type Error;

    /// Begins what is appended next in parts that belong together: a chunk, or some bytes. `durable` is as for
    /// [`Output::end`].
    fn begin(&mut self, durable: bool) -> Result<(), Self::Error> {
        let _ = durable;
        Ok(())
    }

    /// Appends bytes.
    fn put(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;

    /// Appends a payload.
    fn put_payload(&mut self, payload: Self::Payload) -> Result<(), Self::Error>;

    /// All parts are there. `durable` asks for them and all before them to be on the disk before anything that
    /// follows.
    fn end(&mut self, durable: bool) -> Result<(), Self::Error> {
        let _ = durable;
        Ok(())
    }

    /// Overwrites what is at `position`, counted from the start of the file. Never called
    /// unless [`Options::seekable`].
    fn overwrite(&mut self, position: u64, bytes: &[u8]) -> Result<(), Self::Error>;

    /// Appends a chunk: its header, its payload and, if `padding`, a zero.
    fn chunk(
        &mut self,
        header: [u8; ChunkHeader::SIZE],
        payload: Self::Payload,
        padding: bool,
        durable: bool,
    ) -> Result<(), Self::Error> {
        self.begin(durable)?;
        self.put(&header)?;
        self.put_payload(payload)?;
        if padding {
            self.put(&[0])?;
        }
        self.end(durable)
    }

    /// Appends bytes that belong together.
    fn append(&mut self, bytes: &[u8], durable: bool) -> Result<(), Self::Error> {
        self.begin(durable)?;
        self.put(bytes)?;
        self.end(durable)
    }
}

/// Why a chunk was not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError<E> {
    /// The output failed.
    #[error("the output failed")]
    Output(E),
    /// The file has no room for the chunk, but still for its index.
    #[error("an AVI file without OpenDML extensions ends at {limit} bytes")]
    FileFull {
        /// Bytes that the file may have.
        limit: u64,
    },
    /// The super index has no room for another RIFF.
    #[error("the file's index has no room for more than {riffs} RIFFs")]
    IndexFull {
        /// RIFFs that it has room for.
        riffs: usize,
    },
    /// A chunk has at most 1 GiB less the RIFF's head.
    #[error("a chunk of {size} bytes does not fit into an AVI file")]
    ChunkTooLarge {
        /// Bytes of the chunk.
        size: u64,
    },
}

impl<E> From<E> for WriteError<E> {
    fn from(error: E) -> Self {
        Self::Output(error)
    }
}

/// Whom the file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// Any player.
    #[default]
    Standard,
    /// MaixPy's player on the K210 as well.
    K210,
}

/// What kind of file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Whom the file is for.
    pub profile: Profile,
    /// OpenDML: more than one RIFF, and indexes at each checkpoint.
    pub big_file: bool,
    /// The output can overwrite.
    pub seekable: bool,
    /// Bytes of a RIFF, if there may be more than one.
    pub riff_limit: u64,
    /// Bytes of a file, if there may not.
    pub file_limit: u64,
}

impl Options {
    /// A file of any size in an output that can overwrite; for the K210, one below 2 GiB.
    pub fn new(profile: Profile) -> Self {
        Self {
            profile,
            big_file: true,
            seekable: true,
            riff_limit: 1 << 30,
            file_limit: k210::MAX_FILE,
        }
    }

    /// Whether the file has OpenDML indexes.
    fn indexed(&self) -> bool {
        self.big_file && self.seekable && self.profile == Profile::Standard
    }
}

/// What a stream has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamFormat {
    /// Motion JPEG, of a size in pixels.
    Video {
        /// In pixels, up to 32 767.
        width: u32,
        /// In pixels, up to 32 767.
        height: u32,
        /// Frames a second.
        rate: Rate,
    },
    /// Interleaved PCM.
    Audio(WaveFormat),
}

impl StreamFormat {
    /// Frames a second, of video.
    pub fn rate(&self) -> Option<Rate> {
        match self {
            Self::Video { rate, .. } => Some(*rate),
            Self::Audio(_) => None,
        }
    }
}

/// A stream of a file.
#[derive(Debug, Clone)]
struct Stream {
    format: StreamFormat,
    chunk_id: FourCc,
    /// Frames, or blocks of samples, in the file.
    length: u64,
    /// Bytes of payload of the largest chunk.
    largest: u32,
    /// Bytes in the file, chunk headers and padding included.
    bytes: u64,
    /// The most bytes of a second.
    busiest: u64,
    /// Bytes of the second that is being written.
    second: u64,
    /// The length at which the next second begins, and its number.
    next_second: (u64, u64),
}

impl Stream {
    fn new(format: StreamFormat, number: u8) -> Self {
        let chunk_id = match format {
            StreamFormat::Video { .. } => FourCc::video_chunk(number),
            StreamFormat::Audio(_) => FourCc::audio_chunk(number),
        };
        Self {
            format,
            chunk_id,
            length: 0,
            largest: 0,
            bytes: 0,
            busiest: 0,
            second: 0,
            next_second: (0, 0),
        }
    }

    /// Units a second, as `(rate, scale)`.
    fn rate(&self) -> (u32, u32) {
        match self.format {
            StreamFormat::Video { rate, .. } => (rate.numerator(), rate.denominator()),
            StreamFormat::Audio(format) => (format.samples_per_sec, 1),
        }
    }

    /// Units that chunks of so many bytes in all have.
    fn units(&self, chunks: u64, bytes: u64) -> u64 {
        match self.format {
            StreamFormat::Video { .. } => chunks,
            StreamFormat::Audio(format) => bytes / u64::from(format.block_align.max(1)),
        }
    }

    fn count(&mut self, size: u32) {
        if self.length >= self.next_second.0 {
            self.busiest = self.busiest.max(self.second);
            self.second = 0;
            let (rate, scale) = self.rate();
            let now = self.length * u64::from(scale) / u64::from(rate.max(1));
            let next = (now + 1) * u64::from(rate);
            self.next_second = (next.div_ceil(scale.into()), now + 1);
        }
        let bytes = ChunkHeader::SIZE as u64 + padded(size.into());
        self.bytes += bytes;
        self.second += bytes;
        self.largest = self.largest.max(size);
        self.length += self.units(1, size.into());
    }

    /// The most bytes a second, or their mean in what is shorter than one.
    fn max_bytes_per_sec(&self) -> u64 {
        let (rate, scale) = self.rate();
        let mean = match self.length * u64::from(scale) {
            0 => 0,
            length => u128::from(self.bytes) * u128::from(rate) / u128::from(length),
        };
        (mean as u64).max(self.busiest).max(self.second)
    }

    fn header(&self) -> StreamHeader {
        let (rate, scale) = self.rate();
        let header = StreamHeader {
            kind: FourCc::VIDS,
            handler: FourCc::MJPG,
            flags: 0,
            priority: 0,
            language: 0,
            initial_frames: 0,
            scale,
            rate,
            start: 0,
            length: clamp(self.length),
            suggested_buffer_size: padded(self.largest.into()) as u32,
            quality: u32::MAX,
            sample_size: 0,
            frame: [0; 4],
        };
        match self.format {
            StreamFormat::Video { width, height, .. } => StreamHeader {
                frame: [0, 0, width as i16, height as i16],
                ..header
            },
            StreamFormat::Audio(format) => StreamHeader {
                kind: FourCc::AUDS,
                handler: FourCc([0; 4]),
                sample_size: format.block_align.into(),
                ..header
            },
        }
    }
}

fn clamp(value: u64) -> u32 {
    value.try_into().unwrap_or(u32::MAX)
}

/// What the file's `INFO` list says. Empty texts are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags {
    /// `INAM`
    pub title: String,
    /// `IART`
    pub artist: String,
    /// `ICRD`, in the form of ISO 8601. A time of day in UTC that is known when the file begins is in the
    /// head as `IDIT` too.
    pub date: String,
    /// `ISFT`
    pub software: String,
    /// `ICMT`
    pub comment: String,
}

impl Tags {
    /// The whole list as UTF-8, without bytes if there is nothing to say.
    fn to_list(&self) -> Vec<u8> {
        let mut chunks = Vec::new();
        for (id, text) in [
            (FourCc::INAM, &self.title),
            (FourCc::IART, &self.artist),
            (FourCc::ICRD, &self.date),
            (FourCc::ISFT, &self.software),
            (FourCc::ICMT, &self.comment),
        ] {
            // A text ends at its first zero.
            let text = text.split('\0').next().unwrap_or_default();
            if !text.is_empty() {
                let size = text.len() + 1;
                chunks.extend(ChunkHeader::new(id, clamp(size as u64)).to_bytes());
                chunks.extend(text.as_bytes());
                chunks.resize(chunks.len() + 1 + size % 2, 0);
            }
        }
        if chunks.is_empty() {
            return chunks;
        }
        let list = ListHeader {
            id: FourCc::LIST,
            size: clamp(chunks.len() as u64 + 4),
            kind: FourCc::INFO,
        };
        let mut bytes = list.to_bytes().to_vec();
        bytes.extend(chunks);
        bytes
    }
}

/// An index of the RIFF being written, for all streams.
#[derive(Debug)]
struct Group {
    /// Checkpoints in it: [`FAN_OUT`] to the power of this.
    level: u32,
    /// Where it begins.
    start: Mark,
    /// What points to it, for each stream that has a chunk in it.
    entries: Vec<Option<SuperIndexEntry>>,
}

/// The RIFF being written.
#[derive(Debug)]
struct Riff {
    start: u64,
    /// Where the kind of its `movi` list is.
    movi: u64,
    /// Frames of the first video stream in it.
    frames: u64,
    log: ChunkLog,
    /// Where the log begins.
    first: Mark,
    /// Whether the log still has all chunks; an `idx1` is not written of a part.
    complete: bool,
    groups: Vec<Arc<Group>>,
    /// Up to where `groups` reach.
    indexed: Mark,
    /// The two as the head of the file has them.
    committed: (Vec<Arc<Group>>, Mark),
}

impl Riff {
    /// A RIFF that begins at `start` and whose first chunk will be at `end`.
    fn new(start: u64, end: u64, streams: usize) -> Self {
        let log = ChunkLog::new(streams, end);
        Self {
            start,
            movi: end - 4,
            frames: 0,
            groups: Vec::new(),
            indexed: log.end().clone(),
            committed: (Vec::new(), log.end().clone()),
            first: log.end().clone(),
            log,
            complete: true,
        }
    }
}

/// Writes one file. See the [module](self).
#[derive(Debug)]
pub struct Writer {
    options: Options,
    streams: Vec<Stream>,
    ids: Vec<FourCc>,
    /// The head as it is in the file.
    head: Vec<u8>,
    places: Places,
    /// Tags that the head cannot have.
    late_tags: Vec<u8>,
    /// Bytes in the file.
    end: u64,
    riff: Riff,
    /// Entries of each stream's super index for the RIFFs that are complete.
    closed: Vec<Vec<SuperIndexEntry>>,
    /// RIFFs that are complete.
    riffs: usize,
    /// Frames of the first video stream in the first RIFF, once that is complete.
    first_frames: Option<u64>,
    has_old_index: bool,
    /// The last so many streams are not in the head any more.
    left_out: usize,
}

impl Writer {
    /// A writer of a file with `formats`' streams, in that order; at most [`MAX_STREAMS`].
    pub fn new(options: Options, formats: &[StreamFormat], tags: &Tags) -> Self {
        let streams: Vec<_> = (0..MAX_STREAMS as u8)
            .zip(formats)
            .map(|(number, format)| Stream::new(*format, number))
            .collect();
        let (head, places) = lay_out(&options, &streams, tags);
        let end = head.len() as u64;
        let mut writer = Self {
            ids: streams.iter().map(|stream| stream.chunk_id).collect(),
            closed: vec![Vec::new(); streams.len()],
            riff: Riff::new(0, end, streams.len()),
            options,
            streams,
            head,
            places,
            late_tags: Vec::new(),
            end,
            riffs: 0,
            first_frames: None,
            has_old_index: false,
            left_out: 0,
        };
        if writer.hides_movi(&writer.head[..writer.places.movi]) {
            // A title such as "movie": the list goes behind the index.
            (writer.head, writer.places) =
                lay_out(&writer.options, &writer.streams, &Tags::default());
            writer.end = writer.head.len() as u64;
            writer.riff = Riff::new(0, writer.end, writer.streams.len());
            writer.late_tags = tags.to_list();
        }
        writer
    }

    /// Bytes in the file so far.
    pub fn len(&self) -> u64 {
        self.end
    }

    /// Whether no chunk is written yet.
    pub fn is_empty(&self) -> bool {
        self.streams.iter().all(|stream| stream.bytes == 0)
    }

    /// Whether checkpoints append indexes.
    pub fn is_indexed(&self) -> bool {
        self.options.indexed()
    }

    /// Frames, or blocks of samples, that a stream has so far.
    pub fn stream_length(&self, stream: usize) -> u64 {
        self.streams[stream].length
    }

    /// Has all frames of a video stream, those written too, at another rate. It gets into the file with the
    /// next checkpoint or the end. Whether that can be done: the head can be overwritten, and `stream` is
    /// video.
    pub fn set_rate(&mut self, stream: usize, new: Rate) -> bool {
        let seekable = self.options.seekable;
        match self
            .streams
            .get_mut(stream)
            .map(|stream| &mut stream.format)
        {
            Some(StreamFormat::Video { rate, .. }) if seekable => {
                *rate = new;
                true
            }
            _ => false,
        }
    }

    /// Has all samples of a sound stream, those written too, at another rate. It gets into the file as
    /// [`Writer::set_rate`] says. Whether that can be done: the head can be overwritten, and `stream` is sound.
    pub fn set_sample_rate(&mut self, stream: usize, new: u32) -> bool {
        let (Some(known), Some(place)) = (
            self.streams.get_mut(stream),
            self.places.streams.get(stream),
        ) else {
            return false;
        };
        let StreamFormat::Audio(format) = &mut known.format else {
            return false;
        };
        if !self.options.seekable {
            return false;
        }
        format.samples_per_sec = new;
        format.avg_bytes_per_sec = new.saturating_mul(format.block_align.into());
        let bytes = format_bytes(&known.format);
        let (at, room) = place.format;
        self.head[at..at + room].copy_from_slice(&bytes);
        true
    }

    /// Has a stream that has no chunk yet in another format, as what was awaited came. It gets into the file
    /// with the next checkpoint or the end. Whether that can be done: the head can be overwritten and has room,
    /// and the new format is of the same kind. Sound that may change is to be begun with a
    /// [channel mask](WaveFormat::channel_mask), which its format then has too.
    pub fn set_format(&mut self, stream: usize, mut format: StreamFormat) -> bool {
        let (Some(known), Some(place)) = (
            self.streams.get_mut(stream),
            self.places.streams.get(stream),
        ) else {
            return false;
        };
        match (&known.format, &mut format) {
            (StreamFormat::Video { .. }, StreamFormat::Video { .. }) => {}
            (StreamFormat::Audio(old), StreamFormat::Audio(new)) => {
                if old.channel_mask.is_some() {
                    new.channel_mask.get_or_insert(0);
                }
            }
            _ => return false,
        }
        let bytes = format_bytes(&format);
        let (at, room) = place.format;
        if known.bytes > 0 || bytes.len() != room || !self.options.seekable {
            return false;
        }
        known.format = format;
        self.head[at..at + room].copy_from_slice(&bytes);
        true
    }

    /// Takes the last stream out of the head, if it has no chunk; whether it did.
    pub fn leave_out_last(&mut self) -> bool {
        let last = self.streams.len().checked_sub(self.left_out + 1);
        let Some(last) = last.filter(|n| self.streams[*n].bytes == 0) else {
            return false;
        };
        if !self.options.seekable {
            return false;
        }
        self.left_out += 1;
        let list = self.places.streams[last].list;
        self.head[list..list + 4].copy_from_slice(&FourCc::JUNK.0);
        true
    }

    /// Bytes before the first chunk.
    pub fn head_len(&self) -> u64 {
        self.head.len() as u64
    }

    /// Writes the head. It comes first.
    pub fn start<O: Output>(&mut self, out: &mut O) -> Result<(), O::Error> {
        self.update_head(self.end);
        if !self.options.seekable {
            // The sizes stay unknown; readers then take all that comes.
            let unknown = u32::MAX.to_le_bytes();
            self.head[4..8].copy_from_slice(&unknown);
            let movi = self.places.movi;
            self.head[movi - 4..movi].copy_from_slice(&unknown);
        }
        out.append(&self.head, false)
    }

    /// Replaces the tags, while the file is written. They get into it with the next checkpoint or
    /// with the end; behind the index if the head has no room for them.
    pub fn set_tags(&mut self, tags: &Tags) {
        let mut list = tags.to_list();
        let (from, to) = self.places.tags;
        let fits = list.len() == to - from || list.len() + ChunkHeader::SIZE <= to - from;
        if !fits || !self.options.seekable || self.hides_movi(&list) {
            if self.head[from..to].starts_with(&list) {
                list.clear();
            }
            self.late_tags = list;
            return;
        }
        self.late_tags.clear();
        let (room, junk) = self.head[from..to].split_at_mut(list.len());
        room.copy_from_slice(&list);
        junk.fill(0);
        if !junk.is_empty() {
            let size = junk.len() - ChunkHeader::SIZE;
            let header = ChunkHeader::new(FourCc::JUNK, size as u32);
            junk[..ChunkHeader::SIZE].copy_from_slice(&header.to_bytes());
        }
        if let Some(reserve) = &mut self.places.reserve {
            *reserve = (from + list.len(), junk.len());
        }
    }

    /// Whether the K210 would take bytes before `movi` for that.
    fn hides_movi(&self, bytes: &[u8]) -> bool {
        self.options.profile == Profile::K210
            && bytes
                .windows(k210::FORBIDDEN_IN_HEADER.len())
                .any(|bytes| bytes == k210::FORBIDDEN_IN_HEADER)
    }

    /// Writes a chunk of `size` bytes for a stream.
    ///
    /// A chunk of a video stream is a frame and may be empty, one of an audio stream any number
    /// of blocks. After an error that is not the output's the file can still be finished.
    pub fn chunk<O: Output>(
        &mut self,
        stream: usize,
        size: usize,
        payload: O::Payload,
        durable: bool,
        out: &mut O,
    ) -> Result<(), WriteError<O::Error>> {
        let bytes = ChunkHeader::SIZE as u64 + padded(size as u64);
        self.make_room(bytes, out)?;
        let size = size as u32;
        let header = ChunkHeader::new(self.ids[stream], size);
        out.chunk(header.to_bytes(), payload, size % 2 == 1, durable)?;
        if self.riff.complete {
            self.riff.log.push(stream, size);
        }
        self.end += bytes;
        self.streams[stream].count(size);
        if self.first_video() == Some(stream) {
            self.riff.frames += 1;
        }
        Ok(())
    }

    fn first_video(&self) -> Option<usize> {
        let is_video = |stream: &Stream| matches!(stream.format, StreamFormat::Video { .. });
        self.streams.iter().position(is_video)
    }

    /// Bytes that the file will have once it is finished, with another chunk of `size` bytes in it.
    pub fn finished_len(&self, size: usize) -> u64 {
        self.end + ChunkHeader::SIZE as u64 + padded(size as u64) + self.closing_bytes()
    }

    /// Bytes that it takes to close the RIFF, with another chunk in it.
    fn closing_bytes(&self) -> u64 {
        let chunks = self.riff.log.len() + 1;
        let mut bytes = self.late_tags.len() as u64;
        if self.options.indexed() {
            // At the end an index of all chunks is written, maybe right after a checkpoint's that is as large.
            bytes += 2 * (8 * chunks + 32 * self.streams.len() as u64);
        }
        if self.riffs == 0 {
            bytes += 8 + OldIndexEntry::SIZE as u64 * chunks;
        }
        bytes
    }

    /// Sees to it that `bytes` fit into the current RIFF.
    fn make_room<O: Output>(
        &mut self,
        bytes: u64,
        out: &mut O,
    ) -> Result<(), WriteError<O::Error>> {
        let limit = if self.options.indexed() {
            self.options.riff_limit
        } else {
            self.options.file_limit
        };
        if bytes > limit {
            return Err(WriteError::ChunkTooLarge { size: bytes });
        }
        if self.end - self.riff.start + bytes + self.closing_bytes() <= limit {
            return Ok(());
        }
        if !self.options.seekable && self.options.big_file {
            // A stream has no end: without an index, it may be of any length.
            self.riff.complete = false;
            self.riff.log = ChunkLog::new(self.streams.len(), self.end);
            return Ok(());
        }
        if !self.options.indexed() {
            return Err(WriteError::FileFull { limit });
        }
        // One entry for the RIFF, and the levels of the next one.
        if self.closed.iter().map(Vec::len).max() >= Some(SUPER_ENTRIES - 8 * FAN_OUT) {
            return Err(WriteError::IndexFull { riffs: self.riffs });
        }
        if self.riff.log.len() == 0 {
            return Err(WriteError::ChunkTooLarge { size: bytes });
        }
        self.close_riff(out)?;
        self.open_riff(out)?;
        Ok(())
    }

    /// Brings the file up to date.
    pub fn checkpoint<O: Output>(&mut self, durable: bool, out: &mut O) -> Result<(), O::Error> {
        if !self.options.seekable {
            return Ok(());
        }
        if self.options.indexed() && self.riff.log.end().position > self.riff.indexed.position {
            // Count how many of the last groups the new one replaces, level by level.
            let groups = &self.riff.groups;
            let (mut level, mut kept) = (0, groups.len());
            while kept >= FAN_OUT - 1
                && groups[kept + 1 - FAN_OUT..kept]
                    .iter()
                    .all(|group| group.level == level)
            {
                kept -= FAN_OUT - 1;
                level += 1;
            }
            self.index_from(kept, level, durable, out)?;
        }
        self.patch(out)
    }

    /// Appends an index of all chunks since the group `kept`, which takes its place.
    fn index_from<O: Output>(
        &mut self,
        kept: usize,
        level: u32,
        durable: bool,
        out: &mut O,
    ) -> Result<(), O::Error> {
        let start = match self.riff.groups.get(kept) {
            Some(group) => group.start.clone(),
            None => self.riff.indexed.clone(),
        };
        let indexes = StandardIndexes::new(&self.riff.log, &start, &self.ids);
        let entries = entries_of(&indexes, &self.streams, self.end);
        let size = indexes.size();
        let mut pieces = Pieces::new(out, size);
        indexes.write(|bytes| pieces.put(bytes))?;
        pieces.finish(durable)?;
        let len = size as u64;
        self.end += len;
        self.riff.log.skip(len);
        self.riff.indexed = self.riff.log.end().clone();
        self.riff.groups.truncate(kept);
        self.riff.groups.push(Arc::new(Group {
            level,
            start,
            entries,
        }));
        Ok(())
    }

    /// Indexes the RIFF as one piece, and puts its sizes in.
    fn close_riff<O: Output>(&mut self, out: &mut O) -> Result<(), O::Error> {
        let ends_indexed = self.riff.log.end().position == self.riff.indexed.position;
        if self.options.indexed()
            && self.riff.log.len() > 0
            && !(ends_indexed && self.riff.groups.len() == 1)
        {
            self.index_from(0, 0, false, out)?;
        }
        let movi_end = self.end;
        if self.riffs == 0 && self.riff.complete {
            self.write_old_index(out)?;
            if !self.late_tags.is_empty() {
                let tags = std::mem::take(&mut self.late_tags);
                self.end += tags.len() as u64;
                out.append(&tags, false)?;
            }
        }
        if self.options.seekable {
            self.patch_to(movi_end, out)?;
        }
        Ok(())
    }

    fn write_old_index<O: Output>(&mut self, out: &mut O) -> Result<(), O::Error> {
        let size = self.riff.log.len() * OldIndexEntry::SIZE as u64;
        let len = ChunkHeader::SIZE as u64 + size;
        self.end += len;
        let mut pieces = Pieces::new(out, len as usize);
        pieces.put(&ChunkHeader::new(FourCc::IDX1, clamp(size)).to_bytes())?;
        for chunk in self.riff.log.since(&self.riff.first) {
            pieces.put(&old_index_entry(chunk, self.riff.movi, &self.ids).to_bytes())?;
        }
        pieces.finish(false)?;
        self.has_old_index = true;
        Ok(())
    }

    /// Begins the next RIFF; the last one is closed.
    fn open_riff<O: Output>(&mut self, out: &mut O) -> Result<(), O::Error> {
        for (stream, closed) in self.closed.iter_mut().enumerate() {
            closed.extend(
                self.riff
                    .groups
                    .iter()
                    .filter_map(|group| group.entries[stream]),
            );
        }
        self.first_frames.get_or_insert(self.riff.frames);
        self.riffs += 1;
        let start = self.end;
        let bytes = riff_head(FourCc::AVIX, 0);
        self.end += bytes.len() as u64;
        self.riff = Riff::new(start, self.end, self.streams.len());
        out.append(&bytes, false)
    }

    /// Writes the end of the file and brings its head up to date.
    pub fn finish<O: Output>(&mut self, out: &mut O) -> Result<(), O::Error> {
        self.close_riff(out)
    }

    /// Brings the head of a file up to date that cannot grow any more, since the output failed.
    ///
    /// `on_disk` is the number of bytes that the file certainly has. Chunks that are not all there
    /// are given up, the others indexed in the space that is kept for this.
    pub fn salvage<O: Output>(&mut self, on_disk: u64, out: &mut O) -> Result<(), O::Error> {
        if !self.options.seekable || !self.riff.complete {
            return Ok(());
        }
        if on_disk < self.riff.movi + 4 {
            // The RIFF was hardly begun; those before it are complete.
            return Ok(());
        }
        // Indexes that were appended since may not be there either.
        let (groups, tail) = self.riff.committed.clone();
        self.riff.groups = groups;
        self.riff.indexed = tail.clone();
        self.give_up_chunks_past(on_disk, tail.clone());
        if let Some((reserve, room)) = self.places.reserve
            && self.end > tail.position
        {
            let indexes = StandardIndexes::new(&self.riff.log, &tail, &self.ids);
            let size = indexes.size();
            // What is left of the reserve is junk again.
            if size + ChunkHeader::SIZE <= room {
                let entries = entries_of(&indexes, &self.streams, reserve as u64);
                let mut bytes = Vec::with_capacity(size + ChunkHeader::SIZE);
                indexes.write(|part| -> Result<(), O::Error> {
                    bytes.extend(part);
                    Ok(())
                })?;
                let left = room - size - ChunkHeader::SIZE;
                bytes.extend(ChunkHeader::new(FourCc::JUNK, left as u32).to_bytes());
                out.overwrite(reserve as u64, &bytes)?;
                self.head[reserve..reserve + bytes.len()].copy_from_slice(&bytes);
                self.riff.groups.push(Arc::new(Group {
                    level: 0,
                    start: tail,
                    entries,
                }));
                self.riff.indexed = self.riff.log.end().clone();
            }
        }
        self.patch(out)?;
        if !self.options.indexed() && on_disk >= self.end + ChunkHeader::SIZE as u64 {
            // What is left of a chunk must not look like one: the K210 would play it.
            let left = on_disk - self.end - ChunkHeader::SIZE as u64;
            let junk = ChunkHeader::new(FourCc::JUNK, clamp(left));
            out.overwrite(self.end, &junk.to_bytes())?;
        }
        Ok(())
    }

    /// Forgets the chunks after `mark` that do not end before `on_disk`.
    fn give_up_chunks_past(&mut self, on_disk: u64, mark: Mark) {
        let mut chunks = self.riff.log.since(&mark);
        let mut kept = mark;
        while chunks.next().is_some_and(|chunk| chunk.end() <= on_disk) {
            kept = chunks.mark().clone();
        }
        let lost: Vec<_> = self.riff.log.since(&kept).collect();
        for chunk in &lost {
            let stream = &mut self.streams[chunk.stream];
            stream.length -= stream.units(1, chunk.size.into());
            stream.bytes -= chunk.end() - chunk.position;
            if self.first_video() == Some(chunk.stream) {
                self.riff.frames -= 1;
            }
        }
        self.end = kept.position;
        self.riff.log.truncate(kept, lost.len() as u64);
    }

    fn patch<O: Output>(&mut self, out: &mut O) -> Result<(), O::Error> {
        self.patch_to(self.end, out)
    }

    /// Brings the heads of the file and of the current RIFF up to date, whose `movi` list ends at
    /// `movi_end`.
    fn patch_to<O: Output>(&mut self, movi_end: u64, out: &mut O) -> Result<(), O::Error> {
        if self.riffs > 0 {
            let size = self.end - self.riff.start;
            let mut head = riff_head(FourCc::AVIX, clamp(size - 8));
            let movi = clamp(movi_end - self.riff.movi);
            head[16..20].copy_from_slice(&movi.to_le_bytes());
            out.overwrite(self.riff.start, &head)?;
        }
        self.update_head(movi_end);
        // All but `RIFF` itself.
        out.overwrite(4, &self.head[4..])?;
        self.riff.committed = (self.riff.groups.clone(), self.riff.indexed.clone());
        Ok(())
    }

    /// Puts all that is known now into the head.
    fn update_head(&mut self, movi_end: u64) {
        let mut head = std::mem::take(&mut self.head);
        let mut put = |at: usize, bytes: &[u8]| head[at..at + bytes.len()].copy_from_slice(bytes);
        let indexed = self.options.indexed();
        if self.riffs == 0 {
            put(4, &clamp(self.end - 8).to_le_bytes());
            let movi = self.places.movi;
            put(movi - 4, &clamp(movi_end - self.riff.movi).to_le_bytes());
        }
        let streams = self.streams.len() - self.left_out;
        let mut main = MainHeader {
            flags: MainHeader::TRUST_CHUNK_TYPE,
            streams: streams as u32,
            total_frames: clamp(self.first_frames.unwrap_or(self.riff.frames)),
            ..MainHeader::default()
        };
        if self.has_old_index {
            main.flags |= MainHeader::HAS_INDEX;
        }
        if streams > 1 {
            main.flags |= MainHeader::IS_INTERLEAVED;
        }
        let mut bytes_per_sec = 0;
        let all = self.streams.iter().zip(&self.places.streams);
        for (number, (stream, place)) in all.enumerate().take(streams) {
            let header = stream.header();
            put(place.header, &header.to_bytes());
            bytes_per_sec += stream.max_bytes_per_sec();
            if stream.largest > 0 {
                // The largest chunk, with its header.
                main.suggested_buffer_size = main
                    .suggested_buffer_size
                    .max(header.suggested_buffer_size + ChunkHeader::SIZE as u32);
            }
            if let StreamFormat::Video {
                width,
                height,
                rate,
            } = stream.format
                && main.width == 0
            {
                main.micro_sec_per_frame = rate.micro_sec();
                (main.width, main.height) = (width, height);
            }
            let Some(at) = place.super_index else {
                continue;
            };
            let groups = self
                .riff
                .groups
                .iter()
                .filter_map(|group| group.entries[number]);
            let all = self.closed[number].iter().copied().chain(groups);
            let first = at + ChunkHeader::SIZE + SuperIndex::SIZE;
            let mut entries = 0;
            for entry in all.take(SUPER_ENTRIES) {
                put(first + entries * SuperIndexEntry::SIZE, &entry.to_bytes());
                entries += 1;
            }
            // Clear the entries that a larger index has replaced.
            let unused = (SUPER_ENTRIES - entries) * SuperIndexEntry::SIZE;
            put(
                first + entries * SuperIndexEntry::SIZE,
                &[0; SUPER_ENTRIES * SuperIndexEntry::SIZE][..unused],
            );
            let index = SuperIndex {
                entries: entries as u32,
                chunk_id: stream.chunk_id,
            };
            if entries > 0 {
                put(at, &FourCc::INDX.0);
                put(at + ChunkHeader::SIZE, &index.to_bytes());
            }
        }
        main.max_bytes_per_sec = clamp(bytes_per_sec);
        put(self.places.main, &main.to_bytes());
        if let (Some(at), true) = (self.places.extended, indexed) {
            let frames = self
                .first_video()
                .map_or(0, |video| self.streams[video].length);
            let extended = ExtendedHeader {
                total_frames: clamp(frames),
            };
            put(at, &extended.to_bytes());
        }
        self.head = head;
    }
}

/// What points to standard indexes, the first of which is at `position`.
fn entries_of(
    indexes: &StandardIndexes<'_>,
    streams: &[Stream],
    position: u64,
) -> Vec<Option<SuperIndexEntry>> {
    let mut next = position;
    let entry = |(stream, indexed): (&Stream, &Indexed)| {
        let (offset, size) = (next, indexed.index_size());
        next += size as u64;
        (size > 0).then(|| SuperIndexEntry {
            offset,
            size: size as u32,
            duration: clamp(stream.units(indexed.chunks.into(), indexed.payload)),
        })
    };
    streams.iter().zip(&indexes.streams).map(entry).collect()
}

/// An index that is appended in pieces of at most [`INDEX_PIECE`].
struct Pieces<'a, O> {
    out: &'a mut O,
    piece: Vec<u8>,
}

impl<'a, O: Output> Pieces<'a, O> {
    /// For an index of `size` bytes.
    fn new(out: &'a mut O, size: usize) -> Self {
        Self {
            out,
            piece: Vec::with_capacity(size.min(INDEX_PIECE)),
        }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), O::Error> {
        if self.piece.len() + bytes.len() > INDEX_PIECE {
            self.out.append(&self.piece, false)?;
            self.piece.clear();
        }
        self.piece.extend(bytes);
        Ok(())
    }

    fn finish(self, durable: bool) -> Result<(), O::Error> {
        self.out.append(&self.piece, durable)
    }
}

/// The head of a RIFF after the first, up to the kind of its `movi` list.
fn riff_head(kind: FourCc, size: u32) -> Vec<u8> {
    let riff = ListHeader {
        id: FourCc::RIFF,
        size,
        kind,
    };
    let movi = ListHeader {
        id: FourCc::LIST,
        size: 4,
        kind: FourCc::MOVI,
    };
    [riff.to_bytes(), movi.to_bytes()].concat()
}
