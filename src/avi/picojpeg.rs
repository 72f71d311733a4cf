// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which pictures picojpeg decodes, by which MaixPy's player shows frames
//! (`components/micropython/port/src/omv/img/picojpeg.c` in `sipeed/MaixPy-v1`).
//!
//! It knows two tables of each kind, one scan, and luma that is sampled up to twice as finely as
//! chroma. Of others `pjpeg_decode_init` says no; `picojpeg_util_read` then returns 0 all
//! the same, and the player goes on without a picture.

use super::jpeg::{self, JpegError, Segments};

#[cfg(test)]
#[path = "../../tests/common/jpeg_head.rs"]
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
    #[error("it is without {kind} table {number}, as webcams leave tables out that all know")]
    NoTable { kind: &'static str, number: u8 },
    #[error("its Huffman table for DC has {0} codes, more than {MAX_DC_CODES}")]
    TooManyCodes(usize),
    #[error("its components are in several scans")]
    Scans,
    #[error("it has a marker FF{0:02X} before its picture data")]
    Marker(u8),
    #[error("it is cut off, and has restart markers")]
    CutOff,
}

fn list(sampling: &[(u8, u8)]) -> String {
    let each: Vec<_> = sampling.iter().map(|(h, v)| format!("{h}x{v}")).collect();
    each.join(", ")
}

/// The tables of one kind that were defined.
struct Tables {
    kind: &'static str,
    defined: [bool; TABLES],
}

impl Tables {
    fn new(kind: &'static str) -> Self {
        Self {
            kind,
            defined: [false; TABLES],
        }
    }

    fn define(&mut self, number: u8) -> Result<(), Refusal> {
        *self.slot(number)? = true;
        Ok(())
    }

    fn expect(&mut self, number: u8) -> Result<(), Refusal> {
        let kind = self.kind;
        match *self.slot(number)? {
            true => Ok(()),
            false => Err(Refusal::NoTable { kind, number }),
        }
    }

    fn slot(&mut self, number: u8) -> Result<&mut bool, Refusal> {
        let kind = self.kind;
        let slot = self.defined.get_mut(usize::from(number));
        slot.ok_or(Refusal::TableNumber { kind, number })
    }
}

/// Reads the head of a baseline JPEG as the decoder does. What follows it is decoded in some way
/// whatever it is, unless it has restart markers and ends too early.
pub fn check(data: &[u8]) -> Result<(), Refusal> {
    let mut quantization = Tables::new("quantization");
    let mut dc = Tables::new("DC Huffman");
    let mut ac = Tables::new("AC Huffman");
    // Each component's name and quantization table.
    let mut components: Vec<(u8, u8)> = Vec::new();
    let mut restarts = false;
    for segment in Segments::of(data)? {
        let segment = segment?;
        let bytes = segment.data;
        let short = Refusal::NotJpeg(JpegError::Truncated);
        match segment.marker {
            0xdb => {
                let mut left = bytes;
                while let [head, rest @ ..] = left {
                    quantization.define(head & 15)?;
                    let size = if head >> 4 > 0 { 128 } else { 64 };
                    left = rest.get(size..).ok_or(short.clone())?;
                }
            }
            0xc4 => {
                let mut left = bytes;
                while let [head, rest @ ..] = left {
                    let (counts, rest) = rest.split_at_checked(16).ok_or(short.clone())?;
                    let codes = counts.iter().map(|n| usize::from(*n)).sum();
                    match head >> 4 {
                        0 if codes > MAX_DC_CODES => return Err(Refusal::TooManyCodes(codes)),
                        0 => dc.define(head & 15)?,
                        1 => ac.define(head & 15)?,
                        class => return Err(Refusal::TableClass(class)),
                    }
                    left = rest.get(codes..).ok_or(short.clone())?;
                }
            }
            0xc0 => {
                let frame = segment.frame_header()?;
                match frame.sampling.as_slice() {
                    [(1, 1)] | [(1 | 2, 1 | 2), (1, 1), (1, 1)] => {}
                    [_] | [_, _, _] => return Err(Refusal::Sampling(frame.sampling)),
                    other => return Err(Refusal::Components(other.len())),
                }
                let (width, height) = (frame.width, frame.height);
                if width.max(height) > MAX_SIZE {
                    return Err(Refusal::Size { width, height });
                }
                let each = bytes[6..].chunks_exact(3);
                components = each.map(|component| (component[0], component[2])).collect();
            }
            0xdd => restarts = bytes.iter().any(|byte| *byte != 0),
            0xda => {
                let scan = bytes.get(1..).ok_or(short)?.chunks_exact(2);
                let scan: Vec<_> = scan.take(bytes[0].into()).collect();
                if scan.len() != components.len() {
                    return Err(Refusal::Scans);
                }
                for (component, (name, table)) in scan.iter().zip(&components) {
                    if component[0] != *name {
                        return Err(Refusal::Scans);
                    }
                    dc.expect(component[1] >> 4)?;
                    ac.expect(component[1] & 15)?;
                    quantization.expect(*table)?;
                }
            }
            // Those that stand alone, JPG, DAC, SOI, and other processes.
            marker @ (0x01 | 0xd0..=0xd9 | 0xc1..=0xcf) => return Err(Refusal::Marker(marker)),
            _ => {}
        }
    }
    if restarts && jpeg::trimmed(data).is_none() {
        return Err(Refusal::CutOff);
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
        assert_eq!(check(&cut), Err(Refusal::CutOff));
        cut.extend([1, 2, 0xff, 0xd9]);
        assert_eq!(check(&cut), Ok(()));
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
