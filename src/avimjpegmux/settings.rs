// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the user sets.

use crate::streams::Profile;

/// What the element's properties say.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub profile: Profile,
    /// In nanoseconds; 0 for no checkpoints.
    pub checkpoint_interval: u64,
    pub big_file: bool,
}

impl Settings {
    pub(crate) const CHECKPOINT_INTERVAL: u64 = 1_000_000_000;
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            checkpoint_interval: Self::CHECKPOINT_INTERVAL,
            big_file: true,
        }
    }
}
