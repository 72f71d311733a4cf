// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory, bindings and log levels: `mpi_sys_api.h`.

use std::{
    ffi::{c_char, c_void},
    ptr,
    sync::Mutex,
};

use k230_venc::abi::*;

use crate::{
    ffi::{answer, lock, status},
    memory,
};

const MMZ_NULL_PTR: i32 = error(K_ID_MMZ_USER_DEV, 6);
const MMZ_ILLEGAL_PARAM: i32 = error(K_ID_MMZ_USER_DEV, 3);
const MMZ_NOMEM: i32 = error(K_ID_MMZ_USER_DEV, 12);
const MMZ_NOTREADY: i32 = error(K_ID_MMZ_USER_DEV, 16);
const MMZ_BADADDR: i32 = error(K_ID_MMZ_USER_DEV, 17);
const SYS_ILLEGAL_PARAM: i32 = error(K_ID_SYS, 3);
const SYS_UNEXIST: i32 = error(K_ID_SYS, 5);
const SYS_NULL_PTR: i32 = error(K_ID_SYS, 6);
const SYS_NOT_SUPPORT: i32 = error(K_ID_SYS, 8);
const SYS_NOT_PERM: i32 = error(K_ID_SYS, 9);
const SYS_NOTREADY: i32 = error(K_ID_SYS, 16);
const VENC_NOTREADY: i32 = error(K_ID_VENC, 16);
const LOG_NULL_PTR: i32 = error(K_ID_LOG, 6);
const LOG_ILLEGAL_PARAM: i32 = error(K_ID_LOG, 3);
const LOG_NOTREADY: i32 = error(K_ID_LOG, 16);

/// # Safety
/// The pointers are null or valid.
unsafe fn allocate(
    physical: *mut u64,
    address: *mut *mut c_void,
    len: u32,
    cached: bool,
) -> Result<(), i32> {
    // SAFETY: null or valid.
    let (Some(physical), Some(address)) = (unsafe { (physical.as_mut(), address.as_mut()) }) else {
        return Err(MMZ_NULL_PTR);
    };
    if len == 0 {
        return Err(MMZ_ILLEGAL_PARAM);
    }
    let at = memory::allocate(len.into(), cached).ok_or(MMZ_NOMEM)?;
    let mapped = memory::map(at, len.into()).ok_or(MMZ_NOMEM)?;
    *physical = at;
    *address = mapped.as_ptr().cast();
    Ok(())
}

/// `kd_mpi_sys_mmz_alloc`
///
/// # Safety
/// The first two pointers are null or valid; the names are not read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kd_mpi_sys_mmz_alloc(
    phy_addr: *mut u64,
    virt_addr: *mut *mut c_void,
    _mmb: *const c_char,
    _zone: *const c_char,
    len: u32,
) -> i32 {
    // SAFETY: the caller's promise.
    status(MMZ_NOTREADY, || unsafe {
        allocate(phy_addr, virt_addr, len, false)
    })
}

/// `kd_mpi_sys_mmz_alloc_cached`
///
/// # Safety
/// The first two pointers are null or valid; the names are not read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kd_mpi_sys_mmz_alloc_cached(
    phy_addr: *mut u64,
    virt_addr: *mut *mut c_void,
    _mmb: *const c_char,
    _zone: *const c_char,
    len: u32,
) -> i32 {
    // SAFETY: the caller's promise.
    status(MMZ_NOTREADY, || unsafe {
        allocate(phy_addr, virt_addr, len, true)
    })
}

/// `kd_mpi_sys_mmz_free`
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_sys_mmz_free(phy_addr: u64, _virt_addr: *mut c_void) -> i32 {
    status(MMZ_NOTREADY, || {
        if memory::free(phy_addr) {
            Ok(())
        } else {
            Err(MMZ_BADADDR)
        }
    })
}

/// `kd_mpi_sys_mmz_flush_cache`: there is no cache between a program and this memory.
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_sys_mmz_flush_cache(
    phy_addr: u64,
    _virt_addr: *mut c_void,
    size: u32,
) -> i32 {
    status(MMZ_NOTREADY, || {
        memory::map(phy_addr, size.into())
            .map(|_| ())
            .ok_or(MMZ_BADADDR)
    })
}

/// `kd_mpi_sys_mmap`
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_sys_mmap(phy_addr: u64, size: u32) -> *mut c_void {
    answer(ptr::null_mut(), || {
        memory::map(phy_addr, size.into()).map_or(ptr::null_mut(), |at| at.as_ptr().cast())
    })
}

/// `kd_mpi_sys_mmap_cached`
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_sys_mmap_cached(phy_addr: u64, size: u32) -> *mut c_void {
    kd_mpi_sys_mmap(phy_addr, size)
}

/// `kd_mpi_sys_munmap`
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_sys_munmap(virt_addr: *mut c_void, _size: u32) -> i32 {
    status(MMZ_NOTREADY, || {
        if virt_addr.is_null() {
            return Err(MMZ_NULL_PTR);
        }
        // A program may unmap a block after it gave it back, as sample_venc.c does.
        Ok(())
    })
}

/// `kd_mpi_sys_get_virmem_info`
///
/// # Safety
/// `mem_info` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kd_mpi_sys_get_virmem_info(
    virt_addr: *const c_void,
    mem_info: *mut k_sys_virmem_info,
) -> i32 {
    status(MMZ_NOTREADY, || {
        // SAFETY: null or valid.
        let info = unsafe { mem_info.as_mut() }.ok_or(MMZ_NULL_PTR)?;
        let (physical, cached) = memory::physical(virt_addr.cast()).ok_or(MMZ_BADADDR)?;
        info.phy_addr = physical;
        info.cached = cached.into();
        Ok(())
    })
}

/// What is bound: source and receiver. Written by bind and unbind, read by the camera.
static BINDINGS: Mutex<Vec<(k_mpp_chn, k_mpp_chn)>> = Mutex::new(Vec::new());

/// The VENC channels that the camera's channel `chn` of device `dev` feeds.
pub fn bound_encoders(dev: i32, chn: i32) -> Vec<u32> {
    lock(&BINDINGS)
        .iter()
        .filter(|(source, receiver)| {
            (source.dev_id, source.chn_id) == (dev, chn) && receiver.mod_id == K_ID_VENC
        })
        .map(|(_, receiver)| receiver.chn_id as u32)
        .collect()
}

/// # Safety
/// The pointers are null or valid.
unsafe fn ends(
    source: *const k_mpp_chn,
    receiver: *const k_mpp_chn,
) -> Result<(k_mpp_chn, k_mpp_chn), i32> {
    // SAFETY: null or valid.
    match unsafe { (source.as_ref(), receiver.as_ref()) } {
        (Some(source), Some(receiver)) => Ok((*source, *receiver)),
        _ => Err(SYS_NULL_PTR),
    }
}

/// `kd_mpi_sys_bind`: the camera to an encoder, or to a display, which shows nothing.
///
/// # Safety
/// The pointers are null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kd_mpi_sys_bind(src_chn: *mut k_mpp_chn, dest_chn: *mut k_mpp_chn) -> i32 {
    status(SYS_NOTREADY, || {
        // SAFETY: the caller's promise.
        let (source, receiver) = unsafe { ends(src_chn, dest_chn) }?;
        if !matches!(source.mod_id, K_ID_VI | K_ID_VICAP)
            || !matches!(receiver.mod_id, K_ID_VENC | K_ID_VO)
        {
            return Err(SYS_NOT_SUPPORT);
        }
        let in_range = |chn: &k_mpp_chn, channels: i32| (0..channels).contains(&chn.chn_id);
        if !in_range(&source, 3)
            || (receiver.mod_id == K_ID_VENC
                && (receiver.dev_id != 0 || !in_range(&receiver, VENC_MAX_CHN_NUMS as i32)))
        {
            return Err(SYS_ILLEGAL_PARAM);
        }
        let mut bindings = lock(&BINDINGS);
        if bindings.iter().any(|(_, bound)| *bound == receiver) {
            return Err(SYS_NOT_PERM);
        }
        bindings.push((source, receiver));
        Ok(())
    })
}

/// `kd_mpi_sys_unbind`
///
/// # Safety
/// The pointers are null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kd_mpi_sys_unbind(
    src_chn: *mut k_mpp_chn,
    dest_chn: *mut k_mpp_chn,
) -> i32 {
    status(SYS_NOTREADY, || {
        // SAFETY: the caller's promise.
        let (source, receiver) = unsafe { ends(src_chn, dest_chn) }?;
        let mut bindings = lock(&BINDINGS);
        match bindings.iter().position(|(_, bound)| *bound == receiver) {
            None => Ok(()),
            Some(at) if bindings[at].0 == source => {
                bindings.remove(at);
                Ok(())
            }
            Some(_) => Err(SYS_ILLEGAL_PARAM),
        }
    })
}

/// `kd_mpi_sys_get_bind_by_dest`
///
/// # Safety
/// The pointers are null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kd_mpi_sys_get_bind_by_dest(
    dest_chn: *mut k_mpp_chn,
    src_chn: *mut k_mpp_chn,
) -> i32 {
    status(SYS_NOTREADY, || {
        // SAFETY: null or valid.
        let receiver = *unsafe { dest_chn.as_ref() }.ok_or(SYS_NULL_PTR)?;
        // SAFETY: null or valid.
        let source = unsafe { src_chn.as_mut() }.ok_or(SYS_NULL_PTR)?;
        let bindings = lock(&BINDINGS);
        let bound = bindings.iter().find(|(_, bound)| *bound == receiver);
        *source = bound.ok_or(SYS_UNEXIST)?.0;
        Ok(())
    })
}

/// Log levels by module, and whether the log goes to the console; kept to be read back, as this
/// library logs through GStreamer's debug log.
static LOG: Mutex<([i32; 32], u32)> = Mutex::new(([3; 32], 0));

/// `kd_mpi_log_set_level_conf`
///
/// # Safety
/// `conf` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kd_mpi_log_set_level_conf(conf: *const k_log_level_conf) -> i32 {
    status(LOG_NOTREADY, || {
        // SAFETY: null or valid.
        let conf = unsafe { conf.as_ref() }.ok_or(LOG_NULL_PTR)?;
        let name = conf.mod_name.map(|c| c as u8);
        let mut log = lock(&LOG);
        if name.starts_with(b"all\0") {
            log.0 = [conf.level; 32];
            return Ok(());
        }
        *log.0
            .get_mut(conf.mod_id as usize)
            .ok_or(LOG_ILLEGAL_PARAM)? = conf.level;
        Ok(())
    })
}

/// `kd_mpi_log_get_level_conf`
///
/// # Safety
/// `conf` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kd_mpi_log_get_level_conf(conf: *mut k_log_level_conf) -> i32 {
    status(LOG_NOTREADY, || {
        // SAFETY: null or valid.
        let conf = unsafe { conf.as_mut() }.ok_or(LOG_NULL_PTR)?;
        conf.level = *lock(&LOG)
            .0
            .get(conf.mod_id as usize)
            .ok_or(LOG_ILLEGAL_PARAM)?;
        Ok(())
    })
}

/// `kd_mpi_log_set_wait_flag`
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_log_set_wait_flag(_is_wait: u32) -> i32 {
    0
}

/// `kd_mpi_log_read`: nothing is ever logged there; answers the bytes read, none.
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_log_read(_buf: *mut c_char, _size: u32) -> i32 {
    0
}

/// `kd_mpi_log_close`
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_log_close() {}

/// `kd_mpi_log_set_console`
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_log_set_console(is_console: u32) -> i32 {
    status(LOG_NOTREADY, || {
        lock(&LOG).1 = is_console;
        Ok(())
    })
}

/// `kd_mpi_log_get_console`
///
/// # Safety
/// `is_console` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kd_mpi_log_get_console(is_console: *mut u32) -> i32 {
    status(LOG_NOTREADY, || {
        // SAFETY: null or valid.
        *unsafe { is_console.as_mut() }.ok_or(LOG_NULL_PTR)? = lock(&LOG).1;
        Ok(())
    })
}

/// `kd_mpi_venc_close_fd` is the one call that ends a session; nothing is open.
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_venc_close_fd() -> i32 {
    status(VENC_NOTREADY, || Ok(()))
}
