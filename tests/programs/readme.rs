// SPDX-License-Identifier: MIT OR Apache-2.0
//! The README's command lines, run as they are written.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::command_line::{Place, in_markdown};
use k210_sim::{Board, BootMode, Config, SerialPort};

const README: &str = include_str!("../../README.md");

/// The lines that the README shows after a `$`.
fn commands() -> Vec<&'static str> {
    let lines = README.lines();
    lines.filter_map(|line| line.strip_prefix("$ ")).collect()
}

/// The one pipeline that has these words.
fn pipeline_with(words: &str) -> String {
    let mut found = in_markdown(README);
    found.retain(|line| line.contains(words));
    assert_eq!(found.len(), 1, "{words}: {found:#?}");
    found.remove(0)
}

#[test]
fn pipelines_run_as_written() {
    let place = Place::new();
    let pipelines: Vec<&str> = commands()
        .into_iter()
        .filter(|command| command.starts_with("gst-launch-1.0 "))
        .collect();
    assert!(pipelines.len() >= 5, "{pipelines:#?}");
    // In the README's order: what is played was recorded before.
    for pipeline in pipelines {
        place.run(pipeline);
    }
    for (file, streams) in [("capture.avi", 1), ("sound.avi", 2)] {
        let entries = "stream=codec_name,nb_read_frames";
        let counts = crate::common::ffprobe(&place.path().join(file), &["-count_frames"], entries);
        assert_eq!(counts.len(), 2 * streams, "{file}: {counts:?}");
        assert_eq!(counts[..2], ["mjpeg", "50"], "{file}");
    }
}

#[test]
fn what_is_sent_over_the_network_is_shown_there() {
    let place = Place::new();
    let mut receiver = place.start(&pipeline_with(" udpsrc "));
    crate::common::until("the receiver shows a picture", || {
        assert!(receiver.is_running(), "the receiver has ended");
        place.run(&pipeline_with(" udpsink "));
        receiver.has_shown_something()
    });
    receiver.finish();
}

#[test]
fn a_real_board_is_recorded_from() {
    let mut place = Place::new();
    let board = Board::new(Config {
        boot: BootMode::PowerOn,
        ..Config::default()
    });
    let port = SerialPort::new(board.unwrap(), None).unwrap();
    place.substitute("/dev/ttyUSB0", port.path());
    place.run(&pipeline_with("device=/dev/ttyUSB0"));
    // What a board recorded is what a board plays.
    let file = std::fs::read(place.path().join("capture.avi")).unwrap();
    let played = crate::k210_player::play(&file).unwrap();
    assert!(!played.frames.is_empty());
}

/// A program that is killed at the end.
struct Background(Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_simulated_board_is_looked_at() {
    let mut place = Place::new();
    let link = place.path().join("k210");
    place.substitute("/tmp/k210", &link);
    let line = README
        .lines()
        .find_map(|line| line.strip_prefix("cargo run --release --bin k210-sim -- "))
        .expect("it shows how to start k210-sim");
    let arguments = line.replace("/tmp/k210", link.to_str().unwrap());
    let _sim = Background(
        Command::new(crate::common::program("k210-sim"))
            .args(arguments.split(' '))
            .stdout(Stdio::null())
            .spawn()
            .unwrap(),
    );
    crate::common::until("the board is there", || link.exists());
    place.run(&pipeline_with("device=/tmp/k210"));
}

#[test]
fn every_pipeline_is_run_by_one_of_these_tests() {
    let run = [" udpsrc ", "device=/dev/ttyUSB0", "device=/tmp/k210"];
    for line in in_markdown(README) {
        let shown = commands().contains(&line.as_str());
        assert!(
            shown || run.iter().any(|words| line.contains(words)),
            "{line}"
        );
    }
}

#[test]
fn everything_it_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let makefile = std::fs::read_to_string(root.join("Makefile")).unwrap();
    for command in commands() {
        if let Some(target) = command.strip_prefix("make ") {
            assert!(makefile.contains(&format!("\n{target}: ")), "{command}");
        }
    }
    for link in README.split("](").skip(1) {
        let link = link.split([')', '#']).next().unwrap().trim();
        if !link.starts_with("https://") {
            assert!(root.join(link).exists(), "{link}");
        }
    }
}
