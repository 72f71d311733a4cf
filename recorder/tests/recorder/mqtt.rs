// SPDX-License-Identifier: MIT OR Apache-2.0
//! Events to and from mosquitto.

use std::process::Command;

use serde_json::Value;

use crate::cut::{From, Network, Packet};
use crate::servers::Broker;
use crate::support::{HEAD, Program, Recorder, ask, ball, until};

fn config(port: u16) -> String {
    format!(
        "[mqtt]\nhost = '127.0.0.1'\nport = {port}\nsite = 'home'\n{}",
        ball("gate")
    )
}

/// The events that a listener has heard, by their type, of clips only.
fn events(listener: &Program) -> Vec<Value> {
    let said = listener.said();
    let payloads = said.lines().filter_map(|line| {
        let (topic, payload) = line.split_once(' ')?;
        topic.ends_with("/event").then_some(payload)
    });
    let events = payloads.map(|payload| serde_json::from_str(payload).unwrap());
    events
        .filter(|event: &Value| event["type"] != "camera")
        .collect()
}

fn names(events: &[Value], kind: &str) -> Vec<String> {
    let of_kind = events.iter().filter(|event| event["type"] == kind);
    let event = |event: &Value| {
        event["clip"]["event"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    of_kind.map(event).collect()
}

/// Each has come once, and none before an earlier one.
fn in_order(events: &[Value]) {
    let sequences = events.iter().map(|event| event["sequence"].as_i64());
    let sequences: Vec<_> = sequences.collect();
    assert!(
        sequences.windows(2).all(|two| two[0] < two[1]),
        "{sequences:?}"
    );
}

#[test]
fn a_trigger_that_comes_twice_is_one_clip() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(folder.path());
    let mut listener = broker.listener("kendryte/#");
    let mut recorder = Recorder::start(&config(broker.port));
    listener.says(&["kendryte/home/state online"]);
    listener.says(&["kendryte/home/gate/state", "running"]);
    broker.publish("kendryte/home/gate/trigger", "door-7");
    broker.publish(
        "kendryte/home/gate/trigger",
        r#"{"event": "door-7", "after": 0}"#,
    );
    listener.says(&["kendryte/home/gate/event", "\"finished\"", "door-7"]);
    broker.publish("kendryte/home/gate/trigger", "door-8");
    broker.publish("kendryte/home/none/trigger", "door-9");
    listener.says(&["kendryte/home/gate/event", "\"finished\"", "door-8"]);
    recorder.program.terminate();
    listener.says(&["kendryte/home/state offline"]);
    let events = events(&listener);
    assert_eq!(
        names(&events, "finished"),
        ["door-7", "door-8"],
        "{events:?}"
    );
    assert_eq!(recorder.files("gate", ".mp4").len(), 2);
}

#[test]
fn while_the_broker_is_gone_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = Broker::start(folder.path());
    let mut listener = broker.listener("kendryte/home/gate/event");
    let mut recorder = Recorder::start(&config(broker.port));
    recorder.runs("gate");
    recorder.clip("gate", "?event=before");
    listener.says(&["\"finished\"", "before"]);
    broker.stop();
    recorder.clip("gate", "?event=one");
    recorder.clip("gate", "?event=two");
    // Not even its own end costs what was to be said.
    recorder.program.terminate();
    let mut recorder = Recorder::start_in(recorder.folder, &config(broker.port));
    recorder.runs("gate");
    recorder.clip("gate", "?event=three");
    broker.run(folder.path());
    recorder.clip("gate", "?event=after");
    listener.says(&["\"finished\"", "\"after\""]);
    let events = events(&listener);
    let expected = ["before", "one", "two", "three", "after"];
    assert_eq!(names(&events, "finished"), expected, "{events:?}");
    in_order(&events);
}

#[test]
fn a_clip_is_pinned_by_its_event_or_name() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(folder.path());
    let mut listener = broker.listener("kendryte/home/gate/event");
    let mut recorder = Recorder::start(&config(broker.port));
    recorder.runs("gate");
    let port = recorder.port();
    let pinned = || {
        let list = ask(port, "GET", "/api/clips", "").json();
        list[0]["pinned"].as_bool().unwrap_or(false)
    };
    // Before it is whole, and whether or not it has a file yet.
    broker.publish(
        "kendryte/home/gate/trigger",
        r#"{"event": "door-7", "after": 60}"#,
    );
    broker.publish("kendryte/home/gate/pin", "door-7");
    listener.says(&["\"pinned\":true"]);
    broker.publish("kendryte/home/gate/finish", "");
    listener.says(&["\"finished\"", "door-7"]);
    until("it is pinned", || pinned().then_some(()));
    let name = recorder.files("gate", ".mp4").pop().unwrap();
    broker.publish(
        "kendryte/home/gate/unpin",
        &name.file_name().unwrap().to_string_lossy(),
    );
    listener.says(&["\"pinned\":false"]);
    until("it is not pinned", || (!pinned()).then_some(()));
    broker.publish("kendryte/home/gate/pin", "door-8");
    recorder
        .program
        .says(&["WARN", "pin by MQTT: there is no such clip"]);
    broker.publish("kendryte/home/gate/pin", "");
    recorder
        .program
        .says(&["WARN", "pin by MQTT", "which clip"]);
}

#[test]
fn the_broker_says_that_the_program_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(folder.path());
    let mut listener = broker.listener("kendryte/home/state");
    let recorder = Recorder::start(&config(broker.port));
    listener.says(&["online"]);
    // Killed, it says nothing itself.
    drop(recorder);
    listener.says(&["offline"]);
}

#[test]
fn an_order_that_the_broker_kept_is_old() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(folder.path());
    let port = broker.port.to_string();
    let mut command = Command::new("mosquitto_pub");
    command.args([
        "-p",
        &port,
        "-r",
        "-t",
        "kendryte/home/gate/trigger",
        "-m",
        "old",
    ]);
    assert!(command.status().unwrap().success());
    let mut recorder = Recorder::start(&config(broker.port));
    recorder.program.says(&["WARN", "retained"]);
    let port = recorder.port();
    let state = ask(port, "GET", "/api/state", "").json();
    assert_eq!(state["cameras"][0]["recording"], serde_json::json!([]));
}

/// The broker has them at once when the program is back, whose cameras are only then made.
#[test]
fn orders_that_came_while_the_program_was_away_are_followed() {
    const CAMERAS: usize = 16;
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(folder.path());
    let mut listener = broker.listener("kendryte/home/#");
    let cameras: String = (0..CAMERAS).map(|n| ball(&format!("gate-{n}"))).collect();
    let head = "[mqtt]\nhost = '127.0.0.1'\nsite = 'home'\n";
    let config = format!("{head}port = {}\n{cameras}", broker.port);
    let mut recorder = Recorder::start(&config);
    recorder.program.says(&["connected to the MQTT broker"]);
    listener.says(&["kendryte/home/gate-0/state", "running"]);
    let folder = recorder.kill();
    listener.says(&["kendryte/home/state offline"]);
    for n in 0..CAMERAS {
        broker.publish(
            &format!("kendryte/home/gate-{n}/trigger"),
            &format!("door-{n}"),
        );
    }
    let _recorder = Recorder::start_in(folder, &config);
    for n in 0..CAMERAS {
        let topic = format!("kendryte/home/gate-{n}/event");
        listener.says(&[&topic, "\"finished\"", &format!("\"door-{n}\"")]);
    }
}

/// The broker would send it again with each connection, and nothing that comes after it.
#[test]
fn a_message_that_is_too_large_does_not_end_all_others() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(folder.path());
    let mut listener = broker.listener("kendryte/home/#");
    let mut recorder = Recorder::start(&config(broker.port));
    listener.says(&["kendryte/home/gate/state", "running"]);
    let large = folder.path().join("large");
    std::fs::write(&large, vec![b'a'; 300 << 10]).unwrap();
    let port = broker.port.to_string();
    let mut command = Command::new("mosquitto_pub");
    command.args(["-p", &port, "-q", "1", "-t", "kendryte/home/gate/trigger"]);
    assert!(command.arg("-f").arg(large).status().unwrap().success());
    recorder.program.says(&["WARN", "is no order"]);
    recorder.program.says(&["connected to the MQTT broker"]);
    // What comes while the recorder is away is kept again.
    until("an order is followed", || {
        broker.publish("kendryte/home/gate/trigger", "door-7");
        listener.said().contains("\"door-7\"").then_some(())
    });
    let log = recorder.program.said();
    assert_eq!(log.matches("is no order").count(), 1, "{log}");
}

/// Whatever was under way when the network broke, what comes is followed, and what happens is told in its
/// order and once.
#[test]
fn wherever_the_network_breaks_orders_are_followed_and_events_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(folder.path());
    let network = Network::to(broker.port);
    let mut listener = broker.listener("kendryte/home/#");
    let _recorder = Recorder::start(&config(network.port));
    listener.says(&["kendryte/home/gate/state", "running"]);
    let packets = [
        Packet::Publish,
        Packet::PubRec,
        Packet::PubRel,
        Packet::PubComp,
    ];
    let places: Vec<_> = [From::Recorder, From::Broker]
        .iter()
        .flat_map(|from| packets.map(|packet| (*from, packet)))
        .collect();
    for (number, (from, packet)) in places.iter().enumerate() {
        network.cut_at(*from, *packet);
        let event = format!("door-{number}");
        broker.publish("kendryte/home/gate/trigger", &event);
        network.has_struck();
        listener.says(&["\"finished\"", &event]);
    }
    let events = events(&listener);
    let expected: Vec<_> = (0..places.len()).map(|n| format!("door-{n}")).collect();
    assert_eq!(names(&events, "finished"), expected, "{events:?}");
    in_order(&events);
}

/// The broker goes on with what it had begun with a program that does not know of it any more.
#[test]
fn an_order_amid_which_the_program_was_killed_does_not_end_all_others() {
    for packet in [Packet::Publish, Packet::PubRel] {
        let folder = tempfile::tempdir().unwrap();
        let broker = Broker::start(folder.path());
        let network = Network::to(broker.port);
        let mut listener = broker.listener("kendryte/home/#");
        let mut recorder = Recorder::start(&config(network.port));
        recorder.runs("gate");
        listener.says(&["kendryte/home/gate/state", "running"]);
        network.swallow(From::Broker, packet);
        broker.publish("kendryte/home/gate/trigger", "first");
        network.has_struck();
        if packet == Packet::PubRel {
            // It has been followed: what is killed is not its clip.
            let port = recorder.port();
            until("its clip is whole", || {
                let list = ask(port, "GET", "/api/clips", "").json();
                (list[0]["event"] == "first").then_some(())
            });
        }
        let folder = recorder.kill();
        let mut recorder = Recorder::start_in(folder, &config(network.port));
        recorder.runs("gate");
        broker.publish("kendryte/home/gate/trigger", "second");
        listener.says(&["\"finished\"", "\"second\""]);
        listener.says(&["\"finished\"", "\"first\""]);
        let events = events(&listener);
        for event in ["first", "second"] {
            let told = names(&events, "finished");
            assert_eq!(
                told.iter().filter(|name| *name == event).count(),
                1,
                "{told:?}"
            );
        }
    }
}

#[test]
fn a_user_needs_no_password() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("acl");
    // Who is nobody may listen only.
    std::fs::write(&list, "topic read #\nuser bob\ntopic readwrite #\n").unwrap();
    let broker = Broker::start_with(folder.path(), &format!("acl_file {}\n", list.display()));
    let mut listener = broker.listener("kendryte/home/state");
    let head = format!("{}username = 'bob'\n", broker.config());
    let config = format!("{head}site = 'home'\n{}", ball("gate"));
    let _recorder = Recorder::start(&config);
    listener.says(&["kendryte/home/state online"]);
    let config = config.replace("username", "password");
    std::fs::write(folder.path().join("config.toml"), HEAD.to_owned() + &config).unwrap();
    let mut alone = Recorder::command(folder.path(), &["--check-config", "config.toml"]);
    let mut alone = Program::start(&mut alone);
    assert!(!alone.ends().success());
    alone.says(&["mqtt.password is of no use without mqtt.username"]);
}

#[test]
fn two_recorders_of_one_site_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(folder.path());
    let mut listener = broker.listener("kendryte/home/#");
    let told = ["ERROR", "another recorder has the same site", "\"home\""];
    let mut first = Recorder::start(&config(broker.port));
    listener.says(&["kendryte/home/gate/state", "running"]);
    broker.publish("kendryte/home/gate/trigger", "before");
    listener.says(&["\"finished\"", "\"before\""]);
    first.program.terminate();
    // One in its place is none beside it.
    let mut second = Recorder::start(&config(broker.port));
    second.runs("gate");
    broker.publish("kendryte/home/gate/trigger", "between");
    listener.says(&["\"finished\"", "\"between\""]);
    let log = second.program.said();
    assert!(!log.contains("another recorder"), "{log}");
    let mut first = Recorder::start_in(first.folder, &config(broker.port));
    second.program.says(&told);
    first.program.says(&told);
}
