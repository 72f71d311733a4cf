// SPDX-License-Identifier: MIT OR Apache-2.0
//! `k210-film`: makes a file that a K210 plays of any film, and a film of what a K210 recorded.
//!
//! It exits with 0 if the file was made and, being one for a board, keeps every rule of its player; with
//! 1 if it was made and the board does not play it; with 2 if nothing could be done; with 130 if it was
//! interrupted.
#![forbid(unsafe_code)]

mod bar;
mod convert;
mod options;
mod target;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use avi_mjpeg::k210_check::{self, Verdict};
use avi_mjpeg::reader::window::FileSource;
use closed_output::{complain, say};
use rustix::process::Signal;

use convert::Converted;
use options::{Options, Task};
use target::Target;

type Error = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let task = match options::parse(lexopt::Parser::from_env()) {
        Ok(task) => task,
        Err(error) => {
            complain(&format!("{error}\n\n{}", options::USAGE));
            return ExitCode::from(2);
        }
    };
    let done = match task {
        Task::Convert(options) => make(&options),
        Task::Help => said(options::USAGE),
        Task::Version => said(concat!("k210-film ", env!("CARGO_PKG_VERSION"))),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            complain(&error.to_string());
            ExitCode::from(2)
        }
    }
}

/// Says what was asked for and nothing else.
fn said(text: &str) -> Result<u8, Error> {
    say(text)?;
    Ok(0)
}

fn make(options: &Options) -> Result<u8, Error> {
    // Beyond the limit of a file's size writing fails then, and the program does not end with what it began.
    let beyond = Arc::<AtomicBool>::default();
    signal_hook::flag::register(Signal::XFSZ.as_raw(), beyond)?;
    gst::init()?;
    gstkendryte::plugin_register_static()?;
    let target = Target::new(&options.film, &options.file, options.force)?;
    let Some(converted) = convert::convert(options, target.unfinished())? else {
        return Ok(130);
    };
    let plays = !options.for_board() || plays_on_board(target.unfinished())?;
    target.finish()?;
    say(&summary(options, &converted, plays))?;
    Ok(u8::from(!plays))
}

/// Whether the player shows all of the file; what it stops at is said.
fn plays_on_board(file: &std::path::Path) -> Result<bool, Error> {
    let report = k210_check::check(FileSource::open(file)?, |_| ())?;
    for (rule, verdict) in &report.verdicts {
        if let Verdict::Broken(why) = verdict {
            complain(&format!("{}: {why}", rule.text()));
        }
    }
    Ok(report.plays())
}

fn summary(options: &Options, converted: &Converted, plays: bool) -> String {
    let board = match (options.for_board(), plays) {
        (true, true) => "; it plays on a K210",
        (true, false) => "; it does not play on a K210",
        _ => "",
    };
    format!(
        "{}: {} frames, {:.1} s, {} KiB, with{} sound{board}",
        options.file.display(),
        converted.frames,
        converted.duration.nseconds() as f64 / 1e9,
        converted.bytes / 1024,
        if converted.sound { "" } else { "out" },
    )
}
