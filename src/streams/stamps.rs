// SPDX-License-Identifier: MIT OR Apache-2.0
//! The times of a stream's buffers, by its segment and caps: [`timeline`](super::timeline) decides
//! where each is put, and here buffers and events are brought there.

use std::sync::Mutex;

use avi_mjpeg::recorder::Runs;
use k230_venc::{Codec, reordering};

use super::decoding::DecodeTimes;
use super::is_raw;
use super::timeline::{Jump, Pace, Placed, Stamp, Timeline, Untimed};
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
    /// As upstream has it; `None` before it comes, and where it is not in time.
    segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    timeline: Timeline,
    /// The caps are those of a stream whose buffers come in the order in which they are shown.
    in_order: bool,
    /// Nobody behind tells the times of such a stream better.
    is_counted: bool,
    /// Raw pictures whose caps do not say how long one lasts.
    lacks_rate: bool,
    /// Buffers go on with their running times, since the segment does not fit them any more.
    moved: bool,
    /// How often the timestamps broke off.
    jumps: u64,
    samples: WholeSamples,
    decoding: DecodeTimes,
    /// The codec of a stream whose buffers are pictures that may come in another order than they are shown.
    reordered: Option<Codec>,
    /// How long a picture lasts by the caps, ns.
    lasts: Option<i64>,
    /// Pictures that came before the segment.
    early: u64,
}

/// The first bytes of a picture in which its parameter sets are looked for.
const REACH: usize = 1024;

/// How long (ns) a picture lasts where nothing says so.
const USUAL: i64 = 40_000_000;

/// What became of a buffer.
#[derive(Debug, Default)]
pub(crate) struct Stamped {
    /// Its place, where it has one.
    pub placed: Option<Placed>,
    /// A segment that is to go before it.
    pub segment: Option<gst::Event>,
}

impl Stamps {
    /// Follows the stream's caps; counting goes on from where the stream is.
    pub(crate) fn set_caps(&mut self, caps: &gst::CapsRef) {
        let name = caps
            .structure(0)
            .map_or("", |structure| structure.name().as_str());
        self.is_counted = is_raw(caps) || name == "image/jpeg";
        self.in_order = is_raw(caps) || name.starts_with("audio/") || name.starts_with("image/");
        let pace = pace(caps);
        self.lacks_rate = name == "video/x-raw" && pace.is_none();
        self.lasts = pace.map(|pace| pace.duration(0));
        self.samples.set_caps(caps);
        self.reordered = reordered(caps);
        if let Some(codec) = self.reordered {
            let depth = depth_by_caps(codec, caps);
            self.decoding.set_depth(depth.unwrap_or(0));
        }
        self.timeline.set_format(pace, !self.in_order);
        self.timeline.set_raw(name == "video/x-raw");
    }

    /// Follows the stream's segment. False where that is not in time.
    pub(crate) fn set_segment(&mut self, segment: &gst::Segment) -> bool {
        self.segment = segment.downcast_ref::<gst::ClockTime>().cloned();
        self.early = 0;
        self.segment.is_some()
    }

    /// The segment that goes on.
    pub(crate) fn segment_event(&self) -> Option<gst::Event> {
        let segment = self.segment.as_ref()?;
        Some(match self.moved {
            true => plain_segment(None),
            false => gst::event::Segment::new(segment),
        })
    }

    /// What comes has another segment, and follows what came.
    pub(crate) fn forget_segment(&mut self) {
        self.segment = None;
    }

    /// What comes does not follow what came.
    pub(crate) fn reset(&mut self) {
        self.segment = None;
        self.timeline.reset();
        self.samples.reset();
    }

    /// Makes a buffer one that muxers take, before it is placed: of whole samples, and with the time at which it is
    /// decoded where it does not come as it is shown. False where there is no whole sample yet.
    pub(crate) fn complete(&mut self, buffer: &mut gst::Buffer) -> bool {
        if let (Some(codec), true) = (self.reordered, self.segment.is_some()) {
            self.time_decoding(codec, buffer);
        }
        self.samples.complete(buffer)
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
            let mut begin = [0; REACH];
            let begin = begin.get_mut(..buffer.size().min(REACH));
            let depth = begin.and_then(|begin| {
                buffer.copy_to_slice(0, begin).ok()?;
                reordering::depth(codec, begin)
            });
            if let Some(depth) = depth {
                self.decoding.set_depth(depth);
            }
        }
        let Some(time) = self.running_time(shown) else {
            return;
        };
        let lasts = buffer.duration().and_then(signed).or(self.lasts);
        let (lasts, room) = (lasts.unwrap_or(USUAL), signed(shown).unwrap_or(0));
        if let Some(decoded) = self.decoding.of(time, lasts, room) {
            let before = gst::ClockTime::from_nseconds(time.abs_diff(decoded));
            let decoded = match decoded > time {
                true => shown + before,
                false => shown.saturating_sub(before),
            };
            buffer.make_mut().set_dts(decoded);
        }
    }

    /// Whether there is a segment in time.
    pub(crate) fn has_segment(&self) -> bool {
        self.segment.is_some()
    }

    /// How often the timestamps broke off.
    pub(crate) fn jumps(&self) -> u64 {
        self.jumps
    }

    /// The place of a buffer, which stays as it is. `breaks` are
    /// those of all streams of the element.
    ///
    /// # Errors
    /// When it has no timestamp and nothing says how long one lasts.
    pub(crate) fn place(
        &mut self,
        buffer: &gst::BufferRef,
        breaks: &Breaks,
    ) -> Result<Placed, Untimed> {
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
    ) -> Result<Placed, Untimed> {
        let running_time = |stamp| self.running_time(stamp);
        let stamp = Stamp {
            time: buffer.pts().and_then(running_time),
            decode: buffer.dts().and_then(running_time),
            duration: buffer.duration().and_then(signed),
            bytes: buffer.size() as u64,
        };
        let begun = self.timeline.begin_near(stamp, runs);
        let placed = self.timeline.place(stamp, runs)?;
        runs.reach(placed.time.max(placed.end));
        if placed.jump.is_some_and(|jump| jump.first) {
            runs.add(placed.offset, placed.time);
        }
        let placed = Placed {
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
    /// When it has no timestamp and nothing says how long one lasts.
    pub(crate) fn stamp(
        &mut self,
        buffer: &mut gst::Buffer,
        breaks: &Breaks,
    ) -> Result<Stamped, Untimed> {
        let is_untimed = buffer.dts_or_pts().is_none();
        if self.segment.is_none() || (is_untimed && !self.is_counted) {
            return Ok(Stamped::default());
        }
        let placed = self.place(buffer, breaks)?;
        let begins = placed.offset != 0 && !self.moved;
        self.moved |= begins;
        let segment = begins.then(|| plain_segment(None));
        let decode = buffer.dts().and_then(|dts| self.running_time(dts));
        let own = buffer.dts_or_pts().and_then(|own| self.running_time(own));
        let is_own = own.is_none_or(|own| own == placed.time);
        let (shown, decoded) = match (self.moved, self.segment.as_ref()) {
            (true, _) | (_, None) => (
                Some(clock_time(placed.time)),
                decode.map(|decode| clock_time(self.timeline.shifted(decode))),
            ),
            (false, Some(segment)) if is_untimed || self.in_order && !is_own => (
                segment.position_from_running_time(clock_time(placed.time)),
                None,
            ),
            (false, _) if self.in_order => (buffer.dts_or_pts(), buffer.dts()),
            (false, Some(segment)) => {
                // What comes before it is needed by what follows, and muxers would leave it out. Parsers take equal
                // times for one picture's.
                let after = |early| Some(segment.start()? + gst::ClockTime::from_nseconds(early));
                let own = buffer.pts();
                let is_early = own < after(0) || (self.early > 0 && own <= after(self.early));
                self.early += u64::from(own.is_some() && is_early);
                let shown = own.and_then(|own| match is_early {
                    true => after(self.early),
                    false => Some(own),
                });
                (shown, buffer.dts())
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
                let is_in_time = self.set_segment(segment.segment());
                if is_in_time && self.moved {
                    return Some(plain_segment(Some(event.seqnum())));
                }
                return self.endless(event.seqnum());
            }
            gst::EventView::Gap(gap) => {
                let (start, duration) = gap.get();
                let start_time = self.running_time(start)?;
                self.skip(start + duration.unwrap_or_default());
                if self.moved {
                    let start = clock_time(self.timeline.shifted(start_time));
                    let moved = gst::event::Gap::builder(start).duration(duration);
                    return Some(moved.seqnum(event.seqnum()).build());
                }
            }
            _ => (),
        }
        None
    }

    /// The segment without its end, if it has one: what comes behind that has come, and would be in no file and in no
    /// count.
    fn endless(&mut self, seqnum: gst::Seqnum) -> Option<gst::Event> {
        let segment = self.segment.as_mut()?;
        let forward = segment.rate() > 0.0;
        segment.stop().filter(|_| forward)?;
        segment.set_stop(gst::ClockTime::NONE);
        Some(gst::event::Segment::builder(segment).seqnum(seqnum).build())
    }

    /// Upstream has nothing up to a timestamp, which is this running time (ns).
    pub(crate) fn skip(&mut self, until: gst::ClockTime) -> Option<i64> {
        let time = self.timeline.shifted(self.running_time(until)?);
        self.timeline.skip_to(time);
        Some(time)
    }

    /// The running time of upstream for a timestamp, ns.
    fn running_time(&self, stamp: gst::ClockTime) -> Option<i64> {
        Some(match self.segment.as_ref()?.to_running_time_full(stamp)? {
            gst::Signed::Positive(time) => signed(time)?,
            gst::Signed::Negative(time) => -signed(time)?,
        })
    }
}

/// What is said of a jump of the timestamps on a pad.
pub(crate) fn jump_text(pad: &str, jump: Jump) -> String {
    let direction = if jump.to < jump.from { "back" } else { "ahead" };
    format!(
        "Timestamps on {pad} went from {} {direction} to {}: what follows is recorded behind what \
         came",
        clock_time(jump.from),
        clock_time(jump.to)
    )
}

/// Timestamps that are running times.
fn plain_segment(seqnum: Option<gst::Seqnum>) -> gst::Event {
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    let event = gst::event::Segment::builder(&segment);
    match seqnum {
        Some(seqnum) => event.seqnum(seqnum).build(),
        None => event.build(),
    }
}

fn signed(time: gst::ClockTime) -> Option<i64> {
    i64::try_from(time.nseconds()).ok()
}

fn clock_time(time: i64) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(time.max(0).unsigned_abs())
}

/// The codec of caps whose buffers are pictures that may come in another order than they are shown.
fn reordered(caps: &gst::CapsRef) -> Option<Codec> {
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
        assert_eq!(passed_on.is_some(), stamps.moved);
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
        let times = [920, 960, 1000, 1040, 1120].map(|time| {
            let mut given = buffer(Some(time));
            assert!(stamps.complete(&mut given));
            stamps.stamp(&mut given, &Breaks::default()).unwrap();
            given.pts().unwrap().nseconds()
        });
        let start = 1_000_000_000;
        let later = [start + 40_000_000, start + 120_000_000];
        assert_eq!(times[..3], [start + 1, start + 2, start + 3]);
        assert_eq!(times[3..], later);
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
    fn what_nothing_tells_the_rate_of_is_not_counted() {
        for caps in ["image/jpeg", "video/x-raw,framerate=0/1"] {
            let mut stamps = stamps(caps);
            begin(&mut stamps, 0);
            let refused = stamps.stamp(&mut buffer(None), &Breaks::default());
            assert_eq!(refused.unwrap_err(), Untimed, "{caps}");
        }
        // A parser knows better in which order they are shown.
        let mut stamps = stamps("video/x-h264,framerate=30/1");
        begin(&mut stamps, 0);
        let mut left = buffer(None);
        stamps.stamp(&mut left, &Breaks::default()).unwrap();
        assert_eq!(left.pts(), None);
    }
}
