// SPDX-License-Identifier: MIT OR Apache-2.0
//! Records a K210 camera to an AVI file, with or without sound, from a Rust program that carries the
//! plugin inside itself.
//!
//! ```console
//! $ cargo run --release --example record -- --device sim: --seconds 5 capture.avi
//! $ cargo run --release --example record -- --device /dev/ttyUSB0 --sound mic capture.avi
//! ```
//!
//! Ctrl-C ends the recording early; the file is finished all the same.
#![allow(clippy::expect_used, reason = "what the program itself made is there")]

use std::cell::Cell;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use anyhow::{Context, Error, bail};
use gst::prelude::*;

const USAGE: &str = "\
usage: record [OPTION...] FILE.avi

  --device DEVICE     a serial port, tcp://HOST:PORT, sim: or sim:VIDEO (default: K210_DEVICE, else the first board)
  --seconds N         how long to record; 0 until Ctrl-C (default: 5)
  --interval US       microseconds from one frame to the next (default: 100000)
  --framesize SIZE    qqvga, qvga, vga, ... (default: qvga)
  --quality Q         JPEG quality, 1 to 100 (default: 50)
  --sound SOURCE      none, mic, test, or a media file whose sound is recorded (default: none)
  --profile PROFILE   standard, or k210 for a file that the board plays too (default: standard)
  --summary FILE      write the summary there as well
";

struct Options {
    device: Option<String>,
    seconds: u64,
    interval: u32,
    framesize: String,
    quality: u32,
    sound: String,
    profile: String,
    summary: Option<PathBuf>,
    file: PathBuf,
}

fn options() -> Result<Option<Options>, Error> {
    use lexopt::prelude::*;
    let mut options = Options {
        device: None,
        seconds: 5,
        interval: 100_000,
        framesize: "qvga".into(),
        quality: 50,
        sound: "none".into(),
        profile: "standard".into(),
        summary: None,
        file: PathBuf::new(),
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("device") => options.device = Some(parser.value()?.string()?),
            Long("seconds") => options.seconds = parser.value()?.parse()?,
            Long("interval") => options.interval = parser.value()?.parse()?,
            Long("framesize") => options.framesize = parser.value()?.string()?,
            Long("quality") => options.quality = parser.value()?.parse()?,
            Long("sound") => options.sound = parser.value()?.string()?,
            Long("profile") => {
                options.profile = parser.value()?.parse_with(|profile| {
                    match ["standard", "k210"].contains(&profile) {
                        true => Ok(profile.to_owned()),
                        false => Err("standard or k210"),
                    }
                })?;
            }
            Long("summary") => options.summary = Some(parser.value()?.into()),
            Long("help") | Short('h') => return Ok(None),
            Value(file) if options.file.as_os_str().is_empty() => options.file = file.into(),
            _ => return Err(argument.unexpected().into()),
        }
    }
    if options.file.as_os_str().is_empty() {
        bail!("which file?\n\n{USAGE}");
    }
    Ok(Some(options))
}

/// What the pads' probes count while the pipeline runs.
#[derive(Default)]
struct Counters {
    frames: AtomicU64,
    bytes: AtomicU64,
    /// End of the last frame, in nanoseconds since the first began.
    length: AtomicU64,
    /// Running time of the first frame: where the recording, and its sound, begins.
    first: OnceLock<gst::ClockTime>,
}

/// Where sound comes from, added to the pipeline.
struct Sound {
    source: gst::Pad,
    /// For sound out of a file, the pad where it is held back until the first frame.
    held: Arc<Mutex<Option<Held>>>,
}

struct Held {
    pad: gst::Pad,
    probe: gst::PadProbeId,
}

impl Held {
    /// Lets the file begin at the running time `first`.
    fn release(self, first: gst::ClockTime) {
        self.pad.set_offset(first.nseconds() as i64);
        self.pad.remove_probe(self.probe);
    }
}

fn add_sound(pipeline: &gst::Pipeline, source: &str) -> Result<Sound, Error> {
    let description = match source {
        "mic" => "autoaudiosrc".to_owned(),
        "test" => "audiotestsrc is-live=true wave=ticks".to_owned(),
        // clocksync lets the file through at the speed of the camera's clock, as a microphone would.
        _ => "uridecodebin name=file caps=audio/x-raw expose-all-streams=false ! clocksync"
            .to_owned(),
    };
    let bin = gst::parse::bin_from_description_with_name(
        &format!(
            "{description} ! audioconvert ! audioresample ! audio/x-raw,format=S16LE,channels=[1,2] ! queue name=out"
        ),
        false,
        "sound",
    )?;
    let out = bin.by_name("out").context("named above")?;
    let out = out.static_pad("src").context("a queue has a source pad")?;
    let source_pad = gst::GhostPad::with_target(&out)?;
    bin.add_pad(&source_pad)?;
    let held = Arc::new(Mutex::new(None));
    if let Some(file) = bin.by_name("file") {
        let path = std::fs::canonicalize(source).with_context(|| source.to_owned())?;
        file.set_property("uri", glib::filename_to_uri(path, None)?);
        file.connect_pad_added({
            let held = held.clone();
            move |_, pad| {
                let probe = pad.add_probe(gst::PadProbeType::BLOCK_DOWNSTREAM, |_, _| {
                    gst::PadProbeReturn::Ok
                });
                *held.lock().expect("no thread has panicked") = probe.map(|probe| Held {
                    pad: pad.clone(),
                    probe,
                });
            }
        });
    }
    pipeline.add(&bin)?;
    Ok(Sound {
        source: source_pad.upcast(),
        held,
    })
}

/// What records the camera.
struct Recording {
    pipeline: gst::Pipeline,
    camera: gst::Element,
    mux: gst::Element,
    /// Where pictures go into the muxer.
    video_pad: gst::Pad,
}

impl Recording {
    fn new(options: &Options) -> Result<Self, Error> {
        let pipeline = gst::Pipeline::new();
        let camera = gst::ElementFactory::make("k210camerasrc")
            .property_from_str("framesize", &options.framesize)
            .property("quality", options.quality)
            .property("interval", options.interval)
            .property_if_some("device", options.device.as_ref())
            .build()?;
        let queue = gst::ElementFactory::make("queue").build()?;
        let mux = gst::ElementFactory::make("avimjpegmux")
            .property_from_str("profile", &options.profile)
            .build()?;
        let location = options
            .file
            .to_str()
            .context("the file's name is not UTF-8")?;
        let sink = gst::ElementFactory::make("filesink")
            .property("location", location)
            .build()?;
        pipeline.add_many([&camera, &queue, &mux, &sink])?;
        gst::Element::link_many([&camera, &queue])?;
        let video_pad = mux
            .request_pad_simple("video_%u")
            .context("no pad for video")?;
        queue
            .static_pad("src")
            .context("no source pad")?
            .link(&video_pad)?;
        mux.link(&sink)?;
        Ok(Self {
            pipeline,
            camera,
            mux,
            video_pad,
        })
    }

    /// Every frame passes here on its way into the muxer: the first one fixes where the recording
    /// begins, and the first that lies beyond its `end` stops it. What does not belong to it is Handled,
    /// as GStreamer 1.22 complains about a buffer that the bindings have let go already on Drop.
    fn count(&self, counters: &Arc<Counters>, sound: Option<&Sound>, end: Option<gst::ClockTime>) {
        let (counters, pipeline) = (counters.clone(), self.pipeline.downgrade());
        let held = sound.map(|sound| sound.held.clone());
        let count = move |pad: &gst::Pad, info: &mut gst::PadProbeInfo<'_>| {
            let (Some(buffer), Some(time)) = (info.buffer(), running_time(pad, info)) else {
                return gst::PadProbeReturn::Ok;
            };
            let first = *counters.first.get_or_init(|| time);
            if let Some(held) = held
                .as_ref()
                .and_then(|held| held.lock().expect("no thread has panicked").take())
            {
                held.release(first);
            }
            let since = time.saturating_sub(first);
            if end.is_some_and(|end| since >= end) {
                if let Some(pipeline) = pipeline.upgrade() {
                    stop(&pipeline);
                }
                return gst::PadProbeReturn::Handled;
            }
            counters.frames.fetch_add(1, Ordering::Relaxed);
            counters
                .bytes
                .fetch_add(buffer.size() as u64, Ordering::Relaxed);
            let length = since + buffer.duration().unwrap_or_default();
            counters.length.store(length.nseconds(), Ordering::Relaxed);
            gst::PadProbeReturn::Ok
        };
        self.video_pad.add_probe(gst::PadProbeType::BUFFER, count);
    }

    /// Sound from before the first frame and from after the end does not belong to the recording.
    fn link_sound(
        &self,
        sound: &Sound,
        counters: &Arc<Counters>,
        end: Option<gst::ClockTime>,
    ) -> Result<(), Error> {
        let pad = self
            .mux
            .request_pad_simple("audio_%u")
            .context("no pad for sound")?;
        sound.source.link(&pad)?;
        let counters = counters.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            let (Some(first), Some(time)) = (counters.first.get(), running_time(pad, info)) else {
                return gst::PadProbeReturn::Handled;
            };
            if time < *first || end.is_some_and(|end| time >= *first + end) {
                return gst::PadProbeReturn::Handled;
            }
            gst::PadProbeReturn::Ok
        });
        Ok(())
    }

    /// Plays until the recording has ended, and has the camera's statistics. An error that stops it comes back; a
    /// warning only goes to the terminal.
    fn run(&self) -> Result<gst::Structure, Error> {
        let main_loop = glib::MainLoop::new(None, false);
        let failure = Arc::new(OnceLock::new());
        let bus = self.pipeline.bus().context("a pipeline has a bus")?;
        let _watch = bus.add_watch({
            let (main_loop, failure) = (main_loop.clone(), failure.clone());
            move |_, message| {
                match message.view() {
                    gst::MessageView::Eos(_) => main_loop.quit(),
                    gst::MessageView::Error(error) => {
                        let _ = failure.set(text_of(error));
                        main_loop.quit();
                    }
                    gst::MessageView::Warning(warning) => eprintln!("\n{}", warning.error()),
                    _ => {}
                }
                glib::ControlFlow::Continue
            }
        })?;
        let outcome = self.pipeline.set_state(gst::State::Playing);
        if outcome.is_ok() {
            main_loop.run();
        }
        let stats = self.camera.property::<gst::Structure>("stats");
        // What says why it did not start; NULL would throw it away.
        let error = bus.pop_filtered(&[gst::MessageType::Error]);
        self.pipeline.set_state(gst::State::Null)?;
        println!();
        if let Some(gst::MessageView::Error(error)) = error.as_ref().map(|message| message.view()) {
            let _ = failure.set(text_of(error));
        }
        if let Some(failure) = failure.get() {
            bail!("{failure}");
        }
        outcome?;
        Ok(stats)
    }
}

fn text_of(error: &gst::message::Error) -> String {
    format!("{} ({})", error.error(), error.debug().unwrap_or_default())
}

/// Ends the recording at Ctrl-C. Asked twice, it does not wait for the end of the file.
fn stop_at_signals(pipeline: &gst::Pipeline) {
    let stopping = Rc::new(Cell::new(false));
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let (pipeline, stopping) = (pipeline.downgrade(), stopping.clone());
        glib_unix::unix_signal_add_local(signal, move || {
            if stopping.replace(true) {
                std::process::exit(130);
            }
            if let Some(pipeline) = pipeline.upgrade() {
                stop(&pipeline);
            }
            glib::ControlFlow::Continue
        });
    }
}

fn show_progress(counters: &Arc<Counters>) {
    let terminal = std::io::stdout().is_terminal();
    let every = Duration::from_millis(if terminal { 200 } else { 1000 });
    let counters = counters.clone();
    glib::timeout_add_local(every, move || {
        let (start, end) = if terminal { ("\r", "") } else { ("", "\n") };
        print!("{start}recording: {}  {end}", progress(&counters));
        let _ = std::io::stdout().flush();
        glib::ControlFlow::Continue
    });
}

fn record(options: &Options) -> Result<String, Error> {
    gst::init()?;
    gstkendryte::plugin_register_static()?;

    let recording = Recording::new(options)?;
    let counters = Arc::new(Counters::default());
    let end = (options.seconds > 0).then(|| gst::ClockTime::from_seconds(options.seconds));
    let sound = match options.sound.as_str() {
        "none" => None,
        source => Some(add_sound(&recording.pipeline, source)?),
    };
    recording.count(&counters, sound.as_ref(), end);
    if let Some(sound) = &sound {
        recording.link_sound(sound, &counters, end)?;
    }
    stop_at_signals(&recording.pipeline);
    show_progress(&counters);
    let stats = recording.run()?;

    let size = std::fs::metadata(&options.file)?.len();
    Ok(format!(
        "{}: {} frames, {:.1} s, {} KiB, {} frames lost",
        options.file.display(),
        counters.frames.load(Ordering::Relaxed),
        counters.length.load(Ordering::Relaxed) as f64 / 1e9,
        size / 1024,
        stats.get::<u64>("frames-dropped").unwrap_or_default(),
    ))
}

/// Ends the recording as the end of a file would: what is on its way is written first.
fn stop(pipeline: &gst::Pipeline) {
    // Sources take their locks to end; the thread that asks may be one of theirs.
    pipeline.call_async(|pipeline| {
        pipeline.send_event(gst::event::Eos::new());
    });
}

fn running_time(pad: &gst::Pad, info: &gst::PadProbeInfo<'_>) -> Option<gst::ClockTime> {
    let segment = pad.sticky_event::<gst::event::Segment>(0)?;
    let segment = segment.segment().downcast_ref::<gst::ClockTime>()?;
    segment.to_running_time(info.buffer()?.pts())
}

fn progress(counters: &Counters) -> String {
    format!(
        "{} frames, {:.1} s, {} KiB of pictures",
        counters.frames.load(Ordering::Relaxed),
        counters.length.load(Ordering::Relaxed) as f64 / 1e9,
        counters.bytes.load(Ordering::Relaxed) / 1024,
    )
}

fn main() -> Result<(), Error> {
    let Some(options) = options()? else {
        print!("{USAGE}");
        return Ok(());
    };
    let summary = record(&options)?;
    println!("{summary}");
    if let Some(path) = &options.summary {
        std::fs::write(path, summary + "\n").with_context(|| path.display().to_string())?;
    }
    Ok(())
}
