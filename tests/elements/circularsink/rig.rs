// SPDX-License-Identifier: MIT OR Apache-2.0
//! circularsink in a pipeline, fed with numbered frames and samples, and its files decoded.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};

use gst::prelude::*;

/// Frames a second, and nanoseconds a frame.
pub(crate) const RATE: u64 = 25;
pub(crate) const FRAME: u64 = 1_000_000_000 / RATE;
pub(crate) const SAMPLES: u64 = 48_000;

/// Just under an hour (ns), which is no new beginning.
pub(crate) const AWAY: u64 = 59 * 60 * 1_000_000_000;

/// No test waits for time to pass; this only ends those that would hang.
pub(crate) const FAILSAFE: gst::ClockTime = gst::ClockTime::from_seconds(120);

/// Once in a process: where the plugin registers again, the factories of its elements are others, and classes that are in
/// use have what is gone.
pub(crate) fn init() {
    crate::common::init();
}

/// A stream as an encoder gave it out.
#[derive(Clone)]
pub(crate) struct Encoded {
    pub caps: gst::Caps,
    pub segment: gst::Segment,
    pub buffers: Vec<gst::Buffer>,
}

/// A picture that shows its number: 16 squares, dark or light, the lowest bit first.
pub(crate) fn picture(number: u64) -> gst::Buffer {
    let mut data = vec![128u8; 64 * 64 * 3 / 2];
    for y in 0..64 {
        for x in 0..64 {
            let bit = (y / 16) * 4 + x / 16;
            data[y * 64 + x] = if number >> bit & 1 == 1 { 235 } else { 16 };
        }
    }
    let mut buffer = gst::Buffer::from_mut_slice(data);
    let it = buffer.get_mut().expect("nobody else has it");
    it.set_pts(gst::ClockTime::from_nseconds(number * FRAME));
    it.set_duration(gst::ClockTime::from_nseconds(FRAME));
    buffer
}

/// The number that a picture shows.
pub(crate) fn number_in(picture: &[u8], stride: usize) -> u64 {
    (0..16).fold(0, |number, bit| {
        let (x, y) = ((bit % 4) * 16 + 8, (bit / 4) * 16 + 8);
        number | u64::from(picture[y * stride + x] > 128) << bit
    })
}

pub(crate) const RAW: &str = "video/x-raw,format=I420,width=64,height=64,framerate=25/1";

/// What encoders have given out already.
pub(crate) static MADE: Mutex<Option<HashMap<String, Encoded>>> = Mutex::new(None);

/// Numbered pictures through an encoder; each encoder's are made once.
pub(crate) fn encoded(encoder: &str, frames: u64) -> Encoded {
    let key = format!("{encoder} {frames}");
    let mut made = MADE.lock().unwrap_or_else(|e| e.into_inner());
    let made = made.get_or_insert_default();
    if let Some(stream) = made.get(&key) {
        return stream.clone();
    }
    let stream = encode(encoder, frames, |_| ());
    made.insert(key, stream.clone());
    stream
}

/// Numbered pictures through an encoder, in a pipeline that is prepared before it starts.
pub(crate) fn encode(encoder: &str, frames: u64, prepare: impl FnOnce(&gst::Pipeline)) -> Encoded {
    init();
    let pipeline = gst::parse::launch(&format!(
        "appsrc name=in caps={RAW} format=time max-bytes=0 ! {encoder} ! appsink name=out sync=false"
    ))
    .expect("the encoder is installed")
    .downcast::<gst::Pipeline>()
    .expect("two elements make a pipeline");
    let source: gst_app::AppSrc = get(&pipeline, "in");
    let sink: gst_app::AppSink = get(&pipeline, "out");
    prepare(&pipeline);
    pipeline.set_state(gst::State::Playing).expect("it plays");
    for number in 0..frames {
        source
            .push_buffer(picture(number))
            .expect("it takes frames");
    }
    source.end_of_stream().expect("it ends");
    let mut stream: Option<Encoded> = None;
    for sample in crate::common::samples(&sink) {
        let buffer = sample.buffer_owned().expect("samples have buffers");
        stream
            .get_or_insert_with(|| Encoded {
                caps: sample.caps_owned().expect("samples have caps"),
                segment: sample
                    .segment()
                    .expect("samples have segments")
                    .clone()
                    .upcast(),
                buffers: Vec::new(),
            })
            .buffers
            .push(buffer);
    }
    pipeline.set_state(gst::State::Null).expect("it stops");
    let stream = stream.expect("the encoder gives something");
    assert_eq!(stream.buffers.len() as u64, frames);
    stream
}

pub(crate) fn get<T: IsA<gst::Element>>(bin: &gst::Pipeline, name: &str) -> T {
    let element = bin.by_name(name).expect("it was named so");
    element.downcast().expect("it is of that type")
}

pub(crate) fn x264(gop: u32, bframes: u32) -> String {
    format!(
        "x264enc speed-preset=veryfast key-int-max={gop} bframes={bframes} b-adapt=false \
         rc-lookahead=4 option-string=scenecut=0 threads=1"
    )
}

/// The running time of the first picture in the raw stream, as the encoder shifted it.
pub(crate) fn raw_sound() -> gst::Caps {
    gst::Caps::builder("audio/x-raw")
        .field("format", "S16LE")
        .field("layout", "interleaved")
        .field("rate", SAMPLES as i32)
        .field("channels", 1)
        .build()
}

/// Samples that tell their number, modulo 30 000.
pub(crate) fn samples(range: std::ops::Range<u64>) -> gst::Buffer {
    let data: Vec<u8> = range
        .clone()
        .flat_map(|n| ((n % 30_000) as i16).to_le_bytes())
        .collect();
    let mut buffer = gst::Buffer::from_mut_slice(data);
    let time = |n: u64| gst::ClockTime::from_nseconds(n * 1_000_000_000 / SAMPLES);
    let it = buffer.get_mut().expect("nobody else has it");
    it.set_pts(time(range.start));
    it.set_duration(time(range.end) - time(range.start));
    buffer
}

/// Twenty-five seconds of noise through an encoder, and its caps.
pub(crate) fn sound(encoder: &str) -> (gst::Caps, Vec<gst::Buffer>) {
    init();
    let pipeline = gst::parse::launch(&format!(
        "audiotestsrc num-buffers=1200 samplesperbuffer=1024 wave=white-noise ! \
         audio/x-raw,rate=48000,channels=1 ! {encoder} ! appsink name=out sync=false"
    ))
    .expect("the encoder is installed")
    .downcast::<gst::Pipeline>()
    .expect("it is a pipeline");
    let out: gst_app::AppSink = get(&pipeline, "out");
    pipeline.set_state(gst::State::Playing).expect("it plays");
    let mut caps = None;
    let mut frames = Vec::new();
    for sample in crate::common::samples(&out) {
        caps = sample.caps_owned();
        frames.push(sample.buffer_owned().expect("samples have buffers"));
    }
    pipeline.set_state(gst::State::Null).expect("it stops");
    (caps.expect("it has caps"), frames)
}

/// Waits for something that has to come about.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !condition() {
        assert!(std::time::Instant::now() < end, "never: {what}");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// circularsink in a pipeline, fed from here.
pub(crate) struct Rig {
    pub pipeline: gst::Pipeline,
    pub sink: gst::Element,
    pub video: gst::Pad,
    pub audio: Option<gst::Pad>,
    pub stream: Encoded,
    pub next: usize,
    pub next_sample: u64,
    pub dir: tempfile::TempDir,
    /// What warnings said.
    pub warnings: Arc<Mutex<Vec<String>>>,
}

impl Rig {
    pub(crate) fn new(stream: Encoded, audio: bool) -> Self {
        init();
        let pipeline = gst::Pipeline::new();
        let sink = gst::ElementFactory::make("circularsink")
            .build()
            .expect("the element exists");
        pipeline.add(&sink).expect("it is added");
        let video = gst::Pad::builder(gst::PadDirection::Src).name("v").build();
        let to = sink.static_pad("video").expect("the pad is there");
        video.link(&to).expect("the pads link");
        video.set_active(true).expect("the pad starts");
        let audio = audio.then(|| {
            let to = sink.request_pad_simple("audio_%u").expect("a pad is made");
            let pad = gst::Pad::builder(gst::PadDirection::Src).name("a").build();
            pad.link(&to).expect("the pads link");
            pad.set_active(true).expect("the pad starts");
            pad
        });
        let warnings = Arc::<Mutex<Vec<String>>>::default();
        let heard = warnings.clone();
        let bus = pipeline.bus().expect("pipelines have a bus");
        bus.set_sync_handler(move |_, message| {
            if let gst::MessageView::Warning(warning) = message.view() {
                let text = warning.error().message().to_owned();
                heard.lock().expect("nobody panics").push(text);
            }
            gst::BusSyncReply::Pass
        });
        let dir = tempfile::tempdir().expect("there is a directory");
        let pattern = dir.path().join("r%03d.mkv");
        sink.set_property("location", pattern.to_str());
        Self {
            pipeline,
            sink,
            video,
            audio,
            stream,
            next: 0,
            next_sample: 0,
            dir,
            warnings,
        }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_string_lossy().into_owned()
    }

    pub(crate) fn locate(&self, name: &str) {
        self.sink.set_property("location", self.path(name));
    }

    pub(crate) fn start(&self) {
        self.pipeline
            .set_state(gst::State::Playing)
            .expect("the pipeline plays");
        self.announce();
    }

    pub(crate) fn announce(&self) {
        let start = |pad: &gst::Pad, id: &str, caps: &gst::Caps, segment: &gst::Segment| {
            pad.push_event(gst::event::StreamStart::new(id));
            pad.push_event(gst::event::Caps::new(caps));
            pad.push_event(gst::event::Segment::new(segment));
        };
        start(
            &self.video,
            "video",
            &self.stream.caps,
            &self.stream.segment,
        );
        if let Some(audio) = &self.audio {
            let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
            segment.set_start(gst::ClockTime::ZERO);
            start(audio, "audio", &raw_sound(), &segment.upcast());
        }
    }

    /// Pushes video frames, and sound up to the same time.
    pub(crate) fn push(&mut self, frames: usize) {
        for _ in 0..frames {
            let buffer = self.stream.buffers[self.next].clone();
            self.next += 1;
            if let Some(audio) = &self.audio {
                let until = self.next as u64 * SAMPLES / RATE;
                while self.next_sample < until {
                    // 1000 samples do not fit into a frame's 1920: nothing is aligned by chance.
                    let range = self.next_sample..self.next_sample + 1000;
                    self.next_sample = range.end;
                    audio.push(samples(range)).expect("the sound is taken");
                }
            }
            self.video.push(buffer).expect("the frame is taken");
        }
    }

    pub(crate) fn push_all(&mut self) {
        self.push(self.stream.buffers.len() - self.next);
    }

    pub(crate) fn trigger(&self, location: Option<&str>) -> u32 {
        self.sink.emit_by_name("trigger", &[&location])
    }

    pub(crate) fn finish(&self) {
        self.sink.emit_by_name::<()>("finish", &[]);
    }

    pub(crate) fn eos(&self) {
        if let Some(audio) = &self.audio {
            audio.push_event(gst::event::Eos::new());
        }
        self.video.push_event(gst::event::Eos::new());
    }

    pub(crate) fn bus(&self) -> gst::Bus {
        self.pipeline.bus().expect("pipelines have a bus")
    }

    /// The next message of the element with this name; errors of the pipeline are failures.
    pub(crate) fn wait(&self, name: &str) -> gst::Structure {
        loop {
            let message = self
                .bus()
                .timed_pop_filtered(
                    FAILSAFE,
                    &[gst::MessageType::Element, gst::MessageType::Error],
                )
                .unwrap_or_else(|| panic!("no {name}"));
            match message.view() {
                gst::MessageView::Error(error) => panic!("an error reached the pipeline: {error}"),
                _ => {
                    if let Some(structure) = message.structure() {
                        let failed = structure.name() == "circularsink-recording-failed";
                        if structure.name() == name {
                            return structure.to_owned();
                        }
                        assert!(!failed, "{structure}");
                    }
                }
            }
        }
    }

    pub(crate) fn finished(&self) -> Done {
        Done::new(&self.wait("circularsink-recording-finished"))
    }

    /// So many recordings, in the order in which they began.
    pub(crate) fn all_finished(&self, count: usize) -> Vec<Done> {
        let mut done: Vec<_> = (0..count).map(|_| self.finished()).collect();
        done.sort_by_key(|done| done.id);
        done
    }

    /// Ends the stream, and with it the last of so many recordings.
    pub(crate) fn end(&self, count: usize) -> Vec<Done> {
        self.eos();
        let done = self.all_finished(count);
        self.wait_eos();
        done
    }

    pub(crate) fn failed(&self) -> (Done, String) {
        let structure = self.wait("circularsink-recording-failed");
        let error = structure.get::<String>("error").expect("it says why");
        (Done::new(&structure), error)
    }

    /// What the pipeline's error says.
    pub(crate) fn error(&self) -> String {
        let message = self
            .bus()
            .timed_pop_filtered(FAILSAFE, &[gst::MessageType::Error]);
        let message = message.expect("there is an error");
        let gst::MessageView::Error(error) = message.view() else {
            panic!("{message:?}");
        };
        error.error().message().to_owned()
    }

    pub(crate) fn wait_eos(&self) {
        let types = [gst::MessageType::Eos, gst::MessageType::Error];
        let message = self.bus().timed_pop_filtered(FAILSAFE, &types);
        let message = message.expect("the end of the stream is posted");
        assert_eq!(message.type_(), gst::MessageType::Eos, "{message:?}");
    }

    /// Stops so far that messages of it can be read.
    pub(crate) fn stop_to_ready(&self) {
        self.pipeline
            .set_state(gst::State::Ready)
            .expect("the pipeline stops");
    }

    pub(crate) fn stop(&self) {
        self.pipeline
            .set_state(gst::State::Null)
            .expect("the pipeline stops");
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// What a message says of a recording.
#[derive(Debug, Clone)]
pub(crate) struct Done {
    pub id: u32,
    pub location: Option<PathBuf>,
    pub start: Option<u64>,
    pub end: Option<u64>,
    pub frames: u64,
    pub bytes: u64,
}

impl Done {
    pub(crate) fn new(structure: &gst::StructureRef) -> Self {
        Self {
            id: structure.get("id").expect("it has an id"),
            location: structure
                .get::<Option<String>>("location")
                .expect("it has a location")
                .map(PathBuf::from),
            start: structure.get("start-running-time").ok(),
            end: structure.get("end-running-time").ok(),
            frames: structure.get("frames").expect("it counts frames"),
            bytes: structure.get("bytes").expect("it counts bytes"),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.location.as_deref().expect("it went to a file")
    }
}

/// A file, decoded.
pub(crate) struct Decoded {
    /// Presentation time (ns) and number of each frame.
    pub frames: Vec<(u64, u64)>,
    /// Presentation time (ns) and number of the first sample of each buffer of sound, and how
    /// many there are.
    pub sound: Vec<(u64, u64, u64)>,
}

impl Decoded {
    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.frames.iter().map(|f| f.1).collect()
    }
}

/// Decodes a file with GStreamer. What a decoder itself calls corrupted is left out.
pub(crate) fn decode(path: &Path, audio: bool) -> Decoded {
    let sound = if audio {
        "d. ! queue max-size-time=0 max-size-bytes=0 max-size-buffers=0 ! audioconvert ! \
         audio/x-raw,format=S16LE,channels=1 ! appsink name=a sync=false"
    } else {
        ""
    };
    let pipeline = gst::parse::launch(&format!(
        "filesrc name=src ! decodebin name=d d. ! queue max-size-time=0 max-size-bytes=0 \
         max-size-buffers=0 ! video/x-raw ! videoconvert ! video/x-raw,format=GRAY8 ! \
         appsink name=v sync=false {sound}"
    ))
    .expect("the elements are there")
    .downcast::<gst::Pipeline>()
    .expect("it is a pipeline");
    let source: gst::Element = get(&pipeline, "src");
    source.set_property("location", path.to_str());
    // What they lose at the begin of a stream that does not begin with an IDR is in opengop.rs. It
    // depends on how many pictures they decode at a time.
    pipeline.connect_deep_element_added(|_, _, element| {
        let name = element.factory().map(|factory| factory.name());
        if matches!(name.as_deref(), Some("avdec_h264" | "avdec_h265")) {
            element.set_property("max-threads", 1);
        }
    });
    pipeline.set_state(gst::State::Playing).expect("it plays");
    let time = |sample: &gst::SampleRef| {
        let buffer = sample.buffer().expect("samples have buffers");
        let segment = sample.segment().expect("samples have segments");
        let segment = segment.downcast_ref::<gst::ClockTime>().expect("in time");
        segment
            .to_running_time(buffer.pts())
            .expect("frames have times")
            .nseconds()
    };
    let mut decoded = Decoded {
        frames: Vec::new(),
        sound: Vec::new(),
    };
    let video: gst_app::AppSink = get(&pipeline, "v");
    for sample in crate::common::samples(&video) {
        let buffer = sample.buffer().expect("samples have buffers");
        if buffer.flags().contains(gst::BufferFlags::CORRUPTED) {
            continue;
        }
        let map = buffer.map_readable().expect("the picture can be read");
        decoded.frames.push((time(&sample), number_in(&map, 64)));
    }
    if audio {
        let audio: gst_app::AppSink = get(&pipeline, "a");
        for sample in crate::common::samples(&audio) {
            let map = sample.buffer().and_then(|b| b.map_readable().ok());
            let map = map.expect("the sound can be read");
            let all: Vec<_> = map
                .chunks_exact(2)
                .map(|b| i16::from_le_bytes([b[0], b[1]]) as u64)
                .collect();
            for pair in all.windows(2) {
                assert_eq!(pair[1], (pair[0] + 1) % 30_000, "a break in the sound");
            }
            let count = all.len() as u64;
            decoded.sound.push((time(&sample), all[0], count));
        }
    }
    let error = pipeline
        .bus()
        .and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
    assert!(error.is_none(), "{}: {error:?}", path.display());
    pipeline.set_state(gst::State::Null).expect("it stops");
    decoded
}

/// The pictures alone.
pub(crate) fn decode_picture(path: &Path) -> Decoded {
    decode(path, false)
}

/// ffprobe reads the whole file and has nothing to say against it.
pub(crate) fn assert_sound(path: &Path) {
    let output = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-count_frames",
            "-show_entries",
            "stream=nb_read_frames",
        ])
        .arg(path)
        .output()
        .expect("ffprobe is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.is_empty(),
        "{}: {said}",
        path.display()
    );
}

/// The frames are numbered without gap or repetition, from `first` to `last`, and shown when they
/// should be, the first at zero.
pub(crate) fn assert_frames(decoded: &Decoded, first: u64, last: u64) {
    assert_eq!(decoded.numbers(), (first..=last).collect::<Vec<_>>());
    for (time, number) in &decoded.frames {
        let expected = (number - first) * FRAME;
        assert!(
            time.abs_diff(expected) <= 1_000_000,
            "frame {number} at {time}"
        );
    }
}

/// The sound runs without a gap from the first frame on, to within 1 ms of the pictures.
pub(crate) fn assert_sound_aligned(decoded: &Decoded, tolerance: u64) {
    let first = decoded.frames[0].1;
    let mut next = None;
    assert!(!decoded.sound.is_empty());
    for &(time, number, count) in &decoded.sound {
        assert_eq!(number, next.unwrap_or(number), "a gap in the sound");
        next = Some((number + count) % 30_000);
        let expected = (first * SAMPLES / RATE + time * SAMPLES / 1_000_000_000) % 30_000;
        let off = expected
            .abs_diff(number)
            .min(30_000 - expected.abs_diff(number));
        assert!(
            off <= tolerance * SAMPLES / 1000,
            "sample {number} instead of {expected}"
        );
    }
    let length = decoded.sound.iter().map(|s| s.2).sum::<u64>();
    let pictures = decoded.frames.len() as u64 * SAMPLES / RATE;
    assert!(
        length.abs_diff(pictures) <= SAMPLES / 500,
        "{length} samples, not {pictures}"
    );
}

/// Has something done before each buffer that the sinks of recordings take, of those that begin from now on.
pub(crate) fn before_each_write(rig: &Rig, what: impl Fn() + Send + Sync + 'static) {
    let what = Arc::new(what);
    let bin = rig.sink.downcast_ref::<gst::Bin>().expect("it is a bin");
    bin.connect_deep_element_added(move |_, _, element| {
        if element.factory().is_some_and(|f| f.name() == "filesink") {
            let what = what.clone();
            let pad = element.static_pad("sink").expect("sinks have a pad");
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                what();
                gst::PadProbeReturn::Ok
            });
        }
    });
}

/// Keeps buffers from reaching a recording's sink until it is opened.
#[derive(Clone, Default)]
pub(crate) struct Stall(pub Arc<Gate>);

/// What a stalled sink waits at.
#[derive(Default)]
pub(crate) struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    open: bool,
    /// Buffers that have come to the gate.
    arrived: u32,
}

impl Stall {
    /// Stalls all sinks of the recordings that begin from now on.
    pub(crate) fn on(rig: &Rig) -> Self {
        let stall = Self::default();
        let gate = stall.0.clone();
        before_each_write(rig, move || {
            let mut state = gate.state.lock().expect("nobody panics");
            state.arrived += 1;
            while !state.open {
                state = gate.changed.wait(state).expect("nobody panics");
            }
        });
        stall
    }

    /// Waits until a buffer stands before a stalled sink.
    pub(crate) fn wait(&self) {
        until("a buffer comes to the stalled sink", || {
            self.0.state.lock().expect("nobody panics").arrived > 0
        });
    }

    pub(crate) fn release(&self) {
        self.0.state.lock().expect("nobody panics").open = true;
        self.0.changed.notify_all();
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        if Arc::strong_count(&self.0) <= 2 {
            self.release();
        }
    }
}

pub(crate) fn stats_of(rig: &Rig, name: &str) -> u64 {
    let stats: gst::Structure = rig.sink.property("stats");
    stats
        .get::<u64>(name)
        .or_else(|_| stats.get::<u32>(name).map(u64::from))
        .expect("it is counted")
}
