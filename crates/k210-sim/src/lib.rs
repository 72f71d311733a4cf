// SPDX-License-Identifier: MIT OR Apache-2.0
//! A simulated K210 board that runs stock MaixPy firmware.
//!
//! Its end of the cable behaves as a board's does, byte for byte and in time: the UART paces what it
//! sends, a wrong speed gives garbage, the board boots into MicroPython's prompt, enters IDE mode by
//! the same lines of Python and comes back to it after a reset, runs uploaded scripts and compresses
//! what its camera sees. It forgives nothing that the firmware does not: [`dispatch`] keeps the
//! firmware's own state.
//!
//! ```
//! use std::time::Duration;
//! use k210_sim::{self, BootMode, Config};
//! use k210_link::transport::Transport;
//!
//! let mut port = sim::open(Config { boot: BootMode::Ide, ..Config::default() })?;
//! port.set_baud_rate(1_500_000)?;
//! // QUERY_STATUS, four bytes.
//! port.write_all(&[0x30, 0x8d, 4, 0, 0, 0], Duration::from_secs(1))?;
//! let mut reply = [0; 4];
//! let mut filled = 0;
//! while filled < 4 {
//!     filled += port.read(&mut reply[filled..], Duration::from_secs(1))?;
//! }
//! assert_eq!(u32::from_le_bytes(reply), 0xffee_bbaa);
//! # Ok::<(), std::io::Error>(())
//! ```

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

pub use board::{Board, Config, Port, SentFrame, open};
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
