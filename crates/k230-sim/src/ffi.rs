// SPDX-License-Identifier: MIT OR Apache-2.0
//! What every exported function does at its edge.
//!
//! C programs cancel threads that wait in the MPP; the SDK's `sample_venc.c` does. A cancelled
//! thread is unwound, and must not be while it has locks or anything else of Rust's in its frames.
//! So cancellation is off inside, and on at one point between two waits, in a frame that has
//! nothing to clean up.

use std::{
    ffi::c_int,
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

// Of pthread.h; the libc crate has them for some systems only.
unsafe extern "C" {
    fn pthread_setcancelstate(state: c_int, old: *mut c_int) -> c_int;
}
unsafe extern "C-unwind" {
    fn pthread_testcancel();
}
const PTHREAD_CANCEL_ENABLE: c_int = 0;
const PTHREAD_CANCEL_DISABLE: c_int = 1;

/// How long one wait lasts before a cancellation is looked for.
const SLICE: Duration = Duration::from_millis(50);

/// Keeps this thread from being cancelled while it lives.
struct NotCancelled(c_int);

impl NotCancelled {
    fn new() -> Self {
        let mut old = PTHREAD_CANCEL_ENABLE;
        // SAFETY: the state is one of the two, and `old` is valid.
        unsafe { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &mut old) };
        Self(old)
    }
}

impl Drop for NotCancelled {
    fn drop(&mut self) {
        // SAFETY: the state is what this thread had.
        unsafe { pthread_setcancelstate(self.0, ptr::null_mut()) };
    }
}

/// The body of an exported function that answers `T`; `broken` is the answer of a panic, which
/// must not reach C.
pub(crate) fn answer<T>(broken: T, body: impl FnOnce() -> T) -> T {
    let _whole = NotCancelled::new();
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(broken)
}

/// The body of an exported function that answers 0 or an error code.
pub(crate) fn status(broken: i32, body: impl FnOnce() -> Result<(), i32>) -> i32 {
    answer(broken, || body().err().unwrap_or(0))
}

/// How long a call of the MPP may wait: -1 for ever, else milliseconds.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    until: Option<Instant>,
}

impl Patience {
    pub(crate) fn new(milliseconds: i32) -> Self {
        Self {
            until: u64::try_from(milliseconds)
                .ok()
                .map(|ms| Instant::now() + Duration::from_millis(ms)),
        }
    }

    /// The next piece of the wait; `None` when it is over.
    pub(crate) fn slice(self) -> Option<Duration> {
        let Some(until) = self.until else {
            return Some(SLICE);
        };
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then(|| left.min(SLICE))
    }
}

/// Calls `step` with pieces of the wait until it answers or the wait is over; between two pieces
/// the thread can be cancelled. `step` is called at least once, with no time at all when there is
/// none.
///
/// A cancelled thread unwinds through this function and its caller: neither has anything to drop.
pub(crate) fn wait(
    milliseconds: i32,
    expired: i32,
    step: impl Fn(Duration) -> Option<i32> + Copy,
) -> i32 {
    let patience = Patience::new(milliseconds);
    loop {
        let slice = patience.slice();
        if let Some(code) = answer(Some(expired), || step(slice.unwrap_or_default())) {
            return code;
        }
        if slice.is_none() {
            return expired;
        }
        // SAFETY: cancellation is in the state the program chose, and the frames up to the
        // program's have no destructors.
        unsafe { pthread_testcancel() };
    }
}

/// Locks what a panicking thread may have had.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
