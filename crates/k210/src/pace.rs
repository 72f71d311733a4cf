// SPDX-License-Identifier: MIT OR Apache-2.0
//! When to ask for the next frame.

use std::time::{Duration, Instant};

/// A grid of moments, one interval apart.
///
/// A frame that is late does not move the grid: the next one is asked for at its own moment, and
/// moments that have passed meanwhile are left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    interval: Duration,
    next: Option<Instant>,
}

impl Pace {
    /// Starts a grid anew unless the interval stays the same. Zero: at any time.
    pub fn set_interval(&mut self, interval: Duration) {
        if interval != self.interval {
            *self = Pace {
                interval,
                next: None,
            };
        }
    }

    /// Lets the next frame begin a new grid.
    pub fn restart(&mut self) {
        self.next = None;
    }

    /// The moment of the next frame; `now` if it begins the grid or there is none.
    pub fn due(&self, now: Instant) -> Instant {
        self.next.unwrap_or(now)
    }

    /// Goes on to the next moment that has not passed, after a frame that was asked for at
    /// `requested` and has arrived at `now`.
    pub fn advance(&mut self, requested: Instant, now: Instant) {
        if self.interval.is_zero() {
            return;
        }
        let next = self.next.unwrap_or(requested);
        let late = now.saturating_duration_since(next).as_nanos();
        let steps = late / self.interval.as_nanos() + 1;
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        self.next = Some(next + self.interval * steps);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_late_frame_does_not_move_the_grid() {
        let start = Instant::now();
        let mut pace = Pace::default();
        pace.set_interval(100 * MS);
        assert_eq!(pace.due(start), start);
        // The first one has to be waited for, and begins the grid.
        pace.advance(start + 500 * MS, start + 540 * MS);
        assert_eq!(pace.due(start + 540 * MS), start + 600 * MS);
        pace.advance(start + 630 * MS, start + 670 * MS);
        assert_eq!(pace.due(start + 670 * MS), start + 700 * MS);
        // Two moments pass while this one is under way.
        pace.advance(start + 880 * MS, start + 920 * MS);
        assert_eq!(pace.due(start + 920 * MS), start + 1000 * MS);
        pace.set_interval(100 * MS);
        assert_eq!(pace.due(start + 930 * MS), start + 1000 * MS);
        pace.restart();
        assert_eq!(pace.due(start + 930 * MS), start + 930 * MS);
    }

    #[test]
    fn without_an_interval_every_moment_is_right() {
        let start = Instant::now();
        let mut pace = Pace::default();
        for ms in [0, 7, 9] {
            assert_eq!(pace.due(start + ms * MS), start + ms * MS);
            pace.advance(start + ms * MS, start + ms * MS);
        }
    }
}
