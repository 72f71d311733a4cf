// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program's memory as the kernel reaches it: by copies, and a pointer that leads nowhere is an
//! error of the request and no crash.

use std::{
    ffi::c_void,
    sync::atomic::{AtomicBool, Ordering},
};

use k230_venc::v4l2::raw::{Plain, zeroed};

/// How much of a long range is copied at a time, so that a length that is made up costs no memory.
const STEP: usize = 1 << 20;

/// Whether the system lets a process copy its own memory by an address; some sandboxes and emulators
/// do not, and pointers are trusted there.
static CHECKED: AtomicBool = AtomicBool::new(true);

/// Copies `len` bytes between memory here and an address of the program's.
fn copy(here: *mut c_void, there: usize, len: usize, to_program: bool) -> Result<(), i32> {
    if len == 0 {
        return Ok(());
    }
    if there == 0 {
        return Err(libc::EFAULT);
    }
    let local = libc::iovec {
        iov_base: here,
        iov_len: len,
    };
    let remote = libc::iovec {
        iov_base: there as *mut c_void,
        iov_len: len,
    };
    if CHECKED.load(Ordering::Relaxed) {
        let process = std::process::id().cast_signed();
        // SAFETY: `here` has room for `len` bytes; the kernel checks the other address.
        let copied = unsafe {
            if to_program {
                libc::process_vm_writev(process, &local, 1, &remote, 1, 0)
            } else {
                libc::process_vm_readv(process, &local, 1, &remote, 1, 0)
            }
        };
        if copied >= 0 {
            return if copied as usize == len {
                Ok(())
            } else {
                Err(libc::EFAULT)
            };
        }
        let refused = std::io::Error::last_os_error().raw_os_error();
        if !matches!(refused, Some(libc::ENOSYS | libc::EPERM)) {
            return Err(libc::EFAULT);
        }
        CHECKED.store(false, Ordering::Relaxed);
    }
    // SAFETY: what the request's number says of its argument, which cannot be checked here.
    unsafe {
        if to_program {
            std::ptr::copy(here.cast::<u8>(), there as *mut u8, len);
        } else {
            std::ptr::copy(there as *const u8, here.cast::<u8>(), len);
        }
    }
    Ok(())
}

/// A structure of the program's.
pub(super) fn read<T: Plain>(at: *const c_void) -> Result<T, i32> {
    let mut value: T = zeroed();
    let here = (&raw mut value).cast();
    copy(here, at as usize, size_of::<T>(), false)?;
    Ok(value)
}

/// Writes a structure to where the program wants it.
pub(super) fn write<T: Plain>(at: *mut c_void, value: &T) -> Result<(), i32> {
    let here = std::ptr::from_ref(value).cast_mut().cast();
    copy(here, at as usize, size_of::<T>(), true)
}

/// Fills `to` from an array of the program's.
pub(super) fn read_array<T: Plain>(at: *const T, to: &mut [T]) -> Result<(), i32> {
    copy(to.as_mut_ptr().cast(), at as usize, size_of_val(to), false)
}

/// Writes an array to where the program has it.
pub(super) fn write_array<T: Plain>(at: *mut T, from: &[T]) -> Result<(), i32> {
    copy(
        from.as_ptr().cast_mut().cast(),
        at as usize,
        size_of_val(from),
        true,
    )
}

/// `len` bytes of the program's memory.
pub(super) fn read_bytes(at: usize, len: usize) -> Result<Vec<u8>, i32> {
    let mut bytes = Vec::new();
    while bytes.len() < len {
        let begin = bytes.len();
        let piece = STEP.min(len - begin);
        let from = at.checked_add(begin).ok_or(libc::EFAULT)?;
        bytes.resize(begin + piece, 0);
        copy(bytes[begin..].as_mut_ptr().cast(), from, piece, false)?;
    }
    Ok(bytes)
}

/// Whether the program has `len` bytes at an address: its first and its last are looked at.
pub(super) fn reaches(at: usize, len: usize) -> Result<(), i32> {
    let last = at.checked_add(len.saturating_sub(1)).ok_or(libc::EFAULT)?;
    let mut byte = 0u8;
    for place in [at, last] {
        copy((&raw mut byte).cast(), place, 1, false)?;
    }
    Ok(())
}

/// Writes bytes into the program's memory.
pub(super) fn write_bytes(at: usize, bytes: &[u8]) -> Result<(), i32> {
    copy(bytes.as_ptr().cast_mut().cast(), at, bytes.len(), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_that_leads_nowhere_is_an_error() {
        let mut number = 7u32;
        let at = &raw mut number;
        assert_eq!(read::<u32>(at.cast()), Ok(7));
        assert_eq!(write(at.cast(), &9u32), Ok(()));
        assert_eq!(number, 9);
        // The middle of 64 bits is nobody's; that of 32 may be the program's.
        let middle = cfg!(target_pointer_width = "64").then_some(usize::MAX / 2);
        for nowhere in [0usize, 1, 0x10, usize::MAX & !3].into_iter().chain(middle) {
            assert_eq!(read::<u32>(nowhere as *const c_void), Err(libc::EFAULT));
            assert_eq!(write(nowhere as *mut c_void, &9u32), Err(libc::EFAULT));
            assert_eq!(read_bytes(nowhere, usize::MAX / 4), Err(libc::EFAULT));
            assert_eq!(reaches(nowhere, 2), Err(libc::EFAULT));
        }
    }

    #[test]
    fn long_ranges_are_copied_whole() {
        let from: Vec<u8> = (0..3 * STEP + 5).map(|n| (n % 251) as u8).collect();
        assert_eq!(
            read_bytes(from.as_ptr() as usize, from.len()).as_ref(),
            Ok(&from)
        );
    }
}
