// SPDX-License-Identifier: MIT OR Apache-2.0
//! Getting a board from any state to running a script in IDE mode.
//!
//! The state of a board is not known, so all of them are tried, again and again: IDE mode at the
//! wanted speed, IDE mode at the firmware's own speed, and MicroPython's prompt at 115 200 baud, after
//! a Ctrl-C if one is needed. A board that is booting answers in none of them until it is done. A
//! board that does not answer at all is reset by the modem lines of its adapter, for each of the two
//! ways in which boards connect them.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;

use super::interrupt::{Interrupt, Interrupted, SLICE};
use super::script::GREETING;
use super::session::{BoardIdentity, Counters, Session, SessionError, wire_time};
use super::text::printable;
use super::transport::Transport;
use super::{IDE_BAUD_RATE, REPL_BAUD_RATE};

/// How long a board may show no sign that it is one.
pub const PATIENCE: Duration = Duration::from_millis(3800);

/// The same after a reset that was to end a script: time has passed already while the script did not
/// end.
const PATIENCE_AFTER_RESET: Duration = Duration::from_millis(2400);

/// How long a board that has started may take to get to its prompt. If the Ctrl-C came too late to
/// keep `main.py` from starting, `main.py` has to end within this time.
const PATIENCE_AFTER_START: Duration = Duration::from_millis(2400);

/// The same after a reset by us: its `main.py` did not end before, and will not now.
const PATIENCE_AFTER_RESTART: Duration = Duration::from_millis(500);

/// How often a board is reset again whose Ctrl-C came too late because this program did: the board
/// listens for 200 ms, in which a busy computer may not get round to it.
const RESTARTS: usize = 2;

/// From which delay (beyond what was waited for) on this program is late.
const LATE: Duration = Duration::from_millis(100);

/// How long it takes to try each state once.
const LEAST_PATIENCE: Duration = Duration::from_millis(400);

/// How long connecting may take in all if the board shows signs of life.
const LIMIT: Duration = Duration::from_secs(12);

/// When connecting ends whatever happens: 12 s and what repetitions on a bad line may take. A
/// reset of a board that answers, or one whose Ctrl-C came too late, starts this time again, within [`LONGEST`].
pub const OVERALL: Duration = Duration::from_secs(20);

/// When connecting ends whatever was begun anew meanwhile: a board that is made to may stay alive, ignore everything and
/// start again for ever.
pub const LONGEST: Duration = Duration::from_secs(30);

/// When to pulse the modem lines, one way after the other: levels of DTR and RTS, and the time
/// since the beginning. On most boards RTS resets and DTR selects the boot mode, on KD233 the
/// other way round (kflash, `reset_to_boot`).
const PULSES: [(Duration, bool, bool); 2] = [
    (Duration::from_millis(1200), false, true),
    (Duration::from_millis(2200), true, false),
];

/// Why a board could not be brought to stream.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// [`Interrupt::set`] was called.
    #[error("interrupted")]
    Interrupted,
    /// No byte came.
    #[error("the board is silent")]
    Silent,
    /// Bytes came, and none of them looks as if a board had sent it.
    #[error("the line carries {0} bytes of garbage and no answer")]
    Garbage(usize),
    /// A script writes to the console and ignores Ctrl-C.
    #[error("a script on the board ignores Ctrl-C (its last line is “{0}”)")]
    Deaf(String),
    /// A script in IDE mode does not stop, and a reset did not help.
    #[error("a script on the board does not let itself be stopped")]
    Wedged,
    /// The prompt was there, and the command for IDE mode had no effect at this speed.
    #[error("the board does not answer at {0} baud after it was switched there")]
    NoIdeMode(u32),
    /// The script ended at once.
    #[error("the script ended at once: {0}")]
    ScriptFailed(String),
    /// The board takes the script and does not run it. One that greets was sent again and again until
    /// the board's time was over; another script may have ended at once without a word.
    #[error("the board does not start the script")]
    NotStarted,
    /// The link failed before there was a sign of a board.
    #[error(transparent)]
    Session(SessionError),
    /// The link failed once a board had answered: it was reset, its cable was pulled, or the line is
    /// a bad one.
    #[error(transparent)]
    Lost(SessionError),
}

impl From<Interrupted> for ConnectError {
    fn from(_: Interrupted) -> Self {
        ConnectError::Interrupted
    }
}

impl From<SessionError> for ConnectError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Interrupted => ConnectError::Interrupted,
            other => ConnectError::Session(other),
        }
    }
}

/// What to bring a board to.
#[derive(Clone, Debug)]
pub struct Goal {
    /// Speed in IDE mode, in baud.
    pub baud: u32,
    /// MicroPython to run.
    pub script: Vec<u8>,
    /// Whether the script prints [`GREETING`] first.
    pub greets: bool,
    /// How long the board may show no sign that it is one, usually [`PATIENCE`].
    pub patience: Duration,
}

/// Shares [`PATIENCE`] among several ports that are tried one after the other.
///
/// Every port gets its share of the time that is left, and at least the time to try each state once.
/// Only one port is open at a time: there may be boards at the others that another program is about
/// to open, or whose program must not be interrupted.
pub struct Search {
    ports: u32,
    deadline: Instant,
}

impl Search {
    /// For this number of ports.
    pub fn new(ports: usize, clock: &Interrupt) -> Self {
        Search {
            ports: u32::try_from(ports).unwrap_or(u32::MAX),
            deadline: clock.now() + PATIENCE,
        }
    }

    /// The patience with the next port.
    pub fn next(&mut self, clock: &Interrupt) -> Duration {
        let share = self.deadline.saturating_duration_since(clock.now()) / self.ports.max(1);
        self.ports = self.ports.saturating_sub(1);
        share.max(LEAST_PATIENCE)
    }
}

/// A board that runs the script.
pub struct Connected {
    /// The link.
    pub session: Session,
    /// What the board says it is.
    pub board: BoardIdentity,
    /// What the script printed up to now.
    pub console: Vec<u8>,
}

/// Brings the board behind `transport` to run the script of `goal`.
pub fn connect(
    transport: Box<dyn Transport>,
    goal: &Goal,
    interrupt: &Interrupt,
    counters: &Arc<Counters>,
) -> Result<Connected, ConnectError> {
    let session = Session::new(transport, goal.baud, interrupt.clone(), counters.clone());
    let mut approach = Approach {
        begun: session.now(),
        started: session.now(),
        session,
        goal,
        patience: goal.patience,
        seen: Evidence::default(),
        answered: false,
        was_reset: false,
        pulses: 0,
        last_pulse: 0,
        restarts: 0,
        looked: None,
        late: false,
    };
    approach.begin_deadline();
    let result = approach.bring_up_somehow();
    approach.session.set_deadline(None);
    match result {
        Ok((board, console)) => Ok(Connected {
            session: approach.session,
            board,
            console,
        }),
        Err(ConnectError::Session(error)) if approach.has_answered() => {
            Err(ConnectError::Lost(error))
        }
        Err(error) => Err(error),
    }
}

/// What came from the board at 115 200 baud.
#[derive(Default)]
struct Evidence {
    bytes: usize,
    /// What came since we last tried to get the prompt; the last 4096 bytes of it.
    text: Vec<u8>,
    /// The last 4096 bytes of all that came.
    log: Vec<u8>,
    /// How far the board is, and when we last saw that; `None` until something comes that only a
    /// MaixPy board writes.
    stage: Option<(Stage, Instant)>,
}

/// How far a board is on its way to the prompt.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    /// Writes its boot log.
    Starting,
    /// Waits, or has waited, 200 ms for a Ctrl-C that keeps it from running `main.py`.
    Crossroads,
    /// Has come to the prompt.
    Prompt,
}

impl Evidence {
    /// What is written last before the crossroads (`_boot.py`).
    const CROSSROADS: &'static str = "[MaixPy] init end";

    /// Words of the boot log (`maixpy_main.c`), of its end, and of the prompt.
    const SIGNS: [(&'static str, Stage); 5] = [
        ("[MAIXPY]", Stage::Starting),
        ("[MaixPy]", Stage::Starting),
        (Self::CROSSROADS, Stage::Crossroads),
        ("MicroPython", Stage::Prompt),
        (">>> ", Stage::Prompt),
    ];

    fn add(&mut self, text: &[u8], now: Instant) {
        self.bytes += text.len();
        for buffer in [&mut self.text, &mut self.log] {
            buffer.extend_from_slice(text);
            let excess = buffer.len().saturating_sub(4096);
            buffer.drain(..excess);
        }
        let tail = self.text.rchunks(256).next().unwrap_or_default();
        let place = |(sign, stage): (&str, _)| {
            let mut places = tail.windows(sign.len());
            Some((places.rposition(|it| it == sign.as_bytes())?, stage))
        };
        // The last one; of two at the same place the later in the table, which is the longer.
        let last = Self::SIGNS
            .into_iter()
            .filter_map(place)
            .max_by_key(|(at, _)| *at);
        if let Some((_, stage)) = last {
            match self.stage {
                // It is still the same line.
                Some((Stage::Crossroads, _)) if stage == Stage::Crossroads => {}
                _ => self.stage = Some((stage, now)),
            }
        }
    }

    fn at_prompt(&self) -> bool {
        self.text.ends_with(b">>> ")
    }

    /// Whether the board has just come to the crossroads.
    fn at_crossroads(&self) -> bool {
        let line = self.text.strip_suffix(b"\r\n");
        line.is_some_and(|line| line.ends_with(Self::CROSSROADS.as_bytes()))
    }

    /// The same before the line's end has come.
    fn is_at_crossroads_line(&self) -> bool {
        let line = self.text.strip_suffix(b"\n").unwrap_or(&self.text);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        line.ends_with(Self::CROSSROADS.as_bytes())
    }

    fn has_been_at_crossroads(&self) -> bool {
        matches!(self.stage, Some((Stage::Crossroads, _)))
    }

    /// Whether it reads as text rather than as noise.
    fn is_text(&self) -> bool {
        let tail = self.log.rchunks(512).next().unwrap_or_default();
        let printable = tail
            .iter()
            .filter(|b| matches!(b, b' '..=b'~' | b'\r' | b'\n' | b'\t' | 0x1b))
            .count();
        tail.len() >= 16 && printable * 20 >= tail.len() * 19
    }

    fn last_line(&self) -> String {
        let line = self
            .log
            .split(|&byte| byte == b'\n')
            .map(<[u8]>::trim_ascii)
            .rfind(|line| !line.is_empty());
        printable(line.unwrap_or_default())
            .chars()
            .take(80)
            .collect()
    }
}

struct Approach<'a> {
    session: Session,
    goal: &'a Goal,
    begun: Instant,
    /// When it was begun anew last.
    started: Instant,
    /// How long the board may be without a sign of life.
    patience: Duration,
    seen: Evidence,
    /// The debug dispatcher has answered.
    answered: bool,
    /// We have reset the board.
    was_reset: bool,
    /// How many of [`PULSES`] were due.
    pulses: usize,
    /// Which of them was given last.
    last_pulse: usize,
    /// How many of [`RESTARTS`] were made.
    restarts: usize,
    /// When we last looked for what the prompt says.
    looked: Option<Instant>,
    /// We were [`LATE`] with the Ctrl-C at the crossroads.
    late: bool,
}

impl Approach<'_> {
    /// Gives the board its time, or anew.
    fn begin_deadline(&mut self) {
        let deadline = self.session.now() + OVERALL;
        self.session
            .set_deadline(Some(deadline.min(self.begun + LONGEST)));
    }

    /// As [`bring_up`](Self::bring_up), once more where that may help.
    fn bring_up_somehow(&mut self) -> Result<(BoardIdentity, Vec<u8>), ConnectError> {
        let mut resets = 0;
        loop {
            match self.bring_up() {
                // Reset works whatever the script does: it is done by the interrupt handler.
                Err(ConnectError::Wedged) if resets == 0 => {
                    resets += 1;
                    self.reset()?;
                    self.patience = self.goal.patience.min(PATIENCE_AFTER_RESET);
                }
                Err(ConnectError::Deaf(_)) if self.may_restart() => self.restart(),
                // A disturbed line: from the beginning, which takes the board as it is now.
                Err(ConnectError::Session(error))
                    if error.is_line_noise() && !self.out_of_patience() => {}
                // The interpreter may be busy yet. What a script of the user's has done already
                // should not be done many times.
                Err(ConnectError::NotStarted) if self.goal.greets && !self.out_of_patience() => {
                    self.session.interrupt().wait(Duration::from_millis(100))?;
                }
                other => return other,
            }
        }
    }

    /// Whether the board would have listened at its crossroads after a reset, had we not been late.
    fn may_restart(&self) -> bool {
        self.was_reset && self.late && self.restarts < RESTARTS
    }

    /// Begins again, with the pulse that had an effect, or the first one, due at once.
    fn restart(&mut self) {
        self.restarts += 1;
        self.pulses = self.last_pulse;
        let due = PULSES.get(self.pulses).map_or(Duration::ZERO, |it| it.0);
        let now = self.session.now();
        self.started = now.checked_sub(due).unwrap_or(now);
        self.patience = PATIENCE;
        self.begin_deadline();
        self.seen = Evidence::default();
        self.late = false;
    }

    /// From whatever state to the script running: what the board is, and what the script printed.
    fn bring_up(&mut self) -> Result<(BoardIdentity, Vec<u8>), ConnectError> {
        self.reach_ide_mode()?;
        let board = self.session.identify()?;
        Ok((board, self.start_script()?))
    }

    /// Tries every state in turns until one answers.
    fn reach_ide_mode(&mut self) -> Result<(), ConnectError> {
        let mut speeds = vec![self.goal.baud];
        // A board that went into IDE mode by itself while booting uses the firmware's speed.
        if self.goal.baud != IDE_BAUD_RATE {
            speeds.push(IDE_BAUD_RATE);
        }
        loop {
            for speed in &speeds {
                // Stay at 115 200 baud: the line that is written last before `main.py` must be seen.
                if self.is_starting() {
                    break;
                }
                if self.answers_in_ide_mode(*speed)? {
                    return Ok(());
                }
                if self.out_of_patience() {
                    return Err(self.verdict());
                }
            }
            if self.has_prompt()? {
                match self.enter_ide_mode() {
                    Err(ConnectError::NoIdeMode(_)) if !self.out_of_patience() => {}
                    other => return other,
                }
            } else if self.seen.text.is_empty()
                && !self.is_starting()
                && self.session.transport().sets_speed()
                && !speeds.contains(&REPL_BAUD_RATE)
                && !self.was_reset
            {
                self.leave_slow_ide_mode()?;
            }
            if self.out_of_patience() {
                return Err(self.verdict());
            }
            self.pulse_when_due()?;
        }
    }

    /// Whether the board is writing its boot log, and has not come to the crossroads.
    fn is_starting(&self) -> bool {
        const INITIALISING: Duration = Duration::from_millis(2000);
        match self.seen.stage {
            Some((Stage::Starting, time)) => self.session.now() < time + INITIALISING,
            _ => false,
        }
    }

    /// Whether there is a board, or was.
    fn has_answered(&self) -> bool {
        self.answered || self.seen.stage.is_some()
    }

    /// When to give up.
    fn deadline(&self) -> Instant {
        let deadline = match self.seen.stage {
            None => self.started + self.patience,
            Some((stage, time)) => {
                let patience = match stage {
                    Stage::Crossroads if self.was_reset => PATIENCE_AFTER_RESTART,
                    Stage::Crossroads => PATIENCE_AFTER_START,
                    Stage::Starting | Stage::Prompt => PATIENCE,
                };
                (time + patience).min(self.started + LIMIT)
            }
        };
        deadline.min(self.begun + LONGEST)
    }

    fn out_of_patience(&self) -> bool {
        self.session.now() >= self.deadline()
    }

    fn verdict(&self) -> ConnectError {
        match self.seen.bytes {
            0 => ConnectError::Silent,
            _ if self.seen.is_text() => ConnectError::Deaf(self.seen.last_line()),
            bytes => ConnectError::Garbage(bytes),
        }
    }

    /// Resets a board that has shown no sign of life, if its adapter can.
    fn pulse_when_due(&mut self) -> Result<(), ConnectError> {
        let Some((due, dtr, rts)) = PULSES.get(self.pulses) else {
            return Ok(());
        };
        if self.session.now() < self.started + *due {
            return Ok(());
        }
        let pulse = self.pulses;
        self.pulses += 1;
        if self.seen.stage.is_some() {
            return Ok(());
        }
        let gone = |error| ConnectError::Session(SessionError::Gone(error));
        let interrupt = self.session.interrupt().clone();
        let lines = self.session.transport();
        lines.set_control_lines(*dtr, *rts).map_err(gone)?;
        self.was_reset = true;
        self.last_pulse = pulse;
        let waited = interrupt.wait(Duration::from_millis(50));
        // Release the reset line even if the wait was interrupted.
        lines.set_control_lines(false, false).map_err(gone)?;
        Ok(waited?)
    }

    /// Whether the debug dispatcher answers at `baud`.
    fn answers_in_ide_mode(&mut self, baud: u32) -> Result<bool, ConnectError> {
        const TRIES: usize = 2;
        self.session.set_baud(baud)?;
        for _ in 0..TRIES {
            // What still comes may be the rest of a frame that another client asked for. If it does
            // not end, the board is not in IDE mode, in which it only answers.
            match self
                .session
                .drain(Duration::from_millis(5), Duration::from_millis(200))
            {
                Err(SessionError::Babble(bytes)) => {
                    self.seen.bytes += bytes;
                    return Ok(false);
                }
                other => self.seen.bytes += other?,
            }
            // Complete the header or the data that another client may have left unfinished.
            self.session.pad(16)?;
            if self.session.is_alive(Duration::from_millis(70))? {
                self.answered = true;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Resets a board that another client has put into IDE mode at the prompt's own speed: only the
    /// prompt leads to another one.
    fn leave_slow_ide_mode(&mut self) -> Result<(), ConnectError> {
        if self.answers_in_ide_mode(REPL_BAUD_RATE)? {
            // FW_VERSION removes the file that makes the board boot into IDE mode.
            self.session.identify()?;
            self.reset()?;
        }
        Ok(())
    }

    /// Resets a board that answers in IDE mode.
    fn reset(&mut self) -> Result<(), ConnectError> {
        self.session.reset()?;
        self.was_reset = true;
        self.started = self.session.now();
        self.begin_deadline();
        self.seen = Evidence::default();
        Ok(())
    }

    /// Whether there is a MicroPython prompt; tries all keys that may bring one.
    fn has_prompt(&mut self) -> Result<bool, ConnectError> {
        self.session.set_baud(REPL_BAUD_RATE)?;
        self.seen.text.clear();
        // One Ctrl-C at a time: a second one that comes before the interpreter has noticed the
        // first takes it back (`uart_rx_irq`, `machine_uart.c`). Ctrl-B leaves the raw prompt.
        for keys in [b"\x03".as_slice(), b"\x02", b"\r\x03"] {
            if self.out_of_patience() {
                break;
            }
            self.type_keys(keys)?;
            if self.read_prompt(Duration::from_millis(130))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn type_keys(&mut self, keys: &[u8]) -> Result<(), ConnectError> {
        let crossing = wire_time(keys.len(), REPL_BAUD_RATE);
        self.session
            .transport()
            .write_all(keys, crossing * 2 + Duration::from_millis(500))
            .map_err(|error| match error.kind() {
                // The port takes no bytes, so nothing can be reached through it.
                io::ErrorKind::TimedOut => ConnectError::Silent,
                _ => ConnectError::Session(SessionError::Gone(error)),
            })
    }

    /// Reads until the prompt is the last thing that came, and nothing more comes.
    fn read_prompt(&mut self, patience: Duration) -> Result<bool, ConnectError> {
        let mut deadline = self.session.now() + patience;
        let end = self.session.now() + patience * 4;
        let mut buf = [0; 1024];
        loop {
            if self.session.interrupt().is_set() {
                return Err(ConnectError::Interrupted);
            }
            let settle = Duration::from_millis(15);
            let slice = match self.seen.at_prompt() {
                true => settle,
                false => deadline
                    .saturating_duration_since(self.session.now())
                    .min(SLICE),
            };
            match self.session.transport().read(&mut buf, slice) {
                Ok(n) => {
                    let came = buf.get(..n).unwrap_or_default();
                    let was_there = self.seen.has_been_at_crossroads();
                    self.seen.add(came, self.session.now());
                    // As long as text comes, wait for its end, but not beyond `end`.
                    deadline = (self.session.now() + patience)
                        .min(end)
                        .min(self.deadline());
                    if self.seen.at_crossroads() {
                        self.type_keys(b"\x03")?;
                    }
                    if self.seen.has_been_at_crossroads() {
                        let before = self.looked.unwrap_or(self.started);
                        self.late |= self.session.now() > before + slice + LATE;
                        // It has gone on.
                        self.late |= !was_there && !self.seen.is_at_crossroads_line();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    if self.seen.at_prompt() {
                        return Ok(true);
                    }
                }
                Err(error) => return Err(ConnectError::Session(SessionError::Gone(error))),
            }
            self.looked = Some(self.session.now());
            if self.session.now() >= deadline {
                return Ok(self.seen.at_prompt());
            }
        }
    }

    /// Types the lines that put the board into IDE mode, and changes to its new speed.
    fn enter_ide_mode(&mut self) -> Result<(), ConnectError> {
        let baud = self.goal.baud;
        for line in [
            "from machine import UART\r",
            "import sys\r",
            "repl = UART.repl_uart()\r",
        ] {
            self.seen.text.clear();
            self.type_keys(line.as_bytes())?;
            if !self.read_prompt(Duration::from_millis(400))? {
                return Err(ConnectError::NoIdeMode(baud));
            }
        }
        // Everything after `init` arrives at the dispatcher, so leaving the prompt has to be on
        // the same line.
        let line = format!(
            "repl.init({baud}, 8, None, 1, read_buf_len=2048, ide=True, from_ide=True); sys.exit()\r"
        );
        self.type_keys(line.as_bytes())?;
        self.session
            .interrupt()
            .wait(wire_time(line.len(), REPL_BAUD_RATE) + Duration::from_millis(20))?;
        self.session.set_baud(baud)?;
        // The board writes a file to its flash first, and may have to erase a block for it.
        let deadline = self.session.now() + Duration::from_millis(1500);
        while self.session.now() < deadline {
            if self.answers_in_ide_mode(baud)? {
                return Ok(());
            }
        }
        Err(ConnectError::NoIdeMode(baud))
    }

    /// Stops the running script, sends ours and waits until it has started; gives what it printed.
    fn start_script(&mut self) -> Result<Vec<u8>, ConnectError> {
        /// The interpreter notices an interrupt between two bytecodes, and one `sensor.reset()` takes
        /// a second.
        const STOPPING: Duration = Duration::from_millis(2000);
        const TRIES: u32 = 3;
        let session = &mut self.session;
        // Releases a frame that another client left locked.
        session.enable_frames(false)?;
        if session.script_running()? {
            // Make room for the prompt: what does not fit into the board's buffer is lost.
            empty_console(session)?;
            session.stop_script()?;
            // SCRIPT_RUNNING is false as soon as the dispatcher is told to stop. The script has ended
            // when the firmware writes its prompt.
            let deadline = session.now() + STOPPING;
            let mut tail = Vec::new();
            while !ends_with_prompt(&tail) {
                if session.now() > deadline {
                    return Err(ConnectError::Wedged);
                }
                session.interrupt().wait(Duration::from_millis(10))?;
                tail.extend(session.console()?);
            }
        }
        session.discard_frame()?;
        let mut console = Vec::new();
        for _ in 0..TRIES {
            empty_console(session)?;
            session.enable_frames(true)?;
            session.send_script(&self.goal.script)?;
            console.clear();
            if Self::has_started(session, self.goal.greets, &mut console)? {
                return Ok(console);
            }
            match exception(&String::from_utf8_lossy(&console)) {
                // The interrupt that starts a script may hit the script itself.
                Some(text) if text.contains("IDE interrupt") => {}
                Some(text) => return Err(ConnectError::ScriptFailed(text)),
                None => {}
            }
        }
        Err(ConnectError::NotStarted)
    }

    /// Whether the script that was sent runs. Its flag is set with the last byte of the upload, and
    /// cleared again if the interpreter was just leaving another script. So the flag has to stay set
    /// for a while.
    fn has_started(
        session: &mut Session,
        greets: bool,
        console: &mut Vec<u8>,
    ) -> Result<bool, ConnectError> {
        const STEADY: Duration = Duration::from_millis(120);
        const GREETED: Duration = Duration::from_millis(1500);
        let sent = session.now();
        loop {
            let running = session.script_running()?;
            console.extend(session.console()?);
            let greeted = String::from_utf8_lossy(console).contains(GREETING);
            if !running {
                // A short script of the user's may have ended already.
                let raised = exception(&String::from_utf8_lossy(console)).is_some();
                return Ok(!greets && !console.is_empty() && !raised);
            }
            if greets && greeted {
                return Ok(true);
            }
            if !greets && session.now() > sent + STEADY {
                return Ok(true);
            }
            if session.now() > sent + GREETED {
                return Err(ConnectError::Wedged);
            }
            session.interrupt().wait(Duration::from_millis(5))?;
        }
    }
}

/// Takes the script output that waits, up to a limit: a script that never stops printing would keep
/// us here.
fn empty_console(session: &mut Session) -> Result<(), ConnectError> {
    const PIECES: usize = 8;
    for _ in 0..PIECES {
        if session.console()?.is_empty() {
            break;
        }
    }
    Ok(())
}

fn ends_with_prompt(text: &[u8]) -> bool {
    text.ends_with(b">>> ") || text.ends_with(b"\r\n>")
}

/// The exception that ended a script, with the line it happened in, from the script's output;
/// `None` if there was none.
///
/// The prompt writes its greeting behind it, so it is not simply the last line.
pub fn exception(text: &str) -> Option<String> {
    let (_, report) = text.rsplit_once("Traceback (most recent call last):")?;
    let mut place = None;
    for line in report.lines().skip(1) {
        let line = line.trim_end();
        if line.starts_with(' ') {
            place = line.trim().strip_prefix("File \"<stdin>\", ").or(place);
        } else if !line.is_empty() {
            let place = place.and_then(|place| place.split(", in").next());
            let line = printable(line.as_bytes());
            return Some(match place {
                Some(place) => format!("{line} ({})", printable(place.as_bytes())),
                None => line,
            });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_is_found_before_the_prompts_greeting() {
        let output = "hello\r\nTraceback (most recent call last):\r\n  File \"<stdin>\", line 3, \
                      in <module>\r\n  File \"<stdin>\", line 2, in f\r\nOSError: Reset \
                      Failed\r\n\r\nMicroPython v0.6.2\r\nType \"help()\" for more \
                      information.\r\n>>> ";
        assert_eq!(
            exception(output).as_deref(),
            Some("OSError: Reset Failed (line 2)")
        );
        assert_eq!(exception("hello\r\n>>> "), None);
        assert_eq!(exception("Traceback (most recent call last):\r\n"), None);
    }

    #[test]
    fn a_reset_leaves_the_board_time_to_boot() {
        assert!(
            PULSES
                .iter()
                .all(|(due, ..)| *due + Duration::from_secs(1) < PATIENCE)
        );
    }
}
