// SPDX-License-Identifier: MIT OR Apache-2.0
//! The element: what GStreamer sees of a board.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::base_src::CreateSuccess;
use gst_base::subclass::prelude::*;

use super::board::Board;
use super::settings::{PROPERTIES, Settings};
use super::trouble::{self, Report, Trouble};
use crate::k210::command::{Attribute, Code};
use crate::k210::connect::{self, ConnectError, Connected, Goal};
use crate::k210::interrupt::Interrupt;
use crate::k210::meter::Meter;
use crate::k210::pace::Pace;
use crate::k210::session::{Counters, Fetched, Frame, Session, wire_time};
use crate::k210::transport::Transport;
use crate::k210::{MAX_JPEG_SIZE, session};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "k210camerasrc",
        gst::DebugColorFlags::empty(),
        Some("Camera of a K210 board"),
    )
});

/// How often to look for script output, and whether the script still runs.
const CHORES: Duration = Duration::from_millis(200);

/// How long to wait between two looks for a board that is gone.
const RETRY: Duration = Duration::from_millis(250);

/// Patience with a board that nobody named, when there are others to try.
const SHORT_PATIENCE: Duration = Duration::from_millis(2200);

/// Script output that is kept to tell why a script ended.
const CONSOLE_TAIL: usize = 2048;

/// What the stream made. Shared by the streaming thread, which writes it, and whoever queries
/// latency, negotiates, or sets a property.
#[derive(Debug, Default)]
struct State {
    /// The pictures' size, once it is known.
    size: Option<(u16, u16)>,
    /// The framerate in the caps; 0/1 if it varies.
    framerate: Option<gst::Fraction>,
    /// Longest time from a frame's timestamp to its push that downstream has been told of.
    latency: Option<gst::ClockTime>,
    /// Sensor settings that the board has not been told of yet. `set_property` adds, the streaming
    /// thread takes.
    attributes: VecDeque<(Attribute, i16)>,
}

/// What only the streaming thread uses, and `start` and `stop` while there is none. It is taken
/// out of its mutex for as long as a frame is being fetched, so that no lock is held meanwhile.
struct Stream {
    boards: Vec<Board>,
    /// A way to the first of `boards` that was opened already.
    opened: Option<Box<dyn Transport>>,
    script: Vec<u8>,
    own_script: bool,
    session: Option<Session>,
    pace: Pace,
    discont: bool,
    /// Since when frames fail to come.
    waiting_since: Instant,
    next_chores: Instant,
    /// Script output without its line end yet, and all the recent output.
    line: Vec<u8>,
    tail: Vec<u8>,
    had_frame: bool,
}

#[derive(Default)]
pub struct K210CameraSrc {
    settings: Mutex<Settings>,
    state: Mutex<State>,
    stream: Mutex<Option<Stream>>,
    interrupt: Interrupt,
    /// Replaced at each start; the session writes, anyone reads.
    counters: Mutex<Arc<Counters>>,
    meter: Mutex<Meter>,
    reconnections: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[glib::object_subclass]
impl ObjectSubclass for K210CameraSrc {
    const NAME: &'static str = "GstK210CameraSrc";
    type Type = super::K210CameraSrc;
    type ParentType = gst_base::PushSrc;
}

impl ObjectImpl for K210CameraSrc {
    fn properties() -> &'static [glib::ParamSpec] {
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let attribute = lock(&self.settings).set(pspec.name(), value);
        if let Some((attribute, value)) = attribute {
            let mut state = lock(&self.state);
            state.attributes.retain(|(other, _)| *other != attribute);
            state.attributes.push_back((attribute, value));
        }
        if pspec.name() == "interval" {
            self.obj().src_pad().mark_reconfigure();
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        // Statistics look at the settings themselves, so the lock must be gone by then.
        let setting = lock(&self.settings).get(pspec.name());
        setting.unwrap_or_else(|| self.stats().to_value())
    }

    fn constructed(&self) {
        self.parent_constructed();
        let obj = self.obj();
        obj.set_live(true);
        obj.set_format(gst::Format::Time);
    }
}

impl GstObjectImpl for K210CameraSrc {}

impl ElementImpl for K210CameraSrc {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "K210 camera source",
                "Source/Video/Hardware",
                "Streams the camera of a Kendryte K210 board with MaixPy firmware as JPEG",
                env!("CARGO_PKG_AUTHORS"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let caps = gst::Caps::builder("image/jpeg")
                .field("parsed", true)
                .field("width", gst::IntRange::new(8, 1600))
                .field("height", gst::IntRange::new(8, 1200))
                .field("framerate", any_framerate())
                .build();
            gst::PadTemplate::new(
                "src",
                gst::PadDirection::Src,
                gst::PadPresence::Always,
                &caps,
            )
            .into_iter()
            .collect()
        });
        &TEMPLATES
    }
}

fn any_framerate() -> gst::FractionRange {
    // 1000 frames a second are more than the line could carry of the smallest pictures.
    gst::FractionRange::new(gst::Fraction::new(0, 1), gst::Fraction::new(1000, 1))
}

impl BaseSrcImpl for K210CameraSrc {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        let setup = settings.sensor_setup();
        if let Some(problem) = setup.window_problem() {
            return Err(gst::error_msg!(
                gst::ResourceError::Settings,
                ["{problem}; see the properties window-width and window-height"]
            ));
        }
        let (script, size) = match &settings.script {
            Some(path) => {
                let source = std::fs::read(path).map_err(|e| trouble::script_error(&e, path))?;
                (source, None)
            }
            None => (setup.script().into_bytes(), Some(setup.picture_size())),
        };
        let boards = Board::candidates(settings.device.as_deref())?;
        self.interrupt.clear();
        // What can be known at once is said at once: an application learns of a missing board, or
        // one that is taken, from the state change.
        let opened = match &boards[..] {
            [board] if board.opens_at_once() => {
                match board.open(settings.baud_rate, &self.interrupt) {
                    Ok(transport) => Some(transport),
                    Err(Trouble::Lost(report) | Trouble::Fatal(report)) => {
                        return Err(report.into());
                    }
                    Err(Trouble::Flushing | Trouble::Eos) => None,
                }
            }
            _ => None,
        };
        *lock(&self.state) = State {
            size,
            latency: size.map(|size| expected_latency(size, &settings)),
            ..State::default()
        };
        *lock(&self.counters) = Arc::default();
        *lock(&self.meter) = Meter::default();
        self.reconnections.store(0, Ordering::Relaxed);
        let now = Instant::now();
        *lock(&self.stream) = Some(Stream {
            boards,
            opened,
            script,
            own_script: settings.script.is_none(),
            session: None,
            pace: Pace::default(),
            discont: true,
            waiting_since: now,
            next_chores: now,
            line: Vec::new(),
            tail: Vec::new(),
            had_frame: false,
        });
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        let stream = lock(&self.stream).take();
        if let Some(mut session) = stream.and_then(|stream| stream.session) {
            // Waits are cut short since `unlock`; these are short by themselves.
            self.interrupt.clear();
            session.leave();
        }
        Ok(())
    }

    fn unlock(&self) -> Result<(), gst::ErrorMessage> {
        self.interrupt.set();
        Ok(())
    }

    fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
        self.interrupt.clear();
        Ok(())
    }

    fn is_seekable(&self) -> bool {
        false
    }

    fn query(&self, query: &mut gst::QueryRef) -> bool {
        if let gst::QueryViewMut::Latency(latency) = query.view_mut() {
            let Some(min) = lock(&self.state).latency else {
                return false;
            };
            // Nothing is queued here: downstream may take as long as it likes, and gets fewer
            // frames.
            latency.set(true, min, None::<gst::ClockTime>);
            return true;
        }
        BaseSrcImplExt::parent_query(self, query)
    }

    fn caps(&self, filter: Option<&gst::Caps>) -> Option<gst::Caps> {
        let caps = self.possible_caps();
        Some(match filter {
            Some(filter) => filter.intersect_with_mode(&caps, gst::CapsIntersectMode::First),
            None => caps,
        })
    }

    fn negotiate(&self) -> Result<(), gst::LoggableError> {
        // The size of a user's script's pictures shows with the first of them.
        if lock(&self.state).size.is_none() {
            return Ok(());
        }
        self.settle_caps().map_err(|report| {
            self.post_error_message(report.clone().into());
            gst::loggable_error!(CAT, "{}", report.text)
        })
    }
}

impl PushSrcImpl for K210CameraSrc {
    fn create(
        &self,
        _buffer: Option<&mut gst::BufferRef>,
    ) -> Result<CreateSuccess, gst::FlowError> {
        let Some(mut stream) = lock(&self.stream).take() else {
            return Err(gst::FlowError::Flushing);
        };
        let result = self.next_buffer(&mut stream);
        *lock(&self.stream) = Some(stream);
        match result {
            Ok(buffer) => Ok(CreateSuccess::NewBuffer(buffer)),
            Err(Trouble::Flushing) => Err(gst::FlowError::Flushing),
            Err(Trouble::Eos) => Err(gst::FlowError::Eos),
            Err(Trouble::Lost(report) | Trouble::Fatal(report)) => {
                self.post_error_message(report.into());
                Err(gst::FlowError::Error)
            }
        }
    }
}

/// Time that a frame of this size is expected to take across the line.
fn expected_latency((width, height): (u16, u16), settings: &Settings) -> gst::ClockTime {
    // Pictures of ordinary detail at quality 50 have about 0.8 bits a pixel; half as much again.
    let pixels = usize::from(width) * usize::from(height);
    let bytes =
        (pixels * 3 / 20 * settings.quality as usize / 50).clamp(2048, MAX_JPEG_SIZE as usize);
    clock_time(wire_time(bytes, settings.baud_rate) + Duration::from_millis(5))
}

fn clock_time(duration: Duration) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 2))
}

impl K210CameraSrc {
    fn possible_caps(&self) -> gst::Caps {
        let builder = gst::Caps::builder("image/jpeg").field("parsed", true);
        let size = lock(&self.state).size.or_else(|| {
            let settings = lock(&self.settings);
            match settings.script {
                None => Some(settings.sensor_setup().picture_size()),
                Some(_) => None,
            }
        });
        match size {
            Some((width, height)) => builder
                .field("width", i32::from(width))
                .field("height", i32::from(height)),
            None => builder
                .field("width", gst::IntRange::new(8, 1600))
                .field("height", gst::IntRange::new(8, 1200)),
        }
        .field("framerate", any_framerate())
        .build()
    }

    /// Agrees with downstream on caps for the current size.
    fn settle_caps(&self) -> Result<(), Report> {
        let obj = self.obj();
        let ours = self.possible_caps();
        let theirs = obj.src_pad().peer_query_caps(Some(&ours));
        let mut caps = ours.intersect_with_mode(&theirs, gst::CapsIntersectMode::First);
        if caps.is_empty() {
            let wanted = obj.src_pad().peer_query_caps(None);
            let size = lock(&self.state).size.unwrap_or_default();
            return Err(Report {
                code: gst::ResourceError::Settings,
                text: format!(
                    "The camera makes {}x{} JPEG and downstream takes only {wanted}. Set the \
                     property framesize, or window-width and window-height, to a size that \
                     downstream takes",
                    size.0, size.1
                ),
            });
        }
        let nominal = lock(&self.settings).framerate();
        {
            caps.truncate();
            let caps = caps.make_mut();
            if let Some(structure) = caps.structure_mut(0) {
                structure.fixate_field_nearest_fraction("framerate", nominal);
            }
        }
        caps.fixate();
        let framerate = caps
            .structure(0)
            .and_then(|s| s.get::<gst::Fraction>("framerate").ok())
            .unwrap_or(nominal);
        lock(&self.state).framerate = Some(framerate);
        gst::debug!(CAT, imp = self, "negotiated {caps}");
        obj.set_caps(&caps).map_err(|error| Report {
            code: gst::ResourceError::Settings,
            text: format!("Downstream refuses {caps}: {error}"),
        })
    }

    /// Time between frames: what downstream asked for, else the property's.
    fn interval(&self) -> Duration {
        let framerate = lock(&self.state).framerate;
        match framerate {
            Some(rate) if rate.numer() > 0 => {
                let (numer, denom) = (rate.numer() as u64, rate.denom() as u64);
                Duration::from_nanos(1_000_000_000 * denom / numer)
            }
            _ => lock(&self.settings).interval(),
        }
    }

    /// The next frame, whatever it takes.
    fn next_buffer(&self, stream: &mut Stream) -> Result<gst::Buffer, Trouble> {
        loop {
            if stream.session.is_none() {
                let connected = self.connect(stream, false)?;
                self.welcome(stream, connected);
            }
            match self.next_frame(stream) {
                Ok(frame) => return self.make_buffer(stream, frame),
                Err(Trouble::Lost(report)) => self.reconnect(stream, report)?,
                Err(trouble) => return Err(trouble),
            }
        }
    }

    /// Brings a board to stream; the error of the last one if none does.
    fn connect(&self, stream: &mut Stream, again: bool) -> Result<Connected, Trouble> {
        let settings = lock(&self.settings).clone();
        let counters = lock(&self.counters).clone();
        let script = match (again, stream.own_script) {
            // Sensor settings may have changed since.
            (true, true) => settings.sensor_setup().script().into_bytes(),
            _ => stream.script.clone(),
        };
        let mut last = None;
        for index in 0..stream.boards.len() {
            let board = &mut stream.boards[index];
            board.follow();
            let device = board.address.to_string();
            let transport = match stream.opened.take() {
                Some(transport) => transport,
                None => match board.open(settings.baud_rate, &self.interrupt) {
                    Ok(transport) => transport,
                    Err(Trouble::Lost(report)) => {
                        gst::info!(CAT, imp = self, "{}", report.text);
                        last = Some(report);
                        continue;
                    }
                    Err(trouble) => return Err(trouble),
                },
            };
            let goal = Goal {
                baud: settings.baud_rate,
                script: script.clone(),
                greets: stream.own_script,
                patience: match index + 1 == stream.boards.len() {
                    true => connect::PATIENCE,
                    false => SHORT_PATIENCE,
                },
            };
            // The script is about to set all of them.
            if stream.own_script {
                lock(&self.state).attributes.clear();
            }
            match connect::connect(transport, &goal, &self.interrupt, &counters) {
                Ok(connected) => {
                    // The one that answered is the one to stay with.
                    stream.boards.swap(0, index);
                    stream.boards.truncate(1);
                    return Ok(connected);
                }
                Err(ConnectError::Interrupted) => return Err(Trouble::Flushing),
                Err(error) => {
                    gst::info!(CAT, imp = self, "{device}: {error}");
                    last = Some(trouble::connect_error(&error, &device));
                }
            }
        }
        Err(Trouble::Lost(last.unwrap_or_else(trouble::no_board)))
    }

    /// Begins to stream from a board.
    fn welcome(&self, stream: &mut Stream, connected: Connected) {
        let Connected {
            session,
            board,
            console,
        } = connected;
        let (major, minor, patch) = board.firmware;
        let firmware = format!("{major}.{minor}.{patch}");
        let device = stream.boards[0].address.to_string();
        gst::info!(
            CAT,
            imp = self,
            "{} with firmware {firmware} on {device}",
            board.arch
        );
        self.post(
            gst::Structure::builder("k210-board")
                .field("firmware", firmware)
                .field("arch", board.arch)
                .field("device", device)
                .build(),
        );
        stream.session = Some(session);
        stream.discont = true;
        stream.waiting_since = Instant::now();
        stream.next_chores = Instant::now();
        stream.pace.restart();
        stream.line.clear();
        stream.tail.clear();
        self.print(stream, &console);
    }

    /// Waits for a board that went away.
    fn reconnect(&self, stream: &mut Stream, report: Report) -> Result<(), Trouble> {
        stream.session = None;
        // A board that never gave a picture is no board that went away.
        if !lock(&self.settings).reconnect || !stream.had_frame {
            return Err(Trouble::Fatal(report));
        }
        let device = stream.boards[0].address.to_string();
        gst::warning!(CAT, imp = self, "{}", report.text);
        self.post(
            gst::Structure::builder("k210-disconnected")
                .field("reason", &report.text)
                .field("device", device)
                .build(),
        );
        let since = Instant::now();
        let mut attempts = 0u32;
        let connected = loop {
            attempts += 1;
            match self.connect(stream, true) {
                Ok(connected) => break connected,
                Err(Trouble::Lost(_)) => {}
                Err(trouble) => return Err(trouble),
            }
            let settings = lock(&self.settings).clone();
            let timeout = Duration::from_nanos(settings.reconnect_timeout);
            if !settings.reconnect || (!timeout.is_zero() && since.elapsed() >= timeout) {
                return Err(Trouble::Fatal(report));
            }
            self.interrupt.wait(RETRY).map_err(|_| Trouble::Flushing)?;
        };
        self.reconnections.fetch_add(1, Ordering::Relaxed);
        self.post(
            gst::Structure::builder("k210-reconnected")
                .field("outage", clock_time(since.elapsed()).nseconds())
                .field("attempts", attempts)
                .field("device", stream.boards[0].address.to_string())
                .build(),
        );
        self.welcome(stream, connected);
        Ok(())
    }

    /// Asks the board until it has a frame.
    fn next_frame(&self, stream: &mut Stream) -> Result<Frame, Trouble> {
        loop {
            self.do_chores(stream)?;
            stream.pace.set_interval(self.interval());
            let now = Instant::now();
            let due = stream.pace.due(now);
            if due > now {
                // The wait for the next frame is no fault of the board's.
                self.interrupt
                    .wait_until(due)
                    .map_err(|_| Trouble::Flushing)?;
                stream.waiting_since = stream.waiting_since.max(due);
            }
            let device = stream.boards[0].address.to_string();
            let Some(session) = stream.session.as_mut() else {
                return Err(Trouble::Flushing);
            };
            match session
                .fetch()
                .map_err(|error| Trouble::from_session(error, &device))?
            {
                Fetched::Frame(frame) => {
                    stream.pace.advance(frame.requested, frame.arrived);
                    stream.waiting_since = frame.arrived;
                    stream.had_frame = true;
                    self.measure();
                    return Ok(frame);
                }
                Fetched::Lost(error) => {
                    gst::warning!(CAT, imp = self, "lost a frame: {error}");
                    stream.discont = true;
                    self.post_qos();
                }
                Fetched::Disturbed(error) => {
                    gst::info!(CAT, imp = self, "the line was disturbed: {error}");
                }
                Fetched::NotReady => self.idle(stream, &device)?,
            }
        }
    }

    /// Waits a little for a frame that is not ready, but not for ever.
    fn idle(&self, stream: &mut Stream, device: &str) -> Result<(), Trouble> {
        let waiting = stream.waiting_since.elapsed();
        let timeout = Duration::from_nanos(lock(&self.settings).frame_timeout);
        let settling = match stream.had_frame || !stream.own_script {
            true => Duration::ZERO,
            // The slowest sensors deliver 10 frames a second.
            false => Duration::from_millis(100) * lock(&self.settings).skip_frames,
        };
        if !timeout.is_zero() && waiting > timeout + settling {
            let seconds = waiting.as_secs_f64();
            return Err(Trouble::Lost(trouble::no_frames(device, seconds)));
        }
        // A board that has just sent a frame has the next one when its sensor and its encoder are
        // done, and what the wire waits for then is our question. Asking costs 18 bytes.
        let pause = Duration::from_micros(match waiting.as_millis() {
            0..10 => 250,
            10..150 => 1000,
            _ => 10_000,
        });
        self.interrupt.wait(pause).map_err(|_| Trouble::Flushing)
    }

    /// What has to be done besides frames: sensor settings, script output, the script's end.
    fn do_chores(&self, stream: &mut Stream) -> Result<(), Trouble> {
        let device = stream.boards[0].address.to_string();
        let Some(session) = stream.session.as_mut() else {
            return Err(Trouble::Flushing);
        };
        let failed = |error| Trouble::from_session(error, &device);
        loop {
            let Some((attribute, value)) = lock(&self.state).attributes.pop_front() else {
                break;
            };
            gst::debug!(CAT, imp = self, "{attribute:?} becomes {value}");
            session.set_attribute(attribute, value).map_err(failed)?;
        }
        let now = Instant::now();
        if now < stream.next_chores {
            return Ok(());
        }
        stream.next_chores = now + CHORES;
        // Asked first, so that the output read after it is all that there will be.
        let running = match session.script_running() {
            Err(error) if error.is_line_noise() => true,
            other => other.map_err(failed)?,
        };
        let mut output = Vec::new();
        loop {
            match session.console() {
                Ok(more) if more.is_empty() => break,
                Ok(more) => output.extend(more),
                // Output that got lost is not asked for again.
                Err(error) if error.is_line_noise() => {
                    session.resync().map_err(failed)?;
                    break;
                }
                Err(error) => return Err(failed(error)),
            }
            if output.len() > 8 * CONSOLE_TAIL {
                break;
            }
        }
        self.print(stream, &output);
        if running {
            return Ok(());
        }
        let tail = String::from_utf8_lossy(&stream.tail).into_owned();
        match (stream.own_script, connect::exception(&tail)) {
            (false, None) => {
                gst::info!(CAT, imp = self, "the script has ended");
                Err(Trouble::Eos)
            }
            (false, Some(text)) => Err(Trouble::Fatal(trouble::script_failed(&text, &device))),
            // A sensor that stalls raises an exception; starting anew may mend it.
            (true, text) => {
                let text = text.unwrap_or_else(|| "it was stopped".into());
                Err(Trouble::Lost(trouble::script_failed(&text, &device)))
            }
        }
    }

    /// Posts script output line by line.
    fn print(&self, stream: &mut Stream, output: &[u8]) {
        stream.tail.extend_from_slice(output);
        let excess = stream.tail.len().saturating_sub(CONSOLE_TAIL);
        stream.tail.drain(..excess);
        for byte in output {
            match byte {
                b'\n' => {
                    let line = String::from_utf8_lossy(&std::mem::take(&mut stream.line))
                        .trim_end_matches('\r')
                        .to_owned();
                    gst::debug!(CAT, imp = self, "the script prints: {line}");
                    self.post(
                        gst::Structure::builder("k210-console")
                            .field("line", line)
                            .build(),
                    );
                }
                // A NUL would end the string inside GStreamer.
                0 => {}
                byte => stream.line.push(*byte),
            }
        }
    }

    fn make_buffer(&self, stream: &mut Stream, frame: Frame) -> Result<gst::Buffer, Trouble> {
        let size = (frame.width, frame.height);
        let resized = {
            let mut state = lock(&self.state);
            let known = state.size.replace(size);
            known != Some(size)
        };
        if resized {
            gst::info!(CAT, imp = self, "pictures are {}x{}", size.0, size.1);
            self.settle_caps().map_err(Trouble::Fatal)?;
        }
        let obj = self.obj();
        let age = clock_time(frame.requested.elapsed());
        let pts = obj
            .current_running_time()
            .map(|now| now.saturating_sub(age));
        self.watch_latency(clock_time(frame.arrived - frame.requested));
        let duration = match lock(&self.state).framerate {
            Some(rate) if rate.numer() > 0 => {
                gst::ClockTime::SECOND.mul_div_floor(rate.denom() as u64, rate.numer() as u64)
            }
            _ => None,
        };
        // Lost frames leave a gap.
        let number = {
            let counters = lock(&self.counters).clone();
            let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            (load(&counters.frames) + load(&counters.dropped)).saturating_sub(1)
        };
        let mut buffer = gst::Buffer::from_mut_slice(frame.data);
        {
            let buffer = buffer.make_mut();
            buffer.set_pts(pts);
            // Every picture stands for itself.
            buffer.set_dts(pts);
            buffer.set_duration(duration);
            buffer.set_offset(number);
            buffer.set_offset_end(number + 1);
            if std::mem::take(&mut stream.discont) {
                buffer.set_flags(gst::BufferFlags::DISCONT);
            }
        }
        Ok(buffer)
    }

    /// Tells downstream when frames take longer than they were said to.
    fn watch_latency(&self, transfer: gst::ClockTime) {
        let mut state = lock(&self.state);
        if state.latency.is_some_and(|latency| transfer <= latency) {
            return;
        }
        // Room for the next one to be larger still.
        let latency = transfer + transfer / 4;
        state.latency = Some(latency);
        drop(state);
        gst::info!(CAT, imp = self, "latency is {latency}");
        let obj = self.obj();
        let _ = obj.post_message(gst::message::Latency::builder().src(&*obj).build());
    }

    fn post(&self, structure: gst::Structure) {
        let obj = self.obj();
        let message = gst::message::Element::builder(structure).src(&*obj).build();
        // Without a bus there is nobody to tell.
        let _ = obj.post_message(message);
    }

    fn post_qos(&self) {
        let counters = lock(&self.counters).clone();
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (frames, dropped) = (load(&counters.frames), load(&counters.dropped));
        let obj = self.obj();
        let now = obj.current_running_time();
        let message = gst::message::Qos::builder(true)
            .running_time(now)
            .stats(
                gst::format::Buffers::from_u64(frames),
                gst::format::Buffers::from_u64(dropped),
            )
            .src(&*obj)
            .build();
        let _ = obj.post_message(message);
    }

    /// Takes the counters for the rates in `stats`.
    fn measure(&self) {
        let counters = lock(&self.counters).clone();
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        lock(&self.meter).update(
            Instant::now(),
            [load(&counters.frames), load(&counters.received)],
        );
    }

    fn stats(&self) -> gst::Structure {
        self.measure();
        let counters = lock(&self.counters).clone();
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let [fps, received] = lock(&self.meter).rates();
        let baud = lock(&self.settings).baud_rate;
        let second = session::wire_time(1, baud).as_secs_f64();
        let mut by_command = gst::Structure::new_empty("bytes-by-command");
        for code in Code::ALL {
            by_command.set(code.name(), load(&counters.command(code).bytes));
        }
        gst::Structure::builder("k210camerasrc-stats")
            .field("frames", load(&counters.frames))
            .field("bytes", load(&counters.frame_bytes))
            .field("frames-dropped", load(&counters.dropped))
            .field("resynchronisations", load(&counters.resyncs))
            .field("reconnections", load(&self.reconnections))
            .field("fps", fps)
            .field("link-utilisation", received * second)
            .field("received", load(&counters.received))
            .field("sent", load(&counters.sent))
            .field("bytes-by-command", by_command)
            .build()
    }
}
