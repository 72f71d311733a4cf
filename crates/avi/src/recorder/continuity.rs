// SPDX-License-Identifier: MIT OR Apache-2.0
//! Times that begin anew.

/// Times that go back by more than this, in nanoseconds, begin anew; three frames of a slow camera may.
pub const BACK: i64 = 200_000_000;

/// A pause of more than this, in nanoseconds, is a new beginning; ten frames of a slow camera may be.
pub const AHEAD: i64 = 3600 * 1_000_000_000;

/// Streams whose new beginnings are no further apart than this, in nanoseconds, have made the same one.
const TOGETHER: i64 = 2_000_000_000;

/// Times that jumped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    /// The time before, in nanoseconds.
    pub from: i64,
    /// The time that came.
    pub to: i64,
    /// Another stream has made the same jump.
    pub is_known: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Line {
    /// The last time, as it is given on.
    last: Option<i64>,
    /// The last interval.
    step: i64,
    /// What was added to it.
    shift: i64,
}

/// Makes one run of times of several, as a camera or a file that starts again gives them.
///
/// What goes back by more than 0.2 s (or three intervals), and what is more than an hour (or ten
/// intervals) later, is put right behind what came before it, and all that follows with it. Streams that
/// jump together stay together.
#[derive(Debug, Default)]
pub struct Continuity {
    lines: Vec<Line>,
}

impl Continuity {
    /// Forgets a stream, and those after it move up.
    pub fn remove(&mut self, stream: usize) {
        if stream < self.lines.len() {
            self.lines.remove(stream);
        }
    }

    /// The time to go on with for a frame or samples of a stream that come at `time`, both in nanoseconds, and
    /// whether it jumped. `duration` is how long they last, as far as is known, or 0.
    pub fn follow(&mut self, stream: usize, time: i64, duration: i64) -> (i64, Option<Jump>) {
        if self.lines.len() <= stream {
            self.lines.resize(stream + 1, Line::default());
        }
        let line = self.lines[stream];
        let Some(last) = line.last else {
            self.lines[stream].last = Some(time);
            self.lines[stream].step = duration;
            return (time, None);
        };
        let shifted = time.saturating_add(line.shift);
        let ahead = shifted.saturating_sub(last);
        let is_jump = ahead < -BACK.max(line.step.saturating_mul(3))
            || ahead > AHEAD.max(line.step.saturating_mul(10));
        if !is_jump {
            // After a small step back, the next interval is counted from the latest time so far.
            self.lines[stream].last = Some(last.max(shifted));
            if ahead > 0 {
                self.lines[stream].step = ahead;
            }
            return (shifted, None);
        }
        let wanted = last.saturating_add(line.step).saturating_sub(time);
        let other = self.lines.iter().map(|line| line.shift).find(|shift| {
            *shift != line.shift && shift.saturating_sub(wanted).saturating_abs() <= TOGETHER
        });
        let shift = other.unwrap_or(wanted);
        let shifted = time.saturating_add(shift);
        self.lines[stream] = Line {
            last: Some(shifted),
            shift,
            // The new interval becomes the usual one: if the camera really is that slow, the next is no jump.
            step: if ahead > 0 { ahead } else { line.step },
        };
        let jump = Jump {
            from: last.saturating_sub(line.shift),
            to: time,
            is_known: other.is_some(),
        };
        (shifted, Some(jump))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    fn follow(times: impl IntoIterator<Item = i64>) -> (Vec<i64>, Vec<(i64, i64)>) {
        let mut continuity = Continuity::default();
        let (mut all, mut jumps) = (Vec::new(), Vec::new());
        for time in times {
            let (time, jump) = continuity.follow(0, time * MS, 0);
            all.push(time / MS);
            jumps.extend(jump.map(|jump| (jump.from / MS, jump.to / MS)));
        }
        (all, jumps)
    }

    #[test]
    fn what_begins_anew_goes_on_where_it_was() {
        let two = (0..5)
            .map(|n| 10_000 + 40 * n)
            .chain((0..5).map(|n| 40 * n));
        let expected: Vec<_> = (0..10).map(|n| 10_000 + 40 * n).collect();
        assert_eq!(follow(two), (expected, vec![(10_160, 0)]));
        let ahead = [0, 40, 80, 4_000_000, 4_000_040];
        let expected = vec![0, 40, 80, 120, 160];
        assert_eq!(follow(ahead), (expected, vec![(80, 4_000_000)]));
    }

    #[test]
    fn jitter_and_gaps_are_no_jumps() {
        for times in [
            vec![100, 60, 140, 180],
            vec![0, 40, 3_500_000],
            vec![0, 3_000_000, 6_000_000, 1_000_000],
            vec![0, 90_000_000, 180_000_000],
        ] {
            let jumps = follow(times.clone()).1;
            // The first interval of a camera that slow is a jump as far as can be told.
            let expected = usize::from(times[1] > 4_000_000);
            assert_eq!(jumps.len(), expected, "{times:?}");
        }
    }

    #[test]
    fn streams_that_jump_together_stay_together() {
        let mut both = Continuity::default();
        for n in 0..100 {
            both.follow(0, n * 40 * MS, 40 * MS);
            both.follow(1, n * 40 * MS, 40 * MS);
        }
        both.follow(1, 4000 * MS, 40 * MS);
        let (video, jump) = both.follow(0, 0, 40 * MS);
        assert_eq!(
            (video, jump.map(|jump| jump.is_known)),
            (4000 * MS, Some(false))
        );
        let (sound, jump) = both.follow(1, 0, 40 * MS);
        assert_eq!((sound, jump.map(|jump| jump.is_known)), (video, Some(true)));
    }
}
