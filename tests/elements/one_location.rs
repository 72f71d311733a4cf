// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two recorders on one location: the second says so when it starts and writes nothing, and what the first writes is whole.

use std::path::Path;

use gst::prelude::*;

use crate::circularsink::rig;
use crate::common::{Pipeline, assert_mentions, init, samples, until};
use crate::one_error::errors;
use crate::random_cameras::numbers_in;

/// A recorder that is fed by hand, and writes.
struct First {
    pipeline: Pipeline,
    source: gst_app::AppSrc,
    next: u64,
}

impl First {
    fn new(sink: &str) -> Self {
        let pipeline = Pipeline::launch(&format!(
            "appsrc name=in format=time max-bytes=0 caps={} ! {sink}",
            rig::RAW
        ));
        pipeline.play();
        let source = pipeline.element("in").downcast().unwrap();
        Self {
            pipeline,
            source,
            next: 0,
        }
    }

    fn push(&mut self, pictures: u64) {
        for _ in 0..pictures {
            self.source.push_buffer(rig::picture(self.next)).unwrap();
            self.next += 1;
        }
    }

    /// Ends it, and has all its pictures in the file.
    fn assert_whole(mut self, file: &Path) {
        self.push(10);
        self.source.end_of_stream().unwrap();
        self.pipeline.wait().unwrap();
        drop(self.pipeline);
        let (numbers, _) = numbers_in(file);
        assert_eq!(numbers, (0..self.next).collect::<Vec<_>>(), "{file:?}");
    }
}

/// A live source, so that a recorder that does not fail does not end.
fn second(sink: &str) -> Vec<String> {
    let pipeline = Pipeline::launch(&format!(
        "videotestsrc is-live=true ! video/x-raw,format=I420,width=64,height=64,framerate=25/1 ! {sink}"
    ));
    errors(&pipeline.0)
}

fn assert_refused(texts: &[String], file: &Path, what: &str) {
    assert_eq!(texts.len(), 1, "{what}: {texts:#?}");
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    assert_mentions(&texts[0], &[&name, "being written by another recorder"]);
}

#[test]
fn the_second_recorder_of_a_file_fails_at_its_start() {
    init();
    for (name, first) in [
        ("a.mkv", "recordsink"),
        ("a.avi", "recordsink"),
        ("a.mp4", "recordsink"),
        ("a.mjpeg", "recordsink"),
        ("a.mkv", "x264enc ! h264parse ! circularsink recording=true"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(name);
        let location =
            |sink: &str, file: &Path| format!("{sink} overwrite=true location={}", file.display());
        let mut one = First::new(&location(first, &file));
        one.push(100);
        until("the first one writes", || {
            std::fs::metadata(&file).is_ok_and(|it| it.len() > 0)
        });
        // By other names too.
        let link = dir
            .path()
            .join("link")
            .with_extension(name.split('.').next_back().unwrap());
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let hard = dir
            .path()
            .join("hard")
            .with_extension(name.split('.').next_back().unwrap());
        std::fs::hard_link(&file, &hard).unwrap();
        for other in [&file, &link, &hard] {
            let texts = second(&location("recordsink", other));
            assert_refused(&texts, other, &format!("{first} {name}"));
            // Nor does the sentence that it exists say what to do.
            let without = format!("recordsink location={}", other.display());
            assert_refused(&second(&without), other, &format!("{first} {name}"));
        }
        one.assert_whole(&file);
        // It is free then.
        let pipeline = Pipeline::launch(&format!(
            "videotestsrc num-buffers=5 ! {}",
            location("recordsink", &file)
        ));
        pipeline.run().unwrap();
    }
}

#[test]
fn names_of_files_that_are_split_off_stay_taken() {
    init();
    for name in ["a.mkv", "a.mjpeg", "a%d.jpg"] {
        let dir = tempfile::tempdir().unwrap();
        let sink = format!(
            "recordsink name=r overwrite=true split-time={} location={}",
            10 * rig::FRAME,
            dir.path().join(name).display()
        );
        let mut one = First::new(&sink);
        one.push(100);
        let recorder = one.pipeline.element("r");
        until("files are complete", || {
            let stats = recorder.property::<gst::Structure>("stats");
            stats.get::<u64>("files").unwrap() >= 3
        });
        let first = dir.path().join(name.replace("%d", "0"));
        let before = std::fs::read(&first).unwrap();
        assert_refused(&second(&sink), &first, name);
        assert!(std::fs::read(&first).unwrap() == before, "{name}");
        one.source.end_of_stream().unwrap();
        one.pipeline.wait().unwrap();
        // It has ended, though nobody has stopped it.
        let again = Pipeline::launch(&format!("videotestsrc num-buffers=2 ! {sink}"));
        again.run().unwrap();
    }
}

#[test]
fn other_sinks_refuse_what_a_recorder_writes() {
    init();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.mkv");
    let place = file.display();
    let mut one = First::new(&format!("recordsink overwrite=true location={place}"));
    one.push(100);
    until("the first one writes", || {
        std::fs::metadata(&file).is_ok_and(|it| it.len() > 0)
    });
    assert_refused(
        &second(&format!("ffmpegsink args={place}")),
        &file,
        "ffmpegsink",
    );
    // Its recording fails, and the element goes on.
    let other = Pipeline::launch(&format!(
        "videotestsrc is-live=true ! video/x-raw,format=I420,width=64,height=64,framerate=25/1 ! jpegenc ! \
         circularsink recording=true overwrite=true location={place}"
    ));
    other.play();
    let bus = other.0.bus().unwrap();
    let failed = std::iter::from_fn(|| bus.timed_pop(crate::common::HANG)).find_map(|message| {
        let structure = message.structure()?;
        let failed = structure.name() == "circularsink-recording-failed";
        failed.then(|| structure.get::<String>("error").unwrap())
    });
    assert_mentions(
        &failed.expect("it hangs"),
        &["being written by another recorder"],
    );
    drop(other);
    one.assert_whole(&file);
    let wav = dir.path().join("a.wav");
    let sink = format!("audiorecordsink location={}", wav.display());
    let one = Pipeline::launch(&format!("audiotestsrc is-live=true ! {sink}"));
    one.play();
    until("the first one writes", || {
        std::fs::metadata(&wav).is_ok_and(|it| it.len() > 100)
    });
    let two = Pipeline::launch(&format!("audiotestsrc is-live=true ! {sink}"));
    assert_refused(&errors(&two.0), &wav, "audiorecordsink");
    let three = Pipeline::launch(&format!(
        "audiotestsrc is-live=true ! recordsink overwrite=true location={}",
        wav.display()
    ));
    assert_refused(&errors(&three.0), &wav, "recordsink");
}

#[test]
fn times_have_one_writer() {
    init();
    let dir = tempfile::tempdir().unwrap();
    let times = dir.path().join("times.txt");
    let sink = |name: &str| {
        let file = dir.path().join(name);
        format!(
            "recordsink location={} pts-location={}",
            file.display(),
            times.display()
        )
    };
    let mut one = First::new(&sink("a.mkv"));
    one.push(30);
    until("the first one writes", || {
        std::fs::metadata(&times).is_ok_and(|it| it.len() > 0)
    });
    assert_refused(&second(&sink("b.mkv")), &times, "pts-location");
    assert!(!dir.path().join("b.mkv").exists());
    one.assert_whole(&dir.path().join("a.mkv"));
    assert_eq!(std::fs::read_to_string(&times).unwrap().lines().count(), 40);
}

#[test]
fn what_another_program_writes_is_left_alone() {
    init();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.mkv");
    std::fs::write(&file, "theirs").unwrap();
    let theirs = std::fs::File::open(&file).unwrap();
    if theirs.try_lock().is_err() {
        return;
    }
    let sink = format!("recordsink overwrite=true location={}", file.display());
    assert_refused(&second(&sink), &file, "another program");
    assert_eq!(std::fs::read(&file).unwrap(), b"theirs");
    drop(theirs);
    let pipeline = Pipeline::launch(&format!("videotestsrc num-buffers=5 ! {sink}"));
    pipeline.run().unwrap();
    let found = Pipeline::launch(&format!(
        "filesrc location={} ! matroskademux ! appsink name=s sync=false",
        file.display()
    ));
    found.play();
    let frames: gst_app::AppSink = found.element("s").downcast().unwrap();
    assert_eq!(samples(&frames).count(), 5);
}

/// What a recording says that is refused at its start, or is not.
fn said(sink: &str) -> Option<String> {
    let source = "videotestsrc num-buffers=3 ! video/x-raw,width=64,height=48,framerate=30/1";
    Pipeline::launch(&format!("{source} ! {sink}")).run().err()
}

#[test]
fn times_overwrite_nothing_that_is_to_stay() {
    init();
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let sink = |file: &str, times: &str, overwrite: bool| {
        format!(
            "recordsink location={} pts-location={} overwrite={overwrite}",
            path(file).display(),
            path(times).display()
        )
    };
    std::fs::write(path("there.txt"), "precious").unwrap();
    std::os::unix::fs::symlink("there.txt", path("link.txt")).unwrap();
    std::os::unix::fs::symlink("nothing.txt", path("dangling.txt")).unwrap();
    for times in ["there.txt", "link.txt", "dangling.txt"] {
        let error = said(&sink("a.avi", times, false)).expect("it is refused");
        assert!(error.contains(times), "{error}");
        assert!(!path("a.avi").exists() && !path("nothing.txt").exists());
    }
    assert_eq!(std::fs::read(path("there.txt")).unwrap(), b"precious");
    assert_eq!(said(&sink("a.avi", "there.txt", true)), None);
    assert_ne!(std::fs::read(path("there.txt")).unwrap(), b"precious");
}

#[test]
fn times_and_recording_are_not_one_file() {
    init();
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("a.avi"), "precious").unwrap();
    std::fs::hard_link(path("a.avi"), path("b.avi")).unwrap();
    for times in ["a.avi", "./a.avi", "b.avi"] {
        for overwrite in [true, false] {
            let error = said(&format!(
                "recordsink location={} pts-location={} overwrite={overwrite}",
                path("a.avi").display(),
                path(times).display()
            ));
            let error = error.expect("it is refused");
            assert!(
                error.contains("a.avi") && !error.contains("another recorder"),
                "{error}"
            );
            assert_eq!(std::fs::read(path("a.avi")).unwrap(), b"precious");
        }
    }
    // Nor one that comes later, or that a link will lead to.
    let name = path("later.avi");
    std::os::unix::fs::symlink(&name, path("link.txt")).unwrap();
    for (location, times) in [
        ("b%05d.avi", "b00003.avi"),
        ("c.avi", "c-00001.avi"),
        ("later.avi", "link.txt"),
    ] {
        let error = said(&format!(
            "recordsink location={} pts-location={}",
            path(location).display(),
            path(times).display()
        ));
        assert!(
            error.is_some_and(|it| it.contains("one file")),
            "{location}"
        );
    }
    // What an application calls so is told apart from another recorder's.
    let pipeline = Pipeline::launch(&format!(
        "videotestsrc num-buffers=3 ! video/x-raw,width=64,height=48,framerate=30/1 ! \
         recordsink name=r location={} pts-location={}",
        path("d.avi").display(),
        path("e.avi").display()
    ));
    let called = path("e.avi");
    pipeline
        .element("r")
        .connect("format-location", false, move |_| {
            Some(called.to_str().to_value())
        });
    let error = pipeline.run().unwrap_err();
    assert!(
        error.contains("pts-location") && !error.contains("another recorder"),
        "{error}"
    );
    // Nor where there is none yet.
    std::fs::remove_file(path("a.avi")).unwrap();
    let name = path("a.avi");
    let error = said(&format!(
        "recordsink location={0} pts-location={0}",
        name.display()
    ));
    assert!(error.is_some_and(|it| it.contains("one file")) && !name.exists());
}

#[test]
fn numbers_of_what_is_there_are_passed_over() {
    init();
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    for name in ["a00000.avi", "a00002.avi", "b-00001.avi", "p1.jpg"] {
        std::fs::write(path(name), "mine").unwrap();
    }
    let record = |location: &str| {
        said(&format!(
            "recordsink split-time=34000000 video-encoder=jpegenc overwrite=false location={}",
            path(location).display()
        ))
    };
    for location in ["a%05d.avi", "b.avi", "p%d.jpg", "c.avi"] {
        assert_eq!(record(location), None, "{location}");
    }
    for name in [
        "a00001.avi",
        "a00003.avi",
        "b.avi",
        "b-00002.avi",
        "p0.jpg",
        "p2.jpg",
    ] {
        assert_ne!(std::fs::read(path(name)).unwrap(), b"mine", "{name}");
    }
    for name in ["a00000.avi", "a00002.avi", "b-00001.avi", "p1.jpg"] {
        assert_eq!(std::fs::read(path(name)).unwrap(), b"mine", "{name}");
    }
    // A name that was said is none of many.
    let error = record("c.avi").expect("it is refused");
    assert!(error.contains("exists: set overwrite=true"), "{error}");
}

/// Two that begin at once share the numbers, and a moment's name is never overwritten.
#[test]
fn two_that_do_not_overwrite_take_a_number_each() {
    init();
    let dir = tempfile::tempdir().unwrap();
    for round in 0..10 {
        let (overwrite, place) = match round % 2 {
            0 => (false, "%05d"),
            _ => (true, "%Y"),
        };
        let location = dir.path().join(format!("{round}-{place}.jpg"));
        let sink = format!(
            "recordsink overwrite={overwrite} location={}",
            location.display()
        );
        let source = "videotestsrc num-buffers=20 ! video/x-raw,width=64,height=48,framerate=30/1";
        Pipeline::launch(&format!("{source} ! {sink} {source} ! {sink}"))
            .run()
            .unwrap_or_else(|error| panic!("{error}"));
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 10 * 40);
}
