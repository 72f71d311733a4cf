// SPDX-License-Identifier: MIT OR Apache-2.0
//! The frame rate of a camera that does not say, from its first frames.

use crate::timeline::{FrameGrid, Placement, Rate};

/// Frames that are enough to tell.
const ENOUGH: usize = 17;

/// Time that is enough to tell, in nanoseconds, of a slow camera. The longest interval does not count, however long:
/// a camera may take its time after the first frame, or wait for something that moves, and have 25 a second from then on.
const LONG: i64 = 2_000_000_000;

/// Places a second that the grid of such a camera has at least, if that is no more than
/// [`MOST`] for a frame. Many slow down in the dark and are as fast as this in the light.
const FINE: f64 = 30.0;

/// Places for each frame.
const MOST: f64 = 3.0;

/// A grid with more places is taken if it has more than one of so many frames at its time that would not be otherwise.
const WORTH: usize = 8;

/// Timestamps of other containers are rounded to milliseconds; in nanoseconds.
const ROUNDING: u64 = 1_000_000;

/// What 100 frames of a regular camera last at most, in nanoseconds, that has not slowed down in the dark: films
/// have 23.976 a second.
const FULL: u64 = 4_180_000_000;

/// How far the intervals of a regular camera are from a whole number of places: they come through a network, say.
const JITTER: f64 = 0.15;

/// How much intervals of a regular camera differ.
const REGULAR: f64 = 0.05;

/// What the first frames of a camera tell of its rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cadence {
    /// The rate at which frames come with the shortest usual interval.
    pub usual: Rate,
    /// Of a grid for frames that come at any time: the same for a camera that is regular and has 24 frames a second
    /// or more; else two or three times that, such that there are 30 places a second or more. A camera that is regular
    /// meets the grid exactly, one that is not is at most half a place off, as no two frames want the same place, and one
    /// that becomes faster (in the light, say) still has its places. Where frames beside the others took the places of
    /// those (two came 3 ms apart, and 25 a second from then on), there are up to three places a frame too. An empty
    /// place costs 32 bytes; ffmpeg, GStreamer and OpenCV pass over it.
    pub grid: Rate,
}

impl Cadence {
    /// Of frames with these times and durations in nanoseconds, or `None` if more have to come first: 17, or
    /// two seconds of them beside the longest interval, so that a camera that takes one an hour is known by three.
    /// `is_all` says that none will.
    pub fn of(frames: &[(Option<i64>, Option<u64>)], is_all: bool) -> Option<Self> {
        let mut intervals = intervals(frames.iter().map(|(time, _)| *time));
        let add = |all: i64, one: &i64| all.saturating_add(*one);
        let lasts = intervals.iter().fold(0, add);
        let longest = intervals.iter().max().copied().unwrap_or(0);
        let is_slow = lasts - longest >= LONG;
        if frames.len() < ENOUGH && !is_slow && !is_all {
            return None;
        }
        let usual = if intervals.is_empty() {
            // Without times, durations tell; without those, the rate that most cameras have is taken.
            let durations = frames.iter().filter_map(|(_, duration)| *duration);
            let duration = durations.into_iter().find(|duration| *duration > 0);
            let Some(duration) = duration else {
                let (usual, grid) = (Rate::PAL, Rate::PAL);
                return Some(Self { usual, grid });
            };
            duration as f64
        } else {
            intervals.sort_unstable();
            usual(&intervals)
        };
        let regular = regular(&intervals).filter(|rate| rate.time_of(100) <= FULL);
        let (usual, least) = match regular {
            Some(rate) => (rate.time_of(1_000_000) as f64 / 1e6, 1),
            None => {
                let least = (FINE * usual / 1e9 - 1e-6).ceil().clamp(2.0, MOST);
                (usual, least as u32)
            }
        };
        let grid = |places: u32| match regular {
            Some(rate) if places == 1 => rate,
            _ => Rate::of_interval(usual / f64::from(places)),
        };
        let grids: Vec<Rate> = (least..=MOST as u32).map(grid).collect();
        let off: Vec<usize> = grids.iter().map(|grid| misplaced(frames, *grid)).collect();
        let fewest = off.iter().min().copied().unwrap_or(0);
        let worth = fewest + frames.len() / WORTH;
        let found = off.iter().position(|off| *off <= worth).unwrap_or(0);
        Some(Self {
            usual: regular.unwrap_or_else(|| Rate::of_interval(usual)),
            grid: grids[found],
        })
    }
}

/// How many frames are not at their time on a grid of that rate, which is more than half a place off.
fn misplaced(frames: &[(Option<i64>, Option<u64>)], rate: Rate) -> usize {
    let begin = frames.iter().find_map(|(time, _)| *time).unwrap_or(0);
    let half = rate.time_of(1) / 2 + ROUNDING;
    let mut grid = FrameGrid::fine(rate);
    let is_misplaced = |(time, _): &&(Option<i64>, Option<u64>)| {
        let time = time.map(|time| time.saturating_sub(begin));
        let placement = time.map(|time| grid.place(time));
        if placement.is_none_or(|placement| placement == Placement::Drop) {
            grid.fill();
        }
        let shown = rate.time_of(grid.len() - 1);
        time.is_some_and(|time| shown.abs_diff(time.max(0).unsigned_abs()) > half)
    };
    frames.iter().filter(is_misplaced).count()
}

/// The intervals between frames that have times; those without, which came together with the one before, are between
/// it and the next one.
fn intervals(times: impl Iterator<Item = Option<i64>>) -> Vec<i64> {
    let mut intervals = Vec::new();
    let mut last = None;
    let mut together = 0_usize;
    for time in times {
        together += 1;
        let Some(time) = time else {
            continue;
        };
        let interval = last.map_or(0, |last| time.saturating_sub(last));
        if interval > 0 {
            let one = interval / i64::try_from(together).unwrap_or(i64::MAX);
            intervals.extend(std::iter::repeat_n(one, together));
        }
        (last, together) = (Some(time), 0);
    }
    intervals
}

/// The shortest interval that is usual: the mean of those about the lowest quarter, if many are alike, or
/// what a quarter of them is shorter than.
fn usual(sorted: &[i64]) -> f64 {
    let quarter = sorted[sorted.len() / 4] as f64;
    let alike = |interval: &&i64| (**interval as f64 - quarter).abs() <= REGULAR * quarter;
    let (sum, count) = sorted
        .iter()
        .filter(alike)
        .fold((0.0, 0), |(sum, count), interval| {
            (sum + *interval as f64, count + 1)
        });
    if 2 * count >= sorted.len() {
        sum / f64::from(count as u32)
    } else {
        quarter
    }
}

/// The rate that nearly all intervals keep, or a few places of it where frames are missing; `None` if there is none.
fn regular(sorted: &[i64]) -> Option<Rate> {
    let about = *sorted.get(sorted.len() / 2)? as f64;
    let (mut count, mut time, mut places, mut most_off) = (0, 0.0, 0.0, 0.0_f64);
    for interval in sorted.iter().map(|interval| *interval as f64) {
        let many = (interval / about).round();
        let off = (interval - many * about).abs();
        if many >= 1.0 && off <= JITTER * about {
            count += 1;
            time += interval;
            places += many;
            most_off = most_off.max(off);
        }
    }
    // The first frame and the last may both be off.
    let slack = (2.0 * most_off / places).max(time / places * 5e-7);
    (8 * count >= 7 * sorted.len()).then(|| Rate::of_interval_within(time / places, slack))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    fn of(intervals: &[i64]) -> Option<(u32, u32)> {
        let mut time = 0;
        let mut frames = vec![(Some(0), None)];
        for interval in intervals {
            time += interval * MS;
            frames.push((Some(time), None));
        }
        let grid = Cadence::of(&frames, false)?.grid;
        Some((grid.numerator(), grid.denominator()))
    }

    #[test]
    fn the_shortest_usual_interval_is_a_whole_number_of_places() {
        let after = |first: &[i64], rest: i64| [first, &[rest; 30]].concat();
        assert_eq!(of(&after(&[400], 40)), Some((25, 1)));
        assert_eq!(of(&after(&[3, 77], 40)), Some((25, 1)));
        assert_eq!(of(&after(&[0, 80], 40)), Some((25, 1)));
        assert_eq!(of(&after(&[], 66)), Some((1000, 33)));
        assert_eq!(of(&after(&[], 16)), Some((125, 2)));
        assert_eq!(of(&after(&[], 100)), Some((30, 1)));
        let lossy: Vec<i64> = (0..30).map(|n| if n % 3 == 0 { 80 } else { 40 }).collect();
        assert_eq!(of(&lossy), Some((25, 1)));
        let thirds: Vec<i64> = (0..30).map(|n| 33 + i64::from(n % 3 == 0)).collect();
        assert_eq!(of(&thirds), Some((30, 1)));
    }

    #[test]
    fn a_camera_that_is_not_regular_or_may_have_slowed_down_has_more_places() {
        let jitter: Vec<i64> = (0..30).map(|n| 40 + n % 3 - 1).collect();
        assert_eq!(of(&jitter), Some((25, 1)), "3 % is none");
        let network: Vec<i64> = (0..30).map(|n| [40, 36, 44, 39, 41][n % 5]).collect();
        assert_eq!(of(&network), Some((25, 1)), "nor is 10 %");
        let irregular: Vec<i64> = (0..30).map(|n| [40, 60][n % 2]).collect();
        assert_eq!(of(&irregular), Some((50, 1)));
        let fast: Vec<i64> = (0..30).map(|n| [20, 30][n % 2]).collect();
        assert_eq!(of(&fast), Some((100, 1)));
        assert_eq!(of(&[50; 30]), Some((40, 1)), "20 a second may become 30");
    }

    /// On a grid of their own rate all that follow would be late by nearly a place.
    #[test]
    fn a_frame_beside_the_others_takes_the_place_of_none() {
        let after = |first: &[i64], rest: i64| of(&[first, &[rest; 30]].concat());
        assert_eq!(after(&[3], 40), Some((50, 1)));
        assert_eq!(after(&[3, 3, 3, 3], 40), Some((50, 1)));
        assert_eq!(after(&[4], 33), Some((2000, 33)));
        assert_eq!(after(&[2, 48], 40), Some((50, 1)));
        assert_eq!(after(&[-40, 80], 40), Some((50, 1)), "one before the first");
        assert_eq!(
            after(&[25], 40),
            Some((25, 1)),
            "it is less than half a place off"
        );
    }

    #[test]
    fn frames_that_come_together_are_spread_over_the_time_to_the_next() {
        let five = |n: i64| [&[(Some(200 * n * MS), None)][..], &[(None, None); 4]].concat();
        let bursts: Vec<_> = (0..6).flat_map(five).collect();
        let cadence = Cadence::of(&bursts, false).unwrap();
        assert_eq!(cadence.grid, Rate::PAL);
    }

    #[test]
    fn a_few_frames_tell_only_if_they_are_slow() {
        assert_eq!(of(&[40; 15]), None);
        assert_eq!(of(&[2500]), None, "the second may have been late");
        assert_eq!(of(&[2500, 20, 20]), None);
        assert_eq!(of(&[3000, 3000]), Some((1, 1)));
        let late = [&[9000][..], &[20; 15]].concat();
        assert_eq!(of(&late), Some((50, 1)));
        assert_eq!(of(&[12_000]), None);
        assert_eq!(of(&[12_000, 12_000]), Some((1, 4)));
        assert_eq!(of(&[3_600_000; 2]), Some((1, 1200)));
        let waits = [&[3_600_000][..], &[40; 15]].concat();
        assert_eq!(of(&waits), Some((25, 1)));
        let usual = |frames: &[_], is_all| Some(Cadence::of(frames, is_all)?.usual);
        let none = vec![(None, None); 17];
        assert_eq!(usual(&none[1..], false), None);
        assert_eq!(usual(&none, false), Some(Rate::PAL));
        let lasting = vec![(None, Some(100 * MS as u64)); 17];
        assert_eq!(usual(&lasting, false), Some(Rate::TEN_A_SECOND));
        assert_eq!(usual(&[(Some(0), None)], true), Some(Rate::PAL));
    }
}
