// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ogg files that have all that came. `oggmux` (GStreamer 1.22 to 1.28) loses four things:
//!
//! - The last picture of a stream that ends before another one does, and what is on a page with it. It has read that
//!   picture ahead (`gst_ogg_mux_queue_pads`), sees that nothing follows and takes the stream for ended, and then goes
//!   on with a page of the other stream (`gst_ogg_mux_process_best_pad`): it does not come back to one that has ended.
//! - All of a file, where nothing has come of one of its streams: it waits for a page of that one for ever, even
//!   behind its end (`gst_ogg_mux_dequeue_page`).
//! - The first two packets of Speex that has had no headers: it takes so many for headers, which it writes from the
//!   caps (`gst_ogg_stream_packet_is_header`). Of Vorbis without them it does not know how long a packet is heard. An
//!   encoder gives them once, to the first muxer.
//! - The first page of another file, if it ends with the first picture, as a key unit of 65 kB has it: that page has
//!   the time of the last file's last one, and sinks take it for one from before the file.
//!
//! For the first, the muxer stays with a stream until a page of it is complete, or longer than `max-delay` and another
//! stream is due. So the last buffer is kept until the end is known. The one before is put on a page of its own
//! (`max-page-delay`), which completes none; then the muxer is at this stream, waits for it, and stays with it
//! (`max-delay`) when it hears of the end.

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

/// So many buffers of another stream behind the end of one, the muxer has taken the last of that.
const SETTLED: u32 = 3;

/// How the streams of a muxer end.
#[derive(Debug, Default)]
struct Ending {
    /// How many have.
    ended: usize,
    /// How many are about to, and what `max-page-delay` is otherwise.
    count: usize,
    page_delay: u64,
}

impl Ending {
    /// Before the last buffer of a stream is handed on, of which so many have come since another one ended. False where
    /// the muxer may be at that one still.
    fn begin(&mut self, muxer: &gst::Element, since: u32) -> bool {
        if self.count == 0 {
            self.page_delay = muxer.property(PAGE_DELAY);
        }
        self.count += 1;
        let is_settled = self.ended == 0 || since >= SETTLED;
        if is_settled {
            // No page is completed, and the muxer is at whatever is due.
            muxer.set_property(PAGE_DELAY, 0_u64);
            muxer.set_property(DELAY, 0_u64);
        }
        is_settled
    }

    /// Before the muxer hears of the end; it `stays` at this stream unless that has completed a page.
    fn end(&mut self, muxer: &gst::Element, is_settled: bool, stays: bool) {
        self.count -= 1;
        if self.count == 0 {
            muxer.set_property(PAGE_DELAY, self.page_delay);
        }
        self.ended += 1;
        if is_settled {
            muxer.set_property(DELAY, if stays { NEVER } else { 0 });
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
    /// How many buffers have come since so many streams had ended.
    since: (usize, u32),
    has_headers: bool,
}

/// The headers of sound, which are in its caps. Of pictures the muxer knows what it needs without them.
fn headers(pad: &gst::Pad) -> Vec<gst::Buffer> {
    let caps = pad.current_caps();
    let structure = caps.as_ref().and_then(|caps| caps.structure(0));
    let structure = structure.filter(|it| it.name().starts_with("audio/"));
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
    ending: Arc<Mutex<Ending>>,
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
        let ended = lock(&self.ending).ended;
        let before = {
            let mut came = lock(&self.came);
            came.since = match came.since {
                (before, count) if before == ended => (ended, count.saturating_add(1)),
                _ => (ended, 0),
            };
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
        let (held, before, since) = {
            let mut came = lock(&self.came);
            (came.held.take(), came.before.take(), came.since)
        };
        let Some((last, events)) = held else {
            // Somebody has to tell of the end of the file.
            let is_alone = muxer.num_sink_pads() < 2;
            if !is_alone {
                muxer.release_request_pad(pad);
            }
            return is_alone;
        };
        let is_settled = {
            let mut ending = lock(&self.ending);
            let since = if since.0 == ending.ended { since.1 } else { 0 };
            ending.begin(muxer, since)
        };
        // If it is not taken, the end will not be either.
        let _ = self.pass(pad, |pad| pad.chain(last));
        let stays = before.is_some_and(|size| size < PAGE);
        lock(&self.ending).end(muxer, is_settled, stays);
        self.tell(pad, events);
        true
    }

    fn event(&self, pad: &gst::Pad, event: &gst::Event) -> bool {
        if let Some(muxer) = pad.parent_element()
            && event.type_() == gst::EventType::Eos
        {
            return self.end(pad, &muxer);
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

fn is_oggmux(muxer: &gst::Element) -> bool {
    muxer.factory().is_some_and(|it| it.name() == "oggmux")
}

/// Whether a muxer of several streams that has written a file can write another. This one would put pages behind
/// those that belong behind them, by times of the last file.
pub(crate) fn can_go_on(muxer: &gst::Element) -> bool {
    !is_oggmux(muxer)
}

/// Has an `oggmux` write all that comes, into one file if there are several streams. Other muxers stay as they are.
pub(crate) fn put_right(muxer: &gst::Element) {
    if !is_oggmux(muxer) {
        return;
    }
    for pad in muxer.src_pads() {
        pad.add_probe(gst::PadProbeType::BUFFER, |_, info| {
            if let Some(page) = info.buffer_mut()
                && page.duration().is_some_and(|it| it.nseconds() > NEVER)
            {
                // It ends before it begins.
                page.make_mut().set_duration(gst::ClockTime::NONE);
            }
            gst::PadProbeReturn::Ok
        });
    }
    let ending = Arc::new(Mutex::new(Ending::default()));
    muxer.connect_pad_added(move |_, pad| {
        if pad.direction() != gst::PadDirection::Sink {
            return;
        }
        let stream = Stream {
            ending: ending.clone(),
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
