// SPDX-License-Identifier: MIT OR Apache-2.0
//! A board behind a pseudo-terminal, which programs open as a serial port.
//!
//! The terminal's speed is the host's: a client that sets the wrong one gets garbage. What the
//! board sends while no client has the port open is lost, as on a cable. Modem control lines do
//! not exist on pseudo-terminals, so a client cannot reset the board with them.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, QueueSelector, tcflush, tcgetattr, tcsetattr};

use super::{LOOK, Stop, wait_readable, wait_writable};
use crate::{Board, Port};
use k210_link::REPL_BAUD_RATE;
use k210_link::transport::Transport;

/// How often to look whether a client has come.
const CLIENT_LOOK: Duration = Duration::from_millis(10);

/// A simulated board on a pseudo-terminal, until it is dropped.
///
/// ```no_run
/// use k210_sim::{Board, Config, SerialPort};
///
/// let port = SerialPort::new(Board::new(Config::default())?, None)?;
/// println!("{}", port.path().display());
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct SerialPort {
    board: Board,
    link: Option<PathBuf>,
    terminal: Mutex<Option<Terminal>>,
}

impl SerialPort {
    /// Gives `board` a pseudo-terminal and, if wanted, a symbolic link to it that keeps its name when
    /// the board is unplugged and plugged in again.
    ///
    /// # Errors
    ///
    /// When there are no pseudo-terminals, or the link's name is taken by something else than a
    /// link that a board has left.
    pub fn new(board: Board, link: Option<&Path>) -> io::Result<Self> {
        let port = SerialPort {
            board,
            link: link.map(Path::to_owned),
            terminal: Mutex::new(None),
        };
        port.attach()?;
        Ok(port)
    }

    fn attach(&self) -> io::Result<()> {
        let terminal = Terminal::new(&self.board)?;
        if let Some(link) = &self.link {
            make_link(&terminal.path, link)?;
        }
        *self.terminal() = Some(terminal);
        Ok(())
    }

    fn terminal(&self) -> std::sync::MutexGuard<'_, Option<Terminal>> {
        self.terminal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The device to open: the link, or the terminal. Unplugged and without a link it is empty.
    pub fn path(&self) -> PathBuf {
        match (&self.link, &*self.terminal()) {
            (Some(link), _) => link.clone(),
            (None, Some(terminal)) => terminal.path.clone(),
            (None, None) => PathBuf::new(),
        }
    }

    /// The board.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// Pulls the cable: clients see the device hang up, the link is gone.
    pub fn unplug(&self) {
        self.board.unplug();
        if let Some(terminal) = self.terminal().take() {
            if let Some(link) = &self.link {
                remove_link(&terminal.path, link);
            }
            terminal.close();
        }
    }

    /// Puts the cable back: the board boots, behind a new terminal.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn replug(&self) -> io::Result<()> {
        if self.terminal().is_some() {
            return Ok(());
        }
        self.board.replug();
        self.attach()
    }
}

impl Drop for SerialPort {
    fn drop(&mut self) {
        self.unplug();
    }
}

/// Makes `link` lead to `target`, in one step.
fn make_link(target: &Path, link: &Path) -> io::Result<()> {
    // A board that was killed has left one, and the kernel gives the terminal's name out again.
    let is_left = || fs::read_link(link).is_ok_and(|old| old == target || !link.exists());
    if fs::symlink_metadata(link).is_ok() && !is_left() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!("{} exists already", link.display()),
        ));
    }
    let mut name = link.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let temporary = PathBuf::from(name);
    symlink(target, &temporary)?;
    fs::rename(&temporary, link).inspect_err(|_| {
        // The error of renaming is the one to report.
        let _ = fs::remove_file(&temporary);
    })
}

/// Removes `link` if it still leads to `target`.
fn remove_link(target: &Path, link: &Path) {
    if fs::read_link(link).is_ok_and(|found| found == target) {
        // Someone else may have been faster.
        let _ = fs::remove_file(link);
    }
}

/// What the two threads share.
struct Shared {
    master: OwnedFd,
    path: PathBuf,
    stop: Stop,
    /// A client has the port open. Written by the thread that reads from it.
    open: AtomicBool,
}

/// A pseudo-terminal with the threads that carry bytes between it and the board.
struct Terminal {
    path: PathBuf,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Terminal {
    fn new(board: &Board) -> io::Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let path = ptsname(&master, Vec::new())?;
        let path = PathBuf::from(path.to_string_lossy().into_owned());
        // Without this, a client that has yet to set the terminal up would have the board's text
        // echoed back to the board.
        let mut settings = tcgetattr(&master)?;
        settings.make_raw();
        settings.set_speed(REPL_BAUD_RATE)?;
        tcsetattr(&master, OptionalActions::Now, &settings)?;
        // Until the other end was open once, nothing tells that it is not.
        drop(open_other_end(&path)?);
        rustix::io::ioctl_fionbio(&master, true)?;

        let shared = Arc::new(Shared {
            master,
            path: path.clone(),
            stop: Stop::new()?,
            open: AtomicBool::new(false),
        });
        let mut terminal = Terminal {
            path,
            shared: shared.clone(),
            threads: Vec::new(),
        };
        let port = board.port();
        terminal.threads.push(spawn("k210-sim-pty-in", {
            let shared = shared.clone();
            move || from_client(&shared, port)
        })?);
        let port = board.port();
        terminal
            .threads
            .push(spawn("k210-sim-pty-out", move || to_client(&shared, port))?);
        Ok(terminal)
    }

    /// Ends the threads and with them the terminal.
    fn close(mut self) {
        self.shared.stop.set();
        for thread in self.threads.drain(..) {
            // The thread's panic was reported when it happened.
            let _ = thread.join();
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.shared.stop.set();
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.into()).spawn(run)
}

fn open_other_end(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Gives the board's end of the cable the terminal's speed.
fn follow_speed(shared: &Shared, port: &mut Port, speed: &mut u32) -> io::Result<()> {
    let now = tcgetattr(&shared.master)?.output_speed();
    if now != *speed && now != 0 {
        port.set_baud_rate(now)?;
        *speed = now;
    }
    Ok(())
}

fn from_client(shared: &Shared, mut port: Port) {
    let mut speed = 0;
    let mut buffer = [0; 4096];
    // Errors are those of a board that was unplugged, or of a terminal that is gone.
    while let Ok(Some(ready)) = wait_readable(shared.master.as_fd(), &shared.stop) {
        if !ready.readable && ready.hung_up {
            if shared.open.swap(false, Ordering::Relaxed) {
                // What the client did not read is not for the next one.
                if let Ok(other) = open_other_end(&shared.path) {
                    // Nothing depends on it.
                    let _ = tcflush(&other, QueueSelector::IOFlush);
                }
            }
            std::thread::sleep(CLIENT_LOOK);
            continue;
        }
        shared.open.store(!ready.hung_up, Ordering::Relaxed);
        if !ready.readable {
            continue;
        }
        match rustix::io::read(&shared.master, &mut buffer) {
            Ok(count) => {
                if follow_speed(shared, &mut port, &mut speed).is_err()
                    || port.write_all(&buffer[..count], Duration::MAX).is_err()
                {
                    return;
                }
            }
            // EIO: the client has closed the port.
            Err(rustix::io::Errno::IO | rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

fn to_client(shared: &Shared, mut port: Port) {
    let mut speed = 0;
    let mut buffer = [0; 4096];
    while !shared.stop.is_set() {
        if follow_speed(shared, &mut port, &mut speed).is_err() {
            return;
        }
        let count = match port.read(&mut buffer, LOOK) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::TimedOut => continue,
            Err(_) => return,
        };
        let mut rest = &buffer[..count];
        while !rest.is_empty() && is_open(shared) && !shared.stop.is_set() {
            match rustix::io::write(&shared.master, rest) {
                Ok(count) => rest = &rest[count..],
                Err(rustix::io::Errno::AGAIN) => {
                    if wait_writable(shared.master.as_fd()).is_err() {
                        return;
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }
}

/// Whether a client has the port open, by the terminal itself: the other thread sees it late.
fn is_open(shared: &Shared) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(&shared.master, PollFlags::OUT)];
    match poll(&mut fds, Some(&Timespec::default())) {
        Ok(_) => !fds[0].revents().contains(PollFlags::HUP),
        Err(_) => false,
    }
}
