// SPDX-License-Identifier: MIT OR Apache-2.0
//! When the buffers of a stream are shown: as their timestamps say, counted where there are none,
//! and going on where timestamps go back or begin anew. Knows no GStreamer.

/// How far timestamps that were set right may be from where the stream was, ns. A break in one
/// stream is taken to be the same break in another within this.
const NEAR: i64 = 1_000_000_000;

/// How far a time of presentation may go back because of reordering, in pictures: as many as
/// H.264 and H.265 may reorder (`max_num_reorder_frames`).
const REORDERED: i64 = 16;

/// What upstream says of a buffer, in running time, ns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stamps {
    /// When it is presented, and when decoded.
    pub time: Option<i64>,
    pub decode: Option<i64>,
    pub duration: Option<i64>,
}

/// Where a buffer is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Running time (ns) of its beginning and end.
    pub time: i64,
    pub end: i64,
    /// What was added to the running times of upstream.
    pub offset: i64,
    /// Its timestamps do not follow the last ones.
    pub jump: Option<Jump>,
}

/// A break in the timestamps, in running times of upstream, ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    pub from: i64,
    pub to: i64,
    /// No other stream has had it before.
    pub first: bool,
}

/// The buffer has no timestamp, and nothing says how long one lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Untimed;

/// One stream's time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timeline {
    /// Nanoseconds that a buffer lasts by the caps, where they say so.
    period: Option<i64>,
    /// Pictures may come in another order than they are presented.
    reorders: bool,
    /// What is added to the running times of upstream, ns.
    offset: i64,
    /// The last buffer's time in the order of decoding, offset included, and how long after the one
    /// before it.
    last: Option<i64>,
    step: Option<i64>,
    /// Where what came ends.
    position: Option<i64>,
}

impl Timeline {
    /// Follows new caps.
    pub fn set_format(&mut self, period: Option<i64>, reorders: bool) {
        self.period = period.filter(|&period| period > 0);
        self.reorders = reorders;
    }

    /// What comes does not follow what came.
    pub fn reset(&mut self) {
        let (period, reorders) = (self.period, self.reorders);
        *self = Self::default();
        self.set_format(period, reorders);
    }

    /// A running time of upstream in this timeline.
    pub fn shifted(&self, time: i64) -> i64 {
        time.saturating_add(self.offset)
    }

    /// Nothing comes up to this time.
    pub fn skip_to(&mut self, time: i64) {
        self.position = Some(self.position.map_or(time, |position| position.max(time)));
    }

    /// Puts a buffer into its place. `common` is the offset that the last break in any stream made.
    pub fn place(&mut self, stamps: Stamps, common: i64) -> Result<Placed, Untimed> {
        let Some(stamp) = stamps.time.or(stamps.decode) else {
            return self.count(stamps.duration);
        };
        let order = stamps.decode.unwrap_or(stamp);
        let jump = self.look_for_jump(order, stamps, common);
        let (time, order) = (self.shifted(stamp), self.shifted(order));
        if let Some(last) = self.last
            && order > last
            && jump.is_none()
        {
            self.step = Some(order - last);
        }
        self.last = Some(self.last.map_or(order, |last| last.max(order)));
        let end = time.saturating_add(stamps.duration.unwrap_or(0).max(0));
        self.skip_to(end);
        Ok(Placed {
            time,
            end,
            offset: self.offset,
            jump,
        })
    }

    /// Places a buffer without timestamps behind what came.
    fn count(&mut self, duration: Option<i64>) -> Result<Placed, Untimed> {
        let duration = duration.filter(|&duration| duration > 0);
        let duration = duration.or(self.period).ok_or(Untimed)?;
        let last = self.last.map(|last| last.saturating_add(duration));
        let time = self.position.max(last).unwrap_or(0);
        let end = time.saturating_add(duration);
        self.last = Some(time);
        self.skip_to(end);
        Ok(Placed {
            time,
            end,
            offset: self.offset,
            jump: None,
        })
    }

    /// Sets the offset anew where a buffer comes before the last one, by more than clocks jitter
    /// and encoders reorder, or where an offset is not needed any more.
    fn look_for_jump(&mut self, order: i64, stamps: Stamps, common: i64) -> Option<Jump> {
        let last = self.last?;
        let expected = last.saturating_add(self.length(stamps));
        let now = self.shifted(order);
        let fits = |offset: i64| {
            let at = order.saturating_add(offset);
            (last..=expected.saturating_add(NEAR)).contains(&at)
        };
        let back = last.saturating_sub(now) > self.tolerance(stamps);
        let ahead = self.offset != 0 && now.saturating_sub(expected) > NEAR;
        if !back && !ahead {
            return None;
        }
        let known = [0, common].into_iter().find(|&offset| fits(offset));
        if known.is_none() && !back {
            // Nothing came for a while.
            return None;
        }
        let former = std::mem::replace(
            &mut self.offset,
            known.unwrap_or_else(|| expected.saturating_sub(order)),
        );
        Some(Jump {
            from: last.saturating_sub(former),
            to: order,
            first: known.is_none(),
        })
    }

    /// How long a buffer lasts, as well as that is known.
    fn length(&self, stamps: Stamps) -> i64 {
        let known = stamps.duration.filter(|&duration| duration > 0);
        known.or(self.period).or(self.step).unwrap_or(1_000_000)
    }

    /// By how much a buffer may be before the last one and still follow it.
    fn tolerance(&self, stamps: Stamps) -> i64 {
        match self.reorders && stamps.decode.is_none() {
            true => NEAR.max(self.length(stamps).saturating_mul(REORDERED)),
            false => (NEAR / 10).max(self.length(stamps).saturating_mul(2)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    fn at(ms: i64) -> Stamps {
        Stamps {
            time: Some(ms * MS),
            ..Stamps::default()
        }
    }

    fn times(timeline: &mut Timeline, stamps: impl IntoIterator<Item = Stamps>) -> Vec<i64> {
        stamps
            .into_iter()
            .map(|stamps| timeline.place(stamps, 0).unwrap().time / MS)
            .collect()
    }

    #[test]
    fn timestamps_are_believed() {
        let mut timeline = Timeline::default();
        timeline.set_format(Some(40 * MS), false);
        let stamps = [0, 40, 79, 78, 120, 5000, 5040].map(at);
        assert_eq!(
            times(&mut timeline, stamps),
            [0, 40, 79, 78, 120, 5000, 5040]
        );
    }

    #[test]
    fn without_timestamps_they_are_counted() {
        let mut timeline = Timeline::default();
        assert_eq!(timeline.place(Stamps::default(), 0), Err(Untimed));
        timeline.set_format(Some(40 * MS), false);
        let stamps = [Stamps::default(); 3];
        assert_eq!(times(&mut timeline, stamps), [0, 40, 80]);
        // Some have one.
        assert_eq!(
            times(&mut timeline, [at(200), Stamps::default()]),
            [200, 240]
        );
        let lasting = Stamps {
            duration: Some(10 * MS),
            ..Stamps::default()
        };
        let mut timeline = Timeline::default();
        assert_eq!(times(&mut timeline, [lasting; 3]), [0, 10, 20]);
    }

    #[test]
    fn what_goes_back_goes_on_behind_what_came() {
        let mut timeline = Timeline::default();
        timeline.set_format(Some(40 * MS), false);
        times(&mut timeline, [10_000, 10_040].map(at));
        let placed = timeline.place(at(0), 0).unwrap();
        assert_eq!(placed.time, 10_080 * MS);
        let jump = Jump {
            from: 10_040 * MS,
            to: 0,
            first: true,
        };
        assert_eq!(placed.jump, Some(jump));
        assert_eq!(times(&mut timeline, [40, 80].map(at)), [10_120, 10_160]);
        // One frame was wrong, and not the clock.
        assert_eq!(
            times(&mut timeline, [10_200, 10_240].map(at)),
            [10_200, 10_240]
        );
        // By less than a second, for good.
        assert_eq!(
            times(&mut timeline, [9_900, 9_940].map(at)),
            [10_280, 10_320]
        );
    }

    #[test]
    fn other_streams_follow_the_first_one() {
        let mut sound = Timeline::default();
        times(&mut sound, [9_980, 10_000].map(at));
        let placed = sound.place(at(10), 10_080 * MS).unwrap();
        assert_eq!(placed.time, 10_090 * MS);
        assert!(!placed.jump.unwrap().first);
    }

    #[test]
    fn reordered_pictures_do_not_go_back() {
        let mut timeline = Timeline::default();
        timeline.set_format(Some(1000 * MS), true);
        let stamps = [0, 4000, 2000, 1000, 3000, 8000].map(at);
        assert_eq!(
            times(&mut timeline, stamps),
            [0, 4000, 2000, 1000, 3000, 8000]
        );
        assert_eq!(times(&mut timeline, [at(60_000), at(0)]), [60_000, 61_000]);
    }
}
