// SPDX-License-Identifier: MIT OR Apache-2.0
//! A gateway in front of a store, which refuses requests, or keeps an answer to itself.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::support::until;

/// What becomes of a request.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// It is answered so.
    Refuse(u16),
    /// The store gets it, and nobody its answer; the next ones go on.
    Keep,
}

/// Requests of a method whose address has this in it.
type Rule = (&'static str, &'static str, Fate);

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    kept: usize,
    refused: usize,
}

pub(crate) struct Gateway {
    pub port: u16,
    state: Arc<Mutex<State>>,
}

impl Gateway {
    pub(crate) fn to(store: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::<Mutex<State>>::default();
        let for_thread = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let state = for_thread.clone();
                // A client that leaves is none that anybody waits for.
                std::thread::spawn(move || pass(client, store, &state));
            }
        });
        Self { port, state }
    }

    /// Has these be refused.
    pub(crate) fn refuse(&self, method: &'static str, part: &'static str, status: u16) {
        let rule = (method, part, Fate::Refuse(status));
        self.state.lock().unwrap().rules.push(rule);
    }

    /// Has the answer to the next of these not arrive.
    pub(crate) fn keep_answer(&self, method: &'static str, part: &'static str) {
        let mut state = self.state.lock().unwrap();
        state.rules.push((method, part, Fate::Keep));
        state.kept = 0;
    }

    /// Waits until it has not.
    pub(crate) fn has_kept(&self) {
        until("the store has answered", || {
            (self.state.lock().unwrap().kept > 0).then_some(())
        });
    }

    pub(crate) fn refused(&self) -> usize {
        self.state.lock().unwrap().refused
    }

    pub(crate) fn allow_all(&self) {
        self.state.lock().unwrap().rules.clear();
    }
}

/// A head and what follows it that has been read already.
fn head(from: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let (mut read, mut block) = (Vec::new(), [0; 4096]);
    loop {
        let end = read.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let body = read.split_off(end + 4);
            return Some((String::from_utf8(read).ok()?, body));
        }
        match from.read(&mut block) {
            Ok(0) | Err(_) => return None,
            Ok(count) => read.extend_from_slice(&block[..count]),
        }
    }
}

/// One request a connection.
fn pass(mut client: TcpStream, store: u16, state: &Mutex<State>) -> Option<()> {
    let (request, mut body) = head(&mut client)?;
    let length = request.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is = name.eq_ignore_ascii_case("content-length");
        is.then(|| value.trim().parse::<usize>().ok())?
    });
    let begun = body.len();
    body.resize(length.unwrap_or(0).max(begun), 0);
    client.read_exact(&mut body[begun..]).ok()?;
    let (method, rest) = request.split_once(' ')?;
    let address = rest.split(' ').next()?;
    let fate = {
        let mut state = state.lock().unwrap();
        let of = |(of, part, _): &Rule| *of == method && address.contains(part);
        let found = state.rules.iter().position(of);
        let fate = found.map(|at| state.rules[at].2);
        match (found, fate) {
            (Some(at), Some(Fate::Keep)) => {
                state.rules.remove(at);
            }
            (_, Some(Fate::Refuse(_))) => state.refused += 1,
            _ => (),
        }
        fate
    };
    if let Some(Fate::Refuse(status)) = fate {
        let text = "<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>";
        let length = text.len();
        let head = format!(
            "HTTP/1.1 {status} No\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        client.write_all((head + text).as_bytes()).ok()?;
        return client.shutdown(Shutdown::Both).ok();
    }
    let mut to = TcpStream::connect(("127.0.0.1", store)).ok()?;
    let closing = "\r\nConnection: close\r\n";
    to.write_all(request.replacen("\r\n", closing, 1).as_bytes())
        .ok()?;
    to.write_all(&body).ok()?;
    let (answer, mut rest) = head(&mut to)?;
    if matches!(fate, Some(Fate::Keep)) {
        state.lock().unwrap().kept += 1;
        // Until the client has gone.
        let _ = client.read(&mut [0]);
        return None;
    }
    client
        .write_all(answer.replacen("\r\n", closing, 1).as_bytes())
        .ok()?;
    if method != "HEAD" {
        to.read_to_end(&mut rest).ok()?;
    }
    client.write_all(&rest).ok()?;
    client.shutdown(Shutdown::Both).ok()
}
