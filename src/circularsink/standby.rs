// SPDX-License-Identifier: MIT OR Apache-2.0
//! A thread that waits for the next recording. On a busy machine a new thread gets its first turn
//! when others have had theirs, some milliseconds later; one that is woken is served before them.
//! Knows no GStreamer.

use std::io;
use std::sync::Mutex;
use std::sync::mpsc::{self, Sender};

use crate::sync::lock;

type Job = Box<dyn FnOnce() + Send>;

#[derive(Debug)]
struct State {
    /// How many there are of [`Standby`].
    wanted: usize,
    /// To the thread that waits.
    waiting: Option<Sender<Job>>,
}

/// One for the process: elements that are triggered at the same moment are not served one after
/// the other for it, the others get new threads.
static STATE: Mutex<State> = Mutex::new(State {
    wanted: 0,
    waiting: None,
});

/// As long as there is one of these, a thread waits.
#[derive(Debug)]
pub(crate) struct Standby(());

impl Standby {
    pub(crate) fn new() -> Self {
        lock(&STATE).wanted += 1;
        replenish();
        Self(())
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        let mut state = lock(&STATE);
        state.wanted -= 1;
        if state.wanted == 0 {
            state.waiting = None;
        }
    }
}

/// Sees to it that a thread waits again, after [`run`] has taken the one that did.
pub(crate) fn replenish() {
    let missing = {
        let state = lock(&STATE);
        state.wanted > 0 && state.waiting.is_none()
    };
    if missing {
        // Where there are no more threads now, there may be one when it is needed.
        let _ = spawn(None);
    }
}

/// Runs `job` in the thread that waits, or else in a new one.
pub(crate) fn run(job: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let waiting = lock(&STATE).waiting.take();
    match waiting {
        Some(thread) => thread
            .send(Box::new(job))
            .or_else(|mpsc::SendError(job)| spawn(Some(job))),
        None => spawn(Some(Box::new(job))),
    }
}

fn spawn(job: Option<Job>) -> io::Result<()> {
    let thread = std::thread::Builder::new().name("recording".into());
    thread.spawn(move || work(job)).map(drop)
}

/// Does one job after the other, until another thread waits for the next or none is wanted.
fn work(mut job: Option<Job>) {
    loop {
        if let Some(job) = job {
            job();
        }
        let jobs = {
            let mut state = lock(&STATE);
            if state.wanted == 0 || state.waiting.is_some() {
                return;
            }
            let (sender, jobs) = mpsc::channel();
            state.waiting = Some(sender);
            jobs
        };
        job = jobs.recv().ok();
        if job.is_none() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::thread::{self, ThreadId};
    use std::time::{Duration, Instant};

    fn thread_of_a_job() -> ThreadId {
        let (sender, receiver) = channel();
        run(move || sender.send(thread::current().id()).unwrap()).unwrap();
        receiver.recv().unwrap()
    }

    /// In one test: what is tested is one for the process.
    #[test]
    fn a_thread_waits_as_long_as_it_is_wanted() {
        let waiting = || lock(&STATE).waiting.is_some();
        let until_one_waits = || {
            let deadline = Instant::now() + Duration::from_secs(60);
            while !waiting() {
                assert!(Instant::now() < deadline, "no thread waits");
                thread::yield_now();
            }
        };
        let _ = thread_of_a_job();
        assert!(!waiting(), "nobody wants it");

        let standby = Standby::new();
        until_one_waits();
        // With one that waits already, none is started: from here on it is known which one it is.
        let other = Standby::new();
        let first = thread_of_a_job();
        until_one_waits();
        assert_eq!(thread_of_a_job(), first, "it waits again");
        until_one_waits();

        let (release, held) = channel::<()>();
        run(move || held.recv().unwrap()).unwrap();
        assert!(!waiting());
        assert_ne!(thread_of_a_job(), first, "the other one is busy");
        until_one_waits();
        release.send(()).unwrap();

        drop(other);
        assert!(waiting());
        drop(standby);
        assert!(!waiting(), "the thread has been let go");
    }
}
