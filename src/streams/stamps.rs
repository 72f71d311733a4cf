// SPDX-License-Identifier: MIT OR Apache-2.0
//! Times for a stream that has none: counted from what its caps say.

use gst::prelude::*;

use super::is_raw;

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// How long a unit of a stream is: `duration` nanoseconds for `units` bytes or frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pace {
    /// Units in `per` seconds.
    units: u64,
    per: u64,
    /// Bytes of a unit; 0: a buffer is one.
    bytes: u64,
}

/// Counts a stream's units.
#[derive(Debug, Default)]
pub struct Stamps {
    pace: Option<Pace>,
    /// Where counting began, and how many units ago.
    origin: u64,
    counted: u64,
}

impl Stamps {
    /// The stream's caps have come: raw video and Motion JPEG with a frame rate and raw sound can be
    /// counted. What comes from here on is counted on from where the stream is.
    pub fn set_caps(&mut self, caps: &gst::CapsRef) {
        self.origin = self.now();
        self.counted = 0;
        self.pace = pace(caps);
    }

    fn now(&self) -> u64 {
        self.pace
            .map_or(self.origin, |pace| self.origin + pace.time(self.counted))
    }

    /// A buffer that has a time: counting goes on behind it.
    pub fn saw(&mut self, end: u64) {
        self.origin = end;
        self.counted = 0;
    }

    /// Start and length, in nanoseconds, of a buffer of `bytes` bytes without a time; `None` where
    /// nothing says how long it is.
    pub fn next(&mut self, bytes: usize) -> Option<(u64, u64)> {
        let pace = self.pace?;
        let start = self.now();
        self.counted += (bytes as u64).checked_div(pace.bytes).unwrap_or(1);
        Some((start, self.now() - start))
    }
}

impl Pace {
    fn time(self, units: u64) -> u64 {
        let time = u128::from(units) * u128::from(self.per) * u128::from(SECOND);
        u64::try_from(time / u128::from(self.units)).unwrap_or(u64::MAX)
    }
}

fn pace(caps: &gst::CapsRef) -> Option<Pace> {
    let structure = caps.structure(0)?;
    if structure.name() == "audio/x-raw" {
        let info = gst_audio::AudioInfo::from_caps(caps).ok()?;
        return Some(Pace {
            units: u64::from(info.rate()),
            per: 1,
            bytes: u64::from(info.bpf()),
        });
    }
    if !is_raw(caps) && structure.name() != "image/jpeg" {
        // Pictures that refer to others need not come in the order in which they are shown.
        return None;
    }
    let rate = structure.get::<gst::Fraction>("framerate").ok()?;
    let units = u64::try_from(rate.numer()).ok().filter(|&n| n > 0)?;
    Some(Pace {
        units,
        per: u64::try_from(rate.denom()).ok()?,
        bytes: 0,
    })
}

/// Gives a buffer that has no time the one that is counted for it. False if it has none then.
pub fn stamp(stamps: &mut Stamps, buffer: &mut gst::Buffer) -> bool {
    if let Some(time) = buffer.dts_or_pts() {
        let end = time + buffer.duration().unwrap_or_default();
        stamps.saw(end.nseconds());
        return true;
    }
    let Some((start, duration)) = stamps.next(buffer.size()) else {
        return false;
    };
    // The greatest number of all stands for none.
    let time = |ns: u64| gst::ClockTime::from_nseconds(ns.min(u64::MAX - 1));
    let buffer = buffer.make_mut();
    buffer.set_pts(time(start));
    buffer.set_duration(time(duration));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamps(caps: &str) -> Stamps {
        gst::init().unwrap();
        let mut stamps = Stamps::default();
        stamps.set_caps(&caps.parse::<gst::Caps>().unwrap());
        stamps
    }

    #[test]
    fn frames_and_samples_are_counted() {
        let mut video = stamps("video/x-raw,format=I420,width=16,height=16,framerate=30000/1001");
        let times: Vec<_> = (0..3).map(|_| video.next(384).unwrap().0).collect();
        assert_eq!(times, [0, 33_366_666, 66_733_333]);
        let mut audio = stamps("audio/x-raw,format=S16LE,layout=interleaved,rate=8000,channels=2");
        assert_eq!(audio.next(3200), Some((0, 100_000_000)));
        assert_eq!(audio.next(4), Some((100_000_000, 125_000)));
    }

    #[test]
    fn counting_goes_on_behind_what_has_a_time() {
        let mut video = stamps("image/jpeg,framerate=10/1");
        video.saw(5 * SECOND);
        assert_eq!(video.next(1), Some((5 * SECOND, SECOND / 10)));
        video.set_caps(&"image/jpeg,framerate=1/1".parse::<gst::Caps>().unwrap());
        assert_eq!(video.next(1), Some((51 * SECOND / 10, SECOND)));
    }

    #[test]
    fn what_nothing_tells_the_rate_of_is_not_counted() {
        for caps in [
            "image/jpeg",
            "video/x-raw,framerate=0/1",
            "video/x-h264,framerate=30/1",
        ] {
            assert_eq!(stamps(caps).next(1), None, "{caps}");
        }
    }
}
