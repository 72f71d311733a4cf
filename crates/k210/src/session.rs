// SPDX-License-Identifier: MIT OR Apache-2.0
//! Talking to a board that is in IDE mode.
//!
//! The dispatcher throws away what it receives while a reply goes out, so there is never more than
//! one request in flight. What keeps the wire busy is to send the next request the moment the last
//! byte of the answer is there.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;

use super::MAX_JPEG_SIZE;
use super::command::{
    Attribute, Code, Command, FileImageError, FileStatus, Retry, STATUS_ALIVE, file_image,
};
use super::counters::add;
pub use super::counters::{CommandCounter, Counters};
use super::interrupt::{Interrupt, Interrupted, SLICE};
use super::picture::PictureCheck;
use super::text::printable;
use super::transport::Transport;

/// Bits that a byte takes on the wire: 8N1.
const BITS_PER_BYTE: u32 = 10;

/// How long the line must be still to count as quiet: more than the 16 ms for which an FTDI
/// adapter holds back the last bytes.
const QUIET: Duration = Duration::from_millis(20);

/// How many bytes may gather unread. The kernel's line discipline holds 4095 and stops the USB
/// driver when it is full, whereupon the adapter loses bytes.
const UNREAD: usize = 2048;

/// How long finding the place in the bytes again may take; after it the board is reported.
const RESYNC: Duration = Duration::from_millis(3500);

/// How fast an answer has to come at the least, in baud: the speed of a board across a network may
/// not be the one that we were told.
const SLOWEST: u32 = super::REPL_BAUD_RATE;

/// More script output than the firmware's buffer holds (`read_buf_len=2048`) is a damaged number.
const MAX_CONSOLE: u32 = 4096;

/// Time that `bytes` take at `baud`.
pub fn wire_time(bytes: usize, baud: u32) -> Duration {
    let bits = bytes as u64 * u64::from(BITS_PER_BYTE);
    Duration::from_nanos(bits.saturating_mul(1_000_000_000) / u64::from(baud.max(1)))
}

/// What went wrong between host and board.
#[derive(Debug, Error)]
pub enum SessionError {
    /// The wait was cut short by [`Interrupt::set`].
    #[error("interrupted")]
    Interrupted,
    /// The port or the connection is gone.
    #[error("the connection to the board broke: {0}")]
    Gone(io::Error),
    /// The [deadline](Session::set_deadline) has passed.
    #[error("the board took too long")]
    Overdue,
    /// No answer, or only a part of it.
    #[error("the board did not answer {} ({received} of {expected} bytes came)", command.name())]
    Silent {
        /// What was asked.
        command: Code,
        /// Bytes that came.
        received: usize,
        /// Bytes that were due.
        expected: usize,
    },
    /// An answer that cannot be one.
    #[error("the board's answer to {} makes no sense ({detail})", command.name())]
    Nonsense {
        /// What was asked.
        command: Code,
        /// What is wrong with it.
        detail: String,
    },
    /// Bytes keep coming that nobody asked for.
    #[error("the line carries {0} bytes that are no answer")]
    Babble(usize),
    /// The place in the bytes was not found again ([`Session::resync`]).
    #[error("the board does not answer in an orderly way any more")]
    OutOfStep,
    /// The board did not take a file.
    #[error("the board did not save the file: {0:?}")]
    NotSaved(FileStatus),
    /// The file cannot be sent.
    #[error(transparent)]
    File(#[from] FileImageError),
}

impl From<Interrupted> for SessionError {
    fn from(_: Interrupted) -> Self {
        SessionError::Interrupted
    }
}

/// What the board says it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BoardIdentity {
    /// MicroPython's version.
    pub firmware: (u32, u32, u32),
    /// `ARCH [BOARD:UID]`.
    pub arch: String,
}

impl BoardIdentity {
    /// The version as people write it.
    pub fn firmware(&self) -> String {
        let (major, minor, patch) = self.firmware;
        format!("{major}.{minor}.{patch}")
    }
}

/// A frame that waits, locked, on the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Pixels.
    pub width: u16,
    /// Pixels.
    pub height: u16,
    /// Bytes of the JPEG.
    pub size: u32,
}

/// A whole frame.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The JPEG.
    pub data: Vec<u8>,
    /// Pixels.
    pub width: u16,
    /// Pixels.
    pub height: u16,
    /// When its transfer was requested.
    pub requested: Instant,
    /// When its last byte arrived.
    pub arrived: Instant,
}

/// What asking for a frame came to.
#[derive(Debug)]
pub enum Fetched {
    /// A frame.
    Frame(Frame),
    /// The board has none yet.
    NotReady,
    /// There was one, and it was damaged on the way; the link is in order again.
    Lost(SessionError),
    /// The question or its answer was damaged, and no frame was lost by that.
    Disturbed(SessionError),
}

/// A link to a board in IDE mode.
pub struct Session {
    transport: Box<dyn Transport>,
    baud: u32,
    interrupt: Interrupt,
    counters: Arc<Counters>,
    /// Whether to sleep while a long answer crosses the wire; off when bytes come faster than the
    /// nominal speed, as from a board across the network.
    nap: bool,
    picture: PictureCheck,
    /// When to stop whatever is being done.
    deadline: Option<Instant>,
}

impl Session {
    /// Wraps a transport whose other end is in IDE mode at `baud`.
    pub fn new(
        transport: Box<dyn Transport>,
        baud: u32,
        interrupt: Interrupt,
        counters: Arc<Counters>,
    ) -> Self {
        Session {
            transport,
            baud,
            interrupt,
            counters,
            nap: true,
            picture: PictureCheck::default(),
            deadline: None,
        }
    }

    /// The speed of the wire in baud.
    pub fn baud(&self) -> u32 {
        self.baud
    }

    /// Changes the speed of the host's side, and of what is expected of the wire.
    pub fn set_baud(&mut self, baud: u32) -> Result<(), SessionError> {
        self.transport
            .set_baud_rate(baud)
            .map_err(SessionError::Gone)?;
        self.baud = baud;
        Ok(())
    }

    /// The bytes underneath, for what is not a command.
    pub fn transport(&mut self) -> &mut dyn Transport {
        &mut *self.transport
    }

    /// The flag that cuts waits short.
    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// Makes everything that is under way or begun after `deadline` end with
    /// [`SessionError::Overdue`]; `None` removes the limit.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// Whether to stop, because of the interrupt or the deadline.
    fn check(&self) -> Result<(), SessionError> {
        if self.interrupt.is_set() {
            return Err(SessionError::Interrupted);
        }
        match self.deadline {
            Some(deadline) if self.now() >= deadline => Err(SessionError::Overdue),
            _ => Ok(()),
        }
    }

    /// The time by which patience is measured.
    pub(super) fn now(&self) -> Instant {
        self.interrupt.now()
    }

    /// Sends a request, and its data, without waiting for anything.
    fn send(&mut self, command: &Command<'_>) -> Result<(), SessionError> {
        let bytes = command.encode();
        let counter = self.counters.command(command.code());
        add(&counter.requests, 1);
        add(&counter.bytes, bytes.len());
        self.write(&bytes)
    }

    /// Writes in pieces, so that a board that takes nothing cannot hold us for long.
    fn write(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        for piece in bytes.chunks(UNREAD) {
            self.check()?;
            let timeout = wire_time(piece.len(), self.baud) * 2 + Duration::from_secs(1);
            self.transport
                .write_all(piece, timeout)
                .map_err(SessionError::Gone)?;
            add(&self.counters.sent, piece.len());
        }
        Ok(())
    }

    /// Reads until `buf` is full; the number of bytes that came if it took too long.
    ///
    /// `first` is the time for the first byte to come. Between two bytes there may be as much time as
    /// USB and networks take, and all of them may take as long as on a slow line.
    fn read(&mut self, buf: &mut [u8], first: Duration) -> Result<usize, SessionError> {
        const GAP: Duration = Duration::from_millis(120);
        /// What is left for a wait in the transport's `read`.
        const SHORT: Duration = Duration::from_millis(1);
        /// For whatever comes between: an adapter's latency, a busy host.
        const SLACK: Duration = Duration::from_secs(1);
        let mut deadline = self.now() + first;
        let end = deadline + wire_time(buf.len(), self.baud.min(SLOWEST)) * 3 / 2 + SLACK;
        let mut got = 0;
        while let Some(rest @ [_, ..]) = buf.get_mut(got..) {
            self.check()?;
            // Sleep once while the answer crosses the wire. Waking up for each millisecond's bytes would
            // cost more CPU time than everything else here, and may be late each time.
            let pause = wire_time(rest.len().min(UNREAD), self.baud);
            let napped = self.nap && pause > SHORT;
            if napped {
                self.interrupt.wait(pause)?;
            }
            let patience = deadline.saturating_duration_since(self.now());
            match self.transport.read(rest, patience.min(SLICE)) {
                Ok(n) => {
                    got += n;
                    add(&self.counters.received, n);
                    deadline = (self.now() + GAP).min(end);
                    if napped && n > 2 * UNREAD {
                        self.nap = false;
                    }
                    if self.now() >= end {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    if self.now() >= deadline {
                        break;
                    }
                }
                Err(error) => return Err(SessionError::Gone(error)),
            }
        }
        Ok(got)
    }

    /// Sends a request and reads its whole answer into `reply`. On line noise it finds its place again
    /// and repeats the request once, if it may be repeated.
    fn ask(&mut self, command: &Command<'_>, reply: &mut [u8]) -> Result<(), SessionError> {
        match self.ask_once(command, reply) {
            Err(error) if error.is_line_noise() && command.retry() == Retry::Repeat => {
                self.resync()?;
                self.ask_once(command, reply)
            }
            other => other,
        }
    }

    fn ask_once(&mut self, command: &Command<'_>, reply: &mut [u8]) -> Result<(), SessionError> {
        self.expect_quiet()?;
        self.exchange(command, reply)
    }

    /// Makes sure that no byte waits that would be taken for the beginning of an answer.
    fn expect_quiet(&mut self) -> Result<(), SessionError> {
        match self.drain_now()? {
            0 => Ok(()),
            stray => Err(SessionError::Babble(stray)),
        }
    }

    /// The same on a line that is known to be quiet, without repetition.
    fn exchange(&mut self, command: &Command<'_>, reply: &mut [u8]) -> Result<(), SessionError> {
        debug_assert_eq!(command.reply_len(), reply.len());
        self.send(command)?;
        let first = command.timeout() + wire_time(reply.len().min(64), self.baud);
        let received = self.read(reply, first)?;
        add(&self.counters.command(command.code()).bytes, received);
        if received < reply.len() {
            return Err(SessionError::Silent {
                command: command.code(),
                received,
                expected: reply.len(),
            });
        }
        Ok(())
    }

    fn ask_word(&mut self, command: &Command<'_>) -> Result<u32, SessionError> {
        let [word] = self.ask_words(command)?;
        Ok(word)
    }

    fn ask_words<const N: usize>(
        &mut self,
        command: &Command<'_>,
    ) -> Result<[u32; N], SessionError> {
        let mut reply = [[0; 4]; N];
        self.ask(command, reply.as_flattened_mut())?;
        Ok(reply.map(u32::from_le_bytes))
    }

    /// Throws away what has arrived, and gives the number of bytes.
    fn drain_now(&mut self) -> Result<usize, SessionError> {
        let mut waste = [0; 4096];
        match self.transport.read(&mut waste, Duration::ZERO) {
            Ok(n) => {
                add(&self.counters.received, n);
                Ok(n)
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(0),
            Err(error) => Err(SessionError::Gone(error)),
        }
    }

    /// Reads and throws away until nothing comes for `quiet`.
    pub(super) fn drain(
        &mut self,
        quiet: Duration,
        limit: Duration,
    ) -> Result<usize, SessionError> {
        let end = self.now() + limit;
        let mut waste = [0; 4096];
        let mut total = 0;
        loop {
            self.check()?;
            match self.transport.read(&mut waste, quiet) {
                Ok(n) => total += n,
                Err(error) if error.kind() == io::ErrorKind::TimedOut => break,
                Err(error) => return Err(SessionError::Gone(error)),
            }
            if self.now() > end {
                add(&self.counters.received, total);
                return Err(SessionError::Babble(total));
            }
        }
        add(&self.counters.received, total);
        Ok(total)
    }

    /// Asks for a sign of life, once.
    pub(super) fn is_alive(&mut self, patience: Duration) -> Result<bool, SessionError> {
        let mut reply = [0; 4];
        self.send(&Command::QueryStatus)?;
        let received = self.read(&mut reply, patience)?;
        add(&self.counters.command(Code::QueryStatus).bytes, received);
        Ok(received == 4 && u32::from_le_bytes(reply) == STATUS_ALIVE)
    }

    /// Completes what the dispatcher may be waiting for with `count` zeros. A zero does not start a
    /// request, it completes half a header to one without data, and it counts as data where data are
    /// due.
    pub(super) fn pad(&mut self, count: usize) -> Result<(), SessionError> {
        self.write(&vec![0; count])
    }

    /// Finds the place in the bytes again: waits until the line is quiet, releases the dispatcher
    /// from whatever it waits for, and asks for a sign of life until it comes back exact.
    pub fn resync(&mut self) -> Result<(), SessionError> {
        /// The padding is four times as long each round; the last rounds complete an upload of 512
        /// KiB.
        const ROUNDS: u32 = 7;
        add(&self.counters.resyncs, 1);
        let deadline = self.now() + RESYNC;
        for round in 0..ROUNDS {
            // At most a frame is under way.
            let limit = wire_time(MAX_JPEG_SIZE as usize, self.baud) + Duration::from_secs(1);
            let left = deadline.saturating_duration_since(self.now());
            match self.drain(QUIET, limit.min(left)) {
                Ok(_) => {}
                // The board may be sending a length that was damaged on the way there.
                Err(SessionError::Babble(_)) if round < 2 && limit < left => continue,
                Err(error) => return Err(error),
            }
            let padding = 16 << (2 * round);
            if self.now() + wire_time(padding, self.baud) > deadline {
                break;
            }
            self.pad(padding)?;
            let patience = Duration::from_millis(60 + 60 * u64::from(round));
            if self.is_alive(patience)? && self.drain_now()? == 0 {
                return Ok(());
            }
        }
        Err(SessionError::OutOfStep)
    }

    /// The board's firmware and kind.
    ///
    /// Also makes the board boot to its prompt the next time.
    pub fn identify(&mut self) -> Result<BoardIdentity, SessionError> {
        let firmware = self.ask_words(&Command::FwVersion)?;
        let mut arch = [0; super::command::ARCH_STR_SIZE as usize];
        self.ask(&Command::ArchStr, &mut arch)?;
        let text = arch.split(|b| *b == 0).next().unwrap_or_default();
        Ok(BoardIdentity {
            firmware: firmware.into(),
            arch: printable(text).trim().to_owned(),
        })
    }

    /// Turns the making of JPEG frames on or off.
    pub fn enable_frames(&mut self, enabled: bool) -> Result<(), SessionError> {
        self.send(&Command::FbEnable { enabled })
    }

    /// Whether a script runs.
    pub fn script_running(&mut self) -> Result<bool, SessionError> {
        match self.ask_word(&Command::ScriptRunning)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(SessionError::Nonsense {
                command: Code::ScriptRunning,
                detail: format!("{other:#x}"),
            }),
        }
    }

    /// Interrupts the running script, without waiting for its end.
    pub fn stop_script(&mut self) -> Result<(), SessionError> {
        self.send(&Command::ScriptStop)
    }

    /// Sends a script. It runs when the board notices, unless one runs already.
    pub fn send_script(&mut self, source: &[u8]) -> Result<(), SessionError> {
        self.send(&Command::ScriptExec { source })?;
        let crossing = wire_time(source.len(), self.baud);
        Ok(self.interrupt.wait(crossing)?)
    }

    /// Script output that waits, empty if none.
    pub fn console(&mut self) -> Result<Vec<u8>, SessionError> {
        let waiting = self.ask_word(&Command::TxBufLen)?;
        if waiting == 0 {
            return Ok(Vec::new());
        }
        if waiting > MAX_CONSOLE {
            return Err(SessionError::Nonsense {
                command: Code::TxBufLen,
                detail: format!("{waiting} bytes of output"),
            });
        }
        let mut text = vec![0; waiting as usize];
        self.ask(&Command::TxBuf { len: waiting }, &mut text)?;
        Ok(text)
    }

    /// Changes a sensor setting while a script runs.
    pub fn set_attribute(&mut self, attribute: Attribute, value: i16) -> Result<(), SessionError> {
        let command = Command::AttrWrite { attribute, value };
        self.send(&command)?;
        // The board is deaf while it writes the sensor's registers.
        Ok(self.interrupt.wait(command.timeout())?)
    }

    /// Reboots the board.
    pub fn reset(&mut self) -> Result<(), SessionError> {
        self.send(&Command::SysReset)
    }

    /// Writes a file to the board's flash, as `/flash/main.py`. Stops a running script.
    ///
    /// The board checks the content by its SHA-256; an upload that was damaged on the way is
    /// repeated.
    pub fn save_file(&mut self, path: &str, content: &[u8]) -> Result<(), SessionError> {
        const TRIES: u32 = 3;
        let image = file_image(path, content)?;
        let mut status = FileStatus::Receiving;
        for _ in 0..TRIES {
            self.send(&Command::FileSave { image: &image })?;
            self.interrupt.wait(wire_time(image.len(), self.baud))?;
            // Erasing and writing flash: some 100 KB/s at the worst.
            let patience = Duration::from_secs(3) + Duration::from_millis(image.len() as u64 / 50);
            status = self.await_saved(self.now() + patience)?;
            match status {
                FileStatus::Ok => return Ok(()),
                FileStatus::BadChecksum | FileStatus::Receiving => {}
                _ => break,
            }
        }
        Err(SessionError::NotSaved(status))
    }

    fn await_saved(&mut self, deadline: Instant) -> Result<FileStatus, SessionError> {
        loop {
            // Bytes that got lost leave the board waiting for as many: resynchronising feeds them.
            let status = FileStatus::from(self.ask_word(&Command::FileSaveStatus)?);
            match status {
                FileStatus::Saving | FileStatus::Receiving if self.now() < deadline => {
                    self.interrupt.wait(Duration::from_millis(20))?;
                }
                status => return Ok(status),
            }
        }
    }

    /// Stops the script and the making of frames. Failure does no harm: whoever connects next does the
    /// same.
    pub fn leave(&mut self) {
        // What was to be done in some time is over.
        self.deadline = None;
        // The board does not hear requests while it sends an answer.
        let limit = wire_time(MAX_JPEG_SIZE as usize, self.baud) + Duration::from_millis(50);
        let result = self
            .drain(Duration::from_millis(3), limit)
            .and_then(|_| self.enable_frames(false))
            .and_then(|()| self.stop_script());
        drop(result);
    }

    /// Asks whether a frame is ready, and locks it if so.
    fn announced(&mut self) -> Result<Option<Announced>, SessionError> {
        let [width, height, size] = self.ask_words(&Command::FrameSize)?;
        if width == 0 {
            return Ok(None);
        }
        match (u16::try_from(width), u16::try_from(height)) {
            // 1600 is the widest frame there is (UXGA); windows are smaller.
            (Ok(width @ ..=1600), Ok(height @ 1..=1600)) if (1..=MAX_JPEG_SIZE).contains(&size) => {
                Ok(Some(Announced {
                    width,
                    height,
                    size,
                }))
            }
            _ => Err(SessionError::Nonsense {
                command: Code::FrameSize,
                detail: format!("{width}x{height}, {size} bytes"),
            }),
        }
    }

    /// Throws away the frame that is ready, if one is: the picture of a script that has ended stays
    /// until somebody takes it, and is not what the next script was asked for.
    pub fn discard_frame(&mut self) -> Result<(), SessionError> {
        let dumped = match self.announced() {
            Ok(None) => return Ok(()),
            Ok(Some(Announced { size, .. })) => {
                let mut data = vec![0; size as usize];
                self.expect_quiet().and_then(|()| {
                    add(&self.counters.discarded, 1);
                    self.exchange(&Command::FrameDump { size }, &mut data)
                })
            }
            Err(error) => Err(error),
        };
        match dumped {
            Err(error) if error.is_line_noise() => {
                self.resync()?;
                Ok(())
            }
            other => other,
        }
    }

    /// Fetches the frame that is ready, if one is.
    ///
    /// Damage on the line is dealt with here and reported as [`Fetched::Lost`]; an error means
    /// that the board could not be brought back in step.
    pub fn fetch(&mut self) -> Result<Fetched, SessionError> {
        let Announced {
            width,
            height,
            size,
        } = match self.announced() {
            Ok(Some(announced)) => announced,
            Ok(None) => return Ok(Fetched::NotReady),
            Err(error) if error.is_line_noise() => {
                // If the answer that got lost had locked a frame, asking twice more brings it.
                self.resync()?;
                return Ok(Fetched::Disturbed(error));
            }
            Err(error) => return Err(error),
        };
        match self.expect_quiet() {
            Ok(()) => {}
            Err(error) if error.is_line_noise() => {
                self.resync()?;
                return Ok(Fetched::Disturbed(error));
            }
            Err(error) => return Err(error),
        }
        let mut data = vec![0; size as usize];
        let requested = self.now();
        let dumped = self.exchange(&Command::FrameDump { size }, &mut data);
        let arrived = self.now();
        match dumped {
            Ok(()) => {}
            Err(error) if error.is_line_noise() => {
                add(&self.counters.dropped, 1);
                self.resync()?;
                return Ok(Fetched::Lost(error));
            }
            Err(error) => {
                add(&self.counters.dropped, 1);
                return Err(error);
            }
        }
        if let Err(damage) = self.picture.judge(&data, width, height) {
            // As many bytes came as were due: the next answer shows whether they were the right
            // ones, so there is no need to stop and look.
            add(&self.counters.dropped, 1);
            return Ok(Fetched::Lost(SessionError::Nonsense {
                command: Code::FrameDump,
                detail: damage.to_string(),
            }));
        }
        add(&self.counters.frames, 1);
        add(&self.counters.frame_bytes, data.len());
        Ok(Fetched::Frame(Frame {
            data,
            width,
            height,
            requested,
            arrived,
        }))
    }
}

impl SessionError {
    /// Whether getting back in step and asking again may help.
    pub fn is_line_noise(&self) -> bool {
        matches!(
            self,
            SessionError::Silent { .. } | SessionError::Nonsense { .. } | SessionError::Babble(_)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A board that sends a byte that means nothing every so often.
    struct Dripping {
        clock: Interrupt,
        every: Duration,
    }

    impl Transport for Dripping {
        fn read(&mut self, buf: &mut [u8], timeout: Duration) -> io::Result<usize> {
            let _ = self.clock.wait(timeout.min(self.every));
            if timeout < self.every {
                return Err(io::ErrorKind::TimedOut.into());
            }
            buf[0] = 0x55;
            Ok(1)
        }
        fn write_all(&mut self, _: &[u8], _: Duration) -> io::Result<()> {
            Ok(())
        }
        fn set_baud_rate(&mut self, _: u32) -> io::Result<()> {
            Ok(())
        }
        fn set_control_lines(&mut self, _: bool, _: bool) -> io::Result<()> {
            Ok(())
        }
        fn discard_input(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn dripping(every: Duration) -> (Session, Interrupt) {
        let clock = Interrupt::simulated();
        let board = Dripping {
            clock: clock.clone(),
            every,
        };
        let baud = super::super::IDE_BAUD_RATE;
        let session = Session::new(Box::new(board), baud, clock.clone(), Arc::default());
        (session, clock)
    }

    #[test]
    fn an_answer_that_drips_in_is_not_waited_for() {
        let (mut session, clock) = dripping(Duration::from_millis(30));
        let start = clock.now();
        let mut frame = vec![0; MAX_JPEG_SIZE as usize];
        let got = session
            .read(&mut frame, Duration::from_millis(250))
            .unwrap();
        assert!(got < frame.len());
        let took = clock.now() - start;
        assert!(took < Duration::from_secs(5), "{took:?}");
    }

    #[test]
    fn nothing_outlasts_the_deadline() {
        for every in [Duration::from_millis(10), Duration::from_secs(60)] {
            let (mut session, clock) = dripping(every);
            let start = clock.now();
            session.set_deadline(Some(start + Duration::from_secs(1)));
            let result = loop {
                match session.fetch() {
                    Ok(_) => {}
                    Err(error) => break error,
                }
            };
            assert!(matches!(result, SessionError::Overdue), "{result}");
            let took = clock.now() - start;
            assert!(took < Duration::from_millis(1500), "{took:?}");
        }
    }
}
