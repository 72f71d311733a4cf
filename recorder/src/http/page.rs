// SPDX-License-Identifier: MIT OR Apache-2.0
//! The page, which is in the program.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use axum::response::IntoResponse;

type Page = ([(HeaderName, &'static str); 2], &'static str);

/// Another version of the program has another page.
const fn page(kind: &'static str, text: &'static str) -> Page {
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")], text)
}

pub(crate) async fn html() -> impl IntoResponse {
    page(
        "text/html; charset=utf-8",
        include_str!("../../page/index.html"),
    )
}

pub(crate) async fn css() -> impl IntoResponse {
    page(
        "text/css; charset=utf-8",
        include_str!("../../page/page.css"),
    )
}

pub(crate) async fn js() -> impl IntoResponse {
    page(
        "text/javascript; charset=utf-8",
        include_str!("../../page/page.js"),
    )
}

pub(crate) async fn icon() -> impl IntoResponse {
    page("image/svg+xml", include_str!("../../page/icon.svg"))
}
