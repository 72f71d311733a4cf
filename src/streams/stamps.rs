// SPDX-License-Identifier: MIT OR Apache-2.0
//! The times of a stream's buffers, by its segment and caps: [`timeline`](super::timeline) decides
//! where each is put, and here buffers and events are brought there.

use std::sync::Mutex;

use avi_mjpeg::recorder::Runs;
use k230_venc::{Codec, reordering};

use super::begin::{REACH, begin_of};
use super::decoding::DecodeTimes;
use super::is_raw;
pub(crate) use super::shift::clock_time;
use super::shift::{Shift, delay};
use super::ticks::USUAL;
use super::timeline::{Jump, Pace, Placed, Stamp, Timeline, Untimed, jitter, reach};
use super::whole::WholeSamples;
use crate::sync::lock;

/// The runs that an element's streams have between breaks of their clock, so that all of them go on at the same
/// place; written by the streams' threads.
#[derive(Debug, Default)]
pub(crate) struct Breaks(Mutex<Runs>);

impl Breaks {
    /// Streams begin.
    pub(crate) fn clear(&self) {
        *lock(&self.0) = Runs::default();
    }
}

/// One stream's times.
#[derive(Debug, Default)]
pub(crate) struct Stamps {
    /// As upstream has it, but without an end and as late as `shift` has it; `None` before it comes, and where it is not
    /// in time.
    segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    /// One came that is not in time.
    is_out_of_time: bool,
    /// By how much what goes on differs from what upstream has.
    shift: Shift,
    timeline: Timeline,
    /// The caps are those of a stream whose buffers come in the order in which they are shown.
    in_order: bool,
    /// Each buffer is a picture that needs no other.
    stands_alone: bool,
    /// Nobody behind tells the times of such a stream better.
    is_counted: bool,
    /// Raw pictures whose caps do not say how long one lasts.
    lacks_rate: bool,
    /// How often the timestamps broke off.
    jumps: u64,
    samples: WholeSamples,
    decoding: DecodeTimes,
    /// The codec of a stream whose buffers are pictures that may come in another order than they are shown.
    reordered: Option<Codec>,
    /// How long a picture lasts by the caps, ns.
    lasts: Option<i64>,
    /// It is no picture's.
    is_sound: bool,
}

/// Formats of which each picture needs no other.
const STAND_ALONE: [&str; 5] = [
    "video/x-raw",
    "video/x-prores",
    "video/x-dnxhd",
    "video/x-dv",
    "video/x-ffv",
];

/// Encoded pictures that nothing shows in another order than they come: what is decoded first and shown later is in one
/// buffer with what is shown meanwhile.
const AS_THEY_COME: [&str; 5] = [
    "video/x-vp8",
    "video/x-vp9",
    "video/x-av1",
    "video/x-theora",
    "video/x-h263",
];

fn is_shown_as_it_comes(name: &str) -> bool {
    let each = name.starts_with("audio/") || name.starts_with("image/");
    each || STAND_ALONE.contains(&name) || AS_THEY_COME.contains(&name)
}

/// Why a buffer has no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unplaced {
    /// It has no timestamp, and nothing says how long one lasts.
    Untimed,
    /// Its stream is played backward, and a buffer of it is nothing by itself.
    Backward,
}

impl From<Untimed> for Unplaced {
    fn from(Untimed: Untimed) -> Self {
        Self::Untimed
    }
}

/// What became of a buffer.
#[derive(Debug, Default)]
pub(crate) struct Stamped {
    /// Its place, where it has one.
    pub placed: Option<Placed>,
    /// A segment that is to go before it.
    pub segment: Option<gst::Event>,
}

/// Whether each buffer of an encoded stream is a picture, or a package of sound, as it comes: what is not is for a
/// parser, and pictures that are not decoded in the order in which they are shown are nobody's to count.
fn is_whole(caps: &gst::CapsRef) -> bool {
    caps.structure(0).is_some_and(|structure| {
        let is = |field| structure.get::<bool>(field) == Ok(true);
        match structure.name().as_str() {
            "video/x-vp8" | "video/x-vp9" | "audio/x-opus" => true,
            name if name.starts_with("audio/") => {
                let is_raw = structure.get::<&str>("stream-format") == Ok("raw");
                is("framed") || is("parsed") || is_raw
            }
            _ => false,
        }
    })
}

impl Stamps {
    /// Follows the stream's caps; counting goes on from where the stream is.
    pub(crate) fn set_caps(&mut self, caps: &gst::CapsRef) {
        let name = caps
            .structure(0)
            .map_or("", |structure| structure.name().as_str());
        self.is_counted = is_raw(caps) || name == "image/jpeg" || is_whole(caps);
        self.stands_alone = STAND_ALONE.contains(&name) || name.starts_with("image/");
        self.is_sound = name.starts_with("audio/");
        self.in_order = is_raw(caps) || is_shown_as_it_comes(name);
        let pace = pace(caps);
        self.lacks_rate = name == "video/x-raw" && pace.is_none();
        self.lasts = pace.map(|pace| pace.duration(0));
        self.samples.set_caps(caps);
        self.reordered = reordered(caps);
        if let Some(codec) = self.reordered {
            let depth = depth_by_caps(codec, caps);
            self.decoding.set_depth(depth.unwrap_or(0));
            self.in_order = depth == Some(0);
        }
        self.timeline.set_format(pace, !self.in_order);
        self.timeline.set_raw(name == "video/x-raw");
    }

    /// Follows the stream's segment. False where that is not in time.
    pub(crate) fn set_segment(&mut self, segment: &gst::Segment) -> bool {
        self.segment = segment.downcast_ref::<gst::ClockTime>().cloned();
        self.is_out_of_time = self.segment.is_none();
        if let Some(segment) = self.segment.as_mut().filter(|it| it.rate() > 0.0) {
            // What comes behind its end has come, and would be in no file and in no count.
            segment.set_stop(gst::ClockTime::NONE);
        }
        self.shift.begin(self.segment.as_mut());
        self.segment.is_some()
    }

    /// Takes timestamps for running times where no segment has come, as GStreamer's sinks do. False where one has that is
    /// not in time.
    pub(crate) fn assume_segment(&mut self) -> bool {
        if self.segment.is_none() && !self.is_out_of_time {
            self.set_segment(gst::FormattedSegment::<gst::ClockTime>::new().upcast_ref());
        }
        self.segment.is_some()
    }

    /// Whether what comes last is shown first.
    fn is_backward(&self) -> bool {
        self.segment.as_ref().is_some_and(|it| it.rate() < 0.0)
    }

    /// Whether what is played backward cannot be recorded so.
    fn is_refused(&self) -> bool {
        let has_begin = || self.segment.as_ref().is_some_and(|it| it.stop().is_some());
        self.is_backward() && !(self.stands_alone && has_begin())
    }

    /// The segment that goes on.
    pub(crate) fn segment_event(&self) -> Option<gst::Event> {
        let segment = self.shift.segment(self.segment.as_ref()?);
        Some(gst::event::Segment::new(&segment))
    }

    /// What comes has another segment, and follows what came.
    pub(crate) fn forget_segment(&mut self) {
        self.segment = None;
        self.is_out_of_time = false;
    }

    /// What comes does not follow what came.
    pub(crate) fn reset(&mut self) {
        self.forget_segment();
        self.timeline.reset();
        self.shift.reset();
        self.samples.reset();
    }

    /// Makes a buffer one that muxers take, before it is placed: of whole samples, and with the time at which it is
    /// decoded where it does not come as it is shown. False where there is no whole sample yet. What goes wrong is told in
    /// the element's category `cat`.
    pub(crate) fn complete(&mut self, buffer: &mut gst::Buffer, cat: gst::DebugCategory) -> bool {
        if self.segment.is_some() {
            self.shift.lead_buffer(buffer);
            if let Some(codec) = self.reordered {
                self.time_decoding(codec, buffer);
            }
        }
        if self.stands_alone && buffer.flags().contains(gst::BufferFlags::DELTA_UNIT) {
            // `pngenc` says of pictures but the first that they need others.
            let buffer = buffer.make_mut();
            buffer.unset_flags(gst::BufferFlags::DELTA_UNIT);
        }
        self.samples.complete(buffer, cat)
    }

    fn time_decoding(&mut self, codec: Codec, buffer: &mut gst::Buffer) {
        let shown = match (buffer.pts(), buffer.dts()) {
            (Some(shown), None) => shown,
            (None, Some(decoded)) => {
                // As of an AVI, which has no other; muxers take nothing that has no time to be shown at.
                buffer.make_mut().set_pts(decoded);
                return;
            }
            _ => return,
        };
        if !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT) {
            let mut room = [0; REACH];
            let begin = begin_of(buffer, &mut room);
            if let Some(depth) = begin.and_then(|begin| reordering::depth(codec, begin)) {
                self.decoding.set_depth(depth);
                self.in_order = depth == 0;
                self.timeline.set_reorders(!self.in_order);
            }
        }
        let Some(time) = self.running_time(shown) else {
            return;
        };
        let lasts = buffer.duration().and_then(signed).or(self.lasts);
        let lasts = lasts.unwrap_or(USUAL);
        // What is said to come in order goes back because its clock does.
        let near = match self.in_order {
            true => jitter(lasts),
            false => reach(lasts),
        };
        let decoded = self.decoding.of(time, lasts, near);
        let (Some(decoded), Some(shown)) = (decoded, signed(shown)) else {
            return;
        };
        let off = decoded.saturating_sub(time) as f64 * self.rate();
        let decoded = shown.saturating_add(off.round() as i64);
        let missing = clock_time(decoded.saturating_neg());
        if !missing.is_zero() {
            self.shift.put_off(missing, self.segment.as_mut());
            delay(buffer, missing);
        }
        buffer.make_mut().set_dts(clock_time(decoded));
    }

    fn rate(&self) -> f64 {
        self.segment.as_ref().map_or(1.0, |it| it.rate())
    }

    /// How long (ns) a buffer is shown or heard that says how long its part of the stream is.
    fn played(&self, duration: gst::ClockTime) -> Option<i64> {
        let duration = signed(duration)?;
        Some(match self.rate().abs() {
            1.0 => duration,
            rate => (duration as f64 / rate).round() as i64,
        })
    }

    /// When (ns) a buffer is decoded. Backward that is not before it is shown, and nobody needs it.
    fn decoded(&self, buffer: &gst::BufferRef) -> Option<i64> {
        let decoded = buffer.dts().filter(|_| !self.is_backward());
        self.running_time(decoded?)
    }

    /// How often the timestamps broke off.
    pub(crate) fn jumps(&self) -> u64 {
        self.jumps
    }

    /// The place of a buffer, which stays as it is. `breaks` are
    /// those of all streams of the element.
    ///
    /// # Errors
    /// When it has no timestamp and nothing says how long one lasts, or cannot be recorded as it is played.
    pub(crate) fn place(
        &mut self,
        buffer: &gst::BufferRef,
        breaks: &Breaks,
    ) -> Result<Placed, Unplaced> {
        self.place_among(buffer, &mut lock(&breaks.0))
    }

    /// The same for an element that has the runs of its streams under a lock of its own.
    ///
    /// # Errors
    /// As [`Stamps::place`].
    pub(crate) fn place_among(
        &mut self,
        buffer: &gst::BufferRef,
        runs: &mut Runs,
    ) -> Result<Placed, Unplaced> {
        if self.is_refused() {
            return Err(Unplaced::Backward);
        }
        let running_time = |stamp| self.running_time(stamp);
        let stamp = Stamp {
            time: buffer.pts().and_then(|pts| match self.is_backward() {
                // It is shown from its end on.
                true => running_time(pts + buffer.duration().unwrap_or_default()),
                false => running_time(pts),
            }),
            decode: self.decoded(buffer),
            duration: buffer.duration().and_then(|it| self.played(it)),
            bytes: buffer.size() as u64,
        };
        let begun = self.timeline.begin_near(stamp, runs);
        let placed = self.timeline.place(stamp, runs)?;
        runs.reach(placed.time.max(placed.end));
        if placed.jump.is_some_and(|jump| jump.first) {
            runs.add(placed.offset, placed.time);
        }
        let apart = match self.is_sound {
            true => 0,
            false => {
                let in_order = self.in_order && !self.stands_alone;
                self.shift.part(placed.time, in_order)
            }
        };
        let placed = Placed {
            time: placed.time.saturating_add(apart),
            jump: placed.jump.or(begun),
            ..placed
        };
        self.jumps += u64::from(placed.jump.is_some_and(Jump::is_news));
        Ok(placed)
    }

    /// Gives a buffer the times of its place: counted ones where it has none, and others where its own
    /// do not follow what came. What encoded streams do not tell is left to their parsers.
    ///
    /// # Errors
    /// As [`Stamps::place`].
    pub(crate) fn stamp(
        &mut self,
        buffer: &mut gst::Buffer,
        breaks: &Breaks,
    ) -> Result<Stamped, Unplaced> {
        let is_untimed = buffer.dts_or_pts().is_none();
        let is_counted = self.is_counted && !buffer.flags().contains(gst::BufferFlags::HEADER);
        if self.is_refused() {
            return Err(Unplaced::Backward);
        }
        if self.segment.is_none() || (is_untimed && !is_counted) {
            return Ok(Stamped::default());
        }
        let placed = self.place(buffer, breaks)?;
        let decode = self.decoded(buffer).map(|decode| {
            let decode = self.timeline.shifted(decode);
            decode.saturating_add(self.shift.apart())
        });
        let has_news = self.shift.has_news(placed.offset != 0, decode);
        let segment = has_news.then(|| self.segment_event()).flatten();
        let own = buffer.dts_or_pts().and_then(|own| self.running_time(own));
        let is_own = own.is_none_or(|own| own == placed.time);
        let within = self.segment.as_ref();
        let (shown, decoded) = match self.shift.plain(placed.time) {
            Some(shown) => (
                Some(shown),
                decode.and_then(|decode| self.shift.plain(decode)),
            ),
            None if is_untimed || self.in_order && !is_own => {
                let time = clock_time(placed.time);
                let position = within.and_then(|it| it.position_from_running_time(time));
                (position, None)
            }
            // Samples from before the segment are before the recording. Pictures are in it.
            None if self.is_sound || buffer.pts().is_none() => (buffer.dts_or_pts(), buffer.dts()),
            None => {
                let start = within.and_then(|it| it.start());
                self.shift.encoded(start, buffer)
            }
        };
        if (shown, decoded) != (buffer.pts(), buffer.dts()) {
            let buffer = buffer.make_mut();
            buffer.set_pts(shown);
            buffer.set_dts(decoded);
            if is_untimed {
                buffer.set_duration(clock_time(placed.end - placed.time));
            }
        }
        if (self.shift.is_plain() && !is_untimed)
            && let Some(duration) = buffer.duration()
            && let Some(played) = self.played(duration).map(clock_time)
            && played != duration
        {
            buffer.make_mut().set_duration(played);
        }
        if self.lacks_rate && buffer.duration().is_none() && placed.end > placed.time {
            // An encoder gives the last picture a nanosecond, which is none in an MP4 file: nobody shows it.
            let duration = clock_time(placed.end - placed.time);
            buffer.make_mut().set_duration(duration);
        }
        Ok(Stamped {
            placed: Some(placed),
            segment,
        })
    }

    /// Follows an event; what goes on in its place.
    pub(crate) fn follow(&mut self, event: &gst::EventRef) -> Option<gst::Event> {
        match event.view() {
            gst::EventView::Caps(caps) => self.set_caps(caps.caps()),
            gst::EventView::Segment(segment) => {
                if !self.set_segment(segment.segment()) {
                    return None;
                }
                if self.rate() != 1.0 {
                    // Muxers write what they get, in the order and at the times of a stream that is played as it is.
                    self.shift.leave_segment();
                }
                self.shift.told();
                let own = self.segment.as_ref()?;
                let is_same = self.shift.is_none() && segment.segment().stop() == own.stop().into();
                let other = self.shift.segment(own);
                let other = gst::event::Segment::builder(&other).seqnum(event.seqnum());
                return (!is_same).then(|| other.build());
            }
            gst::EventView::Gap(gap) => {
                let (start, duration) = gap.get();
                let start = self.shift.lead(start);
                let end = start + duration.unwrap_or_default();
                let (first, last) = match self.is_backward() {
                    true => (end, start),
                    false => (start, end),
                };
                let first = self.running_time(first)?;
                let last = self.running_time(last)?;
                self.timeline.skip_to(self.timeline.shifted(last));
                if self.shift.is_none() {
                    return None;
                }
                let moved = self.shift.plain(self.timeline.shifted(first));
                let start = moved.unwrap_or(start);
                let moved = gst::event::Gap::builder(start).duration(duration);
                return Some(moved.seqnum(event.seqnum()).build());
            }
            _ => (),
        }
        None
    }

    /// Upstream has nothing up to a timestamp, which is this running time (ns).
    pub(crate) fn skip(&mut self, until: gst::ClockTime) -> Option<i64> {
        let time = self
            .timeline
            .shifted(self.running_time(self.shift.lead(until))?);
        self.timeline.skip_to(time);
        Some(time)
    }

    /// The running time of upstream for a timestamp, ns.
    fn running_time(&self, stamp: gst::ClockTime) -> Option<i64> {
        let segment = self.segment.as_ref()?;
        if segment.rate() < 0.0 && segment.stop().is_none() {
            // It begins nowhere.
            return None;
        }
        running_time(segment, stamp)
    }
}

/// The running time (ns) of a timestamp; before the segment it is less than 0.
pub(crate) fn running_time(
    segment: &gst::FormattedSegment<gst::ClockTime>,
    stamp: gst::ClockTime,
) -> Option<i64> {
    Some(match segment.to_running_time_full(stamp)? {
        gst::Signed::Positive(time) => signed(time)?,
        gst::Signed::Negative(time) => -signed(time)?,
    })
}

/// What is said of a jump of the timestamps on a pad.
pub(crate) fn jump_text(pad: &str, jump: Jump) -> String {
    let direction = if jump.to < jump.from { "back" } else { "ahead" };
    // As exact as pictures need it, if that tells them apart.
    const MS: i64 = 1_000_000;
    let is_told = jump.from / MS != jump.to / MS
        && [jump.from, jump.to]
            .iter()
            .all(|it| *it == 0 || it / MS != 0);
    let digits = if is_told { 3 } else { 9 };
    let [from, to] = [jump.from, jump.to].map(|time| time_text(time, digits));
    format!(
        "Timestamps on {pad} went from {from} {direction} to {to}: what follows is recorded behind what came"
    )
}

/// A time (ns), with so many digits of its seconds' fraction.
fn time_text(time: i64, digits: usize) -> String {
    let sign = if time < 0 { "-" } else { "" };
    format!("{sign}{:.digits$}", clock_time(time.saturating_abs()))
}

/// What is said of a stream that is played backward and is not recorded so.
pub(crate) fn backward_text(pad: &str) -> String {
    format!(
        "What comes on {pad} is played backward, and only pictures that need no others, raw or JPEG, are recorded so: play \
         it forward, or decode pictures in front and leave sound out"
    )
}

fn signed(time: gst::ClockTime) -> Option<i64> {
    i64::try_from(time.nseconds()).ok()
}

/// The codec of caps whose buffers are pictures that may come in another order than they are shown.
pub(crate) fn reordered(caps: &gst::CapsRef) -> Option<Codec> {
    let structure = caps.structure(0)?;
    let codec = match structure.name().as_str() {
        "video/x-h264" => Codec::H264,
        "video/x-h265" => Codec::H265,
        _ => return None,
    };
    (structure.get::<&str>("alignment") == Ok("au")).then_some(codec)
}

/// How far pictures are reordered by the parameter sets in the caps.
fn depth_by_caps(codec: Codec, caps: &gst::CapsRef) -> Option<u8> {
    let config = caps.structure(0)?.get::<gst::Buffer>("codec_data").ok()?;
    let config = config.map_readable().ok()?;
    // Each set has its length in front of it (ISO/IEC 14496-15); whatever else looks so is no set.
    let mut lengths = config.windows(2).enumerate();
    lengths.find_map(|(at, length)| {
        let length = usize::from(u16::from_be_bytes(length.try_into().ok()?));
        let from = at.checked_add(2)?;
        reordering::depth_of(codec, config.get(from..from.checked_add(length)?)?)
    })
}

/// How long frames and samples last by the caps.
fn pace(caps: &gst::CapsRef) -> Option<Pace> {
    let structure = caps.structure(0)?;
    if structure.name() == "audio/x-raw" {
        let info = gst_audio::AudioInfo::from_caps(caps).ok()?;
        return Pace::new(u64::from(info.rate()), 1, u64::from(info.bpf()));
    }
    let rate = structure.get::<gst::Fraction>("framerate").ok()?;
    let (frames, seconds) = (
        u64::try_from(rate.numer()).ok()?,
        u64::try_from(rate.denom()).ok()?,
    );
    Pace::new(frames, seconds, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streams::ticks::APART;

    const RAW: &str = "video/x-raw,format=I420,width=16,height=16,framerate=25/1";

    fn ms(ms: u64) -> gst::ClockTime {
        gst::ClockTime::from_mseconds(ms)
    }

    fn stamps(caps: &str) -> Stamps {
        gst::init().unwrap();
        let mut stamps = Stamps::default();
        stamps.set_caps(&caps.parse::<gst::Caps>().unwrap());
        stamps
    }

    /// A segment whose timestamps are as many milliseconds later than running time.
    fn begin(stamps: &mut Stamps, start: u64) {
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        segment.set_start(ms(start));
        let passed_on = stamps.follow(&gst::event::Segment::new(&segment));
        assert_eq!(passed_on.is_some(), stamps.shift.is_plain());
    }

    fn buffer(pts: Option<u64>) -> gst::Buffer {
        let mut buffer = gst::Buffer::with_size(384).unwrap();
        buffer.get_mut().unwrap().set_pts(pts.map(ms));
        buffer
    }

    #[test]
    fn what_fits_is_not_touched() {
        let mut stamps = stamps(RAW);
        begin(&mut stamps, 1000);
        for time in [1000, 1040, 1080] {
            let mut given = buffer(Some(time));
            let before = given.as_ptr();
            let stamped = stamps.stamp(&mut given, &Breaks::default()).unwrap();
            assert_eq!(
                stamped.placed.unwrap().time,
                (time as i64 - 1000) * 1_000_000
            );
            assert!(stamped.segment.is_none());
            assert_eq!((given.as_ptr(), given.pts()), (before, Some(ms(time))));
        }
        let mut counted = buffer(None);
        stamps.stamp(&mut counted, &Breaks::default()).unwrap();
        assert_eq!(counted.pts(), Some(ms(1120)));
        assert_eq!(counted.duration(), Some(ms(40)));
    }

    #[test]
    fn what_comes_outside_its_segment_is_in_it() {
        let mut stamps = stamps("video/x-h264,stream-format=avc,alignment=au,framerate=25/1");
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        segment.set_start(ms(1000));
        segment.set_stop(ms(1100));
        let endless = stamps.follow(&gst::event::Segment::new(&segment)).unwrap();
        let gst::EventView::Segment(endless) = endless.view() else {
            panic!("{endless:?}");
        };
        assert_eq!(endless.segment().stop(), gst::ClockTime::NONE.into());
        let apart = APART.unsigned_abs();
        let times = [920, 960, 1000, 1040, 1120].map(|time| {
            let mut given = buffer(Some(time));
            assert!(stamps.complete(&mut given, *gst::CAT_RUST));
            stamps.stamp(&mut given, &Breaks::default()).unwrap();
            given.pts().unwrap().nseconds()
        });
        let start = 1_000_000_000;
        let later = [start + 40_000_000, start + 120_000_000];
        assert_eq!(times[..3], [1, 2, 3].map(|early| start + early * apart));
        assert_eq!(times[3..], later);
    }

    #[test]
    fn pictures_that_come_together_have_times_of_their_own() {
        let mut stamps = stamps("video/x-h264,stream-format=avc,alignment=au,framerate=25/1");
        begin(&mut stamps, 0);
        let second = 1_000_000_000;
        let given = [0, second, second, second, second + 100, second + 40_000_000];
        let times = given.map(|time| {
            let time = gst::ClockTime::from_nseconds(time);
            let mut given = buffer(None);
            given.get_mut().unwrap().set_pts(time);
            given.get_mut().unwrap().set_dts(time);
            let stamped = stamps.stamp(&mut given, &Breaks::default()).unwrap();
            let shown = given.pts().unwrap().nseconds();
            assert_eq!(given.dts(), given.pts());
            assert_eq!(stamped.placed.unwrap().time, shown as i64);
            shown
        });
        let apart = APART.unsigned_abs();
        let together = [0, 1, 2, 3].map(|before| second + before * apart);
        assert_eq!(times[1..5], together);
        assert_eq!((times[0], times[5]), (0, second + 40_000_000));
    }

    #[test]
    fn what_is_decoded_before_zero_is_shown_later() {
        use gst::EventView::{Gap, Segment};
        // A parameter set of x264 that says that two pictures are reordered.
        let set = b"\0\0\0\x01\x67\x4d\x40\x15\xec\xa2\x13\x60\x2d\x41\x81\x81\xa9\x40\0\0\x03\0\x40\0\0\x0c\xa3\xc5\x8b\x65\x80";
        let mut stamps =
            stamps("video/x-h264,stream-format=byte-stream,alignment=au,framerate=25/1");
        begin(&mut stamps, 0);
        let mut stamp = |shown: u64| {
            let mut given = gst::Buffer::from_slice(set);
            given.get_mut().unwrap().set_pts(ms(shown));
            assert!(stamps.complete(&mut given, *gst::CAT_RUST));
            let stamped = stamps.stamp(&mut given, &Breaks::default()).unwrap();
            assert_eq!(stamped.placed.unwrap().time, shown as i64 * 1_000_000);
            (given.pts(), given.dts(), stamped.segment)
        };
        // I P B b ...
        let (shown, decoded, segment) = stamp(0);
        assert_eq!((shown, decoded), (Some(ms(80)), Some(ms(0))));
        let segment = segment.unwrap();
        let Segment(segment) = segment.view() else {
            panic!("{segment:?}");
        };
        assert_eq!(segment.segment().start(), Some(ms(80)).into());
        for (shown, decoded) in [(160, 40), (80, 80), (40, 120), (120, 160)] {
            let stamped = stamp(shown);
            let expected = (Some(ms(shown + 80)), Some(ms(decoded)));
            assert_eq!((stamped.0, stamped.1), expected);
            assert!(stamped.2.is_none());
        }
        let gap = gst::event::Gap::builder(ms(200)).duration(ms(40)).build();
        let moved = stamps.follow(&gap).unwrap();
        let Gap(moved) = moved.view() else {
            panic!("{moved:?}");
        };
        assert_eq!(moved.get(), (ms(280), Some(ms(40))));
    }

    #[test]
    fn what_is_played_backward_stands_alone_or_is_refused() {
        let backward = |stop: Option<u64>| {
            let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
            segment.set_rate(-2.0);
            segment.set_stop(stop.map(ms));
            gst::event::Segment::new(&segment)
        };
        let mut pictures = stamps(RAW);
        let moved = pictures.follow(&backward(Some(400))).unwrap();
        let gst::EventView::Segment(moved) = moved.view() else {
            panic!("{moved:?}");
        };
        assert_eq!(moved.segment().rate(), 1.0);
        let times = [360, 320, 280].map(|time| {
            let mut given = buffer(Some(time));
            given.get_mut().unwrap().set_duration(ms(40));
            pictures.stamp(&mut given, &Breaks::default()).unwrap();
            (given.pts(), given.duration())
        });
        assert_eq!(
            times,
            [0, 20, 40].map(|time| (Some(ms(time)), Some(ms(20))))
        );
        let sound = "audio/x-raw,format=S16LE,rate=8000,channels=1,layout=interleaved";
        for (caps, stop) in [(sound, Some(400)), ("video/x-h264", Some(400)), (RAW, None)] {
            let mut stamps = stamps(caps);
            stamps.follow(&backward(stop));
            let refused = stamps.stamp(&mut buffer(Some(40)), &Breaks::default());
            assert_eq!(refused.unwrap_err(), Unplaced::Backward, "{caps}");
            let forward = gst::FormattedSegment::<gst::ClockTime>::new();
            stamps.follow(&gst::event::Segment::new(&forward));
            assert!(
                stamps
                    .stamp(&mut buffer(Some(40)), &Breaks::default())
                    .is_ok()
            );
        }
    }

    #[test]
    fn a_jump_is_told_by_times_that_differ() {
        let second = 1_000_000_000;
        for (from, to, words) in [
            (
                5 * second,
                2 * second,
                "from 0:00:05.000 back to 0:00:02.000: ",
            ),
            (
                -20_000_000,
                20_000_000,
                "from -0:00:00.020 ahead to 0:00:00.020: ",
            ),
            (
                -2 * second,
                4_000 * second,
                "from -0:00:02.000 ahead to 1:06:40.000: ",
            ),
            (
                second + 1,
                second,
                "from 0:00:01.000000001 back to 0:00:01.000000000: ",
            ),
            (
                0,
                -700,
                "from 0:00:00.000000000 back to -0:00:00.000000700: ",
            ),
        ] {
            let jump = Jump {
                from,
                to,
                first: true,
                counted: false,
            };
            let text = jump_text("video", jump);
            assert!(text.contains(words), "{text}");
        }
    }

    #[test]
    fn pictures_without_a_rate_last_as_long_as_those_before_them() {
        let mut stamps = stamps("video/x-raw,format=I420,width=16,height=16");
        begin(&mut stamps, 0);
        let durations = [0, 15, 30, 70].map(|time| {
            let mut given = buffer(Some(time));
            stamps.stamp(&mut given, &Breaks::default()).unwrap();
            given.duration().map(gst::ClockTime::mseconds)
        });
        assert_eq!(durations, [None, Some(15), Some(15), Some(30)]);
    }

    #[test]
    fn what_begins_anew_has_running_times_from_there() {
        let (mut stamps, breaks) = (stamps(RAW), Breaks::default());
        begin(&mut stamps, 1000);
        for time in [3000, 3040] {
            stamps.stamp(&mut buffer(Some(time)), &breaks).unwrap();
        }
        let mut anew = buffer(Some(1000));
        let stamped = stamps.stamp(&mut anew, &breaks).unwrap();
        assert!(stamped.segment.is_some());
        assert_eq!(anew.pts(), Some(ms(2080)));
        assert_eq!(
            (stamps.jumps(), lock(&breaks.0).shifts().to_vec()),
            (1, vec![1_080_000_000 + 1_000_000_000])
        );
        // Whatever segment comes then.
        begin(&mut stamps, 0);
        let mut next = buffer(Some(40));
        let stamped = stamps.stamp(&mut next, &breaks).unwrap();
        assert!(stamped.segment.is_none() && stamped.placed.unwrap().jump.is_none());
        assert_eq!(next.pts(), Some(ms(2120)));
        let gap = gst::event::Gap::builder(ms(80)).duration(ms(400)).build();
        let moved = stamps.follow(&gap).unwrap();
        let gst::EventView::Gap(moved) = moved.view() else {
            panic!("{moved:?}");
        };
        assert_eq!(moved.get(), (ms(2160), Some(ms(400))));
        let mut counted = buffer(None);
        stamps.stamp(&mut counted, &breaks).unwrap();
        assert_eq!(counted.pts(), Some(ms(2560)));
    }

    #[test]
    fn what_is_not_reordered_goes_on_behind_what_came() {
        // H.264 tells so: a parameter set of the baseline profile.
        let set = b"\0\0\0\x01\x67\x42\xc0\x15\xda\x0a\x11\xb0";
        for (caps, jumps) in [
            ("video/x-vp8,framerate=25/1", 1),
            (
                "video/x-h264,stream-format=byte-stream,alignment=au,framerate=25/1",
                1,
            ),
            (
                "video/x-h264,stream-format=byte-stream,alignment=nal,framerate=25/1",
                0,
            ),
        ] {
            let mut stamps = stamps(caps);
            begin(&mut stamps, 0);
            let times = [5000, 5040, 5080, 4800, 4840].map(|time| {
                let mut given = gst::Buffer::from_slice(set);
                given.get_mut().unwrap().set_pts(ms(time));
                assert!(stamps.complete(&mut given, *gst::CAT_RUST));
                stamps.stamp(&mut given, &Breaks::default()).unwrap();
                given.pts().unwrap().mseconds()
            });
            let later = if jumps > 0 { 320 } else { 0 };
            assert_eq!(
                times,
                [5000, 5040, 5080, 4800 + later, 4840 + later],
                "{caps}"
            );
            assert_eq!(stamps.jumps(), jumps, "{caps}");
        }
    }

    #[test]
    fn what_nothing_tells_the_rate_of_is_not_counted() {
        for caps in ["image/jpeg", "video/x-raw,framerate=0/1"] {
            let mut stamps = stamps(caps);
            begin(&mut stamps, 0);
            let refused = stamps.stamp(&mut buffer(None), &Breaks::default());
            assert_eq!(refused.unwrap_err(), Unplaced::Untimed, "{caps}");
        }
        // A parser knows better in which order they are shown.
        let mut stamps = stamps("video/x-h264,framerate=30/1");
        begin(&mut stamps, 0);
        let mut left = buffer(None);
        stamps.stamp(&mut left, &Breaks::default()).unwrap();
        assert_eq!(left.pts(), None);
    }
}
