// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the streaming thread and the rest of the element share.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::settings::Settings;
use crate::sync::lock;
use k210_link::command::{Attribute, Code};
use k210_link::interrupt::Interrupt;
use k210_link::meter::Meter;
use k210_link::session::{Counters, wire_time};

/// What the stream made. The streaming thread writes it; whoever queries latency, negotiates, or
/// sets a property reads it.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// The pictures' size, once it is known.
    pub size: Option<(u16, u16)>,
    /// The framerate in the caps; 0/1 if it varies.
    pub framerate: Option<gst::Fraction>,
    /// Longest time from a frame's timestamp to its push that downstream has been told of.
    pub latency: Option<gst::ClockTime>,
    /// Sensor settings that the board has not been told of yet. Setting a property adds, the
    /// streaming thread takes.
    pub attributes: VecDeque<(Attribute, i16)>,
    /// A picture went downstream. The streaming thread writes it.
    pub began: bool,
    /// The stream has ended with an error. The streaming thread writes it.
    pub failed: bool,
}

/// What all threads of the element see.
#[derive(Default)]
pub(crate) struct Shared {
    /// Written by whoever sets a property.
    pub settings: Arc<Mutex<Settings>>,
    pub state: Mutex<State>,
    /// Cuts the streaming thread's waits short.
    pub interrupt: Interrupt,
    /// Replaced at each start; the session writes, anyone reads.
    counters: Mutex<Arc<Counters>>,
    meter: Mutex<Meter>,
    reconnections: AtomicU64,
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Shared {
    /// Begins to count from nothing.
    pub(crate) fn start(&self, state: State) {
        *lock(&self.state) = state;
        *lock(&self.counters) = Arc::default();
        *lock(&self.meter) = Meter::default();
        self.reconnections.store(0, Ordering::Relaxed);
    }

    /// A copy of the settings.
    pub(crate) fn settings(&self) -> Settings {
        lock(&self.settings).clone()
    }

    /// The counters of this start.
    pub(crate) fn counters(&self) -> Arc<Counters> {
        lock(&self.counters).clone()
    }

    /// Leaves a sensor setting for the streaming thread to tell the board of.
    pub(crate) fn change_sensor(&self, attribute: Attribute, value: i16) {
        let mut state = lock(&self.state);
        state.attributes.retain(|(other, _)| *other != attribute);
        state.attributes.push_back((attribute, value));
    }

    /// Counts a board that came back.
    pub(crate) fn count_reconnection(&self) {
        self.reconnections.fetch_add(1, Ordering::Relaxed);
    }

    /// Frames that arrived whole, and frames that were asked for and did not.
    pub(crate) fn frames(&self) -> (u64, u64) {
        let counters = self.counters();
        (load(&counters.frames), load(&counters.dropped))
    }

    /// Time between frames: what downstream asked for, else the property's.
    pub(crate) fn interval(&self) -> Duration {
        let framerate = lock(&self.state).framerate;
        match framerate {
            Some(rate) if rate.numer() > 0 => {
                let (numer, denom) = (rate.numer() as u64, rate.denom() as u64);
                Duration::from_nanos(1_000_000_000 * denom / numer)
            }
            _ => lock(&self.settings).interval(),
        }
    }

    /// Takes the counters for the rates in the statistics.
    pub(crate) fn measure(&self) {
        let counters = self.counters();
        lock(&self.meter).update(
            Instant::now(),
            [load(&counters.frames), load(&counters.received)],
        );
    }

    /// The property `stats`.
    pub(crate) fn stats(&self) -> gst::Structure {
        self.measure();
        let counters = self.counters();
        let [fps, received] = lock(&self.meter).rates();
        let baud = lock(&self.settings).baud_rate;
        let second = wire_time(1, baud).as_secs_f64();
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
