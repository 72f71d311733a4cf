// SPDX-License-Identifier: MIT OR Apache-2.0
//! Playing a file that can be read at any place.

use std::ops::Range;
use std::sync::Arc;

use gst::prelude::*;

use avi_mjpeg::reader::OpenError;
use avi_mjpeg::reader::player::{Player, Step};
use avi_mjpeg::reader::window::{self, ReadAt};

use super::CAT;
use super::output::{self, MakePad, Output};
use super::seek::{Seek, range_of};
use super::shared::Shared;

/// A search of more bytes than this is told of by progress messages.
const LONG: u64 = 32 << 20;

/// Chunks pushed before the task looks at its state.
const BATCH: usize = 16;

/// A stream without data for so long gets a gap event.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_mseconds(500);

/// The file upstream.
struct PadSource {
    pad: gst::Pad,
    size: u64,
    shared: Arc<Shared>,
}

impl ReadAt for PadSource {
    type Block = Block;
    type Error = gst::FlowError;

    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&mut self, pos: u64, len: usize) -> Result<Block, gst::FlowError> {
        // However long a search is, it reads.
        if self.shared.is_stopping() {
            return Err(gst::FlowError::Flushing);
        }
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
struct Block(Option<gst::MappedBuffer<gst::buffer::Readable>>);

impl window::Block for Block {
    type Piece = gst::Buffer;

    /// They stay where they are.
    fn piece(&self, range: Range<usize>) -> Option<gst::Buffer> {
        let buffer = self.0.as_ref()?.buffer();
        buffer.copy_region(gst::BufferCopyFlags::MEMORY, range).ok()
    }

    /// Without another buffer, if this one is nobody else's.
    fn into_piece(self, range: Range<usize>) -> Option<gst::Buffer> {
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
        let buffer = gst::Buffer::from_slice(bytes.to_vec());
        Self(buffer.into_mapped_buffer_readable().ok())
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
    element: gst::Element,
    shared: Arc<Shared>,
    player: Player<PadSource>,
    pub output: Output,
    told_duration: u64,
    started: bool,
    /// How far a told search was when it was last told.
    told: Option<u64>,
}

impl Pull {
    /// Opens what is upstream of a pad.
    pub fn open(
        element: &gst::Element,
        make_pad: MakePad,
        pad: &gst::Pad,
        shared: &Arc<Shared>,
    ) -> Result<Box<Self>, gst::FlowError> {
        let Some(size) = pad.peer_query_duration::<gst::format::Bytes>() else {
            gst::element_error!(
                element,
                gst::ResourceError::Read,
                ("The size of the file cannot be found out")
            );
            return Err(gst::FlowError::Error);
        };
        let source = PadSource {
            pad: pad.clone(),
            size: *size,
            shared: shared.clone(),
        };
        let player = match Player::open(source) {
            Ok(player) => player,
            Err(OpenError::Read(flow)) => return Err(flow),
            Err(err @ OpenError::NotAvi { .. }) => {
                gst::element_error!(element, gst::StreamError::WrongType, ("{err}"));
                return Err(gst::FlowError::Error);
            }
        };
        let picture = player.reader().first_picture();
        let sampling = picture.and_then(|picture| picture.sampling_name());
        let output = Output::new(element, make_pad, player.header(), sampling, None, PATIENCE)?;
        Ok(Box::new(Self {
            element: element.clone(),
            shared: shared.clone(),
            player,
            output,
            told_duration: 0,
            started: false,
            told: None,
        }))
    }

    /// Begins to play.
    fn start(&mut self) {
        self.started = true;
        let mut segment = gst::FormattedSegment::new();
        segment.set_duration(self.duration());
        let seqnum = self.output.seqnum;
        self.output.begin_segment(segment, seqnum);
        // Whoever is told of a pad may ask for it.
        self.tell_duration();
        self.expose();
        self.output.start_segment();
    }

    /// Makes the pads of the streams that have chunks as far as is known.
    fn expose(&mut self) {
        let streams = self.player.streams();
        if !streams.is_empty() {
            self.output.expose(&streams);
            self.output.no_more_pads();
        }
    }

    fn duration(&self) -> gst::ClockTime {
        gst::ClockTime::from_nseconds(self.player.reader().duration())
    }

    fn tell_duration(&mut self) {
        let duration = self.player.reader().duration();
        if duration == self.told_duration {
            return;
        }
        let told = std::mem::replace(&mut self.told_duration, duration);
        self.shared.set_duration(duration);
        if told != 0 && self.player.reader().is_complete() {
            self.output.segment.set_duration(self.duration());
            self.output.post(
                gst::message::DurationChanged::builder()
                    .src(&self.element)
                    .build(),
            );
        }
    }

    /// Goes where a seek says with the next step.
    pub fn seek(&mut self, seek: &Seek) -> bool {
        let mut segment = self.output.segment.clone();
        segment.set_duration(self.duration());
        let picture_at = |ns, after| self.player.picture_at(ns, after);
        let done = seek.apply(&mut segment, &picture_at);
        if done {
            self.player.seek(range_of(&segment));
            self.output.begin_segment(segment, seek.seqnum);
        }
        done
    }

    fn progress(&self, kind: gst::ProgressType, text: &str) {
        self.output.post(
            gst::message::Progress::builder(kind, "index", text)
                .src(&self.element)
                .build(),
        );
    }

    /// Tells how far the search for chunks is, in steps of a twentieth.
    fn tell_progress(&mut self) {
        let reader = self.player.reader();
        let (size, scanned) = (reader.file_size(), reader.scanned());
        let complete = reader.is_complete();
        match self.told {
            None if !complete && size.saturating_sub(scanned) > LONG => {
                self.told = Some(scanned);
                let text = "Looking for the chunks of a file without a whole index";
                self.progress(gst::ProgressType::Start, text);
            }
            Some(_) if complete => {
                self.told = None;
                self.progress(gst::ProgressType::Complete, "All chunks are known");
            }
            Some(told) if scanned.saturating_sub(told) >= size / 20 => {
                self.told = Some(scanned);
                let percent = u128::from(scanned) * 100 / u128::from(size.max(1));
                let text = format!("Looked through {percent} % of the file");
                self.progress(gst::ProgressType::Continue, &text);
            }
            _ => {}
        }
    }

    /// A search that is given up is said to be.
    pub fn cancel(&mut self) {
        if self.told.take().is_some() {
            self.progress(
                gst::ProgressType::Canceled,
                "The search for chunks was stopped",
            );
        }
    }

    /// Pushes the next few chunks.
    pub fn step(&mut self) -> Result<(), gst::FlowError> {
        if !self.started {
            self.start();
        }
        for _ in 0..BATCH {
            let step = self.player.step()?;
            output::tell(&self.element, self.player.take_findings());
            match step {
                Step::Unit(unit) => {
                    self.output.start_segment();
                    if !self.output.is_exposed(unit.stream) {
                        // It was announced, but its first chunk comes so late that it was not met
                        // before the pads were made.
                        self.output.expose(&[unit.stream]);
                        self.output.no_more_pads();
                    }
                    self.output
                        .push(self.player.header(), unit, |buffer| buffer)?;
                }
                Step::Searching => break,
                Step::End => {
                    if !self.output.has_pads() {
                        self.expose();
                    }
                    self.tell_progress();
                    self.tell_duration();
                    return Err(gst::FlowError::Eos);
                }
            }
        }
        self.tell_progress();
        self.tell_duration();
        Ok(())
    }
}
