// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any text as a pattern for file names: it is refused, or fills in numbers, shows itself as a pattern
//! that means the same, and makes no names without end.
#![no_main]
#![allow(dead_code)]

#[path = "../../src/streams/names.rs"]
mod names;

use libfuzzer_sys::fuzz_target;
use names::{Pattern, sequence};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    for most in 0..3 {
        let Ok(pattern) = Pattern::new(&text, most) else {
            continue;
        };
        assert!(pattern.places() <= most);
        let shown = pattern.to_string();
        let again =
            Pattern::new(&shown, most).unwrap_or_else(|e| panic!("{text:?}, {shown:?}: {e}"));
        for numbers in [[0, 0], [1, u64::MAX]] {
            let name = pattern.fill(&numbers);
            assert_eq!(name, again.fill(&numbers), "{text:?}, {shown:?}");
            assert!(name.len() <= text.len() + 40);
        }
    }
    if let Ok(pattern) = sequence(&text, 7) {
        assert!(Pattern::new(&pattern, 1).is_ok(), "{text:?}, {pattern:?}");
    }
});
