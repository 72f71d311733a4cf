// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whom an AVI file is for, as a property of elements.

use gst::glib;

/// Whom a file is for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GstKendryteProfile")]
pub enum Profile {
    /// Any player.
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
