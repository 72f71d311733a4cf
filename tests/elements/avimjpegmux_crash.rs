// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is left of a recording whose process is killed, or whose disk is full, broken or gone: other
//! people's programs read every frame up to the last checkpoint, at its time.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{Pipeline, output};
use crate::failing_disk::{FailingDisk, Failure};
use crate::feed::{Feed, JPEG, PCM, chunks, frame_sizes, picture};
use gst::prelude::*;

/// Milliseconds of a frame, and frames from one checkpoint to the next.
const INTERVAL: u64 = 40;
const CHECKPOINT: u64 = 5;

/// Numbers that look random, the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// Moments at which something goes wrong: few in the suite, CRASH_MOMENTS in `make soak-avi`.
fn moments() -> u64 {
    crate::common::count("CRASH_MOMENTS", 40)
}

fn caps(sound: bool) -> Vec<String> {
    let mut caps = vec![format!("{JPEG},framerate={}/1", 1000 / INTERVAL)];
    if sound {
        caps.push(format!("{PCM},rate=8000,channels=1"));
    }
    caps
}

/// Bytes of frame `n`: no two that follow one another have the same.
fn size(n: u64) -> usize {
    1500 + (n * 7919 % 1000) as usize
}

/// Pushes frame `n`, and its sound before it.
fn push(feed: &Feed, n: u64) -> bool {
    let time = (n * INTERVAL) as f64;
    (feed.pads.len() == 1 || feed.push(1, vec![1; 640], time).is_ok())
        && feed.push(0, picture(n as u32, size(n)), time).is_ok()
}

/// The time in nanoseconds and the size of each frame.
type Frames = Vec<(u64, usize)>;

fn avidemux(path: &Path) -> Frames {
    let pipeline = Pipeline::launch(&format!(
        "filesrc location={} ! avidemux name=demux demux.video_0 ! \
         queue max-size-buffers=0 max-size-bytes=0 max-size-time=0 ! appsink name=sink sync=false",
        path.display()
    ));
    let sink: gst_app::AppSink = pipeline.element("sink").downcast().unwrap();
    pipeline.play();
    let mut frames = Vec::new();
    for sample in crate::common::samples(&sink) {
        let buffer = sample.buffer().unwrap();
        frames.push((buffer.pts().unwrap().nseconds(), buffer.size()));
    }
    frames
}

fn ffprobe(path: &Path) -> Frames {
    let text = output(
        Command::new("ffprobe")
            .args(["-v", "quiet", "-select_streams", "v", "-show_entries"])
            .args(["packet=pts_time,size", "-of", "csv=p=0"])
            .arg(path),
    );
    text.lines()
        .map(|line| {
            let mut fields = line.split(',');
            let seconds: f64 = fields.next().unwrap().parse().unwrap();
            let size = fields.next().unwrap().parse().unwrap();
            ((seconds * 1e9).round() as u64, size)
        })
        .collect()
}

/// Asserts that others read the first `least` frames of a file, at their times.
#[track_caller]
fn read_by_others(path: &Path, least: u64, what: &str) {
    for (reader, frames) in [("ffprobe", ffprobe(path)), ("avidemux", avidemux(path))] {
        assert!(
            frames.len() as u64 >= least,
            "{what}: {reader} reads {} frames of {least}",
            frames.len()
        );
        for (n, (time, bytes)) in (0..least).zip(frames) {
            assert!(
                time.abs_diff(n * INTERVAL * 1_000_000) < 1_000_000,
                "{what}: {reader} has frame {n} at {time} ns"
            );
            assert_eq!(bytes, size(n), "{what}: {reader}, frame {n}");
        }
    }
}

fn properties(dice: &mut Dice) -> &'static str {
    ["", "", "big-file=false", "profile=k210"][dice.roll(4) as usize]
}

#[test]
fn a_failing_disk_costs_nothing_before_the_last_checkpoint() {
    crate::common::init();
    FailingDisk::register();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.avi");
    let interval = CHECKPOINT * INTERVAL * 1_000_000;
    let mut dice = Dice(1);
    for moment in 0..moments() * 3 / 4 {
        let failure = [Failure::Full, Failure::Once, Failure::Gone][dice.roll(3) as usize];
        let (properties, sound) = (properties(&mut dice), dice.roll(2) == 1);
        let after = 30_000 + dice.roll(400_000) as usize;
        let what = format!("moment {moment}: {failure:?} after {after}, {properties:?}, {sound}");
        let feed = Feed::into_sink(
            &format!("{properties} checkpoint-interval={interval}"),
            "failingdisk name=disk",
            &caps(sound),
        );
        let sink: FailingDisk = feed.pipeline.element("disk").downcast().unwrap();
        sink.fail(failure, after);
        let disk = sink.disk();
        let (mut safe, mut checkpoints) = (0, 0);
        for n in 0.. {
            if !push(&feed, n) {
                break;
            }
            if feed.stat("checkpoints") > checkpoints {
                checkpoints = feed.stat("checkpoints");
                safe = feed.stat("frames");
                if checkpoints >= 32 {
                    // Beyond a burst of them there is one each 40 ms of real time at most.
                    std::thread::sleep(Duration::from_millis(40));
                }
            }
        }
        assert!(feed.pipeline.error().is_some(), "{what}");
        drop(feed);
        let bytes = std::mem::take(&mut disk.lock().unwrap().bytes);
        std::fs::write(&path, &bytes).unwrap();
        assert!(
            safe + 2 * CHECKPOINT >= (chunks_before_end(&bytes) as u64),
            "{what}"
        );
        read_by_others(&path, safe, &what);
        if failure != Failure::Gone {
            // The muxer could still tidy up: the file says what it has, and that is all there is.
            let whole = 8 + u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
            assert!(whole <= bytes.len(), "{what}");
            assert!(
                chunks_before_end(&bytes) <= frame_sizes(&bytes).len() + 1,
                "{what}"
            );
            let frames = frame_sizes(&bytes).len();
            assert_eq!(avidemux(&path).len(), frames, "{what}");
            if properties == "profile=k210" {
                let played =
                    crate::k210_player::play(&bytes).unwrap_or_else(|e| panic!("{what}: {e}"));
                assert_eq!(played.frames.len(), frames, "{what}");
            }
        }
    }
}

/// Whole frames from `movi` to the end of the file, whatever the headers say.
fn chunks_before_end(file: &[u8]) -> usize {
    let movi = file.windows(4).position(|bytes| bytes == b"movi").unwrap();
    let (mut at, mut frames) = (movi + 4, 0);
    while at + 8 <= file.len() {
        let size = u32::from_le_bytes(file[at + 4..at + 8].try_into().unwrap()) as usize;
        let next = at + 8 + size + size % 2;
        if next > file.len() || !file[at].is_ascii_alphanumeric() {
            break;
        }
        frames += usize::from(file[at..].starts_with(b"00dc"));
        at = next;
    }
    frames
}

/// Not a test: what the next one starts and kills. It records until then.
#[test]
#[ignore = "runs in a process of its own"]
fn records_until_killed() {
    let Some(location) = std::env::var_os("CRASH_LOCATION") else {
        return;
    };
    let properties = std::env::var("CRASH_PROPERTIES").unwrap();
    let sound = std::env::var_os("CRASH_SOUND").is_some();
    let feed = Feed::new(&properties, Path::new(&location), &caps(sound));
    for n in 0.. {
        assert!(push(&feed, n));
        // As fast as disks write, it would be gigabytes.
        std::thread::sleep(Duration::from_micros(300));
    }
}

#[test]
fn a_killed_recording_has_all_up_to_its_last_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.avi");
    let interval = CHECKPOINT * INTERVAL * 1_000_000;
    let mut dice = Dice(2);
    for moment in 0..moments() / 4 {
        let (properties, sound) = (properties(&mut dice), dice.roll(2) == 1);
        let length = 30_000 + dice.roll(200_000);
        let later = Duration::from_micros(dice.roll(5000));
        let what = format!("moment {moment}: killed past {length} bytes, {properties:?}, {sound}");
        let _ = std::fs::remove_file(&path);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args([
                "--exact",
                "avimjpegmux_crash::records_until_killed",
                "--ignored",
                "--nocapture",
            ])
            .env("CRASH_LOCATION", &path)
            .env(
                "CRASH_PROPERTIES",
                format!("{properties} checkpoint-interval={interval}"),
            )
            .stdout(Stdio::null());
        if sound {
            command.env("CRASH_SOUND", "");
        }
        let mut child = command.spawn().unwrap();
        let started = Instant::now();
        while std::fs::metadata(&path).map_or(0, |file| file.len()) < length {
            assert!(
                started.elapsed() < Duration::from_secs(120),
                "nothing is written"
            );
            assert!(child.try_wait().unwrap().is_none(), "it ended");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(later);
        child.kill().unwrap();
        child.wait().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let safe = frame_sizes(&bytes).len();
        // The head takes some 20 000, a checkpoint's frames 13 000.
        assert!(safe > 0 || length < 60_000, "{what}");
        assert!(
            chunks_before_end(&bytes) <= safe + 2 * CHECKPOINT as usize,
            "{what}: {} frames are in the file, its head tells of {safe}",
            chunks_before_end(&bytes)
        );
        // In the order of their numbers, and whole.
        let frames = chunks(&bytes)
            .into_iter()
            .filter(|(stream, _)| *stream == 0);
        for (n, (_, frame)) in (0..).zip(frames) {
            assert!(frame == picture(n, size(n.into())), "{what}: frame {n}");
        }
        read_by_others(&path, safe as u64, &what);
    }
}

/// Not a test: what the next ones start where there is little space. It records until that is used
/// up, keeps a copy of the file as it is at the moment of the first error, and tells whose that is.
#[test]
#[ignore = "runs in a process of its own"]
fn records_until_it_is_full() {
    let Some(location) = std::env::var_os("FULL_LOCATION") else {
        return;
    };
    let copy = std::env::var_os("FULL_COPY").unwrap();
    let properties = std::env::var("FULL_PROPERTIES").unwrap();
    let feed = Feed::new(&properties, Path::new(&location), &caps(true));
    let bus = feed.pipeline.0.bus().unwrap();
    let told = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let first = told.clone();
    bus.set_sync_handler(move |_, message| {
        if let gst::MessageView::Error(error) = message.view() {
            let mut first = first.lock().unwrap();
            if first.is_empty() {
                let name = message.src().map(|src| src.name()).unwrap_or_default();
                let full = error.error().matches(gst::ResourceError::NoSpaceLeft);
                *first = format!("told by {name}, for want of space: {full}");
                std::fs::copy(&location, &copy).expect("a copy");
            }
        }
        gst::BusSyncReply::Pass
    });
    for n in 0..1_000_000 {
        if !push(&feed, n) {
            break;
        }
    }
    println!("{}", told.lock().unwrap());
}

/// A file that was full at some time: finished with all its indexes, and when that was told it was
/// so already. Answers its length.
fn finished_when_full(told: &str, copy: &Path, profile: &str) -> usize {
    assert!(
        told.contains("told by mux, for want of space: true"),
        "{told}"
    );
    let bytes = std::fs::read(copy).unwrap();
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!(word(4) + 8, bytes.len(), "the file ends where it says");
    let movi = bytes.windows(4).position(|four| four == b"movi").unwrap();
    let index = movi + word(movi - 4);
    assert_eq!(&bytes[index..index + 4], b"idx1");
    let frames = frame_sizes(&bytes).len();
    assert!(frames > 50);
    read_by_others(copy, frames as u64, profile);
    assert_eq!(avidemux(copy).len(), frames);
    if profile == "k210" {
        assert_eq!(
            crate::k210_player::play(&bytes).unwrap().frames.len(),
            frames
        );
    }
    bytes.len()
}

const PROFILES: [(&str, &str); 3] = [
    ("standard", "profile=standard"),
    ("one RIFF", "big-file=false"),
    ("k210", "profile=k210"),
];

/// Runs `records_until_it_is_full` in a directory, by way of a shell that does `first` before and that
/// `by` starts.
fn fill(
    by: &[&str],
    first: &str,
    dir: &Path,
    name: &str,
    properties: &str,
) -> std::process::Output {
    Command::new("env")
        .args(by)
        .args(["sh", "-c", &format!("{first} exec \"$@\""), "sh"])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "avimjpegmux_crash::records_until_it_is_full",
            "--ignored",
            "--nocapture",
        ])
        .current_dir(dir)
        .env("FULL_LOCATION", dir.join(name))
        .env("FULL_COPY", dir.join(COPY))
        .env("FULL_PROPERTIES", properties)
        .output()
        .unwrap()
}

/// The file as it was at the first error.
const COPY: &str = "b.avi";

#[test]
fn a_file_at_its_limit_is_finished_before_that_is_told() {
    let dir = tempfile::tempdir().unwrap();
    for (profile, properties) in PROFILES {
        // The limit on the size of a process's files, 512 bytes a unit.
        let limited = "trap '' XFSZ; ulimit -f 1000;";
        let output = fill(&[], limited, dir.path(), "a.avi", properties);
        let told = String::from_utf8_lossy(&output.stdout);
        let len = finished_when_full(&told, &dir.path().join(COPY), profile);
        assert!((500_000..=512_000).contains(&len), "{profile}: {len}");
    }
}

/// Disks that only a process sees, as far as the system lets it have one: how it becomes one that may
/// mount, how it mounts, and how large the file becomes.
const DISKS: [(&[&str], &str, std::ops::Range<usize>); 2] = [
    (
        &["unshare", "--user", "--map-root-user", "--mount"],
        "mount -t tmpfs -o size=2m none disk",
        1_700_000..2_097_152,
    ),
    // Some of what is free here is for nobody, and some for root alone.
    (
        &["unshare", "--mount"],
        "truncate -s 64M image && mkfs.ext4 -qF image && mount -o loop image disk && \
         fallocate -l 50M disk/full",
        2_000_000..8_000_000,
    ),
];

#[test]
fn a_full_disk_has_a_finished_file_before_that_is_told() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("disk")).unwrap();
    for (by, mount, lengths) in DISKS {
        for (profile, properties) in PROFILES {
            let first = format!("{{ {mount}; }} >&2 &&");
            let output = fill(by, &first, dir.path(), "disk/a.avi", properties);
            let told = String::from_utf8_lossy(&output.stdout);
            if told.is_empty() {
                let why = String::from_utf8_lossy(&output.stderr);
                eprintln!("left out, as this fails here: {mount}: {why}");
                break;
            }
            let len = finished_when_full(&told, &dir.path().join(COPY), profile);
            assert!(lengths.contains(&len), "{mount}, {profile}: {len}");
        }
    }
}
