// SPDX-License-Identifier: MIT OR Apache-2.0
//! The host's half of the board link against the simulated board: from every state to streaming,
//! through noise, and every command.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failure ends the test"
)]

use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use k210_link::command::{Attribute, Code, FileStatus};
use k210_link::connect::{self, ConnectError, Connected, Goal};
use k210_link::interrupt::Interrupt;
use k210_link::script::{FrameSize, SensorSetup};
use k210_link::session::{Counters, Fetched, Frame, Session, SessionError};
use k210_link::transport::Transport;
use k210_link::{IDE_BAUD_RATE, REPL_BAUD_RATE, jpeg};
use k210_sim::{Board, BootMode, Config, Port};

/// Only a hang takes that long.
const FAILSAFE: Duration = Duration::from_secs(60);

fn setup() -> SensorSetup {
    SensorSetup {
        frame_size: FrameSize::by_name("QQVGA").unwrap(),
        ..SensorSetup::default()
    }
}

fn camera() -> Goal {
    Goal {
        baud: IDE_BAUD_RATE,
        script: setup().script().into_bytes(),
        greets: true,
        patience: connect::PATIENCE,
    }
}

fn script(source: &str) -> Goal {
    Goal {
        script: source.as_bytes().to_vec(),
        greets: false,
        ..camera()
    }
}

fn bring_up(config: Config, goal: &Goal) -> Result<(Connected, Arc<Counters>), ConnectError> {
    let port = k210_sim::open(config).unwrap();
    let counters = Arc::new(Counters::default());
    connect::connect(Box::new(port), goal, &Interrupt::default(), &counters)
        .map(|connected| (connected, counters))
}

fn next_frame(session: &mut Session) -> Frame {
    let deadline = Instant::now() + FAILSAFE;
    loop {
        assert!(Instant::now() < deadline, "no frame comes");
        match session.fetch().unwrap() {
            Fetched::Frame(frame) => return frame,
            Fetched::NotReady => std::thread::sleep(Duration::from_millis(2)),
            Fetched::Lost(error) | Fetched::Disturbed(error) => println!("{error}"),
        }
    }
}

fn streams_from(boot: BootMode) {
    let config = Config {
        boot,
        ..Config::default()
    };
    let started = Instant::now();
    let (mut connected, _) = bring_up(config, &camera()).unwrap();
    let frame = next_frame(&mut connected.session);
    println!("{boot:?}: the first frame after {:?}", started.elapsed());
    assert_eq!((frame.width, frame.height), (160, 120));
    assert_eq!(jpeg::check(&frame.data, 160, 120), Ok(()));
    assert!(
        connected.board.arch.starts_with("K210 ["),
        "{:?}",
        connected.board
    );
}

#[test]
fn streams_from_a_board_that_is_just_powered() {
    streams_from(BootMode::PowerOn);
}

#[test]
fn streams_from_the_prompt() {
    streams_from(BootMode::Repl);
}

#[test]
fn streams_from_the_raw_prompt() {
    streams_from(BootMode::Raw);
}

#[test]
fn streams_from_ide_mode() {
    streams_from(BootMode::Ide);
}

#[test]
fn streams_from_a_board_that_runs_its_main_program() {
    streams_from(BootMode::Main);
}

#[test]
fn a_script_that_ctrl_c_does_not_end_is_ended_by_the_reset_line() {
    streams_from(BootMode::Wedged);
}

#[test]
fn a_main_program_that_ctrl_c_does_not_end_is_caught_at_its_start() {
    let wedged = b"while True:\n    try:\n        while True:\n            pass\n    except:\n        pass\n";
    let config = Config {
        boot: BootMode::Main,
        files: vec![("/flash/main.py".into(), wedged.to_vec())],
        ..Config::default()
    };
    let (mut connected, _) = bring_up(config, &camera()).unwrap();
    next_frame(&mut connected.session);
}

/// A computer that does not get round to reading what says that the board listens, until it does no
/// more.
struct Late {
    port: Port,
    /// How often yet.
    times: usize,
    /// What has come since.
    text: Vec<u8>,
}

impl Transport for Late {
    fn read(&mut self, buf: &mut [u8], timeout: Duration) -> io::Result<usize> {
        let n = self.port.read(buf, timeout)?;
        self.text.extend_from_slice(&buf[..n]);
        if self.times > 0 && self.text.windows(8).any(|it| it == b"init end") {
            self.times -= 1;
            self.text.clear();
            std::thread::sleep(Duration::from_millis(300));
        }
        Ok(n)
    }

    fn write_all(&mut self, data: &[u8], timeout: Duration) -> io::Result<()> {
        self.port.write_all(data, timeout)
    }

    fn discard_input(&mut self) -> io::Result<()> {
        self.port.discard_input()
    }

    fn set_baud_rate(&mut self, baud: u32) -> io::Result<()> {
        self.port.set_baud_rate(baud)
    }

    fn set_control_lines(&mut self, dtr: bool, rts: bool) -> io::Result<()> {
        self.port.set_control_lines(dtr, rts)
    }
}

#[test]
fn a_computer_that_is_late_twice_catches_the_main_program_at_the_third_start() {
    let wedged = b"while True:\n    try:\n        while True:\n            pass\n    except:\n        pass\n";
    let bring_up = |times| {
        let config = Config {
            boot: BootMode::Main,
            files: vec![("/flash/main.py".into(), wedged.to_vec())],
            ..Config::default()
        };
        let port = k210_sim::open(config).unwrap();
        let text = Vec::new();
        let late = Box::new(Late { port, times, text });
        let counters = Arc::new(Counters::default());
        connect::connect(late, &camera(), &Interrupt::default(), &counters)
    };
    next_frame(&mut bring_up(2).unwrap().session);
    // One that is always late is told that the board is deaf.
    let error = bring_up(usize::MAX).err().unwrap();
    assert!(matches!(error, ConnectError::Deaf(_)), "{error:?}");
}

#[test]
fn a_board_in_ide_mode_at_the_prompts_speed_is_brought_to_the_one_that_is_wanted() {
    let config = Config {
        boot: BootMode::Ide,
        ide_baud_rate: REPL_BAUD_RATE,
        ..Config::default()
    };
    let (mut connected, _) = bring_up(config, &camera()).unwrap();
    assert_eq!(connected.session.baud(), IDE_BAUD_RATE);
    next_frame(&mut connected.session);
}

#[test]
fn streams_from_a_board_that_boots_into_ide_mode() {
    let config = Config {
        boot: BootMode::PowerOn,
        files: vec![("/flash/ide_mode.conf".into(), Vec::new())],
        ..Config::default()
    };
    let (mut connected, _) = bring_up(config, &camera()).unwrap();
    next_frame(&mut connected.session);
}

#[test]
fn a_dead_board_is_called_silent() {
    let config = Config {
        boot: BootMode::Silent,
        ..Config::default()
    };
    let error = bring_up(config, &camera()).err().unwrap();
    assert!(matches!(error, ConnectError::Silent), "{error:?}");
}

fn plugged_in(board: &Board, goal: &Goal) -> Result<Connected, ConnectError> {
    let interrupt = Interrupt::default();
    connect::connect(Box::new(board.port()), goal, &interrupt, &Arc::default())
}

fn ide_board() -> Board {
    Board::new(Config {
        boot: BootMode::Ide,
        ..Config::default()
    })
    .unwrap()
}

/// Leaves a board as a client does that is killed after sending `bytes`.
fn abandon(board: &Board, bytes: &[u8]) {
    let mut port = board.port();
    port.set_baud_rate(IDE_BAUD_RATE).unwrap();
    port.write_all(bytes, FAILSAFE).unwrap();
    // Setting the speed waits until everything has left.
    port.set_baud_rate(IDE_BAUD_RATE).unwrap();
}

#[test]
fn what_another_client_left_unfinished_is_no_obstacle() {
    let board = ide_board();
    for unfinished in [
        // Parts of headers.
        b"\x30".as_slice(),
        b"\x30\x82\x00\x04",
        b"\x30\x0b\x04\0\0\0\x01",
        b"\x30\x0d\0\0\0\0",
        // An operand's length counted twice, which swallows the next request's first bytes.
        b"\x30\x0d\x02\0\0\0\x01\x00",
        // A script and a file that stopped coming.
        b"\x30\x05\x40\x1f\0\0import sensor\n",
        b"\x30\x07\x00\x01\0\0half a hash",
        // An answer that nobody reads, and a frame that stays locked.
        b"\x30\x83\x40\0\0\0",
        b"\x30\x81\x0c\0\0\0",
    ] {
        abandon(&board, unfinished);
        let mut connected = plugged_in(&board, &camera())
            .unwrap_or_else(|error| panic!("{unfinished:02x?}: {error}"));
        next_frame(&mut connected.session);
        // The script keeps running, as after a client that was killed.
    }
}

#[test]
fn a_script_that_swallows_the_interrupt_is_ended_by_a_reset() {
    let board = ide_board();
    let stubborn = script(
        "while True:\n    try:\n        while True:\n            pass\n    except Exception:\n        pass\n",
    );
    let mut connected = plugged_in(&board, &stubborn).unwrap();
    assert!(connected.session.script_running().unwrap());
    drop(connected);
    let mut connected = plugged_in(&board, &camera()).unwrap();
    next_frame(&mut connected.session);
}

#[test]
fn a_script_that_never_stops_printing_is_ended() {
    let board = ide_board();
    let endless = script("while True:\n    print('x' * 60)\n");
    drop(plugged_in(&board, &endless).unwrap());
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let connected = plugged_in(&board, &camera());
        sender.send(connected.map(|mut connected| next_frame(&mut connected.session)))
    });
    let frame = receiver.recv_timeout(FAILSAFE).expect("connecting ends");
    assert_eq!(frame.unwrap().width, 160);
}

#[test]
fn the_output_of_a_script_comes_through() {
    let board = ide_board();
    let talk = script("for i in range(5):\n    print('line', i)\nwhile True:\n    pass\n");
    let Connected {
        mut session,
        mut console,
        ..
    } = plugged_in(&board, &talk).unwrap();
    let deadline = Instant::now() + FAILSAFE;
    while !String::from_utf8_lossy(&console).contains("line 4") {
        assert!(Instant::now() < deadline, "{console:?}");
        console.extend(session.console().unwrap());
    }
    let text = String::from_utf8(console).unwrap();
    assert!(text.contains("line 0\r\nline 1\r\n"), "{text:?}");
}

#[test]
fn a_script_with_an_error_is_quoted() {
    let board = ide_board();
    match plugged_in(&board, &script("import sensor\nsensor.nonsense()\n")) {
        Err(ConnectError::ScriptFailed(text)) => assert!(text.contains("AttributeError"), "{text}"),
        // It may have run long enough to count as started.
        Ok(mut connected) => {
            let mut text = connected.console;
            text.extend(connected.session.console().unwrap());
            let text = String::from_utf8(text).unwrap();
            assert!(text.contains("AttributeError"), "{text}");
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn settings_change_while_frames_come() {
    let board = ide_board();
    let mut connected = plugged_in(&board, &camera()).unwrap();
    let session = &mut connected.session;
    next_frame(session);
    for (attribute, value) in [
        (Attribute::Contrast, 2),
        (Attribute::Brightness, -2),
        (Attribute::Saturation, 1),
        (Attribute::GainCeiling, 6),
    ] {
        session.set_attribute(attribute, value).unwrap();
        next_frame(session);
    }
    assert!(session.script_running().unwrap());
}

#[test]
fn a_frame_that_does_not_fit_into_the_boards_buffer_costs_quality() {
    let board = ide_board();
    let finest = SensorSetup {
        frame_size: FrameSize::by_name("VGA").unwrap(),
        quality: 100,
        ..setup()
    };
    let goal = Goal {
        script: finest.script().into_bytes(),
        ..camera()
    };
    let mut connected = plugged_in(&board, &goal).unwrap();
    for _ in 0..3 {
        let frame = next_frame(&mut connected.session);
        assert_eq!((frame.width, frame.height), (640, 480));
        assert_eq!(jpeg::check(&frame.data, 640, 480), Ok(()));
    }
}

#[test]
fn the_board_is_never_spoken_to_while_it_answers() {
    let board = ide_board();
    let talk = script(
        "import sensor\nsensor.reset()\nsensor.set_pixformat(sensor.RGB565)\n\
         sensor.set_framesize(sensor.QQVGA)\nwhile True:\n    sensor.snapshot()\n    print('x' * 99)\n",
    );
    let mut connected = plugged_in(&board, &talk).unwrap();
    let session = &mut connected.session;
    for value in [-2, 0, 2] {
        for _ in 0..5 {
            next_frame(session);
            session.console().unwrap();
        }
        session.set_attribute(Attribute::Brightness, value).unwrap();
    }
    session.save_file("/flash/x", &[0x30; 999]).unwrap();
    session.leave();
    assert_eq!(board.overruns(), 0);
}

#[test]
fn files_are_saved_to_flash() {
    let board = ide_board();
    let mut connected = plugged_in(&board, &camera()).unwrap();
    let session = &mut connected.session;
    // Every byte there is, the start of requests among them.
    let content: Vec<u8> = (0..=255u8).cycle().take(3001).collect();
    session.save_file("/flash/data.bin", &content).unwrap();
    assert_eq!(board.read_file("/flash/data.bin"), Some(content));
    // Saving stops the script.
    assert!(!session.script_running().unwrap());
    match session.save_file("/nowhere/x", b"x") {
        Err(SessionError::NotSaved(FileStatus::OpenFailed)) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn identifying_a_board_lets_it_boot_to_its_prompt() {
    let board = Board::new(Config {
        boot: BootMode::Repl,
        ..Config::default()
    })
    .unwrap();
    let connected = plugged_in(&board, &camera()).unwrap();
    assert_eq!(connected.board.firmware.0, 0);
    assert_eq!(board.read_file("/flash/ide_mode.conf"), None);
}

/// What befalls the line, once.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(u8)]
enum Fault {
    None,
    /// A byte of a frame gets lost.
    Lose,
    /// A byte is added to a frame.
    Add,
    /// A byte of a frame's end marker is changed.
    Flip,
    /// A request gets lost.
    LoseRequest,
    /// The first byte of a request is changed.
    FlipRequest,
    /// The answer that announces a frame gets lost, and the frame stays locked.
    LoseAnswer,
}

impl Fault {
    const ALL: [Fault; 7] = [
        Fault::None,
        Fault::Lose,
        Fault::Add,
        Fault::Flip,
        Fault::LoseRequest,
        Fault::FlipRequest,
        Fault::LoseAnswer,
    ];
}

/// A line that does one fault when told to.
struct Faulty {
    port: Port,
    next: Arc<AtomicU8>,
    /// The command whose request is hit; 0 for any.
    only: Arc<AtomicU8>,
}

impl Faulty {
    fn take(&self, faults: &[Fault]) -> Fault {
        let next = Fault::ALL[usize::from(self.next.load(Ordering::SeqCst))];
        match faults.contains(&next) {
            true => {
                self.next.store(Fault::None as u8, Ordering::SeqCst);
                next
            }
            false => Fault::None,
        }
    }
}

impl Transport for Faulty {
    fn read(&mut self, buf: &mut [u8], timeout: Duration) -> io::Result<usize> {
        // Only frames come in pieces of this size.
        let space = buf.len() - usize::from(buf.len() > 200);
        let n = self.port.read(&mut buf[..space], timeout)?;
        // Only FRAME_SIZE is answered with this many bytes; the first is the width's.
        if n == 12 && buf[0] != 0 && self.take(&[Fault::LoseAnswer]) == Fault::LoseAnswer {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if n < 200 {
            return Ok(n);
        }
        Ok(match self.take(&[Fault::Lose, Fault::Add, Fault::Flip]) {
            Fault::Lose => {
                buf.copy_within(101..n, 100);
                n - 1
            }
            Fault::Add => {
                buf.copy_within(100..n, 101);
                n + 1
            }
            Fault::Flip => {
                buf[..2].copy_from_slice(&[0x55; 2]);
                n
            }
            _ => n,
        })
    }

    fn write_all(&mut self, data: &[u8], timeout: Duration) -> io::Result<()> {
        let only = self.only.load(Ordering::SeqCst);
        let faults: &[Fault] = match only == 0 || data.get(1) == Some(&only) {
            true => &[Fault::LoseRequest, Fault::FlipRequest],
            false => &[],
        };
        match self.take(faults) {
            Fault::LoseRequest => Ok(()),
            Fault::FlipRequest => {
                let mut data = data.to_vec();
                data[0] ^= 0x10;
                self.port.write_all(&data, timeout)
            }
            _ => self.port.write_all(data, timeout),
        }
    }

    fn set_baud_rate(&mut self, baud: u32) -> io::Result<()> {
        self.port.set_baud_rate(baud)
    }

    fn set_control_lines(&mut self, dtr: bool, rts: bool) -> io::Result<()> {
        self.port.set_control_lines(dtr, rts)
    }

    fn discard_input(&mut self) -> io::Result<()> {
        self.port.discard_input()
    }
}

#[test]
fn each_fault_costs_at_most_one_frame_and_one_resynchronisation() {
    let board = ide_board();
    let next = Arc::new(AtomicU8::new(0));
    let line = Faulty {
        port: board.port(),
        next: next.clone(),
        only: Arc::default(),
    };
    let counters = Arc::new(Counters::default());
    let connected = connect::connect(Box::new(line), &camera(), &Interrupt::default(), &counters);
    let mut session = connected.unwrap().session;
    next_frame(&mut session);
    let count = |which: fn(&Counters) -> &std::sync::atomic::AtomicU64| {
        which(&counters).load(Ordering::Relaxed)
    };
    for fault in Fault::ALL {
        let before = (count(|c| &c.dropped), count(|c| &c.resyncs));
        next.store(fault as u8, Ordering::SeqCst);
        for _ in 0..3 {
            let frame = next_frame(&mut session);
            assert_eq!(jpeg::check(&frame.data, 160, 120), Ok(()), "{fault:?}");
        }
        assert_eq!(next.load(Ordering::SeqCst), 0, "{fault:?} did not happen");
        let dropped = count(|c| &c.dropped) - before.0;
        let resyncs = count(|c| &c.resyncs) - before.1;
        println!("{fault:?}: {dropped} dropped, {resyncs} resynchronisations");
        assert!(
            dropped <= 1 && resyncs <= 1,
            "{fault:?}: {dropped}, {resyncs}"
        );
        let harmed = matches!(fault, Fault::Lose | Fault::Add | Fault::Flip);
        assert_eq!(dropped == 1, harmed, "{fault:?}");
    }
}

/// Loses one request of that command while `ask` asks: what came of it, how many requests of the
/// command were sent, and how many resynchronisations it took.
fn losing<T>(code: Code, goal: &Goal, ask: fn(&mut Session) -> T) -> (T, u64, u64) {
    let board = ide_board();
    let (next, only) = (Arc::new(AtomicU8::new(0)), Arc::new(AtomicU8::new(0)));
    let line = Faulty {
        port: board.port(),
        next: next.clone(),
        only: only.clone(),
    };
    let counters = Arc::new(Counters::default());
    let connected = connect::connect(Box::new(line), goal, &Interrupt::default(), &counters);
    let mut session = connected.unwrap().session;
    let requests = || counters.command(code).requests.load(Ordering::Relaxed);
    let resyncs = || counters.resyncs.load(Ordering::Relaxed);
    only.store(code as u8, Ordering::SeqCst);
    let before = (requests(), resyncs());
    next.store(Fault::LoseRequest as u8, Ordering::SeqCst);
    let result = ask(&mut session);
    assert_eq!(next.load(Ordering::SeqCst), 0, "{code:?} was not asked");
    (result, requests() - before.0, resyncs() - before.1)
}

#[test]
fn a_question_without_an_answer_is_asked_again_where_nothing_is_lost_by_that() {
    type Ask = fn(&mut Session) -> Result<(), SessionError>;
    let questions: [(Code, Ask); 5] = [
        (Code::FwVersion, |session| session.identify().map(drop)),
        (Code::ArchStr, |session| session.identify().map(drop)),
        (Code::ScriptRunning, |session| {
            session.script_running().map(|running| assert!(running))
        }),
        (Code::TxBufLen, |session| session.console().map(drop)),
        (Code::FrameSize, |session| {
            next_frame(session);
            Ok(())
        }),
    ];
    for (code, ask) in questions {
        let (result, requests, resyncs) = losing(code, &camera(), ask);
        result.unwrap();
        assert!(requests >= 2, "{code:?}: {requests}");
        assert_eq!(resyncs, 1, "{code:?}");
    }
    let (saved, requests, _) = losing(Code::FileSaveStatus, &camera(), |session| {
        session.save_file("/flash/note.txt", b"hello")
    });
    saved.unwrap();
    assert!(requests >= 2, "{requests}");
}

#[test]
fn output_and_frames_that_were_not_answered_are_lost_and_said_to_be() {
    let talker = script("while True:\n    print('tick')\n");
    let (result, requests, _) = losing(Code::TxBuf, &talker, |session| {
        loop {
            match session.console() {
                Ok(_) => {}
                Err(error) => break error,
            }
        }
    });
    let silent = |error: &SessionError, asked| matches!(error, SessionError::Silent { command, received: 0, .. } if *command == asked);
    assert!(silent(&result, Code::TxBuf), "{result:?}");
    assert_eq!(requests, 1);

    let (result, requests, resyncs) = losing(Code::FrameDump, &camera(), |session| {
        loop {
            match session.fetch().unwrap() {
                Fetched::NotReady => std::thread::sleep(Duration::from_millis(1)),
                Fetched::Lost(error) => break error,
                other => panic!("{other:?}"),
            }
        }
    });
    assert!(silent(&result, Code::FrameDump), "{result:?}");
    assert_eq!((requests, resyncs), (1, 1));
}

#[test]
fn noise_costs_frames_and_nothing_else() {
    let config = Config {
        boot: BootMode::Ide,
        noise: 0.001,
        seed: 7,
        ..Config::default()
    };
    let (sender, sent) = mpsc::channel();
    let config = Config {
        sent: Some(sender),
        ..config
    };
    // Connecting may fail under noise; it is tried again, as the element does.
    let board = Board::new(config).unwrap();
    let counters = Arc::new(Counters::default());
    let (mut whole, mut lost) = (0, 0);
    let deadline = Instant::now() + FAILSAFE;
    while whole < 20 {
        assert!(Instant::now() < deadline, "{whole} frames, {lost} lost");
        let port = Box::new(board.port());
        let interrupt = Interrupt::default();
        let mut session = match connect::connect(port, &camera(), &interrupt, &counters) {
            Ok(connected) => connected.session,
            Err(error) => {
                println!("not connected: {error}");
                continue;
            }
        };
        let mut waiting = Instant::now();
        while whole < 20 && waiting.elapsed() < Duration::from_secs(3) {
            match session.fetch() {
                Ok(Fetched::Frame(frame)) => {
                    assert_eq!(jpeg::check(&frame.data, frame.width, frame.height), Ok(()));
                    // It is what was sent last, unless noise has hit a place of it that does not
                    // show.
                    let sent = sent.try_iter().last().expect("the board sent one");
                    assert!(sent.data == frame.data || sent.hits > 0);
                    whole += 1;
                    waiting = Instant::now();
                }
                Ok(Fetched::NotReady) => std::thread::sleep(Duration::from_millis(2)),
                Ok(Fetched::Disturbed(_)) => waiting = Instant::now(),
                Ok(Fetched::Lost(_)) => {
                    lost += 1;
                    waiting = Instant::now();
                }
                Err(error) => {
                    println!("link lost: {error}");
                    break;
                }
            }
        }
    }
    let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    println!(
        "{whole} frames, {lost} lost, {} resynchronisations",
        load(&counters.resyncs)
    );
    assert_eq!(load(&counters.frames), whole);
    assert!(load(&counters.dropped) <= lost);
    // Whatever was asked for is accounted for.
    let accounted = whole + load(&counters.dropped) + load(&counters.discarded);
    let asked = load(&counters.command(Code::FrameDump).requests);
    assert_eq!(asked, accounted);
    // Each costs at most one, but for those that befall the requests of connecting.
    assert!(load(&counters.command(Code::FrameDump).requests) >= whole);
}

#[test]
fn connecting_goes_through_noise() {
    let failures: Vec<(u64, ConnectError)> = (1..=60)
        .filter_map(|seed| {
            let config = Config {
                boot: BootMode::Ide,
                noise: 0.003,
                seed,
                ..Config::default()
            };
            Some((seed, bring_up(config, &camera()).err()?))
        })
        .collect();
    assert!(failures.is_empty(), "{failures:?}");
}

#[test]
fn an_unplugged_board_is_gone_at_once() {
    let board = ide_board();
    let mut connected = plugged_in(&board, &camera()).unwrap();
    next_frame(&mut connected.session);
    board.unplug();
    let deadline = Instant::now() + FAILSAFE;
    let error = loop {
        assert!(Instant::now() < deadline);
        match connected.session.fetch() {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(error, SessionError::Gone(_)), "{error:?}");
    board.replug();
    let mut connected = plugged_in(&board, &camera()).unwrap();
    next_frame(&mut connected.session);
}

#[test]
fn a_wait_is_given_up_when_interrupted() {
    let interrupt = Interrupt::default();
    let board = Board::new(Config {
        boot: BootMode::Silent,
        ..Config::default()
    })
    .unwrap();
    let other = interrupt.clone();
    let thread = std::thread::spawn(move || {
        let port = Box::new(board.port());
        connect::connect(port, &camera(), &other, &Arc::default()).err()
    });
    interrupt.set();
    let error = thread.join().unwrap();
    assert!(
        matches!(error, Some(ConnectError::Interrupted)),
        "{error:?}"
    );
}
