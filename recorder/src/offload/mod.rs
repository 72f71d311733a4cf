// SPDX-License-Identifier: MIT OR Apache-2.0
//! Brings finished clips to the store, and deletes there what was deleted here.
//!
//! The index is the queue. Whatever is done can be done again: an upload that a kill has cut off goes on,
//! one that had arrived is found in the store, and what is there has one name. A clip is marked when the
//! store has it whole, by size and checksum, and only then its file may go.

mod chores;
mod client;
mod mark;
mod store;
mod unfinished;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clip::{Clip, FACTS, PICTURE};
use crate::config;
use crate::events::{Event, Events};
use crate::index::{Backlog, Index, Upload};
use crate::lock::Identity;
use crate::pins;
use crate::sync::{is_true, lock};

use chores::Chores;
use mark::Watch;
pub(crate) use store::StoreError;
use store::{Digest, Memory, Store};

/// The first wait after a failure; each next one is twice as long.
const FIRST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(300);
/// How often the index is asked when nothing is to be done.
const TURN: Duration = Duration::from_millis(500);

/// What has come of it since the program started.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub clips: AtomicU64,
    pub bytes: AtomicU64,
    pub failures: AtomicU64,
    /// Why the last upload failed, until one arrives.
    error: Mutex<Option<String>>,
}

/// How the store is doing.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct Status {
    pub backlog: Backlog,
    pub error: Option<String>,
}

/// The store and the way to it.
#[derive(Debug)]
pub(crate) struct Offload {
    pub store: Store,
    config: config::Store,
    index: Index,
    events: Events,
    directory: PathBuf,
    pub progress: Progress,
}

impl Offload {
    /// Begins to bring clips to the store, until `stopped` is true.
    pub(crate) fn start(
        config: &config::Store,
        directory: &Path,
        identity: Identity,
        index: Index,
        events: Events,
        stopped: watch::Receiver<bool>,
    ) -> object_store::Result<(Arc<Self>, JoinHandle<()>)> {
        let offload = Arc::new(Self {
            store: Store::new(config, index.site())?,
            config: config.clone(),
            index,
            events,
            directory: directory.to_owned(),
            progress: Progress::default(),
        });
        let watch = Watch::new(identity, Duration::from_secs(config.watch.into()));
        let running = offload.clone().run(Chores::new(watch), stopped);
        Ok((offload, tokio::spawn(running)))
    }

    /// How it is doing.
    pub(crate) async fn status(&self) -> Result<Status, sqlx::Error> {
        Ok(Status {
            backlog: self.index.backlog(self.config.continuous).await?,
            error: lock(&self.progress.error).clone(),
        })
    }

    async fn run(self: Arc<Self>, mut chores: Chores, mut stopped: watch::Receiver<bool>) {
        if let Err(error) = self.tell_untold().await {
            tracing::error!("the index: {error}");
        }
        let mut delay = FIRST_DELAY;
        while !*stopped.borrow() {
            // Whatever is under way goes on next time, as after a kill.
            let turned = tokio::select! {
                turned = self.turn(&mut chores) => turned,
                () = is_true(&mut stopped) => break,
            };
            let wait = match turned {
                Ok(true) => {
                    delay = FIRST_DELAY;
                    continue;
                }
                Ok(false) => TURN,
                Err(error) => {
                    self.failed(&error);
                    let wait = delay;
                    delay = (delay * 2).min(LONGEST_DELAY);
                    wait
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => (),
                () = is_true(&mut stopped) => break,
            }
        }
    }

    fn failed(&self, error: &StoreError) {
        self.progress.failures.fetch_add(1, Ordering::Relaxed);
        let text = error.to_string();
        let mut known = lock(&self.progress.error);
        // A store that is gone is told of once.
        if known.as_ref() != Some(&text) {
            tracing::warn!("not uploaded: {text}");
        }
        *known = Some(text);
    }

    /// Does what is to be done next; false if there is nothing.
    async fn turn(&self, chores: &mut Chores) -> Result<bool, StoreError> {
        self.do_chores(chores).await;
        let Some(clip) = self.index.next_upload(self.config.continuous).await? else {
            return self.make_room().await;
        };
        if let Err(error) = self.upload(&clip).await {
            self.index.postpone(&clip.camera, &clip.name).await?;
            return Err(error);
        }
        Ok(true)
    }

    /// Brings a clip to the store.
    async fn upload(&self, clip: &Clip) -> Result<(), StoreError> {
        let folder = self.directory.join(&clip.camera);
        let path = folder.join(&clip.name);
        let (part, read) = (self.store.part(), path.clone());
        let digest = tokio::task::spawn_blocking(move || Digest::of(&read, part));
        let digest = match digest.await.map_err(io::Error::other)? {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                tracing::warn!(
                    camera = clip.camera,
                    clip = clip.name,
                    "deleted before it was uploaded"
                );
                return Ok(self.index.lose(&clip.camera, &clip.name).await?);
            }
            digest => digest?,
        };
        // It has it if the program ended between its arrival and its mark.
        if !self.store.has(clip, &digest).await? {
            let memory = Remembered(&self.index, clip);
            let upload = self.index.upload(&clip.camera, &clip.name).await?;
            let sent = self.store.send(clip, &path, &digest, upload, &memory);
            sent.await?;
            if !self.store.has(clip, &digest).await? {
                memory.forget().await?;
                return Err(StoreError::Differs(clip.name.clone()));
            }
        }
        let known = Clip {
            bytes: digest.bytes,
            sha256: Some(digest.sha256.clone()),
            ..clip.clone()
        };
        let picture = tokio::fs::read(folder.join(format!("{}{PICTURE}", clip.name))).await;
        self.store.send_facts(&known, picture.ok()).await?;
        // Whoever sees below that it is stored sees no failure any more.
        *lock(&self.progress.error) = None;
        let there = self.index.stored(&clip.camera, &clip.name, &digest.sha256);
        if !there.await? {
            // Somebody has deleted it meanwhile.
            return Ok(self.index.condemn(&known).await?);
        }
        // A new index knows by this.
        let (facts, beside) = (known.clone(), folder);
        let written = tokio::task::spawn_blocking(move || facts.write_facts(&beside));
        if let Err(error) = written.await.map_err(io::Error::other)? {
            tracing::warn!(camera = clip.camera, "facts of {}: {error}", clip.name);
        }
        tracing::info!(camera = clip.camera, clip = clip.name, "uploaded");
        self.progress.clips.fetch_add(1, Ordering::Relaxed);
        self.progress
            .bytes
            .fetch_add(digest.bytes, Ordering::Relaxed);
        // At the end nobody listens any more; it is told next time.
        let _ = self.events.send(Event::Uploaded { clip: known });
        Ok(())
    }

    /// Tells of what has arrived in an earlier run, which did not live to say so.
    async fn tell_untold(&self) -> Result<(), sqlx::Error> {
        for clip in self.index.untold().await? {
            let _ = self.events.send(Event::Uploaded { clip });
        }
        Ok(())
    }

    /// Deletes files that the store has, if that is wanted, but for those that are pinned; false if there
    /// were none.
    async fn make_room(&self) -> Result<bool, StoreError> {
        if !self.config.delete {
            return Ok(false);
        }
        let mut any = false;
        for clip in self.index.twice().await? {
            let path = self.directory.join(&clip.camera).join(&clip.name);
            if pins::is_pinned(&path) {
                continue;
            }
            for end in ["", FACTS, PICTURE] {
                let mut name = path.as_os_str().to_owned();
                name.push(end);
                match tokio::fs::remove_file(PathBuf::from(name)).await {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(error.into());
                    }
                    _ => (),
                }
            }
            self.index.lose(&clip.camera, &clip.name).await?;
            any = true;
        }
        Ok(any)
    }
}

/// A clip's upload in parts, which the index remembers.
struct Remembered<'a>(&'a Index, &'a Clip);

impl Memory for Remembered<'_> {
    async fn remember(&self, upload: &Upload) -> Result<(), sqlx::Error> {
        let Self(index, clip) = self;
        index.set_upload(&clip.camera, &clip.name, upload).await
    }

    async fn forget(&self) -> Result<(), sqlx::Error> {
        let Self(index, clip) = self;
        index.end_upload(&clip.camera, &clip.name).await
    }
}
