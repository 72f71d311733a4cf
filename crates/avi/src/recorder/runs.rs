// SPDX-License-Identifier: MIT OR Apache-2.0
//! The runs of a clock that breaks off, and which of them a stream begins in.

/// How many runs are remembered: a stream that is so far behind another one has breaks of its own.
const REMEMBERED: usize = 64;

/// How far apart (ns) streams begin that begin together: microphones and encoders take their time.
const TOGETHER: u64 = 2_000_000_000;

/// The runs of the clock that the streams of one recording share, one from each break to the next. All times are in
/// nanoseconds, and those that streams go on with, unless another is said.
#[derive(Debug, Clone, Default)]
pub struct Runs {
    /// What is added to what comes, in each run but the first, where it is nothing; the newest last.
    shifts: Vec<i64>,
    /// Where each of them begins.
    places: Vec<i64>,
    /// Where what was recorded begins, and how far it is.
    first: Option<i64>,
    newest: Option<i64>,
}

impl Runs {
    /// What was added at the breaks, the newest last.
    pub fn shifts(&self) -> &[i64] {
        &self.shifts
    }

    /// How far what came reaches.
    pub fn newest(&self) -> Option<i64> {
        self.newest
    }

    /// What came of a stream reaches to `time`.
    pub fn reach(&mut self, time: i64) {
        self.first = self.first.or(Some(time));
        self.newest = self.newest.max(Some(time));
    }

    /// A break: from `place` on, `shift` is added.
    pub fn add(&mut self, shift: i64, place: i64) {
        if self.shifts.len() == REMEMBERED {
            self.shifts.remove(0);
            self.places.remove(0);
        }
        self.shifts.push(shift);
        self.places.push(place);
    }

    /// What to add for a stream that begins with what comes at `time` by the clock: what puts it into the first run
    /// that it is in or within 2 s of, or else into the nearest. If that is further than `far` from all, it begins where the others
    /// are, which makes a run of its own: then the time is returned too that they are at.
    pub fn begin(&mut self, time: i64, far: i64) -> (i64, Option<i64>) {
        let (Some(first), Some(newest)) = (self.first, self.newest) else {
            return (0, None);
        };
        let shifts = std::iter::once(0).chain(self.shifts.iter().copied());
        let begins = std::iter::once(first).chain(self.places.iter().copied());
        let ends = self.places.iter().copied().chain([newest]);
        let distance = |(shift, (begin, end)): (i64, (i64, i64))| {
            let at = time.saturating_add(shift);
            let off = at.saturating_sub(at.clamp(begin, end.max(begin)));
            (off.unsigned_abs(), shift)
        };
        let runs = shifts.zip(begins.zip(ends)).map(distance);
        let in_first = runs.clone().find(|(off, _)| *off <= TOGETHER);
        match in_first.or_else(|| runs.min_by_key(|(off, _)| *off)) {
            Some((off, shift)) if off <= far.unsigned_abs() => (shift, None),
            _ => {
                let shift = newest.saturating_sub(time);
                self.add(shift, newest);
                (shift, Some(newest))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    const FAR: i64 = 3600 * SECOND;

    fn begin(runs: &Runs, time: i64) -> (i64, Option<i64>) {
        let (shift, others) = runs.clone().begin(time * SECOND, FAR);
        (shift / SECOND, others.map(|time| time / SECOND))
    }

    #[test]
    fn a_stream_begins_in_the_run_that_it_fits() {
        assert_eq!(begin(&Runs::default(), 9000), (0, None));
        let mut runs = Runs::default();
        runs.reach(10 * SECOND);
        // Late, early, and neither.
        assert_eq!(begin(&runs, 3000), (0, None));
        assert_eq!(begin(&runs, 3), (0, None));
        assert_eq!(begin(&runs, 9000), (10 - 9000, Some(10)));
        // It began anew, twice.
        runs.add(10 * SECOND, 10 * SECOND);
        runs.add(20 * SECOND, 20 * SECOND);
        runs.reach(25 * SECOND);
        assert_eq!(begin(&runs, 0), (10, None));
        assert_eq!(begin(&runs, 10), (0, None));
        assert_eq!(begin(&runs, 7), (10, None));
        // It is a second before the others, which have gone on meanwhile.
        assert_eq!(begin(&runs, 9), (0, None));
        // It jumped to five hours.
        let mut runs = Runs::default();
        runs.reach(0);
        runs.add(10 * SECOND - 5 * FAR, 10 * SECOND);
        runs.reach(12 * SECOND);
        assert_eq!(begin(&runs, 18_002), (10 - 18_000, None));
        assert_eq!(begin(&runs, 11), (0, None));
    }

    #[test]
    fn the_last_runs_are_remembered() {
        let mut runs = Runs::default();
        (0..100).for_each(|n| runs.add(n, n));
        assert_eq!(runs.shifts().len(), REMEMBERED);
        assert_eq!(runs.shifts().last(), Some(&99));
    }
}
