// SPDX-License-Identifier: MIT OR Apache-2.0
//! A queue of buffers, as videobuf2 keeps it.

use std::{collections::VecDeque, ptr::NonNull, sync::Arc};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use k230_venc::v4l2::raw::*;

/// Memory that a program lent, or that is mapped for it.
#[derive(Debug)]
pub(super) struct Memory {
    at: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping belongs to the process, not to the thread that made it.
unsafe impl Send for Memory {}
unsafe impl Sync for Memory {}

impl Memory {
    /// Maps `len` bytes of a descriptor from `offset` on.
    pub fn map(fd: std::os::fd::BorrowedFd<'_>, len: usize, offset: u64) -> Option<Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a fresh mapping, wherever there is room.
        let at = unsafe {
            mmap(
                std::ptr::null_mut(),
                len,
                protection,
                MapFlags::SHARED,
                fd,
                offset,
            )
        };
        let at = NonNull::new(at.ok()?.cast())?;
        Some(Self { at, len })
    }

    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `len` bytes are mapped until the drop; that a program leaves what it queued
        // alone is V4L2's rule.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.len) }
    }

    /// Writes `bytes` to the beginning, as many as have room.
    pub fn write(&self, bytes: &[u8]) {
        let len = bytes.len().min(self.len);
        // SAFETY: `len` bytes are mapped, and the buffer is the device's while it is queued.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.at.as_ptr(), len) };
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the address and length of the mapping, of which no slice is left.
        let _ = unsafe { munmap(self.at.as_ptr().cast(), self.len) };
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Dequeued,
    Queued,
    Done,
}

/// A plane as it was queued or is to be dequeued.
#[derive(Debug, Clone, Default)]
pub(super) struct Plane {
    /// The offset to map the driver's own memory at.
    pub offset: u32,
    pub len: u32,
    pub used: u32,
    pub data_offset: u32,
    pub memory: Option<Arc<Memory>>,
    /// The descriptor that was lent, and the program's number for it.
    pub fd: i32,
}

#[derive(Debug)]
pub(super) struct Buffer {
    pub planes: Vec<Plane>,
    pub state: State,
    pub flags: u32,
    pub timestamp: libc::timeval,
    pub sequence: u32,
    /// Regions of interest of a raw picture.
    pub regions: Vec<v4l2_buffer_param_region>,
}

/// One direction's buffers.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub kind: u32,
    pub memory: u32,
    pub buffers: Vec<Buffer>,
    pub streaming: bool,
    /// With the device, oldest first.
    pub incoming: VecDeque<usize>,
    /// Back from it, oldest first.
    pub done: VecDeque<usize>,
    /// The last buffer of the stream was dequeued.
    pub ended: bool,
    pub sequence: u32,
}

impl Queue {
    /// Whether the kind is one with several planes.
    pub fn multi(&self) -> bool {
        matches!(
            self.kind,
            V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE | V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE
        )
    }

    pub fn complete(&mut self, index: usize, flags: u32) {
        if let Some(buffer) = self.buffers.get_mut(index) {
            buffer.state = State::Done;
            buffer.flags = flags;
            buffer.sequence = self.sequence;
            self.sequence = self.sequence.wrapping_add(1);
            self.done.push_back(index);
        }
    }

    /// Ends streaming: every buffer is the program's again.
    pub fn cancel(&mut self) {
        self.streaming = false;
        self.incoming.clear();
        self.done.clear();
        self.ended = false;
        for buffer in &mut self.buffers {
            buffer.state = State::Dequeued;
        }
    }
}
