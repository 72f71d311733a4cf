// SPDX-License-Identifier: MIT OR Apache-2.0
//! A JPEG's frame header: what an AVI needs to know of the pictures in it.

/// What a JPEG says of itself in its frame header (`SOFn`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// How it is coded: `n` of `SOFn`. 0 is baseline, 2 progressive.
    pub process: u8,
    /// Bits a sample; 8 in baseline.
    pub precision: u8,
    /// Pixels; 0 only in broken pictures.
    pub width: u16,
    pub height: u16,
    /// 1 for grey, 3 for colour.
    pub components: u8,
    /// Sampling of the first component, horizontal in the upper four bits.
    pub sampling: u8,
}

/// Why a picture has no frame header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JpegError {
    #[error("it does not start with a JPEG's start marker")]
    NotJpeg,
    #[error("it ends before its frame header")]
    Truncated,
    #[error("a marker is missing at byte {0}")]
    NoMarker(usize),
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
        if !data.starts_with(&[0xff, 0xd8]) {
            return Err(JpegError::NotJpeg);
        }
        let mut at = 2;
        loop {
            if *data.get(at).ok_or(JpegError::Truncated)? != 0xff {
                return Err(JpegError::NoMarker(at));
            }
            // Any number of fill bytes may precede a marker (ITU-T T.81, B.1.1.2).
            while *data.get(at).ok_or(JpegError::Truncated)? == 0xff {
                at += 1;
            }
            let marker = data[at];
            at += 1;
            match marker {
                // SOF0 to SOF15, but for DHT, JPG and DAC.
                0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                    let segment = data.get(at..at + 10).ok_or(JpegError::Truncated)?;
                    return Ok(Self {
                        process: marker - 0xc0,
                        precision: segment[2],
                        height: u16::from_be_bytes([segment[3], segment[4]]),
                        width: u16::from_be_bytes([segment[5], segment[6]]),
                        components: segment[7],
                        sampling: segment[9],
                    });
                }
                // Start of scan, end of image: too late for a frame header.
                0xda | 0xd9 => return Err(JpegError::NoFrameHeader),
                // Markers that stand alone: TEM, RSTn, SOI.
                0x01 | 0xd0..=0xd8 => {}
                _ => {
                    let length = data.get(at..at + 2).ok_or(JpegError::Truncated)?;
                    at += usize::from(u16::from_be_bytes([length[0], length[1]])).max(2);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A start marker, an application segment, fill bytes and a frame header of 320x240.
    const START: &[u8] = &[
        0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xff, 0xc0, 0, 17, 8, 0, 240, 1, 64, 3, 1, 0x22,
        0,
    ];

    #[test]
    fn reads_a_frame_header() {
        let header = FrameHeader::parse(START).unwrap();
        assert_eq!((header.width, header.height), (320, 240));
        assert!(header.is_baseline());
        assert_eq!((header.components, header.sampling), (3, 0x22));
    }

    #[test]
    fn names_what_is_wrong() {
        assert_eq!(FrameHeader::parse(b""), Err(JpegError::NotJpeg));
        assert_eq!(FrameHeader::parse(b"BM"), Err(JpegError::NotJpeg));
        for length in 2..20 {
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
            FrameHeader::parse(&[0xff, 0xd8, 0xff, 0xda]),
            Err(JpegError::NoFrameHeader)
        );
    }
}
