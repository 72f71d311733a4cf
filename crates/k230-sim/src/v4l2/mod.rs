// SPDX-License-Identifier: MIT OR Apache-2.0
//! A double of the device node of Linux' driver `mvx`, for a library that is preloaded.
//!
//! The library hands `open`, `ioctl`, `poll` and `close` of a program to [`open`], [`request`],
//! [`ready`] and [`close`] here where they concern the node, and the calls of `epoll` to [`epoll`]. A node that is open is a memory file with
//! the buffers in it, so that `mmap` itself needs no double: [`may_map`] says what the driver lets a
//! program map.
//!
//! What the driver leaves to V4L2's core, videobuf2 and the control framework is as in Linux 6.6: numbers
//! beyond a control's range become the nearest, of several controls none is set if one is wrong, a
//! control that has the value already is not set again. A few of the driver's ways that follow from
//! that: rate control is on from the beginning, and the GOP is that of "video P frames" until another is
//! set. Pictures are not counted, so that every buffer has the sequence number 0; a buffer in error has
//! the time that it had before; flags that the driver does not know stay as they were queued, those of
//! parameter sets too; the end of a stream is an event for whoever has the node open.
//!
//! The driver's ways that surprise are here as its sources have them: both queues enumerate raw and
//! encoded formats, formats are refused once there are buffers and most controls once both queues have
//! been streaming, parameter sets come in a buffer of their own that is stamped with no picture's
//! time, `V4L2_BUF_FLAG_KEYFRAME` is on every picture, a stream's offsets are far from the pictures',
//! there is no `EXPBUF`, a picture with a plane that begins behind the begin of its memory is given back unread (where
//! there is room for that begin twice, it is read from the wrong place), and a session that has ended stays so. What else goes wrong is to order, by the
//! environment:
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
//! | `offsets` | a plane may begin anywhere in its memory, as V4L2 has it and the driver does not |
//! | `no-controls`, `no-dmabuf` | there is no control but the bit rate and no request of the driver's own, or no import |
//! | `canned` | nothing is encoded: each picture's stream is the same few bytes |
//!
//! `K230_V4L2_SIM_LOG` names a file that gets a line for each picture that is queued: its number in
//! the session, format, kind of memory and time, `idr` if one was asked for, and its regions of
//! interest, `left,top-right,bottom:delta` in blocks of 16 pixels.

use std::{
    collections::BTreeMap,
    ffi::c_void,
    os::fd::{IntoRawFd, RawFd},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rustix::fs::{MemfdFlags, OFlags, fcntl_setfl, memfd_create};

use crate::ffi::lock;

mod controls;
pub mod epoll;
mod events;
mod faults;
mod format;
mod journal;
mod own;
mod process;
mod queue;
mod requests;
mod session;
#[cfg(test)]
mod tests;
mod uapi;
mod user;
mod worker;

use faults::Faults;
use session::Session;

/// Where the node is unless `K230_V4L2_SIM` says otherwise.
pub const NODE: &str = "/dev/video-k230";

/// A mapping of a node's memory in the program.
struct Mapping {
    session: Weak<Session>,
    /// Whether the memory is of the queue for pictures.
    output: bool,
    offset: u32,
    generation: u64,
}

/// The mappings, by address.
static MAPPINGS: Mutex<BTreeMap<usize, Mapping>> = Mutex::new(BTreeMap::new());

/// How many there are, so that programs' other memory costs one look.
static MAPPED: AtomicUsize = AtomicUsize::new(0);

/// The open nodes, by descriptor. Two may be the same session, after `dup`.
static SESSIONS: Mutex<BTreeMap<RawFd, Arc<Session>>> = Mutex::new(BTreeMap::new());

/// How many there are, so that programs' other descriptors cost one look.
static COUNT: AtomicUsize = AtomicUsize::new(0);

fn session(fd: RawFd) -> Option<Arc<Session>> {
    if fd < 0 || COUNT.load(Ordering::Relaxed) == 0 || !process::adopt() {
        return None;
    }
    lock(&SESSIONS).get(&fd).cloned()
}

/// The sessions that there are, each once.
fn sessions() -> Vec<Arc<Session>> {
    let mut all: Vec<Arc<Session>> = Vec::new();
    for session in lock(&SESSIONS).values() {
        if !all.iter().any(|other| Arc::ptr_eq(other, session)) {
            all.push(session.clone());
        }
    }
    all
}

/// The highest priority that a program has asked for, which is the device's.
fn highest_priority() -> u32 {
    let sessions = lock(&SESSIONS);
    let priorities = sessions.values().map(|session| session.get_priority());
    priorities.max().unwrap_or(uapi::V4L2_PRIORITY_INTERACTIVE)
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
    open_with(faults, nonblocking, close_on_exec)
}

fn open_with(faults: Faults, nonblocking: bool, close_on_exec: bool) -> Result<RawFd, i32> {
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
    // The session's own, as the program may close this one and go on with a copy.
    let own = rustix::io::fcntl_dupfd_cloexec(&file, 0).map_err(|error| error.raw_os_error())?;
    if !process::adopt() {
        return Err(libc::EIO);
    }
    process::note();
    let fd = file.into_raw_fd();
    let session = Arc::new(Session::new(own, faults));
    // A number that was in use belongs to a descriptor that was closed behind the double's back.
    put(fd, |_| Some(session));
    Ok(fd)
}

/// Has a descriptor be of a session, or of none. What it was of ends outside the lock, if that was the last one. False in
/// a child that is about to become another program.
fn put(fd: RawFd, of: impl FnOnce(&process::Sessions) -> Option<Arc<Session>>) -> bool {
    let Some((mut sessions, is_child)) = process::sessions() else {
        return false;
    };
    let former = match of(&sessions) {
        Some(session) => sessions.insert(fd, session),
        None => sessions.remove(&fd),
    };
    COUNT.store(sessions.len(), Ordering::Relaxed);
    let last = former
        .as_ref()
        .is_some_and(|former| !sessions.values().any(|other| Arc::ptr_eq(other, former)));
    drop(sessions);
    if is_child {
        // Its end is the parent's.
        std::mem::forget(former);
        return false;
    }
    if let Some(session) = former
        && last
    {
        epoll::forget(&session);
        session.let_go();
    }
    true
}

/// Whether the descriptor is an open node.
pub fn is_node(fd: RawFd) -> bool {
    session(fd).is_some()
}

/// Makes `copy` what `fd` is, after `dup`: the same session, or the same list of `epoll`. What `copy` was is closed.
pub fn duplicate(fd: RawFd, copy: RawFd) {
    let of_nodes = COUNT.load(Ordering::Relaxed) > 0;
    if of_nodes && !put(copy, |sessions| sessions.get(&fd).cloned()) {
        return;
    }
    epoll::close(copy);
    epoll::duplicate(fd, copy);
}

/// Forgets a descriptor that is about to be closed, and ends the session with the last.
pub fn close(fd: RawFd) {
    if COUNT.load(Ordering::Relaxed) == 0 || put(fd, |_| None) {
        epoll::close(fd);
    }
}

/// Forgets the descriptors from `first` to `last` that are about to be closed.
pub fn close_range(first: RawFd, last: RawFd) {
    if COUNT.load(Ordering::Relaxed) == 0 {
        return;
    }
    let Some((sessions, _)) = process::sessions() else {
        return;
    };
    let theirs: Vec<RawFd> = sessions.range(first..=last).map(|(fd, _)| *fd).collect();
    drop(sessions);
    theirs.into_iter().for_each(close);
}

/// Answers a request on a node; `None` if the descriptor is none.
///
/// Whatever the structure behind `argument` holds, the answer is an error's number where the kernel
/// has one; a pointer that leads nowhere is `EFAULT`, as far as the system lets that be found out.
///
/// # Safety
/// Where the system does not, `argument` points to what the request's number says, and what that points
/// to is there.
pub unsafe fn request(fd: RawFd, number: u32, argument: *mut c_void) -> Option<Result<(), i32>> {
    let session = session(fd)?;
    let _call = session.clone().call();
    // SAFETY: the caller's promise.
    Some(unsafe { session.request(number, argument) })
}

/// Waits until one of `events` or an error is there for a node, or the time is up, and answers as `poll`
/// does; `None` if the descriptor is none.
pub fn wait_for(fd: RawFd, events: i16, limit: Option<Duration>) -> Option<i16> {
    let session = session(fd)?;
    let _call = session.clone().call();
    Some(session.wait_for(events, limit))
}

/// What `poll` answers for a node now that waits for `events`; `None` if the descriptor is none.
pub fn ready(fd: RawFd, events: i16) -> Option<i16> {
    session(fd).map(|session| session.ready(events))
}

/// A queue and the offset in it, of an offset that a program maps.
fn place(offset: u64) -> Option<(bool, u32)> {
    let offset = u32::try_from(offset).ok()?;
    let output = offset < session::STREAM_BASE;
    Some((
        output,
        if output {
            offset
        } else {
            offset - session::STREAM_BASE
        },
    ))
}

/// Whether a program may map memory of a node so; `None` if the descriptor is none. The node is a memory
/// file, so that the mapping itself is made as of any file.
pub fn may_map(
    fd: RawFd,
    offset: u64,
    len: usize,
    protection: i32,
    flags: i32,
) -> Option<Result<(), i32>> {
    let session = session(fd)?;
    let may = place(offset).is_some_and(|(output, offset)| {
        let mut inner = session.lock();
        inner.queue(output).may_map(offset, len, protection, flags)
    });
    Some(if may { Ok(()) } else { Err(libc::EINVAL) })
}

/// Notes that a program has mapped memory of a node at an address.
pub fn mapped(fd: RawFd, offset: u64, address: usize) {
    let (Some(session), Some((output, offset))) = (session(fd), place(offset)) else {
        return;
    };
    let generation = session.lock().queue(output).mapped(offset);
    let mapping = Mapping {
        session: Arc::downgrade(&session),
        output,
        offset,
        generation,
    };
    if lock(&MAPPINGS).insert(address, mapping).is_none() {
        MAPPED.fetch_add(1, Ordering::Relaxed);
    }
}

/// Notes that a program has no longer mapped what was at an address.
pub fn unmapped(address: usize) {
    if MAPPED.load(Ordering::Relaxed) == 0 {
        return;
    }
    let Some(mapping) = lock(&MAPPINGS).remove(&address) else {
        return;
    };
    MAPPED.fetch_sub(1, Ordering::Relaxed);
    if let Some(session) = mapping.session.upgrade() {
        let mut inner = session.lock();
        let queue = inner.queue(mapping.output);
        queue.unmapped(mapping.offset, mapping.generation);
    }
}
