// SPDX-License-Identifier: MIT OR Apache-2.0
//! A board that is made to hurt: sizes of 0, negative and huge ones, prompts and escapes where answers should be, lines
//! of 64 KiB, half an answer and silence, a byte every 50 ms, a reset every two seconds, and the right answer in between.
//! Whatever it does, connecting and each question end in their time, and nothing of it reaches a terminal as it
//! is. Time is simulated: it passes by waiting alone.
//!
//! `HOSTILE=5000 cargo test -p k210-link --test hostile` tries more of them, `HOSTILE=SEED..SEED` these.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a failure ends the test"
)]

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k210_link::connect::{Connected, Goal, LONGEST, PATIENCE, connect};
use k210_link::interrupt::Interrupt;
use k210_link::script::GREETING;
use k210_link::session::{Fetched, Session, SessionError, wire_time};
use k210_link::transport::Transport;
use k210_link::{IDE_BAUD_RATE, MAX_JPEG_SIZE, REPL_BAUD_RATE};

/// 320 by 240.
const PICTURE: &[u8] = include_bytes!("../../avi/tests/data/frame-422.jpg");

/// Connecting may end so much later: what is on its way when the time is over.
const SLACK: Duration = Duration::from_secs(2);

/// The time that questions get here.
const TIME: Duration = Duration::from_secs(2);

/// What a byte takes that drips.
const DRIP: Duration = Duration::from_millis(50);

/// Numbers of chance (xorshift).
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        let mut dice = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        (0..8).for_each(|_| _ = dice.below(2));
        dice
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % end
    }
}

/// How a question is answered.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Habit {
    Honest,
    /// With bytes that are all the same.
    All(u8),
    /// With a one and nothing else.
    One,
    /// With half of the answer.
    Half,
    Silent,
    /// With a prompt first.
    Prompt,
    /// With what terminals obey.
    Escapes,
    /// With a line of 64 KiB first.
    Long,
    /// With a byte every 50 ms.
    Drip,
    /// With the answer and what nobody asked for.
    More,
}

const HABITS: [Habit; 11] = [
    Habit::All(0),
    Habit::All(0xff),
    Habit::All(0x7f),
    Habit::One,
    Habit::Half,
    Habit::Silent,
    Habit::Prompt,
    Habit::Escapes,
    Habit::Long,
    Habit::Drip,
    Habit::More,
];

const ESCAPES: &[u8] = b"\x1b]0;title\x07\x1b[2J\x1b[31m\x9b31m\r\n\0";

struct Hostile {
    clock: Interrupt,
    dice: Dice,
    /// Those of this board.
    habits: Vec<Habit>,
    /// One of so many answers is honest, in percent.
    honest: usize,
    baud: u32,
    /// It is in IDE mode; else at its prompt.
    ide: bool,
    running: bool,
    /// What it says next, and how long it takes for a byte.
    out: VecDeque<u8>,
    pace: Duration,
    /// Of a byte that drips, what is left of its time.
    left: Duration,
    console: Vec<u8>,
    /// What has come of a request, and how much data is to follow.
    head: Vec<u8>,
    data: usize,
    /// It is reset so often.
    resets: Option<Duration>,
    reset: Instant,
    /// It never stops printing at its prompt.
    prints: bool,
}

impl Hostile {
    fn new(seed: u64, clock: &Interrupt) -> Self {
        let mut dice = Dice::new(seed);
        let count = 1 + dice.below(3);
        let habits = (0..count)
            .map(|_| HABITS[dice.below(HABITS.len())])
            .collect();
        Self {
            clock: clock.clone(),
            habits,
            honest: [0, 50, 90, 98][dice.below(4)],
            baud: REPL_BAUD_RATE,
            ide: dice.below(2) == 0,
            running: dice.below(2) == 0,
            out: VecDeque::new(),
            pace: wire_time(1, REPL_BAUD_RATE),
            left: Duration::ZERO,
            console: Vec::new(),
            head: Vec::new(),
            data: 0,
            resets: (dice.below(4) == 0).then(|| Duration::from_secs(2)),
            reset: clock.now(),
            prints: dice.below(8) == 0,
            dice,
        }
    }

    fn habit(&mut self) -> Habit {
        match self.dice.below(100) < self.honest {
            true => Habit::Honest,
            false => self.habits[self.dice.below(self.habits.len())],
        }
    }

    fn start_again(&mut self) {
        (self.ide, self.running, self.data) = (self.dice.below(2) == 0, false, 0);
        self.reset = self.clock.now();
        self.head.clear();
        self.console.clear();
        self.out.clear();
        self.out
            .extend(b"\r\n[MAIXPY] start\r\n[MaixPy] init end\r\nMicroPython\r\n>>> ");
    }

    fn hear(&mut self, byte: u8) {
        if self.data > 0 {
            self.data -= 1;
            return;
        }
        if !self.ide {
            // A line that ends is a command, of which the last is that for IDE mode.
            match self.habit() {
                Habit::Honest => self.out.extend(b"\r\n>>> "),
                habit => self.answer(habit, b"\r\n>>> "),
            }
            self.head.push(byte);
            if byte == b'\r' {
                let line = std::mem::take(&mut self.head);
                self.ide = line.windows(4).any(|four| four == b"exit");
            }
            return;
        }
        if self.head.is_empty() && byte != 0x30 {
            return;
        }
        self.head.push(byte);
        if let [_, code, length @ ..] = &self.head[..]
            && let Ok(length) = <[u8; 4]>::try_from(length)
        {
            let code = *code;
            self.head.clear();
            self.request(code, u32::from_le_bytes(length));
        }
    }

    fn request(&mut self, code: u8, length: u32) {
        let words = |words: &[u32]| words.iter().flat_map(|it| it.to_le_bytes()).collect();
        let length = (length as usize).min(1 << 20);
        let honest: Vec<u8> = match code {
            0x80 => words(&[0, 6, 2]),
            0x81 => words(&[320, 240, PICTURE.len() as u32]),
            0x82 => PICTURE[..length.min(PICTURE.len())].to_vec(),
            0x83 => {
                let mut text = b"Kendryte [M5StickV:\x1b[31m]".to_vec();
                text.resize(64, 0);
                text
            }
            0x87 => words(&[self.running.into()]),
            0x88 => words(&[0]),
            0x8d => words(&[0xffee_bbaa]),
            0x8e => words(&[self.console.len() as u32]),
            0x8f => self
                .console
                .drain(..length.min(self.console.len()))
                .collect(),
            0x05 => {
                self.data = length;
                self.running = true;
                self.console.extend(GREETING.bytes().chain(*b"\r\n"));
                return;
            }
            0x07 => {
                self.data = length;
                return;
            }
            0x06 => {
                self.running = self.habit() != Habit::Honest;
                self.console.extend(b"Exception: IDE interrupt\r\n>>> ");
                return;
            }
            0x0b => {
                self.data = 4;
                return;
            }
            0x0d => {
                self.data = 2;
                return;
            }
            0x0c => return self.start_again(),
            _ => return,
        };
        let habit = self.habit();
        self.answer(habit, &honest);
    }

    fn answer(&mut self, habit: Habit, honest: &[u8]) {
        self.pace = wire_time(1, self.baud);
        let before: Vec<u8> = match habit {
            Habit::Prompt => b"\r\n>>> ".to_vec(),
            Habit::Escapes => ESCAPES.repeat(20),
            Habit::Long => vec![b'x'; 64 << 10],
            _ => Vec::new(),
        };
        self.out.extend(before);
        match habit {
            Habit::Silent => {}
            Habit::Half => self.out.extend(&honest[..honest.len() / 2]),
            Habit::All(byte) => self.out.extend(vec![byte; honest.len()]),
            Habit::One => {
                let rest = honest.len().saturating_sub(1);
                self.out.extend([1].into_iter().chain(vec![0; rest]));
            }
            _ => self.out.extend(honest),
        }
        match habit {
            Habit::Drip => (self.pace, self.left) = (DRIP, DRIP),
            Habit::More => self.out.extend(ESCAPES),
            _ => {}
        }
    }
}

impl Transport for Hostile {
    fn read(&mut self, buf: &mut [u8], timeout: Duration) -> io::Result<usize> {
        let resets = self.resets;
        if resets.is_some_and(|every| self.clock.now() >= self.reset + every) {
            self.start_again();
        }
        if self.prints && !self.ide && self.out.is_empty() {
            self.out.extend(b"main.py runs\r\n>>> ");
        }
        let drips = self.pace >= DRIP;
        if self.out.is_empty() || (drips && self.left > timeout) {
            self.clock.wait(timeout).expect("nobody interrupts");
            self.left = self.left.saturating_sub(timeout);
            return Err(io::ErrorKind::TimedOut.into());
        }
        let (count, took) = if drips {
            (1, std::mem::replace(&mut self.left, DRIP))
        } else {
            let count = buf.len().min(self.out.len()).min(4096);
            (count, self.pace * u32::try_from(count).expect("few"))
        };
        self.clock.wait(took).expect("nobody interrupts");
        for (place, byte) in buf.iter_mut().zip(self.out.drain(..count)) {
            *place = byte;
        }
        Ok(count)
    }

    fn write_all(&mut self, data: &[u8], _: Duration) -> io::Result<()> {
        self.clock
            .wait(wire_time(data.len(), self.baud))
            .expect("nobody interrupts");
        data.iter().for_each(|byte| self.hear(*byte));
        Ok(())
    }

    fn set_baud_rate(&mut self, baud: u32) -> io::Result<()> {
        self.baud = baud;
        Ok(())
    }

    fn set_control_lines(&mut self, _: bool, rts: bool) -> io::Result<()> {
        if rts {
            self.start_again();
        }
        Ok(())
    }

    fn discard_input(&mut self) -> io::Result<()> {
        self.out.clear();
        Ok(())
    }
}

/// What is told of a board can be shown, and read.
fn check_text(seed: u64, text: &str) {
    assert!(
        !text.chars().any(char::is_control) && text.len() < 600,
        "{seed}: {text:?}"
    );
}

/// Asks one thing: what is wrong.
fn ask(session: &mut Session, what: usize) -> Result<(), SessionError> {
    match what {
        0 => {
            let output = session.console()?;
            assert!(output.len() <= 4096, "{} bytes of output", output.len());
        }
        1 => {
            session.script_running()?;
        }
        2 => session.discard_frame()?,
        _ => {
            if let Fetched::Frame(frame) = session.fetch()? {
                assert!(frame.data.len() <= MAX_JPEG_SIZE as usize);
                assert_eq!((frame.width, frame.height), (320, 240));
                assert_eq!(frame.data, PICTURE);
            }
        }
    }
    Ok(())
}

/// Whether a board got as far as to stream.
fn meet(seed: u64) -> bool {
    let clock = Interrupt::simulated();
    let board = Hostile::new(seed, &clock);
    let goal = Goal {
        baud: IDE_BAUD_RATE,
        script: vec![b'#'; 400],
        greets: seed.is_multiple_of(2),
        patience: PATIENCE,
    };
    let start = clock.now();
    let connected = connect(Box::new(board), &goal, &clock, &Arc::default());
    let took = clock.now() - start;
    assert!(took < LONGEST + SLACK, "{seed}: connecting took {took:?}");
    let Connected {
        mut session, board, ..
    } = match connected {
        Ok(connected) => connected,
        Err(error) => {
            check_text(seed, &error.to_string());
            return false;
        }
    };
    check_text(seed, &board.arch);
    let mut dice = Dice::new(!seed);
    for _ in 0..40 {
        let start = clock.now();
        session.set_deadline(Some(start + TIME));
        let result = ask(&mut session, dice.below(6));
        let took = clock.now() - start;
        assert!(took < TIME + SLACK, "{seed}: an answer took {took:?}");
        if let Err(error) = result {
            check_text(seed, &error.to_string());
        }
    }
    let start = clock.now();
    session.leave();
    let took = clock.now() - start;
    assert!(
        took < Duration::from_secs(8),
        "{seed}: leaving took {took:?}"
    );
    true
}

fn seeds() -> Range<u64> {
    let Ok(said) = std::env::var("HOSTILE") else {
        return 0..200;
    };
    let number = |text: &str| text.parse().expect("a number");
    match said.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => 0..number(&said),
    }
}

#[test]
fn no_board_keeps_the_host_beyond_its_time() {
    let seeds = seeds();
    let count = seeds.end - seeds.start;
    let streamed = seeds.filter(|seed| meet(*seed)).count() as u64;
    println!("{streamed} of {count} boards got as far as to stream");
    // Some do, and some do not: else half of this would be tried on nobody.
    assert!(
        streamed * 20 > count && streamed < count,
        "{streamed} of {count}"
    );
}

/// Lets no script be stopped, and when it is reset for that begins to start again and again, with text that says so.
struct Stubborn {
    clock: Interrupt,
    ide: bool,
    head: Vec<u8>,
    out: VecDeque<u8>,
    lines: usize,
}

impl Transport for Stubborn {
    fn read(&mut self, buf: &mut [u8], timeout: Duration) -> io::Result<usize> {
        self.clock
            .wait(timeout.min(Duration::from_millis(10)))
            .expect("nobody interrupts");
        if !self.ide {
            self.lines += 1;
            let line = match self.lines % 2 {
                0 => &b"[MAIXPY] pll0\r\n"[..],
                _ => b"[MaixPy] init end\r\nx",
            };
            self.out = line.iter().copied().collect();
        }
        if self.out.is_empty() || timeout.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let count = buf.len().min(self.out.len());
        for (place, byte) in buf.iter_mut().zip(self.out.drain(..count)) {
            *place = byte;
        }
        Ok(count)
    }

    fn write_all(&mut self, data: &[u8], _: Duration) -> io::Result<()> {
        for byte in data {
            if !self.ide || (self.head.is_empty() && *byte != 0x30) {
                continue;
            }
            self.head.push(*byte);
            if self.head.len() < 6 {
                continue;
            }
            match std::mem::take(&mut self.head)[1] {
                0x80 => self.out.extend([0; 12]),
                0x83 => self.out.extend([b'K'; 64]),
                0x87 => self.out.extend(1_u32.to_le_bytes()),
                0x8d => self.out.extend(0xffee_bbaa_u32.to_le_bytes()),
                0x8e => self.out.extend(0_u32.to_le_bytes()),
                0x0c => self.ide = false,
                _ => {}
            }
        }
        Ok(())
    }

    fn set_baud_rate(&mut self, _: u32) -> io::Result<()> {
        Ok(())
    }

    fn set_control_lines(&mut self, _: bool, _: bool) -> io::Result<()> {
        Ok(())
    }

    fn discard_input(&mut self) -> io::Result<()> {
        self.out.clear();
        Ok(())
    }
}

#[test]
fn a_board_that_starts_again_for_ever_is_given_up() {
    let clock = Interrupt::simulated();
    let board = Stubborn {
        clock: clock.clone(),
        ide: true,
        head: Vec::new(),
        out: VecDeque::new(),
        lines: 0,
    };
    let goal = Goal {
        baud: IDE_BAUD_RATE,
        script: vec![b'#'; 400],
        greets: true,
        patience: PATIENCE,
    };
    let start = clock.now();
    let connected = connect(Box::new(board), &goal, &clock, &Arc::default());
    let took = clock.now() - start;
    assert!(connected.is_err());
    // It gets another chance each time, until there is no more time.
    assert!(
        took + SLACK > LONGEST && took < LONGEST + SLACK,
        "{took:?}: {:?}",
        connected.err()
    );
}
