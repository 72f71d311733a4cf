// SPDX-License-Identifier: MIT OR Apache-2.0
//! The processor's program: boot, prompt, scripts (`maixpy_main.c`, `_boot.py`, MicroPython's
//! `pyexec.c`).

use std::rc::Rc;
use std::sync::Arc;

use super::board::{Config, Pending, Shared, State};
use super::camera::{Camera, SnapshotError};
use super::console::Console;
use super::flash::IDE_MODE_FILE;
use super::python::heap::{self, Generation};
use super::python::{Exception, Got, Interpreter, Mode, Namespace, Raise, Result};
use super::readline::{Line, Readline};
use super::{BootMode, python};
use k210_link::{IDE_BAUD_RATE, REPL_BAUD_RATE};

/// What a statement takes of the processor's time, about. It keeps `while True: pass` from taking
/// all of the host's.
const STATEMENT_NS: u64 = 5_000;

/// How far the processor may run ahead of its clock before it waits.
const AHEAD_NS: u64 = 1_000_000;

/// From power to the first line of text, about.
const START_NS: u64 = 250_000_000;

/// `MAIX_UART_BUF`.
const UART_BUFFER: usize = 2048;

/// `timeout_char` without a wish.
const TIMEOUT_CHAR: u16 = 10;

const BANNER: &str = "MicroPython v0.6.3 on 2024-01-16; Sipeed_M1 with kendryte-k210\r\n\
                      Type \"help()\" for more information.\r\n";

/// What the firmware writes before its interpreter starts.
const START_TEXT: &str = "\r\n\
    [MAIXPY] Pll0:freq:832000000\r\n\
    [MAIXPY] Pll1:freq:398666666\r\n\
    [MAIXPY] Pll2:freq:45066666\r\n\
    [MAIXPY] cpu:freq:416000000\r\n\
    [MAIXPY] kpu:freq:398666666\r\n\
    [MAIXPY] Flash:0xc8:0x17\r\n";

const HEAP_TEXT: &str = "[MaixPy] gc heap=0x8012b4d0-0x801ab4d0(524288)\r\n";

/// What a board that was never used runs after it booted.
const DEFAULT_MAIN: &[u8] = b"import gc\ngc.collect()\n";

/// What [`BootMode::Main`] runs when flash has no `main.py`.
const TALKING_MAIN: &[u8] =
    b"import time\nwhile True:\n    print('main.py is running')\n    time.sleep(1)\n";

/// What [`BootMode::Wedged`] runs.
const WEDGED: &str = "import time\nwhile True:\n    time.sleep(1)\n";

const CTRL_A: u8 = 1;
const CTRL_B: u8 = 2;
const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
const CTRL_E: u8 = 5;

/// The arguments of the UART's `init` that matter.
pub(crate) struct UartSettings {
    pub baud_rate: u32,
    /// How long a script waits for a first byte, in milliseconds.
    pub timeout_char: Option<u16>,
    pub read_buf_len: usize,
    pub ide: bool,
    pub from_ide: bool,
}

/// The processor with what only it uses.
pub(crate) struct Cpu {
    pub shared: Arc<Shared>,
    pub camera: Camera,
    /// The start that the program belongs to.
    start: u64,
    /// When it started.
    started: u64,
    /// How far the program has come on its own clock.
    clock: u64,
    /// `is_ide_mode`
    ide_mode: bool,
    raw: bool,
    /// Output is thrown away: the board is still on its way to where its boot mode wants it.
    mute: bool,
    /// The file that runs.
    file: String,
    globals: Namespace,
    readline: Readline,
    random: u64,
    boot: Option<BootMode>,
    ide_baud_rate: u32,
    timeout_char: u16,
    alone: Option<Alone>,
}

/// A processor without a board around it: nothing it waits for takes time, nobody hears it.
struct Alone {
    /// Statements until it stops.
    statements: u64,
    /// What it has printed.
    output: Vec<u8>,
}

/// Output that [`run_alone`] keeps.
const MOST_OUTPUT: usize = 1 << 20;

/// Runs a script on a processor without a board, at most so many statements; what it printed, its
/// exception included. It takes stack for as deep as the interpreter goes.
pub(crate) fn run_alone(
    shared: Arc<Shared>,
    config: Config,
    source: &str,
    statements: u64,
) -> Vec<u8> {
    let mut cpu = Cpu::new(shared, config);
    let mut state = cpu.shared.lock();
    state.core.listening = true;
    cpu.start = state.starts;
    drop(state);
    cpu.alone = Some(Alone {
        statements,
        output: Vec::new(),
    });
    // It may have reached its last statement.
    let _ = cpu.execute_upload(source);
    cpu.alone.map(|alone| alone.output).unwrap_or_default()
}

/// How the prompt ends.
#[derive(PartialEq, Eq)]
enum Prompt {
    /// The mode changes, or an exception came.
    Again,
    /// `PYEXEC_FORCED_EXIT`.
    SoftReset,
}

/// Lets time pass until then, and until the interrupt handler lets go of the processor; false when
/// the program is over.
fn wait(shared: &Shared, start: u64, until: u64) -> bool {
    let mut state = shared.lock();
    loop {
        if state.starts != start || !state.running() {
            return false;
        }
        let now = shared.now();
        let next = match shared.stalled(&state) {
            Some(free) => free.max(until),
            None if now >= until => return true,
            None => until,
        };
        state = shared.idle(state, Some(next));
    }
}

/// The thread of the processor.
pub(crate) fn run(shared: Arc<Shared>, config: Config) {
    let silent = config.boot == BootMode::Silent;
    let mut cpu = Cpu::new(shared, config);
    loop {
        let shared = cpu.shared.clone();
        let mut state = shared.lock();
        while !state.running() || silent || state.in_loader || state.starts == cpu.start {
            if state.quitting() {
                return;
            }
            state = shared.idle(state, None);
        }
        cpu.start = state.starts;
        drop(state);
        cpu.started = shared.now();
        cpu.ide_mode = false;
        cpu.raw = false;
        cpu.mute = false;
        cpu.camera.power_cycle();
        // The only way out of the program is that the processor stopped.
        let _ = cpu.main();
    }
}

impl Cpu {
    fn new(shared: Arc<Shared>, config: Config) -> Self {
        Cpu {
            shared,
            camera: Camera::new(config.scene, config.frame_rate),
            start: 0,
            started: 0,
            clock: 0,
            ide_mode: false,
            raw: false,
            mute: false,
            file: String::new(),
            globals: python::namespace(),
            readline: Readline::default(),
            random: config.seed,
            boot: Some(config.boot),
            ide_baud_rate: config.ide_baud_rate,
            timeout_char: TIMEOUT_CHAR,
            alone: None,
        }
    }

    fn check(&self, state: &State) -> Result<()> {
        if state.starts == self.start && state.running() {
            Ok(())
        } else {
            Err(Raise::Halt)
        }
    }

    /// `mp_handle_pending`.
    fn pending(&self, state: &mut State) -> Result<()> {
        self.check(state)?;
        match state.core.pending.take() {
            None => Ok(()),
            Some(Pending::Keyboard) => Err(Raise::with("KeyboardInterrupt", Vec::new())),
            Some(Pending::Ide) => Err(Raise::new("Exception", "IDE interrupt")),
        }
    }

    /// Lets the time of one statement pass, and raises what interrupt handlers wanted raised.
    pub(crate) fn tick(&mut self) -> Result<()> {
        if let Some(alone) = &mut self.alone {
            alone.statements = alone.statements.checked_sub(1).ok_or(Raise::Halt)?;
            let mut state = self.shared.lock();
            return self.pending(&mut state);
        }
        let now = self.shared.now();
        self.clock = (self.clock + STATEMENT_NS).max(now);
        if self.clock > now + AHEAD_NS {
            self.wait(self.clock)?;
        }
        let mut state = self.shared.lock();
        while let Some(until) = self.shared.stalled(&state) {
            self.check(&state)?;
            state = self.shared.idle(state, Some(until));
        }
        self.pending(&mut state)
    }

    /// Lets time pass; only the end of the program interrupts.
    fn wait(&self, until: u64) -> Result<()> {
        if self.alone.is_some() {
            return Ok(());
        }
        match wait(&self.shared, self.start, until) {
            true => Ok(()),
            false => Err(Raise::Halt),
        }
    }

    /// `mp_hal_delay_ms`, which exceptions interrupt.
    pub(crate) fn sleep(&mut self, nanos: u64) -> Result<()> {
        if self.alone.is_some() {
            return self.tick();
        }
        let until = self.shared.now().saturating_add(nanos);
        let mut state = self.shared.lock();
        loop {
            self.pending(&mut state)?;
            let next = self.shared.stalled(&state).unwrap_or(0).max(until);
            if self.shared.now() >= next {
                return Ok(());
            }
            state = self.shared.idle(state, Some(next));
        }
    }

    /// What a driver waits for its device.
    pub(crate) fn delay(&mut self, nanos: u64) -> Result<()> {
        self.sleep(nanos)
    }

    /// Milliseconds since the start.
    pub(crate) fn millis(&self) -> u64 {
        (self.shared.now() - self.started) / 1_000_000
    }

    /// Some bits.
    pub(crate) fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random = self.random.max(1);
        self.random
    }

    /// `mp_hal_stdout_tx_strn`: to the line, or into the console's buffer, whole or not at all.
    pub(crate) fn write(&mut self, data: &[u8]) -> Result<()> {
        if let Some(alone) = &mut self.alone {
            let room = MOST_OUTPUT.saturating_sub(alone.output.len());
            alone.output.extend(&data[..data.len().min(room)]);
            return Ok(());
        }
        let mut state = self.shared.lock();
        self.check(&state)?;
        if self.mute || data.is_empty() {
            return Ok(());
        }
        if state.core.ide {
            // What does not fit is lost.
            state.core.console.put(data);
            return Ok(());
        }
        let done = self.shared.transmit(&mut state, data);
        drop(state);
        self.wait(done)
    }

    fn write_str(&mut self, text: &str) -> Result<()> {
        self.write(text.as_bytes())
    }

    /// `mp_hal_stdout_tx_strn_cooked`: character by character, so a full console buffer takes as
    /// many as fit.
    pub(crate) fn print_bytes(&mut self, data: &[u8]) -> Result<()> {
        let lines: Vec<&[u8]> = data.split(|&byte| byte == b'\n').collect();
        let cooked = lines.join(&b"\r\n"[..]);
        let mut state = self.shared.lock();
        if !state.core.ide || self.alone.is_some() {
            drop(state);
            return self.write(&cooked);
        }
        self.check(&state)?;
        if !self.mute {
            for &byte in &cooked {
                state.core.console.put(&[byte]);
            }
        }
        Ok(())
    }

    pub(crate) fn print(&mut self, text: &str) -> Result<()> {
        self.print_bytes(text.as_bytes())
    }

    /// `mp_obj_print_exception`.
    fn print_exception(&mut self, exception: &Rc<Exception>) -> Result<()> {
        let text = self.exception_text(exception);
        self.print(&text)
    }

    pub(crate) fn exception_text(&self, exception: &Rc<Exception>) -> String {
        let mut text = String::new();
        let traceback = exception.traceback();
        if !traceback.is_empty() {
            text += "Traceback (most recent call last):\n";
            for (line, block) in traceback.iter().rev() {
                text += &format!("  File \"{}\", line {line}", self.file);
                if !block.is_empty() {
                    text += &format!(", in {block}");
                }
                text.push('\n');
            }
        }
        let value = python::Value::Exception(exception.clone());
        text += &format!("{}: {}\n", value.type_name(), exception.message());
        text
    }

    /// `sipeed_sys_reset`.
    pub(crate) fn reset(&mut self) -> Raise {
        let now = self.shared.now();
        self.shared.lock().reset(now);
        Raise::Halt
    }

    /// `machine_uart_init_helper`, with its arguments checked.
    pub(crate) fn init_uart(&mut self, settings: UartSettings) -> Result<()> {
        let mut state = self.shared.lock();
        self.check(&state)?;
        let state = &mut *state;
        let core = &mut state.core;
        self.timeout_char = settings.timeout_char.unwrap_or(self.timeout_char);
        core.baud_rate = settings.baud_rate.max(1);
        core.stdin.clear();
        core.stdin_size = settings.read_buf_len;
        core.listening = true;
        core.ide = settings.ide;
        if settings.ide {
            state.dispatcher.init();
            // The firmware does not look whether either worked.
            let _ = match settings.from_ide {
                true => core.flash.create(IDE_MODE_FILE),
                false => core.flash.remove(IDE_MODE_FILE),
            };
            core.console = Console::new(settings.read_buf_len);
            self.ide_mode = true;
        }
        Ok(())
    }

    /// `sensor.reset()`'s part of the camera.
    pub(crate) fn reset_camera(&mut self) {
        self.camera.reset(&self.shared);
    }

    /// `fb_update_jpeg_buffer`.
    pub(crate) fn update_jpeg(&mut self) {
        self.camera.update_jpeg(&self.shared);
    }

    /// `sensor_snapshot`, which nothing but the end of the program interrupts.
    pub(crate) fn snapshot(&mut self, update_jpeg: bool) -> std::result::Result<(), SnapshotError> {
        let (shared, start) = (self.shared.clone(), self.start);
        let alone = self.alone.is_some();
        // A script that waits for pictures alone comes to its end as well.
        if alone && self.tick().is_err() {
            return Err(SnapshotError::Halt);
        }
        self.camera.snapshot(&shared, update_jpeg, |until| {
            alone || wait(&shared, start, until)
        })
    }

    /// `mp_task`, from the start on.
    fn main(&mut self) -> Result<()> {
        let mode = self.boot.take().unwrap_or(BootMode::PowerOn);
        self.mute = mode != BootMode::PowerOn;
        if !self.mute {
            self.wait(self.shared.now() + START_NS)?;
            self.write_str(START_TEXT)?;
        }
        let mut first = Some(mode);
        loop {
            let _generation = Generation::begin();
            self.globals = python::main_namespace();
            self.shared.lock().core.flash.remount();
            self.write_str(HEAP_TEXT)?;
            self.init_uart(UartSettings {
                baud_rate: REPL_BAUD_RATE,
                timeout_char: Some(TIMEOUT_CHAR),
                read_buf_len: UART_BUFFER,
                ide: false,
                from_ide: false,
            })?;
            self.boot(first.take())?;
            self.serve()?;
            self.write_str("[MaixPy]: soft reboot\r\n")?;
            self.wait(self.shared.now() + 10_000_000)?;
        }
    }

    /// `_boot.py`, `boot.py` and `main.py`. `mode` is given at the first start only.
    fn boot(&mut self, mode: Option<BootMode>) -> Result<()> {
        self.mute = !matches!(mode, None | Some(BootMode::PowerOn));
        match mode {
            Some(BootMode::Ide) => {
                self.init_uart(UartSettings {
                    baud_rate: self.ide_baud_rate,
                    timeout_char: Some(TIMEOUT_CHAR),
                    read_buf_len: UART_BUFFER,
                    ide: true,
                    from_ide: true,
                })?;
                // The prompt's text is in the console, as it is after a real entry.
                self.mute = false;
                return Ok(());
            }
            Some(BootMode::Wedged) => {
                self.settle();
                self.file = "main.py".into();
                let globals = self.globals.clone();
                // Not by `execute`: Ctrl-C is off, as after `micropython.kbd_intr(-1)`. A script that
                // catches the exception would end at a second one that comes outside of its `try`.
                return match Interpreter::run(self, WEDGED, &globals, Mode::Script) {
                    Err(Raise::Halt) => Err(Raise::Halt),
                    _ => Ok(()),
                };
            }
            Some(BootMode::Raw) => {
                self.raw = true;
                return Ok(());
            }
            Some(BootMode::Repl) => return Ok(()),
            Some(BootMode::Main) => {
                let mut state = self.shared.lock();
                if !state.core.flash.exists("/flash/main.py") {
                    // An empty flash has room.
                    let _ = state.core.flash.write("/flash/main.py", TALKING_MAIN);
                }
            }
            Some(BootMode::PowerOn | BootMode::Silent) | None => {
                if !self.boot_script()? {
                    return Ok(());
                }
            }
        }
        if self.ide_mode {
            return Ok(());
        }
        self.settle();
        for name in ["boot.py", "main.py"] {
            let state = self.shared.lock();
            let Ok(content) = state.core.flash.read(name) else {
                continue;
            };
            let source = String::from_utf8_lossy(content).into_owned();
            drop(state);
            self.execute(&source, Mode::Script, false, name)?;
        }
        Ok(())
    }

    /// What `_boot.py` does; false when it ended early.
    fn boot_script(&mut self) -> Result<bool> {
        // From before the line is written (`mp_task`, `maixpy_main.c`): who types Ctrl-C as soon as it has come is in
        // time.
        self.shared.lock().core.interrupt_char = Some(CTRL_C);
        self.print("[MaixPy] init end\n")?;
        let waited = self.sleep(200_000_000);
        self.shared.lock().core.interrupt_char = None;
        if let Err(Raise::Exception(exception)) = waited {
            exception.came_through(16, "<module>");
            self.file = "_boot.py".into();
            self.print_exception(&exception)?;
            return Ok(false);
        }
        waited?;
        let mut state = self.shared.lock();
        if state.core.flash.exists(IDE_MODE_FILE) {
            drop(state);
            self.init_uart(UartSettings {
                baud_rate: IDE_BAUD_RATE,
                timeout_char: Some(TIMEOUT_CHAR),
                read_buf_len: UART_BUFFER,
                ide: true,
                from_ide: false,
            })?;
            return Ok(false);
        }
        if !state.core.flash.exists("main.py") {
            // A partition without room leaves it out.
            let _ = state.core.flash.write("main.py", DEFAULT_MAIN);
        }
        drop(state);
        self.print("\nMaixPy on a simulated board\n\n")?;
        Ok(true)
    }

    /// The loop around the prompt, until a soft reset.
    fn serve(&mut self) -> Result<()> {
        loop {
            self.shared.lock().dispatcher.init();
            loop {
                {
                    let mut state = self.shared.lock();
                    let dispatcher = &mut state.dispatcher;
                    if dispatcher.script_ready() || dispatcher.need_save_file() {
                        break;
                    }
                }
                let prompt = if self.raw {
                    self.raw_prompt()
                } else {
                    self.friendly_prompt()
                };
                match prompt {
                    Ok(Prompt::Again) | Err(Raise::Exception(_)) => {}
                    Ok(Prompt::SoftReset) => break,
                    Err(Raise::Halt) => return Err(Raise::Halt),
                }
            }
            let mut state = self.shared.lock();
            let state_parts = &mut *state;
            if state_parts.dispatcher.need_save_file() {
                state_parts
                    .dispatcher
                    .save_file(&mut state_parts.core.flash);
            }
            let ready = state.dispatcher.script_ready();
            let script = String::from_utf8_lossy(state.dispatcher.script()).into_owned();
            drop(state);
            if ready {
                self.execute_upload(&script)?;
            }
            if !self.shared.lock().core.ide {
                return Ok(());
            }
        }
    }

    /// `pyexec_str`.
    fn execute_upload(&mut self, script: &str) -> Result<()> {
        self.file = "<stdin>".into();
        let _generation = Generation::begin();
        let globals = python::main_namespace();
        match Interpreter::run(self, script, &globals, Mode::Script) {
            Ok(()) => Ok(()),
            Err(Raise::Exception(exception)) => self.print_exception(&exception),
            Err(Raise::Halt) => Err(Raise::Halt),
        }
    }

    /// `parse_compile_execute`.
    fn execute(&mut self, source: &str, mode: Mode, mark_end: bool, file: &str) -> Result<()> {
        self.file = file.into();
        let globals = self.globals.clone();
        self.shared.lock().core.interrupt_char = Some(CTRL_C);
        let result = Interpreter::run(self, source, &globals, mode);
        self.shared.lock().core.interrupt_char = None;
        if matches!(result, Err(Raise::Halt)) {
            return result;
        }
        if mark_end {
            self.write(&[CTRL_D])?;
        }
        if let Err(Raise::Exception(exception)) = result {
            let exit = python::Value::Type("SystemExit");
            if !python::is_subclass(&exception.kind, &exit) {
                self.print_exception(&exception)?;
            }
        }
        if mark_end {
            self.write(&[CTRL_D])?;
        }
        Ok(())
    }

    /// From here on the board is where its boot mode says, and heard.
    fn settle(&mut self) {
        self.mute = false;
        self.shared.settle();
    }

    /// `mp_hal_stdin_rx_chr`.
    pub(crate) fn read_byte(&mut self) -> Result<u8> {
        if self.alone.is_some() {
            // Nobody will type anything.
            return Err(Raise::Halt);
        }
        // It waits for input: its boot mode is reached.
        self.settle();
        let mut state = self.shared.lock();
        loop {
            self.check(&state)?;
            if let Some(byte) = state.core.stdin.pop_front() {
                return Ok(byte);
            }
            self.pending(&mut state)?;
            state = self.shared.idle(state, None);
        }
    }

    /// `machine_uart_read`: as much as waits, at the least one byte if it comes in time.
    pub(crate) fn read_uart(&mut self, most: usize) -> Result<Got> {
        let until = self.shared.now() + 1_000_000 * u64::from(self.timeout_char);
        let mut state = self.shared.lock();
        loop {
            if self.alone.is_none() {
                self.check(&state)?;
            }
            if !state.core.listening {
                return Ok(Got::Bytes(Vec::new()));
            }
            let waiting = &mut state.core.stdin;
            if most == 0 || !waiting.is_empty() {
                let count = waiting.len().min(most);
                return Ok(Got::Bytes(waiting.drain(..count).collect()));
            }
            if self.alone.is_some() || self.shared.now() >= until {
                return Ok(Got::Nothing);
            }
            state = self.shared.idle(state, Some(until));
        }
    }

    /// `pyexec_raw_repl`.
    fn raw_prompt(&mut self) -> Result<Prompt> {
        loop {
            self.write_str("raw REPL; CTRL-B to exit\r\n")?;
            'reset: loop {
                let mut line = Vec::new();
                self.write(b">")?;
                loop {
                    match self.read_byte()? {
                        CTRL_A => break 'reset,
                        CTRL_B => {
                            self.write(b"\r\n")?;
                            self.raw = false;
                            return Ok(Prompt::Again);
                        }
                        CTRL_C => line.clear(),
                        CTRL_D => break,
                        // The firmware's buffer is on the heap, too.
                        byte if line.len() < heap::SIZE => line.push(byte),
                        _ => {}
                    }
                }
                self.write(b"OK")?;
                if line.is_empty() {
                    self.write(b"\r\n")?;
                    return Ok(Prompt::SoftReset);
                }
                let source = String::from_utf8_lossy(&line).into_owned();
                self.execute(&source, Mode::Script, true, "<stdin>")?;
            }
        }
    }

    /// `readline`: what the line ended with, 0 for return.
    fn read_line(&mut self, line: &mut Line, prompt: &str) -> Result<u8> {
        let indent = line.begin();
        self.write_str(prompt)?;
        if !indent.is_empty() {
            self.write_str(&indent)?;
        }
        loop {
            let byte = self.read_byte()?;
            let mut echo = Vec::new();
            let end = self.readline.feed(line, byte, &mut echo);
            self.write(&echo)?;
            if let Some(end) = end {
                return Ok(end);
            }
        }
    }

    /// `mp_builtin_input`, without its prompt: a line by the prompt's editor.
    pub(crate) fn input(&mut self) -> Result<String> {
        let mut line = Line::default();
        match self.read_line(&mut line, "")? {
            CTRL_C => Err(Raise::with("KeyboardInterrupt", Vec::new())),
            CTRL_D if line.text.is_empty() => Err(Raise::with("EOFError", Vec::new())),
            _ => Ok(String::from_utf8_lossy(&line.text).into_owned()),
        }
    }

    /// `pyexec_friendly_repl`.
    fn friendly_prompt(&mut self) -> Result<Prompt> {
        self.write_str(BANNER)?;
        'input: loop {
            let mut line = Line::default();
            let mut mode = Mode::Prompt;
            match self.read_line(&mut line, ">>> ")? {
                CTRL_A => {
                    self.write(b"\r\n")?;
                    self.raw = true;
                    return Ok(Prompt::Again);
                }
                CTRL_B => {
                    self.write(b"\r\n")?;
                    self.write_str(BANNER)?;
                    continue;
                }
                CTRL_C => {
                    self.write(b"\r\n")?;
                    continue;
                }
                CTRL_D => {
                    self.write(b"\r\n")?;
                    return Ok(Prompt::SoftReset);
                }
                CTRL_E => {
                    let Some(pasted) = self.paste()? else {
                        continue;
                    };
                    line.text = pasted;
                    mode = Mode::Script;
                }
                _ if line.text.is_empty() => continue,
                _ => {
                    while line.wants_more() {
                        line.text.push(b'\n');
                        match self.read_line(&mut line, "... ")? {
                            CTRL_C => {
                                self.write(b"\r\n")?;
                                continue 'input;
                            }
                            CTRL_D => break,
                            _ => {}
                        }
                    }
                }
            }
            let source = String::from_utf8_lossy(&line.text).replace('\r', "\n");
            self.execute(&source, mode, false, "<stdin>")?;
        }
    }

    /// Paste mode; `None` when it was cancelled.
    fn paste(&mut self) -> Result<Option<Vec<u8>>> {
        self.write_str("\r\npaste mode; Ctrl-C to cancel, Ctrl-D to finish\r\n=== ")?;
        let mut text = Vec::new();
        loop {
            match self.read_byte()? {
                CTRL_C => {
                    self.write(b"\r\n")?;
                    return Ok(None);
                }
                CTRL_D => {
                    self.write(b"\r\n")?;
                    return Ok(Some(text));
                }
                byte => {
                    if text.len() < heap::SIZE {
                        text.push(byte);
                    }
                    match byte {
                        b'\r' => self.write(b"\r\n=== ")?,
                        _ => self.write(&[byte])?,
                    }
                }
            }
        }
    }
}
