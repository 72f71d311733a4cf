// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files of all kinds of which the beginning is lost, zeroed or cut off: every picture behind that is in what is mended,
//! in its order, or it is told of why it is not: a file that was joined on may have another rate than is known of the first.
#![allow(clippy::expect_used, clippy::panic, reason = "a failure ends the test")]

#[path = "common/avi_bytes.rs"]
mod avi_bytes;
#[path = "common/avi_memory.rs"]
mod avi_memory;
#[path = "common/mutants.rs"]
mod mutants;

use avi_memory::{bytes_of, memory};
use avi_mjpeg::repair::repair;
use avi_mjpeg::writer::Profile;
use mutants::bases;

/// Beyond the largest head of ours, and amid pictures.
const MOST: usize = 9000;

#[test]
fn each_picture_behind_what_is_lost_of_a_file_is_mended() {
    for base in bases() {
        let places = base.pictures.iter().map(|picture| {
            let at = memchr::memmem::find(&base.bytes, picture);
            at.expect("it is in the file")
        });
        let places: Vec<usize> = places.collect();
        let pictures: Vec<_> = places.iter().zip(&base.pictures).collect();
        for lost in (1..MOST.min(base.bytes.len())).step_by(97) {
            let rest = &base.bytes[lost..];
            let zeroed = [&vec![0; lost], rest].concat();
            let there = || pictures.iter().filter(|(at, _)| **at >= lost);
            if there().count() == 0 {
                continue;
            }
            for (how, bytes) in [("zeroed", &zeroed[..]), ("cut off", rest)] {
                let what = format!("{}, {lost} bytes {how}", base.name);
                let mut out = memory();
                let summary = repair(bytes, Profile::Standard, &mut out, |_, _| {})
                    .unwrap_or_else(|error| panic!("{what}: {error}"));
                let mended = bytes_of(out);
                let (mut from, mut refused) = (0, 0);
                for (_, picture) in there() {
                    match memchr::memmem::find(&mended[from..], picture) {
                        Some(at) => from += at + picture.len(),
                        None => refused += 1,
                    }
                }
                assert!(
                    refused == summary.refused && (refused == 0 || base.name.contains("joined")),
                    "{what}: {refused} of {} pictures are not there: {summary:?}",
                    there().count()
                );
            }
        }
    }
}
