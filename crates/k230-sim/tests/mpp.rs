// SPDX-License-Identifier: MIT OR Apache-2.0
//! The channel API as a program of the SDK calls it, with an encoder that takes no time.
#![allow(clippy::expect_used, clippy::panic, reason = "a failure ends the test")]

use std::slice;

use k230_sim::{sys::*, vb::*, venc::*};
use k230_venc::{Code, abi::*};

use crate::common::{FAILING_WIDTH, PARAMETER_SETS, alone};

mod common;

const WIDTH: u32 = 128;
const HEIGHT: u32 = 64;
/// A patience that no test needs all of.
const SOON: i32 = 60_000;

fn code(result: i32) -> Code {
    Code::from_raw(result)
}

/// The video buffers, initialised while it lives.
struct Buffers;

impl Buffers {
    fn new() -> Self {
        let mut config = k_vb_config::ZERO;
        config.max_pool_cnt = 1;
        config.comm_pool[0].blk_size = 64 * 1024;
        config.comm_pool[0].blk_cnt = 16;
        // SAFETY: the configuration is valid for the call.
        assert_eq!(unsafe { kd_mpi_vb_set_config(&config) }, 0);
        assert_eq!(kd_mpi_vb_init(), 0);
        Self
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        kd_mpi_vb_exit();
    }
}

fn attr(width: u32, buffers: u32) -> k_venc_chn_attr {
    k_venc_chn_attr {
        venc_attr: k_venc_attr {
            type_: K_PT_H264,
            stream_buf_size: 4096,
            stream_buf_cnt: buffers,
            pic_width: width,
            pic_height: HEIGHT,
            profile: VENC_PROFILE_H264_MAIN,
        },
        rc_attr: k_venc_rc_attr {
            rc_mode: K_VENC_RC_MODE_CBR,
            u: k_venc_rc_union {
                cbr: k_venc_cbr {
                    gop: 3,
                    stats_time: 1,
                    src_frame_rate: 30,
                    dst_frame_rate: 30,
                    bit_rate: 1000,
                },
            },
        },
    }
}

fn create(number: u32, width: u32, buffers: u32) -> i32 {
    // SAFETY: the attributes are valid for the call.
    unsafe { kd_mpi_venc_create_chn(number, std::ptr::from_mut(&mut attr(width, buffers)).cast()) }
}

/// Sends a frame whose every byte is `shade`.
fn send(number: u32, width: u32, shade: u8, pts: u64) -> i32 {
    let size = u64::from(width * HEIGHT).next_multiple_of(4096) * 2;
    // SAFETY: a null name is the default memory zone.
    let block = unsafe { kd_mpi_vb_get_block(VB_INVALID_POOLID, size, std::ptr::null()) };
    assert_ne!(block, VB_INVALID_HANDLE);
    let physical = kd_mpi_vb_handle_to_phyaddr(block);
    let at = kd_mpi_sys_mmap(physical, size as u32);
    // SAFETY: the block is ours and mapped.
    unsafe { slice::from_raw_parts_mut(at.cast::<u8>(), size as usize) }.fill(shade);
    let mut info = k_video_frame_info::ZERO;
    info.v_frame.width = width;
    info.v_frame.height = HEIGHT;
    info.v_frame.pixel_format = PIXEL_FORMAT_YUV_SEMIPLANAR_420;
    info.v_frame.phys_addr = [physical, physical + size / 2, 0];
    info.v_frame.pts = pts;
    // SAFETY: the frame is valid for the call.
    let result = unsafe { kd_mpi_venc_send_frame(number, &mut info, SOON) };
    kd_mpi_vb_release_block(block);
    result
}

/// The packs of the next stream with their bytes, which stay the program's.
fn get(number: u32, ms: i32) -> Result<Vec<(k_venc_pack, Vec<u8>)>, Code> {
    let mut packs = [k_venc_pack::default(); 12];
    let mut stream = k_venc_stream {
        pack: packs.as_mut_ptr(),
        pack_cnt: 12,
    };
    // SAFETY: the array has room for the packs.
    match unsafe { kd_mpi_venc_get_stream(number, &mut stream, ms) } {
        0 => {}
        error => return Err(code(error)),
    }
    let packs = packs[..stream.pack_cnt as usize].iter().map(|pack| {
        let at = kd_mpi_sys_mmap(pack.phys_addr, pack.len);
        // SAFETY: the pack is mapped until it is released.
        let bytes = unsafe { slice::from_raw_parts(at.cast::<u8>(), pack.len as usize) };
        (*pack, bytes.to_vec())
    });
    Ok(packs.collect())
}

fn release(number: u32, packs: &[(k_venc_pack, Vec<u8>)]) -> i32 {
    let mut packs: Vec<k_venc_pack> = packs.iter().map(|(pack, _)| *pack).collect();
    let mut stream = k_venc_stream {
        pack: packs.as_mut_ptr(),
        pack_cnt: packs.len() as u32,
    };
    // SAFETY: the packs are there.
    unsafe { kd_mpi_venc_release_stream(number, &mut stream) }
}

#[test]
fn streams_have_a_header_pack_where_a_gop_begins() {
    let _alone = alone();
    let _buffers = Buffers::new();
    assert_eq!(create(0, WIDTH, 4), 0);
    assert_eq!(kd_mpi_venc_start_chn(0), 0);
    for n in 0..5u8 {
        assert_eq!(send(0, WIDTH, n, u64::from(n) * 1000), 0);
        let packs = get(0, SOON).expect("a stream");
        assert!(packs.iter().all(|(p, _)| p.pts == u64::from(n) * 1000));
        let kinds: Vec<u32> = packs.iter().map(|(pack, _)| pack.type_).collect();
        if n % 3 == 0 {
            assert_eq!(kinds, [K_VENC_HEADER, K_VENC_I_FRAME], "frame {n}");
            assert_eq!(packs[0].1, PARAMETER_SETS);
        } else {
            assert_eq!(kinds, [K_VENC_P_FRAME], "frame {n}");
        }
        assert_eq!(packs.last().expect("a picture").1[4], n, "the frame's own");
        assert_eq!(release(0, &packs), 0);
        assert_eq!(code(release(0, &packs)), Code::IllegalParam, "twice");
    }
    assert_eq!(kd_mpi_venc_request_idr(0), 0);
    assert_eq!(send(0, WIDTH, 9, 9), 0);
    assert_eq!(get(0, SOON).expect("a stream").len(), 2, "an IDR");
    assert_eq!(kd_mpi_venc_stop_chn(0), 0);
    assert_eq!(kd_mpi_venc_destroy_chn(0), 0);
}

#[test]
fn a_program_that_releases_nothing_stalls_the_channel_and_loses_nothing() {
    let _alone = alone();
    let _buffers = Buffers::new();
    assert_eq!(create(1, WIDTH, 3), 0);
    assert_eq!(kd_mpi_venc_start_chn(1), 0);
    // A header and two pictures fill the three stream buffers.
    for n in 0..4 {
        assert_eq!(send(1, WIDTH, n, n.into()), 0);
    }
    let held = [get(1, SOON), get(1, SOON)].map(|stream| stream.expect("a stream"));
    assert_eq!(get(1, 20).expect_err("all buffers are out"), Code::BufEmpty);
    for stream in &held {
        assert_eq!(release(1, stream), 0);
    }
    for n in 2..4u8 {
        let packs = get(1, SOON).expect("a stream");
        assert_eq!(packs.last().expect("a picture").1[4], n);
        assert_eq!(release(1, &packs), 0);
    }
    assert_eq!(kd_mpi_venc_stop_chn(1), 0);
    assert_eq!(kd_mpi_venc_destroy_chn(1), 0);
}

#[test]
fn calls_out_of_order_have_their_codes() {
    let _alone = alone();
    assert_eq!(code(create(4, WIDTH, 1)), Code::InvalidChnId);
    assert_eq!(code(create(0, WIDTH, 1)), Code::NoBuf, "no video buffers");
    assert_eq!(code(kd_mpi_venc_start_chn(0)), Code::Unexist);
    let _buffers = Buffers::new();
    assert_eq!(code(create(0, 64, 1)), Code::IllegalParam, "too narrow");
    assert_eq!(create(0, WIDTH, 1), 0);
    assert_eq!(code(create(0, WIDTH, 1)), Code::Exist);
    assert_eq!(code(send(0, WIDTH, 0, 0)), Code::NotPerm, "not started");
    assert_eq!(kd_mpi_venc_start_chn(0), 0);
    assert_eq!(code(kd_mpi_venc_start_chn(0)), Code::NotPerm);
    assert_eq!(code(kd_mpi_venc_set_rotation(0, 1)), Code::Busy, "started");
    assert_eq!(code(send(0, 192, 0, 0)), Code::IllegalParam, "another size");
    assert_eq!(code(kd_mpi_venc_destroy_chn(0)), Code::NotPerm, "started");
    assert_eq!(kd_mpi_venc_stop_chn(0), 0);
    assert_eq!(kd_mpi_venc_destroy_chn(0), 0);
    assert_eq!(get(0, 0).expect_err("gone"), Code::Unexist);
}

#[test]
fn what_the_encoder_fails_with_is_the_answer_to_the_next_call() {
    let _alone = alone();
    let _buffers = Buffers::new();
    assert_eq!(create(2, FAILING_WIDTH, 2), 0);
    assert_eq!(kd_mpi_venc_start_chn(2), 0);
    assert_eq!(send(2, FAILING_WIDTH, 0, 0), 0);
    assert_eq!(get(2, SOON).expect_err("it fails"), Code::BadAddr);
    assert_eq!(kd_mpi_venc_stop_chn(2), 0);
    assert_eq!(kd_mpi_venc_destroy_chn(2), 0);
}

/// Stream buffers of a pool of the program's own, a number by request and attributes without stream
/// buffers: CanMV's order of calls since 2026.
#[test]
fn a_pool_that_is_attached_has_the_stream_buffers() {
    let _alone = alone();
    let _buffers = Buffers::new();
    let request = || {
        let mut number = 77;
        // SAFETY: a number to write to.
        let answer = unsafe { kd_mpi_venc_request_chn(&mut number) };
        (answer == 0).then_some(number).ok_or(code(answer))
    };
    // SAFETY: null is answered.
    assert_eq!(
        code(unsafe { kd_mpi_venc_request_chn(std::ptr::null_mut()) }),
        Code::NullPtr
    );
    // One that is created without being asked for is not given out.
    assert_eq!(create(0, WIDTH, 1), 0);
    let numbers = [request(), request(), request()];
    assert_eq!(numbers, [Ok(1), Ok(2), Ok(3)]);
    assert_eq!(request(), Err(Code::Busy));
    assert_eq!(kd_mpi_venc_destroy_chn(0), 0);
    assert_eq!(kd_mpi_venc_release_chn(3), 0);
    assert_eq!(code(kd_mpi_venc_release_chn(3)), Code::Unexist);
    assert_eq!(code(kd_mpi_venc_release_chn(4)), Code::InvalidChnId);

    let mut config = k_vb_pool_config::ZERO;
    (config.blk_size, config.blk_cnt) = (4096, 3);
    // SAFETY: the configuration is valid for the call.
    let pool = unsafe { kd_mpi_vb_create_pool(&mut config) } as u32;
    assert_eq!(
        code(kd_mpi_venc_attach_vb_pool(4, pool)),
        Code::InvalidChnId
    );
    assert_eq!(code(kd_mpi_venc_attach_vb_pool(1, 200)), Code::IllegalParam);
    assert_eq!(code(kd_mpi_venc_detach_vb_pool(1)), Code::Unexist);
    assert_eq!(kd_mpi_venc_attach_vb_pool_ex(1, pool, 2), 0);
    let whole = attr(WIDTH, 99);
    let mut pooled = k_venc_chn_attr_pooled {
        venc_attr: k_venc_attr_pooled {
            type_: K_PT_H264,
            pic_width: WIDTH,
            pic_height: HEIGHT,
            profile: VENC_PROFILE_H264_MAIN,
        },
        rc_attr: whole.rc_attr,
    };
    // SAFETY: the attributes are valid for the call, and of the layout for an attached pool.
    let answer = unsafe { kd_mpi_venc_create_chn(1, (&raw mut pooled).cast()) };
    assert_eq!(answer, 0);
    assert_eq!(code(kd_mpi_venc_attach_vb_pool(1, pool)), Code::NotPerm);
    assert_eq!(kd_mpi_venc_start_chn(1), 0);
    assert_eq!(code(kd_mpi_venc_detach_vb_pool(1)), Code::NotPerm);
    // The IDR's two packs fill the two buffers that are used of the three.
    assert_eq!(send(1, WIDTH, 1, 1), 0);
    let held = get(1, SOON).expect("a stream");
    assert_eq!(held.len(), 2);
    assert_eq!(send(1, WIDTH, 2, 2), 0);
    assert_eq!(get(1, 20).expect_err("both are out"), Code::BufEmpty);
    assert_eq!(release(1, &held), 0);
    let packs = get(1, SOON).expect("a stream");
    assert_eq!(packs.last().expect("a picture").1[4], 2);
    assert_eq!(release(1, &packs), 0);

    assert_eq!(kd_mpi_venc_stop_chn(1), 0);
    assert_eq!(kd_mpi_venc_detach_vb_pool(1), 0);
    assert_ne!(
        kd_mpi_vb_destory_pool(pool),
        0,
        "the channel has its buffers"
    );
    assert_eq!(code(kd_mpi_venc_release_chn(1)), Code::NotPerm);
    assert_eq!(kd_mpi_venc_destroy_chn(1), 0);
    for number in [1, 2] {
        assert_eq!(kd_mpi_venc_release_chn(number), 0);
    }
    assert_eq!(kd_mpi_vb_destory_pool(pool), 0);
}

#[test]
fn the_pixel_formats_of_k230_sdk_v0_8_are_refused() {
    let _alone = alone();
    let _buffers = Buffers::new();
    assert_eq!(create(0, WIDTH, 2), 0);
    assert_eq!(kd_mpi_venc_start_chn(0), 0);
    let mut info = k_video_frame_info::ZERO;
    (info.v_frame.width, info.v_frame.height) = (WIDTH, HEIGHT);
    info.v_frame.pixel_format = PIXEL_FORMAT_NV12_BEFORE_1_0;
    // SAFETY: the frame is valid for the call.
    let answer = unsafe { kd_mpi_venc_send_frame(0, &mut info, SOON) };
    assert_eq!(code(answer), Code::NotSupport);
    assert_eq!(kd_mpi_venc_stop_chn(0), 0);
    assert_eq!(kd_mpi_venc_destroy_chn(0), 0);
}
