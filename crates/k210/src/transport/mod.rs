// SPDX-License-Identifier: MIT OR Apache-2.0
//! What carries the bytes between host and board.

pub mod serial;
pub mod tcp;

use std::io;
use std::time::Duration;

/// A byte pipe to one board.
///
/// The errors of the reading and writing side carry the reason in their [`io::ErrorKind`]:
/// `TimedOut` means that the board is silent and the pipe is well; any other kind means that the
/// pipe itself is gone (a pulled cable, a closed connection).
pub trait Transport: Send {
    /// Reads at least one byte, waiting at most `timeout`; `ErrorKind::TimedOut` if nothing came.
    ///
    /// A `timeout` of zero takes what has already arrived.
    fn read(&mut self, buf: &mut [u8], timeout: Duration) -> io::Result<usize>;

    /// Writes all of `data`; `ErrorKind::TimedOut` if the pipe has not taken it within `timeout`.
    fn write_all(&mut self, data: &[u8], timeout: Duration) -> io::Result<()>;

    /// Sets the speed of the host's side, in baud, once everything written so far has left.
    ///
    /// Does nothing where the host has no say in it, as over raw TCP.
    fn set_baud_rate(&mut self, baud: u32) -> io::Result<()>;

    /// Whether [`set_baud_rate`](Self::set_baud_rate) has an effect.
    fn sets_speed(&self) -> bool {
        true
    }

    /// Sets both modem control lines in one step; `true` is asserted.
    ///
    /// USB adapters on K210 boards wire them to the reset and boot-mode pins, and a reset happens
    /// while they differ. Does nothing where there are no such lines.
    fn set_control_lines(&mut self, dtr: bool, rts: bool) -> io::Result<()>;

    /// Throws away what has arrived and was not read.
    fn discard_input(&mut self) -> io::Result<()>;
}
