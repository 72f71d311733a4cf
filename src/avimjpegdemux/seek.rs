// SPDX-License-Identifier: MIT OR Apache-2.0
//! Seeks: from events to segments, and from those to what is played. And what queries convert by.

use avi_mjpeg::reader::headers::Stream;
use avi_mjpeg::reader::tracks::Range;
use gst::GenericFormattedValue as Value;

type Segment = gst::FormattedSegment<gst::ClockTime>;

/// When the picture begins that is on screen at a time, or with `true` the next one.
pub type PictureAt<'a> = &'a dyn Fn(u64, bool) -> Option<u64>;

/// A seek event, in time.
pub struct Seek {
    rate: f64,
    pub flags: gst::SeekFlags,
    start_type: gst::SeekType,
    start: Option<gst::ClockTime>,
    stop_type: gst::SeekType,
    stop: Option<gst::ClockTime>,
    pub seqnum: gst::Seqnum,
}

impl Seek {
    /// Reads an event; `None` if its format is none of the stream's.
    pub fn parse(event: &gst::event::Seek, stream: &Stream) -> Option<Self> {
        let (rate, flags, start_type, start, stop_type, stop) = event.get();
        let to_time = |kind, value: Value| {
            if kind == gst::SeekType::None {
                return Some(None);
            }
            match value {
                Value::Time(time) => Some(time),
                // No stop is none in any format.
                value if value.value() == -1 => Some(None),
                value => match convert(stream, value, gst::Format::Time)? {
                    Value::Time(time) => Some(time),
                    _ => None,
                },
            }
        };
        Some(Self {
            rate,
            flags,
            start_type,
            start: to_time(start_type, start)?,
            stop_type,
            stop: to_time(stop_type, stop)?,
            seqnum: event.seqnum(),
        })
    }

    /// Whether it drops what was pushed.
    pub fn flushes(&self) -> bool {
        self.flags.contains(gst::SeekFlags::FLUSH)
    }

    /// Whether what comes as a stream can be played so.
    pub fn is_forward(&self) -> bool {
        self.rate > 0.0
    }

    /// Makes the segment that is asked for; key unit seeks begin with a picture.
    pub fn apply(&self, segment: &mut Segment, picture_at: PictureAt) -> bool {
        if self.rate == 0.0 {
            return false;
        }
        // A bound that is not given stays as it is.
        let bound = |kind, new: Option<gst::ClockTime>, old| match kind {
            gst::SeekType::Set => Some(new),
            gst::SeekType::None => Some(old),
            _ => None,
        };
        if let (Some(Some(start)), Some(Some(stop))) = (
            bound(self.start_type, self.start, segment.start()),
            bound(self.stop_type, self.stop, segment.stop()),
        ) && segment.duration().map_or(start, |end| start.min(end)) > stop
        {
            return false;
        }
        let done = segment.do_seek(
            self.rate,
            self.flags,
            self.start_type,
            self.start,
            self.stop_type,
            self.stop,
        );
        if done.is_none() {
            return false;
        }
        if self.rate < 0.0 && segment.stop().is_none() {
            let end = segment.duration();
            segment.set_position(end);
        }
        if let (true, Some(at)) = (
            self.flags.contains(gst::SeekFlags::KEY_UNIT),
            segment.position(),
        ) && let Some(snapped) = self.snap(at.nseconds(), picture_at)
        {
            let snapped = gst::ClockTime::from_nseconds(snapped);
            segment.set_position(snapped);
            if self.rate > 0.0 {
                segment.set_start(snapped);
                segment.set_time(snapped);
            }
        }
        true
    }

    /// When the picture begins that a key unit seek goes to.
    fn snap(&self, at: u64, picture_at: PictureAt) -> Option<u64> {
        let before = picture_at(at, false);
        if before == Some(at) {
            return before;
        }
        let nearest = self.flags.contains(gst::SeekFlags::SNAP_NEAREST);
        if !nearest && !self.flags.contains(gst::SeekFlags::SNAP_AFTER) {
            return before;
        }
        match (before, picture_at(at, true)) {
            (Some(before), Some(after)) if nearest && after.abs_diff(at) >= at - before => {
                Some(before)
            }
            (before, after) => after.or(before),
        }
    }
}

/// What is played for a segment.
pub fn range_of(segment: &Segment) -> Range {
    let flags = segment.flags();
    let rate = segment.rate();
    let ns = |time: Option<gst::ClockTime>| time.map(gst::ClockTime::nseconds);
    let (start, position) = (ns(segment.start()), ns(segment.position()));
    let thin = gst::SegmentFlags::TRICKMODE | gst::SegmentFlags::TRICKMODE_KEY_UNITS;
    Range {
        start: match rate < 0.0 {
            true => start.unwrap_or(0),
            false => position.or(start).unwrap_or(0),
        },
        stop: match rate < 0.0 {
            true => position.or(ns(segment.stop())),
            false => ns(segment.stop()),
        },
        backward: rate < 0.0,
        silent: flags.contains(gst::SegmentFlags::TRICKMODE_NO_AUDIO),
        thinned: (rate.abs() > 1.0 && flags.intersects(thin)).then_some(rate.abs()),
    }
}

/// What queries and seeks convert by: nanoseconds and the pad's own counts.
pub fn convert(stream: &Stream, value: Value, to: gst::Format) -> Option<Value> {
    let unit = stream.unit_bytes();
    let bytes = stream.counts_bytes();
    let ns = match value {
        Value::Time(time) => time?.nseconds(),
        Value::Default(units) => stream.rate.time_of(u64::from(units?)),
        Value::Bytes(count) if bytes => stream.rate.time_of(u64::from(count?) / unit),
        _ => return None,
    };
    let units = stream.rate.unit_at(ns);
    Some(match to {
        gst::Format::Time => Value::Time(Some(gst::ClockTime::from_nseconds(ns))),
        gst::Format::Default => Value::Default(Some(gst::format::Default::from_u64(units))),
        gst::Format::Bytes if bytes => {
            Value::Bytes(Some(gst::format::Bytes::from_u64(units * unit)))
        }
        _ => return None,
    })
}
