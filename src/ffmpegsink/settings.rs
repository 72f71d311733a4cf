// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ffmpegsink`'s properties, and the command line that they make.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;

use super::process::CommandLine;
use crate::streams::claims::Claim;
use crate::streams::files::{self, CreateError};
use crate::streams::names::numbered;
use crate::streams::property::{Properties, property};

const FFMPEG: &str = "ffmpeg";

/// What the user set.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub args: Option<String>,
    pub ffmpeg: Option<String>,
    pub overwrite: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            args: Some(String::new()),
            ffmpeg: Some(FFMPEG.into()),
            overwrite: true,
        }
    }
}

/// What the properties are called and may be.
pub(crate) static PROPERTIES: LazyLock<Properties<Settings>> = LazyLock::new(|| {
    Properties::new(vec![
        property!(Settings: args => |name| glib::ParamSpecString::builder(name)
            .nick("Arguments")
            .blurb(
                "What follows the inputs on ffmpeg's command line, quoted as for a shell; \
                 the streams are its input 0 (default: none)",
            )
            .default_value(Some(""))
            .mutable_ready()),
        property!(Settings: ffmpeg => |name| glib::ParamSpecString::builder(name)
            .nick("ffmpeg")
            .blurb("The program, by name or path (default ffmpeg)")
            .default_value(Some(FFMPEG))
            .mutable_ready()),
        property!(Settings: overwrite => |name| glib::ParamSpecBoolean::builder(name)
            .nick("Overwrite")
            .blurb("Overwrite a file that exists; otherwise it is an error (default true)")
            .default_value(true)
            .mutable_ready()),
    ])
    .with_read_only(vec![
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb(
                "frames (of video that came), dropped-empty, dropped-ended (of video that is in no file: \
                 without data, or behind the stream's end), files (begun), jumps (how often timestamps \
                 began anew or jumped ahead)",
            )
            .read_only()
            .build(),
    ])
});

/// Why there is no command line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArgsError {
    /// A quote has no end.
    #[error("A quote is not closed in args: {0}")]
    Quote(String),
    /// There is nothing to write to.
    #[error("args is empty: give ffmpeg at least the name of a file to write")]
    Empty,
}

/// Options for outputs that stand alone; all others have a value behind them.
const FLAGS: [&str; 21] = [
    "accurate_seek",
    "an",
    "autorotate",
    "benchmark",
    "bitexact",
    "copy_unknown",
    "copyinkf",
    "copyts",
    "dn",
    "hide_banner",
    "ignore_unknown",
    "n",
    "re",
    "report",
    "shortest",
    "sn",
    "start_at_zero",
    "stats",
    "vn",
    "xerror",
    "y",
];

/// What an argument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// An option, or the value of one.
    Option,
    /// The file that is written.
    File,
    /// What is written and is no file (`rtmp://...`, `pipe:1`, `-`).
    Other,
}

/// The arguments with what they are.
fn kinds(args: Vec<String>) -> impl Iterator<Item = (Kind, String)> {
    let mut has_value = false;
    args.into_iter().map(move |arg| {
        if std::mem::take(&mut has_value) {
            return (Kind::Option, arg);
        }
        if let Some(option) = arg.strip_prefix('-').filter(|option| !option.is_empty()) {
            // For some streams only.
            let (option, _) = option.split_once(':').unwrap_or((option, ""));
            // -nostats is -stats the other way round.
            let negated = option.strip_prefix("no").unwrap_or(option);
            has_value = !FLAGS.contains(&option) && !FLAGS.contains(&negated);
            return (Kind::Option, arg);
        }
        let scheme = arg.split_once(':').map_or("file", |(scheme, _)| scheme);
        match arg != "-" && scheme == "file" && !arg.starts_with("/dev/") {
            true => (Kind::File, arg),
            false => (Kind::Other, arg),
        }
    })
}

/// The arguments for the file of that number: from the second on, the files have numbers as
/// `recordsink`'s have. What is no file is the same again.
fn for_file(args: Vec<String>, number: u64) -> Vec<String> {
    let args = kinds(args).map(|(kind, arg)| match kind == Kind::File && number > 0 {
        true => numbered(&arg, number).to_string_lossy().into_owned(),
        false => arg,
    });
    args.collect()
}

/// Whether what is written there is one file, for all that can be told: `tee` has several names in one, `null`
/// writes none, and names of some muxers have places for times or numbers in directories too.
fn is_one_file(name: &str, format: Option<&str>) -> bool {
    let writes_none = format.is_some_and(|format| ["null", "tee", "sdl", "sdl2"].contains(&format));
    !writes_none && !name.contains(['|', '[', '%', '$'])
}

impl Settings {
    /// Looks whether the files that ffmpeg is to write can be made.
    pub(crate) fn check_places(&self) -> Result<(), CreateError> {
        for path in self.files(0) {
            files::check_directory(&path)?;
            files::check_unclaimed(&path)?;
        }
        Ok(())
    }

    /// Has nobody else in this process write the files of that number.
    pub(crate) fn claim_files(&self, number: u64) -> Result<Vec<Claim>, CreateError> {
        self.files(number)
            .iter()
            .map(|it| files::claim(it))
            .collect()
    }

    /// The files of that number, as far as it can be told which they are.
    fn files(&self, number: u64) -> Vec<PathBuf> {
        let text = self.args.as_deref().unwrap_or_default();
        let (mut format, mut names_format) = (None, false);
        let mut files = Vec::new();
        for (kind, arg) in kinds(for_file(shlex::split(text).unwrap_or_default(), number)) {
            match kind {
                Kind::File if is_one_file(&arg, format.as_deref()) => {
                    files.push(arg.strip_prefix("file:").unwrap_or(&arg).into());
                }
                Kind::Option if std::mem::take(&mut names_format) => format = Some(arg),
                Kind::Option => names_format = arg == "-f",
                // The options of the next one are behind it.
                Kind::File | Kind::Other => format = None,
            }
        }
        files
    }

    /// The command line for the file of that number, the first one 0.
    pub(crate) fn command(&self, number: u64) -> Result<CommandLine, ArgsError> {
        let text = self.args.as_deref().unwrap_or_default();
        let user_args = shlex::split(text).ok_or_else(|| ArgsError::Quote(text.to_owned()))?;
        if user_args.is_empty() {
            return Err(ArgsError::Empty);
        }
        // -nostdin and a group of its own: ffmpeg must not look for keys on our terminal.
        let mut args: Vec<String> = ["-hide_banner", "-nostdin", "-nostats", "-loglevel"]
            .map(str::to_owned)
            .to_vec();
        args.push("level+info".into());
        args.push(if self.overwrite { "-y" } else { "-n" }.into());
        args.extend(["-f", "matroska", "-i", "pipe:0"].map(str::to_owned));
        args.extend(for_file(user_args, number));
        Ok(CommandLine {
            program: OsString::from(self.ffmpeg.as_deref().unwrap_or(FFMPEG)),
            args,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(args: &str, number: u64) -> String {
        let settings = Settings {
            args: Some(args.to_owned()),
            ..Settings::default()
        };
        let args = settings.command(number).unwrap().args;
        let input = args.iter().position(|arg| arg == "pipe:0").unwrap();
        args[input + 1..].join(" ")
    }

    #[test]
    fn the_next_files_have_numbers() {
        for (given, next) in [
            ("-c:v mpeg4 a.mp4", "-c:v mpeg4 a-00001.mp4"),
            (
                "-an -shortest /x.y/a.mkv -c copy b.avi",
                "-an -shortest /x.y/a-00001.mkv -c copy b-00001.avi",
            ),
            (
                "-i other.wav -map 0 a.mkv",
                "-i other.wav -map 0 a-00001.mkv",
            ),
            ("-nostats a.mkv", "-nostats a-00001.mkv"),
            ("-copyinkf:v a.mkv", "-copyinkf:v a-00001.mkv"),
            ("-copyinkf a.mkv", "-copyinkf a-00001.mkv"),
            ("-f flv rtmp://host/live", "-f flv rtmp://host/live"),
            ("-f null -", "-f null -"),
            ("-f mjpeg pipe:1", "-f mjpeg pipe:1"),
            ("-y /dev/null", "-y /dev/null"),
        ] {
            assert_eq!(args(given, 0), given);
            assert_eq!(args(given, 1), next);
        }
    }

    #[test]
    fn a_file_whose_directory_is_missing_is_named() {
        let check = |args: &str| {
            let settings = Settings {
                args: Some(args.to_owned()),
                ..Settings::default()
            };
            settings.check_places()
        };
        for missing in [
            "/none/a.mp4",
            "-c copy -f mp4 file:/none/a.mp4",
            "-f null - -c copy /none/a.mp4",
        ] {
            let error = check(missing).unwrap_err().to_string();
            assert!(error.contains("/none/a.mp4' can't be created"), "{error}");
        }
        // The tests may run in a tree that is read-only.
        let here = tempfile::tempfile_in(".").is_ok();
        for (args, fine) in [
            ("a.mp4", here),
            ("-f null /none/a", true),
            ("-c copy -f tee /none/a.mp4|b.ts", true),
            ("-i /none/a.wav -map 0 a.mkv", here),
            ("-progress /none/log a.mkv", here),
            ("-strftime 1 /none/%Y/a.mp4", true),
            ("rtmp://none/a", true),
            ("-", true),
        ] {
            assert_eq!(check(args).is_ok(), fine, "{args}");
        }
    }
}
