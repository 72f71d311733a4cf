// SPDX-License-Identifier: MIT OR Apache-2.0
//! What of V4L2's header a device answers and an encoder's user does without.
//!
//! From Linux' `include/uapi/linux/videodev2.h`.
#![allow(
    non_camel_case_types,
    reason = "the names are those of the header, and the kernel's manual documents them"
)]

use k230_venc::v4l2::raw::{Plain, v4l2_format};

const fn request(direction: u32, number: u32, size: usize) -> u32 {
    (direction << 30) | ((size as u32) << 16) | ((b'V' as u32) << 8) | number
}

pub(crate) const VIDIOC_CROPCAP: u32 = request(3, 58, size_of::<v4l2_cropcap>());
pub(crate) const VIDIOC_G_CROP: u32 = request(3, 59, size_of::<v4l2_crop>());
pub(crate) const VIDIOC_G_PRIORITY: u32 = request(2, 67, size_of::<u32>());
pub(crate) const VIDIOC_S_PRIORITY: u32 = request(1, 68, size_of::<u32>());
pub(crate) const VIDIOC_CREATE_BUFS: u32 = request(3, 92, size_of::<v4l2_create_buffers>());
pub(crate) const VIDIOC_G_SELECTION: u32 = request(3, 94, size_of::<v4l2_selection>());
pub(crate) const VIDIOC_DECODER_CMD: u32 = request(3, 96, size_of::<v4l2_decoder_cmd>());
pub(crate) const VIDIOC_TRY_DECODER_CMD: u32 = request(3, 97, size_of::<v4l2_decoder_cmd>());

pub(crate) const V4L2_BUF_CAP_SUPPORTS_ORPHANED_BUFS: u32 = 0x10;

pub(crate) const V4L2_BUF_FLAG_TIMECODE: u32 = 0x100;
pub(crate) const V4L2_BUF_FLAG_PREPARED: u32 = 0x400;
pub(crate) const V4L2_BUF_FLAG_IN_REQUEST: u32 = 0x80;
pub(crate) const V4L2_BUF_FLAG_M2M_HOLD_CAPTURE_BUF: u32 = 0x200;
pub(crate) const V4L2_BUF_FLAG_TIMESTAMP_MASK: u32 = 0xe000;
pub(crate) const V4L2_BUF_FLAG_TSTAMP_SRC_MASK: u32 = 0x0007_0000;
/// On a buffer that the driver gives back as too small.
pub(crate) const V4L2_BUF_FLAG_MVX_BUFFER_NEED_REALLOC: u32 = 0x2000_0000;
pub(crate) const V4L2_BUF_FLAG_REQUEST_FD: u32 = 0x0080_0000;

pub(crate) const V4L2_FIELD_SEQ_TB: u32 = 5;
pub(crate) const V4L2_FIELD_ALTERNATE: u32 = 7;
pub(crate) const V4L2_COLORSPACE_REC709: u32 = 3;
pub(crate) const V4L2_YCBCR_ENC_709: u32 = 2;
pub(crate) const V4L2_QUANTIZATION_FULL_RANGE: u32 = 1;
pub(crate) const V4L2_XFER_FUNC_709: u32 = 1;
pub(crate) const V4L2_PIX_FMT_PRIV_MAGIC: u32 = 0xfeed_cafe;

pub(crate) const V4L2_PRIORITY_BACKGROUND: u32 = 1;
pub(crate) const V4L2_PRIORITY_INTERACTIVE: u32 = 2;
pub(crate) const V4L2_PRIORITY_RECORD: u32 = 3;

pub(crate) const V4L2_DEC_CMD_STOP: u32 = 1;

pub(crate) const V4L2_EVENT_ALL: u32 = 0;
/// `V4L2_EVENT_PRIVATE_START`, which the driver has for its colour description.
pub(crate) const V4L2_EVENT_MVX_COLOR_DESC: u32 = 0x0800_0000;
pub(crate) const V4L2_EVENT_SUB_FL_SEND_INITIAL: u32 = 1;
pub(crate) const V4L2_EVENT_SUB_FL_ALLOW_FEEDBACK: u32 = 2;
pub(crate) const V4L2_EVENT_CTRL_CH_VALUE: u32 = 1;
pub(crate) const V4L2_EVENT_CTRL_CH_FLAGS: u32 = 2;

pub(crate) const V4L2_CTRL_TYPE_BITMASK: u32 = 8;
pub(crate) const V4L2_CTRL_FLAG_WRITE_ONLY: u32 = 0x40;
pub(crate) const V4L2_CTRL_WHICH_DEF_VAL: u32 = 0x0f00_0000;
pub(crate) const V4L2_CTRL_WHICH_REQUEST_VAL: u32 = 0x0f01_0000;
/// The bits of a control's number.
pub(crate) const V4L2_CTRL_ID_MASK: u32 = 0x0fff_ffff;
/// The bits of a control's class in its number.
pub(crate) const V4L2_CTRL_CLASS_MASK: u32 = 0x0fff_0000;
/// The most controls of one request.
pub(crate) const V4L2_CID_MAX_CTRLS: u32 = 1024;

pub(crate) const V4L2_CID_USER_CLASS: u32 = 0x0098_0001;
pub(crate) const V4L2_CID_CODEC_CLASS: u32 = 0x0099_0001;
pub(crate) const V4L2_CID_JPEG_CLASS: u32 = 0x009d_0001;

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct v4l2_rect {
    pub left: i32,
    pub top: i32,
    pub width: u32,
    pub height: u32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct v4l2_selection {
    pub type_: u32,
    pub target: u32,
    pub flags: u32,
    pub r: v4l2_rect,
    pub reserved: [u32; 9],
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct v4l2_crop {
    pub type_: u32,
    pub c: v4l2_rect,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct v4l2_cropcap {
    pub type_: u32,
    pub bounds: v4l2_rect,
    pub defrect: v4l2_rect,
    /// Numerator and denominator.
    pub pixelaspect: [u32; 2],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct v4l2_create_buffers {
    pub index: u32,
    pub count: u32,
    pub memory: u32,
    pub format: v4l2_format,
    pub capabilities: u32,
    pub flags: u32,
    pub reserved: [u32; 6],
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct v4l2_decoder_cmd {
    pub cmd: u32,
    pub flags: u32,
    pub raw: [u64; 8],
}

macro_rules! plain {
    ($($name:ident)*) => {
        $(
            // SAFETY: numbers and arrays of them, and pointers that may be null.
            unsafe impl Plain for $name {}
        )*
    };
}

plain! {
    v4l2_selection v4l2_crop v4l2_cropcap v4l2_create_buffers v4l2_decoder_cmd
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use super::*;

    // The numbers have the sizes of the structures in them, here where pointers have 64 bits, as on the board;
    // v4l2-compliance and v4l2-ctl, which are built from the header, use them in the tests.
    #[test]
    fn numbers_are_those_of_the_header() {
        assert_eq!(VIDIOC_CROPCAP, 0xc02c_563a);
        assert_eq!(VIDIOC_G_CROP, 0xc014_563b);
        assert_eq!(VIDIOC_G_PRIORITY, 0x8004_5643);
        assert_eq!(VIDIOC_S_PRIORITY, 0x4004_5644);
        assert_eq!(VIDIOC_CREATE_BUFS, 0xc100_565c);
        assert_eq!(VIDIOC_G_SELECTION, 0xc040_565e);
        assert_eq!(VIDIOC_DECODER_CMD, 0xc048_5660);
        assert_eq!(VIDIOC_TRY_DECODER_CMD, 0xc048_5661);
    }
}
