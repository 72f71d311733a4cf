// SPDX-License-Identifier: MIT OR Apache-2.0
//! A C program against the software double of the MPP library.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failure ends the test"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// The directory of `libk230mpp_sim.so`, which cargo builds as a dependency of the tests.
fn library_directory() -> PathBuf {
    let exe = std::env::current_exe().expect("a test has a path");
    let deps = exe.parent().expect("a directory").to_owned();
    let above = deps.join("..");
    [deps, above]
        .into_iter()
        .find(|directory| directory.join("libk230mpp_sim.so").exists())
        .expect("libk230mpp_sim.so is built with the tests")
}

/// Compiles the program as anybody would, with warnings as errors.
fn compile(directory: &Path) -> PathBuf {
    let program = directory.join("venc_abi");
    let status = Command::new("cc")
        .args([
            "-std=gnu11",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-g",
            "-O1",
            "-o",
        ])
        .arg(&program)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/abi.c"))
        .arg("-L")
        .arg(library_directory())
        .args(["-lk230mpp_sim", "-lpthread"])
        .status()
        .expect("cc starts");
    assert!(status.success(), "the program compiles");
    program
}

fn run(program: &Path, mode: &str, file: &Path) -> std::process::Output {
    // `make valgrind` has the program run under valgrind.
    let under = std::env::var("VENC_ABI_UNDER").unwrap_or_default();
    let mut words = under.split_whitespace();
    let mut command = match words.next() {
        Some(tool) => {
            let mut command = Command::new(tool);
            command.args(words);
            if file.extension().is_some_and(|extension| extension == "265") {
                // x265's vector code reads past its blocks, after which everything that it gives
                // counts as undefined; what is read and written where can still be checked.
                command.arg("--undef-value-errors=no");
            }
            command.arg(program);
            command
        }
        None => Command::new(program),
    };
    command
        .arg(mode)
        .arg(file)
        .env("LD_LIBRARY_PATH", library_directory())
        .output()
        .expect("it starts")
}

/// The codec and the number of frames, by `ffprobe`.
fn facts(file: &Path) -> Vec<String> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-show_entries"])
        .args(["stream=codec_name,nb_read_frames", "-of"])
        .arg("default=noprint_wrappers=1:nokey=1")
        .arg(file)
        .output()
        .expect("ffprobe starts");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_c_program_walks_the_channel_api() {
    let directory = tempfile::tempdir().expect("a directory");
    let program = compile(directory.path());
    for (name, codec, frames) in [
        ("send.264", "h264", "40"),
        ("send.265", "hevc", "40"),
        ("send.mjpeg", "mjpeg", "40"),
        ("camera.265", "hevc", "15"),
    ] {
        let file = directory.path().join(name);
        let mode = name.split('.').next().expect("a mode");
        let output = run(&program, mode, &file);
        assert!(
            output.status.success(),
            "{name}: {} {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(facts(&file), [codec, frames], "{name}");
    }
}

/// What comes along with the plugin's crate, which the library hosts its encoder with, is not for
/// the programs that link it.
#[test]
fn the_library_exports_the_mpp_and_nothing_of_the_plugin() {
    let output = Command::new("nm")
        .args(["--dynamic", "--defined-only", "--format=posix"])
        .arg(library_directory().join("libk230mpp_sim.so"))
        .output()
        .expect("nm starts");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    for family in ["venc", "vb", "sys", "log", "vicap"] {
        let prefix = format!("kd_mpi_{family}_");
        assert!(
            names.iter().any(|name| name.starts_with(&prefix)),
            "{prefix}"
        );
    }
    let others: Vec<_> = names
        .iter()
        .filter(|name| !name.starts_with("kd_mpi_"))
        .collect();
    assert!(others.is_empty(), "{others:?}");
}
