// SPDX-License-Identifier: MIT OR Apache-2.0
//! A log that nobody takes.

use std::io::{BufRead, BufReader};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Stdio};

use rustix::fs::OFlags;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{HEAD, Recorder, ask, ball, until};

/// Starts a recorder with this as its standard error; the port of its page.
fn start(folder: &std::path::Path, errors: OwnedFd) -> (Child, u16) {
    let text = format!("{HEAD}{}", ball("gate"));
    std::fs::write(folder.join("config.toml"), text).unwrap();
    let mut command = Recorder::command(folder, &["config.toml"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.stderr(errors).spawn().unwrap();
    let mut line = String::new();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    let port = line
        .trim()
        .trim_end_matches('/')
        .rsplit_once(':')
        .unwrap()
        .1;
    (child, port.parse().unwrap())
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Has much be said, a clip be recorded, and ends it.
fn goes_on(mut child: Child, port: u16) {
    until("the camera runs", || {
        let state = ask(port, "GET", "/api/state", "").json();
        (state["cameras"][0]["state"] == "running").then_some(())
    });
    for _ in 0..100 {
        signal(&child, Signal::HUP);
        assert_eq!(ask(port, "GET", "/healthz", "").status, 200);
    }
    let answer = ask(port, "POST", "/api/cameras/gate/trigger?event=a", "");
    assert_eq!(answer.status, 200);
    until("the clip is whole", || {
        let list = ask(port, "GET", "/api/clips", "").json();
        (list[0]["event"] == "a").then_some(())
    });
    signal(&child, Signal::TERM);
    let status = until("it ends", || child.try_wait().unwrap());
    assert!(status.success(), "{status}");
}

#[test]
fn whose_reader_has_gone_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let (child, port) = start(folder.path(), writer);
    drop(reader);
    goes_on(child, port);
}

#[test]
fn whose_reader_reads_nothing_waits_for_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    // Full from the beginning.
    let filling = writer.try_clone().unwrap();
    rustix::fs::fcntl_setfl(filling.as_fd(), OFlags::NONBLOCK).unwrap();
    while rustix::io::write(&filling, &[b'.'; 4096]).is_ok() {}
    rustix::fs::fcntl_setfl(filling.as_fd(), OFlags::empty()).unwrap();
    drop(filling);
    let (child, port) = start(folder.path(), writer);
    goes_on(child, port);
    drop(reader);
}
