// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ffmpegsink`'s properties, and the command line that they make.

use std::ffi::OsString;
use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;

use super::process::CommandLine;
use crate::streams::property::{Properties, property};

const FFMPEG: &str = "ffmpeg";

/// What the user set.
#[derive(Debug, Clone)]
pub struct Settings {
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
pub static PROPERTIES: LazyLock<Properties<Settings>> = LazyLock::new(|| {
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
});

/// Why there is no command line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgsError {
    /// A quote has no end.
    #[error("A quote is not closed in args: {0}")]
    Quote(String),
    /// There is nothing to write to.
    #[error("args is empty: give ffmpeg at least the name of a file to write")]
    Empty,
}

impl Settings {
    /// The command line.
    pub fn command(&self) -> Result<CommandLine, ArgsError> {
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
        args.extend(user_args);
        Ok(CommandLine {
            program: OsString::from(self.ffmpeg.as_deref().unwrap_or(FFMPEG)),
            args,
        })
    }
}
