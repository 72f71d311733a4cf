// SPDX-License-Identifier: MIT OR Apache-2.0
//! Timestamps put on an AVI's fixed rates.
//!
//! An AVI has no timestamps: the n-th frame is shown at n times the interval, the n-th sample
//! played at n times the sample rate. What comes early, late, twice or not at all has
//! to be fitted in such that each frame is shown within one interval of its time, and sound does
//! not run away from it. [`FrameGrid`] and [`SampleClock`] decide; their callers write.

/// Nanoseconds in a second.
const SECOND: i128 = 1_000_000_000;

/// A rate as a fraction: units a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    numerator: u32,
    denominator: u32,
}

impl Rate {
    /// One unit a second.
    pub const ONE: Self = Self {
        numerator: 1,
        denominator: 1,
    };

    /// 25 units a second.
    pub const PAL: Self = Self {
        numerator: 25,
        denominator: 1,
    };

    /// `numerator / denominator` units a second; `None` if either is 0.
    pub fn new(numerator: u32, denominator: u32) -> Option<Self> {
        (numerator > 0 && denominator > 0).then_some(Self {
            numerator,
            denominator,
        })
    }

    /// Units a second, times the [denominator](Self::denominator): `dwRate`.
    pub fn numerator(self) -> u32 {
        self.numerator
    }

    /// What the [numerator](Self::numerator) has to be divided by: `dwScale`.
    pub fn denominator(self) -> u32 {
        self.denominator
    }

    /// When unit `n` begins, in nanoseconds (rounded down).
    pub fn time_of(self, n: u64) -> u64 {
        let time = i128::from(n) * i128::from(self.denominator) * SECOND;
        (time / i128::from(self.numerator))
            .try_into()
            .unwrap_or(u64::MAX)
    }

    /// The unit whose beginning is nearest to a time in nanoseconds.
    pub fn nearest(self, time: u64) -> u64 {
        let step = i128::from(self.denominator) * SECOND;
        let unit = (2 * i128::from(time) * i128::from(self.numerator) + step) / (2 * step);
        unit.try_into().unwrap_or(u64::MAX)
    }

    /// Units that a time in nanoseconds takes, the last one begun counting whole.
    pub fn covering(self, time: u64) -> u64 {
        let step = i128::from(self.denominator) * SECOND;
        let unit = (i128::from(time) * i128::from(self.numerator) + step - 1) / step;
        unit.try_into().unwrap_or(u64::MAX)
    }

    /// Microseconds a unit, to the nearest: `dwMicroSecPerFrame`.
    pub fn micro_sec(self) -> u32 {
        let (n, d) = (u64::from(self.numerator), u64::from(self.denominator));
        let micro = (2 * 1_000_000 * d + n) / (2 * n);
        micro.clamp(1, u32::MAX.into()) as u32
    }
}

/// Where a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Into the next place, after `missing` places have been filled.
    Next { missing: u64 },
    /// Nowhere: too many frames came for the interval.
    Drop,
}

/// The places for frames, one each interval.
///
/// A frame goes into the next place as long as that is within an interval of its time, so jitter
/// changes nothing. Only a frame that comes a whole interval late leaves places empty (they were
/// missed), and one that would be shown more than an interval late is dropped.
#[derive(Debug, Clone)]
pub struct FrameGrid {
    rate: Rate,
    /// Places taken.
    next: u64,
}

impl FrameGrid {
    /// How late a frame has to be for a place to stay empty, in percent of an interval: less
    /// than all of it, as the first frame after a gap may itself be early.
    const MISSING: i128 = 90;
    /// Timestamps of other containers are rounded to milliseconds; that is no reason to drop.
    const ROUNDING: i128 = 2_000_000;

    pub fn new(rate: Rate) -> Self {
        Self { rate, next: 0 }
    }

    /// Frames a second.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Places taken, which is where the next frame goes.
    pub fn len(&self) -> u64 {
        self.next
    }

    /// Whether no place is taken yet.
    pub fn is_empty(&self) -> bool {
        self.next == 0
    }

    /// When the next place is shown, in nanoseconds since the start of the file.
    pub fn next_time(&self) -> u64 {
        self.rate.time_of(self.next)
    }

    /// Places the frame of a time in nanoseconds since the start of the file (negative before
    /// it). Unless it is dropped, the place is taken.
    pub fn place(&mut self, time: i64) -> Placement {
        let interval = SECOND * i128::from(self.rate.denominator) / i128::from(self.rate.numerator);
        let late = i128::from(time) - i128::from(self.next_time());
        if late < -interval - Self::ROUNDING {
            return Placement::Drop;
        }
        // As few as leave the frame in time: what follows may come earlier.
        let least = interval * Self::MISSING / 100;
        let missing = if late >= least {
            ((late - least) / interval + 1) as u64
        } else {
            0
        };
        self.next += missing + 1;
        Placement::Next { missing }
    }
}

/// What to do with samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Alignment {
    /// Samples of silence to write first.
    pub silence: u64,
    /// Samples to leave out at the start.
    pub skip: u64,
}

/// The samples written, against the time that their timestamps say.
///
/// Small differences are left alone: they are jitter. Larger ones are made up for, with silence
/// or by leaving samples out.
#[derive(Debug, Clone)]
pub struct SampleClock {
    rate: Rate,
    /// Nanoseconds of difference that are left alone.
    tolerance: u64,
    next: u64,
}

impl SampleClock {
    /// `samples_per_sec` of each channel; `tolerance` in nanoseconds.
    pub fn new(rate: Rate, tolerance: u64) -> Self {
        Self {
            rate,
            tolerance,
            next: 0,
        }
    }

    /// Samples a second.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Counts `samples` of silence.
    pub fn fill(&mut self, samples: u64) {
        self.next += samples;
    }

    /// Samples written.
    pub fn len(&self) -> u64 {
        self.next
    }

    /// Whether nothing is written yet.
    pub fn is_empty(&self) -> bool {
        self.next == 0
    }

    /// When the next sample is played, in nanoseconds since the start of the file.
    pub fn next_time(&self) -> u64 {
        self.rate.time_of(self.next)
    }

    /// Counts `samples` that begin at `time`, in nanoseconds since the start of the file (or
    /// `None`: right after the last), and says how they have to be moved.
    pub fn place(&mut self, time: Option<i64>, samples: u64) -> Alignment {
        let mut alignment = Alignment::default();
        if let Some(time) = time {
            let difference = i128::from(time) - i128::from(self.next_time());
            // The first samples are put exactly where they belong.
            let tolerance = if self.is_empty() { 0 } else { self.tolerance };
            if difference.unsigned_abs() > tolerance.into() {
                let target = if time < 0 {
                    -i128::from(self.rate.nearest(time.unsigned_abs()))
                } else {
                    i128::from(self.rate.nearest(time.unsigned_abs()))
                };
                let samples_off = target - i128::from(self.next);
                if samples_off >= 0 {
                    alignment.silence = samples_off.try_into().unwrap_or(0);
                } else {
                    alignment.skip = samples.min(samples_off.unsigned_abs() as u64);
                }
            }
        }
        self.next += alignment.silence + samples - alignment.skip;
        alignment
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: i64 = 1_000_000;

    fn rate(numerator: u32, denominator: u32) -> Rate {
        Rate::new(numerator, denominator).unwrap()
    }

    #[test]
    fn rates_are_exact() {
        let ntsc = rate(30_000, 1001);
        assert_eq!(ntsc.micro_sec(), 33_367);
        assert_eq!(ntsc.time_of(30_000), 1_001_000_000_000);
        assert_eq!(ntsc.nearest(1_001_000_000_000), 30_000);
        assert_eq!(rate(10, 3).micro_sec(), 300_000);
        assert_eq!(rate(1, 2).micro_sec(), 2_000_000);
        assert_eq!(rate(30, 1).micro_sec(), 33_333);
        assert_eq!(rate(10, 1).covering(100_000_001), 2);
        assert_eq!(Rate::new(0, 1), None);
    }

    #[test]
    fn steady_frames_fill_the_grid() {
        let mut grid = FrameGrid::new(rate(10, 3));
        for n in 0..1000 {
            assert_eq!(grid.place(n * 300 * MS), Placement::Next { missing: 0 });
        }
    }

    #[test]
    fn jitter_changes_nothing() {
        let mut grid = FrameGrid::new(rate(10, 1));
        for (n, jitter) in [0, 80, -80, 70, -30, 85, 0, -85].into_iter().enumerate() {
            let time = (n as i64 * 100 + jitter) * MS;
            assert_eq!(grid.place(time), Placement::Next { missing: 0 }, "{n}");
        }
    }

    #[test]
    fn a_missing_frame_leaves_a_place() {
        let mut grid = FrameGrid::new(rate(10, 1));
        grid.place(0);
        assert_eq!(grid.place(200 * MS), Placement::Next { missing: 1 });
        assert_eq!(grid.place(1000 * MS), Placement::Next { missing: 7 });
        assert_eq!(grid.len(), 11);
    }

    #[test]
    fn frames_too_many_are_dropped() {
        let mut grid = FrameGrid::new(rate(10, 1));
        let kept = (0..100)
            .filter(|n| grid.place(n * 50 * MS) != Placement::Drop)
            .count() as u64;
        assert_eq!(kept, grid.len());
        assert!((50..=52).contains(&kept), "{kept}");
    }

    #[test]
    fn sound_is_moved_to_its_time() {
        let mut clock = SampleClock::new(rate(1000, 1), 20_000_000);
        assert_eq!(clock.place(Some(500 * MS), 100).silence, 500);
        assert_eq!(clock.place(Some(615 * MS), 100), Alignment::default());
        assert_eq!(clock.place(None, 100), Alignment::default());
        assert_eq!(clock.place(Some(900 * MS), 100).silence, 100);
        assert_eq!(clock.place(Some(950 * MS), 100).skip, 50);
        assert_eq!(clock.place(Some(0), 100).skip, 100);
        assert_eq!(clock.len(), 1050);

        let mut clock = SampleClock::new(rate(1000, 1), 20_000_000);
        assert_eq!(clock.place(Some(-5 * MS), 100).skip, 5);
    }

    proptest! {
        #[test]
        fn frames_are_shown_within_an_interval_of_their_time(
            fps in 1u32..120,
            steps in prop::collection::vec(0i64..300_000_000, 1..300),
        ) {
            let rate = rate(fps, 1);
            let interval = i64::from(1_000_000_000 / fps);
            let mut grid = FrameGrid::new(rate);
            let mut time = 0;
            for step in steps {
                if grid.place(time) != Placement::Drop {
                    let shown = rate.time_of(grid.len() - 1) as i64;
                    prop_assert!((shown - time).abs() <= interval + 2_000_001);
                }
                time += step;
            }
        }
    }
}
