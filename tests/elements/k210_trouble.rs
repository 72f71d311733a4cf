// SPDX-License-Identifier: MIT OR Apache-2.0
//! What k210camerasrc says when there is no board, or no good one.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::common::{Pipeline, assert_mentions};
use gst::prelude::*;

/// A pseudo-terminal whose other end this test plays.
pub(crate) struct Line {
    pub(crate) path: PathBuf,
    stop: Arc<AtomicBool>,
    player: Option<JoinHandle<Held>>,
}

/// The port, open, after its cable was pulled: nobody else gets its number while something still
/// looks for it there. While another program has it, only root can have it open too.
pub(crate) struct Held(#[expect(dead_code, reason = "it is only kept open")] Option<fs::File>);

impl Held {
    /// To be taken just before the other end goes.
    pub(crate) fn new(path: &Path) -> Self {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).custom_flags(libc::O_NOCTTY);
        Held(options.open(path).ok())
    }
}

impl Line {
    /// `play` is given what arrived since the last time, a hundred times a second, and answers.
    /// When it returns `None` the cable is pulled.
    fn new(mut play: impl FnMut(&[u8]) -> Option<Vec<u8>> + Send + 'static) -> Self {
        // SAFETY: plain calls without pointers, but for the name's buffer, which is long enough.
        let (mut master, path) = unsafe {
            let master = libc::posix_openpt(
                libc::O_RDWR | libc::O_NOCTTY | libc::O_NONBLOCK | libc::O_CLOEXEC,
            );
            assert!(master >= 0);
            assert_eq!(libc::grantpt(master), 0);
            assert_eq!(libc::unlockpt(master), 0);
            let mut name = [0; 64];
            assert_eq!(libc::ptsname_r(master, name.as_mut_ptr(), name.len()), 0);
            let name = std::ffi::CStr::from_ptr(name.as_ptr());
            (
                fs::File::from_raw_fd(master),
                PathBuf::from(name.to_str().unwrap()),
            )
        };
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let port = path.clone();
        let player = std::thread::spawn(move || {
            let mut buf = [0; 4096];
            while !stopped.load(Ordering::Relaxed) {
                // Until the port is opened, and once it is closed, reading fails.
                let n = master.read(&mut buf).unwrap_or(0);
                let Some(answer) = play(&buf[..n]) else { break };
                let _ = master.write(&answer);
                std::thread::sleep(Duration::from_millis(10));
            }
            Held::new(&port)
        });
        Line {
            path,
            stop,
            player: Some(player),
        }
    }

    pub(crate) fn silent() -> Self {
        Self::new(|_| Some(Vec::new()))
    }

    fn launch(&self, properties: &str) -> Pipeline {
        Pipeline::launch(&format!(
            "k210camerasrc device={} {properties} ! fakesink",
            self.path.display()
        ))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(player) = self.player.take() {
            let _ = player.join();
        }
    }
}

/// Starts a pipeline that must not work out; what the user reads.
fn refusal(properties: &str) -> String {
    Pipeline::launch(&format!("k210camerasrc {properties} ! fakesink"))
        .run()
        .expect_err("it must not start")
}

#[test]
fn a_device_that_is_not_there_is_said_so() {
    let text = refusal("device=/dev/ttyNothing");
    assert_mentions(&text, &["/dev/ttyNothing", "plugged in", "sim:"]);
}

#[test]
fn a_file_is_no_serial_port() {
    let text = refusal("device=/etc/passwd");
    assert_mentions(&text, &["/etc/passwd", "not a serial port", "sim:FILE"]);
    assert_mentions(&refusal("device=/dev/null"), &["not a serial port"]);
}

#[test]
fn half_an_address_is_explained() {
    assert_mentions(&refusal("device=tcp://host"), &["tcp://host:port"]);
}

#[test]
fn a_server_that_does_not_listen_is_said_so() {
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let text = refusal(&format!("device=tcp://127.0.0.1:{port}"));
    assert_mentions(&text, &["Cannot connect", "serial server"]);
}

#[test]
fn a_server_that_does_not_answer_is_said_so() {
    // One whose queue of connections is full: further ones are left waiting.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    // SAFETY: the descriptor is open, the call takes no pointer.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let address = listener.local_addr().unwrap();
    let _waiting: Vec<_> = (0..4)
        .map_while(|_| {
            std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok()
        })
        .collect();
    let text = refusal(&format!("device=tcp://{address}"));
    assert_mentions(&text, &["Cannot connect", "no answer", "firewall"]);
}

#[test]
fn a_server_that_hangs_up_is_said_so() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || while listener.accept().is_ok() {});
    let text = refusal(&format!("device=tcp://{address}"));
    assert_mentions(&text, &[&address.to_string(), "gone"]);
}

#[test]
fn a_window_beyond_the_frame_is_refused() {
    let text = refusal("device=sim: window-width=320 window-height=240 window-x=8");
    assert_mentions(&text, &["reaches beyond", "window-width"]);
    let text = refusal("device=sim: window-width=20");
    assert_mentions(&text, &["multiples of 8"]);
}

#[test]
fn a_script_that_is_not_there_is_said_so() {
    let text = refusal("device=sim: script=/nonexistent/detector.py");
    assert_mentions(&text, &["/nonexistent/detector.py"]);
}

#[test]
fn a_port_in_use_names_the_program() {
    let line = Line::silent();
    let mut other = Command::new("python3")
        .args([
            "-c",
            "import sys; f = open(sys.argv[1], 'rb', 0); print(flush=True); input()",
        ])
        .arg(&line.path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut opened = [0];
    other
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut opened)
        .unwrap();
    let text = line.launch("").run().expect_err("the port is taken");
    assert_mentions(&text, &["in use by", &format!("process {}", other.id())]);
    drop(other.stdin.take());
    other.wait().unwrap();
}

#[test]
fn two_elements_do_not_share_a_port() {
    let line = Line::silent();
    let first = line.launch("");
    first.play();
    let text = line.launch("").run().expect_err("the port is taken");
    assert_mentions(&text, &["in use by this program"]);
}

#[test]
fn a_silent_board_is_reported_with_advice() {
    let line = Line::silent();
    let text = line.launch("").wait_for_refusal();
    assert_mentions(
        &text,
        &["silent", "reset button", line.path.to_str().unwrap()],
    );
}

#[test]
fn garbage_on_the_line_is_reported_as_such() {
    let mut seed = 1u32;
    let line = Line::new(move |_| {
        Some(
            (0..100)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (seed >> 24) as u8
                })
                .collect(),
        )
    });
    let text = line.launch("").wait_for_refusal();
    assert_mentions(&text, &["garbage", "cable"]);
}

#[test]
fn a_script_that_ignores_ctrl_c_is_quoted() {
    let line = Line::new(|_| Some(b"temperature 21.5 degrees\r\n".to_vec()));
    let text = line.launch("").wait_for_refusal();
    assert_mentions(&text, &["ignores Ctrl-C", "temperature 21.5", "main.py"]);
}

#[test]
fn a_cable_pulled_while_connecting_is_reported() {
    for properties in ["reconnect=false", "reconnect-timeout=1"] {
        let mut heard = 0;
        let line = Line::new(move |bytes| {
            heard += bytes.len();
            // After a few attempts.
            (heard < 100).then(Vec::new)
        });
        let text = line.launch(properties).wait_for_refusal();
        assert_mentions(&text, &["gone", "plug it in again"]);
    }
}

#[test]
fn connecting_can_be_given_up_at_any_time() {
    let line = Line::silent();
    for round in 0..20 {
        let pipeline = line.launch("");
        pipeline.play();
        std::thread::sleep(Duration::from_millis(7 * round));
        let before = Instant::now();
        pipeline.0.set_state(gst::State::Null).unwrap();
        // Far less than it would take to give up by itself.
        assert!(
            before.elapsed() < Duration::from_secs(3),
            "{:?}",
            before.elapsed()
        );
    }
}

trait Refused {
    fn wait_for_refusal(&self) -> String;
}

impl Refused for Pipeline {
    fn wait_for_refusal(&self) -> String {
        self.run().expect_err("it must not stream")
    }
}
