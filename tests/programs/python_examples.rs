// SPDX-License-Identifier: MIT OR Apache-2.0
//! The programs in examples/python, run as their users would run them, on cameras and microphones
//! that are not there.

use std::io::{BufRead, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use gst::prelude::Cast;

/// A camera and a microphone whose streams end: what is recorded does not depend on the machine's
/// speed, and the seconds that a program is given only have to be enough.
const CAMERA: &str =
    "videotestsrc num-buffers=45 ! video/x-raw,width=320,height=240,framerate=30/1";
const MICROPHONE: &str =
    "audiotestsrc num-buffers=72 samplesperbuffer=1000 ! audio/x-raw,rate=48000,channels=1";
/// Ones that go on, for programs in which something happens meanwhile.
const LIVE_CAMERA: &str =
    "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=30/1";
const LIVE_MICROPHONE: &str =
    "audiotestsrc is-live=true samplesperbuffer=480 ! audio/x-raw,rate=48000,channels=1";

fn program(dir: &Path, name: &str) -> Command {
    let mut command = crate::common::python();
    command
        .arg(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("examples/python")
                .join(name),
        )
        .current_dir(dir)
        .envs(crate::common::plugin_path(dir))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("CAMERA", CAMERA)
        .env("MICROPHONE", MICROPHONE)
        .env("SCREEN", "fakesink")
        .env("SPEAKER", "fakesink")
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY");
    command
}

fn run(dir: &Path, name: &str, args: &[&str]) -> String {
    crate::common::output(program(dir, name).args(args))
}

fn run_live(dir: &Path, name: &str, args: &[&str]) -> String {
    let mut command = program(dir, name);
    command.env("CAMERA", LIVE_CAMERA);
    command.env("MICROPHONE", LIVE_MICROPHONE);
    crate::common::output(command.args(args))
}

fn codecs(file: &Path) -> Vec<String> {
    let mut codecs = crate::common::ffprobe(file, &[], "stream=codec_name");
    codecs.sort();
    codecs
}

/// An AVI of 20 frames with sound.
fn avi(dir: &Path) {
    crate::common::init();
    crate::common::Pipeline::launch(&format!(
        "videotestsrc num-buffers=20 ! video/x-raw,width=320,height=240,framerate=20/1 ! \
         jpegenc ! m. audiotestsrc num-buffers=10 samplesperbuffer=4410 ! \
         audio/x-raw,format=S16LE,rate=44100,channels=1 ! m. \
         avimjpegmux name=m ! filesink location={}",
        dir.join("film.avi").display()
    ))
    .run()
    .unwrap();
}

#[test]
fn maixpy_1_plays_with_its_statuses() {
    let dir = tempfile::tempdir().unwrap();
    avi(dir.path());
    let output = run(dir.path(), "maixpy_play.py", &["film.avi", "50"]);
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(
        lines.iter().filter(|line| **line == "3").count(),
        20,
        "{output}"
    );
    assert!(lines.contains(&"4"), "{output}");
    assert_eq!(lines[lines.len() - 2..], ["0", "play end"]);
}

#[test]
fn maixpy_2_records_and_plays() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(
        dir.path(),
        "maixpy_record.py",
        &["capture.avi", "5", "200000"],
    );
    let lengths: Vec<u64> = output
        .lines()
        .filter_map(|line| line.strip_prefix("record ")?.parse().ok())
        .collect();
    assert_eq!(lengths.len(), 5, "{output}");
    assert!(lengths.iter().all(|&length| length > 100));
    assert!(
        output.contains("record_finish\n") && output.ends_with("play finish\n"),
        "{output}"
    );
    let file = dir.path().join("capture.avi");
    assert_eq!(crate::common::frames(&file), 5);
    assert_eq!(
        crate::common::ffprobe(&file, &[], "stream=r_frame_rate"),
        ["5/1"]
    );
}

#[test]
fn maixpy_3_steps_through_a_file() {
    let dir = tempfile::tempdir().unwrap();
    avi(dir.path());
    let output = run(dir.path(), "maixpy_capture.py", &["film.avi"]);
    assert_eq!(output.lines().count(), 21);
    assert!(
        output.starts_with("3 320x240 0 ms\n3 320x240 50 ms\n"),
        "{output}"
    );
    assert!(output.ends_with("end\n"));
}

#[test]
fn picamera2_basic_high_quality_audio_and_easy() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    run(dir.path(), "picamera2_basic.py", &["a.h264", "60"]);
    assert_eq!(codecs(&file("a.h264")), ["h264"]);
    run(dir.path(), "picamera2_high_quality.py", &["b.h264", "60"]);
    assert_eq!(
        crate::common::ffprobe(&file("b.h264"), &[], "stream=profile,width,height"),
        ["High", "1920", "1080"]
    );
    run(dir.path(), "picamera2_audio.py", &["c.mp4", "60"]);
    assert_eq!(codecs(&file("c.mp4")), ["aac", "h264"]);
    let output = run(
        dir.path(),
        "picamera2_easy.py",
        &["d.mp4", "1", "high", "true"],
    );
    assert_eq!(output, "Recording complete\n");
    assert_eq!(codecs(&file("d.mp4")), ["h264"]);
}

#[test]
fn picamera2_quality_makes_five_files() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), "picamera2_quality.py", &["q", "60"]);
    for n in 0..5 {
        assert_eq!(codecs(&dir.path().join(format!("q{n}.h264"))), ["h264"]);
    }
}

#[test]
fn picamera2_split_loses_no_frame() {
    let dir = tempfile::tempdir().unwrap();
    let output = run_live(dir.path(), "picamera2_split.py", &["a.mp4", "b.mp4", "3"]);
    let files: Vec<(&str, usize)> = output
        .lines()
        .map(|line| {
            let (name, count) = line.split_once(' ').unwrap();
            (name, count.parse().unwrap())
        })
        .collect();
    assert_eq!(
        files.iter().map(|file| file.0).collect::<Vec<_>>(),
        ["a.mp4", "b.mp4"]
    );
    for (name, count) in files {
        assert_eq!(crate::common::frames(&dir.path().join(name)), count);
    }
}

/// From one frame to the next in milliseconds; the camera gives one every 33.3 ms.
fn assert_no_frame_is_missing(file: &str, times: &[f64]) {
    assert!(times.len() > 10, "{file}: {times:?}");
    for pair in times.windows(2) {
        let step = pair[1] - pair[0];
        assert!((32.0..=35.0).contains(&step), "{file}: {pair:?}");
    }
}

#[test]
fn picamera2_several_encoders_do_not_disturb_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let output = run_live(
        dir.path(),
        "picamera2_multiple.py",
        &["a.h264", "b.mjpeg", "c.mkv", "8"],
    );
    assert_eq!(
        output,
        "c.mkv is complete\nb.mjpeg is complete\na.h264 is complete\n"
    );
    for (name, codec) in [("a.h264", "h264"), ("b.mjpeg", "mjpeg"), ("c.mkv", "h264")] {
        let file = dir.path().join(name);
        assert_eq!(codecs(&file), [codec]);
        assert!(crate::common::frames(&file) > 10, "{name}");
    }
    // The one that went on while the three others came and went, and the one that saw two of them.
    let times = std::fs::read_to_string(dir.path().join("a.h264.txt")).unwrap();
    let times: Vec<f64> = times.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(
        times.len(),
        crate::common::frames(&dir.path().join("a.h264"))
    );
    assert_no_frame_is_missing("a.h264", &times);
    let times = crate::common::ffprobe(&dir.path().join("c.mkv"), &[], "packet=pts_time");
    let times: Vec<f64> = times
        .iter()
        .map(|time| time.parse::<f64>().unwrap() * 1000.0)
        .collect();
    assert_no_frame_is_missing("c.mkv", &times);
}

#[test]
fn picamera2_circular_saves_what_was_before() {
    let dir = tempfile::tempdir().unwrap();
    run_live(dir.path(), "picamera2_circular.py", &["a.mp4", "5", "3"]);
    assert!(crate::common::frames(&dir.path().join("a.mp4")) > 0);
}

#[test]
fn picamera2_ffmpeg_streams() {
    let dir = tempfile::tempdir().unwrap();
    // A file stands for the server.
    run(
        dir.path(),
        "picamera2_ffmpeg.py",
        &["60", "-c:v", "copy", "-f", "flv", "live stream.flv"],
    );
    assert_eq!(codecs(&dir.path().join("live stream.flv")), ["h264"]);
}

#[test]
fn opencvs_frames_on_standard_input() {
    let dir = tempfile::tempdir().unwrap();
    let mut pipe = program(dir.path(), "opencv_pipe.py")
        .arg("output.avi")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = pipe.stdin.take().unwrap();
    for n in 0..30_u8 {
        stdin.write_all(&vec![n * 8; 640 * 480 * 3]).unwrap();
    }
    drop(stdin);
    assert!(pipe.wait().unwrap().success());
    let file = dir.path().join("output.avi");
    assert_eq!(crate::common::frames(&file), 30);
    assert_eq!(
        crate::common::ffprobe(&file, &[], "stream=r_frame_rate,width"),
        ["640", "30/1"]
    );

    let again = program(dir.path(), "opencv_pipe.py")
        .arg("output.avi")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(!again.status.success());
    assert!(String::from_utf8_lossy(&again.stderr).contains("exists"));
    assert_eq!(crate::common::frames(&file), 30);
}

#[test]
fn opencvs_writer() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), "opencv_writer.py", &["output.avi", "20"]);
    let file = dir.path().join("output.avi");
    assert_eq!(codecs(&file), ["mjpeg"]);
    assert_eq!(crate::common::frames(&file), 20);
}

#[test]
fn an_applications_encodebin_takes_our_muxer() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), "encodebin.py", &["capture.avi", "60"]);
    let file = dir.path().join("capture.avi");
    // encodebin has a videorate, which from GStreamer 1.28 on has the last picture twice.
    let given = crate::common::Pipeline::launch(&format!(
        "{CAMERA} ! videorate ! appsink name=s sync=false"
    ));
    given.play();
    let sink: gst_app::AppSink = given.element("s").downcast().unwrap();
    let given = crate::common::samples(&sink).count();
    assert!((45..=46).contains(&given), "{given} pictures");
    assert_eq!(crate::common::frames(&file), given);
    // avimux calls them 00db.
    let bytes = std::fs::read(&file).unwrap();
    assert!(bytes.windows(4).any(|id| id == b"00dc"));
}

#[test]
fn opencvs_writer_knows_that_it_cannot_be_opened() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("folder.avi")).unwrap();
    for (file, why) in [
        ("none/output.avi", "'none/output.avi' can't be created"),
        ("folder.avi", "'folder.avi' can't be created"),
        ("output.xyz", "no format is known for 'output.xyz'"),
    ] {
        let output = program(dir.path(), "opencv_writer.py")
            .args([file, "5"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{file}: {said}");
        let own = format!("{file} cannot be recorded");
        crate::common::assert_mentions(&said, &[&own, why]);
    }
}

#[test]
fn canmvs_encoder() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(dir.path(), "canmv_encoder.py", &[".", "10"]);
    assert_eq!(
        output
            .lines()
            .filter(|line| line.starts_with("stream size:"))
            .count(),
        10
    );
    let file = dir.path().join("venc_chn_00.265");
    assert_eq!(codecs(&file), ["hevc"]);
    assert_eq!(crate::common::frames(&file), 10);
}

#[test]
fn canmvs_own_frames() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(dir.path(), "canmv_send_frame.py", &["6"]);
    let times: Vec<&str> = output
        .lines()
        .filter_map(|line| line.strip_prefix("pts: ")?.split(' ').next())
        .collect();
    assert_eq!(times, ["0", "33333", "66666", "100000", "133333", "166666"]);
}

#[test]
fn maixcams_three() {
    let dir = tempfile::tempdir().unwrap();
    let output = run_live(dir.path(), "maixcam_record.py", &["test.wav", "300"]);
    assert_eq!(output, "channel: 1\nsample rate: 48000\n");
    assert_eq!(
        dir.path().join("test.wav").metadata().unwrap().len(),
        44 + 300 * 96
    );

    let output = run_live(dir.path(), "maixcam_nonblocking.py", &["n.wav", "1"]);
    let bytes: u64 = output
        .strip_prefix("finish! ")
        .and_then(|rest| rest.strip_suffix(" bytes\n"))
        .unwrap()
        .parse()
        .unwrap();
    assert!(bytes > 0);
    assert_eq!(
        dir.path().join("n.wav").metadata().unwrap().len(),
        44 + bytes
    );

    let output = run_live(dir.path(), "maixcam_stream.py", &["1"]);
    assert_eq!(output.lines().count(), 20);
    assert!(output.lines().all(|line| line.starts_with("record ")));
}

#[test]
fn a_timelapse_has_a_picture_for_each_interval() {
    let dir = tempfile::tempdir().unwrap();
    // A second and a half, a picture for each tenth.
    run(dir.path(), "timelapse.py", &["t.mp4", "0.1"]);
    let file = dir.path().join("t.mp4");
    assert!((15..=16).contains(&crate::common::frames(&file)));
    let rate = crate::common::ffprobe(&file, &[], "stream=r_frame_rate");
    assert_eq!(rate, ["25/1"]);
}

/// A program that runs until the test is done with it.
struct Running {
    child: std::process::Child,
    said: std::io::Lines<std::io::BufReader<std::process::ChildStdout>>,
}

impl Running {
    fn start(dir: &Path, name: &str, args: &[&str], camera: &str) -> Self {
        let mut child = program(dir, name)
            .env("CAMERA", camera)
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, said }
    }

    /// The next line that it says.
    fn line(&mut self) -> String {
        self.said.next().expect("it says something").unwrap()
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_browser_sees_what_is_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = ["p.avi", "600", "0"];
    let mut preview = Running::start(dir.path(), "browser_preview.py", &arguments, LIVE_CAMERA);
    let uri = preview.line();
    let address = uri.strip_prefix("http://").unwrap().trim_end_matches('/');
    let get = |path: &str| {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let timeout = std::time::Duration::from_nanos(crate::common::HANG.nseconds());
        stream.set_read_timeout(Some(timeout)).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        std::io::BufReader::new(stream)
    };
    let mut page = String::new();
    get("/").read_to_string(&mut page).unwrap();
    assert!(page.contains("<img src=stream>"), "{page}");
    let mut pictures = 0;
    let mut stream = get("/stream");
    while pictures < 3 {
        let mut line = Vec::new();
        assert!(stream.read_until(b'\n', &mut line).unwrap() > 0, "it ends");
        pictures += usize::from(line == b"Content-Type: image/jpeg\r\n");
    }
    drop(stream);
    preview.signal(rustix::process::Signal::INT);
    assert!(preview.child.wait().unwrap().success());
    assert!(crate::common::frames(&dir.path().join("p.avi")) >= 3);
}

#[test]
fn a_security_camera_saves_two_events_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let moving = LIVE_CAMERA.replace("is-live", "pattern=ball is-live");
    let arguments = [".", "600"];
    let mut camera = Running::start(dir.path(), "security_camera.py", &arguments, &moving);
    let motion = camera.line();
    let motion = motion.strip_suffix(" begins").expect("the ball moves");
    assert!(motion.starts_with("motion-2"), "{motion}");
    camera.signal(rustix::process::Signal::USR1);
    let button = camera.line();
    let button = button
        .strip_suffix(" begins")
        .expect("the button is pressed");
    assert!(button.starts_with("button-2"), "{button}");
    // The ball goes on moving, so that the button's ends first.
    let frames = |line: String, file: &str| {
        let rest = line.strip_prefix(file).and_then(|it| it.strip_prefix(": "));
        let frames = rest.and_then(|it| it.strip_suffix(" frames"));
        frames
            .unwrap_or_else(|| panic!("{line}"))
            .parse::<usize>()
            .unwrap()
    };
    let of_button = frames(camera.line(), button);
    assert_eq!(crate::common::frames(&dir.path().join(button)), of_button);
    camera.signal(rustix::process::Signal::INT);
    let of_motion = frames(camera.line(), motion);
    assert!(of_motion >= of_button, "{of_motion} and {of_button}");
    assert_eq!(crate::common::frames(&dir.path().join(motion)), of_motion);
    assert!(camera.child.wait().unwrap().success());
}

#[test]
fn an_rtsp_server_is_watched() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Running::start(dir.path(), "rtsp_server.py", &["0"], LIVE_CAMERA);
    let uri = server.line();
    let decoded = crate::common::output(
        Command::new("ffmpeg")
            .args(["-v", "error", "-rtsp_transport", "tcp", "-i", &uri])
            .args(["-frames:v", "3", "-f", "framecrc", "-"]),
    );
    let pictures = decoded.lines().filter(|line| line.starts_with("0,"));
    assert_eq!(pictures.count(), 3, "{decoded}");
    server.signal(rustix::process::Signal::INT);
    assert!(server.child.wait().unwrap().success());
}
