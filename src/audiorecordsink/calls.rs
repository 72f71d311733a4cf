// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the application's calls do: `record()`, `reset()`, `finish()`.

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::imp::{AudioRecordSink, CAT, State};
use crate::streams::file_error;
use crate::sync::lock;
use avi_mjpeg::pcm::Layout;

/// How much `record()` is asked for. Negative: all that is ready.
#[derive(Debug, Clone, Copy)]
pub(super) enum Amount {
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
                Some(usize::try_from(frames).ok()?.saturating_mul(frame))
            }
            Self::Bytes(bytes) => {
                let bytes = usize::try_from(bytes).ok()?;
                Some(bytes - bytes % frame)
            }
        }
    }
}

impl AudioRecordSink {
    pub(super) fn record(&self, amount: Amount) -> gst::Buffer {
        let block = lock(&self.settings).block;
        self.take_over(|state| {
            if block && !state.listening {
                state.listening = true;
            }
        });

        let mut data = Vec::new();
        let mut pts = None;
        let mut discont = false;
        let mut layout = None;
        let finishes = lock(&self.state).finishes;
        loop {
            // The file's lock first and over both steps, so that what one thread takes is in the
            // file before another's finish() closes it.
            let mut output = lock(&self.output);
            let mut state = lock(&self.state);
            if !state.running {
                break;
            }
            let mut done = !block || state.eos || !state.listening || state.finishes != finishes;
            if let Some(now) = state.layout {
                if layout.is_some_and(|before| before != now) {
                    gst::warning!(CAT, imp = self, "The audio format changed during record()");
                    break;
                }
                layout = Some(now);
                let already = data.len();
                let want = match amount.bytes(&now) {
                    Some(want) => want - already.min(want),
                    None => {
                        done = true;
                        usize::MAX
                    }
                };
                if already == 0 {
                    discont |= state.ring.take_gap();
                    pts = state
                        .ring
                        .start_ns(|n| now.duration_ns((n / now.frame_bytes()) as u64));
                }
                let n = state.ring.take(want, &mut data);
                state.overrunning &= n == 0;
                done |= n >= want;
                state.wanted = if done { 0 } else { want - n };
                let to_file = state.finishes == finishes && !self.file_is_streams();
                drop(state);
                if n > 0 {
                    self.changed.notify_all();
                    if to_file && let Err(err) = self.append(&mut output, now, &data[already..]) {
                        drop(output);
                        self.obj().post_error_message(file_error(&err));
                        break;
                    }
                }
            } else {
                drop(state);
            }
            drop(output);
            if done {
                break;
            }
            let state = lock(&self.state);
            // Samples or one of the reasons to stop may have come since the locks were let go.
            let nothing_new = state.running
                && state.ring.is_empty()
                && !state.eos
                && state.listening
                && state.finishes == finishes;
            if nothing_new {
                drop(
                    self.changed
                        .wait(state)
                        .unwrap_or_else(|poisoned| poisoned.into_inner()),
                );
            }
        }
        lock(&self.state).wanted = 0;

        let frames = layout.map_or(0, |layout| (data.len() / layout.frame_bytes()) as u64);
        let mut buffer = gst::Buffer::from_mut_slice(data);
        if let (Some(layout), Some(buffer)) = (layout, buffer.get_mut()) {
            buffer.set_pts(pts.map(gst::ClockTime::from_nseconds));
            buffer.set_duration(gst::ClockTime::from_nseconds(layout.duration_ns(frames)));
            if discont && frames > 0 {
                buffer.set_flags(gst::BufferFlags::DISCONT);
            }
        }
        buffer
    }

    pub(super) fn reset(&self, start: bool) {
        self.take_over(|state| {
            state.ring.clear();
            state.overrunning = false;
            state.listening = start;
        });
        self.changed.notify_all();
    }

    pub(super) fn finish(&self) {
        {
            let mut output = lock(&self.output);
            output.finished = true;
            let mut state = lock(&self.state);
            state.finishes += 1;
        }
        self.changed.notify_all();
        self.close_file();
    }

    /// The application decides from now on what is recorded.
    fn take_over(&self, change: impl FnOnce(&mut State)) {
        let mut output = lock(&self.output);
        let mut state = lock(&self.state);
        if !state.running {
            gst::warning!(
                CAT,
                imp = self,
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
            gst::info!(
                CAT,
                imp = self,
                "The file starts anew with what record() returns"
            );
        }
    }
}
