// SPDX-License-Identifier: MIT OR Apache-2.0
//! Seeks: from events to segments, and from those to what is played. And what queries convert by.

use avi_mjpeg::reader::Snap;
use avi_mjpeg::reader::headers::Stream;
use avi_mjpeg::reader::tracks::Range;
use gst::{ClockTime, GenericFormattedValue as Value};

use super::shared::Segment;

/// A seek event, in time.
#[derive(Clone, Copy)]
pub(crate) struct Seek {
    rate: f64,
    pub flags: gst::SeekFlags,
    start_type: gst::SeekType,
    start: Option<ClockTime>,
    stop_type: gst::SeekType,
    stop: Option<ClockTime>,
    pub seqnum: gst::Seqnum,
}

impl Seek {
    /// Reads an event; `None` if its format is none of the stream's.
    pub(crate) fn parse(event: &gst::event::Seek, stream: &Stream) -> Option<Self> {
        let (rate, flags, start_type, start, stop_type, stop) = event.get();
        let to_time = |kind, value: Value| {
            if kind == gst::SeekType::None {
                return Some(None);
            }
            match value {
                Value::Time(time) => Some(time),
                // -1 means "none" in every format.
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
    pub(crate) fn flushes(&self) -> bool {
        self.flags.contains(gst::SeekFlags::FLUSH)
    }

    pub(crate) fn flush_start(&self) -> gst::Event {
        let event = gst::event::FlushStart::builder();
        event.seqnum(self.seqnum).build()
    }

    pub(crate) fn flush_stop(&self) -> gst::Event {
        let event = gst::event::FlushStop::builder(true);
        event.seqnum(self.seqnum).build()
    }

    /// Whether what comes as a stream can be played so.
    pub(crate) fn is_forward(&self) -> bool {
        self.rate > 0.0
    }

    /// The segment that is asked for, in a file of a duration.
    pub(crate) fn apply(&self, segment: &Segment, duration: Option<ClockTime>) -> Option<Segment> {
        if self.rate == 0.0 {
            return None;
        }
        let mut segment = segment.clone();
        segment.set_duration(duration);
        // A bound that is not given stays as it is.
        let bound = |kind, new: Option<ClockTime>, old| match kind {
            gst::SeekType::Set => new,
            gst::SeekType::None => old,
            _ => None,
        };
        if let (Some(start), Some(stop)) = (
            bound(self.start_type, self.start, segment.start()),
            bound(self.stop_type, self.stop, segment.stop()),
        ) && duration.map_or(start, |end| start.min(end)) > stop
        {
            return None;
        }
        segment.do_seek(
            self.rate,
            self.flags,
            self.start_type,
            self.start,
            self.stop_type,
            self.stop,
        )?;
        if self.rate < 0.0 && segment.stop().is_none() {
            // GStreamer counts a missing one from the segment's start.
            segment.set_stop(duration);
            segment.set_position(duration);
            segment.set_offset(ClockTime::ZERO);
        }
        Some(segment)
    }

    /// What is played for its segment. Key unit seeks begin with a picture.
    pub(crate) fn range(&self, segment: &Segment) -> Range {
        let has = |flags| self.flags.contains(flags);
        let snap = match has(gst::SeekFlags::SNAP_NEAREST) {
            true => Snap::Nearest,
            false if has(gst::SeekFlags::SNAP_AFTER) => Snap::After,
            false => Snap::Before,
        };
        let flags = segment.flags();
        let ns = |time: Option<ClockTime>| time.map(ClockTime::nseconds);
        let (start, position) = (ns(segment.start()), ns(segment.position()));
        let thin = gst::SegmentFlags::TRICKMODE | gst::SegmentFlags::TRICKMODE_KEY_UNITS;
        let is_thin = self.rate.abs() > 1.0 && flags.intersects(thin);
        Range {
            start: match self.rate < 0.0 {
                true => start.unwrap_or(0),
                false => position.or(start).unwrap_or(0),
            },
            stop: match self.rate < 0.0 {
                true => position.or(ns(segment.stop())),
                false => ns(segment.stop()),
            },
            backward: self.rate < 0.0,
            silent: flags.contains(gst::SegmentFlags::TRICKMODE_NO_AUDIO),
            thinned: is_thin.then_some(self.rate.abs()),
            snap: has(gst::SeekFlags::KEY_UNIT).then_some(snap),
        }
    }

    /// Its segment, once it is found what is played for it: a key unit seek begins with the picture.
    pub(crate) fn landed(&self, mut segment: Segment, range: &Range) -> Segment {
        if !self.flags.contains(gst::SeekFlags::KEY_UNIT) {
            return segment;
        }
        segment.set_offset(ClockTime::ZERO);
        if range.backward {
            let stop = range.stop.map(ClockTime::from_nseconds);
            segment.set_position(stop);
            segment.set_stop(stop);
            return segment;
        }
        let start = ClockTime::from_nseconds(range.start);
        segment.set_position(start);
        segment.set_start(start);
        segment.set_time(start);
        if segment.stop().is_some_and(|stop| stop < start) {
            segment.set_stop(start);
        }
        segment
    }
}

/// What queries and seeks convert by: nanoseconds and the pad's own counts.
pub(crate) fn convert(stream: &Stream, value: Value, to: gst::Format) -> Option<Value> {
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
        gst::Format::Time => Value::Time(Some(ClockTime::from_nseconds(ns))),
        gst::Format::Default => Value::Default(Some(gst::format::Default::from_u64(units))),
        gst::Format::Bytes if bytes => {
            Value::Bytes(Some(gst::format::Bytes::from_u64(units * unit)))
        }
        _ => return None,
    })
}
