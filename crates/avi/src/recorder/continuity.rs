// SPDX-License-Identifier: MIT OR Apache-2.0
//! Times that begin anew.

use super::Runs;

/// Times that go back by more than this, in nanoseconds, begin anew; three frames of a slow camera may.
pub(crate) const BACK: i64 = 200_000_000;

/// A pause of more than this, in nanoseconds, is a new beginning; ten frames of a slow camera may be.
pub(crate) const AHEAD: i64 = 3600 * 1_000_000_000;

/// The most that any camera is waited for, in nanoseconds: all of it is filled.
const FAR_AHEAD: i64 = 48 * AHEAD;

/// Streams whose new beginnings are no further apart than this, in nanoseconds, have made the same one.
const TOGETHER: i64 = 2_000_000_000;

/// How far before its last time a stream may be put to be where another one went on, in nanoseconds: what is put
/// further back would be late for good, and by less nobody notices (sound is heard to be early by 45 ms, says
/// ITU-R BT.1359).
const OVERLAP: i64 = 45_000_000;

/// Times that jumped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    /// The time before, in nanoseconds; of a stream that begins, that of the others.
    pub from: i64,
    /// The time that came.
    pub to: i64,
    /// Another stream has made the same jump.
    pub is_known: bool,
}

impl std::fmt::Display for Jump {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = |time: i64| time as f64 / 1e9;
        write!(
            f,
            "from {:.3} s to {:.3} s",
            seconds(self.from),
            seconds(self.to)
        )?;
        match self.is_known {
            true => write!(f, ", as those of another"),
            false => write!(
                f,
                "; the file goes on right behind what was recorded before"
            ),
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Line {
    /// The last time, as it is given on.
    last: Option<i64>,
    /// The last interval; 0 while none is known.
    step: i64,
    /// The same without pauses and bursts: it follows what comes by a factor of two at a time.
    usual: i64,
    /// How far it jumped ahead with the last time, or 0: if the camera is as slow as that, the next is no jump.
    slow: i64,
    /// What is added to what comes.
    shift: i64,
}

/// Makes one run of times of several, as a camera or a file that starts again gives them.
///
/// What goes back by more than 0.2 s (or three intervals), and what is more than an hour (or ten
/// intervals, but never more than two days) later, is put right behind what came before it, and all that follows with it. Streams that
/// jump together stay together, whichever of them comes to the jump first, and one that begins more than an
/// hour from where the others are begins there. What comes back to where it was, as after one wrong time,
/// is there again.
#[derive(Debug, Default)]
pub struct Continuity {
    lines: Vec<Line>,
    runs: Runs,
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
        let (shifted, jump) = match self.lines[stream].last {
            None => self.begin(stream, time, duration),
            Some(last) => self.go_on(stream, time, last),
        };
        self.runs.reach(shifted);
        (shifted, jump)
    }

    fn begin(&mut self, stream: usize, time: i64, duration: i64) -> (i64, Option<Jump>) {
        let (shift, others) = self.runs.begin(time, AHEAD);
        let shifted = time.saturating_add(shift);
        // What says that it lasts for days is not believed: all of them would be filled.
        let duration = duration.min(AHEAD / 10);
        self.lines[stream] = Line {
            last: Some(shifted),
            step: duration,
            usual: duration,
            slow: 0,
            shift,
        };
        let jump = others.map(|from| Jump {
            from,
            to: time,
            is_known: false,
        });
        (shifted, jump)
    }

    fn go_on(&mut self, stream: usize, time: i64, last: i64) -> (i64, Option<Jump>) {
        let line = self.lines[stream];
        let shifted = time.saturating_add(line.shift);
        let ahead = shifted.saturating_sub(last);
        let breaks = ahead < -BACK.max(line.usual.saturating_mul(3))
            || ahead
                > line
                    .step
                    .saturating_mul(10)
                    .max(line.slow.saturating_mul(2))
                    .clamp(AHEAD, FAR_AHEAD);
        let may_return = line.shift != 0 && ahead > TOGETHER;
        let wanted = last.saturating_add(line.usual).saturating_sub(time);
        let other = match breaks || may_return {
            true => self.shift_near(wanted, line),
            false => None,
        };
        let most_back = line.usual.saturating_add(OVERLAP);
        let is_behind = |shift: &i64| wanted.saturating_sub(*shift) <= most_back;
        if other.filter(is_behind).is_none() && !breaks {
            // After a small step back, the next interval is counted from the latest time so far.
            self.lines[stream].last = Some(last.max(shifted));
            if ahead > 0 {
                self.lines[stream].slow = 0;
                self.lines[stream].step = ahead;
                self.lines[stream].usual = match line.usual {
                    ..1 => ahead,
                    usual => ahead.clamp((usual / 2).max(1), usual.saturating_mul(2)),
                };
            }
            return (shifted, None);
        }
        let shift = other.filter(is_behind).unwrap_or(wanted);
        let shifted = time.saturating_add(shift);
        if other.is_none() {
            self.runs.add(shift, shifted);
        }
        self.lines[stream] = Line {
            last: Some(last.max(shifted)),
            shift,
            slow: if breaks { ahead.max(0) } else { 0 },
            ..line
        };
        let jump = Jump {
            from: last.saturating_sub(line.shift),
            to: time,
            is_known: other.is_some(),
        };
        (shifted, Some(jump))
    }

    /// Of none and those of earlier jumps the shift that is nearest to `wanted`, if it is near and another than
    /// the stream has.
    fn shift_near(&self, wanted: i64, line: Line) -> Option<i64> {
        let off = |shift: &i64| shift.saturating_sub(wanted).unsigned_abs();
        let all = [0].into_iter().chain(self.runs.shifts().iter().copied());
        all.filter(|shift| *shift != line.shift && off(shift) <= TOGETHER.unsigned_abs())
            .min_by_key(off)
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

    #[test]
    fn a_jump_or_a_pause_leaves_no_hole_at_the_next_jump() {
        // One frame between two jumps, and one behind a pause.
        let times = [0, 40, 4_000_000, 0, 40];
        let jumps = vec![(40, 4_000_000), (4_000_000, 0)];
        assert_eq!(follow(times), (vec![0, 40, 80, 120, 160], jumps));
        let times = [0, 40, 80, 20_000_000, 90_000_000, 90_000_040];
        assert_eq!(follow(times).0, [0, 40, 80, 120, 160, 200]);
        let (times, _) = follow([0, 40, 80, 1_800_080, 0, 40]);
        assert_eq!(times, [0, 40, 80, 1_800_080, 1_800_160, 1_800_200]);
    }

    /// Each of them would be filled with as many frames as there is room for.
    #[test]
    fn what_says_that_it_lasts_for_days_is_not_believed() {
        for days in [2, 500] {
            let mut one = Continuity::default();
            let mut follow = |time| one.follow(0, time, days * FAR_AHEAD);
            assert_eq!(follow(0), (0, None));
            for n in 1..5 {
                let (time, jump) = follow(n * days * FAR_AHEAD);
                assert!(
                    time < n * AHEAD && jump.is_some(),
                    "{days}: {time}, {jump:?}"
                );
            }
        }
        // Nor is what grows tenfold each time.
        let mut one = Continuity::default();
        let mut pauses = (0..8).map(|n| 40 * MS * 10_i64.pow(n));
        let mut time = 0;
        let longest = pauses.by_ref().map(|pause| {
            time += pause;
            let before = one.lines.first().and_then(|line| line.last).unwrap_or(time);
            one.follow(0, time, 40 * MS).0 - before
        });
        assert!(longest.max().unwrap() <= FAR_AHEAD);
    }

    #[test]
    fn what_comes_back_is_where_it_was() {
        // One frame was wrong, and not the clock.
        let times = [10_000, 10_040, 0, 10_120, 10_160];
        let expected = vec![10_000, 10_040, 10_080, 10_120, 10_160];
        assert_eq!(follow(times), (expected, vec![(10_040, 0), (0, 10_120)]));
        // It went on from there, and then there was a pause.
        let times = [10_000, 10_040, 0, 40, 5_000];
        let expected = vec![10_000, 10_040, 10_080, 10_120, 15_080];
        assert_eq!(follow(times), (expected, vec![(10_040, 0)]));
    }

    #[test]
    fn a_stream_that_is_behind_finds_each_of_several_jumps() {
        let mut both = Continuity::default();
        let runs = || (0..4).flat_map(|_| (0..25).map(|n| n * 40 * MS));
        let video: Vec<_> = runs().map(|time| both.follow(0, time, 40 * MS).0).collect();
        for (time, picture) in runs().zip(video) {
            let (sound, jump) = both.follow(1, time, 40 * MS);
            assert_eq!(sound, picture);
            assert!(jump.is_none_or(|jump| jump.is_known), "{jump:?}");
        }
    }

    #[test]
    fn nothing_goes_far_back_to_be_with_another_stream() {
        let mut both = Continuity::default();
        for n in 0..100 {
            both.follow(0, n * 100 * MS, 40 * MS);
            // The sound stopped a second before the clock began anew.
            both.follow(1, n * 90 * MS, 40 * MS);
        }
        let (sound, _) = both.follow(1, 0, 40 * MS);
        let (picture, _) = both.follow(0, 0, 40 * MS);
        assert!(
            sound < picture && picture >= 10_000 * MS,
            "{sound} {picture}"
        );
    }

    #[test]
    fn streams_that_begin_hours_apart_begin_together() {
        const HOUR: i64 = 3_600_000 * MS;
        // The sound was away until the clock jumped, and its thread was the first.
        let mut both = Continuity::default();
        assert_eq!(both.follow(1, 18 * HOUR, 20 * MS).0, 18 * HOUR);
        let (first, jump) = both.follow(0, 0, 40 * MS);
        let expected = Jump {
            from: 18 * HOUR,
            to: 0,
            is_known: false,
        };
        assert_eq!((first, jump), (18 * HOUR, Some(expected)));
        both.follow(0, 40 * MS, 40 * MS);
        let (later, jump) = both.follow(0, 18 * HOUR + 100 * MS, 40 * MS);
        assert_eq!(later, 18 * HOUR + 100 * MS);
        assert!(jump.unwrap().is_known);
        // One that begins after a jump goes on where the others do.
        let mut both = Continuity::default();
        both.follow(0, 10_000 * MS, 40 * MS);
        both.follow(0, 0, 40 * MS);
        both.follow(0, 300 * MS, 40 * MS);
        let (sound, jump) = both.follow(1, 320 * MS, 20 * MS);
        assert_eq!((sound, jump), (10_360 * MS, None));
        // A microphone that is switched on after a while is late.
        let mut both = Continuity::default();
        both.follow(0, 0, 40 * MS);
        assert_eq!(both.follow(1, HOUR - MS, 20 * MS), (HOUR - MS, None));
    }
}
