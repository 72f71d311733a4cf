// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is played of the chunks that are found: which are within the range that was asked for, which
//! picture is on screen where it begins, where samples begin and end.
//!
//! Knows nothing of where the chunks come from; [`player`](super::player) and
//! [`stream`](super::stream) both hand theirs to it.

use std::ops::Range as Bytes;

use super::Snap;
use super::headers::{Part, Stream};
use crate::timeline::LATEST;

/// What is to be played: the times are nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// Where it begins. What is on screen then is played too, at its own time.
    pub start: u64,
    /// Where it ends; `None` at the file's end.
    pub stop: Option<u64>,
    /// From the end to the beginning.
    pub backward: bool,
    /// Without sound.
    pub silent: bool,
    /// No more pictures than this many times their interval apart.
    pub thinned: Option<f64>,
    /// The picture that it begins with instead (backward: that it ends with), if it has to be one.
    pub snap: Option<Snap>,
}

impl Range {
    /// All of a file.
    pub const ALL: Self = Self {
        start: 0,
        stop: None,
        backward: false,
        silent: false,
        thinned: None,
        snap: None,
    };

    /// Where what is played begins: backward, at the end, if that is given.
    pub(super) fn first(&self) -> Option<u64> {
        match self.backward {
            true => self.stop,
            false => Some(self.start),
        }
    }

    /// The same where a picture is that it may begin with, if there is one.
    pub(super) fn snapped(self, to: Option<u64>) -> Self {
        let (mut range, snap) = (self, None);
        match to {
            Some(to) if self.backward => range.stop = Some(to),
            Some(to) => range.start = to,
            None => {}
        }
        Self { snap, ..range }
    }
}

/// A chunk at its time, as it is played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit<P> {
    /// Which stream, from 0.
    pub stream: usize,
    /// Which of the files that were joined it is of, from 0: the stream's
    /// [`Part::number`](super::headers::Part).
    pub part: usize,
    /// When it begins, in nanoseconds.
    pub time: u64,
    /// When it ends.
    pub until: u64,
    /// It does not follow on what was played before of its stream: that is lost, empty or somewhere else.
    pub is_discont: bool,
    /// Units of the stream (frames, or samples of all channels) before it.
    pub first: u64,
    /// The same behind it.
    pub end: u64,
    /// What it holds; `None` for an empty chunk, and for one that is lost.
    pub content: Option<Content<P>>,
}

/// What a chunk holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content<P> {
    /// The start of its first sample, from the chunk before. Mostly none.
    pub head: Vec<u8>,
    /// Its bytes.
    pub piece: P,
    /// A picture that has no end marker.
    pub incomplete: bool,
}

/// A time without anything of a stream that has nothing while others are played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Which stream, from 0.
    pub stream: usize,
    /// When it begins, in nanoseconds.
    pub time: u64,
    /// When it ends.
    pub until: u64,
}

/// How often it is looked whether a stream has nothing, in nanoseconds.
const LOOK: u64 = 100_000_000;

/// What becomes of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is played, or may be.
    Play,
    /// It is not.
    Skip,
    /// Nor is any that comes behind it in its stream.
    Over,
}

/// Whole samples of a chunk: the start of the first, from the chunk before, the bytes of this one,
/// and what was in the stream before them.
pub type Samples = (Vec<u8>, Bytes<usize>, u64);

struct Track<P> {
    /// Sound whose last sample's rest is in the next chunk, and what was in the stream before it.
    rest: Option<(Vec<u8>, u64)>,
    /// When the last picture was that was not left out.
    last: Option<u64>,
    /// The picture that is on screen where the range begins, until another is known to be.
    held: Option<Unit<P>>,
    /// Something was played since the range began.
    begun: bool,
    /// Until when the picture that was played last is shown.
    shown: u64,
    /// Backward, until when the next picture is shown: those behind it are empty.
    empty_until: Option<u64>,
    /// Until when there was something, or it was said that there is nothing.
    reached: u64,
    /// The part that was played last.
    part: usize,
    /// What comes next does not follow on what was before.
    is_discont: bool,
}

impl<P> Track<P> {
    fn at(time: u64) -> Self {
        Self {
            rest: None,
            last: None,
            held: None,
            begun: false,
            shown: 0,
            empty_until: None,
            reached: time,
            part: 0,
            is_discont: true,
        }
    }
}

/// The streams of a file being played.
pub struct Tracks<P> {
    range: Range,
    tracks: Vec<Track<P>>,
    /// A stream that is behind the others by so many nanoseconds has a gap.
    patience: u64,
    /// Up to where that was looked for.
    looked: u64,
    /// Up to where it is to be.
    look: Option<u64>,
}

impl<P> Tracks<P> {
    /// All of a file of so many streams. One of them that is behind the others by `patience` nanoseconds has a gap.
    pub fn new(streams: usize, patience: u64) -> Self {
        Self {
            range: Range::ALL,
            tracks: (0..streams).map(|_| Track::at(0)).collect(),
            patience,
            looked: 0,
            look: None,
        }
    }

    /// What is played now.
    pub fn range(&self) -> Range {
        self.range
    }

    /// Plays something else.
    pub fn begin(&mut self, range: Range) {
        self.range = range;
        self.tracks.fill_with(|| Track::at(range.start));
        self.looked = range.start;
        self.look = None;
    }

    /// A stream that holds nobody up: it has nothing while others go on. Asked after each unit, until there is none.
    /// `is_there` says which streams have chunks.
    pub fn gap(&mut self, is_there: impl Fn(usize) -> bool) -> Option<Gap> {
        let until = self.look?;
        let mut tracks = self.tracks.iter_mut().enumerate();
        let is_late = |n: usize, track: &Track<P>| {
            track.reached.saturating_add(self.patience) < until && is_there(n)
        };
        let Some((stream, track)) = tracks.find(|(n, track)| is_late(*n, track)) else {
            self.looked = until;
            self.look = None;
            return None;
        };
        track.is_discont = true;
        let time = std::mem::replace(&mut track.reached, until);
        Some(Gap {
            stream,
            time,
            until,
        })
    }

    /// What becomes of the chunk of `size` bytes that a stream has behind `first`.
    pub fn fate(&mut self, n: usize, stream: &Stream, first: u64, size: u32) -> Fate {
        let range = self.range;
        let Some(track) = self.tracks.get_mut(n) else {
            return Fate::Over;
        };
        if !stream.is_played() || (stream.is_sound() && range.silent) {
            return Fate::Over;
        }
        let part = stream.part(first);
        let time = part.time(first);
        let until = part.time(first + stream.count_of(size));
        let over = match (range.backward, range.stop) {
            (true, _) => until <= range.start,
            (false, stop) => stop.is_some_and(|stop| time >= stop),
        };
        if over {
            return Fate::Over;
        }
        let before = !range.backward && until <= range.start && until > time;
        if before && stream.is_sound() {
            return Fate::Skip;
        }
        if stream.is_sound() || size == 0 || before {
            return Fate::Play;
        }
        // No more pictures a second than there are at normal speed.
        let frame = part.stream.rate.time_of(1) as f64;
        match (range.thinned, track.last) {
            (Some(rate), Some(last)) if (last.abs_diff(time) as f64) < rate * frame - 1.0 => {
                Fate::Skip
            }
            _ => {
                track.last = Some(time);
                Fate::Play
            }
        }
    }

    /// The whole samples in a chunk of sound: what is cut off at the end is put before the next
    /// chunk. `None` if there is not one.
    pub fn samples(
        &mut self,
        n: usize,
        part: Part<'_>,
        first: u64,
        data: &[u8],
    ) -> Option<Samples> {
        let unit = part.stream.unit_bytes();
        let track = self.tracks.get_mut(n)?;
        let (mut head, mut from) = (Vec::new(), first);
        if let Some((rest, at)) = track.rest.take()
            && at + rest.len() as u64 == first
            && at >= part.from
            && !self.range.backward
        {
            (head, from) = (rest, at);
        }
        let over = from.saturating_sub(part.from) % unit;
        let skip = if over == 0 { 0 } else { unit - over } as usize;
        let size = head.len() + data.len();
        let whole = size.saturating_sub(skip) / unit as usize * unit as usize;
        let end = skip + whole;
        if end < size {
            // The cut may lie in the bytes kept from the chunk before or in those of this chunk.
            let kept = end.saturating_sub(head.len());
            let mut rest = head.get(end..).unwrap_or(&[]).to_vec();
            rest.extend_from_slice(data.get(kept..).unwrap_or_default());
            track.rest = Some((rest, from + end as u64));
        }
        if whole == 0 {
            return None;
        }
        let begin = skip.saturating_sub(head.len());
        let end = end - head.len();
        head.drain(..skip.min(head.len()));
        Some((head, begin..end, from + skip as u64))
    }

    /// The unit that a chunk is played as: `counted` bytes of sound, or frames, behind `first`.
    /// `None` if it is not, or not yet.
    pub fn unit(
        &mut self,
        n: usize,
        stream: &Stream,
        (first, counted): (u64, u64),
        content: Option<Content<P>>,
    ) -> Option<Unit<P>> {
        let part = stream.part(first);
        let bytes = part.stream.unit_bytes();
        let unit = Unit {
            stream: n,
            part: part.number,
            time: part.time(first),
            until: part.time(first + counted),
            is_discont: false,
            first: stream.start + first / bytes,
            end: stream.start + (first + counted) / bytes,
            content,
        };
        let unit = match stream.is_sound() {
            true => unit,
            false => self.picture(unit)?,
        };
        Some(self.play(unit))
    }

    /// Notes what is played.
    fn play(&mut self, mut unit: Unit<P>) -> Unit<P> {
        let backward = self.range.backward;
        let Some(track) = self.tracks.get_mut(unit.stream) else {
            return unit;
        };
        let is_other = std::mem::replace(&mut track.part, unit.part) != unit.part;
        unit.is_discont = track.is_discont || is_other;
        track.is_discont = backward || unit.content.is_none();
        track.reached = track.reached.max(unit.until);
        if !backward && (unit.content.is_none() || unit.time >= self.looked.saturating_add(LOOK)) {
            self.look = Some(unit.time);
        }
        unit
    }

    fn picture(&mut self, mut unit: Unit<P>) -> Option<Unit<P>> {
        let range = self.range;
        let track = self.tracks.get_mut(unit.stream)?;
        if range.backward {
            if unit.content.is_none() {
                track.empty_until.get_or_insert(unit.until);
                return None;
            }
            unit.until = track.empty_until.take().unwrap_or(unit.until);
            return Some(unit);
        }
        if unit.until <= range.start && unit.until > unit.time {
            if unit.content.is_some() {
                track.held = Some(unit);
            }
            return None;
        }
        let begun = std::mem::replace(&mut track.begun, true);
        if unit.content.is_none() {
            if let (false, Some(mut held)) = (begun, track.held.take()) {
                held.until = unit.until;
                track.shown = unit.until;
                return Some(held);
            }
            unit.time = unit.time.max(track.shown);
            return (unit.time < unit.until).then_some(unit);
        }
        track.held = None;
        Some(unit)
    }

    /// Takes a picture that is on screen behind the end of all; asked until there is none.
    pub fn last(&mut self, streams: &[Stream]) -> Option<Unit<P>> {
        let start = self.range.start;
        let mut tracks = self.tracks.iter_mut();
        let mut held = tracks.find_map(|track| match track.begun {
            true => None,
            false => track.held.take(),
        })?;
        let frame = streams.get(held.stream).map(|stream| {
            let part = stream.last_part();
            part.stream.rate.time_of(1)
        });
        held.until = held
            .until
            .max(start.saturating_add(frame.unwrap_or(1)).min(LATEST));
        Some(self.play(held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn unit(stream: usize, ms: u64, is_empty: bool) -> Unit<()> {
        Unit {
            stream,
            part: 0,
            time: ms * MS,
            until: (ms + 40) * MS,
            is_discont: false,
            first: 0,
            end: 1,
            content: (!is_empty).then_some(Content {
                head: Vec::new(),
                piece: (),
                incomplete: false,
            }),
        }
    }

    #[test]
    fn a_stream_that_has_nothing_while_others_go_on_has_a_gap() {
        let mut tracks = Tracks::new(3, 500 * MS);
        let mut gaps = Vec::new();
        for ms in (0..2000).step_by(40) {
            let played = tracks.play(unit(0, ms, false));
            assert_eq!(played.is_discont, ms == 0);
            // The third stream has no chunk in the file.
            gaps.extend(std::iter::from_fn(|| tracks.gap(|n| n < 2)));
        }
        let times: Vec<_> = gaps
            .iter()
            .map(|gap| (gap.time / MS, gap.until / MS))
            .collect();
        assert_eq!(times, [(0, 600), (600, 1200), (1200, 1800)]);
        assert!(gaps.iter().all(|gap| gap.stream == 1));
        assert!(tracks.play(unit(1, 1800, false)).is_discont);
    }

    #[test]
    fn what_follows_on_an_empty_chunk_or_another_part_does_not_follow_on_what_was_played() {
        let mut tracks = Tracks::new(1, 500 * MS);
        let mut play = |unit| tracks.play(unit).is_discont;
        assert!(play(unit(0, 0, false)));
        assert!(!play(unit(0, 40, true)));
        assert!(play(unit(0, 80, false)));
        assert!(!play(unit(0, 120, false)));
        assert!(play(Unit {
            part: 1,
            ..unit(0, 160, false)
        }));
        tracks.begin(Range {
            backward: true,
            ..Range::ALL
        });
        let mut play = |unit| tracks.play(unit).is_discont;
        assert!(play(unit(0, 80, false)) && play(unit(0, 40, false)));
    }
}
