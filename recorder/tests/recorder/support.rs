// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program, and what looks at it from outside.
#![allow(dead_code)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Only ends a test that would hang.
pub(crate) const FAILSAFE: Duration = Duration::from_secs(90);

/// Waits for something that has to come about.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + FAILSAFE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A program that ends with the test.
pub(crate) struct Program {
    child: Child,
    said: Arc<Mutex<String>>,
    readers: Vec<std::thread::JoinHandle<()>>,
}

impl Program {
    pub(crate) fn start(command: &mut Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let said = Arc::new(Mutex::new(String::new()));
        let outputs: [Box<dyn std::io::Read + Send>; 2] = [
            Box::new(child.stdout.take().unwrap()),
            Box::new(child.stderr.take().unwrap()),
        ];
        let reader = |output| {
            let said = said.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    *said.lock().unwrap() += &(line + "\n");
                }
            })
        };
        let readers = outputs.into_iter().map(reader).collect();
        Self {
            child,
            said,
            readers,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// All it has said yet.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// The first line that it says with all of these words.
    pub(crate) fn says(&mut self, words: &[&str]) -> String {
        self.says_what(&format!("{words:?}"), |line| {
            words.iter().all(|word| line.contains(word))
        })
    }

    /// The first line that it says of which this is true.
    pub(crate) fn says_what(&mut self, what: &str, is: impl Fn(&str) -> bool) -> String {
        let line = |text: &str| text.lines().find(|line| is(line)).map(str::to_owned);
        let deadline = Instant::now() + FAILSAFE;
        loop {
            if let Some(line) = line(&self.said()) {
                return line;
            }
            let ended = self.child.try_wait().unwrap();
            // What it said at last may not have been read yet.
            let is_read = self.readers.iter().all(|reader| reader.is_finished());
            let over = Instant::now() > deadline
                || (ended.is_some() && is_read && line(&self.said()).is_none());
            assert!(!over, "never {what} ({ended:?}):\n{}", self.said());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The port of a recorder's page.
    pub(crate) fn port(&mut self) -> u16 {
        let address = self.says_what("its address", |line| line.starts_with("http"));
        let port = address.trim_end_matches('/').rsplit_once(':').unwrap().1;
        port.parse().unwrap()
    }

    /// Waits until the frames of a recorder's camera come.
    pub(crate) fn runs(&mut self, camera: &str) {
        let name = format!("camera=\"{camera}\"");
        self.says(&["changed", &name, "state=\"running\""]);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn ends(&mut self) -> ExitStatus {
        let deadline = Instant::now() + FAILSAFE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "it does not end:\n{}",
                self.said()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it as systemd does; its files have to be whole then.
    pub(crate) fn terminate(&mut self) {
        self.signal(Signal::TERM);
        let status = self.ends();
        assert!(status.success(), "{status}:\n{}", self.said());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.said());
        }
    }
}

/// The program in a folder of its own.
pub(crate) struct Recorder {
    pub program: Program,
    pub folder: tempfile::TempDir,
}

/// What every configuration of these tests begins with: a port that is free, clips in `clips`.
pub(crate) const HEAD: &str = "directory = 'clips'\n[http]\nlisten = '127.0.0.1:0'\n";

/// A camera that moves a ball, 160x120 at 15 frames a second.
pub(crate) fn ball(name: &str) -> String {
    format!(
        "[[camera]]\nname = '{name}'\nbefore = 2\nafter = 0\n\
         source = 'videotestsrc is-live=true pattern=ball ! video/x-raw,width=160,height=120,framerate=15/1'\n"
    )
}

impl Recorder {
    pub(crate) fn command(folder: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kendryte-recorder"));
        command.args(arguments).current_dir(folder);
        command.env("GST_REGISTRY", folder.join("registry"));
        command
    }

    /// Starts it with a configuration of `HEAD` and this.
    pub(crate) fn start(config: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), config)
    }

    pub(crate) fn start_in(folder: tempfile::TempDir, config: &str) -> Self {
        Self::start_with(folder, "", config)
    }

    /// Starts it with keys in front of `HEAD`, which begins a table.
    pub(crate) fn start_with(folder: tempfile::TempDir, first: &str, config: &str) -> Self {
        let text = format!("{first}{HEAD}{config}");
        Self::start_among(folder, &text, &[])
    }

    /// Starts it with a whole configuration and these variables in its environment.
    pub(crate) fn start_among(
        folder: tempfile::TempDir,
        config: &str,
        environment: &[(&str, &Path)],
    ) -> Self {
        std::fs::write(folder.path().join("config.toml"), config).unwrap();
        let mut command = Self::command(folder.path(), &["config.toml"]);
        command.envs(environment.iter().copied());
        let program = Program::start(&mut command);
        Self { program, folder }
    }

    /// Kills it; what is left is its folder.
    pub(crate) fn kill(self) -> tempfile::TempDir {
        let Self { program, folder } = self;
        drop(program);
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Changes the configuration and has it read again.
    pub(crate) fn reload(&mut self, config: &str) {
        std::fs::write(self.path("config.toml"), format!("{HEAD}{config}")).unwrap();
        self.program.signal(Signal::HUP);
    }

    /// Waits until a camera's frames come.
    pub(crate) fn runs(&mut self, camera: &str) {
        self.program.runs(camera);
    }

    /// The files in a camera's folder that end so, sorted.
    pub(crate) fn files(&self, camera: &str, end: &str) -> Vec<PathBuf> {
        let folder = self.path("clips").join(camera);
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
        paths.retain(|path| path.to_string_lossy().ends_with(end));
        paths.sort();
        paths
    }
}

/// The streams of a file, as ffprobe counts their frames: `h264,30`. It has to find nothing wrong.
pub(crate) fn streams(file: &Path) -> Vec<(String, u64)> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-of", "csv=p=0"])
        .args(["-show_entries", "stream=codec_name,nb_read_frames"])
        .arg(file)
        .output()
        .expect("ffprobe is installed");
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && wrong.is_empty(),
        "{}: {wrong}",
        file.display()
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter_map(|line| {
        let (codec, frames) = line.split_once(',')?;
        Some((codec.to_owned(), frames.trim_matches(',').parse().ok()?))
    });
    lines.collect()
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    /// The head's lines, their names in lower case.
    pub head: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.head.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }
}

/// Asks a server on this computer, with these lines in the head (each ends with `\r\n`).
pub(crate) fn ask(port: u16, method: &str, path: &str, lines: &str) -> Answer {
    send(
        port,
        &format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n{lines}\r\n"
        ),
        "",
    )
}

/// Waits until a recorder's clip of that name is complete; its facts.
pub(crate) fn whole_clip(port: u16, name: &serde_json::Value) -> serde_json::Value {
    until("the clip is whole", || {
        let clips = ask(port, "GET", "/api/clips", "").json();
        let mut clips = clips.as_array()?.iter();
        clips.find(|clip| clip["name"] == *name).cloned()
    })
}

/// Sends a request as it is.
pub(crate) fn send(port: u16, head: &str, body: &str) -> Answer {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
    stream.set_read_timeout(Some(FAILSAFE)).unwrap();
    exchange(stream, head, body)
}

/// The same over any connection.
pub(crate) fn exchange(mut stream: impl Read + Write, head: &str, body: &str) -> Answer {
    write!(stream, "{head}{body}").unwrap();
    let mut answer = BufReader::new(stream);
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") {
        let count = answer.read_line(&mut text).expect("it answers");
        assert!(count > 0, "it left after {text:?}");
    }
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let known = name.eq_ignore_ascii_case("content-length");
        known.then(|| value.trim().parse().unwrap())
    });
    let mut bytes = Vec::new();
    if !head.starts_with("HEAD ") {
        // One that is turned away may be cut off.
        let mut rest = answer.take(length.unwrap_or(u64::MAX));
        let _ = rest.read_to_end(&mut bytes);
    }
    let mut lines = text.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let head = lines.take_while(|line| !line.is_empty()).map(|line| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_ascii_lowercase(), value.trim().to_owned())
    });
    Answer {
        status: status.parse().unwrap(),
        head: head.collect(),
        body: bytes,
    }
}

impl Recorder {
    /// The port of its page.
    pub(crate) fn port(&mut self) -> u16 {
        self.program.port()
    }

    /// Triggers a camera and waits for the clip; its facts.
    pub(crate) fn clip(&mut self, camera: &str, query: &str) -> serde_json::Value {
        let port = self.port();
        let path = format!("/api/cameras/{camera}/trigger{query}");
        let answer = ask(port, "POST", &path, "");
        assert_eq!(answer.status, 200, "{answer:?}");
        whole_clip(port, &answer.json()["name"])
    }
}
