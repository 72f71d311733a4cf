// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who may ask, and what browsers may do with the answer.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::App;
use super::error::HttpError;

/// What every answer has. No page elsewhere can show what comes from here or put it into a frame.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
         media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'",
    ),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// Turns away who asks by a name that is not ours, and sets what every answer has.
pub(crate) async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = match is_ours(request.headers(), &app.0.config.hosts) {
        true => next.run(request).await,
        false => HttpError::Host.into_response(),
    };
    for (name, value) in HEADERS {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

/// Whether the one `Host` is an address, this computer's name for itself, or listed. Any other name
/// may have been made to point here by a page that wants to read what we answer (DNS rebinding).
fn is_ours(headers: &HeaderMap, hosts: &[String]) -> bool {
    let mut values = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (values.next(), values.next()) else {
        return false;
    };
    let Ok(host) = host.to_str() else {
        return false;
    };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(host, |(name, _)| name),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    let known = |known: &String| known.eq_ignore_ascii_case(name);
    name.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || hosts.iter().any(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_may_be_anybodys_are_not_ours() {
        let hosts = ["cameras.example".to_owned()];
        let ours = |names: &[&str]| {
            let mut headers = HeaderMap::new();
            for name in names {
                headers.append(header::HOST, name.parse().unwrap());
            }
            is_ours(&headers, &hosts)
        };
        for host in [
            "127.0.0.1:8080",
            "localhost",
            "LOCALHOST:1",
            "[::1]:8080",
            "192.0.2.1",
            "Cameras.example:443",
        ] {
            assert!(ours(&[host]), "{host}");
        }
        for host in [
            "example.org",
            "127.0.0.1.example.org:80",
            "",
            "localhost.evil",
            "[x]",
        ] {
            assert!(!ours(&[host]), "{host}");
        }
        assert!(!ours(&[]));
        assert!(!ours(&["localhost", "example.org"]));
    }
}
