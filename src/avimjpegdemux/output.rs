// SPDX-License-Identifier: MIT OR Apache-2.0
//! The source pads and everything that is sent out of them, whichever way the
//! file comes in.

use std::sync::Arc;

use gst::prelude::*;

use avi_mjpeg::jpeg::FrameHeader;
use avi_mjpeg::reader::Finding;
use avi_mjpeg::reader::headers::{Format, Header, TAKEN_APART};
use avi_mjpeg::reader::tracks::{Gap, Unit};

use super::shared::{PadInfo, Segment, Shared};
use super::{CAT, caps};

/// Makes a source pad of a template.
pub(crate) type MakePad = fn(&gst::PadTemplate, &str, &Arc<PadInfo>) -> gst::Pad;

struct OutStream {
    info: Arc<PadInfo>,
    /// The part of it that the pad's caps are of.
    part: usize,
    /// `None` for streams that are not taken apart.
    template: Option<(&'static str, u32)>,
    pad: Option<gst::Pad>,
}

/// The element's output. Only the streaming thread has it, or who stopped that
/// thread to seek.
pub(crate) struct Output {
    element: gst::Element,
    make_pad: MakePad,
    shared: Arc<Shared>,
    streams: Vec<OutStream>,
    combiner: gst_base::UniqueFlowCombiner,
    /// A pad did not take everything.
    refused: bool,
    /// The group of upstream, if it has one.
    pub group: Option<gst::GroupId>,
    pub segment: Segment,
    pub seqnum: gst::Seqnum,
    segment_due: bool,
    /// The caps come again before the next segment.
    caps_due: bool,
    tags: gst::TagList,
    /// The tags have not been sent.
    tags_due: bool,
    sampling: Option<&'static str>,
    no_more_pads: bool,
    /// Chunks after which a stream that was announced is not waited for.
    patience: u32,
}

impl Output {
    /// Without streams yet. One that was announced is not waited for after `patience` chunks.
    pub(crate) fn new(
        element: &gst::Element,
        make_pad: MakePad,
        shared: &Arc<Shared>,
        patience: u32,
    ) -> Self {
        Self {
            element: element.clone(),
            make_pad,
            shared: shared.clone(),
            streams: Vec::new(),
            combiner: gst_base::UniqueFlowCombiner::new(),
            refused: false,
            group: None,
            segment: gst::FormattedSegment::new(),
            seqnum: gst::Seqnum::next(),
            segment_due: true,
            caps_due: false,
            tags: gst::TagList::new(),
            tags_due: true,
            sampling: None,
            no_more_pads: false,
            patience,
        }
    }

    /// The streams are known, and the first picture of a file without header. Warns of each stream that gets no
    /// pad because of what it is. It is an error if none gets one.
    pub(crate) fn open(
        &mut self,
        header: &Header,
        picture: Option<&FrameHeader>,
        duration: Option<u64>,
    ) -> Result<(), gst::FlowError> {
        gst::debug!(CAT, obj = self.element, "header: {header:?}");
        for (n, stream) in header.streams.iter().enumerate() {
            if let Format::Other { kind, codec } = &stream.format {
                gst::element_warning!(
                    self.element,
                    gst::StreamError::CodecNotFound,
                    ("Stream {n} ({kind}) is {codec} and is left out: what is taken apart here is {TAKEN_APART}. avidemux may know it.")
                );
            }
        }
        if !header.is_playable() {
            gst::element_error!(
                self.element,
                gst::StreamError::CodecNotFound,
                ("There is no Motion JPEG in this file, nor sound of a kind that is taken apart here ({TAKEN_APART}). avidemux may know what there is.")
            );
            return Err(gst::FlowError::Error);
        }
        let (mut video, mut audio) = (0, 0);
        let streams = header.streams.iter().map(|stream| {
            let (template, count) = match stream.is_sound() {
                true => ("audio_%u", &mut audio),
                false => ("video_%u", &mut video),
            };
            let number = *count;
            *count += u32::from(stream.is_played());
            OutStream {
                info: Arc::new(PadInfo::new(stream.clone())),
                part: 0,
                template: stream.is_played().then_some((template, number)),
                pad: None,
            }
        });
        self.streams = streams.collect();
        self.tags = caps::tags_of_file(header);
        self.sampling = picture.and_then(FrameHeader::sampling_name);
        let mut segment = gst::FormattedSegment::new();
        segment.set_duration(duration.map(gst::ClockTime::from_nseconds));
        self.begin_segment(segment, self.seqnum);
        // Before any pad is added: whoever learns of a pad may query the duration at once.
        if let Some(duration) = duration {
            self.shared.set_duration(duration);
        }
        Ok(())
    }

    pub(crate) fn has_pads(&self) -> bool {
        self.pads().next().is_some()
    }

    /// Whether every stream that can be has a pad.
    fn has_all_pads(&self) -> bool {
        let mut streams = self.streams.iter();
        streams.all(|s| s.template.is_none() || s.pad.is_some())
    }

    fn pads(&self) -> impl Iterator<Item = &gst::Pad> {
        self.streams.iter().filter_map(|s| s.pad.as_ref())
    }

    /// Makes pads for these streams and announces all that are there now.
    pub(crate) fn expose(&mut self, which: impl IntoIterator<Item = usize>) {
        let mut added = Vec::new();
        for n in which {
            let Some(stream) = self.streams.get_mut(n) else {
                continue;
            };
            let (None, Some((template, number))) = (&stream.pad, stream.template) else {
                continue;
            };
            let name = template.replace("%u", &number.to_string());
            if let Some(template) = self.element.pad_template(template) {
                stream.pad = Some((self.make_pad)(&template, &name, &stream.info));
                added.push(n);
            }
        }
        if added.is_empty() {
            return;
        }
        let mut collection = gst::StreamCollection::builder(None);
        for stream in &self.streams {
            if let Some(pad) = &stream.pad {
                collection = collection.stream(self.announce(stream, pad));
            }
        }
        let collection = collection.build();
        for n in added {
            self.start_pad(n, &collection);
        }
        let message = gst::message::StreamCollection::builder(&collection);
        self.post(message.src(&self.element).build());
    }

    /// Sends what a pad begins with, and adds it.
    fn start_pad(&mut self, n: usize, collection: &gst::StreamCollection) {
        let group = *self.group.get_or_insert_with(gst::GroupId::next);
        let stream = &self.streams[n];
        let Some(pad) = &stream.pad else {
            return;
        };
        if let Err(err) = pad.set_active(true) {
            gst::warning!(CAT, obj = pad, "{err}");
        }
        let announced = self.announce(stream, pad);
        let id = announced.stream_id().unwrap_or_default();
        pad.push_event(
            gst::event::StreamStart::builder(&id)
                .group_id(group)
                .stream(announced)
                .seqnum(self.seqnum)
                .build(),
        );
        if let Some(caps) = caps::of_stream(&stream.info.stream, self.sampling) {
            pad.push_event(gst::event::Caps::new(&caps));
        }
        pad.push_event(gst::event::StreamCollection::new(collection));
        if !self.segment_due {
            pad.push_event(self.segment_event());
        }
        self.combiner.add_pad(pad);
        if let Err(err) = self.element.add_pad(pad) {
            gst::error!(CAT, obj = self.element, "{err}");
        }
        if !self.segment_due {
            self.send_tags(n);
        }
    }

    /// The stream's object in collections and `stream-start`.
    fn announce(&self, stream: &OutStream, pad: &gst::Pad) -> gst::Stream {
        let kind = match stream.info.stream.is_sound() {
            true => gst::StreamType::AUDIO,
            false => gst::StreamType::VIDEO,
        };
        let caps = caps::of_stream(&stream.info.stream, self.sampling);
        let id = pad.create_stream_id(&self.element, Some(pad.name().as_str()));
        let announced = gst::Stream::new(Some(&id), caps.as_ref(), kind, gst::StreamFlags::empty());
        announced.set_tags(Some(&caps::tags_of_stream(&stream.info.stream)));
        announced
    }

    pub(crate) fn no_more_pads(&mut self) {
        if !std::mem::replace(&mut self.no_more_pads, true) {
            self.element.no_more_pads();
        }
    }

    /// Posts a message.
    pub(crate) fn post(&self, message: gst::Message) {
        let _ = self.element.post_message(message);
    }

    fn send_tags(&self, n: usize) {
        let stream = &self.streams[n];
        if let Some(pad) = &stream.pad {
            pad.push_event(gst::event::Tag::new(self.tags.clone()));
            let own = caps::tags_of_stream(&stream.info.stream);
            pad.push_event(gst::event::Tag::new(own));
        }
    }

    fn segment_event(&self) -> gst::Event {
        let event = gst::event::Segment::builder(&self.segment);
        event.seqnum(self.seqnum).build()
    }

    /// Starts a new segment with the next thing that is pushed.
    pub(crate) fn begin_segment(&mut self, segment: Segment, seqnum: gst::Seqnum) {
        let at = segment.position().unwrap_or_default();
        self.shared.set_segment(segment.clone());
        self.segment = segment;
        self.seqnum = seqnum;
        self.segment_due = true;
        self.combiner.reset();
        self.refused = false;
        for stream in &self.streams {
            stream.info.set_position(at);
        }
    }

    /// A seek drops what was pushed: each pad says again what it carries. `splitmuxsrc` plays a part again only with
    /// the caps that come then, else with those of the part it played before.
    pub(super) fn repeat_caps(&mut self) {
        self.caps_due = true;
    }

    /// The duration is known better than when the segment began.
    pub(crate) fn correct_duration(&mut self, duration: u64) {
        self.segment
            .set_duration(gst::ClockTime::from_nseconds(duration));
        self.shared.set_segment(self.segment.clone());
        let message = gst::message::DurationChanged::builder();
        self.post(message.src(&self.element).build());
    }

    /// Sends what a segment starts with, if that has not been done.
    pub(crate) fn start_segment(&mut self) {
        if !std::mem::replace(&mut self.segment_due, false) {
            return;
        }
        let caps_due = std::mem::replace(&mut self.caps_due, false);
        let tags_due = std::mem::replace(&mut self.tags_due, false);
        let event = self.segment_event();
        for n in 0..self.streams.len() {
            if let Some(pad) = &self.streams[n].pad {
                if caps_due && let Some(caps) = pad.current_caps() {
                    pad.push_event(gst::event::Caps::new(&caps));
                }
                pad.push_event(event.clone());
                if tags_due {
                    self.send_tags(n);
                }
            }
        }
    }

    fn backward(&self) -> bool {
        self.segment.rate() < 0.0
    }

    /// Pushes a unit of `header`'s streams; waits as long as downstream does. `piece` makes a buffer
    /// of what it holds.
    pub(crate) fn push<P>(
        &mut self,
        header: &Header,
        unit: Unit<P>,
        piece: impl FnOnce(P) -> gst::Buffer,
    ) -> Result<(), gst::FlowError> {
        self.start_segment();
        self.see_to_pads(unit.stream);
        let backward = self.backward();
        let time = gst::ClockTime::from_nseconds(unit.time);
        let until = gst::ClockTime::from_nseconds(unit.until);
        let n = unit.stream;
        let Some(stream) = self.streams.get_mut(n) else {
            return Ok(());
        };
        let Some(pad) = &stream.pad else {
            return Ok(());
        };
        if std::mem::replace(&mut stream.part, unit.part) != unit.part {
            let part = header.streams[n].numbered_part(unit.part);
            if let Some(caps) = caps::of_stream(part, self.sampling) {
                pad.push_event(gst::event::Caps::new(&caps));
            }
        }
        let Some(content) = unit.content else {
            // A lost or an empty chunk still takes its time.
            self.gap(Gap {
                stream: n,
                time: unit.time,
                until: unit.until,
            });
            return Ok(());
        };
        let mut buffer = piece(content.piece);
        if !content.head.is_empty() {
            let mut joined = gst::Buffer::from_slice(content.head);
            joined.append(buffer);
            buffer = joined;
        }
        {
            let buffer = buffer.make_mut();
            buffer.set_pts(time);
            buffer.set_duration(until.saturating_sub(time));
            buffer.set_offset(unit.first);
            buffer.set_offset_end(unit.end);
            if unit.is_discont {
                buffer.set_flags(gst::BufferFlags::DISCONT);
            }
            if content.incomplete {
                buffer.set_flags(gst::BufferFlags::CORRUPTED);
            }
        }
        stream
            .info
            .set_position(if backward { time } else { until });
        let flow = pad.push(buffer);
        self.refused |= flow.is_err();
        if !self.refused {
            // As long as no pad has refused anything, there is nothing to combine.
            return Ok(());
        }
        match self.combiner.update_pad_flow(pad, flow) {
            Ok(_) => Ok(()),
            // A pad that is still to come may be linked.
            Err(gst::FlowError::NotLinked) if !self.no_more_pads => Ok(()),
            Err(err) => Err(err),
        }
    }

    /// Makes the pad of a stream that a chunk came of, if it was announced but not met so far.
    fn see_to_pads(&mut self, stream: usize) {
        if self.streams.get(stream).is_some_and(|s| s.pad.is_none()) {
            self.expose([stream]);
        }
        if self.patience > 0 {
            self.patience -= 1;
            if self.patience == 0 || self.has_all_pads() {
                self.no_more_pads();
            }
        }
    }

    /// Tells a pad that there is nothing for a time.
    pub(crate) fn gap(&self, gap: Gap) {
        let stream = self.streams.get(gap.stream);
        if let Some(pad) = stream.and_then(|stream| stream.pad.as_ref())
            && gap.until > gap.time
        {
            let event = gst::event::Gap::builder(gst::ClockTime::from_nseconds(gap.time));
            let lasts = gst::ClockTime::from_nseconds(gap.until - gap.time);
            pad.push_event(event.duration(lasts).seqnum(self.seqnum).build());
        }
    }

    /// The end of the segment, or of the file. A header and nothing else is an empty recording.
    pub(crate) fn finish(&mut self) {
        if !self.has_pads() {
            self.expose(0..self.streams.len());
        }
        self.no_more_pads();
        self.start_segment();
        if !self.segment.flags().contains(gst::SegmentFlags::SEGMENT) {
            self.end();
            return;
        }
        let position = match self.backward() {
            true => self.segment.start(),
            false => self.segment.stop().or(self.segment.duration()),
        };
        let message = gst::message::SegmentDone::builder(position).src(&self.element);
        self.post(message.seqnum(self.seqnum).build());
        let event = gst::event::SegmentDone::builder(position);
        self.send(event.seqnum(self.seqnum).build());
    }

    /// Nothing more comes.
    pub(crate) fn end(&self) {
        self.send(gst::event::Eos::builder().seqnum(self.seqnum).build());
    }

    fn send(&self, event: gst::Event) {
        for pad in self.pads() {
            pad.push_event(event.clone());
        }
    }

    /// Tells of what is wrong with a file.
    pub(crate) fn tell(&self, findings: Vec<Finding>) {
        for finding in findings {
            let details = details(&finding);
            if let Finding::Joined { .. } = finding {
                gst::element_info!(
                    self.element,
                    gst::StreamError::Demux,
                    ("{finding}"),
                    details: details
                );
            } else {
                gst::element_warning!(
                    self.element,
                    gst::StreamError::Demux,
                    ("{finding}"),
                    details: details
                );
            }
        }
    }
}

/// A finding as the details of a message. Streams and pictures are no larger numbers than `u32` has.
fn details(finding: &Finding) -> gst::Structure {
    let (name, numbers) = finding.facts();
    let details = gst::Structure::builder(name);
    let details = numbers.into_iter().fold(details, |details, (name, n)| {
        match (name, u32::try_from(n)) {
            ("stream" | "pictures", Ok(n)) => details.field(name, n),
            _ => details.field(name, n),
        }
    });
    details.build()
}
