// SPDX-License-Identifier: MIT OR Apache-2.0
//! `kendryte-recorder`: records what cameras saw before an event, and shows it in the browser.
//!
//! Each camera is a pipeline of this project's elements, which do all that has to do with pictures
//! and sound. `docs/recorder.md` is the manual.
#![forbid(unsafe_code)]

mod camera;
mod cameras;
mod clip;
mod config;
mod events;
mod http;
mod index;
mod listener;
mod lock;
mod log;
mod mqtt;
mod offload;
mod options;
mod pins;
mod rtsp;
mod service;
mod source;
mod sync;
mod trigger;

use std::io::IsTerminal;
use std::process::ExitCode;

use config::Config;
use options::{Options, Task};

fn main() -> ExitCode {
    let options = match Options::parse() {
        Ok(options) => options,
        Err(error) => {
            closed_output::complain(&format!("{error}\n\n{}", options::USAGE));
            return ExitCode::from(2);
        }
    };
    let done = match options.task {
        Task::Help => closed_output::say(options::USAGE).map_err(Error::from),
        Task::Version => {
            let version = concat!("kendryte-recorder ", env!("CARGO_PKG_VERSION"));
            closed_output::say(version).map_err(Error::from)
        }
        Task::HashPassword => hash_password(),
        Task::CheckConfig | Task::Run => return run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            closed_output::complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Does what has a log.
fn run(options: &Options) -> ExitCode {
    if let Err(error) = log::begin() {
        closed_output::complain(&format!("the log: {error}"));
        return ExitCode::FAILURE;
    }
    let done = follow(options);
    if let Err(error) = &done {
        log::complain(&error.to_string());
    }
    log::end();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

type Error = Box<dyn std::error::Error + Send + Sync>;

fn follow(options: &Options) -> Result<(), Error> {
    let config = options.config()?;
    gst::init()?;
    gstkendryte::plugin_register_static()?;
    if options.task == Task::CheckConfig {
        check(&config)?;
        config.http.tls.as_ref().map(http::acceptor).transpose()?;
        log::result(&format!("{} cameras, nothing wrong", config.cameras.len()));
        return Ok(());
    }
    std::fs::create_dir_all(&config.directory)
        .map_err(|error| format!("{}: {error}", config.directory.display()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(32)
        .enable_all()
        .build()?;
    runtime.block_on(service::run(options, config))
}

/// Reads a line and prints its hash.
fn hash_password() -> Result<(), Error> {
    if std::io::stdin().is_terminal() {
        closed_output::complain("The password, which is shown as you type:");
    }
    let mut password = String::new();
    std::io::stdin().read_line(&mut password)?;
    let password = password.trim_end_matches(['\r', '\n']);
    if password.chars().count() < 8 {
        return Err("a password has eight characters or more".into());
    }
    Ok(closed_output::say(&http::auth::hash_password(password)?)?)
}

/// Builds each pipeline, so that missing elements and misspelt properties are found.
fn check(config: &Config) -> Result<(), Error> {
    for camera in &config.cameras {
        source::build(camera).map_err(|error| format!("camera {:?}: {error}", camera.name))?;
    }
    Ok(())
}
