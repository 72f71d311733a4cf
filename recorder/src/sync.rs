// SPDX-License-Identifier: MIT OR Apache-2.0
//! How locks are taken, and the end is waited for.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Takes a lock. What it guards is whole between any two statements: a panic elsewhere spoils nothing.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until a switch is on. Nothing is held then, as it is in the arm of a `select!` that waits itself.
pub(crate) async fn is_true(switch: &mut watch::Receiver<bool>) {
    // One whose other side is gone is on as well.
    let _ = switch.wait_for(|on| *on).await;
}
