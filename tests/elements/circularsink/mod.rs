// SPDX-License-Identifier: MIT OR Apache-2.0
//! circularsink with numbered frames and numbered samples: what goes in is known to the frame and
//! the sample, and what comes out of the files is compared with it.

mod cameras;
mod opengop;
pub(crate) mod rig;
mod samples;
mod silence;
mod trust;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use gst::prelude::*;

use self::rig::*;

/// Triggered after `before` frames and finished after `after` more, a file of `extension` has
/// what was kept and what came.
fn check_preroll(stream: Encoded, gop: u64, name: &str, keep: u64, before: usize, after: usize) {
    let mut rig = Rig::new(stream, false);
    rig.locate(name);
    rig.sink.set_property("max-time", keep * FRAME);
    rig.start();
    rig.push(before);
    let level: u64 = rig.sink.property("level-time");
    rig.trigger(None);
    rig.push(after);
    rig.finish();
    rig.push_all();
    let done = rig.finished();
    assert_sound(done.path());
    let decoded = decode(done.path(), false);
    let (first, last) = (
        decoded.frames[0].1,
        decoded.frames[decoded.frames.len() - 1].1,
    );
    assert_frames(&decoded, first, last);
    assert_eq!(first % gop, 0, "it begins at a key unit");
    // In decoding order up to two B-frames more have arrived than can be shown without a gap.
    let newest = before as u64;
    assert!(
        newest - first >= keep,
        "{first} to {newest} is less than {keep}"
    );
    assert!(
        newest - first <= keep + gop + 2,
        "{first} to {newest} is more than {keep} and a GOP"
    );
    let end = (before + after) as u64;
    assert!(
        (end - 3..=end + 3).contains(&(last + 1)),
        "{last} is not {end}"
    );
    assert!(level >= keep * FRAME);
    assert_eq!(done.frames, decoded.frames.len() as u64);
    assert_eq!(done.start, Some(first * FRAME));
    assert_eq!(done.end, Some((last + 1) * FRAME));
    assert!(done.bytes > 0);
}

#[test]
fn preroll_of_h264() {
    for (gop, before) in [(1, 110), (30, 170), (250, 560)] {
        for bframes in [0, 2] {
            if gop == 1 && bframes == 2 {
                continue;
            }
            let stream = encoded(&x264(gop, bframes), 600);
            check_preroll(stream, gop.into(), "r%d.mp4", 50, before, 20);
        }
    }
}

#[test]
fn preroll_of_h264_in_other_containers() {
    for name in ["r.mkv", "r.mov", "r.ts"] {
        check_preroll(encoded(&x264(30, 0), 600), 30, name, 50, 170, 20);
    }
}

const X265: &str = "x265enc speed-preset=ultrafast key-int-max=30 \
                    option-string=open-gop=0:scenecut=0:log-level=0";

#[test]
fn preroll_of_h265() {
    let stream = encoded(X265, 200);
    check_preroll(stream.clone(), 30, "r.mp4", 50, 130, 20);
    check_preroll(stream, 30, "r.mkv", 50, 130, 20);
}

#[test]
fn preroll_of_motion_jpeg_and_raw() {
    let stream = encoded("jpegenc", 200);
    check_preroll(stream.clone(), 1, "r.mkv", 50, 130, 20);
    check_preroll(stream, 1, "r.avi", 50, 130, 20);
    check_preroll(encoded("identity", 200), 1, "r.mkv", 50, 130, 20);
}

#[test]
fn sound_and_picture_stay_together() {
    for (name, encoder, before, after) in [
        ("r.mkv", x264(1, 0).as_str(), 170, 300),
        ("r.mkv", &x264(30, 2), 170, 300),
        ("r.mkv", &x264(250, 2), 560, 30),
        ("r.mov", &x264(30, 2), 170, 300),
        ("r.mkv", X265, 130, 50),
        ("r.avi", "jpegenc", 130, 50),
        ("r.mkv", "identity", 130, 50),
    ] {
        let frames = if before + after > 200 { 600 } else { 200 };
        let mut rig = Rig::new(encoded(encoder, frames), true);
        rig.locate(name);
        rig.sink.set_property("max-time", 50 * FRAME);
        rig.start();
        rig.push(before);
        rig.trigger(None);
        rig.push(after);
        rig.finish();
        rig.push_all();
        let done = rig.finished();
        assert_sound(done.path());
        let decoded = decode(done.path(), true);
        let first = decoded.frames[0].1;
        assert!(first > 0);
        assert_frames(&decoded, first, first + decoded.frames.len() as u64 - 1);
        assert_sound_aligned(&decoded, 1);
    }
}

#[test]
fn recording_from_the_start_writes_everything() {
    let mut rig = Rig::new(encoded(&x264(30, 2), 600), true);
    rig.locate("all.mkv");
    rig.sink.set_property("recording", true);
    rig.sink.set_property("pts-location", rig.path("all.txt"));
    rig.start();
    rig.push_all();
    rig.eos();
    let done = rig.finished();
    rig.wait_eos();
    assert_eq!(done.frames, 600);
    let decoded = decode(done.path(), true);
    assert_frames(&decoded, 0, 599);
    rig.stop();
    let times = std::fs::read_to_string(rig.path("all.txt")).expect("the times were written");
    let expected: Vec<_> = (0..600).map(|n| format!("{}.000", n * 40)).collect();
    assert_eq!(times.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn post_time_ends_and_triggers_extend() {
    let mut rig = Rig::new(encoded(&x264(30, 2), 600), false);
    rig.sink.set_property("max-time", 40 * FRAME);
    rig.sink.set_property("post-time", 20 * FRAME);
    rig.start();
    rig.push(100);
    let id = rig.trigger(None);
    rig.push(15);
    assert_eq!(rig.trigger(None), id, "the running one is extended");
    rig.push(100);
    let done = rig.finished();
    let last = decode(done.path(), false).frames.last().map(|f| f.1);
    // At least 20 frames after the second trigger, at most the rest of a group of B-frames more.
    let last = last.expect("there are frames");
    assert!((133..=140).contains(&last), "{last}");
    assert_ne!(rig.trigger(None), id, "a later one is new");
}

#[test]
fn recordings_overlap() {
    let mut rig = Rig::new(encoded(&x264(30, 0), 600), true);
    rig.sink.set_property("max-time", 40 * FRAME);
    rig.start();
    rig.push(100);
    let names = ["a.mkv", "b.mkv", "c.mkv"].map(|name| rig.path(name));
    let ids = names.each_ref().map(|name| {
        rig.push(35);
        rig.trigger(Some(name))
    });
    rig.push(50);
    rig.finish();
    rig.push(30);
    let done = rig.all_finished(3);
    for ((done, id), name) in done.iter().zip(ids).zip(&names) {
        assert_eq!((done.id, done.path()), (id, Path::new(name)));
        let decoded = decode(done.path(), true);
        assert_frames(&decoded, decoded.frames[0].1, 254);
        assert_sound_aligned(&decoded, 1);
    }
    assert!(done[0].start < done[1].start && done[1].start < done[2].start);
}

#[test]
fn a_split_loses_nothing_and_repeats_nothing() {
    let mut rig = Rig::new(encoded(&x264(30, 2), 600), true);
    rig.sink.set_property("split-on-trigger", true);
    rig.start();
    rig.push(10);
    let first = rig.trigger(Some(&rig.path("0.mkv")));
    for number in 1..4 {
        rig.push(100);
        rig.trigger(Some(&rig.path(&format!("{number}.mkv"))));
    }
    rig.push_all();
    let done = rig.end(4);
    assert_eq!(done[0].id, first);
    let (mut frames, mut sound) = (0, 0);
    for done in &done {
        assert_sound(done.path());
        let decoded = decode(done.path(), true);
        let count = decoded.frames.len() as u64;
        assert_frames(&decoded, frames, frames + count - 1);
        assert_sound_aligned(&decoded, 1);
        assert_eq!(
            decoded.sound[0].1,
            sound % 30_000,
            "the sound goes on to the sample"
        );
        sound += decoded.sound.iter().map(|s| s.2).sum::<u64>();
        frames += count;
    }
    assert_eq!(frames, 600);
    assert_eq!(sound, rig.next_sample);
}

#[test]
fn events_trigger() {
    let mut rig = Rig::new(encoded(&x264(30, 0), 600), false);
    rig.start();
    rig.push(50);
    let event = |name: &str, post: u64| {
        gst::Structure::builder("circularsink-trigger")
            .field("location", rig.path(name))
            .field("post-time", post * FRAME)
            .build()
    };
    let (inband, outside) = (event("in.mkv", 10), event("out.mkv", 20));
    rig.video
        .push_event(gst::event::CustomDownstream::new(inband));
    assert!(
        rig.pipeline
            .send_event(gst::event::CustomUpstream::new(outside))
    );
    rig.push(50);
    let done = rig.all_finished(2);
    assert_eq!(done[0].path(), Path::new(&rig.path("in.mkv")));
    assert_eq!(done[0].frames, 60);
    assert_eq!(done[1].path(), Path::new(&rig.path("out.mkv")));
    assert_eq!(done[1].frames, 70);
}

#[test]
fn names_are_chosen_and_kept() {
    let mut rig = Rig::new(encoded(&x264(30, 0), 600), false);
    std::fs::write(rig.path("r001.mkv"), "kept").expect("the file is written");
    rig.start();
    rig.push(50);
    for expected in ["r000.mkv", "r002.mkv"] {
        rig.trigger(None);
        rig.push(5);
        rig.finish();
        rig.push(5);
        assert_eq!(rig.finished().path(), Path::new(&rig.path(expected)));
    }
    let kept = std::fs::read(rig.path("r001.mkv")).expect("it is there");
    assert_eq!(kept, b"kept");

    let taken = rig.path("r001.mkv");
    rig.trigger(Some(&taken));
    let (done, error) = rig.failed();
    assert_eq!(done.path(), Path::new(&taken));
    assert!(error.contains("overwrite"), "{error}");

    rig.sink.set_property("overwrite", true);
    rig.trigger(Some(&taken));
    rig.push(5);
    rig.finish();
    rig.push(5);
    assert_eq!(rig.finished().path(), Path::new(&taken));
    assert_sound(Path::new(&taken));

    let named = rig.path("named.mkv");
    let asked = Arc::new(Mutex::new(None));
    let answer = (named.clone(), asked.clone());
    rig.sink.connect("format-location", false, move |args| {
        let sample = args[2].get::<gst::Sample>().expect("a sample comes along");
        let first = sample
            .buffer()
            .is_some_and(|b| !b.flags().contains(gst::BufferFlags::DELTA_UNIT));
        *answer.1.lock().expect("nobody panics") = Some((args[1].get::<u32>(), first));
        Some(answer.0.to_value())
    });
    let id = rig.trigger(None);
    rig.push(5);
    rig.finish();
    rig.push(5);
    assert_eq!(rig.finished().path(), Path::new(&named));
    let asked = asked.lock().expect("nobody panics").take();
    assert_eq!(asked, Some((Ok(id), true)));
}

#[test]
fn a_stalled_sink_does_not_stop_the_stream() {
    let mut rig = Rig::new(encoded(&x264(30, 2), 600), true);
    rig.sink.set_property("max-time", 40 * FRAME);
    rig.start();
    let stall = Stall::on(&rig);
    rig.push(100);
    rig.trigger(None);
    // The pushes return though nothing can be written.
    rig.push(400);
    rig.finish();
    rig.push_all();
    let stats: gst::Structure = rig.sink.property("stats");
    assert!(stats.get::<u64>("backlog-bytes").expect("it is counted") > 0);
    stall.release();
    let done = rig.finished();
    let decoded = decode(done.path(), true);
    let first = decoded.frames[0].1;
    assert_frames(&decoded, first, first + done.frames - 1);
    assert!(done.frames >= 440);
    assert_sound_aligned(&decoded, 1);
}

#[test]
fn a_recording_that_falls_behind_too_far_fails_alone() {
    // A recording may fall behind by a megabyte whatever the limit.
    let mut stream = encoded("jpegenc", 600);
    for buffer in &mut stream.buffers {
        let mut data = buffer.map_readable().expect("it is memory").to_vec();
        data.resize(16 << 10, 0);
        let mut large = gst::Buffer::from_slice(data);
        let flags = gst::BUFFER_COPY_METADATA;
        buffer
            .copy_into(large.make_mut(), flags, ..)
            .expect("it is copied");
        *buffer = large;
    }
    let gop: u64 = stream.buffers[..30].iter().map(|b| b.size() as u64).sum();
    let mut rig = Rig::new(stream, false);
    rig.sink.set_property("max-bytes", 3 * gop);
    rig.start();
    rig.push(60);
    let other = rig.path("other.mkv");
    rig.trigger(Some(&other));
    rig.wait("circularsink-recording-started");
    let stall = Stall::on(&rig);
    rig.trigger(Some(&rig.path("slow.mkv")));
    // One that is cut off before it has taken a frame out of the ring has no file to be whole.
    rig.wait("circularsink-recording-started");
    stall.wait();
    let (mut most, mut written) = (0, 60 * gop / 30);
    for _ in 0..500 {
        let size = rig.stream.buffers[rig.next].size() as u64;
        rig.push(1);
        most = most.max(stats_of(&rig, "backlog-bytes"));
        // The other one keeps up, given the time: a frame may be on its way.
        let file = || std::fs::metadata(&other).map_or(0, |m| m.len());
        until("the other one keeps up", || file() + gop >= written);
        written += size;
    }
    assert!(most <= 3 * gop, "{most} bytes of backlog");
    let (done, error) = rig.failed();
    assert_eq!(done.id, 1);
    assert!(error.contains("storage"), "{error}");
    stall.release();
    rig.finish();
    rig.push_all();
    // What it has becomes whole once the storage takes it, and so is the other.
    let slow = done.path();
    until("the file is whole", || frames_that_decode(slow) > 0);
    assert_sound(slow);
    let decoded = decode_picture(slow);
    assert_frames(&decoded, 0, decoded.frames.len() as u64 - 1);
    let finished = rig.finished();
    assert_eq!(finished.path(), Path::new(&other));
    assert_frames(&decode(finished.path(), false), 0, finished.frames - 1);
}

/// Starts a recording that has to fail, and checks that nothing else does.
fn check_failure(rig: &mut Rig, location: Option<&str>, says: &str) -> Done {
    let good = rig.path("good.mkv");
    rig.sink.set_property("overwrite", true);
    rig.trigger(location);
    rig.push(40);
    let (done, error) = rig.failed();
    assert!(error.contains(says), "'{error}' does not say '{says}'");
    for property in ["muxer-factory", "sink-factory"] {
        rig.sink.set_property(property, None::<String>);
    }
    for property in ["muxer-properties", "sink-properties"] {
        rig.sink.set_property(property, None::<gst::Structure>);
    }
    rig.trigger(Some(&good));
    rig.push(10);
    rig.finish();
    rig.push(10);
    let finished = rig.finished();
    assert_eq!(finished.path(), Path::new(&good));
    assert_sound(Path::new(&good));
    done
}

#[test]
fn failures_end_one_recording_alone() {
    let mut rig = Rig::new(encoded(&x264(30, 0), 600), true);
    rig.sink.set_property("max-time", 10 * FRAME);
    rig.start();
    rig.push(40);

    // A directory that is not there, and one that may not be.
    let nowhere = rig.path("none/a.mkv");
    check_failure(&mut rig, Some(&nowhere), "none/a.mkv");
    // A device that is always full.
    rig.sink.set_property("muxer-factory", "matroskamux");
    check_failure(&mut rig, Some("/dev/full"), "space");
    // Formats and elements that do not exist.
    let odd = rig.path("a.xyz");
    check_failure(&mut rig, Some(&odd), ".mkv");
    assert!(!Path::new(&odd).exists(), "an empty file is left");
    let name = rig.path("a.mkv");
    rig.sink.set_property("muxer-factory", "nosuchmux");
    check_failure(&mut rig, Some(&name), "nosuchmux");
    let wrong = gst::Structure::builder("p").field("nosuch", 1).build();
    rig.sink.set_property("sink-properties", wrong);
    check_failure(&mut rig, Some(&name), "nosuch");
    // Raw sound has no place in MP4.
    let mp4 = rig.path("a.mp4");
    check_failure(&mut rig, Some(&mp4), "audio_0");
}

/// How many frames ffprobe counts in a file that it has nothing to say against.
fn frames_that_decode(path: &Path) -> u64 {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-of", "csv=p=0"])
        .args(["-show_entries", "stream=nb_read_frames"])
        .arg(path)
        .output()
        .expect("ffprobe is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    if output.stderr.is_empty() {
        text.trim().parse().unwrap_or(0)
    } else {
        0
    }
}

#[test]
fn errors_in_the_midst_of_a_recording_end_it_alone() {
    let mut rig = Rig::new(encoded(&x264(30, 0), 600), false);
    rig.sink.set_property("max-time", 10 * FRAME);
    rig.start();
    rig.push(40);
    // A disk that is full after the first 4 KiB.
    rig.sink.set_property("muxer-factory", "matroskamux");
    let full = "properties,buffer-mode=full,buffer-size=(uint)4096";
    let full: gst::Structure = full.parse().expect("it parses");
    rig.sink.set_property("sink-properties", full);
    check_failure(&mut rig, Some("/dev/full"), "space");
    // A muxer that fails after 20 buffers.
    rig.sink.set_property("muxer-factory", "identity");
    let fails: gst::Structure = "properties,error-after=20".parse().expect("it parses");
    rig.sink.set_property("muxer-properties", fails);
    let name = rig.path("a.bin");
    let done = check_failure(&mut rig, Some(&name), "identity");
    assert!((1..30).contains(&done.frames), "{done:?}");
}

#[test]
fn a_disk_that_stalls_for_ten_seconds_loses_nothing() {
    let mut rig = Rig::new(encoded(&x264(30, 2), 600), true);
    rig.locate("r%d.mov");
    rig.start();
    let stall = Stall::on(&rig);
    rig.push(100);
    rig.trigger(None);
    let (pushed, all_pushed) = std::sync::mpsc::channel();
    let begun = std::time::Instant::now();
    let disk = std::thread::spawn(move || {
        let is_free = all_pushed.recv_timeout(FAILSAFE.into()).is_ok();
        // As long as it lasts.
        std::thread::sleep(std::time::Duration::from_secs(10).saturating_sub(begun.elapsed()));
        stall.release();
        is_free
    });
    // Neither the frames nor the end of the stream wait for it.
    rig.push_all();
    rig.eos();
    pushed.send(()).expect("the disk is stalled");
    let done = rig.finished();
    rig.wait_eos();
    let is_free = disk.join().expect("the thread ends");
    assert!(is_free, "the stream waited for the disk");
    let decoded = decode(done.path(), true);
    assert_frames(&decoded, 0, 599);
    assert_sound_aligned(&decoded, 1);
}

/// Everything that can be read, read from all sides while a camera's stream and recordings go on.
#[test]
fn reading_while_a_camera_feeds_it_locks_nothing_up() {
    init();
    let directory = tempfile::tempdir().expect("there is a directory");
    let pipeline = gst::parse::launch(
        "k210camerasrc device=sim: interval=20000 ! circularsink name=c max-time=1000000000",
    )
    .expect("the elements are there")
    .downcast::<gst::Pipeline>()
    .expect("it is a pipeline");
    let sink: gst::Element = get(&pipeline, "c");
    let location = directory.path().join("%d.avi");
    sink.set_property("location", location.to_str());
    let read = |sink: &gst::Element| {
        sink.property::<gst::Structure>("stats");
        sink.property::<u64>("level-time") + sink.property::<u64>("level-bytes")
    };
    let bus = pipeline.bus().expect("pipelines have a bus");
    let in_handler = sink.clone();
    bus.set_sync_handler(move |_, _| {
        read(&in_handler);
        gst::BusSyncReply::Pass
    });
    pipeline.set_state(gst::State::Playing).expect("it plays");
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (sink, stop) = (sink.clone(), stop.clone());
            std::thread::spawn(move || {
                while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                    read(&sink);
                    let mut query = gst::query::Latency::new();
                    sink.query(&mut query);
                    std::thread::yield_now();
                }
            })
        })
        .collect();
    until("a frame comes", || sink.property::<u64>("level-bytes") > 0);
    for number in 0..20 {
        sink.set_property("split-on-trigger", number % 3 == 0);
        sink.emit_by_name::<u32>("trigger", &[&None::<String>]);
        sink.emit_by_name::<()>("finish", &[]);
        let types = [gst::MessageType::Element, gst::MessageType::Error];
        loop {
            let message = bus.timed_pop_filtered(FAILSAFE, &types);
            let message = message.expect("the recording ends");
            assert_eq!(message.type_(), gst::MessageType::Element, "{message:?}");
            let ended = |s: &gst::StructureRef| s.name() == "circularsink-recording-finished";
            if message.structure().is_some_and(ended) {
                break;
            }
        }
    }
    pipeline.set_state(gst::State::Null).expect("it stops");
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    for reader in readers {
        reader.join().expect("the thread ends");
    }
}

#[test]
fn a_directory_that_vanishes_is_reported() {
    let mut rig = Rig::new(encoded(&x264(30, 0), 600), false);
    rig.start();
    rig.push(40);
    let directory = rig.dir.path().join("gone");
    std::fs::create_dir(&directory).expect("it is made");
    rig.trigger(directory.join("a.mkv").to_str());
    rig.wait("circularsink-recording-started");
    std::fs::remove_dir_all(&directory).expect("it is removed");
    rig.push(40);
    rig.finish();
    rig.push(10);
    let (_, error) = rig.failed();
    assert!(error.contains("gone"), "{error}");
}

#[test]
fn a_change_of_state_finishes_what_is_open() {
    let mut rig = Rig::new(encoded(&x264(30, 0), 600), true);
    rig.locate("r%d.mov");
    rig.start();
    rig.push(100);
    rig.trigger(None);
    rig.push(53);
    rig.stop();
    let path = PathBuf::from(rig.path("r0.mov"));
    assert_sound(&path);
    assert_frames(&decode(&path, true), 0, 152);
    assert_eq!(stats_of(&rig, "recordings-finished"), 1);
}

#[test]
fn a_hanging_sink_can_not_hold_up_a_change_of_state() {
    let mut rig = Rig::new(encoded(&x264(30, 0), 600), false);
    rig.sink.set_property("finish-timeout", 200_000_000u64);
    rig.start();
    let stall = Stall::on(&rig);
    rig.push(100);
    rig.trigger(None);
    rig.push(50);
    // Would hang for as long as the sink does, which is for ever.
    rig.stop();
    assert_eq!(stats_of(&rig, "recordings-failed"), 1);
    stall.release();
}

#[test]
fn a_storage_that_is_slow_is_not_said_to_take_nothing() {
    let mut rig = Rig::new(encoded(&x264(30, 0), 600), false);
    rig.sink.set_property("finish-timeout", 1_000_000_000u64);
    rig.start();
    let slow = Arc::new(AtomicBool::new(true));
    let is_slow = slow.clone();
    before_each_write(&rig, move || {
        if is_slow.load(Ordering::Relaxed) {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    });
    rig.trigger(None);
    rig.push_all();
    rig.stop_to_ready();
    let (_, error) = rig.failed();
    assert!(error.contains("did not take all of it"), "{error}");
    slow.store(false, Ordering::Relaxed);
    until("its thread is over", || !recordings_run());
}

/// A thread that hangs where no deadline reaches it: here in the application's answer.
#[test]
fn a_recording_that_is_given_up_at_the_end_is_told_of() {
    let mut rig = Rig::new(encoded(&x264(30, 0), 600), false);
    rig.sink.set_property("finish-timeout", 200_000_000u64);
    let hang = Arc::new((Mutex::new(true), std::sync::Condvar::new()));
    let held = hang.clone();
    rig.sink.connect("format-location", false, move |_| {
        let mut waits = held.0.lock().expect("nobody panics");
        while *waits {
            waits = held.1.wait(waits).expect("nobody panics");
        }
        None::<String>.to_value().into()
    });
    rig.start();
    rig.push(100);
    let id = rig.trigger(None);
    rig.push(50);
    rig.stop_to_ready();
    let (done, error) = rig.failed();
    assert_eq!(done.id, id);
    assert!(error.contains("within 200ms"), "{error}");
    *hang.0.lock().expect("nobody panics") = false;
    hang.1.notify_all();
    until("its thread is over", || !recordings_run());
    // Counted once, whatever its thread makes of it in the end.
    assert_eq!(stats_of(&rig, "recordings-failed"), 1);
    assert_eq!(stats_of(&rig, "recordings-finished"), 0);
}

#[test]
fn a_hanging_sink_can_not_hold_up_the_end_of_the_stream() {
    let mut rig = Rig::new(encoded(&x264(30, 0), 600), false);
    rig.sink.set_property("finish-timeout", 200_000_000u64);
    rig.start();
    let stall = Stall::on(&rig);
    rig.push(100);
    rig.trigger(None);
    rig.eos();
    let (_, error) = rig.failed();
    assert!(error.contains("storage"), "{error}");
    rig.wait_eos();
    stall.release();
}

#[test]
fn a_change_of_format_begins_a_new_file() {
    let small = encoded(&x264(30, 0), 600);
    let mut rig = Rig::new(small.clone(), false);
    rig.sink.set_property("recording", true);
    rig.start();
    rig.push(100);
    let other = encoded("jpegenc", 200);
    rig.stream = other;
    rig.announce();
    rig.push(50);
    let done = rig.end(2);
    assert_frames(&decode(done[0].path(), false), 0, 99);
    assert_frames(&decode(done[1].path(), false), 100, 149);
}

#[test]
fn a_flush_begins_a_new_file() {
    let mut rig = Rig::new(encoded(&x264(30, 0), 600), false);
    rig.sink.set_property("recording", true);
    rig.start();
    rig.push(100);
    rig.video.push_event(gst::event::FlushStart::new());
    rig.video.push_event(gst::event::FlushStop::new(true));
    assert_eq!(rig.sink.property::<u64>("level-bytes"), 0);
    rig.next = 30;
    rig.announce();
    rig.push(60);
    let done = rig.end(2);
    assert_frames(&decode(done[0].path(), false), 0, 99);
    assert_frames(&decode(done[1].path(), false), 30, 89);
}

#[test]
fn states_change_back_and_forth() {
    let mut rig = Rig::new(encoded(&x264(30, 0), 600), true);
    let audio_bare = rig
        .sink
        .request_pad_simple("audio_%u")
        .expect("a pad is made");
    for round in 0..100 {
        rig.next = 0;
        rig.next_sample = 0;
        rig.start();
        rig.push(3);
        if round % 10 == 0 {
            rig.trigger(None);
            rig.pipeline
                .set_state(gst::State::Paused)
                .expect("it pauses");
            rig.pipeline
                .set_state(gst::State::Playing)
                .expect("it plays");
            rig.push(2);
        }
        rig.stop();
        // Pads go inactive with the element; ours have to forget what they sent.
        for pad in [Some(&rig.video), rig.audio.as_ref()].into_iter().flatten() {
            pad.set_active(false).expect("it stops");
            pad.set_active(true).expect("it starts");
        }
    }
    rig.sink.release_request_pad(&audio_bare);
    assert_eq!(stats_of(&rig, "recordings-finished"), 10);
    assert_eq!(stats_of(&rig, "recordings-failed"), 0);
    for number in 0..10 {
        assert_sound(Path::new(&rig.path(&format!("r{number:03}.mkv"))));
    }
}

#[test]
fn a_paused_pipeline_holds_the_stream() {
    let mut rig = Rig::new(encoded(&x264(30, 0), 600), false);
    rig.start();
    rig.push(10);
    rig.pipeline
        .set_state(gst::State::Paused)
        .expect("it pauses");
    let before: u64 = rig.sink.property("level-bytes");
    let (pad, buffer) = (rig.video.clone(), rig.stream.buffers[10].clone());
    let pushed = std::thread::spawn(move || pad.push(buffer));
    rig.pipeline
        .set_state(gst::State::Playing)
        .expect("it plays");
    pushed
        .join()
        .expect("the thread ends")
        .expect("the frame is taken");
    assert!(rig.sink.property::<u64>("level-bytes") > before);
    // One that waits is let go when the element stops.
    rig.pipeline
        .set_state(gst::State::Paused)
        .expect("it pauses");
    let (pad, buffer) = (rig.video.clone(), rig.stream.buffers[11].clone());
    let pushed = std::thread::spawn(move || pad.push(buffer));
    rig.stop();
    let result = pushed.join().expect("the thread ends");
    assert_eq!(result, Err(gst::FlowError::Flushing));
}

#[test]
fn elementary_streams_and_sequences() {
    let mut rig = Rig::new(encoded(&x264(30, 0), 600), true);
    rig.start();
    rig.push(40);
    for name in ["a.h264", "a.wav"] {
        rig.trigger(Some(&rig.path(name)));
    }
    rig.push(40);
    rig.finish();
    rig.push(10);
    rig.finished();
    rig.finished();
    for name in ["a.h264", "a.wav"] {
        assert_sound(Path::new(&rig.path(name)));
    }
    let bytes = std::fs::read(rig.path("a.h264")).expect("it is there");
    assert!(bytes.starts_with(&[0, 0, 0, 1]), "no byte stream");
    let wav = std::fs::read(rig.path("a.wav")).expect("it is there");
    let expected = 80 * SAMPLES / RATE * 2;
    assert!(
        (wav.len() as u64).abs_diff(expected) < 200,
        "{} bytes",
        wav.len()
    );

    let mut rig = Rig::new(encoded("jpegenc", 200), false);
    rig.start();
    rig.push(20);
    for name in ["a.mjpeg", "a.jpg"] {
        rig.trigger(Some(&rig.path(name)));
    }
    rig.push(20);
    rig.finish();
    rig.push(10);
    rig.finished();
    rig.finished();
    assert_sound(Path::new(&rig.path("a.mjpeg")));
    for number in [0, 39] {
        assert_sound(Path::new(&rig.path(&format!("a-{number:06}.jpg"))));
    }
    assert!(!Path::new(&rig.path("a-000040.jpg")).exists());
}

#[test]
fn sound_alone_is_recorded_too() {
    let rig = Rig::new(encoded("jpegenc", 200), true);
    // Without a peer the pad for video takes no part.
    let video = rig.sink.static_pad("video").expect("the pad is there");
    rig.video.unlink(&video).expect("the pads part");
    rig.locate("a%d.wav");
    rig.sink.set_property("max-time", 1_000_000_000u64);
    rig.start();
    let audio = rig.audio.clone().expect("there is sound");
    for number in 0..100 {
        audio
            .push(samples(number * 1000..(number + 1) * 1000))
            .expect("taken");
    }
    rig.trigger(None);
    audio.push_event(gst::event::Eos::new());
    let done = rig.finished();
    rig.wait_eos();
    let bytes = std::fs::read(done.path()).expect("it is there");
    let kept = (bytes.len() as u64 - 44) / 2;
    assert!((SAMPLES..SAMPLES + 2000).contains(&kept), "{kept} samples");
    let last = i16::from_le_bytes([bytes[bytes.len() - 2], bytes[bytes.len() - 1]]);
    assert_eq!(u64::from(last.unsigned_abs()), 99_999 % 30_000);
}

/// The stream as encoders give it that send their parameter sets once: of the other key units the
/// slice is left, behind a delimiter. Parsers put that in front in a memory of its own.
fn sets_once(stream: &Encoded, delimiter_apart: bool) -> Encoded {
    // Start code, NAL unit type and one byte.
    const DELIMITER: usize = 6;
    let mut bare = stream.clone();
    for (number, buffer) in bare.buffers.iter_mut().enumerate() {
        let map = buffer.map_readable().expect("it can be read");
        assert_eq!(map[..5], [0, 0, 0, 1, 9], "x264enc begins with a delimiter");
        let slice = map
            .windows(4)
            .position(|w| w[..3] == [0, 0, 1] && w[3] & 0x1f == 5);
        drop(map);
        let rest = match slice {
            Some(slice) if number > 0 => slice,
            _ => DELIMITER,
        };
        let part = |range| {
            let flags = gst::BufferCopyFlags::all();
            buffer.copy_region(flags, range).expect("it is longer")
        };
        let mut cut = part(0..DELIMITER);
        cut.append(part(rest..buffer.size()));
        if !delimiter_apart {
            let map = cut.map_readable().expect("it can be read").to_vec();
            cut.make_mut()
                .replace_all_memory(gst::Memory::from_slice(map));
        }
        cut.make_mut().set_duration(buffer.duration());
        *buffer = cut;
    }
    bare
}

#[test]
fn parameter_sets_are_in_every_file() {
    let stream = encoded(
        &format!("{} ! video/x-h264,stream-format=byte-stream", x264(30, 0)),
        600,
    );
    for (name, apart) in [("a.mp4", false), ("a.h264", false), ("a.h264", true)] {
        let mut rig = Rig::new(sets_once(&stream, apart), false);
        rig.sink.set_property("max-time", 10 * FRAME);
        rig.start();
        rig.push(100);
        rig.trigger(Some(&rig.path(name)));
        rig.push(50);
        rig.finish();
        rig.push(10);
        let done = rig.finished();
        assert_sound(done.path());
        if name == "a.mp4" {
            assert_frames(&decode(done.path(), false), 60, 149);
            continue;
        }
        // A delimiter is the first of an access unit; the parameter sets follow it.
        let bytes = std::fs::read(done.path()).expect("the file is there");
        let kinds = bytes.windows(4).filter(|w| w[..3] == [0, 0, 1]);
        let kinds: Vec<_> = kinds.take(5).map(|w| w[3] & 0x1f).collect();
        assert_eq!(kinds, [9, 7, 8, 5, 9], "{apart}");
    }
}

#[test]
fn tags_are_in_every_file() {
    let mut rig = Rig::new(encoded(&x264(30, 0), 600), false);
    rig.start();
    let mut tags = gst::TagList::new();
    tags.make_mut().set_scope(gst::TagScope::Global);
    tags.make_mut()
        .add::<gst::tags::Title>(&"Finches", gst::TagMergeMode::Append);
    rig.video.push_event(gst::event::Tag::new(tags));
    rig.push(40);
    for name in ["a.mkv", "b.mkv"] {
        rig.trigger(Some(&rig.path(name)));
    }
    rig.push(10);
    rig.finish();
    rig.push(10);
    for _ in 0..2 {
        let done = rig.finished();
        let output = Command::new("ffprobe")
            .args(["-v", "error", "-show_entries", "format_tags:stream_tags"])
            .arg(done.path())
            .output()
            .expect("ffprobe is installed");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("Finches"), "{text}");
    }
}

#[test]
fn encoded_sound_keeps_its_times() {
    // The recording ends 128 samples into a frame of more than 128 bytes, which must not be cut as
    // raw sound would be.
    let (caps, frames) = sound("avenc_aac bitrate=256000");
    let mut rig = Rig::new(encoded(&x264(30, 2), 600), true);
    rig.sink.set_property("max-time", 50 * FRAME);
    rig.start();
    let audio = rig.audio.take().expect("there is sound");
    audio.push_event(gst::event::Caps::new(&caps));
    let mut sent = frames.iter();
    for count in 1..=200u64 {
        while let Some(frame) = sent.as_slice().first()
            && frame.pts() < Some(gst::ClockTime::from_nseconds(count * FRAME))
        {
            audio.push(frame.clone()).expect("taken");
            sent.next();
        }
        rig.push(1);
        if count == 170 {
            rig.trigger(Some(&rig.path("a.mp4")));
        }
        if count == 194 {
            rig.sink.emit_by_name::<()>("finish", &[]);
        }
    }
    rig.video.push_event(gst::event::Eos::new());
    audio.push_event(gst::event::Eos::new());
    let done = rig.finished();
    let start = done.start.expect("it began") as f64 / 1e9;
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "a", "-of", "csv=p=0"])
        .args(["-show_entries", "packet=pts_time,size"])
        .arg(done.path())
        .output()
        .expect("ffprobe is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut expected = frames
        .iter()
        .skip_while(|f| f.pts().map_or(0., |t| t.nseconds() as f64 / 1e9) < start);
    let mut count = 0;
    for line in text.lines() {
        let mut fields = line.trim_end_matches(',').split(',');
        let time: f64 = fields.next().and_then(|f| f.parse().ok()).expect("a time");
        let size: usize = fields.next().and_then(|f| f.parse().ok()).expect("a size");
        let frame = expected.next().expect("it was sent");
        let sent = frame.pts().map_or(0., |t| t.nseconds() as f64 / 1e9) - start;
        assert!((time - sent).abs() < 0.001, "{time} instead of {sent}");
        assert_eq!(size, frame.size());
        count += 1;
    }
    assert!(count > 100, "{count} frames of sound");
}

#[test]
fn a_pool_that_has_few_buffers_gets_them_back() {
    let rig = Rig::new(encoded("identity", 200), false);
    rig.start();
    let pool = gst::BufferPool::new();
    let mut config = pool.config();
    config.set_params(Some(&rig.stream.caps), 64 * 64 * 3 / 2, 4, 4);
    pool.set_config(config).expect("the pool takes it");
    pool.set_active(true).expect("the pool starts");
    for number in 0..50 {
        let params =
            gst::BufferPoolAcquireParams::with_flags(gst::BufferPoolAcquireFlags::DONTWAIT);
        let mut buffer = pool
            .acquire_buffer(Some(&params))
            .unwrap_or_else(|_| panic!("the ring keeps the pool's buffers: {number}"));
        let it = buffer.get_mut().expect("nobody else has it");
        it.set_pts(gst::ClockTime::from_nseconds(number * FRAME));
        rig.video.push(buffer).expect("taken");
    }
    pool.set_active(false).expect("the pool stops");
}

/// As much as the raw picture has, of which `jpegenc` fills a part; tells when it is gone.
struct Spacious(Vec<u8>, mpsc::Sender<()>);

impl AsRef<[u8]> for Spacious {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Spacious {
    fn drop(&mut self) {
        let _ = self.1.send(());
    }
}

#[test]
fn what_a_frame_does_not_fill_is_not_kept() {
    let rig = Rig::new(encoded("identity", 200), false);
    rig.start();
    let (gone, told) = mpsc::channel();
    for number in 0..10 {
        let mut buffer = gst::Buffer::from_slice(Spacious(vec![7; 460_800], gone.clone()));
        let it = buffer.get_mut().expect("nobody else has it");
        it.set_size(25_000);
        it.set_pts(gst::ClockTime::from_nseconds(number * FRAME));
        rig.video.push(buffer).expect("taken");
    }
    let stats: gst::Structure = rig.sink.property("stats");
    assert_eq!(stats.get::<u64>("level-buffers").unwrap(), 10, "{stats}");
    assert_eq!(stats.get::<u64>("level-bytes").unwrap(), 250_000, "{stats}");
    assert_eq!(told.try_iter().count(), 10, "the ring keeps their memory");
}

#[test]
fn properties_reach_muxer_and_sink() {
    let mut rig = Rig::new(encoded(&x264(30, 0), 600), false);
    let muxer = gst::Structure::builder("properties")
        .field("writing-app", "birds")
        .build();
    rig.sink.set_property("muxer-properties", muxer);
    rig.sink.set_property(
        "sink-properties",
        "properties,buffer-mode=full"
            .parse::<gst::Structure>()
            .expect("it parses"),
    );
    rig.start();
    rig.push(40);
    rig.trigger(None);
    rig.wait("circularsink-recording-started");
    let dot = rig
        .pipeline
        .debug_to_dot_data(gst::DebugGraphDetails::all());
    for part in [
        "recording0",
        "GstMatroskaMux",
        "writing-app=\\\"birds\\\"",
        "level-time",
    ] {
        assert!(dot.contains(part), "{part} is not in the graph");
    }
    rig.finish();
    rig.push(10);
    rig.finished();
    let dot = rig
        .pipeline
        .debug_to_dot_data(gst::DebugGraphDetails::all());
    assert!(!dot.contains("recording0"), "it is still in the graph");
}

#[test]
fn any_sink_can_take_a_recording() {
    let mut rig = Rig::new(encoded(&x264(30, 0), 600), false);
    rig.sink.set_property("location", None::<String>);
    rig.sink.set_property("muxer-factory", "mpegtsmux");
    rig.sink.set_property("sink-factory", "fakesink");
    rig.start();
    rig.push(40);
    rig.trigger(None);
    rig.push(10);
    rig.finish();
    rig.push(10);
    let done = rig.finished();
    assert_eq!((done.location, done.frames), (None, 50));
}

#[test]
fn refuses_to_keep_without_limit() {
    let rig = Rig::new(encoded("jpegenc", 200), false);
    for property in ["max-time", "max-bytes", "max-buffers"] {
        rig.sink.set_property(property, 0u64);
    }
    assert!(rig.pipeline.set_state(gst::State::Playing).is_err());
    let message = rig.bus().pop_filtered(&[gst::MessageType::Error]);
    let message = message.expect("it says why");
    let gst::MessageView::Error(error) = message.view() else {
        panic!("{message:?}");
    };
    assert!(error.error().message().contains("max-time"), "{error:?}");
    assert_eq!(rig.trigger(None), u32::MAX);
}

#[test]
fn latency_is_upstreams() {
    init();
    let pipeline = gst::parse::launch(
        "videotestsrc is-live=true ! video/x-raw,framerate=25/1 ! circularsink name=c",
    )
    .expect("the elements are there")
    .downcast::<gst::Pipeline>()
    .expect("it is a pipeline");
    pipeline.set_state(gst::State::Playing).expect("it plays");
    let sink: gst::Element = get(&pipeline, "c");
    // The source does not know before it has a format.
    until("a frame comes", || sink.property::<u64>("level-bytes") > 0);
    let mut query = gst::query::Latency::new();
    assert!(sink.query(&mut query));
    let (live, min, _) = query.result();
    assert!(live);
    assert_eq!(min, gst::ClockTime::from_mseconds(40));
    pipeline.set_state(gst::State::Null).expect("it stops");
}

/// A generator of numbers that are the same each time (xorshift, Marsaglia 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Triggers at random moments with random post-times, overlapping, split and extended: no frame is
/// lost, none comes twice. `SOAK=1000` sets how many, `SOAK_SEED` which.
#[test]
fn random_triggers_lose_and_double_nothing() {
    let count = crate::common::count("SOAK", 60);
    let mut random = Random(0x5eed_cafe_f00d_d00d ^ crate::common::count("SOAK_SEED", 0));
    let (mut done, mut finished) = (0, 0);
    let mut round = 0;
    while done < count {
        round += 1;
        let gop = [1, 12, 30][random.below(3) as usize];
        let bframes = if gop > 1 { random.below(3) as u32 } else { 0 };
        let mut rig = Rig::new(encoded(&x264(gop, bframes), 600), true);
        let keep = 10 + random.below(100);
        rig.sink.set_property("max-time", keep * FRAME);
        rig.start();
        let mut ids = std::collections::BTreeMap::new();
        let mut asked = 0;
        while rig.next < 560 {
            let step = 1 + random.below(30) as usize;
            rig.push(step.min(560 - rig.next));
            rig.sink
                .set_property("post-time", random.below(3) * random.below(60) * FRAME);
            rig.sink
                .set_property("split-on-trigger", random.below(4) == 0);
            if random.below(8) == 0 {
                rig.finish();
            }
            let name = rig.path(&format!("{asked}.mkv"));
            let location = (random.below(2) == 0).then_some(name.as_str());
            let newest = rig.next as u64;
            let id = rig.trigger(location);
            asked += 1;
            ids.entry(id).or_insert(newest);
        }
        rig.push_all();
        rig.eos();
        let mut results = Vec::new();
        while results.len() < ids.len() {
            let types = [gst::MessageType::Element, gst::MessageType::Error];
            let message = rig.bus().timed_pop_filtered(FAILSAFE, &types);
            let message = message.expect("each recording ends");
            let structure = message.structure().expect("no error").to_owned();
            match structure.name().as_str() {
                "circularsink-recording-finished" => results.push(Some(Done::new(&structure))),
                "circularsink-recording-failed" => {
                    // One that was to succeed another, and was called off before it began.
                    let error = structure.get::<String>("error").expect("it says why");
                    assert!(error.contains("before a key unit"), "{error}");
                    results.push(None);
                }
                _ => (),
            }
        }
        rig.wait_eos();
        for result in results.into_iter().flatten() {
            finished += 1;
            let decoded = decode(result.path(), true);
            let (first, length) = (decoded.frames[0].1, decoded.frames.len() as u64);
            assert_frames(&decoded, first, first + length - 1);
            assert_sound_aligned(&decoded, 1);
            assert_eq!(length, result.frames);
        }
        done += asked;
        assert!(round < 10_000);
    }
    println!("{done} triggers, {finished} recordings");
    assert!(
        finished > done / 10,
        "{finished} recordings of {done} triggers"
    );
}

/// Whether a recording's thread is running still: it frees what it holds as its last deed.
fn recordings_run() -> bool {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux lists threads");
    tasks.flatten().any(|task| {
        let name = std::fs::read_to_string(task.path().join("comm"));
        name.is_ok_and(|name| name.starts_with("recording"))
    })
}

/// Runs this test alone in a process with the leaks tracer, where it runs some of the others.
#[test]
fn nothing_leaks() {
    if std::env::var_os("GST_TRACERS").is_some_and(|tracers| tracers == "leaks") {
        recordings_overlap();
        a_split_loses_nothing_and_repeats_nothing();
        failures_end_one_recording_alone();
        a_flush_begins_a_new_file();
        a_hanging_sink_can_not_hold_up_a_change_of_state();
        MADE.lock().unwrap_or_else(|e| e.into_inner()).take();
        until("no recording runs any more", || !recordings_run());
        // SAFETY: this process has no other test and no thread that uses GStreamer.
        unsafe { gst::deinit() };
        return;
    }
    let output = Command::new(std::env::current_exe().expect("the program has a path"))
        .args(["--exact", "circularsink::nothing_leaks", "--nocapture"])
        .env("GST_TRACERS", "leaks")
        .env("GST_DEBUG", "GST_TRACER:7")
        .env("GST_DEBUG_NO_COLOR", "1")
        .output()
        .expect("the program runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // The tracer announces the form of its lines before there are any.
    assert!(
        said.contains("object-alive.class"),
        "the tracer did not run"
    );
    let alive: Vec<_> = said
        .lines()
        .filter(|line| line.contains(": object-alive, "))
        .filter(|line| !line.contains("new format string"))
        .collect();
    assert!(alive.is_empty(), "{}", alive.join("\n"));
}
