// SPDX-License-Identifier: MIT OR Apache-2.0
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod board;
mod cable;
mod camera;
mod console;
pub mod counter;
pub mod dispatch;
mod firmware;
mod flash;
mod font;
pub mod footage;
mod jpeg;
mod line;
mod python;
mod readline;
mod scene;

pub use board::{Board, Config, Port, SentFrame, open, run_script};
pub use cable::{SerialPort, TcpPort};
pub use console::Console;
pub use flash::{Errno, Flash};
pub use jpeg::{JpegBuffer, Lock, Owner, Picture};
pub use scene::{Frame, Scene, TestScene};

/// What a board is doing when it is plugged in for the first time. Later starts are those of
/// [`PowerOn`](Self::PowerOn).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BootMode {
    /// Starts: boot text, `_boot.py`, `boot.py`, `main.py`, prompt.
    #[default]
    PowerOn,
    /// Waits at the prompt.
    Repl,
    /// Is in IDE mode.
    Ide,
    /// Runs `main.py`.
    Main,
    /// Is in raw mode of the prompt.
    Raw,
    /// Runs a script that Ctrl-C does not end.
    Wedged,
    /// Says nothing, whatever happens.
    Silent,
}
