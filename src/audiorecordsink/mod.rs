// SPDX-License-Identifier: MIT OR Apache-2.0
//! `audiorecordsink`: MaixCAM's `maix.audio.Recorder` as an element.
//!
//! ```text
//! gst-launch-1.0 -e audiotestsrc is-live=true num-buffers=200 ! audioconvert ! audioresample ! \
//!     audio/x-raw,rate=48000,channels=1 ! audiorecordsink location=test.wav
//! ```
//!
//! # Two ways to record
//!
//! A pipeline on its own records everything that reaches the element, from the start to the end of
//! the stream or to `finish()`, samples from outside their segment too (before it they have no timestamp in what `record()`
//! returns). A program that calls `record(ms)` or `reset(start)` takes over, as
//! MaixCAM's users know it: from the first such call on the file holds what `record()` returned
//! and nothing else. What had been written before that call is discarded, because the `Recorder`
//! opens its file at the first `record()`. The property `file-content` fixes one of the two ways.
//!
//! # What `record()` returns
//!
//! Samples that arrive wait in a store of `period-size` times `period-count` frames. With
//! `block=true` `record(ms)` returns exactly `ms * rate / 1000` frames, rounded down, and waits for
//! them; only the end of the stream, `finish()` or a state change make it return fewer. With
//! `block=false` it returns what is ready, at most that many frames, perhaps none; the store fills
//! between `reset(true)` and `reset(false)` only. A negative `ms` returns all that is ready.
//!
//! A microphone does not wait: when the store is full the oldest samples are lost, counted in
//! `overruns` and `lost-frames`, and an element message `audiorecordsink-overrun` says so; the next
//! buffer has the `DISCONT` flag. A source that is not live waits for `record()` as it would for
//! any slow sink, once `record()` or `reset()` has been called.
//!
//! # Files
//!
//! The sizes in a WAV header are right after every buffer, and once a second everything is sent to
//! the disk itself: a power cut leaves a playable file. Beyond 4 GiB WAV becomes RF64.
#![doc = include_str!("reference.md")]

use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;

mod calls;
mod imp;
mod recorder;
mod settings;

pub use settings::FileContent;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "audiorecordsink",
        gst::DebugColorFlags::empty(),
        Some("Audio recorder"),
    )
});

glib::wrapper! {
    /// Records raw audio to `.wav`, `.pcm` or the application; see the module's documentation.
    pub struct AudioRecordSink(ObjectSubclass<imp::AudioRecordSink>)
        @extends gst_base::BaseSink, gst::Element, gst::Object;
}

/// Makes the element known to `plugin`.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    FileContent::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    gst::Element::register(
        Some(plugin),
        "audiorecordsink",
        gst::Rank::NONE,
        AudioRecordSink::static_type(),
    )
}
