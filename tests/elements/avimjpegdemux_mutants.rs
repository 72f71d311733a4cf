// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files with something wrong in them in pipelines: each comes to its end or to an error, before and after seeks
//! forward and backward, and is left at once when asked. `crates/avi/tests/mutants.rs` tries more of them, and looks
//! at what is shown and told.
//! `MUTANTS` and `MUTANT` in the environment say which are tried, as there.

use std::time::{Duration, Instant};

use gst::prelude::*;

use crate::common::{HANG, Pipeline};
use crate::mutants::{Dice, bases, mutant, seeds};

/// What takes 200 ms at most on a machine that does nothing else (`make soak-stops`).
const STOPS: Duration = Duration::from_secs(10);

/// A pipeline that has a sink for each stream that comes.
fn pipeline(source: &str) -> Pipeline {
    let pipeline = Pipeline::launch(&format!("{source} ! avimjpegdemux name=d"));
    let weak = pipeline.0.downgrade();
    pipeline.element("d").connect_pad_added(move |_, pad| {
        let Some(pipeline) = weak.upgrade() else {
            return;
        };
        let queue = gst::ElementFactory::make("queue").build();
        let sink = gst::ElementFactory::make("fakesink")
            .property("async", false)
            .property("sync", false)
            .build();
        let (queue, sink) = (queue.expect("it is there"), sink.expect("it is there"));
        pipeline.add_many([&queue, &sink]).expect("they are new");
        queue.link(&sink).expect("both take all");
        // A pipeline that is being stopped starts nothing any more.
        let mut started = [&sink, &queue]
            .into_iter()
            .map(|it| it.sync_state_with_parent());
        if started.all(|it| it.is_ok()) {
            let _ = pad.link(&queue.static_pad("sink").expect("a pad"));
        }
    });
    pipeline
}

/// Waits for the end or an error; which it was.
fn ends(pipeline: &Pipeline, what: &str) -> gst::MessageType {
    let bus = pipeline.0.bus().expect("a bus");
    let last = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = bus.timed_pop_filtered(HANG, &last);
    let message = message.unwrap_or_else(|| panic!("{what}: it hangs"));
    if let gst::MessageView::Error(error) = message.view() {
        assert!(
            !error.error().to_string().contains("anicked"),
            "{what}: {error:?}"
        );
    }
    message.type_()
}

fn seek(pipeline: &Pipeline, dice: &mut Dice) -> bool {
    let at = |dice: &mut Dice| {
        gst::ClockTime::from_mseconds(*dice.one(&[0, 1, 100, 400, 1000, 100_000]))
    };
    let flags = *dice.one(&[
        gst::SeekFlags::empty(),
        gst::SeekFlags::KEY_UNIT,
        gst::SeekFlags::KEY_UNIT | gst::SeekFlags::SNAP_NEAREST,
        gst::SeekFlags::ACCURATE,
        gst::SeekFlags::TRICKMODE,
    ]);
    let flags = flags | gst::SeekFlags::FLUSH;
    let start = at(dice);
    let stop = start + at(dice);
    let rate = *dice.one(&[1.0, -1.0, 2.0, -4.0]);
    pipeline
        .0
        .seek(
            rate,
            flags,
            gst::SeekType::Set,
            start,
            gst::SeekType::Set,
            stop,
        )
        .is_ok()
}

fn stop(pipeline: &Pipeline, what: &str) {
    let begun = Instant::now();
    pipeline.0.set_state(gst::State::Null).expect("it stops");
    let took = begun.elapsed();
    assert!(took < STOPS, "{what}: {took:?} to stop");
}

#[test]
fn whatever_is_wrong_with_a_file_a_pipeline_comes_to_its_end() {
    let scratch = tempfile::tempdir().expect("a directory");
    let path = scratch.path().join("a.avi");
    let bases = bases();
    let ways = [
        "",
        "blocksize=1777",
        "blocksize=1777 ! queue",
        "blocksize=1777 ! queue2",
    ];
    for seed in seeds(0..150) {
        let (base, bytes) = mutant(&bases, seed);
        std::fs::write(&path, bytes).expect("written");
        let mut dice = Dice::new(seed);
        for way in ways {
            let what = format!("{seed}, {}, {way}", base.name);
            let source = format!("filesrc location={} {way}", path.display());
            let pipeline = pipeline(&source);
            if pipeline.0.set_state(gst::State::Playing).is_err() {
                continue;
            }
            let mut end = ends(&pipeline, &what);
            for _ in 0..3 {
                if end == gst::MessageType::Error || !seek(&pipeline, &mut dice) {
                    break;
                }
                end = ends(&pipeline, &what);
            }
            stop(&pipeline, &what);
            // And amid it.
            if pipeline.0.set_state(gst::State::Playing).is_ok() {
                seek(&pipeline, &mut dice);
                stop(&pipeline, &what);
            }
        }
    }
}
