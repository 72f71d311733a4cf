// SPDX-License-Identifier: MIT OR Apache-2.0
//! The end of a recording of one stream that has no limits: a muxer and a file, and the same two
//! again for the next file when the application splits.
//!
//! `splitmuxsink` does that for several streams. It holds the frames of a group of pictures back for
//! it, in a queue with a thread of its own, which costs a fifth of what a recording of JPEGs costs.
//! One stream can be cut where it enters the muxer. What is done there is what `splitmuxsink` does:
//! EOS completes the file, and muxer and sink start anew under the next name.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use gst::glib;
use gst::prelude::*;

use super::tally::Current;
use crate::streams::{self, MissingElement};
use crate::sync::lock;

/// How far the file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum File {
    /// There is none, or the last one is complete.
    Closed,
    /// The states of muxer and sink are changing.
    Opening,
    Open,
    /// EOS is on its way through the muxer.
    Finishing,
    /// There will be no more: the recording is stopped, or the file could not be finished.
    Over,
}

#[derive(Debug)]
pub struct Plain {
    muxer: gst::Element,
    sink: gst::Element,
    /// A sink that does not preroll, for the bin to wait for until the first file is open.
    placeholder: gst::Element,
    /// The application wants the next file to begin with the next key unit.
    split: AtomicBool,
    /// Written by the stream's thread, by whoever brings the file's EOS or an error, and by whoever
    /// stops the recording.
    file: Mutex<File>,
    changed: Condvar,
}

impl Plain {
    /// A muxer without a file as yet.
    pub fn new(muxer: gst::Element) -> Result<Self, MissingElement> {
        let sink = streams::make("filesink")?;
        // The pipeline waits for the file to be opened, as it would for splitmuxsink's, and not for
        // what is written to it.
        sink.set_property("async", false);
        let placeholder = streams::make("fakesink")?;
        // Files are opened, and what was there destroyed, only when there is something to write.
        sink.set_locked_state(true);
        muxer.set_locked_state(true);
        Ok(Self {
            muxer,
            sink,
            placeholder,
            split: AtomicBool::new(false),
            file: Mutex::new(File::Closed),
            changed: Condvar::new(),
        })
    }

    pub fn muxer(&self) -> &gst::Element {
        &self.muxer
    }

    /// What has to be in the bin when the recording begins.
    pub fn elements(&self) -> [&gst::Element; 3] {
        [&self.muxer, &self.sink, &self.placeholder]
    }

    /// The muxer's pad for the stream `name`, found as `splitmuxsink` finds it.
    pub fn pad(&self, name: &str) -> Option<gst::Pad> {
        let templates = [&format!("{name}_%u"), name, "sink_%d", "sink"];
        templates.into_iter().find_map(|template| {
            let pad = self.muxer.request_pad_simple(template);
            pad.or_else(|| self.muxer.static_pad(template))
        })
    }

    /// The file that is open.
    pub fn location(&self) -> PathBuf {
        let location = self.sink.property::<Option<String>>("location");
        location.unwrap_or_default().into()
    }

    /// The next key unit begins the next file.
    pub fn split(&self) {
        self.split.store(true, Ordering::Relaxed);
    }

    /// Opens the first file; what the bin waits for can be discarded then.
    pub fn begin(&self, location: &Path) -> Result<&gst::Element, glib::BoolError> {
        // Its name may be one that was asked for.
        self.split.store(false, Ordering::Relaxed);
        self.muxer.link(&self.sink)?;
        self.open(location)?;
        Ok(&self.placeholder)
    }

    fn open(&self, location: &Path) -> Result<(), glib::BoolError> {
        {
            let mut file = lock(&self.file);
            if *file != File::Closed {
                return Err(glib::bool_error!("the recording is over"));
            }
            *file = File::Opening;
        }
        self.sink.set_property("location", location);
        let opened = [&self.sink, &self.muxer]
            .into_iter()
            .try_for_each(|element| {
                element.set_locked_state(false);
                element.sync_state_with_parent()
            });
        *lock(&self.file) = match opened {
            Ok(()) => File::Open,
            Err(_) => File::Over,
        };
        self.changed.notify_all();
        opened
    }

    /// Completes the file, in the stream's thread; false when the recording is over with that.
    fn close(&self, pad: &gst::Pad) -> bool {
        {
            let mut file = lock(&self.file);
            if *file != File::Open {
                return false;
            }
            *file = File::Finishing;
        }
        pad.send_event(gst::event::Eos::new());
        let finishing = |file: &mut File| *file == File::Finishing;
        let file = *self
            .changed
            .wait_while(lock(&self.file), finishing)
            .unwrap_or_else(PoisonError::into_inner);
        if file != File::Closed {
            return false;
        }
        for element in [&self.sink, &self.muxer] {
            element.set_locked_state(true);
            let _ = element.set_state(gst::State::Null);
        }
        true
    }

    /// Whether `object` is what says that a file is complete.
    pub fn is_sink(&self, object: Option<&gst::Object>) -> bool {
        object == Some(self.sink.upcast_ref())
    }

    /// It has said so; true when another file follows.
    pub fn goes_on(&self) -> bool {
        let mut file = lock(&self.file);
        if *file == File::Finishing {
            *file = File::Closed;
            self.changed.notify_all();
        }
        *file == File::Closed
    }

    /// An element has posted an error.
    pub fn failed(&self) {
        let mut file = lock(&self.file);
        if *file == File::Finishing {
            *file = File::Over;
            self.changed.notify_all();
        }
    }

    /// Lets go of the stream's thread, and opens no more files. Sinks that are started behind the
    /// back of a bin that stops would hold that thread for ever.
    pub fn stop(&self) {
        let opening = |file: &mut File| *file == File::Opening;
        let mut file = self
            .changed
            .wait_while(lock(&self.file), opening)
            .unwrap_or_else(PoisonError::into_inner);
        *file = File::Over;
        self.changed.notify_all();
    }

    /// Has what enters the muxer through its `target` cut into files.
    pub fn cut(
        self: &Arc<Self>,
        target: &gst::Pad,
        current: Arc<Mutex<Current>>,
        next_file: impl Fn() -> Option<PathBuf> + Send + Sync + 'static,
    ) {
        let Some(source) = target.peer() else { return };
        let (plain, target) = (self.clone(), target.clone());
        source.add_probe(gst::PadProbeType::BUFFER, move |source, info| {
            if source.peer().as_ref() != Some(&target) {
                // A recording later.
                return gst::PadProbeReturn::Remove;
            }
            let key_unit = info
                .buffer()
                .is_some_and(|buffer| !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT));
            let due = key_unit && plain.split.load(Ordering::Relaxed);
            if !due || lock(&current).frames == 0 {
                return gst::PadProbeReturn::Ok;
            }
            plain.split.store(false, Ordering::Relaxed);
            let opened = plain.close(&target)
                && next_file().is_some_and(|location| plain.open(&location).is_ok());
            if !opened {
                // Whoever could not has posted why.
                info.flow_res = Err(gst::FlowError::Error);
                return gst::PadProbeReturn::Handled;
            }
            source.sticky_events_foreach(|event| {
                target.send_event(event.clone());
                ControlFlow::Continue(gst::EventForeachAction::Keep)
            });
            gst::PadProbeReturn::Ok
        });
    }
}
