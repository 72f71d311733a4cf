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

use avi_mjpeg::jpeg::Segments;
use avi_mjpeg::jpeg::scan::{Bits, Codes};
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

const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
const DHT: u8 = 0xC4;
const DQT: u8 = 0xDB;
const DRI: u8 = 0xDD;

/// By class (DC, AC) and number: Huffman tables.
type Tables<'a> = [[Option<Codes<'a>>; 4]; 2];

#[derive(Clone, Copy, Default)]
struct Component {
    id: u8,
    quantizers: usize,
    blocks_wide: u16,
    blocks_high: u16,
    dc: usize,
    ac: usize,
}

/// Checks that `data` is one whole JPEG picture of `width` by `height`.
///
/// Zero bytes behind the end-of-image marker are tolerated.
pub fn check(data: &[u8], width: u16, height: u16) -> Result<(), JpegError> {
    let segments = Segments::of(data).map_err(|_| JpegError::NoStart)?;
    let end = data.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
    let body = data
        .get(..end)
        .and_then(|data| data.strip_suffix(&[0xFF, EOI]))
        .ok_or(JpegError::NoEnd)?;

    let mut picture = Picture::default();
    let mut at = 2;
    for segment in segments {
        let damaged = JpegError::Header(at);
        let segment = segment.map_err(|_| damaged)?;
        at = segment.end;
        if at > body.len() {
            return Err(damaged);
        }
        let bytes = segment.data;
        match segment.marker {
            DHT => read_tables(bytes, &mut picture.tables).ok_or(damaged)?,
            DQT => read_quantizers(bytes, &mut picture.quantizers).ok_or(damaged)?,
            DRI => {
                let interval = bytes.first_chunk().ok_or(damaged)?;
                picture.restart_interval = u16::from_be_bytes(*interval).into();
            }
            // Frame headers: baseline, extended, progressive with Huffman codes.
            marker @ 0xC0..=0xC2 => {
                picture.baseline = marker != 0xC2;
                picture.components =
                    read_frame(bytes, width, height).map_err(|e| e.unwrap_or(damaged))?;
            }
            SOS if picture.components.is_empty() => return Err(damaged),
            SOS if !picture.baseline => return Ok(()),
            SOS => {
                read_scan_header(bytes, &mut picture.components).ok_or(damaged)?;
                let geometry = Geometry::new(&picture.components, width, height);
                return picture.read_scan(body, at, geometry);
            }
            // Application data, comments.
            0xE0..=0xEF | 0xFE => {}
            _ => return Err(damaged),
        }
    }
    Err(JpegError::Header(at))
}

fn read_quantizers(mut segment: &[u8], quantizers: &mut [[u16; 64]; 4]) -> Option<()> {
    while let [kind, rest @ ..] = segment {
        // Eight bits a value in baseline pictures; the upper half of `kind` says so with 0.
        let (values, rest) = rest.split_first_chunk::<64>()?;
        if values.contains(&0) {
            return None;
        }
        *quantizers.get_mut(usize::from(*kind))? = values.map(u16::from);
        segment = rest;
    }
    Some(())
}

fn read_tables<'a>(mut segment: &'a [u8], tables: &mut Tables<'a>) -> Option<()> {
    while let [kind, rest @ ..] = segment {
        let (counts, rest) = rest.split_first_chunk::<16>()?;
        let total = counts.iter().map(|n| usize::from(*n)).sum::<usize>();
        let (symbols, rest) = rest.split_at_checked(total)?;
        let table = tables
            .get_mut(usize::from(kind >> 4))?
            .get_mut(usize::from(kind & 15))?;
        if Codes::overfull(counts) {
            return None;
        }
        *table = Some(Codes::new(counts, symbols));
        segment = rest;
    }
    Some(())
}

/// The components with their sampling; `Err(None)` if the segment is malformed.
fn read_frame(
    segment: &[u8],
    width: u16,
    height: u16,
) -> Result<Vec<Component>, Option<JpegError>> {
    let Some(([8, h1, h2, w1, w2, count @ 1..=4], rest)) = segment.split_first_chunk() else {
        return Err(None);
    };
    let (components, rest) = rest.as_chunks();
    if components.len() != usize::from(*count) || !rest.is_empty() {
        return Err(None);
    }
    let (w, h) = (
        u16::from_be_bytes([*w1, *w2]),
        u16::from_be_bytes([*h1, *h2]),
    );
    if (w, h) != (width, height) {
        return Err(Some(JpegError::Size(w, h)));
    }
    components
        .iter()
        .map(|[id, sampling, quantizers]| {
            let (blocks_wide, blocks_high) = (u16::from(sampling >> 4), u16::from(sampling & 15));
            if !(1..=4).contains(&blocks_wide) || !(1..=4).contains(&blocks_high) {
                return Err(None);
            }
            Ok(Component {
                id: *id,
                quantizers: usize::from(quantizers & 3),
                blocks_wide,
                blocks_high,
                ..Default::default()
            })
        })
        .collect()
}

fn read_scan_header(segment: &[u8], components: &mut [Component]) -> Option<()> {
    let (count, rest) = segment.split_first()?;
    // The three bytes behind the components are of no use to baseline pictures.
    let (chosen, _) = rest.split_last_chunk::<3>()?;
    let (chosen, rest) = chosen.as_chunks();
    // Baseline pictures with one scan for all components, as every encoder in this field makes.
    if usize::from(*count) != components.len()
        || chosen.len() != components.len()
        || !rest.is_empty()
    {
        return None;
    }
    for (component, [id, tables]) in components.iter_mut().zip(chosen) {
        let (dc, ac) = (usize::from(tables >> 4), usize::from(tables & 15));
        if component.id != *id || dc > 3 || ac > 3 {
            return None;
        }
        (component.dc, component.ac) = (dc, ac);
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

/// What the segments say of a picture.
struct Picture<'a> {
    tables: Tables<'a>,
    /// By table, in zigzag order as the coefficients are.
    quantizers: [[u16; 64]; 4],
    components: Vec<Component>,
    /// Units between two restart markers; 0 if there are none.
    restart_interval: u32,
    baseline: bool,
}

impl Default for Picture<'_> {
    fn default() -> Self {
        Self {
            tables: Tables::default(),
            quantizers: [[1; 64]; 4],
            components: Vec::new(),
            restart_interval: 0,
            baseline: false,
        }
    }
}

/// What a component's blocks are read by, and how many of them a unit has.
struct Plan<'a> {
    blocks: u16,
    dc: &'a Codes<'a>,
    ac: &'a Codes<'a>,
    quantizers: &'a [u16; 64],
}

impl Picture<'_> {
    /// What a unit holds of each component, in order.
    fn plan(&self, single: bool) -> Option<Vec<Plan<'_>>> {
        let [dc, ac] = &self.tables;
        let plan = |component: &Component| {
            Some(Plan {
                blocks: match single {
                    true => 1,
                    false => component.blocks_wide * component.blocks_high,
                },
                dc: dc.get(component.dc)?.as_ref()?,
                ac: ac.get(component.ac)?.as_ref()?,
                quantizers: self.quantizers.get(component.quantizers)?,
            })
        };
        self.components.iter().map(plan).collect()
    }

    fn read_scan(&self, body: &[u8], start: usize, geometry: Geometry) -> Result<(), JpegError> {
        let plan = self.plan(geometry.single).ok_or(JpegError::Header(start))?;
        let mut averages = [0; 4];
        let mut bits = Bits::new(body, start);
        for mcu in 0..geometry.mcus {
            if self.restart_interval > 0 && mcu > 0 && mcu % self.restart_interval == 0 {
                let expected = 0xD0 + ((mcu / self.restart_interval - 1) % 8) as u8;
                bits = after_marker(&bits, body, expected)?;
                averages = [0; 4];
            }
            for (component, average) in plan.iter().zip(&mut averages) {
                for _ in 0..component.blocks {
                    read_block(&mut bits, component, average)
                        .ok_or(JpegError::Data(bits.position()))?;
                }
            }
            if bits.overrun() {
                return Err(JpegError::Data(bits.position()));
            }
        }
        // Less than a byte of padding may be left before the marker.
        if bits.position() != body.len() || bits.rest() >= 8 {
            return Err(JpegError::Data(bits.position()));
        }
        Ok(())
    }
}

fn after_marker<'a>(bits: &Bits<'_>, body: &'a [u8], expected: u8) -> Result<Bits<'a>, JpegError> {
    let at = bits.position();
    let there = body.get(at..at + 2) == Some(&[0xFF, expected]);
    if bits.overrun() || bits.rest() >= 8 || !there {
        return Err(JpegError::Data(at));
    }
    Ok(Bits::new(body, at + 2))
}

/// Reads one block of 64 coefficients (F.2.2); `average` is the last one's first coefficient.
fn read_block(bits: &mut Bits<'_>, plan: &Plan<'_>, average: &mut i32) -> Option<()> {
    // Samples of -128 to 127 have coefficients of up to 1024 in size, and an encoder's arithmetic
    // adds some: of the fast DCT that the firmware uses, a few per cent.
    let possible = |value: i32, quantizer: u16| {
        let quantizer = i32::from(quantizer);
        value.abs() * quantizer <= 1100 + quantizer
    };
    let [quantizer, ..] = plan.quantizers;
    let (code, difference) = bits.read(plan.dc);
    if code.symbol > 11 || !code.is_known() {
        return None;
    }
    *average += difference;
    if difference != 0 && !possible(*average, *quantizer) {
        return None;
    }
    let mut k = 1;
    while k < 64 {
        let (code, value) = bits.read(plan.ac);
        if !code.is_known() {
            return None;
        }
        match (usize::from(code.symbol >> 4), code.symbol & 15) {
            (0, 0) => return Some(()),
            (15, 0) => k += 16,
            (_, 0) | (_, 11..) => return None,
            (run, _) => {
                k += run;
                if !possible(value, *plan.quantizers.get(k)?) {
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
