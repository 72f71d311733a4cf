// SPDX-License-Identifier: MIT OR Apache-2.0
//! A program that reads what we write: started, fed, watched and never left behind.
//! Knows no GStreamer.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::descriptors::inherit_only_standard_streams;
use super::messages::Lines;
use super::watchdog::Watchdog;
use crate::sync::lock;

/// Lines of the program's messages that are kept for an error.
const TAIL: usize = 12;
/// How long the last messages of a program that has ended are waited for: its own children may
/// still hold the pipe.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// The largest pipe an ordinary user may ask for (`/proc/sys/fs/pipe-max-size`'s default): a raw
/// 640x480 picture goes in at once.
const PIPE_SIZE: usize = 1 << 20;
/// How long a program that got SIGTERM may take to complete its file.
const LAST_CHANCE: Duration = Duration::from_secs(5);
/// A program that has read nothing for so long, while there is something to read, is told of.
const STALL: Duration = Duration::from_secs(10);
/// How often a wait looks whether the program still reads.
const GLANCE: Duration = Duration::from_millis(100);
/// Long enough for a wait that is begun anew when it is over.
const FOREVER: Duration = Duration::from_secs(3600);

/// What to start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// By name or path.
    pub program: OsString,
    /// What follows it.
    pub args: Vec<String>,
}

impl CommandLine {
    /// Looks for the program where the system would.
    ///
    /// # Errors
    /// `NotFound`, and `PermissionDenied` where what there is may not be run.
    pub fn find(&self) -> io::Result<()> {
        let program = Path::new(&self.program);
        let find = |file: &Path| match file.is_file() {
            true => rustix::fs::access(file, rustix::fs::Access::EXEC_OK),
            false => Err(rustix::io::Errno::NOENT),
        };
        if program.components().count() > 1 || program.is_absolute() {
            return Ok(find(program)?);
        }
        // What execvp() takes where nothing is set.
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
        let mut why = rustix::io::Errno::NOENT;
        for directory in std::env::split_paths(&path) {
            match find(&directory.join(program)) {
                Ok(()) => return Ok(()),
                Err(rustix::io::Errno::ACCESS) => why = rustix::io::Errno::ACCESS,
                Err(_) => {}
            }
        }
        Err(why.into())
    }
}

/// What is in front of ffmpeg's lines that say why it failed.
const ERRORS: [&str; 2] = ["[error] ", "[fatal] "];

/// What is in those lines when its output is not whole: it ends with 0 all the same where only the end of the file found
/// no room (`fftools/ffmpeg_mux.c`).
const UNWRITTEN: [&str; 5] = [
    "Error writing",
    "Error closing",
    "Error muxing",
    "av_interleaved_write_frame",
    "No space left on device",
];

/// How the program ended, and the last that it said.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Exit code or signal.
    pub status: ExitStatus,
    /// What of its standard error is kept.
    pub said: Said,
}

/// What is kept of what a program says.
#[derive(Debug, Clone, Default)]
pub struct Said {
    tail: VecDeque<String>,
    /// The first line that ffmpeg marks as an error.
    error: Option<String>,
    /// One said that its work is not done.
    failed: bool,
}

impl Said {
    fn hear(&mut self, line: &str) {
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(line.to_owned());
        if ERRORS.iter().any(|level| line.contains(level)) {
            self.failed |=
                line.contains("[fatal] ") || UNWRITTEN.iter().any(|it| line.contains(it));
            self.error.get_or_insert_with(|| line.to_owned());
        }
    }

    /// The last lines.
    pub fn last_lines(&self) -> String {
        let lines: Vec<_> = self.tail.iter().map(String::as_str).collect();
        lines.join("\n")
    }
}

impl Outcome {
    /// The status in words: "exit code 1", "signal 9".
    pub fn reason(&self) -> String {
        match (self.status.code(), self.status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (_, Some(signal)) => format!("signal {signal}"),
            _ => self.status.to_string(),
        }
    }

    /// The first line that ffmpeg marks as an error, which the others follow from; the last lines if there is none.
    pub fn sentence(&self) -> String {
        let error = self.said.error.clone();
        let sentence = error.unwrap_or_else(|| self.said.last_lines());
        match sentence.is_empty() {
            true => "it did not say why".to_owned(),
            false => sentence,
        }
    }

    /// Whether the program has done what it was asked to. ffmpeg ends with 0 as well when it has
    /// refused to begin (7, `-n` and a file that exists), and when there was no room for the end of the file; it only says so.
    pub fn succeeded(&self) -> bool {
        self.status.success() && !self.said.failed
    }
}

/// What became of a write.
#[derive(Debug)]
pub enum Written {
    /// All of it went in.
    All,
    /// [`Interrupt::raise`] came first; this many bytes went in.
    Interrupted(usize),
    /// The program does not read any more.
    Closed,
}

/// A flag that [`poll`] sees.
#[derive(Debug)]
struct Flag(OwnedFd);

impl Flag {
    fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self(eventfd(0, flags)?))
    }

    fn raise(&self) {
        // It fails only when it is raised as often as 64 bits can count.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    fn lower(&self) {
        // It fails only when it is not raised.
        let _ = rustix::io::read(&self.0, &mut [0; 8]);
    }
}

/// Ends a blocked [`Process::write`] from another thread.
#[derive(Debug)]
pub struct Interrupt(Flag);

impl Interrupt {
    /// An interrupt that is not raised.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub fn new() -> io::Result<Self> {
        Flag::new().map(Self)
    }

    /// Until [`Interrupt::lower`], writes return at once.
    pub fn raise(&self) {
        self.0.raise();
    }

    /// Writes may wait again.
    pub fn lower(&self) {
        self.0.lower();
    }
}

/// What is told of a program while it runs and when it has ended.
pub trait Listener: std::fmt::Debug + Send + Sync + 'static {
    /// A line of its standard error, at most 4 KiB of it.
    fn line(&self, line: &str);
    /// A signal has stopped it: it reads nothing until SIGCONT.
    fn stopped(&self, pid: u32, signal: i32);
    /// It has read nothing for `time`, and what is written waits for it.
    fn stalled(&self, pid: u32, time: Duration);
    /// What became of it, once.
    fn ended(&self, outcome: &Outcome);
}

/// How a program reads, as far as that has been looked at.
#[derive(Debug)]
pub struct Stall {
    /// Bytes that it had before it.
    unread: u64,
    /// When it was seen to read, or had nothing to.
    since: Instant,
    /// The listener knows.
    told: bool,
}

/// Written by the thread that attends the program, read by everyone.
#[derive(Debug)]
struct Shared {
    outcome: Mutex<Option<Outcome>>,
    ended: Condvar,
    /// The program has ended, for those who poll.
    gone: Flag,
    said: Mutex<Said>,
    /// A signal has stopped the program.
    stopped: AtomicBool,
}

/// The pipe to the program's standard input.
#[derive(Debug)]
struct Input {
    /// Closed at the end of the input.
    writer: Option<OwnedFd>,
    /// Ours as well: as long as somebody can read, writing raises no SIGPIPE, which would end
    /// `gst-launch-1.0` and Python. It also tells how much the program has not read yet.
    reader: OwnedFd,
}

impl Input {
    fn new() -> io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        // The flag is this end's alone.
        rustix::io::ioctl_fionbio(&writer, true)?;
        // A small pipe does as well.
        let _ = fcntl_setpipe_size(&writer, PIPE_SIZE);
        Ok(Self {
            writer: Some(writer),
            reader,
        })
    }

    /// Bytes that the program has not read.
    fn unread(&self) -> u64 {
        rustix::io::ioctl_fionread(&self.reader).unwrap_or(0)
    }
}

/// A running or ended program.
#[derive(Debug)]
pub struct Process {
    id: u32,
    group: Pid,
    listener: Arc<dyn Listener>,
    /// How long it may read nothing before the listener is told.
    stall_time: Duration,
    input: Input,
    shared: Arc<Shared>,
    /// The thread that waits for the program's end and tells the listener.
    attendant: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts a program. Its standard input is ours to write, its standard output is this
    /// process's, and it has no other descriptor of ours; `listener` is told from threads of its own.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(line: &CommandLine, listener: Arc<dyn Listener>) -> io::Result<Self> {
        let input = Input::new()?;
        let shared = Arc::new(Shared {
            outcome: Mutex::default(),
            ended: Condvar::new(),
            gone: Flag::new()?,
            said: Mutex::default(),
            stopped: AtomicBool::new(false),
        });
        let watchdog = Watchdog::start().inspect_err(|err| {
            listener.line(&format!(
                "[warning] Nothing ends ffmpeg if this process dies and ffmpeg does not heed it: {err}"
            ));
        });
        let watchdog = watchdog.ok();
        let joined = watchdog.as_ref().map(Watchdog::group);
        let mut command = Command::new(&line.program);
        command
            .args(&line.args)
            .stdin(Stdio::from(input.reader.try_clone()?))
            .stderr(Stdio::piped())
            // Ctrl-C in a terminal is for us; the program ends when its input does, with its file
            // complete.
            .process_group(joined.map_or(0, Pid::as_raw_pid));
        inherit_only_standard_streams(&mut command);
        let child = command.spawn()?;
        let id = child.id();
        let group = joined.unwrap_or_else(|| Pid::from_child(&child));
        let attendant = std::thread::Builder::new().name("ffmpeg".into()).spawn({
            let (shared, listener) = (shared.clone(), listener.clone());
            move || attend(child, &shared, &listener, watchdog)
        })?;
        Ok(Self {
            id,
            group,
            listener,
            stall_time: STALL,
            input,
            shared,
            attendant: Some(attendant),
        })
    }

    /// Writes `data`, waiting for the program to read for as long as it takes. The listener is told when that is long.
    ///
    /// # Errors
    /// When the pipe fails.
    pub fn write(&self, data: &[u8], interrupt: &Interrupt) -> io::Result<Written> {
        let Some(writer) = &self.input.writer else {
            return Ok(Written::Closed);
        };
        let mut done = 0;
        let mut stall = self.stall();
        while let Some(rest) = data.get(done..).filter(|rest| !rest.is_empty()) {
            let mut polled = [
                PollFd::new(writer, PollFlags::OUT),
                PollFd::new(&interrupt.0.0, PollFlags::IN),
                PollFd::new(&self.shared.gone.0, PollFlags::IN),
            ];
            let timeout = Timespec::try_from(GLANCE).ok();
            match poll(&mut polled, timeout.as_ref()) {
                Ok(0) => {
                    self.look(&mut stall);
                    continue;
                }
                Ok(_) => (),
                Err(Errno::INTR) => continue,
                Err(err) => return Err(err.into()),
            }
            let [_, interrupted, gone] = polled.map(|fd| !fd.revents().is_empty());
            if gone {
                return Ok(Written::Closed);
            }
            if interrupted {
                return Ok(Written::Interrupted(done));
            }
            match rustix::io::write(writer, rest) {
                Ok(n) => {
                    done += n;
                    stall = Stall {
                        told: stall.told,
                        ..self.stall()
                    };
                }
                Err(Errno::INTR | Errno::AGAIN) => (),
                Err(err) => return Err(err.into()),
            }
        }
        Ok(Written::All)
    }

    /// What is known now of how the program reads.
    pub fn stall(&self) -> Stall {
        Stall {
            unread: self.input.unread(),
            since: Instant::now(),
            told: false,
        }
    }

    /// Looks whether the program reads, and tells the listener, once, when it has not for long. One that a signal has
    /// stopped was told of.
    pub fn look(&self, stall: &mut Stall) {
        let unread = self.input.unread();
        let stopped = self.shared.stopped.load(Ordering::Relaxed);
        if unread == 0 || unread < stall.unread || stopped {
            stall.since = Instant::now();
        } else if !stall.told && stall.since.elapsed() >= self.stall_time {
            stall.told = true;
            self.listener.stalled(self.id, self.stall_time);
        }
        stall.unread = unread;
    }

    /// The end of the program's input.
    pub fn close(&mut self) {
        self.input.writer = None;
    }

    /// What became of the program, when it has ended.
    pub fn outcome(&self) -> Option<Outcome> {
        lock(&self.shared.outcome).clone()
    }

    /// A handle to wait with while the process itself is locked elsewhere.
    pub fn watch(&self) -> Watch {
        Watch(self.shared.clone())
    }

    /// Ends the program: its input ends, and when it has read nothing more and not ended for
    /// `patience` it gets SIGTERM; five seconds later SIGKILL. `Listener::ended` has returned when
    /// this does.
    pub fn stop(mut self, patience: Duration) -> Outcome {
        self.end(patience)
    }

    fn end(&mut self, patience: Duration) -> Outcome {
        self.close();
        // One that is stopped would not notice.
        self.signal(Signal::CONT);
        let mut ended = self.wait_while_it_reads(patience);
        for (signal, patience) in [(Signal::TERM, LAST_CHANCE), (Signal::KILL, Duration::ZERO)] {
            if ended.is_none() {
                self.signal(signal);
                self.signal(Signal::CONT);
                ended = self.watch().wait(patience);
            }
        }
        let outcome = loop {
            // SIGKILL: only a program in an uninterruptible system call makes us wait here.
            if let Some(outcome) = ended.take().or_else(|| self.watch().wait(FOREVER)) {
                break outcome;
            }
        };
        if let Some(attendant) = self.attendant.take() {
            let _ = attendant.join();
        }
        outcome
    }

    /// Waits for its end until it has read nothing for `patience`. An encoder that is slower than its
    /// input has most of a pipe in front of it.
    fn wait_while_it_reads(&self, patience: Duration) -> Option<Outcome> {
        let watch = self.watch();
        let mut unread = self.input.unread();
        let mut deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let ended = watch.wait(left.min(GLANCE));
            if ended.is_some() || left.is_zero() {
                return ended;
            }
            let now = self.input.unread();
            if now < unread {
                unread = now;
                deadline = Instant::now() + patience;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        // Held so that the program is not reaped, and its number not given to another, meanwhile.
        let outcome = lock(&self.shared.outcome);
        if outcome.is_none() {
            // It fails when everyone in the group has ended. The watchdog heeds SIGKILL only.
            let _ = kill_process_group(self.group, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.attendant.is_some() {
            self.end(LAST_CHANCE);
        }
    }
}

/// Waits for a program's end.
#[derive(Debug, Clone)]
pub struct Watch(Arc<Shared>);

impl Watch {
    /// What became of the program, if it ends within `patience`.
    pub fn wait(&self, patience: Duration) -> Option<Outcome> {
        let deadline = Instant::now() + patience;
        let mut outcome = lock(&self.0.outcome);
        while outcome.is_none() {
            let left = deadline.checked_duration_since(Instant::now())?;
            outcome = self
                .0
                .ended
                .wait_timeout(outcome, left)
                .unwrap_or_else(|poisoned| poisoned.into_inner())
                .0;
        }
        outcome.clone()
    }
}

/// The life of the program, in a thread of its own.
fn attend(
    mut child: Child,
    shared: &Arc<Shared>,
    listener: &Arc<dyn Listener>,
    watchdog: Option<Watchdog>,
) {
    let (silent, is_silent) = mpsc::channel::<()>();
    let stderr = child.stderr.take();
    let reader = std::thread::Builder::new()
        .name("ffmpeg-log".into())
        .spawn({
            let (shared, listener) = (shared.clone(), listener.clone());
            move || {
                if let Some(stderr) = stderr {
                    read_lines(stderr, &shared.said, &*listener);
                }
                drop(silent);
            }
        });
    wait_for_end(&child, &**listener, &shared.stopped);
    if reader.is_ok() {
        let _ = is_silent.recv_timeout(LAST_WORDS);
    }
    let outcome = {
        let mut slot = lock(&shared.outcome);
        let outcome = Outcome {
            // Someone else's wait() for any child may have been faster.
            status: child
                .wait()
                .unwrap_or_else(|_| ExitStatus::from_raw(1 << 8)),
            said: lock(&shared.said).clone(),
        };
        *slot = Some(outcome.clone());
        outcome
    };
    drop(watchdog);
    shared.gone.raise();
    shared.ended.notify_all();
    listener.ended(&outcome);
}

/// Waits without reaping, so that nobody signals a number that has been given to another process.
fn wait_for_end(child: &Child, listener: &dyn Listener, stopped: &AtomicBool) {
    let id = || WaitId::Pid(Pid::from_child(child));
    let changes = WaitIdOptions::STOPPED | WaitIdOptions::CONTINUED;
    loop {
        match waitid(
            id(),
            changes | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
        ) {
            Ok(Some(status)) if !status.exited() && !status.killed() && !status.dumped() => {
                let signal = status.stopping_signal();
                stopped.store(signal.is_some(), Ordering::Relaxed);
                if let Some(signal) = signal {
                    listener.stopped(child.id(), signal);
                }
                // That has been heard of; the next wait is for what comes then.
                let _ = waitid(id(), changes | WaitIdOptions::NOHANG);
            }
            Err(Errno::INTR) => (),
            Ok(_) | Err(_) => return,
        }
    }
}

fn read_lines(mut stderr: ChildStderr, said: &Mutex<Said>, listener: &dyn Listener) {
    let on_line = |line: &str| {
        lock(said).hear(line);
        listener.line(line);
    };
    let mut lines = Lines::default();
    let mut bytes = [0; 4096];
    loop {
        match stderr.read(&mut bytes) {
            Ok(0) => break,
            Ok(n) => lines.push(&bytes[..n], on_line),
            Err(err) if err.kind() == io::ErrorKind::Interrupted => (),
            Err(_) => break,
        }
    }
    lines.finish(on_line);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes what it is told.
    #[derive(Debug)]
    struct Notes {
        lines: Mutex<mpsc::Sender<String>>,
        stops: Mutex<mpsc::Sender<(u32, i32)>>,
        stalls: Mutex<mpsc::Sender<u32>>,
        ended: Mutex<bool>,
    }

    impl Listener for Notes {
        fn line(&self, line: &str) {
            let _ = lock(&self.lines).send(line.to_owned());
        }

        fn stopped(&self, pid: u32, signal: i32) {
            let _ = lock(&self.stops).send((pid, signal));
        }

        fn stalled(&self, pid: u32, _: Duration) {
            let _ = lock(&self.stalls).send(pid);
        }

        fn ended(&self, _: &Outcome) {
            // Whoever has stopped it may have started another by now.
            std::thread::sleep(Duration::from_millis(100));
            *lock(&self.ended) = true;
        }
    }

    struct Heard {
        lines: mpsc::Receiver<String>,
        stops: mpsc::Receiver<(u32, i32)>,
        stalls: mpsc::Receiver<u32>,
        notes: Arc<Notes>,
    }

    fn shell(script: &str) -> (Process, Heard) {
        let (line, lines) = mpsc::channel();
        let (stop, stops) = mpsc::channel();
        let (stall, stalls) = mpsc::channel();
        let notes = Arc::new(Notes {
            lines: Mutex::new(line),
            stops: Mutex::new(stop),
            stalls: Mutex::new(stall),
            ended: Mutex::default(),
        });
        let line = CommandLine {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
        };
        let process = Process::start(&line, notes.clone()).unwrap();
        let heard = Heard {
            lines,
            stops,
            stalls,
            notes,
        };
        (process, heard)
    }

    fn next_line(heard: &Heard) -> String {
        heard.lines.recv_timeout(LONG).unwrap()
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn it_reads_what_is_written_and_ends_with_its_input() {
        let dir = tempfile::tempdir().unwrap();
        let copy = dir.path().join("copy");
        let (mut process, _) = shell(&format!("exec cat > '{}'", copy.display()));
        let interrupt = Interrupt::new().unwrap();
        let data: Vec<u8> = (0..5_000_000_u32).map(|n| n as u8).collect();
        assert!(matches!(
            process.write(&data, &interrupt).unwrap(),
            Written::All
        ));
        process.close();
        assert!(process.watch().wait(LONG).unwrap().status.success());
        assert_eq!(std::fs::read(copy).unwrap(), data);
    }

    #[test]
    fn its_last_lines_and_its_code_are_kept() {
        let (process, heard) = shell("for i in $(seq 30); do echo line $i >&2; done; exit 7");
        let outcome = process.watch().wait(LONG).unwrap();
        assert_eq!(outcome.reason(), "exit code 7");
        assert!(
            outcome.said.last_lines().ends_with("line 29\nline 30"),
            "{:?}",
            outcome.said
        );
        assert_eq!(outcome.said.last_lines().lines().count(), TAIL);
        for n in 1..=30 {
            assert_eq!(next_line(&heard), format!("line {n}"));
        }
    }

    #[test]
    fn the_sentence_is_the_first_line_that_is_an_error() {
        let said = |script: &str| {
            let (process, _) = shell(script);
            process.watch().wait(LONG).unwrap().sentence()
        };
        let script = "printf '[info] Input\\n[error] a.avi: No such file\\n[error] Conversion failed\\n' >&2";
        assert_eq!(said(script), "[error] a.avi: No such file");
        assert_eq!(said("printf 'no\\nluck\\n' >&2"), "no\nluck");
        assert_eq!(said("exit 3"), "it did not say why");
        let script =
            "echo '[error] no room' >&2; for i in $(seq 30); do echo \"[info] $i\" >&2; done";
        assert_eq!(said(script), "[error] no room");
    }

    #[test]
    fn one_that_is_fatally_wrong_has_not_succeeded_whatever_its_code() {
        let succeeded = |script: &str| {
            let (process, _) = shell(script);
            process.watch().wait(LONG).unwrap().succeeded()
        };
        assert!(succeeded("echo '[info] Exiting.' >&2"));
        assert!(!succeeded("echo '[fatal] Exiting.' >&2"));
        assert!(!succeeded("exit 8"));
        // Of a picture that is damaged ffmpeg says as much, and goes on.
        assert!(succeeded("echo '[mjpeg] [error] overread 8' >&2"));
        // Behind it come the encoder's figures.
        let full = "[error] Error writing trailer of a.mkv: No space left on device";
        let figures = "for i in $(seq 30); do echo \"[info] $i\"; done";
        assert!(!succeeded(&format!("{{ echo '{full}'; {figures}; }} >&2")));
    }

    #[test]
    fn a_blocked_write_can_be_interrupted_and_resumed() {
        let (process, _) = shell("read line; sleep 1000");
        let process = Arc::new(process);
        let interrupt = Arc::new(Interrupt::new().unwrap());
        let writer = std::thread::spawn({
            let (process, interrupt) = (process.clone(), interrupt.clone());
            move || process.write(&vec![0; 8 << 20], &interrupt).unwrap()
        });
        let deadline = Instant::now() + LONG;
        while process.input.unread() < PIPE_SIZE as u64 / 2 {
            assert!(Instant::now() < deadline, "nothing is written");
            std::thread::yield_now();
        }
        interrupt.raise();
        let Written::Interrupted(n) = writer.join().unwrap() else {
            panic!("not interrupted")
        };
        assert!(n > 0 && n < 8 << 20);
        interrupt.lower();
        let outcome = Arc::into_inner(process).unwrap().stop(Duration::ZERO);
        assert_eq!(outcome.reason(), "signal 15");
    }

    #[test]
    fn one_that_reads_nothing_is_told_of_once() {
        // One that closes its input does so too: we have its other end.
        for script in ["exec sleep 1000", "exec 0<&-; exec sleep 1000"] {
            let (mut process, heard) = shell(&format!("echo $$ >&2; {script}"));
            let pid = next_line(&heard);
            process.stall_time = Duration::from_millis(300);
            let process = Arc::new(process);
            let interrupt = Arc::new(Interrupt::new().unwrap());
            let writer = std::thread::spawn({
                let (process, interrupt) = (process.clone(), interrupt.clone());
                move || process.write(&vec![0; 8 << 20], &interrupt).unwrap()
            });
            let told = heard.stalls.recv_timeout(LONG).unwrap();
            assert_eq!(told.to_string(), pid);
            interrupt.raise();
            assert!(matches!(writer.join().unwrap(), Written::Interrupted(_)));
            assert!(heard.stalls.try_recv().is_err());
            Arc::into_inner(process).unwrap().stop(Duration::ZERO);
        }
    }

    #[test]
    fn one_that_is_slow_is_not_told_of() {
        let (mut process, heard) = shell("while head -c 20000 > /dev/null; do sleep 0.1; done");
        process.stall_time = Duration::from_secs(2);
        let interrupt = Interrupt::new().unwrap();
        process
            .write(&vec![0; PIPE_SIZE + 800_000], &interrupt)
            .unwrap();
        process.stop(Duration::ZERO);
        assert!(heard.stalls.try_recv().is_err());
    }

    #[test]
    fn one_that_refuses_to_end_is_killed() {
        let (process, heard) = shell("trap '' TERM; echo ready >&2; while :; do sleep 1; done");
        assert_eq!(next_line(&heard), "ready");
        let outcome = process.stop(Duration::ZERO);
        assert_eq!(outcome.reason(), "signal 9");
    }

    #[test]
    fn one_that_still_reads_has_time() {
        // Slower than the patience, and never without reading for as long as that.
        let script = "for i in 1 2 3 4 5 6; do head -c 100000 > /dev/null; sleep 0.2; done; exit 5";
        let (process, _) = shell(script);
        let interrupt = Interrupt::new().unwrap();
        process.write(&[0; 600_000], &interrupt).unwrap();
        let outcome = process.stop(Duration::from_millis(800));
        assert_eq!(outcome.reason(), "exit code 5");
    }

    #[test]
    fn one_that_is_stopped_is_told_of_and_goes_on_for_its_end() {
        let (process, heard) =
            shell("echo $$ >&2; kill -STOP $$; echo again >&2; exec cat > /dev/null");
        let (pid, signal) = heard.stops.recv_timeout(LONG).unwrap();
        assert_eq!(next_line(&heard), pid.to_string());
        assert_eq!(signal, Signal::STOP.as_raw());
        assert!(process.stop(LONG).status.success());
        assert_eq!(next_line(&heard), "again");
        assert!(heard.stops.try_recv().is_err());
    }

    #[test]
    fn what_is_told_of_one_that_is_stopped_is_told_by_then() {
        let (process, heard) = shell("read line");
        process.stop(LONG);
        assert!(*lock(&heard.notes.ended));
    }

    #[test]
    fn it_has_its_pipes_and_nothing_else_of_ours() {
        // As a C library may leave it: inherited unless someone prevents it.
        let leaked = rustix::io::dup(std::io::stdin()).unwrap();
        assert!(rustix::io::fcntl_getfd(&leaked).unwrap().is_empty());
        let (process, heard) = shell("exec ls /proc/self/fd >&2");
        process.stop(LONG);
        let open: Vec<String> = heard.lines.try_iter().collect();
        // The last is the directory that ls reads.
        assert_eq!(open, ["0", "1", "2", "3"]);
    }

    #[test]
    fn writing_to_one_that_has_gone_says_so() {
        let (process, _) = shell("exit 0");
        process.watch().wait(LONG).unwrap();
        let interrupt = Interrupt::new().unwrap();
        assert!(matches!(
            process.write(&[0; 10], &interrupt).unwrap(),
            Written::Closed
        ));
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let (_, heard) = shell("exit 0");
        let line = CommandLine {
            program: "/no/such/ffmpeg".into(),
            args: Vec::new(),
        };
        let err = Process::start(&line, heard.notes).unwrap_err();
        assert_eq!(err.kind(), io::ErrorKind::NotFound);
    }
}
