// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ends a program that outlives this process by too long.
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

use super::process::inherit_only_standard_streams;

/// Seconds from the end of the input to SIGTERM, on which ffmpeg completes its file too.
pub const TERM_AFTER: u32 = 10;
/// Seconds from SIGTERM to SIGKILL: time to move the index of a large file to its beginning.
pub const KILL_AFTER: u32 = 20;

/// `$1` and `$2` are the two times. The first line that it reads names the program's process group;
/// then its input ends when this process does. A stopped program gets SIGCONT with SIGTERM, so that it
/// can act on it.
const SCRIPT: &str = "read -r group || exit 0
read -r _
wait_for() {
    left=$1
    while kill -0 \"-$group\" 2>/dev/null; do
        [ \"$left\" -gt 0 ] || return 0
        left=$((left - 1))
        sleep 1
    done
    exit 0
}
wait_for \"$1\"
kill -TERM \"-$group\"
kill -CONT \"-$group\"
wait_for \"$2\"
kill -KILL \"-$group\"";

/// The shell that waits for this process to die.
#[derive(Debug)]
pub struct Watchdog {
    shell: Child,
    /// What it reads from.
    orders: OwnedFd,
    /// The other end of it. As long as somebody can read, writing raises no SIGPIPE, and this process
    /// need not be one that ignores it.
    _reader: OwnedFd,
}

impl Watchdog {
    /// Starts the shell.
    ///
    /// # Errors
    /// When there is no `/bin/sh`, or no process can be started.
    pub fn start() -> io::Result<Self> {
        let (reader, orders) = pipe_with(PipeFlags::CLOEXEC)?;
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", SCRIPT, "watchdog"])
            .args([TERM_AFTER.to_string(), KILL_AFTER.to_string()])
            .stdin(Stdio::from(reader.try_clone()?))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // What ends us, as Ctrl-C in a terminal does, must not end it.
            .process_group(0);
        inherit_only_standard_streams(&mut command);
        Ok(Self {
            shell: command.spawn()?,
            orders,
            _reader: reader,
        })
    }

    /// Names the process group that is to be ended.
    ///
    /// # Errors
    /// When the pipe cannot be written to.
    pub fn watch(&self, group: Pid) -> io::Result<()> {
        let line = format!("{}\n", group.as_raw_nonzero());
        // Less than PIPE_BUF: all of it, or an error.
        rustix::io::write(&self.orders, line.as_bytes())?;
        Ok(())
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
