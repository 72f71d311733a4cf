// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program `k230-probe`, where there is no encoder.
#![allow(clippy::expect_used, reason = "a failure ends the test")]

use std::process::Command;

#[test]
fn a_closed_output_is_no_fault() {
    // The second names no device, which is a failure that nobody hears of.
    for (argument, code) in [("--help", 0), ("/dev/null", 1)] {
        let (heard, said) = std::io::pipe().expect("a pipe");
        drop(heard);
        let mut command = Command::new(env!("CARGO_BIN_EXE_k230-probe"));
        let output = command
            .arg(argument)
            .stdout(said)
            .output()
            .expect("it starts");
        assert_eq!(output.stderr, b"", "{argument}");
        assert_eq!(output.status.code(), Some(code), "{argument}");
    }
}
