// SPDX-License-Identifier: MIT OR Apache-2.0
//! The pads: what arrives goes into the ring.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use gst::prelude::*;
use gst::subclass::prelude::*;
use k230_venc::Codec;

use super::CAT;
use super::headers;
use super::imp::CircularSink;
use super::recording::Notice;
use super::shared::{Media, Shared, Stream};
use crate::ring::{Item, Pushed};
use crate::sync::lock;

/// Formats of video. H.264 and H.265 come an access unit a buffer, which makes parsers in front
/// give them so.
pub fn video_caps() -> gst::Caps {
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
pub fn audio_caps() -> gst::Caps {
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
pub struct Input {
    name: String,
    state: Mutex<InputState>,
}

/// Written by the pad's streaming thread, and at changes of state.
#[derive(Debug, Default)]
struct InputState {
    /// The ring and the stream's number in it.
    target: Option<(Arc<Shared>, usize)>,
    segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    codec: Option<Codec>,
    /// Running time at which the last buffer ended, for those without a time.
    position: i64,
    /// The pool that the last buffer came from, and whether it has buffers without end.
    pool: Option<(usize, bool)>,
    warned_untimed: bool,
    warned_skipped: bool,
}

impl Input {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, InputState> {
        lock(&self.state)
    }

    fn is_video(&self) -> bool {
        self.name == "video"
    }

    /// Forgets the stream.
    pub fn reset(&self) {
        *self.state() = InputState::default();
    }

    /// Makes the pad's stream one of the ring's.
    pub fn join(&self, shared: &Arc<Shared>, linked: bool) -> usize {
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
    pub fn leave(&self) {
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

    /// Puts a buffer into the ring. Nothing is posted or pushed under the lock.
    fn take(&self, buffer: gst::Buffer) -> Result<Accepted, Refusal> {
        let mut state = self.state();
        let state = &mut *state;
        let Some((shared, number)) = &state.target else {
            return Err(Refusal::Flushing);
        };
        let Some(segment) = &state.segment else {
            return Err(Refusal::NoSegment);
        };
        let stamp = buffer.pts().or(buffer.dts());
        let time = stamp.and_then(|stamp| running_time(segment, stamp));
        let untimed = time.is_none() && !std::mem::replace(&mut state.warned_untimed, true);
        let time = time.unwrap_or(state.position);
        let duration = buffer.duration().map_or(0, |d| d.nseconds() as i64);
        let shift = stamp.map_or(0, |stamp| time - stamp.nseconds() as i64);
        let delta = buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let mut item = Item {
            time,
            end: time.saturating_add(duration),
            bytes: u32::try_from(buffer.size()).unwrap_or(u32::MAX),
            key: !self.is_video() || !delta,
            payload: Media { buffer, shift },
        };
        state.position = state.position.max(item.end);
        if from_bounded_pool(&item.payload.buffer, &mut state.pool) {
            // Kept for seconds, such buffers would be missing where they come from.
            match item.payload.buffer.copy_deep() {
                Ok(copy) => item.payload.buffer = copy,
                Err(error) => return Err(Refusal::NoMemory(error)),
            }
        }
        let headers = match state.codec {
            Some(codec) if item.key => headers::headers_of(codec, &item.payload.buffer),
            _ => None,
        };

        let (pushed, dropped, waiting, former) = {
            let mut inner = shared.lock();
            let former = headers.and_then(|h| inner.streams[*number].headers.replace(h));
            let pushed = inner.ring.push(*number, item);
            let dropped = inner.ring.take_dropped(Vec::new());
            (pushed, dropped, inner.waiting > 0, former)
        };
        if waiting {
            shared.notify();
        }
        drop((dropped, former));
        let first_skipped = pushed.skipped && !std::mem::replace(&mut state.warned_skipped, true);
        Ok(Accepted {
            pushed,
            first_skipped,
            untimed,
        })
    }
}

/// What happened to a buffer.
struct Accepted {
    pushed: Pushed,
    first_skipped: bool,
    /// The first one without a time.
    untimed: bool,
}

/// Why a buffer could not be taken.
enum Refusal {
    /// The element is being stopped.
    Flushing,
    NoSegment,
    NoMemory(glib::BoolError),
}

impl CircularSink {
    /// Makes a pad for an input.
    pub fn new_pad(&self, template: &gst::PadTemplate, input: &Arc<Input>) -> gst::Pad {
        let for_chain = input.clone();
        let for_events = input.clone();
        gst::Pad::builder_from_template(template)
            .name(input.name.as_str())
            .chain_function(move |pad, parent, buffer| {
                CircularSink::catch_panic_pad_function(
                    parent,
                    || Err(gst::FlowError::Error),
                    |imp| imp.chain(pad, &for_chain, buffer),
                )
            })
            .event_function(move |pad, parent, event| {
                CircularSink::catch_panic_pad_function(
                    parent,
                    || false,
                    |imp| imp.event(pad, &for_events, event),
                )
            })
            .build()
    }

    /// Holds the streaming thread while the element is paused. The stream waits for the pipeline's
    /// state here, as at any sink, never for a recording.
    fn wait_for_playing(&self, pad: &gst::Pad) -> Result<(), gst::FlowError> {
        if self.gate.open.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut closed = lock(&self.gate.closed);
        loop {
            if *closed || pad.pad_flags().contains(gst::PadFlags::FLUSHING) {
                return Err(gst::FlowError::Flushing);
            }
            if self.gate.open.load(Ordering::Acquire) {
                return Ok(());
            }
            closed = self
                .gate
                .changed
                .wait(closed)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn chain(
        &self,
        pad: &gst::Pad,
        input: &Input,
        buffer: gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.wait_for_playing(pad)?;
        if buffer.pts().is_none() && buffer.flags().contains(gst::BufferFlags::HEADER) {
            // Stream headers are in the caps as well, from where each recording has them.
            return Ok(gst::FlowSuccess::Ok);
        }
        let taken = input
            .take(buffer)
            .map_err(|refusal| self.refuse(input, refusal))?;
        if taken.untimed {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Format,
                (
                    "Buffers on {} have no timestamps: put a parser in front",
                    input.name
                )
            );
        }
        if taken.pushed != Pushed::default() {
            self.react(pad, input, &taken.pushed, taken.first_skipped);
        }
        Ok(gst::FlowSuccess::Ok)
    }

    fn refuse(&self, input: &Input, refusal: Refusal) -> gst::FlowError {
        match refusal {
            Refusal::Flushing => return gst::FlowError::Flushing,
            Refusal::NoSegment => gst::element_imp_error!(
                self,
                gst::StreamError::Failed,
                ("The stream on {} has no segment in time", input.name)
            ),
            Refusal::NoMemory(error) => gst::element_imp_error!(
                self,
                gst::ResourceError::NoSpaceLeft,
                ("No memory for a copy of a buffer: {error}")
            ),
        }
        gst::FlowError::Error
    }

    /// Acts on what rarely happens when a buffer goes into the ring.
    fn react(&self, pad: &gst::Pad, input: &Input, pushed: &Pushed, first_skipped: bool) {
        if pushed.skipped {
            lock(&self.session).skipped.fetch_add(1, Ordering::Relaxed);
            if first_skipped {
                gst::info!(
                    CAT,
                    imp = self,
                    "{} begins without a key unit: waiting",
                    input.name
                );
                request_key_unit(pad);
            }
        }
        if pushed.oversize {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Failed,
                ("A single GOP is larger than max-bytes: it is kept, but lower the encoder's key unit interval or raise max-bytes")
            );
            request_key_unit(pad);
        }
        if pushed.given_up {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Failed,
                ("No key unit came within four times max-bytes: what was kept is forgotten")
            );
            request_key_unit(pad);
        }
        if !pushed.cut_off.is_empty() || pushed.settled {
            let session = lock(&self.session);
            for open in &session.open {
                let notice = if pushed.cut_off.contains(&open.id) {
                    Notice::CutOff
                } else {
                    Notice::Progress
                };
                let _ = open.notices.send(notice);
            }
        }
    }

    fn event(&self, pad: &gst::Pad, input: &Arc<Input>, event: gst::Event) -> bool {
        use gst::EventView;
        gst::log!(CAT, obj = pad, "{event:?}");
        match event.view() {
            EventView::StreamStart(_) => {
                let Some(shared) = self.shared() else {
                    return false;
                };
                let number = input.join(&shared, true);
                let mut inner = shared.lock();
                let stream = &mut inner.streams[number];
                stream.linked = true;
                stream.eos = false;
                true
            }
            EventView::Caps(caps) => self.set_caps(input, caps.caps_owned()),
            EventView::Segment(segment) => {
                let Ok(segment) = segment.segment().clone().downcast::<gst::ClockTime>() else {
                    gst::element_imp_error!(
                        self,
                        gst::StreamError::Format,
                        (
                            "The segment on {} is not in time: put a parser in front",
                            input.name
                        )
                    );
                    return false;
                };
                input.state().segment = Some(segment);
                true
            }
            EventView::Gap(gap) => {
                if self.wait_for_playing(pad).is_err() {
                    return false;
                }
                let (start, duration) = gap.get();
                self.gap(input, start + duration.unwrap_or(gst::ClockTime::ZERO));
                true
            }
            EventView::Tag(tag) => {
                if let Some((shared, number)) = input.target() {
                    let mut inner = shared.lock();
                    let stream = &mut inner.streams[number];
                    let tags = match &stream.tags {
                        Some(tags) => tags.merge(tag.tag(), gst::TagMergeMode::Replace),
                        None => tag.tag_owned(),
                    };
                    stream.tags = Some(tags);
                }
                true
            }
            EventView::FlushStart(_) => {
                // Wakes the streaming thread if it waits for PLAYING: the pad is flushing already.
                drop(lock(&self.gate.closed));
                self.gate.changed.notify_all();
                true
            }
            EventView::FlushStop(_) => {
                if let Some((shared, number)) = input.target() {
                    shared.lock().streams[number].eos = false;
                }
                let mut state = input.state();
                state.segment = None;
                state.position = 0;
                drop(state);
                // What comes after a seek does not continue what is kept.
                self.restart();
                true
            }
            EventView::Eos(_) => {
                if self.wait_for_playing(pad).is_err() {
                    return false;
                }
                if let Some((shared, number)) = input.target() {
                    {
                        let mut inner = shared.lock();
                        inner.ring.end_stream(number);
                        inner.streams[number].eos = true;
                    }
                    shared.notify();
                    let seqnum = event.seqnum();
                    lock(&self.session).last_eos = Some(seqnum);
                    self.tell_progress();
                    self.check_end();
                }
                true
            }
            EventView::CustomDownstream(custom) => {
                self.trigger_by_event(custom.structure(), true);
                true
            }
            EventView::CustomDownstreamOob(custom) => {
                self.trigger_by_event(custom.structure(), false);
                true
            }
            EventView::CustomBoth(custom) => {
                self.trigger_by_event(custom.structure(), true);
                true
            }
            EventView::CustomBothOob(custom) => {
                self.trigger_by_event(custom.structure(), false);
                true
            }
            // A sink has nothing to pass on to.
            _ => true,
        }
    }

    /// Upstream has nothing up to a timestamp: nobody is to wait for it.
    fn gap(&self, input: &Input, until: gst::ClockTime) {
        let mut state = input.state();
        let Some(time) = state
            .segment
            .as_ref()
            .and_then(|segment| running_time(segment, until))
        else {
            return;
        };
        state.position = state.position.max(time);
        let Some((shared, number)) = state.target.clone() else {
            return;
        };
        drop(state);
        shared.lock().ring.gap(number, time);
        shared.notify();
    }

    fn tell_progress(&self) {
        lock(&self.session).tell_all(|| Notice::Progress);
    }

    fn set_caps(&self, input: &Arc<Input>, caps: gst::Caps) -> bool {
        let Some((shared, number)) = input.target() else {
            return false;
        };
        let former = shared.lock().streams[number].caps.clone();
        if former.as_ref() == Some(&caps) {
            return true;
        }
        if former.is_some() {
            gst::info!(
                CAT,
                imp = self,
                "{} changes its format: a new file",
                input.name
            );
            // No container takes two formats in one stream.
            self.restart();
        }
        let codec = headers::codec_of_byte_stream(&caps);
        input.state().codec = codec;
        {
            let mut inner = shared.lock();
            let stream = &mut inner.streams[number];
            stream.caps = Some(caps);
            stream.codec = codec;
            stream.headers = None;
        }
        self.tell_progress();
        true
    }
}

fn running_time(
    segment: &gst::FormattedSegment<gst::ClockTime>,
    stamp: gst::ClockTime,
) -> Option<i64> {
    Some(match segment.to_running_time_full(stamp)? {
        gst::Signed::Positive(time) => i64::try_from(time.nseconds()).ok()?,
        gst::Signed::Negative(time) => -i64::try_from(time.nseconds()).ok()?,
    })
}

/// Whether the buffer belongs to a pool that has only so many, as those of capture devices do.
fn from_bounded_pool(buffer: &gst::BufferRef, last: &mut Option<(usize, bool)>) -> bool {
    // SAFETY: the buffer is valid, and the pool's pointer in it does not change while the buffer
    // is outside the pool.
    let pool = unsafe { (*buffer.as_ptr()).pool };
    if pool.is_null() {
        return false;
    }
    if let Some((address, bounded)) = *last
        && address == pool as usize
    {
        return bounded;
    }
    // SAFETY: the buffer holds a reference to its pool, of which this takes another.
    let pool: gst::BufferPool = unsafe { glib::translate::from_glib_none(pool) };
    // A maximum of zero means that buffers are made as they are needed.
    let bounded = pool
        .config()
        .params()
        .is_none_or(|(_, _, _, maximum)| maximum != 0);
    *last = Some((pool.as_ptr() as usize, bounded));
    bounded
}

/// Asks upstream for a key unit.
pub fn request_key_unit(pad: &gst::Pad) {
    let event = gst_video::UpstreamForceKeyUnitEvent::builder()
        .all_headers(true)
        .build();
    if !pad.push_event(event) {
        gst::debug!(CAT, obj = pad, "Upstream makes no key units on request");
    }
}
