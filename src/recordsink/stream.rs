// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happens in a stream's thread: what arrives is let through or not, and for its first caps
//! the elements to the file are built.

use std::sync::Arc;

use avi_mjpeg::recorder::picture_size;
use gst::glib;
use gst::prelude::*;

use super::CAT;
use super::chain::{audio_chain, link_preview, preview_chain, video_chain};
use super::gate::Verdict;
use super::lane::running_time;
use super::mixdown::{self, Fitted};
use super::recorder::{End, Recorder};
use crate::failure;
use crate::streams::containers::{Container, Kind, Muxer, VideoCodec};
use crate::streams::entry::{self, Admission};
use crate::streams::jpegs::{from_start, is_jpeg};
use crate::streams::sentences::{Takes, has_rate, lacks_rate, untimed, without_caps};
use crate::streams::stamps::{Stamped, Unplaced, backward_text, jump_text};
use crate::streams::timeline::Jump;
use crate::streams::times::Times;
use crate::streams::{self, bin::Place, missing, samples, speakers};
use crate::sync::lock;

impl Recorder {
    /// Everything that reaches one of the pads, in the stream's thread.
    pub(crate) fn arrived(
        self: &Arc<Self>,
        name: &str,
        pad: &gst::GhostPad,
        info: &mut gst::PadProbeInfo<'_>,
        admission: &Admission,
    ) -> gst::PadProbeReturn {
        let has_data = info.event().is_none_or(|event| {
            use gst::EventType::{Caps, Eos, Gap, Segment};
            matches!(event.type_(), Caps | Segment | Gap | Eos)
        });
        if has_data {
            self.close_choice();
        }
        match &mut info.data {
            Some(gst::PadProbeData::Event(event)) => match event.view() {
                gst::EventView::Caps(caps) => {
                    let caps = self.paced(name, caps.caps_owned());
                    let caps = self.with_places(name, caps);
                    let segment = pad.sticky_event::<gst::event::Segment>(0);
                    let in_pieces = segment
                        .is_some_and(|segment| segment.segment().format() == gst::Format::Bytes);
                    lock(self.arrival(name)).jpegs = !in_pieces && is_jpeg(&caps);
                    if !in_pieces && self.are_to_be_sized(name, &caps) {
                        return gst::PadProbeReturn::Handled;
                    }
                    *event = gst::event::Caps::new(&caps);
                    self.caps_arrived(name, &caps)
                }
                gst::EventView::Eos(_) => {
                    if lock(self.arrival(name)).end() && self.is_finished() {
                        self.ended_again(name);
                        return gst::PadProbeReturn::Handled;
                    }
                    if self.streams.place(name).is_some()
                        && let Some(muxed) = self.muxed()
                    {
                        muxed.end_of(name);
                    }
                    gst::PadProbeReturn::Ok
                }
                gst::EventView::Segment(segment)
                    if segment.segment().format() == gst::Format::Bytes =>
                {
                    self.pieces_arrive(name, pad)
                }
                _ => {
                    let has_ended = self.has_ended(name);
                    let mut arrival = lock(self.arrival(name));
                    // Behind `finish` or a limit that means a flush: EOS is to come again.
                    arrival.goes_on |= has_ended && event.type_() == gst::EventType::Segment;
                    if let Some(moved) = arrival.stamps.follow(event) {
                        *event = moved;
                    }
                    gst::PadProbeReturn::Ok
                }
            },
            Some(gst::PadProbeData::Buffer(_))
                if lock(self.arrival(name)).ended
                    && self.is_finished_of(name)
                    && !self.has_ended(name) =>
            {
                self.came_late(name);
                info.flow_res = Err(gst::FlowError::Eos);
                gst::PadProbeReturn::Handled
            }
            Some(gst::PadProbeData::Buffer(buffer))
                if buffer.size() == 0 && !admission.is_closed() =>
            {
                // No container has a place for it.
                if name == "video" {
                    self.drop_empty();
                }
                info.flow_res = Ok(gst::FlowSuccess::Ok);
                gst::PadProbeReturn::Handled
            }
            Some(gst::PadProbeData::Buffer(buffer)) => {
                let taken = self.buffer_arrived(name, pad, buffer);
                match taken {
                    Ok(true) => gst::PadProbeReturn::Ok,
                    Ok(false) => {
                        info.flow_res = Ok(gst::FlowSuccess::Ok);
                        gst::PadProbeReturn::Handled
                    }
                    Err(err) => {
                        info.flow_res = Err(admission.answer(err));
                        gst::PadProbeReturn::Handled
                    }
                }
            }
            _ => gst::PadProbeReturn::Ok,
        }
    }

    /// A stream that was flushed behind its end, as by a seek, goes on: its file is finished.
    fn came_late(&self, name: &str) {
        if name == "video" {
            lock(&self.flow).dropped.flushed += 1;
        }
        if !std::mem::replace(&mut lock(self.arrival(name)).told_late, true)
            && let Some(bin) = self.bin.upgrade()
        {
            gst::element_warning!(
                bin,
                gst::StreamError::Mux,
                ("More {name} comes behind its end, as after a seek; it is not recorded. Set the element to READY \
                  and back to begin another recording")
            );
        }
    }

    /// Whether a stream of a file that a muxer makes has ended.
    fn is_finished_of(&self, name: &str) -> bool {
        self.muxed().is_some_and(|muxed| muxed.has_ended_of(name))
    }

    /// Whether all streams of a file that a muxer makes have ended.
    fn is_finished(&self) -> bool {
        self.muxed().is_some_and(|muxed| muxed.has_ended())
    }

    /// Sinks that were flushed say once more that they are at their end, and so does a recording that is over.
    fn ended_again(&self, name: &str) {
        lock(self.arrival(name)).ended_again = true;
        let names = self.streams.names();
        let all = names
            .iter()
            .all(|name| lock(self.arrival(name)).ended_again);
        for name in names.iter().filter(|_| all) {
            lock(self.arrival(name)).ended_again = false;
        }
        if let Some(bin) = self.bin.upgrade().filter(|_| all) {
            gst::debug!(CAT, obj = bin, "The streams have ended again");
            let _ = bin.post_message(gst::message::Eos::builder().src(&bin).build());
        }
    }

    fn caps_arrived(self: &Arc<Self>, name: &str, caps: &gst::Caps) -> gst::PadProbeReturn {
        {
            let mut arrival = lock(self.arrival(name));
            arrival.stamps.set_caps(caps);
            arrival.caps = Some(caps.clone());
        }
        match self.build(name, caps) {
            Ok(()) => gst::PadProbeReturn::Ok,
            Err(message) => {
                self.post_error(message);
                gst::PadProbeReturn::Handled
            }
        }
    }

    /// Tells of channels and samples that do not get through to what encodes sound.
    fn watch_loss(self: &Arc<Self>, name: &str, fitted: Fitted) {
        let (this, name) = (Arc::downgrade(self), name.to_owned());
        let Fitted { pad, by, advice } = fitted;
        pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
            if let Some(event) = info.event()
                && let gst::EventView::Caps(caps) = event.view()
                && let Some(this) = this.upgrade()
                && let Some(loss) = this.new_loss(&name, caps.caps())
                && let Some(bin) = this.bin.upgrade()
            {
                gst::element_warning!(
                    bin,
                    gst::StreamError::Encode,
                    ("Not all of the sound is in the file: {loss} on the way to {by}; {advice}")
                );
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// What is lost of a stream that goes on with these caps, if that has not been told.
    fn new_loss(&self, name: &str, goes_on: &gst::CapsRef) -> Option<String> {
        let mut arrival = lock(self.arrival(name));
        let loss = mixdown::loss(arrival.caps.as_ref()?, goes_on);
        let is_news = loss != arrival.told_loss;
        arrival.told_loss.clone_from(&loss);
        loss.filter(|_| is_news)
    }

    /// Whether a buffer is recorded.
    fn buffer_arrived(
        self: &Arc<Self>,
        name: &str,
        pad: &gst::GhostPad,
        buffer: &mut gst::Buffer,
    ) -> Result<bool, gst::FlowError> {
        if self.has_ended(name) {
            return Ok(false);
        }
        if self.is_without_caps(name, pad) {
            self.post_error(without_caps(name, Takes::Encoded, buffer));
            return Err(failure::POSTED);
        }
        self.assume_segment(name, pad);
        if name == "video" && lock(&self.video).jpegs {
            from_start(buffer);
        }
        if name == "video" && !self.is_sized(pad, buffer)? {
            return Ok(false);
        }
        if !lock(self.arrival(name)).stamps.complete(buffer, *CAT) {
            return Ok(false);
        }
        let placed = self.place(name, pad, buffer)?;
        let is_early = name == "audio" && placed.is_some_and(|time| time < 0);
        if is_early && self.muxed().is_some() {
            // Other streams are not there yet, or audio-sync has moved it before the beginning.
            return Ok(false);
        }
        if let Some(time) = placed {
            self.observe(name, pad, buffer, time);
        }
        let time = placed.and_then(|time| u64::try_from(time).ok());
        let verdict = lock(&self.flow).gates.judge(name, time);
        if verdict == Verdict::End {
            gst::info!(CAT, "{name} has been recorded");
            self.streams.end(name);
        }
        Ok(verdict == Verdict::Pass)
    }

    /// Whether nothing has told what a stream is.
    fn is_without_caps(&self, name: &str, pad: &gst::GhostPad) -> bool {
        let arrival = lock(self.arrival(name));
        arrival.caps.is_none() && arrival.sizeless.is_none() && pad.current_caps().is_none()
    }

    /// Has a stream one segment at least.
    fn assume_segment(&self, name: &str, pad: &gst::GhostPad) {
        let Some(segment) = entry::assumed_segment(pad) else {
            return;
        };
        let other = lock(self.arrival(name)).stamps.follow(&segment);
        if let Some(target) = pad.target() {
            target.send_event(other.unwrap_or(segment));
        }
    }

    /// A buffer that should be a picture has nothing in it.
    fn drop_empty(&self) {
        lock(&self.flow).dropped.unreadable += 1;
        let told = std::mem::replace(&mut lock(&self.video).told_empty, true);
        if let Some(bin) = self.bin.upgrade().filter(|_| !told) {
            gst::element_warning!(
                bin,
                gst::StreamError::Format,
                ("Some buffers on video are empty: they are no pictures and in no file; \
                     dropped-unreadable counts them")
            );
        }
    }

    /// Gives a buffer its place in time; the running time (ns), where it has one.
    fn place(
        &self,
        name: &str,
        pad: &gst::GhostPad,
        buffer: &mut gst::Buffer,
    ) -> Result<Option<i64>, gst::FlowError> {
        let stamped = lock(self.arrival(name)).stamps.stamp(buffer, &self.breaks);
        let Stamped { placed, segment } = match stamped {
            Ok(stamped) => stamped,
            Err(Unplaced::Backward) => {
                let text = backward_text(name);
                self.post_error(gst::error_msg!(gst::StreamError::Format, ("{text}")));
                return Err(failure::POSTED);
            }
            Err(Unplaced::Untimed) if self.muxed().is_some() => {
                self.post_error(untimed(name, true));
                return Err(failure::POSTED);
            }
            Err(Unplaced::Untimed) => return Ok(None),
        };
        if let Some(jump) = placed.and_then(|placed| placed.jump) {
            self.tell_jump(name, jump);
        }
        if let (Some(segment), Some(target)) = (segment, pad.target()) {
            target.send_event(segment);
        }
        Ok(placed.map(|placed| placed.time))
    }

    fn tell_jump(&self, name: &str, jump: Jump) {
        if let Some(bin) = self.bin.upgrade().filter(|_| jump.is_news()) {
            let text = jump_text(name, jump);
            gst::element_warning!(bin, gst::StreamError::Format, ("{text}"));
        }
    }

    /// Whether caps are those of a camera's JPEGs that do not say how large these are: the first
    /// readable one does, unless they come [in pieces](Self::pieces_arrive).
    fn are_to_be_sized(&self, name: &str, caps: &gst::Caps) -> bool {
        if name != "video" {
            return false;
        }
        let sizeless = is_jpeg(caps)
            && caps.structure(0).is_some_and(|structure| {
                !(structure.has_field("width") && structure.has_field("height"))
            });
        // What is refused is refused at once.
        let container = lock(&self.making).container;
        let fits = container.is_some_and(|container| match container.kind {
            Kind::Muxed(_) => true,
            _ => container.video == Some(VideoCodec::Jpeg),
        });
        let mut arrival = lock(&self.video);
        arrival.size = None;
        arrival.sizeless = (sizeless && fits).then(|| caps.clone());
        arrival.sizeless.is_some()
    }

    /// Whether what is told of a stream has to wait for the size of its pictures.
    pub(crate) fn waits_for_size(&self, name: &str) -> bool {
        let arrival = lock(self.arrival(name));
        arrival.sizeless.is_some() && arrival.size.is_none()
    }

    /// Pictures come in pieces, as from a file: a parser cuts them up, and knows their size. They are 25 a
    /// second where nothing says otherwise, as ffmpeg has them.
    fn pieces_arrive(self: &Arc<Self>, name: &str, pad: &gst::GhostPad) -> gst::PadProbeReturn {
        let caps = {
            let mut arrival = lock(self.arrival(name));
            arrival.jpegs = false;
            arrival.sizeless.take()
        };
        let (Some(mut caps), Some(head)) = (caps, pad.target()) else {
            return gst::PadProbeReturn::Ok;
        };
        if !caps.structure(0).is_some_and(has_rate) {
            caps.make_mut().set("framerate", gst::Fraction::new(25, 1));
        }
        let built = self.caps_arrived(name, &caps);
        if built == gst::PadProbeReturn::Ok {
            head.send_event(gst::event::Caps::new(&caps));
        }
        built
    }

    /// Completes caps without a size by what a picture says. False for pictures before the first
    /// readable one.
    fn is_sized(
        self: &Arc<Self>,
        pad: &gst::GhostPad,
        buffer: &gst::Buffer,
    ) -> Result<bool, gst::FlowError> {
        let (mut caps, before) = {
            let arrival = lock(&self.video);
            let Some(caps) = arrival.sizeless.clone() else {
                return Ok(true);
            };
            (caps, arrival.size)
        };
        let size = buffer.map_readable().ok().and_then(|map| {
            let (width, height) = picture_size(&map)?;
            Some((i32::try_from(width).ok()?, i32::try_from(height).ok()?))
        });
        let Some(size) = size else {
            if before.is_none() {
                gst::info!(CAT, "A picture without a readable head, before any other");
                lock(&self.flow).dropped.unreadable += 1;
            }
            // A damaged one amid others goes into the file as it is.
            return Ok(before.is_some());
        };
        if before == Some(size) {
            return Ok(true);
        }
        lock(&self.video).size = Some(size);
        let fields = caps.make_mut();
        fields.set("width", size.0);
        fields.set("height", size.1);
        fields.set("parsed", true);
        if self.caps_arrived("video", &caps) != gst::PadProbeReturn::Ok {
            return Err(gst::FlowError::Flushing);
        }
        let sink = pad.target().ok_or(gst::FlowError::NotLinked)?;
        if !sink.send_event(gst::event::Caps::new(&caps)) {
            return Err(gst::FlowError::NotNegotiated);
        }
        let segment = lock(&self.video).stamps.segment_event();
        if let Some(segment) = segment.filter(|_| before.is_none()) {
            sink.send_event(segment);
        }
        Ok(true)
    }

    /// With `interval` set, fewer frames a second than upstream says are recorded.
    fn paced(&self, name: &str, mut caps: gst::Caps) -> gst::Caps {
        let interval = lock(&self.settings).interval;
        if name != "video" || interval == 0 {
            return caps;
        }
        let Ok(interval) = i32::try_from(interval) else {
            return caps;
        };
        let rate = gst::Fraction::new(1_000_000, interval);
        let slower = caps
            .structure(0)
            .and_then(|structure| structure.get::<gst::Fraction>("framerate").ok())
            .is_some_and(|framerate| framerate.numer() > 0 && framerate <= rate);
        if !slower {
            caps.make_mut().set("framerate", rate);
        }
        caps
    }

    /// The caps of sound, with places for its channels that encoders know.
    fn with_places(&self, name: &str, caps: gst::Caps) -> gst::Caps {
        let container = lock(&self.making).container;
        match container.filter(|_| name == "audio") {
            Some(container) => speakers::placed_for(container, caps),
            None => caps,
        }
    }

    /// Builds what follows a pad, for the first caps that arrive.
    fn build(self: &Arc<Self>, name: &str, caps: &gst::Caps) -> Result<(), gst::ErrorMessage> {
        let Some(place) = self.streams.place(name) else {
            return Ok(());
        };
        let (container, end) = {
            let making = lock(&self.making);
            (making.container, making.end.clone())
        };
        let (Some(container), Some(end)) = (container, end) else {
            return Ok(());
        };
        if let Some(text) = muxer_of(&end).and_then(|muxer| lacks_rate(&muxer, caps)) {
            return Err(gst::error_msg!(gst::StreamError::Format, ("{text}")));
        }
        let settings = lock(&self.settings).clone();
        let chain = match name {
            "video" => {
                let chain = video_chain(&settings, container, caps)?;
                self.watch_parser(&chain);
                chain
            }
            _ => {
                let (chain, fitted) = audio_chain(&settings, container, caps)?;
                if let Some(fitted) = fitted {
                    self.watch_loss(name, fitted);
                }
                chain
            }
        };
        if let End::Muxed(muxed) = &end {
            let made = match chain.last().and_then(|last| last.static_pad("src")) {
                Some(pad) => pad.query_caps(None),
                None => caps.clone(),
            };
            check_holds(&muxed.muxer(), container, &made, name)?;
        }
        let with_preview = settings.preview && name == "video";
        gst::debug!(CAT, "{name} is {caps}: {chain:?}");
        let chain = self.connect(
            name,
            &place,
            &end,
            chain,
            with_preview,
            streams::is_raw(caps),
        )?;
        self.streams.built(name, chain);
        if let Some(element) = entry::refuses(&place.head, caps) {
            return Err(gst::error_msg!(
                gst::StreamError::Format,
                ("Nothing makes of {caps} what {element} takes: convert the {name} before it gets here, or \
                     choose another extension or {name}-encoder")
            ));
        }
        Ok(())
    }

    /// Puts a stream's elements into the bin, between its pad and the file.
    fn connect(
        self: &Arc<Self>,
        name: &str,
        place: &Place,
        end: &End,
        mut chain: Vec<gst::Element>,
        with_preview: bool,
        raw: bool,
    ) -> Result<Vec<gst::Element>, gst::ErrorMessage> {
        let failed = |err: glib::BoolError| {
            gst::error_msg!(
                gst::CoreError::Negotiation,
                ("The {name} cannot be brought to the file: {err}")
            )
        };
        let target = place.target.as_ref().ok_or_else(|| {
            gst::error_msg!(
                gst::StreamError::Mux,
                ("The file's container holds no {name}: choose another extension")
            )
        })?;
        let bin = self.bin.upgrade();
        let bin =
            bin.ok_or_else(|| gst::error_msg!(gst::CoreError::StateChange, ("The bin is gone")))?;
        if let End::Muxed(muxed) = end {
            let queue = muxed.waiting_queue(name).map_err(|err| missing(&err))?;
            // A parser may put pieces together, which are no frames before it.
            let first = if raw { chain.first() } else { queue.as_ref() };
            if let Some(pad) = first.and_then(|first| first.static_pad("sink")) {
                muxed.count_under_way(name, &pad);
            }
            chain.extend(queue);
        }
        if with_preview && matches!(end, End::Elements(_)) {
            // The file's sink waits for PLAYING, and the preview has to get its picture meanwhile.
            chain.push(streams::make("queue").map_err(|err| missing(&err))?);
        }
        let preview = if with_preview {
            let tee = streams::make("tee").map_err(|err| missing(&err))?;
            tee.set_property("allow-not-linked", true);
            chain.insert(0, tee.clone());
            let preview = preview_chain(raw)?;
            entry::add(&bin, &preview).map_err(failed)?;
            Some((tee, preview))
        } else {
            None
        };
        if let End::Elements(sink) = end {
            sink.sync_state_with_parent().map_err(failed)?;
        }
        let mut counted = target.clone();
        if let End::Muxed(muxed) = end {
            let last = chain.last().unwrap_or(&place.head.0);
            let source = last.static_pad("src");
            let no_pad = || failed(glib::bool_error!("{} has no source pad", last.name()));
            let source = source.ok_or_else(no_pad)?;
            muxed.cut(name, &source);
            counted = source;
        }
        if name == "video" {
            // The end is new for each recording, and the probe goes with it.
            self.count(target, &counted);
        }
        entry::extend(&bin, &place.head, &chain, target).map_err(failed)?;
        if let Some((tee, preview)) = preview {
            link_preview(&tee, &preview).map_err(failed)?;
            chain.extend(preview);
        }
        Ok(chain)
    }

    /// Counts the encoded frames that reach `pad`, and writes down their times by the segment that `source` has: a file
    /// is told another one.
    fn count(self: &Arc<Self>, pad: &gst::Pad, source: &gst::Pad) {
        let this = Arc::downgrade(self);
        let source = source.downgrade();
        let messages = lock(&self.settings).frame_messages;
        let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
        pad.add_probe(kinds, move |_, info| {
            let Some(this) = this.upgrade() else {
                return gst::PadProbeReturn::Ok;
            };
            let written = match &info.data {
                Some(gst::PadProbeData::Buffer(buffer)) => {
                    let source = source.upgrade();
                    let time = source.and_then(|source| running_time(&source, buffer));
                    this.frame_passed(buffer.size() as u64, time, messages)
                }
                Some(gst::PadProbeData::Event(event)) if event.type_() == gst::EventType::Eos => {
                    let times = &mut lock(&this.flow).times;
                    times.as_mut().map_or(Ok(()), Times::finish)
                }
                _ => Ok(()),
            };
            if let Err(err) = written {
                // Once: without the file there is nothing more to write to.
                lock(&this.flow).times = None;
                this.post_error(gst::error_msg!(
                    gst::ResourceError::Write,
                    ("The times cannot be written to pts-location: {err}")
                ));
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// A frame of so many bytes, at this running time (ns), goes into the file.
    fn frame_passed(&self, bytes: u64, time: Option<u64>, messages: bool) -> std::io::Result<()> {
        let written = {
            let mut flow = lock(&self.flow);
            flow.totals.frames += 1;
            flow.totals.bytes += bytes;
            flow.totals.last_frame_bytes = bytes;
            match (flow.times.as_mut(), time) {
                (Some(times), Some(time)) => times.push(time),
                _ => Ok(()),
            }
        };
        if messages {
            let details = gst::Structure::builder("recordsink-frame")
                .field("bytes", bytes)
                .field("pts", time.map(gst::ClockTime::from_nseconds))
                .build();
            self.post_element(details);
        }
        written
    }
}

fn muxer_of(end: &End) -> Option<glib::GString> {
    let End::Muxed(muxed) = end else { return None };
    Some(muxed.muxer().factory()?.name())
}

/// Refuses what a muxer has no place for. Which form of H.264 it is does not matter here: a parser
/// makes the one that is wanted.
fn check_holds(
    muxer: &gst::Element,
    container: &Container,
    caps: &gst::Caps,
    name: &str,
) -> Result<(), gst::ErrorMessage> {
    let templates = muxer.pad_template_list();
    let held = || {
        let sinks = templates.iter();
        sinks.filter(|template| template.direction() == gst::PadDirection::Sink)
    };
    let by_name = |wanted: &gst::StructureRef| {
        held().any(|template| template.caps().iter().any(|it| it.name() == wanted.name()))
    };
    if streams::writes_fragments(muxer) && samples::are_counted(caps) {
        return Err(gst::error_msg!(
            gst::StreamError::Mux,
            ("A file that plays when it is cut off has no place for sound in samples: leave audio-encoder out, or \
                 set it to avenc_alac")
        ));
    }
    if held().any(|template| template.caps().can_intersect(caps)) {
        return Ok(());
    }
    let factory = muxer.factory().map(|factory| factory.name().to_string());
    let others: &[Muxer] = match container.kind {
        Kind::Muxed(muxers) => muxers,
        _ => &[],
    };
    let takes = |other: &&Muxer| {
        let is_other = Some(other.factory) != factory.as_deref();
        is_other && caps.iter().any(|it| other.holds(it.name().as_str()))
    };
    let instead = others.iter().find(takes).map_or_else(
        || "choose another extension".to_owned(),
        |other| format!("set muxer-factory={}", other.factory),
    );
    let what = match caps.structure(0) {
        // It is a detail that it has no place for.
        Some(structure) if by_name(structure) => caps.to_string(),
        Some(structure) => structure.name().to_string(),
        None => "it".to_owned(),
    };
    Err(gst::error_msg!(
        gst::StreamError::Mux,
        (
            "{} cannot hold {what}: {instead}, or give raw {name} to have it encoded",
            factory.as_deref().unwrap_or("The muxer")
        )
    ))
}
