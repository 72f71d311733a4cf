// SPDX-License-Identifier: MIT OR Apache-2.0
//! A session: what the driver does with the buffers and the formats of one open node.

use std::{
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use k230_venc::{Codec, v4l2::raw::*};

use super::{
    controls::Values,
    events::Events,
    faults::Faults,
    format::{self, Layout, Port},
    journal,
    queue::{Buffer, MOST_BUFFERS, Memory, Plane, Queue, State, is_multi, is_output},
    uapi::*,
};
use crate::ffi::lock;

/// Added to the offsets of the stream's buffers where a program asks for them, so that `mmap` tells
/// the queues apart (`DST_QUEUE_OFF_BASE`).
pub(super) const STREAM_BASE: u32 = 1 << 30;

/// How long the driver waits for the firmware (`wait_pending`).
const PENDING: Duration = Duration::from_secs(10);

/// A request's answer: nothing, or the number of an error.
pub(super) type Answer = Result<(), i32>;

pub(super) struct Inner {
    pub raw: Queue,
    pub stream: Queue,
    pub raw_port: Port,
    pub stream_port: Port,
    pub values: Values,
    /// Those of the picture that is queued next with the flag for it.
    regions: Vec<v4l2_buffer_param_region>,
    /// Pictures that were queued.
    pictures: u32,
    /// Both queues have been streaming since the encoded format was set: the firmware has begun.
    pub loaded: bool,
    /// The encoder reads a picture.
    pub busy: bool,
    /// The device waits for an encoded buffer to write to.
    pub wants_room: bool,
    /// Every picture before this was queued; set by the stop command and by an empty picture.
    pub ending: bool,
    /// What the session has failed with.
    pub broken: Option<i32>,
    pub closed: bool,
    pub events: Events,
    pub requests: u32,
    /// It was said that the driver would not live through what a program does.
    warned: bool,
    /// The description of the colours, as the program gave it.
    pub colours: [u8; super::own::COLOURS],
    /// Settings that it was said of that they have no effect here.
    told: u32,
}

/// One open node.
pub(super) struct Session {
    /// The memory file with the buffers in it that the program's descriptor is.
    file: OwnedFd,
    pub faults: Faults,
    pub inner: Mutex<Inner>,
    /// What the device's side waits for; [`wake_device`](Self::wake_device) tells it. The two sides wait
    /// apart, so that a request wakes nobody in vain.
    to_do: Condvar,
    /// What programs wait for; [`wake_programs`](Self::wake_programs) tells them.
    changed: Condvar,
    /// How often something has changed for programs.
    changes: AtomicU64,
    /// `V4L2_PRIORITY_*`
    pub priority: AtomicU32,
    worker: Mutex<Option<JoinHandle<()>>>,
    /// Calls of the program that are under way, and [`LET_GO`].
    calls: AtomicU32,
}

/// The program has closed its last descriptor of the session.
const LET_GO: u32 = 1 << 31;

/// A call of the program that is under way: it keeps the session from its end, as the kernel's reference to an
/// open file does, whoever closes the descriptor meanwhile.
pub(super) struct Call(Arc<Session>);

impl Drop for Call {
    fn drop(&mut self) {
        if self.0.calls.fetch_sub(1, Ordering::SeqCst) == LET_GO + 1 {
            self.0.close();
        }
    }
}

impl Inner {
    pub(crate) fn queue(&mut self, output: bool) -> &mut Queue {
        if output {
            &mut self.raw
        } else {
            &mut self.stream
        }
    }

    fn port(&mut self, output: bool) -> &mut Port {
        if output {
            &mut self.raw_port
        } else {
            &mut self.stream_port
        }
    }

    /// The codec of the firmware that runs.
    pub(crate) fn codec(&self) -> Option<Codec> {
        let codec = self.stream_port.layout.format.codec();
        codec.filter(|_| self.loaded)
    }

    /// The session is over: every queue says so until its streaming is ended.
    pub(crate) fn fail(&mut self, error: i32) {
        self.broken = Some(error);
        self.raw.failed = true;
        self.stream.failed = true;
    }

    /// The device was taken away, which every request says.
    pub(crate) fn is_gone(&self) -> bool {
        self.broken == Some(libc::ENODEV)
    }

    /// Says once what the kernel would not live through with the driver.
    fn warn(&mut self, what: &str) {
        if !std::mem::replace(&mut self.warned, true) {
            log::error!("mvx: {what}: with the driver the kernel crashes");
        }
    }

    /// Whether it is the first time that something is to be said.
    pub(crate) fn is_new(&mut self, what: u32) -> bool {
        let is_new = self.told & what == 0;
        self.told |= what;
        is_new
    }

    /// Writes a picture that was queued into the journal.
    fn note_picture(&mut self, index: usize) {
        if let Some(buffer) = self.raw.buffers.get(index) {
            journal::write(&journal::Entry {
                number: self.pictures,
                fourcc: self.raw_port.layout.format.fourcc,
                memory: self.raw.memory,
                flags: buffer.flags,
                timestamp: buffer.timestamp,
                regions: &buffer.regions,
            });
        }
        self.pictures = self.pictures.wrapping_add(1);
    }
}

fn wait<'a>(until: &Condvar, inner: MutexGuard<'a, Inner>) -> MutexGuard<'a, Inner> {
    until
        .wait_timeout(inner, Duration::from_millis(100))
        .unwrap_or_else(PoisonError::into_inner)
        .0
}

impl Session {
    /// A node that was just opened (`mvx_v4l2_open`).
    pub(crate) fn new(file: OwnedFd, faults: Faults) -> Self {
        let format = &format::FORMATS[4];
        let port = |kind| Port {
            kind,
            shown: zeroed(),
            layout: Layout {
                format,
                width: 0,
                height: 0,
                planes: 0,
                strides: [0; 3],
                sizes: [0; 3],
            },
            interlaced: false,
        };
        let session = Self {
            file,
            faults,
            inner: Mutex::new(Inner {
                raw: Queue::default(),
                stream: Queue::default(),
                raw_port: port(V4L2_BUF_TYPE_VIDEO_OUTPUT),
                stream_port: port(V4L2_BUF_TYPE_VIDEO_CAPTURE),
                values: Values::default(),
                regions: Vec::new(),
                pictures: 0,
                loaded: false,
                busy: false,
                wants_room: false,
                ending: false,
                broken: None,
                closed: false,
                events: Events::default(),
                requests: 0,
                warned: false,
                colours: [0; super::own::COLOURS],
                told: 0,
            }),
            to_do: Condvar::new(),
            changed: Condvar::new(),
            changes: AtomicU64::new(0),
            priority: AtomicU32::new(V4L2_PRIORITY_INTERACTIVE),
            worker: Mutex::new(None),
            calls: AtomicU32::new(0),
        };
        for kind in [V4L2_BUF_TYPE_VIDEO_OUTPUT, V4L2_BUF_TYPE_VIDEO_CAPTURE] {
            let mut whole: v4l2_format = zeroed();
            whole.type_ = kind;
            whole.fmt.pix = v4l2_pix_format {
                width: 2,
                height: 2,
                pixelformat: format.fourcc,
                field: 0,
                bytesperline: 0,
                sizeimage: 0,
                colorspace: 0,
                priv_: V4L2_PIX_FMT_PRIV_MAGIC,
                flags: 0,
                ycbcr_enc: 0,
                quantization: 0,
                xfer_func: 0,
            };
            // What the driver sets for itself it does not refuse.
            let _ = session.set_format(&mut whole, true);
        }
        session
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    /// A call of the program begins.
    pub(crate) fn call(self: Arc<Self>) -> Call {
        self.calls.fetch_add(1, Ordering::SeqCst);
        Call(self)
    }

    /// The program has closed the last descriptor: the session ends, with the last call that is under way.
    pub(crate) fn let_go(&self) {
        if self.calls.fetch_or(LET_GO, Ordering::SeqCst) == 0 {
            self.close();
        }
    }

    /// Tells the device's side that it may have something to do.
    pub(crate) fn wake_device(&self) {
        self.to_do.notify_all();
    }

    /// Tells programs that something has changed.
    pub(crate) fn wake_programs(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_all();
    }

    /// Tells whoever waits.
    fn wake_all(&self) {
        self.wake_device();
        self.wake_programs();
    }

    /// How often something has changed for programs.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Whether the program wants to wait.
    pub(crate) fn blocks(&self) -> bool {
        let flags = rustix::fs::fcntl_getfl(&self.file);
        flags.is_ok_and(|flags| !flags.contains(rustix::fs::OFlags::NONBLOCK))
    }

    /// Waits on a program's behalf.
    fn wait<'a>(&self, inner: MutexGuard<'a, Inner>) -> MutexGuard<'a, Inner> {
        wait(&self.changed, inner)
    }

    /// Waits on the device's.
    pub(crate) fn wait_for_work<'a>(&self, inner: MutexGuard<'a, Inner>) -> MutexGuard<'a, Inner> {
        wait(&self.to_do, inner)
    }

    /// Waits until the encoder has read what it reads, as the driver does before buffers are the
    /// program's again.
    fn wait_for_encoder<'a>(&self, mut inner: MutexGuard<'a, Inner>) -> MutexGuard<'a, Inner> {
        let until = Instant::now() + PENDING;
        while inner.busy {
            if Instant::now() >= until {
                log::error!("mvx: the encoder does not answer");
                inner.fail(libc::EIO);
                break;
            }
            inner = self.wait(inner);
        }
        inner
    }

    pub(crate) fn set_regions(&self, asked: &v4l2_mvx_roi_regions) -> Answer {
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

    pub(crate) fn get_format(&self, whole: &mut v4l2_format) -> Answer {
        let mut inner = self.lock();
        let port = inner.port(is_output(whole.type_)?);
        format::answer(&port.shown, &port.layout, port.interlaced, whole);
        Ok(())
    }

    /// `mvx_v4l2_vidioc_s_fmt_vid`, or with `keep` false `mvx_v4l2_vidioc_try_fmt_vid`.
    pub(crate) fn set_format(&self, whole: &mut v4l2_format, keep: bool) -> Answer {
        let output = is_output(whole.type_)?;
        let mut inner = self.lock();
        if keep && !inner.queue(output).buffers.is_empty() {
            return Err(libc::EBUSY);
        }
        let mut asked = format::asked(whole)?;
        if keep && inner.broken.is_some() {
            return Err(libc::EINVAL);
        }
        if keep && inner.raw.streaming && inner.stream.streaming {
            return Err(libc::EBUSY);
        }
        let raw = inner.raw_port.layout;
        let dictated = (!output).then_some((raw.width, raw.height));
        let layout = asked.layout.tried(dictated, &self.faults);
        asked.shown.width = layout.width;
        asked.shown.height = layout.height;
        asked.shown.num_planes = layout.planes as u8;
        // Interlaced pictures are not taken.
        let interlaced = asked.interlaced && !output;
        format::answer(&asked.shown, &layout, interlaced, whole);
        if !keep {
            return Ok(());
        }
        let port = inner.port(output);
        let reloads = port.layout.format.is_stream() && port.layout.format != layout.format;
        *port = Port {
            kind: whole.type_,
            shown: asked.shown,
            layout,
            interlaced,
        };
        if reloads {
            inner.loaded = false;
        }
        if output {
            let size = Some((layout.width, layout.height));
            let stream = &mut inner.stream_port;
            // What the port shows keeps its size, and takes the colours alone.
            stream.layout = stream.layout.tried(size, &self.faults);
            stream.shown.colorspace = asked.shown.colorspace;
            stream.shown.ycbcr_enc = asked.shown.ycbcr_enc;
            stream.shown.quantization = asked.shown.quantization;
            stream.shown.xfer_func = asked.shown.xfer_func;
        }
        Ok(())
    }

    pub(crate) fn selection(&self, selection: &mut v4l2_selection) -> Answer {
        // V4L2_TYPE_IS_OUTPUT; neither the type nor the target is looked at otherwise.
        let output = matches!(selection.type_, 2 | 3 | 5 | 7 | 8 | 10 | 12 | 14);
        let mut inner = self.lock();
        let layout = inner.port(output).layout;
        selection.r = v4l2_rect {
            left: 0,
            top: 0,
            width: layout.width,
            height: layout.height,
        };
        Ok(())
    }

    /// What kinds of memory a queue takes.
    fn capabilities(&self) -> u32 {
        let dmabuf = if self.faults.no_dmabuf {
            0
        } else {
            V4L2_BUF_CAP_SUPPORTS_DMABUF
        };
        V4L2_BUF_CAP_SUPPORTS_MMAP
            | V4L2_BUF_CAP_SUPPORTS_USERPTR
            | V4L2_BUF_CAP_SUPPORTS_ORPHANED_BUFS
            | dmabuf
    }

    /// `vb2_verify_memory_type`
    fn verify_memory(&self, queue: &Queue, memory: u32, kind: u32) -> Answer {
        let known = match memory {
            V4L2_MEMORY_MMAP | V4L2_MEMORY_USERPTR => true,
            V4L2_MEMORY_DMABUF => !self.faults.no_dmabuf,
            _ => false,
        };
        if known && kind == queue.kind {
            Ok(())
        } else {
            Err(libc::EINVAL)
        }
    }

    pub(crate) fn request_buffers(&self, request: &mut v4l2_requestbuffers) -> Answer {
        let output = is_output(request.type_)?;
        request.reserved = [0; 3];
        let mut inner = self.lock();
        if request.count == 0 {
            // The driver lets the queue go, streaming or not and of whatever type.
            if inner.queue(output).is_set_up {
                inner = self.wait_for_encoder(inner);
                inner.queue(output).release();
                self.wake_all();
            }
            return Ok(());
        }
        let kind = inner.port(output).kind;
        let queue = inner.queue(output);
        queue.set_up(kind);
        request.capabilities = self.capabilities();
        // The queue takes no hints about caches.
        request.flags = 0;
        self.verify_memory(queue, request.memory, request.type_)?;
        if queue.streaming || queue.waited_for {
            return Err(libc::EBUSY);
        }
        queue.free();
        queue.memory = request.memory;
        let count = (request.count as usize).min(MOST_BUFFERS);
        request.count = self.allocate(&mut inner, output, count)?;
        inner.queue(output).idle = !output;
        Ok(())
    }

    pub(crate) fn create_buffers(&self, create: &mut v4l2_create_buffers) -> Answer {
        let output = is_output(create.format.type_)?;
        let mut inner = self.lock();
        let kind = inner.port(output).kind;
        let queue = inner.queue(output);
        queue.set_up(kind);
        let valid = self.verify_memory(queue, create.memory, create.format.type_);
        create.capabilities = self.capabilities();
        create.flags = 0;
        create.reserved = [0; 6];
        create.index = queue.buffers.len() as u32;
        if create.count == 0 {
            return valid;
        }
        // Sizes are looked at and have to be there; the driver puts its own in their place.
        // SAFETY: numbers, for which any bits are valid.
        let sizes_are_there = unsafe {
            if is_multi(create.format.type_) {
                let pix = create.format.fmt.pix_mp;
                let planes = usize::from(pix.num_planes).min(VIDEO_MAX_PLANES);
                planes > 0 && pix.plane_fmt[..planes].iter().all(|p| p.sizeimage != 0)
            } else {
                create.format.fmt.pix.sizeimage != 0
            }
        };
        if !sizes_are_there {
            return Err(libc::EINVAL);
        }
        valid?;
        if queue.buffers.len() >= MOST_BUFFERS {
            return Err(libc::ENOBUFS);
        }
        if queue.buffers.is_empty() {
            if queue.waited_for {
                return Err(libc::EBUSY);
            }
            queue.memory = create.memory;
            queue.idle = !output;
        } else if queue.memory != create.memory {
            return Err(libc::EINVAL);
        }
        let count = (create.count as usize).min(MOST_BUFFERS - queue.buffers.len());
        create.count = self.allocate(&mut inner, output, count)?;
        Ok(())
    }

    /// Adds buffers for the port's format to a queue, as many as there is memory for.
    fn allocate(&self, inner: &mut Inner, output: bool, count: usize) -> Result<u32, i32> {
        let layout = inner.port(output).layout;
        let queue = inner.queue(output);
        // Of decoded pictures whose size is not known one is enough to tell of it (`queue_setup`).
        let is_sizeless =
            !output && !layout.format.is_stream() && (layout.width == 0 || layout.height == 0);
        let count = if self.faults.one_buffer || is_sizeless {
            1
        } else {
            count
        };
        let mut made = 0;
        for _ in 0..count {
            let mut offset = queue.next_offset();
            let mut planes = Vec::new();
            for size in &layout.sizes[..layout.planes] {
                let len = (*size).max(1);
                let memory = if queue.memory == V4L2_MEMORY_MMAP {
                    match self.map(output, offset, len) {
                        Some(memory) => Some(memory),
                        None => break,
                    }
                } else {
                    None
                };
                planes.push(Plane::new(offset, len, memory));
                offset = offset.saturating_add(len.saturating_add(4095) & !4095);
            }
            if planes.len() < layout.planes {
                break;
            }
            queue.buffers.push(Buffer {
                planes,
                state: State::Dequeued,
                flags: 0,
                field: 0,
                timestamp: 0,
                timecode: v4l2_timecode {
                    type_: 0,
                    flags: 0,
                    frames: 0,
                    seconds: 0,
                    minutes: 0,
                    hours: 0,
                    userbits: [0; 4],
                },
                regions: Vec::new(),
            });
            made += 1;
        }
        if made == 0 {
            return Err(libc::ENOMEM);
        }
        Ok(made)
    }

    /// A piece of the memory file for a plane; `None` where there is no room, in the file or between
    /// the two queues' offsets.
    fn map(&self, output: bool, offset: u32, len: u32) -> Option<Arc<Memory>> {
        if offset.checked_add(len)? > STREAM_BASE {
            return None;
        }
        let base = if output { 0 } else { STREAM_BASE };
        let begin = u64::from(base) + u64::from(offset);
        let fd = self.file.as_fd();
        let end = begin + u64::from(len).next_multiple_of(4096);
        if rustix::fs::fstat(fd).is_ok_and(|stat| (stat.st_size as u64) < end) {
            rustix::fs::ftruncate(fd, end).ok()?;
        }
        Memory::map(fd, len as usize, begin).map(Arc::new)
    }

    pub(crate) fn query_buffer(
        &self,
        buffer: &mut v4l2_buffer,
        planes: &mut [v4l2_plane],
    ) -> Answer {
        let output = is_output(buffer.type_)?;
        let mut inner = self.lock();
        let queue = inner.queue(output);
        queue.verify(buffer, planes.len())?;
        queue.describe(buffer.index as usize, buffer, planes);
        if output {
            return Ok(());
        }
        // Added here alone, and whatever kind of memory it is.
        // SAFETY: numbers, for which any bits are valid.
        unsafe {
            if is_multi(queue.kind) {
                for plane in planes.iter_mut().take(buffer.length as usize) {
                    plane.m.mem_offset = plane.m.mem_offset.wrapping_add(STREAM_BASE);
                }
            } else {
                buffer.m.offset = buffer.m.offset.wrapping_add(STREAM_BASE);
            }
        }
        Ok(())
    }

    pub(crate) fn queue_buffer(
        &self,
        given: &mut v4l2_buffer,
        planes: &mut [v4l2_plane],
    ) -> Answer {
        let output = is_output(given.type_)?;
        let mut inner = self.lock();
        if output && is_multi(given.type_) && inner.raw.buffers.get(given.index as usize).is_none()
        {
            // mvx_v4l2_vidioc_qbuf writes to the buffer before videobuf2 looks whether there is one.
            inner.warn("a picture is queued by the number of no buffer");
        }
        let regions = if output && given.flags & V4L2_BUF_FLAG_MVX_BUFFER_ROI != 0 {
            inner.regions.clone()
        } else {
            Vec::new()
        };
        let index = inner.queue(output).prepare(given, planes, regions)?;
        if output {
            if given.flags & V4L2_BUF_FLAG_MVX_BUFFER_ROI != 0 {
                inner.regions.clear();
            }
            inner.note_picture(index);
        }
        let broken = inner.broken.is_some();
        let queue = inner.queue(output);
        let comes_back = broken && queue.streaming;
        if comes_back {
            // mvx_session_qbuf refuses it.
            queue.incoming.retain(|queued| *queued != index);
            queue.complete(index, V4L2_BUF_FLAG_ERROR);
        }
        let comes_back = comes_back || output && self.gives_back(queue);
        queue.describe(index, given, planes);
        let is_waited_for = output || inner.wants_room || inner.ending;
        drop(inner);
        if comes_back {
            self.wake_programs();
        } else if is_waited_for {
            self.wake_device();
        }
        Ok(())
    }

    pub(crate) fn dequeue_buffer(
        &self,
        taken: &mut v4l2_buffer,
        planes: &mut [v4l2_plane],
    ) -> Answer {
        let output = is_output(taken.type_)?;
        let mut inner = self.lock();
        if inner.queue(output).kind != taken.type_ {
            return Err(libc::EINVAL);
        }
        let index = loop {
            if inner.is_gone() || inner.closed {
                return Err(libc::ENODEV);
            }
            let queue = inner.queue(output);
            // The order of __vb2_wait_for_done_vb.
            if queue.waited_for {
                return Err(libc::EBUSY);
            }
            if !queue.streaming {
                return Err(libc::EINVAL);
            }
            if queue.failed {
                return Err(libc::EIO);
            }
            if queue.ended {
                return Err(libc::EPIPE);
            }
            if let Some(index) = queue.done.front() {
                break *index;
            }
            if !self.blocks() {
                return Err(libc::EAGAIN);
            }
            queue.waited_for = true;
            inner = self.wait(inner);
            inner.queue(output).waited_for = false;
        };
        let queue = inner.queue(output);
        if let Some(buffer) = queue.buffers.get(index) {
            queue.verify_planes(buffer, planes.len())?;
        }
        queue.done.pop_front();
        queue.describe(index, taken, planes);
        taken.flags &= !V4L2_BUF_FLAG_DONE;
        if let Some(buffer) = queue.buffers.get_mut(index) {
            buffer.state = State::Dequeued;
        }
        let ends = !output && taken.flags & V4L2_BUF_FLAG_LAST != 0;
        queue.ended |= ends;
        drop(inner);
        if ends {
            // v4l2_event_queue: whoever has the node open hears of it.
            for session in super::sessions() {
                session.lock().events.stream_ended();
                session.wake_programs();
            }
        }
        Ok(())
    }

    pub(crate) fn stream_on(self: &Arc<Self>, kind: u32) -> Answer {
        let output = is_output(kind).unwrap_or(false);
        let mut inner = self.lock();
        let queue = inner.queue(output);
        if queue.kind != kind || kind == 0 {
            return Err(libc::EINVAL);
        }
        if queue.streaming {
            return Ok(());
        }
        if queue.buffers.is_empty() {
            return Err(libc::EINVAL);
        }
        let both = inner.queue(!output).streaming;
        if both {
            self.load(&mut inner)?;
        }
        let queue = inner.queue(output);
        queue.streaming = true;
        if output {
            self.gives_back(queue);
        }
        drop(inner);
        if both {
            let mut worker = lock(&self.worker);
            if worker.is_none() {
                let session = self.clone();
                *worker = std::thread::Builder::new()
                    .name("mvx-sim".into())
                    .spawn(move || super::worker::run(&session))
                    .ok();
            }
        }
        self.wake_all();
        Ok(())
    }

    /// Gives pictures back that the driver hands to its firmware only when it streams, and not at all.
    fn gives_back(&self, queue: &mut Queue) -> bool {
        queue.streaming && !self.faults.offsets && queue.give_back_what_has_no_room()
    }

    /// Begins with the firmware (`mvx_session_streamon`).
    fn load(&self, inner: &mut Inner) -> Answer {
        if inner.broken.is_some() {
            return Err(libc::EINVAL);
        }
        if inner.loaded {
            return Ok(());
        }
        let (raw, stream) = (
            inner.raw_port.layout.format,
            inner.stream_port.layout.format,
        );
        if raw.is_stream() == stream.is_stream() {
            return Err(libc::EINVAL);
        }
        if !raw.is_of_queue(true) || !stream.is_of_queue(false) {
            log::error!("mvx: {} to {} is not there", raw.text, stream.text);
            return Err(libc::ENODEV);
        }
        inner.loaded = true;
        Ok(())
    }

    pub(crate) fn stream_off(&self, kind: u32) -> Answer {
        let output = is_output(kind).unwrap_or(false);
        let mut inner = self.lock();
        if inner.queue(output).kind != kind || kind == 0 {
            return Err(libc::EINVAL);
        }
        inner = self.wait_for_encoder(inner);
        inner.queue(output).cancel();
        self.wake_all();
        Ok(())
    }

    /// Goes on in a child's copy of the program's memory. False where a thread of the parent's had it in hand.
    pub(crate) fn adopt(&self) -> bool {
        let (Ok(mut worker), Ok(mut inner)) = (self.worker.try_lock(), self.inner.try_lock())
        else {
            return false;
        };
        if let Some(parents) = worker.take() {
            std::mem::forget(parents);
            log::error!("mvx: this double streams in the process that began with it alone");
            inner.fail(libc::EIO);
            inner.busy = false;
        }
        self.calls.store(0, Ordering::SeqCst);
        true
    }

    /// Frees what the program has closed; waits for the encoder.
    pub(crate) fn close(&self) {
        {
            let mut inner = self.lock();
            inner.closed = true;
            self.wake_all();
        }
        if let Some(worker) = lock(&self.worker).take() {
            let _ = worker.join();
        }
    }

    /// The stop command of either kind; every other is refused.
    pub(crate) fn stop(&self) -> Answer {
        let mut inner = self.lock();
        if inner.broken.is_some() {
            return Err(libc::EINVAL);
        }
        if inner.loaded {
            inner.ending = true;
        } else if inner.stream.streaming
            && let Some(index) = inner.stream.incoming.pop_front()
        {
            // mvx_session_send_eos: without firmware the first buffer is the last.
            if let Some(plane) = inner.stream.buffers[index].planes.first_mut() {
                plane.used = 0;
            }
            inner.stream.complete(index, V4L2_BUF_FLAG_LAST);
        }
        self.wake_all();
        Ok(())
    }

    pub(crate) fn dequeue_event(&self, event: &mut v4l2_event) -> Answer {
        let mut inner = self.lock();
        loop {
            if let Some(taken) = inner.events.take() {
                *event = taken;
                return Ok(());
            }
            if !self.blocks() {
                return Err(libc::ENOENT);
            }
            if inner.is_gone() || inner.closed {
                return Err(libc::ENODEV);
            }
            inner = self.wait(inner);
        }
    }

    pub(crate) fn get_priority(&self) -> u32 {
        self.priority.load(Ordering::Relaxed)
    }

    /// What `poll` answers now.
    pub(crate) fn ready(&self, events: i16) -> i16 {
        Self::ready_of(&self.lock(), events)
    }

    /// What `poll` answers once one of `events` or an error is there, or the time is up.
    pub(crate) fn wait_for(&self, events: i16, limit: Option<Duration>) -> i16 {
        // A time that no clock will have is none.
        let until = limit.and_then(|limit| Instant::now().checked_add(limit));
        let mut inner = self.lock();
        let never_set_up = inner.raw.kind == 0 || inner.stream.kind == 0;
        if never_set_up && limit.is_none_or(|limit| !limit.is_zero()) {
            // vb2_core_poll waits by a list that setup_vb2_queue has not made.
            inner.warn("the device is waited for before both queues have had buffers");
        }
        loop {
            let ready = Self::ready_of(&inner, events);
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

    /// `mvx_v4l2_poll` and `vb2_poll`: a queue is looked at if its event is asked for.
    fn ready_of(inner: &Inner, events: i16) -> i16 {
        if inner.is_gone() {
            return libc::POLLERR | libc::POLLHUP | events & libc::POLLPRI;
        }
        if inner.broken.is_some() {
            return libc::POLLERR;
        }
        let mut ready = 0;
        if inner.events.are_waiting() {
            ready |= libc::POLLPRI;
        }
        for queue in [&inner.raw, &inner.stream] {
            let its_events = match queue.is_output() {
                true => libc::POLLOUT | libc::POLLWRNORM,
                false => libc::POLLIN | libc::POLLRDNORM,
            };
            if events & its_events == 0 {
                continue;
            }
            if !queue.streaming || queue.failed || queue.idle {
                ready |= libc::POLLERR;
            } else if !queue.done.is_empty() || queue.ended {
                ready |= its_events;
            }
        }
        ready & (events | libc::POLLERR)
    }
}
