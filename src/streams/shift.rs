// SPDX-License-Identifier: MIT OR Apache-2.0
//! By how much the times of what goes on differ from those that upstream has, for whatever reason.

use super::ticks::APART;

type Segment = gst::FormattedSegment<gst::ClockTime>;

/// What moves the times of one stream.
#[derive(Debug, Default)]
pub(super) struct Shift {
    /// All timestamps are so much later: the first pictures are decoded before they are shown, and there are no times
    /// before 0.
    lead: gst::ClockTime,
    /// The segment does not fit the buffers any more: they go on with running times and this much more (ns).
    plain: Option<i64>,
    /// The segment is another one than went on last.
    is_news: bool,
    /// The last time of a picture (ns), and how much later it is shown.
    last: Option<(i64, i64)>,
    /// Pictures that came before the segment.
    early: u64,
}

impl Shift {
    /// Another segment of upstream's begins.
    pub(super) fn begin(&mut self, segment: Option<&mut Segment>) {
        self.early = 0;
        if let Some(segment) = segment {
            later(segment, self.lead);
        }
    }

    /// What comes does not follow what came.
    pub(super) fn reset(&mut self) {
        self.last = None;
    }

    /// Timestamps are so much later from here on, and those of the segment too.
    pub(super) fn put_off(&mut self, by: gst::ClockTime, segment: Option<&mut Segment>) {
        self.lead += by;
        self.is_news = true;
        if let Some(segment) = segment {
            later(segment, by);
        }
    }

    /// A timestamp of upstream's, by the segment that goes on.
    pub(super) fn lead(&self, stamp: gst::ClockTime) -> gst::ClockTime {
        stamp + self.lead
    }

    /// The same of all that a buffer has.
    pub(super) fn lead_buffer(&self, buffer: &mut gst::Buffer) {
        delay(buffer, self.lead);
    }

    /// Buffers go on with their running times from here on.
    pub(super) fn leave_segment(&mut self) {
        self.plain.get_or_insert(0);
    }

    /// Whether they do.
    pub(super) fn is_plain(&self) -> bool {
        self.plain.is_some()
    }

    /// Whether timestamps go on as upstream has them.
    pub(super) fn is_none(&self) -> bool {
        self.plain.is_none() && self.lead.is_zero()
    }

    /// A running time (ns) as it goes on, where running times do.
    pub(super) fn plain(&self, time: i64) -> Option<gst::ClockTime> {
        Some(clock_time(time.saturating_add(self.plain?)))
    }

    /// The segment that goes on, of the one that upstream has.
    pub(super) fn segment(&self, own: &Segment) -> Segment {
        let Some(plain) = self.plain else {
            return own.clone();
        };
        let mut segment = Segment::new();
        segment.set_start(clock_time(plain));
        segment.set_position(clock_time(plain));
        segment
    }

    /// The segment that goes on is told.
    pub(super) fn told(&mut self) {
        self.is_news = false;
    }

    /// Whether another segment is to go before a buffer that is decoded then (ns). With `off` it is not where its segment
    /// has it.
    pub(super) fn has_news(&mut self, off: bool, decode: Option<i64>) -> bool {
        let is_news = std::mem::take(&mut self.is_news);
        let before = self.plain;
        if before.is_none() && !off {
            return is_news;
        }
        let early = decode.map_or(0, i64::saturating_neg);
        self.plain = Some(before.unwrap_or(0).max(early));
        before != self.plain
    }

    /// How much later (ns) a picture is shown than it says: those of one time have times of their own. Parsers take equal
    /// ones for one picture's, and tell none of the second; of those that end an MP4, `qtdemux` shows one. What is
    /// shown `in_order` is not before what came: an MP4 would end before its last pictures.
    pub(super) fn part(&mut self, time: i64, in_order: bool) -> i64 {
        let later = match self.last {
            Some((before, later)) if in_order || time >= before => {
                let free = before.saturating_add(later).saturating_add(APART);
                free.saturating_sub(time).max(0)
            }
            _ => 0,
        };
        self.last = Some((time, later));
        later
    }

    /// The same for the last one.
    pub(super) fn apart(&self) -> i64 {
        self.last.map_or(0, |(_, later)| later)
    }

    /// The timestamps of an encoded picture that has its own. Those from before the segment are needed by what follows, and
    /// muxers would leave them out.
    pub(super) fn encoded(
        &mut self,
        start: Option<gst::ClockTime>,
        buffer: &gst::BufferRef,
    ) -> (Option<gst::ClockTime>, Option<gst::ClockTime>) {
        let after = |early: u64| Some(start? + clock_time(APART) * early);
        let apart = clock_time(self.apart());
        let own = buffer.pts().map(|own| own + apart);
        let is_early = own < after(0) || (self.early > 0 && own <= after(self.early));
        self.early += u64::from(own.is_some() && is_early);
        let shown = own.and_then(|own| match is_early {
            true => after(self.early),
            false => Some(own),
        });
        (shown, buffer.dts().map(|decoded| decoded + apart))
    }
}

/// Has a segment's timestamps so much later.
fn later(segment: &mut Segment, lead: gst::ClockTime) {
    segment.set_start(segment.start().map(|start| start + lead));
    segment.set_stop(segment.stop().map(|stop| stop + lead));
    segment.set_position(segment.position().map(|position| position + lead));
}

/// Has a buffer's timestamps so much later.
pub(super) fn delay(buffer: &mut gst::Buffer, lead: gst::ClockTime) {
    if lead.is_zero() {
        return;
    }
    let (shown, decoded) = (buffer.pts(), buffer.dts());
    let buffer = buffer.make_mut();
    buffer.set_pts(shown.map(|shown| shown + lead));
    buffer.set_dts(decoded.map(|decoded| decoded + lead));
}

/// A time in ns as GStreamer has it, which has none before 0.
pub(crate) fn clock_time(time: i64) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(time.max(0).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: gst::ClockTime = gst::ClockTime::MSECOND;

    #[test]
    fn what_is_put_off_is_so_in_the_segment_and_in_each_buffer() {
        gst::init().unwrap();
        let (mut shift, mut segment) = (Shift::default(), Segment::new());
        assert!(shift.is_none() && !shift.has_news(false, None));
        shift.put_off(MS * 80, Some(&mut segment));
        shift.put_off(MS * 40, Some(&mut segment));
        assert_eq!(shift.segment(&segment).start(), Some(MS * 120));
        let mut buffer = gst::Buffer::new();
        buffer.get_mut().unwrap().set_pts(MS * 10);
        shift.lead_buffer(&mut buffer);
        assert_eq!((buffer.pts(), buffer.dts()), (Some(MS * 130), None));
        assert_eq!(shift.lead(MS * 10), MS * 130);
        // It is told once; the next segment has it from its begin.
        assert!(shift.has_news(false, None) && !shift.has_news(false, None));
        let mut next = Segment::new();
        shift.begin(Some(&mut next));
        assert_eq!(next.start(), Some(MS * 120));
    }

    #[test]
    fn what_leaves_its_segment_begins_before_what_is_decoded_first() {
        gst::init().unwrap();
        let (mut shift, own) = (Shift::default(), Segment::new());
        assert_eq!(shift.plain(5), None);
        assert!(shift.has_news(true, Some(-80)) && shift.is_plain());
        assert_eq!(shift.segment(&own).start(), Some(clock_time(80)));
        assert_eq!(shift.plain(-80), Some(gst::ClockTime::ZERO));
        // What comes later does not move it back, and it stays.
        assert!(!shift.has_news(false, Some(-40)) && shift.has_news(false, Some(-90)));
        assert_eq!(shift.plain(10), Some(clock_time(100)));
    }

    #[test]
    fn pictures_of_one_time_and_from_before_the_segment_are_apart() {
        gst::init().unwrap();
        let mut shift = Shift::default();
        let (second, one) = (1_000_000_000, APART);
        assert_eq!(
            [7, 7, 7, 8, second, second, 0].map(|time| shift.part(time, false)),
            [0, one, 2 * one, 3 * one - 1, 0, one, 0]
        );
        let mut shift_in_order = Shift::default();
        let mut part = |time| shift_in_order.part(time, true);
        assert_eq!(
            [second, second - 5, second - 9, second + one].map(&mut part),
            [0, one + 5, 2 * one + 9, 2 * one]
        );
        let mut shown = |time: u64| {
            let mut buffer = gst::Buffer::new();
            buffer.get_mut().unwrap().set_pts(MS * time);
            shift.encoded(Some(MS * 100), &buffer).0.unwrap()
        };
        let times = [20, 60, 100, 140].map(&mut shown);
        let (first, one) = (MS * 100, clock_time(APART));
        assert_eq!(
            times,
            [first + one, first + one * 2, first + one * 3, MS * 140]
        );
    }
}
