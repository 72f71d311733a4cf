// SPDX-License-Identifier: MIT OR Apache-2.0
//! The C library's `epoll`, which knows a node.
//!
//! What the kernel watches it still watches; the nodes in a list are looked at beside it. Lists that are
//! themselves watched, by another list or `poll`, are ready by what the kernel knows alone.

use std::{
    ffi::{c_int, c_void},
    mem,
    sync::atomic::{AtomicPtr, Ordering},
    time::{Duration, Instant},
};

use k230_sim::v4l2::{
    self,
    epoll::{self, Interest},
};

use crate::{LOOK, fail, limit_of, real_ppoll};

/// Whether a descriptor is of `epoll`, as the kernel's own error.
fn check(list: c_int) -> Result<(), c_int> {
    // SAFETY: a question.
    if unsafe { libc::fcntl(list, libc::F_GETFD) } < 0 {
        return Err(libc::EBADF);
    }
    let is_one = std::fs::read_link(format!("/proc/self/fd/{list}"))
        .map(|name| name.to_string_lossy().contains("eventpoll"));
    // Without /proc it is believed.
    if is_one.unwrap_or(true) {
        Ok(())
    } else {
        Err(libc::EINVAL)
    }
}

/// The C library's, which knows a node.
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn epoll_ctl(
    list: c_int,
    operation: c_int,
    fd: c_int,
    event: *mut libc::epoll_event,
) -> c_int {
    if v4l2::is_node(fd) {
        if let Err(error) = check(list) {
            return fail(error);
        }
        // SAFETY: null or the caller's, wherever it lies.
        let interest = (!event.is_null()).then(|| unsafe { event.read_unaligned() });
        let interest = interest.map(|event| Interest {
            events: event.events,
            data: event.u64,
        });
        if let Some(answer) = epoll::control(list, operation, fd, interest) {
            return answer.map_or_else(fail, |()| 0);
        }
    }
    let real = real!(epoll_ctl: fn(c_int, c_int, c_int, *mut libc::epoll_event) -> c_int);
    // SAFETY: the caller's promise.
    unsafe { real(list, operation, fd, event) }
}

/// Waits for the nodes in a list and for whatever else it has.
///
/// # Safety
/// There is room for as many events as `room` says.
unsafe fn wait(
    list: c_int,
    to: *mut libc::epoll_event,
    room: c_int,
    limit: Option<Duration>,
) -> c_int {
    let Some(room) = usize::try_from(room).ok().filter(|room| *room > 0) else {
        return fail(libc::EINVAL);
    };
    if to.is_null() {
        return fail(libc::EFAULT);
    }
    let real = real!(epoll_wait: fn(c_int, *mut libc::epoll_event, c_int, c_int) -> c_int);
    let until = limit.and_then(|limit| Instant::now().checked_add(limit));
    loop {
        let nodes = epoll::ready(list, room);
        for (place, interest) in nodes.iter().enumerate() {
            let event = libc::epoll_event {
                events: interest.events,
                u64: interest.data,
            };
            // SAFETY: one of the places that there are, wherever they lie.
            unsafe { to.add(place).write_unaligned(event) };
        }
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let mut found = nodes.len();
        if found < room {
            let pause = match left {
                _ if found > 0 => Duration::ZERO,
                Some(left) => left.min(LOOK),
                None => LOOK,
            };
            let mut others = [libc::pollfd {
                fd: list,
                events: libc::POLLIN,
                revents: 0,
            }];
            if real_ppoll(&mut others, pause) < 0 && found == 0 {
                return -1;
            }
            // SAFETY: the places that are left.
            let more = unsafe { real(list, to.add(found), (room - found) as c_int, 0) };
            if more < 0 && found == 0 {
                return -1;
            }
            found += usize::try_from(more).unwrap_or(0);
        }
        if found > 0 || left.is_some_and(|left| left.is_zero()) {
            return found as c_int;
        }
    }
}

fn milliseconds(time: c_int) -> Option<Duration> {
    u64::try_from(time).ok().map(Duration::from_millis)
}

/// The C library's, which knows a node.
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn epoll_wait(
    list: c_int,
    to: *mut libc::epoll_event,
    room: c_int,
    time: c_int,
) -> c_int {
    if epoll::has_nodes(list) {
        // SAFETY: the caller's promise.
        return unsafe { wait(list, to, room, milliseconds(time)) };
    }
    let real = real!(epoll_wait: fn(c_int, *mut libc::epoll_event, c_int, c_int) -> c_int);
    // SAFETY: the caller's promise.
    unsafe { real(list, to, room, time) }
}

/// The C library's, which knows a node. The mask of signals is left alone where one is among them.
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn epoll_pwait(
    list: c_int,
    to: *mut libc::epoll_event,
    room: c_int,
    time: c_int,
    mask: *const libc::sigset_t,
) -> c_int {
    if epoll::has_nodes(list) {
        // SAFETY: the caller's promise.
        return unsafe { wait(list, to, room, milliseconds(time)) };
    }
    let real = real!(epoll_pwait: fn(
        c_int,
        *mut libc::epoll_event,
        c_int,
        c_int,
        *const libc::sigset_t,
    ) -> c_int);
    // SAFETY: the caller's promise.
    unsafe { real(list, to, room, time, mask) }
}

/// The C library's, which knows a node. The mask of signals is left alone where one is among them.
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn epoll_pwait2(
    list: c_int,
    to: *mut libc::epoll_event,
    room: c_int,
    time: *const libc::timespec,
    mask: *const libc::sigset_t,
) -> c_int {
    if epoll::has_nodes(list) {
        // SAFETY: null or the caller's.
        let limit = unsafe { time.as_ref() }.map(|time| limit_of(time.tv_sec, time.tv_nsec));
        return match limit {
            Some(None) => fail(libc::EINVAL),
            // SAFETY: the caller's promise.
            limit => unsafe { wait(list, to, room, limit.flatten()) },
        };
    }
    let real = real!(epoll_pwait2: fn(
        c_int,
        *mut libc::epoll_event,
        c_int,
        *const libc::timespec,
        *const libc::sigset_t,
    ) -> c_int);
    // SAFETY: the caller's promise.
    unsafe { real(list, to, room, time, mask) }
}
