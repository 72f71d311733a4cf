// SPDX-License-Identifier: MIT OR Apache-2.0
//! `parallelenc`: the pictures it makes, their order and times, and how it starts, ends and fails.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::common::{Pipeline, next_sample};
use gst::prelude::*;

/// Everything that an appsink called `a` gets.
fn pictures(pipeline: &Pipeline) -> Vec<gst::Sample> {
    let sink: gst_app::AppSink = pipeline.element("a").downcast().unwrap();
    pipeline.play();
    crate::common::samples(&sink).collect()
}

fn bytes(sample: &gst::Sample) -> Vec<u8> {
    let map = sample.buffer().unwrap().map_readable().unwrap();
    map.to_vec()
}

fn pts(sample: &gst::Sample) -> gst::ClockTime {
    sample.buffer().unwrap().pts().unwrap()
}

#[test]
fn each_picture_is_what_one_encoder_makes_in_order_with_its_time() {
    // Pictures of very different content take very different times to encode.
    let source = "videotestsrc num-buffers=120 pattern=ball ! \
        video/x-raw,format=I420,width=320,height=240,framerate=30/1";
    let one = pictures(&Pipeline::launch(&format!(
        "{source} ! jpegenc quality=70 ! appsink name=a sync=false"
    )));
    assert_eq!(one.len(), 120);
    for threads in [1, 2, 7] {
        let several = pictures(&Pipeline::launch(&format!(
            "{source} ! parallelenc threads={threads} encoder=\"jpegenc quality=70\" ! \
             appsink name=a sync=false"
        )));
        assert_eq!(several.len(), 120, "{threads} threads");
        for (n, (one, other)) in one.iter().zip(&several).enumerate() {
            assert!(bytes(one) == bytes(other), "picture {n}, {threads} threads");
            assert_eq!(pts(one), pts(other));
            let duration = |sample: &gst::Sample| sample.buffer().unwrap().duration();
            assert_eq!(duration(one), duration(other));
            assert_eq!(one.caps(), other.caps());
        }
    }
}

#[test]
fn times_that_follow_no_grid_survive() {
    let pipeline = Pipeline::launch(
        "appsrc name=s format=time caps=video/x-raw,format=GRAY8,width=64,height=48,framerate=30/1 \
         ! parallelenc threads=4 ! appsink name=a sync=false",
    );
    let time = |n: u64| gst::ClockTime::from_nseconds(n * 33_000_000 + n * 7_919_119 % 20_000_000);
    let src: gst_app::AppSrc = pipeline.element("s").downcast().unwrap();
    let push = std::thread::spawn(move || {
        for n in 0..60 {
            let mut buffer = gst::Buffer::from_slice(vec![n as u8; 64 * 48]);
            buffer.get_mut().unwrap().set_pts(time(n));
            src.push_buffer(buffer).unwrap();
        }
        src.end_of_stream().unwrap();
    });
    let times: Vec<_> = pictures(&pipeline).iter().map(pts).collect();
    push.join().unwrap();
    assert_eq!(times, (0..60).map(time).collect::<Vec<_>>());
}

/// What the documentation says of GStreamer's own way.
#[test]
fn avenc_mjpeg_keeps_order_and_times_on_several_cores() {
    let [one, several] = ["1", "auto"].map(|threads| {
        pictures(&Pipeline::launch(&format!(
            "videotestsrc num-buffers=60 pattern=ball ! \
             video/x-raw,format=I420,width=320,height=240,framerate=30/1 ! \
             avenc_mjpeg pass=quant quantizer=5 {} ! appsink name=a sync=false",
            if threads == "auto" {
                "threads=auto"
            } else {
                ""
            }
        )))
    });
    assert_eq!((one.len(), several.len()), (60, 60));
    for (n, (one, other)) in one.iter().zip(&several).enumerate() {
        assert!(bytes(one) == bytes(other), "picture {n}");
        assert_eq!(pts(one), pts(other));
    }
}

#[test]
fn there_are_as_many_encoders_as_cores_unless_threads_says() {
    let cores = std::thread::available_parallelism().unwrap().get();
    for (options, expected) in [("", cores), ("threads=5", 5)] {
        let pipeline = Pipeline::launch(&format!(
            "videotestsrc num-buffers=20 ! parallelenc name=p {options} ! fakesink"
        ));
        let encoders = Arc::new(AtomicUsize::new(0));
        let bin: gst::Bin = pipeline.element("p").downcast().unwrap();
        bin.connect_deep_element_added({
            let encoders = encoders.clone();
            move |_, _, element| {
                if element.factory().is_some_and(|f| f.name() == "jpegenc") {
                    encoders.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        pipeline.0.set_state(gst::State::Ready).unwrap();
        assert_eq!(bin.iterate_recurse().into_iter().count(), 2 * expected);
        pipeline.run().unwrap();
    }
}

/// An encoder that is at work while the others are: each waits until all have come.
#[test]
fn pictures_are_encoded_at_the_same_time() {
    let pipeline = Pipeline::launch(
        "videotestsrc num-buffers=40 ! video/x-raw,width=64,height=48 ! \
         parallelenc name=p threads=4 encoder=\"identity name=i ! jpegenc\" ! fakesink",
    );
    pipeline.0.set_state(gst::State::Ready).unwrap();
    let meeting = Arc::new(std::sync::Barrier::new(4));
    let bin: gst::Bin = pipeline.element("p").downcast().unwrap();
    let mut places = 0;
    for element in bin.iterate_recurse() {
        let element = element.unwrap();
        if element.name() == "i" {
            places += 1;
            let meeting = meeting.clone();
            element
                .static_pad("src")
                .unwrap()
                .add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                    meeting.wait();
                    gst::PadProbeReturn::Ok
                });
        }
    }
    assert_eq!(places, 4);
    pipeline.run().unwrap();
}

#[test]
fn caps_change_from_picture_to_picture() {
    let pipeline = Pipeline::launch(
        "appsrc name=s format=time ! parallelenc threads=3 ! appsink name=a sync=false",
    );
    let src: gst_app::AppSrc = pipeline.element("s").downcast().unwrap();
    let push = std::thread::spawn(move || {
        for n in 0..30_u64 {
            let width = 64 + 16 * (n / 2 % 3) as usize;
            let caps = gst_video::VideoCapsBuilder::new()
                .format(gst_video::VideoFormat::Gray8)
                .width(width as i32)
                .height(48)
                .framerate(gst::Fraction::new(30, 1))
                .build();
            let mut buffer = gst::Buffer::from_slice(vec![n as u8; width * 48]);
            let pts = gst::ClockTime::from_mseconds(n * 33);
            buffer.get_mut().unwrap().set_pts(pts);
            let sample = gst::Sample::builder().buffer(&buffer).caps(&caps).build();
            src.push_sample(&sample).unwrap();
        }
        src.end_of_stream().unwrap();
    });
    let widths: Vec<i32> = pictures(&pipeline)
        .iter()
        .map(|sample| sample.caps().unwrap().structure(0).unwrap().get("width"))
        .collect::<Result<_, _>>()
        .unwrap();
    push.join().unwrap();
    let expected: Vec<i32> = (0..30).map(|n| 64 + 16 * (n / 2 % 3)).collect();
    assert_eq!(widths, expected);
}

#[test]
fn events_keep_their_place_among_the_pictures() {
    let pipeline = Pipeline::launch(
        "videotestsrc num-buffers=50 ! video/x-raw,width=64,height=48 ! identity name=i ! \
         parallelenc threads=4 ! fakesink name=f sync=false",
    );
    let count = AtomicUsize::new(0);
    let source = pipeline.element("i").static_pad("src").unwrap();
    source.add_probe(gst::PadProbeType::BUFFER, move |pad, _| {
        let n = count.fetch_add(1, Ordering::Relaxed) as u32;
        if n.is_multiple_of(5) {
            let structure = gst::Structure::builder("mark").field("n", n).build();
            pad.push_event(gst::event::CustomDownstream::new(structure));
        }
        gst::PadProbeReturn::Ok
    });
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    let sink = pipeline.element("f").static_pad("sink").unwrap();
    sink.add_probe(kinds, {
        let seen = seen.clone();
        let pictures = AtomicUsize::new(0);
        move |_, info| {
            match &info.data {
                Some(gst::PadProbeData::Buffer(_)) => {
                    pictures.fetch_add(1, Ordering::Relaxed);
                }
                Some(gst::PadProbeData::Event(event)) => {
                    if let Some(mark) = event.structure().filter(|s| s.name() == "mark") {
                        let at = pictures.load(Ordering::Relaxed) as u32;
                        seen.lock()
                            .unwrap()
                            .push((mark.get::<u32>("n").unwrap(), at));
                    }
                }
                _ => (),
            }
            gst::PadProbeReturn::Ok
        }
    });
    pipeline.run().unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 10);
    assert!(seen.iter().all(|(n, at)| n == at), "{seen:?}");
}

#[test]
fn a_flushing_seek_forgets_what_is_on_its_way() {
    let pipeline = Pipeline::launch(
        "videotestsrc num-buffers=100000 ! video/x-raw,width=64,height=48,framerate=30/1 ! \
         parallelenc threads=3 ! appsink name=a sync=false max-buffers=2",
    );
    let sink: gst_app::AppSink = pipeline.element("a").downcast().unwrap();
    pipeline.play();
    for n in 0..20 {
        assert!(next_sample(&sink).is_some());
        let to = gst::ClockTime::from_seconds(1000 * (20 - n));
        let seek = pipeline.0.seek_simple(gst::SeekFlags::FLUSH, to);
        seek.unwrap();
        assert_eq!(pts(&next_sample(&sink).unwrap()), to);
        assert_eq!(
            pts(&next_sample(&sink).unwrap()).mseconds(),
            to.mseconds() + 33
        );
    }
    assert_eq!(pipeline.error(), None);
}

#[test]
fn a_hundred_starts_and_stops() {
    let pipeline = Pipeline::launch(
        "videotestsrc ! video/x-raw,width=64,height=48 ! parallelenc threads=3 ! fakesink",
    );
    for n in 0..100 {
        let state = [gst::State::Paused, gst::State::Playing][n % 2];
        pipeline.0.set_state(state).unwrap();
        if n % 4 < 2 {
            pipeline.0.state(crate::common::HANG).0.unwrap();
        }
        let state = [gst::State::Ready, gst::State::Null][n / 2 % 2];
        pipeline.0.set_state(state).unwrap();
        assert_eq!(pipeline.error(), None);
    }
}

#[test]
fn it_reports_the_time_that_it_holds_pictures() {
    let pipeline = Pipeline::launch(
        "videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=20/1 ! \
         parallelenc name=p threads=4 ! fakesink",
    );
    pipeline.play();
    pipeline.0.state(crate::common::HANG).0.unwrap();
    let mut latency = gst::query::Latency::new();
    let src = pipeline.element("p").static_pad("src").unwrap();
    assert!(src.query(&mut latency));
    let (live, min, _) = latency.result();
    assert!(live);
    // Four frames of 50 ms, and the source's own.
    assert!(min >= gst::ClockTime::from_mseconds(200), "{min}");
}

#[test]
fn a_stream_without_pictures_ends() {
    Pipeline::launch("videotestsrc num-buffers=0 ! parallelenc ! fakesink")
        .run()
        .unwrap();
}

#[test]
fn what_downstream_refuses_upstream_learns() {
    let pipeline = Pipeline::launch(
        "videotestsrc ! video/x-raw,width=64,height=48 ! parallelenc threads=3 ! \
         identity error-after=5 ! fakesink",
    );
    let err = pipeline.run().unwrap_err();
    assert!(
        err.contains("iterations") || err.contains("Failed"),
        "{err}"
    );
    pipeline.0.set_state(gst::State::Null).unwrap();
}

#[test]
fn each_error_says_what_to_do() {
    let error = |encoder: &str| {
        Pipeline::launch(&format!(
            "videotestsrc num-buffers=50 ! video/x-raw,width=64,height=48 ! \
             parallelenc threads=2 encoder=\"{encoder}\" ! fakesink"
        ))
        .run()
        .unwrap_err()
    };
    let err = error("nosuchenc");
    assert!(err.contains("nosuchenc is not installed"), "{err}");
    let err = error("jpegenc nosuchproperty=1");
    assert!(
        err.contains("cannot be used") && err.contains("nosuchproperty"),
        "{err}"
    );
    let err = error("fakesrc");
    assert!(err.contains("no pad sink"), "{err}");
    // Pictures that come later, and pictures that need others.
    let err = error("x264enc");
    assert!(err.contains("before it takes another"), "{err}");
    let err = error("x264enc tune=zerolatency");
    assert!(err.contains("refer to each other"), "{err}");
}

#[test]
fn recordsink_takes_it() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.avi", "a.mjpeg", "a.mkv"] {
        let file = dir.path().join(name);
        Pipeline::launch(&format!(
            "videotestsrc num-buffers=40 ! video/x-raw,width=320,height=240,framerate=30/1 ! \
             recordsink video-encoder=parallelenc quality=high location={}",
            file.display()
        ))
        .run()
        .unwrap();
        assert_eq!(
            crate::common::ffprobe(
                &file,
                &["-count_frames"],
                "stream=codec_name,nb_read_frames"
            ),
            ["mjpeg", "40"],
            "{name}"
        );
    }
}

#[test]
fn an_empty_buffer_is_no_picture() {
    let pipeline = Pipeline::launch(
        "appsrc name=s format=time caps=video/x-raw,format=I420,width=16,height=16,framerate=25/1 ! \
         parallelenc threads=2 ! appsink name=a sync=false",
    );
    let source: gst_app::AppSrc = pipeline.element("s").downcast().unwrap();
    for n in 0..8 {
        let mut buffer = match n {
            0 | 3..6 => gst::Buffer::new(),
            _ => gst::Buffer::from_slice([0; 384]),
        };
        buffer
            .get_mut()
            .unwrap()
            .set_pts(gst::ClockTime::from_mseconds(40 * n));
        source.push_buffer(buffer).unwrap();
    }
    source.end_of_stream().unwrap();
    let got = pictures(&pipeline);
    let times: Vec<_> = got.iter().map(|it| pts(it).mseconds()).collect();
    assert_eq!(times, [40, 80, 240, 280]);
    let bus = pipeline.0.bus().unwrap();
    let warnings = std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Warning]));
    assert_eq!(warnings.count(), 1);
}

/// `pngenc` flags its pictures as if they needed others.
#[test]
fn pngs_are_encoded_on_several_cores() {
    let pipeline = Pipeline::launch(
        "videotestsrc num-buffers=10 ! video/x-raw,format=RGB,width=160,height=120 ! \
         parallelenc encoder=pngenc threads=2 ! appsink name=a sync=false",
    );
    let pictures = pictures(&pipeline);
    assert_eq!(pictures.len(), 10);
    for picture in &pictures {
        let flags = picture.buffer().unwrap().flags();
        assert!(!flags.contains(gst::BufferFlags::DELTA_UNIT));
    }
}
