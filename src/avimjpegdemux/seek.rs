// SPDX-License-Identifier: MIT OR Apache-2.0
//! Seeks: from events to segments, and from those to what is played. And what queries convert by.

use avi_mjpeg::reader::Snap;
use avi_mjpeg::reader::headers::Stream;
use avi_mjpeg::reader::tracks::Range;
use gst::GenericFormattedValue as Value;

use super::shared::Segment;

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
    pub fn flushes(&self) -> bool {
        self.flags.contains(gst::SeekFlags::FLUSH)
    }

    pub fn flush_start(&self) -> gst::Event {
        let event = gst::event::FlushStart::builder();
        event.seqnum(self.seqnum).build()
    }

    pub fn flush_stop(&self) -> gst::Event {
        let event = gst::event::FlushStop::builder(true);
        event.seqnum(self.seqnum).build()
    }

    /// Whether what comes as a stream can be played so.
    pub fn is_forward(&self) -> bool {
        self.rate > 0.0
    }

    /// The segment that is asked for, in a file of a duration; key unit seeks begin with a picture. `snap` says where
    /// one is.
    pub fn apply(
        &self,
        segment: &Segment,
        duration: Option<gst::ClockTime>,
        snap: impl FnOnce(u64, Snap) -> Option<u64>,
    ) -> Option<Segment> {
        if self.rate == 0.0 {
            return None;
        }
        let mut segment = segment.clone();
        segment.set_duration(duration);
        // A bound that is not given stays as it is.
        let bound = |kind, new: Option<gst::ClockTime>, old| match kind {
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
            segment.set_position(duration);
        }
        if let (Some(kind), Some(at)) = (self.snap(), segment.position())
            && let Some(snapped) = snap(at.nseconds(), kind)
        {
            let snapped = gst::ClockTime::from_nseconds(snapped);
            segment.set_position(snapped);
            if self.rate > 0.0 {
                segment.set_start(snapped);
                segment.set_time(snapped);
            }
        }
        Some(segment)
    }

    /// The picture that it is to begin with, if it has to be one.
    fn snap(&self) -> Option<Snap> {
        let has = |flags| self.flags.contains(flags);
        let snap = match has(gst::SeekFlags::SNAP_NEAREST) {
            true => Snap::Nearest,
            false if has(gst::SeekFlags::SNAP_AFTER) => Snap::After,
            false => Snap::Before,
        };
        has(gst::SeekFlags::KEY_UNIT).then_some(snap)
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
