// SPDX-License-Identifier: MIT OR Apache-2.0
//! From counts to time and back, exactly: unit `n` of a stream begins at
//! `n * scale / rate` seconds, worked out in 128-bit integers and cut off (not
//! rounded) to a nanosecond, as GStreamer's own scaling is.

const SECOND: u128 = 1_000_000_000;

/// `rate` units last `scale` seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeline {
    scale: u32,
    rate: u32,
}

impl Timeline {
    /// MaixPy's default interval of 100 000 us, for files that do not say.
    pub const TEN_A_SECOND: Self = Self {
        scale: 100_000,
        rate: 1_000_000,
    };

    /// `None` if either number is zero.
    pub fn new(scale: u32, rate: u32) -> Option<Self> {
        (scale > 0 && rate > 0).then_some(Self { scale, rate })
    }

    /// One unit every so many microseconds; `None` for zero.
    pub fn from_interval(microseconds: u32) -> Option<Self> {
        Self::new(microseconds, 1_000_000)
    }

    /// The seconds that [`rate`](Self::rate) units last.
    pub fn scale(&self) -> u32 {
        self.scale
    }

    /// The units in [`scale`](Self::scale) seconds.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// When a unit begins, in nanoseconds; the last representable nanosecond
    /// if it is later than that.
    pub fn time(&self, unit: u64) -> u64 {
        let ns = u128::from(unit) * u128::from(self.scale) * SECOND / u128::from(self.rate);
        // u64::MAX is GStreamer's "no time".
        ns.min(u128::from(u64::MAX - 1)) as u64
    }

    /// The unit that a time in nanoseconds falls into.
    pub fn unit_at(&self, ns: u64) -> u64 {
        // The largest n with floor(n * scale * s / rate) <= ns.
        let parts = (u128::from(ns) + 1) * u128::from(self.rate);
        let unit = parts.div_ceil(u128::from(self.scale) * SECOND) - 1;
        unit.min(u128::from(u64::MAX)) as u64
    }

    /// The first unit that begins at a time or after it.
    pub fn unit_from(&self, ns: u64) -> u64 {
        let unit = self.unit_at(ns);
        if self.time(unit) < ns {
            unit.saturating_add(1)
        } else {
            unit
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_drop_frames() {
        let t = Timeline::new(1001, 30000).expect("a rate");
        assert_eq!(t.time(1), 33_366_666);
        assert_eq!(t.time(30000), 1_001_000_000_000);
    }

    #[test]
    fn there_and_back() {
        for (scale, rate) in [
            (1001, 30000),
            (1, 30),
            (300_000, 1_000_000),
            (1, 44100),
            (7, 3),
        ] {
            let t = Timeline::new(scale, rate).expect("a rate");
            for n in (0..200).chain([1 << 31, (1 << 31) + 1]) {
                let at = t.time(n);
                assert_eq!(t.unit_at(at), n);
                assert_eq!(t.unit_from(at), n);
                assert_eq!(t.unit_from(at + 1), n + 1);
                assert_eq!(t.unit_at(t.time(n + 1) - 1), n);
            }
        }
    }

    #[test]
    fn the_end_of_time_does_not_wrap() {
        let t = Timeline::new(u32::MAX, 1).expect("a rate");
        assert_eq!(t.time(u64::MAX), u64::MAX - 1);
        assert_eq!(t.unit_at(u64::MAX), 4);
        let t = Timeline::new(1, u32::MAX).expect("a rate");
        assert!(t.unit_at(u64::MAX) > 0);
    }
}
