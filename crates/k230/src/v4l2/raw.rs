// SPDX-License-Identifier: MIT OR Apache-2.0
//! The structures and numbers of V4L2 that an encoder's user needs, and those of the driver `mvx`.
//!
//! From Linux' `include/uapi/linux/videodev2.h` and `v4l2-controls.h`, and from
//! `drivers/media/platform/canaan/vpu/mvx-v4l2-controls.h` of `ruyisdk/linux-xuantie-kernel`. No
//! crate has them without libclang in the build, so they stand here, and a test holds their layout
//! against the machine's header by the C compiler.
#![allow(
    missing_docs,
    non_camel_case_types,
    reason = "the names are those of the headers, and the kernel's manual documents them"
)]

use std::ffi::{c_ulong, c_void};

const fn request(direction: u32, number: u32, size: usize) -> u32 {
    (direction << 30) | ((size as u32) << 16) | ((b'V' as u32) << 8) | number
}

const fn write<T>(number: u32) -> u32 {
    request(1, number, size_of::<T>())
}

const fn read<T>(number: u32) -> u32 {
    request(2, number, size_of::<T>())
}

const fn update<T>(number: u32) -> u32 {
    request(3, number, size_of::<T>())
}

pub const VIDIOC_QUERYCAP: u32 = read::<v4l2_capability>(0);
pub const VIDIOC_ENUM_FMT: u32 = update::<v4l2_fmtdesc>(2);
pub const VIDIOC_G_FMT: u32 = update::<v4l2_format>(4);
pub const VIDIOC_S_FMT: u32 = update::<v4l2_format>(5);
pub const VIDIOC_TRY_FMT: u32 = update::<v4l2_format>(64);
pub const VIDIOC_REQBUFS: u32 = update::<v4l2_requestbuffers>(8);
pub const VIDIOC_QUERYBUF: u32 = update::<v4l2_buffer>(9);
pub const VIDIOC_QBUF: u32 = update::<v4l2_buffer>(15);
pub const VIDIOC_DQBUF: u32 = update::<v4l2_buffer>(17);
pub const VIDIOC_STREAMON: u32 = write::<u32>(18);
pub const VIDIOC_STREAMOFF: u32 = write::<u32>(19);
pub const VIDIOC_G_CTRL: u32 = update::<v4l2_control>(27);
pub const VIDIOC_S_CTRL: u32 = update::<v4l2_control>(28);
pub const VIDIOC_QUERYCTRL: u32 = update::<v4l2_queryctrl>(36);
pub const VIDIOC_QUERYMENU: u32 = update::<v4l2_querymenu>(37);
pub const VIDIOC_G_EXT_CTRLS: u32 = update::<v4l2_ext_controls>(71);
pub const VIDIOC_S_EXT_CTRLS: u32 = update::<v4l2_ext_controls>(72);
pub const VIDIOC_TRY_EXT_CTRLS: u32 = update::<v4l2_ext_controls>(73);
pub const VIDIOC_ENUM_FRAMESIZES: u32 = update::<v4l2_frmsizeenum>(74);
pub const VIDIOC_ENCODER_CMD: u32 = update::<v4l2_encoder_cmd>(77);
pub const VIDIOC_TRY_ENCODER_CMD: u32 = update::<v4l2_encoder_cmd>(78);
pub const VIDIOC_DQEVENT: u32 = read::<v4l2_event>(89);
pub const VIDIOC_SUBSCRIBE_EVENT: u32 = write::<v4l2_event_subscription>(90);
pub const VIDIOC_UNSUBSCRIBE_EVENT: u32 = write::<v4l2_event_subscription>(91);
pub const VIDIOC_QUERY_EXT_CTRL: u32 = update::<v4l2_query_ext_ctrl>(103);
/// `BASE_VIDIOC_PRIVATE + 1`
pub const VIDIOC_S_MVX_ROI_REGIONS: u32 = update::<v4l2_mvx_roi_regions>(193);
/// `BASE_VIDIOC_PRIVATE + 5`
pub const VIDIOC_S_MVX_RATE_CONTROL: u32 = update::<v4l2_rate_control>(197);

pub const V4L2_BUF_TYPE_VIDEO_CAPTURE: u32 = 1;
pub const V4L2_BUF_TYPE_VIDEO_OUTPUT: u32 = 2;
pub const V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE: u32 = 9;
pub const V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE: u32 = 10;

pub const V4L2_MEMORY_MMAP: u32 = 1;
pub const V4L2_MEMORY_USERPTR: u32 = 2;
pub const V4L2_MEMORY_DMABUF: u32 = 4;

pub const V4L2_FIELD_NONE: u32 = 1;
pub const V4L2_FMT_FLAG_COMPRESSED: u32 = 1;

pub const V4L2_CAP_VIDEO_M2M_MPLANE: u32 = 0x4000;
pub const V4L2_CAP_VIDEO_M2M: u32 = 0x8000;
pub const V4L2_CAP_EXT_PIX_FORMAT: u32 = 0x0020_0000;
pub const V4L2_CAP_STREAMING: u32 = 0x0400_0000;
pub const V4L2_CAP_DEVICE_CAPS: u32 = 0x8000_0000;

pub const V4L2_BUF_CAP_SUPPORTS_MMAP: u32 = 1;
pub const V4L2_BUF_CAP_SUPPORTS_USERPTR: u32 = 2;
pub const V4L2_BUF_CAP_SUPPORTS_DMABUF: u32 = 4;

pub const V4L2_BUF_FLAG_MAPPED: u32 = 0x1;
pub const V4L2_BUF_FLAG_QUEUED: u32 = 0x2;
pub const V4L2_BUF_FLAG_DONE: u32 = 0x4;
pub const V4L2_BUF_FLAG_KEYFRAME: u32 = 0x8;
pub const V4L2_BUF_FLAG_PFRAME: u32 = 0x10;
pub const V4L2_BUF_FLAG_BFRAME: u32 = 0x20;
pub const V4L2_BUF_FLAG_ERROR: u32 = 0x40;
pub const V4L2_BUF_FLAG_TIMESTAMP_COPY: u32 = 0x4000;
pub const V4L2_BUF_FLAG_LAST: u32 = 0x0010_0000;

/// On a CAPTURE buffer: parameter sets.
pub const V4L2_BUF_FLAG_MVX_CODEC_CONFIG: u32 = 0xC100_0000;
// On an OUTPUT buffer.
pub const V4L2_BUF_FRAME_FLAG_MIRROR_HORI: u32 = 0x0100_0000;
pub const V4L2_BUF_FRAME_FLAG_MIRROR_VERT: u32 = 0x0200_0000;
pub const V4L2_BUF_ENCODE_FLAG_ROTATION_90: u32 = 0x1000_0000;
pub const V4L2_BUF_ENCODE_FLAG_ROTATION_180: u32 = 0x2000_0000;
pub const V4L2_BUF_ENCODE_FLAG_ROTATION_270: u32 = 0x3000_0000;
pub const V4L2_BUF_FLAG_MVX_BUFFER_ROI: u32 = 0x0400_0000;

pub const V4L2_ENC_CMD_START: u32 = 0;
pub const V4L2_ENC_CMD_STOP: u32 = 1;

pub const V4L2_EVENT_EOS: u32 = 2;
pub const V4L2_EVENT_CTRL: u32 = 3;
pub const V4L2_EVENT_SOURCE_CHANGE: u32 = 5;

pub const V4L2_CTRL_TYPE_INTEGER: u32 = 1;
pub const V4L2_CTRL_TYPE_BOOLEAN: u32 = 2;
pub const V4L2_CTRL_TYPE_MENU: u32 = 3;
/// The heading of a class of controls.
pub const V4L2_CTRL_TYPE_CTRL_CLASS: u32 = 6;
pub const V4L2_CTRL_FLAG_READ_ONLY: u32 = 0x4;
pub const V4L2_CTRL_FLAG_VOLATILE: u32 = 0x80;
pub const V4L2_CTRL_FLAG_NEXT_CTRL: u32 = 0x8000_0000;
pub const V4L2_CTRL_FLAG_NEXT_COMPOUND: u32 = 0x4000_0000;

pub const V4L2_CID_MIN_BUFFERS_FOR_CAPTURE: u32 = 0x0098_0927;
pub const V4L2_CID_MIN_BUFFERS_FOR_OUTPUT: u32 = 0x0098_0928;
const CODEC_BASE: u32 = 0x0099_0900;
pub const V4L2_CID_MPEG_VIDEO_B_FRAMES: u32 = CODEC_BASE + 202;
pub const V4L2_CID_MPEG_VIDEO_GOP_SIZE: u32 = CODEC_BASE + 203;
pub const V4L2_CID_MPEG_VIDEO_BITRATE: u32 = CODEC_BASE + 207;
pub const V4L2_CID_MPEG_VIDEO_FRAME_RC_ENABLE: u32 = CODEC_BASE + 215;
pub const V4L2_CID_MPEG_VIDEO_H264_I_FRAME_QP: u32 = CODEC_BASE + 350;
pub const V4L2_CID_MPEG_VIDEO_H264_P_FRAME_QP: u32 = CODEC_BASE + 351;
pub const V4L2_CID_MPEG_VIDEO_H264_ENTROPY_MODE: u32 = CODEC_BASE + 357;
pub const V4L2_CID_MPEG_VIDEO_H264_LEVEL: u32 = CODEC_BASE + 359;
pub const V4L2_CID_MPEG_VIDEO_H264_PROFILE: u32 = CODEC_BASE + 363;
pub const V4L2_CID_MPEG_VIDEO_HEVC_I_FRAME_QP: u32 = CODEC_BASE + 602;
pub const V4L2_CID_MPEG_VIDEO_HEVC_P_FRAME_QP: u32 = CODEC_BASE + 603;
pub const V4L2_CID_JPEG_COMPRESSION_QUALITY: u32 = 0x009d_0903;
/// `V4L2_CTRL_CLASS_CODEC + 0x2000`: frames a second in 16.16 bits.
pub const V4L2_CID_MVE_VIDEO_FRAME_RATE: u32 = 0x0099_2000;
pub const V4L2_CID_MVE_VIDEO_H265_PROFILE: u32 = 0x0099_2003;
pub const V4L2_CID_MVE_VIDEO_H265_LEVEL: u32 = 0x0099_2005;
pub const V4L2_CID_MVE_VIDEO_P_FRAMES: u32 = 0x0099_2009;
pub const V4L2_CID_MVE_VIDEO_GOP_TYPE: u32 = 0x0099_200a;
pub const V4L2_CID_MVE_VIDEO_SAO_LUMA: u32 = 0x0099_2022;
pub const V4L2_CID_MVE_VIDEO_SAO_CHROMA: u32 = 0x0099_2023;
pub const V4L2_CID_MVE_VIDEO_QP_FIXED: u32 = 0x0099_2037;

pub const V4L2_MPEG_VIDEO_H264_PROFILE_BASELINE: i32 = 0;
pub const V4L2_MPEG_VIDEO_H264_PROFILE_MAIN: i32 = 2;
pub const V4L2_MPEG_VIDEO_H264_PROFILE_HIGH: i32 = 4;
pub const V4L2_MPEG_VIDEO_H264_PROFILE_HIGH_10: i32 = 5;
pub const V4L2_MPEG_VIDEO_H264_ENTROPY_MODE_CAVLC: i32 = 0;
pub const V4L2_MPEG_VIDEO_H264_ENTROPY_MODE_CABAC: i32 = 1;
// The items of the driver's own menu for H.265.
pub const MVX_H265_PROFILE_MAIN: i32 = 0;
pub const MVX_H265_PROFILE_MAIN_10: i32 = 3;

pub const V4L2_OPT_RATE_CONTROL_MODE_OFF: u32 = 0;
pub const V4L2_OPT_RATE_CONTROL_MODE_STANDARD: u32 = 1;
pub const V4L2_OPT_RATE_CONTROL_MODE_VARIABLE: u32 = 2;
pub const V4L2_OPT_RATE_CONTROL_MODE_CONSTANT: u32 = 3;
pub const V4L2_OPT_RATE_CONTROL_MODE_C_VARIABLE: u32 = 4;

pub const fn fourcc(code: &[u8; 4]) -> u32 {
    u32::from_le_bytes(*code)
}
pub const V4L2_PIX_FMT_H264: u32 = fourcc(b"H264");
pub const V4L2_PIX_FMT_HEVC: u32 = fourcc(b"HEVC");
pub const V4L2_PIX_FMT_JPEG: u32 = fourcc(b"JPEG");
pub const V4L2_PIX_FMT_MJPEG: u32 = fourcc(b"MJPG");
pub const V4L2_PIX_FMT_NV12: u32 = fourcc(b"NV12");
pub const V4L2_PIX_FMT_NV21: u32 = fourcc(b"NV21");
pub const V4L2_PIX_FMT_YUV420M: u32 = fourcc(b"YM12");
pub const V4L2_PIX_FMT_YUYV: u32 = fourcc(b"YUYV");
pub const V4L2_PIX_FMT_UYVY: u32 = fourcc(b"UYVY");
pub const V4L2_PIX_FMT_RGB24: u32 = fourcc(b"RGB3");
pub const V4L2_PIX_FMT_BGR24: u32 = fourcc(b"BGR3");
pub const V4L2_PIX_FMT_P010: u32 = fourcc(b"P010");
/// Planar YUV 4:2:0 in one piece elsewhere; this driver has its planes apart here too.
pub const V4L2_PIX_FMT_YUV420: u32 = fourcc(b"YU12");
/// Bytes A, R, G, B.
pub const V4L2_PIX_FMT_ARGB32: u32 = fourcc(b"BA24");
/// Bytes B, G, R, A.
pub const V4L2_PIX_FMT_ABGR32: u32 = fourcc(b"AR24");
/// Older codes, which this driver has for the same two.
pub const V4L2_PIX_FMT_RGB32: u32 = fourcc(b"RGB4");
pub const V4L2_PIX_FMT_BGR32: u32 = fourcc(b"BGR4");

pub const VIDEO_MAX_PLANES: usize = 8;

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct v4l2_capability {
    pub driver: [u8; 16],
    pub card: [u8; 32],
    pub bus_info: [u8; 32],
    pub version: u32,
    pub capabilities: u32,
    pub device_caps: u32,
    pub reserved: [u32; 3],
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct v4l2_fmtdesc {
    pub index: u32,
    pub type_: u32,
    pub flags: u32,
    pub description: [u8; 32],
    pub pixelformat: u32,
    pub mbus_code: u32,
    pub reserved: [u32; 3],
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct v4l2_pix_format {
    pub width: u32,
    pub height: u32,
    pub pixelformat: u32,
    pub field: u32,
    pub bytesperline: u32,
    pub sizeimage: u32,
    pub colorspace: u32,
    pub priv_: u32,
    pub flags: u32,
    pub ycbcr_enc: u32,
    pub quantization: u32,
    pub xfer_func: u32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct v4l2_plane_pix_format {
    pub sizeimage: u32,
    pub bytesperline: u32,
    pub reserved: [u16; 6],
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct v4l2_pix_format_mplane {
    pub width: u32,
    pub height: u32,
    pub pixelformat: u32,
    pub field: u32,
    pub colorspace: u32,
    pub plane_fmt: [v4l2_plane_pix_format; VIDEO_MAX_PLANES],
    pub num_planes: u8,
    pub flags: u8,
    pub ycbcr_enc: u8,
    pub quantization: u8,
    pub xfer_func: u8,
    pub reserved: [u8; 7],
}

/// 200 bytes, aligned for the pointers that a member left out here has.
#[repr(C)]
#[derive(Clone, Copy)]
pub union v4l2_format_fmt {
    pub pix: v4l2_pix_format,
    pub pix_mp: v4l2_pix_format_mplane,
    pub raw: [usize; 200 / size_of::<usize>()],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct v4l2_format {
    pub type_: u32,
    pub fmt: v4l2_format_fmt,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct v4l2_requestbuffers {
    pub count: u32,
    pub type_: u32,
    pub memory: u32,
    pub capabilities: u32,
    pub flags: u8,
    pub reserved: [u8; 3],
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct v4l2_timecode {
    pub type_: u32,
    pub flags: u32,
    pub frames: u8,
    pub seconds: u8,
    pub minutes: u8,
    pub hours: u8,
    pub userbits: [u8; 4],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub union v4l2_plane_m {
    pub mem_offset: u32,
    pub userptr: c_ulong,
    pub fd: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct v4l2_plane {
    pub bytesused: u32,
    pub length: u32,
    pub m: v4l2_plane_m,
    pub data_offset: u32,
    pub reserved: [u32; 11],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub union v4l2_buffer_m {
    pub offset: u32,
    pub userptr: c_ulong,
    pub planes: *mut v4l2_plane,
    pub fd: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct v4l2_buffer {
    pub index: u32,
    pub type_: u32,
    pub bytesused: u32,
    pub flags: u32,
    pub field: u32,
    pub timestamp: libc::timeval,
    pub timecode: v4l2_timecode,
    pub sequence: u32,
    pub memory: u32,
    pub m: v4l2_buffer_m,
    pub length: u32,
    pub reserved2: u32,
    pub request_fd: i32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct v4l2_control {
    pub id: u32,
    pub value: i32,
}

/// `value` is a union of numbers and pointers in the header; as 64 bits it has them all.
#[repr(C, packed)]
#[derive(Debug, Clone, Copy)]
pub struct v4l2_ext_control {
    pub id: u32,
    pub size: u32,
    pub reserved2: [u32; 1],
    pub value: i64,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct v4l2_ext_controls {
    pub which: u32,
    pub count: u32,
    pub error_idx: u32,
    pub request_fd: i32,
    pub reserved: [u32; 1],
    pub controls: *mut v4l2_ext_control,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct v4l2_queryctrl {
    pub id: u32,
    pub type_: u32,
    pub name: [u8; 32],
    pub minimum: i32,
    pub maximum: i32,
    pub step: i32,
    pub default_value: i32,
    pub flags: u32,
    pub reserved: [u32; 2],
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct v4l2_query_ext_ctrl {
    pub id: u32,
    pub type_: u32,
    pub name: [u8; 32],
    pub minimum: i64,
    pub maximum: i64,
    pub step: u64,
    pub default_value: i64,
    pub flags: u32,
    pub elem_size: u32,
    pub elems: u32,
    pub nr_of_dims: u32,
    pub dims: [u32; 4],
    pub reserved: [u32; 32],
}

#[repr(C, packed)]
#[derive(Debug, Clone, Copy)]
pub struct v4l2_querymenu {
    pub id: u32,
    pub index: u32,
    pub name: [u8; 32],
    pub reserved: u32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct v4l2_encoder_cmd {
    pub cmd: u32,
    pub flags: u32,
    pub raw: [u32; 8],
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct v4l2_event_subscription {
    pub type_: u32,
    pub id: u32,
    pub flags: u32,
    pub reserved: [u32; 5],
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct v4l2_event {
    pub type_: u32,
    pub u: [u64; 8],
    pub pending: u32,
    pub sequence: u32,
    pub timestamp: libc::timespec,
    pub id: u32,
    pub reserved: [u32; 8],
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct v4l2_frmsizeenum {
    pub index: u32,
    pub pixel_format: u32,
    pub type_: u32,
    /// `stepwise`: minimum, maximum and step of the width, then of the height.
    pub stepwise: [u32; 6],
    pub reserved: [u32; 2],
}

/// `struct v4l2_rate_control` of the driver; rates in bit/s.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct v4l2_rate_control {
    pub rc_type: u32,
    pub target_bitrate: u32,
    pub maximum_bitrate: u32,
}

/// `struct v4l2_buffer_param_region` of the driver, in macroblocks of 16 pixels.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct v4l2_buffer_param_region {
    pub mbx_left: u16,
    pub mbx_right: u16,
    pub mby_top: u16,
    pub mby_bottom: u16,
    pub qp_delta: i16,
    pub prio: u16,
    pub force_intra: u16,
}

/// `struct v4l2_mvx_roi_regions` of the driver.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct v4l2_mvx_roi_regions {
    pub pic_index: u32,
    pub qp_present: u8,
    pub qp: u8,
    pub roi_present: u8,
    pub num_roi: u8,
    pub roi: [v4l2_buffer_param_region; 16],
}

/// All zero, as the kernel's users make a structure before they fill it.
pub fn zeroed<T: Plain>() -> T {
    // SAFETY: that is what the trait promises.
    unsafe { std::mem::zeroed() }
}

/// A structure that may be all zero.
///
/// # Safety
/// All zero bytes have to be a value of the type.
pub unsafe trait Plain: Copy {}

macro_rules! plain {
    ($($name:ident)*) => {
        $(
            // SAFETY: numbers, arrays of them and pointers, which may be null.
            unsafe impl Plain for $name {}
        )*
    };
}

plain! {
    v4l2_capability v4l2_fmtdesc v4l2_format v4l2_requestbuffers v4l2_plane v4l2_buffer v4l2_control
    v4l2_ext_control v4l2_ext_controls v4l2_queryctrl v4l2_query_ext_ctrl v4l2_querymenu
    v4l2_encoder_cmd v4l2_event_subscription v4l2_event v4l2_frmsizeenum v4l2_rate_control
    v4l2_mvx_roi_regions v4l2_pix_format v4l2_pix_format_mplane u32
}

/// The pointer that a request's argument is passed by.
pub fn argument<T: Plain>(value: &mut T) -> *mut c_void {
    std::ptr::from_mut(value).cast()
}

#[cfg(test)]
mod tests {
    use std::{fmt::Write as _, process::Command};

    use super::*;

    macro_rules! layouts {
        ($($name:ident { $($field:ident $(as $c:literal)?),* $(,)? })*) => {
            [$((
                stringify!($name),
                size_of::<$name>(),
                vec![$((
                    [$($c,)? stringify!($field)][0],
                    std::mem::offset_of!($name, $field),
                )),*],
            )),*]
        };
    }

    macro_rules! values {
        ($($name:ident)*) => {
            [$((stringify!($name), $name as u64)),*]
        };
    }

    /// What a C compiler says of the machine's own header.
    #[test]
    fn layouts_and_numbers_are_those_of_the_header() {
        let layouts = layouts! {
            v4l2_capability { driver, card, bus_info, version, capabilities, device_caps }
            v4l2_fmtdesc { index, type_ as "type", flags, description, pixelformat }
            v4l2_pix_format { width, bytesperline, sizeimage, priv_ as "priv", xfer_func }
            v4l2_plane_pix_format { sizeimage, bytesperline }
            v4l2_pix_format_mplane { width, plane_fmt, num_planes, flags, xfer_func }
            v4l2_format { type_ as "type", fmt }
            v4l2_requestbuffers { count, type_ as "type", memory, capabilities }
            v4l2_timecode { type_ as "type", userbits }
            v4l2_plane { bytesused, length, m, data_offset, reserved }
            v4l2_buffer {
                index, type_ as "type", bytesused, flags, field, timestamp, timecode, sequence,
                memory, m, length, reserved2, request_fd
            }
            v4l2_control { id, value }
            v4l2_ext_control { id, size, value }
            v4l2_ext_controls { which, count, error_idx, request_fd, controls }
            v4l2_queryctrl { id, type_ as "type", name, minimum, default_value, flags }
            v4l2_query_ext_ctrl {
                id, type_ as "type", name, minimum, maximum, step, default_value, flags, elem_size,
                elems, dims
            }
            v4l2_querymenu { id, index, name }
            v4l2_encoder_cmd { cmd, flags, raw }
            v4l2_event_subscription { type_ as "type", id, flags }
            v4l2_event { type_ as "type", u, pending, sequence, timestamp, id }
            v4l2_frmsizeenum { index, pixel_format, type_ as "type", stepwise }
        };
        let values = values! {
            VIDIOC_QUERYCAP VIDIOC_ENUM_FMT VIDIOC_G_FMT VIDIOC_S_FMT VIDIOC_TRY_FMT VIDIOC_REQBUFS
            VIDIOC_QUERYBUF VIDIOC_QBUF VIDIOC_DQBUF VIDIOC_STREAMON VIDIOC_STREAMOFF VIDIOC_G_CTRL
            VIDIOC_S_CTRL VIDIOC_QUERYCTRL VIDIOC_QUERYMENU VIDIOC_G_EXT_CTRLS VIDIOC_S_EXT_CTRLS
            VIDIOC_TRY_EXT_CTRLS VIDIOC_ENUM_FRAMESIZES VIDIOC_ENCODER_CMD VIDIOC_TRY_ENCODER_CMD
            VIDIOC_DQEVENT VIDIOC_SUBSCRIBE_EVENT VIDIOC_UNSUBSCRIBE_EVENT VIDIOC_QUERY_EXT_CTRL
            V4L2_BUF_TYPE_VIDEO_CAPTURE V4L2_BUF_TYPE_VIDEO_OUTPUT
            V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE V4L2_MEMORY_MMAP
            V4L2_MEMORY_USERPTR V4L2_MEMORY_DMABUF V4L2_FIELD_NONE V4L2_FMT_FLAG_COMPRESSED
            V4L2_CAP_VIDEO_M2M_MPLANE V4L2_CAP_VIDEO_M2M V4L2_CAP_EXT_PIX_FORMAT V4L2_CAP_STREAMING
            V4L2_CAP_DEVICE_CAPS V4L2_BUF_CAP_SUPPORTS_MMAP V4L2_BUF_CAP_SUPPORTS_USERPTR
            V4L2_BUF_CAP_SUPPORTS_DMABUF V4L2_BUF_FLAG_MAPPED V4L2_BUF_FLAG_QUEUED
            V4L2_BUF_FLAG_DONE V4L2_BUF_FLAG_KEYFRAME V4L2_BUF_FLAG_PFRAME V4L2_BUF_FLAG_BFRAME
            V4L2_BUF_FLAG_ERROR V4L2_BUF_FLAG_TIMESTAMP_COPY V4L2_BUF_FLAG_LAST V4L2_ENC_CMD_START
            V4L2_ENC_CMD_STOP V4L2_EVENT_EOS V4L2_EVENT_CTRL V4L2_EVENT_SOURCE_CHANGE
            V4L2_CTRL_TYPE_INTEGER V4L2_CTRL_TYPE_BOOLEAN V4L2_CTRL_TYPE_MENU
            V4L2_CTRL_TYPE_CTRL_CLASS
            V4L2_CTRL_FLAG_READ_ONLY V4L2_CTRL_FLAG_VOLATILE V4L2_CTRL_FLAG_NEXT_CTRL
            V4L2_CTRL_FLAG_NEXT_COMPOUND V4L2_CID_MIN_BUFFERS_FOR_CAPTURE
            V4L2_CID_MIN_BUFFERS_FOR_OUTPUT V4L2_CID_MPEG_VIDEO_B_FRAMES
            V4L2_CID_MPEG_VIDEO_GOP_SIZE V4L2_CID_MPEG_VIDEO_BITRATE
            V4L2_CID_MPEG_VIDEO_FRAME_RC_ENABLE V4L2_CID_MPEG_VIDEO_H264_I_FRAME_QP
            V4L2_CID_MPEG_VIDEO_H264_P_FRAME_QP V4L2_CID_MPEG_VIDEO_H264_ENTROPY_MODE
            V4L2_CID_MPEG_VIDEO_H264_LEVEL V4L2_CID_MPEG_VIDEO_H264_PROFILE
            V4L2_CID_MPEG_VIDEO_HEVC_I_FRAME_QP V4L2_CID_MPEG_VIDEO_HEVC_P_FRAME_QP
            V4L2_CID_JPEG_COMPRESSION_QUALITY V4L2_MPEG_VIDEO_H264_PROFILE_BASELINE
            V4L2_MPEG_VIDEO_H264_PROFILE_MAIN V4L2_MPEG_VIDEO_H264_PROFILE_HIGH
            V4L2_MPEG_VIDEO_H264_PROFILE_HIGH_10 V4L2_MPEG_VIDEO_H264_ENTROPY_MODE_CAVLC
            V4L2_MPEG_VIDEO_H264_ENTROPY_MODE_CABAC V4L2_PIX_FMT_H264 V4L2_PIX_FMT_HEVC
            V4L2_PIX_FMT_JPEG V4L2_PIX_FMT_MJPEG V4L2_PIX_FMT_NV12 V4L2_PIX_FMT_NV21
            V4L2_PIX_FMT_YUV420M V4L2_PIX_FMT_YUYV V4L2_PIX_FMT_UYVY V4L2_PIX_FMT_RGB24
            V4L2_PIX_FMT_BGR24 V4L2_PIX_FMT_ARGB32 V4L2_PIX_FMT_ABGR32 V4L2_PIX_FMT_P010
            V4L2_PIX_FMT_YUV420 V4L2_PIX_FMT_RGB32 V4L2_PIX_FMT_BGR32
        };
        let mut source = String::from(
            "#include <linux/videodev2.h>\n#include <stddef.h>\n#include <stdio.h>\nint main(void) {\n",
        );
        let mut expected = String::new();
        for (name, size, fields) in layouts {
            let _ = writeln!(source, "printf(\"{name} %zu\\n\", sizeof(struct {name}));");
            let _ = writeln!(expected, "{name} {size}");
            for (field, offset) in fields {
                let _ = writeln!(
                    source,
                    "printf(\"{name}.{field} %zu\\n\", offsetof(struct {name}, {field}));"
                );
                let _ = writeln!(expected, "{name}.{field} {offset}");
            }
        }
        for (name, value) in values {
            let _ = writeln!(
                source,
                "printf(\"{name} %lu\\n\", (unsigned long)({name}));"
            );
            let _ = writeln!(expected, "{name} {value}");
        }
        source.push_str("}\n");

        let directory = std::env::temp_dir().join(format!("k230-v4l2-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let (file, program) = (directory.join("layout.c"), directory.join("layout"));
        std::fs::write(&file, source).expect("the program is written");
        let compiled = Command::new("cc")
            .args(["-w", "-o"])
            .args([&program, &file])
            .status();
        let said = Command::new(&program).output();
        let _ = std::fs::remove_dir_all(&directory);
        assert!(compiled.expect("cc starts").success(), "it compiles");
        let said = String::from_utf8(said.expect("it starts").stdout).expect("text");
        for (said, expected) in said.lines().zip(expected.lines()) {
            assert_eq!(said, expected);
        }
        assert_eq!(said.lines().count(), expected.lines().count());
    }

    // What the driver's header gives: 14 bytes a region, and private requests.
    #[test]
    fn the_drivers_own_structures_have_its_sizes() {
        assert_eq!(size_of::<v4l2_buffer_param_region>(), 14);
        assert_eq!(size_of::<v4l2_mvx_roi_regions>(), 8 + 14 * 16);
        assert_eq!(VIDIOC_S_MVX_RATE_CONTROL, 0xc00c_56c5);
        assert_eq!(VIDIOC_S_MVX_ROI_REGIONS, 0xc0e8_56c1);
    }

    /// Its double has them from here, so that no stream tells a wrong one: these are from `mvx-v4l2-controls.h`, the
    /// controls by their place in its list.
    #[test]
    fn the_drivers_own_numbers_are_those_of_its_header() {
        let flags = [
            (V4L2_BUF_FLAG_MVX_CODEC_CONFIG, 0xc100_0000),
            (V4L2_BUF_FRAME_FLAG_MIRROR_HORI, 0x0100_0000),
            (V4L2_BUF_FRAME_FLAG_MIRROR_VERT, 0x0200_0000),
            (V4L2_BUF_FLAG_MVX_BUFFER_ROI, 0x0400_0000),
            (V4L2_BUF_ENCODE_FLAG_ROTATION_90, 0x1000_0000),
            (V4L2_BUF_ENCODE_FLAG_ROTATION_180, 0x2000_0000),
            (V4L2_BUF_ENCODE_FLAG_ROTATION_270, 0x3000_0000),
        ];
        for (flag, expected) in flags {
            assert_eq!(flag, expected, "{flag:#x}");
        }
        let controls = [
            (V4L2_CID_MVE_VIDEO_FRAME_RATE, 0),
            (V4L2_CID_MVE_VIDEO_H265_PROFILE, 3),
            (V4L2_CID_MVE_VIDEO_H265_LEVEL, 5),
            (V4L2_CID_MVE_VIDEO_P_FRAMES, 9),
            (V4L2_CID_MVE_VIDEO_GOP_TYPE, 10),
            (V4L2_CID_MVE_VIDEO_SAO_LUMA, 34),
            (V4L2_CID_MVE_VIDEO_SAO_CHROMA, 35),
            (V4L2_CID_MVE_VIDEO_QP_FIXED, 55),
        ];
        for (control, place) in controls {
            assert_eq!(control, 0x0099_0000 + 0x2000 + place, "{control:#x}");
        }
        let modes = [
            V4L2_OPT_RATE_CONTROL_MODE_OFF,
            V4L2_OPT_RATE_CONTROL_MODE_STANDARD,
            V4L2_OPT_RATE_CONTROL_MODE_VARIABLE,
            V4L2_OPT_RATE_CONTROL_MODE_CONSTANT,
            V4L2_OPT_RATE_CONTROL_MODE_C_VARIABLE,
        ];
        assert_eq!(modes, [0, 1, 2, 3, 4]);
        assert_eq!((MVX_H265_PROFILE_MAIN, MVX_H265_PROFILE_MAIN_10), (0, 3));
    }
}
