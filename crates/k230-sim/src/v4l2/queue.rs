// SPDX-License-Identifier: MIT OR Apache-2.0
//! A queue of buffers, as videobuf2 keeps it: `videobuf2-core.c` and `videobuf2-v4l2.c` of Linux 6.6.

use std::{
    collections::{BTreeMap, VecDeque},
    os::fd::{AsFd, BorrowedFd},
    ptr::NonNull,
    sync::Arc,
};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use k230_venc::v4l2::raw::*;

use super::{uapi::*, user};

/// The most buffers of a queue (`VB2_MAX_FRAME`).
pub(super) const MOST_BUFFERS: usize = 32;

/// The size of the device's pages.
const PAGE: u64 = 4096;

/// Flags that videobuf2 keeps itself (`V4L2_BUFFER_MASK_FLAGS`).
const ITS_FLAGS: u32 = V4L2_BUF_FLAG_MAPPED
    | V4L2_BUF_FLAG_QUEUED
    | V4L2_BUF_FLAG_DONE
    | V4L2_BUF_FLAG_ERROR
    | V4L2_BUF_FLAG_PREPARED
    | V4L2_BUF_FLAG_IN_REQUEST
    | V4L2_BUF_FLAG_REQUEST_FD
    | V4L2_BUF_FLAG_TIMESTAMP_MASK;

/// Flags that mean something on an OUTPUT buffer alone (`V4L2_BUFFER_OUT_FLAGS`).
const OUTPUT_FLAGS: u32 = V4L2_BUF_FLAG_PFRAME
    | V4L2_BUF_FLAG_BFRAME
    | V4L2_BUF_FLAG_KEYFRAME
    | V4L2_BUF_FLAG_TIMECODE
    | V4L2_BUF_FLAG_M2M_HOLD_CAPTURE_BUF;

/// What of a buffer's flags the driver decides anew when it is done (`update_vb2_flags`). Others stay
/// as they were queued, those of parameter sets too.
const DONE_FLAGS: u32 = V4L2_BUF_FLAG_ERROR | V4L2_BUF_FLAG_KEYFRAME | V4L2_BUF_FLAG_LAST;

/// Where a plane's bytes are.
#[derive(Debug)]
pub(super) enum Memory {
    /// Mapped here: the driver's own, or a descriptor's that a program lent.
    Mapped { at: NonNull<u8>, len: usize },
    /// Read from an address of the program's when it was queued.
    Taken(Vec<u8>),
    /// At an address of the program's, to be written to.
    Lent { at: usize, len: usize },
}

// SAFETY: a mapping belongs to the process, not to the thread that made it.
unsafe impl Send for Memory {}
// SAFETY: as above; that a program leaves what it queued alone is V4L2's rule.
unsafe impl Sync for Memory {}

impl Memory {
    /// Maps `len` bytes of a descriptor from `offset` on.
    pub(crate) fn map(fd: BorrowedFd<'_>, len: usize, offset: u64) -> Option<Self> {
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
        Some(Self::Mapped { at, len })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            // SAFETY: `len` bytes are mapped until the drop; that a program leaves what it queued
            // alone is V4L2's rule.
            Self::Mapped { at, len } => unsafe { std::slice::from_raw_parts(at.as_ptr(), *len) },
            Self::Taken(bytes) => bytes,
            Self::Lent { .. } => &[],
        }
    }

    /// Writes `bytes` to the beginning, as many as have room. False where the memory is gone.
    pub(crate) fn write(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Mapped { at, len } => {
                let len = bytes.len().min(*len);
                // SAFETY: `len` bytes are mapped, and the buffer is the device's while it is queued.
                unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), at.as_ptr(), len) };
                true
            }
            Self::Lent { at, len } => {
                user::write_bytes(*at, &bytes[..bytes.len().min(*len)]).is_ok()
            }
            Self::Taken(_) => false,
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Self::Mapped { at, len } = self {
            // SAFETY: the address and length of the mapping, of which no slice is left.
            let _ = unsafe { munmap(at.as_ptr().cast(), *len) };
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Dequeued,
    Queued,
    Done,
    /// Done, and in error.
    Failed,
}

/// A plane as it was queued or is to be dequeued.
#[derive(Debug, Clone, Default)]
pub(super) struct Plane {
    /// The offset to map the driver's own memory at, without what tells the queues apart.
    pub offset: u32,
    /// What is there: the driver's length, or the program's.
    pub len: u32,
    /// The least that a program's memory has to have.
    pub least: u32,
    pub used: u32,
    pub data_offset: u32,
    pub memory: Option<Arc<Memory>>,
    /// Bytes of the pages that the device sees, of which the program may use fewer.
    pub room: u64,
    /// The descriptor that was lent, by the program's number for it.
    pub fd: i32,
    /// The address that was lent.
    pub address: usize,
    /// Which memory is attached, and how long it was said to be.
    pub attached: Option<(Attached, u32)>,
}

/// What tells pieces of lent memory apart, whatever numbers their descriptors have: device and
/// inode, for the kernel's `struct dma_buf`.
pub(super) type Attached = (u64, u64);

impl Plane {
    /// A plane of the driver's memory, or the place for one that will be lent.
    pub(crate) fn new(offset: u32, len: u32, memory: Option<Arc<Memory>>) -> Self {
        Self {
            offset,
            len,
            least: len,
            room: u64::from(len).next_multiple_of(PAGE),
            memory,
            fd: -1,
            ..Self::default()
        }
    }

    /// Whether what is filled and the begin again fit into the pages.
    fn has_room(&self) -> bool {
        u64::from(self.used) + u64::from(self.data_offset) <= self.room
    }

    /// Lets go of memory that was lent.
    fn detach(&mut self) {
        (self.memory, self.attached) = (None, None);
    }
}

#[derive(Debug)]
pub(super) struct Buffer {
    pub planes: Vec<Plane>,
    pub state: State,
    pub flags: u32,
    pub field: u32,
    /// Nanoseconds.
    pub timestamp: u64,
    pub timecode: v4l2_timecode,
    /// Regions of interest of a raw picture.
    pub regions: Vec<v4l2_buffer_param_region>,
}

/// One direction's buffers.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// `V4L2_BUF_TYPE_*`; 0 until there are buffers for the first time, when every request on the queue
    /// is one with a wrong type.
    pub kind: u32,
    /// The queue is not set up anew before there are buffers again, by the type that its port has then
    /// (`q_set`).
    pub is_set_up: bool,
    pub memory: u32,
    pub buffers: Vec<Buffer>,
    pub streaming: bool,
    /// With the device, oldest first.
    pub incoming: VecDeque<usize>,
    /// Back from it, oldest first.
    pub done: VecDeque<usize>,
    /// The last buffer of the stream was dequeued.
    pub ended: bool,
    /// The session failed while the queue was streaming.
    pub failed: bool,
    /// Nothing was queued since there are buffers, or since streaming was ended: a CAPTURE queue is
    /// nothing to wait for.
    pub idle: bool,
    /// Somebody waits in DQBUF.
    pub waited_for: bool,
    /// Goes up when every buffer is the program's again: what comes back later is for nobody.
    pub epoch: u64,
    /// Goes up with the buffers: mappings of former ones are nobody's.
    generation: u64,
    /// How often each plane of the driver's memory is mapped by the program, by offset.
    mappings: BTreeMap<u32, u32>,
}

pub(super) fn is_output(kind: u32) -> Result<bool, i32> {
    match kind {
        V4L2_BUF_TYPE_VIDEO_OUTPUT | V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE => Ok(true),
        V4L2_BUF_TYPE_VIDEO_CAPTURE | V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE => Ok(false),
        _ => Err(libc::EINVAL),
    }
}

/// Whether a type is one with several planes.
pub(super) fn is_multi(kind: u32) -> bool {
    matches!(
        kind,
        V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE | V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE
    )
}

fn nanoseconds(time: libc::timeval) -> u64 {
    (time.tv_sec as u64)
        .wrapping_mul(1_000_000_000)
        .wrapping_add((time.tv_usec as u64).wrapping_mul(1000))
}

fn timeval(nanoseconds: u64) -> libc::timeval {
    libc::timeval {
        tv_sec: (nanoseconds / 1_000_000_000) as libc::time_t,
        tv_usec: (nanoseconds % 1_000_000_000 / 1000) as libc::suseconds_t,
    }
}

/// What a program asks for a plane, from either shape of a buffer.
#[derive(Clone, Copy)]
struct Given {
    used: u32,
    len: u32,
    data_offset: u32,
    fd: i32,
    address: usize,
}

impl Given {
    const NOTHING: Self = Self {
        used: 0,
        len: 0,
        data_offset: 0,
        fd: -1,
        address: 0,
    };
}

impl Queue {
    /// As videobuf2 sees it, to which a queue that was never set up is none for pictures.
    pub(crate) fn is_output(&self) -> bool {
        is_output(self.kind).unwrap_or(false)
    }

    /// Forgets everything but the type, which the queue has until it is set up again.
    pub(crate) fn release(&mut self) {
        self.free();
        *self = Self {
            kind: self.kind,
            epoch: self.epoch,
            generation: self.generation,
            waited_for: self.waited_for,
            ..Self::default()
        };
    }

    /// Sets the queue up for buffers of a type, unless it is.
    pub(crate) fn set_up(&mut self, kind: u32) {
        if !self.is_set_up {
            (self.kind, self.is_set_up) = (kind, true);
        }
    }

    /// Gives the buffers back, which ends streaming.
    pub(crate) fn free(&mut self) {
        self.cancel();
        self.buffers.clear();
        self.mappings.clear();
        self.generation += 1;
    }

    pub(crate) fn complete(&mut self, index: usize, flags: u32) {
        if let Some(buffer) = self.buffers.get_mut(index) {
            buffer.state = if flags & V4L2_BUF_FLAG_ERROR == 0 {
                State::Done
            } else {
                State::Failed
            };
            buffer.flags = buffer.flags & !DONE_FLAGS | flags & !V4L2_BUF_FLAG_ERROR;
            self.done.push_back(index);
        }
    }

    /// Gives back what the driver does not hand to its firmware (`mvx_buffer_filled_set`): to what is filled, which
    /// has what is before a plane's begin in it, it adds that begin once more, and there is no room for that. True if
    /// anything is given back.
    pub(crate) fn give_back_what_has_no_room(&mut self) -> bool {
        let before = self.done.len();
        for index in std::mem::take(&mut self.incoming) {
            let Some(buffer) = self.buffers.get_mut(index) else {
                continue;
            };
            if buffer.planes.iter().all(Plane::has_room) {
                self.incoming.push_back(index);
            } else {
                buffer.state = State::Done;
                buffer.flags |= V4L2_BUF_FLAG_MVX_BUFFER_NEED_REALLOC;
                self.done.push_back(index);
            }
        }
        self.done.len() > before
    }

    /// Ends streaming: every buffer is the program's again.
    pub(crate) fn cancel(&mut self) {
        self.streaming = false;
        self.incoming.clear();
        self.done.clear();
        self.ended = false;
        self.failed = false;
        self.idle = !self.is_output();
        self.epoch += 1;
        for buffer in &mut self.buffers {
            buffer.state = State::Dequeued;
        }
    }

    /// Where the memory of the next buffer begins.
    pub(crate) fn next_offset(&self) -> u32 {
        let last = self.buffers.last().and_then(|buffer| buffer.planes.last());
        last.map_or(0, |plane| {
            plane
                .offset
                .saturating_add(plane.len.saturating_add(4095) & !4095)
        })
    }

    /// Whether the program may map a plane so (`vb2_mmap`).
    pub(crate) fn may_map(&self, offset: u32, len: usize, protection: i32, flags: i32) -> bool {
        let needed = if self.is_output() {
            libc::PROT_WRITE
        } else {
            libc::PROT_READ
        };
        let mut planes = self.buffers.iter().flat_map(|buffer| &buffer.planes);
        self.memory == V4L2_MEMORY_MMAP
            && flags & libc::MAP_SHARED != 0
            && protection & needed != 0
            && planes
                .find(|plane| plane.offset == offset)
                .is_some_and(|plane| len <= (plane.len as usize).next_multiple_of(4096))
    }

    /// The program has mapped a plane. What to say when it no longer has.
    pub(crate) fn mapped(&mut self, offset: u32) -> u64 {
        *self.mappings.entry(offset).or_default() += 1;
        self.generation
    }

    /// A mapping of these or of former buffers is gone.
    pub(crate) fn unmapped(&mut self, offset: u32, generation: u64) {
        if self.generation != generation {
            return;
        }
        if let Some(count) = self.mappings.get_mut(&offset) {
            *count -= 1;
            if *count == 0 {
                self.mappings.remove(&offset);
            }
        }
    }

    /// Whether a buffer of the program's is one of these: what every request checks of it
    /// (`vb2_querybuf`, `__verify_planes_array`).
    pub(crate) fn verify(&self, given: &v4l2_buffer, planes: usize) -> Result<&Buffer, i32> {
        if given.type_ != self.kind || self.kind == 0 {
            return Err(libc::EINVAL);
        }
        let buffer = self.buffers.get(given.index as usize).ok_or(libc::EINVAL)?;
        self.verify_planes(buffer, planes)?;
        Ok(buffer)
    }

    pub(crate) fn verify_planes(&self, buffer: &Buffer, planes: usize) -> Result<(), i32> {
        if is_multi(self.kind) && planes < buffer.planes.len() {
            return Err(libc::EINVAL);
        }
        Ok(())
    }

    /// Describes a buffer to the program (`__fill_v4l2_buffer`); as many planes as it has are there.
    pub(crate) fn describe(&self, index: usize, to: &mut v4l2_buffer, planes: &mut [v4l2_plane]) {
        let Some(buffer) = self.buffers.get(index) else {
            return;
        };
        to.index = index as u32;
        to.type_ = self.kind;
        to.memory = self.memory;
        to.bytesused = 0;
        to.field = buffer.field;
        to.timestamp = timeval(buffer.timestamp);
        to.timecode = buffer.timecode;
        // The driver counts neither pictures nor encoded buffers.
        to.sequence = 0;
        to.reserved2 = 0;
        to.request_fd = 0;
        let mapped = buffer
            .planes
            .iter()
            .any(|plane| self.mappings.contains_key(&plane.offset));
        to.flags = buffer.flags & !ITS_FLAGS
            | V4L2_BUF_FLAG_TIMESTAMP_COPY
            | match buffer.state {
                State::Dequeued => 0,
                State::Queued => V4L2_BUF_FLAG_QUEUED,
                State::Done => V4L2_BUF_FLAG_DONE,
                State::Failed => V4L2_BUF_FLAG_DONE | V4L2_BUF_FLAG_ERROR,
            };
        if mapped && self.memory == V4L2_MEMORY_MMAP {
            to.flags |= V4L2_BUF_FLAG_MAPPED;
        }
        if !is_multi(self.kind) {
            // Of a format of several planes the first is all that such a buffer shows.
            if let Some(plane) = buffer.planes.first() {
                to.length = plane.len;
                to.bytesused = plane.used;
                match self.memory {
                    V4L2_MEMORY_USERPTR => to.m.userptr = plane.address as _,
                    V4L2_MEMORY_DMABUF => to.m.fd = plane.fd,
                    _ => to.m.offset = plane.offset,
                }
            }
            return;
        }
        to.length = buffer.planes.len() as u32;
        for (plane, out) in buffer.planes.iter().zip(planes) {
            out.length = plane.len;
            out.bytesused = plane.used;
            out.data_offset = plane.data_offset;
            match self.memory {
                V4L2_MEMORY_USERPTR => out.m.userptr = plane.address as _,
                V4L2_MEMORY_DMABUF => out.m.fd = plane.fd,
                _ => out.m.mem_offset = plane.offset,
            }
            out.reserved = [0; 11];
        }
    }

    /// Takes a buffer from the program (`vb2_qbuf` as far as `__buf_prepare`). Its index.
    pub(crate) fn prepare(
        &mut self,
        given: &v4l2_buffer,
        planes: &[v4l2_plane],
        regions: Vec<v4l2_buffer_param_region>,
    ) -> Result<usize, i32> {
        let state = self.verify(given, planes.len())?.state;
        if given.memory != self.memory {
            return Err(libc::EINVAL);
        }
        let asked = self.asked(given, planes);
        if state == State::Dequeued {
            self.verify_length(given, &asked)?;
        }
        if given.flags & V4L2_BUF_FLAG_REQUEST_FD != 0 {
            // The queue has no requests (of the media controller).
            let queued = state != State::Dequeued;
            return Err(if queued { libc::EINVAL } else { libc::EBADR });
        }
        if self.failed {
            return Err(libc::EIO);
        }
        if state != State::Dequeued {
            return Err(libc::EINVAL);
        }
        let (memory, output) = (self.memory, self.is_output());
        let index = given.index as usize;
        let buffer = self.buffers.get_mut(index).ok_or(libc::EINVAL)?;
        let mut planes = buffer.planes.iter_mut().zip(&asked);
        let lent = planes.try_for_each(|(plane, asked)| match memory {
            V4L2_MEMORY_DMABUF => import(plane, asked.fd, asked.len),
            V4L2_MEMORY_USERPTR => lend(plane, asked.address, asked.len, output),
            _ => Ok(()),
        });
        if lent.is_err() {
            buffer.planes.iter_mut().for_each(Plane::detach);
            return lent.map(|()| index);
        }
        for (plane, asked) in buffer.planes.iter_mut().zip(asked) {
            plane.used = if output { asked.used } else { 0 };
            plane.data_offset = if output { asked.data_offset } else { 0 };
        }
        buffer.flags = given.flags & !ITS_FLAGS;
        if output {
            buffer.flags &= !V4L2_BUF_FLAG_M2M_HOLD_CAPTURE_BUF;
            buffer.field = given.field;
            buffer.timestamp = nanoseconds(given.timestamp);
            if given.flags & V4L2_BUF_FLAG_TIMECODE != 0 {
                buffer.timecode = given.timecode;
            }
            buffer.regions = regions;
        } else {
            buffer.flags &= !(OUTPUT_FLAGS | V4L2_BUF_FLAG_LAST | V4L2_BUF_FLAG_TSTAMP_SRC_MASK);
        }
        buffer.state = State::Queued;
        self.incoming.push_back(index);
        self.idle = false;
        Ok(index)
    }

    /// What the program asks for each plane that a buffer can have.
    fn asked(&self, given: &v4l2_buffer, planes: &[v4l2_plane]) -> [Given; VIDEO_MAX_PLANES] {
        let mut asked = [Given::NOTHING; VIDEO_MAX_PLANES];
        if !is_multi(self.kind) {
            // SAFETY: numbers, for which any bits are valid.
            let (fd, address) = unsafe { (given.m.fd, given.m.userptr as usize) };
            asked[0] = Given {
                used: given.bytesused,
                len: given.length,
                data_offset: 0,
                fd,
                address,
            };
            return asked;
        }
        for (to, plane) in asked.iter_mut().zip(planes) {
            // SAFETY: as above.
            let (fd, address) = unsafe { (plane.m.fd, plane.m.userptr as usize) };
            *to = Given {
                used: plane.bytesused,
                len: plane.length,
                data_offset: plane.data_offset,
                fd,
                address,
            };
        }
        asked
    }

    /// `__verify_length`, and the field of the picture.
    fn verify_length(&self, given: &v4l2_buffer, asked: &[Given]) -> Result<(), i32> {
        let Some(buffer) = self.buffers.get(given.index as usize) else {
            return Err(libc::EINVAL);
        };
        if !self.is_output() {
            return Ok(());
        }
        let multi = is_multi(self.kind);
        let shown = if multi { buffer.planes.len() } else { 1 };
        for (plane, asked) in buffer.planes.iter().zip(asked).take(shown) {
            let len = match self.memory {
                V4L2_MEMORY_USERPTR => asked.len,
                V4L2_MEMORY_DMABUF if multi => asked.len,
                _ => plane.len,
            };
            let used = if asked.used == 0 { len } else { asked.used };
            if asked.used > len || (asked.data_offset > 0 && asked.data_offset >= used) {
                return Err(libc::EINVAL);
            }
        }
        if given.field == V4L2_FIELD_ALTERNATE {
            return Err(libc::EINVAL);
        }
        Ok(())
    }
}

/// Maps the memory of a descriptor that is lent for a plane, as `__prepare_dmabuf` does: what is attached stays so for
/// as long as a program lends the same memory with the same length.
fn import(plane: &mut Plane, fd: i32, asked: u32) -> Result<(), i32> {
    if fd < 0 {
        return Err(libc::EINVAL);
    }
    // SAFETY: the program lends it for the call; one that is not open is an error of the calls here.
    let lent = unsafe { BorrowedFd::borrow_raw(fd) };
    let about = rustix::fs::fstat(lent).map_err(|_| libc::EINVAL)?;
    let size = size_of_memory(lent).ok_or(libc::EINVAL)?;
    // The whole of it, where the program says nothing.
    let len = if asked == 0 {
        u32::try_from(size).unwrap_or(u32::MAX)
    } else {
        asked
    };
    if len < plane.least {
        return Err(libc::EINVAL);
    }
    if u64::from(len) > size {
        return Err(libc::EFAULT);
    }
    let attached = Some(((about.st_dev, about.st_ino), len));
    if plane.memory.is_none() || plane.attached != attached {
        plane.detach();
        let imported = Memory::map(lent, len as usize, 0).ok_or(libc::EINVAL)?;
        (plane.memory, plane.attached) = (Some(Arc::new(imported)), attached);
    }
    plane.fd = fd;
    plane.len = len;
    plane.room = size.next_multiple_of(PAGE);
    Ok(())
}

/// The size of a descriptor's memory. Of DMA buffers the end of the file says it, of other memory
/// the file's size.
fn size_of_memory(fd: impl AsFd) -> Option<u64> {
    let size = rustix::fs::fstat(&fd).ok()?.st_size as u64;
    match size {
        0 => rustix::fs::seek(&fd, rustix::fs::SeekFrom::End(0)).ok(),
        size => Some(size),
    }
}

/// Takes the memory at an address that is lent for a plane.
fn lend(plane: &mut Plane, address: usize, len: u32, output: bool) -> Result<(), i32> {
    if len < plane.least {
        return Err(libc::EINVAL);
    }
    let memory = if output {
        Memory::Taken(user::read_bytes(address, len as usize)?)
    } else {
        user::reaches(address, len as usize)?;
        Memory::Lent {
            at: address,
            len: len as usize,
        }
    };
    plane.memory = Some(Arc::new(memory));
    plane.address = address;
    plane.len = len;
    let begin = address as u64 % PAGE;
    plane.room = (begin + u64::from(len)).next_multiple_of(PAGE);
    Ok(())
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

    fn plane() -> Plane {
        Plane {
            least: LEN,
            ..Plane::default()
        }
    }

    fn memory(plane: &Plane) -> Arc<Memory> {
        plane.memory.clone().expect("it is attached")
    }

    #[test]
    fn what_is_attached_stays_while_memory_and_length_do() {
        let mut plane = plane();
        let file = lent();
        import(&mut plane, file.as_raw_fd(), LEN).unwrap();
        let first = memory(&plane);
        import(&mut plane, file.as_raw_fd(), LEN).unwrap();
        assert!(Arc::ptr_eq(&first, &memory(&plane)));
        // It is the memory that counts, and not the number of its descriptor.
        let copy = file.try_clone().unwrap();
        import(&mut plane, copy.as_raw_fd(), LEN).unwrap();
        assert!(Arc::ptr_eq(&first, &memory(&plane)));
        assert_eq!(plane.fd, copy.as_raw_fd());

        import(&mut plane, file.as_raw_fd(), 2 * LEN).unwrap();
        assert!(!Arc::ptr_eq(&first, &memory(&plane)), "another length");
        let longer = memory(&plane);
        assert_eq!(longer.bytes().len(), 2 * LEN as usize);
        import(&mut plane, file.as_raw_fd(), 0).unwrap();
        assert!(Arc::ptr_eq(&longer, &memory(&plane)), "none is all of it");

        // Other memory has its number now.
        let mut other = lent();
        rustix::io::dup2(&file, &mut other).unwrap();
        import(&mut plane, other.as_raw_fd(), 2 * LEN).unwrap();
        assert!(Arc::ptr_eq(&longer, &memory(&plane)));
        rustix::io::dup2(lent(), &mut other).unwrap();
        import(&mut plane, other.as_raw_fd(), 2 * LEN).unwrap();
        assert!(!Arc::ptr_eq(&longer, &memory(&plane)), "other memory");
    }

    #[test]
    fn what_is_shorter_than_the_format_or_no_memory_is_refused() {
        let mut plane = plane();
        let file = lent();
        let short = import(&mut plane, file.as_raw_fd(), LEN - 1);
        assert_eq!(short, Err(libc::EINVAL));
        assert_eq!(import(&mut plane, -1, LEN), Err(libc::EINVAL));
        let (closed, _) = std::io::pipe().unwrap();
        assert_eq!(import(&mut plane, closed.as_raw_fd(), 0), Err(libc::EINVAL));
        assert!(plane.memory.is_none());
    }
}
