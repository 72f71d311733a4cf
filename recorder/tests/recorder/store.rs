// SPDX-License-Identifier: MIT OR Apache-2.0
//! Clips that go to a store, which is OpenStack Swift's S3 API here.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::servers::{Broker, Swift, of_event};
use crate::support::{Recorder, ask, ball, streams, until};

/// A camera whose clips are some MiB large: noise.
fn noise(name: &str) -> String {
    format!(
        "[[camera]]\nname = '{name}'\nbefore = 3\nafter = 0\nbitrate = 40000\n\
         source = 'videotestsrc is-live=true pattern=snow ! video/x-raw,width=640,height=480,framerate=15/1'\n"
    )
}

fn config(swift: &Swift, more: &str, camera: &str) -> String {
    // In front of the tables that HEAD has begun.
    format!("{}{camera}", swift.config(more))
}

/// A recorder whose machine is called `home`.
fn start(folder: tempfile::TempDir, config: &str) -> Recorder {
    Recorder::start_with(folder, "site = 'home'\n", config)
}

/// Waits for the clip of an event to be in the store; it is as the list has it.
fn uploaded(port: u16, event: &str) -> Value {
    until(&format!("{event} is uploaded"), || {
        let list = ask(port, "GET", "/api/clips", "").json();
        let clip = of_event(&list, event)?;
        clip["sha256"].is_string().then(|| clip.clone())
    })
}

fn trigger(port: u16, camera: &str, event: &str) {
    let path = format!("/api/cameras/{camera}/trigger?event={event}");
    let answer = ask(port, "POST", &path, "");
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn a_clip_is_in_the_store_and_then_no_more_here() {
    let swift = Swift::start();
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(folder.path());
    let mut listener = broker.listener("kendryte/home/gate/event");
    let config = format!(
        "{}{}",
        broker.config(),
        config(&swift, "delete = true", &ball("gate"))
    );
    let mut recorder = start(tempfile::tempdir().unwrap(), &config);
    recorder.runs("gate");
    let port = recorder.port();
    let clip = recorder.clip("gate", "?event=door-7");
    let name = clip["name"].as_str().unwrap().to_owned();
    recorder.clip("gate", "?event=kept&pin=true");
    let stored = uploaded(port, "door-7");
    assert_eq!(stored["frames"], clip["frames"]);
    until("the file went", || {
        let list = ask(port, "GET", "/api/clips", "").json();
        (of_event(&list, "door-7")?["here"] == false).then_some(())
    });
    let kept = uploaded(port, "kept");
    // What is pinned stays here too.
    assert_eq!(recorder.files("gate", ".mp4").len(), 1);
    assert!(recorder.files("gate", ".mp4")[0].ends_with(kept["name"].as_str().unwrap()));
    // All of it is there, under one name.
    for end in [".mp4", ".mp4.jpg", ".mp4.json"] {
        let names = swift.names(&format!("{}{}", &name[..name.len() - 4], end));
        assert_eq!(
            names,
            [format!("home/gate/{}{end}", &name[..name.len() - 4])]
        );
    }
    // It plays as before, whole and in parts.
    let path = format!("/clips/gate/{name}");
    let whole = ask(port, "GET", &path, "");
    assert_eq!(whole.status, 200);
    let file = folder.path().join("whole.mp4");
    std::fs::write(&file, &whole.body).unwrap();
    assert_eq!(streams(&file)[0].1, clip["frames"].as_u64().unwrap());
    let part = ask(port, "GET", &path, "Range: bytes=4-7\r\n");
    assert_eq!(
        (part.status, part.body.as_slice()),
        (206, &whole.body[4..8])
    );
    let range = format!("bytes 4-7/{}", whole.body.len());
    assert_eq!(part.header("content-range"), Some(range.as_str()));
    let picture = ask(port, "GET", &format!("{path}/picture.jpg"), "");
    assert!(picture.body.starts_with(&[0xff, 0xd8]));
    // It was told once.
    listener.says(&["\"uploaded\"", "kept"]);
    let said = listener.said();
    let told = said.lines().filter(|line| line.contains("\"uploaded\""));
    assert_eq!(told.filter(|line| line.contains("door-7")).count(), 1);
    // Deleted here, it is deleted there.
    assert_eq!(ask(port, "DELETE", &format!("/api{path}"), "").status, 200);
    assert_eq!(ask(port, "GET", &path, "").status, 404);
    until("it is gone from the store", || {
        swift
            .names("")
            .iter()
            .all(|it| !it.contains(&name))
            .then_some(())
    });
}

#[test]
fn neither_a_kill_nor_a_store_that_is_gone_loses_or_doubles_a_clip() {
    let mut swift = Swift::start();
    // Some two seconds for a clip, so that both are in the middle of one.
    let config = config(&swift, "part = 5\nlimit = 4096", &noise("gate"));
    let mut recorder = start(tempfile::tempdir().unwrap(), &config);
    recorder.runs("gate");
    let mut port = recorder.port();
    until("enough is kept", || {
        let state = ask(port, "GET", "/api/state", "").json();
        (state["cameras"][0]["bytes"].as_u64()? > 7 << 20).then_some(())
    });
    let events = ["one", "two", "three"];
    for event in events {
        trigger(port, "gate", event);
    }
    let whole = until("all are whole", || {
        let list = ask(port, "GET", "/api/clips", "").json();
        (list.as_array()?.len() == 3).then_some(list)
    });
    let bytes = |clip: &Value| clip["bytes"].as_u64().unwrap();
    assert!(
        whole
            .as_array()
            .unwrap()
            .iter()
            .all(|it| bytes(it) > 6 << 20),
        "they go in parts: {whole}"
    );
    for round in 0..3 {
        // A part of a clip is there, or all of one: wherever it is when it is killed.
        let before = swift.list("clips%2Bsegments").len() + swift.names("").len();
        until("something arrives", || {
            let now = swift.list("clips%2Bsegments").len() + swift.names("").len();
            let done = swift.names(".mp4.json").len() == 3;
            (now > before || done).then_some(())
        });
        if round == 1 {
            swift.kill();
            swift.run();
        }
        recorder = start(recorder.kill(), &config);
        port = recorder.port();
    }
    for event in events {
        let clip = uploaded(port, event);
        let same = of_event(&whole, event).unwrap();
        assert_eq!(
            (&clip["name"], &clip["bytes"]),
            (&same["name"], &same["bytes"])
        );
    }
    let objects = swift.list("clips");
    let clips: Vec<_> = objects
        .iter()
        .filter(|(name, _)| name.ends_with(".mp4"))
        .collect();
    assert_eq!(clips.len(), 3, "{objects:?}");
    // Of each clip the parts of one upload, and no upload that nobody ends.
    until("what was begun and not ended is gone", || {
        let segments = swift.list("clips%2Bsegments");
        let uploads: HashSet<_> = segments
            .iter()
            .filter_map(|(name, _)| Some(name.rsplit_once('/')?.0.to_owned()))
            .filter(|name| !name.ends_with(".mp4"))
            .collect();
        let open = segments.iter().any(|(_, bytes)| *bytes == 0);
        (uploads.len() <= 3 && !open).then_some(())
    });
    for (event, file) in events.iter().zip(recorder.files("gate", ".mp4")) {
        let state = ask(port, "GET", "/api/state", "").json();
        assert_eq!(state["store"]["backlog"]["clips"], 0, "{event}");
        assert!(streams(&file)[0].1 > 0);
    }
}

#[test]
fn a_store_that_is_gone_is_waited_for() {
    let mut swift = Swift::start();
    swift.kill();
    let mut recorder = start(
        tempfile::tempdir().unwrap(),
        &config(&swift, "", &ball("gate")),
    );
    recorder.runs("gate");
    let port = recorder.port();
    trigger(port, "gate", "a");
    let state = until("the backlog is told", || {
        let state = ask(port, "GET", "/api/state", "").json();
        let known = state["store"]["error"].is_string() && state["store"]["backlog"]["clips"] == 1;
        known.then_some(state)
    });
    assert!(state["store"]["backlog"]["bytes"].as_u64().unwrap() > 0);
    let metrics = String::from_utf8(ask(port, "GET", "/metrics", "").body).unwrap();
    assert!(
        metrics.contains("\nkendryte_upload_backlog_clips 1"),
        "{metrics}"
    );
    swift.run();
    uploaded(port, "a");
    let state = ask(port, "GET", "/api/state", "").json();
    assert_eq!(
        state["store"],
        json!({"backlog": {"clips": 0, "bytes": 0}, "error": null})
    );
}

#[test]
fn an_index_is_made_anew_from_files_and_store() {
    let swift = Swift::start();
    let config = config(&swift, "delete = true", &ball("gate"));
    let mut recorder = start(tempfile::tempdir().unwrap(), &config);
    recorder.runs("gate");
    let port = recorder.port();
    trigger(port, "gate", "gone");
    until("the file went", || {
        let list = ask(port, "GET", "/api/clips", "").json();
        (of_event(&list, "gone")?["here"] == false).then_some(())
    });
    recorder.clip("gate", "?event=kept&pin=true");
    uploaded(port, "kept");
    let before = ask(port, "GET", "/api/clips", "").json();
    recorder.program.terminate();
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(recorder.path(&format!("clips/.index.sqlite{end}")));
    }
    let mut recorder = start(recorder.folder, &config);
    let port = recorder.port();
    let after = until("both are there again", || {
        let list = ask(port, "GET", "/api/clips", "").json();
        (list.as_array()?.len() == 2).then_some(list)
    });
    assert_eq!(after, before);
    assert_eq!(swift.names(".mp4").len(), 2);
}

/// A recorder whose clips go in parts, with enough in its ring for that.
fn of_large_clips(folder: tempfile::TempDir, store: u16) -> (Recorder, String) {
    let config = format!("{}{}", Swift::config_by(store, "part = 5"), noise("gate"));
    let mut recorder = start(folder, &config);
    recorder.runs("gate");
    let port = recorder.port();
    until("enough is kept", || {
        let state = ask(port, "GET", "/api/state", "").json();
        (state["cameras"][0]["bytes"].as_u64()? > 7 << 20).then_some(())
    });
    (recorder, config)
}

/// The store has begun it and said so, and the recorder is killed before it hears that.
#[test]
fn an_upload_whose_id_was_never_heard_is_ended() {
    let others = [
        "home-2/gate/20260101T000000-000000.mp4",
        "home/gate/20260101T000000-000000.txt",
    ];
    // With its clip, which is uploaded anew, and without.
    for goes in [false, true] {
        let swift = Swift::start();
        for key in others {
            swift.begin_upload(key, "somebodys");
        }
        let gateway = Gateway::to(swift.port);
        let (mut recorder, _) = of_large_clips(tempfile::tempdir().unwrap(), gateway.port);
        let port = recorder.port();
        gateway.keep_answer("POST", "?uploads");
        trigger(port, "gate", "door-7");
        gateway.has_kept();
        let begun = swift.unfinished();
        assert_eq!(begun.len(), others.len() + 1, "{begun:?}");
        let file = recorder.files("gate", ".mp4").remove(0);
        let folder = recorder.kill();
        if goes {
            std::fs::remove_file(file).unwrap();
        }
        let config = format!("{}{}", swift.config("part = 5"), noise("gate"));
        let mut recorder = start(folder, &config);
        let port = recorder.port();
        if !goes {
            uploaded(port, "door-7");
        }
        until("what others have begun is all that is left", || {
            let mut begun = swift.unfinished();
            begun.sort();
            (begun == others).then_some(())
        });
        recorder.program.says(&["INFO", "nobody knew of"]);
    }
}

#[test]
fn what_the_store_refuses_holds_up_nothing_else() {
    let swift = Swift::start();
    let gateway = Gateway::to(swift.port);
    gateway.refuse("DELETE", "/home/gate/", 403);
    gateway.refuse("GET", "uploads=", 501);
    let config = format!("{}{}", Swift::config_by(gateway.port, ""), ball("gate"));
    let mut recorder = start(tempfile::tempdir().unwrap(), &config);
    recorder.runs("gate");
    let port = recorder.port();
    recorder
        .program
        .says(&["WARN", "unfinished uploads", "501"]);
    trigger(port, "gate", "a");
    let name = uploaded(port, "a")["name"].as_str().unwrap().to_owned();
    let path = format!("/api/clips/gate/{name}");
    assert_eq!(ask(port, "DELETE", &path, "").status, 200);
    recorder.program.says(&["WARN", "a deletion in the store"]);
    // While it is tried again, and behind that.
    trigger(port, "gate", "b");
    uploaded(port, "b");
    let before = gateway.refused();
    until("it is tried again", || {
        (gateway.refused() > before + 1).then_some(())
    });
    trigger(port, "gate", "c");
    uploaded(port, "c");
    let state = ask(port, "GET", "/api/state", "").json();
    assert!(state["store"]["error"].is_null(), "{state}");
    assert!(swift.names(".mp4").iter().any(|it| it.contains(&name)));
    gateway.allow_all();
    until("it is gone from the store", || {
        let left = swift.names("");
        left.iter().all(|it| !it.contains(&name)).then_some(())
    });
    recorder
        .program
        .says(&["INFO", "a deletion in the store goes on"]);
    let log = recorder.program.said();
    let told = log.lines().filter(|line| line.contains("WARN"));
    assert_eq!(
        told.clone().filter(|it| it.contains("a deletion")).count(),
        1
    );
    assert_eq!(told.filter(|it| it.contains("unfinished")).count(), 1);
}

#[test]
fn two_recorders_of_one_site_are_told() {
    let swift = Swift::start();
    let config = config(&swift, "watch = 1", &ball("gate"));
    let told = ["ERROR", "another recorder has the same site", "\"home\""];
    let mut first = start(tempfile::tempdir().unwrap(), &config);
    first.runs("gate");
    until("it has left its mark", || {
        swift.names("home/.recorder").pop()
    });
    // One that starts again is the same.
    let mut first = start(first.kill(), &config);
    first.clip("gate", "?event=a");
    uploaded(first.port(), "a");
    let mut second = start(tempfile::tempdir().unwrap(), &config);
    second.program.says(&told);
    first.program.says(&told);
    for recorder in [&first, &second] {
        let log = recorder.program.said();
        assert_eq!(log.matches("another recorder").count(), 1, "{log}");
    }
}
