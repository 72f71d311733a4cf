// SPDX-License-Identifier: MIT OR Apache-2.0
//! The simulated K210 board, seen from its cable.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failure ends the test"
)]

use std::io;
use std::time::{Duration, Instant};

use k210_link::transport::Transport;
use k210_sim::{Board, BootMode, Config, Port, SerialPort, TcpPort, counter};

/// Long enough that only a board that hangs reaches it.
const FAILSAFE: Duration = Duration::from_secs(20);

/// A host's end that reads until it has what it wants.
struct Host {
    port: Port,
}

impl Host {
    fn ide(config: Config) -> Host {
        let mut port = k210_sim::open(Config {
            boot: BootMode::Ide,
            ..config
        })
        .unwrap();
        port.set_baud_rate(1_500_000).unwrap();
        let mut host = Host { port };
        host.wait_for_ide();
        host
    }

    fn wait_for_ide(&mut self) {
        let deadline = Instant::now() + FAILSAFE;
        loop {
            self.send(0x8d, 4, b"");
            let mut reply = [0; 4];
            if self
                .port
                .read(&mut reply, Duration::from_millis(50))
                .is_ok()
                && reply == 0xffee_bbaa_u32.to_le_bytes()
            {
                return;
            }
            assert!(Instant::now() < deadline, "no IDE mode");
        }
    }

    fn at(boot: BootMode) -> Host {
        Host {
            port: k210_sim::open(Config {
                boot,
                ..Config::default()
            })
            .unwrap(),
        }
    }

    fn write(&mut self, data: &[u8]) {
        self.port.write_all(data, FAILSAFE).unwrap();
    }

    fn send(&mut self, command: u8, length: u32, data: &[u8]) {
        let mut request = vec![0x30, command];
        request.extend(length.to_le_bytes());
        request.extend(data);
        self.write(&request);
    }

    fn read(&mut self, count: usize) -> Vec<u8> {
        let mut data = vec![0; count];
        let mut filled = 0;
        while filled < count {
            filled += self
                .port
                .read(&mut data[filled..], FAILSAFE)
                .unwrap_or_else(|error| panic!("{error} after {filled} of {count} bytes"));
        }
        data
    }

    fn ask(&mut self, command: u8, length: u32) -> Vec<u8> {
        self.send(command, length, b"");
        self.read(length as usize)
    }

    fn ask_word(&mut self, command: u8) -> u32 {
        u32::from_le_bytes(self.ask(command, 4).try_into().unwrap())
    }

    /// Nothing comes for a while.
    fn assert_silent(&mut self) {
        let mut byte = [0];
        let error = self.port.read(&mut byte, Duration::from_millis(30));
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    fn read_until(&mut self, wanted: &str) -> String {
        let deadline = Instant::now() + FAILSAFE;
        let mut text = Vec::new();
        loop {
            let mut piece = [0; 512];
            match self.port.read(&mut piece, Duration::from_millis(200)) {
                Ok(count) => text.extend(&piece[..count]),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
                Err(error) => panic!("{error}"),
            }
            let so_far = String::from_utf8_lossy(&text);
            if so_far.contains(wanted) {
                return so_far.into_owned();
            }
            assert!(Instant::now() < deadline, "no {wanted:?} in {so_far:?}");
        }
    }

    /// What the script printed until it has printed `wanted`.
    fn console_until(&mut self, wanted: &str) -> String {
        let deadline = Instant::now() + FAILSAFE;
        let mut text = String::new();
        while !text.contains(wanted) {
            let length = self.ask_word(0x8e);
            text += &String::from_utf8_lossy(&self.ask(0x8f, length));
            assert!(Instant::now() < deadline, "no {wanted:?} in {text:?}");
        }
        text
    }

    fn run(&mut self, script: &str) {
        self.send(0x05, script.len() as u32, script.as_bytes());
    }

    fn run_to_end(&mut self, script: &str) -> String {
        // What came before, the prompt's banner included.
        self.console_until(">>> ");
        self.run(script);
        self.console_until(">>> ")
    }

    fn frame(&mut self) -> (u32, u32, Vec<u8>) {
        let deadline = Instant::now() + FAILSAFE;
        loop {
            let header = self.ask(0x81, 12);
            let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
            if word(0) != 0 {
                return (word(0), word(4), self.ask(0x82, word(8)));
            }
            assert!(Instant::now() < deadline, "no frame");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Decodes a JPEG to luma.
fn decode(jpeg: &[u8]) -> (usize, usize, Vec<u8>) {
    let mut decoder = jpeg_decoder::Decoder::new(jpeg);
    let pixels = decoder.decode().expect("a picture");
    let info = decoder.info().expect("a decoded picture");
    let luma = match info.pixel_format {
        jpeg_decoder::PixelFormat::L8 => pixels,
        _ => pixels
            .chunks_exact(3)
            .map(|rgb| {
                let [r, g, b] = [0, 1, 2].map(|n| u32::from(rgb[n]));
                ((299 * r + 587 * g + 114 * b) / 1000) as u8
            })
            .collect(),
    };
    (info.width.into(), info.height.into(), luma)
}

fn number(jpeg: &[u8]) -> Option<u16> {
    let (width, height, luma) = decode(jpeg);
    counter::read(&luma, width, height, width)
}

const HELLO: &str = "\
# Hello World Example
import sensor, image, time, lcd

lcd.init(freq=15000000)
sensor.reset()                      # Reset and initialize the sensor. It will
sensor.set_pixformat(sensor.RGB565) # Set pixel format to RGB565 (or GRAYSCALE)
sensor.set_framesize(sensor.QVGA)   # Set frame size to QVGA (320x240)
sensor.skip_frames(time = 100)      # Wait for settings take effect.
clock = time.clock()                # Create a clock object to track the FPS.

while(True):
    clock.tick()                    # Update the FPS clock.
    img = sensor.snapshot()         # Take a picture and return the image.
    lcd.display(img)                # Display on LCD
    print(clock.fps())              # Note: MaixPy's Cam runs about half as fast when connected
";

#[test]
fn the_ides_first_script_streams_frames() {
    let mut host = Host::ide(Config::default());
    host.send(0x0d, 0, &[1, 0]);
    host.run(HELLO);
    let mut last = None;
    for _ in 0..10 {
        let (width, height, jpeg) = host.frame();
        assert_eq!((width, height), (320, 240));
        let number = number(&jpeg).expect("a counter");
        assert!(
            last.is_none_or(|last| number > last),
            "{last:?} then {number}"
        );
        last = Some(number);
    }
    assert_eq!(host.ask_word(0x87), 1);
    let text = host.console_until("\r\n");
    assert!(!text.is_empty());
    host.send(0x06, 0, b"");
    let text = host.console_until("IDE interrupt");
    assert!(text.contains("Traceback (most recent call last):\r\n  File \"<stdin>\", line "));
    assert_eq!(host.ask_word(0x87), 0);
}

#[test]
fn a_board_boots_and_enters_ide_mode_by_its_prompt() {
    let mut host = Host::at(BootMode::PowerOn);
    let text = host.read_until(">>> ");
    assert!(text.contains("[MAIXPY] Pll0:freq:"), "{text:?}");
    assert!(text.contains("[MaixPy] init end\r\n"), "{text:?}");
    host.write(b"print(1 + 2)\r");
    assert!(host.read_until("3\r\n>>> ").starts_with("print(1 + 2)\r\n"));
    for line in [
        "from machine import UART",
        "repl = UART.repl_uart()",
        "repl.init(1500000, 8, None, 1, read_buf_len=2048, ide=True, from_ide=True)",
    ] {
        host.write(line.as_bytes());
        host.write(b"\r");
        host.read_until(line);
    }
    host.port.set_baud_rate(1_500_000).unwrap();
    host.wait_for_ide();
}

#[test]
fn scripts_print_and_fail_as_micropython_does() {
    let mut host = Host::ide(Config::default());
    let script = "\
def f(x):
    return 10 // x
for i in range(2):
    print(i, 'of', 2, sep='-')
print('%d %.2f %s' % (3, 2.5, 'x'), '{:04d}|{}'.format(42, [1, 'a']))
f(0)
";
    assert_eq!(
        host.run_to_end(script),
        "0-of-2\r\n1-of-2\r\n3 2.50 x 0042|[1, 'a']\r\n\
         Traceback (most recent call last):\r\n  \
         File \"<stdin>\", line 6, in <module>\r\n  \
         File \"<stdin>\", line 2, in f\r\n\
         ZeroDivisionError: divide by zero\r\n\
         MicroPython v0.6.3 on 2024-01-16; Sipeed_M1 with kendryte-k210\r\n\
         Type \"help()\" for more information.\r\n>>> "
    );
}

#[test]
fn commands_without_an_answer_stay_silent() {
    let mut host = Host::ide(Config::default());
    // Nothing, the unknown with bit 7, ATTR_READ, a reply of no bytes.
    for command in [0x00, 0x99, 0x8a] {
        host.send(command, 4, b"");
        host.assert_silent();
    }
    host.send(0x8d, 0, b"");
    host.assert_silent();
    assert_eq!(host.ask_word(0x8d), 0xffee_bbaa);
}

/// Opens a serial device as clients do.
fn open_serial(path: &std::path::Path, baud_rate: u32) -> Serial {
    use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut settings = tcgetattr(&file).unwrap();
    settings.make_raw();
    settings.set_speed(baud_rate).unwrap();
    tcsetattr(&file, OptionalActions::Now, &settings).unwrap();
    Serial(file)
}

struct Serial(std::fs::File);

impl Serial {
    /// Reads until `count` bytes came, or nothing for `patience`.
    fn read(&mut self, count: usize, patience: Duration) -> io::Result<Vec<u8>> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let mut data = Vec::new();
        while data.len() < count {
            let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
            let limit = Timespec::try_from(patience).unwrap();
            if poll(&mut fds, Some(&limit))? == 0 {
                break;
            }
            let mut piece = vec![0; count - data.len()];
            let got = io::Read::read(&mut self.0, &mut piece)?;
            if got == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            data.extend(&piece[..got]);
        }
        Ok(data)
    }

    fn query_status(&mut self) -> bool {
        let sent = io::Write::write_all(&mut self.0, &[0x30, 0x8d, 4, 0, 0, 0]);
        let reply = sent.and_then(|()| self.read(4, Duration::from_millis(300)));
        reply.is_ok_and(|reply| reply == 0xffee_bbaa_u32.to_le_bytes())
    }

    fn wait_for_ide(&mut self) {
        let deadline = Instant::now() + FAILSAFE;
        while !self.query_status() {
            assert!(Instant::now() < deadline, "no IDE mode");
        }
    }

    /// Runs a script on a board in IDE mode, and takes its first frame.
    fn first_frame(&mut self) -> Vec<u8> {
        use std::io::Write;
        let script = streaming("");
        let mut request = vec![0x30, 0x0d, 0, 0, 0, 0, 1, 0, 0x30, 0x05];
        request.extend((script.len() as u32).to_le_bytes());
        request.extend(script.as_bytes());
        self.0.write_all(&request).unwrap();
        let deadline = Instant::now() + FAILSAFE;
        let size = loop {
            assert!(Instant::now() < deadline, "no frame");
            self.0.write_all(&[0x30, 0x81, 12, 0, 0, 0]).unwrap();
            let reply = self.read(12, FAILSAFE).unwrap();
            if reply[..4] != [0; 4] {
                break u32::from_le_bytes(reply[8..12].try_into().unwrap());
            }
        };
        let mut request = vec![0x30, 0x82];
        request.extend(size.to_le_bytes());
        self.0.write_all(&request).unwrap();
        self.read(size as usize, FAILSAFE).unwrap()
    }
}

fn ide_board() -> Board {
    Board::new(Config {
        boot: BootMode::Ide,
        ..Config::default()
    })
    .unwrap()
}

fn wait_for(what: &str, mut test: impl FnMut() -> bool) {
    let deadline = Instant::now() + FAILSAFE;
    while !test() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_pseudo_terminal_is_a_serial_port() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("board");
    let port = SerialPort::new(ide_board(), Some(&link)).unwrap();
    assert_eq!(port.path(), link);
    // The wrong speed, and the right one.
    let mut slow = open_serial(&link, 115_200);
    assert!(!slow.query_status());
    drop(slow);
    let mut client = open_serial(&link, 1_500_000);
    client.wait_for_ide();
    drop(client);
    // A second client after the first.
    let mut client = open_serial(&link, 1_500_000);
    client.wait_for_ide();

    port.unplug();
    assert!(
        std::fs::symlink_metadata(&link).is_err(),
        "the link is gone"
    );
    wait_for(
        "hang-up",
        || !matches!(client.read(1, Duration::from_millis(1)), Ok(data) if data.is_empty()),
    );
    port.replug().unwrap();
    // The IDE's file in flash brings the board back to IDE mode.
    open_serial(&link, 1_500_000).wait_for_ide();

    let other = SerialPort::new(ide_board(), Some(&link));
    assert_eq!(
        other.err().map(|error| error.kind()),
        Some(io::ErrorKind::AlreadyExists)
    );
    drop(port);
    assert!(std::fs::symlink_metadata(&link).is_err());
}

#[test]
fn tcp_serves_one_client_after_the_other() {
    use std::io::{Read, Write};
    let port = TcpPort::new(ide_board(), "127.0.0.1:0", None).unwrap();
    let connect = || {
        let client = std::net::TcpStream::connect(port.address()).unwrap();
        client.set_read_timeout(Some(FAILSAFE)).unwrap();
        client
    };
    let ask = |client: &mut std::net::TcpStream| {
        let mut reply = [0; 4];
        client.write_all(&[0x30, 0x8d, 4, 0, 0, 0])?;
        client.read_exact(&mut reply)?;
        io::Result::Ok(u32::from_le_bytes(reply))
    };
    let mut first = connect();
    // The board may still be on its way to IDE mode; what it misses is not answered.
    first
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    wait_for("IDE mode", || {
        ask(&mut first).is_ok_and(|status| status == 0xffee_bbaa)
    });
    let mut second = connect();
    assert_eq!(second.read(&mut [0]).unwrap(), 0, "turned away");
    drop(first);
    wait_for("room for another", || {
        ask(&mut connect()).is_ok_and(|status| status == 0xffee_bbaa)
    });
    let mut last = connect();
    wait_for("room for the last", || {
        let fine = ask(&mut last).is_ok();
        if !fine {
            last = connect();
        }
        fine
    });
    port.unplug();
    assert_eq!(last.read(&mut [0]).unwrap(), 0, "disconnected");
}

/// The program, until it is dropped.
struct Program {
    child: std::process::Child,
    lines: io::Lines<io::BufReader<std::process::ChildStdout>>,
}

impl Program {
    fn start(args: &[&str]) -> Program {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_k210-sim"))
            .args(args)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let output = child.stdout.take().unwrap();
        Program {
            child,
            lines: io::BufRead::lines(io::BufReader::new(output)),
        }
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("a line").unwrap()
    }

    fn stop(&mut self, signal: rustix::process::Signal) -> std::process::ExitStatus {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_program_serves_a_link_and_cleans_up() {
    use rustix::process::Signal;
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("ttyK210");
    for signal in [Signal::INT, Signal::TERM] {
        let name = link.to_str().unwrap();
        let mut program = Program::start(&["--link", name, "--boot-mode", "ide"]);
        assert_eq!(program.line(), name);
        open_serial(&link, 1_500_000).wait_for_ide();
        assert!(program.stop(signal).success());
        assert!(std::fs::symlink_metadata(&link).is_err(), "the link stays");
    }
}

#[test]
fn the_program_unplugs_its_board() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("ttyK210");
    let name = link.to_str().unwrap();
    let args = [
        "--link",
        name,
        "--boot-mode",
        "ide",
        "--unplug-every",
        "1.5",
    ];
    let mut program = Program::start(&args);
    program.line();
    open_serial(&link, 1_500_000).wait_for_ide();
    let target = std::fs::read_link(&link).unwrap();
    wait_for("the cable pulled", || !link.exists());
    wait_for("the cable back", || link.exists());
    assert!(target.starts_with("/dev/pts"));
}

#[test]
fn the_program_listens_on_tcp_and_runs_main_py() {
    use std::io::Read;
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("main.py");
    std::fs::write(&main, "while True:\n    print('mine')\n").unwrap();
    let args = [
        "--tcp",
        "[::1]:0",
        "--boot-mode",
        "main",
        "--main",
        main.to_str().unwrap(),
    ];
    let mut program = Program::start(&args);
    let line = program.line();
    let address = line.strip_prefix("tcp://").unwrap();
    let mut client = std::net::TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(FAILSAFE)).unwrap();
    let mut text = [0; 64];
    client.read_exact(&mut text).unwrap();
    assert!(String::from_utf8_lossy(&text).contains("mine\r\n"));
}

/// The processor's time that a process has taken.
fn cpu_time(process: &std::path::Path) -> Duration {
    let stat = std::fs::read_to_string(process.join("stat")).unwrap();
    // The name, in brackets, may have spaces in it.
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    // Linux tells of hundredths of a second, whatever it counts in.
    Duration::from_millis(ticks * 10)
}

#[test]
fn a_client_for_whom_there_is_no_descriptor_waits() {
    use std::io::Read;

    use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
    let mut program = Program::start(&["--tcp", "127.0.0.1:0", "--boot-mode", "ide"]);
    let address = program.line().strip_prefix("tcp://").unwrap().to_owned();
    let pid = Pid::from_child(&program.child);
    let process = std::path::PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
    let usual = getrlimit(Resource::Nofile);
    let limit = |current: Option<u64>| {
        let limit = Rlimit { current, ..usual };
        prlimit(Some(pid), Resource::Nofile, limit).unwrap();
    };
    let open = std::fs::read_dir(process.join("fd")).unwrap();
    let names = open.map(|it| it.unwrap().file_name().into_string().unwrap());
    let next = names.map(|it| it.parse::<u64>().unwrap() + 1).max();
    limit(next);
    let mut client = std::net::TcpStream::connect(address).unwrap();
    // It is known to wait when the program has found that out several times.
    let (cpu, start) = (cpu_time(&process), Instant::now());
    wait_for("a second", || start.elapsed() > Duration::from_secs(1));
    let taken = cpu_time(&process) - cpu;
    assert!(taken < Duration::from_millis(250), "{taken:?} of a second");
    limit(usual.current);
    client.set_read_timeout(Some(FAILSAFE)).unwrap();
    io::Write::write_all(&mut client, &[0x30, 0x8d, 4, 0, 0, 0]).unwrap();
    let mut answer = [0; 4];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [0xaa, 0xbb, 0xee, 0xff]);
}

#[test]
fn the_program_lists_the_frames_it_sends() {
    use sha2::Digest;
    use std::io::Write;
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("frames");
    let args = ["--boot-mode", "ide", "--frames", list.to_str().unwrap()];
    let mut program = Program::start(&args);
    let mut client = open_serial(program.line().as_ref(), 1_500_000);
    client.wait_for_ide();
    // One that is not there.
    client.0.write_all(&[0x30, 0x82, 10, 0, 0, 0]).unwrap();
    assert_eq!(client.read(10, FAILSAFE).unwrap().len(), 10);
    let frame = client.first_frame();
    let size = frame.len();
    assert!(program.stop(rustix::process::Signal::INT).success());
    let hash = |data: &[u8]| -> String {
        let digest = sha2::Sha256::digest(data);
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    assert_eq!(
        std::fs::read_to_string(&list).unwrap(),
        format!("10,0,0,{}\n{size},{size},0,{}\n", hash(b""), hash(&frame))
    );
}

#[test]
fn the_program_shows_a_film_at_the_speed_it_is_told() {
    // A red film, as the test picture is not.
    let folder = tempfile::tempdir().unwrap();
    let film = folder.path().join("film.avi");
    let made = std::process::Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "color=red:size=160x90:rate=10",
        ])
        .args(["-t", "1", "-c:v", "mjpeg"])
        .arg(&film)
        .status()
        .expect("ffmpeg starts");
    assert!(made.success());
    let args = ["--boot-mode", "ide", "--baud", "460800", "--video"];
    let mut program = Program::start(&[&args[..], &[film.to_str().unwrap()]].concat());
    let mut client = open_serial(program.line().as_ref(), 460_800);
    client.wait_for_ide();
    let frame = client.first_frame();
    decode(&frame);
    assert_eq!(number(&frame), None, "that is the test picture");
}

#[test]
fn the_program_disturbs_what_the_board_sends() {
    use std::io::Write;
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("frames");
    let list_name = list.to_str().unwrap();
    let args = [
        "--boot-mode",
        "ide",
        "--noise",
        "0.05",
        "--frames",
        list_name,
    ];
    let mut program = Program::start(&args);
    let mut client = open_serial(program.line().as_ref(), 1_500_000);
    // 2000 bytes of the buffer, whatever is in it.
    let listed = || std::fs::read_to_string(&list).unwrap_or_default();
    wait_for("an answer", || {
        client.0.write_all(&[0x30, 0x82, 0xd0, 7, 0, 0]).unwrap();
        let _ = client.read(4096, Duration::from_millis(100));
        listed().ends_with('\n')
    });
    let line = listed();
    let fields: Vec<&str> = line.lines().next().unwrap().split(',').collect();
    assert_eq!(fields[0], "2000");
    let hits: u32 = fields[2].parse().unwrap();
    assert!((40..=200).contains(&hits), "{hits}");
}

#[test]
fn the_program_says_what_it_does_not_understand() {
    for (args, words) in [
        (&["--boot-mode", "asleep"][..], "power-on, repl, ide"),
        (&["--noise", "2"], "0 to 1"),
        (&["--colour"], "--colour"),
        (&["--video", "/nonexistent.webm"], "/nonexistent.webm"),
        (&["--tcp", "127.0.0.1:0", "--link", "x"], "--link"),
    ] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_k210-sim"))
            .args(args)
            .output()
            .unwrap();
        assert!(!output.status.success());
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(words), "{args:?}: {text}");
    }
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_k210-sim"))
        .arg("--help")
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("--unplug-every SECONDS"));
}

/// Lines that print what an expression or its exception gives.
fn tell(host: &mut Host, setup: &str, expressions: &[&str]) -> Vec<String> {
    let mut script = format!("import sensor, time, sys, os\n{setup}\n");
    for expression in expressions {
        script += &format!(
            "try:\n    print('>', {expression})\n\
             except Exception as error:\n    print('>', type(error).__name__, error)\n"
        );
    }
    let text = host.run_to_end(&script);
    text.lines()
        .filter_map(|line| line.strip_prefix("> "))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_sensor_module_has_the_firmwares_limits() {
    let mut host = Host::ide(Config::default());
    let lines = tell(
        &mut host,
        "",
        &[
            "sensor.snapshot()",
            "sensor.set_framesize(sensor.QVGA)",
            "sensor.set_hmirror(1)",
            "sensor.reset()",
            "hex(sensor.get_id())",
            "sensor.snapshot()",
            "sensor.set_pixformat(sensor.BAYER)",
            "sensor.set_pixformat(sensor.GRAYSCALE)",
            "sensor.set_framesize(sensor.UXGA)",
            "sensor.set_framesize(sensor.B128X128)",
            "sensor.width(), sensor.height()",
            "sensor.set_windowing((130, 8))",
            "sensor.set_windowing((20, 20))",
            "sensor.set_windowing((8, 8, 64, 64))",
            "sensor.snapshot().width()",
            "sensor.set_contrast(2), sensor.set_contrast(3)",
            "sensor.set_gainceiling(3)",
            "sensor.set_framerate(7)",
            "sensor.set_jb_quality(1.5)",
            "sensor.no_such",
            "sensor.run(1)",
            "sensor.set_auto_gain(0, gain_db=10), sensor.get_gain_db()",
            "sensor.set_auto_exposure(0, exposure_us=5000), sensor.get_exposure_us()",
        ],
    );
    assert_eq!(
        lines,
        [
            "TypeError not found sensor",
            "OSError [Errno 5] EIO",
            "ValueError Sensor control failed!",
            "None",
            "0x2642",
            "RuntimeError Not init!",
            "OSError Pixel format is not supported!",
            "True",
            "OSError [Errno 12] ENOMEM",
            "None",
            "128 128",
            "ValueError The selected window is outside the bounds of the frame",
            "ValueError value must be multiple of 8",
            "True",
            "64",
            "True False",
            "ValueError Invalid gainceiling",
            "ValueError Invalid framerate",
            "ValueError must be int",
            "AttributeError 'module' object has no attribute 'no_such'",
            "True",
            "None 10.0",
            "None 5000",
        ]
    );
}

#[test]
fn scripts_have_the_language() {
    let mut host = Host::ide(Config::default());
    let setup = "\
class Box:
    def __init__(self, x, *rest, y=2, **others):
        self.x = x
        self.y = y
        self.rest = rest
    def sum(self):
        return self.x + self.y
def counter():
    n = [0]
    def up(by=1):
        n[0] += by
        return n[0]
    return up
up = counter()
total = 0
for i in range(10):
    if i == 3:
        continue
    elif i > 5:
        break
    total += i
else:
    total = -1
def final():
    try:
        return 1 / 0
    except (ValueError, ZeroDivisionError) as error:
        return repr(error)
    finally:
        up(100)
with open('/flash/t.txt', 'w') as f:
    f.write('one\\ntwo\\n')
";
    let lines = tell(
        &mut host,
        setup,
        &[
            "Box(1, 7, y=5).sum(), Box(1, 7).rest",
            "up(), up(5), total, final(), up()",
            "[x * y for x in range(3) for y in (1, 10) if x]",
            "7 // 2, -7 // 2, -7 % 3, 7 / 2, 2 ** 10, 1 << 4",
            "'%-5s|%3d|%s' % ('a', 7, None), '{:>6.2f}'.format(3.14159)",
            "sorted({'b': 1, 'a': 2}.items()), 'a' in 'cat', not 3",
            "[1, 2, 3, 4][1:-1], 'hello'[::-1], (1,) + (2,)",
            "max(3, 9, 2), sum([1, 2]), len('abc'), int('0x1f', 16)",
            "open('t.txt').read().split(), os.listdir('/flash')",
            "open('/flash/none')",
            "undefined",
            "[] + 1",
            "int('x')",
            "(lambda a, b=2: a + b)(1)",
            "1 < 2 < 3, 1 if 0 else 2, b'ab'[0]",
        ],
    );
    assert_eq!(
        lines,
        [
            "6 (7,)",
            "1 6 12 ZeroDivisionError('divide by zero',) 107",
            "[1, 10, 2, 20]",
            "3 -4 2 3.5 1024 16",
            "a    |  7|None   3.14",
            "[('a', 2), ('b', 1)] True False",
            "[2, 3] olleh (1, 2)",
            "9 3 3 31",
            "['one', 'two'] ['ide_mode.conf', 't.txt']",
            "OSError [Errno 2] ENOENT",
            "NameError name 'undefined' isn't defined",
            "TypeError unsupported types for __add__: 'list', 'int'",
            "ValueError invalid syntax for integer with base 10",
            "3",
            "True 2 97",
        ]
    );
    host.run("x = = 1\n");
    let text = host.console_until(">>> ");
    assert!(
        text.starts_with(
            "Traceback (most recent call last):\r\n  File \"<stdin>\", line 1\r\n\
             SyntaxError: invalid syntax\r\n"
        ),
        "{text:?}"
    );
}

/// A camera script that sets things up and then takes frames for ever.
#[test]
fn unknown_names_are_unknown() {
    let mut host = Host::ide(Config::default());
    let told = tell(
        &mut host,
        "import machine, math, gc, lcd, micropython, random, image\n\
         from machine import UART\n\
         port = UART.repl_uart()\n\
         clock = time.clock()\n\
         file = open('x', 'w')",
        &[
            "sensor.set_nothing",
            "sys.nothing",
            "gc.nothing",
            "machine.nothing",
            "micropython.nothing",
            "random.nothing",
            "os.nothing",
            "math.nothing",
            "time.nothing",
            "lcd.nothing",
            "UART.nothing",
            "port.nothing",
            "clock.nothing",
            "file.nothing",
            "''.nothing",
            "b''.nothing",
            "().nothing",
            "[].nothing",
            "{}.nothing",
            "nothing",
            "getattr([], 'nothing', 7)",
            "hasattr(sensor, 'snapshot'), hasattr(sensor, 'nothing')",
            "object()",
        ],
    );
    for (line, kind) in told.iter().zip(
        ["'module'"; 10]
            .into_iter()
            .chain(["type object 'UART'", "'UART'", "'clock'", "'TextIOWrapper'"])
            .chain(["'str'", "'bytes'", "'tuple'", "'list'", "'dict'"]),
    ) {
        assert!(line.starts_with("AttributeError "), "{line}");
        assert!(line.contains(kind), "{line} of {kind}");
        assert!(line.contains("nothing"), "{line}");
    }
    assert_eq!(told[19], "NameError name 'nothing' isn't defined");
    assert_eq!(told[20], "7");
    assert_eq!(told[21], "True False");
    assert_eq!(told[22], "TypeError cannot create 'object' instances");
}

fn streaming(setup: &str) -> String {
    format!(
        "import sensor\nsensor.reset()\nsensor.set_pixformat(sensor.RGB565)\n\
         sensor.set_framesize(sensor.QQVGA)\n{setup}\nwhile True:\n    sensor.snapshot()\n"
    )
}

fn stream(setup: &str) -> Host {
    let mut host = Host::ide(Config::default());
    host.send(0x0d, 0, &[1, 0]);
    host.run(&streaming(setup));
    host
}

#[test]
fn the_picture_follows_the_script() {
    let mean = |luma: &[u8]| luma.iter().map(|&v| u64::from(v)).sum::<u64>() / luma.len() as u64;
    let (_, _, plain) = stream("sensor.set_jb_quality(80)").frame();
    let (width, height, plain_luma) = decode(&plain);
    assert!(counter::read(&plain_luma, width, height, width).is_some());

    let (_, _, mirrored) = stream("sensor.set_hmirror(1)").frame();
    let (_, _, mut luma) = decode(&mirrored);
    luma.chunks_exact_mut(width).for_each(<[u8]>::reverse);
    assert!(counter::read(&luma, width, height, width).is_some());

    let (_, _, flipped) = stream("sensor.set_vflip(1)").frame();
    let (_, _, luma) = decode(&flipped);
    let rows: Vec<u8> = luma.chunks_exact(width).rev().flatten().copied().collect();
    assert!(counter::read(&rows, width, height, width).is_some());

    let (_, _, bright) = stream("sensor.set_brightness(2)").frame();
    assert!(mean(&decode(&bright).2) > mean(&plain_luma) + 10);

    let (_, _, coarse) = stream("sensor.set_jb_quality(10)").frame();
    assert!(coarse.len() * 2 < plain.len());

    let (w, h, window) = stream("sensor.set_windowing((16, 8, 64, 48))").frame();
    assert_eq!((w, h), (64, 48));
    let (window_width, window_height, _) = decode(&window);
    assert_eq!((window_width, window_height), (64, 48));

    let (_, _, gray) = stream("sensor.set_pixformat(sensor.GRAYSCALE)").frame();
    // One component.
    let at = gray
        .windows(2)
        .position(|pair| pair == [0xff, 0xc0])
        .unwrap();
    assert_eq!(gray[at + 9], 1);

    let (_, _, bars) = stream("sensor.set_colorbar(1)").frame();
    let (_, _, luma) = decode(&bars);
    assert!(luma[5] > 240 && luma[width - 5] < 16);

    let drawn = "sensor.set_jb_quality(80)\nwhile True:\n    img = sensor.snapshot()\n    \
                 img.draw_rectangle(40, 60, 80, 30, color=(255, 255, 255), fill=True)";
    let (_, _, drawn) = stream(drawn).frame();
    assert!(decode(&drawn).2[75 * width + 80] > 240);
}

#[test]
fn attributes_change_the_picture_while_it_runs() {
    let mut host = stream("");
    let mean = |host: &mut Host| {
        let (_, _, luma) = decode(&host.frame().2);
        luma.iter().map(|&v| u64::from(v)).sum::<u64>() / luma.len() as u64
    };
    let before = mean(&mut host);
    host.send(0x0b, 0, &[1, 0, 2, 0]);
    wait_for("a brighter picture", || mean(&mut host) > before + 10);
}

#[test]
fn a_frame_that_does_not_fit_is_skipped_at_half_the_quality() {
    let mut host = Host::ide(Config::default());
    host.send(0x0d, 0, &[1, 0]);
    host.run(&streaming(
        "sensor.set_framesize(sensor.VGA)\nsensor.set_jb_quality(100)",
    ));
    let (width, height, jpeg) = host.frame();
    assert_eq!((width, height), (640, 480));
    assert!(jpeg.len() < 23 * 1024 - 64);
    let table = jpeg
        .windows(2)
        .position(|pair| pair == [0xff, 0xdb])
        .unwrap();
    // The first step of quality 50 is 16, of 100 it is 1.
    assert!(jpeg[table + 5] >= 16);
}

#[test]
fn a_receiver_keeps_eight_bytes_while_a_reply_goes_out() {
    let mut host = Host::ide(Config::default());
    // 30 000 bytes take 200 ms; a request behind fits into the receiver.
    host.send(0x82, 30_000, b"");
    host.send(0x8d, 4, b"");
    host.read(30_000);
    assert_eq!(host.read(4), 0xffee_bbaa_u32.to_le_bytes());
    assert_eq!(host.port.board().unwrap().overruns(), 0);
    // Two do not: of the second there are two bytes, and four are missing.
    host.send(0x82, 30_000, b"");
    host.send(0x8d, 4, b"");
    host.send(0x8d, 4, b"");
    host.read(30_004);
    host.assert_silent();
    assert_eq!(host.port.board().unwrap().overruns(), 4);
    // What completes the header is the beginning of the next request.
    host.write(&[4, 0, 0, 0]);
    assert_eq!(host.read(4), 0xffee_bbaa_u32.to_le_bytes());
}

#[test]
fn bytes_leave_no_faster_than_the_uart_sends_them() {
    let mut host = Host::ide(Config::default());
    let start = Instant::now();
    host.send(0x82, 60_000, b"");
    host.read(60_000);
    // 60 006 bytes at 150 000 a second.
    assert!(start.elapsed() >= Duration::from_millis(400));
}

#[test]
fn ide_mode_survives_one_reset_and_fw_version_forbids_it() {
    let mut host = Host::ide(Config::default());
    host.send(0x0c, 0, b"");
    host.port.set_baud_rate(115_200).unwrap();
    host.read_until("[MaixPy] init end");
    host.port.set_baud_rate(1_500_000).unwrap();
    host.wait_for_ide();
    // _boot.py has taken the file away.
    host.send(0x0c, 0, b"");
    host.port.set_baud_rate(115_200).unwrap();
    host.read_until(">>> ");

    let mut host = Host::ide(Config::default());
    assert_eq!(host.ask(0x80, 12)[..8], [0, 0, 0, 0, 6, 0, 0, 0]);
    host.send(0x0c, 0, b"");
    host.port.set_baud_rate(115_200).unwrap();
    host.read_until(">>> ");
}

#[test]
fn a_file_that_arrives_ends_the_script_and_is_saved() {
    use sha2::Digest;
    let mut host = stream("");
    host.frame();
    let mut body = b"/flash/new.txt\0\0".to_vec();
    body.extend(b"text");
    let mut data = sha2::Sha256::digest(&body).to_vec();
    data.extend(&body);
    host.send(0x07, data.len() as u32, &data);
    wait_for("a saved file", || host.ask_word(0x88) == 0);
    let board = host.port.board().unwrap();
    assert_eq!(
        board.read_file("/flash/new.txt").as_deref(),
        Some(&b"text"[..])
    );
    wait_for("the script's end", || host.ask_word(0x87) == 0);
    assert!(
        host.console_until(">>> ")
            .contains("Exception: IDE interrupt")
    );
}

#[test]
fn control_lines_reset_and_hold_the_board() {
    let mut host = Host::at(BootMode::Wedged);
    host.write(b"\x03\x03\x03");
    host.assert_silent();
    host.port.set_control_lines(false, true).unwrap();
    host.assert_silent();
    host.port.set_control_lines(false, false).unwrap();
    host.read_until(">>> ");
    // Both lines together are as neither.
    host.port.set_control_lines(true, true).unwrap();
    host.write(b"1+1\r");
    host.read_until("2\r\n>>> ");
    // Released with the strap pulled, the ROM's loader starts.
    host.port.set_control_lines(false, true).unwrap();
    host.port.set_control_lines(true, false).unwrap();
    host.assert_silent();
}

#[test]
fn the_prompt_has_its_modes() {
    let mut host = Host::at(BootMode::Repl);
    host.write(b"\x03");
    host.read_until(">>> ");
    host.write(b"\x01");
    host.read_until("raw REPL; CTRL-B to exit\r\n>");
    host.write(b"print('raw')\n1/0\x04");
    let text = host.read_until("\x04>");
    assert!(text.starts_with("OKraw\r\n\x04Traceback"), "{text:?}");
    host.write(b"\x02");
    host.read_until(">>> ");
    host.write(b"\x05");
    host.read_until("=== ");
    host.write(b"for i in range(2):\r    print(i)\r\x04");
    host.read_until("0\r\n1\r\n>>> ");
    host.write(b"while True:\r");
    host.read_until("...     ");
    // Two lines of nothing but the indentation end it, the third is empty.
    host.write(b"pass\r\r\r\r");
    host.read_until("pass\r\n...     \r\n...     \r\n... \r\n");
    let mut text = Vec::new();
    wait_for("Ctrl-C", || {
        host.write(b"\x03");
        let mut piece = [0; 512];
        while let Ok(count) = host.port.read(&mut piece, Duration::from_millis(100)) {
            text.extend(&piece[..count]);
        }
        String::from_utf8_lossy(&text).contains("KeyboardInterrupt: \r\n")
    });
    host.write(b"\r\x04");
    host.read_until("[MaixPy]: soft reboot\r\n");
    host.read_until(">>> ");

    let mut raw = Host::at(BootMode::Raw);
    raw.write(b"\x01");
    raw.read_until("raw REPL");
    let mut main = Host::at(BootMode::Main);
    main.read_until("main.py is running\r\n");
    main.write(b"\x03");
    main.read_until("KeyboardInterrupt: \r\n");
    let mut silent = Host::at(BootMode::Silent);
    silent.write(b"\r\x03");
    silent.assert_silent();
}

#[test]
fn an_unplugged_port_is_dead_and_a_new_one_is_not() {
    let board = ide_board();
    let mut old = board.port();
    board.unplug();
    let error = old.read(&mut [0], FAILSAFE).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    assert!(!board.is_plugged());
    board.replug();
    assert!(old.write_all(b"x", FAILSAFE).is_err());
    let mut host = Host { port: board.port() };
    host.port.set_baud_rate(1_500_000).unwrap();
    host.wait_for_ide();
}

#[test]
fn noise_is_where_it_was_asked_for() {
    let mut host = Host::ide(Config {
        noise: 0.01,
        ..Config::default()
    });
    host.send(0x82, 20_000, b"");
    let mut bytes = 0;
    let mut wrong = 0;
    let mut piece = [0; 4096];
    while let Ok(count) = host.port.read(&mut piece, Duration::from_millis(300)) {
        bytes += count;
        wrong += piece[..count].iter().filter(|&&byte| byte != 0).count();
    }
    assert!((19_800..20_200).contains(&bytes), "{bytes}");
    assert!((60..260).contains(&wrong), "{wrong}");
}

/// Scripts that would take all of the host, and what the board says instead.
#[test]
fn no_script_outgrows_the_board() {
    let mut host = Host::ide(Config::default());
    let told = tell(
        &mut host,
        "import gc\n\
         def grow():\n    a = []\n    while True:\n        a.append('x' * 1000)\n\
         def double():\n    a = [0]\n    while True:\n        a = a + a\n\
         def fill():\n    d = {}\n    n = 0\n    while n < 5000:\n        d[n] = [n] * 20\n        n += 1\n\
         def join():\n    return ','.join(['x' * 1000] * 10000)\n\
         def replace():\n    return ('x' * 10000).replace('x', 'y' * 10000)\n\
         def show():\n    a = ['x' * 100] * 10\n    for _ in range(10):\n        a = [a] * 10\n    return len(repr(a))\n\
         def nest(n):\n    a = []\n    for _ in range(n):\n        a = [a]\n    return a\n\
         def recur(n):\n    return recur(n + 1)\n\
         def circles():\n    for _ in range(100):\n        a = [0] * 100\n        a.append(a)\n\
         def classes():\n    class A:\n        pass\n    for _ in range(200):\n        class B(A):\n            pass\n        class C(A):\n            pass\n        class A(B, C):\n            pass\n    return isinstance(A(), int)\n",
        &[
            "grow()",
            "double()",
            "fill()",
            "join()",
            "replace()",
            "show()",
            "'x' * 10 ** 9",
            "[0] * 10 ** 9",
            "bytes(10 ** 9)",
            "list(range(10 ** 12))",
            "nest(5000) == nest(5000)",
            "nest(5000) < nest(5000)",
            "len(str(nest(5000))) < 1000",
            "recur(0)",
            "classes()",
            "circles(), 'done'",
            "gc.mem_free() > 0",
            "'still here'",
        ],
    );
    for line in &told[..10] {
        assert!(line.starts_with("MemoryError "), "{line}");
    }
    assert_eq!(told[10], "False");
    assert!(told[11].starts_with("TypeError "), "{}", told[11]);
    assert_eq!(told[12], "True");
    assert!(told[13].starts_with("RuntimeError "), "{}", told[13]);
    assert_eq!(told[14..], ["False", "None done", "True", "still here"]);
    // What a script left behind, circles included, is not the next one's burden.
    for _ in 0..3 {
        host.run(
            "a = []\nfor _ in range(300):\n    b = [0] * 100\n    b.append(b)\n    \
             a.append(b)\nprint('ok')\n",
        );
        let text = host.console_until(">>> ");
        assert!(text.contains("ok\r\n"), "{text:?}");
    }
}

#[test]
fn classes_say_how_they_are_shown_added_and_gone_through() {
    let script = "\
class A:
    def __init__(self, x):
        self.x = x
    def __str__(self):
        return 'A%d' % self.x
    def __repr__(self):
        return 'rA'
class B(A):
    def __init__(self, x):
        super().__init__(x + 1)
    def __str__(self):
        return 'B' + super().__str__()
    def __add__(self, other):
        return self.x + other
    def __len__(self):
        return self.x
    def __getitem__(self, index):
        return index
    def __eq__(self, other):
        return other == 'twin'
    def __call__(self, *args):
        return args
    def __contains__(self, item):
        return item == 7
    def __enter__(self):
        return self
    def __exit__(self, kind, value, trace):
        print('exit', kind)
        return True
class C:
    def __init__(self):
        self.n = 0
    def __iter__(self):
        return self
    def __next__(self):
        self.n += 1
        if self.n > 3:
            raise StopIteration
        return self.n
b = B(2)
print(A(3), [A(4)], str(b), repr(b), '%s' % b, '%s %d' % (b, 1), '{} {x}'.format(b, x=A(5)))
print(b + 1, len(b), b['k'], b == 'twin', b != 'twin', b(1, 2), 7 in b, 8 not in b)
print(list(C()), [n * n for n in C()], sum(C()))
with b:
    raise ValueError('lost')
class E(Exception):
    def __init__(self, code):
        super().__init__('code', code)
try:
    raise E(5)
except E as e:
    print(e.args)
print(isinstance(True, int), isinstance(True, bool))
l = [1, 2, 3, 4, 5]
l[1:3] = [9]
del l[-1:]
print(l)
";
    let text = k210_sim::run_script(script, 5000).unwrap();
    assert_eq!(
        text.lines().take(7).collect::<Vec<_>>(),
        [
            "A3 [rA] BA3 rA BA3 BA3 1 BA3 A5",
            "4 3 k True False (1, 2) True True",
            "[1, 2, 3] [1, 4, 9] 6",
            "exit <class 'ValueError'>",
            "('code', 5)",
            "False True",
            "[1, 9, 4]",
        ]
    );
    for (script, words) in [
        ("return 5\n", "SyntaxError: 'return' outside function"),
        (
            "print(1)\nif 1:\n    break\n",
            "SyntaxError: 'break' outside loop",
        ),
    ] {
        let text = k210_sim::run_script(script, 1000).unwrap();
        assert!(text.contains(words) && !text.contains("1\r\n"), "{text:?}");
    }
}

#[test]
fn bytes_become_digits_and_numbers() {
    let script = "\
import ubinascii, ustruct, struct
print(ubinascii.hexlify(b'\\x01\\xab'), ubinascii.hexlify(b'ab', ':'), ubinascii.unhexlify('01ab'))
print(ubinascii.b2a_base64(b'hi'), ubinascii.a2b_base64('aGk='), ubinascii.crc32(b'hello'))
print(ustruct.pack('<IHb', 1, 2, -3), ustruct.calcsize('<IHb'), ustruct.calcsize('bI'))
print(struct.unpack('>HhB', b'\\x01\\x02\\xff\\xfe\\x05'), struct.unpack_from('<H', b'abc', 1))
print(ustruct.pack('3sf', b'ab', 1.5), ustruct.unpack('<2h', b'\\x01\\0\\x02\\0'))
import ujson
print(ujson.dumps({'a': [1, 2.5, None, True, 'x\\n']}), ujson.loads('{\"a\": [1, -2.5e1, \"\\\\u0041\"], \"b\": {}}'))
for text in ['', '[1', '[1 2]', '{\"a\" 1}', 'nul', '\"', '[' * 100]:
    try:
        print(ujson.loads(text))
    except (ValueError, RuntimeError) as e:
        print('no', end=' ')
";
    let text = k210_sim::run_script(script, 2000).unwrap();
    assert_eq!(
        text.lines().take(7).collect::<Vec<_>>(),
        [
            "b'01ab' b'61:62' b'\\x01\\xab'",
            "b'aGk=\\n' b'hi' 907060870",
            "b'\\x01\\x00\\x00\\x00\\x02\\x00\\xfd' 7 8",
            "(258, -2, 5) (25442,)",
            "b'ab\\x00\\x00\\x00\\x00\\xc0?' (1, 2)",
            "{\"a\": [1, 2.5, null, true, \"x\\n\"]} {'a': [1, -25.0, 'A'], 'b': {}}",
            "no no no no no no no ",
        ]
    );
}

#[test]
fn long_expressions_do_not_end_the_process() {
    let chain = |link: &str, count: usize| format!("x = 0{}\nprint('ok')\n", link.repeat(count));
    let brackets = format!("x = {}0{}\n", "(".repeat(50_000), ")".repeat(50_000));
    let buffer = "import machine\nport = machine.UART.repl_uart()\n\
                  port.init(1500000, read_buf_len=10 ** 12, ide=True)\n";
    for (script, words) in [
        (chain(" + 1", 400), "ok"),
        (chain(" + 1", 100_000), "SyntaxError"),
        (chain(" or 0", 100_000), "SyntaxError"),
        (chain("[0]", 100_000), "SyntaxError"),
        (chain(".a", 100_000), "SyntaxError"),
        (brackets, "SyntaxError"),
        (buffer.into(), "MemoryError"),
    ] {
        let text = k210_sim::run_script(&script, 1000).unwrap();
        assert!(text.contains(words), "{:?}: {text:?}", &script[..20]);
    }
}

#[test]
fn the_largest_numbers_do_not_end_the_process() {
    let script = "\
m = 9223372036854775807
r = range(-m, m, 3)
print(len(r) > 0, 5 in r, -m in r, r[1] == 3 - m)
print('abc'[::m], 'abc'[-m:m:-m], [1, 2][:m])
print(list(enumerate([1], m)), '%.99999g' % 0.5, '{:.99999}'.format(0.5))
print(list(range(m - 1, m)), int('-1') + -m)
";
    let text = k210_sim::run_script(script, 1000).unwrap();
    assert_eq!(
        text.lines().take(4).collect::<Vec<_>>(),
        [
            "True True True True",
            "a  [1, 2]",
            "[(9223372036854775807, 1)] 0.5 0.5",
            "[9223372036854775806] -9223372036854775808",
        ]
    );
}

#[test]
fn a_closed_output_is_no_fault() {
    for option in ["--help", "--version"] {
        let (heard, said) = std::io::pipe().expect("a pipe");
        drop(heard);
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_k210-sim"));
        let output = command
            .arg(option)
            .stdout(said)
            .output()
            .expect("it starts");
        assert_eq!(output.stderr, b"", "{option}");
        assert!(output.status.success(), "{option}");
    }
    let (heard, said) = std::io::pipe().expect("a pipe");
    drop(heard);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_k210-sim"));
    let status = command
        .arg("--nothing")
        .stderr(said)
        .status()
        .expect("it starts");
    assert_eq!(status.code(), Some(1));
}
