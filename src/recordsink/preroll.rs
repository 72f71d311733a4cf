// SPDX-License-Identifier: MIT OR Apache-2.0
//! PAUSED to PLAYING waits for whoever tells the pipeline that PAUSED is reached.
//! Knows no GStreamer.
//!
//! A bin notes that it is not in PLAYING after it has posted that it reached PAUSED. splitmuxsink has
//! that posted by a stream's thread, which holds nothing meanwhile: an application that goes to
//! PLAYING as soon as it hears of PAUSED, as gst-launch-1.0 does, may be there before the note is
//! taken, and the pipeline then never forwards EOS. Behind a plain sink this cannot happen, since its
//! change to PLAYING waits for the preroll lock that the stream's thread holds.

use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::{self, ThreadId};

use crate::sync::lock;

#[derive(Debug, Default)]
pub(crate) struct Preroll {
    /// Threads that are telling the pipeline.
    telling: Mutex<Vec<ThreadId>>,
    told: Condvar,
}

impl Preroll {
    /// Tells the pipeline by `tell`.
    pub(crate) fn tell(&self, tell: impl FnOnce()) {
        let me = thread::current().id();
        lock(&self.telling).push(me);
        tell();
        let mut telling = lock(&self.telling);
        if let Some(place) = telling.iter().position(|thread| *thread == me) {
            telling.swap_remove(place);
        }
        self.told.notify_all();
    }

    /// Waits until nobody else tells the pipeline. (A message handler of the application may change
    /// the state in the very thread that tells.)
    pub(crate) fn wait(&self) {
        let me = thread::current().id();
        let others = |telling: &mut Vec<ThreadId>| telling.iter().any(|thread| *thread != me);
        drop(
            self.told
                .wait_while(lock(&self.telling), others)
                .unwrap_or_else(PoisonError::into_inner),
        );
    }
}
