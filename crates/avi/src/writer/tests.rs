// SPDX-License-Identifier: MIT OR Apache-2.0
//! The writer's files, looked at byte by byte, and after failures at any byte.

use proptest::prelude::*;

use super::*;
use crate::header::{IndexPreamble, StandardIndex, StandardIndexEntry};

/// A file in memory, on a disk that fails after so many bytes.
#[derive(Default)]
struct Disk {
    bytes: Vec<u8>,
    /// Parts of what is being appended.
    held: Vec<u8>,
    /// Bytes that can still be written.
    budget: Option<u64>,
    /// After the failure, what is there already can still be overwritten: the disk is full, not
    /// gone.
    is_full_only: bool,
    failed: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Failed;

/// Systems and disks write what is overwritten in pages.
const PAGE: u64 = 4096;

impl Disk {
    /// How many of `len` bytes at `position` are written.
    fn spend(&mut self, position: u64, len: u64) -> u64 {
        let appended = position >= self.bytes.len() as u64;
        let Some(budget) = &mut self.budget else {
            return len;
        };
        if self.failed {
            return if self.is_full_only && !appended {
                len
            } else {
                0
            };
        }
        if self.is_full_only && !appended {
            return len;
        }
        let written = len.min(*budget);
        *budget -= written;
        if written == len {
            return len;
        }
        self.failed = true;
        if appended {
            written
        } else {
            ((position + written) / PAGE * PAGE).saturating_sub(position)
        }
    }

    fn write(&mut self, position: u64, bytes: &[u8]) -> Result<(), Failed> {
        let written = self.spend(position, bytes.len() as u64) as usize;
        let at = position as usize;
        let end = (at + written).max(self.bytes.len());
        self.bytes.resize(end, 0);
        self.bytes[at..at + written].copy_from_slice(&bytes[..written]);
        if written < bytes.len() {
            Err(Failed)
        } else {
            Ok(())
        }
    }
}

impl Output for Disk {
    type Payload = Vec<u8>;
    type Error = Failed;

    /// All at once: a write is cut off where it may be.
    fn put(&mut self, bytes: &[u8]) -> Result<(), Failed> {
        self.held.extend(bytes);
        Ok(())
    }

    fn put_payload(&mut self, payload: Vec<u8>) -> Result<(), Failed> {
        self.put(&payload)
    }

    fn end(&mut self, _durable: bool) -> Result<(), Failed> {
        let bytes = std::mem::take(&mut self.held);
        self.write(self.bytes.len() as u64, &bytes)
    }

    fn overwrite(&mut self, position: u64, bytes: &[u8]) -> Result<(), Failed> {
        assert!(position + bytes.len() as u64 <= self.bytes.len() as u64);
        self.write(position, bytes)
    }
}

fn video() -> StreamFormat {
    StreamFormat::Video {
        width: 320,
        height: 240,
        rate: Rate::new(30_000, 1001).unwrap(),
    }
}

fn audio() -> StreamFormat {
    StreamFormat::Audio(WaveFormat::pcm(8000, 2, 16, 3))
}

fn word(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

/// Chunks of a list, as `(id, payload's place, size)`.
fn chunks(bytes: &[u8], from: usize, to: usize) -> Vec<(FourCc, usize, usize)> {
    let (mut found, mut at) = (Vec::new(), from);
    while at < to {
        let header = ChunkHeader::parse(&bytes[at..]).unwrap();
        found.push((header.id, at + 8, header.size as usize));
        at += 8 + header.padded_size() as usize;
        if header.size % 2 == 1 {
            assert_eq!(bytes[at - 1], 0, "padding is 0");
        }
    }
    assert_eq!(at, to, "chunks fill their list");
    found
}

/// A list in a list, by its kind: where its chunks begin and end.
fn list(bytes: &[u8], range: (usize, usize), kind: FourCc) -> Vec<(usize, usize)> {
    chunks(bytes, range.0, range.1)
        .into_iter()
        .filter(|(id, at, _)| *id == FourCc::LIST && bytes[*at..*at + 4] == kind.0)
        .map(|(_, at, size)| (at + 4, at + size))
        .collect()
}

/// What a file says of itself.
#[derive(Debug)]
struct Inspected {
    main: MainHeader,
    streams: Vec<StreamHeader>,
    /// Payloads by the OpenDML indexes, for each stream; `None` without such an index.
    indexed: Vec<Option<Vec<Vec<u8>>>>,
    durations: Vec<u64>,
    /// Frames of all RIFFs, by `dmlh`.
    extended: Option<u32>,
    riffs: usize,
}

/// Reads the head of a file and what its indexes point to; everything has to be in order.
fn inspect_head(bytes: &[u8]) -> Inspected {
    assert_eq!(bytes[..4], *b"RIFF");
    assert_eq!(bytes[8..12], *b"AVI ");
    let hdrl_size = word(bytes, 16);
    let hdrl = (24, 20 + hdrl_size);
    let top = chunks(bytes, hdrl.0, hdrl.1);
    assert_eq!(top[0].0, FourCc::AVIH);
    let main = MainHeader::parse(&bytes[top[0].1..]).unwrap();
    let (mut streams, mut indexed, mut durations) = (Vec::new(), Vec::new(), Vec::new());
    for strl in list(bytes, hdrl, FourCc::STRL) {
        let parts = chunks(bytes, strl.0, strl.1);
        assert_eq!((parts[0].0, parts[1].0), (FourCc::STRH, FourCc::STRF));
        streams.push(StreamHeader::parse(&bytes[parts[0].1..]).unwrap());
        let index = parts.iter().find(|(id, ..)| *id == FourCc::INDX);
        let mut duration = 0;
        indexed.push(index.map(|(_, at, _)| {
            let preamble = IndexPreamble::parse(&bytes[*at..]).unwrap();
            assert_eq!(preamble.kind, IndexPreamble::OF_INDEXES);
            let mut payloads = Vec::new();
            for n in 0..preamble.entries as usize {
                let entry = SuperIndexEntry::parse(&bytes[at + 24 + 16 * n..]).unwrap();
                duration += u64::from(entry.duration);
                let ix = entry.offset as usize;
                let header = ChunkHeader::parse(&bytes[ix..]).unwrap();
                assert_eq!(header.id, FourCc::standard_index(indexed.len() as u8));
                assert_eq!(header.size + 8, entry.size);
                let index = StandardIndex::parse(&bytes[ix + 8..]).unwrap();
                assert_eq!(index.chunk_id, preamble.chunk_id);
                for n in 0..index.entries as usize {
                    let entry = StandardIndexEntry::parse(&bytes[ix + 32 + 8 * n..]).unwrap();
                    let place = (index.base_offset + u64::from(entry.offset)) as usize;
                    let header = ChunkHeader::parse(&bytes[place - 8..]).unwrap();
                    assert_eq!(header, ChunkHeader::new(index.chunk_id, entry.size));
                    payloads.push(bytes[place..place + entry.size as usize].to_vec());
                }
            }
            payloads
        }));
        durations.push(duration);
    }
    let odml = list(bytes, hdrl, FourCc::ODML);
    let extended = odml.first().map(|odml| {
        ExtendedHeader::parse(&bytes[odml.0 + 8..])
            .unwrap()
            .total_frames
    });
    Inspected {
        main,
        streams,
        indexed,
        durations,
        extended,
        riffs: 0,
    }
}

/// Reads a finished file and checks all of it against what was written.
fn inspect(bytes: &[u8], written: &[Vec<Vec<u8>>], riff_limit: usize) -> Inspected {
    let mut inspected = inspect_head(bytes);
    let mut found = vec![Vec::new(); written.len()];
    let mut at = 0;
    while at < bytes.len() {
        let riff = ListHeader::parse(&bytes[at..]).unwrap();
        assert_eq!(riff.id, FourCc::RIFF);
        let first = inspected.riffs == 0;
        assert_eq!(riff.kind, if first { FourCc::AVI } else { FourCc::AVIX });
        let end = at + 8 + riff.size as usize;
        assert!(end - at <= riff_limit, "{} bytes in a RIFF", end - at);
        let movi = list(bytes, (at + 12, end), FourCc::MOVI);
        assert_eq!(movi.len(), 1);
        let mut old = Vec::new();
        let mut frames = 0;
        for (id, place, size) in chunks(bytes, movi[0].0, movi[0].1) {
            if let Some((stream, kind)) = id.stream_and_kind() {
                let video = inspected.streams[usize::from(stream)].kind == FourCc::VIDS;
                assert_eq!(&kind, if video { b"dc" } else { b"wb" });
                frames += u32::from(stream == 0 && video);
                found[usize::from(stream)].push(bytes[place..place + size].to_vec());
                old.push((id, place - 8 - (movi[0].0 - 4), size));
            }
        }
        let index = chunks(bytes, at + 12, end)
            .into_iter()
            .find(|(id, ..)| *id == FourCc::IDX1);
        assert_eq!(index.is_some(), first, "idx1 is in the first RIFF");
        if let Some((_, place, size)) = index {
            assert_eq!(size, 16 * old.len());
            for (n, chunk) in old.iter().enumerate() {
                let entry = OldIndexEntry::parse(&bytes[place + 16 * n..]).unwrap();
                assert_eq!(
                    (entry.id, entry.offset as usize, entry.size as usize),
                    *chunk
                );
                assert_eq!(entry.flags, OldIndexEntry::KEY_FRAME);
            }
            assert_eq!(inspected.main.total_frames, frames);
        }
        inspected.riffs += 1;
        at = end;
    }
    assert_eq!(at, bytes.len());
    assert!(found == written, "all chunks are there, in order");
    let largest = written.iter().flatten().map(Vec::len).max().unwrap_or(0);
    if largest > 0 {
        assert!(inspected.main.suggested_buffer_size as usize >= largest);
    }
    assert_eq!(inspected.main.streams as usize, written.len());
    for (n, stream) in inspected.streams.iter().enumerate() {
        let bytes: usize = written[n].iter().map(Vec::len).sum();
        let length = if stream.kind == FourCc::VIDS {
            assert_eq!(stream.sample_size, 0);
            written[n].len()
        } else {
            bytes / stream.sample_size as usize
        };
        assert_eq!(stream.length as usize, length);
        let largest = written[n].iter().map(Vec::len).max().unwrap_or(0);
        assert_eq!(stream.suggested_buffer_size as usize, largest + largest % 2);
        if let Some(indexed) = &inspected.indexed[n] {
            assert!(*indexed == written[n], "the index has all chunks");
            assert_eq!(inspected.durations[n] as usize, length);
        } else if inspected.extended.is_some() {
            assert!(written[n].is_empty());
        }
    }
    if let Some(frames) = inspected.extended {
        assert_eq!(frames as usize, written[0].len());
    }
    inspected
}

/// The payloads of each stream.
type Written = Vec<Vec<Vec<u8>>>;

/// What a test does with a writer.
#[derive(Debug, Clone)]
enum Step {
    Chunk(usize, usize),
    Checkpoint,
}

fn steps(len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0usize..600).prop_map(|size| Step::Chunk(0, size)),
        2 => (1usize..200).prop_map(|blocks| Step::Chunk(1, 4 * blocks)),
        2 => Just(Step::Checkpoint),
    ];
    prop::collection::vec(step, len)
}

fn payload(n: usize, size: usize) -> Vec<u8> {
    (0..size).map(|i| (n * 31 + i * 7) as u8).collect()
}

/// Does the steps until the disk fails. Answers what was written in all, and how much of each
/// stream there was at the last checkpoint that came to its end.
fn run(
    writer: &mut Writer,
    disk: &mut Disk,
    steps: &[Step],
) -> (Written, Vec<usize>, Result<(), WriteError<Failed>>) {
    let mut written = vec![Vec::new(), Vec::new()];
    let mut safe = vec![0, 0];
    let mut result = writer.start(disk).map_err(WriteError::Output);
    for (n, step) in steps.iter().enumerate() {
        if result.is_err() {
            break;
        }
        result = match step {
            Step::Chunk(stream, size) => {
                let payload = payload(n, *size);
                let result = writer.chunk(*stream, *size, payload.clone(), false, disk);
                if result.is_ok() {
                    written[*stream].push(payload);
                }
                result
            }
            Step::Checkpoint => {
                let result = writer.checkpoint(false, disk).map_err(WriteError::Output);
                if result.is_ok() {
                    safe = written.iter().map(Vec::len).collect();
                }
                result
            }
        };
    }
    (written, safe, result)
}

fn small_riffs() -> Options {
    Options {
        riff_limit: 40_000,
        ..Options::new(Profile::Standard)
    }
}

proptest! {
    #[test]
    fn finished_files_are_sound(steps in steps(0..400)) {
        let options = small_riffs();
        let mut disk = Disk::default();
        let mut writer = Writer::new(options.clone(), &[video(), audio()], &Tags::default());
        let (written, _, result) = run(&mut writer, &mut disk, &steps);
        prop_assert_eq!(result, Ok(()));
        writer.finish(&mut disk).unwrap();
        prop_assert_eq!(writer.len(), disk.bytes.len() as u64);
        inspect(&disk.bytes, &written, options.riff_limit as usize);
    }

    #[test]
    fn a_failure_costs_nothing_before_the_last_checkpoint(
        steps in steps(50..300),
        fails_after in 25_000u64..120_000,
        is_full_only: bool,
    ) {
        let mut disk = Disk { budget: Some(fails_after), is_full_only, ..Disk::default() };
        let mut writer = Writer::new(small_riffs(), &[video(), audio()], &Tags::default());
        let (written, safe, result) = run(&mut writer, &mut disk, &steps);
        let whole = |inspected: Inspected, least: &[usize]| {
            for n in 0..2 {
                let found = inspected.indexed[n].as_deref().unwrap_or_default();
                let expected = &written[n];
                assert!(found.len() >= least[n], "{} of {}", found.len(), least[n]);
                assert!(found == &expected[..found.len().min(expected.len())]);
                if n == 0 {
                    assert!(inspected.streams[0].length as usize >= least[0]);
                }
            }
        };
        if result.is_ok() {
            return Ok(());
        }
        // As after a power cut.
        if disk.bytes.len() > 21_000 {
            whole(inspect_head(&disk.bytes), &safe);
        }
        // As on a full disk, where the writer can still tidy up.
        let on_disk = disk.bytes.len() as u64;
        let salvaged = writer.salvage(on_disk, &mut disk);
        if disk.bytes.len() > 21_000 {
            whole(inspect_head(&disk.bytes), &safe);
        }
        if is_full_only && disk.bytes.len() > 21_000 {
            prop_assert_eq!(salvaged, Ok(()));
            let inspected = inspect_head(&disk.bytes);
            for n in 0..2 {
                let indexed = inspected.indexed[n].as_ref().map_or(0, Vec::len);
                let units = if n == 0 { indexed as u64 } else { inspected.durations[1] };
                prop_assert_eq!(u64::from(inspected.streams[n].length), units);
            }
        }
    }

    #[test]
    fn a_file_of_one_riff_is_sound_after_a_failure(
        steps in steps(50..300),
        fails_after in 1000u64..60_000,
        profile in prop_oneof![Just(Profile::Standard), Just(Profile::K210)],
    ) {
        let mut options = Options::new(profile);
        options.big_file = false;
        let mut disk = Disk { budget: Some(fails_after), is_full_only: true, ..Disk::default() };
        let mut writer = Writer::new(options, &[video(), audio()], &Tags::default());
        let (written, safe, result) = run(&mut writer, &mut disk, &steps);
        if result.is_ok() {
            return Ok(());
        }
        let on_disk = disk.bytes.len() as u64;
        prop_assert_eq!(writer.salvage(on_disk, &mut disk), Ok(()));
        let inspected = inspect_head(&disk.bytes);
        let frames = inspected.main.total_frames as usize;
        prop_assert_eq!(inspected.streams[0].length as usize, frames);
        prop_assert!(frames >= safe[0]);
        let end = 8 + word(&disk.bytes, 4);
        prop_assert!(end <= disk.bytes.len());
        let movi = list(&disk.bytes, (12, end), FourCc::MOVI)[0];
        let found: Vec<_> = chunks(&disk.bytes, movi.0, movi.1)
            .into_iter()
            .filter(|(id, ..)| *id == FourCc::video_chunk(0))
            .map(|(_, at, size)| disk.bytes[at..at + size].to_vec())
            .collect();
        prop_assert_eq!(found.len(), frames);
        prop_assert!(found == written[0][..frames]);
    }
}

#[test]
fn a_day_of_checkpoints_fits_the_index() {
    let mut disk = Disk::default();
    let mut writer = Writer::new(
        Options::new(Profile::Standard),
        &[video(), audio()],
        &Tags::default(),
    );
    writer.start(&mut disk).unwrap();
    let mut written = vec![Vec::new(), Vec::new()];
    let mut most = 0;
    for n in 0..20_000 {
        let frame = vec![n as u8; 2];
        writer.chunk(0, 2, frame.clone(), false, &mut disk).unwrap();
        written[0].push(frame);
        writer.chunk(1, 4, vec![0; 4], false, &mut disk).unwrap();
        written[1].push(vec![0; 4]);
        writer.checkpoint(false, &mut disk).unwrap();
        most = most.max(writer.riff.groups.len());
    }
    assert!(most <= 5 * FAN_OUT, "{most} entries");
    let inspected = inspect_head(&disk.bytes);
    assert!(inspected.indexed[0].as_ref() == Some(&written[0]));
    writer.finish(&mut disk).unwrap();
    inspect(&disk.bytes, &written, 1 << 30);
}

/// Takes a file of any length and remembers how large the largest piece of an index was.
#[derive(Default)]
struct Largest {
    appended: usize,
    overwritten: usize,
}

impl Output for Largest {
    type Payload = ();
    type Error = Failed;

    fn put(&mut self, bytes: &[u8]) -> Result<(), Failed> {
        self.appended = self.appended.max(bytes.len());
        Ok(())
    }

    fn put_payload(&mut self, (): ()) -> Result<(), Failed> {
        Ok(())
    }

    fn overwrite(&mut self, _position: u64, bytes: &[u8]) -> Result<(), Failed> {
        self.overwritten = self.overwritten.max(bytes.len());
        Ok(())
    }
}

#[test]
fn no_index_is_held_in_memory_as_a_whole() {
    let mut out = Largest::default();
    let mut writer = Writer::new(
        Options::new(Profile::Standard),
        &[video(), audio()],
        &Tags::default(),
    );
    writer.start(&mut out).unwrap();
    // More than an hour, in two RIFFs; the index of the first is 1.5 MB.
    for n in 0..120_000 {
        writer.chunk(0, 4000 + n % 50, (), false, &mut out).unwrap();
        writer.chunk(1, 5880, (), false, &mut out).unwrap();
        if n % 30 == 0 {
            writer.checkpoint(false, &mut out).unwrap();
        }
    }
    writer.finish(&mut out).unwrap();
    assert_eq!(writer.riffs, 1);
    assert!(out.appended <= INDEX_PIECE, "{}", out.appended);
    assert!(out.overwritten <= 32 * 1024, "{}", out.overwritten);
}

#[test]
fn a_file_without_extensions_ends_before_its_limit() {
    let mut options = Options::new(Profile::Standard);
    options.big_file = false;
    options.file_limit = 20_000;
    let mut disk = Disk::default();
    let mut writer = Writer::new(options, &[video()], &Tags::default());
    writer.start(&mut disk).unwrap();
    let mut written = vec![Vec::new()];
    let error = loop {
        let frame = payload(written[0].len(), 333);
        match writer.chunk(0, 333, frame.clone(), false, &mut disk) {
            Ok(()) => written[0].push(frame),
            Err(error) => break error,
        }
    };
    assert_eq!(error, WriteError::FileFull { limit: 20_000 });
    writer.finish(&mut disk).unwrap();
    inspect(&disk.bytes, &written, 20_000);
    assert!(disk.bytes.len() > 19_000);
}

#[test]
fn headers_say_what_the_streams_are() {
    let mut disk = Disk::default();
    let tags = Tags {
        title: "A movie".into(),
        artist: "Zoë".into(),
        ..Tags::default()
    };
    let mut options = Options::new(Profile::Standard);
    options.big_file = false;
    let mut writer = Writer::new(options, &[video(), audio()], &tags);
    writer.start(&mut disk).unwrap();
    for n in 0..60 {
        writer
            .chunk(0, 1000 + n, vec![0; 1000 + n], false, &mut disk)
            .unwrap();
        writer
            .chunk(1, 1068, vec![0; 1068], false, &mut disk)
            .unwrap();
    }
    writer.finish(&mut disk).unwrap();
    let inspected = inspect_head(&disk.bytes);
    let main = inspected.main;
    assert_eq!(main.micro_sec_per_frame, 33_367);
    assert_eq!((main.width, main.height), (320, 240));
    assert_eq!(
        main.flags,
        MainHeader::HAS_INDEX | MainHeader::IS_INTERLEAVED | MainHeader::TRUST_CHUNK_TYPE
    );
    // 30 of the larger frames and 30 chunks of sound, each with its header.
    let second: u32 = (1030..1060).map(|size| size + size % 2 + 8).sum();
    assert_eq!(main.max_bytes_per_sec, second + 30 * (1068 + 8));
    assert_eq!(main.suggested_buffer_size, 1068 + 8);
    let video = inspected.streams[0];
    assert_eq!(
        (video.rate, video.scale, video.handler),
        (30_000, 1001, FourCc::MJPG)
    );
    let audio = inspected.streams[1];
    assert_eq!((audio.rate, audio.scale, audio.sample_size), (8000, 1, 4));
    let info = list(&disk.bytes, (12, disk.bytes.len()), FourCc::INFO)[0];
    let texts: Vec<_> = chunks(&disk.bytes, info.0, info.1)
        .into_iter()
        .map(|(id, at, size)| {
            (
                id,
                String::from_utf8(disk.bytes[at..at + size].to_vec()).unwrap(),
            )
        })
        .collect();
    assert_eq!(
        texts,
        [
            (FourCc::INAM, "A movie\0".into()),
            (FourCc::IART, "Zoë\0".into())
        ]
    );
}

#[test]
fn the_k210_finds_its_list_whatever_the_title() {
    let tags = Tags {
        title: "My movie".into(),
        ..Tags::default()
    };
    let mut disk = Disk::default();
    let mut writer = Writer::new(Options::new(Profile::K210), &[video()], &tags);
    writer.start(&mut disk).unwrap();
    writer.chunk(0, 10, vec![1; 10], false, &mut disk).unwrap();
    writer.finish(&mut disk).unwrap();
    let first = disk
        .bytes
        .windows(4)
        .position(|bytes| bytes == b"movi")
        .unwrap();
    assert_eq!(first as u64, writer.head_len() - 4);
    assert_eq!(disk.bytes[first + 4..first + 8], *b"00dc");
    let info = list(&disk.bytes, (12, disk.bytes.len()), FourCc::INFO);
    assert_eq!(info.len(), 1, "the title is behind the index");
    assert_eq!(word(&disk.bytes, 4) + 8, disk.bytes.len());
}

/// The texts of the `INFO` lists of a file, and where each list is.
fn info(bytes: &[u8]) -> Vec<(usize, Vec<String>)> {
    let end = 8 + word(bytes, 4);
    list(bytes, (12, end), FourCc::INFO)
        .into_iter()
        .map(|(from, to)| {
            let texts = chunks(bytes, from, to).into_iter();
            let text = |(_, at, size): (FourCc, usize, usize)| {
                String::from_utf8_lossy(&bytes[at..at + size - 1]).into_owned()
            };
            (from, texts.map(text).collect())
        })
        .collect()
}

#[test]
fn tags_that_come_late_are_in_the_file() {
    let titled = |title: &str| Tags {
        title: title.into(),
        ..Tags::default()
    };
    let k210 = Options::new(Profile::K210);
    let mut one_riff = Options::new(Profile::Standard);
    one_riff.big_file = false;
    for (options, late, in_head) in [
        (Options::new(Profile::Standard), "A longer title", true),
        (Options::new(Profile::Standard), "", true),
        (one_riff, "A longer title", true),
        (k210.clone(), "A longer title", false),
        (k210, "Of another length, a movie", false),
    ] {
        let mut disk = Disk::default();
        let mut writer = Writer::new(options, &[video()], &titled("First"));
        writer.start(&mut disk).unwrap();
        let frame = payload(0, 99);
        writer
            .chunk(0, 99, frame.clone(), false, &mut disk)
            .unwrap();
        writer.set_tags(&titled(late));
        writer.checkpoint(false, &mut disk).unwrap();
        writer.finish(&mut disk).unwrap();
        inspect(&disk.bytes, &[vec![frame]], 1 << 30);
        let movi = disk.bytes.windows(4).position(|four| four == b"movi");
        let expected = if late.is_empty() {
            vec![]
        } else {
            vec![late.to_owned()]
        };
        let found = info(&disk.bytes);
        let texts = found
            .last()
            .map(|(_, texts)| texts.clone())
            .unwrap_or_default();
        assert_eq!(texts, expected);
        if in_head {
            assert!(found.iter().all(|(at, _)| Some(*at) < movi));
        }
    }
}

#[test]
fn the_reserve_serves_behind_tags_that_came_late() {
    let mut disk = Disk::default();
    let mut writer = Writer::new(
        Options::new(Profile::Standard),
        &[video()],
        &Tags::default(),
    );
    writer.start(&mut disk).unwrap();
    let tags = Tags {
        comment: "c".repeat(3000),
        ..Tags::default()
    };
    writer.set_tags(&tags);
    writer.checkpoint(false, &mut disk).unwrap();
    for n in 0..50 {
        writer
            .chunk(0, 20, payload(n, 20), false, &mut disk)
            .unwrap();
    }
    let on_disk = disk.bytes.len() as u64;
    writer.salvage(on_disk, &mut disk).unwrap();
    let inspected = inspect_head(&disk.bytes);
    assert_eq!(inspected.indexed[0].as_ref().map(Vec::len), Some(50));
    assert_eq!(info(&disk.bytes)[0].1, [tags.comment]);
}
