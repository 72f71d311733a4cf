// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the user sets.

use gst::glib;

/// Whom a file is for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstAviMjpegMuxProfile")]
pub enum Profile {
    /// Any player of AVI files.
    #[default]
    #[enum_value(name = "Any player", nick = "standard")]
    Standard = 0,
    /// MaixPy's player, and any other.
    #[enum_value(name = "MaixPy's player on the K210, and any other", nick = "k210")]
    K210 = 1,
}

impl From<Profile> for avi_mjpeg::writer::Profile {
    fn from(profile: Profile) -> Self {
        match profile {
            Profile::Standard => Self::Standard,
            Profile::K210 => Self::K210,
        }
    }
}

/// What the element's properties say.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub profile: Profile,
    /// In nanoseconds; 0 for no checkpoints.
    pub checkpoint_interval: u64,
    pub big_file: bool,
}

impl Settings {
    pub const CHECKPOINT_INTERVAL: u64 = 1_000_000_000;
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
