// SPDX-License-Identifier: MIT OR Apache-2.0
//! One failure is one error, whose text names the thing: nothing is posted behind it, neither by a
//! base class nor by a source upstream, and the pipeline starts again after it.

use std::path::Path;
use std::time::Duration;

use gst::prelude::*;

use crate::common::{Pipeline, assert_mentions, init, until};
use crate::failing_disk::{Disk, FailingDisk, Failure};

/// A pipeline that has no error by then has none.
const PATIENCE: Duration = Duration::from_secs(60);

/// The texts of all errors of a start that fails, at once or amid the stream.
pub(crate) fn errors(pipeline: &gst::Pipeline) -> Vec<String> {
    errors_before(pipeline, || {})
}

/// The same; the pipeline is stopped when `settled` returns.
fn errors_before(pipeline: &gst::Pipeline, settled: impl FnOnce()) -> Vec<String> {
    let bus = pipeline.bus().expect("a pipeline has a bus");
    let (sender, receiver) = std::sync::mpsc::channel();
    bus.set_sync_handler(move |_, message| {
        if let gst::MessageView::Error(error) = message.view() {
            let _ = sender.send(error.error().to_string());
        }
        gst::BusSyncReply::Drop
    });
    let mut texts = Vec::new();
    if pipeline.set_state(gst::State::Playing).is_ok() {
        let first = receiver.recv_timeout(PATIENCE);
        texts.push(first.expect("no error: the pipeline hangs, or goes on"));
        for source in pipeline.iterate_sources().into_iter().flatten() {
            for pad in source.src_pads() {
                let name = format!("{} is at rest", source.name());
                until(&name, || pad.task_state() != gst::TaskState::Started);
            }
        }
    }
    settled();
    // With that each thread is over.
    pipeline.set_state(gst::State::Null).expect("it stops");
    bus.unset_sync_handler();
    texts.extend(receiver.try_iter());
    texts
}

/// Whether `pipeline` fails with one error that has these words, twice.
fn fails(name: &str, pipeline: &Pipeline, words: &[&str], again: impl Fn()) {
    for round in ["at first", "again"] {
        let texts = errors(&pipeline.0);
        assert_eq!(texts.len(), 1, "{name}, {round}: {texts:#?}");
        assert_mentions(&texts[0], words);
        again();
    }
}

/// The same of each of these descriptions. All that are wrong are told of.
fn each_fails(cases: &[(&str, &[&str])]) {
    let mut wrong = Vec::new();
    for (description, words) in cases {
        let result = std::panic::catch_unwind(|| {
            let pipeline = Pipeline::launch(description);
            fails(description, &pipeline, words, || {});
        });
        if result.is_err() {
            wrong.push(*description);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_camera_that_cannot_start_is_one_error() {
    let window = "device=sim: window-width=320 window-height=240 window-x=8";
    let cases = [
        ("device=/dev/ttyNothing", &["/dev/ttyNothing"][..]),
        ("device=/dev/null", &["/dev/null", "not a serial port"]),
        ("device=tcp://host", &["tcp://host:port"]),
        ("device=tcp://127.0.0.1:1", &["127.0.0.1:1", "listens"]),
        (window, &["window-width"]),
        ("device=sim: script=/nosuch/main.py", &["/nosuch/main.py"]),
        ("device=sim:/nosuch.mp4", &["/nosuch.mp4"]),
    ];
    let rests = [
        "fakesink",
        "jpegparse ! fakesink",
        "queue ! jpegdec ! fakesink",
    ];
    let descriptions: Vec<(String, &[&str])> = cases
        .iter()
        .flat_map(|(options, words)| {
            rests.map(|rest| (format!("k210camerasrc {options} ! {rest}"), *words))
        })
        .collect();
    let cases: Vec<_> = descriptions.iter().map(|(d, w)| (d.as_str(), *w)).collect();
    each_fails(&cases);
}

#[test]
fn a_port_that_is_taken_is_one_error() {
    let port = crate::k210_trouble::Line::silent();
    let holder = Pipeline::launch(&format!(
        "k210camerasrc device={} ! fakesink",
        port.path.display()
    ));
    holder.play();
    let second = format!(
        "k210camerasrc device={} ! jpegparse ! fakesink",
        port.path.display()
    );
    each_fails(&[(&second, &["in use", "Close that program"])]);
}

#[test]
fn a_camera_whose_pictures_are_not_taken_is_one_error() {
    let camera = "k210camerasrc device=sim: framesize=qqvga";
    for rest in [
        "capsfilter name=f ! fakesink",
        "queue ! capsfilter name=f ! fakesink",
    ] {
        let pipeline = Pipeline::launch(&format!("{camera} ! {rest}"));
        // Once it is linked: to elements that take none of it it would not be.
        let caps = gst::Caps::builder("image/jpeg").field("width", 320).build();
        pipeline.element("f").set_property("caps", caps);
        fails(rest, &pipeline, &["160x120", "framesize"], || {});
    }
}

#[test]
fn an_encoder_that_cannot_start_is_one_error() {
    let _alone = crate::k230venc::alone();
    let raw = crate::k230venc::RAW;
    let source = format!("videotestsrc ! {raw}");
    let decoded = "videotestsrc num-buffers=5 ! jpegenc ! jpegparse ! jpegdec ! videoscale";
    each_fails(&[
        (
            &format!("{source} ! k230venc channel=9 ! video/x-h264 ! h264parse ! fakesink"),
            &["channel 9", "0 to 3"],
        ),
        (
            &format!("{source} ! k230venc backend=v4l2 device=/dev/nosuch ! h264parse ! fakesink"),
            &["/dev/nosuch", "driver"],
        ),
        (
            &format!("{source} ! k230venc backend=mpp library=/nosuch.so ! h264parse ! fakesink"),
            &["/nosuch.so", "loaded"],
        ),
        (
            &format!("{source} ! k230venc backend=element engine=nosuch ! h264parse ! fakesink"),
            &["nosuch", "install"],
        ),
        (
            &format!("{source} ! k230venc backend=element bitrate=0 ! h264parse ! fakesink"),
            &["bitrate"],
        ),
        (
            "videotestsrc ! video/x-raw,format=I420,width=321,height=240 ! k230venc \
             backend=element ! video/x-h264 ! h264parse ! fakesink",
            &["321"],
        ),
        (
            &format!(
                "{decoded} ! video/x-raw,width=321 ! k230venc backend=element ! video/x-h264 ! \
                 fakesink"
            ),
            &["321"],
        ),
        (
            &format!(
                "{source} ! k230venc channel=1 ! fakesink  {source} ! k230venc channel=1 ! \
                 fakesink"
            ),
            &["channel 1"],
        ),
        (
            "videotestsrc ! parallelenc encoder=nosuch ! jpegparse ! fakesink",
            &["nosuch"],
        ),
        (
            "videotestsrc ! parallelenc encoder=\"jpegenc ! ! x\" ! fakesink",
            &["jpegenc ! ! x"],
        ),
    ]);
}

#[test]
fn a_recording_that_cannot_start_is_one_error() {
    let picture = "videotestsrc is-live=true ! jpegenc";
    let sound = "audiotestsrc is-live=true";
    each_fails(&[
        (
            &format!("{picture} ! recordsink location=/nosuch/film.avi"),
            &["/nosuch"],
        ),
        (
            &format!("{picture} ! recordsink location=/tmp/film.nosuch"),
            &["nosuch"],
        ),
        (
            &format!("{picture} ! ffmpegsink args=/tmp/film.mkv ffmpeg=/nosuch/ffmpeg"),
            &["/nosuch/ffmpeg"],
        ),
        (
            &format!("{sound} ! audiorecordsink location=/nosuch/sound.wav"),
            &["/nosuch"],
        ),
        (
            &format!("{sound} ! audiorecordsink location=/tmp/sound.nosuch"),
            &["nosuch"],
        ),
        (
            &format!("{picture} ! circularsink location=/nosuch/film-%05d.avi"),
            &["/nosuch"],
        ),
        (
            &format!("{picture} ! circularsink location=/tmp/film-%05d.nosuch"),
            &["nosuch"],
        ),
    ]);
}

#[test]
fn what_a_file_cannot_have_is_one_error() {
    each_fails(&[
        (
            "audiotestsrc ! audio/x-raw,channels=5 ! avimjpegmux profile=k210 ! fakesink",
            &["K210", "one or two channels"],
        ),
        (
            "audiotestsrc ! audio/x-raw,format=S32LE ! audiorate ! avimjpegmux profile=k210 ! \
             fakesink",
            &["K210", "S16LE"],
        ),
        (
            "videotestsrc pattern=snow num-buffers=9 ! video/x-raw,width=320,height=240 ! jpegenc quality=100 ! \
             jpegparse ! queue ! avimjpegmux profile=k210 ! filesink location=/dev/null",
            &["Frame 0", "35832"],
        ),
    ]);
}

/// Of a format that a muxer knows, one that it does not take.
#[test]
fn sound_of_more_channels_than_a_container_has_is_one_error() {
    let scratch = tempfile::tempdir().expect("a directory");
    for (name, muxer) in [("a.mkv", "matroskamux"), ("a.mov", "qtmux")] {
        let file = scratch.path().join(name);
        let pipeline = format!(
            "audiotestsrc ! audio/x-raw,rate=8000,channels=1 ! mulawenc ! \
             capssetter caps=audio/x-mulaw,channels=8 ! recordsink location={}",
            file.display()
        );
        let says = [
            muxer,
            "cannot hold audio/x-mulaw",
            "channels=(int)8",
            "raw audio",
        ];
        each_fails(&[(&pipeline, &says)]);
    }
    each_fails(&[(
        "audiotestsrc ! audio/x-raw,rate=8000,channels=1 ! mulawenc ! capssetter \
         caps=audio/x-mulaw,channels=8 ! ffmpegsink args=\"-f null -\"",
        &[
            "Matroska",
            "audio/x-mulaw",
            "channels=(int)8",
            "decode the audio",
        ],
    )]);
}

/// Of raw sound there is always something that converts it, but not from any number of channels to any other.
#[test]
fn sound_of_more_channels_than_an_encoder_takes_is_one_error() {
    init();
    let scratch = tempfile::tempdir().expect("a directory");
    let eleven: gst::Caps = "audio/x-raw,channels=11".parse().expect("caps");
    let takes_it = |encoder: &str| {
        let factory = gst::ElementFactory::find(encoder).expect("it is installed");
        factory.can_sink_any_caps(&eleven)
    };
    assert!(!takes_it("flacenc"));
    for (name, encoder) in [("a.webm", "opusenc"), ("a.mkv", "flacenc")] {
        // Newer ones take 255.
        if takes_it(encoder) {
            continue;
        }
        let file = scratch.path().join(name);
        let pipeline = format!(
            "audiotestsrc ! audio/x-raw,rate=48000,channels=11,channel-mask=(bitmask)0 ! recordsink \
             audio-encoder={encoder} location={}",
            file.display()
        );
        let says = [
            encoder,
            "Nothing makes",
            "channels=(int)11",
            "audio-encoder",
        ];
        each_fails(&[(&pipeline, &says)]);
    }
}

/// What would keep each recording from being written is said before one is asked for.
#[test]
fn a_recording_that_no_trigger_could_save_is_one_error() {
    let scratch = tempfile::tempdir().expect("a directory");
    let at = |name: &str| scratch.path().join(name).display().to_string();
    let jpegs = "videotestsrc is-live=true ! jpegenc";
    let sound = "audiotestsrc is-live=true ! audio/x-raw,rate=192000,channels=2";
    let cases: [(String, &[&str]); 9] = [
        (
            format!("{jpegs} ! circularsink location={}", at("a%d.mp4")),
            &["mp4mux", "can't store", "image/jpeg"],
        ),
        (
            format!(
                "{jpegs} ! jpegparse ! queue ! circularsink location={}",
                at("b%d.ts")
            ),
            &["mpegtsmux", "image/jpeg"],
        ),
        (
            format!("{jpegs} ! circularsink location={}", at("c.h264")),
            &["image/jpeg", "another format"],
        ),
        (
            format!("{jpegs} ! circularsink location={}", at("d.wav")),
            &["samples", "no such stream"],
        ),
        (
            format!("{sound} ! circularsink location={}", at("e.jpg")),
            &["picture", "no such stream"],
        ),
        (
            format!(
                "{jpegs} ! circularsink name=s location={} {sound} ! s.",
                at("f.mov")
            ),
            &["qtmux", "audio/x-raw", ".mkv"],
        ),
        (
            format!(
                "{jpegs} ! circularsink location={} muxer-factory=oggmux",
                at("g.mkv")
            ),
            &["oggmux", "image/jpeg"],
        ),
        (
            format!(
                "{jpegs} ! circularsink location={} muxer-properties=properties,nosuch=1",
                at("h.mkv")
            ),
            &["nosuch"],
        ),
        (
            format!(
                "{jpegs} ! circularsink location={} sink-factory=filesink sink-properties=properties,nosuch=1",
                at("i.mkv")
            ),
            &["nosuch"],
        ),
    ];
    let cases: Vec<_> = cases.iter().map(|(d, w)| (d.as_str(), *w)).collect();
    each_fails(&cases);
    let left = std::fs::read_dir(scratch.path())
        .expect("it is there")
        .count();
    assert_eq!(left, 0, "nothing is made before a trigger");
}

/// A file of so many JPEGs, one behind the other.
fn jpegs(directory: &Path, size: (u32, u32), count: u32) -> String {
    let path = directory.join(format!("{}.mjpeg", size.0));
    let (width, height) = size;
    Pipeline::launch(&format!(
        "videotestsrc num-buffers={count} ! video/x-raw,format=I420,width={width},height={height} ! \
         jpegenc ! filesink location={}",
        path.display()
    ))
    .run()
    .expect("a file of JPEGs");
    path.display().to_string()
}

#[test]
fn a_recording_that_fails_amid_the_stream_is_one_error() {
    init();
    FailingDisk::register();
    let scratch = tempfile::tempdir().expect("a directory");
    let film = jpegs(scratch.path(), (320, 240), 50);
    let camera = "k210camerasrc device=sim: framesize=qqvga";
    for source in [
        "videotestsrc ! jpegenc",
        &format!("filesrc location={film} ! jpegparse"),
        &format!("filesrc location={film} blocksize=4096 ! queue ! jpegparse ! queue"),
        &format!("multifilesrc location={film} loop=true ! jpegparse"),
        &format!("{camera} interval=0"),
        &format!("{camera} interval=0 ! jpegdec ! videoconvert ! jpegenc ! tee ! queue"),
    ] {
        for failure in [Failure::Full, Failure::Gone] {
            let description = format!("{source} ! avimjpegmux ! failingdisk name=disk");
            let pipeline = Pipeline::launch(&description);
            let fail = || {
                let disk = pipeline.element("disk").downcast::<FailingDisk>();
                let disk = disk.expect("ours");
                *disk.disk().lock().expect("no panic") = Disk::default();
                disk.fail(failure, 40_000);
            };
            fail();
            fails(&description, &pipeline, &["resource"], fail);
        }
    }
}

#[test]
fn a_sink_that_fails_amid_the_stream_is_one_error() {
    let scratch = tempfile::tempdir().expect("a directory");
    let path = |name: &str| scratch.path().join(name).display().to_string();
    let film = path("film.mkv");
    each_fails(&[
        (
            &format!("videotestsrc ! jpegenc ! ffmpegsink args=\"-c:v nosuch {film}\""),
            &["nosuch"],
        ),
        (
            &format!("k210camerasrc device=sim: ! ffmpegsink args=\"-c:v nosuch {film}\""),
            &["nosuch"],
        ),
    ]);

    let sound = path("sound.wav");
    let pipeline = Pipeline::launch(&format!(
        "audiotestsrc samplesperbuffer=480 ! capsfilter name=caps ! identity name=count ! \
         audiorecordsink location={sound}"
    ));
    let set = change_of_rate(&pipeline);
    fails("audiorecordsink", &pipeline, &["format changed"], set);
}

#[test]
fn a_board_that_is_gone_is_one_error_and_its_film_is_complete() {
    let scratch = tempfile::tempdir().expect("a directory");
    let film = scratch.path().join("film.mov");
    let link = scratch.path().join("board");
    for recorder in [
        "qtmux ! filesink name=file",
        "jpegparse ! qtmux ! filesink name=file",
    ] {
        let config = k210_sim::Config {
            boot: k210_sim::BootMode::Ide,
            ..k210_sim::Config::default()
        };
        let board = k210_sim::Board::new(config).expect("a board");
        let port = k210_sim::SerialPort::new(board, Some(&link)).expect("a port");
        let pipeline = Pipeline::launch(&format!(
            "k210camerasrc device={} reconnect=false framesize=qqvga interval=0 name=camera ! {recorder} \
             location={}",
            link.display(),
            film.display()
        ));
        let camera = pipeline.element("camera");
        let frames = move || {
            let stats = camera.property::<gst::Structure>("stats");
            stats.get::<u64>("frames").expect("a count")
        };
        let unplug = std::thread::spawn(move || {
            until("there are frames", || frames() >= 10);
            port.unplug();
        });
        let texts = errors_before(&pipeline.0, || {
            let pad = pipeline.element("file").static_pad("sink").expect("a pad");
            until("the film is complete", || {
                pad.pad_flags().contains(gst::PadFlags::EOS)
            });
        });
        unplug.join().expect("it was unplugged");
        assert_eq!(texts.len(), 1, "{texts:#?}");
        assert_mentions(&texts[0], &["is gone", "Check its cable"]);
        assert!(crate::common::frames(&film) >= 3, "{recorder}");
    }
}

#[test]
fn files_on_other_branches_are_completed_behind_an_error() {
    init();
    FailingDisk::register();
    let scratch = tempfile::tempdir().expect("a directory");
    let whole = scratch.path().join("whole.mov");
    let pipeline = Pipeline::launch(&format!(
        "videotestsrc num-buffers=5000 ! jpegenc ! tee name=t  \
         t. ! queue ! avimjpegmux ! failingdisk name=disk  \
         t. ! queue ! qtmux ! filesink name=file location={}",
        whole.display()
    ));
    let disk = pipeline.element("disk").downcast::<FailingDisk>();
    disk.expect("ours").fail(Failure::Full, 40_000);
    let pad = pipeline.element("file").static_pad("sink").expect("a pad");
    pipeline.play();
    pipeline.wait().expect_err("the disk is full");
    until("the other file is complete", || {
        pad.pad_flags().contains(gst::PadFlags::EOS)
    });
    pipeline.0.set_state(gst::State::Null).expect("it stops");
    assert!(crate::common::frames(&whole) > 0);
}

/// A recording sink beside another one fails amid the stream; the other's file is completed all the same.
#[test]
fn files_beside_a_sink_that_fails_are_completed() {
    init();
    FailingDisk::register();
    let scratch = tempfile::tempdir().expect("a directory");
    let at = |name: &str| scratch.path().join(name).display().to_string();
    let program = at("ffmpeg");
    let script = "#!/bin/sh\nhead -c 60000 > /dev/null\necho '[error] no more' >&2\nexit 3\n";
    std::fs::write(&program, script).expect("a script");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, mode).expect("a program");
    let disk = "recordsink name=r muxer-factory=matroskamux sink-factory=failingdisk";
    let ffmpeg = format!("ffmpegsink name=r ffmpeg={program} args={}", at("a.mkv"));
    let sound = "audiotestsrc ! r.audio";
    for (failing, words) in [
        (format!("r.video {disk}"), "resource"),
        (format!("r.video {disk} {sound}"), "resource"),
        (format!("r.video {ffmpeg}"), "no more"),
        (format!("r.video {ffmpeg} {sound}"), "no more"),
    ] {
        let whole = scratch.path().join("whole.mov");
        let pipeline = Pipeline::launch(&format!(
            "videotestsrc num-buffers=5000 ! jpegenc ! tee name=t  t. ! queue ! {failing}  \
             t. ! queue ! qtmux ! filesink name=file location={}",
            whole.display()
        ));
        let bin = pipeline.element("r").downcast::<gst::Bin>().expect("a bin");
        bin.connect_deep_element_added(|_, _, element| {
            if let Some(disk) = element.downcast_ref::<FailingDisk>() {
                disk.fail(Failure::Full, 100_000);
            }
        });
        let pad = pipeline.element("file").static_pad("sink").expect("a pad");
        pipeline.play();
        let error = pipeline.wait().expect_err(&failing);
        assert_mentions(&error, &[words]);
        until(&format!("the other file is complete: {failing}"), || {
            pad.pad_flags().contains(gst::PadFlags::EOS)
        });
        pipeline.0.set_state(gst::State::Null).expect("it stops");
        let frames = crate::common::frames(&whole);
        assert!((1..5000).contains(&frames), "{failing}: {frames}");
    }
}

/// Has the sound of `caps` and `count` go on with another rate after half a second; how it begins anew.
fn change_of_rate(pipeline: &Pipeline) -> impl Fn() {
    let filter = pipeline.element("caps");
    let set = |filter: &gst::Element, rate: i32| {
        let caps = gst::Caps::builder("audio/x-raw").field("format", "S16LE");
        let caps = caps.field("rate", rate).field("channels", 1);
        filter.set_property("caps", caps.build());
    };
    set(&filter, 48_000);
    let pad = pipeline.element("count").static_pad("src").expect("a pad");
    let weak = filter.downgrade();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let (Some(buffer), Some(filter)) = (info.buffer(), weak.upgrade())
            && buffer.pts() >= Some(gst::ClockTime::from_mseconds(500))
        {
            set(&filter, 44_100);
        }
        gst::PadProbeReturn::Ok
    });
    move || set(&filter, 48_000)
}

#[test]
fn sound_whose_rate_changes_amid_a_file_is_one_error() {
    let pipeline = Pipeline::launch(
        "audiotestsrc samplesperbuffer=480 ! capsfilter name=caps ! identity name=count ! \
         avimjpegmux ! fakesink",
    );
    let set = change_of_rate(&pipeline);
    fails("a rate that changes", &pipeline, &["audio_0", "44100"], set);
}

#[test]
fn a_film_that_cannot_be_played_is_one_error() {
    let scratch = tempfile::tempdir().expect("a directory");
    let path = |name: &str| scratch.path().join(name);
    std::fs::write(path("text"), vec![b'x'; 100_000]).expect("a file");
    std::fs::write(path("empty"), b"").expect("a file");
    let film = path("film.avi").display().to_string();
    Pipeline::launch(&format!(
        "videotestsrc num-buffers=30 ! jpegenc ! avimjpegmux ! filesink location={film}"
    ))
    .run()
    .expect("a film");
    let avi = std::fs::read(&film).expect("the film");
    std::fs::write(path("head"), &avi[..100]).expect("a file");
    let mut cases: Vec<(String, Vec<&str>)> = Vec::new();
    for name in ["text", "head"] {
        let location = path(name).display().to_string();
        for way in ["", "! queue", "! identity"] {
            let source = format!("filesrc location={location} {way}");
            cases.push((
                format!("{source} ! avimjpegdemux ! jpegparse ! fakesink"),
                vec![],
            ));
        }
    }
    for way in ["", "! queue"] {
        let source = format!("filesrc location={film} {way} ! avimjpegdemux name=d");
        cases.push((source, vec!["linked"]));
    }
    let cases: Vec<(&str, &[&str])> = cases.iter().map(|(d, w)| (d.as_str(), &w[..])).collect();
    each_fails(&cases);
}
