// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is said. Threads of their own say it: a reader that has gone, or that does not read, costs lines and holds
//! up nobody, not even who reads the other output.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use gst::glib;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait at most.
const LINES: usize = 512;
/// How long what was said last may take at the end.
const FAREWELL: Duration = Duration::from_secs(1);

enum Said {
    Line(Vec<u8>),
    /// All before this has been said when it is dropped.
    End(#[allow(dead_code, reason = "it is dropped")] SyncSender<()>),
}

/// An output and its thread.
struct Voice {
    said: OnceLock<SyncSender<Said>>,
    /// Lines that found no room.
    lost: AtomicU64,
}

/// Standard output.
static RESULTS: Voice = Voice::new();
/// Standard error.
static LOG: Voice = Voice::new();

impl Voice {
    const fn new() -> Self {
        Self {
            said: OnceLock::new(),
            lost: AtomicU64::new(0),
        }
    }

    fn begin(&'static self, name: &str, out: impl Write + Send + 'static) -> io::Result<()> {
        let (sender, said) = sync_channel(LINES);
        let thread = std::thread::Builder::new().name(name.to_owned());
        thread.spawn(move || self.say_all(&said, out))?;
        // A second one would have nothing to say.
        let _ = self.said.set(sender);
        Ok(())
    }

    fn put(&self, said: Said) {
        let Some(sender) = self.said.get() else {
            return;
        };
        if sender.try_send(said).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn line(&self, text: &str) {
        self.put(Said::Line(format!("{text}\n").into_bytes()));
    }

    fn say_all(&self, said: &Receiver<Said>, mut out: impl Write) {
        for said in said {
            let Said::Line(line) = said else {
                continue;
            };
            // Who has gone is told nothing; that ends nothing.
            let _ = out.write_all(&line).and_then(|()| out.flush());
            let lost = self.lost.swap(0, Ordering::Relaxed);
            if lost > 0 {
                let _ = writeln!(out, "{lost} lines of the log were lost: nobody took them");
            }
        }
    }

    /// Waits until all has been said, but not for ever.
    fn end(&self) {
        let (sender, ended) = sync_channel(0);
        self.put(Said::End(sender));
        // Nothing is sent: the end of the channel is what is waited for.
        let _ = ended.recv_timeout(FAREWELL);
    }
}

/// Begins to say what `tracing`, GLib and panics have to say.
pub(crate) fn begin() -> io::Result<()> {
    RESULTS.begin("output", io::stdout())?;
    LOG.begin("log", io::stderr())?;
    tracing_subscriber::fmt()
        .with_writer(Lines)
        .with_target(false)
        // They would be said on standard error, with a panic if that has gone.
        .log_internal_errors(false)
        .init();
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    glib::log_set_default_handler(|domain, level, text| {
        let domain = domain.unwrap_or_default();
        match level {
            glib::LogLevel::Error | glib::LogLevel::Critical => tracing::error!("{domain}: {text}"),
            glib::LogLevel::Warning => tracing::warn!("{domain}: {text}"),
            _ => tracing::debug!("{domain}: {text}"),
        }
    });
    Ok(())
}

/// Says a line on standard output.
pub(crate) fn result(text: &str) {
    RESULTS.line(text);
}

/// Says a line on standard error, without time and level.
pub(crate) fn complain(text: &str) {
    LOG.line(text);
}

/// Waits until all has been said, but not for ever.
pub(crate) fn end() {
    RESULTS.end();
    LOG.end();
}

/// Takes what `tracing` writes.
struct Lines;

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Entry;

    fn make_writer(&'a self) -> Entry {
        Entry(Vec::new())
    }
}

/// A line that is being written; it is whole when this is dropped.
struct Entry(Vec<u8>);

impl Write for Entry {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        LOG.put(Said::Line(std::mem::take(&mut self.0)));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, mpsc};

    use super::*;

    /// Only ends a test that would hang.
    const FAILSAFE: Duration = Duration::from_secs(60);

    /// A reader that takes nothing until it is told to.
    struct Slow {
        reached: mpsc::Sender<()>,
        goes_on: Option<mpsc::Receiver<()>>,
        read: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if let Some(goes_on) = self.goes_on.take() {
                self.reached.send(()).unwrap();
                goes_on.recv_timeout(FAILSAFE).unwrap();
            }
            self.read.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_nobody_takes_is_counted_and_lost() {
        let voice: &'static Voice = Box::leak(Box::new(Voice::new()));
        let (reached, is_reached) = mpsc::channel();
        let (go, goes_on) = mpsc::channel();
        let read = Arc::<Mutex<Vec<u8>>>::default();
        let slow = Slow {
            reached,
            goes_on: Some(goes_on),
            read: read.clone(),
        };
        voice.begin("test", slow).unwrap();
        voice.line("first");
        is_reached.recv_timeout(FAILSAFE).unwrap();
        for number in 0..LINES + 3 {
            voice.line(&format!("{number}"));
        }
        go.send(()).unwrap();
        // There is room as soon as one was taken.
        while voice.lost.load(Ordering::Relaxed) > 0 {
            std::thread::yield_now();
        }
        voice.line("last");
        let deadline = std::time::Instant::now() + FAILSAFE;
        let said = loop {
            let said = String::from_utf8(read.lock().unwrap().clone()).unwrap();
            if said.ends_with("last\n") || std::time::Instant::now() > deadline {
                break said;
            }
            std::thread::yield_now();
        };
        assert!(
            said.starts_with("first\n3 lines of the log were lost"),
            "{said}"
        );
        assert_eq!(said.lines().count(), LINES + 3, "{said}");
    }
}
