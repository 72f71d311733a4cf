// SPDX-License-Identifier: MIT OR Apache-2.0
//! Taking apart a file that comes as a stream.

use std::sync::Arc;

use crate::failure;
use avi_mjpeg::reader::stream::{Item, StreamReader};

use super::output::{MakePad, Output};
use super::seek::Seek;
use super::shared::{Segment, Shared};

/// After so many chunks a stream that was announced is not waited for.
const ALL_PADS: u32 = 64;

/// Where upstream has to go next.
pub(crate) struct GoTo {
    /// The byte.
    pub pos: u64,
    pub seqnum: gst::Seqnum,
}

/// The stream being taken apart. Only the streaming thread has it, or who
/// stopped that thread to seek.
pub(crate) struct Push {
    element: gst::Element,
    shared: Arc<Shared>,
    reader: StreamReader,
    pub output: Output,
    /// A seek that has not arrived, and its segment.
    seeking: Option<(Seek, Segment)>,
    /// A seek was asked for; until upstream flushes for it what comes is of no use, and must not
    /// have upstream go elsewhere again.
    pub awaits_flush: bool,
    /// Where upstream has to go next, if it has to.
    pub to: Option<GoTo>,
    /// Nothing more is played, which was posted.
    pub failed: bool,
}

impl Push {
    pub(crate) fn new(element: &gst::Element, make_pad: MakePad, shared: &Arc<Shared>) -> Self {
        Self {
            element: element.clone(),
            shared: shared.clone(),
            reader: StreamReader::new(),
            output: Output::new(element, make_pad, shared, ALL_PADS),
            seeking: None,
            awaits_flush: false,
            to: None,
            failed: false,
        }
    }

    /// A flush drops what has come.
    pub(crate) fn flush(&mut self) {
        self.awaits_flush = false;
        self.to = None;
        self.failed = false;
        self.reader.flush();
    }

    /// The bytes that follow begin at `pos`.
    pub(crate) fn begin(&mut self, pos: u64) {
        if !self.awaits_flush {
            self.reader.begin(pos);
        }
    }

    /// Where upstream has to go for a seek in a file of `size` bytes; the caller has stopped the
    /// streaming thread.
    pub(crate) fn seek(&mut self, seek: Seek, size: Option<u64>) -> Option<u64> {
        self.reader.header()?;
        let segment = seek.apply(&self.output.segment, self.shared.duration())?;
        let pos = self.reader.seek(seek.range(&segment), size)?;
        self.output.repeat_caps();
        self.seeking = Some((seek, segment));
        self.to = None;
        self.awaits_flush = true;
        Some(pos)
    }

    /// Takes a piece of the file in.
    pub(crate) fn feed(&mut self, buffer: &gst::Buffer) -> Result<(), gst::FlowError> {
        if self.failed {
            return Err(gst::FlowError::Error);
        }
        if self.awaits_flush {
            return Ok(());
        }
        let map = buffer.map_readable();
        let map = map.map_err(|_| failure::unreadable(Some(&self.element)))?;
        self.reader.push(&map);
        drop(map);
        self.run()
    }

    /// There is no more of the file, unless upstream has to go elsewhere.
    pub(crate) fn drain(&mut self) -> Result<(), gst::FlowError> {
        if self.failed {
            // What is downstream of it may complete what it has.
            self.output.end();
        }
        if self.failed || self.awaits_flush {
            return Ok(());
        }
        self.reader.finish();
        match self.run() {
            Err(gst::FlowError::Eos) | Ok(()) => {}
            other => return other,
        }
        if self.to.is_some() {
            self.awaits_flush = true;
            return Ok(());
        }
        if let Some(duration) = self.reader.duration() {
            let told = self.shared.duration().map(gst::ClockTime::nseconds);
            self.shared.set_duration(duration);
            if told != Some(duration) {
                self.output.correct_duration(duration);
            }
        }
        if self.reader.header().is_some() {
            self.output.finish();
        }
        if !self.output.has_pads() {
            let text = "The stream ended before there was a frame in it";
            gst::element_error!(self.element, gst::StreamError::Demux, ("{text}"));
        }
        Ok(())
    }

    fn run(&mut self) -> Result<(), gst::FlowError> {
        loop {
            let item = self.reader.step();
            self.output.tell(self.reader.take_findings());
            let item = item.map_err(|err| {
                gst::element_error!(self.element, gst::StreamError::WrongType, ("{err}"));
                gst::FlowError::Error
            })?;
            if self.shared.is_stopping() {
                return Err(gst::FlowError::Flushing);
            }
            let Some(item) = item else {
                return Ok(());
            };
            match (item, self.reader.header()) {
                (Item::Header, Some(header)) => {
                    let (picture, duration) = (self.reader.first_picture(), self.reader.duration());
                    self.output.open(header, picture, duration)?;
                }
                (Item::Unit(unit), Some(header)) => {
                    self.output.push(header, unit, gst::Buffer::from_slice)?;
                }
                (Item::Gap(gap), _) => self.output.gap(gap),
                (Item::GoTo(pos), _) => {
                    let seqnum = self.seeking.as_ref().map(|(seek, _)| seek.seqnum);
                    let seqnum = seqnum.unwrap_or_else(gst::Seqnum::next);
                    self.to = Some(GoTo { pos, seqnum });
                    return Ok(());
                }
                (Item::Landed(range), _) => {
                    if let Some((seek, segment)) = self.seeking.take() {
                        let segment = seek.landed(segment, &range);
                        self.output.begin_segment(segment, seek.seqnum);
                    }
                }
                (Item::Over | Item::End, _) => return Err(gst::FlowError::Eos),
                (Item::Searching | Item::Header | Item::Unit(_), _) => {}
            }
        }
    }
}
