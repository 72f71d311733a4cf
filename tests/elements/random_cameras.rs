// SPDX-License-Identifier: MIT OR Apache-2.0
//! Cameras of chance into `avimjpegmux`, `recordsink` and `circularsink`, in every container: each
//! frame that went in is found, once, in order and at its time, or it is counted with its reason.
//!
//! `RANDOM_CAMERAS=2000` tries as many, `RANDOM_CAMERAS_SEED=7` others than usual.

use std::cell::Cell;
use std::path::Path;
use std::thread::JoinHandle;

use gst::prelude::*;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::circularsink::rig;
use crate::common::{HANG, Pipeline, samples};
use crate::feed::picture;

/// Cameras that are tried where nobody asks for more.
const CASES: u32 = 100;

const MS: u64 = 1_000_000;
const HOUR: u64 = 3_600_000 * MS;

/// What is behind the camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sink {
    Mux,
    Record(&'static str),
    Circular(&'static str),
}

/// What a camera does at one of its frames.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Step {
    /// How far off its time it is, of an interval.
    jitter: f64,
    act: Act,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Plain,
    /// The frame does not come.
    Lost,
    /// It is cut off, within its data or within its head.
    Cut,
    Beheaded,
    Untimed,
    /// Its clock begins anew, at so many milliseconds.
    Restart(u64),
    /// Its clock jumps by so many hours.
    Ahead(u64),
    /// Nothing comes for so many milliseconds.
    Pause(u64),
    /// Nothing comes for so many frames, which come together then: so many microseconds apart.
    Burst(u64, u64),
    /// The application pauses the pipeline meanwhile, and plays it again.
    Hold,
    /// The stream is flushed, and goes on where it was: with its segment again, or without.
    Flush(bool),
    /// Somebody seeks: it is flushed, and its clock begins anew, at so many milliseconds.
    Seek(u64),
}

#[derive(Debug, Clone)]
struct Camera {
    sink: Sink,
    /// Nanoseconds from frame to frame, and frames a second by the caps, if they say so.
    interval: u64,
    said: Option<u32>,
    /// The caps have the pictures' size.
    sized: bool,
    start: u64,
    steps: Vec<Step>,
    /// How much later the sound begins, in milliseconds.
    sound: Option<u64>,
    /// What ends early, where there is sound: it, or the picture, and of how many tenths.
    ends: Option<(bool, usize)>,
}

/// A frame that is sent.
#[derive(Debug, Clone)]
struct Frame {
    bytes: Vec<u8>,
    time: Option<u64>,
    /// How often the clock has broken off.
    run: usize,
    /// How often the stream has been flushed.
    epoch: usize,
    readable: bool,
    /// What is done before it comes.
    act: Act,
}

impl Act {
    fn is_flush(self) -> bool {
        matches!(self, Self::Flush(_) | Self::Seek(_))
    }
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        30 => Just(Act::Plain),
        4 => Just(Act::Lost),
        2 => Just(Act::Cut),
        1 => Just(Act::Beheaded),
        2 => Just(Act::Untimed),
        1 => (0..5000_u64).prop_map(Act::Restart),
        1 => (2..30_u64).prop_map(Act::Ahead),
        1 => (100..3000_u64).prop_map(Act::Pause),
        1 => burst(),
        1 => Just(Act::Hold),
        1 => any::<bool>().prop_map(Act::Flush),
        1 => (0..5000_u64).prop_map(Act::Seek),
    ]
}

fn burst() -> impl Strategy<Value = Act> {
    prop_oneof![1 => burst_of(Just(0)), 2 => burst_apart()]
}

/// Raw pictures of one time from the beginning on have no times: cameras do not give several at once.
fn burst_apart() -> impl Strategy<Value = Act> {
    burst_of(prop::sample::select(vec![100, 1000]))
}

fn burst_of(apart: impl Strategy<Value = u64>) -> impl Strategy<Value = Act> {
    (2..12_u64, apart).prop_map(|(n, apart)| Act::Burst(n, apart))
}

fn ends() -> impl Strategy<Value = Option<(bool, usize)>> {
    prop::option::weighted(0.4, (any::<bool>(), 1..10_usize))
}

fn camera() -> impl Strategy<Value = Camera> {
    let sink = prop_oneof![
        Just(Sink::Mux),
        prop::sample::select(vec!["avi", "mkv", "mov", "mjpeg"]).prop_map(Sink::Record),
        prop::sample::select(vec!["avi", "mkv", "mov"]).prop_map(Sink::Circular),
    ];
    let rate = prop_oneof![
        Just(None),
        prop::sample::select(vec![5, 10, 25, 30, 60]).prop_map(Some)
    ];
    let step = (-0.3..0.3, act()).prop_map(|(jitter, act)| Step { jitter, act });
    let start = prop_oneof![Just(0), 1..4 * HOUR];
    let sound = prop_oneof![3 => Just(None), 1 => (0..800_u64).prop_map(Some)];
    let rest = (
        any::<bool>(),
        start,
        prop::collection::vec(step, 2..70),
        sound,
        ends(),
    );
    (sink, 15 * MS..200 * MS, rate, any::<bool>(), rest).prop_map(
        |(sink, interval, rate, lies, (sized, start, steps, sound, ends))| {
            let true_rate = (1_000_000_000 / interval) as u32;
            Camera {
                sink,
                interval,
                said: rate.map(|rate| if lies { rate } else { true_rate }),
                sized,
                start,
                steps,
                sound: sound.filter(|_| sink != Sink::Record("mjpeg")),
                ends,
            }
        },
    )
}

impl Camera {
    fn frames(&self) -> Vec<Frame> {
        let mut frames = Vec::new();
        let (mut clock, mut run) = (self.start, 0);
        // Frames with a time since the clock broke off: after one, an interval of hours may be the camera's.
        let mut timed = 0;
        let mut restarted = false;
        // Frames that come together still, and how far apart.
        let (mut together, mut apart) = (0, 0);
        for (number, step) in self.steps.iter().enumerate() {
            let act = self.can(step.act);
            let is_together = together > 0;
            clock += if is_together { apart } else { self.interval };
            together = u64::saturating_sub(together, 1);
            match act {
                Act::Lost => continue,
                // By more than the jitter of clocks.
                Act::Restart(at) | Act::Seek(at) if clock > (at + 1000) * MS => {
                    (clock, run) = (at * MS, run + 1);
                    restarted = true;
                }
                // Behind a longer pause too.
                Act::Burst(frames, us)
                    if !(is_together || restarted && frames * self.interval > 700 * MS) =>
                {
                    clock += frames * self.interval;
                    (together, apart) = (frames, us * 1000);
                }
                Act::Ahead(hours) if timed > 1 => (clock, run) = (clock + hours * HOUR, run + 1),
                // After a pause the old clock may seem to be back.
                Act::Pause(ms) if !restarted => clock += ms * MS,
                _ => (),
            }
            let mut bytes = picture(number as u32, 900 + number % 7);
            let mut readable = true;
            match act {
                Act::Cut => bytes.truncate(bytes.len() - 100),
                Act::Beheaded => {
                    bytes.truncate(4 + number % 9);
                    readable = false;
                }
                _ => (),
            }
            let jitter = match together > 0 || is_together {
                true => 0,
                false => (step.jitter * self.interval as f64) as i64,
            };
            // What nothing tells the length of cannot be counted.
            let untimed = act == Act::Untimed && self.said.is_some() && number > 0;
            let is_first = frames.last().is_none_or(|last: &Frame| last.run != run);
            let is_first = is_first || act.is_flush();
            timed = if is_first { 0 } else { timed } + usize::from(!untimed);
            let last: Option<&Frame> = frames.last();
            let act = match act {
                // It was not far enough, or there is nothing to flush.
                Act::Seek(_) if last.is_none_or(|last| last.run == run) => Act::Plain,
                Act::Flush(_) if last.is_none() => Act::Plain,
                act => act,
            };
            let epoch = last.map_or(0, |last| last.epoch) + usize::from(act.is_flush());
            frames.push(Frame {
                bytes,
                time: (!untimed).then(|| clock.saturating_add_signed(jitter)),
                run,
                epoch,
                readable,
                act,
            });
        }
        frames
    }

    /// What is done of an act: a flush begins what has ended anew.
    fn can(&self, act: Act) -> Act {
        let ends = self.ends.is_some() && self.sound.is_some();
        match act.is_flush() && ends {
            true => Act::Plain,
            false => act,
        }
    }

    fn is_avi(&self) -> bool {
        matches!(
            self.sink,
            Sink::Mux | Sink::Record("avi") | Sink::Circular("avi")
        )
    }

    fn caps(&self) -> String {
        let size = if self.sized {
            ",width=320,height=240"
        } else {
            ""
        };
        let rate = self.said.map(|rate| format!(",framerate={rate}/1"));
        format!("image/jpeg{size}{}", rate.unwrap_or_default())
    }

    fn launch(&self, file: &Path) -> Pipeline {
        let file = file.display();
        let described = match self.sink {
            Sink::Mux => format!("avimjpegmux name=sink ! filesink location={file}"),
            Sink::Record(_) => format!("recordsink name=sink location={file}"),
            Sink::Circular(_) => format!("circularsink name=sink recording=true location={file}"),
        };
        crate::common::init();
        let pipeline = Pipeline(gst::Pipeline::new());
        let bin = gst::parse::bin_from_description(&described, false).unwrap();
        pipeline.0.add(&bin).unwrap();
        pipeline
    }

    /// Feeds the sink with a stream for each pad, in threads of their own as they come; `buffer` makes one of a frame.
    fn feed(
        &self,
        pipeline: &Pipeline,
        caps: &gst::Caps,
        frames: &[Frame],
        buffer: impl Fn(usize, &Frame) -> gst::Buffer,
    ) {
        let sink = pipeline.element("sink");
        let (video, audio) = match self.sink {
            Sink::Mux => ("video_0", "audio_0"),
            Sink::Record(_) => ("video", "audio"),
            Sink::Circular(_) => ("video", "audio_0"),
        };
        let video = pad_to(&sink, video);
        let audio = self.sound.map(|_| pad_to(&sink, audio));
        pipeline.play();
        video.push_event(gst::event::Caps::new(caps));
        video.push_event(from_zero());
        if let Some(audio) = &audio {
            let caps = "audio/x-raw,format=S16LE,layout=interleaved,rate=8000,channels=1";
            audio.push_event(gst::event::Caps::new(&caps.parse::<gst::Caps>().unwrap()));
            audio.push_event(from_zero());
        }
        let shown = self.shown(frames);
        let mut sound = self.sound(frames);
        let last = frames.last().map_or(0, |frame| frame.epoch);
        let mut hears = |epoch: usize| {
            let audio = audio.clone()?;
            let (now, later) = std::mem::take(&mut sound)
                .into_iter()
                .partition(|(of, _)| *of == epoch);
            sound = later;
            Some(heard(audio, now, epoch == last))
        };
        let mut hears_now = hears(0);
        let mut hold: Option<JoinHandle<()>> = None;
        for (number, frame) in shown.iter().enumerate() {
            if frame.act == Act::Hold {
                if let Some(before) = hold.take() {
                    before.join().unwrap();
                }
                hold = Some(pause_and_play(&pipeline.0));
            }
            if frame.act.is_flush() {
                // A sink that is flushed while its bins go to PLAYING, behind a pause or the flush before, stays in
                // PAUSED: GStreamer's bins take what it says of that for an answer to their change.
                if let Some(before) = hold.take() {
                    before.join().unwrap();
                }
                let _ = pipeline.0.state(gst::ClockTime::from_mseconds(300));
                let pads = [Some(&video), audio.as_ref()];
                flush(&pads, frame.act, hears_now.take());
                hears_now = hears(frame.epoch);
            }
            if video.push(buffer(number, frame)).is_err() {
                break;
            }
        }
        video.push_event(gst::event::Eos::new());
        for thread in hears_now.into_iter().chain(hold) {
            thread.join().unwrap();
        }
    }

    /// The frames that come.
    fn shown<'a>(&self, frames: &'a [Frame]) -> &'a [Frame] {
        match self.ends.filter(|_| self.sound.is_some()) {
            Some((false, tenths)) => &frames[..(frames.len() * tenths).div_ceil(10)],
            _ => frames,
        }
    }

    /// Sound for each run of the clock, in pieces of 20 ms, and how often the streams are flushed before each of them.
    fn sound(&self, frames: &[Frame]) -> Vec<(usize, gst::Buffer)> {
        let mut all = Vec::new();
        let Some(late) = self.sound else { return all };
        let last = frames.iter().map(|frame| frame.run).max().unwrap_or(0);
        for run in 0..=last {
            let timed = frames.iter().filter(|frame| frame.run == run);
            let timed = timed.filter_map(|frame| Some((frame.time?, frame.epoch)));
            let timed: Vec<(u64, usize)> = timed.collect();
            let (Some(&(first, begins)), Some(&(end, _))) = (timed.first(), timed.last()) else {
                if run == 0 {
                    return all;
                }
                continue;
            };
            let mut at = if run == 0 { first + late * MS } else { first };
            if run == 0 && at >= end {
                // Of streams that begin in different runs, in threads that race, nothing tells which came
                // first.
                return all;
            }
            while at < end {
                let mut buffer = gst::Buffer::from_slice(vec![3; 320]);
                let it = buffer.get_mut().unwrap();
                it.set_pts(gst::ClockTime::from_nseconds(at));
                it.set_duration(gst::ClockTime::from_mseconds(20));
                let (before, behind): (Vec<_>, Vec<_>) =
                    timed.iter().copied().partition(|(time, _)| *time <= at);
                let epoch = before.iter().map(|(_, epoch)| *epoch).max();
                let next = behind.iter().map(|(_, epoch)| *epoch).min();
                // What would be far ahead of the picture would not be taken before the flush.
                if epoch >= next || epoch.is_none() {
                    all.push((epoch.unwrap_or(begins), buffer));
                }
                at += 20 * MS;
            }
        }
        if let Some((true, tenths)) = self.ends {
            all.truncate(all.len() * tenths / 10);
        }
        all
    }
}

/// Sound by a thread of its own, which is all of it or goes on behind a flush.
fn heard(pad: gst::Pad, sound: Vec<(usize, gst::Buffer)>, ends: bool) -> JoinHandle<()> {
    std::thread::spawn(move || {
        // What goes wrong is on the bus.
        let _ = sound
            .into_iter()
            .try_for_each(|(_, buffer)| pad.push(buffer).map(drop));
        if ends {
            pad.push_event(gst::event::Eos::new());
        }
    })
}

/// Flushes streams together, as somebody does who seeks; `hears` is the thread of one of them.
fn flush(pads: &[Option<&gst::Pad>], act: Act, hears: Option<JoinHandle<()>>) {
    let pads = || pads.iter().flatten();
    // A clock that begins anew does so in all streams.
    if let Some(thread) = hears {
        thread.join().unwrap();
    }
    for pad in pads() {
        pad.push_event(gst::event::FlushStart::new());
    }
    let resets = act != Act::Flush(false);
    for pad in pads() {
        pad.push_event(gst::event::FlushStop::new(resets));
    }
    for pad in pads().filter(|_| resets) {
        pad.push_event(from_zero());
    }
}

/// A pad that leads to one of a sink's, by hand.
pub(crate) fn pad_to(sink: &gst::Element, name: &str) -> gst::Pad {
    let there = sink.static_pad(name);
    let to = there.or_else(|| sink.request_pad_simple(name)).unwrap();
    let pad = gst::Pad::builder(gst::PadDirection::Src).name(name).build();
    pad.link(&to).unwrap();
    pad.set_active(true).unwrap();
    pad.push_event(gst::event::StreamStart::new(name));
    pad
}

/// Timestamps are running times.
fn from_zero() -> gst::Event {
    gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new())
}

/// Pauses a pipeline and plays it again, while its streams go on.
fn pause_and_play(pipeline: &gst::Pipeline) -> JoinHandle<()> {
    let pipeline = pipeline.clone();
    std::thread::spawn(move || {
        // GStreamer forgets that one is to play that is paused amid its start.
        if pipeline.state(gst::ClockTime::from_seconds(2)).1 == gst::State::Playing {
            // One that fails says so on its bus.
            let _ = pipeline.set_state(gst::State::Paused);
            // Whoever flushes gives it nothing to pause at.
            let _ = pipeline.state(gst::ClockTime::from_mseconds(200));
            let _ = pipeline.set_state(gst::State::Playing);
        }
    })
}

/// What was said until the end.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub warnings: Vec<String>,
    /// Of the messages of all files.
    pub frames: u64,
    pub dropped: u64,
    pub flushed: u64,
    pub files: usize,
}

/// Why a case failed of which nothing smaller is looked for: that would take hours.
const HANGS: &str = "it hangs";

pub(crate) fn until_eos(pipeline: &Pipeline) -> Result<Said, TestCaseError> {
    let bus = pipeline.0.bus().unwrap();
    let mut said = Said::default();
    loop {
        let message = bus
            .timed_pop(HANG)
            .ok_or_else(|| TestCaseError::fail(HANGS))?;
        match message.view() {
            gst::MessageView::Eos(_) => return Ok(said),
            gst::MessageView::Error(error) => {
                let text = format!("{} ({:?}), {said:?}", error.error(), error.debug());
                return Err(TestCaseError::fail(text));
            }
            gst::MessageView::Warning(warning) => said.warnings.push(warning.error().to_string()),
            gst::MessageView::Element(element) => {
                let details = element.structure().unwrap();
                let count = |name| details.get::<u64>(name).unwrap();
                let name = details.name().as_str();
                if matches!(name, "recordsink-file" | "circularsink-recording-finished") {
                    said.files += 1;
                    said.frames += count("frames");
                    said.dropped += count("dropped");
                    if name == "recordsink-file" {
                        said.flushed += count("dropped-flushed");
                    }
                }
            }
            _ => (),
        }
    }
}

/// The frames of a file and their times, as GStreamer's own demuxers have them, and frames a second by
/// the caps.
pub(crate) fn read(file: &Path) -> (Vec<(Vec<u8>, u64)>, f64) {
    let demuxer = match file.extension().and_then(|it| it.to_str()) {
        Some("avi") => "avidemux",
        Some("mkv") => "matroskademux",
        _ => "qtdemux",
    };
    // Behind a picture that ends early a demuxer fails whose sound goes nowhere.
    let pipeline = Pipeline::launch(&format!(
        "filesrc location={} ! {demuxer} name=d d.video_0 ! {QUEUE} ! appsink name=s sync=false \
         d.audio_0 ! {QUEUE} ! fakesink sync=false async=false",
        file.display()
    ));
    pipeline.play();
    let sink: gst_app::AppSink = pipeline.element("s").downcast().unwrap();
    let (mut frames, mut rate) = (Vec::new(), 0.0);
    for sample in samples(&sink) {
        let caps = sample.caps().and_then(|caps| caps.structure(0));
        let said = caps.and_then(|caps| caps.get::<gst::Fraction>("framerate").ok());
        rate = said.map_or(rate, |rate| {
            f64::from(rate.numer()) / f64::from(rate.denom())
        });
        let buffer = sample.buffer().unwrap();
        let bytes = buffer.map_readable().unwrap().to_vec();
        if !bytes.is_empty() {
            frames.push((bytes, buffer.pts().unwrap().nseconds()));
        }
    }
    (frames, rate)
}

/// It holds all that comes before a sink plays.
const QUEUE: &str = "queue max-size-buffers=0 max-size-bytes=0 max-size-time=0";

/// Times are read in whole nanoseconds.
const ROUNDING: f64 = 10.0;

/// How well a container keeps times, in nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Exactness {
    /// How far a frame may be from its time.
    half: f64,
    /// From one place for a frame to the next, where the container has places. A frame that comes while the
    /// last one has its place has the next.
    place: Option<f64>,
    /// How much later than its place a frame may be that comes right behind the last one: more is counted.
    late: f64,
}

impl Exactness {
    const MILLISECOND: Self = Self {
        half: 1.5e6,
        place: None,
        late: 0.0,
    };

    /// Of a camera whose caps say so many frames a second: a frame without a time is where these say, and others
    /// are not put before it.
    fn of(said: Option<u32>) -> Self {
        Self {
            late: said.map_or(0.0, |said| 2e9 / f64::from(said)),
            ..Self::MILLISECOND
        }
    }

    /// Of an AVI of so many frames a second: half an interval where the rate was had from the frames, and an
    /// interval of what the caps said.
    fn of_avi(rate: f64, said: Option<u32>) -> Self {
        let interval = 1e9 / rate;
        Self {
            half: match said {
                None => interval / 2.0,
                Some(said) => interval.max(1e9 / f64::from(said)) + 2e6,
            } + 1e6
                + ROUNDING,
            place: Some(interval),
            late: interval.max(1e8),
        }
    }
}

/// Whether what is shown is as much in order as it was sent: clocks jitter.
fn is_in_order(sent: &[Frame], shown: &[u64]) -> bool {
    let timed: Vec<_> = sent.iter().filter(|frame| frame.time.is_some()).collect();
    let pairs = timed.windows(2).zip(shown.windows(2));
    pairs.into_iter().all(|(sent, shown)| {
        let is_back = sent[0].run == sent[1].run && sent[0].time > sent[1].time;
        is_back || shown[0] <= shown[1]
    })
}

/// In each run of the clock the frames are shown as far from each other as they were sent.
fn check_times(
    sent: &[Frame],
    found: &[(Vec<u8>, u64)],
    exactness: Exactness,
) -> Result<(), TestCaseError> {
    // A frame without a time is counted by what the caps say, which may be a lie.
    let timed = sent
        .iter()
        .zip(found)
        .filter(|(frame, _)| frame.time.is_some());
    let shown: Vec<u64> = timed.map(|(_, (_, at))| *at).collect();
    prop_assert!(is_in_order(sent, &shown), "the times go back");
    let runs = sent.last().map_or(0, |frame| frame.run + 1);
    for run in 0..runs {
        // How much later than it was sent each frame is shown, and whether it could be earlier.
        let mut all = Vec::new();
        for (number, frame) in sent.iter().enumerate() {
            let at = found[number].1 as f64;
            let before = number.checked_sub(1).map(|before| found[before].1 as f64);
            let next = exactness.place.unwrap_or(0.0) + 1e6;
            let is_free = before.is_none_or(|before| at > before + next);
            if let Some(time) = frame.time.filter(|_| frame.run == run) {
                all.push((number, at - time as f64, is_free));
            }
        }
        let off = |frames: &mut dyn Iterator<Item = &(usize, f64, bool)>, late: bool| {
            let all = frames.map(|(number, off, _)| (*off, *number));
            match late {
                true => all.max_by(|a, b| a.0.total_cmp(&b.0)),
                false => all.min_by(|a, b| a.0.total_cmp(&b.0)),
            }
        };
        let early = off(&mut all.iter(), false);
        let free = off(&mut all.iter().filter(|frame| frame.2), true);
        let late = off(&mut all.iter(), true);
        let (Some(early), Some(late)) = (early, late) else {
            continue;
        };
        if let Some(free) = free {
            prop_assert!(
                free.0 - early.0 <= 2.0 * exactness.half,
                "frame {} is shown {} ns later than frame {} if that is at its time: {exactness:?}",
                free.1,
                free.0 - early.0,
                early.1
            );
        }
        prop_assert!(
            late.0 - early.0 <= 2.0 * exactness.half + exactness.late,
            "frame {} is shown {} ns later than frame {} if that is at its time: {exactness:?}",
            late.1,
            late.0 - early.0,
            early.1
        );
    }
    Ok(())
}

/// The first frame that is in a file: without a size in the caps it begins with a readable one.
fn begin_of(camera: &Camera, frames: &[Frame]) -> Option<usize> {
    match camera.sized {
        true => Some(0),
        false => frames.iter().position(|frame| frame.readable),
    }
}

/// The frames of each file, and how many come before them. `avimjpegmux` begins its file anew behind a flush, `circularsink`
/// another one; nothing if a file would have no frame.
fn parts<'a>(camera: &Camera, frames: &'a [Frame]) -> Option<(Vec<&'a [Frame]>, usize)> {
    let of_file = |frames: &'a [Frame]| frames.split_at_checked(begin_of(camera, frames)?);
    let epochs = frames.chunk_by(|one, next| one.epoch == next.epoch);
    match camera.sink {
        Sink::Record(_) => of_file(frames).map(|(before, part)| (vec![part], before.len())),
        Sink::Mux => {
            let all: Option<Vec<_>> = epochs.map(of_file).collect();
            let all = all?;
            let before = all.iter().map(|(before, _)| before.len()).sum();
            Some((vec![all.last()?.1], before))
        }
        Sink::Circular(_) => {
            // Other containers than AVI take the size of the very first picture.
            let is_avi = camera.is_avi();
            let is_early = |(before, _): &(&[Frame], _)| before.is_empty() || is_avi;
            let all: Option<Vec<_>> = epochs
                .map(|epoch| of_file(epoch).filter(is_early))
                .collect();
            let all = all?;
            let before = all.iter().map(|(before, _)| before.len()).sum();
            Some((all.into_iter().map(|(_, part)| part).collect(), before))
        }
    }
}

/// What is found of the frames that were sent, and how many are not: flushes take the last ones before them.
fn found_of(sent: &[Frame], found: &[(Vec<u8>, u64)]) -> Option<(Vec<Frame>, u64)> {
    let mut found = found.iter().map(|(bytes, _)| bytes).peekable();
    let (mut kept, mut flushed) = (Vec::new(), 0);
    for epoch in sent.chunk_by(|one, next| one.epoch == next.epoch) {
        let is_there = |frame: &&Frame| found.next_if(|bytes| **bytes == frame.bytes).is_some();
        let there: Vec<_> = epoch.iter().take_while(is_there).cloned().collect();
        flushed += (epoch.len() - there.len()) as u64;
        let is_last = sent.last().is_some_and(|last| last.epoch == epoch[0].epoch);
        if is_last && there.len() < epoch.len() {
            return None;
        }
        kept.extend(there);
    }
    found.next().is_none().then_some((kept, flushed))
}

/// In an AVI, what has the time of what came before is put right behind that.
fn without_times_of_their_own(frames: &mut [Frame]) {
    let mut last = None;
    for frame in frames {
        let before = std::mem::replace(&mut last, frame.time);
        frame.time = frame.time.filter(|_| frame.time != before);
    }
}

/// The files that came of it, in their order.
fn files_of(camera: &Camera, file: &Path) -> Vec<std::path::PathBuf> {
    if !matches!(camera.sink, Sink::Circular(_)) {
        return vec![file.to_owned()];
    }
    let entries = std::fs::read_dir(file.parent().unwrap()).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn check(camera: &Camera) -> Result<(), TestCaseError> {
    let frames = camera.frames();
    let avi = camera.is_avi();
    let shown = camera.shown(&frames);
    let parts = parts(camera, shown);
    prop_assume!(
        parts
            .as_ref()
            .is_some_and(|(parts, _)| parts.iter().all(|it| !it.is_empty()))
    );
    let (sent, unreadable) = parts.unwrap_or_default();
    let dir = tempfile::tempdir().unwrap();
    let (name, extension) = match camera.sink {
        Sink::Mux => ("a", "avi"),
        Sink::Record(extension) => ("a", extension),
        Sink::Circular(extension) => ("%03d", extension),
    };
    let file = dir.path().join(name).with_extension(extension);
    let pipeline = camera.launch(&file);
    camera.feed(
        &pipeline,
        &camera.caps().parse().unwrap(),
        &frames,
        |_, frame| {
            let mut buffer = gst::Buffer::from_slice(frame.bytes.clone());
            let time = frame.time.map(gst::ClockTime::from_nseconds);
            buffer.get_mut().unwrap().set_pts(time);
            buffer
        },
    );
    let said = until_eos(&pipeline)?;
    let sink = pipeline.element("sink");
    let stats = sink.property::<gst::Structure>("stats");
    drop(pipeline);

    let all: u64 = sent.iter().map(|part| part.len() as u64).sum();
    let mut flushed = 0;
    if extension == "mjpeg" {
        let sent = sent.iter().copied().flatten();
        let all: Vec<u8> = sent.flat_map(|frame| frame.bytes.clone()).collect();
        prop_assert!(
            std::fs::read(&file).unwrap() == all,
            "the file has other bytes"
        );
    } else {
        // In an AVI a frame too many is later, which is said.
        let is_told = said
            .warnings
            .iter()
            .any(|it| it.contains("than their time"));
        if camera.sink == Sink::Mux {
            let displaced = stats.get::<u64>("displaced").unwrap();
            prop_assert_eq!(displaced > 0, is_told, "{:?}", said);
        }
        let files = files_of(camera, &file);
        prop_assert_eq!(files.len(), sent.len(), "{:?}: {:?}", files, said);
        for (file, sent) in files.iter().zip(&sent) {
            let (found, rate) = read(file);
            let kept = found_of(sent, &found);
            prop_assert!(
                kept.is_some(),
                "{} frames are found of {}, or others: {said:?}, {stats}",
                found.len(),
                sent.len()
            );
            let (mut kept, gone) = kept.unwrap_or_default();
            flushed += gone;
            if avi {
                without_times_of_their_own(&mut kept);
            }
            if !is_told && !kept.is_empty() {
                let exactness = match avi {
                    true => Exactness::of_avi(rate, camera.said),
                    false => Exactness::of(camera.said),
                };
                check_times(&kept, &found, exactness)?;
            }
        }
    }
    check_counts(camera, &said, &stats, all, flushed, unreadable as u64)?;
    let breaks = frames.last().map_or(0, |frame| frame.run);
    let jumps = said
        .warnings
        .iter()
        .filter(|text| text.contains("imestamps"));
    prop_assert!(jumps.count() <= breaks, "{breaks} breaks: {said:?}");
    Ok(())
}

/// Whether what is told of is what was found: `all` came for the files, of which `flushed` are in none, and so many before
/// them were not readable.
fn check_counts(
    camera: &Camera,
    said: &Said,
    stats: &gst::StructureRef,
    all: u64,
    flushed: u64,
    unreadable: u64,
) -> Result<(), TestCaseError> {
    match camera.sink {
        Sink::Mux => {
            prop_assert_eq!(flushed, 0);
            prop_assert_eq!(stats.get::<u64>("frames"), Ok(all));
            prop_assert_eq!(stats.get::<u64>("dropped"), Ok(unreadable));
        }
        Sink::Circular(_) => {
            prop_assert_eq!((flushed, said.frames), (0, all), "{:?}", said);
            prop_assert_eq!(said.dropped, unreadable, "{:?}", said);
        }
        Sink::Record(_) => {
            prop_assert_eq!((said.files, said.frames), (1, all - flushed), "{:?}", said);
            prop_assert_eq!(said.flushed, flushed, "{:?}", said);
            prop_assert_eq!(said.dropped, flushed + unreadable, "{:?}", said);
        }
    }
    Ok(())
}

pub(crate) fn try_cameras<C: std::fmt::Debug>(
    cameras: impl Strategy<Value = C>,
    fewer: u32,
    check: impl Fn(&C) -> Result<(), TestCaseError>,
) {
    crate::common::init();
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|it| it.parse::<u64>().ok())
    };
    let cases = number("RANDOM_CAMERAS").map_or(CASES, |cases| cases as u32) / fewer;
    let seed = number("RANDOM_CAMERAS_SEED").unwrap_or(0);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..Config::default()
    };
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, random);
    let hangs = Cell::new(false);
    let check = |camera: C| match hangs.get() {
        true => Ok(()),
        false => check(&camera),
    };
    let check = |camera| match check(camera) {
        Err(TestCaseError::Fail(why)) if why.message() == HANGS => {
            hangs.set(true);
            Err(TestCaseError::Fail(why))
        }
        checked => checked,
    };
    if let Err(error) = runner.run(&cameras, check) {
        panic!("RANDOM_CAMERAS_SEED={seed}: {error}");
    }
}

#[test]
fn each_picture_is_in_the_file_or_counted() {
    try_cameras(camera(), 1, check);
}

/// A camera that encodes, into containers of H.264.
#[derive(Debug, Clone)]
struct Encoder {
    extension: &'static str,
    circular: bool,
    interval: u64,
    said: u32,
    start: u64,
    steps: Vec<Step>,
}

fn encoder() -> impl Strategy<Value = Encoder> {
    let act = prop_oneof![
        30 => Just(Act::Plain),
        1 => (0..5000_u64).prop_map(Act::Restart),
        1 => (2..30_u64).prop_map(Act::Ahead),
        1 => (100..3000_u64).prop_map(Act::Pause),
        1 => burst(),
        1 => Just(Act::Hold),
    ];
    let step = (-0.3..0.3, act).prop_map(|(jitter, act)| Step { jitter, act });
    let steps = prop::collection::vec(step, 2..80);
    let extension = prop::sample::select(vec!["mp4", "mov", "mkv", "ts"]);
    let said = prop::sample::select(vec![10, 25, 30, 60]);
    (
        extension,
        any::<bool>(),
        15 * MS..200 * MS,
        said,
        0..4 * HOUR,
        steps,
    )
        .prop_map(
            |(extension, circular, interval, said, start, steps)| Encoder {
                extension,
                circular,
                interval,
                said,
                start,
                steps,
            },
        )
}

fn check_encoder(encoder: &Encoder) -> Result<(), TestCaseError> {
    let camera = Camera {
        sink: match encoder.circular {
            true => Sink::Circular(encoder.extension),
            false => Sink::Record(encoder.extension),
        },
        interval: encoder.interval,
        said: Some(encoder.said),
        sized: true,
        start: encoder.start,
        steps: encoder.steps.clone(),
        sound: None,
        ends: None,
    };
    let stream = rig::encoded(&rig::x264(12, 0), 100);
    let frames = camera.frames();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a").with_extension(encoder.extension);
    let pipeline = camera.launch(&file);
    let mut caps = stream.caps.clone();
    let rate = gst::Fraction::new(encoder.said as i32, 1);
    caps.make_mut().set("framerate", rate);
    camera.feed(&pipeline, &caps, &frames, |number, frame| {
        let mut buffer = stream.buffers[number].copy();
        let it = buffer.get_mut().unwrap();
        it.set_pts(frame.time.map(gst::ClockTime::from_nseconds));
        it.set_dts(frame.time.map(gst::ClockTime::from_nseconds));
        it.set_duration(gst::ClockTime::NONE);
        buffer
    });
    let said = until_eos(&pipeline)?;
    drop(pipeline);
    prop_assert_eq!(
        (said.files, said.frames),
        (1, frames.len() as u64),
        "{:?}",
        said
    );
    let decoded = rig::decode_picture(&file);
    prop_assert_eq!(
        decoded.numbers(),
        (0..frames.len() as u64).collect::<Vec<_>>()
    );
    // GStreamer's demuxer of transport streams goes by their clock, which comes now and then; pictures of one millisecond
    // have no times of their own in Matroska, and its parser tells none of the second.
    let times = match encoder.extension {
        "ts" | "mkv" => packet_times(&file),
        _ => decoded.frames.iter().map(|(time, _)| *time).collect(),
    };
    let found: Vec<_> = times.into_iter().map(|time| (Vec::new(), time)).collect();
    check_times(&frames, &found, Exactness::MILLISECOND)
}

/// The times in the packets of a file's picture, as ffprobe has them.
pub(crate) fn packet_times(file: &Path) -> Vec<u64> {
    let options = ["-select_streams", "v"];
    let times = crate::common::ffprobe(file, &options, "packet=pts_time");
    let seconds = times.iter().filter_map(|time| time.parse::<f64>().ok());
    seconds.map(|seconds| (seconds * 1e9) as u64).collect()
}

#[test]
fn each_access_unit_is_in_the_file() {
    try_cameras(encoder(), 2, check_encoder);
}

/// A camera of raw pictures, which `recordsink` encodes.
#[derive(Debug, Clone)]
struct Raw {
    extension: &'static str,
    camera: Camera,
    /// The picture never comes.
    is_dark: bool,
}

/// What a stream begins at that never does, in milliseconds.
const NEVER: u64 = 1_000_000_000;

fn raw() -> impl Strategy<Value = Raw> {
    let extension = prop::sample::select(vec!["ts", "mp4", "mkv", "h264"]);
    let said = prop_oneof![
        1 => Just(None),
        3 => prop::sample::select(vec![10, 25, 30, 60]).prop_map(Some)
    ];
    let act = prop_oneof![
        30 => Just(Act::Plain),
        4 => Just(Act::Lost),
        2 => Just(Act::Untimed),
        1 => (0..5000_u64).prop_map(Act::Restart),
        1 => (2..30_u64).prop_map(Act::Ahead),
        1 => (100..3000_u64).prop_map(Act::Pause),
        1 => burst_apart(),
        1 => Just(Act::Hold),
    ];
    let step = (-0.3..0.3, act).prop_map(|(jitter, act)| Step { jitter, act });
    let steps = prop::collection::vec(step, 2..60);
    let sound = prop_oneof![
        3 => Just(None),
        2 => (0..800_u64).prop_map(Some),
        1 => Just(Some(NEVER)),
    ];
    let is_dark = prop::bool::weighted(0.1);
    let rest = (15 * MS..200 * MS, 0..4 * HOUR, steps, sound, ends());
    (extension, said, is_dark, rest).prop_map(
        |(extension, said, is_dark, (interval, start, steps, sound, ends))| {
            // Something has to come.
            let is_dark = is_dark && sound.is_some_and(|late| late < NEVER) && extension != "h264";
            let camera = Camera {
                sink: Sink::Record(extension),
                interval,
                said,
                sized: true,
                start,
                steps,
                sound: sound.filter(|_| extension != "h264"),
                ends: if is_dark { Some((false, 0)) } else { ends },
            };
            Raw {
                extension,
                camera,
                is_dark,
            }
        },
    )
}

fn check_raw(raw: &Raw) -> Result<(), TestCaseError> {
    let camera = &raw.camera;
    let frames = camera.frames();
    prop_assume!(!frames.is_empty());
    let sound = camera.sound(&frames);
    prop_assume!(!raw.is_dark || !sound.is_empty());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a").with_extension(raw.extension);
    let pipeline = camera.launch(&file);
    let rate = camera.said.map(|said| format!("framerate={said}/1"));
    let caps = rig::RAW.replace("framerate=25/1", &rate.unwrap_or_default());
    let caps: gst::Caps = caps.trim_end_matches(',').parse().unwrap();
    let has_sound = !sound.is_empty();
    camera.feed(&pipeline, &caps, &frames, |number, frame| {
        let mut buffer = rig::picture(number as u64);
        let it = buffer.get_mut().unwrap();
        it.set_pts(frame.time.map(gst::ClockTime::from_nseconds));
        it.set_duration(gst::ClockTime::NONE);
        buffer
    });
    let said = until_eos(&pipeline)?;
    drop(pipeline);
    prop_assert_eq!(said.files, 1, "{:?}", said);
    let never = said
        .warnings
        .iter()
        .filter(|it| it.contains("Nothing came on "));
    let missing = usize::from(raw.is_dark) + usize::from(camera.sound.is_some() && !has_sound);
    prop_assert_eq!(never.count(), missing, "{:?}", said);
    let mut kinds = match raw.extension {
        "h264" => vec!["video".to_owned()],
        _ => crate::common::ffprobe(&file, &[], "stream=codec_type"),
    };
    kinds.sort();
    kinds.dedup();
    let wanted =
        [(has_sound, "audio"), (!raw.is_dark, "video")].map(|(is, kind)| is.then_some(kind));
    prop_assert_eq!(kinds, wanted.into_iter().flatten().collect::<Vec<_>>());
    if raw.is_dark {
        return Ok(());
    }
    let frames = camera.shown(&frames);
    prop_assert_eq!(said.frames, frames.len() as u64, "{:?}", said);
    let (numbers, shown) = numbers_in(&file);
    let sent: Vec<_> = (0..frames.len() as u64).collect();
    prop_assert_eq!(numbers, sent, "{:?}", said);
    let mut times = match raw.extension {
        "h264" => return Ok(()),
        "ts" | "mkv" => packet_times(&file),
        _ => shown,
    };
    times.sort_unstable();
    let found: Vec<_> = times.into_iter().map(|time| (Vec::new(), time)).collect();
    check_times(frames, &found, Exactness::of(camera.said))
}

/// The numbers that a file's pictures show, and the times of those that have one.
pub(crate) fn numbers_in(file: &Path) -> (Vec<u64>, Vec<u64>) {
    let pipeline = Pipeline::launch(&format!(
        "filesrc location={} ! decodebin name=d caps=video/x-raw d. ! queue max-size-time=0 max-size-bytes=0 \
         max-size-buffers=0 ! videoconvert ! video/x-raw,format=GRAY8 ! appsink name=s sync=false",
        file.display()
    ));
    pipeline.play();
    let sink: gst_app::AppSink = pipeline.element("s").downcast().unwrap();
    let (mut numbers, mut times) = (Vec::new(), Vec::new());
    for sample in samples(&sink) {
        let buffer = sample.buffer().unwrap();
        numbers.push(rig::number_in(&buffer.map_readable().unwrap(), 64));
        times.extend(buffer.pts().map(gst::ClockTime::nseconds));
    }
    (numbers, times)
}

#[test]
fn each_raw_picture_is_in_the_file() {
    try_cameras(raw(), 3, check_raw);
}
