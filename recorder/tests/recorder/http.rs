// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is answered over HTTP, to whom, and what no client can do.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use crate::support::{Answer, HEAD, Program, Recorder, ask, ball, send, streams, until};

#[test]
fn a_trigger_saves_what_came_before_it() {
    let mut recorder = Recorder::start(&ball("gate"));
    let port = recorder.port();
    until("two seconds are kept", || {
        let state = ask(port, "GET", "/api/state", "").json();
        (state["cameras"][0]["kept"].as_f64()? >= 2.0).then_some(())
    });
    let clip = recorder.clip("gate", "?event=door-7");
    assert_eq!(clip["event"], "door-7");
    assert!(clip["length"].as_u64().unwrap() >= 2000, "{clip}");
    let path = recorder.files("gate", ".mp4").pop().unwrap();
    assert_eq!(
        streams(&path),
        [("h264".to_owned(), clip["frames"].as_u64().unwrap())]
    );
    // The picture of that moment is beside it.
    let name = clip["name"].as_str().unwrap().to_owned();
    let picture = ask(port, "GET", &format!("/clips/gate/{name}/picture.jpg"), "");
    assert_eq!(picture.header("content-type"), Some("image/jpeg"));
    assert!(
        picture.body.starts_with(&[0xff, 0xd8]),
        "{}",
        picture.status
    );
    // The same event is the same clip, now and after a restart.
    let again = ask(port, "POST", "/api/cameras/gate/trigger?event=door-7", "");
    assert_eq!(again.json()["name"], *name);
    recorder.program.terminate();
    let mut recorder = Recorder::start_in(recorder.folder, &ball("gate"));
    let port = recorder.port();
    let again = ask(port, "POST", "/api/cameras/gate/trigger?event=door-7", "");
    assert_eq!(again.json()["name"], *name);
    let found = ask(port, "GET", "/api/clips?camera=gate&event=door-7", "").json();
    assert_eq!(found, json!([clip]));
    assert_eq!(
        ask(port, "GET", "/api/clips?event=door-8", "").json(),
        json!([])
    );
    // It goes with all that belongs to it.
    let delete = || ask(port, "DELETE", &format!("/api/clips/gate/{name}"), "").status;
    assert_eq!((delete(), delete()), (200, 404));
    assert_eq!(ask(port, "GET", "/api/clips", "").json(), json!([]));
    assert_eq!(recorder.files("gate", ""), Vec::<std::path::PathBuf>::new());
}

#[test]
fn what_cannot_be_followed_is_said() {
    let mut recorder = Recorder::start(&ball("gate"));
    recorder.runs("gate");
    let port = recorder.port();
    let post = |path: &str| ask(port, "POST", path, "");
    let said = |answer: &Answer| answer.json()["error"].to_string();
    let answer = post("/api/cameras/door/trigger");
    assert!(
        answer.status == 404 && said(&answer).contains("door"),
        "{answer:?}"
    );
    // Whoever refuses it says why, as JSON.
    for (query, why) in [
        ("event=../x", "id"),
        ("event=", "id"),
        ("after=soon", "after"),
        ("befor=3", "befor"),
        ("pin=maybe", "pin"),
    ] {
        let answer = post(&format!("/api/cameras/gate/trigger?{query}"));
        assert!(
            answer.status == 400 && said(&answer).contains(why),
            "{query}: {answer:?}"
        );
    }
    let answer = ask(port, "GET", "/api/cameras/gate/trigger", "");
    assert!(
        answer.status == 405 && said(&answer).contains("method"),
        "{answer:?}"
    );
    assert_eq!(answer.header("allow"), Some("POST"));
    let answer = ask(port, "GET", "/clips/gate/%ff", "");
    assert!(
        answer.status == 400 && said(&answer).contains("name"),
        "{answer:?}"
    );
    assert_eq!(ask(port, "GET", "/api/nothing", "").status, 404);
    // An event that goes on for an hour ends when it is told to.
    assert_eq!(
        post("/api/cameras/gate/trigger?event=long&after=3600").status,
        200
    );
    until("it is being recorded", || {
        let state = ask(port, "GET", "/api/state", "").json();
        (state["cameras"][0]["recording"].as_array()?.len() == 1).then_some(())
    });
    assert_eq!(post("/api/cameras/gate/finish").status, 200);
    until("it is whole", || {
        let clips = ask(port, "GET", "/api/clips?event=long", "").json();
        (clips.as_array()?.len() == 1).then_some(())
    });
}

/// A clip of ten digits, links, and what is none of the clips'.
fn with_files() -> (Recorder, u16) {
    let folder = tempfile::tempdir().unwrap();
    let gate = folder.path().join("clips/gate");
    std::fs::create_dir_all(&gate).unwrap();
    std::fs::write(folder.path().join("secret.mp4"), "secret").unwrap();
    std::fs::write(gate.join("ten.mp4"), "0123456789").unwrap();
    std::fs::write(gate.join("notes.txt"), "secret").unwrap();
    std::os::unix::fs::symlink("../../secret.mp4", gate.join("link.mp4")).unwrap();
    std::os::unix::fs::symlink("gate", folder.path().join("clips/other")).unwrap();
    let mut recorder = Recorder::start_in(folder, "");
    let port = recorder.port();
    (recorder, port)
}

#[test]
fn clips_are_given_in_the_parts_that_are_asked_for() {
    let (_recorder, port) = with_files();
    let part = |range: &str| {
        let answer = ask(
            port,
            "GET",
            "/clips/gate/ten.mp4",
            &format!("Range: {range}\r\n"),
        );
        (answer.status, String::from_utf8(answer.body).unwrap())
    };
    let partial = |text: &str| (206, text.to_owned());
    let whole = (200, "0123456789".to_owned());
    assert_eq!(part("bytes=2-4"), partial("234"));
    assert_eq!(part("bytes=7-"), partial("789"));
    assert_eq!(part("bytes=-2"), partial("89"));
    assert_eq!(part("bytes=5-99"), partial("56789"));
    // RFC 9110, section 14: units that are not known and several parts may be ignored.
    assert_eq!(part("pictures=1-2"), whole);
    assert_eq!(part("bytes=0-1,4-5"), whole);
    for outside in ["bytes=10-", "bytes=99-100"] {
        let answer = ask(
            port,
            "GET",
            "/clips/gate/ten.mp4",
            &format!("Range: {outside}\r\n"),
        );
        assert_eq!(answer.status, 416, "{outside}");
        assert_eq!(
            answer.header("content-range"),
            Some("bytes */10"),
            "{outside}"
        );
    }
    for wrong in ["bytes=4-2", "bytes=x-", "bytes=", "bytes=--1"] {
        let (status, text) = part(wrong);
        assert!(
            status == 416 || (status, text) == whole,
            "{wrong}: {status}"
        );
    }
    let head = ask(port, "HEAD", "/clips/gate/ten.mp4", "");
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some("10"))
    );
    assert_eq!(head.header("content-type"), Some("video/mp4"));
    assert_eq!(head.header("accept-ranges"), Some("bytes"));
    assert!(head.body.is_empty());
    let stored = ask(port, "GET", "/clips/gate/ten.mp4?download", "");
    let as_file = stored.header("content-disposition").unwrap();
    assert_eq!(as_file, "attachment; filename=\"gate_ten.mp4\"");
}

#[test]
fn nothing_but_clips_is_given() {
    let (_recorder, port) = with_files();
    for path in [
        "/clips/gate/link.mp4",
        "/clips/other/ten.mp4",
        "/clips/gate/notes.txt",
        "/clips/gate/..%2f..%2fsecret.mp4",
        "/clips/gate/../../secret.mp4",
        "/clips/..%2fsecret.mp4/x",
        "/clips/%2e%2e/secret.mp4",
        "/clips/gate/%2e%2e%2f%2e%2e%2fsecret.mp4",
        "/clips/gate/none.mp4",
        "/clips/.index.sqlite",
        "/x",
    ] {
        let answer = ask(port, "GET", path, "");
        assert_eq!(answer.status, 404, "{path}");
        assert!(
            !answer.body.windows(6).any(|six| six == b"secret"),
            "{path}"
        );
    }
    assert_eq!(
        ask(port, "DELETE", "/api/clips/gate/link.mp4", "").status,
        404
    );
    let listed = ask(port, "GET", "/api/clips", "").json();
    let names: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["name"])
        .collect();
    assert_eq!(names, ["ten.mp4"]);
}

#[test]
fn pages_elsewhere_can_neither_press_buttons_nor_read() {
    let (_recorder, port) = with_files();
    let post = |lines: &str| ask(port, "POST", "/api/cameras/none/finish", lines).status;
    // Another site, and another server on this computer.
    for origin in [
        "http://example.org",
        "http://127.0.0.1:9",
        "http://127.0.0.1",
        "null",
    ] {
        assert_eq!(post(&format!("Origin: {origin}\r\n")), 403, "{origin}");
    }
    assert_eq!(post("Sec-Fetch-Site: cross-site\r\n"), 403);
    assert_eq!(post("Sec-Fetch-Site: same-site\r\n"), 403);
    // The page itself, and programs that are no browsers; there is no such camera.
    assert_eq!(post(&format!("Origin: http://127.0.0.1:{port}\r\n")), 404);
    assert_eq!(post(""), 404);
    let delete = ask(
        port,
        "DELETE",
        "/api/clips/gate/ten.mp4",
        "Origin: http://example.org\r\n",
    );
    assert_eq!(delete.status, 403);
    // A name that was made to point here; `Host` is there a second time.
    let named = |hosts: &str| {
        let head = format!("GET /clips/gate/ten.mp4 HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n");
        send(port, &head, "").status
    };
    assert_eq!(named("Host: example.org\r\n"), 421);
    assert_eq!(named("Host: localhost\r\nHost: example.org\r\n"), 421);
    assert_eq!(named(""), 421);
    assert_eq!(named("Host: localhost\r\n"), 200);
    let page = ask(port, "GET", "/", "");
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(
        page.header("cross-origin-resource-policy"),
        Some("same-origin")
    );
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    assert!(!policy.contains("unsafe"), "{policy}");
}

/// What Linux says of the program, as `Threads` or `VmRSS`.
fn status(program: &Program, key: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
    let line = text.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn six_hundred_clients_are_no_threads() {
    let (recorder, port) = with_files();
    let before = status(&recorder.program, "Threads");
    let clients: Vec<_> = (0..600)
        .map(|_| {
            let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
            // Half a head each, and never the rest.
            client.write_all(b"GET / HTTP/1.1\r\nHost: loc").unwrap();
            client
        })
        .collect();
    // More than there are places for; whoever comes next is answered all the same.
    assert_eq!(ask(port, "GET", "/", "").status, 200);
    let threads = status(&recorder.program, "Threads");
    assert!(threads <= before + 40, "{before} threads became {threads}");
    drop(clients);
}

#[test]
fn an_endless_head_ends() {
    let (recorder, port) = with_files();
    let before = status(&recorder.program, "VmRSS");
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
        .unwrap();
    let block = [b'x'; 1 << 16];
    let mut sent = 0;
    while sent < 256 << 20 && client.write_all(&block).is_ok() {
        sent += block.len();
    }
    assert!(sent < 16 << 20, "{sent} bytes were taken");
    let after = status(&recorder.program, "VmRSS");
    assert!(after < before + 16 * 1024, "{before} kB became {after} kB");
    let long = format!(
        "POST /api/cameras/x/finish HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
        u64::MAX / 2
    );
    assert!(
        [404, 413].contains(
            &send(
                port,
                &long.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"),
                ""
            )
            .status
        )
    );
}

/// A camera of JPEGs, whose pictures are all the same, is recorded and shown as it is, in a format that has a
/// place for them though none was asked for.
#[test]
fn a_cameras_own_jpegs_are_its_clip_and_its_live_picture() {
    let mut recorder = Recorder::start(
        "[[camera]]\nname = 'gate'\nbefore = 1\nafter = 0\nencode = 'none'\n\
         source = 'videotestsrc is-live=true pattern=colors ! video/x-raw,width=160,height=120,framerate=15/1 ! \
         jpegenc quality=33'\n",
    );
    let port = recorder.port();
    let live = until("there is a picture", || {
        let answer = ask(port, "GET", "/live/gate/picture.jpg", "");
        (answer.status == 200).then_some(answer.body)
    });
    let clip = recorder.clip("gate", "");
    let path = recorder.files("gate", ".mkv").pop().unwrap();
    assert_eq!(
        streams(&path),
        [("mjpeg".to_owned(), clip["frames"].as_u64().unwrap())]
    );
    let first = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(&path)
        .args(["-frames:v", "1", "-c", "copy", "-f", "image2pipe", "-"])
        .output()
        .unwrap();
    assert!(first.stdout.starts_with(&[0xff, 0xd8]), "{first:?}");
    assert!(first.stdout == live, "the live picture is another one");
    recorder.program.terminate();
}

#[test]
fn the_live_picture_is_there_once_and_without_end() {
    let mut recorder = Recorder::start(&ball("gate"));
    let port = recorder.port();
    let picture = until("there is a picture", || {
        let answer = ask(port, "GET", "/live/gate/picture.jpg", "");
        (answer.status == 200).then_some(answer)
    });
    assert!(picture.body.starts_with(&[0xff, 0xd8]) && picture.body.ends_with(&[0xff, 0xd9]));
    assert_eq!(ask(port, "GET", "/live/none/picture.jpg", "").status, 404);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .set_read_timeout(Some(crate::support::FAILSAFE))
        .unwrap();
    write!(
        stream,
        "GET /live/gate/stream.mjpeg HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )
    .unwrap();
    let mut seen = Vec::new();
    let mut block = [0; 4096];
    until("three pictures came", || {
        let count = stream.read(&mut block).expect("it goes on");
        seen.extend_from_slice(&block[..count]);
        let starts = seen.windows(9).filter(|nine| nine == b"--picture");
        (starts.count() >= 3).then_some(())
    });
    // Somebody watches, and it ends all the same.
    recorder.program.terminate();
}

#[test]
fn health_and_metrics_say_how_it_is() {
    let config = ball("gate") + "[[camera]]\nname = 'gone'\nsource = 'filesrc location=/none/x'\n";
    let mut recorder = Recorder::start(&config);
    let port = recorder.port();
    recorder.runs("gate");
    recorder
        .program
        .says(&["changed", "camera=\"gone\"", "state=\"failed\""]);
    let clip = recorder.clip("gate", "");
    assert!(clip["frames"].as_u64().unwrap() > 0, "{clip}");
    let health = ask(port, "GET", "/healthz", "");
    let text = String::from_utf8(health.body).unwrap();
    assert!(
        health.status == 503 && text.contains("gone") && !text.contains("gate"),
        "{text}"
    );
    // As Prometheus asks.
    let accept =
        "Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5\r\n";
    let metrics = ask(port, "GET", "/metrics", accept);
    let kind = metrics.header("content-type").unwrap();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    let text = String::from_utf8(metrics.body).unwrap();
    for line in [
        "kendryte_camera_up{camera=\"gate\"} 1.0",
        "kendryte_camera_up{camera=\"gone\"} 0.0",
        "kendryte_recordings_total{camera=\"gate\"} 1",
        "kendryte_recordings_failed_total{camera=\"gate\"} 0",
        "# EOF",
    ] {
        assert!(
            text.lines().any(|it| it == line),
            "{line} is missing in\n{text}"
        );
    }
    assert!(text.contains("kendryte_disk_free_bytes "), "{text}");
    recorder.reload(&ball("gate"));
    until("all is well", || {
        (ask(port, "GET", "/healthz", "").status == 200).then_some(())
    });
}

/// `promtool check metrics` is the judge of names, types, units and descriptions.
#[test]
fn promtool_finds_nothing_wrong_with_the_metrics() {
    let board = "[[camera]]\nname = 'board'\nsource = 'k210:sim:'\nbefore = 2\nencode = 'none'\n\
                 container = 'avi'\n[camera.continuous]\n";
    let store = "[store]\nendpoint = 'http://127.0.0.1:1'\nbucket = 'b'\naccess-key = 'a'\n\
                 secret-key = 's'\n[index]\nurl = 'postgres://nobody@127.0.0.1:1/none'\n";
    let config = format!("{store}{board}{}", ball("gate"));
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = Recorder::start_with(folder, "site = 'home'\n", &config);
    recorder.runs("gate");
    recorder.runs("board");
    recorder.clip("gate", "");
    let port = recorder.port();
    let metrics = ask(port, "GET", "/metrics", "");
    let kind = metrics.header("content-type").unwrap();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    let text = String::from_utf8(metrics.body).unwrap();
    for name in [
        "kendryte_ring_kept_seconds{camera=\"gate\"}",
        "kendryte_camera_frame_age_seconds{camera=\"gate\"}",
        "kendryte_camera_fps{camera=\"gate\"}",
        "kendryte_camera_frames_lost_total{camera=\"gate\",reason=\"before-key-unit\"}",
        "kendryte_camera_frames_lost_total{camera=\"board\",reason=\"link\"}",
        "kendryte_camera_frames_lost_total{camera=\"board\",reason=\"continuous\"}",
        "kendryte_recordings_total{camera=\"gate\"} 1",
        "kendryte_recordings_failed_total{camera=\"gate\"} 0",
        "kendryte_upload_backlog_clips 1",
        "kendryte_upload_failures_total",
        "kendryte_shared_index_up 0.0",
        "kendryte_disk_free_bytes",
        "kendryte_board_link_utilisation",
        "kendryte_board_received_bytes_total{camera=\"board\"}",
    ] {
        assert!(
            text.lines().any(|line| line.starts_with(name)),
            "{name} is missing in\n{text}"
        );
    }
    let file = recorder.path("metrics");
    std::fs::write(&file, &text).unwrap();
    let output = std::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(std::fs::File::open(&file).unwrap())
        .output()
        .expect("prometheus is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}\n{text}");
}

#[test]
fn a_port_that_is_taken_is_said() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.toml"), HEAD).unwrap();
    let arguments = ["--listen", &address.to_string(), "a.toml"];
    let output = Recorder::command(folder.path(), &arguments)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && said.contains(&address.to_string()),
        "{said}"
    );
}

/// Whether a clip is pinned, as the list of clips says.
fn is_pinned(port: u16, name: &str) -> Option<bool> {
    let list = ask(port, "GET", "/api/clips", "").json();
    let found = list.as_array()?.iter().find(|clip| clip["name"] == name)?;
    found["pinned"].as_bool()
}

#[test]
fn what_is_pinned_stays_until_it_is_unpinned() {
    let config = ball("gate") + "[camera.limits]\nfiles = 1\n";
    let mut recorder = Recorder::start(&config);
    recorder.runs("gate");
    let port = recorder.port();
    let first = recorder.clip("gate", "?event=one");
    let first = first["name"].as_str().unwrap().to_owned();
    let order = |port, name: &str, what: &str| {
        ask(port, "POST", &format!("/api/clips/gate/{name}/{what}"), "").status
    };
    assert_eq!(order(port, &first, "pin"), 200);
    assert_eq!(is_pinned(port, &first), Some(true));
    // Pinned from its first byte on.
    let second = recorder.clip("gate", "?event=two&pin=true");
    let second = second["name"].as_str().unwrap().to_owned();
    assert_eq!(is_pinned(port, &second), Some(true));
    // The limit of one file is for those that are not pinned.
    let third = recorder.clip("gate", "");
    recorder.clip("gate", "");
    until("the third made room for the fourth", || {
        (is_pinned(port, third["name"].as_str()?).is_none()).then_some(())
    });
    // It outlasts the program, and no button deletes it by mistake.
    recorder.program.terminate();
    let mut recorder = Recorder::start_in(recorder.folder, &config);
    let port = recorder.port();
    assert_eq!(is_pinned(port, &first), Some(true));
    let delete = || ask(port, "DELETE", &format!("/api/clips/gate/{first}"), "").status;
    assert_eq!(delete(), 409);
    assert_eq!(order(port, &first, "unpin"), 200);
    assert_eq!(is_pinned(port, &first), Some(false));
    assert_eq!(delete(), 200);
    for wrong in ["20200101T000000-000000.mp4", "..", "two"] {
        assert_eq!(order(port, wrong, "pin"), 404, "{wrong}");
    }
    // What somebody marked by hand is pinned as well.
    let path = recorder.path("clips/gate").join(&second);
    assert_eq!(order(port, &second, "unpin"), 200);
    std::fs::write(format!("{}.pinned", path.display()), "").unwrap();
    assert_eq!(is_pinned(port, &second), Some(true));
}
