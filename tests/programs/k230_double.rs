// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs of others on the double of the K230's V4L2 device, as they are: v4l2-ctl, GStreamer's own
//! V4L2 plugin and ffmpeg meet there what they meet on the board.

use std::process::{Command, Output};

use crate::common::{K230_NODE as NODE, v4l2_double};

fn run(command: &mut Command) -> (Output, String) {
    let output = command
        .env("LD_PRELOAD", v4l2_double())
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let text = [&output.stdout[..], &output.stderr[..]]
        .map(String::from_utf8_lossy)
        .concat();
    (output, text)
}

/// What v4l2-ctl prints.
fn v4l2_ctl(arguments: &[&str]) -> String {
    let mut command = Command::new("v4l2-ctl");
    run(command.args(["-d", NODE]).args(arguments)).1
}

#[test]
fn v4l2_ctl_lists_the_device_its_formats_and_its_controls() {
    let said = v4l2_ctl(&["--all"]);
    crate::common::assert_mentions(
        &said,
        &[
            "Driver name      : mvx",
            "Linlon Video device",
            "Video Memory-to-Memory",
            "video_gop_size",
            "h265_profile",
        ],
    );
    // Both queues list raw and encoded formats: why GStreamer's own elements do not see an encoder.
    for list in ["--list-formats", "--list-formats-out"] {
        let said = v4l2_ctl(&[list]);
        let fourccs = [
            "'NV12'", "'NV21'", "'YM12'", "'YUYV'", "'UYVY'", "'RGB3'", "'BGR3'", "'H264'",
            "'HEVC'", "'JPEG'",
        ];
        crate::common::assert_mentions(&said, &fourccs);
    }
    let said = v4l2_ctl(&["--list-framesizes=NV12"]);
    assert!(said.contains("2x2 - 32768x32768 with step 2/2"), "{said}");
    let said = v4l2_ctl(&["--list-ctrls-menus"]);
    let line = |name: &str| {
        let line = said
            .lines()
            .find(|line| line.trim_start().starts_with(name));
        line.unwrap_or_else(|| panic!("no {name}: {said}"))
            .to_owned()
    };
    for (name, range) in [
        (
            "video_bitrate",
            "min=1000 max=1000000000 step=1 default=2500000",
        ),
        ("video_gop_size", "default=29"),
        ("compression_quality", "min=0 max=100"),
        ("min_number_of_output_buffers", "flags=read-only, volatile"),
    ] {
        let line = line(&format!("{name} "));
        assert!(line.contains(range), "{line}");
    }
    crate::common::assert_mentions(&said, &["CABAC", "Main10"]);
    // What is set is read back, and what is out of range is not.
    let set = |value: &str| {
        let setting = format!("video_gop_size={value}");
        v4l2_ctl(&["--set-ctrl", &setting, "--get-ctrl", "video_gop_size"])
    };
    assert!(set("12").contains("video_gop_size: 12"), "{}", set("12"));
    assert!(!set("10001").contains("video_gop_size: 10001"));
}

/// `gst_v4l2_is_video_enc` wants raw formats alone on one side and encoded ones alone on the other.
#[test]
fn gstreamers_own_plugin_has_no_encoder_for_it() {
    let directory = tempfile::tempdir().expect("a directory");
    // By a name that the plugin looks for, where nothing else has it.
    let (output, said) = run(Command::new("gst-inspect-1.0")
        .arg("video4linux2")
        .env("K230_V4L2_SIM", "/dev/video63")
        .env("GST_REGISTRY", directory.path().join("registry")));
    assert!(output.status.success(), "{said}");
    assert!(said.contains("v4l2src"), "{said}");
    for element in ["v4l2h264enc", "v4l2h265enc", "v4l2jpegenc"] {
        assert!(!said.contains(element), "{said}");
    }
}

/// ffmpeg finds the device in /dev by itself and drives it to the end of the stream. What is wrong with
/// its streams is what would be wrong with them on the board: it fills one plane of NV12 where the driver
/// has two, so that colours are not the picture's, and takes the time of the parameter sets for a
/// frame's.
#[test]
fn stock_ffmpeg_drives_the_device_to_the_end() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("out.h264");
    let file = file.to_str().expect("a name");
    let (output, said) = run(Command::new("timeout").args([
        "60",
        "ffmpeg",
        "-hide_banner",
        "-nostdin",
        "-f",
        "lavfi",
        "-i",
        "testsrc=size=320x240:rate=30:duration=1",
        "-pix_fmt",
        "nv12",
        "-c:v",
        "h264_v4l2m2m",
        file,
    ]));
    assert!(output.status.success(), "{said}");
    let luma = |graph: &str| {
        let arguments = ["-hide_banner", "-nostdin", "-i", file, "-f", "lavfi", "-i"];
        let output = Command::new("ffmpeg")
            .args(arguments)
            .args(["testsrc=size=320x240:rate=30:duration=1", "-lavfi", graph])
            .args(["-f", "null", "-"])
            .output()
            .expect("ffmpeg starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let (_, psnr) = said.split_once(" y:").unwrap_or_else(|| panic!("{said}"));
        let (psnr, _) = psnr.split_once(' ').expect("a number");
        psnr.parse::<f64>().expect("a number")
    };
    // Numbered anew, as one of the times is nobody's.
    let psnr = luma("[0]setpts=N/30/TB[a];[1]setpts=N/30/TB[b];[a][b]psnr");
    assert!(psnr > 30.0, "{psnr} dB: {said}");
    assert_eq!(crate::common::frames(file.as_ref()), 30);
}
