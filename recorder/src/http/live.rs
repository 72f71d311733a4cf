// SPDX-License-Identifier: MIT OR Apache-2.0
//! The live picture, as one JPEG or as Motion JPEG.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;

use super::App;
use super::error::HttpError;
use crate::camera::Picture;

/// What stands between pictures.
const BOUNDARY: &str = "picture";

/// The latest picture. Its number is its tag: who has it is told so.
pub(crate) async fn picture(
    State(app): State<App>,
    Path(camera): Path<String>,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    let found = app.0.cameras.get(&camera);
    let found = found.ok_or(HttpError::NoCamera(camera))?;
    let Picture { number, jpeg } = found.pictures().borrow().clone();
    if jpeg.is_empty() {
        return Err(HttpError::NoPicture);
    }
    let tag = format!("\"{number}\"");
    let fresh = [
        (header::CACHE_CONTROL, "private, no-cache".to_owned()),
        (header::ETAG, tag.clone()),
    ];
    let known = headers.get(header::IF_NONE_MATCH);
    if known.is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return Ok((StatusCode::NOT_MODIFIED, fresh).into_response());
    }
    let kind = [(header::CONTENT_TYPE, "image/jpeg")];
    Ok((fresh, kind, jpeg).into_response())
}

/// Pictures without end, each as soon as it is there; who is slow gets fewer.
pub(crate) async fn stream(
    State(app): State<App>,
    Path(camera): Path<String>,
) -> Result<Response, HttpError> {
    let found = app.0.cameras.get(&camera);
    let mut pictures = found.ok_or(HttpError::NoCamera(camera))?.pictures();
    pictures.mark_changed();
    let parts = stream::unfold(pictures, async |mut pictures| {
        loop {
            pictures.changed().await.ok()?;
            let jpeg = pictures.borrow_and_update().jpeg.clone();
            if !jpeg.is_empty() {
                return Some((Ok::<_, Infallible>(part(&jpeg)), pictures));
            }
        }
    });
    let kind = format!("multipart/x-mixed-replace; boundary={BOUNDARY}");
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, Body::from_stream(parts)).into_response())
}

fn part(jpeg: &Bytes) -> Bytes {
    let head = format!(
        "--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n",
        jpeg.len()
    );
    let mut part = BytesMut::with_capacity(head.len() + jpeg.len() + 2);
    part.put_slice(head.as_bytes());
    part.put_slice(jpeg);
    part.put_slice(b"\r\n");
    part.freeze()
}
