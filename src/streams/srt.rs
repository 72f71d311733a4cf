// SPDX-License-Identifier: MIT OR Apache-2.0
//! The end of a recording that goes by SRT. Whoever receives it plays each packet when the connection's latency is over,
//! and has nothing of what still waits then once the connection is closed: `srtsink` closes it at once (no `SRTO_LINGER`).

use std::time::{Duration, Instant};

use gst::glib;
use gst::prelude::*;

/// How often a wait looks whether it is to end.
const LOOK: Duration = Duration::from_millis(10);

/// Has `sink` end its stream when all of it has been received, if it is `srtsink`.
pub(crate) fn hear_out(sink: &gst::Element) {
    let factory = sink.factory().map(|factory| factory.name());
    if factory.as_deref() != Some("srtsink") {
        return;
    }
    for pad in sink.sink_pads() {
        pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |pad, info| {
            let is_end = info
                .event()
                .is_some_and(|event| event.type_() == gst::EventType::Eos);
            if let Some(sink) = pad.parent_element().filter(|_| is_end) {
                let end = Instant::now() + under_way(&sink);
                // Whoever stops the recording does not wait.
                while Instant::now() < end && !pad.pad_flags().contains(gst::PadFlags::FLUSHING) {
                    std::thread::sleep(LOOK);
                }
            }
            gst::PadProbeReturn::Ok
        });
    }
}

/// How long it takes until what was sent last has been received: the latency, and there and back.
fn under_way(sink: &gst::Element) -> Duration {
    if sink.find_property("stats").is_none() {
        return Duration::ZERO;
    }
    let stats = sink.property::<Option<gst::Structure>>("stats");
    stats.as_deref().map_or(Duration::ZERO, longest)
}

/// The longest of those who are connected.
fn longest(stats: &gst::StructureRef) -> Duration {
    // Of a sink that listens.
    let callers = stats.get::<glib::ValueArray>("callers");
    let callers = callers.iter().flat_map(|callers| callers.iter());
    let callers = callers.filter_map(|caller| caller.get::<gst::Structure>().ok());
    callers
        .map(|caller| of_connection(&caller))
        .fold(of_connection(stats), Duration::max)
}

/// That of one of them; nothing where there is none.
fn of_connection(stats: &gst::StructureRef) -> Duration {
    let latency = stats.get::<i32>("negotiated-latency-ms").unwrap_or(0);
    let latency = Duration::from_millis(u64::try_from(latency).unwrap_or(0));
    let around = stats.get::<f64>("rtt-ms").unwrap_or(0.0) / 1000.0;
    let around = Duration::try_from_secs_f64(around).unwrap_or(Duration::ZERO);
    match latency.is_zero() {
        true => latency,
        false => latency.saturating_add(around).saturating_add(LOOK),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_and_the_way_are_waited_for() {
        gst::init().unwrap();
        let stats = |latency: i32, around: f64| {
            let stats = gst::Structure::builder("application/x-srt-statistics")
                .field("negotiated-latency-ms", latency)
                .field("rtt-ms", around)
                .build();
            longest(&stats)
        };
        let ms = Duration::from_millis;
        assert_eq!(stats(125, 40.0), ms(165) + LOOK);
        assert_eq!(stats(2000, f64::NAN), ms(2000) + LOOK);
        assert_eq!(stats(-1, 1.0), Duration::ZERO);
        // Nobody is connected.
        let nobody = gst::Structure::new_empty("application/x-srt-statistics");
        assert_eq!(longest(&nobody), Duration::ZERO);
    }
}
