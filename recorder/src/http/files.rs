// SPDX-License-Identifier: MIT OR Apache-2.0
//! Clips as files, whole or in the parts that players ask for.

use std::path::{Path as FilePath, PathBuf};

use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tower_http::services::ServeFile;

use super::App;
use super::error::HttpError;
use crate::clip::{self, PICTURE};
use crate::config::{self, Container};

/// What may be asked of a clip.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Wish {
    /// To be stored, not shown.
    download: Option<String>,
}

/// The file of a clip.
pub async fn clip(
    State(app): State<App>,
    Path((camera, name)): Path<(String, String)>,
    Query(wish): Query<Wish>,
    request: Request,
) -> Result<Response, HttpError> {
    let container = Container::of(&name).ok_or(HttpError::NoClip)?;
    let path = find(&app, &camera, &name, "").await?;
    let mut response = send(&path, container.media_type(), request).await;
    if wish.download.is_some() {
        // Names of clips have nothing that would have to be quoted.
        let stored = format!("attachment; filename=\"{camera}_{name}\"");
        if let Ok(stored) = HeaderValue::from_str(&stored) {
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_DISPOSITION, stored);
        }
    }
    Ok(response)
}

/// What the camera saw at the trigger.
pub async fn picture(
    State(app): State<App>,
    Path((camera, name)): Path<(String, String)>,
    request: Request,
) -> Result<Response, HttpError> {
    let path = find(&app, &camera, &name, PICTURE).await?;
    Ok(send(&path, "image/jpeg", request).await)
}

/// The path of a clip's file, or of the one beside it that ends so. Only a file in a folder of the
/// clips' directory is one: links could lead anywhere.
pub async fn find(app: &App, camera: &str, name: &str, end: &str) -> Result<PathBuf, HttpError> {
    if !config::is_name(camera) || !clip::is_name(name) {
        return Err(HttpError::NoClip);
    }
    let folder = app.0.cameras.directory().join(camera);
    let path = folder.join(format!("{name}{end}"));
    let there = |path: &FilePath| std::fs::symlink_metadata(path);
    let ours =
        there(&folder).is_ok_and(|it| it.is_dir()) && there(&path).is_ok_and(|it| it.is_file());
    ours.then_some(path).ok_or(HttpError::NoClip)
}

/// Answers with a file, or with what is asked for of it.
async fn send(path: &FilePath, kind: &str, mut request: Request) -> Response {
    let headers = request.headers_mut();
    let unit = |range: &HeaderValue| range.as_bytes().starts_with(b"bytes=");
    if !headers.get(header::RANGE).is_some_and(unit) {
        // RFC 9110, section 14.2: a range of a unit that is not known is as none.
        headers.remove(header::RANGE);
    }
    // A file is written once; the browser may keep what it has of it.
    let file = ServeFile::new(path).ignore_multi_range_requests(true);
    let answer = tower::ServiceExt::oneshot(file, request).await;
    let mut response = match answer {
        Ok(answer) => answer.map(Body::new),
        Err(never) => match never {},
    };
    if response.status().is_success()
        && let Ok(kind) = HeaderValue::from_str(kind)
    {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    response.into_response()
}
