// SPDX-License-Identifier: MIT OR Apache-2.0
//! How far pictures come from the order in which they are shown, by the sequence parameter sets of H.264 and H.265.
//!
//! What brings pictures with times of presentation only (RTP does) leaves it to the receiver to find out when they are
//! decoded, which files with both times need.

use super::Codec;
use super::packs::unit_type;

/// As many pictures as H.264 and H.265 may reorder.
const MOST: u32 = 16;

/// Profiles of H.264 whose parameter sets say the format of chroma (7.3.2.1.1).
const WITH_CHROMA: [u32; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

/// How many pictures may come before one and be shown after it, by the sequence parameter set among these NAL units
/// (behind start codes). `None` where none of them says so: encoders of H.264 need not.
pub fn depth(codec: Codec, units: &[u8]) -> Option<u8> {
    let mut rest = units;
    while let Some(at) = rest.windows(3).position(|bytes| bytes == [0, 0, 1]) {
        rest = rest.get(at.checked_add(3)?..)?;
        let end = rest.windows(3).position(|it| matches!(it, [0, 0, 0 | 1]));
        let unit = rest.get(..end.unwrap_or(rest.len()))?;
        if let Some(depth) = depth_of(codec, unit) {
            return Some(depth);
        }
    }
    None
}

/// The same of a single NAL unit.
pub fn depth_of(codec: Codec, unit: &[u8]) -> Option<u8> {
    let first = *unit.first()?;
    let found = match (codec, unit_type(codec, first)) {
        (Codec::H264, Some(7)) => h264(&mut Bits::new(unit.get(1..)?)),
        (Codec::H265, Some(33)) => h265(&mut Bits::new(unit.get(2..)?)),
        _ => None,
    }?;
    u8::try_from(found.min(MOST)).ok()
}

/// 7.3.2.1.1 and E.1.1 of H.264.
fn h264(bits: &mut Bits<'_>) -> Option<u32> {
    let profile = bits.take(8)?;
    let constraints = bits.take(8)?;
    bits.take(8)?;
    bits.golomb()?;
    if profile == 66 || (profile == 88 && constraints & 0x80 != 0) {
        // No B slices.
        return Some(0);
    }
    if WITH_CHROMA.contains(&profile) {
        let chroma = bits.golomb()?;
        if chroma == 3 {
            bits.take(1)?;
        }
        bits.golomb()?;
        bits.golomb()?;
        bits.take(1)?;
        if bits.flag()? {
            for list in 0..if chroma == 3 { 12 } else { 8 } {
                if bits.flag()? {
                    bits.skip_scaling_list(if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    bits.golomb()?;
    match bits.golomb()? {
        0 => {
            bits.golomb()?;
        }
        1 => {
            bits.take(1)?;
            bits.golomb()?;
            bits.golomb()?;
            for _ in 0..bits.golomb()?.min(255) {
                bits.golomb()?;
            }
        }
        // They are shown in the order in which they come.
        _ => return Some(0),
    }
    bits.golomb()?;
    bits.take(1)?;
    bits.golomb()?;
    bits.golomb()?;
    if !bits.flag()? {
        bits.take(1)?;
    }
    bits.take(1)?;
    if bits.flag()? {
        for _ in 0..4 {
            bits.golomb()?;
        }
    }
    if !bits.flag()? {
        return None;
    }
    reordered_by_vui(bits)
}

/// `max_num_reorder_frames` of H.264's video usability information.
fn reordered_by_vui(bits: &mut Bits<'_>) -> Option<u32> {
    const EXTENDED_SAR: u32 = 255;
    if bits.flag()? && bits.take(8)? == EXTENDED_SAR {
        bits.take(32)?;
    }
    if bits.flag()? {
        bits.take(1)?;
    }
    if bits.flag()? {
        bits.take(4)?;
        if bits.flag()? {
            bits.take(24)?;
        }
    }
    if bits.flag()? {
        bits.golomb()?;
        bits.golomb()?;
    }
    if bits.flag()? {
        bits.take(32)?;
        bits.take(32)?;
        bits.take(1)?;
    }
    let mut has_decoder = false;
    for _ in 0..2 {
        if bits.flag()? {
            has_decoder = true;
            let count = bits.golomb()?.min(31);
            bits.take(8)?;
            for _ in 0..=count {
                bits.golomb()?;
                bits.golomb()?;
                bits.take(1)?;
            }
            bits.take(20)?;
        }
    }
    if has_decoder {
        bits.take(1)?;
    }
    bits.take(1)?;
    if !bits.flag()? {
        return None;
    }
    bits.take(1)?;
    for _ in 0..4 {
        bits.golomb()?;
    }
    bits.golomb()
}

/// 7.3.2.2.1 of H.265: `sps_max_num_reorder_pics` of the highest layer.
fn h265(bits: &mut Bits<'_>) -> Option<u32> {
    bits.take(4)?;
    let layers = bits.take(3)?;
    bits.take(1)?;
    // General profile and level, and those of the layers.
    bits.take(32)?;
    bits.take(32)?;
    bits.take(32)?;
    let mut present = Vec::new();
    for _ in 0..layers {
        present.push((bits.flag()?, bits.flag()?));
    }
    if layers > 0 {
        bits.take(2 * (8 - layers))?;
    }
    for (profile, level) in present {
        if profile {
            bits.take(32)?;
            bits.take(32)?;
            bits.take(24)?;
        }
        if level {
            bits.take(8)?;
        }
    }
    bits.golomb()?;
    if bits.golomb()? == 3 {
        bits.take(1)?;
    }
    bits.golomb()?;
    bits.golomb()?;
    if bits.flag()? {
        for _ in 0..4 {
            bits.golomb()?;
        }
    }
    for _ in 0..3 {
        bits.golomb()?;
    }
    let all = bits.flag()?;
    let mut reordered = 0;
    for _ in 0..=if all { layers } else { 0 } {
        bits.golomb()?;
        reordered = bits.golomb()?;
        bits.golomb()?;
    }
    Some(reordered)
}

/// The bits of a NAL unit, without the bytes that keep start codes out of it.
struct Bits<'a> {
    rest: &'a [u8],
    zeros: u8,
    byte: u8,
    left: u32,
}

impl<'a> Bits<'a> {
    fn new(rest: &'a [u8]) -> Self {
        Self {
            rest,
            zeros: 0,
            byte: 0,
            left: 0,
        }
    }

    fn next_byte(&mut self) -> Option<u8> {
        let (mut byte, mut rest) = self.rest.split_first()?;
        if self.zeros >= 2 && *byte == 3 {
            self.zeros = 0;
            (byte, rest) = rest.split_first()?;
        }
        self.rest = rest;
        self.zeros = if *byte == 0 { self.zeros + 1 } else { 0 };
        Some(*byte)
    }

    fn flag(&mut self) -> Option<bool> {
        if self.left == 0 {
            self.byte = self.next_byte()?;
            self.left = 8;
        }
        self.left -= 1;
        Some(self.byte >> self.left & 1 == 1)
    }

    fn take(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            value = value << 1 | u32::from(self.flag()?);
        }
        Some(value)
    }

    /// 9.1 of H.264: an unsigned number, or the bits of a signed one.
    fn golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        let rest = self.take(zeros)?;
        (1u32 << zeros).checked_add(rest)?.checked_sub(1)
    }

    fn skip_scaling_list(&mut self, size: u32) -> Option<()> {
        let (mut last, mut next) = (8i64, 8i64);
        for _ in 0..size {
            if next != 0 {
                let code = i64::from(self.golomb()?);
                let delta = if code % 2 == 1 {
                    (code + 1) / 2
                } else {
                    -(code / 2)
                };
                next = (last + delta).rem_euclid(256);
            }
            last = if next == 0 { last } else { next };
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sequence parameter sets of x264, x265 and OpenH264, and `has_b_frames` as ffprobe has it.
    const SETS: &[(Codec, &str, Option<u8>)] = &[
        (
            Codec::H264,
            "6742c015da109b016a0c0c0d4a000003000200000300651e2c5d40",
            Some(0),
        ),
        (Codec::H264, "6742d00b8c8d4212403c2211a8", Some(0)),
        (
            Codec::H264,
            "674d4015eca213602d418181a940000003004000000ca3c58b6580",
            Some(2),
        ),
        // With buffering for a constant bit rate.
        (
            Codec::H264,
            "674d400deca213602d418181a940000003004000000cb808007a1000124fe2830078a14cb0",
            Some(2),
        ),
        // With scaling matrices.
        (
            Codec::H264,
            "67640014acd94426c05a83030352800000030080000019478a14cb",
            Some(2),
        ),
        // The first without its usability information: the last bit in use is `vui_parameters_present_flag`.
        (Codec::H264, "674d4015eca21290", None),
        (
            Codec::H265,
            "42010101600000030090000003000003003fa020810596e92930bffc00040005a83030302000000300200000030321",
            Some(0),
        ),
        (
            Codec::H265,
            "42010101600000030090000003000003003fa0208105964444a4c2fff000100016a0c0c0c080000003008000000c84",
            Some(1),
        ),
        (
            Codec::H265,
            "42010101600000030090000003000003003fa0208105965654a4c2fff000100016a0c0c0c080000003008000000c84",
            Some(2),
        ),
    ];

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex
            .bytes()
            .filter_map(|digit| char::from(digit).to_digit(16))
            .map(|digit| digit as u8)
            .collect();
        digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect()
    }

    #[test]
    fn encoders_say_how_far_they_reorder() {
        for (codec, hex, expected) in SETS {
            let set = bytes(hex);
            let units = [
                &[0, 0, 0, 1, 9, 0xf0, 0, 0, 1][..],
                &set,
                &[0, 0, 1, 0x68, 1],
            ]
            .concat();
            assert_eq!(depth(*codec, &units), *expected, "{hex}");
            // Whatever is cut off is nothing that is known, and no panic.
            for end in 0..set.len() {
                let _ = depth_of(*codec, &set[..end]);
            }
        }
        assert_eq!(depth(Codec::H264, &[0, 0, 1, 0x65, 1, 2, 3]), None);
        assert_eq!(depth(Codec::H265, &[0, 0, 1]), None);
        assert_eq!(depth_of(Codec::Jpeg, &[0xff]), None);
    }
}
