// SPDX-License-Identifier: MIT OR Apache-2.0
//! `libk230v4l2_sim.so`: the double of the K230's V4L2 encoder ([`k230_sim::v4l2`]), for programs
//! that run as they are:
//!
//! ```console
//! LD_PRELOAD=target/debug/libk230v4l2_sim.so v4l2-ctl -d /dev/video-k230 --all
//! ```
//!
//! It stands in front of the C library's functions that reach a device and hands everything that
//! does not concern the node on.

use std::{
    ffi::{c_int, c_uint, c_ulong, c_void},
    mem,
    sync::atomic::{AtomicPtr, Ordering},
    time::{Duration, Instant},
};

use k230_sim::v4l2;

/// What the double reports goes to the console of whatever program it is in.
fn report(record: &log::Record<'_>) {
    eprintln!("libk230v4l2_sim.so: {}", record.args());
}

/// Looks at the node's descriptors so often while a program waits for several. What changes the
/// session in between is the encoder, in milliseconds.
const LOOK: Duration = Duration::from_micros(500);

/// The C library's own function behind one of this library's name.
macro_rules! real {
    ($name:ident: fn($($type:ty),* $(,)?) -> $result:ty) => {{
        static FOUND: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
        let mut found = FOUND.load(Ordering::Acquire);
        if found.is_null() {
            let name = concat!(stringify!($name), "\0");
            // SAFETY: a name that ends with a zero.
            found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr().cast()) };
            assert!(!found.is_null(), "the C library has no {}", stringify!($name));
            FOUND.store(found, Ordering::Release);
        }
        // SAFETY: the C library's function of this name has this prototype.
        unsafe { mem::transmute::<*mut c_void, unsafe extern "C" fn($($type),*) -> $result>(found) }
    }};
}

mod epoll;
mod paths;
mod syscalls;

fn fail(error: c_int) -> c_int {
    // SAFETY: the thread's own error number.
    unsafe { *libc::__errno_location() = error };
    -1
}

/// The C library's, and the end of a node's descriptor.
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn close(fd: c_int) -> c_int {
    v4l2::close(fd);
    let real = real!(close: fn(c_int) -> c_int);
    // SAFETY: the caller's promise.
    unsafe { real(fd) }
}

/// The C library's, and the end of the nodes' descriptors among those.
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
    let real = real!(close_range: fn(c_uint, c_uint, c_int) -> c_int);
    if flags & libc::CLOSE_RANGE_CLOEXEC as c_int == 0 && first <= last {
        let bound = |fd: c_uint| c_int::try_from(fd).unwrap_or(c_int::MAX);
        v4l2::close_range(bound(first), bound(last));
    }
    // SAFETY: the caller's promise.
    unsafe { real(first, last, flags) }
}

/// The C library's, and the end of the nodes' descriptors among those.
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn closefrom(first: c_int) {
    v4l2::close_range(first.max(0), c_int::MAX);
    let real = real!(closefrom: fn(c_int) -> ());
    // SAFETY: the caller's promise.
    unsafe { real(first) }
}

/// The C library's, and another descriptor of a node.
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dup(fd: c_int) -> c_int {
    let real = real!(dup: fn(c_int) -> c_int);
    // SAFETY: the caller's promise.
    let copy = unsafe { real(fd) };
    if copy >= 0 {
        v4l2::duplicate(fd, copy);
    }
    copy
}

/// Functions that put a copy of a descriptor at a number.
macro_rules! copies {
    ($($name:ident($($flags:ident)?))*) => {
        $(
            /// The C library's, and another descriptor of a node; what was at the number is closed.
            ///
            /// # Safety
            /// As for the C library's.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name(fd: c_int, to: c_int, $($flags: c_int)?) -> c_int {
                let real = real!($name: fn(c_int, c_int $(, copies!(@int $flags))?) -> c_int);
                // SAFETY: the caller's promise.
                let copy = unsafe { real(fd, to, $($flags)?) };
                if copy >= 0 && fd != to {
                    v4l2::duplicate(fd, copy);
                }
                copy
            }
        )*
    };
    (@int $flags:ident) => { c_int };
}

copies! { dup2() dup3(flags) }

/// Functions that do this and that with a descriptor; what may follow is passed on whatever it is.
macro_rules! controls {
    ($($name:ident)*) => {
        $(
            /// The C library's, and another descriptor of a node.
            ///
            /// # Safety
            /// As for the C library's.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name(fd: c_int, command: c_int, more: usize) -> c_int {
                let real = real!($name: fn(c_int, c_int, usize) -> c_int);
                // SAFETY: the caller's promise.
                let answer = unsafe { real(fd, command, more) };
                if answer >= 0 && matches!(command, libc::F_DUPFD | libc::F_DUPFD_CLOEXEC) {
                    v4l2::duplicate(fd, answer);
                }
                answer
            }
        )*
    };
}

controls! { fcntl fcntl64 }

/// The C library's, or a request on a node.
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioctl(fd: c_int, number: c_ulong, argument: *mut c_void) -> c_int {
    // Programs that keep the number in an int pass its sign along.
    // SAFETY: the caller's promise.
    match unsafe { v4l2::request(fd, number as u32, argument) } {
        Some(Ok(())) => 0,
        Some(Err(error)) => fail(error),
        None => {
            let real = real!(ioctl: fn(c_int, c_ulong, *mut c_void) -> c_int);
            // SAFETY: the caller's promise.
            unsafe { real(fd, number, argument) }
        }
    }
}

/// The C library's; of a node's memory what the driver lets a program map.
macro_rules! maps {
    ($($name:ident($offset:ty))*) => {
        $(
            /// The C library's, which knows a node.
            ///
            /// # Safety
            /// As for the C library's.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name(
                address: *mut c_void,
                len: usize,
                protection: c_int,
                flags: c_int,
                fd: c_int,
                offset: $offset,
            ) -> *mut c_void {
                let node = v4l2::may_map(fd, offset as u64, len, protection, flags);
                if let Some(Err(error)) = node {
                    fail(error);
                    return libc::MAP_FAILED;
                }
                let real = real!($name: fn(
                    *mut c_void,
                    usize,
                    c_int,
                    c_int,
                    c_int,
                    $offset,
                ) -> *mut c_void);
                // SAFETY: the caller's promise.
                let at = unsafe { real(address, len, protection, flags, fd, offset) };
                if node.is_some() && at != libc::MAP_FAILED {
                    v4l2::mapped(fd, offset as u64, at as usize);
                }
                at
            }
        )*
    };
}

maps! { mmap(libc::off_t) mmap64(libc::off64_t) }

/// The C library's, and the end of a mapping of a node's memory.
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn munmap(address: *mut c_void, len: usize) -> c_int {
    v4l2::unmapped(address as usize);
    let real = real!(munmap: fn(*mut c_void, usize) -> c_int);
    // SAFETY: the caller's promise.
    unsafe { real(address, len) }
}

/// Waits for nodes among other descriptors: `others` waits for these, so long.
fn wait(
    waited: &mut [libc::pollfd],
    limit: Option<Duration>,
    others: impl Fn(&mut [libc::pollfd], Duration) -> c_int,
) -> c_int {
    if let [only] = waited
        && let Some(ready) = v4l2::wait_for(only.fd, only.events, limit)
    {
        only.revents = ready;
        return c_int::from(ready != 0);
    }
    // A time that no clock will have is none.
    let until = limit.and_then(|limit| Instant::now().checked_add(limit));
    loop {
        let nodes: Vec<Option<i16>> = waited
            .iter()
            .map(|entry| v4l2::ready(entry.fd, entry.events))
            .collect();
        let mut rest: Vec<libc::pollfd> = waited
            .iter()
            .zip(&nodes)
            .map(|(entry, node)| libc::pollfd {
                // A negative one is left alone.
                fd: if node.is_some() { -1 } else { entry.fd },
                ..*entry
            })
            .collect();
        let node_is_ready = nodes
            .iter()
            .any(|ready| ready.is_some_and(|ready| ready != 0));
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let pause = match left {
            _ if node_is_ready => Duration::ZERO,
            Some(left) => left.min(LOOK),
            None => LOOK,
        };
        let found = others(&mut rest, pause);
        if found < 0 {
            return found;
        }
        if found > 0 || node_is_ready || left.is_some_and(|left| left.is_zero()) {
            let mut count = 0;
            for ((entry, node), other) in waited.iter_mut().zip(&nodes).zip(&rest) {
                entry.revents = match node {
                    Some(ready) => *ready,
                    None => other.revents,
                };
                count += c_int::from(entry.revents != 0);
            }
            return count;
        }
    }
}

/// The time that is given to wait for; `None` if it is no time.
fn limit_of(seconds: impl TryInto<u64>, nanoseconds: impl TryInto<u32>) -> Option<Duration> {
    let nanoseconds = nanoseconds.try_into().ok().filter(|n| *n < 1_000_000_000)?;
    Some(Duration::new(seconds.try_into().ok()?, nanoseconds))
}

fn real_ppoll(waited: &mut [libc::pollfd], pause: Duration) -> c_int {
    let real = real!(ppoll: fn(
        *mut libc::pollfd,
        libc::nfds_t,
        *const libc::timespec,
        *const libc::sigset_t,
    ) -> c_int);
    let pause = libc::timespec {
        tv_sec: pause.as_secs() as libc::time_t,
        tv_nsec: pause.subsec_nanos() as libc::c_long,
    };
    // SAFETY: as many as there are, and a time.
    unsafe {
        real(
            waited.as_mut_ptr(),
            waited.len() as libc::nfds_t,
            &pause,
            std::ptr::null(),
        )
    }
}

/// The C library's, which knows a node.
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn poll(
    entries: *mut libc::pollfd,
    count: libc::nfds_t,
    milliseconds: c_int,
) -> c_int {
    if !entries.is_null() && count > 0 {
        // SAFETY: the caller's promise.
        let waited = unsafe { std::slice::from_raw_parts_mut(entries, count as usize) };
        if waited.iter().any(|entry| v4l2::is_node(entry.fd)) {
            let limit = u64::try_from(milliseconds).ok().map(Duration::from_millis);
            return wait(waited, limit, real_ppoll);
        }
    }
    let real = real!(poll: fn(*mut libc::pollfd, libc::nfds_t, c_int) -> c_int);
    // SAFETY: the caller's promise.
    unsafe { real(entries, count, milliseconds) }
}

/// The C library's, which knows a node. The mask of signals is left alone where one is among them.
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ppoll(
    entries: *mut libc::pollfd,
    count: libc::nfds_t,
    time: *const libc::timespec,
    mask: *const libc::sigset_t,
) -> c_int {
    if !entries.is_null() && count > 0 {
        // SAFETY: the caller's promise.
        let (waited, time) = unsafe {
            (
                std::slice::from_raw_parts_mut(entries, count as usize),
                time.as_ref(),
            )
        };
        if waited.iter().any(|entry| v4l2::is_node(entry.fd)) {
            let limit = time.map(|time| limit_of(time.tv_sec, time.tv_nsec));
            return match limit {
                Some(None) => fail(libc::EINVAL),
                limit => wait(waited, limit.flatten(), real_ppoll),
            };
        }
    }
    let real = real!(ppoll: fn(
        *mut libc::pollfd,
        libc::nfds_t,
        *const libc::timespec,
        *const libc::sigset_t,
    ) -> c_int);
    // SAFETY: the caller's promise.
    unsafe { real(entries, count, time, mask) }
}

/// Where a descriptor's bit is in a set, which may have more than the header's 1024.
///
/// # Safety
/// The set has as many descriptors.
unsafe fn place(set: *mut libc::fd_set, fd: c_int) -> (*mut c_ulong, c_ulong) {
    let (word, bit) = (
        fd as usize / c_ulong::BITS as usize,
        fd as u32 % c_ulong::BITS,
    );
    // SAFETY: the caller's promise.
    (unsafe { set.cast::<c_ulong>().add(word) }, 1 << bit)
}

/// # Safety
/// As for [`place`].
unsafe fn is_in(set: *mut libc::fd_set, fd: c_int) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        let (word, bit) = place(set, fd);
        *word & bit != 0
    }
}

/// # Safety
/// As for [`place`].
unsafe fn take_out(set: *mut libc::fd_set, fd: c_int) {
    // SAFETY: the caller's promise.
    unsafe {
        let (word, bit) = place(set, fd);
        *word &= !bit;
    }
}

/// The C library's `poll` in programs that are built to check their arrays.
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __poll_chk(
    entries: *mut libc::pollfd,
    count: libc::nfds_t,
    milliseconds: c_int,
    _room: usize,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { poll(entries, count, milliseconds) }
}

/// The C library's `ppoll` in such programs.
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __ppoll_chk(
    entries: *mut libc::pollfd,
    count: libc::nfds_t,
    time: *const libc::timespec,
    mask: *const libc::sigset_t,
    _room: usize,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { ppoll(entries, count, time, mask) }
}

/// Sets of descriptors to wait for: those to read from, to write to, and of which something else is to
/// hear.
type Sets = [(*mut libc::fd_set, i16); 3];

fn sets(read: *mut libc::fd_set, write: *mut libc::fd_set, except: *mut libc::fd_set) -> Sets {
    [
        (read, libc::POLLIN),
        (write, libc::POLLOUT),
        (except, libc::POLLPRI),
    ]
}

/// What is waited for, if there is a node in it.
///
/// # Safety
/// The sets are null or have as many descriptors.
unsafe fn chosen(count: c_int, sets: &Sets) -> Option<Vec<libc::pollfd>> {
    let mut waited: Vec<libc::pollfd> = Vec::new();
    for fd in 0..count {
        let mut events = 0;
        for (set, event) in sets {
            // SAFETY: the caller's promise.
            if !set.is_null() && unsafe { is_in(*set, fd) } {
                events |= event;
            }
        }
        if events != 0 {
            waited.push(libc::pollfd {
                fd,
                events,
                revents: 0,
            });
        }
    }
    let any = waited.iter().any(|entry| v4l2::is_node(entry.fd));
    any.then_some(waited)
}

/// Waits for what was chosen, and leaves in the sets what is ready.
///
/// # Safety
/// As for [`chosen`].
unsafe fn wait_for_chosen(
    mut waited: Vec<libc::pollfd>,
    sets: &Sets,
    limit: Option<Duration>,
) -> c_int {
    if wait(&mut waited, limit, real_ppoll) < 0 {
        return -1;
    }
    let mut found = 0;
    for entry in &waited {
        for (set, event) in sets {
            if set.is_null() || entry.events & event == 0 {
                continue;
            }
            // An error counts as something to read or to write, an end as something to read.
            let also = match *event {
                libc::POLLIN => libc::POLLERR | libc::POLLHUP,
                libc::POLLOUT => libc::POLLERR,
                _ => 0,
            };
            if entry.revents & (event | also) != 0 {
                found += 1;
            } else {
                // SAFETY: the caller's set, and a descriptor that was in it.
                unsafe { take_out(*set, entry.fd) };
            }
        }
    }
    found
}

/// The C library's, which knows a node.
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn select(
    count: c_int,
    read: *mut libc::fd_set,
    write: *mut libc::fd_set,
    except: *mut libc::fd_set,
    time: *mut libc::timeval,
) -> c_int {
    let sets = sets(read, write, except);
    // SAFETY: the caller's promise.
    let Some(waited) = (unsafe { chosen(count, &sets) }) else {
        let real = real!(select: fn(
            c_int,
            *mut libc::fd_set,
            *mut libc::fd_set,
            *mut libc::fd_set,
            *mut libc::timeval,
        ) -> c_int);
        // SAFETY: the caller's promise.
        return unsafe { real(count, read, write, except, time) };
    };
    // SAFETY: null or the caller's.
    let limit = unsafe { time.as_ref() }.map(|time| {
        // More than a second of microseconds is taken, as the kernel takes it.
        let (more, micros) = (time.tv_usec / 1_000_000, time.tv_usec % 1_000_000);
        limit_of(time.tv_sec.saturating_add(more), micros * 1000)
    });
    match limit {
        Some(None) => fail(libc::EINVAL),
        // SAFETY: the caller's promise.
        limit => unsafe { wait_for_chosen(waited, &sets, limit.flatten()) },
    }
}

/// The C library's, which knows a node. The mask of signals is left alone where one is among them.
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pselect(
    count: c_int,
    read: *mut libc::fd_set,
    write: *mut libc::fd_set,
    except: *mut libc::fd_set,
    time: *const libc::timespec,
    mask: *const libc::sigset_t,
) -> c_int {
    let sets = sets(read, write, except);
    // SAFETY: the caller's promise.
    let Some(waited) = (unsafe { chosen(count, &sets) }) else {
        let real = real!(pselect: fn(
            c_int,
            *mut libc::fd_set,
            *mut libc::fd_set,
            *mut libc::fd_set,
            *const libc::timespec,
            *const libc::sigset_t,
        ) -> c_int);
        // SAFETY: the caller's promise.
        return unsafe { real(count, read, write, except, time, mask) };
    };
    // SAFETY: null or the caller's.
    let limit = unsafe { time.as_ref() }.map(|time| limit_of(time.tv_sec, time.tv_nsec));
    match limit {
        Some(None) => fail(libc::EINVAL),
        // SAFETY: the caller's promise.
        limit => unsafe { wait_for_chosen(waited, &sets, limit.flatten()) },
    }
}
