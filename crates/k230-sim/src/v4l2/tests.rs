// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the double answers, against what the driver's and the kernel's sources have.
#![allow(clippy::expect_used, clippy::panic, reason = "a failure ends the test")]

use std::{
    os::fd::{AsRawFd, OwnedFd},
    sync::{MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use k230_venc::v4l2::raw::*;

use super::{controls::CONTROLS, uapi::*, *};

mod buffers;
mod core;
mod settings;
mod streaming;

const OUTPUT: u32 = V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE;
const CAPTURE: u32 = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
const MMAP: u32 = V4L2_MEMORY_MMAP;
const USERPTR: u32 = V4L2_MEMORY_USERPTR;
const DMABUF: u32 = V4L2_MEMORY_DMABUF;

/// A patience that no test needs all of.
const SOON: Duration = Duration::from_secs(60);

/// Keeps the other tests of this process waiting: the open nodes share a priority and hear of each
/// other's ends.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An open node, whose streams take no time.
struct Node(RawFd);

impl Node {
    fn new() -> Self {
        Self::with("canned", true)
    }

    fn with(faults: &str, nonblocking: bool) -> Self {
        Self(open_with(Faults::parse(faults), nonblocking, true).expect("a node"))
    }

    /// A node with formats, of 64x32 pixels in NV12 and H.264.
    fn ready_for(faults: &str) -> Self {
        let node = Self::with(faults, true);
        node.set_format(OUTPUT, V4L2_PIX_FMT_NV12, (64, 32))
            .expect("raw");
        node.set_format(CAPTURE, V4L2_PIX_FMT_H264, (64, 32))
            .expect("encoded");
        node
    }

    fn request<T: Plain>(&self, number: u32, value: &mut T) -> Result<(), i32> {
        // SAFETY: the structure of the number, whose pointers the tests make as they like.
        unsafe { request(self.0, number, argument(value)) }.expect("a node")
    }

    fn set_format(
        &self,
        kind: u32,
        fourcc: u32,
        (width, height): (u32, u32),
    ) -> Result<v4l2_pix_format_mplane, i32> {
        let mut whole: v4l2_format = zeroed();
        whole.type_ = kind;
        let mut pix: v4l2_pix_format_mplane = zeroed();
        (pix.width, pix.height, pix.pixelformat) = (width, height, fourcc);
        whole.fmt.pix_mp = pix;
        self.request(VIDIOC_S_FMT, &mut whole)?;
        // SAFETY: numbers.
        Ok(unsafe { whole.fmt.pix_mp })
    }

    fn get_format(&self, kind: u32) -> v4l2_pix_format_mplane {
        let mut whole: v4l2_format = zeroed();
        whole.type_ = kind;
        self.request(VIDIOC_G_FMT, &mut whole).expect("a format");
        // SAFETY: numbers.
        unsafe { whole.fmt.pix_mp }
    }

    /// How many buffers there are, and the kinds of memory that the queue takes.
    fn request_buffers(&self, kind: u32, memory: u32, count: u32) -> Result<(u32, u32), i32> {
        let mut asked = v4l2_requestbuffers {
            count,
            type_: kind,
            memory,
            ..zeroed()
        };
        self.request(VIDIOC_REQBUFS, &mut asked)?;
        Ok((asked.count, asked.capabilities))
    }

    /// Where the new buffers begin, and how many there are of them.
    fn create_buffers(&self, kind: u32, memory: u32, count: u32) -> Result<(u32, u32), i32> {
        let mut asked: v4l2_create_buffers = zeroed();
        (asked.count, asked.memory) = (count, memory);
        asked.format.type_ = kind;
        asked.format.fmt.pix_mp = self.get_format(kind);
        self.request(VIDIOC_CREATE_BUFS, &mut asked)?;
        Ok((asked.index, asked.count))
    }

    fn stream(&self, kind: u32, on: bool) -> Result<(), i32> {
        let number = if on {
            VIDIOC_STREAMON
        } else {
            VIDIOC_STREAMOFF
        };
        self.request(number, &mut kind.clone())
    }

    fn stop(&self) -> Result<(), i32> {
        let mut command = v4l2_encoder_cmd {
            cmd: V4L2_ENC_CMD_STOP,
            ..zeroed()
        };
        self.request(VIDIOC_ENCODER_CMD, &mut command)
    }

    fn set_control(&self, id: u32, value: i32) -> Result<i32, i32> {
        let mut control = v4l2_control { id, value };
        self.request(VIDIOC_S_CTRL, &mut control)?;
        Ok(control.value)
    }

    fn get_control(&self, id: u32) -> Result<i32, i32> {
        let mut control = v4l2_control { id, value: 0 };
        self.request(VIDIOC_G_CTRL, &mut control)?;
        Ok(control.value)
    }

    fn subscribe(&self, kind: u32, id: u32, flags: u32) -> Result<(), i32> {
        let mut asked = v4l2_event_subscription {
            type_: kind,
            id,
            flags,
            ..zeroed()
        };
        self.request(VIDIOC_SUBSCRIBE_EVENT, &mut asked)
    }

    fn event(&self) -> Result<v4l2_event, i32> {
        let mut event = zeroed();
        self.request(VIDIOC_DQEVENT, &mut event)?;
        Ok(event)
    }

    fn ready(&self, events: i16) -> i16 {
        ready(self.0, events).expect("a node")
    }

    /// Waits for an event of `poll`'s.
    fn wait(&self, events: i16) {
        let found = wait_for(self.0, events, Some(SOON)).expect("a node");
        assert!(found & events != 0, "{found:#x}");
    }

    /// Both queues stream; `count` encoded buffers are with the device.
    fn start(&self, raw: u32, count: u32) {
        self.request_buffers(OUTPUT, raw, 4).expect("raw buffers");
        self.request_buffers(CAPTURE, MMAP, count)
            .expect("encoded buffers");
        for index in 0..count {
            Lent::new(CAPTURE, MMAP, index, 1)
                .queue(self)
                .expect("queued");
        }
        self.stream(OUTPUT, true).expect("on");
        self.stream(CAPTURE, true).expect("on");
    }

    /// The next encoded buffer.
    fn encoded(&self) -> Lent {
        self.wait(libc::POLLIN);
        let mut taken = Lent::new(CAPTURE, MMAP, 0, 1);
        taken.request(self, VIDIOC_DQBUF).expect("a buffer");
        taken
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        close(self.0);
        // SAFETY: the node's own descriptor, which nobody has any more.
        unsafe { libc::close(self.0) };
    }
}

/// A buffer in the program's hands.
#[derive(Clone)]
struct Lent {
    buffer: v4l2_buffer,
    planes: Vec<v4l2_plane>,
}

impl Lent {
    fn new(kind: u32, memory: u32, index: u32, planes: usize) -> Self {
        let mut buffer: v4l2_buffer = zeroed();
        (buffer.type_, buffer.memory, buffer.index) = (kind, memory, index);
        Self {
            buffer,
            planes: vec![zeroed(); planes],
        }
    }

    /// A picture of 64x32 pixels in NV12.
    fn picture(index: u32, seconds: libc::time_t) -> Self {
        let mut lent = Self::new(OUTPUT, MMAP, index, 2);
        lent.planes[0].bytesused = 64 * 32;
        lent.planes[1].bytesused = 64 * 16;
        lent.buffer.timestamp.tv_sec = seconds;
        lent
    }

    fn request(&mut self, node: &Node, number: u32) -> Result<(), i32> {
        if queue::is_multi(self.buffer.type_) {
            self.buffer.length = self.planes.len() as u32;
            self.buffer.m.planes = self.planes.as_mut_ptr();
        }
        node.request(number, &mut self.buffer)
    }

    fn queue(&mut self, node: &Node) -> Result<(), i32> {
        self.request(node, VIDIOC_QBUF)
    }

    fn offset(&self, plane: usize) -> u32 {
        // SAFETY: numbers.
        unsafe { self.planes[plane].m.mem_offset }
    }
}

/// Memory with a descriptor.
fn memory_file(len: u64) -> OwnedFd {
    let file = memfd_create("lent", MemfdFlags::CLOEXEC).expect("a file");
    rustix::fs::ftruncate(&file, len).expect("its size");
    file
}
