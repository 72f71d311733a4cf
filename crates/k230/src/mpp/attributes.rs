// SPDX-License-Identifier: MIT OR Apache-2.0
//! A channel's attributes as the C structure.

use crate::{ChannelAttr, Codec, PixelFormat, Profile, RateControl, abi::*};

/// `k_pixel_format`, of the formats that VENC reads.
pub(super) fn pixel_format(format: PixelFormat) -> Option<u32> {
    match format {
        PixelFormat::Nv12 => Some(PIXEL_FORMAT_YUV_SEMIPLANAR_420),
        PixelFormat::Argb => Some(PIXEL_FORMAT_ARGB_8888),
        PixelFormat::Bgra => Some(PIXEL_FORMAT_BGRA_8888),
        PixelFormat::Uyvy => Some(PIXEL_FORMAT_UYVY_PACKAGE_422),
        _ => None,
    }
}

fn rate_control(attr: &ChannelAttr) -> k_venc_rc_attr {
    let fps = attr.frames_per_second();
    let (rc_mode, u) = match attr.rate {
        RateControl::Cbr { bitrate } => (
            K_VENC_RC_MODE_CBR,
            k_venc_rc_union {
                cbr: k_venc_cbr {
                    gop: attr.gop,
                    stats_time: 1,
                    src_frame_rate: fps,
                    dst_frame_rate: fps,
                    bit_rate: bitrate,
                },
            },
        ),
        RateControl::Vbr {
            bitrate,
            max_bitrate,
        } => (
            K_VENC_RC_MODE_VBR,
            k_venc_rc_union {
                vbr: k_venc_vbr {
                    gop: attr.gop,
                    stats_time: 1,
                    src_frame_rate: fps,
                    dst_frame_rate: fps,
                    max_bit_rate: max_bitrate,
                    bit_rate: bitrate,
                },
            },
        ),
        RateControl::FixQp { i, p } => (
            K_VENC_RC_MODE_FIXQP,
            k_venc_rc_union {
                fixqp: k_venc_fixqp {
                    gop: attr.gop,
                    src_frame_rate: fps,
                    dst_frame_rate: fps,
                    i_qp: i,
                    p_qp: p,
                },
            },
        ),
        RateControl::JpegQuality { factor } => (
            K_VENC_RC_MODE_MJPEG_FIXQP,
            k_venc_rc_union {
                mjpeg_fixqp: k_venc_mjpeg_fixqp {
                    src_frame_rate: fps,
                    dst_frame_rate: fps,
                    q_factor: factor,
                },
            },
        ),
    };
    k_venc_rc_attr { rc_mode, u }
}

/// The attributes for a library whose stream buffers are a pool's that is attached.
pub(super) fn pooled_attr(attr: &ChannelAttr) -> k_venc_chn_attr_pooled {
    k_venc_chn_attr_pooled {
        venc_attr: k_venc_attr_pooled {
            type_: match attr.codec {
                Codec::H264 => K_PT_H264,
                Codec::H265 => K_PT_H265,
                Codec::Jpeg => K_PT_JPEG,
            },
            pic_width: attr.width,
            pic_height: attr.height,
            profile: match attr.profile {
                Profile::None => VENC_PROFILE_NONE,
                Profile::H264Baseline => VENC_PROFILE_H264_BASELINE,
                Profile::H264Main => VENC_PROFILE_H264_MAIN,
                Profile::H264High => VENC_PROFILE_H264_HIGH,
                Profile::H264High10 => VENC_PROFILE_H264_HIGH_10,
                Profile::H265Main => VENC_PROFILE_H265_MAIN,
                Profile::H265Main10 => VENC_PROFILE_H265_MAIN_10,
            },
        },
        rc_attr: rate_control(attr),
    }
}

/// The attributes for a library that has the stream buffers in them.
pub(super) fn channel_attr(attr: &ChannelAttr) -> k_venc_chn_attr {
    let k_venc_chn_attr_pooled { venc_attr, rc_attr } = pooled_attr(attr);
    k_venc_chn_attr {
        venc_attr: k_venc_attr {
            type_: venc_attr.type_,
            stream_buf_size: attr.stream_buffer_size(),
            stream_buf_cnt: attr.stream_buffers,
            pic_width: venc_attr.pic_width,
            pic_height: venc_attr.pic_height,
            profile: venc_attr.profile,
        },
        rc_attr,
    }
}
