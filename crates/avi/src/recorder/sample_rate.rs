// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rate that samples come at, whatever their caps say.

use std::collections::VecDeque;

/// The newest times that are looked at, and how far they are apart at least (ns).
const POINTS: usize = 256;
const APART: i64 = 5_000_000;

/// Times that a rate can be had from, and the time (ns) that they span.
const ENOUGH: usize = 4;
const SPAN: i64 = 1_000_000_000;

/// The span (ns) after which it is no longer waited for a clear answer.
const PATIENCE: i64 = 2_500_000_000;

/// How far (ns) samples come to be off at a wrong rate, so that it is no jitter; four times as far as times are off
/// the line through them.
const CLEAR: f64 = 40e6;
const TIMES_JITTER: f64 = 4.0;

/// The most jitter, in ns: what is off by more is no line.
const JITTER: f64 = 60e6;

/// Clocks are off by a hundredth of that; what is less is made up for with silence, or by leaving out.
const DRIFT: f64 = 0.02;

/// Nobody takes more for less: beyond this factor it is times that are wrong, as those of what comes all at once.
const FACTOR: f64 = 4.0;

/// How far (ns) what is in the file already may be moved by another rate; and by the one that was said, which is
/// gone back to.
const MOVED: f64 = 100e6;
const MOVED_BACK: f64 = 2e9;

/// What sound comes in, and then round numbers.
const USUAL: [u32; 14] = [
    8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000,
    176_400, 192_000,
];
const ROUND: [u32; 2] = [1000, 100];

/// What times say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The rate of the file is the right one, or there is no other that is.
    Keeps,
    /// That cannot be told yet.
    Unclear,
    /// Samples come at so many a second.
    Comes(u32),
}

#[derive(Debug, Clone, Copy)]
struct Point {
    /// Samples that came before.
    came: u64,
    /// Nanoseconds since the start of the file.
    time: i64,
    /// Samples in the file before.
    place: u64,
}

/// A line through times.
struct Line {
    /// Nanoseconds from one sample to the next.
    interval: f64,
    /// How far the times are off it, ns.
    off: f64,
    /// Samples, and nanoseconds, from its first point to its last.
    samples: f64,
    span: i64,
}

/// Compares the times that samples come with to how many they are.
///
/// Of times that have been steady for a second, or for as long as there were any, the line through them is the rate,
/// if that is clearly another one than the file has, and what is in the file stays where it is at that rate too: so it
/// is found in the first seconds of sound only. Before a rate is changed nothing may have been left out or filled up, so
/// whoever asks keeps samples back as long as it is [unclear](Verdict::Unclear).
#[derive(Debug, Clone)]
pub(super) struct SampleRate {
    said: u32,
    now: u32,
    came: u64,
    points: VecDeque<Point>,
}

impl SampleRate {
    /// For samples that are `said` to be so many a second.
    pub(crate) fn new(said: u32) -> Self {
        Self {
            said: said.max(1),
            now: said.max(1),
            came: 0,
            points: VecDeque::new(),
        }
    }

    /// Adds samples of a time, if they have one, in nanoseconds since the start of the file, which has `place`
    /// samples before them.
    pub(crate) fn add(&mut self, samples: u64, time: Option<i64>, place: u64) {
        if let Some(time) = time {
            let last = self.points.back().map(|point| point.time);
            if last.is_none_or(|last| time.saturating_sub(last).saturating_abs() >= APART) {
                if self.points.len() == POINTS {
                    self.points.pop_front();
                }
                self.points.push_back(Point {
                    came: self.came,
                    time,
                    place,
                });
            }
        }
        self.came += samples;
    }

    /// The file has another rate.
    pub(crate) fn set(&mut self, now: u32) {
        self.now = now.max(1);
    }

    /// The rate that the file has.
    pub(crate) fn now(&self) -> u32 {
        self.now
    }

    /// What the times so far say; clear in any case if nothing more comes.
    pub(crate) fn verdict(&self, is_all: bool) -> Verdict {
        if self.points.len() < 2 {
            return match is_all {
                true => Verdict::Keeps,
                false => Verdict::Unclear,
            };
        }
        let all = self.verdict_from(0, is_all);
        let newest = self.points.back().map_or(0, |point| point.time);
        let is_old = |point: &Point| newest.saturating_sub(point.time) > SPAN * 3 / 2;
        match (all, self.now == self.said) {
            // What came before may have been the exception.
            (Verdict::Keeps, false) => {
                self.verdict_from(self.points.iter().take_while(|p| is_old(p)).count(), is_all)
            }
            _ => all,
        }
    }

    /// The same by the points from one on.
    fn verdict_from(&self, from: usize, is_all: bool) -> Verdict {
        let Some((first, line)) = self.line(from) else {
            return Verdict::Keeps;
        };
        let rate = line.rate();
        let interval = 1e9 / f64::from(self.now);
        let grown = (line.interval - interval).abs() * line.samples;
        let is_back = self.now != self.said && is_drift(f64::from(rate) / f64::from(self.said));
        let (rate, most) = match is_back {
            true => (self.said, MOVED_BACK),
            false => (rate, MOVED),
        };
        let factor = interval / line.interval;
        let moved = (1e9 / f64::from(rate) - interval).abs() * first.place as f64;
        if is_drift(factor)
            || !(1.0 / FACTOR..=FACTOR).contains(&factor)
            || line.off > JITTER
            || moved > most
        {
            return Verdict::Keeps;
        }
        let is_clear = grown >= CLEAR.max(line.off * TIMES_JITTER);
        let is_enough = self.points.len() - from >= ENOUGH && is_clear;
        match (is_enough, is_all, line.span) {
            (true, true, _) | (true, false, SPAN..) => Verdict::Comes(rate),
            (false, true, _) | (false, false, PATIENCE..) => Verdict::Keeps,
            _ => Verdict::Unclear,
        }
    }

    /// The line through the points from one on, by least squares, and the first of them; `None` if it does not rise.
    fn line(&self, from: usize) -> Option<(&Point, Line)> {
        let (first, last) = (self.points.get(from)?, self.points.back()?);
        let from_first = |point: &Point| {
            let samples = (point.came - first.came) as f64;
            (samples, point.time.saturating_sub(first.time) as f64)
        };
        let points = || self.points.range(from..).map(from_first);
        let number = (self.points.len() - from) as f64;
        let (samples, times) = points().fold((0.0, 0.0), |(a, b), (n, t)| (a + n, b + t));
        let (mean, mean_time) = (samples / number, times / number);
        let (rising, square) = points().fold((0.0, 0.0), |(rising, square), (n, t)| {
            let n = n - mean;
            (rising + n * (t - mean_time), square + n * n)
        });
        let interval = rising / square;
        if !(interval.is_finite() && interval > 0.0) {
            return None;
        }
        let off = |(n, t): (f64, f64)| (t - mean_time - interval * (n - mean)).abs();
        let line = Line {
            interval,
            off: points().map(off).fold(0.0, f64::max),
            samples: (last.came - first.came) as f64,
            span: last.time.saturating_sub(first.time),
        };
        Some((first, line))
    }
}

/// Whether a factor between two rates is no more than clocks are off, and some.
fn is_drift(factor: f64) -> bool {
    (factor - 1.0).abs() < DRIFT
}

impl Line {
    /// Samples a second: a usual rate or a round one, if it is as good.
    fn rate(&self) -> u32 {
        let slack = self.off + 2e6;
        let is_near = |rate: &u32| {
            *rate > 0 && (1e9 / f64::from(*rate) - self.interval).abs() * self.samples <= slack
        };
        let hertz = 1e9 / self.interval;
        let round = ROUND.map(|step| (hertz / f64::from(step)).round() as u32 * step);
        let mut near = USUAL.into_iter().filter(is_near);
        let usual = near.next().or_else(|| round.into_iter().find(is_near));
        usual.unwrap_or(hertz.round().max(1.0) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: f64 = 1e6;

    /// What is said of buffers of so many samples with times in ms, and after how many of them it is.
    fn ask(said: u32, samples: u64, times: impl IntoIterator<Item = f64>) -> (Verdict, usize) {
        let mut rate = SampleRate::new(said);
        let mut buffers = 0;
        for time in times {
            rate.add(samples, Some((time * MS) as i64), 0);
            buffers += 1;
            let verdict = rate.verdict(false);
            if verdict != Verdict::Unclear {
                return (verdict, buffers);
            }
        }
        (rate.verdict(true), buffers)
    }

    fn every(interval: f64, buffers: u32) -> impl Iterator<Item = f64> {
        (0..buffers).map(move |n| f64::from(n) * interval)
    }

    #[test]
    fn a_wrong_rate_is_found_in_a_second() {
        for (said, samples, interval, comes) in [
            (4000, 160, 20.0, 8000),
            (8000, 160, 40.0, 4000),
            (44_100, 480, 10.0, 48_000),
            (48_000, 4410, 100.0, 44_100),
            (8000, 8000, 1000.0 / 1.5, 12_000),
            (8000, 100, 10.0, 10_000),
            (8000, 777, 60.0, 12_950),
        ] {
            let found = ask(said, samples, every(interval, 1000));
            assert_eq!(found.0, Verdict::Comes(comes), "{said} {samples}");
            let most = (1000.0_f64 / interval) as usize + 3;
            assert!(found.1 <= most, "{found:?}");
        }
        // It ends before.
        let few = ask(4000, 160, every(20.0, 10)).0;
        assert_eq!(few, Verdict::Comes(8000));
        // They come when they come.
        let late = |n| f64::from(n) * 20.0 + f64::from(n * 7 % 10) * 3.0;
        let jitter = ask(4000, 160, (0..100).map(late)).0;
        assert_eq!(jitter, Verdict::Comes(8000));
    }

    #[test]
    fn jitter_drift_and_gaps_are_no_other_rate() {
        let overlap = every(20.0, 50).map(|at| if at > 100.0 { at - 70.0 } else { at });
        let gap = every(20.0, 50).map(|at| if at > 100.0 { at + 170.0 } else { at });
        let early = every(20.0, 50).map(|at| if at > 10.0 { at - 15.0 } else { at });
        for times in [
            every(20.02, 1000).collect::<Vec<_>>(),
            every(19.98, 1000).collect(),
            overlap.collect(),
            gap.collect(),
            early.collect(),
            (0..50).map(|n| f64::from(n * 20 + n % 3 * 8)).collect(),
            // All at once, and hardly any.
            every(1.0, 100).collect(),
            every(500.0, 100).collect(),
        ] {
            let mut rate = SampleRate::new(8000);
            for time in &times {
                rate.add(160, Some((time * MS) as i64), rate.came);
                let verdict = rate.verdict(false);
                assert!(!matches!(verdict, Verdict::Comes(_)), "{times:?}");
            }
            assert_eq!(rate.verdict(true), Verdict::Keeps, "{times:?}");
        }
    }

    #[test]
    fn what_is_in_the_file_is_not_moved_far() {
        let mut rate = SampleRate::new(8000);
        let mut at = 0.0;
        for n in 0..1000 {
            rate.add(160, Some((at * MS) as i64), n * 160);
            at += if n < 300 { 20.0 } else { 10.0 };
            assert!(!matches!(rate.verdict(false), Verdict::Comes(_)));
        }
    }

    #[test]
    fn a_rate_that_was_only_a_burst_is_gone_back_from() {
        let mut rate = SampleRate::new(8000);
        let mut at = 0.0;
        let mut found = Vec::new();
        for n in 0..1000 {
            rate.add(160, Some((at * MS) as i64), n * 160);
            at += if n < 110 { 10.0 } else { 20.0 };
            if let Verdict::Comes(now) = rate.verdict(false) {
                rate.set(now);
                found.push(now);
            }
        }
        assert_eq!(found, [16_000, 8000]);
    }
}
