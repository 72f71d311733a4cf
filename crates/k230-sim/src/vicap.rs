// SPDX-License-Identifier: MIT OR Apache-2.0
//! The camera: of `mpi_vicap_api.h` what it takes to bind one to an encoder or to take pictures.
//!
//! Each started device has a thread that draws `scene`'s picture for its enabled
//! channels at their frame rate, into VB blocks from the common pools, and gives it to the
//! encoders bound to them. Without a free block the frame is lost.

use std::{
    ffi::{CStr, CString, c_char, c_void},
    ptr, slice,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use k230_venc::abi::*;

use crate::{
    ffi::{answer, lock, status, wait},
    memory, scene,
    sensors::{self, Sensor},
    sys,
    vb::Block,
    venc,
};

const fn code(reason: u32) -> i32 {
    error(K_ID_VICAP, reason)
}
const INVALID_DEVID: i32 = code(1);
const INVALID_CHNID: i32 = code(2);
const ILLEGAL_PARAM: i32 = code(3);
const NULL_PTR: i32 = code(6);
const NOT_CONFIG: i32 = code(7);
const NOT_SUPPORT: i32 = code(8);
const NOT_PERM: i32 = code(9);
const BUF_EMPTY: i32 = code(14);
const NOTREADY: i32 = code(16);
const BUSY: i32 = code(18);

/// `VICAP_MAX_DEV_NUMS` and `VICAP_MAX_CHN_NUMS`
const DEVICES: usize = 3;
const CHANNELS: usize = 3;

struct Stream {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Camera {
    dev: Option<DevAttr>,
    chn: [Option<k_vicap_chn_attr>; CHANNELS],
    initialised: bool,
    stream: Option<Stream>,
    started: Option<Instant>,
}

/// The attributes, kept to be read back.
#[derive(Clone, Copy)]
struct DevAttr(k_vicap_dev_attr);

// SAFETY: its pointers are names that are handed back and never read here.
unsafe impl Send for DevAttr {}

impl Camera {
    fn fps(&self, chn: usize) -> u32 {
        let own = self.chn[chn].map_or(0, |attr| u32::from(attr.fps));
        let sensor = self
            .dev
            .and_then(|dev| sensors::by_number(dev.0.sensor_info.sensor_type))
            .map_or(30, |sensor| u32::from(sensor.fps));
        if own == 0 { sensor } else { own.min(sensor) }
    }
}

/// The three devices; written by the program's threads.
static CAMERAS: LazyLock<Mutex<[Camera; DEVICES]>> = LazyLock::new(Mutex::default);

fn with<T>(dev: u32, f: impl FnOnce(&mut Camera) -> Result<T, i32>) -> Result<T, i32> {
    let mut cameras = lock(&CAMERAS);
    f(cameras.get_mut(dev as usize).ok_or(INVALID_DEVID)?)
}

fn fill_info(info: &mut k_vicap_sensor_info, sensor: Sensor) {
    info.sensor_name = name(sensor);
    info.database_name = name(sensor);
    info.width = sensor.width;
    info.height = sensor.height;
    info.csi_num = 1;
    info.mipi_lanes = 1;
    info.phy_freq = 1;
    info.data_type = 0x2b;
    info.hdr_mode = 4;
    info.flash_mode = 3;
    info.fps = sensor.fps;
    info.sensor_type = sensor.number;
}

/// The sensor's name as C has it, for the life of the process.
fn name(sensor: Sensor) -> *const c_char {
    static NAMES: Mutex<Vec<(u32, CString)>> = Mutex::new(Vec::new());
    let mut names = lock(&NAMES);
    if let Some((_, name)) = names.iter().find(|(number, _)| *number == sensor.number) {
        return name.as_ptr();
    }
    let Ok(name) = CString::new(sensor.name) else {
        return ptr::null();
    };
    // What a CString points to stays where it is when the vector grows.
    let pointer = name.as_ptr();
    names.push((sensor.number, name));
    pointer
}

/// A picture of frame `count` in a block, described as the camera would.
fn picture(
    attr: &k_vicap_chn_attr,
    count: u64,
    fps: u32,
    pts: u64,
) -> Option<(Block, k_video_frame)> {
    let (width, height) = (
        usize::from(attr.out_win.width),
        usize::from(attr.out_win.height),
    );
    let luma = width * height;
    let needed = luma.next_multiple_of(4096) + luma / 2;
    let block = Block::take(0, (needed as u64).max(attr.buffer_size.into()))
        .or_else(|| Block::take(0, needed as u64))?;
    let at = memory::map(block.physical(), needed as u64)?;
    // SAFETY: the block is ours alone and has `needed` bytes.
    let bytes = unsafe { slice::from_raw_parts_mut(at.as_ptr(), needed) };
    let (y, uv) = bytes.split_at_mut(luma.next_multiple_of(4096));
    scene::draw(y, uv, width, height, count, fps);
    let mut frame = k_video_frame_info::ZERO.v_frame;
    frame.width = width as u32;
    frame.height = height as u32;
    frame.field = VIDEO_FIELD_FRAME;
    frame.pixel_format = PIXEL_FORMAT_YUV_SEMIPLANAR_420;
    frame.stride = [width as u32, width as u32, 0];
    frame.phys_addr = [
        block.physical(),
        block.physical() + luma.next_multiple_of(4096) as u64,
        0,
    ];
    frame.time_ref = (count as u32).wrapping_mul(2);
    frame.pts = pts;
    Some((block, frame))
}

/// The device's thread.
fn run(dev: u32, channels: Vec<(usize, k_vicap_chn_attr, u32)>, stop: &AtomicBool) {
    let begin = Instant::now();
    let mut next: Vec<u64> = vec![0; channels.len()];
    let due =
        |count: u64, fps: u32| Duration::from_micros(count * 1_000_000 / u64::from(fps.max(1)));
    while !stop.load(Ordering::SeqCst) {
        for ((chn, attr, fps), count) in channels.iter().zip(&mut next) {
            if begin.elapsed() < due(*count, *fps) {
                continue;
            }
            // Late frames are lost and not made up for.
            let now = begin.elapsed().as_micros() as u64;
            *count = (*count).max(now * u64::from(*fps) / 1_000_000);
            let receivers = sys::bound_encoders(dev as i32, *chn as i32);
            if !receivers.is_empty()
                && let Some((block, frame)) = picture(attr, *count, *fps, now)
            {
                for receiver in receivers {
                    venc::offer_bound(receiver, &frame);
                }
                drop(block);
            }
            *count += 1;
        }
        let soonest = channels
            .iter()
            .zip(&next)
            .map(|((.., fps), count)| due(*count, *fps))
            .min()
            .unwrap_or(Duration::from_millis(100));
        thread::sleep(
            soonest
                .saturating_sub(begin.elapsed())
                .min(Duration::from_millis(100)),
        );
    }
}

/// `kd_mpi_vicap_get_sensor_info`
///
/// # Safety
/// `sensor_info` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kd_mpi_vicap_get_sensor_info(
    sensor_type: u32,
    sensor_info: *mut k_vicap_sensor_info,
) -> i32 {
    status(NOTREADY, || {
        // SAFETY: null or valid.
        let info = unsafe { sensor_info.as_mut() }.ok_or(NULL_PTR)?;
        fill_info(info, sensors::by_number(sensor_type).ok_or(ILLEGAL_PARAM)?);
        Ok(())
    })
}

/// `kd_mpi_vicap_get_sensor_type`
///
/// # Safety
/// The pointers are null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kd_mpi_vicap_get_sensor_type(
    sensor_type: *mut u32,
    sensor_string: *const c_char,
) -> i32 {
    status(NOTREADY, || {
        if sensor_string.is_null() {
            return Err(NULL_PTR);
        }
        // SAFETY: null or valid; a string if not null.
        let (out, name) = unsafe { (sensor_type.as_mut(), CStr::from_ptr(sensor_string)) };
        let name = name.to_str().map_err(|_| ILLEGAL_PARAM)?;
        *out.ok_or(NULL_PTR)? = sensors::by_name(name).ok_or(ILLEGAL_PARAM)?.number;
        Ok(())
    })
}

/// `kd_mpi_vicap_get_sensor_string`
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_vicap_get_sensor_string(sensor_type: u32) -> *const c_char {
    answer(ptr::null(), || {
        sensors::by_number(sensor_type).map_or(ptr::null(), name)
    })
}

/// `kd_mpi_vicap_get_sensor_fd`: there is no sensor to open.
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_vicap_get_sensor_fd(_sensor_attr: *mut c_void) -> i32 {
    NOT_SUPPORT
}

/// `kd_mpi_vicap_set_dev_attr`
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_vicap_set_dev_attr(dev_num: u32, dev_attr: k_vicap_dev_attr) -> i32 {
    status(NOTREADY, || {
        with(dev_num, |camera| {
            if camera.stream.is_some() {
                return Err(BUSY);
            }
            if sensors::by_number(dev_attr.sensor_info.sensor_type).is_none() {
                return Err(ILLEGAL_PARAM);
            }
            camera.dev = Some(DevAttr(dev_attr));
            Ok(())
        })
    })
}

/// `kd_mpi_vicap_get_dev_attr`
///
/// # Safety
/// `dev_attr` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kd_mpi_vicap_get_dev_attr(
    dev_num: u32,
    dev_attr: *mut k_vicap_dev_attr,
) -> i32 {
    status(NOTREADY, || {
        // SAFETY: null or valid.
        let out = unsafe { dev_attr.as_mut() }.ok_or(NULL_PTR)?;
        *out = with(dev_num, |camera| camera.dev.ok_or(NOT_CONFIG))?.0;
        Ok(())
    })
}

/// `kd_mpi_vicap_set_chn_attr`: NV12 pictures of any even size up to the sensor limits of the SDK.
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_vicap_set_chn_attr(
    dev_num: u32,
    chn_num: u32,
    chn_attr: k_vicap_chn_attr,
) -> i32 {
    status(NOTREADY, || {
        with(dev_num, |camera| {
            let slot = camera.chn.get_mut(chn_num as usize).ok_or(INVALID_CHNID)?;
            if camera.stream.is_some() {
                return Err(BUSY);
            }
            let window = chn_attr.out_win;
            // VICAP_IMG_MAX_WIDTH and _HEIGH; below 64 there is nothing to see.
            if !(64..=3840).contains(&window.width)
                || !(64..=2160).contains(&window.height)
                || !window.width.is_multiple_of(2)
                || !window.height.is_multiple_of(2)
            {
                return Err(ILLEGAL_PARAM);
            }
            if !matches!(
                chn_attr.pix_format,
                PIXEL_FORMAT_YUV_SEMIPLANAR_420 | PIXEL_FORMAT_YVU_SEMIPLANAR_420
            ) {
                return Err(NOT_SUPPORT);
            }
            *slot = Some(chn_attr);
            Ok(())
        })
    })
}

/// `kd_mpi_vicap_get_chn_attr`
///
/// # Safety
/// `chn_attr` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kd_mpi_vicap_get_chn_attr(
    dev_num: u32,
    chn_num: u32,
    chn_attr: *mut k_vicap_chn_attr,
) -> i32 {
    status(NOTREADY, || {
        // SAFETY: null or valid.
        let out = unsafe { chn_attr.as_mut() }.ok_or(NULL_PTR)?;
        *out = with(dev_num, |camera| {
            camera
                .chn
                .get(chn_num as usize)
                .ok_or(INVALID_CHNID)?
                .ok_or(NOT_CONFIG)
        })?;
        Ok(())
    })
}

/// `kd_mpi_vicap_init`
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_vicap_init(dev_num: u32) -> i32 {
    status(NOTREADY, || {
        with(dev_num, |camera| {
            if camera.dev.is_none() || camera.chn.iter().all(Option::is_none) {
                return Err(NOT_CONFIG);
            }
            camera.initialised = true;
            Ok(())
        })
    })
}

/// `kd_mpi_vicap_deinit`
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_vicap_deinit(dev_num: u32) -> i32 {
    status(NOTREADY, || {
        with(dev_num, |camera| {
            if camera.stream.is_some() {
                return Err(NOT_PERM);
            }
            *camera = Camera::default();
            Ok(())
        })
    })
}

/// `kd_mpi_vicap_start_stream`
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_vicap_start_stream(dev_num: u32) -> i32 {
    status(NOTREADY, || {
        with(dev_num, |camera| {
            if !camera.initialised {
                return Err(NOT_PERM);
            }
            if camera.stream.is_some() {
                return Err(BUSY);
            }
            let channels: Vec<_> = (0..CHANNELS)
                .filter_map(|chn| Some((chn, camera.chn[chn]?, camera.fps(chn))))
                .filter(|(_, attr, _)| attr.chn_enable != 0)
                .collect();
            let stop = Arc::new(AtomicBool::new(false));
            let told = stop.clone();
            let thread = thread::Builder::new()
                .name(format!("vicap-sim{dev_num}"))
                .spawn(move || run(dev_num, channels, &told))
                .map_err(|_| code(12))?;
            camera.stream = Some(Stream { stop, thread });
            camera.started = Some(Instant::now());
            Ok(())
        })
    })
}

/// `kd_mpi_vicap_stop_stream`
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_vicap_stop_stream(dev_num: u32) -> i32 {
    status(NOTREADY, || {
        let stream = with(dev_num, |camera| camera.stream.take().ok_or(NOT_PERM))?;
        stream.stop.store(true, Ordering::SeqCst);
        // Not under the cameras' lock.
        let _ = stream.thread.join();
        Ok(())
    })
}

/// `kd_mpi_vicap_dump_frame`: the picture of this moment, once a frame.
///
/// # Safety
/// `vf_info` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn kd_mpi_vicap_dump_frame(
    dev_num: u32,
    chn_num: u32,
    _format: u32,
    vf_info: *mut k_video_frame_info,
    milli_sec: u32,
) -> i32 {
    wait(
        i32::try_from(milli_sec).unwrap_or(i32::MAX),
        BUF_EMPTY,
        move |slice| {
            // SAFETY: the caller's promise.
            unsafe { try_dump(dev_num, chn_num, vf_info, slice) }
                .map_or_else(Some, |got| got.then_some(0))
        },
    )
}

/// # Safety
/// `out` is null or valid.
unsafe fn try_dump(
    dev: u32,
    chn: u32,
    out: *mut k_video_frame_info,
    slice: Duration,
) -> Result<bool, i32> {
    // SAFETY: null or valid.
    let out = unsafe { out.as_mut() }.ok_or(NULL_PTR)?;
    let (attr, fps, started) = with(dev, |camera| {
        let attr = camera.chn.get(chn as usize).ok_or(INVALID_CHNID)?;
        let started = camera.started.filter(|_| camera.stream.is_some());
        Ok((
            attr.ok_or(NOT_CONFIG)?,
            camera.fps(chn as usize).max(1),
            started.ok_or(NOT_PERM)?,
        ))
    })?;
    let period = 1_000_000 / u64::from(fps);
    let now = started.elapsed().as_micros() as u64;
    let rest = Duration::from_micros(period - now % period);
    if rest > slice {
        thread::sleep(slice);
        return Ok(false);
    }
    thread::sleep(rest);
    let pts = started.elapsed().as_micros() as u64;
    let Some((block, frame)) = picture(&attr, pts / period, fps, pts) else {
        return Ok(false);
    };
    out.v_frame = frame;
    out.pool_id = block.pool();
    out.mod_id = K_ID_VI;
    block.leave();
    Ok(true)
}

/// `kd_mpi_vicap_dump_release`
///
/// # Safety
/// `vf_info` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kd_mpi_vicap_dump_release(
    dev_num: u32,
    chn_num: u32,
    vf_info: *const k_video_frame_info,
) -> i32 {
    status(NOTREADY, || {
        if dev_num as usize >= DEVICES {
            return Err(INVALID_DEVID);
        }
        if chn_num as usize >= CHANNELS {
            return Err(INVALID_CHNID);
        }
        // SAFETY: null or valid.
        let frame = unsafe { vf_info.as_ref() }.ok_or(NULL_PTR)?;
        let block = Block::share(frame.v_frame.phys_addr[0]).ok_or(ILLEGAL_PARAM)?;
        crate::vb::kd_mpi_vb_release_block(block.handle());
        Ok(())
    })
}

/// Settings of the sensor and its interface that make no difference to a drawn picture.
macro_rules! accepted {
    ($($name:ident)*) => {
        $(
            /// Accepted, without effect.
            #[unsafe(no_mangle)]
            pub extern "C" fn $name() -> i32 {
                0
            }
        )*
    };
}

accepted! {
    kd_mpi_vicap_set_mclk
    kd_mpi_vicap_set_vi_drop_frame
    kd_mpi_vicap_set_database_parse_mode
    kd_mpi_vicap_tpg_enable
    kd_mpi_vicap_set_slave_enable
    kd_mpi_vicap_set_slave_attr
    kd_mpi_vicap_sensor_set_mclk
    kd_mpi_vicap_sensor_disable_mclk
}

/// `kd_mpi_vicap_set_dump_reserved`: accepted, without effect.
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_vicap_set_dump_reserved(_dev_num: u32, _chn_num: u32, _reserved: u32) {}

/// What this camera does not do.
macro_rules! refused {
    ($($name:ident)*) => {
        $(
            /// Answers `K_ERR_VICAP_NOT_SUPPORT`.
            #[unsafe(no_mangle)]
            pub extern "C" fn $name() -> i32 {
                NOT_SUPPORT
            }
        )*
    };
}

refused! {
    kd_mpi_vicap_load_image
    kd_mpi_vicap_dump_register
    kd_mpi_vicap_3d_mode_crtl
}
