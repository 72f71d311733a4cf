// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whose turn it is, of several inputs that come each in its own time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How far an input may be ahead of one that is silent before that is not waited for any more, in
/// nanoseconds of stream time.
pub const AHEAD: i64 = 1_000_000_000;

/// How long an input has to be silent for that, in real time. Threads that are merely slow are not
/// silent.
pub const SILENT: Duration = Duration::from_secs(1);

/// Why no input's turn has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// Something has to come first.
    Waiting,
    /// An input is silent, and is waited for until then at most.
    Until(Instant),
}

/// What waits in a queue.
#[derive(Debug)]
struct Entry<T> {
    item: T,
    /// What it is sorted by; `None` for what has no time and goes when it is first in its queue.
    order: Option<i64>,
}

/// One input.
#[derive(Debug)]
struct Input<T> {
    queue: VecDeque<Entry<T>>,
    /// The time up to which items came.
    newest: i64,
    /// The time up to which there is nothing more to come.
    gap: i64,
    ended: bool,
    /// Whoever fills it waits, since it is far ahead of the others.
    held: bool,
    /// When something came last.
    heard: Instant,
}

impl<T> Input<T> {
    fn new(now: Instant) -> Self {
        Self {
            queue: VecDeque::new(),
            newest: i64::MIN,
            gap: i64::MIN,
            ended: false,
            held: false,
            heard: now,
        }
    }

    fn head(&self) -> Option<i64> {
        self.queue.iter().find_map(|entry| entry.order)
    }

    fn span(&self) -> i64 {
        self.head()
            .map_or(0, |head| self.newest.saturating_sub(head))
    }
}

/// Queues of items with times, one for each input, and the order in which they are to be taken: by time,
/// as soon as it is certain which is next. An input that is silent for [`SILENT`], although others are
/// [`AHEAD`] of what could be taken, is not waited for.
///
/// Inputs are numbered from 0 in the order they were added. Times are in nanoseconds since any
/// origin; "now" is the caller's, so that a test needs no clock.
#[derive(Debug)]
pub struct Interleaver<T> {
    inputs: Vec<Input<T>>,
}

impl<T> Default for Interleaver<T> {
    fn default() -> Self {
        Self { inputs: Vec::new() }
    }
}

impl<T> Interleaver<T> {
    /// Adds an input, the last by number.
    pub fn add(&mut self, now: Instant) {
        self.inputs.push(Input::new(now));
    }

    /// Removes an input and what waits in it; those after it move up.
    pub fn remove(&mut self, n: usize) {
        self.inputs.remove(n);
    }

    /// Forgets all of an input.
    pub fn reset(&mut self, n: usize, now: Instant) {
        self.inputs[n] = Input::new(now);
    }

    /// Counts something of an input that goes past the queue. `time` is its own, if it has one, `duration`
    /// in nanoseconds; what it is sorted by.
    pub fn pass(&mut self, n: usize, time: Option<i64>, duration: i64) -> i64 {
        let input = &mut self.inputs[n];
        let order = time.unwrap_or(input.newest.max(0));
        input.newest = input.newest.max(order.saturating_add(duration));
        order
    }

    /// Puts an item of an input in.
    pub fn push(&mut self, n: usize, item: T, time: Option<i64>, duration: i64, now: Instant) {
        let order = Some(self.pass(n, time, duration));
        self.inputs[n].heard = now;
        self.inputs[n].queue.push_back(Entry { item, order });
    }

    /// Puts an item in that goes when all before it are gone.
    pub fn push_untimed(&mut self, n: usize, item: T) {
        let order = None;
        self.inputs[n].queue.push_back(Entry { item, order });
    }

    /// An input has nothing before `end` any more.
    pub fn gap(&mut self, n: usize, end: i64, now: Instant) {
        self.inputs[n].gap = self.inputs[n].gap.max(end);
        self.inputs[n].heard = now;
    }

    /// An input gave a sign of life.
    pub fn hear(&mut self, n: usize, now: Instant) {
        self.inputs[n].heard = now;
    }

    /// Nothing more comes from an input.
    pub fn end(&mut self, n: usize) {
        self.inputs[n].ended = true;
    }

    /// Whether it has ended.
    pub fn has_ended(&self, n: usize) -> bool {
        self.inputs[n].ended
    }

    /// Whether it said that something is not to come.
    pub fn has_gap(&self, n: usize) -> bool {
        self.inputs[n].gap > i64::MIN
    }

    /// When something was heard of it.
    pub fn heard(&self, n: usize) -> Instant {
        self.inputs[n].heard
    }

    /// Whether nothing waits in an input.
    pub fn is_empty(&self, n: usize) -> bool {
        self.inputs[n].queue.is_empty()
    }

    /// The time of the first item with a time.
    pub fn head(&self, n: usize) -> Option<i64> {
        self.inputs[n].head()
    }

    /// How far the queue reaches ahead of its first item, in nanoseconds.
    pub fn span(&self, n: usize) -> i64 {
        self.inputs[n].span()
    }

    /// What waits in an input.
    pub fn items(&self, n: usize) -> impl Iterator<Item = &T> {
        self.inputs[n].queue.iter().map(|entry| &entry.item)
    }

    /// Takes the first item of an input.
    pub fn pop(&mut self, n: usize) -> Option<T> {
        Some(self.inputs[n].queue.pop_front()?.item)
    }

    /// Takes an item without a time that is first in its queue.
    pub fn pop_untimed(&mut self) -> Option<T> {
        let is_untimed = |entry: &Entry<T>| entry.order.is_none();
        self.inputs
            .iter_mut()
            .find(|input| input.queue.front().is_some_and(is_untimed))
            .and_then(|input| Some(input.queue.pop_front()?.item))
    }

    /// The input whose item is next, if that is certain; `None` when all have ended.
    ///
    /// `rank` says which input's goes first of two with the same time, and has none for inputs that
    /// are left out; `ahead` is [`AHEAD`] or more.
    pub fn turn(
        &self,
        rank: impl Fn(usize) -> Option<usize>,
        ahead: i64,
        now: Instant,
    ) -> Result<Option<usize>, Idle> {
        let mut first: Option<(i64, usize, usize)> = None;
        let (mut newest, mut all_ended) = (i64::MIN, true);
        for (n, input) in self.inputs.iter().enumerate() {
            let Some(rank) = rank(n) else {
                continue;
            };
            all_ended &= input.ended;
            newest = newest.max(input.newest);
            if let Some(head) = input.head() {
                let key = (head, rank, n);
                first = Some(first.map_or(key, |first| first.min(key)));
            }
        }
        let Some((head, _, next)) = first else {
            return if all_ended {
                Ok(None)
            } else {
                Err(Idle::Waiting)
            };
        };
        for (n, input) in self.inputs.iter().enumerate() {
            if rank(n).is_none() || input.ended || input.gap >= head || input.head().is_some() {
                continue;
            }
            if newest.saturating_sub(head) <= ahead {
                return Err(Idle::Waiting);
            }
            let patience = input.heard + SILENT;
            if now < patience {
                return Err(Idle::Until(patience));
            }
        }
        Ok(Some(next))
    }

    /// Whether whoever fills an input is to wait, since it is more than `ahead` ahead of what can be taken;
    /// having waited, until that is three quarters: to go on for each item would be a change of threads
    /// for each.
    pub fn hold(&mut self, n: usize, ahead: i64) -> bool {
        let input = &mut self.inputs[n];
        let most = if input.held { again(ahead) } else { ahead };
        input.held = input.span() > most;
        input.held
    }

    /// Whether whoever fills an input was told to wait.
    pub fn is_held(&self, n: usize) -> bool {
        self.inputs[n].held
    }

    /// Lets an input go on.
    pub fn let_go(&mut self, n: usize) {
        self.inputs[n].held = false;
    }

    /// Lets those go on that were held back for long enough. Whether there are any.
    pub fn release(&mut self, ahead: i64) -> bool {
        let mut any = false;
        for input in self.inputs.iter_mut().filter(|input| input.held) {
            input.held = input.span() > again(ahead);
            any |= !input.held;
        }
        any
    }
}

/// How far an input that was further ahead may still be when it goes on.
fn again(ahead: i64) -> i64 {
    ahead / 4 * 3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(inputs: usize) -> (Interleaver<&'static str>, Instant) {
        let now = Instant::now();
        let mut all = Interleaver::default();
        (0..inputs).for_each(|_| all.add(now));
        (all, now)
    }

    #[test]
    fn items_are_taken_by_time_and_then_by_rank() {
        let (mut all, now) = all(2);
        let turn = |all: &Interleaver<_>| all.turn(|n| Some(1 - n), AHEAD, now);
        assert_eq!(turn(&all), Err(Idle::Waiting));
        all.push(0, "a", Some(5), 0, now);
        assert_eq!(turn(&all), Err(Idle::Waiting));
        all.push(1, "b", Some(5), 0, now);
        assert_eq!(turn(&all), Ok(Some(1)));
        assert_eq!(all.pop(1), Some("b"));
        all.push(1, "c", None, 0, now);
        all.end(1);
        assert_eq!(turn(&all), Ok(Some(1)), "right after the last");
        all.pop(1);
        assert_eq!(turn(&all), Ok(Some(0)));
        all.pop(0);
        all.end(0);
        assert_eq!(turn(&all), Ok(None));
    }

    #[test]
    fn a_silent_input_is_waited_for_a_while() {
        let (mut all, now) = all(2);
        let rank = |n| Some(n);
        for n in 0..13 {
            all.push(0, "frame", Some(n * 100_000_000), 0, now);
        }
        assert_eq!(all.turn(rank, AHEAD, now), Err(Idle::Until(now + SILENT)));
        assert_eq!(all.turn(rank, AHEAD, now + SILENT), Ok(Some(0)));
        all.gap(1, 50_000_000, now + SILENT);
        assert_eq!(
            all.turn(rank, AHEAD, now),
            Ok(Some(0)),
            "nothing is to come"
        );
        assert_eq!(all.turn(|n| (n == 0).then_some(0), AHEAD, now), Ok(Some(0)));
    }

    #[test]
    fn what_is_far_ahead_is_held_until_it_is_not() {
        let (mut all, now) = all(1);
        for n in 0..12 {
            all.push(0, "frame", Some(n * 100_000_000), 0, now);
        }
        assert!(all.hold(0, AHEAD) && all.is_held(0));
        all.pop(0);
        assert!(all.hold(0, AHEAD) && !all.release(AHEAD));
        (0..3).for_each(|_| assert!(all.pop(0).is_some()));
        assert!(all.release(AHEAD) && !all.hold(0, AHEAD));
    }

    #[test]
    fn what_has_no_time_goes_when_it_is_first() {
        let (mut all, now) = all(1);
        all.push(0, "frame", Some(0), 0, now);
        all.push_untimed(0, "event");
        assert_eq!(all.pop_untimed(), None);
        all.pop(0);
        assert_eq!((all.head(0), all.pop_untimed()), (None, Some("event")));
    }
}
