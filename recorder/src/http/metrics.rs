// SPDX-License-Identifier: MIT OR Apache-2.0
//! `/metrics`, in OpenMetrics' text form.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::AtomicU64;

use super::App;
use crate::camera::Status;
use crate::events::Phase;

type Labels = Vec<(&'static str, String)>;
type Level = Gauge<f64, AtomicU64>;

/// What there is to know now. It is put together when it is asked for: the cameras count themselves.
pub async fn metrics(State(app): State<App>) -> Response {
    let mut registry = Registry::with_prefix("kendryte");
    let cameras = app.0.cameras.list();
    let statuses: Vec<_> = cameras.iter().map(|camera| camera.status()).collect();
    levels(&mut registry, &statuses);
    counts(&mut registry, &statuses);
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
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

fn labels(status: &Status) -> Labels {
    vec![("camera", status.name.clone())]
}

fn levels(registry: &mut Registry, statuses: &[Status]) {
    type Value = fn(&Status) -> Option<f64>;
    let rows: [(&str, &str, Option<Unit>, Value); 6] = [
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
