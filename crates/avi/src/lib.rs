// SPDX-License-Identifier: MIT OR Apache-2.0
//! AVI files of Motion JPEG and PCM: their structures, a writer that survives a
//! power cut, and the rules of the K210's player.
//!
//! Nothing here knows of GStreamer. [`header`] has the structures of the file, each of
//! which both writes and parses itself; [`writer`] makes files of chunks, [`timeline`] decides
//! which chunk a frame or a run of samples belongs into, [`k210`] knows what the K210's player
//! accepts, [`jpeg`] reads as much of a picture as that takes, and [`huffman`] completes one.
//! [`reader`] reads files of others, [`repair`] makes sound ones of them, and [`k210_check`] says
//! whether the K210 plays one.

pub mod header;
pub mod huffman;
mod index;
pub mod jpeg;
pub mod k210;
pub mod k210_check;
pub mod pcm;
pub mod picojpeg;
pub mod reader;
pub mod repair;
pub mod timeline;
pub mod writer;
