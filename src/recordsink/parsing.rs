// SPDX-License-Identifier: MIT OR Apache-2.0
//! What parsers leave out without a word: `h264parse` and `h265parse` pictures from before the first parameter sets, as of a
//! stream that is joined amid a group of pictures, `av1parse` those that need what has not come. It is counted and told of.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use gst::prelude::*;
use k230_venc::Codec;

use super::recorder::Recorder;
use crate::streams::begin::{REACH, begin_of};
use crate::streams::stamps::reordered;
use crate::sync::lock;

/// So many pictures are in a parser at most: none holds back more, and those before are left out.
const MOST: usize = 32;

/// How what goes into a parser is told apart.
#[derive(Debug, Default)]
enum Form {
    /// Nothing says where a picture begins.
    #[default]
    Unknown,
    /// A buffer is a picture, but for those of H.264 or H.265 that have parameter sets only.
    Whole(Option<Codec>),
    /// NAL units, cut anywhere.
    Pieces(Pieces),
}

impl Form {
    /// What these caps say.
    fn of(caps: &gst::CapsRef) -> Self {
        let Some(structure) = caps.structure(0) else {
            return Self::Unknown;
        };
        let field = |name| structure.get::<&str>(name).ok();
        let codec = match structure.name().as_str() {
            "video/x-h264" => Codec::H264,
            "video/x-h265" => Codec::H265,
            "video/x-av1" if field("alignment") == Some("tu") => return Self::Whole(None),
            _ => return Self::Unknown,
        };
        let has_start_codes = field("stream-format").is_none_or(|form| form == "byte-stream");
        match (reordered(caps), has_start_codes) {
            (Some(codec), true) => Self::Whole(Some(codec)),
            (Some(_), false) => Self::Whole(None),
            (None, true) => Self::Pieces(Pieces::new(codec)),
            (None, false) => Self::Unknown,
        }
    }

    /// Follows the stream's caps. Parsers keep the parameters that they have.
    fn follow(&mut self, caps: &gst::CapsRef) {
        let next = Self::of(caps);
        let goes_on = matches!((&*self, &next), (Self::Pieces(before), Self::Pieces(next)) if before.codec == next.codec);
        if !goes_on {
            *self = next;
        }
    }
}

/// Whether a buffer of whole pictures has one.
fn has_picture(codec: Codec, buffer: &gst::BufferRef) -> bool {
    let mut room = [0; REACH];
    let begin = begin_of(buffer, &mut room).unwrap_or_default();
    let is_picture = |unit| matches!(unit, Unit::Picture { .. });
    buffer.size() > REACH || units(codec, begin).any(is_picture)
}

/// What a NAL unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// The first slice of a picture, or a later one.
    Picture {
        begins: bool,
    },
    /// The set that says how a stream is decoded.
    Parameters,
    Other,
}

/// How many bytes tell what a unit is: its start code, its head and the begin of its slice.
fn reach(codec: Codec) -> usize {
    match codec {
        Codec::H265 => 6,
        _ => 5,
    }
}

/// The NAL units among these bytes of which enough is there.
fn units(codec: Codec, bytes: &[u8]) -> impl Iterator<Item = Unit> {
    bytes.windows(reach(codec)).filter_map(move |bytes| {
        let [0, 0, 1, head, rest @ ..] = bytes else {
            return None;
        };
        // The first bit behind the head: 7.3.3 of H.264, where it is the number 0, and 7.3.6.1 of H.265.
        let begins = rest.last().is_some_and(|byte| byte & 0x80 != 0);
        Some(match (codec, head & 0x1f, head >> 1 & 0x3f) {
            (Codec::H264, 1..=5, _) | (Codec::H265, _, 0..=31) => Unit::Picture { begins },
            (Codec::H264, 7, _) | (Codec::H265, _, 33) => Unit::Parameters,
            _ => Unit::Other,
        })
    })
}

/// The pictures among NAL units.
#[derive(Debug)]
struct Pieces {
    codec: Codec,
    /// The last bytes, which are too few to tell.
    rest: Vec<u8>,
    has_parameters: bool,
    /// Those that came before.
    pictures: u64,
    /// One begins in what came last, and one has begun that has not come out.
    begins: bool,
    is_open: bool,
}

impl Pieces {
    fn new(codec: Codec) -> Self {
        Self {
            codec,
            rest: Vec::new(),
            has_parameters: false,
            pictures: 0,
            begins: false,
            is_open: false,
        }
    }

    /// Takes some bytes. How many pictures have been left out by now.
    fn take(&mut self, bytes: &[u8]) -> u64 {
        self.rest.extend_from_slice(bytes);
        self.begins = false;
        let mut left_out = 0;
        for unit in units(self.codec, &self.rest) {
            match (unit, self.has_parameters) {
                (Unit::Picture { begins: true }, true) => self.begins = true,
                (Unit::Picture { begins: true }, false) => self.pictures += 1,
                (Unit::Parameters, false) => {
                    self.has_parameters = true;
                    left_out = std::mem::take(&mut self.pictures);
                }
                _ => (),
            }
        }
        self.is_open |= self.begins;
        let known = self.rest.len().saturating_sub(reach(self.codec) - 1);
        self.rest.drain(..known);
        left_out
    }

    /// Nothing follows what came.
    fn end(&mut self) -> Gone {
        self.rest.clear();
        Gone {
            left_out: std::mem::take(&mut self.pictures),
            flushed: u64::from(std::mem::take(&mut self.is_open)),
        }
    }
}

/// Pictures that do not come out of a parser, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Gone {
    left_out: u64,
    flushed: u64,
}

/// What has gone into a parser and has not come out of it.
#[derive(Debug, Default)]
struct Inside {
    form: Form,
    /// Times of pictures.
    times: VecDeque<Option<gst::ClockTime>>,
}

impl Inside {
    /// A buffer goes in. How many pictures have been left out by now.
    fn goes_in(&mut self, buffer: &gst::BufferRef) -> u64 {
        match &mut self.form {
            Form::Unknown => 0,
            Form::Whole(codec) => {
                if codec.is_none_or(|codec| has_picture(codec, buffer)) {
                    self.times.push_back(buffer.pts());
                }
                u64::from(self.times.len() > MOST && self.times.pop_front().is_some())
            }
            Form::Pieces(pieces) => buffer.map_readable().map_or(0, |bytes| pieces.take(&bytes)),
        }
    }

    /// A picture comes out: those that went in before it were left out, but for parsers that give it another time.
    fn comes_out(&mut self, time: Option<gst::ClockTime>) -> u64 {
        if let Form::Pieces(pieces) = &mut self.form {
            pieces.is_open = pieces.begins;
        }
        let before = self.times.iter().position(|it| *it == time).unwrap_or(0);
        self.times.drain(..self.times.len().min(before + 1));
        before as u64
    }

    /// Nothing more comes out of what went in.
    fn end(&mut self) -> Gone {
        let mut gone = match &mut self.form {
            Form::Pieces(pieces) => pieces.end(),
            _ => Gone::default(),
        };
        gone.left_out += self.times.len() as u64;
        self.times.clear();
        gone
    }
}

impl Recorder {
    /// Counts, and tells of, the pictures that the parser among these elements leaves out.
    pub(crate) fn watch_parser(self: &Arc<Self>, chain: &[gst::Element]) {
        let factory = |element: &gst::Element| {
            let factory = element.factory()?;
            factory.klass().contains("Parser").then(|| factory.name())
        };
        let mut found = chain.iter().filter_map(|it| Some((it, factory(it)?)));
        let Some((parser, name)) = found.next() else {
            return;
        };
        let (Some(sink), Some(source)) = (parser.static_pad("sink"), parser.static_pad("src"))
        else {
            return;
        };
        // Written by the stream's thread, and by whoever flushes it.
        let inside = Arc::new(Mutex::new(Inside::default()));
        let kinds = gst::PadProbeType::EVENT_DOWNSTREAM | gst::PadProbeType::BUFFER;
        let this = Arc::downgrade(self);
        let left_out = move |count: u64| {
            if let Some(this) = this.upgrade().filter(|_| count > 0) {
                this.left_out(&name, count);
            }
        };
        sink.add_probe(kinds, {
            let (inside, left_out) = (inside.clone(), left_out.clone());
            move |_, info| {
                match &info.data {
                    Some(gst::PadProbeData::Event(event)) => {
                        if let gst::EventView::Caps(caps) = event.view() {
                            lock(&inside).form.follow(caps.caps());
                        }
                    }
                    Some(gst::PadProbeData::Buffer(buffer)) => {
                        let count = lock(&inside).goes_in(buffer);
                        left_out(count);
                    }
                    _ => (),
                }
                gst::PadProbeReturn::Ok
            }
        });
        let this = Arc::downgrade(self);
        source.add_probe(kinds | gst::PadProbeType::EVENT_FLUSH, move |_, info| {
            use gst::EventType::{Eos, FlushStop};
            match &info.data {
                Some(gst::PadProbeData::Buffer(buffer)) => {
                    let count = lock(&inside).comes_out(buffer.pts());
                    left_out(count);
                }
                Some(gst::PadProbeData::Event(event)) => {
                    let is_end = matches!(event.type_(), Eos | FlushStop);
                    let gone = if is_end {
                        lock(&inside).end()
                    } else {
                        Gone::default()
                    };
                    left_out(gone.left_out);
                    if let (FlushStop, Some(this)) = (event.type_(), this.upgrade()) {
                        lock(&this.flow).dropped.flushed += gone.flushed;
                    }
                }
                _ => (),
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// A parser has left so many pictures out.
    fn left_out(&self, parser: &str, count: u64) {
        lock(&self.flow).dropped.unreadable += count;
        let told = std::mem::replace(&mut lock(&self.video).told_left_out, true);
        if let Some(bin) = self.bin.upgrade().filter(|_| !told) {
            gst::element_warning!(
                bin,
                gst::StreamError::Format,
                ("Pictures on video come before what it takes to decode them, as before the first key unit: {parser} leaves \
                  them out; dropped-unreadable counts them")
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pictures, parameter sets, and pictures of two slices.
    const H264: &[u8] =
        b"\0\0\0\x01\x41\x9a\x01\0\0\x01\x41\x9a\x02\0\0\x01\x67\x42\xc0\0\0\x01\x68\xce\x3c\
        \0\0\x01\x65\x88\x84\0\0\x01\x65\x44\x84";

    #[test]
    fn pictures_before_the_parameters_are_counted_however_they_are_cut() {
        for length in 1..=H264.len() {
            let mut pieces = Pieces::new(Codec::H264);
            let left_out: u64 = H264.chunks(length).map(|bytes| pieces.take(bytes)).sum();
            assert_eq!(left_out, 2, "{length}");
            let gone = Gone {
                left_out: 0,
                flushed: 1,
            };
            assert_eq!(
                (pieces.end(), pieces.end()),
                (gone, Gone::default()),
                "{length}"
            );
        }
        // The head is of two bytes, and the first bit behind it says so.
        let h265 = [
            b"\0\0\x01\x02\x01\xd0".as_slice(),
            b"\0\0\x01\x02\x01\x50",
            b"\0\0\x01\x42\x01\x01",
        ];
        let mut pieces = Pieces::new(Codec::H265);
        assert_eq!(pieces.take(&h265.concat()), 1);
        // None came.
        let mut pieces = Pieces::new(Codec::H264);
        assert_eq!(pieces.take(&H264[..13]), 0);
        assert_eq!(pieces.end().left_out, 2);
    }

    #[test]
    fn what_comes_out_tells_what_was_left_out() {
        gst::init().unwrap();
        let caps = |text: &str| text.parse::<gst::Caps>().unwrap();
        let picture = |seconds: u64| {
            let mut buffer = gst::Buffer::from_slice(H264);
            buffer
                .get_mut()
                .unwrap()
                .set_pts(gst::ClockTime::from_seconds(seconds));
            buffer
        };
        let whole = caps("video/x-h264,stream-format=byte-stream,alignment=au");
        let mut inside = Inside::default();
        inside.form.follow(&whole);
        let time = |seconds: u64| Some(gst::ClockTime::from_seconds(seconds));
        let goes_in = |inside: &mut Inside, seconds: u64| inside.goes_in(&picture(seconds));
        for seconds in 0..3 {
            assert_eq!(goes_in(&mut inside, seconds), 0);
        }
        assert_eq!(inside.comes_out(time(2)), 2);
        // Parameter sets alone are no picture.
        let sets = gst::Buffer::from_slice(&H264[13..24]);
        assert_eq!((inside.goes_in(&sets), inside.times.len()), (0, 0));
        // Its time may be another one.
        assert_eq!((goes_in(&mut inside, 3), inside.comes_out(time(7))), (0, 0));
        // A parser that gives nothing out holds no more than so many.
        let left_out: u64 = (0..100).map(|seconds| goes_in(&mut inside, seconds)).sum();
        assert_eq!(left_out, 100 - MOST as u64);
        assert_eq!(inside.end().left_out, MOST as u64);
        let mut unknown = Inside::default();
        unknown.form.follow(&caps("video/x-av1,alignment=obu"));
        assert_eq!(
            (goes_in(&mut unknown, 0), unknown.end()),
            (0, Gone::default())
        );
    }
}
