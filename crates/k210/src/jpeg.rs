// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether a JPEG arrived whole.
//!
//! The link has no checksum, so beyond the number of bytes only the picture itself can tell.
//! [`check`] follows the segments and then reads the entropy-coded data symbol by symbol, as a
//! decoder would: the number of blocks that the frame header announces must come out exactly where
//! the end-of-image marker stands, and every coefficient must be one that a picture can have. A
//! picture that is cut short, or lacks a part, never passes. Huffman codes fall back into step by
//! themselves, so a byte that was changed (or lost, where another one was added) passes when it
//! damages no more than a block; nobody can see that who does not know the picture.
//!
//! The firmware writes baseline JPEG with one scan and no restart markers (`jpeg.c`,
//! `jpeg_compress`); restart markers are understood for scripts that send pictures of other
//! origin. The data of a progressive picture is only checked for its markers.

use thiserror::Error;

/// Why a picture is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum JpegError {
    /// It does not begin with the start-of-image marker.
    #[error("no start of image")]
    NoStart,
    /// It does not end with the end-of-image marker.
    #[error("no end of image")]
    NoEnd,
    /// A segment is malformed, or missing before this offset.
    #[error("damaged header at byte {0}")]
    Header(usize),
    /// The picture's own size is not the one announced.
    #[error("the picture is {0}x{1}, not as announced")]
    Size(u16, u16),
    /// The entropy-coded data stops making sense at this offset.
    #[error("damaged data at byte {0}")]
    Data(usize),
}

const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
const DHT: u8 = 0xC4;
const DQT: u8 = 0xDB;
const DRI: u8 = 0xDD;

/// One Huffman table, for canonical decoding (ITU-T T.81, F.2.2.3) with a look-up of the first
/// eight bits.
#[derive(Clone)]
struct Table {
    /// By the next 8 bits: code length and symbol, length 0 for codes longer than that.
    short: [(u8, u8); 256],
    /// By code length: the largest code of that length plus one, left-aligned to 16 bits.
    limit: [u32; 17],
    /// By code length: index of its first symbol less its first code.
    delta: [i32; 17],
    symbols: Vec<u8>,
}

impl Table {
    fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut table = Table {
            short: [(0, 0); 256],
            limit: [0; 17],
            delta: [0; 17],
            symbols: symbols.to_vec(),
        };
        let (mut code, mut index) = (0u32, 0usize);
        for length in 1..=16usize {
            let count = usize::from(counts[length - 1]);
            table.delta[length] = index as i32 - code as i32;
            for _ in 0..count {
                if code >= 1 << length {
                    return None;
                }
                if length <= 8 {
                    let first = (code << (8 - length)) as usize;
                    let symbol = *symbols.get(index)?;
                    table.short[first..first + (1 << (8 - length))].fill((length as u8, symbol));
                }
                code += 1;
                index += 1;
            }
            table.limit[length] = code << (16 - length);
            code <<= 1;
        }
        Some(table)
    }
}

/// Bits of the scan, most significant first, with the stuffed zero bytes taken out.
struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    window: u64,
    filled: u32,
    /// Bits that were made up because a marker or the end was reached.
    invented: u32,
}

impl Bits<'_> {
    fn fill(&mut self) {
        while self.filled <= 48 {
            let byte = match self.data.get(self.at) {
                Some(0xFF) if self.data.get(self.at + 1) == Some(&0) => {
                    self.at += 2;
                    0xFF
                }
                Some(0xFF) | None => {
                    self.invented += 8;
                    0
                }
                Some(byte) => {
                    self.at += 1;
                    *byte
                }
            };
            self.window |= u64::from(byte) << (56 - self.filled);
            self.filled += 8;
        }
    }

    fn skip(&mut self, count: u32) {
        self.window <<= count;
        self.filled -= count;
    }

    /// A number of `size` bits (1 to 16), by the code of F.1.2.1: negative ones begin with 0.
    fn value(&mut self, size: u32) -> i32 {
        let bits = (self.window >> (64 - size)) as i32;
        self.skip(size);
        match bits >> (size - 1) {
            0 => bits - (1 << size) + 1,
            _ => bits,
        }
    }

    /// Whether more was read than there was.
    fn overrun(&self) -> bool {
        self.invented > self.filled
    }

    /// The next symbol, and past its code.
    fn symbol(&mut self, table: &Table) -> Option<u8> {
        if self.filled < 32 {
            self.fill();
        }
        let (length, symbol) = table.short[(self.window >> 56) as usize];
        if length > 0 {
            self.skip(u32::from(length));
            return Some(symbol);
        }
        let next = (self.window >> 48) as u32;
        for length in 9..=16usize {
            if next < table.limit[length] {
                let code = (next >> (16 - length)) as i32;
                self.skip(length as u32);
                let index = usize::try_from(code + table.delta[length]).ok()?;
                return table.symbols.get(index).copied();
            }
        }
        None
    }
}

#[derive(Clone, Copy, Default)]
struct Component {
    id: u8,
    quantizers: usize,
    blocks_wide: u16,
    blocks_high: u16,
    dc: usize,
    ac: usize,
}

fn be16(data: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*data.get(at)?, *data.get(at + 1)?]))
}

/// Checks that `data` is one whole JPEG picture of `width` by `height`.
///
/// Zero bytes behind the end-of-image marker are tolerated.
pub fn check(data: &[u8], width: u16, height: u16) -> Result<(), JpegError> {
    if !data.starts_with(&[0xFF, SOI]) {
        return Err(JpegError::NoStart);
    }
    let end = data.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
    let body = data[..end]
        .strip_suffix(&[0xFF, EOI])
        .ok_or(JpegError::NoEnd)?;

    let mut tables: [Option<Table>; 8] = Default::default();
    // By table, in zigzag order as the coefficients are.
    let mut quantizers = [[1u16; 64]; 4];
    let mut components: Vec<Component> = Vec::new();
    let mut restart_interval = 0u32;
    let mut baseline = false;
    let mut at = 2;
    loop {
        let damaged = JpegError::Header(at);
        if body.get(at) != Some(&0xFF) {
            return Err(damaged);
        }
        let marker = *body.get(at + 1).ok_or(damaged)?;
        let length = usize::from(be16(body, at + 2).ok_or(damaged)?);
        let segment = body.get(at + 4..at + 2 + length).ok_or(damaged)?;
        match marker {
            DHT => read_tables(segment, &mut tables).ok_or(damaged)?,
            DQT => read_quantizers(segment, &mut quantizers).ok_or(damaged)?,
            DRI => restart_interval = u32::from(be16(segment, 0).ok_or(damaged)?),
            // Frame headers: baseline, extended, progressive with Huffman codes.
            0xC0..=0xC2 => {
                baseline = marker != 0xC2;
                components =
                    read_frame(segment, width, height).map_err(|e| e.unwrap_or(damaged))?;
            }
            SOS => {
                if components.is_empty() {
                    return Err(damaged);
                }
                let scan = at + 2 + length;
                if !baseline {
                    return Ok(());
                }
                read_scan_header(segment, &mut components).ok_or(damaged)?;
                let geometry = Geometry::new(&components, width, height);
                let tables = (&tables, &quantizers);
                return read_scan(body, scan, &components, tables, geometry, restart_interval);
            }
            // Application data, comments.
            0xE0..=0xEF | 0xFE => {}
            _ => return Err(damaged),
        }
        at += 2 + length;
    }
}

fn read_quantizers(mut segment: &[u8], quantizers: &mut [[u16; 64]; 4]) -> Option<()> {
    while let Some(kind) = segment.first() {
        // Eight bits a value in baseline pictures.
        let values = segment.get(1..65)?;
        if kind & 0xFC != 0 || values.contains(&0) {
            return None;
        }
        for (to, from) in quantizers[usize::from(*kind)].iter_mut().zip(values) {
            *to = u16::from(*from);
        }
        segment = &segment[65..];
    }
    Some(())
}

fn read_tables(mut segment: &[u8], tables: &mut [Option<Table>; 8]) -> Option<()> {
    while !segment.is_empty() {
        let kind = segment[0];
        let counts: &[u8; 16] = segment.get(1..17)?.try_into().ok()?;
        let total = counts.iter().map(|n| usize::from(*n)).sum::<usize>();
        let symbols = segment.get(17..17 + total)?;
        if kind & 0xEC != 0 {
            return None;
        }
        tables[usize::from(kind >> 4) * 4 + usize::from(kind & 3)] =
            Some(Table::new(counts, symbols)?);
        segment = &segment[17 + total..];
    }
    Some(())
}

/// The components with their sampling; `Err(None)` if the segment is malformed.
fn read_frame(
    segment: &[u8],
    width: u16,
    height: u16,
) -> Result<Vec<Component>, Option<JpegError>> {
    let h = be16(segment, 1).ok_or(None)?;
    let w = be16(segment, 3).ok_or(None)?;
    let count = usize::from(*segment.get(5).ok_or(None)?);
    if segment[0] != 8 || !(1..=4).contains(&count) || segment.len() != 6 + 3 * count {
        return Err(None);
    }
    if (w, h) != (width, height) {
        return Err(Some(JpegError::Size(w, h)));
    }
    segment[6..]
        .chunks_exact(3)
        .map(|c| {
            let (blocks_wide, blocks_high) = (u16::from(c[1] >> 4), u16::from(c[1] & 15));
            if !(1..=4).contains(&blocks_wide) || !(1..=4).contains(&blocks_high) {
                return Err(None);
            }
            Ok(Component {
                id: c[0],
                quantizers: usize::from(c[2] & 3),
                blocks_wide,
                blocks_high,
                ..Default::default()
            })
        })
        .collect()
}

fn read_scan_header(segment: &[u8], components: &mut [Component]) -> Option<()> {
    // Baseline pictures with one scan for all components, as every encoder in this field makes.
    if usize::from(*segment.first()?) != components.len()
        || segment.len() != 4 + 2 * components.len()
    {
        return None;
    }
    for (component, chosen) in components.iter_mut().zip(segment[1..].chunks_exact(2)) {
        let (dc, ac) = (usize::from(chosen[1] >> 4), usize::from(chosen[1] & 15));
        if component.id != chosen[0] || dc > 3 || ac > 3 {
            return None;
        }
        (component.dc, component.ac) = (dc, 4 + ac);
    }
    Some(())
}

#[derive(Clone, Copy)]
struct Geometry {
    mcus: u32,
    /// A scan of one component has one block a unit, whatever its sampling factors say (A.2.2).
    single: bool,
}

impl Geometry {
    fn new(components: &[Component], width: u16, height: u16) -> Self {
        let single = components.len() == 1;
        let (h, v) = if single {
            (1, 1)
        } else {
            let widest = |f: fn(&Component) -> u16| components.iter().map(f).max().unwrap_or(1);
            (widest(|c| c.blocks_wide), widest(|c| c.blocks_high))
        };
        Geometry {
            mcus: u32::from(width.div_ceil(8 * h)) * u32::from(height.div_ceil(8 * v)),
            single,
        }
    }
}

fn read_scan(
    body: &[u8],
    start: usize,
    components: &[Component],
    (tables, quantizers): (&[Option<Table>; 8], &[[u16; 64]; 4]),
    geometry: Geometry,
    restart_interval: u32,
) -> Result<(), JpegError> {
    let mut plan: Vec<(usize, &Table, &Table, &[u16; 64])> = Vec::new();
    let mut averages = [0; 4];
    for (index, component) in components.iter().enumerate() {
        let (Some(dc), Some(ac)) = (&tables[component.dc], &tables[component.ac]) else {
            return Err(JpegError::Header(start));
        };
        let blocks = match geometry.single {
            true => 1,
            false => usize::from(component.blocks_wide * component.blocks_high),
        };
        let block = (index, dc, ac, &quantizers[component.quantizers]);
        plan.extend(std::iter::repeat_n(block, blocks));
    }
    let mut bits = Bits {
        data: body,
        at: start,
        window: 0,
        filled: 0,
        invented: 0,
    };
    for mcu in 0..geometry.mcus {
        if restart_interval > 0 && mcu > 0 && mcu % restart_interval == 0 {
            let expected = 0xD0 + ((mcu / restart_interval - 1) % 8) as u8;
            bits = after_marker(bits, expected)?;
            averages = [0; 4];
        }
        for (index, dc, ac, quantizers) in &plan {
            read_block(&mut bits, dc, ac, quantizers, &mut averages[*index])
                .ok_or(JpegError::Data(bits.at))?;
        }
        if bits.overrun() {
            return Err(JpegError::Data(bits.at));
        }
    }
    // Less than a byte of padding may be left before the marker.
    let left = bits.filled - bits.invented;
    if bits.at != body.len() || left >= 8 {
        return Err(JpegError::Data(bits.at));
    }
    Ok(())
}

fn after_marker(bits: Bits<'_>, expected: u8) -> Result<Bits<'_>, JpegError> {
    let damaged = JpegError::Data(bits.at);
    if bits.overrun()
        || bits.filled.saturating_sub(bits.invented) >= 8
        || bits.data.get(bits.at..bits.at + 2) != Some(&[0xFF, expected])
    {
        return Err(damaged);
    }
    Ok(Bits {
        at: bits.at + 2,
        window: 0,
        filled: 0,
        invented: 0,
        ..bits
    })
}

/// Reads one block of 64 coefficients (F.2.2); `average` is the last one's first coefficient.
fn read_block(
    bits: &mut Bits<'_>,
    dc: &Table,
    ac: &Table,
    quantizers: &[u16; 64],
    average: &mut i32,
) -> Option<()> {
    // Samples of -128 to 127 have coefficients of up to 1024 in size, and an encoder's arithmetic
    // adds some: of the fast DCT that the firmware uses, a few per cent.
    let possible = |value: i32, k: usize| {
        value.abs() * i32::from(quantizers[k]) <= 1100 + i32::from(quantizers[k])
    };
    let size = bits.symbol(dc)?;
    if size > 11 {
        return None;
    }
    if size > 0 {
        *average += bits.value(u32::from(size));
        if !possible(*average, 0) {
            return None;
        }
    }
    let mut k = 1;
    while k < 64 {
        let symbol = bits.symbol(ac)?;
        let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        match (run, size) {
            (0, 0) => return Some(()),
            (15, 0) => k += 16,
            (_, 0) | (_, 11..) => return None,
            _ => {
                k += run;
                if k > 63 || !possible(bits.value(size), k) {
                    return None;
                }
                k += 1;
            }
        }
    }
    (k == 64).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 4:2:2, as the firmware makes it at qualities of 36 to 59.
    const COLOUR: &[u8] = include_bytes!("../../avi/tests/data/frame-422.jpg");
    /// One component, restart markers, a size that is no multiple of 8.
    const GREY: &[u8] = include_bytes!("../../avi/tests/data/frame-grey-restart.jpg");

    fn scan_start(jpeg: &[u8]) -> usize {
        jpeg.windows(2).position(|w| w == [0xFF, SOS]).unwrap() + 14
    }

    #[test]
    fn whole_pictures_pass() {
        assert_eq!(check(COLOUR, 320, 240), Ok(()));
        assert_eq!(check(GREY, 100, 75), Ok(()));
        let padded = [COLOUR, &[0, 0, 0]].concat();
        assert_eq!(check(&padded, 320, 240), Ok(()));
    }

    #[test]
    fn another_size_than_announced_is_refused() {
        assert_eq!(check(COLOUR, 320, 248), Err(JpegError::Size(320, 240)));
    }

    #[test]
    fn a_picture_cut_anywhere_is_refused() {
        for end in (0..COLOUR.len()).step_by(11) {
            assert!(check(&COLOUR[..end], 320, 240).is_err(), "{end}");
            // Even when something put the end marker there.
            let ended = [&COLOUR[..end], &[0xFF, EOI]].concat();
            if end + 2 != COLOUR.len() {
                assert!(check(&ended, 320, 240).is_err(), "{end}");
            }
        }
    }

    #[test]
    fn a_missing_part_is_always_seen() {
        let scan = scan_start(COLOUR);
        for at in (scan..COLOUR.len() - 300).step_by(7) {
            let gap = [&COLOUR[..at], &COLOUR[at + 256..]].concat();
            assert!(check(&gap, 320, 240).is_err(), "{at}");
        }
    }

    /// A share of changed bytes stays unseen by nature; that some are seen is what counts here.
    #[test]
    fn changed_bytes_are_seen_when_they_reach_beyond_a_block() {
        let scan = scan_start(COLOUR);
        let (mut seen, mut all) = (0u32, 0u32);
        // Nine and eight have no divisor in common: every bit has its turn.
        for at in (scan..COLOUR.len() - 2).step_by(9) {
            let mut damaged = COLOUR.to_vec();
            damaged[at] ^= 1 << (at % 8);
            seen += u32::from(check(&damaged, 320, 240).is_err());
            all += 1;
        }
        println!("{seen} of {all} changed bits are seen");
        assert!(seen * 5 > all, "{seen} of {all}");
    }

    #[test]
    fn damage_never_panics() {
        for jpeg in [COLOUR, GREY] {
            for at in (0..jpeg.len()).step_by(3) {
                let mut damaged = jpeg.to_vec();
                damaged[at] ^= 1 << (at % 8);
                let _ = check(&damaged, 320, 240);
                let _ = check(&damaged, 100, 75);
            }
        }
    }
}
