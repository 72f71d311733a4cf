// SPDX-License-Identifier: MIT OR Apache-2.0
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

use std::io::{self, Write};

/// Says something on standard output, in a line of its own. That whoever reads it has closed it, as `head` does, is
/// no fault.
pub fn say(text: &str) -> io::Result<()> {
    line(&mut io::stdout().lock(), text)
}

/// Says something on standard error, in a line of its own, unless nobody reads that any more.
pub fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

fn line(out: &mut impl Write, text: &str) -> io::Result<()> {
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_stops_to_listen_is_no_fault_and_a_full_disk_is_one() {
        let mut heard = Vec::new();
        assert!(line(&mut heard, "a").is_ok() && heard == b"a\n");
        let (reader, mut writer) = io::pipe().expect("a pipe");
        drop(reader);
        assert!(line(&mut writer, "a").is_ok());
        let mut full = std::fs::File::create("/dev/full").expect("Linux has it");
        assert_eq!(
            line(&mut full, "a").map_err(|error| error.kind()),
            Err(io::ErrorKind::StorageFull)
        );
    }
}
