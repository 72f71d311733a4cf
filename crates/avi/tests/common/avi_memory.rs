// SPDX-License-Identifier: MIT OR Apache-2.0
//! A file in memory.

use std::io::Cursor;

use avi_mjpeg::output::Seekable;

/// An empty one.
pub(crate) fn memory() -> Seekable<Cursor<Vec<u8>>> {
    Seekable::new(Cursor::new(Vec::new())).expect("no I/O")
}

/// What was written.
pub(crate) fn bytes_of(file: Seekable<Cursor<Vec<u8>>>) -> Vec<u8> {
    file.into_inner().expect("no I/O").into_inner()
}
