// SPDX-License-Identifier: MIT OR Apache-2.0
//! Streams that are away for a while, and when to look at the clocks. Knows no GStreamer.

/// How long (ns) nothing has to come for the stream to have been away, and how many times as long as
/// usual: some cameras take a picture a minute.
const AWAY: i64 = 2_000_000_000;
const AWAY_INTERVALS: i64 = 10;

/// How much of a stream (ns) passes between two looks at the clocks.
const LOOK_AT_CLOCKS: i64 = 200_000_000;

/// From where what came ended to where it goes on, ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// In running time.
    pub from: i64,
    pub to: i64,
    /// The same as times of day, since 1970. They are further apart than `from` and `to` where
    /// timestamps began anew.
    pub utc: Option<(i64, i64)>,
}

impl Gap {
    /// Whether it is worth telling of.
    pub fn is_long(&self) -> bool {
        let of_day = self.utc.map_or(0, |(from, to)| to.saturating_sub(from));
        self.to.saturating_sub(self.from).max(of_day) >= AWAY
    }
}

/// A buffer of the stream, in running time (ns).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrived {
    pub time: i64,
    pub end: i64,
    /// Its timestamps did not follow the last ones.
    pub jumped: bool,
}

/// Watches over one stream's time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Watch {
    /// From the last buffer's time to that of the one before, ns.
    interval: Option<i64>,
    /// When (ns of running time) the clocks were looked at last.
    looked: Option<i64>,
}

impl Watch {
    /// Whether the clocks are to be looked at now.
    pub fn is_due(&mut self, arrived: Arrived) -> bool {
        let passed = |looked| arrived.time.saturating_sub(looked) >= LOOK_AT_CLOCKS;
        let due = arrived.jumped || self.looked.is_none_or(passed);
        if due {
            self.looked = Some(arrived.time);
        }
        due
    }

    /// Where the stream ended, if it may have been away until now: what came before was shown until
    /// `reached`, the latest of it from `newest` on.
    pub fn was_away(
        &mut self,
        reached: Option<i64>,
        newest: Option<i64>,
        arrived: Arrived,
    ) -> Option<i64> {
        let Arrived { time, end, jumped } = arrived;
        let interval = newest.map(|newest| time.saturating_sub(newest));
        let usual = self.interval;
        let (reached, usual) = (
            reached?,
            usual.map(|usual| usual.max(end.saturating_sub(time))),
        );
        let least = usual.map(|usual| usual.saturating_mul(AWAY_INTERVALS).max(AWAY));
        let away = least.is_some_and(|least| time.saturating_sub(reached) >= least);
        if !away {
            self.interval = interval.filter(|interval| *interval > 0).or(self.interval);
        }
        (away || jumped).then_some(reached)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn at(time: i64) -> Arrived {
        Arrived {
            time,
            end: time,
            jumped: false,
        }
    }

    /// Pictures at these seconds; those before which the stream was away.
    fn away(times: &[i64]) -> Vec<i64> {
        let (mut watch, mut newest) = (Watch::default(), None);
        let mut found = Vec::new();
        for time in times {
            let arrived = at(time * SECOND);
            if watch.was_away(newest, newest, arrived).is_some() {
                found.push(*time);
            }
            newest = Some(arrived.time);
        }
        found
    }

    #[test]
    fn a_stream_is_away_for_many_pictures() {
        assert_eq!(away(&[0, 1, 2, 12, 13, 14, 24]), [12, 24]);
        // A picture every minute.
        assert!(away(&[0, 60, 120, 180]).is_empty());
        assert_eq!(away(&[0, 60, 120, 720]), [720]);
        // Nothing is known of the usual.
        assert!(away(&[0, 100]).is_empty());
    }

    #[test]
    fn clocks_are_looked_at_now_and_then() {
        let mut watch = Watch::default();
        let looks = [0, 100, 199, 200, 399, 400].map(|ms| watch.is_due(at(ms * 1_000_000)));
        assert_eq!(looks, [true, false, false, true, false, true]);
        let jumped = Arrived {
            jumped: true,
            ..at(0)
        };
        assert!(watch.is_due(jumped));
    }
}
