// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rate that a camera keeps, whatever it says.

use crate::timeline::Rate;

/// Frames that a rate can be had from.
const ENOUGH: u64 = 8;

/// Frames up to which each eighth makes the rate better; after that, checkpoints do.
const EARLY: u64 = 512;

/// Timestamps of other containers are rounded to milliseconds; in nanoseconds.
const ROUNDING: f64 = 1e6;

/// Whether there is one rate at which all frames so far are shown in time, and which.
///
/// The rate of a file can be changed as long as it is written, since positions are counted in frames. Each
/// frame bounds the interval from both sides; what is left between the bounds would do for all of them. Of
/// that the line through the frames is taken.
#[derive(Debug, Clone)]
pub(super) struct Fit {
    /// How far a frame may be off, in nanoseconds.
    tolerance: f64,
    /// Each frame is at the place that is nearest to it, whatever the rate.
    fine: bool,
    /// Bounds of the interval, in nanoseconds.
    least: f64,
    most: f64,
    /// Sums of place times time, and of place squared.
    rising: f64,
    square: f64,
    /// The last place.
    place: u64,
    frames: u64,
}

impl Fit {
    /// For frames that may be an interval of `rate` off, or `fine`: half of one of the rate that is found.
    pub(crate) fn new(rate: Rate, fine: bool) -> Self {
        let interval = rate.time_of(1) as f64;
        Self {
            tolerance: if fine { interval / 2.0 } else { interval } + 2e6,
            fine,
            least: 0.0,
            most: f64::INFINITY,
            rising: 0.0,
            square: 0.0,
            place: 0,
            frames: 0,
        }
    }

    /// Adds the frame of a place and its time, in nanoseconds since the start of the file.
    pub(crate) fn add(&mut self, place: u64, time: i64) {
        self.frames += 1;
        self.place = place;
        let (place, time) = (place as f64, time as f64);
        self.rising += place * time;
        self.square += place * place;
        // Where a frame is from half an interval before its place to half a one behind it, a shorter interval would
        // have it nearer to another place.
        let (off, half) = match self.fine {
            true => (ROUNDING, 0.5),
            false => (self.tolerance, 0.0),
        };
        let (before, behind) = (place - half, place + half);
        if behind > 0.0 {
            self.least = self.least.max((time - off) / behind);
        }
        if before > 0.0 {
            self.most = self.most.min((time + off) / before);
        }
    }

    /// Whether it is worth asking anew.
    pub(crate) fn is_early(&self) -> bool {
        self.frames < EARLY && self.frames.is_multiple_of(8)
    }

    /// The rate at which all frames are shown in time, if there are enough to tell and there is one.
    pub(crate) fn rate(&self) -> Option<Rate> {
        if self.frames < ENOUGH || self.least > self.most || self.square == 0.0 {
            return None;
        }
        let interval = (self.rising / self.square).clamp(self.least, self.most);
        // A usual rate may be no further off than an eighth of what a frame may be, and than all frames may be.
        let slack = self.tolerance / 8.0 / self.place as f64;
        let bounds = (interval - self.least).min(self.most - interval);
        let exact = interval * 5e-7;
        Some(Rate::of_interval_within(
            interval,
            slack.min(bounds).max(exact),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(numerator: u32, denominator: u32) -> Rate {
        Rate::new(numerator, denominator).unwrap()
    }

    fn fit(says: Rate, is: Rate, frames: u64) -> Option<Rate> {
        let mut fit = Fit::new(says, false);
        (0..frames).for_each(|n| fit.add(n, is.time_of(n) as i64));
        fit.rate()
    }

    #[test]
    fn a_steady_camera_has_its_own_rate() {
        for (says, is) in [
            (rate(25, 1), rate(30_000, 1001)),
            (rate(30, 1), rate(60, 1)),
            (rate(25, 1), rate(2501, 100)),
        ] {
            let found = fit(says, is, 3000).unwrap();
            let off = found.time_of(3000).abs_diff(is.time_of(3000));
            assert!(off < 1_000_000, "{off}");
        }
        assert_eq!(fit(rate(30, 1), rate(60, 1), 9), Some(rate(60, 1)));
        assert_eq!(fit(rate(30, 1), rate(60, 1), 7), None);
    }

    #[test]
    fn frames_for_a_fine_grid_are_half_an_interval_off_at_most() {
        let fit = |fine| {
            let mut fit = Fit::new(rate(25, 1), fine);
            // One of twenty is 24 ms late.
            (0..20)
                .for_each(|n| fit.add(n, 40_000_000 * n as i64 + i64::from(n == 9) * 24_000_000));
            // Ten more would have to be as late the other way round.
            (20..30).for_each(|n| fit.add(n, 40_000_000 * n as i64 - 24_000_000));
            fit.rate()
        };
        assert!(fit(false).is_some());
        assert_eq!(fit(true), None);
    }

    #[test]
    fn frames_for_a_fine_grid_are_half_an_interval_of_the_rate_found_off() {
        // On a grid of 80 ms these are at their places; at 25 a second, some would be an interval early.
        let fit = |late: i64| {
            let mut fit = Fit::new(rate(25, 2), true);
            (0..9).for_each(|n| {
                fit.add(
                    n,
                    1_000_000 * (40 * n as i64 + late * i64::from(n % 4 == 1)),
                )
            });
            fit.rate()
        };
        assert_eq!(fit(40), None);
        let found = fit(18).unwrap();
        for n in 0..9 {
            let off =
                found.time_of(n) as i64 - 1_000_000 * (40 * n as i64 + 18 * i64::from(n % 4 == 1));
            assert!(
                off.unsigned_abs() <= found.time_of(1) / 2 + 1_000_000,
                "{n}: {off} {found:?}"
            );
        }
    }

    #[test]
    fn a_camera_that_changes_has_none() {
        let mut fit = Fit::new(rate(25, 1), false);
        (0..500).for_each(|n| fit.add(n, rate(25, 1).time_of(n) as i64));
        let later = rate(25, 1).time_of(500) as i64;
        (0..500).for_each(|n| fit.add(500 + n, later + rate(50, 1).time_of(n) as i64));
        assert_eq!(fit.rate(), None);
    }
}
