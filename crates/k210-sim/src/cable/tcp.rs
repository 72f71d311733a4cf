// SPDX-License-Identifier: MIT OR Apache-2.0
//! A board behind a TCP port, as ser2net serves one in raw mode.
//!
//! One client at a time: others are turned away. The adapter between has the board's speed, always,
//! unless it is given one.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{LOOK, Stop, wait_readable};
use crate::{Board, Port};
use k210_link::transport::Transport;

/// A simulated board on a TCP port, until it is dropped.
pub struct TcpPort {
    shared: Arc<Shared>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    board: Board,
    /// The adapter's speed; `None` follows the board.
    baud_rate: Option<u32>,
    stop: Stop,
    busy: AtomicBool,
    client: Mutex<Option<TcpStream>>,
}

impl TcpPort {
    /// Listens at `address`; port 0 takes a free one. `baud_rate` fixes the speed of the adapter
    /// between network and board, which otherwise has the board's.
    ///
    /// # Errors
    ///
    /// When the address cannot be listened at.
    pub fn new(
        board: Board,
        address: impl ToSocketAddrs,
        baud_rate: Option<u32>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            board,
            baud_rate,
            stop: Stop::new()?,
            busy: AtomicBool::new(false),
            client: Mutex::new(None),
        });
        let thread = std::thread::Builder::new()
            .name("k210-sim-tcp".into())
            .spawn({
                let shared = shared.clone();
                move || accept(&shared, &listener)
            })?;
        Ok(TcpPort {
            shared,
            address,
            thread: Some(thread),
        })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The board.
    pub fn board(&self) -> &Board {
        &self.shared.board
    }

    /// Pulls the board's cable: the client is disconnected, and further ones are until
    /// [`replug`](Self::replug).
    pub fn unplug(&self) {
        self.shared.board.unplug();
        self.shared.hang_up();
    }

    /// Puts the cable back; the board boots.
    pub fn replug(&self) {
        self.shared.board.replug();
    }
}

impl Drop for TcpPort {
    fn drop(&mut self) {
        self.shared.stop.set();
        self.shared.hang_up();
        if let Some(thread) = self.thread.take() {
            // The thread's panic was reported when it happened.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn hang_up(&self) {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*client {
            // It may be gone already.
            let _ = client.shutdown(Shutdown::Both);
        }
    }
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    let mut clients: Vec<JoinHandle<()>> = Vec::new();
    while let Ok(Some(_)) = wait_readable(listener.as_fd(), &shared.stop) {
        let Ok((client, _)) = listener.accept() else {
            // Where there are no more descriptors the client stays where it is, and would be found again at once.
            std::thread::sleep(LOOK);
            continue;
        };
        clients.retain(|client| !client.is_finished());
        if !shared.board.is_plugged() || shared.busy.swap(true, Ordering::Relaxed) {
            continue;
        }
        let started = client.set_nonblocking(false).and_then(|()| {
            let shared = shared.clone();
            std::thread::Builder::new()
                .name("k210-sim-tcp-client".into())
                .spawn(move || {
                    // The client is gone, whatever the reason.
                    let _ = serve(&shared, client);
                    shared.busy.store(false, Ordering::Relaxed);
                })
        });
        match started {
            Ok(thread) => clients.push(thread),
            Err(_) => shared.busy.store(false, Ordering::Relaxed),
        }
    }
    shared.hang_up();
    for client in clients {
        // The thread's panic was reported when it happened.
        let _ = client.join();
    }
}

fn connect(shared: &Shared) -> io::Result<Port> {
    let mut port = shared.board.port();
    match shared.baud_rate {
        Some(baud_rate) => port.set_baud_rate(baud_rate)?,
        None => port.follow_baud_rate(),
    }
    Ok(port)
}

fn serve(shared: &Shared, mut client: TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut port = connect(shared)?;
    port.discard_input()?;
    *shared.client.lock().unwrap_or_else(PoisonError::into_inner) = Some(client.try_clone()?);
    let mut sink = client.try_clone()?;
    let mut reader = shared.board.port();
    let done = AtomicBool::new(false);
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut buffer = [0; 4096];
            while !done.load(Ordering::Relaxed) && !shared.stop.is_set() {
                let result = match reader.read(&mut buffer, LOOK) {
                    Ok(count) => sink.write_all(&buffer[..count]),
                    Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(()),
                    Err(error) => Err(error),
                };
                if result.is_err() {
                    break;
                }
            }
            // Ends the other direction, if the client has not.
            let _ = sink.shutdown(Shutdown::Both);
        });
        let mut buffer = [0; 4096];
        let result = loop {
            match client.read(&mut buffer) {
                Ok(0) => break Ok(()),
                Ok(count) => {
                    if let Err(error) = port.write_all(&buffer[..count], Duration::from_secs(60)) {
                        break Err(error);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        done.store(true, Ordering::Relaxed);
        result
    });
    *shared.client.lock().unwrap_or_else(PoisonError::into_inner) = None;
    result
}
