// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether streams flow to ffmpeg, or wait until it has completed a file and is started for the next
//! one. Knows no GStreamer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::sync::lock;

/// Where the file is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// What comes goes into it.
    #[default]
    Flowing,
    /// Its end is on the way.
    Completing,
    /// It is complete, and the next one is not begun.
    Complete,
    /// There will be no other: an error, or the end of the pipeline.
    Over,
}

/// Whether what a stream had on its way when a file's end was asked for is out of there. Written by whoever finds it so.
#[derive(Debug, Clone, Default)]
pub(crate) struct Out(Arc<AtomicBool>);

/// Written by the stream's thread that begins another file, by the thread that brings the end of the
/// one before, and by whoever stops the element.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    state: Mutex<State>,
    changed: Condvar,
}

impl Turn {
    /// A recording begins, or the next file of one.
    pub(crate) fn flow(&self) {
        self.set(State::Flowing);
    }

    /// There is nothing more to wait for.
    pub(crate) fn stop(&self) {
        self.set(State::Over);
    }

    /// The file is to be completed, and others wait.
    pub(crate) fn complete(&self) {
        self.set(State::Completing);
    }

    /// The file is complete; true if that was awaited.
    pub(crate) fn completed(&self) -> bool {
        let mut state = lock(&self.state);
        let awaited = *state == State::Completing;
        if awaited {
            *state = State::Complete;
            self.changed.notify_all();
        }
        awaited
    }

    /// Waits for [`Turn::completed`]; false when it will not come.
    pub(crate) fn wait_for_end(&self) -> bool {
        *self.wait_while(|state| *state == State::Completing) == State::Complete
    }

    /// Waits as long as a file is exchanged for the next one; false when `flushes` is true before that.
    pub(crate) fn wait(&self, flushes: impl Fn() -> bool) -> bool {
        let exchanged = |state: State| matches!(state, State::Completing | State::Complete);
        let waits = |state: &mut State| exchanged(*state) && !flushes();
        !exchanged(*self.wait_while(waits))
    }

    /// Has those that wait look whether they are flushed.
    pub(crate) fn wake(&self) {
        drop(lock(&self.state));
        self.changed.notify_all();
    }

    /// Waits for `out`; false when it is over before.
    pub(crate) fn wait_for(&self, out: &Out) -> bool {
        let waits = |state: &mut State| *state != State::Over && !out.0.load(Ordering::Acquire);
        *self.wait_while(waits) != State::Over
    }

    /// Says that what was on its way is out.
    pub(crate) fn is_out(&self, out: &Out) {
        out.0.store(true, Ordering::Release);
        self.wake();
    }

    fn set(&self, to: State) {
        let mut state = lock(&self.state);
        // What is over is begun anew by a new recording only.
        if *state != State::Over || to == State::Flowing {
            *state = to;
        }
        self.changed.notify_all();
    }

    fn wait_while(&self, waits: impl FnMut(&mut State) -> bool) -> MutexGuard<'_, State> {
        let state = self.changed.wait_while(lock(&self.state), waits);
        state.unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn others_wait_until_the_next_file_flows() {
        let turn = Arc::new(Turn::default());
        assert!(turn.wait(|| false));
        assert!(!turn.completed(), "nobody waits for an end");
        turn.complete();
        let other = std::thread::spawn({
            let turn = turn.clone();
            move || turn.wait(|| false)
        });
        assert!(turn.completed() && !turn.completed());
        assert!(turn.wait_for_end());
        assert!(!other.is_finished());
        let flushed = AtomicBool::new(false);
        std::thread::scope(|threads| {
            let flushes = threads.spawn(|| turn.wait(|| flushed.load(Ordering::Relaxed)));
            assert!(!flushes.is_finished());
            flushed.store(true, Ordering::Relaxed);
            turn.wake();
            assert!(!flushes.join().unwrap());
        });
        turn.flow();
        assert!(other.join().unwrap());
    }

    #[test]
    fn nobody_waits_when_it_is_over() {
        let turn = Turn::default();
        turn.complete();
        turn.stop();
        assert!(!turn.wait_for_end() && !turn.completed());
        let out = Out::default();
        assert!(!turn.wait_for(&out));
        turn.complete();
        assert!(turn.wait(|| false));
        turn.flow();
        turn.is_out(&out);
        assert!(turn.wait_for(&out));
        turn.complete();
        assert!(turn.completed());
    }
}
