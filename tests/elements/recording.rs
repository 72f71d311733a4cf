// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the camera into a file and back out through other people's readers: every frame is the one
//! that the camera sent, none is missing, none is there twice, and its time is right.

use std::path::Path;
use std::sync::{Arc, Mutex};

use gst::prelude::*;
use k210_sim::{Board, BootMode, Config, SerialPort, counter};

/// A frame: when, in nanoseconds since the first one, and what.
struct Frame {
    time: u64,
    jpeg: Vec<u8>,
}

type Frames = Arc<Mutex<Vec<Frame>>>;

/// Notes every frame that passes the pad.
fn note_frames(pad: &gst::Pad) -> Frames {
    let frames = Frames::default();
    pad.add_probe(gst::PadProbeType::BUFFER, {
        let frames = frames.clone();
        let first = std::sync::OnceLock::new();
        move |_, info| {
            let buffer = info.buffer().expect("a buffer probe has a buffer");
            let pts = buffer.pts().expect("frames have times");
            frames.lock().unwrap().push(Frame {
                time: (pts - *first.get_or_init(|| pts)).nseconds(),
                jpeg: buffer.map_readable().unwrap().to_vec(),
            });
            gst::PadProbeReturn::Ok
        }
    });
    frames
}

/// Records, and gives the frames that the camera sent.
fn record(camera: &str, frames: usize, file: &Path) -> Vec<Frame> {
    let pipeline = crate::common::Pipeline::launch(&format!(
        "k210camerasrc name=camera {camera} num-buffers={frames} ! queue ! avimjpegmux ! filesink location={}",
        file.display()
    ));
    let sent = note_frames(&pipeline.element("camera").static_pad("src").unwrap());
    pipeline.run().unwrap();
    let sent = std::mem::take(&mut *sent.lock().unwrap());
    assert_eq!(sent.len(), frames);
    sent
}

/// What GStreamer's own demuxer finds, and the numbers in the pictures.
fn read_with_avidemux(file: &Path) -> (Vec<Frame>, Vec<u16>) {
    let pipeline = crate::common::Pipeline::launch(&format!(
        "filesrc location={} ! avidemux ! identity name=read ! jpegdec ! videoconvert ! video/x-raw,format=GRAY8 ! \
         appsink name=pictures sync=false",
        file.display()
    ));
    let read = note_frames(&pipeline.element("read").static_pad("src").unwrap());
    let numbers = Arc::new(Mutex::new(Vec::new()));
    let sink = pipeline
        .element("pictures")
        .downcast::<gst_app::AppSink>()
        .unwrap();
    sink.set_callbacks(
        gst_app::AppSinkCallbacks::builder()
            .new_sample({
                let numbers = numbers.clone();
                move |sink| {
                    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    let info = gst_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
                    let map = sample.buffer().unwrap().map_readable().unwrap();
                    let number = counter::read(
                        &map,
                        info.width() as usize,
                        info.height() as usize,
                        info.stride()[0] as usize,
                    );
                    numbers
                        .lock()
                        .unwrap()
                        .push(number.expect("a counter in the picture"));
                    Ok(gst::FlowSuccess::Ok)
                }
            })
            .build(),
    );
    pipeline.run().unwrap();
    let read = std::mem::take(&mut *read.lock().unwrap());
    let numbers = std::mem::take(&mut *numbers.lock().unwrap());
    (read, numbers)
}

/// Times are those of a fixed rate, each within an interval of when the frame was taken. On a machine
/// with time to spare they are the same; a frame that the machine kept waiting is shown as late as it
/// was, in steps of the interval.
fn assert_times(sent: &[Frame], times: &[f64], interval_ms: f64, reader: &str) {
    assert_eq!(times.len(), sent.len(), "{reader}");
    for (n, (sent, time)) in sent.iter().zip(times).enumerate() {
        let place = (time / interval_ms).round();
        assert!(
            (time - place * interval_ms).abs() <= 1.0,
            "{reader}: frame {n} is at {time} ms, off the grid"
        );
        let taken = sent.time as f64 / 1e6;
        assert!(
            (time - taken).abs() <= interval_ms,
            "{reader}: frame {n} is at {time} ms, taken at {taken} ms"
        );
    }
}

fn assert_file_holds(sent: &[Frame], file: &Path, interval_us: u64) {
    let interval_ms = interval_us as f64 / 1e3;

    let (read, numbers) = read_with_avidemux(file);
    assert_eq!(read.len(), sent.len(), "avidemux");
    for (n, (read, sent)) in read.iter().zip(sent).enumerate() {
        assert!(
            read.jpeg == sent.jpeg,
            "avidemux: frame {n} is not the one that the camera sent"
        );
    }
    let times: Vec<f64> = read.iter().map(|frame| frame.time as f64 / 1e6).collect();
    assert_times(sent, &times, interval_ms, "avidemux");
    assert!(
        numbers
            .windows(2)
            .all(|pair| pair[1].wrapping_sub(pair[0]).cast_signed() > 0),
        "the camera's numbers do not grow: {numbers:?}"
    );

    let counted = crate::common::ffprobe(file, &["-count_frames"], "stream=nb_read_frames");
    assert_eq!(counted, [sent.len().to_string()], "ffprobe");
    let times: Vec<f64> = crate::common::ffprobe(file, &[], "packet=pts_time")
        .iter()
        .map(|time| time.parse::<f64>().expect("a time") * 1e3)
        .collect();
    assert_times(sent, &times, interval_ms, "ffprobe");

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/read_counters.py");
    let lines = crate::common::output(crate::common::python().arg(script).arg(file));
    let (times, seen): (Vec<f64>, Vec<u16>) = lines
        .lines()
        .map(|line| {
            let (time, number) = line.split_once(' ').expect("two columns");
            (
                time.parse::<f64>().expect("a time"),
                number.parse::<u16>().expect("a number"),
            )
        })
        .unzip();
    assert_eq!(seen, numbers, "OpenCV");
    assert_times(sent, &times, interval_ms, "OpenCV");
}

/// A board on a pseudo-terminal, which a program takes for a serial port.
fn plug_in(boot: BootMode) -> SerialPort {
    let board = Board::new(Config {
        boot,
        ..Config::default()
    })
    .expect("a board");
    SerialPort::new(board, None).expect("a pseudo-terminal")
}

#[test]
fn ten_frames_a_second() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("a.avi");
    let board = plug_in(BootMode::Repl);
    let sent = record(&format!("device={}", board.path().display()), 50, &file);
    assert_file_holds(&sent, &file, 100_000);
}

#[test]
fn an_interval_that_is_no_whole_rate() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("a.avi");
    let board = plug_in(BootMode::Ide);
    let device = board.path().display().to_string();
    let sent = record(&format!("device={device} interval=300000"), 12, &file);
    assert_file_holds(&sent, &file, 300_000);
}
