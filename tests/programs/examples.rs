// SPDX-License-Identifier: MIT OR Apache-2.0
//! The programs that record, started and stopped as a person would.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn rust_example() -> Command {
    Command::new(crate::common::example("record"))
}

fn python_example(scratch: &Path) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/python/record.py");
    let mut command = crate::common::python();
    command
        .arg("-u")
        .arg(script)
        .envs(crate::common::plugin_path(scratch));
    command
}

/// Runs to the end, and gives the frames that ffprobe counts.
fn frames_recorded(mut command: Command, file: PathBuf) -> usize {
    crate::common::output(command.arg(&file));
    crate::common::frames(&file)
}

/// Interrupts the program once it says that it has recorded something: it has to end by itself, with
/// a file that is finished.
fn frames_after_interrupt(mut command: Command, file: PathBuf) -> usize {
    let mut child = command
        .args(["--device", "sim:", "--seconds", "0"])
        .arg(&file)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the example starts");
    let mut output = child.stdout.take().expect("a pipe");
    let mut said = String::new();
    let mut bytes = [0; 256];
    let recorded = |said: &str| {
        let frames = said
            .rsplit("recording: ")
            .next()
            .and_then(|rest| rest.split_once(" frames"));
        frames.is_some_and(|(frames, _)| frames.parse::<usize>().is_ok_and(|frames| frames >= 5))
    };
    while !recorded(&said) {
        let n = output.read(&mut bytes).expect("its output");
        assert!(n > 0, "it ended: {said}");
        said.push_str(&String::from_utf8_lossy(&bytes[..n]));
    }
    // SAFETY: the child has not been waited for, so its number is its own.
    assert_eq!(
        unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGINT) },
        0
    );
    let mut rest = String::new();
    output.read_to_string(&mut rest).expect("its output");
    assert!(child.wait().expect("an end").success(), "{said}{rest}");
    // What avimjpegmux writes last is the index.
    let bytes = std::fs::read(&file).unwrap();
    assert!(
        bytes.windows(4).any(|id| id == b"idx1"),
        "the file has no index"
    );
    crate::common::frames(&file)
}

#[test]
fn the_rust_program_records_for_a_time() {
    let scratch = tempfile::tempdir().unwrap();
    let mut command = rust_example();
    command.args(["--device", "sim:", "--seconds", "1", "--sound", "test"]);
    let file = scratch.path().join("a.avi");
    let frames = frames_recorded(command, file.clone());
    // Ten a second, fewer if the machine kept the board from its pace.
    assert!((1..=10).contains(&frames), "{frames}");
    let streams = crate::common::ffprobe(&file, &[], "stream=codec_name");
    assert_eq!(streams, ["mjpeg", "pcm_s16le"]);
}

#[test]
fn what_the_demo_records_plays_on_the_board() {
    let script = include_str!("../../scripts/demo.sh");
    let line = script.split("run record -- ").nth(1).unwrap();
    let line = line.split("demo/capture.avi").next().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let summary = scratch.path().join("summary.txt");
    let footage = crate::common::footage();
    let line = line
        .replace(['"', '\\'], "")
        .replace("$footage", footage.to_str().unwrap())
        .replace("demo/summary.txt", summary.to_str().unwrap())
        .replace("--seconds 5", "--seconds 1");
    let mut command = rust_example();
    command.args(line.split_whitespace());
    let file = scratch.path().join("capture.avi");
    let frames = frames_recorded(command, file.clone());
    let played = crate::k210_player::play(&std::fs::read(&file).unwrap()).unwrap();
    // The board's profile has a frame again where none came.
    assert_eq!(played.frames.len(), frames);
    assert!(frames > 0 && played.sample_rate > 0 && played.channels <= 2);
    assert!(script.contains("--check-k210 demo/capture.avi"));
}

#[test]
fn the_python_program_records_for_a_time() {
    let scratch = tempfile::tempdir().unwrap();
    let mut command = python_example(scratch.path());
    command.args(["--device", "sim:", "--seconds", "1", "--sound", "test"]);
    let file = scratch.path().join("a.avi");
    let frames = frames_recorded(command, file.clone());
    assert!((1..=10).contains(&frames), "{frames}");
    let streams = crate::common::ffprobe(&file, &[], "stream=codec_name");
    assert_eq!(streams, ["mjpeg", "pcm_s16le"]);
}

#[test]
fn the_rust_program_finishes_the_file_on_ctrl_c() {
    let scratch = tempfile::tempdir().unwrap();
    let frames = frames_after_interrupt(rust_example(), scratch.path().join("a.avi"));
    assert!(frames >= 5, "{frames}");
}

#[test]
fn the_python_program_finishes_the_file_on_ctrl_c() {
    let scratch = tempfile::tempdir().unwrap();
    let command = python_example(scratch.path());
    let frames = frames_after_interrupt(command, scratch.path().join("a.avi"));
    assert!(frames >= 5, "{frames}");
}

#[test]
fn a_board_that_is_not_there_is_a_sentence() {
    let scratch = tempfile::tempdir().unwrap();
    for mut command in [rust_example(), python_example(scratch.path())] {
        let output = command
            .args(["--device", "/dev/no-such-port"])
            .arg(scratch.path().join("a.avi"))
            .output()
            .unwrap();
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("/dev/no-such-port"), "{said}");
    }
}
