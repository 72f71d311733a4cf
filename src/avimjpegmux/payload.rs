// SPDX-License-Identifier: MIT OR Apache-2.0
//! Buffers as the recorder's payloads, without a copy.

use avi_mjpeg::recorder::Payload;

/// A buffer's bytes; its metadata mean nothing here.
#[derive(Debug, Clone, Default)]
pub(super) struct Bytes(pub gst::Buffer);

impl Payload for Bytes {
    fn len(&self) -> usize {
        self.0.size()
    }

    fn look<R>(&self, look: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let map = self.0.map_readable().ok()?;
        Some(look(&map))
    }

    fn take_first(&mut self, n: usize) -> Option<Self> {
        let n = n.min(self.0.size());
        if n == self.0.size() {
            return Some(std::mem::take(self));
        }
        let flags = gst::BufferCopyFlags::MEMORY;
        let first = self.0.copy_region(flags, ..n).ok()?;
        self.0 = self.0.copy_region(flags, n..).ok()?;
        Some(Self(first))
    }

    fn append(&mut self, more: Self) {
        // The reference to a buffer that is shared goes to one of our own.
        self.0.append(more.0);
    }

    fn from_vec(bytes: Vec<u8>) -> Self {
        Self(gst::Buffer::from_slice(bytes))
    }
}
