// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which pictures picojpeg decodes, by which MaixPy's player shows frames
//! (`components/micropython/port/src/omv/img/picojpeg.c` in `sipeed/MaixPy-v1`).
//!
//! It knows two tables of each kind, one scan, and luma that is sampled up to twice as finely as
//! chroma. Of others `pjpeg_decode_init` says no; `picojpeg_util_read` then returns 0 all
//! the same, and the player goes on without a picture. Where `pjpeg_decode_mcu` fails, amid a
//! picture, playback ends.

#![warn(clippy::indexing_slicing)]

use super::jpeg::scan::{Bits, Code, Codes};
use super::jpeg::{JpegError, Segment, Segments};

#[cfg(test)]
#[path = "../tests/common/jpeg_head.rs"]
pub(super) mod jpeg_head;

/// Tables of each kind that the decoder has.
const TABLES: usize = 2;

/// Codes that its tables for DC have room for (`getMaxHuffCodes`).
const MAX_DC_CODES: usize = 12;

/// Lines and columns that it takes at most.
const MAX_SIZE: u16 = 16384;

/// Why the decoder does not take a picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its segments are broken.
    #[error(transparent)]
    NotJpeg(#[from] JpegError),
    /// So many components.
    #[error("it has {0} components, not 1 or 3")]
    Components(usize),
    /// Each component's horizontal and vertical sampling factors.
    #[error("its components are sampled {}, not 1x1 or 1x1, 2x1, 1x2 or 2x2 with 1x1 and 1x1", list(.0))]
    Sampling(Vec<(u8, u8)>),
    /// It is too large.
    #[error("it is of {width}x{height}, beyond {MAX_SIZE}")]
    Size {
        /// Pixels.
        width: u16,
        /// Lines.
        height: u16,
    },
    /// A table has a number beyond 1.
    #[error("it has a {kind} table {number}, not only 0 and 1")]
    TableNumber {
        /// Which kind of table.
        kind: &'static str,
        /// Its number.
        number: u8,
    },
    /// A Huffman table is for neither DC (0) nor AC (1).
    #[error("it has a Huffman table of class {0}, not only 0 and 1")]
    TableClass(u8),
    /// A table is used that was not defined.
    #[error("it is without {kind} table {number}")]
    NoTable {
        /// Which kind of table.
        kind: &'static str,
        /// Its number.
        number: u8,
    },
    /// So many codes in a table for DC.
    #[error("its Huffman table for DC has {0} codes, more than {MAX_DC_CODES}")]
    TooManyCodes(usize),
    /// The first scan has not all components.
    #[error("its components are in several scans")]
    Scans,
    /// This marker.
    #[error("it has a marker FF{0:02X} before its picture data")]
    Marker(u8),
    /// A block, or a restart marker, is not as it should be.
    #[error("it is damaged: the decoder stops after {unit} of {units} units")]
    Damaged {
        /// Units before it.
        unit: u16,
        /// Units of the picture.
        units: u16,
    },
}

fn list(sampling: &[(u8, u8)]) -> String {
    let each: Vec<_> = sampling.iter().map(|(h, v)| format!("{h}x{v}")).collect();
    each.join(", ")
}

/// The tables of one kind that were defined.
struct Tables<T> {
    kind: &'static str,
    defined: [Option<T>; TABLES],
}

impl<T> Tables<T> {
    fn new(kind: &'static str) -> Self {
        Self {
            kind,
            defined: [const { None }; TABLES],
        }
    }

    fn define(&mut self, number: u8, table: T) -> Result<(), Refusal> {
        let kind = self.kind;
        let slot = self.defined.get_mut(usize::from(number));
        *slot.ok_or(Refusal::TableNumber { kind, number })? = Some(table);
        Ok(())
    }

    fn get(&self, number: u8) -> Result<&T, Refusal> {
        let kind = self.kind;
        let slot = self.defined.get(usize::from(number));
        let slot = slot.ok_or(Refusal::TableNumber { kind, number })?;
        slot.as_ref().ok_or(Refusal::NoTable { kind, number })
    }
}

/// A picture's data, read as the decoder reads them.
struct Scan<'a> {
    data: &'a [u8],
    bits: Bits<'a>,
}

impl<'a> Scan<'a> {
    fn new(data: &'a [u8], start: usize) -> Self {
        let bits = Bits::new(data, start);
        Self { data, bits }
    }

    /// Reads a code and what belongs to it; how many coefficients that is.
    #[inline]
    fn step(&mut self, table: &Codes<'_>) -> u8 {
        self.bits.fill();
        let Code { bits, step, .. } = table.decode(self.bits.peek());
        self.bits.skip(u32::from(bits));
        step
    }

    /// Reads a block as `decodeNextMCU` does; whether it has no more coefficients than there are.
    fn block(&mut self, dc: &Codes<'_>, ac: &Codes<'_>) -> bool {
        self.step(dc);
        let mut k = 1;
        while k < 64 {
            k += self.step(ac);
        }
        k == 64 || k >= Code::END
    }

    /// Reads a unit of the first component's blocks and one of each of the others; whether all are sound.
    fn unit(&mut self, tables: &[(&Codes<'_>, &Codes<'_>)], first: u8) -> bool {
        let blocks = std::iter::once(first).chain(std::iter::repeat(1));
        let mut each = tables.iter().zip(blocks);
        each.all(|((dc, ac), blocks)| (0..blocks).all(|_| self.block(dc, ac)))
    }

    /// `processRestart`: whether the marker is there, or not far away.
    fn restart(&mut self, marker: u8) -> bool {
        const FAR: usize = 1536;
        let at = self.bits.reached();
        let mut near = self.data.iter().enumerate().skip(at).take(FAR + 1);
        let mut before = near.by_ref().skip_while(|(_, byte)| **byte != 0xff);
        match before.find(|(_, byte)| **byte != 0xff) {
            Some((end, byte)) if *byte == marker => {
                *self = Self::new(self.data, end + 1);
                true
            }
            _ => false,
        }
    }
}

/// The restart marker that is before a unit, if the picture has them every so many units.
fn restart_marker(unit: u16, interval: u16) -> Option<u8> {
    let nth = unit.checked_div(interval).filter(|nth| *nth > 0)?;
    unit.is_multiple_of(interval)
        .then(|| 0xd0 + ((nth - 1) % 8) as u8)
}

/// What the decoder knows of a picture by its segments.
struct Picture<'a> {
    quantization: Tables<()>,
    dc: Tables<Codes<'a>>,
    ac: Tables<Codes<'a>>,
    /// Each component's name and quantization table.
    components: Vec<(u8, u8)>,
    /// Units of the picture, and blocks of the first component in one.
    units: u16,
    luma_blocks: u8,
    /// Units between two restart markers; 0 if there are none.
    restart_interval: u16,
}

const SHORT: Refusal = Refusal::NotJpeg(JpegError::Truncated);

impl<'a> Picture<'a> {
    fn new() -> Self {
        Self {
            quantization: Tables::new("quantization"),
            dc: Tables::new("DC Huffman"),
            ac: Tables::new("AC Huffman"),
            components: Vec::new(),
            units: 0,
            luma_blocks: 1,
            restart_interval: 0,
        }
    }

    /// `DQT`
    fn quantization(&mut self, mut left: &[u8]) -> Result<(), Refusal> {
        while let [head, rest @ ..] = left {
            self.quantization.define(head & 15, ())?;
            let size = if head >> 4 > 0 { 128 } else { 64 };
            left = rest.get(size..).ok_or(SHORT)?;
        }
        Ok(())
    }

    /// `DHT`
    fn huffman(&mut self, mut left: &'a [u8]) -> Result<(), Refusal> {
        while let [head, rest @ ..] = left {
            let (counts, rest) = rest.split_first_chunk::<16>().ok_or(SHORT)?;
            let codes = counts.iter().map(|n| usize::from(*n)).sum();
            let (symbols, rest) = rest.split_at_checked(codes).ok_or(SHORT)?;
            let table = Codes::new(counts, symbols);
            match head >> 4 {
                0 if codes > MAX_DC_CODES => return Err(Refusal::TooManyCodes(codes)),
                0 => self.dc.define(head & 15, table)?,
                1 => self.ac.define(head & 15, table)?,
                class => return Err(Refusal::TableClass(class)),
            }
            left = rest;
        }
        Ok(())
    }

    /// `SOF0`
    fn frame(&mut self, segment: &Segment<'_>) -> Result<(), Refusal> {
        let frame = segment.frame_header()?;
        let (h, v) = match frame.sampling.as_slice() {
            [(1, 1)] => (1, 1),
            [(h @ 1..=2, v @ 1..=2), (1, 1), (1, 1)] => (*h, *v),
            [_] | [_, _, _] => return Err(Refusal::Sampling(frame.sampling)),
            other => return Err(Refusal::Components(other.len())),
        };
        let (width, height) = (frame.width, frame.height);
        if width.max(height) > MAX_SIZE {
            return Err(Refusal::Size { width, height });
        }
        let (across, down) = (8 * u16::from(h), 8 * u16::from(v));
        // picojpeg counts them in 16 bits.
        self.units = width.div_ceil(across).wrapping_mul(height.div_ceil(down));
        self.luma_blocks = h * v;
        let (_, each) = segment.data.split_first_chunk::<6>().ok_or(SHORT)?;
        let (each, _) = each.as_chunks();
        self.components = each
            .iter()
            .map(|[name, _, table]| (*name, *table))
            .collect();
        Ok(())
    }

    /// `SOS`, and the picture's data behind it.
    fn scan(&self, segment: &Segment<'_>, data: &[u8]) -> Result<(), Refusal> {
        let (count, scan) = segment.data.split_first().ok_or(SHORT)?;
        let (scan, _) = scan.as_chunks();
        let scan = scan.get(..usize::from(*count)).unwrap_or(scan);
        if scan.len() != self.components.len() {
            return Err(Refusal::Scans);
        }
        let mut tables = Vec::new();
        for ([scanned, coded_by], (name, table)) in scan.iter().zip(&self.components) {
            if scanned != name {
                return Err(Refusal::Scans);
            }
            self.quantization.get(*table)?;
            let (dc, ac) = (coded_by >> 4, coded_by & 15);
            tables.push((self.dc.get(dc)?, self.ac.get(ac)?));
        }
        let mut scan = Scan::new(data, segment.end);
        let units = self.units;
        for unit in 0..units {
            let marker = restart_marker(unit, self.restart_interval);
            let goes_on = marker.is_none_or(|marker| scan.restart(marker));
            if !(goes_on && scan.unit(&tables, self.luma_blocks)) {
                return Err(Refusal::Damaged { unit, units });
            }
        }
        Ok(())
    }
}

/// Reads a baseline JPEG as the decoder does.
///
/// It stops at a block that has more than its 64 coefficients and at a restart marker that is missing,
/// and playback stops with it. A picture that is cut off without restart markers goes on in grey, and a
/// changed byte mostly shows as wrong colours: those it takes.
pub fn check(data: &[u8]) -> Result<(), Refusal> {
    let mut picture = Picture::new();
    for segment in Segments::of(data)? {
        let segment = segment?;
        match segment.marker {
            0xdb => picture.quantization(segment.data)?,
            0xc4 => picture.huffman(segment.data)?,
            0xc0 => picture.frame(&segment)?,
            0xdd => {
                let interval = segment.data.first_chunk().ok_or(SHORT)?;
                picture.restart_interval = u16::from_be_bytes(*interval);
            }
            0xda => picture.scan(&segment, data)?,
            // Those that stand alone, JPG, DAC, SOI, and other processes.
            marker @ (0x01 | 0xd0..=0xd9 | 0xc1..=0xcf) => return Err(Refusal::Marker(marker)),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::jpeg_head::{HALVED, jpeg_head};
    use super::*;

    /// The head of a picture with one run of bytes replaced.
    fn with(from: &[u8], to: &[u8]) -> Vec<u8> {
        let head = jpeg_head(320, 240, &HALVED);
        let at = head.windows(from.len()).position(|w| w == from).unwrap();
        [&head[..at], to, &head[at + from.len()..]].concat()
    }

    #[test]
    fn samplings_that_picojpeg_knows_are_taken() {
        for luma in [(1, 1), (2, 1), (1, 2), (2, 2)] {
            let head = jpeg_head(320, 240, &[luma, (1, 1), (1, 1)]);
            assert_eq!(check(&head), Ok(()), "{luma:?}");
        }
        assert_eq!(check(&jpeg_head(320, 240, &[(1, 1)])), Ok(()));
    }

    #[test]
    fn others_are_refused() {
        // 4:1:1, ffmpeg's 4:2:2 and 4:4:4, its grey.
        for sampling in [
            vec![(4, 1), (1, 1), (1, 1)],
            vec![(2, 2), (1, 2), (1, 2)],
            vec![(2, 2), (2, 2), (2, 2)],
            vec![(2, 2)],
        ] {
            let head = jpeg_head(320, 240, &sampling);
            assert_eq!(check(&head), Err(Refusal::Sampling(sampling)));
        }
        let cmyk = jpeg_head(320, 240, &[(1, 1); 4]);
        assert_eq!(check(&cmyk), Err(Refusal::Components(4)));
        let large = jpeg_head(320, 16_385, &HALVED);
        assert!(matches!(check(&large), Err(Refusal::Size { .. })));
    }

    #[test]
    fn tables_have_to_be_there_and_to_fit() {
        let table = |kind, number| Err(Refusal::NoTable { kind, number });
        let no_huffman = with(&[0xff, 0xc4], &[0xff, 0xe4]);
        assert_eq!(check(&no_huffman), table("DC Huffman", 0));
        let no_quantization = with(&[0xff, 0xdb], &[0xff, 0xeb]);
        assert_eq!(check(&no_quantization), table("quantization", 0));
        let another = with(&[0xff, 0xda, 0, 12, 3, 1, 0], &[0xff, 0xda, 0, 12, 3, 1, 1]);
        assert_eq!(check(&another), table("AC Huffman", 1));
        let third = with(&[3, 0x11, 0], &[3, 0x11, 2]);
        assert!(matches!(
            check(&third),
            Err(Refusal::TableNumber { number: 2, .. })
        ));
        let mut many = vec![0; 17];
        many[16] = 13;
        many.extend([0; 13]);
        let many = jpeg_head::segment(0xc4, &many);
        assert_eq!(
            check(&[&[0xff, 0xd8], &many[..]].concat()),
            Err(Refusal::TooManyCodes(13))
        );
    }

    #[test]
    fn scans_and_markers() {
        let head = with(&[0xff, 0xda, 0, 12, 3], &[0xff, 0xda, 0, 12, 1]);
        assert_eq!(check(&head), Err(Refusal::Scans));
        let arithmetic = with(&[0xff, 0xc4], &[0xff, 0xcc]);
        assert_eq!(check(&arithmetic), Err(Refusal::Marker(0xcc)));
        let nothing = [0xff, 0xd8, 0xff, 0xd9];
        assert_eq!(check(&nothing), Err(Refusal::Marker(0xd9)));
    }

    #[test]
    fn what_ends_too_early_is_shown_unless_it_has_restart_markers() {
        let mut cut = jpeg_head(320, 240, &HALVED);
        assert_eq!(check(&cut), Ok(()));
        let restarts = jpeg_head::segment(0xdd, &[0, 20]);
        cut.splice(2..2, restarts);
        let (unit, units) = (20, 300);
        assert_eq!(check(&cut), Err(Refusal::Damaged { unit, units }));
        // A unit of 4:2:0 has six blocks, of two bits each with these tables.
        let run = |n: u8| [&[0; 30][..], &[0xff, 0xd0 + n % 8]].concat();
        let runs: Vec<u8> = (0..14).flat_map(run).collect();
        let whole = [&cut[..], &runs, &[0; 30], &[0xff, 0xd9]].concat();
        assert_eq!(check(&whole), Ok(()));
        let unit = 280;
        let cut = [&cut[..], &runs[..runs.len() - 2]].concat();
        assert_eq!(check(&cut), Err(Refusal::Damaged { unit, units }));
    }

    #[test]
    fn a_block_of_too_many_coefficients_is_damage() {
        // The only code for AC, one bit, now stands for 15 zeros and a coefficient of one bit.
        let mut picture = jpeg_head(8, 8, &[(1, 1)]);
        let scan = picture.windows(2).position(|two| two == [0xff, 0xda]);
        let tables = picture.windows(2).position(|two| two == [0xff, 0xc0]);
        assert!(tables < scan);
        picture[tables.unwrap() - 1] = 0xf1;
        picture.extend([0; 8]);
        // Those are at 16, 32, 48, and then beyond the end.
        let (unit, units) = (0, 1);
        assert_eq!(check(&picture), Err(Refusal::Damaged { unit, units }));
        picture[tables.unwrap() - 1] = 0x01;
        assert_eq!(check(&picture), Ok(()));
    }

    #[test]
    fn heads_that_are_cut_are_refused() {
        let head = jpeg_head(320, 240, &HALVED);
        // The scan's last three bytes are of no use to baseline pictures.
        for length in 0..head.len() - 3 {
            assert!(check(&head[..length]).is_err(), "{length}");
        }
    }
}
