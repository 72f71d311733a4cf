// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who hears what happens: the outbox, in order, and the index. What the disk does not take for now is taken later.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::clip::Clip;
use crate::events::Event;
use crate::index::Index;
use crate::mqtt::Station;
use crate::sync::is_true;

/// How long to wait before the disk is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// What waits for the disk at most; then the oldest is lost.
const MOST: usize = 100_000;

pub(crate) struct Listener {
    index: Index,
    station: Option<Station>,
    /// What is still to be put into the outbox.
    untold: VecDeque<(String, String)>,
    /// Clips that the index has still to take in.
    untaken: VecDeque<Clip>,
    /// That the disk does not take them was told.
    told: [bool; 2],
}

impl Listener {
    pub(crate) fn new(index: Index, station: Option<Station>) -> Self {
        Self {
            index,
            station,
            untold: VecDeque::new(),
            untaken: VecDeque::new(),
            told: [false; 2],
        }
    }

    /// Follows what happens, until it is to stop and all has been heard.
    pub(crate) async fn run(
        mut self,
        mut happened: UnboundedReceiver<Event>,
        mut stopped: watch::Receiver<bool>,
    ) {
        let mut next = Instant::now();
        loop {
            let waits = !self.untold.is_empty() || !self.untaken.is_empty();
            let event = tokio::select! {
                event = happened.recv() => event,
                () = tokio::time::sleep_until(next), if waits => {
                    self.write().await;
                    next = Instant::now() + AGAIN;
                    continue;
                }
                () = is_true(&mut stopped) => {
                    happened.close();
                    happened.recv().await
                }
            };
            let Some(event) = event else {
                break;
            };
            self.hear(event).await;
            // While something waits the disk is tried now and then, and not for each event.
            if !waits {
                self.write().await;
                next = Instant::now() + AGAIN;
            }
        }
        self.write().await;
        let (untold, untaken) = (self.untold.len(), self.untaken.len());
        if untold > 0 || untaken > 0 {
            tracing::error!(untold, untaken, "the disk does not take what happened last");
        }
    }

    async fn hear(&mut self, event: Event) {
        if let Some(station) = &self.station {
            if let Event::Camera { camera, .. } = &event {
                station.tell_state(camera);
            }
            self.untold.extend(station.letter(&event));
        }
        match event {
            Event::Camera { camera, state, .. } => {
                tracing::info!(camera, state = state.name(), "changed");
            }
            Event::Finished { clip } => self.untaken.push_back(clip),
            Event::Uploaded { clip } => {
                let told = self.index.told(&clip.camera, &clip.name).await;
                heed(&clip.camera, &clip.name, told);
            }
            Event::Deleted { camera, name } => {
                self.untaken
                    .retain(|clip| (&clip.camera, &clip.name) != (&camera, &name));
                heed(&camera, &name, self.index.lose(&camera, &name).await);
            }
            event => tracing::debug!("{event:?}"),
        }
        for waiting in [self.untold.len(), self.untaken.len()] {
            if waiting > MOST {
                tracing::error!("the disk takes nothing for too long: the oldest event is lost");
            }
        }
        self.untold.drain(..self.untold.len().saturating_sub(MOST));
        self.untaken
            .drain(..self.untaken.len().saturating_sub(MOST));
    }

    /// Writes what waits, in order, as far as the disk takes it.
    async fn write(&mut self) {
        let [told, taken] = &mut self.told;
        if let Some(station) = &self.station {
            while let Some(letter) = self.untold.front() {
                let done = station.take(letter).await;
                if !settle(done, told, "the outbox", "what happens is told later") {
                    break;
                }
                self.untold.pop_front();
            }
        }
        while let Some(clip) = self.untaken.front() {
            let done = self.index.put(clip).await;
            if !settle(done, taken, "the index", "clips are taken in later") {
                break;
            }
            self.untaken.pop_front();
        }
    }
}

/// Whether it was done; says once that it was not.
fn settle(done: Result<(), sqlx::Error>, told: &mut bool, what: &str, then: &str) -> bool {
    match done {
        Ok(()) => {
            if std::mem::take(told) {
                tracing::info!("{what} is written again");
            }
            true
        }
        Err(error) => {
            if !std::mem::replace(told, true) {
                tracing::error!("{what}: {error}; {then}");
            }
            false
        }
    }
}

fn heed(camera: &str, clip: &str, done: Result<(), sqlx::Error>) {
    if let Err(error) = done {
        tracing::error!(camera, clip, "the index: {error}");
    }
}
