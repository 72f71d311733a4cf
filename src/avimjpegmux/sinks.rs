// SPDX-License-Identifier: MIT OR Apache-2.0
//! The sink pads: what comes on them, and how they come and go.

use std::sync::{Arc, Mutex};

use gst::prelude::*;

use super::downstream::Downstream;
use super::payload::Bytes;
use super::settings::Settings;
use super::{CAT, caps, messages};
use crate::failure;
use crate::streams::upstream::{self, Upstream};
use crate::sync::lock;
use avi_mjpeg::recorder::inputs::Refused;
use avi_mjpeg::recorder::shared::{NotTaken, SharedRecorder};

/// The sink pads, and the file that they make.
#[derive(Debug)]
pub(super) struct Sinks {
    pub recorder: SharedRecorder<Downstream>,
}

impl Sinks {
    pub(crate) fn new(src: gst::Pad, settings: Arc<Mutex<Settings>>) -> Self {
        Self {
            recorder: SharedRecorder::new(Downstream::new(src, settings)),
        }
    }

    fn host(&self) -> &Downstream {
        self.recorder.host()
    }

    pub(crate) fn chain(
        &self,
        pad: &gst::Pad,
        upstream: &Upstream,
        buffer: gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        if upstream.is_refused() {
            return Err(failure::POSTED);
        }
        let time = upstream.shown(&buffer);
        let lasts = buffer.duration().map(gst::ClockTime::nseconds);
        let pushed = self.recorder.push(pad, Bytes(buffer), time, lasts);
        pushed.map(|()| gst::FlowSuccess::Ok).map_err(|why| {
            if let NotTaken::Refused(refused) = why {
                self.host()
                    .with_element(|element| messages::refused(element, pad, refused));
            }
            match why {
                NotTaken::Flushing => gst::FlowError::Flushing,
                NotTaken::Refused(Refused::Ended) => gst::FlowError::Eos,
                // A panic is posted where it is caught.
                NotTaken::Refused(Refused::NoFormat | Refused::NotInFile) | NotTaken::Lost => {
                    failure::POSTED
                }
                NotTaken::Failed(flow) => flow,
                NotTaken::NoInput => gst::FlowError::Error,
            }
        })
    }

    pub(crate) fn event(&self, pad: &gst::Pad, upstream: &Upstream, event: gst::Event) -> bool {
        use gst::EventView;

        gst::log!(CAT, obj = pad, "{event:?}");
        match event.view() {
            EventView::StreamStart(_) => upstream.forget_segment(),
            EventView::Caps(caps) => return self.set_caps(pad, upstream, &caps.caps_owned()),
            EventView::Segment(event)
                if !upstream.set_segment(event.segment(), caps::is_video(pad)) =>
            {
                self.host()
                    .with_element(|element| messages::backward(element, pad));
            }
            EventView::Tag(tag) => self.add_tags(tag.tag()),
            EventView::Gap(gap) => {
                let (start, duration) = gap.get();
                let end = upstream.running_time(start + duration.unwrap_or_default());
                self.recorder.gap(pad, end.unwrap_or(0).max(0));
            }
            EventView::Eos(_) => return self.recorder.end(pad),
            EventView::FlushStart(_) => {
                self.recorder.begin_flush(pad);
                return self.host().src.push_event(event);
            }
            EventView::FlushStop(_) => {
                upstream.forget_segment();
                // Downstream forgets what it has of the file, so the next one begins anew.
                self.recorder.flush(pad);
                if upstream.is_refused()
                    && let Some(caps) = pad.current_caps()
                {
                    // They may be what the next file begins with.
                    self.set_caps(pad, upstream, &caps);
                }
                return self.host().src.push_event(event);
            }
            EventView::CustomDownstream(_)
            | EventView::CustomDownstreamSticky(_)
            | EventView::CustomBoth(_) => self.recorder.event(pad, event),
            EventView::CustomDownstreamOob(_) | EventView::CustomBothOob(_) => {
                return self.host().src.push_event(event);
            }
            // All other events tell of one stream only, and mean nothing for a file of several.
            _ => {}
        }
        true
    }

    fn add_tags(&self, new: &gst::TagListRef) {
        // Tags of the whole replace earlier ones; those of a stream only add to them.
        let mode = match new.scope() {
            gst::TagScope::Global => gst::TagMergeMode::Replace,
            _ => gst::TagMergeMode::Keep,
        };
        {
            let mut tags = lock(&self.host().tags);
            *tags = tags.merge(new, mode);
        }
        self.recorder.tags_changed();
    }

    fn set_caps(&self, pad: &gst::Pad, upstream: &Upstream, caps: &gst::Caps) -> bool {
        upstream.refuse(false);
        gst::debug!(CAT, obj = pad, "caps {caps}");
        let format = match caps::is_video(pad) {
            true => caps::video_format(caps),
            false => caps::audio_format(caps, self.host().profile()),
        };
        let text = match format.map(|format| self.recorder.set_format(pad, format)) {
            Ok(Some(true)) => return true,
            Ok(None) => return false,
            Ok(Some(false)) if upstream::begins_a_file(pad, caps::is_video) => return false,
            Ok(Some(false)) => format!(
                "The format of pad {} changed to {caps}; a stream of an AVI file has one \
                 format. Convert it to the first, or begin another file.",
                pad.name()
            ),
            Err(error) => format!("Pad {}: {error}.", pad.name()),
        };
        self.host().with_element(|element| {
            gst::element_error!(element, gst::StreamError::Format, ("{text}"));
        });
        upstream.refuse(true);
        true
    }

    /// The name that a new pad is to have, `wanted` if that is one; `None` if there can be none.
    pub(crate) fn name_for(&self, is_video: bool, wanted: Option<&str>) -> Option<String> {
        let host = self.host();
        if let Err(why) = self.recorder.can_add(is_video, host.profile().into()) {
            gst::warning!(CAT, obj = host.src, "no further pad: {why}");
            return None;
        }
        let element = host.src.parent_element()?;
        let is_free = |name: &String| element.static_pad(name).is_none();
        let kind = if is_video { "video" } else { "audio" };
        match wanted.filter(|name| !name.contains('%')) {
            Some(name) => {
                let digits = name.strip_prefix(kind)?.strip_prefix('_')?;
                let is_number = digits.parse::<u32>().is_ok();
                Some(name.to_owned()).filter(|name| is_number && is_free(name))
            }
            None => (0..).map(|n: u32| format!("{kind}_{n}")).find(is_free),
        }
    }

    /// Forgets the file and all that waits.
    pub(crate) fn reset(&self) {
        *lock(&self.host().tags) = gst::TagList::new();
        self.recorder.reset(self.host().profile().into());
    }
}
