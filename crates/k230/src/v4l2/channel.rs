// SPDX-License-Identifier: MIT OR Apache-2.0
//! A channel as a session with the driver.

use std::{
    collections::VecDeque,
    os::fd::RawFd,
    path::{Path, PathBuf},
    ptr,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    assembly::{Assembly, Piece},
    controls::{self, Applied},
    node::{Mapping, Node, Ready, buffer},
    places::{self, Free},
    raw::*,
};
use crate::{
    Channel, ChannelAttr, Code, Codec, DmaPlane, Error, Frame, FrameData, LentPlane, Level,
    MAX_REGIONS, Mirror, PixelFormat, PlaneMemory, RateControl, Rotation, STUCK_AFTER, Status,
    Stream,
};

const OUTPUT: u32 = V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE;
const CAPTURE: u32 = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;

/// Raw buffers beside those that the driver says it needs: one being filled, one waiting.
const SPARE_RAW: u32 = 2;
/// Encoded buffers: the parameter sets and two pictures, and one being read.
const ENCODED: u32 = 4;

/// The driver's code for a format. Of NV12, NV21, P010 and I420 it has the planes apart, each a buffer's
/// plane of its own, under the codes of one piece for the first three.
pub(super) fn raw_format(format: PixelFormat) -> u32 {
    match format {
        PixelFormat::Nv12 => V4L2_PIX_FMT_NV12,
        PixelFormat::Argb => V4L2_PIX_FMT_ARGB32,
        PixelFormat::Bgra => V4L2_PIX_FMT_ABGR32,
        PixelFormat::Uyvy => V4L2_PIX_FMT_UYVY,
        PixelFormat::Nv21 => V4L2_PIX_FMT_NV21,
        PixelFormat::I420 => V4L2_PIX_FMT_YUV420M,
        PixelFormat::Yuy2 => V4L2_PIX_FMT_YUYV,
        PixelFormat::Rgb => V4L2_PIX_FMT_RGB24,
        PixelFormat::Bgr => V4L2_PIX_FMT_BGR24,
        PixelFormat::P010 => V4L2_PIX_FMT_P010,
    }
}

/// The flags of a queued picture that turn it.
fn turn(attr: &ChannelAttr) -> u32 {
    let mirror = match attr.mirror {
        Mirror::None => 0,
        Mirror::Horizontal => V4L2_BUF_FRAME_FLAG_MIRROR_HORI,
        Mirror::Vertical => V4L2_BUF_FRAME_FLAG_MIRROR_VERT,
    };
    let rotation = match attr.rotation {
        Rotation::None => 0,
        Rotation::Quarter => V4L2_BUF_ENCODE_FLAG_ROTATION_90,
        Rotation::Half => V4L2_BUF_ENCODE_FLAG_ROTATION_180,
        Rotation::ThreeQuarters => V4L2_BUF_ENCODE_FLAG_ROTATION_270,
    };
    mirror | rotation
}

/// The request that says which regions picture `number` of a session has; `None` if there are none
/// in it.
fn regions(attr: &ChannelAttr, frame: &Frame, number: u32) -> Option<v4l2_mvx_roi_regions> {
    let mut request: v4l2_mvx_roi_regions = zeroed();
    let size = (frame.width, frame.height);
    let placed = frame.regions.iter().filter_map(|region| {
        let blocks = region.blocks(size, attr.mirror, attr.rotation)?;
        Some(v4l2_buffer_param_region {
            mbx_left: blocks.left,
            mbx_right: blocks.right,
            mby_top: blocks.top,
            mby_bottom: blocks.bottom,
            qp_delta: region.clamped_delta(),
            ..v4l2_buffer_param_region::default()
        })
    });
    // The driver copies as many as it is told, without a look at how many have room.
    for (to, region) in request.roi[..MAX_REGIONS].iter_mut().zip(placed) {
        *to = region;
        request.num_roi += 1;
    }
    request.pic_index = number;
    request.roi_present = 1;
    (request.num_roi > 0).then_some(request)
}

fn timestamp(microseconds: u64) -> libc::timeval {
    libc::timeval {
        tv_sec: (microseconds / 1_000_000) as libc::time_t,
        tv_usec: (microseconds % 1_000_000) as libc::suseconds_t,
    }
}

fn microseconds(time: libc::timeval) -> u64 {
    (time.tv_sec as u64)
        .saturating_mul(1_000_000)
        .saturating_add(time.tv_usec as u64)
}

/// Rows are asked for in whole words, as most who make pictures lay them out, GStreamer among them:
/// what has the driver's layout is written to its memory, or copied in one piece.
const ROW_ALIGNMENT: u32 = 4;

fn too_few(queue: &str) -> Error {
    Error::refused(
        Code::NoMem,
        format!("the driver gave no buffers to {queue}"),
    )
}

/// The size of the device's pages.
const PAGE: u64 = 4096;

/// Which memory of others the driver has not given back unread.
#[derive(Debug, Clone, Copy)]
struct Imports {
    /// Planes that begin with their memory.
    whole: bool,
    /// Planes that begin behind it. The driver's own user has none, and the sources that are known do not heed where a
    /// plane begins: they add it to what is filled, which has it in it by V4L2's rules, and give the picture back where
    /// both together have no room in the memory.
    parts: bool,
}

impl Imports {
    fn take(self, planes: &[DmaPlane]) -> bool {
        // Of a plane that is said to be filled to its end nothing else has room: a driver that does not heed where
        // it begins says so, and does not read it from the wrong place.
        let is_told_of = |plane: &DmaPlane| {
            let end = u64::from(plane.size) + u64::from(plane.offset);
            end > u64::from(plane.size).next_multiple_of(PAGE)
        };
        self.whole
            && planes
                .iter()
                .all(|plane| plane.offset == 0 || self.parts && is_told_of(plane))
    }

    /// The driver has given a picture in these back.
    fn refuse(&mut self, planes: &[DmaPlane]) {
        if planes.iter().any(|plane| plane.offset != 0) {
            self.parts = false;
        } else {
            self.whole = false;
        }
    }
}

/// A place for a picture: the driver's memory, or what was lent to it.
struct Slot {
    planes: Vec<Arc<Mapping>>,
    queued: bool,
    /// Whoever makes the pictures writes to the planes, and nobody here does.
    given: bool,
    /// The picture that the device reads from, until it has.
    lent: Option<Arc<dyn FrameData>>,
    /// The descriptor that was lent last: the driver keeps its mapping.
    last: Option<RawFd>,
    /// The number of the picture that was in it last.
    used: u32,
}

/// A plane of the driver's memory in the hands of whoever makes the pictures.
struct Given(Arc<Mapping>);

impl PlaneMemory for Given {
    fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: a place is given once, and what is left of it here is an address to know it by.
        unsafe { self.0.bytes_of_owner() }
    }
}

/// The driver's session, from its formats to its end.
struct Opened {
    node: Node,
    strides: Vec<u32>,
    sizes: Vec<u32>,
    memory: u32,
    raw: Vec<Slot>,
    encoded: Vec<Mapping>,
    streaming: bool,
    /// The driver was told that no more pictures come.
    draining: bool,
    /// The last encoded buffer was dequeued.
    ended: bool,
    /// Pictures that were queued.
    pictures: u32,
}

/// A channel; see the module's documentation for what it does not trust.
pub(super) struct V4l2Channel {
    path: PathBuf,
    attr: ChannelAttr,
    opened: Option<Opened>,
    started: bool,
    delay: u32,
    level: Option<Level>,
    unmapped: Vec<String>,
    /// Frames since the last IDR that was asked for.
    since_idr: u32,
    idr_wanted: bool,
    takes_regions: bool,
    imports: Imports,
    assembly: Assembly,
    complete: VecDeque<Result<Stream, Error>>,
    status: Status,
    /// When the driver last gave an encoded buffer, or was given a frame while it had none.
    heard: Instant,
}

impl V4l2Channel {
    pub(crate) fn create(path: &Path, attr: &ChannelAttr) -> Result<Self, Error> {
        attr.validate_for(|_| true)?;
        let (opened, Applied { missing, level }) = Opened::new(path, attr, None)?;
        let needed = opened
            .node
            .get_control(V4L2_CID_MIN_BUFFERS_FOR_OUTPUT)
            .unwrap_or(1);
        Ok(Self {
            path: path.into(),
            // Another session in this one's place has the level of this one, whatever the rate is by
            // then.
            attr: ChannelAttr {
                level: level.or(attr.level),
                ..*attr
            },
            level,
            opened: Some(opened),
            started: false,
            // With so many inside the driver works; a stream is due with the last of them.
            delay: needed.clamp(1, 8) as u32 - 1,
            unmapped: missing.into_iter().collect(),
            since_idr: 0,
            idr_wanted: false,
            takes_regions: attr.codec != Codec::Jpeg,
            imports: Imports {
                whole: true,
                parts: true,
            },
            assembly: Assembly::new(attr.codec),
            complete: VecDeque::new(),
            status: Status::default(),
            heard: Instant::now(),
        })
    }

    /// The session for pictures in such memory: the one that there is, or a new one.
    fn session(&mut self, dma: Option<&[DmaPlane]>) -> Result<(), Error> {
        let memory = if dma.is_some() {
            V4L2_MEMORY_DMABUF
        } else {
            V4L2_MEMORY_MMAP
        };
        if let Some(opened) = &self.opened
            && opened.streaming
        {
            if opened.memory == memory && opened.fits(dma) {
                return Ok(());
            }
            // Buffers of another kind are another session's.
            self.drain()?;
        }
        let mut opened = match self.opened.take() {
            Some(opened) if !opened.streaming && opened.fits(dma) && opened.allows(memory) => {
                opened
            }
            _ => {
                // The old node is closed by now.
                let (opened, _) = Opened::new(&self.path, &self.attr, dma)?;
                opened
            }
        };
        if opened.raw.is_empty() {
            let needed = self.delay + 1 + SPARE_RAW;
            let places = match memory {
                V4L2_MEMORY_DMABUF => needed.max(places::LENT),
                _ => needed,
            };
            opened.allocate(memory, places)?;
        }
        opened.start()?;
        self.opened = Some(opened);
        // The first picture of a session is an IDR without being asked.
        self.since_idr = 0;
        self.idr_wanted = false;
        self.assembly.parameter_sets.forget_announced();
        Ok(())
    }

    fn opened(&mut self) -> Result<&mut Opened, Error> {
        self.opened
            .as_mut()
            .ok_or_else(|| Error::refused(Code::NotPerm, "the channel has no session"))
    }

    /// Takes every encoded buffer that there is, and the pictures back that were read. Each request is a
    /// system call, so nothing is asked for that cannot be there.
    fn collect(&mut self) -> Result<(), Error> {
        loop {
            let Some(opened) = self.opened.as_mut().filter(|opened| opened.streaming) else {
                return Ok(());
            };
            let comes = self.status.frames_inside > 0 || opened.draining;
            let piece = match comes {
                true => opened.take_encoded(&mut self.assembly.data)?,
                false => None,
            };
            let Some(piece) = piece else {
                // What was read goes back to whoever makes the pictures as soon as it can.
                return opened.reclaim();
            };
            self.heard = Instant::now();
            if let Some(result) = self.assembly.add(piece, &self.path) {
                if result.is_err() {
                    // What follows refers to the picture that was lost.
                    self.idr_wanted = true;
                }
                self.status.frames_inside = self.status.frames_inside.saturating_sub(1);
                self.complete.push_back(result);
            }
        }
    }

    /// Lets the driver complete what is inside, and ends the session.
    fn drain(&mut self) -> Result<(), Error> {
        let Some(opened) = self.opened.as_mut().filter(|opened| opened.streaming) else {
            self.opened = None;
            return Ok(());
        };
        if self.status.frames_inside > 0 {
            opened.node.stop()?;
            opened.draining = true;
            loop {
                self.collect()?;
                // A driver that has been silent for so long already is not waited for again.
                let deadline = self.heard + STUCK_AFTER;
                let opened = self.opened()?;
                if opened.ended {
                    break;
                }
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(Error::Stuck {
                        what: format!("completing the frames inside {}", self.path.display()),
                        after: STUCK_AFTER,
                    });
                }
                opened.node.wait(Ready::Capture, left)?;
            }
        }
        self.opened = None;
        self.status.frames_inside = 0;
        Ok(())
    }

    /// Tells the driver the regions of the picture that is queued next. The answer is that picture's
    /// flag.
    fn announce_regions(&mut self, frame: &Frame) -> Result<u32, Error> {
        if !self.takes_regions || frame.regions.is_empty() {
            return Ok(0);
        }
        let attr = self.attr;
        let opened = self.opened()?;
        let Some(request) = regions(&attr, frame, opened.pictures) else {
            return Ok(0);
        };
        match opened.node.set_regions(request) {
            Ok(()) => Ok(V4L2_BUF_FLAG_MVX_BUFFER_ROI),
            // A version of the driver without the request.
            Err(error) if matches!(error.errno(), Some(libc::ENOTTY | libc::EINVAL)) => {
                self.takes_regions = false;
                Ok(0)
            }
            Err(error) => Err(error),
        }
    }

    /// A free place for a picture, waiting for one.
    fn place(&mut self, dma: Option<&[DmaPlane]>, limit: Duration) -> Result<usize, Error> {
        if let Some(index) = self.opened()?.free_slot(dma) {
            return Ok(index);
        }
        let until = Instant::now() + limit;
        loop {
            // A driver whose encoded buffers are all full takes no pictures.
            self.collect()?;
            let opened = self.opened()?;
            if let Some(index) = opened.free_slot(dma) {
                return Ok(index);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::refused(
                    Code::BufFull,
                    format!("queueing a frame into {}", self.path.display()),
                ));
            }
            // In pieces, since either queue can be what is waited for.
            let piece = left.min(Duration::from_millis(10));
            opened.node.wait(Ready::Output, piece)?;
        }
    }
}

impl Opened {
    /// Opens the node and sets formats and controls, for pictures with the rows of `dma` apart.
    fn new(
        path: &Path,
        attr: &ChannelAttr,
        dma: Option<&[DmaPlane]>,
    ) -> Result<(Self, Applied), Error> {
        let node = Node::open(path)?;
        let mut raw: v4l2_pix_format_mplane = zeroed();
        raw.width = attr.width;
        raw.height = attr.height;
        raw.pixelformat = raw_format(attr.format);
        raw.field = V4L2_FIELD_NONE;
        raw.num_planes = attr.format.planes() as u8;
        for (plane, format) in raw
            .plane_fmt
            .iter_mut()
            .enumerate()
            .take(attr.format.planes())
        {
            format.bytesperline = match dma.and_then(|planes| planes.get(plane)) {
                Some(plane) => plane.stride,
                None => (attr.format.row_bytes(plane, attr.width) as u32)
                    .next_multiple_of(ROW_ALIGNMENT),
            };
        }
        let answered = node.set_format(OUTPUT, raw)?;
        let planes = usize::from(answered.num_planes);
        if (answered.width, answered.height, answered.pixelformat)
            != (attr.width, attr.height, raw.pixelformat)
            || planes != attr.format.planes()
        {
            return Err(Error::refused(
                Code::NotSupport,
                format!(
                    "{}: pictures of {}x{} in {planes} planes where {}x{} in {} were asked for",
                    path.display(),
                    answered.width,
                    answered.height,
                    attr.width,
                    attr.height,
                    attr.format.planes(),
                ),
            ));
        }
        let of_planes = &answered.plane_fmt[..planes];
        let mut strides = Vec::new();
        for (plane, format) in of_planes.iter().enumerate() {
            let row = attr.format.row_bytes(plane, attr.width) as u32;
            if format.bytesperline < row {
                return Err(Error::refused(
                    Code::IllegalParam,
                    format!(
                        "{}: rows of {} bytes, which a row of {row} does not fit into",
                        path.display(),
                        format.bytesperline
                    ),
                ));
            }
            strides.push(format.bytesperline);
        }

        let mut encoded: v4l2_pix_format_mplane = zeroed();
        (encoded.width, encoded.height) = attr.encoded_size();
        encoded.pixelformat = match attr.codec {
            Codec::H264 => V4L2_PIX_FMT_H264,
            Codec::H265 => V4L2_PIX_FMT_HEVC,
            Codec::Jpeg => V4L2_PIX_FMT_JPEG,
        };
        encoded.field = V4L2_FIELD_NONE;
        encoded.num_planes = 1;
        encoded.plane_fmt[0].sizeimage = attr.stream_buffer_size().max(64 * 1024);
        node.set_format(CAPTURE, encoded)?;
        let applied = controls::apply(&node, attr)?;
        let sizes = of_planes.iter().map(|format| format.sizeimage).collect();
        let opened = Self {
            node,
            strides,
            sizes,
            memory: 0,
            raw: Vec::new(),
            encoded: Vec::new(),
            streaming: false,
            draining: false,
            ended: false,
            pictures: 0,
        };
        Ok((opened, applied))
    }

    /// Whether pictures in such memory can be queued: always, before there are buffers.
    fn allows(&self, memory: u32) -> bool {
        self.raw.is_empty() || self.memory == memory
    }

    /// Whether the driver's rows are as far apart as these pictures'.
    fn fits(&self, dma: Option<&[DmaPlane]>) -> bool {
        dma.is_none_or(|planes| {
            planes.len() == self.strides.len()
                && planes
                    .iter()
                    .zip(&self.strides)
                    .all(|(plane, stride)| plane.stride == *stride)
        })
    }

    fn planes(&self) -> usize {
        self.strides.len()
    }

    /// Gets buffers for raw pictures.
    fn allocate(&mut self, memory: u32, raw: u32) -> Result<(), Error> {
        self.memory = memory;
        let count = self.node.request_buffers(OUTPUT, memory, raw)?;
        if count == 0 {
            return Err(too_few("raw pictures"));
        }
        for index in 0..count {
            let planes = if memory == V4L2_MEMORY_MMAP {
                self.node.map(OUTPUT, index, self.planes())?
            } else {
                Vec::new()
            };
            self.raw.push(Slot {
                planes: planes.into_iter().map(Arc::new).collect(),
                queued: false,
                given: false,
                lent: None,
                last: None,
                used: 0,
            });
        }
        Ok(())
    }

    /// Gets buffers for the stream and starts both queues.
    fn start(&mut self) -> Result<(), Error> {
        let count = self
            .node
            .request_buffers(CAPTURE, V4L2_MEMORY_MMAP, ENCODED)?;
        if count == 0 {
            return Err(too_few("the stream"));
        }
        for index in 0..count {
            self.encoded.extend(self.node.map(CAPTURE, index, 1)?);
            self.queue_encoded(index)?;
        }
        self.node.stream_on(OUTPUT)?;
        self.node.stream_on(CAPTURE)?;
        self.streaming = true;
        Ok(())
    }

    fn queue_encoded(&self, index: u32) -> Result<(), Error> {
        let mut planes = [zeroed::<v4l2_plane>()];
        self.node
            .queue(&mut buffer(CAPTURE, V4L2_MEMORY_MMAP, index, &mut planes))
    }

    /// Takes back the pictures that the driver has read.
    fn reclaim(&mut self) -> Result<(), Error> {
        while self.raw.iter().any(|slot| slot.queued) {
            let mut planes = [zeroed::<v4l2_plane>(); VIDEO_MAX_PLANES];
            let count = self.planes();
            let mut taken = buffer(OUTPUT, self.memory, 0, &mut planes[..count]);
            if !self.node.dequeue(&mut taken)? {
                return Ok(());
            }
            if let Some(slot) = self.raw.get_mut(taken.index as usize) {
                slot.queued = false;
                slot.lent = None;
            }
        }
        Ok(())
    }

    /// A free place, rather the one that the same memory was lent to before.
    fn free_slot(&self, dma: Option<&[DmaPlane]>) -> Option<usize> {
        let fd = dma.and_then(|planes| planes.first()).map(|plane| plane.fd);
        let usable = |slot: &Slot| !slot.queued && !slot.given;
        let slots = self.raw.iter().enumerate();
        let free = slots
            .filter(|(_, slot)| usable(slot))
            .map(|(index, slot)| Free {
                index,
                last: slot.last,
                used: slot.used,
            });
        places::choose(free, self.raw.len(), self.pictures, fd)
    }

    /// The place that was given away and that this picture is in.
    fn given_slot(&self, frame: &Frame) -> Option<usize> {
        let given = self.raw.iter().enumerate();
        let mut given = given
            .filter(|(_, slot)| slot.given && !slot.queued)
            .peekable();
        given.peek()?;
        // The frame is asked once: its answer costs more than what it is compared with.
        let mut planes = [(ptr::null(), 0); VIDEO_MAX_PLANES];
        let planes = planes.get_mut(..frame.format.planes())?;
        for (number, plane) in planes.iter_mut().enumerate() {
            let (bytes, stride) = frame.data.plane(number)?;
            *plane = (bytes.as_ptr(), stride);
        }
        let is_there = |slot: &Slot| {
            let places = slot.planes.iter().zip(&self.strides);
            let places = places.map(|(place, stride)| (place.bytes().as_ptr(), *stride as usize));
            places.eq(planes.iter().copied())
        };
        given
            .find(|(_, slot)| is_there(slot))
            .map(|(index, _)| index)
    }

    /// Gives places away, all but the first ones, which copies need.
    fn give(&mut self, kept: usize) -> Vec<Vec<LentPlane>> {
        let strides = self.strides.clone();
        let given = self.raw.iter_mut().skip(kept).map(|slot| {
            slot.given = true;
            let planes = slot.planes.iter().zip(&strides);
            let lend = |(plane, stride): (&Arc<Mapping>, &u32)| LentPlane {
                stride: *stride as usize,
                memory: Box::new(Given(plane.clone())),
            };
            planes.map(lend).collect()
        });
        given.collect()
    }

    /// Copies a picture into a place of the driver's memory.
    fn fill(&mut self, index: usize, frame: &Frame) -> Result<(), Error> {
        let unreadable = || Error::refused(Code::BadAddr, "reading the frame");
        let slot = self.raw.get_mut(index).ok_or_else(unreadable)?;
        for (number, target) in slot.planes.iter_mut().enumerate() {
            let (bytes, stride) = frame.data.plane(number).ok_or_else(unreadable)?;
            let rows = frame.format.rows(number, frame.height);
            let row = frame.format.row_bytes(number, frame.width);
            let to_stride = self.strides.get(number).map_or(row, |s| *s as usize);
            let target = Arc::get_mut(target).ok_or_else(unreadable)?.bytes_mut();
            let needed = to_stride * rows.saturating_sub(1) + row;
            if stride < row
                || bytes.len() < stride * rows.saturating_sub(1) + row
                || target.len() < needed
            {
                return Err(Error::refused(
                    Code::BadAddr,
                    format!("a plane of {} bytes for {rows} rows", target.len()),
                ));
            }
            if stride == to_stride {
                target[..needed].copy_from_slice(&bytes[..needed]);
                continue;
            }
            for (to, from) in target
                .chunks_mut(to_stride)
                .zip(bytes.chunks(stride))
                .take(rows)
            {
                to[..row].copy_from_slice(&from[..row]);
            }
        }
        Ok(())
    }

    /// Hands the picture in a place, or that at `dma`, to the driver. False if it comes back unread.
    fn queue_raw(
        &mut self,
        index: usize,
        frame: &Frame,
        dma: Option<&[DmaPlane]>,
        flags: u32,
    ) -> Result<bool, Error> {
        let given = self.raw.get(index).is_some_and(|slot| slot.given);
        let mut planes = [zeroed::<v4l2_plane>(); VIDEO_MAX_PLANES];
        let count = self.planes();
        for (number, plane) in planes[..count].iter_mut().enumerate() {
            let rows = frame.format.rows(number, frame.height) as u32;
            let stride = self.strides.get(number).copied().unwrap_or_default();
            let used = self
                .sizes
                .get(number)
                .map_or(stride * rows, |size| (stride * rows).min(*size));
            match dma.and_then(|planes| planes.get(number)) {
                Some(lent) => {
                    plane.m.fd = lent.fd;
                    plane.length = lent.size;
                    plane.data_offset = lent.offset;
                    // The offset is part of what is used; to the end, see `Imports`.
                    plane.bytesused = match lent.offset {
                        0 => used.min(lent.size),
                        _ => lent.size,
                    };
                }
                None => plane.bytesused = used,
            }
        }
        let mut queued = buffer(OUTPUT, self.memory, index as u32, &mut planes[..count]);
        queued.flags = flags;
        queued.timestamp = timestamp(frame.pts);
        self.node.queue(&mut queued)?;
        // One that is done before the request is has not been read.
        let taken = queued.flags & V4L2_BUF_FLAG_DONE == 0;
        self.pictures = self.pictures.wrapping_add(1);
        if let Some(slot) = self.raw.get_mut(index) {
            slot.queued = true;
            slot.last = dma.and_then(|planes| planes.first()).map(|plane| plane.fd);
            slot.used = self.pictures;
            slot.lent = (given || dma.is_some()).then(|| frame.data.clone());
        }
        Ok(taken)
    }

    /// Appends the bytes of the next encoded buffer, which goes back to the driver.
    fn take_encoded(&mut self, into: &mut Vec<u8>) -> Result<Option<Piece>, Error> {
        if self.ended {
            return Ok(None);
        }
        let mut planes = [zeroed::<v4l2_plane>()];
        let mut taken = buffer(CAPTURE, V4L2_MEMORY_MMAP, 0, &mut planes);
        if !self.node.dequeue(&mut taken)? {
            return Ok(None);
        }
        let [plane] = planes;
        let begin = into.len();
        if let Some(mapping) = self.encoded.get(taken.index as usize)
            && let Some(bytes) = mapping
                .bytes()
                .get(plane.data_offset as usize..plane.bytesused as usize)
        {
            into.extend_from_slice(bytes);
        }
        self.ended = taken.flags & V4L2_BUF_FLAG_LAST != 0;
        if !self.ended {
            self.queue_encoded(taken.index)?;
        }
        Ok(Some(Piece {
            begin,
            flags: taken.flags,
            pts: microseconds(taken.timestamp),
        }))
    }
}

impl Channel for V4l2Channel {
    fn start(&mut self) -> Result<(), Error> {
        if self.started {
            return Err(Error::refused(Code::NotPerm, "starting a started channel"));
        }
        // Buffers come with the first frame, whose memory says of what kind they are.
        self.started = true;
        Ok(())
    }

    fn send_frame(&mut self, frame: &Frame, limit: Duration) -> Result<(), Error> {
        if !self.started {
            return Err(Error::refused(
                Code::NotPerm,
                "sending to a channel that is not started",
            ));
        }
        frame.fits(&self.attr)?;
        let dma = frame
            .data
            .dma_planes()
            .filter(|planes| planes.len() == frame.format.planes() && self.imports.take(planes));
        let dma = dma.as_deref();
        self.session(dma)?;
        let given = match dma {
            None => self.opened()?.given_slot(frame),
            Some(_) => None,
        };
        let index = match given {
            Some(index) => index,
            None => self.place(dma, limit)?,
        };
        let mut flags = turn(&self.attr);
        let starts_gop = self.idr_wanted || self.since_idr >= self.attr.gop;
        if starts_gop && self.attr.codec != Codec::Jpeg {
            // The driver's own GOP may begin elsewhere after an IDR that was asked for.
            flags |= V4L2_BUF_FLAG_KEYFRAME;
        }
        if dma.is_none() && given.is_none() {
            self.opened()?.fill(index, frame)?;
        }
        flags |= self.announce_regions(frame)?;
        if !self.opened()?.queue_raw(index, frame, dma, flags)? {
            let Some(planes) = dma else {
                return Err(Error::refused(
                    Code::NoMem,
                    format!("queueing a frame into {}", self.path.display()),
                ));
            };
            // It is copied instead, as those after it are.
            self.imports.refuse(planes);
            return self.send_frame(frame, limit);
        }
        match (dma, given) {
            (Some(_), _) => self.status.imported += 1,
            (_, Some(_)) => self.status.pooled += 1,
            _ => self.status.copied += 1,
        }
        if starts_gop {
            self.since_idr = 0;
            self.idr_wanted = false;
        }
        self.since_idr += 1;
        if self.status.frames_inside == 0 {
            self.heard = Instant::now();
        }
        self.status.frames_inside += 1;
        Ok(())
    }

    fn get_stream(&mut self, limit: Duration) -> Result<Stream, Error> {
        let (mut until, mut left) = (None, limit);
        loop {
            if let Some(result) = self.complete.pop_front() {
                return result;
            }
            let until = *until.get_or_insert_with(|| Instant::now() + limit);
            if let Some(opened) = self.opened.as_ref().filter(|opened| opened.streaming)
                && !left.is_zero()
            {
                opened.node.wait(Ready::Capture, left)?;
            }
            self.collect()?;
            let is_streaming = self.opened.as_ref().is_some_and(|opened| opened.streaming);
            if self.complete.is_empty() {
                if left.is_zero() || !is_streaming {
                    return Err(Error::refused(
                        Code::BufEmpty,
                        format!("getting a stream of {}", self.path.display()),
                    ));
                }
                left = until.saturating_duration_since(Instant::now());
            }
        }
    }

    fn query(&self) -> Status {
        Status {
            packs_ready: self.complete.len() as u32,
            ..self.status
        }
    }

    fn request_idr(&mut self) -> Result<(), Error> {
        self.idr_wanted = true;
        Ok(())
    }

    fn set_rate(&mut self, rate: RateControl, gop: u32) -> Result<(), Error> {
        let mut attr = self.attr;
        (attr.rate, attr.gop) = (rate, gop);
        attr.validate_for(|_| true)?;
        let live = match (self.attr.rate, rate) {
            (RateControl::Cbr { .. }, RateControl::Cbr { .. })
            | (RateControl::Vbr { .. }, RateControl::Vbr { .. }) => {
                controls::rate_control(rate).filter(|_| gop == self.attr.gop)
            }
            _ => None,
        };
        let Some(live) = live else {
            return Err(Error::refused(
                Code::NotSupport,
                "changing this of a session that encodes",
            ));
        };
        if let Some(opened) = &self.opened {
            opened
                .node
                .set_control(V4L2_CID_MPEG_VIDEO_BITRATE, live.target_bitrate.into())?;
            if matches!(rate, RateControl::Vbr { .. }) {
                opened.node.set_rate_control(live)?;
            }
        }
        self.attr = attr;
        Ok(())
    }

    fn stop(&mut self) -> Result<(), Error> {
        if !self.started {
            return Ok(());
        }
        self.started = false;
        self.drain()
    }

    fn delay(&self) -> u32 {
        self.delay
    }

    fn describe(&self) -> String {
        self.path.display().to_string()
    }

    fn takes_regions(&self) -> bool {
        self.takes_regions
    }

    fn lend(&mut self, count: u32) -> Result<Vec<Vec<LentPlane>>, Error> {
        if self.opened.is_none() {
            self.opened = Some(Opened::new(&self.path, &self.attr, None)?.0);
        }
        let kept = self.delay + 1 + SPARE_RAW;
        let opened = self.opened()?;
        if !opened.raw.is_empty() {
            return Err(Error::refused(
                Code::NotPerm,
                "lending memory of a session that has its buffers",
            ));
        }
        opened.allocate(V4L2_MEMORY_MMAP, kept + count)?;
        // A driver that gave fewer than were asked for has those that copies need all the same.
        Ok(opened.give(kept as usize))
    }

    fn level(&self) -> Option<Level> {
        self.level
    }

    fn unmapped(&self) -> &[String] {
        &self.unmapped
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if self.streaming {
            // The close that follows would do it as well; a device that is gone does neither.
            let _ = self.node.stream_off(OUTPUT);
            let _ = self.node.stream_off(CAPTURE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive_the_kernels_structure() {
        for time in [0, 1, 999_999, 1_000_000, u64::from(u32::MAX) * 7] {
            assert_eq!(microseconds(timestamp(time)), time);
        }
    }
}
