// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is heard: into the file, and into the store that `record()` reads.

use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};

use super::CAT;
use super::settings::{FileContent, Settings};
use crate::streams::files::{CreateError, Hold};
use crate::sync::lock;
use avi_mjpeg::pcm::file::{FileError, Recording};
use avi_mjpeg::pcm::ring::Ring;
use avi_mjpeg::pcm::{Layout, gain};
use avi_mjpeg::recorder::Whole;

/// Written by the streaming thread and by the threads that call the action signals.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Between READY to PAUSED and PAUSED to READY.
    pub running: bool,
    /// The streaming thread must not wait (flush, or out of PLAYING).
    pub unlocked: bool,
    pub eos: bool,
    pub layout: Option<Layout>,
    /// Whether upstream is live; known from the first buffer on.
    pub live: Option<bool>,
    /// `record()` or `reset()` has been called.
    pub called: bool,
    /// Samples go into the ring.
    pub listening: bool,
    pub ring: Ring,
    /// Bytes that blocked `record()` calls still wait for, on top of the ring's capacity.
    pub wanted: usize,
    /// `finish()` calls: a `record()` that began before one returns early.
    pub finishes: u64,
    pub overruns: u64,
    pub lost_frames: u64,
    /// Samples have been lost since the last `record()`.
    pub overrunning: bool,
}

/// The file, under a mutex of its own: writing may take long. Taken before the state's.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub recording: Option<Recording>,
    /// Nobody else writes its file.
    hold: Option<Hold>,
    /// No more of the stream goes to a file until `location` is set anew.
    pub finished: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub settings: Mutex<Settings>,
    pub output: Mutex<Output>,
    pub state: Mutex<State>,
    /// Written by the streaming thread.
    whole: Mutex<Whole<Vec<u8>>>,
    /// Something in the state changed that a waiting thread may be interested in.
    pub changed: Condvar,
}

/// What became of samples that were put into the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offered {
    /// So many bytes; they are all, or those that there was room for before something changed.
    Bytes(usize),
    /// Nobody listens.
    Unheard,
    /// The streaming thread must wait for PLAYING first.
    Unlocked,
}

/// The store was full: how often by now, and what has been lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overrun {
    pub overruns: u64,
    pub lost_frames: u64,
}

impl Recorder {
    pub(crate) fn file_is_streams(&self) -> bool {
        lock(&self.settings).file_content == FileContent::Stream
    }

    /// Whether what arrives goes straight to the file.
    pub(crate) fn file_takes_stream(&self, state: &State) -> bool {
        match lock(&self.settings).file_content {
            FileContent::Auto => !state.called,
            FileContent::Stream => true,
            FileContent::Calls => false,
        }
    }

    pub(crate) fn open_file(&self, output: &mut Output, layout: Layout) -> Result<(), FileError> {
        let location = lock(&self.settings).location.clone();
        let Some(location) = location else {
            return Ok(());
        };
        if output.recording.is_none() {
            gst::info!(CAT, "Recording {layout:?} to {location:?}");
            let path = Path::new(&location);
            // One that was given up is written no more.
            output.hold = None;
            output.hold = Some(hold(path)?);
            output.recording = Some(Recording::create(path, layout)?);
        }
        Ok(())
    }

    pub(crate) fn append(
        &self,
        output: &mut Output,
        layout: Layout,
        data: &[u8],
    ) -> Result<(), FileError> {
        if output.finished && self.file_takes_stream(&lock(&self.state)) {
            return Ok(());
        }
        self.open_file(output, layout)?;
        match &mut output.recording {
            Some(recording) => recording.write(data),
            None => Ok(()),
        }
    }

    /// Completes the file, if there is one.
    pub(crate) fn close_file(&self) -> Result<(), FileError> {
        let (recording, _hold) = {
            let mut output = lock(&self.output);
            (output.recording.take(), output.hold.take())
        };
        if let Some(recording) = recording {
            let looked = recording.look();
            let bytes = recording.finish()?;
            gst::info!(CAT, "Recorded {bytes} bytes");
            looked?;
        }
        Ok(())
    }

    /// READY to PAUSED.
    pub(crate) fn start(&self) {
        lock(&self.output).finished = false;
        lock(&self.whole).reset();
        *lock(&self.state) = State {
            running: true,
            ..State::default()
        };
    }

    /// PAUSED to READY: a blocked `record()` returns.
    pub(crate) fn stop(&self) {
        lock(&self.state).running = false;
        self.changed.notify_all();
    }

    /// The stream was flushed.
    pub(crate) fn flush(&self) {
        lock(&self.whole).reset();
        let mut state = lock(&self.state);
        state.ring.clear();
        state.eos = false;
    }

    /// The stream's format is known, or another one. The file is opened now rather than with the
    /// first sample: a directory that is not there shows before the pipeline plays. False when a
    /// file of another format is open.
    pub(crate) fn set_layout(&self, layout: Layout) -> Result<bool, FileError> {
        let mut output = lock(&self.output);
        if let Some(recording) = &output.recording
            && recording.layout() != layout
        {
            return Ok(false);
        }
        let mut state = lock(&self.state);
        if state.layout.is_some_and(|old| old != layout) {
            state.ring.clear();
            lock(&self.whole).reset();
        }
        state.layout = Some(layout);
        let stream = self.file_takes_stream(&state);
        drop(state);
        self.changed.notify_all();
        if stream {
            self.open_file(&mut output, layout)?;
        }
        Ok(true)
    }

    /// Whole frames, as loud as they are wanted: what the last buffer left and this one brings.
    pub(crate) fn frames(&self, data: &[u8], layout: &Layout) -> Vec<u8> {
        let volume = {
            let settings = lock(&self.settings);
            if settings.mute { 0 } else { settings.volume }
        };
        // Of a vector all bytes can be had.
        let whole = lock(&self.whole).complete(data.to_vec(), layout.frame_bytes());
        let mut frames = whole.unwrap_or_default();
        if volume != 100 {
            gain::scale(&mut frames, layout, volume);
        }
        frames
    }

    /// Samples of the stream for the file.
    pub(crate) fn write(&self, layout: Layout, data: &[u8]) -> Result<(), FileError> {
        let mut output = lock(&self.output);
        if self.file_takes_stream(&lock(&self.state)) {
            self.append(&mut output, layout, data)?;
        }
        Ok(())
    }

    /// The end of the stream. What `record()` returns may still grow after the last sample has
    /// arrived, and the file with it.
    pub(crate) fn end(&self) -> Result<(), FileError> {
        let stream = {
            let mut state = lock(&self.state);
            state.eos = true;
            self.file_takes_stream(&state)
        };
        self.changed.notify_all();
        if stream {
            self.close_file()?;
            lock(&self.output).finished = true;
        }
        Ok(())
    }

    /// Puts samples, which begin at `start_ns`, where `record()` finds them, and waits for room where
    /// the source can wait too.
    pub(crate) fn offer(
        &self,
        data: &[u8],
        layout: &Layout,
        start_ns: Option<u64>,
        live: bool,
    ) -> (Offered, Option<Overrun>) {
        let frame = layout.frame_bytes();
        let (capacity, block) = {
            let settings = lock(&self.settings);
            let frames = settings.period_size as usize * settings.period_count as usize;
            // More than 32 bits address is as much as there is.
            (frames.saturating_mul(frame), settings.block)
        };
        let mut state = lock(&self.state);
        // A source that is not live has no "now" that a recording could begin at: what it
        // says first is what record() returns first.
        let listening = state.listening || (block && !state.called && !live);
        if !listening {
            return (Offered::Unheard, None);
        }
        if state.running && state.unlocked {
            return (Offered::Unlocked, None);
        }
        let waits = !live && state.called;
        let limit = capacity.saturating_add(state.wanted);
        let room = limit.saturating_sub(state.ring.len());
        let n = if waits {
            room.min(data.len())
        } else {
            data.len()
        };
        if n == 0 {
            drop(
                self.changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
            );
            return (Offered::Bytes(0), None);
        }
        let end_ns = start_ns.map(|start| start + layout.duration_ns((n / frame) as u64));
        let (now, _) = data.split_at(n);
        state.ring.push(now, end_ns);
        let lost = (state.ring.shrink_to(limit, frame) / frame) as u64;
        // Before the first call nobody has asked for these samples.
        let overrun = (lost > 0 && state.called)
            .then(|| {
                state.lost_frames += lost;
                let first = !std::mem::replace(&mut state.overrunning, true);
                state.overruns += u64::from(first);
                first.then_some(Overrun {
                    overruns: state.overruns,
                    lost_frames: state.lost_frames,
                })
            })
            .flatten();
        drop(state);
        self.changed.notify_all();
        (Offered::Bytes(n), overrun)
    }
}

/// Has nobody else write the file that is about to be made.
fn hold(path: &Path) -> Result<Hold, FileError> {
    Hold::for_sink(path).map_err(|error| FileError::Create {
        path: path.to_owned(),
        source: match error {
            CreateError::Create { source, .. } => source,
            _ => std::io::Error::other("another recorder is writing it: choose another location"),
        },
    })
}
