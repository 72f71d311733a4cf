// SPDX-License-Identifier: MIT OR Apache-2.0
//! A disk that fails at some byte of a recording, wherever that is: the recording ends with one error or warning, what
//! is told of it is so, and nothing hangs.
//!
//! Some offsets are tried here; `make soak-offsets` tries as many of the first 64 KiB as it is told to, and others of
//! chance (`OFFSETS=1`: each; `OFFSETS=7`: every seventh).

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use gst::prelude::*;

use crate::common::{Pipeline, init, plugin_path};
use crate::failing_disk::{FailingDisk, Failure};

/// What was said while a recording was made.
#[derive(Debug, Default)]
struct Said {
    errors: Vec<String>,
    warnings: Vec<String>,
    /// Names of messages of files and recordings.
    told: Vec<String>,
}

/// The end of all offsets, which is beyond most heads.
const FAR: usize = 64 << 10;

/// Bytes after which the disk fails.
fn offsets() -> Vec<usize> {
    let step = std::env::var("OFFSETS").ok();
    let step = step.map(|it| it.parse().expect("a number"));
    let mut x = 0x2545_f491_u32;
    let mut chance = |end: usize| {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        x as usize % end
    };
    match step {
        Some(step) => {
            let later: Vec<_> = (0..1000 / step).map(|_| FAR + chance(8 * FAR)).collect();
            (0..FAR).step_by(step).chain(later).collect()
        }
        None => {
            let few = [0, 1, 7, 44, 500, 4095, 4096, 4097];
            let later = (0..5).map(|_| chance(FAR)).collect::<Vec<_>>();
            few.into_iter().chain(later).collect()
        }
    }
}

/// Sixty frames as a container takes them.
fn source(extension: &str) -> &'static str {
    match extension {
        "avi" | "mkv" => {
            "videotestsrc num-buffers=60 ! video/x-raw,width=64,height=48,framerate=30/1 ! jpegenc"
        }
        _ => {
            "videotestsrc num-buffers=60 pattern=snow ! video/x-raw,width=64,height=48,framerate=30/1 ! \
             x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 threads=1 ! h264parse"
        }
    }
}

fn record(sink: &str, extension: &str, failure: Failure, offset: usize) -> (Said, bool) {
    let ring = if sink == "circularsink" {
        "recording=true"
    } else {
        ""
    };
    let pipeline = Pipeline::launch(&format!(
        "{} ! {sink} name=s {ring} location=a.{extension} sink-factory=failingdisk",
        source(extension)
    ));
    let disk = Arc::new(Mutex::new(None));
    let found = disk.clone();
    let bin = pipeline.element("s").downcast::<gst::Bin>().expect("a bin");
    bin.connect_deep_element_added(move |_, _, element| {
        if let Some(sink) = element.downcast_ref::<FailingDisk>() {
            sink.fail(failure, offset);
            *found.lock().expect("no panic") = Some(sink.disk());
        }
    });
    let said = Arc::<Mutex<Said>>::default();
    let told = said.clone();
    let bus = pipeline.0.bus().expect("a bus");
    bus.set_sync_handler(move |_, message| {
        let mut said = told.lock().expect("no panic");
        match message.view() {
            gst::MessageView::Error(error) => said.errors.push(error.error().to_string()),
            gst::MessageView::Warning(warning) => said.warnings.push(warning.error().to_string()),
            _ => {
                let name = message.structure().map(|it| it.name().to_string());
                let of_files =
                    |name: &String| name.contains("recording-f") || name.ends_with("sink-file");
                said.told.extend(name.filter(of_files));
            }
        }
        gst::BusSyncReply::Pass
    });
    let _ = pipeline.run();
    pipeline.0.set_state(gst::State::Null).expect("it stops");
    bus.unset_sync_handler();
    let disk = disk.lock().expect("no panic").take();
    let failed = disk.is_some_and(|disk| disk.lock().expect("no panic").has_failed());
    let said = std::mem::take(&mut *said.lock().expect("no panic"));
    (said, failed)
}

/// What is wrong with what was said.
fn judge(sink: &str, said: &Said, failed: bool) -> Option<&'static str> {
    let one = match sink {
        "circularsink" => said.errors.is_empty() && said.warnings.len() == 1,
        _ => said.errors.len() == 1 && said.warnings.is_empty(),
    };
    let [whole, broken] = ["finished", "failed"].map(|end| {
        let told = said.told.iter();
        told.filter(|name| name.ends_with(end)).count()
    });
    let files = said
        .told
        .iter()
        .filter(|name| name.ends_with("sink-file"))
        .count();
    match (failed, sink) {
        (true, _) if !one => Some("it is not told of once"),
        (true, "circularsink") if (whole, broken) != (0, 1) => Some("it is not told of as failed"),
        (true, "recordsink") if files != 0 => Some("what failed is told of as a file"),
        (false, _) if !said.errors.is_empty() || !said.warnings.is_empty() => {
            Some("nothing failed, and something is told")
        }
        (false, "circularsink") if (whole, broken) != (1, 0) => Some("it is not told of as whole"),
        (false, "recordsink") if files != 1 => Some("it is not told of as a file"),
        _ => None,
    }
}

/// What was wrong with what was told, and how often the disk failed.
fn all_offsets(sink: &str, extension: &str) -> (Vec<String>, usize) {
    let (mut wrong, mut failures) = (Vec::new(), 0);
    for (n, offset) in offsets().into_iter().enumerate() {
        let failure = [Failure::Full, Failure::Gone, Failure::Once][n % 3];
        let (said, failed) = record(sink, extension, failure, offset);
        failures += usize::from(failed);
        if let Some(why) = judge(sink, &said, failed) {
            wrong.push(format!(
                "{sink} .{extension}, {failure:?} at {offset}: {why}: {said:?}"
            ));
        }
    }
    (wrong, failures)
}

#[test]
fn a_disk_may_fail_at_any_byte() {
    init();
    FailingDisk::register();
    // Most of a recording's time is waiting: all eight at once.
    let (mut wrong, mut failures) = (Vec::new(), 0);
    std::thread::scope(|scope| {
        let kinds = ["recordsink", "circularsink"].into_iter();
        let kinds = kinds.flat_map(|sink| ["mkv", "mp4", "avi", "ts"].map(|it| (sink, it)));
        let started: Vec<_> = kinds
            .map(|(sink, extension)| scope.spawn(move || all_offsets(sink, extension)))
            .collect();
        for thread in started {
            let (more, failed) = thread.join().expect("it does not panic");
            wrong.extend(more);
            failures += failed;
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(failures > 50, "the disk failed {failures} times");
}

/// Records sound to a file that may not grow beyond a limit; what was said, and what is there. It is live: of an
/// error amid the preroll gst-launch-1.0 (1.22) hangs now and then, with whatever elements.
fn limited(scratch: &Path, sink: &str, file: &Path, limit: usize) -> (String, Option<Vec<u8>>) {
    let _ = std::fs::remove_file(file);
    let line = format!(
        "audiotestsrc is-live=true num-buffers=20 ! audio/x-raw,format=S16LE,rate=48000,channels=1 ! {sink} \
         location={}",
        file.display()
    );
    let ran = Command::new("timeout")
        .args(["60", "prlimit", &format!("--fsize={limit}"), "sh", "-c"])
        // The limit is an error of a write then.
        .args(["trap '' XFSZ; exec gst-launch-1.0 -m \"$@\"", "sh"])
        .args(line.split_whitespace())
        .envs(plugin_path(scratch))
        .output()
        .expect("it starts");
    assert_ne!(ran.status.code(), Some(124), "{sink} hangs at {limit}");
    let said = [ran.stdout, ran.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    (said.concat(), std::fs::read(file).ok())
}

/// What GStreamer's encoder writes before it knows a size.
const UNKNOWN: usize = 0x7fff_0000;

#[test]
fn a_wav_may_not_grow_beyond_any_byte() {
    let scratch = tempfile::tempdir().expect("a directory");
    let file = scratch.path().join("a.wav");
    // GStreamer's encoder puts texts behind the samples.
    let most = 44 + 20 * 1024 * 2;
    // GStreamer's registry is not limited.
    limited(scratch.path(), "recordsink", &file, usize::MAX / 2);
    for sink in [
        "recordsink",
        "audiorecordsink",
        "circularsink recording=true",
    ] {
        for limit in [0, 1, 43, 44, 45, 46, 4096, 30_001, most - 1, most + 1000] {
            let (said, left) = limited(scratch.path(), sink, &file, limit);
            let name = sink.split_whitespace().next().unwrap_or_default();
            let fails = limit < most;
            let word = if name == "circularsink" {
                "WARNING"
            } else {
                "ERROR"
            };
            let told = said.matches(&format!("{word}: from element")).count();
            assert_eq!(told, usize::from(fails), "{sink} {limit}: {said}");
            let Some(left) = left else {
                assert!(limit <= 44, "{sink} {limit}: nothing is left: {said}");
                continue;
            };
            assert!(!left.is_empty(), "{sink} {limit}: an empty file");
            if left.len() < 44 {
                // Some of a head, which GStreamer's encoder wrote.
                assert_eq!(name, "circularsink", "{limit}: {} bytes", left.len());
                continue;
            }
            // What is there is what its head says, but for what came amid a write.
            let size = u32::from_le_bytes(left[40..44].try_into().expect("four")) as usize;
            assert!(
                size <= left.len() - 44 || size >= UNKNOWN,
                "{sink} {limit}: {size} of {}",
                left.len()
            );
            let lost = (left.len() - 44).saturating_sub(size);
            assert!(
                lost < 16 << 10,
                "{sink} {limit}: {lost} bytes are not in its size"
            );
        }
    }
}

/// Runs with so many descriptors at most; whether all went well, what was said, and what is left. What GLib and
/// GStreamer do without a descriptor for their own, to hang among it, is not what is looked at.
fn with_descriptors(
    scratch: &Path,
    line: &str,
    file: &Path,
    most: usize,
) -> (bool, String, Option<u64>) {
    let _ = std::fs::remove_file(file);
    let ran = Command::new("timeout")
        .args([
            "20",
            "prlimit",
            &format!("--nofile={most}"),
            "gst-launch-1.0",
        ])
        .args(line.split_whitespace())
        .envs(plugin_path(scratch))
        .output()
        .expect("it starts");
    let said = [ran.stdout, ran.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    let said = said.concat();
    // gst-launch-1.0 goes on for ever itself if an error comes before its main loop runs, as one of
    // `audiotestsrc ! identity error-after=1 ! fakesink` does in one of ten runs on 1.22.
    let hangs = ran.status.code() == Some(124) && !said.contains("ERROR");
    assert!(!hangs, "it hangs with {most}: {line}");
    let well = ran.status.success() && !said.contains("WARNING");
    let ended = ran.status.code().is_some_and(|code| code < 124) && !said.contains("GLib-ERROR");
    let left = std::fs::metadata(file).ok().map(|it| it.len());
    (well, said, left.filter(|_| ended))
}

/// Wherever descriptors run out: a file that nothing was written to does not stay.
#[test]
fn no_empty_file_is_left_when_descriptors_run_out() {
    let scratch = tempfile::tempdir().expect("a directory");
    let at = |name: &str| scratch.path().join(name);
    let picture =
        "videotestsrc is-live=true num-buffers=3 ! video/x-raw,width=64,height=48 ! jpegenc";
    let sound =
        "audiotestsrc is-live=true num-buffers=3 ! audio/x-raw,format=S16LE,rate=48000,channels=1";
    let mut wrong = Vec::new();
    for (source, sink, name) in [
        (sound, "recordsink", "a.wav"),
        (sound, "audiorecordsink", "b.wav"),
        (sound, "audiorecordsink", "c.pcm"),
        (picture, "recordsink", "d.mkv"),
        (picture, "recordsink", "f.mjpeg"),
        (picture, "recordsink overwrite=false", "g.mkv"),
        (picture, "circularsink recording=true", "i.mkv"),
        (sound, "circularsink recording=true", "j.wav"),
    ] {
        let file = at(name);
        let line = format!("{source} ! {sink} location={}", file.display());
        // As many as it takes, and each number of them below, down to where nothing is made any more.
        let (mut least, mut enough) = (8, 136);
        while least < enough {
            let middle = (least + enough) / 2;
            let (well, said, _) = with_descriptors(scratch.path(), &line, &file, middle);
            match well {
                true => enough = middle,
                false => least = middle + 1,
            }
            assert!(least < 136, "{line}: {said}");
        }
        for most in (enough.saturating_sub(6)..=enough).rev() {
            let (_, said, left) = with_descriptors(scratch.path(), &line, &file, most);
            if left == Some(0) {
                wrong.push(format!(
                    "{line}: an empty file with {most} of {enough} descriptors: {said}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
