// SPDX-License-Identifier: MIT OR Apache-2.0
//! The end of `ffmpegsink`'s bin: a sink that writes what it gets to the program.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex};
use std::time::Duration;

use gst::glib;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;

use super::CAT;
use super::process::{CommandLine, Interrupt, Listener, Outcome, Process, Written};
use crate::failure;
use crate::sync::lock;

/// How long a program may neither read nor end when the pipeline is stopped without EOS.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a program that has closed its input may take to end and say why.
const FAREWELL: Duration = Duration::from_secs(5);
/// How often a wait without end looks around.
const TICK: Duration = Duration::from_millis(50);

#[derive(Debug, Default)]
struct State {
    process: Option<Arc<Mutex<Process>>>,
    /// Something of a stream is in what comes.
    fed: bool,
    /// What came before: the muxer writes the head of a file without anything in it, too.
    early: Vec<gst::Buffer>,
    /// What a program that ended well before its input did is not told any more.
    done: bool,
    /// The pipeline is being stopped.
    leaving: bool,
    /// One of the threads that know of the program's failure posts it.
    reported: bool,
    /// It has.
    posted: bool,
}

#[derive(Default)]
pub struct FfmpegPipe {
    command: Mutex<CommandLine>,
    state: Mutex<State>,
    /// `leaving` or `posted` is true now.
    settled: Condvar,
    interrupt: Mutex<Option<Arc<Interrupt>>>,
    /// The pipeline pauses, or stops.
    interrupted: AtomicBool,
}

#[glib::object_subclass]
impl ObjectSubclass for FfmpegPipe {
    const NAME: &'static str = "GstFfmpegSinkPipe";
    type Type = Pipe;
    type ParentType = gst_base::BaseSink;
}

glib::wrapper! {
    pub struct Pipe(ObjectSubclass<FfmpegPipe>)
        @extends gst_base::BaseSink, gst::Element, gst::Object;
}

impl Pipe {
    pub fn new() -> Self {
        glib::Object::builder().property("name", "pipe").build()
    }

    pub fn set_command(&self, command: CommandLine) {
        *lock(&self.imp().command) = command;
    }

    /// The program is started when something has come to this pad of the muxer, or to another.
    pub fn start_with(&self, pad: &gst::Pad) {
        let pipe = self.downgrade();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            // What is empty, or has no time, is in no file.
            let is_in = |it: &gst::Buffer| it.size() > 0 && it.dts_or_pts().is_some();
            if !info.buffer().is_some_and(is_in) {
                return gst::PadProbeReturn::Ok;
            }
            if let Some(pipe) = pipe.upgrade() {
                lock(&pipe.imp().state).fed = true;
            }
            gst::PadProbeReturn::Remove
        });
    }

    /// Whether something has come.
    pub fn is_fed(&self) -> bool {
        lock(&self.imp().state).fed
    }
}

impl ObjectImpl for FfmpegPipe {
    fn constructed(&self) {
        self.parent_constructed();
        // The file is written as fast as data comes.
        self.obj().set_sync(false);
    }
}

impl GstObjectImpl for FfmpegPipe {}

impl ElementImpl for FfmpegPipe {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Pipe to ffmpeg",
                "Sink",
                "Writes to ffmpeg's standard input",
                "The gst-plugin-kendryte developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            gst::PadTemplate::new(
                "sink",
                gst::PadDirection::Sink,
                gst::PadPresence::Always,
                &gst::Caps::builder_full()
                    .structure(gst::Structure::new_empty("video/x-matroska"))
                    .structure(gst::Structure::new_empty("audio/x-matroska"))
                    .build(),
            )
            .into_iter()
            .collect()
        });
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            gst::StateChange::ReadyToPaused => *lock(&self.state) = State::default(),
            gst::StateChange::PausedToReady => self.leave(),
            _ => (),
        }
        let success = self.parent_change_state(transition)?;
        if transition == gst::StateChange::PausedToReady {
            self.stop_process();
        }
        Ok(success)
    }
}

impl BaseSinkImpl for FfmpegPipe {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let interrupt = Interrupt::new().map_err(|err| {
            gst::error_msg!(gst::ResourceError::Failed, ("No event descriptor: {err}"))
        })?;
        *lock(&self.interrupt) = Some(Arc::new(interrupt));
        Ok(())
    }

    fn render(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let early = {
            let mut state = lock(&self.state);
            if !state.fed {
                state.early.push(buffer.clone());
                return Ok(gst::FlowSuccess::Ok);
            }
            std::mem::take(&mut state.early)
        };
        for buffer in early.iter().chain([buffer]) {
            self.write(buffer)?;
        }
        Ok(gst::FlowSuccess::Ok)
    }

    fn event(&self, event: gst::Event) -> bool {
        if event.type_() == gst::EventType::Eos && !self.complete() {
            // An error has been posted, or the pipeline stops.
            return false;
        }
        self.parent_event(event)
    }

    fn unlock(&self) -> Result<(), gst::ErrorMessage> {
        self.interrupted.store(true, Ordering::Release);
        if let Some(interrupt) = &*lock(&self.interrupt) {
            interrupt.raise();
        }
        Ok(())
    }

    fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
        self.interrupted.store(false, Ordering::Release);
        if let Some(interrupt) = &*lock(&self.interrupt) {
            interrupt.lower();
        }
        Ok(())
    }
}

/// What is said where the program does not start.
pub(crate) fn no_start(command: &CommandLine, err: &std::io::Error) -> gst::ErrorMessage {
    let program = command.program.to_string_lossy();
    match err.kind() {
        std::io::ErrorKind::NotFound => gst::error_msg!(
            gst::ResourceError::NotFound,
            ("The program {program} is not installed: apt install ffmpeg, or name another with the property ffmpeg")
        ),
        std::io::ErrorKind::PermissionDenied => gst::error_msg!(
            gst::ResourceError::Failed,
            ("{program} may not be run: make it executable (chmod +x), or name another with the property ffmpeg")
        ),
        _ => gst::error_msg!(
            gst::ResourceError::Failed,
            ("{program} cannot be started: {err}")
        ),
    }
}

impl FfmpegPipe {
    /// Writes a buffer to the program.
    fn write(&self, buffer: &gst::Buffer) -> Result<(), gst::FlowError> {
        let map = buffer.map_readable().map_err(|_| {
            gst::element_imp_error!(self, gst::ResourceError::Read, ("Cannot map a buffer"));
            failure::POSTED
        })?;
        let Some(process) = self.running_process()? else {
            return Err(gst::FlowError::Eos);
        };
        let Some(interrupt) = lock(&self.interrupt).clone() else {
            return Err(gst::FlowError::Flushing);
        };
        let mut done = 0;
        loop {
            let written = lock(&process).write(&map[done..], &interrupt);
            match written {
                Ok(Written::All) => return Ok(()),
                Ok(Written::Interrupted(n)) => {
                    done += n;
                    self.obj().wait_preroll()?;
                }
                Ok(Written::Closed) => return Err(self.gone(&process)),
                Err(err) => {
                    gst::element_imp_error!(
                        self,
                        gst::ResourceError::Write,
                        ("Cannot write to ffmpeg: {err}")
                    );
                    return Err(failure::POSTED);
                }
            }
        }
    }

    /// The program, started when it is not; `None` when it has ended and wants no more.
    fn running_process(&self) -> Result<Option<Arc<Mutex<Process>>>, gst::FlowError> {
        {
            let state = lock(&self.state);
            if state.done {
                return Ok(None);
            }
            if let Some(process) = &state.process {
                return Ok(Some(process.clone()));
            }
        }
        let command = lock(&self.command).clone();
        gst::info!(CAT, imp = self, "Starting {command:?}");
        let teller = Arc::new(Teller(self.obj().downgrade()));
        match Process::start(&command, teller) {
            Ok(process) => {
                let process = Arc::new(Mutex::new(process));
                lock(&self.state).process = Some(process.clone());
                Ok(Some(process))
            }
            Err(err) => {
                self.obj().post_error_message(no_start(&command, &err));
                Err(failure::POSTED)
            }
        }
    }

    /// In the program's thread, when it has ended.
    fn ended(&self, outcome: &Outcome) {
        gst::info!(CAT, imp = self, "ffmpeg ended: {}", outcome.reason());
        lock(&self.state).done = true;
        // At once, and not when the next frame comes: a still camera may take long.
        self.report(outcome);
    }

    /// The program does not read any more. Whether that is an error is its exit code's to say.
    fn gone(&self, process: &Mutex<Process>) -> gst::FlowError {
        let watch = lock(process).watch();
        match watch.wait(FAREWELL) {
            Some(outcome) if outcome.succeeded() => gst::FlowError::Eos,
            Some(outcome) => {
                // Before upstream has an error of its own to tell of.
                self.report(&outcome);
                failure::POSTED
            }
            None => {
                gst::element_imp_error!(
                    self,
                    gst::ResourceError::Write,
                    ("ffmpeg has closed its input and goes on running")
                );
                failure::POSTED
            }
        }
    }

    /// The end of the stream: waits for the program to complete its file. False when that failed,
    /// or when the pipeline stops meanwhile.
    fn complete(&self) -> bool {
        let process = {
            let mut state = lock(&self.state);
            // What comes behind the end has no head.
            state.done |= !state.fed;
            state.process.clone()
        };
        let Some(process) = process else {
            return true;
        };
        let (watch, mut stall) = {
            let mut process = lock(&process);
            process.close();
            (process.watch(), process.stall())
        };
        gst::debug!(CAT, imp = self, "Waiting for ffmpeg to complete its file");
        let outcome = loop {
            if let Some(outcome) = watch.wait(TICK) {
                break outcome;
            }
            lock(&process).look(&mut stall);
            // Who stops or pauses the pipeline waits for the lock that this thread holds.
            let pauses = self.interrupted.load(Ordering::Acquire);
            if lock(&self.state).leaving || (pauses && self.obj().wait_preroll().is_err()) {
                return false;
            }
        };
        self.report(&outcome);
        outcome.succeeded()
    }

    fn stop_process(&self) {
        let Some(process) = lock(&self.state).process.take() else {
            return;
        };
        // The streaming thread, which shares it, has stopped.
        let Some(process) = Arc::into_inner(process) else {
            return;
        };
        let process = process
            .into_inner()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let outcome = process.stop(PATIENCE);
        gst::debug!(CAT, imp = self, "Stopped: {}", outcome.reason());
    }

    fn leave(&self) {
        lock(&self.state).leaving = true;
        self.settled.notify_all();
    }

    /// Posts a failure, once, unless it is the pipeline that stops. When this returns it is on the
    /// bus, whichever thread has put it there.
    fn report(&self, outcome: &Outcome) {
        {
            let mut state = lock(&self.state);
            if outcome.succeeded() || state.leaving {
                return;
            }
            if state.reported {
                let unsettled = |state: &mut State| !state.posted && !state.leaving;
                drop(self.settled.wait_while(state, unsettled));
                return;
            }
            state.reported = true;
        }
        gst::element_imp_error!(
            self,
            gst::ResourceError::Write,
            (
                "ffmpeg failed with {}: {}",
                outcome.reason(),
                outcome.sentence()
            ),
            ["{}", outcome.said.last_lines()]
        );
        lock(&self.state).posted = true;
        self.settled.notify_all();
    }
}

/// Tells the element what happens to its program, as long as there is an element.
#[derive(Debug)]
struct Teller(glib::WeakRef<Pipe>);

impl Listener for Teller {
    fn line(&self, line: &str) {
        log(self.0.upgrade().as_ref(), line);
    }

    fn stopped(&self, pid: u32, signal: i32) {
        if let Some(pipe) = self.0.upgrade() {
            gst::element_warning!(
                pipe,
                gst::ResourceError::Busy,
                ("ffmpeg was stopped by signal {signal}, and the recording waits until it goes \
                     on: kill -CONT {pid}")
            );
        }
    }

    fn stalled(&self, pid: u32, time: Duration) {
        if let Some(pipe) = self.0.upgrade() {
            let seconds = time.as_secs();
            gst::element_warning!(
                pipe,
                gst::ResourceError::Busy,
                ("ffmpeg has read nothing for {seconds} s, and the recording waits until it does: \
                     look at what process {pid} waits for")
            );
        }
    }

    fn ended(&self, outcome: &Outcome) {
        if let Some(pipe) = self.0.upgrade() {
            pipe.imp().ended(outcome);
        }
    }
}

/// One line of ffmpeg's as one of ours, at the level that it names.
fn log(obj: Option<&Pipe>, line: &str) {
    let level = if ["[error]", "[fatal]", "[panic]"]
        .iter()
        .any(|word| line.contains(word))
    {
        gst::DebugLevel::Error
    } else if line.contains("[warning]") {
        gst::DebugLevel::Warning
    } else if ["[debug]", "[trace]", "[verbose]"]
        .iter()
        .any(|word| line.contains(word))
    {
        gst::DebugLevel::Debug
    } else {
        gst::DebugLevel::Info
    };
    match obj {
        Some(obj) => gst::log_with_level!(CAT, level, obj = obj, "{line}"),
        None => gst::log_with_level!(CAT, level, "{line}"),
    }
}
