// SPDX-License-Identifier: MIT OR Apache-2.0
//! When the buffers of a stream are shown: as their timestamps say, counted where there are none,
//! and going on where timestamps go back, begin anew or jump far ahead. Knows no GStreamer.

use avi_mjpeg::recorder::Runs;

/// How far timestamps that were set right may be from where the stream was, ns. A break in one
/// stream is taken to be the same break in another within this.
const NEAR: i64 = 1_000_000_000;

/// How far (ns) the streams of a live source are apart.
const LITTLE: i64 = 200_000_000;

/// A pause of more than this (ns) is a new beginning, and so are ten buffers of a slow stream; the
/// figure is `avimjpegmux`'s.
const FAR: i64 = 3600 * 1_000_000_000;

/// How long (ns) a buffer without a timestamp lasts while nothing tells, and how many there may be in succession: a
/// camera's pictures that come in one packet have one timestamp, which `multipartdemux` gives to the first of them.
const TOGETHER: i64 = 1_000_000;
const PACKET: u8 = 8;

/// How many buffers may have one time, because they came together after a pause; of raw pictures none.
const STANDS: u8 = 16;

/// How far a time of presentation may go back because of reordering, in pictures: as many as
/// H.264 and H.265 may reorder (`max_num_reorder_frames`).
const REORDERED: i64 = 16;

/// How far (ns) pictures that last so long may be from the one before because they are reordered.
pub(crate) fn reach(length: i64) -> i64 {
    NEAR.max(length.saturating_mul(REORDERED))
}

/// By how much (ns) what comes in order, and lasts so long, may be before what came and still follow it.
pub(crate) fn jitter(length: i64) -> i64 {
    (NEAR / 10).max(length.saturating_mul(2))
}

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// How long a stream's units are by its caps: frames, or samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Units in `per` seconds.
    units: u64,
    per: u64,
    /// Bytes of a unit; 0: a buffer is one.
    bytes: u64,
    /// Nanoseconds of one: of each buffer of a camera, which need not be divided for.
    one: i64,
}

impl Pace {
    /// `units` in `per` seconds, each of `bytes` bytes (0: a buffer each). `None` for a rate of 0.
    pub(crate) fn new(units: u64, per: u64, bytes: u64) -> Option<Self> {
        let pace = Self {
            units,
            per,
            bytes,
            one: 0,
        };
        (units > 0 && per > 0).then(|| Self {
            one: pace.time(1),
            ..pace
        })
    }

    /// How many units a buffer of `len` bytes has.
    fn units_in(self, len: u64) -> u64 {
        len.checked_div(self.bytes).unwrap_or(1)
    }

    /// Nanoseconds that `units` last.
    fn time(self, units: u64) -> i64 {
        let per_second = units.checked_mul(self.per);
        let time = match per_second.and_then(|units| units.checked_mul(SECOND)) {
            // Of each buffer of sound: 128 bits are divided by a loop.
            Some(time) => u128::from(time / self.units),
            None => {
                u128::from(units) * u128::from(self.per) * u128::from(SECOND)
                    / u128::from(self.units)
            }
        };
        i64::try_from(time).unwrap_or(i64::MAX)
    }

    /// Nanoseconds that a buffer of `len` bytes lasts.
    pub(crate) fn duration(self, len: u64) -> i64 {
        match self.bytes {
            0 => self.one,
            _ => self.time(self.units_in(len)),
        }
    }
}

/// What upstream says of a buffer, in running time, ns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// When it is presented, and when decoded.
    pub time: Option<i64>,
    pub decode: Option<i64>,
    pub duration: Option<i64>,
    /// Its size.
    pub bytes: u64,
}

/// Where a buffer is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placed {
    /// Running time (ns) of its beginning and end.
    pub time: i64,
    pub end: i64,
    /// What was added to the running times of upstream.
    pub offset: i64,
    /// Its timestamps do not follow the last ones.
    pub jump: Option<Jump>,
}

/// A break in the timestamps, in running times of upstream, ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Jump {
    /// The last time before it.
    pub from: i64,
    /// The first one behind it.
    pub to: i64,
    /// No other stream has had it before.
    pub first: bool,
    /// What came before it had no timestamps, and was counted from 0.
    pub counted: bool,
}

impl Jump {
    /// Whether it is to be told of: a break, for the first time.
    pub(crate) fn is_news(self) -> bool {
        self.first && !self.counted
    }
}

/// The buffer has no timestamp, and nothing says how long one lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Untimed;

/// One stream's time.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Timeline {
    pace: Option<Pace>,
    /// Pictures may come in another order than they are presented.
    reorders: bool,
    /// What is added to the running times of upstream, ns.
    offset: i64,
    /// The last buffer's time in the order of decoding, offset included, and how long after the one
    /// before it.
    last: Option<i64>,
    step: Option<i64>,
    /// The same without pauses and bursts: it follows what comes by a factor of two at a time.
    usual: Option<i64>,
    /// How far it jumped ahead with the last buffer: of a stream that is as slow as that, the next one is no
    /// jump.
    slow: Option<i64>,
    /// Some buffer had a timestamp.
    anchored: bool,
    /// They are raw pictures: no two of them came together.
    is_raw: bool,
    /// The running time of upstream that came last, and how often in succession.
    same: (Option<i64>, u8),
    /// Where what came ends: so many units behind this time.
    origin: Option<i64>,
    counted: u64,
    /// Where the last buffer was put that was counted: what comes in order is not put before it.
    floor: Option<i64>,
    /// Buffers without timestamps since the last that had one, while nothing tells how long one lasts.
    guessed: u8,
}

impl Timeline {
    /// Follows new caps.
    pub(crate) fn set_format(&mut self, pace: Option<Pace>, reorders: bool) {
        self.origin = self.position();
        self.counted = 0;
        self.pace = pace;
        self.reorders = reorders;
    }

    /// Whether pictures may come in another order than they are presented.
    pub(crate) fn set_reorders(&mut self, reorders: bool) {
        self.reorders = reorders;
    }

    /// Whether what comes is raw pictures.
    pub(crate) fn set_raw(&mut self, is_raw: bool) {
        self.is_raw = is_raw;
    }

    /// What comes does not follow what came.
    pub(crate) fn reset(&mut self) {
        *self = Self {
            pace: self.pace,
            reorders: self.reorders,
            is_raw: self.is_raw,
            ..Self::default()
        };
    }

    /// A running time of upstream in this timeline.
    pub(crate) fn shifted(&self, time: i64) -> i64 {
        time.saturating_add(self.offset)
    }

    /// Nothing comes up to this time.
    pub(crate) fn skip_to(&mut self, time: i64) {
        if self.position().is_none_or(|position| position < time) {
            self.origin = Some(time);
            self.counted = 0;
        }
    }

    /// Where what came ends.
    fn position(&self) -> Option<i64> {
        let counted = match (self.pace, self.counted) {
            (None, _) | (_, 0) => 0,
            (Some(pace), counted) => pace.time(counted),
        };
        Some(self.origin?.saturating_add(counted))
    }

    /// Has a stream begin in one of the runs that the others had, as [`Runs::begin`] chooses. Tells of a break
    /// if it begins far from all of them.
    pub(crate) fn begin_near(&mut self, stamp: Stamp, runs: &mut Runs) -> Option<Jump> {
        if self.anchored || self.last.is_some() {
            return None;
        }
        let time = stamp.decode.or(stamp.time)?;
        let (offset, others) = runs.begin(time, FAR);
        self.offset = offset;
        others.map(|from| Jump {
            from,
            to: time,
            first: true,
            counted: false,
        })
    }

    /// Puts a buffer into its place. `runs` are those of all streams.
    pub(crate) fn place(&mut self, stamp: Stamp, runs: &Runs) -> Result<Placed, Untimed> {
        let Some(shown) = stamp.time.or(stamp.decode) else {
            return self.count(stamp);
        };
        if self.stands(shown) {
            return self.count(stamp);
        }
        let order = stamp.decode.unwrap_or(shown);
        let jump = self.look_for_jump(order, stamp, runs);
        self.anchored = true;
        self.guessed = 0;
        let (time, order) = (self.shifted(shown), self.shifted(order));
        if let Some(last) = self.last
            && order > last
            && jump.is_none()
        {
            let step = order - last;
            let near = |usual: i64| step.clamp((usual / 2).max(1), usual.saturating_mul(2));
            self.step = Some(step);
            self.slow = None;
            self.usual = Some(self.usual.map_or(step, near));
        }
        self.last = Some(self.last.map_or(order, |last| last.max(order)));
        let floor = self.floor.take_if(|_| !self.reorders);
        if floor.is_some() {
            // What was counted ends where this begins.
            (self.origin, self.counted) = (None, 0);
        }
        self.floor = floor.filter(|floor| time < *floor);
        let time = self.floor.unwrap_or(time);
        let end = time.saturating_add(self.lasts(stamp).unwrap_or(0));
        // What is counted behind it goes by what is known, and not by what is usual.
        let sound = self.pace.filter(|pace| pace.bytes > 0);
        let known = stamp
            .duration
            .or_else(|| Some(sound?.duration(stamp.bytes)));
        self.skip_to(time.saturating_add(known.unwrap_or(0).max(0)));
        Ok(Placed {
            time,
            end,
            offset: self.offset,
            jump,
        })
    }

    fn most_together(&self) -> u8 {
        if self.is_raw { 1 } else { STANDS }
    }

    /// Whether upstream's clock does not go: from the beginning on all have this one time, more than come at once.
    fn stands(&mut self, time: i64) -> bool {
        let (last, count) = self.same;
        let count = match last == Some(time) {
            true => count.saturating_add(1),
            false => 1,
        };
        self.same = (Some(time), count);
        count > self.most_together() && self.step.is_none() && !self.reorders
    }

    /// Places a buffer without timestamps behind what came.
    fn count(&mut self, stamp: Stamp) -> Result<Placed, Untimed> {
        let said = stamp.duration.filter(|&duration| duration > 0);
        let paced = self.pace.map(|pace| pace.duration(stamp.bytes));
        let is_sound = self.pace.is_some_and(|pace| pace.bytes > 0);
        // Of a camera that is faster than its caps the next picture is earlier than these say.
        let usual = self.usual.filter(|_| !is_sound).filter(|_| paced.is_some());
        let faster = usual.filter(|usual| Some(*usual) < paced);
        let known = said.or(faster);
        let duration = known.or(paced).or_else(|| self.guess()).ok_or(Untimed)?;
        // Where sound ends is known, however long its buffers are.
        let last = self.last.filter(|_| !is_sound || self.origin.is_none());
        let last = last.map(|last| last.saturating_add(duration));
        let time = self.position().max(last).unwrap_or(0);
        self.skip_to(time);
        match self.pace {
            Some(pace) if known.is_none() => self.counted += pace.units_in(stamp.bytes),
            _ => self.skip_to(time.saturating_add(duration)),
        }
        self.last = Some(time);
        self.floor = Some(time);
        Ok(Placed {
            time,
            end: self.position().unwrap_or(time),
            offset: self.offset,
            jump: None,
        })
    }

    /// How long a buffer lasts by those that had timestamps, where nothing else tells.
    fn guess(&mut self) -> Option<i64> {
        if let (Some(usual), true) = (self.usual, self.anchored) {
            return Some(usual);
        }
        self.guessed = self.guessed.saturating_add(1);
        let is_few = self.guessed <= PACKET || self.same.1 > self.most_together();
        (self.anchored && is_few).then_some(TOGETHER)
    }

    /// Sets the offset anew where a buffer comes before the last one by more than clocks jitter and
    /// encoders reorder, where it comes far behind it, or where an offset is not needed any more.
    fn look_for_jump(&mut self, order: i64, stamp: Stamp, runs: &Runs) -> Option<Jump> {
        let last = self.last?;
        let length = self.length(stamp);
        let expected = last.saturating_add(length);
        let now = self.shifted(order);
        let ahead = now.saturating_sub(expected);
        let back = last.saturating_sub(now) > self.tolerance(stamp);
        let usual = self.step.unwrap_or(0).max(length);
        let is_slow = |slow: i64| ahead <= slow.saturating_mul(2);
        let far = ahead > FAR.max(usual.saturating_mul(10)) && !self.slow.is_some_and(is_slow);
        let returns = self.offset != 0 && ahead > NEAR;
        if !back && !far && !returns {
            return None;
        }
        let wanted = expected.saturating_sub(order);
        let off = |offset: i64| offset.saturating_sub(wanted);
        let known = [0].into_iter().chain(runs.shifts().iter().copied());
        let known = known
            .filter(|&offset| offset != self.offset && off(offset).saturating_abs() <= NEAR)
            .min_by_key(|&offset| off(offset).unsigned_abs());
        // Nothing goes back to be where another stream went on.
        let fits = known.filter(|&offset| order.saturating_add(offset) >= last);
        if fits.is_none() && !back && !far {
            // Nothing came for a while.
            return None;
        }
        self.slow = far.then_some(ahead);
        let anew = || {
            // The others have come to this break if they are little ahead, and go on from there too.
            let others = runs.newest().unwrap_or(expected);
            let at = match (expected..=expected.saturating_add(LITTLE)).contains(&others) {
                true => others,
                false => expected,
            };
            at.saturating_sub(order)
        };
        let offset = fits.or(known.map(|_| wanted)).unwrap_or_else(anew);
        let former = std::mem::replace(&mut self.offset, offset);
        Some(Jump {
            from: last.saturating_sub(former),
            to: order,
            first: known.is_none(),
            counted: !self.anchored,
        })
    }

    /// How long a buffer is shown or heard: sound as its samples tell, a picture as long as the ones before
    /// it, whatever the caps say.
    fn lasts(&self, stamp: Stamp) -> Option<i64> {
        let paced = || self.pace.map(|pace| pace.duration(stamp.bytes));
        let is_sound = self.pace.is_some_and(|pace| pace.bytes > 0);
        let usual = self.usual.filter(|_| !is_sound);
        let said = stamp.duration.filter(|&duration| duration > 0);
        said.or(usual).or_else(paced)
    }

    /// How long a buffer lasts, as well as that is known.
    fn length(&self, stamp: Stamp) -> i64 {
        let known = stamp.duration.filter(|&duration| duration > 0);
        let paced = || self.pace.map(|pace| pace.duration(stamp.bytes));
        known.or_else(paced).or(self.usual).unwrap_or(1_000_000)
    }

    /// By how much a buffer may be before the last one and still follow it.
    fn tolerance(&self, stamp: Stamp) -> i64 {
        match self.reorders && stamp.decode.is_none() {
            true => reach(self.length(stamp)),
            false => jitter(self.length(stamp)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    /// A frame each so many milliseconds.
    fn each(ms: u64) -> Option<Pace> {
        Pace::new(1000, ms, 0)
    }

    fn at(ms: i64) -> Stamp {
        Stamp {
            time: Some(ms * MS),
            ..Stamp::default()
        }
    }

    fn times(timeline: &mut Timeline, stamps: impl IntoIterator<Item = Stamp>) -> Vec<i64> {
        stamps
            .into_iter()
            .map(|stamps| timeline.place(stamps, &Runs::default()).unwrap().time / MS)
            .collect()
    }

    #[test]
    fn timestamps_are_believed() {
        let mut timeline = Timeline::default();
        timeline.set_format(each(40), false);
        let stamps = [0, 40, 79, 78, 120, 5000, 5040].map(at);
        assert_eq!(
            times(&mut timeline, stamps),
            [0, 40, 79, 78, 120, 5000, 5040]
        );
    }

    #[test]
    fn without_timestamps_they_are_counted() {
        let mut timeline = Timeline::default();
        assert_eq!(
            timeline.place(Stamp::default(), &Runs::default()),
            Err(Untimed)
        );
        timeline.set_format(each(40), false);
        let stamps = [Stamp::default(); 3];
        assert_eq!(times(&mut timeline, stamps), [0, 40, 80]);
        // Some have one.
        assert_eq!(
            times(&mut timeline, [at(200), Stamp::default()]),
            [200, 240]
        );
        // The first that has one is no break, wherever it is.
        let mut timeline = Timeline::default();
        timeline.set_format(each(40), false);
        assert_eq!(times(&mut timeline, [Stamp::default()]), [0]);
        let placed = timeline.place(at(7_200_000), &Runs::default()).unwrap();
        assert_eq!(placed.time, 40 * MS);
        assert!(!placed.jump.unwrap().is_news());
        let lasting = Stamp {
            duration: Some(10 * MS),
            ..Stamp::default()
        };
        let mut timeline = Timeline::default();
        assert_eq!(times(&mut timeline, [lasting; 3]), [0, 10, 20]);
    }

    #[test]
    fn what_is_counted_stays_in_order() {
        // The caps say 5 a second, and it is 50.
        let mut timeline = Timeline::default();
        timeline.set_format(each(200), false);
        let untimed = Stamp::default();
        assert_eq!(times(&mut timeline, [at(0), untimed]), [0, 200]);
        assert_eq!(
            times(&mut timeline, [40, 60, 190, 240].map(at)),
            [200, 200, 200, 240]
        );
        assert_eq!(times(&mut timeline, [untimed, at(280)]), [280, 280]);
        // Pictures that are encoded may be shown before it.
        let mut timeline = Timeline::default();
        timeline.set_format(each(200), true);
        assert_eq!(times(&mut timeline, [at(0), untimed, at(40)]), [0, 200, 40]);
    }

    #[test]
    fn a_stream_that_begins_after_a_break_goes_on_where_the_others_do() {
        let first = |runs: &Runs, stamp: Stamp| {
            let (mut timeline, mut runs) = (Timeline::default(), runs.clone());
            let jump = timeline.begin_near(stamp, &mut runs);
            let placed = timeline.place(stamp, &runs).unwrap();
            assert_eq!(placed.jump, None);
            (placed.time / MS, jump)
        };
        // The others jumped from 10 s to five hours, and it comes with the new times.
        let mut ahead = Runs::default();
        ahead.reach(0);
        ahead.add((10_000 - 18_000_000) * MS, 10_000 * MS);
        assert_eq!(first(&ahead, at(18_000_200)), (10_200, None));
        // It kept the times that the others had before.
        assert_eq!(first(&ahead, at(10_100)), (10_100, None));
        // They began anew, twice.
        let mut anew = Runs::default();
        anew.reach(5_000 * MS);
        anew.add(10_000 * MS, 10_000 * MS);
        anew.add(20_000 * MS, 20_000 * MS);
        anew.reach(20_400 * MS);
        assert_eq!(first(&anew, at(300)), (10_300, None));
        // There was no break, and later ones are looked for as before.
        let none = Runs::default();
        assert_eq!(first(&none, at(18_000_000)), (18_000_000, None));
        let mut begun = Timeline::default();
        assert_eq!(times(&mut begun, [at(1_000)]), [1_000]);
        begun.begin_near(at(1_040), &mut anew);
        assert_eq!(times(&mut begun, [at(1_040)]), [1_040]);
        // It is hours from where the others are: their clock is another one.
        let mut here = Runs::default();
        here.reach(2_000 * MS);
        let (time, jump) = first(&here, at(18_000_000));
        assert_eq!((time, jump.unwrap().is_news()), (2_000, true));
    }

    #[test]
    fn a_stream_that_is_behind_finds_each_of_several_breaks() {
        // Runs of a quarter of a second: another stream had them all before this one comes to the first.
        let mut timeline = Timeline::default();
        timeline.set_format(each(10), false);
        let mut known = Runs::default();
        for ms in [250, 500, 750] {
            known.add(ms * MS, ms * MS);
        }
        let runs = (0..4).flat_map(|_| (0..25).map(|n| at(n * 10)));
        let times: Vec<_> = runs
            .map(|stamp| timeline.place(stamp, &known).unwrap().time / MS)
            .collect();
        let expected: Vec<_> = (0..100).map(|n| n * 10).collect();
        assert_eq!(times, expected);
    }

    #[test]
    fn streams_that_break_off_together_go_on_together() {
        let after = |ends: [i64; 2], knows: bool| {
            let (mut runs, mut placed) = (Runs::default(), Vec::new());
            let [mut first, mut second] = [Timeline::default(); 2];
            for (timeline, end) in [(&mut first, ends[0]), (&mut second, ends[1])] {
                timeline.set_format(each(40), false);
                times(timeline, [0, end - 80, end - 40].map(at));
                if knows {
                    runs.reach(end * MS);
                }
            }
            for timeline in [&mut first, &mut second] {
                let at = timeline.place(at(0), &runs).unwrap();
                if at.jump.is_some_and(|jump| jump.first) {
                    runs.add(at.offset, at.time);
                }
                placed.push((at.time / MS, at.jump.unwrap().is_news()));
            }
            placed
        };
        // Whichever ends later, where that is known.
        assert_eq!(
            after([9_950, 10_000], true),
            [(10_000, true), (10_000, false)]
        );
        assert_eq!(
            after([10_000, 9_950], false),
            [(10_000, true), (10_000, false)]
        );
        // Nothing goes back for that, and it is told of once.
        assert_eq!(
            after([9_950, 10_000], false),
            [(9_950, true), (10_000, false)]
        );
        // A small step back of one stream is a break of its own.
        let mut timeline = Timeline::default();
        timeline.set_format(each(40), false);
        times(&mut timeline, [0, 40, 80, 120, 160, 200, 240, 280].map(at));
        let jump = timeline.place(at(0), &Runs::default()).unwrap().jump;
        assert!(jump.unwrap().is_news());
        // What goes on elsewhere is another break.
        assert_eq!(
            after([9_000, 12_000], true),
            [(9_000, true), (12_000, true)]
        );
    }

    #[test]
    fn what_goes_back_goes_on_behind_what_came() {
        let mut timeline = Timeline::default();
        timeline.set_format(each(40), false);
        times(&mut timeline, [10_000, 10_040].map(at));
        let placed = timeline.place(at(0), &Runs::default()).unwrap();
        assert_eq!(placed.time, 10_080 * MS);
        let jump = Jump {
            from: 10_040 * MS,
            to: 0,
            first: true,
            counted: false,
        };
        assert_eq!(placed.jump, Some(jump));
        assert_eq!(times(&mut timeline, [40, 80].map(at)), [10_120, 10_160]);
        // One frame was wrong, and not the clock.
        assert_eq!(
            times(&mut timeline, [10_200, 10_240].map(at)),
            [10_200, 10_240]
        );
        // After a pause, of a camera that does not say its rate.
        let mut slow = Timeline::default();
        let stamps = [0, 40, 80, 3080, 1000, 1040].map(at);
        assert_eq!(times(&mut slow, stamps), [0, 40, 80, 3080, 3160, 3200]);
        // By less than a second, for good.
        assert_eq!(
            times(&mut timeline, [9_900, 9_940].map(at)),
            [10_280, 10_320]
        );
    }

    #[test]
    fn what_is_far_ahead_follows_what_came() {
        let mut timeline = Timeline::default();
        timeline.set_format(each(40), false);
        let day = 24 * 3_600_000;
        let stamps = [0, 40, day, day + 40, day + 80].map(at);
        assert_eq!(times(&mut timeline, stamps), [0, 40, 80, 120, 160]);
        // One frame was wrong, and not the clock.
        let mut timeline = Timeline::default();
        timeline.set_format(each(40), false);
        let stamps = [0, 40, day, 120, 160].map(at);
        assert_eq!(times(&mut timeline, stamps), [0, 40, 80, 120, 160]);
        // A camera that takes a picture every two hours, as it says and as it does not.
        let hours = [0, 2, 4, 6].map(|hours| at(hours * 3_600_000));
        let mut timeline = Timeline::default();
        timeline.set_format(Pace::new(1, 7200, 0), false);
        let all = [0, 7_200_000, 14_400_000, 21_600_000];
        assert_eq!(times(&mut timeline, hours), all);
        timeline.reset();
        timeline.set_format(each(40), false);
        assert_eq!(times(&mut timeline, hours), [0, 40, 7_200_040, 14_400_040]);
    }

    #[test]
    fn a_picture_lasts_as_long_as_those_before_it() {
        let mut timeline = Timeline::default();
        timeline.set_format(each(100), false);
        let ends = [0, 40, 80].map(|ms| timeline.place(at(ms), &Runs::default()).unwrap().end / MS);
        assert_eq!(ends, [100, 80, 120]);
    }

    #[test]
    fn counting_is_exact_and_goes_on_behind_what_has_a_time() {
        let mut timeline = Timeline::default();
        timeline.set_format(Pace::new(30_000, 1001, 0), false);
        let counted: Vec<_> = (0..3)
            .map(|_| {
                timeline
                    .place(Stamp::default(), &Runs::default())
                    .unwrap()
                    .time
            })
            .collect();
        assert_eq!(counted, [0, 33_366_666, 66_733_333]);
        // Sound: samples of four bytes.
        let mut timeline = Timeline::default();
        timeline.set_format(Pace::new(8000, 1, 4), false);
        let sound = |bytes| Stamp {
            bytes,
            ..Stamp::default()
        };
        let placed = timeline.place(sound(3200), &Runs::default()).unwrap();
        assert_eq!((placed.time, placed.end), (0, 100 * MS));
        let placed = timeline.place(sound(4), &Runs::default()).unwrap();
        assert_eq!((placed.time, placed.end), (100 * MS, 100_125_000));
        let told = Stamp {
            time: Some(5000 * MS),
            ..sound(8000)
        };
        assert_eq!(
            timeline.place(told, &Runs::default()).unwrap().end,
            5250 * MS
        );
        timeline.set_format(Pace::new(4000, 1, 4), false);
        assert_eq!(
            timeline.place(sound(4), &Runs::default()).unwrap().time,
            5250 * MS
        );
    }

    #[test]
    fn pictures_of_one_packet_follow_one_another() {
        let mut timeline = Timeline::default();
        assert_eq!(
            timeline.place(Stamp::default(), &Runs::default()),
            Err(Untimed)
        );
        let (untimed, mut all) = (Stamp::default(), Vec::new());
        for stamp in [
            at(500),
            untimed,
            untimed,
            at(580),
            at(660),
            untimed,
            at(700),
        ] {
            all.push(timeline.place(stamp, &Runs::default()).unwrap().time / MS);
        }
        assert_eq!(all, [500, 501, 502, 580, 660, 740, 740]);
        // That is no rule.
        let mut timeline = Timeline::default();
        timeline.place(at(0), &Runs::default()).unwrap();
        let placed = (0..=PACKET).map(|_| timeline.place(untimed, &Runs::default()));
        assert_eq!(placed.filter(Result::is_ok).count(), usize::from(PACKET));
    }

    #[test]
    fn a_clock_that_does_not_go_is_none() {
        let stood = |pace| {
            let mut timeline = Timeline::default();
            timeline.set_format(pace, false);
            times(&mut timeline, [at(500); 20])
        };
        let together = [500; STANDS as usize];
        assert_eq!(
            stood(each(40)),
            [&together[..], &[540, 580, 620, 660]].concat()
        );
        assert_eq!(stood(None), [&together[..], &[501, 502, 503, 504]].concat());
        let mut raw = Timeline::default();
        raw.set_format(each(40), false);
        raw.set_raw(true);
        assert_eq!(times(&mut raw, [at(500); 3]), [500, 540, 580]);
        // Others come together after a pause, and the clock goes.
        let mut timeline = Timeline::default();
        timeline.set_format(each(40), false);
        let stamps = [&[0, 40][..], &[1000; 30], &[1040]].concat();
        assert_eq!(times(&mut timeline, stamps.iter().copied().map(at)), stamps);
    }

    #[test]
    fn other_streams_follow_the_first_one() {
        let mut sound = Timeline::default();
        times(&mut sound, [9_980, 10_000].map(at));
        let mut runs = Runs::default();
        runs.add(10_080 * MS, 10_080 * MS);
        runs.add(99, 10_080 * MS);
        let placed = sound.place(at(10), &runs).unwrap();
        assert_eq!(placed.time, 10_090 * MS);
        assert!(!placed.jump.unwrap().first);
    }

    #[test]
    fn reordered_pictures_do_not_go_back() {
        let mut timeline = Timeline::default();
        timeline.set_format(each(1000), true);
        let stamps = [0, 4000, 2000, 1000, 3000, 8000].map(at);
        assert_eq!(
            times(&mut timeline, stamps),
            [0, 4000, 2000, 1000, 3000, 8000]
        );
        assert_eq!(times(&mut timeline, [at(60_000), at(0)]), [60_000, 61_000]);
    }
}
