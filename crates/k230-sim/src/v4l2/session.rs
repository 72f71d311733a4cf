// SPDX-License-Identifier: MIT OR Apache-2.0
//! A session: what the driver does with each request of one open node.

use std::{
    collections::VecDeque,
    os::fd::{BorrowedFd, RawFd},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use k230_venc::{Codec, PixelFormat, v4l2::raw::*};

use super::{
    controls::{CONTROLS, Control, Values},
    faults::{Faults, falls_on},
    journal,
    queue::{Buffer, Memory, Plane, Queue, State},
};
use crate::ffi::lock;

/// Added to the offsets of the stream's buffers, so that `mmap` tells the queues apart
/// (`DST_QUEUE_OFF_BASE`).
const STREAM_BASE: u32 = 1 << 30;

/// The most buffers of a queue (`VB2_MAX_FRAME`).
const MOST_BUFFERS: u32 = 32;

/// A request's answer: nothing, or the number of an error.
pub(super) type Answer = Result<(), i32>;

/// What S_FMT left behind.
#[derive(Clone, Copy)]
pub(super) struct PortFormat {
    pub fourcc: u32,
    pub width: u32,
    pub height: u32,
    pub planes: usize,
    pub strides: [u32; 3],
    pub sizes: [u32; 3],
}

pub(super) struct Inner {
    pub raw: Queue,
    pub stream: Queue,
    pub raw_format: PortFormat,
    pub stream_format: PortFormat,
    pub values: Values,
    /// Those of the picture that is queued next with the flag for it.
    regions: Vec<v4l2_buffer_param_region>,
    /// Pictures that were queued.
    pictures: u32,
    /// Every picture before this was queued; set by the stop command and by an empty picture.
    pub ending: bool,
    /// What every request answers from now on.
    pub broken: Option<i32>,
    pub closed: bool,
    events: VecDeque<u32>,
    subscribed: bool,
    requests: u32,
}

/// One open node.
pub(super) struct Session {
    /// The program's descriptor, which is a memory file with the buffers in it.
    fd: RawFd,
    pub faults: Faults,
    pub inner: Mutex<Inner>,
    pub changed: Condvar,
    worker: Mutex<Option<JoinHandle<()>>>,
}

/// A raw format, with how its planes differ.
fn raw_format(fourcc: u32) -> Option<(PixelFormat, usize)> {
    let format = match fourcc {
        V4L2_PIX_FMT_NV12 => PixelFormat::Nv12,
        V4L2_PIX_FMT_UYVY => PixelFormat::Uyvy,
        V4L2_PIX_FMT_NV21 => PixelFormat::Nv21,
        V4L2_PIX_FMT_YUV420M => PixelFormat::I420,
        V4L2_PIX_FMT_YUYV => PixelFormat::Yuy2,
        V4L2_PIX_FMT_RGB24 => PixelFormat::Rgb,
        V4L2_PIX_FMT_BGR24 => PixelFormat::Bgr,
        V4L2_PIX_FMT_ARGB32 => PixelFormat::Argb,
        V4L2_PIX_FMT_ABGR32 => PixelFormat::Bgra,
        _ => return None,
    };
    Some((format, format.planes()))
}

pub(super) fn codec(fourcc: u32) -> Option<Codec> {
    match fourcc {
        V4L2_PIX_FMT_H264 => Some(Codec::H264),
        V4L2_PIX_FMT_HEVC => Some(Codec::H265),
        V4L2_PIX_FMT_JPEG | V4L2_PIX_FMT_MJPEG => Some(Codec::Jpeg),
        _ => None,
    }
}

/// What both queues enumerate: the driver asks its formats without regard to which is raw.
const FORMATS: [(u32, bool, &str); 13] = [
    (V4L2_PIX_FMT_H264, true, "H.264"),
    (V4L2_PIX_FMT_HEVC, true, "HEVC"),
    (V4L2_PIX_FMT_JPEG, true, "JPEG"),
    (V4L2_PIX_FMT_MJPEG, true, "MJPEG"),
    (V4L2_PIX_FMT_YUV420M, false, "Planar YUV 4:2:0 (N-C)"),
    (V4L2_PIX_FMT_NV12, false, "Y/CbCr 4:2:0"),
    (V4L2_PIX_FMT_NV21, false, "Y/CrCb 4:2:0 (N-C)"),
    (V4L2_PIX_FMT_YUYV, false, "YYUV 4:2:2"),
    (V4L2_PIX_FMT_UYVY, false, "UYVY 4:2:2"),
    (V4L2_PIX_FMT_ARGB32, false, "32-bit ARGB 8-8-8-8"),
    (V4L2_PIX_FMT_ABGR32, false, "32-bit BGRA 8-8-8-8"),
    (V4L2_PIX_FMT_RGB24, false, "24-bit RGB 8-8-8"),
    (V4L2_PIX_FMT_BGR24, false, "24-bit BGR 8-8-8"),
];

fn copy_text(to: &mut [u8], text: &str) {
    to.fill(0);
    let len = text.len().min(to.len() - 1);
    to[..len].copy_from_slice(&text.as_bytes()[..len]);
}

fn is_output(kind: u32) -> Result<bool, i32> {
    match kind {
        V4L2_BUF_TYPE_VIDEO_OUTPUT | V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE => Ok(true),
        V4L2_BUF_TYPE_VIDEO_CAPTURE | V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE => Ok(false),
        _ => Err(libc::EINVAL),
    }
}

impl Inner {
    fn queue(&mut self, output: bool) -> &mut Queue {
        if output {
            &mut self.raw
        } else {
            &mut self.stream
        }
    }

    /// Writes a picture that was queued into the journal.
    fn note_picture(&mut self, index: usize) {
        if let Some(buffer) = self.raw.buffers.get(index) {
            journal::write(&journal::Entry {
                number: self.pictures,
                fourcc: self.raw_format.fourcc,
                memory: self.raw.memory,
                flags: buffer.flags,
                timestamp: buffer.timestamp,
                regions: &buffer.regions,
            });
        }
        self.pictures = self.pictures.wrapping_add(1);
    }

    fn format(&self, output: bool) -> PortFormat {
        if output {
            self.raw_format
        } else {
            self.stream_format
        }
    }
}

impl Session {
    pub fn new(fd: RawFd, faults: Faults) -> Self {
        let nothing = PortFormat {
            fourcc: V4L2_PIX_FMT_NV12,
            width: 0,
            height: 0,
            planes: 1,
            strides: [0; 3],
            sizes: [0; 3],
        };
        Self {
            fd,
            faults,
            inner: Mutex::new(Inner {
                raw: Queue::default(),
                stream: Queue::default(),
                raw_format: nothing,
                stream_format: PortFormat {
                    fourcc: V4L2_PIX_FMT_H264,
                    ..nothing
                },
                values: Values::default(),
                regions: Vec::new(),
                pictures: 0,
                ending: false,
                broken: None,
                closed: false,
                events: VecDeque::new(),
                subscribed: false,
                requests: 0,
            }),
            changed: Condvar::new(),
            worker: Mutex::new(None),
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    /// Whether the program wants to wait.
    fn blocks(&self) -> bool {
        // SAFETY: the program has the descriptor open while it makes requests on it.
        let fd = unsafe { BorrowedFd::borrow_raw(self.fd) };
        rustix::fs::fcntl_getfl(fd).is_ok_and(|flags| !flags.contains(rustix::fs::OFlags::NONBLOCK))
    }

    /// Answers a request.
    ///
    /// # Safety
    /// `argument` points to the structure of the request's number.
    pub unsafe fn request(
        self: &Arc<Self>,
        number: u32,
        argument: *mut std::ffi::c_void,
    ) -> Answer {
        {
            let mut inner = self.lock();
            inner.requests = inner.requests.wrapping_add(1);
            if falls_on(self.faults.interrupt_every, inner.requests) {
                return Err(libc::EINTR);
            }
            if let Some(error) = inner.broken.filter(|error| *error == libc::ENODEV) {
                return Err(error);
            }
        }
        /// The structure behind the argument.
        macro_rules! of {
            ($type:ty) => {
                // SAFETY: the caller's promise; null is answered like an address that is not
                // the program's.
                unsafe { argument.cast::<$type>().as_mut() }.ok_or(libc::EFAULT)?
            };
        }
        match number {
            VIDIOC_QUERYCAP => self.capability(of!(v4l2_capability)),
            VIDIOC_ENUM_FMT => self.enumerate_format(of!(v4l2_fmtdesc)),
            VIDIOC_ENUM_FRAMESIZES => self.enumerate_size(of!(v4l2_frmsizeenum)),
            VIDIOC_G_FMT => self.get_format(of!(v4l2_format)),
            VIDIOC_S_FMT => self.set_format(of!(v4l2_format), true),
            VIDIOC_TRY_FMT => self.set_format(of!(v4l2_format), false),
            VIDIOC_REQBUFS => self.request_buffers(of!(v4l2_requestbuffers)),
            VIDIOC_QUERYBUF => {
                let buffer = of!(v4l2_buffer);
                // SAFETY: planes are the program's, as many as it says.
                unsafe { self.query_buffer(buffer) }
            }
            VIDIOC_QBUF => {
                let buffer = of!(v4l2_buffer);
                // SAFETY: as above.
                unsafe { self.queue_buffer(buffer) }
            }
            VIDIOC_DQBUF => {
                let buffer = of!(v4l2_buffer);
                // SAFETY: as above.
                unsafe { self.dequeue_buffer(buffer) }
            }
            VIDIOC_STREAMON => self.stream_on(*of!(u32)),
            VIDIOC_STREAMOFF => self.stream_off(*of!(u32)),
            VIDIOC_ENCODER_CMD => self.command(of!(v4l2_encoder_cmd)),
            VIDIOC_TRY_ENCODER_CMD => match of!(v4l2_encoder_cmd).cmd {
                V4L2_ENC_CMD_STOP => Ok(()),
                _ => Err(libc::EINVAL),
            },
            VIDIOC_SUBSCRIBE_EVENT => self.subscribe(of!(v4l2_event_subscription).type_),
            VIDIOC_UNSUBSCRIBE_EVENT => {
                self.lock().subscribed = false;
                Ok(())
            }
            VIDIOC_DQEVENT => self.dequeue_event(of!(v4l2_event)),
            VIDIOC_QUERYCTRL => self.query_control(of!(v4l2_queryctrl)),
            VIDIOC_QUERY_EXT_CTRL => self.query_ext_control(of!(v4l2_query_ext_ctrl)),
            VIDIOC_QUERYMENU => query_menu(of!(v4l2_querymenu)),
            VIDIOC_G_CTRL => {
                let control = of!(v4l2_control);
                control.value = self.get_control(control.id)? as i32;
                Ok(())
            }
            VIDIOC_S_CTRL => {
                let control = of!(v4l2_control);
                self.set_control(control.id, control.value.into())
            }
            VIDIOC_G_EXT_CTRLS | VIDIOC_S_EXT_CTRLS | VIDIOC_TRY_EXT_CTRLS => {
                let controls = of!(v4l2_ext_controls);
                // SAFETY: the controls are the program's, as many as it says.
                unsafe { self.ext_controls(number, controls) }
            }
            VIDIOC_S_MVX_RATE_CONTROL if !self.faults.no_controls => {
                self.lock().values.set_rate(*of!(v4l2_rate_control));
                Ok(())
            }
            VIDIOC_S_MVX_ROI_REGIONS if !self.faults.no_controls => {
                self.set_regions(of!(v4l2_mvx_roi_regions))
            }
            // EXPBUF, S_PARM, S_SELECTION and the like are not there.
            _ => Err(libc::ENOTTY),
        }
    }

    fn set_regions(&self, asked: &v4l2_mvx_roi_regions) -> Answer {
        let count = if asked.roi_present == 0 {
            0
        } else {
            usize::from(asked.num_roi)
        };
        let Some(regions) = asked.roi.get(..count) else {
            // mvx_v4l2_session_set_roi_regions would read, and write, behind its arrays.
            log::error!("mvx: {count} regions where {} have room", asked.roi.len());
            return Err(libc::EINVAL);
        };
        self.lock().regions = regions.to_vec();
        Ok(())
    }

    fn capability(&self, capability: &mut v4l2_capability) -> Answer {
        *capability = zeroed();
        copy_text(&mut capability.driver, "mvx");
        copy_text(&mut capability.card, "Linlon Video device");
        copy_text(&mut capability.bus_info, "platform:mvx");
        capability.version = 6 << 16 | 6 << 8;
        capability.device_caps = V4L2_CAP_VIDEO_M2M
            | V4L2_CAP_VIDEO_M2M_MPLANE
            | V4L2_CAP_EXT_PIX_FORMAT
            | V4L2_CAP_STREAMING;
        capability.capabilities = capability.device_caps | V4L2_CAP_DEVICE_CAPS;
        Ok(())
    }

    fn enumerate_format(&self, description: &mut v4l2_fmtdesc) -> Answer {
        is_output(description.type_)?;
        let (fourcc, compressed, text) = FORMATS
            .get(description.index as usize)
            .ok_or(libc::EINVAL)?;
        description.flags = u32::from(*compressed);
        description.pixelformat = *fourcc;
        copy_text(&mut description.description, text);
        Ok(())
    }

    fn enumerate_size(&self, size: &mut v4l2_frmsizeenum) -> Answer {
        let known = FORMATS
            .iter()
            .any(|(fourcc, ..)| *fourcc == size.pixel_format);
        if !known || size.index != 0 {
            return Err(libc::EINVAL);
        }
        // V4L2_FRMSIZE_TYPE_STEPWISE
        size.type_ = 3;
        size.stepwise = [2, 32768, 2, 2, 32768, 2];
        Ok(())
    }

    fn write_format(&self, format: PortFormat, whole: &mut v4l2_format) {
        let multi = matches!(
            whole.type_,
            V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE | V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE
        );
        if !multi {
            whole.fmt.pix = v4l2_pix_format {
                width: format.width,
                height: format.height,
                pixelformat: format.fourcc,
                field: V4L2_FIELD_NONE,
                bytesperline: format.strides[0],
                sizeimage: format.sizes.iter().sum(),
                ..zeroed()
            };
            return;
        }
        let mut answer: v4l2_pix_format_mplane = zeroed();
        answer.width = format.width;
        answer.height = format.height;
        answer.pixelformat = format.fourcc;
        answer.field = V4L2_FIELD_NONE;
        answer.num_planes = format.planes as u8;
        for plane in 0..format.planes {
            answer.plane_fmt[plane].bytesperline = format.strides[plane];
            answer.plane_fmt[plane].sizeimage = format.sizes[plane];
        }
        whole.fmt.pix_mp = answer;
    }

    fn get_format(&self, whole: &mut v4l2_format) -> Answer {
        let format = self.lock().format(is_output(whole.type_)?);
        self.write_format(format, whole);
        Ok(())
    }

    fn set_format(&self, whole: &mut v4l2_format, keep: bool) -> Answer {
        let output = is_output(whole.type_)?;
        let multi = matches!(
            whole.type_,
            V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE | V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE
        );
        // SAFETY: plain numbers, for which any bits are valid.
        let (fourcc, width, height, sizes, strides) = unsafe {
            if multi {
                let asked = whole.fmt.pix_mp;
                let planes = asked.plane_fmt;
                (
                    asked.pixelformat,
                    asked.width,
                    asked.height,
                    [0, 1, 2].map(|n: usize| planes[n].sizeimage),
                    [0, 1, 2].map(|n: usize| planes[n].bytesperline),
                )
            } else {
                let asked = whole.fmt.pix;
                (
                    asked.pixelformat,
                    asked.width,
                    asked.height,
                    [asked.sizeimage, 0, 0],
                    [asked.bytesperline, 0, 0],
                )
            }
        };
        let mut inner = self.lock();
        if keep && !inner.queue(output).buffers.is_empty() {
            return Err(libc::EBUSY);
        }
        let format = if output {
            self.raw_port(fourcc, width, height, strides)?
        } else {
            // The stream's size is that of the pictures.
            let (width, height) = match (inner.raw_format.width, inner.raw_format.height) {
                (0, 0) => (width, height),
                known => known,
            };
            stream_port(fourcc, width, height, sizes[0])?
        };
        if keep {
            inner.queue(output).kind = whole.type_;
            if output {
                inner.raw_format = format;
            } else {
                inner.stream_format = format;
            }
        }
        drop(inner);
        self.write_format(format, whole);
        Ok(())
    }

    fn raw_port(
        &self,
        fourcc: u32,
        width: u32,
        height: u32,
        asked: [u32; 3],
    ) -> Result<PortFormat, i32> {
        let (format, planes) = raw_format(fourcc).ok_or(libc::EINVAL)?;
        let (width, height) = (width.min(16384), height.min(16384));
        let mut port = PortFormat {
            fourcc,
            width,
            height,
            planes,
            strides: [0; 3],
            sizes: [0; 3],
        };
        for (plane, asked) in asked.iter().enumerate().take(planes) {
            let row = format.row_bytes(plane, width) as u32;
            port.strides[plane] = if self.faults.short_strides {
                row / 2
            } else {
                (*asked).max(row) + self.faults.stride
            };
            port.sizes[plane] = port.strides[plane] * format.rows(plane, height) as u32;
        }
        Ok(port)
    }

    fn request_buffers(&self, request: &mut v4l2_requestbuffers) -> Answer {
        let output = is_output(request.type_)?;
        let import = request.memory != V4L2_MEMORY_MMAP;
        if import && (self.faults.no_dmabuf || request.memory != V4L2_MEMORY_DMABUF || !output) {
            return Err(libc::EINVAL);
        }
        request.capabilities = V4L2_BUF_CAP_SUPPORTS_MMAP
            | V4L2_BUF_CAP_SUPPORTS_USERPTR
            | V4L2_BUF_CAP_SUPPORTS_DMABUF;
        let mut inner = self.lock();
        let format = inner.format(output);
        let queue = inner.queue(output);
        if queue.streaming {
            return Err(libc::EBUSY);
        }
        queue.cancel();
        queue.buffers.clear();
        queue.memory = request.memory;
        queue.kind = request.type_;
        if request.count == 0 {
            return Ok(());
        }
        request.count = if self.faults.one_buffer {
            1
        } else {
            request.count.min(MOST_BUFFERS)
        };
        let base = if output { 0 } else { STREAM_BASE };
        let mut offset = base;
        for _ in 0..request.count {
            let mut planes = Vec::new();
            for plane in 0..format.planes {
                let len = format.sizes[plane].max(1);
                let memory = if import {
                    None
                } else {
                    Some(self.map(offset, len).ok_or(libc::ENOMEM)?)
                };
                planes.push(Plane::new(offset, len, memory));
                offset += len.next_multiple_of(4096);
            }
            queue.buffers.push(Buffer {
                planes,
                state: State::Dequeued,
                flags: 0,
                timestamp: libc::timeval {
                    tv_sec: 0,
                    tv_usec: 0,
                },
                sequence: 0,
                regions: Vec::new(),
            });
        }
        Ok(())
    }

    fn map(&self, offset: u32, len: u32) -> Option<Arc<Memory>> {
        // SAFETY: the program has the descriptor open while it makes requests on it.
        let fd = unsafe { BorrowedFd::borrow_raw(self.fd) };
        let end = u64::from(offset) + u64::from(len.next_multiple_of(4096));
        if rustix::fs::fstat(fd).is_ok_and(|stat| (stat.st_size as u64) < end) {
            rustix::fs::ftruncate(fd, end).ok()?;
        }
        Memory::map(fd, len as usize, offset.into()).map(Arc::new)
    }

    /// Describes a buffer to the program.
    ///
    /// # Safety
    /// The planes are the program's, as many as it says.
    unsafe fn describe(queue: &Queue, index: usize, to: &mut v4l2_buffer) -> Answer {
        let buffer = queue.buffers.get(index).ok_or(libc::EINVAL)?;
        to.index = index as u32;
        to.flags = buffer.flags & !(V4L2_BUF_FLAG_QUEUED | V4L2_BUF_FLAG_DONE)
            | V4L2_BUF_FLAG_TIMESTAMP_COPY
            | match buffer.state {
                State::Dequeued => 0,
                State::Queued => V4L2_BUF_FLAG_QUEUED,
                State::Done => V4L2_BUF_FLAG_DONE,
            };
        to.field = V4L2_FIELD_NONE;
        to.timestamp = buffer.timestamp;
        to.sequence = buffer.sequence;
        to.memory = queue.memory;
        if !queue.multi() {
            let plane = buffer.planes.first().ok_or(libc::EINVAL)?;
            to.length = plane.len;
            to.bytesused = plane.used;
            to.m.offset = plane.offset;
            return Ok(());
        }
        if (to.length as usize) < buffer.planes.len() {
            return Err(libc::EINVAL);
        }
        to.length = buffer.planes.len() as u32;
        // SAFETY: the caller's promise.
        let planes = unsafe { to.m.planes };
        if planes.is_null() {
            return Err(libc::EFAULT);
        }
        for (n, plane) in buffer.planes.iter().enumerate() {
            // SAFETY: as many as there are, by the check above.
            let out = unsafe { &mut *planes.add(n) };
            out.length = plane.len;
            out.bytesused = plane.used;
            out.data_offset = plane.data_offset;
            if queue.memory == V4L2_MEMORY_DMABUF {
                out.m.fd = plane.fd;
            } else {
                out.m.mem_offset = plane.offset;
            }
        }
        Ok(())
    }

    /// # Safety
    /// As for [`describe`](Self::describe).
    unsafe fn query_buffer(&self, buffer: &mut v4l2_buffer) -> Answer {
        let output = is_output(buffer.type_)?;
        let mut inner = self.lock();
        let index = buffer.index as usize;
        // SAFETY: the caller's promise.
        unsafe { Self::describe(inner.queue(output), index, buffer) }
    }

    /// # Safety
    /// As for [`describe`](Self::describe).
    unsafe fn queue_buffer(&self, given: &mut v4l2_buffer) -> Answer {
        let output = is_output(given.type_)?;
        let mut inner = self.lock();
        if let Some(error) = inner.broken {
            return Err(error);
        }
        let regions = match given.flags & V4L2_BUF_FLAG_MVX_BUFFER_ROI {
            0 => Vec::new(),
            _ if output => std::mem::take(&mut inner.regions),
            _ => Vec::new(),
        };
        let queue = inner.queue(output);
        let (kind, memory, multi) = (queue.kind, queue.memory, queue.multi());
        let buffer = queue
            .buffers
            .get_mut(given.index as usize)
            .ok_or(libc::EINVAL)?;
        if kind != given.type_ || memory != given.memory || buffer.state != State::Dequeued {
            return Err(libc::EINVAL);
        }
        if multi && (given.length as usize) < buffer.planes.len() {
            return Err(libc::EINVAL);
        }
        let mut refused = Ok(());
        for (n, plane) in buffer.planes.iter_mut().enumerate() {
            if !multi {
                plane.used = given.bytesused;
                continue;
            }
            // SAFETY: as many planes as the buffer has, by the check above.
            let of_program = unsafe { &*given.m.planes.add(n) };
            plane.used = of_program.bytesused;
            plane.data_offset = of_program.data_offset;
            if memory == V4L2_MEMORY_DMABUF {
                // SAFETY: the queue's memory says that it is a descriptor.
                let fd = unsafe { of_program.m.fd };
                refused = refused.and(plane.import(fd, of_program.length, plane.len));
            }
        }
        if refused.is_err() {
            buffer.planes.iter_mut().for_each(Plane::detach);
            return refused;
        }
        buffer.state = State::Queued;
        buffer.flags = given.flags;
        if output {
            buffer.timestamp = given.timestamp;
            buffer.regions = regions;
        } else {
            // V4L2_BUFFER_OUT_FLAGS of videobuf2.
            buffer.flags &= !(V4L2_BUF_FLAG_KEYFRAME | V4L2_BUF_FLAG_PFRAME | V4L2_BUF_FLAG_BFRAME);
        }
        queue.incoming.push_back(given.index as usize);
        if output {
            inner.note_picture(given.index as usize);
        }
        self.changed.notify_all();
        Ok(())
    }

    /// # Safety
    /// As for [`describe`](Self::describe).
    unsafe fn dequeue_buffer(&self, taken: &mut v4l2_buffer) -> Answer {
        let output = is_output(taken.type_)?;
        let mut inner = self.lock();
        loop {
            if let Some(error) = inner.broken {
                return Err(error);
            }
            let queue = inner.queue(output);
            if !queue.streaming {
                return Err(libc::EINVAL);
            }
            if let Some(index) = queue.done.pop_front() {
                // SAFETY: the caller's promise.
                unsafe { Self::describe(queue, index, taken)? };
                let buffer = &mut queue.buffers[index];
                buffer.state = State::Dequeued;
                taken.flags &= !V4L2_BUF_FLAG_DONE;
                if !output && buffer.flags & V4L2_BUF_FLAG_LAST != 0 {
                    queue.ended = true;
                    if inner.subscribed {
                        inner.events.push_back(V4L2_EVENT_EOS);
                    }
                }
                self.changed.notify_all();
                return Ok(());
            }
            if queue.ended {
                return Err(libc::EPIPE);
            }
            if !self.blocks() {
                return Err(libc::EAGAIN);
            }
            inner = self.wait(inner);
        }
    }

    pub fn wait<'a>(&self, inner: MutexGuard<'a, Inner>) -> MutexGuard<'a, Inner> {
        self.changed
            .wait_timeout(inner, Duration::from_millis(100))
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }

    fn stream_on(self: &Arc<Self>, kind: u32) -> Answer {
        let output = is_output(kind)?;
        let mut inner = self.lock();
        let queue = inner.queue(output);
        if queue.buffers.is_empty() || queue.kind != kind {
            return Err(libc::EINVAL);
        }
        queue.streaming = true;
        if !inner.raw.streaming || !inner.stream.streaming {
            return Ok(());
        }
        drop(inner);
        let mut worker = lock(&self.worker);
        if worker.is_none() {
            let session = self.clone();
            *worker = std::thread::Builder::new()
                .name("mvx-sim".into())
                .spawn(move || super::worker::run(&session))
                .ok();
        }
        self.changed.notify_all();
        Ok(())
    }

    fn stream_off(&self, kind: u32) -> Answer {
        let output = is_output(kind)?;
        let mut inner = self.lock();
        let queue = inner.queue(output);
        if queue.kind != kind {
            return Err(libc::EINVAL);
        }
        queue.cancel();
        self.changed.notify_all();
        Ok(())
    }

    /// Frees what the program has closed; waits for the encoder.
    pub fn close(&self) {
        {
            let mut inner = self.lock();
            inner.closed = true;
            self.changed.notify_all();
        }
        if let Some(worker) = lock(&self.worker).take() {
            let _ = worker.join();
        }
    }

    fn command(&self, command: &v4l2_encoder_cmd) -> Answer {
        if command.cmd != V4L2_ENC_CMD_STOP {
            return Err(libc::EINVAL);
        }
        self.lock().ending = true;
        self.changed.notify_all();
        Ok(())
    }

    fn subscribe(&self, kind: u32) -> Answer {
        match kind {
            V4L2_EVENT_CTRL | V4L2_EVENT_SOURCE_CHANGE => Ok(()),
            V4L2_EVENT_EOS => {
                self.lock().subscribed = true;
                Ok(())
            }
            _ => Err(libc::EINVAL),
        }
    }

    fn dequeue_event(&self, event: &mut v4l2_event) -> Answer {
        let mut inner = self.lock();
        let kind = inner.events.pop_front().ok_or(libc::ENOENT)?;
        *event = zeroed();
        event.type_ = kind;
        event.pending = inner.events.len() as u32;
        Ok(())
    }

    fn control(&self, id: u32) -> Result<&'static Control, i32> {
        let listed = |control: &&Control| {
            !self.faults.no_controls || control.id == V4L2_CID_MPEG_VIDEO_BITRATE
        };
        let mut controls = CONTROLS.iter().filter(listed);
        let flags = V4L2_CTRL_FLAG_NEXT_CTRL | V4L2_CTRL_FLAG_NEXT_COMPOUND;
        if id & V4L2_CTRL_FLAG_NEXT_CTRL != 0 {
            controls.find(|control| control.id > id & !flags)
        } else {
            controls.find(|control| control.id == id)
        }
        .ok_or(libc::EINVAL)
    }

    fn query_control(&self, query: &mut v4l2_queryctrl) -> Answer {
        let control = self.control(query.id)?;
        *query = zeroed();
        query.id = control.id;
        query.type_ = control.kind();
        copy_text(&mut query.name, control.name);
        query.minimum = control.minimum as i32;
        query.maximum = control.maximum as i32;
        query.step = 1;
        query.default_value = control.default as i32;
        query.flags = flags(control);
        Ok(())
    }

    fn query_ext_control(&self, query: &mut v4l2_query_ext_ctrl) -> Answer {
        let control = self.control(query.id)?;
        *query = zeroed();
        query.id = control.id;
        query.type_ = control.kind();
        copy_text(&mut query.name, control.name);
        query.minimum = control.minimum;
        query.maximum = control.maximum;
        query.step = 1;
        query.default_value = control.default;
        query.flags = flags(control);
        query.elem_size = 4;
        query.elems = 1;
        Ok(())
    }

    fn get_control(&self, id: u32) -> Result<i64, i32> {
        let control = self.control(id)?;
        if id == V4L2_CID_MIN_BUFFERS_FOR_OUTPUT {
            return Ok(control.default + i64::from(self.faults.keep));
        }
        Ok(self.lock().values.get(control))
    }

    fn set_control(&self, id: u32, value: i64) -> Answer {
        let control = self.control(id)?;
        if control.read_only {
            return Err(libc::EACCES);
        }
        if !(control.minimum..=control.maximum).contains(&value)
            || control
                .menu
                .get(value as usize)
                .is_some_and(|item| item.is_empty())
        {
            return Err(libc::ERANGE);
        }
        let mut inner = self.lock();
        let live = [
            V4L2_CID_MPEG_VIDEO_BITRATE,
            V4L2_CID_MPEG_VIDEO_FRAME_RC_ENABLE,
        ];
        let has_buffers = !inner.raw.buffers.is_empty() || !inner.stream.buffers.is_empty();
        if has_buffers && !live.contains(&id) {
            return Err(libc::EBUSY);
        }
        inner.values.set(id, value);
        Ok(())
    }

    /// # Safety
    /// The controls are the program's, as many as it says.
    unsafe fn ext_controls(&self, number: u32, controls: &mut v4l2_ext_controls) -> Answer {
        if controls.count > 0 && controls.controls.is_null() {
            return Err(libc::EFAULT);
        }
        for n in 0..controls.count {
            // SAFETY: the caller's promise; the structure is packed, so it is read whole.
            let at = unsafe { controls.controls.add(n as usize) };
            // SAFETY: as above.
            let mut control = unsafe { at.read_unaligned() };
            // A control of 32 bits leaves the union's other half as it is.
            let value = i64::from(control.value as i32);
            let result = match number {
                VIDIOC_S_EXT_CTRLS => self.set_control(control.id, value),
                VIDIOC_TRY_EXT_CTRLS => self.control(control.id).map(|_| ()),
                _ => self.get_control(control.id).map(|value| {
                    control.value = value;
                    // SAFETY: as above.
                    unsafe { at.write_unaligned(control) };
                }),
            };
            if let Err(error) = result {
                controls.error_idx = n;
                return Err(error);
            }
        }
        Ok(())
    }

    /// What `poll` answers now.
    pub fn ready(&self) -> i16 {
        Self::ready_of(&self.lock())
    }

    /// What `poll` answers once one of `events` or an error is there, or the time is up.
    pub fn wait_for(&self, events: i16, limit: Option<Duration>) -> i16 {
        let until = limit.map(|limit| Instant::now() + limit);
        let mut inner = self.lock();
        loop {
            let ready = Self::ready_of(&inner) & (events | libc::POLLERR);
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if ready != 0 || left.is_some_and(|left| left.is_zero()) {
                return ready;
            }
            let pause = left.unwrap_or(Duration::from_secs(1));
            inner = self
                .changed
                .wait_timeout(inner, pause)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn ready_of(inner: &Inner) -> i16 {
        if inner.broken.is_some() {
            return libc::POLLERR;
        }
        let mut ready = 0;
        if !inner.stream.done.is_empty() || inner.stream.ended {
            ready |= libc::POLLIN | libc::POLLRDNORM;
        }
        if !inner.raw.done.is_empty() {
            ready |= libc::POLLOUT | libc::POLLWRNORM;
        }
        if !inner.events.is_empty() {
            ready |= libc::POLLPRI;
        }
        if !inner.raw.streaming && !inner.stream.streaming {
            ready |= libc::POLLERR;
        }
        ready
    }
}

fn flags(control: &Control) -> u32 {
    if control.read_only {
        V4L2_CTRL_FLAG_READ_ONLY | V4L2_CTRL_FLAG_VOLATILE
    } else {
        0
    }
}

fn query_menu(query: &mut v4l2_querymenu) -> Answer {
    let id = query.id;
    let item = CONTROLS
        .iter()
        .find(|control| control.id == id)
        .and_then(|control| control.menu.get(query.index as usize))
        .filter(|item| !item.is_empty())
        .ok_or(libc::EINVAL)?;
    copy_text(&mut query.name, item);
    Ok(())
}

fn stream_port(fourcc: u32, width: u32, height: u32, asked: u32) -> Result<PortFormat, i32> {
    codec(fourcc).ok_or(libc::EINVAL)?;
    Ok(PortFormat {
        fourcc,
        width,
        height,
        planes: 1,
        strides: [0; 3],
        sizes: [asked.max(width * height / 2).max(4096), 0, 0],
    })
}

pub(super) fn pixel_format(fourcc: u32) -> Option<PixelFormat> {
    raw_format(fourcc).map(|(format, _)| format)
}
