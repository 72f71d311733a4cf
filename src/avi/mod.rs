// SPDX-License-Identifier: MIT OR Apache-2.0
//! AVI files of Motion JPEG and PCM: their structures, a writer that survives a
//! power cut, and the rules of the K210's player.
//!
//! Nothing here knows of GStreamer. [`header`] has the structures of the file, each of
//! which both writes and parses itself.

pub mod header;
pub mod reader;
