// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a program says on its standard error, cut into lines of bounded length. Knows no GStreamer.

/// The longest line in bytes; the rest of a longer one is left out.
const MAX_LINE: usize = 4096;

/// Bytes in, lines out.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    line: Vec<u8>,
    /// The last byte was a carriage return: a line feed ends the line, anything else overwrites it,
    /// as a progress line does.
    returned: bool,
}

impl Lines {
    /// Takes the next bytes and passes each line that they complete to `on_line`, without its end
    /// and without blanks at its end. Empty lines are left out.
    pub(crate) fn push(&mut self, bytes: &[u8], mut on_line: impl FnMut(&str)) {
        for &byte in bytes {
            match byte {
                b'\n' => self.finish(&mut on_line),
                b'\r' => self.returned = true,
                byte => {
                    if std::mem::take(&mut self.returned) {
                        self.line.clear();
                    }
                    if self.line.len() < MAX_LINE {
                        self.line.push(byte);
                    }
                }
            }
        }
    }

    /// Passes on what was said without an end of line.
    pub(crate) fn finish(&mut self, mut on_line: impl FnMut(&str)) {
        let text = String::from_utf8_lossy(&self.line);
        let line = text.trim_end();
        if !line.is_empty() {
            on_line(line);
        }
        self.line.clear();
        self.returned = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for piece in pieces {
            lines.push(piece, |line| found.push(line.to_owned()));
        }
        lines.finish(|line| found.push(line.to_owned()));
        found
    }

    #[test]
    fn lines_are_whole_however_the_bytes_come() {
        assert_eq!(
            lines(&[b"one\ntw", b"o \n\n", b"thr", b"ee"]),
            ["one", "two", "three"]
        );
        assert_eq!(lines(&[b"dos\r", b"\nunix\n"]), ["dos", "unix"]);
    }

    #[test]
    fn a_progress_line_is_what_it_was_last() {
        assert_eq!(
            lines(&[b"frame=1\rframe=2\r", b"frame=3\ndone\n"]),
            ["frame=3", "done"]
        );
        assert_eq!(lines(&[b"frame=1\rframe=2\r"]), ["frame=2"]);
    }

    #[test]
    fn no_line_grows_without_end() {
        let mut lines = Lines::default();
        for _ in 0..1000 {
            lines.push(&[b'x'; 1000], |_| panic!("the line has no end yet"));
        }
        for _ in 0..1000 {
            lines.push(b"progress\r", |_| panic!("the line has no end yet"));
        }
        assert!(lines.line.capacity() <= 2 * MAX_LINE);
        let mut last = String::new();
        lines.push(b"\n", |line| last = line.to_owned());
        assert_eq!(last, "progress");
    }
}
