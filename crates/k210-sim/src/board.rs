// SPDX-License-Identifier: MIT OR Apache-2.0
//! The board: its UART, its interrupt handler and its processor.
//!
//! Two threads make a board. One is the UART's interrupt handler: it takes bytes from the line when
//! they arrive and feeds the debug dispatcher, or the prompt's input. The other is the processor's
//! main program ([`firmware`](super::firmware)). [`State`] is shared by both and by the host's ports
//! under one mutex; who writes which part stands at the part.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::camera::Registers;
use super::console::Console;
use super::dispatch::{Dispatcher, Peripherals};
use super::flash::Flash;
use super::jpeg::JpegBuffer;
use super::line::{self, Filler, Line, Noise};
use super::scene::{Scene, TestScene};
use super::{BootMode, firmware};
use k210_link::REPL_BAUD_RATE;
use k210_link::transport::Transport;

/// Bytes in each of the UARTHS's two hardware FIFOs.
const FIFO: usize = 8;

/// Bytes that the host's driver keeps for a program that does not read; what comes then is lost.
const HOST_BUFFER: usize = 64 * 1024;

/// Bytes that the host's driver takes ahead of the line.
const HOST_WRITE_AHEAD: u64 = 4096;

/// Longest that a received byte waits for others before the reader gets it: what USB adapters do, at
/// the least.
const RECEIVE_LATENCY: u64 = 1_000_000;

/// How a simulated board is made.
pub struct Config {
    /// What the camera sees.
    pub scene: Box<dyn Scene>,
    /// What the board is doing when it is first plugged in.
    pub boot: BootMode,
    /// Speed of the UART in the boot modes that start in IDE mode.
    pub ide_baud_rate: u32,
    /// Frames a second of the sensor.
    pub frame_rate: f64,
    /// Files in flash, by path.
    pub files: Vec<(String, Vec<u8>)>,
    /// Share of the bytes from the board that the line flips, loses or adds (0 to 1).
    pub noise: f64,
    /// The same for the bytes to the board. One damaged bit in the length of a request can keep a
    /// board sending for hours, deaf to everything but its reset line.
    pub request_noise: f64,
    /// Makes the noise repeatable.
    pub seed: u64,
    /// Who is told of each frame that the board sends.
    pub sent: Option<mpsc::Sender<SentFrame>>,
}

/// What a board sent in answer to one FRAME_DUMP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentFrame {
    /// The JPEG as the board has it; empty when there was none to send.
    pub data: Vec<u8>,
    /// Bytes that were asked for, which is how many were sent.
    pub asked: usize,
    /// Bytes of them that noise flipped, lost or added.
    pub hits: u64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            scene: Box::new(TestScene),
            boot: BootMode::default(),
            ide_baud_rate: k210_link::IDE_BAUD_RATE,
            frame_rate: 30.0,
            files: Vec::new(),
            noise: 0.0,
            request_noise: 0.0,
            seed: 1,
            sent: None,
        }
    }
}

/// An exception that an interrupt handler wants raised in the interpreter
/// (`mp_pending_exception`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pending {
    /// Ctrl-C.
    Keyboard,
    /// The debug protocol's.
    Ide,
}

/// Everything but the dispatcher, which works on it.
pub(crate) struct Core {
    /// Host to board.
    up: Line,
    /// Board to host.
    down: Line,
    /// The board's UART. Written by the processor, read by everyone.
    pub baud_rate: u32,
    /// The host's UART; `None` is an adapter that always has the board's speed.
    host_baud_rate: Option<u32>,
    /// Time of the event that the interrupt handler works on.
    time: u64,
    /// Until when the interrupt handler waits for the transmitter, and the processor with it.
    busy_until: u64,
    /// The UART delivers interrupts. Written by the processor.
    pub listening: bool,
    /// `ide_debug_mode` of the UART. Written by the processor.
    pub ide: bool,
    /// Where output goes in IDE mode. Filled by the processor, emptied by the interrupt handler.
    pub console: Console,
    /// `read_buf`. Filled by the interrupt handler, emptied by the processor.
    pub stdin: VecDeque<u8>,
    /// Bytes that `read_buf` holds. Written by the processor.
    pub stdin_size: usize,
    /// `mp_interrupt_char`. Written by the processor.
    pub interrupt_char: Option<u8>,
    /// `mp_pending_exception`. Set by the interrupt handler, taken by the processor.
    pub pending: Option<Pending>,
    /// Shared by both, under the firmware's own lock.
    pub jpeg: JpegBuffer,
    /// The sensor's registers, written by both.
    pub registers: Registers,
    /// Written by both.
    pub flash: Flash,
    /// The dispatcher asked for a reset.
    reset: bool,
    /// Who is told of frames.
    sent: Option<mpsc::Sender<SentFrame>>,
}

impl Core {
    fn host_baud_rate(&self) -> u32 {
        self.host_baud_rate.unwrap_or(self.baud_rate)
    }

    /// Sends from `time` on; gives the time when the last byte has entered the transmitter's FIFO.
    fn transmit(&mut self, time: u64, data: &[u8], length: usize, filler: Filler) -> u64 {
        let (from, to) = (self.baud_rate, self.host_baud_rate());
        self.down.keep(time, HOST_BUFFER);
        let end = self.down.send_filled(time, data, length, filler, from, to);
        end.saturating_sub(line::duration(FIFO as u64, from))
    }

    /// As [`transmit`](Self::transmit), by the interrupt handler, which waits for it.
    fn reply(&mut self, data: &[u8], length: usize, filler: Filler) {
        let done = self.transmit(self.time, data, length, filler);
        self.busy_until = done.max(self.time);
    }
}

impl Peripherals for Core {
    fn send(&mut self, data: &[u8]) {
        self.reply(data, data.len(), Filler::Zeros);
    }

    fn send_repeated(&mut self, data: &[u8], count: usize) {
        self.reply(data, data.len() * count, Filler::Repeat);
    }

    fn send_frame(&mut self, length: usize) {
        let pixels = self.jpeg.pixels();
        let data = pixels[..length.min(pixels.len())].to_vec();
        let hits = self.down.hits();
        self.reply(&data, length, Filler::Zeros);
        if let Some(sent) = &self.sent {
            let frame = SentFrame {
                data: self.jpeg.pixels()[..self.jpeg.size as usize].to_vec(),
                asked: length,
                hits: self.down.hits() - hits,
            };
            // Whoever wanted to know may have gone.
            let _ = sent.send(frame);
        }
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
        self.pending = Some(Pending::Ide);
    }

    fn set_attribute(&mut self, attribute: i16, value: i16) {
        self.registers.set_attribute(attribute, value);
    }

    fn reset(&mut self) {
        self.reset = true;
    }
}

/// The board.
pub(crate) struct State {
    pub core: Core,
    pub dispatcher: Dispatcher,
    /// The receiver's hardware FIFO, used while the interrupt handler is busy sending.
    fifo: VecDeque<u8>,
    /// Bytes that a full FIFO lost.
    overruns: u64,
    /// Plugged in.
    pub powered: bool,
    /// The reset line is pulled.
    held: bool,
    /// The boot strap is pulled: releasing the reset line starts the loader in ROM.
    strapped: bool,
    /// Starts of the processor; its program ends when this changes.
    pub starts: u64,
    /// Times that the board was plugged in; ports of earlier times are dead.
    plugs: u64,
    /// The next start is into the ROM's loader, which says nothing.
    pub in_loader: bool,
    /// The board is where its boot mode says.
    pub settled: bool,
    quit: bool,
}

impl State {
    /// What a reset of the chip does to everything outside the processor's program.
    pub(crate) fn reset(&mut self, now: u64) {
        self.core.down.cut(now);
        self.core.up.discard(now);
        self.core.baud_rate = REPL_BAUD_RATE;
        self.core.busy_until = 0;
        self.core.listening = false;
        self.core.ide = false;
        self.core.console = Console::default();
        self.core.stdin.clear();
        self.core.interrupt_char = None;
        self.core.pending = None;
        self.core.jpeg = JpegBuffer::default();
        self.core.registers = Registers::default();
        self.core.flash.remount();
        self.core.reset = false;
        self.dispatcher = Dispatcher::default();
        self.fifo.clear();
        self.in_loader = self.strapped;
        self.starts += 1;
    }

    /// Has power, and nobody holds the reset line.
    pub(crate) fn running(&self) -> bool {
        self.powered && !self.held && !self.quit
    }

    /// The board is being dropped.
    pub(crate) fn quitting(&self) -> bool {
        self.quit
    }

    /// Does what the interrupt handler would have done by `now`; gives the time of its next event.
    fn serve(&mut self, now: u64) -> Option<u64> {
        loop {
            let arrival = self.core.up.next_arrival();
            let until = now.min(arrival.unwrap_or(u64::MAX));
            if self.core.busy_until <= until
                && let Some(byte) = self.fifo.pop_front()
            {
                self.interrupt(byte, self.core.busy_until);
            } else if let Some((time, byte)) = self.core.up.take(now) {
                if !self.running() || !self.core.listening {
                    continue;
                }
                if time >= self.core.busy_until {
                    self.interrupt(byte, time);
                } else if self.fifo.len() < FIFO {
                    self.fifo.push_back(byte);
                } else {
                    self.overruns += 1;
                }
            } else if self.fifo.is_empty() {
                return arrival;
            } else {
                return Some(arrival.unwrap_or(u64::MAX).min(self.core.busy_until));
            }
            if self.core.reset {
                self.reset(now);
            }
        }
    }

    /// `uart_rx_irq`, for one byte.
    fn interrupt(&mut self, byte: u8, time: u64) {
        self.core.time = time;
        if self.core.ide {
            self.dispatcher.feed(byte, &mut self.core);
            return;
        }
        let core = &mut self.core;
        if core.stdin.len() >= core.stdin_size {
            return;
        }
        core.stdin.push_back(byte);
        if core.interrupt_char == Some(byte) {
            // A second Ctrl-C takes a pending exception back.
            core.pending = match core.pending {
                None => Some(Pending::Keyboard),
                Some(_) => None,
            };
        }
    }
}

/// What the threads share.
pub(crate) struct Shared {
    epoch: Instant,
    state: Mutex<State>,
    /// For the interrupt handler: the line from the host, the reset lines, the end.
    line_changed: Condvar,
    /// For the processor: input, a pending exception, a start, the end.
    wake: Condvar,
    /// For the host's readers and writers.
    host: Condvar,
}

impl Shared {
    /// A board that is plugged in and whose threads have not begun.
    fn new(config: &mut Config) -> io::Result<Arc<Self>> {
        let mut flash = Flash::default();
        for (path, content) in &config.files {
            flash
                .write(path, content)
                .map_err(|error| io::Error::other(format!("{path}: {error}")))?;
        }
        Ok(Arc::new(Shared {
            epoch: Instant::now(),
            state: Mutex::new(State {
                core: Core {
                    up: Line::new(Noise::new(config.request_noise, config.seed)),
                    down: Line::new(Noise::new(config.noise, !config.seed)),
                    baud_rate: REPL_BAUD_RATE,
                    host_baud_rate: Some(REPL_BAUD_RATE),
                    time: 0,
                    busy_until: 0,
                    listening: false,
                    ide: false,
                    console: Console::default(),
                    stdin: VecDeque::new(),
                    stdin_size: 0,
                    interrupt_char: None,
                    pending: None,
                    jpeg: JpegBuffer::default(),
                    registers: Registers::default(),
                    flash,
                    reset: false,
                    sent: config.sent.take(),
                },
                dispatcher: Dispatcher::default(),
                fifo: VecDeque::new(),
                overruns: 0,
                powered: true,
                held: false,
                strapped: false,
                starts: 1,
                plugs: 1,
                in_loader: false,
                settled: matches!(config.boot, BootMode::PowerOn | BootMode::Silent),
                quit: false,
            }),
            line_changed: Condvar::new(),
            wake: Condvar::new(),
            host: Condvar::new(),
        }))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // After a panic in another thread the state is still one that a board can have.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nanoseconds since the board was made.
    pub(crate) fn now(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    fn wait<'a>(
        &self,
        condition: &Condvar,
        state: MutexGuard<'a, State>,
        until: Option<u64>,
    ) -> MutexGuard<'a, State> {
        match until {
            None => condition
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner),
            Some(until) => {
                let rest = Duration::from_nanos(until.saturating_sub(self.now()));
                if rest.is_zero() {
                    return state;
                }
                condition
                    .wait_timeout(state, rest)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        }
    }

    /// Lets the processor's thread wait for an interrupt, at most until then.
    pub(crate) fn idle<'a>(
        &self,
        state: MutexGuard<'a, State>,
        until: Option<u64>,
    ) -> MutexGuard<'a, State> {
        self.wait(&self.wake, state, until)
    }

    /// `uarths_send_data` of the main program: gives the time when it is done.
    pub(crate) fn transmit(&self, state: &mut State, data: &[u8]) -> u64 {
        let now = self.now();
        let done = state.core.transmit(now, data, data.len(), Filler::Zeros);
        self.host.notify_all();
        done
    }

    /// Tells who made the board that it is where its boot mode says.
    pub(crate) fn settle(&self) {
        let mut state = self.lock();
        if !state.settled {
            state.settled = true;
            self.host.notify_all();
        }
    }

    /// Until when the interrupt handler keeps the processor from its program.
    pub(crate) fn stalled(&self, state: &State) -> Option<u64> {
        (state.core.busy_until > self.now()).then_some(state.core.busy_until)
    }

    fn changed(&self) {
        self.line_changed.notify_all();
        self.wake.notify_all();
        self.host.notify_all();
    }

    fn serve(&self) {
        let mut state = self.lock();
        while !state.quit {
            let next = state.serve(self.now());
            self.wake.notify_all();
            self.host.notify_all();
            state = self.wait(&self.line_changed, state, next);
        }
    }
}

/// Stack of a processor, for as deep as the interpreter goes.
const STACK: usize = 32 << 20;

/// Runs a script on a processor without a board, for at most so many statements, and gives what it
/// printed, its exception included. No time passes: a script's waits are over at once, and the
/// camera has its next picture.
///
/// ```
/// let said = k210_sim::run_script("print('%04d' % 42)\nprint(1 / 0)", 1000)?;
/// assert!(said.starts_with("0042\r\n"));
/// assert!(said.ends_with("ZeroDivisionError: divide by zero\r\n"));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// When the system has no more threads.
pub fn run_script(source: &str, statements: u64) -> io::Result<String> {
    let mut config = Config::default();
    let shared = Shared::new(&mut config)?;
    let source = source.to_owned();
    let thread = std::thread::Builder::new()
        .name("k210-sim-script".into())
        .stack_size(STACK)
        .spawn(move || firmware::run_alone(shared, config, &source, statements))?;
    match thread.join() {
        Ok(output) => Ok(String::from_utf8_lossy(&output).into_owned()),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// A simulated board. It is plugged in when it is made, and gone when it is dropped.
pub struct Board {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Board {
    /// Makes a board and plugs it in. A boot mode other than that of a start has been reached when
    /// this returns.
    ///
    /// # Errors
    ///
    /// When the system has no more threads.
    pub fn new(mut config: Config) -> io::Result<Self> {
        let shared = Shared::new(&mut config)?;
        let mut board = Board {
            shared: shared.clone(),
            threads: Vec::new(),
        };
        let uart = shared.clone();
        board.threads.push(
            std::thread::Builder::new()
                .name("k210-sim-uart".into())
                .spawn(move || uart.serve())?,
        );
        board.threads.push(
            std::thread::Builder::new()
                .name("k210-sim-cpu".into())
                .stack_size(STACK)
                .spawn(move || firmware::run(shared, config))?,
        );
        let mut state = board.shared.lock();
        while !state.settled {
            state = board.shared.wait(&board.shared.host, state, None);
        }
        drop(state);
        Ok(board)
    }

    /// The host's end of the cable, at 115 200 baud. Further ports share the line, as programs that
    /// open one device do.
    pub fn port(&self) -> Port {
        Port {
            plug: self.shared.lock().plugs,
            shared: self.shared.clone(),
            board: None,
        }
    }

    /// Pulls the cable: the power goes, and ports report a broken pipe for ever.
    pub fn unplug(&self) {
        let mut state = self.shared.lock();
        if state.powered {
            state.powered = false;
            state.plugs += 1;
            state.held = false;
            state.strapped = false;
            let now = self.shared.now();
            state.reset(now);
            state.core.down.discard(now);
            state.core.host_baud_rate = Some(REPL_BAUD_RATE);
            self.shared.changed();
        }
    }

    /// Puts the cable back; the board boots.
    pub fn replug(&self) {
        let mut state = self.shared.lock();
        if !state.powered {
            state.powered = true;
            state.starts += 1;
            self.shared.changed();
        }
    }

    /// Whether the cable is in.
    pub fn is_plugged(&self) -> bool {
        self.shared.lock().powered
    }

    /// Bytes that the UART's receiver lost because the interrupt handler was busy sending.
    pub fn overruns(&self) -> u64 {
        self.shared.lock().overruns
    }

    /// A file in flash.
    pub fn read_file(&self, path: &str) -> Option<Vec<u8>> {
        let state = self.shared.lock();
        state.core.flash.chip(path).map(<[u8]>::to_vec)
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.shared.lock().quit = true;
        self.shared.changed();
        for thread in self.threads.drain(..) {
            // The thread's panic was reported when it happened.
            let _ = thread.join();
        }
    }
}

/// The host's end of a simulated board's cable.
pub struct Port {
    shared: Arc<Shared>,
    plug: u64,
    /// A port that [`open`] made keeps its board alive.
    board: Option<Board>,
}

/// Makes a board and opens its port; the board goes with the port.
///
/// # Errors
///
/// When the system has no more threads.
pub fn open(config: Config) -> io::Result<Port> {
    let board = Board::new(config)?;
    let mut port = board.port();
    port.board = Some(board);
    Ok(port)
}

impl Port {
    fn check(&self, state: &State) -> io::Result<()> {
        if state.plugs == self.plug && state.powered && !state.quit {
            Ok(())
        } else {
            Err(io::Error::new(
                io::ErrorKind::BrokenPipe,
                "the simulated board was unplugged",
            ))
        }
    }

    /// Gives this end the board's speed, always.
    pub fn follow_baud_rate(&mut self) {
        self.shared.lock().core.host_baud_rate = None;
    }

    /// The board this port came with, if [`open`] made it.
    pub fn board(&self) -> Option<&Board> {
        self.board.as_ref()
    }
}

impl Transport for Port {
    fn read(&mut self, buf: &mut [u8], timeout: Duration) -> io::Result<usize> {
        let timeout = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        let deadline = self.shared.now().saturating_add(timeout);
        let mut state = self.shared.lock();
        loop {
            self.check(&state)?;
            let now = self.shared.now();
            let down = &state.core.down;
            let first = down.next_arrival();
            let due = first.map(|first| {
                let all = down.arrival_of(buf.len()).unwrap_or(first);
                all.min(first + RECEIVE_LATENCY)
            });
            let expired = now >= deadline;
            if due.is_some_and(|due| due <= now) || (expired && down.waiting(now) > 0) {
                return Ok(state.core.down.take_into(now, buf));
            }
            if expired {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let until = due.unwrap_or(u64::MAX).min(deadline);
            state = self.shared.wait(&self.shared.host, state, Some(until));
        }
    }

    fn write_all(&mut self, data: &[u8], timeout: Duration) -> io::Result<()> {
        let timeout = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        let deadline = self.shared.now().saturating_add(timeout);
        let mut state = self.shared.lock();
        let mut rest = data;
        loop {
            self.check(&state)?;
            let host = state.core.host_baud_rate();
            let ahead = line::duration(HOST_WRITE_AHEAD, host);
            let now = self.shared.now();
            if state.core.up.free() <= now + ahead {
                let (piece, later) = rest.split_at(rest.len().min(HOST_WRITE_AHEAD as usize));
                let to = state.core.baud_rate;
                state.core.up.send(now, piece, host, to);
                self.shared.line_changed.notify_all();
                if later.is_empty() {
                    return Ok(());
                }
                rest = later;
                continue;
            }
            if now >= deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let until = (state.core.up.free() - ahead).min(deadline);
            state = self.shared.wait(&self.shared.host, state, Some(until));
        }
    }

    fn set_baud_rate(&mut self, baud: u32) -> io::Result<()> {
        let mut state = self.shared.lock();
        self.check(&state)?;
        // As tcsetattr(TCSADRAIN) does.
        while state.core.up.free() > self.shared.now() {
            let until = state.core.up.free();
            state = self.shared.wait(&self.shared.host, state, Some(until));
            self.check(&state)?;
        }
        state.core.host_baud_rate = Some(baud);
        Ok(())
    }

    /// The lines drive a pair of transistors, as on the boards with a CH340 or a CH552: reset is
    /// pulled while RTS is asserted and DTR is not, the boot strap while it is the other way round.
    fn set_control_lines(&mut self, dtr: bool, rts: bool) -> io::Result<()> {
        let mut state = self.shared.lock();
        self.check(&state)?;
        let held = rts && !dtr;
        let strapped = dtr && !rts;
        if held && !state.held {
            state.held = true;
            let now = self.shared.now();
            state.reset(now);
        } else if !held && state.held {
            state.held = false;
            state.in_loader = strapped;
            state.starts += 1;
        }
        state.strapped = strapped;
        self.shared.changed();
        Ok(())
    }

    fn discard_input(&mut self) -> io::Result<()> {
        let mut state = self.shared.lock();
        self.check(&state)?;
        let now = self.shared.now();
        state.core.down.discard(now);
        Ok(())
    }
}
