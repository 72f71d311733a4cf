// SPDX-License-Identifier: MIT OR Apache-2.0
//! Elements are shells: what they decide is in a crate, so they stay small.

use std::path::Path;

use crate::{entries, root};

/// Lines that the two AVI elements may have together, without their tests.
const AVI: usize = 3200;

/// The lines of a file, without the tests at its end.
fn lines(file: &Path) -> usize {
    let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let code = text.split("#[cfg(test)]\nmod tests {").next();
    code.unwrap_or_default().lines().count()
}

/// The lines of an element's code; what is written for the reference is none.
fn lines_of(element: &str) -> usize {
    let files = entries(Path::new("src").join(element));
    let code = files
        .iter()
        .filter(|file| file.extension().is_some_and(|it| it == "rs"));
    code.map(|file| lines(file)).sum()
}

#[test]
fn the_avi_elements_are_small() {
    let (mux, demux) = (lines_of("avimjpegmux"), lines_of("avimjpegdemux"));
    assert!(
        mux + demux < AVI,
        "avimjpegmux has {mux} lines and avimjpegdemux {demux}, together {AVI} or more: \
         what they decide belongs into crates/avi"
    );
}

#[test]
fn tests_are_not_counted() {
    let counted = lines(&root().join("src/avimjpegmux/payload.rs"));
    let text = std::fs::read_to_string(root().join("src/avimjpegmux/payload.rs")).unwrap();
    assert!(
        text.contains("#[test]"),
        "choose another file that has tests"
    );
    assert!(counted > 20 && counted < text.lines().count());
}
