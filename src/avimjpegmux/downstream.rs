// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the recorder asks of a pipeline: where the file goes, and who is told what.

use std::sync::{Arc, Mutex};

use gst::prelude::*;

use super::CAT;
use super::messages;
use super::output::{self, PadOutput};
use super::settings::Settings;
use crate::failure;
use crate::streams::{Profile, tags};
use crate::sync::lock;
use avi_mjpeg::recorder::shared::Host;
use avi_mjpeg::recorder::{self, InputNotice, RecordError, Recorder, Stream, Warnings};
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
    pub(crate) fn new(src: gst::Pad, settings: Arc<Mutex<Settings>>) -> Self {
        Self {
            src,
            settings,
            tags: Mutex::new(gst::TagList::new()),
        }
    }

    pub(crate) fn profile(&self) -> Profile {
        lock(&self.settings).profile
    }

    /// Tells its user something, as long as there is an element.
    pub(crate) fn with_element(&self, tell: impl FnOnce(&gst::Element)) {
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

    fn tell(&self, pad: &gst::Pad, notice: InputNotice) {
        self.with_element(|element| messages::of_pad(element, pad, notice));
    }

    /// Tells downstream what comes, and writes the head of the file.
    fn begin(
        &self,
        streams: &[Stream],
    ) -> Result<Recorder<PadOutput>, RecordError<gst::FlowError>> {
        let settings = lock(&self.settings).clone();
        let file = recorder::Settings {
            profile: settings.profile.into(),
            big_file: settings.big_file,
            checkpoint_interval: settings.checkpoint_interval,
            tags: self.tags(),
        };
        let mut warnings = Warnings::new(file.profile);
        let mut recorder = Recorder::start(PadOutput::begin(self.src.clone()), file, streams)?;
        if let Some(element) = self.src.parent_element() {
            let element = element.downgrade();
            recorder.on_notice(move |notice| match element.upgrade() {
                Some(element) if warnings.take(&notice) => messages::warn(&element, &notice),
                Some(element) => gst::debug!(CAT, obj = element, "{notice}"),
                None => {}
            });
        }
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

    fn finished(&self, any: bool) {
        if !any {
            self.with_element(messages::nothing);
        }
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
        self.with_element(|element| messages::failed(element, error));
        if is_finished {
            // Behind the error: an application that sees the end first takes it for the good one.
            self.finished(true);
        }
        failure::POSTED
    }
}
