// SPDX-License-Identifier: MIT OR Apache-2.0
//! The encoder with its pads, what converts for it, and what it has pushed out.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard},
};

use gst::prelude::*;
use gst_video::VideoFormat;

use crate::{
    k230venc::engines::{self, Engine},
    sync::lock,
};
use k230_venc::{ChannelAttr, Code, Error, Mirror, Rotation};

/// What the encoder has pushed out; written by the encoder's streaming thread and the bus, read
/// by the channel.
#[derive(Default)]
pub(super) struct Caught {
    pub state: Mutex<CaughtState>,
    pub arrived: Condvar,
}

#[derive(Default)]
pub(super) struct CaughtState {
    pub buffers: VecDeque<gst::Buffer>,
    pub end_of_stream: bool,
    pub error: Option<String>,
}

impl Caught {
    pub(crate) fn lock(&self) -> MutexGuard<'_, CaughtState> {
        lock(&self.state)
    }
}

/// The elements between our two pads.
pub(super) struct Chain {
    pub bin: gst::Bin,
    pub encoder: gst::Element,
    pub feed: gst::Pad,
    pub catch: gst::Pad,
    pub fed: VideoFormat,
    pub asynchronous: bool,
}

impl Drop for Chain {
    fn drop(&mut self) {
        let _ = self.bin.set_state(gst::State::Null);
        let _ = self.feed.set_active(false);
        let _ = self.catch.set_active(false);
    }
}

fn make(factory: &'static str) -> Result<gst::Element, Error> {
    gst::ElementFactory::make(factory)
        .build()
        .map_err(|_| Error::NoElement {
            codec: "the picture's conversion",
            wanted: factory.into(),
        })
}

/// The elements that bring the picture into the encoder's shape, none if it is.
fn converters(attr: &ChannelAttr, engine: &Engine) -> Result<Vec<gst::Element>, Error> {
    let mut elements = Vec::new();
    let mut flip = |direction: &str| -> Result<(), Error> {
        let element = make("videoflip")?;
        element.set_property_from_str("video-direction", direction);
        elements.push(element);
        Ok(())
    };
    match attr.mirror {
        Mirror::None => {}
        Mirror::Horizontal => flip("horiz")?,
        Mirror::Vertical => flip("vert")?,
    }
    match attr.rotation {
        Rotation::None => {}
        Rotation::Quarter => flip("90r")?,
        Rotation::Half => flip("180")?,
        Rotation::ThreeQuarters => flip("90l")?,
    }
    if let Some(format) = engine.convert_to {
        elements.push(make("videoconvert")?);
        let filter = make("capsfilter")?;
        filter.set_property(
            "caps",
            gst_video::VideoCapsBuilder::new().format(format).build(),
        );
        elements.push(filter);
    }
    Ok(elements)
}

impl Chain {
    /// An encoder that is open and has accepted the channel's pictures.
    ///
    /// # Errors
    /// `K_ERR_VENC_NOTREADY` if it does not open, `K_ERR_VENC_NOT_SUPPORT` if it does not accept
    /// them, [`Error::NoElement`] if a converter is missing.
    pub(crate) fn new(
        attr: &ChannelAttr,
        engine: &Engine,
        caught: &Arc<Caught>,
    ) -> Result<Self, Error> {
        let factory = factory_name(&engine.element);
        let failed =
            |what: &str| Error::refused(Code::NotReady, format!("{factory} for {what} failed"));

        let mut elements = converters(attr, engine)?;
        elements.push(engine.element.clone());
        let bin = gst::Bin::new();
        bin.add_many(&elements)
            .and_then(|()| gst::Element::link_many(&elements))
            .map_err(|_| failed("linking the converters"))?;
        bin.set_bus(Some(&error_bus(caught)));

        let info = gst_video::VideoInfo::builder(engine.fed, attr.width, attr.height)
            .fps(gst::Fraction::new(
                attr.framerate.0 as i32,
                attr.framerate.1.max(1) as i32,
            ))
            .build()
            .map_err(|_| failed("the picture's format"))?;
        let caps = info.to_caps().map_err(|_| failed("the picture's caps"))?;
        let feed = feed_pad(caps.clone());
        let catch = catch_pad(engines::wanted_caps(attr), caught);
        let first = elements.first().and_then(|e| e.static_pad("sink"));
        let last = engine.element.static_pad("src");
        feed.link(&first.ok_or_else(|| failed("a sink pad"))?)
            .map_err(|_| failed("linking its input"))?;
        last.ok_or_else(|| failed("a source pad"))?
            .link(&catch)
            .map_err(|_| failed("linking its output"))?;

        let chain = Self {
            bin,
            encoder: engine.element.clone(),
            feed,
            catch,
            fed: engine.fed,
            asynchronous: engine.asynchronous,
        };
        chain.open().map_err(failed)?;
        let accepted = chain.begin(&caps);
        match caught.lock().error.take() {
            Some(reason) => Err(Error::refused(
                Code::NotSupport,
                format!("{factory}: {reason}"),
            )),
            None if !accepted => Err(Error::refused(
                Code::NotSupport,
                format!(
                    "{factory} does not encode {} pictures of {}x{} to {} {}",
                    info.format(),
                    attr.width,
                    attr.height,
                    attr.codec.name(),
                    attr.profile.name()
                ),
            )),
            None => Ok(chain),
        }
    }

    /// Activates the pads and opens the encoder. The error is what failed.
    fn open(&self) -> Result<(), &'static str> {
        let active = self.catch.set_active(true).and(self.feed.set_active(true));
        active.map_err(|_| "activating its pads")?;
        // A live encoder answers Async or NoPreroll; only Failure is one.
        self.bin
            .set_state(gst::State::Paused)
            .map(|_| ())
            .map_err(|_| "opening")
    }

    /// Sends what comes before the first picture. False if the encoder does not take it.
    fn begin(&self, caps: &gst::Caps) -> bool {
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        self.feed
            .push_event(gst::event::StreamStart::new("k230venc"))
            && self.feed.push_event(gst::event::Caps::new(caps))
            && self.feed.push_event(gst::event::Segment::new(&segment))
    }

    /// The encoder's own delay, in time.
    pub(crate) fn latency(&self) -> Option<gst::ClockTime> {
        let mut query = gst::query::Latency::new();
        self.catch.peer_query(&mut query).then(|| query.result().1)
    }
}

/// A bus that keeps the words of an error and lets everything else go.
fn error_bus(caught: &Arc<Caught>) -> gst::Bus {
    let bus = gst::Bus::new();
    let errors = Arc::downgrade(caught);
    bus.set_sync_handler(move |_, message| {
        if let (gst::MessageView::Error(error), Some(caught)) = (message.view(), errors.upgrade()) {
            caught.lock().error = Some(error.error().to_string());
            caught.arrived.notify_all();
        }
        gst::BusSyncReply::Drop
    });
    bus
}

fn feed_pad(caps: gst::Caps) -> gst::Pad {
    gst::Pad::builder(gst::PadDirection::Src)
        .name("feed")
        .query_function(move |pad, parent, query| match query.view_mut() {
            gst::QueryViewMut::Latency(query) => {
                query.set(true, gst::ClockTime::ZERO, gst::ClockTime::NONE);
                true
            }
            gst::QueryViewMut::Caps(query) => {
                let result = match query.filter() {
                    Some(filter) => caps.intersect(filter),
                    None => caps.clone(),
                };
                query.set_result(&result);
                true
            }
            _ => gst::Pad::query_default(pad, parent, query),
        })
        .build()
}

fn catch_pad(caps: gst::Caps, caught: &Arc<Caught>) -> gst::Pad {
    let buffers = caught.clone();
    let events = caught.clone();
    gst::Pad::builder(gst::PadDirection::Sink)
        .name("catch")
        .chain_function(move |_, _, buffer| {
            buffers.lock().buffers.push_back(buffer);
            buffers.arrived.notify_all();
            Ok(gst::FlowSuccess::Ok)
        })
        .event_function(move |_, _, event| {
            if event.type_() == gst::EventType::Eos {
                events.lock().end_of_stream = true;
                events.arrived.notify_all();
            }
            true
        })
        .query_function(move |pad, parent, query| match query.view_mut() {
            gst::QueryViewMut::Caps(query) => {
                let result = match query.filter() {
                    Some(filter) => caps.intersect(filter),
                    None => caps.clone(),
                };
                query.set_result(&result);
                true
            }
            gst::QueryViewMut::AcceptCaps(query) => {
                let accepted = query.caps().can_intersect(&caps);
                query.set_result(accepted);
                true
            }
            _ => gst::Pad::query_default(pad, parent, query),
        })
        .build()
}

fn factory_name(element: &gst::Element) -> String {
    element
        .factory()
        .map_or_else(|| element.name().to_string(), |f| f.name().to_string())
}
