// SPDX-License-Identifier: MIT OR Apache-2.0
//! As much of JPEG (ITU-T T.81, annex B) as it takes to find where a frame
//! begins and ends and how big its picture is.

/// How far before a chunk's end its JPEG may end and still be found without
/// walking the whole picture: the 7 bytes of padding MaixPy rounds a frame up
/// with, and the marker itself.
const TAIL: usize = 9;

/// The size and layout of a picture, from its frame header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Width in pixels, 1 to 65535.
    pub width: u16,
    /// Height in lines; 0 when the file leaves it to a later marker.
    pub height: u16,
    /// Bits a sample, 8 for baseline.
    pub precision: u8,
    /// The marker's low byte: 0xC0 is baseline, 0xC2 progressive.
    pub marker: u8,
    /// The horizontal and vertical sampling factors of each component.
    pub sampling: Vec<(u8, u8)>,
}

impl Frame {
    /// Whether the K210 and other hardware decoders can take it: baseline,
    /// 8 bits.
    pub fn is_baseline(&self) -> bool {
        self.marker == 0xC0 && self.precision == 8
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

/// The length of the picture when it ends in the chunk's last bytes. Coded
/// data never contains the end marker, so the first one there is the true
/// one, even if the padding after it (MaixPy leaves old memory there) holds
/// another.
pub fn end_in_tail(data: &[u8]) -> Option<usize> {
    let from = data.len().saturating_sub(TAIL);
    let tail = &data[from..];
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
    if let Some(end) = end_in_tail(&data[..used]) {
        return Some(end);
    }
    let mut end = match walk(data) {
        End::At(end) => end,
        End::Short | End::Broken(_) => return None,
    };
    while let Some(second) = data[end..].iter().position(|&b| b != 0) {
        let from = end + second;
        match (begins(&data[from..]), walk(&data[from..])) {
            (true, End::At(len)) => end = from + len,
            _ => break,
        }
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
        // A marker: any number of fill bytes, then its code.
        let Some(&first) = data.get(at) else {
            return End::Short;
        };
        if first != 0xFF {
            return End::Broken(at);
        }
        while data.get(at) == Some(&0xFF) {
            at += 1;
        }
        let Some(&code) = data.get(at) else {
            return End::Short;
        };
        at += 1;
        match code {
            0xD9 if frame_seen => return End::At(at),
            // Standalone markers and codes that cannot be here.
            0x00..=0xBF | 0xD0..=0xD9 => return End::Broken(at - 1),
            _ => {}
        }
        let Some(length) = data.get(at..at + 2) else {
            return End::Short;
        };
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        if length < 2 {
            return End::Broken(at);
        }
        if is_frame_header(code) {
            frame_seen = true;
        }
        at += length;
        if code == 0xDA {
            match scan_end(data, at) {
                Some(marker) => at = marker,
                None => return End::Short,
            }
        }
    }
}

/// The next marker after coded data that begins at `from`.
fn scan_end(data: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += data.get(at..)?.iter().position(|&b| b == 0xFF)?;
        match data.get(at + 1)? {
            // A stuffed zero, a restart marker.
            0x00 | 0xD0..=0xD7 => at += 2,
            0xFF => at += 1,
            _ => return Some(at),
        }
    }
}

fn is_frame_header(code: u8) -> bool {
    matches!(code, 0xC0..=0xCF) && !matches!(code, 0xC4 | 0xC8 | 0xCC)
}

/// The frame header of the picture that starts a slice.
pub fn frame(data: &[u8]) -> Option<Frame> {
    if !begins(data) {
        return None;
    }
    let mut at = 2;
    loop {
        while data.get(at)? == &0xFF {
            at += 1;
        }
        let code = *data.get(at)?;
        at += 1;
        if matches!(code, 0x00 | 0xD0..=0xDA) {
            return None;
        }
        let length = usize::from(u16::from_be_bytes([*data.get(at)?, *data.get(at + 1)?]));
        let body = data.get(at + 2..at + length)?;
        if is_frame_header(code) {
            let count = usize::from(*body.get(5)?);
            let sampling = body
                .get(6..6 + count * 3)?
                .chunks_exact(3)
                .map(|c| (c[1] >> 4, c[1] & 15))
                .collect();
            return Some(Frame {
                width: u16::from_be_bytes([body[3], body[4]]),
                height: u16::from_be_bytes([body[1], body[2]]),
                precision: body[0],
                marker: code,
                sampling,
            });
        }
        at += length;
        if data.get(at)? != &0xFF {
            return None;
        }
    }
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
        let frame = frame(&picture()).expect("a frame header");
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
}
