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
use crate::index;
use crate::pins;
use crate::trigger::{self, Order, Triggered};

/// Clips in an answer, where nothing else is asked for, and at most.
const CLIPS: u32 = 100;
const MOST_CLIPS: u32 = 1000;

/// How everything is doing.
#[derive(Debug, Serialize)]
struct Report {
    cameras: Vec<Status>,
    /// Of the file system that clips are on, bytes; nothing where it does not say.
    disk: Option<Disk>,
    /// Whether one has signed in, and can sign out.
    session: bool,
}

/// Room for clips.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Disk {
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
}

/// What may be said with a trigger; what else is said is an error.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wish {
    event: Option<String>,
    after: Option<u64>,
    pin: bool,
}

/// Which clips are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wanted {
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
    pub fn disk(&self) -> Option<Disk> {
        let found = rustix::fs::statvfs(self.0.cameras.directory()).ok()?;
        Some(Disk {
            free: found.f_bavail * found.f_frsize,
            total: found.f_blocks * found.f_frsize,
        })
    }
}

pub async fn state(State(app): State<App>) -> impl IntoResponse {
    let cameras = app.0.cameras.list();
    let report = Report {
        cameras: cameras.iter().map(|camera| camera.status()).collect(),
        disk: app.disk(),
        session: app.0.auth.is_needed(),
    };
    (FRESH, Json(report))
}

pub async fn clips(
    State(app): State<App>,
    Query(wanted): Query<Wanted>,
) -> Result<impl IntoResponse, HttpError> {
    let query = index::Query {
        camera: wanted.camera,
        event: wanted.event,
        from: wanted.from,
        to: wanted.to,
        limit: wanted.limit.unwrap_or(CLIPS).min(MOST_CLIPS),
    };
    let clips = app.0.index.find(&query).await?;
    let directory = app.0.cameras.directory().to_owned();
    // The marks are the files': whoever set them.
    let list = tokio::task::spawn_blocking(move || {
        let listed = |clip: Clip| Listed {
            pinned: pins::is_pinned(&directory.join(&clip.camera).join(&clip.name)),
            clip,
        };
        clips.into_iter().map(listed).collect::<Vec<_>>()
    });
    let list = list.await.map_err(std::io::Error::other)?;
    Ok((FRESH, Json(list)))
}

pub async fn pin(app: State<App>, clip: Path<(String, String)>) -> Result<Json<()>, HttpError> {
    mark(app, clip, true).await
}

pub async fn unpin(app: State<App>, clip: Path<(String, String)>) -> Result<Json<()>, HttpError> {
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

pub async fn trigger(
    State(app): State<App>,
    Path(camera): Path<String>,
    Query(Wish { event, after, pin }): Query<Wish>,
) -> Result<Json<Triggered>, HttpError> {
    let camera = app.camera(&camera)?;
    let order = Order { event, after, pin };
    let done = trigger::trigger(camera, &app.0.index, order);
    Ok(Json(done.await?))
}

pub async fn finish(
    State(app): State<App>,
    Path(camera): Path<String>,
) -> Result<Json<()>, HttpError> {
    let found = app.camera(&camera)?;
    let finished = tokio::task::spawn_blocking(move || found.finish());
    finished.await.map_err(std::io::Error::other)??;
    Ok(Json(()))
}

pub async fn delete(
    State(app): State<App>,
    Path((camera, name)): Path<(String, String)>,
) -> Result<Json<()>, HttpError> {
    let path = files::find(&app, &camera, &name, "").await?;
    let running = app.0.cameras.get(&camera);
    if running.is_some_and(|camera| camera.status().recording.contains(&name)) {
        return Err(HttpError::Busy);
    }
    if pins::is_pinned(&path) {
        return Err(HttpError::Pinned);
    }
    tokio::fs::remove_file(&path).await?;
    for end in [FACTS, PICTURE] {
        if let Ok(path) = files::find(&app, &camera, &name, end).await {
            tokio::fs::remove_file(path).await?;
        }
    }
    app.0.index.remove(&camera, &name).await?;
    tracing::info!(camera, clip = name, "deleted");
    // At the end nobody listens any more.
    let _ = app.0.events.send(Event::Deleted { camera, name });
    Ok(Json(()))
}
