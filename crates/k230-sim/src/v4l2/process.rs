// SPDX-License-Identifier: MIT OR Apache-2.0
//! A program and its children.
//!
//! With the driver a child shares the descriptors that are open. The double is in the memory of the program: a child
//! of `vfork` has that very memory and leaves it alone, and one of `fork` a copy, in which sessions go on that did not
//! stream yet, as those of a program that becomes a daemon. The encoder of one that did is a thread that stayed with
//! the parent, so that in the child the session has failed.

use std::{
    collections::BTreeMap,
    os::fd::RawFd,
    sync::{
        Arc, MutexGuard, Once,
        atomic::{AtomicBool, AtomicI32, Ordering},
    },
};

use super::{COUNT, SESSIONS, session::Session};
use crate::ffi::lock;

/// The process whose memory the sessions are in.
static OWNER: AtomicI32 = AtomicI32::new(0);

/// This is a child of `fork`, which has not used a node yet.
static FORKED: AtomicBool = AtomicBool::new(false);

extern "C" fn forked() {
    FORKED.store(true, Ordering::SeqCst);
}

/// Notes that this process opens a node.
pub(super) fn note() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: a function that stores one value.
        if unsafe { libc::pthread_atfork(None, None, Some(forked)) } != 0 {
            log::error!("mvx: the children of this process are not heard of");
        }
    });
    OWNER.store(pid(), Ordering::SeqCst);
}

fn pid() -> i32 {
    std::process::id().cast_signed()
}

pub(super) type Sessions = BTreeMap<RawFd, Arc<Session>>;

/// The sessions for calls that a child makes before it becomes another program too. Those of `vfork` get none, and a
/// child of `fork` waits for no thread of its parent's. The answer's other part is whether this is a child.
pub(super) fn sessions() -> Option<(MutexGuard<'static, Sessions>, bool)> {
    if OWNER.load(Ordering::SeqCst) == pid() {
        return Some((lock(&SESSIONS), false));
    }
    if !FORKED.load(Ordering::SeqCst) {
        return None;
    }
    SESSIONS.try_lock().ok().map(|sessions| (sessions, true))
}

/// Makes the copies of the sessions this child's own, if this is a child that has not done so. Whether there are any to
/// look at.
#[inline]
pub(super) fn adopt() -> bool {
    !FORKED.load(Ordering::Relaxed) || adopt_copies()
}

#[cold]
fn adopt_copies() -> bool {
    let Ok(mut sessions) = SESSIONS.try_lock() else {
        // A thread had them in hand that this process does not have: nobody is to wait for it.
        return false;
    };
    FORKED.store(false, Ordering::SeqCst);
    OWNER.store(pid(), Ordering::SeqCst);
    let gone: Vec<RawFd> = sessions
        .iter()
        .filter(|(_, session)| !session.adopt())
        .map(|(fd, _)| *fd)
        .collect();
    for fd in gone {
        // The end of a session would wait for the parent's threads.
        std::mem::forget(sessions.remove(&fd));
    }
    COUNT.store(sessions.len(), Ordering::Relaxed);
    true
}
