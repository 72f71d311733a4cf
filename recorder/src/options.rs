// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::{Config, ConfigError};

pub(crate) const USAGE: &str = "\
usage: kendryte-recorder [--check-config] [--listen ADDRESS:PORT] [--directory DIR] CONFIG
       kendryte-recorder --demo [--listen ADDRESS:PORT] [--directory DIR]
       kendryte-recorder --hash-password

  CONFIG          the configuration, a TOML file; read again on SIGHUP
  --check-config  say whether it can be followed, and end
  --demo          a simulated board, without a configuration
  --hash-password asks for a password and prints what the configuration has for it
  --listen        where the page is (127.0.0.1:8080; port 0 is a free one)
  --directory     where clips go";

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Task {
    Run,
    CheckConfig,
    HashPassword,
    Help,
    Version,
}

/// The command line.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub task: Task,
    /// `None` is the demonstration.
    pub config: Option<PathBuf>,
    listen: Option<SocketAddr>,
    directory: Option<PathBuf>,
}

impl Options {
    /// Reads the program's arguments.
    pub(crate) fn parse() -> Result<Self, lexopt::Error> {
        use lexopt::prelude::*;
        let mut options = Self {
            task: Task::Run,
            config: None,
            listen: None,
            directory: None,
        };
        let mut demo = false;
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("check-config") => options.task = Task::CheckConfig,
                Long("hash-password") => options.task = Task::HashPassword,
                Long("demo") => demo = true,
                Long("listen") => options.listen = Some(parser.value()?.parse()?),
                Long("directory") => options.directory = Some(parser.value()?.into()),
                Short('h') | Long("help") => options.task = Task::Help,
                Short('V') | Long("version") => options.task = Task::Version,
                Value(path) if options.config.is_none() => options.config = Some(path.into()),
                other => return Err(other.unexpected()),
            }
        }
        let asks = matches!(
            options.task,
            Task::Help | Task::Version | Task::HashPassword
        );
        if demo == options.config.is_some() && !asks {
            return Err("give a configuration or --demo".into());
        }
        Ok(options)
    }

    /// The configuration as the file has it now, and what the command line says instead.
    pub(crate) fn config(&self) -> Result<Config, ConfigError> {
        let mut config = match &self.config {
            Some(path) => Config::read(path)?,
            None => Config::demo()?,
        };
        if let Some(listen) = self.listen {
            config.http.listen = listen;
        }
        if let Some(directory) = &self.directory {
            config.directory.clone_from(directory);
        }
        // What the command line says is checked as well.
        config.check()?;
        Ok(config)
    }
}
