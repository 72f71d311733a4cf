// SPDX-License-Identifier: MIT OR Apache-2.0
//! `recordsink`: the files it makes, when they begin and end, and what is said when it cannot.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use crate::common::{Pipeline, frames, to_the_beginning, until};
use gst::prelude::*;

const VIDEO: &str = "videotestsrc num-buffers=60 ! video/x-raw,width=320,height=240,framerate=30/1";
const AUDIO: &str = "audiotestsrc num-buffers=96 samplesperbuffer=1000 ! \
    audio/x-raw,rate=48000,channels=1";

/// What a `recordsink-file` message says.
#[derive(Debug)]
struct Recorded {
    location: PathBuf,
    frames: u64,
    bytes: u64,
    duration: gst::ClockTime,
}

/// The files that were complete when the stream had ended.
fn recorded(pipeline: &Pipeline) -> Vec<Recorded> {
    let bus = pipeline.0.bus().unwrap();
    let mut files = Vec::new();
    while let Some(message) = bus.timed_pop_filtered(
        crate::common::HANG,
        &[
            gst::MessageType::Element,
            gst::MessageType::Eos,
            gst::MessageType::Error,
        ],
    ) {
        match message.view() {
            gst::MessageView::Element(element) => {
                let details = element.structure().unwrap();
                if details.name() == "recordsink-file" {
                    files.push(Recorded {
                        location: details.get::<String>("location").unwrap().into(),
                        frames: details.get("frames").unwrap(),
                        bytes: details.get("bytes").unwrap(),
                        duration: details.get("duration").unwrap(),
                    });
                }
            }
            gst::MessageView::Error(error) => {
                panic!("{} ({:?})", error.error(), error.debug());
            }
            _ => break,
        }
    }
    files
}

fn record(description: &str) -> Vec<Recorded> {
    let pipeline = Pipeline::launch(description);
    pipeline.play();
    recorded(&pipeline)
}

fn codecs(file: &Path) -> Vec<String> {
    crate::common::ffprobe(file, &[], "stream=codec_name")
}

fn error(description: &str) -> String {
    Pipeline::launch(description).run().unwrap_err()
}

fn stat(sink: &gst::Element, name: &str) -> u64 {
    sink.property::<gst::Structure>("stats").get(name).unwrap()
}

#[test]
fn the_extension_chooses_container_and_codecs() {
    let dir = tempfile::tempdir().unwrap();
    for (name, expected) in [
        ("a.avi", ["mjpeg", "pcm_s16le"]),
        ("a.mp4", ["aac", "h264"]),
        ("a.mov", ["aac", "h264"]),
        ("a.mkv", ["aac", "h264"]),
        ("a.ts", ["aac", "h264"]),
    ] {
        let file = dir.path().join(name);
        let files = record(&format!(
            "{VIDEO} ! r.video {AUDIO} ! r.audio recordsink name=r location={}",
            file.display()
        ));
        // Muxers put the streams in an order of their own, and ffprobe tells those of an MPEG
        // transport stream twice: once more by program.
        let mut found = codecs(&file);
        found.sort();
        found.dedup();
        assert_eq!(found, expected, "{name}");
        assert_eq!(frames(&file), 60, "{name}");
        assert_eq!(files.len(), 1, "{name}: {files:?}");
        assert_eq!(files[0].location, file);
        assert_eq!(files[0].frames, 60, "{name}");
        assert_eq!(files[0].bytes, file.metadata().unwrap().len(), "{name}");
        let duration = files[0].duration.mseconds();
        // AAC begins with packets of nothing, and ends with a whole one.
        assert!((1999..=2050).contains(&duration), "{name}: {duration} ms");
    }
}

#[test]
fn streams_without_a_container_have_files_too() {
    let dir = tempfile::tempdir().unwrap();
    for (name, codec) in [("a.h264", "h264"), ("a.h265", "hevc"), ("a.mjpeg", "mjpeg")] {
        let file = dir.path().join(name);
        let files = record(&format!("{VIDEO} ! recordsink location={}", file.display()));
        assert_eq!(codecs(&file), [codec]);
        assert_eq!(frames(&file), 60, "{name}");
        assert_eq!(files[0].frames, 60, "{name}");
        assert_eq!(files[0].bytes, file.metadata().unwrap().len(), "{name}");
    }
}

#[test]
fn sound_alone() {
    let dir = tempfile::tempdir().unwrap();
    for (name, codec) in [("a.wav", "pcm_s16le"), ("a.mp4", "aac")] {
        let file = dir.path().join(name);
        record(&format!("{AUDIO} ! recordsink location={}", file.display()));
        assert_eq!(codecs(&file), [codec], "{name}");
    }
    assert_eq!(
        dir.path().join("a.wav").metadata().unwrap().len(),
        44 + 192_000
    );
    let pcm = dir.path().join("a.pcm");
    let files = record(&format!("{AUDIO} ! recordsink location={}", pcm.display()));
    assert_eq!(pcm.metadata().unwrap().len(), 192_000);
    assert_eq!(files[0].frames, 96_000);
    assert_eq!(files[0].duration, gst::ClockTime::from_seconds(2));
}

#[test]
fn pictures_single_and_numbered() {
    let dir = tempfile::tempdir().unwrap();
    let single = dir.path().join("photo.jpg");
    // The source has no end: one picture is all that is taken.
    record(&format!(
        "videotestsrc ! video/x-raw,width=320,height=240 ! recordsink location={}",
        single.display()
    ));
    assert_eq!(frames(&single), 1);
    let numbered = dir.path().join("p%03d.jpg");
    let files = record(&format!(
        "videotestsrc num-buffers=3 ! video/x-raw,width=320,height=240 ! recordsink location={}",
        numbered.display()
    ));
    assert_eq!(files.len(), 3);
    for n in 0..3 {
        assert_eq!(codecs(&dir.path().join(format!("p{n:03}.jpg"))), ["mjpeg"]);
    }
    assert!(!dir.path().join("p003.jpg").exists());
}

#[test]
fn h265_and_other_encoders_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    for (options, name, codec) in [
        ("video-encoder=h265", "a.mp4", "hevc"),
        ("video-encoder=mjpeg", "a.mkv", "mjpeg"),
        ("video-encoder=x264enc", "b.mp4", "h264"),
        ("video-encoder=avenc_mjpeg", "c.avi", "mjpeg"),
        ("muxer=matroskamux", "a.video", "h264"),
    ] {
        let file = dir.path().join(name);
        record(&format!(
            "{VIDEO} ! recordsink {options} location={}",
            file.display()
        ));
        assert_eq!(codecs(&file), [codec], "{options}");
        assert_eq!(frames(&file), 60, "{options}");
    }
}

#[test]
fn pictures_that_are_too_small_for_venc_are_recorded_nevertheless() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("small.mp4");
    record(&format!(
        "videotestsrc num-buffers=5 ! video/x-raw,width=64,height=48 ! recordsink location={}",
        file.display()
    ));
    assert_eq!(frames(&file), 5);
}

#[test]
fn encoded_streams_are_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let reference = dir.path().join("reference.mjpeg");
    let file = dir.path().join("a.mjpeg");
    record(&format!(
        "{VIDEO} ! jpegenc ! tee name=t ! queue ! filesink location={} \
         t. ! queue ! recordsink location={}",
        reference.display(),
        file.display()
    ));
    assert!(std::fs::read(&reference).unwrap() == std::fs::read(&file).unwrap());
    let mp4 = dir.path().join("h264.mp4");
    record(&format!(
        "{VIDEO} ! x264enc speed-preset=ultrafast ! recordsink location={}",
        mp4.display()
    ));
    assert_eq!((codecs(&mp4), frames(&mp4)), (vec!["h264".to_owned()], 60));
}

#[test]
fn quality_sets_the_encoder_as_picamera2_does() {
    let dir = tempfile::tempdir().unwrap();
    let property = |options: &str, name: &str, factory: &'static str, property: &'static str| {
        let pipeline = Pipeline::launch(&format!(
            "videotestsrc num-buffers=1 ! video/x-raw,width=640,height=480,framerate=30/1 ! \
             recordsink name=r {options} location={}",
            dir.path().join(name).display()
        ));
        let found = std::sync::Arc::new(std::sync::Mutex::new(None));
        let bin: gst::Bin = pipeline.element("r").downcast().unwrap();
        bin.connect_deep_element_added({
            let found = found.clone();
            move |_, _, element| {
                if element.factory().is_some_and(|f| f.name() == factory) {
                    *found.lock().unwrap() = Some(element.clone());
                }
            }
        });
        pipeline.run().unwrap();
        let encoder = found
            .lock()
            .unwrap()
            .take()
            .expect("the encoder is in the bin");
        encoder
            .property_value(property)
            .transform::<u32>()
            .unwrap()
            .get::<u32>()
            .unwrap()
    };
    for (quality, jpeg, h264) in [
        ("very-low", 25, 296),
        ("low", 35, 592),
        ("medium", 50, 888),
        ("high", 65, 1333),
        ("very-high", 80, 2222),
    ] {
        let options = format!("quality={quality}");
        assert_eq!(property(&options, "a.avi", "jpegenc", "quality"), jpeg);
        assert_eq!(property(&options, "a.mp4", "k230venc", "bitrate"), h264);
    }
    // sqrt(640*480 / (1920*1080)) of 7 Mbit/s.
    let x264 = "video-encoder=x264enc";
    assert_eq!(property(x264, "b.mp4", "x264enc", "bitrate"), 2694);
    let rate = "quality=high bitrate=1234";
    assert_eq!(property(rate, "c.mp4", "k230venc", "bitrate"), 1234);
}

#[test]
fn interval_limits_the_rate_as_maixpys_does() {
    let dir = tempfile::tempdir().unwrap();
    let avi = dir.path().join("slow.avi");
    let pipeline = Pipeline::launch(&format!(
        "videotestsrc num-buffers=90 ! video/x-raw,width=320,height=240,framerate=30/1 ! \
         recordsink name=r interval=200000 location={}",
        avi.display()
    ));
    pipeline.run().unwrap();
    assert_eq!(frames(&avi), 15);
    assert_eq!(
        crate::common::ffprobe(&avi, &[], "stream=r_frame_rate"),
        ["5/1"]
    );
    let sink = pipeline.element("r");
    assert_eq!(stat(&sink, "frames"), 15);
    assert_eq!(stat(&sink, "dropped"), 75);
}

#[test]
fn duration_ends_the_recording_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    for (name, sound) in [("a.mp4", true), ("a.avi", true), ("a.h264", false)] {
        let file = dir.path().join(name);
        let audio = "audiotestsrc ! audio/x-raw,rate=48000 ! r.audio";
        // The sources have no end of their own.
        let files = record(&format!(
            "videotestsrc ! video/x-raw,width=320,height=240,framerate=30/1 ! r.video {} \
             recordsink name=r duration=1000000000 location={}",
            if sound { audio } else { "" },
            file.display()
        ));
        assert_eq!(frames(&file), 30, "{name}");
        assert_eq!(files[0].frames, 30, "{name}");
    }
}

#[test]
fn the_pts_file_is_picamera2s() {
    let dir = tempfile::tempdir().unwrap();
    let (file, pts) = (dir.path().join("a.h264"), dir.path().join("a.txt"));
    record(&format!(
        "videotestsrc num-buffers=5 timestamp-offset=7000000000 ! \
         video/x-raw,width=320,height=240,framerate=24/1 ! \
         recordsink location={} pts-location={}",
        file.display(),
        pts.display()
    ));
    assert_eq!(
        std::fs::read_to_string(pts).unwrap(),
        "0.000\n41.667\n83.333\n125.000\n166.667\n"
    );
}

#[test]
fn each_frames_length_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let mjpeg = dir.path().join("a.mjpeg");
    let pipeline = Pipeline::launch(&format!(
        "videotestsrc num-buffers=4 pattern=snow ! video/x-raw,width=320,height=240 ! \
         recordsink name=r frame-messages=true location={}",
        mjpeg.display()
    ));
    // To wait for the EOS takes what comes before it from the bus.
    let (told, lengths) = std::sync::mpsc::channel();
    let bus = pipeline.0.bus().unwrap();
    bus.set_sync_handler(move |_, message| {
        let details = message.structure();
        if let Some(details) = details.filter(|details| details.name() == "recordsink-frame") {
            told.send(details.get::<u64>("bytes").unwrap()).unwrap();
        }
        gst::BusSyncReply::Pass
    });
    pipeline.run().unwrap();
    let sink = pipeline.element("r");
    let lengths: Vec<u64> = lengths.try_iter().collect();
    assert_eq!(lengths.len(), 4, "{lengths:?}");
    assert!(lengths.iter().all(|&length| length > 100), "{lengths:?}");
    assert_eq!(lengths.iter().sum::<u64>(), mjpeg.metadata().unwrap().len());
    assert_eq!(stat(&sink, "bytes"), mjpeg.metadata().unwrap().len());
    assert!(stat(&sink, "last-frame-bytes") > 100);
}

/// The frames of all files together, and that each starts with a key unit and plays.
fn check_split(files: &[Recorded], total: usize) {
    let mut sum = 0;
    for file in files {
        let n = frames(&file.location);
        assert_eq!(file.frames as usize, n, "{file:?}");
        sum += n;
        let flags =
            crate::common::ffprobe(&file.location, &["-select_streams", "v"], "packet=flags");
        assert!(flags[0].starts_with('K'), "{file:?}");
    }
    assert_eq!(sum, total, "not a frame is lost: {files:?}");
}

/// A copy of the file is what a program that is killed leaves.
#[test]
fn a_recording_that_is_cut_off_plays() {
    let dir = tempfile::tempdir().unwrap();
    for name in [
        "a.avi", "a.mp4", "a.mov", "a.mkv", "a.ts", "a.h264", "a.mjpeg",
    ] {
        let pipeline = Pipeline::launch(&format!(
            "appsrc name=camera format=time \
             caps=video/x-raw,format=I420,width=320,height=240,framerate=30/1 ! \
             recordsink bitrate=2000 location={}",
            dir.path().join(name).display()
        ));
        let camera: gst_app::AppSrc = pipeline.element("camera").downcast().unwrap();
        pipeline.play();
        let mut noise = 1_u32;
        for n in 0..180_u64 {
            let picture: Vec<u8> = (0..320 * 240 * 3 / 2)
                .map(|_| {
                    noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (noise >> 24) as u8
                })
                .collect();
            let mut buffer = gst::Buffer::from_slice(picture);
            let frame = gst::ClockTime::SECOND.mul_div_floor(1, 30).unwrap();
            let inside = buffer.get_mut().unwrap();
            inside.set_pts(n * frame);
            inside.set_duration(frame);
            camera.push_buffer(buffer).unwrap();
        }
        // A group of pictures is in the encoder or the splitter and one in the muxer, at most.
        let copy = dir.path().join(format!("cut-{name}"));
        until(&format!("{name} has 120 frames"), || {
            let path = dir.path().join(name);
            if !path.exists() {
                return false;
            }
            std::fs::copy(path, &copy).unwrap();
            // Silent: before the first second there may be nothing that plays.
            let probe = Command::new("ffprobe")
                .args(["-v", "quiet", "-count_frames", "-select_streams", "v"])
                .args(["-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"])
                .arg(&copy)
                .output()
                .unwrap();
            let count = String::from_utf8_lossy(&probe.stdout);
            // Twice in a transport stream: by program too.
            let count = count.lines().next().unwrap_or_default();
            count.trim_end_matches(',').parse().unwrap_or(0) >= 120
        });
        camera.end_of_stream().unwrap();
        pipeline.wait().unwrap();
        assert_eq!(frames(&dir.path().join(name)), 180, "{name}");
    }
}

#[test]
fn splitting_by_time_loses_no_frame() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["s%02d.mp4", "s.ts", "s%d.avi", "s.h264", "s%d.mjpeg"] {
        let files = record(&format!(
            "videotestsrc num-buffers=120 ! video/x-raw,width=320,height=240,framerate=30/1 ! \
             recordsink split-time=1000000000 location={}",
            dir.path().join(name).display()
        ));
        check_split(&files, 120);
        assert!(files.len() >= 3, "{name}: {files:?}");
        for file in &files[..files.len() - 1] {
            assert_eq!(file.frames, 30, "{name}: {files:?}");
        }
    }
    assert!(dir.path().join("s00.mp4").exists() && dir.path().join("s01.mp4").exists());
    assert!(dir.path().join("s.ts").exists() && dir.path().join("s-00001.ts").exists());
}

/// What ffmpeg makes of a file's sound, as S16; nothing for a last frame that has none.
fn samples(file: &Path) -> Vec<i16> {
    if codecs(file).len() == 1 {
        return Vec::new();
    }
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(file)
        .args(["-f", "s16le", "-"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let pairs = output.stdout.chunks_exact(2);
    pairs
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect()
}

#[test]
fn splitting_loses_no_sample() {
    let dir = tempfile::tempdir().unwrap();
    for (how, name) in [
        ("split-time=1000000000", "t%d.avi"),
        ("split-bytes=300000", "b%d.avi"),
    ] {
        // A saw that rises by 1 a sample and is never 0: any gap or repetition shows.
        let pipeline = Pipeline::launch(&format!(
            "videotestsrc num-buffers=120 pattern=snow ! \
             video/x-raw,width=160,height=120,framerate=30/1 ! r.video \
             appsrc name=sound format=time caps=audio/x-raw,format=S16LE,rate=8000,channels=1,\
             layout=interleaved ! r.audio recordsink name=r {how} location={}",
            dir.path().join(name).display()
        ));
        let sound: gst_app::AppSrc = pipeline.element("sound").downcast().unwrap();
        let saw = |sample: usize| (sample % 8192) as i16 + 1;
        const PIECE: usize = 500;
        for piece in 0..4 * 8000 / PIECE {
            let first = piece * PIECE;
            let bytes: Vec<u8> = (first..first + PIECE)
                .flat_map(|sample| saw(sample).to_le_bytes())
                .collect();
            let mut buffer = gst::Buffer::from_slice(bytes);
            let time = |sample: usize| gst::ClockTime::from_useconds(sample as u64 * 125);
            let inside = buffer.get_mut().unwrap();
            inside.set_pts(time(first));
            inside.set_duration(time(PIECE));
            sound.push_buffer(buffer).unwrap();
        }
        sound.end_of_stream().unwrap();
        pipeline.play();
        let files = recorded(&pipeline);
        check_split(&files, 120);
        assert!(files.len() >= 3, "{how}: {files:?}");
        let mut recorded = Vec::new();
        for file in &files {
            // Buffers are not cut: a file has silence from its first frame to its first buffer.
            let sound = samples(&file.location);
            let silence = sound.iter().take_while(|sample| **sample == 0).count();
            assert!(silence < PIECE, "{how}: {silence}");
            recorded.extend_from_slice(&sound[silence..]);
        }
        assert_eq!(recorded.len(), 4 * 8000, "{how}");
        let wrong = (0..recorded.len()).find(|sample| recorded[*sample] != saw(*sample));
        assert_eq!(wrong, None, "{how}");
    }
}

#[test]
fn splitting_by_size_loses_no_frame() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["s%d.avi", "s%d.mjpeg"] {
        let files = record(&format!(
            "videotestsrc num-buffers=60 pattern=snow ! \
             video/x-raw,width=320,height=240,framerate=30/1 ! \
             recordsink split-bytes=300000 location={}",
            dir.path().join(name).display()
        ));
        check_split(&files, 60);
        assert!(files.len() > 2, "{name}: {files:?}");
        assert!(
            files.iter().all(|file| file.bytes <= 340_000),
            "{name}: {files:?}"
        );
    }
}

/// Calls `act` with the recorder before each frame that reaches it, through `identity name=i`.
fn before_each_frame(
    pipeline: &Pipeline,
    act: impl Fn(usize, &gst::Element) + Send + Sync + 'static,
) {
    let sink = pipeline.element("r");
    let count = std::sync::atomic::AtomicUsize::new(0);
    let pad = pipeline.element("i").static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        act(
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
            &sink,
        );
        gst::PadProbeReturn::Ok
    });
}

fn split(sink: &gst::Element, location: Option<&Path>) {
    let location = location.map(|location| location.to_str().unwrap());
    sink.emit_by_name::<()>("split", &[&location]);
}

#[test]
fn split_begins_the_file_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    for (first, second) in [("a.mp4", "b.mp4"), ("a.avi", "b.avi"), ("a.h264", "b.h264")] {
        let (first, second) = (dir.path().join(first), dir.path().join(second));
        let pipeline = Pipeline::launch(&format!(
            "videotestsrc num-buffers=120 ! video/x-raw,width=320,height=240,framerate=30/1 ! \
             identity name=i ! recordsink name=r location={}",
            first.display()
        ));
        before_each_frame(&pipeline, {
            let second = second.clone();
            move |n, sink| {
                if n == 45 {
                    split(sink, Some(&second));
                }
            }
        });
        pipeline.play();
        let files = recorded(&pipeline);
        check_split(&files, 120);
        let names: Vec<_> = files.iter().map(|file| file.location.as_path()).collect();
        assert_eq!(names, [first.as_path(), second.as_path()]);
    }
}

/// A recording of one stream has its muxer and its file behind the encoder; one that also splits by
/// itself has splitmuxsink. The files are to be the same.
#[test]
fn one_stream_is_split_as_splitmuxsink_splits_it() {
    const X264: &str = "videotestsrc num-buffers=90 timestamp-offset=5000000000 ! \
        video/x-raw,width=160,height=120,framerate=30/1 ! \
        x264enc key-int-max=9 bframes=2 b-adapt=false speed-preset=faster";
    const JPEG: &str = "videotestsrc num-buffers=90 timestamp-offset=5000000000 ! \
        video/x-raw,width=160,height=120,framerate=30/1 ! jpegenc";
    const SOUND: &str = "audiotestsrc num-buffers=90 samplesperbuffer=800 ! \
        audio/x-raw,format=S16LE,rate=8000,channels=1";
    let dir = tempfile::tempdir().unwrap();
    for (source, extension) in [
        (X264, "mp4"),
        (X264, "mkv"),
        (X264, "ts"),
        (JPEG, "avi"),
        (SOUND, "avi"),
        (SOUND, "mkv"),
    ] {
        let [plain, split_too] = ["", "split-time=3600000000000"].map(|how| {
            let pipeline = Pipeline::launch(&format!(
                "{source} ! identity name=i ! recordsink name=r {how} location={}",
                dir.path()
                    .join(format!("{}%d.{extension}", how.len()))
                    .display()
            ));
            before_each_frame(&pipeline, |n, sink| {
                if [13, 40, 60].contains(&n) {
                    split(sink, None);
                }
            });
            pipeline.play();
            let files = recorded(&pipeline);
            assert_eq!(files.len(), 4, "{extension}: {files:?}");
            assert!(source == SOUND || files.iter().map(|file| file.frames).sum::<u64>() == 90);
            let packets = |file: &Recorded| {
                assert_eq!(file.bytes, file.location.metadata().unwrap().len());
                let packets = crate::common::ffprobe(
                    &file.location,
                    &[],
                    "packet=pts_time,dts_time,size,flags",
                );
                assert!(packets[3].starts_with('K'), "{extension}: {packets:?}");
                (packets, file.frames, file.duration)
            };
            files.iter().map(packets).collect::<Vec<_>>()
        });
        assert_eq!(plain, split_too, "{extension}");
        if ["mp4", "avi"].contains(&extension) {
            for (packets, _, _) in plain {
                assert!(packets[0].contains("0.000000"), "{extension}: {packets:?}");
            }
        }
    }
}

#[test]
fn twenty_splits_make_twenty_files_more_and_one_end() {
    let dir = tempfile::tempdir().unwrap();
    for options in ["", "split-time=3600000000000"] {
        let pipeline = Pipeline::launch(&format!(
            "videotestsrc num-buffers=30 ! video/x-raw,width=160,height=120,framerate=30/1 ! \
             identity name=i ! recordsink name=r pts-location={} {options} location={}",
            dir.path().join("times").display(),
            dir.path().join("s%02d.avi").display()
        ));
        before_each_frame(&pipeline, |n, sink| {
            if (1..=20).contains(&n) {
                split(sink, None);
            }
        });
        pipeline.play();
        let files = recorded(&pipeline);
        assert_eq!(files.len(), 21, "{options}: {files:?}");
        for (n, file) in files.iter().enumerate() {
            assert_eq!(file.location, dir.path().join(format!("s{n:02}.avi")));
            assert_eq!(
                file.frames,
                if n < 20 { 1 } else { 10 },
                "{options}: {files:?}"
            );
        }
        let bus = pipeline.0.bus().unwrap();
        assert!(bus.pop_filtered(&[gst::MessageType::Eos]).is_none());
        let sink = pipeline.element("r");
        assert_eq!((stat(&sink, "frames"), stat(&sink, "files")), (30, 21));
        let times = std::fs::read_to_string(dir.path().join("times")).unwrap();
        assert_eq!(times.lines().count(), 30);
    }
}

#[test]
fn a_split_that_no_key_unit_follows_makes_no_file() {
    let dir = tempfile::tempdir().unwrap();
    for (last, finish) in [(9, false), (10, false), (5, true)] {
        let pipeline = Pipeline::launch(&format!(
            "videotestsrc num-buffers=10 ! video/x-raw,width=160,height=120,framerate=30/1 ! \
             identity name=i ! recordsink name=r location={}",
            dir.path().join(format!("{last}-%d.avi")).display()
        ));
        let pad = pipeline.element("i").static_pad("src").unwrap();
        let sink = pipeline.element("r");
        pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, {
            let sink = sink.clone();
            move |_, info| {
                if last == 10 && info.event().unwrap().type_() == gst::EventType::Eos {
                    split(&sink, None);
                }
                gst::PadProbeReturn::Ok
            }
        });
        before_each_frame(&pipeline, move |n, sink| {
            if n == last {
                if finish {
                    sink.emit_by_name::<()>("finish", &[]);
                }
                split(sink, None);
            }
        });
        pipeline.play();
        let files = recorded(&pipeline);
        let frames: Vec<_> = files.iter().map(|file| file.frames).collect();
        let expected: &[u64] = match (last, finish) {
            (9, _) => &[9, 1],
            (_, false) => &[10],
            (_, true) => &[5],
        };
        assert_eq!(frames, expected, "{last}");
    }
}

/// A pipeline that gets its pictures by [`give`].
fn given_pictures(options: &str, location: &Path) -> Pipeline {
    Pipeline::launch(&format!(
        "appsrc name=s format=time \
         caps=video/x-raw,format=I420,width=160,height=128,framerate=25/1 ! \
         identity name=i ! recordsink name=r {options} location={}",
        location.display()
    ))
}

/// What was recorded last has left the sinks too: it would wait in them for PLAYING.
fn has_left(pipeline: &Pipeline) {
    let pad = pipeline.element("i").static_pad("sink").unwrap();
    drop(pad.stream_lock());
}

#[test]
fn split_before_the_first_frame_and_while_paused() {
    let dir = tempfile::tempdir().unwrap();
    let [first, second] = ["b.avi", "c.avi"].map(|name| dir.path().join(name));
    let pipeline = given_pictures("", &dir.path().join("a.avi"));
    let sink = pipeline.element("r");
    pipeline.0.set_state(gst::State::Paused).unwrap();
    split(&sink, Some(&first));
    assert!(!first.exists(), "nothing has arrived");
    pipeline.play();
    let mut given = 0;
    give(&pipeline, &mut given, 3);
    until("it is recorded", || stat(&sink, "frames") == 3);
    has_left(&pipeline);
    pipeline.0.set_state(gst::State::Paused).unwrap();
    split(&sink, Some(&second));
    // The first of these waits for PLAYING in the midst of the split.
    give(&pipeline, &mut given, 1);
    let source: gst_app::AppSrc = pipeline.element("s").downcast().unwrap();
    source.end_of_stream().unwrap();
    pipeline.play();
    let files = recorded(&pipeline);
    check_split(&files, 4);
    let found: Vec<_> = files
        .iter()
        .map(|f| (f.location.as_path(), f.frames))
        .collect();
    assert_eq!(found, [(first.as_path(), 3), (second.as_path(), 1)]);
    assert!(!dir.path().join("a.avi").exists());
}

#[test]
fn a_recording_may_be_stopped_amid_a_split() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["s%d.avi", "s%d.mp4", "s%d.ts"] {
        let pipeline = Pipeline::launch(&format!(
            "videotestsrc is-live=true ! video/x-raw,width=160,height=128,framerate=100/1 ! \
             x264enc key-int-max=1 tune=zerolatency speed-preset=ultrafast ! \
             identity name=i ! recordsink name=r muxer={} location={}",
            match name {
                "s%d.avi" => "avimux",
                "s%d.mp4" => "mp4mux",
                _ => "mpegtsmux",
            },
            dir.path().join(name).display()
        ));
        before_each_frame(&pipeline, |_, sink| split(sink, None));
        let sink = pipeline.element("r");
        for n in 0..20 {
            pipeline.play();
            until("it splits", || stat(&sink, "files") >= 2 + n % 3);
            let state = [gst::State::Ready, gst::State::Null, gst::State::Paused][n as usize % 3];
            pipeline.0.set_state(state).unwrap();
            pipeline.0.set_state(gst::State::Ready).unwrap();
            assert_eq!(pipeline.error(), None, "{name}");
        }
    }
    // Amid it for certain: it waits for PLAYING.
    let pipeline = given_pictures("", &dir.path().join("a.avi"));
    let sink = pipeline.element("r");
    let mut given = 0;
    pipeline.play();
    give(&pipeline, &mut given, 3);
    until("it is recorded", || stat(&sink, "frames") == 3);
    has_left(&pipeline);
    pipeline.0.set_state(gst::State::Paused).unwrap();
    split(&sink, None);
    give(&pipeline, &mut given, 1);
    pipeline.0.set_state(gst::State::Null).unwrap();
    assert_eq!(pipeline.error(), None);
}

#[test]
fn a_split_that_fails_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let (first, taken) = (dir.path().join("a.avi"), dir.path().join("b.avi"));
    let outcome = |options, location: &Path, next: &Path| {
        let pipeline = given_pictures(options, location);
        let sink = pipeline.element("r");
        pipeline.play();
        let mut given = 0;
        give(&pipeline, &mut given, 3);
        // One that is on its way still would be refused, and no other come.
        until("they are recorded", || stat(&sink, "frames") == 3);
        split(&sink, Some(next));
        push(&pipeline, &mut given);
        let err = pipeline.wait().unwrap_err();
        pipeline.0.set_state(gst::State::Null).unwrap();
        err
    };
    std::fs::write(&taken, "mine").unwrap();
    let err = outcome("overwrite=false", &first, &taken);
    assert!(err.contains("exists") && err.contains("b.avi"), "{err}");
    assert_eq!(std::fs::read(&taken).unwrap(), b"mine");
    assert_eq!(frames(&first), 3);
    let err = outcome("", &first, &dir.path().join("no/b.avi"));
    assert!(err.contains("no/b.avi"), "{err}");
    assert_eq!(frames(&first), 3);

    // On a full disk nothing is written at all, and there is no file to go on from.
    let full = dir.path().join("full.avi");
    std::os::unix::fs::symlink("/dev/full", &full).unwrap();
    let pipeline = Pipeline::launch(&format!(
        "{VIDEO} ! identity name=i ! recordsink name=r location={}",
        full.display()
    ));
    let next = dir.path().join("c.avi");
    before_each_frame(&pipeline, move |n, sink| {
        if n == 1 {
            split(sink, Some(&next));
        }
    });
    let err = pipeline.run().unwrap_err();
    assert!(err.to_lowercase().contains("no space left"), "{err}");
    assert!(!dir.path().join("c.avi").exists());
}

#[test]
fn finish_ends_one_recording_and_not_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a.avi"), dir.path().join("b.mp4"));
    let pipeline = Pipeline::launch(&format!(
        "videotestsrc num-buffers=90 ! video/x-raw,width=320,height=240,framerate=30/1 ! \
         identity name=i ! tee name=t ! queue ! recordsink name=a location={} \
         t. ! queue ! recordsink name=b location={}",
        a.display(),
        b.display()
    ));
    let sink = pipeline.element("a");
    let count = std::sync::atomic::AtomicUsize::new(0);
    sink.static_pad("video")
        .unwrap()
        .add_probe(gst::PadProbeType::BUFFER, move |pad, _| {
            if count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 30 {
                let sink = pad.parent_element().unwrap();
                sink.emit_by_name::<()>("finish", &[]);
            }
            gst::PadProbeReturn::Ok
        });
    pipeline.play();
    recorded(&pipeline);
    assert_eq!(frames(&a), 30);
    assert_eq!(frames(&b), 90);
}

/// Gives a picture more.
fn push(pipeline: &Pipeline, given: &mut u64) {
    let source: gst_app::AppSrc = pipeline.element("s").downcast().unwrap();
    let mut buffer = gst::Buffer::from_slice(vec![*given as u8; 160 * 128 * 3 / 2]);
    let times = buffer.get_mut().unwrap();
    times.set_pts(gst::ClockTime::from_mseconds(*given * 40));
    times.set_duration(gst::ClockTime::from_mseconds(40));
    source.push_buffer(buffer).unwrap();
    *given += 1;
}

/// Gives `count` pictures more, and waits until the tee has handed them to all of its branches.
fn give(pipeline: &Pipeline, given: &mut u64, count: u64) {
    for _ in 0..count {
        push(pipeline, given);
    }
    let sink = pipeline.element("i");
    until("the branches have it", || {
        sink.property::<gst::Structure>("stats")
            .get::<u64>("num-buffers")
            == Ok(*given)
    });
}

#[test]
fn recordings_come_and_go_while_others_lose_no_frame() {
    let dir = tempfile::tempdir().unwrap();
    let kept = ["kept.h264", "kept.mjpeg", "kept.mp4"].map(|name| dir.path().join(name));
    let branches: Vec<String> = kept
        .iter()
        .map(|file| format!("t. ! queue ! recordsink location={}", file.display()))
        .collect();
    // The tee hands a picture to its pads in the order in which they were requested: when the last
    // of the first ones has it, all but those that came later have.
    let pipeline = Pipeline::launch(&format!(
        "appsrc name=s format=time \
         caps=video/x-raw,format=I420,width=160,height=128,framerate=25/1 ! \
         tee name=t {} t. ! identity name=i ! fakesink async=false",
        branches.join(" ")
    ));
    pipeline.play();
    let tee = pipeline.element("t");
    let mut given = 0;
    give(&pipeline, &mut given, 7);
    for name in ["a.mjpeg", "b.mp4", "c.h264", "d.avi", "e.mkv", "f.mjpeg"] {
        let file = dir.path().join(name);
        let branch = gst::parse::bin_from_description(
            &format!("queue ! recordsink name=r location={}", file.display()),
            true,
        )
        .unwrap();
        let recorder = branch.by_name("r").unwrap();
        pipeline.0.add(&branch).unwrap();
        branch.sync_state_with_parent().unwrap();
        let sink = branch.static_pad("sink").unwrap();
        let source = tee.request_pad_simple("src_%u").unwrap();
        source.link(&sink).unwrap();
        give(&pipeline, &mut given, 10);

        // The stream lock is free when the tee has handed everything over.
        let (stopped, has_stopped) = std::sync::mpsc::channel();
        source.add_probe(gst::PadProbeType::IDLE, move |_, _| {
            stopped.send(()).unwrap();
            gst::PadProbeReturn::Remove
        });
        crate::common::received(&has_stopped);
        source.unlink(&sink).unwrap();
        tee.release_request_pad(&source);
        sink.send_event(gst::event::Eos::new());
        until("a file is complete", || stat(&recorder, "files") == 1);
        branch.set_state(gst::State::Null).unwrap();
        pipeline.0.remove(&branch).unwrap();
        assert_eq!(frames(&file), 10, "{name}");
        give(&pipeline, &mut given, 3);
    }
    let source: gst_app::AppSrc = pipeline.element("s").downcast().unwrap();
    source.end_of_stream().unwrap();
    recorded(&pipeline);
    for file in kept {
        assert_eq!(frames(&file) as u64, given, "{file:?}");
    }
}

#[test]
fn no_pad_inside_is_taken_for_one_of_an_outer_bin() {
    for sink in ["recordsink location=a.mp4", "ffmpegsink args=a.mp4"] {
        crate::common::init();
        let bin = gst::parse::bin_from_description(&format!("queue ! {sink}"), true).unwrap();
        assert_eq!(bin.num_src_pads(), 0, "{sink}");
        assert_eq!(bin.num_sink_pads(), 1, "{sink}");
    }
}

#[test]
fn audio_sync_moves_sound_against_video() {
    let dir = tempfile::tempdir().unwrap();
    let start = |sync: i64| -> f64 {
        let file = dir.path().join(format!("{sync}.mkv"));
        record(&format!(
            "{VIDEO} ! r.video {AUDIO} ! r.audio \
             recordsink name=r audio-encoder=opusenc audio-sync={sync} location={}",
            file.display()
        ));
        crate::common::ffprobe(&file, &["-select_streams", "a"], "packet=pts_time")[1]
            .parse()
            .unwrap()
    };
    let (none, late) = (start(0), start(300_000_000));
    assert!((late - none - 0.3).abs() < 0.002, "{none} {late}");
    // What would be before the video's first frame is not recorded.
    let file = dir.path().join("early.mkv");
    record(&format!(
        "{VIDEO} ! r.video {AUDIO} ! r.audio \
         recordsink name=r audio-sync=-500000000 muxer=matroskamux location={}",
        file.display()
    ));
    let duration: f64 = crate::common::ffprobe(&file, &["-select_streams", "a"], "packet=pts_time")
        .last()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1.4..1.55).contains(&duration), "{duration}");
}

#[test]
fn a_preview_does_not_change_the_recording() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.avi");
    let pipeline = Pipeline::launch(&format!(
        "{VIDEO} ! recordsink name=r preview=true location={}",
        file.display()
    ));
    let shown = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let bin: gst::Bin = pipeline.element("r").downcast().unwrap();
    bin.connect_deep_element_added({
        let shown = shown.clone();
        move |_, _, element| {
            // Which one depends on the machine; without a display none shows anything.
            if element.factory().is_some_and(|f| {
                ["autovideosink", "kmssink", "fakesink"].contains(&f.name().as_str())
            }) {
                shown.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        }
    });
    pipeline.run().unwrap();
    assert!(shown.load(std::sync::atomic::Ordering::Relaxed));
    assert_eq!(frames(&file), 60);
}

#[test]
fn it_can_be_started_again_and_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("again.avi");
    // No capsfilter: one that is stopped while its first events pass makes the source fail, in front
    // of a fakesink as well.
    let pipeline = Pipeline::launch(&format!(
        "videotestsrc num-buffers=3 ! recordsink location={}",
        file.display()
    ));
    for _ in 0..20 {
        pipeline.run().unwrap();
        assert_eq!(frames(&file), 3);
        std::fs::remove_file(&file).unwrap();
        pipeline.0.set_state(gst::State::Ready).unwrap();
    }
    for n in 0..100 {
        pipeline.0.set_state(gst::State::Paused).unwrap();
        let state = [gst::State::Ready, gst::State::Null][n % 2];
        pipeline.0.set_state(state).unwrap();
        assert_eq!(pipeline.error(), None);
    }
}

#[test]
fn each_error_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let err = error(&format!("{VIDEO} ! recordsink location={}", path("a.xyz")));
    assert!(err.contains(".mp4") && err.contains("a.xyz"), "{err}");
    let err = error(&format!("{VIDEO} ! recordsink"));
    assert!(err.contains("location is not set"), "{err}");
    let err = error(&format!(
        "{VIDEO} ! recordsink location={}",
        path("a%s.avi")
    ));
    assert!(err.contains("%05d"), "{err}");
    let err = error(&format!(
        "{VIDEO} ! recordsink location={}",
        path("no/a.avi")
    ));
    assert!(err.contains("no/a.avi"), "{err}");

    std::fs::write(path("there.avi"), "mine").unwrap();
    let err = error(&format!(
        "{VIDEO} ! recordsink overwrite=false location={}",
        path("there.avi")
    ));
    assert!(err.contains("exists"), "{err}");
    assert_eq!(std::fs::read(path("there.avi")).unwrap(), b"mine");
    assert!(
        err.contains("overwrite=true") && err.contains("%05d"),
        "{err}"
    );

    let err = error(&format!(
        "{VIDEO} ! x264enc ! recordsink location={}",
        path("there.avi")
    ));
    assert!(err.contains("cannot hold video/x-h264"), "{err}");
    assert!(err.contains("set muxer-factory=avimux"), "{err}");
    let made = record(&format!(
        "{VIDEO} ! x264enc ! recordsink muxer-factory=avimux location={}",
        path("h264.avi")
    ));
    assert_eq!(codecs(&made[0].location), ["h264"]);
    assert_eq!(std::fs::read(path("there.avi")).unwrap(), b"mine");
    let err = error(&format!(
        "{VIDEO} ! jpegenc ! recordsink location={}",
        path("a.h264")
    ));
    assert!(err.contains("asks for video/x-h264"), "{err}");
    let err = error(&format!(
        "{AUDIO} ! recordsink location={}",
        path("a.mjpeg")
    ));
    assert!(err.contains("holds no audio"), "{err}");
    let err = error(&format!(
        "{VIDEO} ! recordsink video-encoder=nosuchenc location={}",
        path("a.mp4")
    ));
    assert!(err.contains("nosuchenc is not installed"), "{err}");

    for name in ["full.mjpeg", "full.avi"] {
        std::os::unix::fs::symlink("/dev/full", path(name)).unwrap();
        let err = error(&format!(
            "videotestsrc pattern=snow ! video/x-raw,width=640,height=480 ! recordsink location={}",
            path(name)
        ));
        assert!(
            err.contains("disk is full") || err.to_lowercase().contains("no space left"),
            "{name}: {err}"
        );
    }
}

#[test]
fn half_a_picture_is_not_left_on_a_full_disk() {
    let dir = tempfile::tempdir().unwrap();
    let picture = dir.path().join("full.jpg");
    std::os::unix::fs::symlink("/dev/full", &picture).unwrap();
    let pipeline = Pipeline::launch(&format!(
        "{VIDEO} ! recordsink location={}",
        picture.display()
    ));
    // A pipeline that is stopped empties its bus.
    let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let names = told.clone();
    let bus = pipeline.0.bus().unwrap();
    bus.set_sync_handler(move |_, message| {
        let name = message
            .structure()
            .map(|details| details.name().to_string());
        names.lock().unwrap().extend(name);
        gst::BusSyncReply::Pass
    });
    assert!(pipeline.run().unwrap_err().contains("disk is full"));
    pipeline.0.set_state(gst::State::Null).unwrap();
    assert!(picture.symlink_metadata().is_err());
    let told = told.lock().unwrap();
    assert!(!told.is_empty());
    assert!(
        !told.iter().any(|name| name == "recordsink-file"),
        "{told:?}"
    );
}

/// GStreamer's plugins but for those that have the elements `without`, in `place`.
fn plugins_without(without: &[&str], place: &Path) -> PathBuf {
    crate::common::init();
    let file = |factory: &str| gst::ElementFactory::find(factory)?.plugin()?.filename();
    let missing: Vec<_> = without.iter().filter_map(|factory| file(factory)).collect();
    let plugins = place.join("system");
    std::fs::create_dir_all(&plugins).unwrap();
    for plugin in std::fs::read_dir(file("queue").unwrap().parent().unwrap()).unwrap() {
        let plugin = plugin.unwrap();
        if !missing.contains(&plugin.path()) && plugin.path().extension().is_some_and(|e| e == "so")
        {
            std::os::unix::fs::symlink(plugin.path(), plugins.join(plugin.file_name())).unwrap();
        }
    }
    plugins
}

/// `gst-launch-1.0` on a machine that lacks some elements.
fn launch_without(without: &[&str], pipeline: &str, dir: &Path) -> Command {
    let mut command = Command::new("gst-launch-1.0");
    command
        .args(pipeline.split(' '))
        .current_dir(dir)
        .envs(crate::common::plugin_path(dir))
        .env("GST_PLUGIN_SYSTEM_PATH", plugins_without(without, dir));
    command
}

#[test]
fn without_an_aac_encoder_sound_is_opus() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.mp4", "a.mov", "a.mkv", "a.ts"] {
        let dir = dir.path().join(&name[2..]);
        std::fs::create_dir(&dir).unwrap();
        let output = launch_without(
            &["fdkaacenc", "avenc_aac", "voaacenc"],
            &format!("audiotestsrc num-buffers=50 ! recordsink location={name}"),
            &dir,
        )
        .output()
        .unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(codecs(&dir.join(name))[0], "opus", "{name}");
    }
}

#[test]
fn what_is_not_installed_is_named_with_its_package() {
    for (element, options, expected) in [
        (
            "x264enc",
            "video-encoder=x264enc location=a.mp4",
            "the element x264enc is not installed: apt install gstreamer1.0-plugins-ugly",
        ),
        (
            "jpegenc",
            "location=a.avi",
            "the element jpegenc is not installed: apt install gstreamer1.0-plugins-good",
        ),
        (
            "matroskamux",
            "location=a.mkv",
            "the element matroskamux is not installed: apt install gstreamer1.0-plugins-good",
        ),
        (
            "h264parse",
            "location=a.h264",
            "the element h264parse is not installed: apt install gstreamer1.0-plugins-bad",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut launch = launch_without(
            &[element],
            &format!(
                "videotestsrc num-buffers=5 ! video/x-raw,width=320,height=240 ! recordsink {options}"
            ),
            dir.path(),
        )
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
        // An error from before its main loop runs does not end gst-launch-1.0: it is not waited for.
        let mut said = Vec::new();
        for line in BufReader::new(launch.stderr.take().unwrap()).lines() {
            said.push(line.unwrap());
            if said.last().is_some_and(|line| line.ends_with(expected)) {
                break;
            }
        }
        let _ = launch.kill();
        launch.wait().unwrap();
        assert!(
            said.iter().any(|line| line.ends_with(expected)),
            "{said:#?}"
        );
    }
}

#[test]
fn what_is_refused_is_told_once() {
    crate::common::init();
    let dir = tempfile::tempdir().unwrap();
    let sink = gst::ElementFactory::make("recordsink")
        .property("location", dir.path().join("a.h264").to_str())
        .build()
        .unwrap();
    let pipeline = gst::Pipeline::new();
    pipeline.add(&sink).unwrap();
    let pad = gst::Pad::builder(gst::PadDirection::Src).build();
    pad.set_active(true).unwrap();
    pad.link(&sink.request_pad_simple("video").unwrap())
        .unwrap();
    pipeline.set_state(gst::State::Paused).unwrap();
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    pad.push_event(gst::event::StreamStart::new("video"));
    pad.push_event(gst::event::Caps::new(
        &gst::Caps::builder("image/jpeg").build(),
    ));
    pad.push_event(gst::event::Segment::new(&segment));
    assert_eq!(pad.push(gst::Buffer::new()), Err(gst::FlowError::Flushing));
    let bus = pipeline.bus().unwrap();
    let errors = bus.iter().filter(|m| m.type_() == gst::MessageType::Error);
    assert_eq!(errors.count(), 1);
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn jpegs_have_half_the_colour_unless_the_camera_gives_more() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.mjpeg");
    for (format, expected) in [
        ("BGR", "yuvj420p"),
        ("NV12", "yuvj420p"),
        ("YUY2", "yuvj422p"),
        ("UYVY", "yuvj422p"),
        ("GRAY8", "gray"),
    ] {
        record(&format!(
            "videotestsrc num-buffers=1 ! video/x-raw,format={format},width=320,height=240 ! \
             recordsink location={}",
            file.display()
        ));
        let found = crate::common::ffprobe(&file, &[], "stream=pix_fmt");
        assert_eq!(found, [expected], "{format}");
    }
}

#[test]
fn jpegs_have_the_colours_they_were_made_from() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("white.mjpeg");
    record(&format!(
        "videotestsrc num-buffers=1 pattern=white ! \
         video/x-raw,format=BGR,width=320,height=240,framerate=30/1 ! recordsink location={}",
        file.display()
    ));
    let rgb = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(&file)
        .args(["-f", "rawvideo", "-pix_fmt", "rgb24", "-"])
        .output()
        .unwrap()
        .stdout;
    assert_eq!(rgb.len(), 320 * 240 * 3);
    assert!(rgb.iter().all(|&byte| byte >= 253), "white is {}", rgb[0]);
}

/// As gst-launch-1.0 starts a pipeline, on a machine on which the thread that tells of PAUSED is held
/// up: PLAYING must wait for it, else the pipeline keeps EOS to itself.
#[test]
fn an_application_in_a_hurry_gets_eos() {
    let dir = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::launch(&format!(
        "audiotestsrc num-buffers=50 ! recordsink location={}",
        dir.path().join("a.avi").display()
    ));
    let (paused, reached) = mpsc::channel();
    let (playing, started) = mpsc::channel();
    let started = Mutex::new(started);
    let bus = pipeline.0.bus().unwrap();
    bus.set_sync_handler(move |_, message| {
        if let gst::MessageView::StateChanged(change) = message.view()
            && (change.old(), change.current()) == (gst::State::Ready, gst::State::Paused)
            && message.src().is_some_and(|src| src.is::<gst::Pipeline>())
        {
            paused.send(()).unwrap();
            // As long as PLAYING takes, were it not to wait for this.
            let _ = started
                .lock()
                .unwrap()
                .recv_timeout(Duration::from_millis(500));
        }
        gst::BusSyncReply::Pass
    });
    pipeline.0.set_state(gst::State::Paused).unwrap();
    crate::common::received(&reached);
    pipeline.play();
    playing.send(()).unwrap();
    pipeline.wait().unwrap();
}

/// A handler in the stream's thread may start the pipeline.
#[test]
fn the_thread_that_reaches_paused_may_go_on_to_playing() {
    let dir = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::launch(&format!(
        "audiotestsrc num-buffers=50 ! recordsink location={}",
        dir.path().join("a.avi").display()
    ));
    let weak = pipeline.0.downgrade();
    let bus = pipeline.0.bus().unwrap();
    bus.set_sync_handler(move |_, message| {
        if let gst::MessageView::AsyncDone(_) = message.view()
            && let Some(pipeline) = weak.upgrade()
        {
            pipeline.set_state(gst::State::Playing).unwrap();
        }
        gst::BusSyncReply::Pass
    });
    pipeline.0.set_state(gst::State::Paused).unwrap();
    pipeline.wait().unwrap();
}

#[test]
fn what_has_its_pads_later_is_recorded_without_a_queue() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let footage = crate::common::footage();
    let source = format!("filesrc location={}", footage.display());
    let made = record(&format!(
        "recordsink name=r location={} {source} ! decodebin name=d d. ! r.video d. ! r.audio",
        at("a.mp4")
    ));
    assert_eq!(codecs(&made[0].location), ["h264", "aac"]);
    assert_eq!(frames(&made[0].location), 132);
    // One of the two, whichever comes first.
    let made = record(&format!(
        "{source} ! decodebin ! recordsink location={}",
        at("b.mkv")
    ));
    assert_eq!(codecs(&made[0].location).len(), 1);
    // As it comes out of a demuxer, both in one thread; and where there is no muxer.
    let made = record(&format!(
        "recordsink name=r location={} {source} ! matroskademux name=d d. ! r.video d. ! r.audio",
        at("c.webm")
    ));
    assert_eq!(codecs(&made[0].location), ["vp8", "vorbis"]);
    assert_eq!(frames(&made[0].location), 132);
    let made = record(&format!(
        "{source} ! decodebin name=d d. ! recordsink.audio recordsink name=recordsink location={}",
        at("d.wav")
    ));
    assert_eq!(codecs(&made[0].location), ["pcm_f32le"]);
    // What can't be is still said.
    let told = error(&format!(
        "recordsink name=r location={} {source} ! decodebin name=d d. ! r.video",
        at("e.wav")
    ));
    assert!(told.contains("holds no video"), "{told}");
}

/// Seeks to the beginning, so that a flush comes down from `source`.
fn flush(source: &gst::Element) {
    let pad = source.static_pad("src").unwrap();
    assert!(pad.send_event(to_the_beginning()));
}

/// Counts the frames that come to a recording's pad.
fn counted(sink: &gst::Element, pad: &str) -> std::sync::Arc<std::sync::atomic::AtomicU64> {
    let count = std::sync::Arc::<std::sync::atomic::AtomicU64>::default();
    let counts = count.clone();
    let pad = sink.static_pad(pad).unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        counts.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        gst::PadProbeReturn::Ok
    });
    count
}

#[test]
fn a_flush_takes_nothing_out_of_a_file() {
    let dir = tempfile::tempdir().unwrap();
    for extension in ["mp4", "ts", "mkv", "avi"] {
        let file = dir.path().join("a").with_extension(extension);
        let pipeline = Pipeline::launch(&format!(
            "videotestsrc name=source is-live=true num-buffers=120 ! \
             video/x-raw,width=64,height=48,framerate=100/1 ! recordsink name=r location={}",
            file.display()
        ));
        let count = counted(&pipeline.element("r"), "video");
        pipeline.play();
        until("60 frames", || {
            count.load(std::sync::atomic::Ordering::Relaxed) > 60
        });
        // A seek is for others: some muxers would wait for the flush.
        assert!(!pipeline.0.send_event(to_the_beginning()));
        flush(&pipeline.element("source"));
        pipeline.run().unwrap();
        // What is on its way through an encoder is dropped, and counted.
        let written = frames(&file);
        assert!(written > 100, "{extension}: {written} of 120");
        let stats = pipeline.element("r").property::<gst::Structure>("stats");
        let flushed = stats.get::<u64>("dropped-flushed").unwrap();
        let came = count.load(std::sync::atomic::Ordering::Relaxed);
        // One may be refused amid the flush.
        let told = written as u64 + flushed;
        assert!(
            (came - 1..=came).contains(&told),
            "{extension}: {written} + {flushed} of {came}"
        );
    }
}

#[test]
fn a_flush_ends_the_wait_for_another_stream() {
    let dir = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::launch(&format!(
        "videotestsrc name=source is-live=true ! video/x-raw,width=64,height=48,framerate=30/1 ! \
         recordsink name=r location={}/a.mkv audiotestsrc is-live=true ! r.audio",
        dir.path().display()
    ));
    let sink = pipeline.element("r");
    let audio = sink.static_pad("audio").unwrap();
    audio.add_probe(
        gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER,
        |_, _| gst::PadProbeReturn::Ok,
    );
    pipeline.play();
    let bin = sink.downcast_ref::<gst::Bin>().unwrap();
    let is_held = |queue: gst::Element| {
        queue.factory().is_some_and(|it| it.name() == "queue")
            && queue.property::<u32>("current-level-buffers") > 2
    };
    until("the video waits for the sound", || {
        bin.iterate_elements().into_iter().flatten().any(is_held)
    });
    let source = pipeline.element("source");
    let flushing = std::thread::spawn(move || flush(&source));
    until("the flush is over", || flushing.is_finished());
    flushing.join().unwrap();
}

#[test]
fn a_file_that_leaves_its_place_is_told_of() {
    let video =
        "videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=30/1 ! recordsink";
    let sound =
        "audiotestsrc is-live=true samplesperbuffer=160 ! audio/x-raw,rate=8000,channels=1 ! ";
    let recorders = [
        (video.to_owned(), "mkv"),
        (video.to_owned(), "h264"),
        (format!("{sound} recordsink"), "wav"),
        (format!("{sound} audiorecordsink"), "wav"),
    ];
    for (recorder, extension) in recorders {
        for replaced in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("a").with_extension(extension);
            let pipeline = Pipeline::launch(&format!("{recorder} location={}", file.display()));
            pipeline.play();
            until("something is written", || {
                std::fs::metadata(&file).is_ok_and(|it| it.len() > 500)
            });
            match replaced {
                true => {
                    std::fs::rename(&file, dir.path().join("moved")).unwrap();
                    std::fs::write(&file, "another").unwrap();
                }
                false => std::fs::remove_dir_all(dir.path()).unwrap(),
            }
            pipeline.0.send_event(gst::event::Eos::new());
            let kinds = [
                gst::MessageType::Warning,
                gst::MessageType::Element,
                gst::MessageType::Eos,
            ];
            let bus = pipeline.0.bus().unwrap();
            let messages: Vec<_> =
                std::iter::from_fn(|| bus.timed_pop_filtered(crate::common::HANG, &kinds))
                    .take_while(|it| it.type_() != gst::MessageType::Eos)
                    .collect();
            let texts = messages.iter().filter_map(|it| match it.view() {
                gst::MessageView::Warning(it) => Some(it.error().to_string()),
                _ => None,
            });
            let texts: Vec<_> = texts.collect();
            assert_eq!(texts.len(), 1, "{recorder} {extension}: {texts:?}");
            assert!(
                texts[0].contains("is gone: it or its directory"),
                "{texts:?}"
            );
            assert!(!messages.iter().any(|it| it.has_name("recordsink-file")));
        }
    }
}

/// What GStreamer complains of where an event is given back twice.
struct Complaints {
    heard: std::sync::Arc<Mutex<Vec<String>>>,
    handler: gst::glib::LogHandlerId,
}

impl Complaints {
    fn heed() -> Self {
        let heard = std::sync::Arc::new(Mutex::new(Vec::new()));
        let hears = heard.clone();
        let levels = gst::glib::LogLevels::LEVEL_CRITICAL;
        let hear = move |_: Option<&str>, _, text: &str| {
            if text.contains("mini_object") {
                hears.lock().unwrap().push(text.to_owned());
            }
        };
        let handler = gst::glib::log_set_handler(Some("GStreamer"), levels, false, false, hear);
        Self { heard, handler }
    }

    fn assert_none(self) {
        gst::glib::log_remove_handler(Some("GStreamer"), self.handler);
        assert_eq!(*self.heard.lock().unwrap(), [""; 0]);
    }
}

#[test]
fn gaps_are_told_to_no_flash_video() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.flv");
    let complaints = Complaints::heed();
    let pipeline = Pipeline::launch(&format!(
        "appsrc name=s format=time caps=video/x-raw,format=I420,width=16,height=16,framerate=25/1 ! \
         recordsink location={}",
        file.display()
    ));
    let source: gst_app::AppSrc = pipeline.element("s").downcast().unwrap();
    pipeline.play();
    let pad = source.static_pad("src").unwrap();
    for n in 0..20 {
        let time = gst::ClockTime::from_mseconds(40 * n);
        let mut buffer = gst::Buffer::from_slice([0; 384]);
        buffer.get_mut().unwrap().set_pts(time);
        source.push_buffer(buffer).unwrap();
        until("it is on its way", || source.current_level_buffers() == 0);
        if n % 5 == 4 {
            let gap = gst::event::Gap::builder(time);
            assert!(pad.push_event(gap.duration(gst::ClockTime::from_mseconds(40)).build()));
        }
    }
    source.end_of_stream().unwrap();
    pipeline.wait().unwrap();
    assert_eq!(frames(&file), 20);
    complaints.assert_none();
}

/// A seek in a film that has been recorded to its end.
#[test]
fn what_comes_behind_the_end_is_refused_with_a_word() {
    let dir = tempfile::tempdir().unwrap();
    let film = dir.path().join("film.avi");
    record(&format!(
        "videotestsrc num-buffers=30 ! video/x-raw,width=64,height=48,framerate=30/1 ! recordsink location={}",
        film.display()
    ));
    let complaints = Complaints::heed();
    for name in ["a.mkv", "a.avi", "a.mov"] {
        let file = dir.path().join(name);
        let pipeline = Pipeline::launch(&format!(
            "filesrc location={} ! avimjpegdemux name=d d.video_0 ! queue ! recordsink name=r location={}",
            film.display(),
            file.display()
        ));
        pipeline.play();
        pipeline.ends("of the film");
        let warnings = pipeline.warnings();
        assert!(pipeline.element("d").send_event(to_the_beginning()));
        pipeline.ends("behind the seek");
        pipeline.0.set_state(gst::State::Null).unwrap();
        let warnings = warnings.lock().unwrap();
        assert!(
            matches!(&warnings[..], [one] if one.contains("behind its end")),
            "{name}: {warnings:?}"
        );
        assert_eq!(frames(&file), 30, "{name}");
    }
    complaints.assert_none();
}

/// A seek behind `finish`, in a film that goes on: what comes is not recorded, nothing is said of it, and EOS comes again.
#[test]
fn a_finished_recording_ends_again_behind_a_seek() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.mkv", "a.avi", "a.mjpeg"] {
        let file = dir.path().join(name);
        let pipeline = given_pictures("", &file);
        let source: gst_app::AppSrc = pipeline.element("s").downcast().unwrap();
        source.set_stream_type(gst_app::AppStreamType::Seekable);
        source.connect("seek-data", false, |_| Some(true.to_value()));
        let sink = pipeline.element("r");
        let warnings = pipeline.warnings();
        let mut given = 0;
        pipeline.play();
        give(&pipeline, &mut given, 3);
        sink.emit_by_name::<()>("finish", &[]);
        pipeline.ends("finished");
        for _ in 0..2 {
            flush(source.upcast_ref());
            for n in 0..3 {
                push(&pipeline, &mut { n });
            }
            source.end_of_stream().unwrap();
            pipeline.ends("behind the seek");
        }
        assert_eq!(*warnings.lock().unwrap(), [""; 0], "{name}");
        assert_eq!(stat(&sink, "frames"), 3, "{name}");
        pipeline.0.set_state(gst::State::Null).unwrap();
        assert_eq!(frames(&file), 3, "{name}");
    }
}

/// As `filesrc` reads it: nothing says what it is.
#[test]
fn a_file_without_a_parser_in_front_is_refused_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    record(&format!(
        "{VIDEO} ! x264enc ! video/x-h264,stream-format=byte-stream ! filesink location={}",
        at("x.h264").display()
    ));
    std::fs::write(
        at("x.jpg"),
        crate::recordsink_cameras::jpegs(64, 48, 1).remove(0),
    )
    .unwrap();
    std::fs::write(at("x.raw"), [0; 5000]).unwrap();
    let film = crate::common::footage();
    std::os::unix::fs::symlink(&film, at("x.webm")).unwrap();
    let sound = "recordsink name=r location=y.mka r.audio";
    for (file, sink, words) in [
        (
            "x.h264",
            "recordsink location=y.mp4",
            "video/x-h264 and has no caps: put h264parse in front",
        ),
        (
            "x.h264",
            "recordsink location=y.h264",
            "put h264parse in front",
        ),
        (
            "x.jpg",
            "recordsink location=y.avi",
            "put jpegparse in front",
        ),
        (
            "x.raw",
            "recordsink location=y.avi",
            "rawvideoparse for a file of raw pictures",
        ),
        (
            "x.webm",
            "recordsink location=y.mkv",
            "put parsebin in front",
        ),
        ("x.raw", sound, "rawaudioparse for a file of raw sound"),
        ("x.h264", "ffmpegsink args=y.mkv", "put h264parse in front"),
        (
            "x.webm",
            "audiorecordsink location=y.wav",
            "put decodebin in front",
        ),
        (
            "x.raw",
            "audiorecordsink location=y.wav",
            "rawaudioparse for a file of raw sound",
        ),
    ] {
        let sink = sink.replace("y.", &at("y.").display().to_string());
        let source = format!("filesrc location={}", at(file).display());
        let pipeline = match sink.strip_suffix(" r.audio") {
            Some(sink) => Pipeline::launch(&format!("{sink} {source} ! r.audio")),
            None => Pipeline::launch(&format!("{source} ! {sink}")),
        };
        let err = pipeline.run().unwrap_err();
        assert!(err.contains(words), "{file} {sink}: {err}");
    }
}

/// Its parameter sets come once, in front of the first picture.
#[test]
fn each_file_of_a_transport_stream_can_be_decoded() {
    let dir = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::launch(&format!(
        "videotestsrc num-buffers=60 pattern=ball ! video/x-raw,width=160,height=128,framerate=10/1 ! \
         x265enc speed-preset=ultrafast key-int-max=10 option-string=open-gop=0 ! \
         recordsink split-bytes=10000 location={}",
        dir.path().join("%05d.ts").display()
    ));
    pipeline.run().unwrap();
    let files = std::fs::read_dir(dir.path()).unwrap();
    let shown: Vec<usize> = files.map(|it| frames(&it.unwrap().path())).collect();
    assert!(shown.len() >= 3, "{shown:?}");
    assert_eq!(shown.iter().sum::<usize>(), 60, "{shown:?}");
}

/// Pictures that nobody can show are told of.
#[test]
fn a_split_of_open_gops_is_told_of_once() {
    let dir = tempfile::tempdir().unwrap();
    for (option, told) in [("open-gop=1", 1), ("open-gop=0", 0)] {
        let pipeline = Pipeline::launch(&format!(
            "videotestsrc num-buffers=60 ! video/x-raw,width=160,height=128,framerate=10/1 ! \
             x265enc speed-preset=ultrafast key-int-max=10 option-string={option} ! \
             recordsink overwrite=true split-time=1000000000 location={}",
            dir.path().join("%05d.mp4").display()
        ));
        let warnings = pipeline.warnings();
        pipeline.run().unwrap();
        let warnings = warnings.lock().unwrap();
        let said = |it: &&String| it.contains("need the file before it");
        assert_eq!(warnings.iter().filter(said).count(), told, "{warnings:?}");
    }
}
