// SPDX-License-Identifier: MIT OR Apache-2.0
//! Configuration, cameras that come, go and fail, and what is left when the program ends.

use std::process::Command;

use crate::support::{FAILSAFE, HEAD, Program, Recorder, ask, ball, streams, until, whole_clip};

const ALL_THE_TIME: &str = "[camera.continuous]\n";

fn check(text: &str) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.toml"), text).unwrap();
    let mut command = Recorder::command(folder.path(), &["--check-config", "a.toml"]);
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn a_configuration_is_checked_before_it_is_followed() {
    let good = format!("directory = 'clips'\n{}", ball("gate"));
    let (well, said) = check(&good);
    assert!(well && said.contains("1 cameras, nothing wrong"), "{said}");
    for (text, words) in [
        ("directory = 'clips'\nlisten = 1\n", ["line 2", "listen"]),
        (&good.replace("before", "befroe"), ["line 4", "befroe"]),
        (
            &good.replace("videotestsrc", "videotestsource"),
            ["gate", "videotestsource"],
        ),
        (
            &good.replace("pattern=ball", "patern=ball"),
            ["gate", "patern"],
        ),
    ] {
        let (well, said) = check(text);
        assert!(
            !well && words.iter().all(|word| said.contains(word)),
            "{said}"
        );
    }
}

#[test]
fn the_command_line_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        Recorder::command(folder.path(), arguments)
            .output()
            .unwrap()
    };
    assert_eq!(run(&[]).status.code(), Some(2));
    assert_eq!(run(&["--demo", "a.toml"]).status.code(), Some(2));
    let help = run(&["--help"]);
    assert!(help.status.success());
    assert!(
        String::from_utf8(help.stdout)
            .unwrap()
            .contains("--check-config")
    );
}

#[test]
fn what_is_recorded_all_the_time_is_whole_after_sigterm() {
    let config = format!(
        "{}sound = 'audiotestsrc is-live=true'\n{ALL_THE_TIME}part = 1\n",
        ball("gate")
    );
    let mut recorder = Recorder::start(&config);
    until("three parts are begun", || {
        (recorder.files("gate", ".mp4").len() >= 3).then_some(())
    });
    recorder.program.terminate();
    let files = recorder.files("gate", ".mp4");
    for file in &files {
        let streams = streams(file);
        let codecs: Vec<_> = streams.iter().map(|(codec, _)| codec.as_str()).collect();
        assert_eq!(codecs, ["h264", "aac"], "{}", file.display());
        assert!(streams.iter().all(|(_, frames)| *frames > 0), "{streams:?}");
        // What is known of it is beside it.
        let facts = std::fs::read_to_string(format!("{}.json", file.display())).unwrap();
        assert!(facts.contains("\"camera\":\"gate\""), "{facts}");
    }
}

#[test]
fn sound_that_is_not_recorded_as_it_comes_is_told_of() {
    let with = |name: &str, caps: &str| {
        let sound = format!("sound = 'audiotestsrc is-live=true ! audio/x-raw,{caps}'\n");
        ball(name) + &sound
    };
    let fine = with("fine", "rate=44100,channels=2");
    let fast = with("fast", "rate=96000,channels=1");
    let mut recorder = Recorder::start(&(fine + &fast));
    recorder.runs("fine");
    recorder.runs("fast");
    let words = ["WARN", "camera=\"fast\"", "rate=96000 comes", "rate=48000"];
    recorder.program.says(&words);
    assert!(!recorder.program.said().contains("rate=44100 comes"));
}

#[test]
fn a_reload_leaves_cameras_that_stay_alone() {
    let all_the_time = |name: &str| ball(name) + ALL_THE_TIME;
    let mut recorder = Recorder::start(&(all_the_time("stays") + &all_the_time("goes")));
    recorder.runs("stays");
    recorder.runs("goes");
    recorder.reload(&(all_the_time("stays") + &all_the_time("new")));
    recorder.runs("new");
    recorder.program.says(&["stopped", "camera=\"goes\""]);
    // A file that cannot be followed changes nothing.
    recorder.reload("[[camera]]\nnam = 'x'\n");
    recorder.program.says(&["ERROR", "stays as it was"]);
    recorder.program.says(&["unknown field `nam`"]);
    recorder.program.terminate();
    let said = recorder.program.said();
    let stopped = said.find("stopped camera=\"stays\"").unwrap();
    assert!(stopped > said.find("ending").unwrap(), "{said}");
    for camera in ["stays", "goes", "new"] {
        // One file each: nothing was begun anew.
        let files = recorder.files(camera, ".mp4");
        assert_eq!(files.len(), 1, "{camera}");
        assert!(streams(&files[0])[0].1 > 0, "{camera}");
    }
}

#[test]
fn a_camera_that_fails_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let film = folder.path().join("film.mkv");
    let config = format!(
        "[[camera]]\nname = 'film'\nbefore = 2\n\
         source = 'filesrc location={} ! matroskademux ! identity sync=true'\n{}",
        film.display(),
        ball("gate")
    );
    let mut recorder = Recorder::start_in(folder, &config);
    recorder
        .program
        .says(&["WARN", "camera=\"film\"", "filesrc"]);
    recorder
        .program
        .says(&["changed", "camera=\"film\"", "state=\"failed\""]);
    let made = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "testsrc=size=160x120:rate=10:duration=3",
        ])
        .args(["-c:v", "mjpeg"])
        .arg(&film)
        .status()
        .expect("ffmpeg is installed");
    assert!(made.success());
    recorder.runs("film");
    // A film ends, which a camera does not: it is tried again as well.
    recorder
        .program
        .says(&["WARN", "camera=\"film\"", "its stream ended"]);
    recorder.program.terminate();
    let said = recorder.program.said();
    let others = |line: &&str| line.contains("WARN") && line.contains("gate");
    assert_eq!(said.lines().find(others), None);
}

#[test]
fn a_camera_that_stands_still_is_tried_again() {
    let config = "[[camera]]\nname = 'still'\nstall = 1\n\
                  source = 'videotestsrc is-live=true ! valve drop=true'\n";
    let mut recorder = Recorder::start(config);
    recorder
        .program
        .says(&["WARN", "camera=\"still\"", "no frame came for 1 s"]);
    recorder.program.terminate();
}

#[test]
fn what_is_recorded_all_the_time_makes_room_for_itself() {
    let config = format!(
        "{}{ALL_THE_TIME}part = 1\nname = '%Y-%m-%d_%H-%M-%S'\nlimits.files = 3\n",
        ball("gate")
    );
    let mut recorder = Recorder::start(&config);
    recorder.runs("gate");
    let kept = recorder.clip("gate", "");
    let kept = kept["name"].as_str().unwrap().to_owned();
    recorder.program.says(&["deleted for room"]);
    // What an earlier run left is counted as well, and in nobody's way.
    recorder.program.terminate();
    let before = recorder.files("gate", ".mp4");
    let mut recorder = Recorder::start_in(recorder.folder, &config);
    recorder.runs("gate");
    until("all of the earlier run made room", || {
        let files = recorder.files("gate", ".mp4");
        let old = before.iter().filter(|file| files.contains(file));
        (old.count() == 1).then_some(())
    });
    recorder.program.terminate();
    let files = recorder.files("gate", ".mp4");
    // The limit is for these files, not for clips.
    assert!(
        files.iter().any(|file| file.ends_with(&kept)) && files.len() <= 4,
        "{files:?}"
    );
    assert_eq!(recorder.files("gate", ".json").len(), files.len());
}

#[test]
fn what_moves_is_an_event_for_as_long_as_it_moves() {
    let motion = "[camera.motion]\n";
    let config = format!("{}{motion}{}{motion}", ball("still"), ball("gate"));
    let config = config
        .replacen("pattern=ball", "pattern=blue", 1)
        .replace("after = 0", "after = 5");
    let mut recorder = Recorder::start(&config);
    let port = recorder.port();
    let state = || ask(port, "GET", "/api/state", "").json()["cameras"][1].take();
    let recording = || {
        let state = state();
        let name = state["recording"][0].as_str()?.to_owned();
        Some((name, state["frames"].as_u64()?))
    };
    let (name, begun) = until("it moves", recording);
    // Seven seconds later it is the same clip, although five are all that follow a trigger.
    until("it moves on", || {
        (state()["frames"].as_u64()? >= begun + 105).then_some(())
    });
    assert_eq!(recording().map(|(name, _)| name), Some(name.clone()));
    let finish = ask(port, "POST", "/api/cameras/gate/finish", "");
    assert_eq!(finish.status, 200);
    let clip = whole_clip(port, &name.as_str().into());
    assert!(clip["event"].as_str().unwrap().starts_with("motion-"));
    assert!(clip["length"].as_u64().unwrap() >= 7000, "{clip}");
    // It goes on moving.
    until("another one begins", || {
        (recording()?.0 != name).then_some(())
    });
    assert_eq!(
        recorder.files("still", ".mp4"),
        Vec::<std::path::PathBuf>::new()
    );
}

#[test]
fn systemd_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("notify");
    let heard = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    heard.set_read_timeout(Some(FAILSAFE)).unwrap();
    std::fs::write(
        folder.path().join("a.toml"),
        format!("{HEAD}{}", ball("gate")),
    )
    .unwrap();
    let mut command = Recorder::command(folder.path(), &["a.toml"]);
    command
        .env("NOTIFY_SOCKET", &socket)
        .env("WATCHDOG_USEC", "300000");
    let mut program = Program::start(&mut command);
    let hears = |word: &str| {
        let mut block = [0; 256];
        until(word, || {
            let count = heard.recv(&mut block).expect("it says something");
            let text = String::from_utf8_lossy(&block[..count]);
            text.lines()
                .any(|line| line.starts_with(word))
                .then_some(())
        });
    };
    hears("READY=1");
    hears("WATCHDOG=1");
    hears("WATCHDOG=1");
    program.signal(rustix::process::Signal::HUP);
    hears("RELOADING=1");
    hears("READY=1");
    program.signal(rustix::process::Signal::TERM);
    hears("STOPPING=1");
    assert!(program.ends().success());
}

#[test]
fn the_oldest_clips_make_room() {
    let config = ball("gate") + "[camera.limits]\nfiles = 2\n";
    let mut recorder = Recorder::start(&config);
    recorder.runs("gate");
    let clips: Vec<_> = (0..4).map(|_| recorder.clip("gate", "")).collect();
    let port = recorder.port();
    let kept = until("two are left", || {
        let list = ask(port, "GET", "/api/clips", "").json();
        (list.as_array()?.len() == 2).then_some(list)
    });
    assert_eq!(kept, serde_json::json!([clips[3], clips[2]]));
    // With what is beside them.
    for end in [".mp4", ".json", ".jpg"] {
        assert_eq!(recorder.files("gate", end).len(), 2, "{end}");
    }
}
