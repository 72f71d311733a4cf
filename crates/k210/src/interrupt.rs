// SPDX-License-Identifier: MIT OR Apache-2.0
//! The time that a session spends waiting, and cutting it short.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The longest that anything waits between two looks at an [`Interrupt`].
pub const SLICE: Duration = Duration::from_millis(40);

/// A flag that one thread sets to make another give up its waits.
///
/// Clones share the flag. It is written by [`set`](Self::set) and [`clear`](Self::clear) from the
/// thread in charge, and read by the thread that talks to the board.
///
/// It also is the clock by which that thread measures its patience, so that time can be made to
/// pass by waiting alone ([`simulated`](Self::simulated)).
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    set: bool,
    /// The simulated time; `None` follows the system's clock.
    now: Option<Instant>,
}

/// What a wait returns that was cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted;

impl Interrupt {
    /// One whose time stands still but for the waits, which take none. With a
    /// [`Transport`](super::transport::Transport) that waits on the same clock, how long a session
    /// takes does not depend on the machine.
    pub fn simulated() -> Self {
        let state = State {
            set: false,
            now: Some(Instant::now()),
        };
        Interrupt(Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.0.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the current wait and all later ones at once.
    pub fn set(&self) {
        self.state().set = true;
        self.0.changed.notify_all();
    }

    /// Lets waits take their time again.
    pub fn clear(&self) {
        self.state().set = false;
    }

    /// Whether waits are cut short.
    pub fn is_set(&self) -> bool {
        self.state().set
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.state().now.unwrap_or_else(Instant::now)
    }

    /// Waits for `duration`.
    pub fn wait(&self, duration: Duration) -> Result<(), Interrupted> {
        self.wait_until(self.now() + duration)
    }

    /// Waits until `deadline`.
    pub fn wait_until(&self, deadline: Instant) -> Result<(), Interrupted> {
        let mut state = self.state();
        loop {
            if state.set {
                return Err(Interrupted);
            }
            if let Some(now) = &mut state.now {
                *now = deadline.max(*now);
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let changed = self.0.changed.wait_timeout(state, left);
            state = changed.unwrap_or_else(PoisonError::into_inner).0;
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

    #[test]
    fn simulated_time_passes_by_waiting() {
        let interrupt = Interrupt::simulated();
        let start = interrupt.now();
        assert_eq!(interrupt.wait(Duration::from_secs(3600)), Ok(()));
        assert_eq!(interrupt.now() - start, Duration::from_secs(3600));
        // The past is over already.
        assert_eq!(interrupt.wait_until(start), Ok(()));
        interrupt.set();
        assert_eq!(interrupt.wait(Duration::from_secs(1)), Err(Interrupted));
        assert_eq!(interrupt.now() - start, Duration::from_secs(3600));
    }
}
