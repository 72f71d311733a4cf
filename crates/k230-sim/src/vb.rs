// SPDX-License-Identifier: MIT OR Apache-2.0
//! Video buffer pools: `mpi_vb_api.h`.

use std::{ffi::c_char, sync::Mutex};

use k230_venc::abi::*;

use crate::{
    ffi::{answer, lock, status},
    memory,
};

const ILLEGAL_PARAM: i32 = error(K_ID_VB, 3);
const UNEXIST: i32 = error(K_ID_VB, 5);
const NULL_PTR: i32 = error(K_ID_VB, 6);
const NOT_PERM: i32 = error(K_ID_VB, 9);
const NOMEM: i32 = error(K_ID_VB, 12);
const NOTREADY: i32 = error(K_ID_VB, 16);
const BUSY: i32 = error(K_ID_VB, 18);
/// `K_ERR_VB_2MPOOLS`.
const TOO_MANY_POOLS: i32 = error(K_ID_VB, 64);

/// The JPEG and ISP masks of `k_vb_supplement_config`.
const SUPPLEMENTS: u32 = 0b11;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Common,
    Module(u32),
    Private,
}

struct Pool {
    owner: Owner,
    physical: u64,
    block_size: u64,
    /// Users of each block, 0 for a free one.
    users: Vec<u32>,
}

impl Drop for Pool {
    fn drop(&mut self) {
        memory::free(self.physical);
    }
}

/// Everything there is of video buffers; written by any thread that calls in.
struct Buffers {
    config: Option<k_vb_config>,
    initialised: bool,
    supplement: k_vb_supplement_config,
    module_config: [Option<k_vb_config>; VB_UID_BUTT as usize],
    pools: Vec<Option<Pool>>,
}

static BUFFERS: Mutex<Buffers> = Mutex::new(Buffers {
    config: None,
    initialised: false,
    supplement: k_vb_supplement_config {
        supplement_config: 0,
    },
    module_config: [const { None }; VB_UID_BUTT as usize],
    pools: Vec::new(),
});

/// A handle is a pool's number and a block's in it.
fn handle(pool: usize, block: usize) -> u32 {
    ((pool as u32) << 16) | block as u32
}

fn check_config(config: &k_vb_config) -> Result<(), i32> {
    let count = config.max_pool_cnt as usize;
    if count > VB_MAX_COMM_POOLS {
        return Err(ILLEGAL_PARAM);
    }
    config.comm_pool[..count].iter().try_for_each(|pool| {
        let unused = pool.blk_cnt == 0 && pool.blk_size == 0;
        if unused { Ok(()) } else { check_pool(pool) }
    })
}

fn check_pool(pool: &k_vb_pool_config) -> Result<(), i32> {
    let good = (1..=VB_SINGLE_MAX_BLKS).contains(&pool.blk_cnt)
        && (1..=MAX_VB_BLK_SIZE).contains(&pool.blk_size)
        && pool.mode < VB_REMAP_MODE_BUTT;
    if good { Ok(()) } else { Err(ILLEGAL_PARAM) }
}

impl Buffers {
    fn create(&mut self, owner: Owner, config: &k_vb_pool_config) -> Result<usize, i32> {
        check_pool(config)?;
        let number = match self.pools.iter().position(Option::is_none) {
            Some(free) => free,
            None if self.pools.len() < VB_MAX_POOLS => {
                self.pools.push(None);
                self.pools.len() - 1
            }
            None => return Err(TOO_MANY_POOLS),
        };
        // Blocks begin on pages, so that the planes in them can.
        let block_size = config.blk_size.next_multiple_of(4096);
        let physical =
            memory::allocate(block_size * u64::from(config.blk_cnt), false).ok_or(NOMEM)?;
        self.pools[number] = Some(Pool {
            owner,
            physical,
            block_size,
            users: vec![0; config.blk_cnt as usize],
        });
        Ok(number)
    }

    fn create_all(&mut self, owner: Owner, config: &k_vb_config) -> Result<(), i32> {
        for pool in &config.comm_pool[..config.max_pool_cnt as usize] {
            if pool.blk_cnt == 0 {
                continue;
            }
            if let Err(code) = self.create(owner, pool) {
                self.remove(owner);
                return Err(code);
            }
        }
        Ok(())
    }

    fn remove(&mut self, owner: Owner) {
        for pool in &mut self.pools {
            pool.take_if(|pool| pool.owner == owner);
        }
    }

    /// A free block of at least `size` bytes in the smallest pool of `owner`'s that has one.
    fn take(&mut self, owner: Owner, size: u64) -> Option<u32> {
        let (number, pool) = self
            .pools
            .iter_mut()
            .enumerate()
            .filter_map(|(number, pool)| Some((number, pool.as_mut()?)))
            .filter(|(_, pool)| {
                pool.owner == owner && pool.block_size >= size && pool.users.contains(&0)
            })
            .min_by_key(|(_, pool)| pool.block_size)?;
        let block = pool.users.iter().position(|users| *users == 0)?;
        pool.users[block] = 1;
        Some(handle(number, block))
    }

    fn block(&mut self, handle: u32) -> Option<(&mut Pool, usize)> {
        let block = (handle & 0xffff) as usize;
        let pool = self.pools.get_mut((handle >> 16) as usize)?.as_mut()?;
        (block < pool.users.len()).then_some((pool, block))
    }

    fn handle_of(&self, physical: u64) -> Option<u32> {
        self.pools.iter().enumerate().find_map(|(number, pool)| {
            let pool = pool.as_ref()?;
            let block = physical.checked_sub(pool.physical)? / pool.block_size;
            ((block as usize) < pool.users.len()).then(|| handle(number, block as usize))
        })
    }

    fn add_user(&mut self, handle: u32) -> bool {
        match self.block(handle) {
            Some((pool, block)) if pool.users[block] > 0 => {
                pool.users[block] += 1;
                true
            }
            _ => false,
        }
    }

    fn release(&mut self, handle: u32) -> Result<(), i32> {
        let (pool, block) = self.block(handle).ok_or(ILLEGAL_PARAM)?;
        if pool.users[block] == 0 {
            return Err(ILLEGAL_PARAM);
        }
        pool.users[block] -= 1;
        Ok(())
    }
}

/// Whether there is a pool with this number.
pub(crate) fn is_pool(pool: u32) -> bool {
    let buffers = lock(&BUFFERS);
    buffers
        .pools
        .get(pool as usize)
        .is_some_and(Option::is_some)
}

/// A block that one of our own modules uses, released when dropped.
#[derive(Debug)]
pub struct Block {
    handle: u32,
    physical: u64,
    size: u64,
}

impl Block {
    /// A block of `size` bytes for the module `uid`: of its own pools, else of the common ones.
    pub fn take(uid: u32, size: u64) -> Option<Self> {
        let mut buffers = lock(&BUFFERS);
        if !buffers.initialised {
            return None;
        }
        let handle = buffers
            .take(Owner::Module(uid), size)
            .or_else(|| buffers.take(Owner::Common, size))?;
        let (pool, block) = buffers.block(handle)?;
        Some(Self {
            handle,
            physical: pool.physical + block as u64 * pool.block_size,
            size: pool.block_size,
        })
    }

    /// Up to `count` free blocks of the pool with this number, `None` if there is no such pool.
    pub fn take_of(pool: u32, count: usize) -> Option<Vec<Self>> {
        let mut buffers = lock(&BUFFERS);
        let pool_of = buffers.pools.get_mut(pool as usize)?.as_mut()?;
        let (physical, size) = (pool_of.physical, pool_of.block_size);
        let free = pool_of.users.iter_mut().enumerate();
        let blocks = free
            .filter(|(_, users)| **users == 0)
            .take(count)
            .map(|(block, users)| {
                *users = 1;
                Self {
                    handle: handle(pool as usize, block),
                    physical: physical + block as u64 * size,
                    size,
                }
            });
        Some(blocks.collect())
    }

    /// Another use of the block that `physical` lies in, `None` if it lies in none that is in use.
    pub fn share(physical: u64) -> Option<Self> {
        let mut buffers = lock(&BUFFERS);
        let handle = buffers.handle_of(physical)?;
        if !buffers.add_user(handle) {
            return None;
        }
        let (pool, block) = buffers.block(handle)?;
        Some(Self {
            handle,
            physical: pool.physical + block as u64 * pool.block_size,
            size: pool.block_size,
        })
    }

    /// Its handle.
    pub fn handle(&self) -> u32 {
        self.handle
    }

    /// Its number's pool.
    pub fn pool(&self) -> u32 {
        self.handle >> 16
    }

    /// Where it begins.
    pub fn physical(&self) -> u64 {
        self.physical
    }

    /// Its bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Leaves the block to the program, which releases it by its handle.
    pub fn leave(self) {
        std::mem::forget(self);
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let _ = lock(&BUFFERS).release(self.handle);
    }
}

/// `kd_mpi_vb_set_config`
///
/// # Safety
/// `config` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kd_mpi_vb_set_config(config: *const k_vb_config) -> i32 {
    status(NOTREADY, || {
        // SAFETY: null or valid.
        let config = unsafe { config.as_ref() }.ok_or(NULL_PTR)?;
        check_config(config)?;
        let mut buffers = lock(&BUFFERS);
        if buffers.initialised {
            return Err(BUSY);
        }
        buffers.config = Some(*config);
        Ok(())
    })
}

/// `kd_mpi_vb_get_config`
///
/// # Safety
/// `config` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kd_mpi_vb_get_config(config: *mut k_vb_config) -> i32 {
    status(NOTREADY, || {
        // SAFETY: null or valid.
        let config = unsafe { config.as_mut() }.ok_or(NULL_PTR)?;
        *config = lock(&BUFFERS).config.ok_or(NOTREADY)?;
        Ok(())
    })
}

/// `kd_mpi_vb_init`
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_vb_init() -> i32 {
    status(NOTREADY, || {
        let mut buffers = lock(&BUFFERS);
        if buffers.initialised {
            return Ok(());
        }
        let config = buffers.config.ok_or(NOTREADY)?;
        buffers.create_all(Owner::Common, &config)?;
        buffers.initialised = true;
        Ok(())
    })
}

/// `kd_mpi_vb_exit`
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_vb_exit() -> i32 {
    status(NOTREADY, || {
        let mut buffers = lock(&BUFFERS);
        let used = |pool: &Pool| pool.users.iter().any(|users| *users > 0);
        if buffers.pools.iter().flatten().any(used) {
            return Err(NOT_PERM);
        }
        buffers.pools.clear();
        buffers.module_config = [const { None }; VB_UID_BUTT as usize];
        buffers.initialised = false;
        Ok(())
    })
}

/// `kd_mpi_vb_create_pool`
///
/// # Safety
/// `config` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kd_mpi_vb_create_pool(config: *mut k_vb_pool_config) -> i32 {
    answer(-1, || {
        // SAFETY: null or valid.
        let Some(config) = (unsafe { config.as_ref() }) else {
            return -1;
        };
        match lock(&BUFFERS).create(Owner::Private, config) {
            Ok(number) => number as i32,
            Err(_) => -1,
        }
    })
}

/// `kd_mpi_vb_destory_pool`; the name is the SDK's.
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_vb_destory_pool(pool_id: u32) -> i32 {
    status(NOTREADY, || {
        let mut buffers = lock(&BUFFERS);
        let slot = buffers.pools.get_mut(pool_id as usize).ok_or(UNEXIST)?;
        let pool = slot.as_ref().ok_or(UNEXIST)?;
        if pool.owner != Owner::Private {
            return Err(NOT_PERM);
        }
        if pool.users.iter().any(|users| *users > 0) {
            return Err(BUSY);
        }
        *slot = None;
        Ok(())
    })
}

/// `kd_mpi_vb_get_block`
///
/// # Safety
/// `_mmz_name` is not read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kd_mpi_vb_get_block(
    pool_id: u32,
    blk_size: u64,
    _mmz_name: *const c_char,
) -> u32 {
    answer(VB_INVALID_HANDLE, || {
        let mut buffers = lock(&BUFFERS);
        if pool_id == VB_INVALID_POOLID {
            return buffers
                .take(Owner::Common, blk_size)
                .unwrap_or(VB_INVALID_HANDLE);
        }
        let number = pool_id as usize;
        let Some(Some(pool)) = buffers.pools.get_mut(number) else {
            return VB_INVALID_HANDLE;
        };
        match pool.users.iter().position(|users| *users == 0) {
            Some(block) if pool.block_size >= blk_size => {
                pool.users[block] = 1;
                handle(number, block)
            }
            _ => VB_INVALID_HANDLE,
        }
    })
}

/// `kd_mpi_vb_release_block`
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_vb_release_block(block: u32) -> i32 {
    status(NOTREADY, || lock(&BUFFERS).release(block))
}

/// `kd_mpi_vb_phyaddr_to_handle`
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_vb_phyaddr_to_handle(phys_addr: u64) -> u32 {
    answer(VB_INVALID_HANDLE, || {
        lock(&BUFFERS)
            .handle_of(phys_addr)
            .unwrap_or(VB_INVALID_HANDLE)
    })
}

/// `kd_mpi_vb_handle_to_phyaddr`
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_vb_handle_to_phyaddr(block: u32) -> u64 {
    answer(0, || {
        lock(&BUFFERS).block(block).map_or(0, |(pool, block)| {
            pool.physical + block as u64 * pool.block_size
        })
    })
}

/// `kd_mpi_vb_handle_to_pool_id`
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_vb_handle_to_pool_id(block: u32) -> i32 {
    answer(-1, || {
        lock(&BUFFERS)
            .block(block)
            .map_or(-1, |_| (block >> 16) as i32)
    })
}

/// `kd_mpi_vb_inquire_user_cnt`
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_vb_inquire_user_cnt(block: u32) -> i32 {
    answer(ILLEGAL_PARAM, || {
        lock(&BUFFERS)
            .block(block)
            .map_or(ILLEGAL_PARAM, |(pool, block)| pool.users[block] as i32)
    })
}

/// `kd_mpi_vb_get_supplement_attr`: there is no supplementary information in this memory.
///
/// # Safety
/// `supplement` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kd_mpi_vb_get_supplement_attr(
    block: u32,
    supplement: *mut k_video_supplement,
) -> i32 {
    status(NOTREADY, || {
        // SAFETY: null or valid.
        let supplement = unsafe { supplement.as_mut() }.ok_or(NULL_PTR)?;
        lock(&BUFFERS).block(block).ok_or(ILLEGAL_PARAM)?;
        *supplement = k_video_frame_info::ZERO.v_frame.supplement;
        Ok(())
    })
}

/// `kd_mpi_vb_set_supplement_config`
///
/// # Safety
/// `config` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kd_mpi_vb_set_supplement_config(
    config: *const k_vb_supplement_config,
) -> i32 {
    status(NOTREADY, || {
        // SAFETY: null or valid.
        let config = unsafe { config.as_ref() }.ok_or(NULL_PTR)?;
        if config.supplement_config & !SUPPLEMENTS != 0 {
            return Err(ILLEGAL_PARAM);
        }
        let mut buffers = lock(&BUFFERS);
        if buffers.initialised {
            return Err(BUSY);
        }
        buffers.supplement = *config;
        Ok(())
    })
}

/// `kd_mpi_vb_get_supplement_config`
///
/// # Safety
/// `config` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kd_mpi_vb_get_supplement_config(
    config: *mut k_vb_supplement_config,
) -> i32 {
    status(NOTREADY, || {
        // SAFETY: null or valid.
        *unsafe { config.as_mut() }.ok_or(NULL_PTR)? = lock(&BUFFERS).supplement;
        Ok(())
    })
}

/// `kd_mpi_vb_set_mod_pool_config`
///
/// # Safety
/// `config` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kd_mpi_vb_set_mod_pool_config(
    vb_uid: u32,
    config: *const k_vb_config,
) -> i32 {
    status(NOTREADY, || {
        // SAFETY: null or valid.
        let config = unsafe { config.as_ref() }.ok_or(NULL_PTR)?;
        if vb_uid >= VB_UID_BUTT {
            return Err(ILLEGAL_PARAM);
        }
        check_config(config)?;
        let mut buffers = lock(&BUFFERS);
        let created = |pool: &Pool| pool.owner == Owner::Module(vb_uid);
        if buffers.pools.iter().flatten().any(created) {
            return Err(BUSY);
        }
        buffers.module_config[vb_uid as usize] = Some(*config);
        Ok(())
    })
}

/// `kd_mpi_vb_get_mod_pool_config`
///
/// # Safety
/// `config` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kd_mpi_vb_get_mod_pool_config(
    vb_uid: u32,
    config: *mut k_vb_config,
) -> i32 {
    status(NOTREADY, || {
        // SAFETY: null or valid.
        let config = unsafe { config.as_mut() }.ok_or(NULL_PTR)?;
        let buffers = lock(&BUFFERS);
        let known = buffers
            .module_config
            .get(vb_uid as usize)
            .ok_or(ILLEGAL_PARAM)?;
        *config = known.ok_or(NOTREADY)?;
        Ok(())
    })
}

/// `kd_mpi_vb_init_mod_common_pool`
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_vb_init_mod_common_pool(vb_uid: u32) -> i32 {
    status(NOTREADY, || {
        let mut buffers = lock(&BUFFERS);
        let known = buffers
            .module_config
            .get(vb_uid as usize)
            .ok_or(ILLEGAL_PARAM)?;
        let config = known.ok_or(NOTREADY)?;
        if !buffers.initialised {
            return Err(NOTREADY);
        }
        let owner = Owner::Module(vb_uid);
        if buffers
            .pools
            .iter()
            .flatten()
            .any(|pool| pool.owner == owner)
        {
            return Ok(());
        }
        buffers.create_all(owner, &config)
    })
}

/// `kd_mpi_vb_exit_mod_common_pool`
#[unsafe(no_mangle)]
pub extern "C" fn kd_mpi_vb_exit_mod_common_pool(vb_uid: u32) -> i32 {
    status(NOTREADY, || {
        if vb_uid >= VB_UID_BUTT {
            return Err(ILLEGAL_PARAM);
        }
        let mut buffers = lock(&BUFFERS);
        if !buffers.initialised {
            return Err(NOTREADY);
        }
        let owner = Owner::Module(vb_uid);
        let used = |pool: &Pool| pool.owner == owner && pool.users.iter().any(|users| *users > 0);
        if buffers.pools.iter().flatten().any(used) {
            return Err(NOT_PERM);
        }
        buffers.remove(owner);
        buffers.module_config[vb_uid as usize] = None;
        Ok(())
    })
}
