// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the element's pads write and the recordings read: the ring, and what is to be known of
//! each stream.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use avi_mjpeg::recorder::Runs;
use k230_venc::Codec;

use super::gap::{Arrived, Gap, Watch};
use crate::ring::{Limits, RecordingId, Ring};
use crate::streams::wallclock::{Change, Reading, WallClock};
use crate::sync::lock;

/// What the ring holds of a buffer.
#[derive(Debug, Clone)]
pub struct Media {
    pub buffer: gst::Buffer,
    /// What is to be added to the buffer's timestamps to get running times, ns.
    pub shift: i64,
}

/// A stream that arrives on a pad.
#[derive(Debug, Clone)]
pub struct Stream {
    /// The pad's name.
    pub name: String,
    pub caps: Option<gst::Caps>,
    pub tags: Option<gst::TagList>,
    /// Set for byte streams, whose parameter sets have to be remembered.
    pub codec: Option<Codec>,
    /// Parameter sets of a byte stream, as the last access unit that had some brought them.
    pub headers: Option<gst::Buffer>,
    /// A peer may bring data.
    pub linked: bool,
    pub eos: bool,
    pub removed: bool,
}

impl Stream {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            caps: None,
            tags: None,
            codec: None,
            headers: None,
            linked: false,
            eos: false,
            removed: false,
        }
    }

    /// A picture's stream; all others are sounds'.
    pub fn is_video(&self) -> bool {
        self.name == "video"
    }

    /// Something may still come, and what it will be is not known.
    pub fn undecided(&self) -> bool {
        self.linked && !self.removed && !self.eos && self.caps.is_none()
    }
}

/// The part under the lock. Streaming threads hold it for one buffer's bookkeeping, the threads of
/// recordings for taking a few references; nothing is pushed, posted, allocated in bulk or freed
/// meanwhile.
#[derive(Debug)]
pub struct Inner {
    pub ring: Ring<Media>,
    /// By the ring's stream number.
    pub streams: Vec<Stream>,
    /// The streams as they were for recordings that ended when the streams began anew: what has not
    /// been written yet is in those formats.
    former: Vec<(RecordingId, Vec<Stream>)>,
    /// What time of day running times are.
    pub clock: WallClock,
    /// The runs that the streams have between breaks of their clocks.
    pub runs: Runs,
    /// Readers that wait for data, so that a stream without recordings wakes nobody.
    pub waiting: usize,
}

/// What a buffer of the stream that decides told of its time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// A clock was set.
    pub clock: Option<Change>,
    /// The stream had been away.
    pub gap: Option<Gap>,
}

impl Inner {
    /// Follows the time of the stream that decides. `clocks` has the time of day that the buffer
    /// carries and what the clocks say, where they were looked at.
    pub fn observe(
        &mut self,
        watch: &mut Watch,
        arrived: Arrived,
        clocks: Option<(Option<i64>, Reading)>,
    ) -> Seen {
        let (reached, newest) = (self.ring.reached(), self.ring.newest());
        let from = watch.was_away(reached, newest, arrived);
        let from = from.map(|from| (from, self.clock.utc(from)));
        if let Some((from, _)) = from {
            self.ring.was_away(from, arrived.time);
        }
        let clock = clocks.and_then(|(reference, reading)| {
            if arrived.jumped {
                self.clock.begin_anew();
            }
            self.clock.observe(arrived.time, reference, reading)
        });
        let gap = from.map(|(from, utc)| Gap {
            from,
            to: arrived.time,
            utc: utc.zip(self.clock.utc(arrived.time)),
        });
        Seen {
            clock,
            gap: gap.filter(Gap::is_long),
        }
    }

    /// Keeps the streams as they are for a recording that ends here.
    pub fn keep_streams(&mut self, id: RecordingId) {
        if self.former_of(id).is_none() {
            self.former.push((id, self.streams.clone()));
        }
    }

    /// The streams that [`Inner::keep_streams`] kept.
    pub fn former_of(&self, id: RecordingId) -> Option<&[Stream]> {
        let kept = self.former.iter().find(|(kept, _)| *kept == id)?;
        Some(&kept.1)
    }

    /// Forgets what was kept for a recording.
    pub fn forget_streams(&mut self, id: RecordingId) {
        self.former.retain(|(kept, _)| *kept != id);
    }

    /// Nothing more comes on any stream.
    pub fn all_ended(&self) -> bool {
        let awaited =
            |stream: &&Stream| !stream.removed && (stream.linked || stream.caps.is_some());
        let mut awaited = self.streams.iter().filter(awaited).peekable();
        awaited.peek().is_some() && awaited.all(|stream| stream.eos)
    }
}

/// Pads write, recordings read.
#[derive(Debug)]
pub struct Shared {
    inner: Mutex<Inner>,
    arrived: Condvar,
    stopping: AtomicBool,
}

impl Shared {
    pub fn new(limits: Limits) -> Self {
        Self {
            inner: Mutex::new(Inner {
                ring: Ring::new(limits),
                streams: Vec::new(),
                former: Vec::new(),
                clock: WallClock::default(),
                runs: Runs::default(),
                waiting: 0,
            }),
            arrived: Condvar::new(),
            stopping: AtomicBool::new(false),
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        // The ring's own code does not panic half-way; a panic elsewhere must not spread.
        lock(&self.inner)
    }

    /// Waits until something arrives or changes, or the time is over.
    pub fn wait<'a>(
        &self,
        mut inner: MutexGuard<'a, Inner>,
        limit: Option<Duration>,
    ) -> MutexGuard<'a, Inner> {
        inner.waiting += 1;
        let mut inner = match limit {
            None => self
                .arrived
                .wait(inner)
                .unwrap_or_else(PoisonError::into_inner),
            Some(limit) => {
                let waited = self.arrived.wait_timeout(inner, limit);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        inner.waiting -= 1;
        inner
    }

    /// The element is being shut down: recordings are to be over soon.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether [`Shared::stop`] was called.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Wakes all that wait; to be called without the lock.
    pub fn notify(&self) {
        self.arrived.notify_all();
    }
}
