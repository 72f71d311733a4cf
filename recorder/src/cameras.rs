// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cameras that the configuration names.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::camera::Camera;
use crate::config;
use crate::events::Events;
use crate::rtsp::Feed;
use crate::sync::lock;

/// All that run, in the order of the configuration.
#[derive(Debug)]
pub(crate) struct Cameras {
    directory: PathBuf,
    events: Events,
    /// Whether they are to be watched by RTSP.
    watched: bool,
    running: Mutex<Vec<Arc<Camera>>>,
}

impl Cameras {
    /// With their clips in `directory`, and `watched` by RTSP or not.
    pub(crate) fn new(directory: &Path, events: Events, watched: bool) -> Self {
        Self {
            directory: directory.to_owned(),
            events,
            watched,
            running: Mutex::default(),
        }
    }

    /// Where clips are, in a folder for each camera.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Those that run.
    pub(crate) fn list(&self) -> Vec<Arc<Camera>> {
        lock(&self.running).clone()
    }

    /// By its name.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Camera>> {
        let running = lock(&self.running);
        running.iter().find(|camera| camera.name() == name).cloned()
    }

    /// Ends cameras that the configuration has no more or otherwise, and starts those that are new in
    /// it. The others do not notice. Waits until files are whole.
    pub(crate) fn follow(&self, wanted: &[config::Camera]) {
        let before = self.list();
        let stays = |camera: &&Arc<Camera>| wanted.contains(camera.config());
        let (stay, go): (Vec<_>, Vec<_>) = before.iter().partition(stays);
        go.iter().for_each(|camera| camera.stop());
        // Not before: two would want the same device.
        go.iter().for_each(|camera| camera.join());
        let running = wanted.iter().filter_map(|config| {
            let same = stay.iter().find(|camera| camera.config() == config);
            same.map(|camera| Arc::clone(camera))
                .or_else(|| self.start(config))
        });
        let running: Vec<_> = running.collect();
        *lock(&self.running) = running;
    }

    fn start(&self, config: &config::Camera) -> Option<Arc<Camera>> {
        let feed = self.watched.then(Arc::<Feed>::default);
        match Camera::start(config.clone(), &self.directory, self.events.clone(), feed) {
            Ok(camera) => {
                tracing::info!(camera = config.name, source = config.source, "started");
                Some(Arc::new(camera))
            }
            Err(error) => {
                let folder = self.directory.join(&config.name);
                tracing::error!(camera = config.name, "{}: {error}", folder.display());
                None
            }
        }
    }

    /// Ends all and waits until files are whole.
    pub(crate) fn stop(&self) {
        let all = self.list();
        all.iter().for_each(|camera| camera.stop());
        all.iter().for_each(|camera| camera.join());
    }

    /// How long the thread that did not go round for longest has not.
    pub(crate) fn silent(&self) -> Duration {
        let all = self.list();
        let silent = all.iter().map(|camera| camera.silent());
        silent.max().unwrap_or_default()
    }
}
