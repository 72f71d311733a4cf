// SPDX-License-Identifier: MIT OR Apache-2.0
//! Open GOPs: pictures that follow a key unit, are shown before it and need what came before it.

use std::path::Path;
use std::process::Command;

use gst::prelude::*;

use super::rig::*;

const H264: &str = "x264enc speed-preset=veryfast key-int-max=30 bframes=2 b-adapt=false \
     rc-lookahead=4 threads=1 option-string=open-gop=1:scenecut=0 ! h264parse ! \
     video/x-h264,stream-format=byte-stream,alignment=au";
const H265: &str = "x265enc speed-preset=ultrafast key-int-max=30 \
     option-string=open-gop=1:bframes=2:b-adapt=0:b-pyramid=0:scenecut=0:log-level=0 ! h265parse ! \
     video/x-h265,stream-format=byte-stream,alignment=au";

/// A stream of open GOPs; that it is one is looked at.
fn open_gops(encoder: &str) -> Encoded {
    let stream = encoded(encoder, 300);
    let is_key = |b: &gst::Buffer| !b.flags().contains(gst::BufferFlags::DELTA_UNIT);
    let pairs = stream.buffers[1..].windows(2).filter(|w| is_key(&w[0]));
    let open: Vec<_> = pairs.map(|w| w[1].pts() < w[0].pts()).collect();
    assert!(open.len() > 5 && open.iter().all(|&open| open), "{open:?}");
    stream
}

/// Decodes a bitstream with ffmpeg, which may not complain, and reads the frames' numbers.
fn numbers(path: &Path) -> Vec<u64> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args([
            "-map",
            "0:v",
            "-fps_mode",
            "passthrough",
            "-pix_fmt",
            "gray",
            "-f",
            "rawvideo",
            "-",
        ])
        .output()
        .expect("ffmpeg is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.is_empty(), "{}: {said}", path.display());
    let pictures = output.stdout.chunks_exact(64 * 64);
    pictures.map(|picture| number_in(picture, 64)).collect()
}

/// When each picture is shown (ns), and its number, by ffmpeg.
fn shown_by_ffmpeg(path: &Path) -> Vec<(u64, u64)> {
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-nostats", "-i"])
        .arg(path)
        .args(["-map", "0:v", "-fps_mode", "passthrough", "-vf", "showinfo"])
        .args(["-pix_fmt", "gray", "-f", "rawvideo", "-"])
        .output()
        .expect("ffmpeg is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    let times: Vec<f64> = said
        .split(" pts_time:")
        .skip(1)
        .filter_map(|rest| rest.split_whitespace().next()?.parse().ok())
        .collect();
    let pictures = output.stdout.chunks_exact(64 * 64);
    assert_eq!(times.len(), pictures.len(), "{}: {said}", path.display());
    let shown = |(time, picture): (f64, _)| ((time * 1e9).round() as u64, number_in(picture, 64));
    times.into_iter().zip(pictures).map(shown).collect()
}

/// A file of such a stream, decoded; its first picture has the number `first`.
///
/// ffmpeg shows all of it. GStreamer's decoders get into disorder in front of a stream that does not
/// begin with an IDR, where they make up pictures that are referred to and not there. `avdec_h264`
/// loses the first picture and calls what refers to it corrupted: in 1.26 always, in 1.22 where it
/// decodes one picture at a time, in 1.28 never; it is asked from the second GOP on. `avdec_h265` of
/// 1.26 loses the second picture where it decodes several at a time.
fn shown(encoder: &str, path: &Path, first: u64, audio: bool) -> Decoded {
    let mut decoded = decode(path, audio);
    if encoder == H264 {
        // The file's own key unit may follow two leading pictures.
        let next_gop = (first + 3).next_multiple_of(30);
        let start = (next_gop - first) * FRAME;
        let frames = shown_by_ffmpeg(path);
        let later = |frames: &[(u64, u64)]| {
            let later = frames.iter().filter(|f| f.0 + 1_000_000 >= start);
            later.map(|f| f.1).collect::<Vec<_>>()
        };
        assert_eq!(later(&decoded.frames), later(&frames));
        decoded.frames = frames;
    }
    decoded
}

#[test]
fn a_recording_from_open_gops_begins_with_a_picture_that_decodes() {
    for (encoder, raw) in [(H264, "a.h264"), (H265, "a.h265")] {
        let stream = open_gops(encoder);
        for name in ["a.mp4", "a.mkv", raw] {
            let mut rig = Rig::new(stream.clone(), false);
            rig.sink.set_property("max-time", 50 * FRAME);
            rig.start();
            rig.push(170);
            rig.trigger(Some(&rig.path(name)));
            rig.push(50);
            rig.finish();
            rig.push(10);
            let done = rig.finished();
            assert_sound(done.path());
            let frames = numbers(done.path());
            let first = done.start.expect("it began") / FRAME;
            assert!(first > 0 && frames.len() as u64 == done.frames, "{done:?}");
            assert_eq!(frames, (first..first + done.frames).collect::<Vec<_>>());
            if name != raw {
                let shown = shown(encoder, done.path(), first, false);
                assert_frames(&shown, first, first + done.frames - 1);
            }
        }
    }
}

/// Frames from one IDR to the next.
const IDR: u64 = 48;

/// Open GOPs of twelve, every fourth of which begins with an IDR.
fn with_idrs(form: &str) -> Encoded {
    let encoder = format!(
        "x264enc name=e speed-preset=veryfast key-int-max=12 bframes=2 b-adapt=false rc-lookahead=4 \
         threads=1 option-string=open-gop=1:scenecut=0 ! h264parse ! \
         video/x-h264,stream-format={form},alignment=au"
    );
    let stream = encode(&encoder, 400, |pipeline| {
        let encoder: gst::Element = get(pipeline, "e");
        let pad = encoder.static_pad("sink").expect("it has a pad");
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            let time = info.buffer().and_then(|it| it.pts());
            if time.is_some_and(|time| time.nseconds() % (IDR * FRAME) == 0)
                && let Some(encoder) = pad.parent_element()
            {
                let event = gst_video::UpstreamForceKeyUnitEvent::builder().build();
                assert!(encoder.send_event(event), "x264enc takes it");
            }
            gst::PadProbeReturn::Ok
        });
    });
    // An IDR needs nothing from before it, and nothing is shown before it that comes behind.
    let keys = stream.buffers.windows(2).enumerate();
    let keys = keys.filter(|(_, w)| !w[0].flags().contains(gst::BufferFlags::DELTA_UNIT));
    for (number, (_, pair)) in keys.enumerate().skip(1) {
        assert_eq!(pair[1].pts() < pair[0].pts(), number % 4 != 0, "{number}");
    }
    stream
}

#[test]
fn a_recording_begins_at_an_idr_that_is_near() {
    for form in ["byte-stream", "avc"] {
        let stream = with_idrs(form);
        for pushed in [170, 183, 195, 207] {
            let mut rig = Rig::new(stream.clone(), false);
            rig.sink.set_property("max-time", 50 * FRAME);
            rig.start();
            rig.push(pushed);
            rig.trigger(Some(&rig.path("a.mkv")));
            rig.push(50);
            rig.finish();
            rig.push(10);
            let done = rig.finished();
            let first = done.start.expect("it began") / FRAME;
            assert_eq!(first % IDR, 0, "{form}");
            // Kept is what was asked, and from there back to an IDR.
            let before = pushed as u64 - first;
            assert!((50..50 + IDR + 3).contains(&before), "{before}");
            // Players show all of it.
            let last = first + done.frames - 1;
            assert_frames(&decode(done.path(), false), first, last);
        }
    }
}

/// The stream recorded to files of one extension, split three times.
fn split(stream: &Encoded, extension: &str) -> (Rig, Vec<Done>) {
    let mut rig = Rig::new(stream.clone(), true);
    rig.sink.set_property("split-on-trigger", true);
    rig.start();
    for number in 0..4 {
        rig.push(50);
        rig.trigger(Some(&rig.path(&format!("{number}.{extension}"))));
    }
    rig.push_all();
    let done = rig.end(4);
    (rig, done)
}

#[test]
fn files_split_from_open_gops_join_without_a_gap() {
    for (encoder, extension) in [(H264, "h264"), (H265, "h265")] {
        let stream = open_gops(encoder);
        let (rig, done) = split(&stream, extension);
        assert_eq!(done.iter().map(|d| d.frames).sum::<u64>(), 300);
        let mut joined = Vec::new();
        for done in &done {
            assert!(done.frames > 20, "{done:?}");
            joined.extend(std::fs::read(done.path()).expect("the file is there"));
        }
        let path = rig.path(&format!("joined.{extension}"));
        std::fs::write(&path, joined).expect("it is written");
        assert_eq!(numbers(Path::new(&path)), (0..300).collect::<Vec<_>>());
    }
}

#[test]
fn files_split_from_open_gops_are_sound_each() {
    for encoder in [H264, H265] {
        let stream = open_gops(encoder);
        let (rig, done) = split(&stream, "mkv");
        let (mut end, mut sound) = (0, 0);
        for (number, done) in done.iter().enumerate() {
            if encoder == H265 {
                assert_sound(done.path());
            }
            // Spans follow one another, to the sample and the frame.
            assert_eq!(done.start, Some(end));
            end = done.end.expect("it has an end");
            let first = done.start.expect("it has a start") / FRAME;
            let decoded = shown(encoder, done.path(), first, true);
            // Leading pictures wait for the file before to be decoded: decoders of H.265 leave
            // them out by its rules, those of H.264 do as they like, and may say so.
            let numbers = decoded.numbers();
            let leading = numbers[0] - first;
            assert!(leading <= if number == 0 { 0 } else { 2 }, "{numbers:?}");
            let whole: Vec<_> = (numbers[0]..first + done.frames).collect();
            assert_eq!(numbers, whole);
            for (time, number) in &decoded.frames {
                assert!(time.abs_diff((number - first) * FRAME) <= 1_000_000);
            }
            assert_eq!(decoded.sound[0].1, sound % 30_000);
            sound += decoded.sound.iter().map(|s| s.2).sum::<u64>();
        }
        assert_eq!((end, sound), (300 * FRAME, rig.next_sample));
    }
}

/// An encoder that is asked makes a key unit without leading pictures, and soon.
#[test]
fn a_split_asks_for_a_key_unit() {
    init();
    let directory = tempfile::tempdir().expect("there is a directory");
    let pipeline = gst::parse::launch(
        "videotestsrc num-buffers=400 ! video/x-raw,width=64,height=64,framerate=25/1 ! \
         x264enc speed-preset=veryfast key-int-max=1000 bframes=2 b-adapt=false rc-lookahead=4 \
         threads=1 option-string=open-gop=1:scenecut=0 ! h264parse ! identity name=gate ! \
         circularsink name=c split-on-trigger=true recording=true",
    )
    .expect("the elements are there")
    .downcast::<gst::Pipeline>()
    .expect("it is a pipeline");
    let sink: gst::Element = get(&pipeline, "c");
    let location = directory.path().join("%d.mkv");
    sink.set_property("location", location.to_str());
    let gate: gst::Element = get(&pipeline, "gate");
    let pad = gate.static_pad("src").expect("it has a pad");
    let count = std::sync::atomic::AtomicU32::new(0);
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        if count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 100 {
            sink.emit_by_name::<u32>("trigger", &[&None::<String>]);
        }
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing).expect("it plays");
    let types = [gst::MessageType::Eos, gst::MessageType::Error];
    let bus = pipeline.bus().expect("pipelines have a bus");
    let message = bus.timed_pop_filtered(FAILSAFE, &types).expect("it ends");
    assert_eq!(message.type_(), gst::MessageType::Eos, "{message:?}");
    pipeline.set_state(gst::State::Null).expect("it stops");
    let frames = |number: u32| {
        let path = directory.path().join(format!("{number}.mkv"));
        assert_sound(&path);
        decode_picture(&path).frames.len()
    };
    let (before, after) = (frames(0), frames(1));
    assert_eq!(before + after, 400);
    assert!((100..200).contains(&before), "{before}");
}
