// SPDX-License-Identifier: MIT OR Apache-2.0
//! Clips as files, whole or in the parts that players ask for.

use std::path::{Path as FilePath, PathBuf};

use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use object_store::GetRange;
use serde::Deserialize;
use tower_http::services::ServeFile;

use super::App;
use super::error::HttpError;
use crate::clip::{self, PICTURE};
use crate::config::{self, Container};

/// What may be asked of a clip.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Wish {
    /// To be stored, not shown.
    download: Option<String>,
}

/// The file of a clip.
pub(crate) async fn clip(
    State(app): State<App>,
    Path((camera, name)): Path<(String, String)>,
    Query(wish): Query<Wish>,
    request: Request,
) -> Result<Response, HttpError> {
    let container = Container::of(&name).ok_or(HttpError::NoClip)?;
    let kind = container.media_type();
    let mut response = match find(&app, &camera, &name, "").await {
        Ok(path) => send(&path, kind, request).await,
        Err(error) => {
            let asked = Asked::of(&request);
            let passed = pass(&app, &camera, &name, kind, asked).await?;
            passed.ok_or(error)?
        }
    };
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
pub(crate) async fn picture(
    State(app): State<App>,
    Path((camera, name)): Path<(String, String)>,
    request: Request,
) -> Result<Response, HttpError> {
    let kind = "image/jpeg";
    match find(&app, &camera, &name, PICTURE).await {
        Ok(path) => Ok(send(&path, kind, request).await),
        Err(error) => {
            let (asked, name) = (Asked::of(&request), format!("{name}{PICTURE}"));
            let passed = pass(&app, &camera, &name, kind, asked).await?;
            passed.ok_or(error)
        }
    }
}

/// The path of a clip's file, or of the one beside it that ends so. Only a file in a folder of the
/// clips' directory is one: links could lead anywhere.
pub(crate) async fn find(
    app: &App,
    camera: &str,
    name: &str,
    end: &str,
) -> Result<PathBuf, HttpError> {
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

/// What of an object is asked for.
struct Asked {
    range: Option<GetRange>,
    /// Only what it would be.
    head: bool,
}

impl Asked {
    fn of(request: &Request) -> Self {
        let range = request.headers().get(header::RANGE);
        Self {
            range: range.and_then(|range| range_of(range.to_str().ok()?)),
            head: request.method() == Method::HEAD,
        }
    }
}

/// Answers with what only the store has, a clip or its picture, as it comes; `None` if it has nothing.
async fn pass(
    app: &App,
    camera: &str,
    name: &str,
    kind: &str,
    asked: Asked,
) -> Result<Option<Response>, HttpError> {
    let Some(offload) = &app.0.offload else {
        return Ok(None);
    };
    let entry = app
        .0
        .index
        .get(camera, name.trim_end_matches(PICTURE))
        .await?;
    if entry.is_none_or(|entry| entry.clip.sha256.is_none()) {
        return Ok(None);
    }
    let is_part = asked.range.is_some();
    let found = match offload.store.get(camera, name, asked.range).await {
        Ok(found) => found,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let (part, size) = (found.range.clone(), found.meta.size);
    let mut answer = Response::builder()
        .header(header::CONTENT_TYPE, kind)
        .header(header::CONTENT_LENGTH, part.end - part.start)
        .header(header::ACCEPT_RANGES, "bytes");
    if is_part {
        let last = part.end.saturating_sub(1);
        answer = answer.status(StatusCode::PARTIAL_CONTENT).header(
            header::CONTENT_RANGE,
            format!("bytes {}-{last}/{size}", part.start),
        );
    }
    let body = match asked.head {
        true => Body::empty(),
        false => Body::from_stream(found.into_stream()),
    };
    let answer = answer.body(body).map_err(std::io::Error::other)?;
    Ok(Some(answer))
}

/// The one range that a request asks for; none where it asks for several or in another unit.
fn range_of(text: &str) -> Option<GetRange> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| text.trim().parse::<u64>().ok();
    match (first.trim(), last.trim()) {
        ("", last) => number(last).map(GetRange::Suffix),
        (first, "") => number(first).map(GetRange::Offset),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then(|| GetRange::Bounded(first..last.saturating_add(1)))
        }
    }
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
