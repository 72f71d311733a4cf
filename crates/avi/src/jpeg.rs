// SPDX-License-Identifier: MIT OR Apache-2.0
//! As much of JPEG (ITU-T T.81, annex B) as it takes to find where a picture begins and ends, how
//! big it is and how it is coded, and to read its coded data ([`scan`]).
//!
//! All markers are read by one walk: [`Segments`] follows those before a picture's data, [`walk`] goes
//! on behind them to the picture's end.

#![warn(clippy::indexing_slicing)]

pub mod scan;

/// How far before a chunk's end its JPEG may end and still be found without
/// walking the whole picture: the 7 bytes of padding MaixPy rounds a frame up
/// with, and the marker itself.
const TAIL: usize = 9;

/// Bytes that may stand before a picture in its chunk: the lines of a multipart stream's head are longer
/// than anything else that recorders leave there.
pub const LEAD: usize = 4096;

/// What a JPEG says of itself in its frame header (`SOFn`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameHeader {
    /// How it is coded: `n` of `SOFn`. 0 is baseline, 2 progressive.
    pub process: u8,
    /// Bits a sample; 8 in baseline.
    pub precision: u8,
    /// Pixels; 0 only in broken pictures.
    pub width: u16,
    /// Lines; 0 when the file leaves it to a later marker.
    pub height: u16,
    /// The horizontal and vertical sampling factors of each component.
    pub sampling: Vec<(u8, u8)>,
}

/// Why a picture has no frame header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JpegError {
    /// No start of image.
    #[error("it does not start with a JPEG's start marker")]
    NotJpeg,
    /// The bytes end.
    #[error("it ends before its frame header")]
    Truncated,
    /// There is something else than a marker at this offset.
    #[error("a marker is missing at byte {0}")]
    NoMarker(usize),
    /// The length at this offset is less than the 2 bytes it takes itself.
    #[error("the segment at byte {0} is shorter than its length")]
    Length(usize),
    /// A start of scan or end of image is first.
    #[error("its picture data come before a frame header")]
    NoFrameHeader,
}

impl FrameHeader {
    /// Whether it is coded in the baseline process, the only one that small decoders know.
    pub fn is_baseline(&self) -> bool {
        self.process == 0 && self.precision == 8
    }

    /// Finds and reads the frame header of the JPEG that `data` starts with.
    ///
    /// Only the segments before the picture's data are looked at, so the start of a picture is
    /// enough (some hundred bytes, unless there are large application segments).
    pub fn parse(data: &[u8]) -> Result<Self, JpegError> {
        for segment in Segments::of(data)? {
            let segment = segment?;
            match segment.marker {
                marker if is_frame_header(marker) => return segment.frame_header(),
                // Too late for a frame header.
                0xda | 0xd9 => return Err(JpegError::NoFrameHeader),
                _ => {}
            }
        }
        Err(JpegError::NoFrameHeader)
    }

    /// The sampling by GStreamer's name for it in `image/jpeg` caps.
    pub fn sampling_name(&self) -> Option<&'static str> {
        match self.sampling.as_slice() {
            [_] => Some("GRAYSCALE"),
            [y, (1, 1), (1, 1)] => match y {
                (1, 1) => Some("YCbCr-4:4:4"),
                (2, 1) => Some("YCbCr-4:2:2"),
                (2, 2) => Some("YCbCr-4:2:0"),
                (1, 2) => Some("YCbCr-4:4:0"),
                (4, 1) => Some("YCbCr-4:1:1"),
                _ => None,
            },
            _ => None,
        }
    }
}

/// A marker, and what it stands before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment<'a> {
    /// The marker's second byte.
    pub marker: u8,
    /// What follows the segment's length, as far as it is there; nothing for a marker that stands alone.
    pub data: &'a [u8],
    /// Where the next segment begins, or the picture's data after a start of scan.
    pub end: usize,
}

impl Segment<'_> {
    /// Reads the data of a `SOFn`.
    pub fn frame_header(&self) -> Result<FrameHeader, JpegError> {
        let head = self.data.split_first_chunk();
        let ([precision, h1, h2, w1, w2, count], rest) = head.ok_or(JpegError::Truncated)?;
        let components = rest.get(..3 * usize::from(*count));
        let components = components.ok_or(JpegError::Truncated)?.as_chunks().0;
        Ok(FrameHeader {
            process: self.marker.saturating_sub(0xc0),
            precision: *precision,
            height: u16::from_be_bytes([*h1, *h2]),
            width: u16::from_be_bytes([*w1, *w2]),
            sampling: components
                .iter()
                .map(|[_, sampling, _]| (sampling >> 4, sampling & 15))
                .collect(),
        })
    }
}

/// The segments of a JPEG up to its picture's data, or to its end if that comes first: the
/// last is then a start of scan (`0xda`) or end of image (`0xd9`).
#[derive(Debug, Clone)]
pub struct Segments<'a> {
    data: &'a [u8],
    /// Where the next one is; `None` behind the last.
    at: Option<usize>,
}

impl<'a> Segments<'a> {
    /// The segments of the JPEG that `data` starts with.
    pub fn of(data: &'a [u8]) -> Result<Self, JpegError> {
        match data.starts_with(&[0xff, 0xd8]) {
            true => Ok(Self { data, at: Some(2) }),
            false => Err(JpegError::NotJpeg),
        }
    }
}

impl<'a> Segment<'a> {
    /// The segment that begins at a place: any number of fill bytes (B.1.1.2), its marker, its data.
    fn read(picture: &'a [u8], mut at: usize) -> Result<Self, JpegError> {
        let byte = |at: usize| picture.get(at).copied().ok_or(JpegError::Truncated);
        if byte(at)? != 0xff {
            return Err(JpegError::NoMarker(at));
        }
        while byte(at)? == 0xff {
            at += 1;
        }
        let marker = byte(at)?;
        at += 1;
        let mut data: &[u8] = &[];
        match marker {
            0x00 => return Err(JpegError::NoMarker(at - 1)),
            // Markers that stand alone: TEM, RSTn, SOI, EOI.
            0x01 | 0xd0..=0xd9 => {}
            _ => {
                let length = usize::from(u16::from_be_bytes([byte(at)?, byte(at + 1)?]));
                if length < 2 {
                    return Err(JpegError::Length(at));
                }
                let end = (at + length).min(picture.len());
                data = picture.get(at + 2..end).unwrap_or_default();
                at += length;
            }
        }
        let end = at;
        Ok(Self { marker, data, end })
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = Result<Segment<'a>, JpegError>;

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at.take()?;
        let segment = Segment::read(self.data, at);
        if let Ok(Segment { marker, end, .. }) = segment
            && !matches!(marker, 0xda | 0xd9)
        {
            self.at = Some(end);
        }
        Some(segment)
    }
}

/// Where the picture that starts a slice ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// After this many bytes, the end marker included.
    At(usize),
    /// The slice ends before the picture does.
    Short,
    /// At this offset there is something no JPEG has.
    Broken(usize),
}

/// Whether the bytes begin as a JPEG does: SOI and the first byte of another
/// marker.
pub fn begins(data: &[u8]) -> bool {
    data.starts_with(&[0xFF, 0xD8, 0xFF])
}

/// Where the picture begins in a chunk: some recorders put fill bytes, zeros, a line end or a line of
/// a multipart stream before it, a few bytes in all.
pub fn start(data: &[u8]) -> Option<usize> {
    if begins(data) {
        return Some(0);
    }
    let data = data.get(..LEAD + 3).unwrap_or(data);
    memchr::memmem::find(data, &[0xFF, 0xD8, 0xFF])
}

/// The length of the picture when it ends in the chunk's last bytes. Coded
/// data never contains the end marker, so the first one there is the true
/// one, even if the padding after it (MaixPy leaves old memory there) holds
/// another.
pub fn end_in_tail(data: &[u8]) -> Option<usize> {
    let from = data.len().saturating_sub(TAIL);
    let tail = data.get(from..)?;
    tail.windows(2)
        .position(|w| w == [0xFF, 0xD9])
        .map(|at| from + at + 2)
}

/// The length of the picture or pictures (interlaced Motion JPEG has two in a
/// chunk) that fill a chunk, without the padding after the last; `None` if no
/// end marker is found.
pub fn trimmed(data: &[u8]) -> Option<usize> {
    if let Some(end) = end_in_tail(data) {
        return Some(end);
    }
    // Longer padding: zeros are the usual kind, and cheap to step over.
    let used = data.iter().rposition(|&b| b != 0).map_or(0, |at| at + 1);
    if let Some(end) = end_in_tail(data.get(..used)?) {
        return Some(end);
    }
    let mut end = match walk(data) {
        End::At(end) => end,
        End::Short | End::Broken(_) => return None,
    };
    while let Some(rest) = data.get(end..)
        && let Some(second) = rest.iter().position(|&b| b != 0)
        && let Some(rest) = rest.get(second..)
        && begins(rest)
        && let End::At(len) = walk(rest)
    {
        end += second + len;
    }
    Some(end)
}

/// Follows the markers from the start of a picture to its end.
pub fn walk(data: &[u8]) -> End {
    if data.len() < 3 {
        return End::Short;
    }
    if !begins(data) {
        return End::Broken(0);
    }
    let mut at = 2;
    let mut frame_seen = false;
    loop {
        let segment = match Segment::read(data, at) {
            Ok(segment) => segment,
            Err(JpegError::NoMarker(at) | JpegError::Length(at)) => return End::Broken(at),
            Err(_) => return End::Short,
        };
        at = segment.end;
        match segment.marker {
            0xD9 if frame_seen => return End::At(at),
            // Those that stand alone, and codes that cannot be here.
            0x00..=0xBF | 0xD0..=0xD9 => return End::Broken(at - 1),
            0xDA => match scan_end(data, at) {
                Some(marker) => at = marker,
                None => return End::Short,
            },
            marker => frame_seen |= is_frame_header(marker),
        }
    }
}

/// Whether a picture, cut off or not, has a head and some of its coded data: enough for a decoder to show the upper
/// part of it.
pub fn begins_scan(data: &[u8]) -> bool {
    let Ok(segments) = Segments::of(data) else {
        return false;
    };
    let mut frame_seen = false;
    for segment in segments {
        match segment {
            Ok(Segment {
                marker: 0xDA, end, ..
            }) => return frame_seen && end < data.len(),
            Ok(segment) => frame_seen |= is_frame_header(segment.marker),
            Err(_) => return false,
        }
    }
    false
}

/// The next marker after coded data that begins at `from`.
fn scan_end(data: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += memchr::memchr(0xFF, data.get(at..)?)?;
        match data.get(at + 1)? {
            // A stuffed zero, a restart marker.
            0x00 | 0xD0..=0xD7 => at += 2,
            0xFF => at += 1,
            _ => return Some(at),
        }
    }
}

/// SOF0 to SOF15, but for DHT, JPG and DAC.
fn is_frame_header(code: u8) -> bool {
    matches!(code, 0xC0..=0xCF) && !matches!(code, 0xC4 | 0xC8 | 0xCC)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture that is legal as far as markers go.
    fn picture() -> Vec<u8> {
        let mut v = vec![0xFF, 0xD8, 0xFF, 0xE0, 0, 4, 1, 2];
        v.extend([0xFF, 0xC0, 0, 17, 8, 0, 240, 1, 64, 3]);
        v.extend([1, 0x21, 0, 2, 0x11, 1, 3, 0x11, 1]);
        v.extend([0xFF, 0xDA, 0, 2, 1, 2, 0xFF, 0, 3, 0xFF, 0xD0, 9]);
        v.extend([0xFF, 0xD9]);
        v
    }

    #[test]
    fn finds_size_and_sampling() {
        let frame = FrameHeader::parse(&picture()).expect("a frame header");
        assert_eq!((frame.width, frame.height), (320, 240));
        assert_eq!(frame.sampling_name(), Some("YCbCr-4:2:2"));
        assert!(frame.is_baseline());
    }

    #[test]
    fn walks_to_the_end_and_no_further() {
        let mut data = picture();
        let len = data.len();
        assert_eq!(walk(&data), End::At(len));
        data.extend(picture());
        assert_eq!(walk(&data), End::At(len));
        for cut in 0..len {
            assert!(matches!(walk(&picture()[..cut]), End::Short), "{cut}");
        }
    }

    #[test]
    fn a_picture_has_something_to_show_once_its_scan_begins() {
        let picture = picture();
        // Its data begins 8 bytes before the end marker.
        let scan = picture.len() - 10;
        for cut in 0..=picture.len() {
            assert_eq!(begins_scan(&picture[..cut]), cut > scan, "{cut}");
        }
        assert!(!begins_scan(&[0xFF, 0xD8, 0xFF, 0xDA, 0, 2, 1, 2]));
    }

    #[test]
    fn padding_is_cut_whatever_is_in_it() {
        let whole = picture();
        for pad in 0..8 {
            let mut data = whole.clone();
            data.extend(vec![0xAA; pad]);
            assert_eq!(
                trimmed(&data),
                Some(whole.len()),
                "{pad} bytes of old memory"
            );
        }
        let mut data = whole.clone();
        data.extend([0x12, 0xFF, 0xD9]);
        assert_eq!(trimmed(&data), Some(whole.len()), "an older end marker");
        let mut data = whole.clone();
        data.extend([0; 500]);
        assert_eq!(trimmed(&data), Some(whole.len()));
        let mut data = whole.clone();
        data.extend([3; 500]);
        assert_eq!(trimmed(&data), Some(whole.len()));
    }

    #[test]
    fn two_fields_stay_together() {
        let mut data = picture();
        data.extend([0; 20]);
        data.extend(picture());
        let len = data.len();
        data.extend([7; 40]);
        assert_eq!(trimmed(&data), Some(len));
    }

    #[test]
    fn a_picture_without_end_has_none() {
        let data = picture();
        assert_eq!(trimmed(&data[..data.len() - 2]), None);
    }

    /// A start marker, an application segment, fill bytes and a frame header of 320x240.
    const START: &[u8] = &[
        0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xff, 0xc0, 0, 17, 8, 0, 240, 1, 64, 3, 1, 0x22,
        0, 2, 0x11, 1, 3, 0x11, 1,
    ];

    #[test]
    fn reads_a_frame_header() {
        let header = FrameHeader::parse(START).unwrap();
        assert_eq!((header.width, header.height), (320, 240));
        assert!(header.is_baseline());
        assert_eq!(header.sampling, [(2, 2), (1, 1), (1, 1)]);
    }

    #[test]
    fn names_what_is_wrong() {
        assert_eq!(FrameHeader::parse(b""), Err(JpegError::NotJpeg));
        assert_eq!(FrameHeader::parse(b"BM"), Err(JpegError::NotJpeg));
        for length in 2..START.len() {
            assert_eq!(
                FrameHeader::parse(&START[..length]),
                Err(JpegError::Truncated),
                "{length}"
            );
        }
        assert_eq!(
            FrameHeader::parse(&[0xff, 0xd8, 0x12]),
            Err(JpegError::NoMarker(2))
        );
        assert_eq!(
            FrameHeader::parse(&[0xff, 0xd8, 0xff, 0xda, 0, 2]),
            Err(JpegError::NoFrameHeader)
        );
    }
}
