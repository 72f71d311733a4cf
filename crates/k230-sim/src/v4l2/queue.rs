// SPDX-License-Identifier: MIT OR Apache-2.0
//! A queue of buffers, as videobuf2 keeps it.

use std::{collections::VecDeque, os::fd::BorrowedFd, ptr::NonNull, sync::Arc};

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
    pub fn map(fd: BorrowedFd<'_>, len: usize, offset: u64) -> Option<Self> {
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
    /// The program's number for the memory that it lent.
    pub fd: i32,
    /// Which memory that is, and how long it was said to be.
    attached: Option<(Lent, u32)>,
}

/// What tells pieces of lent memory apart, whatever numbers their descriptors have: device and
/// inode, for the kernel's `struct dma_buf`.
type Lent = (u64, u64);

impl Plane {
    /// A plane of the driver's own memory, or of memory that is still to be lent.
    pub fn new(offset: u32, len: u32, memory: Option<Arc<Memory>>) -> Self {
        Self {
            offset,
            len,
            memory,
            fd: -1,
            ..Self::default()
        }
    }

    /// Imports the memory of descriptor `fd`, `len` bytes of it, as videobuf2's `__prepare_dmabuf` does: no length
    /// is all of it, less than the format's is refused, and what is attached stays so for as long as a
    /// program lends the same memory with the same length. `EINVAL` otherwise.
    pub fn import(&mut self, fd: i32, len: u32, least: u32) -> Result<(), i32> {
        if fd < 0 {
            return Err(libc::EINVAL);
        }
        // SAFETY: the program lends it for the call.
        let lent = unsafe { BorrowedFd::borrow_raw(fd) };
        let about = rustix::fs::fstat(lent).map_err(|_| libc::EINVAL)?;
        let size = u32::try_from(about.st_size).unwrap_or(u32::MAX);
        let len = if len == 0 { size } else { len };
        if len < least {
            return Err(libc::EINVAL);
        }
        self.fd = fd;
        let attached = Some(((about.st_dev, about.st_ino), len));
        if self.memory.is_none() || self.attached != attached {
            self.detach();
            let memory = Memory::map(lent, len as usize, 0).ok_or(libc::EINVAL)?;
            (self.memory, self.attached) = (Some(Arc::new(memory)), attached);
        }
        Ok(())
    }

    /// Lets go of memory that was lent.
    pub fn detach(&mut self) {
        (self.memory, self.attached) = (None, None);
    }
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

#[cfg(test)]
mod tests {
    use std::os::fd::{AsRawFd, OwnedFd};

    use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

    use super::*;

    const LEN: u32 = 4096;

    fn lent() -> OwnedFd {
        let fd = memfd_create("lent", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&fd, 2 * u64::from(LEN)).unwrap();
        fd
    }

    fn memory(plane: &Plane) -> Arc<Memory> {
        plane.memory.clone().expect("it is attached")
    }

    #[test]
    fn what_is_attached_stays_while_memory_and_length_do() {
        let mut plane = Plane::new(0, LEN, None);
        let file = lent();
        plane.import(file.as_raw_fd(), LEN, LEN).unwrap();
        let first = memory(&plane);
        plane.import(file.as_raw_fd(), LEN, LEN).unwrap();
        assert!(Arc::ptr_eq(&first, &memory(&plane)));
        // It is the memory that counts, and not the number of its descriptor.
        let copy = file.try_clone().unwrap();
        plane.import(copy.as_raw_fd(), LEN, LEN).unwrap();
        assert!(Arc::ptr_eq(&first, &memory(&plane)));
        assert_eq!(plane.fd, copy.as_raw_fd());

        plane.import(file.as_raw_fd(), 2 * LEN, LEN).unwrap();
        assert!(!Arc::ptr_eq(&first, &memory(&plane)), "another length");
        let longer = memory(&plane);
        assert_eq!(longer.bytes().len(), 2 * LEN as usize);
        plane.import(file.as_raw_fd(), 0, LEN).unwrap();
        assert!(Arc::ptr_eq(&longer, &memory(&plane)), "none is all of it");

        // Other memory has its number now.
        let mut other = lent();
        rustix::io::dup2(&file, &mut other).unwrap();
        plane.import(other.as_raw_fd(), 2 * LEN, LEN).unwrap();
        assert!(Arc::ptr_eq(&longer, &memory(&plane)));
        rustix::io::dup2(lent(), &mut other).unwrap();
        plane.import(other.as_raw_fd(), 2 * LEN, LEN).unwrap();
        assert!(!Arc::ptr_eq(&longer, &memory(&plane)), "other memory");
    }

    #[test]
    fn what_is_shorter_than_the_format_or_no_memory_is_refused() {
        let mut plane = Plane::new(0, LEN, None);
        let file = lent();
        let short = plane.import(file.as_raw_fd(), LEN - 1, LEN);
        assert_eq!(short, Err(libc::EINVAL));
        assert_eq!(plane.import(-1, LEN, LEN), Err(libc::EINVAL));
        let (closed, _) = std::io::pipe().unwrap();
        assert_eq!(plane.import(closed.as_raw_fd(), 0, LEN), Err(libc::EINVAL));
        assert!(plane.memory.is_none());
    }
}
