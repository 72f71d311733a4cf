// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether a file plays on a K210, rule by rule.
//!
//! The check goes through the file as MaixPy's player does (`avi_init`,
//! `video_play_avi_init` and `video_play_avi` in
//! `components/micropython/port/src/video` of `sipeed/MaixPy-v1`): it parses the
//! same fields at the same places, searches the same buffer for the same bytes,
//! and goes from chunk to chunk as the player would. What this crate's own reader
//! makes of the file plays no part.

use super::header::{
    BitmapInfo, ChunkHeader, FourCc, ListHeader, MainHeader, StreamHeader, WaveFormat, padded,
};
use super::k210;
use super::reader::walk::{Stop, View};
use super::reader::window::{ReadAt, Window};

/// Files beyond this are out of reach of the board's signed file positions.
const MAX_FILE: u64 = k210::MAX_FILE;

/// What the player asks of a file, in the order in which it finds out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// RIFF, `AVI `, LIST `hdrl` and `avih` directly follow one another.
    Header,
    /// Then directly the first stream's LIST `strl`, `strh`, `strf`.
    FirstStream,
    /// The video is Motion JPEG, by the field the player looks at.
    MotionJpeg,
    /// The next list is sound's `strl`, or none is a `strl`.
    SecondStream,
    /// The sound is PCM of 16 bits.
    Sound,
    /// The first bytes `movi` in the file are the list's, in the first 35 KiB.
    Movi,
    /// With sound, its first chunk begins in the first 35 KiB, behind a frame.
    SoundEarly,
    /// Frames have an interval.
    Interval,
    /// Nothing but frames and sound is in `movi`.
    OnlyChunks,
    /// A frame fits the read buffer.
    FrameSize,
    /// A frame is a baseline JPEG of the header's size, and one that picojpeg decodes.
    FrameFormat,
    /// A chunk of sound fits the playback buffers.
    SoundSize,
    /// Behind the last frame something else begins.
    Ending,
    /// `avih` has the right number of frames.
    TotalFrames,
    /// The file is smaller than 2 GiB.
    FileSize,
}

impl Rule {
    /// All of them, in order.
    pub const ALL: [Self; 15] = [
        Self::Header,
        Self::FirstStream,
        Self::MotionJpeg,
        Self::SecondStream,
        Self::Sound,
        Self::Movi,
        Self::SoundEarly,
        Self::Interval,
        Self::OnlyChunks,
        Self::FrameSize,
        Self::FrameFormat,
        Self::SoundSize,
        Self::Ending,
        Self::TotalFrames,
        Self::FileSize,
    ];

    /// The rule in words.
    pub fn text(self) -> &'static str {
        match self {
            Self::Header => "RIFF, AVI, LIST hdrl and avih directly follow one another",
            Self::FirstStream => "then comes LIST strl, directly with strh and strf",
            Self::MotionJpeg => "the video is Motion JPEG (MJPG)",
            Self::SecondStream => "the next list is the sound's strl, if there is sound",
            Self::Sound => "the sound is PCM of 16 bits",
            Self::Movi => "the first bytes \"movi\" are the list's, in the first 35 KiB",
            Self::SoundEarly => "the sound begins in the first 35 KiB, behind the first frame",
            Self::Interval => "avih has the microseconds between two frames",
            Self::OnlyChunks => "movi has nothing but dc and wb chunks",
            Self::FrameSize => "each frame, with the 8 bytes behind it, fits into 35 KiB",
            Self::FrameFormat => {
                "each frame is a baseline JPEG of the header's size that picojpeg decodes"
            }
            Self::SoundSize => "each chunk of sound fits the playback buffers",
            Self::Ending => "behind the last frame another chunk begins, as an index",
            Self::TotalFrames => "avih has the number of frames",
            Self::FileSize => "the file is smaller than 2 GiB",
        }
    }
}

/// What came of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is kept.
    Kept,
    /// It does not apply to this file.
    DoesNotApply,
    /// It is broken: what was found.
    Broken(String),
    /// An earlier broken rule leaves the player nothing to get this far with.
    NotReached,
}

/// The verdict on each rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// In the order of [`Rule::ALL`].
    pub verdicts: Vec<(Rule, Verdict)>,
    /// Frames the player would show before it stops.
    pub frames: u64,
    /// Chunks of sound it would play.
    pub sounds: u64,
}

impl Report {
    /// Whether the file plays from its first frame to its last.
    pub fn plays(&self) -> bool {
        self.verdicts
            .iter()
            .all(|(_, v)| matches!(v, Verdict::Kept | Verdict::DoesNotApply))
    }

    /// The verdict on one rule.
    pub fn verdict(&self, rule: Rule) -> &Verdict {
        self.verdicts
            .iter()
            .find(|(r, _)| *r == rule)
            .map_or(&Verdict::NotReached, |(_, v)| v)
    }

    fn new() -> Self {
        let verdicts = Rule::ALL.map(|rule| (rule, Verdict::NotReached));
        Self {
            verdicts: verdicts.to_vec(),
            frames: 0,
            sounds: 0,
        }
    }

    fn set(&mut self, rule: Rule, verdict: Verdict) {
        for (r, slot) in &mut self.verdicts {
            // Keep the first breach of a rule: it is the one to mend.
            if *r == rule && !matches!(slot, Verdict::Broken(_)) {
                *slot = verdict.clone();
            }
        }
    }

    fn keep(&mut self, rule: Rule) {
        self.set(rule, Verdict::Kept);
    }

    fn breaks(&mut self, rule: Rule, why: impl Into<String>) {
        self.set(rule, Verdict::Broken(why.into()));
    }
}

/// What the player knows after `avi_init`.
struct Opened {
    usec_per_frame: u32,
    total_frames: u32,
    width: i32,
    height: i32,
    /// Whether it sets up sound: the sample rate is not 0.
    sound: bool,
    /// Where `movi` is in the buffer.
    movi: usize,
}

/// Follows the player through a file. `progress` is told how many bytes are done.
pub fn check<S: ReadAt>(source: S, mut progress: impl FnMut(u64)) -> Result<Report, S::Error> {
    let mut window = Window::new(source);
    let size = window.file_size();
    let mut report = Report::new();
    if size > MAX_FILE {
        report.breaks(Rule::FileSize, format!("it has {size} bytes"));
    } else {
        report.keep(Rule::FileSize);
    }
    let buffer = match window.get(0, k210::READ_BUFFER as usize) {
        Ok(buffer) => buffer.to_vec(),
        Err(Stop::Source(error)) => return Err(error),
        Err(Stop::Short { .. }) => Vec::new(),
    };
    if let Some(opened) = open(&buffer, &mut report) {
        play(&mut window, &opened, &mut report, &mut progress)?;
    }
    Ok(report)
}

/// What a buffer has from a place on, which a size of 32 bits may have put anywhere.
fn from(buffer: &[u8], at: u64) -> Option<&[u8]> {
    buffer.get(usize::try_from(at).ok()?..)
}

fn list_at(buffer: &[u8], at: u64) -> Option<ListHeader> {
    ListHeader::parse(from(buffer, at)?).ok()
}

fn chunk_at(buffer: &[u8], at: u64) -> Option<ChunkHeader> {
    ChunkHeader::parse(from(buffer, at)?).ok()
}

/// `avi_srarch_id`: the first place of `id`, or 0.
fn search(buffer: &[u8], id: &[u8; 4]) -> usize {
    let end = buffer.len().saturating_sub(4);
    buffer
        .windows(4)
        .take(end)
        .position(|w| w == id)
        .unwrap_or(0)
}

/// `avi_init`.
fn open(buffer: &[u8], report: &mut Report) -> Option<Opened> {
    let opening = Opening { buffer };
    let main = judge(opening.main(), report, &[Rule::Header])?;
    let first = judge(opening.first_stream(), report, &[Rule::FirstStream])?;
    let streams = opening.streams(&first, report)?;
    report.keep(Rule::MotionJpeg);
    match &streams.wave {
        Some(wave) => check_wave(wave, report),
        None => {
            for rule in [Rule::Sound, Rule::SoundEarly, Rule::SoundSize] {
                report.set(rule, Verdict::DoesNotApply);
            }
        }
    }
    let movi = judge(opening.movi(), report, &[Rule::Movi])?;
    if streams.wave.is_some() {
        let early = opening.first_sound(movi, streams.sound_name);
        judge(early, report, &[Rule::SoundEarly])?;
    }
    match main.micro_sec_per_frame {
        0 => report.breaks(
            Rule::Interval,
            "they are 0: frames are shown as fast as it can",
        ),
        _ => report.keep(Rule::Interval),
    }
    Some(Opened {
        usec_per_frame: main.micro_sec_per_frame,
        total_frames: main.total_frames,
        width: streams.video.width,
        height: streams.video.height,
        sound: streams.wave.is_some(),
        movi,
    })
}

/// What was found, or which rule is broken and how.
type Judged<T> = Result<T, (Rule, String)>;

/// Notes in the report what came of a step: the rules that it keeps, or the one that it breaks.
fn judge<T>(step: Judged<T>, report: &mut Report, kept: &[Rule]) -> Option<T> {
    match step {
        Ok(found) => {
            kept.iter().for_each(|rule| report.keep(*rule));
            Some(found)
        }
        Err((rule, why)) => {
            report.breaks(rule, why);
            None
        }
    }
}

/// The first stream's headers.
struct First {
    strh: StreamHeader,
    /// Where the payload of its `strf` is.
    strf: u64,
    /// Where the list behind its own is.
    next: u64,
}

/// What the two streams are.
struct Streams {
    video: BitmapInfo,
    /// The sound's format, if it has a sample rate, which is all that the player goes by.
    wave: Option<WaveFormat>,
    sound_name: &'static [u8; 4],
}

/// The start of a file, as `avi_init` looks at it.
struct Opening<'a> {
    buffer: &'a [u8],
}

impl Opening<'_> {
    /// Its payload's offset, where a list of some kind has the main header as its first chunk.
    const MAIN: u64 = 24;

    fn list(&self, at: u64, id: FourCc, kind: FourCc) -> bool {
        list_at(self.buffer, at).is_some_and(|list| (list.id, list.kind) == (id, kind))
    }

    /// What is at a place, if all of it is in the buffer.
    fn parse<T, E>(&self, at: u64, parse: impl Fn(&[u8]) -> Result<T, E>) -> Option<T> {
        from(self.buffer, at).and_then(|bytes| parse(bytes).ok())
    }

    fn main(&self) -> Judged<MainHeader> {
        let lists = self.list(0, FourCc::RIFF, FourCc::AVI)
            && self.list(12, FourCc::LIST, FourCc::HDRL)
            && chunk_at(self.buffer, Self::MAIN).is_some_and(|chunk| chunk.id == FourCc::AVIH);
        let main = lists.then(|| self.parse(Self::MAIN + 8, MainHeader::parse));
        let missing = || "one of them is missing or elsewhere".to_owned();
        main.flatten().ok_or_else(|| (Rule::Header, missing()))
    }

    fn first_stream(&self) -> Judged<First> {
        let broken = |why| (Rule::FirstStream, why);
        let avih = chunk_at(self.buffer, Self::MAIN).map_or(0, |chunk| chunk.size);
        let at = Self::MAIN + u64::from(avih) + 8;
        let strl = list_at(self.buffer, at)
            .filter(|list| (list.id, list.kind) == (FourCc::LIST, FourCc::STRL));
        let chunk = chunk_at(self.buffer, at + 12).filter(|chunk| chunk.id == FourCc::STRH);
        let strh = self.parse(at + 20, StreamHeader::parse);
        let (Some(strl), Some(chunk), Some(strh)) = (strl, chunk, strh) else {
            let why = format!("at byte {at} there is no strl with a strh");
            return Err(broken(why));
        };
        let strf = at + 12 + u64::from(chunk.size) + 8;
        if chunk_at(self.buffer, strf).is_none_or(|chunk| chunk.id != FourCc::STRF) {
            let why = format!("behind strh, at byte {strf}, there is no strf");
            return Err(broken(why));
        }
        let strf = strf + 8;
        let next = at + u64::from(strl.size) + 8;
        Ok(First { strh, strf, next })
    }

    /// Both streams' formats, by the field that the player looks at.
    fn streams(&self, first: &First, report: &mut Report) -> Option<Streams> {
        let not_jpeg = |why| (Rule::MotionJpeg, why);
        let other = match first.strh.kind {
            FourCc::VIDS if first.strh.handler != FourCc::MJPG => {
                let handler = first.strh.handler;
                let why = format!("strh's handler is {handler}, not MJPG");
                return judge(Err(not_jpeg(why)), report, &[]);
            }
            FourCc::VIDS => FourCc::AUDS,
            FourCc::AUDS => FourCc::VIDS,
            kind => {
                let why = format!("the first stream is {kind}, neither vids nor auds");
                return judge(Err(not_jpeg(why)), report, &[]);
            }
        };
        let second = judge(
            self.second(first.next, other),
            report,
            &[Rule::SecondStream],
        )?;
        let wave = |at| self.parse(at, WaveFormat::parse);
        let streams = if first.strh.kind == FourCc::VIDS {
            Streams {
                video: self.parse(first.strf, BitmapInfo::parse)?,
                wave: match second {
                    Some(strf) => Some(wave(strf)?),
                    None => None,
                },
                sound_name: b"01wb",
            }
        } else {
            let Some(strf) = second else {
                report.breaks(Rule::SecondStream, "there is sound but no video");
                return None;
            };
            Streams {
                video: self.parse(strf, BitmapInfo::parse)?,
                wave: Some(wave(first.strf)?),
                sound_name: b"00wb",
            }
        };
        let codec = streams.video.compression;
        if other == FourCc::VIDS && codec != FourCc::MJPG {
            let why = format!("strf's compression is {codec}, not MJPG");
            return judge(Err(not_jpeg(why)), report, &[]);
        }
        let wave = streams.wave.filter(|wave| wave.samples_per_sec != 0);
        Some(Streams { wave, ..streams })
    }

    /// Where the payload of the second stream's `strf` is, if there is a second stream.
    fn second(&self, at: u64, kind: FourCc) -> Judged<Option<u64>> {
        let broken = |why| Err((Rule::SecondStream, why));
        // For sound it looks at the list's kind only.
        if list_at(self.buffer, at).is_none_or(|list| list.kind != FourCc::STRL) {
            return Ok(None);
        }
        let strh = chunk_at(self.buffer, at + 12).filter(|chunk| chunk.id == FourCc::STRH);
        let header = self.parse(at + 20, StreamHeader::parse);
        let (Some(strh), Some(header)) = (strh, header) else {
            return broken(format!("at byte {at} there is a strl without strh"));
        };
        if header.kind != kind {
            return broken(format!("it is {}, not {kind}", header.kind));
        }
        let strf = at + 12 + u64::from(strh.size) + 8;
        let there = chunk_at(self.buffer, strf).is_some_and(|chunk| chunk.id == FourCc::STRF);
        if kind == FourCc::AUDS && !there {
            return broken(format!("behind strh, at byte {strf}, there is no strf"));
        }
        Ok(Some(strf + 8))
    }

    /// Where the bytes `movi` are.
    fn movi(&self) -> Judged<usize> {
        let broken = |why| Err((Rule::Movi, why));
        let movi = search(self.buffer, b"movi");
        if movi == 0 {
            return broken("there is none".to_owned());
        }
        let is_list = movi >= 8
            && list_at(self.buffer, movi as u64 - 8).is_some_and(|list| list.id == FourCc::LIST);
        if !is_list {
            return broken(format!(
                "the bytes \"movi\" at {movi} are no list: the player starts there all the same"
            ));
        }
        Ok(movi)
    }

    /// Finds the first chunk of sound. The search begins at the first chunk, and to find it there is
    /// taken for not finding it.
    fn first_sound(&self, movi: usize, name: &[u8; 4]) -> Judged<()> {
        let chunks = self.buffer.get(movi + 4..).unwrap_or(&[]);
        if search(chunks, name) > 0 {
            return Ok(());
        }
        let why = match chunks.starts_with(name) {
            true => "the first chunk is sound",
            false => "no chunk of sound begins there",
        };
        Err((Rule::SoundEarly, why.to_owned()))
    }
}

fn check_wave(wave: &WaveFormat, report: &mut Report) {
    if wave.format_tag != WaveFormat::PCM || wave.bits_per_sample != 16 {
        report.breaks(
            Rule::Sound,
            format!(
                "it is of format 0x{:04x} and {} bits, and is played as if it were 16",
                wave.format_tag, wave.bits_per_sample
            ),
        );
    } else {
        report.keep(Rule::Sound);
    }
}

/// `video_play_avi`, until it returns the end or an error.
fn play<S: ReadAt>(
    window: &mut Window<S>,
    opened: &Opened,
    report: &mut Report,
    progress: &mut impl FnMut(u64),
) -> Result<(), S::Error> {
    debug_assert!(opened.usec_per_frame > 0 || !report.plays());
    let size = window.file_size();
    let mut at = opened.movi as u64 + 4;
    let mut get = |pos: u64, len: usize| match window.get(pos, len) {
        Ok(data) => Ok(data.to_vec()),
        Err(Stop::Source(error)) => Err(error),
        Err(Stop::Short { .. }) => Ok(Vec::new()),
    };
    for rule in [Rule::OnlyChunks, Rule::FrameSize, Rule::FrameFormat] {
        report.keep(rule);
    }
    if opened.sound {
        report.keep(Rule::SoundSize);
    }
    let ending = loop {
        progress(at.min(size));
        let head = get(at, 12)?;
        let Ok(chunk) = ChunkHeader::parse(&head) else {
            break None;
        };
        // Only the last two letters count.
        let (letters, len) = (&chunk.id.0[2..], padded(chunk.size.into()));
        if letters != b"dc" && letters != b"wb" {
            break Some(chunk.id);
        }
        let payload = at + 8;
        let why = if payload + len > size {
            let why = format!("the file ends inside the chunk at byte {at}");
            Some((Rule::Ending, why))
        } else if letters == b"dc" {
            let data = match frame_fits(chunk, report.frames + 1) {
                Ok(()) => Ok(get(payload, chunk.size as usize)?),
                Err(why) => Err(why),
            };
            let checked = data.and_then(|data| check_frame(&data, opened, report.frames + 1));
            report.frames += u64::from(checked.is_ok());
            checked.err()
        } else {
            let checked = check_sound(chunk, at, opened);
            report.sounds += u64::from(checked.is_ok());
            checked.err()
        };
        if let Some((rule, why)) = why {
            report.breaks(rule, why);
            return Ok(());
        }
        at = payload + len;
    };
    match ending {
        None => report.breaks(
            Rule::Ending,
            "the file ends there, and the player takes old memory for the next chunk's name",
        ),
        Some(id) => {
            if is_inside(&mut get, at, id, size)? {
                let why = format!("playback ends at {id} at byte {at}, and more frames follow");
                report.breaks(Rule::OnlyChunks, why);
            }
            report.keep(Rule::Ending);
        }
    }
    let (told, shown) = (opened.total_frames, report.frames);
    if shown == u64::from(told) {
        report.keep(Rule::TotalFrames);
    } else {
        let why = format!("it says {told}, the player shows {shown}: \"frame error\" at the end");
        report.breaks(Rule::TotalFrames, why);
    }
    Ok(())
}

/// Whether a frame and the head behind it fit the buffer. A larger one is written over memory that is
/// not the player's own.
fn frame_fits(chunk: ChunkHeader, frame: u64) -> Judged<()> {
    if chunk.padded_size() + 8 <= u64::from(k210::READ_BUFFER) {
        return Ok(());
    }
    let (size, limit) = (chunk.size, k210::MAX_FRAME);
    let why = format!(
        "frame {frame} has {size} bytes, {limit} is the limit: lower the JPEG quality or the size"
    );
    Err((Rule::FrameSize, why))
}

fn check_frame(data: &[u8], opened: &Opened, frame: u64) -> Judged<()> {
    // A picture that is upside down has no frame that fits.
    let (width, height) = (opened.width.max(0), opened.height.max(0));
    k210::check_frame(data, width as u32, height as u32)
        .map_err(|error| (Rule::FrameFormat, format!("frame {frame}: {error}")))
}

fn check_sound(chunk: ChunkHeader, at: u64, opened: &Opened) -> Judged<()> {
    if !opened.sound {
        let why = format!("there is sound at byte {at}, but no stream for it");
        return Err((Rule::SecondStream, why));
    }
    let (size, limit) = (chunk.size, k210::MAX_SOUND);
    if chunk.padded_size() > u64::from(limit) {
        let why = format!("the chunk at byte {at} has {size} bytes, {limit} is the limit");
        return Err((Rule::SoundSize, why));
    }
    Ok(())
}

/// Whether what ends playback has frames behind it.
fn is_inside<E>(
    get: &mut impl FnMut(u64, usize) -> Result<Vec<u8>, E>,
    at: u64,
    id: FourCc,
    size: u64,
) -> Result<bool, E> {
    if id == FourCc::IDX1 {
        return Ok(false);
    }
    if id == FourCc::LIST {
        let kind = get(at + 8, 4)?;
        return Ok(kind == FourCc::REC.0);
    }
    // The next chunk but one tells: `JUNK` or `ix00` between frames.
    let mut at = at;
    for _ in 0..4 {
        let Ok(chunk) = ChunkHeader::parse(&get(at, 8)?) else {
            return Ok(false);
        };
        if matches!(&chunk.id.0[2..], b"dc" | b"wb" | b"db") {
            return Ok(true);
        }
        at = at + 8 + chunk.padded_size();
        if at >= size {
            return Ok(false);
        }
    }
    Ok(false)
}
