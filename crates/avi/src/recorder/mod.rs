// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames and samples with their times into a file.
//!
//! A [`Recorder`] stands before the [`writer`]: it takes [payloads](Payload) with times, puts them
//! on the fixed rates of an AVI, and gives bytes to a [`Storage`]. What it does beyond passing on is
//! told by a [`Notice`] each.
//!
//! - **Time.** The file begins with the earliest of the first times. Frames are put on the grid of the
//!   frame rate and sound is moved to its time by [`timeline`](crate::timeline): missing frames are
//!   empty chunks (in the K210's profile the last frame again), missing sound is silence. What is before
//!   a picture's start marker is cut off.
//! - **Rates.** No frame is lost for want of a place: one too many has the next, and if that goes on another
//!   rate is looked for at which all frames so far are shown in time. The file has that from the next
//!   checkpoint on. Of a camera that does not say its rate, [`Cadence`] makes one. (The K210's
//!   profile keeps its rate, and drops.)
//! - **Sample rates.** Sound that comes from its begin at clearly another rate than it is said to have is all in the file,
//!   which has that rate; what comes is held back until it is clear. (Not in the K210's profile, nor where the storage cannot overwrite.)
//! - **Jumps.** Times that go back by more than 0.2 s, or are more than an hour later, begin anew: they are
//!   put right behind what came before ([`Continuity`]).
//! - **Checkpoints.** Every [`Settings::checkpoint_interval`] of the file's time it is brought up to date
//!   in place. (A file that is copied so fast that they would follow one another in less than 40 ms of
//!   real time has one every 40 ms, after the first 32.) About once a second of real time at most, the storage is
//!   also asked to have everything on the disk first, so that a power cut cannot leave headers that
//!   tell of data that were never written. (Not when more than 16 MiB come in that second: that is a
//!   copy, not a recording.)
//! - **Room.** A chunk after which the file could not be finished any more is refused, and the file can
//!   then be [finished](Recorder::finish). After the storage failed, [`Recorder::salvage`] makes a
//!   file of what it has.
//! - **The K210.** Each frame is checked for its player ([`k210`](crate::k210)): one that is damaged such
//!   that playback would end with it is left out and the last one repeated. Frames without Huffman tables
//!   get the usual ones. Sound is cut into chunks of one size and waits for the frame that it is
//!   heard with; if no frame comes for ten seconds of sound, the last one is repeated.
//!
//! ```
//! use avi_mjpeg::output::Seekable;
//! use avi_mjpeg::recorder::{Recorder, Settings, Stream};
//! use avi_mjpeg::timeline::Rate;
//! use avi_mjpeg::writer::Profile;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let file = Seekable::new(std::io::Cursor::new(Vec::new()))?;
//! let rate = Rate::new(10, 1).ok_or("no rate")?;
//! let streams = [Stream::video(64, 48, rate)];
//! let mut avi = Recorder::start(file, Settings::new(Profile::Standard), &streams)?;
//! for n in 0..5 {
//!     // The fourth is missing.
//!     let time = if n < 3 { n } else { n + 1 } * 100_000_000;
//!     avi.push(0, vec![0xff, 0xd8, 0xff, 0xd9], Some(time))?;
//! }
//! avi.finish()?;
//! assert_eq!((avi.stats().frames, avi.stats().missing), (5, 1));
//! # Ok(())
//! # }
//! ```

mod cadence;
mod continuity;
mod fit;
mod frames;
pub mod inputs;
mod interleaver;
mod k210;
mod notice;
mod pace;
mod payload;
mod runs;
mod sample_rate;
pub mod shared;
mod sound;
#[cfg(test)]
mod tests;
mod track;
mod whole;

use std::time::{Duration, Instant};

pub use cadence::Cadence;
pub use continuity::{Continuity, Jump};
pub use frames::picture_size;
pub use interleaver::{AHEAD, Idle, Interleaver, SILENT};
pub use notice::{InputNotice, Notice, RecordError, Warnings};
pub use pace::Pace;
pub use payload::Payload;
pub use runs::Runs;
use track::Track;
pub use whole::Whole;

use crate::header::WaveFormat;
use crate::output::{Room, SYNC_INTERVAL};
use crate::timeline::Rate;
use crate::writer::{self, Options, Profile, StreamFormat, Tags, Writer};

/// How much sooner than after [`SYNC_INTERVAL`] the disk is asked again. Checkpoints come by the file's time, of which a
/// second may be a little less by the clock. One whose index is not on the disk loses the seconds before it with the
/// power, as the head leads there and no more to the index that it replaces.
const SYNC_EARLY: Duration = Duration::from_millis(250);

/// How often there is a checkpoint: one every 2 ms takes a seventh of a copy's CPU time.
const CHECKPOINT_PACE: Duration = Duration::from_millis(40);

/// Bytes between two times that the disk is asked for everything, beyond which nothing is being recorded, but
/// copied faster than disks write; then it is left to the system when to write, as the copy would wait.
const SYNC_BYTES: u64 = 16 << 20;

/// Where a recording is kept: an [`Output`](writer::Output), and what more a recorder asks of it.
pub trait Storage: writer::Output<Payload: Payload> {
    /// Whether it can overwrite. Asked once.
    fn is_seekable(&mut self) -> bool {
        true
    }

    /// The time that a chunk comes at, by the clock that checkpoints and the disk are paced by.
    fn now(&mut self) -> Instant {
        Instant::now()
    }

    /// What its disk has for the file, if that is known.
    fn room(&mut self) -> Option<&mut Room> {
        None
    }

    /// Whether the file, of `len` bytes `now`, can become `wanted` bytes long.
    fn has_room(&mut self, now: Instant, len: u64, wanted: u64) -> bool {
        self.room()
            .is_none_or(|room| room.has_room(now, len, wanted))
    }

    /// Asks for the room anew the next time, whatever was answered before.
    fn ask_again(&mut self) {
        if let Some(room) = self.room() {
            room.forget();
        }
    }

    /// Hands on whatever it holds back, so that a program that reads the file finds it.
    fn write_through(&mut self) -> Result<(), Self::Error>;

    /// The file is complete, and has `len` bytes.
    fn complete(&mut self, len: u64) -> Result<(), Self::Error> {
        self.write_through()?;
        if let Some(room) = self.room() {
            room.finish(len);
        }
        Ok(())
    }

    /// After a failure: the number of bytes that the file certainly has; `None` if it is not known.
    fn on_disk(&mut self) -> Option<u64> {
        None
    }
}

/// What kind of file a recorder makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whom the file is for.
    pub profile: Profile,
    /// OpenDML: indexes at each checkpoint, and files beyond 2 GiB.
    pub big_file: bool,
    /// Time of the file between two checkpoints, in nanoseconds; 0 for none.
    pub checkpoint_interval: u64,
    /// What the file's `INFO` list says.
    pub tags: Tags,
}

impl Settings {
    /// A file with OpenDML, a checkpoint each second and no tags.
    pub fn new(profile: Profile) -> Self {
        Self {
            profile,
            big_file: true,
            checkpoint_interval: 1_000_000_000,
            tags: Tags::default(),
        }
    }
}

/// A stream of the file that a recorder makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    /// What it has.
    pub format: StreamFormat,
    /// The time of its first frame or sample in nanoseconds, if it is known: the file begins
    /// with the earliest. If none is, it begins with what is pushed first.
    pub first: Option<i64>,
    /// The rate is what [`Cadence`] made of the first frames, or a bound: each frame goes to the nearest place
    /// of that grid, whatever its interval. (Not in the K210's profile, which keeps its rate.)
    pub is_guessed: bool,
    /// Only what kind it is of is known yet: what it has is said by [`Recorder::set_stream`] before the first
    /// of it is pushed. If it never is, the file has not the stream, provided that none behind it came. The
    /// storage has to be seekable.
    pub is_awaited: bool,
}

impl Stream {
    /// Motion JPEG of a size in pixels.
    pub fn video(width: u32, height: u32, rate: Rate) -> Self {
        StreamFormat::Video {
            width,
            height,
            rate,
        }
        .into()
    }

    /// Samples.
    pub fn audio(format: WaveFormat) -> Self {
        StreamFormat::Audio(format).into()
    }
}

impl Stream {
    /// Motion JPEG of which nothing else is known yet.
    pub fn awaited_video() -> Self {
        Self {
            is_awaited: true,
            ..Self::video(0, 0, Rate::PAL)
        }
    }

    /// Samples of which nothing is known yet.
    pub fn awaited_audio() -> Self {
        let format = WaveFormat {
            channel_mask: Some(0),
            ..WaveFormat::pcm(48_000, 2, 16, 0)
        };
        Self {
            is_awaited: true,
            ..Self::audio(format)
        }
    }
}

impl From<StreamFormat> for Stream {
    fn from(format: StreamFormat) -> Self {
        Self {
            format,
            first: None,
            is_guessed: false,
            is_awaited: false,
        }
    }
}

/// What was written so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Frames in the file that came in.
    pub frames: u64,
    /// Frames that are in the file twice or more, to fill a gap.
    pub repeated: u64,
    /// Frames that are empty chunks, to fill a gap.
    pub missing: u64,
    /// Frames that came in and are not in the file.
    pub dropped: u64,
    /// Frames in the file that are shown more than an interval and 0.1 s after their time, as there were more
    /// than places.
    pub displaced: u64,
    /// Samples of silence, to fill a gap.
    pub silence: u64,
    /// Samples that came in and are not in the file.
    pub skipped: u64,
    /// Bytes in the file.
    pub bytes: u64,
    /// Times that the file was brought up to date.
    pub checkpoints: u64,
}

type Listener = Box<dyn FnMut(Notice) + Send>;

/// Makes one file. See the [module](self).
pub struct Recorder<S: Storage> {
    profile: Profile,
    is_seekable: bool,
    storage: S,
    writer: Writer,
    tracks: Vec<Track<S::Payload>>,
    /// Which of them are awaited still.
    awaited: Vec<bool>,
    /// The rate of the first video stream that the file began with.
    video_rate: Option<Rate>,
    continuity: Continuity,
    /// The time of the file's start, once it is known.
    base: Option<i64>,
    checkpoint_interval: u64,
    /// In nanoseconds since the start of the file.
    next_checkpoint: u64,
    /// Of checkpoints: files are copied at thousands of seconds of stream time in a second.
    pace: Pace,
    /// When the disk was last asked, or would have been, and the bytes there were.
    last_sync: (Instant, u64),
    /// No frame comes, which was told.
    stalled: bool,
    /// Damaged frames since the last one that was not.
    damaged: u64,
    /// What is written now is what room was kept for.
    finishing: bool,
    stats: Stats,
    listener: Option<Listener>,
}

impl<S: Storage> std::fmt::Debug for Recorder<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder")
            .field("writer", &self.writer)
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

impl<S: Storage> Recorder<S> {
    /// Writes the head of a file with some streams, in that order; at most
    /// [`MAX_STREAMS`](writer::MAX_STREAMS), and for the K210 video, or video and sound.
    pub fn start(
        mut storage: S,
        settings: Settings,
        streams: &[Stream],
    ) -> Result<Self, RecordError<S::Error>> {
        let seekable = storage.is_seekable();
        let mut options = Options::new(settings.profile);
        options.big_file = settings.big_file;
        options.seekable = seekable;
        let formats: Vec<_> = streams.iter().map(|stream| stream.format).collect();
        let mut writer = Writer::new(options, &formats, &settings.tags);
        let known = streams.iter().filter(|stream| !stream.is_awaited);
        let video = known.into_iter().find_map(|stream| stream.format.rate());
        let now = storage.now();
        writer.start(&mut storage)?;
        Ok(Self {
            profile: settings.profile,
            is_seekable: seekable,
            storage,
            writer,
            tracks: streams
                .iter()
                .map(|stream| Track::new(stream, settings.profile, video, !seekable))
                .collect(),
            awaited: streams.iter().map(|stream| stream.is_awaited).collect(),
            video_rate: video,
            continuity: Continuity::default(),
            base: begin(streams),
            checkpoint_interval: if seekable {
                settings.checkpoint_interval
            } else {
                0
            },
            next_checkpoint: settings.checkpoint_interval,
            pace: Pace::new(CHECKPOINT_PACE),
            last_sync: (now, 0),
            stalled: false,
            damaged: 0,
            finishing: false,
            stats: Stats::default(),
            listener: None,
        })
    }

    /// Has `listener` told of whatever is done beyond passing on.
    pub fn on_notice(&mut self, listener: impl FnMut(Notice) + Send + 'static) {
        self.listener = Some(Box::new(listener));
    }

    fn tell(&mut self, notice: Notice) {
        if let Some(listener) = &mut self.listener {
            listener(notice);
        }
    }

    /// Where the bytes go.
    pub fn storage(&mut self) -> &mut S {
        &mut self.storage
    }

    /// What was written so far.
    pub fn stats(&self) -> Stats {
        Stats {
            bytes: self.writer.len(),
            ..self.stats
        }
    }

    /// Writes a frame, or some samples, of a stream.
    ///
    /// `time` is when they are shown or heard, in nanoseconds; without, it is right after what came before.
    /// Streams are expected to take turns: of two the one whose time is earlier comes first.
    ///
    /// After an error that is not the storage's the file can still be [finished](Self::finish), after one of
    /// the storage's [salvaged](Self::salvage).
    pub fn push(
        &mut self,
        stream: usize,
        payload: S::Payload,
        time: Option<i64>,
    ) -> Result<(), RecordError<S::Error>> {
        let (interval, reached) = match self.tracks.get(stream) {
            Some(Track::Video(video)) => (video.grid.rate().time_of(1), video.grid.next_time()),
            Some(Track::Audio(audio)) => (0, audio.clock.next_time()),
            None => (0, 0),
        };
        let signed = |time: u64| i64::try_from(time).unwrap_or(i64::MAX);
        let time = time.map(|time| {
            let (followed, jump) = self.continuity.follow(stream, time, signed(interval));
            if let Some(jump) = jump {
                self.tell(Notice::Jump { stream, jump });
            }
            // Frames that came without a time were placed before this one.
            let begins = followed.saturating_sub(signed(reached));
            followed.saturating_sub(*self.base.get_or_insert(begins))
        });
        match self.tracks.get(stream) {
            Some(Track::Video(_)) => self.frame(stream, payload, time),
            Some(Track::Audio(_)) => self.samples(stream, payload, time),
            None => Err(RecordError::NoStream(stream)),
        }
    }

    /// Says what a stream has that was awaited. It is an error if it was not, or is of the other kind.
    pub fn set_stream(
        &mut self,
        number: usize,
        stream: &Stream,
    ) -> Result<(), RecordError<S::Error>> {
        let is_awaited = self.awaited.get(number).is_some_and(|awaited| *awaited);
        if !is_awaited || !self.writer.set_format(number, stream.format) {
            return Err(RecordError::NoStream(number));
        }
        self.awaited[number] = false;
        self.tracks[number] = Track::new(stream, self.profile, self.video_rate, !self.is_seekable);
        Ok(())
    }

    /// Tells of which streams nothing came. Whoever began the file knows of those that are awaited.
    fn tell_of_nothing(&mut self) {
        for stream in 0..self.tracks.len() {
            let is_empty = match &self.tracks[stream] {
                Track::Video(video) => video.grid.is_empty(),
                Track::Audio(audio) => audio.clock.is_empty(),
            };
            if is_empty && !self.awaited[stream] {
                self.tell(Notice::Nothing { stream });
            }
        }
    }

    /// Takes the streams out of the file of which nothing came.
    fn leave_out_awaited(&mut self) {
        while self.awaited.pop() == Some(true) && self.writer.leave_out_last() {}
    }

    /// Replaces the tags. They get into the file with the next checkpoint or with the end.
    pub fn set_tags(&mut self, tags: &Tags) {
        self.writer.set_tags(tags);
    }

    /// Writes a chunk, and what has to follow it.
    fn write(&mut self, stream: usize, payload: S::Payload) -> Result<(), RecordError<S::Error>> {
        let size = payload.len();
        let now = self.storage.now();
        let due = self.checkpoint_interval > 0
            && self.time_after(stream, size) >= self.next_checkpoint
            && self.pace.take(now);
        let mut sync = false;
        if due && now.saturating_duration_since(self.last_sync.0) >= SYNC_INTERVAL - SYNC_EARLY {
            self.storage.ask_again();
            sync = self.writer.len() - self.last_sync.1 <= SYNC_BYTES;
            self.last_sync = (now, self.writer.len());
        }
        self.keep_room(now, size)?;
        // If there are indexes, it is enough to wait for the disk after the last of them.
        let indexed = self.writer.is_indexed();
        self.writer
            .chunk(stream, size, payload, sync && !indexed, &mut self.storage)?;
        if due {
            self.refine_rates();
            let reached = self.time_after(stream, 0).max(self.next_checkpoint);
            self.next_checkpoint =
                (reached / self.checkpoint_interval + 1) * self.checkpoint_interval;
            self.writer.checkpoint(sync && indexed, &mut self.storage)?;
            self.storage.write_through()?;
            self.stats.checkpoints += 1;
            self.tell(Notice::Checkpoint {
                bytes: self.writer.len(),
            });
        }
        Ok(())
    }

    /// Refuses a chunk of `size` bytes after which the file could not be finished.
    fn keep_room(&mut self, now: Instant, size: usize) -> Result<(), RecordError<S::Error>> {
        if self.finishing {
            return Ok(());
        }
        let pending: usize = self.tracks.iter().map(Track::pending_bytes).sum();
        // An eighth more for the chunks' heads and their index entries.
        let wanted = self.writer.finished_len(size + pending + pending / 8);
        if self.storage.has_room(now, self.writer.len(), wanted) {
            Ok(())
        } else {
            Err(RecordError::NoRoom {
                len: self.writer.len(),
            })
        }
    }

    /// The time of a stream's end in the file, once a chunk of `size` bytes more is there.
    fn time_after(&self, stream: usize, size: usize) -> u64 {
        let length = self.writer.stream_length(stream);
        match &self.tracks[stream] {
            Track::Video(video) => video.grid.rate().time_of(length + u64::from(size > 0)),
            Track::Audio(audio) => audio.clock.rate().time_of(length + audio.blocks(size)),
        }
    }

    /// Writes the end of the file.
    pub fn finish(&mut self) -> Result<(), RecordError<S::Error>> {
        self.finishing = true;
        match self.held_sound() {
            // It is finished all the same.
            Ok(()) | Err(RecordError::Full(_)) => {}
            Err(error) => return Err(error),
        }
        self.full_sound_chunks(true)?;
        self.tell_of_nothing();
        self.leave_out_awaited();
        self.refine_rates();
        self.tell_of_displaced();
        self.writer.finish(&mut self.storage)?;
        self.storage.complete(self.writer.len())?;
        Ok(())
    }

    /// After an error: finishes the file, or if the storage fails [salvages](Self::salvage) it, which a
    /// [`Notice`] tells. Whether it is finished.
    pub fn end_after(&mut self, error: &RecordError<S::Error>) -> bool {
        if !matches!(error, RecordError::Storage(_)) && self.finish().is_ok() {
            return true;
        }
        match self.salvage() {
            Ok(false) => {}
            Ok(true) => self.tell(Notice::Salvaged {
                bytes: self.writer.len(),
            }),
            Err(_) => self.tell(Notice::Unfinished),
        }
        false
    }

    /// After the storage failed: makes what it has a file that ends there. Whether there is one, of
    /// [`Stats::bytes`] bytes.
    pub fn salvage(&mut self) -> Result<bool, S::Error> {
        let Some(on_disk) = self.storage.on_disk() else {
            return Ok(false);
        };
        self.writer.salvage(on_disk, &mut self.storage)?;
        self.storage.write_through()?;
        Ok(true)
    }
}

/// The time that a file of some streams begins at, if it is known. The grid of the first video stream
/// begins with its first frame, whatever else begins before.
fn begin(streams: &[Stream]) -> Option<i64> {
    let earliest = streams.iter().filter_map(|stream| stream.first).min()?;
    let known = streams.iter().filter(|stream| !stream.is_awaited);
    let video = known
        .into_iter()
        .find_map(|stream| Some((stream.format.rate()?, stream.first)));
    let Some((rate, Some(frame))) = video else {
        return Some(earliest);
    };
    let before = rate.covering(frame.saturating_sub(earliest).unsigned_abs());
    Some(frame.saturating_sub_unsigned(rate.time_of(before)))
}
