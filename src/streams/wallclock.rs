// SPDX-License-Identifier: MIT OR Apache-2.0
//! The time of day of what is recorded.
//!
//! Pictures have running times. A [`WallClock`] knows for one of them what time of day it was, and
//! so for all others. It learns it from the stream where that says so, in a
//! `GstReferenceTimestampMeta` of `timestamp/x-unix` or `timestamp/x-ntp`, as `rtspsrc
//! add-reference-timestamp-meta=true` and many cameras' elements attach; else from the system's
//! clock, when a picture arrives, and how old it is then.
//!
//! Whoever records takes the time of day once, for the first picture, and counts on by running time:
//! a clock that is set meanwhile changes no length. It is told of ([`Change`]), and what is recorded
//! next has the new time.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use gst::glib;
use gst::prelude::*;

/// By how much (ns) two ways to the same time of day may differ before a clock is said to have been
/// set: twice what NTP corrects by slowing the clock down or speeding it up (128 ms), all beyond
/// being a step.
const STEP: i64 = 256_000_000;

/// How long (ns) reading two clocks may take: on a busy machine the thread may rest between them.
const AT_ONCE: i64 = 10_000_000;

/// From NTP's epoch, 1900, to Unix's, in ns (RFC 5905, section 6).
const NTP_TO_UNIX: u64 = 2_208_988_800 * 1_000_000_000;

/// Who says what time of day it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The stream, by its reference timestamps.
    Stream,
    /// The system's clock.
    System,
}

impl Source {
    /// What messages call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::System => "system",
        }
    }
}

/// A clock was set, or differs from what it said before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Whose.
    pub source: Source,
    /// Nanoseconds by which it is ahead of what it would have said.
    pub by: i64,
}

/// The clocks at the moment when a picture arrives, ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The system's, since 1970.
    pub utc: i64,
    /// One that nobody sets.
    pub steady: i64,
    /// Running time of a live pipeline: what arrives is older than this.
    pub running: Option<i64>,
}

impl Reading {
    /// Reads the clocks; `element`'s too if what comes is live.
    pub fn now(element: &impl IsA<gst::Element>, live: bool) -> Self {
        static SINCE: OnceLock<Instant> = OnceLock::new();
        let since = *SINCE.get_or_init(Instant::now);
        let steady = || i64::try_from(since.elapsed().as_nanos()).unwrap_or(i64::MAX);
        let running = live.then(|| element.as_ref().current_running_time());
        let running = running.flatten();
        let running = running.and_then(|time| i64::try_from(time.nseconds()).ok());
        let mut before = steady();
        loop {
            let utc = system_utc();
            let after = steady();
            if after - before < AT_ONCE {
                return Self {
                    utc,
                    steady: after,
                    running,
                };
            }
            before = after;
        }
    }
}

/// The system's clock: nanoseconds since 1970.
fn system_utc() -> i64 {
    let ns = |ns: u128| i64::try_from(ns).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => ns(since.as_nanos()),
        Err(before) => -ns(before.duration().as_nanos()),
    }
}

/// The time of day that a buffer carries, in ns since 1970.
pub(crate) fn reference_of(buffer: &gst::BufferRef) -> Option<i64> {
    let metas = buffer.iter_meta::<gst::ReferenceTimestampMeta>();
    let mut times = metas.filter_map(|meta| {
        let time = meta.timestamp().nseconds();
        let time = match meta.reference().structure(0)?.name().as_str() {
            "timestamp/x-unix" => time,
            "timestamp/x-ntp" => time.checked_sub(NTP_TO_UNIX)?,
            _ => return None,
        };
        i64::try_from(time).ok()
    });
    times.next()
}

/// A running time and the time of day that it is, ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Anchor {
    running: i64,
    utc: i64,
    source: Source,
}

impl Anchor {
    fn utc_of(&self, running: i64) -> i64 {
        self.utc
            .saturating_add(running.saturating_sub(self.running))
    }
}

/// What time of day running times are.
#[derive(Debug, Clone, Copy, Default)]
pub struct WallClock {
    anchor: Option<Anchor>,
    /// The system's clock and the steady one, as they were read last.
    read: Option<Reading>,
}

impl WallClock {
    /// The running times that follow do not continue those that came.
    pub fn begin_anew(&mut self) {
        self.anchor = None;
    }

    /// A picture of the running time `running` has come, with the time of day that it carries and what
    /// the clocks said then. Tells of a clock that was set.
    pub fn observe(
        &mut self,
        running: i64,
        reference: Option<i64>,
        reading: Reading,
    ) -> Option<Change> {
        let set = self.read.map_or(0, |before| {
            (reading.utc - before.utc).saturating_sub(reading.steady - before.steady)
        });
        self.read = Some(reading);
        let set = Some(set).filter(|by| by.abs() >= STEP);
        let former = self.anchor;
        if let Some(utc) = reference {
            let source = Source::Stream;
            self.anchor = Some(Anchor {
                running,
                utc,
                source,
            });
            let former = former.filter(|anchor| anchor.source == source);
            let by = former.map_or(0, |anchor| utc.saturating_sub(anchor.utc_of(running)));
            return (by.abs() >= STEP).then_some(Change { source, by });
        }
        let source = Source::System;
        match (former, reading.running) {
            // One that did say so goes on as it did.
            (Some(anchor), _) if anchor.source == Source::Stream => return None,
            (_, Some(now)) => {
                let age = now.saturating_sub(running).max(0);
                self.anchor = Some(Anchor {
                    running,
                    utc: reading.utc.saturating_sub(age),
                    source,
                });
            }
            // Nothing says how old a picture is that need not have been taken just now: all count
            // from the first.
            (Some(anchor), None) => {
                self.anchor = Some(Anchor {
                    utc: anchor.utc.saturating_add(set.unwrap_or(0)),
                    ..anchor
                });
            }
            (None, None) => {
                self.anchor = Some(Anchor {
                    running,
                    utc: reading.utc,
                    source,
                });
            }
        }
        former?;
        set.map(|by| Change { source, by })
    }

    /// The time of day of a running time, in ns since 1970, once anything has come.
    pub fn utc(&self, running: i64) -> Option<i64> {
        self.anchor.map(|anchor| anchor.utc_of(running))
    }
}

/// Whether what comes to a pad is live: it is as old as the pipeline's clock says.
pub(crate) fn is_live(pad: &gst::Pad) -> bool {
    let mut query = gst::query::Latency::new();
    pad.peer_query(&mut query) && query.result().0
}

/// A time of day, to be put into names.
#[derive(Debug, Clone)]
pub(crate) struct Moment(glib::DateTime);

impl Moment {
    /// Of `utc` ns since 1970; in UTC, or as the clocks at this place show it.
    pub(crate) fn new(utc: i64, in_utc: bool) -> Option<Self> {
        let us = utc.div_euclid(1000);
        let (second, us) = (us.div_euclid(1_000_000), us.rem_euclid(1_000_000));
        let whole = match in_utc {
            true => glib::DateTime::from_unix_utc(second),
            false => glib::DateTime::from_unix_local(second),
        };
        let moment = whole.and_then(|whole| whole.add(glib::TimeSpan(us)));
        moment.ok().map(Self)
    }

    /// Now, by the system's clock.
    pub(crate) fn now(in_utc: bool) -> Option<Self> {
        Self::new(system_utc(), in_utc)
    }

    /// What stands for a letter of `strftime`.
    pub(crate) fn text(&self, letter: char) -> Option<String> {
        let text = self.0.format(&format!("%{letter}")).ok()?;
        Some(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    /// 28 November 2026, 20:00:00 UTC.
    const EVENING: i64 = 1_795_896_000 * SECOND;

    /// The clocks `seconds` behind the beginning, the system's set by `set` s since.
    fn reading(seconds: i64, set: i64, live: bool) -> Reading {
        Reading {
            utc: EVENING + (seconds + set) * SECOND,
            steady: 77 * SECOND + seconds * SECOND,
            running: live.then_some(seconds * SECOND),
        }
    }

    #[test]
    fn a_picture_is_as_old_as_it_came_late() {
        let mut clock = WallClock::default();
        assert_eq!(clock.utc(0), None);
        // Three seconds on their way.
        assert_eq!(clock.observe(2 * SECOND, None, reading(5, 0, true)), None);
        assert_eq!(clock.utc(2 * SECOND), Some(EVENING + 2 * SECOND));
        assert_eq!(clock.utc(0), Some(EVENING));
    }

    #[test]
    fn what_is_not_live_counts_from_its_first_picture() {
        let mut clock = WallClock::default();
        clock.observe(10 * SECOND, None, reading(1, 0, false));
        clock.observe(70 * SECOND, None, reading(2, 0, false));
        assert_eq!(clock.utc(70 * SECOND), Some(EVENING + 61 * SECOND));
    }

    #[test]
    fn the_streams_own_time_wins_and_lasts() {
        let mut clock = WallClock::default();
        clock.observe(0, None, reading(0, 0, true));
        // The first picture that has one is no clock that was set.
        assert_eq!(
            clock.observe(SECOND, Some(EVENING - 40 * SECOND), reading(1, 0, true)),
            None
        );
        assert_eq!(clock.observe(2 * SECOND, None, reading(2, 9, true)), None);
        assert_eq!(clock.utc(3 * SECOND), Some(EVENING - 38 * SECOND));
        let change = clock.observe(3 * SECOND, Some(EVENING), reading(3, 9, true));
        let (source, by) = (Source::Stream, 38 * SECOND);
        assert_eq!(change, Some(Change { source, by }));
    }

    #[test]
    fn a_clock_that_is_set_is_told_of_once() {
        for live in [true, false] {
            let mut clock = WallClock::default();
            clock.observe(0, None, reading(0, 0, live));
            let change = clock.observe(SECOND, None, reading(1, -3600, live));
            let (source, by) = (Source::System, -3600 * SECOND);
            assert_eq!(change, Some(Change { source, by }));
            assert_eq!(
                clock.observe(2 * SECOND, None, reading(2, -3600, live)),
                None
            );
            assert_eq!(clock.utc(2 * SECOND), Some(EVENING - 3598 * SECOND));
        }
    }

    #[test]
    fn a_break_in_running_times_is_no_clock_that_was_set() {
        let mut clock = WallClock::default();
        clock.observe(0, Some(EVENING), reading(0, 0, true));
        clock.begin_anew();
        let late = Some(EVENING + 30 * SECOND);
        assert_eq!(clock.observe(SECOND, late, reading(30, 0, true)), None);
        assert_eq!(clock.utc(SECOND), late);
    }

    #[test]
    fn moments_are_written_as_strftime_writes_them() {
        let moment = Moment::new(EVENING + 5_000_000, true).unwrap();
        let text = |letters: &str| {
            let texts = letters.chars().map(|letter| moment.text(letter).unwrap());
            texts.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(text("YmdHMSf"), "2026 11 28 20 00 00 005000");
        assert_eq!(text("FTzjy"), "2026-11-28 20:00:00 +0000 332 26");
        // Before 1970 too: a board without a battery for its clock may be told of any time.
        let moment = Moment::new(-1, true).unwrap();
        assert_eq!(moment.text('T').unwrap(), "23:59:59");
    }

    #[test]
    fn buffers_carry_their_time_of_day() {
        gst::init().unwrap();
        let stamped = |name: &str, time: u64| {
            let mut buffer = gst::Buffer::new();
            let time = gst::ClockTime::from_nseconds(time);
            let reference = gst::Caps::new_empty_simple(name);
            let it = buffer.get_mut().unwrap();
            gst::ReferenceTimestampMeta::add(it, &reference, time, gst::ClockTime::NONE);
            reference_of(&buffer)
        };
        let unix = EVENING.unsigned_abs();
        assert_eq!(stamped("timestamp/x-unix", unix), Some(EVENING));
        assert_eq!(
            stamped("timestamp/x-ntp", unix + NTP_TO_UNIX),
            Some(EVENING)
        );
        assert_eq!(stamped("timestamp/x-drone", unix), None);
        assert_eq!(stamped("timestamp/x-ntp", 5), None);
    }
}
