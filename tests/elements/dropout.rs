// SPDX-License-Identifier: MIT OR Apache-2.0
//! A source that is away for half a minute: what was kept before is there when it comes back, and a
//! message tells of the gap.

use std::path::{Path, PathBuf};

use gst::prelude::*;

use crate::circularsink::rig::{FRAME, Rig, decode, encoded};

/// How long it is away.
const AWAY: u64 = 30_000_000_000;

fn rig() -> Rig {
    let mut stream = encoded("jpegenc", 200);
    for buffer in &mut stream.buffers {
        // One time is enough to change.
        buffer.make_mut().set_dts(gst::ClockTime::NONE);
    }
    let rig = Rig::new(stream, false);
    // A gap that counted would leave nothing.
    rig.sink.set_property("max-time", 20 * FRAME);
    rig
}

/// Has what is pushed later come `by` later.
fn delay(rig: &mut Rig, by: u64) {
    let next = rig.next;
    for buffer in &mut rig.stream.buffers[next..] {
        let pts = buffer.pts().unwrap() + gst::ClockTime::from_nseconds(by);
        buffer.make_mut().set_pts(pts);
    }
}

/// Says upstream is live, as a camera's elements do.
fn be_live(rig: &Rig) {
    rig.video
        .add_probe(gst::PadProbeType::QUERY_UPSTREAM, |_, info| {
            if let Some(gst::PadProbeData::Query(query)) = &mut info.data
                && let gst::QueryViewMut::Latency(latency) = query.view_mut()
            {
                latency.set(true, gst::ClockTime::ZERO, gst::ClockTime::NONE);
                return gst::PadProbeReturn::Handled;
            }
            gst::PadProbeReturn::Ok
        });
}

/// Triggers after one more frame and records a few; the file's frames have these numbers.
fn record(rig: &mut Rig) -> (PathBuf, Vec<u64>) {
    rig.trigger(None);
    rig.push(5);
    rig.finish();
    rig.push(5);
    let path = rig.finished().path().to_owned();
    let numbers = decode(&path, false).numbers();
    (path, numbers)
}

fn gap(rig: &Rig) -> gst::Structure {
    rig.wait("circularsink-gap")
}

fn time(message: &gst::StructureRef, field: &str) -> u64 {
    message
        .get::<u64>(field)
        .unwrap_or_else(|error| panic!("{message}: {error}"))
}

/// What was kept before the gap, and what came behind it.
fn assert_kept(numbers: &[u64], gap_at: u64) {
    let first = numbers[0];
    assert!((gap_at - 22..=gap_at - 18).contains(&first), "{numbers:?}");
    assert_eq!(
        numbers,
        (first..first + numbers.len() as u64).collect::<Vec<_>>()
    );
    assert!(numbers.len() > 20);
}

#[test]
fn what_was_kept_outlasts_a_gap() {
    let mut rig = rig();
    rig.start();
    rig.push(60);
    delay(&mut rig, AWAY);
    rig.push(1);
    let told = gap(&rig);
    assert_eq!(told.get::<&str>("stream").unwrap(), "video");
    assert_eq!(time(&told, "start-running-time"), 60 * FRAME);
    assert_eq!(time(&told, "end-running-time"), 60 * FRAME + AWAY);
    let length = time(&told, "end-utc") - time(&told, "start-utc");
    assert_eq!(length, AWAY);
    // No time of the stream: it is not told as some, either.
    let level = rig.sink.property::<u64>("level-time");
    assert!(level < 30 * FRAME, "{level}");
    let (path, numbers) = record(&mut rig);
    assert_kept(&numbers, 61);
    // The picture stands still as long as it did.
    let frames = decode(&path, false).frames;
    let jump = frames.windows(2).map(|pair| pair[1].0 - pair[0].0).max();
    assert!(jump.unwrap().abs_diff(AWAY + FRAME) < 2_000_000, "{jump:?}");
    // In time what was before it is forgotten as everything is.
    rig.push(60);
    let (_, numbers) = record(&mut rig);
    assert!(numbers[0] > 100, "{numbers:?}");
}

#[test]
fn a_recording_goes_on_behind_a_gap() {
    let mut rig = rig();
    rig.sink.set_property("recording", true);
    rig.start();
    rig.push(60);
    delay(&mut rig, AWAY);
    rig.push(60);
    rig.eos();
    gap(&rig);
    let done = rig.finished();
    assert_eq!(
        decode(done.path(), false).numbers(),
        (0..120).collect::<Vec<_>>()
    );
    assert_eq!(done.end.unwrap() - done.start.unwrap(), 120 * FRAME + AWAY);
}

#[test]
fn slow_pictures_are_no_gaps() {
    let mut rig = rig();
    rig.start();
    rig.push(1);
    for _ in 0..20 {
        // One each five seconds, and none in between.
        delay(&mut rig, 5_000_000_000);
        rig.push(1);
    }
    rig.trigger(None);
    rig.finish();
    rig.push(1);
    rig.wait("circularsink-recording-finished");
    rig.stop();
    let messages = std::iter::from_fn(|| rig.bus().pop());
    let gaps = messages.filter(|message| message.has_name("circularsink-gap"));
    assert_eq!(gaps.count(), 0);
}

#[test]
fn a_live_source_that_begins_anew_leaves_what_was_kept() {
    for way in ["flush", "stream-start", "end"] {
        let mut rig = rig();
        be_live(&rig);
        rig.start();
        rig.push(60);
        match way {
            "flush" => {
                rig.video.push_event(gst::event::FlushStart::new());
                rig.video.push_event(gst::event::FlushStop::new(false));
            }
            "end" => {
                rig.eos();
                rig.wait_eos();
                // What is kept can be recorded meanwhile.
                rig.trigger(None);
                let path = rig.finished().path().to_owned();
                assert!(decode(&path, false).numbers().len() >= 20);
            }
            _ => (),
        }
        delay(&mut rig, AWAY);
        rig.announce();
        rig.push(1);
        assert_eq!(time(&gap(&rig), "start-running-time"), 60 * FRAME, "{way}");
        let (_, numbers) = record(&mut rig);
        assert_kept(&numbers, 61);
    }
}

#[test]
fn timestamps_that_begin_at_zero_again_leave_what_was_kept() {
    let mut rig = rig();
    be_live(&rig);
    rig.start();
    rig.push(60);
    let next = rig.next;
    for (number, buffer) in (0..).zip(&mut rig.stream.buffers[next..]) {
        buffer
            .make_mut()
            .set_pts(gst::ClockTime::from_nseconds(number * FRAME));
    }
    rig.announce();
    rig.push(1);
    let (_, numbers) = record(&mut rig);
    assert_kept(&numbers, 61);
}

#[test]
fn a_board_that_is_unplugged_leaves_what_was_kept() {
    use k210_sim::{Board, BootMode, Config, SerialPort};
    let config = Config {
        boot: BootMode::Repl,
        ..Config::default()
    };
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join("board");
    let port = SerialPort::new(Board::new(config).unwrap(), Some(&link)).unwrap();
    let pipeline = crate::common::Pipeline::launch(&format!(
        "k210camerasrc name=camera device={} ! circularsink name=sink max-time=60000000000 \
         location={}/r%d.avi",
        link.display(),
        directory.path().display()
    ));
    let bus = pipeline.0.bus().unwrap();
    let sink = pipeline.element("sink");
    let wait = |name: &str| loop {
        let types = [gst::MessageType::Element, gst::MessageType::Error];
        let message = bus.timed_pop_filtered(crate::common::HANG, &types);
        let message = message.unwrap_or_else(|| panic!("no {name}"));
        let structure = message.structure().unwrap_or_else(|| panic!("{message:?}"));
        if structure.name() == name {
            return structure.to_owned();
        }
    };
    pipeline.play();
    let level = || sink.property::<u64>("level-time");
    crate::common::until("a second is kept", || level() > 1_000_000_000);
    port.unplug();
    wait("k210-disconnected");
    let kept = level();
    // Longer than what counts as a gap.
    std::thread::sleep(std::time::Duration::from_millis(2500));
    port.replug().expect("it is there again");
    let told = wait("circularsink-gap");
    assert!(
        time(&told, "end-utc") - time(&told, "start-utc") >= 2_000_000_000,
        "{told}"
    );
    assert!(level() >= kept, "{} of {kept}", level());
    sink.emit_by_name::<u32>("trigger", &[&None::<String>]);
    sink.emit_by_name::<()>("finish", &[]);
    let done = wait("circularsink-recording-finished");
    let start = time(&done, "start-running-time");
    assert!(start < time(&told, "start-running-time"), "{done}");
    assert!(Path::new(&done.get::<String>("location").unwrap()).exists());
}
