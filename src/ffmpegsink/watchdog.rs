// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ends a program that outlives this process by too long. Knows no GStreamer.
//!
//! When this process dies, whatever the reason, the program's input ends, and that is what lets it
//! complete its file. PR_SET_PDEATHSIG would end it at that moment instead. Only a program that does
//! not heed the end of its input has to be ended by someone, and that someone has to survive: a
//! shell that reads from a pipe of ours, whose end tells it that we are gone.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;

use super::descriptors::inherit_only_standard_streams;

/// Seconds from the end of the input to SIGTERM, on which ffmpeg completes its file too.
pub(crate) const TERM_AFTER: u32 = 10;
/// Seconds from SIGTERM to SIGKILL: time to move the index of a large file to its beginning.
pub(crate) const KILL_AFTER: u32 = 20;

/// `$1` and `$2` are the two times; what it reads has no line and ends when this process does. The
/// program is in its process group, whose number nobody else gets as long as the shell lives. A
/// stopped program gets SIGCONT with SIGTERM, so that it can act on it.
const SCRIPT: &str = "trap '' HUP INT TERM
read -r _
sleep \"$1\"
kill -TERM 0
kill -CONT 0
sleep \"$2\"
kill -KILL 0";

/// The shell that waits for this process to die.
#[derive(Debug)]
pub(crate) struct Watchdog {
    shell: Child,
    /// What it reads from.
    _alive: OwnedFd,
}

impl Watchdog {
    /// Starts the shell.
    ///
    /// # Errors
    /// When there is no `/bin/sh`, or no process can be started.
    pub(crate) fn start() -> io::Result<Self> {
        let (reader, alive) = pipe_with(PipeFlags::CLOEXEC)?;
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", SCRIPT, "watchdog"])
            .args([TERM_AFTER.to_string(), KILL_AFTER.to_string()])
            .stdin(Stdio::from(reader))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // What ends us, as Ctrl-C in a terminal does, must not end it.
            .process_group(0);
        inherit_only_standard_streams(&mut command);
        Ok(Self {
            shell: command.spawn()?,
            _alive: alive,
        })
    }

    /// The process group that the program is to join.
    pub(crate) fn group(&self) -> Pid {
        Pid::from_child(&self.shell)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
