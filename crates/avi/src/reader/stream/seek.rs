// SPDX-License-Identifier: MIT OR Apache-2.0
//! Seeks in a file that comes in pieces: where its source has to go, and whether the picture is there that
//! what is played begins with.
//!
//! That a picture is destroyed is seen when its bytes come. What comes is held back until then; if there is no
//! picture to begin with, the source goes further back, twice as far each time.

use std::convert::Infallible;

use super::super::arrived::Parts;
use super::super::headers::Stream;
use super::super::index::{Cursor, Entry, Index};
use super::super::stored::{self, Unusable};
use super::super::tracks::Range;
use super::super::walk::Stop;
use super::super::{Pictures, Snap, first_video};
use super::{Body, Item, PATIENCE, StreamReader};

/// What is asked for at least when a part of the file's index is wanted.
const INDEX_READ: usize = 64 << 10;

/// An index of more than this is left alone.
const MAX_INDEX: usize = 64 << 20;

/// So often the source goes elsewhere for a picture to begin with.
const MOST_TRIES: u32 = 8;

/// Where a seek goes, once the bytes from there come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Landing {
    /// The place.
    pos: u64,
    /// What was asked for.
    asked: Range,
    /// What is played for it.
    pub range: Range,
    /// How often the source went elsewhere before.
    tries: u32,
}

/// A seek that has landed.
#[derive(Debug)]
pub(super) struct Settling {
    landing: Landing,
    /// What came before the first picture.
    pub held: Vec<Item>,
}

impl Settling {
    pub fn new(landing: Landing) -> Self {
        let held = Vec::new();
        Self { landing, held }
    }
}

/// A seek beyond what has been seen, for which the file's index is fetched.
#[derive(Debug)]
pub(super) struct Lookup {
    pub parts: Parts,
    /// Up to where the last part has to come.
    pub need: u64,
    range: Range,
}

impl Body {
    /// When the picture begins that is on screen at a time in nanoseconds, or with `after` the next one
    /// if it is not that very time, of those that are not lost; beyond what has been seen, by the rate alone.
    fn picture_at(&self, ns: u64, after: bool) -> Option<u64> {
        let n = first_video(&self.header, &self.index)?;
        let stream = self.header.streams.get(n)?;
        if self.complete || stream.end(self.index.units(n)) > ns {
            let mut pictures = Pictures::at(n, &self.header, &self.index, ns, after);
            let mut pictures = std::iter::from_fn(|| pictures.next(&self.header, &self.index));
            let shown = pictures.find(|entry| !self.lost.contains(&entry.first));
            if shown.is_some() || self.complete || !after {
                return shown.map(|entry| stream.time(entry.first));
            }
        }
        let unit = stream.count_at(ns);
        let is_there = |unit: &u64| !self.lost.contains(unit);
        let unit = match after {
            true => (unit..).find(|unit| stream.time(*unit) >= ns && is_there(unit)),
            false => (0..=unit).rev().find(is_there),
        };
        unit.map(|unit| stream.time(unit))
    }

    /// What is played for what was asked for, by what is known.
    fn snapped(&self, asked: Range) -> Range {
        let Some(snap) = asked.snap else {
            return asked;
        };
        let picture_at = |after| Ok::<_, Infallible>(self.picture_at(asked.start, after));
        match snap.of(asked.start, false, picture_at) {
            Ok(time) => asked.snapped(time),
            Err(never) => match never {},
        }
    }

    /// Whether a time lies in what has been seen of every stream.
    fn knows(&self, time: u64) -> bool {
        let streams = self.header.streams.iter().enumerate();
        streams
            .filter(|(_, stream)| stream.is_played())
            .all(|(n, stream)| stream.end(self.index.units(n)) > time)
    }

    /// Where the chunks begin of what is played from a time on, and of `back` pictures before it.
    fn place_of(&self, time: u64, back: u32) -> u64 {
        let mut pos = self
            .index
            .end()
            .max(self.header.movi.map_or(0, |movi| movi + 4));
        if self.index.end() == 0 {
            pos = self.walker.pos();
        }
        let video = first_video(&self.header, &self.index);
        let is_shown = |n, entry: &Entry| {
            entry.size > 0 && !(Some(n) == video && self.lost.contains(&entry.first))
        };
        for (n, stream) in self.header.streams.iter().enumerate() {
            let mut cursor = Cursor::new(n);
            cursor.seek(&self.index, stream.count_at(time));
            let mut entry = cursor.peek(&self.index);
            let mut back = back;
            // The picture that is on screen may be before empty chunks, or the last of all.
            while !stream.is_sound() {
                if entry.is_some_and(|entry| is_shown(n, &entry)) {
                    let Some(less) = back.checked_sub(1) else {
                        break;
                    };
                    back = less;
                }
                match cursor.back(&self.index) {
                    Some(before) => entry = Some(before),
                    None => break,
                }
            }
            if let Some(entry) = entry {
                pos = pos.min(entry.pos.saturating_sub(entry.head()));
            }
        }
        pos
    }
}

impl StreamReader {
    /// Where the source has to go for a seek forward; `None` if nothing has been seen of the file yet.
    ///
    /// If that is beyond what has been seen of a file of `size` bytes, it first goes to the file's
    /// index.
    pub fn seek(&mut self, range: Range, size: Option<u64>) -> Option<u64> {
        self.settling = None;
        self.ready.clear();
        let knows = |body: &Body| body.knows(range.start);
        let parts = match (self.lookup.take(), size) {
            // The part that was being fetched is given up.
            (Some(mut lookup), _) => {
                lookup.parts.begin(u64::MAX);
                lookup.parts
            }
            (None, Some(size)) if !self.looked && !self.body.as_ref().is_none_or(knows) => {
                self.looked = true;
                Parts::new(size)
            }
            _ => return self.land(range, 0),
        };
        let need = 0;
        self.lookup = Some(Lookup { parts, need, range });
        self.look_up()
    }

    /// Reads the file's index as far as it has come. Answers where the source has to go next.
    pub(super) fn look_up(&mut self) -> Option<u64> {
        let mut lookup = self.lookup.take()?;
        let body = self.body.as_mut()?;
        let mut index = Index::new(body.header.streams.iter().map(Stream::counts_bytes));
        match stored::load(&mut lookup.parts, &body.header, &mut index) {
            Err(Unusable::Read(Stop::Short { pos, len })) if lookup.parts.total() < MAX_INDEX => {
                let (start, end) = lookup.parts.last();
                let goes_on = (start..=end).contains(&pos) && start != end;
                lookup.need = pos + len.max(INDEX_READ) as u64;
                self.lookup = Some(lookup);
                return (!goes_on).then_some(pos);
            }
            Ok(true) if index.end() > body.index.end() => body.index = index,
            _ => {}
        }
        self.land(lookup.range, 0)
    }

    /// Where the source has to go for a seek, by what is known of the file. It looks back before that if it
    /// has `tries` behind it.
    fn land(&mut self, asked: Range, tries: u32) -> Option<u64> {
        let body = self.body.as_ref()?;
        let range = body.snapped(asked);
        let pos = body.place_of(range.start, 1 << tries >> 1);
        self.landing = Some(Landing {
            pos,
            asked,
            range,
            tries,
        });
        Some(pos)
    }

    /// Takes in what comes after a seek has landed, until the picture is there that it begins with.
    pub(super) fn settle(&mut self, item: Item) -> Option<Item> {
        let (Some(settling), Some(body)) = (&mut self.settling, &self.body) else {
            return Some(item);
        };
        let video = first_video(&body.header, &body.index);
        let wait = settling.landing.range.start.saturating_add(PATIENCE);
        // When the first picture begins, or that there is none; nothing if that cannot be said.
        let first = match &item {
            Item::Searching => return Some(item),
            Item::Unit(unit) if Some(unit.stream) == video => {
                let first = unit.content.as_ref().map(|_| unit.time);
                // The next one may be a few chunks further on.
                if first.is_none() && settling.landing.asked.snap == Some(Snap::After) {
                    settling.held.push(item);
                    return None;
                }
                Some(first)
            }
            Item::Unit(unit) if video.is_some() && unit.time < wait => {
                settling.held.push(item);
                return None;
            }
            Item::End | Item::Over if video.is_some() => Some(None),
            _ => None,
        };
        let Settling { landing, held } = self.settling.take()?;
        if let Some(pos) = first.and_then(|first| self.better(&landing, first)) {
            return Some(Item::GoTo(pos));
        }
        let snaps = landing.asked.snap.is_some();
        let begin = first.flatten().filter(|_| snaps);
        self.ready.extend(held);
        self.ready.push_back(item);
        Some(Item::Landed(landing.range.snapped(begin)))
    }

    /// Where the source has to go if a seek that has landed does not begin with the picture that it should.
    /// `first` is when that begins which it has.
    fn better(&mut self, landing: &Landing, first: Option<u64>) -> Option<u64> {
        let range = self.body.as_ref()?.snapped(landing.asked);
        let is_right = match landing.asked.snap {
            Some(_) => range == landing.range && first == Some(range.start),
            None => first.is_some(),
        };
        if is_right || landing.tries >= MOST_TRIES {
            return None;
        }
        let pos = self.land(landing.asked, landing.tries + 1)?;
        if pos >= landing.pos && range == landing.range {
            // There is nothing before it.
            self.landing = None;
            return None;
        }
        Some(pos)
    }
}
