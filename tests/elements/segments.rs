// SPDX-License-Identifier: MIT OR Apache-2.0
//! Streams without a segment, and such as are played backward, into the sinks that record: they are in the file, as
//! GStreamer's own sinks have them, or there is one error that says why not.

use gst::prelude::*;

use crate::circularsink::rig;
use crate::common::assert_mentions;
use crate::random_cameras::{numbers_in, read};
use crate::random_streams::{Hand, Sink, segment};

const FRAME: u64 = rig::FRAME;
const JPEGS: u64 = 30;

fn jpegs() -> rig::Encoded {
    rig::encoded("jpegenc", JPEGS)
}

/// The picture at a place, with another time.
fn at(stream: &rig::Encoded, number: u64, time: u64) -> gst::Buffer {
    let mut buffer = stream.buffers[number as usize].copy();
    let it = buffer.get_mut().unwrap();
    it.set_pts(gst::ClockTime::from_nseconds(time));
    it.set_dts(gst::ClockTime::NONE);
    it.set_duration(gst::ClockTime::from_nseconds(FRAME));
    buffer
}

fn bytes(buffer: &gst::BufferRef) -> Vec<u8> {
    buffer.map_readable().unwrap().to_vec()
}

/// Has the file of a hand these pictures, and its messages their number.
fn assert_recorded(hand: &Hand, kind: Sink, sent: &[gst::Buffer]) {
    let said = hand.until_eos().unwrap();
    let all = sent.len();
    if matches!(kind, Sink::Record | Sink::Circular) {
        assert_eq!((said.frames, said.dropped), (all as u64, 0), "{said:?}");
    }
    assert!(said.warnings.is_empty(), "{said:?}");
    let files = hand.files();
    assert_eq!(files.len(), 1, "{files:?}");
    let (found, _) = read(&files[0]);
    let pictures = found.iter().map(|(bytes, _)| bytes.clone());
    assert!(
        pictures.eq(sent.iter().map(|buffer| bytes(buffer))),
        "{} of {all} pictures in {files:?}, or others",
        found.len()
    );
    let first = found[0].1;
    for (number, (_, time)) in found.iter().enumerate() {
        let off = (time - first).abs_diff(number as u64 * FRAME);
        assert!(off <= 1_500_000, "{number}: {off} ns in {files:?}");
    }
}

/// A hand whose pad plays, and has these caps and perhaps a segment.
fn begun(
    kind: Sink,
    extension: &str,
    caps: &gst::Caps,
    segment: Option<gst::Event>,
) -> (Hand, gst::Pad) {
    let hand = Hand::new(kind, extension);
    let name = caps.structure(0).unwrap().name();
    let pad = hand.pad(!name.starts_with("audio/"));
    hand.pipeline.play();
    pad.push_event(gst::event::Caps::new(caps));
    if let Some(segment) = segment {
        pad.push_event(segment);
    }
    (hand, pad)
}

/// All of these, and the end.
fn push_all<'a>(pad: &gst::Pad, buffers: impl IntoIterator<Item = &'a gst::Buffer>) {
    for buffer in buffers {
        pad.push(buffer.clone()).unwrap();
    }
    pad.push_event(gst::event::Eos::new());
}

const SINKS: [(Sink, &str); 7] = [
    (Sink::Mux, "avi"),
    (Sink::Record, "avi"),
    (Sink::Record, "mkv"),
    (Sink::Record, "mov"),
    (Sink::Circular, "mkv"),
    (Sink::Circular, "mov"),
    (Sink::Ffmpeg, "mkv"),
];

#[test]
fn timestamps_without_a_segment_are_running_times() {
    for (kind, extension) in SINKS {
        let stream = jpegs();
        let (hand, pad) = begun(kind, extension, &stream.caps, None);
        let sent: Vec<_> = (0..JPEGS).map(|n| at(&stream, n, n * FRAME)).collect();
        push_all(&pad, &sent);
        assert_recorded(&hand, kind, &sent);
    }
}

#[test]
fn raw_pictures_without_a_segment_are_encoded() {
    for extension in ["mp4", "mkv", "ts", "avi", "h264"] {
        let hand = Hand::new(Sink::Record, extension);
        let pad = hand.pad(true);
        // Somebody drops it on the way.
        pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |_, info| {
            match info.event().map(|event| event.type_()) {
                Some(gst::EventType::Segment) => gst::PadProbeReturn::Drop,
                _ => gst::PadProbeReturn::Ok,
            }
        });
        hand.pipeline.play();
        pad.push_event(gst::event::Caps::new(
            &rig::RAW.parse::<gst::Caps>().unwrap(),
        ));
        pad.push_event(segment(0, 0));
        for number in 0..JPEGS {
            pad.push(rig::picture(number)).unwrap();
        }
        pad.push_event(gst::event::Eos::new());
        let said = hand.until_eos().unwrap();
        assert_eq!(said.frames, JPEGS, "{extension}: {said:?}");
        let (numbers, _) = numbers_in(&hand.files()[0]);
        assert_eq!(numbers, (0..JPEGS).collect::<Vec<_>>(), "{extension}");
    }
}

#[test]
fn what_goes_on_behind_a_flush_without_its_segment_is_recorded() {
    for extension in ["avi", "mkv", "mov"] {
        let stream = jpegs();
        // By this one, what comes behind the flush would be before its begin, and have come hours ago.
        let start = 10_000 * 1_000_000_000;
        let first = Some(segment(start, 0));
        let (hand, pad) = begun(Sink::Record, extension, &stream.caps, first);
        let time = |n| n * FRAME + if n < 10 { start } else { 0 };
        let sent: Vec<_> = (0..JPEGS).map(|n| at(&stream, n, time(n))).collect();
        for (number, buffer) in sent.iter().enumerate() {
            if number == 10 {
                pad.push_event(gst::event::FlushStart::new());
                pad.push_event(gst::event::FlushStop::new(false));
            }
            pad.push(buffer.clone()).unwrap();
        }
        pad.push_event(gst::event::Eos::new());
        assert_recorded(&hand, Sink::Record, &sent);
    }
}

#[test]
fn ffmpeg_gets_whole_samples() {
    crate::common::init();
    let (hand, pad) = begun(Sink::Ffmpeg, "mkv", &rig::raw_sound(), Some(segment(0, 0)));
    let all = bytes(&rig::samples(0..20_000));
    for piece in all.chunks(1001) {
        pad.push(gst::Buffer::from_slice(piece.to_vec())).unwrap();
    }
    pad.push_event(gst::event::Eos::new());
    hand.until_eos().unwrap();
    let read = crate::common::Pipeline::launch(&format!(
        "filesrc location={} ! matroskademux ! appsink name=s sync=false",
        hand.files()[0].display()
    ));
    read.play();
    let sink: gst_app::AppSink = read.element("s").downcast().unwrap();
    let packets: Vec<Vec<u8>> = crate::common::samples(&sink)
        .map(|sample| bytes(sample.buffer().unwrap()))
        .collect();
    // One behind the other they are the same bytes however they are cut.
    let is_whole = |packet: &Vec<u8>| packet.len().is_multiple_of(2);
    assert!(packets.iter().all(is_whole));
    let found = packets.concat();
    assert!(
        found == all,
        "{} of {} bytes, or others",
        found.len(),
        all.len()
    );
}

/// A segment of so many frames that is played backward; `ends` somewhere, or nowhere.
fn backward(frames: u64, ends: bool) -> gst::Event {
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_rate(-1.0);
    segment.set_stop(ends.then(|| gst::ClockTime::from_nseconds(frames * FRAME)));
    gst::event::Segment::new(&segment)
}

#[test]
fn pictures_that_are_played_backward_are_recorded_so() {
    for (kind, extension) in SINKS {
        let stream = jpegs();
        let (hand, pad) = begun(kind, extension, &stream.caps, Some(backward(JPEGS, true)));
        let sent: Vec<_> = (0..JPEGS)
            .rev()
            .map(|n| at(&stream, n, n * FRAME))
            .collect();
        push_all(&pad, &sent);
        assert_recorded(&hand, kind, &sent);
    }
}

#[test]
fn raw_pictures_that_are_played_backward_are_encoded_so() {
    crate::common::init();
    for extension in ["mp4", "mkv", "ts", "avi"] {
        let (hand, pad) = begun(
            Sink::Record,
            extension,
            &rig::RAW.parse::<gst::Caps>().unwrap(),
            Some(backward(JPEGS, true)),
        );
        for number in (0..JPEGS).rev() {
            pad.push(rig::picture(number)).unwrap();
        }
        pad.push_event(gst::event::Eos::new());
        let said = hand.until_eos().unwrap();
        assert_eq!(said.frames, JPEGS, "{extension}: {said:?}");
        let (numbers, _) = numbers_in(&hand.files()[0]);
        assert_eq!(numbers, (0..JPEGS).rev().collect::<Vec<_>>(), "{extension}");
    }
}

/// Pushes until the sink refuses, and has one error say that it is played backward.
fn assert_refused(
    hand: &Hand,
    pad: &gst::Pad,
    buffers: impl Iterator<Item = gst::Buffer>,
    what: &str,
) {
    // What is refused is pushed no more.
    let mut buffers = buffers;
    let is_refused = buffers.any(|buffer| pad.push(buffer).is_err());
    assert!(is_refused, "{what}: it takes everything");
    let bus = hand.pipeline.0.bus().unwrap();
    let first = bus.timed_pop_filtered(crate::common::HANG, &[gst::MessageType::Error]);
    let text = |message: &gst::Message| match message.view() {
        gst::MessageView::Error(error) => error.error().message().to_owned(),
        _ => String::new(),
    };
    let first = first.unwrap_or_else(|| panic!("{what}: no error"));
    assert_mentions(&text(&first), &["is played backward", "play it forward"]);
    hand.pipeline.0.set_state(gst::State::Ready).unwrap();
    let second = bus.pop_filtered(&[gst::MessageType::Error]);
    assert!(second.is_none(), "{what}: {second:?}");
}

#[test]
fn what_is_nothing_backward_is_refused_once() {
    let h264 = rig::encoded(&rig::x264(12, 0), 30);
    for (kind, extension) in [
        (Sink::Record, "mp4"),
        (Sink::Record, "mkv"),
        (Sink::Circular, "mkv"),
        (Sink::Ffmpeg, "mkv"),
    ] {
        let (hand, pad) = begun(kind, extension, &h264.caps, Some(backward(30, true)));
        let buffers = (0..30).map(|n| at(&h264, n, n * FRAME));
        assert_refused(&hand, &pad, buffers, &format!("{kind:?} {extension}"));
    }
    // Sound, and pictures that begin nowhere.
    let stream = jpegs();
    for kind in [Sink::Mux, Sink::Record, Sink::Circular, Sink::Ffmpeg] {
        let extension = if matches!(kind, Sink::Mux) {
            "avi"
        } else {
            "mkv"
        };
        let (hand, pad) = begun(kind, extension, &rig::raw_sound(), Some(backward(30, true)));
        let sound = (0..30).map(|n| rig::samples(n * 1000..(n + 1) * 1000));
        assert_refused(&hand, &pad, sound, &format!("{kind:?}, sound"));
        let (hand, pad) = begun(kind, extension, &stream.caps, Some(backward(30, false)));
        let buffers = (0..30).map(|n| at(&stream, n, n * FRAME));
        assert_refused(&hand, &pad, buffers, &format!("{kind:?}, from nowhere"));
    }
}

#[test]
fn what_is_played_twice_as_fast_lasts_half_as_long() {
    for (kind, extension) in SINKS {
        let stream = jpegs();
        let (hand, pad) = begun(kind, extension, &stream.caps, None);
        let mut fast = gst::FormattedSegment::<gst::ClockTime>::new();
        fast.set_rate(2.0);
        pad.push_event(gst::event::Segment::new(&fast));
        let sent: Vec<_> = (0..JPEGS).map(|n| at(&stream, n, 2 * n * FRAME)).collect();
        push_all(&pad, &sent);
        assert_recorded(&hand, kind, &sent);
    }
}

/// `circularsink` alone, which knows headers of a stream from its pictures.
#[test]
fn headers_that_come_alone_are_no_pictures() {
    let stream = rig::encoded(
        &format!(
            "{} ! video/x-h264,stream-format=byte-stream",
            rig::x264(10, 0)
        ),
        30,
    );
    let sets = {
        // What the first picture begins with: the sets, up to the first slice or SEI.
        let all = bytes(&stream.buffers[0]);
        let is_slice =
            |at: &usize| all[*at..].starts_with(&[0, 0, 1]) && matches!(all[at + 3] & 0x1f, 5 | 6);
        let slice = (0..all.len() - 4).find(is_slice).unwrap();
        all[..slice].to_vec()
    };
    let is_set = |kind: u8| {
        sets.windows(4)
            .any(|it| it[..3] == [0, 0, 1] && it[3] & 0x1f == kind)
    };
    assert!(is_set(7) && is_set(8), "{sets:?}");
    let (hand, pad) = begun(Sink::Circular, "mkv", &stream.caps, Some(segment(0, 0)));
    for number in 0..30 {
        if number % 10 == 0 {
            let mut header = gst::Buffer::from_slice(sets.clone());
            header
                .get_mut()
                .unwrap()
                .set_flags(gst::BufferFlags::HEADER);
            pad.push(header).unwrap();
        }
        let mut picture = at(&stream, number, number * FRAME);
        if number == 20 {
            // A picture with its sets is called a header too.
            let it = picture.get_mut().unwrap();
            it.set_flags(gst::BufferFlags::HEADER);
            it.set_pts(gst::ClockTime::NONE);
        }
        pad.push(picture).unwrap();
    }
    pad.push_event(gst::event::Eos::new());
    let said = hand.until_eos().unwrap();
    assert_eq!((said.frames, said.dropped), (30, 0), "{said:?}");
    assert!(said.warnings.is_empty(), "{said:?}");
    let decoded = rig::decode_picture(&hand.files()[0]);
    assert_eq!(decoded.numbers(), (0..30).collect::<Vec<_>>());
    let (_, shown) = numbers_in(&hand.files()[0]);
    let expected: Vec<_> = (0..30).map(|n| n * FRAME).collect();
    let off = shown
        .iter()
        .zip(&expected)
        .map(|(a, b)| (a - shown[0]).abs_diff(*b));
    assert!(off.max().is_some_and(|off| off <= 1_500_000), "{shown:?}");
}
