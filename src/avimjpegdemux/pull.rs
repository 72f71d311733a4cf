// SPDX-License-Identifier: MIT OR Apache-2.0
//! Playing a file that can be read at any place.

use std::ops::Range;
use std::sync::Arc;

use gst::prelude::*;

use crate::failure;
use avi_mjpeg::reader::OpenError;
use avi_mjpeg::reader::player::{Player, Progress, Step};
use avi_mjpeg::reader::window::{self, ReadAt};

use super::output::{MakePad, Output};
use super::seek::Seek;
use super::shared::Shared;

/// Chunks pushed before the task looks at its state.
const BATCH: usize = 16;

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
        // Even a long search reads often, so this is where it can be stopped.
        if self.shared.is_stopping() {
            return Err(gst::FlowError::Flushing);
        }
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        match self.pad.pull_range(pos, len) {
            Ok(buffer) => buffer
                .into_mapped_buffer_readable()
                .map(|mapped| Block(Some(mapped)))
                .map_err(|_| failure::unreadable(self.pad.parent_element().as_ref())),
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
pub(crate) struct Pull {
    element: gst::Element,
    shared: Arc<Shared>,
    player: Player<PadSource>,
    pub output: Output,
    /// A seek whose place is being searched.
    seeking: Option<Seek>,
    told_duration: u64,
}

impl Pull {
    /// Opens what is upstream of a pad, and begins to play it.
    pub(crate) fn open(
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
        let reader = player.reader();
        let told_duration = reader.duration();
        let mut output = Output::new(element, make_pad, shared, 1);
        output.open(reader.header(), reader.first_picture(), Some(told_duration))?;
        // Only streams with chunks get a pad, as far as is known.
        let streams = player.streams();
        if !streams.is_empty() {
            output.expose(streams);
            output.no_more_pads();
        }
        output.start_segment();
        Ok(Box::new(Self {
            element: element.clone(),
            shared: shared.clone(),
            player,
            output,
            seeking: None,
            told_duration,
        }))
    }

    fn tell_duration(&mut self) {
        let duration = self.player.reader().duration();
        if duration == self.told_duration {
            return;
        }
        let told = std::mem::replace(&mut self.told_duration, duration);
        self.shared.set_duration(duration);
        if told != 0 && self.player.reader().is_complete() {
            self.output.correct_duration(duration);
        }
    }

    /// Goes where a seek says with the next step.
    pub(crate) fn seek(&mut self, seek: Seek) -> bool {
        let duration = gst::ClockTime::from_nseconds(self.player.reader().duration());
        let Some(segment) = seek.apply(&self.output.segment, Some(duration)) else {
            return false;
        };
        self.player.seek(seek.range(&segment));
        self.output.begin_segment(segment, seek.seqnum);
        if seek.flushes() {
            self.output.repeat_caps();
        }
        self.seeking = Some(seek);
        true
    }

    fn post_progress(&self, kind: gst::ProgressType, text: &str) {
        let message = gst::message::Progress::builder(kind, "index", text);
        self.output.post(message.src(&self.element).build());
    }

    /// Tells how far a long search for chunks is.
    fn tell_progress(&mut self) {
        if let Some(progress) = self.player.progress() {
            let kind = match progress {
                Progress::Began => gst::ProgressType::Start,
                Progress::Percent(_) => gst::ProgressType::Continue,
                Progress::Complete => gst::ProgressType::Complete,
            };
            self.post_progress(kind, &progress.to_string());
        }
    }

    /// A search that is given up is said to be.
    pub(crate) fn cancel(&mut self) {
        if self.player.is_searching() {
            let text = "The search for chunks was stopped";
            self.post_progress(gst::ProgressType::Canceled, text);
        }
    }

    /// Pushes the next few chunks.
    pub(crate) fn step(&mut self) -> Result<(), gst::FlowError> {
        let result = self.play();
        if matches!(result, Ok(()) | Err(gst::FlowError::Eos)) {
            self.tell_progress();
            self.tell_duration();
        }
        result
    }

    fn play(&mut self) -> Result<(), gst::FlowError> {
        for _ in 0..BATCH {
            let step = self.player.step()?;
            self.output.tell(self.player.take_findings());
            match step {
                Step::Unit(unit) => {
                    let header = self.player.header();
                    self.output.push(header, unit, |buffer| buffer)?;
                }
                Step::Gap(gap) => self.output.gap(gap),
                Step::Searching => break,
                Step::Landed(range) => {
                    if let Some(seek) = self.seeking.take() {
                        let segment = seek.landed(self.output.segment.clone(), &range);
                        self.output.begin_segment(segment, seek.seqnum);
                    }
                }
                Step::End => return Err(gst::FlowError::Eos),
            }
        }
        Ok(())
    }
}
