// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the streaming thread does: bring a board to stream, ask it for one frame after the other,
//! and find it again when it is lost.

use std::time::{Duration, Instant};

use super::CAT;
use super::board::Board;
use super::notice::Notice;
use super::shared::Shared;
use super::trouble::{self, Report, Trouble};
use crate::sync::lock;
use k210_link::MAX_JPEG_SIZE;
use k210_link::address::Address;
use k210_link::connect::{self, ConnectError, Connected, Goal, Search};
use k210_link::pace::Pace;
use k210_link::session::{Fetched, Frame, Session, SessionError, wire_time};
use k210_link::text::printable;
use k210_link::transport::Transport;

/// How often to look for script output, and whether the script still runs.
const CHORES: Duration = Duration::from_millis(200);

/// How long all frames may arrive damaged before the user is told.
const DAMAGED: Duration = Duration::from_secs(3);

/// How long to wait between two looks for a board that is gone.
const RETRY: Duration = Duration::from_millis(250);

/// How long a board may answer, be lost and answer again without a picture until the user is told:
/// as long as one connection may take.
const IN_VAIN: Duration = connect::OVERALL;

/// Script output that is kept to tell why a script ended.
const CONSOLE_TAIL: usize = 2048;

/// How often script output is asked for in one go; each time comes as much as the board's buffer holds (2048 bytes).
const CONSOLE_PIECES: usize = 8;

/// Lines of script output that are told in one go; more is a script out of hand, and only counted.
const CONSOLE_LINES: usize = 256;

/// The longest line that a script's output is told in, in bytes; longer ones are cut.
const LONGEST_LINE: usize = 1024;

/// The streaming thread at work.
pub(crate) struct Streaming<'a> {
    /// What the rest of the element sees.
    pub shared: &'a Shared,
    /// Takes what there is to tell.
    pub tell: &'a dyn Fn(Notice),
}

/// What only the streaming thread uses, and state changes while there is none.
pub(crate) struct Stream {
    boards: Vec<Board>,
    /// A way to the first of `boards` that was opened already.
    opened: Option<Box<dyn Transport>>,
    script: Vec<u8>,
    own_script: bool,
    pub session: Option<Session>,
    pace: Pace,
    discont: bool,
    /// Since when frames fail to come.
    waiting_since: Instant,
    /// Since when all frames arrive damaged, and whether the user was told.
    damaged_since: Option<(Instant, bool)>,
    next_chores: Instant,
    /// Script output without its line end yet, and all the recent output.
    line: Vec<u8>,
    tail: Vec<u8>,
    had_frame: bool,
    /// What came of boards that answer.
    in_vain: InVain,
    /// Since the board went away until it is back.
    outage: Option<Outage>,
}

/// Connections to boards that answered, since the last frame.
#[derive(Default)]
struct InVain {
    /// The time that they took, with what the board then had for a picture.
    time: Duration,
    /// The user was told.
    told: bool,
}

/// The time without a board.
struct Outage {
    since: Instant,
    attempts: u32,
    /// Why it went away.
    report: Report,
}

impl Stream {
    /// A stream from one of `boards`; `opened` is a way to the first of them. `own_script` tells
    /// that the script is the one that the element has made.
    pub(crate) fn new(
        boards: Vec<Board>,
        opened: Option<Box<dyn Transport>>,
        script: Vec<u8>,
        own_script: bool,
    ) -> Self {
        let now = Instant::now();
        Stream {
            boards,
            opened,
            script,
            own_script,
            session: None,
            pace: Pace::default(),
            discont: true,
            waiting_since: now,
            damaged_since: None,
            next_chores: now,
            line: Vec::new(),
            tail: Vec::new(),
            had_frame: false,
            in_vain: InVain::default(),
            outage: None,
        }
    }

    /// Keeps to the board that has answered.
    fn stay_with(&mut self, index: usize) {
        self.boards.swap(0, index);
        self.boards.truncate(1);
    }

    /// Whether the next frame is the first after a gap; it is taken to be pushed.
    pub(crate) fn take_discont(&mut self) -> bool {
        std::mem::take(&mut self.discont)
    }
}

impl Streaming<'_> {
    /// The next frame, whatever it takes.
    pub(crate) fn next(&self, stream: &mut Stream) -> Result<Frame, Trouble> {
        // While nobody asks for frames none is missing.
        stream.waiting_since = Instant::now();
        loop {
            if let Some(mut outage) = stream.outage.take() {
                let result = self.reconnect(stream, &mut outage);
                if let Err(Trouble::Flushing) = result {
                    stream.outage = Some(outage);
                }
                result?;
            }
            match self.try_next_frame(stream) {
                Err(Trouble::Lost(report)) => self.lose(stream, report)?,
                Err(Trouble::Unfit(report)) if stream.had_frame => self.lose(stream, report)?,
                other => return other,
            }
        }
    }

    /// The next frame, from a board that is connected to if there is none yet.
    fn try_next_frame(&self, stream: &mut Stream) -> Result<Frame, Trouble> {
        if stream.session.is_none() {
            let connected = self.connect(stream, false)?;
            self.welcome(stream, connected);
        }
        self.next_frame(stream)
    }

    /// Brings a board to stream; what is wrong with the one that was lost meanwhile, or with the
    /// last, if none does.
    fn connect(&self, stream: &mut Stream, again: bool) -> Result<Connected, Trouble> {
        let settings = self.shared.settings();
        let counters = self.shared.counters();
        let script = match (again, stream.own_script) {
            // Sensor settings may have changed since.
            (true, true) => settings.sensor_setup().script().into_bytes(),
            _ => stream.script.clone(),
        };
        let mut last = None;
        let mut lost = None;
        let mut search = Search::new(stream.boards.len(), &self.shared.interrupt);
        for index in 0..stream.boards.len() {
            let patience = search.next(&self.shared.interrupt);
            let board = &mut stream.boards[index];
            if let Err(report) = board.follow() {
                last = Some(report);
                continue;
            }
            let device = board.address.to_string();
            let transport = match stream.opened.take() {
                Some(transport) => transport,
                None => match board.open(settings.baud_rate, &self.shared.interrupt) {
                    Ok(transport) => transport,
                    Err(Trouble::Unfit(report)) => {
                        gst::info!(CAT, "{}", report.text);
                        last = Some(report);
                        continue;
                    }
                    Err(trouble) => return Err(trouble),
                },
            };
            let is_serial = matches!(board.address, Address::Serial(_));
            let goal = Goal {
                baud: settings.baud_rate,
                script: script.clone(),
                greets: stream.own_script,
                patience,
            };
            // The script is about to set all of them.
            if stream.own_script {
                lock(&self.shared.state).attributes.clear();
            }
            let begun = Instant::now();
            match connect::connect(transport, &goal, &self.shared.interrupt, &counters) {
                Ok(connected) => {
                    stream.in_vain.time += begun.elapsed();
                    stream.stay_with(index);
                    return Ok(connected);
                }
                Err(ConnectError::Interrupted) => return Err(Trouble::Flushing),
                Err(error) => {
                    gst::info!(CAT, "{device}: {error}");
                    let report = trouble::connect_error(&error, &device);
                    match error {
                        // No other script will be sent.
                        ConnectError::ScriptFailed(_) | ConnectError::NotStarted
                            if !stream.own_script =>
                        {
                            return Err(Trouble::Fatal(report));
                        }
                        ConnectError::Lost(error) => {
                            // A cable that is out may be out for ever.
                            if !matches!(error, SessionError::Gone(_)) {
                                stream.in_vain.time += begun.elapsed();
                            }
                            stream.stay_with(index);
                            return Err(Trouble::Lost(report));
                        }
                        // A port that was open goes away only with its adapter, while a serial
                        // server that hangs up at once turns us away.
                        ConnectError::Session(SessionError::Gone(_)) if is_serial => {
                            lost = Some((index, report));
                        }
                        _ => last = Some(report),
                    }
                }
            }
        }
        if let Some((index, report)) = lost {
            stream.boards.swap(0, index);
            return Err(Trouble::Lost(report));
        }
        Err(Trouble::Unfit(last.unwrap_or_else(trouble::no_board)))
    }

    /// Begins to stream from a board.
    fn welcome(&self, stream: &mut Stream, connected: Connected) {
        let Connected {
            session,
            board,
            console,
        } = connected;
        let firmware = board.firmware();
        stream.boards[0].remember(&board);
        let device = stream.boards[0].address.to_string();
        gst::info!(CAT, "{} with firmware {firmware} on {device}", board.arch);
        (self.tell)(Notice::Board {
            identity: board,
            device,
        });
        stream.session = Some(session);
        stream.discont = true;
        stream.waiting_since = Instant::now();
        stream.damaged_since = None;
        stream.next_chores = Instant::now();
        stream.pace.restart();
        stream.line.clear();
        stream.tail.clear();
        self.print(stream, &console);
    }

    /// Gives up a board that went away, to wait for it.
    fn lose(&self, stream: &mut Stream, report: Report) -> Result<(), Trouble> {
        if stream.session.take().is_some() {
            // Since the board streams, or since its last picture.
            let waited = stream.waiting_since.elapsed();
            stream.in_vain.time += waited.saturating_sub(self.settling(stream));
        }
        if !lock(&self.shared.settings).reconnect {
            return Err(Trouble::Fatal(report));
        }
        self.check_connections(stream, &report)?;
        gst::warning!(CAT, "{}", report.text);
        (self.tell)(Notice::Disconnected {
            reason: report.text.clone(),
            device: stream.boards[0].address.to_string(),
        });
        stream.outage = Some(Outage {
            since: Instant::now(),
            attempts: 0,
            report,
        });
        Ok(())
    }

    /// A board that answers each time and never gets to give a picture. If it has given some, it may
    /// do so again.
    fn check_connections(&self, stream: &mut Stream, report: &Report) -> Result<(), Trouble> {
        let vain = &mut stream.in_vain;
        if vain.time < IN_VAIN {
            return Ok(());
        }
        if !stream.had_frame {
            return Err(Trouble::Fatal(report.clone()));
        }
        if !std::mem::replace(&mut vain.told, true) {
            let text = report.text.clone();
            (self.tell)(Notice::Warning { text });
        }
        Ok(())
    }

    /// Waits for a board that went away. An interrupted wait can be gone on with.
    fn reconnect(&self, stream: &mut Stream, outage: &mut Outage) -> Result<(), Trouble> {
        let connected = loop {
            outage.attempts += 1;
            match self.connect(stream, true) {
                Ok(connected) => break connected,
                Err(Trouble::Lost(report)) => self.check_connections(stream, &report)?,
                Err(Trouble::Unfit(_)) => {}
                Err(trouble) => return Err(trouble),
            }
            let settings = self.shared.settings();
            let timeout = Duration::from_nanos(settings.reconnect_timeout);
            let over = !timeout.is_zero() && outage.since.elapsed() >= timeout;
            if !settings.reconnect || over {
                return Err(Trouble::Fatal(outage.report.clone()));
            }
            self.shared
                .interrupt
                .wait(RETRY)
                .map_err(|_| Trouble::Flushing)?;
        };
        self.shared.count_reconnection();
        (self.tell)(Notice::Reconnected {
            outage: outage.since.elapsed(),
            attempts: outage.attempts,
            device: stream.boards[0].address.to_string(),
        });
        self.welcome(stream, connected);
        Ok(())
    }

    /// Asks the board until it has a frame.
    fn next_frame(&self, stream: &mut Stream) -> Result<Frame, Trouble> {
        loop {
            self.limit_session(stream);
            self.do_chores(stream)?;
            stream.pace.set_interval(self.shared.interval());
            let now = Instant::now();
            let due = stream.pace.due(now);
            if due > now {
                // The wait for the next frame is no fault of the board's.
                self.shared
                    .interrupt
                    .wait_until(due)
                    .map_err(|_| Trouble::Flushing)?;
                stream.waiting_since = stream.waiting_since.max(due);
                self.limit_session(stream);
            }
            let device = stream.boards[0].address.to_string();
            let Some(session) = stream.session.as_mut() else {
                return Err(Trouble::Flushing);
            };
            match session
                .fetch()
                .map_err(|error| Trouble::from_session(error, &device))?
            {
                Fetched::Frame(frame) => {
                    stream.pace.advance(frame.requested, frame.arrived);
                    stream.waiting_since = frame.arrived;
                    stream.damaged_since = None;
                    stream.had_frame = true;
                    stream.in_vain = InVain::default();
                    self.shared.measure();
                    return Ok(frame);
                }
                Fetched::Lost(error) => {
                    gst::warning!(CAT, "lost a frame: {error}");
                    stream.discont = true;
                    (self.tell)(Notice::FrameLost);
                    // The board is not stuck, whatever the line makes of its pictures.
                    let now = Instant::now();
                    stream.waiting_since = now;
                    let (since, told) = stream.damaged_since.get_or_insert((now, false));
                    if !*told && now - *since > DAMAGED {
                        *told = true;
                        let text = trouble::damaged(&device);
                        (self.tell)(Notice::Warning { text });
                    }
                }
                Fetched::Disturbed(error) => {
                    gst::info!(CAT, "the line was disturbed: {error}");
                }
                Fetched::NotReady => self.idle(stream)?,
            }
            self.check_patience(stream, &device)?;
        }
    }

    /// How long a board may be without a picture; `None` for ever.
    fn patience(&self, stream: &Stream) -> Option<Duration> {
        let settings = self.shared.settings();
        let timeout = Duration::from_nanos(settings.frame_timeout);
        (!timeout.is_zero()).then(|| timeout + self.settling(stream))
    }

    /// How long a script of ours lets the sensor settle before its first picture.
    fn settling(&self, stream: &Stream) -> Duration {
        match stream.had_frame || !stream.own_script {
            true => Duration::ZERO,
            // The slowest sensors deliver 10 frames a second.
            false => Duration::from_millis(100) * self.shared.settings().skip_frames,
        }
    }

    /// A board that has not given a picture for too long, whatever else it does meanwhile.
    fn check_patience(&self, stream: &Stream, device: &str) -> Result<(), Trouble> {
        let waiting = stream.waiting_since.elapsed();
        if self
            .patience(stream)
            .is_none_or(|patience| waiting <= patience)
        {
            return Ok(());
        }
        let seconds = waiting.as_secs_f64();
        Err(Trouble::Unfit(trouble::no_frames(device, seconds)))
    }

    /// Ends an answer that does not when the board's time is over, and that of one picture on the wire.
    fn limit_session(&self, stream: &mut Stream) {
        let patience = self.patience(stream);
        let since = stream.waiting_since;
        if let Some(session) = &mut stream.session {
            let crossing = wire_time(MAX_JPEG_SIZE as usize, session.baud());
            session.set_deadline(patience.and_then(|it| since.checked_add(it + crossing)));
        }
    }

    /// Waits a little for a frame that is not ready.
    fn idle(&self, stream: &Stream) -> Result<(), Trouble> {
        // A board that has just sent a frame has the next one when its sensor and its encoder are
        // done, and what the wire waits for then is our question. Asking costs 18 bytes.
        let pause = Duration::from_micros(match stream.waiting_since.elapsed().as_millis() {
            0..10 => 250,
            10..150 => 1000,
            _ => 10_000,
        });
        self.shared
            .interrupt
            .wait(pause)
            .map_err(|_| Trouble::Flushing)
    }

    /// What has to be done besides frames: sensor settings, script output, the script's end.
    fn do_chores(&self, stream: &mut Stream) -> Result<(), Trouble> {
        let device = stream.boards[0].address.to_string();
        let Some(session) = stream.session.as_mut() else {
            return Err(Trouble::Flushing);
        };
        let failed = |error| Trouble::from_session(error, &device);
        loop {
            let Some((attribute, value)) = lock(&self.shared.state).attributes.pop_front() else {
                break;
            };
            gst::debug!(CAT, "{attribute:?} becomes {value}");
            session.set_attribute(attribute, value).map_err(failed)?;
        }
        let now = Instant::now();
        if now < stream.next_chores {
            return Ok(());
        }
        stream.next_chores = now + CHORES;
        // Asked first, so that the output read after it is all that there will be.
        let running = match session.script_running() {
            Err(error) if error.is_line_noise() => true,
            other => other.map_err(failed)?,
        };
        let mut output = Vec::new();
        // A board that says each time that a byte waits would keep us from its pictures, and from seeing that it has none.
        for _ in 0..CONSOLE_PIECES {
            match session.console() {
                Ok(more) if more.is_empty() => break,
                Ok(more) => output.extend(more),
                // Output that got lost is not asked for again.
                Err(error) if error.is_line_noise() => {
                    session.resync().map_err(failed)?;
                    break;
                }
                Err(error) => return Err(failed(error)),
            }
        }
        self.print(stream, &output);
        if running {
            return Ok(());
        }
        let tail = String::from_utf8_lossy(&stream.tail).into_owned();
        match (stream.own_script, connect::exception(&tail)) {
            (false, None) => {
                gst::info!(CAT, "the script has ended");
                Err(Trouble::Eos)
            }
            (false, Some(text)) => Err(Trouble::Fatal(trouble::script_failed(&text, &device))),
            // A sensor that stalls raises an exception; starting anew may mend it.
            (true, Some(text)) => Err(Trouble::Unfit(trouble::script_failed(&text, &device))),
            (true, None) => Err(Trouble::Lost(trouble::script_failed(
                "it was stopped",
                &device,
            ))),
        }
    }

    /// Posts script output line by line.
    fn print(&self, stream: &mut Stream, output: &[u8]) {
        stream.tail.extend_from_slice(output);
        let excess = stream.tail.len().saturating_sub(CONSOLE_TAIL);
        stream.tail.drain(..excess);
        let mut lines = 0;
        for &byte in output {
            if byte != b'\n' {
                stream.line.push(byte);
                if stream.line.len() < LONGEST_LINE {
                    continue;
                }
            }
            let line = std::mem::take(&mut stream.line);
            lines += 1;
            if lines > CONSOLE_LINES {
                continue;
            }
            let line = printable(line.strip_suffix(b"\r").unwrap_or(&line));
            gst::debug!(CAT, "the script prints: {line}");
            (self.tell)(Notice::Console { line });
        }
        if let Some(more) = lines.checked_sub(CONSOLE_LINES).filter(|more| *more > 0) {
            let line = format!("({more} lines more)");
            (self.tell)(Notice::Console { line });
        }
    }
}

#[cfg(all(test, feature = "sim"))]
#[allow(clippy::expect_used, reason = "a failure ends the test")]
mod tests {
    use std::io;
    use std::sync::Mutex;
    use std::sync::mpsc::RecvTimeoutError;

    use k210_link::transport::Transport;
    use k210_sim::{BootMode, Config, Port};

    use super::*;

    /// What a line does to the bytes on it.
    trait Tamper {
        /// How many of the first bytes to the board are lost.
        fn hear(&mut self, data: &[u8]) -> usize;

        /// Changes what the board says.
        fn say(&mut self, _answer: &mut [u8]) {}
    }

    struct Tampered<T> {
        port: Port,
        with: T,
    }

    impl<T: Tamper + Send> Transport for Tampered<T> {
        fn read(&mut self, buf: &mut [u8], timeout: Duration) -> io::Result<usize> {
            let count = self.port.read(buf, timeout)?;
            self.with.say(&mut buf[..count]);
            Ok(count)
        }
        fn write_all(&mut self, data: &[u8], timeout: Duration) -> io::Result<()> {
            let lost = self.with.hear(data);
            self.port.write_all(&data[lost..], timeout)
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

    /// A board whose answers to FRAME_SIZE are made up.
    struct Liar {
        answer: [u8; 12],
        /// Bytes of it that are still to be given.
        left: usize,
    }

    impl Tamper for Liar {
        fn hear(&mut self, data: &[u8]) -> usize {
            if data.starts_with(&[0x30, 0x81]) {
                self.left = 12;
            }
            0
        }

        fn say(&mut self, answer: &mut [u8]) {
            for byte in answer.iter_mut().take(self.left) {
                *byte = self.answer[12 - self.left];
                self.left -= 1;
            }
        }
    }

    fn board() -> Port {
        let config = Config {
            boot: BootMode::Ide,
            ..Config::default()
        };
        k210_sim::open(config).expect("a board")
    }

    /// A stream from a board behind `transport` that runs `script`.
    fn stream(transport: Box<dyn Transport>, script: &str) -> Stream {
        let boards = Board::candidates(Some("sim:")).expect("an address");
        Stream::new(boards, Some(transport), script.into(), false)
    }

    /// What comes of so many frames of a board behind `transport`, up to the first that does not come within a minute.
    fn pulled(
        shared: &Shared,
        transport: impl Transport + 'static,
        count: usize,
    ) -> Vec<Result<Result<Frame, Trouble>, RecvTimeoutError>> {
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let streaming = Streaming {
                    shared,
                    tell: &|_| {},
                };
                let mut stream = stream(Box::new(transport), CAMERA);
                for _ in 0..count {
                    let _ = sender.send(streaming.next(&mut stream));
                }
            });
            let mut results = Vec::new();
            while results.len() < count && results.iter().all(Result::is_ok) {
                results.push(receiver.recv_timeout(Duration::from_secs(60)));
            }
            // Lets the thread end if it has not.
            shared.interrupt.set();
            results
        })
    }

    const CAMERA: &str = "import sensor\n\
        sensor.reset()\n\
        sensor.set_pixformat(sensor.RGB565)\n\
        sensor.set_framesize(sensor.QQVGA)\n\
        print('it runs')\n\
        while True:\n    sensor.snapshot()\n";

    #[test]
    fn a_board_that_tells_impossible_sizes_is_stuck_after_the_frame_timeout() {
        let mut answer = [0xff; 12];
        answer[8..].copy_from_slice(&100u32.to_le_bytes());
        let liar = Tampered {
            port: board(),
            with: Liar { answer, left: 0 },
        };
        let shared = Shared::default();
        lock(&shared.settings).frame_timeout = 300_000_000;
        let results = pulled(&shared, liar, 1);
        let [Ok(Err(Trouble::Unfit(report)))] = &results[..] else {
            panic!("{results:?}");
        };
        assert!(report.text.contains("is stuck"), "{}", report.text);
    }

    /// A board that is deaf from some command on.
    struct Deafened {
        /// The command's code.
        from: u8,
        /// Whether it hears later commands again.
        once: bool,
        /// Bytes that it does not hear.
        left: usize,
    }

    impl Tamper for Deafened {
        fn hear(&mut self, data: &[u8]) -> usize {
            if self.left == 0 && data.starts_with(&[0x30, self.from]) {
                let length = data[2..6].iter().rev();
                let length = length.fold(0, |sum, byte| sum << 8 | usize::from(*byte));
                self.left = if self.once { 6 + length } else { usize::MAX };
            }
            let lost = data.len().min(self.left);
            self.left -= lost;
            lost
        }
    }

    /// What comes of a board that is deaf from `code` on, for the element's own script or another,
    /// and the warnings.
    fn deafened(
        code: u8,
        once: bool,
        own_script: bool,
        prepare: impl FnOnce(&mut Stream),
    ) -> (Result<Frame, Trouble>, Vec<String>) {
        let deafened = Deafened {
            from: code,
            once,
            left: 0,
        };
        let board = Tampered {
            port: board(),
            with: deafened,
        };
        let shared = Shared::default();
        let warnings = Mutex::new(Vec::new());
        let streaming = Streaming {
            shared: &shared,
            tell: &|notice| match notice {
                Notice::Warning { text } => lock(&warnings).push(text),
                notice => println!("{notice:?}"),
            },
        };
        let mut stream = stream(Box::new(board), CAMERA);
        stream.own_script = own_script;
        prepare(&mut stream);
        let result = streaming.next(&mut stream);
        let warnings = lock(&warnings).clone();
        (result, warnings)
    }

    /// A board that says each time that some bytes of output wait.
    struct Talker {
        waiting: u32,
        asked: bool,
    }

    impl Tamper for Talker {
        fn hear(&mut self, data: &[u8]) -> usize {
            self.asked = data.starts_with(&[0x30, 0x8e]);
            0
        }

        fn say(&mut self, answer: &mut [u8]) {
            if std::mem::take(&mut self.asked) && answer.len() == 4 {
                answer.copy_from_slice(&self.waiting.to_le_bytes());
            }
        }
    }

    #[test]
    fn a_board_that_never_stops_talking_does_not_keep_its_pictures() {
        for waiting in [1, 4096] {
            let talker = Tampered {
                port: board(),
                with: Talker {
                    waiting,
                    asked: false,
                },
            };
            let frames = pulled(&Shared::default(), talker, 5);
            let all = frames.len() == 5 && frames.iter().all(|frame| matches!(frame, Ok(Ok(_))));
            assert!(all, "{waiting} bytes wait: {frames:?}");
        }
    }

    #[test]
    fn of_a_flood_of_lines_some_are_told_and_the_others_counted() {
        let (shared, lines) = (Shared::default(), Mutex::new(Vec::new()));
        let streaming = Streaming {
            shared: &shared,
            tell: &|notice| {
                if let Notice::Console { line } = notice {
                    lock(&lines).push(line);
                }
            },
        };
        let mut stream = stream(Box::new(board()), CAMERA);
        streaming.print(&mut stream, "x\n".repeat(8192).as_bytes());
        let told = std::mem::take(&mut *lock(&lines));
        assert_eq!(told.len(), CONSOLE_LINES + 1);
        assert_eq!(
            told.last().unwrap(),
            &format!("({} lines more)", 8192 - CONSOLE_LINES)
        );
        // What follows is told again.
        streaming.print(&mut stream, b"the last\n");
        assert_eq!(*lock(&lines), ["the last"]);
    }

    #[test]
    fn the_time_that_a_board_streams_without_a_picture_is_in_vain_too() {
        let shared = Shared::default();
        let streaming = Streaming {
            shared: &shared,
            tell: &|_| {},
        };
        let lost = || trouble::script_failed("it was reset", "it");
        for (waited, is_over) in [(Duration::from_secs(1), false), (IN_VAIN, true)] {
            let mut stream = stream(Box::new(board()), CAMERA);
            streaming.next(&mut stream).unwrap();
            stream.had_frame = false;
            stream.waiting_since = Instant::now().checked_sub(waited).unwrap();
            let result = streaming.lose(&mut stream, lost());
            assert_eq!(result.is_err(), is_over, "{waited:?}: {result:?}");
        }
    }

    const SCRIPT_EXEC: u8 = 0x05;
    const SCRIPT_RUNNING: u8 = 0x87;

    #[test]
    fn a_board_that_never_starts_the_script_is_an_error_and_not_lost() {
        let (result, _) = deafened(SCRIPT_EXEC, true, true, |_| {});
        let Err(Trouble::Unfit(report)) = result else {
            panic!("{result:?}");
        };
        assert!(report.text.contains("does not start"), "{}", report.text);
        // Another script may have ended without a word, and does so again.
        let (result, _) = deafened(SCRIPT_EXEC, true, false, |_| {});
        assert!(matches!(result, Err(Trouble::Fatal(_))), "{result:?}");
    }

    #[test]
    fn a_board_that_answers_and_is_lost_each_time_is_an_error_after_a_while() {
        let almost = IN_VAIN - Duration::from_millis(1);
        let tired = |stream: &mut Stream| stream.in_vain.time = almost;
        let (result, _) = deafened(SCRIPT_RUNNING, false, false, tired);
        let Err(Trouble::Fatal(report)) = result else {
            panic!("{result:?}");
        };
        assert!(report.text.contains("does not answer"), "{}", report.text);
        // The first time it is only lost.
        let (result, warnings) = deafened(SCRIPT_RUNNING, false, false, |_| {});
        result.unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn a_board_that_has_given_pictures_and_is_lost_each_time_is_warned_of() {
        let (result, warnings) = deafened(SCRIPT_RUNNING, false, false, |stream| {
            stream.in_vain.time = IN_VAIN;
            stream.had_frame = true;
        });
        result.unwrap();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
    }

    #[test]
    fn output_without_line_ends_is_cut_and_control_characters_are_written_out() {
        let script = format!("print('\\x1b[31mred')\nprint('y' * 5000, end='')\n{CAMERA}");
        let shared = Shared::default();
        let lines = Mutex::new(Vec::new());
        let streaming = Streaming {
            shared: &shared,
            tell: &|notice| {
                if let Notice::Console { line } = notice {
                    lock(&lines).push(line);
                }
            },
        };
        let mut stream = stream(Box::new(board()), &script);
        let deadline = Instant::now() + Duration::from_secs(60);
        while !lock(&lines).iter().any(|line| line.contains("it runs")) {
            streaming.next(&mut stream).unwrap();
            assert!(Instant::now() < deadline, "{:?}", lock(&lines));
        }
        let lines = lock(&lines);
        assert!(lines.iter().any(|line| line == "\\x1b[31mred"), "{lines:?}");
        assert!(lines.iter().all(|line| line.len() <= LONGEST_LINE));
        assert!(lines.iter().any(|line| line.len() == LONGEST_LINE));
    }

    #[test]
    fn an_interrupt_during_an_outage_does_not_begin_another() {
        let board = k210_sim::Board::new(Config {
            boot: BootMode::Ide,
            ..Config::default()
        })
        .unwrap();
        let shared = Shared::default();
        let notices = Mutex::new(Vec::new());
        let streaming = Streaming {
            shared: &shared,
            tell: &|notice| {
                if let Notice::Disconnected { .. } = notice {
                    shared.interrupt.set();
                }
                lock(&notices).push(notice);
            },
        };
        let mut stream = stream(Box::new(board.port()), CAMERA);
        streaming.next(&mut stream).unwrap();
        board.unplug();
        let interrupted = loop {
            match streaming.next(&mut stream) {
                Ok(_) => {}
                Err(trouble) => break trouble,
            }
        };
        assert!(matches!(interrupted, Trouble::Flushing), "{interrupted:?}");
        shared.interrupt.clear();
        streaming.next(&mut stream).unwrap();
        let notices = lock(&notices);
        let count = |test: fn(&Notice) -> bool| notices.iter().filter(|n| test(n)).count();
        assert_eq!(count(|n| matches!(n, Notice::Disconnected { .. })), 1);
        assert_eq!(count(|n| matches!(n, Notice::Reconnected { .. })), 1);
    }
}
