// SPDX-License-Identifier: MIT OR Apache-2.0
//! Events of an open node, as `v4l2-event.c` keeps them.

use std::collections::VecDeque;

use k230_venc::v4l2::raw::*;

use super::{controls::Control, uapi::*};

/// Events of the driver's own that wait for each subscription (`mvx_v4l2_vidioc_subscribe_event`).
const ROOM: usize = 2;

struct Subscription {
    kind: u32,
    id: u32,
    flags: u32,
    room: usize,
}

/// What was subscribed to, and what happened of it.
#[derive(Default)]
pub(super) struct Events {
    subscriptions: Vec<Subscription>,
    waiting: VecDeque<v4l2_event>,
    sequence: u32,
}

fn now() -> libc::timespec {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    libc::timespec {
        tv_sec: now.tv_sec as libc::time_t,
        tv_nsec: now.tv_nsec as _,
    }
}

fn pair(low: i32, high: i32) -> u64 {
    let [a, b, c, d] = low.to_ne_bytes();
    let [e, f, g, h] = high.to_ne_bytes();
    u64::from_ne_bytes([a, b, c, d, e, f, g, h])
}

/// `struct v4l2_event_ctrl`
fn of_control(control: &Control, value: i32, changes: u32) -> [u64; 8] {
    let step = if control.menu.is_empty() {
        control.step
    } else {
        1
    };
    [
        pair(changes as i32, control.kind as i32),
        pair(value, 0),
        pair(control.flags as i32, control.minimum),
        pair(control.maximum, step),
        pair(control.default, 0),
        0,
        0,
        0,
    ]
}

impl Events {
    /// Subscribes to what the driver has events for; `control` is the one of the number, with its value.
    pub(crate) fn subscribe(
        &mut self,
        asked: &v4l2_event_subscription,
        control: Option<(&Control, i32)>,
    ) -> Result<(), i32> {
        let room = match asked.type_ {
            V4L2_EVENT_CTRL => 1,
            V4L2_EVENT_EOS | V4L2_EVENT_SOURCE_CHANGE | V4L2_EVENT_MVX_COLOR_DESC => ROOM,
            _ => return Err(libc::EINVAL),
        };
        if asked.type_ == V4L2_EVENT_CTRL && control.is_none() {
            return Err(libc::EINVAL);
        }
        if self.find(asked.type_, asked.id).is_some() {
            return Ok(());
        }
        self.subscriptions.push(Subscription {
            kind: asked.type_,
            id: asked.id,
            flags: asked.flags,
            room,
        });
        if let Some((control, value)) = control
            && asked.type_ == V4L2_EVENT_CTRL
            && asked.flags & V4L2_EVENT_SUB_FL_SEND_INITIAL != 0
            && control.kind != V4L2_CTRL_TYPE_CTRL_CLASS
        {
            let changes = V4L2_EVENT_CTRL_CH_FLAGS | V4L2_EVENT_CTRL_CH_VALUE;
            self.push(
                V4L2_EVENT_CTRL,
                control.id,
                of_control(control, value, changes),
            );
        }
        Ok(())
    }

    pub(crate) fn unsubscribe(&mut self, asked: &v4l2_event_subscription) {
        let all = asked.type_ == V4L2_EVENT_ALL;
        let is_it = |kind, id| all || (kind == asked.type_ && id == asked.id);
        self.subscriptions.retain(|s| !is_it(s.kind, s.id));
        self.waiting.retain(|event| !is_it(event.type_, event.id));
    }

    fn find(&self, kind: u32, id: u32) -> Option<&Subscription> {
        let mut all = self.subscriptions.iter();
        all.find(|s| s.kind == kind && s.id == id)
    }

    /// A control has another value. Whoever changed it hears of it only if they asked for that.
    pub(crate) fn control_changed(&mut self, control: &Control, value: i32) {
        let feedback = |s: &Subscription| s.flags & V4L2_EVENT_SUB_FL_ALLOW_FEEDBACK != 0;
        if self.find(V4L2_EVENT_CTRL, control.id).is_some_and(feedback) {
            let event = of_control(control, value, V4L2_EVENT_CTRL_CH_VALUE);
            self.push(V4L2_EVENT_CTRL, control.id, event);
        }
    }

    /// A stream has ended, whosever it is.
    pub(crate) fn stream_ended(&mut self) {
        self.push(V4L2_EVENT_EOS, 0, [0; 8]);
    }

    /// Queues an event, in the place of the oldest of its kind where there is no room
    /// (`__v4l2_event_queue_fh`).
    fn push(&mut self, kind: u32, id: u32, payload: [u64; 8]) {
        let Some(room) = self.find(kind, id).map(|s| s.room) else {
            return;
        };
        self.sequence = self.sequence.wrapping_add(1);
        let mut event: v4l2_event = zeroed();
        event.type_ = kind;
        event.id = id;
        event.u = payload;
        event.sequence = self.sequence;
        event.timestamp = now();
        let same = |event: &v4l2_event| event.type_ == kind && event.id == id;
        if self.waiting.iter().filter(|event| same(event)).count() >= room
            && let Some(oldest) = self.waiting.iter().position(same)
            && let Some(replaced) = self.waiting.remove(oldest)
            && kind == V4L2_EVENT_CTRL
        {
            // What changed before changed all the same.
            event.u[0] |= pair(changes(&replaced), 0);
        }
        self.waiting.push_back(event);
    }

    pub(crate) fn are_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(crate) fn take(&mut self) -> Option<v4l2_event> {
        let mut event = self.waiting.pop_front()?;
        event.pending = self.waiting.len() as u32;
        Some(event)
    }
}

fn changes(event: &v4l2_event) -> i32 {
    let [a, b, c, d, ..] = event.u[0].to_ne_bytes();
    i32::from_ne_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(kind: u32, id: u32, flags: u32) -> v4l2_event_subscription {
        v4l2_event_subscription {
            type_: kind,
            id,
            flags,
            reserved: [0; 5],
        }
    }

    #[test]
    fn events_wait_until_there_is_no_room() {
        let mut events = Events::default();
        events.stream_ended();
        assert!(!events.are_waiting(), "nobody subscribed");
        let eos = subscription(V4L2_EVENT_EOS, 0, 0);
        assert_eq!(events.subscribe(&eos, None), Ok(()));
        assert_eq!(events.subscribe(&eos, None), Ok(()), "again");
        for _ in 0..5 {
            events.stream_ended();
        }
        let taken: Vec<_> = std::iter::from_fn(|| events.take()).collect();
        let told = taken.iter().map(|event| (event.sequence, event.pending));
        assert_eq!(told.collect::<Vec<_>>(), [(4, 1), (5, 0)]);
        assert!(taken[0].timestamp.tv_sec > 0 || taken[0].timestamp.tv_nsec > 0);
        events.stream_ended();
        events.unsubscribe(&subscription(V4L2_EVENT_ALL, 0, 0));
        assert!(events.take().is_none());
        for kind in [
            V4L2_EVENT_ALL,
            1,
            4,
            6,
            V4L2_EVENT_MVX_COLOR_DESC + 1,
            u32::MAX,
        ] {
            let asked = subscription(kind, 0, 0);
            assert_eq!(events.subscribe(&asked, None), Err(libc::EINVAL), "{kind}");
        }
    }
}
