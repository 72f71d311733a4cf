// SPDX-License-Identifier: MIT OR Apache-2.0
//! Clips that are to stay. The mark is `circularsink`'s: it lies with the file, so that it outlasts the
//! program, and no limit deletes what has it.

use std::path::{Path, PathBuf};

use gst::prelude::*;

use crate::camera::Camera;
use crate::cameras::Cameras;
use crate::clip;
use crate::config;
use crate::events::{Event, Events};
use crate::index::{Index, Query};

/// Why a clip is not marked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PinError {
    #[error("there is no such clip")]
    NoClip,
    #[error("the mark cannot be set: {0}")]
    Element(#[from] gst::glib::BoolError),
    #[error(transparent)]
    Index(#[from] sqlx::Error),
    #[error(transparent)]
    Thread(#[from] tokio::task::JoinError),
}

/// Whether a file has one of the marks that the reference of `circularsink` names.
pub(crate) fn is_pinned(path: &Path) -> bool {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".pinned");
    rustix::fs::getxattr_query(path, "user.kendryte.pinned").is_ok()
        || (PathBuf::from(beside).exists() && path.exists())
}

/// Marks a file, or takes its marks away; false if there is no file. Once that has come back, the file
/// stays: the element knows which files are about to be deleted, whichever of them asks.
pub(crate) fn mark(path: &Path, pinned: bool) -> Result<bool, gst::glib::BoolError> {
    let element = gst::ElementFactory::make("circularsink").build()?;
    let location = path.to_string_lossy().into_owned();
    Ok(match pinned {
        true => element.emit_by_name("pin", &[&Some(location)]),
        false => element.emit_by_name("unpin", &[&location]),
    })
}

/// Marks the clip of this name or event, or takes its mark away; returns its name. One that is being
/// written has the mark as soon as it has a file.
pub(crate) async fn pin(
    cameras: &Cameras,
    index: &Index,
    events: &Events,
    camera: &str,
    which: &str,
    pinned: bool,
) -> Result<String, PinError> {
    if !config::is_name(camera) {
        return Err(PinError::NoClip);
    }
    let running = cameras.get(camera);
    let name = name_of(running.as_deref(), index, camera, which).await?;
    let path = cameras.directory().join(camera).join(&name);
    let marked = name.clone();
    let done = tokio::task::spawn_blocking(move || {
        let open = running.is_some_and(|it| it.pin_open(&marked, pinned));
        // Links lead to what is none of ours.
        let there = std::fs::symlink_metadata(&path).is_ok_and(|it| it.is_file());
        Ok::<_, PinError>((there && mark(&path, pinned)?) || open)
    });
    if !done.await?? {
        return Err(PinError::NoClip);
    }
    tracing::info!(camera, clip = name, pinned, "marked");
    index.touch(camera, &name);
    // At the end nobody listens any more.
    let _ = events.send(Event::Pinned {
        camera: camera.to_owned(),
        name: name.clone(),
        pinned,
    });
    Ok(name)
}

/// A clip's name is one; an event's is that of its clip.
async fn name_of(
    running: Option<&Camera>,
    index: &Index,
    camera: &str,
    which: &str,
) -> Result<String, PinError> {
    if clip::is_name(which) {
        return Ok(which.to_owned());
    }
    if let Some(name) = running.and_then(|camera| camera.clip_of_event(which)) {
        return Ok(name);
    }
    let query = Query {
        camera: Some(camera.to_owned()),
        event: Some(which.to_owned()),
        limit: 1,
        ..Query::default()
    };
    let found = index.find(&query).await?.pop();
    found.map(|entry| entry.clip.name).ok_or(PinError::NoClip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_the_elements() {
        gst::init().unwrap();
        gstkendryte::plugin_register_static().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mp4");
        assert!(!mark(&path, true).unwrap());
        std::fs::write(&path, "kept").unwrap();
        assert!(mark(&path, true).unwrap() && is_pinned(&path));
        assert!(mark(&path, false).unwrap() && !is_pinned(&path));
        let beside = folder.path().join("a.mp4.pinned");
        std::fs::write(&beside, "").unwrap();
        assert!(is_pinned(&path));
        assert!(mark(&path, false).unwrap() && !beside.exists());
    }
}
