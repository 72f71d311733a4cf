// SPDX-License-Identifier: MIT OR Apache-2.0
//! Timestamps put on an AVI's fixed rates.
//!
//! An AVI has no timestamps: the n-th frame is shown at n times the interval, the n-th sample
//! played at n times the sample rate. What comes early, late, twice or not at all has
//! to be fitted in such that each frame is shown within one interval of its time, and sound does
//! not run away from it. [`FrameGrid`] and [`SampleClock`] decide; their callers write.

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// `(a * b + plus) / divisor`, cut off, or the largest number if that is too large. Without the
/// slow division of 128 bits when 64 are enough, as they are for days.
fn multiply_divide(a: u64, b: u64, plus: u64, divisor: u64) -> u64 {
    if let Some(product) = a.checked_mul(b).and_then(|ab| ab.checked_add(plus)) {
        return product / divisor;
    }
    let product = u128::from(a) * u128::from(b) + u128::from(plus);
    (product / u128::from(divisor))
        .try_into()
        .unwrap_or(u64::MAX)
}

/// A rate as a fraction: units a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    numerator: u32,
    denominator: u32,
}

/// The latest time there is, in nanoseconds: the number behind it is GStreamer's "no time".
pub(crate) const LATEST: u64 = u64::MAX - 1;

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

    /// What most cameras do at most.
    pub const THIRTY_A_SECOND: Self = Self {
        numerator: 30,
        denominator: 1,
    };

    /// MaixPy's default interval of 100 000 us, for files that do not say.
    pub const TEN_A_SECOND: Self = Self {
        numerator: 10,
        denominator: 1,
    };

    /// One unit every so many microseconds; `None` for 0.
    pub fn from_micro_sec(interval: u32) -> Option<Self> {
        Self::new(1_000_000, interval)
    }

    /// One unit every so many nanoseconds, as exactly as the numbers allow; the nearest that they do for
    /// 0, and for what is too long.
    pub fn of_interval(nanoseconds: f64) -> Self {
        // A thousandth of a frame in a minute at 30 a second.
        Self::of_interval_within(nanoseconds, nanoseconds * 5e-7)
    }

    /// The same, but a usual rate (a whole number a second, one of television's, or an interval of whole
    /// microseconds) if its interval is no more than `slack` nanoseconds off.
    pub fn of_interval_within(nanoseconds: f64, slack: f64) -> Self {
        let hertz = 1e9 / nanoseconds;
        let is_near = |rate: &Self| {
            let interval = f64::from(rate.denominator) / f64::from(rate.numerator) * 1e9;
            (interval - nanoseconds).abs() <= slack
        };
        let whole = Self::new(hertz.round() as u32, 1);
        let television = Self::new(((hertz * 1.001).round() as u32).saturating_mul(1000), 1001);
        let micro = Self::from_micro_sec((nanoseconds / 1e3).round() as u32).map(Self::reduced);
        let usual = [whole, television, micro].into_iter().flatten();
        let fine = || {
            // Numerator and denominator with as many digits as 32 bits hold.
            let denominator = (1e6f64).min(f64::from(u32::MAX) / hertz.max(1.0));
            let numerator = (hertz * denominator.floor()).round() as u32;
            Self::new(numerator, denominator as u32).map(Self::reduced)
        };
        let slow = || Self::new(1, (nanoseconds / 1e9).round() as u32);
        let one_of = usual.into_iter().find(is_near);
        one_of
            .or_else(|| fine().filter(|_| hertz > 1e-3))
            .or_else(slow)
            .or(whole)
            .unwrap_or(Self::ONE)
    }

    /// The same rate in the smallest numbers.
    pub fn reduced(self) -> Self {
        let (mut a, mut b) = (self.numerator, self.denominator);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        Self {
            numerator: self.numerator / a,
            denominator: self.denominator / a,
        }
    }

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

    /// Nanoseconds of [numerator](Self::numerator) units.
    fn span(self) -> u64 {
        u64::from(self.denominator) * SECOND
    }

    /// When unit `n` begins, in nanoseconds, cut off as GStreamer's own scaling does; the last
    /// nanosecond but one if it is later, as the last is GStreamer's "no time".
    pub fn time_of(self, n: u64) -> u64 {
        multiply_divide(n, self.span(), 0, self.numerator.into()).min(LATEST)
    }

    /// The unit whose beginning is nearest to a time in nanoseconds.
    pub fn nearest(self, time: u64) -> u64 {
        multiply_divide(time, self.numerator.into(), self.span() / 2, self.span())
    }

    /// Units that a time in nanoseconds takes, the last one begun counting whole.
    pub fn covering(self, time: u64) -> u64 {
        multiply_divide(time, self.numerator.into(), self.span() - 1, self.span())
    }

    /// The unit that a time in nanoseconds falls into.
    pub fn unit_at(self, time: u64) -> u64 {
        self.covering(time.saturating_add(1)) - 1
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
    Next {
        /// Places before it that stay empty or are filled up.
        missing: u64,
    },
    /// Nowhere: too many frames came for the interval.
    Drop,
}

/// The places for frames, one each interval.
///
/// A frame goes into the next place as long as that is within an interval of its time, so jitter
/// changes nothing. Only a frame that comes a whole interval late leaves places empty (they were
/// missed), and one that would be shown more than an interval late is dropped. Some half of an
/// interval is enough if frames are off by that in the mean: then it is no jitter but a camera
/// that is slower or faster than it says, and sound may be off to the other side.
#[derive(Debug, Clone)]
pub struct FrameGrid {
    rate: Rate,
    /// Nanoseconds; 1 at least.
    interval: i64,
    /// Places taken.
    next: u64,
    /// When the next place is shown.
    next_time: u64,
    /// How late frames come on the whole, in nanoseconds: the mean of some [`Self::STEADY`].
    mean: i64,
    /// The grid is finer than the frames, which go to the nearest place each.
    fine: bool,
}

impl FrameGrid {
    /// Timestamps of other containers are rounded to milliseconds; that is no reason to drop.
    const ROUNDING: i64 = 2_000_000;
    /// Frames that are enough to tell a camera's clock from its jitter.
    const STEADY: i64 = 32;

    /// A grid of `rate` places a second, of which none is taken.
    pub fn new(rate: Rate) -> Self {
        Self {
            rate,
            interval: rate.time_of(1).clamp(1, i64::MAX as u64) as i64,
            next: 0,
            next_time: 0,
            mean: 0,
            fine: false,
        }
    }

    /// A grid for frames that come at any time: each has the place that is nearest to it, so that it is half an
    /// interval off at most, and one that finds it taken is dropped.
    pub fn fine(rate: Rate) -> Self {
        Self {
            fine: true,
            ..Self::new(rate)
        }
    }

    /// Has all places, those taken too, at another rate.
    pub fn set_rate(&mut self, rate: Rate) {
        self.rate = rate;
        self.interval = rate.time_of(1).clamp(1, i64::MAX as u64) as i64;
        self.next_time = rate.time_of(self.next);
        self.mean = 0;
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
        self.next_time
    }

    /// Takes the next place for a frame that is shown once more.
    pub fn fill(&mut self) {
        self.next += 1;
        self.next_time = self.rate.time_of(self.next);
    }

    /// Places the frame of a time in nanoseconds since the start of the file (negative before
    /// it). Unless it is dropped, the place is taken.
    pub fn place(&mut self, time: i64) -> Placement {
        if self.fine {
            let nearest = self.rate.nearest(time.max(0).unsigned_abs());
            let Some(missing) = nearest.checked_sub(self.next) else {
                return Placement::Drop;
            };
            self.next = nearest + 1;
            self.next_time = self.rate.time_of(self.next);
            return Placement::Next { missing };
        }
        let next_time = i64::try_from(self.next_time).unwrap_or(i64::MAX);
        let late = time.saturating_sub(next_time);
        if late < (-self.interval).saturating_sub(Self::ROUNDING) {
            self.mean = self.mean.saturating_add(self.interval).min(0);
            return Placement::Drop;
        }
        let mean = self.mean + (late - self.mean) / Self::STEADY;
        // A frame is never dropped because an empty place was left before it.
        if mean < -(self.interval / 20 * 13) - Self::ROUNDING {
            self.mean = mean + self.interval;
            return Placement::Drop;
        }
        // Less than all of an interval, as the first frame after a gap may itself be early; and as
        // few places as leave the frame in time, as what follows may come earlier.
        let least = self.interval - self.interval / 10;
        let missing = if late >= least {
            self.mean = 0;
            ((late - least) / self.interval + 1) as u64
        } else if mean > self.interval / 2 {
            self.mean = mean - self.interval;
            1
        } else {
            self.mean = mean;
            0
        };
        self.next += missing + 1;
        self.next_time = self.rate.time_of(self.next);
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

    /// Has all samples, those written too, at another rate.
    pub fn set_rate(&mut self, rate: Rate) {
        self.rate = rate;
    }

    /// Whether samples of a time in nanoseconds since the start of the file have to be moved.
    pub fn is_off(&self, time: i64) -> bool {
        let off = i128::from(time) - i128::from(self.next_time());
        off.unsigned_abs() > self.tolerance.into()
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
        // Beyond what 64 bits can multiply.
        assert_eq!(
            rate(1, u32::MAX).time_of(4),
            4 * 4_294_967_295 * 1_000_000_000
        );
        assert_eq!(rate(1, u32::MAX).time_of(1 << 40), u64::MAX - 1);
        assert_eq!(rate(90_000, 1).nearest(u64::MAX - 1), 1_660_206_966_633_860);
    }

    #[test]
    fn intervals_have_rates() {
        for (interval, expected) in [
            (40e6, (25, 1)),
            (1e9 / 30.0, (30, 1)),
            (1001e9 / 30e3, (30_000, 1001)),
            (66e6, (500, 33)),
            (20e9, (1, 20)),
            (90_000e9, (1, 90_000)),
            (0.0, (u32::MAX, 1)),
        ] {
            assert_eq!(Rate::of_interval(interval), rate(expected.0, expected.1));
        }
        for interval in [33_333_111.0, 1234.5, 7_777_777_777.0] {
            let found = Rate::of_interval(interval).time_of(1_000_000) as f64 / 1e6;
            assert!((found / interval - 1.0).abs() < 1e-6, "{found} {interval}");
        }
    }

    #[test]
    fn units_are_found_by_their_time() {
        for rate in [(30_000, 1001), (30, 1), (10, 3), (44_100, 1), (3, 7)] {
            let rate = Rate::new(rate.0, rate.1).unwrap();
            for n in (0..200).chain([1 << 31, (1 << 31) + 1]) {
                let time = rate.time_of(n);
                assert_eq!(rate.unit_at(time), n);
                assert_eq!(rate.unit_at(rate.time_of(n + 1) - 1), n);
            }
        }
        assert_eq!(rate(1, u32::MAX).unit_at(u64::MAX), 4);
        assert_eq!(rate(1_000_000, 300_000).reduced(), rate(10, 3));
        assert_eq!(Rate::from_micro_sec(0), None);
    }

    #[test]
    fn steady_frames_fill_the_grid() {
        let mut grid = FrameGrid::new(rate(10, 3));
        for n in 0..1000 {
            assert_eq!(grid.place(n * 300 * MS), Placement::Next { missing: 0 });
        }
    }

    #[test]
    fn a_camera_that_is_slower_or_faster_is_followed() {
        for step in [100_100_000, 99_900_000] {
            let mut grid = FrameGrid::new(rate(10, 1));
            let mut worst = 0;
            for n in 0..36_000 {
                let time = n * step;
                if grid.place(time) != Placement::Drop {
                    let shown = rate(10, 1).time_of(grid.len() - 1) as i64;
                    worst = worst.max((shown - time).abs());
                }
            }
            assert!(worst <= 72 * MS, "{worst}");
            assert!(grid.len().abs_diff(36_000 * step as u64 / 100_000_000) <= 1);
        }
    }

    #[test]
    fn a_rate_beyond_nanoseconds_has_places_too() {
        let mut grid = FrameGrid::new(rate(u32::MAX, 1));
        assert_eq!(grid.place(0), Placement::Next { missing: 0 });
        assert!(matches!(
            grid.place(1000),
            Placement::Next { missing: 900.. }
        ));
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
