// SPDX-License-Identifier: MIT OR Apache-2.0
//! The file of presentation times that `pts-location` asks for: one line a frame in the order of
//! presentation, milliseconds with three decimals, as picamera2 writes and mkvmerge reads.

use std::io::{self, BufWriter, Write};

/// Writes presentation times in order, though frames come in decoding order.
#[derive(Debug)]
pub struct TimeFile<W: Write> {
    out: BufWriter<W>,
    /// Times that frames still to come may have to be put before.
    pending: Vec<u64>,
}

impl<W: Write> TimeFile<W> {
    /// Begins with nothing written.
    pub fn new(out: W) -> Self {
        Self {
            out: BufWriter::new(out),
            pending: Vec::new(),
        }
    }

    /// Takes the time of the next frame in decoding order, in nanoseconds.
    pub fn push(&mut self, time: u64) -> io::Result<()> {
        // A frame that is shown after all before it begins a new group: with the reordering that
        // encoders do, nothing that follows is shown before that group's predecessors.
        if self.pending.iter().all(|&earlier| earlier < time) {
            self.write()?;
        }
        self.pending.push(time);
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        self.pending.sort_unstable();
        for time in self.pending.drain(..) {
            let microseconds = (time + 500) / 1000;
            writeln!(
                self.out,
                "{}.{:03}",
                microseconds / 1000,
                microseconds % 1000
            )?;
        }
        Ok(())
    }

    /// Writes what is left.
    pub fn finish(&mut self) -> io::Result<()> {
        self.write()?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_times_in_order_of_presentation() {
        let mut written = Vec::new();
        let mut file = TimeFile::new(&mut written);
        for frame in [0, 3, 1, 2, 6, 4, 5u64] {
            file.push(frame * 1_000_000_000 / 30)
                .expect("a vector takes everything");
        }
        file.finish().expect("a vector takes everything");
        drop(file);
        assert_eq!(
            String::from_utf8_lossy(&written),
            "0.000\n33.333\n66.667\n100.000\n133.333\n166.667\n200.000\n"
        );
    }
}
