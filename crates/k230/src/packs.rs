// SPDX-License-Identifier: MIT OR Apache-2.0
//! Splits an encoded frame into the packs that VENC would deliver.
//!
//! VENC hands out the parameter sets as a header pack of their own and the picture as an I or a
//! P pack. Software encoders put them into one access unit; here is where the cut goes.

use super::{Codec, Pack, PackKind};

/// The type of a NAL unit by its first byte (H.264 7.3.1, H.265 7.3.1.2); a JPEG has none.
pub(crate) fn unit_type(codec: Codec, first: u8) -> Option<u8> {
    match codec {
        Codec::H264 => Some(first & 0x1f),
        Codec::H265 => Some((first >> 1) & 0x3f),
        Codec::Jpeg => None,
    }
}

/// NAL unit types that carry picture (ITU-T H.264 table 7-1, H.265 table 7-1), whether such a
/// picture starts a GOP, and those of parameter sets and access unit delimiters.
fn classify(codec: Codec, first: u8) -> Nal {
    match (codec, unit_type(codec, first)) {
        (Codec::H264, Some(5)) | (Codec::H265, Some(16..=23)) | (_, None) => {
            Nal::Picture { key: true }
        }
        (Codec::H264, Some(1..=4)) | (Codec::H265, Some(0..=31)) => Nal::Picture { key: false },
        (Codec::H264, Some(7 | 8)) | (Codec::H265, Some(32..=34)) => Nal::ParameterSet,
        (Codec::H264, Some(9)) | (Codec::H265, Some(35)) => Nal::Delimiter,
        _ => Nal::Other,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Nal {
    Picture {
        key: bool,
    },
    ParameterSet,
    /// Of access units.
    Delimiter,
    Other,
}

/// The first start code at or after `from`: where it begins (its leading zero included) and where
/// the NAL unit after it begins.
fn start_code(data: &[u8], from: usize) -> Option<(usize, usize)> {
    let at = from
        + data
            .get(from..)?
            .windows(3)
            .position(|bytes| bytes == [0, 0, 1])?;
    let begin = if at > from && data[at - 1] == 0 {
        at - 1
    } else {
        at
    };
    Some((begin, at + 3))
}

/// The packs of the access unit `data`. Everything before the first slice is the header pack if
/// a parameter set is among it, else part of the picture's pack. Only the bytes before the first
/// slice are looked at.
pub fn split(codec: Codec, data: &[u8]) -> Vec<Pack> {
    let whole = |kind| {
        vec![Pack {
            kind,
            len: data.len(),
        }]
    };
    if codec == Codec::Jpeg {
        return whole(PackKind::I);
    }
    let mut has_parameter_sets = false;
    let mut position = 0;
    while let Some((begin, nal)) = start_code(data, position) {
        let Some(first) = data.get(nal) else { break };
        match classify(codec, *first) {
            Nal::Picture { key } => {
                let kind = if key { PackKind::I } else { PackKind::P };
                if !has_parameter_sets || begin == 0 {
                    return whole(kind);
                }
                return vec![
                    Pack {
                        kind: PackKind::Header,
                        len: begin,
                    },
                    Pack {
                        kind,
                        len: data.len() - begin,
                    },
                ];
            }
            Nal::ParameterSet => has_parameter_sets = true,
            Nal::Delimiter | Nal::Other => {}
        }
        position = nal;
    }
    whole(if has_parameter_sets {
        PackKind::Header
    } else {
        PackKind::P
    })
}

/// The parameter sets of a stream, for encoders that send them once or in a buffer of their own: they
/// are to stand before each key picture.
#[derive(Debug, Default)]
pub struct ParameterSets {
    /// Those that came by themselves and whose picture has not.
    pending: Vec<u8>,
    /// The last ones.
    last: Vec<u8>,
}

impl ParameterSets {
    /// Takes parameter sets that came in a buffer of their own.
    pub fn announce(&mut self, sets: impl IntoIterator<Item = u8>) {
        self.pending.extend(sets);
    }

    /// Forgets those whose picture will not come.
    pub fn forget_announced(&mut self) {
        self.pending.clear();
    }

    /// The packs of an access unit, and the parameter sets that are to stand in front of it: none if it
    /// has its own or begins no GOP. A header pack for them is among the packs.
    pub fn complete(&mut self, codec: Codec, unit: &[u8]) -> (Vec<Pack>, &[u8]) {
        let mut packs = split(codec, unit);
        match packs.first() {
            Some(Pack {
                kind: PackKind::Header,
                len,
            }) => {
                let own = unit.get(..*len).unwrap_or_default();
                if self.last != own {
                    self.last = own.to_vec();
                }
                self.pending.clear();
                (packs, &[])
            }
            Some(Pack {
                kind: PackKind::I, ..
            }) if codec != Codec::Jpeg => {
                if !self.pending.is_empty() {
                    self.last = std::mem::take(&mut self.pending);
                }
                if !self.last.is_empty() {
                    let header = Pack {
                        kind: PackKind::Header,
                        len: self.last.len(),
                    };
                    packs.insert(0, header);
                }
                (packs, &self.last)
            }
            // Those in front of another picture wait for the next key picture.
            _ => (packs, &[]),
        }
    }
}

/// The part of an access unit that its parameter sets span, if it has any and something follows
/// them: without that it is not certain that they are whole. Only the first `reach` bytes are
/// looked at, and nothing from the first slice on.
pub fn parameter_sets(codec: Codec, unit: &[u8], reach: usize) -> Option<std::ops::Range<usize>> {
    let data = unit.get(..reach).unwrap_or(unit);
    let (mut from, mut to) = (None, None);
    let mut position = 0;
    while let Some((begin, nal)) = start_code(data, position) {
        let kind = classify(codec, *data.get(nal)?);
        if kind == Nal::ParameterSet {
            from.get_or_insert(begin);
            to = None;
        } else if from.is_some() {
            to.get_or_insert(begin);
        }
        if matches!(kind, Nal::Picture { .. }) {
            break;
        }
        position = nal;
    }
    Some(from?..to?)
}

/// Whether nothing behind the key picture in an access unit needs what came before it: it is an IDR
/// (or, in H.265, breaks the link to what came before). `None` if no picture begins in `unit`, of
/// which the first `reach` bytes are looked at.
pub fn refreshes(codec: Codec, unit: &[u8], reach: usize) -> Option<bool> {
    let data = unit.get(..reach).unwrap_or(unit);
    let mut position = 0;
    while let Some((_, nal)) = start_code(data, position) {
        if let Some(refreshes) = picture_refreshes(codec, *data.get(nal)?) {
            return Some(refreshes);
        }
        position = nal;
    }
    None
}

/// The same of a NAL unit by its first byte; `None` if it is of no picture.
pub fn picture_refreshes(codec: Codec, first: u8) -> Option<bool> {
    match classify(codec, first) {
        // CRA: its leading pictures need what came before.
        Nal::Picture { key } => {
            Some(key && (codec, unit_type(codec, first)) != (Codec::H265, Some(21)))
        }
        _ => None,
    }
}

/// How many bytes at the beginning of an access unit are its delimiter, as far as it is followed by
/// something: 0 if it begins with something else.
pub fn delimiter(codec: Codec, unit: &[u8]) -> usize {
    let first = start_code(unit, 0).filter(|(begin, _)| *begin == 0);
    let kind = first.and_then(|(_, nal)| Some((classify(codec, *unit.get(nal)?), nal)));
    match kind {
        Some((Nal::Delimiter, nal)) => start_code(unit, nal).map_or(0, |(next, _)| next),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_sets_are_found() {
        let sets = |codec, unit: &[u8]| parameter_sets(codec, unit, 1024);
        let unit = [
            0, 0, 0, 1, 9, 0xf0, // access unit delimiter
            0, 0, 0, 1, 0x67, 1, 2, 3, // SPS
            0, 0, 1, 0x68, 4, // PPS
            0, 0, 1, 0x65, 5, 6, 7, // IDR slice
        ];
        assert_eq!(sets(Codec::H264, &unit), Some(6..19));
        assert_eq!(sets(Codec::H264, &unit[19..]), None);
        assert_eq!(sets(Codec::H264, &unit[..17]), None);
        assert_eq!(sets(Codec::H264, &[]), None);
        assert_eq!(parameter_sets(Codec::H264, &unit, 18), None);
        let unit = [
            0, 0, 0, 1, 0x40, 1, 9, 0, 0, 1, 0x42, 1, 0, 0, 0, 1, 0x26, 1, 2,
        ];
        assert_eq!(sets(Codec::H265, &unit), Some(0..12));
    }

    #[test]
    fn an_idr_is_told_from_other_key_pictures() {
        let unit = [0, 0, 0, 1, 0x67, 1, 2, 3, 0, 0, 1, 0x65, 5];
        assert_eq!(refreshes(Codec::H264, &unit, 1024), Some(true));
        assert_eq!(refreshes(Codec::H264, &unit, 11), None);
        let unit = [0, 0, 0, 1, 0x06, 6, 0x80, 0, 0, 1, 0x41, 5];
        assert_eq!(refreshes(Codec::H264, &unit, 1024), Some(false));
        let picture = |kind: u8| refreshes(Codec::H265, &[0, 0, 1, kind << 1, 1, 2], 1024);
        assert_eq!(picture(19), Some(true));
        assert_eq!(picture(21), Some(false));
        assert_eq!(picture(1), Some(false));
        assert_eq!(picture(34), None);
    }

    #[test]
    fn a_delimiter_is_found_in_front() {
        let unit = [0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1, 0x65, 5];
        assert_eq!(delimiter(Codec::H264, &unit), 6);
        assert_eq!(delimiter(Codec::H264, &unit[1..]), 5);
        assert_eq!(delimiter(Codec::H264, &unit[6..]), 0);
        assert_eq!(delimiter(Codec::H264, &unit[..6]), 0);
        assert_eq!(delimiter(Codec::H264, &[]), 0);
        let unit = [0, 0, 0, 1, 0x46, 1, 0x50, 0, 0, 0, 1, 0x2a, 1, 9];
        assert_eq!(delimiter(Codec::H265, &unit), 7);
        assert_eq!(delimiter(Codec::Jpeg, &unit), 0);
    }

    fn kinds(codec: Codec, data: &[u8]) -> Vec<(PackKind, usize)> {
        split(codec, data).iter().map(|p| (p.kind, p.len)).collect()
    }

    #[test]
    fn parameter_sets_are_a_pack_of_their_own() {
        let idr = [
            0, 0, 0, 1, 0x67, 1, 2, 0, 0, 0, 1, 0x68, 3, 0, 0, 1, 0x65, 9, 9,
        ];
        assert_eq!(
            kinds(Codec::H264, &idr),
            [(PackKind::Header, 13), (PackKind::I, 6)]
        );
        let p = [0, 0, 0, 1, 0x41, 9, 9];
        assert_eq!(kinds(Codec::H264, &p), [(PackKind::P, 7)]);
        // VPS, SPS, PPS, then IDR_N_LP.
        let idr = [
            0, 0, 0, 1, 0x40, 1, 0, 0, 0, 1, 0x42, 1, 0, 0, 0, 1, 0x44, 1, 0, 0, 1, 0x28, 1, 7,
        ];
        assert_eq!(
            kinds(Codec::H265, &idr),
            [(PackKind::Header, 18), (PackKind::I, 6)]
        );
        assert_eq!(
            kinds(Codec::H265, &[0, 0, 1, 0x02, 1, 7]),
            [(PackKind::P, 6)]
        );
        assert_eq!(kinds(Codec::Jpeg, &[0xff, 0xd8]), [(PackKind::I, 2)]);
    }

    #[test]
    fn a_delimiter_alone_makes_no_header_pack() {
        let p = [0, 0, 0, 1, 0x09, 0x30, 0, 0, 0, 1, 0x41, 9];
        assert_eq!(kinds(Codec::H264, &p), [(PackKind::P, 12)]);
        assert_eq!(
            kinds(Codec::H264, &[0, 0, 1, 0x67, 1]),
            [(PackKind::Header, 5)]
        );
        assert_eq!(kinds(Codec::H264, &[]), [(PackKind::P, 0)]);
        assert_eq!(kinds(Codec::H264, &[0, 0, 1]), [(PackKind::P, 3)]);
    }
}
