// SPDX-License-Identifier: MIT OR Apache-2.0
//! The structures of an AVI file, as bytes and as types.
//!
//! Every structure can be written (`to_bytes`) and parsed (`parse`); all numbers are
//! little endian. Names of fields follow Microsoft's `avih`, `strh`, `BITMAPINFOHEADER`
//! and `WAVEFORMATEX` and the *OpenDML AVI File Format Extensions* (version 1.02), whose
//! sections are named where a number comes from them. The values are the file's: nothing
//! here judges whether they make sense together.

#![warn(clippy::indexing_slicing)]

use std::{array, fmt};

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

/// Takes `N` bytes from the front; what is missing counts as zeros.
#[inline]
fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let mut taken = [0; N];
    match rest.split_first_chunk() {
        Some((whole, behind)) => (taken, *rest) = (*whole, behind),
        None => {
            for (to, from) in taken.iter_mut().zip(std::mem::take(rest)) {
                *to = *from;
            }
        }
    }
    taken
}

/// Puts bytes to the front of the room that is left for them.
#[inline]
fn put<const N: usize>(room: &mut &mut [u8], bytes: [u8; N]) {
    if let Some((whole, behind)) = std::mem::take(room).split_first_chunk_mut() {
        (*whole, *room) = (bytes, behind);
    }
}

/// What a structure's field is in the file: so many bytes, numbers little endian.
trait Field: Sized {
    const SIZE: usize;

    /// Takes it from the front of what is left.
    fn read(rest: &mut &[u8]) -> Self;

    /// Puts it to the front of the room that is left.
    fn write(self, room: &mut &mut [u8]);
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Field for $number {
            const SIZE: usize = size_of::<Self>();

            fn read(rest: &mut &[u8]) -> Self {
                Self::from_le_bytes(take(rest))
            }

            fn write(self, room: &mut &mut [u8]) {
                put(room, self.to_le_bytes());
            }
        }
    )*};
}

numbers!(u8, u16, u32, u64, i16, i32);

impl Field for FourCc {
    const SIZE: usize = 4;

    fn read(rest: &mut &[u8]) -> Self {
        Self(take(rest))
    }

    fn write(self, room: &mut &mut [u8]) {
        put(room, self.0);
    }
}

impl<T: Field, const N: usize> Field for [T; N] {
    const SIZE: usize = N * T::SIZE;

    fn read(rest: &mut &[u8]) -> Self {
        array::from_fn(|_| T::read(rest))
    }

    fn write(self, room: &mut &mut [u8]) {
        for one in self {
            one.write(room);
        }
    }
}

/// Declares a structure by its fields, in the order of the file.
///
/// `PREFIX + LEAST..SIZE`: 4 if the structure's own size stands before the first field and else 0, how
/// many bytes have to be there, and how many it has with what is reserved at its end.
macro_rules! structure {
    (
        $(#[$doc:meta])*
        $vis:vis struct $name:ident: $what:literal, $prefix:literal + $least:literal..$size:literal {
            $($(#[$field_doc:meta])* $field_vis:vis $field:ident: $type:ty,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        $vis struct $name {
            $($(#[$field_doc])* $field_vis $field: $type,)*
        }

        impl $name {
            /// Bytes it takes.
            $vis const SIZE: usize = $size;

            /// The bytes of the file.
            $vis fn to_bytes(self) -> [u8; Self::SIZE] {
                const {
                    let fields = $prefix $(+ <$type as Field>::SIZE)*;
                    assert!(fields <= Self::SIZE, "its fields have no room");
                }
                let mut whole = [0; Self::SIZE];
                let mut room = whole.as_mut_slice();
                let own = ($size as u32).to_le_bytes();
                put::<$prefix>(&mut room, take(&mut own.as_slice()));
                $(self.$field.write(&mut room);)*
                whole
            }

            /// Reads it from where it begins; what is missing at the end counts as zeros.
            $vis fn parse(bytes: &[u8]) -> Result<Self, Truncated> {
                at_least($what, bytes, $least)?;
                Ok(Self::read(&mut &*bytes))
            }
        }

        impl Field for $name {
            const SIZE: usize = $size;

            fn read(rest: &mut &[u8]) -> Self {
                let whole: [u8; $size] = take(rest);
                let mut rest = whole.as_slice();
                let _: [u8; $prefix] = take(&mut rest);
                $(let $field = Field::read(&mut rest);)*
                Self { $($field),* }
            }

            fn write(self, room: &mut &mut [u8]) {
                put(room, self.to_bytes());
            }
        }
    };
}

/// A four-character code: the name of a chunk, a list, a codec.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FourCc(pub [u8; 4]);

impl FourCc {
    /// What a file begins with.
    pub const RIFF: Self = Self(*b"RIFF");
    /// A list of chunks.
    pub const LIST: Self = Self(*b"LIST");
    /// Filler.
    pub const JUNK: Self = Self(*b"JUNK");
    /// The form of the first RIFF of a file.
    pub const AVI: Self = Self(*b"AVI ");
    /// The form of the further RIFFs of an OpenDML file.
    pub const AVIX: Self = Self(*b"AVIX");
    /// The list of headers.
    pub const HDRL: Self = Self(*b"hdrl");
    /// [`MainHeader`]
    pub const AVIH: Self = Self(*b"avih");
    /// The list of a stream's headers.
    pub const STRL: Self = Self(*b"strl");
    /// [`StreamHeader`]
    pub const STRH: Self = Self(*b"strh");
    /// [`BitmapInfo`] or [`WaveFormat`]
    pub const STRF: Self = Self(*b"strf");
    /// A codec's own data.
    pub const STRD: Self = Self(*b"strd");
    /// A stream's name.
    pub const STRN: Self = Self(*b"strn");
    /// The list of the streams' chunks.
    pub const MOVI: Self = Self(*b"movi");
    /// A list of chunks that belong together, in `movi`.
    pub const REC: Self = Self(*b"rec ");
    /// The old index.
    pub const IDX1: Self = Self(*b"idx1");
    /// An OpenDML index in a stream's list: a super index, or a standard index.
    pub const INDX: Self = Self(*b"indx");
    /// The list of OpenDML's headers.
    pub const ODML: Self = Self(*b"odml");
    /// [`ExtendedHeader`]
    pub const DMLH: Self = Self(*b"dmlh");
    /// The list of texts.
    pub const INFO: Self = Self(*b"INFO");
    /// INFO: title.
    pub const INAM: Self = Self(*b"INAM");
    /// INFO: artist.
    pub const IART: Self = Self(*b"IART");
    /// INFO: date of creation.
    pub const ICRD: Self = Self(*b"ICRD");
    /// When the first picture was taken, in the head.
    pub const IDIT: Self = Self(*b"IDIT");
    /// INFO: software.
    pub const ISFT: Self = Self(*b"ISFT");
    /// INFO: comment.
    pub const ICMT: Self = Self(*b"ICMT");
    /// Stream type: video.
    pub const VIDS: Self = Self(*b"vids");
    /// Stream type: audio.
    pub const AUDS: Self = Self(*b"auds");
    /// Codec: Motion JPEG.
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

    const fn of_stream(stream: u8, [a, b]: [u8; 2]) -> Self {
        Self([b'0' + stream / 10 % 10, b'0' + stream % 10, a, b])
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

structure! {
    /// The name and the payload's size in front of every chunk.
    pub struct ChunkHeader: "chunk", 0 + 8..8 {
        /// The chunk's name.
        pub id: FourCc,
        /// Bytes of payload, without this header and without the padding.
        pub size: u32,
    }
}

impl ChunkHeader {
    /// The header of a chunk of `size` bytes of payload.
    pub fn new(id: FourCc, size: u32) -> Self {
        Self { id, size }
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

structure! {
    /// The head of a `LIST` or `RIFF`: a chunk header and the list's kind.
    pub struct ListHeader: "list", 0 + 12..12 {
        /// `LIST` or `RIFF`.
        pub id: FourCc,
        /// Bytes that follow the size: the kind's four and the content's.
        pub size: u32,
        /// What the list holds.
        pub kind: FourCc,
    }
}

structure! {
    /// `avih`, the main header (`AVIMAINHEADER`).
    pub struct MainHeader: "avih", 0 + 40..56 {
        /// Microseconds between two frames: all that paces the K210's player.
        pub micro_sec_per_frame: u32,
        /// Bytes a second at most.
        pub max_bytes_per_sec: u32,
        /// Chunks begin at multiples of this.
        pub padding_granularity: u32,
        /// Of [`MainHeader::HAS_INDEX`] and its like.
        pub flags: u32,
        /// Frames of the first video stream in the first RIFF.
        pub total_frames: u32,
        /// Frames that come before the sound they belong to.
        pub initial_frames: u32,
        /// Streams of the file.
        pub streams: u32,
        /// Bytes of the largest chunk.
        pub suggested_buffer_size: u32,
        /// Pixels across.
        pub width: u32,
        /// Lines.
        pub height: u32,
    }
}

impl MainHeader {
    /// The file has an `idx1`.
    pub const HAS_INDEX: u32 = 0x10;
    /// The order of presentation is the index's, not the chunks'.
    pub const MUST_USE_INDEX: u32 = 0x20;
    /// The streams are interleaved.
    pub const IS_INTERLEAVED: u32 = 0x100;
    /// The index's key frame flags can be trusted.
    pub const TRUST_CHUNK_TYPE: u32 = 0x800;
}

structure! {
    /// `strh`, a stream's header (`AVISTREAMHEADER`).
    pub struct StreamHeader: "strh", 0 + 48..56 {
        /// [`FourCc::VIDS`] or [`FourCc::AUDS`].
        pub kind: FourCc,
        /// The codec: [`FourCc::MJPG`], zeros for PCM.
        pub handler: FourCc,
        /// Of `AVISF_*`.
        pub flags: u32,
        /// Of streams of one kind, which to play first.
        pub priority: u16,
        /// A Windows language identifier.
        pub language: u16,
        /// Frames that come before the sound they belong to.
        pub initial_frames: u32,
        /// `rate / scale` is frames, or blocks of samples, a second.
        pub scale: u32,
        /// See `scale`.
        pub rate: u32,
        /// When the stream starts, in units of `scale / rate`.
        pub start: u32,
        /// The stream's length in units of `scale / rate`.
        pub length: u32,
        /// Bytes of the largest chunk.
        pub suggested_buffer_size: u32,
        /// 0 to 10 000; -1 for the codec's default.
        pub quality: u32,
        /// Bytes of a block of samples; 0 when each chunk is one sample, as in video.
        pub sample_size: u32,
        /// The destination rectangle: left, top, right, bottom.
        pub frame: [i16; 4],
    }
}

structure! {
    /// `strf` of a video stream (`BITMAPINFOHEADER`).
    pub struct BitmapInfo: "strf", 4 + 20..40 {
        /// Pixels across.
        pub width: i32,
        /// Lines; negative for pictures from top to bottom.
        pub height: i32,
        /// 1.
        pub planes: u16,
        /// Bits a pixel.
        pub bit_count: u16,
        /// The codec.
        pub compression: FourCc,
        /// Bytes of a decoded picture.
        pub size_image: u32,
        /// Resolution; 0.
        pub x_pels_per_meter: i32,
        /// Resolution; 0.
        pub y_pels_per_meter: i32,
        /// Colours of the palette; 0.
        pub clr_used: u32,
        /// Colours that matter; 0.
        pub clr_important: u32,
    }
}

impl BitmapInfo {
    /// Motion JPEG of a size in pixels.
    pub fn mjpeg(width: u32, height: u32) -> Self {
        Self {
            width: width.try_into().unwrap_or(i32::MAX),
            height: height.try_into().unwrap_or(i32::MAX),
            planes: 1,
            bit_count: 24,
            compression: FourCc::MJPG,
            size_image: width.saturating_mul(height).saturating_mul(3),
            ..Self::default()
        }
    }
}

/// `strf` of an audio stream (`WAVEFORMATEX`, `WAVEFORMATEXTENSIBLE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaveFormat {
    /// [`WaveFormat::PCM`], or another `WAVE_FORMAT_*`. An extensible format says here what
    /// the first two bytes of its sub-format say.
    pub format_tag: u16,
    /// Channels.
    pub channels: u16,
    /// Samples a second of each channel.
    pub samples_per_sec: u32,
    /// Bytes a second of all channels.
    pub avg_bytes_per_sec: u32,
    /// Bytes of one sample of all channels.
    pub block_align: u16,
    /// Bits of one sample of a channel.
    pub bits_per_sample: u16,
    /// The speakers of an extensible format, whose mask may be 0; `None` in the plain form.
    pub channel_mask: Option<u32>,
}

impl WaveFormat {
    /// `WAVE_FORMAT_PCM`
    pub const PCM: u16 = 1;
    /// `WAVE_FORMAT_IEEE_FLOAT`
    pub const IEEE_FLOAT: u16 = 3;
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
        let plain = PlainWave {
            format_tag: tag,
            channels: self.channels,
            samples_per_sec: self.samples_per_sec,
            avg_bytes_per_sec: self.avg_bytes_per_sec,
            block_align: self.block_align,
            bits_per_sample: self.bits_per_sample,
        };
        let extension = self.channel_mask.map(|channel_mask| WaveExtension {
            size: (Self::EXTENSIBLE_SIZE - Self::PLAIN_SIZE) as u16,
            valid_bits: self.bits_per_sample,
            channel_mask,
            sub_format: self.format_tag,
            sub_type: Self::SUBTYPE_TAIL,
        });
        let mut out = plain.to_bytes().to_vec();
        match extension {
            None => out.extend(0u16.to_le_bytes()),
            Some(extension) => out.extend(extension.to_bytes()),
        }
        out
    }

    /// Parses the chunk's payload; the bits per sample of the oldest form may be missing.
    pub fn parse(bytes: &[u8]) -> Result<Self, Truncated> {
        let plain = PlainWave::parse(bytes)?;
        let extension = bytes.get(PlainWave::SIZE..).unwrap_or(&[]);
        let extension = WaveExtension::parse(extension).ok();
        let extension = extension.filter(|_| plain.format_tag == Self::EXTENSIBLE);
        Ok(Self {
            format_tag: extension.map_or(plain.format_tag, |extension| extension.sub_format),
            channels: plain.channels,
            samples_per_sec: plain.samples_per_sec,
            avg_bytes_per_sec: plain.avg_bytes_per_sec,
            block_align: plain.block_align,
            bits_per_sample: plain.bits_per_sample,
            channel_mask: extension.map(|extension| extension.channel_mask),
        })
    }
}

structure! {
    /// What every form of a WAVE format begins with.
    struct PlainWave: "strf", 0 + 14..16 {
        format_tag: u16,
        channels: u16,
        samples_per_sec: u32,
        avg_bytes_per_sec: u32,
        block_align: u16,
        bits_per_sample: u16,
    }
}

structure! {
    /// What an extensible one has behind that (`cbSize` first).
    struct WaveExtension: "strf", 0 + 24..24 {
        size: u16,
        valid_bits: u16,
        channel_mask: u32,
        sub_format: u16,
        sub_type: [u8; 14],
    }
}

structure! {
    /// An entry of `idx1` (`AVIOLDINDEX`).
    pub struct OldIndexEntry: "idx1 entry", 0 + 16..16 {
        /// The chunk's name.
        pub id: FourCc,
        /// Of [`OldIndexEntry::KEY_FRAME`] and its like.
        pub flags: u32,
        /// Where the chunk's header is, counted from the `movi` of its list (some files count
        /// from the start of the file).
        pub offset: u32,
        /// Bytes of the chunk's payload.
        pub size: u32,
    }
}

impl OldIndexEntry {
    /// The chunk is a `rec ` list.
    pub const LIST: u32 = 0x01;
    /// The chunk can be decoded by itself.
    pub const KEY_FRAME: u32 = 0x10;
    /// The chunk takes no time.
    pub const NO_TIME: u32 = 0x100;
    /// All that there are in `vfw.h`, and the bits that it leaves to codecs.
    pub const FLAGS: u32 = 0x0fff_0173;
}

structure! {
    /// What an OpenDML index chunk (`indx`, `ix00`) starts with, whatever its kind: the part that
    /// tells the kinds apart (OpenDML, "The Index Chunk").
    pub struct IndexPreamble: "indx", 0 + 12..12 {
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
}

impl IndexPreamble {
    /// `AVI_INDEX_OF_INDEXES`: a super index.
    pub const OF_INDEXES: u8 = 0;
    /// `AVI_INDEX_OF_CHUNKS`: a standard index.
    pub const OF_CHUNKS: u8 = 1;
    /// `AVI_INDEX_2FIELD`: the entries name both fields of a frame.
    pub const TWO_FIELDS: u8 = 1;
    /// Where the number of entries is, from the start of the chunk's payload.
    pub const ENTRIES_OFFSET: usize = 4;
}

/// The fixed part of a stream's super index (`indx`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuperIndex {
    /// Entries.
    pub entries: u32,
    /// The stream's chunks, `00dc`.
    pub chunk_id: FourCc,
}

impl SuperIndex {
    /// Bytes of payload before the first entry, the three reserved words included.
    pub const SIZE: usize = 24;

    /// The bytes of the file.
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let preamble = IndexPreamble {
            longs_per_entry: 4,
            sub_type: 0,
            kind: IndexPreamble::OF_INDEXES,
            entries: self.entries,
            chunk_id: self.chunk_id,
        };
        let base_offset = 0;
        IndexHead {
            preamble,
            base_offset,
        }
        .to_bytes()
    }
}

structure! {
    /// What is before the entries of an index.
    struct IndexHead: "ix", 0 + 24..24 {
        preamble: IndexPreamble,
        /// Reserved in a super index.
        base_offset: u64,
    }
}

structure! {
    /// An entry of a super index: where a standard index is.
    pub struct SuperIndexEntry: "indx entry", 0 + 16..16 {
        /// Where the index chunk's header is, from the start of the file.
        pub offset: u64,
        /// Bytes of the index chunk, its header of 8 included (as other writers do it).
        pub size: u32,
        /// What the index covers, in units of the stream's `scale / rate`.
        pub duration: u32,
    }
}

/// The fixed part of a standard index (`ix00`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StandardIndex {
    /// Entries.
    pub entries: u32,
    /// The stream's chunks, `00dc`.
    pub chunk_id: FourCc,
    /// What the entries' offsets are counted from, from the start of the file.
    pub base_offset: u64,
}

impl StandardIndex {
    /// Bytes of payload before the first entry, the reserved word included.
    pub const SIZE: usize = 24;

    /// The bytes of the file.
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let preamble = IndexPreamble {
            longs_per_entry: 2,
            sub_type: 0,
            kind: IndexPreamble::OF_CHUNKS,
            entries: self.entries,
            chunk_id: self.chunk_id,
        };
        let base_offset = self.base_offset;
        IndexHead {
            preamble,
            base_offset,
        }
        .to_bytes()
    }

    /// Parses the chunk's payload, whose [`IndexPreamble`] said that it is a standard index.
    pub fn parse(bytes: &[u8]) -> Result<Self, Truncated> {
        let head = IndexHead::parse(bytes)?;
        Ok(Self {
            entries: head.preamble.entries,
            chunk_id: head.preamble.chunk_id,
            base_offset: head.base_offset,
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

    /// The bytes of the file.
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let delta = if self.delta { Self::DELTA } else { 0 };
        let size = self.size & !Self::DELTA | delta;
        let mut out = [0; Self::SIZE];
        [self.offset, size].write(&mut out.as_mut_slice());
        out
    }

    /// Parses one entry.
    pub fn parse(bytes: &[u8]) -> Result<Self, Truncated> {
        at_least("ix entry", bytes, Self::SIZE)?;
        let [offset, size] = Field::read(&mut &*bytes);
        Ok(Self {
            offset,
            size: size & !Self::DELTA,
            delta: size & Self::DELTA != 0,
        })
    }
}

structure! {
    /// `dmlh`, the extended header: the frames of all RIFFs.
    pub struct ExtendedHeader: "dmlh", 0 + 4..248 {
        /// Frames of the first video stream.
        pub total_frames: u32,
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
