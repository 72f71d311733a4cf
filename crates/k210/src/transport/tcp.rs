// SPDX-License-Identifier: MIT OR Apache-2.0
//! A serial port somewhere else: raw TCP, as ser2net and most serial servers speak it.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::Transport;
use crate::interrupt::Interrupt;

/// How long to wait for one address to answer.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A connection to a serial server.
pub struct Tcp {
    stream: TcpStream,
}

impl Tcp {
    /// Resolves `host` and connects to the first of its addresses that answers.
    ///
    /// `ErrorKind::Interrupted` if `interrupt` was set meanwhile, `ErrorKind::TimedOut` after
    /// [`CONNECT_TIMEOUT`] however many addresses there are.
    pub fn connect(host: &str, port: u16, interrupt: &Interrupt) -> io::Result<Self> {
        // The resolver cannot be interrupted, so it runs in a thread that nobody needs to wait for.
        let (sender, receiver) = mpsc::channel();
        let target = (host.to_owned(), port);
        thread::Builder::new()
            .name("k210-connect".into())
            .spawn(move || {
                let _ = sender.send(connect_any(&target));
            })?;
        let deadline = Instant::now() + CONNECT_TIMEOUT + Duration::from_millis(200);
        loop {
            match receiver.recv_timeout(Duration::from_millis(20)) {
                Ok(result) => return result.map(|stream| Tcp { stream }),
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    if interrupt.is_set() {
                        return Err(io::ErrorKind::Interrupted.into());
                    }
                    if Instant::now() > deadline {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return Err(io::Error::other("the connecting thread ended early"));
                }
            }
        }
    }
}

fn connect_any(target: &(String, u16)) -> io::Result<TcpStream> {
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (target.0.as_str(), target.1).to_socket_addrs()? {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => {
                // Requests are six bytes and wait for nothing.
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Waits until `stream` is ready for `events`; `false` when `timeout` passes first.
fn wait(stream: &TcpStream, events: PollFlags, timeout: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(|_| io::ErrorKind::InvalidInput)?;
        match poll(&mut [PollFd::new(stream, events)], Some(&left)) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

impl Transport for Tcp {
    fn read(&mut self, buf: &mut [u8], timeout: Duration) -> io::Result<usize> {
        if !wait(&self.stream, PollFlags::IN, timeout)? {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match self.stream.read(buf) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(io::ErrorKind::TimedOut.into())
            }
            other => other,
        }
    }

    fn write_all(&mut self, mut data: &[u8], timeout: Duration) -> io::Result<()> {
        let deadline = Instant::now() + timeout;
        while !data.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if !wait(&self.stream, PollFlags::OUT, left)? {
                return Err(io::ErrorKind::TimedOut.into());
            }
            match self.stream.write(data) {
                Ok(n) => data = data.get(n..).unwrap_or_default(),
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                    ) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn set_baud_rate(&mut self, _baud: u32) -> io::Result<()> {
        // The serial server's configuration decides.
        Ok(())
    }

    fn sets_speed(&self) -> bool {
        false
    }

    fn set_control_lines(&mut self, _dtr: bool, _rts: bool) -> io::Result<()> {
        Ok(())
    }

    fn discard_input(&mut self) -> io::Result<()> {
        let mut waste = [0; 4096];
        loop {
            match self.read(&mut waste, Duration::ZERO) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}
