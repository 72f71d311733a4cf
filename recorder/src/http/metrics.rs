// SPDX-License-Identifier: MIT OR Apache-2.0
//! `/metrics`, in OpenMetrics' text form for those who ask for it, as Prometheus does, and in Prometheus'
//! own for all others.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::{AtomicU64, Ordering};

use super::App;
use crate::camera::Status;
use crate::events::Phase;
use crate::offload::Offload;

type Labels = Vec<(&'static str, String)>;
type Level = Gauge<f64, AtomicU64>;

/// What there is to know now. It is put together when it is asked for: the cameras count themselves.
pub(crate) async fn metrics(State(app): State<App>, headers: HeaderMap) -> Response {
    let mut registry = Registry::with_prefix("kendryte");
    let cameras = app.0.cameras.list();
    let statuses: Vec<_> = cameras.iter().map(|camera| camera.status()).collect();
    levels(&mut registry, &statuses);
    counts(&mut registry, &statuses);
    lost(&mut registry, &statuses);
    if let Some(offload) = &app.0.offload {
        store(&mut registry, offload).await;
    }
    if let Some(shared) = &app.0.shared {
        let follows = Level::default();
        follows.set(f64::from(u8::from(shared.follows())));
        let help = "Whether the index of all machines has what this one has";
        registry.register("shared_index_up", help, follows);
    }
    if let Some(disk) = app.disk() {
        let mut disk_level = |name: &str, help: &str, bytes: u64| {
            let level = Level::default();
            level.set(bytes as f64);
            registry.register_with_unit(name, help, Unit::Bytes, level);
        };
        disk_level(
            "disk_free",
            "What may still be written where clips are",
            disk.free,
        );
        disk_level(
            "disk_size",
            "Size of the file system that clips are on",
            disk.total,
        );
    }
    let mut text = String::new();
    if encode(&mut text, &registry).is_err() {
        tracing::error!("the metrics cannot be written");
    }
    let accepted = headers.get_all(header::ACCEPT).iter();
    let open = "application/openmetrics-text";
    let kind = match accepted
        .flat_map(HeaderValue::to_str)
        .any(|it| it.contains(open))
    {
        true => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        false => {
            text = plain(&text);
            "text/plain; version=0.0.4; charset=utf-8"
        }
    };
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// OpenMetrics' text as Prometheus' older form has it: there a counter's description has the name of
/// its samples, and neither units nor an end are told.
fn plain(text: &str) -> String {
    let counters: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut plain = String::with_capacity(text.len());
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("UNIT" | "EOF"), ..) => continue,
            (Some("#"), Some(what), Some(name), Some(rest)) if counters.contains(&name) => {
                plain.push_str(&format!("# {what} {name}_total {rest}"));
            }
            _ => plain.push_str(line),
        }
        plain.push('\n');
    }
    plain
}

fn labels(status: &Status) -> Labels {
    vec![("camera", status.name.clone())]
}

fn levels(registry: &mut Registry, statuses: &[Status]) {
    type Value = fn(&Status) -> Option<f64>;
    let rows: [(&str, &str, Option<Unit>, Value); 8] = [
        ("camera_up", "Whether frames come", None, |it| {
            Some(f64::from(u8::from(it.state == Phase::Running)))
        }),
        ("camera_fps", "Frames of the last second", None, |it| {
            Some(it.fps)
        }),
        (
            "camera_frame_age",
            "Since the newest frame",
            Some(Unit::Seconds),
            |it| it.age,
        ),
        (
            "ring_kept",
            "Video that is kept before an event",
            Some(Unit::Seconds),
            |it| Some(it.kept),
        ),
        (
            "ring_memory",
            "What is kept before an event",
            Some(Unit::Bytes),
            |it| Some(it.bytes as f64),
        ),
        (
            "recordings_open",
            "Clips that are being written",
            None,
            |it| Some(it.recording.len() as f64),
        ),
        (
            "board_link_utilisation",
            "Share of the port's speed that is used",
            Some(Unit::Ratios),
            |it| it.link.map(|link| link.utilisation),
        ),
        ("rtsp_clients", "Clients that watch by RTSP", None, |it| {
            it.rtsp.map(|rtsp| rtsp.clients as f64)
        }),
    ];
    for (name, help, unit, value) in rows {
        let family = Family::<Labels, Level>::default();
        for status in statuses {
            if let Some(value) = value(status) {
                family.get_or_create(&labels(status)).set(value);
            }
        }
        match unit {
            Some(unit) => registry.register_with_unit(name, help, unit, family),
            None => registry.register(name, help, family),
        }
    }
}

/// Frames that are in no recording.
fn lost(registry: &mut Registry, statuses: &[Status]) {
    let family = Family::<Labels, Counter>::default();
    for status in statuses {
        for (reason, count) in &status.lost {
            let mut labels = labels(status);
            labels.push(("reason", (*reason).to_owned()));
            family.get_or_create(&labels).inc_by(*count);
        }
    }
    let help = "Frames that are in no recording, since the camera was started, by reason";
    registry.register("camera_frames_lost", help, family);
    let reconnections = Family::<Labels, Counter>::default();
    let received = Family::<Labels, Counter>::default();
    for status in statuses {
        if let Some(link) = status.link {
            let labels = labels(status);
            reconnections
                .get_or_create(&labels)
                .inc_by(link.reconnections);
            received.get_or_create(&labels).inc_by(link.received);
        }
    }
    let dropped = Family::<Labels, Counter>::default();
    for status in statuses {
        if let Some(rtsp) = status.rtsp {
            dropped.get_or_create(&labels(status)).inc_by(rtsp.dropped);
        }
    }
    let help = "Frames that RTSP clients did not get because they were too slow";
    registry.register("rtsp_frames_dropped", help, dropped);
    registry.register(
        "board_reconnections",
        "Times that a board came back",
        reconnections,
    );
    let help = "What came from a board";
    registry.register_with_unit("board_received", help, Unit::Bytes, received);
}

/// What waits for the store, and what has come of it.
async fn store(registry: &mut Registry, offload: &Offload) {
    let backlog = match offload.status().await {
        Ok(status) => status.backlog,
        Err(error) => {
            tracing::error!("the index: {error}");
            return;
        }
    };
    let level = |value: u64| {
        let level = Level::default();
        level.set(value as f64);
        level
    };
    let help = "Clips that are to be uploaded";
    registry.register("upload_backlog_clips", help, level(backlog.clips));
    let help = "What is to be uploaded";
    registry.register_with_unit("upload_backlog", help, Unit::Bytes, level(backlog.bytes));
    let count = |value: &AtomicU64| {
        let count = Counter::<u64>::default();
        count.inc_by(value.load(Ordering::Relaxed));
        count
    };
    let progress = &offload.progress;
    let help = "Clips that the store has been given and has whole";
    registry.register("uploads", help, count(&progress.clips));
    let help = "Uploads that failed; they are tried again";
    registry.register("upload_failures", help, count(&progress.failures));
    let help = "What the store has been given";
    registry.register_with_unit("uploaded", help, Unit::Bytes, count(&progress.bytes));
}

fn counts(registry: &mut Registry, statuses: &[Status]) {
    type Value = fn(&Status) -> u64;
    let rows: [(&str, &str, Value); 4] = [
        ("camera_frames", "Frames that came", |it| it.frames),
        ("camera_restarts", "Times that it was started again", |it| {
            it.restarts
        }),
        ("recordings", "Clips and parts that are whole", |it| {
            it.finished
        }),
        ("recordings_failed", "Clips that nothing came of", |it| {
            it.failed
        }),
    ];
    for (name, help, value) in rows {
        let family = Family::<Labels, Counter>::default();
        for status in statuses {
            family.get_or_create(&labels(status)).inc_by(value(status));
        }
        registry.register(name, help, family);
    }
}
