// SPDX-License-Identifier: MIT OR Apache-2.0
//! One stream's place in a file: the muxer's pad, and what the file has been told of the stream.

use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use gst::glib;
use gst::prelude::*;

use super::first::First;
use crate::streams::ticks::APART;
use crate::streams::{self, MissingElement, same_format, stamps};
use crate::sync::lock;

/// What a queue holds: what a stream may bring before another one that has not come is done without.
const HELD_BYTES: u32 = 64 << 20;

/// How long after the one before a unit without a timestamp comes where nothing tells.
const TOGETHER: gst::ClockTime = gst::ClockTime::from_mseconds(1);

/// What a file has been told of a stream.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub file: u64,
    events: Vec<gst::Event>,
    pub caps: Option<gst::Caps>,
}

/// The last unit of a stream: when it is shown and decoded, and how long before it the one before was shown.
#[derive(Debug, Default)]
struct Last {
    pts: Option<gst::ClockTime>,
    dts: Option<gst::ClockTime>,
    step: Option<gst::ClockTime>,
    /// When the first one was that has come to the encoder.
    entered: Option<gst::ClockTime>,
}

/// A file, and how many units have come for it that are from before its begin.
#[derive(Debug, Default)]
struct Early {
    file: u64,
    units: u64,
}

/// One stream's place in the file.
#[derive(Debug)]
pub(crate) struct Lane {
    pub name: String,
    pub queue: Option<gst::Element>,
    /// None while the file is without it.
    pub pad: Mutex<Option<gst::Pad>>,
    pub told: Mutex<Told>,
    /// Events have come that the file has not been told of.
    pub news: AtomicBool,
    /// That the file is without it has been said.
    pub told_missing: AtomicBool,
    /// Where it leaves for the file.
    source: glib::WeakRef<gst::Pad>,
    last: Mutex<Last>,
    early: Mutex<Early>,
    /// Frames that are on their way to the point where they wait for the file's turn, or were flushed there.
    under_way: AtomicU64,
    /// The unit that waits for a file.
    waiting: Mutex<Option<gst::Sample>>,
}

impl Lane {
    /// The place of the stream `name`; with a thread of its own it has a queue.
    pub(crate) fn new(name: &str, thread: bool) -> Result<Self, MissingElement> {
        Ok(Self {
            name: name.to_owned(),
            queue: thread.then(held_queue).transpose()?,
            pad: Mutex::default(),
            told: Mutex::default(),
            news: AtomicBool::default(),
            told_missing: AtomicBool::default(),
            source: glib::WeakRef::new(),
            last: Mutex::default(),
            early: Mutex::default(),
            under_way: AtomicU64::default(),
            waiting: Mutex::default(),
        })
    }

    /// Frames come to an encoder or a queue, which forget them in a flush; the first of them at `pts`.
    pub(crate) fn enters(&self, frames: usize, pts: Option<gst::ClockTime>) {
        if self.under_way.fetch_add(frames as u64, Ordering::Relaxed) == 0 {
            lock(&self.last).entered = pts;
        }
    }

    /// A frame of them goes into a file.
    pub(crate) fn arrives(&self) {
        let one_less = |frames: u64| Some(frames.saturating_sub(1));
        let _ = self
            .under_way
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
    }

    /// How many have been flushed. Nothing moves while it is asked.
    pub(crate) fn flushed(&self) -> u64 {
        self.under_way.swap(0, Ordering::Relaxed)
    }

    /// Tells the file what the stream that leaves `source` says before its data; the file is the one of
    /// that number, and begins at `origin`.
    pub(crate) fn tell_file(
        &self,
        source: &gst::Pad,
        file: u64,
        origin: u64,
    ) -> Result<(), gst::FlowError> {
        let mut told = lock(&self.told);
        if !self.news.swap(false, Ordering::AcqRel) && told.file == file {
            return Ok(());
        }
        if told.file != file {
            *told = Told {
                file,
                ..Told::default()
            };
        }
        let mut events = Vec::new();
        source.sticky_events_foreach(|event| {
            let mut known = told.events.iter().any(|t| t.as_ptr() == event.as_ptr());
            if let (gst::EventView::Caps(caps), Some(before)) = (event.view(), &told.caps) {
                // Muxers take no other caps, though they say the same in more detail.
                known |= same_format(before, caps.caps());
            }
            if !known && event.type_() != gst::EventType::Eos {
                events.push(event.clone());
            }
            ControlFlow::Continue(gst::EventForeachAction::Keep)
        });
        for event in &events {
            if let gst::EventView::Caps(caps) = event.view() {
                told.caps = Some(caps.caps_owned());
            }
        }
        told.events.retain(|known| {
            let replaced = |event: &gst::Event| event.type_() == known.type_();
            !events.iter().any(replaced)
        });
        told.events.extend(events.iter().cloned());
        drop(told);
        let entry = self.entry().ok_or(gst::FlowError::NotLinked)?;
        for event in events {
            let is_caps = event.type_() == gst::EventType::Caps;
            if let gst::EventView::Caps(caps) = event.view() {
                // A queue takes whatever comes, and its thread could only end without a word.
                let muxer = lock(&self.pad).clone();
                if muxer.is_some_and(|muxer| !muxer.query_accept_caps(&caps.caps_owned())) {
                    return Err(gst::FlowError::NotNegotiated);
                }
            }
            if !entry.send_event(from_origin(event, origin)) && is_caps {
                return Err(gst::FlowError::NotNegotiated);
            }
        }
        Ok(())
    }

    /// The stream leaves this pad for the file.
    pub(crate) fn leaves(&self, source: &gst::Pad) {
        self.source.set(Some(source));
    }

    /// Tells a file that has just been opened what the stream is, which may have nothing for it: a muxer writes nothing
    /// that can be read of a stream that it does not know.
    pub(crate) fn introduce(&self, file: u64, origin: u64) {
        let told = self
            .source
            .upgrade()
            .map(|source| self.tell_file(&source, file, origin));
        if let Some(Err(_)) = told {
            // Its own thread is to hear of it.
            *lock(&self.told) = Told::default();
        }
    }

    /// The next file begins with this unit, if it begins with one of this stream.
    pub(crate) fn waits_with(&self, source: &gst::Pad, buffer: &gst::Buffer) {
        *lock(&self.waiting) = Some(First::of(source, buffer));
    }

    /// The unit that waits for a file.
    pub(crate) fn waiting(&self) -> Option<gst::Sample> {
        lock(&self.waiting).take()
    }

    /// The formats that a file can have the stream in, once one has it in one of them.
    pub(crate) fn takes(&self) -> Option<gst::Caps> {
        lock(&self.told).caps.as_ref()?;
        let pad = lock(&self.pad);
        Some(pad.as_ref()?.pad_template_caps())
    }

    /// Whether the muxer has a pad for it, still.
    pub(crate) fn has_place(&self) -> bool {
        let pad = lock(&self.pad);
        pad.as_ref().is_some_and(|pad| pad.parent().is_some())
    }

    /// Where the stream enters.
    pub(crate) fn entry(&self) -> Option<gst::Pad> {
        match &self.queue {
            Some(queue) => queue.static_pad("sink"),
            None => lock(&self.pad).clone(),
        }
    }
}

impl Lane {
    /// Gives a unit what it does not say of its time. Muxers leave one out that has no timestamp, which is
    /// here behind the one before; parsers of encoded pictures do not count. One without a duration has the length of
    /// the one before: the last one of an MP4 would be none at all, and is not shown.
    pub(crate) fn complete(&self, buffer: &mut gst::Buffer) {
        let mut last = lock(&self.last);
        if buffer.pts().is_none()
            && let Some(pts) = last.pts
        {
            let step = last.step.unwrap_or(TOGETHER);
            let decoded = buffer.dts().or(last.dts.map(|dts| dts + step));
            let untimed = buffer.make_mut();
            untimed.set_pts(pts + step);
            untimed.set_dts(decoded);
        }
        if last.pts.is_none() && buffer.pts().is_none() && buffer.duration().is_some() {
            // `speexenc` has no time for a packet that begins before its first sample.
            let entered = last.entered;
            buffer.make_mut().set_pts(entered);
        }
        let Some(pts) = buffer.pts() else { return };
        let step = last.pts.and_then(|before| pts.checked_sub(before));
        // What came together says nothing, and lasts for a moment.
        let together = step.map(|_| TOGETHER);
        let step = step.filter(|step| *step >= TOGETHER);
        let step = step.or(last.step).or(together);
        *last = Last {
            pts: Some(pts),
            dts: buffer.dts(),
            step,
            entered: last.entered,
        };
        if let (None, Some(step)) = (buffer.duration(), step) {
            buffer.make_mut().set_duration(step);
        }
    }

    /// Has a unit from before the begin of its file, which muxers leave out without a word, just behind that: the clock
    /// went back a little, or the picture is shown before the key unit that the file begins with. The file is the one of
    /// that number, and begins at `origin`.
    pub(crate) fn bring_into(
        &self,
        source: &gst::Pad,
        buffer: &mut gst::Buffer,
        file: u64,
        origin: u64,
    ) {
        let Some(segment) = segment_of(source) else {
            return;
        };
        let Some(time) = buffer
            .pts()
            .and_then(|pts| stamps::running_time(&segment, pts))
        else {
            return;
        };
        let mut early = lock(&self.early);
        if early.file != file {
            *early = Early { file, units: 0 };
        }
        let begin = i64::try_from(origin).unwrap_or(i64::MAX);
        let behind = |units: u64| APART.saturating_mul(i64::try_from(units).unwrap_or(i64::MAX));
        let last = begin.saturating_add(behind(early.units));
        if time > last || (time == begin && early.units == 0) {
            return;
        }
        early.units += 1;
        let time = begin.saturating_add(behind(early.units));
        let time = gst::ClockTime::from_nseconds(time.unsigned_abs());
        if let Some(shown) = segment.position_from_running_time(time) {
            buffer.make_mut().set_pts(shown);
        }
    }
}

/// A queue that has room for a stream that waits. Its own measure of time begins at 0, which may be
/// hours ago: [`Plan::reaches`] has another.
pub(crate) fn held_queue() -> Result<gst::Element, MissingElement> {
    let queue = streams::make("queue")?;
    queue.set_property("max-size-buffers", 0_u32);
    queue.set_property("max-size-bytes", HELD_BYTES);
    queue.set_property("max-size-time", 0_u64);
    Ok(queue)
}

/// The running time of a buffer that passes a pad, in nanoseconds.
pub(crate) fn running_time(pad: &gst::Pad, buffer: &gst::BufferRef) -> Option<u64> {
    let segment = segment_of(pad)?;
    Some(segment.to_running_time(buffer.pts()?)?.nseconds())
}

/// The segment of what passes a pad, where that is in time.
fn segment_of(pad: &gst::Pad) -> Option<gst::FormattedSegment<gst::ClockTime>> {
    let segment = pad.sticky_event::<gst::event::Segment>(0)?;
    segment.segment().downcast_ref::<gst::ClockTime>().cloned()
}

/// A segment whose running time is 0 at `origin`; other events as they are.
fn from_origin(event: gst::Event, origin: u64) -> gst::Event {
    let gst::EventView::Segment(view) = event.view() else {
        return event;
    };
    let Some(segment) = view.segment().downcast_ref::<gst::ClockTime>() else {
        return event;
    };
    let mut segment = segment.clone();
    let base = segment.base().map_or(0, gst::ClockTime::nseconds);
    let later = origin.saturating_sub(base);
    segment.set_base(gst::ClockTime::from_nseconds(base.saturating_sub(origin)));
    let start = segment.start().map_or(0, gst::ClockTime::nseconds);
    let rate = segment.rate().abs();
    let start = start.saturating_add((later as f64 * rate).round() as u64);
    // The greatest number of all stands for none.
    segment.set_start(gst::ClockTime::from_nseconds(start.min(u64::MAX - 1)));
    segment.set_time(gst::ClockTime::ZERO);
    gst::event::Segment::builder(&segment)
        .seqnum(event.seqnum())
        .build()
}
