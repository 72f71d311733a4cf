// SPDX-License-Identifier: MIT OR Apache-2.0
//! What elements and cores share for their threads. Knows no GStreamer.

use std::sync::{Mutex, MutexGuard};

/// Locks `mutex`. That a thread panicked while it held it does not stop the others: what is behind
/// a mutex here is whole between any two statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
