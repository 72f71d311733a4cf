// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the page and programs ask for, as JSON.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};

use super::App;
use super::error::HttpError;
use super::files;
use crate::camera::{Camera, Status};
use crate::clip::{self, Clip, FACTS, PICTURE};
use crate::events::Event;
use crate::index::{self, Entry, Shared};
use crate::offload;
use crate::pins;
use crate::trigger::{self, Order, Triggered};

/// Clips in an answer, where nothing else is asked for, and at most.
const CLIPS: u32 = 100;
const MOST_CLIPS: u32 = 1000;

/// How everything is doing.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Report {
    cameras: Vec<Status>,
    /// Of the file system that clips are on, bytes; nothing where it does not say.
    disk: Option<Disk>,
    /// How the store is doing, if there is one.
    store: Option<offload::Status>,
    /// Whether the index of all machines has what this one has, if there is one.
    shared_index: Option<bool>,
    /// Another number when clips have changed.
    changes: u64,
    /// Whether one has signed in, and can sign out.
    session: bool,
}

/// Room for clips.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Disk {
    /// What this program may still write.
    pub free: u64,
    pub total: u64,
}

/// A clip as it is told.
#[derive(Debug, Serialize)]
struct Listed {
    #[serde(flatten)]
    clip: Clip,
    /// No limit deletes it.
    pinned: bool,
    /// Whether its machine has the file.
    here: bool,
    /// The machine that recorded it, where all are asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<String>,
}

/// What may be said with a trigger; what else is said is an error.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Wish {
    event: Option<String>,
    after: Option<u64>,
    pin: bool,
}

/// Which clips are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Wanted {
    /// A machine, `*` for all: of what the index of all machines has.
    site: Option<String>,
    camera: Option<String>,
    event: Option<String>,
    /// Milliseconds since 1970.
    from: Option<i64>,
    to: Option<i64>,
    limit: Option<u32>,
}

/// Of today, not of a cache.
const FRESH: [(header::HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

impl App {
    fn camera(&self, name: &str) -> Result<Arc<Camera>, HttpError> {
        let camera = self.0.cameras.get(name);
        camera.ok_or_else(|| HttpError::NoCamera(name.to_owned()))
    }

    /// Room where clips are.
    pub(crate) fn disk(&self) -> Option<Disk> {
        let found = rustix::fs::statvfs(self.0.cameras.directory()).ok()?;
        Some(Disk {
            free: found.f_bavail * found.f_frsize,
            total: found.f_blocks * found.f_frsize,
        })
    }
}

pub(crate) async fn state(State(app): State<App>) -> Result<impl IntoResponse, HttpError> {
    let store = match &app.0.offload {
        Some(offload) => Some(offload.status().await?),
        None => None,
    };
    let cameras = app.0.cameras.list();
    let report = Report {
        cameras: cameras.iter().map(|camera| camera.status()).collect(),
        disk: app.disk(),
        store,
        shared_index: app.0.shared.as_ref().map(Shared::follows),
        changes: app.0.index.changes(),
        session: app.0.auth.is_needed(),
    };
    Ok((FRESH, Json(report)))
}

pub(crate) async fn clips(
    State(app): State<App>,
    Query(wanted): Query<Wanted>,
) -> Result<impl IntoResponse, HttpError> {
    let all = wanted.site.is_some();
    let query = index::Query {
        site: wanted.site.filter(|site| site != "*"),
        camera: wanted.camera,
        event: wanted.event,
        from: wanted.from,
        to: wanted.to,
        limit: wanted.limit.unwrap_or(CLIPS).min(MOST_CLIPS),
    };
    let clips = match (all, &app.0.shared) {
        (false, _) => app.0.index.find(&query).await?,
        (true, Some(shared)) => shared.find(&query).await.map_err(HttpError::Shared)?,
        (true, None) => return Err(HttpError::Alone),
    };
    let own = app.0.index.site().to_owned();
    let directory = app.0.cameras.directory().to_owned();
    // The marks are the files': whoever set them.
    let list = tokio::task::spawn_blocking(move || {
        let listed = |Entry { site, clip, here }: Entry| Listed {
            // Of other machines it is not known.
            pinned: site == own && pins::is_pinned(&directory.join(&clip.camera).join(&clip.name)),
            clip,
            here,
            site: all.then_some(site),
        };
        clips.into_iter().map(listed).collect::<Vec<_>>()
    });
    let list = list.await.map_err(std::io::Error::other)?;
    Ok((FRESH, Json(list)))
}

pub(crate) async fn pin(
    app: State<App>,
    clip: Path<(String, String)>,
) -> Result<Json<()>, HttpError> {
    mark(app, clip, true).await
}

pub(crate) async fn unpin(
    app: State<App>,
    clip: Path<(String, String)>,
) -> Result<Json<()>, HttpError> {
    mark(app, clip, false).await
}

async fn mark(
    State(app): State<App>,
    Path((camera, name)): Path<(String, String)>,
    pinned: bool,
) -> Result<Json<()>, HttpError> {
    if !clip::is_name(&name) {
        return Err(HttpError::NoClip);
    }
    let inner = &app.0;
    let (cameras, index, events) = (&inner.cameras, &inner.index, &inner.events);
    pins::pin(cameras, index, events, &camera, &name, pinned).await?;
    Ok(Json(()))
}

pub(crate) async fn trigger(
    State(app): State<App>,
    Path(camera): Path<String>,
    Query(Wish { event, after, pin }): Query<Wish>,
) -> Result<Json<Triggered>, HttpError> {
    let camera = app.camera(&camera)?;
    let order = Order { event, after, pin };
    let done = trigger::trigger(camera, &app.0.index, order);
    Ok(Json(done.await?))
}

pub(crate) async fn finish(
    State(app): State<App>,
    Path(camera): Path<String>,
) -> Result<Json<()>, HttpError> {
    let found = app.camera(&camera)?;
    let finished = tokio::task::spawn_blocking(move || found.finish());
    finished.await.map_err(std::io::Error::other)??;
    Ok(Json(()))
}

pub(crate) async fn delete(
    State(app): State<App>,
    Path((camera, name)): Path<(String, String)>,
) -> Result<Json<()>, HttpError> {
    let found = files::find(&app, &camera, &name, "").await;
    let stored = app.0.index.get(&camera, &name).await?;
    if stored.is_none_or(|entry| entry.clip.sha256.is_none()) {
        found.as_ref().map_err(|_| HttpError::NoClip)?;
    }
    let running = app.0.cameras.get(&camera);
    if running.is_some_and(|camera| camera.status().recording.contains(&name)) {
        return Err(HttpError::Busy);
    }
    if found.is_ok_and(|path| pins::is_pinned(&path)) {
        return Err(HttpError::Pinned);
    }
    for end in ["", FACTS, PICTURE] {
        if let Ok(path) = files::find(&app, &camera, &name, end).await {
            tokio::fs::remove_file(path).await?;
        }
    }
    app.0.index.forget(&camera, &name).await?;
    tracing::info!(camera, clip = name, "deleted");
    // At the end nobody listens any more.
    let _ = app.0.events.send(Event::Deleted { camera, name });
    Ok(Json(()))
}
