// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is in the directory beside clips, and what becomes of it where the disk does not take it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::servers::{Broker, of_event};
use crate::support::{Program, Recorder, ask, ball, until};

fn config(broker: &Broker) -> String {
    format!("{}site = 'home'\n{}", broker.config(), ball("gate"))
}

#[test]
fn a_directory_has_one_recorder() {
    let mut recorder = Recorder::start(&ball("gate"));
    recorder.runs("gate");
    let mut command = Recorder::command(recorder.folder.path(), &["config.toml"]);
    let mut second = Program::start(&mut command);
    let status = second.ends();
    assert_eq!(status.code(), Some(1), "{}", second.said());
    second.says(&["another kendryte-recorder runs in clips"]);
    recorder.clip("gate", "?event=a");
    // One that was killed leaves nothing that another one would have to wait for.
    let mut third = Recorder::start_in(recorder.kill(), &ball("gate"));
    third.runs("gate");
}

/// Whatever is broken in it is put aside.
#[test]
fn a_broken_outbox_does_not_keep_the_recorder_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(folder.path());
    let mut listener = broker.listener("kendryte/home/gate/event");
    let mut recorder = Recorder::start(&config(&broker));
    recorder.runs("gate");
    recorder.clip("gate", "?event=before");
    listener.says(&["\"finished\"", "\"before\""]);
    recorder.program.terminate();
    let outbox = recorder.path("clips/.outbox.sqlite");
    std::fs::write(&outbox, vec![7; 8192]).unwrap();
    let mut recorder = Recorder::start_in(recorder.folder, &config(&broker));
    recorder
        .program
        .says(&["ERROR", ".outbox.sqlite", "put aside"]);
    recorder.runs("gate");
    recorder.clip("gate", "?event=after");
    let line = listener.says(&["\"finished\"", "\"after\""]);
    let sequence = |line: &str| {
        let (_, payload) = line.split_once(' ').unwrap();
        let event: Value = serde_json::from_str(payload).unwrap();
        event["sequence"].as_i64().unwrap()
    };
    // Who drops what is no later than what they have must not drop this.
    let before = listener.says(&["\"finished\"", "\"before\""]);
    assert!(sequence(&line) > sequence(&before));
    let names = std::fs::read_dir(recorder.path("clips")).unwrap().flatten();
    let broken = names.filter(|file| file.file_name().to_string_lossy().contains(".broken-"));
    let broken: Vec<_> = broken.collect();
    assert_eq!(broken.len(), 1, "{broken:?}");
    assert_eq!(std::fs::read(broken[0].path()).unwrap(), vec![7; 8192]);
}

/// Somebody who keeps others from writing into a database.
struct Holder(Child);

impl Holder {
    fn of(database: &Path) -> Self {
        let script = "import sqlite3, sys\n\
             held = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
             held.execute('BEGIN IMMEDIATE')\nprint('held', flush=True)\nsys.stdin.read()\n";
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-c", script]).arg(database);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut said = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        lines.read_line(&mut said).unwrap();
        assert_eq!(said, "held\n");
        Self(child)
    }

    fn lets_go(mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

/// What has arrived is not sent again where the disk does not take that, as one that is busy.
#[test]
fn what_the_outbox_cannot_forget_yet_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = Broker::start(folder.path());
    let mut listener = broker.listener("kendryte/home/gate/event");
    let mut recorder = Recorder::start(&config(&broker));
    recorder.runs("gate");
    recorder.clip("gate", "?event=before");
    listener.says(&["\"finished\"", "\"before\""]);
    broker.stop();
    for event in ["one", "two"] {
        recorder.clip("gate", &format!("?event={event}"));
    }
    let holder = Holder::of(&recorder.path("clips/.outbox.sqlite"));
    broker.run(folder.path());
    recorder.program.says(&["ERROR", "the outbox", "locked"]);
    // With what follows, nobody would see whether it was the first time.
    listener.says(&["\"finished\"", "\"two\""]);
    holder.lets_go();
    recorder.clip("gate", "?event=after");
    listener.says(&["\"finished\"", "\"after\""]);
    let said = listener.said();
    let events = said.lines().map(|line| {
        let (_, payload) = line.split_once(' ').unwrap();
        serde_json::from_str::<Value>(payload).unwrap()
    });
    let sequences: Vec<_> = events.map(|it| it["sequence"].as_i64()).collect();
    assert!(
        sequences.windows(2).all(|two| two[0] < two[1]),
        "{sequences:?}"
    );
}

/// What cannot be put into it, for now, is not lost.
#[test]
fn what_the_outbox_does_not_take_is_told_later_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(folder.path());
    let mut listener = broker.listener("kendryte/home/gate/event");
    let mut recorder = Recorder::start(&config(&broker));
    recorder.runs("gate");
    let holder = Holder::of(&recorder.path("clips/.outbox.sqlite"));
    recorder.clip("gate", "?event=one");
    recorder
        .program
        .says(&["ERROR", "the outbox", "told later"]);
    recorder.clip("gate", "?event=two");
    holder.lets_go();
    listener.says(&["\"finished\"", "\"two\""]);
    let told = listener.said();
    let (one, two) = (told.find("\"one\"").unwrap(), told.find("\"two\"").unwrap());
    assert!(one < two, "{told}");
    let log = recorder.program.said();
    assert_eq!(log.matches("told later").count(), 1, "{log}");
}

/// As with a full disk: what is known of a clip can be written later only.
#[test]
fn facts_that_cannot_be_written_are_written_later() {
    let mut recorder = Recorder::start(&ball("gate"));
    recorder.runs("gate");
    let port = recorder.port();
    let path = "/api/cameras/gate/trigger?event=door-7&after=2";
    let name = ask(port, "POST", path, "").json()["name"].clone();
    let name = name.as_str().unwrap();
    let new = recorder.path(&format!("clips/gate/.{name}.json.new"));
    std::fs::create_dir(&new).unwrap();
    recorder.program.says(&["WARN", "facts of", name]);
    let listed = until("the clip is known", || {
        let list = ask(port, "GET", "/api/clips", "").json();
        of_event(&list, "door-7").cloned()
    });
    assert_eq!(listed["name"], name);
    let state = ask(port, "GET", "/api/state", "").json();
    let error = &state["cameras"][0]["recording-error"];
    assert!(error.is_string(), "{state}");
    std::fs::remove_dir(&new).unwrap();
    let facts = recorder.path(&format!("clips/gate/{name}.json"));
    let text = until("the facts are there", || std::fs::read(&facts).ok());
    let facts: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(facts["event"], "door-7");
    until("nothing is wrong any more", || {
        let state = ask(port, "GET", "/api/state", "").json();
        state["cameras"][0]["recording-error"]
            .is_null()
            .then_some(())
    });
    let log = recorder.program.said();
    assert_eq!(log.matches("facts of").count(), 1, "{log}");
}

/// As with `ulimit -f`: the clip ends with one failure and plays to where it goes, and the camera records on.
#[test]
fn a_file_that_may_not_grow_ends_its_recording_and_nothing_else() {
    let mut recorder = Recorder::start(&ball("gate"));
    recorder.runs("gate");
    // Of fifteen frames at least, so that there is room for more than ten.
    let before = recorder.clip("gate", "?event=before&after=1");
    let id = recorder.program.id();
    let set = |limit: &str| {
        let mut command = Command::new("prlimit");
        command.args([&format!("--pid={id}"), limit]);
        assert!(command.status().unwrap().success());
    };
    let limit = before["bytes"].as_u64().unwrap() * 2;
    set(&format!("--fsize={limit}:"));
    let port = recorder.program.port();
    let path = "/api/cameras/gate/trigger?event=large&after=3600";
    let answer = ask(port, "POST", path, "").json();
    let name = answer["name"].as_str().unwrap().to_owned();
    let error = until("the recording has failed", || {
        let state = ask(port, "GET", "/api/state", "").json();
        let error = &state["cameras"][0]["recording-error"];
        error.as_str().map(str::to_owned)
    });
    assert!(
        error.contains("too large") || error.contains("write"),
        "{error}"
    );
    let clip = recorder.path(&format!("clips/gate/{name}"));
    let size = std::fs::metadata(&clip).unwrap().len();
    assert!(size <= limit, "{size}");
    let mut probe = Command::new("ffprobe");
    probe.args(["-v", "error", "-count_frames", "-select_streams", "v"]);
    probe.args(["-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"]);
    let probed = probe.arg(&clip).output().unwrap();
    let frames = String::from_utf8_lossy(&probed.stdout)
        .trim()
        .parse::<u32>();
    let said = String::from_utf8_lossy(&probed.stderr);
    assert!(frames.is_ok_and(|frames| frames > 10), "{said}");
    set("--fsize=unlimited:");
    recorder.clip("gate", "?event=after");
    let metrics = ask(
        port,
        "GET",
        "/metrics",
        "Accept: application/openmetrics-text;version=1.0.0\r\n",
    );
    let metrics = String::from_utf8(metrics.body).unwrap();
    let failed = "kendryte_recordings_failed_total{camera=\"gate\"} 1";
    assert!(metrics.contains(failed), "{metrics}");
    recorder.program.terminate();
}
