// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ports as programs find, share and lose them: the device monitor, boards that come back under
//! another name, ports of other programs and other users.
//!
//! The ports are pseudo-terminals, and a directory stands for the system's `/sys` and `/dev`
//! (`K210_SYSROOT`). The programs are GStreamer's own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use super::k210_trouble::Held;
use crate::common::{HANG, assert_mentions, init};
use gst::prelude::*;
use k210_link::discovery::ROOT_VARIABLE;
use k210_link::transport::serial::Serial;
use k210_sim::{Board, BootMode, Config, SerialPort};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// Only a hang takes that long.
const FAILSAFE: Duration = Duration::from_secs(120);

/// USB ids of an adapter on K210 boards, and of one that is not.
const K210: (&str, &str) = ("1a86", "7523");
const OTHER: (&str, &str) = ("067b", "2303");

/// A directory with a `sys` that describes pseudo-terminals as USB adapters.
struct Sysroot(tempfile::TempDir);

impl Sysroot {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("sys/class/tty")).unwrap();
        symlink("/dev/pts", root.path().join("dev")).unwrap();
        Sysroot(root)
    }

    fn sys(&self) -> PathBuf {
        self.0.path().join("sys")
    }

    /// Describes `tty` as a port of an adapter with these USB ids; the name that boards find it by.
    fn plug(&self, tty: &Path, ids: (&str, &str), serial: &str) -> PathBuf {
        let name = tty.file_name().unwrap();
        let device = self.sys().join("devices/usb1").join(serial);
        let port = device.join("1-1:1.0").join(name);
        fs::create_dir_all(&port).unwrap();
        for (file, value) in [
            ("idVendor", ids.0),
            ("idProduct", ids.1),
            ("serial", serial),
            ("product", "USB Serial"),
        ] {
            fs::write(device.join(file), value).unwrap();
        }
        // In one step, as the kernel does.
        let new = self.sys().join("new");
        fs::create_dir_all(&new).unwrap();
        symlink(&port, new.join("device")).unwrap();
        fs::rename(&new, self.sys().join("class/tty").join(name)).unwrap();
        self.0.path().join("dev").join(name)
    }

    fn unplug(&self, tty: &Path) {
        let entry = self.sys().join("class/tty").join(tty.file_name().unwrap());
        let gone = self.sys().join("gone");
        fs::rename(entry, &gone).unwrap();
        fs::remove_dir_all(gone).unwrap();
    }
}

/// A pseudo-terminal with nothing behind it.
struct Bare {
    master: std::os::fd::OwnedFd,
    path: PathBuf,
}

impl Bare {
    fn new() -> Self {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let path = ptsname(&master, Vec::new()).unwrap();
        let path = PathBuf::from(path.to_str().unwrap());
        Bare { master, path }
    }

    /// Whether anybody has opened it: once it was, its end shows.
    fn was_opened(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let mut fds = [PollFd::new(&self.master, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).unwrap();
        !fds[0].revents().is_empty()
    }
}

fn board() -> SerialPort {
    let config = Config {
        boot: BootMode::Ide,
        ..Config::default()
    };
    SerialPort::new(Board::new(config).unwrap(), None).unwrap()
}

/// A program whose output can be waited for; it is killed at the end.
struct Program {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Program {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (sender, lines) = mpsc::channel();
        let outputs: [Box<dyn std::io::Read + Send>; 2] = [
            Box::new(child.stdout.take().unwrap()),
            Box::new(child.stderr.take().unwrap()),
        ];
        for output in outputs {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        Program {
            child,
            lines,
            seen: Vec::new(),
        }
    }

    /// The next line that has all these words.
    fn expect(&mut self, words: &[&str]) -> String {
        let deadline = Instant::now() + FAILSAFE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no line with {words:?} in\n{}", self.seen.join("\n"));
            };
            self.seen.push(line.clone());
            if words.iter().all(|word| line.contains(word)) {
                return line;
            }
        }
    }

    /// Waits for its end; whether it succeeded, and what it said.
    fn finish(mut self) -> (bool, String) {
        while let Ok(line) = self.lines.recv_timeout(FAILSAFE) {
            self.seen.push(line);
        }
        let succeeded = self.child.wait().unwrap().success();
        (succeeded, self.seen.join("\n"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program of GStreamer's that knows the plugin; `scratch` keeps what that takes.
fn gstreamer(program: &str, scratch: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .envs(crate::common::plugin_path(scratch))
        .env_remove("K210_DEVICE")
        .env_remove("DISPLAY");
    command
}

fn launch(scratch: &Path, root: Option<&Sysroot>, pipeline: &str) -> Program {
    let mut command = gstreamer("gst-launch-1.0", scratch);
    if let Some(root) = root {
        command.env(ROOT_VARIABLE, root.0.path());
    }
    Program::start(command.arg("-m").args(pipeline.split(' ')))
}

#[test]
fn boards_are_listed_and_followed_without_opening_them() {
    init();
    let root = Sysroot::new();
    root.plug("ttyUSB7".as_ref(), K210, "A7");
    let provider = gst::DeviceProviderFactory::by_name("k210deviceprovider").unwrap();
    provider.set_property("sysfs", root.sys().to_str().unwrap());

    let devices: Vec<_> = provider.devices().into_iter().collect();
    assert_eq!(devices.len(), 1);
    assert_eq!(devices[0].device_class(), "Source/Video");
    assert_mentions(&devices[0].display_name(), &["K210"]);
    let properties = devices[0].properties().unwrap();
    assert_eq!(properties.get::<&str>("device.path"), Ok("/dev/ttyUSB7"));
    assert_eq!(properties.get::<&str>("device.serial"), Ok("A7"));
    let element = devices[0].create_element(None).unwrap();
    assert_eq!(element.property::<String>("device"), "/dev/ttyUSB7");

    let bus = provider.bus();
    provider.start().unwrap();
    let next = |kind| {
        bus.timed_pop_filtered(HANG, &[kind])
            .expect("a message")
            .to_owned()
    };
    let path = |device: gst::Device| {
        let properties = device.properties().unwrap();
        properties.get::<String>("device.path").unwrap()
    };
    let added = |message: gst::Message| match message.view() {
        gst::MessageView::DeviceAdded(added) => path(added.device()),
        other => panic!("{other:?}"),
    };
    assert_eq!(added(next(gst::MessageType::DeviceAdded)), "/dev/ttyUSB7");
    root.plug("ttyUSB8".as_ref(), K210, "A8");
    root.plug("ttyUSB9".as_ref(), OTHER, "other");
    assert_eq!(added(next(gst::MessageType::DeviceAdded)), "/dev/ttyUSB8");
    root.unplug("ttyUSB7".as_ref());
    match next(gst::MessageType::DeviceRemoved).view() {
        gst::MessageView::DeviceRemoved(removed) => {
            assert_eq!(path(removed.device()), "/dev/ttyUSB7")
        }
        other => panic!("{other:?}"),
    }
    provider.stop();
}

#[test]
fn the_device_monitor_lists_boards_as_they_come_and_go() {
    let scratch = tempfile::tempdir().unwrap();
    let root = Sysroot::new();
    let (first, second, other) = (Bare::new(), Bare::new(), Bare::new());
    let first_port = root.plug(&first.path, K210, "A1");
    root.plug(&other.path, OTHER, "B1");
    let mut monitor = gstreamer("gst-device-monitor-1.0", scratch.path());
    let mut monitor = Program::start(
        monitor
            .env(ROOT_VARIABLE, root.0.path())
            .args(["-f", "Video/Source"]),
    );
    monitor.expect(&["name", "K210 board: USB Serial"]);
    monitor.expect(&["device.path", first_port.to_str().unwrap()]);
    monitor.expect(&["device.serial", "A1"]);
    monitor.expect(&["gst-launch-1.0 k210camerasrc"]);
    let second_port = root.plug(&second.path, K210, "A2");
    monitor.expect(&["device.path", second_port.to_str().unwrap()]);
    monitor.expect(&["device.serial", "A2"]);
    root.unplug(&first.path);
    monitor.expect(&["Device removed"]);
    assert!(monitor.seen.iter().all(|line| !line.contains("B1")));
    drop(monitor);
    for port in [first, second, other] {
        assert!(!port.was_opened(), "{}", port.path.display());
    }
}

#[test]
fn without_a_name_the_first_board_is_taken_and_no_other_port_is_touched() {
    let scratch = tempfile::tempdir().unwrap();
    let root = Sysroot::new();
    let other = Bare::new();
    root.plug(&other.path, OTHER, "B1");
    let none = launch(scratch.path(), Some(&root), "k210camerasrc ! fakesink");
    let (succeeded, said) = none.finish();
    assert!(!succeeded);
    assert_mentions(&said, &["No K210 board was found", "K210_DEVICE", "sim:"]);

    let board = board();
    let port = root.plug(&board.path(), K210, "A1");
    let pipeline = "k210camerasrc num-buffers=3 ! fakesink";
    let mut found = launch(scratch.path(), Some(&root), pipeline);
    found.expect(&["k210-board,", port.to_str().unwrap()]);
    let (succeeded, said) = found.finish();
    assert!(succeeded, "{said}");
    assert!(!other.was_opened());
}

#[test]
fn a_board_that_was_talked_to_is_listed_with_its_firmware() {
    let scratch = tempfile::tempdir().unwrap();
    let root = Sysroot::new();
    let board = board();
    let port = root.plug(&board.path(), K210, "A1");
    let program = format!(
        "import gi\n\
         gi.require_version('Gst', '1.0')\n\
         from gi.repository import Gst\n\
         Gst.init(None)\n\
         provider = Gst.DeviceProviderFactory.get_by_name('k210deviceprovider')\n\
         device = lambda: provider.get_devices()[0].get_properties().to_string()\n\
         print('before', device())\n\
         pipeline = Gst.parse_launch('k210camerasrc device={} num-buffers=1 ! fakesink')\n\
         pipeline.set_state(Gst.State.PLAYING)\n\
         kinds = Gst.MessageType.EOS | Gst.MessageType.ERROR\n\
         pipeline.get_bus().timed_pop_filtered(Gst.CLOCK_TIME_NONE, kinds)\n\
         pipeline.set_state(Gst.State.NULL)\n\
         print('after', device())\n",
        port.display()
    );
    let mut python = crate::common::python();
    python
        .args(["-c", &program])
        .envs(crate::common::plugin_path(scratch.path()))
        .env(ROOT_VARIABLE, root.0.path());
    let said = crate::common::output(&mut python);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(!lines[0].contains("device.firmware"), "{said}");
    assert_mentions(lines[1], &["device.firmware=(string)0.6.3", "K210"]);
}

#[test]
fn a_board_that_comes_back_under_another_name_is_found_by_its_serial_number() {
    let scratch = tempfile::tempdir().unwrap();
    let root = Sysroot::new();
    let board = board();
    let old = board.path();
    let port = root.plug(&old, K210, "A1");
    // It prints a line for each buffer, which begins with its time.
    let pipeline = format!(
        "k210camerasrc device={} ! checksumsink sync=false",
        port.display()
    );
    let mut stream = launch(scratch.path(), Some(&root), &pipeline);
    stream.expect(&["k210-board,", port.to_str().unwrap()]);
    stream.expect(&["0:00:"]);

    // Another board gets its name, and a port that is nobody's the next one.
    root.unplug(&old);
    board.unplug();
    stream.expect(&["k210-disconnected,"]);
    let others = [Bare::new(), Bare::new()];
    for (index, other) in others.iter().enumerate() {
        root.plug(&other.path, K210, &format!("B{index}"));
    }
    board.replug().unwrap();
    let new = board.path();
    assert!(others.iter().all(|other| other.path != new));
    let port = root.plug(&new, K210, "A1");
    stream.expect(&["k210-reconnected,", port.to_str().unwrap()]);
    stream.expect(&["0:00:"]);
    for other in others {
        assert!(!other.was_opened(), "{}", other.path.display());
    }
}

#[test]
fn several_programs_have_a_board_each_and_none_takes_anothers() {
    let scratch = tempfile::tempdir().unwrap();
    let boards = [board(), board()];
    let mut programs: Vec<Program> = boards
        .iter()
        .map(|board| {
            let pipeline = format!("k210camerasrc device={} ! fakesink", board.path().display());
            launch(scratch.path(), None, &pipeline)
        })
        .collect();
    for program in &mut programs {
        program.expect(&["k210-console,"]);
    }
    for (board, program) in boards.iter().zip(&programs) {
        let pipeline = format!("k210camerasrc device={} ! fakesink", board.path().display());
        let (succeeded, said) = launch(scratch.path(), None, &pipeline).finish();
        assert!(!succeeded);
        let holder = format!("in use by gst-launch-1.0 (process {})", program.child.id());
        assert_mentions(&said, &[&holder, "Close that program"]);
    }
    for program in &mut programs {
        assert_eq!(program.child.try_wait().unwrap(), None, "it was disturbed");
    }
}

/// The program `k210-sim` with a board in IDE mode behind this link.
fn simulator(link: &Path) -> Program {
    let mut program = Command::new(crate::common::program("k210-sim"));
    program.args(["--boot-mode", "ide", "--link"]).arg(link);
    let mut program = Program::start(&mut program);
    program.expect(&[link.to_str().unwrap()]);
    program
}

#[test]
fn a_simulator_that_is_killed_is_one_clear_error_or_waited_for() {
    let scratch = tempfile::tempdir().unwrap();
    let link = scratch.path().join("board");
    let device = link.to_str().unwrap();

    let killed = simulator(&link);
    let pipeline = format!("k210camerasrc device={device} reconnect=false ! fakesink");
    let mut stream = launch(scratch.path(), None, &pipeline);
    stream.expect(&["k210-console,"]);
    let _first = Held::new(&link);
    drop(killed);
    let (succeeded, said) = stream.finish();
    assert!(!succeeded, "{said}");
    let errors: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("ERROR"))
        .collect();
    let [error] = errors[..] else {
        panic!("{said}");
    };
    assert_mentions(error, &["is gone", device, "Check its cable"]);

    // The link that it left behind leads nowhere.
    let killed = simulator(&link);
    let pipeline = format!("k210camerasrc device={device} ! fakesink");
    let mut stream = launch(scratch.path(), None, &pipeline);
    stream.expect(&["k210-console,"]);
    let _second = Held::new(&link);
    drop(killed);
    stream.expect(&["k210-disconnected,"]);
    let _again = simulator(&link);
    stream.expect(&["k210-reconnected,"]);
}

/// `gst-launch-1.0 k210camerasrc device=PORT ! fakesink` as a user without rights: `nobody` when
/// the test runs as root. What it said.
fn said_to_nobody(port: &Path) -> String {
    let scratch = tempfile::tempdir().unwrap();
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let [(path, plugins), registry] = crate::common::plugin_path(scratch.path());
    // What the link leads to may be out of reach.
    let copy = scratch.path().join("copy");
    fs::create_dir(&copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(
        plugins.join("libgstkendryte.so"),
        copy.join("libgstkendryte.so"),
    )
    .unwrap();
    let mut command = match rustix::process::geteuid().is_root() {
        true => {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
            command.arg("gst-launch-1.0");
            command
        }
        false => Command::new("gst-launch-1.0"),
    };
    command
        .envs([(path, copy), registry])
        .env("HOME", scratch.path())
        .arg("k210camerasrc")
        .arg(format!("device={}", port.display()))
        .args(["!", "fakesink"]);
    let (succeeded, said) = Program::start(&mut command).finish();
    assert!(!succeeded, "{said}");
    said
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_port_that_may_not_be_opened_is_explained() {
    let port = Bare::new();
    set_mode(&port.path, 0o000);
    let path = port.path.to_str().unwrap();
    let said = said_to_nobody(&port.path);
    let advice = format!("sudo chmod a+rw {path}");
    assert_mentions(&said, &["no permission to open", path, &advice]);
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&port.path, None, Some(tty_group())).unwrap();
        set_mode(&port.path, 0o660);
        let said = said_to_nobody(&port.path);
        let advice = ["no permission to open", path, "sudo usermod -aG tty $USER"];
        assert_mentions(&said, &advice);
    }
}

/// The number of the group `tty`.
fn tty_group() -> u32 {
    fs::read_to_string("/etc/group")
        .unwrap()
        .lines()
        .find_map(|line| line.strip_prefix("tty:")?.split(':').nth(1)?.parse().ok())
        .expect("a group tty")
}

#[test]
fn a_port_that_another_user_holds_is_explained() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: there is no other user to be");
        return;
    }
    let port = Bare::new();
    set_mode(&port.path, 0o666);
    let held = Serial::open(&port.path, 115_200).unwrap();
    let said = said_to_nobody(&port.path);
    let holder = format!("(process {})", std::process::id());
    assert_mentions(&said, &["in use by", &holder]);
    drop(held);
}
