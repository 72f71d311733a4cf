// SPDX-License-Identifier: MIT OR Apache-2.0
//! One file: what is done with buffers whose turn has come.
//!
//! A session belongs to whichever thread is writing; no lock is held while it pushes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use gst::prelude::*;

use super::Profile;
use super::imp::CAT;
use super::output::PadOutput;
use super::pace::Pace;
use super::space::Space;
use avi_mjpeg::header::WaveFormat;
use avi_mjpeg::huffman;
use avi_mjpeg::jpeg::FrameHeader;
use avi_mjpeg::k210;
use avi_mjpeg::picojpeg::Refusal;
use avi_mjpeg::timeline::{FrameGrid, Placement, Rate, SampleClock};
use avi_mjpeg::writer::{self, Options, StreamFormat, Tags, WriteError, Writer};

/// How long to wait before the disk is asked again to write everything.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// How often there is a checkpoint: one every 2 ms takes a seventh of a copy's CPU time.
const CHECKPOINT_PACE: Duration = Duration::from_millis(40);

/// Bytes between two of those beyond which nothing is being recorded, but copied faster than
/// disks write; then it is left to the system when to write.
const SYNC_BYTES: u64 = 16 << 20;

/// A jump in the timestamps that cannot be a gap in a recording: a day.
const LONGEST_GAP: u64 = 24 * 3600 * 1_000_000_000;

/// How far sound may be ahead of the frames in the K210's profile, where it waits for them, in
/// nanoseconds (three frames at least).
const SOUND_AHEAD: u64 = 10_000_000_000;

/// Bytes of silence in one chunk.
const SILENCE_CHUNK: usize = 64 * 1024;

/// What was written so far.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Stats {
    /// Frames in the file that came in.
    pub frames: u64,
    /// Frames that are in the file twice or more, to fill a gap.
    pub repeated: u64,
    /// Frames that are empty chunks, to fill a gap.
    pub missing: u64,
    /// Frames that came in and are not in the file.
    pub dropped: u64,
    /// Samples of silence, to fill a gap.
    pub silence: u64,
    /// Samples that came in and are not in the file.
    pub skipped: u64,
    /// Bytes in the file.
    pub bytes: u64,
    pub checkpoints: u64,
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    /// Downstream refused something; whoever did has posted why.
    #[error("downstream: {0}")]
    Flow(gst::FlowError),
    #[error("{0}")]
    Full(String),
    #[error(
        "There is no space left for the file: it was finished at {0} bytes. Make room, or record \
         on elsewhere."
    )]
    NoSpace(u64),
    #[error("Frame {number} cannot be in a file for the K210: {error}.")]
    Frame {
        number: u64,
        error: k210::FrameError,
    },
    #[error("{0}")]
    Format(String),
}

impl From<WriteError<gst::FlowError>> for SessionError {
    fn from(error: WriteError<gst::FlowError>) -> Self {
        match error {
            WriteError::Output(flow) => Self::Flow(flow),
            WriteError::FileFull { limit } => Self::Full(format!(
                "The file is full: without OpenDML extensions an AVI file ends at {limit} bytes. \
                 It was finished; record on into another file, with splitmuxsink for example, or \
                 set big-file to true."
            )),
            error => Self::Full(format!(
                "The file is full: {error}. It was finished; record on into another file, with \
                 splitmuxsink for example."
            )),
        }
    }
}

impl From<gst::FlowError> for SessionError {
    fn from(flow: gst::FlowError) -> Self {
        Self::Flow(flow)
    }
}

/// What a stream has besides its chunks.
#[derive(Debug)]
enum Track {
    Video {
        grid: FrameGrid,
        width: u32,
        height: u32,
        /// To repeat, in the K210's profile.
        last: Option<gst::Buffer>,
    },
    Audio {
        clock: SampleClock,
        format: WaveFormat,
        /// In the K210's profile, bytes of each chunk and what waits for one to be full.
        chunk: Option<usize>,
        pending: VecDeque<gst::Buffer>,
        pending_bytes: usize,
    },
}

impl Track {
    /// Bytes of sound that wait for a chunk to be full.
    fn pending_bytes(&self) -> usize {
        match self {
            Self::Audio { pending_bytes, .. } => *pending_bytes,
            Self::Video { .. } => 0,
        }
    }
}

/// A file being written.
#[derive(Debug)]
pub(super) struct Session {
    element: super::AviMjpegMux,
    profile: Profile,
    output: PadOutput,
    writer: Writer,
    tracks: Vec<Track>,
    /// The running time of the file's start.
    base: i64,
    checkpoint_interval: u64,
    /// In nanoseconds since the start of the file.
    next_checkpoint: u64,
    /// Of checkpoints: files are copied at thousands of seconds of stream time in a second.
    pace: Pace,
    /// When the disk was last asked, or would have been, and the bytes there were.
    last_sync: (Instant, u64),
    /// Frames did not come at their interval, which was told.
    warned: bool,
    /// No frame comes, which was told.
    stalled: bool,
    /// A frame was damaged, which was told.
    told_of_damage: bool,
    /// Damaged frames since the last one that was not.
    damaged: u64,
    /// `None` if it is not known.
    space: Option<Space>,
    /// What is written now is what `space` was kept for.
    finishing: bool,
    pub stats: Stats,
}

/// What a session is started with.
#[derive(Debug)]
pub(super) struct Start {
    pub element: super::AviMjpegMux,
    pub pad: gst::Pad,
    pub profile: Profile,
    pub big_file: bool,
    pub checkpoint_interval: u64,
    pub tags: Tags,
    pub formats: Vec<StreamFormat>,
    /// The running time of each stream's first buffer, if it is known.
    pub first: Vec<Option<i64>>,
    /// The pads that the file is without.
    pub left_out: Vec<gst::Pad>,
}

impl Session {
    /// Tells downstream what comes, and writes the head of the file.
    pub fn start(start: Start) -> Result<Self, SessionError> {
        for pad in &start.left_out {
            gst::element_warning!(
                start.element,
                gst::StreamError::Mux,
                (
                    "Pad {} had nothing to say what it has; the file is without it.",
                    pad.name()
                )
            );
        }
        // Made of several streams, it is none of them.
        let stream_id = format!("avimjpegmux-{:08x}", gst::glib::random_int());
        start.pad.push_event(
            gst::event::StreamStart::builder(&stream_id)
                .group_id(gst::GroupId::next())
                .build(),
        );
        start
            .pad
            .push_event(gst::event::Caps::new(&start.pad.pad_template_caps()));
        let segment = gst::FormattedSegment::<gst::format::Bytes>::new();
        start.pad.push_event(gst::event::Segment::new(&segment));

        let mut query = gst::query::Seeking::new(gst::Format::Bytes);
        let seekable = start.pad.peer_query(&mut query) && query.result().0;
        gst::debug!(
            CAT,
            obj = start.element,
            "downstream is seekable: {seekable}"
        );
        let mut options = Options::new(match start.profile {
            Profile::Standard => writer::Profile::Standard,
            Profile::K210 => writer::Profile::K210,
        });
        options.big_file = start.big_file;
        options.seekable = seekable;

        // The grid of the first video stream begins with its first frame, whatever
        // else begins before.
        let video_rate = start.formats.iter().find_map(|format| match format {
            StreamFormat::Video { rate, .. } => Some(*rate),
            StreamFormat::Audio(_) => None,
        });
        let is_video = |format: &&StreamFormat| matches!(format, StreamFormat::Video { .. });
        let earliest = start.first.iter().flatten().min().copied();
        let first_frame = start
            .formats
            .iter()
            .zip(&start.first)
            .find(|(format, _)| is_video(format))
            .and_then(|(_, first)| *first);
        let base = match (earliest, first_frame, video_rate) {
            (Some(earliest), Some(frame), Some(rate)) => {
                let before = rate.covering(frame.saturating_sub(earliest).unsigned_abs());
                frame.saturating_sub_unsigned(rate.time_of(before))
            }
            (earliest, ..) => earliest.unwrap_or(0),
        };

        let tracks = start
            .formats
            .iter()
            .map(|format| match *format {
                StreamFormat::Video {
                    width,
                    height,
                    rate,
                } => Track::Video {
                    grid: FrameGrid::new(rate),
                    width,
                    height,
                    last: None,
                },
                StreamFormat::Audio(format) => Track::Audio {
                    // Caps have a rate of 8000 at least.
                    clock: SampleClock::new(
                        Rate::new(format.samples_per_sec.max(1), 1).unwrap_or(Rate::ONE),
                        sound_tolerance(video_rate),
                    ),
                    format,
                    chunk: match (start.profile, video_rate) {
                        (Profile::K210, Some(rate)) => {
                            Some(k210::sound_chunk(rate, &format) as usize)
                        }
                        _ => None,
                    },
                    pending: VecDeque::new(),
                    pending_bytes: 0,
                },
            })
            .collect();
        let mut session = Self {
            element: start.element,
            profile: start.profile,
            output: PadOutput::new(start.pad, seekable),
            writer: Writer::new(options, &start.formats, &start.tags),
            tracks,
            base,
            checkpoint_interval: if seekable {
                start.checkpoint_interval
            } else {
                0
            },
            next_checkpoint: start.checkpoint_interval,
            pace: Pace::new(CHECKPOINT_PACE),
            last_sync: (Instant::now(), 0),
            warned: false,
            stalled: false,
            told_of_damage: false,
            damaged: 0,
            space: None,
            finishing: false,
            stats: Stats::default(),
        };
        session.space = session
            .output
            .path()
            .and_then(|path| Space::of(&path, session.output.is_written_at_once()));
        session.writer.start(&mut session.output)?;
        session.stats.bytes = session.writer.len();
        Ok(session)
    }

    /// Writes a buffer of a stream, whose running time may not be known.
    pub fn buffer(
        &mut self,
        stream: usize,
        buffer: gst::Buffer,
        running_time: Option<i64>,
    ) -> Result<(), SessionError> {
        let time = running_time.map(|time| time.saturating_sub(self.base));
        let result = match self.tracks[stream] {
            Track::Video { .. } => self.frame(stream, buffer, time),
            Track::Audio { .. } => self.samples(stream, buffer, time),
        };
        self.stats.bytes = self.writer.len();
        result
    }

    /// Has other tags in the file.
    pub fn set_tags(&mut self, tags: &Tags) {
        self.writer.set_tags(tags);
    }

    /// Passes an event on in its turn.
    pub fn event(&mut self, event: gst::Event) -> Result<(), SessionError> {
        Ok(self.output.event(event)?)
    }

    fn frame(
        &mut self,
        stream: usize,
        mut buffer: gst::Buffer,
        time: Option<i64>,
    ) -> Result<(), SessionError> {
        if self.profile == Profile::K210 {
            buffer = with_tables(buffer);
            if self.is_damaged(stream, &buffer)? {
                self.stats.dropped += 1;
                self.damaged += 1;
                return Ok(());
            }
        }
        let damaged = std::mem::take(&mut self.damaged);
        let Track::Video { grid, last, .. } = &mut self.tracks[stream] else {
            return Ok(());
        };
        let was_empty = grid.is_empty();
        let expected = grid.next_time();
        let time = time.unwrap_or(expected as i64);
        if time.saturating_sub_unsigned(expected) > LONGEST_GAP as i64 {
            return Err(SessionError::Format(format!(
                "The timestamps of stream {stream} jump ahead by {} seconds, which cannot be a \
                 gap; look at where they come from.",
                (time as u64 - expected) / 1_000_000_000
            )));
        }
        let Placement::Next { missing } = grid.place(time) else {
            self.stats.dropped += 1;
            gst::debug!(
                CAT,
                obj = self.element,
                "dropping a frame too many: {buffer:?}"
            );
            self.warn_of_rate();
            return Ok(());
        };
        let filler = if self.profile == Profile::K210 {
            // What comes before the first frame can only be the first frame.
            let filler = last.replace(buffer.clone());
            Some(filler.unwrap_or_else(|| buffer.clone()))
        } else {
            None
        };
        for n in 0..missing {
            // Before the first frame, sound begins as if that were written already.
            let place = if was_empty {
                n
            } else {
                self.writer.stream_length(stream)
            };
            self.sound_before_frame(stream, place)?;
            let size = filler.as_ref().map_or(0, |frame| frame.size());
            self.write(stream, size, filler.clone())?;
            if filler.is_some() {
                self.stats.repeated += 1;
            } else {
                self.stats.missing += 1;
            }
        }
        if missing > damaged && filler.is_some() {
            self.warn_of_rate();
        }
        self.sound_before_frame(stream, self.writer.stream_length(stream))?;
        self.stats.frames += 1;
        self.stalled = false;
        let size = buffer.size();
        self.write(stream, size, Some(buffer))?;
        self.full_sound_chunks(false)
    }

    fn rate_of(&self, stream: usize) -> Rate {
        match &self.tracks[stream] {
            Track::Video { grid, .. } => grid.rate(),
            Track::Audio { .. } => Rate::ONE,
        }
    }

    /// Whether a frame is one that the K210 would play, were it whole. One that it would not play is an
    /// error.
    fn is_damaged(&mut self, stream: usize, buffer: &gst::Buffer) -> Result<bool, SessionError> {
        let Track::Video { width, height, .. } = self.tracks[stream] else {
            return Ok(false);
        };
        let number = self.stats.frames + self.stats.dropped;
        let refuse = |error| SessionError::Frame { number, error };
        let size = buffer.size().try_into().unwrap_or(u32::MAX);
        let has_sound = self
            .tracks
            .iter()
            .any(|track| matches!(track, Track::Audio { .. }));
        if size > k210::MAX_FRAME {
            return Err(refuse(k210::FrameError::TooLarge {
                size,
                limit: k210::MAX_FRAME,
            }));
        }
        let limit = k210::max_first_frame(self.writer.head_len());
        if self.writer.is_empty() && has_sound && size > limit {
            return Err(refuse(k210::FrameError::FirstTooLarge { size, limit }));
        }
        let map = buffer
            .map_readable()
            .map_err(|_| SessionError::Format(format!("Frame {number} cannot be read.")))?;
        match k210::check_frame(&map, width, height) {
            Ok(()) => Ok(false),
            Err(k210::FrameError::NotDecodable(damage @ Refusal::Damaged { .. })) => {
                gst::debug!(CAT, obj = self.element, "frame {number}: {damage}");
                if !std::mem::replace(&mut self.told_of_damage, true) {
                    gst::element_warning!(
                        self.element,
                        gst::StreamError::Decode,
                        ("Frame {number} is left out, as it would end playback on a K210: \
                             {damage}. The last one is repeated; the stats property counts \
                             those dropped.")
                    );
                }
                Ok(true)
            }
            Err(error) => Err(refuse(error)),
        }
    }

    /// Warns once of frames that were not there, or too many.
    fn warn_of_rate(&mut self) {
        if self.profile == Profile::K210 && !self.warned {
            self.warned = true;
            gst::element_warning!(
                self.element,
                gst::StreamError::Mux,
                ("Frames do not come at the interval that the caps say; to keep the time, \
                     missing ones are repeated and those too many dropped. The stats \
                     property counts them.")
            );
        }
    }

    fn samples(
        &mut self,
        stream: usize,
        buffer: gst::Buffer,
        time: Option<i64>,
    ) -> Result<(), SessionError> {
        let Track::Audio { clock, format, .. } = &mut self.tracks[stream] else {
            return Ok(());
        };
        let block = usize::from(format.block_align.max(1));
        let samples = buffer.size() / block;
        let expected = clock.next_time();
        if time.is_some_and(|t| t.saturating_sub_unsigned(expected) > LONGEST_GAP as i64) {
            return Err(SessionError::Format(format!(
                "The timestamps of stream {stream} jump ahead by more than a day, which cannot \
                 be a gap; look at where they come from."
            )));
        }
        let alignment = clock.place(time, samples as u64);
        self.stats.silence += alignment.silence;
        self.stats.skipped += alignment.skip;
        self.silence(stream, alignment.silence)?;
        let skip = alignment.skip as usize * block;
        let whole = samples * block;
        if skip >= whole {
            return Ok(());
        }
        let buffer = if skip > 0 || whole < buffer.size() {
            buffer
                .copy_region(gst::BufferCopyFlags::MEMORY, skip..whole)
                .map_err(|_| gst::FlowError::Error)?
        } else {
            buffer
        };
        self.sound(stream, buffer)
    }

    /// Writes so many samples of silence.
    fn silence(&mut self, stream: usize, samples: u64) -> Result<(), SessionError> {
        let Track::Audio { format, .. } = &self.tracks[stream] else {
            return Ok(());
        };
        // 8 bits are unsigned.
        let zero = if format.bits_per_sample == 8 { 0x80 } else { 0 };
        let block = u64::from(format.block_align.max(1));
        let piece = SILENCE_CHUNK / block as usize * block as usize;
        let mut left = samples * block;
        while left > 0 {
            let size = left.min(piece as u64) as usize;
            self.sound(stream, gst::Buffer::from_slice(vec![zero; size]))?;
            left -= size as u64;
        }
        Ok(())
    }

    /// Writes sound, or keeps it until a chunk is full.
    fn sound(&mut self, stream: usize, buffer: gst::Buffer) -> Result<(), SessionError> {
        let Track::Audio {
            chunk,
            pending,
            pending_bytes,
            ..
        } = &mut self.tracks[stream]
        else {
            return Ok(());
        };
        if chunk.is_some() {
            *pending_bytes += buffer.size();
            pending.push_back(buffer);
            self.full_sound_chunks(false)?;
            return self.frames_for_sound(stream);
        }
        let size = buffer.size();
        self.write(stream, size, Some(buffer))
    }

    /// In the K210's profile, sees to it that the sound of the time before a frame is in the file
    /// or made up for: the player has little of it in stock.
    fn sound_before_frame(&mut self, video: usize, place: u64) -> Result<(), SessionError> {
        if self.profile != Profile::K210 || self.writer.stream_length(video) == 0 {
            return Ok(());
        }
        let rate = self.rate_of(video);
        let (shown_at, interval) = (rate.time_of(place), rate.time_of(1));
        for stream in 0..self.tracks.len() {
            let Track::Audio {
                clock,
                format,
                chunk: Some(chunk),
                ..
            } = &mut self.tracks[stream]
            else {
                continue;
            };
            // Sound may be an interval late, but its first chunk follows the first frame.
            let mut least = clock.rate().nearest(shown_at.saturating_sub(interval));
            if self.writer.stream_length(stream) == 0 {
                least = least.max(*chunk as u64 / u64::from(format.block_align.max(1)));
            }
            let silence = least.saturating_sub(clock.len());
            clock.fill(silence);
            self.stats.silence += silence;
            self.silence(stream, silence)?;
        }
        self.full_sound_chunks(false)
    }

    /// In the K210's profile sound waits for the frames that it is heard with. If none comes for
    /// long the last one is repeated, or what waits would grow without end.
    fn frames_for_sound(&mut self, sound: usize) -> Result<(), SessionError> {
        let (Some(video), Track::Audio { clock, .. }) = (self.video(), &self.tracks[sound]) else {
            return Ok(());
        };
        let (heard_until, rate) = (clock.next_time(), self.rate_of(video));
        let ahead = SOUND_AHEAD.max(rate.time_of(3));
        while rate.time_of(self.writer.stream_length(video)) + ahead < heard_until {
            let Track::Video { grid, last, .. } = &mut self.tracks[video] else {
                return Ok(());
            };
            let Some(frame) = last.clone() else {
                return Err(SessionError::Format(format!(
                    "There are {} s of sound and no frame yet, but a file for the K210 begins \
                     with one; look at where the frames should come from.",
                    ahead / 1_000_000_000
                )));
            };
            grid.fill();
            self.stats.repeated += 1;
            if !self.stalled {
                self.stalled = true;
                gst::element_warning!(
                    self.element,
                    gst::StreamError::Mux,
                    (
                        "No frame came in {} s of sound; the last one is repeated until another \
                         comes. The stats property counts how often.",
                        ahead / 1_000_000_000
                    )
                );
            }
            self.write(video, frame.size(), Some(frame))?;
            self.full_sound_chunks(false)?;
        }
        Ok(())
    }

    /// The stream that sound waits for.
    fn video(&self) -> Option<usize> {
        let is_video = |track: &Track| matches!(track, Track::Video { .. });
        self.tracks.iter().position(is_video)
    }

    /// Writes what fills chunks of the K210's profile, and at the end what is left.
    ///
    /// A chunk goes before the frame that is shown when it ends. None goes before the first frame.
    fn full_sound_chunks(&mut self, at_end: bool) -> Result<(), SessionError> {
        if self.profile != Profile::K210 {
            return Ok(());
        }
        let Some(video) = self.video() else {
            return Ok(());
        };
        if self.writer.stream_length(video) == 0 {
            return Ok(());
        }
        let shown_until = self
            .rate_of(video)
            .time_of(self.writer.stream_length(video));
        for stream in 0..self.tracks.len() {
            while let Track::Audio {
                clock,
                chunk: Some(chunk),
                pending,
                pending_bytes,
                ..
            } = &mut self.tracks[stream]
            {
                let starts = clock.rate().time_of(self.writer.stream_length(stream));
                let full = *pending_bytes >= *chunk && (at_end || starts < shown_until);
                if !(full || at_end && *pending_bytes > 0) {
                    break;
                }
                let size = (*chunk).min(*pending_bytes);
                *pending_bytes -= size;
                let payload = take(pending, size).ok_or(gst::FlowError::Error)?;
                self.write(stream, size, Some(payload))?;
            }
        }
        Ok(())
    }

    /// Writes a chunk, and what has to follow it.
    fn write(
        &mut self,
        stream: usize,
        size: usize,
        payload: Option<gst::Buffer>,
    ) -> Result<(), SessionError> {
        let now = self.output.tick();
        let due = self.checkpoint_interval > 0
            && self.time_after(stream, size) >= self.next_checkpoint
            && self.pace.take(now);
        let mut sync = false;
        if due && now.saturating_duration_since(self.last_sync.0) >= SYNC_INTERVAL {
            if let Some(space) = &mut self.space {
                space.forget();
            }
            sync = self.writer.len() - self.last_sync.1 <= SYNC_BYTES;
            self.last_sync = (now, self.writer.len());
        }
        self.keep_space(now, size)?;
        // With indexes, those are the last thing that has to be on the disk first.
        let indexed = self.writer.is_indexed();
        self.writer
            .chunk(stream, size, payload, sync && !indexed, &mut self.output)?;
        if due {
            let reached = self.time_after(stream, 0).max(self.next_checkpoint);
            self.next_checkpoint =
                (reached / self.checkpoint_interval + 1) * self.checkpoint_interval;
            self.writer.checkpoint(sync && indexed, &mut self.output)?;
            self.output.write_through()?;
            self.stats.checkpoints += 1;
        }
        Ok(())
    }

    /// Refuses a chunk of `size` bytes after which the file could not be finished.
    fn keep_space(&mut self, now: Instant, size: usize) -> Result<(), SessionError> {
        let Some(space) = self.space.as_mut().filter(|_| !self.finishing) else {
            return Ok(());
        };
        let pending: usize = self.tracks.iter().map(Track::pending_bytes).sum();
        // It will be in chunks, each with an entry in an index.
        let wanted = self.writer.finished_len(size + pending + pending / 8);
        if space.has_room(now, self.writer.len(), wanted) {
            Ok(())
        } else {
            Err(SessionError::NoSpace(self.writer.len()))
        }
    }

    /// The time of a stream's end in the file, once a chunk of `size` bytes more is there.
    fn time_after(&self, stream: usize, size: usize) -> u64 {
        let length = self.writer.stream_length(stream);
        match &self.tracks[stream] {
            Track::Video { grid, .. } => grid.rate().time_of(length + u64::from(size > 0)),
            Track::Audio { clock, format, .. } => {
                let block = u64::from(format.block_align.max(1));
                clock.rate().time_of(length + size as u64 / block)
            }
        }
    }

    /// Writes the end of the file.
    pub fn finish(&mut self) -> Result<(), SessionError> {
        self.finishing = true;
        self.full_sound_chunks(true)?;
        self.writer.finish(&mut self.output)?;
        self.output.write_through()?;
        if let Some(space) = &mut self.space {
            space.finish(self.writer.len());
        }
        self.stats.bytes = self.writer.len();
        Ok(())
    }

    /// After the sink failed: makes what it has a file that ends there.
    pub fn salvage(&mut self) {
        let Some(on_disk) = self.output.on_disk() else {
            return;
        };
        match self.writer.salvage(on_disk, &mut self.output) {
            Ok(()) => {
                gst::info!(
                    CAT,
                    obj = self.element,
                    "the file ends at {}",
                    self.writer.len()
                );
                let _ = self.output.write_through();
            }
            Err(error) => {
                gst::warning!(
                    CAT,
                    obj = self.element,
                    "the file cannot be finished: {error}"
                );
            }
        }
    }
}

/// Sound is left alone up to 35 % of a frame, but for 20 ms at most: with the 65 % that frames may be
/// off for long, both are within a frame of each other.
fn sound_tolerance(video: Option<Rate>) -> u64 {
    video.map_or(20_000_000, |rate| {
        (rate.time_of(1) / 20 * 7).min(20_000_000)
    })
}

/// A picture with the Huffman tables it may lack.
fn with_tables(buffer: gst::Buffer) -> gst::Buffer {
    let map = buffer.map_readable().ok();
    let whole = map.and_then(|map| huffman::with_tables(&map));
    whole.map_or(buffer, gst::Buffer::from_slice)
}

/// The first `size` bytes of some buffers, without a copy.
fn take(pending: &mut VecDeque<gst::Buffer>, size: usize) -> Option<gst::Buffer> {
    let mut taken = gst::Buffer::new();
    while taken.size() < size {
        let buffer = pending.pop_front()?;
        let wanted = size - taken.size();
        if buffer.size() > wanted {
            let flags = gst::BufferCopyFlags::MEMORY;
            let rest = buffer.copy_region(flags, wanted..).ok()?;
            let first = buffer.copy_region(flags, ..wanted).ok()?;
            pending.push_front(rest);
            taken.append(first);
        } else {
            taken.append(buffer);
        }
    }
    Some(taken)
}

/// The size of the picture in a buffer.
pub(super) fn picture_size(buffer: &gst::BufferRef) -> Option<(u32, u32)> {
    let map = buffer.map_readable().ok()?;
    let header = FrameHeader::parse(&map).ok()?;
    (header.width > 0 && header.height > 0).then_some((header.width.into(), header.height.into()))
}
