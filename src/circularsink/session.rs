// SPDX-License-Identifier: MIT OR Apache-2.0
//! How triggers begin, extend, split and end recordings. Knows no GStreamer: who calls it starts
//! the recordings that it opens and tells those that it ends.

use crate::ring::{Begin, End, RecordingId, Ring};
use crate::streams::names;

/// A recording that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Open {
    pub id: RecordingId,
    /// Begun by the property `recording`, not by a trigger.
    pub by_switch: bool,
    /// What the trigger named.
    pub location: Option<String>,
    /// The end as it was asked for last.
    end: End,
    /// The one that begins where this one ends.
    successor: Option<RecordingId>,
    /// It takes the place of one that ended where the streams broke off, and leaves that one's file alone.
    pub continues: bool,
}

impl Open {
    /// Whether its end is still a matter of what happens.
    pub(crate) fn goes_on(&self) -> bool {
        matches!(self.end, End::Open | End::At(_)) && self.successor.is_none()
    }
}

/// A wish to record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Trigger {
    /// A name for the file.
    pub location: Option<String>,
    /// Nanoseconds until the recording ends by itself; 0: it does not.
    pub post_time: u64,
    /// How far what arrives is behind what happens, ns.
    pub lag: i64,
    /// A recording that goes on is to end where the new one begins.
    pub split: bool,
    /// How many recordings may be open.
    pub most: usize,
}

/// What became of a trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A recording that was there goes on for it.
    GoesOn(RecordingId),
    /// A new recording.
    Opened(RecordingId),
    /// A new recording that begins at a key unit, where another one ends.
    Split(RecordingId),
    /// As many are open as may be; the number is used up all the same.
    TooMany(RecordingId),
}

/// What a break in the streams did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Restarted {
    /// Recordings that ended there.
    pub ended: Vec<RecordingId>,
    /// Those that take their place.
    pub opened: Vec<RecordingId>,
}

/// The recordings of an element. Numbers go on from one time in PAUSED to the next: the files are
/// still there.
#[derive(Debug, Default)]
pub(crate) struct Session {
    open: Vec<Open>,
    next: RecordingId,
    /// How many came to a good end, and how many did not.
    pub finished: u32,
    pub failed: u32,
}

impl Session {
    /// The recordings that have not ended.
    pub(crate) fn open(&self) -> &[Open] {
        &self.open
    }

    /// Follows a trigger.
    pub(crate) fn trigger<P: Clone>(&mut self, ring: &mut Ring<P>, trigger: Trigger) -> Answer {
        let reached = ring.reached().unwrap_or(0).saturating_add(trigger.lag);
        let end = match trigger.post_time {
            0 => End::Open,
            time => End::At(reached.saturating_add_unsigned(time)),
        };
        let running = self.open.iter().rposition(Open::goes_on);
        let running = running.filter(|_| trigger.split);
        let location = trigger.location.as_deref();
        if let Some(at) = running
            && !has_begun(ring, self.open[at].id)
            && (location.is_none() || location == self.open[at].location.as_deref())
        {
            // There is nothing to split yet: it is the one that the trigger asks for.
            self.prolong(ring, at, end);
            return Answer::GoesOn(self.open[at].id);
        }
        if running.is_none()
            && let Some(id) = self.extend(ring, location, end)
        {
            return Answer::GoesOn(id);
        }
        if self.open.len() >= trigger.most {
            let id = self.next;
            self.next += 1;
            self.failed += 1;
            return Answer::TooMany(id);
        }
        if let Some(next) = running.and_then(|at| self.split(ring, at, location, end)) {
            return Answer::Split(next);
        }
        Answer::Opened(self.begin(ring, trigger.location, false, Begin::Oldest, end))
    }

    /// Ends the recording `at` its place in the list at the next key unit, where a new one begins.
    fn split<P: Clone>(
        &mut self,
        ring: &mut Ring<P>,
        at: usize,
        location: Option<&str>,
        end: End,
    ) -> Option<RecordingId> {
        let (id, by_switch) = (self.open[at].id, self.open[at].by_switch);
        if !ring.set_end(id, End::NextKey) {
            return None;
        }
        let end = if by_switch { End::Open } else { end };
        let location = location.map(str::to_owned);
        let next = self.begin(ring, location, by_switch, Begin::After(id), end);
        self.open[at].end = End::NextKey;
        self.open[at].successor = Some(next);
        Some(next)
    }

    /// Lets the newest recording that fits the trigger go on at least to `end`.
    fn extend<P: Clone>(
        &mut self,
        ring: &mut Ring<P>,
        location: Option<&str>,
        end: End,
    ) -> Option<RecordingId> {
        let fits = |open: &Open| {
            let same = location.is_none() || location == open.location.as_deref();
            open.goes_on() && !open.by_switch && same
        };
        let at = self.open.iter().rposition(fits)?;
        self.prolong(ring, at, end).then(|| self.open[at].id)
    }

    /// Sets a recording's end, unless it was to end later. False if it has ended meanwhile.
    fn prolong<P: Clone>(&mut self, ring: &mut Ring<P>, at: usize, end: End) -> bool {
        let open = &mut self.open[at];
        let later = match (open.end, end) {
            (End::At(old), End::At(new)) => End::At(old.max(new)),
            _ => End::Open,
        };
        let goes_on = ring.set_end(open.id, later);
        if goes_on {
            open.end = later;
        }
        goes_on
    }

    fn begin<P: Clone>(
        &mut self,
        ring: &mut Ring<P>,
        location: Option<String>,
        by_switch: bool,
        begin: Begin,
        end: End,
    ) -> RecordingId {
        let id = self.next;
        self.next += 1;
        ring.open(id, begin, end);
        self.open.push(Open {
            id,
            by_switch,
            location,
            end,
            successor: None,
            continues: false,
        });
        id
    }

    /// Begins the recording of the property `recording`, unless it runs already.
    pub(crate) fn switch_on<P: Clone>(&mut self, ring: &mut Ring<P>) -> Option<RecordingId> {
        let running = self
            .open
            .iter()
            .any(|open| open.by_switch && open.goes_on());
        (!running).then(|| self.begin(ring, None, true, Begin::Oldest, End::Open))
    }

    /// Ends recordings with what has arrived, and returns them. One that was to begin where another
    /// ends at the next key unit is called off, and the other ends now.
    pub(crate) fn finish<P: Clone>(
        &mut self,
        ring: &mut Ring<P>,
        chosen: impl Fn(&Open) -> bool,
    ) -> Vec<RecordingId> {
        let chosen = self.open.iter_mut().filter(|open| chosen(open));
        chosen
            .map(|open| {
                if !matches!(open.end, End::Now) {
                    ring.set_end(open.id, End::Now);
                    open.end = End::Now;
                    open.successor = None;
                }
                open.id
            })
            .collect()
    }

    /// What follows in the streams does not continue what came before: the ring starts anew, and
    /// recordings that would have gone on do so in another file.
    pub(crate) fn restart<P: Clone>(&mut self, ring: &mut Ring<P>) -> Restarted {
        let begun = |open: &&Open| has_begun(ring, open.id);
        let ended: Vec<_> = self.open.iter().filter(begun).cloned().collect();
        ring.reset();
        for open in &mut self.open {
            if ended.iter().any(|ended| ended.id == open.id) {
                open.end = End::Now;
            }
        }
        let mut opened = Vec::new();
        for former in ended.iter().filter(|open| open.goes_on()) {
            let number = u64::from(self.next);
            let location = former.location.as_deref().map(|location| {
                let name = names::with_suffix(location, &format!("-{number}"));
                name.to_string_lossy().into_owned()
            });
            // A post-time can't be carried over: running time may start anew.
            let (begin, end) = (Begin::Oldest, End::Open);
            opened.push(self.begin(ring, location, former.by_switch, begin, end));
            if let Some(open) = self.open.last_mut() {
                open.continues = true;
            }
        }
        Restarted {
            ended: ended.iter().map(|open| open.id).collect(),
            opened,
        }
    }

    /// A recording is over.
    pub(crate) fn close(&mut self, id: RecordingId, good: bool) -> Option<Open> {
        let at = self.open.iter().position(|open| open.id == id)?;
        match good {
            true => self.finished += 1,
            false => self.failed += 1,
        }
        Some(self.open.remove(at))
    }

    /// Gives up waiting for the recordings that are open still: they have failed.
    pub(crate) fn abandon(&mut self) -> Vec<Open> {
        let open = std::mem::take(&mut self.open);
        self.failed += open.len() as u32;
        open
    }
}

fn has_begun<P: Clone>(ring: &Ring<P>, id: RecordingId) -> bool {
    ring.span(id).is_some_and(|span| span.start.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::{Item, Limits};

    const SECOND: u64 = 1_000_000_000;

    /// A ring with one stream of a frame a second, each a key unit.
    fn ring(seconds: i64) -> Ring<()> {
        let limits = Limits {
            max_time: 100 * SECOND,
            max_bytes: 0,
            max_buffers: 0,
            least_bytes: 0,
        };
        let mut ring = Ring::new(limits);
        ring.add_stream(true);
        for second in 0..seconds {
            push(&mut ring, second);
        }
        ring
    }

    fn push(ring: &mut Ring<()>, second: i64) {
        let time = second * SECOND as i64;
        ring.push(
            0,
            Item {
                payload: (),
                time,
                end: time + SECOND as i64,
                bytes: 1,
                key: true,
                refresh: true,
            },
        );
    }

    fn plain() -> Trigger {
        Trigger {
            most: 9,
            ..Trigger::default()
        }
    }

    fn split() -> Trigger {
        Trigger {
            split: true,
            ..plain()
        }
    }

    fn named(location: &str) -> Trigger {
        Trigger {
            location: Some(location.to_owned()),
            ..plain()
        }
    }

    #[test]
    fn triggers_extend_what_goes_on() {
        let (mut session, mut ring) = (Session::default(), ring(3));
        let trigger = Trigger {
            post_time: SECOND,
            ..plain()
        };
        assert_eq!(
            session.trigger(&mut ring, trigger.clone()),
            Answer::Opened(0)
        );
        assert_eq!(session.trigger(&mut ring, trigger), Answer::GoesOn(0));
        assert_eq!(session.open()[0].end, End::At(4 * SECOND as i64));
        assert_eq!(
            session.trigger(&mut ring, named("b.mp4")),
            Answer::Opened(1)
        );
        assert_eq!(
            session.trigger(&mut ring, named("b.mp4")),
            Answer::GoesOn(1)
        );
        assert_eq!(session.finish(&mut ring, |_| true), [0, 1]);
        assert_eq!(session.trigger(&mut ring, plain()), Answer::Opened(2));
    }

    #[test]
    fn a_split_is_followed_by_another_recording() {
        let (mut session, mut ring) = (Session::default(), ring(3));
        assert_eq!(session.trigger(&mut ring, split()), Answer::Opened(0));
        assert_eq!(session.trigger(&mut ring, split()), Answer::Split(1));
        assert!(!session.open()[0].goes_on());
        push(&mut ring, 3);
        push(&mut ring, 4);
        assert_eq!(
            ring.span(1).and_then(|span| span.start),
            Some(3 * SECOND as i64)
        );
    }

    #[test]
    fn triggers_join_a_recording_that_has_not_begun() {
        let (mut session, mut ring) = (Session::default(), ring(3));
        session.trigger(&mut ring, split());
        assert_eq!(session.trigger(&mut ring, split()), Answer::Split(1));
        for _ in 0..1000 {
            assert_eq!(session.trigger(&mut ring, split()), Answer::GoesOn(1));
        }
        assert_eq!(session.open().len(), 2);
    }

    #[test]
    fn no_more_are_open_than_may_be() {
        let (mut session, mut ring) = (Session::default(), ring(3));
        for number in 0..9 {
            let trigger = named(&format!("{number}.mp4"));
            assert_eq!(session.trigger(&mut ring, trigger), Answer::Opened(number));
        }
        assert_eq!(
            session.trigger(&mut ring, named("9.mp4")),
            Answer::TooMany(9)
        );
        assert_eq!(session.trigger(&mut ring, split()), Answer::TooMany(10));
        // What goes on needs no place.
        assert_eq!(
            session.trigger(&mut ring, named("8.mp4")),
            Answer::GoesOn(8)
        );
        session.close(0, true);
        assert_eq!(
            session.trigger(&mut ring, named("9.mp4")),
            Answer::Opened(11)
        );
        assert_eq!(session.failed, 2);
    }

    #[test]
    fn the_switch_has_one_recording() {
        let (mut session, mut ring) = (Session::default(), ring(1));
        assert_eq!(session.switch_on(&mut ring), Some(0));
        assert_eq!(session.switch_on(&mut ring), None);
        // A trigger does not prolong what the switch ends.
        assert_eq!(session.trigger(&mut ring, plain()), Answer::Opened(1));
        assert_eq!(session.finish(&mut ring, |open| open.by_switch), [0]);
        assert_eq!(session.switch_on(&mut ring), Some(2));
    }

    #[test]
    fn a_break_in_the_streams_begins_other_files() {
        let (mut session, mut ring) = (Session::default(), ring(2));
        session.trigger(&mut ring, named("/a.b/c.mp4"));
        let restarted = session.restart(&mut ring);
        assert_eq!((restarted.ended, restarted.opened), (vec![0], vec![1]));
        assert_eq!(session.open()[1].location.as_deref(), Some("/a.b/c-1.mp4"));
        assert!(session.open()[1].continues && !session.open()[0].continues);
        assert_eq!(session.close(0, true).map(|open| open.id), Some(0));
        // One that has not begun waits for what comes.
        assert_eq!(session.restart(&mut ring), Restarted::default());
        // Nobody waits for this one any more: it was counted when it was given up.
        assert_eq!(session.close(7, false), None);
        assert_eq!((session.finished, session.failed), (1, 0));
        assert_eq!(session.abandon().len(), 1);
        assert_eq!((session.finished, session.failed), (1, 1));
    }
}
