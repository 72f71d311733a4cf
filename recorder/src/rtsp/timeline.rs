// SPDX-License-Identifier: MIT OR Apache-2.0
//! A viewer's times. They begin at zero when somebody joins, with the key unit that came last: what has
//! come since is sent at once, so its times are pressed together, and the picture of now is seen
//! without waiting for the next key unit.

/// How long (ns) what has come before somebody joined takes in the viewer's times; less than any
/// player's own buffer.
const BURST: u64 = 100_000_000;

/// From the running times of a camera to the times of one viewer, ns.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    anchor: Option<Anchor>,
    /// The latest time that was given; none goes back behind it.
    last: u64,
}

/// A running time of the camera, and what it is for the viewer.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    camera: u64,
    viewer: u64,
    /// Where the times that are pressed together begin.
    oldest: u64,
}

/// The times of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    /// When it is shown.
    pub pts: u64,
    /// When it is decoded; never before the one of the buffer before it.
    pub dts: u64,
}

impl Timeline {
    /// Somebody joins: there is what came from `oldest` to `newest`.
    pub(crate) fn begin(&mut self, oldest: u64, newest: u64) {
        let viewer = newest.saturating_sub(oldest).min(BURST);
        self.anchor = Some(Anchor {
            camera: newest,
            viewer,
            oldest,
        });
    }

    /// The camera was started again: `first` is the viewer's time `now`, or as soon after the others as
    /// can be.
    pub(crate) fn begin_anew(&mut self, first: u64, now: u64) {
        self.anchor = Some(Anchor {
            camera: first,
            viewer: now.max(self.last.saturating_add(1)),
            oldest: first,
        });
    }

    /// Whether somebody has joined.
    pub(crate) fn has_begun(&self) -> bool {
        self.anchor.is_some()
    }

    /// The viewer's times of a buffer. `dts` is the former's at least: `GstRTSPStream` ends the program
    /// over times that go back.
    pub(crate) fn times(&mut self, pts: u64, dts: Option<u64>) -> Option<Times> {
        let anchor = self.anchor?;
        let pts = anchor.viewer_time(pts);
        let dts = dts.map_or(pts, |dts| anchor.viewer_time(dts).min(pts));
        Some(Times { pts, dts })
    }

    /// A time was given to the viewer.
    pub(crate) fn given(&mut self, times: Times) {
        self.last = self.last.max(times.pts).max(times.dts);
    }
}

impl Anchor {
    fn viewer_time(&self, time: u64) -> u64 {
        if time >= self.camera {
            return self.viewer.saturating_add(time - self.camera);
        }
        let length = self.camera.saturating_sub(self.oldest).max(1);
        let before = u128::from(self.camera - time) * u128::from(self.viewer);
        let before = before / u128::from(length);
        let before = u64::try_from(before).unwrap_or(self.viewer);
        self.viewer.saturating_sub(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn pts(timeline: &mut Timeline, time: u64) -> u64 {
        timeline.times(time, None).unwrap().pts
    }

    #[test]
    fn what_came_before_is_pressed_together_and_what_follows_is_not() {
        let mut timeline = Timeline::default();
        assert!(timeline.times(0, None).is_none());
        timeline.begin(10 * SECOND, 12 * SECOND);
        let times = [10, 11, 12, 13, 15].map(|at| pts(&mut timeline, at * SECOND));
        let expected = [0, BURST / 2, BURST, BURST + SECOND, BURST + 3 * SECOND];
        assert_eq!(times, expected);
        // One key unit alone, and one that is newer than a burst is long.
        for ago in [0, BURST / 4] {
            let mut timeline = Timeline::default();
            timeline.begin(10 * SECOND - ago, 10 * SECOND);
            assert_eq!(pts(&mut timeline, 10 * SECOND - ago), 0);
            assert_eq!(pts(&mut timeline, 10 * SECOND), ago);
        }
    }

    #[test]
    fn a_camera_that_comes_back_goes_on_at_the_viewers_time() {
        let mut timeline = Timeline::default();
        timeline.begin(10 * SECOND, 10 * SECOND);
        let last = timeline.times(20 * SECOND, None).unwrap();
        timeline.given(last);
        timeline.begin_anew(0, 45 * SECOND);
        assert_eq!(pts(&mut timeline, SECOND), 46 * SECOND);
        // One whose clock ran fast does not go back.
        timeline.begin_anew(0, SECOND);
        assert!(pts(&mut timeline, 0) > last.pts);
    }

    #[test]
    fn pictures_out_of_order_keep_theirs() {
        let mut timeline = Timeline::default();
        timeline.begin(0, SECOND);
        let times = timeline.times(3 * SECOND, Some(2 * SECOND)).unwrap();
        assert_eq!(times.pts - times.dts, SECOND);
        // Without a time of decoding, that of showing stands for it.
        let times = timeline.times(4 * SECOND, None).unwrap();
        assert_eq!(times.pts, times.dts);
    }
}
