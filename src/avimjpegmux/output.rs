// SPDX-License-Identifier: MIT OR Apache-2.0
//! The source pad as the file that the writer writes.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use gst::prelude::*;

use super::pace::Pace;
use crate::avi::header::ChunkHeader;
use crate::avi::writer::Output;

/// Chunks up to this size are copied, so that the sink is given many of them as one piece: the copy
/// costs less than a buffer's way through a sink, and systems write large pieces faster.
const COPIED: usize = 16 * 1024;

/// Bytes of such a piece.
pub(super) const PIECE: usize = 256 * 1024;

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
    piece: Option<Vec<u8>>,
    /// Of chunks that are pushed at once, so that a recording that is stopped without an end has them.
    pace: Pace,
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
            piece: is_file.then(Vec::new),
            pace: Pace::new(CHUNK_PACE),
            failed_appending: false,
        }
    }

    /// Passes an event on behind what is written.
    pub fn event(&mut self, event: gst::Event) -> Result<(), gst::FlowError> {
        self.flush(false)?;
        self.pad.push_event(event);
        Ok(())
    }

    /// Has downstream write all there is: it does when it is sent elsewhere.
    pub fn write_through(&mut self) -> Result<(), gst::FlowError> {
        self.flush(false)?;
        self.seek(self.end)
    }

    /// Pushes what is held back.
    fn flush(&mut self, durable: bool) -> Result<(), gst::FlowError> {
        match &mut self.piece {
            Some(piece) if !piece.is_empty() => {
                let piece = std::mem::take(piece);
                self.push_at_end(gst::Buffer::from_slice(piece), durable)
            }
            _ => Ok(()),
        }
    }

    /// Where to put `size` bytes that need not be pushed at once. `None` if they do; then all before
    /// them is.
    fn room(&mut self, size: usize) -> Result<Option<&mut Vec<u8>>, gst::FlowError> {
        let used = self.piece.as_ref().map_or(0, Vec::len);
        let at_once = size > COPIED || self.pace.take();
        if at_once || used + size > PIECE {
            self.flush(false)?;
        }
        let mut piece = self.piece.as_mut().filter(|_| !at_once);
        if let Some(piece) = &mut piece
            && piece.capacity() == 0
        {
            piece.reserve_exact(PIECE);
        }
        Ok(piece)
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
        let size = payload.as_ref().map_or(0, |payload| payload.size());
        if let Some(piece) = self.room(header.len() + size + 1)? {
            piece.extend(header);
            if let Some(payload) = payload {
                piece
                    .extend_from_slice(&payload.map_readable().map_err(|_| gst::FlowError::Error)?);
            }
            piece.extend(padding.then_some(0));
            return if durable { self.flush(true) } else { Ok(()) };
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
        if let Some(piece) = self.room(bytes.len())? {
            piece.extend(bytes);
            return if durable { self.flush(true) } else { Ok(()) };
        }
        self.push_at_end(gst::Buffer::from_slice(bytes), durable)
    }

    fn overwrite(&mut self, position: u64, bytes: &[u8]) -> Result<(), gst::FlowError> {
        self.flush(false)?;
        self.seek(position)?;
        self.push(gst::Buffer::from_slice(bytes.to_vec()), false)
    }
}
