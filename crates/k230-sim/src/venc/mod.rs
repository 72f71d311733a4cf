// SPDX-License-Identifier: MIT OR Apache-2.0
//! The encoder: `mpi_venc_api.h`.

use std::{
    ffi::c_void,
    slice,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use k230_venc::{Codec, RateControl, abi::*};

use crate::{
    ffi::{lock, status, wait},
    vb,
};

mod channel;

use channel::*;

/// A frame of the camera's for a bound channel; dropped if the channel has no room or is not
/// started.
pub(crate) fn offer_bound(number: u32, info: &k_video_frame) {
    if let Ok(channel) = channel(number)
        && let Ok(frame) = channel.frame(info)
    {
        let _ = channel.offer(&frame);
    }
}

/// What newer programs do with a channel before it is created, by number.
#[derive(Clone, Copy)]
struct Prepared {
    /// `kd_mpi_venc_request_chn` gave it out.
    requested: bool,
    attached: Option<Attached>,
}

static PREPARED: Mutex<[Prepared; VENC_MAX_CHN_NUMS as usize]> = Mutex::new(
    [Prepared {
        requested: false,
        attached: None,
    }; VENC_MAX_CHN_NUMS as usize],
);

/// `kd_mpi_venc_create_chn`: with [`k_venc_chn_attr_pooled`] for a channel that a pool is attached to,
/// as programs are compiled against CanMV's headers since 2026, else with [`k_venc_chn_attr`].
///
/// # Safety
/// `attr` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kd_mpi_venc_create_chn(chn_num: u32, attr: *mut c_void) -> i32 {
    status(NOTREADY, || {
        if chn_num >= VENC_MAX_CHN_NUMS {
            return Err(INVALID_CHNID);
        }
        if attr.is_null() {
            return Err(NULL_PTR);
        }
        let attached = lock(&PREPARED)[chn_num as usize].attached;
        let (venc, rate, buffers) = match attached {
            Some(attached) => {
                // SAFETY: valid, and of this layout, as a pool is attached.
                let attr = unsafe { attr.cast::<k_venc_chn_attr_pooled>().read() };
                let buffers = StreamBuffers::Attached(attached);
                (attr.venc_attr, attr.rc_attr, buffers)
            }
            None => {
                // SAFETY: valid, and of this layout.
                let attr = unsafe { attr.cast::<k_venc_chn_attr>().read() };
                let venc = attr.venc_attr;
                let pooled = k_venc_attr_pooled {
                    type_: venc.type_,
                    pic_width: venc.pic_width,
                    pic_height: venc.pic_height,
                    profile: venc.profile,
                };
                let buffers = StreamBuffers::Common {
                    size: venc.stream_buf_size,
                    count: venc.stream_buf_cnt,
                };
                (pooled, attr.rc_attr, buffers)
            }
        };
        let mut channels = lock(&CHANNELS);
        let slot = &mut channels[chn_num as usize];
        if slot.is_some() {
            return Err(EXIST);
        }
        *slot = Some(Arc::new(Venc::create(chn_num, &venc, &rate, &buffers)?));
        Ok(())
    })
}

/// `kd_mpi_venc_request_chn`: the first channel that is neither created nor given out.
///
/// # Safety
/// `chn_num` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kd_mpi_venc_request_chn(chn_num: *mut u32) -> i32 {
    status(NOTREADY, || {
        // SAFETY: null or valid.
        let out = unsafe { chn_num.as_mut() }.ok_or(NULL_PTR)?;
        let channels = lock(&CHANNELS);
        let mut prepared = lock(&PREPARED);
        let free = channels
            .iter()
            .zip(prepared.iter_mut())
            .position(|(channel, prepared)| channel.is_none() && !prepared.requested)
            .ok_or(BUSY)?;
        prepared[free].requested = true;
        *out = free as u32;
        Ok(())
    })
}

/// `kd_mpi_venc_release_chn`: after the channel is destroyed.
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_venc_release_chn(chn_num: u32) -> i32 {
    status(NOTREADY, || {
        let channels = lock(&CHANNELS);
        let exists = channels
            .get(chn_num as usize)
            .ok_or(INVALID_CHNID)?
            .is_some();
        let prepared = &mut lock(&PREPARED)[chn_num as usize];
        if !prepared.requested {
            return Err(UNEXIST);
        }
        if exists {
            return Err(NOT_PERM);
        }
        prepared.requested = false;
        Ok(())
    })
}

/// `kd_mpi_venc_attach_vb_pool`, an inline function in some headers: all the pool's blocks are stream
/// buffers of the channel, which is not created yet.
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_venc_attach_vb_pool(chn_num: u32, pool_id: u32) -> i32 {
    kd_mpi_venc_attach_vb_pool_ex(chn_num, pool_id, -1)
}

/// `kd_mpi_venc_attach_vb_pool_ex`: so many of them, all where the number is not positive.
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_venc_attach_vb_pool_ex(chn_num: u32, pool_id: u32, buff_num: i32) -> i32 {
    status(NOTREADY, || {
        let channels = lock(&CHANNELS);
        if channels
            .get(chn_num as usize)
            .ok_or(INVALID_CHNID)?
            .is_some()
        {
            return Err(NOT_PERM);
        }
        if !vb::is_pool(pool_id) {
            return Err(ILLEGAL_PARAM);
        }
        let count = usize::try_from(buff_num).ok().filter(|count| *count > 0);
        lock(&PREPARED)[chn_num as usize].attached = Some(Attached {
            pool: pool_id,
            count: count.unwrap_or(usize::MAX),
        });
        Ok(())
    })
}

/// `kd_mpi_venc_detach_vb_pool`: of a channel that is not started. One that exists keeps its buffers
/// until it is destroyed.
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_venc_detach_vb_pool(chn_num: u32) -> i32 {
    status(NOTREADY, || {
        let started = match channel(chn_num) {
            Ok(channel) => lock(&channel.inner).state == State::Started,
            Err(UNEXIST) => false,
            Err(error) => return Err(error),
        };
        if started {
            return Err(NOT_PERM);
        }
        lock(&PREPARED)[chn_num as usize]
            .attached
            .take()
            .map(|_| ())
            .ok_or(UNEXIST)
    })
}

/// `kd_mpi_venc_start_chn`
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_venc_start_chn(chn_num: u32) -> i32 {
    status(NOTREADY, || channel(chn_num)?.start())
}

/// `kd_mpi_venc_stop_chn`: no more frames are taken; those inside are completed, and packs stay
/// to be fetched.
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_venc_stop_chn(chn_num: u32) -> i32 {
    status(NOTREADY, || {
        let channel = channel(chn_num)?;
        let mut inner = lock(&channel.inner);
        if inner.state == State::Started {
            inner.state = State::Stopped;
            channel.changed.notify_all();
        }
        Ok(())
    })
}

/// `kd_mpi_venc_destroy_chn`
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_venc_destroy_chn(chn_num: u32) -> i32 {
    status(NOTREADY, || {
        let channel = channel(chn_num)?;
        let mut inner = lock(&channel.inner);
        if inner.state == State::Started {
            return Err(NOT_PERM);
        }
        inner.state = State::Destroyed;
        lock(&DESTROYED)[chn_num as usize] = Some(Instant::now());
        channel.changed.notify_all();
        drop(inner);
        // Not under the channel's lock, which the thread needs to end.
        if let Some(thread) = lock(&channel.thread).take() {
            let _ = thread.join();
        }
        let mut inner = lock(&channel.inner);
        inner.input.clear();
        inner.output.clear();
        inner.held.clear();
        inner.free.clear();
        drop(inner);
        lock(&DESTROYED)[chn_num as usize] = Some(Instant::now());
        lock(&CHANNELS)[chn_num as usize] = None;
        Ok(())
    })
}

/// `kd_mpi_venc_send_frame`
///
/// # Safety
/// `frame` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn kd_mpi_venc_send_frame(
    chn_num: u32,
    frame: *mut k_video_frame_info,
    milli_sec: i32,
) -> i32 {
    wait(milli_sec, BUSY, move |slice| {
        // SAFETY: the caller's promise.
        unsafe { try_send(chn_num, frame, milli_sec, slice) }
            .map_or_else(Some, |taken| taken.then_some(0))
    })
}

/// # Safety
/// `frame` is null or valid.
unsafe fn try_send(
    chn_num: u32,
    frame: *const k_video_frame_info,
    milli_sec: i32,
    slice: Duration,
) -> Result<bool, i32> {
    let channel = channel(chn_num)?;
    // SAFETY: null or valid.
    let info = unsafe { frame.as_ref() }.ok_or(NULL_PTR)?;
    if milli_sec < -1 {
        return Err(ILLEGAL_PARAM);
    }
    if lock(&channel.inner).state != State::Started {
        return Err(NOT_PERM);
    }
    let frame = channel.frame(&info.v_frame)?;
    let until = Instant::now() + slice;
    loop {
        if let Some(result) = channel.offer(&frame) {
            return result.map(|()| true);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let inner = lock(&channel.inner);
        if inner.input.len() >= QUEUE {
            drop(channel.wait(inner, left));
        }
    }
}

/// `kd_mpi_venc_get_stream`: the packs of one frame, or as many of them as have room.
///
/// # Safety
/// `stream` is null or valid, and has room for the packs it says it has.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn kd_mpi_venc_get_stream(
    chn_num: u32,
    stream: *mut k_venc_stream,
    milli_sec: i32,
) -> i32 {
    let code = wait(milli_sec, BUF_EMPTY, move |slice| {
        // SAFETY: the caller's promise.
        match unsafe { try_get(chn_num, stream, milli_sec, slice) } {
            Err(UNEXIST) if milli_sec == -1 && was_just_destroyed(chn_num) => {
                thread::sleep(Duration::from_millis(5));
                None
            }
            result => result.map_or_else(Some, |got| got.then_some(0)),
        }
    });
    if code != 0 && !stream.is_null() {
        // For programs that look at the packs whatever the answer, the SDK's samples among them.
        // SAFETY: valid, as it is not null.
        unsafe { (*stream).pack_cnt = 0 };
    }
    code
}

fn was_just_destroyed(number: u32) -> bool {
    lock(&DESTROYED)
        .get(number as usize)
        .copied()
        .flatten()
        .is_some_and(|when| when.elapsed() < LAST_WAIT)
}

/// # Safety
/// As for `kd_mpi_venc_get_stream`.
unsafe fn try_get(
    chn_num: u32,
    stream: *mut k_venc_stream,
    milli_sec: i32,
    slice: Duration,
) -> Result<bool, i32> {
    let channel = channel(chn_num)?;
    // SAFETY: null or valid.
    let stream = unsafe { stream.as_mut() }.ok_or(NULL_PTR)?;
    if stream.pack.is_null() {
        return Err(NULL_PTR);
    }
    if milli_sec < -1 || stream.pack_cnt == 0 {
        return Err(ILLEGAL_PARAM);
    }
    let until = Instant::now() + slice;
    let mut inner = lock(&channel.inner);
    while inner.output.is_empty() {
        if inner.state == State::Destroyed {
            return Err(UNEXIST);
        }
        if let Some(failure) = inner.failure.take() {
            return Err(failure);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        inner = channel.wait(inner, left);
    }
    let mut count = 0;
    while count < stream.pack_cnt {
        let Some(stored) = inner.output.pop_front() else {
            break;
        };
        // SAFETY: the array has room for pack_cnt packs.
        unsafe { stream.pack.add(count as usize).write(stored.pack) };
        count += 1;
        let last = stored.followers == 0;
        inner.held.push(stored);
        if last {
            break;
        }
    }
    stream.pack_cnt = count;
    Ok(true)
}

/// `kd_mpi_venc_release_stream`
///
/// # Safety
/// `stream` is null or valid, and has the packs it says it has.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kd_mpi_venc_release_stream(
    chn_num: u32,
    stream: *mut k_venc_stream,
) -> i32 {
    status(NOTREADY, || {
        let channel = channel(chn_num)?;
        // SAFETY: null or valid.
        let stream = unsafe { stream.as_ref() }.ok_or(NULL_PTR)?;
        if stream.pack.is_null() {
            return Err(NULL_PTR);
        }
        // SAFETY: the caller's promise.
        let packs = unsafe { slice::from_raw_parts(stream.pack, stream.pack_cnt as usize) };
        let mut inner = lock(&channel.inner);
        for pack in packs {
            let at = inner
                .held
                .iter()
                .position(|held| held.pack.phys_addr == pack.phys_addr)
                .ok_or(ILLEGAL_PARAM)?;
            let held = inner.held.remove(at);
            inner.released_pts = held.pack.pts;
            inner.free.push(held.block);
        }
        channel.changed.notify_all();
        Ok(())
    })
}

/// `kd_mpi_venc_query_status`: `cur_packs` are those of the frame that is next, `u32PicBytesNum`
/// its bytes, `u32PicCnt` the frames encoded so far.
///
/// # Safety
/// `status` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kd_mpi_venc_query_status(
    chn_num: u32,
    status_out: *mut k_venc_chn_status,
) -> i32 {
    status(NOTREADY, || {
        // SAFETY: null or valid.
        let out = unsafe { status_out.as_mut() };
        let out = out.map(|out| {
            *out = k_venc_chn_status::default();
            out
        });
        let channel = channel(chn_num)?;
        let out = out.ok_or(NULL_PTR)?;
        let inner = lock(&channel.inner);
        let next = inner.output.front().map_or(0, |head| head.followers + 1);
        let bytes = inner.output.iter().take(next as usize);
        out.cur_packs = next;
        out.release_pic_pts = inner.released_pts;
        out.end_of_stream = u32::from(
            inner.state == State::Stopped
                && inner.input.is_empty()
                && !inner.encoding
                && inner.output.is_empty(),
        );
        out.stream_info.pic_bytes_num = bytes.map(|stored| stored.pack.len).sum();
        out.stream_info.pic_cnt = inner.encoded;
        if let RateControl::FixQp { i, p } = channel.attr.rate {
            out.stream_info.start_qp = i;
            out.stream_info.mean_qp = p;
        }
        Ok(())
    })
}

/// `kd_mpi_venc_set_rotation`
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_venc_set_rotation(chn_num: u32, rotation: u32) -> i32 {
    status(NOTREADY, || {
        let channel = channel(chn_num)?;
        if rotation > K_VPU_ROTATION_270 {
            return Err(ILLEGAL_PARAM);
        }
        channel.set(|params| params.rotation = rotation)
    })
}

/// `kd_mpi_venc_set_mirror`
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_venc_set_mirror(chn_num: u32, mirror: u32) -> i32 {
    status(NOTREADY, || {
        let channel = channel(chn_num)?;
        if !matches!(mirror, K_VENC_MIRROR_HORI | K_VENC_MIRROR_VERT) {
            return Err(ILLEGAL_PARAM);
        }
        channel.set(|params| params.mirror = mirror)
    })
}

/// `kd_mpi_venc_enable_idr`
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_venc_enable_idr(chn_num: u32, idr_enable: u32) -> i32 {
    status(NOTREADY, || {
        let channel = channel(chn_num)?;
        if channel.attr.codec == Codec::Jpeg || idr_enable > 1 {
            return Err(ILLEGAL_PARAM);
        }
        channel.set(|params| params.idr_enabled = idr_enable == 1)
    })
}

/// `kd_mpi_venc_request_idr`
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_venc_request_idr(chn_num: u32) -> i32 {
    status(NOTREADY, || {
        let channel = channel(chn_num)?;
        let mut inner = lock(&channel.inner);
        if channel.attr.codec == Codec::Jpeg {
            return Err(ILLEGAL_PARAM);
        }
        inner.idr_wanted = true;
        Ok(())
    })
}

/// `kd_mpi_venc_set_h265_sao`
///
/// # Safety
/// `sao` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kd_mpi_venc_set_h265_sao(
    chn_num: u32,
    sao: *const k_venc_h265_sao,
) -> i32 {
    status(NOTREADY, || {
        let channel = channel(chn_num)?;
        // SAFETY: null or valid.
        let sao = *unsafe { sao.as_ref() }.ok_or(NULL_PTR)?;
        if channel.attr.codec != Codec::H265
            || sao.slice_sao_luma_flag > 1
            || sao.slice_sao_chroma_flag > 1
        {
            return Err(ILLEGAL_PARAM);
        }
        channel.set(|params| params.sao = sao)
    })
}

/// `kd_mpi_venc_set_dblk`
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_venc_set_dblk(chn_num: u32, dblk_en: u32) -> i32 {
    status(NOTREADY, || {
        let channel = channel(chn_num)?;
        if channel.attr.codec == Codec::Jpeg || dblk_en > 1 {
            return Err(ILLEGAL_PARAM);
        }
        channel.set(|params| params.dblk = dblk_en == 1)
    })
}

/// `kd_mpi_venc_set_h264_entropy`
///
/// # Safety
/// `entropy` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kd_mpi_venc_set_h264_entropy(
    chn_num: u32,
    entropy: *const k_venc_h264_entropy,
) -> i32 {
    status(NOTREADY, || {
        let channel = channel(chn_num)?;
        // SAFETY: null or valid.
        let entropy = *unsafe { entropy.as_ref() }.ok_or(NULL_PTR)?;
        if channel.attr.codec != Codec::H264
            || entropy.entropy_coding_mode > ENTROPY_MODE_CABAC
            || entropy.cabac_init_idc > 2
        {
            return Err(ILLEGAL_PARAM);
        }
        channel.set(|params| params.h264_entropy = entropy)
    })
}

/// `kd_mpi_venc_set_h265_entropy`
///
/// # Safety
/// `entropy` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kd_mpi_venc_set_h265_entropy(
    chn_num: u32,
    entropy: *const k_venc_h265_entropy,
) -> i32 {
    status(NOTREADY, || {
        let channel = channel(chn_num)?;
        // SAFETY: null or valid.
        let entropy = *unsafe { entropy.as_ref() }.ok_or(NULL_PTR)?;
        if channel.attr.codec != Codec::H265 || entropy.cabac_init_flag > 1 {
            return Err(ILLEGAL_PARAM);
        }
        channel.set(|params| params.h265_entropy = entropy)
    })
}

/// Functions that read a parameter back.
macro_rules! getters {
    ($($(#[$doc:meta])* $name:ident($codec:pat) -> $type:ty = |$params:ident| $get:expr;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Safety
            /// `out` is null or valid.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name(chn_num: u32, out: *mut $type) -> i32 {
                status(NOTREADY, || {
                    let channel = channel(chn_num)?;
                    // SAFETY: null or valid.
                    let out = unsafe { out.as_mut() }.ok_or(NULL_PTR)?;
                    if !matches!(channel.attr.codec, $codec) {
                        return Err(ILLEGAL_PARAM);
                    }
                    let $params = channel.params();
                    *out = $get;
                    Ok(())
                })
            }
        )*
    };
}

getters! {
    /// `kd_mpi_venc_get_rotation`
    kd_mpi_venc_get_rotation(_) -> u32 = |params| params.rotation;
    /// `kd_mpi_venc_get_mirror`; 0 if none is set
    kd_mpi_venc_get_mirror(_) -> u32 = |params| params.mirror;
    /// `kd_mpi_venc_get_h265_sao`
    kd_mpi_venc_get_h265_sao(Codec::H265) -> k_venc_h265_sao = |params| params.sao;
    /// `kd_mpi_venc_get_dblk`
    kd_mpi_venc_get_dblk(Codec::H264 | Codec::H265) -> u32 = |params| params.dblk.into();
    /// `kd_mpi_venc_get_h264_entropy`
    kd_mpi_venc_get_h264_entropy(Codec::H264) -> k_venc_h264_entropy = |params| params.h264_entropy;
    /// `kd_mpi_venc_get_h265_entropy`
    kd_mpi_venc_get_h265_entropy(Codec::H265) -> k_venc_h265_entropy = |params| params.h265_entropy;
}

/// `kd_mpi_venc_set_intbuf_size`: memory of the encoder's, which this one does not need.
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_venc_set_intbuf_size(chn_num: u32, _size: u32) -> i32 {
    status(NOTREADY, || channel(chn_num).map(|_| ()))
}

/// The 2D unit is not there. Arguments after the channel's number are not looked at.
macro_rules! no_2d_unit {
    ($($name:ident)*) => {
        $(
            /// Answers `K_ERR_VENC_NOT_SUPPORT`, or `K_ERR_VENC_INVALID_CHNID` for a channel that
            /// has no 2D unit on the chip either.
            #[unsafe(no_mangle)]
            pub extern "C" fn $name(chn_num: u32) -> i32 {
                if chn_num >= CHANNELS_2D { INVALID_CHNID } else { NOT_SUPPORT }
            }
        )*
    };
}

no_2d_unit! {
    kd_mpi_venc_start_2d_chn
    kd_mpi_venc_stop_2d_chn
    kd_mpi_venc_send_2d_frame
    kd_mpi_venc_get_2d_frame
    kd_mpi_venc_set_2d_mode
    kd_mpi_venc_get_2d_mode
    kd_mpi_venc_set_2d_csc_param
    kd_mpi_venc_get_2d_csc_param
    kd_mpi_venc_set_2d_osd_param
    kd_mpi_venc_get_2d_osd_param
    kd_mpi_venc_set_2d_border_param
    kd_mpi_venc_get_2d_border_param
    kd_mpi_venc_set_2d_custom_coef
    kd_mpi_venc_get_2d_custom_coef
    kd_mpi_venc_get_2d_color_gamut
    kd_mpi_venc_set_2d_color_gamut
    kd_mpi_venc_attach_2d
    kd_mpi_venc_detach_2d
}

/// The converter that shares the encoder's library, `mpi_nonai_2d_api.h`.
macro_rules! no_converter {
    ($($name:ident)*) => {
        $(
            /// Answers `K_ERR_NOT_SUPPORT` of the module.
            #[unsafe(no_mangle)]
            pub extern "C" fn $name() -> i32 {
                error(K_ID_NONAI_2D, 8)
            }
        )*
    };
}

no_converter! {
    kd_mpi_nonai_2d_create_chn
    kd_mpi_nonai_2d_destroy_chn
    kd_mpi_nonai_2d_start_chn
    kd_mpi_nonai_2d_stop_chn
    kd_mpi_nonai_2d_send_frame
    kd_mpi_nonai_2d_get_frame
    kd_mpi_nonai_2d_release_frame
    kd_mpi_nonai_2d_close
}
