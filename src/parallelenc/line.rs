// SPDX-License-Identifier: MIT OR Apache-2.0
//! Work that several threads share and whose results leave in the order in which it came.
//!
//! Three kinds of threads meet here: the one that brings work ([`Line::put`]), those that do it
//! ([`Line::take`], [`Line::done`]), and the one that carries results away ([`Line::next`]).
//! Knows no GStreamer.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};

/// What was waited for will not come: the line has been stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the line is stopped")]
pub(crate) struct Stopped;

/// Which place in the order a piece of work has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

#[derive(Debug)]
struct State<J, R> {
    /// What nobody has taken yet.
    work: VecDeque<(Ticket, J)>,
    /// A place for each result that has not been carried away, the oldest first.
    places: VecDeque<Option<R>>,
    /// The ticket of the first place.
    first: u64,
    stopped: bool,
    closed: bool,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Line<J, R> {
    capacity: usize,
    state: Mutex<State<J, R>>,
    /// A place has become free, or nothing is left.
    room: Condvar,
    /// There is work.
    work: Condvar,
    /// The first result has come.
    ready: Condvar,
}

impl<J, R> Line<J, R> {
    /// A line that takes work until `capacity` pieces, at least one, are in it. It is stopped at
    /// first.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            state: Mutex::new(State {
                work: VecDeque::new(),
                places: VecDeque::new(),
                first: 0,
                stopped: true,
                closed: false,
            }),
            room: Condvar::new(),
            work: Condvar::new(),
            ready: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<J, R>> {
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn wait<'a>(
        condition: &Condvar,
        state: MutexGuard<'a, State<J, R>>,
        unsettled: impl FnMut(&mut State<J, R>) -> bool,
    ) -> MutexGuard<'a, State<J, R>> {
        condition
            .wait_while(state, unsettled)
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Adds work, and waits for room first.
    pub(crate) fn put(&self, job: J) -> Result<(), Stopped> {
        let mut state = Self::wait(&self.room, self.lock(), |state| {
            !state.stopped && state.places.len() >= self.capacity
        });
        if state.stopped {
            return Err(Stopped);
        }
        let ticket = Ticket(state.first + state.places.len() as u64);
        state.places.push_back(None);
        state.work.push_back((ticket, job));
        drop(state);
        self.work.notify_one();
        Ok(())
    }

    /// Adds what needs no work and only has to keep its place. It does not wait for room.
    pub(crate) fn put_result(&self, result: R) -> Result<(), Stopped> {
        let mut state = self.lock();
        if state.stopped {
            return Err(Stopped);
        }
        state.places.push_back(Some(result));
        drop(state);
        self.ready.notify_one();
        Ok(())
    }

    /// The next piece of work; `None` when the line has been closed.
    pub(crate) fn take(&self) -> Option<(Ticket, J)> {
        let mut state = Self::wait(&self.work, self.lock(), |state| {
            !state.closed && state.work.is_empty()
        });
        if state.closed {
            return None;
        }
        state.work.pop_front()
    }

    /// The result of what was taken with `ticket`. One from before a stop is forgotten.
    pub(crate) fn done(&self, ticket: Ticket, result: R) {
        let mut state = self.lock();
        let place = ticket
            .0
            .checked_sub(state.first)
            .and_then(|n| usize::try_from(n).ok());
        if let Some(place) = place
            && let Some(place) = state.places.get_mut(place)
        {
            *place = Some(result);
        }
        drop(state);
        self.ready.notify_one();
    }

    /// The next result in order.
    pub(crate) fn next(&self) -> Result<R, Stopped> {
        let mut state = Self::wait(&self.ready, self.lock(), |state| {
            !state.stopped && !matches!(state.places.front(), Some(Some(_)))
        });
        if state.stopped {
            return Err(Stopped);
        }
        let result = state.places.pop_front().flatten().ok_or(Stopped)?;
        state.first += 1;
        drop(state);
        self.room.notify_all();
        Ok(result)
    }

    /// Waits until everything has been carried away.
    pub(crate) fn drain(&self) -> Result<(), Stopped> {
        let state = Self::wait(&self.room, self.lock(), |state| {
            !state.stopped && !state.places.is_empty()
        });
        if state.stopped { Err(Stopped) } else { Ok(()) }
    }

    /// Forgets everything. Until [`Line::start`], nothing is taken in and nothing comes out.
    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        // Tickets of what is being worked on are none of those to come.
        state.first += state.places.len() as u64;
        state.places.clear();
        state.work.clear();
        drop(state);
        self.room.notify_all();
        self.ready.notify_all();
    }

    /// Takes work in again.
    pub(crate) fn start(&self) {
        self.lock().stopped = false;
    }

    /// Sends those who work home.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.work.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    use super::*;

    type Numbers = Arc<Line<u64, u64>>;

    fn line(capacity: usize) -> Numbers {
        let line = Line::new(capacity);
        line.start();
        Arc::new(line)
    }

    #[test]
    fn results_leave_in_the_order_in_which_work_came() {
        let line = line(4);
        for n in 0..3 {
            line.put(n).unwrap();
        }
        line.put_result(100).unwrap();
        let mut taken: Vec<_> = (0..3).map(|_| line.take().unwrap()).collect();
        taken.reverse();
        for (ticket, n) in taken {
            line.done(ticket, n);
        }
        let out: Vec<_> = (0..4).map(|_| line.next().unwrap()).collect();
        assert_eq!(out, [0, 1, 2, 100]);
    }

    #[test]
    fn many_threads_keep_the_order() {
        let line = line(8);
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let line = line.clone();
                std::thread::spawn(move || {
                    while let Some((ticket, n)) = line.take() {
                        if n % 3 == 0 {
                            std::thread::yield_now();
                        }
                        line.done(ticket, n * 2);
                    }
                })
            })
            .collect();
        let out = std::thread::spawn({
            let line = line.clone();
            move || (0..5000).map(|_| line.next().unwrap()).collect::<Vec<_>>()
        });
        for n in 0..5000 {
            if n % 7 == 0 {
                line.put_result(n * 2).unwrap();
            } else {
                line.put(n).unwrap();
            }
        }
        line.drain().unwrap();
        let out = out.join().unwrap();
        assert!(
            out.iter()
                .enumerate()
                .all(|(n, &twice)| twice == n as u64 * 2)
        );
        line.close();
        for worker in workers {
            worker.join().unwrap();
        }
    }

    #[test]
    fn a_full_line_takes_no_more_until_a_result_has_gone() {
        let line = line(2);
        line.put(0).unwrap();
        line.put(1).unwrap();
        let (put, has_put) = channel();
        let third = std::thread::spawn({
            let line = line.clone();
            move || {
                line.put(2).unwrap();
                put.send(()).unwrap();
            }
        });
        let (ticket, n) = line.take().unwrap();
        line.done(ticket, n);
        assert!(has_put.try_recv().is_err(), "done is not carried away");
        assert_eq!(line.next(), Ok(0));
        has_put.recv().unwrap();
        third.join().unwrap();
    }

    #[test]
    fn a_stop_ends_every_wait_and_forgets() {
        let line = line(1);
        line.put(0).unwrap();
        let (ticket, _) = line.take().unwrap();
        type Wait = fn(&Line<u64, u64>) -> Result<(), Stopped>;
        let waits: [Wait; 3] = [|l| l.put(1), |l| l.next().map(drop), |l| l.drain()];
        let waits = waits.map(|wait| {
            let line = line.clone();
            std::thread::spawn(move || wait(&line))
        });
        line.stop();
        for wait in waits {
            assert_eq!(wait.join().unwrap(), Err(Stopped));
        }
        assert_eq!(line.put_result(5), Err(Stopped));
        line.start();
        line.put(7).unwrap();
        line.done(ticket, 100);
        let (ticket, n) = line.take().unwrap();
        line.done(ticket, n);
        assert_eq!(line.next(), Ok(7), "not what was begun before the stop");
    }
}
