// SPDX-License-Identifier: MIT OR Apache-2.0
#![doc = include_str!("../README.md")]
//!
//! # How it works
//! Such a board is reached over a UART. It boots into a MicroPython prompt at 115 200 baud and can
//! be switched into "IDE mode", in which every received byte goes to the firmware's debug
//! dispatcher (`components/micropython/port/src/omv/ide_dbg.c` in `sipeed/MaixPy-v1`): a protocol
//! of six-byte requests that runs scripts and hands out the camera's frames as JPEG.
//!
//! The modules, from the wire up:
//! - [`address`] and [`discovery`]: where boards are;
//! - [`transport`]: what carries the bytes;
//! - [`command`]: every request of the protocol, its bytes, its timeout and whether it may be
//!   repeated;
//! - [`session`]: talking to a board in IDE mode, over whatever noise there is;
//! - [`connect`]: getting a board there from any state, and a [`script`] to run on it;
//! - [`text`]: what boards say, fit for people;
//! - [`interrupt`]: cutting all of this short; [`pace`] and [`meter`]: when to ask for frames, and
//!   how fast they come.

#![warn(missing_docs, clippy::indexing_slicing)]

pub mod address;
pub mod command;
pub mod connect;
mod counters;
pub mod discovery;
pub mod interrupt;
pub mod jpeg;
pub mod meter;
pub mod pace;
mod picture;
pub mod script;
pub mod session;
pub mod text;
pub mod transport;

/// Speed of the board's UART after a reset, in baud (`maixpy_main.c`, `uarths_config`).
pub const REPL_BAUD_RATE: u32 = 115_200;

/// Speed the firmware itself uses when it boots into IDE mode, in baud (`_boot.py`).
pub const IDE_BAUD_RATE: u32 = 1_500_000;

/// Size of the firmware's JPEG buffer, in bytes (`OMV_JPEG_BUF_SIZE`, `omv_boardconfig.h`).
pub const JPEG_BUFFER_SIZE: u32 = 23 * 1024;

/// The largest JPEG the firmware hands out, in bytes: `framebuffer.c` compresses into the buffer
/// less 64 bytes, and skips the frame when it does not fit.
pub const MAX_JPEG_SIZE: u32 = JPEG_BUFFER_SIZE - 64;
