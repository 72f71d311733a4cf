// SPDX-License-Identifier: MIT OR Apache-2.0
//! How exactly an MP4 or MOV has the times of its pictures. GStreamer's muxers choose a hundredth of an interval by the
//! caps' rate, 10 ms of a camera of one picture a second; its demuxer shows one picture only of those that end the file
//! with one time, and waits for ever for the only one of a file, where it lasts no time and sound is beside it.

use gst::prelude::*;

/// The shortest time between two pictures (ns): more than a tick of what [`of_rate`] gives.
pub(crate) const APART: i64 = 12_000;

/// How long (ns) a picture lasts where nothing says so.
pub(super) const USUAL: i64 = 40_000_000;

/// Ticks a second at least, as MPEG has them.
const LEAST: u32 = 90_000;

/// A duration of no more than this is none: without a frame rate in the caps `h264parse` takes the unit of the
/// encoder's clock for it, a nanosecond.
pub(crate) const NOTHING: gst::ClockTime = gst::ClockTime::from_useconds(1);

/// Whether a picture says how long it lasts.
pub(crate) fn has_duration(picture: &gst::BufferRef) -> bool {
    picture.duration().is_some_and(|lasts| lasts > NOTHING)
}

/// Ticks a second of a stream with pictures at this rate: an interval is a whole number of them, where that can be.
fn of_rate(rate: Option<gst::Fraction>) -> u32 {
    let frames = rate.and_then(|rate| u32::try_from(rate.numer()).ok());
    match frames {
        Some(frames @ 1..LEAST) => frames * LEAST.div_ceil(frames),
        _ => LEAST,
    }
}

/// Has a muxer of that kind keep the times of pictures to a tick of these, unless it is told to by its properties, and
/// their first one last some time.
pub(crate) fn refine(muxer: &gst::Element) {
    if muxer.find_property("trak-timescale").is_none() {
        return;
    }
    let weak = muxer.downgrade();
    muxer.connect_pad_added(move |_, pad| {
        if !pad.name().starts_with("video") || pad.find_property("trak-timescale").is_none() {
            return;
        }
        pad.add_probe(gst::PadProbeType::BUFFER, |_, info| {
            if let Some(buffer) = info.buffer_mut()
                && !has_duration(buffer)
            {
                // Of the first of several the muxer knows when the next one comes.
                let lasts = gst::ClockTime::from_nseconds(USUAL.unsigned_abs());
                buffer.make_mut().set_duration(lasts);
            }
            gst::PadProbeReturn::Remove
        });
        let weak = weak.clone();
        pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |pad, info| {
            if let Some(event) = info.event()
                && let gst::EventView::Caps(caps) = event.view()
                && let Some(muxer) = weak.upgrade()
                && muxer.property::<u32>("trak-timescale") == 0
            {
                let fields = caps.caps().structure(0);
                let rate = fields.and_then(|fields| fields.get("framerate").ok());
                pad.set_property("trak-timescale", of_rate(rate));
            }
            gst::PadProbeReturn::Ok
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_a_whole_number_of_ticks() {
        for (frames, seconds) in [
            (25, 1),
            (24_000, 1001),
            (60_000, 1001),
            (15, 2),
            (7, 1),
            (1, 60),
        ] {
            let ticks = of_rate(Some(gst::Fraction::new(frames, seconds)));
            assert_eq!(
                ticks * seconds as u32 % frames as u32,
                0,
                "{frames}/{seconds}"
            );
            assert!(
                (LEAST..2 * LEAST).contains(&ticks),
                "{frames}/{seconds}: {ticks}"
            );
        }
        for rate in [
            None,
            Some(gst::Fraction::new(0, 1)),
            Some(gst::Fraction::new(1_000_000, 33_333)),
        ] {
            assert_eq!(of_rate(rate), LEAST);
        }
        assert!(APART * i64::from(LEAST) > 1_000_000_000);
    }
}
