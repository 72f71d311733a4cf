// SPDX-License-Identifier: MIT OR Apache-2.0
//! The K230's V4L2 encoder by nothing but its requests: what a client cannot do with less.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;

use k230_venc::v4l2::raw::*;

const OUTPUT: u32 = V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE;
const CAPTURE: u32 = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
const ENCODED: u32 = 4;

/// A session that imports pictures of NV12, both planes in one buffer without gaps.
pub(crate) struct Session {
    node: File,
    luma: u32,
    /// Addresses and lengths of the encoded buffers, which stay mapped.
    encoded: Vec<(*const u8, usize)>,
}

// SAFETY: a mapping belongs to the process, not to the thread that made it.
unsafe impl Send for Session {}

fn request<T: Plain>(node: &File, number: u32, value: &mut T) {
    // SAFETY: the structure of the request's number, and what it points to lives for the call.
    let result = unsafe { libc::ioctl(node.as_raw_fd(), number as _, argument(value)) };
    assert_ne!(result, -1, "{}", std::io::Error::last_os_error());
}

fn buffer(queue: u32, memory: u32, index: u32, planes: &mut [v4l2_plane]) -> v4l2_buffer {
    let mut buffer: v4l2_buffer = zeroed();
    buffer.index = index;
    buffer.type_ = queue;
    buffer.memory = memory;
    buffer.length = planes.len() as u32;
    buffer.m.planes = planes.as_mut_ptr();
    buffer
}

impl Session {
    pub(crate) fn open(path: &str, width: u32, height: u32, pictures: u32) -> Self {
        let node = OpenOptions::new().read(true).write(true).open(path);
        let node = node.expect("the device opens");
        for (queue, code, planes) in [
            (OUTPUT, V4L2_PIX_FMT_NV12, 2),
            (CAPTURE, V4L2_PIX_FMT_H264, 1),
        ] {
            let mut format: v4l2_format = zeroed();
            format.type_ = queue;
            let mut picture: v4l2_pix_format_mplane = zeroed();
            (picture.width, picture.height) = (width, height);
            picture.pixelformat = code;
            picture.num_planes = planes;
            format.fmt.pix_mp = picture;
            request(&node, VIDIOC_S_FMT, &mut format);
        }
        for (queue, memory, count) in [
            (OUTPUT, V4L2_MEMORY_DMABUF, pictures),
            (CAPTURE, V4L2_MEMORY_MMAP, ENCODED),
        ] {
            let mut buffers: v4l2_requestbuffers = zeroed();
            (buffers.count, buffers.type_, buffers.memory) = (count, queue, memory);
            request(&node, VIDIOC_REQBUFS, &mut buffers);
            assert_eq!(buffers.count, count);
        }
        let mut session = Self {
            node,
            luma: width * height,
            encoded: Vec::new(),
        };
        for index in 0..ENCODED {
            let mut planes = [zeroed::<v4l2_plane>()];
            let mut described = buffer(CAPTURE, V4L2_MEMORY_MMAP, index, &mut planes);
            request(&session.node, VIDIOC_QUERYBUF, &mut described);
            let len = planes[0].length as usize;
            // SAFETY: a fresh mapping of what the driver describes.
            let at = unsafe {
                libc::mmap(
                    std::ptr::null_mut(),
                    len,
                    libc::PROT_READ,
                    libc::MAP_SHARED,
                    session.node.as_raw_fd(),
                    planes[0].m.mem_offset.into(),
                )
            };
            assert_ne!(at, libc::MAP_FAILED);
            session.encoded.push((at.cast(), len));
            session.queue_encoded(index);
        }
        for mut queue in [OUTPUT, CAPTURE] {
            request(&session.node, VIDIOC_STREAMON, &mut queue);
        }
        session
    }

    fn queue_encoded(&self, index: u32) {
        let mut planes = [zeroed::<v4l2_plane>()];
        let mut queued = buffer(CAPTURE, V4L2_MEMORY_MMAP, index, &mut planes);
        request(&self.node, VIDIOC_QBUF, &mut queued);
    }

    /// Encodes the picture at `fd` by the place `index`, and appends its stream to `into`.
    pub(crate) fn encode(&mut self, index: u32, fd: i32, microseconds: u64, into: &mut Vec<u8>) {
        let mut planes = [zeroed::<v4l2_plane>(); 2];
        for (n, plane) in planes.iter_mut().enumerate() {
            plane.m.fd = fd;
            plane.length = self.luma * 3 / 2;
            plane.data_offset = n as u32 * self.luma;
            plane.bytesused = plane.data_offset + self.luma / (1 + n as u32);
        }
        let mut queued = buffer(OUTPUT, V4L2_MEMORY_DMABUF, index, &mut planes);
        queued.timestamp.tv_sec = (microseconds / 1_000_000) as libc::time_t;
        queued.timestamp.tv_usec = (microseconds % 1_000_000) as libc::suseconds_t;
        request(&self.node, VIDIOC_QBUF, &mut queued);
        loop {
            let mut planes = [zeroed::<v4l2_plane>()];
            let mut taken = buffer(CAPTURE, V4L2_MEMORY_MMAP, 0, &mut planes);
            // The node is open for waiting.
            request(&self.node, VIDIOC_DQBUF, &mut taken);
            let (at, len) = self.encoded[taken.index as usize];
            let used = (planes[0].bytesused as usize).min(len);
            // SAFETY: `len` bytes are mapped there, and the buffer is ours until it is queued.
            into.extend_from_slice(unsafe { std::slice::from_raw_parts(at, used) });
            self.queue_encoded(taken.index);
            let header = V4L2_BUF_FLAG_MVX_CODEC_CONFIG;
            if taken.flags & header != header {
                break;
            }
        }
        let mut planes = [zeroed::<v4l2_plane>(); 2];
        let mut read = buffer(OUTPUT, V4L2_MEMORY_DMABUF, 0, &mut planes);
        request(&self.node, VIDIOC_DQBUF, &mut read);
    }
}
