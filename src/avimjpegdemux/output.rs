// SPDX-License-Identifier: MIT OR Apache-2.0
//! The source pads and everything that is sent out of them, whichever way the
//! file comes in.

use std::sync::Arc;

use gst::prelude::*;

use avi_mjpeg::reader::Finding;
use avi_mjpeg::reader::headers::{Format, Header};
use avi_mjpeg::reader::tracks::Unit;

use super::shared::PadInfo;
use super::{CAT, caps};

/// Makes a source pad of a template.
pub type MakePad = fn(&gst::PadTemplate, &str, &Arc<PadInfo>) -> gst::Pad;

struct OutStream {
    info: Arc<PadInfo>,
    /// The part of it that the pad's caps are of.
    part: usize,
    /// `None` for streams that are not taken apart.
    template: Option<(&'static str, u32)>,
    pad: Option<gst::Pad>,
    discont: bool,
    /// Until when there has been data or a gap event.
    reached: gst::ClockTime,
}

/// The element's output. Only the streaming thread has it, or who stopped that
/// thread to seek.
pub struct Output {
    element: gst::Element,
    make_pad: MakePad,
    streams: Vec<OutStream>,
    combiner: gst_base::UniqueFlowCombiner,
    /// A pad did not take everything.
    refused: bool,
    group: gst::GroupId,
    pub segment: gst::FormattedSegment<gst::ClockTime>,
    pub seqnum: gst::Seqnum,
    segment_due: bool,
    tags: gst::TagList,
    /// The tags have not been sent.
    tags_due: bool,
    sampling: Option<&'static str>,
    no_more_pads: bool,
    /// Streams behind the others by this get a gap event.
    patience: gst::ClockTime,
    /// Up to where streams have been looked at for that.
    looked: gst::ClockTime,
}

impl Output {
    /// Warns of each stream that gets no pad because of what it is. It is an error if none gets one.
    pub fn new(
        element: &gst::Element,
        make_pad: MakePad,
        header: &Header,
        sampling: Option<&'static str>,
        group: Option<gst::GroupId>,
        patience: gst::ClockTime,
    ) -> Result<Self, gst::FlowError> {
        gst::debug!(CAT, obj = element, "header: {header:?}");
        for (n, stream) in header.streams.iter().enumerate() {
            if let Format::Other { kind, codec } = &stream.format {
                gst::element_warning!(
                    element,
                    gst::StreamError::CodecNotFound,
                    ("Stream {n} ({kind}) is {codec}; only Motion JPEG and PCM are taken apart here, it is left out. avidemux may know it.")
                );
            }
        }
        if !header.is_playable() {
            gst::element_error!(
                element,
                gst::StreamError::CodecNotFound,
                ("There is no Motion JPEG and no PCM stream in this file")
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
                discont: true,
                reached: gst::ClockTime::ZERO,
            }
        });
        Ok(Self {
            element: element.clone(),
            make_pad,
            streams: streams.collect(),
            combiner: gst_base::UniqueFlowCombiner::new(),
            refused: false,
            group: group.unwrap_or_else(gst::GroupId::next),
            segment: gst::FormattedSegment::new(),
            seqnum: gst::Seqnum::next(),
            segment_due: true,
            tags: caps::tags_of_file(header),
            tags_due: true,
            sampling,
            no_more_pads: false,
            patience,
            looked: gst::ClockTime::ZERO,
        })
    }

    pub fn has_pads(&self) -> bool {
        self.pads().next().is_some()
    }

    /// Whether every stream that can be has a pad.
    pub fn has_all_pads(&self) -> bool {
        let mut streams = self.streams.iter();
        streams.all(|s| s.template.is_none() || s.pad.is_some())
    }

    fn pads(&self) -> impl Iterator<Item = &gst::Pad> {
        self.streams.iter().filter_map(|s| s.pad.as_ref())
    }

    pub fn is_exposed(&self, stream: usize) -> bool {
        self.streams.get(stream).is_some_and(|s| s.pad.is_some())
    }

    /// Makes pads for these streams and announces all that are there now.
    pub fn expose(&mut self, which: &[usize]) {
        let mut added = Vec::new();
        for &n in which {
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
        self.post(
            gst::message::StreamCollection::builder(&collection)
                .src(&self.element)
                .build(),
        );
    }

    /// Sends what a pad begins with, and adds it.
    fn start_pad(&mut self, n: usize, collection: &gst::StreamCollection) {
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
                .group_id(self.group)
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

    pub fn no_more_pads(&mut self) {
        if !std::mem::replace(&mut self.no_more_pads, true) {
            self.element.no_more_pads();
        }
    }

    /// Posts a message.
    pub fn post(&self, message: gst::Message) {
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
        gst::event::Segment::builder(&self.segment)
            .seqnum(self.seqnum)
            .build()
    }

    /// Starts a new segment with the next thing that is pushed.
    pub fn begin_segment(
        &mut self,
        segment: gst::FormattedSegment<gst::ClockTime>,
        seqnum: gst::Seqnum,
    ) {
        let at = segment.position().unwrap_or_default();
        self.segment = segment;
        self.seqnum = seqnum;
        self.segment_due = true;
        self.looked = at;
        self.combiner.reset();
        self.refused = false;
        for stream in &mut self.streams {
            stream.discont = true;
            stream.reached = at;
            stream.info.set_position(at);
        }
    }

    /// Sends what a segment starts with, if that has not been done.
    pub fn start_segment(&mut self) {
        if !std::mem::replace(&mut self.segment_due, false) {
            return;
        }
        let tags_due = std::mem::replace(&mut self.tags_due, false);
        let event = self.segment_event();
        for n in 0..self.streams.len() {
            if let Some(pad) = &self.streams[n].pad {
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
    pub fn push<P>(
        &mut self,
        header: &Header,
        unit: Unit<P>,
        piece: impl FnOnce(P) -> gst::Buffer,
    ) -> Result<(), gst::FlowError> {
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
            stream.discont = true;
            let part = header.streams[n].numbered_part(unit.part);
            if let Some(caps) = caps::of_stream(part, self.sampling) {
                pad.push_event(gst::event::Caps::new(&caps));
            }
        }
        let Some(content) = unit.content else {
            return self.gap(n, time, until);
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
            if std::mem::replace(&mut stream.discont, backward) {
                buffer.set_flags(gst::BufferFlags::DISCONT);
            }
            if content.incomplete {
                buffer.set_flags(gst::BufferFlags::CORRUPTED);
            }
        }
        stream.reached = stream.reached.max(until);
        stream
            .info
            .set_position(if backward { time } else { until });
        let flow = pad.push(buffer);
        self.refused |= flow.is_err();
        // As long as all goes well, the result of all is that of this one.
        let pad = self.refused.then(|| pad.clone());
        if time >= self.looked + gst::ClockTime::from_mseconds(100) {
            self.keep_up(time);
        }
        let Some(pad) = pad else {
            return Ok(());
        };
        match self.combiner.update_pad_flow(&pad, flow) {
            Ok(_) => Ok(()),
            // Another pad that is yet to come may be linked.
            Err(gst::FlowError::NotLinked) if !self.no_more_pads => Ok(()),
            Err(err) => Err(err),
        }
    }

    /// What is lost or empty passes time all the same.
    fn gap(
        &mut self,
        n: usize,
        from: gst::ClockTime,
        to: gst::ClockTime,
    ) -> Result<(), gst::FlowError> {
        self.streams[n].discont = true;
        self.gap_event(n, from, to);
        self.keep_up(from);
        Ok(())
    }

    fn gap_event(&mut self, n: usize, from: gst::ClockTime, to: gst::ClockTime) {
        let stream = &mut self.streams[n];
        stream.reached = stream.reached.max(to);
        if let Some(pad) = &stream.pad
            && !self.segment_due
            && to > from
        {
            pad.push_event(
                gst::event::Gap::builder(from)
                    .duration(to - from)
                    .seqnum(self.seqnum)
                    .build(),
            );
        }
    }

    /// Streams that have nothing for a while hold nobody up.
    fn keep_up(&mut self, time: gst::ClockTime) {
        if self.backward() || self.segment_due {
            return;
        }
        self.looked = time;
        for n in 0..self.streams.len() {
            let reached = self.streams[n].reached;
            if self.is_exposed(n) && reached + self.patience < time {
                self.streams[n].discont = true;
                self.gap_event(n, reached, time);
            }
        }
    }

    /// The end of the segment, or of the file.
    pub fn finish(&mut self) {
        self.start_segment();
        if !self.segment.flags().contains(gst::SegmentFlags::SEGMENT) {
            self.end();
            return;
        }
        let position = match self.backward() {
            true => self.segment.start(),
            false => self.segment.stop().or(self.segment.duration()),
        };
        self.post(
            gst::message::SegmentDone::builder(position)
                .src(&self.element)
                .seqnum(self.seqnum)
                .build(),
        );
        self.send(
            gst::event::SegmentDone::builder(position)
                .seqnum(self.seqnum)
                .build(),
        );
    }

    /// Nothing more comes.
    pub fn end(&self) {
        self.send(gst::event::Eos::builder().seqnum(self.seqnum).build());
    }

    fn send(&self, event: gst::Event) {
        for pad in self.pads() {
            pad.push_event(event.clone());
        }
    }
}

/// Tells of what is wrong with a file.
pub fn tell(element: &gst::Element, findings: Vec<Finding>) {
    for finding in findings {
        let details = details(&finding);
        if let Finding::Joined { .. } = finding {
            gst::element_info!(
                element,
                gst::StreamError::Demux,
                ("{finding}"),
                details: details
            );
        } else {
            gst::element_warning!(
                element,
                gst::StreamError::Demux,
                ("{finding}"),
                details: details
            );
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
