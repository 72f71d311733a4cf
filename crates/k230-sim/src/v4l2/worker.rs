// SPDX-License-Identifier: MIT OR Apache-2.0
//! The device's side of a session: pictures in, encoded buffers out.

use std::{any::Any, sync::Arc, time::Duration};

use k230_venc::{
    Channel, ChannelAttr, Code, Codec, Error, Frame, FrameData, Pack, PackKind, Stream,
    v4l2::raw::*,
};

use super::{
    faults::falls_on,
    queue::{Memory, Plane},
    session::{Inner, Session},
};

/// What parameter sets are stamped with, which is no picture's time.
const HEADER_TIME: u64 = 99_999_000_000_000;

/// The planes of a queued picture.
struct Picture {
    /// Memory, where the plane begins in it, and the distance of its rows.
    planes: Vec<(Arc<Memory>, usize, usize)>,
}

impl FrameData for Picture {
    fn plane(&self, plane: usize) -> Option<(&[u8], usize)> {
        let (memory, offset, stride) = self.planes.get(plane)?;
        // The hardware reads what the format says, however much the program says it has filled.
        Some((memory.bytes().get(*offset..)?, *stride))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A picture on its way through the encoder.
struct Taken {
    index: usize,
    /// The queue's when it was taken.
    epoch: u64,
    frame: Frame,
    /// Nanoseconds.
    time: u64,
    flags: u32,
    attr: ChannelAttr,
}

/// An encoder of this machine, and what it was made for.
struct Encoder {
    channel: Box<dyn Channel>,
    attr: ChannelAttr,
}

pub(super) fn run(session: &Arc<Session>) {
    let mut encoder: Option<Encoder> = None;
    let mut count = 0u32;
    let mut headers_sent = false;
    loop {
        let Some(taken) = take(session) else {
            if session.lock().broken.is_some() || !wait_for_more(session) {
                return;
            }
            continue;
        };
        count += 1;
        if let Some(error) = broken(session, count) {
            fail(session, error);
            return;
        }
        if session
            .faults
            .silent_after
            .is_some_and(|after| count > after)
        {
            // The picture stays with the device, which has only stopped reading it.
            session.lock().busy = false;
            session.wake_programs();
            continue;
        }
        let damaged = falls_on(session.faults.error_every, count);
        let lost = falls_on(session.faults.drop_every, count);
        let stream = encode(session, &mut encoder, &taken, count);
        let (time, index, epoch) = (taken.time, taken.index, taken.epoch);
        let last = taken.flags & V4L2_BUF_FLAG_LAST != 0;
        drop(taken);
        give_back(session, index, epoch, last);
        match stream {
            Ok(_) if lost => {}
            Ok(_) if damaged => {
                put(session, &[1, 2, 3], time, V4L2_BUF_FLAG_ERROR);
            }
            Ok(stream) => {
                let hide = session.faults.headers_once && headers_sent;
                headers_sent |= deliver(session, &stream, time, hide);
            }
            Err(error) => {
                log::error!("mvx: {error}");
                fail(session, libc::EIO);
                return;
            }
        }
    }
}

/// The session has failed, and nothing comes of it any more.
fn fail(session: &Session, error: i32) {
    let mut inner = session.lock();
    inner.fail(error);
    inner.busy = false;
    session.wake_programs();
}

fn broken(session: &Session, count: u32) -> Option<i32> {
    if session
        .faults
        .gone_after
        .is_some_and(|after| count >= after)
    {
        return Some(libc::ENODEV);
    }
    session
        .faults
        .eio_after
        .is_some_and(|after| count >= after)
        .then_some(libc::EIO)
}

/// Waits for pictures, or ends the stream. False when the session is closed.
fn wait_for_more(session: &Session) -> bool {
    let mut inner = session.lock();
    loop {
        if inner.closed {
            return false;
        }
        if inner.raw.streaming && inner.stream.streaming {
            if is_due(session, &inner) {
                return true;
            }
            if inner.ending
                && session.faults.silent_after.is_none()
                && let Some(index) = inner.stream.incoming.pop_front()
            {
                if let Some(plane) = first_plane(&mut inner, index) {
                    plane.used = 0;
                }
                inner.stream.complete(index, V4L2_BUF_FLAG_LAST);
                inner.ending = false;
                session.wake_programs();
            }
        }
        inner = session.wait_for_work(inner);
    }
}

/// Whether a picture is to be encoded: there are more than stay inside, or no more will come.
fn is_due(session: &Session, inner: &Inner) -> bool {
    let incoming = &inner.raw.incoming;
    let is_empty = |index: &usize| {
        let buffer = inner.raw.buffers.get(*index);
        buffer.is_some_and(|buffer| buffer.planes.iter().all(|plane| plane.used == 0))
    };
    let ends = inner.ending || incoming.iter().any(is_empty);
    incoming.len() > session.faults.keep as usize || (ends && !incoming.is_empty())
}

/// The plane of an encoded buffer.
fn first_plane(inner: &mut Inner, index: usize) -> Option<&mut Plane> {
    let buffer = inner.stream.buffers.get_mut(index)?;
    buffer.planes.first_mut()
}

/// The next picture, `None` if there is none or it is the empty one that ends the stream.
fn take(session: &Session) -> Option<Taken> {
    let mut inner = session.lock();
    if inner.closed || !inner.raw.streaming || !inner.stream.streaming {
        return None;
    }
    if !is_due(session, &inner) {
        return None;
    }
    let index = inner.raw.incoming.pop_front()?;
    let layout = inner.raw_port.layout;
    let buffer = inner.raw.buffers.get(index)?;
    if buffer.planes.iter().all(|plane| plane.used == 0) {
        inner.ending = true;
        inner.raw.complete(index, 0);
        session.wake_programs();
        return None;
    }
    let (Some(codec), Some(format)) = (inner.codec(), layout.format.pixels()) else {
        // What the driver says where its firmware can make nothing of a stream (MVX_FW_CODE_ERROR).
        log::error!("mvx: this double decodes nothing");
        inner.fail(libc::EINVAL);
        session.wake_programs();
        return None;
    };
    let planes = buffer
        .planes
        .iter()
        .zip(layout.strides)
        .filter_map(|(plane, stride)| {
            let memory = plane.memory.clone()?;
            // mvx_buffer_frame_set begins each plane with its memory, wherever it was said to begin.
            let offset = match session.faults.offsets {
                true => plane.data_offset as usize,
                false => 0,
            };
            Some((memory, offset, stride as usize))
        })
        .collect();
    let (time, flags) = (buffer.timestamp, buffer.flags);
    let size = (layout.width, layout.height);
    let attr = inner.values.attr(codec, size, format, flags);
    inner.busy = true;
    Some(Taken {
        index,
        epoch: inner.raw.epoch,
        frame: Frame {
            format,
            width: layout.width,
            height: layout.height,
            pts: time / 1000,
            // No encoder of a PC takes them.
            regions: Vec::new(),
            data: Arc::new(Picture { planes }),
        },
        time,
        flags,
        attr,
    })
}

/// The picture's buffer goes back to the program, unless it has it already.
fn give_back(session: &Session, index: usize, epoch: u64, last: bool) {
    let mut inner = session.lock();
    inner.busy = false;
    inner.ending |= last;
    if inner.raw.epoch == epoch {
        if let Some(buffer) = inner.raw.buffers.get_mut(index) {
            for plane in &mut buffer.planes {
                plane.used = 0;
            }
        }
        // What it came with as the last one it goes back with.
        let flags = if last { V4L2_BUF_FLAG_LAST } else { 0 };
        inner.raw.complete(index, flags);
    }
    drop(inner);
    session.wake_programs();
}

/// Whether the memory of a picture has as many bytes as its format, size and strides say: what an
/// encoder reads beyond that is a fault of the device's memory unit.
fn is_whole(frame: &Frame) -> bool {
    (0..frame.format.planes()).all(|plane| {
        let rows = frame.format.rows(plane, frame.height);
        let row = frame.format.row_bytes(plane, frame.width);
        frame.data.plane(plane).is_some_and(|(bytes, stride)| {
            stride >= row
                && stride
                    .checked_mul(rows.saturating_sub(1))
                    .and_then(|begin| begin.checked_add(row))
                    .is_some_and(|needed| needed <= bytes.len())
        })
    })
}

fn encode(
    session: &Session,
    encoder: &mut Option<Encoder>,
    taken: &Taken,
    count: u32,
) -> Result<Stream, Error> {
    if session.faults.canned {
        return Ok(canned(taken, count));
    }
    if !is_whole(&taken.frame) {
        return Err(Error::refused(
            Code::BadAddr,
            "reading beyond a plane's memory",
        ));
    }
    if let Some(running) = encoder
        && running.attr != taken.attr
    {
        let (attr, wanted) = (running.attr, taken.attr);
        let only_rate = ChannelAttr {
            rate: wanted.rate,
            ..attr
        } == wanted;
        if only_rate && running.channel.set_rate(wanted.rate, wanted.gop).is_ok() {
            running.attr = wanted;
        } else {
            *encoder = None;
        }
    }
    let running = match encoder {
        Some(running) => running,
        None => {
            let mut channel = crate::encoder()?.create_channel(0, &taken.attr)?;
            channel.start()?;
            encoder.insert(Encoder {
                channel,
                attr: taken.attr,
            })
        }
    };
    if taken.flags & V4L2_BUF_FLAG_KEYFRAME != 0 && taken.attr.codec != Codec::Jpeg {
        running.channel.request_idr()?;
    }
    running.channel.send_frame(&taken.frame, Duration::ZERO)?;
    running.channel.get_stream(k230_venc::STUCK_AFTER)
}

/// A stream that takes no time, for measuring the way through the device alone.
fn canned(taken: &Taken, count: u32) -> Stream {
    let key = taken.flags & V4L2_BUF_FLAG_KEYFRAME != 0 || count == 1;
    let (packs, data): (Vec<Pack>, Vec<u8>) = if key {
        let header = [0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 2];
        let pack = |kind, len| Pack { kind, len };
        (
            vec![pack(PackKind::Header, header.len()), pack(PackKind::I, 5)],
            [&header[..], &[0, 0, 1, 0x65, 9]].concat(),
        )
    } else {
        let pack = Pack {
            kind: PackKind::P,
            len: 5,
        };
        (vec![pack], vec![0, 0, 1, 0x41, 9])
    };
    Stream {
        packs,
        pts: taken.frame.pts,
        data: Box::new(data),
    }
}

/// Hands out a picture's stream: the parameter sets in a buffer of their own, unless they are
/// hidden, then the picture. Whether there were parameter sets.
fn deliver(session: &Session, stream: &Stream, time: u64, hide: bool) -> bool {
    let bytes = stream.data.bytes();
    let header = match stream.packs.first() {
        Some(pack) if pack.kind == PackKind::Header => pack.len,
        _ => 0,
    };
    let (sets, picture) = bytes.split_at(header.min(bytes.len()));
    if !sets.is_empty() && !hide {
        put(session, sets, HEADER_TIME, V4L2_BUF_FLAG_MVX_CODEC_CONFIG);
    }
    let room = session.faults.pieces.unwrap_or(usize::MAX).clamp(
        1,
        session.lock().stream_port.layout.sizes[0].max(1) as usize,
    );
    let mut pieces = picture.chunks(room).peekable();
    while let Some(piece) = pieces.next() {
        // The end of a picture, whatever picture it is.
        let flags = match pieces.peek() {
            Some(_) => 0,
            None => V4L2_BUF_FLAG_KEYFRAME,
        };
        put(session, piece, time, flags);
    }
    !sets.is_empty()
}

/// Fills the next encoded buffer, waiting for one. One in error keeps whatever time it had.
fn put(session: &Session, bytes: &[u8], time: u64, flags: u32) {
    let mut inner = session.lock();
    let index = loop {
        if inner.closed || !inner.stream.streaming {
            return;
        }
        if let Some(index) = inner.stream.incoming.pop_front() {
            break index;
        }
        inner.wants_room = true;
        inner = session.wait_for_work(inner);
        inner.wants_room = false;
    };
    let mut flags = flags;
    if let Some(buffer) = inner.stream.buffers.get_mut(index)
        && let Some(plane) = buffer.planes.first_mut()
    {
        if let Some(memory) = &plane.memory
            && !memory.write(bytes)
        {
            log::error!("mvx: the memory of an encoded buffer is gone");
            flags |= V4L2_BUF_FLAG_ERROR;
        }
        plane.used = (bytes.len() as u32).min(plane.len);
        plane.data_offset = 0;
        if flags & V4L2_BUF_FLAG_ERROR == 0 {
            buffer.timestamp = time;
        }
    }
    inner.stream.complete(index, flags);
    drop(inner);
    session.wake_programs();
}
