// SPDX-License-Identifier: MIT OR Apache-2.0
//! Triggers, wherever they come from: an event's first one makes a clip, the others name it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::camera::{Camera, TriggerError};
use crate::index::{Index, Query};

/// How long a camera's pipeline may take to be made before an order is refused.
const STARTS: Duration = Duration::from_secs(5);

/// What is to be recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Order {
    /// The event's id, of which only the first trigger counts; one that nobody has, if not given.
    pub event: Option<String>,
    /// Seconds that are recorded from now on.
    pub after: Option<u64>,
    /// Whether the clip is to stay.
    pub pin: bool,
}

/// A clip that is there or is being written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Triggered {
    pub camera: String,
    pub name: String,
    pub event: String,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OrderError {
    #[error(transparent)]
    Trigger(#[from] TriggerError),
    #[error(transparent)]
    Index(#[from] sqlx::Error),
    #[error(transparent)]
    Thread(#[from] tokio::task::JoinError),
}

/// Has a camera record, unless the event has a clip already. An event without an id gets one that no
/// other has.
pub(crate) async fn trigger(
    camera: Arc<Camera>,
    index: &Index,
    order: Order,
) -> Result<Triggered, OrderError> {
    let named = order.event.is_some();
    let event = order.event.unwrap_or_else(new_event);
    let triggered = |name| Triggered {
        camera: camera.name().to_owned(),
        name,
        event: event.clone(),
    };
    if named {
        // Its clip may be older than this run of the program.
        let query = Query {
            camera: Some(camera.name().to_owned()),
            event: Some(event.clone()),
            limit: 1,
            ..Query::default()
        };
        if let Some(entry) = index.find(&query).await?.pop() {
            return Ok(triggered(entry.clip.name));
        }
    }
    // A program that has just begun gets the orders that came while it was away before its cameras' pipelines
    // are made. Of one that is not, the trigger says so.
    let _ = tokio::time::timeout(STARTS, camera.made()).await;
    let (for_thread, id) = (camera.clone(), event.clone());
    let name = tokio::task::spawn_blocking(move || for_thread.trigger(&id, order.after, order.pin));
    Ok(triggered(name.await??))
}

/// An id that no other event has.
fn new_event() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_nanos();
    let mut noise = [0; 2];
    // Without it, two in the same nanosecond would be one.
    let _ = rustix::rand::getrandom(&mut noise, rustix::rand::GetRandomFlags::NONBLOCK);
    let noise = u16::from_ne_bytes(noise);
    format!("{:x}{noise:04x}", now & 0xffff_ffff_ffff)
}
