// SPDX-License-Identifier: MIT OR Apache-2.0
//! The C library's `syscall`, by which libv4l2 reaches devices: it stands in front of the C library's functions itself.

use std::{
    ffi::{c_char, c_int, c_long, c_uint, c_ulong, c_void},
    mem,
    sync::atomic::{AtomicPtr, Ordering},
};

#[cfg(target_pointer_width = "64")]
use super::mmap64;
use super::{close, ioctl, munmap, paths};

/// The C library's, which knows a node.
///
/// # Safety
/// As for the C library's, which takes what follows the number as six words, however many there are.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn syscall(
    number: c_long,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> c_long {
    // SAFETY: the caller's promise: the functions take the calls' arguments in their order, and answer as the calls do.
    let answer = unsafe {
        match number {
            libc::SYS_openat => {
                paths::openat(a as c_int, b as *const c_char, c as c_int, d as c_uint)
            }
            #[cfg(target_arch = "x86_64")]
            libc::SYS_open => paths::open(a as *const c_char, b as c_int, c as c_uint),
            libc::SYS_close => close(a as c_int),
            libc::SYS_ioctl => ioctl(a as c_int, b as c_ulong, c as *mut c_void),
            libc::SYS_munmap => munmap(a as *mut c_void, b),
            #[cfg(target_pointer_width = "64")]
            libc::SYS_mmap => {
                let (at, protection, flags) = (a as *mut c_void, c as c_int, d as c_int);
                return mmap64(at, b, protection, flags, e as c_int, f as libc::off64_t) as c_long;
            }
            _ => return others(number, [a, b, c, d, e, f]),
        }
    };
    answer.into()
}

/// Every other call, among them those that this library's own locks wait by.
///
/// # Safety
/// As for the C library's.
unsafe fn others(number: c_long, [a, b, c, d, e, f]: [usize; 6]) -> c_long {
    let real = real!(syscall: fn(c_long, usize, usize, usize, usize, usize, usize) -> c_long);
    // SAFETY: the caller's promise.
    unsafe { real(number, a, b, c, d, e, f) }
}
