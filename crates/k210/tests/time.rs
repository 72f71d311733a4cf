// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long it takes to bring a board to stream, or to find that it is not to be had: in simulated
//! time, which passes only while the host waits, so that a busy machine makes no difference.
//!
//! The board here is slower than real ones: its delays are generous guesses of what boards take, and
//! its adapter holds back short answers for 16 ms, as FTDI's do. Its protocol is the
//! simulated board's dispatcher.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failure ends the test"
)]

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use k210_link::connect::{self, ConnectError, Connected, Goal, Search};
use k210_link::interrupt::Interrupt;
use k210_link::script::GREETING;
use k210_link::session::{Fetched, SessionError, wire_time};
use k210_link::transport::Transport;
use k210_link::{IDE_BAUD_RATE, REPL_BAUD_RATE};
use k210_sim::dispatch::{Dispatcher, Peripherals};
use k210_sim::{Console, Flash, JpegBuffer, Picture};

const MS: Duration = Duration::from_millis(1);

/// From power to the first text, from there to the end of the initialisation (a flash file system
/// and an SD card are looked for), and what `_boot.py` waits.
const DARK: Duration = Duration::from_millis(500);
const INITIALISING: Duration = Duration::from_millis(1500);
const CROSSROADS: Duration = Duration::from_millis(200);

/// Writing `ide_mode.conf`, which may erase a block of flash.
const FLASHING: Duration = Duration::from_millis(400);

/// `sensor.reset()` with what follows it until the first picture is there.
const SENSOR: Duration = Duration::from_millis(1200);

const FRAME: Duration = Duration::from_millis(33);

/// What an FTDI adapter keeps to itself, and for how long.
const HELD_BACK: (usize, Duration) = (62, Duration::from_millis(16));

const BANNER: &str = "MicroPython v0.6.3\r\nType \"help()\" for more information.\r\n>>> ";

/// What the board's `main.py`, or its script in IDE mode, is like.
#[derive(Clone, Copy, PartialEq)]
enum Program {
    /// Ends at once, or when it is told to.
    Tame,
    /// Ignores every exception.
    Deaf,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    /// Without power, or held in reset.
    Dead,
    /// Until the first text.
    Dark,
    Initialising,
    Crossroads,
    Prompt,
    /// On the way to IDE mode.
    Flashing,
    Ide,
    /// `main.py` runs and hears nothing.
    Stuck,
    /// It is no board: 10 bytes a millisecond that mean nothing.
    Garbage,
    /// `main.py` runs, hears nothing and prints a line every tenth of a second.
    Chatter,
}

/// What the dispatcher reaches.
struct Rest {
    clock: Interrupt,
    baud: u32,
    /// Bytes on their way to the host, by arrival.
    out: VecDeque<(Instant, u8)>,
    console: Console,
    jpeg: JpegBuffer,
    flash: Flash,
    interrupted: bool,
    reset: bool,
}

impl Rest {
    fn free(&self) -> Instant {
        let last = self.out.back().map(|(time, _)| *time);
        last.unwrap_or(self.clock.now()).max(self.clock.now())
    }
}

impl Peripherals for Rest {
    fn send(&mut self, data: &[u8]) {
        let mut time = self.free();
        for byte in data {
            time += wire_time(1, self.baud);
            self.out.push_back((time, *byte));
        }
    }
    fn send_repeated(&mut self, data: &[u8], count: usize) {
        self.send(&data.repeat(count));
    }
    fn send_frame(&mut self, length: usize) {
        let mut data = self.jpeg.pixels().to_vec();
        data.resize(length, 0);
        self.send(&data);
    }
    fn console(&mut self) -> &mut Console {
        &mut self.console
    }
    fn jpeg(&mut self) -> &mut JpegBuffer {
        &mut self.jpeg
    }
    fn flash(&mut self) -> &mut Flash {
        &mut self.flash
    }
    fn raise_ide_interrupt(&mut self) {
        self.interrupted = true;
    }
    fn set_attribute(&mut self, _attribute: i16, _value: i16) {}
    fn reset(&mut self) {
        self.reset = true;
    }
}

/// A board on its adapter.
struct SlowBoard {
    rest: Rest,
    dispatcher: Dispatcher,
    phase: Phase,
    since: Instant,
    host_baud: u32,
    /// The modem lines reach the board.
    wired: bool,
    /// There is no reason to reset it.
    well: bool,
    main: Program,
    script: Program,
    /// It hears no Ctrl-C at the crossroads.
    misses: bool,
    /// It takes scripts and runs none.
    idles: bool,
    /// The next boot is into IDE mode.
    to_ide: bool,
    line: Vec<u8>,
    /// When the script in IDE mode began.
    running: Option<Instant>,
    next: Instant,
    picture: Vec<u8>,
    /// What will happen to it, and when.
    fate: Option<(Instant, Fate)>,
    /// The cable was pulled.
    gone: bool,
}

/// What a hand can do to a board.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    /// Pull its cable.
    Pulled,
    /// Press its reset button.
    Reset,
    /// Wait until it runs scripts.
    Ready,
}

impl SlowBoard {
    fn new(phase: Phase, clock: &Interrupt) -> Self {
        let mut picture = Vec::new();
        jpeg_encoder::Encoder::new(&mut picture, 50)
            .encode(&[90; 320 * 240], 320, 240, jpeg_encoder::ColorType::Luma)
            .unwrap();
        let now = clock.now();
        SlowBoard {
            rest: Rest {
                clock: clock.clone(),
                baud: match phase {
                    Phase::Ide => IDE_BAUD_RATE,
                    _ => REPL_BAUD_RATE,
                },
                out: VecDeque::new(),
                console: Console::new(2048),
                jpeg: JpegBuffer::default(),
                flash: Flash::default(),
                interrupted: false,
                reset: false,
            },
            dispatcher: Dispatcher::default(),
            phase,
            since: now,
            host_baud: IDE_BAUD_RATE,
            wired: false,
            well: false,
            main: Program::Tame,
            script: Program::Tame,
            misses: false,
            idles: false,
            to_ide: false,
            line: Vec::new(),
            running: None,
            next: now,
            picture,
            fate: None,
            gone: false,
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.since = self.rest.clock.now();
        self.next = self.since;
    }

    fn boot(&mut self) {
        self.rest.baud = REPL_BAUD_RATE;
        self.dispatcher = Dispatcher::default();
        self.running = None;
        self.enter(Phase::Dark);
    }

    fn type_out(&mut self, text: &str) {
        self.rest.send(text.as_bytes());
    }

    /// Does what is due by now; when there will be more to do.
    fn run(&mut self) -> Option<Instant> {
        let now = self.rest.clock.now();
        if let Some((_, fate)) = self.fate.take_if(|(time, _)| *time <= now) {
            self.rest.out.clear();
            match fate {
                Fate::Pulled => self.gone = true,
                Fate::Reset => self.boot(),
                Fate::Ready => self.idles = false,
            }
        }
        match (self.due(now), self.fate) {
            (Some(due), Some((fate, _))) => Some(due.min(fate)),
            (due, fate) => due.or(fate.map(|(time, _)| time)),
        }
    }

    /// Does what the firmware does by now; when there will be more to do.
    fn due(&mut self, now: Instant) -> Option<Instant> {
        loop {
            let due = match self.phase {
                Phase::Dead | Phase::Prompt | Phase::Stuck => return None,
                Phase::Dark => self.since + DARK,
                Phase::Initialising => self.since + INITIALISING,
                Phase::Crossroads => self.since + CROSSROADS,
                Phase::Flashing => self.since + FLASHING,
                Phase::Garbage | Phase::Chatter => self.next,
                Phase::Ide => match self.running {
                    Some(_) => self.next,
                    None => return None,
                },
            };
            if due > now {
                return Some(due);
            }
            match self.phase {
                Phase::Dark => {
                    self.type_out("\r\n[MAIXPY] Pll0:freq:832000000\r\n");
                    self.enter(Phase::Initialising);
                }
                Phase::Initialising => {
                    self.type_out("[MaixPy] init end\r\n");
                    self.enter(Phase::Crossroads);
                }
                Phase::Crossroads if self.to_ide => self.enter(Phase::Flashing),
                Phase::Crossroads if self.main == Program::Deaf => self.enter(Phase::Stuck),
                Phase::Crossroads => {
                    self.type_out(BANNER);
                    self.enter(Phase::Prompt);
                }
                Phase::Flashing => {
                    self.rest.baud = IDE_BAUD_RATE;
                    self.dispatcher.init();
                    self.enter(Phase::Ide);
                }
                Phase::Garbage => {
                    let bytes: Vec<u8> = (0..10u8).map(|i| i.wrapping_mul(151) ^ 0xa5).collect();
                    self.rest.send(&bytes);
                    self.next += MS;
                }
                Phase::Chatter => {
                    self.type_out("temperature 21.5 degrees\r\n");
                    self.next += 100 * MS;
                }
                _ => {
                    if self.rest.jpeg.begin().is_some() {
                        let picture = Picture {
                            width: 320,
                            height: 240,
                            grayscale: true,
                            data: &[],
                        };
                        self.rest.jpeg.finish(picture, &self.picture);
                    }
                    self.next += FRAME;
                }
            }
        }
    }

    fn hear(&mut self, byte: u8) {
        match self.phase {
            Phase::Crossroads if byte == 3 && !self.misses => {
                let traceback = "Traceback (most recent call last):\r\nKeyboardInterrupt: \r\n";
                self.type_out(traceback);
                self.type_out(BANNER);
                self.enter(Phase::Prompt);
            }
            Phase::Prompt => self.hear_at_prompt(byte),
            Phase::Ide => {
                // It is deaf while it answers.
                if self.rest.free() > self.rest.clock.now() {
                    return;
                }
                self.dispatcher.feed(byte, &mut self.rest);
                self.after_command();
            }
            _ => {}
        }
    }

    fn hear_at_prompt(&mut self, byte: u8) {
        match byte {
            2 => self.type_out(&format!("\r\n{BANNER}")),
            3 => {
                self.line.clear();
                self.type_out("\r\n>>> ");
            }
            b'\r' => {
                let line = String::from_utf8(std::mem::take(&mut self.line)).unwrap();
                self.type_out("\r\n");
                if line.starts_with("repl.init(1500000,") {
                    self.enter(Phase::Flashing);
                } else {
                    self.type_out(">>> ");
                }
            }
            byte => {
                self.line.push(byte);
                self.rest.send(&[byte]);
            }
        }
    }

    fn after_command(&mut self) {
        if std::mem::take(&mut self.rest.reset) {
            self.boot();
            return;
        }
        if !std::mem::take(&mut self.rest.interrupted) || self.phase != Phase::Ide {
            return;
        }
        if self.running.is_some() {
            if self.script == Program::Tame {
                self.dispatcher.init();
                self.rest.console.put(b"Exception: IDE interrupt\r\n");
                self.rest.console.put(BANNER.as_bytes());
                self.running = None;
            }
        } else if self.idles {
            self.dispatcher.init();
        } else if self.dispatcher.script_ready() {
            self.rest.console.put(format!("{GREETING}\r\n").as_bytes());
            let now = self.rest.clock.now();
            self.running = Some(now);
            self.next = now + SENSOR;
        }
    }
}

impl Transport for SlowBoard {
    fn read(&mut self, buf: &mut [u8], timeout: Duration) -> io::Result<usize> {
        let deadline = self.rest.clock.now() + timeout;
        loop {
            let next = self.run();
            if self.gone {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let now = self.rest.clock.now();
            let ready = self.rest.out.front().map(|(first, _)| {
                let full = self.rest.out.get(HELD_BACK.0 - 1).map(|(time, _)| *time);
                full.unwrap_or(*first + HELD_BACK.1)
                    .min(*first + HELD_BACK.1)
            });
            if ready.is_some_and(|ready| ready <= now) {
                let mut count = 0;
                while count < buf.len()
                    && let Some((time, byte)) = self.rest.out.front()
                    && *time <= now
                {
                    buf[count] = *byte;
                    count += 1;
                    self.rest.out.pop_front();
                }
                // At the wrong speed it is read as something else.
                if self.host_baud != self.rest.baud {
                    buf[..count].fill(0xf8);
                }
                return Ok(count);
            }
            if now >= deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let wake = [next, ready].into_iter().flatten().min();
            let wake = wake.unwrap_or(deadline).clamp(now, deadline);
            self.rest.clock.wait_until(wake).unwrap();
        }
    }

    fn write_all(&mut self, data: &[u8], _timeout: Duration) -> io::Result<()> {
        for byte in data {
            // They are heard when they arrive; the host has gone on meanwhile on a real line.
            self.rest.clock.wait(wire_time(1, self.host_baud)).unwrap();
            self.run();
            if self.gone {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            if self.host_baud == self.rest.baud {
                self.hear(*byte);
            }
        }
        Ok(())
    }

    fn set_baud_rate(&mut self, baud: u32) -> io::Result<()> {
        self.host_baud = baud;
        Ok(())
    }

    fn set_control_lines(&mut self, dtr: bool, rts: bool) -> io::Result<()> {
        assert!(!self.well || dtr == rts, "a board that works is reset");
        if self.wired && self.phase == Phase::Dead && !rts {
            self.boot();
        } else if self.wired && rts && !dtr {
            self.rest.out.clear();
            self.enter(Phase::Dead);
        }
        Ok(())
    }

    fn discard_input(&mut self) -> io::Result<()> {
        self.rest.out.clear();
        Ok(())
    }
}

fn goal() -> Goal {
    Goal {
        baud: IDE_BAUD_RATE,
        // As long as the element's own.
        script: vec![b'#'; 400],
        greets: true,
        patience: connect::PATIENCE,
    }
}

/// Opens the port of a board, whose clock this is, and streams until the first frame.
fn first_frame(board: &Cable, clock: &Interrupt) -> Result<(), ConnectError> {
    let port = Box::new(board.clone());
    let Connected { mut session, .. } = connect::connect(port, &goal(), clock, &Arc::default())?;
    loop {
        match session.fetch().map_err(ConnectError::Lost)? {
            Fetched::Frame(frame) => {
                assert_eq!((frame.width, frame.height), (320, 240));
                return Ok(());
            }
            Fetched::NotReady => clock.wait(MS).map_err(|_| ConnectError::Interrupted)?,
            other => panic!("{other:?}"),
        }
    }
}

/// The simulated time to the first frame, or to the error.
fn time_from(
    phase: Phase,
    prepare: impl FnOnce(&mut SlowBoard),
) -> (Duration, Result<(), ConnectError>) {
    let clock = Interrupt::simulated();
    let mut board = SlowBoard::new(phase, &clock);
    prepare(&mut board);
    let start = clock.now();
    let result = first_frame(&Cable::to(board), &clock);
    (clock.now() - start, result)
}

fn streams_within(limit: Duration, what: &str, phase: Phase, prepare: impl FnOnce(&mut SlowBoard)) {
    let (time, result) = time_from(phase, prepare);
    println!("{what}: the first frame after {time:?}");
    result.unwrap_or_else(|error| panic!("{what}: {error} after {time:?}"));
    assert!(time <= limit, "{what}: {time:?}");
}

/// It answers if it is given the time.
fn well(board: &mut SlowBoard) {
    board.well = true;
}

/// A script runs that another client has left.
fn left_running(board: &mut SlowBoard) {
    let mut request = vec![0x30, 0x05, 4, 0, 0, 0];
    request.extend(b"####");
    board.write_all(&request, MS).unwrap();
    assert!(board.running.is_some());
}

#[test]
fn a_board_in_ide_mode_streams_within_three_seconds() {
    let limit = Duration::from_secs(3);
    streams_within(limit, "idle in IDE mode", Phase::Ide, well);
    streams_within(limit, "busy in IDE mode", Phase::Ide, left_running);
}

#[test]
fn a_board_that_boots_streams_within_eight_seconds() {
    let limit = Duration::from_secs(8);
    streams_within(limit, "from power", Phase::Dark, well);
    streams_within(limit, "from power, to IDE mode", Phase::Dark, |board| {
        board.to_ide = true;
        board.well = true;
    });
    streams_within(limit, "at the prompt", Phase::Prompt, well);
    streams_within(limit, "in IDE mode at 115200 baud", Phase::Ide, |board| {
        board.rest.baud = REPL_BAUD_RATE;
        board.well = true;
    });
    streams_within(limit, "from power, main.py wedged", Phase::Dark, |board| {
        board.main = Program::Deaf;
    });
}

#[test]
fn a_board_stuck_in_a_script_is_reset_where_the_adapter_can() {
    let limit = Duration::from_secs(8);
    streams_within(limit, "main.py wedged", Phase::Stuck, |board| {
        board.main = Program::Deaf;
        board.wired = true;
    });
    streams_within(limit, "wedged in IDE mode", Phase::Ide, |board| {
        board.script = Program::Deaf;
        left_running(board);
    });
}

fn fails_in_time(
    what: &str,
    phase: Phase,
    prepare: impl FnOnce(&mut SlowBoard),
    expected: fn(&ConnectError) -> bool,
) {
    let (time, result) = time_from(phase, prepare);
    let error = result.expect_err(what);
    println!("{what}: “{error}” after {time:?}");
    assert!(expected(&error), "{what}: {error:?}");
    // What the element adds is opening the port.
    assert!(time <= Duration::from_millis(4850), "{what}: {time:?}");
}

#[test]
fn a_board_that_is_not_to_be_had_is_reported_within_five_seconds() {
    let silent: fn(&ConnectError) -> bool = |error| matches!(error, ConnectError::Silent);
    fails_in_time("silent", Phase::Dead, |_| {}, silent);
    fails_in_time("stuck", Phase::Stuck, |_| {}, silent);
    fails_in_time(
        "garbage",
        Phase::Garbage,
        |_| {},
        |error| matches!(error, ConnectError::Garbage(_)),
    );
    fails_in_time(
        "chatter",
        Phase::Chatter,
        |_| {},
        |error| matches!(error, ConnectError::Deaf(line) if line.contains("21.5 degrees")),
    );
}

#[test]
fn a_board_that_never_starts_the_script_is_reported_within_five_seconds() {
    let not_started: fn(&ConnectError) -> bool = |error| matches!(error, ConnectError::NotStarted);
    let idles = |board: &mut SlowBoard| board.idles = true;
    fails_in_time("idle in IDE mode", Phase::Ide, idles, not_started);
}

#[test]
fn a_board_that_starts_the_script_after_a_while_streams() {
    let clock = Interrupt::simulated();
    let board = Cable::to(SlowBoard::new(Phase::Ide, &clock));
    board.board().idles = true;
    let ready = clock.now() + Duration::from_secs(2);
    board.board().fate = Some((ready, Fate::Ready));
    first_frame(&board, &clock).unwrap();
    assert!(clock.now() >= ready);
}

/// Its `main.py` ignores Ctrl-C, and begins before it has noticed the one that is to prevent it.
fn wedges(board: &mut SlowBoard) {
    board.main = Program::Deaf;
    board.misses = true;
}

#[test]
fn a_board_that_starts_and_wedges_again_is_reported_within_five_seconds() {
    let wedged: fn(&ConnectError) -> bool =
        |error| matches!(error, ConnectError::Deaf(line) if line.contains("init end"));
    fails_in_time("from power", Phase::Dark, wedges, wedged);
    let what = "reset by the adapter's lines";
    fails_in_time(
        what,
        Phase::Stuck,
        |board| {
            wedges(board);
            board.wired = true;
        },
        wedged,
    );
    let what = "reset from IDE mode";
    fails_in_time(
        what,
        Phase::Ide,
        |board| {
            wedges(board);
            board.script = Program::Deaf;
            left_running(board);
        },
        wedged,
    );
}

/// Looks for a board at these ports, as the element does: how many were tried, the time it took and
/// what came of the last.
fn search(phases: &[Phase]) -> (usize, Duration, Result<(), ConnectError>) {
    let clock = Interrupt::simulated();
    let start = clock.now();
    let mut search = Search::new(phases.len(), &clock);
    let mut result = Ok(());
    let mut tried = 0;
    for phase in phases {
        let port = Box::new(SlowBoard::new(*phase, &clock));
        let goal = Goal {
            patience: search.next(&clock),
            ..goal()
        };
        tried += 1;
        result = connect::connect(port, &goal, &clock, &Arc::default()).map(drop);
        if result.is_ok() {
            break;
        }
    }
    (tried, clock.now() - start, result)
}

#[test]
fn many_ports_without_a_board_take_no_longer_than_one() {
    for other in [Phase::Dead, Phase::Garbage, Phase::Chatter] {
        for count in 1..=8 {
            let (tried, time, result) = search(&vec![other; count]);
            println!("{count} ports: {time:?}");
            assert!(result.is_err());
            assert_eq!(tried, count);
            assert!(time <= Duration::from_millis(4850), "{count}: {time:?}");
        }
    }
}

#[test]
fn a_board_is_found_behind_many_other_ports() {
    for phase in [Phase::Prompt, Phase::Ide] {
        for count in 1..=8 {
            let mut ports = vec![Phase::Dead; count];
            ports.push(phase);
            let (tried, time, result) = search(&ports);
            println!("behind {count} ports: {time:?}");
            result.unwrap();
            assert_eq!(tried, count + 1);
            assert!(time <= Duration::from_secs(8), "{count}: {time:?}");
        }
    }
}

/// Streams, and lets something happen to the board.
fn time_after(what: &str, happens: Phase) {
    let clock = Interrupt::simulated();
    let board = Cable::to(SlowBoard::new(Phase::Ide, &clock));
    let port = Box::new(board.clone());
    let connected = connect::connect(port, &goal(), &clock, &Arc::default());
    let mut session = connected.unwrap().session;
    while !matches!(session.fetch(), Ok(Fetched::Frame(_))) {
        clock.wait(MS).unwrap();
    }
    board.board().enter(happens);
    let start = clock.now();
    let error = loop {
        match session.fetch() {
            Ok(_) => clock.wait(MS).unwrap(),
            Err(error) => break error,
        }
    };
    let time = clock.now() - start;
    println!("{what}: “{error}” after {time:?}");
    let expected = matches!(error, SessionError::OutOfStep | SessionError::Babble(_));
    assert!(expected, "{what}: {error:?}");
    assert!(time <= Duration::from_millis(4500), "{what}: {time:?}");
}

/// A way to a board that can be opened again.
#[derive(Clone)]
struct Cable(Arc<Mutex<SlowBoard>>);

impl Cable {
    fn to(board: SlowBoard) -> Self {
        Cable(Arc::new(Mutex::new(board)))
    }

    fn board(&self) -> MutexGuard<'_, SlowBoard> {
        self.0.lock().unwrap()
    }
}

impl Transport for Cable {
    fn read(&mut self, buf: &mut [u8], timeout: Duration) -> io::Result<usize> {
        self.board().read(buf, timeout)
    }
    fn write_all(&mut self, data: &[u8], timeout: Duration) -> io::Result<()> {
        self.board().write_all(data, timeout)
    }
    fn set_baud_rate(&mut self, baud: u32) -> io::Result<()> {
        self.board().set_baud_rate(baud)
    }
    fn set_control_lines(&mut self, dtr: bool, rts: bool) -> io::Result<()> {
        self.board().set_control_lines(dtr, rts)
    }
    fn discard_input(&mut self) -> io::Result<()> {
        self.board().discard_input()
    }
}

#[test]
fn a_board_that_is_lost_while_it_streams_is_reported_within_five_seconds() {
    time_after("falls silent", Phase::Dead);
    time_after("turns to garbage", Phase::Garbage);
}

/// Lets that happen at every moment on the way to the first frame: the moment, the board and its
/// clock at the start.
fn at_every_moment(
    phase: Phase,
    fate: Fate,
    step: usize,
    mut check: impl FnMut(Duration, Cable, Interrupt),
) {
    let (usual, result) = time_from(phase, well);
    result.unwrap();
    for ms in (0..usual.as_millis() as u32).step_by(step) {
        let clock = Interrupt::simulated();
        let mut board = SlowBoard::new(phase, &clock);
        board.fate = Some((clock.now() + ms * MS, fate));
        check(ms * MS, Cable::to(board), clock);
    }
}

#[test]
fn a_cable_that_is_pulled_before_the_first_frame_is_noticed_at_once() {
    for phase in [Phase::Dark, Phase::Prompt, Phase::Ide] {
        let mut answered = false;
        at_every_moment(phase, Fate::Pulled, 23, |moment, board, clock| {
            let start = clock.now();
            match first_frame(&board, &clock).expect_err("the cable is out") {
                // What has shown itself to be a board may be waited for.
                ConnectError::Lost(SessionError::Gone(_)) => answered = true,
                ConnectError::Session(SessionError::Gone(_)) => {
                    assert!(!answered, "forgotten after {moment:?}");
                }
                other => panic!("after {moment:?}: {other:?}"),
            }
            let time = clock.now() - start;
            assert!(time <= moment + 100 * MS, "{time:?} for {moment:?}");
        });
        assert!(answered);
    }
}

#[test]
fn a_board_that_is_reset_before_the_first_frame_streams_within_eight_seconds() {
    for phase in [Phase::Prompt, Phase::Ide] {
        let mut longest = Duration::ZERO;
        at_every_moment(phase, Fate::Reset, 61, |moment, board, clock| {
            let reset = clock.now() + moment;
            while let Err(error) = first_frame(&board, &clock) {
                // Otherwise the element would not try again.
                assert!(
                    matches!(error, ConnectError::Lost(_)),
                    "after {moment:?}: {error:?}"
                );
            }
            longest = longest.max(clock.now() - reset);
        });
        println!("the first frame at most {longest:?} after the reset");
        assert!(longest <= Duration::from_secs(8));
    }
}
