// SPDX-License-Identifier: MIT OR Apache-2.0
//! How many of the element's buffers are downstream. Knows no GStreamer.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

use crate::sync::lock;
use k230_venc::PackData;

/// Buffers that downstream has not freed. Written by the streaming thread and by whichever thread
/// frees a buffer.
#[derive(Default)]
pub(super) struct Held {
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Default)]
struct State {
    count: u32,
    /// The streaming thread waits. Telling it is a system call, with each buffer.
    waited_for: bool,
}

impl Held {
    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        lock(&self.state).count
    }

    /// Waits until there are fewer than `most`, one is freed, or the time is up; how many there are.
    pub(crate) fn wait_below(&self, most: u32, limit: Duration) -> u32 {
        let mut state = lock(&self.state);
        if state.count >= most {
            state.waited_for = true;
            let waited = self.freed.wait_timeout(state, limit);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.waited_for = false;
        }
        state.count
    }

    /// Has the one who waits look at other things.
    pub(crate) fn interrupt(&self) {
        self.freed.notify_all();
    }
}

/// A stream's bytes on their way downstream.
pub(super) struct HeldStream {
    data: Box<dyn PackData>,
    held: Arc<Held>,
}

impl HeldStream {
    /// Counts from now until it is dropped.
    pub(crate) fn new(data: Box<dyn PackData>, held: Arc<Held>) -> Self {
        lock(&held.state).count += 1;
        Self { data, held }
    }
}

impl AsRef<[u8]> for HeldStream {
    fn as_ref(&self) -> &[u8] {
        self.data.bytes()
    }
}

impl Drop for HeldStream {
    fn drop(&mut self) {
        let waited_for = {
            let mut state = lock(&self.held.state);
            state.count -= 1;
            state.waited_for
        };
        if waited_for {
            self.held.freed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_buffer_that_is_freed_ends_the_wait() {
        let held = Arc::new(Held::default());
        let stream = || HeldStream::new(Box::new(Vec::new()), held.clone());
        let (first, _second) = (stream(), stream());
        assert_eq!(held.wait_below(3, Duration::MAX), 2);
        let begun = Instant::now();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| held.wait_below(2, Duration::from_secs(60)));
            while !lock(&held.state).waited_for {
                std::thread::yield_now();
            }
            drop(first);
            assert_eq!(waiting.join().expect("no panic"), 1);
        });
        assert!(begun.elapsed() < Duration::from_secs(60));
        assert!(!lock(&held.state).waited_for);
    }
}
