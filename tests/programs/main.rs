// SPDX-License-Identifier: MIT OR Apache-2.0
//! What users run: the pipelines of the documentation, the examples in Rust, Python and C.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failure ends the test"
)]

#[path = "../common/command_line.rs"]
mod command_line;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/k210_player.rs"]
mod k210_player;

mod c_examples;
mod element_docs;
mod examples;
// What its programs hand over are structures of 64 bits, as the board has them.
#[cfg(target_pointer_width = "64")]
mod k230_double;
mod migrating;
mod python_examples;
mod readme;
