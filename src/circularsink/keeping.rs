// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which files stay, and what is told of them, of clocks and of gaps.

use std::path::Path;

use super::CAT;
use super::context::{Context, unsigned};
use super::gap::Gap;
use super::target;
use crate::ring::RecordingId;
use crate::streams::held;
use crate::streams::pins;
use crate::streams::retention::{Policy, Swept};
use crate::streams::wallclock::Change;
use crate::sync::lock;

impl Context {
    fn policy(&self) -> Policy {
        let order = lock(&self.settings).order(0, None);
        target::policy(&order)
    }

    /// Deletes what is beyond the limits.
    pub(crate) fn sweep(&self) {
        let swept = self.retention.sweep(|| self.policy());
        self.tell_swept(swept);
    }

    /// Makes room for so many bytes.
    pub(crate) fn make_room_for(&self, bytes: u64) {
        let swept = self.retention.make_room(bytes, || self.policy());
        self.tell_swept(swept);
    }

    /// Says that there is no room for what comes from one key unit on, or none even for that; once, until `max-bytes`
    /// is another.
    pub(crate) fn tell_large(&self, given_up: bool) {
        let limit = lock(&self.settings).max_bytes;
        let told = lock(&self.told_large)[usize::from(given_up)].replace(limit);
        let Some(element) = self.element.upgrade().filter(|_| told != Some(limit)) else {
            return;
        };
        let text = match given_up {
            true => {
                "What came behind one key unit was more than four times max-bytes: it is forgotten, as \
                 each time from here on; lower the encoder's key unit interval or raise max-bytes"
            }
            false => {
                "A single GOP is larger than max-bytes: it is kept, and none before it; raise max-bytes, or \
                 lower the encoder's key unit interval"
            }
        };
        gst::element_warning!(element, gst::StreamError::Failed, ("{text}"));
    }

    fn tell_swept(&self, swept: Swept) {
        for deleted in swept.deleted {
            let structure = gst::Structure::builder("circularsink-file-deleted")
                .field("location", deleted.path.to_string_lossy().as_ref())
                .field("bytes", deleted.bytes)
                .field("reason", deleted.reason.property())
                .build();
            gst::info!(CAT, "{structure}");
            self.post_structure(structure);
        }
        let Some(element) = self.element.upgrade() else {
            return;
        };
        for trouble in swept.troubles {
            gst::element_warning!(element, gst::ResourceError::Failed, ("{trouble}"));
        }
    }

    /// Has a file stay. Returns whether it is there.
    pub(crate) fn pin(&self, file: &Path) -> bool {
        let pinned = held::pin(file);
        self.marked(file, pinned)
    }

    /// Has a file stay no longer. Returns whether it is there.
    pub(crate) fn unpin(&self, file: &Path) -> bool {
        self.marked(file, pins::unpin(file))
    }

    fn marked(&self, file: &Path, result: std::io::Result<()>) -> bool {
        if let (Err(error), Some(element)) = (&result, self.element.upgrade()) {
            let file = file.display();
            gst::warning!(
                CAT,
                obj = element,
                "The mark of '{file}' can't be changed: {error}"
            );
        }
        result.is_ok()
    }

    /// Has open recordings stay. Returns whether there are any.
    pub(crate) fn pin_recordings(&self, chosen: impl Fn(RecordingId) -> bool) -> bool {
        let (files, count) = self.keep_open(chosen);
        let pinned = files.iter().filter(|file| self.pin(file)).count();
        count > files.len() || pinned > 0
    }

    /// Tells of a stream that was away.
    pub(crate) fn tell_gap(&self, stream: &str, gap: Gap) {
        let structure = gst::Structure::builder("circularsink-gap")
            .field("stream", stream)
            .field("start-running-time", unsigned(gap.from))
            .field("end-running-time", unsigned(gap.to))
            .field_if_some("start-utc", gap.utc.map(|utc| unsigned(utc.0)))
            .field_if_some("end-utc", gap.utc.map(|utc| unsigned(utc.1)))
            .build();
        gst::info!(CAT, "{structure}");
        self.post_structure(structure);
    }

    /// Tells of a clock that was set, as was seen at a running time.
    pub(crate) fn tell_clock(&self, time: i64, change: Change) {
        let structure = gst::Structure::builder("circularsink-clock-set")
            .field("running-time", unsigned(time))
            .field("source", change.source.name())
            .field("difference", change.by)
            .build();
        gst::info!(CAT, "{structure}");
        self.post_structure(structure);
    }
}
