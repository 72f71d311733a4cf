// SPDX-License-Identifier: MIT OR Apache-2.0
//! `audiorecordsink` as MaixCAM's users and as pipelines use it.

use std::path::Path;
use std::sync::mpsc;

use crate::common::{Pipeline, until};
use gst::prelude::*;

/// 48 kHz, 16 bits, one channel: MaixCAM's default, 96 bytes a millisecond.
const CAPS: &str = "audio/x-raw,format=S16LE,rate=48000,channels=1,layout=interleaved";
const LIVE: &str = "audiotestsrc is-live=true samplesperbuffer=480 ! \
    audio/x-raw,format=S16LE,rate=48000,channels=1 ! audiorecordsink name=r";

fn record(sink: &gst::Element, ms: i32) -> Vec<u8> {
    let buffer = sink.emit_by_name::<gst::Buffer>("record", &[&ms]);
    buffer.map_readable().unwrap().to_vec()
}

fn remaining(sink: &gst::Element) -> u64 {
    sink.property("remaining-frames")
}

/// An application that pushes samples itself; their values count up so that any gap shows.
struct Source {
    pipeline: Pipeline,
    src: gst_app::AppSrc,
    sink: gst::Element,
    next: u16,
}

impl Source {
    fn new(live: bool, options: &str) -> Self {
        let pipeline = Pipeline::launch(&format!(
            "appsrc name=s format=time is-live={live} caps={CAPS} ! audiorecordsink name=r {options}"
        ));
        let src = pipeline.element("s").downcast().unwrap();
        let sink = pipeline.element("r");
        Self {
            pipeline,
            src,
            sink,
            next: 0,
        }
    }

    fn push(&mut self, frames: u16) -> Vec<u8> {
        let data: Vec<u8> = (0..frames)
            .flat_map(|n| self.next.wrapping_add(n).to_le_bytes())
            .collect();
        let mut buffer = gst::Buffer::from_slice(data.clone());
        let start = u64::from(self.next) * 1_000_000_000 / 48_000;
        buffer
            .get_mut()
            .unwrap()
            .set_pts(gst::ClockTime::from_nseconds(start));
        self.next = self.next.wrapping_add(frames);
        self.src.push_buffer(buffer).unwrap();
        data
    }

    /// Waits for the element to have taken in all that was pushed: an event that follows it arrives.
    fn drained(&self) {
        let (sender, receiver) = mpsc::channel();
        self.sink.static_pad("sink").unwrap().add_probe(
            gst::PadProbeType::EVENT_DOWNSTREAM,
            move |_, info| match info.event().map(|event| event.type_()) {
                Some(gst::EventType::CustomDownstream) => {
                    let _ = sender.send(());
                    gst::PadProbeReturn::Remove
                }
                _ => gst::PadProbeReturn::Ok,
            },
        );
        let last = gst::Structure::new_empty("all-has-been-pushed");
        assert!(self.src.send_event(gst::event::CustomDownstream::new(last)));
        crate::common::received(&receiver);
    }
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

/// The samples of a WAV file whose sizes have to be those of the file.
fn wav_samples(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(&bytes[..4], b"RIFF");
    assert_eq!(u32_at(&bytes, 4), bytes.len() - 8);
    assert_eq!(&bytes[36..40], b"data");
    assert_eq!(u32_at(&bytes, 40), bytes.len() - 44);
    bytes[44..].to_vec()
}

#[test]
fn a_pipeline_records_all_of_its_stream() {
    let dir = tempfile::tempdir().unwrap();
    let wav = dir.path().join("all.wav");
    let pipeline = Pipeline::launch(&format!(
        "audiotestsrc num-buffers=100 samplesperbuffer=441 ! audio/x-raw,rate=44100,channels=2 ! \
         audiorecordsink location={}",
        wav.display()
    ));
    pipeline.run().unwrap();
    assert_eq!(wav_samples(&wav).len(), 44_100 * 4);
    let stream =
        crate::common::ffprobe(&wav, &[], "stream=codec_name,sample_rate,channels,duration");
    assert_eq!(stream, ["pcm_s16le", "44100", "2", "1.000000"]);
}

#[test]
fn maixcams_defaults_are_preferred_and_others_accepted() {
    for (options, expected) in [
        ("", ["pcm_s16le", "48000", "1"]),
        ("sample-rate=16000 channels=2", ["pcm_s16le", "16000", "2"]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let wav = dir.path().join("a.wav");
        let pipeline = Pipeline::launch(&format!(
            "audiotestsrc num-buffers=3 ! audioconvert ! audioresample ! \
             audiorecordsink {options} location={}",
            wav.display()
        ));
        pipeline.run().unwrap();
        assert_eq!(
            crate::common::ffprobe(&wav, &[], "stream=codec_name,sample_rate,channels"),
            expected
        );
    }
}

#[test]
fn each_format_reaches_the_file_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    for (format, extension, codec) in [
        ("U8", "wav", "pcm_u8"),
        ("S24LE", "wav", "pcm_s24le"),
        ("S32LE", "wav", "pcm_s32le"),
        ("F32LE", "wav", "pcm_f32le"),
        ("F64LE", "wav", "pcm_f64le"),
        ("S16BE", "pcm", ""),
        ("S8", "pcm", ""),
        ("U32BE", "pcm", ""),
    ] {
        let file = dir.path().join(format!("{format}.{extension}"));
        let reference = dir.path().join("reference");
        let pipeline = Pipeline::launch(&format!(
            "audiotestsrc num-buffers=5 ! audioconvert dithering=none ! audio/x-raw,format={format} ! \
             tee name=t ! queue ! audiorecordsink location={} t. ! queue ! filesink location={}",
            file.display(),
            reference.display()
        ));
        pipeline
            .run()
            .unwrap_or_else(|err| panic!("{format}: {err}"));
        let header = if extension == "wav" { 44 } else { 0 };
        assert_eq!(
            std::fs::read(&file).unwrap()[header..],
            std::fs::read(&reference).unwrap(),
            "{format}"
        );
        if !codec.is_empty() {
            assert_eq!(
                crate::common::ffprobe(&file, &[], "stream=codec_name"),
                [codec]
            );
        }
    }
}

#[test]
fn sizes_are_right_after_every_buffer() {
    let dir = tempfile::tempdir().unwrap();
    let wav = dir.path().join("growing.wav");
    let mut source = Source::new(true, &format!("location={}", wav.display()));
    source.pipeline.play();
    let mut all = Vec::new();
    for _ in 0..20 {
        all.extend(source.push(333));
        source.drained();
        // What a power cut would leave: nobody has finished anything.
        until("the header is right", || {
            std::fs::metadata(&wav).is_ok_and(|m| m.len() == 44 + all.len() as u64)
        });
        until("the header is right", || {
            u32_at(&std::fs::read(&wav).unwrap(), 4) == 36 + all.len()
        });
        assert_eq!(wav_samples(&wav), all);
    }
}

/// A power cut, as far as this process is concerned: nobody gets to complete the file.
#[test]
fn a_recorder_that_is_killed_leaves_a_file_that_plays() {
    let dir = tempfile::tempdir().unwrap();
    let wav = dir.path().join("killed.wav");
    let mut launch = std::process::Command::new("gst-launch-1.0")
        .args("-q audiotestsrc is-live=true samplesperbuffer=480 !".split(' '))
        .args("audio/x-raw,format=S16LE,rate=48000,channels=1 ! audiorecordsink".split(' '))
        .arg(format!("location={}", wav.display()))
        .envs(crate::common::plugin_path(dir.path()))
        .spawn()
        .unwrap();
    until("some sound is in the file", || {
        assert!(
            launch.try_wait().unwrap().is_none(),
            "gst-launch-1.0 has ended"
        );
        wav.metadata()
            .is_ok_and(|metadata| metadata.len() > 44 + 20 * 960)
    });
    launch.kill().unwrap();
    launch.wait().unwrap();
    let frames = (wav.metadata().unwrap().len() - 44) / 2;
    let counted = crate::common::ffprobe(&wav, &[], "stream=duration_ts")[0].parse::<u64>();
    // The buffer that was being written may not be in the header yet.
    assert!((frames - 480..=frames).contains(&counted.unwrap()));
}

#[test]
fn blocking_record_is_exact_and_is_what_the_file_holds() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["exact.wav", "exact.pcm"] {
        let path = dir.path().join(name);
        let pipeline = Pipeline::launch(&format!("{LIVE} location={}", path.display()));
        let sink = pipeline.element("r");
        pipeline.play();
        let mut all = Vec::new();
        for ms in [300, 1, 0, 33, 250] {
            let data = record(&sink, ms);
            assert_eq!(data.len(), ms as usize * 96, "{ms} ms");
            all.extend(data);
        }
        sink.emit_by_name::<()>("finish", &[]);
        if name.ends_with("wav") {
            assert_eq!(wav_samples(&path), all);
        } else {
            assert_eq!(std::fs::read(&path).unwrap(), all);
        }
        // As with MaixCAM, recording again after finish() begins the file again.
        let data = record(&sink, 10);
        sink.emit_by_name::<()>("finish", &[]);
        assert!(std::fs::read(&path).unwrap().ends_with(&data));
        assert!(std::fs::metadata(&path).unwrap().len() <= 44 + data.len() as u64);
    }
}

#[test]
fn lengths_are_rounded_down_to_frames() {
    let pipeline = Pipeline::launch(
        "audiotestsrc ! audio/x-raw,format=S16LE,rate=44100,channels=2 ! audiorecordsink name=r",
    );
    let sink = pipeline.element("r");
    pipeline.play();
    assert_eq!(record(&sink, 7).len(), 308 * 4);
    assert_eq!(sink.property::<u32>("sample-rate"), 44_100);
    assert_eq!(sink.property::<u32>("channels"), 2);
    assert_eq!(sink.property::<u32>("frame-size"), 4);
    let bytes = sink.emit_by_name::<gst::Buffer>("record-bytes", &[&1003_i32]);
    assert_eq!(bytes.size(), 1000);
}

#[test]
fn record_is_contiguous_with_timestamps() {
    let mut source = Source::new(false, "");
    source.pipeline.play();
    let all = source.push(4800);
    let first = source
        .sink
        .emit_by_name::<gst::Buffer>("record", &[&20_i32]);
    let second = source
        .sink
        .emit_by_name::<gst::Buffer>("record", &[&30_i32]);
    assert_eq!(first.map_readable().unwrap().as_slice(), &all[..960 * 2]);
    assert_eq!(
        second.map_readable().unwrap().as_slice(),
        &all[960 * 2..2400 * 2]
    );
    assert_eq!(first.pts(), Some(gst::ClockTime::ZERO));
    assert_eq!(first.duration(), Some(gst::ClockTime::from_mseconds(20)));
    assert_eq!(second.pts(), Some(gst::ClockTime::from_mseconds(20)));
    assert!(!second.flags().contains(gst::BufferFlags::DISCONT));
}

#[test]
fn not_blocking_returns_what_is_ready() {
    let mut source = Source::new(true, "block=false");
    let sink = source.sink.clone();
    source.pipeline.play();
    source.push(480);
    source.drained();
    assert_eq!(remaining(&sink), 0, "nobody has called reset(true)");
    assert!(record(&sink, 50).is_empty());

    sink.emit_by_name::<()>("reset", &[&true]);
    assert!(record(&sink, 50).is_empty(), "nothing is ready yet");
    let data = source.push(960);
    until("the samples are ready", || remaining(&sink) == 960);
    assert_eq!(record(&sink, 5), data[..240 * 2]);
    assert_eq!(remaining(&sink), 720, "frames, not bytes");
    assert_eq!(record(&sink, 50), data[240 * 2..], "20 ms asked for as 50");
    assert_eq!(remaining(&sink), 0);

    source.push(480);
    until("the samples are ready", || remaining(&sink) == 480);
    assert_eq!(record(&sink, -1).len(), 960, "all that is ready");

    source.push(480);
    until("the samples are ready", || remaining(&sink) == 480);
    sink.emit_by_name::<()>("reset", &[&false]);
    assert_eq!(remaining(&sink), 0, "reset forgets what is unread");
    source.push(480);
    source.drained();
    assert_eq!(remaining(&sink), 0, "and stops");

    sink.emit_by_name::<()>("reset", &[&true]);
    let data = source.push(480);
    until("the samples are ready", || remaining(&sink) == 480);
    assert_eq!(record(&sink, 10), data);
}

#[test]
fn volume_and_mute_act_at_once() {
    let mut source = Source::new(true, "block=false volume=50");
    let sink = source.sink.clone();
    source.pipeline.play();
    sink.emit_by_name::<()>("reset", &[&true]);
    let samples = |source: &mut Source| -> (Vec<i16>, Vec<i16>) {
        let decode = |data: Vec<u8>| {
            data.chunks(2)
                .map(|s| i16::from_le_bytes([s[0], s[1]]))
                .collect::<Vec<_>>()
        };
        let pushed = decode(source.push(480));
        until("the samples are ready", || remaining(&sink) == 480);
        let recorded = decode(record(&sink, 10));
        assert_eq!(recorded.len(), pushed.len());
        (pushed, recorded)
    };
    let (pushed, recorded) = samples(&mut source);
    assert!(pushed.iter().zip(&recorded).all(|(&p, &r)| r == p / 2));
    source.sink.set_property("volume", 100_u32);
    let (pushed, recorded) = samples(&mut source);
    assert_eq!(pushed, recorded);
    source.sink.set_property("mute", true);
    let (_, recorded) = samples(&mut source);
    assert!(recorded.iter().all(|&r| r == 0));
    source.sink.set_property("mute", false);
    let (pushed, recorded) = samples(&mut source);
    assert_eq!(pushed, recorded);
}

#[test]
fn an_overrun_of_a_live_source_is_counted_and_posted() {
    let mut source = Source::new(true, "block=false period-size=100 period-count=4");
    source.pipeline.play();
    source.sink.emit_by_name::<()>("reset", &[&true]);
    source.push(300);
    let newest = source.push(300);
    until("the store is full", || {
        source.sink.property::<u64>("lost-frames") == 200
    });
    assert_eq!(source.sink.property::<u64>("overruns"), 1);
    let bus = source.pipeline.0.bus().unwrap();
    let message = loop {
        let message = bus
            .timed_pop_filtered(crate::common::HANG, &[gst::MessageType::Element])
            .expect("a message about the overrun");
        if message.has_name("audiorecordsink-overrun") {
            break message;
        }
    };
    let details = message.structure().unwrap();
    assert_eq!(details.get::<u64>("lost-frames"), Ok(200));

    let buffer = source
        .sink
        .emit_by_name::<gst::Buffer>("record", &[&-1_i32]);
    assert!(buffer.flags().contains(gst::BufferFlags::DISCONT));
    assert_eq!(buffer.size(), 400 * 2, "the store is full of the newest");
    assert!(buffer.map_readable().unwrap().ends_with(&newest));
}

#[test]
fn a_source_that_is_not_live_waits_for_record() {
    let mut source = Source::new(false, "period-size=100 period-count=4");
    source.pipeline.play();
    // Before the first call only the newest 400 frames are kept.
    let mut all = source.push(100);
    let mut got = record(&source.sink, 1);
    for _ in 0..50 {
        all.extend(source.push(480));
    }
    while got.len() < all.len() {
        let more = record(&source.sink, 7);
        assert!(!more.is_empty(), "{} of {} bytes", got.len(), all.len());
        got.extend(more);
        if all.len() - got.len() < 336 * 2 {
            source.src.end_of_stream().unwrap();
        }
    }
    assert_eq!(got, all, "not a sample lost");
    assert_eq!(source.sink.property::<u64>("overruns"), 0);
    assert!(
        record(&source.sink, 100).is_empty(),
        "after the end there is nothing"
    );
    source.pipeline.wait().unwrap();
}

#[test]
fn finish_ends_a_record_that_waits() {
    let dir = tempfile::tempdir().unwrap();
    let wav = dir.path().join("finish.wav");
    let mut source = Source::new(true, &format!("location={}", wav.display()));
    source.pipeline.play();
    let sink = source.sink.clone();
    sink.emit_by_name::<()>("reset", &[&true]);
    let waiting = std::thread::spawn(move || record(&sink, 3_600_000));
    let data = source.push(480);
    until("the sound is in the file", || {
        std::fs::metadata(&wav).is_ok_and(|m| m.len() == 44 + 960)
    });
    source.sink.emit_by_name::<()>("finish", &[]);
    assert_eq!(waiting.join().unwrap(), data);
    assert_eq!(wav_samples(&wav), data);
}

#[test]
fn stopping_the_pipeline_ends_a_record_that_waits() {
    let source = Source::new(true, "");
    source.pipeline.play();
    let sink = source.sink.clone();
    let (started, has_started) = mpsc::channel();
    let waiting = std::thread::spawn(move || {
        started.send(()).unwrap();
        record(&sink, 1000)
    });
    crate::common::received(&has_started);
    source.pipeline.0.set_state(gst::State::Null).unwrap();
    assert!(waiting.join().unwrap().is_empty());
    assert!(
        record(&source.sink, 1000).is_empty(),
        "stopped: nothing, and at once"
    );
}

#[test]
fn the_stream_goes_on_to_the_next_file_after_finish() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a.wav"), dir.path().join("b.wav"));
    let mut source = Source::new(true, &format!("location={}", a.display()));
    source.pipeline.play();
    let first = source.push(480);
    until("the sound is in the file", || {
        std::fs::metadata(&a).is_ok_and(|m| m.len() == 44 + 960)
    });
    source.sink.set_property("location", b.to_str().unwrap());
    assert_eq!(
        source.sink.property::<String>("location"),
        a.to_str().unwrap(),
        "still open"
    );
    source.sink.emit_by_name::<()>("finish", &[]);
    source.push(480);
    source.drained();
    source.sink.set_property("location", b.to_str().unwrap());
    let third = source.push(480);
    source.src.end_of_stream().unwrap();
    source.pipeline.wait().unwrap();
    assert_eq!(wav_samples(&a), first);
    assert_eq!(wav_samples(&b), third);
}

#[test]
fn file_content_can_be_fixed() {
    let dir = tempfile::tempdir().unwrap();
    let stream = dir.path().join("stream.wav");
    let mut source = Source::new(
        false,
        &format!("file-content=stream location={}", stream.display()),
    );
    source.pipeline.play();
    let all = source.push(4800);
    assert_eq!(record(&source.sink, 10), all[..960]);
    source.src.end_of_stream().unwrap();
    source.pipeline.wait().unwrap();
    assert_eq!(wav_samples(&stream), all);

    let calls = dir.path().join("calls.wav");
    let pipeline = Pipeline::launch(&format!(
        "audiotestsrc num-buffers=10 ! audiorecordsink file-content=calls location={}",
        calls.display()
    ));
    pipeline.run().unwrap();
    assert!(!calls.exists(), "nobody called record()");
}

#[test]
fn a_hundred_starts_and_stops() {
    let dir = tempfile::tempdir().unwrap();
    let wav = dir.path().join("again.wav");
    let pipeline = Pipeline::launch(&format!(
        "audiotestsrc samplesperbuffer=100 ! audiorecordsink location={} async=true",
        wav.display()
    ));
    for _ in 0..100 {
        pipeline.0.set_state(gst::State::Paused).unwrap();
        pipeline.0.state(crate::common::HANG).0.unwrap();
        pipeline.0.set_state(gst::State::Playing).unwrap();
        pipeline.0.state(crate::common::HANG).0.unwrap();
        pipeline.0.set_state(gst::State::Ready).unwrap();
        wav_samples(&wav);
    }
}

#[test]
fn each_error_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let run = |location: &Path| {
        Pipeline::launch(&format!(
            "audiotestsrc num-buffers=5 ! audiorecordsink location={}",
            location.display()
        ))
        .run()
        .unwrap_err()
    };
    let err = run(&dir.path().join("a.mp3"));
    assert!(err.contains("neither in .wav nor in .pcm"), "{err}");
    let err = run(&dir.path().join("missing/a.wav"));
    assert!(
        err.contains("can't be created") && err.contains("missing"),
        "{err}"
    );
    let full = dir.path().join("full.pcm");
    std::os::unix::fs::symlink("/dev/full", &full).unwrap();
    let err = run(&full);
    assert!(err.contains("disk is full"), "{err}");
}

#[test]
fn a_change_of_format_is_an_error_while_a_file_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let wav = dir.path().join("change.wav");
    let mut source = Source::new(true, &format!("location={}", wav.display()));
    source.pipeline.play();
    let data = source.push(480);
    source.drained();
    let stereo = gst::Caps::builder("audio/x-raw")
        .field("format", "S16LE")
        .field("rate", 48_000)
        .field("channels", 2)
        .field("layout", "interleaved")
        .field("channel-mask", gst::Bitmask::new(3))
        .build();
    source.src.set_caps(Some(&stereo));
    source.push(480);
    let err = source.pipeline.wait().unwrap_err();
    assert!(err.contains("format changed while recording"), "{err}");
    drop(source);
    assert_eq!(wav_samples(&wav), data);
}

#[test]
fn buffers_may_split_a_sample() {
    let dir = tempfile::tempdir().unwrap();
    let wav = dir.path().join("odd.wav");
    let pipeline = Pipeline::launch(&format!(
        "appsrc name=s format=time \
         caps=audio/x-raw,format=S16LE,rate=8000,channels=2,layout=interleaved ! \
         audiorecordsink location={}",
        wav.display()
    ));
    let src: gst_app::AppSrc = pipeline.element("s").downcast().unwrap();
    let samples: Vec<u8> = (0..16_000_u16).flat_map(u16::to_le_bytes).collect();
    for (n, piece) in samples.chunks(173).enumerate() {
        let mut buffer = gst::Buffer::from_slice(piece.to_vec());
        let time = gst::ClockTime::from_nseconds(n as u64 * 173 * 31_250);
        buffer.get_mut().unwrap().set_pts(time);
        src.push_buffer(buffer).unwrap();
    }
    src.end_of_stream().unwrap();
    pipeline.run().unwrap();
    assert!(wav_samples(&wav) == samples);
}

#[test]
fn timestamps_without_a_segment_are_running_times() {
    let dir = tempfile::tempdir().unwrap();
    let wav = dir.path().join("a.wav");
    let samples = |first: u16| -> Vec<u8> {
        let all = (0..960).map(|n| first + n);
        all.flat_map(u16::to_le_bytes).collect()
    };
    for is_file in [true, false] {
        crate::common::init();
        let pipeline = Pipeline(gst::Pipeline::new());
        let sink = gst::ElementFactory::make("audiorecordsink")
            .build()
            .unwrap();
        pipeline.0.add(&sink).unwrap();
        if is_file {
            sink.set_property("location", wav.to_str());
        }
        let pad = crate::random_cameras::pad_to(&sink, "sink");
        pipeline.play();
        pad.push_event(gst::event::Caps::new(&CAPS.parse::<gst::Caps>().unwrap()));
        let push = |number: u16, seconds, running| {
            let mut buffer = gst::Buffer::from_slice(samples(number * 960));
            let it = buffer.get_mut().unwrap();
            it.set_pts(gst::ClockTime::from_seconds(seconds));
            pad.push(buffer).unwrap();
            if is_file {
                return;
            }
            let asked = sink.emit_by_name::<gst::Buffer>("record", &[&20_i32]);
            assert_eq!(asked.pts(), Some(gst::ClockTime::from_seconds(running)));
            let found = asked.map_readable().unwrap();
            assert!(found.as_slice() == samples(number * 960));
        };
        push(0, 5, 5);
        // Behind a flush there is none either, whatever there was before.
        pad.push_event(crate::random_streams::segment(7_000_000_000, 0));
        push(1, 7, 0);
        pad.push_event(gst::event::FlushStart::new());
        pad.push_event(gst::event::FlushStop::new(false));
        push(2, 8, 8);
        pad.push_event(gst::event::Eos::new());
        pipeline.wait().unwrap();
    }
    let all = [samples(0), samples(960), samples(1920)].concat();
    assert!(wav_samples(&wav) == all);
}

#[test]
fn a_directory_that_is_missing_is_said_at_the_start() {
    let pipeline = Pipeline::launch("audiotestsrc ! audiorecordsink location=/no/such/dir/a.wav");
    let _ = pipeline.0.set_state(gst::State::Ready).unwrap_err();
    let err = pipeline.error().unwrap();
    assert!(err.contains("/no/such/dir/a.wav"), "{err}");
}

#[test]
fn a_recording_of_nothing_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.wav");
    for (buffers, told) in [(0, 1), (3, 0)] {
        let pipeline = Pipeline::launch(&format!(
            "audiotestsrc num-buffers={buffers} ! audiorecordsink location={}",
            path.display()
        ));
        let bus = pipeline.0.bus().unwrap();
        let warnings = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = warnings.clone();
        bus.set_sync_handler(move |_, message| {
            if message.type_() == gst::MessageType::Warning {
                count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
            gst::BusSyncReply::Pass
        });
        pipeline.run().unwrap();
        bus.unset_sync_handler();
        let warnings = warnings.load(std::sync::atomic::Ordering::SeqCst);
        assert_eq!(warnings, told, "{buffers}");
    }
}

/// As behind an exact seek; sinks leave out what is not in its segment.
#[test]
fn samples_outside_their_segment_are_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let ms = gst::ClockTime::from_mseconds;
    for (element, options) in [
        ("audiorecordsink", ""),
        ("audiorecordsink", "file-content=calls"),
        ("recordsink", ""),
        ("recordsink", "audio-sync=-5000000"),
    ] {
        let wav = dir.path().join("a.wav");
        crate::common::init();
        let pipeline = Pipeline(gst::Pipeline::new());
        let sink = format!("{element} {options} location={}", wav.display());
        let sink = gst::parse::launch(&sink).unwrap();
        pipeline.0.add(&sink).unwrap();
        let pad = if element == "recordsink" {
            "audio"
        } else {
            "sink"
        };
        let pad = crate::random_cameras::pad_to(&sink, pad);
        pipeline.play();
        pad.push_event(gst::event::Caps::new(&CAPS.parse::<gst::Caps>().unwrap()));
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        segment.set_start(ms(5025));
        segment.set_stop(ms(5055));
        pad.push_event(gst::event::Segment::new(&segment));
        let mut all = Vec::new();
        for n in 0..8_u16 {
            let piece: Vec<u8> = (0..480)
                .flat_map(|sample| (n * 480 + sample).to_le_bytes())
                .collect();
            all.extend_from_slice(&piece);
            let mut buffer = gst::Buffer::from_slice(piece);
            let it = buffer.get_mut().unwrap();
            it.set_pts(ms(5000 + 10 * u64::from(n)));
            it.set_duration(ms(10));
            pad.push(buffer).unwrap();
            if options == "file-content=calls" {
                assert_eq!(record(&sink, 10).len(), 960, "{n}");
            }
        }
        pad.push_event(gst::event::Eos::new());
        let lasts = until_eos(&pipeline);
        assert!(
            wav_samples(&wav) == all,
            "{element} {options} {} of {}",
            wav_samples(&wav).len(),
            all.len()
        );
        if element == "recordsink" {
            assert_eq!(lasts, Some(ms(80)), "{options}");
        }
    }
}

/// How long the file is that a recording bin tells of.
fn until_eos(pipeline: &Pipeline) -> Option<gst::ClockTime> {
    let bus = pipeline.0.bus().unwrap();
    let mut lasts = None;
    loop {
        let message = bus.timed_pop(crate::common::HANG).expect("it hangs");
        match message.view() {
            gst::MessageView::Error(error) => panic!("{error:?}"),
            gst::MessageView::Element(element) => {
                let details = element.structure().unwrap();
                lasts = lasts.or(details.get("duration").ok());
            }
            gst::MessageView::Eos(_) => return lasts,
            _ => (),
        }
    }
}
