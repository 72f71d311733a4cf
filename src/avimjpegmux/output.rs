// SPDX-License-Identifier: MIT OR Apache-2.0
//! The source pad as the file that the writer writes.

use std::path::PathBuf;
use std::sync::LazyLock;

use gst::prelude::*;

use crate::avi::header::ChunkHeader;
use crate::avi::writer::Output;

/// The source pad as a file.
#[derive(Debug)]
pub(super) struct PadOutput {
    pub pad: gst::Pad,
    /// Where downstream is going to write.
    position: u64,
    /// The end of the file.
    pub end: u64,
    /// What failed was appended, not overwritten.
    failed_appending: bool,
}

impl PadOutput {
    pub fn new(pad: gst::Pad) -> Self {
        Self {
            pad,
            position: 0,
            end: 0,
            failed_appending: false,
        }
    }

    /// Has downstream write at `position`, and what it holds back so far before that.
    pub fn seek(&mut self, position: u64) -> Result<(), gst::FlowError> {
        if self.position == position {
            return Ok(());
        }
        let mut segment = gst::FormattedSegment::<gst::format::Bytes>::new();
        let start = gst::format::Bytes::from_u64(position);
        segment.set_start(start);
        segment.set_time(start);
        segment.set_position(start);
        if !self.pad.push_event(gst::event::Segment::new(&segment)) {
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
        self.seek(self.end)?;
        let mut chunk = payload.unwrap_or_default();
        let buffer = chunk.make_mut();
        buffer.prepend_memory(gst::Memory::from_slice(header));
        if padding {
            buffer.append_memory(PADDING.clone());
        }
        if durable {
            buffer.set_flags(gst::BufferFlags::SYNC_AFTER);
        }
        self.push(chunk, true)
    }

    fn append(&mut self, bytes: Vec<u8>, durable: bool) -> Result<(), gst::FlowError> {
        self.seek(self.end)?;
        let mut buffer = gst::Buffer::from_slice(bytes);
        if durable && let Some(buffer) = buffer.get_mut() {
            buffer.set_flags(gst::BufferFlags::SYNC_AFTER);
        }
        self.push(buffer, true)
    }

    fn overwrite(&mut self, position: u64, bytes: &[u8]) -> Result<(), gst::FlowError> {
        self.seek(position)?;
        self.push(gst::Buffer::from_slice(bytes.to_vec()), false)
    }
}
