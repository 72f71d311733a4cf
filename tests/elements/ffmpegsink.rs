// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ffmpegsink`: what ffmpeg makes of it, and what happens when ffmpeg, or something in its place,
//! does not do as it should.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{Pipeline, frames, until};
use crate::feed::{PCM, begin};
use gst::prelude::*;
use gst_video::prelude::*;

/// A program to run in ffmpeg's place; it gets ffmpeg's arguments.
fn program(dir: &Path, script: &str) -> PathBuf {
    let path = dir.join("program");
    // Written by a process that has ended: a file that is open for writing anywhere, a fork of
    // another test's included, cannot be started.
    let written = Command::new("/bin/sh")
        .args(["-c", "printf '%s' \"$1\" > \"$2\" && chmod 755 \"$2\"", "-"])
        .arg(format!("#!/bin/sh\n{script}\n"))
        .arg(&path)
        .status()
        .unwrap();
    assert!(written.success());
    assert!(path.metadata().unwrap().permissions().mode() & 0o100 != 0);
    path
}

fn seconds(file: &Path) -> f64 {
    crate::common::ffprobe(file, &[], "format=duration")[0]
        .parse()
        .unwrap()
}

#[test]
fn opencvs_frames_become_an_avi() {
    let dir = tempfile::tempdir().unwrap();
    let avi = dir.path().join("output.avi");
    let pipeline = Pipeline::launch(&format!(
        "videotestsrc num-buffers=45 ! video/x-raw,format=BGR,width=640,height=480,framerate=30/1 ! \
         ffmpegsink args=\"-c:v mjpeg -q:v 3 -f avi -r 30 {}\"",
        avi.display()
    ));
    pipeline.run().unwrap();
    assert_eq!(
        crate::common::ffprobe(&avi, &[], "stream=codec_name,width,height,r_frame_rate"),
        ["mjpeg", "640", "480", "30/1"]
    );
    assert_eq!(frames(&avi), 45);
    assert!((seconds(&avi) - 1.5).abs() < 0.001);
}

/// The bytes of a picture without any padding.
fn tight(buffer: &gst::BufferRef, info: &gst_video::VideoInfo) -> Vec<u8> {
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, info).unwrap();
    let mut bytes = Vec::new();
    for plane in 0..frame.n_planes() {
        let row = (frame.comp_width(plane) as i32 * frame.comp_pstride(plane)) as usize;
        let row = if frame.n_planes() == 1 && info.format() == gst_video::VideoFormat::Yuy2 {
            info.width().div_ceil(2) as usize * 4
        } else {
            row
        };
        let stride = frame.plane_stride()[plane as usize] as usize;
        for line in frame
            .plane_data(plane)
            .unwrap()
            .chunks(stride)
            .take(frame.comp_height(plane) as usize)
        {
            bytes.extend_from_slice(&line[..row]);
        }
    }
    bytes
}

#[test]
fn raw_pictures_arrive_unchanged_at_any_width() {
    let dir = tempfile::tempdir().unwrap();
    for (format, pix_fmt) in [
        ("BGR", "bgr24"),
        ("RGB", "rgb24"),
        ("I420", "yuv420p"),
        ("YUY2", "yuyv422"),
        ("GRAY8", "gray"),
    ] {
        for (width, height) in [(64, 48), (62, 46), (63, 47), (66, 49)] {
            if format == "YUY2" && width % 2 == 1 {
                // ffmpeg's own raw output of half a pair of pixels is not defined.
                continue;
            }
            let raw = dir.path().join("picture.raw");
            let pipeline = Pipeline::launch(&format!(
                "videotestsrc num-buffers=2 pattern=smpte75 ! \
                 video/x-raw,format={format},width={width},height={height},framerate=25/1 ! \
                 tee name=t ! queue ! appsink name=a t. ! queue ! \
                 ffmpegsink args=\"-f rawvideo -pix_fmt {pix_fmt} {}\"",
                raw.display()
            ));
            pipeline.play();
            let sink: gst_app::AppSink = pipeline.element("a").downcast().unwrap();
            let mut expected = Vec::new();
            for sample in crate::common::samples(&sink) {
                let info = gst_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
                expected.extend(tight(sample.buffer().unwrap(), &info));
            }
            pipeline.wait().unwrap();
            assert!(
                std::fs::read(&raw).unwrap() == expected,
                "{format} {width}x{height}"
            );
        }
    }
}

#[test]
fn other_raw_formats_are_converted() {
    let dir = tempfile::tempdir().unwrap();
    let mkv = dir.path().join("nv12.mkv");
    Pipeline::launch(&format!(
        "videotestsrc num-buffers=3 ! video/x-raw,format=NV12,width=64,height=48 ! \
         ffmpegsink args=\"-c copy {}\"",
        mkv.display()
    ))
    .run()
    .unwrap();
    assert_eq!(
        crate::common::ffprobe(&mkv, &[], "stream=codec_name,pix_fmt"),
        ["rawvideo", "yuv420p"]
    );
}

/// Frames of a camera that is now too early, now too late, and once away for half a second.
fn jitter(n: u64) -> gst::ClockTime {
    let ideal = n * 1_000_000_000 / 30;
    let jitter = (n * 7919) % 20_000_000;
    let pause = if n >= 40 { 500_000_000 } else { 0 };
    gst::ClockTime::from_nseconds(ideal + jitter + pause)
}

fn jittering(sink: &str) -> Pipeline {
    let pipeline = Pipeline::launch(&format!(
        "appsrc name=s format=time block=true max-buffers=10 \
         caps=video/x-raw,format=BGR,width=64,height=48,framerate=30/1 ! {sink}"
    ));
    let src: gst_app::AppSrc = pipeline.element("s").downcast().unwrap();
    std::thread::spawn(move || {
        for n in 0..90 {
            let mut buffer = gst::Buffer::from_mut_slice(vec![(n * 2) as u8; 64 * 48 * 3]);
            buffer.get_mut().unwrap().set_pts(jitter(n));
            let _ = src.push_buffer(buffer);
        }
        let _ = src.end_of_stream();
    });
    pipeline
}

#[test]
fn timestamps_survive() {
    let dir = tempfile::tempdir().unwrap();
    // NUT with a fine time base, so that what is measured is what reached ffmpeg.
    let nut = dir.path().join("times.nut");
    jittering(&format!(
        "ffmpegsink args=\"-fps_mode passthrough -enc_time_base 1:10000 -c:v mjpeg {}\"",
        nut.display()
    ))
    .run()
    .unwrap();
    let times = crate::common::ffprobe(&nut, &[], "packet=pts_time");
    assert_eq!(times.len(), 90);
    let first: f64 = times[0].parse().unwrap();
    for (n, time) in times.iter().enumerate() {
        let time: f64 = time.parse().unwrap();
        let expected = (jitter(n as u64) - jitter(0)).nseconds() as f64 / 1e9;
        assert!(
            (time - first - expected).abs() < 0.0002,
            "frame {n}: {time} instead of {expected}"
        );
    }
}

#[test]
fn the_duration_is_right_to_one_frame_at_jittering_input() {
    let dir = tempfile::tempdir().unwrap();
    let expected = (jitter(89) - jitter(0)).nseconds() as f64 / 1e9 + 1.0 / 30.0;
    for (name, codec) in [("a.avi", "mjpeg"), ("a.mp4", "libx264"), ("a.mkv", "mjpeg")] {
        let file = dir.path().join(name);
        jittering(&format!(
            "ffmpegsink args=\"-c:v {codec} -pix_fmt yuvj420p {}\"",
            file.display()
        ))
        .run()
        .unwrap();
        let duration = seconds(&file);
        assert!(
            (duration - expected).abs() <= 1.0 / 30.0,
            "{name}: {duration} instead of {expected}"
        );
    }
}

#[test]
fn encoded_video_and_audio_pass_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let mp4 = dir.path().join("both.mp4");
    // A GOP longer than a Matroska cluster can be at this resolution of time.
    Pipeline::launch(&format!(
        "videotestsrc num-buffers=150 ! video/x-raw,width=64,height=48,framerate=30/1 ! \
         x264enc speed-preset=ultrafast key-int-max=1000 ! f.video \
         audiotestsrc num-buffers=240 samplesperbuffer=1000 ! audio/x-raw,rate=48000 ! f.audio \
         ffmpegsink name=f args=\"-c:v copy -c:a aac {}\"",
        mp4.display()
    ))
    .run()
    .unwrap();
    assert_eq!(
        crate::common::ffprobe(&mp4, &[], "stream=codec_name"),
        ["h264", "aac"]
    );
    assert_eq!(frames(&mp4), 150);
    assert!((seconds(&mp4) - 5.0).abs() < 0.05);
}

#[test]
fn the_footage_goes_through_undecoded() {
    let dir = tempfile::tempdir().unwrap();
    let mkv = dir.path().join("copy.mkv");
    Pipeline::launch(&format!(
        "filesrc location={} ! matroskademux name=d d.video_0 ! queue ! f.video \
         d.audio_0 ! queue ! f.audio ffmpegsink name=f args=\"-c copy {}\"",
        crate::common::footage().display(),
        mkv.display()
    ))
    .run()
    .unwrap();
    assert_eq!(
        crate::common::ffprobe(&mkv, &[], "stream=codec_name"),
        crate::common::ffprobe(&crate::common::footage(), &[], "stream=codec_name")
    );
    assert_eq!(frames(&mkv), frames(&crate::common::footage()));
}

#[test]
fn args_are_read_as_a_shell_reads_them() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("args");
    let fake = program(
        dir.path(),
        &format!(
            "for a; do echo \"$a\"; done > '{}'; exec cat > /dev/null",
            out.display()
        ),
    );
    let pipeline = Pipeline::launch("videotestsrc num-buffers=2 ! ffmpegsink name=f");
    let sink = pipeline.element("f");
    sink.set_property("ffmpeg", fake.to_str().unwrap());
    let avi = dir.path().join("*.avi").display().to_string();
    sink.set_property(
        "args",
        format!(
            r#"-vf 'scale=320:240, drawtext=text="a b"' -metadata title=It\'s\ "two $words" {avi} # no"#
        ),
    );
    pipeline.run().unwrap();
    let args = std::fs::read_to_string(&out).unwrap();
    let (before, after) = args.split_once("pipe:0\n").unwrap();
    assert!(before.ends_with("-y\n-f\nmatroska\n-i\n"), "{before}");
    assert_eq!(
        after.lines().collect::<Vec<_>>(),
        [
            "-vf",
            "scale=320:240, drawtext=text=\"a b\"",
            "-metadata",
            "title=It's two $words",
            &avi
        ]
    );
}

#[test]
fn a_file_that_exists_is_kept_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let avi = dir.path().join("there.avi");
    std::fs::write(&avi, "mine").unwrap();
    let run = |overwrite: bool| {
        Pipeline::launch(&format!(
            "videotestsrc num-buffers=300 ! ffmpegsink overwrite={overwrite} args=\"-c:v mjpeg {}\"",
            avi.display()
        ))
        .run()
    };
    let err = run(false).unwrap_err();
    assert!(err.contains("already exists"), "{err}");
    assert_eq!(std::fs::read(&avi).unwrap(), b"mine");
    run(true).unwrap();
    assert_eq!(frames(&avi), 300);
}

#[test]
fn one_that_says_it_failed_and_ends_with_0_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    // As ffmpeg 7 does with -n when the file is there.
    let fake = program(
        dir.path(),
        "head -c 100 > /dev/null; echo \"[fatal] File 'a.avi' already exists. Exiting.\" >&2",
    );
    let err = Pipeline::launch(&format!(
        "videotestsrc ! ffmpegsink overwrite=false ffmpeg={} args=-",
        fake.display()
    ))
    .run()
    .unwrap_err();
    assert!(err.contains("'a.avi' already exists"), "{err}");
}

#[test]
fn the_error_has_ffmpegs_last_lines() {
    let err = Pipeline::launch("videotestsrc ! ffmpegsink args=\"-c:v nosuchcodec -f avi -\"")
        .run()
        .unwrap_err();
    assert!(err.contains("Unknown encoder 'nosuchcodec'"), "{err}");
    // Which one is ffmpeg's: 1 before version 7, 8 since.
    let (_, code) = err.split_once("ffmpeg failed with exit code ").expect(&err);
    assert!(code.starts_with(['1', '8']), "{err}");
}

#[test]
fn its_messages_are_log_lines_of_their_level() {
    let dir = tempfile::tempdir().unwrap();
    let fake = program(
        dir.path(),
        "for level in error warning info debug; do echo \"[$level] about $level\" >&2; done; \
         exec cat > /dev/null",
    );
    let pipeline = Pipeline::launch(&format!(
        "videotestsrc num-buffers=2 ! ffmpegsink ffmpeg={} args=-",
        fake.display()
    ));
    gst::log::set_threshold_from_string("ffmpegsink:DEBUG", false);
    let (sender, lines) = std::sync::mpsc::channel();
    gst::log::add_log_function(move |category, level, _, _, _, _, message| {
        let text = message
            .get()
            .map(|text| text.to_string())
            .unwrap_or_default();
        if category.name() == "ffmpegsink" && text.contains("] about ") {
            let _ = sender.send((level, text));
        }
    });
    pipeline.run().unwrap();
    for (level, name) in [
        (gst::DebugLevel::Error, "error"),
        (gst::DebugLevel::Warning, "warning"),
        (gst::DebugLevel::Info, "info"),
        (gst::DebugLevel::Debug, "debug"),
    ] {
        let expected = (level, format!("[{name}] about {name}"));
        assert_eq!(crate::common::received(&lines), expected);
    }
}

#[test]
fn arguments_that_make_no_sense_are_refused_before_anything_starts() {
    let err = Pipeline::launch("videotestsrc ! ffmpegsink name=f args=\"'a.avi\"")
        .run()
        .unwrap_err();
    assert!(err.contains("quote is not closed"), "{err}");
    let err = Pipeline::launch("videotestsrc ! ffmpegsink")
        .run()
        .unwrap_err();
    assert!(err.contains("args is empty"), "{err}");
}

#[test]
fn a_program_that_is_not_installed_is_named_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("text");
    std::fs::write(&text, "no program").unwrap();
    let text = text.to_str().unwrap();
    for program in ["/no/such/ffmpeg", "no-such-ffmpeg", text] {
        let launch = format!("videotestsrc ! ffmpegsink ffmpeg={program} args=a.avi");
        let pipeline = Pipeline::launch(&launch);
        assert!(
            pipeline.0.set_state(gst::State::Ready).is_err(),
            "{program}"
        );
        let error = pipeline.error().unwrap();
        let why = match program == text {
            true => format!("{program} may not be run: make it executable (chmod +x)"),
            false => format!("The program {program} is not installed: apt install ffmpeg"),
        };
        let expected = format!("{why}, or name another with the property ffmpeg");
        assert!(error.starts_with(&expected), "{error}");
        assert_eq!(pipeline.error(), None);
    }
}

#[test]
fn a_directory_that_is_missing_is_named_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("none/a.avi");
    let launch = format!(
        "videotestsrc ! ffmpegsink args=\"-c:v mjpeg {}\"",
        place.display()
    );
    let pipeline = Pipeline::launch(&launch);
    assert!(pipeline.0.set_state(gst::State::Ready).is_err());
    let error = pipeline.error().unwrap();
    let expected = format!("'{}' can't be created: No such file", place.display());
    assert!(error.starts_with(&expected), "{error}");
    assert_eq!(pipeline.error(), None);
}

#[test]
fn a_program_that_dies_is_an_error_at_once() {
    let dir = tempfile::tempdir().unwrap();
    // It reads enough to be running, and dies while no more data comes.
    let fake = program(
        dir.path(),
        "head -c 100 > /dev/null; echo out of luck >&2; exit 3",
    );
    let pipeline = Pipeline::launch(&format!(
        "appsrc name=s format=time is-live=true \
         caps=video/x-raw,format=BGR,width=64,height=48,framerate=30/1 ! \
         ffmpegsink ffmpeg={} args=-",
        fake.display()
    ));
    let src: gst_app::AppSrc = pipeline.element("s").downcast().unwrap();
    pipeline.play();
    let mut buffer = gst::Buffer::from_slice(vec![0; 64 * 48 * 3]);
    buffer.get_mut().unwrap().set_pts(gst::ClockTime::ZERO);
    src.push_buffer(buffer).unwrap();
    let err = pipeline.wait().unwrap_err();
    assert!(
        err.contains("exit code 3") && err.contains("out of luck"),
        "{err}"
    );
}

#[test]
fn eos_comes_when_the_file_is_complete() {
    let dir = tempfile::tempdir().unwrap();
    let done = dir.path().join("done");
    let fake = program(
        dir.path(),
        &format!(
            "cat > /dev/null; sleep 0.3; echo complete > '{}'",
            done.display()
        ),
    );
    Pipeline::launch(&format!(
        "videotestsrc num-buffers=3 ! ffmpegsink ffmpeg={} args=-",
        fake.display()
    ))
    .run()
    .unwrap();
    assert_eq!(std::fs::read_to_string(done).unwrap(), "complete\n");
}

#[test]
fn a_failure_after_the_last_frame_is_an_error_not_eos() {
    let dir = tempfile::tempdir().unwrap();
    let fake = program(dir.path(), "cat > /dev/null; echo disk full >&2; exit 1");
    let err = Pipeline::launch(&format!(
        "videotestsrc num-buffers=3 ! ffmpegsink ffmpeg={} args=-",
        fake.display()
    ))
    .run()
    .unwrap_err();
    assert!(err.contains("disk full"), "{err}");
}

#[test]
fn the_stream_ends_when_ffmpeg_has_had_enough() {
    let dir = tempfile::tempdir().unwrap();
    let avi = dir.path().join("second.avi");
    // The source has no end of its own.
    Pipeline::launch(&format!(
        "videotestsrc ! video/x-raw,framerate=30/1 ! ffmpegsink args=\"-t 1 -c:v mjpeg {}\"",
        avi.display()
    ))
    .run()
    .unwrap();
    assert_eq!(frames(&avi), 30);
}

#[test]
fn stopping_without_eos_completes_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let mp4 = dir.path().join("stopped.mp4");
    let pipeline = Pipeline::launch(&format!(
        "videotestsrc ! video/x-raw,width=64,height=48,framerate=30/1 ! \
         identity name=i sync=true ! ffmpegsink args=\"-c:v mpeg4 {}\"",
        mp4.display()
    ));
    pipeline.play();
    until("ffmpeg has begun", || mp4.exists());
    pipeline.0.set_state(gst::State::Null).unwrap();
    assert_eq!(
        crate::common::ffprobe(&mp4, &[], "stream=codec_name"),
        ["mpeg4"]
    );
}

#[test]
fn a_program_that_stops_reading_blocks_until_the_pipeline_stops() {
    let dir = tempfile::tempdir().unwrap();
    let fake = program(dir.path(), "exec sleep 100000");
    let pipeline = Pipeline::launch(&format!(
        "videotestsrc num-buffers=100 ! video/x-raw,width=640,height=480 ! \
         ffmpegsink name=f ffmpeg={} args=-",
        fake.display()
    ));
    let pad = pipeline.element("f").static_pad("video").unwrap();
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    pad.add_probe(gst::PadProbeType::BUFFER, {
        let count = count.clone();
        move |_, _| {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            gst::PadProbeReturn::Ok
        }
    });
    pipeline.play();
    until("frames pass", || {
        count.load(std::sync::atomic::Ordering::Relaxed) > 1
    });
    pipeline.0.set_state(gst::State::Paused).unwrap();
    pipeline.0.set_state(gst::State::Playing).unwrap();
    assert!(pipeline.error().is_none());
    pipeline.0.set_state(gst::State::Null).unwrap();
    assert!(count.load(std::sync::atomic::Ordering::Relaxed) < 100);
}

#[test]
fn it_starts_anew_with_every_stream() {
    let dir = tempfile::tempdir().unwrap();
    let avi = dir.path().join("again.avi");
    let pipeline = Pipeline::launch(&format!(
        "videotestsrc num-buffers=2 ! video/x-raw,width=64,height=48 ! \
         ffmpegsink args=\"-c:v mjpeg {}\"",
        avi.display()
    ));
    for _ in 0..5 {
        let _ = std::fs::remove_file(&avi);
        pipeline.run().unwrap();
        pipeline.0.set_state(gst::State::Ready).unwrap();
        assert_eq!(frames(&avi), 2);
    }
    pipeline.0.set_state(gst::State::Null).unwrap();
    pipeline.run().unwrap();
}

#[test]
fn a_hundred_state_changes() {
    let dir = tempfile::tempdir().unwrap();
    let fake = program(dir.path(), "exec cat > /dev/null");
    let pipeline = Pipeline::launch(&format!(
        "videotestsrc ! video/x-raw,width=64,height=48 ! ffmpegsink ffmpeg={} args=-",
        fake.display()
    ));
    for n in 0..100 {
        let state = [gst::State::Paused, gst::State::Playing][n % 2];
        pipeline.0.set_state(state).unwrap();
        pipeline.0.state(crate::common::HANG).0.unwrap();
        let state = [gst::State::Ready, gst::State::Null][n / 2 % 2];
        pipeline.0.set_state(state).unwrap();
        assert_eq!(pipeline.error(), None);
    }
}

#[test]
fn a_program_that_ends_while_it_is_written_to_ends_no_other() {
    let dir = tempfile::tempdir().unwrap();
    // gst-launch-1.0 does not ignore SIGPIPE.
    let fake = program(dir.path(), "head -c 1000 > /dev/null; exit 0");
    let status = Command::new("gst-launch-1.0")
        .args(["-q", "videotestsrc", "!", "ffmpegsink", "args=-"])
        .arg(format!("ffmpeg={}", fake.display()))
        .envs(crate::common::plugin_path(dir.path()))
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

/// A recording that is under way in another process.
struct Elsewhere {
    host: Child,
    /// Of the program that it feeds.
    pid: String,
}

impl Elsewhere {
    /// Starts the pipeline; its program is a script that writes its number into `pid` first.
    fn start(dir: &Path, pipeline: &[&str], script: &str) -> Self {
        let pid_file = dir.join("pid");
        let _ = std::fs::remove_file(&pid_file);
        let fake = program(
            dir,
            &format!("echo $$ > '{}'; {script}", pid_file.display()),
        );
        let mut host = Command::new("gst-launch-1.0")
            .arg("-q")
            .args(pipeline)
            .arg(format!("ffmpeg={}", fake.display()))
            .envs(crate::common::plugin_path(dir))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut pid = String::new();
        until("the program is there", || {
            assert!(
                host.try_wait().unwrap().is_none(),
                "gst-launch-1.0 has ended"
            );
            pid = std::fs::read_to_string(&pid_file).unwrap_or_default();
            pid.ends_with('\n')
        });
        let pid = pid.trim().to_owned();
        Self { host, pid }
    }

    /// SIGKILL: nobody gets to clean up.
    fn kill(&mut self) {
        self.host.kill().unwrap();
        self.host.wait().unwrap();
    }

    /// Gone, or dead and waiting for whoever inherits orphans here.
    fn program_has_gone(&self) -> bool {
        std::fs::read_to_string(format!("/proc/{}/stat", self.pid))
            .map_or(true, |stat| stat.contains(") Z "))
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let _ = self.host.kill();
        let _ = self.host.wait();
    }
}

#[test]
fn a_program_that_does_not_heed_its_end_outlives_the_process_by_a_bounded_time() {
    let dir = tempfile::tempdir().unwrap();
    let pipeline = ["videotestsrc", "!", "ffmpegsink", "args=-"];
    let mut recording = Elsewhere::start(dir.path(), &pipeline, "exec sleep 100000");
    recording.kill();
    let start = Instant::now();
    until("the program is gone", || recording.program_has_gone());
    // With the process, as it used to be, no file would be completed.
    assert!(start.elapsed() > Duration::from_secs(5));
}

/// How many of `KILLS` recordings by a host that is killed amid them play: set it to 40 for the figure
/// in `docs/reliability.md`.
#[test]
fn a_killed_process_leaves_a_file_that_plays() {
    let kills = crate::common::count("KILLS", 3);
    let dir = tempfile::tempdir().unwrap();
    let mut played = 0;
    for n in 0..kills {
        let mp4 = dir.path().join(format!("{n}.mp4"));
        let args = format!("args=-c:v mpeg4 {}", mp4.display());
        let pipeline = [
            "videotestsrc",
            "is-live=true",
            "!",
            "video/x-raw,width=320,height=240,framerate=100/1",
            "!",
            "ffmpegsink",
            &args,
        ];
        let mut recording = Elsewhere::start(dir.path(), &pipeline, "exec ffmpeg \"$@\"");
        until("pictures are written", || {
            mp4.metadata().is_ok_and(|metadata| metadata.len() > 10_000)
        });
        recording.kill();
        until("ffmpeg has ended", || recording.program_has_gone());
        let probed = Command::new("ffprobe")
            .args(["-v", "error", "-count_frames", "-of", "csv=p=0"])
            .args(["-show_entries", "stream=nb_read_frames"])
            .arg(&mp4)
            .output()
            .unwrap();
        let frames = String::from_utf8_lossy(&probed.stdout);
        let frames = frames.trim().parse().unwrap_or(0);
        played += u64::from(probed.stderr.is_empty() && frames > 0);
    }
    println!("{played} of {kills} play");
    assert_eq!(played, kills);
}

#[test]
fn the_program_inherits_no_file_of_the_hosts() {
    let dir = tempfile::tempdir().unwrap();
    let [marker, list] = ["marker", "list"].map(|name| dir.path().join(name));
    std::fs::write(&marker, "").unwrap();
    let script = format!(
        "for fd in /proc/$$/fd/*; do readlink \"$fd\"; done > '{0}.new'; mv '{0}.new' '{0}'; exec cat > /dev/null",
        list.display()
    );
    let fake = program(dir.path(), &script);
    let launch = "exec 9< \"$0\"; exec gst-launch-1.0 -q videotestsrc is-live=true ! ffmpegsink args=- ffmpeg=\"$1\"";
    let mut host = Command::new("/bin/sh")
        .args(["-c", launch])
        .args([&marker, &fake])
        .envs(crate::common::plugin_path(dir.path()))
        .spawn()
        .unwrap();
    until("the program has listed its descriptors", || {
        assert!(host.try_wait().unwrap().is_none(), "the host has ended");
        list.exists()
    });
    let opened = std::fs::read_dir(format!("/proc/{}/fd", host.id())).unwrap();
    let mut opened = opened.filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok());
    assert!(opened.any(|file| file == marker), "the host has none");
    host.kill().unwrap();
    host.wait().unwrap();
    let listed = std::fs::read_to_string(&list).unwrap();
    assert!(listed.contains("pipe:"), "{listed}");
    assert!(!listed.contains(marker.to_str().unwrap()), "{listed}");
}

#[test]
fn a_stopped_program_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let fake = program(dir.path(), "kill -STOP $$; exec cat > /dev/null");
    let pipeline = Pipeline::launch(&format!(
        "videotestsrc ! ffmpegsink ffmpeg={} args=-",
        fake.display()
    ));
    pipeline.play();
    let bus = pipeline.0.bus().unwrap();
    let told = [gst::MessageType::Warning, gst::MessageType::Error];
    let message = bus.timed_pop_filtered(crate::common::HANG, &told).unwrap();
    let gst::MessageView::Warning(warning) = message.view() else {
        panic!("{message:?}");
    };
    let text = format!("{} {:?}", warning.error(), warning.debug());
    crate::common::assert_mentions(&text, &["signal 19", "kill -CONT"]);
}

#[test]
fn buffers_without_times_are_counted_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    for rate in [",framerate=20/1", ""] {
        let avi = dir.path().join("counted.avi");
        let pipeline = Pipeline::launch(&format!(
            "appsrc name=s format=time caps=video/x-raw,format=I420,width=64,height=48{rate} ! \
             ffmpegsink args=\"-c:v mjpeg {}\"",
            avi.display()
        ));
        let src: gst_app::AppSrc = pipeline.element("s").downcast().unwrap();
        pipeline.play();
        for n in 0..40_u8 {
            let _ = src.push_buffer(gst::Buffer::from_slice(vec![n; 64 * 48 * 3 / 2]));
        }
        let _ = src.end_of_stream();
        if rate.is_empty() {
            let err = pipeline.wait().unwrap_err();
            crate::common::assert_mentions(&err, &["no timestamps", "how long", "framerate"]);
        } else {
            pipeline.wait().unwrap();
            assert_eq!(frames(&avi), 40);
            assert!((seconds(&avi) - 2.0).abs() < 0.001);
        }
    }
}

/// Of most encoded ones nobody knows how long they last, or in which order they are shown.
#[test]
fn encoded_buffers_without_times_are_refused() {
    for (stream, encoded) in [
        ("video", "videotestsrc num-buffers=9 ! x264enc"),
        ("audio", "audiotestsrc num-buffers=9 ! vorbisenc"),
    ] {
        for is_timed in [true, false] {
            let encoder = Pipeline::launch(&format!("{encoded} ! appsink name=a"));
            encoder.play();
            let sink: gst_app::AppSink = encoder.element("a").downcast().unwrap();
            let pipeline = Pipeline::launch(&format!(
                "appsrc name=s format=time ! f.{stream} ffmpegsink name=f args=\"-f null -\""
            ));
            let source: gst_app::AppSrc = pipeline.element("s").downcast().unwrap();
            pipeline.play();
            for sample in crate::common::samples(&sink) {
                source.set_caps(sample.caps_owned().as_ref());
                let mut buffer = sample.buffer_owned().unwrap();
                if !is_timed {
                    let buffer = buffer.make_mut();
                    buffer.set_pts(None);
                    buffer.set_dts(None);
                }
                // Refused behind the error.
                let _ = source.push_buffer(buffer);
            }
            let _ = source.end_of_stream();
            match is_timed {
                true => pipeline.ends(encoded),
                false => {
                    let error = pipeline.wait().unwrap_err();
                    crate::common::assert_mentions(&error, &["no timestamps", "do-timestamp"]);
                    assert!(pipeline.error().is_none(), "one failure is one error");
                }
            }
        }
    }
}

/// Raw pictures of a size, from a number on, 25 a second.
fn pictures(size: (u64, u64), numbers: std::ops::Range<u64>) -> impl Iterator<Item = gst::Buffer> {
    numbers.map(move |n| {
        let bytes = (size.0 * size.1 * 3 / 2) as usize;
        let mut buffer = gst::Buffer::from_slice(vec![(n * 5) as u8; bytes]);
        buffer
            .get_mut()
            .unwrap()
            .set_pts(n * gst::ClockTime::from_mseconds(40));
        buffer
    })
}

fn give(source: &gst_app::AppSrc, size: (u64, u64), numbers: std::ops::Range<u64>) {
    for buffer in pictures(size, numbers) {
        source.push_buffer(buffer).unwrap();
    }
}

fn raw(width: u64, height: u64, rate: u64) -> String {
    format!("video/x-raw,format=I420,width={width},height={height},framerate={rate}/1")
}

#[test]
fn another_size_is_another_file() {
    let dir = tempfile::tempdir().unwrap();
    for sound in [false, true] {
        let file = |number: &str| dir.path().join(format!("{sound}{number}.mkv"));
        let audio = "audiotestsrc num-buffers=100 samplesperbuffer=480 ! \
                     audio/x-raw,rate=16000,channels=1 ! f.audio";
        let pipeline = Pipeline::launch(&format!(
            "appsrc name=s format=time max-bytes=0 caps={} ! f.video {} \
             ffmpegsink name=f args=\"-c:v mpeg4 {}\"",
            raw(64, 48, 25),
            if sound { audio } else { "" },
            file("").display()
        ));
        let source: gst_app::AppSrc = pipeline.element("s").downcast().unwrap();
        pipeline.play();
        give(&source, (64, 48), 0..30);
        // Another rate is no other format.
        source.set_caps(Some(&raw(64, 48, 30).parse::<gst::Caps>().unwrap()));
        give(&source, (64, 48), 30..40);
        source.set_caps(Some(&raw(128, 96, 25).parse::<gst::Caps>().unwrap()));
        give(&source, (128, 96), 40..60);
        source.set_caps(Some(&raw(64, 48, 25).parse::<gst::Caps>().unwrap()));
        give(&source, (64, 48), 60..75);
        source.end_of_stream().unwrap();
        pipeline.wait().unwrap();
        let wanted = [("", "64", 40), ("-00001", "128", 20), ("-00002", "64", 15)];
        for (number, width, count) in wanted {
            let file = file(number);
            let found = crate::common::ffprobe(&file, &["-select_streams", "v"], "stream=width");
            assert_eq!(
                (frames(&file), &*found[0]),
                (count, width),
                "{sound} {number}"
            );
            let start = crate::common::ffprobe(&file, &[], "format=start_time");
            let start: f64 = start[0].parse().unwrap();
            assert!(start.abs() < 0.1, "{sound} {number} begins at {start}");
        }
        let stats = pipeline.element("f").property::<gst::Structure>("stats");
        let count = |name| stats.get::<u64>(name).unwrap();
        assert_eq!(
            (count("frames"), count("files"), count("jumps")),
            (75, 3, 0)
        );
    }
}

#[test]
fn lists_of_buffers_are_buffers() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.mkv");
    let (pipeline, pads) = by_hand(&format!("-c copy {}", file.display()), &["video"]);
    assert!(begin(&pads[0], &raw(64, 48, 25)));
    pads[0]
        .push_list(pictures((64, 48), 0..5).collect())
        .unwrap();
    assert!(pads[0].push_event(gst::event::Eos::new()));
    pipeline.ends("a list");
    let stats = pipeline.element("f").property::<gst::Structure>("stats");
    assert_eq!((frames(&file), stats.get("frames")), (5, Ok(5_u64)));
}

/// How many pictures and how much sound (buffers) are in the files of a directory.
fn packets(dir: &Path) -> [u64; 2] {
    ["v", "a"].map(|kind| {
        let files = std::fs::read_dir(dir).unwrap().map(|it| it.unwrap().path());
        let counts = files.flat_map(|file| {
            let arguments = ["-count_packets", "-select_streams", kind];
            crate::common::ffprobe(&file, &arguments, "stream=nb_read_packets")
        });
        // A track may have nothing in it.
        counts.map(|count| count.parse::<u64>().unwrap_or(0)).sum()
    })
}

/// Sound of a rate, in buffers as long as a picture.
fn sounds(rate: u64, numbers: std::ops::Range<u64>) -> impl Iterator<Item = gst::Buffer> {
    numbers.map(move |n| {
        let mut buffer = gst::Buffer::from_slice(vec![0; (rate / 25 * 2) as usize]);
        let stamped = buffer.get_mut().unwrap();
        stamped.set_pts(n * gst::ClockTime::from_mseconds(40));
        buffer
    })
}

#[test]
fn streams_that_change_in_one_moment_lose_nothing() {
    for round in 0..12 {
        let dir = tempfile::tempdir().unwrap();
        let args = format!("-c copy {}", dir.path().join("a.mkv").display());
        let (pipeline, pads) = by_hand(&args, &["video", "audio"]);
        let moment = std::sync::Barrier::new(2);
        std::thread::scope(|threads| {
            threads.spawn(|| {
                assert!(begin(&pads[0], &raw(64, 48, 25)));
                for buffer in pictures((64, 48), 0..15) {
                    pads[0].push(buffer).unwrap();
                }
                moment.wait();
                set_caps(&pads[0], &raw(32, 32, 25));
                for buffer in pictures((32, 32), 15..30) {
                    pads[0].push(buffer).unwrap();
                }
                assert!(pads[0].push_event(gst::event::Eos::new()));
            });
            threads.spawn(|| {
                assert!(begin(&pads[1], &format!("{PCM},rate=8000,channels=1")));
                for buffer in sounds(8000, 0..15) {
                    pads[1].push(buffer).unwrap();
                }
                moment.wait();
                // One is just before the other, and just behind it.
                for buffer in sounds(8000, 15..15 + round % 4) {
                    pads[1].push(buffer).unwrap();
                }
                set_caps(&pads[1], &format!("{PCM},rate=16000,channels=1"));
                for buffer in sounds(16_000, 15 + round % 4..30) {
                    pads[1].push(buffer).unwrap();
                }
                assert!(pads[1].push_event(gst::event::Eos::new()));
            });
        });
        pipeline.ends(&format!("{round}"));
        assert_eq!(packets(dir.path()), [30, 30], "{round}");
        let stats = pipeline.element("f").property::<gst::Structure>("stats");
        let files = std::fs::read_dir(dir.path()).unwrap().count() as u64;
        assert_eq!(
            (stats.get("frames"), stats.get("files")),
            (Ok(30_u64), Ok(files)),
            "{round}"
        );
    }
}

fn flush(pad: &gst::Pad) {
    pad.push_event(gst::event::FlushStart::new());
    pad.push_event(gst::event::FlushStop::new(false));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    assert!(pad.push_event(gst::event::Segment::new(&segment)));
}

#[test]
fn a_flush_takes_nothing_out_of_the_file() {
    for streams in [&["video"][..], &["video", "audio"]] {
        let dir = tempfile::tempdir().unwrap();
        let args = format!("-c copy {}", dir.path().join("a.mkv").display());
        let (pipeline, pads) = by_hand(&args, streams);
        assert!(begin(&pads[0], &raw(64, 48, 25)));
        // With sound, they wait for it.
        for buffer in pictures((64, 48), 0..10) {
            pads[0].push(buffer).unwrap();
        }
        flush(&pads[0]);
        for buffer in pictures((64, 48), 10..20) {
            pads[0].push(buffer).unwrap();
        }
        if let Some(audio) = pads.get(1) {
            assert!(begin(audio, &format!("{PCM},rate=8000,channels=1")));
            for buffer in sounds(8000, 0..10) {
                audio.push(buffer).unwrap();
            }
            flush(audio);
            for buffer in sounds(8000, 10..20) {
                audio.push(buffer).unwrap();
            }
        }
        for pad in &pads {
            assert!(pad.push_event(gst::event::Eos::new()));
        }
        pipeline.ends("flushed");
        let sound = 20 * (streams.len() as u64 - 1);
        assert_eq!(packets(dir.path()), [20, sound]);
    }
}

#[test]
fn a_flush_frees_a_stream_that_waits() {
    let dir = tempfile::tempdir().unwrap();
    for (streams, reads) in [(&["video"][..], false), (&["video", "audio"], true)] {
        let program = program(
            dir.path(),
            if reads {
                "cat > /dev/null"
            } else {
                "sleep 1000"
            },
        );
        let (pipeline, pads) = by_hand("a.mkv", streams);
        pipeline.0.set_state(gst::State::Null).unwrap();
        let sink = pipeline.element("f");
        sink.set_property("ffmpeg", program.to_str().unwrap());
        pipeline.play();
        let pad = &pads[0];
        assert!(begin(pad, &raw(640, 480, 25)));
        let count = std::sync::atomic::AtomicU64::new(0);
        std::thread::scope(|threads| {
            let stream = threads.spawn(|| {
                for buffer in pictures((640, 480), 0..1000) {
                    pad.push(buffer)?;
                    count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
                Ok(gst::FlowSuccess::Ok)
            });
            let mut seen = None;
            until("the stream waits", || {
                std::thread::sleep(Duration::from_millis(300));
                let now = count.load(std::sync::atomic::Ordering::Relaxed);
                seen.replace(now) == Some(now)
            });
            pad.push_event(gst::event::FlushStart::new());
            until("the stream is free", || stream.is_finished());
            assert_eq!(stream.join().unwrap(), Err(gst::FlowError::Flushing));
        });
        pad.push_event(gst::event::FlushStop::new(false));
        pipeline.0.set_state(gst::State::Null).unwrap();
    }
}

#[test]
fn pictures_that_are_in_no_file_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let args = format!("-c copy {}", dir.path().join("a.mkv").display());
    let (pipeline, pads) = by_hand(&args, &["video", "audio"]);
    assert!(begin(&pads[0], &raw(64, 48, 25)));
    assert!(begin(&pads[1], &format!("{PCM},rate=8000,channels=1")));
    for buffer in pictures((64, 48), 0..5) {
        pads[0].push(buffer).unwrap();
    }
    // An empty one is no picture.
    let mut empty = gst::Buffer::new();
    let stamped = empty.get_mut().unwrap();
    stamped.set_pts(gst::ClockTime::from_mseconds(200));
    pads[0].push(empty).unwrap();
    assert!(pads[0].push_event(gst::event::Eos::new()));
    // Its track in the file has ended.
    flush(&pads[0]);
    for buffer in pictures((64, 48), 6..8) {
        assert_eq!(pads[0].push(buffer), Err(gst::FlowError::Eos));
    }
    for buffer in sounds(8000, 0..10) {
        pads[1].push(buffer).unwrap();
    }
    assert!(pads[1].push_event(gst::event::Eos::new()));
    pipeline.ends("the sound");
    assert_eq!(packets(dir.path()), [5, 10]);
    let stats = pipeline.element("f").property::<gst::Structure>("stats");
    let counted =
        ["frames", "dropped-empty", "dropped-ended"].map(|name| stats.get::<u64>(name).unwrap());
    assert_eq!(counted, [5, 1, 2]);
}

/// An `ffmpegsink` and pads of the test's own that lead to it.
fn by_hand(args: &str, streams: &[&str]) -> (Pipeline, Vec<gst::Pad>) {
    crate::common::init();
    let pipeline = Pipeline(gst::Pipeline::new());
    let sink = gst::ElementFactory::make("ffmpegsink")
        .name("f")
        .property("args", args);
    let sink = sink.build().unwrap();
    pipeline.0.add(&sink).unwrap();
    let pads = streams.iter().map(|stream| {
        let sink = sink.request_pad_simple(stream).unwrap();
        let pad = gst::Pad::builder(gst::PadDirection::Src).build();
        pad.set_active(true).unwrap();
        pad.link(&sink).unwrap();
        pad
    });
    let pads = pads.collect();
    pipeline.play();
    (pipeline, pads)
}

fn set_caps(pad: &gst::Pad, caps: &str) {
    let caps: gst::Caps = caps.parse().unwrap();
    assert!(pad.push_event(gst::event::Caps::new(&caps)));
}

fn begun(pipeline: &Pipeline) -> u64 {
    let stats = pipeline.element("f").property::<gst::Structure>("stats");
    stats.get("files").unwrap()
}

#[test]
fn caps_that_nothing_follows_begin_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = |number: &str| dir.path().join(format!("a{number}.mkv"));
    let args = format!("-c:v mpeg4 {}", file("").display());
    let (pipeline, pads) = by_hand(&args, &["video"]);
    let [pad] = &pads[..] else { unreachable!() };
    assert!(begin(pad, &raw(32, 32, 25)));
    set_caps(pad, &raw(64, 48, 25));
    let give = |size, numbers| {
        for buffer in pictures(size, numbers) {
            pad.push(buffer).unwrap();
        }
    };
    give((64, 48), 0..5);
    // Back before anything has come in them.
    set_caps(pad, &raw(128, 96, 25));
    set_caps(pad, &raw(64, 48, 25));
    give((64, 48), 5..10);
    set_caps(pad, &raw(128, 96, 25));
    set_caps(pad, &raw(96, 64, 25));
    give((96, 64), 10..13);
    set_caps(pad, &raw(128, 96, 25));
    pad.push_event(gst::event::Eos::new());
    pipeline.ends("all of it");
    for (number, width, count) in [("", "64", 10), ("-00001", "96", 3)] {
        let file = file(number);
        let found = crate::common::ffprobe(&file, &[], "stream=width");
        assert_eq!((frames(&file), &*found[0]), (count, width), "{number}");
    }
    assert!(!file("-00002").exists());
    assert_eq!(begun(&pipeline), 2);
}

#[test]
fn what_brings_nothing_starts_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.mkv");
    let args = format!("-c copy {}", file.display());
    let caps = [raw(64, 48, 25), format!("{PCM},rate=8000,channels=1")];
    for (number, with_caps) in [(1, 1), (1, 0), (2, 2), (2, 1), (2, 0)] {
        let (pipeline, pads) = by_hand(&args, &["video", "audio"][..number]);
        for (n, pad) in pads.iter().enumerate() {
            if n < with_caps {
                assert!(begin(pad, &caps[n]));
            } else {
                pad.push_event(gst::event::StreamStart::new("nothing"));
            }
        }
        for pad in &pads {
            pad.push_event(gst::event::Eos::new());
        }
        assert_eq!(
            pipeline.warned(),
            ["Nothing came: ffmpeg was not started"],
            "{number} {with_caps}"
        );
        assert!(!file.exists() && begun(&pipeline) == 0);
    }
}

#[test]
fn a_stream_that_ends_before_its_caps_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.mkv");
    let args = format!("-c copy {}", file.display());
    for kept in ["video", "audio"] {
        for order in [
            ["end the empty", "give", "end"],
            ["give", "end the empty", "end"],
            ["give", "end", "end the empty"],
        ] {
            let (pipeline, pads) = by_hand(&args, &["video", "audio"]);
            let (pad, empty, caps) = match kept {
                "video" => (&pads[0], &pads[1], raw(64, 48, 25)),
                _ => (&pads[1], &pads[0], format!("{PCM},rate=8000,channels=1")),
            };
            for what in order {
                match what {
                    "give" => {
                        assert!(begin(pad, &caps));
                        for buffer in pictures((64, 48), 0..5) {
                            pad.push(buffer).unwrap();
                        }
                    }
                    "end" => assert!(pad.push_event(gst::event::Eos::new())),
                    _ => {
                        empty.push_event(gst::event::StreamStart::new("nothing"));
                        assert!(empty.push_event(gst::event::Eos::new()));
                    }
                }
            }
            pipeline.ends(&format!("{kept} {order:?}"));
            let found = crate::common::ffprobe(&file, &[], "stream=codec_type");
            assert_eq!(found, [kept], "{order:?}");
            let packets = ["-count_packets"];
            let found = crate::common::ffprobe(&file, &packets, "stream=nb_read_packets");
            assert_eq!(found, ["5"], "{kept} {order:?}");
        }
    }
}

#[test]
fn a_recording_may_be_stopped_or_fail_amid_a_change() {
    let dir = tempfile::tempdir().unwrap();
    // A program that does not end when its input does, and one that ends badly.
    for (script, fails) in [
        ("cat > /dev/null; sleep 1000", false),
        ("cat > /dev/null; exit 3", true),
    ] {
        let program = program(dir.path(), script);
        let pipeline = Pipeline::launch(&format!(
            "appsrc name=s format=time max-bytes=0 caps={} ! ffmpegsink args={} ffmpeg={}",
            raw(64, 48, 25),
            dir.path().join("a.mkv").display(),
            program.display()
        ));
        let source: gst_app::AppSrc = pipeline.element("s").downcast().unwrap();
        pipeline.play();
        give(&source, (64, 48), 0..5);
        source.set_caps(Some(&raw(128, 96, 25).parse::<gst::Caps>().unwrap()));
        give(&source, (128, 96), 5..10);
        if fails {
            let error = pipeline.wait().unwrap_err();
            crate::common::assert_mentions(&error, &["exit code 3"]);
            assert!(pipeline.error().is_none(), "one failure is one error");
        } else {
            // The first of the other size waits for the end of the first file.
            crate::common::until("the first file is taken", || {
                source.property::<u64>("current-level-bytes") == 4 * 128 * 96 * 3 / 2
            });
        }
        pipeline.0.set_state(gst::State::Null).unwrap();
    }
}

#[test]
fn the_sentence_says_why_ffmpeg_failed() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("a.avi")).unwrap();
    let pipeline = Pipeline::launch(&format!(
        "videotestsrc num-buffers=5 ! video/x-raw,width=64,height=48 ! \
         ffmpegsink args=\"-c:v mjpeg {}/a.avi\"",
        dir.path().display()
    ));
    let _ = pipeline.0.set_state(gst::State::Playing);
    let bus = pipeline.0.bus().unwrap();
    let message = bus.timed_pop_filtered(crate::common::HANG, &[gst::MessageType::Error]);
    let message = message.expect("an error");
    let gst::MessageView::Error(error) = message.view() else {
        unreachable!()
    };
    let text = error.error().to_string();
    crate::common::assert_mentions(&text, &["/a.avi", "Is a directory"]);
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn pieces_of_a_raw_file_want_a_parser() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    std::fs::write(&raw, vec![0; 384 * 10]).unwrap();
    let caps = "video/x-raw,format=I420,width=16,height=16,framerate=25/1";
    let run = |between: &str, name: &str| {
        let file = dir.path().join(name);
        let said = Pipeline::launch(&format!(
            "filesrc location={} blocksize=384 ! {between} ! ffmpegsink args=\"-y {}\"",
            raw.display(),
            file.display()
        ))
        .run();
        (said, file)
    };
    let (said, _) = run(caps, "a.mkv");
    let error = said.expect_err("it has no times");
    assert!(error.contains("rawvideoparse"), "{error}");
    let (said, file) = run(
        "rawvideoparse format=i420 width=16 height=16 framerate=25/1",
        "b.mkv",
    );
    said.unwrap();
    assert_eq!(frames(&file), 10);
}
