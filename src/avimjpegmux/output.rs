// SPDX-License-Identifier: MIT OR Apache-2.0
//! The source pad as the file that the writer writes.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use gst::prelude::*;

use super::CAT;
use super::payload::Bytes;
use super::piece::Piece;
use avi_mjpeg::header::ChunkHeader;
use avi_mjpeg::output::Room;
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
    /// What comes behind that, if downstream is a file.
    piece: Option<Piece>,
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
    pub fn begin(pad: gst::Pad) -> Self {
        // Made of several streams, it is none of them.
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
            // Nobody waits for the bytes of a file before it is complete.
            piece: seekable.then(Piece::default),
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
    pub fn event(&mut self, event: gst::Event) -> Result<(), gst::FlowError> {
        self.flush()?;
        self.pad.push_event(event);
        Ok(())
    }

    /// Pushes what is held back.
    fn flush(&mut self) -> Result<(), gst::FlowError> {
        match &mut self.piece {
            Some(piece) if !piece.is_empty() => {
                let buffer = piece.take();
                self.push_at_end(buffer, false)
            }
            _ => Ok(()),
        }
    }

    /// Whether what comes next is collected. If it is not, all before it is pushed.
    fn collects(&mut self, durable: bool) -> Result<bool, gst::FlowError> {
        let collects = self.piece.is_some() && !durable && !self.pace.take(self.now);
        if !collects {
            self.flush()?;
        }
        Ok(collects)
    }

    /// Collects bytes, and pushes each piece that is full.
    fn collect(&mut self, mut bytes: &[u8]) -> Result<(), gst::FlowError> {
        while let (Some(piece), false) = (&mut self.piece, bytes.is_empty()) {
            let size = piece.copy(bytes, self.end);
            bytes = &bytes[size..];
            self.flush_if_full()?;
        }
        Ok(())
    }

    /// The same, without a copy if there is much of it.
    fn collect_memory(&mut self, memory: &gst::MemoryRef) -> Result<(), gst::FlowError> {
        if !Piece::can_share(memory) {
            return self.collect(&memory.map_readable().map_err(|_| gst::FlowError::Error)?);
        }
        let mut from = 0;
        while let (Some(piece), true) = (&mut self.piece, from < memory.size()) {
            from += piece.share(memory, from, self.end);
            self.flush_if_full()?;
        }
        Ok(())
    }

    fn flush_if_full(&mut self) -> Result<(), gst::FlowError> {
        match &self.piece {
            Some(piece) if piece.is_full(self.end) => self.flush(),
            _ => Ok(()),
        }
    }

    fn push_at_end(
        &mut self,
        mut buffer: gst::Buffer,
        durable: bool,
    ) -> Result<(), gst::FlowError> {
        self.seek(self.end)?;
        if durable {
            buffer.make_mut().set_flags(gst::BufferFlags::SYNC_AFTER);
        }
        self.push(buffer, true)
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
            // What the sink held back until now is what failed.
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
                // Wherever downstream is now, it is not where we are.
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

/// What chunks of odd sizes are followed by.
static PADDING: LazyLock<gst::Memory> = LazyLock::new(|| gst::Memory::from_slice([0]));

impl Output for PadOutput {
    type Payload = Bytes;
    type Error = gst::FlowError;

    fn chunk(
        &mut self,
        header: [u8; ChunkHeader::SIZE],
        payload: Bytes,
        padding: bool,
        durable: bool,
    ) -> Result<(), gst::FlowError> {
        if self.collects(durable)? {
            self.collect(&header)?;
            // A map of the whole would put parts together first.
            for part in payload.0.iter_memories() {
                self.collect_memory(part)?;
            }
            return self.collect(&[0][..usize::from(padding)]);
        }
        let mut chunk = payload.0;
        let buffer = chunk.make_mut();
        buffer.prepend_memory(gst::Memory::from_slice(header));
        if padding {
            buffer.append_memory(PADDING.clone());
        }
        self.push_at_end(chunk, durable)
    }

    fn append(&mut self, bytes: Vec<u8>, durable: bool) -> Result<(), gst::FlowError> {
        if self.collects(durable)? {
            return self.collect(&bytes);
        }
        self.push_at_end(gst::Buffer::from_slice(bytes), durable)
    }

    fn overwrite(&mut self, position: u64, bytes: &[u8]) -> Result<(), gst::FlowError> {
        self.flush()?;
        self.seek(position)?;
        self.push(gst::Buffer::from_slice(bytes.to_vec()), false)
    }
}

impl Storage for PadOutput {
    fn is_seekable(&mut self) -> bool {
        self.piece.is_some()
    }

    /// Asks the clock, once for a chunk and all that is decided by its time.
    fn now(&mut self) -> Instant {
        self.now = Instant::now();
        self.now
    }

    fn has_room(&mut self, now: Instant, len: u64, wanted: u64) -> bool {
        let room = self.room.as_mut();
        room.is_none_or(|room| room.has_room(now, len, wanted))
    }

    fn ask_again(&mut self) {
        if let Some(room) = &mut self.room {
            room.forget();
        }
    }

    /// Has downstream write all there is: it does when it is sent elsewhere.
    fn write_through(&mut self) -> Result<(), gst::FlowError> {
        self.flush()?;
        self.seek(self.end)
    }

    fn complete(&mut self, len: u64) -> Result<(), gst::FlowError> {
        self.write_through()?;
        if let Some(room) = &mut self.room {
            room.finish(len);
        }
        Ok(())
    }

    fn on_disk(&mut self) -> Option<u64> {
        if !self.failed_appending {
            return Some(self.end);
        }
        let position = self.pad.peer_query_position::<gst::format::Bytes>()?;
        Some(u64::from(position).min(self.end + u64::from(u32::MAX)))
    }
}
