// SPDX-License-Identifier: MIT OR Apache-2.0
//! A serial port: a USB adapter, a UART of the machine, or a pseudo-terminal.

use std::fs;
use std::io::{self, IsTerminal};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::ioctl::{Getter, Setter, ioctl};
use rustix::termios::{ioctl_tiocexcl, ioctl_tiocnxcl};
use serial2::SerialPort;
use thiserror::Error;

use super::Transport;

/// Why a serial port could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// There is no such file.
    #[error("there is no “{}”", .0.display())]
    NotFound(PathBuf),
    /// The file's permissions keep us out; the group whose members they let in, if there is one.
    #[error("no permission to open “{}”", path.display())]
    Denied {
        /// The port.
        path: PathBuf,
        /// The group that may open it.
        group: Option<String>,
    },
    /// Another program holds it.
    #[error("“{}” is in use by {user}", path.display())]
    InUse {
        /// The port.
        path: PathBuf,
        /// The program's name and process id, as well as they could be found out.
        user: String,
    },
    /// It is something else than a terminal device.
    #[error("“{}” is not a serial port", .0.display())]
    NotAPort(PathBuf),
    /// The driver does not do the speed that was asked for.
    #[error("“{}” cannot be set to {baud} baud", path.display())]
    Speed {
        /// The port.
        path: PathBuf,
        /// The speed.
        baud: u32,
    },
    /// Anything else that the system has to say.
    #[error("cannot open “{}”: {source}", path.display())]
    Io {
        /// The port.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// An open serial port, 8 data bits, no parity, 1 stop bit, no flow control.
///
/// It is held exclusively: other programs that ask first (by `flock` or `TIOCEXCL`) are refused
/// until it is dropped.
pub struct Serial {
    port: SerialPort,
}

impl Serial {
    /// Opens `path` at `baud`.
    ///
    /// The kernel asserts DTR and RTS as a port opens, and both are released at once here: on K210
    /// boards they drive reset and boot mode, and only ever act while they differ.
    pub fn open(path: &Path, baud: u32) -> Result<Self, OpenError> {
        let io_error = |source| OpenError::from_io(path, source);
        // Asked before opening: a file is not to be touched.
        let metadata = fs::metadata(path).map_err(io_error)?;
        if !metadata.file_type().is_char_device() {
            return Err(OpenError::NotAPort(path.into()));
        }
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file: OwnedFd =
            rustix::fs::open(path, flags, Mode::empty()).map_err(|error| io_error(error.into()))?;
        if !file.is_terminal() {
            return Err(OpenError::NotAPort(path.into()));
        }
        // Before the settings are touched that the other program has made.
        if let Some(user) = other_user(path) {
            return Err(OpenError::InUse {
                path: path.into(),
                user,
            });
        }
        let mut serial = Serial {
            port: SerialPort::from(file),
        };
        serial.lock().map_err(|_| OpenError::InUse {
            path: path.into(),
            user: user_of(path),
        })?;
        serial.configure(path, baud)?;
        // Adapters without modem lines, and pseudo-terminals, have nothing to release.
        let _ = serial.set_control_lines(false, false);
        Ok(serial)
    }

    fn configure(&mut self, path: &Path, baud: u32) -> Result<(), OpenError> {
        let io_error = |source| OpenError::from_io(path, source);
        let mut settings = self.port.get_configuration().map_err(io_error)?;
        settings.set_raw();
        settings
            .set_baud_rate(baud)
            .and_then(|()| self.port.set_configuration(&settings))
            .map_err(
                |error| match error.raw_os_error().map(Errno::from_raw_os_error) {
                    // What serial2 says when the driver has rounded or ignored the speed.
                    None | Some(Errno::INVAL) => OpenError::Speed {
                        path: path.into(),
                        baud,
                    },
                    Some(_) => io_error(error),
                },
            )
    }

    fn lock(&self) -> io::Result<()> {
        rustix::fs::flock(&self.port, FlockOperation::NonBlockingLockExclusive)?;
        // Best effort: it keeps out programs that do not ask for the lock.
        let _ = ioctl_tiocexcl(&self.port);
        Ok(())
    }
}

impl Drop for Serial {
    fn drop(&mut self) {
        // The exclusive mode belongs to the terminal, not to the descriptor, and would outlive it
        // on a pseudo-terminal whose other end stays open.
        let _ = ioctl_tiocnxcl(&self.port);
    }
}

impl OpenError {
    fn from_io(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match Errno::from_io_error(&source) {
            Some(Errno::NOENT) => OpenError::NotFound(path),
            // The device node outlives the device, and a port of the 8250 driver may have none.
            Some(Errno::NXIO | Errno::NODEV | Errno::IO) => OpenError::NotFound(path),
            Some(Errno::ACCESS | Errno::PERM) => OpenError::Denied {
                group: admitted_group(&path),
                path,
            },
            Some(Errno::BUSY) => OpenError::InUse {
                user: user_of(&path),
                path,
            },
            Some(Errno::NOTTY) => OpenError::NotAPort(path),
            _ => OpenError::Io { path, source },
        }
    }
}

impl Serial {
    fn control_lines(&self) -> rustix::io::Result<libc::c_int> {
        // SAFETY: TIOCMGET writes one int (ioctl_tty(2)).
        unsafe {
            let get = Getter::<{ libc::TIOCMGET as _ }, libc::c_int>::new();
            ioctl(&self.port, get)
        }
    }

    fn write_control_lines(&self, lines: libc::c_int) -> rustix::io::Result<()> {
        // SAFETY: TIOCMSET reads one int (ioctl_tty(2)).
        unsafe {
            let set = Setter::<{ libc::TIOCMSET as _ }, libc::c_int>::new(lines);
            ioctl(&self.port, set)
        }
    }
}

impl Transport for Serial {
    fn read(&mut self, buf: &mut [u8], timeout: Duration) -> io::Result<usize> {
        self.port.set_read_timeout(timeout)?;
        let deadline = Instant::now() + timeout;
        loop {
            match self.port.read(buf) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    self.port.set_read_timeout(left)?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                other => return other,
            }
        }
    }

    fn write_all(&mut self, mut data: &[u8], timeout: Duration) -> io::Result<()> {
        let deadline = Instant::now() + timeout;
        while !data.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            self.port.set_write_timeout(left)?;
            match self.port.write(data) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => data = data.get(n..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !left.is_zero() => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn set_baud_rate(&mut self, baud: u32) -> io::Result<()> {
        // serial2 applies settings once the output has drained (TCSETSW2).
        let mut settings = self.port.get_configuration()?;
        settings.set_baud_rate(baud)?;
        self.port.set_configuration(&settings)
    }

    fn set_control_lines(&mut self, dtr: bool, rts: bool) -> io::Result<()> {
        // One call for both: set one after the other they differ in between, which is a reset.
        let set = self.control_lines().and_then(|mut lines| {
            for (line, asserted) in [(libc::TIOCM_DTR, dtr), (libc::TIOCM_RTS, rts)] {
                lines = if asserted {
                    lines | line
                } else {
                    lines & !line
                };
            }
            self.write_control_lines(lines)
        });
        match set {
            Err(Errno::NOTTY | Errno::INVAL) => Ok(()),
            other => Ok(other?),
        }
    }

    fn discard_input(&mut self) -> io::Result<()> {
        self.port.discard_input_buffer()
    }
}

/// The name of the group whose members may open `path`, from `/etc/group`. There is none where
/// nobody but root may, as without the system's rules for serial ports.
fn admitted_group(path: &Path) -> Option<String> {
    let metadata = fs::metadata(path).ok()?;
    if metadata.mode() & 0o060 != 0o060 || metadata.gid() == 0 {
        return None;
    }
    let gid = metadata.gid().to_string();
    fs::read_to_string("/etc/group")
        .ok()?
        .lines()
        .find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)? == gid).then(|| name.to_owned())
        })
}

/// A process that has `path` open: its name and id.
///
/// `None` if there is none, or its descriptors may not be seen. The process behind a
/// pseudo-terminal, which often keeps both ends open, is not counted.
fn other_user(path: &Path) -> Option<String> {
    let path = fs::canonicalize(path).ok()?;
    let pts = path
        .strip_prefix("/dev/pts")
        .ok()
        .and_then(|name| name.to_str()?.parse::<u32>().ok());
    let own = std::process::id();
    let processes = fs::read_dir("/proc").ok()?;
    for process in processes.flatten() {
        let Some(pid) = process
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        // Our own descriptors are told apart by the lock: they may be the pseudo-terminal's.
        if pid == own {
            continue;
        }
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        let open: Vec<(std::ffi::OsString, PathBuf)> = descriptors
            .flatten()
            .filter_map(|fd| Some((fd.file_name(), fs::read_link(fd.path()).ok()?)))
            .collect();
        let uses = open.iter().any(|(_, target)| *target == path);
        let serves = pts.is_some_and(|pts| {
            open.iter()
                .filter(|(_, target)| target.ends_with("ptmx"))
                .any(|(fd, _)| {
                    fs::read_to_string(process.path().join("fdinfo").join(fd)).is_ok_and(|info| {
                        info.lines()
                            .filter_map(|line| line.strip_prefix("tty-index:"))
                            .any(|index| index.trim().parse() == Ok(pts))
                    })
                })
        });
        if uses && !serves {
            return Some(describe(pid));
        }
    }
    None
}

fn describe(pid: u32) -> String {
    match fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => format!("{} (process {pid})", name.trim()),
        Err(_) => format!("process {pid}"),
    }
}

/// The process that holds a lock on `path`, from `/proc/locks`, which shows those of other users.
fn lock_holder(path: &Path) -> Option<u32> {
    let metadata = fs::metadata(path).ok()?;
    let device = metadata.dev();
    let file = format!(
        "{:02x}:{:02x}:{}",
        rustix::fs::major(device),
        rustix::fs::minor(device),
        metadata.ino()
    );
    // As in “1: FLOCK  ADVISORY  WRITE 2023 00:17:6 0 EOF”.
    fs::read_to_string("/proc/locks")
        .ok()?
        .lines()
        .find_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let at = fields.iter().position(|field| *field == file)?;
            fields.get(at.checked_sub(1)?)?.parse().ok()
        })
}

/// Whether this process has `path` open.
fn is_ours(path: &Path) -> bool {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.into());
    fs::read_dir("/proc/self/fd").is_ok_and(|fds| {
        fds.flatten()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|target| target == path))
    })
}

/// Who holds a port that the system says is taken.
fn user_of(path: &Path) -> String {
    let own = std::process::id();
    other_user(path)
        .or_else(|| lock_holder(path).filter(|pid| *pid != own).map(describe))
        .unwrap_or_else(|| match is_ours(path) {
            true => format!("this program (process {own})"),
            false => "a program of another user".into(),
        })
}
