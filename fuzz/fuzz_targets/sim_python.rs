// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any text as a script for the simulated board. It may raise what it likes,
//! but never panics, overflows the stack, outgrows the board's heap or goes on
//! beyond its last statement.
#![no_main]

use avi_fuzz::stretched;
use libfuzzer_sys::fuzz_target;

/// Enough for loops that grow something to reach the heap's end.
const STATEMENTS: u64 = 5000;

fuzz_target!(|script: &[u8]| {
    let script = stretched(script);
    let script = String::from_utf8_lossy(&script);
    k210_sim::run_script(&script, STATEMENTS).expect("a thread");
});
