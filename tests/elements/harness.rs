// SPDX-License-Identifier: MIT OR Apache-2.0
//! Elements in GstHarness, which sees each event and buffer in its order.

use gst_check::Harness;

use crate::common::init;
use crate::feed::picture;

/// The events that have come out.
fn events(harness: &mut Harness) -> Vec<gst::Event> {
    std::iter::from_fn(|| harness.try_pull_event()).collect()
}

#[test]
fn avimjpegmux_announces_bytes_before_the_first_one() {
    init();
    let mut harness = Harness::with_padnames("avimjpegmux", Some("video_%u"), Some("src"));
    harness.set_src_caps_str("image/jpeg,width=320,height=240,framerate=10/1");
    for number in 0..3 {
        let mut buffer = gst::Buffer::from_mut_slice(picture(number, 2000));
        let fields = buffer.get_mut().expect("nobody else has it");
        fields.set_pts(gst::ClockTime::from_mseconds(100 * u64::from(number)));
        fields.set_duration(gst::ClockTime::from_mseconds(100));
        assert_eq!(harness.push(buffer), Ok(gst::FlowSuccess::Ok));
    }
    assert!(harness.push_event(gst::event::Eos::new()));
    let bytes = harness.take_all_data_as_bytes().expect("a file");
    assert_eq!(&bytes[..4], b"RIFF");
    assert_eq!(&bytes[8..12], b"AVI ");
    let chunks = bytes.windows(4).filter(|id| *id == b"00dc").count();
    assert!(chunks >= 3, "{chunks} chunks");

    let events = events(&mut harness);
    let types: Vec<gst::EventType> = events.iter().map(|event| event.type_()).collect();
    use gst::EventType::{Caps, Eos, Segment, StreamStart, Tag};
    let types: Vec<_> = types.into_iter().filter(|it| *it != Tag).collect();
    assert_eq!(types, [StreamStart, Caps, Segment, Eos]);
    for event in &events {
        match event.view() {
            gst::EventView::Caps(caps) => {
                assert_eq!(caps.caps().to_string(), "video/x-msvideo");
            }
            gst::EventView::Segment(segment) => {
                assert_eq!(segment.segment().format(), gst::Format::Bytes);
            }
            _ => {}
        }
    }
}

#[test]
fn parallelenc_gives_each_picture_its_own_times_and_takes_a_flush() {
    init();
    let mut harness = Harness::new_parse("parallelenc encoder=jpegenc threads=2");
    harness.set_src_caps_str("video/x-raw,format=I420,width=16,height=16,framerate=10/1");
    let send = |harness: &mut Harness, from: u64| {
        // No grid: each comes 7 ms later than the last but one would have it.
        let times: Vec<_> = (from..from + 5)
            .map(|n| gst::ClockTime::from_mseconds(100 * n + 7 * n * n))
            .collect();
        for pts in &times {
            let mut buffer = gst::Buffer::from_mut_slice(vec![128; 16 * 16 * 3 / 2]);
            buffer.get_mut().expect("nobody else has it").set_pts(*pts);
            assert_eq!(harness.push(buffer), Ok(gst::FlowSuccess::Ok));
        }
        let got: Vec<_> = times
            .iter()
            .map(|_| harness.pull().expect("a picture").pts())
            .collect();
        assert_eq!(got, times.into_iter().map(Some).collect::<Vec<_>>());
    };
    send(&mut harness, 0);
    assert!(harness.push_event(gst::event::FlushStart::new()));
    assert!(harness.push_event(gst::event::FlushStop::new(true)));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    assert!(harness.push_event(gst::event::Segment::new(&segment)));
    send(&mut harness, 10);
}
