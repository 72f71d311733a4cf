// SPDX-License-Identifier: MIT OR Apache-2.0
//! Somebody who watches: the sources of a client's own payloaders. A client that takes nothing fills
//! these up, and then misses frames up to a key unit; neither the ring nor other clients notice.

use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

use gst::prelude::*;

use super::feed::{Feed, Frame, Lane};
use super::timeline::{Timeline, Times};
use crate::sync::lock;

/// What may wait for a client: seconds of it, and bytes.
const LONGEST: gst::ClockTime = gst::ClockTime::from_seconds(5);
const MOST_BYTES: u64 = 16 << 20;
/// When a client that was too slow has caught up.
const CAUGHT_UP: gst::ClockTime = gst::ClockTime::from_seconds(1);

/// The streams of one client.
#[derive(Debug)]
pub struct Viewer {
    feed: Weak<Feed>,
    picture: gst::glib::WeakRef<gst_app::AppSrc>,
    /// None where the camera had no sound when the client came.
    sound: Option<gst::glib::WeakRef<gst_app::AppSrc>>,
    /// Written by the camera's streaming threads, and by those of the sources when they start. It is held
    /// while a source gets a buffer, which only queues it, so that none overtakes another.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    timeline: Timeline,
    /// When the client's times began.
    began: Instant,
    /// The camera's run that they follow.
    run: u64,
    picture: LaneState,
    sound: LaneState,
}

#[derive(Debug, Default)]
struct LaneState {
    /// Its source takes buffers.
    started: bool,
    /// What has been dropped is missing until the next key unit.
    waits: bool,
    /// The number of the frame that is given next: one that is kept may come a second time.
    next: u64,
    /// Behind this time nothing goes back.
    last: u64,
}

impl State {
    fn lane(&mut self, lane: Lane) -> &mut LaneState {
        match lane {
            Lane::Picture => &mut self.picture,
            Lane::Sound => &mut self.sound,
        }
    }
}

impl Viewer {
    /// Has the sources of a client follow a camera from the moment they start.
    pub fn attach(feed: &Arc<Feed>, picture: &gst_app::AppSrc, sound: Option<&gst_app::AppSrc>) {
        let viewer = Arc::new(Self {
            feed: Arc::downgrade(feed),
            picture: picture.downgrade(),
            sound: sound.map(ObjectExt::downgrade),
            state: Mutex::new(State {
                timeline: Timeline::default(),
                began: Instant::now(),
                run: 0,
                picture: LaneState::default(),
                sound: LaneState::default(),
            }),
        });
        let lanes = [(Some(picture), Lane::Picture), (sound, Lane::Sound)];
        for (source, lane) in lanes {
            let Some(source) = source else { continue };
            let viewer = viewer.clone();
            let callbacks = gst_app::AppSrcCallbacks::builder()
                .need_data(move |_, _| viewer.start(lane))
                .build();
            source.set_callbacks(callbacks);
        }
    }

    /// Whether the client's pipeline is still there.
    pub fn is_there(&self) -> bool {
        self.picture.upgrade().is_some()
    }

    fn source(&self, lane: Lane) -> Option<gst_app::AppSrc> {
        match lane {
            Lane::Picture => self.picture.upgrade(),
            Lane::Sound => self.sound.as_ref()?.upgrade(),
        }
    }

    /// A source takes buffers: it gets what is kept at once.
    fn start(self: &Arc<Self>, lane: Lane) {
        let Some(feed) = self.feed.upgrade() else {
            return;
        };
        let mut state = lock(&self.state);
        if state.lane(lane).started {
            return;
        }
        state.lane(lane).started = true;
        // Those that come from now on wait for this lock.
        if !(state.picture.started && state.sound.started) {
            feed.join(self.clone());
        }
        if !state.timeline.has_begun()
            && let Some(kept) = feed.kept(Lane::Picture)
            && let (Some(first), Some(last)) = (kept.frames.front(), kept.frames.back())
        {
            state.run = first.run;
            state.began = Instant::now();
            let newest = kept.frames.iter().map(|frame| frame.pts).max();
            state.timeline.begin(first.pts, newest.unwrap_or(last.pts));
        }
        match feed.kept(lane) {
            Some(kept) => {
                let caps = kept.caps.unwrap_or_else(gst::Caps::new_any);
                for frame in &kept.frames {
                    self.queue(&mut state, lane, &caps, frame);
                }
            }
            None => state.lane(lane).waits = true,
        }
    }

    /// Gives the client a frame; returns how many it does not get.
    pub fn give(&self, lane: Lane, caps: &gst::Caps, frame: &Frame) -> u64 {
        let mut state = lock(&self.state);
        if !state.lane(lane).started {
            return 0;
        }
        if state.run != frame.run || !state.timeline.has_begun() {
            if lane == Lane::Sound {
                // The picture says where it goes on.
                return 0;
            }
            state.run = frame.run;
            let now = u64::try_from(state.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            state.timeline.begin_anew(frame.pts, now);
            state.picture.waits = true;
        }
        u64::from(!self.queue(&mut state, lane, caps, frame))
    }

    /// Puts a frame into a source's queue; false if there is no room.
    fn queue(&self, state: &mut State, lane: Lane, caps: &gst::Caps, frame: &Frame) -> bool {
        let Some(source) = self.source(lane) else {
            return true;
        };
        let key_unit = lane == Lane::Sound || frame.is_key_unit();
        let waiting = source.current_level_time();
        let full = waiting > LONGEST || source.current_level_bytes() > MOST_BYTES;
        let Some(times) = state.timeline.times(frame.pts, frame.dts) else {
            return true;
        };
        let lane = state.lane(lane);
        if frame.number < lane.next {
            return true;
        }
        lane.next = frame.number + 1;
        if lane.waits {
            let again = key_unit && waiting <= CAUGHT_UP;
            lane.waits = !again;
        } else {
            lane.waits = full;
        }
        if lane.waits {
            return false;
        }
        let times = Times {
            dts: times.dts.max(lane.last),
            ..times
        };
        lane.last = times.dts;
        state.timeline.given(times);
        if source.caps().as_ref() != Some(caps) {
            source.set_caps(Some(caps));
        }
        let mut buffer = frame.buffer.copy();
        if let Some(it) = buffer.get_mut() {
            it.set_pts(gst::ClockTime::from_nseconds(times.pts));
            it.set_dts(gst::ClockTime::from_nseconds(times.dts));
        }
        // One that has been stopped takes none, and is gone before long.
        let _ = source.push_buffer(buffer);
        true
    }

    /// Nothing will come any more.
    pub fn end(&self) {
        for lane in [Lane::Picture, Lane::Sound] {
            if let Some(source) = self.source(lane) {
                // One that has been stopped has ended already.
                let _ = source.end_of_stream();
            }
        }
    }
}
