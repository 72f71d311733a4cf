// SPDX-License-Identifier: MIT OR Apache-2.0
//! A channel's attributes in the words of the driver's controls.
//!
//! Which controls there are differs between the driver's versions, so it is asked first.

use super::{node::Node, raw::*};
use crate::{ChannelAttr, Codec, Entropy, Error, Level, Profile, RateControl};

/// The most that the driver's control for the GOP takes.
const MOST_GOP: u32 = 10_000;

/// The rate control for the driver's private request, `None` for JPEG.
pub(super) fn rate_control(rate: RateControl) -> Option<v4l2_rate_control> {
    let bits = |kbit: u32| kbit.saturating_mul(1000);
    match rate {
        RateControl::Cbr { bitrate } => Some(v4l2_rate_control {
            rc_type: V4L2_OPT_RATE_CONTROL_MODE_CONSTANT,
            target_bitrate: bits(bitrate),
            maximum_bitrate: bits(bitrate),
        }),
        // Without constraint the driver does not pass the maximum on.
        RateControl::Vbr {
            bitrate,
            max_bitrate,
        } => Some(v4l2_rate_control {
            rc_type: V4L2_OPT_RATE_CONTROL_MODE_C_VARIABLE,
            target_bitrate: bits(bitrate),
            maximum_bitrate: bits(max_bitrate),
        }),
        // It is constant from the beginning, and the control that is named after it does not end
        // that.
        RateControl::FixQp { .. } => Some(v4l2_rate_control {
            rc_type: V4L2_OPT_RATE_CONTROL_MODE_OFF,
            target_bitrate: 0,
            maximum_bitrate: 0,
        }),
        RateControl::JpegQuality { .. } => None,
    }
}

/// The control for the level and the value of a level. The items are in the standards' order: of
/// H.264 the first sixteen levels, of H.265 each level in its two tiers behind an item that is none.
fn level_value(level: Level) -> (u32, i64) {
    let place = level.place() as i64;
    match level.codec() {
        Codec::H265 => (
            V4L2_CID_MVE_VIDEO_H265_LEVEL,
            1 + 2 * place + i64::from(level.is_high_tier()),
        ),
        _ => (V4L2_CID_MPEG_VIDEO_H264_LEVEL, place),
    }
}

/// The level that a value of its control is.
fn level_of(codec: Codec, value: i64) -> Option<Level> {
    let value = usize::try_from(value).ok()?;
    match codec {
        Codec::H265 => {
            let item = value.checked_sub(1)?;
            Level::at(codec, item / 2, item % 2 == 1)
        }
        _ => Level::at(codec, value, false),
    }
}

/// A value for a control; `says` is the setting it is for, if a user made it.
struct Setting {
    id: u32,
    value: i64,
    says: Option<String>,
}

fn codec_settings(attr: &ChannelAttr) -> Vec<Setting> {
    let quiet = |id, value: i64| Setting {
        id,
        value,
        says: None,
    };
    let said = |id, value: i64, says: String| Setting {
        id,
        value,
        says: Some(says),
    };
    let profile = |id, value: i32| {
        said(
            id,
            value.into(),
            format!("the profile {}", attr.profile.name()),
        )
    };
    let mut settings = Vec::new();
    match attr.codec {
        Codec::H264 => {
            settings.push(profile(
                V4L2_CID_MPEG_VIDEO_H264_PROFILE,
                match attr.profile {
                    Profile::H264Baseline => V4L2_MPEG_VIDEO_H264_PROFILE_BASELINE,
                    Profile::H264Main => V4L2_MPEG_VIDEO_H264_PROFILE_MAIN,
                    Profile::H264High10 => V4L2_MPEG_VIDEO_H264_PROFILE_HIGH_10,
                    _ => V4L2_MPEG_VIDEO_H264_PROFILE_HIGH,
                },
            ));
            let (mode, nick) = match attr.entropy {
                Entropy::Cabac if attr.profile != Profile::H264Baseline => {
                    (V4L2_MPEG_VIDEO_H264_ENTROPY_MODE_CABAC, "cabac")
                }
                _ => (V4L2_MPEG_VIDEO_H264_ENTROPY_MODE_CAVLC, "cavlc"),
            };
            settings.push(said(
                V4L2_CID_MPEG_VIDEO_H264_ENTROPY_MODE,
                mode.into(),
                format!("entropy-mode={nick}"),
            ));
        }
        Codec::H265 => {
            settings.push(profile(
                V4L2_CID_MVE_VIDEO_H265_PROFILE,
                if attr.profile == Profile::H265Main10 {
                    MVX_H265_PROFILE_MAIN_10
                } else {
                    MVX_H265_PROFILE_MAIN
                },
            ));
            // On is the default here and, as far as is known, the firmware's.
            let says = (!attr.sao).then(|| "sao=false".to_string());
            for id in [V4L2_CID_MVE_VIDEO_SAO_LUMA, V4L2_CID_MVE_VIDEO_SAO_CHROMA] {
                settings.push(Setting {
                    id,
                    value: attr.sao.into(),
                    says: says.clone(),
                });
            }
        }
        Codec::Jpeg => return settings,
    }
    if let Some(level) = attr.wanted_level() {
        let (id, value) = level_value(level);
        settings.push(Setting {
            id,
            value,
            says: attr.level.map(|level| format!("level={}", level.name())),
        });
    }
    settings.push(said(
        V4L2_CID_MPEG_VIDEO_GOP_SIZE,
        attr.gop.into(),
        format!("gop-length={}", attr.gop),
    ));
    // The driver begins with no P frames whatever the GOP's control says, and a control that is set to
    // what it has already is not set: without this its default, 29, would be key pictures alone.
    settings.push(quiet(
        V4L2_CID_MVE_VIDEO_P_FRAMES,
        i64::from(attr.gop.clamp(1, MOST_GOP)) - 1,
    ));
    settings.push(quiet(V4L2_CID_MPEG_VIDEO_B_FRAMES, 0));
    let (numerator, denominator) = match attr.framerate {
        (0, _) | (_, 0) => (30, 1),
        known => known,
    };
    settings.push(quiet(
        V4L2_CID_MVE_VIDEO_FRAME_RATE,
        (i64::from(numerator) << 16) / i64::from(denominator),
    ));
    settings
}

fn rate_settings(attr: &ChannelAttr) -> Vec<Setting> {
    let said = |id, value: u32, says: String| Setting {
        id,
        value: value.into(),
        says: Some(says),
    };
    match attr.rate {
        RateControl::Cbr { bitrate } | RateControl::Vbr { bitrate, .. } => vec![said(
            V4L2_CID_MPEG_VIDEO_BITRATE,
            bitrate.saturating_mul(1000),
            format!("bitrate={bitrate}"),
        )],
        RateControl::FixQp { i, p } => {
            let (i_frame, p_frame) = if attr.codec == Codec::H265 {
                (
                    V4L2_CID_MPEG_VIDEO_HEVC_I_FRAME_QP,
                    V4L2_CID_MPEG_VIDEO_HEVC_P_FRAME_QP,
                )
            } else {
                (
                    V4L2_CID_MPEG_VIDEO_H264_I_FRAME_QP,
                    V4L2_CID_MPEG_VIDEO_H264_P_FRAME_QP,
                )
            };
            vec![
                said(
                    V4L2_CID_MPEG_VIDEO_FRAME_RC_ENABLE,
                    0,
                    "rate-control=fixqp".into(),
                ),
                said(i_frame, i, format!("qp-i={i}")),
                said(p_frame, p, format!("qp-p={p}")),
            ]
        }
        RateControl::JpegQuality { factor } => vec![said(
            V4L2_CID_JPEG_COMPRESSION_QUALITY,
            factor,
            format!("jpeg-quality={factor}"),
        )],
    }
}

/// What became of a channel's attributes.
#[derive(Default)]
pub(super) struct Applied {
    /// What the driver has no control for, a sentence that names it all.
    pub missing: Option<String>,
    /// The level that it was given, if it has a control for that.
    pub level: Option<Level>,
}

/// Sets what the driver has a control for.
///
/// # Errors
/// The driver's refusal of a control that it has.
pub(super) fn apply(node: &Node, attr: &ChannelAttr) -> Result<Applied, Error> {
    let mut level = None;
    let mut missing: Vec<String> = Vec::new();
    let mut note = |what: String| {
        if !missing.contains(&what) {
            missing.push(what);
        }
    };
    for Setting { id, value, says } in codec_settings(attr).into_iter().chain(rate_settings(attr)) {
        let Some(control) = node.control(id) else {
            says.into_iter().for_each(&mut note);
            continue;
        };
        let nearest = value.clamp(control.minimum, control.maximum);
        if nearest != value
            && let Some(what) = says
        {
            note(format!("{what} (the nearest is {nearest})"));
        }
        node.set_control(id, nearest)?;
        if matches!(
            id,
            V4L2_CID_MPEG_VIDEO_H264_LEVEL | V4L2_CID_MVE_VIDEO_H265_LEVEL
        ) {
            level = level_of(attr.codec, nearest);
        }
    }
    if attr.codec != Codec::Jpeg && !attr.deblock {
        note("deblock=false".into());
    }
    if let RateControl::FixQp { i, p } = attr.rate {
        // fw_set_qp of mvx_session.c takes 0 for "not set".
        for (name, qp) in [("qp-i", i), ("qp-p", p)] {
            if qp == 0 {
                note(format!("{name}=0"));
            }
        }
    }
    if let Some(rate) = rate_control(attr.rate)
        && let Err(error) = node.set_rate_control(rate)
    {
        match attr.rate {
            // What the bit rate's control has set is constant already.
            RateControl::Cbr { .. } => {}
            RateControl::FixQp { .. } if error.errno() == Some(libc::ENOTTY) => {
                note("rate-control=fixqp".into());
            }
            _ if error.errno() == Some(libc::ENOTTY) => note("rate-control=vbr".into()),
            _ => return Err(error),
        }
    }
    let missing = (!missing.is_empty()).then(|| {
        format!(
            "{} has no control for {}",
            node.path().display(),
            missing.join(", ")
        )
    });
    Ok(Applied { missing, level })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the names of the driver's own menu (`h265_level_str` of `mvx_v4l2_ctrls.c`) and of V4L2's.
    #[test]
    fn levels_are_the_drivers_items() {
        for (codec, name, high_tier, value) in [
            (Codec::H264, "1", false, 0),
            (Codec::H264, "1b", false, 1),
            (Codec::H264, "3.1", false, 9),
            (Codec::H264, "5.1", false, 15),
            (Codec::H265, "1", false, 1),
            (Codec::H265, "3.1", false, 9),
            (Codec::H265, "4", true, 12),
            (Codec::H265, "5.1", false, 17),
            (Codec::H265, "6.2", true, 26),
        ] {
            let level = Level::all(codec)
                .find(|level| (level.name(), level.is_high_tier()) == (name, high_tier))
                .expect("there is one");
            assert_eq!(level_value(level).1, value, "{level}");
            assert_eq!(level_of(codec, value), Some(level));
        }
        assert_eq!(level_of(Codec::H265, 0), None);
        assert_eq!(
            level_of(Codec::H265, 2),
            None,
            "High 1 is not the standard's"
        );
    }
}
