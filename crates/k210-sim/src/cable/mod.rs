// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ways for other programs to reach a simulated board: a pseudo-terminal, and TCP.

mod pty;
mod tcp;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

pub use pty::SerialPort;
pub use tcp::TcpPort;

/// How often the threads look whether they are still wanted, and at what changes without an event.
const LOOK: Duration = Duration::from_millis(50);

/// Wakes a thread that waits in [`wait_readable`], for ever once set.
struct Stop(OwnedFd);

impl Stop {
    fn new() -> io::Result<Self> {
        Ok(Stop(eventfd(0, EventfdFlags::CLOEXEC)?))
    }

    fn set(&self) {
        // The counter cannot be full.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    fn is_set(&self) -> bool {
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }
}

/// What a descriptor is ready for.
struct Ready {
    readable: bool,
    hung_up: bool,
}

/// Waits until `fd` has something to read or is hung up; `None` when it is time to stop.
fn wait_readable(fd: BorrowedFd<'_>, stop: &Stop) -> io::Result<Option<Ready>> {
    loop {
        let mut fds = [
            PollFd::from_borrowed_fd(fd, PollFlags::IN),
            PollFd::from_borrowed_fd(stop.0.as_fd(), PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        if !fds[1].revents().is_empty() {
            return Ok(None);
        }
        let events = fds[0].revents();
        return Ok(Some(Ready {
            readable: events.contains(PollFlags::IN),
            hung_up: events.intersects(PollFlags::HUP | PollFlags::ERR),
        }));
    }
}

/// Waits until `fd` takes data, at most [`LOOK`].
fn wait_writable(fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
    let limit = Timespec {
        tv_sec: 0,
        tv_nsec: LOOK.as_nanos() as i64,
    };
    match poll(&mut fds, Some(&limit)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
