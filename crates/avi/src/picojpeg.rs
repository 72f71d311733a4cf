// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which pictures picojpeg decodes, by which MaixPy's player shows frames
//! (`components/micropython/port/src/omv/img/picojpeg.c` in `sipeed/MaixPy-v1`).
//!
//! It knows two tables of each kind, one scan, and luma that is sampled up to twice as finely as
//! chroma. Of others `pjpeg_decode_init` says no; `picojpeg_util_read` then returns 0 all
//! the same, and the player goes on without a picture. Where `pjpeg_decode_mcu` fails, amid a
//! picture, playback ends.

use super::jpeg::{JpegError, Segments};

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
    #[error(transparent)]
    NotJpeg(#[from] JpegError),
    #[error("it has {0} components, not 1 or 3")]
    Components(usize),
    #[error("its components are sampled {}, not 1x1 or 1x1, 2x1, 1x2 or 2x2 with 1x1 and 1x1", list(.0))]
    Sampling(Vec<(u8, u8)>),
    #[error("it is of {width}x{height}, beyond {MAX_SIZE}")]
    Size { width: u16, height: u16 },
    #[error("it has a {kind} table {number}, not only 0 and 1")]
    TableNumber { kind: &'static str, number: u8 },
    #[error("it has a Huffman table of class {0}, not only 0 and 1")]
    TableClass(u8),
    #[error("it is without {kind} table {number}")]
    NoTable { kind: &'static str, number: u8 },
    #[error("its Huffman table for DC has {0} codes, more than {MAX_DC_CODES}")]
    TooManyCodes(usize),
    #[error("its components are in several scans")]
    Scans,
    #[error("it has a marker FF{0:02X} before its picture data")]
    Marker(u8),
    #[error("it is damaged: the decoder stops after {unit} of {units} units")]
    Damaged { unit: u16, units: u16 },
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

/// Bits by which most symbols are looked up.
const LOOKED_UP: usize = 9;

/// What a code of a Huffman table says.
#[derive(Clone, Copy)]
struct Code {
    /// Its length and that of the bits which follow it and belong to it. 0 for codes that are looked up
    /// otherwise.
    bits: u8,
    /// How many coefficients it stands for, or `END`.
    step: u8,
}

/// Of all coefficients that are left in the block.
const END: u8 = 128;

impl Code {
    const LONGER: Self = Self { bits: 0, step: 0 };

    fn new(length: usize, symbol: u8) -> Self {
        let (run, size) = (symbol >> 4, symbol & 15);
        Self {
            bits: length as u8 + size,
            step: if size == 0 && run < 15 { END } else { run + 1 },
        }
    }
}

/// A Huffman table, as `huffCreate` makes it.
struct Huffman<'a> {
    /// By the length of a code less 1: the first code, and the place of what it stands for.
    first: [(u16, u16); 16],
    /// The last code; `None` if there is none of that length.
    last: [Option<u16>; 16],
    symbols: &'a [u8],
    /// By the next bits, the code that they begin with.
    short: [Code; 1 << LOOKED_UP],
}

impl<'a> Huffman<'a> {
    fn new(counts: &[u8], symbols: &'a [u8]) -> Self {
        let mut table = Self {
            first: [(0, 0); 16],
            last: [None; 16],
            symbols,
            short: [Code::LONGER; 1 << LOOKED_UP],
        };
        let (mut code, mut place) = (0_u16, 0);
        // All codes below are of a lesser length.
        let mut next = 0;
        for (n, count) in counts.iter().enumerate().take(16) {
            let count = u16::from(*count);
            if count > 0 {
                table.first[n] = (code, place);
                // A last code of all ones is what the decoder has for "none".
                let last = code.wrapping_add(count - 1);
                table.last[n] = Some(last).filter(|last| *last != u16::MAX);
            }
            place += count;
            code = code.wrapping_add(count) << 1;
            if n < LOOKED_UP
                && let Some(last) = table.last[n]
            {
                let others = LOOKED_UP - n - 1;
                while next >> others <= usize::from(last) && next < table.short.len() {
                    let code = table.code(n, (next >> others) as u16);
                    table.short[next..next + (1 << others)].fill(code);
                    next += 1 << others;
                }
            }
        }
        table
    }

    /// What a code of `n + 1` bits stands for.
    fn code(&self, n: usize, code: u16) -> Code {
        let (first, place) = self.first[n];
        let place = place.wrapping_add(code.wrapping_sub(first));
        let symbol = self.symbols.get(usize::from(place)).copied();
        Code::new(n + 1, symbol.unwrap_or(0))
    }

    /// The code that some bits begin with (`huffDecode`).
    fn decode(&self, bits: u64) -> Code {
        let code = self.short[(bits >> (64 - LOOKED_UP)) as usize];
        if code.bits > 0 {
            code
        } else {
            self.longer(bits)
        }
    }

    #[cold]
    fn longer(&self, bits: u64) -> Code {
        for n in LOOKED_UP..16 {
            let code = (bits >> (63 - n)) as u16;
            if self.last[n].is_some_and(|last| code <= last) {
                return self.code(n, code);
            }
        }
        // It has read one more by then.
        Code::new(17, 0)
    }
}

/// A picture's data, read as the decoder reads them.
struct Scan<'a> {
    data: &'a [u8],
    /// Where the decoder began, at first and after each restart.
    start: usize,
    /// Bytes that were loaded since, without their stuffing.
    loaded: usize,
    /// What is to be loaded next.
    at: usize,
    /// What is loaded and was not read, from the highest bit on; behind that, zeros.
    bits: u64,
    left: u32,
}

impl<'a> Scan<'a> {
    fn new(data: &'a [u8], start: usize) -> Self {
        let start = start.min(data.len());
        Self {
            data,
            start,
            loaded: 0,
            at: start,
            bits: 0,
            left: 0,
        }
    }

    /// `getOctet`: the byte at a place, without its stuffing, and the place of the next. At a marker
    /// and at the end it stays, and reads ones.
    fn octet(&self, at: usize) -> (u8, usize) {
        match self.data.get(at..) {
            Some([0xff, 0, ..]) => (0xff, at + 2),
            None | Some([] | [0xff, ..]) => (0xff, at),
            Some([byte, ..]) => (*byte, at + 1),
        }
    }

    /// Loads as much as is read at once at most, a code of 17 bits and 15 that belong to it.
    #[inline(never)]
    fn load(&mut self) {
        if let Some(next) = self.data[self.at..].first_chunk::<4>()
            && !next.contains(&0xff)
        {
            let next = u64::from(u32::from_be_bytes(*next));
            self.bits |= next << (32 - self.left);
            self.left += 32;
            self.at += 4;
            self.loaded += 4;
            return;
        }
        while self.left <= 56 {
            let byte;
            (byte, self.at) = self.octet(self.at);
            self.bits |= u64::from(byte) << (56 - self.left);
            self.left += 8;
            self.loaded += 1;
        }
    }

    /// Reads a code and what belongs to it; how many coefficients that is.
    #[inline]
    fn step(&mut self, table: &Huffman) -> u8 {
        if self.left < 32 {
            self.load();
        }
        let Code { bits, step } = table.decode(self.bits);
        self.bits <<= bits;
        self.left -= u32::from(bits);
        step
    }

    /// Reads a block as `decodeNextMCU` does; whether it has no more coefficients than there are.
    fn block(&mut self, dc: &Huffman, ac: &Huffman) -> bool {
        self.step(dc);
        let mut k = 1;
        while k < 64 {
            k += self.step(ac);
        }
        k == 64 || k >= END
    }

    /// Reads a unit of the first component's blocks and one of each of the others; whether all are sound.
    fn unit(&mut self, tables: &[(&Huffman, &Huffman)], first: u8) -> bool {
        let blocks = std::iter::once(first).chain(std::iter::repeat(1));
        let mut each = tables.iter().zip(blocks);
        each.all(|((dc, ac), blocks)| (0..blocks).all(|_| self.block(dc, ac)))
    }

    /// `processRestart`: whether the marker is there, or not far away.
    fn restart(&mut self, marker: u8) -> bool {
        const FAR: usize = 1536;
        // The decoder has loaded a byte when it begins, and one with the first bit of each eight.
        let read = 8 * self.loaded - self.left as usize;
        let at = (0..1 + read.div_ceil(8)).fold(self.start, |at, _| self.octet(at).1);
        let rest = &self.data[at..];
        let Some(before) = rest.iter().position(|byte| *byte == 0xff) else {
            return false;
        };
        let fill = rest[before + 1..].iter();
        let fill = fill.take_while(|byte| **byte == 0xff).count();
        let end = before + 1 + fill;
        if before + fill >= FAR || rest.get(end) != Some(&marker) {
            return false;
        }
        *self = Self::new(self.data, at + end + 1);
        true
    }
}

/// The restart marker that is before a unit, if the picture has them every so many units.
fn restart_marker(unit: u16, interval: u16) -> Option<u8> {
    let nth = unit.checked_div(interval).filter(|nth| *nth > 0)?;
    unit.is_multiple_of(interval)
        .then(|| 0xd0 + ((nth - 1) % 8) as u8)
}

/// Reads a baseline JPEG as the decoder does.
///
/// It stops at a block that has more than its 64 coefficients and at a restart marker that is missing,
/// and playback stops with it. A picture that is cut off without restart markers goes on in grey, and a
/// changed byte mostly shows as wrong colours: those it takes.
pub fn check(data: &[u8]) -> Result<(), Refusal> {
    let mut quantization = Tables::new("quantization");
    let mut dc = Tables::new("DC Huffman");
    let mut ac = Tables::new("AC Huffman");
    // Each component's name and quantization table.
    let mut components: Vec<(u8, u8)> = Vec::new();
    let (mut units, mut luma_blocks) = (0, 1);
    let mut restart_interval = 0;
    for segment in Segments::of(data)? {
        let segment = segment?;
        let bytes = segment.data;
        let short = Refusal::NotJpeg(JpegError::Truncated);
        match segment.marker {
            0xdb => {
                let mut left = bytes;
                while let [head, rest @ ..] = left {
                    quantization.define(head & 15, ())?;
                    let size = if head >> 4 > 0 { 128 } else { 64 };
                    left = rest.get(size..).ok_or(short.clone())?;
                }
            }
            0xc4 => {
                let mut left = bytes;
                while let [head, rest @ ..] = left {
                    let (counts, rest) = rest.split_at_checked(16).ok_or(short.clone())?;
                    let codes = counts.iter().map(|n| usize::from(*n)).sum();
                    let (symbols, rest) = rest.split_at_checked(codes).ok_or(short.clone())?;
                    let table = Huffman::new(counts, symbols);
                    match head >> 4 {
                        0 if codes > MAX_DC_CODES => return Err(Refusal::TooManyCodes(codes)),
                        0 => dc.define(head & 15, table)?,
                        1 => ac.define(head & 15, table)?,
                        class => return Err(Refusal::TableClass(class)),
                    }
                    left = rest;
                }
            }
            0xc0 => {
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
                // It counts no further.
                units = width.div_ceil(across).wrapping_mul(height.div_ceil(down));
                luma_blocks = h * v;
                let each = bytes[6..].chunks_exact(3);
                components = each.map(|component| (component[0], component[2])).collect();
            }
            0xdd => {
                let interval = bytes.first_chunk().ok_or(short)?;
                restart_interval = u16::from_be_bytes(*interval);
            }
            0xda => {
                let scan = bytes.get(1..).ok_or(short)?.chunks_exact(2);
                let scan: Vec<_> = scan.take(bytes[0].into()).collect();
                if scan.len() != components.len() {
                    return Err(Refusal::Scans);
                }
                let mut tables = Vec::new();
                for (component, (name, table)) in scan.iter().zip(&components) {
                    if component[0] != *name {
                        return Err(Refusal::Scans);
                    }
                    quantization.get(*table)?;
                    tables.push((dc.get(component[1] >> 4)?, ac.get(component[1] & 15)?));
                }
                let mut scan = Scan::new(data, segment.end);
                for unit in 0..units {
                    let marker = restart_marker(unit, restart_interval);
                    let goes_on = marker.is_none_or(|marker| scan.restart(marker));
                    if !(goes_on && scan.unit(&tables, luma_blocks)) {
                        return Err(Refusal::Damaged { unit, units });
                    }
                }
            }
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
    fn codes_are_found_as_bit_by_bit() {
        // That of T.81's table K.5, one with codes of all ones, one with more codes than there are.
        let standard = [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125];
        let full = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2];
        let too_many = [1, 3, 0, 4, 0, 0, 0, 90, 0, 0, 0, 90, 0, 0, 0, 9];
        for counts in [standard, full, too_many, [0; 16]] {
            let codes = counts.iter().map(|n| usize::from(*n)).sum();
            let symbols: Vec<_> = (0..codes).map(|n| (n * 37) as u8).collect();
            let table = Huffman::new(&counts, &symbols);
            for next in 0..1_u64 << 16 {
                let (mut code, mut first, mut place) = (0, 0, 0);
                let mut expected = (17, 0);
                for (n, count) in counts.iter().enumerate() {
                    let count = u16::from(*count);
                    code = code << 1 | (next >> (15 - n) & 1) as u16;
                    let last = first + u32::from(count);
                    if count > 0 && last != 1 << 16 && u32::from(code) < last {
                        let at = place + code.wrapping_sub(first as u16);
                        expected = (n + 1, symbols.get(usize::from(at)).copied().unwrap_or(0));
                        break;
                    }
                    (first, place) = (last << 1, place + count);
                }
                let (length, symbol) = expected;
                let step = match (symbol >> 4, symbol & 15) {
                    (15, 0) => 16,
                    (_, 0) => END,
                    (run, _) => run + 1,
                };
                let found = table.decode(next << 48);
                let bits = length + usize::from(symbol & 15);
                assert_eq!((usize::from(found.bits), found.step), (bits, step));
            }
        }
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
