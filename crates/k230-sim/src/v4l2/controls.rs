// SPDX-License-Identifier: MIT OR Apache-2.0
//! The driver's controls: those of `mvx_v4l2_ctrls_init`, and what setting one does.

use std::collections::BTreeMap;

use k230_venc::{
    ChannelAttr, Codec, Entropy, Level, MAX_BITRATE, MAX_GOP, Mirror, PixelFormat, Profile,
    RateControl, Rotation, v4l2::raw::*,
};

use super::uapi::*;

/// A control as the driver registers it, or a class' heading, which V4L2 adds.
#[derive(Debug)]
pub(super) struct Control {
    pub id: u32,
    pub name: &'static str,
    /// `V4L2_CTRL_TYPE_*`
    pub kind: u32,
    pub minimum: i32,
    pub maximum: i32,
    pub step: i32,
    pub default: i32,
    /// Items of a menu. Those that the driver leaves out of a menu of V4L2's are empty.
    pub menu: &'static [&'static str],
    /// `V4L2_CTRL_FLAG_*`
    pub flags: u32,
}

const fn number(id: u32, name: &'static str, minimum: i32, maximum: i32, default: i32) -> Control {
    Control {
        id,
        name,
        kind: V4L2_CTRL_TYPE_INTEGER,
        minimum,
        maximum,
        step: 1,
        default,
        menu: &[],
        flags: 0,
    }
}

/// A number that is at least 0 and not limited.
const fn count(id: u32, name: &'static str) -> Control {
    number(id, name, 0, i32::MAX, 0)
}

/// -1 for unset, 0 for true and 1 for false (`enum mvx_tristate`).
const fn tristate(id: u32, name: &'static str) -> Control {
    number(id, name, -1, 1, -1)
}

const fn menu(
    id: u32,
    name: &'static str,
    default: i32,
    items: &'static [&'static str],
) -> Control {
    Control {
        kind: V4L2_CTRL_TYPE_MENU,
        menu: items,
        ..number(id, name, 0, items.len() as i32 - 1, default)
    }
}

const fn read_only(control: Control) -> Control {
    Control {
        flags: V4L2_CTRL_FLAG_READ_ONLY | V4L2_CTRL_FLAG_VOLATILE,
        ..control
    }
}

const fn heading(id: u32, name: &'static str) -> Control {
    Control {
        kind: V4L2_CTRL_TYPE_CTRL_CLASS,
        step: 0,
        flags: V4L2_CTRL_FLAG_READ_ONLY | V4L2_CTRL_FLAG_WRITE_ONLY,
        ..number(id, name, 0, 0, 0)
    }
}

const CODEC: u32 = 0x0099_0900;
/// `V4L2_CTRL_CLASS_CODEC + 0x2000`: the driver's own.
const MVE: u32 = 0x0099_2000;

const H264_MIN_QP: u32 = CODEC + 353;
const H264_MAX_QP: u32 = CODEC + 354;
const JPEG_RESTART_INTERVAL: u32 = 0x009d_0902;
const MVE_HRD_BUFFER_SIZE: u32 = MVE + 0x1f;
const MVE_RGB_TO_YUV_MODE: u32 = MVE + 0x16;
const MVE_GOP_RESET_PFRAMES: u32 = MVE + 0x35;
const MVE_LTR_RESET_PERIOD: u32 = MVE + 0x36;
const MVE_VPX_B_FRAME_QP: u32 = MVE + 0x19;

/// In the order of their numbers, as the kernel enumerates them. SAO's are in the driver's header
/// and in what it does when they are set, but are not registered.
pub(super) static CONTROLS: &[Control] = &[
    heading(V4L2_CID_USER_CLASS, "User Controls"),
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
    heading(V4L2_CID_CODEC_CLASS, "Codec Controls"),
    count(V4L2_CID_MPEG_VIDEO_B_FRAMES, "Video B Frames"),
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
    count(CODEC + 214, "Number of Intra Refresh MBs"),
    Control {
        kind: V4L2_CTRL_TYPE_BOOLEAN,
        ..number(
            V4L2_CID_MPEG_VIDEO_FRAME_RC_ENABLE,
            "Frame Level Rate Control Enable",
            0,
            1,
            0,
        )
    },
    count(CODEC + 220, "Number of MBs in a Slice"),
    menu(
        CODEC + 221,
        "Slice Partitioning Method",
        0,
        &["Single", "Max Macroblocks"],
    ),
    count(CODEC + 227, "Horizontal MV Search Range"),
    count(CODEC + 228, "Vertical MV Search Range"),
    number(CODEC + 300, "H263 I-Frame QP Value", 0, 31, 0),
    number(CODEC + 301, "H263 P-Frame QP Value", 0, 31, 0),
    number(CODEC + 302, "H263 B-Frame QP Value", 0, 31, 0),
    number(CODEC + 303, "H263 Minimum QP Value", 1, 31, 1),
    number(CODEC + 304, "H263 Maximum QP Value", 1, 31, 1),
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
    number(CODEC + 352, "H264 B-Frame QP Value", 0, 51, 0),
    number(H264_MIN_QP, "H264 Minimum QP Value", 1, 51, 1),
    number(H264_MAX_QP, "H264 Maximum QP Value", 1, 51, 1),
    menu(
        V4L2_CID_MPEG_VIDEO_H264_ENTROPY_MODE,
        "H264 Entropy Mode",
        2,
        &["CAVLC", "CABAC", "None"],
    ),
    menu(
        V4L2_CID_MPEG_VIDEO_H264_LEVEL,
        "H264 Level",
        15,
        &[
            "1", "1b", "1.1", "1.2", "1.3", "2", "2.1", "2.2", "3", "3.1", "3.2", "4", "4.1",
            "4.2", "5", "5.1",
        ],
    ),
    menu(
        V4L2_CID_MPEG_VIDEO_H264_PROFILE,
        "H264 Profile",
        V4L2_MPEG_VIDEO_H264_PROFILE_HIGH,
        &["Baseline", "", "Main", "", "High", "High 10"],
    ),
    number(CODEC + 507, "VPX Minimum QP Value", 1, 51, 1),
    number(CODEC + 508, "VPX Maximum QP Value", 1, 51, 1),
    number(CODEC + 509, "VPX I-Frame QP Value", 0, 51, 0),
    number(CODEC + 510, "VPX P-Frame QP Value", 0, 51, 0),
    number(CODEC + 600, "HEVC Minimum QP Value", 1, 51, 1),
    number(CODEC + 601, "HEVC Maximum QP Value", 1, 51, 1),
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
    number(CODEC + 604, "HEVC B-Frame QP Value", 0, 51, 0),
    number(
        V4L2_CID_MVE_VIDEO_FRAME_RATE,
        "frame rate",
        0,
        0x1000_0000,
        30 << 16,
    ),
    menu(
        MVE + 0x01,
        "nalu format",
        0,
        &[
            "Start codes",
            "One nalu per buffer",
            "One byte length field",
            "Two byte length field",
            "Four byte length field",
        ],
    ),
    tristate(MVE + 0x02, "stream escaping"),
    menu(
        V4L2_CID_MVE_VIDEO_H265_PROFILE,
        "h265 profile",
        0,
        &["Main", "Main still", "Main intra", "Main10"],
    ),
    menu(
        MVE + 0x04,
        "vc1 profile",
        0,
        &["Simple", "Main", "Advanced"],
    ),
    menu(
        V4L2_CID_MVE_VIDEO_H265_LEVEL,
        "h265 level",
        17,
        &[
            "None", "Main 1", "High 1", "Main 2", "High 2", "Main 2.1", "High 2.1", "Main 3",
            "High 3", "Main 3.1", "High 3.1", "Main 4", "High 4", "Main 4.1", "High 4.1", "Main 5",
            "High 5", "Main 5.1", "High 5.1", "Main 5.2", "High 5.2", "Main 6", "High 6",
            "Main 6.1", "High 6.1", "Main 6.2", "High 6.2",
        ],
    ),
    tristate(MVE + 0x06, "ignore stream headers"),
    tristate(MVE + 0x07, "frame reordering"),
    count(MVE + 0x08, "internal buffer size"),
    count(V4L2_CID_MVE_VIDEO_P_FRAMES, "video P frames"),
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
    tristate(MVE + 0x0b, "constrained intra prediction"),
    tristate(MVE + 0x0c, "entropy sync"),
    tristate(MVE + 0x0d, "temporal mvp"),
    number(MVE + 0x0e, "tile rows", 0, 65536, 0),
    number(MVE + 0x0f, "tile columns", 0, 65536, 0),
    Control {
        step: 8,
        ..number(MVE + 0x10, "min luma cb size", 0, 16, 0)
    },
    Control {
        kind: V4L2_CTRL_TYPE_BITMASK,
        step: 0,
        ..number(MVE + 0x11, "macroblocks mask", 0, 0x7fff, 0x7fff)
    },
    menu(
        MVE + 0x12,
        "VP9 prob update",
        2,
        &["Disabled", "Implicit", "Explicit"],
    ),
    number(MVE + 0x13, "bitdepth chroma", 0, 0xff, 0),
    number(MVE + 0x14, "bitdepth luma", 0, 0xff, 0),
    number(MVE + 0x15, "force chroma format", -1, i32::MAX, 0),
    menu(
        MVE_RGB_TO_YUV_MODE,
        "RGB to YUV conversion mode",
        6,
        &[
            "BT601 studio",
            "BT601 full",
            "BT709 studio",
            "BT709 full",
            "BT2020 studio",
            "BT2020 full",
            "rgb to yuv mode max",
        ],
    ),
    count(MVE + 0x17, "bandwidth limit"),
    number(MVE + 0x18, "CABAC init IDC", 0, 4, 0),
    number(MVE_VPX_B_FRAME_QP, "VPx B frame QP value", 0, 51, 0),
    number(MVE + 0x1a, "secure video", 0, 1, 0),
    number(MVE + 0x1b, "video crop left", 0, 10_000_000, 0),
    number(MVE + 0x1c, "video crop right", 0, 10_000_000, 0),
    number(MVE + 0x1d, "video crop top", 0, 10_000_000, 0),
    number(MVE + 0x1e, "video crop bottom", 0, 10_000_000, 0),
    number(MVE_HRD_BUFFER_SIZE, "HRD buffer size", 0, 1_073_741_823, 0),
    number(MVE + 0x31, "i frame bit mode of rc", 0, 1, 0),
    number(MVE + 0x32, "i frame bit ratio of rc", 0, 100, 0),
    number(MVE + 0x33, "intermediate buffer size", 0, 1_073_741_823, 0),
    number(MVE + 0x34, "svct3 level1 period", 0, 255, 0),
    number(MVE_GOP_RESET_PFRAMES, "gop reset p frames", 0, 0xff, 0),
    number(MVE_LTR_RESET_PERIOD, "ltr reset period", 0, 0xffff, 0),
    number(V4L2_CID_MVE_VIDEO_QP_FIXED, "fixed qp", 0, 51, 0),
    heading(V4L2_CID_JPEG_CLASS, "JPEG Compression Controls"),
    number(JPEG_RESTART_INTERVAL, "Restart Interval", -1, 0xffff, -1),
    number(
        V4L2_CID_JPEG_COMPRESSION_QUALITY,
        "Compression Quality",
        0,
        100,
        45,
    ),
];

impl Control {
    /// The value that a control takes for one that is asked for (`std_validate_elem` of
    /// `v4l2-ctrls-core.c`): numbers go to the nearest that it has.
    ///
    /// # Errors
    /// `ERANGE` beyond a menu, `EINVAL` for an item that is left out.
    pub(crate) fn validate(&self, value: i32) -> Result<i32, i32> {
        match self.kind {
            V4L2_CTRL_TYPE_BOOLEAN => Ok(i32::from(value != 0)),
            V4L2_CTRL_TYPE_BITMASK => Ok(value & self.maximum),
            V4L2_CTRL_TYPE_CTRL_CLASS => Ok(0),
            V4L2_CTRL_TYPE_MENU => {
                let item = usize::try_from(value).ok();
                match item.and_then(|item| self.menu.get(item)) {
                    None => Err(libc::ERANGE),
                    Some(&"") => Err(libc::EINVAL),
                    Some(_) => Ok(value),
                }
            }
            _ => {
                let (minimum, maximum) = (i64::from(self.minimum), i64::from(self.maximum));
                let step = i64::from(self.step);
                let nearest = (i64::from(value) + step / 2).clamp(minimum, maximum);
                Ok((minimum + (nearest - minimum) / step * step) as i32)
            }
        }
    }

    /// Whether the firmware takes it while it is loaded.
    fn is_live(&self, value: i32) -> bool {
        match self.id {
            V4L2_CID_MVE_VIDEO_FRAME_RATE
            | V4L2_CID_MPEG_VIDEO_FRAME_RC_ENABLE
            | V4L2_CID_MPEG_VIDEO_BITRATE
            | MVE_HRD_BUFFER_SIZE
            | MVE_GOP_RESET_PFRAMES
            | MVE_LTR_RESET_PERIOD
            | MVE_VPX_B_FRAME_QP => true,
            // set_ctrl passes these values over.
            V4L2_CID_JPEG_COMPRESSION_QUALITY => value == 0,
            JPEG_RESTART_INTERVAL => value == -1,
            MVE_RGB_TO_YUV_MODE => value == 6,
            id => is_qp(id),
        }
    }
}

/// Whether a control is a quantizer of a codec.
fn is_qp(id: u32) -> bool {
    id.checked_sub(CODEC)
        .is_some_and(|number| matches!(number, 300..=304 | 350..=354 | 507..=510 | 600..=604))
}

/// The quantizers of a codec that an encoder of a PC takes.
#[derive(Debug, Default, Clone, Copy)]
struct Quantizers {
    i: i32,
    p: i32,
}

/// The values of a session, and what the driver made of them: it does something when one changes, and
/// only then.
#[derive(Debug)]
pub(super) struct Values {
    set: BTreeMap<u32, i32>,
    /// P frames between two key pictures, from two controls.
    p_frames: i32,
    /// What the private request or the bit rate's control has set last.
    rate: v4l2_rate_control,
    jpeg_quality: i32,
    h264: Quantizers,
    h265: Quantizers,
}

impl Default for Values {
    /// What `v4l2_ctrl_handler_setup` leaves behind: it sets every control to its default in the order
    /// in which the driver has registered them, so that "video P frames" has the last word about the
    /// GOP, and the bit rate's control makes the rate constant.
    fn default() -> Self {
        Self {
            set: BTreeMap::new(),
            p_frames: 0,
            rate: constant(2_500_000),
            jpeg_quality: 45,
            h264: Quantizers::default(),
            h265: Quantizers::default(),
        }
    }
}

fn constant(bits: i32) -> v4l2_rate_control {
    v4l2_rate_control {
        rc_type: V4L2_OPT_RATE_CONTROL_MODE_CONSTANT,
        target_bitrate: bits as u32,
        maximum_bitrate: bits as u32,
    }
}

impl Values {
    pub(crate) fn get(&self, control: &Control) -> i32 {
        self.set
            .get(&control.id)
            .copied()
            .unwrap_or(control.default)
    }

    /// Sets a control to a value that it takes; `loaded` is the codec of the firmware that runs. Whether
    /// that changed it: what it has is not set again, whatever else was set in between
    /// (`try_or_set_cluster`).
    ///
    /// # Errors
    /// `EBUSY` for what the firmware is only told when it starts.
    pub(crate) fn set(
        &mut self,
        control: &Control,
        value: i32,
        loaded: Option<Codec>,
    ) -> Result<bool, i32> {
        if self.get(control) == value {
            return Ok(false);
        }
        if loaded.is_some() && !control.is_live(value) {
            return Err(libc::EBUSY);
        }
        self.apply(control.id, value, loaded);
        self.set.insert(control.id, value);
        Ok(true)
    }

    /// `set_ctrl` of `mvx_v4l2_ctrls.c`.
    fn apply(&mut self, id: u32, value: i32, loaded: Option<Codec>) {
        let quantizers = match (loaded, id) {
            // Of a session that runs they are its codec's, whatever their name.
            (Some(Codec::H265), _) => &mut self.h265,
            (Some(Codec::H264), _) => &mut self.h264,
            (_, V4L2_CID_MPEG_VIDEO_HEVC_I_FRAME_QP | V4L2_CID_MPEG_VIDEO_HEVC_P_FRAME_QP) => {
                &mut self.h265
            }
            _ => &mut self.h264,
        };
        match id {
            V4L2_CID_MPEG_VIDEO_GOP_SIZE => self.p_frames = value - 1,
            V4L2_CID_MVE_VIDEO_P_FRAMES => self.p_frames = value,
            V4L2_CID_MPEG_VIDEO_BITRATE => self.rate = constant(value),
            V4L2_CID_JPEG_COMPRESSION_QUALITY if value != 0 => self.jpeg_quality = value,
            V4L2_CID_MPEG_VIDEO_H264_I_FRAME_QP | V4L2_CID_MPEG_VIDEO_HEVC_I_FRAME_QP => {
                quantizers.i = value;
            }
            V4L2_CID_MPEG_VIDEO_H264_P_FRAME_QP | V4L2_CID_MPEG_VIDEO_HEVC_P_FRAME_QP => {
                quantizers.p = value;
            }
            _ => {}
        }
    }

    /// `VIDIOC_S_MVX_RATE_CONTROL`
    pub(crate) fn set_rate(&mut self, rate: v4l2_rate_control) {
        self.rate = rate;
    }

    fn value(&self, id: u32) -> i32 {
        CONTROLS
            .iter()
            .find(|control| control.id == id)
            .map_or(0, |control| self.get(control))
    }

    fn rate(&self, codec: Codec) -> RateControl {
        if codec == Codec::Jpeg {
            return RateControl::JpegQuality {
                factor: self.jpeg_quality.clamp(1, 99) as u32,
            };
        }
        let quantizers = match codec {
            Codec::H265 => self.h265,
            _ => self.h264,
        };
        let kbit = |bits: u32| (bits / 1000).clamp(1, MAX_BITRATE);
        let rate = self.rate;
        match rate.rc_type {
            V4L2_OPT_RATE_CONTROL_MODE_C_VARIABLE => RateControl::Vbr {
                bitrate: kbit(rate.target_bitrate),
                max_bitrate: kbit(rate.maximum_bitrate.max(rate.target_bitrate)),
            },
            V4L2_OPT_RATE_CONTROL_MODE_OFF => {
                let fixed = self.value(V4L2_CID_MVE_VIDEO_QP_FIXED);
                // What is 0 was not set (fw_set_qp), and what the firmware takes then is not known.
                let or = |qp: i32, other: i32| if qp == 0 { other } else { qp };
                let i = or(fixed, or(quantizers.i, 30));
                RateControl::FixQp {
                    i: i as u32,
                    p: or(fixed, or(quantizers.p, i)) as u32,
                }
            }
            _ => RateControl::Cbr {
                bitrate: kbit(rate.target_bitrate),
            },
        }
    }

    /// The level that is written into streams. "None" and what the driver's menu has beyond the
    /// standard leave it to the encoder.
    fn level(&self, codec: Codec) -> Option<Level> {
        match codec {
            Codec::H264 => {
                let item = self.value(V4L2_CID_MPEG_VIDEO_H264_LEVEL);
                Level::at(codec, usize::try_from(item).ok()?, false)
            }
            Codec::H265 => {
                let item = self.value(V4L2_CID_MVE_VIDEO_H265_LEVEL);
                let item = usize::try_from(item).ok()?.checked_sub(1)?;
                Level::at(codec, item / 2, item % 2 == 1)
            }
            Codec::Jpeg => None,
        }
    }

    /// What an encoder of this machine is to do, for pictures that come with `flags`.
    pub(crate) fn attr(
        &self,
        codec: Codec,
        (width, height): (u32, u32),
        format: PixelFormat,
        flags: u32,
    ) -> ChannelAttr {
        let profile = match (codec, self.value(V4L2_CID_MPEG_VIDEO_H264_PROFILE)) {
            (Codec::Jpeg, _) => Profile::None,
            (Codec::H265, _) => match self.value(V4L2_CID_MVE_VIDEO_H265_PROFILE) {
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
        attr.level = self.level(codec);
        attr.rate = self.rate(codec);
        attr.gop = (i64::from(self.p_frames) + 1).clamp(1, MAX_GOP.into()) as u32;
        let rate = self.value(V4L2_CID_MVE_VIDEO_FRAME_RATE).max(1) as u32;
        let shift = rate.trailing_zeros().min(16);
        attr.framerate = (rate >> shift, 1 << (16 - shift));
        if self.value(V4L2_CID_MPEG_VIDEO_H264_ENTROPY_MODE)
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

    fn control(id: u32) -> &'static Control {
        CONTROLS.iter().find(|c| c.id == id).expect("a control")
    }

    #[test]
    fn controls_are_in_order_and_under_a_heading() {
        assert!(CONTROLS.windows(2).all(|pair| pair[0].id < pair[1].id));
        let mut class = 0;
        for control in CONTROLS {
            if control.kind == V4L2_CTRL_TYPE_CTRL_CLASS {
                class = control.id & V4L2_CTRL_CLASS_MASK;
            }
            assert_eq!(control.id & V4L2_CTRL_CLASS_MASK, class, "{}", control.name);
        }
    }

    /// Whatever is asked for: a number's answer is one that it has, the nearest, and asked for
    /// again it is itself.
    #[test]
    fn what_is_asked_for_becomes_what_a_control_has() {
        let extremes = [i32::MIN, i32::MAX, -1, 0, 1, 2, 3, 5, 60, 99_999];
        for control in CONTROLS {
            let near = [control.minimum, control.maximum, control.default]
                .into_iter()
                .flat_map(|value| [value.saturating_sub(1), value, value.saturating_add(1)]);
            for value in extremes.into_iter().chain(near) {
                let name = control.name;
                match control.validate(value) {
                    Ok(taken) => {
                        let range = control.minimum..=control.maximum;
                        assert!(range.contains(&taken), "{name}: {value} gives {taken}");
                        assert_eq!(control.validate(taken), Ok(taken), "{name}");
                        if control.kind == V4L2_CTRL_TYPE_INTEGER && control.step == 1 {
                            assert_eq!(taken, value.clamp(control.minimum, control.maximum));
                        }
                    }
                    Err(error) => {
                        assert_eq!(control.kind, V4L2_CTRL_TYPE_MENU, "{name}");
                        let known = usize::try_from(value).is_ok_and(|n| n < control.menu.len());
                        let expected = if known { libc::EINVAL } else { libc::ERANGE };
                        assert_eq!(error, expected, "{name}: {value}");
                    }
                }
            }
        }
        let luma = control(MVE + 0x10);
        let taken = [3, 4, 11, 12, 40].map(|value| luma.validate(value));
        assert_eq!(taken, [Ok(0), Ok(8), Ok(8), Ok(16), Ok(16)]);
        let profile = control(V4L2_CID_MPEG_VIDEO_H264_PROFILE);
        assert_eq!(profile.validate(1), Err(libc::EINVAL));
    }

    #[test]
    fn a_bit_rate_makes_the_rate_constant() {
        let mut values = Values::default();
        let bitrate = control(V4L2_CID_MPEG_VIDEO_BITRATE);
        let attr = |values: &Values| values.attr(Codec::H264, (128, 64), PixelFormat::Nv12, 0);
        assert_eq!(attr(&values).rate, RateControl::Cbr { bitrate: 2500 });
        let variable = v4l2_rate_control {
            rc_type: V4L2_OPT_RATE_CONTROL_MODE_C_VARIABLE,
            target_bitrate: 1_000_000,
            maximum_bitrate: 2_000_000,
        };
        values.set_rate(variable);
        assert!(matches!(attr(&values).rate, RateControl::Vbr { .. }));
        // The value that the control has already does nothing.
        assert_eq!(values.set(bitrate, 2_500_000, None), Ok(false));
        assert!(matches!(attr(&values).rate, RateControl::Vbr { .. }));
        assert_eq!(values.set(bitrate, 3_000_000, None), Ok(true));
        assert_eq!(attr(&values).rate, RateControl::Cbr { bitrate: 3000 });
        let rate = control(V4L2_CID_MVE_VIDEO_FRAME_RATE);
        assert_eq!(values.set(rate, (25 << 16) + (1 << 15), None), Ok(true));
        assert_eq!(attr(&values).framerate, (51, 2));
        let turned = values.attr(Codec::H264, (128, 64), PixelFormat::Nv12, 0x3200_0000);
        assert_eq!(turned.rotation, Rotation::ThreeQuarters);
        assert_eq!(turned.mirror, Mirror::Vertical);
    }

    /// Quantizers act once rate control is off, which its control does not do.
    #[test]
    fn rate_control_is_on_until_the_private_request_turns_it_off() {
        let mut values = Values::default();
        for (id, qp) in [
            (V4L2_CID_MPEG_VIDEO_H264_I_FRAME_QP, 20),
            (V4L2_CID_MPEG_VIDEO_H264_P_FRAME_QP, 24),
        ] {
            assert_eq!(values.set(control(id), qp, None), Ok(true));
        }
        let enable = control(V4L2_CID_MPEG_VIDEO_FRAME_RC_ENABLE);
        assert_eq!(values.set(enable, 0, None), Ok(false));
        assert!(matches!(values.rate(Codec::H264), RateControl::Cbr { .. }));
        values.set_rate(v4l2_rate_control {
            rc_type: V4L2_OPT_RATE_CONTROL_MODE_OFF,
            target_bitrate: 0,
            maximum_bitrate: 0,
        });
        assert_eq!(
            values.rate(Codec::H264),
            RateControl::FixQp { i: 20, p: 24 }
        );
        // Of a session that runs, the quantizer of another codec is its own.
        let hevc = control(V4L2_CID_MPEG_VIDEO_HEVC_P_FRAME_QP);
        assert_eq!(values.set(hevc, 40, Some(Codec::H264)), Ok(true));
        assert_eq!(
            values.rate(Codec::H264),
            RateControl::FixQp { i: 20, p: 40 }
        );
    }

    /// The default of the GOP's control is not what the driver has, and setting it to that does not
    /// change it.
    #[test]
    fn the_gop_is_that_of_the_control_that_changed_last() {
        let mut values = Values::default();
        let gop = |values: &Values| {
            values
                .attr(Codec::H264, (128, 64), PixelFormat::Nv12, 0)
                .gop
        };
        let (size, p_frames) = (
            control(V4L2_CID_MPEG_VIDEO_GOP_SIZE),
            control(V4L2_CID_MVE_VIDEO_P_FRAMES),
        );
        assert_eq!(gop(&values), 1);
        assert_eq!(values.set(size, 29, None), Ok(false));
        assert_eq!(gop(&values), 1);
        assert_eq!(values.set(size, 30, None), Ok(true));
        assert_eq!(gop(&values), 30);
        assert_eq!(values.set(p_frames, i32::MAX, None), Ok(true));
        assert_eq!(gop(&values), MAX_GOP);
        assert_eq!(values.set(size, 10, Some(Codec::H264)), Err(libc::EBUSY));
    }
}
