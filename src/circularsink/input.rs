// SPDX-License-Identifier: MIT OR Apache-2.0
//! The pads: what arrives goes into the ring.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use avi_mjpeg::recorder::Runs;
use gst::prelude::*;

use super::CAT;
use super::context::{Context, request_key_unit};
use super::gap::{Arrived, Watch};
use super::headers::{self, Units};
use super::shared::{Media, Seen, Shared, Stream};
use crate::failure;
use crate::ring::{Item, Pushed};
use crate::streams::compact::is_spacious;
use crate::streams::is_raw;
use crate::streams::jpegs::{from_start, is_jpeg};
use crate::streams::sentences::untimed;
use crate::streams::stamps::{Stamps, Unplaced, backward_text, jump_text};
use crate::streams::timeline::{Jump, Placed};
use crate::streams::wallclock::{self, Reading};
use crate::streams::whole::close_lines;
use crate::sync::lock;

/// Formats of video. H.264 and H.265 come an access unit a buffer, which makes parsers in front
/// give them so.
pub(crate) fn video_caps() -> gst::Caps {
    let mut caps = gst::Caps::builder_full();
    for (name, forms) in [
        ("video/x-h264", ["avc", "avc3", "byte-stream"]),
        ("video/x-h265", ["hvc1", "hev1", "byte-stream"]),
    ] {
        let structure = gst::Structure::builder(name)
            .field("stream-format", gst::List::new(forms))
            .field("alignment", "au");
        caps = caps.structure(structure.build());
    }
    for name in [
        "image/jpeg",
        "image/png",
        "image/x-jpc",
        "video/x-raw",
        "video/x-vp8",
        "video/x-vp9",
        "video/x-av1",
        "video/x-theora",
        "video/x-dv",
        "video/x-prores",
        "video/x-dnxhd",
        "video/x-h263",
        "video/x-divx",
    ] {
        caps = caps.structure(gst::Structure::new_empty(name));
    }
    let mpeg = gst::Structure::builder("video/mpeg").field("systemstream", false);
    caps.structure(mpeg.build()).build()
}

/// Formats of sound.
pub(crate) fn audio_caps() -> gst::Caps {
    let mut caps = gst::Caps::builder_full();
    for name in [
        "audio/x-raw",
        "audio/mpeg",
        "audio/x-opus",
        "audio/x-vorbis",
        "audio/x-flac",
        "audio/x-ac3",
        "audio/x-eac3",
        "audio/x-alac",
        "audio/x-alaw",
        "audio/x-mulaw",
        "audio/x-adpcm",
        "audio/x-speex",
        "audio/AMR",
        "audio/AMR-WB",
    ] {
        caps = caps.structure(gst::Structure::new_empty(name));
    }
    caps.build()
}

/// A pad's side of the element.
#[derive(Debug)]
pub(crate) struct Input {
    name: String,
    state: Mutex<InputState>,
    /// What comes is as old as the pipeline's clock says; set by the stream's thread.
    live: AtomicBool,
    /// Whether it was found out if recordings of these caps can be written: when the first buffer comes, by when all
    /// streams are linked.
    rehearsed: AtomicBool,
}

/// Written by the pad's streaming thread, and at changes of state.
#[derive(Debug, Default)]
struct InputState {
    /// The ring and the stream's number in it.
    target: Option<(Arc<Shared>, usize)>,
    units: Option<Units>,
    stamps: Stamps,
    watch: Watch,
    /// The pool that the last buffer came from, and whether it has buffers without end.
    pool: Option<(usize, bool)>,
    /// Room for what leaves the ring with a buffer.
    spare: Vec<Media>,
    warned_skipped: bool,
    /// Each buffer is a JPEG.
    jpegs: bool,
    /// Each is a picture as this says.
    raw: Option<gst_video::VideoInfo>,
    warned_empty: bool,
    /// Why nothing is taken has been told.
    told_refusal: bool,
}

impl InputState {
    /// Room for more than leaves at once is not kept.
    const SPARE: usize = 1024;

    /// Frees what has left the ring, whose lock is not held.
    fn free(&mut self, mut dropped: Vec<Media>) {
        dropped.clear();
        if dropped.capacity() <= Self::SPARE {
            self.spare = dropped;
        }
    }
}

impl Input {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            state: Mutex::default(),
            live: AtomicBool::new(false),
            rehearsed: AtomicBool::new(false),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, InputState> {
        lock(&self.state)
    }

    fn is_video(&self) -> bool {
        self.name == "video"
    }

    /// Forgets the stream.
    pub(crate) fn reset(&self) {
        *self.state() = InputState::default();
        self.rehearsed.store(false, Ordering::Relaxed);
    }

    /// Makes the pad's stream one of the ring's.
    pub(crate) fn join(&self, shared: &Arc<Shared>, linked: bool) -> usize {
        let mut state = self.state();
        if let Some((_, number)) = &state.target {
            return *number;
        }
        let mut inner = shared.lock();
        let number = inner.ring.add_stream(self.is_video());
        inner.streams.push(Stream {
            linked,
            ..Stream::new(&self.name)
        });
        drop(inner);
        state.target = Some((shared.clone(), number));
        number
    }

    /// Takes the pad's stream out of the ring.
    pub(crate) fn leave(&self) {
        let Some((shared, number)) = self.state().target.take() else {
            return;
        };
        let dropped = {
            let mut inner = shared.lock();
            inner.ring.remove_stream(number);
            inner.streams[number].removed = true;
            inner.ring.take_dropped(Vec::new())
        };
        shared.notify();
        drop(dropped);
    }

    fn target(&self) -> Option<(Arc<Shared>, usize)> {
        self.state().target.clone()
    }

    /// Puts a buffer into the ring; `None` while there is no whole sample in it. Nothing is posted or pushed under the
    /// lock.
    fn take(
        &self,
        context: &Context,
        mut buffer: gst::Buffer,
    ) -> Result<Option<Accepted>, Refusal> {
        let mut state = self.state();
        let state = &mut *state;
        let Some((shared, number)) = &state.target else {
            return Err(Refusal::Flushing);
        };
        if !state.stamps.assume_segment() {
            return Err(Refusal::NoSegment);
        }
        if state.jpegs {
            from_start(&mut buffer);
        }
        if let Some(info) = &state.raw {
            close_lines(info, &mut buffer);
        }
        if !state.stamps.complete(&mut buffer, *CAT) {
            return Ok(None);
        }
        if from_bounded_pool(&buffer, &mut state.pool) || is_spacious(&buffer) {
            // Kept for seconds, such buffers would be missing where they come from, or fill the memory
            // with nothing.
            buffer = buffer.copy_deep().map_err(Refusal::NoMemory)?;
        }
        let delta = buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let key = !self.is_video() || !delta;
        let refresh = delta || state.units.is_none_or(|units| units.refresh(&buffer));
        let headers = match state.units.and_then(Units::byte_stream) {
            Some(codec) if key => headers::headers_of(codec, &buffer),
            _ => None,
        };
        let stamp = buffer.pts().or(buffer.dts());

        let (placed, pushed, dropped, waiting, former, seen) = {
            let mut inner = shared.lock();
            let placed = state.stamps.place_among(&buffer, &mut inner.runs);
            let placed = placed.map_err(Refusal::Unplaced)?;
            let Placed {
                time, end, jump, ..
            } = placed;
            let arrived = Arrived {
                time,
                end,
                jumped: jump.is_some(),
            };
            let clocks = match state.watch.is_due(arrived) {
                true => {
                    // The element has locks of its own.
                    drop(inner);
                    let clocks = self.look_at_clocks(context, &buffer);
                    inner = shared.lock();
                    clocks
                }
                false => None,
            };
            let shift = stamp.map_or(0, |stamp| time.saturating_sub_unsigned(stamp.nseconds()));
            let item = Item {
                time,
                end,
                bytes: u32::try_from(buffer.size()).unwrap_or(u32::MAX),
                key,
                refresh,
                payload: Media { buffer, shift },
            };
            let seen = match inner.ring.reference() == Some(*number) {
                true => inner.observe(&mut state.watch, arrived, clocks),
                false => Seen::default(),
            };
            let former = headers.and_then(|h| inner.streams[*number].headers.replace(h));
            let pushed = inner.ring.push(*number, item);
            let dropped = inner.ring.take_dropped(std::mem::take(&mut state.spare));
            (placed, pushed, dropped, inner.waiting > 0, former, seen)
        };
        if waiting {
            shared.notify();
        }
        drop(former);
        state.free(dropped);
        let first_skipped = pushed.skipped && !std::mem::replace(&mut state.warned_skipped, true);
        Ok(Some(Accepted {
            pushed,
            first_skipped,
            jump: placed.jump.filter(|jump| jump.is_news()),
            time: placed.time,
            seen,
        }))
    }

    /// The time of day that a buffer carries, and what the clocks say; nothing where the element is gone.
    fn look_at_clocks(
        &self,
        context: &Context,
        buffer: &gst::BufferRef,
    ) -> Option<(Option<i64>, Reading)> {
        let live = self.live.load(Ordering::Relaxed);
        let reading = Reading::now(&context.element.upgrade()?, live);
        Some((wallclock::reference_of(buffer), reading))
    }
}

/// What happened to a buffer.
struct Accepted {
    pushed: Pushed,
    first_skipped: bool,
    /// Its timestamps do not follow the last ones.
    jump: Option<Jump>,
    /// Its running time, ns.
    time: i64,
    seen: Seen,
}

/// Why a buffer could not be taken.
enum Refusal {
    /// The element is being stopped.
    Flushing,
    /// The segment is not in time, which was posted.
    NoSegment,
    Unplaced(Unplaced),
    NoMemory(glib::BoolError),
}

impl Input {
    /// The name of its pad.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Takes a buffer that arrives on the pad.
    pub(crate) fn chain(
        &self,
        context: &Arc<Context>,
        pad: &gst::Pad,
        buffer: gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        context.gate.pass(pad)?;
        if self.is_header(&buffer) {
            // Stream headers are in the caps as well, from where each recording has them.
            return Ok(gst::FlowSuccess::Ok);
        }
        if !self.can_record(context) {
            return Err(failure::POSTED);
        }
        // The element is looked for where there is something to say: each buffer would take as long for that as
        // to be put into the ring.
        if buffer.size() == 0 {
            self.leave_out(context);
            return Ok(gst::FlowSuccess::Ok);
        }
        let taken = self
            .take(context, buffer)
            .map_err(|refusal| self.refuse(context, refusal))?;
        let Some(taken) = taken else {
            return Ok(gst::FlowSuccess::Ok);
        };
        if let Some(jump) = taken.jump
            && let Some(element) = context.element.upgrade()
        {
            gst::element_warning!(
                element,
                gst::StreamError::Format,
                ("{}", jump_text(&self.name, jump))
            );
        }
        if let Some(gap) = taken.seen.gap {
            context.tell_gap(&self.name, gap);
        }
        if let Some(change) = taken.seen.clock {
            context.tell_clock(taken.time, change);
        }
        if taken.pushed != Pushed::default() {
            self.react(context, pad, &taken);
        }
        Ok(gst::FlowSuccess::Ok)
    }

    /// Whether a buffer is a header of the stream and nothing else: a picture with its parameter sets is called so too.
    fn is_header(&self, buffer: &gst::BufferRef) -> bool {
        if buffer.pts().is_some() || !buffer.flags().contains(gst::BufferFlags::HEADER) {
            return false;
        }
        let units = self.state().units;
        units.is_none_or(|units| units.has_no_picture(buffer))
    }

    /// Whether what comes can be recorded; looked at once for each format. What another stream brings may be refused.
    fn can_record(&self, context: &Context) -> bool {
        // Looked at before it is written to, which takes longer.
        let rehearsed = &self.rehearsed;
        match rehearsed.load(Ordering::Relaxed) || rehearsed.swap(true, Ordering::Relaxed) {
            true => !context.is_refused(),
            false => context.can_record(),
        }
    }

    /// Counts an empty buffer, for which no container has a place.
    fn leave_out(&self, context: &Context) {
        context.skipped.fetch_add(1, Ordering::Relaxed);
        let warned = std::mem::replace(&mut self.state().warned_empty, true);
        if let (false, Some(element)) = (warned, context.element.upgrade()) {
            gst::element_warning!(
                element,
                gst::StreamError::Format,
                (
                    "An empty buffer came on {}; it is not kept. The stats property counts such \
                     as buffers-skipped",
                    self.name
                )
            );
        }
    }

    /// Says why a buffer is not taken.
    fn refuse(&self, context: &Context, refusal: Refusal) -> gst::FlowError {
        let Some(element) = context.element.upgrade() else {
            return gst::FlowError::Flushing;
        };
        // Who goes on after it gets the same answer, and not the same sentence once more.
        let is_told = match refusal {
            Refusal::Flushing => return gst::FlowError::Flushing,
            Refusal::NoSegment => true,
            _ => std::mem::replace(&mut self.state().told_refusal, true),
        };
        if is_told {
            return failure::POSTED;
        }
        match refusal {
            Refusal::Flushing | Refusal::NoSegment => {}
            Refusal::Unplaced(Unplaced::Backward) => {
                let text = backward_text(&self.name);
                gst::element_error!(element, gst::StreamError::Format, ("{text}"));
            }
            Refusal::Unplaced(Unplaced::Untimed) => {
                element.post_error_message(untimed(&self.name, true));
            }
            Refusal::NoMemory(error) => gst::element_error!(
                element,
                gst::ResourceError::NoSpaceLeft,
                ("No memory for a copy of a buffer: {error}")
            ),
        }
        failure::POSTED
    }

    /// Acts on what rarely happens when a buffer goes into the ring.
    fn react(&self, context: &Context, pad: &gst::Pad, taken: &Accepted) {
        let pushed = &taken.pushed;
        if pushed.skipped {
            context.skipped.fetch_add(1, Ordering::Relaxed);
            if taken.first_skipped {
                gst::info!(CAT, obj = pad, "It begins without a key unit: waiting");
                request_key_unit(pad);
            }
        }
        if pushed.oversize || pushed.given_up {
            context.tell_large(pushed.given_up);
            if self.is_video() {
                request_key_unit(pad);
            }
        }
        if !pushed.cut_off.is_empty() || pushed.settled {
            context.tell_settled(&pushed.cut_off);
        }
    }

    /// Takes an event that arrives on the pad.
    pub(crate) fn event(&self, context: &Arc<Context>, pad: &gst::Pad, event: &gst::Event) -> bool {
        use gst::EventView;
        gst::log!(CAT, obj = pad, "{event:?}");
        match event.view() {
            EventView::StreamStart(_) => {
                self.live.store(wallclock::is_live(pad), Ordering::Relaxed);
                self.begin(context)
            }
            EventView::Caps(caps) => self.set_caps(context, pad, caps.caps_owned()),
            EventView::Segment(segment) => self.set_segment(context, segment.segment()),
            EventView::Gap(gap) => {
                if context.gate.pass(pad).is_err() {
                    return false;
                }
                let (start, duration) = gap.get();
                self.gap(start + duration.unwrap_or(gst::ClockTime::ZERO));
                true
            }
            EventView::Tag(tag) => self.add_tags(tag.tag()),
            EventView::FlushStart(_) => {
                context.gate.flush();
                true
            }
            EventView::FlushStop(_) => {
                let live = self.live.load(Ordering::Relaxed);
                self.flushed(live);
                // What comes after a seek does not continue what is kept. Nobody seeks in what is
                // live: it comes back.
                if !live {
                    context.restart();
                }
                true
            }
            EventView::Eos(_) => {
                if context.gate.pass(pad).is_err() {
                    return false;
                }
                self.end(context, event.seqnum())
            }
            EventView::CustomDownstream(_) | EventView::CustomBoth(_) => {
                context.trigger_by_event(event.structure(), true);
                true
            }
            EventView::CustomDownstreamOob(_) | EventView::CustomBothOob(_) => {
                context.trigger_by_event(event.structure(), false);
                true
            }
            // A sink has nothing to pass on to.
            _ => true,
        }
    }

    fn begin(&self, context: &Arc<Context>) -> bool {
        let Some(shared) = context.shared() else {
            return false;
        };
        let number = self.join(&shared, true);
        let ended = {
            let mut inner = shared.lock();
            let stream = &mut inner.streams[number];
            stream.linked = true;
            std::mem::replace(&mut stream.eos, false)
        };
        if ended {
            context.go_on();
        }
        true
    }

    fn set_segment(&self, context: &Context, segment: &gst::Segment) -> bool {
        let in_time = self.state().stamps.set_segment(segment);
        if !in_time && let Some(element) = context.element.upgrade() {
            gst::element_error!(
                element,
                gst::StreamError::Format,
                (
                    "The segment on {} is not in time: put a parser in front",
                    self.name
                )
            );
        }
        in_time
    }

    fn add_tags(&self, new: &gst::TagListRef) -> bool {
        if let Some((shared, number)) = self.target() {
            let mut inner = shared.lock();
            let stream = &mut inner.streams[number];
            let tags = match &stream.tags {
                Some(tags) => tags.merge(new, gst::TagMergeMode::Replace),
                None => new.to_owned(),
            };
            stream.tags = Some(tags);
        }
        true
    }

    fn flushed(&self, live: bool) {
        if let Some((shared, number)) = self.target() {
            let mut inner = shared.lock();
            inner.streams[number].eos = false;
            if !live {
                inner.clock.begin_anew();
                inner.runs = Runs::default();
            }
        }
        let mut state = self.state();
        match live {
            true => state.stamps.forget_segment(),
            false => {
                state.stamps.reset();
                state.watch = Watch::default();
            }
        }
    }

    fn end(&self, context: &Context, seqnum: gst::Seqnum) -> bool {
        if let Some((shared, number)) = self.target() {
            {
                let mut inner = shared.lock();
                inner.ring.end_stream(number);
                inner.streams[number].eos = true;
            }
            shared.notify();
            context.stream_ended(seqnum);
        }
        true
    }

    /// Upstream has nothing up to a timestamp: nobody is to wait for it.
    fn gap(&self, until: gst::ClockTime) {
        let mut state = self.state();
        let Some(time) = state.stamps.skip(until) else {
            return;
        };
        let Some((shared, number)) = state.target.clone() else {
            return;
        };
        drop(state);
        shared.lock().ring.gap(number, time);
        shared.notify();
    }

    fn set_caps(&self, context: &Arc<Context>, pad: &gst::Pad, caps: gst::Caps) -> bool {
        let Some((shared, number)) = self.target() else {
            return false;
        };
        let former = shared.lock().streams[number].caps.clone();
        if former.as_ref() == Some(&caps) {
            return true;
        }
        if former.is_some() {
            gst::info!(CAT, obj = pad, "The format changes: a new file");
            // No container takes two formats in one stream.
            context.restart();
        } else if self.is_video() && shared.lock().ring.reference() != Some(number) {
            gst::info!(CAT, obj = pad, "The picture comes after all: a new file");
            context.restart();
            shared.lock().ring.set_reference(number);
        }
        let units = Units::of(&caps);
        {
            let mut state = self.state();
            state.units = units;
            state.jpegs = is_jpeg(&caps);
            state.raw = Some(&caps)
                .filter(|caps| is_raw(caps))
                .and_then(|caps| gst_video::VideoInfo::from_caps(caps).ok());
            state.stamps.set_caps(&caps);
        }
        {
            let mut inner = shared.lock();
            let stream = &mut inner.streams[number];
            stream.caps = Some(caps);
            stream.codec = units.and_then(Units::byte_stream);
            stream.headers = None;
        }
        // Looked at with the first buffer: until then other caps may follow.
        self.rehearsed.store(false, Ordering::Relaxed);
        context.tell_progress();
        true
    }
}

/// Whether the buffer belongs to a pool that has only so many, as those of capture devices do.
fn from_bounded_pool(buffer: &gst::BufferRef, last: &mut Option<(usize, bool)>) -> bool {
    // SAFETY: the bindings do not give a buffer's pool. The buffer is valid, and the pool's pointer
    // in it does not change while the buffer is outside the pool; the buffer holds a reference to
    // the pool, of which another one is taken here.
    let pool: Option<gst::BufferPool> =
        unsafe { glib::translate::from_glib_none((*buffer.as_ptr()).pool) };
    let Some(pool) = pool else {
        return false;
    };
    let address = pool.as_ptr() as usize;
    if let Some((known, bounded)) = *last
        && known == address
    {
        return bounded;
    }
    // A maximum of zero means that buffers are made as they are needed.
    let params = pool.config().params();
    let bounded = params.is_none_or(|(_, _, _, maximum)| maximum != 0);
    *last = Some((address, bounded));
    bounded
}
