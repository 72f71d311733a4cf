// SPDX-License-Identifier: MIT OR Apache-2.0
//! Passwords, sessions, tokens and TLS.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::browser::Browser;
use crate::support::{Answer, Recorder, ask, ball, send};

/// What `--hash-password` makes of a password.
pub(crate) fn hash(password: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Recorder::command(folder.path(), &["--hash-password"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{password}").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Makes `cert.pem` and `key.pem`, by which this computer is `localhost`.
pub(crate) fn certificate(folder: &Path) {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ])
        .args([
            "-keyout",
            "key.pem",
            "-out",
            "cert.pem",
            "-subj",
            "/CN=localhost",
        ])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .current_dir(folder)
        .stderr(Stdio::null())
        .status()
        .expect("openssl is installed");
    assert!(made.success());
}

/// SHA-256 of `secret`.
pub(crate) const TOKEN: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

fn locked() -> Recorder {
    let password = hash("open sesame");
    Recorder::start(&format!("password = '{password}'\ntoken = '{TOKEN}'\n"))
}

pub(crate) fn log_in(port: u16, password: &str) -> Answer {
    let body = format!("password={}", password.replace(' ', "+"));
    let head = format!(
        "POST /login HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    send(port, &head, &body)
}

#[test]
fn who_is_not_signed_in_sees_nothing() {
    let mut recorder = locked();
    let port = recorder.port();
    let page = ask(port, "GET", "/", "");
    assert_eq!(
        (page.status, page.header("location")),
        (303, Some("/login"))
    );
    for path in [
        "/api/state",
        "/api/clips",
        "/metrics",
        "/live/x/picture.jpg",
        "/clips/x/y.mp4",
        "/page.js",
    ] {
        let answer = ask(port, "GET", path, "");
        assert_eq!(answer.status, 401, "{path}");
    }
    assert_eq!(ask(port, "POST", "/api/cameras/x/trigger", "").status, 401);
    // A supervisor has no password.
    assert_eq!(ask(port, "GET", "/healthz", "").status, 200);
    // Programs have a token.
    let bearer = |token: &str| {
        let line = format!("Authorization: Bearer {token}\r\n");
        ask(port, "GET", "/api/state", &line).status
    };
    assert_eq!(
        (bearer("secret"), bearer("secre"), bearer("")),
        (200, 401, 401)
    );
}

#[test]
fn a_session_begins_with_the_password_and_ends() {
    let mut recorder = locked();
    let port = recorder.port();
    let wrong = log_in(port, "open barley");
    assert_eq!((wrong.status, wrong.header("set-cookie")), (401, None));
    let right = log_in(port, "open sesame");
    assert_eq!((right.status, right.header("location")), (303, Some("/")));
    let set = right.header("set-cookie").unwrap();
    assert!(
        set.contains("HttpOnly") && set.contains("SameSite=Strict"),
        "{set}"
    );
    let cookie = format!("Cookie: {}\r\n", set.split(';').next().unwrap());
    let state = || ask(port, "GET", "/api/state", &cookie).status;
    assert_eq!(state(), 200);
    // No page elsewhere can use it.
    let elsewhere = format!("{cookie}Origin: http://example.org\r\n");
    assert_eq!(ask(port, "POST", "/logout", &elsewhere).status, 403);
    assert_eq!(ask(port, "POST", "/logout", &cookie).status, 303);
    assert_eq!(state(), 401);
}

#[test]
fn who_guesses_has_to_wait() {
    let mut recorder = locked();
    let port = recorder.port();
    let answers: Vec<_> = (0..8).map(|_| log_in(port, "guess").status).collect();
    assert_eq!(answers[..5], [401; 5]);
    // Checking passwords takes time, in which tries come back.
    assert!(answers[5..].contains(&429), "{answers:?}");
    let waits = (0..8).map(|_| log_in(port, "guess"));
    let waits = waits
        .into_iter()
        .find(|answer| answer.status == 429)
        .unwrap();
    assert_eq!(waits.header("retry-after"), Some("10"));
}

#[test]
fn a_password_is_long() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Recorder::command(folder.path(), &["--hash-password"]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(!output.status.success());
}

#[test]
fn the_page_is_used_over_tls() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path());
    let config = format!(
        "password = '{}'\ntls = {{ certificate = 'cert.pem', key = 'key.pem' }}\n{}",
        hash("open sesame"),
        ball("gate")
    );
    let mut recorder = Recorder::start_in(folder, &config);
    let line = recorder.program.says(&["https://127.0.0.1:"]);
    browser.look(390, 844, "dark");
    browser.open(line.trim());
    browser.wait("location.pathname == '/login'");
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    browser.keep_picture(&folder.join("login-390x844.png"));
    let send = |password: &str| {
        browser.run(&format!(
            "document.getElementById('password').value = '{password}';
             document.querySelector('form').requestSubmit();"
        ))
    };
    send("open barley");
    browser.wait("document.body.innerText.includes('That is not the password.')");
    let barriers = browser.barriers();
    assert!(barriers.is_empty(), "{barriers:#?}");
    send("open sesame");
    browser.wait("location.pathname == '/'");
    browser.wait("document.querySelector('.live')?.naturalWidth == 160");
    // Saved by the page itself: its own requests are not taken for another's.
    browser.wait("!document.getElementById('save').disabled");
    browser.run("document.getElementById('save').click()");
    browser.wait("document.querySelectorAll('#clips .card').length == 1");
    browser.run("document.querySelector('#sign-out').requestSubmit()");
    browser.wait("location.pathname == '/login'");
    let answer = browser.run_to_end("fetch('/api/state').then(answer => done(answer.status))");
    assert_eq!(answer, json!(401));
}
