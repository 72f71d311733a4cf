// SPDX-License-Identifier: MIT OR Apache-2.0
//! The page and what programs ask for, over HTTP.

mod api;
pub(crate) mod auth;
mod error;
mod files;
mod guard;
mod live;
mod metrics;
mod page;
mod server;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use tower_http::csrf::CsrfLayer;
use tower_http::timeout::TimeoutLayer;

use crate::cameras::Cameras;
use crate::config::Http;
use crate::events::{Events, Phase};
use crate::index::{Index, Shared};
use crate::offload::Offload;

pub(crate) use server::serve;
pub(crate) use tls::acceptor;

use auth::Auth;

/// Bodies that are sent here are forms at most.
const LONGEST_BODY: usize = 16 << 10;
/// How long an answer may be worked on; the live picture and files are sent for longer.
const LONGEST_ANSWER: Duration = Duration::from_secs(20);

/// What all requests have in common.
#[derive(Debug, Clone)]
pub(crate) struct App(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parts: Parts,
    config: Http,
    auth: Arc<Auth>,
}

/// What of the program is asked and ordered.
#[derive(Debug)]
pub(crate) struct Parts {
    pub cameras: Arc<Cameras>,
    pub index: Index,
    /// The index of all machines.
    pub shared: Option<Shared>,
    pub offload: Option<Arc<Offload>>,
    pub events: Events,
}

impl std::ops::Deref for Inner {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

impl App {
    pub(crate) fn new(parts: Parts, config: Http, auth: Arc<Auth>) -> Self {
        Self(Arc::new(Inner {
            parts,
            config,
            auth,
        }))
    }
}

/// All that is answered.
pub(crate) fn router(app: App) -> Router {
    let api = Router::new()
        .route("/state", get(api::state))
        .route("/clips", get(api::clips))
        .route("/cameras/{camera}/trigger", post(api::trigger))
        .route("/cameras/{camera}/finish", post(api::finish))
        .route("/clips/{camera}/{name}/pin", post(api::pin))
        .route("/clips/{camera}/{name}/unpin", post(api::unpin))
        .route("/clips/{camera}/{name}", axum::routing::delete(api::delete))
        .fallback(error::no_page);
    let quick = Router::new()
        .nest("/api", api)
        .route("/", get(page::html))
        .route("/page.css", get(page::css))
        .route("/page.js", get(page::js))
        .route("/icon.svg", get(page::icon))
        .route("/login", get(auth::login_page).post(auth::login))
        .route("/logout", post(auth::logout))
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics::metrics))
        .route("/live/{camera}/picture.jpg", get(live::picture))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            LONGEST_ANSWER,
        ));
    Router::new()
        .merge(quick)
        .route("/live/{camera}/stream.mjpeg", get(live::stream))
        .route("/clips/{camera}/{name}", get(files::clip))
        .route("/clips/{camera}/{name}/picture.jpg", get(files::picture))
        .fallback(error::no_page)
        .layer(from_fn_with_state(app.clone(), auth::only_who_is_known))
        .layer(CsrfLayer::new())
        .layer(from_fn_with_state(app.clone(), guard::guard))
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .layer(map_response(error::as_json))
        .with_state(app)
}

/// 200 if frames come from all cameras; what is wrong otherwise.
async fn healthz(State(app): State<App>) -> impl IntoResponse {
    let cameras = app.0.cameras.list();
    let statuses = cameras.iter().map(|camera| camera.status());
    let wrong: Vec<_> = statuses
        .filter(|status| status.state != Phase::Running)
        .map(|status| {
            let error = status.error.unwrap_or_default();
            format!("{}: {} {error}\n", status.name, status.state.name())
        })
        .collect();
    let (code, text) = match wrong.is_empty() {
        true => (StatusCode::OK, "ok\n".to_owned()),
        false => (StatusCode::SERVICE_UNAVAILABLE, wrong.concat()),
    };
    (code, [(header::CACHE_CONTROL, "no-store")], text)
}
