// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is there stays, what goes wrong is said, and no setting or storm of triggers does harm.

use std::path::Path;

use gst::glib;
use gst::prelude::*;

use super::rig::*;

/// The error that a pipeline is refused to start with.
fn refusal(rig: &Rig) -> String {
    let _ = rig.pipeline.set_state(gst::State::Playing);
    let error = rig.error();
    let more = rig.bus().pop_filtered(&[gst::MessageType::Error]);
    assert!(more.is_none(), "one failure, one error: {more:?}");
    rig.stop();
    error
}

#[test]
fn what_can_not_be_is_said_at_the_start() {
    let rig = Rig::new(encoded("jpegenc", 200), false);
    let good = rig.path("a%d.avi");
    for (property, value, says) in [
        (
            "location",
            rig.path("a%s.avi"),
            "'%s' is no place for a number",
        ),
        (
            "location",
            rig.path("%d-%d.avi"),
            "has 2 places for a number",
        ),
        (
            "location",
            rig.path("none/a.avi"),
            "none/a.avi' can't be created",
        ),
        ("location", rig.path("a.xyz"), "no format is known for"),
        ("location", rig.path("50%.avi"), "is no place for a number"),
        (
            "pts-location",
            rig.path("none/a.txt"),
            "none/a.txt' can't be created",
        ),
        (
            "pts-location",
            rig.path("%s.txt"),
            "'%s' is no place for a number",
        ),
        (
            "muxer-factory",
            "nosuchmux".into(),
            "nosuchmux is not installed",
        ),
        (
            "sink-factory",
            "nosuchsink".into(),
            "nosuchsink is not installed",
        ),
    ] {
        rig.sink.set_property("location", &good);
        for name in ["pts-location", "muxer-factory", "sink-factory"] {
            rig.sink.set_property(name, None::<String>);
        }
        rig.sink.set_property(property, &value);
        let error = refusal(&rig);
        assert!(
            error.contains(says),
            "{property}={value}: '{error}' does not say '{says}'"
        );
    }
    // A number in the directory's name is known when there is one, and a sequence has two.
    for name in ["%d/a.avi", "%d-%04d.jpg"] {
        rig.locate(name);
        rig.sink.set_property("sink-factory", None::<String>);
        let started = rig.pipeline.set_state(gst::State::Playing);
        assert!(started.is_ok(), "{name}");
        rig.stop();
    }
}

#[test]
fn a_format_that_no_file_can_have_is_refused_before_a_trigger() {
    let mut rig = Rig::new(encoded("jpegenc", 200), false);
    rig.locate("a%d.mp4");
    rig.start();
    let taken = rig.video.push(rig.stream.buffers[0].clone());
    assert_eq!(taken, Err(gst::FlowError::Eos));
    let error = rig.error();
    crate::common::assert_mentions(&error, &["mp4mux can't store video", "image/jpeg"]);
    rig.stop();

    // With a name that suits it records.
    rig.locate("a%d.mov");
    rig.start();
    rig.push(20);
    rig.trigger(None);
    rig.push(20);
    rig.finish();
    rig.push(5);
    assert_sound(rig.finished().path());

    // What the stream changes to is looked at as well.
    rig.locate("b%d.mov");
    let png = gst::Caps::builder("image/x-jpc")
        .field("sampling", "RGB")
        .build();
    rig.video.push_event(gst::event::Caps::new(&png));
    let taken = rig.video.push(rig.stream.buffers[0].clone());
    assert_eq!(taken, Err(gst::FlowError::Eos));
}

#[test]
fn a_limit_that_no_picture_fits_in_keeps_one_and_records() {
    for encoder in ["jpegenc".to_owned(), x264(50, 0)] {
        for limit in [1_u64, 100] {
            let mut rig = Rig::new(encoded(&encoder, 200), false);
            rig.sink.set_property("max-bytes", limit);
            rig.start();
            rig.push(60);
            rig.trigger(None);
            rig.push(60);
            rig.finish();
            rig.push(5);
            let done = rig.finished();
            assert!(decode(done.path(), false).frames.len() >= 55, "{encoder}");
            let warnings = rig.warnings.lock().expect("nobody panics").clone();
            assert!(
                matches!(&warnings[..], [one] if one.contains("larger than max-bytes")),
                "{encoder}, {limit}: {warnings:#?}"
            );
            // Another that is too small as well is told of anew.
            rig.sink.set_property("max-bytes", 2_u64);
            rig.push(60);
            assert_eq!(rig.warnings.lock().expect("nobody panics").len(), 2);
            rig.stop();
        }
    }
}

/// Whichever stream it is that goes beyond the limit.
#[test]
fn a_limit_that_picture_and_sound_exceed_is_told_of_once() {
    let stream = encoded(&x264(50, 0), 200);
    let gop: usize = stream.buffers[..50].iter().map(|it| it.size()).sum();
    for limit in [gop / 4, gop / 2, gop, gop + gop / 4] {
        let mut rig = Rig::new(stream.clone(), true);
        rig.sink.set_property("max-bytes", limit as u64);
        rig.start();
        rig.push(180);
        rig.stop();
        let warnings = rig.warnings.lock().expect("nobody panics").clone();
        assert_eq!(warnings.len(), 1, "{limit}: {warnings:#?}");
    }
}

#[test]
fn an_application_that_names_recordings_chooses_their_format() {
    let mut rig = Rig::new(encoded("jpegenc", 200), false);
    rig.locate("a%d.mp4");
    let name = rig.path("chosen.mov");
    rig.sink
        .connect("format-location", false, move |_| Some(name.to_value()));
    rig.start();
    rig.push(20);
    rig.trigger(None);
    rig.push(20);
    rig.finish();
    rig.push(5);
    assert_sound(rig.finished().path());
}

#[test]
fn a_name_that_is_taken_is_told_of_at_the_start() {
    let rig = Rig::new(encoded("jpegenc", 200), false);
    let told = |name: &str, overwrite: bool| {
        rig.locate(name);
        rig.sink.set_property("overwrite", overwrite);
        rig.start();
        rig.stop();
        std::mem::take(&mut *rig.warnings.lock().expect("nobody panics"))
    };
    for name in ["once.mkv", "0.mkv", "shot-000000.jpg"] {
        std::fs::write(rig.path(name), "kept").expect("the file is written");
    }
    for name in ["once.mkv", "shot.jpg"] {
        let warnings = told(name, false);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        let says = |words: &str| warnings[0].contains(words);
        assert!(
            says("exists") && says("overwrite=true") && says("%05d"),
            "{warnings:?}"
        );
        assert_eq!(told(name, true), [""; 0]);
    }
    for name in ["%d.mkv", "other.mkv", "%Y.mkv"] {
        assert_eq!(told(name, false), [""; 0], "{name}");
    }
}

#[test]
fn recordings_of_one_name_come_one_after_the_other() {
    for name in ["a.mkv", "a.avi", "a.mov", "a.jpg"] {
        let mut rig = Rig::new(encoded("jpegenc", 200), false);
        rig.locate(name);
        rig.sink.set_property("overwrite", true);
        rig.start();
        rig.push(20);
        // Each waits for another picture before it is closed, and meanwhile the next one is asked for.
        for recording in [true, false, true, false, true] {
            rig.sink.set_property("recording", recording);
        }
        rig.push(30);
        rig.eos();
        let done = [rig.finished(), rig.finished(), rig.finished()];
        rig.wait_eos();
        assert_eq!(done.each_ref().map(|it| it.id), [0, 1, 2], "{name}");
        assert_eq!(done[2].frames, 50, "{name}");
        let warnings = std::mem::take(&mut *rig.warnings.lock().expect("nobody panics"));
        assert_eq!(warnings, [""; 0], "{name}");
        // What the file has is the last one's.
        if name == "a.jpg" {
            let pictures = std::fs::read_dir(rig.dir.path()).expect("it is there");
            assert_eq!(pictures.count(), 50);
        } else {
            let numbers = decode_picture(done[2].path()).numbers();
            assert_eq!(numbers, (0..50).collect::<Vec<_>>(), "{name}");
        }
    }
}

#[test]
fn a_recording_whose_name_is_given_to_the_next_one_ends_with_the_element() {
    let mut rig = Rig::new(encoded("jpegenc", 200), false);
    rig.locate("a.mkv");
    rig.sink.set_property("overwrite", true);
    rig.start();
    rig.push(20);
    for recording in [true, false, true] {
        rig.sink.set_property("recording", recording);
    }
    rig.pipeline.set_state(gst::State::Ready).expect("it stops");
    let done = [rig.finished(), rig.finished()];
    assert_eq!(done.each_ref().map(|it| it.id), [0, 1]);
    let numbers = decode_picture(done[1].path()).numbers();
    assert_eq!(numbers, (0..20).collect::<Vec<_>>());
}

#[test]
fn pictures_of_the_last_run_stay() {
    let mut rig = Rig::new(encoded("jpegenc", 200), false);
    for name in ["shot-000000.jpg", "00-000000.jpg", "01-000003.jpg"] {
        std::fs::write(rig.path(name), "kept").expect("the file is written");
    }
    let kept = |rig: &Rig, name: &str| std::fs::read(rig.path(name)).is_ok_and(|it| it == b"kept");
    rig.locate("shot.jpg");
    rig.start();
    rig.push(20);
    rig.trigger(None);
    let (_, error) = rig.failed();
    assert!(error.contains("shot-000000.jpg' exists"), "{error}");
    assert!(kept(&rig, "shot-000000.jpg"));

    // The number that is in use is passed over; a picture in the midst of a sequence stays too.
    rig.locate("%02d.jpg");
    rig.trigger(None);
    rig.push(20);
    let (done, error) = rig.failed();
    assert!(error.contains("01-000003.jpg' exists"), "{error}");
    assert_eq!(done.path(), Path::new(&rig.path("01-%06d.jpg")));
    assert!(kept(&rig, "00-000000.jpg") && kept(&rig, "01-000003.jpg"));
    assert_sound(Path::new(&rig.path("01-000002.jpg")));

    rig.trigger(None);
    rig.push(20);
    rig.finish();
    rig.push(5);
    let done = rig.finished();
    assert_eq!(done.path(), Path::new(&rig.path("02-%06d.jpg")));
    for number in [0, done.frames - 1] {
        assert_sound(Path::new(&rig.path(&format!("02-{number:06}.jpg"))));
    }

    rig.sink.set_property("overwrite", true);
    rig.locate("shot.jpg");
    rig.trigger(None);
    rig.push(20);
    rig.finish();
    rig.push(5);
    rig.finished();
    assert!(!kept(&rig, "shot-000000.jpg"));
}

#[test]
fn links_are_not_followed() {
    let mut rig = Rig::new(encoded("jpegenc", 200), false);
    let target = rig.path("elsewhere.avi");
    std::os::unix::fs::symlink(&target, rig.path("link.avi")).expect("there is a link");
    std::os::unix::fs::symlink(&target, rig.path("link.txt")).expect("there is a link");
    rig.locate("link.avi");
    rig.start();
    rig.push(20);
    rig.trigger(None);
    let (_, error) = rig.failed();
    assert!(error.contains("link.avi' exists"), "{error}");
    // A file of times that can't be is no reason not to record.
    rig.locate("good.avi");
    rig.sink.set_property("pts-location", rig.path("link.txt"));
    rig.trigger(None);
    rig.push(20);
    rig.finish();
    rig.push(5);
    rig.finished();
    let warnings = rig.warnings.lock().expect("nobody panics").clone();
    assert!(
        warnings.iter().any(|it| it.contains("link.txt' exists")),
        "{warnings:?}"
    );
    assert!(!Path::new(&target).exists());
}

#[test]
fn a_recording_that_fails_is_a_warning_too() {
    let mut rig = Rig::new(encoded("jpegenc", 200), false);
    rig.start();
    rig.push(20);
    rig.trigger(Some(&rig.path("none/a.avi")));
    let (_, error) = rig.failed();
    until("the warning", || {
        let warnings = rig.warnings.lock().expect("nobody panics");
        *warnings == [error.clone()]
    });
    // One that was called off before it began did not fail.
    rig.sink.set_property("split-on-trigger", true);
    for name in ["good.avi", "none.avi"] {
        rig.trigger(Some(&rig.path(name)));
    }
    rig.finish();
    rig.push(5);
    rig.eos();
    rig.wait_eos();
    assert_sound(Path::new(&rig.path("good.avi")));
    let warnings = rig.warnings.lock().expect("nobody panics").clone();
    assert_eq!(warnings, [error]);
}

#[test]
fn a_storm_of_triggers_is_a_few_recordings() {
    let mut rig = Rig::new(encoded(&x264(30, 0), 600), false);
    rig.sink.set_property("split-on-trigger", true);
    rig.start();
    rig.push(10);
    let mut ids = std::collections::BTreeSet::new();
    for round in 0..20 {
        for _ in 0..100 {
            ids.insert(rig.trigger(None));
        }
        rig.push(if round % 2 == 0 { 1 } else { 30 });
    }
    // Each has threads of its own.
    assert!(ids.len() <= 20, "{ids:?}");
    rig.eos();
    let mut frames = 0;
    for _ in &ids {
        frames += rig.finished().frames;
    }
    rig.wait_eos();
    assert_eq!(frames, rig.next as u64);
    assert_eq!(stats_of(&rig, "recordings-failed"), 0);
}

#[test]
fn a_recording_of_a_stream_that_brings_nothing_is_told() {
    let rig = Rig::new(encoded("jpegenc", 1), true);
    rig.sink.set_property("recording", true);
    rig.start();
    rig.eos();
    let warning = rig
        .bus()
        .timed_pop_filtered(FAILSAFE, &[gst::MessageType::Warning]);
    let warning = warning.expect("it is told");
    let gst::MessageView::Warning(warning) = warning.view() else {
        unreachable!("nothing else was asked for");
    };
    let text = warning.error().to_string();
    assert!(text.contains("the stream ended before"), "{text}");
}

#[test]
fn no_more_recordings_are_open_than_may_be() {
    let mut rig = Rig::new(encoded("jpegenc", 200), false);
    rig.sink.set_property("max-recordings", 2u32);
    rig.start();
    rig.push(20);
    let names = ["a.avi", "b.avi", "c.avi"].map(|name| rig.path(name));
    let ids = names.each_ref().map(|name| rig.trigger(Some(name)));
    assert_eq!(ids, [0, 1, u32::MAX]);
    let (done, error) = rig.failed();
    assert_eq!(done.id, 2);
    assert!(
        error.contains("2 recordings are open already (max-recordings)"),
        "{error}"
    );
    rig.finish();
    rig.push(5);
    rig.finished();
    rig.finished();
    assert_eq!(rig.trigger(Some(&names[2])), 3);
    rig.push(5);
    rig.finish();
    rig.push(5);
    assert_eq!(rig.finished().path(), Path::new(&names[2]));
}

/// Values at and beyond the edges of a property.
fn extremes(pspec: &glib::ParamSpec) -> Vec<glib::Value> {
    if let Some(spec) = pspec.downcast_ref::<glib::ParamSpecUInt64>() {
        return vec![spec.minimum().to_value(), spec.maximum().to_value()];
    }
    if let Some(spec) = pspec.downcast_ref::<glib::ParamSpecUInt>() {
        return vec![spec.minimum().to_value(), spec.maximum().to_value()];
    }
    match pspec.value_type() {
        glib::Type::BOOL => vec![true.to_value(), false.to_value()],
        glib::Type::STRING => ["", "%", "/", "\u{1F3A5}", &"x".repeat(5000)]
            .map(|text| text.to_value())
            .into(),
        _ => Vec::new(),
    }
}

#[test]
fn no_value_of_a_property_ends_the_process() {
    let stream = encoded("jpegenc", 200);
    let properties = Rig::new(stream.clone(), false).sink.list_properties();
    let ours = properties.iter().filter(|pspec| {
        let flags = pspec.flags();
        pspec.owner_type().name() == "GstCircularSink" && flags.contains(glib::ParamFlags::WRITABLE)
    });
    for pspec in ours {
        for value in extremes(pspec) {
            let mut rig = Rig::new(stream.clone(), false);
            // What is written is not to be in the directory that the tests run in.
            let value = match value.get::<&str>() {
                Ok(name @ ("%" | "\u{1F3A5}")) if pspec.name().ends_with("location") => {
                    rig.path(name).to_value()
                }
                _ => value,
            };
            rig.sink.set_property_from_value(pspec.name(), &value);
            if rig.pipeline.set_state(gst::State::Playing).is_err() {
                continue;
            }
            rig.announce();
            rig.push(20);
            rig.trigger(None);
            rig.push(5);
            rig.eos();
            rig.stop();
        }
    }
}

#[test]
fn no_value_for_a_muxer_ends_the_process() {
    let mut rig = Rig::new(encoded("jpegenc", 200), false);
    rig.sink.set_property("muxer-factory", "matroskamux");
    rig.start();
    rig.push(20);
    for (property, value) in [
        ("version", 0.to_send_value()),
        ("version", i32::MAX.to_send_value()),
        ("version", "x".to_send_value()),
        ("timecodescale", i64::MIN.to_send_value()),
        ("timecodescale", u64::MAX.to_send_value()),
        ("streamable", 3.5.to_send_value()),
        ("min-index-interval", (-1).to_send_value()),
        ("name", None::<&str>.to_send_value()),
        ("offset-to-zero", gst::Caps::new_any().to_send_value()),
        ("parent", 1.to_send_value()),
    ] {
        let fields = gst::Structure::builder("properties").field(property, value);
        rig.sink.set_property("muxer-properties", fields.build());
        rig.trigger(Some(&rig.path("never.mkv")));
        rig.push(1);
        rig.finish();
        rig.push(1);
        loop {
            let message = rig
                .bus()
                .timed_pop_filtered(FAILSAFE, &[gst::MessageType::Element]);
            let message = message.expect("it ends one way or the other");
            let name = message.structure().expect("it says what").name();
            if name == "circularsink-recording-failed" || name == "circularsink-recording-finished"
            {
                break;
            }
        }
        let _ = std::fs::remove_file(rig.path("never.mkv"));
    }
}

#[test]
fn jpegs_whose_size_only_they_say_are_not_refused_before_a_trigger() {
    // Where there is no parser that would find it out: in a process of its own, which can do without.
    const ALONE: &str = "KENDRYTE_TEST_WITHOUT_JPEGPARSE";
    let name =
        "circularsink::trust::jpegs_whose_size_only_they_say_are_not_refused_before_a_trigger";
    if std::env::var_os(ALONE).is_none() {
        let test = std::env::current_exe().expect("a test has a path");
        let child = std::process::Command::new(test)
            .args(["--exact", name])
            .env(ALONE, "1")
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&child.stdout);
        assert!(
            child.status.success() && said.contains("1 passed"),
            "{said}"
        );
        return;
    }
    init();
    let registry = gst::Registry::get();
    if let Some(parser) = registry.lookup_feature("jpegparse") {
        registry.remove_feature(&parser);
    }
    for name in ["a.mov", "a.mkv", "a.avi"] {
        let mut stream = encoded("jpegenc", 200);
        stream.caps = gst::Caps::new_empty_simple("image/jpeg");
        let mut rig = Rig::new(stream, false);
        rig.locate(name);
        rig.start();
        rig.push(20);
        rig.trigger(None);
        rig.push(20);
        rig.finish();
        rig.push(5);
        let done = rig.finished();
        assert_sound(done.path());
        assert_eq!(done.frames, 40, "{name}");
    }
}

#[test]
fn a_file_of_sound_waits_for_the_sound_when_the_picture_is_first() {
    let mut rig = Rig::new(encoded("jpegenc", 200), true);
    rig.locate("a.wav");
    rig.pipeline
        .set_state(gst::State::Playing)
        .expect("the pipeline plays");
    // The sound has said what it is only when pictures have come.
    let audio = rig.audio.take().expect("there is sound");
    rig.announce();
    rig.push(5);
    audio.push_event(gst::event::StreamStart::new("audio"));
    audio.push_event(gst::event::Caps::new(&raw_sound()));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    audio.push_event(gst::event::Segment::new(&segment));
    rig.audio = Some(audio);
    rig.push(20);
    rig.trigger(None);
    rig.push(20);
    rig.finish();
    rig.push(5);
    let done = rig.finished();
    let lasts = crate::common::ffprobe(done.path(), &[], "format=duration");
    let lasts: f64 = lasts[0].parse().expect("a number");
    assert!((1.7..1.9).contains(&lasts), "{lasts} s of sound");
}
