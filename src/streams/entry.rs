// SPDX-License-Identifier: MIT OR Apache-2.0
//! How streams get into a recording bin: pads called `video` and `audio` that are requested, and
//! behind each of them what the caps call for when they arrive.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gst::glib;
use gst::prelude::*;

use crate::failure;

/// The templates of a recording bin's pads.
pub(crate) fn pad_templates(video: &gst::Caps, audio: &gst::Caps) -> Vec<gst::PadTemplate> {
    [("video", video), ("audio", audio)]
        .into_iter()
        .filter_map(|(name, caps)| {
            let sink = gst::PadDirection::Sink;
            gst::PadTemplate::new(name, sink, gst::PadPresence::Request, caps).ok()
        })
        .collect()
}

/// Whether what comes on a pad is let in, and what upstream is told if it is not. Written by whoever changes the state
/// or posts an error, and by the stream's thread.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    /// The bin is on its way out of PAUSED, or the pad is being taken away.
    stopping: AtomicBool,
    /// The bin has posted an error.
    failed: AtomicBool,
    /// Something has gone downstream.
    began: AtomicBool,
}

impl Admission {
    /// What fails from here on fails because of an error that is about to be posted; true if it is the first.
    pub(crate) fn fail(&self) -> bool {
        !self.failed.swap(true, Ordering::AcqRel)
    }

    /// What fails from here on fails because the bin stops.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// The stream begins anew.
    pub(crate) fn open(&self) {
        for flag in [&self.stopping, &self.failed, &self.began] {
            flag.store(false, Ordering::Release);
        }
    }

    /// Whether everything is turned away.
    pub(crate) fn is_closed(&self) -> bool {
        self.refusal().is_some()
    }

    fn refusal(&self) -> Option<gst::FlowError> {
        if self.stopping.load(Ordering::Acquire) {
            return Some(gst::FlowError::Flushing);
        }
        let failed = self.failed.load(Ordering::Acquire);
        failed.then(|| failure::posted(self.began.load(Ordering::Acquire)))
    }

    /// What upstream is told of an error.
    pub(crate) fn answer(&self, error: gst::FlowError) -> gst::FlowError {
        self.refusal().unwrap_or(error)
    }

    /// The flow return for what `pass` does; `pass` is not called once everything is turned away.
    fn let_in(
        &self,
        pass: impl FnOnce() -> Result<gst::FlowSuccess, gst::FlowError>,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        if let Some(refusal) = self.refusal() {
            return Err(refusal);
        }
        let flow = pass().map_err(|error| self.answer(error))?;
        self.began.store(true, Ordering::Release);
        Ok(flow)
    }
}

/// One stream's way from its pad towards the end of the bin.
#[derive(Debug)]
pub(crate) struct Entry {
    ghost: gst::GhostPad,
    /// Tells upstream what is accepted while nothing is behind it yet.
    head: gst::Element,
    /// Linked to `head` as long as that is so: `gst_parse_bin_from_description()` would take a pad
    /// that is not linked, however deep in the bin, for one of its own bin's.
    plug: gst::Pad,
    /// What follows `head`, built when the stream's caps are known; perhaps nothing.
    behind: Vec<gst::Element>,
    built: bool,
    admission: Arc<Admission>,
}

impl Entry {
    /// A way into `bin` through a pad of `template`. The pad is not on the bin yet. EOS that comes
    /// back while `ended` is not passed on: a tee upstream would stop its other branches at it.
    pub(crate) fn new(
        bin: &gst::Bin,
        template: &gst::PadTemplate,
        ended: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Result<Self, glib::BoolError> {
        let name = template.name_template();
        let head = gst::ElementFactory::make("capsfilter")
            .name(format!("{name}-caps"))
            .property("caps", template.caps())
            .build()?;
        bin.add(&head)?;
        head.sync_state_with_parent()?;
        let plug = gst::Pad::builder(gst::PadDirection::Sink)
            .name("plug")
            .build();
        source_of(&head)?.link(&plug).map_err(no_link)?;
        let target = sink_of(&head)?;
        // What is behind the pad is taken away while upstream may still be pushing.
        let admission = Arc::new(Admission::default());
        let outcome = move |flow| match flow {
            Err(gst::FlowError::Eos) if ended() => Ok(gst::FlowSuccess::Ok),
            flow => flow,
        };
        let ghost = gst::GhostPad::builder_from_template_with_target(template, &target)?
            .name(name)
            .chain_function({
                let admission = admission.clone();
                move |pad, parent, buffer| {
                    admission.let_in(|| outcome(gst::ProxyPad::chain_default(pad, parent, buffer)))
                }
            })
            // One by one: probes for buffers see no lists.
            .chain_list_function(|pad, _, list| {
                let mut buffers = list.iter_owned();
                buffers.try_fold(gst::FlowSuccess::Ok, |_, buffer| pad.chain(buffer))
            })
            .event_full_function({
                let admission = admission.clone();
                move |pad, parent, event| {
                    // As gst_pad_send_event() has it for functions that say yes or no.
                    let error = match event.type_() {
                        gst::EventType::Caps => gst::FlowError::NotNegotiated,
                        _ => gst::FlowError::Error,
                    };
                    match gst::Pad::event_default(pad, parent, event) {
                        true => Ok(gst::FlowSuccess::Ok),
                        false => Err(admission.answer(error)),
                    }
                }
            })
            .build();
        Ok(Self {
            ghost,
            head,
            plug,
            behind: Vec::new(),
            built: false,
            admission,
        })
    }

    /// Whether what comes is let in.
    pub(crate) fn admission(&self) -> &Arc<Admission> {
        &self.admission
    }

    /// The bin's pad.
    pub(crate) fn pad(&self) -> &gst::GhostPad {
        &self.ghost
    }

    /// The element behind the pad, and what keeps its source pad until there is something else.
    pub(crate) fn head(&self) -> (gst::Element, gst::Pad) {
        (self.head.clone(), self.plug.clone())
    }

    /// Whether [`Entry::built`] has been called since the stream began.
    pub(crate) fn is_built(&self) -> bool {
        self.built
    }

    /// What was built for the stream's caps, to be taken away with it.
    pub(crate) fn built(&mut self, behind: Vec<gst::Element>) {
        self.behind = behind;
        self.built = true;
    }

    /// Takes away what was built.
    pub(crate) fn dismantle(&mut self, bin: &gst::Bin) {
        self.built = false;
        for element in std::mem::take(&mut self.behind) {
            discard(bin, &element);
        }
        if let Some(src) = self.head.static_pad("src") {
            if let Some(target) = src.peer() {
                let _ = src.unlink(&target);
            }
            let _ = src.link(&self.plug);
        }
    }

    /// Takes the pad, and what is behind it, away for good.
    pub(crate) fn remove(mut self, bin: &gst::Bin) {
        self.admission.stop();
        self.dismantle(bin);
        let _ = self.ghost.set_target(None::<&gst::Pad>);
        discard(bin, &self.head);
    }
}

/// The segment of a stream whose buffers come without one: their timestamps are running times, as GStreamer's own sinks
/// take them. It is to be told to what is behind the pad, which is told of it here.
pub(crate) fn assumed_segment(pad: &gst::GhostPad) -> Option<gst::Event> {
    if pad.sticky_event::<gst::event::Segment>(0).is_some() {
        return None;
    }
    let segment = gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new());
    // Refused by a pad that flushes, which lets nothing in.
    let _ = pad.store_sticky_event(&segment);
    Some(segment)
}

/// Brings what comes out of `head`, whose source pad `plug` has kept, through `chain`, which is
/// added to `bin`, to `target`.
pub(crate) fn extend(
    bin: &gst::Bin,
    head: &(gst::Element, gst::Pad),
    chain: &[gst::Element],
    target: &gst::Pad,
) -> Result<(), glib::BoolError> {
    add(bin, chain)?;
    join(head, chain, target).inspect_err(|_| {
        for element in chain {
            discard(bin, element);
        }
    })
}

/// What behind `head` does not take a stream with these caps, as a user knows it: the element that encodes it, or
/// writes it. `None` where it is taken, or a parser may bring it into another form.
pub(crate) fn refuses(head: &(gst::Element, gst::Pad), caps: &gst::Caps) -> Option<String> {
    if super::parser(caps).is_some() {
        return None;
    }
    let mut source = source_of(&head.0).ok()?;
    if !source.peer_query_caps(Some(caps)).is_empty() {
        return None;
    }
    let known = ["Encoder", "Muxer"];
    loop {
        let element = source.peer()?.parent_element()?;
        let factory = element.factory()?;
        let klass = factory.klass();
        if known.iter().any(|kind| klass.contains(kind)) {
            return Some(factory.name().into());
        }
        source = source_of(&element).ok()?;
    }
}

fn join(
    (head, plug): &(gst::Element, gst::Pad),
    chain: &[gst::Element],
    target: &gst::Pad,
) -> Result<(), glib::BoolError> {
    chain.iter().rev().try_for_each(start)?;
    let mut source = source_of(head)?;
    source.unlink(plug)?;
    // By their templates alone: to ask for the caps that are possible goes upstream, where the thread that
    // pushes these caps may hold a lock (aspectratiocrop's does). Negotiation asks downstream.
    let check = gst::PadLinkCheck::HIERARCHY | gst::PadLinkCheck::TEMPLATE_CAPS;
    for element in chain {
        let link = source.link_full(&sink_of(element)?, check);
        link.map_err(no_link)?;
        source = source_of(element)?;
    }
    source.link_full(target, check).map(drop).map_err(no_link)
}

/// Adds elements to `bin`, each of which is left alone by the bin's changes of state until it is [`start`]ed.
pub(crate) fn add(bin: &gst::Bin, elements: &[gst::Element]) -> Result<(), glib::BoolError> {
    for element in elements {
        element.set_locked_state(true);
    }
    bin.add_many(elements)
}

/// Brings an element to the state of the bin that it is in, in a stream's thread.
///
/// The element's state is locked until it is in READY. If it fails to start, the application hears of the error and may stop
/// the pipeline before the element is taken away: on the way down the bin would bring the element to READY first, which
/// fails again, and nothing upstream would be stopped.
pub(crate) fn start(element: &gst::Element) -> Result<(), glib::BoolError> {
    element.set_locked_state(true);
    if let Err(err) = element.set_state(gst::State::Ready) {
        let _ = element.set_state(gst::State::Null);
        return Err(glib::bool_error!("{} can't start: {err}", element.name()));
    }
    element.set_locked_state(false);
    element.sync_state_with_parent()
}

/// Ends the stream at `head`, as if EOS had come from upstream.
pub(crate) fn end((head, _): &(gst::Element, gst::Pad)) {
    if let Some(sink) = head.static_pad("sink") {
        sink.send_event(gst::event::Eos::new());
    }
}

/// Takes `element` out of `bin` and lets it go.
pub(crate) fn discard(bin: &gst::Bin, element: &gst::Element) {
    let _ = bin.remove(element);
    let _ = element.set_state(gst::State::Null);
}

/// The sink pad of an element that has one.
pub(crate) fn sink_of(element: &gst::Element) -> Result<gst::Pad, glib::BoolError> {
    element
        .static_pad("sink")
        .ok_or_else(|| glib::bool_error!("{} has no sink pad", element.name()))
}

/// The source pad of an element that has one, or gives one when asked.
pub(crate) fn source_of(element: &gst::Element) -> Result<gst::Pad, glib::BoolError> {
    element
        .static_pad("src")
        .or_else(|| element.request_pad_simple("src_%u"))
        .ok_or_else(|| glib::bool_error!("{} has no source pad", element.name()))
}

fn no_link(err: gst::PadLinkError) -> glib::BoolError {
    glib::bool_error!("the pads cannot be linked: {err}")
}
