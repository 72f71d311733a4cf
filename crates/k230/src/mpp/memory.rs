// SPDX-License-Identifier: MIT OR Apache-2.0
//! The library's memory: mappings, video buffer blocks, and where a picture's planes go in one.

use std::{
    ffi::c_void,
    ptr::{self, NonNull},
    slice,
    sync::Arc,
};

use crate::{ChannelAttr, Code, Error, abi::VB_INVALID_HANDLE, library::Library};

/// What a plane starts on (K230_视频编解码_API参考.md, 1.2.1.5).
const PLANE_ALIGNMENT: usize = 4096;

/// What the samples round widths up to (`VI_ALIGN_UP(width, 16)`).
const STRIDE_ALIGNMENT: usize = 16;

/// Memory of the device in this process' address space.
pub(super) struct Mapping<'a> {
    library: &'a Library,
    address: NonNull<u8>,
    len: u32,
}

impl<'a> Mapping<'a> {
    pub(super) fn new(library: &'a Library, physical: u64, len: u32) -> Result<Self, Error> {
        // SAFETY: any address may be asked for; the library answers null for one that is not its.
        let address = unsafe { (library.functions.kd_mpi_sys_mmap)(physical, len) };
        // MAP_FAILED is what mmap itself would have said.
        match NonNull::new(address.cast::<u8>()) {
            Some(address) if address.as_ptr().addr() != usize::MAX => Ok(Self {
                library,
                address,
                len,
            }),
            _ => Err(Error::refused(Code::BadAddr, "kd_mpi_sys_mmap")),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: the library mapped `len` bytes there until the drop below, and nothing writes
        // to a stream buffer before it is released.
        unsafe { slice::from_raw_parts(self.address.as_ptr(), self.len as usize) }
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above; the device does not read an input block before it is sent.
        unsafe { slice::from_raw_parts_mut(self.address.as_ptr(), self.len as usize) }
    }
}

impl Drop for Mapping<'_> {
    fn drop(&mut self) {
        // SAFETY: the address and length are those of the mapping, and no slice of it is left.
        unsafe {
            (self.library.functions.kd_mpi_sys_munmap)(
                self.address.as_ptr().cast::<c_void>(),
                self.len,
            )
        };
    }
}

/// A VB block of our input pool, given back when dropped.
pub(super) struct Block {
    library: Arc<Library>,
    handle: u32,
    pub(super) physical: u64,
}

impl Block {
    pub(super) fn get(library: &Arc<Library>, pool: u32, size: u64) -> Result<Self, Error> {
        // SAFETY: a null name is the default memory zone.
        let handle = unsafe { (library.functions.kd_mpi_vb_get_block)(pool, size, ptr::null()) };
        if handle == VB_INVALID_HANDLE {
            return Err(Error::refused(Code::NoBuf, "kd_mpi_vb_get_block"));
        }
        // SAFETY: the handle is a block's.
        let physical = unsafe { (library.functions.kd_mpi_vb_handle_to_phyaddr)(handle) };
        Ok(Self {
            library: library.clone(),
            handle,
            physical,
        })
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: the handle is ours and is given back once.
        unsafe { (self.library.functions.kd_mpi_vb_release_block)(self.handle) };
    }
}

/// Where the planes of an input picture go in a block.
pub(super) struct Layout {
    pub(super) strides: [usize; 3],
    pub(super) offsets: [usize; 3],
    pub(super) size: usize,
}

impl Layout {
    pub(super) fn of(attr: &ChannelAttr) -> Self {
        let mut layout = Self {
            strides: [0; 3],
            offsets: [0; 3],
            size: 0,
        };
        for plane in 0..attr.format.planes() {
            let row = attr.format.row_bytes(plane, attr.width);
            layout.strides[plane] = row.next_multiple_of(STRIDE_ALIGNMENT);
            layout.offsets[plane] = layout.size;
            layout.size += (layout.strides[plane] * attr.format.rows(plane, attr.height))
                .next_multiple_of(PLANE_ALIGNMENT);
        }
        layout
    }
}
