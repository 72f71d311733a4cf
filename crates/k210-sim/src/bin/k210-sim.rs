// SPDX-License-Identifier: MIT OR Apache-2.0
//! A simulated K210 board for any program that talks to one over a serial port or TCP.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, LineWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use closed_output::{complain, say};
use k210_sim::footage::{Footage, Pace};
use k210_sim::{Board, BootMode, Config, SentFrame, SerialPort, TcpPort};
use lexopt::ValueExt;
use sha2::{Digest, Sha256};
use signal_hook::consts::{SIGINT, SIGTERM};

const HELP: &str = "\
A simulated K210 board that runs MaixPy, on a pseudo-terminal or a TCP port.

Usage: k210-sim [OPTIONS]

Prints what to open on its first line, then works until it gets SIGINT (Ctrl-C) or SIGTERM.

Options:
  --link PATH             make PATH a symbolic link to the pseudo-terminal; it is
                          removed at the end and while the board is unplugged
  --tcp ADDR:PORT         listen there instead (port 0 takes a free one); serves
                          one client at a time, without telnet options
  --video FILE            let the camera look at a video file, over and over, as the
                          program ffmpeg decodes it
                          (default: a moving test picture with a frame counter)
  --video-pace PACE       time: the film plays at its own speed (default)
                          frame: every frame of the camera is the film's next
  --boot-mode MODE        what the board is doing at the start:
                            power-on  starts up (default)
                            repl      waits at MicroPython's prompt
                            ide       is in IDE mode
                            main      runs main.py
                            raw       is in the prompt's raw mode
                            wedged    runs a script that Ctrl-C does not end
                            silent    says nothing, whatever happens
  --main FILE             put FILE into the board's flash as main.py
  --baud RATE             speed of the board's UART where --boot-mode is ide
                          (default 1500000), and with --tcp the speed of the
                          adapter, which else always has the board's
  --frame-rate RATE       frames a second of the camera's sensor (default 30)
  --noise RATE            flip, lose or add this share of the bytes that the
                          board sends, 0 to 1 (default 0)
  --request-noise RATE    the same for the bytes that it receives; one damaged
                          bit can make a board send for hours, as real ones do
  --seed NUMBER           makes the noise repeatable (default 1)
  --unplug-every SECONDS  pull the cable that often, for one second; the board
                          loses its power
  --frames FILE           write a line to FILE for each frame that is sent: bytes
                          asked for, bytes of the JPEG (0 if there was none), bytes
                          that noise hit, SHA-256 of the JPEG, with commas between
  --help                  show this
  --version               show the version
";

/// How long the cable stays out.
const UNPLUGGED: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Options {
    link: Option<PathBuf>,
    tcp: Option<String>,
    video: Option<PathBuf>,
    pace: Pace,
    boot: BootMode,
    main: Option<PathBuf>,
    baud: Option<u32>,
    frame_rate: Option<f64>,
    noise: f64,
    request_noise: f64,
    seed: Option<u64>,
    unplug_every: Option<Duration>,
    frames: Option<PathBuf>,
}

type Error = Box<dyn std::error::Error>;

fn choice<T: Copy>(value: OsString, option: &str, choices: &[(&str, T)]) -> Result<T, Error> {
    let value = value.string()?;
    match choices.iter().find(|(name, _)| *name == value) {
        Some((_, choice)) => Ok(*choice),
        None => {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            Err(format!("{option} {value}: not one of {}", names.join(", ")).into())
        }
    }
}

const PACES: &[(&str, Pace)] = &[("time", Pace::Time), ("frame", Pace::Frame)];

const BOOT_MODES: &[(&str, BootMode)] = &[
    ("power-on", BootMode::PowerOn),
    ("repl", BootMode::Repl),
    ("ide", BootMode::Ide),
    ("main", BootMode::Main),
    ("raw", BootMode::Raw),
    ("wedged", BootMode::Wedged),
    ("silent", BootMode::Silent),
];

/// The firmware's own limit (`machine_uart_init_helper`, `machine_uart.c`).
const MAX_BAUD_RATE: u32 = 0x50_0000;

/// A number within bounds.
fn number<T>(value: OsString, option: &str, least: T, most: T) -> Result<T, Error>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
    T: PartialOrd + std::fmt::Display,
{
    let number: T = value.parse()?;
    match number >= least && number <= most {
        true => Ok(number),
        false => Err(format!("{option} {number}: not {least} to {most}").into()),
    }
}

fn period(value: OsString, option: &str) -> Result<Duration, Error> {
    let seconds: f64 = value.parse()?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(period) if !period.is_zero() => Ok(period),
        _ => Err(format!("{option} {seconds}: not a positive time").into()),
    }
}

/// The options; `None` when help was asked for and given.
fn options() -> Result<Option<Options>, Error> {
    use lexopt::Arg::{Long, Short};
    let mut options = Options::default();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        let Long(name) = argument else {
            match argument {
                Short('h') => return help(),
                Short('V') => return version(),
                other => return Err(other.unexpected().into()),
            }
        };
        let name = name.to_owned();
        let option = format!("--{name}");
        match name.as_str() {
            "help" => return help(),
            "version" => return version(),
            "link" => options.link = Some(parser.value()?.into()),
            "tcp" => options.tcp = Some(parser.value()?.string()?),
            "video" => options.video = Some(parser.value()?.into()),
            "video-pace" => options.pace = choice(parser.value()?, &option, PACES)?,
            "boot-mode" => options.boot = choice(parser.value()?, &option, BOOT_MODES)?,
            "main" => options.main = Some(parser.value()?.into()),
            "baud" => options.baud = Some(number(parser.value()?, &option, 1, MAX_BAUD_RATE)?),
            "frame-rate" => {
                options.frame_rate = Some(number(parser.value()?, &option, 0.1, 1000.0)?);
            }
            "noise" => options.noise = number(parser.value()?, &option, 0.0, 1.0)?,
            "request-noise" => {
                options.request_noise = number(parser.value()?, &option, 0.0, 1.0)?;
            }
            "seed" => options.seed = Some(parser.value()?.parse()?),
            "unplug-every" => options.unplug_every = Some(period(parser.value()?, &option)?),
            "frames" => options.frames = Some(parser.value()?.into()),
            _ => return Err(Long(&name).unexpected().into()),
        }
    }
    if options.tcp.is_some() && options.link.is_some() {
        return Err("--link is for the pseudo-terminal, which there is none of with --tcp".into());
    }
    Ok(Some(options))
}

fn help() -> Result<Option<Options>, Error> {
    say(HELP.trim_end())?;
    Ok(None)
}

fn version() -> Result<Option<Options>, Error> {
    say(concat!("k210-sim ", env!("CARGO_PKG_VERSION")))?;
    Ok(None)
}

fn config(options: &Options) -> Result<Config, Error> {
    let mut config = Config {
        boot: options.boot,
        noise: options.noise,
        request_noise: options.request_noise,
        ..Config::default()
    };
    if let Some(path) = &options.video {
        config.scene = Box::new(Footage::new(path, options.pace)?);
    }
    if let Some(path) = &options.main {
        let content =
            std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        config.files.push(("/flash/main.py".into(), content));
    }
    config.ide_baud_rate = options.baud.unwrap_or(config.ide_baud_rate);
    config.frame_rate = options.frame_rate.unwrap_or(config.frame_rate);
    config.seed = options.seed.unwrap_or(config.seed);
    Ok(config)
}

/// SIGINT and SIGTERM.
struct Signals(mpsc::Receiver<()>);

impl Signals {
    fn catch() -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
        std::thread::Builder::new()
            .name("k210-sim-signals".into())
            .spawn(move || {
                for _ in &mut signals {
                    if sender.send(()).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Signals(receiver))
    }

    /// Waits for one of them; false when `limit` is over.
    fn wait(&self, limit: Option<Duration>) -> bool {
        match limit {
            None => self.0.recv().is_ok(),
            Some(limit) => self.0.recv_timeout(limit).is_ok(),
        }
    }
}

enum Cable {
    Serial(SerialPort),
    Tcp(TcpPort),
}

impl Cable {
    fn unplug(&self) {
        match self {
            Cable::Serial(port) => port.unplug(),
            Cable::Tcp(port) => port.unplug(),
        }
    }

    fn replug(&self) -> io::Result<()> {
        match self {
            Cable::Serial(port) => port.replug(),
            Cable::Tcp(port) => {
                port.replug();
                Ok(())
            }
        }
    }

    /// What clients open.
    fn address(&self) -> String {
        match self {
            Cable::Serial(port) => port.path().display().to_string(),
            Cable::Tcp(port) => format!("tcp://{}", port.address()),
        }
    }
}

/// A thread that writes a line for each frame until nobody sends any more.
fn list_frames(path: &Path, frames: mpsc::Receiver<SentFrame>) -> io::Result<JoinHandle<()>> {
    let mut file = LineWriter::new(File::create(path)?);
    std::thread::Builder::new()
        .name("k210-sim-frames".into())
        .spawn(move || {
            for frame in frames {
                let mut line = format!("{},{},{},", frame.asked, frame.data.len(), frame.hits);
                for byte in Sha256::digest(&frame.data) {
                    line += &format!("{byte:02x}");
                }
                if let Err(error) = writeln!(file, "{line}") {
                    complain(&format!("k210-sim: the list of frames ends here: {error}"));
                    return;
                }
            }
        })
}

fn run() -> Result<(), Error> {
    let Some(options) = options()? else {
        return Ok(());
    };
    let signals = Signals::catch()?;
    let mut config = config(&options)?;
    let mut list = None;
    if let Some(path) = &options.frames {
        let (sender, frames) = mpsc::channel();
        config.sent = Some(sender);
        let thread = list_frames(path, frames);
        list = Some(thread.map_err(|error| format!("{}: {error}", path.display()))?);
    }
    let board = Board::new(config)?;
    let cable = match &options.tcp {
        Some(address) => {
            let port = TcpPort::new(board, address, options.baud);
            Cable::Tcp(port.map_err(|error| format!("{address}: {error}"))?)
        }
        None => Cable::Serial(SerialPort::new(board, options.link.as_deref())?),
    };
    say(&cable.address())?;
    let result = work(&cable, &options, &signals);
    // Takes the board along, and with it the sender of frames.
    drop(cable);
    if let Some(thread) = list {
        // The thread's panic was reported when it happened.
        let _ = thread.join();
    }
    result
}

/// Pulls the cable as often as was asked for, until a signal comes.
fn work(cable: &Cable, options: &Options, signals: &Signals) -> Result<(), Error> {
    let Some(every) = options.unplug_every else {
        signals.wait(None);
        return Ok(());
    };
    while !signals.wait(Some(every)) {
        cable.unplug();
        if signals.wait(Some(UNPLUGGED)) {
            break;
        }
        cable.replug()?;
        // A pseudo-terminal without a link has another name now.
        if options.tcp.is_none() && options.link.is_none() {
            say(&cable.address())?;
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("k210-sim: {error}"));
            ExitCode::FAILURE
        }
    }
}
