// SPDX-License-Identifier: MIT OR Apache-2.0
//! AVI files of Motion JPEG and PCM, recorded so that they survive a power cut, read whatever is damaged,
//! repaired, and checked for the K210's player.
//!
//! Nothing here knows of GStreamer. [`recorder`] takes frames and samples with their times and makes a
//! file of them in an [`output`]; below it, [`writer`] makes files of chunks, and [`timeline`] decides which
//! chunk a frame or a run of samples belongs into. [`reader`] reads files of others, [`repair`] makes
//! sound ones of them. [`k210`] knows what the K210's player accepts, and [`k210_check`] says whether it plays
//! a file. [`header`] has the structures of the file, each of which both writes and parses itself;
//! [`jpeg`] reads as much of a picture as that takes, and [`huffman`] completes one. [`pcm`] keeps and
//! writes sound alone.
//!
//! A file with sound that a K210 plays:
//!
//! ```
//! use avi_mjpeg::{header::WaveFormat, k210_check, output::Seekable, timeline::Rate, writer::Profile};
//! use avi_mjpeg::recorder::{Recorder, Settings, Stream};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("a.avi");
//! # let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/frame-grey-restart.jpg");
//! # let picture = std::fs::read(data)?;
//! let video = Stream::video(100, 75, Rate::TEN_A_SECOND);
//! let sound = Stream::audio(WaveFormat::pcm(16_000, 1, 16, 0));
//! let settings = Settings::new(Profile::K210);
//! let mut avi = Recorder::start(Seekable::create(&path)?, settings, &[video, sound])?;
//! for n in 0..50 {
//!     avi.push(0, picture.clone(), Some(n * 100_000_000))?;
//!     avi.push(1, vec![0; 3200], Some(n * 100_000_000))?;
//! }
//! avi.finish()?;
//! assert!(k210_check::check(&std::fs::read(&path)?[..], |_| {})?.plays());
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]
#![warn(missing_docs, elided_lifetimes_in_paths)]
// What tests have in common is public to programs of which each sees a part.
#![cfg_attr(not(test), warn(unreachable_pub))]

pub mod header;
pub mod huffman;
pub mod jpeg;
pub mod k210;
pub mod k210_check;
pub mod output;
pub mod pcm;
pub mod picojpeg;
pub mod reader;
pub mod recorder;
pub mod repair;
pub mod timeline;
pub mod writer;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
