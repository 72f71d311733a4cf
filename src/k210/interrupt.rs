// SPDX-License-Identifier: MIT OR Apache-2.0
//! Cutting short whatever a session waits for.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The longest that anything waits between two looks at an [`Interrupt`].
pub const SLICE: Duration = Duration::from_millis(40);

/// A flag that one thread sets to make another give up its waits.
///
/// Clones share the flag. It is written by [`set`](Self::set) and [`clear`](Self::clear) from the
/// thread in charge, and read by the thread that talks to the board.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<(Mutex<bool>, Condvar)>);

/// What a wait returns that was cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted;

impl Interrupt {
    /// Ends the current wait and all later ones at once.
    pub fn set(&self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.1.notify_all();
    }

    /// Lets waits take their time again.
    pub fn clear(&self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = false;
    }

    /// Whether waits are cut short.
    pub fn is_set(&self) -> bool {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for `duration`.
    pub fn wait(&self, duration: Duration) -> Result<(), Interrupted> {
        self.wait_until(Instant::now() + duration)
    }

    /// Waits until `deadline`.
    pub fn wait_until(&self, deadline: Instant) -> Result<(), Interrupted> {
        let (flag, changed) = &*self.0;
        let mut set = flag.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if *set {
                return Err(Interrupted);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            set = changed
                .wait_timeout(set, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_cut_short_from_another_thread() {
        let interrupt = Interrupt::default();
        let other = interrupt.clone();
        let waiter = std::thread::spawn(move || other.wait(Duration::from_secs(600)));
        interrupt.set();
        assert_eq!(waiter.join().unwrap(), Err(Interrupted));
        assert_eq!(interrupt.wait(Duration::ZERO), Err(Interrupted));
        interrupt.clear();
        assert_eq!(interrupt.wait(Duration::from_millis(1)), Ok(()));
    }
}
