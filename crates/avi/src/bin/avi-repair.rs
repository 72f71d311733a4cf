// SPDX-License-Identifier: MIT OR Apache-2.0
//! Makes a sound AVI of a damaged or unfinished one, and says whether a file
//! plays on a K210.
//!
//! ```text
//! avi-repair broken.avi sound.avi
//! avi-repair --profile k210 broken.avi sound.avi
//! avi-repair --check-k210 some.avi
//! ```
//!
//! The new file has every intact frame at its time, and sound likewise; what was
//! lost is listed. It exits with 0 if the repair (or the check) went well, with
//! 1 if the file does not play on a K210, and with 2 if nothing could be done.

use std::fs::File;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use avi_mjpeg::k210_check::{self, Verdict};
use avi_mjpeg::output::Seekable;
use avi_mjpeg::reader::window::FileSource;
use avi_mjpeg::repair::{self, Summary};
use avi_mjpeg::writer::Profile;

const USAGE: &str = "usage: avi-repair [--profile standard|k210] [--force] IN OUT
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

fn report(summary: &Summary) {
    for finding in &summary.findings {
        println!("{finding}");
    }
    for (stream, why) in &summary.left_out {
        println!("stream {stream} is left out: {why}");
    }
    println!("{} frames were copied", summary.frames);
    if summary.missing > 0 {
        println!("{} places have no frame of their own", summary.missing);
    }
    if summary.refused > 0 {
        println!(
            "{} frames cannot be in such a file; the first: {}",
            summary.refused,
            summary.refused_why.as_deref().unwrap_or_default()
        );
    }
    if summary.padding > 0 {
        println!("{} bytes of padding were cut off", summary.padding);
    }
    if summary.sound > 0 || summary.silence > 0 {
        println!(
            "{} bytes of sound were copied, {} are silence in the place of lost ones",
            summary.sound, summary.silence
        );
    }
    let lost = summary.missing + summary.refused;
    if lost == 0 && summary.findings.is_empty() {
        println!("nothing was lost");
    }
}

fn check(path: &Path) -> Result<bool, String> {
    let source = FileSource::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let size = std::fs::metadata(path).map_or(0, |m| m.len());
    let report = {
        let mut bar = Bar::new();
        k210_check::check(source, |done| bar.at(done, size))
            .map_err(|error| format!("{}: {error}", path.display()))?
    };
    for (rule, verdict) in &report.verdicts {
        match verdict {
            Verdict::Kept => println!("ok      {}", rule.text()),
            Verdict::DoesNotApply => println!("-       {} (does not apply)", rule.text()),
            Verdict::NotReached => println!("?       {} (not reached)", rule.text()),
            Verdict::Broken(why) => println!("BROKEN  {}: {why}", rule.text()),
        }
    }
    if report.plays() {
        println!("it plays on a K210: {} frames", report.frames);
    } else {
        println!(
            "it does not play on a K210: {} frames are shown",
            report.frames
        );
    }
    Ok(report.plays())
}

fn mend(from: &Path, to: &Path, profile: Profile, force: bool) -> Result<(), String> {
    let source = FileSource::open(from).map_err(|error| format!("{}: {error}", from.display()))?;
    let same = match (from.canonicalize(), to.canonicalize()) {
        (Ok(from), Ok(to)) => from == to,
        _ => false,
    };
    if same {
        return Err("the new file cannot be the old one".to_owned());
    }
    let mut options = File::options();
    options.write(true).truncate(force);
    if force {
        options.create(true);
    } else {
        options.create_new(true);
    }
    let file = options
        .open(to)
        .map_err(|error| format!("{}: {error} (--force overwrites)", to.display()))?;
    let mut target = Seekable::new(file).map_err(|error| format!("{}: {error}", to.display()))?;
    let result = {
        let mut bar = Bar::new();
        repair::repair(source, profile, &mut target, |done, all| bar.at(done, all))
    };
    let finish = result.map_err(|error| match error {
        repair::RepairError::Read(error) => format!("{}: {error}", from.display()),
        repair::RepairError::Write(error) => format!("{}: {error}", to.display()),
        error => format!("{}: {error}", from.display()),
    });
    let written = target
        .into_inner()
        .map_err(|error| format!("{}: {error}", to.display()))
        .and_then(|file| {
            file.sync_all()
                .map_err(|error| format!("{}: {error}", to.display()))
        });
    match (finish, written) {
        (Ok(summary), Ok(())) => {
            report(&summary);
            Ok(())
        }
        (Err(error), _) | (_, Err(error)) => {
            // What was begun is no sound file.
            let _ = std::fs::remove_file(to);
            Err(error)
        }
    }
}

fn main() -> ExitCode {
    let mut profile = Profile::Standard;
    let (mut only_check, mut force) = (false, false);
    let mut paths: Vec<PathBuf> = Vec::new();
    let mut args = std::env::args_os().skip(1);
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--check-k210") => only_check = true,
            Some("--force") => force = true,
            Some("--profile") => match args.next().as_ref().and_then(|a| a.to_str()) {
                Some("standard") => profile = Profile::Standard,
                Some("k210") => profile = Profile::K210,
                _ => {
                    eprintln!("{USAGE}");
                    return ExitCode::from(2);
                }
            },
            Some("--help" | "-h") => {
                println!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            Some(option) if option.starts_with("--") => {
                eprintln!("unknown option {option}\n{USAGE}");
                return ExitCode::from(2);
            }
            _ => paths.push(arg.into()),
        }
    }
    let result = match (only_check, paths.as_slice()) {
        (true, [path]) => check(path),
        (false, [from, to]) => mend(from, to, profile, force).map(|()| true),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}
