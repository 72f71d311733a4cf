// SPDX-License-Identifier: MIT OR Apache-2.0
//! What of a camera goes to those who watch it by RTSP: the streams that its ring gets, and the last
//! group of pictures, with which whoever joins begins.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use gst::prelude::*;

use super::viewer::Viewer;
use crate::sync::lock;

/// What is kept of a group of pictures, buffers and bytes; of a longer one nothing is kept, and whoever
/// joins waits for the next.
const MOST_BUFFERS: usize = 1000;
const MOST_BYTES: usize = 8 << 20;

/// One of a camera's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    Picture,
    Sound,
}

/// A buffer with its running times in the camera's pipeline, ns.
#[derive(Debug, Clone)]
pub struct Frame {
    pub buffer: gst::Buffer,
    pub pts: u64,
    pub dts: Option<u64>,
    /// The camera's run that it is of.
    pub run: u64,
    /// Which one of its stream it is.
    pub number: u64,
}

impl Frame {
    /// Whether pictures can be decoded from here on.
    pub fn is_key_unit(&self) -> bool {
        !self.buffer.flags().contains(gst::BufferFlags::DELTA_UNIT)
    }
}

/// A stream as those who join find it.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    /// What the buffers are; nothing until the camera has sent any.
    pub caps: Option<gst::Caps>,
    /// Pictures from the last key unit on; of sound the last buffer.
    pub frames: VecDeque<Frame>,
    bytes: usize,
    /// Frames that came before the next one.
    count: u64,
}

/// The streams of a camera, and who watches.
#[derive(Debug, Default)]
pub struct Feed {
    /// Written by the camera's streaming threads and by those who join.
    state: Mutex<State>,
    /// Frames that a viewer who is too slow did not get.
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    run: u64,
    picture: Kept,
    sound: Kept,
    viewers: Vec<Arc<Viewer>>,
}

impl State {
    fn lane(&mut self, lane: Lane) -> &mut Kept {
        match lane {
            Lane::Picture => &mut self.picture,
            Lane::Sound => &mut self.sound,
        }
    }
}

impl Feed {
    /// The camera's pipeline is about to start: follows what goes into its ring.
    pub fn follow(self: &Arc<Self>, ring: &gst::Element) {
        for (pad, lane) in [("video", Lane::Picture), ("audio_0", Lane::Sound)] {
            let Some(pad) = ring.static_pad(pad) else {
                continue;
            };
            let feed = Arc::downgrade(self);
            pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
                if let Some(feed) = feed.upgrade()
                    && let Some(buffer) = info.buffer()
                {
                    feed.take(lane, pad, buffer);
                }
                gst::PadProbeReturn::Ok
            });
        }
    }

    /// A buffer goes into the ring.
    fn take(&self, lane: Lane, pad: &gst::Pad, buffer: &gst::Buffer) {
        let segment = pad.sticky_event::<gst::event::Segment>(0);
        let segment = segment.as_ref().map(|event| event.segment());
        let segment = segment.and_then(|segment| segment.downcast_ref::<gst::ClockTime>());
        let (Some(segment), Some(caps)) = (segment, pad.current_caps()) else {
            return;
        };
        let running = |time: Option<gst::ClockTime>| segment.to_running_time(time?);
        let Some(pts) = running(buffer.pts().or(buffer.dts())) else {
            return;
        };
        let (frame, viewers) = {
            let mut state = lock(&self.state);
            let run = state.run;
            let kept = state.lane(lane);
            let frame = Frame {
                buffer: buffer.clone(),
                pts: pts.nseconds(),
                dts: running(buffer.dts()).map(gst::ClockTime::nseconds),
                run,
                number: kept.count,
            };
            kept.keep(lane, &caps, &frame);
            state.viewers.retain(|viewer| viewer.is_there());
            (frame, state.viewers.clone())
        };
        for viewer in viewers {
            let dropped = viewer.give(lane, &caps, &frame);
            self.dropped.fetch_add(dropped, Ordering::Relaxed);
        }
    }

    /// Somebody watches from now on.
    pub fn join(&self, viewer: Arc<Viewer>) {
        lock(&self.state).viewers.push(viewer);
    }

    /// A stream as it is now; nothing while the camera does not run.
    pub fn kept(&self, lane: Lane) -> Option<Kept> {
        let mut state = lock(&self.state);
        let kept = state.lane(lane);
        (!kept.frames.is_empty()).then(|| kept.clone())
    }

    /// How many watch.
    pub fn viewers(&self) -> usize {
        let state = lock(&self.state);
        let there = state.viewers.iter().filter(|viewer| viewer.is_there());
        there.count()
    }

    /// Frames that viewers who were too slow did not get.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// The camera's pipeline has ended, and another may follow: those who watch go on then.
    pub fn pause(&self) {
        let mut state = lock(&self.state);
        state.run += 1;
        for lane in [Lane::Picture, Lane::Sound] {
            let kept = state.lane(lane);
            kept.frames.clear();
            kept.bytes = 0;
        }
    }

    /// The camera is gone for good.
    pub fn end(&self) {
        self.pause();
        let viewers = std::mem::take(&mut lock(&self.state).viewers);
        viewers.iter().for_each(|viewer| viewer.end());
    }
}

impl Kept {
    fn keep(&mut self, lane: Lane, caps: &gst::Caps, frame: &Frame) {
        self.count += 1;
        let size = frame.buffer.size();
        let begins = match lane {
            Lane::Picture => frame.is_key_unit(),
            Lane::Sound => true,
        };
        if self.caps.as_ref() != Some(caps) || begins {
            self.caps = Some(caps.clone());
            self.frames.clear();
            self.bytes = 0;
        }
        let fits = self.frames.len() < MOST_BUFFERS && self.bytes + size <= MOST_BYTES;
        if begins || (fits && !self.frames.is_empty()) {
            self.frames.push_back(frame.clone());
            self.bytes += size;
        } else {
            self.frames.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(number: u64, size: usize, key: bool) -> Frame {
        let mut buffer = gst::Buffer::with_size(size).unwrap();
        if !key {
            let it = buffer.get_mut().unwrap();
            it.set_flags(gst::BufferFlags::DELTA_UNIT);
        }
        Frame {
            buffer,
            pts: number,
            dts: None,
            run: 0,
            number,
        }
    }

    #[test]
    fn the_last_group_of_pictures_is_kept() {
        gst::init().unwrap();
        let caps = gst::Caps::new_empty_simple("video/x-h264");
        let mut kept = Kept::default();
        let mut keep = |number, size, key| {
            kept.keep(Lane::Picture, &caps, &frame(number, size, key));
            kept.frames.iter().map(|it| it.pts).collect::<Vec<_>>()
        };
        // Nothing can be decoded before the first key unit.
        assert!(keep(0, 10, false).is_empty());
        assert_eq!(keep(1, 10, true), [1]);
        assert_eq!(keep(2, 10, false), [1, 2]);
        assert_eq!(keep(3, 10, true), [3]);
        // A group that is too long is of no use without its beginning.
        assert!(keep(4, MOST_BYTES, false).is_empty());
        assert!(keep(5, 10, false).is_empty());
        assert_eq!(keep(6, MOST_BYTES * 2, true), [6]);
    }

    #[test]
    fn of_sound_the_last_buffer_is_kept() {
        gst::init().unwrap();
        let caps = gst::Caps::new_empty_simple("audio/mpeg");
        let mut kept = Kept::default();
        for number in 0..3 {
            kept.keep(Lane::Sound, &caps, &frame(number, 10, true));
        }
        assert_eq!(kept.frames.len(), 1);
        assert_eq!(kept.frames[0].pts, 2);
    }
}
