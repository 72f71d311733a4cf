// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the streaming thread has to tell, and the messages it is told by.

use std::time::Duration;

use k210_link::session::BoardIdentity;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The board at `device` streams.
    Board {
        identity: BoardIdentity,
        device: String,
    },
    /// The script has printed a line.
    Console { line: String },
    /// The board is gone, and looked for.
    Disconnected { reason: String, device: String },
    /// The board is back.
    Reconnected {
        outage: Duration,
        attempts: u32,
        device: String,
    },
    /// A frame did not arrive whole.
    FrameLost,
    /// The board is there and gives no frames that can be shown.
    Warning { text: String },
}

impl Notice {
    /// The element message that says it, if one does.
    pub(crate) fn structure(&self) -> Option<gst::Structure> {
        Some(match self {
            Notice::Board { identity, device } => gst::Structure::builder("k210-board")
                .field("firmware", identity.firmware())
                .field("arch", &identity.arch)
                .field("device", device)
                .build(),
            Notice::Console { line } => gst::Structure::builder("k210-console")
                .field("line", line)
                .build(),
            Notice::Disconnected { reason, device } => gst::Structure::builder("k210-disconnected")
                .field("reason", reason)
                .field("device", device)
                .build(),
            Notice::Reconnected {
                outage,
                attempts,
                device,
            } => gst::Structure::builder("k210-reconnected")
                .field("outage", super::nanoseconds(*outage))
                .field("attempts", attempts)
                .field("device", device)
                .build(),
            Notice::FrameLost | Notice::Warning { .. } => return None,
        })
    }
}
