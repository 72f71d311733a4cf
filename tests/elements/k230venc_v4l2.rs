// SPDX-License-Identifier: MIT OR Apache-2.0
//! `k230venc backend=v4l2` and `k230-probe` on the double of the K230's V4L2 device.
//!
//! What the driver does that a client must not trust it not to do, and the test that fails if the
//! element does:
//!
//! | the driver | the test |
//! |---|---|
//! | both queues list raw and encoded formats | `the_device_is_found_by_its_driver_and_named_by_property_or_environment` |
//! | NV12 and NV21 are two planes, I420 three, under codes that say one | `each_format_is_written_into_the_devices_memory_and_not_converted` |
//! | rows are as far apart as it answers | `rows_that_are_further_apart_than_asked_for_are_obeyed` |
//! | formats are refused once there are buffers, controls once both queues have been streaming | `by_v4l2_and_by_mpp_streams_are_the_same_to_the_bit` |
//! | another size is another session's | `a_size_that_changes_is_another_sessions` |
//! | a bit rate makes the rate control constant | the same, with `rate-control=vbr` |
//! | the rate control is constant from the beginning, quantizers or not | the same, with `rate-control=fixqp` |
//! | a GOP that its control has by default is not set | `a_gop_that_the_driver_has_by_default_is_set_all_the_same` |
//! | rate control reckons with 30 frames a second unless it is told, in 16.16 | `the_frame_rate_is_told_to_the_driver` |
//! | mirror and rotation are flags of each picture | `by_v4l2_and_by_mpp_streams_are_the_same_to_the_bit`, `pictures_of_all_kinds_are_the_same_by_v4l2_and_by_mpp` |
//! | what it has of its own is under numbers of its own | `k230_venc`'s `the_drivers_own_numbers_are_those_of_its_header` |
//! | parameter sets come apart, at nobody's time, and perhaps once | `parameter_sets_that_come_once_stand_before_each_idr` |
//! | `V4L2_BUF_FLAG_KEYFRAME` is on every encoded picture | the same |
//! | a buffer that is queued with the flags of parameter sets keeps them | the same |
//! | an IDR is asked for by a flag of the picture | `key_units_and_rates_change_on_the_device` |
//! | a picture may be in several buffers | `a_picture_in_pieces_is_one_buffer` |
//! | offsets of encoded buffers have a base added | every test that encodes |
//! | a session that was stopped stays so | `pictures_that_stay_inside_come_out_and_a_stopped_session_is_not_used_again` |
//! | a plane that is imported begins with its memory, whatever is said, and perhaps the picture comes back unread | `pictures_that_the_driver_gives_back_unread_are_copied` |
//! | where it does not, the offset is part of what is used | `frames_with_descriptors_are_imported_and_not_copied` |
//! | regions beyond the sixteenth are copied behind an array | `regions_of_interest_reach_the_device_in_blocks_and_turn_with_the_picture` |
//! | a quantizer of 0 is none, SAO and deblocking have no control | `what_the_driver_has_no_control_for_is_one_warning` |
//! | a buffer may be in error, at another frame's time, a frame may never come | `lost_frames_are_counted_and_the_others_keep_their_times` |

use std::ffi::OsStr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::common::{K230_NODE as NODE, Pipeline, mpp_double, v4l2_double};
use crate::k230venc::{
    CODECS, Fed, RAW, alone, collect, gops, lay_out, mark_regions, structure, tap,
};
use gst::prelude::*;
use gst_video::prelude::*;

/// Runs `body` in a process of its own that has the double of the V4L2 device, with such faults.
/// In the process itself it is called with the same words, so `test` is the caller's own name.
fn on_the_device(test: &str, faults: &str, body: impl FnOnce()) {
    on_the_device_with(test, faults, &[], body);
}

/// The same, with more in the process' environment.
fn on_the_device_with(
    test: &str,
    faults: &str,
    environment: &[(&str, &OsStr)],
    body: impl FnOnce(),
) {
    const INSIDE: &str = "K230_TEST_INSIDE";
    if let Ok(inside) = std::env::var(INSIDE) {
        if inside == faults {
            let _alone = alone();
            body();
        }
        return;
    }
    let output = Command::new(std::env::current_exe().expect("a test has a path"))
        .args([&format!("k230venc_v4l2::{test}"), "--exact", "--nocapture"])
        .env("LD_PRELOAD", v4l2_double())
        .env("K230_V4L2_SIM_FAULTS", faults)
        .env(INSIDE, faults)
        .envs(environment.iter().copied())
        .output()
        .expect("the test starts again");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "with faults {faults:?}: {}\n{said}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A pipeline's buffers and the element's counts, encoded by `venc`.
fn encoded(venc: &str, rest: &str, frames: u32) -> (Vec<Vec<u8>>, gst::Structure) {
    let pipeline = Pipeline::launch(&format!(
        "videotestsrc num-buffers={frames} ! {RAW} ! {venc} name=venc ! {rest} ! appsink name=out"
    ));
    let out = collect(&pipeline, "out").unwrap_or_else(|e| panic!("{venc} ! {rest}: {e}"));
    let bytes = out
        .buffers
        .iter()
        .map(|buffer| buffer.map_readable().expect("memory").to_vec())
        .collect();
    let stats = pipeline.element("venc").property("stats");
    (bytes, stats)
}

fn count(stats: &gst::Structure, name: &str) -> u64 {
    stats.get(name).expect(name)
}

/// Keeps this thread, and those that it starts, on one core: with several, x264's slices share what
/// is left of the VBV in the order that they happen to be encoded in, which is not the same twice.
pub(crate) fn on_one_core() {
    // SAFETY: sets of processors, which are numbers, and this thread.
    let result = unsafe {
        let mut allowed: libc::cpu_set_t = std::mem::zeroed();
        let size = std::mem::size_of_val(&allowed);
        assert_eq!(libc::sched_getaffinity(0, size, &mut allowed), 0);
        let first = (0..libc::CPU_SETSIZE as usize).find(|cpu| libc::CPU_ISSET(*cpu, &allowed));
        let mut one: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(first.expect("a processor"), &mut one);
        libc::sched_setaffinity(0, size, &one)
    };
    assert_eq!(result, 0);
}

#[test]
fn by_v4l2_and_by_mpp_streams_are_the_same_to_the_bit() {
    on_the_device(
        "by_v4l2_and_by_mpp_streams_are_the_same_to_the_bit",
        "",
        || {
            on_one_core();
            for (caps, ..) in CODECS {
                for settings in [
                    "gop-length=10",
                    "rate-control=fixqp qp-i=20 qp-p=24",
                    "rate-control=vbr bitrate=500 max-bitrate=800",
                    "mirror=horizontal rotation=90 entropy-mode=cavlc",
                ] {
                    // x265 under a VBV is not the same twice, however few its threads are.
                    let steady = match caps.contains("h265") {
                        true if settings.contains("vbr") => continue,
                        true => "rate-control=fixqp qp-i=30 qp-p=32",
                        false => "",
                    };
                    let venc = |way: &str| format!("k230venc {way} {steady} {settings}");
                    let by = |way: &str| encoded(&venc(way), caps, 15);
                    let (v4l2, stats) = by("backend=v4l2");
                    let (mpp, _) = by(&format!("backend=mpp library={}", mpp_double().display()));
                    assert_eq!(v4l2.len(), 15, "{caps} {settings}");
                    assert!(v4l2 == mpp, "{caps} {settings}");
                    assert_eq!(stats.get::<&str>("backend"), Ok("v4l2"));
                    assert_eq!(stats.get::<&str>("encoder"), Ok(NODE));
                    assert_eq!(count(&stats, "pooled"), 15, "{caps} {settings}");
                    assert_eq!(count(&stats, "copied"), 0);
                    assert_eq!(count(&stats, "lost"), 0);
                }
            }
        },
    );
}

/// The same of other pictures and rates, every way to turn them, and each setting of one codec alone.
#[test]
fn pictures_of_all_kinds_are_the_same_by_v4l2_and_by_mpp() {
    const NAME: &str = "pictures_of_all_kinds_are_the_same_by_v4l2_and_by_mpp";
    on_the_device(NAME, "", || {
        on_one_core();
        let (h264, h265, jpeg) = ("video/x-h264", "video/x-h265", "image/jpeg");
        let size = (320, 240);
        for (format, size, rate, codec, settings) in [
            ("BGRA", size, "30/1", h264, ""),
            ("ARGB", size, "30/1", h264, ""),
            ("BGRA", size, "30/1", h265, "rate-control=fixqp"),
            ("UYVY", size, "30/1", jpeg, "jpeg-quality=20"),
            ("ARGB", size, "30/1", jpeg, "jpeg-quality=90"),
            // Rows of chroma that end amid a word, and rows of blocks that end amid the picture.
            ("NV12", (330, 242), "30/1", h264, ""),
            ("NV12", (330, 242), "30/1", h265, "rate-control=fixqp"),
            // jpegenc fills up blocks beyond the picture with whatever lies in its memory: of 130x66 it
            // makes another JPEG with each MALLOC_PERTURB_, with no element of ours beside it.
            ("NV12", (144, 80), "30/1", jpeg, "jpeg-quality=1"),
            ("NV12", (1280, 720), "60/1", h264, "bitrate=1500"),
            ("NV12", size, "5/1", h264, "bitrate=200"),
            // Rates that both have the same number for: the one has 16 bits behind the point.
            ("NV12", size, "25/1", h264, "bitrate=900"),
            ("NV12", size, "30/1", h264, "rotation=180"),
            ("NV12", size, "30/1", h264, "rotation=270"),
            ("NV12", size, "30/1", jpeg, "mirror=vertical rotation=270"),
            (
                "NV12",
                size,
                "30/1",
                h265,
                "rate-control=fixqp mirror=vertical",
            ),
            (
                "NV12",
                size,
                "30/1",
                h264,
                "rate-control=fixqp qp-i=12 qp-p=44",
            ),
        ] {
            let (width, height) = size;
            let raw = format!(
                "video/x-raw,format={format},width={width},height={height},framerate={rate}"
            );
            let by = |way: &str| {
                let pipeline = Pipeline::launch(&format!(
                    "videotestsrc num-buffers=8 ! {raw} ! k230venc {way} {settings} ! {codec} \
                     ! appsink name=out"
                ));
                let out = collect(&pipeline, "out")
                    .unwrap_or_else(|e| panic!("{raw} {way} {settings}: {e}"));
                let bytes = |b: &gst::Buffer| b.map_readable().expect("memory").to_vec();
                out.buffers.iter().map(bytes).collect::<Vec<_>>()
            };
            let v4l2 = by("backend=v4l2");
            let mpp = by(&format!("backend=mpp library={}", mpp_double().display()));
            assert_eq!(v4l2.len(), 8, "{raw} {codec} {settings}");
            assert!(v4l2 == mpp, "{raw} {codec} {settings}");
        }
    });
}

#[test]
fn the_device_is_found_by_its_driver_and_named_by_property_or_environment() {
    on_the_device(
        "the_device_is_found_by_its_driver_and_named_by_property_or_environment",
        "",
        || {
            // auto takes it first, unnamed.
            let (_, stats) = encoded("k230venc", "video/x-h264", 1);
            assert_eq!(stats.get::<&str>("backend"), Ok("v4l2"));
            let (_, stats) = encoded(&format!("k230venc device={NODE}"), "video/x-h265", 1);
            assert_eq!(stats.get::<&str>("encoder"), Ok(NODE));
            let error = Pipeline::launch(&format!(
                "videotestsrc num-buffers=1 ! {RAW} \
                 ! k230venc backend=v4l2 device=/dev/video-none ! fakesink"
            ))
            .run()
            .expect_err("there is none");
            for word in [
                "/dev/video-none",
                "open",
                "No such",
                "check that the driver",
            ] {
                assert!(error.contains(word), "{error}");
            }
        },
    );
}

#[test]
fn without_a_device_the_error_says_what_was_looked_for() {
    let _alone = alone();
    let error = Pipeline::launch(&format!(
        "videotestsrc num-buffers=1 ! {RAW} ! k230venc backend=v4l2 ! fakesink"
    ))
    .run();
    if let Err(error) = error {
        assert!(
            error.contains("driver mvx") && error.contains("device="),
            "{error}"
        );
    }
}

#[test]
fn key_units_and_rates_change_on_the_device() {
    on_the_device("key_units_and_rates_change_on_the_device", "", || {
        let mut fed = Fed::new("k230venc name=venc gop-length=10 backend=v4l2");
        let venc = fed.venc();
        let mut out: Vec<gst::Buffer> = (0..15).map(|_| fed.step()).collect();
        assert_eq!(structure(&out), gops(15, 10, "h"));
        let event = gst_video::UpstreamForceKeyUnitEvent::builder()
            .all_headers(true)
            .build();
        assert!(venc.static_pad("src").expect("a pad").send_event(event));
        out = (0..15).map(|_| fed.step()).collect();
        assert_eq!(structure(&out), gops(15, 10, "h"), "forced");
        let size = |out: &[gst::Buffer]| out.iter().map(|b| b.size()).sum::<usize>();
        let large = size(&(0..30).map(|_| fed.step()).collect::<Vec<_>>());
        // Live, so that no GOP begins for it.
        venc.set_property("bitrate", 400u32);
        for _ in 0..30 {
            fed.step();
        }
        let small = size(&(0..30).map(|_| fed.step()).collect::<Vec<_>>());
        assert!(small * 3 < large, "{large} then {small} bytes");
        venc.set_property("gop-length", 5u32);
        out = (0..20).map(|_| fed.step()).collect();
        let changed = structure(&out);
        assert!(changed.ends_with("hIPPPPhIPPPP"), "{changed}");
        assert_eq!(count(&venc.property("stats"), "frames-out"), fed.sent);
        // After a flush the stream goes on with an IDR, by a session of its own.
        fed.flush();
        assert_eq!(structure(&[fed.step()]), "hI");
    });
}

#[test]
fn parameter_sets_that_come_once_stand_before_each_idr() {
    on_the_device(
        "parameter_sets_that_come_once_stand_before_each_idr",
        "headers-once",
        || {
            let pipeline = Pipeline::launch(&format!(
                "videotestsrc num-buffers=25 ! {RAW} ! k230venc gop-length=10 backend=v4l2 \
                 ! video/x-h265 ! appsink name=out"
            ));
            let out = collect(&pipeline, "out").expect("it encodes");
            assert_eq!(structure(&out.buffers), gops(25, 10, "h"));
            for (n, buffer) in out.buffers.iter().enumerate() {
                let pts = gst::ClockTime::SECOND.mul_div_floor(n as u64, 30);
                assert_eq!(buffer.pts(), pts, "not that of the parameter sets");
            }
        },
    );
}

/// `try_or_set_cluster` of the kernel passes over what a control has already, and what the driver begins with
/// is not what the control says.
#[test]
fn a_gop_that_the_driver_has_by_default_is_set_all_the_same() {
    const NAME: &str = "a_gop_that_the_driver_has_by_default_is_set_all_the_same";
    on_the_device(NAME, "", || {
        for gop in [1, 28, 29, 30] {
            let pipeline = Pipeline::launch(&format!(
                "videotestsrc num-buffers=35 ! {RAW} ! k230venc gop-length={gop} backend=v4l2 \
                 ! video/x-h264 ! appsink name=out"
            ));
            let out = collect(&pipeline, "out").expect("it encodes");
            assert_eq!(structure(&out.buffers), gops(35, gop, "h"), "{gop}");
        }
    });
}

#[test]
fn a_picture_in_pieces_is_one_buffer() {
    on_the_device("a_picture_in_pieces_is_one_buffer", "pieces=700", || {
        on_one_core();
        let (pieces, _) = encoded("k230venc backend=v4l2", "video/x-h264", 10);
        let (whole, _) = encoded("k230venc backend=element", "video/x-h264", 10);
        assert!(pieces == whole);
    });
}

#[test]
fn rows_that_are_further_apart_than_asked_for_are_obeyed() {
    on_the_device(
        "rows_that_are_further_apart_than_asked_for_are_obeyed",
        "stride=96",
        || {
            on_one_core();
            for (caps, format) in [("video/x-h264", "BGRA"), ("image/jpeg", "UYVY")] {
                let venc = |way: &str| {
                    encoded(
                        &format!(
                            "videoconvert ! video/x-raw,format={format} ! k230venc backend={way}"
                        ),
                        caps,
                        3,
                    )
                };
                assert!(venc("v4l2").0 == venc("element").0, "{format}");
            }
            let (v4l2, _) = encoded("k230venc backend=v4l2", "video/x-h264", 3);
            let (element, _) = encoded("k230venc backend=element", "video/x-h264", 3);
            assert!(v4l2 == element);
        },
    );
}

#[test]
fn interrupted_requests_and_one_buffer_lose_nothing() {
    const NAME: &str = "interrupted_requests_and_one_buffer_lose_nothing";
    for faults in ["interrupt-every=3", "one-buffer"] {
        on_the_device(NAME, faults, || {
            on_one_core();
            let (v4l2, stats) = encoded("k230venc backend=v4l2", "video/x-h264", 20);
            let (element, _) = encoded("k230venc backend=element", "video/x-h264", 20);
            assert!(v4l2 == element);
            assert_eq!(count(&stats, "lost"), 0);
        });
    }
}

#[test]
fn lost_frames_are_counted_and_the_others_keep_their_times() {
    const NAME: &str = "lost_frames_are_counted_and_the_others_keep_their_times";
    on_the_device(NAME, "error-every=4", || {
        let pipeline = Pipeline::launch(&format!(
            "videotestsrc num-buffers=13 ! {RAW} ! k230venc name=venc backend=v4l2 \
             ! video/x-h264 ! appsink name=out"
        ));
        let heard = pipeline.warnings();
        let out = collect(&pipeline, "out").expect("it goes on");
        let frames = |n: &u64| !(n + 1).is_multiple_of(4);
        let expected: Vec<_> = (0..13u64)
            .filter(frames)
            .map(|n| gst::ClockTime::SECOND.mul_div_floor(n, 30))
            .collect();
        let pts: Vec<_> = out.buffers.iter().map(|buffer| buffer.pts()).collect();
        assert_eq!(pts, expected);
        // What follows a loss refers to nothing before it.
        assert_eq!(structure(&out.buffers), "hIPPhIPPhIPPhI");
        let stats: gst::Structure = pipeline.element("venc").property("stats");
        assert_eq!(count(&stats, "lost"), 3);
        let heard = heard.lock().unwrap();
        assert!(
            heard.len() == 1 && heard[0].contains("lost a frame"),
            "{heard:?}"
        );
    });
}

#[test]
fn a_device_that_fails_is_one_clear_error_in_time() {
    const NAME: &str = "a_device_that_fails_is_one_clear_error_in_time";
    for (faults, words) in [
        ("busy", &["open", "busy", "other program"][..]),
        (
            "eio-after=3",
            &["VIDIOC_", "EIO", "Input/output", "kernel's log"],
        ),
        ("gone-after=3", &["VIDIOC_", "No such device", "is gone"]),
        ("silent-after=3", &["getting a stream", "5 s", "hangs"]),
        ("short-strides", &["rows of 160 bytes", "a row of 320"]),
    ] {
        on_the_device(NAME, faults, || {
            let since = Instant::now();
            let pipeline = Pipeline::launch(&format!(
                "videotestsrc num-buffers=9 ! {RAW} ! k230venc backend=v4l2 device={NODE} ! fakesink"
            ));
            let errors = crate::one_error::errors(&pipeline.0);
            let [error] = &errors[..] else {
                panic!("{faults}: {errors:#?}");
            };
            for word in words.iter().filter(|word| **word != "EIO") {
                assert!(error.contains(word), "{faults}: {error}");
            }
            assert!(error.contains(NODE), "{faults}: {error}");
            // Five seconds for the device, the rest for this machine's other work.
            assert!(since.elapsed() < Duration::from_secs(60), "{faults}");
        });
    }
}

/// Nothing tells that it did but the stream of the next frame.
#[test]
fn a_frame_that_the_driver_leaves_out_is_counted() {
    const NAME: &str = "a_frame_that_the_driver_leaves_out_is_counted";
    for codec in ["video/x-h264", "video/x-h265", "image/jpeg"] {
        on_the_device(NAME, "drop-every=4", || {
            let pipeline = Pipeline::launch(&format!(
                "videotestsrc num-buffers=10 ! {RAW} ! k230venc name=venc backend=v4l2 ! {codec} \
                 ! fakesink"
            ));
            let heard = pipeline.warnings();
            pipeline.run().unwrap_or_else(|e| panic!("{codec}: {e}"));
            let stats: gst::Structure = pipeline.element("venc").property("stats");
            assert_eq!(count(&stats, "lost"), 2, "{stats:?}");
            assert_eq!(count(&stats, "frames-out"), 8, "{stats:?}");
            assert_eq!(heard.lock().unwrap().len(), 1, "{codec}");
        });
    }
}

#[test]
fn a_device_that_was_waited_for_is_not_waited_for_again() {
    const NAME: &str = "a_device_that_was_waited_for_is_not_waited_for_again";
    on_the_device(NAME, "silent-after=3", || {
        let since = Instant::now();
        let pipeline = Pipeline::launch(&format!(
            "videotestsrc num-buffers=9 ! {RAW} ! k230venc backend=v4l2 ! fakesink"
        ));
        pipeline.run().expect_err("it is silent");
        drop(pipeline);
        assert!(since.elapsed() < 2 * k230_venc::STUCK_AFTER);

        // A flush ends the session, which would wait for what is inside.
        let mut fed = Fed::new("k230venc backend=v4l2");
        for _ in 0..9 {
            fed.push();
        }
        fed.pipeline.wait().expect_err("it is silent");
        let since = Instant::now();
        assert!(fed.source.send_event(gst::event::FlushStart::new()));
        assert!(fed.source.send_event(gst::event::FlushStop::new(true)));
        assert!(since.elapsed() < k230_venc::STUCK_AFTER);
    });
}

/// Level and tier of the encoder's caps, which are those that the stream has, and the warnings.
fn level(venc: &str, caps: &str) -> (String, Vec<String>) {
    let parser = match caps.contains("h265") {
        true => "h265parse",
        false => "h264parse",
    };
    let pipeline = Pipeline::launch(&format!(
        "videotestsrc num-buffers=3 ! {RAW} ! {venc} name=venc ! {caps} ! {parser} ! appsink name=out"
    ));
    let heard = pipeline.warnings();
    let said: Arc<Mutex<Option<gst::Caps>>> = Arc::default();
    let keep = said.clone();
    let pad = pipeline.element("venc").static_pad("src").expect("a pad");
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, _| {
        *keep.lock().unwrap() = pad.current_caps();
        gst::PadProbeReturn::Ok
    });
    let out = collect(&pipeline, "out").unwrap_or_else(|error| panic!("{venc} ! {caps}: {error}"));
    let words = |caps: &gst::Caps| {
        let structure = caps.structure(0).expect("a structure");
        let word = |name: &str| structure.get::<Option<String>>(name).ok().flatten();
        [word("level"), word("tier")]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(" ")
    };
    let said = said.lock().unwrap().clone().expect("a buffer came");
    assert_eq!(words(&said), words(&out.caps), "{venc} ! {caps}");
    let heard = heard.lock().unwrap().clone();
    (words(&said), heard)
}

#[test]
fn the_level_is_the_lowest_that_is_enough_of_those_that_downstream_takes() {
    const NAME: &str = "the_level_is_the_lowest_that_is_enough_of_those_that_downstream_takes";
    on_the_device(NAME, "", || {
        for backend in ["v4l2", "element"] {
            for (settings, caps, expected) in [
                ("", "video/x-h264,profile=high", "2.1"),
                ("", "video/x-h264,profile=main", "2.1"),
                ("bitrate=4100", "video/x-h264,profile=main", "3"),
                ("bitrate=500", "video/x-h264,profile=main", "1.3"),
                ("rate-control=fixqp", "video/x-h264,profile=main", "1.3"),
                ("", "video/x-h264,level=(string)4", "4"),
                ("", "video/x-h264,level=(string){5,1.1,4.1,3.1}", "3.1"),
                ("", "video/x-h265,profile=main", "3 main"),
                ("", "video/x-h265,level=(string)4.1", "4.1 main"),
            ] {
                let venc = format!("k230venc backend={backend} {settings}");
                let (found, heard) = level(&venc, caps);
                assert_eq!(found, expected, "{venc} ! {caps}");
                assert!(heard.is_empty(), "{venc} ! {caps}: {heard:?}");
            }
        }
        // It is what is asked for.
        let venc = "k230venc backend=v4l2";
        let (found, heard) = level(venc, "video/x-h264,level=(string)1");
        assert_eq!(found, "1");
        assert!(
            heard.len() == 1 && heard[0].contains("H.264 level 1"),
            "{heard:?}"
        );
        // x265 in the double says main tier all the same.
        let high = Pipeline::launch(&format!(
            "videotestsrc num-buffers=3 ! {RAW} ! {venc} ! video/x-h265,tier=(string)high \
             ! appsink name=out"
        ));
        let out = collect(&high, "out").expect("it encodes");
        assert!(
            out.caps.to_string().contains("level=(string)4,"),
            "{}",
            out.caps
        );
        let unknown = Pipeline::launch(&format!(
            "videotestsrc num-buffers=3 ! {RAW} ! {venc} ! video/x-h264,level=(string)9 ! fakesink"
        ));
        let error = unknown.run().expect_err("there is no such level");
        assert!(error.contains("no level"), "{error}");
    });
}

/// A driver without the control, as there may be older ones, and the MPP, whose attributes have no level.
#[test]
fn a_level_that_the_encoder_cannot_be_told_is_one_warning() {
    const NAME: &str = "a_level_that_the_encoder_cannot_be_told_is_one_warning";
    on_the_device(NAME, "no-controls", || {
        let mpp = format!("backend=mpp library={}", mpp_double().display());
        for (way, words) in [("backend=v4l2", "level=4"), (mpp.as_str(), "H.264 level 4")] {
            for (caps, says) in [
                ("video/x-h264,level=(string)4", true),
                ("video/x-h264", false),
            ] {
                let pipeline = Pipeline::launch(&format!(
                    "videotestsrc num-buffers=2 ! {RAW} ! k230venc {way} ! {caps} ! appsink name=out"
                ));
                let heard = pipeline.warnings();
                let out = collect(&pipeline, "out").expect("it encodes all the same");
                let heard = heard.lock().unwrap();
                assert_eq!(
                    heard.iter().any(|said| said.contains(words)),
                    says,
                    "{heard:?}"
                );
                let structure = out.caps.structure(0).expect("a structure");
                assert_eq!(structure.has_field("level"), says, "{structure}");
            }
        }
    });
}

#[test]
fn what_the_driver_has_no_control_for_is_one_warning() {
    const NAME: &str = "what_the_driver_has_no_control_for_is_one_warning";
    for (faults, settings, words) in [
        (
            "",
            "sao=false deblock=false ! video/x-h265",
            &["has no control for sao=false, deblock=false"][..],
        ),
        (
            "",
            "rate-control=fixqp qp-i=0 qp-p=20 ! video/x-h264",
            &["has no control for qp-i=0"],
        ),
        (
            "no-controls",
            "rate-control=vbr ! video/x-h264,profile=main",
            &[
                "the profile main",
                "entropy-mode=cabac",
                "gop-length=30",
                "rate-control=vbr",
            ],
        ),
    ] {
        on_the_device(NAME, faults, || {
            let pipeline = Pipeline::launch(&format!(
                "videotestsrc num-buffers=2 ! {RAW} ! k230venc backend=v4l2 {settings} ! fakesink"
            ));
            let heard = pipeline.warnings();
            pipeline.run().expect("it encodes all the same");
            let heard = heard.lock().unwrap();
            assert_eq!(heard.len(), 1, "{heard:?}");
            for word in words {
                assert!(heard[0].contains(word), "{heard:?}");
            }
        });
    }
}

#[test]
fn software_in_the_place_of_the_chips_encoder_is_loud() {
    const NAME: &str = "software_in_the_place_of_the_chips_encoder_is_loud";
    for (faults, reason) in [("busy", "busy"), ("short-strides", "rows of 160")] {
        on_the_device(NAME, faults, || {
            let pipeline = Pipeline::launch(&format!(
                "videotestsrc num-buffers=2 ! {RAW} ! k230venc name=venc device={NODE} \
                 ! video/x-h264 ! fakesink"
            ));
            let heard = pipeline.warnings();
            pipeline.run().expect("an element encodes");
            let heard = heard.lock().unwrap();
            assert_eq!(heard.len(), 1, "{heard:?}");
            for word in ["encoder is not used", reason, "instead"] {
                assert!(heard[0].contains(word), "{heard:?}");
            }
            let stats: gst::Structure = pipeline.element("venc").property("stats");
            assert_eq!(stats.get::<&str>("backend"), Ok("element"));
        });
    }
}

/// Memory that has a descriptor, with these bytes in it.
fn dma_memory(bytes: &[u8]) -> gst::Memory {
    use gst_allocators::prelude::*;
    use std::io::Write;
    use std::os::fd::FromRawFd;
    // SAFETY: a name, and the descriptor that was just made.
    let mut file = unsafe {
        std::fs::File::from_raw_fd(libc::memfd_create(c"frame".as_ptr(), libc::MFD_CLOEXEC))
    };
    file.write_all(bytes).expect("memory");
    let allocator = gst_allocators::DmaBufAllocator::new();
    // SAFETY: the memory takes the descriptor over.
    unsafe { allocator.alloc_dmabuf(file, bytes.len()) }.expect("a memory")
}

/// The bytes of a picture of 320x240 NV12 with rows so far apart, and where its chroma begins.
fn picture(shade: u8, stride: usize) -> (Vec<u8>, usize) {
    let chroma = stride * 256;
    let mut bytes = vec![100u8; chroma + stride * 120];
    for (y, row) in bytes.chunks_mut(stride).take(240).enumerate() {
        row.fill(shade.wrapping_add(y as u8));
    }
    (bytes, chroma)
}

/// A buffer of such a picture in memory that has a descriptor, both planes in one piece.
fn lent(shade: u8, stride: usize) -> gst::Buffer {
    lent_in_more(shade, stride, 0)
}

/// The same in memory that is longer than the picture.
fn lent_in_more(shade: u8, stride: usize, more: usize) -> gst::Buffer {
    let (mut bytes, chroma) = picture(shade, stride);
    bytes.resize(bytes.len() + more, 0);
    let mut buffer = gst::Buffer::new();
    let b = buffer.get_mut().unwrap();
    b.append_memory(dma_memory(&bytes));
    lay_out(b, stride, chroma);
    buffer
}

/// The same with each plane in memory of its own.
fn lent_apart(shade: u8, stride: usize) -> gst::Buffer {
    let (bytes, chroma) = picture(shade, stride);
    let mut buffer = gst::Buffer::new();
    let b = buffer.get_mut().unwrap();
    for plane in [&bytes[..chroma], &bytes[chroma..]] {
        b.append_memory(dma_memory(plane));
    }
    lay_out(b, stride, chroma);
    buffer
}

/// Encodes buffers and answers with the streams and the counts.
fn encode_buffers(venc: &str, buffers: &[gst::Buffer]) -> (Vec<Vec<u8>>, gst::Structure) {
    encode_buffers_of(RAW, venc, buffers)
}

/// The same of other pictures.
fn encode_buffers_of(
    raw: &str,
    venc: &str,
    buffers: &[gst::Buffer],
) -> (Vec<Vec<u8>>, gst::Structure) {
    let pipeline = Pipeline::launch(&format!(
        "appsrc name=in format=time caps={raw} ! {venc} name=venc ! video/x-h264 ! appsink name=out"
    ));
    let out = tap(&pipeline, "out");
    let source: gst_app::AppSrc = pipeline.element("in").downcast().expect("an appsrc");
    for (n, buffer) in buffers.iter().enumerate() {
        let mut buffer = buffer.copy();
        let pts = gst::ClockTime::SECOND.mul_div_floor(n as u64, 30);
        buffer.get_mut().unwrap().set_pts(pts);
        source.push_buffer(buffer).expect("a buffer goes in");
    }
    source.end_of_stream().expect("EOS goes in");
    pipeline.run().unwrap_or_else(|e| panic!("{venc}: {e}"));
    let bytes = out
        .lock()
        .unwrap()
        .buffers
        .iter()
        .map(|buffer| buffer.map_readable().expect("memory").to_vec())
        .collect();
    (bytes, pipeline.element("venc").property("stats"))
}

#[test]
fn frames_with_descriptors_are_imported_and_not_copied() {
    const NAME: &str = "frames_with_descriptors_are_imported_and_not_copied";
    // The planes apart, as the driver takes them; and in one piece, where it heeds where they begin.
    for (faults, lent) in [
        ("", lent_apart as fn(u8, usize) -> gst::Buffer),
        ("offsets", lent),
    ] {
        on_the_device(NAME, faults, || {
            on_one_core();
            for stride in [320, 384] {
                let buffers: Vec<gst::Buffer> = (0..6).map(|n| lent(n * 9, stride)).collect();
                let (imported, stats) = encode_buffers("k230venc backend=v4l2", &buffers);
                assert_eq!(count(&stats, "imported"), 6);
                assert_eq!(count(&stats, "copied"), 0);
                let (mapped, _) = encode_buffers("k230venc backend=element", &buffers);
                assert!(imported == mapped, "stride {stride}");
            }
            // Memory of both kinds in one stream.
            let plain = gst::Buffer::from_slice(vec![90u8; 320 * 240 * 3 / 2]);
            let mixed = [lent(1, 320), lent(2, 320), plain, lent(3, 320)];
            let (streams, stats) = encode_buffers("k230venc backend=v4l2", &mixed);
            assert_eq!(streams.len(), 4);
            assert_eq!(count(&stats, "imported"), 3);
            assert_eq!(count(&stats, "copied"), 1);
        });
    }
}

/// The driver has room for so small an offset twice, and would not tell that it reads from another place.
#[test]
fn a_picture_that_begins_a_little_behind_its_memorys_begin_is_copied() {
    const NAME: &str = "a_picture_that_begins_a_little_behind_its_memorys_begin_is_copied";
    on_the_device(NAME, "", || {
        on_one_core();
        let raw = RAW.replace("NV12", "YUY2");
        let encoded = |begin: usize, dma: bool| {
            let mut bytes = vec![0u8; begin];
            bytes.extend((0..320 * 240 * 2).map(|n| (n / 640 + n % 7) as u8));
            let mut buffer = gst::Buffer::new();
            let b = buffer.get_mut().unwrap();
            b.append_memory(match dma {
                true => dma_memory(&bytes),
                false => gst::Memory::from_slice(bytes),
            });
            let format = gst_video::VideoFormat::Yuy2;
            let flags = gst_video::VideoFrameFlags::empty();
            gst_video::VideoMeta::add_full(b, flags, format, 320, 240, &[begin], &[640])
                .expect("a layout");
            encode_buffers_of(&raw, "k230venc backend=v4l2", &vec![buffer; 3])
        };
        let (plain, _) = encoded(0, false);
        for (begin, expected) in [(0, [3, 0]), (64, [0, 3])] {
            let (streams, stats) = encoded(begin, true);
            let ways = ["imported", "copied"].map(|way| count(&stats, way));
            assert_eq!(ways, expected, "{begin}");
            assert!(streams == plain, "{begin}");
        }
    });
}

/// The driver refuses a format once there are buffers.
#[test]
fn a_size_that_changes_is_another_sessions() {
    const NAME: &str = "a_size_that_changes_is_another_sessions";
    on_the_device(NAME, "", || {
        let pipeline = Pipeline::launch(
            "appsrc name=in format=time ! k230venc name=venc backend=v4l2 ! video/x-h264 ! appsink name=out",
        );
        let out = tap(&pipeline, "out");
        let source: gst_app::AppSrc = pipeline.element("in").downcast().expect("an appsrc");
        let sizes = [(320, 240), (320, 240), (640, 480), (640, 480), (128, 64)];
        for (n, (width, height)) in sizes.into_iter().enumerate() {
            let caps = gst::Caps::builder("video/x-raw")
                .field("format", "NV12")
                .field("width", width)
                .field("height", height)
                .field("framerate", gst::Fraction::new(30, 1))
                .build();
            source.set_caps(Some(&caps));
            let mut buffer = gst::Buffer::from_slice(vec![90u8; (width * height * 3 / 2) as usize]);
            let pts = gst::ClockTime::SECOND.mul_div_floor(n as u64, 30);
            buffer.get_mut().unwrap().set_pts(pts);
            source.push_buffer(buffer).expect("a buffer goes in");
        }
        source.end_of_stream().expect("EOS goes in");
        pipeline.run().expect("it encodes");
        assert_eq!(structure(&out.lock().unwrap().buffers), "hIPhIPhI");
        let stats: gst::Structure = pipeline.element("venc").property("stats");
        assert_eq!(stats.get::<&str>("backend"), Ok("v4l2"));
        assert_eq!(["copied", "lost"].map(|name| count(&stats, name)), [5, 0]);
    });
}

/// Neither lost nor read from the wrong place, however long the memory is: the first one shows that the driver does
/// not heed where a plane begins.
#[test]
fn pictures_that_the_driver_gives_back_unread_are_copied() {
    const NAME: &str = "pictures_that_the_driver_gives_back_unread_are_copied";
    on_the_device(NAME, "", || {
        on_one_core();
        for more in [0, 1, 320 * 240, 1 << 20] {
            let buffers: Vec<gst::Buffer> =
                (0..6).map(|n| lent_in_more(n * 9, 320, more)).collect();
            let (copied, stats) = encode_buffers("k230venc backend=v4l2 gop-length=4", &buffers);
            let ways = ["imported", "copied", "lost"].map(|way| count(&stats, way));
            assert_eq!(ways, [0, 6, 0], "{more}");
            let venc = "k230venc backend=element gop-length=4";
            let (mapped, _) = encode_buffers(venc, &buffers);
            assert!(copied == mapped, "{more}");
        }
        // Those that it takes it still gets.
        let mixed = [
            lent_apart(1, 320),
            lent(2, 320),
            lent_apart(3, 320),
            lent(4, 320),
        ];
        let (streams, stats) = encode_buffers("k230venc backend=v4l2", &mixed);
        assert_eq!(streams.len(), 4);
        let ways = ["imported", "copied", "lost"].map(|way| count(&stats, way));
        assert_eq!(ways, [2, 2, 0]);
    });
}

#[test]
fn starts_and_stops_of_the_device_leak_nothing() {
    on_the_device(
        "starts_and_stops_of_the_device_leak_nothing",
        "canned",
        || {
            let pipeline = Pipeline::launch(&format!(
                "videotestsrc num-buffers=2 ! {RAW} ! k230venc backend=v4l2 ! fakesink"
            ));
            let descriptors = || {
                std::fs::read_dir("/proc/self/fd")
                    .expect("a directory")
                    .count()
            };
            let mappings = || {
                let maps = std::fs::read_to_string("/proc/self/maps").expect("a file");
                maps.matches("mvx-sim").count()
            };
            let mut before = None;
            for round in 0..100 {
                pipeline
                    .run()
                    .unwrap_or_else(|e| panic!("round {round}: {e}"));
                pipeline.0.set_state(gst::State::Null).expect("down");
                if round == 1 {
                    before = Some(descriptors());
                }
            }
            assert_eq!(Some(descriptors()), before);
            assert_eq!(mappings(), 0);
        },
    );
}

#[test]
fn four_sessions_encode_at_once() {
    on_the_device("four_sessions_encode_at_once", "", || {
        let branch = |n: u32, channel: i32, caps: &str| {
            format!(
                "videotestsrc num-buffers=20 ! {RAW} ! k230venc channel={channel} backend=v4l2 \
                 ! {caps} ! appsink name=out{n} sync=false "
            )
        };
        let pipeline = Pipeline::launch(
            &[
                branch(0, -1, "video/x-h264"),
                branch(1, -1, "video/x-h265"),
                branch(2, -1, "image/jpeg"),
                branch(3, 3, "video/x-h264,profile=main"),
            ]
            .concat(),
        );
        let outs: Vec<_> = (0..4).map(|n| tap(&pipeline, &format!("out{n}"))).collect();
        pipeline.run().expect("four encode");
        for out in outs {
            assert_eq!(out.lock().unwrap().buffers.len(), 20);
        }
    });
}

#[test]
fn k230_probe_reports_what_the_device_has() {
    let probe = crate::common::program("k230-probe");
    let run = |faults: &str, arguments: &[&str]| {
        let output = Command::new(&probe)
            .args(arguments)
            .env("LD_PRELOAD", v4l2_double())
            .env("K230_V4L2_SIM_FAULTS", faults)
            .output()
            .expect("k230-probe starts");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success(), said)
    };
    let (good, said) = run("", &[]);
    assert!(good, "{said}");
    for word in [
        NODE,
        "mvx (kernel 6.6.0)",
        "Linlon Video device",
        "NV12  raw",
        "H264  encoded",
        "h265 profile: 0 to 3",
        "H.264: 30 frames",
        "3 key pictures, 3 with parameter sets",
        "H.265: 30 frames",
        "JPEG: 30 frames",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(!said.contains("Codec Controls"), "a heading: {said}");
    let (good, said) = run("eio-after=2", &[NODE]);
    assert!(!good && said.contains("Input/output error"), "{said}");
    let (good, said) = run("", &["/dev/null"]);
    assert!(!good && said.contains("VIDIOC_QUERYCAP"), "{said}");
}

/// What the double noted of each picture that was queued.
fn journal(test: &str, body: impl FnOnce(&dyn Fn() -> Vec<String>)) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    on_the_device_with(test, "", &[("K230_V4L2_SIM_LOG", path.as_os_str())], || {
        let path = std::env::var_os("K230_V4L2_SIM_LOG").expect("a path");
        body(&|| {
            let text = std::fs::read_to_string(&path).expect("a journal");
            text.lines().map(str::to_owned).collect()
        });
    });
}

#[test]
fn regions_of_interest_reach_the_device_in_blocks_and_turn_with_the_picture() {
    const NAME: &str = "regions_of_interest_reach_the_device_in_blocks_and_turn_with_the_picture";
    journal(NAME, |noted| {
        let encode = |settings: &str, count: u32| {
            let pipeline = Pipeline::launch(&format!(
                "videotestsrc num-buffers=2 ! {RAW} ! identity name=mark ! k230venc backend=v4l2 \
                 {settings} ! video/x-h264 ! fakesink"
            ));
            mark_regions(&pipeline, count);
            let heard = pipeline.warnings();
            pipeline.run().expect("it encodes");
            (
                noted().pop().expect("a line"),
                heard.lock().unwrap().clone(),
            )
        };
        let (line, heard) = encode("", 2);
        assert!(
            line.ends_with(" 2,3-3,5:-9"),
            "only that with a delta: {line}"
        );
        assert!(heard.is_empty(), "{heard:?}");
        let (line, _) = encode("default-roi-delta-qp=4", 2);
        let mut regions: Vec<&str> = line.split(' ').skip(5).collect();
        regions.sort_unstable();
        assert_eq!(regions, ["2,3-3,5:-9", "3,3-4,5:+4"], "{line}");
        // The encoded picture has 15 columns and 20 rows.
        let (line, _) = encode("rotation=90", 1);
        assert!(line.ends_with(" 10,2-12,3:-9"), "{line}");
        // The driver has room for 16, and does not look.
        let (line, heard) = encode("default-roi-delta-qp=1", 17);
        assert_eq!(line.matches(':').count(), 16, "{line}");
        assert!(
            heard.len() == 1 && heard[0].contains("17 came"),
            "{heard:?}"
        );
    });
}

#[test]
fn a_driver_without_regions_of_interest_is_one_warning() {
    const NAME: &str = "a_driver_without_regions_of_interest_is_one_warning";
    on_the_device(NAME, "no-controls", || {
        let pipeline = Pipeline::launch(&format!(
            "videotestsrc num-buffers=3 ! {RAW} ! identity name=mark ! k230venc backend=v4l2 \
             name=venc ! video/x-h264 ! fakesink"
        ));
        mark_regions(&pipeline, 1);
        let heard = pipeline.warnings();
        pipeline.run().expect("it encodes all the same");
        let heard = heard.lock().unwrap();
        let of_regions = heard
            .iter()
            .filter(|text| text.contains("takes no regions"));
        assert_eq!(of_regions.count(), 1, "{heard:?}");
        assert_eq!(
            count(&pipeline.element("venc").property("stats"), "frames-out"),
            3
        );
    });
}

/// The format that upstream has is the one that the device takes, written where the device reads it.
#[test]
fn each_format_is_written_into_the_devices_memory_and_not_converted() {
    const NAME: &str = "each_format_is_written_into_the_devices_memory_and_not_converted";
    for faults in ["", "stride=96"] {
        on_the_device(NAME, faults, || {
            for format in [
                "NV12",
                "NV21",
                "I420",
                "YUY2",
                "UYVY",
                "BGRA",
                "ARGB",
                "P010_10LE",
            ] {
                let pipeline = Pipeline::launch(&format!(
                    "videotestsrc num-buffers=3 pattern=solid-color foreground-color=0xff2060c0 \
                     ! video/x-raw,format={format},width=330,height=242,framerate=30/1 \
                     ! k230venc name=venc backend=v4l2 ! video/x-h264 ! h264parse ! avdec_h264 \
                     ! videoconvert ! video/x-raw,format=RGB ! appsink name=decoded"
                ));
                let out = collect(&pipeline, "decoded").unwrap_or_else(|e| panic!("{format}: {e}"));
                let info = gst_video::VideoInfo::from_caps(&out.caps).expect("raw video");
                let frame =
                    gst_video::VideoFrameRef::from_buffer_ref_readable(&out.buffers[2], &info)
                        .expect("a frame");
                let stride = frame.plane_stride()[0] as usize;
                let data = frame.plane_data(0).expect("pixels");
                for (x, y) in [(2, 2), (319, 2), (165, 121), (2, 235), (319, 235)] {
                    let pixel = &data[y * stride + 3 * x..][..3];
                    for (is, should) in pixel.iter().zip([0x20u8, 0x60, 0xc0]) {
                        assert!(is.abs_diff(should) < 12, "{format}: {pixel:x?} at {x},{y}");
                    }
                }
                let stats: gst::Structure = pipeline.element("venc").property("stats");
                let ways = ["pooled", "copied", "imported"].map(|name| count(&stats, name));
                assert_eq!(ways, [3, 0, 0], "{format}");
            }
        });
    }
}

/// Pictures of ten bits become streams of ten bits, unless downstream takes none.
#[test]
fn ten_bits_stay_ten() {
    on_the_device("ten_bits_stay_ten", "", || {
        for (caps, decoder, format) in [
            ("video/x-h265", "h265parse ! avdec_h265", "I420_10LE"),
            ("video/x-h264", "h264parse ! avdec_h264", "I420_10LE"),
            (
                "video/x-h265,profile=main",
                "h265parse ! avdec_h265",
                "I420",
            ),
            ("image/jpeg", "jpegdec", "I420"),
        ] {
            let pipeline = Pipeline::launch(&format!(
                "videotestsrc num-buffers=2 ! video/x-raw,format=P010_10LE,width=320,height=240 \
                 ! k230venc name=venc backend=v4l2 ! {caps} ! {decoder} ! appsink name=decoded"
            ));
            let out = collect(&pipeline, "decoded").unwrap_or_else(|e| panic!("{caps}: {e}"));
            let decoded = out.caps.structure(0).expect("caps");
            assert_eq!(decoded.get::<&str>("format"), Ok(format), "{caps}");
            let stats: gst::Structure = pipeline.element("venc").property("stats");
            assert_eq!(stats.get::<&str>("backend"), Ok("v4l2"), "{caps}");
        }
    });
}

/// Its driver knows them, but lists them for what it decodes alone.
#[test]
fn pictures_that_the_hardware_does_not_read_are_converted_or_refused() {
    const NAME: &str = "pictures_that_the_hardware_does_not_read_are_converted_or_refused";
    on_the_device(NAME, "", || {
        for format in ["RGB", "BGR"] {
            let raw = format!("video/x-raw,format={format},width=320,height=240,framerate=30/1");
            let (buffers, stats) = encoded(
                &format!("videoconvert ! {raw} ! videoconvert ! k230venc backend=v4l2"),
                "video/x-h264",
                3,
            );
            assert_eq!(buffers.len(), 3, "{format}");
            assert_eq!(stats.get::<&str>("backend"), Ok("v4l2"), "{format}");
            let pipeline = Pipeline::launch(&format!(
                "videotestsrc num-buffers=3 ! {raw} ! k230venc backend=v4l2 ! video/x-h264 \
                 ! appsink name=out"
            ));
            let refused = collect(&pipeline, "out").err().expect("it is refused");
            assert!(refused.contains("K_ERR_VENC_NOT_SUPPORT"), "{refused}");
        }
    });
}

#[test]
fn a_session_that_takes_anothers_place_lends_its_memory_too() {
    const NAME: &str = "a_session_that_takes_anothers_place_lends_its_memory_too";
    on_the_device(NAME, "", || {
        let pipeline = Pipeline::launch(&format!(
            "videotestsrc num-buffers=60 ! {RAW} ! k230venc name=venc backend=v4l2 \
             ! video/x-h264 ! fakesink"
        ));
        let venc = pipeline.element("venc");
        let changed = venc.downgrade();
        let passed = AtomicU32::new(0);
        let pad = venc.static_pad("src").expect("a pad");
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            if passed.fetch_add(1, Ordering::SeqCst) == 20
                && let Some(venc) = changed.upgrade()
            {
                venc.set_property("gop-length", 7u32);
            }
            gst::PadProbeReturn::Ok
        });
        pipeline.run().expect("it encodes");
        let stats: gst::Structure = venc.property("stats");
        assert_eq!(count(&stats, "frames-out"), 60);
        // Those that were on their way when the session ended are copied into the next one.
        let (pooled, copied) = (count(&stats, "pooled"), count(&stats, "copied"));
        assert!(
            pooled + copied == 60 && copied < 10,
            "{pooled} and {copied}"
        );
    });
}

#[test]
fn upstream_that_holds_more_pictures_than_the_device_has_is_not_held_up() {
    const NAME: &str = "upstream_that_holds_more_pictures_than_the_device_has_is_not_held_up";
    on_the_device(NAME, "", || {
        let pipeline = Pipeline::launch(&format!(
            "videotestsrc num-buffers=40 ! {RAW} ! queue min-threshold-buffers=12 \
             max-size-buffers=20 ! k230venc name=venc backend=v4l2 ! video/x-h264 ! fakesink"
        ));
        pipeline.run().expect("it encodes");
        let stats: gst::Structure = pipeline.element("venc").property("stats");
        assert_eq!(count(&stats, "frames-out"), 40);
        let (pooled, copied) = (count(&stats, "pooled"), count(&stats, "copied"));
        assert!(
            pooled > 0 && copied > 0 && pooled + copied == 40,
            "{pooled} and {copied}"
        );
    });
}

/// At a tenth of the rate that the driver takes for granted, pictures have ten times the bits.
#[test]
fn the_frame_rate_is_told_to_the_driver() {
    const NAME: &str = "the_frame_rate_is_told_to_the_driver";
    on_the_device(NAME, "", || {
        on_one_core();
        let streams = |backend: &str, rate: &str| {
            let raw = RAW.replace("30/1", rate);
            let pipeline = Pipeline::launch(&format!(
                "videotestsrc num-buffers=12 ! {raw} ! k230venc backend={backend} bitrate=400 \
                 ! video/x-h264 ! appsink name=out"
            ));
            let out = collect(&pipeline, "out").expect("it encodes");
            let bytes = |b: &gst::Buffer| b.map_readable().expect("memory").to_vec();
            out.buffers.iter().map(bytes).collect::<Vec<_>>()
        };
        for rate in ["3/1", "25/2"] {
            assert!(streams("v4l2", rate) == streams("element", rate), "{rate}");
        }
        assert!(streams("v4l2", "3/1").concat().len() > 2 * streams("v4l2", "30/1").concat().len());
    });
}

/// A driver that gives nothing before it has three pictures, and gives the rest when it is stopped.
#[test]
fn pictures_that_stay_inside_come_out_and_a_stopped_session_is_not_used_again() {
    const NAME: &str = "pictures_that_stay_inside_come_out_and_a_stopped_session_is_not_used_again";
    on_the_device(NAME, "keep=2", || {
        let (streams, stats) = encoded("k230venc backend=v4l2 gop-length=5", "video/x-h264", 12);
        assert_eq!(streams.len(), 12);
        assert_eq!(count(&stats, "lost"), 0);

        let mut fed = Fed::new("k230venc name=venc backend=v4l2");
        for _ in 0..3 {
            fed.push();
        }
        assert_eq!(structure(&[fed.pull()]), "hI");
        let mut query = gst::query::Latency::new();
        let pad = fed.venc().static_pad("src").expect("a pad");
        assert!(pad.query(&mut query));
        let two_frames = gst::ClockTime::SECOND.mul_div_ceil(1, 30).expect("a time") * 2;
        assert_eq!(query.result().1, two_frames);
        // Two are inside when the stream is flushed, which stops the session.
        fed.flush();
        for _ in 0..3 {
            fed.push();
        }
        assert_eq!(structure(&[fed.pull()]), "hI", "after the flush");
    });
}
