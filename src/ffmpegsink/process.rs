// SPDX-License-Identifier: MIT OR Apache-2.0
//! A program that reads what we write: started, fed, watched and never left behind.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::sync::lock;

/// Lines of the program's messages that are kept for an error.
const TAIL: usize = 12;
/// How long the last messages of a program that has ended are waited for: its own children may
/// still hold the pipe.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// The largest pipe an ordinary user may ask for (`/proc/sys/fs/pipe-max-size`'s default): a raw
/// 640x480 picture goes in at once.
const PIPE_SIZE: libc::c_int = 1 << 20;
/// Long enough for a wait that is begun anew when it is over.
const FOREVER: Duration = Duration::from_secs(3600);

/// How the program ended, and the last that it said.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Exit code or signal.
    pub status: ExitStatus,
    /// The last lines of its standard error.
    pub last_lines: String,
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

    /// Whether the program has done what it was asked to. ffmpeg 7 ends with 0 as well when it has
    /// refused to begin (`-n` and a file that exists), and only says so, at its level `fatal`.
    pub fn succeeded(&self) -> bool {
        self.status.success() && !self.last_lines.contains("[fatal] ")
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

/// Ends a blocked [`Process::write`] from another thread.
#[derive(Debug)]
pub struct Interrupt(OwnedFd);

impl Interrupt {
    /// An interrupt that is not raised.
    pub fn new() -> io::Result<Self> {
        // SAFETY: eventfd takes integers; a descriptor that is not negative is ours alone.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: see above.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Until [`Interrupt::lower`], writes return at once.
    pub fn raise(&self) {
        let one = 1_u64;
        // SAFETY: the eight bytes of `one` are read during the call.
        unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), 8) };
    }

    /// Writes may wait again.
    pub fn lower(&self) {
        let mut count = 0_u64;
        // SAFETY: the eight bytes of `count` are written during the call.
        unsafe { libc::read(self.0.as_raw_fd(), (&raw mut count).cast(), 8) };
    }
}

/// Written by the thread that started the program, read by everyone.
#[derive(Debug, Default)]
struct Shared {
    outcome: Mutex<Option<Outcome>>,
    ended: Condvar,
    tail: Mutex<VecDeque<String>>,
}

/// A running or ended program.
#[derive(Debug)]
pub struct Process {
    pid: libc::pid_t,
    stdin: Option<OwnedFd>,
    shared: Arc<Shared>,
    /// The thread that started the program and calls `on_end`.
    attendant: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts `program`. Its standard input is ours to write, its standard output is this
    /// process's; `on_line` gets each line of its standard error, `on_end` what became of it, both
    /// from threads of their own.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(
        program: &OsStr,
        args: &[String],
        on_line: impl Fn(&str) + Send + 'static,
        on_end: impl FnOnce(&Outcome) + Send + 'static,
    ) -> io::Result<Self> {
        let mut command = Command::new(program);
        command
            .args(args)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C in a terminal is for us; the program ends when its input does, with its file
            // complete.
            .process_group(0);
        // SAFETY: between fork and exec prctl and getppid are all that is called; both are
        // async-signal-safe.
        unsafe {
            let parent = libc::getpid();
            command.pre_exec(move || {
                // However this process ends, the program ends with it.
                if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                    return Err(io::Error::last_os_error());
                }
                if libc::getppid() != parent {
                    return Err(io::Error::other("the parent has gone"));
                }
                Ok(())
            });
        }
        let shared = Arc::new(Shared::default());
        let (started, has_started) = mpsc::channel();
        // PR_SET_PDEATHSIG counts the thread that forked as the parent, and streaming threads come
        // and go: the program gets a thread that stays until it has ended.
        let thread = std::thread::Builder::new().name("ffmpeg".into());
        let attendant = thread.spawn({
            let shared = shared.clone();
            move || match command.spawn() {
                Ok(mut child) => {
                    let stdin = child.stdin.take().map(OwnedFd::from);
                    let stderr = child.stderr.take();
                    let _ = started.send(Ok((child.id() as libc::pid_t, stdin)));
                    attend(child, stderr, &shared, on_line, on_end);
                }
                Err(err) => {
                    let _ = started.send(Err(err));
                }
            }
        })?;
        let (pid, stdin) = has_started
            .recv()
            .map_err(|_| io::Error::other("the thread that starts the program has gone"))??;
        if let Some(stdin) = &stdin {
            // SAFETY: fcntl on a descriptor that is open, with integer arguments.
            unsafe {
                let flags = libc::fcntl(stdin.as_raw_fd(), libc::F_GETFL);
                if flags < 0
                    || libc::fcntl(stdin.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) < 0
                {
                    return Err(io::Error::last_os_error());
                }
                libc::fcntl(stdin.as_raw_fd(), libc::F_SETPIPE_SZ, PIPE_SIZE);
            }
        }
        Ok(Self {
            pid,
            stdin,
            shared,
            attendant: Some(attendant),
        })
    }

    /// Writes `data`, waiting for the program to read for as long as it takes.
    pub fn write(&self, data: &[u8], interrupt: &Interrupt) -> io::Result<Written> {
        let Some(stdin) = &self.stdin else {
            return Ok(Written::Closed);
        };
        let _no_signal = NoSigpipe::new();
        let mut done = 0;
        while done < data.len() {
            let rest = &data[done..];
            // SAFETY: `rest` is valid for its length during the call.
            let n = unsafe { libc::write(stdin.as_raw_fd(), rest.as_ptr().cast(), rest.len()) };
            if let Ok(n) = usize::try_from(n) {
                done += n;
                continue;
            }
            let err = io::Error::last_os_error();
            match err.kind() {
                io::ErrorKind::Interrupted => (),
                io::ErrorKind::BrokenPipe => return Ok(Written::Closed),
                io::ErrorKind::WouldBlock => {
                    if wait_for_room(stdin, interrupt)? {
                        return Ok(Written::Interrupted(done));
                    }
                }
                _ => return Err(err),
            }
        }
        Ok(Written::All)
    }

    /// Whether a write would have to wait: the program has not read what it was given.
    pub fn is_behind(&self) -> bool {
        let Some(stdin) = &self.stdin else {
            return false;
        };
        let mut unread: libc::c_int = 0;
        // SAFETY: FIONREAD writes one int.
        unsafe { libc::ioctl(stdin.as_raw_fd(), libc::FIONREAD, &raw mut unread) };
        unread >= PIPE_SIZE / 2 || (unread > 0 && !is_writable(stdin))
    }

    /// The end of the program's input.
    pub fn close(&mut self) {
        self.stdin = None;
    }

    /// What became of the program, when it has ended.
    pub fn outcome(&self) -> Option<Outcome> {
        lock(&self.shared.outcome).clone()
    }

    /// A handle to wait with while the process itself is locked elsewhere.
    pub fn watch(&self) -> Watch {
        Watch(self.shared.clone())
    }

    /// Ends the program: its input, then, where that does not help within `patience`, a polite
    /// signal and, a second later, one that it cannot refuse. `on_end` has returned when this does.
    pub fn stop(mut self, patience: Duration) -> Outcome {
        self.close();
        let watch = self.watch();
        let mut patience = patience;
        let mut ended = None;
        for signal in [libc::SIGTERM, libc::SIGKILL] {
            ended = watch.wait(patience);
            if ended.is_some() {
                break;
            }
            self.signal(signal);
            patience = Duration::from_secs(1);
        }
        let outcome = loop {
            // SIGKILL: only a program in an uninterruptible system call makes us wait here.
            if let Some(outcome) = ended.take().or_else(|| watch.wait(FOREVER)) {
                break outcome;
            }
        };
        if let Some(attendant) = self.attendant.take() {
            let _ = attendant.join();
        }
        outcome
    }

    fn signal(&self, signal: libc::c_int) {
        // Held so that the program is not reaped, and its number not given to another, meanwhile.
        let outcome = lock(&self.shared.outcome);
        if outcome.is_none() {
            // SAFETY: a system call on integers. The program leads its own group.
            unsafe { libc::killpg(self.pid, signal) };
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.close();
        if self.outcome().is_none() {
            self.signal(libc::SIGKILL);
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

/// The life of the program, in the thread that started it.
fn attend(
    mut child: Child,
    stderr: Option<ChildStderr>,
    shared: &Arc<Shared>,
    on_line: impl Fn(&str) + Send + 'static,
    on_end: impl FnOnce(&Outcome),
) {
    let (silent, is_silent) = mpsc::channel::<()>();
    let reader = std::thread::Builder::new()
        .name("ffmpeg-log".into())
        .spawn({
            let shared = shared.clone();
            move || {
                if let Some(stderr) = stderr {
                    read_lines(BufReader::new(stderr), &shared.tail, on_line);
                }
                drop(silent);
            }
        });
    // Wait without reaping, so that nobody signals a number that has been given to another process.
    // SAFETY: `info` is valid for writing, and waitid fills it.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        while libc::waitid(
            libc::P_PID,
            child.id() as libc::id_t,
            &raw mut info,
            libc::WEXITED | libc::WNOWAIT,
        ) != 0
            && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
        {}
    }
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
            last_lines: lock(&shared.tail)
                .iter()
                .cloned()
                .collect::<Vec<_>>()
                .join("\n"),
        };
        *slot = Some(outcome.clone());
        outcome
    };
    shared.ended.notify_all();
    on_end(&outcome);
}

fn read_lines(mut stderr: impl BufRead, tail: &Mutex<VecDeque<String>>, on_line: impl Fn(&str)) {
    let mut raw = Vec::new();
    while matches!(stderr.read_until(b'\n', &mut raw), Ok(n) if n > 0) {
        let text = String::from_utf8_lossy(&raw);
        // A progress line overwrites itself.
        let line = text.trim_end().rsplit('\r').next().unwrap_or_default();
        if !line.is_empty() {
            let mut tail = lock(tail);
            if tail.len() == TAIL {
                tail.pop_front();
            }
            tail.push_back(line.to_owned());
            drop(tail);
            on_line(line);
        }
        raw.clear();
    }
}

fn is_writable(fd: &impl AsFd) -> bool {
    let mut poll = libc::pollfd {
        fd: fd.as_fd().as_raw_fd(),
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: one pollfd, valid for the call.
    unsafe { libc::poll(&raw mut poll, 1, 0) > 0 && poll.revents & libc::POLLOUT != 0 }
}

/// Waits until `fd` takes more or reports that nobody reads; true when `interrupt` came first.
fn wait_for_room(fd: &OwnedFd, interrupt: &Interrupt) -> io::Result<bool> {
    let mut polls = [
        libc::pollfd {
            fd: fd.as_raw_fd(),
            events: libc::POLLOUT,
            revents: 0,
        },
        libc::pollfd {
            fd: interrupt.0.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        },
    ];
    loop {
        // SAFETY: two pollfds, valid for the call.
        let n = unsafe { libc::poll(polls.as_mut_ptr(), 2, -1) };
        if n >= 0 {
            return Ok(polls[1].revents != 0);
        }
        let err = io::Error::last_os_error();
        if err.kind() != io::ErrorKind::Interrupted {
            return Err(err);
        }
    }
}

/// While it lives, writing to a pipe that nobody reads is an error in this thread and not a signal:
/// Rust programs ignore SIGPIPE, but `gst-launch-1.0` and Python would be killed by it.
struct NoSigpipe {
    old: libc::sigset_t,
    was_pending: bool,
}

impl NoSigpipe {
    fn set() -> libc::sigset_t {
        // SAFETY: sigemptyset initialises the set that sigaddset then changes.
        unsafe {
            let mut set = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            libc::sigaddset(&raw mut set, libc::SIGPIPE);
            set
        }
    }

    fn new() -> Self {
        // SAFETY: all sets are initialised by the calls that write them before they are read.
        unsafe {
            let mut pending = std::mem::zeroed();
            libc::sigpending(&raw mut pending);
            let was_pending = libc::sigismember(&raw const pending, libc::SIGPIPE) == 1;
            let set = Self::set();
            let mut old = std::mem::zeroed();
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, &raw mut old);
            Self { old, was_pending }
        }
    }
}

impl Drop for NoSigpipe {
    fn drop(&mut self) {
        let set = Self::set();
        let now = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: sets and time are valid; a null info pointer is allowed.
        unsafe {
            if !self.was_pending {
                // The signal of our own write, if there was one.
                libc::sigtimedwait(&raw const set, std::ptr::null_mut(), &raw const now);
            }
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.old, std::ptr::null_mut());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> (Process, mpsc::Receiver<String>) {
        let (sender, lines) = mpsc::channel();
        let args = ["-c".to_owned(), script.to_owned()];
        let process = Process::start(
            OsStr::new("/bin/sh"),
            &args,
            move |line| {
                let _ = sender.send(line.to_owned());
            },
            |_| (),
        )
        .unwrap();
        (process, lines)
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
        let (process, lines) = shell("for i in $(seq 30); do echo line $i >&2; done; exit 7");
        let outcome = process.watch().wait(LONG).unwrap();
        assert_eq!(outcome.reason(), "exit code 7");
        assert!(
            outcome.last_lines.ends_with("line 29\nline 30"),
            "{}",
            outcome.last_lines
        );
        assert_eq!(outcome.last_lines.lines().count(), TAIL);
        assert_eq!(lines.iter().count(), 30);
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
        while !process.is_behind() {
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
    fn one_that_refuses_to_end_is_killed() {
        let (process, lines) = shell("trap '' TERM; echo ready >&2; while :; do sleep 1; done");
        assert_eq!(lines.recv().unwrap(), "ready");
        let outcome = process.stop(Duration::ZERO);
        assert_eq!(outcome.reason(), "signal 9");
    }

    #[test]
    fn what_is_told_of_one_that_is_stopped_is_told_by_then() {
        let told = Arc::new(Mutex::new(false));
        let process = Process::start(
            OsStr::new("/bin/sh"),
            &["-c".into(), "read line".into()],
            |_| (),
            {
                let told = told.clone();
                move |_| {
                    // Whoever has stopped it may have started another by now.
                    std::thread::sleep(Duration::from_millis(100));
                    *lock(&told) = true;
                }
            },
        )
        .unwrap();
        process.stop(LONG);
        assert!(*lock(&told));
    }

    #[test]
    fn writing_to_one_that_has_gone_is_no_signal() {
        let (process, _) = shell("exit 0");
        process.watch().wait(LONG).unwrap();
        // As in gst-launch-1.0: the signal is not ignored.
        // SAFETY: restores the default action, which this test shows not to be taken.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        let interrupt = Interrupt::new().unwrap();
        assert!(matches!(
            process.write(&[0; 10], &interrupt).unwrap(),
            Written::Closed
        ));
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let err = Process::start(OsStr::new("/no/such/ffmpeg"), &[], |_| (), |_| ()).unwrap_err();
        assert_eq!(err.kind(), io::ErrorKind::NotFound);
    }
}
