// SPDX-License-Identifier: MIT OR Apache-2.0
//! An open device node and the requests that it takes.
//!
//! Calls go through the C library and not through rustix, which enters the kernel by itself: a
//! double of the device that is preloaded answers in the C library's place.

use std::{
    fs::{File, OpenOptions},
    io,
    os::{
        fd::{AsRawFd, RawFd},
        unix::fs::OpenOptionsExt,
    },
    path::{Path, PathBuf},
    ptr::NonNull,
    slice,
    time::{Duration, Instant},
};

use super::raw::*;
use crate::Error;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ready {
    /// A CAPTURE buffer to dequeue.
    Capture,
    /// An OUTPUT buffer to dequeue.
    Output,
}

/// An open node, which is a session of its own with the driver.
#[derive(Debug)]
pub(super) struct Node {
    file: File,
    path: PathBuf,
}

impl Node {
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open(path)
            .map(|file| Self {
                file,
                path: path.into(),
            })
            .map_err(|error| Error::device(path, "open", &error))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    fn try_request<T: Plain>(&self, number: u32, value: &mut T) -> io::Result<()> {
        loop {
            // SAFETY: the requests of this file are made with the structure that their number has
            // the size of; what it points to is valid for the call.
            let result = unsafe { libc::ioctl(self.fd(), number as _, argument(value)) };
            if result != -1 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }

    fn request<T: Plain>(&self, call: &'static str, number: u32, v: &mut T) -> Result<(), Error> {
        self.try_request(number, v)
            .map_err(|error| Error::device(&self.path, call, &error))
    }

    pub(crate) fn capability(&self) -> Result<v4l2_capability, Error> {
        let mut capability = zeroed();
        self.request("VIDIOC_QUERYCAP", VIDIOC_QUERYCAP, &mut capability)?;
        Ok(capability)
    }

    /// Formats of a queue, as many as the driver enumerates: fourcc, flags, description.
    pub(crate) fn formats(&self, queue: u32) -> Vec<v4l2_fmtdesc> {
        (0..)
            .map_while(|index| {
                let mut description = v4l2_fmtdesc {
                    index,
                    type_: queue,
                    ..zeroed()
                };
                self.try_request(VIDIOC_ENUM_FMT, &mut description)
                    .ok()
                    .map(|()| description)
            })
            .take(256)
            .collect()
    }

    /// Sets the format of a multi-planar queue and answers what the driver made of it.
    pub(crate) fn set_format(
        &self,
        queue: u32,
        format: v4l2_pix_format_mplane,
    ) -> Result<v4l2_pix_format_mplane, Error> {
        let mut whole: v4l2_format = zeroed();
        whole.type_ = queue;
        whole.fmt.pix_mp = format;
        self.request("VIDIOC_S_FMT", VIDIOC_S_FMT, &mut whole)?;
        // SAFETY: plain numbers, for which any bits are valid.
        Ok(unsafe { whole.fmt.pix_mp })
    }

    /// Asks for buffers and answers how many there are.
    pub(crate) fn request_buffers(
        &self,
        queue: u32,
        memory: u32,
        count: u32,
    ) -> Result<u32, Error> {
        let mut request = v4l2_requestbuffers {
            count,
            type_: queue,
            memory,
            ..zeroed()
        };
        self.request("VIDIOC_REQBUFS", VIDIOC_REQBUFS, &mut request)?;
        Ok(request.count)
    }

    /// Maps the planes of a buffer of the driver's memory, from where the driver says they are.
    pub(crate) fn map(&self, queue: u32, index: u32, planes: usize) -> Result<Vec<Mapping>, Error> {
        let mut of_buffer = [zeroed::<v4l2_plane>(); VIDEO_MAX_PLANES];
        let mut buffer = buffer(queue, V4L2_MEMORY_MMAP, index, &mut of_buffer);
        self.request("VIDIOC_QUERYBUF", VIDIOC_QUERYBUF, &mut buffer)?;
        of_buffer
            .iter()
            .take(planes)
            .map(|plane| {
                // SAFETY: a buffer of MMAP memory has an offset.
                let offset = unsafe { plane.m.mem_offset };
                Mapping::new(self, offset, plane.length as usize)
            })
            .collect()
    }

    pub(crate) fn queue(&self, buffer: &mut v4l2_buffer) -> Result<(), Error> {
        self.request("VIDIOC_QBUF", VIDIOC_QBUF, buffer)
    }

    /// Takes a buffer back; false if there is none now.
    pub(crate) fn dequeue(&self, buffer: &mut v4l2_buffer) -> Result<bool, Error> {
        match self.try_request(VIDIOC_DQBUF, buffer) {
            Ok(()) => Ok(true),
            // EPIPE: the last buffer has been dequeued.
            Err(error)
                if error.kind() == io::ErrorKind::WouldBlock
                    || error.raw_os_error() == Some(libc::EPIPE) =>
            {
                Ok(false)
            }
            Err(error) => Err(Error::device(&self.path, "VIDIOC_DQBUF", &error)),
        }
    }

    pub(crate) fn stream_on(&self, mut queue: u32) -> Result<(), Error> {
        self.request("VIDIOC_STREAMON", VIDIOC_STREAMON, &mut queue)
    }

    pub(crate) fn stream_off(&self, mut queue: u32) -> Result<(), Error> {
        self.request("VIDIOC_STREAMOFF", VIDIOC_STREAMOFF, &mut queue)
    }

    /// What the driver says of a control, `None` if it has no such control.
    pub(crate) fn control(&self, id: u32) -> Option<v4l2_query_ext_ctrl> {
        let mut control = v4l2_query_ext_ctrl { id, ..zeroed() };
        self.try_request(VIDIOC_QUERY_EXT_CTRL, &mut control)
            .ok()
            .map(|()| control)
    }

    /// Every control there is.
    pub(crate) fn controls(&self) -> Vec<v4l2_query_ext_ctrl> {
        let mut controls = Vec::new();
        let mut id = V4L2_CTRL_FLAG_NEXT_CTRL;
        while let Some(control) = self.control(id).filter(|_| controls.len() < 1024) {
            id = control.id | V4L2_CTRL_FLAG_NEXT_CTRL;
            controls.push(control);
        }
        controls
    }

    pub(crate) fn set_control(&self, id: u32, value: i64) -> Result<(), Error> {
        let mut control = v4l2_ext_control {
            id,
            value,
            ..zeroed()
        };
        let mut controls = v4l2_ext_controls {
            count: 1,
            controls: &raw mut control,
            ..zeroed()
        };
        self.request("VIDIOC_S_EXT_CTRLS", VIDIOC_S_EXT_CTRLS, &mut controls)
    }

    pub(crate) fn get_control(&self, id: u32) -> Option<i32> {
        let mut control = v4l2_control { id, value: 0 };
        self.try_request(VIDIOC_G_CTRL, &mut control)
            .ok()
            .map(|()| control.value)
    }

    pub(crate) fn set_rate_control(&self, mut rate: v4l2_rate_control) -> Result<(), Error> {
        self.request(
            "VIDIOC_S_MVX_RATE_CONTROL",
            VIDIOC_S_MVX_RATE_CONTROL,
            &mut rate,
        )
    }

    /// Says which regions the next picture has.
    pub(crate) fn set_regions(&self, mut regions: v4l2_mvx_roi_regions) -> Result<(), Error> {
        self.request(
            "VIDIOC_S_MVX_ROI_REGIONS",
            VIDIOC_S_MVX_ROI_REGIONS,
            &mut regions,
        )
    }

    /// Asks for everything inside to be completed.
    pub(crate) fn stop(&self) -> Result<(), Error> {
        let mut command = v4l2_encoder_cmd {
            cmd: V4L2_ENC_CMD_STOP,
            ..zeroed()
        };
        self.request("VIDIOC_ENCODER_CMD", VIDIOC_ENCODER_CMD, &mut command)
    }

    /// Waits for `limit` at most. A device that reports an error counts as ready: the next request
    /// says what it is.
    pub(crate) fn wait(&self, ready: Ready, limit: Duration) -> Result<bool, Error> {
        let until = Instant::now() + limit;
        let mut left = limit;
        loop {
            let mut waited = libc::pollfd {
                fd: self.fd(),
                events: match ready {
                    Ready::Capture => libc::POLLIN,
                    Ready::Output => libc::POLLOUT,
                },
                revents: 0,
            };
            // Rounded up, so that the last wait of a limit is not many of none.
            let milliseconds = left.as_micros().div_ceil(1000).min(60_000) as i32;
            // SAFETY: one descriptor, ours and open.
            match unsafe { libc::poll(&mut waited, 1, milliseconds) } {
                -1 => {
                    let error = io::Error::last_os_error();
                    if error.kind() != io::ErrorKind::Interrupted {
                        return Err(Error::device(&self.path, "poll", &error));
                    }
                }
                0 if left.is_zero() => return Ok(false),
                0 => {}
                _ => return Ok(true),
            }
            left = until.saturating_duration_since(Instant::now());
        }
    }
}

/// A buffer's description with its planes, all zero but for what is given.
pub(super) fn buffer(
    queue: u32,
    memory: u32,
    index: u32,
    planes: &mut [v4l2_plane],
) -> v4l2_buffer {
    let mut buffer: v4l2_buffer = zeroed();
    buffer.index = index;
    buffer.type_ = queue;
    buffer.memory = memory;
    buffer.field = V4L2_FIELD_NONE;
    buffer.length = planes.len() as u32;
    buffer.m.planes = planes.as_mut_ptr();
    buffer
}

/// A plane of a buffer in this process' address space.
#[derive(Debug)]
pub(super) struct Mapping {
    address: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping belongs to the process, not to the thread that made it.
unsafe impl Send for Mapping {}
// SAFETY: through a shared one the bytes are read, but for the one owner of `bytes_of_owner`.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(node: &Node, offset: u32, len: usize) -> Result<Self, Error> {
        // SAFETY: a fresh mapping, wherever there is room.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                node.fd(),
                // It has 32 bits where the machine has: the kernel's offsets end at 2^31 (`DST_QUEUE_OFF_BASE` is 2^30).
                offset as libc::off_t,
            )
        };
        match NonNull::new(address.cast::<u8>()) {
            Some(begin) if address != libc::MAP_FAILED => Ok(Self {
                address: begin,
                len,
            }),
            _ => Err(Error::device(
                &node.path,
                "mmap",
                &io::Error::last_os_error(),
            )),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `len` bytes are mapped until the drop; the device does not write to a buffer
        // that is dequeued.
        unsafe { slice::from_raw_parts(self.address.as_ptr(), self.len) }
    }

    /// The bytes, for the one that the memory was given to.
    ///
    /// # Safety
    /// Nobody else reads or writes through this mapping while the slice lives.
    #[allow(
        clippy::mut_from_ref,
        reason = "the mapping is shared to keep it, not to use it"
    )]
    pub(crate) unsafe fn bytes_of_owner(&self) -> &mut [u8] {
        // SAFETY: `len` bytes are mapped until the drop, and the caller is alone with them.
        unsafe { slice::from_raw_parts_mut(self.address.as_ptr(), self.len) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above; the device does not read a buffer that is dequeued.
        unsafe { slice::from_raw_parts_mut(self.address.as_ptr(), self.len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the address and length of the mapping, of which no slice is left.
        unsafe { libc::munmap(self.address.as_ptr().cast(), self.len) };
    }
}

/// A string of the kernel's, which ends with a zero.
pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]).into_owned()
}
