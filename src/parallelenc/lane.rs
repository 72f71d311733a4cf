// SPDX-License-Identifier: MIT OR Apache-2.0
//! One of the encoders, between a pad that feeds it and a pad that catches what it makes.

use std::sync::{Arc, Mutex};

use gst::glib;
use gst::prelude::*;

use crate::sync::lock;

/// A picture and what an encoder has to know of it.
#[derive(Debug)]
pub(crate) struct Job {
    pub buffer: gst::Buffer,
    pub caps: gst::Caps,
    pub segment: gst::Event,
}

/// What an encoder made of a picture.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub buffer: gst::Buffer,
    pub caps: Option<gst::Caps>,
}

/// Why there is nothing to pass on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LaneError {
    /// The encoder's own answer; where it is an error, it has said why.
    #[error("the encoder answered {0:?}")]
    Flow(gst::FlowError),
    /// There was no picture for a picture.
    #[error(
        "it does not give each picture back before it takes another: choose an encoder that \
         does, such as jpegenc, or do without parallelenc"
    )]
    Delays,
    /// A picture that needs others.
    #[error(
        "its pictures refer to each other, so that it cannot work on several at once: choose one \
         whose pictures stand alone, such as jpegenc"
    )]
    Refers,
}

#[derive(Debug, Default)]
struct Caught {
    buffers: Vec<gst::Buffer>,
    caps: Option<gst::Caps>,
}

/// An encoder, fed by one thread at a time.
#[derive(Debug)]
pub(crate) struct Lane {
    feed: gst::Pad,
    catch: gst::Pad,
    caught: Arc<Mutex<Caught>>,
    caps: Option<gst::Caps>,
    segment: Option<gst::Event>,
}

impl Lane {
    /// Links `encoder`, an element with a pad `sink` and a pad `src`, to pads of ours. It is told
    /// that what it makes has to fit into `output`'s peer.
    pub(crate) fn new(encoder: &gst::Element, output: &gst::Pad) -> Result<Self, glib::BoolError> {
        let pad = |name| {
            encoder
                .static_pad(name)
                .ok_or_else(|| glib::bool_error!("{} has no pad {name}", encoder.name()))
        };
        let (sink, src) = (pad("sink")?, pad("src")?);
        let feed = gst::Pad::builder(gst::PadDirection::Src)
            .name("feed")
            .build();
        let caught = Arc::new(Mutex::new(Caught::default()));
        let catch = catch_pad(&caught, output);
        feed.link(&sink)
            .map_err(|err| glib::bool_error!("{} takes no pictures: {err}", encoder.name()))?;
        src.link(&catch)
            .map_err(|err| glib::bool_error!("{} gives no pictures: {err}", encoder.name()))?;
        Ok(Self {
            feed,
            catch,
            caught,
            caps: None,
            segment: None,
        })
    }

    /// The encoder's sink pad.
    pub(crate) fn encoder_pad(&self) -> Option<gst::Pad> {
        self.feed.peer()
    }

    /// Lets pictures in, with a new stream, or keeps them out.
    pub(crate) fn set_active(&mut self, active: bool) -> Result<(), glib::BoolError> {
        self.caps = None;
        self.segment = None;
        self.catch.set_active(active)?;
        self.feed.set_active(active)?;
        if active {
            self.feed
                .push_event(gst::event::StreamStart::new("parallelenc"));
        }
        Ok(())
    }

    /// Encodes one picture, in the calling thread.
    pub(crate) fn encode(&mut self, job: Job) -> Result<Encoded, LaneError> {
        // The encoder may be late to hear of them, but never after the picture.
        if self.caps.as_ref() != Some(&job.caps) {
            self.feed.push_event(gst::event::Caps::new(&job.caps));
            self.caps = Some(job.caps);
        }
        // The same event, not one like it: this is asked for each picture.
        let known = |segment: &gst::Event| segment.as_ptr() == job.segment.as_ptr();
        if !self.segment.as_ref().is_some_and(known) {
            self.feed.push_event(job.segment.clone());
            self.segment = Some(job.segment);
        }
        let (pts, duration) = (job.buffer.pts(), job.buffer.duration());
        let flow = self.feed.push(job.buffer);
        let (buffers, caps) = {
            let mut caught = lock(&self.caught);
            (std::mem::take(&mut caught.buffers), caught.caps.clone())
        };
        flow.map_err(LaneError::Flow)?;
        let [mut buffer] = <[gst::Buffer; 1]>::try_from(buffers).map_err(|_| LaneError::Delays)?;
        if buffer.flags().contains(gst::BufferFlags::DELTA_UNIT) {
            let is_image = |caps: &gst::Caps| {
                let structure = caps.structure(0);
                structure.is_some_and(|it| it.name().starts_with("image/"))
            };
            if !caps.as_ref().is_some_and(is_image) {
                return Err(LaneError::Refers);
            }
            // `pngenc` says so, and its pictures stand alone.
            let picture = buffer.make_mut();
            picture.unset_flags(gst::BufferFlags::DELTA_UNIT);
        }
        // Some encoders count time from an origin of their own.
        let times = buffer.make_mut();
        times.set_pts(pts);
        times.set_dts(pts);
        times.set_duration(duration);
        Ok(Encoded { buffer, caps })
    }
}

fn catch_pad(caught: &Arc<Mutex<Caught>>, output: &gst::Pad) -> gst::Pad {
    gst::Pad::builder(gst::PadDirection::Sink)
        .name("catch")
        .chain_function({
            let caught = caught.clone();
            move |_, _, buffer| {
                lock(&caught).buffers.push(buffer);
                Ok(gst::FlowSuccess::Ok)
            }
        })
        .event_function({
            let caught = caught.clone();
            move |_, _, event| {
                if let gst::EventView::Caps(caps) = event.view() {
                    lock(&caught).caps = Some(caps.caps_owned());
                }
                true
            }
        })
        .query_function({
            let output = output.downgrade();
            move |pad, parent, query| {
                let peer = output.upgrade().and_then(|output| output.peer());
                match (query.type_(), peer) {
                    // The encoder is asked for what the element's peer takes.
                    (gst::QueryType::Caps | gst::QueryType::AcceptCaps, Some(peer)) => {
                        peer.query(query)
                    }
                    (gst::QueryType::Allocation, _) => false,
                    _ => gst::Pad::query_default(pad, parent, query),
                }
            }
        })
        .build()
}
