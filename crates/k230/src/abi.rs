// SPDX-License-Identifier: MIT OR Apache-2.0
//! The MPP's C types and numbers, as the SDK's headers declare them.
//!
//! From `kendryte/k230_sdk`, `src/big/mpp/include/comm/`: `k_venc_comm.h`, `k_video_comm.h`,
//! `k_vb_comm.h`, `k_payload_comm.h`, `k_vicap_comm.h`, and `k_module.h`, `k_type.h`. The headers'
//! `k_u64` is `unsigned long`: the layouts below are those of every LP64 machine, the chip's
//! RISC-V cores and x86-64 alike, and the sizes and offsets asserted at the end were printed by
//! a C compiler from the headers themselves (`tests/k230-mpp-abi.txt` has the whole table). On
//! machines of 32 bits, for which no MPP exists, nothing is asserted.
#![allow(
    missing_docs,
    non_camel_case_types,
    reason = "the names are those of the headers, and the headers document them"
)]

use std::ffi::{c_char, c_void};

pub const VENC_MAX_CHN_NUMS: u32 = 4;

// k_payload_type
pub const K_PT_JPEG: u32 = 26;
pub const K_PT_H264: u32 = 96;
pub const K_PT_H265: u32 = 265;

// k_venc_profile
pub const VENC_PROFILE_NONE: u32 = 0;
pub const VENC_PROFILE_H264_BASELINE: u32 = 1;
pub const VENC_PROFILE_H264_MAIN: u32 = 2;
pub const VENC_PROFILE_H264_HIGH: u32 = 3;
pub const VENC_PROFILE_H264_HIGH_10: u32 = 4;
pub const VENC_PROFILE_H265_MAIN: u32 = 5;
pub const VENC_PROFILE_H265_MAIN_10: u32 = 6;

// k_venc_rc_mode
pub const K_VENC_RC_MODE_CBR: u32 = 1;
pub const K_VENC_RC_MODE_VBR: u32 = 2;
pub const K_VENC_RC_MODE_FIXQP: u32 = 3;
pub const K_VENC_RC_MODE_MJPEG_FIXQP: u32 = 4;

// k_venc_mirror
pub const K_VENC_MIRROR_HORI: u32 = 1;
pub const K_VENC_MIRROR_VERT: u32 = 2;

// k_rotation
pub const K_VPU_ROTATION_0: u32 = 0;
pub const K_VPU_ROTATION_90: u32 = 1;
pub const K_VPU_ROTATION_180: u32 = 2;
pub const K_VPU_ROTATION_270: u32 = 3;

// k_venc_pack_type
pub const K_VENC_P_FRAME: u32 = 1;
pub const K_VENC_I_FRAME: u32 = 2;
pub const K_VENC_HEADER: u32 = 3;

// k_venc_entropy_mode
pub const ENTROPY_MODE_CAVLC: u32 = 0;
pub const ENTROPY_MODE_CABAC: u32 = 1;

// k_pixel_format
pub const PIXEL_FORMAT_ARGB_8888: u32 = 11;
pub const PIXEL_FORMAT_BGRA_8888: u32 = 17;
pub const PIXEL_FORMAT_YVU_SEMIPLANAR_420: u32 = 28;
pub const PIXEL_FORMAT_YUV_SEMIPLANAR_420: u32 = 31;
pub const PIXEL_FORMAT_UYVY_PACKAGE_422: u32 = 35;

/// NV12 in `k230_sdk` v0.8 and v0.9, whose `k_pixel_format` has other numbers.
pub const PIXEL_FORMAT_NV12_BEFORE_1_0: u32 = 0x1e;

// k_video_field
pub const VIDEO_FIELD_FRAME: u32 = 4;

// k_mod_id
pub const K_ID_LOG: u32 = 1;
pub const K_ID_MMZ_USER_DEV: u32 = 3;
pub const K_ID_VB: u32 = 4;
pub const K_ID_SYS: u32 = 5;
pub const K_ID_VI: u32 = 6;
pub const K_ID_VENC: u32 = 9;
pub const K_ID_VO: u32 = 11;
pub const K_ID_VICAP: u32 = 21;
pub const K_ID_NONAI_2D: u32 = 24;

// k_vb_uid
pub const VB_UID_VENC: u32 = 1;
pub const VB_UID_BUTT: u32 = 15;

pub const VB_INVALID_POOLID: u32 = u32::MAX;
pub const VB_INVALID_HANDLE: u32 = u32::MAX;
pub const VB_SINGLE_MAX_BLKS: u32 = 256;
pub const VB_MAX_POOLS: usize = 256;
pub const VB_MAX_COMM_POOLS: usize = 16;
pub const MAX_VB_BLK_SIZE: u64 = 0xFFFF_0000;
// k_vb_remap_mode
pub const VB_REMAP_MODE_NOCACHE: u32 = 1;
pub const VB_REMAP_MODE_BUTT: u32 = 3;

/// `K_DEF_ERR` of `k_errno.h` at level `K_ERR_LEVEL_ERROR`.
pub const fn error(module: u32, reason: u32) -> i32 {
    (0xa000_0000 | (module << 16) | (4 << 13) | reason) as i32
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct k_venc_attr {
    pub type_: u32,
    pub stream_buf_size: u32,
    pub stream_buf_cnt: u32,
    pub pic_width: u32,
    pub pic_height: u32,
    pub profile: u32,
}

/// `k_venc_attr` of CanMV since 2026, which has no stream buffers: these are a pool's that is attached
/// (`kendryte/canmv_k230`, `port/builtin_py/mpp/venc_def.py`).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct k_venc_attr_pooled {
    pub type_: u32,
    pub pic_width: u32,
    pub pic_height: u32,
    pub profile: u32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct k_venc_cbr {
    pub gop: u32,
    pub stats_time: u32,
    pub src_frame_rate: u32,
    pub dst_frame_rate: u32,
    pub bit_rate: u32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct k_venc_vbr {
    pub gop: u32,
    pub stats_time: u32,
    pub src_frame_rate: u32,
    pub dst_frame_rate: u32,
    pub max_bit_rate: u32,
    pub bit_rate: u32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct k_venc_fixqp {
    pub gop: u32,
    pub src_frame_rate: u32,
    pub dst_frame_rate: u32,
    pub i_qp: u32,
    pub p_qp: u32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct k_venc_mjpeg_fixqp {
    pub src_frame_rate: u32,
    pub dst_frame_rate: u32,
    pub q_factor: u32,
}

/// The anonymous union of `k_venc_rc_attr`; every member is whole `k_u32`s, so any bits are valid.
#[repr(C)]
#[derive(Clone, Copy)]
pub union k_venc_rc_union {
    pub cbr: k_venc_cbr,
    pub vbr: k_venc_vbr,
    pub fixqp: k_venc_fixqp,
    pub mjpeg_fixqp: k_venc_mjpeg_fixqp,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct k_venc_rc_attr {
    pub rc_mode: u32,
    pub u: k_venc_rc_union,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct k_venc_chn_attr {
    pub venc_attr: k_venc_attr,
    pub rc_attr: k_venc_rc_attr,
}

/// `k_venc_chn_attr` with [`k_venc_attr_pooled`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct k_venc_chn_attr_pooled {
    pub venc_attr: k_venc_attr_pooled,
    pub rc_attr: k_venc_rc_attr,
}

const _: () = assert!(
    size_of::<k_venc_attr_pooled>() == 16
        && size_of::<k_venc_chn_attr_pooled>() == 44
        && std::mem::offset_of!(k_venc_chn_attr_pooled, rc_attr) == 16
);

#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct k_venc_pack {
    pub phys_addr: u64,
    pub len: u32,
    pub pts: u64,
    pub type_: u32,
}

#[repr(C)]
#[derive(Debug)]
pub struct k_venc_stream {
    pub pack: *mut k_venc_pack,
    pub pack_cnt: u32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct k_venc_stream_info {
    pub pic_bytes_num: u32,
    pub pic_cnt: u32,
    pub start_qp: u32,
    pub mean_qp: u32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct k_venc_chn_status {
    pub cur_packs: u32,
    pub release_pic_pts: u64,
    pub end_of_stream: u32,
    pub stream_info: k_venc_stream_info,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct k_venc_h265_sao {
    pub slice_sao_luma_flag: u32,
    pub slice_sao_chroma_flag: u32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct k_venc_h264_entropy {
    pub entropy_coding_mode: u32,
    pub cabac_init_idc: u8,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct k_venc_h265_entropy {
    pub cabac_init_flag: u8,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct k_video_supplement {
    pub jpeg_dcf_phy_addr: u64,
    pub isp_info_phy_addr: u64,
    pub jpeg_dcf_kvirt_addr: *mut c_void,
    pub isp_info_kvirt_addr: *mut c_void,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct k_video_frame {
    pub width: u32,
    pub height: u32,
    pub field: u32,
    pub pixel_format: u32,
    pub video_format: u32,
    pub dynamic_range: u32,
    pub compress_mode: u32,
    pub color_gamut: u32,
    pub header_stride: [u32; 3],
    pub stride: [u32; 3],
    pub header_phys_addr: [u64; 3],
    pub header_virt_addr: [u64; 3],
    pub phys_addr: [u64; 3],
    pub virt_addr: [u64; 3],
    pub offset_top: i16,
    pub offset_bottom: i16,
    pub offset_left: i16,
    pub offset_right: i16,
    pub time_ref: u32,
    pub pts: u64,
    pub priv_data: u64,
    pub supplement: k_video_supplement,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct k_video_frame_info {
    pub v_frame: k_video_frame,
    pub pool_id: u32,
    pub mod_id: u32,
}

impl k_video_frame_info {
    /// All zero, as `memset` in the samples makes it.
    pub const ZERO: Self = Self {
        v_frame: k_video_frame {
            width: 0,
            height: 0,
            field: 0,
            pixel_format: 0,
            video_format: 0,
            dynamic_range: 0,
            compress_mode: 0,
            color_gamut: 0,
            header_stride: [0; 3],
            stride: [0; 3],
            header_phys_addr: [0; 3],
            header_virt_addr: [0; 3],
            phys_addr: [0; 3],
            virt_addr: [0; 3],
            offset_top: 0,
            offset_bottom: 0,
            offset_left: 0,
            offset_right: 0,
            time_ref: 0,
            pts: 0,
            priv_data: 0,
            supplement: k_video_supplement {
                jpeg_dcf_phy_addr: 0,
                isp_info_phy_addr: 0,
                jpeg_dcf_kvirt_addr: std::ptr::null_mut(),
                isp_info_kvirt_addr: std::ptr::null_mut(),
            },
        },
        pool_id: 0,
        mod_id: 0,
    };
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct k_mpp_chn {
    pub mod_id: u32,
    pub dev_id: i32,
    pub chn_id: i32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct k_vb_pool_config {
    pub blk_size: u64,
    pub blk_cnt: u32,
    pub mode: u32,
    pub mmz_name: [c_char; 16],
}

impl k_vb_pool_config {
    pub const ZERO: Self = Self {
        blk_size: 0,
        blk_cnt: 0,
        mode: 0,
        mmz_name: [0; 16],
    };
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct k_vb_config {
    pub max_pool_cnt: u32,
    pub comm_pool: [k_vb_pool_config; VB_MAX_COMM_POOLS],
}

impl k_vb_config {
    pub const ZERO: Self = Self {
        max_pool_cnt: 0,
        comm_pool: [k_vb_pool_config::ZERO; VB_MAX_COMM_POOLS],
    };
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct k_vb_supplement_config {
    pub supplement_config: u32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct k_sys_virmem_info {
    pub phy_addr: u64,
    pub cached: u32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct k_log_level_conf {
    pub mod_id: u32,
    pub level: i32,
    pub mod_name: [c_char; 16],
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct k_vicap_window {
    pub h_start: u16,
    pub v_start: u16,
    pub width: u16,
    pub height: u16,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct k_vicap_sensor_info {
    pub sensor_name: *const c_char,
    pub database_name: *const c_char,
    pub width: u16,
    pub height: u16,
    pub csi_num: u32,
    pub mipi_lanes: u32,
    pub source_id: u32,
    pub is_3d_sensor: u32,
    pub phy_freq: u32,
    pub data_type: u32,
    pub hdr_mode: u32,
    pub flash_mode: u32,
    pub first_frame: u32,
    pub glitch_filter: u16,
    pub fps: u16,
    pub sensor_type: u32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct k_vicap_dev_attr {
    pub acq_win: k_vicap_window,
    pub mode: u32,
    pub input_type: u32,
    pub image_pat: u32,
    pub pipe_ctrl: u32,
    pub cpature_frame: u32,
    pub sensor_info: k_vicap_sensor_info,
    pub dw_enable: u32,
    pub dev_enable: u32,
    pub buffer_num: u32,
    pub buffer_size: u32,
    pub mirror: u32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct k_vicap_chn_attr {
    pub out_win: k_vicap_window,
    pub crop_win: k_vicap_window,
    pub scale_win: k_vicap_window,
    pub crop_enable: u32,
    pub scale_enable: u32,
    pub chn_enable: u32,
    pub pix_format: u32,
    pub buffer_num: u32,
    pub buffer_size: u32,
    pub alignment: u8,
    pub fps: u8,
}

/// Sizes and offsets that the compiler holds against the table printed from the headers.
macro_rules! layout {
    ($($name:ident: $size:literal $({ $($field:ident: $offset:literal),* $(,)? })?;)*) => {
        /// Each type's name, size, and the offsets of its members.
        pub const LAYOUT: &[(&str, usize, &[(&str, usize)])] = &[$(
            (
                stringify!($name),
                size_of::<$name>(),
                &[$($((stringify!($field), std::mem::offset_of!($name, $field)),)*)?],
            ),
        )*];
        $(
            #[cfg(target_pointer_width = "64")]
            const _: () = assert!(size_of::<$name>() == $size);
            $($(
                #[cfg(target_pointer_width = "64")]
                const _: () = assert!(std::mem::offset_of!($name, $field) == $offset);
            )*)?
        )*
    };
}

layout! {
    k_venc_attr: 24 { type_: 0, stream_buf_size: 4, stream_buf_cnt: 8, pic_width: 12, pic_height: 16, profile: 20 };
    k_venc_cbr: 20 { gop: 0, stats_time: 4, src_frame_rate: 8, dst_frame_rate: 12, bit_rate: 16 };
    k_venc_vbr: 24 { max_bit_rate: 16, bit_rate: 20 };
    k_venc_fixqp: 20 { i_qp: 12, p_qp: 16 };
    k_venc_mjpeg_fixqp: 12 { q_factor: 8 };
    k_venc_rc_attr: 28 { rc_mode: 0, u: 4 };
    k_venc_chn_attr: 52 { venc_attr: 0, rc_attr: 24 };
    k_venc_pack: 32 { phys_addr: 0, len: 8, pts: 16, type_: 24 };
    k_venc_stream: 16 { pack: 0, pack_cnt: 8 };
    k_venc_stream_info: 16;
    k_venc_chn_status: 40 { cur_packs: 0, release_pic_pts: 8, end_of_stream: 16, stream_info: 20 };
    k_venc_h265_sao: 8;
    k_venc_h264_entropy: 8 { entropy_coding_mode: 0, cabac_init_idc: 4 };
    k_venc_h265_entropy: 1;
    k_video_supplement: 32;
    k_video_frame: 216 { width: 0, height: 4, field: 8, pixel_format: 12, video_format: 16, dynamic_range: 20, compress_mode: 24, color_gamut: 28, header_stride: 32, stride: 44, header_phys_addr: 56, header_virt_addr: 80, phys_addr: 104, virt_addr: 128, offset_top: 152, offset_right: 158, time_ref: 160, pts: 168, priv_data: 176, supplement: 184 };
    k_video_frame_info: 224 { v_frame: 0, pool_id: 216, mod_id: 220 };
    k_mpp_chn: 12 { mod_id: 0, dev_id: 4, chn_id: 8 };
    k_vb_pool_config: 32 { blk_size: 0, blk_cnt: 8, mode: 12, mmz_name: 16 };
    k_vb_config: 520 { max_pool_cnt: 0, comm_pool: 8 };
    k_vb_supplement_config: 4;
    k_sys_virmem_info: 16 { phy_addr: 0, cached: 8 };
    k_log_level_conf: 24 { mod_id: 0, level: 4, mod_name: 8 };
    k_vicap_window: 8;
    k_vicap_sensor_info: 64 { sensor_name: 0, width: 16, height: 18, csi_num: 20, glitch_filter: 56, fps: 58, sensor_type: 60 };
    k_vicap_dev_attr: 120 { acq_win: 0, mode: 8, input_type: 12, image_pat: 16, pipe_ctrl: 20, sensor_info: 32, dw_enable: 96, mirror: 112 };
    k_vicap_chn_attr: 52 { out_win: 0, crop_win: 8, scale_win: 16, crop_enable: 24, scale_enable: 28, chn_enable: 32, pix_format: 36, buffer_num: 40, buffer_size: 44, alignment: 48, fps: 49 };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers a C compiler printed from the headers: `sizeof T n`, `offsetof T field n`,
    /// `value NAME n`.
    const TABLE: &str = include_str!("../tests/k230-mpp-abi.txt");

    #[cfg(target_pointer_width = "64")]
    #[test]
    fn layouts_are_those_of_the_headers() {
        for (name, size, fields) in LAYOUT {
            assert!(
                TABLE
                    .lines()
                    .any(|line| line == format!("sizeof {name} {size}")),
                "{name} has {size} bytes"
            );
            for (field, offset) in *fields {
                // What Rust cannot name as C does.
                let field = match *field {
                    "type_" => "type",
                    "u" => "cbr",
                    same => same,
                };
                let line = format!("offsetof {name} {field} {offset}");
                assert!(TABLE.lines().any(|l| l == line), "{line}");
            }
        }
        let tabled = TABLE
            .lines()
            .filter(|line| line.starts_with("offsetof"))
            .count();
        let checked: usize = LAYOUT.iter().map(|(.., fields)| fields.len()).sum();
        assert_eq!(checked, tabled, "every offset of the table is checked");
    }

    #[test]
    fn numbers_are_those_of_the_headers() {
        let numbers = [
            ("K_PT_JPEG", u64::from(K_PT_JPEG)),
            ("K_PT_H264", u64::from(K_PT_H264)),
            ("K_PT_H265", u64::from(K_PT_H265)),
            (
                "VENC_PROFILE_H264_BASELINE",
                u64::from(VENC_PROFILE_H264_BASELINE),
            ),
            ("VENC_PROFILE_H264_MAIN", u64::from(VENC_PROFILE_H264_MAIN)),
            ("VENC_PROFILE_H264_HIGH", u64::from(VENC_PROFILE_H264_HIGH)),
            (
                "VENC_PROFILE_H264_HIGH_10",
                u64::from(VENC_PROFILE_H264_HIGH_10),
            ),
            ("VENC_PROFILE_H265_MAIN", u64::from(VENC_PROFILE_H265_MAIN)),
            (
                "VENC_PROFILE_H265_MAIN_10",
                u64::from(VENC_PROFILE_H265_MAIN_10),
            ),
            ("K_VENC_RC_MODE_CBR", u64::from(K_VENC_RC_MODE_CBR)),
            ("K_VENC_RC_MODE_VBR", u64::from(K_VENC_RC_MODE_VBR)),
            ("K_VENC_RC_MODE_FIXQP", u64::from(K_VENC_RC_MODE_FIXQP)),
            (
                "K_VENC_RC_MODE_MJPEG_FIXQP",
                u64::from(K_VENC_RC_MODE_MJPEG_FIXQP),
            ),
            ("K_VENC_MIRROR_HORI", u64::from(K_VENC_MIRROR_HORI)),
            ("K_VENC_MIRROR_VERT", u64::from(K_VENC_MIRROR_VERT)),
            ("K_VPU_ROTATION_0", u64::from(K_VPU_ROTATION_0)),
            ("K_VPU_ROTATION_90", u64::from(K_VPU_ROTATION_90)),
            ("K_VPU_ROTATION_180", u64::from(K_VPU_ROTATION_180)),
            ("K_VPU_ROTATION_270", u64::from(K_VPU_ROTATION_270)),
            ("K_VENC_P_FRAME", u64::from(K_VENC_P_FRAME)),
            ("K_VENC_I_FRAME", u64::from(K_VENC_I_FRAME)),
            ("K_VENC_HEADER", u64::from(K_VENC_HEADER)),
            ("ENTROPY_MODE_CAVLC", u64::from(ENTROPY_MODE_CAVLC)),
            ("ENTROPY_MODE_CABAC", u64::from(ENTROPY_MODE_CABAC)),
            ("PIXEL_FORMAT_ARGB_8888", u64::from(PIXEL_FORMAT_ARGB_8888)),
            ("PIXEL_FORMAT_BGRA_8888", u64::from(PIXEL_FORMAT_BGRA_8888)),
            (
                "PIXEL_FORMAT_YVU_SEMIPLANAR_420",
                u64::from(PIXEL_FORMAT_YVU_SEMIPLANAR_420),
            ),
            (
                "PIXEL_FORMAT_YUV_SEMIPLANAR_420",
                u64::from(PIXEL_FORMAT_YUV_SEMIPLANAR_420),
            ),
            (
                "PIXEL_FORMAT_UYVY_PACKAGE_422",
                u64::from(PIXEL_FORMAT_UYVY_PACKAGE_422),
            ),
            ("VIDEO_FIELD_FRAME", u64::from(VIDEO_FIELD_FRAME)),
            ("K_ID_LOG", u64::from(K_ID_LOG)),
            ("K_ID_MMZ_USER_DEV", u64::from(K_ID_MMZ_USER_DEV)),
            ("K_ID_VB", u64::from(K_ID_VB)),
            ("K_ID_SYS", u64::from(K_ID_SYS)),
            ("K_ID_VI", u64::from(K_ID_VI)),
            ("K_ID_VENC", u64::from(K_ID_VENC)),
            ("K_ID_VO", u64::from(K_ID_VO)),
            ("K_ID_VICAP", u64::from(K_ID_VICAP)),
            ("K_ID_NONAI_2D", u64::from(K_ID_NONAI_2D)),
            ("VB_UID_VENC", u64::from(VB_UID_VENC)),
            ("VB_UID_BUTT", u64::from(VB_UID_BUTT)),
            ("VB_INVALID_POOLID", u64::from(VB_INVALID_POOLID)),
            ("VB_INVALID_HANDLE", u64::from(VB_INVALID_HANDLE)),
            ("VB_SINGLE_MAX_BLKS", u64::from(VB_SINGLE_MAX_BLKS)),
            ("VB_MAX_POOLS", VB_MAX_POOLS as u64),
            ("VB_MAX_COMM_POOLS", VB_MAX_COMM_POOLS as u64),
            ("MAX_VB_BLK_SIZE", MAX_VB_BLK_SIZE),
            ("VB_REMAP_MODE_NOCACHE", u64::from(VB_REMAP_MODE_NOCACHE)),
            ("VB_REMAP_MODE_BUTT", u64::from(VB_REMAP_MODE_BUTT)),
        ];
        for (name, number) in numbers {
            let line = format!("value {name} 0x{number:x}");
            assert!(TABLE.lines().any(|l| l == line), "{line}");
        }
        for line in TABLE
            .lines()
            .filter(|line| line.starts_with("value K_ERR_"))
        {
            let (name, number) = line["value ".len()..].split_once(" 0x").expect("a number");
            let number = u32::from_str_radix(number, 16).expect("hexadecimal") as i32;
            if name.starts_with("K_ERR_VENC") {
                assert_eq!(crate::Code::from_raw(number).name(), name);
            }
        }
        assert_eq!(error(K_ID_VB, 13) as u32, 0xa004_800d);
    }
}
