// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which pictures are left out so that a frame rate is kept.

/// How much earlier than its place a picture may be, in parts of the time since the one before it.
/// Less than a half, so that of two pictures around a place the nearer one is kept; and none of the
/// usual ratios of two rates puts a picture just there.
const EARLY: (u128, u128) = (5, 16);

/// Leaves pictures out, evenly, so that no more than so many a second are kept.
///
/// The places of a rate begin with the first picture. A picture is kept if it is the first at its
/// place, so that one that is a little early or late costs nothing, and a gap is not made up for.
///
/// ```
/// let mut decimator = k230_venc::Decimator::new((20, 1)).expect("a rate");
/// let times = (0..6).map(|n| n * 1_000_000_000 / 30);
/// let kept: Vec<bool> = times.map(|time| decimator.keeps(time)).collect();
/// assert_eq!(kept, [true, false, true, true, false, true]);
/// ```
#[derive(Debug, Clone)]
pub struct Decimator {
    rate: (u32, u32),
    seen: Option<Seen>,
}

/// Times in nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Of the first picture.
    origin: u64,
    /// Of the last one, kept or not.
    time: u64,
    /// The place of the last one that was kept.
    place: u128,
}

impl Decimator {
    /// For `rate` pictures a second, numerator and denominator; `None` if either is 0.
    pub fn new(rate: (u32, u32)) -> Option<Self> {
        (rate.0 > 0 && rate.1 > 0).then_some(Self { rate, seen: None })
    }

    /// Whether the picture at `time`, in nanoseconds, is to be kept. A time that goes back begins
    /// anew.
    pub fn keeps(&mut self, time: u64) -> bool {
        let Some(seen) = self.seen.as_mut().filter(|seen| time >= seen.time) else {
            self.seen = Some(Seen {
                origin: time,
                time,
                place: 0,
            });
            return true;
        };
        let rate = u128::from(self.rate.0);
        // In parts of a nanosecond, as many as there are pictures in the rate's numerator.
        let second = u128::from(self.rate.1) * 1_000_000_000;
        let interval = (u128::from(time - seen.time) * rate).min(second);
        let since = u128::from(time - seen.origin) * rate;
        let place = (since * EARLY.1 + interval * EARLY.0) / (second * EARLY.1);
        seen.time = time;
        let keeps = place > seen.place;
        seen.place = place.max(seen.place);
        keeps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn kept(target: (u32, u32), times: impl Iterator<Item = u64>) -> Vec<u64> {
        let mut decimator = Decimator::new(target).expect("a rate");
        times.filter(|time| decimator.keeps(*time)).collect()
    }

    #[test]
    fn every_ratio_is_kept_evenly() {
        for (source, target) in [
            (30, 15),
            (60, 30),
            (120, 30),
            (30, 20),
            (30, 25),
            (25, 24),
            (30, 29),
            (30, 7),
            (50, 3),
            (30, 1),
        ] {
            let times = (0..source * 10).map(|n| n * SECOND / source);
            let kept = kept((target as u32, 1), times);
            assert_eq!(kept.len() as u64, target * 10, "{source} to {target}");
            // Each gap is one of the two whole numbers of frames around the ideal.
            for pair in kept.windows(2) {
                let frames = ((pair[1] - pair[0]) * source + SECOND / 2) / SECOND;
                let ideal = source as f64 / target as f64;
                assert!(
                    (frames as f64 - ideal).abs() < 1.0,
                    "{source} to {target}: {frames} frames"
                );
            }
        }
        let ntsc = (0..9000u64).map(|n| n * SECOND / 30);
        assert_eq!(kept((30_000, 1001), ntsc).len(), 8991, "one in 1000 goes");
    }

    #[test]
    fn a_camera_that_is_not_exact_loses_nothing_at_its_own_rate() {
        let uneven =
            |n: u64| 40_000_000 * n + [0, 9_000_000, 3_000_000, 11_000_000][n as usize % 4];
        assert_eq!(kept((25, 1), (0..200).map(uneven)).len(), 200);
        // Slower than the target: all.
        assert_eq!(kept((60, 1), (0..50).map(|n| n * SECOND / 30)).len(), 50);
    }

    #[test]
    fn gaps_are_not_made_up_for_and_time_may_begin_anew() {
        let frame = SECOND / 30;
        let times = (0..4).chain(3000..3004).chain(0..4).map(|n| n * frame);
        let kept = kept((15, 1), times);
        assert_eq!(
            kept,
            [0, 2, 3000, 3002, 0, 2].map(|n: u64| n * frame),
            "two of four each"
        );
        assert!(Decimator::new((0, 1)).is_none() && Decimator::new((1, 0)).is_none());
        // As large as numbers get.
        let mut decimator = Decimator::new((u32::MAX, 1)).expect("a rate");
        assert!(decimator.keeps(0) && decimator.keeps(u64::MAX));
    }
}
