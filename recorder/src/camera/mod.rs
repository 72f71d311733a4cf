// SPDX-License-Identifier: MIT OR Apache-2.0
//! A camera that runs: it is watched by a thread of its own, which starts it again when it fails.

mod motion;
mod run;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use gst::prelude::*;
use serde::Serialize;
use tokio::sync::{Notify, watch};

use crate::clip::{self, Clip, PICTURE};
use crate::config;
use crate::events::{Event, Events, Phase};
use crate::rtsp::Feed;
use crate::sync::lock;

/// Events whose ids are remembered, so that one that comes twice makes one clip.
const REMEMBERED: usize = 1024;

/// How often what the disk did not take is tried again.
const FACTS_AGAIN: Duration = Duration::from_secs(2);

/// The beginning of the ids of events that motion makes.
const MOTION: &str = "motion-";

/// Seconds that follow what moves, at least.
const LEAST_AFTER_MOTION: u64 = 2;

/// Why nothing is recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TriggerError {
    #[error("the camera is not running")]
    NotRunning,
    #[error("an event's id has 1 to 64 of a-z, A-Z, 0-9, - _ and . and does not begin with a dot")]
    Event,
    #[error("too many recordings are open")]
    Refused,
}

/// The latest picture, empty if there is none yet. Its number is no other picture's, of this camera or an
/// earlier one of its name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Picture {
    pub number: u64,
    pub jpeg: Bytes,
}

/// How a camera is doing.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Status {
    pub name: String,
    pub title: String,
    pub state: Phase,
    /// Why it failed last, until frames come again.
    pub error: Option<String>,
    /// Why the last recording failed, until one is whole.
    pub recording_error: Option<String>,
    /// Times that it was started again.
    pub restarts: u64,
    /// Names of the clips that are being written.
    pub recording: Vec<String>,
    /// Clips that are whole, and that failed, since the program started.
    pub finished: u64,
    pub failed: u64,
    /// Seconds that are to be kept, and that are.
    pub keep: u64,
    pub kept: f64,
    /// Bytes of what is kept.
    pub bytes: u64,
    /// Frames that came since the program started.
    pub frames: u64,
    /// Of the last second.
    pub fps: f64,
    /// Seconds since the newest frame.
    pub age: Option<f64>,
    /// Frames that came and are in no recording, or were sent and did not arrive, by the reason; since
    /// the camera was last started.
    pub lost: Vec<(&'static str, u64)>,
    /// Of a K210 board.
    pub link: Option<Link>,
    /// Of those who watch by RTSP, where that is wanted.
    pub rtsp: Option<Watched>,
}

/// Who watches by RTSP.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Watched {
    pub clients: usize,
    /// Frames that clients who were too slow did not get, since the program started.
    pub dropped: u64,
}

/// The link to a board, since the camera was last started.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Link {
    /// Share of the port's speed that is used.
    pub utilisation: f64,
    /// Times that the board came back.
    pub reconnections: u64,
    /// Bytes.
    pub received: u64,
}

/// A camera; dropping it does not end it.
#[derive(Debug)]
pub(crate) struct Camera {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the camera's thread, its streaming threads and those who ask have in common.
#[derive(Debug)]
struct Shared {
    config: config::Camera,
    /// Where its clips are.
    folder: PathBuf,
    events: Events,
    feed: Option<Arc<Feed>>,
    /// Written by the thread of the live picture.
    picture: watch::Sender<Picture>,
    /// Written by the camera's thread and by triggers.
    state: Mutex<State>,
    /// Told by the camera's thread when its pipeline was made, or its state is another one.
    changed: Notify,
    /// The camera is to end; with `woken`.
    stop: Mutex<bool>,
    woken: Condvar,
    /// Written by the streaming thread.
    frames: AtomicU64,
    /// When the newest frame came, microseconds after `began`; 0 is never in this run.
    newest: AtomicU64,
    /// When the camera's thread last went round, microseconds after `began`.
    turned: AtomicU64,
    began: Instant,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    error: Option<String>,
    recording_error: Option<String>,
    restarts: u64,
    fps: f64,
    finished: u64,
    failed: u64,
    ring: Option<gst::Element>,
    /// Clips that are not whole yet, by their names.
    open: HashMap<String, Open>,
    /// The clip of what moves, and when it was last told to go on; none once it was told to end.
    motion: Option<(String, Instant)>,
    /// Clips whose facts the disk has not taken yet, and when it was last tried.
    unwritten: Vec<Clip>,
    tried: Option<Instant>,
    /// Events and their clips, the oldest first.
    recent: VecDeque<(String, String)>,
}

/// A clip that is being written.
#[derive(Debug)]
struct Open {
    event: String,
    /// It is to stay; marked when it has a file.
    pinned: bool,
}

impl Camera {
    /// Makes the camera's folder and starts it. Those who watch by RTSP get what `feed` takes.
    pub(crate) fn start(
        config: config::Camera,
        directory: &Path,
        events: Events,
        feed: Option<Arc<Feed>>,
    ) -> io::Result<Self> {
        let folder = directory.join(&config.name);
        std::fs::create_dir_all(&folder)?;
        let name = config.name.clone();
        let first = Picture {
            number: clip::now().unsigned_abs(),
            jpeg: Bytes::new(),
        };
        let shared = Arc::new(Shared {
            config,
            folder,
            events,
            feed,
            picture: watch::Sender::new(first),
            state: Mutex::default(),
            changed: Notify::new(),
            stop: Mutex::new(false),
            woken: Condvar::new(),
            frames: AtomicU64::new(0),
            newest: AtomicU64::new(0),
            turned: AtomicU64::new(0),
            began: Instant::now(),
        });
        let for_thread = shared.clone();
        let thread = std::thread::Builder::new()
            .name(format!("camera {name}"))
            .spawn(move || run::run(&for_thread))?;
        Ok(Self {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.shared.config.name
    }

    pub(crate) fn config(&self) -> &config::Camera {
        &self.shared.config
    }

    /// What those who watch by RTSP get, if that is wanted.
    pub(crate) fn feed(&self) -> Option<&Arc<Feed>> {
        self.shared.feed.as_ref()
    }

    /// The latest picture and those to come.
    pub(crate) fn pictures(&self) -> watch::Receiver<Picture> {
        self.shared.picture.subscribe()
    }

    /// How long its thread has not gone round.
    pub(crate) fn silent(&self) -> Duration {
        let turned = Duration::from_micros(self.shared.turned.load(Ordering::Relaxed));
        self.shared.began.elapsed().saturating_sub(turned)
    }

    /// Saves what is kept and what comes in the next `after` seconds; returns the clip's name. An
    /// event that has a clip is not recorded again. A clip that is `pinned` stays from its beginning on.
    /// Reads and writes files.
    pub(crate) fn trigger(
        &self,
        event: &str,
        after: Option<u64>,
        pinned: bool,
    ) -> Result<String, TriggerError> {
        self.shared.trigger(event, after, pinned)
    }

    /// Has a clip that is being written stay, or not; false if none of this name is.
    pub(crate) fn pin_open(&self, name: &str, pinned: bool) -> bool {
        let mut state = lock(&self.shared.state);
        let open = state.open.get_mut(name);
        open.map(|open| open.pinned = pinned).is_some()
    }

    /// The clip of an event of this run.
    pub(crate) fn clip_of_event(&self, event: &str) -> Option<String> {
        let state = lock(&self.shared.state);
        let found = state.recent.iter().find(|(known, _)| known == event);
        found.map(|(_, name)| name.clone())
    }

    /// Ends what is being recorded with what has arrived; but for what is recorded all the time.
    pub(crate) fn finish(&self) -> Result<(), TriggerError> {
        let ring = {
            let mut state = lock(&self.shared.state);
            state.motion = None;
            state.ring.clone()
        };
        let ring = ring.ok_or(TriggerError::NotRunning)?;
        ring.emit_by_name::<()>("finish", &[]);
        Ok(())
    }

    /// Waits until there is something that could record, or the camera has failed.
    pub(crate) async fn made(&self) {
        loop {
            let mut changed = std::pin::pin!(self.shared.changed.notified());
            // Before the look, so that nothing is missed between it and the wait.
            changed.as_mut().enable();
            if !self.is_being_made() {
                return;
            }
            changed.await;
        }
    }

    /// Whether it has just begun, and there is nothing yet that could record.
    fn is_being_made(&self) -> bool {
        let state = lock(&self.shared.state);
        state.phase == Phase::Starting && state.ring.is_none()
    }

    /// How it is doing.
    pub(crate) fn status(&self) -> Status {
        let shared = &self.shared;
        let (mut status, ring) = {
            let state = lock(&shared.state);
            let mut recording: Vec<_> = state.open.keys().cloned().collect();
            recording.sort();
            let status = Status {
                name: shared.config.name.clone(),
                title: shared.config.title().to_owned(),
                state: state.phase,
                error: state.error.clone(),
                recording_error: state.recording_error.clone(),
                restarts: state.restarts,
                recording,
                finished: state.finished,
                failed: state.failed,
                keep: shared.config.before,
                fps: state.fps,
                ..Status::default()
            };
            (status, state.ring.clone())
        };
        if let Some(ring) = ring {
            status.kept = ring.property::<u64>("level-time") as f64 / 1e9;
            status.bytes = ring.property("level-bytes");
            look_at_elements(&ring, &mut status);
        }
        status.frames = shared.frames.load(Ordering::Relaxed);
        status.rtsp = shared.feed.as_ref().map(|feed| Watched {
            clients: feed.viewers(),
            dropped: feed.dropped(),
        });
        status.age = shared.age().map(|age| age.as_secs_f64());
        status
    }

    /// Asks it to end; [`Camera::join`] waits for that.
    pub(crate) fn stop(&self) {
        *lock(&self.shared.stop) = true;
        self.shared.woken.notify_all();
    }

    /// Waits until its files are whole and it has ended.
    pub(crate) fn join(&self) {
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!(camera = self.name(), "its thread panicked");
        }
    }
}

/// Adds what the elements around the ring have counted.
fn look_at_elements(ring: &gst::Element, status: &mut Status) {
    let pipeline = ring.parent().and_downcast::<gst::Bin>();
    let named = |name: &str, factory: &str| {
        let element = pipeline.as_ref()?.by_name(name)?;
        let is = element.factory().is_some_and(|it| it.name() == factory);
        is.then(|| element.property::<gst::Structure>("stats"))
    };
    let count = |stats: &gst::Structure, field: &str| stats.get::<u64>(field).unwrap_or_default();
    let stats = ring.property::<gst::Structure>("stats");
    let skipped = count(&stats, "buffers-skipped");
    status.lost.push(("before-key-unit", skipped));
    if let Some(stats) = named("continuous", "recordsink") {
        status.lost.push(("continuous", count(&stats, "dropped")));
    }
    if let Some(stats) = named("source", "k210camerasrc") {
        status.lost.push(("link", count(&stats, "frames-dropped")));
        status.link = Some(Link {
            utilisation: stats.get("link-utilisation").unwrap_or_default(),
            reconnections: count(&stats, "reconnections"),
            received: count(&stats, "received"),
        });
    }
}

impl Shared {
    fn trigger(
        &self,
        event: &str,
        after: Option<u64>,
        pinned: bool,
    ) -> Result<String, TriggerError> {
        if !clip::is_event(event) {
            return Err(TriggerError::Event);
        }
        let (name, ring) = {
            let mut state = lock(&self.state);
            if let Some((_, name)) = state.recent.iter().find(|(known, _)| known == event) {
                return Ok(name.clone());
            }
            let ring = state.ring.clone().ok_or(TriggerError::NotRunning)?;
            let name = self.new_name(&state)?;
            let open = Open {
                event: event.to_owned(),
                pinned,
            };
            state.open.insert(name.clone(), open);
            state.recent.push_back((event.to_owned(), name.clone()));
            if state.recent.len() > REMEMBERED {
                state.recent.pop_front();
            }
            (name, ring)
        };
        if !self.order(&ring, &name, after, pinned) {
            self.forget(&name);
            return Err(TriggerError::Refused);
        }
        self.keep_picture(&name);
        Ok(name)
    }

    /// Has the ring begin a clip, or go on with it, for so many seconds.
    fn order(&self, ring: &gst::Element, name: &str, after: Option<u64>, pinned: bool) -> bool {
        // 0 would be a recording that does not end by itself.
        let after = after.unwrap_or(self.config.after).min(3600);
        let post_time = (after * gst::ClockTime::SECOND.nseconds()).max(1);
        let order = gst::Structure::builder("circularsink-trigger")
            .field("location", self.path(name).to_string_lossy().as_ref())
            .field("post-time", post_time)
            .field("pinned", pinned)
            .build();
        ring.send_event(gst::event::CustomDownstreamOob::new(order))
    }

    /// Something moves: a clip begins, or the one that has begun so goes on.
    fn moved(&self) {
        let after = self.config.after.max(LEAST_AFTER_MOTION);
        // It ends that long after it was last told to go on, or later. A name that is told once more when
        // its clip has ended would be that of another clip, so it is told in the first half only.
        let goes_on = Duration::from_secs(after) / 2;
        let open = {
            let mut state = lock(&self.state);
            let ring = state.ring.clone();
            let last = state.motion.as_mut();
            let last = last.filter(|(_, told)| told.elapsed() < goes_on);
            last.map(|(name, told)| {
                *told = Instant::now();
                name.clone()
            })
            .zip(ring)
        };
        if let Some((name, ring)) = open {
            self.order(&ring, &name, Some(after), false);
            return;
        }
        let told = Instant::now();
        let event = format!("{MOTION}{}", clip::now());
        match self.trigger(&event, Some(after), false) {
            Ok(name) => lock(&self.state).motion = Some((name, told)),
            Err(error) => tracing::warn!(camera = self.config.name, "motion: {error}"),
        }
    }

    /// The clip's picture is what the camera sees now.
    fn keep_picture(&self, name: &str) {
        let jpeg = self.picture.borrow().jpeg.clone();
        if jpeg.is_empty() {
            return;
        }
        let path = self.path(&format!("{name}{PICTURE}"));
        if let Err(error) = std::fs::write(&path, jpeg) {
            tracing::warn!(camera = self.config.name, "{}: {error}", path.display());
        }
    }

    /// A name that no clip has: of now, or a microsecond later.
    fn new_name(&self, state: &State) -> Result<String, TriggerError> {
        let now = clip::now_micros();
        let names = (now..).map_while(|time| clip::name(time, self.config.container()));
        let mut free =
            names.filter(|name| !state.open.contains_key(name) && !self.path(name).exists());
        free.next().ok_or(TriggerError::NotRunning)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn since_it_began(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Time since the newest frame of this run.
    fn age(&self) -> Option<Duration> {
        let newest = self.newest.load(Ordering::Relaxed);
        let age = Duration::from_micros(self.since_it_began().saturating_sub(newest));
        (newest > 0).then_some(age)
    }

    fn stopping(&self) -> bool {
        *lock(&self.stop)
    }

    /// Waits; true if the camera is to end.
    fn wait(&self, time: Duration) -> bool {
        let stop = lock(&self.stop);
        let waited = self.woken.wait_timeout_while(stop, time, |stop| !*stop);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// The thread goes round.
    fn turn(&self) {
        self.turned.store(self.since_it_began(), Ordering::Relaxed);
        let due = {
            let mut state = lock(&self.state);
            let due = state
                .tried
                .is_none_or(|tried| tried.elapsed() >= FACTS_AGAIN);
            if due {
                state.tried = Some(Instant::now());
            }
            due && !state.unwritten.is_empty()
        };
        if due {
            self.write_facts();
        }
    }

    /// Writes what is known of clips where the disk did not take it before.
    fn write_facts(&self) {
        let mut clips = std::mem::take(&mut lock(&self.state).unwritten);
        if clips.is_empty() {
            return;
        }
        // A clip that went meanwhile needs none.
        clips.retain(|clip| {
            self.path(&clip.name).exists() && clip.write_facts(&self.folder).is_err()
        });
        let mut state = lock(&self.state);
        if clips.is_empty() {
            state.recording_error = None;
        }
        state.unwritten.append(&mut clips);
    }

    fn tell(&self, event: Event) {
        // At the end nobody listens any more.
        let _ = self.events.send(event);
    }

    fn set_phase(&self, phase: Phase, error: Option<String>) {
        let changed = {
            let mut state = lock(&self.state);
            let changed = state.phase != phase || state.error != error;
            state.phase = phase;
            state.error.clone_from(&error);
            changed
        };
        if changed {
            self.changed.notify_waiters();
            self.tell(Event::Camera {
                camera: self.config.name.clone(),
                state: phase,
                error,
            });
        }
    }

    /// A clip is not being written any more; returns its event.
    fn close(&self, name: &str) -> Option<String> {
        let open = lock(&self.state).open.remove(name);
        open.map(|open| open.event)
    }

    /// Nothing came of a clip: its event may be triggered again.
    fn forget(&self, name: &str) {
        let mut state = lock(&self.state);
        state.open.remove(name);
        state.recent.retain(|(_, known)| known != name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only ends a test that would hang.
    const FAILSAFE: Duration = Duration::from_secs(60);

    fn camera(directory: &Path, source: &str) -> Camera {
        gst::init().unwrap();
        gstkendryte::plugin_register_static().unwrap();
        let config = toml::from_str(&format!("name = 'gate'\nsource = '{source}'")).unwrap();
        let (events, _) = tokio::sync::mpsc::unbounded_channel();
        Camera::start(config, directory, events, None).unwrap()
    }

    #[tokio::test]
    async fn who_waits_for_a_camera_hears_when_it_is_made_or_fails() {
        for (source, runs) in [("videotestsrc is-live=true", true), ("nosuchsrc", false)] {
            let directory = tempfile::tempdir().unwrap();
            let camera = camera(directory.path(), source);
            let made = tokio::time::timeout(FAILSAFE, camera.made()).await;
            assert!(made.is_ok(), "{source}: nobody is told");
            assert_eq!(lock(&camera.shared.state).ring.is_some(), runs, "{source}");
            camera.stop();
            camera.join();
        }
    }
}
