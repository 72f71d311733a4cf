// SPDX-License-Identifier: MIT OR Apache-2.0
//! Makes a sound AVI of a damaged or unfinished one, and says whether a file
//! plays on a K210.
//!
//! ```text
//! avi-repair broken.avi sound.avi
//! avi-repair --profile k210 broken.avi sound.avi
//! avi-repair --check-k210 some.avi
//! avi-repair --rate 30000/1001 --sound 44100,2,16 headless.avi sound.avi
//! ```
//!
//! `--rate` (frames a second) and `--sound` (samples a second, channels, bits of a sample) say what a
//! lost header said; they change nothing of what is there. The new file is written beside its place and
//! put there when it is whole, so that nothing that was there is lost if it does not come to that.
//!
//! The new file has every intact frame at its time, and sound likewise; what was
//! lost is listed. It exits with 0 if the repair (or the check) went well, with
//! 1 if the file does not play on a K210, and with 2 if nothing could be done.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use avi_mjpeg::k210_check::{self, Verdict};
use avi_mjpeg::output::Seekable;
use avi_mjpeg::pcm::Layout;
use avi_mjpeg::reader::Finding;
use avi_mjpeg::reader::headers::Hints;
use avi_mjpeg::reader::window::FileSource;
use avi_mjpeg::repair::{self, Summary};
use avi_mjpeg::timeline::Rate;
use avi_mjpeg::writer::{Profile, WriteError};
use closed_output::{complain, say};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};

const USAGE: &str = "usage: avi-repair [--profile standard|k210] [--force] \
[--rate N[/D]] [--sound RATE,CHANNELS,BITS] IN OUT
       avi-repair --check-k210 FILE";

/// A bar on a terminal, nothing elsewhere.
struct Bar {
    shown: bool,
    last: Option<Instant>,
}

impl Bar {
    const WIDTH: usize = 40;

    fn new() -> Self {
        Self {
            shown: std::io::stderr().is_terminal(),
            last: None,
        }
    }

    fn at(&mut self, done: u64, all: u64) {
        let now = Instant::now();
        let soon = self
            .last
            .is_some_and(|last| now - last < Duration::from_millis(100));
        if !self.shown || (soon && done < all) {
            return;
        }
        self.last = Some(now);
        let done = done as f64 / all.max(1) as f64;
        let full = (done * Self::WIDTH as f64) as usize;
        let bar = "#".repeat(full) + &"-".repeat(Self::WIDTH.saturating_sub(full));
        eprint!("\r[{bar}] {:3.0} %", done * 100.0);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if self.last.is_some() {
            eprintln!();
        }
    }
}

fn unsaid(error: io::Error) -> String {
    format!("standard output: {error}")
}

/// What there is to say of a repair.
fn report(summary: &Summary) -> Vec<String> {
    let mut lines = Vec::new();
    for finding in &summary.findings {
        lines.push(finding.to_string());
        match finding {
            Finding::NoHeader => {
                lines.push("--rate says how many frames a second there were".into())
            }
            Finding::NoFormat { .. } => {
                lines.push("--sound says its samples a second, channels and bits".into());
            }
            _ => {}
        }
    }
    for (stream, why) in &summary.left_out {
        lines.push(format!("stream {stream} is left out: {why}"));
    }
    lines.push(format!("{} frames were copied", summary.frames));
    if summary.missing > 0 {
        lines.push(format!(
            "{} places have no frame of their own",
            summary.missing
        ));
    }
    if summary.unfilled > 0 {
        lines.push(format!(
            "{} more such places are left out, as they would be most of the file: what follows comes earlier by them",
            summary.unfilled
        ));
    }
    if summary.refused > 0 {
        lines.push(format!(
            "{} frames cannot be in such a file; the first: {}",
            summary.refused,
            summary.refused_why.as_deref().unwrap_or_default()
        ));
    }
    if summary.padding > 0 {
        lines.push(format!("{} bytes of padding were cut off", summary.padding));
    }
    if summary.sound > 0 || summary.silence > 0 {
        lines.push(format!(
            "{} bytes of sound were copied, {} are silence in the place of lost ones",
            summary.sound, summary.silence
        ));
    }
    let lost = summary.missing > 0 || summary.unfilled > 0 || summary.refused > 0;
    if !lost && summary.findings.is_empty() {
        lines.push("nothing was lost".into());
    }
    lines
}

fn check(path: &Path) -> Result<bool, String> {
    let source = FileSource::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let size = std::fs::metadata(path).map_or(0, |m| m.len());
    let report = {
        let mut bar = Bar::new();
        k210_check::check(source, |done| bar.at(done, size))
            .map_err(|error| format!("{}: {error}", path.display()))?
    };
    let rules = report.verdicts.iter().map(|(rule, verdict)| {
        let rule = rule.text();
        match verdict {
            Verdict::Kept => format!("ok      {rule}"),
            Verdict::DoesNotApply => format!("-       {rule} (does not apply)"),
            Verdict::NotReached => format!("?       {rule} (not reached)"),
            Verdict::Broken(why) => format!("BROKEN  {rule}: {why}"),
        }
    });
    let mut lines: Vec<String> = rules.collect();
    lines.push(match report.plays() {
        true => format!("it plays on a K210: {} frames", report.frames),
        false => format!(
            "it does not play on a K210: {} frames are shown",
            report.frames
        ),
    });
    say(&lines.join("\n")).map_err(unsaid)?;
    Ok(report.plays())
}

/// What the user asked for.
struct Request {
    profile: Profile,
    hints: Hints,
    force: bool,
}

/// Refuses targets that are the input by another name, and those that are no files.
fn check_target(from: &Path, to: &Path, force: bool) -> Result<(), String> {
    let at = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let input = std::fs::metadata(from).map_err(|error| at(from, error))?;
    if !input.is_file() {
        return Err(format!("{} is no file", from.display()));
    }
    let output = match std::fs::metadata(to) {
        Ok(output) => output,
        // A dangling link counts as an existing file.
        Err(_) if to.is_symlink() => {
            return Err(format!("{} is a link that leads nowhere", to.display()));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(at(to, error)),
    };
    if (input.dev(), input.ino()) == (output.dev(), output.ino()) {
        return Err("the new file cannot be the old one".to_owned());
    }
    if !output.is_file() {
        return Err(format!("{} is no file", to.display()));
    }
    if !force {
        return Err(format!(
            "{} is there already (--force overwrites)",
            to.display()
        ));
    }
    Ok(())
}

/// A name beside another that nothing has, as `make` finds when it makes something of that name.
fn beside<T>(to: &Path, make: impl Fn(&Path) -> io::Result<T>) -> io::Result<(PathBuf, T)> {
    let name = to.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    for n in 0..1000 {
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}-{n}", std::process::id()));
        let path = to.with_file_name(hidden);
        match make(&path) {
            Ok(made) => return Ok((path, made)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// What becomes the new file: without a name until it is whole, so that nothing is left of it whatever ends the
/// program, or where the file system has no such files, with one of its own.
struct Unfinished {
    file: File,
    path: Option<PathBuf>,
}

impl Unfinished {
    fn new(to: &Path) -> io::Result<Self> {
        let directory = to.parent().filter(|it| !it.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o666);
        if let Ok(file) = rustix::fs::open(directory, flags, mode) {
            let file = file.into();
            return Ok(Self { file, path: None });
        }
        let (path, file) = beside(to, |path| {
            File::options().write(true).create_new(true).open(path)
        })?;
        let path = Some(path);
        Ok(Self { file, path })
    }

    /// Gives it its name. Without `force`, a file that appeared meanwhile is not replaced.
    fn place(self, to: &Path, force: bool) -> io::Result<()> {
        let Some(path) = &self.path else {
            let own = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            let link = |path: &Path| {
                rustix::fs::linkat(CWD, &own, CWD, path, AtFlags::SYMLINK_FOLLOW)
                    .map_err(io::Error::from)
            };
            if !force {
                return link(to);
            }
            let (path, ()) = beside(to, link)?;
            return std::fs::rename(&path, to).inspect_err(|_| {
                let _ = std::fs::remove_file(&path);
            });
        };
        match force {
            true => std::fs::rename(path, to),
            false => std::fs::hard_link(path, to).or_else(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => Err(error),
                // Not every file system has links.
                _ => std::fs::rename(path, to),
            }),
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn mend(from: &Path, to: &Path, request: &Request) -> Result<(), String> {
    check_target(from, to, request.force)?;
    let source = FileSource::open(from).map_err(|error| format!("{}: {error}", from.display()))?;
    let cannot = |error: io::Error| format!("{}: {error}", to.display());
    let made = Unfinished::new(to).map_err(cannot)?;
    let file = made.file.try_clone().map_err(cannot)?;
    let summary = write(source, from, to, file, request)?;
    made.place(to, request.force).map_err(cannot)?;
    say(&report(&summary).join("\n")).map_err(unsaid)
}

fn write(
    source: FileSource,
    from: &Path,
    to: &Path,
    file: File,
    request: &Request,
) -> Result<Summary, String> {
    let mut target = Seekable::new(file).map_err(|error| format!("{}: {error}", to.display()))?;
    let result = {
        let mut bar = Bar::new();
        let progress = |done, all| bar.at(done, all);
        repair::repair_with(
            source,
            &request.hints,
            request.profile,
            &mut target,
            progress,
        )
    };
    let summary = result.map_err(|error| match error {
        repair::RepairError::Read(error) => format!("{}: {error}", from.display()),
        repair::RepairError::Write(WriteError::Output(error)) => {
            format!("{}: {error}", to.display())
        }
        repair::RepairError::Write(error) => format!("{}: {error}", to.display()),
        error => format!("{}: {error}", from.display()),
    })?;
    target
        .into_inner()
        .and_then(|file| file.sync_all())
        .map_err(|error| format!("{}: {error}", to.display()))?;
    Ok(summary)
}

/// `N` or `N/D`, frames a second.
fn rate(text: &str) -> Option<Rate> {
    let (numerator, denominator) = text.split_once('/').unwrap_or((text, "1"));
    Rate::new(numerator.parse().ok()?, denominator.parse().ok()?)
}

/// `RATE,CHANNELS,BITS`
fn sound(text: &str) -> Option<Layout> {
    let numbers: Option<Vec<u32>> = text.split(',').map(|number| number.parse().ok()).collect();
    let [
        rate @ 1..=768_000,
        channels @ 1..=64,
        bits @ (8 | 16 | 24 | 32),
    ] = numbers?[..]
    else {
        return None;
    };
    Some(Layout::of_bits(rate, channels as u16, bits as u8))
}

/// What the command line asks for.
struct Arguments {
    request: Request,
    only_check: bool,
    paths: Vec<PathBuf>,
}

/// Reads the command line; `Ok(None)` if it asks for help.
fn arguments() -> Result<Option<Arguments>, String> {
    let mut all = Arguments {
        request: Request {
            profile: Profile::Standard,
            hints: Hints::default(),
            force: false,
        },
        only_check: false,
        paths: Vec::new(),
    };
    let request = &mut all.request;
    let mut args = std::env::args_os().skip(1);
    let wrong = || USAGE.to_owned();
    while let Some(arg) = args.next() {
        let mut value = || {
            let value = args.next().and_then(|value| value.into_string().ok());
            value.ok_or_else(wrong)
        };
        match arg.to_str() {
            Some("--check-k210") => all.only_check = true,
            Some("--force") => request.force = true,
            Some("--profile") => {
                request.profile = match value()?.as_str() {
                    "standard" => Profile::Standard,
                    "k210" => Profile::K210,
                    _ => return Err(wrong()),
                }
            }
            Some("--rate") => request.hints.rate = Some(rate(&value()?).ok_or_else(wrong)?),
            Some("--sound") => request.hints.sound = Some(sound(&value()?).ok_or_else(wrong)?),
            Some("--help" | "-h") => return Ok(None),
            Some(option) if option.starts_with("--") => {
                return Err(format!("unknown option {option}\n{USAGE}"));
            }
            _ => all.paths.push(arg.into()),
        }
    }
    Ok(Some(all))
}

fn main() -> ExitCode {
    let result = match arguments() {
        Ok(None) => say(USAGE).map_err(unsaid).map(|()| true),
        Ok(Some(all)) => match (all.only_check, all.paths.as_slice()) {
            (true, [path]) => check(path),
            (false, [from, to]) => mend(from, to, &all.request).map(|()| true),
            _ => Err(USAGE.to_owned()),
        },
        Err(error) => Err(error),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            complain(&error);
            ExitCode::from(2)
        }
    }
}
