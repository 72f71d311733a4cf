// SPDX-License-Identifier: MIT OR Apache-2.0
//! What waits at the pads, and whose turn it is.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::caps::PadFormat;
use super::imp::Settings;
use super::session::{Session, Start, Stats};
use avi_mjpeg::timeline::Rate;
use avi_mjpeg::writer::Tags;

/// How far a pad may be ahead of one that is silent before that is not waited for any more.
pub(super) const AHEAD: i64 = 1_000_000_000;

/// The same before the file is begun: a camera takes its time.
pub(super) const AHEAD_AT_START: i64 = 10_000_000_000;

/// How long a pad has to be silent for that. Threads that are merely slow are not silent.
pub(super) const SILENT: Duration = Duration::from_secs(1);

/// What waits in a pad's queue.
#[derive(Debug)]
pub(super) enum Item {
    Buffer {
        buffer: gst::Buffer,
        /// `None` if the buffer has no timestamp.
        running_time: Option<i64>,
        /// What it is sorted by: the running time, or that of the buffer before.
        order: i64,
    },
    Event(gst::Event),
}

/// A sink pad. Written by its streaming thread and by the writing one.
#[derive(Debug)]
pub(super) struct SinkPad {
    pub pad: gst::Pad,
    pub is_video: bool,
    pub format: Option<PadFormat>,
    pub segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    pub queue: VecDeque<Item>,
    /// The running time up to which buffers came.
    pub newest: i64,
    /// The running time up to which there is nothing more to come.
    pub gap: i64,
    pub eos: bool,
    pub flushing: bool,
    /// Its thread waits, since it is far ahead of the others.
    pub held: bool,
    /// When something came last.
    pub heard: Instant,
    /// Its number in the file.
    pub stream: Option<usize>,
}

impl SinkPad {
    pub fn new(pad: gst::Pad, is_video: bool) -> Self {
        Self {
            pad,
            is_video,
            format: None,
            segment: None,
            queue: VecDeque::new(),
            newest: i64::MIN,
            gap: i64::MIN,
            eos: false,
            flushing: false,
            held: false,
            heard: Instant::now(),
            stream: None,
        }
    }

    /// Forgets the stream, not its format.
    pub fn reset(&mut self) {
        *self = Self {
            format: self.format,
            ..Self::new(self.pad.clone(), self.is_video)
        };
    }

    /// The running time of the first buffer that waits.
    pub fn head(&self) -> Option<i64> {
        self.queue.iter().find_map(|item| match item {
            Item::Buffer { order, .. } => Some(*order),
            Item::Event(_) => None,
        })
    }

    /// How far the queue reaches ahead of its first buffer.
    pub fn span(&self) -> i64 {
        self.head()
            .map_or(0, |head| self.newest.saturating_sub(head))
    }

    /// The rate of frames, as far as caps or frames tell.
    pub fn rate(&self) -> Option<Rate> {
        if let Some(PadFormat::Video {
            rate: Some(rate), ..
        }) = self.format
        {
            return Some(rate);
        }
        let mut buffers = self.queue.iter().filter_map(|item| match item {
            Item::Buffer {
                buffer,
                running_time,
                ..
            } => Some((buffer, *running_time)),
            Item::Event(_) => None,
        });
        let (first, time) = buffers.next()?;
        let step = first.duration().filter(|d| !d.is_zero()).or_else(|| {
            let (_, next) = buffers.next()?;
            let step = u64::try_from(next?.checked_sub(time?)?).ok()?;
            (step > 0).then_some(gst::ClockTime::from_nseconds(step))
        })?;
        gst_video::guess_framerate(step)
            .and_then(|rate| {
                Rate::new(rate.numer().try_into().ok()?, rate.denom().try_into().ok()?)
            })
            .or_else(|| {
                let micro = step.useconds().clamp(1, u32::MAX.into()) as u32;
                Rate::new(1_000_000, micro)
            })
    }
}

/// What the streams made. Everything here is behind one mutex; whoever changes what another
/// thread may wait for notifies the condition.
#[derive(Debug, Default)]
pub(super) struct State {
    pub pads: Vec<SinkPad>,
    /// The file being written, unless a thread has it (see `busy`).
    pub session: Option<Box<Session>>,
    /// A thread is writing. It looks for more to write before it stops.
    pub busy: bool,
    pub started: bool,
    /// The user knows that the file waits for its first frame.
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
    /// What the user set, as it was when the file was begun.
    pub settings: Settings,
    /// How far a pad may be ahead of a silent one once the file is begun: a second, or three
    /// frames.
    pub ahead: i64,
}

/// What there is to do next.
pub(super) enum Work {
    /// Tells the user that sound waits for the first frame.
    TellOfWaiting,
    Start(Box<Start>),
    Buffer(usize, gst::Buffer, Option<i64>),
    Event(gst::Event),
    Tags(Tags),
    /// With the tags that there are by now.
    Finish(Tags),
}

/// Why there is nothing to do.
pub(super) enum Idle {
    /// Something has to come first.
    Waiting,
    /// A pad is silent, and is waited for until then at most.
    Until(Instant),
}
impl State {
    /// How far a pad may be ahead of a silent one, in nanoseconds.
    pub fn ahead(&self) -> i64 {
        if self.started {
            self.ahead
        } else {
            AHEAD_AT_START
        }
    }

    /// How far a pad that was further ahead than that may still be when its thread goes on: to go on
    /// for each buffer would be a change of threads for each.
    pub fn ahead_again(&self) -> i64 {
        self.ahead() / 4 * 3
    }

    /// Lets the threads go on that were held back for long enough. Whether there are any.
    pub fn release(&mut self) -> bool {
        let most = self.ahead_again();
        let mut any = false;
        for pad in self.pads.iter_mut().filter(|pad| pad.held) {
            pad.held = pad.span() > most;
            any |= !pad.held;
        }
        any
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
        let is_next = sink.pad == *pad && sink.queue.is_empty() && !sink.flushing && !sink.eos;
        sink.stream.filter(|_| is_free && is_next)
    }

    /// The pad whose buffer is next, if that is certain; `None` when all have ended.
    pub fn turn(&self) -> Result<Option<usize>, Idle> {
        let in_file = |pad: &&SinkPad| pad.stream.is_some();
        let mut first: Option<(i64, Option<usize>, usize)> = None;
        let (mut newest, mut all_ended) = (i64::MIN, true);
        for (n, pad) in self.pads.iter().enumerate() {
            if pad.stream.is_none() {
                continue;
            }
            all_ended &= pad.eos;
            newest = newest.max(pad.newest);
            if let Some(head) = pad.head() {
                let key = (head, pad.stream, n);
                first = Some(first.map_or(key, |first| first.min(key)));
            }
        }
        let Some((head, _, next)) = first else {
            return if all_ended {
                Ok(None)
            } else {
                Err(Idle::Waiting)
            };
        };
        for pad in self.pads.iter().filter(in_file) {
            if pad.eos || pad.gap >= head || pad.head().is_some() {
                continue;
            }
            if newest.saturating_sub(head) <= self.ahead() {
                return Err(Idle::Waiting);
            }
            let patience = pad.heard + SILENT;
            if Instant::now() < patience {
                return Err(Idle::Until(patience));
            }
        }
        Ok(Some(next))
    }
}
