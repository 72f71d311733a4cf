// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happens in a stream's thread: what arrives is let through or not, and for its first caps
//! the elements to the file are built.

use std::sync::atomic::{AtomicBool, Ordering};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::chain::{audio_chain, link_preview, preview_chain, video_chain};
use super::gate::Verdict;
use super::imp::{CAT, End, RecordSink};
use crate::streams::entry;
use crate::streams::{self, missing};
use crate::sync::lock;

impl RecordSink {
    /// Everything that reaches one of the pads, in the stream's thread.
    pub(super) fn arrived(
        &self,
        name: &str,
        pad: &gst::GhostPad,
        info: &mut gst::PadProbeInfo,
        stopping: &AtomicBool,
    ) -> gst::PadProbeReturn {
        match &info.data {
            Some(gst::PadProbeData::Event(event)) => {
                let gst::EventView::Caps(caps) = event.view() else {
                    return gst::PadProbeReturn::Ok;
                };
                let caps = self.paced(name, caps.caps_owned());
                if let Err(message) = self.build(name, &caps) {
                    if !stopping.swap(true, Ordering::AcqRel) {
                        self.obj().post_error_message(message);
                    }
                    return gst::PadProbeReturn::Handled;
                }
                info.data = Some(gst::PadProbeData::Event(gst::event::Caps::new(&caps)));
                gst::PadProbeReturn::Ok
            }
            Some(gst::PadProbeData::Buffer(buffer)) => {
                let segment = pad.sticky_event::<gst::event::Segment>(0);
                let time = segment.as_ref().and_then(|segment| {
                    let segment = segment.segment().downcast_ref::<gst::ClockTime>()?;
                    Some(segment.to_running_time(buffer.pts()?)?.nseconds())
                });
                if name == "audio" && time.is_none() && buffer.pts().is_some() {
                    // audio-sync has moved it before the beginning.
                    info.flow_res = Ok(gst::FlowSuccess::Ok);
                    return gst::PadProbeReturn::Handled;
                }
                let verdict = {
                    let mut flow = lock(&self.flow);
                    let start = flow.start;
                    let Some(gate) = flow.gates.get_mut(name) else {
                        return gst::PadProbeReturn::Ok;
                    };
                    gate.start = start;
                    let verdict = match name {
                        "video" => gate.video(time),
                        _ => gate.audio(time),
                    };
                    flow.start = gate.start;
                    verdict
                };
                match verdict {
                    Verdict::Pass => gst::PadProbeReturn::Ok,
                    Verdict::Drop => {
                        info.flow_res = Ok(gst::FlowSuccess::Ok);
                        gst::PadProbeReturn::Handled
                    }
                    Verdict::End => {
                        gst::info!(CAT, imp = self, "{name} has been recorded");
                        let head = lock(&self.state).streams.get(name).map(|s| s.entry.head());
                        if let Some(head) = head {
                            entry::end(&head);
                        }
                        info.flow_res = Ok(gst::FlowSuccess::Ok);
                        gst::PadProbeReturn::Handled
                    }
                }
            }
            _ => gst::PadProbeReturn::Ok,
        }
    }

    /// With `interval` set, fewer frames a second than upstream says are recorded.
    fn paced(&self, name: &str, mut caps: gst::Caps) -> gst::Caps {
        let interval = lock(&self.settings).interval;
        if name != "video" || interval == 0 {
            return caps;
        }
        let Ok(interval) = i32::try_from(interval) else {
            return caps;
        };
        let rate = gst::Fraction::new(1_000_000, interval);
        let slower = caps
            .structure(0)
            .and_then(|structure| structure.get::<gst::Fraction>("framerate").ok())
            .is_some_and(|framerate| framerate.numer() > 0 && framerate <= rate);
        if !slower {
            caps.make_mut().set("framerate", rate);
        }
        caps
    }

    /// Builds what follows a pad, for the first caps that arrive.
    fn build(&self, name: &str, caps: &gst::Caps) -> Result<(), gst::ErrorMessage> {
        let (head, target, container, end, alone) = {
            let state = lock(&self.state);
            let Some(stream) = state.streams.get(name) else {
                return Ok(());
            };
            if stream.entry.is_built() {
                // What was built for the first caps says whether it can take these.
                return Ok(());
            }
            let (Some(container), Some(end)) = (state.container, state.end.clone()) else {
                return Ok(());
            };
            (
                stream.entry.head(),
                stream.target.clone(),
                container,
                end,
                state.streams.len() == 1,
            )
        };
        let target = target.ok_or_else(|| {
            gst::error_msg!(
                gst::StreamError::Mux,
                ["The file's container holds no {name}: choose another extension"]
            )
        })?;
        let settings = lock(&self.settings).clone();
        let mut chain = match name {
            "video" => video_chain(&settings, container, caps)?,
            _ => audio_chain(&settings, container, caps)?,
        };
        if !alone && matches!(end, End::Elements(_)) {
            chain.push(streams::make("queue").map_err(|err| missing(&err))?);
        }
        let last_caps = match chain.last().and_then(|last| last.static_pad("src")) {
            Some(pad) => pad.query_caps(None),
            None => caps.clone(),
        };
        let raw = streams::is_raw(caps);
        let muxer = match &end {
            End::Split { muxer, .. } => Some(muxer),
            End::Plain(plain) => Some(plain.muxer()),
            End::Elements(_) => None,
        };
        if let Some(muxer) = muxer.filter(|muxer| !holds(muxer, &last_caps)) {
            let muxer = muxer.factory().map(|factory| factory.name().to_string());
            return Err(gst::error_msg!(
                gst::StreamError::Mux,
                [
                    "{} cannot hold {}: choose another extension, or give raw {name} to have it \
                     encoded",
                    muxer.as_deref().unwrap_or("The muxer"),
                    last_caps
                        .structure(0)
                        .map_or("it", |structure| structure.name().as_str())
                ]
            ));
        }
        gst::debug!(
            CAT,
            imp = self,
            "{name} is {caps}, {chain:?} makes {last_caps}"
        );

        let failed = |err: glib::BoolError| {
            gst::error_msg!(
                gst::CoreError::Negotiation,
                ["{name} cannot be brought to the file: {err}"]
            )
        };
        if name == "video" {
            // The end is new for each recording, and the probe goes with it.
            self.count(&target);
        }
        let bin = self.obj();
        let preview = if settings.preview && name == "video" {
            let tee = streams::make("tee").map_err(|err| missing(&err))?;
            tee.set_property("allow-not-linked", true);
            chain.insert(0, tee.clone());
            let preview = preview_chain(raw)?;
            bin.add_many(&preview).map_err(failed)?;
            Some((tee, preview))
        } else {
            None
        };
        match &end {
            End::Split { splitter, .. } => splitter.sync_state_with_parent(),
            End::Plain(plain) => plain.begin(&self.next_file()?).map(|placeholder| {
                let discard = || entry::discard(bin.upcast_ref(), placeholder);
                self.preroll.tell(discard);
            }),
            End::Elements(sink) => sink.sync_state_with_parent(),
        }
        .map_err(failed)?;
        entry::extend(bin.upcast_ref(), &head, &chain, &target).map_err(failed)?;
        if let End::Plain(plain) = &end {
            let current = lock(&self.flow).current.clone();
            plain.cut(&target, current, self.next_file_of());
        }
        if let Some((tee, preview)) = preview {
            link_preview(&tee, &preview).map_err(failed)?;
            chain.extend(preview);
        }
        if let Some(stream) = lock(&self.state).streams.get_mut(name) {
            stream.entry.built(chain);
        }
        Ok(())
    }

    /// Counts the encoded frames that reach `pad`, and writes down their times.
    fn count(&self, pad: &gst::Pad) {
        let this = self.downgrade();
        let messages = lock(&self.settings).frame_messages;
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let (Some(this), Some(buffer)) = (this.upgrade(), info.buffer()) else {
                return gst::PadProbeReturn::Ok;
            };
            let bytes = buffer.size() as u64;
            let pts = buffer.pts();
            let failed = {
                let mut flow = lock(&this.flow);
                flow.totals.frames += 1;
                flow.totals.bytes += bytes;
                flow.totals.last_frame_bytes = bytes;
                flow.pts_file
                    .as_mut()
                    .and_then(|file| file.write(pts?).err())
            };
            if let Some(err) = failed {
                // Once: without the file there is nothing more to write to.
                lock(&this.flow).pts_file = None;
                gst::element_imp_error!(
                    this,
                    gst::ResourceError::Write,
                    ["The PTS file cannot be written: {err}"]
                );
            }
            if messages {
                let details = gst::Structure::builder("recordsink-frame")
                    .field("bytes", bytes)
                    .field("pts", pts)
                    .build();
                this.post_element(details);
            }
            gst::PadProbeReturn::Ok
        });
    }
}

/// Which form of H.264 it is does not matter here: a parser makes the one that is wanted.
fn holds(muxer: &gst::Element, caps: &gst::Caps) -> bool {
    let held = |name: &str| {
        muxer
            .pad_template_list()
            .iter()
            .filter(|template| template.direction() == gst::PadDirection::Sink)
            .any(|template| template.caps().iter().any(|held| held.name() == name))
    };
    caps.iter().any(|structure| held(structure.name().as_str()))
}
