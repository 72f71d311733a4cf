// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happens, for those who keep or pass it on.

use serde::Serialize;
use tokio::sync::mpsc::UnboundedSender;

use crate::clip::Clip;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(crate) enum Event {
    /// A camera's state is another one.
    Camera {
        camera: String,
        state: Phase,
        error: Option<String>,
    },
    /// The file of a clip was begun.
    Started { camera: String, name: String },
    /// A clip is whole.
    Finished { clip: Clip },
    /// The store has a clip.
    Uploaded { clip: Clip },
    /// Nothing came of a clip.
    Failed {
        camera: String,
        name: String,
        error: String,
    },
    /// A clip was deleted.
    Deleted { camera: String, name: String },
    /// A clip is to stay, or need not any more.
    Pinned {
        camera: String,
        name: String,
        pinned: bool,
    },
}

impl Event {
    /// The camera that it is about.
    pub(crate) fn camera(&self) -> &str {
        match self {
            Self::Finished { clip } | Self::Uploaded { clip } => &clip.camera,
            Self::Camera { camera, .. }
            | Self::Started { camera, .. }
            | Self::Failed { camera, .. }
            | Self::Deleted { camera, .. }
            | Self::Pinned { camera, .. } => camera,
        }
    }
}

/// Where events go. Nobody is held up by those who listen.
pub(crate) type Events = UnboundedSender<Event>;

/// What a camera does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Phase {
    /// It is being started; no frame has come.
    #[default]
    Starting,
    /// Frames come.
    Running,
    /// It failed and is tried again later.
    Failed,
    /// It was ended.
    Stopped,
}

impl Phase {
    /// Its name in lower case.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}
