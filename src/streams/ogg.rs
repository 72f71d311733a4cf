// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ogg files that have all that came. `oggmux` (GStreamer 1.22 to 1.28) loses three things:
//!
//! - The last picture of a stream that ends before another one does, and what is on a page with it. It has read that
//!   picture ahead (`gst_ogg_mux_queue_pads`), sees that nothing follows and takes the stream for ended, and then goes
//!   on with a page of the other stream (`gst_ogg_mux_process_best_pad`): it does not come back to one that has ended.
//! - All of a file, where nothing has come of one of its streams: it waits for a page of that one for ever, even
//!   behind its end (`gst_ogg_mux_dequeue_page`).
//!
//! - The first two packets of Speex that has had no headers: it takes so many for headers, which it writes from the
//!   caps (`gst_ogg_stream_packet_is_header`). An encoder gives them once, to the first muxer.
//!
//! The muxer stays with a stream until a page of it is complete, or longer than `max-delay` and another stream is due.
//! So the last buffer is kept until the end is known. The one before is put on a page of its own (`max-page-delay`),
//! which completes none; then the muxer is at this stream, waits for it, and stays with it (`max-delay`) when it hears
//! of the end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use gst::prelude::*;

use crate::sync::lock;

/// Longer than any file, and no sum with a time in one is beyond what the muxer counts with.
const NEVER: u64 = 1 << 62;

/// A packet of so many bytes completes a page alone: 255 segments of 255 bytes, the last one shorter (RFC 3533, 6).
const PAGE: usize = 254 * 255;

const DELAY: &str = "max-delay";
const PAGE_DELAY: &str = "max-page-delay";

/// What a muxer's properties are without this.
#[derive(Debug, Default)]
struct Usual {
    /// `max-delay`, if a stream has ended in this file.
    delay: Option<u64>,
    /// `max-page-delay`, while streams are about to end, and how many are.
    page_delay: u64,
    ending: usize,
}

impl Usual {
    /// Before the last buffer of a stream is handed on.
    fn begin_end(&mut self, muxer: &gst::Element) {
        if self.ending == 0 {
            self.page_delay = muxer.property(PAGE_DELAY);
        }
        self.ending += 1;
        // Of three, the others would have no end of their pages, and this one would wait for that.
        if muxer.num_sink_pads() == 2 {
            muxer.set_property(PAGE_DELAY, 0_u64);
        }
    }

    /// Before the muxer hears of the end; it is at this stream unless that has completed a page.
    fn end(&mut self, muxer: &gst::Element, is_at_it: bool) {
        self.ending -= 1;
        if self.ending == 0 {
            muxer.set_property(PAGE_DELAY, self.page_delay);
        }
        // Where another one has ended it may be at that one still.
        if self.delay.is_none() {
            self.delay = Some(muxer.property(DELAY));
            let delay = if is_at_it { NEVER } else { 0 };
            muxer.set_property(DELAY, delay);
        }
    }

    /// Another file begins.
    fn restore(&mut self, muxer: &gst::Element) {
        if let Some(delay) = self.delay.take() {
            muxer.set_property(DELAY, delay);
        }
    }
}

/// What has come of a stream.
#[derive(Debug, Default)]
struct Came {
    /// The last buffer, and what came behind it.
    held: Option<(gst::Buffer, Vec<gst::Event>)>,
    /// The size of the one before.
    before: Option<usize>,
    /// The muxer has had headers, and counts on in the next file.
    has_headers: bool,
    has_ended: bool,
}

/// The headers of Speex, which are in its caps. Of other formats the muxer knows a header when it sees one.
fn headers(pad: &gst::Pad) -> Vec<gst::Buffer> {
    let caps = pad.current_caps();
    let structure = caps.as_ref().and_then(|caps| caps.structure(0));
    let structure = structure.filter(|it| it.name() == "audio/x-speex");
    let headers = structure.and_then(|it| it.get::<gst::ArrayRef<'_>>("streamheader").ok());
    let headers = headers.iter().flat_map(|it| it.iter());
    headers
        .filter_map(|it| it.get::<gst::Buffer>().ok())
        .collect()
}

/// A stream on its way into a muxer.
#[derive(Debug, Default)]
struct Stream {
    came: Mutex<Came>,
    /// What passes is what was held.
    passes: AtomicBool,
    usual: Arc<Mutex<Usual>>,
}

impl Stream {
    /// Keeps a buffer, and has the one before go on in its place.
    fn keep(&self, pad: &gst::Pad, buffer: &mut gst::Buffer) -> Result<bool, gst::FlowError> {
        let is_header = buffer.flags().contains(gst::BufferFlags::HEADER);
        if !std::mem::replace(&mut lock(&self.came).has_headers, true) && !is_header {
            self.pass(pad, |pad| {
                // They may not be taken, nor will the buffer be then.
                headers(pad)
                    .into_iter()
                    .try_for_each(|it| pad.chain(it).map(drop))
            })?;
        }
        if is_header {
            return Ok(true);
        }
        let before = {
            let mut came = lock(&self.came);
            let before = came.held.replace((buffer.clone(), Vec::new()));
            came.before = before.as_ref().map(|(before, _)| before.size());
            before
        };
        match before {
            None => Ok(false),
            Some((before, events)) if events.is_empty() => {
                *buffer = before;
                Ok(true)
            }
            Some((before, events)) => {
                let passed = self.pass(pad, |pad| pad.chain(before));
                self.tell(pad, events);
                passed.map(|_| false)
            }
        }
    }

    fn pass<T>(&self, pad: &gst::Pad, f: impl FnOnce(&gst::Pad) -> T) -> T {
        self.passes.store(true, Ordering::Relaxed);
        let passed = f(pad);
        self.passes.store(false, Ordering::Relaxed);
        passed
    }

    fn tell(&self, pad: &gst::Pad, events: Vec<gst::Event>) {
        self.pass(pad, |pad| {
            for event in events {
                pad.send_event(event);
            }
        });
    }

    /// The stream is over. False where the muxer is not to hear of it.
    fn end(&self, pad: &gst::Pad, muxer: &gst::Element) -> bool {
        let (held, before) = {
            let mut came = lock(&self.came);
            came.has_ended = true;
            (came.held.take(), came.before.take())
        };
        let Some((last, events)) = held else {
            // Somebody has to tell of the end of the file.
            let is_alone = muxer.num_sink_pads() < 2;
            if !is_alone {
                muxer.release_request_pad(pad);
            }
            return is_alone;
        };
        lock(&self.usual).begin_end(muxer);
        // If it is not taken, the end will not be either.
        let _ = self.pass(pad, |pad| pad.chain(last));
        let is_at_it = before.is_some_and(|size| size < PAGE);
        lock(&self.usual).end(muxer, is_at_it);
        self.tell(pad, events);
        true
    }

    fn event(&self, pad: &gst::Pad, event: &gst::Event) -> bool {
        let Some(muxer) = pad.parent_element() else {
            return true;
        };
        if event.type_() == gst::EventType::Eos {
            return self.end(pad, &muxer);
        }
        let begins = event.type_() == gst::EventType::StreamStart;
        if begins && std::mem::take(&mut lock(&self.came).has_ended) {
            lock(&self.usual).restore(&muxer);
        }
        let mut came = lock(&self.came);
        match &mut came.held {
            Some((_, events)) if event.is_serialized() => {
                events.push(event.clone());
                false
            }
            _ => true,
        }
    }
}

/// Has an `oggmux` write all that comes. Other muxers stay as they are.
pub(crate) fn put_right(muxer: &gst::Element) {
    if muxer.factory().is_none_or(|it| it.name() != "oggmux") {
        return;
    }
    let usual = Arc::new(Mutex::new(Usual::default()));
    muxer.connect_pad_added(move |_, pad| {
        if pad.direction() != gst::PadDirection::Sink {
            return;
        }
        let stream = Stream {
            usual: usual.clone(),
            ..Stream::default()
        };
        let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
        pad.add_probe(kinds, move |pad, info| {
            if stream.passes.load(Ordering::Relaxed) {
                return gst::PadProbeReturn::Ok;
            }
            let goes_on = match &mut info.data {
                Some(gst::PadProbeData::Buffer(buffer)) => stream.keep(pad, buffer),
                Some(gst::PadProbeData::Event(event)) => Ok(stream.event(pad, event)),
                _ => Ok(true),
            };
            if goes_on == Ok(true) {
                return gst::PadProbeReturn::Ok;
            }
            if let Err(error) = goes_on {
                info.flow_res = Err(error);
            }
            gst::PadProbeReturn::Handled
        });
    });
}
