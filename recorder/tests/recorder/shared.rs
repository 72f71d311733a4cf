// SPDX-License-Identifier: MIT OR Apache-2.0
//! The index of many machines, in PostgreSQL.

use serde_json::Value;

use crate::servers::Postgres;
use crate::support::{Recorder, ask, ball, until};

fn start(folder: tempfile::TempDir, postgres: &Postgres, site: &str) -> Recorder {
    let head = format!("site = '{site}'\n");
    let mut recorder = Recorder::start_with(folder, &head, &(postgres.config() + &ball("gate")));
    recorder.runs("gate");
    recorder
}

/// The sites and events that a machine finds for a question.
fn found(port: u16, query: &str) -> Vec<(String, String)> {
    let list = ask(port, "GET", &format!("/api/clips?{query}"), "").json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let clips = list.as_array().unwrap_or_else(|| panic!("{list}"));
    let mut clips: Vec<_> = clips
        .iter()
        .map(|clip| (text(&clip["site"]), text(&clip["event"])))
        .collect();
    clips.sort();
    clips
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter()
        .map(|(site, event)| ((*site).to_owned(), (*event).to_owned()))
        .collect()
}

#[test]
fn each_machine_finds_the_clips_of_all() {
    let mut postgres = Postgres::start();
    let mut one = start(tempfile::tempdir().unwrap(), &postgres, "one");
    let mut two = start(tempfile::tempdir().unwrap(), &postgres, "two");
    let (port, other) = (one.port(), two.port());
    let first = one.clip("gate", "?event=a");
    two.clip("gate", "?event=a");
    two.clip("gate", "?event=b");
    let all = pairs(&[("one", "a"), ("two", "a"), ("two", "b")]);
    until("all are there", || {
        (found(port, "site=*") == all).then_some(())
    });
    assert_eq!(found(other, "site=*"), all);
    assert_eq!(found(port, "site=two&event=b"), pairs(&[("two", "b")]));
    assert_eq!(found(port, "site=*&event=a").len(), 2);
    // A machine's own are its own.
    assert_eq!(found(port, "").len(), 1);
    // Without the server each machine goes on, and says what is missing.
    postgres.stop();
    one.clip("gate", "?event=c");
    let name = first["name"].as_str().unwrap();
    assert_eq!(
        ask(port, "DELETE", &format!("/api/clips/gate/{name}"), "").status,
        200
    );
    until("it is told", || {
        let state = ask(port, "GET", "/api/state", "").json();
        (state["shared-index"] == false).then_some(())
    });
    assert_eq!(ask(port, "GET", "/api/clips?site=*", "").status, 503);
    two.program.terminate();
    postgres.run();
    // Even one that has ended meanwhile, and whose clips have changed while it did not run.
    let gone = two.files("gate", ".mp4").remove(0);
    std::fs::remove_file(gone).unwrap();
    let mut two = start(two.folder, &postgres, "two");
    let all = pairs(&[("one", "c"), ("two", "b")]);
    until("they agree", || {
        (found(port, "site=*") == all).then_some(())
    });
    assert_eq!(found(two.port(), "site=*"), all);
}

#[test]
fn without_one_there_is_nothing_to_ask() {
    let mut recorder = Recorder::start(&ball("gate"));
    let answer = ask(recorder.port(), "GET", "/api/clips?site=*", "");
    assert_eq!(answer.status, 400);
    assert!(
        answer.json()["error"]
            .as_str()
            .unwrap()
            .contains("index.url")
    );
}
