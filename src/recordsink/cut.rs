// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a recording of several streams is cut into files, and which of them a file has.
//! Knows no GStreamer.
//!
//! One stream is the reference: the video, or the sound where there is none. A file begins with a key
//! unit of the reference; the other streams wait until the reference is as far as they are, so that
//! what belongs to the next file has not gone into the last one. A file begins when every stream has
//! something to begin with, has ended, or when one has had to wait for too long
//! ([`Plan::reaches`], [`Plan::fill`]): that file does without the others. A stream that comes later, or that goes on
//! in another format, begins another file.
//!
//! A stream's thread asks with [`Plan::offer`] what to do with a unit, and asks again after each
//! change as long as the answer is [`Verdict::Wait`].

use std::time::{Duration, Instant};

/// What a stream may bring, in nanoseconds, before another one that has not come is done without.
pub(crate) const PATIENCE: u64 = 20_000_000_000;

/// How long a unit waits for another stream at least, whatever its stream brings meanwhile: what is read from memory,
/// or jumps ahead, is beyond [`PATIENCE`] before another thread has run.
pub(crate) const GRACE: Duration = Duration::from_secs(2);

/// What a stream brings: a frame, or a buffer of samples. Times in nanoseconds of running time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unit {
    /// When it is shown or heard; `None` is never waited for.
    pub start: Option<u64>,
    /// A file can begin with it.
    pub key: bool,
    /// Its size.
    pub bytes: u64,
}

/// What becomes of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes into the file.
    Pass,
    /// It waits until something has changed.
    Wait,
    /// Whoever asked closes the file that is open, if one is, opens the next one and says so with
    /// [`Plan::opened`]; then it asks again.
    Open,
    /// There is no file that it could go into.
    Refuse,
}

/// What becomes of the end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The file is told of it, and goes on with the others.
    Stream,
    /// The file is not told: there is nothing else in it, and another stream may still come.
    Held,
    /// All streams have ended, and the file with them.
    File,
}

/// A stream that comes so much later than a file begins, in nanoseconds, is not in it where its length is a matter of
/// bytes.
const AWAY: u64 = 10_000_000_000;

/// When a file is full; 0: never.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Limits {
    /// From the reference's first unit to the next file's, in nanoseconds.
    pub time: u64,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Bytes of a file without any unit.
    pub head: u64,
    /// Bytes that a unit takes besides its own: chunk heads, index.
    pub overhead: u64,
    /// The same for each 1024 of its own.
    pub per_kib: u64,
}

impl Limits {
    /// What a unit takes in the file.
    fn cost(&self, unit: Unit) -> u64 {
        unit.bytes + self.overhead + unit.bytes.div_ceil(1024) * self.per_kib
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No file has been opened.
    Before,
    Open,
    /// The next file begins at this time; the other streams catch up.
    Cutting(Option<u64>),
    /// A thread closes a file, opens one, or both.
    Changing,
    /// There will be no more files.
    Over,
}

#[derive(Debug, Clone, Default)]
struct Stream {
    /// It is in the file that is open.
    in_file: bool,
    /// It goes on in another format than the file has it in.
    changed: bool,
    ended: bool,
    /// Something of it has come.
    came: bool,
    /// The unit that waits for another file, and its time.
    waiting: Option<Option<u64>>,
    /// Since when it waits.
    since: Option<Instant>,
    /// How far what it has brought reaches, whether that has been offered yet or not.
    reached: Option<u64>,
    /// There is no room for more of it.
    is_full: bool,
}

impl Stream {
    /// Whether what waits has waited for too long, but for [`GRACE`].
    fn is_late(&self) -> bool {
        let long = matches!((self.waiting, self.reached), (Some(Some(start)), Some(reached))
            if reached.saturating_sub(start) >= PATIENCE);
        self.waiting.is_some() && (long || self.is_full)
    }

    /// How long it has waited.
    fn waited(&self) -> Duration {
        self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Plan {
    limits: Limits,
    /// How long a unit waits at least before others are not waited for.
    grace: Duration,
    /// The video first.
    streams: Vec<Stream>,
    phase: Phase,
    /// Counts what those who wait want to hear of.
    version: u64,
    /// Files that have been opened.
    files: u64,
    /// The application, or a stream, wants another file.
    due: bool,
    /// One of the streams can wait no longer.
    hurry: bool,
    /// How far the reference is.
    until: Option<u64>,
    /// The running time at which the file begins.
    origin: u64,
    /// The reference's first unit in the file.
    first: Option<u64>,
    units: u64,
    bytes: u64,
    /// Bytes since the reference's last key unit, and the most that there were between two.
    group: u64,
    largest_group: u64,
}

impl Plan {
    /// A recording of `streams` streams, the video first.
    pub(crate) fn new(streams: usize, limits: Limits) -> Self {
        Self {
            limits,
            grace: Duration::ZERO,
            streams: vec![Stream::default(); streams],
            phase: Phase::Before,
            version: 0,
            files: 0,
            due: false,
            hurry: false,
            until: None,
            origin: 0,
            first: None,
            units: 0,
            bytes: 0,
            group: 0,
            largest_group: 0,
        }
    }

    /// The same, with a unit waiting so long at least before others are not waited for.
    pub(crate) fn with_grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    /// When those who wait are to ask again though nothing has changed.
    pub(crate) fn ask_again_in(&self) -> Option<Duration> {
        let late = self.streams.iter().filter(|stream| stream.is_late());
        late.filter_map(|stream| self.grace.checked_sub(stream.waited()))
            .min()
    }

    /// Grows with everything that may change the answer to those who wait.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.version += 1;
    }

    /// Whether something has come of a stream.
    pub(crate) fn came(&self, stream: usize) -> bool {
        self.streams.get(stream).is_some_and(|stream| stream.came)
    }

    /// Whether a stream has ended.
    pub(crate) fn stream_has_ended(&self, stream: usize) -> bool {
        self.streams.get(stream).is_some_and(|stream| stream.ended)
    }

    /// Whether a stream is in the file that is open.
    pub(crate) fn in_file(&self, stream: usize) -> bool {
        self.streams
            .get(stream)
            .is_some_and(|stream| stream.in_file)
    }

    /// Whether a stream is the one whose units are counted: the first that the file has.
    pub(crate) fn is_counted(&self, stream: usize) -> bool {
        self.streams.iter().position(|stream| stream.in_file) == Some(stream)
    }

    /// Whether a unit that has just passed is shown before its file's first picture, which came before it: it may need
    /// the file before (an open GOP).
    pub(crate) fn leads(&self, stream: usize, unit: Unit) -> bool {
        let is_earlier =
            matches!((unit.start, self.first), (Some(start), Some(first)) if start < first);
        is_earlier && self.files > 1 && self.is_counted(stream)
    }

    /// The running time in nanoseconds at which the file begins.
    pub(crate) fn origin(&self) -> u64 {
        self.origin
    }

    /// The number of the file that is open; 0: none was.
    pub(crate) fn file(&self) -> u64 {
        self.files
    }

    /// There will be no more files.
    pub(crate) fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Whether a thread is between two files, so that the end of a stream has to wait.
    pub(crate) fn is_changing(&self) -> bool {
        matches!(self.phase, Phase::Changing | Phase::Cutting(_))
    }

    /// The reference's next key unit begins another file.
    pub(crate) fn split(&mut self) {
        self.due = true;
    }

    /// A stream goes on in another format: with its next unit it is in another file.
    pub(crate) fn change(&mut self, stream: usize) {
        if let Some(stream) = self.streams.get_mut(stream) {
            stream.changed = stream.in_file;
        }
    }

    /// What a stream has brought reaches to this time. True when that is so far behind the unit that
    /// waits that the others are not waited for, once it has waited for [`GRACE`].
    pub(crate) fn reaches(&mut self, stream: usize, time: u64) -> bool {
        if let Some(own) = self.streams.get_mut(stream) {
            own.reached = own.reached.max(Some(time));
        }
        self.hurry_if_late(stream)
    }

    /// There is no room for more of a stream: the others are not waited for.
    pub(crate) fn fill(&mut self, stream: usize) {
        if let Some(own) = self.streams.get_mut(stream) {
            own.is_full = true;
        }
        self.hurry_if_late(stream);
    }

    fn hurry_if_late(&mut self, stream: usize) -> bool {
        // What waits for a file to be opened waits for no other stream.
        let waits = self.phase != Phase::Changing;
        let late = waits && self.streams.get(stream).is_some_and(Stream::is_late);
        if late && !self.hurry && self.has_waited(stream) {
            self.hurry = true;
            self.version += 1;
        }
        late
    }

    fn has_waited(&self, stream: usize) -> bool {
        let stream = self.streams.get(stream);
        stream.is_some_and(|stream| stream.waited() >= self.grace)
    }

    /// A stream has ended. True when all have and nothing has come of any.
    pub(crate) fn end(&mut self, stream: usize) -> bool {
        if self.reference() == Some(stream) {
            // What goes on without it has a file's length of its own: a little sound behind the last
            // picture is no file.
            self.first = self.until.or(self.first);
        }
        if let Some(stream) = self.streams.get_mut(stream) {
            stream.ended = true;
            stream.waiting = None;
        }
        self.version += 1;
        let silent = self.phase == Phase::Before
            && self
                .streams
                .iter()
                .all(|stream| stream.ended && !stream.came);
        if silent {
            self.enter(Phase::Over);
        }
        silent
    }

    /// Whether nothing more will come.
    pub(crate) fn has_ended(&self) -> bool {
        self.is_over() || self.streams.iter().all(|stream| stream.ended)
    }

    /// What becomes of the end of a stream.
    pub(crate) fn ending(&self, stream: usize) -> Ending {
        if self.streams.iter().all(|stream| stream.ended) {
            return Ending::File;
        }
        match self.in_file(stream) && self.reference().is_some() {
            true => Ending::Stream,
            false => Ending::Held,
        }
    }

    /// There will be no more files.
    pub(crate) fn stop(&mut self) {
        self.enter(Phase::Over);
    }

    /// The file that [`Verdict::Open`] asked for is open.
    pub(crate) fn opened(&mut self) {
        if self.phase == Phase::Changing {
            // What waited for it is asked again, and is late for nothing.
            for stream in self.streams.iter_mut().filter(|stream| stream.in_file) {
                stream.waiting = None;
            }
            self.enter(Phase::Open);
        }
    }

    fn reference(&self) -> Option<usize> {
        self.streams
            .iter()
            .position(|stream| stream.in_file && !stream.ended)
    }

    /// What becomes of the next unit of a stream.
    pub(crate) fn offer(&mut self, stream: usize, unit: Unit) -> Verdict {
        let Some(own) = self.streams.get_mut(stream) else {
            return Verdict::Refuse;
        };
        own.came = true;
        match self.phase {
            Phase::Over => Verdict::Refuse,
            Phase::Changing => self.wait(stream, unit),
            Phase::Before => {
                self.wait(stream, unit);
                let settled = |stream: &Stream| stream.ended || stream.waiting.is_some();
                match self.hurry || self.streams.iter().all(settled) {
                    true => self.begin(),
                    false => Verdict::Wait,
                }
            }
            Phase::Open => self.offer_to_file(stream, unit),
            Phase::Cutting(at) => {
                let own = &self.streams[stream];
                let earlier = matches!((unit.start, at), (Some(start), Some(at)) if start < at);
                if own.in_file && !own.changed && earlier {
                    return self.pass(stream, unit);
                }
                self.wait(stream, unit);
                self.begin_if_all_wait()
            }
        }
    }

    fn offer_to_file(&mut self, stream: usize, unit: Unit) -> Verdict {
        let own = &self.streams[stream];
        let (in_file, changed) = (own.in_file, own.changed);
        let Some(reference) = self.reference() else {
            // What the file had has ended, and this comes after all.
            self.wait(stream, unit);
            self.enter(Phase::Cutting(unit.start));
            return self.begin_if_all_wait();
        };
        if !in_file || changed {
            self.due |= changed;
            self.wait(stream, unit);
            let is_late = self.streams[stream].is_late() && self.has_waited(stream);
            if stream != reference && !is_late {
                return Verdict::Wait;
            }
            self.enter(Phase::Cutting(unit.start));
            return self.begin_if_all_wait();
        }
        if stream == reference {
            if unit.key && self.limits.bytes > 0 && !self.others_are_here(stream, unit) {
                return self.wait(stream, unit);
            }
            let due = self.due || self.newcomer_is_due(unit);
            if unit.key && self.units > 0 && (due || self.is_full(unit)) {
                self.wait(stream, unit);
                self.enter(Phase::Cutting(unit.start));
                return self.begin_if_all_wait();
            }
            return self.pass(stream, unit);
        }
        let reached = match (unit.start, self.until) {
            (Some(start), Some(until)) => start <= until,
            (Some(_), None) => false,
            (None, _) => true,
        };
        if !reached && !self.hurry {
            self.wait(stream, unit);
        }
        match reached || self.hurry {
            true => self.pass(stream, unit),
            false => Verdict::Wait,
        }
    }

    /// Whether a stream that is not in the file waits with something that is not later than this unit of
    /// the reference.
    fn newcomer_is_due(&self, unit: Unit) -> bool {
        self.streams.iter().any(|stream| {
            // What has no time is earlier than any.
            let due = |start: Option<u64>| start <= unit.start;
            !stream.in_file && stream.waiting.is_some_and(due)
        })
    }

    /// Whether the other streams have brought all that comes before a unit of the reference, so that it
    /// is known how large the file is.
    fn others_are_here(&mut self, reference: usize, unit: Unit) -> bool {
        let before = unit.start.map(|start| start.saturating_sub(1));
        if before > self.until {
            self.until = before;
            self.version += 1;
            // They have not been asked since.
            for (number, stream) in self.streams.iter_mut().enumerate() {
                if number != reference && stream.in_file && stream.waiting.flatten() <= before {
                    stream.waiting = None;
                }
            }
        }
        let mut others = self.streams.iter().enumerate();
        self.hurry
            || others.all(|(number, stream)| {
                number == reference || !stream.in_file || stream.ended || stream.waiting.is_some()
            })
    }

    fn wait(&mut self, stream: usize, unit: Unit) -> Verdict {
        let own = &mut self.streams[stream];
        if own.waiting.replace(unit.start).is_none() {
            own.since = Some(Instant::now());
            self.version += 1;
        }
        // What it has brought may have come before it was asked for.
        self.hurry_if_late(stream);
        Verdict::Wait
    }

    fn pass(&mut self, stream: usize, unit: Unit) -> Verdict {
        if self.reference() == Some(stream) {
            self.hurry = false;
            self.version += 1;
            self.until = self.until.max(unit.start);
            self.first = self.first.or(unit.start);
            self.units += 1;
            if unit.key {
                self.largest_group = self.largest_group.max(self.group);
                self.group = 0;
            }
        }
        let own = &mut self.streams[stream];
        (own.waiting, own.is_full) = (None, false);
        let bytes = self.limits.cost(unit);
        self.bytes += bytes;
        self.group += bytes;
        Verdict::Pass
    }

    /// Whether the group of units that begins with this key unit goes into another file. A group's
    /// size is known when it is over: the largest one so far is what it may take.
    fn is_full(&self, unit: Unit) -> bool {
        let Limits {
            time, bytes, head, ..
        } = self.limits;
        let group = self.group.max(self.largest_group);
        let after = self.bytes + head + group.max(self.limits.cost(unit));
        let long = matches!((unit.start, self.first), (Some(start), Some(first))
            if start.saturating_sub(first) >= time);
        (time > 0 && long) || (bytes > 0 && after > bytes)
    }

    fn begin_if_all_wait(&mut self) -> Verdict {
        let at = match self.phase {
            Phase::Cutting(at) => at,
            _ => None,
        };
        // A unit from before the cut that waits for the reference alone still goes into this file.
        let settled = |stream: &Stream| {
            !stream.in_file
                || stream.ended
                || stream
                    .waiting
                    .is_some_and(|start| stream.changed || start.is_none() || start >= at)
        };
        match self.hurry || self.streams.iter().all(settled) {
            true => self.begin(),
            false => Verdict::Wait,
        }
    }

    fn begin(&mut self) -> Verdict {
        let starts = self.streams.iter().filter_map(|stream| stream.waiting);
        self.origin = starts.flatten().min().unwrap_or(self.origin);
        // Muxers make files that cannot be read of a stream that has a place and brings nothing.
        let lasts = match self.limits {
            Limits {
                time: 0, bytes: 0, ..
            } => u64::MAX,
            Limits { time: 0, .. } => AWAY,
            Limits { time, .. } => time,
        };
        let cut = match self.phase {
            Phase::Cutting(Some(at)) => at.max(self.origin),
            _ => self.origin,
        };
        let end = cut.saturating_add(lasts);
        for stream in &mut self.streams {
            let is_of_this = |start: Option<u64>| start.is_none_or(|start| start < end);
            stream.in_file = stream.waiting.is_some_and(is_of_this) && !stream.ended;
            stream.changed = false;
        }
        self.enter(Phase::Changing);
        self.files += 1;
        self.due = false;
        self.hurry = false;
        self.until = None;
        self.first = None;
        self.units = 0;
        self.bytes = 0;
        self.group = 0;
        Verdict::Open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIDEO: usize = 0;
    const AUDIO: usize = 1;

    fn key(start: u64) -> Unit {
        Unit {
            start: Some(start),
            key: true,
            bytes: 100,
        }
    }

    fn delta(start: u64) -> Unit {
        Unit {
            key: false,
            ..key(start)
        }
    }

    /// Offers, opens a file where one is asked for, and offers again.
    fn put(plan: &mut Plan, stream: usize, unit: Unit) -> Verdict {
        match plan.offer(stream, unit) {
            Verdict::Open => {
                plan.opened();
                plan.offer(stream, unit)
            }
            verdict => verdict,
        }
    }

    fn both() -> Plan {
        let mut plan = Plan::new(2, Limits::default());
        assert_eq!(plan.offer(VIDEO, key(10)), Verdict::Wait);
        assert_eq!(plan.offer(AUDIO, key(8)), Verdict::Open);
        assert_eq!(plan.origin(), 8);
        assert_eq!(
            plan.offer(VIDEO, key(10)),
            Verdict::Wait,
            "it is not open yet"
        );
        plan.opened();
        assert_eq!(plan.offer(VIDEO, key(10)), Verdict::Pass);
        assert_eq!(plan.offer(AUDIO, key(8)), Verdict::Pass);
        plan
    }

    #[test]
    fn sound_waits_for_the_picture() {
        let mut plan = both();
        assert_eq!(plan.offer(AUDIO, key(12)), Verdict::Wait);
        assert_eq!(plan.offer(VIDEO, delta(15)), Verdict::Pass);
        assert_eq!(plan.offer(AUDIO, key(12)), Verdict::Pass);
        assert!(!plan.end(VIDEO));
        assert_eq!(plan.offer(AUDIO, key(100)), Verdict::Pass);
    }

    #[test]
    fn a_file_begins_with_a_key_unit_and_the_sound_after_it() {
        let mut plan = both();
        plan.split();
        assert_eq!(plan.offer(VIDEO, delta(20)), Verdict::Pass);
        assert_eq!(plan.offer(VIDEO, key(30)), Verdict::Wait);
        assert_eq!(plan.offer(AUDIO, key(12)), Verdict::Pass);
        assert_eq!(plan.offer(AUDIO, key(29)), Verdict::Pass);
        assert_eq!(plan.offer(AUDIO, key(31)), Verdict::Open);
        assert_eq!((plan.origin(), plan.file()), (30, 2));
        plan.opened();
        assert_eq!(plan.offer(AUDIO, key(31)), Verdict::Wait);
        assert_eq!(plan.offer(VIDEO, key(30)), Verdict::Pass);
        assert_eq!(plan.offer(VIDEO, key(40)), Verdict::Pass);
        assert_eq!(plan.offer(AUDIO, key(31)), Verdict::Pass);
    }

    #[test]
    fn sound_that_ends_or_stalls_holds_no_file_up() {
        for stalls in [false, true] {
            let mut plan = both();
            plan.split();
            assert_eq!(plan.offer(VIDEO, key(30)), Verdict::Wait);
            match stalls {
                true => plan.fill(VIDEO),
                false => assert!(!plan.end(AUDIO)),
            }
            assert_eq!(put(&mut plan, VIDEO, key(30)), Verdict::Pass);
            assert!(!plan.in_file(AUDIO));
        }
    }

    #[test]
    fn a_stream_that_does_not_come_is_done_without_and_may_come_later() {
        let mut plan = Plan::new(2, Limits::default());
        assert_eq!(plan.offer(AUDIO, key(0)), Verdict::Wait);
        assert!(!plan.reaches(AUDIO, PATIENCE - 1));
        assert_eq!(plan.offer(AUDIO, key(0)), Verdict::Wait);
        assert!(plan.reaches(AUDIO, PATIENCE));
        assert_eq!(put(&mut plan, AUDIO, key(0)), Verdict::Pass);
        assert!(!plan.came(VIDEO) && !plan.in_file(VIDEO));
        assert_eq!(plan.offer(AUDIO, key(10)), Verdict::Pass);
        assert_eq!(plan.offer(VIDEO, key(15)), Verdict::Wait);
        assert_eq!(plan.offer(AUDIO, key(20)), Verdict::Open);
        assert!(plan.in_file(VIDEO) && plan.in_file(AUDIO));
        assert_eq!(plan.origin(), 15);
    }

    #[test]
    fn a_stream_that_is_away_for_a_whole_file_is_not_in_it() {
        let by_time = Limits {
            time: 100,
            ..Limits::default()
        };
        let by_bytes = Limits {
            bytes: 1 << 20,
            ..Limits::default()
        };
        for (limits, comes) in [(by_time, 250), (by_bytes, 2 * AWAY)] {
            let mut plan = Plan::new(2, limits);
            assert_eq!(plan.offer(VIDEO, key(0)), Verdict::Wait);
            assert_eq!(plan.offer(AUDIO, key(comes)), Verdict::Open);
            plan.opened();
            assert!(plan.in_file(VIDEO) && !plan.in_file(AUDIO));
            assert_eq!(plan.offer(VIDEO, key(0)), Verdict::Pass);
            // It is in the one that has something of it.
            let at = comes + 10;
            assert_eq!(plan.offer(AUDIO, key(comes)), Verdict::Wait);
            assert_eq!(plan.offer(VIDEO, key(at)), Verdict::Open);
            plan.opened();
            assert!(plan.in_file(VIDEO) && plan.in_file(AUDIO));
            assert_eq!(plan.origin(), comes);
        }
        // What waits with less than the file before is in the next one with the unit that begins it.
        let mut plan = Plan::new(2, by_time);
        plan.offer(VIDEO, key(0));
        assert_eq!(plan.offer(AUDIO, key(500)), Verdict::Open);
        plan.opened();
        plan.offer(VIDEO, key(0));
        plan.offer(AUDIO, key(500));
        assert_eq!(plan.offer(VIDEO, key(700)), Verdict::Open);
        assert!(plan.in_file(VIDEO) && plan.in_file(AUDIO));
        assert_eq!(plan.origin(), 500);
        // Any may be in one that has no end.
        let mut plan = Plan::new(2, Limits::default());
        assert_eq!(plan.offer(VIDEO, key(0)), Verdict::Wait);
        assert_eq!(plan.offer(AUDIO, key(100 * AWAY)), Verdict::Open);
        assert!(plan.in_file(AUDIO));
    }

    #[test]
    fn a_stream_that_is_far_at_once_waits_for_the_others_all_the_same() {
        let mut plan = Plan::new(2, Limits::default()).with_grace(Duration::from_secs(3600));
        assert_eq!(plan.offer(VIDEO, key(0)), Verdict::Wait);
        assert!(plan.ask_again_in().is_none());
        assert!(plan.reaches(VIDEO, PATIENCE), "it is told of");
        assert_eq!(plan.offer(VIDEO, key(0)), Verdict::Wait);
        plan.fill(VIDEO);
        assert_eq!(plan.offer(VIDEO, key(0)), Verdict::Wait);
        assert!(plan.ask_again_in().is_some());
        let mut plan = plan.with_grace(Duration::ZERO);
        assert_eq!(plan.offer(VIDEO, key(0)), Verdict::Open);
    }

    #[test]
    fn what_came_before_it_was_offered_counts_too() {
        // All of it is in the queue before the first unit of it is.
        let mut plan = Plan::new(2, Limits::default());
        assert!(!plan.reaches(AUDIO, PATIENCE));
        assert_eq!(put(&mut plan, AUDIO, key(0)), Verdict::Pass);
        let mut plan = Plan::new(2, Limits::default());
        plan.fill(AUDIO);
        assert_eq!(put(&mut plan, AUDIO, key(0)), Verdict::Pass);
        // The same for sound whose picture stalls.
        let mut plan = both();
        assert!(!plan.reaches(AUDIO, 50 + PATIENCE));
        assert_eq!(plan.offer(AUDIO, key(50)), Verdict::Pass);
    }

    #[test]
    fn what_came_before_a_stream_that_comes_after_all_stays_in_the_first_file() {
        // More sound than is waited for has come, and none of it has gone into the file yet.
        let mut plan = Plan::new(2, Limits::default());
        plan.fill(AUDIO);
        assert_eq!(plan.offer(AUDIO, key(0)), Verdict::Open);
        assert!(!plan.reaches(AUDIO, PATIENCE + 5));
        assert_eq!(plan.offer(VIDEO, key(PATIENCE + 2)), Verdict::Wait);
        plan.opened();
        plan.reaches(AUDIO, PATIENCE + 10);
        assert_eq!(plan.offer(VIDEO, key(PATIENCE + 2)), Verdict::Wait);
        for time in [0, 1, PATIENCE, PATIENCE + 1] {
            assert_eq!(plan.offer(AUDIO, key(time)), Verdict::Pass);
        }
        assert_eq!(plan.offer(AUDIO, key(PATIENCE + 2)), Verdict::Open);
        plan.opened();
        assert_eq!((plan.file(), plan.origin()), (2, PATIENCE + 2));
        assert!(plan.in_file(VIDEO) && plan.in_file(AUDIO));
    }

    #[test]
    fn a_stream_that_comes_after_all_does_not_wait_for_one_that_has_fallen_silent() {
        let mut plan = Plan::new(2, Limits::default());
        plan.fill(AUDIO);
        assert_eq!(put(&mut plan, AUDIO, key(0)), Verdict::Pass);
        assert_eq!(plan.offer(VIDEO, key(15)), Verdict::Wait);
        assert!(plan.reaches(VIDEO, 15 + PATIENCE));
        assert_eq!(put(&mut plan, VIDEO, key(15)), Verdict::Pass);
        assert!(plan.in_file(VIDEO) && !plan.in_file(AUDIO));
        assert_eq!((plan.file(), plan.origin()), (2, 15));
    }

    #[test]
    fn what_waited_for_a_file_is_not_late_in_it() {
        // The sound that waited for the file has reached far by the time that the picture passes.
        let mut plan = Plan::new(2, Limits::default());
        assert_eq!(plan.offer(AUDIO, key(0)), Verdict::Wait);
        assert_eq!(plan.offer(VIDEO, key(0)), Verdict::Open);
        plan.opened();
        assert!(!plan.reaches(AUDIO, PATIENCE), "it waits for nothing now");
        assert_eq!(plan.offer(VIDEO, key(0)), Verdict::Pass);
        assert_eq!(plan.offer(AUDIO, key(50)), Verdict::Wait);
    }

    #[test]
    fn a_queue_that_was_full_hurries_nobody_when_nothing_waits() {
        let mut plan = both();
        // The video's queue was full while it passed, and its units pass still.
        plan.fill(VIDEO);
        assert_eq!(plan.offer(AUDIO, key(50)), Verdict::Wait);
    }

    #[test]
    fn what_has_no_time_and_comes_late_begins_another_file() {
        let mut plan = Plan::new(2, Limits::default());
        plan.fill(VIDEO);
        assert_eq!(put(&mut plan, VIDEO, key(0)), Verdict::Pass);
        let untimed = Unit {
            start: None,
            ..key(0)
        };
        assert_eq!(plan.offer(AUDIO, untimed), Verdict::Wait);
        assert_eq!(put(&mut plan, VIDEO, key(40)), Verdict::Pass);
        assert_eq!((plan.file(), plan.in_file(AUDIO)), (2, true));
    }

    #[test]
    fn a_stream_may_come_when_the_others_have_ended() {
        let mut plan = Plan::new(2, Limits::default());
        assert_eq!(plan.offer(AUDIO, key(0)), Verdict::Wait);
        plan.fill(AUDIO);
        assert_eq!(put(&mut plan, AUDIO, key(0)), Verdict::Pass);
        assert!(!plan.end(AUDIO));
        assert_eq!(plan.ending(AUDIO), Ending::Held);
        assert_eq!(put(&mut plan, VIDEO, key(15)), Verdict::Pass);
        assert_eq!((plan.file(), plan.in_file(AUDIO)), (2, false));
        assert!(!plan.end(VIDEO));
        assert_eq!(plan.ending(VIDEO), Ending::File);
        let mut plan = both();
        assert!(!plan.end(AUDIO));
        assert_eq!(plan.ending(AUDIO), Ending::Stream);
    }

    #[test]
    fn another_format_is_another_file() {
        let mut plan = both();
        plan.change(VIDEO);
        assert_eq!(plan.offer(VIDEO, key(30)), Verdict::Wait);
        assert_eq!(put(&mut plan, AUDIO, key(35)), Verdict::Wait);
        assert_eq!(plan.offer(VIDEO, key(30)), Verdict::Pass);
        plan.change(AUDIO);
        assert_eq!(plan.offer(AUDIO, key(35)), Verdict::Wait);
        assert_eq!(plan.offer(VIDEO, delta(40)), Verdict::Pass);
        assert_eq!(put(&mut plan, VIDEO, key(50)), Verdict::Pass);
        assert_eq!((plan.file(), plan.origin()), (3, 35));
    }

    #[test]
    fn limits_hold() {
        let mut plan = Plan::new(
            1,
            Limits {
                time: 100,
                ..Limits::default()
            },
        );
        let files = (0..30).map(|n| {
            assert_eq!(put(&mut plan, 0, key(n * 10)), Verdict::Pass);
            plan.file()
        });
        let files: Vec<_> = files.collect();
        assert_eq!((files[9], files[10], files[20]), (1, 2, 3));

        let mut plan = Plan::new(
            1,
            Limits {
                bytes: 1000,
                head: 200,
                overhead: 10,
                per_kib: 10,
                ..Limits::default()
            },
        );
        for n in 0..30 {
            assert_eq!(put(&mut plan, 0, key(n * 10)), Verdict::Pass);
            // Six units of 120 bytes behind a head of 200.
            assert_eq!(plan.file(), n / 6 + 1);
        }
    }

    #[test]
    fn a_full_file_is_known_with_its_sound() {
        let limits = Limits {
            bytes: 1000,
            ..Limits::default()
        };
        let mut plan = Plan::new(2, limits);
        assert_eq!(plan.offer(AUDIO, key(0)), Verdict::Wait);
        assert_eq!(plan.offer(VIDEO, key(0)), Verdict::Open);
        plan.opened();
        // Two of the sound for each picture, which runs ahead.
        let mut audio = (0..).map(|n| key(n * 5)).peekable();
        for n in 0..20 {
            let unit = key(n * 10);
            while put(&mut plan, VIDEO, unit) == Verdict::Wait {
                let verdict = put(&mut plan, AUDIO, *audio.peek().unwrap());
                if verdict == Verdict::Pass {
                    audio.next();
                }
            }
            assert!(plan.bytes <= 1000, "{}", plan.bytes);
        }
        assert!(plan.file() >= 6, "{}", plan.file());
    }

    #[test]
    fn nothing_at_all_is_an_end_too() {
        let mut plan = Plan::new(2, Limits::default());
        assert!(!plan.end(AUDIO));
        assert!(plan.end(VIDEO));
        assert!(plan.is_over());
        let mut plan = both();
        plan.stop();
        assert_eq!(plan.offer(VIDEO, key(20)), Verdict::Refuse);
    }
}
