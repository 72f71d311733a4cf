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

/// The pad of a sink that takes anything.
fn sink_of_anything() -> &'static [gst::PadTemplate] {
    static TEMPLATES: std::sync::LazyLock<Vec<gst::PadTemplate>> = std::sync::LazyLock::new(|| {
        let (direction, presence) = (gst::PadDirection::Sink, gst::PadPresence::Always);
        let any = gst::Caps::new_any();
        let template = gst::PadTemplate::new("sink", direction, presence, &any);
        vec![template.expect("any caps")]
    });
    &TEMPLATES
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
            super::sink_of_anything()
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

/// A store in this process: what was put where, whole.
type Objects = Mutex<Vec<(String, Vec<u8>)>>;

/// A sink of objects in a store, whose name is in the property that sinks of stores or of connections have.
macro_rules! store {
    ($module:ident, $name:ident, $type_name:literal, $property:literal) => {
        mod $module {
            use std::sync::Mutex;

            use gst::glib;
            use gst::prelude::*;
            use gst::subclass::prelude::*;
            use gst_base::subclass::prelude::*;

            /// What is complete.
            pub(crate) static OBJECTS: super::Objects = Mutex::new(Vec::new());

            #[derive(Default)]
            pub struct $name {
                name: Mutex<String>,
                open: Mutex<Option<(String, Vec<u8>)>>,
            }

            #[glib::object_subclass]
            impl ObjectSubclass for $name {
                const NAME: &'static str = $type_name;
                type Type = super::$name;
                type ParentType = gst_base::BaseSink;
            }

            impl ObjectImpl for $name {
                fn properties() -> &'static [glib::ParamSpec] {
                    static PROPERTIES: std::sync::LazyLock<Vec<glib::ParamSpec>> =
                        std::sync::LazyLock::new(|| {
                            vec![glib::ParamSpecString::builder($property).build()]
                        });
                    &PROPERTIES
                }

                fn property(&self, _: usize, _: &glib::ParamSpec) -> glib::Value {
                    self.name.lock().unwrap().to_value()
                }

                fn set_property(&self, _: usize, value: &glib::Value, _: &glib::ParamSpec) {
                    let is_open = self.open.lock().unwrap().is_some();
                    assert!(!is_open, "it has another name already");
                    *self.name.lock().unwrap() = value.get().unwrap();
                }
            }

            impl GstObjectImpl for $name {}

            impl ElementImpl for $name {
                fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
                    static METADATA: std::sync::LazyLock<gst::subclass::ElementMetadata> =
                        std::sync::LazyLock::new(|| {
                            gst::subclass::ElementMetadata::new("Store", "Sink", "Stores", "Tests")
                        });
                    Some(&METADATA)
                }

                fn pad_templates() -> &'static [gst::PadTemplate] {
                    super::sink_of_anything()
                }
            }

            impl BaseSinkImpl for $name {
                fn start(&self) -> Result<(), gst::ErrorMessage> {
                    let name = self.name.lock().unwrap().clone();
                    *self.open.lock().unwrap() = Some((name, Vec::new()));
                    Ok(())
                }

                fn render(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
                    let map = buffer.map_readable().map_err(|_| gst::FlowError::Error)?;
                    let mut open = self.open.lock().unwrap();
                    let (_, bytes) = open.as_mut().ok_or(gst::FlowError::Error)?;
                    bytes.extend_from_slice(&map);
                    Ok(gst::FlowSuccess::Ok)
                }

                fn event(&self, event: gst::Event) -> bool {
                    if event.type_() == gst::EventType::Eos
                        && let Some((name, bytes)) = self.open.lock().unwrap().as_ref()
                    {
                        OBJECTS.lock().unwrap().push((name.clone(), bytes.clone()));
                    }
                    self.parent_event(event)
                }

                fn stop(&self) -> Result<(), gst::ErrorMessage> {
                    *self.open.lock().unwrap() = None;
                    Ok(())
                }
            }
        }

        gst::glib::wrapper! {
            pub struct $name(ObjectSubclass<$module::$name>)
                @extends gst_base::BaseSink, gst::Element, gst::Object;
        }
    };
}

store!(by_key, KeyStore, "TestKeyStore", "key");
store!(by_uri, UriStore, "TestUriStore", "uri");

/// As `awss3sink` has objects, and `rtmp2sink`'s like connections.
#[test]
fn each_recording_has_its_name_in_a_store() {
    crate::common::init();
    for (factory, kind, objects, begin) in [
        (
            "testkeystore",
            KeyStore::static_type(),
            &by_key::OBJECTS,
            "cameras/gate",
        ),
        (
            "testuristore",
            UriStore::static_type(),
            &by_uri::OBJECTS,
            "store://bucket/gate",
        ),
    ] {
        gst::Element::register(None, factory, gst::Rank::NONE, kind).expect("a new name");
        let location = format!("{begin}/%03d.mkv");
        let mut rig = rig();
        rig.sink.set_property("sink-factory", factory);
        rig.sink.set_property("location", &location);
        rig.start();
        let mut wanted: Vec<_> = (0..3)
            .map(|_| {
                let done = record(&mut rig);
                let frames = done.get::<u64>("frames").unwrap();
                (done.get::<String>("location").unwrap(), frames)
            })
            .collect();
        let files = recordsink(
            &format!("location={begin}/r%d.mkv sink-factory={factory}"),
            |_| (),
        );
        let named = |number: usize| (format!("{begin}/{number:03}.mkv"), wanted[number].1);
        assert_eq!(wanted, (0..3).map(named).collect::<Vec<_>>());
        let of_recordsink: Vec<_> = files.into_iter().map(|(name, _)| (name, 10)).collect();
        let named = |number| (format!("{begin}/r{number}.mkv"), 10);
        assert_eq!(of_recordsink, (0..3).map(named).collect::<Vec<_>>());
        wanted.extend(of_recordsink);
        let directory = tempfile::tempdir().unwrap();
        let mut found = Vec::new();
        for (number, (name, bytes)) in objects.lock().unwrap().iter().enumerate() {
            let path = directory.path().join(format!("{number}.mkv"));
            std::fs::write(&path, bytes).unwrap();
            found.push((name.clone(), crate::common::frames(&path) as u64));
        }
        assert_eq!(found, wanted);
    }
}

/// Somebody who receives by SRT what one sends, and has it in a file when that has ended.
struct Receiver {
    pipeline: crate::common::Pipeline,
    port: u16,
    file: std::path::PathBuf,
}

impl Receiver {
    fn new(directory: &Path) -> Self {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        drop(socket);
        let file = directory.join(format!("{port}.ts"));
        let pipeline = crate::common::Pipeline::launch(&format!(
            "srtsrc uri=srt://127.0.0.1:{port}?mode=listener&latency=700 ! filesink location={}",
            file.display()
        ));
        // It listens when it is there.
        pipeline.0.set_state(gst::State::Playing).unwrap();
        Self {
            pipeline,
            port,
            file,
        }
    }

    /// The pictures that came, by their numbers.
    fn received(self) -> Vec<u64> {
        self.pipeline.wait().unwrap();
        decode(&self.file, false).numbers()
    }
}

#[test]
fn a_recording_that_goes_by_srt_arrives() {
    let mut rig = rig();
    rig.sink.set_property("muxer-factory", "mpegtsmux");
    rig.sink.set_property("sink-factory", "srtsink");
    let mut receiver = Receiver::new(rig.dir.path());
    let uri = |port| format!("srt://127.0.0.1:{port}?mode=caller");
    rig.sink.set_property("location", uri(receiver.port));
    rig.start();
    let mut first = 0;
    for _ in 0..2 {
        let done = record(&mut rig);
        let location = done.get::<String>("location").unwrap();
        assert_eq!(location, uri(receiver.port));
        let numbers = receiver.received();
        let frames = done.get::<u64>("frames").unwrap();
        assert_eq!(numbers.len() as u64, frames);
        assert!(
            numbers.windows(2).all(|two| two[1] == two[0] + 1),
            "{numbers:?}"
        );
        assert!(numbers[0] >= first, "{numbers:?}");
        first = numbers[0];
        receiver = Receiver::new(rig.dir.path());
        rig.sink.set_property("location", uri(receiver.port));
    }
}

#[test]
fn what_recordsink_sends_by_srt_arrives() {
    crate::common::init();
    let directory = tempfile::tempdir().unwrap();
    let receiver = Receiver::new(directory.path());
    let stream = encoded(&format!("{} ! h264parse", x264(30, 0)), 100);
    let pipeline = crate::common::Pipeline::launch(&format!(
        "appsrc name=a format=time max-bytes=0 ! recordsink muxer-factory=mpegtsmux sink-factory=srtsink \
         location=srt://127.0.0.1:{}?mode=caller",
        receiver.port
    ));
    let source: gst_app::AppSrc = pipeline.element("a").downcast().unwrap();
    source.set_caps(Some(&stream.caps));
    pipeline.play();
    for buffer in stream.buffers {
        source.push_buffer(buffer).unwrap();
    }
    source.end_of_stream().unwrap();
    pipeline.wait().unwrap();
    drop(pipeline);
    assert_eq!(receiver.received(), (0..100).collect::<Vec<_>>());
}

type Seen = Arc<Mutex<Option<gst::Element>>>;

/// The `srtsink` of a recording, once it is there.
fn seen(rig: &Rig) -> Seen {
    let seen = Seen::default();
    let bin = rig.sink.downcast_ref::<gst::Bin>().unwrap();
    let told = seen.clone();
    bin.connect_deep_element_added(move |_, _, element| {
        let factory = element.factory().map(|factory| factory.name());
        if factory.as_deref() == Some("srtsink") {
            *told.lock().unwrap() = Some(element.clone());
        }
    });
    seen
}

/// Waits until it listens or calls.
fn runs(seen: &Seen) {
    until("the sink runs", || {
        let sink = seen.lock().unwrap();
        sink.as_ref()
            .is_some_and(|sink| sink.current_state() >= gst::State::Paused)
    });
}

#[test]
fn who_calls_for_a_recording_by_srt_has_all_of_it() {
    let mut rig = rig();
    rig.sink.set_property("muxer-factory", "mpegtsmux");
    rig.sink.set_property("sink-factory", "srtsink");
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    drop(socket);
    rig.sink
        .set_property("location", format!("srt://127.0.0.1:{port}?mode=listener"));
    let sink = seen(&rig);
    rig.start();
    rig.push(35);
    rig.trigger(None);
    runs(&sink);
    let file = rig.path("called.ts");
    let receiver = crate::common::Pipeline::launch(&format!(
        "srtsrc uri=srt://127.0.0.1:{port}?mode=caller&latency=700 ! \
         filesink buffer-mode=unbuffered location={file}"
    ));
    receiver.play();
    rig.push(20);
    rig.finish();
    rig.push(5);
    let done = rig.wait("circularsink-recording-finished");
    let bytes = done.get::<u64>("bytes").unwrap();
    let frames = done.get::<u64>("frames").unwrap();
    // The head goes to each who calls, besides what is counted.
    until("all of it is there", || {
        std::fs::metadata(&file).is_ok_and(|file| file.len() >= bytes)
            && decode(Path::new(&file), false).numbers().len() as u64 == frames
    });
    drop(receiver);
}

/// Nobody answers: whoever stops it does not wait for that.
#[test]
fn a_recording_by_srt_that_nobody_hears_can_be_stopped() {
    let mut rig = rig();
    rig.sink.set_property("muxer-factory", "mpegtsmux");
    rig.sink.set_property("sink-factory", "srtsink");
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    rig.sink
        .set_property("location", format!("srt://127.0.0.1:{port}?mode=caller"));
    let sink = seen(&rig);
    rig.start();
    rig.push(35);
    rig.trigger(None);
    rig.push(20);
    runs(&sink);
    rig.stop();
}
