// SPDX-License-Identifier: MIT OR Apache-2.0
//! Chromium, driven by WebDriver (<https://www.w3.org/TR/webdriver2/>).

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{FAILSAFE, Program, send};

/// What cannot be tested here passes on a person's machine, who is told by `scripts/setup.sh`; in CI it would pass
/// unseen for ever.
fn skipped<T>(why: &str) -> Option<T> {
    let in_ci = std::env::var_os("CI").is_some_and(|it| !it.is_empty());
    assert!(!in_ci, "{why}; scripts/setup.sh test brings it");
    eprintln!("skipped: {why}");
    None
}

/// A browser's window.
pub(crate) struct Browser {
    port: u16,
    session: String,
    _driver: Program,
}

impl Browser {
    /// `None` where it can't be had: Ubuntu has Chromium as a snap only, which a container can't run. CI has to have it.
    pub(crate) fn start() -> Option<Self> {
        let version = Command::new("chromedriver")
            .arg("--version")
            .stdout(Stdio::null())
            .status();
        if !version.is_ok_and(|status| status.success()) {
            return skipped("chromedriver is not installed or does not run");
        }
        let mut driver = Program::start(Command::new("chromedriver").arg("--port=0"));
        let line = driver.says(&["started successfully on port "]);
        let port = line.trim_end_matches('.').rsplit_once(' ').unwrap().1;
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "acceptInsecureCerts": true,
            "goog:chromeOptions": {"args": [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                "--force-device-scale-factor=1",
            ]},
            "timeouts": {"script": FAILSAFE.as_millis() as u64},
        }}});
        let mut browser = Self {
            port: port.parse().unwrap(),
            session: String::new(),
            _driver: driver,
        };
        let session = browser.ask("POST", "/session", &wanted);
        browser.session = session["sessionId"].as_str().unwrap().to_owned();
        Some(browser)
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.port,
            body.len()
        );
        let answer = send(self.port, &head, &body);
        assert_eq!(answer.status, 200, "{path}: {}", answer.json());
        answer.json()["value"].take()
    }

    pub(crate) fn command(&self, path: &str, body: &Value) -> Value {
        self.ask("POST", &format!("/session/{}/{path}", self.session), body)
    }

    pub(crate) fn open(&self, address: &str) {
        self.command("url", &json!({ "url": address }));
    }

    /// Makes the page's part of the window that large, and its colours light or dark.
    pub(crate) fn look(&self, width: u32, height: u32, scheme: &str) {
        let cdp = |cmd: &str, params: Value| {
            self.command("goog/cdp/execute", &json!({"cmd": cmd, "params": params}))
        };
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1,
                          "mobile": width < 600});
        cdp("Emulation.setDeviceMetricsOverride", size);
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        cdp("Emulation.setEmulatedMedia", features);
    }

    pub(crate) fn run(&self, script: &str) -> Value {
        self.command("execute/sync", &json!({"script": script, "args": []}))
    }

    /// Runs a script that calls `done`.
    pub(crate) fn run_to_end(&self, script: &str) -> Value {
        let script = format!("const done = arguments[0]; {script}");
        self.command("execute/async", &json!({"script": script, "args": []}))
    }

    /// Waits until an expression in the page is true. What it asks for may not be there yet, which is an exception.
    pub(crate) fn wait(&self, expression: &str) {
        let what = || {
            format!(
                "{expression}\n{}",
                self.run("return document.body.innerText")
            )
        };
        let deadline = std::time::Instant::now() + FAILSAFE;
        let script = format!("try {{ return Boolean({expression}) }} catch {{ return false }}");
        while self.run(&script) != Value::Bool(true) {
            assert!(std::time::Instant::now() < deadline, "never: {}", what());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What axe-core finds on the page that keeps people from using it: a line each.
    /// `scripts/setup.sh test` fetches it; without it nothing is looked for, but in CI.
    pub(crate) fn barriers(&self) -> Vec<String> {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let Ok(axe) = std::fs::read_to_string(target.join("axe/axe.min.js")) else {
            return skipped("axe-core was not fetched").unwrap_or_default();
        };
        self.run(&axe);
        let found = self.run_to_end(
            "axe.run().then(({violations}) => done(violations
                 .filter(({impact}) => ['serious', 'critical'].includes(impact))
                 .flatMap(({id, nodes}) => nodes.map(({html}) => `${id}: ${html}`))),
             error => done([String(error)]))",
        );
        let lines = found.as_array().expect("axe answers").iter();
        lines
            .map(|line| line.as_str().unwrap().to_owned())
            .collect()
    }

    pub(crate) fn key(&self, key: &str) {
        let actions = json!([{"type": "key", "id": "keyboard", "actions": [
            {"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]}]);
        self.command("actions", &json!({ "actions": actions }));
    }

    /// Keeps what is to be seen as a picture.
    pub(crate) fn keep_picture(&self, path: &Path) {
        let path_of = format!("/session/{}/screenshot", self.session);
        let picture = self.ask("GET", &path_of, &Value::Null);
        let bytes = decode(picture.as_str().unwrap());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// Base64, RFC 4648, section 4.
fn decode(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        let digit = DIGITS.iter().position(|digit| *digit == byte).unwrap();
        bits = bits << 6 | digit as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Chromium would outlive a driver that is killed.
        let head = format!(
            "DELETE /session/{} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
            self.session
        );
        if std::panic::catch_unwind(|| send(self.port, &head, "")).is_err() {
            eprintln!("Chromium could not be ended");
        }
    }
}
