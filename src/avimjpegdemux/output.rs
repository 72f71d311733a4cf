// SPDX-License-Identifier: MIT OR Apache-2.0
//! The source pads and everything that is sent out of them, whichever way the
//! file comes in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gst::prelude::*;
use gst::subclass::prelude::*;

use avi_mjpeg::reader::Finding;
use avi_mjpeg::reader::headers::{Format, Header, Part, Stream};

use super::caps;
use super::imp::{AviMjpegDemux, CAT};

/// What a pad answers queries with; the streaming thread writes `position`,
/// any thread reads it.
#[derive(Debug)]
pub struct PadInfo {
    pub stream: Stream,
    /// When the last thing that was pushed ended, in nanoseconds.
    pub position: AtomicU64,
}

struct OutStream {
    info: Arc<PadInfo>,
    /// With the files that were joined on, as far as they are known.
    stream: Arc<Stream>,
    /// The part of it that the pad's caps are of.
    part: usize,
    /// `None` for streams that are not taken apart.
    template: Option<(&'static str, u32)>,
    pad: Option<gst::Pad>,
    discont: bool,
    /// Sound whose last sample's rest is in the next chunk, and where that is.
    rest: Option<(gst::Buffer, u64)>,
    /// Until when there has been data or a gap event.
    reached: gst::ClockTime,
    /// When the last picture of a trick mode was.
    last_shown: Option<gst::ClockTime>,
}

/// What a chunk is to be pushed as.
pub struct Chunk {
    pub stream: usize,
    /// Frames, or bytes of sound, before it.
    pub first: u64,
    pub buffer: gst::Buffer,
    /// A picture without end marker.
    pub incomplete: bool,
}

/// The element's output. Only the streaming thread has it, or who stopped that
/// thread to seek.
pub struct Output {
    streams: Vec<OutStream>,
    combiner: gst_base::UniqueFlowCombiner,
    /// A pad did not take everything.
    refused: bool,
    group: gst::GroupId,
    pub segment: gst::FormattedSegment<gst::ClockTime>,
    pub seqnum: gst::Seqnum,
    segment_due: bool,
    tags: gst::TagList,
    sampling: Option<&'static str>,
    no_more_pads: bool,
    /// Streams behind the others by this get a gap event.
    patience: gst::ClockTime,
    /// Up to where streams have been looked at for that.
    looked: gst::ClockTime,
}

impl Output {
    pub fn new(
        header: &Header,
        sampling: Option<&'static str>,
        group: Option<gst::GroupId>,
        patience: gst::ClockTime,
    ) -> Self {
        let (mut video, mut audio) = (0, 0);
        let streams = header.streams.iter().map(|stream| {
            let (template, count) = match stream.format {
                Format::Jpeg { .. } => ("video_%u", &mut video),
                Format::Pcm(_) => ("audio_%u", &mut audio),
                Format::Other { .. } => {
                    return OutStream::new(stream, None);
                }
            };
            *count += 1;
            OutStream::new(stream, Some((template, *count - 1)))
        });
        Self {
            streams: streams.collect(),
            combiner: gst_base::UniqueFlowCombiner::new(),
            refused: false,
            group: group.unwrap_or_else(gst::GroupId::next),
            segment: gst::FormattedSegment::new(),
            seqnum: gst::Seqnum::next(),
            segment_due: true,
            tags: caps::tags_of_file(header),
            sampling,
            no_more_pads: false,
            patience,
            looked: gst::ClockTime::ZERO,
        }
    }

    /// Learns of files that were joined on.
    pub fn join(&mut self, header: &Header) {
        for (out, stream) in self.streams.iter_mut().zip(&header.streams) {
            out.stream = Arc::new(stream.clone());
        }
    }

    /// Whether any stream can be taken apart.
    pub fn has_streams(&self) -> bool {
        self.streams.iter().any(|s| s.template.is_some())
    }

    pub fn has_pads(&self) -> bool {
        self.streams.iter().any(|s| s.pad.is_some())
    }

    /// Whether every stream that can be has a pad.
    pub fn has_all_pads(&self) -> bool {
        self.streams
            .iter()
            .all(|s| s.template.is_none() || s.pad.is_some())
    }

    pub fn pads(&self) -> impl Iterator<Item = &gst::Pad> {
        self.streams.iter().filter_map(|s| s.pad.as_ref())
    }

    pub fn is_exposed(&self, stream: usize) -> bool {
        self.streams.get(stream).is_some_and(|s| s.pad.is_some())
    }

    /// Warns of each stream that gets no pad because of what it is.
    pub fn warn_of_others(&self, imp: &AviMjpegDemux) {
        for (n, stream) in self.streams.iter().enumerate() {
            if let Format::Other { kind, codec } = &stream.info.stream.format {
                gst::element_imp_warning!(
                    imp,
                    gst::StreamError::CodecNotFound,
                    ("Stream {n} ({kind}) is {codec}; only Motion JPEG and PCM are taken apart here, it is left out. avidemux may know it.")
                );
            }
        }
    }

    /// Makes pads for these streams and announces all that are there now.
    pub fn expose(&mut self, imp: &AviMjpegDemux, which: &[usize]) {
        let mut added = Vec::new();
        for &n in which {
            let Some(stream) = self.streams.get_mut(n) else {
                continue;
            };
            let (None, Some((template, number))) = (&stream.pad, stream.template) else {
                continue;
            };
            let pad = imp.source_pad(template, number, &stream.info);
            stream.pad = Some(pad.clone());
            added.push(n);
        }
        if added.is_empty() {
            return;
        }
        let element = imp.obj();
        let mut collection = gst::StreamCollection::builder(None);
        for stream in &self.streams {
            if let Some(pad) = &stream.pad {
                collection = collection.stream(stream.announce(pad, &element, self.sampling));
            }
        }
        let collection = collection.build();
        for n in added {
            let stream = &self.streams[n];
            let Some(pad) = &stream.pad else {
                continue;
            };
            if let Err(err) = pad.set_active(true) {
                gst::warning!(CAT, obj = pad, "{err}");
            }
            let announced = stream.announce(pad, &element, self.sampling);
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
            pad.push_event(gst::event::StreamCollection::new(&collection));
            if !self.segment_due {
                pad.push_event(self.segment_event());
            }
            self.combiner.add_pad(pad);
            if let Err(err) = element.add_pad(pad) {
                gst::error!(CAT, imp = imp, "{err}");
            }
            if !self.segment_due {
                self.send_tags(n);
            }
        }
        let _ = element.post_message(
            gst::message::StreamCollection::builder(&collection)
                .src(&*element)
                .build(),
        );
    }

    pub fn no_more_pads(&mut self, imp: &AviMjpegDemux) {
        if !std::mem::replace(&mut self.no_more_pads, true) {
            imp.obj().no_more_pads();
        }
    }

    fn send_tags(&self, n: usize) {
        let stream = &self.streams[n];
        if let Some(pad) = &stream.pad {
            pad.push_event(gst::event::Tag::new(self.tags.clone()));
            pad.push_event(gst::event::Tag::new(caps::tags_of_stream(
                &stream.info.stream,
            )));
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
            stream.rest = None;
            stream.reached = at;
            stream.last_shown = None;
            stream.info.position.store(at.nseconds(), Ordering::Relaxed);
        }
    }

    /// Sends what a segment starts with, if that has not been done.
    pub fn start_segment(&mut self, first: bool) {
        if !std::mem::replace(&mut self.segment_due, false) {
            return;
        }
        let event = self.segment_event();
        for (n, stream) in self.streams.iter().enumerate() {
            if let Some(pad) = &stream.pad {
                pad.push_event(event.clone());
                if first {
                    self.send_tags(n);
                }
            }
        }
    }

    fn backward(&self) -> bool {
        self.segment.rate() < 0.0
    }

    /// Whether a trick mode leaves this stream or this picture out.
    pub fn leaves_out(&mut self, n: usize, time: gst::ClockTime) -> bool {
        let flags = self.segment.flags();
        let stream = &mut self.streams[n];
        let sound = stream.info.stream.is_sound();
        if sound {
            return flags.contains(gst::SegmentFlags::TRICKMODE_NO_AUDIO);
        }
        let rate = self.segment.rate().abs();
        let thin = gst::SegmentFlags::TRICKMODE | gst::SegmentFlags::TRICKMODE_KEY_UNITS;
        if rate <= 1.0 || !flags.intersects(thin) {
            return false;
        }
        // No more pictures a second than there are at normal speed.
        let frame = stream.info.stream.rate.time_of(1) as f64;
        match stream.last_shown {
            Some(last) if (last.absdiff(time).nseconds() as f64) < (rate * frame - 1.0) => true,
            _ => {
                stream.last_shown = Some(time);
                stream.discont = true;
                false
            }
        }
    }

    /// What is lost or empty passes time all the same.
    pub fn gap(
        &mut self,
        imp: &AviMjpegDemux,
        n: usize,
        from: u64,
        to: u64,
    ) -> Result<(), gst::FlowError> {
        let stream = &mut self.streams[n];
        let Some(pad) = &stream.pad else {
            return Ok(());
        };
        stream.discont = true;
        let from = gst::ClockTime::from_nseconds(from);
        let to = gst::ClockTime::from_nseconds(to);
        if !self.segment_due && to > from {
            pad.push_event(
                gst::event::Gap::builder(from)
                    .duration(to - from)
                    .seqnum(self.seqnum)
                    .build(),
            );
        }
        stream.reached = stream.reached.max(to);
        self.keep_up(imp, from);
        Ok(())
    }

    /// Pushes a chunk; waits as long as downstream does.
    pub fn push(&mut self, imp: &AviMjpegDemux, chunk: Chunk) -> Result<(), gst::FlowError> {
        let n = chunk.stream;
        let stream = &mut self.streams[n];
        let description = stream.stream.clone();
        let part = description.part(chunk.first);
        if std::mem::replace(&mut stream.part, part.number) != part.number {
            stream.discont = true;
            stream.rest = None;
            if let Some(pad) = &stream.pad
                && let Some(caps) = caps::of_stream(part.stream, self.sampling)
            {
                pad.push_event(gst::event::Caps::new(&caps));
            }
        }
        let unit = part.stream.unit_bytes();
        let (mut buffer, mut first) = (chunk.buffer, chunk.first);
        let mut end = first + 1;
        if description.is_sound() {
            let backward = self.segment.rate() < 0.0;
            (buffer, first) = match stream.whole_samples(buffer, first, part, backward) {
                Some(whole) => whole,
                None => return Ok(()),
            };
            end = first + buffer.size() as u64;
        }
        let time = gst::ClockTime::from_nseconds(part.time(first));
        let until = gst::ClockTime::from_nseconds(part.time(end));
        {
            let buffer = buffer.make_mut();
            buffer.set_pts(time);
            buffer.set_duration(until.saturating_sub(time));
            buffer.set_offset(description.start + first / unit);
            buffer.set_offset_end(description.start + end / unit);
            if std::mem::replace(&mut stream.discont, self.segment.rate() < 0.0) {
                buffer.set_flags(gst::BufferFlags::DISCONT);
            }
            if chunk.incomplete {
                buffer.set_flags(gst::BufferFlags::CORRUPTED);
            }
        }
        let position = if self.segment.rate() < 0.0 {
            time
        } else {
            until
        };
        stream.reached = stream.reached.max(until);
        stream
            .info
            .position
            .store(position.nseconds(), Ordering::Relaxed);
        let Some(pad) = &stream.pad else {
            return Ok(());
        };
        let flow = pad.push(buffer);
        self.refused |= flow.is_err();
        // As long as all goes well, the result of all is that of this one.
        let pad = self.refused.then(|| pad.clone());
        if time >= self.looked + gst::ClockTime::from_mseconds(100) && !self.backward() {
            self.keep_up(imp, time);
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

    /// Streams that have nothing for a while hold nobody up.
    fn keep_up(&mut self, _imp: &AviMjpegDemux, time: gst::ClockTime) {
        if self.backward() || self.segment_due {
            return;
        }
        self.looked = time;
        let patience = self.patience;
        for stream in &mut self.streams {
            let Some(pad) = &stream.pad else {
                continue;
            };
            if stream.reached + patience < time {
                pad.push_event(
                    gst::event::Gap::builder(stream.reached)
                        .duration(time - stream.reached)
                        .seqnum(self.seqnum)
                        .build(),
                );
                stream.reached = time;
                stream.discont = true;
            }
        }
    }

    /// The end of the segment, or of the file.
    pub fn finish(&mut self, imp: &AviMjpegDemux) {
        self.start_segment(false);
        let element = imp.obj();
        if self.segment.flags().contains(gst::SegmentFlags::SEGMENT) {
            let position = if self.backward() {
                self.segment.start()
            } else {
                self.segment.stop().or(self.segment.duration())
            };
            let _ = element.post_message(
                gst::message::SegmentDone::builder(position)
                    .src(&*element)
                    .seqnum(self.seqnum)
                    .build(),
            );
            let event = gst::event::SegmentDone::builder(position)
                .seqnum(self.seqnum)
                .build();
            for pad in self.pads() {
                pad.push_event(event.clone());
            }
        } else {
            self.end(gst::event::Eos::builder().seqnum(self.seqnum).build());
        }
    }

    /// Sends an event out of every pad.
    pub fn end(&self, event: gst::Event) {
        for pad in self.pads() {
            pad.push_event(event.clone());
        }
    }
}

impl OutStream {
    fn new(stream: &Stream, template: Option<(&'static str, u32)>) -> Self {
        Self {
            info: Arc::new(PadInfo {
                stream: stream.clone(),
                position: AtomicU64::new(0),
            }),
            stream: Arc::new(stream.clone()),
            part: 0,
            template,
            pad: None,
            discont: true,
            rest: None,
            reached: gst::ClockTime::ZERO,
            last_shown: None,
        }
    }

    /// The stream's object in collections and `stream-start`.
    fn announce(
        &self,
        pad: &gst::Pad,
        element: &super::AviMjpegDemux,
        sampling: Option<&str>,
    ) -> gst::Stream {
        let kind = if self.info.stream.is_sound() {
            gst::StreamType::AUDIO
        } else {
            gst::StreamType::VIDEO
        };
        let caps = caps::of_stream(&self.info.stream, sampling);
        let id = pad.create_stream_id(element, Some(pad.name().as_str()));
        let stream = gst::Stream::new(Some(&id), caps.as_ref(), kind, gst::StreamFlags::empty());
        stream.set_tags(Some(&caps::tags_of_stream(&self.info.stream)));
        stream
    }

    /// Sound from where a sample begins to where one ends: what is cut off at
    /// the end is put before the next chunk.
    fn whole_samples(
        &mut self,
        mut buffer: gst::Buffer,
        mut first: u64,
        part: Part,
        backward: bool,
    ) -> Option<(gst::Buffer, u64)> {
        let unit = part.stream.unit_bytes();
        let rest = self.rest.take();
        if let Some((mut head, at)) = rest
            && at + head.size() as u64 == first
            && !backward
        {
            head.make_mut().unset_flags(gst::BufferFlags::all());
            head.append(buffer);
            (buffer, first) = (head, at);
        }
        let over = first.saturating_sub(part.from) % unit;
        let skip = if over == 0 { 0 } else { unit - over };
        let size = buffer.size() as u64;
        if skip == 0 && size.is_multiple_of(unit) {
            return (size > 0).then_some((buffer, first));
        }
        let len = size.saturating_sub(skip) / unit * unit;
        let part = |from: u64, len: u64| {
            let range = from as usize..(from + len) as usize;
            buffer.copy_region(gst::BufferCopyFlags::MEMORY, range).ok()
        };
        let left = size.saturating_sub(skip + len);
        if left > 0 && skip + len <= size {
            self.rest = part(skip + len, left).map(|rest| (rest, first + skip + len));
        }
        (len > 0).then(|| part(skip, len).map(|whole| (whole, first + skip)))?
    }
}

/// Tells of what is wrong with the file: a warning each.
pub fn tell(imp: &AviMjpegDemux, finding: &Finding) {
    let details = match finding {
        Finding::Damage { from, to, pictures } => gst::Structure::builder("avi-damage")
            .field("from", from)
            .field("to", to)
            .field("pictures", pictures)
            .build(),
        Finding::Cut { stream, pos, have } => gst::Structure::builder("avi-cut")
            .field("stream", *stream as u32)
            .field("from", pos)
            .field("have", have)
            .build(),
        Finding::Missing { stream, frames } => gst::Structure::builder("avi-missing")
            .field("stream", *stream as u32)
            .field("frames", frames)
            .build(),
        Finding::Joined { pos } => gst::Structure::builder("avi-joined")
            .field("from", pos)
            .build(),
        Finding::NoHeader => gst::Structure::new_empty("avi-no-header"),
        Finding::BadIndex { .. } => gst::Structure::new_empty("avi-bad-index"),
    };
    if let Finding::Joined { .. } = finding {
        gst::element_imp_info!(
            imp,
            gst::StreamError::Demux,
            ("{finding}"),
            details: details
        );
        return;
    }
    gst::element_imp_warning!(
        imp,
        gst::StreamError::Demux,
        ("{finding}"),
        details: details
    );
}

/// Reads `position` where a pad is asked.
pub fn position_of(info: &PadInfo) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(info.position.load(Ordering::Relaxed))
}

/// What queries and seeks convert by: nanoseconds and the pad's own counts.
pub fn convert(
    stream: &Stream,
    value: gst::GenericFormattedValue,
    to: gst::Format,
) -> Option<gst::GenericFormattedValue> {
    use gst::GenericFormattedValue as Value;
    let unit = stream.unit_bytes();
    let ns = match value {
        Value::Time(time) => time?.nseconds(),
        Value::Default(units) => stream.rate.time_of(u64::from(units?)),
        Value::Bytes(bytes) if stream.is_sound() => stream.rate.time_of(u64::from(bytes?) / unit),
        _ => return None,
    };
    let units = stream.rate.unit_at(ns);
    Some(match to {
        gst::Format::Time => Value::Time(Some(gst::ClockTime::from_nseconds(ns))),
        gst::Format::Default => Value::Default(Some(gst::format::Default::from_u64(units))),
        gst::Format::Bytes if stream.is_sound() => {
            Value::Bytes(Some(gst::format::Bytes::from_u64(units * unit)))
        }
        _ => return None,
    })
}
