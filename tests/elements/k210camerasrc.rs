// SPDX-License-Identifier: MIT OR Apache-2.0
//! k210camerasrc as applications meet it, with simulated boards on pseudo-terminals and TCP.

use std::fs;
use std::time::{Duration, Instant};

use crate::common::{HANG, Pipeline, assert_mentions, init};
use gst::glib;
use gst::prelude::*;
use k210_link::transport::Transport;
use k210_sim::{Board, BootMode, Config, SerialPort, TcpPort, counter};

#[test]
fn properties_have_the_documented_defaults_and_ranges() {
    init();
    let element = gst::ElementFactory::make("k210camerasrc").build().unwrap();
    assert_eq!(element.property::<Option<String>>("device"), None);
    assert_eq!(element.property::<Option<String>>("script"), None);
    assert!(element.property::<bool>("reconnect"));
    for (name, default) in [
        ("baudrate", 1_500_000u32),
        ("skip-frames", 0),
        ("quality", 50),
        ("interval", 100_000),
        ("window-width", 0),
        ("window-height", 0),
        ("exposure", 0),
    ] {
        assert_eq!(element.property::<u32>(name), default, "{name}");
    }
    for (name, nick) in [
        ("framesize", "qvga"),
        ("pixformat", "rgb565"),
        ("gain-ceiling", "default"),
    ] {
        let value = element.property_value(name);
        let (_, value) = glib::EnumValue::from_value(&value).unwrap();
        assert_eq!(value.nick(), nick, "{name}");
    }
    for name in ["contrast", "brightness", "saturation"] {
        let spec = element.find_property(name).unwrap();
        let spec = spec.downcast_ref::<glib::ParamSpecInt>().unwrap();
        assert_eq!((spec.minimum(), spec.maximum()), (-2, 2), "{name}");
        assert_eq!(spec.default_value(), 0, "{name}");
        assert!(spec.flags().contains(gst::PARAM_FLAG_MUTABLE_PLAYING));
    }
    for (nick, sizes) in [
        ("qqvga", "160x120"),
        ("b240x240", "240x240"),
        ("vga", "640x480"),
    ] {
        element.set_property_from_str("framesize", nick);
        let value = element.property_value("framesize");
        let (_, value) = glib::EnumValue::from_value(&value).unwrap();
        assert_eq!((value.nick(), value.name()), (nick, sizes));
    }
    element.set_property_from_str("gain-ceiling", "16");
    for spec in element.list_properties() {
        assert!(
            spec.blurb().is_some_and(|blurb| blurb.len() > 10),
            "{}",
            spec.name()
        );
    }
}

#[test]
fn caps_follow_the_sensor_properties() {
    init();
    let element = gst::ElementFactory::make("k210camerasrc")
        .property_from_str("framesize", "vga")
        .build()
        .unwrap();
    let caps = |element: &gst::Element| {
        let caps = element.static_pad("src").unwrap().query_caps(None);
        let structure = caps.structure(0).unwrap().to_owned();
        assert_eq!(structure.name(), "image/jpeg");
        assert_eq!(structure.get::<bool>("parsed"), Ok(true));
        (
            structure.get::<i32>("width").unwrap(),
            structure.get::<i32>("height").unwrap(),
        )
    };
    assert_eq!(caps(&element), (640, 480));
    element.set_property("window-width", 160u32);
    assert_eq!(caps(&element), (160, 480));
    element.set_property("window-height", 80u32);
    assert_eq!(caps(&element), (160, 80));
}

#[test]
fn a_board_is_named_by_a_uri_as_well() {
    init();
    let made = |uri: &str| gst::Element::make_from_uri(gst::URIType::Src, uri, None);
    let element = made("k210:///dev/ttyUSB7?framesize=vga&contrast=-1&reconnect=false").unwrap();
    assert_eq!(element.factory().unwrap().name(), "k210camerasrc");
    assert_eq!(element.property::<String>("device"), "/dev/ttyUSB7");
    assert_eq!(element.property::<i32>("contrast"), -1);
    assert!(!element.property::<bool>("reconnect"));
    let handler = element.dynamic_cast_ref::<gst::URIHandler>().unwrap();
    assert_eq!(handler.uri().as_deref(), Some("k210:///dev/ttyUSB7"));
    handler.set_uri("k210+tcp://[::1]:3000").unwrap();
    assert_eq!(element.property::<String>("device"), "tcp://[::1]:3000");
    handler.set_uri("k210:").unwrap();
    assert_eq!(element.property::<Option<String>>("device"), None);
    for (uri, words) in [
        ("k210://ttyUSB0", "k210:///dev/NAME"),
        ("k210:?contrast=3", "contrast"),
        ("k210:?framesize=huge", "framesize"),
        ("k210:?gain=nan", "gain"),
        ("k210:?device=x", "device"),
        ("k210:?stats=x", "stats"),
        ("k210:?parent=x", "parent"),
        ("k210:?quality", "PROPERTY=VALUE"),
    ] {
        let error = handler.set_uri(uri).expect_err(uri);
        assert!(error.matches(gst::URIError::BadUri), "{uri}: {error}");
        assert_mentions(error.message(), &[words]);
    }
}

#[test]
fn players_play_a_board_by_its_uri() {
    init();
    for player in ["playbin", "playbin3"] {
        let sink = gst_app::AppSink::builder()
            .caps(&gst::Caps::new_empty_simple("video/x-raw"))
            .max_buffers(1)
            .drop(true)
            .sync(false)
            .build();
        let element = gst::ElementFactory::make(player)
            .property("uri", "k210+sim:?framesize=qqvga")
            .property("video-sink", &sink)
            .build()
            .unwrap();
        let pipeline = Pipeline(element.downcast().unwrap());
        pipeline.play();
        for _ in 0..3 {
            // Until the player has found out what it plays, the sink is not started.
            let deadline = Instant::now() + Duration::from(HANG);
            let sample = loop {
                match sink.try_pull_sample(gst::ClockTime::from_mseconds(20)) {
                    Some(sample) => break sample,
                    None => std::thread::sleep(Duration::from_millis(5)),
                }
                assert!(Instant::now() < deadline, "{player} shows nothing");
            };
            let caps = sample.caps_owned().unwrap();
            let structure = caps.structure(0).unwrap();
            assert_eq!(structure.get::<i32>("width"), Ok(160), "{player}");
        }
    }
}

#[test]
fn it_can_do_without_a_board_until_it_starts() {
    init();
    for _ in 0..100 {
        let element = gst::ElementFactory::make("k210camerasrc").build().unwrap();
        element.set_state(gst::State::Ready).unwrap();
        element.set_state(gst::State::Null).unwrap();
    }
}

/// A simulated board in IDE mode on a pseudo-terminal, behind a name that stays.
struct Simulated {
    port: SerialPort,
    _directory: tempfile::TempDir,
}

impl Simulated {
    fn new() -> Self {
        Self::with(Config {
            boot: BootMode::Ide,
            ..Config::default()
        })
    }

    fn with(config: Config) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let board = Board::new(config).unwrap();
        let port = SerialPort::new(board, Some(&directory.path().join("board"))).unwrap();
        Simulated {
            port,
            _directory: directory,
        }
    }

    /// `k210camerasrc name=camera`, an appsink at its end.
    fn launch(&self, properties: &str, rest: &str) -> (Pipeline, gst_app::AppSink) {
        launch(
            &format!("device={} {properties}", self.port.path().display()),
            rest,
        )
    }
}

fn launch(properties: &str, rest: &str) -> (Pipeline, gst_app::AppSink) {
    let pipeline = Pipeline::launch(&format!(
        "k210camerasrc name=camera {properties} ! {rest} appsink name=sink sync=false wait-on-eos=false"
    ));
    let sink = pipeline.element("sink").downcast().unwrap();
    (pipeline, sink)
}

/// The next sample, unless the pipeline ends or hangs.
fn pull(sink: &gst_app::AppSink) -> gst::Sample {
    sink.try_pull_sample(HANG).unwrap_or_else(|| {
        let pipeline = sink.parent().unwrap().downcast::<gst::Pipeline>().unwrap();
        let error = pipeline
            .bus()
            .unwrap()
            .pop_filtered(&[gst::MessageType::Error]);
        panic!("no frame comes: {error:?}")
    })
}

fn pts(sample: &gst::Sample) -> gst::ClockTime {
    sample.buffer().unwrap().pts().unwrap()
}

/// The first element message of that name.
fn message(pipeline: &Pipeline, name: &str) -> gst::Structure {
    let bus = pipeline.0.bus().unwrap();
    let kinds = [gst::MessageType::Element, gst::MessageType::Error];
    while let Some(message) = bus.timed_pop_filtered(HANG, &kinds) {
        match message.view() {
            gst::MessageView::Element(element) => {
                let structure = element.structure().unwrap();
                if structure.name() == name {
                    return structure.to_owned();
                }
            }
            gst::MessageView::Error(error) => panic!("{error:?}"),
            _ => {}
        }
    }
    panic!("no message {name}");
}

#[test]
fn frames_come_whole_in_order_and_in_time() {
    let board = Simulated::new();
    let (pipeline, sink) = board.launch("interval=50000", "");
    pipeline.play();
    let first = pull(&sink);
    let caps = first.caps().unwrap().structure(0).unwrap();
    assert_eq!(
        caps.to_string(),
        "image/jpeg, parsed=(boolean)true, width=(int)320, height=(int)240, \
         framerate=(fraction)20/1;"
    );
    let buffer = first.buffer().unwrap();
    assert!(buffer.flags().contains(gst::BufferFlags::DISCONT));
    assert_eq!((buffer.offset(), buffer.offset_end()), (0, 1));
    assert_eq!(buffer.duration(), Some(50 * gst::ClockTime::MSECOND));
    let mut last = pts(&first);
    let begin = last;
    for number in 1..20u64 {
        let sample = pull(&sink);
        let buffer = sample.buffer().unwrap();
        assert!(!buffer.flags().contains(gst::BufferFlags::DISCONT));
        assert_eq!(buffer.offset(), number);
        assert!(pts(&sample) > last);
        last = pts(&sample);
        // It stood for this time when it had been asked for, which is before now.
        assert!(last <= pipeline.0.current_running_time().unwrap());
        let data = buffer.map_readable().unwrap();
        assert_eq!(k210_link::jpeg::check(&data, 320, 240), Ok(()));
    }
    // Nineteen intervals, less what the first or the last frame may have been late.
    assert!(
        last - begin >= 900 * gst::ClockTime::MSECOND,
        "{}",
        last - begin
    );
}

#[test]
fn no_frame_comes_twice() {
    let board = Simulated::new();
    let (pipeline, sink) = board.launch(
        "interval=0",
        "jpegdec ! videoconvert ! video/x-raw,format=GRAY8 !",
    );
    pipeline.play();
    let mut last = None;
    for _ in 0..25 {
        let sample = pull(&sink);
        let frame = sample.buffer().unwrap().map_readable().unwrap();
        let number = counter::read(&frame, 320, 240, 320).expect("the scene's frame number");
        assert!(
            last.is_none_or(|last| number > last),
            "{number} after {last:?}"
        );
        last = Some(number);
    }
}

#[test]
fn the_framerate_that_downstream_wants_wins() {
    let board = Simulated::new();
    let (pipeline, sink) = board.launch("interval=10000", "image/jpeg,framerate=10/1 !");
    pipeline.play();
    let first = pull(&sink);
    let caps = first.caps().unwrap().structure(0).unwrap();
    assert_eq!(caps.get("framerate"), Ok(gst::Fraction::new(10, 1)));
    let last = (0..8).fold(pull(&sink), |_, _| pull(&sink));
    assert!(pts(&last) - pts(&first) >= 700 * gst::ClockTime::MSECOND);
}

#[test]
fn the_sensor_does_as_the_properties_say() {
    let board = Simulated::new();
    for (properties, size, components) in [
        ("framesize=qqvga", (160, 120), 3),
        (
            "framesize=hqvga pixformat=grayscale quality=20 hmirror=true",
            (240, 160),
            1,
        ),
        (
            "window-width=160 window-height=80 window-x=8 vflip=true colorbar=true",
            (160, 80),
            3,
        ),
        (
            "framesize=b128x128 auto-gain=false gain=6 auto-exposure=false exposure=4000",
            (128, 128),
            3,
        ),
        (
            "skip-frames=3 auto-white-balance=false red-gain=2 contrast=1",
            (320, 240),
            3,
        ),
    ] {
        let (pipeline, sink) = board.launch(properties, "");
        pipeline.play();
        let sample = pull(&sink);
        let caps = sample.caps().unwrap().structure(0).unwrap();
        let found = (caps.get("width").unwrap(), caps.get("height").unwrap());
        assert_eq!(found, size, "{properties}");
        let data = sample.buffer().unwrap().map_readable().unwrap();
        let header = data.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
        assert_eq!(data[header + 9], components, "{properties}");
    }
}

#[test]
fn a_size_that_downstream_does_not_take_is_explained() {
    let board = Simulated::new();
    let (pipeline, _sink) = board.launch("", "capsfilter name=filter !");
    // After linking, which would have refused it.
    let wanted = gst::Caps::builder("image/jpeg").field("width", 640).build();
    pipeline.element("filter").set_property("caps", wanted);
    let text = pipeline.run().expect_err("it must not negotiate");
    assert_mentions(&text, &["320x240", "framesize"]);
}

#[test]
fn the_board_says_what_it_is_and_what_it_prints() {
    let board = Simulated::new();
    let (pipeline, _sink) = board.launch("", "");
    pipeline.play();
    let identity = message(&pipeline, "k210-board");
    assert_mentions(identity.get("arch").unwrap(), &["K210"]);
    assert!(identity.get::<&str>("firmware").unwrap().contains('.'));
    assert_eq!(
        identity.get::<&str>("device").unwrap(),
        board.port.path().to_str().unwrap()
    );
    let line = message(&pipeline, "k210-console");
    assert_mentions(line.get("line").unwrap(), &["camera script"]);
}

#[test]
fn a_script_of_the_users_is_streamed_to_its_end() {
    let board = Simulated::new();
    let script = tempfile::NamedTempFile::new().unwrap();
    fs::write(
        &script,
        "import sensor\nsensor.reset()\nsensor.set_pixformat(sensor.GRAYSCALE)\n\
         sensor.set_framesize(sensor.QQVGA)\nfor i in range(12):\n    sensor.snapshot()\n\
         print('done', i)\n",
    )
    .unwrap();
    let path = script.path().display();
    let (pipeline, sink) = board.launch(&format!("interval=0 script={path}"), "");
    pipeline.play();
    let caps = pull(&sink).caps().unwrap().structure(0).unwrap().to_owned();
    assert_eq!(caps.get("width"), Ok(160));
    while message(&pipeline, "k210-console").get("line") != Ok("done 11") {}
    assert_eq!(pipeline.wait(), Ok(()));
}

#[test]
fn a_script_that_fails_is_quoted() {
    let board = Simulated::new();
    let script = tempfile::NamedTempFile::new().unwrap();
    fs::write(&script, "import sensor\nsensor.reset()\nsensor.detect()\n").unwrap();
    let path = script.path().display();
    let (pipeline, _sink) = board.launch(&format!("script={path}"), "");
    let text = pipeline.run().expect_err("the script fails");
    assert_mentions(&text, &["AttributeError", "line 3"]);
}

#[test]
fn a_script_that_takes_no_pictures_is_stuck() {
    let board = Simulated::new();
    let script = tempfile::NamedTempFile::new().unwrap();
    fs::write(&script, "while True:\n    pass\n").unwrap();
    let path = script.path().display();
    let properties = format!("frame-timeout=500000000 script={path}");
    let (pipeline, _sink) = board.launch(&properties, "");
    let text = pipeline.run().expect_err("no picture comes");
    assert_mentions(&text, &["stuck", "reset button", "frame-timeout"]);
}

#[test]
fn settings_can_be_changed_while_playing() {
    let board = Simulated::new();
    let (pipeline, sink) = board.launch("interval=0", "");
    pipeline.play();
    pull(&sink);
    let camera = pipeline.element("camera");
    let written = |camera: &gst::Element| {
        let stats = camera.property::<gst::Structure>("stats");
        let bytes = stats.get::<gst::Structure>("bytes-by-command").unwrap();
        bytes.get::<u64>("attr-write").unwrap()
    };
    assert_eq!(written(&camera), 0);
    camera.set_property("brightness", 2);
    camera.set_property_from_str("gain-ceiling", "8");
    let deadline = Instant::now() + Duration::from_secs(60);
    while written(&camera) < 20 {
        assert!(Instant::now() < deadline);
        pull(&sink);
    }
    camera.set_property("interval", 200_000u32);
    loop {
        let sample = pull(&sink);
        let caps = sample.caps().unwrap().structure(0).unwrap();
        if caps.get("framerate") == Ok(gst::Fraction::new(5, 1)) {
            break;
        }
    }
}

#[test]
fn statistics_count_what_passes() {
    let board = Simulated::new();
    let (pipeline, sink) = board.launch("num-buffers=10 interval=0", "");
    pipeline.play();
    let samples: Vec<_> = (0..10).map(|_| pull(&sink)).collect();
    let bytes: usize = samples.iter().map(|s| s.buffer().unwrap().size()).sum();
    let stats = pipeline
        .element("camera")
        .property::<gst::Structure>("stats");
    let count = |name: &str| stats.get::<u64>(name).unwrap();
    assert_eq!(count("frames"), 10);
    assert_eq!(count("bytes"), bytes as u64);
    for name in ["frames-dropped", "resynchronisations", "reconnections"] {
        assert_eq!(count(name), 0, "{name}");
    }
    assert!(count("received") > count("bytes"));
    assert!(stats.get::<f64>("fps").unwrap() > 0.0);
    let used = stats.get::<f64>("link-utilisation").unwrap();
    assert!(used > 0.0 && used < 1.1, "{used}");
    let dumped = stats.get::<gst::Structure>("bytes-by-command").unwrap();
    let dumped = dumped.get::<u64>("frame-dump").unwrap();
    assert_eq!(dumped, bytes as u64 + 10 * 6);
}

#[test]
fn latency_is_what_a_frame_takes() {
    let board = Simulated::new();
    let (pipeline, sink) = board.launch("", "");
    pipeline.play();
    let mut query = gst::query::Latency::new();
    let camera = pipeline.element("camera");
    for _ in 0..3 {
        let size = pull(&sink).buffer().unwrap().size() as u64;
        assert!(camera.query(&mut query));
        let (live, min, _) = query.result();
        assert!(live);
        // Ten bits a byte.
        let wire = gst::ClockTime::from_nseconds(size * 10 * 1_000_000_000 / 1_500_000);
        assert!(min >= wire, "{min} for {wire}");
        assert!(min < 20 * wire, "{min} for {wire}");
    }
}

/// Unplugs a board while it streams, and plugs it in again.
fn survives(unplug: &dyn Fn(), replug: &dyn Fn(), pipeline: &Pipeline, sink: &gst_app::AppSink) {
    pipeline.play();
    let before = pts(&pull(sink));
    comes_back(unplug, replug, pipeline, sink, before);
}

type Survives = fn(&dyn Fn(), &dyn Fn(), &Pipeline, &gst_app::AppSink);

/// So many frames to skip that the first takes half a minute.
const MANY: u32 = 1000;

/// Unplugs a board that is there and has not given a frame, and plugs it in again.
fn survives_early(
    unplug: &dyn Fn(),
    replug: &dyn Fn(),
    pipeline: &Pipeline,
    sink: &gst_app::AppSink,
) {
    let camera = pipeline.element("camera");
    camera.set_property("skip-frames", MANY);
    pipeline.play();
    message(pipeline, "k210-board");
    camera.set_property("skip-frames", 0u32);
    comes_back(unplug, replug, pipeline, sink, gst::ClockTime::ZERO);
}

/// Unplugs a board after the frame with this timestamp, and plugs it in again.
fn comes_back(
    unplug: &dyn Fn(),
    replug: &dyn Fn(),
    pipeline: &Pipeline,
    sink: &gst_app::AppSink,
    before: gst::ClockTime,
) {
    unplug();
    let lost = message(pipeline, "k210-disconnected");
    assert_mentions(lost.get("reason").unwrap(), &["board"]);
    replug();
    let back = message(pipeline, "k210-reconnected");
    assert!(back.get::<u64>("outage").unwrap() > 0);
    assert!(back.get::<u32>("attempts").unwrap() > 0);
    // Frames from before may still be in the queue.
    let after = loop {
        let sample = pull(sink);
        if sample
            .buffer()
            .unwrap()
            .flags()
            .contains(gst::BufferFlags::DISCONT)
        {
            break sample;
        }
    };
    let outage = gst::ClockTime::from_nseconds(back.get("outage").unwrap());
    assert!(pts(&after) >= before + outage);
    pull(sink);
    assert_eq!(pipeline.0.current_state(), gst::State::Playing);
    let stats = pipeline
        .element("camera")
        .property::<gst::Structure>("stats");
    assert_eq!(stats.get::<u64>("reconnections"), Ok(1));
}

#[test]
fn a_pulled_cable_costs_the_time_it_is_out() {
    for survives in [survives as Survives, survives_early] {
        let board = Simulated::new();
        let (pipeline, sink) = board.launch("interval=0", "");
        survives(
            &|| board.port.unplug(),
            &|| board.port.replug().unwrap(),
            &pipeline,
            &sink,
        );
    }
}

#[test]
fn a_cable_pulled_before_the_board_has_answered_costs_the_time_it_is_out() {
    // It runs a script that hears nothing when the cable goes, and starts as usual when it is back.
    let board = Simulated::with(Config {
        boot: BootMode::Wedged,
        ..Config::default()
    });
    let (pipeline, sink) = board.launch("interval=0", "");
    pipeline.play();
    comes_back(
        &|| board.port.unplug(),
        &|| board.port.replug().unwrap(),
        &pipeline,
        &sink,
        gst::ClockTime::ZERO,
    );
}

#[test]
fn a_board_that_is_reset_streams_again() {
    for survives in [survives as Survives, survives_early] {
        let board = Simulated::new();
        let (pipeline, sink) = board.launch("interval=0", "");
        let press = |down| {
            let mut port = board.port.board().port();
            port.set_control_lines(false, down).unwrap();
        };
        survives(&|| press(true), &|| press(false), &pipeline, &sink);
    }
}

#[test]
fn a_server_that_goes_away_is_found_again() {
    for ((address, name), survives) in [
        ("127.0.0.1:0", "127.0.0.1"),
        ("127.0.0.1:0", "localhost"),
        ("[::1]:0", "[::1]"),
    ]
    .into_iter()
    .zip([survives as Survives, survives_early, survives])
    {
        let board = Board::new(Config {
            boot: BootMode::Repl,
            ..Config::default()
        });
        let Ok(server) = TcpPort::new(board.unwrap(), address, None) else {
            // A machine without IPv6.
            assert!(address.contains("::"));
            continue;
        };
        let port = server.address().port();
        let device = format!("device=tcp://{name}:{port} interval=0");
        let (pipeline, sink) = launch(&device, "");
        survives(&|| server.unplug(), &|| server.replug(), &pipeline, &sink);
    }
}

#[test]
fn without_reconnection_a_pulled_cable_is_an_error() {
    let board = Simulated::new();
    for properties in ["reconnect=false", "reconnect-timeout=1"] {
        let (pipeline, sink) = board.launch(properties, "");
        pipeline.play();
        pull(&sink);
        board.port.unplug();
        let text = pipeline.wait().expect_err("the board is gone");
        assert_mentions(&text, &["gone", "plug it in again"]);
        drop(pipeline);
        board.port.replug().unwrap();

        // Before the first frame, too.
        let (pipeline, _sink) = board.launch(&format!("skip-frames={MANY} {properties}"), "");
        pipeline.play();
        message(&pipeline, "k210-board");
        board.port.unplug();
        let text = pipeline.wait().expect_err("the board is gone");
        assert_mentions(&text, &["gone", "plug it in again"]);
        drop(pipeline);
        board.port.replug().unwrap();
    }
}

#[test]
fn a_board_that_falls_silent_is_reported() {
    let board = Simulated::new();
    let (pipeline, sink) = board.launch("reconnect=false", "");
    pipeline.play();
    pull(&sink);
    board.port.board().unplug();
    let text = pipeline.wait().expect_err("the board is silent");
    assert_mentions(&text, &["board"]);
}

#[test]
fn noise_on_the_line_never_lets_half_a_picture_out() {
    let board = Simulated::with(Config {
        boot: BootMode::Ide,
        noise: 0.0003,
        ..Config::default()
    });
    let (pipeline, sink) = board.launch("framesize=qqvga interval=0", "");
    // Connecting goes through the same noise; a user would start again, too.
    let mut tries = 0;
    pipeline.play();
    let first = loop {
        match sink.try_pull_sample(gst::ClockTime::from_seconds(10)) {
            Some(sample) => break sample,
            None => {
                tries += 1;
                assert!(tries < 10, "{:?}", pipeline.error());
                pipeline.0.set_state(gst::State::Null).unwrap();
                while pipeline.error().is_some() {}
                pipeline.play();
            }
        }
    };
    let mut samples = vec![first];
    while samples.len() < 30 {
        samples.push(pull(&sink));
    }
    let mut expected = None;
    for sample in &samples {
        let buffer = sample.buffer().unwrap();
        let data = buffer.map_readable().unwrap();
        assert_eq!(k210_link::jpeg::check(&data, 160, 120), Ok(()));
        // A gap in the numbers is a lost frame, and is marked.
        if let Some(expected) = expected.replace(buffer.offset_end()) {
            let gap = buffer.offset() != expected;
            let marked = buffer.flags().contains(gst::BufferFlags::DISCONT);
            assert!(marked || !gap);
        }
    }
}

#[test]
fn a_line_that_spoils_every_picture_is_warned_of() {
    // Short answers come through more often than not, frames of this size never do.
    let board = Simulated::with(Config {
        boot: BootMode::Ide,
        noise: 0.004,
        ..Config::default()
    });
    let (pipeline, _sink) = board.launch("interval=0", "");
    let bus = pipeline.0.bus().unwrap();
    let kinds = [gst::MessageType::Warning, gst::MessageType::Error];
    // Connecting goes through the same noise; a user would start again, too.
    for _ in 0..20 {
        pipeline.play();
        let message = bus.timed_pop_filtered(HANG, &kinds).expect("a message");
        if let gst::MessageView::Warning(warning) = message.view() {
            assert_mentions(&warning.error().to_string(), &["damaged", "cable"]);
            return;
        }
        pipeline.0.set_state(gst::State::Null).unwrap();
        while pipeline.error().is_some() {}
    }
    panic!("no warning");
}

#[test]
fn two_boards_stream_side_by_side() {
    let (left, right) = (Simulated::new(), Simulated::new());
    let pipeline = Pipeline::launch(&format!(
        "k210camerasrc device={} num-buffers=5 ! fakesink \
         k210camerasrc device={} num-buffers=5 framesize=qqvga ! fakesink",
        left.port.path().display(),
        right.port.path().display()
    ));
    assert_eq!(pipeline.run(), Ok(()));
}

#[test]
fn it_pauses_and_goes_on() {
    let board = Simulated::new();
    let (pipeline, sink) = board.launch("interval=20000", "");
    pipeline.play();
    for _ in 0..5 {
        pull(&sink);
        pipeline.0.set_state(gst::State::Paused).unwrap();
        pipeline.play();
    }
    let stats = pipeline
        .element("camera")
        .property::<gst::Structure>("stats");
    assert_eq!(stats.get::<u64>("reconnections"), Ok(0));
    pull(&sink);
}

#[test]
fn it_starts_and_stops_a_hundred_times() {
    let board = Simulated::new();
    let (pipeline, sink) = board.launch("framesize=qqvga interval=0", "");
    for round in 0..100 {
        pipeline.play();
        if round % 10 == 0 {
            pull(&sink);
        }
        pipeline.0.set_state(gst::State::Null).unwrap();
        assert_eq!(pipeline.error(), None, "round {round}");
    }
}

#[test]
fn the_built_in_board_looks_at_a_test_scene_or_a_file() {
    let file = crate::common::footage();
    for device in ["sim:".to_owned(), format!("sim:{}", file.display())] {
        let pipeline = Pipeline::launch(&format!(
            "k210camerasrc device={device} num-buffers=5 ! jpegdec ! fakesink"
        ));
        assert_eq!(pipeline.run(), Ok(()), "{device}");
    }
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(at("empty"), "").unwrap();
    for (file, words) in [
        ("/nonexistent.mp4", "No such file or directory"),
        (
            "/etc/passwd",
            "is no video that can be decoded (This appears to be a text file)",
        ),
        (dir.path().to_str().unwrap(), "is a directory"),
        (&at("empty"), "is empty"),
    ] {
        let pipeline = Pipeline::launch(&format!("k210camerasrc device=sim:{file} ! fakesink"));
        let text = pipeline.run().expect_err("no film");
        assert_mentions(&text, &[file, words, "Name a video file behind sim:"]);
    }
}
