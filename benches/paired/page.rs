// SPDX-License-Identifier: MIT OR Apache-2.0
//! The parts of `docs/benchmarks.md` that benches write: tables and figures between two markers, with
//! the machine, the date and the commit. What stands around them is written by people.

use std::path::Path;
use std::process::Command;

/// The page has no place for a bench, or two.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoPlace(pub String);

impl std::fmt::Display for NoPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(name) = self;
        write!(
            f,
            "the page needs one place between '{}' and '{}'",
            begin(name),
            end(name)
        )
    }
}

fn begin(name: &str) -> String {
    format!("<!-- {name}: begin -->")
}

fn end(name: &str) -> String {
    format!("<!-- {name}: end -->")
}

/// The page with `text` in the place of the bench called `name`.
pub(crate) fn replaced(page: &str, name: &str, text: &str) -> Result<String, NoPlace> {
    let no_place = || NoPlace(name.to_owned());
    let (begin, end) = (begin(name), end(name));
    let (head, rest) = page.split_once(&begin).ok_or_else(no_place)?;
    let (_, tail) = rest.split_once(&end).ok_or_else(no_place)?;
    if head.contains(&end) || tail.contains(&begin) || tail.contains(&end) {
        return Err(no_place());
    }
    Ok(format!("{head}{begin}\n\n{}\n\n{end}{tail}", text.trim()))
}

/// Puts `text` into the file of a page, which is as it was or has it whole.
pub(crate) fn write(page: &Path, name: &str, text: &str) {
    let old = std::fs::read_to_string(page).unwrap_or_else(|e| panic!("{}: {e}", page.display()));
    let new = replaced(&old, name, text).unwrap_or_else(|e| panic!("{}: {e}", page.display()));
    let beside = page.with_extension("md.new");
    std::fs::write(&beside, new)
        .and_then(|()| std::fs::rename(&beside, page))
        .unwrap_or_else(|e| panic!("{}: {e}", page.display()));
}

/// The first line that a program prints.
fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().next().unwrap_or_default().trim().to_owned()
}

/// The word of `text` at `place`, as in `ffmpeg version 5.1.6 Copyright ...`.
fn word(text: &str, place: usize) -> &str {
    text.split_whitespace()
        .nth(place)
        .unwrap_or_else(|| panic!("no version in '{text}'"))
}

/// The value behind `key` and `separator` in a file of such lines.
fn value(file: &str, key: &str, separator: char) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{file}: {e}"));
    text.lines()
        .filter_map(|line| line.split_once(separator))
        .find(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.trim().trim_matches('"').to_owned())
        .unwrap_or_else(|| panic!("{file} has no {key}"))
}

/// When, of which commit and on which machine something was measured. A commit with changes in
/// anything but the documentation is marked.
pub(crate) fn stamp() -> String {
    let changes = [
        "status",
        "--porcelain",
        "--untracked-files=no",
        "--",
        ".",
        ":!docs",
    ];
    let changed = !first_line("git", &changes).is_empty();
    let cores = std::thread::available_parallelism().expect("a number of cores");
    format!(
        "{}, commit {}{}; {} cores of {}, {}, Linux {}, GStreamer {}, ffmpeg {}, Rust {}",
        first_line("date", &["-u", "+%F"]),
        first_line("git", &["rev-parse", "--short=10", "HEAD"]),
        if changed { " with changes" } else { "" },
        cores,
        value("/proc/cpuinfo", "model name", ':'),
        value("/etc/os-release", "PRETTY_NAME", '='),
        first_line("uname", &["-r"]),
        word(&first_line("gst-launch-1.0", &["--version"]), 2),
        word(&first_line("ffmpeg", &["-version"]), 2),
        word(&first_line("rustc", &["--version"]), 1),
    )
}
