// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happens on a link, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use super::command::Code;

/// Traffic by command.
#[derive(Debug, Default)]
pub struct CommandCounter {
    /// Requests sent.
    pub requests: AtomicU64,
    /// Bytes sent and received for them.
    pub bytes: AtomicU64,
}

/// What happened on a link, readable from any thread while the session writes.
#[derive(Debug, Default)]
pub struct Counters {
    commands: [CommandCounter; Code::ALL.len()],
    /// Whole frames.
    pub frames: AtomicU64,
    /// Bytes of whole frames.
    pub frame_bytes: AtomicU64,
    /// Frames that were asked for and did not arrive whole.
    pub dropped: AtomicU64,
    /// Frames of an earlier script that were asked for to be rid of them.
    pub discarded: AtomicU64,
    /// Times that the host had to find its place in the bytes again.
    pub resyncs: AtomicU64,
    /// All bytes received.
    pub received: AtomicU64,
    /// All bytes sent.
    pub sent: AtomicU64,
}

impl Counters {
    /// The counter of one command.
    pub fn command(&self, code: Code) -> &CommandCounter {
        let [first, ..] = &self.commands;
        let mut counters = Code::ALL.iter().zip(&self.commands);
        counters
            .find(|(counted, _)| **counted == code)
            .map_or(first, |(_, counter)| counter)
    }
}

/// Adds to a counter.
pub(super) fn add(counter: &AtomicU64, n: usize) {
    counter.fetch_add(n as u64, Ordering::Relaxed);
}
