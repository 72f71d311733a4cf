// SPDX-License-Identifier: MIT OR Apache-2.0
//! What programs that this element starts inherit. Knows no GStreamer.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// Has the program that `command` starts inherit its standard streams and no other descriptor. Ours
/// are closed when it starts, but this process has those of others, C libraries among them.
pub(crate) fn inherit_only_standard_streams(command: &mut Command) {
    // SAFETY: runs in the child between fork and exec, where other threads' locks may be held for
    // ever: it makes system calls on integers and neither allocates nor takes a lock.
    unsafe {
        command.pre_exec(|| {
            const FIRST: libc::c_uint = 3;
            let flags = libc::CLOSE_RANGE_CLOEXEC;
            if libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, flags) != 0 {
                // Before Linux 5.11, as on the K230. Its limit is 1024 by default.
                let limit = libc::sysconf(libc::_SC_OPEN_MAX).clamp(0, 65_536);
                for fd in FIRST as libc::c_int..limit as libc::c_int {
                    libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
                }
            }
            Ok(())
        });
    }
}
