// SPDX-License-Identifier: MIT OR Apache-2.0
//! The chip's memory: a range of addresses that the programs call physical, and its mapping.
//!
//! The whole range is mapped once, without pages until they are touched, so a mapping of a part is
//! an addition and the same part has the same address each time. Addresses stay below 4 GiB, as
//! programs keep them in `k_u32` here and there.

use std::{
    collections::BTreeMap,
    ptr::{self, NonNull},
    sync::{LazyLock, Mutex},
};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous};

use crate::ffi::lock;

/// Where the memory begins, which is where the K230's does.
const BASE: u64 = 0x1000_0000;
/// How much there is; pages cost nothing until touched. A process of 32 bits has no 2 GiB of addresses in one piece, unless
/// it does nothing else.
const SIZE: u64 = if cfg!(target_pointer_width = "64") {
    2 << 30
} else {
    256 << 20
};
const PAGE: u64 = 4096;

#[derive(Clone, Copy)]
struct Region {
    len: u64,
    cached: bool,
}

struct Memory {
    start: NonNull<u8>,
    regions: BTreeMap<u64, Region>,
}

// SAFETY: the pointer is to a mapping that lives as long as the process.
unsafe impl Send for Memory {}

static MEMORY: LazyLock<Mutex<Option<Memory>>> = LazyLock::new(|| {
    // SAFETY: a fresh anonymous mapping, wherever there is room.
    let start = unsafe {
        mmap_anonymous(
            ptr::null_mut(),
            SIZE as usize,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE | MapFlags::NORESERVE,
        )
    };
    let start = start.ok().and_then(|start| NonNull::new(start.cast()));
    Mutex::new(start.map(|start| Memory {
        start,
        regions: BTreeMap::new(),
    }))
});

impl Memory {
    fn covers(&self, physical: u64, len: u64) -> bool {
        self.regions
            .range(..=physical)
            .next_back()
            .is_some_and(|(start, region)| {
                physical
                    .checked_add(len)
                    .is_some_and(|end| end <= start + region.len)
            })
    }
}

/// Takes `len` bytes on a page boundary, zeroed. `None` when there is no room.
pub fn allocate(len: u64, cached: bool) -> Option<u64> {
    let len = len.max(1).checked_next_multiple_of(PAGE)?;
    let mut memory = lock(&MEMORY);
    let memory = memory.as_mut()?;
    let mut at = BASE;
    for (start, region) in &memory.regions {
        if start - at >= len {
            break;
        }
        at = start + region.len;
    }
    if at + len > BASE + SIZE {
        return None;
    }
    memory.regions.insert(at, Region { len, cached });
    Some(at)
}

/// Gives back what [`allocate`] gave. False if it did not.
pub fn free(physical: u64) -> bool {
    let mut memory = lock(&MEMORY);
    let Some(memory) = memory.as_mut() else {
        return false;
    };
    let Some(region) = memory.regions.remove(&physical) else {
        return false;
    };
    // SAFETY: the range lies in the mapping; its pages read as zero afterwards.
    let freed = unsafe {
        madvise(
            memory.start.as_ptr().add((physical - BASE) as usize).cast(),
            region.len as usize,
            Advice::LinuxDontNeed,
        )
    };
    freed.is_ok()
}

/// Where `len` bytes at a physical address are mapped. `None` unless all are allocated.
pub fn map(physical: u64, len: u64) -> Option<NonNull<u8>> {
    let memory = lock(&MEMORY);
    let memory = memory.as_ref()?;
    if !memory.covers(physical, len) {
        return None;
    }
    // SAFETY: the offset is inside the mapping.
    Some(unsafe { memory.start.add((physical - BASE) as usize) })
}

/// The physical address and whether it is cached of what is mapped at `address`.
pub fn physical(address: *const u8) -> Option<(u64, bool)> {
    let memory = lock(&MEMORY);
    let memory = memory.as_ref()?;
    let offset = address.addr().checked_sub(memory.start.as_ptr().addr())? as u64;
    let physical = BASE.checked_add(offset)?;
    let (start, region) = memory.regions.range(..=physical).next_back()?;
    (physical < start + region.len).then_some((physical, region.cached))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allocated_can_be_mapped_and_nothing_else() {
        let a = allocate(5000, false).expect("room");
        assert_eq!(a % PAGE, 0);
        let at = map(a, 5000).expect("allocated");
        assert!(map(a, 8192).is_some() && map(a, 8193).is_none());
        assert_eq!(physical(at.as_ptr()), Some((a, false)));
        assert!(map(1, 1).is_none() && map(u64::MAX, 2).is_none());
        let b = allocate(1, true).expect("room");
        assert_ne!(a, b);
        assert!(free(a) && !free(a));
        assert!(map(a, 1).is_none());
        assert!(allocate(SIZE + 1, false).is_none() && allocate(u64::MAX, false).is_none());
        assert!(free(b));
    }
}
