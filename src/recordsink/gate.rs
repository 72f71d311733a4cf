// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which frames are recorded: not sooner after one another than asked, and not after the end.
//! Knows no GStreamer.

use std::collections::BTreeMap;

/// What becomes of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is recorded.
    Pass,
    /// It is not.
    Drop,
    /// It is not, and the stream ends here.
    End,
}

/// The limits of a recording; times in nanoseconds of running time.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// Least time from one frame to the next; 0: any.
    interval: u64,
    /// Length of the recording; 0: without end.
    duration: u64,
    /// Frames to record; 0: without end.
    max_frames: u64,
    /// When the recording began; the streams of one recording share it.
    pub start: Option<u64>,
    due: u64,
    frames: u64,
    /// Frames that came too soon.
    pub dropped: u64,
    /// The recording is over.
    pub ended: bool,
}

/// How much sooner than due a frame may come: timestamps are rounded, and clocks jitter.
const EARLY: u64 = 1_000_000;

impl Gate {
    /// Least time between frames and length of the recording in nanoseconds, and number of frames;
    /// 0: without limit.
    pub(crate) fn new(interval: u64, duration: u64, max_frames: u64) -> Self {
        Self {
            interval,
            duration,
            max_frames,
            ..Self::default()
        }
    }

    /// A frame of video at `time`.
    pub(crate) fn video(&mut self, time: Option<u64>) -> Verdict {
        let verdict = self.any(time);
        if verdict != Verdict::Pass {
            return verdict;
        }
        if self.max_frames > 0 && self.frames >= self.max_frames {
            self.ended = true;
            return Verdict::End;
        }
        if let (Some(time), true) = (time, self.interval > 0) {
            let early = EARLY.min(self.interval / 20);
            if self.frames > 0 && time.saturating_add(early) < self.due {
                self.dropped += 1;
                return Verdict::Drop;
            }
            // On a grid, so that the mean rate is what was asked for; a late frame moves it.
            let next = self.due.saturating_add(self.interval);
            self.due = match self.frames == 0 || time >= next {
                true => time.saturating_add(self.interval),
                false => next,
            };
        }
        self.frames += 1;
        Verdict::Pass
    }

    /// Sound at `time`.
    pub(crate) fn audio(&mut self, time: Option<u64>) -> Verdict {
        self.any(time)
    }

    fn any(&mut self, time: Option<u64>) -> Verdict {
        if self.ended {
            return Verdict::Drop;
        }
        let Some(time) = time else {
            return Verdict::Pass;
        };
        let start = *self.start.get_or_insert(time);
        if self.duration > 0 && time >= start.saturating_add(self.duration) {
            self.ended = true;
            return Verdict::End;
        }
        Verdict::Pass
    }
}

/// The gates of a recording's streams.
#[derive(Debug, Default)]
pub(crate) struct Gates {
    gates: BTreeMap<String, Gate>,
    start: Option<u64>,
}

impl Gates {
    /// The same limits for each of the streams, which are called `video` or `audio`.
    pub(crate) fn new(names: &[String], gate: impl Fn() -> Gate) -> Self {
        let gates = names.iter().map(|name| (name.clone(), gate()));
        Self {
            gates: gates.collect(),
            start: None,
        }
    }

    /// What becomes of a buffer of the stream `name` at `time`.
    pub(crate) fn judge(&mut self, name: &str, time: Option<u64>) -> Verdict {
        let Some(gate) = self.gates.get_mut(name) else {
            return Verdict::Pass;
        };
        gate.start = self.start;
        let verdict = match name {
            "video" => gate.video(time),
            _ => gate.audio(time),
        };
        self.start = gate.start;
        verdict
    }

    /// Whether a stream has been recorded to its end.
    pub(crate) fn has_ended(&self, name: &str) -> bool {
        self.gates.get(name).is_some_and(|gate| gate.ended)
    }

    /// Ends all streams; returns those that had not ended.
    pub(crate) fn end_all(&mut self) -> Vec<String> {
        let gates = self.gates.iter_mut();
        gates
            .filter_map(|(name, gate)| {
                (!std::mem::replace(&mut gate.ended, true)).then(|| name.clone())
            })
            .collect()
    }

    /// Frames of video that came too soon.
    pub(crate) fn dropped(&self) -> u64 {
        self.gates.get("video").map_or(0, |gate| gate.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn passed(gate: &mut Gate, times: impl Iterator<Item = u64>) -> Vec<u64> {
        times
            .filter(|&time| gate.video(Some(time)) == Verdict::Pass)
            .collect()
    }

    #[test]
    fn an_interval_keeps_its_mean_rate() {
        let mut gate = Gate {
            interval: 200 * MS,
            ..Gate::default()
        };
        // 30 fps with rounded timestamps: every sixth frame.
        let kept = passed(&mut gate, (0..60).map(|n| n * 1000 * MS / 30));
        assert_eq!(kept.len(), 10);
        assert_eq!(gate.dropped, 50);
        let mut gate = Gate {
            interval: 100 * MS,
            ..Gate::default()
        };
        // 25 fps do not fit into 10: still ten a second.
        assert_eq!(passed(&mut gate, (0..250).map(|n| n * 40 * MS)).len(), 100);
    }

    #[test]
    fn the_longest_interval_has_one_frame() {
        let mut gate = Gate {
            interval: u64::MAX,
            ..Gate::default()
        };
        assert_eq!(passed(&mut gate, [1, 2, 1000 * MS].into_iter()), [1]);
    }

    #[test]
    fn after_a_pause_there_is_no_burst() {
        let mut gate = Gate {
            interval: 100 * MS,
            ..Gate::default()
        };
        let times = [0, 1000, 1040, 1080, 1100].map(|ms| ms * MS);
        assert_eq!(
            passed(&mut gate, times.into_iter()),
            [0, 1000 * MS, 1100 * MS]
        );
    }

    #[test]
    fn a_duration_counts_from_the_first_frame() {
        let mut gate = Gate {
            duration: 1000 * MS,
            ..Gate::default()
        };
        let times = (0..100).map(|n| 5000 * MS + n * 1000 * MS / 30);
        assert_eq!(passed(&mut gate, times).len(), 30);
        assert!(gate.ended);
        assert_eq!(gate.audio(Some(0)), Verdict::Drop);
    }

    #[test]
    fn a_photograph_is_one_frame() {
        let mut gate = Gate {
            max_frames: 1,
            ..Gate::default()
        };
        assert_eq!(gate.video(None), Verdict::Pass);
        assert_eq!(gate.video(None), Verdict::End);
        assert_eq!(gate.video(None), Verdict::Drop);
    }
}
