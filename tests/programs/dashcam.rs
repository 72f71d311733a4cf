// SPDX-License-Identifier: MIT OR Apache-2.0
//! The example `dashcam` as its user sees it: the page in headless Chromium shows a picture, and
//! the button, pressed with the keyboard, makes a clip that plays.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Only ends a test that would hang.
const FAILSAFE: Duration = Duration::from_secs(60);

/// A program that ends with the test.
struct Program(Child);

impl Program {
    fn start(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        Self(child.unwrap_or_else(|error| panic!("{command:?} does not start: {error}")))
    }

    /// What follows `marker` in the first line of its output that has it.
    fn says(&mut self, marker: &str) -> String {
        let mut lines = BufReader::new(self.0.stdout.take().expect("its output is read")).lines();
        let rest = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once(marker)?.1.to_owned()));
        // Read on, or the program would have nobody to write to.
        std::thread::spawn(move || lines.for_each(drop));
        rest.unwrap_or_else(|| panic!("it never says '{marker}'"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A request to a server on this computer; the answer's status and body.
fn http(
    port: u16,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(FAILSAFE))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n{headers}\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = BufReader::new(stream);
    let mut status = String::new();
    answer.read_line(&mut status)?;
    let status = status.split(' ').nth(1).and_then(|s| s.parse().ok());
    let status = status.ok_or(io::ErrorKind::InvalidData)?;
    let mut length = None;
    loop {
        let mut line = String::new();
        answer.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok();
        }
    }
    let mut bytes = Vec::new();
    answer
        .take(length.unwrap_or(u64::MAX))
        .read_to_end(&mut bytes)?;
    Ok((status, bytes))
}

/// Chromium, driven by WebDriver (<https://www.w3.org/TR/webdriver2/>).
struct Browser {
    port: u16,
    session: String,
    _driver: Program,
}

impl Browser {
    /// `None` where it can't be had: Ubuntu has Chromium as a snap only, which a container can't run.
    fn start() -> Option<Self> {
        let version = Command::new("chromedriver").arg("--version").output();
        if !version.is_ok_and(|output| output.status.success()) {
            return None;
        }
        let mut driver = Program::start(Command::new("chromedriver").arg("--port=0"));
        let port = driver.says("started successfully on port ");
        let port = port
            .trim_end_matches('.')
            .parse()
            .expect("a port is a number");
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": arguments},
            "timeouts": {"script": FAILSAFE.as_millis() as u64},
        }}});
        let mut browser = Self {
            port,
            session: String::new(),
            _driver: driver,
        };
        let session = browser.ask("POST", "/session", &wanted);
        browser.session = session["sessionId"]
            .as_str()
            .expect("a session begins")
            .to_owned();
        Some(browser)
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let text = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let (status, answer) =
            http(self.port, method, path, "", &text).expect("the driver answers");
        let mut answer: Value = serde_json::from_slice(&answer).expect("the driver speaks JSON");
        assert_eq!(status, 200, "{path}: {answer}");
        answer["value"].take()
    }

    fn command(&self, path: &str, body: &Value) -> Value {
        self.ask("POST", &format!("/session/{}/{path}", self.session), body)
    }

    fn run(&self, script: &str) -> Value {
        self.command("execute/sync", &json!({"script": script, "args": []}))
    }

    /// Waits until an expression in the page is true.
    fn wait(&self, expression: &str) {
        let until = Instant::now() + FAILSAFE;
        while self.run(&format!("return Boolean({expression})")) != Value::Bool(true) {
            let page = || self.run("return document.body.innerText");
            assert!(Instant::now() < until, "never: {expression}\n{}", page());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn key(&self, key: &str) {
        let actions = json!([{"type": "key", "id": "keyboard", "actions": [
            {"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]}]);
        self.command("actions", &json!({"actions": actions}));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Chromium would outlive a driver that is killed.
        let session = format!("/session/{}", self.session);
        if let Err(error) = http(self.port, "DELETE", &session, "", "") {
            eprintln!("Chromium could not be ended: {error}");
        }
    }
}

fn start(directory: &std::path::Path) -> (Program, String, u16) {
    let mut program = Program::start(
        Command::new(crate::common::example("dashcam"))
            .args(["--port", "0", "--seconds", "3", "--directory"])
            .arg(directory),
    );
    let address = format!("http://{}", program.says("http://"));
    let port = address
        .trim_end_matches('/')
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok())
        .expect("the address has a port");
    (program, address, port)
}

#[test]
fn the_page_shows_a_picture_and_the_button_makes_a_clip_that_plays() {
    let directory = tempfile::tempdir().expect("there is a directory");
    let Some(browser) = Browser::start() else {
        eprintln!("skipped: chromedriver is not installed or does not run");
        return;
    };
    let (_program, address, _) = start(directory.path());
    browser.command("url", &json!({"url": address}));
    browser.wait("document.getElementById('live').naturalWidth == 640");
    browser.wait("document.getElementById('level').value >= 3");
    assert_eq!(
        browser.run("return document.getElementById('save').innerText"),
        "Save the last 3 s"
    );
    // The first stop of the Tab key is the button; U+E004 and U+E007 are Tab and Enter.
    browser.key("\u{e004}");
    assert_eq!(browser.run("return document.activeElement.id"), "save");
    browser.key("\u{e007}");
    browser.wait("document.querySelectorAll('#clips li video').length == 1");
    browser.wait("document.querySelector('#clips video').duration >= 3");
    let played = browser.command(
        "execute/async",
        &json!({"args": [], "script": "
            const done = arguments[0];
            const video = document.querySelector('#clips video');
            video.muted = true;
            video.onerror = () => done('error: ' + video.error.message);
            video.ontimeupdate = () => { if (video.currentTime > 1) done(video.videoWidth); };
            video.play().catch(error => done('error: ' + error));"}),
    );
    assert_eq!(played, 640);
    let name = browser.run("return document.querySelector('#clips a').download");
    let clip = directory
        .path()
        .join(name.as_str().expect("the link has a name"));
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-of", "csv=p=0"])
        .args(["-show_entries", "stream=codec_name,nb_read_frames"])
        .arg(clip)
        .output()
        .expect("ffprobe is installed");
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8_lossy(&output.stdout);
    let frames = |codec: &str| -> u32 {
        text.lines()
            .find_map(|line| line.strip_prefix(codec)?.trim_matches(',').parse().ok())
            .unwrap_or_else(|| panic!("no {codec} in {text}"))
    };
    // At least three seconds at 30 frames a second, with sound.
    assert!(frames("h264") >= 90, "{text}");
    assert!(frames("aac") >= 120, "{text}");
}

#[test]
fn the_server_gives_parts_of_clips_and_nothing_else() {
    let directory = tempfile::tempdir().expect("there is a directory");
    let clips = directory.path().join("clips");
    std::fs::create_dir(&clips).expect("it is made");
    std::fs::write(directory.path().join("secret.mp4"), "secret").expect("it is written");
    std::fs::write(clips.join("a b.mp4"), "0123456789").expect("it is written");
    let (_program, _, port) = start(&clips);
    let ask = |method: &str, path: &str, headers: &str| {
        http(port, method, path, headers, "").expect("the server answers")
    };
    let get = |path: &str, headers: &str| ask("GET", path, headers);

    assert_eq!(get("/clips/a%20b.mp4", ""), (200, b"0123456789".to_vec()));
    let part = |range: &str| get("/clips/a%20b.mp4", &format!("Range: bytes={range}\r\n"));
    assert_eq!(part("2-4"), (206, b"234".to_vec()));
    assert_eq!(part("7-"), (206, b"789".to_vec()));
    assert_eq!(part("-2"), (206, b"89".to_vec()));
    assert_eq!(part("5-99"), (206, b"56789".to_vec()));
    assert_eq!(part("10-").0, 416);
    assert_eq!(get("/clips/none.mp4", "").0, 404);
    for path in [
        "/clips/..%2Fsecret.mp4",
        "/clips/../secret.mp4",
        "/clips/%2e%2e%2fsecret.mp4",
        "/x",
    ] {
        assert_eq!(get(path, "").0, 404, "{path}");
    }
    // A page elsewhere can make the browser send this, but may not press the button.
    let elsewhere = "Origin: http://example.org\r\n";
    assert_eq!(ask("POST", "/save", elsewhere).0, 403);
    // Nor may a name that was made to point here read the clips; `Host` is there a second time.
    assert_eq!(get("/clips/a%20b.mp4", "Host: example.org\r\n").0, 403);
    let (status, state) = get("/state", "");
    assert_eq!(status, 200);
    let state: Value = serde_json::from_slice(&state).expect("the state is JSON");
    assert_eq!(state["clips"], json!([{"name": "a b.mp4", "bytes": 10}]));
}
