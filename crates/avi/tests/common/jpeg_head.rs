// SPDX-License-Identifier: MIT OR Apache-2.0
//! All of a JPEG that is before its picture data.
#![allow(dead_code)]

/// The sampling of 4:2:0.
pub(crate) const HALVED: [(u8, u8); 3] = [(2, 2), (1, 1), (1, 1)];

/// A segment with its marker.
pub(crate) fn segment(marker: u8, data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u16 + 2).to_be_bytes();
    [&[0xff, marker], &length[..], data].concat()
}

/// A start marker, and the segments of a baseline picture whose components share one table of each
/// kind, as few codes as there can be in them.
pub(crate) fn jpeg_head(width: u16, height: u16, sampling: &[(u8, u8)]) -> Vec<u8> {
    let mut quantization = vec![1; 65];
    quantization[0] = 0;
    // A table has 16 counts, of codes of 1 bit here, and what each code stands for.
    let mut codes = vec![0; 2 * 18];
    codes[1] = 1;
    codes[18..20].copy_from_slice(&[0x10, 1]);
    let mut frame = vec![8];
    frame.extend(height.to_be_bytes());
    frame.extend(width.to_be_bytes());
    frame.push(sampling.len() as u8);
    let mut scan = vec![sampling.len() as u8];
    for (n, (h, v)) in (1..).zip(sampling) {
        frame.extend([n, h << 4 | v, 0]);
        scan.extend([n, 0]);
    }
    scan.extend([0, 63, 0]);
    [
        vec![0xff, 0xd8],
        segment(0xdb, &quantization),
        segment(0xc4, &codes),
        segment(0xc0, &frame),
        segment(0xda, &scan),
    ]
    .concat()
}
