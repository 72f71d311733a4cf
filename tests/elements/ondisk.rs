// SPDX-License-Identifier: MIT OR Apache-2.0
//! What of a recording is on the disk itself, and what is left where the disk takes no more: recorded by a program
//! whose system calls are watched (`tests/soak/disk.c`), or whose files may not grow beyond a limit.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::common::{frames, output, plugin_path, until};

/// What `disk.c` notes: the time (s) and the kind, by inode.
fn noted(log: &Path) -> BTreeMap<u64, Vec<(f64, u8)>> {
    const HEAD: usize = 32;
    let bytes = std::fs::read(log).unwrap();
    let mut rest = &bytes[..];
    let mut found = BTreeMap::<_, Vec<_>>::new();
    while let Some((head, behind)) = rest.split_first_chunk::<HEAD>() {
        let time = f64::from_ne_bytes(head[..8].try_into().unwrap());
        let inode = u64::from_ne_bytes(head[8..16].try_into().unwrap());
        let length = u32::from_ne_bytes(head[24..28].try_into().unwrap()) as usize;
        // It may still be being written.
        let Some(behind) = behind.get(length..) else {
            break;
        };
        rest = behind;
        found.entry(inode).or_default().push((time, head[28]));
    }
    found
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const H264: &str =
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 threads=1 ! h264parse !";
const VP8: &str = "vp8enc deadline=1 keyframe-max-dist=10 threads=1 !";
const AAC: &str = "audioconvert ! avenc_aac ! aacparse !";

#[test]
fn all_recordings_are_sent_to_the_disk_each_second() {
    let dir = tempfile::tempdir().unwrap();
    let shim = dir.path().join("disk.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/soak/disk.c");
    output(
        Command::new("cc")
            .args(["-O1", "-shared", "-fPIC", "-o"])
            .args([&shim, &source])
            .args(["-ldl", "-pthread"]),
    );
    let (record, ring) = ("recordsink", "circularsink recording=true");
    let (video, audio) = (true, false);
    let cases = [
        (record, "mp4", video, H264),
        (record, "mov", video, H264),
        (record, "mkv", video, H264),
        (record, "webm", video, VP8),
        (record, "ts", video, H264),
        (record, "flv", video, H264),
        (record, "ogg", video, VP8),
        (record, "avi", video, "jpegenc !"),
        (record, "h264", video, H264),
        (record, "mjpeg", video, "jpegenc !"),
        (record, "wav", audio, ""),
        (record, "m4a", audio, AAC),
        (ring, "mp4", video, H264),
        (ring, "mov", video, H264),
        (ring, "mkv", video, H264),
        (ring, "webm", video, VP8),
        (ring, "ts", video, H264),
        (ring, "flv", video, H264),
        (ring, "ogg", video, VP8),
        (ring, "avi", video, "jpegenc !"),
        (ring, "h264", video, H264),
        (ring, "mjpeg", video, "jpegenc !"),
        (ring, "wav", audio, ""),
        ("audiorecordsink", "wav", audio, ""),
        ("audiorecordsink", "pcm", audio, ""),
    ];
    let path = |number: usize, extension: &str| {
        let directory = dir.path().join(number.to_string());
        std::fs::create_dir_all(&directory).unwrap();
        directory.join(format!("a.{extension}"))
    };
    let mut line = Vec::new();
    for (number, (sink, extension, is_video, encoder)) in cases.into_iter().enumerate() {
        let source = match is_video {
            true => "videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=10/1",
            false => "audiotestsrc is-live=true ! audio/x-raw,format=S16LE,rate=48000,channels=1",
        };
        // A sink whose first pad is the video's has to be told.
        let pad = match (sink == ring, is_video) {
            (true, false) => ".audio_0",
            _ => "",
        };
        let place = path(number, extension);
        let place = place.display();
        line.push(format!(
            "{sink} name=s{number} location={place} {source} ! {encoder} s{number}{pad}{}",
            if pad.is_empty() { "." } else { "" }
        ));
    }
    let log = dir.path().join("log");
    std::fs::write(&log, "").unwrap();
    let mut running = Running(
        Command::new("gst-launch-1.0")
            .args(line.join(" ").split_whitespace())
            .envs(plugin_path(dir.path()))
            .env("LD_PRELOAD", &shim)
            .env("DISK_DIR", dir.path())
            .env("DISK_LOG", &log)
            .stdout(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let synced = |number: usize| {
        let file = std::fs::metadata(path(number, cases[number].1)).ok()?;
        let noted = noted(&log).remove(&file.ino())?;
        let is_written = noted.iter().any(|(_, what)| *what == b'w');
        let begun = noted.iter().filter(|(_, what)| *what == b's');
        let done = noted.iter().filter(|(_, what)| *what == b'd').count();
        (is_written && done >= 3).then(|| begun.map(|(time, _)| *time).collect::<Vec<_>>())
    };
    let mut waits = (0..cases.len()).collect::<Vec<_>>();
    until("each file is synced while it is written", || {
        let ended = running.0.try_wait().unwrap();
        assert!(ended.is_none(), "gst-launch-1.0 has ended: {ended:?}");
        std::thread::sleep(std::time::Duration::from_millis(200));
        waits.retain(|number| synced(*number).is_none());
        waits.is_empty()
    });
    // And no more often.
    for (number, case) in cases.iter().enumerate() {
        let begun = synced(number).unwrap();
        let often = begun.windows(2).find(|pair| pair[1] - pair[0] < 0.9);
        assert!(often.is_none(), "{case:?}: {begun:?}");
    }
}

/// Records a hundred pictures in a program whose files may have `limit` bytes, `recordsink` with sound. (What two
/// threads bring `circularsink`'s muxer is not in the same places each time.) Returns what it said.
fn record(scratch: &Path, sink: &str, file: &Path, limit: u64) -> String {
    let (ring, sound) = match sink {
        "circularsink" => ("recording=true", String::new()),
        _ => {
            let source = "audiotestsrc num-buffers=188 ! audio/x-raw,rate=48000,channels=1";
            ("", format!("{source} ! {AAC} s.audio"))
        }
    };
    let _ = std::fs::remove_file(file);
    let line = format!(
        "{sink} name=s {ring} location={} \
         videotestsrc num-buffers=100 pattern=ball ! video/x-raw,width=64,height=48,framerate=25/1 ! \
         {H264} s.video {sound}",
        file.display()
    );
    let ran = Command::new("prlimit")
        .args([&format!("--fsize={limit}"), "sh", "-c"])
        // The limit is an error of a write then.
        .args(["trap '' XFSZ; exec gst-launch-1.0 \"$@\"", "sh"])
        .args(line.split_whitespace())
        .envs(plugin_path(scratch))
        .output()
        .unwrap();
    [ran.stdout, ran.stderr]
        .map(|text| String::from_utf8_lossy(&text).into_owned())
        .concat()
}

/// Where each box of a file begins, what it is, and its size.
fn boxes(file: &Path) -> Vec<(u64, String, u64)> {
    let bytes = std::fs::read(file).unwrap();
    let mut at = 0;
    let mut found = Vec::new();
    while let Some(head) = bytes.get(at..at + 8) {
        let size = u32::from_be_bytes(head[..4].try_into().unwrap()) as usize;
        let kind = String::from_utf8_lossy(&head[4..]).into_owned();
        found.push((at as u64, kind, size as u64));
        if size < 8 {
            break;
        }
        at += size;
    }
    found
}

const NO_LIMIT: u64 = 1 << 30;

fn sinks(dir: &Path) -> impl Iterator<Item = (&'static str, PathBuf)> {
    let names = [
        ("recordsink", "a.mp4"),
        ("recordsink", "b.mov"),
        ("circularsink", "c.mp4"),
        ("circularsink", "d.mov"),
    ];
    names.into_iter().map(|(sink, name)| (sink, dir.join(name)))
}

/// Amid a `moof`, ffmpeg refuses the whole file.
#[test]
fn an_mp4_that_could_not_be_written_on_ends_with_its_last_whole_box() {
    let dir = tempfile::tempdir().unwrap();
    // What GStreamer writes to its registry is not limited.
    record(
        dir.path(),
        "recordsink",
        &dir.path().join("first.mp4"),
        NO_LIMIT,
    );
    for (sink, path) in sinks(dir.path()) {
        let said = record(dir.path(), sink, &path, 60_000);
        assert!(said.contains("Could not write to resource"), "{said}");
        let fragment = boxes(&path).into_iter().find(|(_, kind, _)| kind == "moof");
        let (at, _, size) = fragment.unwrap_or_else(|| panic!("{sink}: {said}"));
        for beyond in [3, 8, 100, 200, size - 12] {
            record(dir.path(), sink, &path, at + beyond);
            assert_eq!(
                std::fs::metadata(&path).unwrap().len(),
                at,
                "{sink} {beyond}"
            );
            assert!(frames(&path) >= 10, "{sink} {beyond}");
        }
    }
}

/// When it is ended, the head that its fragments need is made void.
#[test]
fn an_mp4_that_can_not_be_ended_keeps_all_its_fragments() {
    let dir = tempfile::tempdir().unwrap();
    for (sink, path) in sinks(dir.path()) {
        let said = record(dir.path(), sink, &path, NO_LIMIT);
        assert_eq!(frames(&path), 100, "{said}");
        let heads = boxes(&path)
            .into_iter()
            .filter(|(_, kind, _)| kind == "moov");
        let heads = heads.map(|(at, ..)| at).collect::<Vec<_>>();
        assert_eq!(heads.len(), 1, "{sink}");
        for beyond in [0, 100] {
            let said = record(dir.path(), sink, &path, heads[0] + beyond);
            assert!(said.contains("Could not write to resource"), "{said}");
            // Of the last half a second there may be no fragment yet.
            let frames = frames(&path);
            assert!(frames >= 87, "{sink} {beyond}: {frames}");
        }
    }
}
