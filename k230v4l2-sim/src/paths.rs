// SPDX-License-Identifier: MIT OR Apache-2.0
//! The C library's functions that take a path: they open the node, describe it and list it in `/dev`.

use std::{
    ffi::{CStr, CString, c_char, c_int, c_uint, c_void},
    mem,
    sync::{
        LazyLock,
        atomic::{AtomicPtr, Ordering},
    },
};

use gstkendryte::k230venc::hosted;
use k230_sim::v4l2;

use super::{fail, report};

/// The node's path. It is asked for once, as every path of a program comes by here.
fn node() -> &'static str {
    static NODE: LazyLock<String> = LazyLock::new(v4l2::node);
    &NODE
}

/// Whether that is the node's path.
///
/// # Safety
/// The path is null or a string.
unsafe fn is_node(path: *const c_char) -> bool {
    // SAFETY: the caller's promise.
    unsafe { is_node_at(libc::AT_FDCWD, path) }
}

/// Whether a program names the node: by its path, or by its name in `/dev`, which it is in or has open.
///
/// # Safety
/// The path is null or a string.
unsafe fn is_node_at(directory: c_int, path: *const c_char) -> bool {
    if path.is_null() {
        return false;
    }
    // SAFETY: the caller's promise.
    let path = unsafe { CStr::from_ptr(path) }.to_bytes();
    if path.starts_with(b"/") {
        return path == node().as_bytes();
    }
    let name = node().strip_prefix("/dev/");
    if name.is_none_or(|name| name.as_bytes() != path) {
        return false;
    }
    let place = match directory {
        libc::AT_FDCWD => "/proc/self/cwd".to_owned(),
        open => format!("/proc/self/fd/{open}"),
    };
    std::fs::read_link(place).is_ok_and(|it| it.as_os_str() == "/dev")
}

/// Whether a program means a node that it has open, by no path.
///
/// # Safety
/// The path is null or a string.
unsafe fn is_open_node(fd: c_int, path: *const c_char, flags: c_int) -> bool {
    // SAFETY: the caller's promise.
    let is_empty = path.is_null() || unsafe { CStr::from_ptr(path) }.is_empty();
    is_empty && flags & libc::AT_EMPTY_PATH != 0 && v4l2::is_node(fd)
}

fn open_node(flags: c_int) -> c_int {
    k230_sim::set_encoder(hosted::for_double);
    k230_sim::report_to(report);
    v4l2::open(flags & libc::O_NONBLOCK != 0, flags & libc::O_CLOEXEC != 0).unwrap_or_else(fail)
}

/// Functions that open a path; the mode that may follow is passed on whatever it is.
macro_rules! opens {
    ($($name:ident)*) => {
        $(
            /// The C library's, or the node.
            ///
            /// # Safety
            /// As for the C library's.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $name(
                path: *const c_char,
                flags: c_int,
                mode: c_uint,
            ) -> c_int {
                // SAFETY: the caller's promise.
                if unsafe { is_node(path) } {
                    return open_node(flags);
                }
                let real = real!($name: fn(*const c_char, c_int, c_uint) -> c_int);
                // SAFETY: the caller's promise.
                unsafe { real(path, flags, mode) }
            }
        )*
    };
}

opens! { open open64 __open_2 __open64_2 }

macro_rules! opens_at {
    ($($name:ident)*) => {
        $(
            /// The C library's, or the node.
            ///
            /// # Safety
            /// As for the C library's.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $name(
                directory: c_int,
                path: *const c_char,
                flags: c_int,
                mode: c_uint,
            ) -> c_int {
                // SAFETY: the caller's promise.
                if unsafe { is_node_at(directory, path) } {
                    return open_node(flags);
                }
                let real = real!($name: fn(c_int, *const c_char, c_int, c_uint) -> c_int);
                // SAFETY: the caller's promise.
                unsafe { real(directory, path, flags, mode) }
            }
        )*
    };
}

opens_at! { openat openat64 __openat_2 __openat64_2 }

/// What a program may do with the node: read and write it.
fn may(mode: c_int) -> c_int {
    match mode & libc::X_OK {
        0 => 0,
        _ => fail(libc::EACCES),
    }
}

/// Functions that ask what may be done with a path.
macro_rules! asks {
    ($($name:ident)*) => {
        $(
            /// The C library's; the node may be read and written.
            ///
            /// # Safety
            /// As for the C library's.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $name(path: *const c_char, mode: c_int) -> c_int {
                // SAFETY: the caller's promise.
                if unsafe { is_node(path) } {
                    return may(mode);
                }
                let real = real!($name: fn(*const c_char, c_int) -> c_int);
                // SAFETY: the caller's promise.
                unsafe { real(path, mode) }
            }
        )*
    };
}

asks! { access euidaccess eaccess }

/// The C library's; the node may be read and written.
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn faccessat(
    directory: c_int,
    path: *const c_char,
    mode: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: the caller's promise.
    if unsafe { is_node_at(directory, path) || is_open_node(directory, path, flags) } {
        return may(mode);
    }
    let real = real!(faccessat: fn(c_int, *const c_char, c_int, c_int) -> c_int);
    // SAFETY: the caller's promise.
    unsafe { real(directory, path, mode, flags) }
}

/// The node's numbers as a character device: V4L2's major, and a minor that no kernel gives.
const DEVICE: (c_uint, c_uint) = (81, 1023);

/// A character device, which its owner and its group may read and write.
const MODE: libc::mode_t = libc::S_IFCHR | 0o660;

/// Describes the node, in one of the C library's structures.
macro_rules! describe {
    ($to:expr) => {{
        let to = $to;
        // SAFETY: numbers, which may be zero.
        *to = unsafe { mem::zeroed() };
        to.st_mode = MODE;
        to.st_nlink = 1;
        to.st_rdev = libc::makedev(DEVICE.0, DEVICE.1);
    }};
}

/// Functions that describe a path.
macro_rules! stats {
    ($($name:ident($stat:ident))*) => {
        $(
            /// The C library's; the node is a character device.
            ///
            /// # Safety
            /// As for the C library's.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $name(path: *const c_char, to: *mut libc::$stat) -> c_int {
                // SAFETY: the caller's promise.
                if let (true, Some(to)) = unsafe { (is_node(path), to.as_mut()) } {
                    describe!(to);
                    return 0;
                }
                let real = real!($name: fn(*const c_char, *mut libc::$stat) -> c_int);
                // SAFETY: the caller's promise.
                unsafe { real(path, to) }
            }
        )*
    };
}

stats! { stat(stat) stat64(stat64) lstat(stat) lstat64(stat64) }

/// Functions that describe a descriptor.
macro_rules! describes {
    ($($name:ident($stat:ident))*) => {
        $(
            /// The C library's; a node's descriptor is of a character device.
            ///
            /// # Safety
            /// As for the C library's.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $name(fd: c_int, to: *mut libc::$stat) -> c_int {
                let real = real!($name: fn(c_int, *mut libc::$stat) -> c_int);
                // SAFETY: the caller's promise.
                let answer = unsafe { real(fd, to) };
                if answer == 0
                    && v4l2::is_node(fd)
                    // SAFETY: the C library has written to it.
                    && let Some(to) = unsafe { to.as_mut() }
                {
                    describe!(to);
                }
                answer
            }
        )*
    };
}

describes! { fstat(stat) fstat64(stat64) }

/// Functions that describe a path from a directory.
macro_rules! stats_at {
    ($($name:ident($stat:ident))*) => {
        $(
            /// The C library's; the node is a character device.
            ///
            /// # Safety
            /// As for the C library's.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $name(
                directory: c_int,
                path: *const c_char,
                to: *mut libc::$stat,
                flags: c_int,
            ) -> c_int {
                // SAFETY: the caller's promise.
                let is_node = unsafe {
                    is_node_at(directory, path) || is_open_node(directory, path, flags)
                };
                // SAFETY: the caller's promise.
                if let (true, Some(to)) = (is_node, unsafe { to.as_mut() }) {
                    describe!(to);
                    return 0;
                }
                let real = real!($name: fn(
                    c_int,
                    *const c_char,
                    *mut libc::$stat,
                    c_int,
                ) -> c_int);
                // SAFETY: the caller's promise.
                unsafe { real(directory, path, to, flags) }
            }
        )*
    };
}

stats_at! { fstatat(stat) fstatat64(stat64) }

/// The C library's; the node is a character device.
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn statx(
    directory: c_int,
    path: *const c_char,
    flags: c_int,
    mask: c_uint,
    to: *mut libc::statx,
) -> c_int {
    // SAFETY: the caller's promise.
    let is_node = unsafe { is_node_at(directory, path) || is_open_node(directory, path, flags) };
    // SAFETY: the caller's promise.
    if let (true, Some(to)) = (is_node, unsafe { to.as_mut() }) {
        // SAFETY: numbers, which may be zero.
        *to = unsafe { mem::zeroed() };
        to.stx_mask = libc::STATX_BASIC_STATS;
        to.stx_mode = MODE as u16;
        to.stx_nlink = 1;
        (to.stx_rdev_major, to.stx_rdev_minor) = DEVICE;
        return 0;
    }
    let real = real!(statx: fn(c_int, *const c_char, c_int, c_uint, *mut libc::statx) -> c_int);
    // SAFETY: the caller's promise.
    unsafe { real(directory, path, flags, mask, to) }
}

/// Names under which programs that were linked before glibc 2.33 describe files. Their first argument tells what
/// the structure is, of which there is one where a pointer has 64 bits.
#[cfg(target_pointer_width = "64")]
mod before_2_33 {
    use super::{c_char, c_int};

    macro_rules! old {
        ($($old:ident = $new:ident($($argument:ident: $type:ty),*);)*) => {
            $(
                /// What is called otherwise now.
                ///
                /// # Safety
                /// As for the C library's.
                #[unsafe(no_mangle)]
                pub(crate) unsafe extern "C" fn $old(_version: c_int, $($argument: $type),*) -> c_int {
                    // SAFETY: the caller's promise.
                    unsafe { super::$new($($argument),*) }
                }
            )*
        };
    }

    old! {
        __xstat = stat(path: *const c_char, to: *mut libc::stat);
        __xstat64 = stat64(path: *const c_char, to: *mut libc::stat64);
        __lxstat = lstat(path: *const c_char, to: *mut libc::stat);
        __lxstat64 = lstat64(path: *const c_char, to: *mut libc::stat64);
        __fxstat = fstat(fd: c_int, to: *mut libc::stat);
        __fxstat64 = fstat64(fd: c_int, to: *mut libc::stat64);
        __fxstatat = fstatat(directory: c_int, path: *const c_char, to: *mut libc::stat, flags: c_int);
        __fxstatat64 = fstatat64(directory: c_int, path: *const c_char, to: *mut libc::stat64, flags: c_int);
    }
}

/// Functions that ask for a path's extended attribute, as `ls -l` does for access control lists.
macro_rules! attributes {
    ($($name:ident)*) => {
        $(
            /// The C library's; the node has none.
            ///
            /// # Safety
            /// As for the C library's.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $name(
                path: *const c_char,
                attribute: *const c_char,
                to: *mut c_void,
                room: usize,
            ) -> isize {
                // SAFETY: the caller's promise.
                if unsafe { is_node(path) } {
                    return fail(libc::ENODATA) as isize;
                }
                let real = real!($name: fn(*const c_char, *const c_char, *mut c_void, usize) -> isize);
                // SAFETY: the caller's promise.
                unsafe { real(path, attribute, to, room) }
            }
        )*
    };
}

attributes! { getxattr lgetxattr }

/// The C library's; the node is no link.
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn readlink(
    path: *const c_char,
    to: *mut c_char,
    room: usize,
) -> isize {
    // SAFETY: the caller's promise.
    unsafe { readlinkat(libc::AT_FDCWD, path, to, room) }
}

/// The C library's; the node is no link.
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn readlinkat(
    directory: c_int,
    path: *const c_char,
    to: *mut c_char,
    room: usize,
) -> isize {
    // SAFETY: the caller's promise.
    if unsafe { is_node_at(directory, path) } {
        return fail(libc::EINVAL) as isize;
    }
    let real = real!(readlinkat: fn(c_int, *const c_char, *mut c_char, usize) -> isize);
    // SAFETY: the caller's promise.
    unsafe { real(directory, path, to, room) }
}

/// The C library's; the node's path has no links.
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn realpath(path: *const c_char, to: *mut c_char) -> *mut c_char {
    // SAFETY: the caller's promise.
    if unsafe { is_node(path) }
        && let Ok(node) = CString::new(node())
    {
        // SAFETY: a string, and room for any path if there is some.
        return unsafe {
            match to.is_null() {
                true => libc::strdup(node.as_ptr()),
                false => libc::strcpy(to, node.as_ptr()),
            }
        };
    }
    let real = real!(realpath: fn(*const c_char, *mut c_char) -> *mut c_char);
    // SAFETY: the caller's promise.
    unsafe { real(path, to) }
}

/// The C library's `realpath` in programs that are built to check their arrays.
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn __realpath_chk(
    path: *const c_char,
    to: *mut c_char,
    _room: usize,
) -> *mut c_char {
    // SAFETY: the caller's promise.
    unsafe { realpath(path, to) }
}

/// Functions that open a file of the C library's.
macro_rules! opens_file {
    ($($name:ident)*) => {
        $(
            /// The C library's; what sysfs says of the node is here too, which tells programs what
            /// kind of device it is.
            ///
            /// # Safety
            /// As for the C library's.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $name(
                path: *const c_char,
                mode: *const c_char,
            ) -> *mut libc::FILE {
                // SAFETY: the caller's promise.
                if let Some(text) = unsafe { event(path) } {
                    return file_of(&text);
                }
                let real = real!($name: fn(*const c_char, *const c_char) -> *mut libc::FILE);
                // SAFETY: the caller's promise.
                unsafe { real(path, mode) }
            }
        )*
    };
}

opens_file! { fopen fopen64 }

/// What the node's `uevent` file says, if that is the path.
///
/// # Safety
/// The path is null or a string.
unsafe fn event(path: *const c_char) -> Option<String> {
    if path.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    let path = unsafe { CStr::from_ptr(path) }.to_bytes();
    if !path.starts_with(b"/sys/dev/char/") {
        return None;
    }
    let (major, minor) = DEVICE;
    if path != format!("/sys/dev/char/{major}:{minor}/uevent").as_bytes() {
        return None;
    }
    // Programs tell the kind of a device by a name of the kernel's own making.
    Some(format!(
        "MAJOR={major}\nMINOR={minor}\nDEVNAME=video{minor}\n"
    ))
}

/// A file with a descriptor, which some read from by themselves.
fn file_of(text: &str) -> *mut libc::FILE {
    // SAFETY: a name, bytes as many as there are, and the descriptor that was just made.
    unsafe {
        let fd = libc::memfd_create(c"uevent".as_ptr(), libc::MFD_CLOEXEC);
        libc::write(fd, text.as_ptr().cast(), text.len());
        libc::lseek(fd, 0, libc::SEEK_SET);
        libc::fdopen(fd, c"r".as_ptr())
    }
}

/// The last listing of `/dev` that a program has begun.
static LISTING: AtomicPtr<libc::DIR> = AtomicPtr::new(std::ptr::null_mut());

/// The C library's; a listing of `/dev` has the node at its end.
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn opendir(path: *const c_char) -> *mut libc::DIR {
    let real = real!(opendir: fn(*const c_char) -> *mut libc::DIR);
    // SAFETY: the caller's promise.
    let directory = unsafe { real(path) };
    // SAFETY: null or a string.
    let name = (!path.is_null()).then(|| unsafe { CStr::from_ptr(path) }.to_bytes());
    if !directory.is_null() && matches!(name, Some(b"/dev" | b"/dev/")) {
        LISTING.store(directory, Ordering::SeqCst);
    }
    directory
}

/// The node as an entry of `/dev`, if that is where it is.
fn entry() -> *mut libc::dirent64 {
    let node = node();
    let Some(name) = node.strip_prefix("/dev/") else {
        return std::ptr::null_mut();
    };
    // SAFETY: numbers and characters, which may be zero.
    let mut entry: libc::dirent64 = unsafe { mem::zeroed() };
    entry.d_ino = 1;
    entry.d_type = libc::DT_CHR;
    entry.d_reclen = mem::size_of::<libc::dirent64>() as u16;
    for (to, from) in entry.d_name.iter_mut().zip(name.bytes().take(255)) {
        *to = from as c_char;
    }
    // Kept for good, as a program may look at it as long as it likes.
    Box::leak(Box::new(entry))
}

/// `struct dirent` and `struct dirent64` are the same where a pointer has 64 bits.
macro_rules! reads {
    ($($name:ident)*) => {
        $(
            /// The C library's, and at the end of `/dev` the node.
            ///
            /// # Safety
            /// As for the C library's.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $name(directory: *mut libc::DIR) -> *mut libc::dirent64 {
                let real = real!($name: fn(*mut libc::DIR) -> *mut libc::dirent64);
                // SAFETY: the caller's promise.
                let found = unsafe { real(directory) };
                let last = found.is_null()
                    && LISTING
                        .compare_exchange(
                            directory,
                            std::ptr::null_mut(),
                            Ordering::SeqCst,
                            Ordering::SeqCst,
                        )
                        .is_ok();
                if last { entry() } else { found }
            }
        )*
    };
}

reads! { readdir readdir64 }
