// SPDX-License-Identifier: MIT OR Apache-2.0
//! The thread that watches a camera: starts it, reads its messages, starts it again.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use gst::prelude::*;

use super::motion::Watch;
use super::{Picture, Shared};
use crate::clip::{self, Clip, FACTS, PICTURE};
use crate::config::{Camera, Limits, Motion};
use crate::events::{Event, Phase};
use crate::pins;
use crate::source::{self, Source};
use crate::sync::lock;

/// The first wait before a camera that failed is tried again; each next one is twice as long.
const FIRST_DELAY: Duration = Duration::from_millis(500);
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// A camera that ran that long is tried at once when it fails.
const HEALTHY: Duration = Duration::from_secs(60);
/// How often the thread looks up from its messages.
const TURN: Duration = Duration::from_millis(200);
/// How often a clip of what moves is told to go on.
const MOTION_AGAIN: Duration = Duration::from_millis(500);
/// How long the end of its files may take.
const END: Duration = Duration::from_secs(20);

/// Why a run of a camera ended.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error("its pipeline cannot be built: {0}")]
    Build(#[from] gst::glib::Error),
    #[error("{0} is missing in its pipeline")]
    Missing(&'static str),
    #[error("it does not start")]
    Start,
    #[error("{source_name}: {text}")]
    Element { source_name: String, text: String },
    #[error("its stream ended")]
    Ended,
    #[error("no frame came for {0} s")]
    Stalled(u64),
}

/// Runs the camera until it is told to stop.
pub(crate) fn run(shared: &Arc<Shared>) {
    let name = &shared.config.name;
    let mut delay = FIRST_DELAY;
    while !shared.stopping() {
        shared.turn();
        let began = Instant::now();
        let Err(error) = run_once(shared) else {
            break;
        };
        tracing::warn!(camera = name.as_str(), "{error}");
        shared.set_phase(Phase::Failed, Some(error.to_string()));
        if began.elapsed() > HEALTHY {
            delay = FIRST_DELAY;
        }
        if pause(shared, delay) {
            break;
        }
        delay = (delay * 2).min(LONGEST_DELAY);
        lock(&shared.state).restarts += 1;
    }
    if let Some(feed) = &shared.feed {
        feed.end();
    }
    shared.write_facts();
    for clip in &lock(&shared.state).unwritten {
        tracing::error!(
            camera = name.as_str(),
            "what is known of {} cannot be written",
            clip.name
        );
    }
    shared.set_phase(Phase::Stopped, None);
    tracing::info!(camera = name.as_str(), "stopped");
}

/// Waits before the next try; true if the camera is to end.
fn pause(shared: &Shared, delay: Duration) -> bool {
    let until = Instant::now() + delay;
    loop {
        shared.turn();
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        if shared.wait(left.min(TURN)) {
            return true;
        }
    }
}

/// One run, from the pipeline's beginning to its end; `Ok` if it was told to stop.
fn run_once(shared: &Arc<Shared>) -> Result<(), RunError> {
    let pipeline = source::build(&shared.config)?;
    let bus = pipeline.bus().ok_or(RunError::Missing("the bus"))?;
    let ring = set_up(shared, &pipeline)?;
    let mut run = Run {
        shared,
        pipeline,
        bus,
        reconnects: Source::parse(&shared.config.source).reconnects(),
        started: Instant::now(),
        counted: (Instant::now(), shared.frames.load(Ordering::Relaxed)),
    };
    let result = run.watch(&ring);
    {
        let mut state = lock(&shared.state);
        state.ring = None;
        state.motion = None;
    }
    run.end(result.is_ok());
    if let Some(feed) = &shared.feed {
        feed.pause();
    }
    result
}

/// Sets what depends on the configuration and the folder, and listens to pictures.
fn set_up(shared: &Arc<Shared>, pipeline: &gst::Pipeline) -> Result<gst::Element, RunError> {
    let config = &shared.config;
    let named = |name: &'static str| pipeline.by_name(name).ok_or(RunError::Missing(name));
    let ring = named("ring")?;
    let nanoseconds = |seconds: u64| seconds * gst::ClockTime::SECOND.nseconds();
    let file = |pattern: &str| {
        let name = format!("{pattern}.{}", config.container().extension());
        shared.path(&name).to_string_lossy().into_owned()
    };
    ring.set_property("max-time", nanoseconds(config.before));
    ring.set_property("max-bytes", config.memory << 20);
    // Each trigger names its file by this pattern, by which the element finds those that may go.
    ring.set_property("location", file(clip::PATTERN));
    limit(&ring, &config.limits);
    count_frames(shared, &ring)?;
    if let Some(feed) = &shared.feed {
        source::repeat_parameter_sets(pipeline);
        feed.follow(&ring);
    }
    if let Some(continuous) = &config.continuous {
        let sink = named("continuous")?;
        sink.set_property("location", file(&continuous.name));
        sink.set_property("utc-names", !continuous.local_time);
        limit(&sink, &continuous.limits);
        sink.set_property("split-time", nanoseconds(continuous.part));
        sink.set_property("overwrite", false);
    }
    source::show_what_is_encoded(pipeline);
    let live = named("live")?.downcast::<gst_app::AppSink>();
    let live = live.map_err(|_| RunError::Missing("the live picture's sink"))?;
    let watched = shared.clone();
    let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let map = sample
            .buffer()
            .and_then(|buffer| buffer.map_readable().ok());
        let jpeg = Bytes::copy_from_slice(&map.ok_or(gst::FlowError::Error)?);
        watched.picture.send_modify(|picture| {
            *picture = Picture {
                number: picture.number + 1,
                jpeg,
            };
        });
        Ok(gst::FlowSuccess::Ok)
    });
    live.set_callbacks(callbacks.build());
    if let Some(motion) = config.motion {
        let sink = named("motion")?.downcast::<gst_app::AppSink>();
        let sink = sink.map_err(|_| RunError::Missing("the sink of small pictures"))?;
        look_for_motion(shared, motion, &sink);
    }
    Ok(ring)
}

/// Has what moves be an event.
fn look_for_motion(shared: &Arc<Shared>, settings: Motion, sink: &gst_app::AppSink) {
    let shared = Arc::downgrade(shared);
    let mut watch = Watch::new(settings);
    let mut told: Option<Instant> = None;
    let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let map = sample
            .buffer()
            .and_then(|buffer| buffer.map_readable().ok());
        let moves = watch.look(&map.ok_or(gst::FlowError::Error)?);
        let due = told.is_none_or(|told| told.elapsed() >= MOTION_AGAIN);
        if moves
            && due
            && let Some(shared) = shared.upgrade()
        {
            told = Some(Instant::now());
            shared.moved();
        }
        Ok(gst::FlowSuccess::Ok)
    });
    sink.set_callbacks(callbacks.build());
}

/// Says what a sink's files may take.
fn limit(sink: &gst::Element, limits: &Limits) {
    let mebibytes = |count: u32| u64::from(count) << 20;
    sink.set_property("max-files", limits.files);
    sink.set_property("max-total-bytes", mebibytes(limits.total));
    sink.set_property("min-free-bytes", mebibytes(limits.free));
}

/// Counts what arrives at the ring.
fn count_frames(shared: &Arc<Shared>, ring: &gst::Element) -> Result<(), RunError> {
    let pad = ring.static_pad("video").ok_or(RunError::Missing("video"))?;
    shared.newest.store(0, Ordering::Relaxed);
    let counted = shared.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        counted.frames.fetch_add(1, Ordering::Relaxed);
        let now = counted.since_it_began().max(1);
        counted.newest.store(now, Ordering::Relaxed);
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

/// A pipeline that runs.
struct Run<'a> {
    shared: &'a Shared,
    pipeline: gst::Pipeline,
    bus: gst::Bus,
    /// The source's element looks after a camera that is gone.
    reconnects: bool,
    started: Instant,
    /// When frames were last counted, and how many there were.
    counted: (Instant, u64),
}

impl Run<'_> {
    fn config(&self) -> &Camera {
        &self.shared.config
    }

    /// Follows the pipeline until it ends or is to end.
    fn watch(&mut self, ring: &gst::Element) -> Result<(), RunError> {
        let error = lock(&self.shared.state).error.clone();
        self.shared.set_phase(Phase::Starting, error);
        if self.pipeline.set_state(gst::State::Playing).is_err() {
            return Err(self.first_error().unwrap_or(RunError::Start));
        }
        lock(&self.shared.state).ring = Some(ring.clone());
        self.shared.changed.notify_waiters();
        while !self.shared.stopping() {
            self.shared.turn();
            self.look()?;
            let limit = gst::ClockTime::try_from(TURN).ok();
            if let Some(message) = self.bus.timed_pop(limit) {
                self.heed(&message)?;
            }
        }
        Ok(())
    }

    /// Whether frames come.
    fn look(&mut self) -> Result<(), RunError> {
        let age = self.shared.age();
        let silent = age.unwrap_or_else(|| self.started.elapsed());
        if !self.reconnects && silent > self.config().stall() {
            return Err(RunError::Stalled(self.config().stall));
        }
        if age.is_some_and(|age| age < self.config().stall()) {
            self.shared.set_phase(Phase::Running, None);
        } else if age.is_some() {
            let error = RunError::Stalled(self.config().stall).to_string();
            self.shared.set_phase(Phase::Failed, Some(error));
        }
        let (since, frames) = self.counted;
        if since.elapsed() >= Duration::from_secs(1) {
            let now = self.shared.frames.load(Ordering::Relaxed);
            let fps = now.saturating_sub(frames) as f64 / since.elapsed().as_secs_f64();
            lock(&self.shared.state).fps = fps;
            self.counted = (Instant::now(), now);
        }
        Ok(())
    }

    /// Why the pipeline did not start.
    fn first_error(&self) -> Option<RunError> {
        let message = self.bus.pop_filtered(&[gst::MessageType::Error])?;
        self.heed(&message).err()
    }

    fn heed(&self, message: &gst::Message) -> Result<(), RunError> {
        use gst::MessageView;
        let camera = self.config().name.as_str();
        match message.view() {
            MessageView::Error(error) => {
                let source = message.src().map(|source| source.name());
                // What there is to know is often in the last line of the other text only.
                let more = error.debug().and_then(|debug| {
                    let (_, last) = debug.rsplit_once('\n')?;
                    Some(format!(" ({last})"))
                });
                return Err(RunError::Element {
                    source_name: source.unwrap_or_default().into(),
                    text: format!("{}{}", error.error(), more.unwrap_or_default()),
                });
            }
            MessageView::Eos(_) => return Err(RunError::Ended),
            MessageView::Warning(warning) => {
                tracing::warn!(camera, "{}", warning.error());
            }
            MessageView::Latency(_) => {
                // Failing to set the latency anew leaves the old one.
                let _ = self.pipeline.recalculate_latency();
            }
            MessageView::Element(element) => {
                if let Some(structure) = element.structure() {
                    self.heed_element(structure);
                }
            }
            _ => (),
        }
        Ok(())
    }

    fn heed_element(&self, structure: &gst::StructureRef) {
        let location = structure.get::<Option<String>>("location").ok().flatten();
        let location = location.unwrap_or_default();
        let name = Path::new(&location).file_name().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        let camera = self.config().name.clone();
        match structure.name().as_str() {
            "circularsink-recording-started" => {
                self.pin_if_told(&name);
                self.shared.tell(Event::Started { camera, name });
            }
            "circularsink-recording-finished" => {
                let event = self.shared.close(&name);
                self.keep(self.clip_of(structure, name, event));
            }
            "circularsink-recording-failed" => {
                let error = structure.get("error").unwrap_or_default();
                self.failed(camera, name, error);
            }
            "circularsink-file-deleted" | "recordsink-file-deleted" => self.deleted(camera, name),
            "recordsink-file" => self.keep(self.part_of(structure, name)),
            _ => (),
        }
    }

    /// Marks a clip that is to stay: there was no file yet when that was said.
    fn pin_if_told(&self, name: &str) {
        let told = lock(&self.shared.state)
            .open
            .get(name)
            .is_some_and(|it| it.pinned);
        if told && let Err(error) = pins::mark(&self.shared.path(name), true) {
            let camera = self.config().name.as_str();
            tracing::error!(camera, clip = name, "it is not pinned: {error}");
        }
    }

    /// A recording of the ring.
    fn clip_of(&self, structure: &gst::StructureRef, name: String, event: Option<String>) -> Clip {
        let time = |field: &str| structure.get::<u64>(field).unwrap_or_default();
        let (start, end) = (time("start-running-time"), time("end-running-time"));
        let utc = structure.get::<u64>("start-utc").ok().map(milliseconds);
        Clip {
            camera: self.config().name.clone(),
            name,
            event,
            start: utc.unwrap_or_else(clip::now),
            length: end.saturating_sub(start) / 1_000_000,
            frames: structure.get("frames").unwrap_or_default(),
            bytes: structure.get("bytes").unwrap_or_default(),
            sha256: None,
        }
    }

    /// A file of what is recorded all the time.
    fn part_of(&self, structure: &gst::StructureRef, name: String) -> Clip {
        let length = structure.get::<gst::ClockTime>("duration");
        let length = length.unwrap_or_default().nseconds();
        let utc = structure.get::<u64>("start-utc").ok().map(milliseconds);
        Clip {
            camera: self.config().name.clone(),
            name,
            event: None,
            start: utc.unwrap_or_else(|| clip::now() - milliseconds(length)),
            length: length / 1_000_000,
            frames: structure.get("frames").unwrap_or_default(),
            bytes: structure.get("bytes").unwrap_or_default(),
            sha256: None,
        }
    }

    /// A clip is whole.
    fn keep(&self, mut clip: Clip) {
        // With all that the muxer put around the pictures.
        if let Ok(file) = std::fs::metadata(self.shared.path(&clip.name)) {
            clip.bytes = file.len();
        }
        let written = clip.write_facts(&self.shared.folder);
        let seconds = clip.length as f64 / 1000.0;
        tracing::info!(camera = clip.camera, clip = clip.name, seconds, "saved");
        let mut state = lock(&self.shared.state);
        state.finished += 1;
        state.recording_error = None;
        if let Err(error) = written {
            let text = format!("facts of {}: {error}; they are written later", clip.name);
            tracing::warn!(camera = clip.camera, "{text}");
            state.recording_error = Some(text);
            state.unwritten.push(clip.clone());
        }
        drop(state);
        self.shared.tell(Event::Finished { clip });
    }

    /// A clip made room for others: what is beside it goes as well.
    fn deleted(&self, camera: String, name: String) {
        tracing::info!(camera, clip = name, "deleted for room");
        for end in [FACTS, PICTURE] {
            let path = self.shared.path(&format!("{name}{end}"));
            if let Err(error) = std::fs::remove_file(&path)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(camera, "{}: {error}", path.display());
            }
        }
        self.shared.tell(Event::Deleted { camera, name });
    }

    /// Nothing came of a clip.
    fn failed(&self, camera: String, name: String, error: String) {
        self.shared.forget(&name);
        // Its picture is there alone; that it is not is as well.
        let _ = std::fs::remove_file(self.shared.path(&format!("{name}{PICTURE}")));
        let mut state = lock(&self.shared.state);
        state.failed += 1;
        state.recording_error = Some(error.clone());
        drop(state);
        self.shared.tell(Event::Failed {
            camera,
            name,
            error,
        });
    }

    /// Ends the pipeline; its files first, if it is still well.
    fn end(&self, well: bool) {
        if well && self.pipeline.send_event(gst::event::Eos::new()) {
            let until = Instant::now() + END;
            while Instant::now() < until {
                self.shared.turn();
                let limit = gst::ClockTime::try_from(TURN).ok();
                let message = self.bus.timed_pop(limit);
                if message.is_some_and(|message| self.heed(&message).is_err()) {
                    break;
                }
            }
        }
        // READY ends what is open; NULL would throw away what is said of it.
        self.shared.turn();
        let ended = self.pipeline.set_state(gst::State::Ready);
        while let Some(message) = self.bus.pop() {
            // Errors have no consequence any more.
            let _ = self.heed(&message);
        }
        if ended.is_err() || self.pipeline.set_state(gst::State::Null).is_err() {
            tracing::warn!(camera = self.config().name, "its pipeline does not end");
        }
        self.shared.turn();
        self.forget_open();
    }

    /// What did not end with its pipeline never will.
    fn forget_open(&self) {
        let open: Vec<_> = lock(&self.shared.state).open.keys().cloned().collect();
        for name in open {
            let camera = self.config().name.clone();
            self.failed(camera, name, "the camera ended before it was whole".into());
        }
    }
}

fn milliseconds(nanoseconds: u64) -> i64 {
    i64::try_from(nanoseconds / 1_000_000).unwrap_or(i64::MAX)
}
