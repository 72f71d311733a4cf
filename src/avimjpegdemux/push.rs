// SPDX-License-Identifier: MIT OR Apache-2.0
//! Taking apart a file that comes as a stream.

use std::sync::Arc;

use avi_mjpeg::reader::stream::{Item, StreamReader};

use super::output::{self, MakePad, Output};
use super::seek::{Seek, range_of};
use super::shared::Shared;

/// A stream whose data is this late gets a gap event: files are interleaved by
/// up to a second.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(2);

/// After so many chunks a stream that was announced is not waited for.
const ALL_PADS: u32 = 64;

/// Where upstream has to go next.
pub struct GoTo {
    /// The byte.
    pub pos: u64,
    pub seqnum: gst::Seqnum,
}

/// The stream being taken apart. Only the streaming thread has it, or who
/// stopped that thread to seek.
pub struct Push {
    element: gst::Element,
    make_pad: MakePad,
    shared: Arc<Shared>,
    reader: StreamReader,
    pub output: Option<Output>,
    /// The segment of a seek that has not arrived.
    seeking: Option<(gst::FormattedSegment<gst::ClockTime>, gst::Seqnum)>,
    /// A seek was asked for; until upstream flushes for it what comes is of no use, and must not
    /// have upstream go elsewhere again.
    pub awaits_flush: bool,
    pub group: Option<gst::GroupId>,
    chunks: u32,
}

impl Push {
    pub fn new(element: &gst::Element, make_pad: MakePad, shared: &Arc<Shared>) -> Box<Self> {
        Box::new(Self {
            element: element.clone(),
            make_pad,
            shared: shared.clone(),
            reader: StreamReader::new(),
            output: None,
            seeking: None,
            awaits_flush: false,
            group: None,
            chunks: 0,
        })
    }

    /// A flush drops what has come.
    pub fn flush(&mut self) {
        self.awaits_flush = false;
        self.reader.flush();
    }

    /// The bytes that follow begin at `pos`.
    pub fn begin(&mut self, pos: u64) {
        if self.awaits_flush {
            return;
        }
        if self.reader.begin(pos)
            && let (Some(output), Some((segment, seqnum))) = (&mut self.output, self.seeking.take())
        {
            output.begin_segment(segment, seqnum);
        }
    }

    pub fn has_pads(&self) -> bool {
        self.output.as_ref().is_some_and(Output::has_pads)
    }

    /// Where upstream has to go for a seek in a file of `size` bytes; the caller has stopped the
    /// streaming thread.
    pub fn seek(&mut self, seek: &Seek, size: Option<u64>) -> Option<u64> {
        let mut segment = self.output.as_ref()?.segment.clone();
        segment.set_duration(self.shared.duration());
        let picture_at = |ns, after| self.reader.picture_at(ns, after);
        if !seek.apply(&mut segment, &picture_at) {
            return None;
        }
        let pos = self.reader.seek(range_of(&segment), size)?;
        self.seeking = Some((segment, seek.seqnum));
        self.awaits_flush = true;
        Some(pos)
    }

    /// Takes a piece of the file in. Answers where upstream has to go next, if it has to.
    pub fn feed(&mut self, buffer: &gst::Buffer) -> Result<Option<GoTo>, gst::FlowError> {
        if self.awaits_flush {
            return Ok(None);
        }
        let map = buffer.map_readable().map_err(|_| gst::FlowError::Error)?;
        self.reader.push(&map);
        drop(map);
        self.run()
    }

    /// There is no more of the file. Answers as [`feed`](Self::feed) does.
    pub fn drain(&mut self) -> Result<Option<GoTo>, gst::FlowError> {
        self.reader.finish();
        match self.run() {
            Err(gst::FlowError::Eos) | Ok(None) => {}
            other => return other,
        }
        if let Some(output) = &mut self.output {
            if !output.has_pads() {
                // A header and nothing else is an empty recording.
                let streams = self
                    .reader
                    .header()
                    .map_or(0, |header| header.streams.len());
                let all: Vec<usize> = (0..streams).collect();
                output.expose(&all);
            }
            output.no_more_pads();
            output.finish();
        }
        self.tell_duration();
        Ok(None)
    }

    fn tell_duration(&self) -> Option<gst::ClockTime> {
        let duration = self.reader.duration()?;
        self.shared.set_duration(duration);
        Some(gst::ClockTime::from_nseconds(duration))
    }

    fn run(&mut self) -> Result<Option<GoTo>, gst::FlowError> {
        loop {
            let item = self.reader.step();
            output::tell(&self.element, self.reader.take_findings());
            let item = item.map_err(|err| {
                gst::element_error!(self.element, gst::StreamError::WrongType, ("{err}"));
                gst::FlowError::Error
            })?;
            if self.shared.is_stopping() {
                return Err(gst::FlowError::Flushing);
            }
            match item {
                None => return Ok(None),
                Some(Item::Header) => self.start()?,
                Some(Item::Unit(unit)) => {
                    let (Some(output), Some(header)) = (&mut self.output, self.reader.header())
                    else {
                        continue;
                    };
                    output.start_segment();
                    if !output.is_exposed(unit.stream) {
                        output.expose(&[unit.stream]);
                    }
                    self.chunks += 1;
                    if self.chunks == ALL_PADS || output.has_all_pads() {
                        output.no_more_pads();
                    }
                    output.push(header, unit, gst::Buffer::from_slice)?;
                }
                Some(Item::Searching) => {}
                Some(Item::GoTo(pos)) => {
                    let seqnum = self.seeking.as_ref().map(|(_, seqnum)| *seqnum);
                    let seqnum = seqnum.unwrap_or_else(gst::Seqnum::next);
                    return Ok(Some(GoTo { pos, seqnum }));
                }
                Some(Item::Over | Item::End) => return Err(gst::FlowError::Eos),
            }
        }
    }

    /// The streams are known.
    fn start(&mut self) -> Result<(), gst::FlowError> {
        let Some(header) = self.reader.header() else {
            return Ok(());
        };
        let picture = self.reader.first_picture();
        let sampling = picture.and_then(|picture| picture.sampling_name());
        let (element, group) = (&self.element, self.group);
        let mut output = Output::new(element, self.make_pad, header, sampling, group, PATIENCE)?;
        let mut segment = gst::FormattedSegment::new();
        segment.set_duration(self.tell_duration());
        let seqnum = output.seqnum;
        output.begin_segment(segment, seqnum);
        self.output = Some(output);
        Ok(())
    }
}
