// SPDX-License-Identifier: MIT OR Apache-2.0
//! One direction of a UART line: which byte arrives when, and as what.
//!
//! Times are nanoseconds since the board was made. A byte takes ten bits; a run of bytes arrives on a
//! grid of absolute times, so a reader that is late once is not late for the rest.

use std::collections::VecDeque;

/// Bits of a byte on the line: start, eight data, stop.
const BITS: u64 = 10;

/// Time that `bytes` take at `baud`, in nanoseconds.
pub(crate) fn duration(bytes: u64, baud: u32) -> u64 {
    (u128::from(bytes * BITS) * 1_000_000_000 / u128::from(baud.max(1))) as u64
}

/// What a disturbed line does to bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Noise {
    /// Bytes in a thousand million that are hit.
    rate: u64,
    state: u64,
    /// Bytes that were hit.
    hits: u64,
}

impl Noise {
    /// Hits `rate` of all bytes (0 to 1); the same `seed` gives the same hits.
    pub(crate) fn new(rate: f64, seed: u64) -> Self {
        Noise {
            rate: (rate.clamp(0.0, 1.0) * 1e9) as u64,
            state: seed,
            hits: 0,
        }
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Flips a bit of the bytes it hits, loses them, or puts another in front, one as often as the
    /// other.
    fn disturb(&mut self, data: &[u8]) -> Option<Vec<u8>> {
        if self.rate == 0 {
            return None;
        }
        let mut out = Vec::with_capacity(data.len() + 4);
        for &byte in data {
            if self.next() % 1_000_000_000 >= self.rate {
                out.push(byte);
                continue;
            }
            self.hits += 1;
            let dice = self.next();
            match dice % 3 {
                0 => out.push(byte ^ (1 << (dice >> 32 & 7))),
                1 => {}
                _ => out.extend([(dice >> 32) as u8, byte]),
            }
        }
        Some(out)
    }
}

/// What a receiver at `to` baud makes of bytes sent without gaps at `from` baud: it finds a falling
/// edge and samples the middle of ten of its own bits from there, whatever they belong to. The
/// K210's UARTHS does not look at the stop bit.
fn resample(data: &[u8], from: u32, to: u32) -> Vec<u8> {
    // In units where a sent bit is `to` long and a received bit is `from` long.
    let (sent_bit, bit) = (u64::from(to), u64::from(from));
    let level = |time: u64| {
        let index = time / sent_bit;
        match data.get((index / BITS) as usize) {
            None => true,
            Some(byte) => match index % BITS {
                0 => false,
                9 => true,
                bit => byte >> (bit - 1) & 1 == 1,
            },
        }
    };
    let end = data.len() as u64 * BITS * sent_bit;
    let mut out = Vec::new();
    let mut time = 0;
    let mut idle = true;
    while time < end {
        // Levels change at multiples of the sent bit only.
        let now = level(time);
        if now || !idle {
            idle = now;
            time = (time / sent_bit + 1) * sent_bit;
            continue;
        }
        out.push((0..8).fold(0, |byte, index| {
            byte | u8::from(level(time + bit * (index + 1) + bit / 2)) << index
        }));
        time += bit * 9 + bit / 2;
        idle = level(time);
    }
    out
}

/// What follows the data of a transmission that is longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filler {
    /// Zeros.
    Zeros,
    /// The data, again and again.
    Repeat,
}

/// Bytes that arrive at even intervals.
#[derive(Debug)]
struct Run {
    start: u64,
    /// Nanoseconds the whole run takes.
    span: u64,
    data: Vec<u8>,
    length: usize,
    filler: Filler,
    taken: usize,
}

impl Run {
    fn len(&self) -> usize {
        self.length
    }

    fn byte(&self, index: usize) -> u8 {
        match (self.data.get(index), self.filler) {
            (Some(&byte), _) => byte,
            (None, Filler::Repeat) if !self.data.is_empty() => self.data[index % self.data.len()],
            (None, _) => 0,
        }
    }

    fn arrival(&self, index: usize) -> u64 {
        self.start + (u128::from(self.span) * (index as u128 + 1) / self.len() as u128) as u64
    }

    /// Bytes that have arrived by `now`.
    fn arrived(&self, now: u64) -> usize {
        if now >= self.start + self.span {
            return self.len();
        }
        let Some(elapsed) = now.checked_sub(self.start) else {
            return 0;
        };
        let mut count =
            (u128::from(elapsed) * self.len() as u128 / u128::from(self.span.max(1))) as usize;
        // The two divisions may round apart by one.
        while count < self.len() && self.arrival(count) <= now {
            count += 1;
        }
        while count > 0 && self.arrival(count - 1) > now {
            count -= 1;
        }
        count
    }
}

/// Bytes on their way from one end to the other, and those that have arrived.
#[derive(Debug, Default)]
pub(crate) struct Line {
    runs: VecDeque<Run>,
    /// When the sender's last byte has left.
    free: u64,
    noise: Noise,
}

impl Line {
    /// A line with this noise.
    pub(crate) fn new(noise: Noise) -> Self {
        Line {
            noise,
            ..Line::default()
        }
    }

    /// Sends `data` from `time` on, or when the line is free, at `from` baud to a receiver at `to`
    /// baud. Gives the time when the last byte has left.
    pub(crate) fn send(&mut self, time: u64, data: &[u8], from: u32, to: u32) -> u64 {
        self.send_filled(time, data, data.len(), Filler::Zeros, from, to)
    }

    /// As [`send`](Self::send), `length` bytes; noise and a wrong speed spare the filler.
    pub(crate) fn send_filled(
        &mut self,
        time: u64,
        data: &[u8],
        length: usize,
        filler: Filler,
        from: u32,
        to: u32,
    ) -> u64 {
        let start = self.free.max(time);
        let span = duration(length as u64, from);
        self.free = start + span;
        let rest = length - data.len();
        let mut data = match self.noise.disturb(data) {
            Some(disturbed) => disturbed,
            None => data.to_vec(),
        };
        // Sampling in the middle of bits tolerates a drift of half a bit in ten.
        if from.abs_diff(to) > to / 25 {
            data = resample(&data, from, to);
        }
        let length = data.len() + rest;
        if length > 0 {
            self.runs.push_back(Run {
                start,
                span,
                data,
                length,
                filler,
                taken: 0,
            });
        }
        self.free
    }

    /// When the sender's last byte has left.
    pub(crate) fn free(&self) -> u64 {
        self.free
    }

    /// Bytes that noise has flipped, lost or added until now.
    pub(crate) fn hits(&self) -> u64 {
        self.noise.hits
    }

    /// When the next byte arrives that was not taken.
    pub(crate) fn next_arrival(&self) -> Option<u64> {
        let run = self.runs.front()?;
        Some(run.arrival(run.taken))
    }

    /// When `count` untaken bytes have arrived, or all that were sent.
    pub(crate) fn arrival_of(&self, mut count: usize) -> Option<u64> {
        for run in &self.runs {
            let rest = run.len() - run.taken;
            if count <= rest {
                return Some(run.arrival(run.taken + count.max(1) - 1));
            }
            count -= rest;
        }
        let run = self.runs.back()?;
        Some(run.arrival(run.len() - 1))
    }

    /// Bytes that have arrived by `now` and were not taken.
    pub(crate) fn waiting(&self, now: u64) -> usize {
        self.runs
            .iter()
            .map(|run| run.arrived(now).saturating_sub(run.taken))
            .sum()
    }

    /// Takes the next byte with its time of arrival if it arrived by `now`.
    pub(crate) fn take(&mut self, now: u64) -> Option<(u64, u8)> {
        let run = self.runs.front_mut()?;
        let arrival = run.arrival(run.taken);
        if arrival > now {
            return None;
        }
        let byte = run.byte(run.taken);
        run.taken += 1;
        if run.taken == run.len() {
            self.runs.pop_front();
        }
        Some((arrival, byte))
    }

    /// Takes what arrived by `now`, as much as fits.
    pub(crate) fn take_into(&mut self, now: u64, into: &mut [u8]) -> usize {
        let mut filled = 0;
        while let Some(run) = self.runs.front_mut() {
            let count = run
                .arrived(now)
                .saturating_sub(run.taken)
                .min(into.len() - filled);
            if count == 0 {
                break;
            }
            for (index, byte) in into[filled..filled + count].iter_mut().enumerate() {
                *byte = run.byte(run.taken + index);
            }
            filled += count;
            run.taken += count;
            if run.taken < run.len() {
                break;
            }
            self.runs.pop_front();
        }
        filled
    }

    /// Drops the oldest of the bytes that arrived by `now` until at most `count` wait.
    pub(crate) fn keep(&mut self, now: u64, count: usize) {
        let mut excess = self.waiting(now).saturating_sub(count);
        while excess > 0 {
            let Some(run) = self.runs.front_mut() else {
                return;
            };
            let dropped = excess.min(run.len() - run.taken);
            run.taken += dropped;
            excess -= dropped;
            if run.taken == run.len() {
                self.runs.pop_front();
            }
        }
    }

    /// The sender falls silent at `now`: what has not left by then never does.
    pub(crate) fn cut(&mut self, now: u64) {
        while let Some(run) = self.runs.back_mut() {
            let arrived = run.arrived(now);
            if arrived == run.len() {
                break;
            }
            if arrived > run.taken {
                let end = run.arrival(arrived - 1);
                run.length = arrived;
                run.span = end - run.start;
                break;
            }
            self.runs.pop_back();
        }
        self.free = self.free.min(now);
    }

    /// Drops everything that arrived by `now`.
    pub(crate) fn discard(&mut self, now: u64) {
        self.keep(now, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_at_the_lines_pace() {
        let mut line = Line::default();
        // 10 us a byte.
        assert_eq!(line.send(1000, b"abcd", 1_000_000, 1_000_000), 41_000);
        let end = line.send_filled(5000, b"ef", 3, Filler::Zeros, 1_000_000, 1_000_000);
        assert_eq!(end, 71_000);
        assert_eq!(line.waiting(10_999), 0);
        assert_eq!(line.waiting(11_000), 1);
        assert_eq!(line.take(10_999), None);
        assert_eq!(line.take(50_000), Some((11_000, b'a')));
        assert_eq!(line.next_arrival(), Some(21_000));
        assert_eq!(line.arrival_of(4), Some(51_000));
        assert_eq!(line.arrival_of(100), Some(71_000));
        let mut buffer = [9; 10];
        assert_eq!(line.take_into(61_000, &mut buffer), 5);
        assert_eq!(&buffer[..5], b"bcdef");
        assert_eq!(line.take(71_000), Some((71_000, 0)));
        assert_eq!(line.take(u64::MAX), None);
    }

    #[test]
    fn a_cut_line_delivers_what_had_left() {
        let mut line = Line::default();
        line.send(0, b"abcdef", 1_000_000, 1_000_000);
        line.cut(35_000);
        let mut buffer = [0; 10];
        assert_eq!(line.take_into(u64::MAX / 2, &mut buffer), 3);
        assert_eq!(line.free(), 35_000);
    }

    #[test]
    fn a_wrong_speed_gives_garbage_and_a_right_one_does_not() {
        let text: Vec<u8> = (0..=255).collect();
        assert_eq!(resample(&text, 115_200, 115_200), text);
        assert_eq!(resample(&text, 115_200, 117_000), text);
        let fast = resample(&text, 1_500_000, 115_200);
        assert!(fast.len() < text.len() / 10, "{}", fast.len());
        let slow = resample(b"Hello", 115_200, 1_500_000);
        assert!(slow.len() > 5 && slow != b"Hello");
    }

    #[test]
    fn noise_hits_as_often_as_asked_and_repeats() {
        let data = vec![0x55; 100_000];
        let disturbed = Noise::new(0.01, 7).disturb(&data).unwrap();
        assert_eq!(Noise::new(0.01, 7).disturb(&data).unwrap(), disturbed);
        let flipped = disturbed.iter().filter(|&&byte| byte != 0x55).count();
        // A third is flipped, a third of the hits shows as an extra byte.
        assert!((550..800).contains(&flipped), "{flipped}");
        assert!(Noise::new(0.0, 7).disturb(&data).is_none());
    }
}
