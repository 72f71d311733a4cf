// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rates over the recent past.

use std::time::{Duration, Instant};

/// How far back rates look, at least.
const SPAN: Duration = Duration::from_secs(1);

/// Turns counters that only grow into rates over the last second or two.
#[derive(Debug, Default)]
pub struct Meter {
    /// The moment from which the current rates count, and the values then.
    from: Option<(Instant, [u64; 2])>,
    /// A later moment, to count from when the first one is too long ago.
    middle: Option<(Instant, [u64; 2])>,
    rates: [f64; 2],
}

impl Meter {
    /// Takes the values of the counters at `now`.
    pub fn update(&mut self, now: Instant, values: [u64; 2]) {
        let Some((since, base)) = self.from else {
            self.from = Some((now, values));
            return;
        };
        let elapsed = now.saturating_duration_since(since);
        if elapsed.is_zero() {
            return;
        }
        for (rate, (value, base)) in self.rates.iter_mut().zip(values.iter().zip(base)) {
            *rate = value.saturating_sub(base) as f64 / elapsed.as_secs_f64();
        }
        match self.middle {
            None if elapsed >= SPAN => self.middle = Some((now, values)),
            Some((middle, _)) if now.saturating_duration_since(middle) >= SPAN => {
                self.from = self.middle.replace((now, values));
            }
            _ => {}
        }
    }

    /// Both counters' growth a second.
    pub fn rates(&self) -> [f64; 2] {
        self.rates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_follow_a_change_within_two_spans() {
        let start = Instant::now();
        let mut meter = Meter::default();
        let mut values = [0, 0];
        for tick in 0..=100u32 {
            meter.update(start + tick * Duration::from_millis(100), values);
            values = match tick {
                0..50 => [values[0] + 1, values[1] + 100],
                _ => [values[0] + 3, values[1]],
            };
            if tick == 50 {
                assert!((meter.rates()[0] - 10.0).abs() < 0.01, "{meter:?}");
                assert!((meter.rates()[1] - 1000.0).abs() < 0.01, "{meter:?}");
            }
        }
        assert!((meter.rates()[0] - 30.0).abs() < 0.01, "{meter:?}");
        assert!(meter.rates()[1] < 0.01, "{meter:?}");
    }
}
