// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recordings that go elsewhere than to a file of the element's own.

use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use gst::prelude::*;

use crate::circularsink::rig::{Rig, assert_frames, decode, encoded, x264};
use crate::common::until;

/// Records with the sink that is set; what was in the way is a failure.
fn record(rig: &mut Rig) -> gst::Structure {
    rig.push(35);
    rig.trigger(None);
    rig.push(20);
    rig.finish();
    rig.push(5);
    rig.wait("circularsink-recording-finished")
}

fn rig() -> Rig {
    Rig::new(encoded(&x264(30, 0), 600), false)
}

#[test]
fn giosink_gets_a_uri_whichever_it_is_given() {
    let mut rig = rig();
    rig.sink.set_property("sink-factory", "giosink");
    rig.locate("a b-%03d.mp4");
    rig.start();
    let path = rig.path("a b-000.mp4");
    let uri = format!("file://{}/%05d.mp4", rig.dir.path().display());
    for (told, path) in [
        (path.clone(), path),
        (uri.replace("%05d", "00001"), rig.path("00001.mp4")),
    ] {
        let done = record(&mut rig);
        assert_eq!(done.get::<String>("location").unwrap(), told);
        let decoded = decode(Path::new(&path), false);
        assert_frames(&decoded, 0, decoded.numbers().len() as u64 - 1);
        rig.sink.set_property("location", &uri);
    }
}

#[test]
fn fdsink_needs_no_name() {
    let mut rig = rig();
    let file = std::fs::File::create(rig.path("out.ts")).unwrap();
    rig.sink.set_property("location", None::<String>);
    rig.sink.set_property("muxer-factory", "mpegtsmux");
    rig.sink.set_property("sink-factory", "fdsink");
    let fd = gst::Structure::builder("properties")
        .field("fd", file.as_raw_fd())
        .build();
    rig.sink.set_property("sink-properties", fd);
    rig.start();
    let done = record(&mut rig);
    assert_eq!(done.get::<Option<String>>("location").unwrap(), None);
    let decoded = decode(Path::new(&rig.path("out.ts")), false);
    assert_eq!(
        decoded.numbers().len() as u64,
        done.get::<u64>("frames").unwrap()
    );
}

#[test]
fn an_application_takes_a_recording_from_appsink() {
    let mut rig = rig();
    rig.sink.set_property("location", "event-%d.mkv");
    rig.sink.set_property("sink-factory", "appsink");
    let taken = Arc::<Mutex<Vec<u8>>>::default();
    let into = taken.clone();
    let bin = rig.sink.downcast_ref::<gst::Bin>().unwrap();
    bin.connect_deep_element_added(move |_, _, element| {
        let Some(sink) = element.downcast_ref::<gst_app::AppSink>() else {
            return;
        };
        let into = into.clone();
        let take = move |sink: &gst_app::AppSink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let map = sample.buffer().unwrap().map_readable().unwrap();
            into.lock().unwrap().extend_from_slice(&map);
            Ok(gst::FlowSuccess::Ok)
        };
        let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(take);
        sink.set_callbacks(callbacks.build());
    });
    rig.start();
    let done = record(&mut rig);
    // The name is told, for whoever stores it.
    assert_eq!(done.get::<String>("location").unwrap(), "event-0.mkv");
    let path = rig.path("taken.mkv");
    std::fs::write(&path, taken.lock().unwrap().as_slice()).unwrap();
    let decoded = decode(Path::new(&path), false);
    assert_eq!(
        decoded.numbers().len() as u64,
        done.get::<u64>("frames").unwrap()
    );
}

/// Runs recordsink into another sink; what its messages call the files.
fn recordsink(properties: &str, set_up: impl FnOnce(&gst::Element)) -> Vec<(String, u64)> {
    let pipeline = crate::common::Pipeline::launch(&format!(
        "videotestsrc num-buffers=30 ! video/x-raw,width=32,height=32,framerate=10/1 ! jpegenc ! \
         recordsink name=r split-time=1000000000 {properties}"
    ));
    set_up(&pipeline.element("r"));
    let files = Arc::<Mutex<Vec<(String, u64)>>>::default();
    let told = files.clone();
    pipeline
        .0
        .bus()
        .unwrap()
        .set_sync_handler(move |_, message| {
            if message.has_name("recordsink-file") {
                let structure = message.structure().unwrap();
                let (name, bytes) = (structure.get("location"), structure.get("bytes"));
                told.lock().unwrap().push((name.unwrap(), bytes.unwrap()));
            }
            gst::BusSyncReply::Pass
        });
    pipeline.run().unwrap();
    std::mem::take(&mut *files.lock().unwrap())
}

#[test]
fn recordsink_writes_with_giosink() {
    let directory = tempfile::tempdir().unwrap();
    for (location, extension) in [("a%d", "mkv"), ("file://b%d", "avi")] {
        let location = match location.strip_prefix("file://") {
            Some(name) => format!("file://{}/{name}.{extension}", directory.path().display()),
            None => format!("{}/{location}.{extension}", directory.path().display()),
        };
        let files = recordsink(&format!("location={location} sink-factory=giosink"), |_| ());
        assert_eq!(files.len(), 3);
        for (name, bytes) in files {
            assert!(bytes > 0);
            let path = name.strip_prefix("file://").unwrap_or(&name);
            assert_eq!(crate::common::frames(Path::new(path)), 10, "{name}");
        }
    }
}

#[test]
fn recordsink_gives_an_application_each_file() {
    let taken = Arc::<Mutex<Vec<Vec<u8>>>>::default();
    let into = taken.clone();
    let files = recordsink("muxer-factory=matroskamux sink-factory=appsink", |sink| {
        // Before PAUSED there is none.
        let bin = sink.downcast_ref::<gst::Bin>().unwrap();
        bin.connect_deep_element_added(move |_, _, element| {
            let Some(sink) = element.downcast_ref::<gst_app::AppSink>() else {
                return;
            };
            let into = into.clone();
            let take = move |sink: &gst_app::AppSink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                let map = sample.buffer().unwrap().map_readable().unwrap();
                let mut files = into.lock().unwrap();
                if map.starts_with(&[0x1a, 0x45, 0xdf, 0xa3]) {
                    files.push(Vec::new());
                }
                files.last_mut().unwrap().extend_from_slice(&map);
                Ok(gst::FlowSuccess::Ok)
            };
            let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(take);
            sink.set_callbacks(callbacks.build());
        });
    });
    assert_eq!(files.len(), 3, "{files:?}");
    let directory = tempfile::tempdir().unwrap();
    for (number, bytes) in taken.lock().unwrap().iter().enumerate() {
        let path = directory.path().join(format!("{number}.mkv"));
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(crate::common::frames(&path), 10);
    }
}

#[test]
fn recordsink_says_what_another_sink_needs() {
    let directory = tempfile::tempdir().unwrap();
    let pipeline = crate::common::Pipeline::launch(&format!(
        "videotestsrc num-buffers=2 ! jpegenc ! recordsink location={}/a.mjpeg sink-factory=giosink",
        directory.path().display()
    ));
    let error = pipeline.run().unwrap_err();
    assert!(
        error.contains("sink-factory stores what a muxer makes"),
        "{error}"
    );
}

/// A sink that never starts.
mod unwilling {
    use gst::subclass::prelude::*;
    use gst_base::subclass::prelude::*;

    #[derive(Default)]
    pub struct Unwilling;

    #[gst::glib::object_subclass]
    impl ObjectSubclass for Unwilling {
        const NAME: &'static str = "TestUnwilling";
        type Type = super::Unwilling;
        type ParentType = gst_base::BaseSink;
    }

    impl ObjectImpl for Unwilling {}
    impl GstObjectImpl for Unwilling {}

    impl ElementImpl for Unwilling {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: std::sync::LazyLock<gst::subclass::ElementMetadata> =
                std::sync::LazyLock::new(|| {
                    gst::subclass::ElementMetadata::new("Unwilling", "Sink", "Fails", "Tests")
                });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: std::sync::LazyLock<Vec<gst::PadTemplate>> =
                std::sync::LazyLock::new(|| {
                    let (direction, presence) = (gst::PadDirection::Sink, gst::PadPresence::Always);
                    let any = gst::Caps::new_any();
                    let template = gst::PadTemplate::new("sink", direction, presence, &any);
                    vec![template.expect("any caps")]
                });
            &TEMPLATES
        }
    }

    impl BaseSinkImpl for Unwilling {
        fn start(&self) -> Result<(), gst::ErrorMessage> {
            Err(gst::error_msg!(gst::ResourceError::OpenWrite, ("no")))
        }
    }
}

gst::glib::wrapper! {
    pub struct Unwilling(ObjectSubclass<unwilling::Unwilling>)
        @extends gst_base::BaseSink, gst::Element, gst::Object;
}

#[test]
fn a_sink_that_can_not_start_does_not_hold_up_who_stops_because_of_it() {
    crate::common::init();
    let (rank, kind) = (gst::Rank::NONE, Unwilling::static_type());
    gst::Element::register(None, "testunwilling", rank, kind).expect("a new name");
    let pipeline = crate::common::Pipeline::launch(
        "videotestsrc is-live=true ! video/x-raw,width=64,height=48 ! jpegenc ! \
         recordsink name=r muxer-factory=matroskamux sink-factory=testunwilling location=a",
    );
    let bin: gst::Bin = pipeline.element("r").downcast().expect("a bin");
    // A stream waits where its next element goes to READY until this one is through.
    let stands = move || {
        let mut elements = bin.iterate_elements().into_iter().flatten();
        elements.any(|it| !it.src_pads().is_empty() && it.pending_state() == gst::State::Ready)
    };
    // What is said when the sink has failed to start, and nobody has taken it away yet.
    let states = gst::DebugCategory::get("GST_STATES").expect("there are logs");
    states.set_threshold(gst::DebugLevel::Debug);
    gst::log::remove_default_log_function();
    let (stops, stop) = std::sync::mpsc::channel();
    let (weak, failed) = (pipeline.0.downgrade(), AtomicBool::new(false));
    let log = gst::log::add_log_function(move |_, _, _, _, _, object, message| {
        let is_it = message
            .get()
            .is_some_and(|it| it.as_str() == "returned FAILURE")
            && object.is_some_and(|it| it.to_string().contains("testunwilling"));
        if let (true, Some(pipeline)) = (is_it, weak.upgrade())
            && !failed.swap(true, Ordering::Relaxed)
        {
            let stop = std::thread::spawn(move || pipeline.set_state(gst::State::Null));
            until("the pipeline stops", || stop.is_finished() || stands());
            stops.send(stop).expect("it is waited for");
        }
    });
    pipeline.play();
    let stopped = crate::common::received(&stop).join();
    gst::log::remove_log_function(log);
    assert!(stopped.expect("no panic").is_ok());
}
