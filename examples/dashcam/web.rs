// SPDX-License-Identifier: MIT OR Apache-2.0
//! The page: the live picture as Motion JPEG, the state as JSON, the clips as files.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use anyhow::Context;
use tiny_http::{Header, Method, Request, Response, Server, StatusCode};

use crate::Dashcam;

const PAGE: &str = include_str!("index.html");

/// Serves on a port of this computer, in threads of its own; returns the port.
pub fn serve(port: u16, dashcam: Arc<Dashcam>) -> anyhow::Result<u16> {
    let server = Server::http(("127.0.0.1", port))
        .map_err(|error| anyhow::anyhow!("port {port} can't be served: {error}"))?;
    let port = server
        .server_addr()
        .to_ip()
        .context("the server has a port")?
        .port();
    std::thread::spawn(move || {
        for request in server.incoming_requests() {
            let dashcam = dashcam.clone();
            // The live picture takes its thread for as long as somebody watches.
            std::thread::spawn(move || {
                if let Err(error) = answer(request, &dashcam) {
                    // Browsers leave when they have seen enough.
                    if error.kind() != std::io::ErrorKind::BrokenPipe {
                        eprintln!("a request failed: {error}");
                    }
                }
            });
        }
    });
    Ok(port)
}

fn header(name: &str, value: &str) -> Header {
    Header::from_bytes(name, value).expect("names and values here are plain ASCII")
}

fn answer(request: Request, dashcam: &Dashcam) -> std::io::Result<()> {
    // A page elsewhere in the browser must not be able to press the button, nor a name that was
    // made to point here to read the clips.
    let local = request.headers().iter().all(|h| {
        let value = h.value.as_str();
        if h.field.equiv("Host") {
            is_local(value)
        } else if h.field.equiv("Origin") {
            value.strip_prefix("http://").is_some_and(is_local)
        } else {
            true
        }
    });
    if !local {
        return text(request, 403, "This page is for this computer alone.");
    }
    let path = request
        .url()
        .split('?')
        .next()
        .unwrap_or_default()
        .to_owned();
    match (request.method(), path.as_str()) {
        (Method::Get, "/") => {
            let kind = header("Content-Type", "text/html; charset=utf-8");
            request.respond(Response::from_string(PAGE).with_header(kind))
        }
        (Method::Get, "/live") => live(request, dashcam),
        (Method::Get, "/state") => json(request, &dashcam.state()),
        (Method::Post, "/save") => match dashcam.save() {
            Ok(name) => json(request, &serde_json::json!({ "name": name })),
            Err(error) => text(request, 503, &error.to_string()),
        },
        (Method::Get | Method::Head, path) if path.starts_with("/clips/") => {
            let name = decode(path.trim_start_matches("/clips/"));
            // Only what the page lists: names with a way out of the directory are none of it.
            match name.filter(|name| name.ends_with(".mp4") && !name.contains(['/', '\\', '\0'])) {
                Some(name) => clip(request, dashcam, &name),
                None => text(request, 404, "There is no such clip."),
            }
        }
        _ => text(request, 404, "There is no such page."),
    }
}

fn is_local(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    matches!(name, "127.0.0.1" | "localhost")
}

fn text(request: Request, code: u16, text: &str) -> std::io::Result<()> {
    request.respond(Response::from_string(text).with_status_code(code))
}

fn json(request: Request, value: &serde_json::Value) -> std::io::Result<()> {
    let body = value.to_string();
    let kind = header("Content-Type", "application/json");
    let fresh = header("Cache-Control", "no-store");
    request.respond(
        Response::from_string(body)
            .with_header(kind)
            .with_header(fresh),
    )
}

/// Pictures without end, each as soon as it is there.
fn live(request: Request, dashcam: &Dashcam) -> std::io::Result<()> {
    // Written by hand: a response of the library would wait until its buffer is full.
    let mut out = request.into_writer();
    out.write_all(
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nCache-Control: no-store\r\n\
          Content-Type: multipart/x-mixed-replace; boundary=picture\r\n\r\n",
    )?;
    let mut seen = 0;
    loop {
        let (number, picture) = dashcam.live.after(seen);
        seen = number;
        write!(
            out,
            "--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n",
            picture.len()
        )?;
        out.write_all(&picture)?;
        out.write_all(b"\r\n")?;
        out.flush()?;
    }
}

/// A clip, or the part of it that a player asks for when it seeks.
fn clip(request: Request, dashcam: &Dashcam, name: &str) -> std::io::Result<()> {
    let Ok(mut file) = File::open(dashcam.directory.join(name)) else {
        return text(request, 404, "There is no such clip.");
    };
    let length = file.metadata()?.len();
    let asked = request.headers().iter().find(|h| h.field.equiv("Range"));
    let range = asked.and_then(|h| range(h.value.as_str(), length));
    let kind = header("Content-Type", "video/mp4");
    let ranges = header("Accept-Ranges", "bytes");
    match range {
        None => request.respond(
            Response::from_file(file)
                .with_header(kind)
                .with_header(ranges),
        ),
        Some(None) => {
            let size = header("Content-Range", &format!("bytes */{length}"));
            request.respond(Response::empty(416).with_header(size))
        }
        Some(Some((first, last))) => {
            file.seek(SeekFrom::Start(first))?;
            let size = last + 1 - first;
            let part = header("Content-Range", &format!("bytes {first}-{last}/{length}"));
            let headers = vec![kind, ranges, part];
            let size_hint = usize::try_from(size).ok();
            request.respond(
                Response::new(StatusCode(206), headers, file.take(size), size_hint, None)
                    .with_chunked_threshold(usize::MAX),
            )
        }
    }
}

/// The first and last byte of a range as RFC 9110, section 14.1.2, writes them. `None` if it is
/// none that is served in parts, `Some(None)` if it lies outside the file.
fn range(value: &str, length: u64) -> Option<Option<(u64, u64)>> {
    let (first, last) = value.strip_prefix("bytes=")?.split_once('-')?;
    let end = length.checked_sub(1);
    let range = match (first.parse::<u64>().ok(), last.parse::<u64>().ok()) {
        (Some(first), last) if first < length => (first, last.unwrap_or(u64::MAX).min(end?)),
        (None, Some(count)) if first.is_empty() && count > 0 => {
            (length.saturating_sub(count), end?)
        }
        (Some(_), _) => return Some(None),
        _ => return None,
    };
    Some((range.0 <= range.1).then_some(range))
}

/// Undoes percent-encoding.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            let digits = std::str::from_utf8(&digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}
