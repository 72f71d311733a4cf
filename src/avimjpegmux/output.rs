// SPDX-License-Identifier: MIT OR Apache-2.0
//! The source pad as the file that the writer writes.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use gst::prelude::*;

use super::pace::Pace;
use super::piece::Piece;
use avi_mjpeg::header::ChunkHeader;
use avi_mjpeg::writer::Output;

/// How often a chunk is pushed at once.
const CHUNK_PACE: Duration = Duration::from_millis(2);

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
}

impl PadOutput {
    /// `is_file` says that nobody waits for the bytes of the file before it is complete.
    pub fn new(pad: gst::Pad, is_file: bool) -> Self {
        Self {
            pad,
            position: 0,
            end: 0,
            piece: is_file.then(Piece::default),
            pace: Pace::new(CHUNK_PACE),
            now: Instant::now(),
            failed_appending: false,
        }
    }

    /// Asks the clock, once for a chunk and all that is decided by its time.
    pub fn tick(&mut self) -> Instant {
        self.now = Instant::now();
        self.now
    }

    /// Passes an event on behind what is written.
    pub fn event(&mut self, event: gst::Event) -> Result<(), gst::FlowError> {
        self.flush()?;
        self.pad.push_event(event);
        Ok(())
    }

    /// Has downstream write all there is: it does when it is sent elsewhere.
    pub fn write_through(&mut self) -> Result<(), gst::FlowError> {
        self.flush()?;
        self.seek(self.end)
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
    pub fn path(&self) -> Option<PathBuf> {
        let mut query = gst::query::Uri::new();
        if !self.pad.peer_query(&mut query) {
            return None;
        }
        let (path, host) = gst::glib::filename_from_uri(&query.uri()?).ok()?;
        host.is_none().then_some(path)
    }

    /// Whether a push returns when the sink has written, as no thread is between it and us.
    pub fn is_written_at_once(&self) -> bool {
        let peer = self.pad.peer().and_then(|peer| peer.parent_element());
        peer.is_some_and(|peer| {
            peer.element_flags().contains(gst::ElementFlags::SINK) && !peer.is::<gst::Bin>()
        })
    }

    /// Bytes that are certainly in the file, after a failure.
    pub fn on_disk(&self) -> Option<u64> {
        if !self.failed_appending {
            return Some(self.end);
        }
        let position = self.pad.peer_query_position::<gst::format::Bytes>()?;
        Some(u64::from(position).min(self.end + u64::from(u32::MAX)))
    }
}

/// What chunks of odd sizes are followed by.
static PADDING: LazyLock<gst::Memory> = LazyLock::new(|| gst::Memory::from_slice([0]));

impl Output for PadOutput {
    type Payload = Option<gst::Buffer>;
    type Error = gst::FlowError;

    fn chunk(
        &mut self,
        header: [u8; ChunkHeader::SIZE],
        payload: Option<gst::Buffer>,
        padding: bool,
        durable: bool,
    ) -> Result<(), gst::FlowError> {
        if self.collects(durable)? {
            self.collect(&header)?;
            // A map of the whole would put parts together first.
            for part in payload.iter().flat_map(|payload| payload.iter_memories()) {
                self.collect_memory(part)?;
            }
            return self.collect(&[0][..usize::from(padding)]);
        }
        let mut chunk = payload.unwrap_or_default();
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
