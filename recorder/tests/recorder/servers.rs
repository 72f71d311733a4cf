// SPDX-License-Identifier: MIT OR Apache-2.0
//! The servers that stand around a recorder: mosquitto, Swift as an S3 server, and PostgreSQL.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Program, send, until};

/// A port that nobody else asks the kernel for soon: it gives numbers out in turn.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A broker with a folder of its own, in which it keeps what it knows.
pub(crate) struct Broker {
    pub port: u16,
    program: Option<Program>,
}

impl Broker {
    pub(crate) fn start(folder: &Path) -> Self {
        Self::start_with(folder, "")
    }

    /// With more lines in its configuration.
    pub(crate) fn start_with(folder: &Path, more: &str) -> Self {
        let port = free_port();
        let config = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\n\
             persistence_location {}/\nautosave_interval 1\nuser root\nset_tcp_nodelay true\n{more}",
            folder.display()
        );
        std::fs::write(folder.join("mosquitto.conf"), config).unwrap();
        let mut broker = Self {
            port,
            program: None,
        };
        broker.run(folder);
        broker
    }

    pub(crate) fn run(&mut self, folder: &Path) {
        let mut command = Command::new("mosquitto");
        command.arg("-c").arg(folder.join("mosquitto.conf"));
        // Debian has it where only root looks.
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin:/usr/local/sbin"));
        self.program = Some(Program::start(&mut command));
        until("the broker listens", || {
            TcpStream::connect(("127.0.0.1", self.port)).ok()
        });
    }

    /// Ends it as its service does: it keeps sessions.
    pub(crate) fn stop(&mut self) {
        let mut program = self.program.take().unwrap();
        program.terminate();
    }

    /// Somebody who listens, and stays when the broker goes.
    pub(crate) fn listener(&self, topic: &str) -> Program {
        let port = self.port.to_string();
        let mut command = Command::new("mosquitto_sub");
        command.args([
            "-p", &port, "-t", topic, "-F", "%t %p", "-q", "2", "-i", "listener", "-c",
        ]);
        Program::start(&mut command)
    }

    /// What a recorder's configuration says of it, where the machine's name is set elsewhere.
    pub(crate) fn config(&self) -> String {
        format!("[mqtt]\nhost = '127.0.0.1'\nport = {}\n", self.port)
    }

    pub(crate) fn publish(&self, topic: &str, message: &str) {
        let port = self.port.to_string();
        let mut command = Command::new("mosquitto_pub");
        command.args(["-p", &port, "-q", "2", "-t", topic, "-m", message]);
        assert!(
            command
                .status()
                .expect("mosquitto-clients is installed")
                .success()
        );
    }
}

/// OpenStack Swift with its S3 API and a bucket `clips`.
pub(crate) struct Swift {
    pub port: u16,
    folder: tempfile::TempDir,
    program: Option<Program>,
}

impl Swift {
    pub(crate) fn start() -> Self {
        let mut swift = Self {
            port: free_port(),
            folder: tempfile::tempdir().unwrap(),
            program: None,
        };
        swift.run();
        swift
    }

    pub(crate) fn run(&mut self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/s3_server.py");
        let mut command = Command::new("/usr/bin/python3");
        command.arg(script).arg(self.folder.path());
        command.arg(self.port.to_string()).arg("clips");
        let mut program = Program::start(&mut command);
        // eventlet has a warning for those who are "already" using it.
        program.says(&["Swift is ready"]);
        self.program = Some(program);
    }

    /// Ends it in the middle of whatever it does.
    pub(crate) fn kill(&mut self) {
        self.program = None;
    }

    /// What a recorder's configuration says of it, with more lines.
    pub(crate) fn config(&self, more: &str) -> String {
        Self::config_by(self.port, more)
    }

    /// The same where the way to it is by another port.
    pub(crate) fn config_by(port: u16, more: &str) -> String {
        format!(
            "[store]\nendpoint = 'http://127.0.0.1:{port}'\nbucket = 'clips'\n\
             access-key = 'test:tester'\nsecret-key = 'testing'\n{more}\n"
        )
    }

    fn ask(&self, method: &str, path: &str, lines: &str) -> crate::support::Answer {
        let host = format!("Host: 127.0.0.1:{}\r\nConnection: close\r\n", self.port);
        let head = format!("{method} {path} HTTP/1.1\r\n{host}{lines}\r\n");
        send(self.port, &head, "")
    }

    /// What shows that one may ask.
    fn token(&self) -> String {
        let key = "X-Auth-User: test:tester\r\nX-Auth-Key: testing\r\n";
        let signed_in = self.ask("GET", "/auth/v1.0", key);
        let token = signed_in.header("x-auth-token").unwrap();
        format!("X-Auth-Token: {token}\r\n")
    }

    /// Begins an upload in parts as somebody else would.
    pub(crate) fn begin_upload(&self, key: &str, id: &str) {
        let lines = format!("{}Content-Length: 0\r\n", self.token());
        // It is made with the first upload.
        for path in [String::new(), format!("/{key}/{id}")] {
            let path = format!("/v1/AUTH_test/clips%2Bsegments{path}");
            let answer = self.ask("PUT", &path, &lines);
            assert!([201, 202].contains(&answer.status), "{answer:?}");
        }
    }

    /// The keys of uploads in parts that were begun and not ended.
    pub(crate) fn unfinished(&self) -> Vec<String> {
        let names = self.list("clips%2Bsegments").into_iter();
        let begun = names.filter_map(|(name, _)| {
            let (key, end) = name.rsplit_once('/')?;
            // What ends in a number is a part.
            let is_part = end.bytes().all(|byte| byte.is_ascii_digit());
            (!is_part).then(|| key.to_owned())
        });
        begun.collect()
    }

    /// The names in a container and their sizes, by Swift's own interface.
    pub(crate) fn list(&self, container: &str) -> Vec<(String, u64)> {
        let path = format!("/v1/AUTH_test/{container}?format=json");
        let answer = self.ask("GET", &path, &self.token());
        if answer.status == 404 {
            return Vec::new();
        }
        let list = answer.json();
        let objects = list.as_array().unwrap().iter().map(|object| {
            let name = object["name"].as_str().unwrap().to_owned();
            (name, object["bytes"].as_u64().unwrap())
        });
        objects.collect()
    }

    /// The names in the bucket that end so.
    pub(crate) fn names(&self, end: &str) -> Vec<String> {
        let names = self.list("clips").into_iter().map(|(name, _)| name);
        names.filter(|name| name.ends_with(end)).collect()
    }
}

/// A PostgreSQL server of its own, which runs as another user if the test is root's.
pub(crate) struct Postgres {
    port: u16,
    folder: tempfile::TempDir,
    program: Option<Program>,
}

impl Postgres {
    pub(crate) fn start() -> Self {
        let mut postgres = Self {
            port: free_port(),
            folder: tempfile::tempdir().unwrap(),
            program: None,
        };
        if let Some(user) = other_user() {
            chown(postgres.folder.path(), Some(user), None).unwrap();
        }
        let made = postgres
            .command("initdb")
            .args(["--username=recorder", "--auth=trust", "--no-sync", "-D"])
            .arg(postgres.data())
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        postgres.run();
        postgres
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A program of the server.
    fn command(&self, name: &str) -> Command {
        let program = programs().join(name);
        let mut command = match other_user() {
            None => Command::new(program),
            Some(user) => {
                let mut command = Command::new("setpriv");
                let user = user.to_string();
                command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--"]);
                command.arg(program);
                command
            }
        };
        command.current_dir(self.folder.path());
        command
    }

    pub(crate) fn run(&mut self) {
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).args([
            "-F",
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "unix_socket_directories=",
            "-p",
            &self.port.to_string(),
        ]);
        let mut program = Program::start(&mut command);
        program.says(&["ready to accept connections"]);
        until("the server listens", || {
            TcpStream::connect(("127.0.0.1", self.port)).ok()
        });
        self.program = Some(program);
    }

    /// Ends it and whoever is connected.
    pub(crate) fn stop(&mut self) {
        let mut program = self.program.take().unwrap();
        program.signal(Signal::INT);
        program.ends();
    }

    /// What a recorder's configuration says of it.
    pub(crate) fn config(&self) -> String {
        format!(
            "[index]\nurl = 'postgres://recorder@127.0.0.1:{}/postgres'\n",
            self.port
        )
    }
}

/// Where Debian has the server's programs: those of the newest version.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("postgresql is installed");
    let newest = versions.flatten().max_by_key(|version| {
        let name = version.file_name();
        name.to_string_lossy().parse::<u32>().unwrap_or_default()
    });
    newest.unwrap().path().join("bin")
}

/// Root may not run the server: the package's user does.
fn other_user() -> Option<u32> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    let id = line.and_then(|line| line.split(':').nth(2));
    Some(
        id.and_then(|id| id.parse().ok())
            .expect("there is a user postgres"),
    )
}

/// The clip of an event in a list.
pub(crate) fn of_event<'a>(list: &'a Value, event: &str) -> Option<&'a Value> {
    list.as_array()?.iter().find(|clip| clip["event"] == event)
}
