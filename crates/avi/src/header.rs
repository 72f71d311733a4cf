// SPDX-License-Identifier: MIT OR Apache-2.0
//! The structures of an AVI file, as bytes and as types.
//!
//! Every structure can be written (`to_bytes`) and parsed (`parse`); all numbers are
//! little endian. Names of fields follow Microsoft's `avih`, `strh`, `BITMAPINFOHEADER`
//! and `WAVEFORMATEX` and the *OpenDML AVI File Format Extensions* (version 1.02), whose
//! sections are named where a number comes from them. The values are the file's: nothing
//! here judges whether they make sense together.

use std::fmt;

/// A structure that is shorter than its format allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} needs at least {need} bytes, there are {have}")]
pub struct Truncated {
    /// The structure, by the name of its chunk.
    pub what: &'static str,
    /// The least number of bytes it has.
    pub need: usize,
    /// The number of bytes found.
    pub have: usize,
}

/// Checks that `bytes` can hold the least of a structure.
fn at_least(what: &'static str, bytes: &[u8], need: usize) -> Result<(), Truncated> {
    if bytes.len() < need {
        return Err(Truncated {
            what,
            need,
            have: bytes.len(),
        });
    }
    Ok(())
}

/// The `N` bytes at `offset`; zeros stand for bytes that a short structure left out.
fn array<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    let mut out = [0; N];
    for (i, byte) in out.iter_mut().enumerate() {
        *byte = bytes.get(offset + i).copied().unwrap_or(0);
    }
    out
}

fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes(array(bytes, offset))
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(array(bytes, offset))
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(array(bytes, offset))
}

/// A four-character code: the name of a chunk, a list, a codec.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FourCc(pub [u8; 4]);

impl FourCc {
    pub const RIFF: Self = Self(*b"RIFF");
    pub const LIST: Self = Self(*b"LIST");
    pub const JUNK: Self = Self(*b"JUNK");
    /// The form of the first RIFF of a file.
    pub const AVI: Self = Self(*b"AVI ");
    /// The form of the further RIFFs of an OpenDML file.
    pub const AVIX: Self = Self(*b"AVIX");
    pub const HDRL: Self = Self(*b"hdrl");
    pub const AVIH: Self = Self(*b"avih");
    pub const STRL: Self = Self(*b"strl");
    pub const STRH: Self = Self(*b"strh");
    pub const STRF: Self = Self(*b"strf");
    pub const STRD: Self = Self(*b"strd");
    pub const STRN: Self = Self(*b"strn");
    pub const MOVI: Self = Self(*b"movi");
    pub const REC: Self = Self(*b"rec ");
    pub const IDX1: Self = Self(*b"idx1");
    /// An OpenDML index in a stream's list: a super index, or a standard index.
    pub const INDX: Self = Self(*b"indx");
    pub const ODML: Self = Self(*b"odml");
    pub const DMLH: Self = Self(*b"dmlh");
    pub const INFO: Self = Self(*b"INFO");
    /// INFO: title.
    pub const INAM: Self = Self(*b"INAM");
    /// INFO: artist.
    pub const IART: Self = Self(*b"IART");
    /// INFO: date of creation.
    pub const ICRD: Self = Self(*b"ICRD");
    /// INFO: software.
    pub const ISFT: Self = Self(*b"ISFT");
    /// INFO: comment.
    pub const ICMT: Self = Self(*b"ICMT");
    /// Stream type: video.
    pub const VIDS: Self = Self(*b"vids");
    /// Stream type: audio.
    pub const AUDS: Self = Self(*b"auds");
    pub const MJPG: Self = Self(*b"MJPG");

    /// The name of a compressed video chunk of a stream, `00dc`. Streams are numbered 0 to 99.
    pub const fn video_chunk(stream: u8) -> Self {
        Self::of_stream(stream, *b"dc")
    }

    /// The name of an audio chunk of a stream, `01wb`. Streams are numbered 0 to 99.
    pub const fn audio_chunk(stream: u8) -> Self {
        Self::of_stream(stream, *b"wb")
    }

    /// The name of a stream's standard index, `ix00` (OpenDML, "Standard Index Chunk").
    pub const fn standard_index(stream: u8) -> Self {
        Self([b'i', b'x', b'0' + stream / 10 % 10, b'0' + stream % 10])
    }

    const fn of_stream(stream: u8, kind: [u8; 2]) -> Self {
        Self([
            b'0' + stream / 10 % 10,
            b'0' + stream % 10,
            kind[0],
            kind[1],
        ])
    }

    /// The stream of a chunk in `movi` and its kind (`dc`, `db`, `wb`, ...), when the name has
    /// the form of such a chunk's: two decimal digits first.
    pub const fn stream_and_kind(self) -> Option<(u8, [u8; 2])> {
        let [tens, ones, a, b] = self.0;
        if !tens.is_ascii_digit() || !ones.is_ascii_digit() {
            return None;
        }
        Some(((tens - b'0') * 10 + (ones - b'0'), [a, b]))
    }

    /// The stream of a standard index (`ix00`).
    pub const fn standard_index_stream(self) -> Option<u8> {
        match self.0 {
            [b'i', b'x', tens, ones] if tens.is_ascii_digit() && ones.is_ascii_digit() => {
                Some((tens - b'0') * 10 + (ones - b'0'))
            }
            _ => None,
        }
    }

    /// The code in the first four bytes of `bytes`, if there are as many.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        bytes.first_chunk().map(|code| Self(*code))
    }
}

impl fmt::Display for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}

impl fmt::Debug for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// The name and the payload's size in front of every chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkHeader {
    pub id: FourCc,
    /// Bytes of payload, without this header and without the padding.
    pub size: u32,
}

impl ChunkHeader {
    /// Bytes it takes.
    pub const SIZE: usize = 8;

    pub fn new(id: FourCc, size: u32) -> Self {
        Self { id, size }
    }

    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        out[..4].copy_from_slice(&self.id.0);
        out[4..].copy_from_slice(&self.size.to_le_bytes());
        out
    }

    pub fn parse(bytes: &[u8]) -> Result<Self, Truncated> {
        at_least("chunk", bytes, Self::SIZE)?;
        Ok(Self {
            id: FourCc(array(bytes, 0)),
            size: u32_at(bytes, 4),
        })
    }

    /// The size with the padding to an even number, which every chunk has.
    pub fn padded_size(self) -> u64 {
        padded(self.size.into())
    }
}

/// `size` rounded up to an even number, as chunks are.
pub const fn padded(size: u64) -> u64 {
    size + size % 2
}

/// The head of a `LIST` or `RIFF`: a chunk header and the list's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListHeader {
    /// `LIST` or `RIFF`.
    pub id: FourCc,
    /// Bytes that follow the size: the kind's four and the content's.
    pub size: u32,
    pub kind: FourCc,
}

impl ListHeader {
    /// Bytes it takes.
    pub const SIZE: usize = 12;

    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        out[..8].copy_from_slice(&ChunkHeader::new(self.id, self.size).to_bytes());
        out[8..].copy_from_slice(&self.kind.0);
        out
    }

    pub fn parse(bytes: &[u8]) -> Result<Self, Truncated> {
        at_least("list", bytes, Self::SIZE)?;
        Ok(Self {
            id: FourCc(array(bytes, 0)),
            size: u32_at(bytes, 4),
            kind: FourCc(array(bytes, 8)),
        })
    }
}

/// `avih`, the main header (`AVIMAINHEADER`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MainHeader {
    /// Microseconds between two frames: all that paces the K210's player.
    pub micro_sec_per_frame: u32,
    pub max_bytes_per_sec: u32,
    pub padding_granularity: u32,
    /// Of [`MainHeader::HAS_INDEX`] and its like.
    pub flags: u32,
    /// Frames of the first video stream in the first RIFF.
    pub total_frames: u32,
    pub initial_frames: u32,
    pub streams: u32,
    pub suggested_buffer_size: u32,
    pub width: u32,
    pub height: u32,
}

impl MainHeader {
    /// Bytes of payload, the four reserved words included.
    pub const SIZE: usize = 56;

    /// The file has an `idx1`.
    pub const HAS_INDEX: u32 = 0x10;
    /// The order of presentation is the index's, not the chunks'.
    pub const MUST_USE_INDEX: u32 = 0x20;
    pub const IS_INTERLEAVED: u32 = 0x100;
    /// The index's key frame flags can be trusted.
    pub const TRUST_CHUNK_TYPE: u32 = 0x800;

    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        let fields = [
            self.micro_sec_per_frame,
            self.max_bytes_per_sec,
            self.padding_granularity,
            self.flags,
            self.total_frames,
            self.initial_frames,
            self.streams,
            self.suggested_buffer_size,
            self.width,
            self.height,
        ];
        for (slot, field) in out.chunks_exact_mut(4).zip(fields) {
            slot.copy_from_slice(&field.to_le_bytes());
        }
        out
    }

    /// Parses the chunk's payload; the reserved words may be missing.
    pub fn parse(bytes: &[u8]) -> Result<Self, Truncated> {
        at_least("avih", bytes, 40)?;
        Ok(Self {
            micro_sec_per_frame: u32_at(bytes, 0),
            max_bytes_per_sec: u32_at(bytes, 4),
            padding_granularity: u32_at(bytes, 8),
            flags: u32_at(bytes, 12),
            total_frames: u32_at(bytes, 16),
            initial_frames: u32_at(bytes, 20),
            streams: u32_at(bytes, 24),
            suggested_buffer_size: u32_at(bytes, 28),
            width: u32_at(bytes, 32),
            height: u32_at(bytes, 36),
        })
    }
}

/// `strh`, a stream's header (`AVISTREAMHEADER`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamHeader {
    /// [`FourCc::VIDS`] or [`FourCc::AUDS`].
    pub kind: FourCc,
    /// The codec: [`FourCc::MJPG`], zeros for PCM.
    pub handler: FourCc,
    pub flags: u32,
    pub priority: u16,
    pub language: u16,
    pub initial_frames: u32,
    /// `rate / scale` is frames, or blocks of samples, a second.
    pub scale: u32,
    pub rate: u32,
    /// When the stream starts, in units of `scale / rate`.
    pub start: u32,
    /// The stream's length in units of `scale / rate`.
    pub length: u32,
    pub suggested_buffer_size: u32,
    /// 0 to 10 000; -1 for the codec's default.
    pub quality: u32,
    /// Bytes of a block of samples; 0 when each chunk is one sample, as in video.
    pub sample_size: u32,
    /// The destination rectangle: left, top, right, bottom.
    pub frame: [i16; 4],
}

impl StreamHeader {
    /// Bytes of payload.
    pub const SIZE: usize = 56;

    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        out[..4].copy_from_slice(&self.kind.0);
        out[4..8].copy_from_slice(&self.handler.0);
        out[8..12].copy_from_slice(&self.flags.to_le_bytes());
        out[12..14].copy_from_slice(&self.priority.to_le_bytes());
        out[14..16].copy_from_slice(&self.language.to_le_bytes());
        let words = [
            self.initial_frames,
            self.scale,
            self.rate,
            self.start,
            self.length,
            self.suggested_buffer_size,
            self.quality,
            self.sample_size,
        ];
        for (slot, word) in out[16..48].chunks_exact_mut(4).zip(words) {
            slot.copy_from_slice(&word.to_le_bytes());
        }
        for (slot, side) in out[48..].chunks_exact_mut(2).zip(self.frame) {
            slot.copy_from_slice(&side.to_le_bytes());
        }
        out
    }

    /// Parses the chunk's payload; the rectangle may be missing.
    pub fn parse(bytes: &[u8]) -> Result<Self, Truncated> {
        at_least("strh", bytes, 48)?;
        let mut frame = [0; 4];
        for (i, side) in frame.iter_mut().enumerate() {
            *side = i16::from_le_bytes(array(bytes, 48 + 2 * i));
        }
        Ok(Self {
            kind: FourCc(array(bytes, 0)),
            handler: FourCc(array(bytes, 4)),
            flags: u32_at(bytes, 8),
            priority: u16_at(bytes, 12),
            language: u16_at(bytes, 14),
            initial_frames: u32_at(bytes, 16),
            scale: u32_at(bytes, 20),
            rate: u32_at(bytes, 24),
            start: u32_at(bytes, 28),
            length: u32_at(bytes, 32),
            suggested_buffer_size: u32_at(bytes, 36),
            quality: u32_at(bytes, 40),
            sample_size: u32_at(bytes, 44),
            frame,
        })
    }
}

/// `strf` of a video stream (`BITMAPINFOHEADER`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BitmapInfo {
    pub width: i32,
    pub height: i32,
    pub planes: u16,
    pub bit_count: u16,
    pub compression: FourCc,
    pub size_image: u32,
    pub x_pels_per_meter: i32,
    pub y_pels_per_meter: i32,
    pub clr_used: u32,
    pub clr_important: u32,
}

impl BitmapInfo {
    /// Bytes of payload, which are also the structure's `biSize`.
    pub const SIZE: usize = 40;

    /// Motion JPEG of a size in pixels.
    pub fn mjpeg(width: u32, height: u32) -> Self {
        Self {
            width: width.try_into().unwrap_or(i32::MAX),
            height: height.try_into().unwrap_or(i32::MAX),
            planes: 1,
            bit_count: 24,
            compression: FourCc::MJPG,
            size_image: width.saturating_mul(height).saturating_mul(3),
            x_pels_per_meter: 0,
            y_pels_per_meter: 0,
            clr_used: 0,
            clr_important: 0,
        }
    }

    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        out[..4].copy_from_slice(&(Self::SIZE as u32).to_le_bytes());
        out[4..8].copy_from_slice(&self.width.to_le_bytes());
        out[8..12].copy_from_slice(&self.height.to_le_bytes());
        out[12..14].copy_from_slice(&self.planes.to_le_bytes());
        out[14..16].copy_from_slice(&self.bit_count.to_le_bytes());
        out[16..20].copy_from_slice(&self.compression.0);
        out[20..24].copy_from_slice(&self.size_image.to_le_bytes());
        out[24..28].copy_from_slice(&self.x_pels_per_meter.to_le_bytes());
        out[28..32].copy_from_slice(&self.y_pels_per_meter.to_le_bytes());
        out[32..36].copy_from_slice(&self.clr_used.to_le_bytes());
        out[36..].copy_from_slice(&self.clr_important.to_le_bytes());
        out
    }

    /// Parses the chunk's payload; what follows the compression may be missing.
    pub fn parse(bytes: &[u8]) -> Result<Self, Truncated> {
        at_least("strf", bytes, 20)?;
        Ok(Self {
            width: u32_at(bytes, 4) as i32,
            height: u32_at(bytes, 8) as i32,
            planes: u16_at(bytes, 12),
            bit_count: u16_at(bytes, 14),
            compression: FourCc(array(bytes, 16)),
            size_image: u32_at(bytes, 20),
            x_pels_per_meter: u32_at(bytes, 24) as i32,
            y_pels_per_meter: u32_at(bytes, 28) as i32,
            clr_used: u32_at(bytes, 32),
            clr_important: u32_at(bytes, 36),
        })
    }
}

/// `strf` of an audio stream (`WAVEFORMATEX`, `WAVEFORMATEXTENSIBLE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaveFormat {
    /// [`WaveFormat::PCM`], or another `WAVE_FORMAT_*`. An extensible format says here what
    /// the first two bytes of its sub-format say.
    pub format_tag: u16,
    pub channels: u16,
    /// Samples a second of each channel.
    pub samples_per_sec: u32,
    /// Bytes a second of all channels.
    pub avg_bytes_per_sec: u32,
    /// Bytes of one sample of all channels.
    pub block_align: u16,
    pub bits_per_sample: u16,
    /// The speakers of an extensible format, whose mask may be 0; `None` in the plain form.
    pub channel_mask: Option<u32>,
}

impl WaveFormat {
    /// `WAVE_FORMAT_PCM`
    pub const PCM: u16 = 1;
    /// `WAVE_FORMAT_EXTENSIBLE`
    pub const EXTENSIBLE: u16 = 0xfffe;
    /// Bytes of payload of the plain form (with its `cbSize` of 0).
    pub const PLAIN_SIZE: usize = 18;
    /// Bytes of payload of the extensible form.
    pub const EXTENSIBLE_SIZE: usize = 40;
    /// What follows the format tag in a sub-format's GUID (`KSDATAFORMAT_SUBTYPE_*`).
    const SUBTYPE_TAIL: [u8; 14] = [
        0x00, 0x00, 0x00, 0x00, 0x10, 0x00, 0x80, 0x00, 0x00, 0xaa, 0x00, 0x38, 0x9b, 0x71,
    ];

    /// Integer PCM of `bits_per_sample` (8 is unsigned, the rest signed).
    ///
    /// More than two channels or 16 bits ask for the extensible form (Microsoft, *Multiple
    /// channel audio data and WAVE files*), which then has `channel_mask`.
    pub fn pcm(samples_per_sec: u32, channels: u16, bits_per_sample: u16, mask: u32) -> Self {
        let block_align = channels.saturating_mul(bits_per_sample.div_ceil(8));
        Self {
            format_tag: Self::PCM,
            channels,
            samples_per_sec,
            avg_bytes_per_sec: samples_per_sec.saturating_mul(block_align.into()),
            block_align,
            bits_per_sample,
            channel_mask: (channels > 2 || bits_per_sample > 16).then_some(mask),
        }
    }

    /// The payload: [`WaveFormat::PLAIN_SIZE`] or [`WaveFormat::EXTENSIBLE_SIZE`] bytes.
    pub fn to_bytes(self) -> Vec<u8> {
        let tag = match self.channel_mask {
            Some(_) => Self::EXTENSIBLE,
            None => self.format_tag,
        };
        let mut out = Vec::with_capacity(Self::EXTENSIBLE_SIZE);
        out.extend(tag.to_le_bytes());
        out.extend(self.channels.to_le_bytes());
        out.extend(self.samples_per_sec.to_le_bytes());
        out.extend(self.avg_bytes_per_sec.to_le_bytes());
        out.extend(self.block_align.to_le_bytes());
        out.extend(self.bits_per_sample.to_le_bytes());
        match self.channel_mask {
            None => out.extend(0u16.to_le_bytes()),
            Some(mask) => {
                // cbSize, valid bits a sample, speakers, sub-format.
                out.extend(22u16.to_le_bytes());
                out.extend(self.bits_per_sample.to_le_bytes());
                out.extend(mask.to_le_bytes());
                out.extend(self.format_tag.to_le_bytes());
                out.extend(Self::SUBTYPE_TAIL);
            }
        }
        out
    }

    /// Parses the chunk's payload; the bits per sample of the oldest form may be missing.
    pub fn parse(bytes: &[u8]) -> Result<Self, Truncated> {
        at_least("strf", bytes, 14)?;
        let tag = u16_at(bytes, 0);
        let extensible = tag == Self::EXTENSIBLE && bytes.len() >= Self::EXTENSIBLE_SIZE;
        Ok(Self {
            format_tag: if extensible { u16_at(bytes, 24) } else { tag },
            channels: u16_at(bytes, 2),
            samples_per_sec: u32_at(bytes, 4),
            avg_bytes_per_sec: u32_at(bytes, 8),
            block_align: u16_at(bytes, 12),
            bits_per_sample: u16_at(bytes, 14),
            channel_mask: extensible.then(|| u32_at(bytes, 20)),
        })
    }
}

/// An entry of `idx1` (`AVIOLDINDEX`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OldIndexEntry {
    pub id: FourCc,
    /// Of [`OldIndexEntry::KEY_FRAME`] and its like.
    pub flags: u32,
    /// Where the chunk's header is, counted from the `movi` of its list (some files count
    /// from the start of the file).
    pub offset: u32,
    /// Bytes of the chunk's payload.
    pub size: u32,
}

impl OldIndexEntry {
    /// Bytes it takes.
    pub const SIZE: usize = 16;
    /// The chunk is a `rec ` list.
    pub const LIST: u32 = 0x01;
    pub const KEY_FRAME: u32 = 0x10;
    /// The chunk takes no time.
    pub const NO_TIME: u32 = 0x100;

    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        out[..4].copy_from_slice(&self.id.0);
        out[4..8].copy_from_slice(&self.flags.to_le_bytes());
        out[8..12].copy_from_slice(&self.offset.to_le_bytes());
        out[12..].copy_from_slice(&self.size.to_le_bytes());
        out
    }

    pub fn parse(bytes: &[u8]) -> Result<Self, Truncated> {
        at_least("idx1 entry", bytes, Self::SIZE)?;
        Ok(Self {
            id: FourCc(array(bytes, 0)),
            flags: u32_at(bytes, 4),
            offset: u32_at(bytes, 8),
            size: u32_at(bytes, 12),
        })
    }
}

/// What an OpenDML index chunk (`indx`, `ix00`) starts with, whatever its kind: the part that
/// tells the kinds apart (OpenDML, "The Index Chunk").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexPreamble {
    /// Words (of four bytes) in an entry: 4 in a super index, 2 in a standard index.
    pub longs_per_entry: u16,
    /// 1 when an entry has both fields of a frame.
    pub sub_type: u8,
    /// [`IndexPreamble::OF_INDEXES`] or [`IndexPreamble::OF_CHUNKS`].
    pub kind: u8,
    /// Entries in use; the chunk may have room for more.
    pub entries: u32,
    /// The stream's chunks, `00dc`.
    pub chunk_id: FourCc,
}

impl IndexPreamble {
    /// Bytes it takes.
    pub const SIZE: usize = 12;
    /// `AVI_INDEX_OF_INDEXES`: a super index.
    pub const OF_INDEXES: u8 = 0;
    /// `AVI_INDEX_OF_CHUNKS`: a standard index.
    pub const OF_CHUNKS: u8 = 1;
    /// Where the number of entries is, from the start of the chunk's payload.
    pub const ENTRIES_OFFSET: usize = 4;

    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        out[..2].copy_from_slice(&self.longs_per_entry.to_le_bytes());
        out[2] = self.sub_type;
        out[3] = self.kind;
        out[4..8].copy_from_slice(&self.entries.to_le_bytes());
        out[8..].copy_from_slice(&self.chunk_id.0);
        out
    }

    pub fn parse(bytes: &[u8]) -> Result<Self, Truncated> {
        at_least("indx", bytes, Self::SIZE)?;
        let [sub_type, kind] = array(bytes, 2);
        Ok(Self {
            longs_per_entry: u16_at(bytes, 0),
            sub_type,
            kind,
            entries: u32_at(bytes, 4),
            chunk_id: FourCc(array(bytes, 8)),
        })
    }
}

/// The fixed part of a stream's super index (`indx`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuperIndex {
    pub entries: u32,
    pub chunk_id: FourCc,
}

impl SuperIndex {
    /// Bytes of payload before the first entry, the three reserved words included.
    pub const SIZE: usize = 24;

    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        let preamble = IndexPreamble {
            longs_per_entry: 4,
            sub_type: 0,
            kind: IndexPreamble::OF_INDEXES,
            entries: self.entries,
            chunk_id: self.chunk_id,
        };
        out[..IndexPreamble::SIZE].copy_from_slice(&preamble.to_bytes());
        out
    }
}

/// An entry of a super index: where a standard index is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuperIndexEntry {
    /// Where the index chunk's header is, from the start of the file.
    pub offset: u64,
    /// Bytes of the index chunk, its header of 8 included (as other writers do it).
    pub size: u32,
    /// What the index covers, in units of the stream's `scale / rate`.
    pub duration: u32,
}

impl SuperIndexEntry {
    /// Bytes it takes.
    pub const SIZE: usize = 16;

    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        out[..8].copy_from_slice(&self.offset.to_le_bytes());
        out[8..12].copy_from_slice(&self.size.to_le_bytes());
        out[12..].copy_from_slice(&self.duration.to_le_bytes());
        out
    }

    pub fn parse(bytes: &[u8]) -> Result<Self, Truncated> {
        at_least("indx entry", bytes, Self::SIZE)?;
        Ok(Self {
            offset: u64_at(bytes, 0),
            size: u32_at(bytes, 8),
            duration: u32_at(bytes, 12),
        })
    }
}

/// The fixed part of a standard index (`ix00`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StandardIndex {
    pub entries: u32,
    pub chunk_id: FourCc,
    /// What the entries' offsets are counted from, from the start of the file.
    pub base_offset: u64,
}

impl StandardIndex {
    /// Bytes of payload before the first entry, the reserved word included.
    pub const SIZE: usize = 24;

    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        let preamble = IndexPreamble {
            longs_per_entry: 2,
            sub_type: 0,
            kind: IndexPreamble::OF_CHUNKS,
            entries: self.entries,
            chunk_id: self.chunk_id,
        };
        out[..IndexPreamble::SIZE].copy_from_slice(&preamble.to_bytes());
        out[12..20].copy_from_slice(&self.base_offset.to_le_bytes());
        out
    }

    /// Parses the chunk's payload, whose [`IndexPreamble`] said that it is a standard index.
    pub fn parse(bytes: &[u8]) -> Result<Self, Truncated> {
        at_least("ix", bytes, Self::SIZE)?;
        Ok(Self {
            entries: u32_at(bytes, 4),
            chunk_id: FourCc(array(bytes, 8)),
            base_offset: u64_at(bytes, 12),
        })
    }
}

/// An entry of a standard index: where a chunk's payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StandardIndexEntry {
    /// Where the payload is (not its header), from the index's base offset.
    pub offset: u32,
    /// Bytes of payload.
    pub size: u32,
    /// A picture that others are needed to decode.
    pub delta: bool,
}

impl StandardIndexEntry {
    /// Bytes it takes.
    pub const SIZE: usize = 8;
    /// The size's topmost bit marks a picture that is not a key frame.
    const DELTA: u32 = 1 << 31;

    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        let delta = if self.delta { Self::DELTA } else { 0 };
        out[..4].copy_from_slice(&self.offset.to_le_bytes());
        out[4..].copy_from_slice(&(self.size & !Self::DELTA | delta).to_le_bytes());
        out
    }

    pub fn parse(bytes: &[u8]) -> Result<Self, Truncated> {
        at_least("ix entry", bytes, Self::SIZE)?;
        let size = u32_at(bytes, 4);
        Ok(Self {
            offset: u32_at(bytes, 0),
            size: size & !Self::DELTA,
            delta: size & Self::DELTA != 0,
        })
    }
}

/// `dmlh`, the extended header: the frames of all RIFFs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExtendedHeader {
    pub total_frames: u32,
}

impl ExtendedHeader {
    /// Bytes of payload (OpenDML, "Extended AVI header": one word and 61 reserved ones).
    pub const SIZE: usize = 248;

    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        out[..4].copy_from_slice(&self.total_frames.to_le_bytes());
        out
    }

    pub fn parse(bytes: &[u8]) -> Result<Self, Truncated> {
        at_least("dmlh", bytes, 4)?;
        Ok(Self {
            total_frames: u32_at(bytes, 0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_streams() {
        assert_eq!(FourCc::video_chunk(0), FourCc(*b"00dc"));
        assert_eq!(FourCc::audio_chunk(12), FourCc(*b"12wb"));
        assert_eq!(FourCc::standard_index(7), FourCc(*b"ix07"));
        assert_eq!(FourCc(*b"42db").stream_and_kind(), Some((42, *b"db")));
        assert_eq!(FourCc::JUNK.stream_and_kind(), None);
        assert_eq!(FourCc(*b"ix31").standard_index_stream(), Some(31));
        assert_eq!(FourCc::IDX1.standard_index_stream(), None);
        assert_eq!(FourCc(*b"a\0\xff ").to_string(), r"a\x00\xff ");
    }

    #[test]
    fn chunks_and_lists() {
        let chunk = ChunkHeader::new(FourCc::JUNK, 5);
        assert_eq!(&chunk.to_bytes(), b"JUNK\x05\0\0\0");
        assert_eq!(ChunkHeader::parse(&chunk.to_bytes()), Ok(chunk));
        assert_eq!(chunk.padded_size(), 6);
        assert_eq!(
            ChunkHeader::new(FourCc::JUNK, u32::MAX).padded_size(),
            1 << 32
        );
        assert!(ChunkHeader::parse(b"JUNK\x05\0\0").is_err());

        let list = ListHeader {
            id: FourCc::LIST,
            size: 4,
            kind: FourCc::MOVI,
        };
        assert_eq!(&list.to_bytes(), b"LIST\x04\0\0\0movi");
        assert_eq!(ListHeader::parse(&list.to_bytes()), Ok(list));
    }

    #[test]
    fn headers_survive_a_round_trip() {
        let main = MainHeader {
            micro_sec_per_frame: 33_367,
            max_bytes_per_sec: 2,
            padding_granularity: 3,
            flags: MainHeader::HAS_INDEX | MainHeader::IS_INTERLEAVED,
            total_frames: 5,
            initial_frames: 6,
            streams: 7,
            suggested_buffer_size: 8,
            width: 320,
            height: 240,
        };
        assert_eq!(MainHeader::parse(&main.to_bytes()), Ok(main));
        assert_eq!(MainHeader::parse(&main.to_bytes()[..40]), Ok(main));
        assert!(MainHeader::parse(&main.to_bytes()[..39]).is_err());

        let stream = StreamHeader {
            kind: FourCc::VIDS,
            handler: FourCc::MJPG,
            flags: 1,
            priority: 2,
            language: 3,
            initial_frames: 4,
            scale: 1001,
            rate: 30_000,
            start: 5,
            length: 6,
            suggested_buffer_size: 7,
            quality: u32::MAX,
            sample_size: 8,
            frame: [-1, 2, 320, 240],
        };
        assert_eq!(StreamHeader::parse(&stream.to_bytes()), Ok(stream));
        let short = StreamHeader::parse(&stream.to_bytes()[..48]).unwrap();
        assert_eq!(short.sample_size, 8);
        assert_eq!(short.frame, [0; 4]);

        let bitmap = BitmapInfo::mjpeg(320, 240);
        assert_eq!(BitmapInfo::parse(&bitmap.to_bytes()), Ok(bitmap));
        assert_eq!(bitmap.size_image, 230_400);
    }

    #[test]
    fn wave_formats() {
        let stereo = WaveFormat::pcm(44_100, 2, 16, 3);
        assert_eq!(stereo.block_align, 4);
        assert_eq!(stereo.avg_bytes_per_sec, 176_400);
        assert_eq!(stereo.to_bytes().len(), WaveFormat::PLAIN_SIZE);
        assert_eq!(WaveFormat::parse(&stereo.to_bytes()), Ok(stereo));

        let surround = WaveFormat::pcm(192_000, 6, 24, 0x3f);
        let bytes = surround.to_bytes();
        assert_eq!(bytes.len(), WaveFormat::EXTENSIBLE_SIZE);
        assert_eq!(bytes[..2], WaveFormat::EXTENSIBLE.to_le_bytes());
        assert_eq!(WaveFormat::parse(&bytes), Ok(surround));
        // An extensible format cut short still says its rate and channels.
        let cut = WaveFormat::parse(&bytes[..18]).unwrap();
        assert_eq!((cut.format_tag, cut.channels), (WaveFormat::EXTENSIBLE, 6));
    }

    #[test]
    fn indexes() {
        let entry = OldIndexEntry {
            id: FourCc::video_chunk(0),
            flags: OldIndexEntry::KEY_FRAME,
            offset: 4,
            size: 1000,
        };
        assert_eq!(OldIndexEntry::parse(&entry.to_bytes()), Ok(entry));

        let index = StandardIndex {
            entries: 3,
            chunk_id: FourCc::video_chunk(0),
            base_offset: 5 << 30,
        };
        let bytes = index.to_bytes();
        assert_eq!(StandardIndex::parse(&bytes), Ok(index));
        let preamble = IndexPreamble::parse(&bytes).unwrap();
        assert_eq!(
            (preamble.kind, preamble.longs_per_entry),
            (IndexPreamble::OF_CHUNKS, 2)
        );
        for delta in [false, true] {
            let entry = StandardIndexEntry {
                offset: 1,
                size: 2,
                delta,
            };
            assert_eq!(StandardIndexEntry::parse(&entry.to_bytes()), Ok(entry));
        }

        let index = SuperIndex {
            entries: 2,
            chunk_id: FourCc::audio_chunk(1),
        };
        let preamble = IndexPreamble::parse(&index.to_bytes()).unwrap();
        assert_eq!(preamble.kind, IndexPreamble::OF_INDEXES);
        assert_eq!((preamble.entries, preamble.longs_per_entry), (2, 4));
        let entry = SuperIndexEntry {
            offset: 6 << 30,
            size: 7,
            duration: 8,
        };
        assert_eq!(SuperIndexEntry::parse(&entry.to_bytes()), Ok(entry));

        let header = ExtendedHeader { total_frames: 9 };
        assert_eq!(ExtendedHeader::parse(&header.to_bytes()), Ok(header));
    }
}
