// SPDX-License-Identifier: MIT OR Apache-2.0
//! The driver's controls: those of `mvx_v4l2_ctrls_init` that an encoder's user sets.

use std::collections::BTreeMap;

use k230_venc::{
    ChannelAttr, Codec, Entropy, Mirror, PixelFormat, Profile, RateControl, Rotation, v4l2::raw::*,
};

/// A control as the driver registers it.
pub(super) struct Control {
    pub id: u32,
    pub name: &'static str,
    pub minimum: i64,
    pub maximum: i64,
    pub default: i64,
    /// Items of a menu; empty for a number. A menu of the kernel's has items that are left out.
    pub menu: &'static [&'static str],
    pub read_only: bool,
}

impl Control {
    pub fn kind(&self) -> u32 {
        if self.menu.is_empty() {
            V4L2_CTRL_TYPE_INTEGER
        } else {
            V4L2_CTRL_TYPE_MENU
        }
    }
}

const fn number(id: u32, name: &'static str, minimum: i64, maximum: i64, default: i64) -> Control {
    Control {
        id,
        name,
        minimum,
        maximum,
        default,
        menu: &[],
        read_only: false,
    }
}

const fn menu(
    id: u32,
    name: &'static str,
    default: i64,
    items: &'static [&'static str],
) -> Control {
    Control {
        id,
        name,
        minimum: 0,
        maximum: items.len() as i64 - 1,
        default,
        menu: items,
        read_only: false,
    }
}

const fn read_only(control: Control) -> Control {
    Control {
        read_only: true,
        ..control
    }
}

/// In the order of their numbers, as the kernel enumerates them. SAO's are in the driver's header
/// and in what it does when they are set, but are not registered.
pub(super) static CONTROLS: &[Control] = &[
    read_only(number(
        V4L2_CID_MIN_BUFFERS_FOR_CAPTURE,
        "Min Number of Capture Buffers",
        1,
        32,
        1,
    )),
    read_only(number(
        V4L2_CID_MIN_BUFFERS_FOR_OUTPUT,
        "Min Number of Output Buffers",
        1,
        32,
        1,
    )),
    number(
        V4L2_CID_MPEG_VIDEO_B_FRAMES,
        "Video B Frames",
        0,
        i32::MAX as i64,
        0,
    ),
    number(
        V4L2_CID_MPEG_VIDEO_GOP_SIZE,
        "Video GOP Size",
        0,
        10_000,
        29,
    ),
    number(
        V4L2_CID_MPEG_VIDEO_BITRATE,
        "Video Bitrate",
        1000,
        1_000_000_000,
        2_500_000,
    ),
    number(
        V4L2_CID_MPEG_VIDEO_FRAME_RC_ENABLE,
        "Frame Level Rate Control Enable",
        0,
        1,
        0,
    ),
    number(
        V4L2_CID_MPEG_VIDEO_H264_I_FRAME_QP,
        "H264 I-Frame QP Value",
        0,
        51,
        0,
    ),
    number(
        V4L2_CID_MPEG_VIDEO_H264_P_FRAME_QP,
        "H264 P-Frame QP Value",
        0,
        51,
        0,
    ),
    menu(
        V4L2_CID_MPEG_VIDEO_H264_ENTROPY_MODE,
        "H264 Entropy Mode",
        2,
        &["CAVLC", "CABAC", "None"],
    ),
    menu(
        V4L2_CID_MPEG_VIDEO_H264_PROFILE,
        "H264 Profile",
        V4L2_MPEG_VIDEO_H264_PROFILE_HIGH as i64,
        &["Baseline", "", "Main", "", "High", "High 10"],
    ),
    number(
        V4L2_CID_MPEG_VIDEO_HEVC_I_FRAME_QP,
        "HEVC I-Frame QP Value",
        0,
        51,
        0,
    ),
    number(
        V4L2_CID_MPEG_VIDEO_HEVC_P_FRAME_QP,
        "HEVC P-Frame QP Value",
        0,
        51,
        0,
    ),
    number(
        V4L2_CID_MVE_VIDEO_FRAME_RATE,
        "frame rate",
        0,
        0x1000_0000,
        30 << 16,
    ),
    menu(
        V4L2_CID_MVE_VIDEO_H265_PROFILE,
        "h265 profile",
        0,
        &["Main", "Main still", "Main intra", "Main10"],
    ),
    number(
        V4L2_CID_MVE_VIDEO_P_FRAMES,
        "video P frames",
        0,
        i32::MAX as i64,
        0,
    ),
    menu(
        V4L2_CID_MVE_VIDEO_GOP_TYPE,
        "GOP type",
        0,
        &[
            "None",
            "Bidirectional",
            "Low delay",
            "Pyramid",
            "svct3",
            "gdr",
        ],
    ),
    number(V4L2_CID_MVE_VIDEO_QP_FIXED, "fixed qp", 0, 51, 0),
    number(
        V4L2_CID_JPEG_COMPRESSION_QUALITY,
        "Compression Quality",
        0,
        100,
        45,
    ),
];

/// The values of a session.
#[derive(Debug, Default)]
pub(super) struct Values {
    set: BTreeMap<u32, i64>,
    /// What the private request or the bit rate's control has set last.
    rate: Option<v4l2_rate_control>,
}

impl Values {
    pub fn get(&self, control: &Control) -> i64 {
        self.set
            .get(&control.id)
            .copied()
            .unwrap_or(control.default)
    }

    pub fn set(&mut self, id: u32, value: i64) {
        if id == V4L2_CID_MPEG_VIDEO_BITRATE {
            // set_ctrl of mvx_v4l2_ctrls.c: it switches to constant rate.
            self.rate = Some(v4l2_rate_control {
                rc_type: V4L2_OPT_RATE_CONTROL_MODE_CONSTANT,
                target_bitrate: value as u32,
                maximum_bitrate: value as u32,
            });
        }
        self.set.insert(id, value);
    }

    pub fn set_rate(&mut self, rate: v4l2_rate_control) {
        self.rate = Some(rate);
    }

    fn value(&self, id: u32) -> i64 {
        CONTROLS
            .iter()
            .find(|control| control.id == id)
            .map_or(0, |control| self.get(control))
    }

    fn rate(&self, codec: Codec) -> RateControl {
        if codec == Codec::Jpeg {
            return RateControl::JpegQuality {
                factor: self.value(V4L2_CID_JPEG_COMPRESSION_QUALITY).clamp(1, 99) as u32,
            };
        }
        let (i, p) = if codec == Codec::H265 {
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
        let kbit = |bits: u32| (bits / 1000).max(1);
        match self.rate {
            Some(rate) if rate.rc_type == V4L2_OPT_RATE_CONTROL_MODE_C_VARIABLE => {
                RateControl::Vbr {
                    bitrate: kbit(rate.target_bitrate),
                    max_bitrate: kbit(rate.maximum_bitrate.max(rate.target_bitrate)),
                }
            }
            Some(rate) if rate.rc_type != V4L2_OPT_RATE_CONTROL_MODE_OFF => RateControl::Cbr {
                bitrate: kbit(rate.target_bitrate),
            },
            _ if self.value(i) != 0 => RateControl::FixQp {
                i: self.value(i) as u32,
                p: self.value(p) as u32,
            },
            _ => RateControl::Cbr { bitrate: 2500 },
        }
    }

    /// What an encoder of this machine is to do, for pictures that come with `flags`.
    pub fn attr(
        &self,
        codec: Codec,
        (width, height): (u32, u32),
        format: PixelFormat,
        flags: u32,
    ) -> ChannelAttr {
        let profile = match (codec, self.value(V4L2_CID_MPEG_VIDEO_H264_PROFILE) as i32) {
            (Codec::Jpeg, _) => Profile::None,
            (Codec::H265, _) => match self.value(V4L2_CID_MVE_VIDEO_H265_PROFILE) as i32 {
                MVX_H265_PROFILE_MAIN_10 => Profile::H265Main10,
                _ => Profile::H265Main,
            },
            (_, V4L2_MPEG_VIDEO_H264_PROFILE_BASELINE) => Profile::H264Baseline,
            (_, V4L2_MPEG_VIDEO_H264_PROFILE_MAIN) => Profile::H264Main,
            (_, V4L2_MPEG_VIDEO_H264_PROFILE_HIGH_10) => Profile::H264High10,
            _ => Profile::H264High,
        };
        let mut attr = ChannelAttr::new(codec, profile, width, height);
        attr.format = format;
        attr.rate = self.rate(codec);
        attr.gop = self.value(V4L2_CID_MPEG_VIDEO_GOP_SIZE).max(1) as u32;
        let rate = self.value(V4L2_CID_MVE_VIDEO_FRAME_RATE).max(1) as u32;
        let shift = rate.trailing_zeros().min(16);
        attr.framerate = (rate >> shift, 1 << (16 - shift));
        if self.value(V4L2_CID_MPEG_VIDEO_H264_ENTROPY_MODE) as i32
            == V4L2_MPEG_VIDEO_H264_ENTROPY_MODE_CAVLC
        {
            attr.entropy = Entropy::Cavlc;
        }
        attr.mirror = match flags & 0x0300_0000 {
            V4L2_BUF_FRAME_FLAG_MIRROR_HORI => Mirror::Horizontal,
            V4L2_BUF_FRAME_FLAG_MIRROR_VERT => Mirror::Vertical,
            _ => Mirror::None,
        };
        attr.rotation = match flags & V4L2_BUF_ENCODE_FLAG_ROTATION_270 {
            V4L2_BUF_ENCODE_FLAG_ROTATION_90 => Rotation::Quarter,
            V4L2_BUF_ENCODE_FLAG_ROTATION_180 => Rotation::Half,
            V4L2_BUF_ENCODE_FLAG_ROTATION_270 => Rotation::ThreeQuarters,
            _ => Rotation::None,
        };
        attr
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_are_in_order() {
        assert!(CONTROLS.windows(2).all(|pair| pair[0].id < pair[1].id));
    }

    #[test]
    fn a_bit_rate_makes_the_rate_constant() {
        let mut values = Values::default();
        let attr = |values: &Values| values.attr(Codec::H264, (128, 64), PixelFormat::Nv12, 0);
        assert_eq!(attr(&values).rate, RateControl::Cbr { bitrate: 2500 });
        values.set_rate(v4l2_rate_control {
            rc_type: V4L2_OPT_RATE_CONTROL_MODE_C_VARIABLE,
            target_bitrate: 1_000_000,
            maximum_bitrate: 2_000_000,
        });
        assert!(matches!(attr(&values).rate, RateControl::Vbr { .. }));
        values.set(V4L2_CID_MPEG_VIDEO_BITRATE, 3_000_000);
        assert_eq!(attr(&values).rate, RateControl::Cbr { bitrate: 3000 });
        values.set(V4L2_CID_MVE_VIDEO_FRAME_RATE, (25 << 16) + (1 << 15));
        assert_eq!(attr(&values).framerate, (51, 2));
        let turned = values.attr(Codec::H264, (128, 64), PixelFormat::Nv12, 0x3200_0000);
        assert_eq!(turned.rotation, Rotation::ThreeQuarters);
        assert_eq!(turned.mirror, Mirror::Vertical);
    }
}
