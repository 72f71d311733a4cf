// SPDX-License-Identifier: MIT OR Apache-2.0
//! How many of the element's buffers are downstream.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use crate::sync::lock;
use k230_venc::PackData;

/// Buffers that downstream has not freed. Written by the streaming thread and by whichever thread
/// frees a buffer.
#[derive(Default)]
pub(super) struct Held {
    count: Mutex<u32>,
    pub freed: Condvar,
}

impl Held {
    pub(crate) fn lock(&self) -> MutexGuard<'_, u32> {
        lock(&self.count)
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
        *held.lock() += 1;
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
        *self.held.lock() -= 1;
        self.held.freed.notify_all();
    }
}
