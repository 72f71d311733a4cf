// SPDX-License-Identifier: MIT OR Apache-2.0
//! The source pad as the file that the writer writes.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use gst::prelude::*;

use super::CAT;
use super::payload::{Bytes, buffer_of, is_shared, memory_of};
use crate::failure;
use avi_mjpeg::output::{Piece, Room};
use avi_mjpeg::recorder::{Pace, Storage};
use avi_mjpeg::writer::Output;

/// How often a chunk is pushed at once.
const CHUNK_PACE: Duration = Duration::from_millis(2);

/// Whether what is downstream of a pad can be written again.
pub(super) fn is_seekable(pad: &gst::Pad) -> bool {
    let mut query = gst::query::Seeking::new(gst::Format::Bytes);
    pad.peer_query(&mut query) && query.result().0
}

/// The source pad as a file.
#[derive(Debug)]
pub(super) struct PadOutput {
    pad: gst::Pad,
    /// Where downstream is going to write.
    position: u64,
    /// The end of the file, as far as downstream has it.
    end: u64,
    /// What comes behind that: collected into pieces, or pushed at once and as it is.
    piece: Piece<gst::Memory>,
    parts: gst::Buffer,
    collects: bool,
    /// Nobody waits for the bytes of a file before it is complete.
    is_file: bool,
    /// Of chunks that are pushed at once, so that a recording that is stopped without an end has them.
    pace: Pace,
    /// When the last chunk came.
    now: Instant,
    /// What failed was appended, not overwritten.
    failed_appending: bool,
    /// What the disk has for the file; `None` if it is not known.
    room: Option<Room>,
}

impl PadOutput {
    /// Tells downstream what comes.
    pub(crate) fn begin(pad: gst::Pad) -> Self {
        // A file of several streams has a stream id of its own.
        let stream_id = format!("avimjpegmux-{:08x}", gst::glib::random_int());
        pad.push_event(
            gst::event::StreamStart::builder(&stream_id)
                .group_id(gst::GroupId::next())
                .build(),
        );
        pad.push_event(gst::event::Caps::new(&pad.pad_template_caps()));
        let segment = gst::FormattedSegment::<gst::format::Bytes>::new();
        pad.push_event(gst::event::Segment::new(&segment));

        let seekable = is_seekable(&pad);
        gst::debug!(CAT, obj = pad, "downstream is seekable: {seekable}");
        let mut output = Self {
            pad,
            position: 0,
            end: 0,
            piece: Piece::default(),
            parts: gst::Buffer::new(),
            collects: false,
            is_file: seekable,
            pace: Pace::new(CHUNK_PACE),
            now: Instant::now(),
            failed_appending: false,
            room: None,
        };
        let at_once = output.is_written_at_once();
        output.room = output.path().and_then(|path| Room::of(&path, at_once));
        output
    }

    /// Passes an event on behind what is written.
    pub(crate) fn event(&mut self, event: gst::Event) -> Result<(), gst::FlowError> {
        self.flush(false)?;
        self.pad.push_event(event);
        Ok(())
    }

    /// Pushes what is held back.
    fn flush(&mut self, durable: bool) -> Result<(), gst::FlowError> {
        let mut buffer = match (self.piece.is_empty(), self.parts.size()) {
            (true, 0) => return Ok(()),
            (true, _) => std::mem::take(&mut self.parts),
            (false, _) => buffer_of(&mut self.piece),
        };
        if durable {
            buffer.make_mut().set_flags(gst::BufferFlags::SYNC_AFTER);
        }
        self.seek(self.end)?;
        self.push(buffer, true)
    }

    fn flush_if_full(&mut self) -> Result<(), gst::FlowError> {
        match self.piece.is_full(self.end) {
            true => self.flush(false),
            false => Ok(()),
        }
    }

    /// Has downstream write at `position`, and what it holds back so far before that.
    fn seek(&mut self, position: u64) -> Result<(), gst::FlowError> {
        if self.position == position {
            return Ok(());
        }
        let mut segment = gst::FormattedSegment::<gst::format::Bytes>::new();
        let start = gst::format::Bytes::from_u64(position);
        segment.set_start(start);
        segment.set_time(start);
        segment.set_position(start);
        if !self.pad.push_event(gst::event::Segment::new(&segment)) {
            // The sink wrote what it had held back, and that failed.
            self.failed_appending = self.position == self.end;
            self.position = u64::MAX;
            return Err(if self.pad.pad_flags().contains(gst::PadFlags::FLUSHING) {
                gst::FlowError::Flushing
            } else {
                gst::FlowError::Error
            });
        }
        self.position = position;
        Ok(())
    }

    fn push(&mut self, buffer: gst::Buffer, appending: bool) -> Result<(), gst::FlowError> {
        let size = buffer.size() as u64;
        match self.pad.push(buffer) {
            Ok(_) => {
                self.position += size;
                if appending {
                    self.end = self.position;
                }
                Ok(())
            }
            Err(error) => {
                self.failed_appending = appending;
                // Where downstream stands now is unknown: the next write seeks.
                self.position = u64::MAX;
                Err(error)
            }
        }
    }

    /// Where downstream writes, if it is a file and says so.
    fn path(&self) -> Option<PathBuf> {
        let mut query = gst::query::Uri::new();
        if !self.pad.peer_query(&mut query) {
            return None;
        }
        let (path, host) = gst::glib::filename_from_uri(&query.uri()?).ok()?;
        host.is_none().then_some(path)
    }

    /// Whether a push returns when the sink has written, as no thread is between it and us.
    fn is_written_at_once(&self) -> bool {
        let peer = self.pad.peer().and_then(|peer| peer.parent_element());
        peer.is_some_and(|peer| {
            peer.element_flags().contains(gst::ElementFlags::SINK) && !peer.is::<gst::Bin>()
        })
    }
}

impl Output for PadOutput {
    type Payload = Bytes;
    type Error = gst::FlowError;

    fn begin(&mut self, durable: bool) -> Result<(), gst::FlowError> {
        self.collects = self.is_file && !durable && !self.pace.take(self.now);
        match self.collects {
            true => Ok(()),
            false => self.flush(false),
        }
    }

    fn put(&mut self, mut bytes: &[u8]) -> Result<(), gst::FlowError> {
        if !self.collects {
            self.parts.make_mut().append_memory(memory_of(bytes));
            return Ok(());
        }
        while !bytes.is_empty() {
            let size = self.piece.copy(bytes, self.end);
            bytes = &bytes[size..];
            self.flush_if_full()?;
        }
        Ok(())
    }

    fn put_payload(&mut self, payload: Bytes) -> Result<(), gst::FlowError> {
        if !self.collects {
            self.parts.append(payload.0);
            return Ok(());
        }
        // Part by part: to map the whole buffer would copy its parts together first.
        for (n, memory) in payload.0.iter_memories().enumerate() {
            if !is_shared(memory) {
                let element = self.pad.parent_element();
                let map = memory.map_readable();
                self.put(&map.map_err(|_| failure::unreadable(element.as_ref()))?)?;
                continue;
            }
            let (mut from, all) = (0, memory.size());
            while from < all {
                from += self.piece.share(all - from, self.end, |size| {
                    let whole = payload.0.memory(n).filter(|_| size == all);
                    whole.unwrap_or_else(|| memory.share(from..from + size))
                });
                self.flush_if_full()?;
            }
        }
        Ok(())
    }

    fn end(&mut self, durable: bool) -> Result<(), gst::FlowError> {
        match self.collects {
            true => Ok(()),
            false => self.flush(durable),
        }
    }

    fn overwrite(&mut self, position: u64, bytes: &[u8]) -> Result<(), gst::FlowError> {
        self.flush(false)?;
        self.seek(position)?;
        self.push(gst::Buffer::from_slice(bytes.to_vec()), false)
    }
}

impl Storage for PadOutput {
    fn is_seekable(&mut self) -> bool {
        self.is_file
    }

    /// Asks the clock, once for a chunk and all that is decided by its time.
    fn now(&mut self) -> Instant {
        self.now = Instant::now();
        self.now
    }

    fn room(&mut self) -> Option<&mut Room> {
        self.room.as_mut()
    }

    /// Has downstream write all there is: it does when it is sent elsewhere.
    fn write_through(&mut self) -> Result<(), gst::FlowError> {
        self.flush(false)?;
        self.seek(self.end)
    }

    fn on_disk(&mut self) -> Option<u64> {
        if !self.failed_appending {
            return Some(self.end);
        }
        let position = self.pad.peer_query_position::<gst::format::Bytes>()?;
        Some(u64::from(position).min(self.end + u64::from(u32::MAX)))
    }
}
