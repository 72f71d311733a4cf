// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much a power cut costs.

use std::fs::File;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long what is written to a recording stays with the system before it is sent to the disk itself.
///
/// A power cut costs what came within it, and what the disk took to write. The system's own timers let half a minute
/// pass (Linux' `vm.dirty_expire_centisecs`, and a file system's commit after that); once a second is rare enough not to
/// wear an SD card out, and what comes in a second is a fraction of what a card writes in one.
pub const SYNC_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct State {
    /// Something has come that the disk has not been asked for.
    written: bool,
    /// Nothing more comes.
    closed: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends a file to the disk once in [`SYNC_INTERVAL`], as long as something is written to it, and when nothing more
/// comes.
///
/// It has a thread of its own: on a slow card that takes longer than a camera's or a sound card's buffers last, and
/// whoever writes goes on meanwhile. So there is no limit to what may come in a second, as there is where the
/// [recorder](crate::recorder) has its own thread wait for the disk.
///
/// Dropped, it has the last bytes sent to the disk and does not wait for that.
#[derive(Debug)]
pub struct SyncThread(Arc<Shared>);

impl SyncThread {
    /// Begins with nothing written. `failed` is called in the thread when the disk did not take what was written,
    /// which writing does not tell of; there are no more syncs then. On what is no file on a disk there are none either.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start(file: File, failed: impl FnOnce(io::Error) + Send + 'static) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let theirs = shared.clone();
        std::thread::Builder::new()
            .name("sync".into())
            .spawn(move || {
                if let Err(error) = run(&theirs, || file.sync_data())
                    && !matches!(
                        error.kind(),
                        io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput
                    )
                {
                    failed(error);
                }
            })?;
        Ok(Self(shared))
    }

    /// Something was written, or is about to be.
    pub fn written(&self) {
        let mut state = self.0.lock();
        if !std::mem::replace(&mut state.written, true) {
            self.0.changed.notify_one();
        }
    }
}

impl Drop for SyncThread {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_one();
    }
}

fn run(shared: &Shared, mut sync: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    loop {
        let nothing = |state: &mut State| !state.written && !state.closed;
        let state = shared.changed.wait_while(shared.lock(), nothing);
        let state = state.unwrap_or_else(PoisonError::into_inner);
        // Whatever else comes within the interval goes to the disk together.
        let open = |state: &mut State| !state.closed;
        let waited = shared
            .changed
            .wait_timeout_while(state, SYNC_INTERVAL, open);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let (written, closed) = (std::mem::take(&mut state.written), state.closed);
        drop(state);
        if written {
            sync()?;
        }
        if closed {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
    use std::time::Instant;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(60);

    /// A disk that takes as long as the test wants: what it is asked comes out of the first channel, what it says to
    /// that goes into the second.
    fn disk() -> (
        SyncThread,
        Receiver<Instant>,
        std::sync::mpsc::Sender<io::Result<()>>,
    ) {
        let (asked, asks) = channel();
        let (answers, answer) = channel();
        let shared = Arc::<Shared>::default();
        let theirs = shared.clone();
        std::thread::spawn(move || {
            let sync = || {
                asked.send(Instant::now()).map_err(io::Error::other)?;
                answer.recv().map_err(io::Error::other)?
            };
            run(&theirs, sync)
        });
        (SyncThread(shared), asks, answers)
    }

    #[test]
    fn the_disk_is_asked_once_a_second_while_something_comes() {
        let (thread, asks, answers) = disk();
        let begin = Instant::now();
        thread.written();
        thread.written();
        let first = asks.recv_timeout(DEADLINE).unwrap();
        assert!(first - begin >= SYNC_INTERVAL);
        // Whoever writes is not held up by a disk that has not answered yet.
        thread.written();
        answers.send(Ok(())).unwrap();
        let second = asks.recv_timeout(DEADLINE).unwrap();
        assert!(second - first >= SYNC_INTERVAL);
        answers.send(Ok(())).unwrap();
        // Nothing has come since: there is nothing to ask for, not even at the end.
        drop(thread);
        let last = asks.recv_timeout(DEADLINE);
        assert_eq!(last, Err(RecvTimeoutError::Disconnected));
    }

    #[test]
    fn what_comes_last_is_asked_for_at_once() {
        let (thread, asks, answers) = disk();
        thread.written();
        drop(thread);
        asks.recv_timeout(DEADLINE).unwrap();
        answers.send(Ok(())).unwrap();
        let last = asks.recv_timeout(DEADLINE);
        assert_eq!(last, Err(RecvTimeoutError::Disconnected));
    }

    #[test]
    fn a_disk_that_fails_is_not_asked_again() {
        let (thread, asks, answers) = disk();
        thread.written();
        asks.recv_timeout(DEADLINE).unwrap();
        answers.send(Err(io::Error::other("broken"))).unwrap();
        let next = asks.recv_timeout(DEADLINE);
        assert_eq!(next, Err(RecvTimeoutError::Disconnected));
        thread.written();
    }
}
