// SPDX-License-Identifier: MIT OR Apache-2.0
//! When pictures are decoded, where their stream tells only when they are shown, as RTP does: `qtmux` and `flvmux` take
//! the one time for the other, and the times of a stream with B frames come to nothing. Knows no GStreamer.

use super::timeline::reach;

/// The times of decoding of one stream; times in ns.
#[derive(Debug, Clone, Default)]
pub(crate) struct DecodeTimes {
    /// So many pictures come before one and are shown after it.
    depth: usize,
    /// The latest times of presentation that no picture has been decoded at yet, in order.
    ahead: Vec<i64>,
    /// The last picture's time of presentation, and the last time of decoding.
    shown: Option<i64>,
    last: Option<i64>,
    /// The same where it would be if it had been known how far they are reordered.
    wanted: Option<i64>,
}

impl DecodeTimes {
    /// Follows what the stream says of itself; where it says nothing, its pictures do.
    pub(crate) fn set_depth(&mut self, depth: u8) {
        if self.depth != usize::from(depth) {
            *self = Self {
                depth: usize::from(depth),
                ..Self::default()
            };
        }
    }

    /// When the next picture, which is shown at this time and lasts so long, is decoded: before 0 perhaps. `None` as long
    /// as pictures come as they are shown. Where they go back by more than `near`, the clock has broken off.
    pub(crate) fn of(&mut self, shown: i64, lasts: i64, near: i64) -> Option<i64> {
        let lasts = lasts.max(1);
        let before = self.shown.replace(shown);
        let far = |before: i64| {
            let ahead = shown.saturating_sub(before);
            ahead > reach(lasts) || ahead < near.saturating_neg()
        };
        let broke_off = before.is_none_or(far);
        if broke_off {
            self.ahead.clear();
            (self.last, self.wanted) = (None, None);
            let lead = i64::try_from(self.depth).unwrap_or(0);
            let before = (1..=lead).rev();
            self.ahead
                .extend(before.map(|n| shown.saturating_sub(lasts.saturating_mul(n))));
        }
        if let Some(wanted) = self.wanted.filter(|wanted| shown < *wanted) {
            // They come further from their order than was known.
            self.depth = self.depth.saturating_add(1);
            self.insert(wanted);
        }
        self.insert(shown);
        let next = self.ahead.remove(0);
        self.wanted = Some(next);
        let next = self.last.map_or(next, |last| next.max(last));
        self.last = Some(next);
        (self.depth > 0).then_some(next)
    }

    fn insert(&mut self, time: i64) {
        let at = self.ahead.partition_point(|other| *other <= time);
        self.ahead.insert(at, time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(times: &mut DecodeTimes, shown: &[i64]) -> Vec<Option<i64>> {
        shown
            .iter()
            .map(|&time| times.of(time * 1_000_000, 40_000_000, 1_000_000_000))
            .map(|time| time.map(|time| time / 1_000_000))
            .collect()
    }

    #[test]
    fn pictures_are_decoded_one_after_the_other_and_before_they_are_shown() {
        let mut times = DecodeTimes::default();
        times.set_depth(2);
        // I P B B b P ...
        let shown = [0, 160, 80, 40, 120, 320, 240, 200, 280];
        let decoded = all(&mut times, &shown);
        let expected = [-80, -40, 0, 40, 80, 120, 160, 200, 240];
        assert_eq!(decoded, expected.map(Some));
    }

    #[test]
    fn what_comes_in_order_is_left_alone() {
        let mut times = DecodeTimes::default();
        assert_eq!(all(&mut times, &[0, 40, 81, 119, 160]), [None; 5]);
    }

    #[test]
    fn a_stream_that_does_not_say_so_is_seen_to_reorder() {
        let mut times = DecodeTimes::default();
        let decoded = all(&mut times, &[0, 120, 40, 80, 240, 160, 200, 360, 280, 320]);
        let expected = [120, 120, 120, 160, 200, 240, 280, 320].map(Some);
        assert_eq!(decoded, [&[None, None][..], &expected[..]].concat());
    }

    #[test]
    fn a_clock_that_breaks_off_begins_anew() {
        let mut times = DecodeTimes::default();
        times.set_depth(1);
        let shown = [5000, 5080, 5040, 0, 80, 40, 3_600_000, 3_600_080, 3_600_040];
        let decoded = all(&mut times, &shown);
        let expected = [
            4960, 5000, 5040, -40, 0, 40, 3_599_960, 3_600_000, 3_600_040,
        ];
        assert_eq!(decoded, expected.map(Some));
    }
}
