// SPDX-License-Identifier: MIT OR Apache-2.0
//! What reading costs, whatever is in a file: nanoseconds of CPU time for each byte, and how many bytes are read for
//! each, at any place and in pieces. `make soak-cost` has it written into docs/reliability.md.
//!
//! `cargo run --release -p avi-mjpeg --example cost -- 16` reads 16 MiB of each kind.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a failure ends the measurement"
)]

#[path = "../tests/common/avi_bytes.rs"]
mod avi_bytes;
#[path = "../tests/common/hostile.rs"]
mod hostile;
#[path = "../tests/common/reading.rs"]
mod reading;

use hostile::{KINDS, good, head};
use reading::{Cost, pull, push};

fn row(name: &str, bytes: &[u8]) {
    let cost = |read: fn(&[u8]) -> Cost| {
        let cost = (0..3).map(|_| read(bytes)).min_by_key(|cost| cost.cpu);
        cost.expect("there were some")
    };
    let len = bytes.len() as f64;
    let [pulled, pushed] = [cost(|bytes| pull(bytes)), cost(|bytes| push(bytes, 4096))];
    let each = |cost: &Cost| cost.cpu.as_nanos() as f64 / len;
    println!(
        "| {name} | {:.1} | {:.1} | {:.1} |",
        each(&pulled),
        pulled.read as f64 / len,
        each(&pushed),
    );
}

fn main() {
    let mebibytes = std::env::args().nth(1).map_or(Ok(16), |size| size.parse());
    let len = mebibytes
        .map(|size: usize| size << 20)
        .expect("a number of MiB");
    println!(
        "| what | ns a byte, at any place | bytes read for each | ns a byte, in pieces of 4 KiB |"
    );
    println!("|---|---|---|---|");
    row("a good file", &good(len));
    for (name, make) in KINDS {
        let bytes = make(len);
        row(
            &format!("{name}, behind a head"),
            &[head(true), bytes.clone()].concat(),
        );
        row(&format!("{name}, alone"), &bytes);
    }
}
