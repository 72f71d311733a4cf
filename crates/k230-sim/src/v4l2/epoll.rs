// SPDX-License-Identifier: MIT OR Apache-2.0
//! Nodes that a program watches by `epoll`. The kernel takes no memory file there, so the lists are
//! kept here, and [`ready`] is what the nodes add to what it finds of everything else.

use std::{
    collections::BTreeMap,
    os::fd::RawFd,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::session::Session;
use crate::ffi::lock;

/// What a program asks to hear of a node, and by which word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interest {
    /// `EPOLL*`
    pub events: u32,
    /// Handed back with what is ready.
    pub data: u64,
}

struct Watch {
    /// The kernel tells watches apart by file and number.
    fd: RawFd,
    session: Weak<Session>,
    interest: Interest,
    /// What the session's count of changes was when the program heard of it last.
    heard: Option<u64>,
    /// It was to be told once, and was.
    spent: bool,
}

type List = Arc<Mutex<Vec<Watch>>>;

/// The lists, by the descriptors that `epoll_create` made.
static LISTS: Mutex<BTreeMap<RawFd, List>> = Mutex::new(BTreeMap::new());

/// How many there are, so that programs' other descriptors cost one look.
static COUNT: AtomicUsize = AtomicUsize::new(0);

fn list(epoll: RawFd) -> Option<List> {
    if COUNT.load(Ordering::Relaxed) == 0 {
        return None;
    }
    lock(&LISTS).get(&epoll).cloned()
}

fn new_list(epoll: RawFd) -> List {
    let mut lists = lock(&LISTS);
    let list = lists.entry(epoll).or_default().clone();
    COUNT.store(lists.len(), Ordering::Relaxed);
    list
}

/// Does one of `EPOLL_CTL_*` to a node in the list of a descriptor of `epoll`; `None` if `fd` is no
/// node.
///
/// # Errors
/// `EEXIST`, `ENOENT`, `EFAULT` without an interest where there has to be one, `EINVAL` for no such
/// operation.
pub fn control(
    epoll: RawFd,
    operation: i32,
    fd: RawFd,
    interest: Option<Interest>,
) -> Option<Result<(), i32>> {
    let session = super::session(fd)?;
    Some(control_session(epoll, operation, fd, &session, interest))
}

fn control_session(
    epoll: RawFd,
    operation: i32,
    fd: RawFd,
    session: &Arc<Session>,
    interest: Option<Interest>,
) -> Result<(), i32> {
    let list = new_list(epoll);
    let mut watches = lock(&list);
    let is_it = |watch: &Watch| watch.fd == fd && watch.session.as_ptr() == Arc::as_ptr(session);
    let found = watches.iter().position(is_it);
    match (operation, found) {
        (libc::EPOLL_CTL_DEL, Some(at)) => {
            watches.remove(at);
        }
        (libc::EPOLL_CTL_ADD, None) => {
            watches.push(Watch {
                fd,
                session: Arc::downgrade(session),
                interest: interest.ok_or(libc::EFAULT)?,
                heard: None,
                spent: false,
            });
        }
        (libc::EPOLL_CTL_MOD, Some(at)) => {
            watches[at].interest = interest.ok_or(libc::EFAULT)?;
            (watches[at].heard, watches[at].spent) = (None, false);
        }
        (libc::EPOLL_CTL_ADD, Some(_)) => return Err(libc::EEXIST),
        (libc::EPOLL_CTL_DEL | libc::EPOLL_CTL_MOD, None) => return Err(libc::ENOENT),
        _ => return Err(libc::EINVAL),
    }
    Ok(())
}

/// Whether a descriptor of `epoll` has a node in its list.
pub fn has_nodes(epoll: RawFd) -> bool {
    list(epoll).is_some_and(|list| !lock(&list).is_empty())
}

/// What is ready of the nodes in the list of a descriptor of `epoll`, as many as there is `room` for.
pub fn ready(epoll: RawFd, room: usize) -> Vec<Interest> {
    let mut found = Vec::new();
    let Some(list) = list(epoll) else {
        return found;
    };
    let mut watches = lock(&list);
    watches.retain(|watch| watch.session.strong_count() > 0);
    for watch in watches.iter_mut().filter(|watch| !watch.spent) {
        let Some(session) = watch.session.upgrade().filter(|_| found.len() < room) else {
            continue;
        };
        // Looked at first: what changes meanwhile is told once more.
        let changes = session.changes();
        let events = watch.interest.events;
        // The lower half of an interest is what poll has.
        let ready = u32::from(session.ready(events as i16) as u16);
        let is_old = events & libc::EPOLLET as u32 != 0 && watch.heard == Some(changes);
        if ready == 0 || is_old {
            continue;
        }
        watch.heard = Some(changes);
        watch.spent = events & libc::EPOLLONESHOT as u32 != 0;
        found.push(Interest {
            events: ready,
            data: watch.interest.data,
        });
    }
    found
}

/// Forgets a descriptor that is about to be closed, if it is one of `epoll`.
pub(super) fn close(fd: RawFd) {
    if COUNT.load(Ordering::Relaxed) == 0 {
        return;
    }
    let mut lists = lock(&LISTS);
    lists.remove(&fd);
    COUNT.store(lists.len(), Ordering::Relaxed);
}

/// Makes `copy` the same list as `fd`, after `dup`.
pub(super) fn duplicate(fd: RawFd, copy: RawFd) {
    let Some(list) = list(fd) else {
        return;
    };
    let mut lists = lock(&LISTS);
    lists.insert(copy, list);
    COUNT.store(lists.len(), Ordering::Relaxed);
}

/// Takes a session that has ended out of every list.
pub(super) fn forget(session: &Arc<Session>) {
    let lists: Vec<List> = lock(&LISTS).values().cloned().collect();
    for list in lists {
        lock(&list).retain(|watch| watch.session.as_ptr() != Arc::as_ptr(session));
    }
}
