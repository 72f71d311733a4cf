// SPDX-License-Identifier: MIT OR Apache-2.0
//! A system clock that is set by an hour while cameras are recorded (`tests/clock.c`), as by whoever finds that the
//! battery of a board's clock is empty.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::auth::{hash, log_in};
use crate::servers::Broker;
use crate::support::{HEAD, Recorder, ask, ball, until, whole_clip};

const HOUR: i64 = 3_600;

/// How far the clock of a recorder is ahead.
struct Clock {
    ahead: PathBuf,
    shim: PathBuf,
}

impl Clock {
    fn new(folder: &Path) -> Self {
        let clock = Self {
            ahead: folder.join("ahead"),
            shim: folder.join("clock.so"),
        };
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clock.c");
        let mut compiler = Command::new("cc");
        compiler
            .args(["-O1", "-shared", "-fPIC", "-o"])
            .args([&clock.shim, &source]);
        assert!(
            compiler
                .args(["-ldl", "-pthread"])
                .status()
                .unwrap()
                .success()
        );
        clock.set(0);
        clock
    }

    /// In one step: whoever looks sees it as it was or as it is.
    fn set(&self, seconds: i64) {
        use std::os::unix::fs::FileExt;
        let mut options = std::fs::File::options();
        let file = options
            .write(true)
            .create(true)
            .truncate(false)
            .open(&self.ahead)
            .unwrap();
        file.write_all_at(&(seconds * 1_000_000_000).to_ne_bytes(), 0)
            .unwrap();
    }

    fn recorder(&self, folder: tempfile::TempDir, config: &str) -> Recorder {
        let environment: [(&str, &Path); 2] =
            [("LD_PRELOAD", &self.shim), ("CLOCK_AHEAD", &self.ahead)];
        Recorder::start_among(folder, &format!("{HEAD}{config}"), &environment)
    }
}

fn number(clip: &Value, field: &str) -> i64 {
    clip[field]
        .as_i64()
        .unwrap_or_else(|| panic!("no {field} in {clip}"))
}

/// When a clip was asked for, by its name: `20261129T225505-260312.mp4`.
fn second_of_day(clip: &Value) -> i64 {
    let name = clip["name"].as_str().unwrap();
    let number = |at: usize| name[at..at + 2].parse::<i64>().unwrap();
    number(9) * HOUR + number(11) * 60 + number(13)
}

/// What each of these clips has to be.
fn is_as_long_as_it_should(clip: &Value) {
    // Two seconds before, and what came after.
    let length = number(clip, "length");
    assert!((1..10_000).contains(&length), "{clip}");
    assert!(number(clip, "frames") >= 10, "{clip}");
}

#[test]
fn a_clock_that_is_set_costs_no_clip() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::new(folder.path());
    let config = format!("{}[camera.limits]\nfiles = 2\n", ball("gate"));
    let mut recorder = clock.recorder(folder, &config);
    recorder.runs("gate");
    let mut clips = vec![recorder.clip("gate", "?event=before&after=1")];
    for (event, ahead) in [("ahead", HOUR), ("behind", -HOUR), ("right", 0)] {
        clock.set(ahead);
        clips.push(recorder.clip("gate", &format!("?event={event}&after=1")));
        // Those that are newest stay, whatever their names say.
        let names: Vec<_> = clips
            .iter()
            .map(|clip| clip["name"].as_str().unwrap().to_owned())
            .collect();
        until("the oldest is gone", || {
            let files = recorder.files("gate", ".mp4");
            let left: Vec<_> = files
                .iter()
                .filter_map(|path| path.file_name()?.to_str())
                .collect();
            let newest = &names[names.len() - 2..];
            (left.len() == 2 && newest.iter().all(|name| left.contains(&name.as_str())))
                .then_some(())
        });
    }
    for clip in &clips {
        is_as_long_as_it_should(clip);
    }
    // The names are those of the moment when the event was; the pictures may be from before the clock was set.
    let moments: Vec<_> = clips.iter().map(second_of_day).collect();
    for (n, by) in [(1, HOUR), (2, -2 * HOUR), (3, HOUR)] {
        let passed = (moments[n] - moments[n - 1] - by).rem_euclid(24 * HOUR);
        assert!(
            passed < 600,
            "{passed} s between {n} and the one before: {clips:?}"
        );
    }
    recorder.program.terminate();
}

/// A clip that has begun goes on for as long as it should.
#[test]
fn a_clock_that_is_set_amid_a_clip_changes_no_length() {
    for ahead in [HOUR, -HOUR] {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::new(folder.path());
        let mut recorder = clock.recorder(folder, &ball("gate"));
        recorder.runs("gate");
        let port = recorder.port();
        let path = "/api/cameras/gate/trigger?event=amid&after=3";
        let answer = ask(port, "POST", path, "").json();
        let name = answer["name"].as_str().unwrap();
        until("it is being written", || {
            let file = recorder.path(&format!("clips/gate/{name}"));
            std::fs::metadata(file)
                .is_ok_and(|it| it.len() > 0)
                .then_some(())
        });
        clock.set(ahead);
        let clip = whole_clip(port, &answer["name"]);
        is_as_long_as_it_should(&clip);
        // What comes behind it has the new time.
        let next = recorder.clip("gate", "?event=next&after=0");
        let passed = (number(&next, "start") - number(&clip, "start")) / 1000 - ahead;
        assert!((-5..600).contains(&passed), "{passed} s: {clip} {next}");
    }
}

/// Parts of what is recorded all the time are as long as before, and none takes another's name.
#[test]
fn a_clock_that_is_set_changes_no_part() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::new(folder.path());
    let config = format!("{}[camera.continuous]\npart = 1\n", ball("gate"));
    let mut recorder = clock.recorder(folder, &config);
    recorder.runs("gate");
    for (wanted, ahead) in [(2, HOUR), (5, -HOUR), (8, 0), (11, 0)] {
        let parts = until("there are parts", || {
            let parts = recorder.files("gate", ".mp4");
            (parts.len() >= wanted).then_some(parts)
        });
        // A clock that jumps does not begin one part after another.
        assert!(parts.len() < wanted + 6, "{parts:?}");
        clock.set(ahead);
    }
    let port = recorder.port();
    let clips = until("all are known", || {
        let clips = ask(port, "GET", "/api/clips", "").json();
        clips.as_array().filter(|clips| clips.len() >= 10).cloned()
    });
    for clip in &clips {
        let length = number(clip, "length");
        assert!((1..5_000).contains(&length), "{clip}");
    }
    recorder.program.terminate();
}

#[test]
fn a_clock_that_is_set_ends_no_session_and_turns_no_order() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(folder.path());
    let mut listener = broker.listener("kendryte/home/gate/event");
    let clock = Clock::new(folder.path());
    let config = format!(
        "password = '{}'\n{}site = 'home'\n{}",
        hash("open sesame"),
        broker.config(),
        ball("gate")
    );
    let mut recorder = clock.recorder(folder, &config);
    recorder.runs("gate");
    let port = recorder.port();
    let cookie = log_in(port, "open sesame");
    let cookie = cookie
        .header("set-cookie")
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let lines = format!("Cookie: {cookie}\r\n");
    for (event, ahead) in [("one", HOUR), ("two", -HOUR), ("three", 0)] {
        clock.set(ahead);
        assert_eq!(
            ask(port, "GET", "/api/state", &lines).status,
            200,
            "{event}"
        );
        broker.publish(
            "kendryte/home/gate/trigger",
            &format!("{{\"event\": \"{event}\"}}"),
        );
        listener.says(&["\"finished\"", &format!("\"{event}\"")]);
    }
    let said = listener.said();
    let sequences: Vec<_> = said
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line.split_once(' ')?.1).ok())
        .map(|event| number(&event, "sequence"))
        .collect();
    assert!(sequences.len() >= 3, "{said}");
    assert!(
        sequences.windows(2).all(|two| two[0] < two[1]),
        "{sequences:?}"
    );
}
