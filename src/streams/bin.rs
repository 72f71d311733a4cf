// SPDX-License-Identifier: MIT OR Apache-2.0
//! The skeleton of a recording bin: streams that come in through pads that are requested, and for
//! each what its first caps call for.
//!
//! A bin has [`Streams`], calls [`be_a_sink`] when it is constructed, [`Streams::add`] where a pad
//! is requested and [`Streams::release`] where it is released. Before PAUSED it gives every stream
//! the pad it leads to ([`Streams::set_target`]); on the way to READY it calls
//! [`Streams::stop`] before the parent's change of state and [`Streams::dismantle`] behind
//! it. With an error it calls [`Streams::fail`].

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use gst::glib;
use gst::prelude::*;

use super::entry::{self, Admission, Entry};
use crate::sync::lock;

/// One stream's way from its pad to the end.
#[derive(Debug)]
struct Stream {
    entry: Entry,
    target: Option<gst::Pad>,
}

/// The streams of a bin by their pads' names. Written by the application's threads when pads come
/// and go, by a stream's thread when its first caps arrive, and by whoever changes the state.
#[derive(Debug, Default)]
pub(crate) struct Streams(Mutex<BTreeMap<String, Stream>>);

/// Where a stream's elements are to be put.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The element behind the bin's pad, and what keeps its source pad until there is more.
    pub head: (gst::Element, gst::Pad),
    /// The pad that the stream leads to; `None` if there is no place for it.
    pub target: Option<gst::Pad>,
}

/// Says that `bin` is a sink, whatever is in it.
pub(crate) fn be_a_sink(bin: &impl IsA<gst::Bin>) {
    let bin: &gst::Bin = bin.upcast_ref();
    bin.set_suppressed_flags(gst::ElementFlags::SOURCE | gst::ElementFlags::SINK);
    bin.set_element_flags(gst::ElementFlags::SINK);
}

/// Runs what C calls; a panic becomes an error of `element`, and `fallback` the result. A panic
/// that got through would end the process.
pub(crate) fn guarded<T>(
    element: &impl IsA<gst::Element>,
    fallback: T,
    f: impl FnOnce() -> T,
) -> T {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no reason given");
        gst::element_error!(
            element,
            gst::LibraryError::Failed,
            ("A fault in this element, please report it: {text}")
        );
        fallback
    })
}

impl Streams {
    /// Adds the stream of `template` to `bin` and gives its pad. EOS that comes back while
    /// `ended` is not passed on upstream; `arrived` sees every buffer and every event downstream.
    pub(crate) fn add<E>(
        &self,
        bin: &E,
        template: &gst::PadTemplate,
        ended: impl Fn() -> bool + Send + Sync + 'static,
        arrived: impl Fn(
            &E,
            &gst::GhostPad,
            &mut gst::PadProbeInfo<'_>,
            &Admission,
        ) -> gst::PadProbeReturn
        + Send
        + Sync
        + 'static,
    ) -> Result<gst::Pad, glib::BoolError>
    where
        E: IsA<gst::Bin> + IsA<gst::Element> + Send + Sync,
    {
        let name = template.name_template().to_owned();
        if lock(&self.0).contains_key(&name) {
            return Err(glib::bool_error!("There is a pad {name} already"));
        }
        let entry = Entry::new(bin.upcast_ref(), template, ended)?;
        let pad = entry.pad().clone();
        let kinds = gst::PadProbeType::EVENT_DOWNSTREAM | gst::PadProbeType::BUFFER;
        pad.add_probe(kinds, {
            let bin = bin.downgrade();
            let admission = entry.admission().clone();
            move |pad, info| match bin.upgrade() {
                // What is dropped would be given back twice.
                Some(bin) => guarded(&bin, gst::PadProbeReturn::Handled, || {
                    arrived(&bin, pad, info, &admission)
                }),
                None => gst::PadProbeReturn::Ok,
            }
        });
        let stream = Stream {
            entry,
            target: None,
        };
        lock(&self.0).insert(name, stream);
        pad.set_active(true)?;
        bin.add_pad(&pad)?;
        Ok(pad.upcast())
    }

    /// Takes the stream of `pad` away. Returns the pad that it led to.
    pub(crate) fn release(&self, bin: &impl IsA<gst::Bin>, pad: &gst::Pad) -> Option<gst::Pad> {
        let bin: &gst::Bin = bin.upcast_ref();
        let stream = lock(&self.0).remove(pad.name().as_str());
        let target = stream.and_then(|stream| {
            stream.entry.remove(bin);
            stream.target
        });
        let _ = pad.set_active(false);
        let _ = bin.remove_pad(pad);
        target
    }

    /// The names of the streams.
    pub(crate) fn names(&self) -> Vec<String> {
        lock(&self.0).keys().cloned().collect()
    }

    /// The bin's pad for a stream.
    pub(crate) fn pad(&self, name: &str) -> Option<gst::GhostPad> {
        let streams = lock(&self.0);
        streams.get(name).map(|stream| stream.entry.pad().clone())
    }

    /// The pad that a stream is to lead to.
    pub(crate) fn set_target(&self, name: &str, target: Option<gst::Pad>) {
        if let Some(stream) = lock(&self.0).get_mut(name) {
            stream.target = target;
        }
    }

    /// Where elements are to be built for a stream's first caps; `None` where they were, or where
    /// the stream is gone. What was built for the first caps says whether it can take others.
    pub(crate) fn place(&self, name: &str) -> Option<Place> {
        let streams = lock(&self.0);
        let stream = streams.get(name)?;
        (!stream.entry.is_built()).then(|| Place {
            head: stream.entry.head(),
            target: stream.target.clone(),
        })
    }

    /// What was built for a stream's caps, to be taken away with it.
    pub(crate) fn built(&self, name: &str, elements: Vec<gst::Element>) {
        if let Some(stream) = lock(&self.0).get_mut(name) {
            stream.entry.built(elements);
        }
    }

    /// Ends a stream as if EOS had come from upstream.
    pub(crate) fn end(&self, name: &str) {
        let head = {
            let streams = lock(&self.0);
            streams.get(name).map(|stream| stream.entry.head())
        };
        if let Some(head) = head {
            entry::end(&head);
        }
    }

    /// The pad from which a stream goes to what is built for it.
    pub(crate) fn way_out(&self, name: &str) -> Option<gst::Pad> {
        let streams = lock(&self.0);
        streams.get(name)?.entry.head().0.static_pad("src")
    }

    /// Ends what was built for a stream; the stream itself goes on, to what is built next.
    pub(crate) fn drain(&self, name: &str) {
        let end = {
            let streams = lock(&self.0);
            streams
                .get(name)
                .and_then(|stream| match stream.entry.is_built() {
                    true => stream.entry.head().0.static_pad("src")?.peer(),
                    false => stream.target.clone(),
                })
        };
        if let Some(end) = end {
            end.send_event(gst::event::Eos::new());
        }
    }

    /// The streams begin anew.
    pub(crate) fn open(&self) {
        for stream in lock(&self.0).values() {
            stream.entry.admission().open();
        }
    }

    /// The bin stops: from here on, what comes is turned away.
    pub(crate) fn stop(&self) {
        for stream in lock(&self.0).values() {
            stream.entry.admission().stop();
        }
    }

    /// The bin has posted an error, or is about to: from here on, what comes is turned away.
    pub(crate) fn fail(&self) {
        for stream in lock(&self.0).values() {
            stream.entry.admission().fail();
        }
    }

    /// Takes away what was built. Returns the pads that the streams led to.
    pub(crate) fn dismantle(&self, bin: &impl IsA<gst::Bin>) -> Vec<gst::Pad> {
        let bin: &gst::Bin = bin.upcast_ref();
        // Elements are not stopped under the lock.
        let mut streams = std::mem::take(&mut *lock(&self.0));
        let mut targets = Vec::new();
        for stream in streams.values_mut() {
            stream.entry.dismantle(bin);
            targets.extend(stream.target.take());
        }
        lock(&self.0).append(&mut streams);
        targets
    }
}

/// Has a muxer wait for what comes to `pad`, however long that takes.
///
/// Muxers that are aggregators do without a live stream whose data are later than the latency that it tells. A file
/// has time: what is late belongs into it all the same, and `flvmux` even ends its file where a stream begins
/// earlier than what it has written.
pub(crate) fn have_it_waited_for(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::QUERY_UPSTREAM, |_, info| {
        let query = info.query_mut().map(gst::QueryRef::view_mut);
        let Some(gst::QueryViewMut::Latency(latency)) = query else {
            return gst::PadProbeReturn::Ok;
        };
        latency.set(false, gst::ClockTime::ZERO, gst::ClockTime::NONE);
        gst::PadProbeReturn::Handled
    });
}

/// Has nothing in a muxer's file where what comes to `pad` has a gap.
///
/// `GstAggregator` makes an empty buffer of a gap. `matroskamux`, which is one since GStreamer 1.26, writes that into the
/// file unless data are missing there, and readers give the next picture its time; `flvmux` writes that the stream ends.
pub(crate) fn write_no_gaps(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |pad, info| {
        let Some(gst::PadProbeData::Event(event)) = &mut info.data else {
            return gst::PadProbeReturn::Ok;
        };
        let gst::EventView::Gap(gap) = event.view() else {
            return gst::PadProbeReturn::Ok;
        };
        let factory = pad.parent_element().and_then(|muxer| muxer.factory());
        if factory.is_some_and(|factory| factory.name() == "flvmux") {
            // Dropped, it would be given back twice.
            return gst::PadProbeReturn::Handled;
        }
        let (start, duration) = gap.get();
        *event = gst::event::Gap::builder(start)
            .duration(duration)
            .gap_flags(gst::GapFlags::DATA)
            .seqnum(event.seqnum())
            .build();
        gst::PadProbeReturn::Ok
    });
}

/// Posts the error that a stream was refused with, unless what comes of it is turned away already; it is from here on.
pub(crate) fn refuse(
    bin: &impl IsA<gst::Element>,
    admission: &Admission,
    message: gst::ErrorMessage,
) -> gst::PadProbeReturn {
    let is_news = !admission.is_closed();
    if admission.fail() && is_news {
        bin.post_error_message(message);
    }
    gst::PadProbeReturn::Handled
}
