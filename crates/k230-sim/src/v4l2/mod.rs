// SPDX-License-Identifier: MIT OR Apache-2.0
//! A double of the device node of Linux' driver `mvx`, for a library that is preloaded.
//!
//! The library hands `open`, `ioctl`, `poll` and `close` of a program to [`open`], [`request`],
//! [`ready`] and [`close`] here where they concern the node. A node that is open is a memory file
//! with the buffers in it, so `mmap` needs no double.
//!
//! The driver's ways that surprise are here as its sources have them: both queues enumerate raw and
//! encoded formats, formats and controls are refused once there are buffers, parameter sets come in
//! a buffer of their own that is stamped with no picture's time, `V4L2_BUF_FLAG_KEYFRAME` is on
//! every picture, a stream's offsets are far from the pictures', there is no `EXPBUF`, and a session
//! that has ended stays so. What else goes wrong is to order, by the environment:
//! `K230_V4L2_SIM_FAULTS` has words with commas between them.
//!
//! | word | what happens |
//! |---|---|
//! | `busy` | the node cannot be opened |
//! | `error-every=N` | every Nth picture comes back in error |
//! | `drop-every=N` | every Nth picture does not come back at all |
//! | `eio-after=N`, `gone-after=N` | with the Nth picture the session fails, or the device is gone |
//! | `silent-after=N` | after N pictures nothing comes any more |
//! | `interrupt-every=N` | every Nth request is interrupted |
//! | `stride=N`, `short-strides` | rows are N bytes further apart, or shorter than the picture |
//! | `keep=N` | N pictures stay inside before the first stream comes |
//! | `one-buffer` | a queue gets one buffer |
//! | `headers-once` | parameter sets come with the first picture alone |
//! | `pieces=N` | encoded buffers get N bytes at most |
//! | `no-controls`, `no-dmabuf` | there is no control but the bit rate and no request of the driver's own, or no import |
//! | `canned` | nothing is encoded: each picture's stream is the same few bytes |
//!
//! `K230_V4L2_SIM_LOG` names a file that gets a line for each picture that is queued: its number in
//! the session, format, kind of memory and time, `idr` if one was asked for, and its regions of
//! interest, `left,top-right,bottom:delta` in blocks of 16 pixels.

use std::{
    collections::BTreeMap,
    ffi::c_void,
    os::fd::{AsRawFd, IntoRawFd, RawFd},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rustix::fs::{MemfdFlags, OFlags, fcntl_setfl, memfd_create};

use crate::ffi::lock;

mod controls;
mod faults;
mod journal;
mod queue;
mod session;
mod worker;

use faults::Faults;
use session::Session;

/// Where the node is unless `K230_V4L2_SIM` says otherwise.
pub const NODE: &str = "/dev/video-k230";

/// The open nodes, by descriptor. Two may be the same session, after `dup`.
static SESSIONS: Mutex<BTreeMap<RawFd, Arc<Session>>> = Mutex::new(BTreeMap::new());

/// How many there are, so that programs' other descriptors cost one look.
static COUNT: AtomicUsize = AtomicUsize::new(0);

fn session(fd: RawFd) -> Option<Arc<Session>> {
    if COUNT.load(Ordering::Relaxed) == 0 {
        return None;
    }
    lock(&SESSIONS).get(&fd).cloned()
}

/// Where the node is.
pub fn node() -> String {
    std::env::var("K230_V4L2_SIM")
        .ok()
        .filter(|path| !path.is_empty())
        .unwrap_or_else(|| NODE.into())
}

/// Opens the node. The descriptor is the program's to close, by [`close`].
///
/// # Errors
/// The system's number for the error.
pub fn open(nonblocking: bool, close_on_exec: bool) -> Result<RawFd, i32> {
    let faults = Faults::parse(&std::env::var("K230_V4L2_SIM_FAULTS").unwrap_or_default());
    if faults.busy {
        return Err(libc::EBUSY);
    }
    let flags = if close_on_exec {
        MemfdFlags::CLOEXEC
    } else {
        MemfdFlags::empty()
    };
    let file = memfd_create("mvx-sim", flags).map_err(|error| error.raw_os_error())?;
    if nonblocking {
        let _ = fcntl_setfl(&file, OFlags::NONBLOCK);
    }
    let session = Arc::new(Session::new(file.as_raw_fd(), faults));
    let fd = file.into_raw_fd();
    lock(&SESSIONS).insert(fd, session);
    COUNT.fetch_add(1, Ordering::Relaxed);
    Ok(fd)
}

/// Whether the descriptor is an open node.
pub fn is_node(fd: RawFd) -> bool {
    session(fd).is_some()
}

/// Makes `copy` the same session as `fd`, after `dup`.
pub fn duplicate(fd: RawFd, copy: RawFd) {
    if let Some(session) = session(fd) {
        lock(&SESSIONS).insert(copy, session);
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
}

/// Forgets a descriptor that is about to be closed, and ends the session with the last.
pub fn close(fd: RawFd) {
    if COUNT.load(Ordering::Relaxed) == 0 {
        return;
    }
    let Some(session) = lock(&SESSIONS).remove(&fd) else {
        return;
    };
    COUNT.fetch_sub(1, Ordering::Relaxed);
    let last = !lock(&SESSIONS)
        .values()
        .any(|other| Arc::ptr_eq(other, &session));
    if last {
        session.close();
    }
}

/// Answers a request on a node; `None` if the descriptor is none.
///
/// # Safety
/// `argument` points to what the request's number says.
pub unsafe fn request(fd: RawFd, number: u32, argument: *mut c_void) -> Option<Result<(), i32>> {
    let session = session(fd)?;
    // SAFETY: the caller's promise.
    Some(unsafe { session.request(number, argument) })
}

/// Waits until one of `events` or an error is there for a node, or the time is up, and answers as `poll`
/// does; `None` if the descriptor is none.
pub fn wait_for(fd: RawFd, events: i16, limit: Option<Duration>) -> Option<i16> {
    session(fd).map(|session| session.wait_for(events, limit))
}

/// What `poll` answers for a node now; `None` if the descriptor is none.
pub fn ready(fd: RawFd) -> Option<i16> {
    session(fd).map(|session| session.ready())
}
