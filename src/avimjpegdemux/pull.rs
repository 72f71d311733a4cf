// SPDX-License-Identifier: MIT OR Apache-2.0
//! Playing a file that can be read at any place: a task that opens it and
//! pushes chunk after chunk by the index.

use std::ops::Range;

use gst::prelude::*;
use gst::subclass::prelude::*;

use avi_mjpeg::reader::headers::Format;
use avi_mjpeg::reader::play::Playback;
use avi_mjpeg::reader::window::ReadAt;
use avi_mjpeg::reader::{OpenError, Payload, Reader};

use super::imp::{AviMjpegDemux, CAT};
use super::output::{self, Chunk, Output};

/// Chunks that are looked for before anything is played: the whole of most
/// recordings without an index, some 20 ms of work.
const FIRST_SCAN: usize = 20_000;

/// Chunks looked for between two looks at whether to stop.
const SCAN_STEP: usize = 2_000;

/// A search of more bytes than this is told of by progress messages.
const LONG: u64 = 32 << 20;

/// Chunks pushed before the task looks at its state.
const BATCH: usize = 16;

/// A stream without data for so long gets a gap event.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_mseconds(500);

/// The file upstream.
pub struct PadSource {
    pad: gst::Pad,
    size: u64,
}

impl ReadAt for PadSource {
    type Block = Block;
    type Error = gst::FlowError;

    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&mut self, pos: u64, len: usize) -> Result<Block, gst::FlowError> {
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        match self.pad.pull_range(pos, len) {
            Ok(buffer) => buffer
                .into_mapped_buffer_readable()
                .map(|mapped| Block(Some(mapped)))
                .map_err(|_| {
                    gst::error!(CAT, obj = self.pad, "A buffer cannot be read");
                    gst::FlowError::Error
                }),
            // The file has become shorter.
            Err(gst::FlowError::Eos) => Ok(Block(None)),
            Err(err) => Err(err),
        }
    }
}

/// A piece of the file, mapped while it is looked at.
pub struct Block(Option<gst::MappedBuffer<gst::buffer::Readable>>);

impl Block {
    /// Some of its bytes, which stay where they are.
    fn part(&self, range: Range<usize>) -> Option<gst::Buffer> {
        let buffer = self.0.as_ref()?.buffer();
        buffer.copy_region(gst::BufferCopyFlags::MEMORY, range).ok()
    }

    /// The same without another buffer, if this one is nobody else's.
    fn into_part(self, range: Range<usize>) -> Option<gst::Buffer> {
        let mut buffer = self.0?.into_buffer();
        let Some(own) = buffer.get_mut() else {
            return buffer.copy_region(gst::BufferCopyFlags::MEMORY, range).ok();
        };
        if own.n_memory() == 1
            && let Ok(memory) = own.peek_memory_mut(0)
        {
            memory.resize(range);
        } else {
            own.resize(range).ok()?;
        }
        own.unset_flags(gst::BufferFlags::all() - gst::BufferFlags::TAG_MEMORY);
        own.set_dts(None);
        Some(buffer)
    }
}

impl From<&[u8]> for Block {
    fn from(bytes: &[u8]) -> Self {
        let mut buffer = gst::Buffer::with_size(bytes.len()).ok();
        if let Some(own) = buffer.as_mut().and_then(gst::Buffer::get_mut) {
            let _ = own.copy_from_slice(0, bytes);
        }
        Self(buffer.and_then(|buffer| buffer.into_mapped_buffer_readable().ok()))
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |mapped| mapped.as_slice())
    }
}

/// The file being played. Only the streaming thread has it, or who stopped
/// that thread.
pub struct Pull {
    reader: Reader<PadSource>,
    playback: Playback,
    pub output: Output,
    /// Where to go before playing on, in the segment's direction.
    pub target: Option<gst::ClockTime>,
    told_duration: u64,
    started: bool,
    /// Files joined on that the output knows of.
    joined: usize,
    /// How far a told search was when it was last told.
    told: Option<u64>,
}

impl Pull {
    /// The file's duration, as exactly as is known.
    pub fn duration(&self) -> gst::ClockTime {
        gst::ClockTime::from_nseconds(self.reader.duration())
    }

    /// The first video stream, which key unit seeks go by.
    pub fn video(&self) -> Option<&avi_mjpeg::reader::headers::Stream> {
        self.reader
            .header()
            .streams
            .iter()
            .find(|s| matches!(s.format, Format::Jpeg { .. }))
    }

    pub fn open(imp: &AviMjpegDemux, pad: &gst::Pad) -> Result<Box<Self>, gst::FlowError> {
        let Some(size) = pad.peer_query_duration::<gst::format::Bytes>() else {
            gst::element_imp_error!(
                imp,
                gst::ResourceError::Read,
                ("The size of the file cannot be found out")
            );
            return Err(gst::FlowError::Error);
        };
        let source = PadSource {
            pad: pad.clone(),
            size: *size,
        };
        let mut reader = match Reader::open(source) {
            Ok(reader) => reader,
            Err(OpenError::Read(flow)) => return Err(flow),
            Err(err @ OpenError::NotAvi { .. }) => {
                gst::element_imp_error!(imp, gst::StreamError::WrongType, ("{err}"));
                return Err(gst::FlowError::Error);
            }
        };
        reader.scan(FIRST_SCAN)?;
        let header = reader.header();
        gst::debug!(CAT, imp = imp, "header: {header:?}");
        let sampling = reader.first_picture().and_then(|f| f.sampling_name());
        let output = Output::new(header, sampling, None, PATIENCE);
        let streams = header.streams.len();
        Ok(Box::new(Self {
            playback: Playback::new(streams),
            reader,
            output,
            target: None,
            told_duration: 0,
            started: false,
            joined: 0,
            told: None,
        }))
    }

    /// Makes the pads of the streams that have chunks.
    fn start(&mut self, imp: &AviMjpegDemux) -> Result<(), gst::FlowError> {
        self.started = true;
        self.output.warn_of_others(imp);
        if !self.output.has_streams() {
            gst::element_imp_error!(
                imp,
                gst::StreamError::CodecNotFound,
                ("There is no Motion JPEG and no PCM stream in this file")
            );
            return Err(gst::FlowError::Error);
        }
        let which: Vec<usize> = (0..self.reader.header().streams.len())
            .filter(|&n| self.reader.index().chunks(n) > 0)
            .collect();
        if which.is_empty() && self.reader.is_complete() {
            // A header and nothing else is an empty recording.
            let all: Vec<usize> = (0..self.reader.header().streams.len()).collect();
            self.output.expose(imp, &all);
        } else {
            self.output.expose(imp, &which);
        }
        self.output.no_more_pads(imp);
        let mut segment = gst::FormattedSegment::new();
        segment.set_duration(self.duration());
        let seqnum = self.output.seqnum;
        self.output.begin_segment(segment, seqnum);
        self.tell_duration(imp);
        self.output.start_segment(true);
        Ok(())
    }

    fn tell_duration(&mut self, imp: &AviMjpegDemux) {
        let duration = self.reader.duration();
        if duration == self.told_duration {
            return;
        }
        let told = std::mem::replace(&mut self.told_duration, duration);
        imp.set_duration(gst::ClockTime::from_nseconds(duration));
        if told != 0 && self.reader.is_complete() {
            self.output.segment.set_duration(self.duration());
            let element = imp.obj();
            let _ = element.post_message(
                gst::message::DurationChanged::builder()
                    .src(&*element)
                    .build(),
            );
        }
    }

    fn progress(&mut self, imp: &AviMjpegDemux, kind: gst::ProgressType, text: &str) {
        let element = imp.obj();
        let _ = element.post_message(
            gst::message::Progress::builder(kind, "index", text)
                .src(&*element)
                .build(),
        );
    }

    /// Tells how far the search for chunks is, in steps of a twentieth.
    fn tell_progress(&mut self, imp: &AviMjpegDemux) {
        let size = self.reader.file_size();
        let scanned = self.reader.scanned();
        match self.told {
            None if !self.reader.is_complete() && size - scanned > LONG => {
                self.told = Some(scanned);
                self.progress(
                    imp,
                    gst::ProgressType::Start,
                    "Looking for the chunks of a file without a whole index",
                );
            }
            Some(_) if self.reader.is_complete() => {
                self.told = None;
                self.progress(imp, gst::ProgressType::Complete, "All chunks are known");
            }
            Some(told) if scanned - told >= size / 20 => {
                self.told = Some(scanned);
                let percent = u128::from(scanned) * 100 / u128::from(size.max(1));
                let text = format!("Looked through {percent} % of the file");
                self.progress(imp, gst::ProgressType::Continue, &text);
            }
            _ => {}
        }
    }

    /// A search that is given up is said to be.
    pub fn cancel(&mut self, imp: &AviMjpegDemux) {
        if self.told.take().is_some() {
            self.progress(
                imp,
                gst::ProgressType::Canceled,
                "The search for chunks was stopped",
            );
        }
    }

    /// Goes where the last seek said, looking for chunks until there is one.
    fn go_to(&mut self, imp: &AviMjpegDemux, target: gst::ClockTime) -> Result<(), gst::FlowError> {
        let backward = self.output.segment.rate() < 0.0;
        while !self.reader.is_complete() && self.reader.known_until() <= target.nseconds() {
            self.reader.scan(SCAN_STEP)?;
            self.tell_progress(imp);
            if imp.is_stopping() {
                return Err(gst::FlowError::Flushing);
            }
        }
        self.tell_duration(imp);
        self.playback
            .seek(&self.reader, target.nseconds(), backward);
        self.target = None;
        Ok(())
    }

    /// Pushes the next few chunks.
    pub fn step(&mut self, imp: &AviMjpegDemux) -> Result<(), gst::FlowError> {
        if !self.started {
            self.start(imp)?;
        }
        if let Some(target) = self.target {
            self.go_to(imp, target)?;
        }
        self.output.start_segment(false);
        for _ in 0..BATCH {
            self.step_one(imp)?;
        }
        if !self.reader.is_complete() || self.told.is_some() {
            self.tell_progress(imp);
        }
        self.tell_duration(imp);
        Ok(())
    }

    fn step_one(&mut self, imp: &AviMjpegDemux) -> Result<(), gst::FlowError> {
        let Some(next) = self.playback.next(&mut self.reader)? else {
            self.reader.flush_findings();
            self.tell_findings(imp);
            return Err(gst::FlowError::Eos);
        };
        if self.reader.joined() != self.joined {
            self.joined = self.reader.joined();
            self.output.join(self.reader.header());
        }
        let entry = next.entry;
        let n = entry.stream;
        let time = gst::ClockTime::from_nseconds(next.time);
        let stream = &self.reader.header().streams[n];
        let counted = if stream.is_sound() {
            u64::from(entry.size)
        } else {
            1
        };
        let until = stream.part(entry.first).time(entry.first + counted);
        let segment = &self.output.segment;
        let beyond = if segment.rate() < 0.0 {
            segment
                .start()
                .is_some_and(|start| until <= start.nseconds())
        } else {
            segment.stop().is_some_and(|stop| time >= stop)
        };
        if beyond {
            self.playback.turn_off(n);
            return Ok(());
        }
        if !self.output.is_exposed(n) {
            if matches!(stream.format, Format::Other { .. }) {
                self.playback.turn_off(n);
                return Ok(());
            }
            // It was announced, but its first chunk comes so late that it was
            // not met before the pads were made.
            self.output.expose(imp, &[n]);
        }
        if self.output.leaves_out(n, time) {
            return Ok(());
        }
        let payload = self.reader.payload_of(&next)?;
        self.tell_findings(imp);
        match payload {
            Payload::Empty if counted == 0 => Ok(()),
            Payload::Empty | Payload::Lost => self.output.gap(imp, n, next.time, until),
            Payload::Bytes {
                pos,
                len,
                incomplete,
            } => {
                let window = self.reader.window();
                let buffer = if let Some((block, range)) = window.take(pos, len) {
                    block.into_part(range)
                } else if let Some((block, range)) = window.block(pos, len) {
                    block.part(range)
                } else {
                    None
                };
                let Some(buffer) = buffer else {
                    return self.output.gap(imp, n, next.time, until);
                };
                self.output.push(
                    imp,
                    Chunk {
                        stream: n,
                        first: entry.first,
                        buffer,
                        incomplete,
                    },
                )
            }
        }
    }

    fn tell_findings(&mut self, imp: &AviMjpegDemux) {
        for finding in self.reader.take_findings() {
            output::tell(imp, &finding);
        }
    }
}
