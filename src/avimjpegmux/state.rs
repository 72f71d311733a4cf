// SPDX-License-Identifier: MIT OR Apache-2.0
//! The pads and what the streams made.

use std::time::Instant;

use gst::prelude::*;

use super::caps::PadFormat;
use super::output::PadOutput;
use super::settings::{Profile, Settings};
use avi_mjpeg::recorder::{
    AHEAD, Cadence, Continuity, Idle, Interleaver, Recorder, Stats, Stream, picture_size,
};
use avi_mjpeg::timeline::Rate;
use avi_mjpeg::writer::Tags;

/// How far a pad may be ahead of one that is silent before the file is begun, in nanoseconds: a camera
/// takes its time.
pub(super) const AHEAD_AT_START: i64 = 10_000_000_000;

/// The grid of a camera that came so late that its rate could not be waited for.
const UNKNOWN_RATE: Rate = Rate::THIRTY_A_SECOND;

/// What waits at a pad.
#[derive(Debug)]
pub(super) enum Item {
    /// With its running time, if it has a timestamp.
    Buffer(gst::Buffer, Option<i64>),
    Event(gst::Event),
}

impl Item {
    pub fn buffer(&self) -> Option<(&gst::Buffer, Option<i64>)> {
        match self {
            Self::Buffer(buffer, time) => Some((buffer, *time)),
            Self::Event(_) => None,
        }
    }
}

/// A sink pad. Written by its streaming thread and by the writing one.
#[derive(Debug)]
pub(super) struct SinkPad {
    pub pad: gst::Pad,
    pub is_video: bool,
    pub format: Option<PadFormat>,
    pub segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    pub flushing: bool,
    /// Its number in the file.
    pub stream: Option<usize>,
    /// The file was begun before anything came that tells what it has.
    pub is_awaited: bool,
}

impl SinkPad {
    pub fn new(pad: gst::Pad, is_video: bool) -> Self {
        Self {
            pad,
            is_video,
            format: None,
            segment: None,
            flushing: false,
            stream: None,
            is_awaited: false,
        }
    }

    /// Nanoseconds that a buffer lasts; 0 if that is not known.
    pub fn duration(&self, buffer: &gst::BufferRef) -> i64 {
        let own = buffer.duration().map(|duration| duration.nseconds());
        let lasts = match self.format {
            Some(PadFormat::Audio(format)) => {
                let bytes = u64::from(format.avg_bytes_per_sec.max(1));
                (buffer.size() as u64).mul_div_floor(1_000_000_000, bytes)
            }
            Some(PadFormat::Video { rate, .. }) => own.or(rate.map(|rate| rate.time_of(1))),
            None => own,
        };
        lasts.and_then(|lasts| lasts.try_into().ok()).unwrap_or(0)
    }
}

/// What the streams made. Everything here is behind one mutex; whoever changes what another
/// thread may wait for notifies the condition.
#[derive(Debug, Default)]
pub(super) struct State {
    pub pads: Vec<SinkPad>,
    /// What waits at each of them, by the same numbers.
    pub queue: Interleaver<Item>,
    /// The running times of each of them, without jumps.
    pub continuity: Continuity,
    /// Frames that came before the first that could be read.
    pub unreadable: u64,
    /// The file being written, unless a thread has it (see `busy`).
    pub recorder: Option<Box<Recorder<PadOutput>>>,
    /// A thread is writing. It looks for more to write before it stops.
    pub busy: bool,
    pub started: bool,
    /// Whether the head of the file can be written again, once it was asked.
    pub seekable: Option<bool>,
    /// The user knows that the file waits for a pad.
    pub told_of_waiting: bool,
    pub finished: bool,
    /// Once writing failed: what every pad answers.
    pub failed: Option<gst::FlowError>,
    /// Tags from upstream.
    pub tags: gst::TagList,
    /// Some of them came when the file was begun already.
    pub tags_are_new: bool,
    pub stats: Stats,
    /// Threads that wait for `busy` to end. Waking none costs a system call too.
    pub waiting: usize,
    /// What the user set, as it was when the element was started.
    pub settings: Settings,
    /// How far a pad may be ahead of a silent one once the file is begun: a second, or three
    /// frames.
    pub ahead: i64,
}

/// What a file is begun with.
#[derive(Debug)]
pub(super) struct Start {
    pub tags: Tags,
    pub streams: Vec<Stream>,
    /// The pads that the file is without.
    pub left_out: Vec<gst::Pad>,
    /// The pads on which nothing came yet.
    pub awaited: Vec<gst::Pad>,
}

/// What there is to do next.
pub(super) enum Work {
    /// Asks whether the head of the file can be written again.
    AskSeekable,
    /// Tells the user that what comes on the others waits for a pad.
    TellOfWaiting(gst::Pad),
    /// Says what a stream has that was awaited.
    Awaited(usize, Stream),
    Start(Box<Start>),
    Buffer(usize, gst::Buffer, Option<i64>),
    Event(gst::Event),
    Tags(Tags),
    /// With the tags that there are by now.
    Finish(Tags),
}

impl State {
    pub fn find(&self, pad: &gst::Pad) -> Option<usize> {
        self.pads.iter().position(|sink| sink.pad == *pad)
    }

    /// Forgets the stream of a pad, not its format.
    pub fn reset_pad(&mut self, n: usize) {
        let sink = &mut self.pads[n];
        *sink = SinkPad {
            format: sink.format,
            ..SinkPad::new(sink.pad.clone(), sink.is_video)
        };
        self.queue.reset(n, Instant::now());
    }

    /// How far a pad may be ahead of a silent one, in nanoseconds.
    pub fn ahead(&self) -> i64 {
        if self.started {
            self.ahead
        } else {
            AHEAD_AT_START
        }
    }

    /// Sets that for a file of some streams: three frames of the slowest are to have their turn.
    pub fn set_ahead(&mut self, streams: &[Stream]) {
        let rates = streams.iter().filter_map(|stream| stream.format.rate());
        let frames = rates.filter_map(|rate| i64::try_from(rate.time_of(3)).ok());
        self.ahead = frames.fold(AHEAD, i64::max);
    }

    /// The stream of a pad whose buffers need no queue: it is the only one, and there is nothing else to
    /// do.
    pub fn only_stream(&self, pad: &gst::Pad) -> Option<usize> {
        let [sink] = self.pads.as_slice() else {
            return None;
        };
        let is_free = self.started
            && !self.busy
            && !self.finished
            && self.failed.is_none()
            && !self.tags_are_new;
        let is_next = sink.pad == *pad
            && self.queue.is_empty(0)
            && !sink.flushing
            && !self.queue.has_ended(0);
        sink.stream.filter(|_| is_free && is_next)
    }

    /// The pad whose buffer is next, if that is certain; `None` when all have ended.
    pub fn turn(&self) -> Result<Option<usize>, Idle> {
        let rank = |n: usize| self.pads[n].stream;
        self.queue.turn(rank, self.ahead(), Instant::now())
    }

    /// The rate of a pad's frames, and whether it is a guess; `None` if frames have to come first.
    pub fn rate(&self, n: usize) -> Option<(Rate, bool)> {
        if let Some(PadFormat::Video {
            rate: Some(rate),
            is_most,
            ..
        }) = self.pads[n].format
        {
            return Some((rate, is_most));
        }
        let buffers = self.queue.items(n).filter_map(Item::buffer);
        let times = |(buffer, time): (&gst::Buffer, _)| {
            let duration = buffer.duration().map(gst::ClockTime::nseconds);
            (time, duration)
        };
        let frames: Vec<_> = buffers.map(times).collect();
        let cadence = Cadence::of(&frames, self.queue.has_ended(n))?;
        Some(match self.settings.profile {
            Profile::Standard => (cadence.grid, true),
            Profile::K210 => (cadence.usual, false),
        })
    }

    /// The size of a pad's pictures, as far as caps or the first of them tell.
    pub fn size(&self, n: usize) -> Option<(u32, u32)> {
        match self.pads[n].format? {
            PadFormat::Video { size: None, .. } => {
                let (first, _) = self.queue.items(n).find_map(Item::buffer)?;
                picture_size(&first.map_readable().ok()?)
            }
            PadFormat::Video { size, .. } => size,
            PadFormat::Audio(_) => None,
        }
    }

    /// What a pad has, if it is known.
    pub fn stream(&self, n: usize) -> Option<Stream> {
        // What has no time begins where the others do.
        let first = self.queue.items(n).find_map(Item::buffer);
        let first = first.and_then(|(_, time)| time);
        match self.pads[n].format? {
            PadFormat::Audio(format) => Some(Stream {
                first,
                ..Stream::audio(format)
            }),
            PadFormat::Video { .. } => {
                let (width, height) = self.size(n)?;
                let (rate, is_guessed) = self.rate(n).unwrap_or((UNKNOWN_RATE, true));
                Some(Stream {
                    first,
                    is_guessed,
                    ..Stream::video(width, height, rate)
                })
            }
        }
    }

    /// Leaves out what comes before the first picture that tells its size, if caps do not.
    pub fn skip_unreadable(&mut self, n: usize) {
        while self.pads[n].is_video
            && self.pads[n].format.is_some()
            && matches!(self.queue.items(n).next(), Some(Item::Buffer(..)))
            && self.size(n).is_none()
        {
            self.queue.pop(n);
            self.unreadable += 1;
        }
    }
}
