// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the element tells of its work: the property `stats`, and QoS messages.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::imp::K210CameraSrc;
use crate::sync::lock;
use k210_link::command::Code;
use k210_link::session;

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl K210CameraSrc {
    pub(super) fn post_qos(&self) {
        let counters = lock(&self.counters).clone();
        let (frames, dropped) = (load(&counters.frames), load(&counters.dropped));
        let obj = self.obj();
        let now = obj.current_running_time();
        let message = gst::message::Qos::builder(true)
            .running_time(now)
            .stats(
                gst::format::Buffers::from_u64(frames),
                gst::format::Buffers::from_u64(dropped),
            )
            .src(&*obj)
            .build();
        let _ = obj.post_message(message);
    }

    /// Takes the counters for the rates in `stats`.
    pub(super) fn measure(&self) {
        let counters = lock(&self.counters).clone();
        lock(&self.meter).update(
            Instant::now(),
            [load(&counters.frames), load(&counters.received)],
        );
    }

    pub(super) fn stats(&self) -> gst::Structure {
        self.measure();
        let counters = lock(&self.counters).clone();
        let [fps, received] = lock(&self.meter).rates();
        let baud = lock(&self.settings).baud_rate;
        let second = session::wire_time(1, baud).as_secs_f64();
        let mut by_command = gst::Structure::new_empty("bytes-by-command");
        for code in Code::ALL {
            by_command.set(code.name(), load(&counters.command(code).bytes));
        }
        gst::Structure::builder("k210camerasrc-stats")
            .field("frames", load(&counters.frames))
            .field("bytes", load(&counters.frame_bytes))
            .field("frames-dropped", load(&counters.dropped))
            .field("frames-discarded", load(&counters.discarded))
            .field("resynchronisations", load(&counters.resyncs))
            .field("reconnections", load(&self.reconnections))
            .field("fps", fps)
            .field("link-utilisation", received * second)
            .field("received", load(&counters.received))
            .field("sent", load(&counters.sent))
            .field("bytes-by-command", by_command)
            .build()
    }
}
