// SPDX-License-Identifier: MIT OR Apache-2.0
//! WAV while it grows: the sizes in the header are those of the samples on disk after every write.
//!
//! A file begins with the plain header of 44 bytes that MaixCAM writes, and that its `Player` and
//! many small readers take for granted (MaixCDK `maix_audio_mmf.cpp`: `_read_wav_header` expects
//! the data size at byte 40). RIFF sizes have 32 bits, so beyond 4 GiB the file becomes RF64 (EBU
//! Tech 3306), whose 64-bit sizes stand in a `ds64` chunk before `fmt `. There is no room for that
//! chunk in 44 bytes. Where the file system can insert a block at the front of a file (ext4, XFS,
//! F2FS), that is done when the limit is reached, at once and whatever the file's length. Elsewhere
//! the sizes say "until the end of the file" (0xFFFFFFFF) while recording goes on, and
//! [`Wav::finish`] moves the samples to make room.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use rustix::fs::FallocateFlags;

use super::Layout;
use crate::header::{ChunkHeader, FourCc, WaveFormat};

/// `RIFF` 12, `fmt ` 24 and the head of `data` 8.
pub const HEADER_LEN: u64 = 44;
/// The `ds64` chunk: head 8, three 64-bit sizes, an empty table's length 4.
const DS64_LEN: u64 = 36;
/// What a 32-bit size says in RF64, and where a writer cannot know better.
const UNKNOWN: u32 = u32::MAX;

/// How the sizes are expressed at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// 32-bit sizes.
    Riff,
    /// 64-bit sizes in `ds64`.
    Rf64,
    /// Past 32 bits, and no room for `ds64` yet.
    Open,
}

/// A WAV file that is being written.
#[derive(Debug)]
pub struct Wav {
    file: File,
    layout: Layout,
    form: Form,
    header_len: u64,
    data_len: u64,
    limit: u64,
}

impl Wav {
    /// Writes the header of an empty recording to `file`, which has to be empty.
    pub fn start(file: File, layout: Layout) -> io::Result<Self> {
        // The RIFF size counts from byte 8 and may need a pad byte after odd data.
        Self::with_limit(file, layout, u64::from(UNKNOWN) - (HEADER_LEN - 8) - 1)
    }

    fn with_limit(file: File, layout: Layout, limit: u64) -> io::Result<Self> {
        let wav = Self {
            file,
            layout,
            form: Form::Riff,
            header_len: HEADER_LEN,
            data_len: 0,
            limit,
        };
        wav.write_header()?;
        Ok(wav)
    }

    /// Where it is written to.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Bytes of samples so far.
    pub fn data_len(&self) -> u64 {
        self.data_len
    }

    /// Appends samples and brings the sizes up to date. After an error (a full disk) the file holds
    /// the samples that went in, with their sizes.
    pub fn write(&mut self, data: &[u8]) -> io::Result<()> {
        if self.form == Form::Riff && self.data_len + data.len() as u64 > self.limit {
            self.widen()?;
        }
        let mut done = 0;
        let mut result = Ok(());
        while done < data.len() {
            let at = self.header_len + self.data_len + done as u64;
            match self.file.write_at(&data[done..], at) {
                Ok(0) => result = Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => done += n,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => (),
                Err(err) => result = Err(err),
            }
            if result.is_err() {
                break;
            }
        }
        let frame = self.layout.frame_bytes().max(1);
        self.data_len += (done - done % frame) as u64;
        let sizes = self.write_sizes();
        result.and(sizes)
    }

    /// Completes the file. Returns the bytes of samples in it.
    pub fn finish(mut self) -> io::Result<u64> {
        // Every RIFF chunk fills a whole number of 16-bit words.
        if self.data_len % 2 == 1 {
            self.file
                .write_all_at(&[0], self.header_len + self.data_len)?;
        }
        if self.form == Form::Open {
            self.make_room()?;
            self.form = Form::Rf64;
        }
        self.write_header()?;
        Ok(self.data_len)
    }

    fn riff_len(&self) -> u64 {
        self.header_len - 8 + self.data_len + self.data_len % 2
    }

    /// In the plain form, whatever it holds: what follows is where MaixCAM's player looks for it.
    fn fmt_chunk(&self) -> Vec<u8> {
        const PLAIN: usize = 16;
        let plain = WaveFormat {
            channel_mask: None,
            ..self.layout.wave()
        };
        let head = ChunkHeader::new(FourCc(*b"fmt "), PLAIN as u32);
        let mut chunk = head.to_bytes().to_vec();
        chunk.extend(plain.to_bytes().into_iter().take(PLAIN));
        chunk
    }

    fn write_header(&self) -> io::Result<()> {
        let mut header = Vec::with_capacity(self.header_len as usize);
        if self.form == Form::Rf64 {
            header.extend_from_slice(b"RF64");
            header.extend_from_slice(&UNKNOWN.to_le_bytes());
            header.extend_from_slice(b"WAVE");
            header.extend_from_slice(b"ds64");
            header.extend_from_slice(&(DS64_LEN as u32 - 8).to_le_bytes());
            header.extend_from_slice(&self.ds64_sizes());
            header.extend_from_slice(&0_u32.to_le_bytes());
            header.extend_from_slice(&self.fmt_chunk());
            // An inserted block is larger than ds64: the rest is a chunk that readers pass over.
            let spare = self.header_len - 8 - header.len() as u64;
            if let Some(filler) = spare.checked_sub(8) {
                header.extend_from_slice(b"JUNK");
                header.extend_from_slice(&(filler as u32).to_le_bytes());
                header.resize(header.len() + filler as usize, 0);
            }
            header.extend_from_slice(b"data");
            header.extend_from_slice(&UNKNOWN.to_le_bytes());
        } else {
            let (riff, data) = self.sizes32();
            header.extend_from_slice(b"RIFF");
            header.extend_from_slice(&riff.to_le_bytes());
            header.extend_from_slice(b"WAVE");
            header.extend_from_slice(&self.fmt_chunk());
            header.extend_from_slice(b"data");
            header.extend_from_slice(&data.to_le_bytes());
        }
        debug_assert_eq!(header.len() as u64, self.header_len);
        self.file.write_all_at(&header, 0)
    }

    fn sizes32(&self) -> (u32, u32) {
        match self.form {
            Form::Riff => (self.riff_len() as u32, self.data_len as u32),
            _ => (UNKNOWN, UNKNOWN),
        }
    }

    fn ds64_sizes(&self) -> [u8; 24] {
        let frames = self.data_len / self.layout.frame_bytes().max(1) as u64;
        let mut sizes = [0; 24];
        sizes[..8].copy_from_slice(&self.riff_len().to_le_bytes());
        sizes[8..16].copy_from_slice(&self.data_len.to_le_bytes());
        sizes[16..].copy_from_slice(&frames.to_le_bytes());
        sizes
    }

    /// Only the bytes that change with every write.
    fn write_sizes(&self) -> io::Result<()> {
        match self.form {
            Form::Riff => {
                let (riff, data) = self.sizes32();
                // The data size first: a reader that comes in between finds a file that is longer
                // than it says, never shorter.
                self.file
                    .write_all_at(&data.to_le_bytes(), self.header_len - 4)?;
                self.file.write_all_at(&riff.to_le_bytes(), 4)
            }
            Form::Rf64 => self.file.write_all_at(&self.ds64_sizes(), 20),
            Form::Open => Ok(()),
        }
    }

    fn widen(&mut self) -> io::Result<()> {
        let block = self.file.metadata()?.blksize();
        let inserted = block >= DS64_LEN + 8
            && rustix::fs::fallocate(&self.file, FallocateFlags::INSERT_RANGE, 0, block).is_ok();
        if inserted {
            self.header_len += block;
            self.form = Form::Rf64;
        } else {
            self.form = Form::Open;
        }
        self.write_header()
    }

    /// Moves the samples up by the length of `ds64`, from the end so that nothing is overwritten
    /// before it has been read.
    fn make_room(&mut self) -> io::Result<()> {
        const PIECE: u64 = 1 << 20;
        let mut piece = vec![0; PIECE as usize];
        let mut left = self.data_len + self.data_len % 2;
        while left > 0 {
            let n = left.min(PIECE);
            left -= n;
            let piece = &mut piece[..n as usize];
            let from = HEADER_LEN + left;
            self.file.read_exact_at(piece, from)?;
            self.file.write_all_at(piece, from + DS64_LEN)?;
        }
        self.header_len += DS64_LEN;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Encoding, S16_MONO_48K};
    use super::*;

    fn u32_at(file: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(file[at..at + 4].try_into().unwrap())
    }

    fn u64_at(file: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(file[at..at + 8].try_into().unwrap())
    }

    fn temp() -> (tempfile::NamedTempFile, File) {
        let named = tempfile::NamedTempFile::new().unwrap();
        let file = named.reopen().unwrap();
        (named, file)
    }

    #[test]
    fn the_header_is_maixcams_after_every_write() {
        let (named, file) = temp();
        let mut wav = Wav::start(file, S16_MONO_48K).unwrap();
        for written in 0..5_u32 {
            let bytes = std::fs::read(named.path()).unwrap();
            let data = written * 480;
            let mut expected = Vec::new();
            expected.extend_from_slice(b"RIFF");
            expected.extend_from_slice(&(data + 44 - 8).to_le_bytes());
            expected.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
            expected.extend_from_slice(&48_000_u32.to_le_bytes());
            expected.extend_from_slice(&96_000_u32.to_le_bytes());
            expected.extend_from_slice(b"\x02\0\x10\0data");
            expected.extend_from_slice(&data.to_le_bytes());
            assert_eq!(bytes[..44], expected);
            assert_eq!(bytes.len(), 44 + data as usize);
            wav.write(&[7; 480]).unwrap();
        }
        assert_eq!(wav.finish().unwrap(), 5 * 480);
    }

    #[test]
    fn odd_data_is_padded_when_finished() {
        let (named, file) = temp();
        let layout = Layout {
            encoding: Encoding::Unsigned,
            sample_bytes: 1,
            ..S16_MONO_48K
        };
        let mut wav = Wav::start(file, layout).unwrap();
        wav.write(&[1, 2, 3]).unwrap();
        assert_eq!(wav.finish().unwrap(), 3);
        let bytes = std::fs::read(named.path()).unwrap();
        assert_eq!(bytes.len(), 48);
        assert_eq!(u32_at(&bytes, 4), 40);
        assert_eq!(u32_at(&bytes, 40), 3);
    }

    #[test]
    fn float_has_its_own_tag() {
        let (named, file) = temp();
        let layout = Layout {
            encoding: Encoding::Float,
            sample_bytes: 4,
            ..S16_MONO_48K
        };
        Wav::start(file, layout).unwrap().finish().unwrap();
        assert_eq!(std::fs::read(named.path()).unwrap()[20], 3);
    }

    fn check_rf64(bytes: &[u8], samples: &[u8]) {
        assert_eq!(&bytes[..4], b"RF64");
        assert_eq!(u32_at(bytes, 4), u32::MAX);
        assert_eq!(&bytes[8..16], b"WAVEds64");
        assert_eq!(u64_at(bytes, 20), bytes.len() as u64 - 8);
        assert_eq!(u64_at(bytes, 28), samples.len() as u64);
        assert_eq!(u64_at(bytes, 36), samples.len() as u64 / 2);
        // Walk the chunks as a reader does.
        let mut at = 12;
        loop {
            let (id, len) = (&bytes[at..at + 4], u32_at(bytes, at + 4));
            if id == b"data" {
                assert_eq!(len, u32::MAX);
                assert_eq!(&bytes[at + 8..], samples);
                break;
            }
            at += 8 + len as usize;
        }
    }

    #[test]
    fn past_the_limit_the_file_becomes_rf64() {
        let (named, file) = temp();
        let mut wav = Wav::with_limit(file, S16_MONO_48K, 10_000).unwrap();
        let mut samples = Vec::new();
        for i in 0..40_u16 {
            let chunk: Vec<u8> = (0..250).flat_map(|n| (i * 250 + n).to_le_bytes()).collect();
            wav.write(&chunk).unwrap();
            samples.extend_from_slice(&chunk);
            if wav.form == Form::Rf64 {
                check_rf64(&std::fs::read(named.path()).unwrap(), &samples);
            }
        }
        assert_ne!(wav.form, Form::Riff);
        wav.finish().unwrap();
        check_rf64(&std::fs::read(named.path()).unwrap(), &samples);
    }

    #[test]
    fn without_block_insertion_room_is_made_at_the_end() {
        let (named, file) = temp();
        let mut wav = Wav::with_limit(file, S16_MONO_48K, 100).unwrap();
        let samples: Vec<u8> = (0..3_000_000_u32).map(|n| (n / 7) as u8).collect();
        wav.form = Form::Open;
        wav.write_header().unwrap();
        wav.write(&samples).unwrap();
        let bytes = std::fs::read(named.path()).unwrap();
        assert_eq!(u32_at(&bytes, 40), u32::MAX, "until the end of the file");
        wav.finish().unwrap();
        check_rf64(&std::fs::read(named.path()).unwrap(), &samples);
    }

    /// The real limit, with a hole in place of the first 4 GiB: it takes no room on the disk.
    #[test]
    fn beyond_4_gib_others_read_all_of_it() {
        let (named, file) = temp();
        let mut wav = Wav::start(file, S16_MONO_48K).unwrap();
        wav.data_len = wav.limit / 96_000 * 96_000;
        wav.file.set_len(HEADER_LEN + wav.data_len).unwrap();
        wav.write_sizes().unwrap();
        let seconds = || -> f64 {
            let output = std::process::Command::new("ffprobe")
                .args(["-v", "error", "-show_entries", "stream=duration"])
                .args(["-of", "default=noprint_wrappers=1:nokey=1"])
                .arg(named.path())
                .output()
                .unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            text.trim().parse().unwrap()
        };
        let before = wav.data_len / 96_000;
        assert_eq!(seconds(), before as f64);
        for _ in 0..3 {
            wav.write(&[1; 96_000]).unwrap();
        }
        if wav.form == Form::Open {
            // This file system would have 4 GiB moved to make room for the sizes.
            return;
        }
        assert_eq!(seconds(), before as f64 + 3.0, "while it is recorded");
        assert_eq!(wav.finish().unwrap(), (before + 3) * 96_000);
        assert!(named.as_file().metadata().unwrap().len() > 1 << 32);
        assert_eq!(seconds(), before as f64 + 3.0);
    }

    #[test]
    fn a_full_disk_is_an_error_not_a_panic() {
        let file = File::options().write(true).open("/dev/full").unwrap();
        let err = Wav::start(file, S16_MONO_48K).unwrap_err();
        assert_eq!(err.kind(), io::ErrorKind::StorageFull);
    }
}
