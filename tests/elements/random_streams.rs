// SPDX-License-Identifier: MIT OR Apache-2.0
//! Streams of chance into the sinks: encoded pictures that come in another order than they are shown, with one of the two
//! times only, in segments and forms that change; sound of all formats, cut anywhere; raw pictures with gaps between
//! their lines. Each picture and sample is found, in order and at its time. Cameras of chance are in `random_cameras.rs`.

use std::path::{Path, PathBuf};

use gst::prelude::*;
use proptest::prelude::*;

use crate::circularsink::rig;
use crate::common::{Pipeline, samples};
use crate::random_cameras::{Said, packet_times, pad_to, read, try_cameras, until_eos};

const MS: u64 = 1_000_000;
const FRAME: u64 = rig::FRAME;

/// Where the streams go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sink {
    Mux,
    Record,
    Circular,
    Ffmpeg,
}

/// A pipeline of a sink, whose pads are fed by hand.
pub(crate) struct Hand {
    pub pipeline: Pipeline,
    pub sink: gst::Element,
    kind: Sink,
    dir: tempfile::TempDir,
}

impl Hand {
    pub(crate) fn new(kind: Sink, extension: &str) -> Self {
        crate::common::init();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("%03d").with_extension(extension);
        let file = file.display();
        let pipeline = Pipeline(gst::Pipeline::new());
        let described = match kind {
            Sink::Mux => format!("avimjpegmux name=s ! filesink location={file}"),
            Sink::Record => format!("recordsink name=s location={file}"),
            Sink::Circular => {
                format!("circularsink name=s recording=true location={file}")
            }
            Sink::Ffmpeg => {
                let file = dir.path().join("000").with_extension(extension);
                format!("ffmpegsink name=s args=\"-c copy {}\"", file.display())
            }
        };
        let bin = gst::parse::bin_from_description(&described, false).unwrap();
        pipeline.0.add(&bin).unwrap();
        let sink = pipeline.element("s");
        Self {
            pipeline,
            sink,
            kind,
            dir,
        }
    }

    /// A pad that leads to the picture's or to the sound's.
    pub(crate) fn pad(&self, is_video: bool) -> gst::Pad {
        let name = match (self.kind, is_video) {
            (Sink::Mux, true) => "video_0",
            (_, true) => "video",
            (Sink::Record | Sink::Ffmpeg, false) => "audio",
            _ => "audio_0",
        };
        pad_to(&self.sink, name)
    }

    pub(crate) fn until_eos(&self) -> Result<Said, TestCaseError> {
        let said = until_eos(&self.pipeline)?;
        self.pipeline.0.set_state(gst::State::Null).unwrap();
        Ok(said)
    }

    /// What came out, by name.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.dir.path()).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }
}

pub(crate) fn segment(start: u64, base: u64) -> gst::Event {
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(gst::ClockTime::from_nseconds(start));
    segment.set_time(gst::ClockTime::ZERO);
    segment.set_base(gst::ClockTime::from_nseconds(base));
    gst::event::Segment::new(&segment)
}

fn ns(time: i64) -> Option<gst::ClockTime> {
    u64::try_from(time).ok().map(gst::ClockTime::from_nseconds)
}

/// What an encoder gives out.
#[derive(Debug, Clone)]
struct Coded {
    sink: Sink,
    extension: &'static str,
    is_h265: bool,
    /// B frames in succession.
    between: u32,
    /// The parameter sets are in the caps; and from this key unit on they are where they were not.
    in_caps: bool,
    changes: Option<usize>,
    /// Times of presentation, of decoding, durations.
    told: (bool, bool, bool),
    /// The times are off by so much (ms) of an RTP clock, by the number of the picture shown.
    jitter: Vec<i8>,
    /// Where the stream's segment begins, at which running time, and whether it ends before the stream does.
    start: u64,
    base: u64,
    ends: bool,
    /// Behind so many buffers the segment comes again, and with other times.
    again: usize,
    moves: bool,
    /// Behind so many buffers comes a gap.
    gaps: usize,
}

fn coded() -> impl Strategy<Value = Coded> {
    let sink = prop::sample::select(vec![Sink::Record, Sink::Circular]);
    let extension = prop::sample::select(vec!["mp4", "mov", "mkv", "ts"]);
    // With one of the two times at least.
    let told = prop::sample::select(vec![
        (true, true),
        (true, false),
        (true, false),
        (false, true),
    ]);
    let stream = (prop::bool::weighted(0.25), 0..4_u32, any::<bool>());
    let times = (
        told,
        any::<bool>(),
        prop::collection::vec(-9..9_i8, 60),
        prop_oneof![Just(0), 1_000 * MS..100_000 * MS],
        prop_oneof![Just(0), 1_000 * MS..100_000 * MS],
    );
    let turns = (
        prop::option::of(1..4_usize),
        any::<bool>(),
        prop_oneof![Just(0), 5..30_usize],
        any::<bool>(),
        prop_oneof![Just(0), 3..20_usize],
    );
    (sink, extension, stream, times, turns).prop_map(|(sink, extension, stream, times, turns)| {
        let (is_h265, between, in_caps) = stream;
        let ((pts, dts), durations, jitter, start, base) = times;
        let (changes, ends, again, moves, gaps) = turns;
        Coded {
            sink,
            extension,
            is_h265,
            // What has the times of decoding only does not tell when it is shown.
            between: if pts { between } else { 0 },
            in_caps,
            changes,
            told: (pts, dts, durations),
            jitter,
            // There are no times before 0, at which the first one would be decoded, to tell them.
            start: start.max(if between > 0 && dts { 1_000 * MS } else { 0 }),
            base,
            ends,
            again,
            moves,
            gaps,
        }
    })
}

impl Coded {
    /// The stream in one of its forms. x265 goes by the frames it has seen, and begins a GOP anew where it likes.
    fn stream(&self, in_caps: bool) -> rig::Encoded {
        let (codec, form) = match (self.is_h265, in_caps) {
            (true, true) => ("h265", "hvc1"),
            (false, true) => ("h264", "avc"),
            (true, false) => ("h265", "byte-stream"),
            (false, false) => ("h264", "byte-stream"),
        };
        let between = self.between;
        let encoder = match self.is_h265 {
            true => format!(
                "x265enc speed-preset=ultrafast key-int-max=12 option-string=\"bframes={between}:\
                 pools=1:frame-threads=1:scenecut=0:open-gop=0:log-level=0\""
            ),
            false => rig::x264(12, between),
        };
        let parsed = format!(
            "{encoder} ! {codec}parse config-interval=-1 ! video/x-{codec},stream-format={form},alignment=au"
        );
        rig::encoded(&parsed, 60)
    }

    /// Pushes all of it; when each picture is to be shown, by its number.
    fn push(&self, pad: &gst::Pad) -> Vec<u64> {
        let streams = [self.stream(self.in_caps), self.stream(!self.in_caps)];
        let before = streams[0].buffers[0].pts().unwrap().nseconds() as i64;
        let mut shown = Vec::new();
        let (mut segment_at, mut moved) = (self.start, 0);
        let mut keys = 0;
        pad.push_event(gst::event::Caps::new(&streams[0].caps));
        let first = segment(self.start, self.base);
        let first = match (self.ends, first.view()) {
            (true, gst::EventView::Segment(it)) => {
                let mut ends = it.segment().clone();
                ends.set_stop(gst::GenericFormattedValue::Time(ns(
                    (self.start + 20 * FRAME) as i64,
                )));
                gst::event::Segment::new(&ends)
            }
            _ => first,
        };
        pad.push_event(first);
        for number in 0..streams[0].buffers.len() {
            let key = |at: usize| {
                let flags = streams[at].buffers[number].flags();
                !flags.contains(gst::BufferFlags::DELTA_UNIT)
            };
            keys += usize::from(key(0) && key(1));
            let has_changed = self.changes.is_some_and(|at| keys > at);
            if key(0) && self.changes.is_some_and(|at| keys == at + 1) {
                pad.push_event(gst::event::Caps::new(&streams[1].caps));
            }
            if self.again > 0 && number % self.again == self.again - 1 {
                if self.moves && key(0) {
                    // All that is before it has come, and this begins where its segment does.
                    let now = number as u64 * FRAME;
                    (segment_at, moved) = (segment_at + 7_000 * MS, now);
                }
                pad.push_event(segment(segment_at, self.base + moved));
            }
            let source = &streams[usize::from(has_changed)].buffers[number];
            let mut buffer = source.copy();
            let it = buffer.get_mut().unwrap();
            let own = |time: Option<gst::ClockTime>| {
                let own = time?.nseconds() as i64 - before;
                Some(own + segment_at as i64 - moved as i64)
            };
            let place =
                ((source.pts().unwrap().nseconds() as i64 - before) as u64 / FRAME) as usize;
            let (pts, dts, duration) = self.told;
            let off = match number {
                0 => 0,
                _ => i64::from(self.jitter[place]).max(0) * MS as i64 / 2,
            };
            let decoded = own(source.dts());
            let presented = own(source.pts()).map(|time| time + off);
            if shown.len() <= place {
                shown.resize(place + 1, 0);
            }
            shown[place] = place as u64 * FRAME + if pts { off as u64 } else { 0 };
            it.set_pts(presented.filter(|_| pts).and_then(ns));
            // Without B frames the one is the other.
            let decoded = if self.between == 0 {
                own(source.pts())
            } else {
                decoded
            };
            it.set_dts(decoded.filter(|_| dts).and_then(ns));
            it.set_duration(duration.then(|| gst::ClockTime::from_nseconds(FRAME)));
            if pad.push(buffer).is_err() {
                break;
            }
            if self.gaps > 0 && number % self.gaps == self.gaps - 1 {
                let at = ns(segment_at as i64).unwrap();
                pad.push_event(gst::event::Gap::builder(at).build());
            }
        }
        pad.push_event(gst::event::Eos::new());
        shown
    }
}

fn check_coded(coded: &Coded) -> Result<(), TestCaseError> {
    let hand = Hand::new(coded.sink, coded.extension);
    let pad = hand.pad(true);
    hand.pipeline.play();
    let shown = coded.push(&pad);
    let said = hand.until_eos()?;
    let all = shown.len() as u64;
    prop_assert_eq!((said.frames, said.dropped), (all, 0), "{:?}", said);
    let mut numbers = Vec::new();
    for file in hand.files() {
        let decoded = rig::decode_picture(&file);
        let mut times: Vec<_> = match coded.extension {
            "ts" => packet_times(&file),
            _ => decoded.frames.iter().map(|(time, _)| *time).collect(),
        };
        times.sort_unstable();
        prop_assert_eq!(times.len(), decoded.frames.len());
        let off = |(time, number): (&u64, u64)| {
            *time as i64 - shown.get(number as usize).map_or(0, |at| *at as i64)
        };
        let off = times.iter().zip(decoded.numbers()).map(off);
        let (least, most) = (off.clone().min(), off.max());
        let spread = most.zip(least).map_or(0, |(most, least)| most - least);
        prop_assert!(
            spread <= 3 * MS as i64,
            "pictures of {file:?} are shown {spread} ns off: {times:?} {:?} {said:?}",
            decoded.numbers()
        );
        numbers.extend(decoded.numbers());
    }
    prop_assert_eq!(numbers, (0..all).collect::<Vec<_>>(), "{:?}", said);
    prop_assert!(said.warnings.is_empty(), "{said:?}");
    Ok(())
}

#[test]
fn each_coded_picture_is_shown_when_it_should() {
    try_cameras(coded(), 2, check_coded);
}

/// By RTP from its begin on: with times of presentation alone, and none before 0 to be decoded at.
#[test]
fn the_last_pictures_of_what_begins_at_zero_are_shown() {
    crate::common::init();
    for (sink, extension) in [
        (Sink::Record, "mp4"),
        (Sink::Record, "mov"),
        (Sink::Record, "ts"),
        (Sink::Circular, "mp4"),
    ] {
        for between in [1, 3] {
            let coded = Coded {
                sink,
                extension,
                is_h265: false,
                between,
                in_caps: between == 1,
                changes: None,
                told: (true, false, false),
                jitter: vec![0; 60],
                start: 0,
                base: 0,
                ends: false,
                again: 0,
                moves: false,
                gaps: 0,
            };
            check_coded(&coded).unwrap_or_else(|why| panic!("{coded:?}: {why}"));
        }
    }
}

/// As of a network camera that is taken away while it sends what it held back.
#[test]
fn pictures_of_one_time_at_the_end_are_shown() {
    crate::common::init();
    let stream = rig::encoded(&rig::x264(12, 0), 30);
    for kind in [Sink::Record, Sink::Circular] {
        for extension in ["mp4", "mov"] {
            for rate in [None, Some(5), Some(25)] {
                let what = format!("{kind:?} {extension} {rate:?}");
                let hand = Hand::new(kind, extension);
                let pad = hand.pad(true);
                hand.pipeline.play();
                let mut caps = stream.caps.clone();
                let fields = caps.make_mut();
                match rate {
                    Some(rate) => fields.set("framerate", gst::Fraction::new(rate, 1)),
                    None => fields.structure_mut(0).unwrap().remove_field("framerate"),
                }
                pad.push_event(gst::event::Caps::new(&caps));
                pad.push_event(segment(0, 0));
                // A few that are apart by no whole number of ticks of 5 a second, and then ten of one time.
                let time = |number: u64| number.min(20) * 41_234_567;
                for (number, source) in stream.buffers.iter().enumerate() {
                    let mut buffer = source.copy();
                    let it = buffer.get_mut().unwrap();
                    it.set_pts(gst::ClockTime::from_nseconds(time(number as u64)));
                    it.set_dts(gst::ClockTime::from_nseconds(time(number as u64)));
                    it.set_duration(gst::ClockTime::NONE);
                    pad.push(buffer).unwrap();
                }
                pad.push_event(gst::event::Eos::new());
                let said = hand.until_eos().unwrap();
                assert_eq!(said.frames, 30, "{what}: {said:?}");
                let decoded = rig::decode_picture(&hand.files()[0]);
                assert_eq!(decoded.numbers(), (0..30).collect::<Vec<_>>(), "{what}");
                for (number, (shown, _)) in (0..).zip(&decoded.frames) {
                    let off = shown.abs_diff(time(number));
                    assert!(off <= 1_000_000, "{what}: {number} is {off} ns off");
                }
            }
        }
    }
}

/// Of a camera that says nothing of its rate, with sound beside it: `qtdemux` waits for ever for a picture that lasts
/// no time.
#[test]
fn a_recording_of_one_picture_is_shown() {
    crate::common::init();
    let of_each = [
        ("jpegenc", ["mov", "mkv"].as_slice()),
        ("x264enc tune=zerolatency", &["mov", "mp4", "mkv"]),
    ];
    for (encoder, extensions) in of_each {
        let stream = rig::encoded(encoder, 1);
        for kind in [Sink::Record, Sink::Circular] {
            for extension in extensions {
                let what = format!("{encoder} {kind:?} {extension}");
                // It does not encode, and MP4 has no raw sound.
                let is_heard = kind == Sink::Record || *extension != "mp4";
                let hand = Hand::new(kind, extension);
                let pad = hand.pad(true);
                let sound = is_heard.then(|| hand.pad(false));
                hand.pipeline.play();
                hand.pipeline.play();
                let mut caps = stream.caps.clone();
                let fields = caps.make_mut().structure_mut(0).unwrap();
                fields.remove_field("framerate");
                let mut picture = stream.buffers[0].copy();
                let it = picture.get_mut().unwrap();
                it.set_pts(gst::ClockTime::ZERO);
                it.set_dts(gst::ClockTime::NONE);
                it.set_duration(gst::ClockTime::NONE);
                pad.push_event(gst::event::Caps::new(&caps));
                pad.push_event(segment(0, 0));
                if let Some(sound) = &sound {
                    sound.push_event(gst::event::Caps::new(&rig::raw_sound()));
                    sound.push_event(segment(0, 0));
                }
                pad.push(picture)
                    .unwrap_or_else(|flow| panic!("{what}: {flow}"));
                pad.push_event(gst::event::Eos::new());
                if let Some(sound) = &sound {
                    let piece = rig::SAMPLES / 50;
                    for number in 0..5 {
                        let samples = rig::samples(number * piece..(number + 1) * piece);
                        sound.push(samples).unwrap();
                    }
                    sound.push_event(gst::event::Eos::new());
                }
                let said = hand.until_eos().unwrap();
                assert_eq!(said.frames, 1, "{what}: {said:?}");
                let file = &hand.files()[0];
                let pictures = match is_heard {
                    true => read(file).0.len(),
                    false => rig::decode_picture(file).frames.len(),
                };
                assert_eq!(pictures, 1, "{what}");
                rig::assert_sound(file);
            }
        }
    }
}

/// How many buffers of sound `qtdemux` has of a file with pictures.
fn heard(file: &Path) -> usize {
    let pipeline = Pipeline::launch(&format!(
        "filesrc location={} ! qtdemux name=d d.audio_0 ! queue max-size-buffers=0 max-size-time=0 ! \
         appsink name=s sync=false d.video_0 ! queue max-size-time=0 ! fakesink sync=false async=false",
        file.display()
    ));
    pipeline.play();
    let sink: gst_app::AppSink = pipeline.element("s").downcast().unwrap();
    samples(&sink).count()
}

/// A camera that is unplugged, and a microphone, while the other goes on: `qtdemux` takes what is shorter than a fifth
/// of the file for a preview.
#[test]
fn what_ends_early_is_played() {
    crate::common::init();
    let stream = rig::encoded(&rig::x264(12, 0), 400);
    let (format, sound) = rig::sound("avenc_aac");
    for kind in [Sink::Record, Sink::Circular] {
        for extension in ["mov", "mp4"] {
            for (pictures, pieces) in [(30, sound.len()), (400, 40)] {
                let what = format!("{kind:?} {extension} {pictures} {pieces}");
                let hand = Hand::new(kind, extension);
                let (video, audio) = (hand.pad(true), hand.pad(false));
                hand.pipeline.play();
                for (pad, caps) in [(&video, &stream.caps), (&audio, &format)] {
                    pad.push_event(gst::event::Caps::new(caps));
                    pad.push_event(segment(0, 0));
                }
                let first = stream.buffers[0].pts().unwrap();
                let mut all: Vec<_> = stream.buffers[..pictures]
                    .iter()
                    .map(|it| (&video, it.pts().unwrap() - first, it.copy()))
                    .chain(
                        sound[..pieces]
                            .iter()
                            .map(|it| (&audio, it.pts().unwrap(), it.copy())),
                    )
                    .collect();
                all.sort_by_key(|(_, time, _)| *time);
                let [ends, goes_on] = match pieces < sound.len() {
                    true => [&audio, &video],
                    false => [&video, &audio],
                };
                let last = all.iter().rposition(|(pad, ..)| *pad == ends).unwrap();
                for (number, (pad, time, mut buffer)) in all.into_iter().enumerate() {
                    buffer.get_mut().unwrap().set_pts(time);
                    buffer.get_mut().unwrap().set_dts(gst::ClockTime::NONE);
                    pad.push(buffer).unwrap_or_else(|it| panic!("{what}: {it}"));
                    if number == last {
                        ends.push_event(gst::event::Eos::new());
                    }
                }
                goes_on.push_event(gst::event::Eos::new());
                let said = hand.until_eos().unwrap();
                assert_eq!(said.frames, pictures as u64, "{what}: {said:?}");
                let file = &hand.files()[0];
                assert_eq!(read(file).0.len(), pictures, "{what}");
                assert_eq!(heard(file), pieces, "{what}");
                rig::assert_sound(file);
            }
        }
    }
}

/// Sound of chance, with pictures beside it.
#[derive(Debug, Clone)]
struct Sound {
    sink: Sink,
    format: gst_audio::AudioFormat,
    rate: u32,
    channels: u32,
    /// Bytes of the pieces that it comes in, over and over.
    pieces: Vec<usize>,
    /// Each piece has a time, or the first.
    timed: bool,
    /// Each so many pieces one is called a gap.
    gaps: usize,
    /// Where its segment begins.
    start: u64,
    /// So many pictures come.
    pictures: usize,
}

fn sound() -> impl Strategy<Value = Sound> {
    use gst_audio::AudioFormat::{F32le, S16le, S24le, S32le, U8};
    let sink = prop::sample::select(vec![Sink::Mux, Sink::Record, Sink::Circular]);
    let format = prop::sample::select(vec![S16le, S24le, F32le, S32le, U8]);
    let rates = vec![8000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000];
    let piece = prop_oneof![1..64_usize, 64..9000_usize];
    let how = (
        prop::collection::vec(piece, 1..8),
        any::<bool>(),
        0..4_usize,
        prop_oneof![Just(0), 1..100_000 * MS],
    );
    let rates = prop::sample::select(rates);
    (sink, format, rates, 1..9_u32, how, 0..30_usize).prop_map(
        |(sink, format, rate, channels, how, pictures)| {
            let (pieces, timed, gaps, start) = how;
            Sound {
                sink,
                // An AVI has no such sound.
                format: match (sink, format) {
                    (Sink::Circular, _) => format,
                    (_, F32le) => S16le,
                    (Sink::Record, _) => S16le,
                    _ => format,
                },
                rate,
                channels,
                pieces,
                timed,
                gaps,
                start,
                pictures: pictures.max(1),
            }
        },
    )
}

impl Sound {
    fn info(&self) -> gst_audio::AudioInfo {
        let builder = gst_audio::AudioInfo::builder(self.format, self.rate, self.channels);
        builder.build().unwrap()
    }

    /// 300 ms of samples that differ; none is not a number.
    fn bytes(&self) -> Vec<u8> {
        let size = u64::from(self.rate) * 3 / 10 * u64::from(self.info().bpf());
        (0..size).map(|at| (at * 31 % 61) as u8).collect()
    }

    fn push(&self, pad: &gst::Pad) {
        let info = self.info();
        pad.push_event(gst::event::Caps::new(&info.to_caps().unwrap()));
        pad.push_event(segment(self.start, 0));
        let (all, mut at) = (self.bytes(), 0);
        for (number, size) in self.pieces.iter().cycle().enumerate() {
            let end = all.len().min(at + size);
            if at == end {
                break;
            }
            let mut buffer = gst::Buffer::from_slice(all[at..end].to_vec());
            let it = buffer.get_mut().unwrap();
            if self.timed || number == 0 {
                let samples = (at / info.bpf() as usize) as u64;
                let time = samples * 1_000_000_000 / u64::from(self.rate);
                it.set_pts(ns((self.start + time) as i64));
            }
            if self.gaps > 0 && number % self.gaps == 0 {
                it.set_flags(gst::BufferFlags::GAP);
            }
            if pad.push(buffer).is_err() {
                // What goes wrong is on the bus.
                break;
            }
            at = end;
        }
        pad.push_event(gst::event::Eos::new());
    }
}

/// The samples in a file, all of them.
fn samples_in(file: &Path) -> Vec<u8> {
    let demuxer = match file.extension().and_then(|it| it.to_str()) {
        Some("avi") => "avidemux",
        _ => "matroskademux",
    };
    let pipeline = Pipeline::launch(&format!(
        "filesrc location={} ! {demuxer} name=d d.audio_0 ! queue max-size-buffers=0 max-size-bytes=0 \
         max-size-time=0 ! appsink name=s sync=false d.video_0 ! queue ! fakesink sync=false async=false",
        file.display()
    ));
    pipeline.play();
    let sink: gst_app::AppSink = pipeline.element("s").downcast().unwrap();
    let bytes = samples(&sink).map(|sample| {
        let buffer = sample.buffer().unwrap();
        buffer.map_readable().unwrap().to_vec()
    });
    bytes.flatten().collect()
}

fn check_sound(sound: &Sound) -> Result<(), TestCaseError> {
    let extension = match sound.sink {
        Sink::Circular => "mkv",
        _ => "avi",
    };
    let hand = Hand::new(sound.sink, extension);
    let (video, audio) = (hand.pad(true), hand.pad(false));
    hand.pipeline.play();
    let given = sound.clone();
    let thread = std::thread::spawn(move || given.push(&audio));
    let jpegs = rig::encoded("jpegenc", 30);
    video.push_event(gst::event::Caps::new(&jpegs.caps));
    video.push_event(segment(0, 0));
    for buffer in jpegs.buffers.iter().take(sound.pictures) {
        if video.push(buffer.clone()).is_err() {
            break;
        }
    }
    video.push_event(gst::event::Eos::new());
    thread.join().unwrap();
    let said = hand.until_eos()?;
    let files = hand.files();
    prop_assert_eq!(files.len(), 1, "{:?}", said);
    let (found, sent) = (samples_in(&files[0]), sound.bytes());
    prop_assert_eq!(found.len(), sent.len(), "{:?}", said);
    prop_assert!(found == sent, "other samples: {said:?}");
    prop_assert!(said.warnings.is_empty(), "{said:?}");
    Ok(())
}

#[test]
fn each_sample_is_in_the_file() {
    try_cameras(sound(), 2, check_sound);
}

/// A camera's picture, whose lines are so many bytes apart and whose planes begin so far behind each other.
fn wide(number: u64, stride: usize, apart: usize) -> gst::Buffer {
    use gst_video::{VideoFormat, VideoFrameFlags, VideoMeta};
    let close = rig::picture(number);
    let close = close.map_readable().unwrap();
    let (mut bytes, mut offsets) = (Vec::new(), Vec::new());
    let mut at = 0;
    for (lines, width) in [(64, 64), (32, 32), (32, 32)] {
        bytes.extend(vec![0xaa; apart]);
        offsets.push(bytes.len());
        for line in close[at..at + lines * width].chunks(width) {
            bytes.extend_from_slice(line);
            bytes.extend(vec![0xbb; (stride - 64) * width / 64]);
        }
        at += lines * width;
    }
    let strides = [stride as i32, stride as i32 / 2, stride as i32 / 2];
    let mut buffer = gst::Buffer::from_mut_slice(bytes);
    let it = buffer.get_mut().unwrap();
    let (none, format) = (VideoFrameFlags::empty(), VideoFormat::I420);
    VideoMeta::add_full(it, none, format, 64, 64, &offsets, &strides).unwrap();
    it.set_pts(gst::ClockTime::from_nseconds(number * FRAME));
    buffer
}

#[test]
fn pictures_with_gaps_between_their_lines_are_whole_in_the_file() {
    crate::common::init();
    for (sink, extension) in [
        (Sink::Record, "avi"),
        (Sink::Record, "mp4"),
        (Sink::Circular, "mkv"),
    ] {
        for (stride, apart) in [(64, 0), (96, 0), (128, 64), (80, 1024)] {
            let hand = Hand::new(sink, extension);
            let pad = hand.pad(true);
            hand.pipeline.play();
            let caps: gst::Caps = rig::RAW.parse().unwrap();
            pad.push_event(gst::event::Caps::new(&caps));
            pad.push_event(segment(0, 0));
            for number in 0..20 {
                pad.push(wide(number, stride, apart)).unwrap();
            }
            pad.push_event(gst::event::Eos::new());
            hand.until_eos().unwrap();
            let numbers = rig::decode_picture(&hand.files()[0]).numbers();
            let sent: Vec<_> = (0..20).collect();
            assert_eq!(numbers, sent, "{sink:?} {extension} {stride} {apart}");
        }
    }
}

/// The picture in a file, as a demuxer gives it: the bytes and the time (ms) of each buffer.
fn demuxed(file: &Path, demuxer: &str) -> Vec<(usize, u64)> {
    let pipeline = Pipeline::launch(&format!(
        "filesrc location={} ! {demuxer} name=d d. ! queue ! appsink name=s sync=false",
        file.display()
    ));
    pipeline.play();
    let sink: gst_app::AppSink = pipeline.element("s").downcast().unwrap();
    let all = samples(&sink).map(|sample| {
        let buffer = sample.buffer().unwrap();
        (buffer.size(), buffer.pts().unwrap().mseconds())
    });
    all.collect()
}

/// How often an FLV says that H.264 ends (E.4.3.1 of its specification).
fn ends_in_flv(file: &[u8]) -> usize {
    // Behind its head and the length of nothing.
    let mut rest = &file[9 + 4..];
    let mut ends = 0;
    while let Some((head, behind)) = rest.split_first_chunk::<11>() {
        let size = u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize;
        ends += usize::from(head[0] == 9 && behind[1] == 2);
        rest = &behind[size + 4..];
    }
    ends
}

/// Muxers that are made of `GstAggregator` have an empty buffer for a gap.
#[test]
fn nothing_is_in_the_file_for_a_gap() {
    crate::common::init();
    let encoder = format!(
        "{} ! h264parse ! video/x-h264,stream-format=avc,alignment=au",
        rig::x264(12, 0)
    );
    let stream = rig::encoded(&encoder, 30);
    let before = stream.buffers[0].pts().unwrap();
    for (extension, demuxer) in [
        ("mp4", "qtdemux"),
        ("mkv", "matroskademux"),
        ("flv", "flvdemux"),
    ] {
        let hand = Hand::new(Sink::Record, extension);
        let pad = hand.pad(true);
        hand.pipeline.play();
        pad.push_event(gst::event::Caps::new(&stream.caps));
        pad.push_event(segment(0, 0));
        let mut sent = Vec::new();
        for (number, source) in stream.buffers.iter().enumerate() {
            let mut buffer = source.copy();
            let it = buffer.get_mut().unwrap();
            let at = source.pts().unwrap() - before;
            it.set_pts(at);
            it.set_dts(at);
            sent.push((it.size(), at.mseconds()));
            pad.push(buffer).unwrap();
            if number % 3 == 2 {
                let at = gst::ClockTime::from_mseconds(number as u64);
                pad.push_event(gst::event::Gap::builder(at).build());
            }
        }
        pad.push_event(gst::event::Eos::new());
        let said = hand.until_eos().unwrap();
        assert_eq!(said.frames, 30, "{extension}: {said:?}");
        let found = demuxed(&hand.files()[0], demuxer);
        assert_eq!(found, sent, "{extension}");
        if extension == "flv" {
            let file = std::fs::read(&hand.files()[0]).unwrap();
            assert_eq!(ends_in_flv(&file), 1);
        }
    }
}

/// As ffmpeg's encoder since its version 9 tells of it, with a number that MPEG-2 has not.
#[test]
fn eight_channels_are_heard_in_a_transport_stream() {
    crate::common::init();
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("a.mp4");
    let noise = "anoisesrc=duration=2:sample_rate=48000";
    let mut ffmpeg = std::process::Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-f", "lavfi", "-i", noise, "-ac", "8"]);
    crate::common::output(ffmpeg.args(["-c:a", "aac"]).arg(&source));
    for (sink, name) in [
        ("recordsink name=s", "s.audio"),
        ("circularsink name=s recording=true", "s.audio_0"),
    ] {
        let file = dir.path().join("a.ts");
        let pipeline = Pipeline::launch(&format!(
            "{sink} overwrite=true location={} videotestsrc num-buffers=50 ! \
             video/x-raw,width=64,height=64,framerate=25/1 ! x264enc key-int-max=10 ! h264parse ! s.video \
             filesrc location={} ! qtdemux ! identity name=told ! queue ! {name}",
            file.display(),
            source.display()
        ));
        let told = pipeline.element("told").static_pad("src").unwrap();
        told.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |_, info| {
            let Some(gst::PadProbeData::Event(event)) = &mut info.data else {
                return gst::PadProbeReturn::Ok;
            };
            if let gst::EventView::Caps(caps) = event.view() {
                let mut caps = caps.caps_owned();
                let fields = caps.make_mut();
                let config = fields.structure(0).unwrap();
                let config = config.get::<gst::Buffer>("codec_data").unwrap();
                let mut config = config.map_readable().unwrap().to_vec();
                config[1] = config[1] & 0x87 | 12 << 3;
                fields.set("codec_data", gst::Buffer::from_slice(config));
                *event = gst::event::Caps::new(&caps);
            }
            gst::PadProbeReturn::Ok
        });
        pipeline.run().unwrap();
        let options = ["-count_frames", "-select_streams", "a"];
        let found = crate::common::ffprobe(&file, &options, "stream=channels,nb_read_frames");
        assert_eq!(found[0], "8", "{sink}: {found:?}");
        let frames: u32 = found[1].parse().unwrap();
        assert!(frames >= 80, "{sink}: {frames} frames");
    }
}

#[test]
fn microphones_without_places_are_heard_in_the_file() {
    for extension in ["mp4", "mkv", "ts"] {
        for channels in [2, 3, 4, 5, 6, 8] {
            let hand = Hand::new(Sink::Record, extension);
            let (video, audio) = (hand.pad(true), hand.pad(false));
            hand.pipeline.play();
            let thread = std::thread::spawn(move || {
                let caps: gst::Caps = rig::RAW.parse().unwrap();
                video.push_event(gst::event::Caps::new(&caps));
                video.push_event(segment(0, 0));
                for number in 0..10 {
                    video.push(rig::picture(number)).unwrap();
                }
                video.push_event(gst::event::Eos::new());
            });
            let caps = gst::Caps::builder("audio/x-raw")
                .field("format", "S16LE")
                .field("layout", "interleaved")
                .field("rate", 16_000)
                .field("channels", channels)
                .field("channel-mask", gst::Bitmask::new(0));
            audio.push_event(gst::event::Caps::new(&caps.build()));
            audio.push_event(segment(0, 0));
            let bytes = vec![7; 6400 * 2 * channels as usize];
            audio.push(gst::Buffer::from_slice(bytes)).unwrap();
            audio.push_event(gst::event::Eos::new());
            thread.join().unwrap();
            let said = hand.until_eos().unwrap();
            let decoded = crate::common::ffprobe(
                &hand.files()[0],
                &["-count_frames", "-select_streams", "a"],
                "stream=channels,nb_read_frames",
            );
            let there: i32 = decoded[0].parse().unwrap();
            let frames: u32 = decoded[1].parse().unwrap();
            assert!(frames >= 6, "{extension} {channels}: {frames} frames");
            // Debian 12's encoder of AAC takes six.
            let mixed = format!("{channels} channels are mixed into {there}");
            match there == channels {
                true => assert!(said.warnings.is_empty(), "{said:?}"),
                false => assert!(
                    matches!(&said.warnings[..], [told] if told.contains(&mixed)),
                    "{extension} {channels}: {said:?}"
                ),
            }
        }
    }
}
