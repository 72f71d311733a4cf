// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the application's calls do: `record()`, `reset()`, `finish()`.

use std::sync::PoisonError;

use super::CAT;
use super::recorder::{Recorder, State};
use crate::sync::lock;
use avi_mjpeg::pcm::Layout;
use avi_mjpeg::pcm::file::FileError;

/// How much `record()` is asked for. Negative: all that is ready.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Amount {
    Ms(i32),
    Bytes(i32),
}

impl Amount {
    /// Whole frames, in bytes; `None` for all that is ready.
    fn bytes(self, layout: &Layout) -> Option<usize> {
        let frame = layout.frame_bytes();
        match self {
            Self::Ms(ms) => {
                let frames = layout.frames_in_ms(u32::try_from(ms).ok()?);
                // More than 32 bits address is never there.
                let frames = usize::try_from(frames).unwrap_or(usize::MAX);
                Some(frames.saturating_mul(frame))
            }
            Self::Bytes(bytes) => {
                let bytes = usize::try_from(bytes).ok()?;
                Some(bytes - bytes % frame)
            }
        }
    }
}

/// What `record()` has until now.
#[derive(Debug, Default)]
struct Taken {
    data: Vec<u8>,
    /// Running time of the first sample, in nanoseconds.
    start_ns: Option<u64>,
    /// Samples are missing before the first.
    gap: bool,
    layout: Option<Layout>,
}

impl Taken {
    fn into_buffer(self) -> gst::Buffer {
        let layout = self.layout;
        let frames = layout.map_or(0, |layout| (self.data.len() / layout.frame_bytes()) as u64);
        let mut buffer = gst::Buffer::from_mut_slice(self.data);
        if let (Some(layout), Some(buffer)) = (layout, buffer.get_mut()) {
            buffer.set_pts(self.start_ns.map(gst::ClockTime::from_nseconds));
            buffer.set_duration(gst::ClockTime::from_nseconds(layout.duration_ns(frames)));
            if self.gap && frames > 0 {
                buffer.set_flags(gst::BufferFlags::DISCONT);
            }
        }
        buffer
    }
}

/// A call of `record()`.
#[derive(Debug, Clone, Copy)]
struct Call {
    amount: Amount,
    block: bool,
    /// `finish()` calls that came before it.
    finishes: u64,
}

impl Recorder {
    /// The samples that were asked for, and what went wrong with the file.
    pub(crate) fn record(&self, amount: Amount) -> (gst::Buffer, Result<(), FileError>) {
        let block = lock(&self.settings).block;
        self.take_over(|state| {
            if block && !state.listening {
                state.listening = true;
            }
        });
        let call = Call {
            amount,
            block,
            finishes: lock(&self.state).finishes,
        };
        let mut taken = Taken::default();
        let result = loop {
            match self.take_some(call, &mut taken) {
                Ok(false) => self.wait_for_more(call),
                Ok(true) => break Ok(()),
                Err(err) => break Err(err),
            }
        };
        lock(&self.state).wanted = 0;
        (taken.into_buffer(), result)
    }

    /// Takes what is ready; true when that is all.
    fn take_some(&self, call: Call, taken: &mut Taken) -> Result<bool, FileError> {
        // The file's lock first and over both steps, so that what one thread takes is in the
        // file before another's finish() closes it.
        let mut output = lock(&self.output);
        let mut state = lock(&self.state);
        if !state.running {
            return Ok(true);
        }
        let on = call.block && !state.eos && state.listening && state.finishes == call.finishes;
        let Some(layout) = state.layout else {
            return Ok(!on);
        };
        if taken.layout.is_some_and(|before| before != layout) {
            gst::warning!(CAT, "The audio format changed during record()");
            return Ok(true);
        }
        taken.layout = Some(layout);
        let already = taken.data.len();
        let wanted = call.amount.bytes(&layout);
        let want = wanted.map_or(usize::MAX, |want| want.saturating_sub(already));
        if already == 0 {
            taken.gap |= state.ring.take_gap();
            let frame = layout.frame_bytes();
            taken.start_ns = state
                .ring
                .start_ns(|n| layout.duration_ns((n / frame) as u64));
        }
        let n = state.ring.take(want, &mut taken.data);
        state.overrunning &= n == 0;
        let done = !on || wanted.is_none() || n >= want;
        state.wanted = if done { 0 } else { want - n };
        let to_file = state.finishes == call.finishes && !self.file_is_streams();
        drop(state);
        if n > 0 {
            self.changed.notify_all();
            if to_file {
                let (_, new) = taken.data.split_at(already);
                self.append(&mut output, layout, new)?;
            }
        }
        Ok(done)
    }

    /// Waits for samples, or for a reason to do without.
    fn wait_for_more(&self, call: Call) {
        let state = lock(&self.state);
        // They may have come since the locks were let go.
        let nothing_new = state.running
            && state.ring.is_empty()
            && !state.eos
            && state.listening
            && state.finishes == call.finishes;
        if nothing_new {
            drop(
                self.changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
            );
        }
    }

    pub(crate) fn reset(&self, start: bool) {
        self.take_over(|state| {
            state.ring.clear();
            state.overrunning = false;
            state.listening = start;
        });
        self.changed.notify_all();
    }

    pub(crate) fn finish(&self) -> Result<(), FileError> {
        {
            let mut output = lock(&self.output);
            output.finished = true;
            let mut state = lock(&self.state);
            state.finishes += 1;
        }
        self.changed.notify_all();
        self.close_file()
    }

    /// The application decides from now on what is recorded.
    fn take_over(&self, change: impl FnOnce(&mut State)) {
        let mut output = lock(&self.output);
        let mut state = lock(&self.state);
        if !state.running {
            gst::warning!(
                CAT,
                "Nothing is recorded before the pipeline is PAUSED or PLAYING"
            );
            return;
        }
        // A file that the stream has filled to its end stays.
        let first = !state.called && !state.eos;
        let had_stream = self.file_takes_stream(&state);
        if !state.eos {
            state.called = true;
        }
        change(&mut state);
        drop(state);
        if first && had_stream && !self.file_is_streams() && output.recording.take().is_some() {
            gst::info!(CAT, "The file starts anew with what record() returns");
        }
    }
}
