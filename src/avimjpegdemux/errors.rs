// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether somebody has told the application of an error.
//!
//! An element that fails posts why, and the one that reads the file then says no more. Not all do: `jpegdec` returns
//! an error for a picture in CMYK and posts nothing, and behind a queue nobody else would. The application would wait
//! for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gst::glib;
use gst::prelude::*;

/// Hears the errors that come to the bus of an element's pipeline, as long as it lives.
#[derive(Debug)]
pub struct Errors {
    bus: gst::Bus,
    handler: Option<glib::SignalHandlerId>,
    came: Arc<AtomicBool>,
}

impl Errors {
    /// `None` for an element whose messages nobody gets.
    pub fn of(element: &gst::Element) -> Option<Self> {
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

    /// Whether there was one.
    pub fn came(&self) -> bool {
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
