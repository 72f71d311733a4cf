// SPDX-License-Identifier: MIT OR Apache-2.0
//! A frame as a buffer that an encoder reads, without a copy where it reads the frame's format.

use std::{
    any::Any,
    os::fd::RawFd,
    sync::{Arc, Mutex},
};

use gst_video::{VideoFormat, prelude::*};
use once_cell::sync::OnceCell;

use crate::{k230venc::engines, sync::lock};
use k230_venc::{Code, DmaPlane, Error, Frame, FrameData};

/// A frame that is a GStreamer buffer; the hosted encoder takes the buffer itself.
pub struct BufferFrame {
    pub(super) buffer: gst::Buffer,
    info: gst_video::VideoInfo,
    /// Mapped when a plane is first asked for; a buffer that cannot be mapped now is tried again.
    map: OnceCell<gst_video::VideoFrame<gst_video::video_frame::Readable>>,
}

impl BufferFrame {
    /// A frame of `info`'s layout, or of the buffer's `GstVideoMeta` where it has one.
    pub fn new(buffer: gst::Buffer, info: gst_video::VideoInfo) -> Self {
        Self {
            buffer,
            info,
            map: OnceCell::new(),
        }
    }
}

impl FrameData for BufferFrame {
    fn plane(&self, plane: usize) -> Option<(&[u8], usize)> {
        let map = self
            .map
            .get_or_try_init(|| {
                gst_video::VideoFrame::from_buffer_readable(self.buffer.clone(), &self.info)
            })
            .ok()?;
        let stride = usize::try_from(*map.plane_stride().get(plane)?).ok()?;
        Some((map.plane_data(plane as u32).ok()?, stride))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn dma_planes(&self) -> Option<Vec<DmaPlane>> {
        let count = self.buffer.n_memory();
        if count == 0 {
            return None;
        }
        // Most buffers are told by their first memory, and have no other.
        let first = DmaMemory::of(self.buffer.peek_memory(0))?;
        let meta = self.buffer.meta::<gst_video::VideoMeta>();
        let (offsets, strides) = match &meta {
            Some(meta) => (meta.offset(), meta.stride()),
            None => (self.info.offset(), self.info.stride()),
        };
        let planes = self.info.n_planes() as usize;
        let lent = offsets.iter().zip(strides).take(planes);
        lent.map(|(offset, stride)| {
            let (memory, skipped) = match count {
                1 => Some((first, *offset)).filter(|_| *offset < first.len)?,
                _ => {
                    let (memories, skipped) = self.buffer.find_memory(*offset..*offset + 1)?;
                    let memory = self.buffer.peek_memory(memories.start);
                    (DmaMemory::of(memory)?, skipped)
                }
            };
            Some(DmaPlane {
                fd: memory.fd,
                size: u32::try_from(memory.whole).ok()?,
                offset: u32::try_from(memory.begin + skipped).ok()?,
                stride: u32::try_from(*stride).ok()?,
            })
        })
        .collect()
    }
}

/// A DMA buffer as a memory of a GStreamer buffer.
#[derive(Clone, Copy)]
struct DmaMemory {
    fd: RawFd,
    /// Where the memory begins in it, and how long it is.
    begin: usize,
    len: usize,
    /// Bytes of the DMA buffer.
    whole: usize,
}

impl DmaMemory {
    fn of(memory: &gst::MemoryRef) -> Option<Self> {
        let dma = memory.downcast_memory_ref::<gst_allocators::DmaBufMemory>()?;
        let (len, begin, whole) = memory.sizes();
        Some(Self {
            fd: dma.fd(),
            begin,
            len,
            whole,
        })
    }
}

/// One plane of a frame that is not a GStreamer buffer, kept alive by whoever reads it.
struct PlaneBytes(Arc<dyn FrameData>, usize);

impl AsRef<[u8]> for PlaneBytes {
    fn as_ref(&self) -> &[u8] {
        self.0.plane(self.1).map_or(&[], |(bytes, _)| bytes)
    }
}

/// Memory for chroma planes that no encoder reads any more. Taken by the channel, brought back by
/// whichever thread frees a buffer.
pub(super) type Spare = Arc<Mutex<Vec<Vec<u8>>>>;

/// The chroma planes of a picture, one after the other. Fresh memory for each would cost more than
/// what is written to it, as the pages come from the kernel.
struct Chroma {
    bytes: Vec<u8>,
    home: Spare,
}

impl AsRef<[u8]> for Chroma {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Chroma {
    fn drop(&mut self) {
        lock(&self.home).push(std::mem::take(&mut self.bytes));
    }
}

fn unreadable() -> Error {
    Error::refused(Code::BadAddr, "reading the frame's planes")
}

/// The bytes of a plane, as many as the picture needs, and the distance of its rows.
fn plane(frame: &Frame, plane: usize) -> Result<(&[u8], usize), Error> {
    let (bytes, stride) = frame.data.plane(plane).ok_or_else(unreadable)?;
    let rows = frame.format.rows(plane, frame.height);
    let row = frame.format.row_bytes(plane, frame.width);
    if stride < row || bytes.len() < stride * rows.saturating_sub(1) + row {
        return Err(unreadable());
    }
    Ok((bytes, stride))
}

/// A plane as a memory that has it without a copy, and the distance of its rows.
fn plane_memory(frame: &Frame, number: usize) -> Result<(gst::Memory, usize), Error> {
    let (_, stride) = plane(frame, number)?;
    let bytes = PlaneBytes(frame.data.clone(), number);
    Ok((gst::Memory::from_slice(bytes), stride))
}

/// A buffer around memory that is not GStreamer's, each plane a memory of its own, none copied.
pub(super) fn wrap(frame: &Frame) -> Result<gst::Buffer, Error> {
    let mut memories = Vec::new();
    let mut offsets = Vec::new();
    let mut strides = Vec::new();
    let mut offset = 0;
    for number in 0..frame.format.planes() {
        let (memory, stride) = plane_memory(frame, number)?;
        offsets.push(offset);
        strides.push(stride);
        offset += memory.size();
        memories.push(memory);
    }
    let format = engines::video_format(frame.format);
    assemble(frame, format, memories, &offsets, &strides)
}

/// NV12 as I420: the luma plane as it is, the chroma planes in memory of their own.
pub(super) fn wrap_apart(frame: &Frame, spare: &Spare) -> Result<gst::Buffer, Error> {
    let (bytes, stride) = plane(frame, 1)?;
    let row = frame.format.row_bytes(1, frame.width);
    let rows = frame.format.rows(1, frame.height);
    let mut chroma = Chroma {
        bytes: lock(spare).pop().unwrap_or_default(),
        home: spare.clone(),
    };
    chroma.bytes.resize(row * rows, 0);
    let (u, v) = chroma.bytes.split_at_mut(row / 2 * rows);
    let apart = u.chunks_exact_mut(row / 2).zip(v.chunks_exact_mut(row / 2));
    for ((u, v), both) in apart.zip(bytes.chunks(stride)) {
        let (pairs, _) = both[..row].as_chunks::<2>();
        for ((u, v), pair) in u.iter_mut().zip(v).zip(pairs) {
            // As one number of which the halves are taken, pairs are done sixteen at a time.
            let pair = u16::from_le_bytes(*pair);
            (*u, *v) = (pair as u8, (pair >> 8) as u8);
        }
    }
    let (luma, luma_stride) = plane_memory(frame, 0)?;
    let u_at = luma.size();
    assemble(
        frame,
        VideoFormat::I420,
        [luma, gst::Memory::from_slice(chroma)],
        &[0, u_at, u_at + row / 2 * rows],
        &[luma_stride, row / 2, row / 2],
    )
}

fn assemble(
    frame: &Frame,
    format: VideoFormat,
    memories: impl IntoIterator<Item = gst::Memory>,
    offsets: &[usize],
    strides: &[usize],
) -> Result<gst::Buffer, Error> {
    let strides: Vec<i32> = strides
        .iter()
        .map(|stride| i32::try_from(*stride))
        .collect::<Result<_, _>>()
        .map_err(|_| unreadable())?;
    let mut buffer = gst::Buffer::new();
    let b = buffer.make_mut();
    for memory in memories {
        b.append_memory(memory);
    }
    gst_video::VideoMeta::add_full(
        b,
        gst_video::VideoFrameFlags::empty(),
        format,
        frame.width,
        frame.height,
        offsets,
        &strides,
    )
    .map_err(|_| unreadable())?;
    Ok(buffer)
}
