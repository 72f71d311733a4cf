// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is answered when there is nothing good to say.

use axum::Json;
use axum::body::to_bytes;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};

use crate::camera::TriggerError;
use crate::pins::PinError;
use crate::trigger::OrderError;

/// Why a request is not followed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    #[error("there is no camera {0:?}")]
    NoCamera(String),
    #[error("there is no such clip")]
    NoClip,
    #[error("there is no such page")]
    NoPage,
    #[error("there is no picture yet")]
    NoPicture,
    #[error("the clip is being written")]
    Busy,
    #[error("the clip is pinned; unpin it first")]
    Pinned,
    #[error(transparent)]
    Pin(PinError),
    #[error(transparent)]
    Trigger(#[from] TriggerError),
    #[error(transparent)]
    Order(OrderError),
    #[error("the index of all machines does not answer: {0}")]
    Shared(sqlx::Error),
    #[error("there is no index of all machines; see the key `index.url`")]
    Alone,
    #[error("the store does not answer: {0}")]
    Store(#[from] object_store::Error),
    #[error("this name is not known here; see the key `hosts`")]
    Host,
    #[error("sign in, or send a token")]
    Unknown,
    #[error(transparent)]
    Index(#[from] sqlx::Error),
    #[error(transparent)]
    Files(#[from] std::io::Error),
}

impl HttpError {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoCamera(_) | Self::NoClip | Self::NoPage => StatusCode::NOT_FOUND,
            Self::NoPicture | Self::Shared(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Alone => StatusCode::BAD_REQUEST,
            Self::Store(_) => StatusCode::BAD_GATEWAY,
            Self::Busy | Self::Pinned => StatusCode::CONFLICT,
            Self::Trigger(TriggerError::Event) => StatusCode::BAD_REQUEST,
            Self::Trigger(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unknown => StatusCode::UNAUTHORIZED,
            Self::Host => StatusCode::MISDIRECTED_REQUEST,
            Self::Order(_) | Self::Pin(_) | Self::Index(_) | Self::Files(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }
}

impl From<OrderError> for HttpError {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::Trigger(error) => Self::Trigger(error),
            other => Self::Order(other),
        }
    }
}

impl From<PinError> for HttpError {
    fn from(error: PinError) -> Self {
        match error {
            PinError::NoClip => Self::NoClip,
            other => Self::Pin(other),
        }
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let status = self.status();
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!("a request failed: {self}");
        }
        let body = serde_json::json!({ "error": self.to_string() });
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

/// For whatever else is asked for.
pub(crate) async fn no_page() -> HttpError {
    HttpError::NoPage
}

/// What is said of errors that are not this program's own is longer than this nowhere.
const LONGEST_REASON: usize = 4 << 10;

/// Says as JSON what those who look at a request before it gets here have against it: they say it as
/// text, or not at all.
pub(crate) async fn as_json(response: Response) -> Response {
    let status = response.status();
    let kind = response.headers().get(CONTENT_TYPE);
    let is_text = |kind: &HeaderValue| kind.as_bytes().starts_with(b"text/plain");
    if !status.is_client_error() || !kind.is_none_or(is_text) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let said = to_bytes(body, LONGEST_REASON).await.unwrap_or_default();
    let reason = match status {
        _ if !said.is_empty() => String::from_utf8_lossy(&said).into_owned(),
        StatusCode::FORBIDDEN => "pages of other origins may not ask for this".to_owned(),
        StatusCode::METHOD_NOT_ALLOWED => "this is asked for by another method".to_owned(),
        _ => status
            .canonical_reason()
            .unwrap_or("the request is refused")
            .to_lowercase(),
    };
    head.headers.remove(CONTENT_LENGTH);
    head.headers.remove(CONTENT_TYPE);
    let json = Json(serde_json::json!({ "error": reason })).into_response();
    let (of_json, body) = json.into_parts();
    head.headers.extend(of_json.headers);
    Response::from_parts(head, body)
}
