// SPDX-License-Identifier: MIT OR Apache-2.0
//! One failure, one error: what an element answers when the reason is on the bus.
//!
//! `GST_FLOW_ERROR` has each source upstream post "Internal data stream error" behind the error that
//! says what happened, and then send EOS. To the end of the stream sources, parsers, queues and
//! demuxers add no error: they only send EOS, and files on other branches are completed.
//!
//! That is for failures that this plugin has posted. What downstream answers is passed on as it is: not all elements
//! post why they fail (`jpegdec` does not for a picture in CMYK), and then the source's error is the only one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gst::glib;
use gst::prelude::*;

/// The answer when the error has been posted, and something went downstream before it.
pub(crate) const POSTED: gst::FlowError = gst::FlowError::Eos;

/// The answer when the error has been posted. EOS of a stream that never `began` completes nothing,
/// and is an error of its own to parsers: "No valid frames found before end of stream".
pub(crate) fn posted(began: bool) -> gst::FlowError {
    match began {
        true => POSTED,
        false => gst::FlowError::Flushing,
    }
}

/// Posts that a buffer cannot be read.
pub(crate) fn unreadable(element: Option<&gst::Element>) -> gst::FlowError {
    if let Some(element) = element {
        let text = "A buffer cannot be read";
        gst::element_error!(element, gst::ResourceError::Read, ("{text}"));
    }
    gst::FlowError::Error
}

/// Posts why playing a file stops, if whoever stopped it has not: `is_told` says whether an error is on the bus.
pub(crate) fn explain(element: &gst::Element, flow: gst::FlowError, is_told: bool) {
    let sentence = match flow {
        gst::FlowError::Flushing | gst::FlowError::Eos => return,
        gst::FlowError::Error if is_told => return,
        gst::FlowError::Error => {
            "An element that a stream of the file goes to failed, and does not say why"
        }
        gst::FlowError::NotLinked => "None of the file's streams is linked to an element",
        gst::FlowError::NotNegotiated => {
            "What a stream of the file is linked to does not take its format"
        }
        _ => "Playing the file stopped",
    };
    gst::element_error!(
        element,
        gst::StreamError::Failed,
        ("{sentence}"),
        ["streaming stopped, reason {flow:?}"]
    );
}

/// Hears the errors that come to the bus of an element's pipeline, as long as it lives: whether somebody has told the
/// application. Behind a queue nobody else would where an element returns an error and posts nothing, and the
/// application would wait for ever.
#[derive(Debug)]
pub(crate) struct Errors {
    bus: gst::Bus,
    handler: Option<glib::SignalHandlerId>,
    came: Arc<AtomicBool>,
}

impl Errors {
    /// `None` for an element whose messages nobody gets.
    pub(crate) fn of(element: &gst::Element) -> Option<Self> {
        let parents = |object: &gst::Object| object.parent();
        let own = element.clone().upcast::<gst::Object>();
        let top = std::iter::successors(Some(own), parents).last()?;
        let bus = top.downcast::<gst::Element>().ok()?.bus()?;
        let came = Arc::new(AtomicBool::new(false));
        let hears = came.clone();
        bus.enable_sync_message_emission();
        let handler = bus.connect_sync_message(Some("error"), move |_, _| {
            hears.store(true, Ordering::Release);
        });
        Some(Self {
            bus,
            handler: Some(handler),
            came,
        })
    }

    /// The element itself posts one: an application may keep those from its bus' signal.
    pub(crate) fn hear(&self) {
        self.came.store(true, Ordering::Release);
    }

    /// Whether there was one.
    pub(crate) fn came(&self) -> bool {
        self.came.load(Ordering::Acquire)
    }
}

impl Drop for Errors {
    fn drop(&mut self) {
        if let Some(handler) = self.handler.take() {
            self.bus.disconnect(handler);
        }
        self.bus.disable_sync_message_emission();
    }
}
