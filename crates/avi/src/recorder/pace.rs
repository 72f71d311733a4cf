// SPDX-License-Identifier: MIT OR Apache-2.0
//! Work that a recording has time for and a file that is copied at full speed has not.

use std::time::{Duration, Instant};

/// Pieces that may follow one another faster than they are to on the whole.
const BURST: u32 = 32;

/// How much of such work there is time for, in real time: one piece every so often, and up to 32 in a row
/// after a rest.
#[derive(Debug)]
pub struct Pace {
    /// Real time from one to the next, on the whole.
    interval: Duration,
    left: u32,
    /// When `left` was counted.
    at: Instant,
}

impl Pace {
    /// One piece every `interval`, which is not zero, on the whole.
    pub fn new(interval: Duration) -> Self {
        Self {
            interval,
            left: BURST,
            at: Instant::now(),
        }
    }

    /// Whether there is time for one at `now`, which is taken.
    pub fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at);
        // In most calls less than an interval has passed; those need no division.
        if passed >= self.interval {
            let earned = passed.as_nanos() / self.interval.as_nanos();
            let earned = u32::try_from(earned).unwrap_or(u32::MAX);
            if earned >= BURST {
                (self.left, self.at) = (BURST, now);
            } else {
                self.at += self.interval * earned;
                self.left = (self.left + earned).min(BURST);
            }
        }
        let is_time = self.left > 0;
        self.left -= u32::from(is_time);
        is_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_in_a_row_is_little_and_that_of_a_recording_all_there() {
        const INTERVAL: Duration = Duration::from_millis(2);
        let mut pace = Pace::new(INTERVAL);
        let start = pace.at;
        assert!((0..BURST).all(|_| pace.take(start)));
        assert!(!pace.take(start));
        assert!(!pace.take(start + INTERVAL - Duration::from_nanos(1)));
        assert!(pace.take(start + INTERVAL));
        assert!(!pace.take(start + INTERVAL));
        assert!((0..BURST).all(|_| pace.take(start + 100 * INTERVAL)));
        assert!(!pace.take(start + 100 * INTERVAL));
    }
}
