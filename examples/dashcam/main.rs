// SPDX-License-Identifier: MIT OR Apache-2.0
//! A dashcam: a camera and a microphone, the last half minute in memory, and a page in the browser
//! with the live picture and a button that saves what has just happened.
//!
//! ```console
//! cargo run --release --example dashcam                          # a test picture
//! cargo run --release --example dashcam -- --camera /dev/video0 --microphone auto
//! cargo run --release --example dashcam -- --camera k210:/dev/ttyUSB0
//! ```
//!
//! Then open <http://127.0.0.1:8080/>. Clips are MP4 files in the directory given by `--directory`.
//! The server listens on this computer alone; it has no passwords.

mod web;

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, bail};
use gst::prelude::*;

const USAGE: &str = "\
usage: dashcam [--camera test|k210:DEVICE|/dev/videoN] [--microphone test|auto|none]
               [--seconds N] [--directory DIR] [--port N]

  --camera      test (a test picture, the default), a V4L2 device, or k210: and what
                k210camerasrc takes as its device, as in k210:/dev/ttyUSB0 or k210:sim:
  --microphone  test (a tone, the default), auto (the system's) or none
  --seconds     how much is kept in memory before the button is pressed (30)
  --directory   where clips go (./clips)
  --port        of the page on 127.0.0.1 (8080; 0 takes a free one)";

struct Options {
    camera: String,
    microphone: String,
    seconds: u64,
    directory: PathBuf,
    port: u16,
}

impl Options {
    fn parse() -> anyhow::Result<Option<Self>> {
        use lexopt::prelude::*;
        let mut options = Self {
            camera: "test".into(),
            microphone: "test".into(),
            seconds: 30,
            directory: "clips".into(),
            port: 8080,
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("camera") => options.camera = parser.value()?.string()?,
                Long("microphone") => options.microphone = parser.value()?.string()?,
                Long("seconds") => options.seconds = parser.value()?.parse()?,
                Long("directory") => options.directory = parser.value()?.into(),
                Long("port") => options.port = parser.value()?.parse()?,
                Short('h') | Long("help") => {
                    println!("{USAGE}");
                    return Ok(None);
                }
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(Some(options))
    }

    /// The pipeline, as `gst-launch-1.0` would take it.
    fn pipeline(&self) -> anyhow::Result<String> {
        let camera = match self.camera.as_str() {
            "test" => "videotestsrc is-live=true pattern=ball ! \
                       video/x-raw,width=640,height=360,framerate=30/1 ! \
                       timeoverlay halignment=right valignment=bottom"
                .to_owned(),
            camera if camera.starts_with("k210:") => {
                "k210camerasrc name=camera ! jpegdec ! videoconvert".to_owned()
            }
            _ => "v4l2src name=camera ! decodebin ! videoconvert".to_owned(),
        };
        let microphone = match self.microphone.as_str() {
            "none" => "",
            "test" => "audiotestsrc is-live=true wave=ticks ! microphone.",
            "auto" => "autoaudiosrc ! microphone.",
            other => bail!("--microphone takes test, auto or none, not '{other}'"),
        };
        let sound = if microphone.is_empty() {
            String::new()
        } else {
            format!(
                "{microphone} queue name=microphone ! audioconvert ! audioresample ! \
                 audio/x-raw,rate=48000 ! avenc_aac bitrate=128000 ! aacparse ! ring.audio_0"
            )
        };
        // A key unit a second: a clip begins at most that much earlier than asked. The live
        // picture drops frames when the browser is slow; the ring does not wait for it.
        Ok(format!(
            "{camera} ! tee name=t \
             t. ! queue ! videoconvert ! video/x-raw,format=I420 ! \
             x264enc tune=zerolatency speed-preset=veryfast bitrate=4000 key-int-max=30 ! \
             video/x-h264,profile=high ! h264parse ! ring.video \
             t. ! queue leaky=downstream max-size-buffers=2 ! videoconvert ! jpegenc quality=80 ! \
             appsink name=live sync=false async=false max-buffers=1 drop=true \
             circularsink name=ring {sound}"
        ))
    }
}

/// The latest picture of the camera, for those who watch.
#[derive(Default)]
pub struct Live {
    picture: Mutex<(u64, Arc<[u8]>)>,
    changed: Condvar,
}

impl Live {
    fn show(&self, picture: &[u8]) {
        let mut current = lock(&self.picture);
        *current = (current.0 + 1, picture.into());
        drop(current);
        self.changed.notify_all();
    }

    /// The first picture after number `seen`, with its number.
    pub fn after(&self, seen: u64) -> (u64, Arc<[u8]>) {
        let current = lock(&self.picture);
        let current = self
            .changed
            .wait_while(current, |(number, _)| *number <= seen)
            .unwrap_or_else(PoisonError::into_inner);
        current.clone()
    }
}

/// What the page is told and asks for.
pub struct Dashcam {
    pub live: Live,
    pub directory: PathBuf,
    ring: gst::Element,
    keep: u64,
    error: Mutex<Option<String>>,
    /// Files that are being written; they are no clips yet.
    writing: Mutex<Vec<String>>,
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Dashcam {
    /// Saves what is kept; returns the clip's name.
    pub fn save(&self) -> anyhow::Result<String> {
        let now = glib::DateTime::now_local()?.format("%Y-%m-%d %H-%M-%S")?;
        let mut writing = lock(&self.writing);
        let name = (1..)
            .map(|number| match number {
                1 => format!("{now}.mp4"),
                _ => format!("{now} ({number}).mp4"),
            })
            .find(|name| !self.directory.join(name).exists() && !writing.contains(name))
            .context("no name is left")?;
        writing.push(name.clone());
        drop(writing);
        let path = self.directory.join(&name);
        let id: u32 = self.ring.emit_by_name("trigger", &[&path.to_str()]);
        self.ring.emit_by_name::<()>("finish", &[]);
        if id == u32::MAX {
            lock(&self.writing).retain(|other| *other != name);
            bail!("the camera is not running");
        }
        Ok(name)
    }

    /// What the page shows.
    pub fn state(&self) -> serde_json::Value {
        let writing = lock(&self.writing).clone();
        let mut clips: Vec<_> = std::fs::read_dir(&self.directory)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let bytes = entry.metadata().ok()?.len();
                let whole = name.ends_with(".mp4") && !writing.contains(&name);
                whole.then_some((name, bytes))
            })
            .collect();
        clips.sort();
        let clips: Vec<_> = clips
            .into_iter()
            .map(|(name, bytes)| serde_json::json!({ "name": name, "bytes": bytes }))
            .collect();
        serde_json::json!({
            "keep_ns": self.keep,
            "level_ns": self.ring.property::<u64>("level-time"),
            "level_bytes": self.ring.property::<u64>("level-bytes"),
            "error": *lock(&self.error),
            "clips": clips,
        })
    }

    /// A recording has ended, well or not.
    fn done(&self, structure: &gst::StructureRef) {
        let location = structure.get::<Option<String>>("location").ok().flatten();
        let path = location.map(PathBuf::from).unwrap_or_default();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        lock(&self.writing).retain(|other| *other != name);
        let error = structure.get::<String>("error").ok();
        match &error {
            Some(error) => eprintln!("{error}"),
            None => println!("saved {}", path.display()),
        }
        *lock(&self.error) = error;
    }
}

fn main() -> anyhow::Result<()> {
    let Some(options) = Options::parse().context(USAGE)? else {
        return Ok(());
    };
    gst::init()?;
    gstkendryte::plugin_register_static()?;
    std::fs::create_dir_all(&options.directory)
        .with_context(|| format!("can't make {}", options.directory.display()))?;

    let pipeline = gst::parse::launch(&options.pipeline()?)
        .context("an element is missing")?
        .downcast::<gst::Pipeline>()
        .map_err(|_| anyhow::anyhow!("one element is no pipeline"))?;
    let element = |name: &str| pipeline.by_name(name).context("an element is missing");
    if let Some(camera) = pipeline.by_name("camera") {
        let device = options.camera.trim_start_matches("k210:");
        camera.set_property("device", device);
    }
    let ring = element("ring")?;
    let keep = options.seconds * gst::ClockTime::SECOND.nseconds();
    ring.set_property("max-time", keep);
    let dashcam = Arc::new(Dashcam {
        live: Live::default(),
        directory: options.directory,
        ring,
        keep,
        error: Mutex::default(),
        writing: Mutex::default(),
    });
    let live = element("live")?
        .downcast::<gst_app::AppSink>()
        .map_err(|_| anyhow::anyhow!("the live picture has no sink"))?;
    let watched = dashcam.clone();
    let new_picture = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let map = sample
            .buffer()
            .and_then(|buffer| buffer.map_readable().ok());
        watched.live.show(&map.ok_or(gst::FlowError::Error)?);
        Ok(gst::FlowSuccess::Ok)
    });
    live.set_callbacks(new_picture.build());

    let port = web::serve(options.port, dashcam.clone())?;
    pipeline
        .set_state(gst::State::Playing)
        .context("the camera does not start")?;
    println!("http://127.0.0.1:{port}/");

    let bus = pipeline.bus().context("a pipeline has a bus")?;
    let result = loop {
        let Some(message) = bus.timed_pop(None) else {
            continue;
        };
        match message.view() {
            gst::MessageView::Error(error) => {
                let source = error.src().map(|s| s.name()).unwrap_or_default();
                break Err(anyhow::anyhow!("{source}: {}", error.error()));
            }
            gst::MessageView::Eos(_) => break Ok(()),
            gst::MessageView::Latency(_) => {
                // Failing to set the latency anew leaves the old one.
                let _ = pipeline.recalculate_latency();
            }
            gst::MessageView::Element(element) => {
                if let Some(structure) = element.structure().filter(|s| {
                    matches!(
                        s.name().as_str(),
                        "circularsink-recording-finished" | "circularsink-recording-failed"
                    )
                }) {
                    dashcam.done(structure);
                }
            }
            _ => (),
        }
    };
    pipeline.set_state(gst::State::Null)?;
    result
}
