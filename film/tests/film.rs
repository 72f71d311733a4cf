// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program, run as a person would, on films as phones and cameras make them; what it makes is
//! played as the firmware does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failure ends the test"
)]

#[path = "../../tests/common/k210_player.rs"]
mod k210_player;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// The left half is red and the right half blue, 30 times in a second.
const HALVES: &str =
    "color=red:s=160x180:r=30:d=1[a];color=blue:s=160x180:r=30:d=1[b];[a][b]hstack";
const SOUND: &str = "sine=frequency=440:sample_rate=44100:duration=1";

fn run(command: &mut Command) -> Output {
    let output = command.output();
    output.unwrap_or_else(|error| panic!("{command:?} does not start: {error}"))
}

fn ffmpeg(arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new("ffmpeg");
    let output = run(command.args(["-v", "error", "-y"]).args(arguments));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    output.stdout
}

/// An H.264 film of what ffmpeg's `pictures` shows, with sound.
fn film(dir: &Path, name: &str, pictures: &str) -> PathBuf {
    let path = dir.join(name);
    let pictures = ["-f", "lavfi", "-i", pictures];
    let sound = ["-f", "lavfi", "-i", SOUND, "-ac", "2", "-c:a", "aac"];
    let rest = [
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p",
    ];
    let arguments = [
        &pictures[..],
        &sound[..],
        &rest[..],
        &[path.to_str().unwrap()],
    ]
    .concat();
    ffmpeg(&arguments);
    path
}

/// Turns a film a quarter clockwise as phones do, by the matrix of its video track (ISO/IEC 14496-12,
/// 8.3.2), which is the first one.
fn turn(film: &Path) {
    let mut bytes = std::fs::read(film).unwrap();
    let tkhd = bytes.windows(4).position(|four| four == b"tkhd").unwrap();
    let version = bytes[tkhd + 4];
    let at = tkhd + 4 + if version == 1 { 52 } else { 40 };
    let one: i32 = 1 << 16;
    let matrix = [0, one, 0, -one, 0, 0, 180 << 16, 0, 1 << 30];
    assert_eq!(bytes[at..at + 4], one.to_be_bytes(), "no matrix");
    for (number, value) in matrix.into_iter().enumerate() {
        let value: i32 = value;
        bytes[at + 4 * number..][..4].copy_from_slice(&value.to_be_bytes());
    }
    std::fs::write(film, bytes).unwrap();
}

fn program(arguments: &[&str], from: &Path, to: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_k210-film"));
    command.args(arguments).arg(from).arg(to);
    command
}

/// What the program says when it has made a file.
fn make(arguments: &[&str], from: &Path, to: &Path) -> String {
    let output = run(&mut program(arguments, from, to));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert_eq!(said, "", "there is nothing to warn of");
    String::from_utf8(output.stdout).unwrap()
}

fn played(file: &Path) -> k210_player::Played {
    k210_player::play(&std::fs::read(file).unwrap()).unwrap()
}

/// What is seen at some points of a board's picture.
fn colours<const N: usize>(file: &Path, points: [(usize, usize); N]) -> [&'static str; N] {
    let file = file.to_str().unwrap();
    let one = [
        "-i",
        file,
        "-frames:v",
        "1",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-",
    ];
    let picture = ffmpeg(&one);
    assert_eq!(picture.len(), 320 * 240 * 3);
    points.map(|(x, y)| {
        let at = 3 * (320 * y + x);
        match picture[at..at + 3] {
            [200..=255, 0..60, 0..60] => "red",
            [0..60, 0..60, 200..=255] => "blue",
            [0..60, 0..60, 0..60] => "black",
            _ => "something else",
        }
    })
}

fn files(dir: &Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

#[test]
fn a_phones_film_plays_upright_on_the_board() {
    let dir = tempfile::tempdir().unwrap();
    let film = film(dir.path(), "phone.mp4", HALVES);
    turn(&film);
    let board = dir.path().join("50 % off.avi");
    let said = make(&[], &film, &board);
    assert!(
        said.contains("15 frames, 1.0 s") && said.ends_with("with sound; it plays on a K210\n"),
        "{said}"
    );
    let played = played(&board);
    assert_eq!((played.size, played.frames.len()), ((320, 240), 15));
    assert_eq!(played.micro_sec_per_frame, 66_667);
    assert_eq!((played.sample_rate, played.channels), (44_100, 2));
    let bytes: usize = played.sound.iter().map(Vec::len).sum();
    assert!(bytes.abs_diff(44_100 * 4) < 16 * 1024, "{bytes}");
    // 135x240 in the middle; what was left is up.
    assert_eq!(
        colours(
            &board,
            [
                (160, 10),
                (160, 110),
                (160, 130),
                (160, 230),
                (98, 50),
                (222, 50)
            ]
        ),
        ["red", "red", "blue", "blue", "red", "red"]
    );
    assert_eq!(colours(&board, [(86, 120), (232, 120)]), ["black"; 2]);
    assert_eq!(files(dir.path()), 2, "something is left");
}

#[test]
fn a_wide_film_is_not_stretched() {
    let dir = tempfile::tempdir().unwrap();
    // The same, stored in half the columns.
    let film = film(
        dir.path(),
        "a.mkv",
        &format!("{HALVES},scale=160:180,setsar=2"),
    );
    let board = dir.path().join("a.avi");
    make(&["--no-sound", "--rate", "10"], &film, &board);
    let shown = played(&board);
    // The last one is as near to a place beyond the end.
    assert!(
        (10..=11).contains(&shown.frames.len()),
        "{}",
        shown.frames.len()
    );
    assert_eq!(shown.sample_rate, 0);
    assert_eq!(
        colours(
            &board,
            [
                (4, 36),
                (150, 120),
                (170, 120),
                (315, 203),
                (4, 22),
                (315, 217)
            ]
        ),
        ["red", "red", "blue", "blue", "black", "black"]
    );
    // Its own rate is kept where that is no more.
    let slow = self::film(dir.path(), "b.mkv", &format!("{HALVES},fps=5"));
    make(&["--force"], &slow, &board);
    assert_eq!(played(&board).micro_sec_per_frame, 200_000);
}

#[test]
fn what_a_board_recorded_becomes_a_film() {
    let dir = tempfile::tempdir().unwrap();
    let film = film(dir.path(), "a.mp4", HALVES);
    let board = dir.path().join("a.avi");
    make(&["--rate", "30"], &film, &board);
    // As MaixPy leaves it without record_finish().
    let mut bytes = std::fs::read(&board).unwrap();
    let index = bytes.windows(4).rposition(|four| four == b"idx1").unwrap();
    bytes.truncate(index);
    bytes[4..8].fill(0);
    std::fs::write(&board, bytes).unwrap();
    let back = dir.path().join("back.mp4");
    let said = make(&[], &board, &back);
    assert!(
        said.contains("30 frames") && said.ends_with("with sound\n"),
        "{said}"
    );
    let entries = [
        "-show_entries",
        "stream=codec_name,width,nb_read_frames",
        "-of",
        "csv=p=0",
    ];
    let mut ffprobe = Command::new("ffprobe");
    let found = run(ffprobe
        .args(["-v", "error", "-count_frames"])
        .args(entries)
        .arg(&back));
    let found = String::from_utf8(found.stdout).unwrap();
    assert!(found.contains("h264,320,30"), "{found}");
    assert!(found.contains("aac"), "{found}");
}

#[test]
fn what_cannot_be_is_a_sentence_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    film(dir.path(), "a.mp4", HALVES);
    ffmpeg(&[
        "-f",
        "lavfi",
        "-i",
        SOUND,
        at("sound.wav").to_str().unwrap(),
    ]);
    std::fs::write(at("text.txt"), "no film").unwrap();
    std::fs::write(at("there.avi"), "kept").unwrap();
    let before = files(dir.path());
    for (from, to, words) in [
        ("a.mp4", "there.avi", "--force"),
        ("a.mp4", "a.mp4", "the film itself"),
        ("a.mp4", "no/where.avi", "where.avi"),
        ("a.mp4", "a.xyz", "no format is known"),
        ("sound.wav", "b.avi", "sound.wav: there are no pictures"),
        ("text.txt", "b.avi", "text.txt: "),
        ("missing.mp4", "b.avi", "missing.mp4: No such file"),
    ] {
        let output = run(&mut program(&[], &at(from), &at(to)));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{from} to {to}: {said}");
        assert!(said.contains(words), "{from} to {to}: {said}");
        assert_eq!(files(dir.path()), before, "{from} to {to}");
    }
    assert_eq!(std::fs::read(at("there.avi")).unwrap(), b"kept");
}

#[test]
fn an_interrupted_film_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    // Longer than the test takes.
    let film = film(dir.path(), "long.mp4", "color=s=64x64:r=30:d=900");
    let board = dir.path().join("board.avi");
    use rustix::process::Signal;
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut child = program(&[], &film, &board).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(120);
        while files(dir.path()) < 2 {
            assert!(Instant::now() < deadline, "it begins no file");
            assert_eq!(child.try_wait().unwrap(), None, "it has ended");
            std::thread::sleep(Duration::from_millis(10));
        }
        let id = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(id, signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{signal:?}");
        assert_eq!(files(dir.path()), 1, "{signal:?}");
    }
}

#[test]
fn beyond_the_limit_of_a_files_size_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let film = film(dir.path(), "film.mp4", "testsrc=s=320x240:r=15:d=4");
    let mut limited = Command::new("prlimit");
    limited.args(["--fsize=50000", env!("CARGO_BIN_EXE_k210-film")]);
    let output = run(limited.arg(&film).arg(dir.path().join("board.avi")));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(!said.is_empty());
    assert_eq!(files(dir.path()), 1);
}

#[test]
fn a_closed_output_is_no_fault() {
    for option in ["--help", "--version"] {
        let (heard, said) = std::io::pipe().unwrap();
        drop(heard);
        let mut command = Command::new(env!("CARGO_BIN_EXE_k210-film"));
        let output = run(command.arg(option).stdout(said));
        assert_eq!(output.stderr, b"", "{option}");
        assert!(output.status.success(), "{option}");
    }
    let (heard, said) = std::io::pipe().unwrap();
    drop(heard);
    let mut command = Command::new(env!("CARGO_BIN_EXE_k210-film"));
    let output = run(command.stderr(said));
    assert_eq!(output.status.code(), Some(2));
}
