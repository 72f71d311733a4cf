// SPDX-License-Identifier: MIT OR Apache-2.0
//! Requests of the driver's own (`mvx_v4l2_vidioc_default`) beside those of rate control and regions: settings that
//! go to its firmware, for which an encoder of a PC has no word. The driver's user `mvx_encoder`, which is on the
//! boards, makes most of them.

use std::ffi::c_void;

use super::{
    session::{Answer, Session},
    user,
};

/// A setting that the driver hands on.
struct Setting {
    number: u32,
    says: &'static str,
    /// A session that has failed refuses it.
    wants_whole: bool,
    /// The firmware is told when it begins, and never again.
    wants_early: bool,
}

/// `_IOWR('V', BASE_VIDIOC_PRIVATE + place, size)`
const fn number(place: u32, size: u32) -> u32 {
    3 << 30 | size << 16 | (b'V' as u32) << 8 | (192 + place)
}

/// What is told at any time, whatever became of the session: the driver keeps it for the picture that is next.
const fn of_a_picture(place: u32, size: u32, says: &'static str) -> Setting {
    Setting {
        number: number(place, size),
        says,
        wants_whole: false,
        wants_early: false,
    }
}

const fn live(place: u32, size: u32, says: &'static str) -> Setting {
    Setting {
        wants_whole: true,
        ..of_a_picture(place, size, says)
    }
}

const fn early(place: u32, size: u32, says: &'static str) -> Setting {
    Setting {
        wants_early: true,
        ..live(place, size, says)
    }
}

/// One that does not look at what became of the session.
const fn early_of_any(place: u32, size: u32, says: &'static str) -> Setting {
    Setting {
        wants_early: true,
        ..of_a_picture(place, size, says)
    }
}

/// `struct v4l2_mvx_color_desc`, which is packed.
pub(super) const COLOURS: usize = 46;
const G_COLOURS: u32 = number(0, COLOURS as u32);
const S_COLOURS: u32 = number(3, COLOURS as u32);

static SETTINGS: &[Setting] = &[
    of_a_picture(2, 8, "a quantizer of one picture"),
    live(3, COLOURS as u32, "a description of the colours"),
    live(4, 239, "data of the user's"),
    early(6, 8, "a smaller picture out of a decoder"),
    live(7, 8, "a smaller picture out of a decoder"),
    early(8, 8, "long term references"),
    early(9, 4, "a smaller picture out of a decoder"),
    early(10, 4, "pictures in stripes"),
    of_a_picture(11, 20, "statistics"),
    of_a_picture(12, 24, "rectangles that have changed"),
    early_of_any(13, 716, "tables of Huffman codes"),
    early_of_any(14, 36, "buffers for a picture of another size"),
    early(15, 24, "coefficients of the colours"),
    early(16, 10, "a part of the picture"),
    early(17, 10, "a part of the picture"),
    early(18, 24, "coefficients of the colours"),
    of_a_picture(19, 40, "pictures that are laid over"),
    of_a_picture(20, 24, "pictures that are laid over"),
];

/// The requests that there are here.
#[cfg(test)]
pub(super) fn numbers() -> Vec<u32> {
    let settings = SETTINGS.iter().map(|setting| setting.number);
    settings.chain([G_COLOURS]).collect()
}

/// What of a description of colours the driver answers: the parts that are always there, and those that its flags
/// name. The rest stays as the program has it.
fn describe(kept: &[u8; COLOURS], to: &mut [u8]) {
    const PARTS: [(u8, std::ops::Range<usize>); 3] = [
        (0, 4..8),
        // V4L2_MVX_COLOR_DESC_DISPLAY_VALID and _CONTENT_VALID
        (1, 8..28),
        (2, 28..32),
    ];
    let [a, b, c, d, ..] = *kept;
    let flags = (u32::from_ne_bytes([a, b, c, d]) & 3) as u8;
    to[..4].copy_from_slice(&u32::from(flags).to_ne_bytes());
    for (flag, part) in PARTS {
        if flags & flag == flag {
            to[part.clone()].copy_from_slice(&kept[part]);
        }
    }
}

impl Session {
    /// Answers a setting of the driver's own; `ENOTTY` where it has no such request.
    pub(crate) fn own_request(&self, number: u32, argument: *mut c_void) -> Answer {
        if number == G_COLOURS {
            let mut colours = user::read_bytes(argument as usize, COLOURS)?;
            describe(&self.lock().colours, &mut colours);
            return user::write_bytes(argument as usize, &colours);
        }
        let place = SETTINGS.iter().position(|known| known.number == number);
        let place = place.ok_or(libc::ENOTTY)?;
        let setting = &SETTINGS[place];
        let size = (number >> 16 & 0x3fff) as usize;
        let value = user::read_bytes(argument as usize, size)?;
        let mut inner = self.lock();
        if setting.wants_whole && inner.broken.is_some() {
            return Err(libc::EINVAL);
        }
        if setting.wants_early && inner.loaded {
            return Err(libc::EBUSY);
        }
        if number == S_COLOURS {
            inner.colours.copy_from_slice(&value);
        }
        if inner.is_new(1 << place) {
            log::warn!("mvx: this double does nothing with {}", setting.says);
        }
        drop(inner);
        // The structure goes back as it came (`_IOWR`).
        user::write_bytes(argument as usize, &value)
    }
}
