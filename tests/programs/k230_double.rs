// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs of others on the double of the K230's V4L2 device, as they are: v4l2-ctl, GStreamer's own
//! V4L2 plugin and ffmpeg meet there what they meet on the board.

use std::collections::BTreeSet;
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
    // Both queues list raw and encoded formats: why GStreamer's own elements do not see an encoder. What is read
    // is not all of what is written.
    for (list, own, others) in [
        ("--list-formats", ["'RGB3'", "'BGR3'"], ["'BA24'", "'AR24'"]),
        (
            "--list-formats-out",
            ["'BA24'", "'AR24'"],
            ["'RGB3'", "'BGR3'"],
        ),
    ] {
        let said = v4l2_ctl(&[list]);
        let fourccs = [
            "'NV12'", "'NV21'", "'P010'", "'YM12'", "'YU12'", "'YUYV'", "'UYVY'", "'H264'",
            "'HEVC'", "'JPEG'",
        ];
        crate::common::assert_mentions(&said, &fourccs);
        crate::common::assert_mentions(&said, &own);
        for other in others {
            assert!(!said.contains(other), "{list}: {other}");
        }
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
    // The headings of the classes.
    crate::common::assert_mentions(
        &said,
        &["User Controls", "Codec Controls", "JPEG Compression"],
    );
    // What is set is read back, and what is out of range is the nearest.
    let set = |value: &str| {
        let setting = format!("video_gop_size={value}");
        v4l2_ctl(&["--set-ctrl", &setting, "--get-ctrl", "video_gop_size"])
    };
    assert!(set("12").contains("video_gop_size: 12"), "{}", set("12"));
    assert!(set("10001").contains("video_gop_size: 10000"));
}

/// libv4l2, which programs of cameras are built with, enters the kernel by the C library's `syscall`.
#[test]
fn programs_reach_the_device_by_libv4l2() {
    let said = v4l2_ctl(&["--wrapper", "--all"]);
    let plain = v4l2_ctl(&["--all"]);
    assert!(plain.contains("Driver name      : mvx"), "{plain}");
    // It says so in its heading.
    assert!(said.replace(" (using libv4l2)", "") == plain, "{said}");
    let (output, said) = run(Command::new("timeout").args(["60", "python3", "-c", BY_LIBV4L2]));
    assert!(
        output.status.success() && said.contains("all is well"),
        "{said}"
    );
}

const BY_LIBV4L2: &str = r#"
import ctypes, errno, os, struct
libc = ctypes.CDLL(None, use_errno=True)
lib = ctypes.CDLL("libv4l2.so.0", use_errno=True)
lib.v4l2_mmap.restype = ctypes.c_void_p
lib.v4l2_mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + 3 * [ctypes.c_int] + [ctypes.c_int64]
lib.v4l2_munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]

def ask(call, fd, number, request):
    room = ctypes.create_string_buffer(request, 256)
    answer = call(fd, ctypes.c_ulong(number), room)
    return room.raw if answer == 0 else errno.errorcode[ctypes.get_errno()]

def driver(fd):
    return ask(libc.ioctl, fd, 0x80685600, b"")[:3]

node = lib.v4l2_open(b"/dev/video-k230", os.O_RDWR | os.O_NONBLOCK)
assert node >= 0 and driver(node) == b"mvx", node
assert ask(lib.v4l2_ioctl, node, 0x80685600, b"")[:3] == b"mvx"
assert ask(lib.v4l2_ioctl, node, 0xc0cc5615, b"") == "ENOTTY", "there is no G_PARM"
# A picture's buffer (V4L2_BUF_TYPE_VIDEO_OUTPUT, V4L2_MEMORY_MMAP), and one that is not there.
REQBUFS = 0xc0145608
assert ask(lib.v4l2_ioctl, node, REQBUFS, struct.pack("=3I", 1, 2, 1))[:4] == struct.pack("=I", 1)
READ_WRITE, SHARED, FAILED = 3, 1, ctypes.c_void_p(-1).value
at = lib.v4l2_mmap(None, 4096, READ_WRITE, SHARED, node, 0)
assert at not in (None, FAILED)
ctypes.memset(at, 1, 4096)
assert lib.v4l2_mmap(None, 4096, READ_WRITE, SHARED, node, 1 << 20) == FAILED
assert ctypes.get_errno() == errno.EINVAL
assert lib.v4l2_munmap(at, 4096) == 0
assert lib.v4l2_close(node) == 0
again = os.open("/dev/null", os.O_RDWR)
assert again == node and driver(again) != b"mvx"
print("all is well")
"#;

/// What of v4l2-compliance the driver fails, and why.
const DRIVERS_FAULTS: [(&str, &str); 14] = [
    (
        "VIDIOC_QUERYCAP",
        "mvx_v4l2_vidioc_querycap says that it has both single- and multi-planar queues",
    ),
    (
        "VIDIOC_ENUM_FMT/FRAMESIZES/FRAMEINTERVALS",
        "v4l-utils before 1.24 has other names for NV12 and NV21 than Linux 6.6",
    ),
    (
        "VIDIOC_G_FMT",
        "formats are not looked at beyond the first whose name is another",
    ),
    (
        "VIDIOC_TRY_FMT",
        "try_format has no least size: a picture of 0x0 has 0 bytes",
    ),
    ("VIDIOC_S_FMT", "the same"),
    (
        "Cropping",
        "mvx_v4l2_vidioc_g_selection looks neither at type nor at target",
    ),
    ("Composing", "the same"),
    (
        "VIDIOC_(TRY_)ENCODER_CMD",
        "mvx_v4l2_vidioc_try_encoder_cmd leaves the flags as they are",
    ),
    (
        "VIDIOC_(TRY_)DECODER_CMD",
        "mvx_v4l2_vidioc_try_decoder_cmd leaves the flags as they are",
    ),
    (
        "VIDIOC_REQBUFS/CREATE_BUFS/QUERYBUF",
        "mvx_v4l2_vidioc_reqbufs does not ask videobuf2 for no buffers, which would say what the queue takes",
    ),
    // Since v4l-utils 1.24:
    (
        "VIDIOC_(UN)SUBSCRIBE_EVENT/DQEVENT",
        "mvx_v4l2_ctrls_init has MIN_BUFFERS_FOR_CAPTURE, which only a decoder should",
    ),
    (
        "Requests",
        "mvx_v4l2_vidioc_reqbufs leaves the capabilities of no buffers as they came, which v4l-utils leaves to chance",
    ),
    (
        "blocking wait",
        "setup_vb2_queue makes the queue one of the type that S_FMT was last made with",
    ),
    (
        "VIDIOC_EXPBUF",
        "where that chance ends the test of REQBUFS early, the queue is still of the type that was tried then",
    ),
];

#[test]
fn v4l2_compliance_fails_where_the_driver_would() {
    let mut command = Command::new("timeout");
    let (_, said) = run(command.args(["120", "v4l2-compliance", "-d", NODE]));
    assert!(said.contains("Total for mvx device"), "to its end: {said}");
    let failed: BTreeSet<&str> = said
        .lines()
        .filter_map(|line| line.trim().strip_prefix("test ")?.strip_suffix(": FAIL"))
        .collect();
    let is_old = said.contains("v4l2-compliance 1.22.");
    let faults = match is_old {
        true => &DRIVERS_FAULTS[..10],
        false => &DRIVERS_FAULTS[..],
    };
    let known: BTreeSet<&str> = faults.iter().map(|(test, _)| *test).collect();
    let unknown: Vec<_> = failed.difference(&known).collect();
    assert!(unknown.is_empty(), "{unknown:?} fail: {said}");
    if is_old {
        let kept: Vec<_> = known.difference(&failed).collect();
        assert!(kept.is_empty(), "the driver fails {kept:?} too: {said}");
    }
}

/// `gst_v4l2_is_video_enc` wants raw formats alone on one side and encoded ones alone on the other. That the
/// double lists both on either is tested above; where the plugin asks udev for devices, as Debian's does, it does
/// not get so far as to ask the double.
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

/// Programs look at a device before they open it: by `stat`, by `statx`, by what a program that was linked before glibc
/// 2.33 has in its place, from within `/dev`, and by its name there.
#[test]
fn programs_see_a_character_device_that_may_be_read_and_written() {
    let script = r#"
        set -e
        stat --format '%F %t:%T' /dev/video-k230
        ls -l /dev/video-k230
        find /dev/video-k230 -type c
        test -c /dev/video-k230 -a -r /dev/video-k230 -a -w /dev/video-k230
        ! test -x /dev/video-k230
        realpath -e /dev/video-k230
        cd /dev
        ls -l video-k230
        v4l2-ctl -d video-k230 --info | grep mvx
        cd /
        ! ls video-k230
        ! stat /dev/video-k231
    "#;
    for shell in ["bash", "dash"] {
        let (output, said) = run(Command::new(shell).args(["-c", script]));
        assert!(output.status.success(), "{shell}: {said}");
        assert!(
            said.starts_with("character special file 51:3ff\ncrw-rw----"),
            "{said}"
        );
        assert!(!said.contains("ls: /dev/video-k230"), "{said}");
    }
    let (output, said) = run(Command::new("timeout").args(["60", "python3", "-c", PATHS]));
    assert!(
        output.status.success() && said.contains("all is well"),
        "{said}"
    );
}

const PATHS: &str = r#"
import ctypes, os, stat
libc = ctypes.CDLL(None, use_errno=True)
node = b"/dev/video-k230"
DEVICE = os.makedev(81, 1023)

room = ctypes.create_string_buffer(256)
def device_of(call, *arguments):
    """The device that a structure of stat's says it is."""
    room.raw = bytes(256)
    if call(*arguments) != 0:
        return None
    mode = int.from_bytes(room.raw[24:28], "little")
    assert stat.S_ISCHR(mode), oct(mode)
    return int.from_bytes(room.raw[40:48], "little")

opened = os.open(node, os.O_RDWR)
directory = os.open("/dev", os.O_RDONLY)
HERE, EMPTY = -100, 0x1000
for name in ["stat", "stat64", "lstat", "lstat64"]:
    assert device_of(libc[name], node, room) == DEVICE, name
    old = libc["__" + name.replace("stat", "xstat")]
    assert device_of(old, 1, node, room) == DEVICE, name
    assert device_of(old, 1, b"/dev/null", room) == os.stat("/dev/null").st_rdev, name
for name in ["fstat", "fstat64"]:
    assert device_of(libc[name], opened, room) == DEVICE, name
    assert device_of(libc["__" + name.replace("stat", "xstat")], 1, opened, room) == DEVICE, name
for name in ["fstatat", "fstatat64"]:
    for place in [(HERE, node, room, 0), (directory, b"video-k230", room, 0), (opened, b"", room, EMPTY)]:
        assert device_of(libc[name], *place) == DEVICE, (name, place)
        assert device_of(libc["__fxstatat" + name[7:]], 1, *place) == DEVICE, (name, place)
    assert device_of(libc[name], opened, b"", room, 0) is None, "it is no path"
for place in [(HERE, node, 0), (directory, b"video-k230", 0), (opened, b"", EMPTY)]:
    room.raw = bytes(256)
    assert libc.statx(*place, 0x7ff, room) == 0, place
    assert stat.S_ISCHR(int.from_bytes(room.raw[28:30], "little")), place
    assert [int.from_bytes(room.raw[at:at + 4], "little") for at in (128, 132)] == [81, 1023], place
assert os.access("video-k230", os.W_OK, dir_fd=directory)
assert not os.access("video-k230", os.X_OK, dir_fd=directory)
assert not os.path.exists("video-k230"), "this is not /dev"
for name in ["euidaccess", "eaccess"]:
    assert libc[name](node, os.R_OK | os.W_OK) == 0 and libc[name](node, os.X_OK) == -1, name
assert libc.__realpath_chk(node, room, 256) != 0 and room.value == node
print("all is well")
"#;

/// What the library stands in front of, with what programs hand to it: times that are none, sets with more
/// descriptors than the header has room for, copies of descriptors of every kind.
#[test]
fn calls_of_the_c_library_bear_what_programs_hand_to_them() {
    let (output, said) = run(Command::new("timeout").args(["60", "python3", "-c", CALLS]));
    assert!(
        output.status.success() && said.contains("all is well"),
        "{said}"
    );
}

const CALLS: &str = r#"
import ctypes, errno, fcntl, os
libc = ctypes.CDLL(None, use_errno=True)

class Time(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("parts", ctypes.c_long)]

class Entry(ctypes.Structure):
    _fields_ = [("fd", ctypes.c_int), ("events", ctypes.c_short), ("revents", ctypes.c_short)]

def answer(call, *arguments):
    ctypes.set_errno(0)
    result = call(*arguments)
    return result if result >= 0 else errno.errorcode[ctypes.get_errno()]

node = os.open("/dev/video-k230", os.O_RDWR | os.O_NONBLOCK)
IN, ERR = 1, 8
bad = [(-1, 0), (0, -1), (-2**63, 0)]
for name, extra in [("ppoll", []), ("__ppoll_chk", [ctypes.c_size_t(99)])]:
    for seconds, parts in bad + [(0, 10**9), (1, 2**63 - 1)]:
        entry = Entry(node, IN, 0)
        got = answer(libc[name], ctypes.byref(entry), 1, ctypes.byref(Time(seconds, parts)), None, *extra)
        assert got == "EINVAL", (name, seconds, parts, got)
    for count in (1, 2):
        entries = (Entry * 2)(Entry(node, IN, 0), Entry(-1, IN, 0))
        got = answer(libc[name], entries, count, ctypes.byref(Time(2**63 - 1, 0)), None, *extra)
        assert (got, entries[0].revents) == (1, ERR), (name, got)
entry = Entry(node, IN, 0)
assert answer(libc["__poll_chk"], ctypes.byref(entry), 1, -1, ctypes.c_size_t(8)) == 1

for count in (node + 1, 1024, 4096):
    chosen = (ctypes.c_ulong * 64)()
    chosen[node // 64] = 1 << node % 64
    for seconds, parts in bad:
        got = answer(libc.select, count, chosen, None, None, ctypes.byref(Time(seconds, parts)))
        assert got == "EINVAL", (seconds, parts, got)
    for seconds, parts in [(2**63 - 1, 0), (0, 5_000_000)]:
        got = answer(libc.select, count, chosen, None, None, ctypes.byref(Time(seconds, parts)))
        assert got == 1 and chosen[node // 64], (count, got)
    for seconds, parts in bad + [(0, 10**9)]:
        got = answer(libc.pselect, count, chosen, None, None, ctypes.byref(Time(seconds, parts)), None)
        assert got == "EINVAL", (seconds, parts, got)
    got = answer(libc.pselect, count, None, None, chosen, ctypes.byref(Time(0, 1000)), None)
    assert got == 0 and not chosen[node // 64], (count, got)

# By epoll, which takes the node beside a pipe.
import select
watched = select.epoll()
ends = os.pipe()
watched.register(ends[0], select.EPOLLIN)
watched.register(node, select.EPOLLIN)
def refused(call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
assert refused(watched.register, node, select.EPOLLIN) == "EEXIST"
assert watched.poll(5) == [(node, select.EPOLLERR)]
assert watched.poll(5, 1) == [(node, select.EPOLLERR)], "again, as it still is"
os.write(ends[1], b"x")
assert sorted(watched.poll(5)) == sorted([(node, select.EPOLLERR), (ends[0], select.EPOLLIN)])
os.read(ends[0], 1)
watched.modify(node, select.EPOLLIN | select.EPOLLONESHOT)
assert watched.poll(5) == [(node, select.EPOLLERR)]
assert watched.poll(0.01) == [], "it was told once"
watched.modify(node, select.EPOLLPRI)
assert watched.poll(0.01) == []
watched.unregister(node)
assert refused(watched.unregister, node) == "ENOENT"
assert refused(watched.modify, node, 1) == "ENOENT"
assert answer(libc.epoll_ctl, ends[0], 1, node, ctypes.create_string_buffer(12)) == "EINVAL"
assert answer(libc.epoll_ctl, 999, 1, node, ctypes.create_string_buffer(12)) == "EBADF"
assert answer(libc.epoll_ctl, watched.fileno(), 1, node, None) == "EFAULT"
watched.register(node, select.EPOLLIN)
other = os.open("/dev/video-k230", os.O_RDWR | os.O_NONBLOCK)
watched.register(other, select.EPOLLIN)
os.close(other)
assert watched.poll(5) == [(node, select.EPOLLERR)], "one that is closed is watched no more"
events = ctypes.create_string_buffer(12 * 4)
room = [watched.fileno(), events, 4]
assert answer(libc.epoll_pwait, *room, -1, None) == 1
assert answer(libc.epoll_pwait2, *room, ctypes.byref(Time(5, 0)), None) == 1
assert answer(libc.epoll_pwait2, *room, ctypes.byref(Time(0, -1)), None) == "EINVAL"
assert answer(libc.epoll_wait, watched.fileno(), events, 0, 1) == "EINVAL"
watched.close()

def driver(fd):
    room = ctypes.create_string_buffer(104)
    if libc.ioctl(fd, ctypes.c_ulong(0x80685600), room) != 0:
        return None
    return room.raw[:3]

path = b"/dev/video-k230"
assert answer(libc.access, path, os.R_OK | os.W_OK) == 0
assert answer(libc.access, path, os.X_OK) == "EACCES"
for name in ["__openat_2", "__openat64_2"]:
    opened = answer(libc[name], -100, path, os.O_RDWR)
    assert driver(opened) == b"mvx", (name, opened)

copies = [
    os.dup(node), os.dup2(node, 200), fcntl.fcntl(node, fcntl.F_DUPFD, 210),
    fcntl.fcntl(node, fcntl.F_DUPFD_CLOEXEC, 220), libc.dup(node), libc.dup3(node, 230, os.O_CLOEXEC),
]
assert all(driver(copy) == b"mvx" for copy in copies), [driver(copy) for copy in copies]
os.close(node)
assert driver(node) is None and driver(200) == b"mvx"
nothing = os.open("/dev/null", os.O_RDWR)
os.dup2(nothing, 200)
assert driver(200) is None and driver(230) == b"mvx"

# Closed in one step with others, and the number is another file's.
others = os.open("/dev/video-k230", os.O_RDWR)
assert driver(others) == b"mvx"
os.closerange(others, others + 1)
again = os.open("/dev/null", os.O_RDWR)
assert again == others and driver(again) is None
assert driver(230) == b"mvx"
print("all is well")
"#;

/// The stream by the single-planar type, the rate by the driver's private request, and no command to end:
/// as programs that were written for the board do it, whatever they wait by.
#[test]
fn a_program_takes_the_stream_by_the_single_planar_type() {
    encode_by("single_planes", "hevc", &["poll", "epoll", "epoll-edges"]);
}

/// Threads that wait in requests, one that waits for both queues, memory of the program's, copies of descriptors,
/// children.
#[test]
fn programs_drive_the_device_in_the_ways_that_they_differ_in() {
    let ways = ["threads", "poll", "select", "copy", "children", "child"];
    encode_by("device_clients", "h264", &ways);
}

/// Has a C program of this directory encode 40 pictures in each of its ways.
fn encode_by(name: &str, codec: &str, ways: &[&str]) {
    let directory = tempfile::tempdir().expect("a directory");
    let program = directory.path().join(name);
    let compiled = Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-pthread", "-o"])
        .arg(&program)
        .arg(format!("{}/tests/{name}.c", env!("CARGO_MANIFEST_DIR")))
        .output()
        .expect("a C compiler");
    let said = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success(), "{said}");
    for way in ways {
        let file = directory.path().join(format!("{way}.{codec}"));
        let (output, said) = run(Command::new("timeout")
            .arg("120")
            .arg(&program)
            .arg(NODE)
            .arg(&file)
            .args(["40", way]));
        assert!(output.status.success(), "{way}: {said}");
        assert!(said.contains("40 pictures"), "{way}: {said}");
        let entries = "stream=codec_name,width,height,nb_read_frames";
        let found = crate::common::ffprobe(&file, &["-count_frames"], entries);
        assert_eq!(found, [codec, "320", "240", "40"], "{way}");
    }
}
