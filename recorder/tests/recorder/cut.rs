// SPDX-License-Identifier: MIT OR Apache-2.0
//! A network between a recorder and its broker that breaks at a packet of MQTT's choosing.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::support::FAILSAFE;

/// Who sends a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    Recorder,
    Broker,
}

/// The packets of an exchange of quality 2, by the numbers that MQTT gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packet {
    Publish = 3,
    PubRec = 5,
    PubRel = 6,
    PubComp = 7,
}

/// What becomes of the connection at the next such packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It breaks before the packet has gone.
    Cut,
    /// The packet is lost, and nothing goes that way any more.
    Swallow,
}

#[derive(Debug, Default)]
struct State {
    armed: Option<(From, Packet, Fate)>,
    struck: bool,
}

type Shared = Arc<(Mutex<State>, Condvar)>;

/// The network.
pub(crate) struct Network {
    pub port: u16,
    shared: Shared,
}

impl Network {
    pub(crate) fn to(broker: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Shared::default();
        let for_thread = shared.clone();
        std::thread::spawn(move || {
            for recorder in listener.incoming().map_while(Result::ok) {
                // A broker that is gone is one for the recorder too.
                let Ok(broker) = TcpStream::connect(("127.0.0.1", broker)) else {
                    continue;
                };
                for (who, from, to) in [
                    (From::Recorder, &recorder, &broker),
                    (From::Broker, &broker, &recorder),
                ] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let shared = for_thread.clone();
                    std::thread::spawn(move || carry(who, from, to, &shared));
                }
            }
        });
        Self { port, shared }
    }

    /// Breaks a connection when this packet comes, which is lost with it.
    pub(crate) fn cut_at(&self, from: From, packet: Packet) {
        self.arm(from, packet, Fate::Cut);
    }

    /// Loses this packet and all that comes behind it.
    pub(crate) fn swallow(&self, from: From, packet: Packet) {
        self.arm(from, packet, Fate::Swallow);
    }

    fn arm(&self, from: From, packet: Packet, fate: Fate) {
        let mut state = self.shared.0.lock().unwrap();
        state.armed = Some((from, packet, fate));
        state.struck = false;
    }

    /// Waits until that has happened.
    pub(crate) fn has_struck(&self) {
        let deadline = Instant::now() + FAILSAFE;
        let (state, changed) = &*self.shared;
        let mut state = state.lock().unwrap();
        while !state.struck {
            assert!(Instant::now() < deadline, "never: {:?}", state.armed);
            let turn = Duration::from_millis(100);
            state = changed.wait_timeout(state, turn).unwrap().0;
        }
    }
}

/// The next packet: its first byte, and all of it.
fn packet(from: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut byte = [0];
    let mut whole = Vec::new();
    from.read_exact(&mut byte).ok()?;
    whole.push(byte[0]);
    let (mut length, mut shift) = (0, 0);
    loop {
        from.read_exact(&mut byte).ok()?;
        whole.push(byte[0]);
        length |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    let head = whole.len();
    whole.resize(head + length, 0);
    from.read_exact(&mut whole[head..]).ok()?;
    Some((whole[0], whole))
}

fn carry(who: From, mut from: TcpStream, mut to: TcpStream, shared: &Shared) {
    while let Some((first, whole)) = packet(&mut from) {
        let kind = first >> 4;
        // States are published with quality 1 and have no part in it.
        let of_exchange = kind != Packet::Publish as u8 || first & 0b110 == 0b100;
        let fate = {
            let mut state = shared.0.lock().unwrap();
            let armed = state.armed;
            let hit = armed
                .filter(|(from, packet, _)| *from == who && *packet as u8 == kind && of_exchange);
            if hit.is_some() {
                state.armed = None;
                state.struck = true;
                shared.1.notify_all();
            }
            hit.map(|(_, _, fate)| fate)
        };
        match fate {
            None if to.write_all(&whole).is_ok() => (),
            Some(Fate::Swallow) => {
                while packet(&mut from).is_some() {}
                break;
            }
            _ => break,
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
