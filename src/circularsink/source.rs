// SPDX-License-Identifier: MIT OR Apache-2.0
//! The element at the head of a recording's sub-pipeline: it takes references out of the ring and
//! pushes them, a task for each stream, with timestamps that begin at zero.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock};
use std::time::Instant;

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::headers;
use super::shared::{Media, Shared, Stream};
use super::silence::{HOLE, Patience, Stuff, warn_of_silence};
use crate::ring::{Item, RecordingId, Taken};
use crate::streams::bin::guarded;
use crate::streams::files::Claimed;
use crate::streams::times::Times;
use crate::sync::lock;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "circularsink-source",
        gst::DebugColorFlags::empty(),
        Some("Source of a recording of circularsink"),
    )
});

/// Buffers taken at once, and the bytes at which fewer are: enough to take the lock rarely, little
/// beside the ring, since what was taken counts no more against its limits.
const BATCH: usize = 16;
const BATCH_BYTES: u64 = 1 << 20;

/// Where timestamps begin when some decoding times are before the first presentation time: buffers
/// have no negative timestamps, running times may be. The figure is the one that GStreamer's video
/// encoders use (gst_video_encoder_set_min_pts).
const BEFORE_ZERO: i64 = 1000 * 3600 * 1_000_000_000;

/// Silence (ns) in the place of sound of which nothing is in the recording.
const LEAST: i64 = 20_000_000;

/// Silence (ns) that a stream gets at most where the element is being shut down: no more than takes a moment.
const LAST: i64 = 10_000_000_000;

/// A gap (ns) that stays one where the file has times: silence for an hour is 3.5 s of work as AAC, and 690 MB as samples.
const GAP: i64 = 60_000_000_000;

/// Silence (ns) at both ends of such a gap: longer than a packet, so that decoders fade in it, that an encoder's frame which
/// is half behind the gap is silent (4096 samples of Apple Lossless, half a second at 8 kHz), and that the muxer goes on.
const EDGE: i64 = 1_000_000_000;

/// What has gone out, for messages, `stats` and to see whether anything moves.
#[derive(Debug, Default)]
pub struct Counters {
    /// Frames of video; of the first sound if there is no video.
    pub frames: AtomicU64,
    /// Frames of video that the muxer did not put into the file, known at its end.
    pub dropped: AtomicU64,
    /// Bytes of all streams.
    pub bytes: AtomicU64,
    /// Running time (ns) at which the last frame ends.
    pub end: AtomicI64,
    /// Goes up with whatever is handed on anywhere in the sub-pipeline.
    pub progress: AtomicU64,
}

/// What a recording's source reads from.
#[derive(Debug)]
pub struct Feed {
    pub shared: Arc<Shared>,
    pub id: RecordingId,
    /// Running time (ns) that becomes zero.
    pub start: i64,
    pub counters: Arc<Counters>,
    pub(crate) times: Mutex<Option<Times<Claimed>>>,
    group: gst::GroupId,
    stopped: AtomicBool,
    /// The muxer puts raw sound to its time, and finds the rate that it comes at. Written before the tasks start.
    leaves_holes: AtomicBool,
    /// The file has times: a long gap in sound stays one. Written before the tasks start.
    leaves_gaps: AtomicBool,
}

impl Feed {
    pub(crate) fn new(
        shared: Arc<Shared>,
        id: RecordingId,
        start: i64,
        counters: Arc<Counters>,
        times: Option<Times<Claimed>>,
    ) -> Self {
        counters.end.store(start, Ordering::Relaxed);
        Self {
            shared,
            id,
            start,
            counters,
            times: Mutex::new(times),
            group: gst::GroupId::next(),
            stopped: AtomicBool::new(false),
            leaves_holes: AtomicBool::new(false),
            leaves_gaps: AtomicBool::new(false),
        }
    }

    fn times(&self) -> std::sync::MutexGuard<'_, Option<Times<Claimed>>> {
        lock(&self.times)
    }

    /// Takes what is there for a stream, or waits for it, but not longer than there is patience.
    fn take(&self, stream: usize, patience: &mut Patience, out: &mut Vec<Item<Media>>) -> Got {
        let mut dropped = Vec::new();
        let mut inner = self.shared.lock();
        let got = loop {
            if self.stopped.load(Ordering::SeqCst) {
                break Got::Taken(Taken::CutOff);
            }
            let taken = inner.ring.take(self.id, stream, BATCH, BATCH_BYTES, out);
            dropped.append(&mut inner.ring.take_dropped(Vec::new()));
            if taken != Taken::Wait {
                patience.heard();
                break Got::Taken(taken);
            }
            let limit = match inner.ring.silence(self.id, stream) {
                None => None,
                Some(silence) => {
                    let now = Instant::now();
                    if let Some(until) = patience.over(&silence, now) {
                        break Got::Silence(until);
                    }
                    patience.left(now)
                }
            };
            inner = self.shared.wait(inner, limit);
        };
        drop(inner);
        got
    }

    /// Nothing more is taken of a stream: what comes on it need not be kept.
    fn leave(&self, stream: usize) {
        let dropped = {
            let mut inner = self.shared.lock();
            inner.ring.leave(self.id, stream);
            inner.ring.take_dropped(Vec::new())
        };
        drop(dropped);
    }

    /// Makes all readers of this recording return.
    fn stop(&self) {
        let inner = self.shared.lock();
        self.stopped.store(true, Ordering::SeqCst);
        drop(inner);
        self.shared.notify();
    }
}

/// What a stream has for its task.
enum Got {
    Taken(Taken),
    /// Nothing up to this running time, ns.
    Silence(i64),
}

/// The state of one stream's task.
struct Task {
    feed: Arc<Feed>,
    stream: usize,
    info: Stream,
    is_reference: bool,
    /// The format of raw sound, which is cut to the sample.
    audio: Option<gst_audio::AudioInfo>,
    /// What the stream gets in the place of sound that does not come.
    stuff: Option<Stuff>,
    patience: Patience,
    /// Running time (ns) up to which there is sound, and up to which it is silence.
    sounded: i64,
    /// The same of raw sound, counted by its samples.
    sampled: i64,
    filled: i64,
    announced: bool,
    /// There was no time for all of a silence: the stream ends there.
    broken_off: bool,
    /// Something of the stream is in the file, or it was told that nothing is.
    settled: bool,
    /// Timestamp that stands for running time zero, once it is known.
    base: Option<i64>,
    items: Vec<Item<Media>>,
}

impl Task {
    fn new(feed: Arc<Feed>, stream: usize, info: Stream, is_reference: bool) -> Self {
        let audio = info
            .caps
            .as_ref()
            .filter(|_| !is_reference)
            .and_then(|caps| {
                let info = gst_audio::AudioInfo::from_caps(caps).ok()?;
                // Encoded sound has such information too, with frames of no bytes.
                (info.bpf() > 0).then_some(info)
            });
        let start = feed.start;
        let stuff = info
            .caps
            .as_deref()
            .filter(|_| !is_reference)
            .and_then(Stuff::new);
        let patience = Patience::new(stuff.is_some());
        Self {
            feed,
            stream,
            info,
            is_reference,
            audio,
            stuff,
            patience,
            sounded: start,
            sampled: start,
            filled: start,
            announced: false,
            broken_off: false,
            settled: false,
            base: None,
            items: Vec::with_capacity(BATCH),
        }
    }

    /// One round of the task; false when it is over.
    fn step(&mut self, pad: &gst::Pad) -> bool {
        if !self.announced {
            self.announced = true;
            let id = format!("circularsink/{}/{}", self.feed.id, self.info.name);
            let start = gst::event::StreamStart::builder(&id).group_id(self.feed.group);
            pad.push_event(start.build());
            if let Some(caps) = &self.info.caps {
                pad.push_event(gst::event::Caps::new(caps));
            }
        }
        let mut items = std::mem::take(&mut self.items);
        let got = self.feed.take(self.stream, &mut self.patience, &mut items);
        let mut flow = Ok(gst::FlowSuccess::Ok);
        for item in items.drain(..) {
            flow = self.push(pad, item);
            if flow.is_err() {
                break;
            }
        }
        self.items = items;
        let mut goes_on = matches!(got, Got::Taken(Taken::Items));
        if let Got::Silence(until) = got {
            (flow, goes_on) = self.silence(pad, until);
        }
        goes_on &= !self.broken_off;
        match flow {
            Ok(_) if goes_on => return true,
            Ok(_) => {
                if !self.settled {
                    self.end_silently(pad);
                }
                self.segment(pad, 0);
                pad.push_event(gst::event::Eos::new());
            }
            // What failed has said so itself, or is being stopped.
            Err(gst::FlowError::Flushing | gst::FlowError::Error | gst::FlowError::Eos) => (),
            Err(error) => {
                if let Some(element) = pad.parent_element() {
                    let caps = pad.current_caps();
                    let caps = caps.map_or_else(String::new, |caps| format!(" ({caps})"));
                    gst::element_error!(
                        element,
                        gst::StreamError::Failed,
                        (
                            "What writes the recording does not take {}{caps}: encode it differently or choose another \
                             format",
                            self.info.name
                        ),
                        ["{error}"]
                    );
                }
            }
        }
        gst::debug!(CAT, obj = pad, "Ended: {flow:?}");
        false
    }

    /// Says where timestamps begin; `earliest` is the first buffer's least running time in the
    /// recording.
    fn segment(&mut self, pad: &gst::Pad, earliest: i64) -> i64 {
        *self.base.get_or_insert_with(|| {
            let base = if earliest < 0 { BEFORE_ZERO } else { 0 };
            let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
            segment.set_start(clock_time(base));
            segment.set_position(clock_time(base));
            pad.push_event(gst::event::Segment::new(&segment));
            if let Some(tags) = &self.info.tags {
                pad.push_event(gst::event::Tag::new(tags.clone()));
            }
            base
        })
    }

    /// The recording ends, and nothing of the stream is in it: a muxer may need something of it for its file to be one.
    fn end_silently(&mut self, pad: &gst::Pad) {
        self.settled = true;
        let silent = self.stuff.is_some();
        if let Some(element) = pad.parent_element() {
            warn_of_silence(&element, std::slice::from_ref(&self.info.name), silent);
        }
        // Behind a flush the ring is further. The greatest of all stands for the end of streams that are gone.
        let reached = self.feed.shared.lock().ring.reached_by(self.feed.id);
        let reached = reached.filter(|until| *until > self.sounded && *until < i64::MAX);
        // Sound that is encoded on its way has no format before its first samples, and a file with a track without one
        // is none.
        let mut until = reached.unwrap_or_else(|| self.sounded.saturating_add(LEAST));
        if self.feed.leaves_gaps.load(Ordering::Relaxed) {
            until = until.min(self.sounded.saturating_add(GAP));
        }
        if let Err(error) = self.fill(pad, until) {
            gst::debug!(CAT, obj = pad, "No silence: {error}");
        }
    }

    /// Goes on without the stream up to a running time. Returns whether it may come back.
    fn silence(
        &mut self,
        pad: &gst::Pad,
        until: i64,
    ) -> (Result<gst::FlowSuccess, gst::FlowError>, bool) {
        // Upstream has said so itself, or the user is told here.
        self.settled = true;
        if self.patience.told_user()
            && let Some(element) = pad.parent_element()
        {
            let name = &self.info.name;
            let what = if self.patience.lasting {
                "it has silence until something comes"
            } else {
                "this format has no silence in it, what comes later goes into the next recording"
            };
            gst::element_warning!(
                element,
                gst::StreamError::Failed,
                ("Nothing comes on {name}: the recording goes on without it, {what}")
            );
        }
        if !self.patience.lasting {
            self.feed.leave(self.stream);
            return (Ok(gst::FlowSuccess::Ok), false);
        }
        (self.fill(pad, until), true)
    }

    /// Pushes silence up to a running time; where that would be long and the file has times, its two ends alone.
    fn fill(&mut self, pad: &gst::Pad, mut until: i64) -> Result<gst::FlowSuccess, gst::FlowError> {
        let Some(stuff) = self.stuff.clone().filter(|_| !self.broken_off) else {
            return Ok(gst::FlowSuccess::Ok);
        };
        let base = self.segment(pad, 0);
        let is_long = until.saturating_sub(self.sounded) > GAP;
        if is_long && self.feed.leaves_gaps.load(Ordering::Relaxed) {
            self.fill(pad, self.sounded + EDGE)?;
            self.sounded = until - EDGE;
        }
        loop {
            let last = self.sounded.saturating_add(LAST);
            if last < until && self.feed.shared.is_stopping() {
                self.broken_off = true;
                until = last;
            }
            let Some((mut buffer, end)) = stuff.next(self.sounded, until) else {
                return Ok(gst::FlowSuccess::Ok);
            };
            {
                let buffer = buffer.make_mut();
                buffer.set_pts(clock_time(self.sounded - self.feed.start + base));
                buffer.set_duration(clock_time(end - self.sounded));
            }
            let bytes = buffer.size() as u64;
            pad.push(buffer)?;
            let counters = &self.feed.counters;
            counters.bytes.fetch_add(bytes, Ordering::Relaxed);
            counters.progress.fetch_add(1, Ordering::Relaxed);
            self.sounded = end;
            self.filled = self.filled.max(end);
        }
    }

    /// Pushes what of an item is in the recording.
    fn push(
        &mut self,
        pad: &gst::Pad,
        item: Item<Media>,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let Media { buffer, shift } = item.payload;
        let whole = (buffer, item.time, item.end);
        let part = match self.is_reference {
            true => Some(whole),
            false => self.fit(pad, whole)?,
        };
        let Some((buffer, time, end)) = part else {
            return Ok(gst::FlowSuccess::Ok);
        };
        let buffer = self.stamp(pad, buffer, (time, end), shift);
        let bytes = buffer.size() as u64;
        self.settled = true;
        let flow = pad.push(buffer)?;
        let counters = &self.feed.counters;
        counters.bytes.fetch_add(bytes, Ordering::Relaxed);
        counters.progress.fetch_add(1, Ordering::Relaxed);
        if self.is_reference {
            counters.frames.fetch_add(1, Ordering::Relaxed);
            counters.end.fetch_max(end, Ordering::Relaxed);
            self.note_time(pad, time);
        }
        Ok(flow)
    }

    /// The part of a buffer of sound that is in the recording, with silence in front where there
    /// was none.
    fn fit(
        &mut self,
        pad: &gst::Pad,
        (mut buffer, mut time, mut end): (gst::Buffer, i64, i64),
    ) -> Result<Option<(gst::Buffer, i64, i64)>, gst::FlowError> {
        let until = {
            let inner = self.feed.shared.lock();
            inner.ring.span(self.feed.id).and_then(|span| span.end)
        };
        let until = until.unwrap_or(i64::MAX);
        // What was late by so much that there is silence in its place is too late.
        let from = self.feed.start.max(self.filled);
        let raw = self.audio.as_ref();
        // A hole that takes long to fill is filled here, where that can be broken off.
        let leaves_holes = raw.is_some()
            && self.feed.leaves_holes.load(Ordering::Relaxed)
            && time.saturating_sub(self.sounded) <= LAST;
        if let Some((rate, bpf)) = raw.map(|info| (u64::from(info.rate()), info.bpf())) {
            let Some(clipped) = clip(buffer, (time, end), (from, until), rate, bpf) else {
                return Ok(None);
            };
            (buffer, time, end) = clipped;
            if !leaves_holes && time.saturating_sub(self.sampled) >= HOLE {
                // Several holes that are less each are one for a muxer that counts samples.
                self.sounded = self.sampled.max(self.filled);
                self.fill(pad, time)?;
            }
        } else if time < from || time >= until {
            // Encoded sound can't be cut: what begins with the picture there is whole.
            return Ok(None);
        }
        if !leaves_holes && self.filled == self.sounded {
            // The silence lasts until here.
            self.fill(pad, time)?;
        }
        if self.broken_off {
            return Ok(None);
        }
        self.sounded = self.sounded.max(end);
        let begun = match leaves_holes {
            true => time,
            false => self.sampled.max(self.filled),
        };
        self.sampled = begun.saturating_add(end.saturating_sub(time));
        Ok(Some((buffer, time, end)))
    }

    /// The buffer with its timestamps in the file, and in the first one what the stream begins with.
    fn stamp(
        &mut self,
        pad: &gst::Pad,
        mut buffer: gst::Buffer,
        (time, end): (i64, i64),
        shift: i64,
    ) -> gst::Buffer {
        let start = self.feed.start;
        let decoding = buffer.dts();
        let decoding = decoding.map(|dts| shift.saturating_add_unsigned(dts.nseconds()));
        let first = self.base.is_none();
        let earliest = decoding.unwrap_or(time).min(time).saturating_sub(start);
        let base = self.segment(pad, earliest);
        let in_file = |time: i64| clock_time(time.saturating_sub(start).saturating_add(base));
        if first && self.is_reference {
            buffer = with_headers(buffer, &self.info);
        }
        let stamped = buffer.make_mut();
        stamped.set_pts(in_file(time));
        stamped.set_dts(decoding.map(in_file));
        if end > time {
            stamped.set_duration(clock_time(end - time));
        }
        stamped.set_offset(u64::MAX);
        stamped.set_offset_end(u64::MAX);
        if first {
            stamped.set_flags(gst::BufferFlags::DISCONT);
        }
        buffer
    }

    /// Writes down a frame's time, if that is wanted.
    fn note_time(&self, pad: &gst::Pad, time: i64) {
        let mut times = self.feed.times();
        let since_start = time.saturating_sub(self.feed.start).max(0).unsigned_abs();
        let Some(Err(error)) = times.as_mut().map(|file| file.push(since_start)) else {
            return;
        };
        *times = None;
        drop(times);
        if let Some(element) = pad.parent_element() {
            gst::element_warning!(
                element,
                gst::ResourceError::Write,
                ("The file of frame times can't be written: {error}")
            );
        }
    }
}

/// A time that is known not to be negative.
fn clock_time(time: i64) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(time.max(0).unsigned_abs())
}

/// Raw sound from `time` to `end` cut to the part within the span, to the nearest sample.
fn clip(
    buffer: gst::Buffer,
    (time, end): (i64, i64),
    (from, to): (i64, i64),
    rate: u64,
    bpf: u32,
) -> Option<(gst::Buffer, i64, i64)> {
    if time >= from && end <= to {
        return Some((buffer, time, end));
    }
    let samples = buffer.size() / bpf.max(1) as usize;
    let to_samples = |ns: i64| {
        let ns = ns.max(0).unsigned_abs();
        (u128::from(ns) * u128::from(rate) + 500_000_000) / 1_000_000_000
    };
    let skip = to_samples(from - time) as usize;
    let keep = (to_samples(to.min(end) - time) as usize).min(samples);
    if skip >= keep {
        return None;
    }
    let to_time = |samples: usize| (samples as u64 * 1_000_000_000 / rate.max(1)) as i64;
    let (begin, finish) = ((time + to_time(skip)).max(from), time + to_time(keep));
    let buffer = gst_audio::audio_buffer_truncate(buffer, bpf, skip, Some(keep - skip));
    Some((buffer, begin, finish.max(begin)))
}

/// The first access unit with the stream's parameter sets, unless it has its own.
fn with_headers(buffer: gst::Buffer, info: &Stream) -> gst::Buffer {
    let (Some(codec), Some(headers)) = (info.codec, info.headers.as_ref()) else {
        return buffer;
    };
    if headers::headers_of(codec, &buffer).is_some() {
        return buffer;
    }
    headers::with_headers(codec, &buffer, headers).unwrap_or_else(|error| {
        gst::warning!(CAT, "Can't put parameter sets in front: {error}");
        buffer
    })
}

glib::wrapper! {
    pub struct RecordingSource(ObjectSubclass<imp::RecordingSource>) @extends gst::Element, gst::Object;
}

impl RecordingSource {
    /// A source that reads from `feed`. Streams are added before it starts.
    pub fn new(feed: Arc<Feed>) -> Self {
        let source: Self = glib::Object::builder().property("name", "ring").build();
        // The cell is empty: the object was made a line ago.
        let _ = source.imp().feed.set(feed);
        source
    }

    /// Leaves the holes in raw sound to a muxer that fills them.
    pub fn leave_holes(&self) {
        if let Some(feed) = self.imp().feed.get() {
            feed.leaves_holes.store(true, Ordering::Relaxed);
        }
    }

    /// Leaves long gaps in sound to a file that has times.
    pub fn leave_gaps(&self) {
        if let Some(feed) = self.imp().feed.get() {
            feed.leaves_gaps.store(true, Ordering::Relaxed);
        }
    }

    /// Adds the pad of a stream.
    pub fn add_stream(&self, number: usize, info: &Stream, is_reference: bool) -> Option<gst::Pad> {
        let feed = self.imp().feed.get()?.clone();
        let template = &self.pad_template("stream_%u")?;
        let info = info.clone();
        let pad = gst::Pad::builder_from_template(template)
            .name(info.name.as_str())
            .activatemode_function(move |pad, _, _, active| {
                if active {
                    let mut task = Task::new(feed.clone(), number, info.clone(), is_reference);
                    let weak = pad.downgrade();
                    pad.start_task(move || {
                        let Some(pad) = weak.upgrade() else {
                            return;
                        };
                        let goes_on = match pad.parent_element() {
                            Some(source) => guarded(&source, false, || task.step(&pad)),
                            None => false,
                        };
                        if !goes_on {
                            // Refused only where the task is being stopped anyway.
                            let _ = pad.pause_task();
                        }
                    })
                } else {
                    feed.stop();
                    pad.stop_task()
                }
                .map_err(|error| gst::loggable_error!(CAT, "{error}"))
            })
            .build();
        self.add_pad(&pad).ok()?;
        Some(pad)
    }
}

mod imp {
    use super::*;

    #[derive(Debug, Default)]
    pub struct RecordingSource {
        pub(super) feed: OnceLock<Arc<Feed>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for RecordingSource {
        const NAME: &'static str = "GstCircularSinkRecordingSource";
        type Type = super::RecordingSource;
        type ParentType = gst::Element;
    }

    impl ObjectImpl for RecordingSource {
        fn constructed(&self) {
            self.parent_constructed();
            self.obj().set_element_flags(gst::ElementFlags::SOURCE);
        }
    }

    impl GstObjectImpl for RecordingSource {}

    impl ElementImpl for RecordingSource {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new(
                    "Source of a recording",
                    "Source",
                    "Pushes a recording's part of the ring of circularsink",
                    env!("CARGO_PKG_AUTHORS"),
                )
            });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                gst::PadTemplate::new(
                    "stream_%u",
                    gst::PadDirection::Src,
                    gst::PadPresence::Sometimes,
                    &gst::Caps::new_any(),
                )
                .into_iter()
                .collect()
            });
            &TEMPLATES
        }

        fn change_state(
            &self,
            transition: gst::StateChange,
        ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
            if transition == gst::StateChange::PausedToReady
                && let Some(feed) = self.feed.get()
            {
                feed.stop();
            }
            let result = self.parent_change_state(transition);
            if transition == gst::StateChange::PausedToReady
                && let Some(feed) = self.feed.get()
                && let Some(mut file) = feed.times().take()
            {
                // The times of the last frames; if they are lost, the recording is not.
                if let Err(error) = file.finish() {
                    gst::warning!(CAT, imp = self, "Can't finish the file of times: {error}");
                }
            }
            result
        }
    }
}
