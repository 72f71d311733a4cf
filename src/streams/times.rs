// SPDX-License-Identifier: MIT OR Apache-2.0
//! The file of presentation times that `pts-location` asks for: one line a frame in the order of
//! presentation, milliseconds rounded to three decimals, the first frame at 0.000. That is what
//! picamera2 writes (`picamera2/outputs/output.py`); `mkvmerge` and `mp4fpsmod` want a first line
//! `# timestamp format v2` in front of it. Knows no GStreamer.

use std::io::{self, Write};

/// Writes presentation times in order, though frames come in decoding order.
#[derive(Debug)]
pub(crate) struct Times<W: Write> {
    out: W,
    /// The least time that was seen first, which is 0.000 in the file.
    origin: Option<u64>,
    /// Times that frames still to come may have to be put before.
    pending: Vec<u64>,
    lines: String,
}

impl<W: Write> Times<W> {
    /// Begins with nothing written.
    pub(crate) fn new(out: W) -> Self {
        Self {
            out,
            origin: None,
            pending: Vec::new(),
            lines: String::new(),
        }
    }

    /// Takes the time of the next frame in decoding order, in nanoseconds.
    pub(crate) fn push(&mut self, time: u64) -> io::Result<()> {
        // A frame that is shown after all before it begins a new group: with the reordering that
        // encoders do, nothing that follows is shown before that group's predecessors.
        if self.pending.iter().all(|&earlier| earlier < time) {
            self.write()?;
        }
        self.pending.push(time);
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        use std::fmt::Write as _;
        self.pending.sort_unstable();
        self.lines.clear();
        for time in self.pending.drain(..) {
            let origin = *self.origin.get_or_insert(time);
            let us = (time.saturating_sub(origin) + 500) / 1000;
            // A string takes everything.
            let _ = writeln!(self.lines, "{}.{:03}", us / 1000, us % 1000);
        }
        // Not buffered: a killed program leaves the times of the frames that it leaves.
        self.out.write_all(self.lines.as_bytes())
    }

    /// Writes what is left.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.write()?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(times: &[u64]) -> String {
        let mut written = Vec::new();
        let mut file = Times::new(&mut written);
        for &time in times {
            file.push(time).expect("a vector takes everything");
        }
        file.finish().expect("a vector takes everything");
        String::from_utf8_lossy(&written).into_owned()
    }

    #[test]
    fn writes_times_in_order_of_presentation() {
        let times = [0, 3, 1, 2, 6, 4, 5].map(|frame| frame * 1_000_000_000 / 30);
        assert_eq!(
            written(&times),
            "0.000\n33.333\n66.667\n100.000\n133.333\n166.667\n200.000\n"
        );
    }

    #[test]
    fn the_first_time_is_zero() {
        assert_eq!(written(&[5_000_000_400, 5_000_001_000]), "0.000\n0.001\n");
        assert_eq!(written(&[]), "");
    }
}
