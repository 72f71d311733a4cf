// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the recorder asks of a pipeline: where the file goes, and who is told what.

use std::sync::{Arc, Mutex};

use gst::prelude::*;

use super::CAT;
use super::messages::{self, Warnings};
use super::output::{self, PadOutput};
use super::settings::Settings;
use crate::failure;
use crate::streams::{Profile, tags};
use crate::sync::lock;
use avi_mjpeg::recorder::shared::Host;
use avi_mjpeg::recorder::{self, Jump, RecordError, Recorder, Stream};
use avi_mjpeg::writer::Tags;

/// Downstream of an element.
#[derive(Debug)]
pub(super) struct Downstream {
    pub src: gst::Pad,
    pub settings: Arc<Mutex<Settings>>,
    /// Tags from upstream. Written by any sink pad's thread.
    pub tags: Mutex<gst::TagList>,
}

impl Downstream {
    pub fn new(src: gst::Pad, settings: Arc<Mutex<Settings>>) -> Self {
        Self {
            src,
            settings,
            tags: Mutex::new(gst::TagList::new()),
        }
    }

    pub fn profile(&self) -> Profile {
        lock(&self.settings).profile
    }

    /// Tells the user something, as long as there is an element.
    pub fn tell(&self, tell: impl FnOnce(&gst::Element)) {
        if let Some(element) = self.src.parent_element() {
            tell(&element);
        }
    }
}

impl Host for Downstream {
    type Input = gst::Pad;
    type Event = gst::Event;
    type Storage = PadOutput;

    fn may_come(&self, pad: &gst::Pad) -> bool {
        pad.is_linked()
    }

    fn is_seekable(&self) -> bool {
        output::is_seekable(&self.src)
    }

    fn waits(&self, pad: &gst::Pad) {
        let is_k210 = self.profile() == Profile::K210;
        self.tell(|element| messages::waiting(element, pad, is_k210));
    }

    fn unreadable(&self, frames: u64) {
        self.tell(|element| messages::unreadable(element, frames));
    }

    fn jumped(&self, pad: &gst::Pad, jump: Jump) {
        self.tell(|element| messages::jump(element, pad, jump));
    }

    /// Tells downstream what comes, and writes the head of the file.
    fn begin(
        &self,
        streams: &[Stream],
        left_out: &[gst::Pad],
        awaited: &[gst::Pad],
    ) -> Result<Recorder<PadOutput>, RecordError<gst::FlowError>> {
        let settings = lock(&self.settings).clone();
        self.tell(|element| messages::not_there(element, left_out, awaited));
        let file = recorder::Settings {
            profile: settings.profile.into(),
            big_file: settings.big_file,
            checkpoint_interval: settings.checkpoint_interval,
            tags: self.tags(),
        };
        let mut recorder = Recorder::start(PadOutput::begin(self.src.clone()), file, streams)?;
        self.tell(|element| {
            let mut warnings = Warnings::new(element, settings.profile == Profile::K210);
            recorder.on_notice(move |notice| warnings.tell(&notice));
        });
        Ok(recorder)
    }

    fn event(&self, storage: &mut PadOutput, event: gst::Event) -> Result<(), gst::FlowError> {
        storage.event(event)
    }

    fn tags(&self) -> Tags {
        let element = self.src.parent_element();
        let upstream = lock(&self.tags).clone();
        element.map_or_else(Tags::default, |element| tags::of(&element, &upstream))
    }

    fn finished(&self) {
        self.src.push_event(gst::event::Eos::new());
    }

    /// Makes a file of what is there, then tells why it ends.
    fn failed(
        &self,
        recorder: Option<&mut Recorder<PadOutput>>,
        error: &RecordError<gst::FlowError>,
    ) -> gst::FlowError {
        gst::debug!(CAT, obj = self.src, "{error}");
        match *error {
            // Downstream wants no more, which is no failure.
            RecordError::Storage(flow) if flow != gst::FlowError::Error => return flow,
            _ => {}
        }
        let is_finished = recorder.is_some_and(|recorder| recorder.end_after(error));
        self.tell(|element| messages::failed(element, error));
        if is_finished {
            // Behind the error: an application that sees the end first takes it for the good one.
            self.finished();
        }
        failure::POSTED
    }
}
