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
            // The first thing found is the one to mend.
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

fn list_at(buffer: &[u8], at: usize) -> Option<ListHeader> {
    ListHeader::parse(buffer.get(at..)?).ok()
}

fn chunk_at(buffer: &[u8], at: usize) -> Option<ChunkHeader> {
    ChunkHeader::parse(buffer.get(at..)?).ok()
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
    let riff = list_at(buffer, 0);
    let hdrl = list_at(buffer, 12);
    let avih = chunk_at(buffer, 24);
    match (riff, hdrl, avih) {
        (Some(riff), Some(hdrl), Some(avih))
            if (riff.id, riff.kind) == (FourCc::RIFF, FourCc::AVI)
                && (hdrl.id, hdrl.kind) == (FourCc::LIST, FourCc::HDRL)
                && avih.id == FourCc::AVIH =>
        {
            report.keep(Rule::Header);
        }
        _ => {
            report.breaks(Rule::Header, "one of them is missing or elsewhere");
            return None;
        }
    }
    let main = MainHeader::parse(buffer.get(32..)?).ok()?;
    let avih = avih?;
    let at = 24usize.checked_add(avih.size as usize)?.checked_add(8)?;
    let strl = list_at(buffer, at).filter(|l| (l.id, l.kind) == (FourCc::LIST, FourCc::STRL));
    let strh = chunk_at(buffer, at + 12).filter(|c| c.id == FourCc::STRH);
    let (Some(strl), Some(strh)) = (strl, strh) else {
        report.breaks(
            Rule::FirstStream,
            format!("at byte {at} there is no strl with a strh"),
        );
        return None;
    };
    let first = StreamHeader::parse(buffer.get(at + 20..)?).ok()?;
    let strf = at + 12 + strh.size as usize + 8;
    if chunk_at(buffer, strf).is_none_or(|c| c.id != FourCc::STRF) {
        report.breaks(
            Rule::FirstStream,
            format!("behind strh, at byte {strf}, there is no strf"),
        );
        return None;
    }
    report.keep(Rule::FirstStream);
    let next = at.checked_add(strl.size as usize)?.checked_add(8)?;
    let (video, sound, sound_name) = match first.kind {
        FourCc::VIDS => {
            if first.handler != FourCc::MJPG {
                report.breaks(
                    Rule::MotionJpeg,
                    format!("strh's handler is {}, not MJPG", first.handler),
                );
                return None;
            }
            let video = BitmapInfo::parse(buffer.get(strf + 8..)?).ok()?;
            let sound = second(buffer, next, FourCc::AUDS, report)?;
            (video, sound, b"01wb")
        }
        FourCc::AUDS => {
            let wave = WaveFormat::parse(buffer.get(strf + 8..)?).ok()?;
            let Some(strf) = second(buffer, next, FourCc::VIDS, report)? else {
                report.breaks(Rule::SecondStream, "there is sound but no video");
                return None;
            };
            let video = BitmapInfo::parse(buffer.get(strf..)?).ok()?;
            if video.compression != FourCc::MJPG {
                report.breaks(
                    Rule::MotionJpeg,
                    format!("strf's compression is {}, not MJPG", video.compression),
                );
                return None;
            }
            check_wave(&wave, report);
            (video, (wave.samples_per_sec > 0).then_some(strf), b"00wb")
        }
        kind => {
            report.breaks(
                Rule::MotionJpeg,
                format!("the first stream is {kind}, neither vids nor auds"),
            );
            return None;
        }
    };
    report.keep(Rule::MotionJpeg);
    let mut has_sound = sound.is_some();
    if let (Some(strf), FourCc::VIDS) = (sound, first.kind) {
        let wave = WaveFormat::parse(buffer.get(strf..)?).ok()?;
        // The sample rate is all it goes by.
        has_sound = wave.samples_per_sec != 0;
        if has_sound {
            check_wave(&wave, report);
        }
    }
    if !has_sound {
        for rule in [Rule::Sound, Rule::SoundEarly, Rule::SoundSize] {
            report.set(rule, Verdict::DoesNotApply);
        }
    }
    let movi = search(buffer, b"movi");
    let is_list = movi >= 8 && list_at(buffer, movi - 8).is_some_and(|l| l.id == FourCc::LIST);
    if movi == 0 {
        report.breaks(Rule::Movi, "there is none");
        return None;
    }
    if !is_list {
        report.breaks(
            Rule::Movi,
            format!(
                "the bytes \"movi\" at {movi} are no list: the player starts there all the same"
            ),
        );
        return None;
    }
    report.keep(Rule::Movi);
    if has_sound {
        // The search begins at the first chunk, and finding it there is
        // taken for not finding it.
        let found = search(&buffer[movi + 4..], sound_name);
        if found == 0 {
            let why = if buffer.get(movi + 4..movi + 8) == Some(sound_name) {
                "the first chunk is sound"
            } else {
                "no chunk of sound begins there"
            };
            report.breaks(Rule::SoundEarly, why);
            return None;
        }
        report.keep(Rule::SoundEarly);
    }
    if main.micro_sec_per_frame == 0 {
        report.breaks(
            Rule::Interval,
            "they are 0: frames are shown as fast as it can",
        );
    } else {
        report.keep(Rule::Interval);
    }
    Some(Opened {
        usec_per_frame: main.micro_sec_per_frame,
        total_frames: main.total_frames,
        width: video.width,
        height: video.height,
        sound: has_sound,
        movi,
    })
}

/// The second stream's `strf` payload; `Some(None)` if there is no second stream.
fn second(buffer: &[u8], at: usize, kind: FourCc, report: &mut Report) -> Option<Option<usize>> {
    let list = list_at(buffer, at);
    // For sound it looks at the list's kind only.
    if list.is_none_or(|l| l.kind != FourCc::STRL) {
        report.keep(Rule::SecondStream);
        return Some(None);
    }
    let strh = chunk_at(buffer, at + 12).filter(|c| c.id == FourCc::STRH);
    let header = strh.and_then(|_| StreamHeader::parse(buffer.get(at + 20..)?).ok());
    let (Some(strh), Some(header)) = (strh, header) else {
        report.breaks(
            Rule::SecondStream,
            format!("at byte {at} there is a strl without strh"),
        );
        return None;
    };
    if header.kind != kind {
        report.breaks(
            Rule::SecondStream,
            format!("it is {}, not {kind}", header.kind),
        );
        return None;
    }
    let strf = at + 12 + strh.size as usize + 8;
    if kind == FourCc::AUDS && chunk_at(buffer, strf).is_none_or(|c| c.id != FourCc::STRF) {
        report.breaks(
            Rule::SecondStream,
            format!("behind strh, at byte {strf}, there is no strf"),
        );
        return None;
    }
    report.keep(Rule::SecondStream);
    Some(Some(strf + 8))
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
        if payload + len > size {
            report.breaks(
                Rule::Ending,
                format!("the file ends inside the chunk at byte {at}"),
            );
            return Ok(());
        }
        let frame = report.frames + 1;
        if letters == b"dc" {
            if len + 8 > u64::from(k210::READ_BUFFER) {
                report.breaks(
                    Rule::FrameSize,
                    format!(
                        "frame {frame} has {} bytes, {} is the limit: lower the JPEG quality or the size",
                        chunk.size,
                        k210::MAX_FRAME
                    ),
                );
                // It would write over memory that is not its own.
                return Ok(());
            }
            let data = get(payload, chunk.size as usize)?;
            // A picture that is upside down has no frame that fits.
            let (width, height) = (opened.width.max(0), opened.height.max(0));
            if let Err(error) = k210::check_frame(&data, width as u32, height as u32) {
                report.breaks(Rule::FrameFormat, format!("frame {frame}: {error}"));
                return Ok(());
            }
            report.frames = frame;
        } else {
            if !opened.sound {
                report.breaks(
                    Rule::SecondStream,
                    format!("there is sound at byte {at}, but no stream for it"),
                );
                return Ok(());
            }
            if len > u64::from(k210::MAX_SOUND) {
                report.breaks(
                    Rule::SoundSize,
                    format!(
                        "the chunk at byte {at} has {} bytes, {} is the limit",
                        chunk.size,
                        k210::MAX_SOUND
                    ),
                );
                return Ok(());
            }
            report.sounds += 1;
        }
        at = payload + len;
    };
    match ending {
        None => report.breaks(
            Rule::Ending,
            "the file ends there, and the player takes old memory for the next chunk's name",
        ),
        Some(id) => {
            let more = is_inside(&mut get, at, id, size)?;
            if more {
                report.breaks(
                    Rule::OnlyChunks,
                    format!("playback ends at {id} at byte {at}, and more frames follow"),
                );
            }
            report.keep(Rule::Ending);
        }
    }
    if report.frames == u64::from(opened.total_frames) {
        report.keep(Rule::TotalFrames);
    } else {
        report.breaks(
            Rule::TotalFrames,
            format!(
                "it says {}, the player shows {}: \"frame error\" at the end",
                opened.total_frames, report.frames
            ),
        );
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
