// SPDX-License-Identifier: MIT OR Apache-2.0
//! AVI files built byte by byte, sound ones and those that cameras leave behind.
#![allow(dead_code)]

#[path = "jpeg_head.rs"]
pub(crate) mod jpeg_head;

use jpeg_head::jpeg_head;

/// A picture that is legal as far as a JPEG's markers go, `len` bytes or a
/// little more, different for every `n`.
pub(crate) fn picture(n: u32, len: usize) -> Vec<u8> {
    picture_of(n, len, 320, 240)
}

pub(crate) fn picture_of(n: u32, len: usize, width: u16, height: u16) -> Vec<u8> {
    let mut v = jpeg_head(width, height, &[(2, 1), (1, 1), (1, 1)]);
    v.extend(n.to_le_bytes().map(|b| b & 0x7F));
    let mut x = n.wrapping_mul(2_654_435_761) | 1;
    while v.len() + 2 < len {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        let byte = x as u8;
        v.push(byte);
        if byte == 0xFF {
            v.push(0);
        }
    }
    v.extend([0xFF, 0xD9]);
    v
}

/// `len` bytes of sound, never a zero among them.
pub(crate) fn sound(n: u32, len: usize) -> Vec<u8> {
    (0..len as u32).map(|i| (n * 31 + i) as u8 | 1).collect()
}

pub(crate) fn chunk(id: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut v = id.to_vec();
    v.extend((payload.len() as u32).to_le_bytes());
    v.extend(payload);
    if payload.len() % 2 == 1 {
        v.push(0);
    }
    v
}

pub(crate) fn list(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut body = kind.to_vec();
    body.extend(content);
    chunk(b"LIST", &body)
}

/// A file with so many entries in an `ix00` at its end, each of which gets a word more, for the second field.
pub(crate) fn of_fields(bytes: &[u8], entries: usize) -> Vec<u8> {
    let at = bytes.windows(4).position(|four| four == b"ix00");
    let (before, index) = bytes.split_at(at.expect("it is there"));
    let payload = &index[8..8 + 24 + 8 * entries];
    let mut fields = payload[..24].to_vec();
    fields[0] = 3;
    fields[2] = 1;
    for entry in payload[24..].chunks(8) {
        fields.extend(entry);
        fields.extend(&entry[..4]);
    }
    [before, &chunk(b"ix00", &fields)].concat()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_le_bytes()).collect()
}

/// What goes into `movi`.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    Video(Vec<u8>),
    Sound(Vec<u8>),
    Raw(Vec<u8>),
}

/// Which index the file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IndexKind {
    None,
    /// Offsets from `movi`.
    Old,
    /// Offsets from the file's start.
    OldAbsolute,
    /// OpenDML: indx in the header, one ix## at movi's end for each stream.
    OpenDml,
}

/// A file as a careful program writes it.
pub(crate) struct File {
    pub scale: u32,
    pub rate: u32,
    /// `avih`'s microseconds.
    pub interval: u32,
    /// Samples a second and channels of 16-bit sound.
    pub audio: Option<(u32, u16)>,
    pub index: IndexKind,
    pub info: Vec<(&'static [u8; 4], &'static str)>,
    pub handler: [u8; 4],
    /// Of the pictures, by the header.
    pub size: (u32, u32),
}

impl Default for File {
    fn default() -> Self {
        Self {
            scale: 1001,
            rate: 30000,
            interval: 33366,
            audio: None,
            index: IndexKind::Old,
            info: Vec::new(),
            handler: *b"MJPG",
            size: (320, 240),
        }
    }
}

/// A built file, and where its pieces' headers are.
pub(crate) struct Built {
    pub bytes: Vec<u8>,
    /// The offset of each piece's chunk header.
    pub at: Vec<usize>,
    /// The offset of `idx1`'s header, if there is one.
    pub idx1: usize,
    /// The offset of the first stream's `indx` payload, if there is one.
    pub indx: usize,
}

impl Built {
    /// The same file with its two streams in the other order.
    pub(crate) fn swapped(&self) -> Vec<u8> {
        let bytes = &self.bytes;
        let lists: Vec<_> = (0..self.at[0])
            .filter(|at| bytes[*at..].starts_with(b"strl"))
            .map(|at| {
                let size = bytes[at - 4..at].try_into().map_or(0, u32::from_le_bytes);
                at - 8..at + size as usize
            })
            .collect();
        let [video, sound] = [lists[0].clone(), lists[1].clone()];
        let mut swapped = bytes.clone();
        let both = [&bytes[sound.clone()], &bytes[video.clone()]].concat();
        swapped[video.start..sound.end].copy_from_slice(&both);
        for at in &self.at {
            swapped[at + 1] ^= 1;
        }
        swapped
    }
}

fn strh(
    kind: &[u8; 4],
    handler: &[u8; 4],
    scale: u32,
    rate: u32,
    length: u32,
    sample: u32,
) -> Vec<u8> {
    let mut v = kind.to_vec();
    v.extend(handler);
    v.extend(words(&[
        0,
        0,
        0,
        scale,
        rate,
        0,
        length,
        0,
        u32::MAX,
        sample,
        0,
        0,
    ]));
    v
}

fn indx(id: &[u8; 4], entries: &[(u64, u32, u32)]) -> Vec<u8> {
    let mut v = vec![4, 0, 0, 0];
    v.extend(words(&[entries.len() as u32]));
    v.extend(id);
    v.extend(words(&[0, 0, 0]));
    for (offset, size, duration) in entries {
        v.extend(offset.to_le_bytes());
        v.extend(words(&[*size, *duration]));
    }
    v
}

impl File {
    pub(crate) fn build(&self, pieces: &[Piece]) -> Built {
        // OpenDML needs to know where things are: the second time it does.
        let first = self.build_with(pieces, [0; 2]);
        if self.index == IndexKind::OpenDml {
            return self.build_with(pieces, first.1).0;
        }
        first.0
    }

    #[allow(
        clippy::too_many_lines,
        reason = "the file's parts in their order; tests have it, and an example and benches with them"
    )]
    fn build_with(&self, pieces: &[Piece], standard: [u64; 2]) -> (Built, [u64; 2]) {
        let frames = pieces
            .iter()
            .filter(|p| matches!(p, Piece::Video(_)))
            .count() as u32;
        let sound: usize = pieces
            .iter()
            .map(|p| if let Piece::Sound(s) = p { s.len() } else { 0 })
            .sum();
        let mut avih = words(&[
            self.interval,
            0,
            0,
            0x10,
            frames,
            0,
            1 + u32::from(self.audio.is_some()),
            0,
            self.size.0,
            self.size.1,
        ]);
        avih.extend([0; 16]);
        let mut video = chunk(
            b"strh",
            &strh(b"vids", &self.handler, self.scale, self.rate, frames, 0),
        );
        let mut strf = words(&[40, self.size.0, self.size.1]);
        strf.extend([1, 0, 24, 0]);
        strf.extend(self.handler);
        strf.extend([0; 20]);
        video.extend(chunk(b"strf", &strf));
        let mut indx_at = 0;
        if self.index == IndexKind::OpenDml {
            indx_at = video.len() + 8;
            video.extend(chunk(
                b"indx",
                &indx(b"00dc", &[(standard[0], 1000, frames)]),
            ));
        }
        let mut hdrl = chunk(b"avih", &avih);
        indx_at += 12 + 12 + hdrl.len() + 12;
        hdrl.extend(list(b"strl", &video));
        if let Some((rate, channels)) = self.audio {
            let block = 2 * u32::from(channels);
            let samples = sound as u32 / block;
            let mut audio = chunk(b"strh", &strh(b"auds", &[0; 4], 1, rate, samples, block));
            let mut strf = vec![1, 0];
            strf.extend(channels.to_le_bytes());
            strf.extend(words(&[rate, rate * block]));
            strf.extend((block as u16).to_le_bytes());
            strf.extend([16, 0]);
            audio.extend(chunk(b"strf", &strf));
            if self.index == IndexKind::OpenDml {
                audio.extend(chunk(
                    b"indx",
                    &indx(b"01wb", &[(standard[1], 1000, samples)]),
                ));
            }
            hdrl.extend(list(b"strl", &audio));
        }
        let mut bytes = b"RIFF\0\0\0\0AVI ".to_vec();
        bytes.extend(list(b"hdrl", &hdrl));
        if !self.info.is_empty() {
            let mut info = Vec::new();
            for (id, text) in &self.info {
                let mut text = text.as_bytes().to_vec();
                text.push(0);
                info.extend(chunk(id, &text));
            }
            bytes.extend(list(b"INFO", &info));
        }
        bytes.extend(chunk(b"JUNK", &[0; 100]));
        let movi = bytes.len() + 8;
        bytes.extend(b"LIST\0\0\0\0movi");
        let mut at = Vec::new();
        let mut old = Vec::new();
        let mut ix: [Vec<u8>; 2] = Default::default();
        for piece in pieces {
            at.push(bytes.len());
            let (id, payload, stream) = match piece {
                Piece::Video(p) => (b"00dc", p, 0),
                Piece::Sound(p) => (b"01wb", p, 1),
                Piece::Raw(raw) => {
                    bytes.extend(raw);
                    continue;
                }
            };
            let base = if self.index == IndexKind::OldAbsolute {
                0
            } else {
                movi
            };
            old.extend(id);
            old.extend(words(&[
                0x10,
                (bytes.len() - base) as u32,
                payload.len() as u32,
            ]));
            ix[stream].extend(words(&[bytes.len() as u32 + 8, payload.len() as u32]));
            bytes.extend(chunk(id, payload));
        }
        let mut standard = [0; 2];
        if self.index == IndexKind::OpenDml {
            for (n, entries) in ix.iter().enumerate() {
                standard[n] = bytes.len() as u64;
                let mut v = vec![2, 0, 0, 1];
                v.extend(words(&[entries.len() as u32 / 8]));
                v.extend([b"00dc", b"01wb"][n]);
                v.extend([0; 12]);
                v.extend(entries);
                bytes.extend(chunk([b"ix00", b"ix01"][n], &v));
            }
        }
        let movi_size = (bytes.len() - movi) as u32;
        bytes[movi - 4..movi].copy_from_slice(&movi_size.to_le_bytes());
        let idx1 = bytes.len();
        if matches!(self.index, IndexKind::Old | IndexKind::OldAbsolute) {
            bytes.extend(chunk(b"idx1", &old));
        }
        let riff = (bytes.len() - 8) as u32;
        bytes[4..8].copy_from_slice(&riff.to_le_bytes());
        let built = Built {
            bytes,
            at,
            idx1,
            indx: indx_at,
        };
        (built, standard)
    }
}

/// Frames of video, a chunk of sound after every one if `audio`.
pub(crate) fn pieces(frames: u32, audio: Option<usize>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for n in 0..frames {
        pieces.push(Piece::Video(picture(n, 700 + (n as usize * 37) % 400)));
        if let Some(len) = audio {
            pieces.push(Piece::Sound(sound(n, len)));
        }
    }
    pieces
}

/// A recording by MaixPy's `avi_record_header_init`, `avi_record_append_video`
/// and `avi_record_finish`, with something in every field they leave as it was
/// in memory.
pub(crate) struct MaixPy {
    pub interval: u32,
    pub audio: bool,
    pub finished: bool,
    /// What is in memory.
    pub memory: u32,
}

impl Default for MaixPy {
    fn default() -> Self {
        Self {
            interval: 100_000,
            audio: false,
            finished: true,
            memory: 0xA5C3_9B17,
        }
    }
}

impl MaixPy {
    pub(crate) fn build(&self, frames: &[Vec<u8>]) -> Vec<u8> {
        let old = self.memory;
        let mut v = b"RIFF\0\0\0\0AVI LIST".to_vec();
        let audio_list = if self.audio { 4 + 64 + 24 + 8 } else { 0 };
        v.extend(words(&[4 + 64 + (4 + 64 + 48 + 8) + audio_list]));
        v.extend(b"hdrl");
        v.extend(b"avih");
        v.extend(words(&[
            56,
            self.interval,
            0,
            0,
            0,
            0,
            0,
            2,
            0x0010_0000,
            320,
            240,
            0,
            0,
            0,
            0,
        ]));
        v.extend(b"LIST");
        v.extend(words(&[4 + 64 + 48]));
        v.extend(b"strl");
        v.extend(b"strh");
        v.extend(words(&[56]));
        v.extend(b"vidsMJPG");
        let rate = (1000.0 / (f64::from(self.interval) / 1000.0)) as u32;
        v.extend(words(&[old, old, 0, 1, rate, 0, 0, 5128, u32::MAX, 0]));
        v.extend((old as u16).to_le_bytes());
        v.extend((old as u16).to_le_bytes());
        v.extend([64, 1, 240, 0]);
        v.extend(b"strf");
        v.extend(words(&[40, 40, 320, 240]));
        v.extend([1, 0, 24, 0]);
        v.extend(b"MJPG");
        v.extend(words(&[old; 5]));
        if self.audio {
            v.extend(b"LIST");
            v.extend(words(&[4 + 64 + 24]));
            v.extend(b"strl");
            v.extend(b"strh");
            v.extend(words(&[56]));
            v.extend(b"auds");
            v.extend(words(&[
                1,
                old,
                old,
                old,
                1,
                44100,
                old,
                old,
                4096,
                u32::MAX,
                old,
                old,
                old,
            ]));
            v.extend(b"strf");
            v.extend(words(&[16]));
            v.extend([1, 0, 1, 0]);
            v.extend(words(&[44100, old]));
            v.extend([4, 0, 16, 0]);
        }
        v.extend(b"LIST");
        let movi = v.len();
        v.extend(words(&[old]));
        v.extend(b"movi");
        for frame in frames {
            let padded = frame.len().next_multiple_of(8);
            v.extend(b"00dc");
            v.extend(words(&[padded as u32]));
            v.extend(frame);
            // The encoder's buffer is not cleared.
            v.extend(&old.to_le_bytes().repeat(2)[..padded - frame.len()]);
        }
        if self.finished {
            let size = (v.len() - movi - 4) as u32;
            v[movi..movi + 4].copy_from_slice(&size.to_le_bytes());
            let size = (v.len() - 8) as u32;
            v[4..8].copy_from_slice(&size.to_le_bytes());
            v[48..52].copy_from_slice(&(frames.len() as u32).to_le_bytes());
        }
        v
    }

    /// A chunk that was being written when the power went: its size is
    /// written last.
    pub(crate) fn begun(frame: &[u8]) -> Vec<u8> {
        let mut v = b"00dc\0\0\0\0".to_vec();
        v.extend(frame);
        v
    }
}
