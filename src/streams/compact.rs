// SPDX-License-Identifier: MIT OR Apache-2.0
//! Buffers that are as large as what is in them.

/// What a buffer may have in reserve beside as much again as it holds: less is not worth a copy.
const RESERVE: usize = 16 << 10;

/// Whether a buffer keeps much more memory than it uses. `jpegenc` takes as much as the raw picture
/// has, 18 times what its JPEG needs, and hands it on whole.
pub(crate) fn is_spacious(buffer: &gst::BufferRef) -> bool {
    let kept: usize = buffer.iter_memories().map(|memory| memory.maxsize()).sum();
    kept > RESERVE && (kept - RESERVE) / 2 > buffer.size()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_uses_a_part_of_its_memory_is_spacious() {
        gst::init().unwrap();
        for (kept, used, spacious) in [
            (460_800, 25_000, true),
            (460_800, 460_800, false),
            (50_000, 25_000, false),
            (4096, 10, false),
            (0, 0, false),
        ] {
            let mut buffer = gst::Buffer::with_size(kept).unwrap();
            buffer.get_mut().unwrap().set_size(used);
            assert_eq!(is_spacious(&buffer), spacious, "{used} of {kept}");
            let copy = buffer.copy_deep().unwrap();
            assert!(!is_spacious(&copy), "{used} of {kept}");
        }
    }
}
